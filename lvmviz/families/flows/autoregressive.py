"""An autoregressive layer: every coordinate is moved, as those before it say."""

from __future__ import annotations

import torch
from torch import Tensor

from lvmviz.core import choice, knob
from lvmviz.families.flows import conditioner
from lvmviz.families.flows.layer import NEAR, Layer


@choice
class Autoregressive(Layer):
    """Move x by constants and y as x says: (x, y) -> (t1 + e^s1 x, t2(x) + e^s2(x) y).

    The masked network of an inverse autoregressive flow: what moves a coordinate sees only those before it,
    so J is triangular and log |det J| = s1 + s2(x) (Kingma et al., 2016; Germain et al., 2015). Every second
    layer of a flow has x and y exchanged.
    """

    hidden: int = knob(8, 1, 32, "Units of the masked network.", label="Hidden units")

    @property
    def names(self) -> tuple[str, ...]:
        return ("first shift", "first log scale", *conditioner.names(self.hidden))

    def start(self, noise: Tensor) -> Tensor:
        return torch.cat([NEAR * noise[:2], conditioner.start(noise[2:])])

    def forward(self, phi: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        x, y = z.unbind(-1)
        shift, log_scale = conditioner.shift_and_log_scale(phi[..., 2:], x)
        first = conditioner.bounded(phi[..., None, 1])
        place = torch.stack([phi[..., None, 0] + first.exp() * x, shift + log_scale.exp() * y], -1)
        return place, first + log_scale

    def inverse(self, phi: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        x, y = z.unbind(-1)
        first = conditioner.bounded(phi[..., None, 1])
        x = (x - phi[..., None, 0]) * torch.exp(-first)
        shift, log_scale = conditioner.shift_and_log_scale(phi[..., 2:], x)
        place = torch.stack([x, (y - shift) * torch.exp(-log_scale)], -1)
        return place, -first - log_scale
