"""What lies far out in q's noise: where log p grows faster than q falls, E_q[log p] has its mass beside q."""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import Tensor

from lvmviz.quadrature.plane.images import Images
from lvmviz.quadrature.plane.noise import BEYOND, REACH, Rules, lattice, outposts, together
from lvmviz.quadrature.plane.noise_cells import Terms

STEP, BESIDE = 1.25, 0.3  # of the lattice that looks where the mass is; no node of it is at q's centre
FAINT = 40.0  # nats below the highest: there is no mass
STEPS = (0.62, 0.42, 0.57, 0.38)  # of the lattices that then add it up: two for either rule


def beyond(q: Images, values: Tensor, parts: np.ndarray) -> np.ndarray:
    """About how much of every term (R, K) lies beyond all rules, by its values (R, K, S) at the outposts.

    Where a term is no number that far out nothing is told of it here.
    """
    _, shares = outposts()
    seen = torch.where(values.isfinite(), values.abs(), 0.0)
    return (seen @ shares).numpy() * q.weights[parts]


def wide(q: Images, m: int, terms: Terms) -> Rules:
    """Four rules with nodes wherever a term of the m-th part has mass, as far as a normal density reaches.

    A lattice's trapezoidal sum does not ask where the mass is: it only has to hold it.
    """
    noise = _mesh()
    size = _at(q, m, terms, noise).abs()
    height = torch.where(size.isfinite(), size, 0.0).log() - 0.5 * noise.square().sum(-1)
    mass = (height > height.amax(-1, keepdim=True) - FAINT).any(0) | (noise.square().sum(-1) < REACH**2)
    side = round(len(noise) ** 0.5)
    held = np.pad(mass.view(side, side).numpy(), 1)
    held = np.logical_or.reduce([np.roll(held, (i, j), (0, 1)) for i in (-1, 0, 1) for j in (-1, 0, 1)])
    return together([_within(held, *lattice(step, k, 0.0, BEYOND)) for k, step in enumerate(STEPS)])


def _at(q: Images, m: int, terms: Terms, noise: Tensor) -> Tensor:
    one, two = noise.mT[:, None]
    return terms(*q.draw(torch.tensor([[m]]), one, two))


@functools.cache
def _mesh() -> Tensor:
    count = int(BEYOND / STEP) + 1
    side = STEP * (torch.arange(-count, count + 1, dtype=torch.float64, device="cpu") + BESIDE)
    return torch.cartesian_prod(side, side)


def _within(held: np.ndarray, noise: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """The nodes of a lattice that are in squares of the mesh, and those beside them, that hold mass."""
    i, j = (noise / STEP - BESIDE).round().long().mT.numpy() + len(held) // 2
    kept = torch.from_numpy(held[i, j])
    return noise[kept], weights[kept]
