"""Bayesian linear regression in closed form: the evidence over (beta, lambda), posteriors, the bound's terms.

y ~ N(X w, I / beta), w ~ N(0, I / lambda). In the coordinates of X's singular vectors the weights are
independent, so each number costs O(D) once X is decomposed (note 003; Bishop, 2006, section 3.5).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from lvmviz.core import Key, generator
from lvmviz.divergences import Decomposition

LOG_2PI = math.log(2.0 * math.pi)
ROUNDING = 1e-20  # of |y|^2: a residual this small is none
ENDLESS = 1e150  # precisions beyond it, or below its inverse, overflow when squared


class Precisions(NamedTuple):
    """theta = (beta, lambda)."""

    beta: Tensor  # (...) 1 / variance of the noise
    lambda_: Tensor  # (...) 1 / variance of the weights


class Decomposed(NamedTuple):
    """What the evidence needs to know of X (N, D) and y (N,): X = U diag(values)^(1/2) V'."""

    values: Tensor  # (D,) eigenvalues of X'X, the largest first; 0 beyond N
    pulled: Tensor  # (D,) U'y; 0 beyond N
    basis: Tensor  # (D, min(N, D)) V
    rest: Tensor  # () |y - U U'y|^2
    rows: int  # N


def decomposed(x: Tensor, y: Tensor) -> Decomposed:
    """X (N, D) and y (N,) by X's singular vectors."""
    left, singular, right = torch.linalg.svd(x, full_matrices=False)
    values, pulled = x.new_zeros(x.shape[1]), x.new_zeros(x.shape[1])
    values[: len(singular)] = singular.square()
    pulled[: len(singular)] = left.T @ y
    rest = (y - left @ (left.T @ y)).square().sum() if x.shape[0] > x.shape[1] else x.new_zeros(())
    return Decomposed(values, pulled, right.T, rest, len(y))


def log_evidence(theta: Precisions, data: Decomposed) -> Tensor:
    """log p(y | X, beta, lambda) = log N(y | 0, I / beta + X X' / lambda), nats, of any shape (...)."""
    beta, shrunk = theta.beta[..., None], theta.beta[..., None] * data.values / theta.lambda_[..., None]
    squares = (beta * data.pulled.square() / (1.0 + shrunk)).sum(-1) + theta.beta * data.rest
    return -0.5 * (data.rows * (LOG_2PI - theta.beta.log()) + torch.log1p(shrunk).sum(-1) + squares)


class WeightsPosterior(NamedTuple):
    """q(w): independent Gaussians in the coordinates V'w (beyond N: anywhere across them)."""

    means: Tensor  # (D,)
    variances: Tensor  # (D,)


def posterior(theta: Precisions, data: Decomposed) -> WeightsPosterior:
    """p(w | X, y, beta, lambda); with beta = 0 that is the prior."""
    precisions = theta.beta * data.values + theta.lambda_
    return WeightsPosterior(theta.beta * data.values.sqrt() * data.pulled / precisions, 1.0 / precisions)


class Expected(NamedTuple):
    """What q expects of the two squares that theta multiplies."""

    error: Tensor  # () E_q |y - X w|^2
    size: Tensor  # () E_q |w|^2


def expected(q: WeightsPosterior, data: Decomposed) -> Expected:
    """E_q |y - X w|^2 and E_q |w|^2."""
    missed = (data.pulled - data.values.sqrt() * q.means).square() + data.values * q.variances
    return Expected(missed.sum() + data.rest, (q.means.square() + q.variances).sum())


def determined(theta: Precisions, data: Decomposed) -> Tensor:
    """How many weights the data determine, gamma = sum_i beta s_i / (lambda + beta s_i), ()."""
    seen = theta.beta * data.values
    return (seen / (theta.lambda_ + seen)).sum()


