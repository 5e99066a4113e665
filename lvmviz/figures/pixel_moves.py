"""Where q may be put, and where it went from there: every ELBO under log p(x_o), hatched what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from lvmviz.figures import theme
from lvmviz.figures.drawing import scatter
from lvmviz.figures.film import Film
from lvmviz.figures.marks import annotate, moving, ring
from lvmviz.figures.theme import Margin, Tokens, digits_of, fill, number

HEIGHT = 172
_HALF, _START, _END = 0.36, 4.5, 9.6  # on the axis: half a bar, and from where to where q went
_NEAR = 1.15  # ticks of two lines need so much room
_PLAIN, _FAR = 30.0, 3.0  # nats that are always shown; so many times what is usual are cut off


class Place(NamedTuple):
    """A q that has a name."""

    name: str
    elbo: float  # nats
    here: bool  # whether q set out from it


class Way(NamedTuple):
    """q after every move: where it was put, strokes of the brush, sweeps of CAVI."""

    names: Sequence[str]  # (n,)
    elbo: np.ndarray  # (n,) nats
    errors: np.ndarray  # (n,) standard errors, 0 where it is exact
    now: Sequence[int]  # (T,) which of them each frame shows
    ahead: int  # from this one on nobody has gone there yet; n where q went everywhere


def moves(
    places: Sequence[Place], way: Way, log_evidence: float, *, dark: bool, height: int = HEIGHT
) -> Film:
    """Bars for the places, a line for the way; both end at log p(x_o), and the gap is KL(q || p)."""
    colours = theme.tokens(dark)
    low, high = _range(np.array([place.elbo for place in places]), way.elbo, log_evidence)
    x = np.linspace(_START, _END, max(len(way.elbo), 2))[: len(way.elbo)]
    up = {"title": {"text": "nats"}, "range": [low, high], **theme.ticks(low, high, 3)}
    across = {"range": [-0.6, _END + 0.4], **_ticks(places, way, x), "ticklen": 0}
    margin = Margin(l=max(44, 20 + 6 * max(map(len, up["ticktext"]))), b=38, t=16, r=10)
    made = theme.figure(colours, height=height, margin=margin, xaxis=across, yaxis=up)
    film = Film(made, len(way.now))
    _draw_places(film, places, low, colours)
    shown = np.maximum(way.elbo, low)
    _draw_way(film, way, x, shown, colours)
    line = {"color": colours.posterior, "width": 2}
    film.figure.add_trace(
        scatter(x=[-0.6, _END + 0.4], y=[log_evidence] * 2, mode="lines", line=line, name="log p(x_o)",
                hoverinfo="skip")
    )  # fmt: skip
    _hatch(film, places, x, shown, log_evidence, colours, low, way.ahead)
    now = list(way.now)
    moving(film, scatter(mode="markers", marker=ring(colours), cliponaxis=False, name="q now"),
           x[now][:, None], shown[now][:, None])  # fmt: skip
    _name(film, way, log_evidence, colours)
    return film


def _range(places: np.ndarray, way: np.ndarray, log_evidence: float) -> tuple[float, float]:
    """From the deepest to log p(x_o), which a few that lie far below all others do not crush."""
    gaps = log_evidence - np.concatenate([places, way])
    usual = max(_FAR * float(np.median(gaps)), _PLAIN, float((log_evidence - way).max(initial=0.0)))
    size = max(float(gaps[gaps <= usual].max(initial=0.0)), 0.5)
    return log_evidence - 1.12 * size, log_evidence + 0.06 * size


def _ticks(places: Sequence[Place], way: Way, x: np.ndarray) -> dict[str, Any]:
    """A name and its number, in two lines; of the way those that have room."""
    at = [float(i) for i in range(len(places))]
    words = [_two(place.name, place.elbo, 1) for place in places]
    last = way.ahead - 1  # where q is, or has come to
    chosen: list[int] = []
    for i in dict.fromkeys([0, len(x) - 1, last, *range(1, len(x) - 1)]):
        if all(abs(x[i] - x[j]) >= _NEAR for j in chosen):
            chosen.append(i)
    at += [float(x[i]) for i in chosen]
    words += [_two(way.names[i], float(way.elbo[i]), digits_of(way.errors[i], 3)) for i in chosen]
    return {"tickmode": "array", "tickvals": at, "ticktext": words, "tickangle": 0}


def _two(name: str, value: float, decimals: int) -> str:
    return f"{name}<br>{number(value, decimals)}"


def _draw_places(film: Film, places: Sequence[Place], low: float, colours: Tokens) -> None:
    """A bar up to each ELBO, as the thermometer's; an arrow where it lies below the picture."""
    for i, place in enumerate(places):
        top = max(place.elbo, low)
        edges = [i - _HALF, i + _HALF]
        bar = scatter(x=[*edges, *edges[::-1]], y=[low, low, top, top], mode="lines", line={"width": 0},
                      fill="toself", fillcolor=fill(colours.posterior, 0.8 if place.here else 0.3),
                      hoverinfo="text", text=_told(place.name, place.elbo),
                      name=f"ELBO, {place.name}")  # fmt: skip
        film.figure.add_trace(bar)
        if place.elbo < low:
            film.figure.add_annotation(text="↓", x=i, y=low, showarrow=False, yanchor="bottom",
                                       font={"color": colours.posterior}, bgcolor=colours.bg)  # fmt: skip


