"""Mixtures being fitted: points in the mixed colours of q, and the components that claim them."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from lvmviz.figures import theme
from lvmviz.figures.film import Film
from lvmviz.figures.theme import Tokens, fill

HEIGHT = 318
MOST_POINTS = 3000
_TURN = np.linspace(0.0, 2.0 * np.pi, 73)
_CIRCLE = np.cos(_TURN), np.sin(_TURN)
_BELL = np.linspace(-4.0, 4.0, 81), np.exp(-0.5 * np.linspace(-4.0, 4.0, 81) ** 2)
_DOUBLE = np.array([1.0, 2.0, 2.0, 1.0, 2.0, 2.0])


def drawn(count: int) -> tuple[np.ndarray, str]:
    """Which rows of so many points are drawn, and a note when these are not all."""
    if count <= MOST_POINTS:
        return np.arange(count), ""
    rows = np.sort(np.random.default_rng(0).choice(count, MOST_POINTS, replace=False))
    return rows, f"{MOST_POINTS:,} of {count:,} points are drawn, chosen at random; all of them are used."


def picture(
    points: np.ndarray,
    resp: np.ndarray,
    ellipses: np.ndarray,
    weights: np.ndarray,
    *,
    columns: Sequence[str],
    rows: np.ndarray | None = None,
    labels: np.ndarray | None = None,
    label_names: Sequence[str] = (),
    collapsed: np.ndarray | None = None,
    clicked: np.ndarray | None = None,
    dark: bool = False,
    height: int = HEIGHT,
) -> Film:
    """Points (N, 2) coloured by q under the components' 1 and 2 sd ellipses (T, K, 6).

    q is (T, N, K), or with `rows` that of these rows alone. Weights (T, K) and the likeliest components
    appear on hover. `collapsed` (T, K) marks components without a density, `clicked` (M, 2) the centres
    placed by hand. Zooming survives the film: its range never moves.
    """
    colours = theme.tokens(dark)
    film = _film(len(resp), _axis(columns[0], points[:, 0]), _axis(columns[1], points[:, 1]), height, colours)
    gone = np.zeros(weights.shape, bool) if collapsed is None else collapsed
    for k in range(weights.shape[1]):
        _draw_ellipses(film, ellipses[:, k], k, gone[:, k], colours)
    rows, resp = _seen(points, resp, rows)
    _draw_points(film, points[rows], resp, _rows_told(rows, labels, label_names), columns, dark)
    _draw_clicked(film, clicked, colours)
    _draw_centres(film, ellipses[..., 0], ellipses[..., 3], weights, gone, colours)
    _draw_collapsed(film, ellipses[..., 0], ellipses[..., 3], gone, colours)
    return film


def picture_1d(
    points: np.ndarray,
    resp: np.ndarray,
    grid: np.ndarray,
    marginal: np.ndarray,
    bells: np.ndarray,
    weights: np.ndarray,
    *,
    column: str,
    rows: np.ndarray | None = None,
    labels: np.ndarray | None = None,
    label_names: Sequence[str] = (),
    collapsed: np.ndarray | None = None,
    clicked: np.ndarray | None = None,
    dark: bool = False,
    height: int = HEIGHT,
) -> Film:
    """Points (N,) as a rug under the components' bells (T, K, 6) and their sum, the marginal (T, G).

    `grid` is (T, G) and `clicked` (M,); the other arguments are those of `picture`.
    """
    colours = theme.tokens(dark)
    top = _density_top(marginal)
    rug = -0.07 * top
    upright = {"title": {"text": "density"}, "range": [2 * rug, top], **theme.ticks(0.0, top)}
    film = _film(len(resp), _axis(column, points), upright, height, colours)
    gone = np.zeros(weights.shape, bool) if collapsed is None else collapsed
    for k in range(weights.shape[1]):
        colour = colours.categories[k]
        bell = go.Scatter(fill="tozeroy", fillcolor=fill(colour, 0.06), line={"color": colour, "width": 2.25})
        index = _affine(film, bell, bells[:, k], _BELL)
        _dash(film, index, colour, gone[:, k], colours)
    _draw_marginal(film, grid, marginal, colours)
    rows, resp = _seen(points, resp, rows)
    flat = np.stack([points[rows], np.full(len(rows), rug)], 1)
    _draw_points(film, flat, resp, _rows_told(rows, labels, label_names), [column], dark)
    if clicked is not None:
        _draw_clicked(film, np.stack([clicked, np.zeros(len(clicked))], 1), colours)
    peaks = np.minimum(bells[..., 5], 0.96 * top)
    _draw_centres(film, bells[..., 0], peaks, weights, gone, colours)
    _draw_cut_peaks(film, bells, top, colours)
    _draw_collapsed(film, bells[..., 0], peaks, gone, colours)
    return film


def _seen(points: np.ndarray, resp: np.ndarray, rows: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """The drawn rows and their q; with `rows` given, q is that of these rows already."""
    if rows is not None:
        return rows, resp
    rows, _ = drawn(len(points))
    return rows, resp[:, rows]


def plain(text: str) -> str:
    """A person's own words, as words: no tags and no template fields."""
    return html.escape(text, quote=False).replace("%{", "%&#123;")


