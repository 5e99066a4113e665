"""The engine of EM for Gaussian mixtures, against a direct float64 account of the same step."""

import itertools
import threading

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from lvmviz.fast_em import Mixture, Points, chunk_rows, climb, log_joints, mixture, stack, sweep
from lvmviz.fast_em import kernels as kernels_module
from lvmviz.fast_em.mixture import maximum

KINDS = ["full", "tied", "diag", "spherical"]
KERNELS = {"quadratic": (np.inf, np.inf), "whitened": (0.0, np.inf), "framed": (0.0, 0.0)}


def dense(theta: Mixture, r: int) -> np.ndarray:
    """The covariances of the r-th mixture as matrices (K, D, D)."""
    _, k, d = theta.means.shape
    one = theta.covariances[r]
    if theta.kind == "full":
        return one
    if theta.kind == "tied":
        return np.broadcast_to(one, (k, d, d))
    return np.stack([np.eye(d) * variance for variance in one])


def direct(theta, x, weights, labels, reg, r=0):
    """Bound, weights, means and dense covariances of one EM step, by loops over the components."""
    k, d = theta.means.shape[1:]
    joint = np.stack(
        [
            np.log(theta.weights[r, j]) + multivariate_normal.logpdf(x, theta.means[r, j], dense(theta, r)[j])
            for j in range(k)
        ],
        axis=1,
    )
    for n, label in enumerate(labels):
        if label >= 0:
            joint[n, np.arange(k) != label] = -np.inf
    log_density = logsumexp(joint, axis=1)
    resp = np.exp(joint - log_density[:, None]) * weights[:, None]
    counts = resp.sum(0)
    means = resp.T @ x / counts[:, None]
    scatter = np.stack([((x - m).T * resp[:, j]) @ (x - m) for j, m in enumerate(means)])
    if theta.kind == "tied":
        scatter = np.broadcast_to(scatter.sum(0) / counts.sum(), scatter.shape)
    else:
        scatter = scatter / counts[:, None, None]
    if theta.kind in ("diag", "spherical"):
        scatter = np.stack([np.diag(np.diag(one)) for one in scatter])
    if theta.kind == "spherical":
        scatter = np.stack([np.eye(d) * np.trace(one) / d for one in scatter])
    bound = (weights * log_density).sum() / weights.sum()
    return bound, counts / counts.sum(), means, scatter + reg * np.eye(d)


def a_mixture(kind, r, k, d, rng) -> Mixture:
    a = rng.normal(size=(r, 1 if kind == "tied" else k, d, d))
    covariances = a @ np.swapaxes(a, 2, 3) + 0.5 * np.eye(d)
    if kind == "diag":
        covariances = np.diagonal(covariances, axis1=2, axis2=3).copy()
    elif kind == "spherical":
        covariances = covariances[..., 0, 0].copy()
    weights = rng.dirichlet(np.full(k, 5.0), size=r)
    return mixture(kind, weights, 2.0 * rng.normal(size=(r, k, d)), covariances)


