"""A Gaussian with missing features: row by row against textbook formulas, regression, and autograd."""

import dataclasses
import itertools
import math
import warnings

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from scipy.stats import multivariate_normal
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.estimator_checks import check_estimator

import lvmviz.incomplete_gaussian as module
from lvmviz import (
    MAR,
    MCAR,
    AsGiven,
    CorrelatedPair,
    Dataset,
    Diabetes,
    Floor,
    GaussianImputer,
    Iris,
    Job,
    MissingGaussianEM,
    Wine,
    run,
)
from lvmviz.gaps import incomplete
from lvmviz.incomplete_gaussian import (
    GaussianParams,
    decompose_at,
    divergence,
    fill,
    gathered,
    log_density,
    maximum_at,
)
from lvmviz.shortcuts import complete_case, mean_imputation, sample_moments
from lvmviz.tables import Table

EMPTY = 1e99  # no choice holds NaN


@dataclasses.dataclass(frozen=True, kw_only=True)
class Given(Dataset):
    """Points of a test's own; not registered."""

    rows: tuple[tuple[float, ...], ...] = ()  # EMPTY where there is nothing
    counts: tuple[float, ...] = ()

    def _make(self) -> Table:
        points = np.array(self.rows, dtype=np.float64)
        points[points == EMPTY] = np.nan
        names = tuple(f"column {i}" for i in range(points.shape[1]))
        return Table(points, names, None, (), (), np.array(self.counts) if self.counts else None)


def data(points, counts=()) -> Given:
    rows = np.where(np.isnan(points), EMPTY, points).tolist()
    return Given(rows=tuple(map(tuple, rows)), counts=tuple(counts))


def holed(seed: int, count: int, width: int, share: float) -> np.ndarray:
    """Correlated points with holes; each column keeps at least two values."""
    rng = np.random.default_rng(seed)
    points = rng.standard_normal((count, width)) @ rng.standard_normal((width, width)) + rng.normal(
        size=width
    )
    holes = rng.random(points.shape) < share
    holes[:2] = False
    return np.where(holes, np.nan, points)


def theta_of(seed: int, width: int) -> GaussianParams:
    rng = np.random.default_rng(seed)
    a = rng.standard_normal((width, width + 2))
    return GaussianParams(torch.tensor(rng.standard_normal(width)), torch.tensor(a @ a.T / width))


def numbers(theta: GaussianParams) -> tuple[np.ndarray, np.ndarray]:
    return theta.mean.numpy(), theta.covariance.numpy()


# ---- every term, row by row, by other formulas ----


