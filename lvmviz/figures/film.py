"""A figure that moves: one plotly figure and, for every frame, only what changes.

The browser plays a film without asking the server. It looks numbers up and, for ellipses and curves,
applies an affine map; all mathematics is done here, before.
"""

from __future__ import annotations

import base64
import copy
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from lvmviz.figures.drawing import Drawing

Move = dict[str, Any]


class Film:
    """A figure and its moves; frame t is the figure with row t of every move put in.

    `trace` is the index of a trace, or None for the layout; `key` is a dotted path such as "marker.color"
    or "annotations[0].text".
    """

    def __init__(self, figure: Drawing, count: int) -> None:
        self.figure = figure
        self.count = count
        self.moves: list[Move] = []

    def values(self, trace: int | None, key: str, rows: list[Any]) -> None:
        """One JSON value a frame."""
        self._add({"trace": trace, "keys": [key], "list": rows}, rows)

    def numbers(self, trace: int | None, key: str, rows: np.ndarray) -> None:
        """One row of numbers (T, n) a frame, sent as float64: data may lie far from 0."""
        self._add({"trace": trace, "keys": [key], "f64": rows, "n": rows.shape[1]}, rows)

    def colours(self, trace: int | None, key: str, rows: np.ndarray) -> None:
        """One row of sRGB colours (T, n, 3) uint8 a frame."""
        self._add({"trace": trace, "keys": [key], "rgb": rows, "n": rows.shape[1]}, rows)

    def affine(self, trace: int | None, rows: np.ndarray, u: np.ndarray, v: np.ndarray) -> None:
        """One affine map (T, 6) a frame: x = a0 + a1 u + a2 v, y = a3 + a4 u + a5 v of the curve (u, v)."""
        curve = {"u": np.round(u, 6).tolist(), "v": np.round(v, 6).tolist()}
        self._add({"trace": trace, "keys": ["x", "y"], "affine": rows, "n": 6, **curve}, rows)

    def shares(self, trace: int, key: str, rows: Sequence[np.ndarray]) -> None:
        """For every frame and point the two largest of its q, T times (n, K), told as words on hover."""
        which, share = (np.stack(part) for part in zip(*_each_once(rows), strict=True))
        move = {"trace": trace, "keys": [key], "which": which, "share": share, "n": which.shape[1]}
        move["most"] = which.shape[-1]
        self._add(move, which, share)

    def _add(self, move: Move, *arrays: np.ndarray | list[Any]) -> None:
        """Keep each row once where neighbouring frames are the same, as an M-step leaves q alone."""
        counts = {len(rows) for rows in arrays}
        if counts != {self.count}:
            raise ValueError(f"a move of {counts} frames does not fit a film of {self.count}")
        changed = np.any([_changed(rows) for rows in arrays], axis=0)
        fresh = [0, *(np.flatnonzero(changed) + 1).tolist()]
        at = np.searchsorted(fresh, np.arange(self.count), side="right") - 1
        packed = {name: _packed(name, value, fresh) for name, value in move.items()}
        self.moves.append(packed | ({} if len(fresh) == self.count else {"at": at.tolist()}))

    def last(self) -> int:
        """The index of the trace on top."""
        return self.figure.last()

    def data(self) -> dict[str, Any]:
        """What the browser gets, as plain JSON."""
        return {"figure": self.figure.to_plotly_json(), "count": self.count, "moves": self.moves}

    def at(self, frame: int) -> go.Figure:
        """One frame as a figure of its own, for a file."""
        made = copy.deepcopy(self.figure.to_plotly_json())
        for move in self.moves:
            target = made["layout"] if move["trace"] is None else made["data"][move["trace"]]
            for key, value in zip(move["keys"], _row(move, frame), strict=True):
                put(target, key, value)
        return go.Figure(made)


_KINDS = {"f64": "<f8", "affine": "<f8", "rgb": "u1", "which": "u1", "share": "<u2"}


def _each_once(rows: Sequence[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
    """`_largest` of every frame's q, found once where neighbours share a table."""
    found: list[tuple[np.ndarray, np.ndarray]] = []
    last = None
    for shares in rows:
        found.append(found[-1] if shares is last else _largest(shares))
        last = shares
    return found


def _largest(shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which are the two largest shares of every row (n, K), and these in parts of 65535."""
    order = np.argsort(-shares, axis=-1, kind="stable")[..., :2]
    share = np.round(np.take_along_axis(shares, order, -1) * 65535)
    return order.astype("u1"), share.astype("<u2")


def _changed(rows: np.ndarray | list[Any]) -> np.ndarray:
    """Whether each row but the first differs from the one before (T - 1,)."""
    if isinstance(rows, list):
        return np.array([now != was for was, now in itertools.pairwise(rows)], bool)
    now, was = rows[1:], rows[:-1]
    same = (now == was) | ((now != now) & (was != was))  # two gaps are the same
    return ~same.all(axis=tuple(range(1, same.ndim)))


def _packed(name: str, value: Any, fresh: list[int]) -> Any:
    """The fresh rows of a move, as plain JSON or as base64."""
    if name == "list":
        return [value[t] for t in fresh]
    if name not in _KINDS:
        return value
    return base64.b64encode(np.ascontiguousarray(value[fresh], dtype=_KINDS[name]).tobytes()).decode("ascii")


def _unpacked(move: Move, name: str, *shape: int) -> np.ndarray:
    return np.frombuffer(base64.b64decode(move[name]), _KINDS[name]).reshape(-1, *shape)


def _row(move: Move, frame: int) -> list[Any]:
    """The values of one frame, one for each key; frames.js does the same in the browser."""
    frame = move["at"][frame] if "at" in move else frame
    if "list" in move:
        return [move["list"][frame]]
    if "rgb" in move:
        return [[f"rgb({r},{g},{b})" for r, g, b in _unpacked(move, "rgb", move["n"], 3)[frame].tolist()]]
    if "f64" in move:
        return [_unpacked(move, "f64", move["n"])[frame].tolist()]
    if "share" in move:
        pairs = (
            _unpacked(move, name, move["n"], move["most"])[frame].tolist() for name in ("which", "share")
        )
        return [[_told(*pair) for pair in zip(*pairs, strict=True)]]
    a = _unpacked(move, "affine", 6)[frame].astype(float)
    u, v = np.array(move["u"]), np.array(move["v"])
    return [(a[0] + a[1] * u + a[2] * v).tolist(), (a[3] + a[4] * u + a[5] * v).tolist()]


def _told(which: list[int], share: list[int]) -> str:
    """Such as "q(1) = 0.93", a line each; what would round to 0.00 is left out."""
    pairs = ((k + 1, q / 65535) for k, q in zip(which, share, strict=True))
    return "".join(f"<br>q({k}) = {q:.2f}" for k, q in pairs if q >= 0.005)


def put(target: Any, key: str, value: Any) -> None:
    """Set what a dotted path such as "annotations[0].text" names."""
    *path, last = [part for part in key.replace("]", "").replace("[", ".").split(".") if part]
    for part in path:
        target = target[int(part)] if isinstance(target, (list, tuple)) else target.setdefault(part, {})
    target[int(last) if isinstance(target, (list, tuple)) else last] = value
