"""Where a function on a grid crosses a level, as short lines."""

from __future__ import annotations

import numpy as np


def level_lines(x: np.ndarray, y: np.ndarray, values: np.ndarray, level: float) -> np.ndarray:
    """(S, 2, 2) the two ends (x, y) of every piece of the level line of values (H, W) over x (W,), y (H,).

    Marching squares: within a cell the line is straight, and of two at a saddle neither crosses the other.
    """
    above = values > level
    across, upright = above[:, :-1] != above[:, 1:], above[:-1] != above[1:]
    flat = np.stack(np.broadcast_arrays(_met(x, values, level), y[:, None]), -1)  # (H, W - 1, 2)
    steep = np.stack(np.broadcast_arrays(x, _met(y, values.T, level).T), -1)  # (H - 1, W, 2)
    met = np.stack([across[:-1], upright[:, :-1], across[1:], upright[:, 1:]])  # below, left, above, right
    ends = np.stack([flat[:-1], steep[:, :-1], flat[1:], steep[:, 1:]])
    count, pieces = met.sum(0), []
    rows, columns = np.nonzero(count == 2)
    first, last = met.argmax(0)[rows, columns], 3 - met[::-1].argmax(0)[rows, columns]
    pieces.append(np.stack([ends[first, rows, columns], ends[last, rows, columns]], 1))
    rows, columns = np.nonzero(count == 4)
    pieces += [np.stack([ends[i, rows, columns], ends[i + 1, rows, columns]], 1) for i in (0, 2)]
    return np.concatenate(pieces)


def _met(line: np.ndarray, values: np.ndarray, level: float) -> np.ndarray:
    """Where between neighbours along the last axis (..., n) the level would be, (..., n - 1)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        share = (level - values[:, :-1]) / np.diff(values, axis=1)
    return line[:-1] + np.clip(np.nan_to_num(share, nan=0.5), 0.0, 1.0) * np.diff(line)


def joined(pieces: np.ndarray) -> tuple[list[float | None], list[float | None]]:
    """x and y of the pieces (S, 2, 2), with a gap after each."""
    x, y = (
        [value for one in pieces[..., k].tolist() for value in (*one, None)]
        for k in (0, 1)
    )  # fmt: skip
    return x, y
