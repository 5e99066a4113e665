"""Probabilistic PCA: the latents of every row over the prior's circles, and the loadings of every column."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lvmviz.figures import theme
from lvmviz.figures.drawing import scatter
from lvmviz.figures.film import Film
from lvmviz.figures.marks import annotate
from lvmviz.figures.mixture_points import plain
from lvmviz.figures.theme import Tokens, fill, number

HEIGHT = 318
_TURN = np.linspace(0.0, 2.0 * np.pi, 73)
MOST_LATENTS = 4  # whose loadings are drawn


def latents(
    made: np.ndarray,
    rows: np.ndarray,
    labels: np.ndarray | None,
    names: Sequence[str],
    *,
    dark: bool = False,
    height: int = HEIGHT,
) -> Film:
    """The means of q(z) (T, n, q) in the first two latents, coloured by class; one has strips.

    Dashed circles are one and two standard deviations of the prior N(0, I).
    """
    colours = theme.tokens(dark)
    flat = made.shape[2] == 1
    places = _strips(made[..., 0], rows, labels) if flat else made[..., :2]
    reach = 1.08 * max(2.2, float(np.abs(places[1:] if len(places) > 1 else places)[..., 0].max()))
    x = {"title": {"text": "E[z₁]"}, "range": [-reach, reach], **theme.ticks(-reach, reach)}
    film = Film(
        theme.figure(colours, height=height, dragmode="zoom", uirevision="latents", xaxis=x,
                     yaxis=_upright(places, flat, labels, names)), len(made),
    )  # fmt: skip
    film.figure.update_layout(xaxis={"fixedrange": False})
    _draw_prior(film, flat, colours)
    _draw_rows(film, places, rows, labels, names, colours)
    if not flat and labels is not None:
        _draw_classes(film, places, labels[rows], names, colours)
    return film


def _strips(first: np.ndarray, rows: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
    """One latent (T, n) along x, and the class, shaken a little, upwards."""
    classes = np.zeros(len(rows)) if labels is None else labels[rows]
    shaken = classes + np.random.default_rng(0).uniform(-0.25, 0.25, len(rows))
    return np.stack([first, np.broadcast_to(shaken, first.shape)], 2)


def _upright(places: np.ndarray, flat: bool, labels: np.ndarray | None, names: Sequence[str]) -> dict:
    if flat:
        classes = list(names) if labels is not None else ["all rows"]
        told = [plain(name[:14]) for name in classes]
        return {"range": [-0.6, len(classes) - 0.4], "tickmode": "array", "ticktext": told,
                "tickvals": list(range(len(classes))), "automargin": True}  # fmt: skip
    reach = 1.08 * max(2.2, float(np.abs(places[1:] if len(places) > 1 else places)[..., 1].max()))
    return {"title": {"text": "E[z₂]"}, "range": [-reach, reach], "fixedrange": False,
            **theme.ticks(-reach, reach)}  # fmt: skip


def _draw_prior(film: Film, flat: bool, colours: Tokens) -> None:
    """The prior's circles, or where one latent has its one and two standard deviations."""
    line = {"width": 1.25, "color": colours.prior, "dash": "4px,4px"}
    for radius in (1.0, 2.0):
        if flat:
            for x in (-radius, radius):
                film.figure.add_shape(
                    type="line", x0=x, x1=x, y0=0, y1=1, yref="paper", line=line, layer="below"
                )
            continue
        x, y = (radius * np.cos(_TURN)).tolist(), (radius * np.sin(_TURN)).tolist()
        film.figure.add_trace(scatter(x=x, y=y, mode="lines", line=line, hoverinfo="skip"))
    place = {"xref": "paper", "yref": "paper", "x": 0.0, "y": 1.0, "xanchor": "left", "yanchor": "top"}
    word = {"text": "╌ prior N(0, I), 1 and 2 sd", "font": {"size": 11, "color": colours.muted}}
    film.figure.add_annotation(**word, **place, showarrow=False, xshift=4, bgcolor=fill(colours.bg, 0.85))


