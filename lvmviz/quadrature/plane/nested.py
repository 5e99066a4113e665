"""The second rule: an integral along every row, each with panels of its own, then one over the rows.

It shares no node, no coordinates and no refinement with the cells of the plane, so that where both agree the
mass was found.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from lvmviz.quadrature.plane.cells import LogDensity
from lvmviz.quadrature.plane.coordinates import FAR, log_cosh
from lvmviz.quadrature.rule import NODES, RULES

TOLERANCE = 1e-5  # of a row's, and of the whole
ROUNDS = 30
BASE = np.array([-FAR, -12.0, -4.0, 4.0, 12.0, FAR])  # panels of any row
ROWS = np.array([-FAR, -12.0, -4.0, -1.5, 1.5, 4.0, 12.0, FAR])
_LOOK = np.concatenate([np.linspace(0.0, 6.0, 19), [7.0, 8.5, 10.0, 14.0, 20.0, 32.0, 50.0, FAR]])
LOOK = np.concatenate([-_LOOK[:0:-1], _LOOK])
ROUND_A_MODE = np.array([-7.5, -3.0, 3.0, 7.5])  # widths
CLOSER = np.linspace(0.0, 1.0, 9)
ZOOMS = 5
WIDE, NARROW = 1e-4, 1e18  # curvatures of a mode, at least and at most
MODES = 3  # of a row, at most
FAINT = 45.0  # nats below the highest: rows and modes that do not count
NOT_SEEN = 50.0  # nats above what was taken for a row's top: rounding, of a density that is none
CAUTION = 200.0  # QUADPACK's


Height = Callable[[np.ndarray, np.ndarray], np.ndarray]  # row (n, 1), w (n or 1, S) -> nats (n, S) per w


class Line(NamedTuple):
    """One axis of the plane in the coordinate w: z = centre + scale sinh w."""

    axis: int
    centre: float
    scale: float

    def to_z(self, w: np.ndarray) -> np.ndarray:
        """The place on the axis."""
        return self.centre + self.scale * np.sinh(w)

    def to_w(self, z: np.ndarray) -> np.ndarray:
        """Its coordinate."""
        return np.arcsinh((z - self.centre) / self.scale)

    def log_slope(self, w: np.ndarray) -> np.ndarray:
        """log dz / dw."""
        return log_cosh(w) + np.log(self.scale)


def marginal(
    log_f: LogDensity, rows: np.ndarray, along: Line, faint: np.ndarray | float = -np.inf
) -> np.ndarray:
    """log of the integral (n,) of exp(log f) along an axis, at places (n,) of the other.

    Rows whose highest point, per width, is no higher than `faint` are nothing.
    """

    def height(row: np.ndarray, w: np.ndarray) -> np.ndarray:
        z = np.empty((len(row), w.shape[1], 2))
        z[..., along.axis], z[..., 1 - along.axis] = along.to_z(w), rows[row]
        return log_f(z.reshape(-1, 2)).reshape(z.shape[:-1]) + along.log_slope(w)

    modes, widths, tops = _modes(height, len(rows))
    top = tops.max(1)
    found, counts = np.full(len(rows), -np.inf), np.flatnonzero(top > faint)
    widths = np.where(tops > top[:, None] - FAINT, widths, 0.0)
    if not len(counts):
        return found
    edges = _edges(modes[counts], widths[counts])
    left, right = edges[:, :-1], edges[:, 1:]
    real = right - left > 1e-13
    row = np.broadcast_to(counts[:, None], left.shape)[real]
    sums = _adapted(
        lambda r, w: np.exp(np.minimum(height(r, w) - top[r], NOT_SEEN)),
        row,
        left[real],
        right[real],
        len(rows),
    )
    found[counts] = top[counts] + np.log(sums[counts])
    return found


def _modes(height: Height, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The highest local maxima of every row, their widths and heights (n, MODES); -inf where none is."""
    row = np.arange(count)[:, None]
    seen = height(row, LOOK[None])
    inner = seen[:, 1:-1]
    peak = np.where((inner >= seen[:, :-2]) & (inner > seen[:, 2:]), inner, -np.inf)
    best = np.argsort(-peak, axis=1)[:, :MODES] + 1
    real = np.isfinite(np.take_along_axis(peak, best - 1, 1))
    modes, widths, tops = np.zeros(best.shape), np.zeros(best.shape), np.full(best.shape, -np.inf)
    found = _zoomed(height, np.nonzero(real)[0][:, None], LOOK[best[real] - 1], LOOK[best[real] + 1])
    modes[real], widths[real], tops[real] = found
    return modes, widths, tops


