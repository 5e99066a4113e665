"""Networks: functions of x whose weights are one flat vector, so that a state is a few tensors.

Nothing here holds weights; `forward` is a pure function of them in their own type, float32 or float64.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from lvmviz.core import Choice, Key, choice, generator, knob

Shape = tuple[int, ...]  # (D,) numbers, or (H, W) the pixels of a grey image

ACTIVATIONS = {"tanh": torch.tanh, "silu": F.silu, "relu": torch.relu}
_BENDS = "What bends: tanh and SiLU are smooth, ReLU has kinks that quadrature cannot see round."


def _activation() -> str:
    return knob("tanh", help=_BENDS, options=tuple(ACTIVATIONS), more=True)


class Network(Choice):
    """A function from one shape to another: an encoder's or a decoder's."""

    @property
    def smooth(self) -> bool:
        """Whether it has all derivatives everywhere, which quadrature lives on."""
        return getattr(self, "activation", "") != "relu"

    @abc.abstractmethod
    def shapes(self, inputs: Shape, outputs: Shape) -> tuple[Shape, ...]:
        """Of its arrays: a weight, its bias, the next weight, ... ValueError where it cannot map these."""

    @abc.abstractmethod
    def flops(self, inputs: Shape, outputs: Shape) -> float:
        """Multiplications and additions for one x."""

    @abc.abstractmethod
    def _forward(self, arrays: Sequence[Tensor], x: Tensor, inputs: Shape, outputs: Shape) -> Tensor:
        """The outputs (n, prod outputs) for x (n, prod inputs)."""

    def init(self, key: Key, inputs: Shape, outputs: Shape) -> Tensor:
        """First weights (P,) float32 on the CPU, alike for every device (Glorot and Bengio, 2010)."""
        draw = generator(key)
        return torch.cat([_glorot(shape, draw).reshape(-1) for shape in self.shapes(inputs, outputs)])

    def count(self, inputs: Shape, outputs: Shape) -> int:
        """How many weights, P."""
        return sum(map(math.prod, self.shapes(inputs, outputs)))

    def forward(self, weights: Tensor, x: Tensor, inputs: Shape, outputs: Shape) -> Tensor:
        """The outputs (..., prod outputs) for x (..., prod inputs), from the weights (P,)."""
        shapes = self.shapes(inputs, outputs)
        parts = weights.split([math.prod(shape) for shape in shapes])  # one concatenation on the way back
        arrays = [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]
        flat = self._forward(arrays, x.reshape(-1, x.shape[-1]), inputs, outputs)
        return flat.reshape(*x.shape[:-1], flat.shape[-1])


def _glorot(shape: Shape, draw: torch.Generator) -> Tensor:
    if len(shape) == 1:
        return torch.zeros(shape, dtype=torch.float32, device="cpu")
    field = math.prod(shape[2:])
    bound = math.sqrt(6.0 / (field * (shape[0] + shape[1])))
    return (2.0 * torch.rand(shape, generator=draw, dtype=torch.float32, device="cpu") - 1.0) * bound


@choice
class MLP(Network):
    """Layers that see everything before them: hidden = activation(W x + b), output = W hidden + b."""

    title = "MLP"
    hidden: int = knob(
        256, 1, 2048, "Units in each hidden layer.", label="Hidden units", scale="log", more=True
    )
    layers: int = knob(1, 1, 6, "How many hidden layers.", label="Hidden layers", more=True)
    activation: str = _activation()

    def shapes(self, inputs: Shape, outputs: Shape) -> tuple[Shape, ...]:
        widths = [math.prod(inputs), *[self.hidden] * self.layers, math.prod(outputs)]
        return tuple(s for i, o in zip(widths, widths[1:], strict=False) for s in ((o, i), (o,)))

    def flops(self, inputs: Shape, outputs: Shape) -> float:
        return 2.0 * self.count(inputs, outputs) + 20.0 * self.hidden * self.layers

    def _forward(self, arrays: Sequence[Tensor], x: Tensor, inputs: Shape, outputs: Shape) -> Tensor:
        bend = ACTIVATIONS[self.activation]
        for weight, bias in zip(arrays[:-2:2], arrays[1:-2:2], strict=True):
            x = bend(F.linear(x, weight, bias))
        return F.linear(x, arrays[-2], arrays[-1])


@choice
class LinearMap(Network):
    """No bend at all: output = W x + b, which makes the VAE probabilistic PCA."""

    def shapes(self, inputs: Shape, outputs: Shape) -> tuple[Shape, ...]:
        return (math.prod(outputs), math.prod(inputs)), (math.prod(outputs),)

    def flops(self, inputs: Shape, outputs: Shape) -> float:
        return 2.0 * self.count(inputs, outputs)

    def _forward(self, arrays: Sequence[Tensor], x: Tensor, inputs: Shape, outputs: Shape) -> Tensor:
        return F.linear(x, *arrays)


_KERNEL, _STRIDE, _PAD = 4, 2, 1  # halves an image's sides exactly, and its transpose doubles them


@choice
class Convolutional(Network):
    """Filters that see a small patch of an image, wherever it lies: two layers that each halve its sides.

    As a decoder the same in reverse. Sides that four does not divide are padded with zeros, and cut again.
    """

    channels: int = knob(
        16, 1, 128, "Filters in the layer next to the image; twice as many in the other.", more=True
    )
    activation: str = _activation()

    def shapes(self, inputs: Shape, outputs: Shape) -> tuple[Shape, ...]:
        few, many = self.channels, 2 * self.channels
        if len(inputs) == 2:
            inner, away = many * math.prod(_quarter(inputs)), math.prod(outputs)
            return (few, 1, 4, 4), (few,), (many, few, 4, 4), (many,), (away, inner), (away,)
        inner, away = many * math.prod(_quarter(outputs)), math.prod(inputs)
        return (inner, away), (inner,), (many, few, 4, 4), (few,), (few, 1, 4, 4), (1,)

    def flops(self, inputs: Shape, outputs: Shape) -> float:
        image = inputs if len(inputs) == 2 else outputs
        inner, few = math.prod(_quarter(image)), self.channels
        dense = 2 * few * inner * math.prod(outputs if image is inputs else inputs)
        return 2.0 * (4 * inner * few * 16 + inner * 2 * few * few * 16 + dense)

    def _forward(self, arrays: Sequence[Tensor], x: Tensor, inputs: Shape, outputs: Shape) -> Tensor:
        one, one_bias, two, two_bias, three, three_bias = arrays
        bend, how = ACTIVATIONS[self.activation], {"stride": _STRIDE, "padding": _PAD}
        if len(inputs) == 2:
            image = F.pad(x.reshape(-1, 1, *inputs), _missing(inputs))
            hidden = bend(F.conv2d(bend(F.conv2d(image, one, one_bias, **how)), two, two_bias, **how))
            return F.linear(hidden.flatten(1), three, three_bias)
        hidden = bend(F.linear(x, one, one_bias)).reshape(-1, 2 * self.channels, *_quarter(outputs))
        hidden = bend(F.conv_transpose2d(hidden, two, two_bias, **how))
        image = F.conv_transpose2d(hidden, three, three_bias, **how)
        return image[:, 0, : outputs[0], : outputs[1]].flatten(1)


def _quarter(image: Shape) -> Shape:
    if len(image) != 2:
        raise ValueError("a convolution needs images, and these are rows of numbers: choose an MLP")
    return math.ceil(image[0] / 4), math.ceil(image[1] / 4)


def _missing(image: Shape) -> list[int]:
    """Zeros to the right and below that make both sides multiples of four."""
    return [0, -image[1] % 4, 0, -image[0] % 4]
