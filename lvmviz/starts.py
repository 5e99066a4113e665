"""Where EM starts: the first means. Weights are equal and every covariance is that of all the data."""

from __future__ import annotations

import abc

import torch
from torch import Tensor

from lvmviz.core import Choice, Key, choice, generator, knob


class Start(Choice):
    """How the first means are found."""

    @abc.abstractmethod
    def means(self, key: Key, points: Tensor, count: int) -> Tensor:
        """The first means (count, D) among or near the points (N, D)."""


@choice
class RandomPoints(Start):
    """Start every component on a different data point, drawn at random."""

    def means(self, key: Key, points: Tensor, count: int) -> Tensor:
        order = torch.randperm(len(points), generator=generator(key), device="cpu")
        return points[order[:count].to(points.device)]


@choice
class KMeansPlusPlus(Start):
    """Draw each centre far from the centres before it.

    A point is drawn with probability proportional to its squared distance from the nearest centre
    (Arthur and Vassilvitskii, 2007, "k-means++: the advantages of careful seeding").
    """

    title = "k-means++"

    def means(self, key: Key, points: Tensor, count: int) -> Tensor:
        rng = generator(key)
        chosen = [int(torch.randint(len(points), (1,), generator=rng, device="cpu"))]
        distance = torch.full((len(points),), torch.inf, dtype=points.dtype, device=points.device)
        while len(chosen) < count:
            distance = torch.minimum(distance, (points - points[chosen[-1]]).square().sum(1))
            share = distance.cpu()
            # duplicates of the chosen points have distance 0; when nothing else is left, any point will do
            share = share if bool(share.sum() > 0) else torch.ones_like(share)
            chosen.append(int(torch.multinomial(share, 1, generator=rng)))
        return points[chosen]


@choice
class ByHand(Start):
    """Click the centres on the picture; components without a click start on random points."""

    centres: tuple[tuple[float, ...], ...] = knob((), help="Clicked centres, one per component.", hidden=True)

    def means(self, key: Key, points: Tensor, count: int) -> Tensor:
        width = points.shape[1]
        for number, centre in enumerate(self.centres, 1):
            if len(centre) != width:
                raise ValueError(
                    f"centre {number} has {len(centre)} coordinates and the data {width}: click again"
                )
        placed = torch.tensor(self.centres[:count], dtype=points.dtype, device=points.device).reshape(
            -1, width
        )
        return torch.cat([placed, RandomPoints().means(key, points, count - len(placed))])
