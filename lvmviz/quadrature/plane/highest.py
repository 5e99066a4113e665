"""The posterior's mass where a Gaussian or a mixture is highest: on p's cells, quartered on the border.

At every node the region's share of what the node stands for is that of a half-plane: log q is followed along
its slope there.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from lvmviz.families import MixtureQ, Plane
from lvmviz.quadrature.exact import Integral
from lvmviz.quadrature.plane.cells import BOTH, KRONROD, NODES, Cells, LogDensity, looked_at
from lvmviz.quadrature.plane.coordinates import Frame
from lvmviz.quadrature.plane.images import density
from lvmviz.quadrature.plane.mass import Mass

POLAR = ((56, 64), (112, 128))  # rings and turns of every part, for q's height at the border: two rules
NEARBY = 0.03  # of q's mass: the border's height is looked for among nodes that close
HALVINGS = 40
SEEN = 4.0  # sds of a part within which no cell reaches farther than
WIDEST = 1.5  # of them from its middle
LEAST = 1e-10  # of all mass: a cell with less is left out
NOTHING = 1e-7  # of all mass: a cell with less is not quartered
ENOUGH = 3e-6  # by which a cell and its quarters may differ
LATER = 0.5  # of that, at most, the quarters are off by: the rule is of second order
ROUNDS = 14
LOWEST = -700.0  # nats


def highest(p: Mass, log_p: LogDensity, family: Plane, phi: Tensor, level: float) -> Integral:
    """The mass where q is above the height that holds the level, and how far it may be off."""
    rough, height = (
        (_height(family, phi, level, *counts) for counts in POLAR)
        if isinstance(family, MixtureQ)
        else 2 * (float(family.frame(phi).log_prob(family.frame(phi).centre[None])[0]) + math.log1p(-level),)
    )
    heights = np.array([height, rough])

    log_density = density(family, phi)

    def looked(cells: Cells) -> tuple[np.ndarray, np.ndarray]:
        """The mass (n, 2) above either height; all of it (n,) on the border, inf where cells are too wide."""
        mass = np.exp(cells.log_p + cells.log_slope - p.log_total) * BOTH
        log_q = log_density(cells.z[..., 0].ravel(), cells.z[..., 1].ravel()).reshape(mass.shape)
        rise, whole = np.maximum(log_q - height, LOWEST), mass.sum((1, 2))
        across = 0.5 * np.abs(np.gradient(rise, NODES, axis=1)) * KRONROD[:, None]
        along = 0.5 * np.abs(np.gradient(rise, NODES, axis=2)) * KRONROD
        reach = (across + along).max((1, 2)) + abs(heights[1] - height)
        border = (rise.max((1, 2)) + reach > 0.0) & (rise.min((1, 2)) - reach < 0.0)
        found = np.repeat(np.where(rise[:, 3, 3] > 0.0, whole, 0.0)[:, None], 2, 1)
        for k, h in enumerate(heights):
            shares = above(rise[border] + (height - h), across[border], along[border])
            found[border, k] = (mass[border] * shares).sum((1, 2))
        wide = whole > NOTHING
        wide[wide] = _too_wide(p.frame, cells.at(wide), family, phi)
        return found, np.where(wide, np.inf, np.where(border, whole, 0.0))

    cells, held, error = _weighty(p), np.zeros(2), 0.0
    found, doubt = looked(cells)
    for _ in range(ROUNDS):
        cut = doubt > NOTHING
        held = held + found[~cut].sum(0)
        error += float(doubt[~cut].sum())
        if not cut.any():
            break
        parents = found[cut, 0]
        cells = looked_at(p.frame, log_p, *_quarters(cells.low[cut], cells.high[cut]))
        found, doubt = looked(cells)
        apart = np.abs(found[:, 0].reshape(-1, 4).sum(1) - parents)
        sure = (apart < ENOUGH) & np.isfinite(doubt.reshape(-1, 4)).all(1)
        held = held + found[np.repeat(sure, 4)].sum(0)
        error += LATER * float(apart[sure].sum())
        cells, found, doubt = (
            cells.at(np.repeat(~sure, 4)),
            found[np.repeat(~sure, 4)],
            doubt[np.repeat(~sure, 4)],
        )
    else:
        held, error = held + found.sum(0), error + float(np.minimum(doubt, 1.0).sum())
    return Integral(held[0], error + abs(held[0] - held[1]))


def _weighty(p: Mass) -> Cells:
    """Those of p's cells that hold nearly all of its mass."""
    return p.cells.at((np.exp(p.cells.log_p + p.cells.log_slope - p.log_total) * BOTH).sum((1, 2)) > LEAST)


