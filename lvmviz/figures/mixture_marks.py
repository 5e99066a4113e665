"""What stands for a mixture's components: ellipses, bells, numbered discs, and the word where one is lost."""

from __future__ import annotations

import numpy as np

from lvmviz.figures import theme
from lvmviz.figures.drawing import Trace, scatter
from lvmviz.figures.film import Film
from lvmviz.figures.theme import Tokens, fill

_TURN = np.linspace(0.0, 2.0 * np.pi, 73)
_CIRCLE = np.cos(_TURN), np.sin(_TURN)
_BELL = np.linspace(-4.0, 4.0, 81), np.exp(-0.5 * np.linspace(-4.0, 4.0, 81) ** 2)
_DOUBLE = np.array([1.0, 2.0, 2.0, 1.0, 2.0, 2.0])


def draw_clicked(film: Film, clicked: np.ndarray | None, colours: Tokens) -> None:
    """Centres placed by hand: ink crosses where they were clicked."""
    if clicked is None or not len(clicked):
        return
    marker = {"symbol": "x-thin", "size": 11, "line": {"width": 2, "color": colours.text}}
    told = [f"centre {i + 1}, placed by hand" for i in range(len(clicked))]
    x, y = clicked[:, 0].tolist(), clicked[:, 1].tolist()
    add(film, scatter(x=x, y=y, mode="markers", marker=marker, hovertext=told, hoverinfo="text"))


def draw_ellipses(film: Film, maps: np.ndarray, k: int, gone: np.ndarray, colours: Tokens) -> None:
    """One component's 1 and 2 sd ellipses, at every frame the map (T, 6) of the unit circle."""
    colour = colours.categories[k]
    for scale, width, alpha in ((_DOUBLE, 1.25, 0.75), (1.0, 2.25, 1.0)):
        line = {"width": width, "color": fill(colour, alpha)}
        trace = scatter(fill="toself", fillcolor=fill(colour, 0.06), line=line)
        index = _affine(film, trace, maps * scale, _CIRCLE)
        _dash(film, index, fill(colour, alpha), gone, colours)


def _dash(film: Film, index: int, colour: str, gone: np.ndarray, colours: Tokens) -> None:
    """A collapsed component loses its colour and its solid line."""
    if gone.any():
        film.values(index, "line.color", [colours.text if lost else colour for lost in gone])
        film.values(index, "line.dash", ["4px,3px" if lost else "solid" for lost in gone])


def draw_centres(
    film: Film, x: np.ndarray, y: np.ndarray, weights: np.ndarray, gone: np.ndarray, colours: Tokens
) -> None:
    """Numbered discs, one trace each: where two meet, the upper one hides the lower one's number too."""
    for k in range(weights.shape[1]):
        ring = {"width": 2, "color": colours.categories[k]}
        trace = scatter(
            x=x[0, k : k + 1].tolist(),
            y=y[0, k : k + 1].tolist(),
            mode="markers+text",
            text=[str(k + 1)],
            textfont={"size": 12, "weight": 600, "color": colours.text},
            marker={"size": 19, "color": colours.bg, "opacity": 1, "line": ring},
            customdata=weights[0, k : k + 1].tolist(),
            hovertemplate="component %{text}<br>π = %{customdata:.3f}<extra></extra>",
        )
        index = add(film, trace)
        for key, rows in (("x", x), ("y", y), ("customdata", weights)):
            film.numbers(index, key, rows[:, k : k + 1])
        if gone[:, k].any():
            inks = [colours.text if lost else ring["color"] for lost in gone[:, k]]
            film.values(index, "marker.line.color", inks)


def draw_collapsed(film: Film, x: np.ndarray, y: np.ndarray, gone: np.ndarray, colours: Tokens) -> None:
    """The word beside each component that collapses, once it has."""
    for k in np.flatnonzero(gone.any(0)).tolist():
        note = {
            "x": x[0, k],
            "y": y[0, k],
            "text": "collapsed",
            "visible": bool(gone[0, k]),
            "bgcolor": colours.bg,
        }
        index = film.figure.add_annotation(**note, showarrow=False, xanchor="left", xshift=14, borderpad=1)
        key = f"annotations[{index}]"
        film.values(None, f"{key}.visible", gone[:, k].tolist())
        film.values(None, f"{key}.x", x[:, k].tolist())
        film.values(None, f"{key}.y", y[:, k].tolist())


def draw_bell(film: Film, bells: np.ndarray, k: int, gone: np.ndarray, colours: Tokens) -> None:
    """One component in one dimension, at every frame the map (T, 6) of the standard bell."""
    colour = colours.categories[k]
    line = {"color": colour, "width": 2.25}
    bell = scatter(fill="tozeroy", fillcolor=fill(colour, 0.06), line=line)
    index = _affine(film, bell, bells, _BELL)
    _dash(film, index, colour, gone, colours)


def draw_marginal(film: Film, grid: np.ndarray, marginal: np.ndarray, colours: Tokens) -> None:
    """The density of one dimension (T, G)."""
    line = {"color": colours.posterior, "width": 2.5}
    index = add(
        film,
        scatter(x=grid[0].tolist(), y=marginal[0].tolist(), line=line, mode="lines", hoverinfo="skip"),
    )
    film.numbers(index, "x", grid)
    film.numbers(index, "y", marginal)
    word = {"text": "p(x | θ), their sum", "font": {"color": colours.posterior}, "bgcolor": colours.bg}
    place = {"xref": "paper", "yref": "paper", "x": 1, "y": 1, "xanchor": "right", "yanchor": "top"}
    film.figure.add_annotation(**word, **place, showarrow=False)


def draw_cut_peaks(film: Film, bells: np.ndarray, top: float, colours: Tokens) -> None:
    """How high the bells go that the axis cuts off."""
    heights = bells[..., 5]
    if not (heights > top).any():
        return
    texts = [[f"peak {theme.number(h, 1)} ↑" if h > top else "" for h in row] for row in heights.tolist()]
    texts = [["\u2003" * 2 + text if text else "" for text in row] for row in texts]
    font = {"size": 11, "color": colours.muted}
    y = [0.87 * top] * heights.shape[1]
    x = bells[..., 0]
    trace = scatter(
        x=x[0].tolist(), y=y, mode="text", text=texts[0], textposition="middle right", textfont=font
    )
    index = add(film, {**trace, "hoverinfo": "skip"})
    film.numbers(index, "x", x)
    film.values(index, "text", texts)


def add(film: Film, trace: Trace) -> int:
    """Add a trace and return its index."""
    film.figure.add_trace(trace)
    return film.last()


def _affine(film: Film, trace: Trace, maps: np.ndarray, curve: tuple[np.ndarray, np.ndarray]) -> int:
    """Add a curve that an affine map moves in every frame."""
    (u, v), a = curve, maps[0]
    x, y = a[0] + a[1] * u + a[2] * v, a[3] + a[4] * u + a[5] * v
    moved = {"x": x.tolist(), "y": y.tolist(), "mode": "lines", "hoverinfo": "skip"}
    index = add(film, {**trace, **moved})
    film.affine(index, maps, u, v)
    return index
