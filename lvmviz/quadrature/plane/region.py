"""How much of the posterior lies within the region that holds a given share of q."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from lvmviz.families import MixtureQ, Plane
from lvmviz.quadrature.exact import Integral
from lvmviz.quadrature.plane.cells import LogDensity

RINGS = (16, 32, 64, 128, 256, 512)  # Gauss nodes along a radius, with four times as many turns
AGREE = 1e-7  # of all mass, between two counts of rings
GRID = (200, 400)  # cells along a side, where the region has no rings
REACH = 6.0  # sds of a mixture's part


def covered(log_p: LogDensity, family: Plane, phi: Tensor, level: float) -> Integral:
    """The mass of exp(log p) in q's region, and how far it may be off.

    The region is where q is highest: an ellipse of a Gaussian. Of a flow it is where the noise's disc of that
    share is carried to.
    """
    with torch.no_grad(), np.errstate(all="ignore"):
        if isinstance(family, MixtureQ) and family.parts > 1:
            return _highest(log_p, family, phi, level)
        return _disc(log_p, family, phi, math.sqrt(-2.0 * math.log1p(-level)))


def _disc(log_p: LogDensity, family: Plane, phi: Tensor, radius: float) -> Integral:
    """The integral over the noise's disc, by rings, until twice as many agree."""
    before, error = math.inf, math.inf
    for rings in RINGS:
        noise, weights = _rings(rings, radius)
        z, log_q = family.draw(phi, torch.from_numpy(noise))
        pulled = log_p(z.numpy()) - log_q.numpy() - 0.5 * (noise**2).sum(-1) - math.log(2.0 * math.pi)
        value = float(np.exp(pulled) @ weights)
        error, before = abs(value - before), value
        if error < AGREE:
            break
    return Integral(before, error)


def _rings(rings: int, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """Nodes (S, 2) and weights (S,) of a disc."""
    x, w = np.polynomial.legendre.leggauss(rings)
    r = 0.5 * radius * (x + 1.0)
    turns = np.arange(4 * rings) * (0.5 * math.pi / rings)
    nodes = np.stack([np.outer(r, np.cos(turns)), np.outer(r, np.sin(turns))], -1)
    weights = np.repeat(0.5 * radius * w * r, 4 * rings) * (0.5 * math.pi / rings)
    return nodes.reshape(-1, 2), weights


def _highest(log_p: LogDensity, family: Plane, phi: Tensor, level: float) -> Integral:
    """On cells round all parts: those where q is highest, until they hold q's share."""
    centre, factor = (part.numpy() for part in family.frames(phi).each)
    reach = REACH * np.sqrt((factor**2).sum(-1))
    low, high = (centre - reach).min(0), (centre + reach).max(0)
    values = [_share(log_p, family, phi, level, low, high, n) for n in GRID]
    return Integral(values[-1], max(abs(values[-1] - v) for v in values[:-1]))


def _share(
    log_p: LogDensity, family: Plane, phi: Tensor, level: float, low: np.ndarray, high: np.ndarray, n: int
) -> float:
    step = (high - low) / n
    sides = [low[k] + step[k] * (np.arange(n) + 0.5) for k in (0, 1)]
    z = np.stack(np.meshgrid(*sides, indexing="ij"), -1).reshape(-1, 2)
    q = family.log_prob(phi, torch.from_numpy(z)).exp().numpy() * step.prod()
    order = np.argsort(-q)
    held = np.cumsum(q[order])
    last = int(np.searchsorted(held, level * held[-1]))
    p = np.exp(log_p(z[order[: last + 1]])) * step.prod()
    over = (held[last] - level * held[-1]) / q[order[last]]  # the last cell is in by a part
    return float(p[:last].sum() + p[last] * (1.0 - over))
