"""EM for Bernoulli mixtures from many starts at once, and where it starts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from lvmviz.bernoulli_mixture import (
    BernoulliMixtureParams,
    Data,
    Statistics,
    log_prior,
    maximum,
    statistics,
    statistics_at,
)
from lvmviz.bernoulli_starts import blurred
from lvmviz.mixtures import Responsibilities


class Climb(NamedTuple):
    """Where one start has come to."""

    theta: BernoulliMixtureParams
    bounds: list[float]  # the lower bound at the start and after each iteration, nats per row
    converged: bool
    stopped: bool = False  # by the callback


def best_climb(
    theta: BernoulliMixtureParams, data: Data, alpha: float, tol: float, most: int,
    callback: Callable[[int, float], Any] | None = None,
) -> Climb:  # fmt: skip
    """The highest that EM comes to from the thetas (R, K), in at most so many iterations.

    Every iteration takes all starts through one matrix product; one that has converged leaves the batch.
    """
    told, bounds = _e_step(theta, data, alpha)
    starts = zip(*theta, bounds, strict=True)
    climbs = [Climb(BernoulliMixtureParams(*one), [bound], False) for *one, bound in starts]
    moving = list(range(len(climbs)))
    for iteration in range(1, most + 1):
        theta = maximum(told, alpha)
        told, bounds = _e_step(theta, data, alpha)
        for place, (number, bound) in enumerate(zip(moving, bounds, strict=True)):
            climbs[number] = _after(climbs[number], theta, place, bound, tol)
        if callback is not None and callback(iteration, _best(climbs).bounds[-1]):
            return _best(climbs)._replace(stopped=True)
        left = [not climbs[number].converged for number in moving]
        moving = [number for number in moving if not climbs[number].converged]
        told = Statistics(*(part[left] for part in told))
        if not moving:
            break
    return _best(climbs)


def _after(climb: Climb, theta: BernoulliMixtureParams, place: int, bound: float, tol: float) -> Climb:
    """A climb one iteration on, at its place in the batch theta."""
    moved = BernoulliMixtureParams(*(part[place] for part in theta))
    return Climb(moved, [*climb.bounds, bound], abs(bound - climb.bounds[-1]) < tol)


def _best(climbs: list[Climb]) -> Climb:
    return max(climbs, key=lambda climb: climb.bounds[-1])


def _e_step(theta: BernoulliMixtureParams, data: Data, alpha: float) -> tuple[Statistics, list[float]]:
    """What the M-step needs, and the lower bounds (R,)."""
    told, log_lik = statistics_at(theta, data)
    total = float(len(data.x) if data.weights is None else data.weights.sum())
    return told, ((log_lik + log_prior(theta, alpha)) / total).tolist()


def drawn_means(rng: np.random.RandomState, count: int, data: Data) -> Tensor:
    """First means (count, D): rows at random, pulled to the mean of all and to noise.

    Components with labelled rows start at those.
    """
    one = Responsibilities(*(torch.full((len(data.x), 1), q, dtype=torch.float64) for q in (0.0, 1.0)))
    average = maximum(statistics(one, data)).means  # (1, D)
    rows = data.x if data.observed is None else torch.where(data.observed, data.x, average)
    means = blurred(rng, count, rows, average[0], data.weights)
    return means if data.labels is None else _labelled(means, data)


def _labelled(means: Tensor, data: Data) -> Tensor:
    """The means (K, D), those with labelled rows moved to them, with one pseudo-count of on and of off."""
    assert data.labels is not None
    known = (data.labels[:, None] == torch.arange(len(means))).double()
    told = statistics(Responsibilities(known.log(), known), data)
    return torch.where(told.counts[:, None] > 0, maximum(told, 1.0).means, means)
