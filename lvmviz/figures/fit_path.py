"""The way a fit takes: over the landscape of the ELBO, and over the iterations up to the log evidence."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go

from lvmviz.figures import theme
from lvmviz.figures.bounds import _annotate, _moving, _ring
from lvmviz.figures.film import Film
from lvmviz.figures.theme import Tokens, fill, number

HEIGHT = 186
_MARGIN = theme.Margin(l=50)
_NARROW = 235 - _MARGIN.l - _MARGIN.r  # px, the plot where it is narrowest
_MOST_LEVELS = 9


# ---- the landscape ----


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
    names: tuple[str, str] = ("mean of q", "sd of q"),
    dark: bool = False,
    height: int = HEIGHT,
) -> Film:
    """ELBO (S, M) over means (M,) and sds (S,), the path (T, 2) over it, and other starts' (B, T, 2).

    The contours are at round KLs (1, 2, 5 times powers of ten), closest together near the optimum.
    """
    colours = theme.tokens(dark)
    across, upright = [float(means[0]), float(means[-1])], np.log10([float(sds[0]), float(sds[-1])])
    x = {"title": {"text": names[0]}, "range": across, **theme.ticks(*across, 6)}
    y = {"title": {"text": names[1]}, "type": "log", "range": upright.tolist(), **_log_ticks(float(sds[0]), float(sds[-1]))}
    made = theme.figure(colours, height=height, margin=_MARGIN, uirevision="landscape", xaxis=x, yaxis=y)
    film = Film(made, len(path))
    _draw_contours(film, means, sds, elbo, log_evidence, colours)
    for way in [] if others is None else others:
        _draw_way(film, way, colours)
    _draw_path(film, path, across, upright, colours)
    _draw_best(film, best, best_label, colours)
    _draw_here(film, path, across, upright, colours)
    return film


def _log_ticks(low: float, high: float) -> dict[str, Any]:
    """Three to five powers of one number, or 1-2-5 numbers when the axis is short."""
    for base in (2.0, 4.0, 10.0, 100.0):
        first, last = np.ceil(np.log(low) / np.log(base) - 1e-9), np.floor(np.log(high) / np.log(base) + 1e-9)
        values = [float(base**power) for power in np.arange(first, last + 1)]
        if len(values) <= 5:
            break
    if len(values) < 3:
        return theme.ticks(float(low), float(high))
    return {"tickmode": "array", "tickvals": values, "ticktext": [f"{value:g}" for value in values]}


def _round_levels(kl: np.ndarray) -> np.ndarray:
    """1-2-5 numbers from near the optimum up, not more than the eye can tell apart."""
    least, most = max(float(kl.min()), 0.01), float(kl.max())
    ladder = [factor * 10.0**power for power in range(-3, 9) for factor in (1, 2, 5)]
    levels = [level for level in ladder if level > 1.5 * least and level < most] or [1.5 * least]
    return np.array(levels[:_MOST_LEVELS])


def _draw_contours(
    film: Film, means: np.ndarray, sds: np.ndarray, elbo: np.ndarray, log_evidence: float, colours: Tokens
) -> None:
    kl = np.maximum(log_evidence - elbo, 1e-12)
    kl = np.nan_to_num(kl, nan=1e9, posinf=1e9)
    levels = _round_levels(kl)
    rungs = np.concatenate([[levels[0] / 2], levels, [levels[-1] * 2]])
    depth = len(levels) - np.interp(np.log(kl), np.log(rungs), np.arange(len(rungs)))
    line = {"width": 0.75, "color": fill(colours.posterior, 0.35)}
    shape = {"coloring": "fill", "start": 0, "end": len(levels) - 1, "size": 1}
    told = f"{_told('mean')}<br>{_told('sd', 'y')}<br>ELBO %{{customdata}}<extra></extra>"
    film.figure.add_trace(
        go.Contour(
            x=means.tolist(), y=sds.tolist(), z=np.round(depth, 4).tolist(), contours=shape, line=line,
            colorscale=[list(stop) for stop in colours.landscape], showscale=False, hovertemplate=told,
            customdata=[[number(value, 3) for value in row] for row in elbo.tolist()],
        )
    )  # fmt: skip


def _told(name: str, axis: str = "x") -> str:
    return f"{name} %{{{axis}:.2f}}"


def _draw_way(film: Film, way: np.ndarray, colours: Tokens) -> None:
    """Another start's path, thin, with a dot where it ends."""
    way = way[np.isfinite(way).all(1) & (way[:, 1] > 0)]
    if not len(way):
        return
    sizes = [0.0] * (len(way) - 1) + [6.0]
    line = {"width": 1, "color": fill(colours.q_mark, 0.6)}
    marker = {"size": sizes, "color": colours.q_mark, "opacity": 1, "line": {"width": 1, "color": colours.bg}}
    trace = go.Scatter(mode="lines+markers", line=line, marker=marker)
    _moving(film, trace, way[None, :, 0], way[None, :, 1])


