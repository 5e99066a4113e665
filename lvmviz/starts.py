"""Where EM starts: the first means. Weights are equal and every covariance is that of all the data."""

from __future__ import annotations

import abc

import torch
from torch import Tensor

from lvmviz.core import Choice, Key, choice, generator, knob


class Start(Choice):
    """How the first means are found."""

    @abc.abstractmethod
    def means(self, key: Key, points: Tensor, count: int, weights: Tensor | None = None) -> Tensor:
        """The first means (count, D) among or near the points (N, D), each counted `weights` (N,) times."""


@choice
class RandomPoints(Start):
    """Start every component on a different data point, drawn at random."""

    def means(self, key: Key, points: Tensor, count: int, weights: Tensor | None = None) -> Tensor:
        rng = generator(key)
        if weights is None:
            order = torch.randperm(len(points), generator=rng, device="cpu")[:count]
        else:
            order = torch.multinomial(_shares(weights), count, generator=rng) if count else torch.zeros(0)
        return points[order.to(points.device, torch.int64)]


@choice
class KMeansPlusPlus(Start):
    """Draw each centre far from the centres before it.

    A point is drawn with probability proportional to its squared distance from the nearest centre, times
    its weight (Arthur and Vassilvitskii, 2007, "k-means++: the advantages of careful seeding").
    """

    title = "k-means++"

    def means(self, key: Key, points: Tensor, count: int, weights: Tensor | None = None) -> Tensor:
        rng = generator(key)
        if weights is None:
            shares, chosen = None, [int(torch.randint(len(points), (1,), generator=rng, device="cpu"))]
        else:
            shares = _shares(weights)
            chosen = [int(torch.multinomial(shares, 1, generator=rng))]
        distance = torch.full((len(points),), torch.inf, dtype=points.dtype, device=points.device)
        while len(chosen) < count:
            distance = torch.minimum(distance, (points - points[chosen[-1]]).square().sum(1))
            share = distance.cpu() if shares is None else shares * distance.cpu()
            # duplicates of the chosen points have distance 0; when nothing else is left, any point will do
            if not bool(share.sum() > 0):
                share = torch.ones_like(share) if shares is None else shares
            chosen.append(int(torch.multinomial(share, 1, generator=rng)))
        return points[chosen]


@choice
class ByHand(Start):
    """Click the centres on the picture; components without a click start on random points."""

    centres: tuple[tuple[float, ...], ...] = knob((), help="Clicked centres, one per component.", hidden=True)

    def means(self, key: Key, points: Tensor, count: int, weights: Tensor | None = None) -> Tensor:
        width = points.shape[1]
        for number, centre in enumerate(self.centres, 1):
            if len(centre) != width:
                raise ValueError(
                    f"centre {number} has {len(centre)} coordinates and the data {width}: click again"
                )
        placed = torch.tensor(self.centres[:count], dtype=points.dtype, device=points.device).reshape(
            -1, width
        )
        return torch.cat([placed, RandomPoints().means(key, points, count - len(placed), weights)])


def _shares(weights: Tensor) -> Tensor:
    """Weights (N,) of which the largest is 1, on the CPU; what is positive stays so."""
    weights = weights.cpu()
    tiny = torch.finfo(weights.dtype).tiny
    return torch.where(weights > 0, (weights / weights.max()).clamp(min=tiny), 0.0)
