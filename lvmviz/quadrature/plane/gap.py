"""KL divergences as integrals over the plane of a log(a/b) - a + b, which is never negative."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from lvmviz.families import Plane, Stack
from lvmviz.families.plane import standard
from lvmviz.quadrature.exact import gap
from lvmviz.quadrature.plane.cells import BOTH, Cells, LogDensity, grid, joined, looked_at, refined, unseen
from lvmviz.quadrature.plane.mass import Mass, as_numpy, clean, split_round
from lvmviz.quadrature.plane.over_q import NOISE, Terms

REACH = 38.0  # sds of q beyond which its density is no number
CORE = 4.5  # sds of q within which no cell is wider than
STEP = 2.5  # of them
THIN = 0.3  # of a part's width along its axes to that across: less, and it may hide between nodes
ENOUGH = 1e-6  # nats of a cell
TOLERANCE = 1e-8  # of the whole, a cell
HIDDEN = 1e-6  # of q: what may hide in a cell
_SIDE = np.concatenate([np.arcsinh([1.5, 3.5, 7.0, 14.0, 40.0, 200.0]), [9.0, 18.0, 40.0]])
EDGES = np.concatenate([-_SIDE[::-1], [0.0], _SIDE])  # of the noise's first cells, u
BEYOND = 1e12
BULK = 1e-5  # of p's mass: nodes with more say where it is

Found = tuple[np.ndarray, np.ndarray]  # integrals (R,) and their errors (R,)


def on_the_plane(p: Mass, log_p: LogDensity, family: Plane, phi: Tensor, terms: Terms | None = None) -> Found:
    """KL(q || p), nats, on p's cells, cut where q needs it; then E_q of the terms, on the same cells."""
    log_q = as_numpy(lambda z: family.log_prob(phi, z))
    own: list[np.ndarray] = []

    def integrand(cells: Cells) -> np.ndarray:
        z = cells.z.reshape(-1, 2)
        own[:] = [log_q(z).reshape(cells.log_p.shape)]
        rows = [weighed(*gap(own[0], cells.log_p - p.log_total), cells)]
        if terms is not None:
            values = terms(torch.from_numpy(z), torch.from_numpy(own[0].ravel())).numpy()
            rows += [weighed(own[0], row.reshape(cells.log_p.shape), cells) for row in values]
        return np.stack(rows)

    def ridge(cells: Cells, whole: float) -> np.ndarray:
        return unseen(cells, own[0], math.log(HIDDEN))

    with torch.no_grad(), np.errstate(all="ignore"):
        centre, sds, thin = parts(family, phi)
        cells, rest = _round_q(p, log_p, centre, sds)
        sums = refined(p.frame, log_p, cells, integrand, TOLERANCE, ENOUGH, ridge if thin else None, False)
    return sums.value + rest * (np.arange(len(sums.value)) == 0), sums.error


def forwards(p: Mass, log_p: LogDensity, family: Plane, phi: Tensor) -> Found:
    """KL(p || q), nats, on the same cells."""
    log_q = as_numpy(lambda z: family.log_prob(phi, z))

    def integrand(cells: Cells) -> np.ndarray:
        own = log_q(cells.z.reshape(-1, 2)).reshape(cells.log_p.shape)
        far = np.isneginf(own) & (np.abs(cells.z).max(-1) > BEYOND)  # where no flow can be told
        return weighed(*gap(np.where(far, -np.inf, cells.log_p - p.log_total), own), cells)[None]

    with torch.no_grad(), np.errstate(all="ignore"):
        centre, sds, _ = parts(family, phi)
        cells, _ = _round_q(p, log_p, centre, sds, everywhere=True)
        sums = refined(p.frame, log_p, cells, integrand, TOLERANCE, ENOUGH, keep=False)
    return sums.value, sums.error


