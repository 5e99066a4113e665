"""What a layer of a flow is: an invertible map of the plane with parameters."""

from __future__ import annotations

import abc

from torch import Tensor

from lvmviz.core import Choice

NEAR = 0.01  # how far from the identity a layer starts


class Layer(Choice):
    """An invertible map of the plane, for phi (..., P) and points z (..., S, 2); what leads is a batch.

    Both ways tell where the points go, (..., S, 2), and the log |det| of that way's Jacobian there, (..., S).
    """

    @property
    @abc.abstractmethod
    def names(self) -> tuple[str, ...]:
        """(P,) what each number of phi is."""

    @abc.abstractmethod
    def start(self, noise: Tensor) -> Tensor:
        """phi (P,) near the identity, with the symmetry broken by standard normal noise (P,)."""

    @abc.abstractmethod
    def forward(self, phi: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """From noise towards the posterior."""

    @abc.abstractmethod
    def inverse(self, phi: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """Back towards the noise."""

    def log_volume(self, phi: Tensor) -> Tensor | None:
        """log |det J| of `forward`, (...), where it is the same everywhere: the layer is linear then."""
        return None


def everywhere(log_det: Tensor, place: Tensor) -> Tensor:
    """A log determinant (...) that is the same at all points (..., S, 2), as (..., S)."""
    return log_det[..., None].expand(place.shape[:-1])
