"""The points as EM reads them: centred, on the device, chunk after chunk in a fixed grid."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

KEPT = 2**29  # bytes of chunks that stay in memory between the passes; more are made anew in each


def chunk_rows(restarts: int, components: int, width: int) -> int:
    """Points a chunk: its widest table stays in the processor's cache, and Python's share is small."""
    wide = restarts * components * (width if width > 20 else width**0.5)
    cells = 2.0**19 if width > 20 else 2.0**20
    return int(min(max(2.0 ** round(np.log2(cells / wide)), 2.0**9), 2.0**15))


class Chunk(NamedTuple):
    """Some of the points, a column each, under a row of ones."""

    x: Tensor  # (1 + D, n): ones, then the centred coordinates
    low: Tensor | None  # (D, n) what float32 rounded away
    features: dict[str, Tensor]  # what a kernel made of x and wants to see again
    weight: Tensor | None  # (n,) sample weights
    label: Tensor | None  # (n,) the known component, or -1


class Points:
    """N points of D columns; float64 origin and chunk grid do not depend on device, dtype or threads.

    `x` (N, D) may be a memory map: it is read a chunk at a time, and without `keep` never copied whole.
    """

    def __init__(
        self, x: np.ndarray, *, weights: np.ndarray | None = None, labels: np.ndarray | None = None,
        device: str = "cpu", dtype: torch.dtype = torch.float64, rows: int = 2**15,
        origin: np.ndarray | None = None, keep: bool = True,
    ) -> None:  # fmt: skip
        self.x, self.weights, self.labels = x, weights, labels
        self.device, self.dtype, self.rows = device, dtype, rows
        self.origin, self.scale = self._extent(origin)
        self.total = float(len(x)) if weights is None else float(weights.sum())
        self._kept: dict[int, Chunk] = {}
        self._squares: np.ndarray | None = None
        self.room = KEPT if keep else 0

    def __len__(self) -> int:
        return -(-len(self.x) // self.rows)

    def chunk(self, index: int) -> Chunk:
        """The index-th chunk."""
        if index in self._kept:
            return self._kept[index]
        made = self._made(self.span(index))
        if self.keeps(self.x.shape[1]):
            self._kept[index] = made
        return made

    def span(self, index: int) -> slice:
        """The rows of the index-th chunk."""
        return slice(index * self.rows, (index + 1) * self.rows)

    def keeps(self, columns: int) -> bool:
        """Whether a table of so many columns may stay in memory."""
        return len(self.x) * columns * self.dtype.itemsize <= self.room

    def squares(self) -> np.ndarray:
        """sum of w x x^T (D, D) about the origin, float64."""
        if self._squares is None:
            total = np.zeros((self.x.shape[1],) * 2)
            for rows in self._spans():
                x = self.x[rows] - self.origin
                total += x.T @ (x if self.weights is None else x * self.weights[rows, None])
            self._squares = total
        return self._squares

    def _made(self, rows: slice) -> Chunk:
        exact = np.empty((self.x.shape[1] + 1, len(self.x[rows])))
        exact[0] = 1.0
        np.subtract(self.x[rows].T, self.origin[:, None], out=exact[1:])
        x, low = self._sent(exact), None
        if self.dtype == torch.float32:
            low = self._sent(exact[1:] - exact[1:].astype(np.float32))
        weight = None if self.weights is None else self._sent(self.weights[rows])
        label = None if self.labels is None else torch.from_numpy(self.labels[rows]).to(self.device)
        return Chunk(x, low, {}, weight, label)

    def _sent(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(values).to(self.dtype).to(self.device)

    def _spans(self) -> Iterator[slice]:
        return map(self.span, range(len(self)))

    def _extent(self, origin: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """The mean of the points (D,) unless given, and the largest distance from it in each column (D,)."""
        total = np.zeros(self.x.shape[1])
        low, high = np.full_like(total, np.inf), np.full_like(total, -np.inf)
        for rows in self._spans():
            part = np.asarray(self.x[rows])
            total += part.sum(0, dtype=np.float64)
            low, high = np.minimum(low, part.min(0)), np.maximum(high, part.max(0))
        centre = total / len(self.x) if origin is None else origin
        return centre, np.maximum(high - centre, centre - low)
