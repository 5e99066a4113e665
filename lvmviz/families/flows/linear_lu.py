"""A linear layer as the product of two triangular matrices."""

from __future__ import annotations

import torch
from torch import Tensor

from lvmviz.core import choice
from lvmviz.families.flows.layer import NEAR, Layer, everywhere


@choice
class LinearLU(Layer):
    """A linear map z -> L U z + shift, L with ones on its diagonal, U with positive numbers on its own.

    log |det| is the sum of U's log diagonal, whatever the rest (Kingma and Dhariwal, 2018, section 3.2). A
    stack of linear layers is one linear layer: q stays a Gaussian.
    """

    title = "Linear (LU)"

    @property
    def names(self) -> tuple[str, ...]:
        return ("L21", "log U11", "log U22", "U12", "shift x", "shift y")

    def start(self, noise: Tensor) -> Tensor:
        return NEAR * noise

    def forward(self, phi: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        below, log_first, log_second, above, *shift = phi[..., None, :].unbind(-1)
        first = log_first.exp() * z[..., 0] + above * z[..., 1]
        second = log_second.exp() * z[..., 1] + below * first
        place = torch.stack([first + shift[0], second + shift[1]], -1)
        return place, everywhere(self.log_volume(phi), place)

    def inverse(self, phi: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        below, log_first, log_second, above, *shift = phi[..., None, :].unbind(-1)
        first = z[..., 0] - shift[0]
        second = (z[..., 1] - shift[1] - below * first) * torch.exp(-log_second)
        place = torch.stack([(first - above * second) * torch.exp(-log_first), second], -1)
        return place, everywhere(-self.log_volume(phi), place)

    def log_volume(self, phi: Tensor) -> Tensor:
        return phi[..., 1] + phi[..., 2]
