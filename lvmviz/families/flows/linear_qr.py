"""A linear layer as a rotation after a triangular matrix."""

from __future__ import annotations

import torch
from torch import Tensor

from lvmviz.core import choice
from lvmviz.families.flows.layer import NEAR, Layer, everywhere


@choice
class LinearQR(Layer):
    """A linear map z -> Q R z + shift: R shears and stretches, then Q turns, which leaves areas alone.

    R is upper triangular with a positive diagonal, whose logs add up to log |det|; Q turns by one angle
    (Hoogeboom, van den Berg and Welling, 2019, section 3.2).
    """

    title = "Linear (QR)"

    @property
    def names(self) -> tuple[str, ...]:
        return ("angle", "log R11", "log R22", "R12", "shift x", "shift y")

    def start(self, noise: Tensor) -> Tensor:
        return NEAR * noise

    def forward(self, phi: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        angle, log_first, log_second, above, *shift = phi[..., None, :].unbind(-1)
        first = log_first.exp() * z[..., 0] + above * z[..., 1]
        first, second = _turned(angle, first, log_second.exp() * z[..., 1])
        place = torch.stack([first + shift[0], second + shift[1]], -1)
        return place, everywhere(self.log_volume(phi), place)

    def inverse(self, phi: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        angle, log_first, log_second, above, *shift = phi[..., None, :].unbind(-1)
        first, second = _turned(-angle, z[..., 0] - shift[0], z[..., 1] - shift[1])
        second = second * torch.exp(-log_second)
        place = torch.stack([(first - above * second) * torch.exp(-log_first), second], -1)
        return place, everywhere(-self.log_volume(phi), place)

    def log_volume(self, phi: Tensor) -> Tensor:
        return phi[..., 1] + phi[..., 2]


def _turned(angle: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    cos, sin = angle.cos(), angle.sin()
    return cos * x - sin * y, sin * x + cos * y
