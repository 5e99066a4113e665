"""Families on the line that are one curve, shifted and stretched: Gaussian, Student, Laplace."""

from __future__ import annotations

import abc
import math
from typing import ClassVar

import torch
from scipy import special
from torch import Tensor

from lvmviz.core import choice, knob
from lvmviz.families.base import LOG_2PI, Line


class LocationScale(Line):
    """z = loc + scale e with e of a fixed density: phi = (loc, log scale)."""

    affine: ClassVar[bool] = True
    sd: ClassVar[float]  # of e

    @abc.abstractmethod
    def standard(self, e: Tensor) -> Tensor:
        """log density of e, nats, elementwise."""

    @abc.abstractmethod
    def draw(self, noise: Tensor) -> Tensor:
        """e from standard normal noise, elementwise and growing with it."""

    @property
    def names(self) -> tuple[str, ...]:
        return ("loc", "log scale")

    def at(self, loc: Tensor, scale: Tensor) -> Tensor:
        return torch.stack([loc, scale.log()], -1)

    def log_prob(self, phi: Tensor, z: Tensor) -> Tensor:
        loc, log_scale = phi[..., 0:1], phi[..., 1:2]
        return self.standard((z[..., 0] - loc) * torch.exp(-log_scale)) - log_scale

    def sample(self, phi: Tensor, noise: Tensor) -> Tensor:
        return phi[..., 0:1, None] + torch.exp(phi[..., 1:2, None]) * self.draw(noise)


@choice
class Gaussian(LocationScale):
    """N(mean, sd^2): phi = (mean, log sd)."""

    @property
    def names(self) -> tuple[str, ...]:
        return ("mean", "log sd")

    def standard(self, e: Tensor) -> Tensor:
        return -0.5 * e**2 - 0.5 * LOG_2PI

    def draw(self, noise: Tensor) -> Tensor:
        return noise

    def mean_sd(self, phi: Tensor) -> tuple[Tensor, Tensor]:
        return phi[..., 0], phi[..., 1].exp()

    def entropy(self, phi: Tensor) -> Tensor:
        return phi[..., 1] + 0.5 * (1.0 + LOG_2PI)


@choice
class StudentQ(LocationScale):
    """Student's density with df degrees of freedom, shifted and stretched: phi = (loc, log scale).

    The degrees of freedom are a setting, not a parameter, so its quantile is a constant to autograd.
    """

    title = "Student"
    df: float = knob(4.0, 1.0, 30.0, "Degrees of freedom: the fewer, the heavier q's tails.", label="Freedom")

    def at(self, loc: Tensor, scale: Tensor) -> Tensor:
        shrink = (
            math.sqrt((self.df - 2) / self.df) if self.df > 2 else 1.0
        )  # with df <= 2 there is no sd to meet
        return torch.stack([loc, scale.log() + math.log(shrink)], -1)

    def standard(self, e: Tensor) -> Tensor:
        constant = (
            math.lgamma((self.df + 1) / 2) - math.lgamma(self.df / 2) - 0.5 * math.log(self.df * math.pi)
        )
        return constant - (self.df + 1) * torch.hypot(e / math.sqrt(self.df), torch.ones_like(e)).log()

    def draw(self, noise: Tensor) -> Tensor:
        lower = special.stdtrit(self.df, special.ndtr(-noise.detach().abs().double().cpu().numpy()))
        return -torch.sign(noise) * torch.as_tensor(lower).to(noise)

    def mean_sd(self, phi: Tensor) -> tuple[Tensor, Tensor]:
        mean = phi[..., 0] if self.df > 1 else torch.full_like(phi[..., 0], math.nan)
        stretch = math.sqrt(self.df / (self.df - 2)) if self.df > 2 else math.inf if self.df > 1 else math.nan
        return mean, phi[..., 1].exp() * stretch

    def entropy(self, phi: Tensor) -> Tensor:
        above, half = (self.df + 1) / 2, self.df / 2
        spread = above * (special.digamma(above) - special.digamma(half))
        return phi[..., 1] + float(spread + 0.5 * math.log(self.df) + special.betaln(half, 0.5))


@choice
class LaplaceQ(LocationScale):
    """The density exp(-|z - loc| / scale) / (2 scale): phi = (loc, log scale)."""

    title = "Laplace"

    def at(self, loc: Tensor, scale: Tensor) -> Tensor:
        return torch.stack([loc, scale.log() - 0.5 * math.log(2.0)], -1)

    def standard(self, e: Tensor) -> Tensor:
        return -e.abs() - math.log(2.0)

    def draw(self, noise: Tensor) -> Tensor:
        return -torch.sign(noise) * (math.log(2.0) + torch.special.log_ndtr(-noise.abs()))

    def mean_sd(self, phi: Tensor) -> tuple[Tensor, Tensor]:
        return phi[..., 0], math.sqrt(2.0) * phi[..., 1].exp()

    def entropy(self, phi: Tensor) -> Tensor:
        return phi[..., 1] + 1.0 + math.log(2.0)
