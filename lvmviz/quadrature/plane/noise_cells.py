"""Averages over the noise by cells, halved where and in the direction in which it pays: for kinks and ridges.

Two tilings at once, which share no node: each is a rule of its own.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from lvmviz.quadrature.plane.cells import KRONROD, NODES, RULES, grid
from lvmviz.quadrature.plane.images import Images, cut_to

EDGES = (
    (-9.0, -3.6, -1.6, 0.0, 1.6, 3.6, 9.0),
    (-9.0, -4.4, -2.2, -0.75, 0.75, 2.2, 4.4, 9.0),
)  # of the first cells of either tiling
OUTER = (-38.0, -28.0, -20.0, -14.0)  # of those before these, where a term has mass far out
FAR = 10.0  # cells that begin farther out are left out
CAUTION = 20.0  # times the squared disagreement of the two rules of a cell
ROUNDS = 16
MOST = 8000  # cells in all
BOTH_WAYS = 0.3  # of what a cell is off by in its worse direction: more, and it is halved in both

Terms = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # z (S, 2), log q (S,) -> (R, S)


class Cells(NamedTuple):
    """Rectangles of the turned noise of q's images."""

    low: np.ndarray  # (n, 2)
    high: np.ndarray  # (n, 2)
    part: np.ndarray  # (n,) whose noise
    tiling: np.ndarray  # (n,) 0 or 1

    def at(self, which: np.ndarray) -> Cells:
        """Some of them."""
        return Cells(*(column[which] for column in self))

    def halved(self, split: np.ndarray) -> Cells:
        """What they become when halved along the directions of `split` (n, 2)."""
        cells = self
        for axis in (0, 1):
            cut = split[:, axis]
            lower, upper = cells.at(cut), cells.at(cut)
            lower.high[:, axis] = upper.low[:, axis] = 0.5 * (lower.low[:, axis] + lower.high[:, axis])
            cells = _joined([cells.at(~cut), lower, upper])
            split = np.concatenate([split[~cut], split[cut], split[cut]])
        return cells


def _joined(parts: list[Cells]) -> Cells:
    return Cells(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def by_cells(
    q: Images,
    parts: np.ndarray,
    turns: np.ndarray,
    thin: list[np.ndarray],
    far: np.ndarray,
    terms: Terms,
    budget: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Some parts' share of every term by both tilings, (2, R), and how far either may be off, (2, R).

    Turns (M, 2, 2) are every part's; `thin` says where to look closely, and `far` (M,) who has mass beyond
    the usual cells. What is settled in a round is what may together be off by half of what is left of the
    budget (R,), nats.
    """
    cells = _joined([_first(m, k, thin[m], bool(far[m])) for k in (0, 1) for m in parts])
    value, doubt = np.zeros((2, 2, len(budget)))
    spent, count = 0.0, 0
    for turn in range(ROUNDS):
        sums, off = _looked_at(q, turns, cells, terms)
        share = (off / budget[:, None, None]).max(0)  # (n, 2)
        each, count = share.sum(-1), count + len(share)
        order = np.argsort(each)
        held = spent + np.cumsum(each[order])
        last = turn == ROUNDS - 1 or count > MOST or held[-1] <= 2.0 or not np.isfinite(sums).all()
        kept = np.zeros(len(each), bool)
        kept[order if last else order[held <= 0.5 * (2.0 + spent)]] = True
        for k in (0, 1):
            mine = kept & (cells.tiling == k)
            value[k] += sums[:, mine].sum(-1)
            doubt[k] += off[:, mine].sum((1, 2))
        spent += each[kept].sum()
        if kept.all():
            break
        split = share[~kept] > BOTH_WAYS * share[~kept].max(-1, keepdims=True)
        cells = cells.at(~kept).halved(split)
    return value, np.where(np.isfinite(value), doubt, 0.0)


def _first(m: int, tiling: int, thin: np.ndarray, far: bool) -> Cells:
    low, high = cut_to(*_tiles(tiling, far), thin)
    return Cells(low, high, np.full(len(low), m), np.full(len(low), tiling))


@functools.cache
def _tiles(tiling: int, far: bool) -> tuple[np.ndarray, np.ndarray]:
    outer = np.array(OUTER) if far else np.zeros(0)
    low, high = grid(np.concatenate([outer, EDGES[tiling], -outer[::-1]]))
    near = np.hypot(*np.maximum(np.maximum(low, -high), 0.0).T) < (-OUTER[0] if far else FAR)
    return low[near], high[near]


def _looked_at(q: Images, turns: np.ndarray, cells: Cells, terms: Terms) -> tuple[np.ndarray, np.ndarray]:
    """Every term's integral over every cell (R, n), and how far it may be off by direction (R, n, 2)."""
    part, half = cells.part, 0.5 * (cells.high - cells.low)[..., None]
    e = 0.5 * (cells.low + cells.high)[..., None] + half * NODES  # (n, 2, 7)
    t = turns[part][..., None, None]
    places = [(t[:, k, 0] * e[:, 0, :, None] + t[:, k, 1] * e[:, 1, None, :]).reshape(-1, 49) for k in (0, 1)]
    f = terms(*q.draw(torch.from_numpy(part)[:, None], *map(torch.from_numpy, places))).numpy()
    bell = np.exp(-0.5 * e * e) * half / math.sqrt(2.0 * math.pi)
    bell[:, 0] *= q.weights[part, None]
    return _summed(f.reshape(len(f), -1, 49), bell)


def _summed(f: np.ndarray, bell: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same from f (R, n, 49) and the normal density along either side (n, 2, 7).

    Where the rules disagree, against how far f departs from its mean on the cell: no constant hides it.
    """
    fine, apart = bell * KRONROD, bell * (KRONROD - RULES[:, 1])
    weight = (fine[:, 0, :, None] * fine[:, 1, None, :]).reshape(-1, 49)
    sums = (f * weight).sum(-1)
    if not np.isfinite(sums).all():
        sums = np.fmax(np.where(weight > 0.0, f, 0.0).sum(-1), -np.inf)
        return sums, np.zeros((*sums.shape, 2))
    mass = weight.sum(-1)
    off = f - np.divide(sums, mass, out=np.zeros_like(sums), where=mass > 0.0)[..., None]
    spread = (np.abs(off) * weight).sum(-1)[..., None]
    off = off.reshape(*sums.shape, 7, 7)
    across = (np.abs((off * apart[:, 0, :, None]).sum(-2)) * fine[:, 1]).sum(-1)
    along = (np.abs((off * apart[:, 1, None, :]).sum(-1)) * fine[:, 0]).sum(-1)
    gap = np.stack([across, along], -1)
    share = np.divide(gap, spread, out=np.zeros_like(gap), where=spread > 0.0)
    return sums, gap * np.minimum(1.0, CAUTION * share)
