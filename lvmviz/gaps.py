"""Tables with empty cells: which cells are hidden is a choice, laid over any data set."""

from __future__ import annotations

import abc
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from lvmviz.core import Choice, choice, knob, real
from lvmviz.datasets import Dataset
from lvmviz.kept import kept
from lvmviz.tables import Table

_SHARE = "Which share of the cells is hidden."


class Incomplete(NamedTuple):
    """A table with empty cells, and what stood in those that were hidden; read-only."""

    points: np.ndarray  # (N, D) float64, NaN where nothing is seen
    whole: np.ndarray  # (N, D) the same before cells were hidden; NaN where the table itself has none
    columns: tuple[str, ...]  # (D,)
    weights: np.ndarray | None = None  # (N,) how often each row counts; None: once


class NothingSeen(ValueError):
    """Hiding cells leaves too little to see; hiding none mends it."""


class Gaps(Choice):
    """Which cells of a table are hidden."""

    @abc.abstractmethod
    def hidden(self, points: np.ndarray) -> np.ndarray:
        """The cells of points (N, D) that are hidden, as (N, D) bools; NaN is empty already."""


@choice
class AsGiven(Gaps):
    """Hide nothing: only the cells that are empty already are missing."""

    title = "None but the empty cells"

    def hidden(self, points: np.ndarray) -> np.ndarray:
        return np.zeros(points.shape, dtype=bool)


@choice
class MCAR(Gaps):
    """Hide cells by chance alone: every cell with the same probability (missing completely at random)."""

    title = "Completely at random (MCAR)"
    share: float = knob(0.3, 0.0, 0.9, _SHARE, label="Share hidden")
    seed: int = knob(0, 0, 9999, "Another seed hides other cells.", label="Gap seed", more=True)

    def hidden(self, points: np.ndarray) -> np.ndarray:
        return np.random.default_rng(self.seed).random(points.shape) < self.share


@choice
class MAR(Gaps):
    """Hide cells in rows whose first column is high: what is missing depends on what is seen.

    The first column without empty cells is never hidden. Where it lies above its median, every other cell is
    hidden with probability min(1, 2 share), elsewhere with probability max(0, 2 share - 1): on average that
    is the share of the cells that can be hidden. Maximum likelihood may ignore this (Rubin, 1976); complete
    rows and filled-in means may not.
    """

    title = "Depending on a column (MAR)"
    share: float = knob(0.4, 0.0, 0.9, _SHARE, label="Share hidden")
    seed: int = knob(0, 0, 9999, "Another seed hides other cells.", label="Gap seed", more=True)

    def hidden(self, points: np.ndarray) -> np.ndarray:
        whole = np.flatnonzero(~np.isnan(points).any(0))
        if points.shape[1] < 2 or not len(whole):
            raise NothingSeen(
                "hiding cells by another column needs a column without gaps and a second one: "
                "hide them completely at random"
            )
        seen = int(whole[0])
        high = points[:, seen] > np.median(points[:, seen])
        chance = np.where(high, min(1.0, 2.0 * self.share), max(0.0, 2.0 * self.share - 1.0))
        hidden = np.random.default_rng(self.seed).random(points.shape) < chance[:, None]
        hidden[:, seen] = False
        return hidden


def incomplete(data: Dataset, gaps: Gaps) -> Incomplete:
    """The data set's table with these cells hidden; made once and kept."""
    return _made(data, gaps)


def _bytes(table: Incomplete) -> int:
    return table.points.nbytes + table.whole.nbytes


@kept(200_000_000, _bytes)
def _made(data: Dataset, gaps: Gaps) -> Incomplete:
    table: Table = data.with_gaps()
    whole = np.asarray(table.points, dtype=np.float64)
    points = np.where(gaps.hidden(whole), np.nan, whole)
    points.flags.writeable = False
    return checked(Incomplete(points, whole, table.columns, table.weights))


def checked(table: Incomplete) -> Incomplete:
    """The table, or a ValueError where a column has no value at all."""
    seen = ~np.isnan(table.points)
    if table.weights is not None:
        seen = seen & (table.weights > 0)[:, None]
    empty = np.flatnonzero(~seen.any(0))
    if len(empty):
        raise NothingSeen(
            f"the column {table.columns[empty[0]]!r} has no value that is seen: "
            "leave the column out, or hide fewer cells"
        )
    return table


class Cells(NamedTuple):
    """The same as tensors of a device."""

    points: Tensor  # (N, D), NaN where nothing is seen
    weights: Tensor | None  # (N,) how often each row counts; None: once


def cells(data: Dataset, gaps: Gaps) -> Cells:
    """The data set's table with these cells hidden, on torch's default device; made once and kept."""
    return _cells(data, gaps, str(torch.get_default_device()))


def nbytes(parts: Any) -> int:
    """The bytes of all tensors among these."""
    return sum(part.nbytes for part in parts if part is not None)


@kept(200_000_000, nbytes)
def _cells(data: Dataset, gaps: Gaps, device: str) -> Cells:
    table = incomplete(data, gaps)
    weights = None if table.weights is None else _tensor(table.weights, device)
    return Cells(_tensor(table.points, device), weights)


def _tensor(array: np.ndarray, device: str) -> Tensor:
    return torch.from_numpy(np.array(array)).to(device=device, dtype=real(device))
