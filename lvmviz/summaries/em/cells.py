"""Many points as counts in the cells of a grid, and what q says in the middle of each cell."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
import torch

from lvmviz.datasets import Dataset
from lvmviz.mixtures import GaussianMixtureParams
from lvmviz.runs.job import Trace
from lvmviz.summaries.em.q import Responsibilities
from lvmviz.summaries.em.trace import distinct_q, em

_ROWS = 2**16  # counted at once


class Cells(NamedTuple):
    """How many points fall into each cell of an even grid over one or two columns, from least to most.

    Where points have weights, it is the sum of these.
    """

    low: tuple[float, ...]  # the grid's ends along each column
    high: tuple[float, ...]
    counts: np.ndarray  # (Gx,) or (Gx, Gy) int64, of weights float64
    unit: float = 1.0  # what a point counts on average

    def filled(self) -> np.ndarray:
        """The indices (n, 1 or 2) of the cells with points in them."""
        return np.argwhere(self.counts)

    def centres(self) -> np.ndarray:
        """The middles (n, 1 or 2) of the cells with points in them."""
        low, high = np.array(self.low), np.array(self.high)
        return low + (self.filled() + 0.5) / self.counts.shape * (high - low)


def cells(trace: Trace, axes: tuple[int, ...], shape: tuple[int, ...]) -> Cells:
    """The points of a trace in one or two of their columns, counted once."""
    return _counted(em(trace).data, axes, shape)


@functools.lru_cache(maxsize=32)
def _counted(data: Dataset, axes: tuple[int, ...], shape: tuple[int, ...]) -> Cells:
    table = data.table()
    points, weights = table.points, table.weights
    low, high = (np.array([edge(points[:, axis]) for axis in axes]) for edge in (np.min, np.max))
    scale = np.array(shape) / np.where(high > low, high - low, 1.0)
    counts = np.zeros(int(np.prod(shape)), dtype=np.int64 if weights is None else np.float64)
    for start in range(0, len(points), _ROWS):
        rows = slice(start, start + _ROWS)
        part = points[rows][:, list(axes)]
        index = np.minimum(((part - low) * scale).astype(np.int64), np.array(shape) - 1)
        flat = np.ravel_multi_index(tuple(index.T), shape)
        counts += np.bincount(flat, None if weights is None else weights[rows], len(counts))
    counts = counts.reshape(shape)
    counts.flags.writeable = False
    return Cells(tuple(low.tolist()), tuple(high.tolist()), counts, table.total() / len(points))


def cell_responsibilities(trace: Trace, axes: tuple[int, ...], grid: Cells) -> Responsibilities:
    """q in the middle of every filled cell at every snapshot: the posterior given these columns alone."""
    which, made = distinct_q(trace)
    return Responsibilities(which, [_marginal(theta, axes) for theta in made], grid.centres())


def _marginal(theta: GaussianMixtureParams, axes: tuple[int, ...]) -> GaussianMixtureParams:
    """The mixture of some of the columns, whatever the others are."""
    chosen = torch.tensor(axes)
    covariances = theta.covariances[:, chosen][:, :, chosen]
    return GaussianMixtureParams(theta.weights, theta.means[:, chosen], covariances)
