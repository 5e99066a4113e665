"""Gaussians in the plane as q, with and without correlation."""

from __future__ import annotations

import abc
from typing import ClassVar

import torch
from torch import Tensor

from lvmviz.core import choice
from lvmviz.families.base import LOG_2PI
from lvmviz.families.plane import Frame, Plane, standard, triangular


class PlaneGaussian(Plane):
    """N(m, L L'): phi begins with m and the logs of L's diagonal."""

    affine: ClassVar[bool] = True

    @abc.abstractmethod
    def of_frame(self, frame: Frame) -> Tensor:
        """phi (..., P) of the Gaussian that has the frame's mean and, as far as it can, its covariance."""

    def at(self, loc: Tensor, scale: Tensor) -> Tensor:
        return self.of_frame(Frame(loc, torch.diag_embed(scale.expand_as(loc))))

    def sample(self, phi: Tensor, noise: Tensor) -> Tensor:
        return self.frame(phi).place(noise)

    def log_prob(self, phi: Tensor, z: Tensor) -> Tensor:
        return self.frame(phi).log_prob(z)

    def draw(self, phi: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        return self.sample(phi, noise), standard(noise) - phi[..., 2:4].sum(-1, keepdim=True)

    def mean_sd(self, phi: Tensor) -> tuple[Tensor, Tensor]:
        frame = self.frame(phi)
        return frame.centre, frame.sds()

    def entropy(self, phi: Tensor) -> Tensor:
        return phi[..., 2:4].sum(-1) + 1.0 + LOG_2PI


@choice
class MeanField(PlaneGaussian):
    """Two independent Gaussians, N(x | m1, s1^2) N(y | m2, s2^2): phi = (means, log sds).

    It cannot lean: on a posterior with correlation rho it takes the sds sqrt(1 - rho^2) and keeps a KL of
    -1/2 log(1 - rho^2) (Bishop, 2006, section 10.1.2).
    """

    title = "Mean field"

    @property
    def names(self) -> tuple[str, ...]:
        return ("mean x", "mean y", "log sd x", "log sd y")

    def frame(self, phi: Tensor) -> Frame:
        return Frame(phi[..., 0:2], torch.diag_embed(phi[..., 2:4].exp()))

    def of_frame(self, frame: Frame) -> Tensor:
        return torch.cat([frame.centre, frame.sds().log()], -1)


@choice
class FullRank(PlaneGaussian):
    """A Gaussian that may lean, N(m, L L'): phi = (means, logs of L's diagonal, L's number below it)."""

    title = "Full Gaussian"

    @property
    def names(self) -> tuple[str, ...]:
        return ("mean x", "mean y", "log L11", "log L22", "L21")

    def frame(self, phi: Tensor) -> Frame:
        first, second = phi[..., 2].exp(), phi[..., 3].exp()
        return Frame(phi[..., 0:2], triangular(first, phi[..., 4], second))

    def of_frame(self, frame: Frame) -> Tensor:
        diagonal = frame.factor.diagonal(dim1=-2, dim2=-1)
        return torch.cat([frame.centre, diagonal.log(), frame.factor[..., 1:2, 0]], -1)
