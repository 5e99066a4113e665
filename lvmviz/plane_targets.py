"""Posteriors in the plane, each given by its density: where q has to lean, bend, split or reach far."""

from __future__ import annotations

import abc
import math
from typing import ClassVar

import torch
from torch import Tensor

from lvmviz.core import choice, knob
from lvmviz.targets import LOG_2PI, PRIOR_SD, Density, normal


class PlaneDensity(Density):
    """A posterior on the plane given by its density alone: prior N(0, 3^2 I), log p(x) = -3.2."""

    dim: ClassVar[int] = 2

    @abc.abstractmethod
    def log_density(self, z: Tensor) -> Tensor:
        """log p(z | x), normalized, shape (...), nats, for z (..., 2)."""

    def log_prior(self, z: Tensor) -> Tensor:
        return normal(z[..., 0], 0.0, PRIOR_SD) + normal(z[..., 1], 0.0, PRIOR_SD)


def coordinates(z: Tensor) -> tuple[Tensor, Tensor]:
    """x and y (...) of z (..., 2); taken apart so that their slopes meet again without being interleaved."""
    x, y = z.mT.unbind(-2) if z.ndim > 1 else z.unbind(-1)
    return x, y


def normals(z: Tensor, centre: tuple[float, float], sd: float) -> Tensor:
    """log N(z | centre, sd^2 I), nats."""
    x, y = coordinates(z)
    off = (x - centre[0]).square() + (y - centre[1]).square()
    return off * (-0.5 / sd**2) - (2.0 * math.log(sd) + LOG_2PI)


def mixed(
    z: Tensor, weights: tuple[float, ...], centres: tuple[tuple[float, float], ...], sd: float
) -> Tensor:
    """log of the sum of weight N(centre, sd^2 I), nats."""
    parts = [math.log(w) + normals(z, centre, sd) for w, centre in zip(weights, centres, strict=True)]
    return torch.logsumexp(torch.stack(parts), 0)


def bent(z: Tensor, spread: float, curvature: float, width: float) -> Tensor:
    """log N(x | 0, spread^2) N(y | curvature x^2, width^2), nats."""
    x, y = coordinates(z)
    square = x.square()
    off = torch.add(y, square, alpha=-curvature).square()
    both = torch.add(square / spread**2, off, alpha=1.0 / width**2)
    return -0.5 * both - (math.log(spread * width) + LOG_2PI)


@choice
class CorrelatedGaussian(PlaneDensity):
    """N(0, [[1, rho], [rho, 1]]): what a factorized q cannot follow.

    Mean field takes the sds sqrt(1 - rho^2) and keeps KL(q || p) = -1/2 log(1 - rho^2).
    """

    title = "Correlated Gaussian"
    correlation: float = knob(0.9, -0.99, 0.99, "How far x tells y.", label="Correlation")

    def log_density(self, z: Tensor) -> Tensor:
        x, y = coordinates(z)
        rest = 1.0 - self.correlation**2
        off = (y - self.correlation * x).square() / rest
        return -0.5 * (x.square() + off + math.log(rest)) - LOG_2PI


@choice
class Banana(PlaneDensity):
    """A ridge that bends, x ~ N(0, spread^2) and y | x ~ N(curvature x^2, width^2): no Gaussian does.

    At the defaults the best Gaussian keeps KL(q || p) = .607205.
    """

    title = "Banana"
    curvature: float = knob(0.5, -2.0, 2.0, "How far the ridge bends.", label="Curvature")
    spread: float = knob(1.5, 0.2, 3.0, "The standard deviation of x.", label="Length")
    width: float = knob(0.5, 0.2, 2.0, "The standard deviation of y about the ridge.", label="Width")

    def log_density(self, z: Tensor) -> Tensor:
        return bent(z, self.spread, self.curvature, self.width)


@choice
class HardBanana(PlaneDensity):
    """A thread, x ~ N(0, 3^2) and y | x ~ N(x^2, width^2): fixed grids step over it, up to y = 100."""

    title = "Hard banana"
    width: float = knob(
        0.1, 0.05, 1.0, "The standard deviation of y about the ridge.", label="Width", scale="log"
    )

    def log_density(self, z: Tensor) -> Tensor:
        return bent(z, 3.0, 1.0, self.width)


