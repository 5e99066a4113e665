"""Marks that several films share: the ring at the current frame, a moving trace, moving words."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from lvmviz.figures.drawing import Drawing, Trace
from lvmviz.figures.film import Film, put
from lvmviz.figures.theme import Tokens, fill

ANGLES = np.linspace(-math.pi, math.pi, 24, endpoint=False)


def free_angle(radius: float, places: np.ndarray) -> float:
    """Where on a circle round 0 a word stands farthest from the places (K, 2), radians."""
    if not len(places):
        return -2.2
    spots = radius * np.stack([np.cos(ANGLES), np.sin(ANGLES)], 1)
    return float(ANGLES[np.linalg.norm(spots[:, None] - places, axis=2).min(1).argmax()])


def ring(colours: Tokens) -> dict[str, Any]:
    """The marker of the place that the current frame shows."""
    return {"size": 10, "color": colours.bg, "opacity": 1, "line": {"width": 2, "color": colours.text}}


def moving(film: Film, trace: Trace, x: np.ndarray, y: np.ndarray) -> None:
    """Add a trace of which both coordinates (T, n) change, or only one."""
    film.figure.add_trace({**trace, "x": x[0].tolist(), "y": y[0].tolist(), "hoverinfo": "skip"})
    for key, rows in (("x", x), ("y", y)):
        if not (rows == rows[0]).all():
            film.numbers(film.last(), key, rows)


def annotate(film: Film, note: dict[str, Any], moves: dict[str, list[Any]]) -> None:
    """Add words of which some properties change."""
    first = copy.deepcopy(note)
    for key, values in moves.items():
        put(first, key, values[0])
    index = film.figure.add_annotation(**first)
    for key, values in moves.items():
        film.values(None, f"annotations[{index}].{key}", values)


def legend(
    made: Drawing, words: Sequence[tuple[str, str]], colours: Tokens, *, right: bool = False, size: int = 12
) -> None:
    """Words in their colours, one below the other, in an upper corner of the picture."""
    for k, (text, colour) in enumerate(words):
        made.add_annotation(
            text=text,
            xref="paper",
            yref="paper",
            x=1.0 if right else 0.01,
            y=1.0,
            xanchor="right" if right else "left",
            yanchor="top",
            yshift=-2 - 17 * k,
            showarrow=False,
            font={"size": size, "color": colour},
            bgcolor=fill(colours.bg, 0.75),
            borderpad=1,
        )
