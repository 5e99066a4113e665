"""The M-step of responsibilities that are given: where EM starts, R starts at once."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from torch import Tensor

from lvmviz.fast_em.kernels import WIDEST, Kernel, Quadratic, framed
from lvmviz.fast_em.mixture import Mixture, Moments, estimates, mixture
from lvmviz.fast_em.points import Points
from lvmviz.fast_em.sweep import home, in_order

STEEP = 50.0  # sums about the origin keep a covariance to 1e-12 of itself up to here
Estimates = tuple[np.ndarray, np.ndarray, np.ndarray]


def estimated(
    points: Points, kind: str, resp: Callable[[slice], Tensor], shape: tuple[int, int], reg_covar: float
) -> Estimates:
    """Weights (R, K), means (R, K, D) and covariances of responsibilities.

    `resp` tells those of some rows, (R, K, n), without the sample weights; shape is (R, K). Sums about the
    origin first; a component too tight for them is summed again about its own mean.
    """
    components = math.prod(shape)
    about = _unit(kind, np.zeros((*shape, points.x.shape[1])))
    wide = about.means.shape[2] > WIDEST[kind] or kind == "tied"
    seeing = framed(about, points) if wide else Quadratic(about, points)
    found = estimates(_moments(points, seeing, resp, components), kind, reg_covar)
    if _steep(kind, found) <= STEEP:
        return found
    own = framed(_unit(kind, found[1]), points)
    return estimates(_moments(points, own, resp, components), kind, reg_covar)


def _steep(kind: str, found: Estimates) -> float:
    try:
        return mixture(kind, *found).steepness()
    except ValueError:  # too tight to have come out positive
        return np.inf


def _unit(kind: str, means: np.ndarray) -> Mixture:
    """Components of unit width about the means."""
    r, k, d = means.shape
    wide = {"full": np.eye(d), "tied": np.eye(d), "diag": np.ones(d), "spherical": np.ones(())}[kind]
    shape = (r, 1 if kind == "tied" else k, *wide.shape)
    return mixture(kind, np.full((r, k), 1.0 / k), means, np.broadcast_to(wide, shape).copy())


def _moments(points: Points, seeing: Kernel, resp: Callable[[slice], Tensor], components: int) -> Moments:
    def part(index: int) -> np.ndarray:
        chunk = points.chunk(index)
        given = resp(points.span(index))
        weighted = given if chunk.weight is None else given * chunk.weight
        return home(seeing.gather(chunk, seeing.see(chunk), weighted.contiguous()))

    parts = in_order(part, points, components)
    table = next(parts)
    for more in parts:
        table = table + more
    return seeing.moments(table)
