"""Factorized q's over hidden pixels: their climb by coordinate ascent, the best one, and estimates by draws.

Where there are too many completions to sum, the ELBO is closed but for one part that draws estimate: with a
second latent, k ~ rho, E_q[log sum_k w_k p_k(x)] is log sum_k w_k exp E_q[log p_k(x)], which Jensen puts
below it, plus E_q[KL(rho || p(k | x))].
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from lvmviz.core import Key, generator
from lvmviz.divergences import Decomposition
from lvmviz.missing_pixels import Completions, Conditional, entropy

SWEEPS = 60
SETTLED = 1e-9  # of phi
EDGE = 1e-300
MOST, LEAST = 8, 1e-3  # components to start from, and how likely they are at least


class Best(NamedTuple):
    """The best factorized q of those that coordinate ascent finds."""

    phi: Tensor  # (h,)
    kl: float  # KL(q || p(x_h | x_o)), nats
    starts: int  # from how many places


class Estimate(NamedTuple):
    """Means over draws of q, nats, with their standard errors."""

    elbo: tuple[float, float]
    kl: tuple[float, float]
    draws: int
    key: Key


# ---- coordinate ascent ----


def coordinate_ascent(
    open_: Conditional, phi: Tensor, sums: Completions | None = None, sweeps: int = SWEEPS
) -> Tensor:
    """phi (h,) and what it is after every sweep, (T, h), until a sweep changes nothing.

    With all completions summed each update is the ELBO's best; without, of the bound below it that has a q of
    its own for the component k.
    """
    found = [phi[None]]
    for _ in range(sweeps):
        new = sums.sweep(found[-1]) if sums is not None else with_component(open_, found[-1])
        found.append(new)
        if float((new - found[-2]).abs().amax() if new.numel() else 0.0) < SETTLED:
            break
    return torch.cat(found)


def best(open_: Conditional, sums: Completions, sweeps: int = SWEEPS) -> Best:
    """Coordinate ascent from the likeliest components, from the posterior mean and from 1/2."""
    share, likely = open_.resp.topk(min(MOST, len(open_.resp)))
    likely = likely[share > LEAST]
    half = torch.full_like(open_.posterior_mean, 0.5)
    starts = phi = torch.cat([open_.means[likely], torch.stack([open_.posterior_mean, half])])
    for _ in range(sweeps):
        old, phi = phi, sums.sweep(phi)
        if not phi.numel() or float((phi - old).abs().amax()) < 1e-6:
            break
    kl = sums.kl(phi)
    at = int(kl.argmin())
    return Best(phi[at], float(kl[at]), len(starts))


def with_component(open_: Conditional, phi: Tensor) -> Tensor:
    """One sweep of q(k) and of all phi (T, h): rho_k from phi, then logit phi_i = sum_k rho_k logit mu_ki."""
    rho = (open_.log_joint + _linear(open_.means, phi)).softmax(-1)
    return (rho @ _logits(open_.means)).sigmoid()


def bound(log_weights: Tensor, means: Tensor, phi: Tensor) -> Tensor:
    """log sum_k w_k exp E_q[log p_k(x)] (T,), nats: below E_q[log sum_k w_k p_k(x)]."""
    return (log_weights + _linear(means, phi)).logsumexp(-1)


def _logits(means: Tensor) -> Tensor:
    inside = means.clamp(EDGE, 1.0 - 1e-16)
    return inside.log() - torch.log1p(-inside)


def _linear(means: Tensor, phi: Tensor) -> Tensor:
    """E_q[log p_k(x)] (T, K), nats, for phi (T, h); of a draw x its log p_k(x)."""
    inside = means.clamp(EDGE, 1.0 - 1e-16)
    return phi @ inside.log().T + (1.0 - phi) @ torch.log1p(-inside).T


# ---- draws ----


def drawn(phi: Tensor, count: int, key: Key) -> Tensor:
    """Draws (count, h), zeros and ones, of prod_i Bernoulli(phi_i)."""
    return (_uniform((count, len(phi)), key) < phi).to(phi)


def completions(open_: Conditional, count: int, key: Key) -> Tensor:
    """Draws (count, h) of the posterior p(x_h | x_o): a component first, then its pixels."""
    uniform = _uniform((count, 1 + open_.hidden), key)
    bounds = open_.resp.cumsum(0)
    which = torch.searchsorted(bounds, uniform[:, :1] * bounds[-1]).clamp(max=len(bounds) - 1)
    return (uniform[:, 1:] < open_.means[which[:, 0]]).to(open_.means)


def _uniform(shape: tuple[int, int], key: Key) -> Tensor:
    return torch.rand(shape, generator=generator(key), dtype=torch.float64, device="cpu")


def estimate(open_: Conditional, phi: Tensor, draws: int, key: Key) -> Estimate:
    """ELBO and KL of one q by plain draws: means of log p(x_o, x) - log q(x)."""
    x = drawn(phi, draws, key)
    log_q = (torch.xlogy(x, phi) + torch.xlogy(1.0 - x, 1.0 - phi)).sum(1)
    gains = (_linear(open_.means, x) + open_.log_joint).logsumexp(1) - log_q
    mean, error = _mean(gains)
    return Estimate((mean, error), (float(open_.log_evidence) - mean, error), draws, key)


def estimated_terms(open_: Conditional, phi: Tensor, draws: int, key: Key) -> list[Decomposition]:
    """Every term of each q, phi (T, h), where completions are too many; `error` is the standard error.

    Neighbours on a climb draw mostly the same completions from the same numbers: each is looked at once.
    """
    uniform = _uniform((draws, phi.shape[1]), key)
    x, places = (uniform < phi[:, None]).to(torch.uint8).flatten(0, 1).unique(dim=0, return_inverse=True)
    log_p = _linear(open_.means, x.to(phi))
    means = _linear(open_.means, phi)
    joint = _expected(open_.log_joint, means, log_p, places.unflatten(0, (-1, draws)))
    prior = _expected(open_.log_weights, means, log_p, places.unflatten(0, (-1, draws)))
    evidence = float(open_.log_evidence)
    spreads = entropy(phi).tolist()
    return [_terms(evidence, *rows) for rows in zip(spreads, joint, prior, strict=True)]


def _terms(
    evidence: float, spread: float, joint: tuple[float, float], prior: tuple[float, float]
) -> Decomposition:
    """From H(q), and from E[log p(x_o, x_h)] and E[log p(x_h)] with their standard errors."""
    return Decomposition(
        evidence, joint[0] + spread, evidence - joint[0] - spread, joint[0], spread, joint[0] - prior[0],
        -spread - prior[0], math.hypot(joint[1], prior[1]),
    )  # fmt: skip


def _expected(log_weights: Tensor, means: Tensor, log_p: Tensor, places: Tensor) -> list[tuple[float, float]]:
    """E_q[log sum_k w_k p_k(x)] of each q: the closed bound, and what its draws say is above it.

    means (T, K) is E_q[log p_k(x)], log_p (U, K) that of every completion, places (T, S) which were drawn.
    """
    total = (log_weights + log_p).logsumexp(1)
    made = []
    for mine, which in zip(means, places, strict=True):
        used, inverse = which.unique(return_inverse=True)
        own = log_weights + mine
        below = (log_p[used] - mine) @ own.softmax(-1)  # E_rho[log w_k p_k(x)] - E_rho[own_k]
        mean, error = _mean((total[used] - below - own.logsumexp(-1))[inverse])
        made.append((float(own.logsumexp(-1)) + mean, error))
    return made


def _mean(values: Tensor) -> tuple[float, float]:
    """The mean and its standard error."""
    return float(values.mean()), float(values.std()) / math.sqrt(len(values))
