"""Probabilistic PCA, x = W z + mean + noise: its closed form, and EM's sums where cells are missing.

z ~ N(0, I_q), noise ~ N(0, sigma^2 I). A missing cell needs no latent of its own: given z, the cells of a row
are independent, so each row simply has fewer of them (Tipping and Bishop, 1999; Ilin and Raiko, 2010).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lvmviz.divergences import Decomposition
from lvmviz.incomplete_gaussian import column_means

LOG_2PI = math.log(2.0 * math.pi)
CHUNK = 2**18  # numbers in work at once


class PPCAParams(NamedTuple):
    """theta of probabilistic PCA: x ~ N(mean, W W' + sigma^2 I)."""

    mean: Tensor  # (D,)
    loadings: Tensor  # (D, q) W
    noise_variance: Tensor  # () sigma^2


class Rows(NamedTuple):
    """N rows with gaps, those that show the same columns side by side."""

    x: Tensor  # (N, D) less the origin; 0 where nothing is seen
    seen: Tensor  # (P, D) bool, the patterns
    pattern: Tensor  # (N,) int64, rising
    counts: Tensor  # (N,) how often the row counts
    origin: Tensor  # (D,) the mean of what is seen of each column
    order: Tensor  # (N,) int64, where each row stood


def gathered(points: Tensor, weights: Tensor | None = None) -> Rows:
    """Points (N, D), NaN where nothing is seen, each counted `weights` (N,) times."""
    counts = torch.ones_like(points[:, 0]) if weights is None else weights.to(points)
    origin = column_means(points, weights).nan_to_num(0.0)  # of a column without values
    seen, pattern = torch.unique(~points.isnan(), dim=0, return_inverse=True)
    order = pattern.argsort(stable=True)
    x = torch.where(points.isnan(), 0.0, points - origin)[order]
    return Rows(x, seen, pattern[order], counts[order], origin, order)


class _Part(NamedTuple):
    """Some of the rows, and the patterns they have."""

    x: Tensor  # (n, D)
    shown: Tensor  # (n, D) 1 where seen, 0 elsewhere, as numbers
    patterns: Tensor  # (p, D) the same of each pattern
    which: Tensor  # (n,) int64, the pattern of each row
    counts: Tensor  # (n,)


# What was cut and computed last, with the tensors it was made from: E and M ask for what the half-step before
# computed for its own numbers. Tensors are compared by identity and version, so nothing stale is ever found.
_cut: tuple[tuple[object, ...], list[_Part]] | None = None
_recent: tuple[tuple[tuple[object, ...], list[Posterior]], ...] = ()


def _same(known: tuple[object, ...], asked: tuple[object, ...]) -> bool:
    """Whether these are the same tensors, unchanged, and the same numbers beside them."""
    pairs = zip(known, asked, strict=True)
    return all(a is b if isinstance(b, Tensor) else a == b for a, b in pairs)


def _parts(rows: Rows, latents: int) -> Iterable[_Part]:
    """The rows in parts, one after the other; of a table that is no larger than one part the last is kept."""
    global _cut
    if len(rows.x) > _size(rows, latents):
        return _split(rows, latents)
    asked = (rows.x, rows.x._version, rows.pattern, rows.counts, latents)
    if (known := _cut) is not None and _same(known[0], asked):
        return known[1]
    made = list(_split(rows, latents))
    _cut = asked, made
    return made


def _posteriors(theta: PPCAParams, rows: Rows) -> Iterable[Posterior]:
    """p(z_n | what is seen of x_n, theta) of each part; of one part those of the last two thetas are kept."""
    global _recent
    parts = _parts(rows, theta.loadings.shape[1])
    versions = tuple(tensor._version for tensor in theta)
    asked = (*theta, *versions, rows.x, rows.x._version, rows.pattern)
    graph = any(tensor.requires_grad for tensor in (*theta, rows.x))  # each gradient wants one of its own
    if graph or not isinstance(parts, list):
        return (_posterior(theta, part, rows.origin) for part in parts)
    for known, found in _recent:
        if _same(known, asked):
            return found
    made = [_posterior(theta, part, rows.origin) for part in parts]
    _recent = ((asked, made), *_recent[:1])
    return made


def _size(rows: Rows, latents: int) -> int:
    """How many rows are in work at once."""
    return max(1, CHUNK // ((latents + 1) ** 2 + rows.x.shape[1]))


def _split(rows: Rows, latents: int) -> Iterator[_Part]:
    size = _size(rows, latents)
    for x, which, counts in zip(
        rows.x.split(size), rows.pattern.split(size), rows.counts.split(size), strict=True
    ):
        first, last = int(which[0]), int(which[-1])
        patterns = rows.seen[first : last + 1].to(x)
        yield _Part(x, patterns[which - first], patterns, which - first, counts)


class Posterior(NamedTuple):
    """p(z_n | what is seen of x_n): the covariance is that of the row's pattern."""

    means: Tensor  # (n, q)
    covariances: Tensor  # (p, q, q)
    log_det: Tensor  # (p,) of the covariances
    precisions: Tensor  # (p, q, q)


def _posterior(theta: PPCAParams, part: _Part, origin: Tensor) -> Posterior:
    """Precision I + W_O' W_O / sigma^2, mean its inverse times W_O' (x_O - mean_O) / sigma^2."""
    loadings, latents = theta.loadings, theta.loadings.shape[1]
    products = (loadings[:, :, None] * loadings[:, None, :]).flatten(1) / theta.noise_variance
    eye = torch.eye(latents, dtype=loadings.dtype, device=loadings.device)
    precisions = eye + (part.patterns @ products).unflatten(1, (latents, latents))
    factor = torch.linalg.cholesky(precisions)
    covariances = torch.cholesky_inverse(factor)
    apart = part.shown * (part.x - (theta.mean - origin))
    pulled = (apart @ loadings) / theta.noise_variance
    means = (covariances[part.which] @ pulled[:, :, None]).squeeze(2)
    return Posterior(means, covariances, -2.0 * factor.diagonal(dim1=1, dim2=2).log().sum(1), precisions)


def decompose_at(theta: PPCAParams, theta_q: PPCAParams, rows: Rows) -> Decomposition:
    """Evidence and ELBO of `theta`, q the posterior of `theta_q`, nats; every term a sum of its own."""
    parts = _parts(rows, theta.loadings.shape[1])
    all_q, all_at = _posteriors(theta_q, rows), _posteriors(theta, rows)
    terms = [_terms(theta, *some, rows.origin) for some in zip(all_q, all_at, parts, strict=True)]
    return Decomposition(*functools.reduce(torch.add, terms).tolist())


def _terms(theta: PPCAParams, q: Posterior, at: Posterior, part: _Part, origin: Tensor) -> Tensor:
    """The terms (7,) of a decomposition, `at` the posterior of theta."""
    latents, cells = theta.loadings.shape[1], part.shown.sum(1)
    log_det, noise = q.log_det[part.which], cells * (LOG_2PI + theta.noise_variance.log())
    error = _error(theta, q, part, origin) / theta.noise_variance
    size = q.means.square().sum(1) + _trace(q.covariances)[part.which]  # E_q |z|^2
    likelihood = -0.5 * (noise + error)
    entropy = 0.5 * (latents * (1.0 + LOG_2PI) + log_det)
    apart = q.means - at.means
    moved = ((at.precisions[part.which] @ apart[:, :, None]).squeeze(2) * apart).sum(1)
    spread = (at.precisions * q.covariances).sum((1, 2)) - q.log_det + at.log_det - latents
    terms = (
        _log_density(theta, at, part, origin),
        -0.5 * (noise + error + size - log_det - latents),
        0.5 * (spread[part.which] + moved),
        -0.5 * (noise + latents * LOG_2PI + error + size),
        entropy,
        likelihood,
        0.5 * (size - latents - log_det),
    )
    return torch.stack([(part.counts * term).sum() for term in terms])


def _error(theta: PPCAParams, q: Posterior, part: _Part, origin: Tensor) -> Tensor:
    """E_q |x_O - W_O z - mean_O|^2 of each row, (n,)."""
    residual = part.shown * (part.x - (theta.mean - origin) - q.means @ theta.loadings.T)
    doubt = ((theta.loadings @ q.covariances) * theta.loadings).sum(2)  # (p, D), the variances of W z
    return residual.square().sum(1) + (part.patterns * doubt).sum(1)[part.which]


def _log_density(theta: PPCAParams, at: Posterior, part: _Part, origin: Tensor) -> Tensor:
    """log N(x_O | mean_O, W_O W_O' + sigma^2 I) of each row, (n,), from q x q matrices.

    Its squares are |x_O - mean_O - W_O z|^2 / sigma^2 + |z|^2 at the posterior mean z: nothing cancels.
    """
    residual = part.shown * (part.x - (theta.mean - origin) - at.means @ theta.loadings.T)
    squares = residual.square().sum(1) / theta.noise_variance + at.means.square().sum(1)
    noise = part.shown.sum(1) * (LOG_2PI + theta.noise_variance.log())
    return -0.5 * (noise - at.log_det[part.which] + squares)


def maximum_at(theta_q: PPCAParams, rows: Rows) -> PPCAParams:
    """The theta that maximizes E_q[log p(x, z | theta)]: columns regressed on z and 1 where seen."""
    latents, parts = theta_q.loadings.shape[1], list(_parts(rows, theta_q.loadings.shape[1]))
    posteriors = list(_posteriors(theta_q, rows))
    made = [_normal_equations(q, part) for q, part in zip(posteriors, parts, strict=True)]
    left, right = (functools.reduce(torch.add, some) for some in zip(*made, strict=True))
    solved = torch.linalg.solve(left, right)  # (D, q + 1)
    mean, loadings = solved[:, -1] + rows.origin, solved[:, :latents].contiguous()
    theta = PPCAParams(mean, loadings, theta_q.noise_variance)
    errors, cells = (rows.x.new_zeros(()) for _ in range(2))
    for q, part in zip(posteriors, parts, strict=True):
        errors = errors + (part.counts * _error(theta, q, part, rows.origin)).sum()
        cells = cells + (part.counts * part.shown.sum(1)).sum()
    return theta._replace(noise_variance=errors / cells)


def _normal_equations(q: Posterior, part: _Part) -> tuple[Tensor, Tensor]:
    """Sums over the rows that show column d: E[(z, 1)(z, 1)'] (D, q+1, q+1) and x_nd E[(z, 1)] (D, q+1)."""
    extended = torch.cat([q.means, torch.ones_like(q.means[:, :1])], 1)
    second = extended[:, :, None] * extended[:, None, :]
    second[:, :-1, :-1] += q.covariances[part.which]
    weighted = (part.counts[:, None] * part.shown).T  # (D, n)
    return (weighted @ second.flatten(1)).unflatten(1, second.shape[1:]), (weighted * part.x.T) @ extended


def _trace(matrices: Tensor) -> Tensor:
    return matrices.diagonal(dim1=1, dim2=2).sum(1)


# ---- whole rows: no iteration is needed ----


def closed_form(points: Tensor, latents: int, weights: Tensor | None = None) -> PPCAParams:
    """Maximum likelihood of whole points (N, D) with q < D latents.

    With the eigenvalues l and vectors U of the covariance (1/N): sigma^2 is the mean of the D - q smallest l,
    W = U_q (L_q - sigma^2 I)^(1/2) (Tipping and Bishop, 1999). The largest entry of each column of W is
    positive. Raises ValueError when the points lie within q dimensions.
    """
    values, vectors, mean = spectrum(points, weights)
    noise = values[latents:].mean()
    if not float(noise) > 1e-13 * float(values.sum()):
        raise ValueError(FLAT)
    scale = (values[:latents] - noise).clamp(min=0.0).sqrt()
    return PPCAParams(mean, vectors[:, :latents] * scale, noise)


def spectrum(points: Tensor, weights: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Eigenvalues (D,) of the covariance (1/N), falling, their vectors (D, min(N, D)), and the mean (D,)."""
    counts = torch.ones_like(points[:, 0]) if weights is None else weights.to(points)
    mean = (counts[:, None] * points).sum(0) / counts.sum()
    rooted = (counts / counts.sum()).sqrt()[:, None] * (points - mean)
    _, singular, right = torch.linalg.svd(rooted, full_matrices=False)
    values = torch.zeros_like(mean)
    values[: len(singular)] = singular.square()
    largest = right.abs().argmax(1, keepdim=True)
    return values, (right * right.gather(1, largest).sign()).T, mean


FLAT = (
    "the noise variance falls to 0: what is seen lies within as many dimensions as there are latents. "
    "Use fewer latents, or more rows"
)


# ---- a theta applied to rows ----


class Applied(NamedTuple):
    """What theta says of rows, in their own order."""

    latents: Tensor  # (N, q) E[z | what is seen]
    log_density: Tensor  # (N,) log p(what is seen), nats; 0 for a row that shows nothing
    filled: Tensor  # (N, D) what is seen, and E[x | what is seen] elsewhere


def applied(theta: PPCAParams, points: Tensor) -> Applied:
    """Latents, log densities and filled gaps of points (N, D), NaN where nothing is seen."""
    seen, pattern = torch.unique(~points.isnan(), dim=0, return_inverse=True)
    order = pattern.argsort(stable=True)
    x = torch.where(points.isnan(), 0.0, points - theta.mean)[order]
    rows = Rows(x, seen, pattern[order], torch.ones_like(x[:, 0]), theta.mean, order)
    latents, densities = x.new_empty(len(x), theta.loadings.shape[1]), x.new_empty(len(x))
    start = 0
    for part in _parts(rows, theta.loadings.shape[1]):
        at, place = _posterior(theta, part, theta.mean), order[start : start + len(part.x)]
        latents[place] = at.means
        densities[place] = _log_density(theta, at, part, theta.mean)
        start += len(part.x)
    guess = latents @ theta.loadings.T + theta.mean
    return Applied(latents, densities, torch.where(points.isnan(), guess, points))


def latent_means(thetas: Sequence[PPCAParams], points: Tensor) -> Tensor:
    """E[z_n | what is seen of x_n] of points (N, D) under each of T thetas of q latents, (T, N, q)."""
    seen, pattern = torch.unique(~points.isnan(), dim=0, return_inverse=True)
    mean, w, noise = (torch.stack(parts) for parts in zip(*thetas, strict=True))  # (T, D), (T, D, q), (T,)
    products = (w[:, :, :, None] * w[:, :, None, :]).flatten(2) / noise[:, None, None]  # (T, D, q q)
    latents = w.shape[2]
    inner = (seen.to(w) @ products).unflatten(2, (latents, latents))  # (T, P, q, q)
    precisions = inner + torch.eye(latents, dtype=w.dtype, device=w.device)
    apart = torch.where(points.isnan(), 0.0, points - mean[:, None, :])  # (T, N, D)
    pulled = (apart @ w) / noise[:, None, None]
    return torch.linalg.solve(precisions[:, pattern], pulled[..., None]).squeeze(3)


def covariance(theta: PPCAParams) -> Tensor:
    """W W' + sigma^2 I, (D, D)."""
    eye = torch.eye(len(theta.mean), dtype=theta.mean.dtype, device=theta.mean.device)
    return theta.loadings @ theta.loadings.T + theta.noise_variance * eye