def decompose_at(theta: Precisions, theta_q: Precisions, data: Decomposed) -> Decomposition:
    """Evidence and ELBO of `theta` under q, the posterior of `theta_q`, nats; every term a sum of its own."""
    q, at, width = posterior(theta_q, data), posterior(theta, data), len(data.values)
    error, size = expected(q, data)
    noise = data.rows * (LOG_2PI - theta.beta.log()) + theta.beta * error
    prior = theta.lambda_ * (q.means.square() + q.variances)
    logs = q.variances.log()
    shift = (q.means - at.means).square() / at.variances
    ratio = q.variances / at.variances
    terms = (
        log_evidence(theta, data),
        -0.5 * (noise + (prior - theta.lambda_.log() - logs - 1.0).sum()),
        0.5 * (ratio - 1.0 - ratio.log() + shift).sum(),
        -0.5 * (noise + width * (LOG_2PI - theta.lambda_.log()) + theta.lambda_ * size),
        0.5 * (1.0 + LOG_2PI + logs).sum(),
        -0.5 * noise,
        0.5 * (prior - 1.0 - (theta.lambda_ * q.variances).log()).sum(),
    )
    return Decomposition(*(float(term) for term in terms))


def gradient(theta: Precisions, data: Decomposed) -> Tensor:
    """The gradient of the log evidence in (log beta, log lambda), (2,), nats.

    By Fisher's identity it is that of the ELBO whose q is the posterior of theta.
    """
    return slope(theta, expected(posterior(theta, data), data), data)


def slope(theta: Precisions, squares: Expected, data: Decomposed) -> Tensor:
    """The gradient of the ELBO in (log beta, log lambda), (2,), given what q expects."""
    beta = 0.5 * (data.rows - theta.beta * squares.error)
    return torch.stack([beta, 0.5 * (len(data.values) - theta.lambda_ * squares.size)])


# ---- where there is no finite maximum ----

NO_WEIGHTS = (
    "λ grows without limit: the evidence is highest when every weight is 0, a spike as prior: the columns "
    "tell nothing of y. Use other columns, or more rows"
)
NO_NOISE = (
    "β grows without limit: the columns reproduce y exactly, so that no noise is left. "
    "Use fewer columns (a lower degree), or more rows"
)
NO_TARGET = "β and λ grow without limit: y is 0 in every row, so that there is nothing to tell. Use another y"
OVERFLOW = "β or λ left the range of numbers: lower the rate, or start nearer to 1"


def runaway(theta: Precisions, data: Decomposed) -> str:
    """Why this run cannot end at a finite theta, as a sentence; empty while it can."""
    if not float(data.rest + data.pulled.square().sum()) > 0.0:
        return NO_TARGET
    if _towards_no_weights(_clipped(theta), data):
        return NO_WEIGHTS
    if _towards_no_noise(_clipped(theta), data):
        return NO_NOISE
    return "" if within(theta) else OVERFLOW


TO_NO_WEIGHTS = (
    "λ → ∞: the data say nothing of the weights; the best prior is a spike at 0. With this β the evidence "
    "rises all the way: λ has no finite optimum."
)
TO_NO_NOISE = (
    "β → ∞: the noise goes to 0: {} through every point. With this λ the evidence rises all the way: "
    "β has no finite optimum."
)


def heading(theta: Precisions, before: Precisions, data: Decomposed, fit: str = "the columns pass") -> str:
    """Where a run that moved from `before` to `theta` goes, as a sentence, if it has no end; else empty.

    Said only where the evidence is sure to rise from here to infinity with the other precision as it is; a
    finite maximum never passes for one, as the slope there is 0.
    """
    if float(theta.lambda_) > float(before.lambda_) and _less_weights(_clipped(theta), data):
        return TO_NO_WEIGHTS
    if float(theta.beta) > float(before.beta) and _less_noise(_clipped(theta), data):
        return TO_NO_NOISE.format(fit)
    return ""


def within(theta: Precisions) -> bool:
    """Whether both precisions are numbers that can be computed with."""
    return all(1.0 / ENDLESS < float(part) < ENDLESS for part in theta)


