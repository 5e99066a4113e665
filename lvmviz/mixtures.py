"""Gaussian mixtures: log densities, responsibilities and the M-step's maximum."""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import torch
from torch import Tensor

from lvmviz.divergences import Decomposition

LOG_2PI = math.log(2.0 * math.pi)
# numbers (rows x K x D) in work at once, 2 MiB a table, however many points there are; of tables of 8 MiB the
# allocator left 600 MB of holes between the snapshots of 300 steps
CHUNK = 2**18


class GaussianMixtureParams(NamedTuple):
    """theta = (weights, means, covariances) of a Gaussian mixture."""

    weights: Tensor  # (K,) pi, positive, sums to one
    means: Tensor  # (K, D)
    covariances: Tensor  # (K, D, D) positive definite


class Responsibilities(NamedTuple):
    """q(z_n = k) for every point, as logarithms and as numbers."""

    log_resp: Tensor  # (N, K) log q, may be -inf
    resp: Tensor  # (N, K) q, rows sum to one


def log_likelihoods(theta: GaussianMixtureParams, points: Tensor) -> Tensor:
    """log N(x_n | mu_k, Sigma_k), shape (N, K), nats, for points (N, D).

    Raises ValueError when a covariance is not positive definite.
    """
    factors, failed = torch.linalg.cholesky_ex(theta.covariances)  # (K, D, D)
    if bool(failed.any()):
        k = int(failed.nonzero()[0, 0]) + 1
        raise ValueError(f"covariance {k} is not positive definite; raise the regularizer")
    centred = points.T.unsqueeze(0) - theta.means.unsqueeze(2)  # (K, D, N)
    whitened = torch.linalg.solve_triangular(factors, centred, upper=False)
    half_log_det = factors.diagonal(dim1=1, dim2=2).log().sum(1)  # (K,)
    return (-0.5 * whitened.square().sum(1) - half_log_det[:, None] - 0.5 * points.shape[1] * LOG_2PI).T


class Evaluation(NamedTuple):
    """What one pass over the points says of a theta."""

    log_lik: Tensor  # (N, K) log N(x_n | mu_k, Sigma_k), nats
    log_joint: Tensor  # (N, K) the same + log pi_k
    log_density: Tensor  # (N,) log p(x_n | theta)
    posterior: Responsibilities  # p(z_n = k | x_n, theta)


# The last passes, with the tensors they were made from: an E-step asks for what the M-step before it had to
# compute for its own numbers. Tensors are compared by identity and version, so nothing stale is ever found.
_Key = tuple[tuple[Tensor, int], ...]
_recent: tuple[tuple[_Key, Evaluation], ...] = ()


def evaluate(theta: GaussianMixtureParams, points: Tensor) -> Evaluation:
    """One pass over points (N, D); the last two are remembered.

    Raises ValueError when a covariance is not positive definite.
    """
    global _recent
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (*theta, points)):
        return _evaluate(theta, points)  # each gradient wants a graph of its own
    key = tuple((tensor, tensor._version) for tensor in (*theta, points))
    for known, found in _recent:
        if all(a is b and i == j for (a, i), (b, j) in zip(known, key, strict=True)):
            return found
    made = _evaluate(theta, points)
    _recent = ((key, made), *_recent[:1])
    return made


def _evaluate(theta: GaussianMixtureParams, points: Tensor) -> Evaluation:
    log_lik = log_likelihoods(theta, points)
    log_joint = log_lik + theta.weights.log()
    log_evidence = log_joint.logsumexp(1)
    log_resp = log_joint - log_evidence[:, None]
    return Evaluation(log_lik, log_joint, log_evidence, Responsibilities(log_resp, log_resp.exp()))


def responsibilities(theta: GaussianMixtureParams, points: Tensor) -> Responsibilities:
    """The posterior p(z_n = k | x_n, theta) of points (N, D)."""
    return evaluate(theta, points).posterior


def log_density(theta: GaussianMixtureParams, points: Tensor) -> Tensor:
    """log p(x_n | theta), shape (N,), nats."""
    return evaluate(theta, points).log_density


