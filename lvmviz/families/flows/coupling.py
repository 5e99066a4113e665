"""A coupling layer: one coordinate stays and says how the other is moved."""

from __future__ import annotations

import torch
from torch import Tensor

from lvmviz.core import choice, knob
from lvmviz.families.flows import conditioner
from lvmviz.families.flows.layer import Layer


@choice
class AffineCoupling(Layer):
    """Leave x alone and shift and stretch y by as much as x says: (x, y) -> (x, t(x) + e^s(x) y).

    log |det J| = s(x), and the way back needs no inverse of s and t, which are a small network's (Dinh,
    Sohl-Dickstein and Bengio, 2017). Every second layer of a flow has x and y exchanged.
    """

    hidden: int = knob(8, 1, 32, "Units of the network behind shift and stretch.", label="Hidden units")

    @property
    def names(self) -> tuple[str, ...]:
        return conditioner.names(self.hidden)

    def start(self, noise: Tensor) -> Tensor:
        return conditioner.start(noise)

    def forward(self, phi: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        x, y = z.unbind(-1)
        shift, log_scale = conditioner.shift_and_log_scale(phi, x)
        y = shift + log_scale.exp() * y
        return torch.stack([x.expand_as(y), y], -1), log_scale

    def inverse(self, phi: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        x, y = z.unbind(-1)
        shift, log_scale = conditioner.shift_and_log_scale(phi, x)
        y = (y - shift) * torch.exp(-log_scale)
        return torch.stack([x.expand_as(y), y], -1), -log_scale
