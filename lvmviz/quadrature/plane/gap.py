"""KL(p || q) as the integral over the plane of p log(p/q) - p + q, which is never negative."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from lvmviz.families import Plane
from lvmviz.quadrature.exact import gap
from lvmviz.quadrature.plane.cells import Cells, LogDensity, joined, looked_at, refined
from lvmviz.quadrature.plane.mass import Mass, as_numpy, split_round

REACH = 38.0  # sds of q beyond which its density is no number
CORE = 4.5  # sds of q within which no cell is wider than
STEP = 2.5  # of them
ENOUGH = 1e-6  # nats of a cell
TOLERANCE = 1e-8  # of the whole, a cell
BEYOND = 1e12

Found = tuple[np.ndarray, np.ndarray]  # integrals (R,) and their errors (R,)


def forwards(p: Mass, log_p: LogDensity, family: Plane, phi: Tensor) -> Found:
    """KL(p || q), nats, on p's cells, cut where q needs it."""
    log_q = as_numpy(lambda z: family.log_prob(phi, z))

    def integrand(cells: Cells) -> np.ndarray:
        own = log_q(cells.z.reshape(-1, 2)).reshape(cells.log_p.shape)
        far = np.isneginf(own) & (np.abs(cells.z).max(-1) > BEYOND)  # where no flow can be told
        return weighed(*gap(np.where(far, -np.inf, cells.log_p - p.log_total), own), cells)[None]

    with torch.no_grad(), np.errstate(all="ignore"):
        cells = _round_q(p, log_p, *parts(family, phi))
        sums = refined(p.frame, log_p, cells, integrand, TOLERANCE, ENOUGH, keep=False)
    return sums.value, sums.error


def weighed(log_weight: np.ndarray, value: np.ndarray, cells: Cells) -> np.ndarray:
    """exp(log weight) x value per node coordinates, 0 where the weight is 0 whatever the value."""
    weight = np.exp(log_weight + cells.log_slope)
    return np.where(weight > 0.0, weight * value, 0.0)


def parts(family: Plane, phi: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """The centres (M, 2) and sds (M, 2) of q's parts."""
    centre, factor = family.frames(phi).each
    return centre.numpy(), factor.square().sum(-1).sqrt().numpy()


def _round_q(p: Mass, log_p: LogDensity, centre: np.ndarray, sds: np.ndarray) -> Cells:
    """p's cells, those too wide for q cut."""
    low, high = p.frame.to_u(centre - CORE * sds), p.frame.to_u(centre + CORE * sds)
    middle, half = 0.5 * (low + high), 0.5 * (high - low)
    near = (p.cells.low[:, None] < high) & (p.cells.high[:, None] > low)
    wide = (p.cells.high - p.cells.low)[:, None] > STEP / CORE * half
    cut = np.any(np.expand_dims(np.all(near, axis=-1), -1) & wide, axis=(1, 2))
    made = split_round(p.cells.low[cut], p.cells.high[cut], middle, half, STEP / CORE)
    return joined([p.cells.at(~cut), looked_at(p.frame, log_p, *made)])
