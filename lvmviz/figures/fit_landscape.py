"""The ELBO of every mean and sd as a landscape, and the way a fit takes over it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lvmviz.figures import theme
from lvmviz.figures.drawing import scatter
from lvmviz.figures.film import Film
from lvmviz.figures.marks import annotate, moving
from lvmviz.figures.theme import Tokens, fill, number

HEIGHT = 186
_MARGIN = theme.Margin(l=50)
_MOST_LEVELS = 10


def landscape(
    means: np.ndarray,
    sds: np.ndarray,
    elbo: np.ndarray,
    path: np.ndarray,
    *,
    log_evidence: float,
    others: np.ndarray | None = None,
    best: tuple[float, float] | None = None,
    best_label: str = "best",
    names: tuple[str, str] = ("mean", "sd"),
    decimals: int = 2,
    dark: bool = False,
    height: int = HEIGHT,
) -> Film:
    """ELBO (S, M) over means (M,) and sds (S,), the path (T, 2) over it, and other starts' (B, T, 2).

    The contours are at round KLs (1, 2, 5 times powers of ten), closest together near the optimum.
    """
    colours = theme.tokens(dark)
    across, upright = [float(means[0]), float(means[-1])], np.log10([float(sds[0]), float(sds[-1])])
    x = {"title": {"text": f"{names[0]} of q"}, "range": across, **theme.ticks(across[0], across[1], 6)}
    y = {
        "title": {"text": f"{names[1]} of q"},
        "type": "log",
        "range": upright.tolist(),
        **_log_ticks(float(sds[0]), float(sds[-1])),
    }
    made = theme.figure(colours, height=height, margin=_MARGIN, uirevision="landscape", xaxis=x, yaxis=y)
    film = Film(made, len(path))
    _draw_contours(film, means, sds, elbo, log_evidence, names, decimals, colours)
    for way in [] if others is None else others:
        _draw_way(film, way, colours)
    _draw_path(film, path, across, upright, colours)
    _draw_best(film, best, best_label, colours)
    _draw_here(film, path, across, upright, names, decimals, colours)
    return film


def _log_ticks(low: float, high: float) -> dict[str, Any]:
    """Three to five round numbers: 1, 2 and 5, or 1 and 3, or only 1, times powers of ten."""
    powers = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
    for factors, apart in (((1, 2, 5), 1), ((1, 3), 1), ((1,), 1), ((1,), 2), ((1,), 3)):
        ladder = [float(f"{factor}e{power}") for power in powers if power % apart == 0 for factor in factors]
        values = [value for value in ladder if low * (1 - 1e-9) <= value <= high * (1 + 1e-9)]
        if len(values) <= 5:
            break
    if len(values) < 3:
        return theme.ticks(float(low), float(high))
    return {"tickmode": "array", "tickvals": values, "ticktext": [f"{value:g}" for value in values]}


def _round_levels(kl: np.ndarray) -> np.ndarray:
    """Round KLs from near the optimum up: 1-2-5 numbers, or more where these are few."""
    least, most = max(float(kl.min()), 0.01), float(kl.max())
    levels: list[float] = []
    for factors in ((1, 2, 5), (1, 1.5, 2, 3, 5, 7)):
        ladder = [factor * 10.0**power for power in range(-3, 9) for factor in factors]
        levels = [level for level in ladder if 1.5 * least < level < most][:_MOST_LEVELS]
        if len(levels) >= 8:
            break
    return np.array(levels or [1.5 * least])


def _draw_contours(
    film: Film, means: np.ndarray, sds: np.ndarray, elbo: np.ndarray, log_evidence: float,
    names: tuple[str, str], decimals: int, colours: Tokens,
) -> None:  # fmt: skip
    kl = np.maximum(log_evidence - elbo, 1e-12)
    kl = np.nan_to_num(kl, nan=1e9, posinf=1e9)
    levels = _round_levels(kl)
    rungs = np.concatenate([[levels[0] / 2], levels, [levels[-1] * 2]])
    depth = len(levels) - np.interp(np.log(kl), np.log(rungs), np.arange(len(rungs)))
    line = {"width": 0.75, "color": fill(colours.posterior, 0.35)}
    shape = {"coloring": "fill", "start": 0, "end": len(levels) - 1, "size": 1}
    across, wide = (f"{name} %{{{axis}:.{decimals}f}}" for name, axis in zip(names, "xy", strict=True))
    told = f"{across}<br>{wide}<br>ELBO %{{customdata}}<extra></extra>"
    film.figure.add_trace(
        dict(type="contour",
            x=means.tolist(), y=sds.tolist(), z=np.round(depth, 4).tolist(), contours=shape, line=line,
            colorscale=[list(stop) for stop in colours.landscape], showscale=False, hovertemplate=told,
            customdata=[[number(value, 3) for value in row] for row in elbo.tolist()],
        )
    )  # fmt: skip


def _draw_way(film: Film, way: np.ndarray, colours: Tokens) -> None:
    """Another start's path, thin, with a small dot where it begins and a larger one where it ends."""
    way = way[np.isfinite(way).all(1) & (way[:, 1] > 0)]
    if not len(way):
        return
    sizes = [3.0, *[0.0] * (len(way) - 2), 6.0][-len(way) :]
    line = {"width": 1, "color": fill(colours.q_mark, 0.6)}
    marker = {"size": sizes, "color": colours.q_mark, "opacity": 1, "line": {"width": 1, "color": colours.bg}}
    trace = scatter(mode="lines+markers", line=line, marker=marker)
    moving(film, trace, way[None, :, 0], way[None, :, 1])


