"""One Gaussian seen through gaps: conditionals of what is missing, every term of the bound, M's maximum.

Rows that show the same columns are one pattern; its counts, means and scatters are all that EM needs of them,
so a half-step costs as many small matrices as there are patterns, however many rows there are.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lvmviz.divergences import Decomposition

LOG_2PI = math.log(2.0 * math.pi)
CHUNK = 2**18  # numbers (patterns x D x D) in work at once


class GaussianParams(NamedTuple):
    """theta = (mean, covariance) of one Gaussian."""

    mean: Tensor  # (D,)
    covariance: Tensor  # (D, D) positive definite


class Patterns(NamedTuple):
    """N rows with gaps, gathered by which columns they show."""

    seen: Tensor  # (P, D) bool
    counts: Tensor  # (P,) rows, each as often as it counts
    means: Tensor  # (P, D) of the rows, less the origin; 0 where nothing is seen
    scatters: Tensor  # (P, D, D) sums of squares about the pattern's mean; 0 where nothing is seen
    origin: Tensor  # (D,) the mean of what is seen of each column: sums about it keep their digits
    row: Tensor  # (N,) int64, the pattern of each row


def gathered(points: Tensor, weights: Tensor | None = None) -> Patterns:
    """The patterns of points (N, D) with NaN where nothing is seen, each row counted `weights` (N,) times."""
    counts = torch.ones_like(points[:, 0]) if weights is None else weights.to(points)
    shown = ~points.isnan() & (counts > 0)[:, None]
    origin = column_means(points, weights).nan_to_num(0.0)  # of a column without values
    rows = torch.where(shown, points - origin, 0.0)
    seen, row = torch.unique(shown, dim=0, return_inverse=True)
    total = rows.new_zeros(len(seen)).index_add_(0, row, counts)
    share = (counts / torch.where(total > 0, total, 1.0)[row])[:, None]
    means = rows.new_zeros(seen.shape).index_add_(0, row, share * rows)
    return Patterns(seen, total, means, _scatters(rows - means[row], counts, row, seen), origin, row)


def _scatters(centred: Tensor, counts: Tensor, row: Tensor, seen: Tensor) -> Tensor:
    """Sums of squares (P, D, D) of rows (N, D) about the means of their patterns."""
    sums = centred.new_zeros((*seen.shape, seen.shape[1]))
    size = max(1, CHUNK // seen.shape[1] ** 2)
    for some, count, place in zip(centred.split(size), counts.split(size), row.split(size), strict=True):
        sums.index_add_(0, place, (count[:, None] * some)[:, :, None] * some[:, None, :])
    return torch.where(_both(seen), sums, 0.0)


def column_means(points: Tensor, weights: Tensor | None = None) -> Tensor:
    """The mean (D,) of what is seen of each column."""
    return _column(points, points, weights)


def column_variances(points: Tensor, weights: Tensor | None = None) -> Tensor:
    """The variance (D,) of what is seen of each column."""
    return _column(points, (points - column_means(points, weights)).square(), weights)


def _column(points: Tensor, values: Tensor, weights: Tensor | None) -> Tensor:
    """The mean (D,) of values (N, D) over the rows that show the column."""
    count = (~points.isnan()).to(points)
    count = count if weights is None else count * weights.to(points)[:, None]
    return torch.where(count > 0, count * values, 0.0).sum(0) / count.sum(0)


def _both(seen: Tensor) -> Tensor:
    """Which cells (P, D, D) of a matrix belong to two chosen columns (P, D)."""
    return seen[:, :, None] & seen[:, None, :]


class _Inverse(NamedTuple):
    """The inverse of a block of each pattern, 0 outside it, and the log determinant of the block."""

    matrix: Tensor  # (P, D, D)
    log_det: Tensor  # (P,)


def _block(matrix: Tensor, chosen: Tensor) -> _Inverse:
    """Invert the block of chosen columns (P, D) of a positive definite matrix (D, D)."""
    both = _both(chosen)
    padded = torch.where(both, matrix, 0.0) + torch.diag_embed((~chosen).to(matrix))
    factor = torch.linalg.cholesky(padded)
    inverse = torch.where(both, torch.cholesky_inverse(factor), 0.0)
    return _Inverse(inverse, 2.0 * factor.diagonal(dim1=-2, dim2=-1).log().sum(-1))


def _precision(theta: GaussianParams) -> Tensor:
    return torch.cholesky_inverse(torch.linalg.cholesky(theta.covariance))


class Conditionals(NamedTuple):
    """q of what is missing, given what is seen: Gaussian, its mean linear in the row; for each pattern."""

    fill: Tensor  # (P, D, D) completes a row: E[x | seen] = mean + fill (x - mean), 0 for x - mean in gaps
    spread: Tensor  # (P, D, D) covariance of what is missing; 0 outside
    log_det: Tensor  # (P,) of the missing block


def conditionals(theta: GaussianParams, seen: Tensor, factorized: bool = False) -> Conditionals:
    """p(missing | seen, theta); or, factorized, the product of Gaussians with the least KL to it.

    With the precision Lambda: covariance inv(Lambda_MM), mean mu_M - inv(Lambda_MM) Lambda_MO (x_O - mu_O);
    the best product has the same means and the variances 1 / Lambda_ii (Bishop, 2006, section 10.1.2).
    """
    precision = _precision(theta)
    exact = _block(precision, ~seen)
    across = torch.where(~seen[:, :, None] & seen[:, None, :], precision, 0.0)
    fill = torch.diag_embed(seen.to(precision)) - exact.matrix @ across
    if not factorized:
        return Conditionals(fill, exact.matrix, -exact.log_det)
    diagonal = precision.diagonal(dim1=-2, dim2=-1)
    variances = torch.where(seen, 0.0, 1.0 / diagonal)
    log_det = -torch.where(seen, 0.0, diagonal.log()).sum(-1)
    return Conditionals(fill, torch.diag_embed(variances), log_det)


class Completed(NamedTuple):
    """What q makes of the rows of each pattern, their gaps filled."""

    means: Tensor  # (P, D) of the filled rows, less the origin
    scatters: Tensor  # (P, D, D) sums of squares of the filled rows about these
    spreads: Tensor  # (P, D, D) covariances of what was filled in, times the rows
    q: Conditionals


# The last two, with the tensors they were made from: E and M ask for what the half-step before computed for
# its own numbers. Tensors are compared by identity and version, so nothing stale is ever found.
_recent: tuple[tuple[tuple[Tensor, ...], tuple[int, ...], bool, Completed], ...] = ()


def completed(theta_q: GaussianParams, part: Patterns, factorized: bool = False) -> Completed:
    """The rows of each pattern under q, the (factorized) conditionals of theta_q; the last two are kept."""
    global _recent
    made_from = (*theta_q, part.seen, part.counts, part.means, part.scatters, part.origin)
    if any(tensor.requires_grad for tensor in made_from):
        return _completed(theta_q, part, factorized)  # each gradient wants a graph of its own
    versions = tuple(tensor._version for tensor in made_from)
    for known, old, kind, found in _recent:
        same = all(a is b for a, b in zip(known, made_from, strict=True))
        if same and old == versions and kind == factorized:
            return found
    made = _completed(theta_q, part, factorized)
    _recent = ((made_from, versions, factorized, made), *_recent[:1])
    return made


def _completed(theta_q: GaussianParams, part: Patterns, factorized: bool) -> Completed:
    q = conditionals(theta_q, part.seen, factorized)
    mean = theta_q.mean - part.origin
    apart = torch.where(part.seen, part.means - mean, 0.0)
    means = mean + (q.fill @ apart[:, :, None]).squeeze(2)
    scatters = q.fill @ part.scatters @ q.fill.mT
    return Completed(means, scatters, part.counts[:, None, None] * q.spread, q)


def chunks(patterns: Patterns) -> list[Patterns]:
    """The patterns in order, in parts of a size that D alone decides."""
    size = max(1, CHUNK // patterns.seen.shape[1] ** 2)
    if len(patterns.seen) <= size:
        return [patterns]
    tables = (patterns.seen, patterns.counts, patterns.means, patterns.scatters)
    parts = zip(*(table.split(size) for table in tables), strict=True)
    return [Patterns(seen, n, mean, some, patterns.origin, patterns.row) for seen, n, mean, some in parts]


def maximum_at(theta_q: GaussianParams, patterns: Patterns, factorized: bool = False) -> GaussianParams:
    """The theta that maximizes E_q[log p(X | theta)]: the moments of the filled rows plus q's covariances."""
    made = [completed(theta_q, part, factorized) for part in chunks(patterns)]
    means = torch.cat([one.means for one in made])
    within = functools.reduce(torch.add, [(one.scatters + one.spreads).sum(0) for one in made])
    total = patterns.counts.sum()
    mean = (patterns.counts[:, None] * means).sum(0) / total
    apart = means - mean
    covariance = (within + apart.T @ (patterns.counts[:, None] * apart)) / total
    return GaussianParams(mean + patterns.origin, 0.5 * (covariance + covariance.T))


