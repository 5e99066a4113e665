"""The evidence of a target in the plane, by two rules that share nothing; looked for once and kept."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lvmviz.quadrature.exact import Integral
from lvmviz.quadrature.plane.cells import (
    KRONROD,
    RULES,
    UNSEEN,
    Cells,
    LogDensity,
    grid,
    halved,
    looked_at,
    refined,
    unseen,
)
from lvmviz.quadrature.plane.coordinates import FAR, Frame
from lvmviz.quadrature.plane.nested import Line, log_mass, marginal
from lvmviz.quadrature.plane.survey import Survey, survey
from lvmviz.quadrature.survey import NotIntegrable
from lvmviz.targets import Target

_SIDE = np.array([1.0, 2.0, 3.2, 5.0, 9.0, 20.0, FAR])
EDGES = np.concatenate([-_SIDE[::-1], [0.0], _SIDE])  # of the first cells, u
WIDTHS = 4.0  # of a mode: no cell that holds one begins larger
ROUNDED = 8.0 * float(np.finfo(float).eps)  # of log p's size, nats
DOUBT = 1.0  # nats between the rules: more is no number, less a number with so large an error
TAIL = np.array([40.0, 50.0, 60.0])  # u: where a marginal's power law is read
FAINT = -32.0  # nats: nodes with less of the mass, or of the variance, are left out
NOTHING = 700.0  # nats: exp of less is no mass
DIVERGES = -1e-6  # d log(marginal z) / d log z from which on a tail's mass is infinite
UNSETTLED = (
    "the mass of exp(log p) is infinite or does not settle: log p must have no pole and must fall faster "
    "than -2 log|z| in every direction; bound it, or add a prior, -(x**2 + y**2) / 2 say"
)
NARROW = (
    "the mass of exp(log p) lies in so narrow a place that its integral cannot be told from 0: "
    "scale x and y, so that it is wider"
)


class Mass(NamedTuple):
    """An integrated density on the plane."""

    log_total: Integral  # nats; the error is how far two rules are apart
    rules: tuple[float, float]  # by cells and by rows, nats
    frame: Frame
    cells: Cells  # those that were enough
    slopes: np.ndarray  # (2,) of the heavier tail of either marginal: d log density / d log |z|


def clean(values: np.ndarray) -> np.ndarray:
    """Undefined is impossible: log of a negative number in a formula, inf - inf far away."""
    return np.fmax(values, -np.inf)


def as_numpy(log_density: Callable[[Tensor], Tensor]) -> LogDensity:
    """A log density of tensors as one of arrays."""

    def log_f(z: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return clean(log_density(torch.from_numpy(np.ascontiguousarray(z))).numpy())

    return log_f


@lru_cache(maxsize=64)
def joint(target: Target) -> Mass:
    """log p(x) and what found it; NotIntegrable, with cause and remedy, when there is no such number."""
    if target.dim != 2:
        raise ValueError(
            f"{type(target).__name__} has {target.dim} dimensions; these integrals are over a plane"
        )
    return mass(as_numpy(target.log_prob))


def nodes_of(target: Target, coarse: bool = False) -> tuple[np.ndarray, ...]:
    """Where p's mass and spread are: z (S, 2), log p(x, z) (S,), log weights (S,) of dz, and the ends (E,).

    Those of the cells that were enough for log p(x), with `coarse` of the rule that has fewer; those that
    hold next to nothing are left out. The ends are nodes so far out that only a heavy tail has mass there.
    """
    p = joint(target)
    pick, rule = (slice(1, 6, 2), RULES[1:6:2, 1]) if coarse else (slice(None), KRONROD)
    z, log_p, log_slope = (part[:, pick, pick] for part in p.cells[2:])
    log_weights = log_slope + np.log(np.outer(rule, rule))
    e = (z - p.frame.centre) @ np.linalg.inv(p.frame.factor).T
    size = np.log1p((e**2).sum(-1))
    kept = log_p + log_weights - p.log_total + size > FAINT
    ends = np.flatnonzero(size[kept] > 2.0 * TAIL[0])
    return z[kept], log_p[kept], log_weights[kept], ends


def mass(log_f: LogDensity) -> Mass:
    """Both rules; they are given only where to start."""
    with np.errstate(all="ignore"):  # infinities are answers here
        seen = survey(log_f)
        cells, by_cells = _by_cells(log_f, seen)
        lines = axes(seen.frame)
        places = np.arcsinh(
            (seen.modes[:, :1] + seen.widths[:, :1] * [-4.0, 4.0] - lines[0].centre) / lines[0].scale
        )
        by_rows = log_mass(log_f, *lines, places.ravel(), seen.top)
        slopes, rest = _tails(log_f, lines, by_rows)
    apart = abs(by_cells - by_rows)
    if not apart < DOUBT or not rest < DOUBT:
        raise NotIntegrable(UNSETTLED)
    error = apart + rest + ROUNDED * abs(seen.top)
    return Mass(Integral(by_rows, error), (by_cells, by_rows), seen.frame, cells, slopes)


def axes(frame: Frame) -> tuple[Line, Line]:
    """Either axis with the frame's scale."""
    first, second = (Line(k, float(frame.centre[k]), float(np.hypot(*frame.factor[k]))) for k in (0, 1))
    return first, second


