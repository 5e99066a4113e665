"""A small network that tells, from one coordinate, how to move the other."""

from __future__ import annotations

import torch
from torch import Tensor

from lvmviz.families.flows.layer import NEAR

LIMIT = 3.0  # one layer stretches by e^-LIMIT to e^LIMIT at most


def names(hidden: int) -> tuple[str, ...]:
    """What the 4 hidden + 2 numbers are."""
    parts = ("slope", "offset", "shift weight", "log scale weight")
    return (*(f"{part} {h}" for part in parts for h in range(1, hidden + 1)), "shift", "log scale")


def start(noise: Tensor) -> Tensor:
    """Hidden units of any slope and offset, and outputs that are nearly none."""
    hidden = (len(noise) - 2) // 4
    return torch.cat([noise[: 2 * hidden], NEAR * noise[2 * hidden :]])


def shift_and_log_scale(phi: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Both (..., S) from the other coordinate x (..., S): tanh units, and a bound on the scale."""
    inner, outer = phi[..., :-2].unflatten(-1, (4, -1)).split(2, -2)
    heights = torch.tanh(x[..., None] * inner[..., None, 0, :] + inner[..., None, 1, :])
    shift, log_scale = (heights @ outer.mT + phi[..., None, -2:]).unbind(-1)
    return shift, bounded(log_scale)


def bounded(log_scale: Tensor) -> Tensor:
    """Smoothly within LIMIT of 0, so that no layer overflows."""
    return LIMIT * torch.tanh(log_scale / LIMIT)
