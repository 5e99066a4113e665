"""Two pictures of one inequality, ELBO <= log-likelihood: over the half-steps, and over one parameter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from lvmviz.figures import theme
from lvmviz.figures.film import Film
from lvmviz.figures.theme import Tokens, fill, number

HEIGHT = 146
_MARGIN = theme.Margin(l=50)
_ROOM = HEIGHT - _MARGIN.t - _MARGIN.b


def trace_chart(
    log_lik: np.ndarray,
    elbo: np.ndarray,
    iterations: Sequence[int],
    moved: Sequence[str],
    *,
    decimals: int = 4,
    dark: bool = False,
    height: int = HEIGHT,
) -> Film:
    """Log-likelihood and ELBO per point (T,) over the half-steps; frame t marks step t.

    `moved` says who moved in each step: "start", "E" or "M". An E-step lifts the ELBO onto the log-likelihood
    (orange), an M-step lifts both (green). First steps that would crush the rest are left off, and named.
    """
    colours = theme.tokens(dark)
    x = np.array(
        [i + {"start": 0.5, "E": 0.0, "M": 0.5}[who] for i, who in zip(iterations, moved, strict=True)]
    )
    elbo = np.where(np.isfinite(elbo), elbo, np.nan)  # a line has no point at infinity
    low, high = _range(elbo, log_lik, np.array(iterations))
    right = max(float(x[-1]), x[0] + 1.0)
    pad = 0.008 * (right - x[0])
    axes = _axes("iteration", [x[0] - pad, right + pad], "nats per point", low, high)
    axes["xaxis"] |= (
        theme.ticks(max(1.0, float(np.ceil(x[0]))), np.floor(right), 6) if right >= 3 else {"dtick": 1}
    )
    film = Film(theme.figure(colours, height=height, margin=_MARGIN, uirevision="trace", **axes), len(x))
    _draw_gap(film, x, log_lik, elbo, colours)
    _draw_lines(film, x, log_lik, elbo, moved, colours)
    _direct(film, right, float(log_lik[-1]), "log-likelihood/N", colours, above=True)
    _direct(film, right, float(elbo[-1]), "ELBO/N", colours, above=False)
    if np.nanmin(elbo) < low:
        _off_axis(film, elbo, low, decimals, colours)
    steps = [
        "start" if who == "start" else f"iteration {i}, after {who}"
        for i, who in zip(iterations, moved, strict=True)
    ]
    below = [f" ↓ {number(value, decimals)}" if value < low else "" for value in elbo.tolist()]
    words = [step + deep for step, deep in zip(steps, below, strict=True)]
    _draw_now(film, x, np.clip(elbo, low, high), words, (low, high), right, colours)
    return film


def _range(elbo: np.ndarray, log_lik: np.ndarray, iterations: np.ndarray) -> tuple[float, float]:
    """The vertical range: all steps, unless the first iteration would take more than half of it."""
    top, low = float(np.nanmax(log_lik)), float(np.nanmin(elbo))
    later = float(np.nanmin(elbo, where=iterations > 1, initial=top))
    if top - low > 2.0 * (top - later) > 0:
        low = later
    size = (top - low) or 1.0
    return low - 0.08 * size, top + 0.3 * size


def _axes(x_name: str, x: list[float], y_name: str, low: float, high: float) -> dict[str, Any]:
    upright = {"title": {"text": y_name}, "range": [low, high], **theme.ticks(low, high)}
    return {"xaxis": {"title": {"text": x_name}, "range": x}, "yaxis": upright}


def _draw_gap(film: Film, x: np.ndarray, log_lik: np.ndarray, elbo: np.ndarray, colours: Tokens) -> None:
    """The space between the two lines, which is KL(q || p)."""
    around = np.concatenate([x, x[::-1]]).tolist(), np.concatenate([log_lik, elbo[::-1]]).tolist()
    line = {"width": 0}
    area = go.Scatter(
        x=around[0], y=around[1], mode="lines", line=line, fill="toself", fillcolor=fill(colours.gap, 0.12)
    )
    film.figure.add_trace(area.update(hoverinfo="skip"))


def _draw_lines(
    film: Film, x: np.ndarray, log_lik: np.ndarray, elbo: np.ndarray, moved: Sequence[str], colours: Tokens
) -> None:
    blue = {"color": colours.posterior, "width": 2}
    film.figure.add_trace(
        go.Scatter(x=x.tolist(), y=log_lik.tolist(), mode="lines", line=blue, hoverinfo="skip")
    )
    inks = {"E": colours.q_mark, "M": colours.theta_mark, "start": colours.text}
    for who in "EM":
        xs, ys = _segments(x, elbo, [mover == who for mover in moved])
        line = {"color": inks[who], "width": 2.5}
        film.figure.add_trace(
            go.Scatter(x=xs, y=ys, mode="lines", line=line, connectgaps=False, hoverinfo="skip")
        )
    size = 5.5 if len(x) <= 100 else 3.5 if len(x) <= 250 else 0.1
    dots = {"size": size, "color": [inks[who] for who in moved], "opacity": 1}
    told = "%{x:.1f}<br>ELBO/N %{y:.4f}<extra></extra>"
    film.figure.add_trace(
        go.Scatter(x=x.tolist(), y=elbo.tolist(), mode="markers", marker=dots, hovertemplate=told)
    )


def _segments(x: np.ndarray, y: np.ndarray, own: list[bool]) -> tuple[list[float | None], list[float | None]]:
    """The pieces of a line that end at one's own steps, with breaks between them."""
    xs: list[float | None] = []
    ys: list[float | None] = []
    for i in [i for i, mine in enumerate(own) if mine and i > 0]:
        xs += [float(x[i - 1]), float(x[i]), None]
        ys += [float(y[i - 1]), float(y[i]), None]
    return xs, ys


