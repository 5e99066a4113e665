"""Bayesian linear regression against N x N Gaussians, integrals, scikit-learn and finite differences."""

import itertools
import math
import warnings
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from scipy import integrate, stats
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import BayesianRidge
from sklearn.utils.estimator_checks import check_estimator

from lvmviz import (
    BayesianLinearRegression,
    DiabetesProgression,
    EMRegression,
    EvidenceAscent,
    FixedPoint,
    Iris,
    Job,
    Maximization,
    Polynomial,
    Regression,
    SwappedRegression,
    TableColumn,
    run,
)
from lvmviz.algorithms.bayes_linreg import decomposition
from lvmviz.linear_evidence import (
    NO_NOISE,
    NO_WEIGHTS,
    OVERFLOW,
    Precisions,
    decompose_at,
    decomposed,
    draws,
    gradient,
    log_evidence,
    posterior,
    runaway,
    variances,
    weights,
    within,
)
from lvmviz.regressions import Problem, standardized


def precisions(beta: float, lambda_: float) -> Precisions:
    return Precisions(torch.tensor(beta, dtype=torch.float64), torch.tensor(lambda_, dtype=torch.float64))


def problem(seed: int, rows: int, width: int, noise: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, width))
    return x, x @ rng.standard_normal(width) + noise * rng.standard_normal(rows)


def parts(x, y):
    return decomposed(torch.tensor(x), torch.tensor(y))


def direct(x, y, beta, lambda_) -> float:
    """log N(y | 0, I / beta + X X' / lambda), N x N."""
    return stats.multivariate_normal.logpdf(y, np.zeros(len(y)), np.eye(len(y)) / beta + x @ x.T / lambda_)


def last(algorithm, steps=20_000):
    return run(Job(algorithm, steps=steps, every=steps))[-1]


# ---- the evidence and the terms ----


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6), rows=st.integers(1, 12), width=st.integers(1, 12),
    log_beta=st.floats(-3, 4), log_lambda=st.floats(-3, 4),
)  # fmt: skip
def test_the_evidence_is_that_of_the_marginal(seed, rows, width, log_beta, log_lambda):
    x, y = problem(seed, rows, width)
    theta = precisions(math.exp(log_beta), math.exp(log_lambda))
    wanted = direct(x, y, math.exp(log_beta), math.exp(log_lambda))
    assert float(log_evidence(theta, parts(x, y))) == pytest.approx(wanted, rel=1e-9, abs=1e-9)


def by_matrices(x, y, theta, theta_q) -> np.ndarray:
    """The seven terms from D x D covariances, w as it is."""
    (beta, lam), (beta_q, lam_q) = theta, theta_q
    n, d = x.shape
    normal = stats.multivariate_normal
    sigma = np.linalg.inv(beta_q * x.T @ x + lam_q * np.eye(d))
    mean = beta_q * sigma @ x.T @ y
    at = np.linalg.inv(beta * x.T @ x + lam * np.eye(d))
    centre = beta * at @ x.T @ y
    likelihood = normal.logpdf(y, x @ mean, np.eye(n) / beta) - 0.5 * beta * np.trace(x @ sigma @ x.T)
    prior = normal.logpdf(mean, np.zeros(d), np.eye(d) / lam) - 0.5 * lam * np.trace(sigma)
    entropy = 0.5 * np.linalg.slogdet(2 * np.pi * np.e * sigma)[1]
    post = normal.logpdf(mean, centre, at) - 0.5 * np.trace(np.linalg.solve(at, sigma))
    joint = likelihood + prior
    return np.array([direct(x, y, beta, lam), joint + entropy, -entropy - post, joint, entropy, likelihood,
                     -entropy - prior])  # fmt: skip