def conditional(mean, cov, row, factorized=False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What is missing of a row, its mean and covariance: cov_MO inv(cov_OO) (x_O - mean_O)."""
    m, o = np.isnan(row), ~np.isnan(row)
    gain = cov[np.ix_(m, o)] @ np.linalg.inv(cov[np.ix_(o, o)])
    found = mean[m] + gain @ (row[o] - mean[o])
    left = cov[np.ix_(m, m)] - gain @ cov[np.ix_(o, m)]
    if factorized:
        left = np.diag(1.0 / np.diag(np.linalg.inv(left)))
    return m, found, left


def gaussian_kl(m0, s0, m1, s1) -> float:
    inverse = np.linalg.inv(s1)
    d = m1 - m0
    logs = np.linalg.slogdet(s1)[1] - np.linalg.slogdet(s0)[1]
    return 0.5 * (np.trace(inverse @ s0) - len(m0) + d @ inverse @ d + logs)


def row_terms(theta, theta_q, row, factorized=False) -> np.ndarray:
    """log_lik, elbo, kl, joint, entropy, likelihood, kl_prior of one row."""
    (mean, cov), (mean_q, cov_q) = numbers(theta), numbers(theta_q)
    m, centre, spread = conditional(mean_q, cov_q, row, factorized)
    o = ~m
    filled = row.copy()
    filled[m] = centre
    precision = np.linalg.inv(cov)
    joint = multivariate_normal.logpdf(filled, mean, cov) - 0.5 * np.trace(precision[np.ix_(m, m)] @ spread)
    log_lik = multivariate_normal.logpdf(row[o], mean[o], cov[np.ix_(o, o)]) if o.any() else 0.0
    entropy = 0.5 * np.linalg.slogdet(2 * np.pi * np.e * spread)[1] if m.any() else 0.0
    _, at, left = conditional(mean, cov, row)
    kl = gaussian_kl(centre, spread, at, left) if m.any() else 0.0
    kl_prior = gaussian_kl(centre, spread, mean[m], cov[np.ix_(m, m)]) if m.any() else 0.0
    likelihood = log_lik
    if m.any() and o.any():  # x_O given x_M: a regression the other way round
        gain = cov[np.ix_(o, m)] @ np.linalg.inv(cov[np.ix_(m, m)])
        rest = cov[np.ix_(o, o)] - gain @ cov[np.ix_(m, o)]
        at_centre = multivariate_normal.logpdf(row[o], mean[o] + gain @ (centre - mean[m]), rest)
        likelihood = at_centre - 0.5 * np.trace(np.linalg.inv(rest) @ gain @ spread @ gain.T)
    return np.array([log_lik, joint + entropy, kl, joint, entropy, likelihood, kl_prior])


@pytest.mark.parametrize("factorized", [False, True])
@pytest.mark.parametrize(("seed", "width", "share"), [(0, 2, 0.5), (1, 3, 0.3), (2, 5, 0.6), (3, 1, 0.4)])
def test_every_term_row_by_row(seed, width, share, factorized):
    points = holed(seed, 30, width, share)
    theta, theta_q = theta_of(seed, width), theta_of(seed + 100, width)
    told = decompose_at(theta, theta_q, gathered(torch.tensor(points)), factorized)
    wanted = sum(row_terms(theta, theta_q, row, factorized) for row in points)
    np.testing.assert_allclose(told[:7], wanted, rtol=1e-9, atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), width=st.integers(1, 5), count=st.integers(3, 25), share=st.floats(0, 0.9))
def test_the_terms_agree_and_q_touches(seed, width, count, share):
    points = gathered(torch.tensor(holed(seed, count, width, share)))
    theta, theta_q = theta_of(seed, width), theta_of(seed + 1, width)
    apart = decompose_at(theta, theta_q, points)
    scale = 1e-10 * (1.0 + abs(apart.joint) + abs(apart.kl))
    assert apart.elbo == pytest.approx(apart.joint + apart.entropy, abs=scale)
    assert apart.elbo == pytest.approx(apart.likelihood - apart.kl_prior, abs=scale)
    assert apart.log_evidence - apart.kl == pytest.approx(apart.elbo, abs=scale)
    assert apart.kl >= -scale
    touching = decompose_at(theta, theta, points)
    assert touching.kl == pytest.approx(0.0, abs=1e-10 * count)


def test_rows_that_show_nothing_add_nothing():
    points = holed(5, 20, 3, 0.4)
    more = np.vstack([points, np.full((7, 3), np.nan)])
    theta, theta_q = theta_of(1, 3), theta_of(2, 3)
    one, two = (decompose_at(theta, theta_q, gathered(torch.tensor(p))) for p in (points, more))
    assert two.log_evidence == pytest.approx(one.log_evidence, rel=1e-12)
    assert two.likelihood == pytest.approx(one.likelihood, rel=1e-12)
    assert log_density(theta, torch.tensor(more))[-7:].tolist() == [0.0] * 7


def test_log_density_and_fill_are_those_of_each_row():
    points, theta = holed(8, 40, 4, 0.5), theta_of(3, 4)
    found, filled = log_density(theta, torch.tensor(points)), fill(theta, torch.tensor(points))
    for i, row in enumerate(points):
        m, centre, spread = conditional(*numbers(theta), row)
        assert float(found[i]) == pytest.approx(row_terms(theta, theta, row)[0], rel=1e-10)
        np.testing.assert_allclose(filled.means[i, m], centre, rtol=1e-9)
        np.testing.assert_array_equal(filled.means[i, ~m], row[~m])
        np.testing.assert_allclose(filled.sds[i, m], np.sqrt(np.diag(spread)), rtol=1e-9)
        assert not filled.sds[i, ~m].any()


def test_what_is_remembered_is_never_stale():
    points, theta = gathered(torch.tensor(holed(9, 20, 3, 0.5))), theta_of(3, 3)
    first = decompose_at(theta, theta, points)
    assert decompose_at(theta, theta, points, factorized=True).entropy < first.entropy
    assert decompose_at(theta, theta, points) == first
    theta.mean.add_(1.0)  # in place: the same tensor, other numbers
    fresh = GaussianParams(*(part.clone() for part in theta))
    assert decompose_at(theta, theta, points) == decompose_at(fresh, fresh, points) != first
    mean = theta.mean.clone().requires_grad_()
    for _ in range(2):  # each gradient has a graph of its own
        module.completed(theta._replace(mean=mean), points).means.sum().backward()


def test_small_chunks_give_the_same(monkeypatch):
    points, theta, theta_q = torch.tensor(holed(9, 60, 4, 0.5)), theta_of(3, 4), theta_of(4, 4)
    whole = gathered(points)
    told, best = decompose_at(theta, theta_q, whole), maximum_at(theta_q, whole)
    filled, density = fill(theta, points), log_density(theta, points)
    monkeypatch.setattr(module, "CHUNK", 40)
    again = gathered(points)
    np.testing.assert_allclose(decompose_at(theta, theta_q, again), told, rtol=1e-11)
    for a, b in zip(
        (*maximum_at(theta_q, again), *fill(theta, points), log_density(theta, points)),
        (*best, *filled, density), strict=True,
    ):  # fmt: skip
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-12)


# ---- M ----


def test_m_is_the_maximum_and_no_other_theta_is_better():
    points, theta_q = gathered(torch.tensor(holed(11, 40, 3, 0.4))), theta_of(7, 3)
    best = maximum_at(theta_q, points)
    top = decompose_at(best, theta_q, points)
    rng = np.random.default_rng(0)
    for _ in range(20):
        shake = torch.tensor(rng.standard_normal((3, 3))) * 1e-3
        other = GaussianParams(
            best.mean + shake[0], best.covariance + shake @ shake.T + 1e-3 * torch.eye(3).double()
        )
        assert decompose_at(other, theta_q, points).elbo < top.elbo
    assert top.entropy == pytest.approx(decompose_at(theta_q, theta_q, points).entropy, rel=1e-12)


def m_by_rows(theta_q, points) -> tuple[np.ndarray, np.ndarray]:
    """The same row by row (Little and Rubin, 2002, section 11.2)."""
    filled, spreads = points.copy(), np.zeros((points.shape[1],) * 2)
    for i, row in enumerate(points):
        m, centre, spread = conditional(*numbers(theta_q), row)
        filled[i, m] = centre
        spreads[np.ix_(m, m)] += spread
    apart = filled - filled.mean(0)
    return filled.mean(0), (apart.T @ apart + spreads) / len(points)


def test_m_row_by_row():
    points, theta_q = holed(13, 50, 4, 0.5), theta_of(8, 4)
    best, (mean, covariance) = maximum_at(theta_q, gathered(torch.tensor(points))), m_by_rows(theta_q, points)
    np.testing.assert_allclose(best.mean, mean, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(best.covariance, covariance, rtol=1e-10, atol=1e-12)


# ---- where it ends ----


def fitted(points, steps=4000, **settings):
    algorithm = MissingGaussianEM(data=data(points), gaps=AsGiven(), tolerance=0.0, **settings)
    return run(Job(algorithm, steps=steps, every=steps))[-1]


def climbed(points, most=20_000) -> GaussianParams:
    """The fixed point of E and M: where an iteration changes nothing but rounding."""
    patterns = gathered(torch.tensor(points))
    theta = run(Job(MissingGaussianEM(data=data(points), gaps=AsGiven()), steps=0))[0].state.theta
    for _ in range(most):
        before, theta = theta, maximum_at(theta, patterns)
        moved = max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(theta, before, strict=True))
        if moved < 1e-13:
            return theta
    raise AssertionError(f"still moving by {moved}")


def observed_gradient(theta: GaussianParams, points: np.ndarray) -> float:
    """The largest slope of the mean observed log-likelihood, in mean and Cholesky factor, by autograd."""
    mean = theta.mean.clone().requires_grad_()
    factor = torch.linalg.cholesky(theta.covariance).requires_grad_()
    total = torch.zeros((), dtype=torch.float64)
    for row in torch.tensor(points):
        o = (~row.isnan()).nonzero()[:, 0]
        if len(o):
            covariance = (factor @ factor.T)[o][:, o]
            total = total + torch.distributions.MultivariateNormal(mean[o], covariance).log_prob(row[o])
    (total / len(points)).backward()
    assert mean.grad is not None and factor.grad is not None
    return max(float(mean.grad.abs().max()), float(factor.grad.tril().abs().max()))


@pytest.mark.parametrize(("seed", "width", "share"), [(0, 2, 0.3), (1, 3, 0.3), (2, 4, 0.4)])
def test_the_observed_gradient_is_zero_at_the_end(seed, width, share):
    points = holed(seed, 60, width, share)
    theta = climbed(points)
    assert observed_gradient(theta, points) < 1e-8
    start = GaussianParams(theta.mean + 0.1, theta.covariance)
    assert observed_gradient(start, points) > 1e-3  # the measure measures


@pytest.mark.parametrize("source", [Wine(features=()), Diabetes(features=())], ids=["wine", "diabetes"])
def test_real_data_end_where_the_gradient_is_zero(source):
    whole = source.table().points[:, :6]
    whole = (whole - whole.mean(0)) / whole.std(0)
    points = incomplete(data(whole), MCAR(share=0.2, seed=3)).points
    assert observed_gradient(climbed(points), points) < 1e-8


def test_nothing_missing_is_the_sample_moments_in_one_step():
    points = Iris(features=()).table().points
    start, _, first, *_ = run(Job(MissingGaussianEM(data=Iris(features=()), gaps=AsGiven()), steps=4))
    np.testing.assert_allclose(first.state.theta.mean, points.mean(0), rtol=1e-13)
    np.testing.assert_allclose(first.state.theta.covariance, np.cov(points.T, bias=True), rtol=1e-12)
    assert first.info.kl == 0.0 and first.info.entropy == 0.0 and start.info.kl == 0.0
    best = multivariate_normal.logpdf(points, points.mean(0), np.cov(points.T, bias=True)).sum()
    assert first.info.log_lik == pytest.approx(best, rel=1e-12)


def monotone_by_regression(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Maximum likelihood of columns that go missing one after the other (Anderson, 1957)."""
    mean, covariance = np.array([np.nanmean(points[:, 0])]), np.array([[np.nanvar(points[:, 0])]])
    for j in range(1, points.shape[1]):
        rows = ~np.isnan(points[:, j])
        design = np.column_stack([np.ones(rows.sum()), points[rows, :j]])
        weights, *_ = np.linalg.lstsq(design, points[rows, j], rcond=None)
        left = np.mean((points[rows, j] - design @ weights) ** 2)
        across = covariance @ weights[1:]
        mean = np.append(mean, weights[0] + weights[1:] @ mean)
        covariance = np.block([[covariance, across[:, None]], [across, left + weights[1:] @ across]])
    return mean, covariance


@pytest.mark.parametrize(("seed", "width"), [(0, 2), (1, 3), (2, 4)])
def test_a_monotone_pattern_is_the_closed_form_by_regression(seed, width):
    rng = np.random.default_rng(seed)
    points = rng.standard_normal((50, width)) @ (np.eye(width) + 0.5 * rng.standard_normal((width, width)))
    shown = [50, *sorted(rng.integers(20, 45, width - 1).tolist(), reverse=True)]
    for j, count in enumerate(shown):
        points[count:, j] = np.nan
    theta = climbed(points)
    mean, covariance = monotone_by_regression(points)
    scale = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(theta.mean.numpy() / scale, mean / scale, atol=1e-9)
    units = np.outer(scale, scale)
    np.testing.assert_allclose(theta.covariance.numpy() / units, covariance / units, atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), width=st.integers(1, 4), share=st.floats(0, 0.7))