def above(rise: np.ndarray, across: np.ndarray, along: np.ndarray) -> np.ndarray:
    """The share of a rectangle in which a linear function is above 0, where it is `rise` in the middle.

    From there it changes by `across` and `along` to either side, both at least 0.
    """
    a, b = np.maximum(across, along), np.minimum(across, along)
    b = np.maximum(b, 1e-6 * a) + 1e-12
    a = np.maximum(a, b)
    parts = (np.maximum(rise + s * a + t * b, 0.0) ** 2 * (s * t) for s in (1, -1) for t in (1, -1))
    return np.where(rise > a + b, 1.0, np.clip(sum(parts) / (8.0 * a * b), 0.0, 1.0))


def _quarters(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The four quarters of every cell (n, 2), one after another, (4 n, 2)."""
    half = 0.5 * (high - low)[:, None]
    corner = low[:, None] + half * np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    return corner.reshape(-1, 2), (corner + half).reshape(-1, 2)


def _too_wide(frame: Frame, cells: Cells, family: Plane, phi: Tensor) -> np.ndarray:
    """Cells (n,) in which a part of q may hide, or bend too much, between the nodes."""
    centre, factor = (part.numpy() for part in family.frames(phi).each)
    back = np.linalg.inv(factor)  # (M, 2, 2)
    middle = 0.5 * (cells.low + cells.high)
    away = np.abs(np.einsum("kij,nkj->nki", back, frame.to_z(middle)[:, None] - centre))
    sides = np.cosh(middle) * 0.5 * (cells.high - cells.low)  # of the cell in e, about
    reach = np.einsum("kij,nj->nki", np.abs(back @ frame.factor), sides)
    return ((away < SEEN + reach).all(-1) & (reach > WIDEST).any(-1)).any(-1)


def _height(family: MixtureQ, phi: Tensor, level: float, rings: int, turns: int) -> float:
    """log q on the border of the region that holds the level."""
    log_weights, each = family.frames(phi)
    r = np.sqrt(-2.0 * np.log1p(-(np.arange(rings) + 0.5) / rings))[:, None]
    turn = 2.0 * math.pi * (np.arange(turns) + 0.5 * np.arange(rings)[:, None] % 1.0) / turns
    noise = np.stack([r * np.cos(turn), r * np.sin(turn)], -1).reshape(-1, 2)
    z = each.place(torch.from_numpy(noise))
    log_q = density(family, phi)(*z.flatten(0, 1).mT.numpy()).reshape(-1, rings, turns)
    around = 0.25 * np.abs(np.roll(log_q, 1, 2) - np.roll(log_q, -1, 2)).ravel()
    outward = 0.5 * np.abs(np.gradient(log_q, axis=1)).ravel()
    log_q = log_q.ravel()
    share = np.repeat(log_weights.exp().numpy() / (rings * turns), rings * turns)
    order = np.argsort(-log_q)
    held = np.cumsum(share[order])
    ends = np.searchsorted(held, [max(level - NEARBY, 0.0), min(level + NEARBY, held[-1])]).clip(
        max=len(order) - 1
    )
    high, low = log_q[order[ends]]
    inside = log_q - outward - around > high
    close = ~inside & (log_q + outward + around > low)
    log_q, outward, around, near = log_q[close], outward[close], around[close], share[close]
    wanted = level - share[inside].sum()
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        if near @ above(log_q - middle, outward, around) > wanted:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)
