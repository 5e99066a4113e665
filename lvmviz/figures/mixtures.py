"""Mixtures being fitted: points in the mixed colours of q, and the components that claim them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lvmviz.figures import theme
from lvmviz.figures.film import Film
from lvmviz.figures.mixture_marks import (
    draw_bell,
    draw_centres,
    draw_clicked,
    draw_collapsed,
    draw_cut_peaks,
    draw_ellipses,
    draw_marginal,
)
from lvmviz.figures.mixture_points import (
    BARS,
    DENSE,
    GRID,
    MOST_POINTS,
    Shown,
    draw_bars,
    draw_density,
    draw_known,
    draw_points,
    drawn,
    heights,
    labels_told,
    plain,
    told,
)
from lvmviz.figures.theme import Tokens
from lvmviz.summaries.em import Densities, Responsibilities

__all__ = [
    "BARS", "DENSE", "GRID", "MOST_POINTS", "Shown", "drawn", "labels_told", "picture", "picture_1d", "plain",
    "told",
]  # fmt: skip

HEIGHT = 318
MOST_MARKED = 500  # labels that have a mark each, also where few of the points are drawn


def picture(
    points: np.ndarray,
    shown: Shown,
    ellipses: np.ndarray,
    *,
    columns: Sequence[str],
    dark: bool = False,
    height: int = HEIGHT,
) -> Film:
    """Points (N, 2), or their density, coloured by q under the components' 1 and 2 sd ellipses (T, K, 6).

    Weights and the likeliest components appear on hover. Zooming survives the film: its range never moves.
    """
    colours = theme.tokens(dark)
    x, y = _axis(columns[0], points[:, 0]), _axis(columns[1], points[:, 1])
    film = _film(len(shown.resp), x, y, height, colours)
    gone = _gone(shown)
    for k in range(shown.weights.shape[1]):
        draw_ellipses(film, ellipses[:, k], k, gone[:, k], colours)
    if shown.cells is not None and isinstance(shown.resp, Responsibilities):
        draw_density(film, shown.cells, shown.resp, dark)
    else:
        shown, rows = _seen(shown, len(points))
        draw_points(film, points[rows], shown, rows, columns, dark)
        rows = _marked(shown, rows)
        draw_known(film, points[rows], shown, rows, columns, dark)
    draw_clicked(film, shown.clicked, colours)
    draw_centres(film, ellipses[..., 0], ellipses[..., 3], shown.weights, gone, colours)
    draw_collapsed(film, ellipses[..., 0], ellipses[..., 3], gone, colours)
    return film


def picture_1d(
    points: np.ndarray,
    shown: Shown,
    densities: Densities,
    *,
    column: str,
    dark: bool = False,
    height: int = HEIGHT,
) -> Film:
    """Points (N,) as a rug or a histogram under the components' bells and their sum, the marginal."""
    colours = theme.tokens(dark)
    grid, marginal, bells = densities
    top = _density_top(marginal, shown)
    rug = 0.0 if shown.cells else -0.07 * top
    upright = {"title": {"text": "density"}, "range": [2 * rug, top], **theme.ticks(0.0, top)}
    film = _film(len(shown.resp), _axis(column, points), upright, height, colours)
    gone = _gone(shown)
    if shown.cells is not None:
        draw_bars(film, shown.cells, shown.resp, dark)
    for k in range(shown.weights.shape[1]):
        draw_bell(film, bells[:, k], k, gone[:, k], colours)
    draw_marginal(film, grid, marginal, colours)
    if shown.cells is None:
        shown, rows = _seen(shown, len(points))
        flat = np.stack([points, np.full(len(points), rug)], 1)
        draw_points(film, flat[rows], shown, rows, [column], dark)
        rows = _marked(shown, rows)
        draw_known(film, flat[rows], shown, rows, [column], dark)
    if shown.clicked is not None:
        draw_clicked(film, np.stack([shown.clicked, np.zeros(len(shown.clicked))], 1), colours)
    peaks = np.minimum(bells[..., 5], 0.96 * top)
    draw_centres(film, bells[..., 0], peaks, shown.weights, gone, colours)
    draw_cut_peaks(film, bells, top, colours)
    draw_collapsed(film, bells[..., 0], peaks, gone, colours)
    return film


def _gone(shown: Shown) -> np.ndarray:
    """Which components have no density (T, K)."""
    return np.zeros(shown.weights.shape, bool) if shown.collapsed is None else shown.collapsed


def _seen(shown: Shown, count: int) -> tuple[Shown, np.ndarray]:
    """With q of the drawn rows alone, and these rows; with `rows` given it is that already."""
    if shown.rows is not None:
        return shown, shown.rows
    rows, _ = drawn(count)
    return shown._replace(resp=[q[rows] for q in shown.resp]), rows


def _marked(shown: Shown, rows: np.ndarray) -> np.ndarray:
    """Which rows may have a mark for their label: all that show it if these are few, else the drawn ones."""
    known = np.empty(0, int) if shown.known is None else np.flatnonzero(shown.known >= 0)
    return known if len(known) <= MOST_MARKED else rows


def _density_top(marginal: np.ndarray, shown: Shown) -> float:
    """Where the density axis ends: above nearly all frames' peaks, but no lone spike may crush the rest."""
    peaks = marginal.max(1)
    most = min(float(peaks.max()), 2.5 * float(np.median(peaks)))
    bars = 0.0 if shown.cells is None else float(np.quantile(heights(shown.cells), 0.98))
    return 1.12 * max(most, min(bars, 2.5 * most))


def _axis(name: str, values: np.ndarray) -> dict[str, Any]:
    pad = 0.06 * float(np.ptp(values)) or 1.0
    span = [float(values.min()) - pad, float(values.max()) + pad]
    return {"title": {"text": plain(name)}, "range": span, "fixedrange": False, "nticks": 8}


def _film(count: int, x: dict[str, Any], y: dict[str, Any], height: int, colours: Tokens) -> Film:
    made = theme.figure(colours, height=height, dragmode="zoom", uirevision="picture", xaxis=x, yaxis=y)
    return Film(made, count)