def _draw_rows(
    film: Film, places: np.ndarray, rows: np.ndarray, labels: np.ndarray | None, names: Sequence[str],
    colours: Tokens,
) -> None:  # fmt: skip
    classes = np.zeros(len(rows), int) if labels is None else labels[rows]
    inks = [colours.q_mark if labels is None else colours.categories[k % 20] for k in classes.tolist()]
    words = ["" if labels is None else f", {plain(names[int(k)])}" for k in classes.tolist()]
    told = [f"row {row + 1}{word}" for row, word in zip(rows.tolist(), words, strict=True)]
    size = float(np.clip(7.5 * (200 / max(len(rows), 1)) ** 0.25, 4.0, 7.5))
    marker = {"size": size, "color": inks, "opacity": 1, "line": {"width": 0.5, "color": colours.bg}}
    trace = scatter(x=places[0, :, 0].tolist(), y=places[0, :, 1].tolist(), mode="markers", marker=marker,
                    hovertext=told, hovertemplate="%{hovertext}<br>z₁ %{x:.2f}<extra></extra>")  # fmt: skip
    film.figure.add_trace(trace)
    for axis, key in enumerate("xy"):
        film.numbers(film.last(), key, np.ascontiguousarray(places[..., axis]))


def _draw_classes(
    film: Film, places: np.ndarray, classes: np.ndarray, names: Sequence[str], colours: Tokens
) -> None:
    """Every class by name in a box of its colour, where the middle of its rows is."""
    found = np.unique(classes)
    middles = np.stack([np.median(places[:, classes == k], axis=1) for k in found], 1)  # (T, C, 2)
    for k, way in zip(found.tolist(), middles.swapaxes(0, 1), strict=True):
        box = {
            "bgcolor": fill(colours.bg, 0.85),
            "bordercolor": colours.categories[k % 20],
            "borderwidth": 1.5,
        }
        note = {"text": plain(names[int(k)][:14]), "showarrow": False, **box}
        moves = {"x": way[:, 0].tolist(), "y": way[:, 1].tolist()}
        annotate(film, {**note, "borderpad": 2, "font": {"size": 11}}, moves)


def loadings(made: np.ndarray, columns: Sequence[str], *, dark: bool = False, height: int = HEIGHT) -> Film:
    """W (T, D, q) as bars from 0, a row for each column of the table, side by side for the latents."""
    colours = theme.tokens(dark)
    count, width, shown = made.shape[0], made.shape[1], min(made.shape[2], MOST_LATENTS)
    reach = 1.1 * max(float(np.abs(made[..., :shown]).max()), 1e-9)
    x = {"title": {"text": "loadings W"}, "range": [-reach, reach], **theme.ticks(-reach, reach)}
    place = np.arange(width)[::-1].astype(float)
    names = [plain(name[:18]) for name in columns]
    y = {"range": [-0.6, width - 0.2], "tickmode": "array", "tickvals": place.tolist(), "ticktext": names}
    margin = theme.Margin(l=min(130, 20 + 6 * max(map(len, names))))
    film = Film(theme.figure(colours, height=height, margin=margin, xaxis=x, yaxis=y), count)
    none = np.zeros_like(made[..., 0])
    for latent in range(shown):
        up = place + 0.5 * (0.5 * (shown - 1) - latent) / max(shown, 2)
        bars = np.stack([none, made[..., latent], np.full_like(none, np.nan)], 2).reshape(count, -1)
        line = {"width": max(2.0, 9.0 / shown), "color": colours.categories[latent]}
        ends = np.stack([up, up, np.full_like(up, np.nan)], 1).ravel().tolist()
        film.figure.add_trace(scatter(x=bars[0].tolist(), y=ends, mode="lines", line=line, hoverinfo="skip"))
        film.numbers(film.last(), "x", bars)
        word = {"text": f"━ z{number(latent + 1, 0)}", "font": {"size": 11, "color": colours.text}}
        where = {"xref": "paper", "yref": "paper", "x": 1.0, "y": 1.0, "xanchor": "right", "yanchor": "top"}
        ring = {"bordercolor": colours.categories[latent], "borderpad": 1, "borderwidth": 1}
        film.figure.add_annotation(**word, **where, **ring, showarrow=False, yshift=-19 * latent)
    return film
