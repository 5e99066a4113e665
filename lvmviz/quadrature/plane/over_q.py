"""Expectations over q in its own coordinates: Gauss-Hermite of two orders, and cells of the noise beyond."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from lvmviz.families import MixtureQ, Plane, Stack
from lvmviz.families.plane import standard
from lvmviz.quadrature.plane.cells import Cells, grid, looked_at, refined
from lvmviz.quadrature.plane.coordinates import Frame

Terms = Callable[[Tensor, Tensor], Tensor]  # z (S, 2), log q (S,) -> (R, S)
Draw = Callable[[Tensor], tuple[Tensor, Tensor]]  # noise (S, 2) -> z (S, 2), log q (S,)

ORDERS = (20, 32)
LEAST = 1e-22  # weight of a node that is left out
AGREE = 1e-6  # nats between the orders: more, and the noise is cut into cells
ENOUGH = 5e-7  # nats of a cell
TOLERANCE = 1e-10  # of the whole, a cell
_SIDE = np.arcsinh([1.0, 2.2, 4.0, 7.0, 12.0, 38.0])
EDGES = np.concatenate([-_SIDE[::-1], [0.0], _SIDE])  # of the noise's first cells
NOISE = Frame(np.zeros(2), np.eye(2))


def expectations(family: Plane, phi: Tensor, terms: Terms) -> tuple[np.ndarray, np.ndarray] | None:
    """E_q of every term (R,), and how far each may be off; -inf and inf are answers.

    None where the two orders do not agree, as at a kink or where two modes meet, and q is no flow: then the
    cells of the plane that KL(q || p) needs anyway do it better.
    """
    with torch.no_grad(), np.errstate(all="ignore"):
        draws = list(parts(family, phi))
        coarse, fine = (np.sum([w * _hermite(draw, terms, n) for w, draw in draws], 0) for n in ORDERS)
        off = np.abs(fine - coarse)
        if not np.isfinite(fine).all():
            return fine, np.where(np.isfinite(fine), off, 0.0)
        if (off <= AGREE).all():
            return fine, off
        return _by_cells(draws[0][1], terms) if isinstance(family, Stack) else None


def parts(family: Plane, phi: Tensor) -> Iterator[tuple[float, Draw]]:
    """q as a sum of weighted pushforwards of standard normal noise, each smooth."""
    if not isinstance(family, MixtureQ):
        yield 1.0, lambda noise: family.draw(phi, noise)
        return
    log_weights, each = family.frames(phi)
    for m, weight in enumerate(log_weights.exp().tolist()):
        frame = each._make(part[m] for part in each)
        yield weight, lambda noise, frame=frame: (z := frame.place(noise), family.log_prob(phi, z))


def _hermite(draw: Draw, terms: Terms, order: int) -> np.ndarray:
    noise, weights = rule(order)
    return (terms(*draw(noise)) @ weights).numpy()


@functools.cache
def rule(order: int) -> tuple[Tensor, Tensor]:
    """Gauss-Hermite nodes (S, 2) and weights (S,) of standard normal noise, those that count."""
    x, w = (torch.from_numpy(part) for part in np.polynomial.hermite_e.hermegauss(order))
    noise, weights = torch.cartesian_prod(x, x), torch.outer(w, w).flatten() / w.sum() ** 2
    kept = weights > LEAST
    return noise[kept].contiguous(), weights[kept].contiguous()


def _by_cells(draw: Draw, terms: Terms) -> tuple[np.ndarray, np.ndarray]:
    def integrand(cells: Cells) -> np.ndarray:
        noise = torch.from_numpy(cells.z.reshape(-1, 2))
        values = terms(*draw(noise)).numpy().reshape(-1, *cells.log_p.shape)
        weights = np.exp(cells.log_p + cells.log_slope)
        return np.where(weights > 0.0, weights * values, 0.0)

    log_normal = lambda e: standard(torch.from_numpy(e)).numpy()  # noqa: E731
    first = looked_at(NOISE, log_normal, *grid(EDGES))
    sums = refined(NOISE, log_normal, first, integrand, TOLERANCE, ENOUGH, keep=False)
    return sums.value, sums.error
