"""Bernoulli mixtures: log densities, responsibilities and the M-step's maximum, also with missing pixels."""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import torch
from torch import Tensor

from lvmviz.divergences import Decomposition
from lvmviz.mixtures import Responsibilities

CHUNK = 2**18  # numbers in work at once, 2 MiB a table, however many rows there are


class BernoulliMixtureParams(NamedTuple):
    """theta = (weights, means) of a Bernoulli mixture; dimensions in front are separate mixtures."""

    weights: Tensor  # (..., K) pi, not negative, sums to one
    means: Tensor  # (..., K, D) mu, from 0 to 1, both included


class Data(NamedTuple):
    """N rows of D pixels, and what is known of each.

    A pixel between 0 and 1 counts as so much on and the rest off: its "log density" is the cross-entropy
    x log mu + (1 - x) log(1 - mu), which is normalized over x in {0, 1} only.
    """

    x: Tensor  # (N, D) from 0 to 1; anything where missing
    observed: Tensor | None = None  # (N, D) bool; None: every pixel is
    labels: Tensor | None = None  # (N,) int64, the component that is known to have made the row; -1: unknown
    weights: Tensor | None = None  # (N,) how often the row counts; None: once


class Evaluation(NamedTuple):
    """What one pass over the rows says of a theta."""

    log_lik: Tensor  # (N, ..., K) log p(x_n | mu_k) of the observed pixels, nats
    log_joint: Tensor  # (N, ..., K) the same + log pi_k; -inf where the label is another
    log_density: Tensor  # (N, ...) log p(x_n | theta), or log p(x_n, label_n | theta)
    posterior: Responsibilities  # (N, ..., K) p(z_n = k | x_n, label_n, theta)


class Statistics(NamedTuple):
    """What an M-step needs to know of the rows."""

    counts: Tensor  # (..., K) sum_n q_nk
    on: Tensor  # (..., K, D) sum_n q_nk x_nd over the rows that show pixel d
    off: Tensor  # (..., K, D) sum_n q_nk (1 - x_nd) over the same rows


def log_likelihoods(theta: BernoulliMixtureParams, data: Data) -> Tensor:
    """log p(x_n | mu_k) of the observed pixels, (N, ..., K), nats, by one matrix product.

    sum_d x_nd log mu_kd + (1 - x_nd) log(1 - mu_kd) with 0 log 0 = 0; -inf where a mean of
    0 or 1 rules x out.
    """
    return _log_likelihoods(theta.means, _on_and_off(data))


def _log_likelihoods(means: Tensor, on_and_off: Tensor) -> Tensor:
    possible = torch.cat([means > 0, means < 1], -1)  # (..., K, 2 D)
    log_on = torch.where(means > 0, means, 1.0).log()
    logs = torch.cat([log_on, torch.log1p(-torch.where(means < 1, means, 0.0))], -1)
    if bool(possible.all()):
        return _product(on_and_off, logs)
    # 0 times -inf would be NaN: what is impossible is counted in columns of its own
    table = torch.cat([logs, (~possible).to(logs)], -2)
    log_lik, ruled_out = _product(on_and_off, table).chunk(2, -1)
    return torch.where(ruled_out > 0, -torch.inf, log_lik)


def _on_and_off(data: Data) -> Tensor:
    """How much each pixel is on, and how much off, (N, 2 D); a missing one is neither."""
    both = torch.cat([data.x, 1.0 - data.x], 1)
    # in place: a masked copy takes four times as long, and every pass makes one
    return both if data.observed is None else both.masked_fill_((~data.observed).repeat(1, 2), 0.0)


def _product(rows: Tensor, table: Tensor) -> Tensor:
    """Rows (N, M) times a table (..., K, M), as (N, ..., K)."""
    return (rows @ table.flatten(0, -2).T).unflatten(1, table.shape[:-1])


def evaluate(theta: BernoulliMixtureParams, data: Data) -> Evaluation:
    """One pass over all rows at once; where theta rules a row out, its posterior is uniform."""
    return _evaluate(theta, data, _on_and_off(data))


