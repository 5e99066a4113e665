"""ELBO and log-likelihood over the half-steps of a trace: E touches, M lifts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from lvmviz.figures import theme
from lvmviz.figures.bounds import _MARGIN, HEIGHT, _axes
from lvmviz.figures.drawing import scatter
from lvmviz.figures.film import Film
from lvmviz.figures.marks import annotate, moving, ring
from lvmviz.figures.theme import Tokens, fill

WINDOW = 12.0  # iterations in view: more would hide the gaps that E closes and M opens
LEAST = 2e-3  # of the values, about: nearer than that there is nothing to see but digits
STRIDE = 6.0  # the window moves by so many at once
DASHES = ("5px,4px", "1.5px,3px", "9px,3px,2px,3px")


class Beside(NamedTuple):
    """Another run's line."""

    name: str
    x: np.ndarray  # (S,) iterations
    y: np.ndarray  # (S,) nats, in the same unit


def trace_chart(
    log_lik: np.ndarray,
    elbo: np.ndarray,
    iterations: Sequence[int],
    moved: Sequence[str],
    *,
    names: tuple[str, str] = ("log-likelihood/N", "ELBO/N"),
    at: np.ndarray | None = None,
    beside: Sequence[Beside] = (),
    whole: bool = False,
    unit: str = "nats per point",
    dark: bool = False,
    height: int = HEIGHT,
) -> Film:
    """Log-likelihood and ELBO per datum (T,) over the half-steps; frame t marks step t.

    `moved` says who moved in each step: "start", "E" or "M", maybe with a word behind it. An E-step lifts the
    ELBO onto the log-likelihood (orange), an M-step lifts both (green). A long trace is seen through a window
    that moves along; or the `whole` of it, without most of its rise. `at` (T,) says where on the axis each
    step stands, `beside` are the log-likelihoods of other runs.
    """
    colours = theme.tokens(dark)
    halves = {"s": 0.5, "E": 0.0, "M": 0.5}
    x = np.array([i + halves[who[0]] for i, who in zip(iterations, moved, strict=True)]) if at is None else at
    elbo = np.where(np.isfinite(elbo), elbo, np.nan)  # a line has no point at infinity
    views = [_all(x, elbo, log_lik, beside)] * len(x) if whole else _views(x, elbo, log_lik, beside)
    first = _axes("iteration", list(views[0][:2]), unit, *views[0][2:])
    letters = max(len(text) for view in {*views} for text in theme.ticks(*view[2:])["ticktext"])
    margin = _MARGIN._replace(l=max(_MARGIN.l, 20 + 6 * letters))
    film = Film(theme.figure(colours, height=height, margin=margin, uirevision="trace", **first), len(x))
    _move_axes(film, views)
    _draw_gap(film, x, log_lik, elbo, colours)
    _draw_beside(film, beside, colours)
    _draw_lines(film, x, log_lik, elbo, [who[0] for who in moved], names[1], colours)
    _direct(film, x, log_lik, views, names[0], colours, above=True)
    _direct(film, x, elbo, views, names[1], colours, above=False)
    words = [
        "start" if who == "start" else f"iteration {i}, after {who}"
        for i, who in zip(iterations, moved, strict=True)
    ]
    lows, highs = np.array([view[2:] for view in views]).T
    _draw_now(film, x, np.clip(elbo, lows, highs), words, views, colours)
    return film


View = tuple[float, float, float, float]  # x from and to, y from and to


def _all(x: np.ndarray, elbo: np.ndarray, log_lik: np.ndarray, beside: Sequence[Beside]) -> View:
    """Everything from left to right; from below, most of every rise is left out."""
    lines = [log_lik, *(other.y for other in beside)]
    known = [line[np.isfinite(line)] for line in [*lines, elbo[len(elbo) // 2 :]]]
    low = min((float(np.quantile(line, 0.3)) for line in known if len(line)), default=-1.0)
    high = max((float(line.max()) for line in known if len(line)), default=0.0)
    size = max(high - low, LEAST * max(abs(high), 1.0))
    right = max([float(x[-1]), *(float(other.x[-1]) for other in beside)])
    pad = 0.012 * max(right - float(x[0]), 1.0)
    return float(x[0]) - pad, max(right, float(x[0]) + 1.0) + pad, low - 0.15 * size, high + 0.35 * size


def _views(x: np.ndarray, elbo: np.ndarray, log_lik: np.ndarray, beside: Sequence[Beside] = ()) -> list[View]:
    """What each frame sees: all of a short trace, else a window round the step, fitted to what is in it."""
    wide = max(float(x[-1] - x[0]), 1.0)
    if wide > WINDOW + 2:
        wide = WINDOW
    last = max(float(x[-1]) - wide, float(x[0]))
    starts = np.clip(x[0] + STRIDE * np.floor((x - x[0] - 0.25 * WINDOW) / STRIDE), x[0], last)
    seen: dict[float, View] = {}
    for start in np.unique(starts).tolist():
        inside = (x >= start - 0.5) & (x <= start + wide + 0.5)
        others = [part.y[(part.x >= start - 0.5) & (part.x <= start + wide + 0.5)] for part in beside]
        low, high = _finite_range(elbo[inside], np.concatenate([log_lik[inside], *others]))
        size = max(high - low, LEAST * max(abs(high), 1.0))
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


def _draw_beside(film: Film, beside: Sequence[Beside], colours: Tokens) -> None:
    """Other runs as dashed lines, named on hover and in the head above."""
    for number, other in enumerate(beside):
        line = {"color": colours.muted, "width": 1.5, "dash": DASHES[number % len(DASHES)]}
        y = [value if math.isfinite(value) else None for value in other.y.tolist()]
        told = f"{other.name}: %{{y:.4f}}<extra></extra>"
        film.figure.add_trace(scatter(x=other.x.tolist(), y=y, mode="lines", line=line, hovertemplate=told))


def _draw_lines(
    film: Film, x: np.ndarray, log_lik: np.ndarray, elbo: np.ndarray, moved: Sequence[str], name: str,
    colours: Tokens,
) -> None:  # fmt: skip
    blue = {"color": colours.posterior, "width": 2}
    film.figure.add_trace(
        scatter(x=x.tolist(), y=log_lik.tolist(), mode="lines", line=blue, hoverinfo="skip")
    )
    inks = {"E": colours.q_mark, "M": colours.theta_mark, "s": colours.text}
    for who in "EM":
        xs, ys = _segments(x, elbo, [mover == who for mover in moved])
        line = {"color": inks[who], "width": 2.5}
        film.figure.add_trace(
            scatter(x=xs, y=ys, mode="lines", line=line, connectgaps=False, hoverinfo="skip")
        )
    dots = {"size": 5.5, "color": [inks[who] for who in moved], "opacity": 1}
    told = f"%{{x:.1f}}<br>{name} %{{y:.4f}}<extra></extra>"
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
    look = {"font": {"color": colours.posterior}, "bgcolor": fill(colours.bg, 0.85), "borderpad": 0}
    annotate(film, {"text": word, "showarrow": False, **look, **place}, moves)  # other lines pass beneath


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