def _clipped(theta: Precisions) -> Precisions:
    """The same, or the largest that can be computed with: 0/0 stands for a precision that has no bound."""
    parts = (part.nan_to_num(ENDLESS, ENDLESS).clamp(1.0 / ENDLESS, ENDLESS) for part in theta)
    return Precisions(*parts)


def _towards_no_weights(theta: Precisions, data: Decomposed) -> bool:
    """Whether lambda outweighs the data, and the evidence rises from here to lambda = infinity."""
    outweighed = float(theta.lambda_) > 100.0 * float(theta.beta * data.values[0])
    return outweighed and _less_weights(theta, data)


def _less_weights(theta: Precisions, data: Decomposed) -> bool:
    """Whether the evidence rises from here to lambda = infinity.

    Its slope in a = 1/lambda is the half of sum_i beta^2 s_i t_i^2 / (1 + a beta s_i)^2 - beta s_i /
    (1 + a beta s_i): below 0 from here to a = 0 where the first at a = 0 is less than the second here. The
    same must hold with the beta that is best without weights, N / |y|^2: a beta on its way says too little.
    """
    beta = torch.maximum(theta.beta, data.rows / (data.rest + data.pulled.square().sum()))
    gain = beta * (data.values * data.pulled.square()).sum()
    price = (data.values / (1.0 + beta * data.values / theta.lambda_)).sum()
    return bool(gain <= price)


def _towards_no_noise(theta: Precisions, data: Decomposed) -> bool:
    """Whether the noise matters no more, and the evidence rises from here to beta = infinity."""
    held = _held(data)
    if int(held.sum()) < data.rows:
        total = data.rest + data.pulled.square().sum()
        matters = bool(theta.beta * total <= 1e10 * data.rows)
    else:
        matters = bool(theta.beta * (data.values[held] / theta.lambda_).min() <= 100.0)
    return not matters and _less_noise(theta, data)


def _held(data: Decomposed) -> Tensor:
    """Which singular directions the columns span, but for rounding."""
    return data.values > 1e-14 * data.values[0] * max(data.rows, len(data.values))


def _less_noise(theta: Precisions, data: Decomposed) -> bool:
    """Whether the evidence rises from here to beta = infinity, lambda as it is."""
    held = _held(data)
    outside = data.rest + data.pulled[~held].square().sum()
    total = data.rest + data.pulled.square().sum()
    if int(held.sum()) < data.rows:  # directions that only noise could explain hold nothing of y
        return bool(outside < ROUNDING * total)
    variances = data.values[held] / theta.lambda_  # of y along each direction, without noise
    gain = (data.pulled[held] / variances).square().sum()
    price = (1.0 / (variances + 1.0 / theta.beta)).sum()
    return bool(gain < price)


# ---- functions drawn from q, and predictions ----


def weights(q: WeightsPosterior, data: Decomposed) -> Tensor:
    """The mean of q(w), (D,)."""
    return data.basis @ q.means[: data.basis.shape[1]]


def draws(q: WeightsPosterior, data: Decomposed, key: Key, count: int) -> Tensor:
    """Weights drawn from q, (count, D)."""
    width, rank = data.basis.shape
    noise = torch.randn(count, width, dtype=q.means.dtype, generator=generator(key), device="cpu")
    noise = noise.to(q.means.device)
    along = noise @ data.basis  # (count, rank)
    inside = (q.means[:rank] + q.variances[:rank].sqrt() * along) @ data.basis.T
    if rank == width:
        return inside
    return inside + q.variances[-1].sqrt() * (noise - along @ data.basis.T)


def variances(q: WeightsPosterior, data: Decomposed, x: Tensor) -> Tensor:
    """The variance of x w under q for rows x (n, D), (n,); noise not included."""
    width, rank = data.basis.shape
    along = x @ data.basis
    inside = (along.square() * q.variances[:rank]).sum(1)
    if rank == width:
        return inside
    return inside + q.variances[-1] * (x - along @ data.basis.T).square().sum(1)
