"""A trace of regression with the roles swapped as small NumPy arrays: Gammas, and one function.

T snapshots, D weights, G places; float64 on the CPU. Index 0 is beta, index 1 is lambda.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.special import gammaln

from lvmviz.algorithms.bayes_linreg import decomposition
from lvmviz.algorithms.swapped_linreg import Gammas, SwappedRegression
from lvmviz.regressions import Polynomial
from lvmviz.runs.job import Snapshot, Trace
from lvmviz.summaries.regression import GRID, swapped

PLACES = 161  # along the axis of the precisions
AROUND = 10.0  # times below the least mean and above the largest


class Shapes(NamedTuple):
    """Gammas at every snapshot: means are shape / rate."""

    shapes: np.ndarray  # (T, 2)
    rates: np.ndarray  # (T, 2)


def q(trace: Trace) -> Shapes:
    """q(beta) and q(lambda)."""
    return _stacked([snapshot.state.q for snapshot in trace])


def posterior(trace: Trace) -> Shapes:
    """p(beta | X, y, w) and p(lambda | w) at the weights of every snapshot."""
    algorithm = swapped(trace)
    squares = np.array([[number.missed, number.size] for number in numbers(trace)])
    counts = np.array([_rows(algorithm), len(trace[0].state.weights)])
    shapes = algorithm.shape + 0.5 * np.broadcast_to(counts, squares.shape)
    return Shapes(shapes, algorithm.rate + 0.5 * squares)


def _rows(algorithm: SwappedRegression) -> int:
    return decomposition(algorithm.data).rows


def _stacked(parts: list[Gammas]) -> Shapes:
    return Shapes(*(np.stack([part[i].numpy() for part in parts]) for i in (0, 1)))


class Densities(NamedTuple):
    """Densities of the precisions' logarithms."""

    grid: np.ndarray  # (G,) of the precision
    prior: np.ndarray  # (2, G)
    q: np.ndarray  # (T, 2, G)
    posterior: np.ndarray  # (T, 2, G)


def densities(trace: Trace) -> Densities:
    """Prior, q and posterior over one axis, which holds all means that q comes to have."""
    algorithm, now, at = swapped(trace), q(trace), posterior(trace)
    means = np.concatenate([(now.shapes / now.rates)[1:], at.shapes / at.rates])
    grid = np.geomspace(means.min() / AROUND, means.max() * AROUND, PLACES)
    prior = _density(np.full(2, algorithm.shape), np.full(2, algorithm.rate), grid)
    return Densities(grid, prior, _density(*now, grid), _density(*at, grid))


def _density(shapes: np.ndarray, rates: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """The density (..., G) of log t where t ~ Gamma(shape, rate)."""
    shape, rate = shapes[..., None], rates[..., None]
    return np.exp(shape * np.log(rate * grid) - rate * grid - gammaln(shape))


def weights(trace: Trace) -> np.ndarray:
    """w at every snapshot (T, D), in the columns of X."""
    data = decomposition(swapped(trace).data)
    return np.stack([_of(snapshot, data) for snapshot in trace])


def _of(snapshot: Snapshot, data: Any) -> np.ndarray:
    return (data.basis @ snapshot.state.weights[: data.basis.shape[1]]).numpy()


class Curve(NamedTuple):
    """The function that the weights are, at every snapshot."""

    x: np.ndarray  # (G,)
    fitted: np.ndarray  # (T, G)
    inputs: np.ndarray  # (N,)
    targets: np.ndarray  # (N,)
    noise: np.ndarray  # (T,) 1 / sqrt(E[beta])


def curve(trace: Trace) -> Curve:
    """Of a regression on powers of x."""
    toy = swapped(trace).data
    if not isinstance(toy, Polynomial):
        raise TypeError("a regression on many columns is no curve: draw its weights")
    x, now = np.linspace(-1.0, 1.0, GRID), q(trace)
    noise = np.sqrt(now.rates[:, 0] / now.shapes[:, 0])
    return Curve(x, weights(trace) @ toy.design(x).T, toy.inputs(), toy.problem().y, noise)


class Numbers(NamedTuple):
    """What the lines of the derivation are made of, at one snapshot."""

    rows: int  # N
    width: int  # D
    missed: float  # |y - X w|^2
    size: float  # |w|^2
    beta: float  # E[beta]
    lambda_: float  # E[lambda]


def numbers(trace: Trace) -> list[Numbers]:
    """Of every snapshot."""
    data = decomposition(swapped(trace).data)
    found = []
    for snapshot in trace:
        w, now = snapshot.state.weights, snapshot.state.q
        missed = (data.pulled - data.values.sqrt() * w).square().sum() + data.rest
        beta, lambda_ = (now.shapes / now.rates).tolist()
        found.append(Numbers(data.rows, len(w), float(missed), float(w.square().sum()), beta, lambda_))
    return found


def parameters(snapshot: Snapshot) -> dict[str, Any]:
    """w of one snapshot in the coordinates of X's right singular vectors, q's Gammas, and the numbers."""
    now = snapshot.state
    return {"step": snapshot.step, "weights": now.weights.tolist(), "shapes": now.q.shapes.tolist(),
            "rates": now.q.rates.tolist(), "info": snapshot.info._asdict()}  # fmt: skip
