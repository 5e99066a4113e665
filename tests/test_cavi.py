"""Coordinate ascent on a Gaussian posterior: every update is the best, and the error contracts by rho^2."""

import math

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given

from lvmviz import cavi
from lvmviz.families import MeanField

F64 = torch.float64


def noise_of(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


def correlated(rho: float, sds: tuple[float, float] = (1.0, 1.0)) -> torch.Tensor:
    """The precision of a Gaussian with these sds and this correlation."""
    covariance = np.array([[sds[0] ** 2, rho * sds[0] * sds[1]], [rho * sds[0] * sds[1], sds[1] ** 2]])
    return torch.from_numpy(np.linalg.inv(covariance))


def some_precision(size: int, seed: int) -> torch.Tensor:
    root = noise_of(size, size, seed=seed)
    return root @ root.mT + 0.1 * torch.eye(size, dtype=F64)


def elbo(precision: torch.Tensor, mean: torch.Tensor, phi: torch.Tensor) -> float:
    """E_q[log p] + H(q) up to a constant, in NumPy."""
    size = len(mean)
    away, sds = (phi[:size] - mean).numpy(), np.exp(phi[size:].numpy())
    matrix = precision.numpy()
    return float(-0.5 * (away @ matrix @ away + np.diag(matrix) @ sds**2) + np.log(sds).sum())


@pytest.mark.parametrize("rho", [0.0, 0.3, -0.5, 0.9, -0.99])
@pytest.mark.parametrize("sds", [(1.0, 1.0), (0.2, 7.0)])
def test_the_error_contracts_by_rho_squared_every_sweep(rho, sds):
    precision, mean = correlated(rho, sds), torch.tensor([1.0, -2.0], dtype=F64)
    phi = MeanField().at(mean + torch.tensor([3.0, 5.0], dtype=F64), torch.tensor([1.0, 1.0], dtype=F64))
    errors = [cavi.sweep(precision, mean, phi)[:2] - mean]  # the first sweep forgets where the first mean was
    for _ in range(4):
        phi = cavi.sweep(precision, mean, phi)
        errors.append(cavi.sweep(precision, mean, phi)[:2] - mean)
    for before, after in zip(errors, errors[1:], strict=False):
        torch.testing.assert_close(after, rho**2 * before, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("rho", [0.0, 0.6, 0.9])
def test_it_ends_at_the_closed_form(rho):
    precision, mean = correlated(rho), torch.tensor([0.4, 0.1], dtype=F64)
    start = torch.tensor([5.0, -5.0, 2.0, 2.0], dtype=F64)
    phi = cavi.path(precision, mean, start, 200)[-1]
    torch.testing.assert_close(phi[:2], mean, rtol=1e-12, atol=1e-12)
    assert phi[2:].exp().tolist() == pytest.approx([math.sqrt(1 - rho**2)] * 2, rel=1e-12)
    own = torch.distributions.MultivariateNormal(mean, precision_matrix=precision)
    q = torch.distributions.MultivariateNormal(mean, scale_tril=torch.diag(phi[2:].exp()))
    kl = torch.distributions.kl_divergence(q, own)
    assert float(kl) == pytest.approx(-0.5 * math.log(1 - rho**2), abs=1e-12)


@given(seed=st.integers(0, 10**6), size=st.integers(1, 5))
def test_no_other_value_of_a_coordinate_is_better(seed, size):
    """The update of one coordinate is at the top of the ELBO over its mean and log sd, and moves no other."""
    precision, mean = some_precision(size, seed), noise_of(size, seed=seed + 1)
    phi, i = noise_of(2 * size, seed=seed + 2), seed % size
    new = cavi.updated(precision, mean, phi, i)
    moved = torch.zeros(2 * size, dtype=torch.bool)
    moved[[i, size + i]] = True
    assert torch.equal(new[~moved], phi[~moved])
    top = elbo(precision, mean, new)
    assert top >= elbo(precision, mean, phi) - 1e-9
    for number in (i, size + i):
        for away in (-0.3, -1e-3, 1e-3, 0.3):
            other = new.clone()
            other[number] += away
            assert elbo(precision, mean, other) < top


@given(seed=st.integers(0, 10**6), size=st.integers(1, 5))
def test_a_path_tells_every_update(seed, size):
    precision, mean, phi = some_precision(size, seed), noise_of(size), noise_of(2 * size, seed=seed)
    path = cavi.path(precision, mean, phi, 3)
    assert path.shape == (1 + 3 * size, 2 * size) and torch.equal(path[0], phi)
    heights = [elbo(precision, mean, place) for place in path]
    assert all(after >= before - 1e-9 for before, after in zip(heights, heights[1:], strict=False))
    again = phi
    for sweep in range(1, 4):
        again = cavi.sweep(precision, mean, again)
        assert torch.equal(path[sweep * size], again)


def test_batches_are_their_members():
    precision = torch.stack([some_precision(2, seed) for seed in range(3)])
    mean, phi = noise_of(3, 2), noise_of(3, 4)
    path = cavi.path(precision, mean, phi, 2)
    assert path.shape == (5, 3, 4)
    for row in range(3):
        torch.testing.assert_close(path[:, row], cavi.path(precision[row], mean[row], phi[row], 2))


def test_the_phi_given_is_unchanged():
    phi = noise_of(4)
    before = phi.clone()
    cavi.sweep(correlated(0.5), noise_of(2), phi)
    assert torch.equal(phi, before)
