"""Gaussian mixtures against 60-digit arithmetic, SciPy, scikit-learn and autograd."""

import math
from decimal import Decimal, localcontext

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.mixture import GaussianMixture
from sklearn.mixture._gaussian_mixture import _estimate_gaussian_parameters

from lvmviz.divergences import Decomposition
from lvmviz.mixtures import (
    GaussianMixtureParams,
    Responsibilities,
    decompose,
    log_density,
    log_likelihoods,
    maximum,
    not_positive_definite,
    responsibilities,
)

PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459")
EPS = float(np.finfo(np.float64).eps)


def make_theta(rng: np.random.Generator, count: int, width: int, scale: float = 1.0) -> GaussianMixtureParams:
    """Any mixture: Dirichlet weights, correlated covariances."""
    root = rng.standard_normal((count, width, width)) + 0.5 * np.eye(width)
    covariances = scale**2 * (root @ root.transpose(0, 2, 1) + 0.1 * np.eye(width))
    means = scale * 2 * rng.standard_normal((count, width))
    return tensors(rng.dirichlet(np.ones(count)), means, covariances)


def tensors(weights, means, covariances) -> GaussianMixtureParams:
    return GaussianMixtureParams(*(torch.tensor(np.asarray(a, float)) for a in (weights, means, covariances)))


def f64(values) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def make_q(resp) -> Responsibilities:
    resp = np.asarray(resp, float)
    with np.errstate(divide="ignore"):
        return Responsibilities(torch.tensor(np.log(resp)), torch.tensor(resp))


