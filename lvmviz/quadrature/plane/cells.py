"""Adaptive quadrature over rectangles of the plane, halved where and in the direction in which it pays.

Each cell has Kronrod's seven nodes by seven, with Gauss's three among them: the rules' disagreement along one
direction, squared, is how far the cell is off in it. A ridge narrower than a cell's nodes are apart shows as
the top of a parabola through the log densities beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from lvmviz.quadrature.plane.coordinates import Frame, log_cosh

HALVINGS = 60  # of a cell: then it is as small as numbers are apart
LogDensity = Callable[[np.ndarray], np.ndarray]  # z (m, 2) -> nats (m,), -inf where impossible

_X = [0.960491268708020283, 0.774596669241483377, 0.434243749346802558]
_K = [0.104656226026467265, 0.268488089868333441, 0.401397414775962223]
NODES = np.array([-_X[0], -_X[1], -_X[2], 0.0, _X[2], _X[1], _X[0]])  # (7,)
KRONROD = np.array([_K[0], _K[1], _K[2], 0.450916538658474142, _K[2], _K[1], _K[0]])
RULES = np.array([KRONROD, [0.0, 5 / 9, 0.0, 8 / 9, 0.0, 5 / 9, 0.0]]).T  # (7, 2) Kronrod, Gauss
BOTH = np.outer(KRONROD, KRONROD)
APART = KRONROD - RULES[:, 1]
ROUNDS = 40
MOST_CELLS = 40_000  # in all: more is no density a person meant
CAUTION = 3.0  # times the squared disagreement of the two rules
TOLERANCE = 3e-7  # of the whole, a cell
EDGE = 0.05  # of the fall between the two nodes next to a border: what a ridge on it may rise above them
UNSEEN = 3e-7  # of the whole: what may hide in a cell
ROUNDED = 1e10  # nats: of larger ones the rounding may look like a ridge
HIDDEN = 0.5  # nats by which a ridge may overtop a cell's nodes


class Cells(NamedTuple):
    """Rectangles of u with the density at their nodes."""

    low: np.ndarray  # (n, 2) u
    high: np.ndarray  # (n, 2) u
    z: np.ndarray  # (n, 7, 7, 2)
    log_p: np.ndarray  # (n, 7, 7) nats
    log_slope: np.ndarray  # (n, 7, 7) log |dz / d(node coordinates)|

    def at(self, which: np.ndarray) -> Cells:
        """Some of them."""
        return Cells(*(part[which] for part in self))


class Sums(NamedTuple):
    """Integrals (R,), how far they may be off (R,), and the cells that were enough."""

    value: np.ndarray
    error: np.ndarray
    cells: Cells


Integrand = Callable[[Cells], np.ndarray]  # (R, n, 7, 7), in dz per node coordinates
Hidden = Callable[[Cells, float], np.ndarray]  # (n, 2)


def joined(parts: list[Cells]) -> Cells:
    """All of them, one after another."""
    return Cells(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def grid(edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The cells (n, 2) between all pairs of edges."""
    left, right = edges[:-1], edges[1:]
    low, high = (np.stack(np.meshgrid(e, e, indexing="ij"), -1).reshape(-1, 2) for e in (left, right))
    return low, high


def looked_at(frame: Frame, log_f: LogDensity, low: np.ndarray, high: np.ndarray) -> Cells:
    """The density at every node."""
    half = 0.5 * (high - low)[..., None]
    u = 0.5 * (low + high)[..., None] + half * NODES  # (n, 2, 7)
    e, slope = np.sinh(u), log_cosh(u) + np.log(half)
    z = e[:, 0, :, None, None] * frame.factor[:, 0] + e[:, 1, None, :, None] * frame.factor[:, 1]
    z += frame.centre
    log_p = log_f(z.reshape(-1, 2)).reshape(z.shape[:-1])
    return Cells(low, high, z, log_p, slope[:, 0, :, None] + slope[:, 1, None, :] + frame.log_area)


