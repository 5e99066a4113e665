"""What a trace of EM is about: its data, its numbers, the thetas in it."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from lvmviz.algorithms.em import EM, EMInfo
from lvmviz.covariances import Covariance
from lvmviz.datasets import Dataset, revealed
from lvmviz.divergences import Decomposition
from lvmviz.mixtures import Data, GaussianMixtureParams
from lvmviz.regularizers import Floor
from lvmviz.runs.job import Snapshot, Trace
from lvmviz.starts import ByHand

SAMPLE = 3000  # of more points than these, shapes are drawn from a sample


def em(trace: Trace) -> EM:
    """The EM that made a trace."""
    algorithm = trace.job.algorithm
    if not isinstance(algorithm, EM):
        raise TypeError(f"{type(algorithm).__name__} has no components to draw: give a trace of EM")
    return algorithm


def table_points(trace: Trace) -> np.ndarray:
    """The points (N, D) that a trace's EM explains."""
    return em(trace).data.table().points


def infos(trace: Trace) -> list[EMInfo]:
    """The numbers of every snapshot."""
    return [snapshot.info for snapshot in trace]


def decompositions(trace: Trace) -> list[Decomposition]:
    """The evidence and its terms at every snapshot, nats per point, or per unit of the points' weights."""
    count = total(trace)
    return [info.evidence.per(count) for info in infos(trace)]


def total(trace: Trace) -> float:
    """How many points a trace's EM explains, each as often as it counts."""
    return em(trace).data.table().total()


def known(algorithm: EM) -> Data:
    """The points that an EM explains, and what is known of them, float64 on the CPU."""
    with torch.device("cpu"):
        return algorithm.known()


def shown_labels(trace: Trace) -> np.ndarray | None:
    """The components (N,) that the points are known to belong to, -1 where it is not known; None: nowhere."""
    return revealed(em(trace).data, em(trace).revealed)


def column(terms: Sequence[Decomposition], name: str) -> np.ndarray:
    """One term of every decomposition (T,)."""
    return np.array([getattr(term, name) for term in terms])


@functools.lru_cache(maxsize=16)
def sample(count: int, most: int = SAMPLE) -> np.ndarray:
    """The rows, in order, that stand for so many: all, or `most` drawn at random and always the same."""
    rows = np.arange(count)
    if count > most:
        rows = np.sort(np.random.default_rng(0).choice(count, most, replace=False))
    rows.flags.writeable = False
    return rows


def floor_binds(algorithm: EM) -> bool:
    """Whether the floor is wider than the narrowest direction of all the data."""
    floor = algorithm.regularizer
    if not algorithm.scheme.free or not isinstance(floor, Floor):
        return False
    return _narrowest(algorithm.data, algorithm.covariance) < floor.amount


@functools.lru_cache(maxsize=64)
def _narrowest(data: Dataset, shape: Covariance) -> float:
    """The variance of the data along the narrowest direction that a covariance of this shape can have."""
    table = data.table()
    covariance = torch.from_numpy(np.atleast_2d(np.cov(table.points.T, bias=True, aweights=table.weights)))
    return float(torch.linalg.eigvalsh(shape(covariance.unsqueeze(0), covariance.new_ones(1)))[0, 0])


# ---- one snapshot ----


def parameters(snapshot: Snapshot) -> dict[str, Any]:
    """theta of one snapshot as plain lists, with its numbers: what a file of the fitted model holds."""
    theta = on_cpu(snapshot.state.theta)
    return {"step": snapshot.step, **{name: part.tolist() for name, part in theta._asdict().items()},
            "info": snapshot.info._asdict()}  # fmt: skip


def clicked(trace: Trace, axes: tuple[int, int] = (0, 1)) -> np.ndarray | None:
    """The centres placed by hand: (M, 2) in two axes, (M,) in one dimension; None for other starts."""
    start = em(trace).start
    if not isinstance(start, ByHand) or not start.centres:
        return None
    centres = np.array(start.centres)
    return centres[:, list(axes)] if centres.shape[1] > 1 else centres[:, 0]


def completed(points: np.ndarray, axes: Sequence[int], spot: Sequence[float]) -> tuple[float, ...]:
    """A spot in two of D coordinates as a whole point (D,): the others are those of the nearest data point.

    Distances are in the two coordinates' standard deviations.
    """
    seen = points[:, list(axes)]
    scale = seen.std(0)
    nearest = points[(((seen - spot) / np.where(scale > 0, scale, 1.0)) ** 2).sum(1).argmin()].copy()
    nearest[list(axes)] = spot
    return tuple(nearest.tolist())


# ---- theta, from torch ----


def thetas(trace: Trace) -> list[GaussianMixtureParams]:
    """theta of every snapshot."""
    return [on_cpu(snapshot.state.theta) for snapshot in trace]


def distinct_q(trace: Trace) -> tuple[np.ndarray, list[GaussianMixtureParams]]:
    """Which q each snapshot has (T,), and the thetas they were made from: an M-step leaves q alone."""
    return distinct([on_cpu(snapshot.state.theta_q) for snapshot in trace])


def distinct(thetas: Sequence[GaussianMixtureParams]) -> tuple[np.ndarray, list[GaussianMixtureParams]]:
    """Which of the different thetas each one is (T,), and these, in order."""
    which, made = [], []
    for theta in thetas:
        if not made or not all(map(torch.equal, made[-1], theta)):
            made.append(theta)
        which.append(len(made) - 1)
    return np.array(which), made


def told(theta: GaussianMixtureParams) -> bytes:
    """The numbers of a theta on the CPU, to tell one from another."""
    return b"".join(part.numpy().tobytes() for part in theta)


def weight(row: np.ndarray) -> int:
    """How many bytes a table takes."""
    return row.nbytes


def on_cpu(theta: GaussianMixtureParams) -> GaussianMixtureParams:
    """The same numbers, float64 on the CPU."""
    return GaussianMixtureParams(*(part.detach().to("cpu", torch.float64) for part in theta))
