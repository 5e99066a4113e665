"""How much of the posterior lies within the region that holds a given share of q."""

from __future__ import annotations

import math

import numpy as np
import torch

from lvmviz.families import MixtureQ, Plane, PlaneGaussian
from lvmviz.quadrature.exact import Integral
from lvmviz.quadrature.plane.cells import Cells, LogDensity, looked_at, refined, unseen
from lvmviz.quadrature.plane.coordinates import Frame
from lvmviz.quadrature.plane.highest import highest
from lvmviz.quadrature.plane.mass import Mass

THIN = 2000  # cells of a posterior that may hide between a disc's first nodes
CLOSE, CLOSER = (2,), (7, 10)  # times as many along either side are looked at; there twice, as a check
ENOUGH = 1e-7  # of all mass, a cell
HIDES = math.log(1e-6)  # likewise: what may hide in one
PLAIN = Frame(np.zeros(2), np.eye(2))


def covered(p: Mass, log_p: LogDensity, family: Plane, phi: torch.Tensor, level: float) -> Integral:
    """The mass of the posterior in q's region, and how far it may be off.

    The region is where q is highest: an ellipse of a Gaussian. Of a flow it is where the noise's disc of that
    share is carried to.
    """
    with torch.no_grad(), np.errstate(all="ignore"):
        thin = len(p.cells.low) > THIN
        if isinstance(family, MixtureQ) and family.parts > 1 or isinstance(family, PlaneGaussian) and thin:
            return highest(p, log_p, family, phi, level)
        radius = math.sqrt(-2.0 * math.log1p(-level))
        seen = [_disc(p, log_p, family, phi, radius, split) for split in (CLOSER if thin else CLOSE)]
        return Integral(seen[-1], seen[-1].error + abs(seen[-1] - seen[0]))


def _disc(
    p: Mass, log_p: LogDensity, family: Plane, phi: torch.Tensor, radius: float, split: int
) -> Integral:
    """The integral over the noise's disc, on cells of radius and turn that are halved where it pays."""

    def pulled(at: np.ndarray) -> np.ndarray:
        r, turn = at.T
        noise = torch.from_numpy(np.stack([r * np.cos(turn), r * np.sin(turn)])).mT
        z, log_q = family.draw(phi, noise)
        log_noise = np.log(r) - 0.5 * r * r - math.log(2.0 * math.pi)
        return log_p(z.numpy()) - log_q.numpy() + log_noise - p.log_total

    def density(cells: Cells) -> np.ndarray:
        return np.exp(cells.log_p + cells.log_slope)[None]

    def ridge(cells: Cells, whole: float) -> np.ndarray:
        return unseen(cells, cells.log_p, HIDES)

    parts = np.linspace(0.0, 1.0, 4 * split + 1), np.linspace(-1.0, 1.0, 8 * split + 1)
    sides = [np.arcsinh(radius * parts[0]), np.arcsinh(math.pi * parts[1])]
    low, high = (
        np.stack(np.meshgrid(*(side[at] for side in sides), indexing="ij"), -1).reshape(-1, 2)
        for at in (slice(None, -1), slice(1, None))
    )
    sums = refined(
        PLAIN, pulled, looked_at(PLAIN, pulled, low, high), density, 0.0, ENOUGH, ridge, keep=False
    )
    return Integral(sums.value[0], sums.error[0])
