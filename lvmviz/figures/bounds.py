"""Two pictures of one inequality, ELBO <= log-likelihood: over the half-steps, and over one parameter."""

from __future__ import annotations

from typing import Any

import numpy as np

from lvmviz.figures import theme
from lvmviz.figures.drawing import scatter
from lvmviz.figures.film import Film
from lvmviz.figures.marks import annotate, moving, ring
from lvmviz.figures.theme import Tokens, fill, number

HEIGHT = 146
_MARGIN = theme.Margin(l=50)
_ROOM = HEIGHT - _MARGIN.t - _MARGIN.b


def _axes(x_name: str, x: list[float], y_name: str, low: float, high: float) -> dict[str, Any]:
    upright = {"title": {"text": y_name}, "range": [low, high], **theme.ticks(low, high)}
    return {"xaxis": {"title": {"text": x_name}, "range": x}, "yaxis": upright}


def bound_chart(
    grid: np.ndarray,
    curve: np.ndarray,
    bound: np.ndarray,
    at: np.ndarray,
    curve_at: np.ndarray,
    bound_at: np.ndarray,
    *,
    name: str,
    decimals: int = 4,
    dark: bool = False,
    height: int = HEIGHT,
) -> Film:
    """Log-likelihood and ELBO per point (T, G) over one parameter on `grid` (G,), with the gap at its value.

    After an E-step the bound touches the curve where the parameter is; the M-step moves the parameter to the
    bound's top (Neal and Hinton, 1998). `name` is the parameter's.
    """
    colours = theme.tokens(dark)
    spans = _windows(curve, bound_at)
    axes = _axes(name, [float(grid[0]), float(grid[-1])], "nats per point", *spans[0])
    axes["xaxis"] |= theme.ticks(float(grid[0]), float(grid[-1]), 6)
    film = Film(theme.figure(colours, height=height, margin=_MARGIN, uirevision="bound", **axes), len(at))
    _move_axis(film, spans)
    low, size = spans[:, :1], spans[:, 1:] - spans[:, :1]
    deep = low - 3 * size  # the parabola falls without end: what is far below the picture need not be sent
    steady = np.tile(grid, (len(at), 1))
    dashed = {"color": colours.posterior, "width": 1.5, "dash": "5px,4px"}
    solid = {"color": colours.posterior, "width": 2.5}
    moving(film, scatter(mode="lines", line=solid), steady, np.maximum(curve, deep))
    moving(film, scatter(mode="lines", line=dashed), steady, np.maximum(bound, deep))
    _draw_gap_here(film, grid, at, curve_at, bound_at, size[:, 0] / _ROOM, colours)
    moving(film, scatter(mode="markers", marker=ring(colours)), at[:, None], bound_at[:, None])
    _name_curves(film, colours)
    _name_gap(film, grid, at, curve_at, bound_at, decimals, colours)
    return film


def _windows(curve: np.ndarray, bound_at: np.ndarray) -> np.ndarray:
    """The vertical range of every frame (T, 2), moved only when the curve leaves it or shrinks in it."""
    tops = curve.max(1)
    lows = np.minimum(np.quantile(curve, 0.35, axis=1), bound_at)  # steep flanks may leave the picture
    lows = np.minimum(lows, tops - 0.004)  # three decimals are all that the ticks have room for
    spans: list[tuple[float, float]] = []
    for low, top in zip(lows.tolist(), tops.tolist(), strict=True):
        size = (top - low) or 1.0
        kept = spans and spans[-1][0] <= low and top <= spans[-1][1] - 0.15 * size
        if not kept or size < 0.35 * (spans[-1][1] - spans[-1][0]):
            spans.append((low - 0.15 * size, top + 0.3 * size))
        else:
            spans.append(spans[-1])
    return np.array(spans)


def _move_axis(film: Film, spans: np.ndarray) -> None:
    ticks = [theme.ticks(low, high, 3) for low, high in spans.tolist()]
    film.figure.update_layout(yaxis=ticks[0])
    film.values(None, "yaxis.range", spans.tolist())
    film.values(None, "yaxis.tickvals", [made["tickvals"] for made in ticks])
    film.values(None, "yaxis.ticktext", [made["ticktext"] for made in ticks])


def _draw_gap_here(
    film: Film,
    grid: np.ndarray,
    at: np.ndarray,
    upper: np.ndarray,
    lower: np.ndarray,
    pixel: np.ndarray,
    colours: Tokens,
) -> None:
    """A hatched bar from the bound up to the curve where the parameter is; none where they touch."""
    half = 0.006 * float(grid[-1] - grid[0])
    x = np.stack([at - half, at - half, at + half, at + half, at - half], 1)
    low = np.where(upper - lower > 1e-9, np.minimum(lower, upper - 2 * pixel), upper)
    pattern = {**theme.HATCH, "fgcolor": colours.gap, "bgcolor": fill(colours.gap, 0.2), "fgopacity": 1}
    trace = scatter(mode="lines", line={"width": 1, "color": colours.gap}, fill="toself", fillpattern=pattern)
    moving(film, trace, x, np.stack([low, upper, upper, low, low], 1))


def _name_gap(
    film: Film,
    grid: np.ndarray,
    at: np.ndarray,
    upper: np.ndarray,
    lower: np.ndarray,
    decimals: int,
    colours: Tokens,
) -> None:
    gap = upper - lower
    words = [
        "touches" if size < 0.5 * 10**-decimals else f"KL/N {number(size, decimals)}" for size in gap.tolist()
    ]
    inks = [colours.text if word == "touches" else colours.gap for word in words]
    late = at > 0.5 * (grid[0] + grid[-1])
    note = {
        "showarrow": False,
        "yref": "paper",
        "y": 0.0,
        "yanchor": "bottom",
        "bgcolor": colours.bg,
        "borderpad": 1,
    }
    moves = {
        "x": at.tolist(),
        "text": words,
        "font.color": inks,
        "xanchor": ["right" if last else "left" for last in late],
        "xshift": [-10 if last else 10 for last in late],
    }
    annotate(film, note, moves)


def _name_curves(film: Film, colours: Tokens) -> None:
    """Direct labels at the top corners: the full line and the dashed one."""
    ink = {"color": colours.posterior}
    words = (("━ log-likelihood/N", 1.0, "right"), ("╌ ELBO/N, q fixed", 0.0, "left"))
    for text, x, anchor in words:
        place = {"xref": "paper", "yref": "paper", "x": x, "y": 1.0, "xanchor": anchor, "yanchor": "top"}
        film.figure.add_annotation(text=text, font=ink, showarrow=False, borderpad=1, **place)
