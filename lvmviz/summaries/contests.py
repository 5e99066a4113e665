"""Many fits beside each other to small NumPy arrays: the restart lottery, and K against its criteria."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lvmviz.algorithms.choose_components import ChooseComponents, ChooseInfo
from lvmviz.algorithms.climbers import on_floor
from lvmviz.algorithms.restarts import SAME, Restarts, RestartsState
from lvmviz.runs.job import Trace


class Lottery(NamedTuple):
    """Where R restarts are, by their seed."""

    height: np.ndarray  # (R,) log p(X | theta)/N, nats; of k-means the ELBO; NaN where one has not begun
    iterations: np.ndarray  # (R,)
    moving: np.ndarray  # (R,) bool
    settled: np.ndarray  # (R,) bool
    collapsed: np.ndarray  # (R,) bool
    spike: np.ndarray  # (R,) bool, a component sits on the regularizer's floor, and none has collapsed
    optimum: np.ndarray  # (R,) 0 for those that reach the best, 1 the next lower …; -1 where there is none

    @property
    def honest(self) -> np.ndarray:
        """Those that have an optimum, and no spike (R,)."""
        return (self.optimum >= 0) & ~self.spike


def lottery(trace: Trace) -> Lottery:
    """The restarts at the end of a trace of `Restarts`; optima of spikes are numbered after the others."""
    algorithm, state = trace.job.algorithm, trace[-1].state
    if not isinstance(algorithm, Restarts) or not isinstance(state, RestartsState):
        raise TypeError(f"{type(algorithm).__name__} has no restarts: give a trace of Restarts")
    height = state.log_lik.cpu().numpy() / algorithm.em.data.table().total()
    flags = (part.cpu().numpy() for part in (state.moving, state.settled, state.collapsed))
    moving, settled, collapsed = flags
    iterations = state.iterations.cpu().numpy()
    height = np.where(algorithm.waiting(state).numpy(), np.nan, height)
    none = collapsed | np.isnan(height)
    spike = on_floor(algorithm.em, state.covariances.cpu()).any(-1).numpy() & ~none
    optimum = _optima(height, none | spike)
    peaks = _optima(height, ~spike)
    optimum = np.where(spike, peaks + 1 + int(optimum.max(initial=-1)), optimum)
    return Lottery(height, iterations, moving, settled, collapsed, spike, optimum)


def _optima(height: np.ndarray, none: np.ndarray) -> np.ndarray:
    """From the top down, heights within SAME of the highest of a group are one optimum."""
    found, number, top = np.full(len(height), -1), -1, np.inf
    for r in np.argsort(-height, kind="stable").tolist():
        if none[r]:
            continue
        if height[r] < top - SAME:
            number, top = number + 1, height[r]
        found[r] = number
    return found


class Criteria(NamedTuple):
    """What speaks for each K, nats per point: larger is better. NaN where every restart has collapsed."""

    components: np.ndarray  # (T,) K
    log_lik: np.ndarray  # (T,) log p(X | theta)/N
    aic: np.ndarray  # (T,) (log p(X | theta) - p)/N = -AIC/2N
    bic: np.ndarray  # (T,) (log p(X | theta) - p log N / 2)/N = -BIC/2N
    held_out: np.ndarray  # (T,) log p of points that theta has not seen, per point
    floored: np.ndarray  # (T,) bool, the best run has a component on the regularizer's floor
    infos: tuple[ChooseInfo, ...]


def criteria(trace: Trace) -> Criteria:
    """The criteria over K of a trace of `ChooseComponents`."""
    algorithm = trace.job.algorithm
    if not isinstance(algorithm, ChooseComponents):
        raise TypeError(f"{type(algorithm).__name__} compares no K: give a trace of ChooseComponents")
    infos: tuple[ChooseInfo, ...] = tuple(snapshot.info for snapshot in trace)
    points = infos[0].points
    found = np.array([info.collapsed < algorithm.restarts for info in infos])
    tested = np.array([info.folds_collapsed == 0 for info in infos])
    log_lik, aic, bic, held_out = np.array(
        [(one.log_lik, -one.aic / 2, -one.bic / 2, one.held_out) for one in infos]
    ).T / points  # fmt: skip
    log_lik, aic, bic = (np.where(found, row, np.nan) for row in (log_lik, aic, bic))
    components = np.array([info.components for info in infos])
    floored = np.array([info.floored > 0 for info in infos]) & found
    return Criteria(components, log_lik, aic, bic, np.where(tested, held_out, np.nan), floored, infos)


def best(criterion: np.ndarray) -> int | None:
    """Where a criterion is highest; None where it is nowhere known."""
    return int(np.nanargmax(criterion)) if np.isfinite(criterion).any() else None