def _evaluate(theta: BernoulliMixtureParams, data: Data, on_and_off: Tensor) -> Evaluation:
    log_lik = _log_likelihoods(theta.means, on_and_off)
    barred = _barred(data, log_lik)
    log_joint = (log_lik + theta.weights.log()).masked_fill(barred, -torch.inf)
    log_density = log_joint.logsumexp(-1)
    lost = log_density.isneginf()
    log_resp = log_joint - torch.where(lost, 0.0, log_density)[..., None]
    if bool(lost.any()):
        uniform = torch.zeros_like(log_joint).masked_fill(barred, -torch.inf).log_softmax(-1)
        log_resp = torch.where(lost[..., None], uniform, log_resp)
    return Evaluation(log_lik, log_joint, log_density, Responsibilities(log_resp, log_resp.exp()))


def _barred(data: Data, like: Tensor) -> Tensor:
    """Which components the labels rule out, in a shape that fits (N, ..., K)."""
    if data.labels is None:
        return torch.zeros((), dtype=torch.bool, device=like.device)
    labels = _beside(data.labels, like)
    return (labels >= 0) & (labels != torch.arange(like.shape[-1], device=like.device))


def responsibilities(theta: BernoulliMixtureParams, data: Data) -> Responsibilities:
    """The posterior p(z_n = k | x_n, label_n, theta), (N, ..., K), chunk by chunk."""
    parts = [evaluate(theta, part).posterior for part in chunks(data, theta)]
    return Responsibilities(*map(torch.cat, zip(*parts, strict=True)))


def log_density(theta: BernoulliMixtureParams, data: Data) -> Tensor:
    """log p(x_n | theta) of the observed pixels, (N, ...), nats, chunk by chunk."""
    return torch.cat([evaluate(theta, part).log_density for part in chunks(data, theta)])


def filled(theta: BernoulliMixtureParams, data: Data) -> Tensor:
    """x (N, D) with E[x_nd | what was seen of row n] where a pixel is missing, for one mixture."""
    if data.observed is None:
        return data.x
    parts = chunks(data, theta)
    guesses = torch.cat([responsibilities(theta, part).resp @ theta.means for part in parts])
    return torch.where(data.observed, data.x, guesses)


