"""The bound over the iterations, rising to the log evidence; the gap between the two is the KL."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lvmviz.figures import theme
from lvmviz.figures.drawing import scatter
from lvmviz.figures.film import Film
from lvmviz.figures.marks import annotate, moving, ring
from lvmviz.figures.theme import Tokens, fill, number

HEIGHT = 186
_MARGIN = theme.Margin(l=50)
_NARROW = 235 - _MARGIN.l - _MARGIN.r  # px, the plot where it is narrowest
_PLAIN = 12.0  # nats: a gap of this size is never cut off


def trace(
    elbo: np.ndarray,
    log_evidence: float,
    *,
    others: np.ndarray | None = None,
    standard_errors: np.ndarray | None = None,
    climbed: np.ndarray | None = None,
    climbed_name: str = "",
    name: str = "ELBO",
    gap: str = "KL(q‖p)",
    decimals: int = 3,
    dark: bool = False,
    height: int = HEIGHT,
) -> Film:
    """ELBO (T,) under the exact log p, with other starts' (B, T) and a band of two standard errors (T,).

    `climbed` (T,) is what the optimizer climbs where that is not the ELBO: a dashed line, with its name. Few
    values far below the rest leave the picture, and the words say so.
    """
    colours = theme.tokens(dark)
    ceiling = _ceiling(elbo, log_evidence, standard_errors)
    beside = climbed[None] if others is None and climbed is not None else others
    low = log_evidence - 1.08 * _depth(elbo, log_evidence, beside)
    high = ceiling + 0.16 * (ceiling - low)
    right = max(len(elbo) - 1, 1)
    x = {"title": {"text": "iteration"}, "range": [-0.008 * right, 1.008 * right]}
    x |= theme.ticks(0, right, 4) if right >= 4 else {"dtick": 1}
    y = {"title": {"text": "nats"}, "range": [low, high], **_short_ticks(low, high)}
    margin = _MARGIN._replace(l=max(_MARGIN.l, 20 + 6 * max(map(_width, y["ticktext"]))))
    made = theme.figure(colours, height=height, margin=margin, uirevision="trace", xaxis=x, yaxis=y)
    film = Film(made, len(elbo))
    deep = low - 3 * (high - low)  # what is far below the picture need not be drawn there
    _draw_rise(film, np.maximum(elbo, deep), log_evidence, others, standard_errors, deep, colours)
    if climbed is not None:
        _draw_climbed(film, np.maximum(climbed, deep), (low, high), climbed_name, colours)
    kept = np.maximum(np.nan_to_num(elbo, nan=low, neginf=low), low)
    _draw_now(film, np.maximum(kept, low + 0.005 * (high - low)), (low, log_evidence), colours)
    _name_evidence(film, right, log_evidence, ceiling, decimals, colours)
    pixel = (height - _MARGIN.t - _MARGIN.b) / (high - low)
    if len(elbo) > 1:
        narrow = _NARROW + _MARGIN.l - margin.l
        _name_gap(film, pixel * (log_evidence - kept), log_evidence, gap, narrow, colours)
    texts = [_told(t, elbo, standard_errors, low, name, decimals) for t in range(len(elbo))]
    _name_elbo(film, texts, pixel * (kept - low), pixel * (high - low), colours)
    return film


def _short_ticks(low: float, high: float) -> dict[str, Any]:
    """Ticks of which the large ones are told in thousands, millions or powers of ten."""
    made = theme.ticks(low, high)
    most = max(map(abs, made["tickvals"]))
    power = 0 if most < 1e4 else 3 * int(math.log10(most) // 3)
    if power:
        unit = {3: "k", 6: "M"}.get(power, f"·10<sup>{power}</sup>")
        short = [f"{value / 10.0**power:g}".replace("-", "−") for value in made["tickvals"]]
        made["ticktext"] = [text if text == "0" else text + unit for text in short]
    return made


def _width(text: str) -> int:
    """Of a tick, in letters."""
    return len(text.replace("<sup>", "").replace("</sup>", ""))


def _depth(elbo: np.ndarray, log_evidence: float, others: np.ndarray | None) -> float:
    """How far below log p the axis reaches: to all values, unless a tenth of them would crush the rest."""
    every = elbo if others is None else np.concatenate([elbo, others.ravel()])
    gaps = log_evidence - every[np.isfinite(every)]
    deepest = float(gaps.max(initial=1e-6 * max(1.0, abs(log_evidence))))
    usual = max(float(np.quantile(gaps, 0.9)) if gaps.size else deepest, _PLAIN)
    return usual if deepest > 4 * usual else deepest


def _ceiling(elbo: np.ndarray, log_evidence: float, errors: np.ndarray | None) -> float:
    """The highest thing drawn: noise can lift an estimate above log p."""
    tops = elbo if errors is None else elbo + 2 * errors
    return float(np.max(tops, where=np.isfinite(tops), initial=log_evidence))


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
        _line(film, np.maximum(other, deep), 1, fill(colours.posterior, 0.45))
    if errors is not None:
        level, half = np.nan_to_num(elbo, nan=log_evidence), 2 * np.nan_to_num(errors, posinf=0.0)
        _area(film, x, level + half, level - half, fill(colours.posterior, 0.2))
    right = max(float(x[-1]), 1.0)
    blue = {"color": colours.posterior, "width": 2}
    moving(film, scatter(mode="lines", line=blue), np.array([[0.0, right]]), np.full((1, 2), log_evidence))
    _line(film, elbo, 2.5, colours.posterior)


def _area(film: Film, x: np.ndarray, upper: np.ndarray, lower: np.ndarray, colour: str) -> None:
    around = np.concatenate([x, x[::-1]])[None], np.concatenate([upper, lower[::-1]])[None]
    area = scatter(mode="lines", line={"width": 0}, fill="toself", fillcolor=colour)
    moving(film, area, *around)


def _line(film: Film, y: np.ndarray, width: float, colour: str) -> None:
    """A line over the iterations, broken where there is no number."""
    values = [value if np.isfinite(value) else None for value in y.tolist()]
    line = {"width": width, "color": colour}
    film.figure.add_trace(
        scatter(x=list(range(len(values))), y=values, mode="lines", line=line, hoverinfo="skip")
    )


def _draw_climbed(film: Film, y: np.ndarray, span: tuple[float, float], name: str, colours: Tokens) -> None:
    """The line of the objective, named where it ends, on the side of the ELBO that has more room."""
    values = [value if np.isfinite(value) else None for value in y.tolist()]
    dashed = {"width": 1.5, "color": colours.muted, "dash": "5px,4px"}
    film.figure.add_trace(
        scatter(x=list(range(len(y))), y=values, mode="lines", line=dashed, hoverinfo="skip")
    )
    at = float(np.clip(np.nan_to_num(y[len(y) // 3], nan=span[0], neginf=span[0]), *span))
    box = {"showarrow": False, "bgcolor": colours.bg, "borderpad": 1, "font": {"color": colours.muted}}
    place = {"x": len(y) // 3, "y": at, "xanchor": "left", "yanchor": "top", "yshift": -2}
    film.figure.add_annotation(text=name, **box, **place)


def _draw_now(film: Film, y: np.ndarray, span: tuple[float, float], colours: Tokens) -> None:
    """The dotted line and the ring at the step that is shown."""
    x = np.arange(len(y), dtype=float)
    dotted = {"width": 1.25, "color": colours.muted, "dash": "3px,3px"}
    moving(film, scatter(mode="lines", line=dotted), np.stack([x, x], 1), np.tile(span, (len(x), 1)))
    marks = scatter(mode="markers", marker=ring(colours), cliponaxis=False)
    moving(film, marks, x[:, None], y[:, None])


def _name_evidence(
    film: Film, right: float, log_evidence: float, ceiling: float, decimals: int, colours: Tokens
) -> None:
    word = f"log p(x) = {number(log_evidence, decimals)}"
    place = {"xanchor": "right", "xshift": -8, "yanchor": "bottom", "yshift": 1, "borderpad": 0}
    ink = {"color": colours.posterior}
    film.figure.add_annotation(x=right, y=ceiling, text=word, font=ink, showarrow=False, **place)


def _name_gap(
    film: Film, gaps: np.ndarray, log_evidence: float, word: str, narrow: float, colours: Tokens
) -> None:
    """In the gap (px) where it is tall and wide enough; else at its foot, beside the line."""
    fine = np.linspace(0.0, 1.0, 201)
    tall = np.interp(fine, np.linspace(0.0, 1.0, len(gaps)), gaps)
    wide = int(200 * (6.2 * len(word) + 4) / narrow)
    fits = [i for i in range(max(1, 201 - wide)) if tall[i : i + wide].min() >= 19]
    note = {"text": word, "font": {"color": colours.gap}, "showarrow": False, "xanchor": "left"}
    ground = {"bgcolor": fill(colours.bg, 0.8), "borderpad": 1}  # a line may pass there
    if fits:
        place = {"x": fine[fits[0]], "xshift": 3, "y": log_evidence, "yanchor": "top", "yshift": -2}
    else:
        foot = float(fine[np.argmax(tall < 0.75 * tall.max())])
        place = {"x": foot, "xshift": 6, "y": 0.02, "yref": "y domain", "yanchor": "bottom"}
    film.figure.add_annotation(**note, **place, xref="x domain", **ground)


def _told(t: int, elbo: np.ndarray, errors: np.ndarray | None, low: float, name: str, decimals: int) -> str:
    """Such as "ELBO −0.041 after 40"; with an error in two lines."""
    value = float(elbo[t])
    words = f"{name} {number(value, decimals)}{' ↓' if value < low else ''}"
    return (
        f"{words} after {t}"
        if errors is None
        else f"{words} ± {number(float(errors[t]), decimals)}<br>after {t}"
    )


def _name_elbo(film: Film, texts: list[str], heights: np.ndarray, room: float, colours: Tokens) -> None:
    """The number at the step that is shown, below the line where the plot is emptiest; heights in px."""
    under = float(heights[int(0.22 * len(heights)) :].min()) - 16.0
    place = {"xref": "x domain", "x": 0.6, "xanchor": "center", "yref": "y domain", "yanchor": "middle"}
    box = {"showarrow": False, "bgcolor": colours.bg, "borderpad": 1, "font": {"color": colours.posterior}}
    annotate(film, {**place, **box, "y": float(np.clip(under / room, 0.1, 0.5))}, {"text": texts})
