"""Experiments on gradient estimators: their scatter, their variance, their bias."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from lvmviz.core import Key, fold_in, generator
from lvmviz.gradients.estimators import Estimator, Reparameterized, ScoreFunction, StickingTheLanding
from lvmviz.gradients.integrands import Integrand, Q, gradient
from lvmviz.gradients.relaxations import GumbelSoftmax, StraightThrough
from lvmviz.gradients.rows import BASELINES

MEMORY = 2**21  # numbers in the gradients of one chunk


def lineup(integrand: Integrand, draws: int, temperature: float = 0.5) -> tuple[Estimator, ...]:
    """Every estimator that can be asked about this f, each of so many draws; without the exact one."""
    scores = (ScoreFunction(draws=draws, baseline=baseline) for baseline in BASELINES)
    every = (
        *scores,
        Reparameterized(draws=draws),
        StickingTheLanding(draws=draws),
        GumbelSoftmax(draws=draws, temperature=temperature),
        StraightThrough(draws=draws, temperature=temperature),
    )
    return tuple(estimator for estimator in every if not refusal(estimator, integrand))


def refusal(estimator: Estimator, integrand: Integrand) -> str:
    """Why the estimator cannot be asked about this f, in a sentence; empty where it can."""
    if integrand.discrete and estimator.needs_slope:
        return f"{estimator.name()} moves z with q, and a state cannot move: choose the score function."
    if getattr(estimator, "dim", None) == 0 and not integrand.discrete:
        return f"{estimator.name()} softens a choice among states: choose f of discrete latents."
    return ""


def bias(estimator: Estimator, integrand: Integrand) -> str:
    """Why the mean of ever more estimates is not the gradient, in a sentence; empty where it is."""
    if estimator.needs_slope and not integrand.smooth:
        return "f is flat on both sides of its jump: no draw's slope sees it."
    if not estimator.biased:
        return ""
    if getattr(estimator, "dim", None) == 0:
        return "It follows a softened choice, not the choice among states."
    return "The baseline has the draw's own f in it: the estimate is (S - 1) / S of the gradient on average."


def rows(estimator: Estimator, integrand: Integrand, q: Q, phi: Tensor, noise: Tensor) -> Tensor:
    """Gradients (..., S, P), one for every row of noise (S, dim) or (..., S, dim); one row if it is exact."""
    if reason := refusal(estimator, integrand):
        raise ValueError(reason)
    if estimator.exact:
        return gradient(integrand, q, phi).unsqueeze(-2)
    f = integrand.f(q)
    if estimator.needs_slope and not integrand.smooth and not integrand.of_q:
        return torch.zeros(*phi.shape[:-1], noise.shape[-2], phi.shape[-1], dtype=torch.float64, device="cpu")
    return estimator.rows(f, q, phi, noise)


def estimates(
    estimator: Estimator, integrand: Integrand, q: Q, phi: Tensor, key: Key, repeats: int
) -> Tensor:
    """So many estimates (R, P) at phi (P,), each of the estimator's own draws."""
    count = len(estimator.noise(key, q.dim))
    if not count:
        return rows(estimator, integrand, q, phi, torch.empty(0)).expand(repeats, -1)
    source, parts = generator(fold_in(key, 0)), []
    for size in _sizes(repeats, max(MEMORY // (count * (phi.shape[-1] + q.dim)), 1)):
        noise = torch.randn((size, count, q.dim), generator=source, dtype=torch.float64, device="cpu")
        parts.append(rows(estimator, integrand, q, phi.expand(size, -1), noise).mean(-2))
    return torch.cat(parts)


def moments(
    estimator: Estimator, integrand: Integrand, q: Q, phi: Tensor, key: Key, draws: int
) -> tuple[Tensor, Tensor]:
    """The mean and variance (..., P) of one draw's gradient at each phi (..., P), the same draws for all.

    A baseline is made of all draws of a chunk, so it is as good as it gets.
    """
    if estimator.exact:
        exact = gradient(integrand, q, phi)
        return exact, torch.zeros_like(exact)
    source, total, count = generator(fold_in(key, 0)), 0, 0
    mean, square = torch.zeros_like(phi), torch.zeros_like(phi)
    for size in _sizes(draws, max(MEMORY // max(phi.numel(), 1), 256)):
        noise = torch.randn((size, q.dim), generator=source, dtype=torch.float64, device="cpu")
        part = rows(estimator, integrand, q, phi, noise)
        here, total = part.mean(-2), count + size
        apart = here - mean
        square = square + (part - here.unsqueeze(-2)).square().sum(-2) + apart.square() * count * size / total
        mean, count = mean + apart * size / total, total
    return mean, square / max(count - 1, 1)


def against_dimension(
    estimator: Estimator,
    integrand: Integrand,
    dims: Sequence[int],
    mean: float,
    sd: float,
    key: Key,
    draws: int,
) -> Tensor:
    """The variance of one draw's gradient, summed over phi's numbers, (D,), in each of these dimensions."""
    found = []
    for dim in dims:
        q = integrand.q(dim)
        phi = torch.tensor([mean, math.log(sd)], dtype=torch.float64, device="cpu").repeat_interleave(dim)
        found.append(moments(estimator, integrand, q, phi, fold_in(key, dim), draws)[1].sum())
    return torch.stack(found)


def measured_bias(
    estimator: Estimator, integrand: Integrand, q: Q, phi: Tensor, key: Key, repeats: int
) -> tuple[Tensor, Tensor]:
    """The mean of so many estimates less the exact gradient (P,), and its standard error (P,)."""
    found = estimates(estimator, integrand, q, phi, key, repeats)
    return found.mean(0) - gradient(integrand, q, phi), found.std(0) / math.sqrt(repeats)


def _sizes(total: int, most: int) -> list[int]:
    return [min(most, total - start) for start in range(0, total, most)]
