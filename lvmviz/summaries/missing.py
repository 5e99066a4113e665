"""A trace of EM for a Gaussian with gaps as small NumPy arrays: conditionals, ellipses, its rivals.

One row a snapshot: T snapshots, n rows that are drawn, two columns that are shown; float64 on the CPU.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from lvmviz.algorithms.missing import MissingGaussianEM
from lvmviz.datasets import Dataset
from lvmviz.divergences import Decomposition
from lvmviz.gaps import Gaps, Incomplete, incomplete
from lvmviz.incomplete_gaussian import GaussianParams, conditionals, fill, fill_each
from lvmviz.kept import kept
from lvmviz.runs.job import Snapshot, Trace
from lvmviz.shortcuts import complete_case, mean_imputation, sample_moments
from lvmviz.summaries.em import sample

Axes = tuple[int, int]
AT_ONCE = 2**19  # numbers (thetas x rows x D x D) in work at once
MOST_WHOLE, MOST_ONE, MOST_NONE = 1000, 100, 40  # rows that are drawn of each sort


def gaussian_em(trace: Trace) -> MissingGaussianEM:
    """The algorithm that made a trace."""
    algorithm = trace.job.algorithm
    if not isinstance(algorithm, MissingGaussianEM):
        raise TypeError(f"{type(algorithm).__name__} fills no gaps: give a trace of MissingGaussianEM")
    return algorithm


def table(trace: Trace) -> Incomplete:
    """The table with gaps that a trace is about."""
    algorithm = gaussian_em(trace)
    return incomplete(algorithm.data, algorithm.gaps)


def total(made: Incomplete) -> float:
    """How many rows these are, each as often as it counts."""
    return float(len(made.points)) if made.weights is None else float(made.weights.sum())


def decompositions(trace: Trace) -> list[Decomposition]:
    """The evidence and its terms at every snapshot, nats per row."""
    count = total(table(trace))
    return [snapshot.info.evidence.per(count) for snapshot in trace]


# ---- theta ----


class Moments(NamedTuple):
    """A mean and a covariance."""

    mean: np.ndarray  # (D,)
    covariance: np.ndarray  # (D, D)

    def correlation(self, axes: Axes) -> float:
        """Of two of the columns; NaN where one does not vary."""
        i, j = axes
        scale = np.sqrt(self.covariance[i, i] * self.covariance[j, j])
        return float(self.covariance[i, j] / scale) if scale > 0 else float("nan")

    def sd(self, column: int) -> float:
        """The standard deviation of one column."""
        return float(np.sqrt(self.covariance[column, column]))


def moments(trace: Trace) -> list[Moments]:
    """theta at every snapshot."""
    return [_moments(snapshot.state.theta) for snapshot in trace]


def _moments(theta: GaussianParams) -> Moments:
    return Moments(*(part.detach().to("cpu", torch.float64).numpy() for part in theta))


def ellipse(made: Moments, axes: Axes) -> np.ndarray:
    """The map (6,) of the unit circle onto the 1 sd ellipse in two of the columns."""
    i, j = axes
    root = np.sqrt(max(made.covariance[i, i], 0.0))
    slope = made.covariance[i, j] / root if root > 0 else 0.0
    rest = np.sqrt(max(made.covariance[j, j] - slope**2, 0.0))
    return np.array([made.mean[i], root, 0.0, made.mean[j], slope, rest])


def ellipses(trace: Trace, axes: Axes) -> np.ndarray:
    """The same of theta at every snapshot (T, 6)."""
    return np.stack([ellipse(made, axes) for made in moments(trace)])


# ---- what it is compared with ----

ORACLE, COMPLETE, FILLED = "no gaps (oracle)", "whole rows only", "means filled in"


def rivals(trace: Trace) -> Mapping[str, Moments]:
    """What else one could do about gaps; the oracle is there when the cells were hidden here."""
    algorithm = gaussian_em(trace)
    return _rivals(algorithm.data, algorithm.gaps)


def _bytes(found: Mapping[str, Moments]) -> int:
    return sum(part.nbytes for made in found.values() for part in made)


@kept(5_000_000, _bytes)
def _rivals(data: Dataset, gaps: Gaps) -> Mapping[str, Moments]:
    made = incomplete(data, gaps)
    points, whole = torch.from_numpy(made.points.copy()), torch.from_numpy(made.whole.copy())
    weights = None if made.weights is None else torch.from_numpy(made.weights.copy())
    found = {
        ORACLE: None if bool(whole.isnan().any()) else sample_moments(whole, weights),
        COMPLETE: _complete(points, weights),
        FILLED: mean_imputation(points, weights),
    }
    return {name: _moments(theta) for name, theta in found.items() if theta is not None}


def _complete(points: Tensor, weights: Tensor | None) -> GaussianParams | None:
    """The moments of whole rows; None where these are fewer than two."""
    counted = ~points.isnan().any(1) & (torch.ones(len(points)) if weights is None else weights > 0).bool()
    return complete_case(points, weights) if int(counted.sum()) > 1 else None


# ---- rows ----


class Sorts(NamedTuple):
    """Rows by how many of two columns they show; a sample where there are many."""

    whole: np.ndarray  # rows that show both
    one: np.ndarray  # rows that show one
    none: np.ndarray  # rows that show neither
    counts: tuple[int, int, int]  # how many there are of each


def sorts(trace: Trace, axes: Axes) -> Sorts:
    """Which rows are drawn, and as what."""
    shown = (~np.isnan(table(trace).points[:, list(axes)])).sum(1)
    groups = [np.flatnonzero(shown == count) for count in (2, 1, 0)]
    most = (MOST_WHOLE, MOST_ONE, MOST_NONE)
    some = [rows[sample(len(rows), at_most)] for rows, at_most in zip(groups, most, strict=True)]
    return Sorts(some[0], some[1], some[2], (len(groups[0]), len(groups[1]), len(groups[2])))


class Known(NamedTuple):
    """What q says of some rows at every snapshot."""

    means: np.ndarray  # (T, n, 2) what is seen, and E[x | seen] elsewhere
    sds: np.ndarray  # (T, n, 2) standard deviations, 0 where seen


def known(trace: Trace, rows: np.ndarray, axes: Axes) -> Known:
    """q of the rows' cells in two columns; an M-step leaves it alone."""
    points = torch.from_numpy(table(trace).points[rows].copy())
    which, thetas = _distinct([snapshot.state.theta_q for snapshot in trace])
    size = max(1, AT_ONCE // max(1, points.numel() * points.shape[1]))
    parts = (thetas[first : first + size] for first in range(0, len(thetas), size))
    made = [fill_each(some, points, gaussian_em(trace).factorized) for some in parts]
    means, sds = (torch.cat(part)[..., list(axes)].numpy() for part in zip(*made, strict=True))
    return Known(means[which], sds[which])


class Pair(NamedTuple):
    """A row that shows neither column: its posterior and its q, maps (T, 6) of the unit circle."""

    row: int
    posterior: np.ndarray
    q: np.ndarray


def pair(trace: Trace, axes: Axes) -> Pair | None:
    """The first row that shows neither of two columns; None where every row shows one."""
    none = sorts(trace, axes).none
    if not len(none):
        return None
    row, factorized = int(none[0]), gaussian_em(trace).factorized
    point = torch.from_numpy(table(trace).points[row].copy())
    (of_theta, every), (of_q, every_q) = (
        _distinct([getattr(snapshot.state, name) for snapshot in trace]) for name in ("theta", "theta_q")
    )
    posterior, q = _conditional(every, point, False, axes), _conditional(every_q, point, factorized, axes)
    return Pair(row, posterior[of_theta], q[of_q])


def _conditional(thetas: Sequence[GaussianParams], point: Tensor, factorized: bool, axes: Axes) -> np.ndarray:
    """The ellipses (T, 6) of one row under each theta, 0 where it is seen."""
    mean, covariance = (torch.stack(parts) for parts in zip(*thetas, strict=True))
    at = GaussianParams(mean[:, None], covariance[:, None])
    q = conditionals(at, ~point.isnan()[None], factorized)
    apart = torch.where(point.isnan(), 0.0, point - mean)
    middles = mean + (q.fill[:, 0] @ apart[..., None]).squeeze(2)
    pairs = zip(middles.numpy(), q.spread[:, 0].numpy(), strict=True)
    return np.stack([ellipse(Moments(*made), axes) for made in pairs])


def _distinct(thetas: Sequence[GaussianParams]) -> tuple[np.ndarray, list[GaussianParams]]:
    """Which of the different thetas each one is (T,), and these, in order."""
    which: list[int] = []
    made: list[GaussianParams] = []
    for theta in map(_on_cpu, thetas):
        if not made or not all(map(torch.equal, made[-1], theta)):
            made.append(theta)
        which.append(len(made) - 1)
    return np.array(which), made


def _on_cpu(theta: GaussianParams) -> GaussianParams:
    return GaussianParams(*(part.detach().to("cpu", torch.float64) for part in theta))


# ---- numbers for the derivation ----


class Cell(NamedTuple):
    """One gap, told by the conditional it has under theta_q, and what M makes of its column."""

    row: int
    column: str
    mean: float  # E[x | what its row shows]
    prior_mean: float  # mu of the column
    pull: float  # what the row's other cells add to it
    variance: float  # Var[x | what its row shows]; of a product q, its own
    prior_variance: float  # Sigma_cc
    filled_mean: float  # of the column, gaps filled
    filled_variance: float
    doubt: float  # mean over all rows of q's variance of the column's cells


def cell(trace: Trace, index: int, column: int) -> Cell | None:
    """The first gap of a column whose row shows something; None where there is none."""
    made = table(trace)
    gap = np.isnan(made.points)
    rows = np.flatnonzero(gap[:, column] & ~gap.all(1))
    if not len(rows):
        return None
    theta, row = _on_cpu(trace[index].state.theta_q), int(rows[0])
    all_rows = fill(theta, torch.from_numpy(made.points.copy()), gaussian_em(trace).factorized)
    values, sds = all_rows.means[:, column].numpy(), all_rows.sds[:, column].numpy()
    middle, at = float(np.average(values, weights=made.weights)), float(theta.mean[column])
    point = torch.from_numpy(made.points[row].copy())
    seen = ~point.isnan()
    across, block = theta.covariance[column, seen], theta.covariance[seen][:, seen]
    pull = float(across @ torch.linalg.solve(block, (point - theta.mean)[seen]))
    return Cell(
        row, made.columns[column], float(values[row]), at, pull,
        float(sds[row] ** 2), float(theta.covariance[column, column]), middle,
        float(np.average((values - middle) ** 2, weights=made.weights)),
        float(np.average(sds**2, weights=made.weights)),
    )  # fmt: skip


def parameters(snapshot: Snapshot) -> dict[str, Any]:
    """theta of one snapshot as plain lists, with its numbers: what a file of the fitted model holds."""
    theta = _moments(snapshot.state.theta)
    lists = {name: part.tolist() for name, part in theta._asdict().items()}
    return {"step": snapshot.step, **lists, "info": snapshot.info._asdict()}
