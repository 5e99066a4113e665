"""Posteriors to fit: log p(x, z) as a function of z for the x that was seen, prior and likelihood apart."""

from __future__ import annotations

import abc
import math
from typing import ClassVar

import torch
from torch import Tensor

from lvmviz.core import Choice, choice

LOG_2PI = math.log(2.0 * math.pi)


class Target(Choice):
    """A model p(x, z) = p(z) p(x | z) at one observed x.

    The posterior is p(z | x) = exp(log_prob(z)) / p(x); log p(x), the evidence, is what quadrature finds.
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


class Density(Target):
    """A posterior given by its density alone: prior N(0, 3^2), log p(x) = -3.2, likelihood = joint / prior.

    With these three every presentation of the ELBO exists.
    """

    dim: ClassVar[int] = 1

    @abc.abstractmethod
    def log_density(self, z: Tensor) -> Tensor:
        """log p(z | x), normalized, shape (...), nats, for z (..., 1)."""

    def log_prob(self, z: Tensor) -> Tensor:
        return self.log_density(z) - 3.2

    def log_prior(self, z: Tensor) -> Tensor:
        return normal(z[..., 0], 0.0, 3.0)


def normal(z: Tensor, mean: float, sd: float) -> Tensor:
    """log N(z | mean, sd^2), nats."""
    return -0.5 * ((z - mean) / sd) ** 2 - math.log(sd) - 0.5 * LOG_2PI


def two(z: Tensor, weight: float, first: tuple[float, float], second: tuple[float, float]) -> Tensor:
    """log of weight N(first) + (1 - weight) N(second), each (mean, sd), nats."""
    left = math.log(weight) + normal(z, *first)
    return torch.logaddexp(left, math.log1p(-weight) + normal(z, *second))


@choice
class Skewed(Density):
    """.7 N(1.6, 1.2^2) + .3 N(3.6, 1.6^2): one mode with a long right side (note 001)."""

    def log_density(self, z: Tensor) -> Tensor:
        return two(z[..., 0], 0.7, (1.6, 1.2), (3.6, 1.6))
