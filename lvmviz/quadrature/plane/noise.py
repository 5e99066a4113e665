"""Rules for averages over standard normal noise in the plane, where what is averaged is smooth."""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

ORDERS = (20, 32)  # of Gauss-Hermite
STEPS = (0.62, 0.42)  # of square lattices
FINE = 0.3
REACH = 8.6  # of lattices: beyond, a normal has 1e-16 of its mass
LEAST = 1e-22  # weight of a Gauss-Hermite node that is left out
BEYOND = 38.0  # sds at which a normal density is no number any more
RINGS, RAYS = 9.2 * 1.22 ** np.arange(8.0), 24  # where it is looked whether something lies beyond REACH
TURN, ACROSS, ALONG = 0.3, (0.31, 0.4), (0.17, 0.3)  # where the lattices lie, so that they share no node


class Rules(NamedTuple):
    """Four rules: the first two check each other, and so do the others, which share no node with them."""

    one: Tensor  # (S,) the noise's coordinates at all their nodes
    two: Tensor  # (S,)
    weights: Tensor  # (S, 4)
    bends: Tensor  # (S, 2) weights of a mean's second derivatives: xy, and (xx - yy) / 2


@functools.cache
def coarse() -> Rules:
    """Two orders of Gauss-Hermite, then two lattices."""
    return together([*map(_hermite, ORDERS), *(lattice(step, k) for k, step in enumerate(STEPS))])


@functools.cache
def fine() -> Rules:
    """Twice two lattices, the one in the middles of the other's squares: together they are a finer one."""
    return together([lattice(FINE, k, shift) for k in (2, 3) for shift in (0.0, 0.5)])


def together(rules: list[tuple[Tensor, Tensor]]) -> Rules:
    """Nodes (S, 2) and weights (S,) of four rules in one."""
    weights = torch.block_diag(*(weight[:, None] for _, weight in rules))
    one, two = torch.cat([noise for noise, _ in rules]).mT.contiguous()
    bends = torch.stack([one * two, 0.5 * (one.square() - two.square())], -1) * weights[:, 1:2]
    return Rules(one, two, weights, bends)


def _hermite(order: int) -> tuple[Tensor, Tensor]:
    x, w = (torch.from_numpy(part) for part in np.polynomial.hermite_e.hermegauss(order))
    noise, weights = torch.cartesian_prod(x, x), torch.outer(w, w).flatten() / w.sum() ** 2
    kept = weights > LEAST
    return noise[kept], weights[kept]


@functools.cache
def outposts() -> tuple[Tensor, Tensor]:
    """Nodes (S, 2) on rings beyond all rules, and what each stands for, (S,): density times area."""
    radius = torch.from_numpy(RINGS)[:, None]
    turns = (
        torch.arange(RAYS, device="cpu") + 0.5 * torch.arange(len(RINGS), device="cpu")[:, None] + 0.1
    ) * (2.0 * math.pi / RAYS)
    noise = torch.stack([radius * turns.cos(), radius * turns.sin()], -1).flatten(0, 1)
    density = torch.exp(-0.5 * radius.square()) * radius.square() * (0.2 / RAYS)
    return noise, density.expand_as(turns).flatten()


@functools.cache
def lattice(step: float, k: int, shift: float = 0.0, reach: float = REACH) -> tuple[Tensor, Tensor]:
    """The trapezoidal rule, turned: it converges exponentially where f is smooth (Trefethen, 2022)."""
    count = math.ceil(reach / step) + 3
    side = step * torch.arange(-count, count + 1, dtype=torch.float64, device="cpu")
    across, along = ((start + more * k + shift) * step for start, more in (ACROSS, ALONG))
    cos, sin = math.cos(TURN + k), math.sin(TURN + k)
    noise = torch.cartesian_prod(side + across, side + along)
    noise = noise @ noise.new_tensor([[cos, sin], [-sin, cos]])
    noise = noise[noise.square().sum(-1) < reach**2]
    return noise, torch.exp(-0.5 * noise.square().sum(-1)) * (step**2 / (2.0 * math.pi))