@pytest.mark.parametrize(("rows", "width"), [(12, 3), (5, 5), (4, 9), (1, 1)])
def test_every_term_by_matrices(rows, width):
    x, y = problem(3, rows, width)
    told = decompose_at(precisions(2.0, 0.7), precisions(0.4, 1.9), parts(x, y))
    np.testing.assert_allclose(told[:7], by_matrices(x, y, (2.0, 0.7), (0.4, 1.9)), rtol=1e-9, atol=1e-9)
    touching = decompose_at(precisions(2.0, 0.7), precisions(2.0, 0.7), parts(x, y))
    assert touching.kl == pytest.approx(0.0, abs=1e-12)


def test_before_the_first_e_step_q_is_the_prior():
    start = run(Job(EMRegression(lambda_=3.0), steps=0))[0]
    assert start.info.kl_prior == pytest.approx(0.0, abs=1e-12) and start.info.kl > 1.0
    q = EMRegression(lambda_=3.0).q(start.state)
    assert not q.means.any() and torch.allclose(q.variances, torch.full_like(q.variances, 1 / 3.0))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), rows=st.integers(2, 10), width=st.integers(1, 10))
def test_the_gradient_by_finite_differences(seed, rows, width):
    x, y = problem(seed, rows, width)
    data, h = parts(x, y), 1e-5
    at = np.log([1.7, 0.6])
    found = gradient(precisions(1.7, 0.6), data).numpy()
    for i in range(2):
        step = h * np.eye(2)[i]
        rise = direct(x, y, *np.exp(at + step)) - direct(x, y, *np.exp(at - step))
        assert found[i] == pytest.approx(rise / (2 * h), rel=1e-5, abs=1e-5)


def test_a_grid_of_evidence_is_that_of_each_point():
    x, y = problem(5, 10, 3)
    beta, lam = np.meshgrid([0.3, 2.0, 9.0], [0.1, 4.0], indexing="ij")
    found = log_evidence(Precisions(torch.tensor(beta), torch.tensor(lam)), parts(x, y))
    wanted = [[direct(x, y, b, k) for b, k in zip(*row, strict=True)] for row in zip(beta, lam, strict=True)]
    np.testing.assert_allclose(found, wanted, rtol=1e-10)


# ---- GOLDEN, and scikit-learn ----


def test_golden_numbers():
    """default_rng(0), 30 points, powers to 5: beta, lambda, log evidence, and 9 and 7 iterations to 1e-6."""
    made = Polynomial().problem()
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, 30)
    np.testing.assert_allclose(made.x, np.stack([x**i for i in range(6)], 1), rtol=1e-15, atol=1e-16)
    np.testing.assert_array_equal(made.y, np.sin(3 * x) + 0.3 * rng.standard_normal(30))
    for update, iterations in ((Maximization(), 9), (FixedPoint(), 7)):
        assert last(EMRegression(update=update, tolerance=1e-6)).info.iteration == iterations
        end = last(EMRegression(update=update, tolerance=0.0), 400)
        assert float(end.state.theta.beta) == pytest.approx(19.18246, abs=5e-6)
        assert float(end.state.theta.lambda_) == pytest.approx(0.605342, abs=5e-7)
        assert end.info.log_lik == pytest.approx(-10.3956, abs=5e-5)


def peer(x, y) -> BayesianRidge:
    model = BayesianRidge(alpha_1=0, alpha_2=0, lambda_1=0, lambda_2=0, fit_intercept=False, tol=1e-15,
                          max_iter=3000, compute_score=True)  # fmt: skip
    return model.fit(x, y)


@pytest.mark.parametrize("source", [Polynomial(), DiabetesProgression(), TableColumn()], ids=repr)
def test_em_is_mle_ii_is_ascent_is_scikit_learn(source):
    made = source.problem()
    theirs = peer(made.x, made.y)
    for update in (Maximization(), FixedPoint(), EvidenceAscent(rate=3.0)):
        theta = precisions(1.0, 1.0)
        data = decomposition(source)
        for _ in range(20_000):
            before, theta = theta, update(theta, posterior(theta, data), data)
            if all(abs(float(a / b) - 1.0) < 1e-15 for a, b in zip(theta, before, strict=True)):
                break
        assert float(theta.beta) == pytest.approx(theirs.alpha_, rel=1e-8)
        assert float(theta.lambda_) == pytest.approx(theirs.lambda_, rel=1e-8)
        assert gradient(theta, data).abs().max() < 1e-8
        np.testing.assert_allclose(weights(posterior(theta, data), data), theirs.coef_, rtol=1e-7, atol=1e-9)
    assert float(log_evidence(theta, data)) == pytest.approx(theirs.scores_[-1], rel=1e-9)


