"""Gaussian mixtures: log densities, responsibilities and the M-step's maximum."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

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


class Data(NamedTuple):
    """N points of D columns, and what is known of each."""

    x: Tensor  # (N, D)
    labels: Tensor | None = None  # (N,) int64, the component known to have made the point; -1: unknown
    weights: Tensor | None = None  # (N,) how often the point counts; None: once

    @property
    def reach(self) -> Tensor:
        """How far the coordinates of the points that count are from 0 at most, (D,)."""
        points = self.x if self.weights is None else self.x[self.weights > 0]
        return torch.maximum(points.amax(0).abs(), points.amin(0).abs())


Points = Tensor | Data  # points (N, D), alone or with what is known of them
P = TypeVar("P", Tensor, Data)


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
    log_joint: Tensor  # (N, K) the same + log pi_k; -inf where the label is another
    log_density: Tensor  # (N,) log p(x_n | theta), or log p(x_n, label_n | theta)
    posterior: Responsibilities  # p(z_n = k | x_n, label_n, theta)


# The last passes, with the tensors they were made from: an E-step asks for what the M-step before it had to
# compute for its own numbers. Tensors are compared by identity and version, so nothing stale is ever found.
_Key = tuple[tuple[Tensor | None, int], ...]
_recent: tuple[tuple[_Key, Evaluation], ...] = ()


def evaluate(theta: GaussianMixtureParams, points: Points) -> Evaluation:
    """One pass over points (N, D); the last two are remembered.

    Raises ValueError when a covariance is not positive definite.
    """
    global _recent
    data = _data(points)
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (*theta, data.x)):
        return _evaluate(theta, data)  # each gradient wants a graph of its own
    made_from = (*theta, data.x, data.labels)
    key = tuple((tensor, 0 if tensor is None else tensor._version) for tensor in made_from)
    for known, found in _recent:
        if all(a is b and i == j for (a, i), (b, j) in zip(known, key, strict=True)):
            return found
    made = _evaluate(theta, data)
    _recent = ((key, made), *_recent[:1])
    return made


def _data(points: Points) -> Data:
    return points if isinstance(points, Data) else Data(points)


def _evaluate(theta: GaussianMixtureParams, data: Data) -> Evaluation:
    log_lik = log_likelihoods(theta, data.x)
    log_joint = log_lik + theta.weights.log()
    if data.labels is not None:
        log_joint = log_joint.masked_fill(_barred(data.labels, len(theta.weights)), -torch.inf)
    log_evidence = log_joint.logsumexp(1)
    log_resp = log_joint - log_evidence[:, None]
    return Evaluation(log_lik, log_joint, log_evidence, Responsibilities(log_resp, log_resp.exp()))


def _barred(labels: Tensor, components: int) -> Tensor:
    """Which components the labels (N,) rule out, (N, K) bool."""
    known = labels[:, None]
    return (known >= 0) & (known != torch.arange(components, device=labels.device))


def responsibilities(theta: GaussianMixtureParams, points: Points) -> Responsibilities:
    """The posterior p(z_n = k | x_n, theta) of points (N, D); where a label is known it is certain."""
    return evaluate(theta, points).posterior


def posteriors(thetas: Sequence[GaussianMixtureParams], points: Points) -> Tensor:
    """q(z_n = k) of points (N, D) under each of T thetas of K components, (T, N, K), in one pass.

    The T mixtures are evaluated as one of T K components. Raises ValueError as `evaluate` does.
    """
    data, components = _data(points), len(thetas[0].weights)
    all_of = GaussianMixtureParams(*(torch.cat(parts) for parts in zip(*thetas, strict=True)))
    log_joint = log_likelihoods(all_of, data.x) + all_of.weights.log()
    log_joint = log_joint.unflatten(1, (len(thetas), components)).transpose(0, 1)  # (T, N, K)
    if data.labels is not None:
        log_joint = log_joint.masked_fill(_barred(data.labels, components), -torch.inf)
    return (log_joint - log_joint.logsumexp(2, keepdim=True)).exp()


def log_density(theta: GaussianMixtureParams, points: Points) -> Tensor:
    """log p(x_n | theta), where a label is known log p(x_n, label_n | theta), shape (N,), nats."""
    return evaluate(theta, points).log_density


def chunks(points: P, components: int) -> tuple[P, ...]:
    """The points (N, D) in order, in parts of a size that K and D alone decide; few points are one part.

    Sums go over the parts from the first to the last, so their bits do not depend on what else is running.
    """
    x = _data(points).x
    rows = max(1, CHUNK // (components * x.shape[1]))
    if len(x) <= rows:
        return (points,)
    if isinstance(points, Tensor):
        return points.split(rows)
    split = [itertools.repeat(None) if part is None else part.split(rows) for part in points]
    return tuple(itertools.starmap(Data, zip(*split, strict=False)))


def total_log_density(theta: GaussianMixtureParams, points: Points) -> Tensor:
    """log p(X | theta), with what is known of the points, shape (), nats, chunk by chunk."""
    parts = chunks(_data(points), len(theta.weights))
    return sum(_total(part, log_density(theta, part)) for part in parts)  # type: ignore[return-value]


def decompose(theta: GaussianMixtureParams, q: Responsibilities, points: Points) -> Decomposition:
    """Evidence and ELBO of `theta` under `q`, summed over the points, nats; every term from its own sum."""
    return Decomposition(*_terms(theta, q, _data(points)).tolist())


def decompose_at(
    theta: GaussianMixtureParams, theta_q: GaussianMixtureParams, points: Points
) -> Decomposition:
    """The same where q is the posterior of `theta_q`: chunk by chunk, with no table of all the points."""
    parts = chunks(_data(points), len(theta.weights))
    terms = [_terms(theta, responsibilities(theta_q, part), part) for part in parts]
    return Decomposition(*functools.reduce(torch.add, terms).tolist())


def _terms(theta: GaussianMixtureParams, q: Responsibilities, data: Data) -> Tensor:
    """The terms (7,) of a decomposition."""
    at = evaluate(theta, data)
    log_weights = theta.weights.log()
    terms = (
        _total(data, at.log_density),
        _mean(q, data, at.log_joint - q.log_resp),
        _mean(q, data, q.log_resp - at.posterior.log_resp),
        _mean(q, data, at.log_joint),
        -_mean(q, data, q.log_resp),
        _mean(q, data, at.log_lik),
        _mean(q, data, q.log_resp - log_weights),
    )
    return torch.stack(terms)


def _mean(q: Responsibilities, data: Data, term: Tensor) -> Tensor:
    """sum_nk q_nk term_nk, with 0 log 0 = 0, each point as often as it counts."""
    return _total(data, torch.where(q.resp > 0, q.resp * term, 0.0))


def _total(data: Data, term: Tensor) -> Tensor:
    """The sum of a term (N,) or (N, K), each point as often as it counts."""
    if data.weights is None:
        return term.sum()
    weights = data.weights.reshape(-1, *(1 for _ in term.shape[1:]))
    return torch.where(weights > 0, weights * term, 0.0).sum()


def maximum(q: Responsibilities, points: Points) -> GaussianMixtureParams:
    """The theta that maximizes E_q[log p(x, z | theta)]: weighted means and covariances (note 003)."""
    data = _data(points)
    resp = _counted(q, data)
    counts = resp.sum(0) + _tiny(data)  # (K,) N_k
    means = (resp.T @ data.x) / counts[:, None]
    centred = data.x.unsqueeze(0) - means.unsqueeze(1)  # (K, N, D)
    weighted = resp.T.unsqueeze(2) * centred
    covariances = weighted.transpose(1, 2) @ centred / counts[:, None, None]
    return GaussianMixtureParams(counts / counts.sum(), means, covariances)


def maximum_at(theta_q: GaussianMixtureParams, points: Points) -> GaussianMixtureParams:
    """The same where q is the posterior of `theta_q`: chunk by chunk, with no table of all the points."""
    data = _data(points)
    parts = chunks(data, len(theta_q.weights))
    if len(parts) == 1:
        return maximum(responsibilities(theta_q, data), data)
    made = (_moments(_counted(responsibilities(theta_q, part), part), part.x) for part in parts)
    counts, means, scatters = functools.reduce(_merged, made)
    held = counts + _tiny(data)
    share = counts / held
    return GaussianMixtureParams(held / held.sum(), means * share[:, None], scatters / held[:, None, None])


def _counted(q: Responsibilities, data: Data) -> Tensor:
    """q (N, K), times how often each point counts."""
    return q.resp if data.weights is None else data.weights[:, None] * q.resp


def _tiny(data: Data) -> float:
    """What is added to every N_k; as scikit-learn: a component without points has no 0/0."""
    heaviest = 1.0 if data.weights is None else float(data.weights.max())
    return 10 * torch.finfo(data.x.dtype).eps * min(1.0, heaviest)


def counts_at(theta_q: GaussianMixtureParams, points: Points) -> Tensor:
    """N_k (K,), as often as the points count that each component explains, where q is theta_q's posterior."""
    parts = chunks(_data(points), len(theta_q.weights))
    made = (_counted(responsibilities(theta_q, part), part).sum(0) for part in parts)
    return functools.reduce(torch.add, made)


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
