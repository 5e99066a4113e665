"""Monte-Carlo EM: draws that are what they say, exact numbers for a noisy q, and EM within its error."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import stats

from lvmviz import (
    EM,
    Blobs,
    CrossedEllipses,
    Floor,
    Iris,
    Job,
    MonteCarloEM,
    run,
)
from lvmviz.algorithms.mcem import drawn, standard_error
from lvmviz.mixtures import Responsibilities, evaluate, maximum, responsibilities
from tests.test_missing import data


def shares(*rows: list[float]) -> Responsibilities:
    resp = torch.tensor(rows, dtype=torch.float64)
    return Responsibilities(resp.log(), resp)


# ---- the draws ----


@pytest.mark.parametrize("draws", [1, 7, 1000])
def test_draws_are_shares_of_whole_draws(draws):
    q = drawn(shares([0.2, 0.5, 0.3], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]), 5, draws)
    counts = (q.resp * draws).numpy()
    np.testing.assert_allclose(counts, np.round(counts), atol=1e-9)
    np.testing.assert_allclose(q.resp.sum(1), 1.0, rtol=1e-12)
    assert q.resp[1].tolist() == [1.0, 0.0, 0.0] and q.resp[2].tolist() == [0.0, 0.0, 1.0]
    assert torch.equal(q.log_resp, q.resp.log())


def test_draws_have_the_law_of_the_posterior():
    """Counts of 20,000 points with one draw: a multinomial; and each key is another draw."""
    row = [0.1, 0.25, 0.05, 0.6]
    q = drawn(shares(*[row] * 20_000), 3, 1).resp
    found = q.sum(0).numpy()
    assert stats.chisquare(found, 20_000 * np.array(row)).pvalue > 1e-4
    many = drawn(shares(*[row] * 4000), 3, 25).resp.numpy()
    wanted = (np.diag(row) - np.outer(row, row)) / 25
    np.testing.assert_allclose(np.cov(many.T), wanted, atol=6 * 0.25 / 25 / math.sqrt(4000))
    assert not torch.equal(q, drawn(shares(*[row] * 20_000), 4, 1).resp)
    assert torch.equal(q, drawn(shares(*[row] * 20_000), 3, 1).resp)


# ---- the ledger ----


@pytest.mark.parametrize("source", [Iris(), CrossedEllipses(points=120)], ids=repr)
@pytest.mark.parametrize("draws", [1, 5, 100])
def test_the_numbers_are_exact_for_the_q_that_was_drawn(source, draws):
    algorithm = MonteCarloEM(data=source, draws=draws, components=3)
    for before, after in itertools.pairwise(run(Job(algorithm, steps=12, seed=1))):
        info, q = after.info, algorithm.q(after.state).resp.numpy()
        points, theta = source.table().points, after.state.theta
        log_lik = np.stack([
            stats.multivariate_normal.logpdf(points, mean, cov)
            for mean, cov in zip(theta.means.numpy(), theta.covariances.numpy(), strict=True)
        ], 1)  # fmt: skip
        joint = log_lik + theta.weights.log().numpy()
        evidence = np.logaddexp.reduce(joint, 1)
        entropy = stats.entropy(q, axis=1).sum()
        posterior = np.exp(joint - evidence[:, None])
        with np.errstate(divide="ignore", invalid="ignore"):
            kl = np.where(q > 0, q * (np.log(q) - np.log(posterior)), 0.0).sum()
        assert info.log_lik == pytest.approx(evidence.sum(), rel=1e-9)
        assert info.joint == pytest.approx(float(np.where(q > 0, q * joint, 0.0).sum()), rel=1e-9)
        assert info.entropy == pytest.approx(entropy, rel=1e-9, abs=1e-9)
        assert info.kl == pytest.approx(kl, rel=1e-7, abs=1e-7)
        assert info.elbo == pytest.approx(info.log_lik - info.kl, rel=1e-9)
        assert info.rise == pytest.approx(info.log_lik - before.info.log_lik)
        if info.moved == "M":  # of this q, theta is the maximum: the ELBO rises whatever the draws are
            assert info.elbo >= before.info.elbo - 1e-9 * abs(info.elbo)


def test_m_is_the_maximum_of_what_was_drawn():
    algorithm = MonteCarloEM(data=CrossedEllipses(), components=2, draws=3, regularizer=Floor(amount=0.0))
    _, e, m = run(Job(algorithm, steps=2, seed=4))
    best = maximum(algorithm.q(e.state), torch.tensor(CrossedEllipses().table().points))
    torch.testing.assert_close(m.state.theta.means, best.means)
    torch.testing.assert_close(m.state.theta.covariances, best.covariances)


def test_the_gap_after_e_is_that_of_counts():
    """E KL(counts / M || p) is about (K - 1) / (2 M) a point where every class has its share of draws."""
    theta = run(Job(EM(data=CrossedEllipses(points=3000), components=2), steps=0))[0].state.theta
    posterior = responsibilities(theta, torch.tensor(CrossedEllipses(points=3000).table().points))
    for draws in (400, 1000):
        q = drawn(posterior, 9, draws)
        terms = torch.where(q.resp > 0, q.resp * (q.log_resp - posterior.log_resp), 0.0).sum(1)
        shared = posterior.resp.min(1).values > 0.05
        assert float(terms[shared].mean()) == pytest.approx(0.5 / draws, rel=0.15)


# ---- within its error of EM ----


def test_the_standard_error_is_that_of_the_draws():
    source = CrossedEllipses(points=100)
    points = torch.tensor(source.table().points)
    algorithm = EM(data=source, components=2)
    theta = run(Job(algorithm, steps=6, seed=1))[-1].state.theta
    joint, posterior = evaluate(theta, points).log_joint, responsibilities(theta, points)
    exact = float((posterior.resp * joint).sum())
    for draws in (4, 50):
        told = standard_error(theta, joint, algorithm.known(), draws)
        found = np.array([float((drawn(posterior, key, draws).resp * joint).sum()) for key in range(600)])
        assert found.std() == pytest.approx(told, rel=0.12)
        assert abs(found.mean() - exact) < 5 * told / math.sqrt(600)


def test_one_iteration_is_em_within_its_error():
    """The means after one M-step scatter round EM's, by 1/sqrt(M)."""
    source = Blobs(points=200, clusters=3, spread=2.5)
    exact = run(Job(EM(data=source, components=3, tolerance=0.0), steps=4, seed=2))
    theta, wanted = exact[2].state.theta, exact[4].state.theta.means
    algorithm, points = MonteCarloEM(data=source, components=3), torch.tensor(source.table().points)
    posterior = responsibilities(theta, points)
    errors = []
    for draws in (10, 1000):
        found = torch.stack([maximum(drawn(posterior, key, draws), points).means for key in range(60)])
        spread = found.std(0)
        assert ((found.mean(0) - wanted).abs() < 5 * spread / math.sqrt(60) + 5 * spread**2).all()
        errors.append(float(spread.mean()))
    assert errors[0] / errors[1] == pytest.approx(10.0, rel=0.2)
    assert algorithm.exact() == EM(data=source, components=3)


