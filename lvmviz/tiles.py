"""Tiles of the plane: squares of nodes that halve their sides, each with the data that look there."""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from lvmviz.amortized import Q

T = TypeVar("T", bound=tuple[Tensor, ...])
SIDE = 4  # nodes along a tile's side; even, so that tiles join as a checkerboard
NODES = SIDE * SIDE
FIRST = 1.6  # width of a tile of the first level: nodes 0.4 apart
HALF = 6.4  # the first lattice reaches so far from 0, and farther where something lies there
FARTHEST = 102.4
REACH = 6.5  # standard deviations of q, beyond which there is nothing of it: 8e-11


class Pairs(NamedTuple):
    """Tiles of one level, each with a datum that has something there."""

    datum: Tensor  # (P,) int64
    tile: Tensor  # (P, 2) int64, the tile's place; the origin is a corner of tile (0, 0)


STEPS = (torch.arange(SIDE, dtype=torch.float64, device="cpu") + 0.5) / SIDE
_PLACES = torch.cartesian_prod(STEPS, STEPS)  # of a tile's nodes within it
QUARTERS = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]])


def nodes(tiles: Tensor, width: float) -> Tensor:
    """The nodes (T, NODES, 2) of tiles (T, 2)."""
    return (tiles.unsqueeze(1) + _PLACES) * width


def extent(q: Q) -> float:
    """How far from 0 the first lattice must reach for every q, a whole number of tiles."""
    far = float((q.means.abs() + REACH * q.sds()).max())
    half = HALF
    while half < min(far, FARTHEST):
        half *= 2.0
    return half


def everywhere(count: int, half: float) -> Pairs:
    """All tiles of the first level with all data."""
    places = torch.arange(-round(half / FIRST), round(half / FIRST))
    tiles = torch.cartesian_prod(places, places)
    return Pairs(torch.arange(count).repeat_interleave(len(tiles)), tiles.repeat(count, 1))


def ring(data: Tensor, half: float) -> Pairs:
    """The tiles of the first level beyond `half`, as far as twice that, with some of the data."""
    tiles = everywhere(1, 2.0 * half).tile
    inner = round(half / FIRST)
    tiles = tiles[((tiles < -inner) | (tiles >= inner)).any(1)]
    return Pairs(data.repeat_interleave(len(tiles)), tiles.repeat(len(data), 1))


def joined(some: T, more: T) -> T:
    """Two tuples of tensors as one, part by part."""
    return type(some)(*(torch.cat(side) for side in zip(some, more, strict=True)))


def rim(half: float) -> Tensor:
    """Points 0.2 apart along the edge of the square that reaches `half` from 0, (E, 2)."""
    along = torch.arange(-half, half, 0.2, dtype=torch.float64)
    side = torch.full_like(along, half)
    return torch.cat(
        [torch.stack(p, 1) for p in ((along, side), (-along, -side), (side, -along), (-side, along))]
    )
