"""Models whose evidence is known, so that an estimate of it can be held against the truth."""

from __future__ import annotations

import abc
import functools
import math
from typing import ClassVar

import torch
from torch import Tensor

from lvmviz import quadrature
from lvmviz.core import Choice, choice, knob
from lvmviz.evidence.states import summed
from lvmviz.targets import LOG_2PI, EqualModes, Target

MOST_BITS = 22


class EvidenceModel(Choice):
    """A model p(x, z) = p(z) p(x | z) at the x that was seen; log p(x) is known by other means than draws."""

    discrete: ClassVar[bool] = False  # z is made of zeros and ones

    @property
    @abc.abstractmethod
    def size(self) -> int:
        """How many numbers z has."""

    @abc.abstractmethod
    def log_prior(self, z: Tensor) -> Tensor:
        """log p(z), nats (...), for z (..., size)."""

    @abc.abstractmethod
    def log_joint(self, z: Tensor) -> Tensor:
        """log p(x, z), nats (...), for z (..., size)."""

    @abc.abstractmethod
    def log_evidence(self) -> float:
        """log p(x), nats: exact, or far more so than any estimate."""

    @abc.abstractmethod
    def prior(self) -> tuple[Tensor, Tensor]:
        """The prior's means and standard deviations (size,)."""

    @abc.abstractmethod
    def posterior(self) -> tuple[Tensor, Tensor]:
        """The posterior's means and standard deviations (size,)."""


@choice
class GaussianLatents(EvidenceModel):
    """Latents z ~ N(0, I_d), x | z ~ N(z, noise^2 I), and every number of x is `offset`.

    Posterior N(x / (1 + noise^2), noise^2 / (1 + noise^2) I), evidence N(x | 0, (1 + noise^2) I).
    """

    title = "Gaussian latents"
    dimension: int = knob(10, 1, 30, "How many latents z has.", label="Dimension d")
    offset: float = knob(
        1.5, -10.0, 10.0, "Every number of x: how far it lies from the prior's centre.", more=True
    )
    noise: float = knob(0.5, 0.05, 5.0, "How far x strays from z.", label="Noise s", scale="fine")

    @property
    def size(self) -> int:
        return self.dimension

    def log_prior(self, z: Tensor) -> Tensor:
        return -0.5 * z.square().sum(-1) - 0.5 * self.size * LOG_2PI

    def log_joint(self, z: Tensor) -> Tensor:
        strayed = (z - self.offset).square().sum(-1) / self.noise**2
        likelihood = -0.5 * strayed - self.size * (math.log(self.noise) + 0.5 * LOG_2PI)
        return self.log_prior(z) + likelihood

    def log_evidence(self) -> float:
        variance = 1.0 + self.noise**2
        return -0.5 * self.size * (self.offset**2 / variance + math.log(variance) + LOG_2PI)

    def prior(self) -> tuple[Tensor, Tensor]:
        return _all(self.size, 0.0, 1.0)

    def posterior(self) -> tuple[Tensor, Tensor]:
        variance = 1.0 + self.noise**2
        return _all(self.size, self.offset / variance, self.noise / math.sqrt(variance))


@choice
class BinaryLatents(EvidenceModel):
    """Switches z_j ~ Bernoulli(share), and a meter at each: x_j | z ~ N(z_j + leak * others on, noise^2).

    x is 1 at every second meter and 0 at the others. Without a leak the switches are independent and the
    evidence is a product of n sums of two; with one it is a sum of 2^n terms.
    """

    title = "Binary latents"
    discrete: ClassVar[bool] = True
    bits: int = knob(12, 1, MOST_BITS, "How many switches: the sum has 2^n terms.", label="Bits n")
    share: float = knob(0.5, 0.01, 0.99, "How likely a switch is on.", label="Prior share on", more=True)
    leak: float = knob(0.1, 0.0, 1.0, "How much each meter shows of every other switch.")
    noise: float = knob(0.5, 0.05, 5.0, "The meters' standard deviation.", scale="fine", more=True)

    @property
    def size(self) -> int:
        return self.bits

    def x(self) -> Tensor:
        """What the meters show (n,)."""
        return (torch.arange(self.bits, dtype=torch.float64, device="cpu") + 1.0) % 2.0

    def log_prior(self, z: Tensor) -> Tensor:
        on = z.sum(-1)
        return on * math.log(self.share) + (self.bits - on) * math.log1p(-self.share)

    def log_joint(self, z: Tensor) -> Tensor:
        means = (1.0 - self.leak) * z + self.leak * z.sum(-1, keepdim=True)
        strayed = (self.x() - means).square().sum(-1) / self.noise**2
        likelihood = -0.5 * strayed - self.bits * (math.log(self.noise) + 0.5 * LOG_2PI)
        return self.log_prior(z) + likelihood

    def log_evidence(self) -> float:
        return _sum(self)[0]

    def prior(self) -> tuple[Tensor, Tensor]:
        return _all(self.size, self.share, math.sqrt(self.share * (1.0 - self.share)))

    def posterior(self) -> tuple[Tensor, Tensor]:
        on = torch.tensor(_sum(self)[1], dtype=torch.float64, device="cpu")
        return on, (on * (1.0 - on)).clamp(min=0.0).sqrt()


@choice
class OneLatent(EvidenceModel):
    """One latent with any posterior of the page before: its evidence by quadrature."""

    title = "One latent"
    target: Target = knob(EqualModes(), help="The posterior.", label="Posterior")

    @property
    def size(self) -> int:
        return 1

    def log_prior(self, z: Tensor) -> Tensor:
        return self._line().log_prior(z)

    def log_joint(self, z: Tensor) -> Tensor:
        return self._line().log_prob(z)

    def log_evidence(self) -> float:
        return float(quadrature.log_evidence(self._line()))

    def prior(self) -> tuple[Tensor, Tensor]:
        """Every prior on the line is a Gaussian: three of its values tell which."""
        at = torch.tensor([[-1.0], [0.0], [1.0]], dtype=torch.float64, device="cpu")
        left, middle, right = self.log_prior(at).tolist()
        variance = 1.0 / (2.0 * middle - left - right)
        return _all(1, 0.5 * (right - left) * variance, math.sqrt(variance))

    def posterior(self) -> tuple[Tensor, Tensor]:
        return _all(1, *_moments(self._line()))

    def _line(self) -> Target:
        if self.target.dim != 1:
            raise ValueError(f"{self.target.name()} has {self.target.dim} dimensions: choose one with one")
        return self.target


def _all(size: int, mean: float, sd: float) -> tuple[Tensor, Tensor]:
    one = torch.ones(size, dtype=torch.float64, device="cpu")
    return mean * one, sd * one


@functools.lru_cache(maxsize=64)
def _moments(target: Target) -> tuple[float, float]:
    """The posterior's mean and standard deviation."""
    mean, variance = quadrature.moments(target)
    if not math.isfinite(variance):
        raise ValueError(f"{target.name()} has no variance to make q of: place q by hand")
    return float(mean), math.sqrt(variance)


@functools.lru_cache(maxsize=64)
def _sum(model: BinaryLatents) -> tuple[float, tuple[float, ...]]:
    """log p(x), and how likely each switch is on, by all 2^n terms."""
    *_, last = summed(model.log_joint, model.bits)
    return last.log_sum, tuple(last.on)