def in_the_noise(p: Mass, log_p: LogDensity, family: Stack, phi: Tensor) -> Found:
    """The same of a flow, whose density is cheap only where its noise is known: over the noise's plane."""

    def log_pulled(e: np.ndarray) -> np.ndarray:
        """log of p's density per noise, so that KL(N(0, I) || it) is KL(q || p)."""
        z, log_det = family.warp(phi, torch.from_numpy(e))
        return clean(log_p(z.numpy()) - p.log_total + log_det.numpy())

    def integrand(cells: Cells) -> np.ndarray:
        log_normal = standard(torch.from_numpy(cells.z)).numpy()
        return weighed(*gap(log_normal, cells.log_p), cells)[None]

    def ridge(cells: Cells, whole: float) -> np.ndarray:
        return unseen(cells, cells.log_p, math.log(HIDDEN))

    with torch.no_grad(), np.errstate(all="ignore"):
        low, high = _pulled_box(p, family, phi)
        centre, half = 0.5 * (low + high), 0.5 * (high - low)
        places, widths = np.stack([np.zeros(2), centre]), np.stack([np.full(2, 1.5), half])
        first = split_round(*grid(EDGES), places, np.maximum(widths, 1e-6))
        sums = refined(
            NOISE,
            log_pulled,
            looked_at(NOISE, log_pulled, *first),
            integrand,
            TOLERANCE,
            ENOUGH,
            ridge,
            False,
        )
    return sums.value, sums.error


def _pulled_box(p: Mass, family: Stack, phi: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Between which u (2,) of the noise most of p's mass lies: each a few of its own widths."""
    weights = np.exp(p.cells.log_p + p.cells.log_slope - p.log_total) * BOTH
    z = p.cells.z[weights > BULK][:: max(1, int((weights > BULK).sum()) // 200)]
    e = family.inverse(phi, torch.from_numpy(z))[0].numpy()
    u = np.arcsinh(e[np.isfinite(e).all(-1)])
    low, high = (
        (np.quantile(u, share, axis=0) for share in (0.1, 0.9)) if len(u) else (-np.ones(2), np.ones(2))
    )
    return low, high


def weighed(log_weight: np.ndarray, value: np.ndarray, cells: Cells) -> np.ndarray:
    """exp(log weight) x value per node coordinates, 0 where the weight is 0 whatever the value."""
    weight = np.exp(log_weight + cells.log_slope)
    return np.where(weight > 0.0, weight * value, 0.0)


def parts(family: Plane, phi: Tensor) -> tuple[np.ndarray, np.ndarray, bool]:
    """The centres (M, 2) and sds (M, 2) of q's parts, and whether any of them is thin."""
    centre, factor = family.frames(phi).each
    sds = factor.square().sum(-1).sqrt()
    thin = factor.det().abs() / sds.prod(-1) < THIN
    return centre.numpy(), sds.numpy(), bool(thin.any())


def _round_q(
    p: Mass, log_p: LogDensity, centre: np.ndarray, sds: np.ndarray, everywhere: bool = False
) -> tuple[Cells, float]:
    """p's cells where q is something, those too wide for it cut, and p's mass in the others."""
    low, high = p.frame.to_u(centre - REACH * sds), p.frame.to_u(centre + REACH * sds)
    meets = ((p.cells.low[:, None] < high) & (p.cells.high[:, None] > low)).all(-1)
    met = np.any(meets, axis=1) | everywhere
    away = np.exp(p.cells.log_p[~met] - p.log_total + p.cells.log_slope[~met]) * BOTH
    low, high = p.frame.to_u(centre - CORE * sds), p.frame.to_u(centre + CORE * sds)
    middle, half = 0.5 * (low + high), 0.5 * (high - low)
    near = (p.cells.low[:, None] < high) & (p.cells.high[:, None] > low)
    wide = (p.cells.high - p.cells.low)[:, None] > STEP / CORE * half
    cut = met & np.any(np.expand_dims(np.all(near, axis=-1), -1) & wide, axis=(1, 2))
    made = split_round(p.cells.low[cut], p.cells.high[cut], middle, half, STEP / CORE)
    return joined([p.cells.at(met & ~cut), looked_at(p.frame, log_p, *made)]), float(away.sum())