def decompose_at(
    theta: GaussianParams, theta_q: GaussianParams, patterns: Patterns, factorized: bool = False
) -> Decomposition:
    """Evidence and ELBO of `theta` under the q made from `theta_q`, nats; every term a sum of its own."""
    terms = [_terms(theta, completed(theta_q, part, factorized), part) for part in chunks(patterns)]
    return Decomposition(*functools.reduce(torch.add, terms).tolist())


def _terms(theta: GaussianParams, filled: Completed, part: Patterns) -> Tensor:
    """The terms (7,) of a decomposition; z is what is missing, x what is seen."""
    mean, everywhere = theta.mean - part.origin, torch.ones_like(part.seen[:1])
    whole = _block(theta.covariance, everywhere)
    second = filled.scatters + _outer(filled.means - mean, part.counts) + filled.spreads
    count, holes = part.counts, (~part.seen).to(part.means).sum(1)
    width, log_q = part.seen.shape[1], filled.q.log_det
    squares = _trace(whole.matrix, second)  # E_q of the Mahalanobis distances
    entropy = 0.5 * count * (holes * (1.0 + LOG_2PI) + log_q)
    joint = -0.5 * (count * (width * LOG_2PI + whole.log_det) + squares)
    elbo = -0.5 * (count * ((width - holes) * LOG_2PI + whole.log_det - log_q - holes) + squares)
    terms = (_seen(theta, part), elbo, _kl(theta, filled, part), joint, entropy,
             _likelihood(whole.matrix[0], second, part), _kl_prior(theta, filled, second, part))  # fmt: skip
    return torch.stack([term.sum() for term in terms])


