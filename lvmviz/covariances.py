"""Which covariances the components of a mixture may have: a choice, applied to what the M-step finds."""

from __future__ import annotations

import abc
from typing import ClassVar

import torch
from torch import Tensor

from lvmviz.core import Choice, choice


class Covariance(Choice):
    """A set of covariances.

    The maximum of E_q[log p(X, Z | theta)] within each of these follows from the maximum without a limit
    (Celeux and Govaert, 1995, "Gaussian parsimonious clustering models").
    """

    shared: ClassVar[bool] = False  # by all components

    @abc.abstractmethod
    def __call__(self, covariances: Tensor, weights: Tensor) -> Tensor:
        """The best (..., K, D, D), from the best without a limit and the weights (..., K)."""

    @abc.abstractmethod
    def parameters(self, components: int, width: int) -> int:
        """How many numbers may be chosen freely."""


@choice
class Full(Covariance):
    """Every component has a covariance of its own: an ellipse of any shape and direction."""

    def __call__(self, covariances: Tensor, weights: Tensor) -> Tensor:
        return covariances

    def parameters(self, components: int, width: int) -> int:
        return components * width * (width + 1) // 2


@choice
class Tied(Covariance):
    """All components share one covariance: the same ellipse in different places."""

    shared = True

    def __call__(self, covariances: Tensor, weights: Tensor) -> Tensor:
        pooled = (weights[..., None, None] * covariances).sum(-3, keepdim=True)
        return pooled.expand_as(covariances).contiguous()

    def parameters(self, components: int, width: int) -> int:
        return width * (width + 1) // 2


@choice
class Diagonal(Covariance):
    """Columns do not vary together within a component: ellipses along the axes."""

    def __call__(self, covariances: Tensor, weights: Tensor) -> Tensor:
        return torch.diag_embed(covariances.diagonal(dim1=-2, dim2=-1))

    def parameters(self, components: int, width: int) -> int:
        return components * width


@choice
class Spherical(Covariance):
    """Every component has one variance in all directions: a ball of its own size."""

    def __call__(self, covariances: Tensor, weights: Tensor) -> Tensor:
        variances = covariances.diagonal(dim1=-2, dim2=-1)
        return torch.diag_embed(variances.mean(-1, keepdim=True).expand_as(variances))

    def parameters(self, components: int, width: int) -> int:
        return components