def _told(name: str, elbo: float, error: float = 0.0) -> str:
    return f"{name}: ELBO {_with_error(elbo, error)} nats"


def _with_error(value: float, error: float) -> str:
    digits = digits_of(error, 3)
    return f"{number(value, digits)}{f' ± {number(error, digits)}' if error else ''}"


def _draw_way(film: Film, way: Way, x: np.ndarray, y: np.ndarray, colours: Tokens) -> None:
    """What q went is a line with a dot a move; what CAVI would still do is dashed."""
    told = [_told(*row) for row in zip(way.names, way.elbo.tolist(), way.errors.tolist(), strict=True)]
    bars = {"error_y": {"array": (2 * way.errors).tolist(), "width": 3, "thickness": 1}}
    for part, line, name in (
        (slice(max(way.ahead - 1, 0), None), {"dash": "4px,3px", "width": 1.5}, "ELBO, CAVI from here"),
        (slice(0, way.ahead), {"width": 2.5}, "ELBO"),
    ):
        if len(x[part]) < 2 and name != "ELBO":
            continue
        film.figure.add_trace(
            scatter(x=x[part].tolist(), y=y[part].tolist(), mode="lines+markers", name=name, text=told[part],
                    hoverinfo="text", line={"color": colours.posterior, **line},
                    marker={"size": 4, "color": colours.posterior}, **(bars if way.errors.any() else {}))
        )  # fmt: skip


def _hatch(
    film: Film, places: Sequence[Place], x: np.ndarray, y: np.ndarray, top: float, colours: Tokens,
    low: float, ahead: int,
) -> None:  # fmt: skip
    """KL(q || p): from every ELBO up to log p(x_o)."""
    pattern = {**theme.HATCH, "fgcolor": colours.gap, "fgopacity": 0.8, "bgcolor": fill(colours.gap, 0.06)}
    area = {"mode": "lines", "line": {"width": 0}, "fill": "toself", "hoverinfo": "skip"}
    around: tuple[list[float | None], list[float | None]] = [], []
    for i, place in enumerate(places):
        foot = max(place.elbo, low)
        around[0].extend([i - _HALF, i + _HALF, i + _HALF, i - _HALF, None])
        around[1].extend([foot, foot, top, top, None])
    film.figure.add_trace(scatter(x=around[0], y=around[1], name="KL", fillpattern=pattern, **area))
    for part, opacity in ((slice(0, ahead), 0.8), (slice(max(ahead - 1, 0), None), 0.3)):
        if len(x[part]) < 2:
            continue
        film.figure.add_trace(
            scatter(x=[*x[part], *x[part][::-1]], y=[*y[part], *[top] * len(x[part])], name="KL",
                    fillpattern={**pattern, "fgopacity": opacity}, **area)
        )  # fmt: skip


def _name(film: Film, way: Way, log_evidence: float, colours: Tokens) -> None:
    """log p(x_o) at the end of its line, and the gap that is left in every frame."""
    word = f"log p(x_o) = {number(log_evidence, 3)}"
    note = {"showarrow": False, "yanchor": "bottom", "y": log_evidence, "yshift": 1, "borderpad": 0}
    film.figure.add_annotation(
        text=word, x=_END + 0.4, xanchor="right", font={"color": colours.posterior}, **note
    )
    gaps = [log_evidence - float(way.elbo[i]) for i in way.now]
    if not way.errors.any():
        gaps = [max(gap, 0.0) for gap in gaps]  # below by rounding alone
    told = [
        f"KL(q‖p) = {_with_error(gap, float(way.errors[i]))}" for gap, i in zip(gaps, way.now, strict=True)
    ]
    place = {"x": -0.6, "xanchor": "left", "font": {"color": colours.gap}}
    annotate(film, {**note, **place}, {"text": told})
    if len(way.elbo) == 1:
        empty = {"x": 0.5 * (_START + _END) + 1.0, "y": 0.4, "yref": "y domain", "showarrow": False}
        film.figure.add_annotation(
            text="strokes of the brush and sweeps of CAVI come here", font={"color": colours.muted}, **empty
        )
