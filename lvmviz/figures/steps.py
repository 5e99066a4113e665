"""ELBO and log-likelihood over the half-steps of a trace: E touches, M lifts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from lvmviz.figures import theme
from lvmviz.figures.bounds import _MARGIN, HEIGHT, _axes
from lvmviz.figures.drawing import scatter
from lvmviz.figures.film import Film
from lvmviz.figures.marks import annotate, moving, ring
from lvmviz.figures.theme import Tokens, fill

WINDOW = 12.0  # iterations in view: more would hide the gaps that E closes and M opens
STRIDE = 6.0  # the window moves by so many at once


def trace_chart(
    log_lik: np.ndarray,
    elbo: np.ndarray,
    iterations: Sequence[int],
    moved: Sequence[str],
    *,
    dark: bool = False,
    height: int = HEIGHT,
) -> Film:
    """Log-likelihood and ELBO per point (T,) over the half-steps; frame t marks step t.

    `moved` says who moved in each step: "start", "E" or "M". An E-step lifts the ELBO onto the log-likelihood
    (orange), an M-step lifts both (green). A long trace is seen through a window that moves along.
    """
    colours = theme.tokens(dark)
    halves = {"start": 0.5, "E": 0.0, "M": 0.5}
    x = np.array([i + halves[who] for i, who in zip(iterations, moved, strict=True)])
    elbo = np.where(np.isfinite(elbo), elbo, np.nan)  # a line has no point at infinity
    views = _views(x, elbo, log_lik)
    first = _axes("iteration", list(views[0][:2]), "nats per point", *views[0][2:])
    film = Film(theme.figure(colours, height=height, margin=_MARGIN, uirevision="trace", **first), len(x))
    _move_axes(film, views)
    _draw_gap(film, x, log_lik, elbo, colours)
    _draw_lines(film, x, log_lik, elbo, moved, colours)
    _direct(film, x, log_lik, views, "log-likelihood/N", colours, above=True)
    _direct(film, x, elbo, views, "ELBO/N", colours, above=False)
    words = [
        "start" if who == "start" else f"iteration {i}, after {who}"
        for i, who in zip(iterations, moved, strict=True)
    ]
    _draw_now(film, x, elbo, words, views, colours)
    return film


View = tuple[float, float, float, float]  # x from and to, y from and to


def _views(x: np.ndarray, elbo: np.ndarray, log_lik: np.ndarray) -> list[View]:
    """What each frame sees: all of a short trace, else a window round the step, fitted to what is in it."""
    wide = max(float(x[-1] - x[0]), 1.0)
    if wide > WINDOW + 2:
        wide = WINDOW
    last = max(float(x[-1]) - wide, float(x[0]))
    starts = np.clip(x[0] + STRIDE * np.floor((x - x[0] - 0.25 * WINDOW) / STRIDE), x[0], last)
    seen: dict[float, View] = {}
    for start in np.unique(starts).tolist():
        inside = (x >= start - 0.5) & (x <= start + wide + 0.5)
        low, high = _finite_range(elbo[inside], log_lik[inside])
        size = max(high - low, 1e-9 * max(abs(high), 1.0))
        pad = 0.012 * wide
        seen[start] = (start - pad, start + wide + pad, low - 0.1 * size, high + 0.3 * size)
    return [seen[start] for start in starts.tolist()]


def _finite_range(elbo: np.ndarray, log_lik: np.ndarray) -> tuple[float, float]:
    known = np.concatenate([elbo[np.isfinite(elbo)], log_lik[np.isfinite(log_lik)]])
    return (float(known.min()), float(known.max())) if len(known) else (-1.0, 0.0)


def _move_axes(film: Film, views: Sequence[View]) -> None:
    ticks = {view: (_whole(view[0], view[1]), theme.ticks(*view[2:])) for view in views}
    for axis, i in (("xaxis", 0), ("yaxis", 1)):
        film.values(None, f"{axis}.range", [list(view[2 * i : 2 * i + 2]) for view in views])
        for key in ("tickmode", "tickvals", "ticktext"):
            film.values(None, f"{axis}.{key}", [ticks[view][i][key] for view in views])


def _whole(low: float, high: float) -> dict[str, Any]:
    """Ticks at whole iterations, six at most."""
    step = max(1, math.ceil((high - low) / 6))
    values = [i for i in range(math.ceil(low), math.floor(high) + 1) if i % step == 0]
    return {"tickmode": "array", "tickvals": values, "ticktext": [str(i) for i in values]}


def _draw_gap(film: Film, x: np.ndarray, log_lik: np.ndarray, elbo: np.ndarray, colours: Tokens) -> None:
    """The space between the two lines, which is KL(q || p)."""
    around = np.concatenate([x, x[::-1]]).tolist(), np.concatenate([log_lik, elbo[::-1]]).tolist()
    line = {"width": 0}
    area = scatter(
        x=around[0], y=around[1], mode="lines", line=line, fill="toself", fillcolor=fill(colours.gap, 0.12)
    )
    film.figure.add_trace({**area, "hoverinfo": "skip"})


def _draw_lines(
    film: Film, x: np.ndarray, log_lik: np.ndarray, elbo: np.ndarray, moved: Sequence[str], colours: Tokens
) -> None:
    blue = {"color": colours.posterior, "width": 2}
    film.figure.add_trace(
        scatter(x=x.tolist(), y=log_lik.tolist(), mode="lines", line=blue, hoverinfo="skip")
    )
    inks = {"E": colours.q_mark, "M": colours.theta_mark, "start": colours.text}
    for who in "EM":
        xs, ys = _segments(x, elbo, [mover == who for mover in moved])
        line = {"color": inks[who], "width": 2.5}
        film.figure.add_trace(
            scatter(x=xs, y=ys, mode="lines", line=line, connectgaps=False, hoverinfo="skip")
        )
    dots = {"size": 5.5, "color": [inks[who] for who in moved], "opacity": 1}
    told = "%{x:.1f}<br>ELBO/N %{y:.4f}<extra></extra>"
    film.figure.add_trace(
        scatter(x=x.tolist(), y=elbo.tolist(), mode="markers", marker=dots, hovertemplate=told)
    )


def _segments(x: np.ndarray, y: np.ndarray, own: list[bool]) -> tuple[list[float | None], list[float | None]]:
    """The pieces of a line that end at one's own steps, with breaks between them and at steps left out."""
    xs: list[float | None] = []
    ys: list[float | None] = []
    for i in [i for i, mine in enumerate(own) if mine and i > 0 and x[i] - x[i - 1] < 0.75]:
        xs += [float(x[i - 1]), float(x[i]), None]
        ys += [float(y[i - 1]), float(y[i]), None]
    return xs, ys


