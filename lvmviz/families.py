"""Families of q: densities with parameters that can be drawn from, evaluated and differentiated."""

from __future__ import annotations

import abc
import math
from typing import ClassVar

import torch
from torch import Tensor

from lvmviz.core import Choice, choice

LOG_2PI = math.log(2.0 * math.pi)


class Family(Choice):
    """A family q(z; phi) with phi = (..., P) unconstrained numbers; leading dimensions are a batch of q's."""

    dim: ClassVar[int]

    @property
    @abc.abstractmethod
    def names(self) -> tuple[str, ...]:
        """(P,) what each number of phi is, such as "mean" or "log sd"."""

    @abc.abstractmethod
    def at(self, loc: Tensor, scale: Tensor) -> Tensor:
        """phi (..., P) of a q near these means and standard deviations (...,): where a fit starts."""

    @abc.abstractmethod
    def log_prob(self, phi: Tensor, z: Tensor) -> Tensor:
        """log q(z; phi), shape (..., S), nats, for phi (..., P) and z (..., S, dim)."""

    @abc.abstractmethod
    def sample(self, phi: Tensor, noise: Tensor) -> Tensor:
        """z (..., S, dim) = g(noise; phi), differentiable in phi, from standard normal noise (..., S, dim).

        A family with a discrete choice inside (a mixture) says how it stays differentiable.
        """


@choice
class Gaussian(Family):
    """N(mean, sd^2): phi = (mean, log sd)."""

    dim: ClassVar[int] = 1

    @property
    def names(self) -> tuple[str, ...]:
        return ("mean", "log sd")

    def at(self, loc: Tensor, scale: Tensor) -> Tensor:
        return torch.stack([loc, scale.log()], -1)

    def log_prob(self, phi: Tensor, z: Tensor) -> Tensor:
        mean, log_sd = phi[..., 0:1], phi[..., 1:2]
        return -0.5 * ((z[..., 0] - mean) * torch.exp(-log_sd)) ** 2 - log_sd - 0.5 * LOG_2PI

    def sample(self, phi: Tensor, noise: Tensor) -> Tensor:
        return phi[..., 0:1, None] + torch.exp(phi[..., 1:2, None]) * noise
