"""k-means from many starts for one look at the data: scikit-learn's own loops, one start a thread."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import torch
from sklearn.cluster._kmeans import _kmeans_plusplus, _kmeans_single_lloyd, _tolerance
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.extmath import row_norms
from threadpoolctl import ThreadpoolController

TOL = 1e-4  # KMeans' own, of the columns' variance
SPLIT = 2**14  # rows from which a start that is alone has several threads


def k_means_labels(
    x: np.ndarray, components: int, source: np.random.RandomState, weights: np.ndarray | None,
    count: int, centres: np.ndarray | None = None,
) -> np.ndarray:  # fmt: skip
    """(R, N) what KMeans(components, n_init=1, random_state=source) says in R fits, one after the other.

    Each draws its rows by k-means++ unless `centres` (K, D) are given.
    """
    origin = x.mean(axis=0)
    centred = np.require(x - origin, requirements="C")
    counted = np.ones(len(x), x.dtype) if weights is None else weights.astype(x.dtype)
    norms, tol, threads = row_norms(centred, squared=True), _tolerance(centred, TOL), torch.get_num_threads()
    inner = threads if count == 1 and len(x) >= SPLIT else 1

    def climbed(start: np.ndarray) -> np.ndarray:
        return _kmeans_single_lloyd(centred, counted, start, tol=tol, n_threads=inner)[0]

    def drawn() -> np.ndarray:
        if centres is not None:
            return (centres - origin).astype(x.dtype)
        return _kmeans_plusplus(centred, components, norms, counted, source)[0]

    with _blas().limit(limits=1, user_api="blas"):
        if count == 1 or threads == 1:
            found = [climbed(drawn()) for _ in range(count)]
        else:
            with ThreadPoolExecutor(threads, "k-means") as pool:
                found = [one.result() for one in [pool.submit(climbed, drawn()) for _ in range(count)]]
    _warn_of_empty(found, components)
    return np.stack(found)


def k_means_rows(
    x: np.ndarray, components: int, source: np.random.RandomState, weights: np.ndarray | None, count: int
) -> np.ndarray:
    """(R, K) what kmeans_plusplus(x, components, random_state=source) says in R calls."""
    counted = np.ones(len(x), x.dtype) if weights is None else weights.astype(x.dtype)
    norms = row_norms(x, squared=True)
    with _blas().limit(limits=1, user_api="blas"):
        drawn = [_kmeans_plusplus(x, components, norms, counted, source)[1] for _ in range(count)]
    return np.stack(drawn)


@cache
def _blas() -> ThreadpoolController:
    """Looking for the libraries takes longer than a small k-means."""
    return ThreadpoolController()


def _warn_of_empty(found: list[np.ndarray], components: int) -> None:
    distinct = min(len(np.unique(labels)) for labels in found)
    if distinct < components:
        warnings.warn(
            f"Number of distinct clusters ({distinct}) found smaller than n_clusters ({components}). "
            "Possibly due to duplicate points in X.", ConvergenceWarning, stacklevel=2,
        )  # fmt: skip