def test_it_climbs_and_e_closes_the_gap(seed, width, share):
    algorithm = MissingGaussianEM(data=data(holed(seed, 30, width, share)), gaps=AsGiven(), tolerance=0.0,
                                  start="random correlations", regularizer=Floor(amount=1e-3))  # fmt: skip
    trace = run(Job(algorithm, steps=20, seed=seed))
    for before, after in itertools.pairwise(s.info for s in trace):
        slack = 1e-9 * (1.0 + abs(after.log_lik))
        assert after.elbo >= before.elbo - slack and after.log_lik >= before.log_lik - slack
        assert after.rise == after.log_lik - before.log_lik
        assert (after.kl <= slack) if after.moved == "E" else (after.kl >= -slack)
        assert after.evidence[:7] == after[2:9]


def test_units_and_order_do_not_matter():
    points = holed(21, 40, 3, 0.3)
    plain = numbers(climbed(points))
    order, scale, shift = [2, 0, 1], np.array([1e3, 1e-2, 5.0]), np.array([1e4, -3.0, 0.5])
    other = numbers(climbed((points * scale + shift)[::-1][:, order]))
    np.testing.assert_allclose(other[0], (plain[0] * scale + shift)[order], rtol=1e-7)
    units = scale[order]
    np.testing.assert_allclose(other[1] / np.outer(units, units), plain[1][np.ix_(order, order)], atol=1e-6)