def _seen(theta: GaussianParams, part: Patterns) -> Tensor:
    """log p(what is seen | theta) of each pattern, (P,)."""
    block = _block(theta.covariance, part.seen)
    apart = torch.where(part.seen, part.means - (theta.mean - part.origin), 0.0)
    squares = _trace(block.matrix, part.scatters + _outer(apart, part.counts))
    return -0.5 * (part.counts * (part.seen.to(part.means).sum(1) * LOG_2PI + block.log_det) + squares)


def _kl(theta: GaussianParams, filled: Completed, part: Patterns) -> Tensor:
    """KL(q || p(missing | seen, theta)) of each pattern, (P,): a mean under q of log q - log p."""
    at, holes = completed(theta, part), ~part.seen
    precision = torch.where(_both(holes), _precision(theta), 0.0)
    turn = filled.q.fill - at.q.fill
    apart = turn @ part.scatters @ turn.mT + _outer(filled.means - at.means, part.counts)
    squares = _trace(precision, apart + filled.spreads)
    return 0.5 * (squares + part.counts * (at.q.log_det - filled.q.log_det - holes.sum(1)))


def _kl_prior(theta: GaussianParams, filled: Completed, second: Tensor, part: Patterns) -> Tensor:
    """KL(q || p(missing | theta)) of each pattern, (P,)."""
    block = _block(theta.covariance, ~part.seen)
    constant = block.log_det - filled.q.log_det - (~part.seen).sum(1)
    return 0.5 * (_trace(block.matrix, second) + part.counts * constant)


