"""z = mean + A e in the plane: draws of noise, where they go, and the ellipse that the hand moves."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from lvmviz.figures import theme
from lvmviz.figures.drawing import Drawing, scatter
from lvmviz.figures.gradients import told
from lvmviz.figures.theme import Margin, Tokens, fill

HEIGHT = 480
REACH = 4.0  # of the vertical axis; the horizontal one has the same scale
_MARGIN = Margin(l=36, r=8, t=8, b=34)
_TURN = np.linspace(0.0, 2.0 * math.pi, 73)
_WAYS = 8  # draws whose way is drawn
OUTLINES = (  # in the coordinates of the noise: 1 and 2 sd, and the two columns of A
    np.stack([np.cos(_TURN), np.sin(_TURN)]),
    2.0 * np.stack([np.cos(_TURN), np.sin(_TURN)]),
    np.array([[0.0, 1.0], [0.0, 0.0]]),
    np.array([[0.0, 0.0], [0.0, 1.0]]),
)


class Lines(NamedTuple):
    """A drawing and the traces that follow the hand, one for each of OUTLINES."""

    drawing: Drawing
    traces: tuple[int, ...]


def picture(
    e: np.ndarray,
    z: np.ndarray,
    matrix: np.ndarray,
    mean: np.ndarray,
    determinant: float,
    flat: bool,
    *,
    dark: bool = False,
    height: int = HEIGHT,
) -> Lines:
    """Noise (S, 2) in grey, z (S, 2) in q's colour; `flat` where z has no density."""
    colours = theme.tokens(dark)
    made = _square(colours, height)
    _dots(made, e, colours.prior, 0.45, "ε")
    for outline in OUTLINES[:2]:
        _line(made, outline, {"color": colours.prior, "width": 1.25, "dash": "4px,4px"})
    _ways(made, e, z, colours)
    _dots(made, z, colours.q_mark, 0.55, "z")
    widths = (2.25, 1.25, 2.25, 2.25)
    first = made.last() + 1
    for outline, width in zip(OUTLINES, widths, strict=True):
        moved = mean[:, None] + matrix @ outline
        _line(made, moved, {"color": fill(colours.q_mark, 1.0 if width > 2 else 0.75), "width": width})
    _words(made, matrix, mean, determinant, flat, colours)
    return Lines(made, tuple(range(first, first + len(OUTLINES))))


def _square(colours: Tokens, height: int) -> Drawing:
    one = {"range": [-REACH, REACH], **theme.ticks(-REACH, REACH, 5)}
    ground = {"zeroline": True, "zerolinewidth": 1, "zerolinecolor": colours.border}
    return theme.figure(
        colours, height=height, margin=_MARGIN,
        xaxis={**one, **ground, "title": {"text": "z<sub>1</sub>"}, "scaleanchor": "y"},
        yaxis={**one, **ground, "title": {"text": "z<sub>2</sub>"}}, uirevision="map",
    )  # fmt: skip


def _dots(made: Drawing, at: np.ndarray, colour: str, opacity: float, name: str) -> None:
    x, y = np.round(at.T, 3).tolist()
    marker = {"size": 4, "color": colour, "opacity": opacity}
    hover = f"{name} = (%{{x:.2f}}, %{{y:.2f}})<extra></extra>"
    made.add_trace(scatter(x=x, y=y, mode="markers", marker=marker, hovertemplate=hover))


def _ways(made: Drawing, e: np.ndarray, z: np.ndarray, colours: Tokens) -> None:
    """From some draws of noise to what becomes of them."""
    gaps = np.full((len(e[:_WAYS]), 2), np.nan)
    path = np.stack([e[:_WAYS], z[:_WAYS], gaps], 1).reshape(-1, 2)
    values = [[None if math.isnan(v) else round(v, 3) for v in side] for side in path.T.tolist()]
    line = {"color": fill(colours.muted, 0.55), "width": 1}
    made.add_trace(scatter(x=values[0], y=values[1], mode="lines", line=line, hoverinfo="skip"))


def _line(made: Drawing, at: np.ndarray, line: dict[str, Any]) -> None:
    x, y = np.round(at, 4).tolist()
    made.add_trace(scatter(x=x, y=y, mode="lines", line=line, hoverinfo="skip"))


def _words(
    made: Drawing, matrix: np.ndarray, mean: np.ndarray, determinant: float, flat: bool, colours: Tokens
) -> None:
    box = {"showarrow": False, "borderpad": 1, "bgcolor": fill(colours.bg, 0.85)}
    for k, name in enumerate(("A e₁", "A e₂")):
        tip = mean + matrix[:, k]
        made.add_annotation(x=float(tip[0]), y=float(tip[1]), text=name, xanchor="left", xshift=12, yshift=10,
                            font={"size": 12, "color": colours.q_text}, **box)  # fmt: skip
    corner = {"xref": "paper", "yref": "paper", "x": 0.01, "xanchor": "left", "yanchor": "top"}
    told_q = "z: on a line, no density" if flat else f"z ~ q, area × {told(abs(determinant))}"
    made.add_annotation(text=told_q, y=0.99, font={"size": 12, "color": colours.q_text}, **corner, **box)
    made.add_annotation(
        text="ε ~ N(0, I)", y=0.92, font={"size": 12, "color": colours.muted}, **corner, **box
    )
