"""The importance weighted bound E[log 1/K sum_k p(x, z_k) / q(z_k)] by quadrature, for any number of draws K.

log Y = int (e^-t - e^(-tY)) dt / t, and the mean of e^(-t sum_k w_k) over K draws is the K-th power of the
mean over one: an integral over K latents becomes two, one over z and one over log t (Burda, Grosse and
Salakhutdinov, 2016, for the bound).
"""

from __future__ import annotations

import math

import numpy as np

APART = 0.4  # of log t: the trapezoid rule's error there is about e^(-pi^2 / .4), 2e-11
FIRST, LEAST = -38.0, 1e-14  # of log t; the chance that is left out at its upper end
SMALL = 2**21  # numbers in work at once


def bound(log_weights: np.ndarray, chances: np.ndarray, draws: int) -> np.ndarray:
    """The bound (n,), nats, of log weights log p(x, z) - log q(z) (n, E) at nodes of these chances (E,)."""
    if draws < 1:
        raise ValueError(f"{draws} draws have no mean: use one at least")
    size = log_weights.max(1, keepdims=True)
    size = (size + np.log(np.exp(log_weights - size) @ chances)[:, None]) + math.log(draws)  # E sum_k w_k
    relative = log_weights - size
    ends = _ends(relative, chances, draws)
    found = np.empty(len(relative))
    for k, end in enumerate(ends.tolist()):
        found[k] = _mean_log(relative[k], chances, draws, end)
    return found + size[:, 0] - math.log(draws)


def _ends(relative: np.ndarray, chances: np.ndarray, draws: int) -> np.ndarray:
    """Log t (n,) above which K draws are all too small to count only with a chance below LEAST."""
    order = np.argsort(relative, 1)
    below = np.cumsum(chances[order], 1) ** draws
    first = (below > LEAST).argmax(1)
    return 4.0 - np.take_along_axis(relative, order, 1)[np.arange(len(relative)), first]


def _mean_log(relative: np.ndarray, chances: np.ndarray, draws: int, end: float) -> float:
    """E[log sum_k w_k] of relative log weights (E,), whose sum has the mean 1."""
    log_t = np.arange(FIRST, max(end, 4.0) + APART, APART)
    weights, found = np.exp(relative), 0.0
    for part in np.array_split(log_t, max(1, len(log_t) * len(weights) // SMALL)):
        t = np.exp(np.minimum(part, 600.0))
        less = np.expm1(-t[:, None] * weights) @ chances  # mean of e^(-t w), less 1
        with np.errstate(divide="ignore"):
            found += float((np.exp(-t) - np.exp(draws * np.log1p(np.maximum(less, -1.0)))).sum())
    return APART * found
