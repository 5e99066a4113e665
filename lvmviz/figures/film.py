"""A figure that moves: one plotly figure and, for every frame, only what changes.

The browser plays a film without asking the server. It looks numbers up and, for ellipses and curves,
applies an affine map; all mathematics is done here, before.
"""

from __future__ import annotations

import base64
import copy
from typing import Any

import numpy as np
import plotly.graph_objects as go

Move = dict[str, Any]


class Film:
    """A figure and its moves; frame t is the figure with row t of every move put in.

    `trace` is the index of a trace, or None for the layout; `key` is a dotted path such as "marker.color"
    or "annotations[0].text".
    """

    def __init__(self, figure: go.Figure, count: int) -> None:
        self.figure = figure
        self.count = count
        self.moves: list[Move] = []

    def values(self, trace: int | None, key: str, rows: list[Any]) -> None:
        """One JSON value a frame."""
        self._add({"trace": trace, "keys": [key], "list": rows}, len(rows))

    def numbers(self, trace: int | None, key: str, rows: np.ndarray) -> None:
        """One row of numbers (T, n) a frame, sent as float32."""
        self._add({"trace": trace, "keys": [key], "f32": _pack(rows, "<f4"), "n": rows.shape[1]}, len(rows))

    def colours(self, trace: int | None, key: str, rows: np.ndarray) -> None:
        """One row of sRGB colours (T, n, 3) uint8 a frame."""
        self._add({"trace": trace, "keys": [key], "rgb": _pack(rows, "u1"), "n": rows.shape[1]}, len(rows))

    def affine(self, trace: int | None, rows: np.ndarray, u: np.ndarray, v: np.ndarray) -> None:
        """One affine map (T, 6) a frame: x = a0 + a1 u + a2 v, y = a3 + a4 u + a5 v of the curve (u, v)."""
        curve = {"u": np.round(u, 6).tolist(), "v": np.round(v, 6).tolist()}
        self._add(
            {"trace": trace, "keys": ["x", "y"], "affine": _pack(rows, "<f4"), "n": 6, **curve}, len(rows)
        )

    def _add(self, move: Move, rows: int) -> None:
        if rows != self.count:
            raise ValueError(f"a move of {rows} frames does not fit a film of {self.count}")
        self.moves.append(move)

    def data(self) -> dict[str, Any]:
        """What the browser gets, as plain JSON."""
        return {"figure": self.figure.to_plotly_json(), "count": self.count, "moves": self.moves}

    def at(self, frame: int) -> go.Figure:
        """One frame as a figure of its own, for a file."""
        made = copy.deepcopy(self.figure.to_plotly_json())
        for move in self.moves:
            target = made["layout"] if move["trace"] is None else made["data"][move["trace"]]
            for key, value in zip(move["keys"], _row(move, frame), strict=True):
                _put(target, key, value)
        return go.Figure(made)


def _pack(rows: np.ndarray, kind: str) -> str:
    return base64.b64encode(np.ascontiguousarray(rows, dtype=kind).tobytes()).decode("ascii")


def _row(move: Move, frame: int) -> list[Any]:
    """The values of one frame, one for each key; bus and frames.js do the same in the browser."""
    if "list" in move:
        return [move["list"][frame]]
    if "rgb" in move:
        raw = np.frombuffer(base64.b64decode(move["rgb"]), "u1").reshape(-1, move["n"], 3)[frame]
        return [[f"rgb({r},{g},{b})" for r, g, b in raw.tolist()]]
    if "f32" in move:
        return [np.frombuffer(base64.b64decode(move["f32"]), "<f4").reshape(-1, move["n"])[frame].tolist()]
    a = np.frombuffer(base64.b64decode(move["affine"]), "<f4").reshape(-1, 6)[frame].astype(float)
    u, v = np.array(move["u"]), np.array(move["v"])
    return [(a[0] + a[1] * u + a[2] * v).tolist(), (a[3] + a[4] * u + a[5] * v).tolist()]


def _put(target: Any, key: str, value: Any) -> None:
    *path, last = [part for part in key.replace("]", "").replace("[", ".").split(".") if part]
    for part in path:
        target = target[int(part)] if isinstance(target, (list, tuple)) else target.setdefault(part, {})
    target[int(last) if isinstance(target, (list, tuple)) else last] = value
