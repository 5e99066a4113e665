"""Where EM starts when rows have weights or labels; without either, scikit-learn's own code decides."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.cluster import KMeans, kmeans_plusplus


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


def initial_responsibilities(
    X: np.ndarray, components: int, how: str, source: np.random.RandomState,
    weights: np.ndarray | None, known: np.ndarray | None,
) -> np.ndarray:  # fmt: skip
    """q (N, K) to start from: rows of weight w drawn as w rows are, known rows at their component."""
    if known is not None and (known >= 0).any():
        return _one_hot(_from_known(X, components, source, weights, known), components)
    if how == "kmeans":
        return _one_hot(_k_means(X, components, source, weights, "k-means++"), components)
    if how == "random":
        resp = source.uniform(size=(len(X), components))
        return resp / resp.sum(1, keepdims=True)
    if how == "k-means++":
        chosen = kmeans_plusplus(X, components, sample_weight=weights, random_state=source)[1]
    else:
        share = None if weights is None else weights / weights.sum()
        chosen = source.choice(len(X), components, replace=False, p=share)
    resp = np.zeros((len(X), components))
    resp[chosen, np.arange(components)] = 1.0
    return resp


def _from_known(
    X: np.ndarray, components: int, source: np.random.RandomState,
    weights: np.ndarray | None, known: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Components (N,): k-means from the known rows' means, or from an unknown row where none is known."""
    counted = np.ones(len(X)) if weights is None else weights
    missing = [k for k in range(components) if not counted[known == k].any()]
    free = np.flatnonzero((known < 0) & (counted > 0.0))
    if len(free) < len(missing):
        raise ValueError(
            f"component {missing[0]} has no row: label one with {missing[0]}, or leave rows unknown"
        )
    if not len(free):
        return known
    centres = np.empty((components, X.shape[1]))
    centres[missing] = X[source.choice(free, len(missing), replace=False)]
    for k in set(range(components)) - set(missing):
        centres[k] = np.average(X[known == k], axis=0, weights=counted[known == k])
    return np.where(known >= 0, known, _k_means(X, components, source, weights, centres.astype(X.dtype)))


def _k_means(
    X: np.ndarray, components: int, source: np.random.RandomState, weights: np.ndarray | None, init: Any
) -> np.ndarray:
    told: dict[str, Any] = {"init": init, "n_init": 1}
    found = KMeans(components, random_state=source, **told).fit(X, sample_weight=weights)
    return np.asarray(found.labels_)


def _one_hot(labels: np.ndarray, components: int) -> np.ndarray:
    return np.eye(components)[labels]
