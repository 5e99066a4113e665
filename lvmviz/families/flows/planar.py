"""A planar layer: the plane is squeezed or stretched along one direction."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from lvmviz.core import choice
from lvmviz.families.flows.layer import NEAR, Layer

LEAST = 0.01  # the hardest squeeze: nearer to 0 the way back would lose its digits
STEPS, ENOUGH = 200, 100.0  # of the way back; roundings that a last, unsearched step mends
MANY = 1000  # points, from which on those that have arrived are left out


class Bend(NamedTuple):
    """z + push tanh(w . z + bias), whose slope along w is 1 + rate sech^2(w . z + bias)."""

    w: Tensor  # (..., 1, 2)
    push: Tensor  # (..., 1, 2)
    bias: Tensor  # (..., 1)
    rate: Tensor  # (..., 1) w . push, above -1


@choice
class Planar(Layer):
    """Push every point along one direction, z -> z + u tanh(w . z + b): one line's sides part or close up.

    det J = 1 + u . w sech^2(w . z + b). For u . w > -1 the map is one to one, so u is mended along w
    (Rezende and Mohamed, 2015, appendix A.1, here with a correction that is 0 and smooth at w = 0). The way
    back has no closed form: t = w . z solves t + u . w tanh(t + b) = w . z', which grows with t, by Newton's
    method within a bracket, and is differentiated implicitly. First derivatives are exact, later ones not.
    """

    @property
    def names(self) -> tuple[str, ...]:
        return ("w x", "w y", "u x", "u y", "b")

    def start(self, noise: Tensor) -> Tensor:
        """Directions and offsets of any size, and a push that is nearly none."""
        return noise * noise.new_tensor([1.0, 1.0, NEAR, NEAR, 1.0])

    def forward(self, phi: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        bend = _bend(phi)
        height = torch.tanh((bend.w * z).sum(-1) + bend.bias)
        return z + bend.push * height[..., None], torch.log1p(bend.rate * (1.0 - height**2))

    def inverse(self, phi: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        bend = _bend(phi)
        aim = (bend.w * z).sum(-1)
        with torch.no_grad():
            root = _root(bend, aim)
        residual, slope = _residual(bend, root, aim)
        t = root - residual / slope.detach()  # moves nothing any more, but carries the gradient
        height = torch.tanh(t + bend.bias)
        return z - bend.push * height[..., None], -torch.log1p(bend.rate * (1.0 - height**2))


def _bend(phi: Tensor) -> Bend:
    w, u, bias = phi[..., None, 0:2], phi[..., None, 2:4], phi[..., None, 4]
    wanted = (w * u).sum(-1)
    rate = _allowed(wanted)
    square = w.square().sum(-1).clamp(min=torch.finfo(phi.dtype).eps)  # below, all is rounding
    return Bend(w, u + ((rate - wanted) / square)[..., None] * w, bias, rate)


def _allowed(rate: Tensor) -> Tensor:
    """A smooth growing map onto numbers above LEAST - 1, with value 0 and slope 1 at 0."""
    room = 1.0 - LEAST
    return room * (torch.nn.functional.softplus(2.0 * math.log(2.0) / room * rate) / math.log(2.0) - 1.0)


def _residual(bend: Bend, t: Tensor, aim: Tensor) -> tuple[Tensor, Tensor]:
    height = torch.tanh(t + bend.bias)
    return t + bend.rate * height - aim, 1.0 + bend.rate * (1.0 - height**2)


def _root(bend: Bend, aim: Tensor) -> Tensor:
    """t (..., S): Newton, and bisection where it leaves the bracket or slows down.

    What has arrived stays there: a last step, all rounding, may point out of the bracket.
    """
    shape = torch.broadcast_shapes(bend.bias.shape, aim.shape)
    bias, rate, aim = (part.flatten() for part in torch.broadcast_tensors(bend.bias, bend.rate, aim))
    reach = rate.abs()
    low, high = aim - reach, aim + reach
    t, last, found, left = aim, 2.0 * reach, aim.clone(), None
    for _ in range(STEPS):
        height = torch.tanh(t + bias)
        residual = t + rate * height - aim
        step = residual / (1.0 + rate * (1.0 - height**2))
        there = step.abs() <= ENOUGH * torch.finfo(t.dtype).eps * (1 + t.abs())
        count = int(there.sum())
        if count == len(there):
            break
        low, high = torch.where(residual < 0, t, low), torch.where(residual > 0, t, high)
        good = (t - step >= low) & (t - step <= high) & (step.abs() <= 0.5 * last)
        new = torch.where(good, t - step, 0.5 * (low + high))
        last, t = (new - t).abs(), torch.where(there, t, new)
        if len(there) > MANY and count > 0.5 * len(there):  # nobody waits for the slowest
            left = torch.arange(len(found), device=t.device) if left is None else left
            found[left] = t
            far = ~there
            left, t, last, low, high = left[far], t[far], last[far], low[far], high[far]
            bias, rate, aim = bias[far], rate[far], aim[far]
    if left is None:
        return t.view(shape)
    found[left] = t
    return found.view(shape)