def _direct(film: Film, x: float, y: float, word: str, colours: Tokens, *, above: bool) -> None:
    place = {"xanchor": "right", "yanchor": "bottom" if above else "top", "yshift": 2 if above else -3}
    ink = {"color": colours.posterior}
    film.figure.add_annotation(x=x, y=y, text=word, font=ink, showarrow=False, borderpad=0, **place)


def _off_axis(film: Film, elbo: np.ndarray, low: float, decimals: int, colours: Tokens) -> None:
    """Where the line that leaves the picture below comes from."""
    word = f"↓ starts at {number(float(elbo[0]), decimals)}"
    ink = {"size": 11, "color": colours.muted}
    film.figure.add_annotation(
        x=0, y=0, xref="paper", yref="paper", xanchor="left", yanchor="bottom", xshift=72, text=word,
        font=ink, showarrow=False, bgcolor=colours.bg, borderpad=1,
    )  # fmt: skip


def _draw_now(
    film: Film,
    x: np.ndarray,
    y: np.ndarray,
    words: list[str],
    span: tuple[float, float],
    right: float,
    colours: Tokens,
) -> None:
    """The dotted line, the ring and the words that say which step is shown."""
    line = {"width": 1.25, "color": colours.muted, "dash": "3px,3px"}
    _moving(film, go.Scatter(mode="lines", line=line), np.stack([x, x], 1), np.tile(span, (len(x), 1)))
    _moving(film, go.Scatter(mode="markers", marker=_ring(colours)), x[:, None], y[:, None])
    share = (x - x[0]) / (right - x[0])
    early, late = share < 0.5, share > 0.7  # the line rises: there is room above it at first, below it later
    note = {"showarrow": False, "yref": "paper", "bgcolor": colours.bg, "borderpad": 1, "font": {"size": 11}}
    moves = {
        "x": x.tolist(),
        "text": words,
        "y": np.where(early, 1.0, 0.0).tolist(),
        "yanchor": ["top" if first else "bottom" for first in early],
        "xanchor": ["right" if last else "left" for last in late],
        "xshift": [-8 if last else 8 for last in late],
    }
    _annotate(film, note, moves)


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
    _moving(film, go.Scatter(mode="lines", line=solid), steady, np.maximum(curve, deep))
    _moving(film, go.Scatter(mode="lines", line=dashed), steady, np.maximum(bound, deep))
    _draw_gap_here(film, grid, at, curve_at, bound_at, size[:, 0] / _ROOM, colours)
    _moving(film, go.Scatter(mode="markers", marker=_ring(colours)), at[:, None], bound_at[:, None])
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
    trace = go.Scatter(
        mode="lines", line={"width": 1, "color": colours.gap}, fill="toself", fillpattern=pattern
    )
    _moving(film, trace, x, np.stack([low, upper, upper, low, low], 1))


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
    _annotate(film, note, moves)


def _name_curves(film: Film, colours: Tokens) -> None:
    """Direct labels at the top corners: the full line and the dashed one."""
    ink = {"color": colours.posterior}
    words = (("━ log-likelihood/N", 1.0, "right"), ("╌ ELBO/N, q fixed", 0.0, "left"))
    for text, x, anchor in words:
        place = {"xref": "paper", "yref": "paper", "x": x, "y": 1.0, "xanchor": anchor, "yanchor": "top"}
        film.figure.add_annotation(text=text, font=ink, showarrow=False, borderpad=1, **place)


def _ring(colours: Tokens) -> dict[str, Any]:
    return {"size": 10, "color": colours.bg, "opacity": 1, "line": {"width": 2, "color": colours.text}}


def _moving(film: Film, trace: go.Scatter, x: np.ndarray, y: np.ndarray) -> None:
    """Add a trace of which both coordinates (T, n) change, or only one."""
    film.figure.add_trace(trace.update(x=x[0].tolist(), y=y[0].tolist(), hoverinfo="skip"))
    for key, rows in (("x", x), ("y", y)):
        if not (rows == rows[0]).all():
            film.numbers(len(tuple(film.figure.data)) - 1, key, rows)


def _annotate(film: Film, note: dict[str, Any], moves: dict[str, list[Any]]) -> None:
    """Add words of which some properties change."""
    first = {key.replace(".", "_"): values[0] for key, values in moves.items()}
    film.figure.add_annotation(**note, **first)
    index = len(tuple(film.figure.layout.annotations)) - 1
    for key, values in moves.items():
        film.values(None, f"annotations[{index}].{key}", values)
