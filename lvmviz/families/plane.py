"""What a family of q in the plane is, and the ellipses that a hand can drag."""

from __future__ import annotations

import abc
import functools
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from lvmviz.families.base import LOG_2PI, Family

ORDER = 8  # Gauss-Hermite nodes along a side for a q's moments
ROUNDING = 1e-14  # share of a covariance that is added, so that a line has a factor too


class Frame(NamedTuple):
    """The Gaussian N(centre, factor factor'): z = centre + factor e for standard normal e."""

    centre: Tensor  # (..., 2)
    factor: Tensor  # (..., 2, 2), lower triangular

    def place(self, e: Tensor) -> Tensor:
        """z (..., S, 2) of e (..., S, 2); in memory x's follow x's, as whoever takes them apart likes it."""
        return self.centre[..., None, :] + (self.factor @ e.mT).mT

    def whiten(self, z: Tensor) -> Tensor:
        """e (..., S, 2) of z (..., S, 2)."""
        away = z - self.centre[..., None, :]
        first = away[..., 0] / self.factor[..., None, 0, 0]
        second = (away[..., 1] - self.factor[..., None, 1, 0] * first) / self.factor[..., None, 1, 1]
        return torch.stack([first, second], -1)

    def log_prob(self, z: Tensor) -> Tensor:
        """The log density (..., S), nats, at z (..., S, 2)."""
        return standard(self.whiten(z)) - self.log_det()[..., None]

    def log_det(self) -> Tensor:
        """log |factor|, (...)."""
        return self.factor[..., 0, 0].log() + self.factor[..., 1, 1].log()

    def sds(self) -> Tensor:
        """The standard deviation of either coordinate, (..., 2)."""
        return self.factor.square().sum(-1).sqrt()


class Frames(NamedTuple):
    """A mixture of M Gaussians."""

    log_weights: Tensor  # (..., M)
    each: Frame  # (..., M, 2) centres and (..., M, 2, 2) factors


class Ellipse(NamedTuple):
    """A Gaussian's ellipse of one standard deviation."""

    centre: Tensor  # (..., 2)
    axes: Tensor  # (..., 2) the half-axes, positive
    angle: Tensor  # (...) of the first axis to the x axis, radians


class Plane(Family):
    """A family in two dimensions: its means and standard deviations are (..., 2).

    `sample` is a smooth one-to-one map of the noise, so expectations may be taken over the noise.
    """

    dim: ClassVar[int] = 2

    @abc.abstractmethod
    def frame(self, phi: Tensor) -> Frame:
        """The Gaussian with about q's mean and covariance: where q is; q itself where q is a Gaussian."""

    def frames(self, phi: Tensor) -> Frames:
        """Gaussians that cover q together: a mixture's parts, else its frame."""
        centre, factor = self.frame(phi)
        return Frames(torch.zeros_like(centre[..., :1]), Frame(centre[..., None, :], factor[..., None, :, :]))

    def draw(self, phi: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """`sample`'s z (..., S, 2) and log q there (..., S), which on the way forth may cost nothing."""
        z = self.sample(phi, noise)
        return z, self.log_prob(phi, z)

    def carried(self, phi: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """q as M weighted images of the noise (S, 2), each smooth: where an average over q has its nodes.

        Log weights (..., M), z (..., M, S, 2) and log q there, (..., M, S).
        """
        z, log_q = self.draw(phi, noise)
        return torch.zeros_like(z[..., :1, 0]), z.unsqueeze(-3), log_q.unsqueeze(-2)


def standard(e: Tensor) -> Tensor:
    """log N(e | 0, I), (...), nats, for e (..., 2)."""
    one, two = e.unbind(-1)  # a sum over two that lie side by side is ten times slower
    return -0.5 * (one.square() + two.square()) - LOG_2PI


def frame_by_draws(family: Family, phi: Tensor) -> Frame:
    """q's mean and covariance as a frame, by Gauss-Hermite in its noise: exact where the draw is linear."""
    noise, weights = (part.to(phi) for part in _hermite())
    z = family.sample(phi, noise.expand(*phi.shape[:-1], *noise.shape))
    centre = weights @ z
    away = (z - centre[..., None, :]) * weights.sqrt()[:, None]
    return Frame(centre, cholesky(away.mT @ away))


@functools.cache
def _hermite() -> tuple[Tensor, Tensor]:
    nodes, weights = (torch.from_numpy(part) for part in np.polynomial.hermite_e.hermegauss(ORDER))
    return torch.cartesian_prod(nodes, nodes), torch.outer(weights, weights).flatten() / weights.sum() ** 2


def cholesky(covariance: Tensor) -> Tensor:
    """The lower triangular factors of covariances (..., 2, 2), finite also where these are singular."""
    xx, xy, yy = covariance[..., 0, 0], covariance[..., 1, 0], covariance[..., 1, 1]
    first = (xx + torch.finfo(xx.dtype).tiny).sqrt()
    below = xy / first
    rest = (yy - below**2).clamp(min=0.0) + ROUNDING * yy + torch.finfo(xx.dtype).tiny
    return triangular(first, below, rest.sqrt())


def triangular(first: Tensor, below: Tensor, second: Tensor) -> Tensor:
    """[[first, 0], [below, second]], (..., 2, 2)."""
    rows = torch.stack([first, torch.zeros_like(first), below, second], -1)
    return rows.unflatten(-1, (2, 2))


def ellipse(frame: Frame) -> Ellipse:
    """The ellipse of a Gaussian, the longer half-axis first, its angle in (-pi/2, pi/2]."""
    covariance = frame.factor @ frame.factor.mT
    xx, xy, yy = covariance[..., 0, 0], covariance[..., 1, 0], covariance[..., 1, 1]
    longer = (0.5 * (xx + yy + torch.hypot(xx - yy, 2.0 * xy))).sqrt()
    shorter = torch.exp(frame.log_det()) / longer  # by the area: a difference would lose a thin one
    return Ellipse(frame.centre, torch.stack([longer, shorter], -1), 0.5 * torch.atan2(2.0 * xy, xx - yy))


def frame_of(ellipse: Ellipse) -> Frame:
    """The Gaussian of an ellipse."""
    cos, sin = ellipse.angle.cos(), ellipse.angle.sin()
    one, two = ellipse.axes.unbind(-1)
    first = torch.hypot(one * cos, two * sin)
    below = (one - two) * (one + two) * sin * cos / first
    return Frame(ellipse.centre, triangular(first, below, one * two / first))
