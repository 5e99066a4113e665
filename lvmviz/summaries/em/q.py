"""q at every snapshot of a trace of EM: what it says of points, and what it adds up to."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import overload

import numpy as np
import torch

from lvmviz.algorithms.em import EM, EMState
from lvmviz.kept import kept
from lvmviz.mixtures import Data, GaussianMixtureParams, counts_at, posteriors
from lvmviz.runs.job import Trace
from lvmviz.summaries.em.trace import (
    SAMPLE,
    distinct_q,
    em,
    known,
    on_cpu,
    sample,
    shown_labels,
    table_points,
    told,
    total,
    weight,
)

COUNTED = 1_000_000  # bytes of counts that are kept
AT_ONCE = 2**16  # numbers (thetas x points x K x D) in work at once: half a megabyte a table
MOST_LABELS = 20_000  # of more points than these, the agreement with the labels is that of a sample


class Responsibilities(Sequence[np.ndarray]):
    """q (n, K) of some places at every snapshot, made when asked for: a long trace holds no big table."""

    def __init__(
        self,
        which: np.ndarray,
        made: Sequence[GaussianMixtureParams],
        points: np.ndarray,
        labels: np.ndarray | None = None,
    ) -> None:
        self._which = which  # (T,) which theta each snapshot's q was made from
        self._made = made
        self._points, self._labels = points, labels  # (n, D), (n,): -1 where unknown
        self._data = Data(
            torch.tensor(points, dtype=torch.float64), None if labels is None else torch.tensor(labels)
        )
        known = b"" if labels is None else labels.tobytes()
        self._places = hashlib.sha256(points.tobytes() + known).digest()
        self._last: tuple[int, list[np.ndarray]] = 0, []  # from which theta on, and their tables

    def key(self, index: int) -> bytes:
        """What one snapshot's q follows from, in short: where two are the same, the tables are."""
        return hashlib.sha256(self._places + told(self._made[int(self._which[index])])).digest()

    def __len__(self) -> int:
        return len(self._which)

    @overload
    def __getitem__(self, index: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, index: slice) -> Responsibilities: ...
    def __getitem__(self, index: int | slice) -> np.ndarray | Responsibilities:
        if isinstance(index, slice):
            return Responsibilities(self._which[index], self._made, self._points, self._labels)
        which = int(self._which[index])
        first, made = self._last
        if not first <= which < first + len(made):
            first, made = self._last = which, self._from(which)
        return made[which - first]

    def _from(self, which: int) -> list[np.ndarray]:
        """The tables (n, K) of as many thetas, from one on, as are quick to make at once."""
        many = max(1, AT_ONCE // max(1, self._made[which].means.numel() * len(self._points)))
        return list(posteriors(self._made[which : which + many], self._data).numpy())


def responsibilities_of(trace: Trace, rows: np.ndarray) -> Responsibilities:
    """q(z_n = k) of some rows at every snapshot."""
    return Responsibilities(*distinct_q(trace), *_at(trace, rows))


def _at(trace: Trace, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Some points (n, D), and what is known of their labels (n,)."""
    labels = shown_labels(trace)
    return table_points(trace)[rows], None if labels is None else labels[rows]


def responsibilities(trace: Trace, rows: np.ndarray | None = None) -> np.ndarray:
    """q(z_n = k) at every snapshot in one table (T, N, K), of all points or of some rows of them."""
    rows = np.arange(len(table_points(trace))) if rows is None else rows
    return np.stack(list(responsibilities_of(trace, rows)))


def counts(trace: Trace) -> np.ndarray:
    """N_k, the points each component explains, as often as they count, at every snapshot (T, K).

    The M-step of EM after a q sets pi_k = N_k / N: where it is in the trace, no point is looked at again.
    """
    which, made = distinct_q(trace)
    found: dict[int, np.ndarray] = {}
    whole = em(trace).scheme.maximizes
    for number, snapshot in zip(which.tolist(), trace, strict=True):
        if whole and _moved_by_q(snapshot.state):
            found[number] = total(trace) * on_cpu(snapshot.state.theta).weights.numpy()
    rest = [i for i in range(len(made)) if i not in found]
    found |= zip(rest, _all_counted([made[i] for i in rest], trace), strict=True)
    return np.stack([found[i] for i in range(len(made))])[which]


def _all_counted(thetas: Sequence[GaussianMixtureParams], trace: Trace) -> list[np.ndarray]:
    """N_k (K,) of each theta: of few points many at once, of many one pass each, which is kept."""
    if len(table_points(trace)) > SAMPLE:
        return [_counted(theta, em(trace)) for theta in thetas]
    weights = em(trace).data.table().weights
    rows = np.arange(len(table_points(trace)))
    tables = Responsibilities(np.arange(len(thetas)), thetas, *_at(trace, rows))
    return [table.sum(0) if weights is None else weights @ table for table in tables]


def _moved_by_q(state: EMState) -> bool:
    """Whether theta is what the M-step made of this q; after a collapse it is an older one."""
    halves = int(state.half_steps)
    return halves > 0 and halves % 2 == 0 and not bool(state.collapsed.any())


@kept(COUNTED, weight, key=lambda theta, em: (told(theta), em.data, em.revealed))
def _counted(theta: GaussianMixtureParams, em: EM) -> np.ndarray:
    """N_k (K,) by a pass over all points."""
    return counts_at(theta, known(em)).numpy()


def adjusted_rand(trace: Trace) -> np.ndarray | None:
    """How well the likeliest components agree with the labels (T,); None without labels.

    1 is the same grouping, 0 what chance gives (Hubert and Arabie, 1985, "Comparing partitions"). Of more
    than 20,000 points it is that of a fixed sample of so many.
    """
    labels = em(trace).data.table().labels
    if labels is None:
        return None
    rows = sample(len(labels), MOST_LABELS)
    which, made = distinct_q(trace)
    all_q = Responsibilities(np.arange(len(made)), made, *_at(trace, rows))
    return np.array([_rand(labels[rows], resp.argmax(1)) for resp in all_q])[which]


def _rand(labels: np.ndarray, groups: np.ndarray) -> float:
    labels, groups = (np.unique(side, return_inverse=True)[1] for side in (labels, groups))
    table = np.zeros((labels.max() + 1, groups.max() + 1))
    np.add.at(table, (labels, groups), 1.0)
    same, rows, columns = (_pairs(side) for side in (table, table.sum(1), table.sum(0)))
    chance = rows * columns / max(_pairs(table.sum()), 1.0)
    best = (rows + columns) / 2
    return 1.0 if best == chance else float((same - chance) / (best - chance))


def _pairs(sizes: np.ndarray) -> float:
    return float((sizes * (sizes - 1) / 2).sum())