@choice
class Donut(PlaneDensity):
    """The density exp(-(|z| - radius)^2 / (2 width^2)) / Z: a ring, where the mean has no mass.

    Z = 2 pi (width^2 exp(-r^2 / 2) + radius width sqrt(2 pi) Phi(r)), r = radius / width.
    """

    title = "Donut"
    radius: float = knob(3.0, 0.5, 6.0, "How far the ring is from the centre.", label="Radius")
    width: float = knob(0.5, 0.1, 1.5, "The standard deviation across the ring.", label="Width")

    def log_density(self, z: Tensor) -> Tensor:
        x, y = coordinates(z)
        least = torch.full_like(y, torch.finfo(y.dtype).tiny)  # so that the slope at the kink is 0, not nan
        off = (torch.hypot(x, torch.hypot(y, least)) - self.radius) / self.width
        return -0.5 * off.square() - math.log(self.mass())

    def mass(self) -> float:
        """Z."""
        r = self.radius / self.width
        below = 0.5 * math.erfc(-r / math.sqrt(2.0))
        ring = r * math.sqrt(2.0 * math.pi) * below
        return 2.0 * math.pi * self.width**2 * (math.exp(-0.5 * r * r) + ring)


@choice
class FarModes(PlaneDensity):
    """Two modes, weight N((-d/2, 0), sd^2 I) + (1 - weight) N((d/2, 1), sd^2 I), d = distance.

    A Gaussian on one of the equal modes keeps KL(q || p) = log 2 and looks excellent to its own samples.
    """

    title = "Two far modes"
    weight: float = knob(0.5, 0.01, 0.99, "The share of the mode on the left.", label="Weight")
    distance: float = knob(8.0, 0.0, 16.0, "How far apart the centres are in x.", label="Distance")
    sd: float = knob(0.7, 0.1, 2.0, "The standard deviation of either mode.", label="Width")

    def log_density(self, z: Tensor) -> Tensor:
        half = 0.5 * self.distance
        return mixed(z, (self.weight, 1.0 - self.weight), ((-half, 0.0), (half, 1.0)), self.sd)


@choice
class ThreeModes(PlaneDensity):
    """Three round modes on a circle, with half, three tenths and a fifth of the mass: an optimum on each."""

    title = "Three modes"
    radius: float = knob(3.0, 0.0, 8.0, "How far the modes are from the centre.", label="Radius")
    sd: float = knob(0.7, 0.1, 2.0, "The standard deviation of each mode.", label="Width")

    def log_density(self, z: Tensor) -> Tensor:
        turns = (0.5 * math.pi, 7.0 * math.pi / 6.0, 11.0 * math.pi / 6.0)
        centres = tuple((self.radius * math.cos(t), self.radius * math.sin(t)) for t in turns)
        return mixed(z, (0.5, 0.3, 0.2), centres, self.sd)


@choice
class Funnel(PlaneDensity):
    """A funnel, y ~ N(0, spread^2) and x | y ~ N(0, exp(y)): as y falls, x gets narrow (Neal, 2003)."""

    title = "Funnel"
    spread: float = knob(3.0, 0.5, 3.0, "The standard deviation of y, the log variance of x.", label="Spread")

    def log_density(self, z: Tensor) -> Tensor:
        x, y = coordinates(z)
        return normal(y, 0.0, self.spread) - 0.5 * ((x * torch.exp(-0.5 * y)).square() + y + LOG_2PI)


@choice
class Student2D(PlaneDensity):
    """Student's t on the plane, (1 + |z|^2 / df)^-(df/2 + 1) / (2 pi): no variances up to df = 2."""

    title = "Student in the plane"
    df: float = knob(3.0, 1.0, 30.0, "Degrees of freedom: the fewer, the heavier the tails.", label="Freedom")

    def log_density(self, z: Tensor) -> Tensor:
        return student_plane(z, self.df)


@choice
class Cauchy2D(PlaneDensity):
    """The Cauchy density on the plane, (1 + |z|^2)^-(3/2) / (2 pi): no mean, and KL(p || q) is infinite."""

    title = "Cauchy in the plane"

    def log_density(self, z: Tensor) -> Tensor:
        return student_plane(z, 1.0)


def student_plane(z: Tensor, df: float) -> Tensor:
    """log t(z | df) on the plane, nats; hypotenuses keep |z|^2 from overflowing far in the tails."""
    x, y = coordinates(z)
    root = math.sqrt(df)
    far = torch.hypot(x, torch.hypot(y, torch.full_like(y, root)))  # in this order smooth at 0 too
    return -LOG_2PI - (df + 2.0) * (far / root).log()
