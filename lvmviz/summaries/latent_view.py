"""Which plane of the latent space is drawn: two of the latents, or the directions where q's means spread."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lvmviz.summaries.vae.moment import Moment
from lvmviz.summaries.vae.pictures import all_means

Pair = tuple[float, float]


class View(NamedTuple):
    """A square of a plane in the latent space."""

    directions: tuple[tuple[float, ...], tuple[float, ...]]  # (2, latent) orthonormal: across and up
    origin: tuple[float, ...]  # (latent,) the plane's place nearest to 0, at right angles to both
    names: tuple[str, str]
    centre: Pair
    edge: float  # it reaches so far from its centre

    def line(self, side: int) -> tuple[np.ndarray, np.ndarray]:
        """The coordinates (side,) of the middles of side x side tiles."""
        steps = (np.arange(side) + 0.5) / side * 2.0 - 1.0
        return self.centre[0] + self.edge * steps, self.centre[1] + self.edge * steps

    def points(self, side: int) -> np.ndarray:
        """The middles (side, side, 2) of the tiles; row 0 is the lowest."""
        return np.stack(np.meshgrid(*self.line(side), indexing="xy"), -1)

    def whole(self, pairs: np.ndarray) -> np.ndarray:
        """Points (..., 2) of the plane as whole z (..., latent)."""
        return np.array(self.origin) + np.asarray(pairs) @ np.array(self.directions)

    def seen(self, z: np.ndarray) -> np.ndarray:
        """Where z (..., latent) is seen on the plane, (..., 2); also a factor's columns, transposed."""
        return z @ np.array(self.directions).T


def two_latents(axes: tuple[int, int], rest: tuple[float, ...], centre: Pair, edge: float) -> View:
    """The plane of two latents; the others stand still at `rest` (latent,)."""
    unit, origin = np.eye(len(rest)), np.array(rest)
    origin[list(axes)] = 0.0
    first, second = (tuple(unit[k].tolist()) for k in axes)
    return View((first, second), tuple(origin.tolist()), (f"z{axes[0] + 1}", f"z{axes[1] + 1}"), centre, edge)


def principal(at: Moment, centre: Pair, edge: float) -> View:
    """The plane through the mean of the training images' means along which they spread most (PCA)."""
    means = np.asarray(all_means(at, "train"), dtype=float)
    middle = means.mean(0)
    _, sizes, directions = np.linalg.svd(means - middle, full_matrices=False)
    directions = directions[:2] * np.sign(directions[np.arange(2), np.abs(directions[:2]).argmax(1)])[:, None]
    shares = sizes**2 / (sizes**2).sum()
    origin = middle - directions.T @ (directions @ middle)
    first, second = (tuple(row) for row in directions.tolist())
    names = f"PC 1 ({shares[0]:.0%})", f"PC 2 ({shares[1]:.0%})"
    return View((first, second), tuple(origin.tolist()), names, centre, edge)
