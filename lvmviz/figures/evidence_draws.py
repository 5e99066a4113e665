"""Draws of q with their weights as opacity: on the line, in the plane, or by their shares alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from lvmviz.figures import theme
from lvmviz.figures.drawing import Drawing, scatter
from lvmviz.figures.theme import Margin, Tokens, fill, number

HEIGHT = 186
FAINT = 0.07  # the opacity of a draw that weighs nothing: it was drawn all the same
_MARGIN = Margin(l=44, t=22, b=38)
_TURN = np.linspace(0.0, 2.0 * np.pi, 73)

Ring = tuple[tuple[float, float], tuple[float, float]]  # means and standard deviations of two latents


def _opacity(share: np.ndarray) -> list[float]:
    return np.round(FAINT + (1.0 - FAINT) * share, 3).tolist()


def _said(made: Drawing, share: np.ndarray, colours: Tokens) -> None:
    """How many of the draws do the work."""
    effective = float(share.sum() ** 2 / max((share**2).sum(), 1e-300))
    text = f"{len(share)} draws, as good as {number(effective, 1)}"
    place = {"x": 1.0, "xanchor": "right", "xref": "paper", "y": 1.0, "yref": "paper", "yanchor": "bottom"}
    made.add_annotation(text=text, showarrow=False, yshift=3, font={"color": colours.q_text}, **place)


def plane(
    z: np.ndarray, share: np.ndarray, posterior: Ring, *, names: tuple[str, str] = ("z₁", "z₂"),
    dark: bool = False, height: int = HEIGHT,
) -> Drawing:  # fmt: skip
    """Draws (n, 2) over the posterior's 1 and 2 standard deviations; `share` (n,) of the largest weight."""
    colours = theme.tokens(dark)
    (a, b), (c, d) = posterior
    low = np.minimum(np.quantile(z, 0.01, 0), [a - 2.4 * c, b - 2.4 * d])
    high = np.maximum(np.quantile(z, 0.99, 0), [a + 2.4 * c, b + 2.4 * d])
    axes: dict[str, Any] = {}
    for axis, name, start, end in zip("xy", names, low.tolist(), high.tolist(), strict=True):
        axes[f"{axis}axis"] = {"title": {"text": name}, "range": [start, end], **theme.ticks(start, end)}
    axes["yaxis"] |= {"scaleanchor": "x"}
    made = theme.figure(colours, height=height, margin=_MARGIN, uirevision="draws", **axes)
    for size, alpha in ((2.0, 0.06), (1.0, 0.13)):
        x, y = (a + size * c * np.cos(_TURN)).tolist(), (b + size * d * np.sin(_TURN)).tolist()
        line = {"color": colours.posterior, "width": 2.25 if size == 1.0 else 1.25}
        shade = {"fill": "toself", "fillcolor": fill(colours.posterior, alpha)}
        name = f"posterior, {size:.0f} sd"
        made.add_trace(scatter(x=x, y=y, mode="lines", line=line, hoverinfo="skip", name=name, **shade))
    _draw_marks(made, z[:, 0], z[:, 1], share, colours)
    _said(made, share, colours)
    return made


def _draw_marks(made: Drawing, x: np.ndarray, y: np.ndarray, share: np.ndarray, colours: Tokens) -> None:
    rim = {"width": 0.75, "color": colours.bg}
    marker = {"size": 7, "color": colours.q_mark, "opacity": _opacity(share), "line": rim}
    points = {"x": np.round(x, 4).tolist(), "y": np.round(y, 4).tolist(), "mode": "markers"}
    told = {"hoverinfo": "skip", "name": "draws of q"}
    made.add_trace(scatter(**points, marker=marker, **told))


def line(
    z: np.ndarray, share: np.ndarray, grid: np.ndarray, posterior: np.ndarray, q: np.ndarray, *,
    dark: bool = False, height: int = HEIGHT,
) -> Drawing:  # fmt: skip
    """Draws (n,) as ticks below the posterior (filled) and q (outlined), densities (G,) over z."""
    colours = theme.tokens(dark)
    top = 1.15 * float(max(posterior.max(), min(q.max(), 2.0 * posterior.max())))
    low, high = float(grid[0]), float(grid[-1])
    axes = {
        "xaxis": {"title": {"text": "z"}, "range": [low, high], **theme.ticks(low, high)},
        "yaxis": {"range": [-0.16 * top, top], **theme.ticks(0.0, top)},
    }
    made = theme.figure(colours, height=height, margin=_MARGIN, uirevision="draws", **axes)
    x = np.round(grid, 5).tolist()
    shade = {"fill": "tozeroy", "fillcolor": fill(colours.posterior, 0.13)}
    told = {"mode": "lines", "hoverinfo": "skip"}
    blue, orange = ({"color": ink, "width": 2.5} for ink in (colours.posterior, colours.q_mark))
    made.add_trace(scatter(x=x, y=posterior.tolist(), line=blue, name="posterior", **shade, **told))
    made.add_trace(scatter(x=x, y=q.tolist(), line=orange, name="q", **told))
    ticks = {"symbol": "line-ns", "size": 12, "opacity": _opacity(share)}
    marker = {**ticks, "line": {"width": 1.5, "color": colours.q_mark}}
    foot = [-0.08 * top] * len(z)
    points = {"x": np.round(z, 4).tolist(), "y": foot, "mode": "markers", "marker": marker}
    made.add_trace(scatter(**points, hoverinfo="skip", name="draws of q"))
    _said(made, share, colours)
    return made


def shares(
    held: np.ndarray, *, what: str, said: str = "", dark: bool = False, height: int = HEIGHT
) -> Drawing:
    """Which part of a sum its largest 1, 2, 3 … terms hold (n,); `what` they are."""
    colours = theme.tokens(dark)
    count = len(held)
    x = np.arange(1, count + 1)
    axes = {
        "xaxis": {"title": {"text": what}, "range": [0, 1.01 * count], **theme.ticks(0.0, float(count))},
        "yaxis": {"range": [0, 1.04], "tickmode": "array", "tickvals": [0, 0.5, 1],
                  "ticktext": ["0", "50 %", "100 %"]},
    }  # fmt: skip
    made = theme.figure(colours, height=height, margin=_MARGIN, uirevision="shares", **axes)
    at = np.unique(np.geomspace(1, count, 120).round().astype(int)) - 1
    shade = {"fill": "tozeroy", "fillcolor": fill(colours.posterior, 0.13)}
    style = {"mode": "lines", "line": {"color": colours.posterior, "width": 2.5, "shape": "hv"}}
    points = {"x": [0, *x[at].tolist()], "y": [0.0, *np.round(held[at], 6).tolist()]}
    made.add_trace(scatter(**points, **style, **shade, hoverinfo="skip", name="share"))
    place = {"x": 1.0, "xanchor": "right", "xref": "paper", "y": 1.0, "yref": "paper", "yanchor": "bottom"}
    made.add_annotation(text=said, showarrow=False, yshift=3, font={"color": colours.posterior}, **place)
    return made