@pytest.mark.parametrize("method", ["em", "fixed-point"])
def test_the_estimator_is_scikit_learns(method):
    made = DiabetesProgression().problem()
    x, y = made.x * 3.0 + 5.0, made.y * 40.0 + 100.0
    ours = BayesianLinearRegression(method=method, tol=1e-13).fit(x, y)
    theirs = BayesianRidge(alpha_1=0, alpha_2=0, lambda_1=0, lambda_2=0, tol=1e-15, max_iter=3000).fit(x, y)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-6)
    np.testing.assert_allclose(
        [ours.alpha_, ours.lambda_, ours.intercept_],
        [theirs.alpha_, theirs.lambda_, theirs.intercept_],
        rtol=1e-6,
    )
    new = x[:7] + 1.0
    for a, b in zip(ours.predict(new, return_std=True), theirs.predict(new, return_std=True), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    assert ours.score(x, y) == pytest.approx(theirs.score(x, y), rel=1e-8)
    assert method != "em" or (np.diff(ours.scores_) >= -1e-9).all()


@pytest.mark.parametrize("settings_", [{}, {"method": "fixed-point"}, {"fit_intercept": False}], ids=repr)
def test_scikit_learns_checks(settings_):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # some of its data say nothing of y
        done = check_estimator(BayesianLinearRegression(**settings_), on_skip=None)
    assert {check["check_name"] for check in done if check["status"] != "passed"} <= {"check_array_api_input"}
    assert len(done) > 40


# ---- the half-steps ----


def problems() -> st.SearchStrategy[Regression]:
    sizes = {"points": st.integers(8, 40), "degree": st.integers(0, 7), "seed": st.integers(0, 9999)}
    return st.builds(Polynomial, noise=st.floats(0.05, 2.0), **sizes)


@settings(max_examples=30, deadline=None)
@given(source=problems(), beta=st.floats(0.01, 100), lambda_=st.floats(0.01, 100))
def test_em_climbs_and_the_terms_agree(source, beta, lambda_):
    trace = run(Job(EMRegression(data=source, beta=beta, lambda_=lambda_, tolerance=0.0), steps=20))
    for before, after in itertools.pairwise(s.info for s in trace):
        slack = 1e-9 * (1.0 + abs(after.joint) + abs(after.likelihood))
        assert after.elbo >= before.elbo - slack and after.log_lik >= before.log_lik - slack
        assert after.elbo == pytest.approx(after.joint + after.entropy, abs=slack)
        assert after.elbo == pytest.approx(after.likelihood - after.kl_prior, abs=slack)
        assert after.elbo == pytest.approx(after.log_lik - after.kl, abs=slack)
        assert (after.kl <= slack) if after.moved == "E" else (after.kl >= -slack)


@settings(max_examples=15, deadline=None)
@given(source=problems())
def test_small_steps_of_ascent_climb(source):
    trace = run(Job(EMRegression(data=source, update=EvidenceAscent(rate=0.3), tolerance=0.0), steps=40))
    rises = [s.info.rise for s in trace]
    assert min(rises) > -1e-9 and sum(rises) > 0


def test_mle_ii_may_lower_the_bound_while_the_evidence_rises():
    """Its M-step solves for the evidence's fixed point, not for the ELBO's top."""
    algorithm = EMRegression(data=Polynomial(noise=0.1), update=FixedPoint(), beta=1e-3, lambda_=1e-4)
    _, e, m = run(Job(algorithm, steps=2))
    assert m.info.elbo < e.info.elbo - 1e3 and m.info.rise > 1.0


# ---- where there is no finite maximum ----


class Fixed(Regression):
    """A problem of a test's own; not registered."""

    def __init__(self, x: Any, y: Any) -> None:
        self._told = Problem(np.asarray(x, float), np.asarray(y, float), (), "y")

    def _make(self) -> Problem:
        return self._told

    def problem(self) -> Problem:
        return self._told


def ended(x, y, update) -> tuple[str, int]:
    end = last(EMRegression(data=Fixed(x, y), update=update, tolerance=0.0), 1200)
    assert all(math.isfinite(part) for part in end.info[2:10])
    assert all(bool(part.isfinite().all()) for part in end.state.theta)
    return end.info.status, end.info.iteration


def orthogonal_noise() -> tuple[np.ndarray, np.ndarray]:
    """y that the columns tell less of than noise would."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((30, 4))
    y = rng.standard_normal(30)
    return x, y - 0.95 * x @ np.linalg.lstsq(x, y, rcond=None)[0]


@pytest.mark.parametrize("update", [Maximization(), FixedPoint()], ids=repr)
def test_lambda_running_to_infinity_is_said(update):
    x, y = orthogonal_noise()
    grid = [direct(x, y, len(y) / (y @ y), 10.0**power) for power in range(-2, 7)]
    assert np.argmax(grid) == len(grid) - 1  # it is so
    status, _ = ended(x, y, update)
    assert status == NO_WEIGHTS and "Use other columns" in status
    assert ended(np.zeros((5, 2)), np.ones(5), update)[0] == NO_WEIGHTS
    exact = np.eye(6)[:, :2], np.eye(6)[:, 4]  # X'y = 0 to the bit
    assert ended(*exact, update)[0] == NO_WEIGHTS


@pytest.mark.parametrize("update", [Maximization(), FixedPoint()], ids=repr)
def test_beta_running_to_infinity_is_said(update):
    x, _ = problem(1, 20, 4)
    status, _ = ended(x, x @ np.arange(1.0, 5.0), update)  # no noise at all
    assert status == NO_NOISE and "lower degree" in status
    square, y = problem(2, 6, 6, noise=0.0)
    assert ended(square, y, update)[0] in (NO_NOISE, "climbing")


def test_steps_that_are_too_long_are_said():
    status, _ = ended(*problem(1, 20, 4), EvidenceAscent(rate=10.0))
    assert status in (OVERFLOW, "climbing")
    huge = precisions(1e200, 1.0)
    assert runaway(huge, parts(*problem(1, 20, 4))) == OVERFLOW


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6), rows=st.integers(2, 25), width=st.integers(1, 8), noise=st.floats(0.0, 3.0)
)
def test_a_sentence_only_where_the_evidence_rises_for_ever(seed, rows, width, noise):
    x, y = problem(seed, rows, width, noise)
    data, theta, why = parts(x, y), precisions(1.0, 1.0), ""
    for _ in range(300):
        before, theta = theta, FixedPoint()(theta, posterior(theta, data), data)
        if why := runaway(theta, data):
            break
    theta = theta if within(theta) else before
    beta, lam = (float(part) for part in theta)
    if why == NO_WEIGHTS:
        assert direct(x, y, beta, 1e3 * lam) >= direct(x, y, beta, lam) - 1e-9
    if why == NO_NOISE:
        assert log_evidence(precisions(1e3 * beta, lam), data) >= log_evidence(theta, data) - 1e-9
    if not why:  # it ended: the gradient is 0, or it is still on its way
        assert gradient(theta, data).abs().max() < 0.5


# ---- functions drawn from the posterior ----


@pytest.mark.parametrize(("rows", "width"), [(12, 3), (3, 6)])
def test_draws_have_the_posteriors_moments(rows, width):
    x, y = problem(4, rows, width)
    data, theta = parts(x, y), precisions(2.0, 0.7)
    sigma = np.linalg.inv(2.0 * x.T @ x + 0.7 * np.eye(width))
    mean, q = 2.0 * sigma @ x.T @ y, posterior(theta, data)
    np.testing.assert_allclose(weights(q, data), mean, rtol=1e-9)
    new = np.random.default_rng(1).standard_normal((5, width))
    np.testing.assert_allclose(variances(q, data, torch.tensor(new)), np.diag(new @ sigma @ new.T), rtol=1e-9)
    drawn = draws(q, data, 7, 40_000).numpy()
    error = 6.0 / np.sqrt(40_000)
    scale = np.sqrt(np.diag(sigma))
    assert (np.abs(drawn.mean(0) - mean) < error * scale).all()
    assert (np.abs(np.cov(drawn.T) - sigma) < 1.5 * error * np.outer(scale, scale)).all()
    assert torch.equal(draws(q, data, 7, 3), draws(q, data, 7, 3))


# ---- the roles swapped ----


def swapped_log_lik(x, y, w, shape, rate) -> float:
    """log p(y, w | X) with beta and lambda integrated out numerically, one after the other."""

    def integral(count: int, square: float) -> float:
        peak = (shape - 1 + count / 2) / (rate + square / 2)
        top = (shape - 1 + count / 2) * math.log(peak) - (rate + square / 2) * peak

        def f(b: float) -> float:
            return math.exp((shape - 1 + count / 2) * math.log(b) - (rate + square / 2) * b - top)

        value = integrate.quad(f, 0, 60 * peak, points=[peak], limit=300)[0]
        constant = shape * math.log(rate) - math.lgamma(shape) - count / 2 * math.log(2 * math.pi)
        return math.log(value) + top + constant

    return integral(len(y), float(np.sum((y - x @ w) ** 2))) + integral(len(w), float(w @ w))


def original(data, state) -> np.ndarray:
    rank = data.basis.shape[1]
    return (data.basis @ state.weights[:rank]).numpy()


@pytest.mark.parametrize("source", [Polynomial(), DiabetesProgression()], ids=repr)
def test_swapped_numbers(source):
    made, data = source.problem(), decomposition(source)
    for step, state, info in run(Job(SwappedRegression(data=source, shape=1.5, rate=0.3), steps=5)):
        wanted = swapped_log_lik(made.x, made.y, original(data, state), 1.5, 0.3)
        assert info.log_lik == pytest.approx(wanted, rel=1e-7)
        entropy = sum(stats.gamma(a, scale=1 / b).entropy() for a, b in zip(*state.q, strict=True))
        assert info.entropy == pytest.approx(float(entropy), rel=1e-9)
        assert info.elbo == pytest.approx(info.joint + info.entropy, rel=1e-11)
        assert info.elbo == pytest.approx(info.likelihood - info.kl_prior, rel=1e-11)
        assert info.elbo == pytest.approx(info.log_lik - info.kl, rel=1e-11)
        assert info.kl == pytest.approx(swapped_kl(made, original(data, state), state.q), rel=1e-6, abs=1e-8)
        assert (info.moved != "E" or info.kl < 1e-10) and step >= 0


def swapped_kl(made: Problem, w, q) -> float:
    """KL(q || p(beta, lambda | y, w)) by quadrature over each Gamma's quantiles."""
    squares = [np.sum((made.y - made.x @ w) ** 2), w @ w]
    total = 0.0
    for a, b, count, square in zip(
        *(part.tolist() for part in q), (len(made.y), len(w)), squares, strict=True
    ):
        mine, post = stats.gamma(a, scale=1 / b), stats.gamma(1.5 + count / 2, scale=1 / (0.3 + square / 2))
        ends = mine.ppf([1e-13, 1 - 1e-13])

        def f(z: float, mine: Any = mine, post: Any = post) -> float:
            return mine.pdf(z) * (mine.logpdf(z) - post.logpdf(z))

        total += integrate.quad(f, *ends, points=[mine.mean()], limit=500)[0]
    return total


@settings(max_examples=25, deadline=None)
@given(source=problems(), shape=st.floats(0.1, 10), rate=st.floats(1e-3, 10), zero=st.booleans())
def test_swapped_climbs_to_where_the_gradient_is_zero(source, shape, rate, zero):
    start = "zero" if zero else "least squares"
    algorithm = SwappedRegression(data=source, shape=shape, rate=rate, start=start, tolerance=0.0)
    trace = run(Job(algorithm, steps=60))
    for before, after in itertools.pairwise(s.info for s in trace):
        slack = 1e-9 * (1.0 + abs(after.log_lik) + abs(after.joint))
        assert after.elbo >= before.elbo - slack and after.log_lik >= before.log_lik - slack


def test_swapped_ends_at_a_stationary_w():
    made, data = Polynomial().problem(), decomposition(Polynomial())
    end = last(SwappedRegression(tolerance=0.0), 4000)
    w = original(data, end.state)
    missed, shape, rate = made.y - made.x @ w, 1.0, 0.01
    slope = (shape + 15) * made.x.T @ missed / (rate + missed @ missed / 2) - (shape + 3) * w / (
        rate + w @ w / 2
    )
    assert np.abs(slope).max() < 1e-5


def test_swapped_has_a_second_maximum_near_no_weights():
    """With a prior that allows any lambda, w = 0 holds itself: the unlucky start stays there."""
    source = Polynomial(points=8, degree=12, noise=2.0)
    good, stuck = (
        last(SwappedRegression(data=source, rate=1e-3, start=start), 4000)
        for start in ("least squares", "zero")
    )
    assert float(stuck.state.weights.norm()) < 0.1 * float(good.state.weights.norm())


# ---- the data ----


def test_tables_are_standardized_and_say_what_is_wrong():
    made = TableColumn(data=Iris(features=()), target="petal width, cm").problem()
    assert made.x.shape == (150, 3) and "petal width, cm" not in made.columns
    both = np.column_stack([made.x, made.y])
    np.testing.assert_allclose(both.mean(0), 0.0, atol=1e-12)
    np.testing.assert_allclose(both.std(0), 1.0, rtol=1e-12)
    with pytest.raises(ValueError, match="no column 'taste'"):
        TableColumn(target="taste").problem()
    with pytest.raises(ValueError, match="empty cells"):
        standardized(np.array([[1.0], [np.nan]]), np.arange(2.0), ("a",), "b")
    with pytest.raises(ValueError, match="'a' is the same in every row"):
        standardized(np.ones((3, 1)), np.arange(3.0), ("a",), "b")
    assert DiabetesProgression(features=("age", "sex")).problem().columns == ("age", "sex")


def test_more_columns_than_rows():
    source = Polynomial(points=5, degree=12, noise=1.0)
    end = last(EMRegression(data=source, tolerance=1e-8), 2000)
    assert all(math.isfinite(part) for part in end.info[2:10])
    made, theta = source.problem(), end.state.theta
    wanted = direct(made.x, made.y, float(theta.beta), float(theta.lambda_))
    assert end.info.log_lik == pytest.approx(wanted, rel=1e-6)


def test_the_estimator_says_why_it_stopped():
    x, y = orthogonal_noise()
    with pytest.warns(ConvergenceWarning, match="λ grows without limit"):
        model = BayesianLinearRegression(method="fixed-point", fit_intercept=False).fit(x, y)
    assert np.abs(model.coef_).max() < 0.05 and np.isfinite(model.predict(x, return_std=True)[1]).all()
    with pytest.warns(ConvergenceWarning, match="β grows without limit"):
        model = BayesianLinearRegression().fit(x, x @ np.ones(4))
    np.testing.assert_allclose(model.predict(x), x @ np.ones(4), atol=1e-3)
    with pytest.warns(ConvergenceWarning, match="has not converged"):
        BayesianLinearRegression(max_iter=1).fit(*problem(1, 20, 3))