def doubts(f: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The integrals (R, n) of |f| (R, n, 7, 7), and how far f's may be off by direction (R, n, 2)."""
    size = (np.abs(f) * BOTH).sum((-2, -1))[..., None]
    across = np.abs(np.einsum("rnij,i->rnj", f, APART)) @ KRONROD
    along = np.abs(f @ APART) @ KRONROD
    gap = np.stack([across, along], -1)
    share = np.divide(gap, size, out=np.zeros_like(gap), where=size > 0)
    return size[..., 0], gap * np.minimum(1.0, CAUTION * share)


def unseen(cells: Cells, log_p: np.ndarray, least: float) -> np.ndarray:
    """Where (n, 2) a ridge of log p (n, 7, 7) narrower than the nodes are apart may be higher than `least`.

    A parabola through the highest node of a line and its neighbours says how high the ridge is, per node
    coordinates; a wall is told from it by falling on one side only.
    """
    half = 0.5 * (cells.high - cells.low)[..., None]
    e = np.sinh(0.5 * (cells.low + cells.high)[..., None] + half * NODES)  # (n, 2, 7)
    height = log_p + cells.log_slope
    seen = height.max((1, 2))
    sides = (log_p.transpose(0, 2, 1), height.transpose(0, 2, 1)), (log_p, height)
    tops = np.stack([_crest(e[:, axis], *sides[axis]) for axis in (0, 1)], -1)
    return (tops > seen[:, None] + HIDDEN) & (tops > least)


def _crest(x: np.ndarray, log_p: np.ndarray, height: np.ndarray) -> np.ndarray:
    """The highest (n,) that lines (n, 7, 7) get, at or between their nodes x (n, 7)."""
    best = log_p.argmax(-1)
    top = best.clip(1, 5)
    first = np.arange(0, log_p.size, 7).reshape(best.shape)  # of every line, in the whole
    row = np.arange(0, x.size, 7)[:, None]
    heights = log_p.ravel()
    f0, f1, f2 = (heights[first + top + k] for k in (-1, 0, 1))
    x0, x1, x2 = (x.ravel()[row + top + k] for k in (-1, 0, 1))
    right = f2 > f0
    beyond = heights[first + np.where(right, top + 2, top - 2).clip(0, 6)]
    inner, beside = np.where(right, f0, f2), np.where(right, f2, f0)
    room = np.where(best == top, np.minimum(f1 - inner, beside - beyond), EDGE * (beside - f1))
    left_slope, right_slope = (f1 - f0) / (x1 - x0), (f2 - f1) / (x2 - x1)
    bend = (right_slope - left_slope) / (x2 - x0)
    slope = left_slope + bend * (x1 - x0)
    rise = f1 - np.maximum(f1, beside) - np.where(bend < 0, 0.25 * slope * slope / bend, 0.0)
    rise = np.maximum(np.minimum(rise, room), 0.0)
    at_best = height.ravel()[first + best]
    told = np.isfinite(rise) & (at_best > -ROUNDED)
    return (at_best + np.where(told, rise, 0.0)).max(-1)


def refined(
    frame: Frame,
    log_f: LogDensity,
    cells: Cells,
    integrand: Integrand,
    tolerance: float = TOLERANCE,
    least: float = 0.0,
    hidden: Hidden | None = None,
    keep: bool = True,
) -> Sums:
    """The integrals over cells that are halved until each is sure to a share of the whole, or to `least`.

    `hidden` says of cells where else, and in which direction, to look more closely; it is told the whole.
    An integrand that is infinite somewhere has an infinite integral.
    """
    settled, doubt, sizes, count = np.zeros(1), np.zeros(1), np.zeros(1), 0
    done: list[Cells] = []
    for turn in range(ROUNDS):
        f = integrand(cells)
        blown = f.max((1, 2, 3), initial=0.0) + f.min((1, 2, 3), initial=0.0)
        if not np.isfinite(blown).all():
            return Sums(blown, np.zeros_like(blown), cells)
        size, off = doubts(f)
        value = (f * BOTH).sum((-2, -1))
        whole = sizes + size.sum(-1)
        split = (off > np.maximum(tolerance * whole, least)[:, None, None]).any(0)
        if hidden is not None:
            split |= hidden(cells, float(whole.max()))
        count += len(split)
        cut = split.any(1) & (turn < ROUNDS - 1) & (count < MOST_CELLS)
        if keep:
            done.append(cells.at(~cut))
        settled, doubt = settled + value[:, ~cut].sum(-1), doubt + off[:, ~cut].sum((1, 2))
        sizes = sizes + size[:, ~cut].sum(-1)
        if not cut.any():
            break
        cells = looked_at(frame, log_f, *halves(cells.low[cut], cells.high[cut], split[cut]))
    return Sums(settled, doubt, joined(done) if keep else cells)


def halved(
    low: np.ndarray,
    high: np.ndarray,
    split: Callable[[np.ndarray, np.ndarray], np.ndarray],
    most: float = np.inf,
) -> tuple[np.ndarray, np.ndarray]:
    """Cells (n, 2) halved along what `split` (n, 2) says of them, until nothing or there are `most`."""
    for _ in range(HALVINGS):
        if len(low) >= most:
            break
        along = split(low, high)
        cut = along.any(1)
        if not cut.any():
            break
        more = halves(low[cut], high[cut], along[cut])
        low, high = np.concatenate([low[~cut], more[0]]), np.concatenate([high[~cut], more[1]])
    return low, high


def halves(low: np.ndarray, high: np.ndarray, split: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The cells (m, 2) that these become when halved along the directions of `split` (n, 2)."""
    for axis in (0, 1):
        cut = split[:, axis]
        middle = 0.5 * (low[cut, axis] + high[cut, axis])
        upper_low, lower_high = low[cut].copy(), high[cut].copy()
        upper_low[:, axis] = lower_high[:, axis] = middle
        low = np.concatenate([low[~cut], low[cut], upper_low])
        high, split = (
            np.concatenate([high[~cut], lower_high, high[cut]]),
            np.concatenate([split[~cut], split[cut], split[cut]]),
        )
    return low, high
