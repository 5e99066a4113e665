"""Variational EM: the best product of Gaussians by brute force, a gap that stays, a bound that climbs."""

import itertools

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from scipy.optimize import minimize

from lvmviz import MCAR, AsGiven, CorrelatedPair, Floor, Job, MissingGaussianEM, VariationalEM, run
from lvmviz.gaps import incomplete
from lvmviz.incomplete_gaussian import decompose_at, divergence, gathered, maximum_at
from lvmviz.shortcuts import sample_moments
from tests.test_missing import conditional, correlation, data, gaussian_kl, holed, numbers, theta_of


@pytest.mark.parametrize(("seed", "width"), [(0, 3), (1, 4), (2, 5)])
def test_q_is_of_all_products_the_nearest(seed, width):
    """Means and log variances found by an optimizer that knows no formula."""
    theta, row = theta_of(seed, width), np.full(width, np.nan)
    row[0] = 0.7
    _, centre, spread = conditional(*numbers(theta), row)

    def kl(z: np.ndarray) -> float:
        means, logs = np.split(z, 2)
        return gaussian_kl(means, np.diag(np.exp(logs)), centre, spread)

    found = minimize(kl, np.zeros(2 * (width - 1)), method="BFGS", options={"gtol": 1e-9})
    q = conditional(*numbers(theta), row, factorized=True)
    np.testing.assert_allclose(found.x, [*q[1], *np.log(np.diag(q[2]))], atol=1e-5)
    told = decompose_at(theta, theta, gathered(torch.tensor(row[None])), factorized=True)
    assert told.kl == pytest.approx(found.fun, abs=1e-9) and told.kl > 1e-3


def test_the_gap_of_two_is_known():
    """Two gaps of correlation rho: KL = -log(1 - rho^2) / 2."""
    theta = theta_of(3, 2)
    rho = correlation(theta)
    told = decompose_at(theta, theta, gathered(torch.full((5, 2), torch.nan).double().index_fill(
        0, torch.tensor([0]), 1.0)), factorized=True)  # fmt: skip
    assert told.kl == pytest.approx(-2.0 * np.log1p(-(rho**2)), rel=1e-10)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), width=st.integers(2, 5), share=st.floats(0.2, 0.7))
def test_the_bound_climbs_and_does_not_touch(seed, width, share):
    points = holed(seed, 40, width, share)
    algorithm = VariationalEM(data=data(points), gaps=AsGiven(), tolerance=0.0, start="random correlations",
                              regularizer=Floor(amount=1e-3))  # fmt: skip
    open_ = bool((np.isnan(points).sum(1) >= 2).any())
    for before, after in itertools.pairwise(s.info for s in run(Job(algorithm, steps=20, seed=seed))):
        slack = 1e-9 * (1.0 + abs(after.joint))
        assert after.elbo >= before.elbo - slack
        assert after.elbo == pytest.approx(after.joint + after.entropy, abs=slack)
        assert after.elbo == pytest.approx(after.likelihood - after.kl_prior, abs=slack)
        assert after.elbo == pytest.approx(after.log_lik - after.kl, abs=slack)
        if after.moved == "E":
            assert (after.kl > 0.0) if open_ else (after.kl <= slack)


def test_it_ends_below_em_with_too_little_correlation():
    pair, gaps = CorrelatedPair(), MCAR(share=0.5)
    exact = run(Job(MissingGaussianEM(data=pair, gaps=gaps), steps=4000, every=4000))[-1]
    bound = run(Job(VariationalEM(data=pair, gaps=gaps), steps=4000, every=4000))[-1]
    assert bound.info.kl > 1.0 and bound.info.log_lik < exact.info.log_lik - 0.5
    oracle = correlation(sample_moments(torch.tensor(incomplete(pair, gaps).whole)))
    assert correlation(bound.state.theta) < correlation(exact.state.theta) - 0.05
    assert abs(correlation(exact.state.theta) - oracle) < 0.05


def test_the_log_likelihood_may_fall():
    """From where EM ends, the bound climbs and takes the likelihood down."""
    points = gathered(torch.tensor(incomplete(CorrelatedPair(), MCAR(share=0.5)).points))
    theta = run(Job(MissingGaussianEM(data=CorrelatedPair(), gaps=MCAR(share=0.5)), steps=4000, every=4000))[
        -1
    ]
    best = theta.state.theta
    after = maximum_at(best, points, factorized=True)
    before, told = (decompose_at(one, best, points, factorized=True) for one in (best, after))
    assert told.elbo > before.elbo + 0.1 and told.log_evidence < before.log_evidence - 0.1


def test_one_gap_a_row_is_em():
    points = holed(4, 40, 3, 0.0)
    points[::3, 1], points[1::3, 2] = np.nan, np.nan
    settings_ = {"data": data(points), "gaps": AsGiven(), "tolerance": 0.0}
    for one, two in zip(run(Job(MissingGaussianEM(**settings_), steps=20)),
                        run(Job(VariationalEM(**settings_), steps=20)), strict=True):  # fmt: skip
        np.testing.assert_allclose(two.info[2:9], one.info[2:9], rtol=1e-9, atol=1e-9)


def test_m_lifts_the_bound_by_the_divergence_of_the_two_gaussians():
    """So it may stop by it: the ELBO's rise in an M-step is N KL(theta || theta_q)."""
    algorithm = VariationalEM(tolerance=1e-7)
    trace = run(Job(algorithm, steps=2000))
    for e, m in zip(trace[1::2], trace[2::2], strict=False):
        rise = m.info.elbo - e.info.elbo
        assert rise == pytest.approx(400 * float(divergence(m.state.theta, m.state.theta_q)), abs=1e-8)
    assert len(trace) < 2000 and trace[-1].info.moved == "M"
    assert trace[-1].info.elbo - trace[-2].info.elbo < 400 * 1e-7
    assert trace[-3].info.elbo - trace[-4].info.elbo >= 400 * 1e-7
