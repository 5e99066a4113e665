"""The loop: E-step, M-step, until the lower bound stands still; R starts climb at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from lvmviz.fast_em.mixture import Mixture, maximum
from lvmviz.fast_em.points import Points
from lvmviz.fast_em.sweep import sweep


class Climb(NamedTuple):
    """Where one start ended."""

    theta: Mixture  # R = 1
    bounds: list[float]  # log-likelihood per unit of weight before every M-step, nats
    converged: bool


def climb(
    points: Points, theta: Mixture, *, tol: float, reg_covar: float, max_iter: int,
    begun: float = -np.inf, told: Callable[[int, float], bool] | None = None,
) -> list[Climb]:  # fmt: skip
    """EM from each of R starts until its bound changes by less than tol.

    `begun` is the bound to compare the first with; `told` hears the iteration and the largest bound of those
    that still climb, and ends all of them by returning True. A start that has converged costs nothing more.
    """
    alive = np.arange(len(theta.weights))
    bounds: list[list[float]] = [[] for _ in alive]
    ends: dict[int, Climb] = {}
    before = np.full(len(alive), begun)
    for iteration in range(1, max_iter + 1):
        seen = sweep(theta, points)
        theta = maximum(seen.moments, theta.kind, reg_covar, points.scale)
        for r, bound in zip(alive, seen.bounds, strict=True):
            bounds[r].append(float(bound))
        still = np.abs(seen.bounds - before) < tol
        stopped = told is not None and told(iteration, float(seen.bounds.max()))
        if still.any() or stopped or iteration == max_iter:
            gone = still | (stopped or iteration == max_iter)
            for at in np.flatnonzero(gone):
                ends[alive[at]] = Climb(theta.take(slice(at, at + 1)), bounds[alive[at]], bool(still[at]))
            alive, theta = alive[~gone], theta.take(~gone)
            seen = seen._replace(bounds=seen.bounds[~gone])
        if not len(alive):
            break
        before = seen.bounds
    return [ends[r] for r in range(len(bounds))]