@pytest.fixture(params=KERNELS)
def kernel(request, monkeypatch):
    limits = dict.fromkeys((torch.float64, torch.float32), KERNELS[request.param])
    monkeypatch.setattr(kernels_module, "LIMITS", limits)
    return request.param


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_step_is_that_of_the_book(kind, dtype, kernel):
    """All kernels, kinds, dtypes: weights, labels and two restarts together; chunks do not divide N."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(201, 3)) * 2.0 + np.array([1.0, -2.0, 30.0])
    weights, labels = rng.integers(0, 4, 201).astype(float), rng.integers(-3, 4, 201).clip(-1)
    theta = a_mixture(kind, 2, 4, 3, rng)
    points = Points(x, weights=weights, labels=labels, dtype=dtype, rows=64)
    assert len(points) == 4
    seen = sweep(theta, points)
    after = maximum(seen.moments, kind, 1e-3, points.scale)
    close = 1e-11 if dtype == torch.float64 else 3e-5
    for r in range(2):
        bound, share, means, covariances = direct(theta, x - points.origin, weights, labels, 1e-3, r)
        assert seen.bounds[r] == pytest.approx(bound, rel=close / 10)
        np.testing.assert_allclose(after.weights[r], share, rtol=close)
        np.testing.assert_allclose(after.means[r], means, rtol=close, atol=close)
        np.testing.assert_allclose(dense(after, r), covariances, rtol=close, atol=close)


@given(
    kind=st.sampled_from(KINDS), seed=st.integers(0, 2**32 - 1), width=st.integers(1, 5), k=st.integers(1, 4)
)
def test_steps_climb(kind, seed, width, k):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(60, width)) * rng.uniform(0.1, 10.0, width)
    theta = a_mixture(kind, 1, k, width, rng)
    for dtype, slack in ((torch.float64, 1e-10), (torch.float32, 1e-6)):
        points = Points(x, dtype=dtype, rows=16)
        # reg_covar is no part of the likelihood: without it every step climbs, until a component collapses
        bounds = []
        try:
            climb(
                points, theta, tol=0.0, reg_covar=0.0, max_iter=8, told=lambda _, b, to=bounds: to.append(b)
            )
        except ValueError as error:
            assert "collapsed" in str(error) or "ill-defined" in str(error)
        rises = np.diff(bounds)
        assert (rises >= -slack * np.maximum(1.0, np.abs(bounds[1:]))).all()


@pytest.mark.parametrize("kind", KINDS)
def test_restarts_together_are_restarts_alone(kind):
    """Each stops at its own iteration, and has its own bounds to the last digits."""
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(size=(150, 2)), rng.normal(size=(150, 2)) + 3.0])
    starts = [a_mixture(kind, 1, 2, 2, rng) for _ in range(5)]
    points = Points(x, rows=128)
    settings = {"tol": 1e-4, "reg_covar": 1e-6, "max_iter": 60}
    together = climb(points, stack(starts), **settings)
    alone = [climb(points, start, **settings)[0] for start in starts]
    assert len({len(one.bounds) for one in alone}) > 1
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(one.bounds, other.bounds, rtol=1e-12)
        assert one.converged == other.converged
        np.testing.assert_allclose(one.theta.means, other.theta.means, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_equal_to_the_bit_with_any_number_of_threads(dtype):
    rng = np.random.default_rng(0)
    x, theta = rng.normal(size=(5000, 3)), a_mixture("full", 2, 3, 3, rng)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3, 2):
            torch.set_num_threads(threads)
            bounds, moments = sweep(theta, Points(x, dtype=dtype, rows=256))
            assert torch.get_num_threads() == threads
            found.append((bounds, moments.counts, moments.first, moments.second))
    finally:
        torch.set_num_threads(before)
    for one, other in itertools.pairwise(found):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_sweeps_of_several_threads_do_not_mix():
    rng = np.random.default_rng(0)
    x, thetas = rng.normal(size=(4000, 3)), [a_mixture("full", 1, 3, 3, rng) for _ in range(4)]
    alone = [sweep(theta, Points(x, rows=256)).bounds for theta in thetas]
    found = {}
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        ran = [
            threading.Thread(
                target=lambda i=i: found.update({i: sweep(thetas[i], Points(x, rows=256)).bounds})
            )
            for i in range(4)
        ]
        for thread in ran:
            thread.start()
        for thread in ran:
            thread.join()
    finally:
        torch.set_num_threads(before)
    for i, bounds in enumerate(alone):
        np.testing.assert_array_equal(found[i], bounds)


def test_tight_components_choose_the_exact_kernel():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100, 2))
    for width, dtype, name in [
        (1.0, torch.float64, "Quadratic"), (1e-3, torch.float64, "Whitened"),
        (1e-6, torch.float64, "Framed"), (1.0, torch.float32, "Quadratic"),
        (0.05, torch.float32, "Whitened"), (1e-4, torch.float32, "Framed"),
    ]:  # fmt: skip
        theta = mixture("full", np.ones((1, 1)), np.ones((1, 1, 2)), width**2 * np.eye(2)[None, None])
        assert type(kernels_module.kernel(theta, Points(x, dtype=dtype))).__name__ == name


@pytest.mark.parametrize("kind", KINDS)
def test_log_joints(kind):
    rng = np.random.default_rng(0)
    x, theta = rng.normal(size=(50, 3)), a_mixture(kind, 1, 2, 3, rng)
    found = torch.cat(list(log_joints(theta, Points(x, origin=np.zeros(3), rows=16))), dim=1).numpy()
    for j in range(2):
        log_density = multivariate_normal.logpdf(x, theta.means[0, j], dense(theta, 0)[j])
        np.testing.assert_allclose(found[j], np.log(theta.weights[0, j]) + log_density, rtol=1e-12)


def test_a_weight_of_zero_takes_no_points():
    rng = np.random.default_rng(0)
    theta = a_mixture("full", 1, 2, 2, rng)._replace(weights=np.array([[1.0, 0.0]]))
    seen = sweep(theta, Points(rng.normal(size=(50, 2))))
    assert np.isfinite(seen.bounds).all() and seen.moments.counts[0, 1] < 1e-200


def test_what_is_kept_is_bounded():
    x = np.random.default_rng(0).normal(size=(300, 4))
    points = Points(x, rows=100, keep=False)
    assert points.chunk(0) is not points.chunk(0)
    assert Points(x, rows=100).keeps(4) and not points.keeps(1)
    assert 2**9 <= chunk_rows(10_000, 100, 100) and chunk_rows(1, 1, 1) <= 2**15


def test_a_collapse_names_the_component():
    theta = mixture("diag", np.full((1, 2), 0.5), np.array([[[0.0], [5.0]]]), np.ones((1, 2, 1)))
    x = np.array([[-1.0], [0.5], [1.0], [5.0]])
    with pytest.raises(ValueError, match="Component 1 collapsed.*increase reg_covar"):
        climb(Points(x), theta, tol=0.0, reg_covar=0.0, max_iter=50)


def test_float32_gets_back_what_it_cut_off():
    """Of the coefficients, by the log-likelihood's gradient; of the points, by their lost digits."""
    rng = np.random.default_rng(0)
    centres = np.array([[8.1, 3.3], [-7.7, 5.1], [1.3, -9.9]])
    z = rng.integers(3, size=20_000)
    for width, name, close in [(1.0, "Quadratic", 3e-8), (1e-6, "Framed", 1e-6)]:
        x = centres[z] + width * rng.normal(size=(20_000, 2))
        origin = x.mean(0)
        covariances = width**2 * np.broadcast_to(np.array([[1.1, 0.3], [0.3, 0.7]]), (1, 3, 2, 2))
        theta = mixture("full", np.full((1, 3), 1 / 3), (centres - origin)[None], covariances)
        short, exact = (Points(x, dtype=dtype, rows=4096) for dtype in (torch.float32, torch.float64))
        assert type(kernels_module.kernel(theta, short)).__name__ == name
        assert sweep(theta, short).bounds == pytest.approx(sweep(theta, exact).bounds, rel=close)
