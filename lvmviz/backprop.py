"""A VAE's gradient with the backward pass written out: no tape, and nothing that Adam does not need.

Small networks take less time than autograd's bookkeeping, and the value of the loss is not asked for: an
epoch of digits is three times as fast. For fully connected networks; others are left to autograd.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lvmviz.likelihoods import Likelihood
from lvmviz.networks import ACTIVATIONS, MLP, LinearMap, Network, Shape

# activation: d loss/d before from d loss/d after, before and after
BACK = {
    "tanh": lambda d, before, after: torch.ops.aten.tanh_backward(d, after),
    "silu": lambda d, before, after: torch.ops.aten.silu_backward(d, before),
    "relu": lambda d, before, after: torch.ops.aten.threshold_backward(d, after, 0.0),
}


class Layer(NamedTuple):
    """One of a stack: its numbers, and where their slopes are written."""

    weight: Tensor  # (O, I)
    turned: Tensor  # (I, O) the same, transposed
    bias: Tensor  # (O,)
    weight_slope: Tensor  # (O, I)
    bias_slope: Tensor  # (O,)


class Dense:
    """Fully connected layers on flat weights (P,), whose slopes (P,) are written in place."""

    def __init__(self, network: MLP | LinearMap, inputs: Shape, outputs: Shape,
                 weights: Tensor, slopes: Tensor) -> None:  # fmt: skip
        shapes = network.shapes(inputs, outputs)
        arrays, rises = _views(weights, shapes), _views(slopes, shapes)
        self.layers = [
            Layer(arrays[k], arrays[k].t(), arrays[k + 1], rises[k], rises[k + 1])
            for k in range(0, len(shapes), 2)
        ]
        self.bend = getattr(network, "activation", "")
        self.seen: list[tuple[Tensor, Tensor, Tensor]] = []  # each layer's input, sum, and what it made of it

    def forward(self, x: Tensor) -> Tensor:
        """The outputs (n, O) for x (n, I)."""
        self.seen = []
        for layer in self.layers:
            before = torch.addmm(layer.bias, x, layer.turned)
            after = ACTIVATIONS[self.bend](before) if layer is not self.layers[-1] else before
            self.seen.append((x, before, after))
            x = after
        return x

    def backward(self, d: Tensor, *, weights: bool = True, inputs: bool = True) -> Tensor:
        """d loss/d x (n, I) from d loss/d outputs (n, O), and on the way the slopes of the weights."""
        for layer, (x, before, after) in zip(reversed(self.layers), reversed(self.seen), strict=True):
            if layer is not self.layers[-1]:
                d = BACK[self.bend](d, before, after)
            if weights:
                torch.mm(d.t(), x, out=layer.weight_slope)
                torch.sum(d, 0, out=layer.bias_slope)
            if inputs or layer is not self.layers[0]:
                d = d @ layer.weight
        return d


class Bound:
    """minus the mean of reconstruction - beta max(KL, free bits), of a mean-field q with the KL's formula."""

    def __init__(self, encoder: Dense, decoder: Dense, likelihood: Likelihood, free_bits: float) -> None:
        self.encoder, self.decoder = encoder, decoder
        self.likelihood, self.free_bits = likelihood, free_bits

    def descend(self, x: Tensor, noise: Tensor, beta: float, both: bool) -> None:
        """Write the slopes of both networks, or of the encoder, for x (n, D) and noise (S, n, latent)."""
        draws, rows, latent = noise.shape
        told = self.encoder.forward(x)
        means, log_sds = told[:, :latent], told[:, latent:]
        sds = log_sds.exp()
        output = self.decoder.forward((means + sds * noise).flatten(0, 1))
        each = output.view(draws, rows, -1)
        d = self.likelihood.slope(each, x).flatten(0, 1).mul_(-1.0 / (draws * rows))
        dz = self.decoder.backward(d, weights=both).view(noise.shape)
        weight = self._weight(means, log_sds, sds, beta) / rows
        d_means = dz.sum(0) + weight * means
        d_log_sds = (dz * noise).sum(0) * sds + weight * (sds.square() - 1.0)
        self.encoder.backward(torch.cat([d_means, d_log_sds], 1), inputs=False)

    def _weight(self, means: Tensor, log_sds: Tensor, sds: Tensor, beta: float) -> Tensor | float:
        """How much each latent's KL weighs: nothing while it is within its free bits."""
        if not self.free_bits:
            return beta
        kl = (0.5 * (means.square() + sds.square() - 1.0) - log_sds).mean(0)
        return beta * (kl >= self.free_bits).to(kl.dtype)


def stack(network: Network, inputs: Shape, outputs: Shape, weights: Tensor, slopes: Tensor) -> Dense | None:
    """The network as fully connected layers; None where it is made of something else."""
    if not isinstance(network, (MLP, LinearMap)):
        return None
    return Dense(network, inputs, outputs, weights, slopes)


def _views(flat: Tensor, shapes: Sequence[Shape]) -> list[Tensor]:
    parts = flat[: sum(map(math.prod, shapes))].split([math.prod(shape) for shape in shapes])
    return [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]
