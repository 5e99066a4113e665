"""Estimates of a gradient: a violin for every estimator round the line of the exact one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from lvmviz.figures import theme
from lvmviz.figures.drawing import Drawing, scatter
from lvmviz.figures.theme import Margin, Tokens, fill

HEIGHT = 320
NOTHING = 1e-12
_MARGIN = Margin(l=56, r=8, t=22, b=40)
_HALF = 0.42  # of a violin's place, in places


class Shape(NamedTuple):
    """One estimator's violin and what is said of it."""

    name: str  # in at most two lines
    level: np.ndarray  # (L,) of the gradient; one where all estimates are the same
    width: np.ndarray  # (L,) from 0 to 1
    mean: float
    error: float
    sd: float
    biased: bool
    told: str  # on hover


def violins(
    shapes: Sequence[Shape], exact: float, chosen: int, *, axis: str, dark: bool = False, height: int = HEIGHT
) -> Drawing:
    """Violins side by side; the `chosen` one is the one whose runs are shown, `axis` what is estimated."""
    colours = theme.tokens(dark)
    low, high = _reach(shapes, exact)
    made = theme.figure(
        colours,
        height=height,
        margin=_MARGIN,
        xaxis={"range": [-1.15, len(shapes) - 0.45], "tickmode": "array", "ticks": "",
               "tickvals": list(range(len(shapes))), "ticktext": [shape.name for shape in shapes]},
        yaxis={"range": [low, high], "title": {"text": axis}, **theme.ticks(low, high, 5)},
        uirevision="violins",
    )  # fmt: skip
    made.add_shape(type="line", xref="paper", x0=0, x1=1, y0=exact, y1=exact,
                   line={"color": colours.posterior, "width": 2}, layer="below")  # fmt: skip
    for i, shape in enumerate(shapes):
        _draw_violin(made, i, shape, i == chosen, colours)
    _draw_means(made, shapes, colours)
    _name_exact(made, exact, low, high, colours)
    return made


def ink(i: int, colours: Tokens) -> str:
    """The colour by which an estimator is told in every picture; its name stands beside it."""
    return colours.categories[(0, 1, 2, 3, 6, 8, 7, 5)[i % 8]]


def _reach(shapes: Sequence[Shape], exact: float) -> tuple[float, float]:
    ends = [exact, *(float(value) for shape in shapes for value in (shape.level[0], shape.level[-1]))]
    low, high = min(ends), max(ends)
    room = 0.04 * (high - low) or max(1.0, abs(exact))
    return low - room, high + room


def _draw_violin(made: Drawing, i: int, shape: Shape, chosen: bool, colours: Tokens) -> None:
    colour = ink(i, colours)
    x = np.concatenate([i - _HALF * shape.width, i + _HALF * shape.width[::-1]])
    y = np.concatenate([shape.level, shape.level[::-1]])
    line, inside = {"color": colour, "width": 2.5 if chosen else 1.5}, fill(colour, 0.22 if chosen else 0.08)
    body = scatter(x=_short(np.append(x, x[0])), y=_short(np.append(y, y[0])), mode="lines", line=line,
                   fill="toself", fillcolor=inside, hoverinfo="skip")  # fmt: skip
    made.add_trace(body)
    note = {"x": i, "y": 1.0, "yref": "paper", "yanchor": "bottom", "yshift": 2, "showarrow": False}
    made.add_annotation(text=f"sd {told(shape.sd)}", font={"size": 11, "color": colours.muted}, **note)


def _draw_means(made: Drawing, shapes: Sequence[Shape], colours: Tokens) -> None:
    """Where the mean of all estimates is, with two standard errors; a cross where it is biased."""
    marker = {
        "size": 8,
        "color": colours.text,
        "symbol": ["x" if shape.biased else "circle" for shape in shapes],
        "line": {"width": 1, "color": colours.bg},
    }
    errors = {"type": "data", "array": [2.0 * shape.error for shape in shapes], "width": 3,
              "color": colours.text, "thickness": 1.25}  # fmt: skip
    dots = scatter(x=list(range(len(shapes))), y=[shape.mean for shape in shapes], mode="markers",
                   marker=marker, error_y=errors, hovertext=[shape.told for shape in shapes],
                   hoverinfo="text", customdata=list(range(len(shapes))), cliponaxis=False)  # fmt: skip
    made.add_trace(dots)


def _name_exact(made: Drawing, exact: float, low: float, high: float, colours: Tokens) -> None:
    above = exact - low < 0.5 * (high - low)
    place: dict[str, Any] = {"x": 0.0, "xref": "paper", "xanchor": "left", "xshift": 2, "y": exact}
    side = {"yanchor": "bottom" if above else "top", "yshift": 2 if above else -2}
    box = {"showarrow": False, "borderpad": 1, "bgcolor": fill(colours.bg, 0.8)}
    ink = {"color": colours.posterior}
    made.add_annotation(text=f"exact {told(exact)}", font=ink, **box, **place, **side)


def _short(values: np.ndarray) -> list[float]:
    """In six digits: nobody sees more of a line."""
    return [float(f"{value:.6g}") for value in values.tolist()]


def told(x: float) -> str:
    """In three digits, with a true minus sign: 1260, 0.0423, 1.2e6; what only rounding left over is 0."""
    if math.isnan(x):
        return "–"
    if not math.isfinite(x) or abs(x) < NOTHING:
        return theme.number(x, 0)
    power = math.floor(math.log10(abs(float(f"{x:.3g}"))))
    if -4 <= power < 5:
        return theme.number(x, max(0, 2 - power))
    digits, tens = f"{abs(x):.1e}".split("e")
    return f"{'−' if x < 0 else ''}{digits}e{int(tens)}".replace("e-", "e−")
