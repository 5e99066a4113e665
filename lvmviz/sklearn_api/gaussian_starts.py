"""Where EM starts: scikit-learn's draws, start after start, and the sums of all of them at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from lvmviz.fast_em import Points, estimated
from lvmviz.sklearn_api.k_means_starts import k_means_labels, k_means_rows

HELD = 2**28  # bytes of responsibilities or labels that are held before they are summed
Estimates = tuple[np.ndarray, np.ndarray, np.ndarray]


class Starting(NamedTuple):
    """What the starts of one fit are made of."""

    x: np.ndarray  # (N, D)
    weights: np.ndarray | None  # (N,) sample weights
    known: np.ndarray | None  # (N,) the known component, or -1
    components: int
    how: str  # kmeans, k-means++, random or random_from_data
    source: np.random.RandomState

    def labelled(self) -> bool:
        """Whether a row is known."""
        return self.known is not None and bool((self.known >= 0).any())


def first_estimates(told: Starting, points: Points, kind: str, reg_covar: float, count: int) -> Estimates:
    """Weights (R, K), means (R, K, D) and covariances S of `count` starts, in the order of their draws."""
    labels = told.labelled() or told.how == "kmeans"
    if not labels and told.how != "random":
        return _about_rows(told, _rows(told, count), kind, reg_covar)
    each = len(told.x) * (4 if labels else 8 * told.components)
    size, parts = max(1, HELD // each), []
    for begin in range(0, count, size):
        some = min(size, count - begin)
        resp = _one_hot(_labels(told, some), told.components) if labels else _uniform(told, some)
        parts.append(estimated(points, kind, resp, (some, told.components), reg_covar))
    weights, means, covariances = (np.concatenate(part) for part in zip(*parts, strict=True))
    return weights, means + points.origin, covariances


def known_labels(labels: Any, count: int, components: int) -> np.ndarray:
    """Labels as (N,) int64, -1 where unknown; ValueError, with a sentence, for any others."""
    found = np.asarray(labels)
    if found.shape != (count,):
        raise ValueError(f"labels has shape {found.shape}: give one label for each of the {count} rows")
    if found.dtype.kind not in "iuf" or not np.array_equal(found, np.floor(found)):
        raise ValueError("labels must be whole numbers: 0, 1, ... for a known component, -1 for unknown")
    if found.min() < -1 or found.max() >= components:
        raise ValueError(
            f"labels go from {int(found.min())} to {int(found.max())}: they may be -1 (unknown) or "
            f"0 to {components - 1}, the components"
        )
    return found.astype(np.int64)


def _labels(told: Starting, count: int) -> np.ndarray:
    """(R, N) k-means from drawn rows; of known rows the known component."""
    if not told.labelled():
        return k_means_labels(told.x, told.components, told.source, told.weights, count)
    return np.stack([_from_known(told) for _ in range(count)])


def _from_known(told: Starting) -> np.ndarray:
    """Components (N,): k-means from the known rows' means, or from an unknown row where none is known."""
    known, counted = np.asarray(told.known), np.ones(len(told.x)) if told.weights is None else told.weights
    missing = [k for k in range(told.components) if not counted[known == k].any()]
    free = np.flatnonzero((known < 0) & (counted > 0.0))
    if len(free) < len(missing):
        raise ValueError(
            f"component {missing[0]} has no row: label one with {missing[0]}, or leave rows unknown"
        )
    if not len(free):
        return known
    centres = np.empty((told.components, told.x.shape[1]))
    centres[missing] = told.x[told.source.choice(free, len(missing), replace=False)]
    for k in set(range(told.components)) - set(missing):
        centres[k] = np.average(told.x[known == k], axis=0, weights=counted[known == k])
    found = k_means_labels(told.x, told.components, told.source, told.weights, 1, centres)[0]
    return np.where(known >= 0, known, found)


def _one_hot(labels: np.ndarray, components: int) -> Callable[[slice], Tensor]:
    numbers, found = torch.arange(components)[:, None], torch.from_numpy(labels)
    return lambda rows: (found[:, None, rows] == numbers).to(torch.float64)


def _uniform(told: Starting, count: int) -> Callable[[slice], Tensor]:
    """Responsibilities drawn at random (R, K, n)."""
    drawn = torch.from_numpy(
        np.stack([told.source.uniform(size=(len(told.x), told.components)) for _ in range(count)])
    )
    drawn /= drawn.sum(2, keepdim=True)
    return lambda rows: drawn[:, rows].transpose(1, 2)


def _rows(told: Starting, count: int) -> np.ndarray:
    """(R, K) rows, each the start of a component."""
    if told.how == "k-means++":
        return k_means_rows(told.x, told.components, told.source, told.weights, count)
    share = None if told.weights is None else told.weights / told.weights.sum()
    rows, size = len(told.x), told.components
    return np.stack([told.source.choice(rows, size, replace=False, p=share) for _ in range(count)])


def _about_rows(told: Starting, rows: np.ndarray, kind: str, reg_covar: float) -> Estimates:
    """Responsibility for one row each (R, K): no width but reg_covar.

    Tied is as scikit-learn has it, the sum of all x x^T less that of the means: it depends on where zero is.
    """
    width, shape = told.x.shape[1], rows.shape
    counts = np.ones(shape) if told.weights is None else told.weights[rows]
    means = told.x[rows].astype(np.float64)
    ridge = {"full": np.eye(width), "diag": np.ones(width), "spherical": np.ones(())}
    if kind == "tied":
        total = sum(_squares(told))
        within = np.swapaxes(means * counts[..., None], 1, 2) @ means
        covariances = ((total - within) / counts.sum(1)[:, None, None] + reg_covar * np.eye(width))[:, None]
    else:
        covariances = np.broadcast_to(reg_covar * ridge[kind], (*shape, *ridge[kind].shape)).copy()
    whole = len(told.x) if told.weights is None else told.weights.sum()
    return counts / whole, means, covariances


def _squares(told: Starting) -> Iterator[np.ndarray]:
    """The terms of sum w x x^T (D, D), some rows at a time."""
    for begin in range(0, len(told.x), 2**16):
        rows = slice(begin, begin + 2**16)
        x = told.x[rows].astype(np.float64)
        yield x.T @ (x if told.weights is None else x * told.weights[rows, None])
