"""The IWAE bound for many K from one set of weights: groups of ever more draws share a logarithm."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

STEPS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)
BELOW = {2: 1, 5: 1, 10: 5, 20: 10, 50: 10, 100: 50, 200: 100, 500: 100, 1000: 500, 2000: 1000, 5000: 1000,
         10_000: 5000}  # fmt: skip


class Bounds(NamedTuple):
    """Sums over groups of draws, for every K of `sizes`: more of them are added by `merged`."""

    total: Tensor  # (G,) sum over groups of the log of the group's mean weight, nats
    square: Tensor  # (G,) sum over groups of the square of its distance from their mean
    count: Tensor  # (G,) groups, float64

    @property
    def mean(self) -> Tensor:
        """E[log 1/K sum w] (G,), nats: the ELBO at K = 1, rising to log p(x)."""
        return self.total / self.count

    @property
    def standard_error(self) -> Tensor:
        """Of that mean (G,), nats; inf where there is one group alone."""
        variance = self.square / (self.count - 1.0).clamp(min=1.0)
        return torch.where(self.count > 1, (variance / self.count).sqrt(), torch.inf)


def sizes(draws: int) -> tuple[int, ...]:
    """The K of the bounds from so many draws a repeat: 1, 2, 5, 10, ..."""
    return tuple(step for step in STEPS if step <= draws)


def grouped(log_weights: Tensor) -> Bounds:
    """The bounds from weights (R, S), for every K of `sizes(S)`; what fills no group is left out."""
    means: dict[int, Tensor] = {1: log_weights}
    for size in sizes(log_weights.shape[-1])[1:]:
        below, factor = means[BELOW[size]], size // BELOW[size]
        groups = below.shape[-1] // factor
        whole = below[..., : groups * factor].unflatten(-1, (groups, factor))
        means[size] = torch.logsumexp(whole, -1) - math.log(factor)
    rows = [mean.flatten() for mean in means.values()]
    total = torch.stack([row.sum() for row in rows])
    square = torch.stack([(row - row.mean()).square().sum() for row in rows])
    return Bounds(total, square, total.new_tensor([len(row) for row in rows]))


def merged(one: Bounds, other: Bounds) -> Bounds:
    """The bounds of both sets of groups (Chan, Golub and LeVeque, 1983)."""
    count = one.count + other.count
    between = (other.mean - one.mean).square() * one.count * other.count / count
    return Bounds(one.total + other.total, one.square + other.square + between, count)