def _axis(name: str, values: np.ndarray) -> dict[str, Any]:
    pad = 0.06 * float(np.ptp(values)) or 1.0
    span = [float(values.min()) - pad, float(values.max()) + pad]
    return {"title": {"text": plain(name)}, "range": span, "fixedrange": False, "nticks": 8}


def _film(count: int, x: dict[str, Any], y: dict[str, Any], height: int, colours: Tokens) -> Film:
    made = theme.figure(colours, height=height, dragmode="zoom", uirevision="picture", xaxis=x, yaxis=y)
    return Film(made, count)


# ---- points ----


def _draw_points(
    film: Film, points: np.ndarray, resp: np.ndarray, told: list[str], columns: Sequence[str], dark: bool
) -> None:
    colours = theme.tokens(dark)
    mixed = theme.mix(resp, dark)
    first = ["rgb({},{},{})".format(*colour) for colour in mixed[0].tolist()]
    rug = len(columns) == 1
    where = "<br>".join(f"{plain(name)} %{{{axis}}}" for name, axis in zip(columns, "xy", strict=False))
    trace = go.Scatter(
        x=points[:, 0].tolist(),
        y=points[:, 1].tolist(),
        mode="markers",
        marker=_strokes(first) if rug else _dots(first, colours),
        hovertext=told,
        text="",
        hovertemplate=f"%{{hovertext}}<br>{where}%{{text}}<extra></extra>",
    )
    index = _add(film, trace)
    film.colours(index, "marker.line.color" if rug else "marker.color", mixed)
    film.shares(index, "text", resp)


def _dots(colour: list[str], colours: Tokens) -> dict[str, Any]:
    """Round marks with a halo; smaller when there are many, which hide each other."""
    size = float(np.clip(8.5 * (400 / max(len(colour), 1)) ** 0.25, 5.0, 8.5))
    return {
        "size": size,
        "color": colour,
        "opacity": 1,
        "line": {"width": 1 if size > 6 else 0.5, "color": colours.bg},
    }


def _strokes(colour: list[str]) -> dict[str, Any]:
    """The strokes of a rug."""
    return {"symbol": "line-ns", "size": 14, "opacity": 1, "line": {"width": 1.5, "color": colour}}


def _rows_told(rows: np.ndarray, labels: np.ndarray | None, names: Sequence[str]) -> list[str]:
    """Row numbers from 1, with the label where one is known."""
    if labels is None:
        return [f"row {row + 1}" for row in rows.tolist()]
    told = [plain(names[int(label)]) if 0 <= label < len(names) else "" for label in labels[rows]]
    return [
        f"row {row + 1}" + (f", {name}" if name else "")
        for row, name in zip(rows.tolist(), told, strict=True)
    ]


def _draw_clicked(film: Film, clicked: np.ndarray | None, colours: Tokens) -> None:
    """Centres placed by hand: ink crosses where they were clicked."""
    if clicked is None or not len(clicked):
        return
    marker = {"symbol": "x-thin", "size": 11, "line": {"width": 2, "color": colours.text}}
    told = [f"centre {i + 1}, placed by hand" for i in range(len(clicked))]
    x, y = clicked[:, 0].tolist(), clicked[:, 1].tolist()
    _add(film, go.Scatter(x=x, y=y, mode="markers", marker=marker, hovertext=told, hoverinfo="text"))


# ---- components ----


def _draw_ellipses(film: Film, maps: np.ndarray, k: int, gone: np.ndarray, colours: Tokens) -> None:
    colour = colours.categories[k]
    for scale, width, alpha in ((_DOUBLE, 1.25, 0.75), (1.0, 2.25, 1.0)):
        line = {"width": width, "color": fill(colour, alpha)}
        trace = go.Scatter(fill="toself", fillcolor=fill(colour, 0.06), line=line)
        index = _affine(film, trace, maps * scale, _CIRCLE)
        _dash(film, index, fill(colour, alpha), gone, colours)


def _dash(film: Film, index: int, colour: str, gone: np.ndarray, colours: Tokens) -> None:
    """A collapsed component loses its colour and its solid line."""
    if gone.any():
        film.values(index, "line.color", [colours.text if lost else colour for lost in gone])
        film.values(index, "line.dash", ["4px,3px" if lost else "solid" for lost in gone])


