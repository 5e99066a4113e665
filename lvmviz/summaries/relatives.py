"""Traces of EM's relatives for mixtures, told as traces of EM; and what is Monte Carlo in them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch

from lvmviz.algorithms.ecm import ECM
from lvmviz.algorithms.em import EM, EMInfo, EMState
from lvmviz.algorithms.mcem import MonteCarloEM, MonteCarloState
from lvmviz.divergences import Decomposition
from lvmviz.mixtures import decompose_at
from lvmviz.runs.job import Job, Snapshot, Trace
from lvmviz.summaries.em import sample

Relative = EM | ECM | MonteCarloEM
MOST_EXACT = 20_000  # points; of more, an exact sum for every half-step would take too long


def relative(trace: Trace) -> Relative:
    """The algorithm that made a trace."""
    algorithm = trace.job.algorithm
    if not isinstance(algorithm, (EM, ECM, MonteCarloEM)):
        raise TypeError(f"{type(algorithm).__name__} fits no mixture: give a trace of EM or a relative of it")
    return algorithm


def exact(algorithm: Relative) -> EM:
    """EM itself with the same data, components, shapes, start and regularizer."""
    return EM(data=algorithm.data, components=algorithm.components, covariance=algorithm.covariance,
              start=algorithm.start, regularizer=algorithm.regularizer)  # fmt: skip


class AsEM(Trace):
    """The snapshots of a relative as those of EM, whose pictures and tables then are its own."""

    def __init__(self, job: Job, snapshots: Iterable[Snapshot], key: tuple[str, int, int]) -> None:
        super().__init__(job, snapshots)
        self._key = key

    @property
    def key(self) -> tuple[str, int, int]:
        """That of the trace it was made from: two relatives of one EM are not the same."""
        return self._key


def as_em(trace: Trace) -> Trace:
    """The same thetas, and the thetas that q was made of or drawn from."""
    algorithm = relative(trace)
    if isinstance(algorithm, EM):
        return trace
    job = Job(exact(algorithm), steps=trace.job.steps, seed=trace.job.seed)
    return AsEM(job, [_snapshot(snapshot) for snapshot in trace], trace.key)


def _snapshot(snapshot: Snapshot) -> Snapshot:
    state, info = snapshot.state, snapshot.info
    whole = isinstance(state, MonteCarloState)  # M sets pi_k = N_k / N; of ECM only a part of M does
    halves = state.half_steps if whole else torch.ones((), dtype=torch.int64)
    none = torch.zeros(len(state.theta.weights), dtype=torch.bool)
    made = EMState(state.theta, state.theta_q, halves, none, state.log_lik)
    return Snapshot(snapshot.step, made, EMInfo(info.iteration, info.moved[0], *info[2:10], collapsed=0))


def decompositions(trace: Trace) -> list[Decomposition]:
    """The evidence and its terms at every snapshot, nats per point."""
    count = relative(trace).data.table().total()
    terms = [Decomposition(snapshot.info.log_lik, *snapshot.info[3:9]) for snapshot in trace]
    return [one.per(count) for one in terms]


# ---- Monte Carlo ----


def monte_carlo(trace: Trace) -> MonteCarloEM:
    """The algorithm that made a trace with draws."""
    algorithm = trace.job.algorithm
    if not isinstance(algorithm, MonteCarloEM):
        raise TypeError(f"{type(algorithm).__name__} draws nothing: give a trace of MonteCarloEM")
    return algorithm


def drawn_responsibilities(trace: Trace) -> list[np.ndarray]:
    """The shares of the draws at every snapshot, T times (n, K), of the rows that are drawn."""
    algorithm = monte_carlo(trace)
    rows = torch.from_numpy(sample(len(algorithm.data.table().points)).copy())
    made: list[np.ndarray] = []
    last = None
    for snapshot in trace:
        state = snapshot.state
        if made and last is not None and _same(state, last):
            made.append(made[-1])
        else:
            made.append(algorithm.q(state).resp[rows].numpy())
        last = state
    return made


def _same(one: MonteCarloState, other: MonteCarloState) -> bool:
    """Whether two states' q are the same draws."""
    return torch.equal(one.key_q, other.key_q) and all(map(torch.equal, one.theta_q, other.theta_q))


class Estimate(NamedTuple):
    """E_q[log p(X, Z | theta)] by the draws, nats per point, with its standard error, and exactly."""

    value: float
    error: float
    exact: float  # NaN where there are too many points for it


def estimates(trace: Trace) -> list[Estimate]:
    """The same at every snapshot; before the first E-step nothing is drawn."""
    algorithm = monte_carlo(trace)
    count = algorithm.data.table().total()
    known = algorithm.exact().known()
    few = len(known.x) <= MOST_EXACT
    told = []
    for snapshot in trace:
        state, info = snapshot.state, snapshot.info
        sure = decompose_at(state.theta, state.theta_q, known).joint if few else float("nan")
        told.append(Estimate(info.joint / count, info.joint_error / count, sure / count))
    return told