def test_weights_are_repeated_rows():
    points, counts = holed(23, 25, 3, 0.4), np.arange(25) % 4
    weighted = MissingGaussianEM(data=data(points, counts.astype(float)), gaps=AsGiven())
    repeated = MissingGaussianEM(data=data(np.repeat(points, counts, axis=0)), gaps=AsGiven())
    for one, two in zip(run(Job(weighted, steps=30)), run(Job(repeated, steps=30)), strict=True):
        np.testing.assert_allclose(one.info[2:9], two.info[2:9], rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(one.state.theta.covariance, two.state.theta.covariance, rtol=1e-9)


# ---- which cells are hidden ----


def correlation(theta: GaussianParams | None) -> float:
    assert theta is not None
    return float(theta.covariance[0, 1] / theta.covariance.diagonal().prod().sqrt())


@pytest.mark.parametrize("seed", range(5))
def test_em_is_near_the_oracle_where_the_shortcuts_are_not(seed):
    """Correlation .8; the second column hidden with probability .8 where the first is high."""
    pair, gaps = CorrelatedPair(seed=seed), MAR(share=0.4, seed=seed)
    table = incomplete(pair, gaps)
    high = table.whole[:, 0] > np.median(table.whole[:, 0])
    hidden = np.isnan(table.points[:, 1])
    assert not np.isnan(table.points[:, 0]).any() and not hidden[~high].any()
    assert hidden[high].mean() == pytest.approx(0.8, abs=0.12)
    points = torch.tensor(table.points)
    em = correlation(
        run(Job(MissingGaussianEM(data=pair, gaps=gaps), steps=2000, every=2000))[-1].state.theta
    )
    oracle, complete = (
        correlation(sample_moments(torch.tensor(table.whole))),
        correlation(complete_case(points)),
    )
    mean = correlation(mean_imputation(points))
    assert abs(em - oracle) < 0.06 and mean < complete < em and oracle - mean > 0.25


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_shares_are_what_they_say(share):
    source = CorrelatedPair(points=5000)
    for gaps, cells in ((MCAR(share=share), slice(0, 2)), (MAR(share=share), slice(1, 2))):
        table = incomplete(source, gaps)
        assert np.isnan(table.points[:, cells]).mean() == pytest.approx(share, abs=0.02)
        shown = ~np.isnan(table.points)
        np.testing.assert_array_equal(table.points[shown], table.whole[shown])
        np.testing.assert_array_equal(table.whole, source.table().points)
    assert not np.array_equal(MCAR(seed=1).hidden(table.whole), MCAR(seed=2).hidden(table.whole))


def test_own_empty_cells_stay_empty_and_more_can_be_hidden():
    points = holed(31, 40, 3, 0.2)
    points[:, 1] = np.arange(40.0)
    table = incomplete(data(points), MAR(share=0.3))
    assert np.isnan(table.points[np.isnan(points)]).all() and not np.isnan(table.points[:, 1]).any()
    assert np.isnan(table.points).sum() > np.isnan(points).sum()
    assert complete_case(torch.tensor(np.where(np.eye(40, 3) > 0, np.nan, np.nan))) is None


@pytest.mark.parametrize(
    ("points", "gaps", "said"),
    [
        ([[1.0, math.nan], [2.0, math.nan], [3.0, math.nan]], AsGiven(), "'column 1' has no value"),
        ([[1.0, 2.0], [2.0, 2.0], [3.0, math.nan]], AsGiven(), "'column 1' has one value"),
        ([[1.0], [2.0]], MAR(), "needs a column without gaps and a second"),
        ([[1.0, math.nan], [math.nan, 2.0]], MAR(), "needs a column without gaps and a second"),
    ],
)
def test_what_cannot_be_fitted_is_explained(points, gaps, said):
    with pytest.raises(ValueError, match=said):
        MissingGaussianEM(data=data(points), gaps=gaps).init(0)


@pytest.mark.parametrize(
    "points",
    [
        np.random.default_rng(0).standard_normal((4, 9)),  # more columns than rows
        np.repeat(np.random.default_rng(1).standard_normal((2, 3)), 10, axis=0),  # two rows, ten times
        np.random.default_rng(2).standard_normal((30, 1)) * [1.0, 2.0],  # one column twice
    ],
    ids=["wide", "duplicated", "collinear"],
)
def test_a_flat_covariance_is_a_sentence_or_a_floor(points):
    last = fitted(points)
    assert "not positive definite" in last.info.status and "Raise the regularizer" in last.info.status
    assert all(map(math.isfinite, last.info[2:10])) and bool(last.state.theta.covariance.isfinite().all())
    floored = fitted(points, regularizer=Floor(amount=1e-3), steps=200)
    assert floored.info.status == "climbing"
    assert float(torch.linalg.eigvalsh(floored.state.theta.covariance)[0]) > 0.9e-3


def test_ninety_percent_hidden_is_fitted_or_explained():
    for source in (CorrelatedPair(), Wine(features=()), Iris(features=())):
        for gaps in (MCAR(share=0.9), MAR(share=0.9)):
            last = run(Job(MissingGaussianEM(data=source, gaps=gaps), steps=60, every=60))[-1]
            assert all(map(math.isfinite, last.info[2:10]))
            assert last.info.status == "climbing" or "not positive definite" in last.info.status


def test_far_from_zero_nothing_is_lost():
    points = holed(40, 50, 2, 0.3)
    near, far = fitted(points, steps=400), fitted(points + 1e7, steps=400)
    np.testing.assert_allclose(far.state.theta.covariance, near.state.theta.covariance, rtol=1e-6)
    assert far.info.log_lik == pytest.approx(near.info.log_lik, abs=1e-5)


def test_divergence_is_the_kl_of_two_gaussians():
    p, q = theta_of(1, 3), theta_of(2, 3)
    assert float(divergence(p, q)) == pytest.approx(gaussian_kl(*numbers(p), *numbers(q)), rel=1e-10)


# ---- the estimator ----


def test_the_imputer_is_em():
    points = holed(50, 80, 3, 0.3)
    imputer = GaussianImputer(tol=0.0, max_iter=3000, reg_covar=1e-10)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # nothing is nearer than 0
        imputer.fit(points)
    theta = climbed(points)
    np.testing.assert_allclose(imputer.mean_, theta.mean, atol=1e-6)
    np.testing.assert_allclose(imputer.covariance_, theta.covariance, atol=1e-6)
    filled, sds = imputer.conditionals(points)
    wanted = fill(theta, torch.tensor(points))
    np.testing.assert_allclose(filled, wanted.means, atol=1e-6)
    np.testing.assert_allclose(sds, wanted.sds, atol=1e-6)
    assert imputer.score(points) == pytest.approx(float(log_density(theta, torch.tensor(points)).mean()))
    assert GaussianImputer().fit(points).score(points) == pytest.approx(imputer.score(points), abs=1e-6)


def test_the_imputer_takes_what_is_degenerate():
    rng = np.random.default_rng(3)
    base = rng.standard_normal((20, 1))
    points = np.hstack([base, 2 * base, np.full((20, 1), 7.0), rng.standard_normal((20, 30))])
    points[rng.random(points.shape) < 0.3] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # flat as it is, it takes long
        filled = GaussianImputer(max_iter=100).fit_transform(points)
    assert np.isfinite(filled).all()
    np.testing.assert_allclose(filled[:, 2], 7.0, atol=1e-6)
    np.testing.assert_array_equal(filled[~np.isnan(points)], points[~np.isnan(points)])
    with pytest.raises(ValueError, match="'column 1' has no value"):
        GaussianImputer().fit(np.array([[1.0, np.nan], [2.0, np.nan]]))


def test_scikit_learns_checks():
    done = check_estimator(GaussianImputer(), on_skip=None)
    assert {check["check_name"] for check in done if check["status"] != "passed"} <= {"check_array_api_input"}
    assert len(done) > 40
