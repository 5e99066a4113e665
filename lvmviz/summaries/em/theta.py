"""The components of a trace of EM: where they are, how wide, how heavy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lvmviz.runs.job import Trace
from lvmviz.summaries.em.trace import table_points, thetas


def weights(trace: Trace) -> np.ndarray:
    """pi at every snapshot (T, K)."""
    return _stacked([theta.weights for theta in thetas(trace)])


def means(trace: Trace) -> np.ndarray:
    """mu at every snapshot (T, K, D)."""
    return _stacked([theta.means for theta in thetas(trace)])


def covariances(trace: Trace) -> np.ndarray:
    """Sigma at every snapshot (T, K, D, D)."""
    return _stacked([theta.covariances for theta in thetas(trace)])


def smallest_eigenvalues(trace: Trace) -> np.ndarray:
    """The variance of each component along its narrowest direction (T, K)."""
    return np.linalg.eigvalsh(covariances(trace))[..., 0]


def collapsed(trace: Trace) -> np.ndarray:
    """Which components have collapsed (T, K), bool."""
    return np.stack([snapshot.state.collapsed.cpu().numpy() for snapshot in trace])


def ellipses(trace: Trace, axes: tuple[int, int] = (0, 1)) -> np.ndarray:
    """The map of the unit circle onto each component's 1 sd ellipse in two axes, (T, K, 6).

    x = a0 + a1 u + a2 v, y = a3 + a4 u + a5 v, with the Cholesky factor of the marginal covariance.
    """
    i, j = axes
    centre, sigma = means(trace), covariances(trace)
    root = np.sqrt(sigma[..., i, i])
    slope = sigma[..., i, j] / root
    rest = np.sqrt(np.maximum(sigma[..., j, j] - slope**2, 0.0))
    return np.stack([centre[..., i], root, np.zeros_like(root), centre[..., j], slope, rest], -1)


class Densities(NamedTuple):
    """The densities of a mixture in one dimension at every snapshot."""

    grid: np.ndarray  # (T, G) where the marginal was evaluated: finer round each mean
    marginal: np.ndarray  # (T, G) p(x | theta)
    bells: np.ndarray  # (T, K, 6) maps of the standard bell (u, exp(-u^2/2)) onto pi_k N(x | mu_k, s_k^2)


def densities(trace: Trace, count: int = 201) -> Densities:
    """The marginal and the components of a mixture of one-dimensional points."""
    points, share = table_points(trace), weights(trace)
    if points.shape[1] != 1:
        raise ValueError(f"densities are drawn for 1 column, not {points.shape[1]}: choose one column")
    mean, sd = means(trace)[..., 0], np.sqrt(covariances(trace)[..., 0, 0])
    height = share / (sd * math.sqrt(2 * math.pi))
    none = np.zeros_like(mean)
    bells = np.stack([mean, sd, none, none, none, height], -1)
    grid = _grid(points[:, 0], mean, sd, count)
    marginal = np.stack([_sum_of_bumps(*frame) for frame in zip(grid, mean, sd, height, strict=True)])
    return Densities(grid, marginal, bells)


def _sum_of_bumps(grid: np.ndarray, mean: np.ndarray, sd: np.ndarray, height: np.ndarray) -> np.ndarray:
    return np.exp(-0.5 * ((grid[:, None] - mean) / sd) ** 2) @ height


def _grid(x: np.ndarray, mean: np.ndarray, sd: np.ndarray, count: int) -> np.ndarray:
    """Even steps over the data and beyond, and a few steps of its own for every bump however narrow."""
    pad = 0.25 * (np.ptp(x) or 1.0)
    even = np.linspace(x.min() - pad, x.max() + pad, count)
    own = mean[..., None] + sd[..., None] * np.linspace(-4.0, 4.0, 25)
    frames = len(mean)
    return np.sort(np.concatenate([np.tile(even, (frames, 1)), own.reshape(frames, -1)], 1), 1)


def _stacked(parts: Sequence[Tensor]) -> np.ndarray:
    return torch.stack(list(parts)).numpy()