def _draw_path(
    film: Film, path: np.ndarray, across: list[float], upright: np.ndarray, colours: Tokens
) -> None:
    if len(path) < 2:
        return
    line = {"width": 2, "color": colours.q_mark}
    dots = {"size": 4 if len(path) <= 100 else 0.1, "color": colours.q_mark, "opacity": 1}
    trace = go.Scatter(mode="lines+markers", line=line, marker=dots)
    _moving(film, trace, path[None, :, 0], path[None, :, 1])
    ring = {"size": 9, "color": colours.bg, "opacity": 1, "line": {"width": 2, "color": colours.q_mark}}
    _moving(film, go.Scatter(mode="markers", marker=ring), path[None, :1, 0], path[None, :1, 1])
    x, y = float(path[0, 0]), float(np.log10(path[0, 1]))
    if not (across[0] <= x <= across[1] and upright[0] <= y <= upright[1]):
        return
    up = y < upright[0] + 0.2 * (upright[1] - upright[0])
    share = (x - across[0]) / (across[1] - across[0])
    anchor = "left" if share < 0.1 else "right" if share > 0.9 else "center"
    film.figure.add_annotation(
        x=x, y=y, text="start", xanchor=anchor, yshift=15 if up else -15, showarrow=False, font={"size": 11}
    )


def _draw_best(film: Film, best: tuple[float, float] | None, label: str, colours: Tokens) -> None:
    if best is None:
        return
    cross = {"symbol": "x-thin", "size": 11, "opacity": 1, "line": {"width": 2, "color": colours.text}}
    _moving(film, go.Scatter(mode="markers", marker=cross), *(np.array([[value]]) for value in best))
    place = {"xref": "paper", "yref": "paper", "x": 1, "y": 1, "xanchor": "right", "yanchor": "top"}
    film.figure.add_annotation(
        text=f"× {label}", showarrow=False, xshift=-6, yshift=-4, font={"size": 11}, **place
    )


def _draw_here(
    film: Film, path: np.ndarray, across: list[float], upright: np.ndarray, colours: Tokens
) -> None:
    """The ring at the current q; at the edge, with an arrow and its number, when it is off the picture."""
    x, y = path[:, 0], np.log10(np.maximum(path[:, 1], 1e-300))
    inside = np.clip(x, across[0], across[1]), 10.0 ** np.clip(y, upright[0], upright[1])
    ring = {"size": 12, "color": colours.bg, "opacity": 1, "line": {"width": 2.5, "color": colours.q_mark}}
    trace = go.Scatter(mode="markers", marker=ring, cliponaxis=False)
    _moving(film, trace, inside[0][:, None], inside[1][:, None])
    words = [_off(mean, sd, (across, upright)) for mean, sd in path.tolist()]
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
    _annotate(film, {"showarrow": False, "bgcolor": colours.bg, "borderpad": 1, "font": font}, moves)


