"""z = mean + A e: what noise becomes when moved and mixed, and whether that has a density (note 002)."""

from __future__ import annotations

import abc
import math
from types import MappingProxyType

import torch
from torch import Tensor

from lvmviz.core import Choice, Key, choice, generator, knob
from lvmviz.targets import LOG_2PI

FLAT = 1e-9  # of the larger singular value: so thin is a line


class NoiseMap(Choice):
    """A map g from noise e ~ N(0, I_2) to z in the plane."""

    @abc.abstractmethod
    def points(self, key: Key, count: int) -> tuple[Tensor, Tensor]:
        """Noise e (n, 2) and z = g(e) (n, 2)."""


def _entry(default: float, label: str) -> float:
    return knob(default, -3.0, 3.0, "How much of this noise goes into this coordinate.", label=label)


@choice
class Affine(NoiseMap):
    """Noise moved and mixed, z = mean + A e with e ~ N(0, I_2): z ~ N(mean, A A'), if A can be undone."""

    title = "mean + A ε"
    a11: float = _entry(1.0, "A₁₁")
    a12: float = _entry(0.0, "A₁₂")
    a21: float = _entry(0.0, "A₂₁")
    a22: float = _entry(1.0, "A₂₂")
    mean1: float = knob(0.0, -3.0, 3.0, "Where z is centred, across.", label="Mean 1")
    mean2: float = knob(0.0, -3.0, 3.0, "Where z is centred, upwards.", label="Mean 2")

    def matrix(self) -> Tensor:
        """A (2, 2)."""
        rows = [[self.a11, self.a12], [self.a21, self.a22]]
        return torch.tensor(rows, dtype=torch.float64, device="cpu")

    def mean(self) -> Tensor:
        """The mean (2,)."""
        return torch.tensor([self.mean1, self.mean2], dtype=torch.float64, device="cpu")

    def covariance(self) -> Tensor:
        """A A' (2, 2)."""
        return self.matrix() @ self.matrix().T

    def points(self, key: Key, count: int) -> tuple[Tensor, Tensor]:
        e = torch.randn((count, 2), generator=generator(key), dtype=torch.float64, device="cpu")
        return e, self.mean() + e @ self.matrix().T

    def rank(self) -> int:
        """2 where z fills the plane, 1 where it stays on a line, 0 where it is one point."""
        sizes = torch.linalg.svdvals(self.matrix())
        if float(sizes[0]) == 0.0:
            return 0
        return 2 if float(sizes[1]) > FLAT * float(sizes[0]) else 1

    def log_density(self, z: Tensor) -> Tensor | None:
        """log N(z | mean, A A') (...), nats, for z (..., 2); None where there is none."""
        if self.rank() < 2:
            return None
        e = torch.linalg.solve(self.matrix(), (z - self.mean()).unsqueeze(-1)).squeeze(-1)
        return -0.5 * e.square().sum(-1) - LOG_2PI - math.log(abs(self.determinant()))

    def determinant(self) -> float:
        """How much larger g makes an area; negative where it turns it over."""
        return self.a11 * self.a22 - self.a12 * self.a21

    def direction(self) -> Tensor | None:
        """The unit vector (2,) along the line that z stays on; None where it is no line."""
        return torch.linalg.svd(self.matrix())[0][:, 0] if self.rank() == 1 else None

    def sentence(self) -> str:
        """Whether z has a density, and which."""
        rank = self.rank()
        if rank == 0:
            return "A is 0: every draw is the mean, and a point has no density."
        if rank == 1:
            return (
                "A is singular: all draws lie on one line, which has no area, so z has no density, "
                "log q is undefined, and so are the KL and the ELBO."
            )
        covariance = self.covariance()
        if abs(float(covariance[0, 1])) <= FLAT * float(covariance.diagonal().amax()):
            return "z ~ N(mean, A A'), and its coordinates are independent: the density is their product."
        return "z ~ N(mean, A A'): the density of e at the noise that made z, over |det A|."


PRESETS = MappingProxyType({
    "A": Affine(a11=0.0, a12=0.0, a21=0.0, a22=1.0),
    "B": Affine(a11=0.6, a12=0.0, a21=0.0, a22=0.6, mean1=1.0, mean2=0.5),
    "C": Affine(a11=1.2, a12=0.3, a21=0.8, a22=0.6, mean1=1.0, mean2=0.5),
})  # fmt: skip
"""Note 002's examples: A keeps one noise of two and is singular, B is mean + sigma e, C is mean + A e."""