def chunks(data: Data, theta: BernoulliMixtureParams) -> tuple[Data, ...]:
    """The rows in order, in parts of a size that theta's shape alone decides.

    Sums go over the parts from the first to the last, so their bits do not depend on what else is running.
    """
    rows = max(1, CHUNK // (2 * theta.means.shape[-1] + 2 * theta.weights.numel()))
    if len(data.x) <= rows:
        return (data,)
    split = [[None] * math.ceil(len(data.x) / rows) if part is None else part.split(rows) for part in data]
    return tuple(Data(*parts) for parts in zip(*split, strict=True))


# ---- the M-step ----


def statistics(q: Responsibilities, data: Data) -> Statistics:
    """What q (N, ..., K) says of the rows."""
    return _statistics(q.resp, data, _on_and_off(data))


def _statistics(resp: Tensor, data: Data, on_and_off: Tensor) -> Statistics:
    if data.weights is not None:
        resp = resp * _beside(data.weights, resp)
    sums = (resp.flatten(1).T @ on_and_off).unflatten(0, resp.shape[1:])
    return Statistics(resp.sum(0), *sums.chunk(2, -1))


def statistics_at(theta: BernoulliMixtureParams, data: Data) -> tuple[Statistics, Tensor]:
    """The same where q is the posterior of `theta`, and log p(X, labels | theta) (...), chunk by chunk."""
    made = (_one_pass(theta, part) for part in chunks(data, theta))
    *told, log_lik = functools.reduce(lambda a, b: tuple(map(torch.add, a, b)), made)
    return Statistics(*told), log_lik


def _one_pass(theta: BernoulliMixtureParams, data: Data) -> tuple[Tensor, ...]:
    on_and_off = _on_and_off(data)
    at = _evaluate(theta, data, on_and_off)
    return *_statistics(at.posterior.resp, data, on_and_off), _total(data, at.log_density)


def maximum(told: Statistics, pseudo_count: float = 0.0) -> BernoulliMixtureParams:
    """The theta that maximizes E_q[log p(x, z | theta)] + `log_prior`: shares of the observed pixels.

    mu_kd = (on_kd + a) / (on_kd + off_kd + 2 a) with a pseudo-counts; where nothing was seen, 1/2.
    (Bishop, 2006, section 9.3.3; missing pixels: Ghahramani and Jordan, 1994.)
    """
    on, off = told.on + pseudo_count, told.off + pseudo_count
    seen = on + off
    means = torch.where(seen > 0, on / torch.where(seen > 0, seen, 1.0), 0.5)
    # rounding must not make impossible what was seen, however little it counts
    real = torch.finfo(means.dtype)
    means = means.clamp(real.tiny * (on > 0).to(means), 1.0 - real.eps / 2 * (off > 0).to(means))
    return BernoulliMixtureParams(told.counts / told.counts.sum(-1, keepdim=True), means)


def log_prior(theta: BernoulliMixtureParams, pseudo_count: float) -> Tensor:
    """a sum_kd (log mu_kd + log(1 - mu_kd)), (...), nats: mu ~ Beta(a + 1, a + 1), not normalized."""
    if pseudo_count == 0.0:
        return torch.zeros_like(theta.weights[..., 0])  # not 0 times -inf
    return pseudo_count * (theta.means.log() + torch.log1p(-theta.means)).sum((-2, -1))


# ---- evidence and ELBO ----


def decompose(theta: BernoulliMixtureParams, q: Responsibilities, data: Data) -> Decomposition:
    """Evidence and ELBO of one `theta` under `q`, summed over the rows, nats; every term from its own sum."""
    parts = chunks(data, theta)
    shares = zip(*(part.split(len(parts[0].x)) for part in q), strict=True)
    terms = [_terms(theta, Responsibilities(*q), part) for q, part in zip(shares, parts, strict=True)]
    return Decomposition(*functools.reduce(torch.add, terms).tolist())


def decompose_at(theta: BernoulliMixtureParams, theta_q: BernoulliMixtureParams, data: Data) -> Decomposition:
    """The same where q is the posterior of `theta_q`: with no table of all the rows."""
    terms = [_terms_at(theta, theta_q, part) for part in chunks(data, theta)]
    return Decomposition(*functools.reduce(torch.add, terms).tolist())


def _terms_at(theta: BernoulliMixtureParams, theta_q: BernoulliMixtureParams, data: Data) -> Tensor:
    """The pixels are laid out once for both; after an E-step both are the same, and so is their one pass."""
    on_and_off = _on_and_off(data)
    at = _evaluate(theta, data, on_and_off)
    same = all(a is b for a, b in zip(theta, theta_q, strict=True))
    q = at.posterior if same else _evaluate(theta_q, data, on_and_off).posterior
    return _sums(theta, q, at, data)


def _terms(theta: BernoulliMixtureParams, q: Responsibilities, data: Data) -> Tensor:
    return _sums(theta, q, evaluate(theta, data), data)


def _sums(theta: BernoulliMixtureParams, q: Responsibilities, at: Evaluation, data: Data) -> Tensor:
    """The terms (7,) of a decomposition."""
    terms = (
        at.log_density,
        _mean(q, at.log_joint - q.log_resp),
        _mean(q, q.log_resp - at.posterior.log_resp),
        _mean(q, at.log_joint),
        -_mean(q, q.log_resp),
        _mean(q, at.log_lik),
        _mean(q, q.log_resp - theta.weights.log()),
    )
    return torch.stack([_total(data, term) for term in terms])


def _mean(q: Responsibilities, term: Tensor) -> Tensor:
    """sum_k q_nk term_nk, (N,), with 0 log 0 = 0."""
    return torch.where(q.resp > 0, q.resp * term, 0.0).sum(-1)


def _total(data: Data, term: Tensor) -> Tensor:
    """The sum over the rows of a term (N, ...), each as often as it counts."""
    if data.weights is None:
        return term.sum(0)
    weights = _beside(data.weights, term)
    return torch.where(weights > 0, weights * term, 0.0).sum(0)


def _beside(column: Tensor, table: Tensor) -> Tensor:
    """A column (N,) in a shape that fits a table (N, ...)."""
    return column.reshape(-1, *(1 for _ in table.shape[1:]))