def _likelihood(precision: Tensor, second: Tensor, part: Patterns) -> Tensor:
    """E_q[log p(seen | missing, theta)] of each pattern, (P,): the precision's block is that of p."""
    block = _block(precision, part.seen)
    squares = _trace(block.matrix, precision @ second @ precision)
    return -0.5 * (part.counts * (part.seen.to(part.means).sum(1) * LOG_2PI - block.log_det) + squares)


def _outer(rows: Tensor, counts: Tensor) -> Tensor:
    return (counts[:, None] * rows)[:, :, None] * rows[:, None, :]


def _trace(a: Tensor, b: Tensor) -> Tensor:
    """The trace of a b for symmetric matrices (P, D, D), (P,)."""
    return (a * b).sum((1, 2))


# ---- what is drawn ----


class Filled(NamedTuple):
    """Every cell with what is known of it."""

    means: Tensor  # (N, D) what is seen, and E[x | seen] elsewhere
    sds: Tensor  # (N, D) standard deviations, 0 where seen


def fill(theta: GaussianParams, points: Tensor, factorized: bool = False) -> Filled:
    """The gaps of points (N, D), NaN where nothing is seen, filled by the (factorized) conditionals."""
    holes = points.isnan()
    seen, row = torch.unique(~holes, dim=0, return_inverse=True)
    means, sds = points.clone(), torch.zeros_like(points)
    apart = torch.where(holes, 0.0, points - theta.mean)
    size = max(1, CHUNK // seen.shape[1] ** 2)
    for first in range(0, len(seen), size):
        q = conditionals(theta, seen[first : first + size], factorized)
        (rows,) = ((row >= first) & (row < first + size)).nonzero(as_tuple=True)
        for some in rows.split(size):
            place = row[some] - first
            means[some] = theta.mean + (q.fill[place] @ apart[some, :, None]).squeeze(2)
            sds[some] = q.spread.diagonal(dim1=1, dim2=2).sqrt()[place]
    return Filled(torch.where(holes, means, points), sds)


def fill_each(thetas: Sequence[GaussianParams], points: Tensor, factorized: bool = False) -> Filled:
    """The same under each of T thetas, (T, N, D): the inverses of all of them in one call."""
    mean, covariance = (torch.stack(parts) for parts in zip(*thetas, strict=True))
    holes = points.isnan()
    seen, row = torch.unique(~holes, dim=0, return_inverse=True)
    q = conditionals(GaussianParams(mean[:, None], covariance[:, None]), seen, factorized)  # (T, P, D, D)
    apart = torch.where(holes, 0.0, points - mean[:, None])
    means = mean[:, None] + (q.fill[:, row] @ apart[..., None]).squeeze(3)
    sds = q.spread.diagonal(dim1=-2, dim2=-1).sqrt()[:, row]
    return Filled(torch.where(holes, means, points), sds)


def log_density(theta: GaussianParams, points: Tensor) -> Tensor:
    """log p(what is seen of each row | theta), (N,), nats; 0 for a row that shows nothing."""
    seen, row = torch.unique(~points.isnan(), dim=0, return_inverse=True)
    rows = torch.where(points.isnan(), 0.0, points - theta.mean)
    found = torch.empty_like(rows[:, 0])
    size = max(1, CHUNK // seen.shape[1] ** 2)
    for first in range(0, len(seen), size):
        block = _block(theta.covariance, seen[first : first + size])
        (some,) = ((row >= first) & (row < first + size)).nonzero(as_tuple=True)
        for part in some.split(size):
            place = row[part] - first
            squares = ((block.matrix[place] @ rows[part, :, None]).squeeze(2) * rows[part]).sum(1)
            constant = seen.to(points).sum(1)[row[part]] * LOG_2PI + block.log_det[place]
            found[part] = -0.5 * (constant + squares)
    return found


def divergence(p: GaussianParams, q: GaussianParams) -> Tensor:
    """KL(p || q) of two Gaussians, (), nats."""
    factor = torch.linalg.cholesky(q.covariance)
    root = torch.linalg.solve_triangular(factor, torch.linalg.cholesky(p.covariance), upper=False)
    apart = torch.linalg.solve_triangular(factor, (p.mean - q.mean)[:, None], upper=False)
    log_det = root.diagonal().log().sum()
    return 0.5 * (root.square().sum() - len(p.mean) + apart.square().sum()) - log_det