def _direct(
    film: Film,
    x: np.ndarray,
    y: np.ndarray,
    views: Sequence[View],
    word: str,
    colours: Tokens,
    *,
    above: bool,
) -> None:
    """A line's name at the right end of what is seen of it."""
    ends = np.array([min(view[1], float(x[-1])) for view in views])
    place = {"xanchor": "right", "yanchor": "bottom" if above else "top", "yshift": 2 if above else -3}
    moves = {"x": ends.tolist(), "y": np.interp(ends, x, y).tolist()}
    annotate(film, {"text": word, "font": {"color": colours.posterior}, "showarrow": False, **place}, moves)


def _draw_now(
    film: Film, x: np.ndarray, y: np.ndarray, words: list[str], views: Sequence[View], colours: Tokens
) -> None:
    """The dotted line, the ring and the words that say which step is shown."""
    line = {"width": 1.25, "color": colours.muted, "dash": "3px,3px"}
    spans = np.array([view[2:] for view in views])
    moving(film, scatter(mode="lines", line=line), np.stack([x, x], 1), spans)
    moving(film, scatter(mode="markers", marker=ring(colours), cliponaxis=False), x[:, None], y[:, None])
    left, right = np.array([view[:2] for view in views]).T
    share = (x - left) / (right - left)
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
    annotate(film, note, moves)
