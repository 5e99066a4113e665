"""Posteriors to fit: log p(x, z) as a function of z for the x that was seen, prior and likelihood apart."""

from __future__ import annotations

import abc
import math
from typing import ClassVar

import torch
from torch import Tensor

from lvmviz.core import Choice, choice, knob

LOG_2PI = math.log(2.0 * math.pi)
LOG_EVIDENCE = -3.2  # log p(x) of a posterior that is given by its density alone
PRIOR_SD = 3.0  # and its prior's


class Target(Choice):
    """A model p(x, z) = p(z) p(x | z) at one observed x.

    The posterior is p(z | x) = exp(log_prob(z)) / p(x); log p(x), the evidence, is what quadrature finds.
    -inf says that z is impossible; every density here is finite or -inf, never NaN, however far z is.
    """

    dim: ClassVar[int]

    @abc.abstractmethod
    def log_prob(self, z: Tensor) -> Tensor:
        """log p(x, z), shape (...), nats, for z (..., dim)."""

    @abc.abstractmethod
    def log_prior(self, z: Tensor) -> Tensor:
        """log p(z), shape (...), nats."""

    def log_likelihood(self, z: Tensor) -> Tensor:
        """log p(x | z), shape (...), nats."""
        return self.log_prob(z) - self.log_prior(z)

    def places(self) -> tuple[float, ...]:
        """Where, of one dimension, quadrature shall look closely, besides where it always does."""
        return ()

    def log_terms(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """log p(x, z), log p(z) and log p(x | z) together, each computed once."""
        joint, prior = self.log_prob(z), self.log_prior(z)
        return joint, prior, joint - prior


class Density(Target):
    """A posterior given by its density alone: prior N(0, 3^2), log p(x) = -3.2, likelihood = joint / prior.

    With these three every presentation of the ELBO exists.
    """

    dim: ClassVar[int] = 1

    @abc.abstractmethod
    def log_density(self, z: Tensor) -> Tensor:
        """log p(z | x), normalized, shape (...), nats, for z (..., 1)."""

    def log_prob(self, z: Tensor) -> Tensor:
        return self.log_density(z) + LOG_EVIDENCE

    def log_prior(self, z: Tensor) -> Tensor:
        return normal(z[..., 0], 0.0, PRIOR_SD)


class Decoder(Target):
    """A posterior that follows from its model: log p(x, z) = log p(z) + log p(x | z)."""

    dim: ClassVar[int] = 1

    @abc.abstractmethod
    def log_likelihood(self, z: Tensor) -> Tensor: ...

    def log_prob(self, z: Tensor) -> Tensor:
        return self.log_prior(z) + self.log_likelihood(z)

    def log_terms(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        prior, likelihood = self.log_prior(z), self.log_likelihood(z)
        return prior + likelihood, prior, likelihood


def normal(z: Tensor, mean: float, sd: float) -> Tensor:
    """log N(z | mean, sd^2), nats."""
    return -0.5 * ((z - mean) / sd) ** 2 - math.log(sd) - 0.5 * LOG_2PI


def two(z: Tensor, weight: float, first: tuple[float, float], second: tuple[float, float]) -> Tensor:
    """log of weight N(first) + (1 - weight) N(second), each (mean, sd), nats."""
    left = math.log(weight) + normal(z, *first)
    return torch.logaddexp(left, math.log1p(-weight) + normal(z, *second))


def student(z: Tensor, df: float) -> Tensor:
    """log t(z | df), nats; the hypotenuse keeps z^2 from overflowing far in the tails."""
    constant = math.lgamma((df + 1) / 2) - math.lgamma(df / 2) - 0.5 * math.log(df * math.pi)
    return constant - (df + 1) * torch.hypot(z / math.sqrt(df), torch.ones_like(z)).log()


@choice
class Skewed(Density):
    """0.7 N(1.6, 1.2^2) + 0.3 N(3.6, 1.6^2): one mode with a long right side (note 001)."""

    title = "Skewed"

    def log_density(self, z: Tensor) -> Tensor:
        return two(z[..., 0], 0.7, (1.6, 1.2), (3.6, 1.6))


@choice
class TwoModes(Density):
    """A broad mode N(2, 1.2^2) and a narrow one N(2 - distance, .7^2): a Gaussian has to choose."""

    title = "Two modes"
    weight: float = knob(0.75, 0.01, 0.99, "The share of the broad mode on the right.", label="Weight")
    distance: float = knob(5.0, 0.0, 12.0, "How far apart the centres are.", label="Distance")

    def log_density(self, z: Tensor) -> Tensor:
        return two(z[..., 0], self.weight, (2.0, 1.2), (2.0 - self.distance, 0.7))


@choice
class EqualModes(Density):
    """Half N(-distance / 2, sd^2), half N(distance / 2, sd^2): which one q ends on is its start's doing."""

    title = "Two equal modes"
    distance: float = knob(5.0, 0.0, 20.0, "How far apart the centres are.", label="Distance")
    sd: float = knob(0.8, 0.05, 3.0, "The standard deviation of either mode.", label="Width")

    def log_density(self, z: Tensor) -> Tensor:
        half = self.distance / 2
        return two(z[..., 0], 0.5, (-half, self.sd), (half, self.sd))


@choice
class Student(Density):
    """Student's t: tails so heavy that its moments from order df on are infinite."""

    title = "Student (heavy tails)"
    df: float = knob(3.0, 1.0, 30.0, "Degrees of freedom: the fewer, the heavier the tails.", label="Freedom")

    def log_density(self, z: Tensor) -> Tensor:
        return student(z[..., 0], self.df)


@choice
class Cauchy(Density):
    """The Cauchy density 1 / (pi (1 + z^2)): it has no mean, and no Gaussian is at a finite KL(p || q)."""

    title = "Cauchy (no mean)"

    def log_density(self, z: Tensor) -> Tensor:
        return student(z[..., 0], 1.0)


@choice
class Laplace(Density):
    """The density exp(-|z| / scale) / (2 scale): a kink at its mode."""

    title = "Laplace (a kink)"
    scale: float = knob(1.0, 0.05, 5.0, "The mean distance from the centre.", label="Scale")

    def log_density(self, z: Tensor) -> Tensor:
        return -z[..., 0].abs() / self.scale - math.log(2 * self.scale)


@choice
class LogGamma(Density):
    """The logarithm of a Gamma variable, log p = shape z - e^z - log Gamma(shape): a wall on its right."""

    title = "Log-gamma"
    shape: float = knob(
        3.0, 0.2, 20.0, "The Gamma variable's shape: the smaller, the more skewed.", label="Shape"
    )

    def log_density(self, z: Tensor) -> Tensor:
        return self.shape * z[..., 0] - z[..., 0].exp() - math.lgamma(self.shape)


@choice
class Spike(Density):
    """A narrow Gaussian N(centre, sd^2), which a fixed grid steps over."""

    title = "Narrow spike"
    centre: float = knob(0.0, -30.0, 30.0, "Where it stands.", label="Centre")
    sd: float = knob(0.02, 0.005, 0.2, "Its standard deviation.", label="Width", scale="log")

    def log_density(self, z: Tensor) -> Tensor:
        return normal(z[..., 0], self.centre, self.sd)


@choice
class SigmoidDecoder(Decoder):
    """The true posterior of a sigmoid decoder: z ~ N(0, 1), x | z ~ N(s(az + c), exp s(bz + d)).

    s is the logistic sigmoid and exp s(bz + d) a variance between 1 and e (note 001, with one latent and one
    datum). Prior and likelihood are the model's own; nobody knows the evidence in closed form.
    """

    title = "Sigmoid decoder"
    a: float = knob(8.0, -30.0, 30.0, "How steeply the mean follows z.", label="Mean slope a")
    b: float = knob(-8.0, -30.0, 30.0, "How steeply the variance follows z.", label="Variance slope b")
    c: float = knob(-8.0, -30.0, 30.0, "Shifts where the mean turns.", label="Mean shift c")
    d: float = knob(0.0, -30.0, 30.0, "Shifts where the variance turns.", label="Variance shift d")
    x: float = knob(2.5, -10.0, 10.0, "The datum that was seen.", label="Datum x")

    def log_prior(self, z: Tensor) -> Tensor:
        return normal(z[..., 0], 0.0, 1.0)

    def log_likelihood(self, z: Tensor) -> Tensor:
        mean = torch.sigmoid(self.a * z[..., 0] + self.c)
        log_variance = torch.sigmoid(self.b * z[..., 0] + self.d)
        return -0.5 * ((self.x - mean) ** 2 * torch.exp(-log_variance) + log_variance + LOG_2PI)


@choice
class ConjugateGaussian(Decoder):
    """Prior z ~ N(0, prior_sd^2), datum x | z ~ N(z, noise_sd^2): everything has a closed form.

    Posterior N(w x, w noise_sd^2) with w = prior_sd^2 / (prior_sd^2 + noise_sd^2), evidence
    N(x | 0, prior_sd^2 + noise_sd^2): the case every rule can be held against.
    """

    title = "Conjugate Gaussian"
    prior_sd: float = knob(3.0, 0.05, 10.0, "The prior's standard deviation.", label="Prior width")
    noise_sd: float = knob(1.0, 0.05, 10.0, "How far x strays from z.", label="Noise")
    x: float = knob(2.0, -10.0, 10.0, "The datum that was seen.", label="Datum x")

    def log_prior(self, z: Tensor) -> Tensor:
        return normal(z[..., 0], 0.0, self.prior_sd)

    def log_likelihood(self, z: Tensor) -> Tensor:
        return normal(z[..., 0], self.x, self.noise_sd)

    def posterior(self) -> tuple[float, float]:
        """The posterior's mean and standard deviation."""
        weight = self.prior_sd**2 / (self.prior_sd**2 + self.noise_sd**2)
        return weight * self.x, math.sqrt(weight) * self.noise_sd

    def log_evidence(self) -> float:
        """log p(x), nats, in closed form."""
        variance = self.prior_sd**2 + self.noise_sd**2
        return -0.5 * (self.x**2 / variance + math.log(variance) + LOG_2PI)