def _by_cells(log_f: LogDensity, seen: Survey) -> tuple[Cells, float]:
    def density(cells: Cells) -> np.ndarray:
        return np.exp(cells.log_p + cells.log_slope - seen.top)[None]

    def ridge(cells: Cells, whole: float) -> np.ndarray:
        if whole == 0.0:
            raise NotIntegrable(NARROW)
        return unseen(cells, cells.log_p, seen.top + math.log(UNSEEN * whole))

    first = looked_at(seen.frame, log_f, *_round_modes(seen))
    sums = refined(seen.frame, log_f, first, density, hidden=ridge)
    return sums.cells, seen.top + float(np.log(sums.value[0]))


def _round_modes(seen: Survey) -> tuple[np.ndarray, np.ndarray]:
    """The first cells (n, 2): those that hold a mode are no wider than it."""
    low, high = grid(EDGES)
    modes = seen.frame.to_u(seen.modes)
    widths = WIDTHS * seen.widths @ np.abs(np.linalg.inv(seen.frame.factor)).T / np.cosh(modes)
    return split_round(low, high, modes, widths)


def split_round(
    low: np.ndarray, high: np.ndarray, places: np.ndarray, reach: np.ndarray, share: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Cells halved until those within reach of a place, both (K, 2), are no larger than a share of it."""

    def split(low: np.ndarray, high: np.ndarray) -> np.ndarray:
        near = (low[:, None] <= places + reach) & (high[:, None] >= places - reach)  # (n, K, 2)
        large = (high - low)[:, None] > share * reach
        return np.any(np.expand_dims(np.all(near, axis=-1), -1) & large, axis=1)

    return halved(low, high, split)


def _tails(log_f: LogDensity, lines: tuple[Line, Line], log_total: float) -> tuple[np.ndarray, float]:
    """The slope (2,) of the heavier tail of either marginal, and what share of the mass lies beyond them."""
    slopes, rest = np.full(2, -np.inf), 0.0
    for outer, inner in (lines, lines[::-1]):
        z = outer.to_z(np.concatenate([-TAIL, TAIL]))
        log_z = np.log(np.abs(z))
        height = (marginal(log_f, z, inner, log_total - NOTHING - log_z) + log_z - log_total).reshape(2, -1)
        slope = np.nan_to_num(np.diff(height)[:, -1] / np.diff(log_z)[-1], nan=-np.inf)
        slopes[outer.axis] = slope.max() - 1.0
        if (slope >= DIVERGES).any():
            raise NotIntegrable(UNSETTLED)
        rest += float((np.exp(np.minimum(height[:, -1], 0.0)) / -slope).sum())
    return slopes, rest