def chunks(points: Tensor, components: int) -> tuple[Tensor, ...]:
    """The points (N, D) in order, in parts of a size that K and D alone decide; few points are one part.

    Sums go over the parts from the first to the last, so their bits do not depend on what else is running.
    """
    rows = max(1, CHUNK // (components * points.shape[1]))
    return (points,) if len(points) <= rows else points.split(rows)


def total_log_density(theta: GaussianMixtureParams, points: Tensor) -> Tensor:
    """log p(X | theta), shape (), nats, chunk by chunk."""
    return sum(log_density(theta, part).sum() for part in chunks(points, len(theta.weights)))  # type: ignore[return-value]


def decompose(theta: GaussianMixtureParams, q: Responsibilities, points: Tensor) -> Decomposition:
    """Evidence and ELBO of `theta` under `q`, summed over the points, nats; every term from its own sum."""
    return Decomposition(*_terms(theta, q, points).tolist())


def decompose_at(
    theta: GaussianMixtureParams, theta_q: GaussianMixtureParams, points: Tensor
) -> Decomposition:
    """The same where q is the posterior of `theta_q`: chunk by chunk, with no table of all the points."""
    parts = chunks(points, len(theta.weights))
    terms = [_terms(theta, responsibilities(theta_q, part), part) for part in parts]
    return Decomposition(*functools.reduce(torch.add, terms).tolist())


def _terms(theta: GaussianMixtureParams, q: Responsibilities, points: Tensor) -> Tensor:
    """The terms (7,) of a decomposition."""
    at = evaluate(theta, points)
    log_weights = theta.weights.log()
    terms = (
        at.log_density.sum(),
        _mean(q, at.log_joint - q.log_resp),
        _mean(q, q.log_resp - at.posterior.log_resp),
        _mean(q, at.log_joint),
        -_mean(q, q.log_resp),
        _mean(q, at.log_lik),
        _mean(q, q.log_resp - log_weights),
    )
    return torch.stack(terms)


def _mean(q: Responsibilities, term: Tensor) -> Tensor:
    """sum_nk q_nk term_nk, with 0 log 0 = 0."""
    return torch.where(q.resp > 0, q.resp * term, 0.0).sum()


def maximum(q: Responsibilities, points: Tensor) -> GaussianMixtureParams:
    """The theta that maximizes E_q[log p(x, z | theta)]: weighted means and covariances (note 003)."""
    tiny = 10 * torch.finfo(points.dtype).eps  # as scikit-learn: a component without points has no 0/0
    counts = q.resp.sum(0) + tiny  # (K,) N_k
    means = (q.resp.T @ points) / counts[:, None]
    centred = points.unsqueeze(0) - means.unsqueeze(1)  # (K, N, D)
    weighted = q.resp.T.unsqueeze(2) * centred
    covariances = weighted.transpose(1, 2) @ centred / counts[:, None, None]
    return GaussianMixtureParams(counts / counts.sum(), means, covariances)


def maximum_at(theta_q: GaussianMixtureParams, points: Tensor) -> GaussianMixtureParams:
    """The same where q is the posterior of `theta_q`: chunk by chunk, with no table of all the points."""
    parts = chunks(points, len(theta_q.weights))
    if len(parts) == 1:
        return maximum(responsibilities(theta_q, points), points)
    made = (_moments(responsibilities(theta_q, part).resp, part) for part in parts)
    counts, means, scatters = functools.reduce(_merged, made)
    held = counts + 10 * torch.finfo(points.dtype).eps
    share = counts / held
    return GaussianMixtureParams(held / held.sum(), means * share[:, None], scatters / held[:, None, None])


class _Moments(NamedTuple):
    """What an M-step needs to know of some points."""

    counts: Tensor  # (K,) N_k
    means: Tensor  # (K, D), anything where N_k is 0
    scatters: Tensor  # (K, D, D) sum_n q_nk (x_n - mean_k)(x_n - mean_k)'


def _moments(resp: Tensor, points: Tensor) -> _Moments:
    counts = resp.sum(0)
    means = (resp.T @ points) / _or_one(counts)[:, None]
    centred = points.unsqueeze(0) - means.unsqueeze(1)  # (K, rows, D)
    weighted = resp.T.unsqueeze(2) * centred
    return _Moments(counts, means, weighted.transpose(1, 2) @ centred)


def _merged(a: _Moments, b: _Moments) -> _Moments:
    """The moments of two parts together; sums of squares about 0 would lose the digits of data far from it.

    (Chan, Golub and LeVeque, 1983, "Algorithms for computing the sample variance".)
    """
    counts = a.counts + b.counts
    share = b.counts / _or_one(counts)
    apart = b.means - a.means
    between = (a.counts * share)[:, None, None] * apart.unsqueeze(2) * apart.unsqueeze(1)
    return _Moments(counts, a.means + share[:, None] * apart, a.scatters + b.scatters + between)


def _or_one(counts: Tensor) -> Tensor:
    return torch.where(counts > 0, counts, 1.0)


def not_positive_definite(covariances: Tensor, reach: Tensor | float = 0.0) -> Tensor:
    """Which of the covariances (K, D, D) are singular to rounding, as (K,) bools.

    Points on a line, or one point alone, leave a covariance that is zero but for rounding errors, and a
    Cholesky factor may survive on them. `reach` (D,) is how far the coordinates reach from 0: means are
    rounded at eps times that.
    """
    eps = torch.finfo(covariances.dtype).eps
    finite = covariances.isfinite().all(2).all(1)
    safe = torch.where(finite[:, None, None], covariances, 0.0)
    failed = torch.linalg.cholesky_ex(safe).info != 0
    variances = safe.diagonal(dim1=1, dim2=2)  # (K, D)
    units = torch.where(variances > 0, variances, 1.0).rsqrt()
    correlations = units[:, :, None] * safe * units[:, None, :]
    flat = torch.linalg.eigvalsh(correlations)[:, 0] <= 100 * eps * safe.shape[1]
    rounding = torch.as_tensor((1e3 * eps * reach) ** 2).to(variances)
    return failed | ~finite | flat | (variances <= rounding).any(1)
