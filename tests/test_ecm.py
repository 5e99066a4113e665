"""ECM: each part at its best with the rest as it is, EM's own iteration, and an end of gradient 0."""

import itertools
import math

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings

from lvmviz import (
    ECM,
    EM,
    Blobs,
    Covariance,
    CrossedEllipses,
    Diagonal,
    Floor,
    Full,
    Iris,
    Job,
    KMeansPlusPlus,
    Spherical,
    Tied,
    Wine,
    run,
)
from lvmviz.algorithms.ecm import EACH, ONCE
from lvmviz.mixtures import decompose_at, log_density
from tests.test_missing import data

SHAPES = [Full(), Tied(), Diagonal(), Spherical()]


@pytest.mark.parametrize("covariance", SHAPES, ids=repr)
def test_with_one_e_step_it_is_em(covariance):
    settings_ = {"data": Iris(), "covariance": covariance, "tolerance": 0.0}
    em = [s for s in run(Job(EM(**settings_), steps=20, seed=3)) if s.info.moved == "M"]
    ecm = run(Job(ECM(cycle=ONCE, **settings_), steps=30, seed=3))
    for one, two in zip(em, (s for s in ecm if s.info.moved == "M covariances"), strict=True):
        assert two.info.log_lik == pytest.approx(one.info.log_lik, abs=1e-9)
        assert two.info.iteration == one.info.iteration
        torch.testing.assert_close(two.state.theta.means, one.state.theta.means, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(
            two.state.theta.covariances, one.state.theta.covariances, rtol=1e-9, atol=1e-9
        )


def test_with_an_e_step_before_each_part_it_is_not():
    em = run(Job(EM(tolerance=0.0), steps=2, seed=3))[-1]
    ecm = run(Job(ECM(cycle=EACH, tolerance=0.0), steps=4, seed=3))[-1]
    assert ecm.info.moved == "M covariances" and ecm.info.iteration == 1
    assert abs(ecm.info.log_lik - em.info.log_lik) > 1e-3


@pytest.mark.parametrize("cycle", [EACH, ONCE])
def test_the_order_of_the_parts(cycle):
    trace = run(Job(ECM(cycle=cycle, tolerance=0.0), steps=8))
    parts = ["E", "M means", "E", "M covariances"] if cycle == EACH else ["E", "M means", "M covariances"]
    assert [s.info.moved for s in trace] == ["start", *(parts * 3)[:8]]
    assert [s.info.iteration for s in trace] == [0, *(i // len(parts) + 1 for i in range(8))]
    for before, after in itertools.pairwise(trace):
        same = [torch.equal(a, b) for a, b in zip(before.state.theta, after.state.theta, strict=True)]
        wanted = {"E": [True] * 3, "M means": [False, False, True], "M covariances": [True, True, False]}
        assert same == wanted[after.info.moved]


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6), components=st.integers(1, 4), cycle=st.sampled_from([EACH, ONCE]),
    covariance=st.sampled_from(SHAPES), amount=st.sampled_from([1e-3, 1e-1]),
    source=st.sampled_from([Iris(), Wine(), CrossedEllipses(points=60), Blobs(points=40)]),
)  # fmt: skip
def test_it_climbs_and_the_terms_agree(seed, components, cycle, covariance, amount, source):
    algorithm = ECM(data=source, components=components, cycle=cycle, covariance=covariance, tolerance=0.0,
                    regularizer=Floor(amount=amount))  # fmt: skip
    for before, after in itertools.pairwise(s.info for s in run(Job(algorithm, steps=24, seed=seed))):
        slack = 1e-9 * (1.0 + abs(after.joint))
        # not from the start: shapes are first bound to their kind by M
        assert after.elbo >= before.elbo - slack
        assert after.elbo == pytest.approx(after.joint + after.entropy, abs=slack)
        assert after.elbo == pytest.approx(after.likelihood - after.kl_prior, abs=slack)
        assert after.elbo == pytest.approx(after.log_lik - after.kl, abs=slack)
        assert after.rise == after.log_lik - before.log_lik
        if after.moved == "E":
            assert after.kl <= slack
        if cycle == EACH:
            assert after.log_lik >= before.log_lik - slack


def test_covariances_are_the_best_about_the_means_as_they_are():
    """No covariance nearby gives a higher ELBO, also where the means are not those of q."""
    algorithm = ECM(data=CrossedEllipses(), components=2, cycle=EACH, regularizer=Floor(amount=0.0))
    last = run(Job(algorithm, steps=4, seed=1))[-1]
    points, (theta, theta_q) = torch.tensor(CrossedEllipses().table().points), last.state[:2]
    rng = np.random.default_rng(0)
    assert decompose_at(theta, theta_q, points).elbo == pytest.approx(last.info.elbo, rel=1e-12)
    for _ in range(20):
        shake = 1e-3 * torch.tensor(rng.standard_normal((2, 2, 2)))
        other = theta._replace(covariances=theta.covariances + shake + shake.mT)
        assert decompose_at(other, theta_q, points).elbo < last.info.elbo


@pytest.mark.parametrize("cycle", [EACH, ONCE])
def test_it_ends_where_the_gradient_is_zero(cycle):
    source = CrossedEllipses(points=200)
    algorithm = ECM(data=source, components=2, cycle=cycle, tolerance=0.0, regularizer=Floor(amount=0.0),
                    start=KMeansPlusPlus())  # fmt: skip
    last = run(Job(algorithm, steps=2400, every=2400, seed=2))[-1]
    points = torch.tensor(source.table().points)
    means, covariances = (part.clone().requires_grad_() for part in last.state.theta[1:])
    total = log_density(last.state.theta._replace(means=means, covariances=covariances), points).mean()
    total.backward()
    assert means.grad is not None and covariances.grad is not None
    assert max(float(means.grad.abs().max()), float(covariances.grad.abs().max())) < 1e-6


def test_it_stops_by_the_rise_of_an_iteration():
    trace = run(Job(ECM(tolerance=1e-4), steps=600, seed=1))
    ends = [s.info.log_lik for s in trace if s.info.moved == "M covariances"]
    assert len(trace) < 600 and trace[-1].info.moved == "M covariances"
    assert ends[-1] - ends[-2] < 1e-4 * 150 <= ends[-2] - ends[-3]


def test_a_collapse_is_a_sentence():
    few = data(np.random.default_rng(0).standard_normal((12, 2)))
    algorithm = ECM(data=few, components=5, regularizer=Floor(amount=0.0), tolerance=0.0)
    ends = [run(Job(algorithm, steps=400, seed=seed))[-1] for seed in range(4)]
    assert any("collapsed" in end.info.status for end in ends)
    for end in ends:
        assert all(map(math.isfinite, end.info[2:10]))
        assert all(bool(part.isfinite().all()) for part in end.state.theta)


def test_shapes_are_kept():
    for covariance in SHAPES:
        assert isinstance(covariance, Covariance)
        theta = run(Job(ECM(covariance=covariance), steps=8))[-1].state.theta
        torch.testing.assert_close(covariance(theta.covariances, theta.weights), theta.covariances)
