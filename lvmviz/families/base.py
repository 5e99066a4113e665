"""What a family of q is: a density with parameters, to draw from, evaluate and differentiate."""

from __future__ import annotations

import abc
import math
from typing import ClassVar

import torch
from torch import Tensor

from lvmviz.core import Choice

LOG_2PI = math.log(2.0 * math.pi)
SPREAD = (-8.5, -6.0, -4.0, -2.5, -1.5, -0.7, 0.0, 0.7, 1.5, 2.5, 4.0, 6.0, 8.5)  # noise that covers a normal


class Family(Choice):
    """A family q(z; phi) with phi = (..., P) unconstrained numbers; leading dimensions are a batch of q's.

    In one dimension `sample` grows with its noise, so it carries quantiles to quantiles.
    """

    dim: ClassVar[int]
    affine: ClassVar[bool] = (
        False  # whether another phi (loc and scale only) is the same curve, shifted and stretched
    )

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

    def mean_sd(self, phi: Tensor) -> tuple[Tensor, Tensor] | None:
        """Means and standard deviations (...,) where closed forms exist: nan undefined, inf infinite."""
        return None

    def entropy(self, phi: Tensor) -> Tensor | None:
        """H(q), shape (...,), nats, where it has a closed form."""
        return None


class Line(Family):
    """A family in one dimension."""

    dim: ClassVar[int] = 1

    def quantile(self, phi: Tensor, share: Tensor) -> Tensor:
        """z (..., S) below which q has the shares (..., S) of its mass."""
        return self.sample(phi, torch.special.ndtri(share)[..., None])[..., 0]

    def spread(self, phi: Tensor) -> Tensor:
        """Places (..., J) between which q is smooth, with next to no mass beyond: quadrature's panels."""
        noise = phi.new_tensor(SPREAD).expand(*phi.shape[:-1], -1)
        return self.sample(phi, noise[..., None])[..., 0]