def _zoomed(height: Height, row: np.ndarray, left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, ...]:
    """The maximum (k,) within each bracket, its width and its height."""
    pick = np.arange(len(left))[:, None]
    for _ in range(ZOOMS):
        w = left[:, None] + (right - left)[:, None] * CLOSER
        tall = height(row, w)
        three = tall.argmax(-1)[:, None].clip(1, len(CLOSER) - 2) + np.arange(-1, 2)
        left, middle, right = w[pick, three].T
    before, top, after = tall[pick, three].T
    bend = (2.0 * top - before - after) / (0.5 * (right - left)) ** 2
    return middle, 1.0 / np.sqrt(np.maximum(np.nan_to_num(bend, posinf=NARROW), WIDE)), top


def _edges(modes: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """The panels' ends of every row (n, J), sorted."""
    own = modes[..., None] + widths[..., None] * ROUND_A_MODE
    base = np.broadcast_to(BASE, (len(modes), len(BASE)))
    return np.sort(np.concatenate([base, own.reshape(len(modes), -1).clip(-FAR, FAR)], 1), 1)


def _adapted(f: Height, row: np.ndarray, left: np.ndarray, right: np.ndarray, count: int) -> np.ndarray:
    """The integrals (count,) of f(row, w) over each row's panels, cut in two until sure."""
    done = np.zeros(count)
    for turn in range(ROUNDS):
        value, off = panel_sums(f(row[:, None], _nodes(left, right)), 0.5 * (right - left))
        whole = done + np.bincount(row, value, count)
        cut = (off > TOLERANCE * whole[row]) & (turn < ROUNDS - 1)
        done += np.bincount(row[~cut], value[~cut], count)
        if not cut.any():
            break
        middle = 0.5 * (left[cut] + right[cut])
        row = np.tile(row[cut], 2)
        left, right = np.concatenate([left[cut], middle]), np.concatenate([middle, right[cut]])
    return done


def _nodes(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return 0.5 * (left + right)[:, None] + 0.5 * (right - left)[:, None] * NODES


def panel_sums(f: np.ndarray, half: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Kronrod's integrals (n,) of f >= 0 (n, 15), and how far they may be off."""
    both = f @ RULES * half[:, None]
    value = both[:, 0]
    share = np.divide(np.abs(both[:, 0] - both[:, 1]), value, out=np.zeros_like(value), where=value > 0)
    return value, value * np.minimum(1.0, (CAUTION * share) ** 1.5)


def log_mass(log_f: LogDensity, outer: Line, inner: Line, places: np.ndarray, top: float) -> float:
    """log of the integral of exp(log f) over the plane, nats; panels of rows begin and end at places (w)."""
    edges = np.unique(np.concatenate([ROWS, places.clip(-FAR, FAR)]))
    left, right = edges[:-1], edges[1:]
    total = 0.0
    for turn in range(ROUNDS):
        w = _nodes(left, right)
        slope = outer.log_slope(w).ravel()
        f = marginal(log_f, outer.to_z(w.ravel()), inner, top - FAINT - slope) + slope
        f = np.exp(f - top).reshape(w.shape)
        value, off = panel_sums(f, 0.5 * (right - left))
        cut = (off > TOLERANCE * (total + value.sum())) & (turn < ROUNDS - 1)
        total += value[~cut].sum()
        if not cut.any():
            break
        middle = 0.5 * (left[cut] + right[cut])
        left, right = np.concatenate([left[cut], middle]), np.concatenate([middle, right[cut]])
    return top + float(np.log(total))