def _draw_path(
    film: Film, path: np.ndarray, across: list[float], upright: np.ndarray, colours: Tokens
) -> None:
    if len(path) < 2:
        return
    line = {"width": 2, "color": colours.q_mark}
    dots = {"size": 4 if len(path) <= 100 else 0.1, "color": colours.q_mark, "opacity": 1}
    trace = scatter(mode="lines+markers", line=line, marker=dots)
    moving(film, trace, path[None, :, 0], path[None, :, 1])
    ring = {"size": 9, "color": colours.bg, "opacity": 1, "line": {"width": 2, "color": colours.q_mark}}
    moving(film, scatter(mode="markers", marker=ring), path[None, :1, 0], path[None, :1, 1])
    x, y = float(path[0, 0]), float(np.log10(path[0, 1]))
    if not (across[0] <= x <= across[1] and upright[0] <= y <= upright[1]):
        return
    up = y < upright[0] + 0.13 * (upright[1] - upright[0])
    share = (x - across[0]) / (across[1] - across[0])
    anchor = "left" if share < 0.1 else "right" if share > 0.9 else "center"
    film.figure.add_annotation(
        x=x, y=y, text="start", xanchor=anchor, yshift=14 if up else -14, showarrow=False, font={"size": 11}
    )


def _draw_best(film: Film, best: tuple[float, float] | None, label: str, colours: Tokens) -> None:
    if best is None:
        return
    cross = {"symbol": "x-thin", "size": 11, "opacity": 1, "line": {"width": 2, "color": colours.text}}
    moving(film, scatter(mode="markers", marker=cross), *(np.array([[value]]) for value in best))
    place = {"xref": "paper", "yref": "paper", "x": 1, "y": 1, "xanchor": "right", "yanchor": "top"}
    film.figure.add_annotation(
        text=f"× {label}",
        showarrow=False,
        xshift=-6,
        yshift=-4,
        font={"size": 11},
        bgcolor=colours.bg,
        borderpad=1,
        **place,
    )


def _draw_here(
    film: Film, path: np.ndarray, across: list[float], upright: np.ndarray,
    names: tuple[str, str], decimals: int, colours: Tokens,
) -> None:  # fmt: skip
    """The ring at the current q; at the edge, with an arrow and its number, when it is off the picture."""
    x, y = path[:, 0], np.log10(np.maximum(path[:, 1], 1e-300))
    inside = _within(x, across[0], across[1]), 10.0 ** _within(y, float(upright[0]), float(upright[1]))
    ring = {"size": 12, "color": colours.bg, "opacity": 1, "line": {"width": 2.5, "color": colours.q_mark}}
    trace = scatter(mode="markers", marker=ring, cliponaxis=False)
    moving(film, trace, inside[0][:, None], inside[1][:, None])
    words = [_off(mean, sd, (across, upright), names, decimals) for mean, sd in path.tolist()]
    if not any(words):
        return
    late = inside[0] > np.mean(across)
    moves = {
        "text": words,
        "visible": [bool(word) for word in words],
        "x": inside[0].tolist(),
        "y": np.log10(inside[1]).tolist(),
        "yshift": [14 if value < np.mean(upright) else -14 for value in np.log10(inside[1])],
        "xanchor": ["right" if last else "left" for last in late],
    }
    font = {"size": 11, "color": colours.q_text}
    annotate(film, {"showarrow": False, "bgcolor": colours.bg, "borderpad": 1, "font": font}, moves)


def _within(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Held by a hair inside the axis: a mark beyond its end is not drawn."""
    hair = 1e-3 * (high - low)
    return np.clip(values, low + hair, high - hair)


def _off(
    mean: float, sd: float, ranges: tuple[list[float], np.ndarray], names: tuple[str, str], decimals: int
) -> str:
    """Such as "← mean −12.00" for a point beyond the axes, and nothing for one within."""
    (left, right), (low, high) = ranges
    words = []
    if not left <= mean <= right:
        told = f"{names[0]} {number(mean, decimals)}"
        words.append(f"← {told}" if mean < left else f"{told} →")
    if not 10.0**low * (1 - 1e-9) <= sd <= 10.0**high * (1 + 1e-9):
        words.append(f"{'↓' if sd < 10.0**low else '↑'} {names[1]} {sd:.2g}")
    return ", ".join(words)