def _draw_centres(
    film: Film, x: np.ndarray, y: np.ndarray, weights: np.ndarray, gone: np.ndarray, colours: Tokens
) -> None:
    """Numbered discs, one trace each: where two meet, the upper one hides the lower one's number too."""
    for k in range(weights.shape[1]):
        ring = {"width": 2, "color": colours.categories[k]}
        trace = go.Scatter(
            x=x[0, k : k + 1].tolist(),
            y=y[0, k : k + 1].tolist(),
            mode="markers+text",
            text=[str(k + 1)],
            textfont={"size": 12, "weight": 600, "color": colours.text},
            marker={"size": 19, "color": colours.bg, "opacity": 1, "line": ring},
            customdata=weights[0, k : k + 1].tolist(),
            hovertemplate="component %{text}<br>π = %{customdata:.3f}<extra></extra>",
        )
        index = _add(film, trace)
        for key, rows in (("x", x), ("y", y), ("customdata", weights)):
            film.numbers(index, key, rows[:, k : k + 1])
        if gone[:, k].any():
            inks = [colours.text if lost else ring["color"] for lost in gone[:, k]]
            film.values(index, "marker.line.color", inks)


def _draw_collapsed(film: Film, x: np.ndarray, y: np.ndarray, gone: np.ndarray, colours: Tokens) -> None:
    """The word beside each component that collapses, once it has."""
    for k in np.flatnonzero(gone.any(0)).tolist():
        note = {
            "x": x[0, k],
            "y": y[0, k],
            "text": "collapsed",
            "visible": bool(gone[0, k]),
            "bgcolor": colours.bg,
        }
        film.figure.add_annotation(**note, showarrow=False, xanchor="left", xshift=14, borderpad=1)
        key = f"annotations[{len(tuple(film.figure.layout.annotations)) - 1}]"
        film.values(None, f"{key}.visible", gone[:, k].tolist())
        film.values(None, f"{key}.x", x[:, k].tolist())
        film.values(None, f"{key}.y", y[:, k].tolist())


# ---- one dimension ----


def _density_top(marginal: np.ndarray) -> float:
    """Where the density axis ends: above nearly all frames' peaks, but no lone spike may crush the rest."""
    peaks = marginal.max(1)
    return 1.12 * min(float(peaks.max()), 2.5 * float(np.median(peaks)))


def _draw_marginal(film: Film, grid: np.ndarray, marginal: np.ndarray, colours: Tokens) -> None:
    line = {"color": colours.posterior, "width": 2.5}
    index = _add(
        film,
        go.Scatter(x=grid[0].tolist(), y=marginal[0].tolist(), line=line, mode="lines", hoverinfo="skip"),
    )
    film.numbers(index, "x", grid)
    film.numbers(index, "y", marginal)
    word = {"text": "p(x | θ), their sum", "font": {"color": colours.posterior}, "bgcolor": colours.bg}
    place = {"xref": "paper", "yref": "paper", "x": 1, "y": 1, "xanchor": "right", "yanchor": "top"}
    film.figure.add_annotation(**word, **place, showarrow=False)


def _draw_cut_peaks(film: Film, bells: np.ndarray, top: float, colours: Tokens) -> None:
    """How high the bells go that the axis cuts off."""
    heights = bells[..., 5]
    if not (heights > top).any():
        return
    texts = [[f"peak {theme.number(h, 1)} ↑" if h > top else "" for h in row] for row in heights.tolist()]
    texts = [["\u2003" * 2 + text if text else "" for text in row] for row in texts]
    font = {"size": 11, "color": colours.muted}
    y = [0.87 * top] * heights.shape[1]
    x = bells[..., 0]
    trace = go.Scatter(
        x=x[0].tolist(), y=y, mode="text", text=texts[0], textposition="middle right", textfont=font
    )
    index = _add(film, trace.update(hoverinfo="skip"))
    film.numbers(index, "x", x)
    film.values(index, "text", texts)


# ---- films ----


def _add(film: Film, trace: go.Scatter) -> int:
    film.figure.add_trace(trace)
    return film.last()


def _affine(film: Film, trace: go.Scatter, maps: np.ndarray, curve: tuple[np.ndarray, np.ndarray]) -> int:
    """Add a curve that an affine map moves in every frame."""
    (u, v), a = curve, maps[0]
    x, y = a[0] + a[1] * u + a[2] * v, a[3] + a[4] * u + a[5] * v
    index = _add(film, trace.update(x=x.tolist(), y=y.tolist(), mode="lines", hoverinfo="skip"))
    film.affine(index, maps, u, v)
    return index