def test_it_wanders_where_em_ends():
    source = CrossedEllipses()
    best = run(Job(EM(data=source, components=2, tolerance=0.0), steps=600, seed=3, every=600))[-1]
    widths = []
    for draws in (3, 300):
        trace = run(Job(MonteCarloEM(data=source, components=2, draws=draws), steps=400, seed=3))
        late = np.array([s.info.log_lik for s in trace if s.info.moved == "M"])[100:]
        assert late.max() <= best.info.log_lik + 1e-3 and late.mean() > best.info.log_lik - 5.0
        assert min(s.info.rise for s in trace[200:]) < 0.0  # noisy: it falls, too
        widths.append(best.info.log_lik - late.mean())
    assert widths[1] < 0.2 * widths[0]


# ---- what can go wrong ----


def test_a_component_without_draws_keeps_its_place():
    points = np.random.default_rng(0).standard_normal((12, 2))
    algorithm = MonteCarloEM(data=data(points), components=8, draws=1, regularizer=Floor(amount=1e-2))
    lost = 0
    for seed in range(4):
        for before, after in itertools.pairwise(run(Job(algorithm, steps=30, seed=seed))):
            assert all(map(math.isfinite, (*after.info[2:10], after.info.joint_error)))
            if after.info.moved == "M":
                none = algorithm.q(after.state).resp.sum(0) == 0
                lost += int(none.sum())
                torch.testing.assert_close(after.state.theta.means[none], before.state.theta.means[none])
    assert lost > 0


def test_a_collapse_is_a_sentence():
    few = data(np.random.default_rng(0).standard_normal((12, 2)))
    algorithm = MonteCarloEM(data=few, components=5, draws=1, regularizer=Floor(amount=0.0))
    ends = [run(Job(algorithm, steps=60, seed=seed))[-1] for seed in range(5)]
    assert any("collapsed" in end.info.status for end in ends)
    for end in ends:
        assert all(map(math.isfinite, end.info[2:10]))
        said = "collapsed" in end.info.status and "raise the regularizer" in end.info.status.lower()
        assert algorithm.finished(end.state, end.info) == said