def _off(mean: float, sd: float, ranges: tuple[list[float], np.ndarray]) -> str:
    """Such as "← mean −12.00" for a point beyond the axes, and nothing for one within."""
    (left, right), (low, high) = ranges
    words = []
    if not left <= mean <= right:
        words.append(f"← mean {number(mean, 2)}" if mean < left else f"mean {number(mean, 2)} →")
    if not 10.0**low * (1 - 1e-9) <= sd <= 10.0**high * (1 + 1e-9):
        words.append(f"{'↓' if sd < 10.0**low else '↑'} sd {sd:.2g}")
    return ", ".join(words)


# ---- over the iterations ----


def trace(
    elbo: np.ndarray,
    log_evidence: float,
    *,
    others: np.ndarray | None = None,
    standard_errors: np.ndarray | None = None,
    name: str = "ELBO",
    gap: str = "KL(q‖p)",
    decimals: int = 3,
    dark: bool = False,
    height: int = HEIGHT,
) -> Film:
    """ELBO (T,) under the exact log p, with other starts' (B, T) and a band of two standard errors (T,).

    Few values far below the rest leave the picture, and the words say so.
    """
    colours = theme.tokens(dark)
    low, high = _range(elbo, log_evidence, others)
    right = max(len(elbo) - 1, 1)
    x = {"title": {"text": "iteration"}, "range": [-0.008 * right, 1.008 * right]}
    x |= theme.ticks(0, right, 4) if right >= 4 else {"dtick": 1}
    y = {"title": {"text": "nats"}, "range": [low, high], **theme.ticks(low, high)}
    made = theme.figure(colours, height=height, margin=_MARGIN, uirevision="trace", xaxis=x, yaxis=y)
    film = Film(made, len(elbo))
    deep = low - 3 * (high - low)
    _draw_rise(film, np.clip(elbo, deep, None), log_evidence, others, standard_errors, deep, colours)
    room = (height - _MARGIN.t - _MARGIN.b) / (high - low)  # px a nat
    kept = np.clip(np.nan_to_num(elbo, nan=low, neginf=low), low, None)
    _draw_now(film, kept, (low, high), colours)
    _name_evidence(film, right, log_evidence, decimals, colours)
    if len(elbo) > 1:
        _name_gap(film, (log_evidence - kept) * room, log_evidence, gap, colours)
    _name_elbo(film, elbo, standard_errors, (kept - low) * room, low, height, (name, decimals), colours)
    return film


def _range(elbo: np.ndarray, log_evidence: float, others: np.ndarray | None) -> tuple[float, float]:
    """All values, unless a tenth of them would take more than three quarters of the axis."""
    every = elbo if others is None else np.concatenate([elbo, others.ravel()])
    gaps = log_evidence - every[np.isfinite(every)]
    if not gaps.size:
        return log_evidence - 1.0, log_evidence + 0.16
    size, usual = float(gaps.max()), float(np.quantile(gaps, 0.9))
    size = usual if size > 4 * usual > 0 else size
    size = max(size, 1e-6 * max(1.0, abs(log_evidence)))
    return log_evidence - 1.08 * size, log_evidence + max(0.16 * size, -1.08 * float(gaps.min()))


def _draw_rise(
    film: Film,
    elbo: np.ndarray,
    log_evidence: float,
    others: np.ndarray | None,
    errors: np.ndarray | None,
    deep: float,
    colours: Tokens,
) -> None:
    x, top = np.arange(len(elbo), dtype=float), np.full(len(elbo), log_evidence)
    _area(film, x, top, np.nan_to_num(elbo, nan=log_evidence), fill(colours.gap, 0.12))
    for other in [] if others is None else others:
        _line(film, np.clip(other, deep, None), 1, fill(colours.posterior, 0.45))
    if errors is not None:
        level, half = np.nan_to_num(elbo, nan=log_evidence), 2 * np.nan_to_num(errors, posinf=0.0)
        _area(film, x, level + half, level - half, fill(colours.posterior, 0.2))
    right = max(float(x[-1]), 1.0)
    blue = {"color": colours.posterior, "width": 2}
    _moving(
        film, go.Scatter(mode="lines", line=blue), np.array([[0.0, right]]), np.full((1, 2), log_evidence)
    )
    _line(film, elbo, 2.5, colours.posterior)