@st.composite
def mixtures(draw) -> tuple[GaussianMixtureParams, torch.Tensor, Responsibilities]:
    """A mixture, points, and any q: near the posterior or far from it."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    count, width, rows = draw(st.integers(1, 6)), draw(st.integers(1, 5)), draw(st.integers(1, 30))
    scale, far = 10.0 ** draw(st.integers(-4, 4)), 10.0 ** draw(st.integers(-1, 3))
    points = torch.tensor(scale * far * rng.standard_normal((rows, width)))
    resp = rng.dirichlet(np.full(count, draw(st.sampled_from([0.05, 1.0, 50.0]))), rows)
    return make_theta(rng, count, width, scale), points, make_q(resp)


def size(theta: GaussianMixtureParams, points: torch.Tensor) -> float:
    """How large the terms are that the sums add: rounding errors are relative to it."""
    return float(log_likelihoods(theta, points).abs().sum() + theta.weights.log().abs().sum() * len(points))


# ---- 60 digits ----


def exact_log_gaussian(point: list[Decimal], mean: list[Decimal], cov: list[list[Decimal]]) -> Decimal:
    """log N(x | m, S) in one or two dimensions, with the inverse written out."""
    d = [x - m for x, m in zip(point, mean, strict=True)]
    if len(d) == 1:
        det, form = cov[0][0], d[0] * d[0] / cov[0][0]
    else:
        (a, b), (c, e) = cov
        det = a * e - b * c
        form = (e * d[0] * d[0] - (b + c) * d[0] * d[1] + a * d[1] * d[1]) / det
    return -(form + det.ln() + len(d) * (2 * PI).ln()) / 2


def exact(theta: GaussianMixtureParams, q: Responsibilities, points: torch.Tensor) -> Decomposition:
    """Every term by the definition, one point and one component at a time."""
    weights, means, covs = ([_decimal(row) for row in part.tolist()] for part in theta)
    sums = dict.fromkeys(Decomposition._fields, Decimal(0))
    for x, resp in zip(points.tolist(), q.resp.tolist(), strict=True):
        log_lik = [exact_log_gaussian(_decimal(x), m, s) for m, s in zip(means, covs, strict=True)]
        log_prior = [w.ln() for w in weights]
        joint = [lik + prior for lik, prior in zip(log_lik, log_prior, strict=True)]
        top = max(joint)
        evidence = top + sum((j - top).exp() for j in joint).ln()
        sums["log_evidence"] += evidence
        for k, r in enumerate(map(Decimal, resp)):
            if r == 0:
                continue  # 0 log 0 = 0
            sums["elbo"] += r * (joint[k] - r.ln())
            sums["kl"] += r * (r.ln() - (joint[k] - evidence))
            sums["joint"] += r * joint[k]
            sums["entropy"] -= r * r.ln()
            sums["likelihood"] += r * log_lik[k]
            sums["kl_prior"] += r * (r.ln() - log_prior[k])
    return Decomposition(**{name: float(value) for name, value in sums.items()})


def _decimal(value):
    return [_decimal(part) for part in value] if isinstance(value, list) else Decimal(value)


THETA_1 = tensors([0.7, 0.3], [[1.6], [3.6]], [[[1.44]], [[2.56]]])
THETA_2 = tensors(
    [0.2, 0.5, 0.3],
    [[0.0, 0.0], [3.0, -1.0], [-2.0, 2.0]],
    [[[1.0, 0.6], [0.6, 2.0]], [[0.3, -0.1], [-0.1, 0.2]], [[4.0, 0.0], [0.0, 1e-4]]],
)
PLAIN_2 = [[0.1, 0.2], [2.5, -0.5], [-3.0, 2.1], [7.0, 7.0]]
ROWS_2 = [[0.1, 0.2, 0.7], [1.0, 0.0, 0.0], [1e-300, 0.25, 0.75], [0.0, 0.5, 0.5]]
EXTREMES = {
    "one dimension": (THETA_1, [[0.0], [2.0], [5.0]], [[0.5, 0.5], [0.9, 0.1], [0.0, 1.0]]),
    "two dimensions": (THETA_2, PLAIN_2, ROWS_2),
    "points 1e6 away": (THETA_2, [[1e6, 1e6], [-1e6, 3.0], [0.0, 1e6], [1e6, -1e6]], ROWS_2),
    "weight 1e-300": (THETA_2._replace(weights=f64([1e-300, 0.5, 0.5])), PLAIN_2, ROWS_2),
    "tiny variances": (THETA_2._replace(covariances=THETA_2.covariances * 1e-12), PLAIN_2, ROWS_2),
    "huge variances": (THETA_2._replace(covariances=THETA_2.covariances * 1e12), PLAIN_2, ROWS_2),
    "nearly singular": (
        THETA_2._replace(covariances=f64([[[1.0, 1 - 1e-9], [1 - 1e-9, 1.0]]] * 3)),
        [[0.1, 0.1], [2.0, 2.0], [0.0, 0.0], [1.0, 1.0]],
        ROWS_2,
    ),
}


@pytest.mark.parametrize("name", EXTREMES)
def test_every_term_to_60_digits(name):
    theta, points, resp = EXTREMES[name]
    points, q = f64(points), make_q(resp)
    with localcontext(prec=60):
        truth = exact(theta, q, points)
    found = decompose(theta, q, points)
    condition = float(torch.linalg.cond(theta.covariances).max()) if name == "nearly singular" else 10.0
    for term, value, true in zip(truth._fields, found, truth, strict=True):
        own_size = 10.0 if term in ("entropy", "kl_prior") else size(theta, points)
        if term == "kl_prior":
            own_size += float(theta.weights.log().abs().sum()) * len(points)
        assert value == pytest.approx(true, abs=10 * condition * EPS * own_size, rel=1e-13), term


@pytest.mark.parametrize("name", EXTREMES)
def test_the_posterior_to_60_digits(name):
    """Where the posterior of q is wanted exactly, KL is 0 and the ELBO is the evidence."""
    theta, points, _ = EXTREMES[name]
    points = f64(points)
    q = responsibilities(theta, points)
    assert torch.allclose(q.resp.sum(1), f64([1.0] * len(points)), rtol=0, atol=1e-12)
    assert torch.equal(q.resp, q.log_resp.exp())
    found = decompose(theta, q, points)
    slack = 10 * EPS * size(theta, points)
    assert abs(found.kl) <= slack
    assert found.elbo == pytest.approx(found.log_evidence, abs=slack)


def test_a_component_of_weight_0_takes_no_part():
    theta = THETA_2._replace(weights=f64([0.0, 0.25, 0.75]))
    points = f64(PLAIN_2)
    without = GaussianMixtureParams(*(part[1:] for part in theta))
    q, q_without = responsibilities(theta, points), responsibilities(without, points)
    assert torch.equal(q.resp[:, 0], f64([0.0] * 4)) and torch.equal(q.resp[:, 1:], q_without.resp)
    assert decompose(theta, q, points) == pytest.approx(decompose(without, q_without, points), rel=1e-14)
    one_hot = make_q([[0.0, 1.0, 0.0]] * 4)  # -inf among the logarithms must not become NaN
    assert all(map(math.isfinite, decompose(theta, one_hot, points)))
    impossible = decompose(theta, make_q([[1.0, 0.0, 0.0]] * 4), points)
    assert impossible.elbo == -math.inf and impossible.kl == math.inf and impossible.kl_prior == math.inf


# ---- identities, though every term has its own sum ----


@given(mixtures())
def test_the_presentations_of_the_elbo_agree(case):
    theta, points, q = case
    terms, slack = decompose(theta, q, points), 20 * EPS * size(theta, points)
    slack = max(slack, 1e-10 * abs(decompose(theta, q, points).log_evidence) * 1e-3)
    assert terms.elbo + terms.kl == pytest.approx(terms.log_evidence, abs=slack, rel=1e-10)
    assert terms.joint + terms.entropy == pytest.approx(terms.elbo, abs=slack, rel=1e-10)
    assert terms.likelihood - terms.kl_prior == pytest.approx(terms.elbo, abs=slack, rel=1e-10)
    assert terms.kl >= -slack and terms.kl_prior >= -slack
    assert -slack <= terms.entropy <= len(points) * math.log(len(theta.weights)) + slack


@given(mixtures())
def test_loops_in_numpy_agree(case):
    theta, points, q = case
    weights, means, covs = (part.numpy() for part in theta)
    log_lik = np.empty((len(points), len(weights)))
    for k in range(len(weights)):
        precision, (_, log_det) = np.linalg.inv(covs[k]), np.linalg.slogdet(2 * np.pi * covs[k])
        for n, x in enumerate(points.numpy()):
            log_lik[n, k] = -0.5 * ((x - means[k]) @ precision @ (x - means[k]) + log_det)
    condition = max(np.linalg.cond(cov) for cov in covs)
    close = {"rtol": 100 * condition * EPS, "atol": 1e-11}
    np.testing.assert_allclose(log_likelihoods(theta, points).numpy(), log_lik, **close)
    np.testing.assert_allclose(log_density(theta, points).numpy(), logsumexp(log_lik, 1, b=weights), **close)
    resp, terms = q.resp.numpy(), decompose(theta, q, points)
    log_resp = q.log_resp.numpy()
    posterior = log_lik + np.log(weights) - logsumexp(log_lik, 1, b=weights, keepdims=True)
    with np.errstate(invalid="ignore"):
        sums = {
            "kl": np.nansum(resp * (log_resp - posterior)),
            "joint": np.sum(resp * (log_lik + np.log(weights))),
            "entropy": -np.nansum(resp * log_resp),
            "likelihood": np.sum(resp * log_lik),
            "kl_prior": np.nansum(resp * (log_resp - np.log(weights))),
        }
    for name, value in sums.items():
        slack = 100 * condition * EPS * (size(theta, points) + len(points))
        assert getattr(terms, name) == pytest.approx(value, abs=slack, rel=1e-10), name


@given(mixtures())
def test_the_posterior_closes_the_gap_and_nothing_else_does(case):
    theta, points, q = case
    slack = 20 * EPS * size(theta, points)
    best = decompose(theta, responsibilities(theta, points), points)
    assert abs(best.kl) <= max(1e-10 * len(points), slack)
    assert best.elbo == pytest.approx(best.log_evidence, abs=slack, rel=1e-10)
    assert decompose(theta, q, points).elbo <= best.elbo + slack


@given(mixtures())
def test_q_only_moves_what_depends_on_q(case):
    theta, points, q = case
    one, two = decompose(theta, q, points), decompose(theta, responsibilities(theta, points), points)
    assert (
        one.log_evidence
        == two.log_evidence
        == pytest.approx(float(log_density(theta, points).sum()), rel=1e-14)
    )


def test_per_datum():
    terms = Decomposition(*map(float, range(7)))
    assert terms.per(4)[:7] == tuple(number / 4 for number in range(7))
    assert isinstance(terms.per(4), Decomposition)


# ---- against SciPy and scikit-learn ----


@given(mixtures())
def test_densities_of_scipy(case):
    theta, points, _ = case
    weights, means, covs = (part.numpy() for part in theta)
    log_lik = np.stack(
        [
            multivariate_normal(mean, cov).logpdf(points.numpy()).reshape(-1)
            for mean, cov in zip(means, covs, strict=True)
        ],
        1,
    )
    close = {"rtol": 100 * EPS * max(np.linalg.cond(cov) for cov in covs), "atol": 1e-11}
    np.testing.assert_allclose(log_likelihoods(theta, points).numpy(), log_lik, **close)
    np.testing.assert_allclose(log_density(theta, points).numpy(), logsumexp(log_lik, 1, b=weights), **close)


@pytest.mark.parametrize("width", [1, 2, 5])
def test_densities_and_responsibilities_of_scikit_learn(width):
    rng = np.random.default_rng(width)
    theta, points = make_theta(rng, 4, width), 3 * rng.standard_normal((50, width))
    model = GaussianMixture(4)
    model.weights_, model.means_, model.covariances_ = (part.numpy() for part in theta)
    model.precisions_cholesky_ = np.linalg.inv(np.linalg.cholesky(theta.covariances.numpy())).transpose(
        0, 2, 1
    )
    there = torch.tensor(points)
    np.testing.assert_allclose(log_density(theta, there).numpy(), model.score_samples(points), rtol=1e-12)
    np.testing.assert_allclose(
        responsibilities(theta, there).resp.numpy(), model.predict_proba(points), atol=1e-12
    )


@given(mixtures())
def test_the_m_step_of_scikit_learn(case):
    _, points, q = case
    counts, means, covs = _estimate_gaussian_parameters(points.numpy(), q.resp.numpy(), 0.0, "full")
    found, scale = maximum(q, points), float(points.abs().max())
    np.testing.assert_allclose(found.weights.numpy(), counts / counts.sum(), rtol=1e-12)
    np.testing.assert_allclose(found.means.numpy(), means, rtol=1e-12, atol=1e-13 * scale)
    np.testing.assert_allclose(found.covariances.numpy(), covs, rtol=1e-10, atol=1e-13 * scale**2)


# ---- nothing stale ----


@given(mixtures())
def test_a_change_in_place_is_seen(case):
    theta, points, q = case
    before = decompose(theta, q, points).log_evidence, responsibilities(theta, points).resp.clone()
    theta.means.add_(3 * points.abs().max())
    fresh = GaussianMixtureParams(*(part.clone() for part in theta))
    assert decompose(theta, q, points) == decompose(fresh, q, points.clone())
    theta.means.sub_(3 * points.abs().max())
    points.mul_(1.5)
    assert torch.equal(
        log_density(theta, points), log_density(fresh._replace(means=theta.means.clone()), points.clone())
    )
    points.div_(1.5)
    assert decompose(theta, q, points).log_evidence == pytest.approx(before[0], rel=1e-6)


def test_gradients_can_be_asked_for_again_and_after_no_grad():
    points, means = f64(PLAIN_2), THETA_2.means.clone().requires_grad_()
    theta = THETA_2._replace(means=means)
    with torch.no_grad():
        assert not log_density(theta, points).requires_grad
    gradients = [torch.autograd.grad(log_density(theta, points).sum(), means)[0] for _ in range(2)]
    assert torch.equal(*gradients) and float(gradients[0].abs().max()) > 0.1
    assert not log_density(THETA_2, points).requires_grad


# ---- the maximum ----


def expected_joint(logits, means, roots, q: Responsibilities, points) -> torch.Tensor:
    """E_q[log p(x, z)] by torch.distributions, in coordinates without constraints."""
    gaussians = torch.distributions.MultivariateNormal(means, scale_tril=roots)
    return (q.resp * (gaussians.log_prob(points[:, None]) + logits.log_softmax(0))).sum()


@pytest.mark.parametrize(("count", "width"), [(1, 1), (3, 2), (4, 5)])
def test_the_gradient_is_0_at_the_maximum(count, width):
    rng = np.random.default_rng(count)
    points = torch.tensor(rng.standard_normal((60, width)) @ rng.standard_normal((width, width)) + 5)
    q = make_q(rng.dirichlet(np.ones(count), 60))
    theta = maximum(q, points)
    parts = theta.weights.log(), theta.means, torch.linalg.cholesky(theta.covariances)
    coordinates = [part.clone().requires_grad_() for part in parts]
    value = expected_joint(*coordinates, q, points)
    assert value.item() == pytest.approx(decompose(theta, q, points).joint, rel=1e-12)
    gradients = torch.autograd.grad(value, coordinates)
    assert (
        max(
            float(gradient.tril().abs().max()) if gradient.ndim == 3 else float(gradient.abs().max())
            for gradient in gradients
        )
        < 1e-10 * 60
    )
    for _ in range(20):  # and it is a maximum: every step aside is a step down
        aside = [part + 0.01 * torch.tensor(rng.standard_normal(part.shape)) for part in parts]
        assert expected_joint(aside[0], aside[1], aside[2].tril(), q, points) < value


@given(mixtures(), st.integers(0, 2**32))
def test_no_other_theta_explains_more(case, seed):
    _, points, q = case
    best = maximum(q, points)
    if (
        bool(not_positive_definite(best.covariances).any())
        or float(torch.linalg.cond(best.covariances).max()) > 1e8
    ):
        return  # too few points: there is no maximum
    other = make_theta(
        np.random.default_rng(seed), len(best.weights), points.shape[1], float(points.abs().max())
    )
    ours, theirs = decompose(best, q, points).joint, decompose(other, q, points).joint
    assert theirs <= ours + 1e-9 * abs(ours)


def test_hard_assignments_give_the_means_of_the_groups():
    points = f64([[0.0, 0.0], [2.0, 0.0], [10.0, 1.0], [10.0, 3.0], [10.0, 5.0]])
    theta = maximum(make_q(np.eye(2)[[0, 0, 1, 1, 1]]), points)
    torch.testing.assert_close(theta.weights, f64([0.4, 0.6]), rtol=1e-14, atol=0)
    torch.testing.assert_close(theta.means, f64([[1.0, 0.0], [10.0, 3.0]]), rtol=1e-14, atol=0)
    true = f64([[[1.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 8 / 3]]])
    torch.testing.assert_close(theta.covariances, true, rtol=1e-13, atol=1e-13)


def test_a_component_without_points_gives_finite_numbers():
    points = f64([[0.0, 0.0], [2.0, 1.0]])
    theta = maximum(make_q([[1.0, 0.0], [1.0, 0.0]]), points)
    assert all(bool(part.isfinite().all()) for part in theta)
    assert 0 < float(theta.weights[1]) < 1e-14


@given(mixtures())
def test_maxima_are_symmetric_and_sum_to_one(case):
    _, points, q = case
    theta = maximum(q, points)
    assert float(theta.weights.sum()) == pytest.approx(1.0, abs=1e-14)
    slack = 1e-12 * float(points.abs().max()) ** 2
    assert float((theta.covariances - theta.covariances.mT).abs().max()) <= slack
    assert float(torch.linalg.eigvalsh(theta.covariances).min()) >= -slack


# ---- errors ----

GOOD = [[2.0, 1.0], [1.0, 2.0]]
NOT_POSITIVE_DEFINITE = {
    "indefinite": [[1.0, 2.0], [2.0, 1.0]],
    "singular": [[1.0, 1.0], [1.0, 1.0]],
    "zero": [[0.0, 0.0], [0.0, 0.0]],
    "negative": [[-1.0, 0.0], [0.0, 1.0]],
    "nan": [[math.nan, 0.0], [0.0, 1.0]],
    "inf": [[math.inf, 0.0], [0.0, 1.0]],
    "nan aside": [[1.0, 0.0], [math.nan, 1.0]],
}


@pytest.mark.parametrize("name", NOT_POSITIVE_DEFINITE)
def test_what_is_not_positive_definite_is_found(name):
    covariances = f64([GOOD, NOT_POSITIVE_DEFINITE[name], GOOD])
    before = covariances.clone()
    assert not_positive_definite(covariances).tolist() == [False, True, False]
    assert torch.equal(covariances, before) or "nan" in name


@pytest.mark.parametrize("name", ["indefinite", "singular", "zero", "negative"])
def test_the_error_names_the_component_and_the_remedy(name):
    covariances = f64([GOOD, NOT_POSITIVE_DEFINITE[name]])
    theta = GaussianMixtureParams(f64([0.5, 0.5]), f64(np.zeros((2, 2))), covariances)
    for function in (log_likelihoods, log_density, responsibilities):
        with pytest.raises(ValueError, match="covariance 2 is not positive definite; raise the regularizer"):
            function(theta, f64(np.zeros((3, 2))))


@given(st.integers(0, 2**32), st.integers(2, 5), st.integers(-6, 6))
def test_rounding_is_no_width(seed, width, decade):
    """As many points as dimensions span no volume, whatever their Cholesky factor says after rounding."""
    rng = np.random.default_rng(seed)
    corners = np.linalg.qr(rng.standard_normal((width, width)))[0] * rng.uniform(0.5, 2.0, (width, 1))
    points = f64(10.0**decade * (corners + rng.standard_normal(width)))
    flat = maximum(make_q(np.ones((width, 1))), points).covariances
    assert not_positive_definite(flat).tolist() == [True]


@given(st.integers(0, 2**32), st.integers(1, 5), st.integers(-100, 100))
def test_a_thin_covariance_is_one(seed, width, decade):
    """A share of 1e-9 left to a coordinate is far above rounding, at any scale."""
    turn = np.linalg.qr(np.random.default_rng(seed).standard_normal((width, width)))[0]
    covariance = 10.0**decade * (turn * np.geomspace(1e-9, 1.0, width)[-width:]) @ turn.T
    units = np.geomspace(1.0, 1e20, width)  # nor do the features' units matter
    both = f64(np.stack([covariance, units[:, None] * covariance * units]))
    assert not_positive_definite(both).tolist() == [False, False]
