"""A flow as q: standard normal noise through a stack of layers, then shifted and stretched into place."""

from __future__ import annotations

import abc
import functools
from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor

from lvmviz.core import choice, generator, knob
from lvmviz.families.flows.coupling import AffineCoupling
from lvmviz.families.flows.layer import Layer
from lvmviz.families.flows.planar import Planar
from lvmviz.families.plane import Frame, Plane, frame_by_draws, standard

PLACE = ("loc x", "loc y", "log scale x", "log scale y")
KEY = 2015  # of the noise that breaks the symmetry of a start


class Stack(Plane):
    """z = loc + scale f_L(... f_1(e)), e ~ N(0, I): phi = (loc, log scales, every layer's numbers).

    log q(z) = log N(e | 0, I) - sum over layers of log |det J| - log scales (Tabak and Vanden-Eijnden, 2010).
    Every second round of layers sees x and y exchanged.
    """

    affine: ClassVar[bool] = True
    layers: int

    @property
    @abc.abstractmethod
    def kinds(self) -> tuple[Layer, ...]:
        """The layers of one round; the stack begins again with the first after the last."""

    @property
    def stack(self) -> tuple[Layer, ...]:
        """(L,) the layers, the one nearest to the noise first."""
        return tuple(self.kinds[k % len(self.kinds)] for k in range(self.layers))

    @property
    def names(self) -> tuple[str, ...]:
        numbered = enumerate(self.stack, 1)
        return (*PLACE, *(f"{name}, layer {k}" for k, layer in numbered for name in layer.names))

    def at(self, loc: Tensor, scale: Tensor) -> Tensor:
        """Near N(loc, scale^2), with layers whose directions are the same each time."""
        random = generator(KEY)
        noises = [
            torch.randn(_size(layer), generator=random, dtype=torch.float64, device="cpu").to(loc)
            for layer in self.stack
        ]
        layers = torch.cat([layer.start(noise) for layer, noise in zip(self.stack, noises, strict=True)])
        place = torch.cat([loc, scale.expand_as(loc).log()], -1)
        return torch.cat([place, layers.expand(*place.shape[:-1], -1)], -1)

    def sample(self, phi: Tensor, noise: Tensor) -> Tensor:
        return self.draw(phi, noise)[0]

    def draw(self, phi: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        z, log_det = self.warp(phi, noise)
        return z, standard(noise) - log_det

    def warp(self, phi: Tensor, grid: Tensor, upto: int | None = None) -> tuple[Tensor, Tensor]:
        """Where noise (..., S, 2) lies after the first `upto` layers, and log |det J| there, (..., S).

        Shifted and stretched into place at every stage; without `upto`, after all layers.
        """
        z, log_det = grid, grid.new_zeros(())
        for k, layer, numbers in list(self._each(phi))[:upto]:
            z, more = layer.forward(numbers, self._turned(k, z))
            z, log_det = self._turned(k, z), log_det + more
        place = phi[..., None, 0:2] + phi[..., None, 2:4].exp() * z
        return place, (log_det + phi[..., None, 2:4].sum(-1)).expand(place.shape[:-1])

    def inverse(self, phi: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """The noise (..., S, 2) that `sample` carries to z (..., S, 2), and that way's log |det J|."""
        e = (z - phi[..., None, 0:2]) * torch.exp(-phi[..., None, 2:4])
        log_det = -phi[..., None, 2:4].sum(-1)
        for k, layer, numbers in list(self._each(phi))[::-1]:
            e, more = layer.inverse(numbers, self._turned(k, e))
            e, log_det = self._turned(k, e), log_det + more
        return e, log_det.expand(e.shape[:-1])

    def log_prob(self, phi: Tensor, z: Tensor) -> Tensor:
        e, log_det = self.inverse(phi, z)
        return standard(e) + log_det

    def frame(self, phi: Tensor) -> Frame:
        return frame_by_draws(self, phi)

    def mean_sd(self, phi: Tensor) -> tuple[Tensor, Tensor] | None:
        """Where all layers are linear."""
        if self._log_volume(phi) is None:
            return None
        frame = self.frame(phi)
        return frame.centre, frame.sds()

    def entropy(self, phi: Tensor) -> Tensor | None:
        """That of a Gaussian of the same volume, where all layers are linear."""
        volume = self._log_volume(phi)
        return None if volume is None else volume - standard(torch.zeros_like(phi[..., :2])) + 1.0

    def _log_volume(self, phi: Tensor) -> Tensor | None:
        total = phi[..., 2:4].sum(-1)
        for _, layer, numbers in self._each(phi):
            volume = layer.log_volume(numbers)
            if volume is None:
                return None
            total = total + volume
        return total

    def _each(self, phi: Tensor) -> Iterator[tuple[int, Layer, Tensor]]:
        """Every layer's place in the stack, itself and its numbers (..., p)."""
        numbers = phi[..., len(PLACE) :].split([_size(layer) for layer in self.stack], -1)
        return zip(range(self.layers), self.stack, numbers, strict=True)

    def _turned(self, k: int, z: Tensor) -> Tensor:
        return z.flip(-1) if k // len(self.kinds) % 2 else z


@functools.lru_cache(maxsize=256)
def _size(layer: Layer) -> int:
    return len(layer.names)


def _layers(help: str, default: int = 4) -> int:
    return knob(default, 1, 16, help, label="Layers")


@choice
class Flow(Stack):
    """A Gaussian, bent by layer after layer of one kind into what it has to be.

    z = loc + scale f_L(... f_1(e)): the change of variables gives log q, and the draws move smoothly with phi
    (Rezende and Mohamed, 2015, "Variational inference with normalizing flows").
    """

    layer: Layer = knob(Planar(), help="What one layer does to the plane.", label="Layer")
    layers: int = _layers("How many of them follow each other.")

    @property
    def kinds(self) -> tuple[Layer, ...]:
        return (self.layer,)


@choice
class ComposedFlow(Stack):
    """A Gaussian, bent by layers of two kinds in turn.

    What one kind cannot do the other may: a planar layer parts the plane, a coupling layer bends it.
    """

    title = "Flow of two kinds of layer"
    first: Layer = knob(AffineCoupling(), help="What the odd layers do.", label="First", more=True)
    second: Layer = knob(Planar(), help="What the even layers do.", label="Second", more=True)
    layers: int = _layers("How many layers of both kinds together.")

    @property
    def kinds(self) -> tuple[Layer, ...]:
        return (self.first, self.second)