def _area(film: Film, x: np.ndarray, upper: np.ndarray, lower: np.ndarray, colour: str) -> None:
    around = np.concatenate([x, x[::-1]])[None], np.concatenate([upper, lower[::-1]])[None]
    area = go.Scatter(mode="lines", line={"width": 0}, fill="toself", fillcolor=colour)
    _moving(film, area, *around)


def _line(film: Film, y: np.ndarray, width: float, colour: str) -> None:
    """A line over the iterations, broken where there is no number."""
    values = [value if np.isfinite(value) else None for value in y.tolist()]
    line = {"width": width, "color": colour}
    film.figure.add_trace(
        go.Scatter(x=list(range(len(values))), y=values, mode="lines", line=line, hoverinfo="skip")
    )


def _draw_now(film: Film, y: np.ndarray, span: tuple[float, float], colours: Tokens) -> None:
    """The dotted line and the ring at the step that is shown."""
    x = np.arange(len(y), dtype=float)
    dotted = {"width": 1.25, "color": colours.muted, "dash": "3px,3px"}
    _moving(film, go.Scatter(mode="lines", line=dotted), np.stack([x, x], 1), np.tile(span, (len(x), 1)))
    marks = go.Scatter(mode="markers", marker=_ring(colours), cliponaxis=False)
    _moving(film, marks, x[:, None], y[:, None])


def _name_evidence(film: Film, right: float, log_evidence: float, decimals: int, colours: Tokens) -> None:
    word = f"log p(x) = {number(log_evidence, decimals)}"
    place = {"xanchor": "right", "yanchor": "bottom", "yshift": 1, "borderpad": 0}
    ink = {"color": colours.posterior}
    film.figure.add_annotation(x=right, y=log_evidence, text=word, font=ink, showarrow=False, **place)


def _name_gap(film: Film, gaps: np.ndarray, log_evidence: float, word: str, colours: Tokens) -> None:
    """In the gap where it is tall and wide enough; else at its foot, beside the line."""
    share = np.linspace(0.0, 1.0, len(gaps))
    fine = np.linspace(0.0, 1.0, 201)
    tall = np.interp(fine, share, gaps)
    wide = int(200 * (6.6 * len(word) + 6) / _NARROW)
    fits = [i for i in range(max(1, 201 - wide)) if tall[i : i + wide].min() >= 20]
    note = {"text": word, "font": {"color": colours.gap}, "showarrow": False, "xanchor": "left"}
    if fits:
        place = {"x": fine[fits[0]], "xref": "x domain", "y": log_evidence, "yanchor": "top", "yshift": -4}
    else:
        foot = float(fine[np.argmax(tall < 0.75 * tall.max())])
        place = {"x": foot, "xref": "x domain", "y": 0.02, "yref": "y domain", "yanchor": "bottom"}
    film.figure.add_annotation(**note, **place, xshift=6)


def _name_elbo(
    film: Film,
    elbo: np.ndarray,
    errors: np.ndarray | None,
    heights: np.ndarray,
    low: float,
    height: int,
    words: tuple[str, int],
    colours: Tokens,
) -> None:
    """The number at the step that is shown, below the line where the plot is emptiest."""
    name, decimals = words
    texts = []
    for t, value in enumerate(elbo.tolist()):
        told = f"{name} {number(value, decimals)}{' ↓' if value < low else ''}"
        more = "" if errors is None else f" ± {number(float(errors[t]), decimals)}<br>"
        texts.append(f"{told}{more or ' '}after {t}")
    room = height - _MARGIN.t - _MARGIN.b
    under = heights[int(0.22 * len(heights)) :].min() - 14.0
    place = {"xref": "x domain", "x": 0.6, "yref": "y domain", "y": float(np.clip(under / room, 0.09, 0.5))}
    note = {"showarrow": False, "bgcolor": fill(colours.bg, 0.8), "borderpad": 1, "xanchor": "center"}
    _annotate(
        film, {**note, **place, "yanchor": "middle", "font": {"color": colours.posterior}}, {"text": texts}
    )
