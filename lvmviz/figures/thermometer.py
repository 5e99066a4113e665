"""The evidence thermometer: log p at the top, the ELBO filled up to its height, the gap hatched between them.

Everything is computed in pixels, y upwards, so that bars, labels and leaders keep their distances at any number.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import plotly.graph_objects as go

from lvmviz.divergences import Decomposition
from lvmviz.figures import theme
from lvmviz.figures.film import Film

Presentation = Literal["I", "II", "III", "Σ"]

WIDTH = 240
GUTTER, BAR, SPACE, THIN = 40, 44, 8, 16  # ticks, the bar, the distance to the second bar, the second bar
FOOT, FADE = 6, 26  # where the bar ends below, and how far it fades: there is no zero
APART = 38  # least distance of two labels
THINNEST = 2.0  # a gap that is not zero is never drawn thinner
LONGEST = 1e6  # nats; a longer gap is cut off and marked with an arrow
SLOTS = 6  # ticks at most
SHUT = 1e-9  # nats; below it a gap is rounding

NAMES = {
    "log_evidence": "log p(x)",
    "elbo": "ELBO",
    "kl": "KL(q‖p)",
    "joint": "E[log p(x, z)]",
    "entropy": "entropy H(q)",
    "likelihood": "E[log p(x|z)]",
    "kl_prior": "KL to prior",
}
_LABELS = {
    "I": ("log_evidence", "kl", "elbo", "entropy", "joint"),
    "II": ("likelihood", "kl_prior", "log_evidence", "kl", "elbo"),
    "III": ("log_evidence", "kl", "elbo"),
    "Σ": ("likelihood", "kl_prior", "log_evidence", "kl", "elbo"),
}
# how the terms add up: to the ELBO in I and II, to the evidence in Σ; words, as −KL above a number misreads
_SIGNS = {
    "I": {"entropy": "plus ", "elbo": "= "},
    "II": {"kl_prior": "minus ", "elbo": "= "},
    "III": {},
    "Σ": {"kl_prior": "minus ", "kl": "plus ", "log_evidence": "= "},
}


class _Scale(NamedTuple):
    """The vertical axis of every frame."""

    top: np.ndarray  # (T,) nats at the bar's upper end
    span: np.ndarray  # (T,) nats from there down to the foot
    height: int  # px

    def pixels(self, nats: np.ndarray) -> np.ndarray:
        """Where values (T,) stand, px; what lies below the foot stands on it."""
        room = self.height - 10 - FOOT
        down = np.nan_to_num((self.top - nats) / self.span, nan=1.0, posinf=1.0, neginf=0.0)
        return FOOT + room * (1 - np.clip(down, 0.0, 1.0))


def thermometer(
    terms: Sequence[Decomposition],
    *,
    presentation: Presentation = "III",
    decimals: int = 3,
    dark: bool = False,
    height: int = 240,
    names: Mapping[str, str] | None = None,
) -> Film:
    """One frame for each decomposition, nats; `names` replaces the words for its fields.

    III: evidence - KL; I: joint + entropy; II: likelihood - KL to the prior; Σ: likelihood - KL to the prior
    + KL to the posterior = evidence.
    """
    colours = theme.tokens(dark)
    told = {name: np.array([getattr(term, name) for term in terms]) for name in Decomposition._fields}
    known = np.isfinite(told["log_evidence"])  # without evidence there is nothing to measure from
    values = {name: np.where(known, column, np.nan) for name, column in told.items()}
    scale = _scale(values, presentation, height)
    film = Film(theme.pixels(colours, width=WIDTH, height=height), len(terms))
    _draw_ticks(film, scale, colours)
    _draw_bar(film, scale, values, colours)
    if presentation != "III":
        _draw_parts(film, scale, values, presentation, colours)
    _draw_evidence(film, scale, values, presentation, colours)
    y = _draw_labels(film, scale, values, presentation, {**NAMES, **(names or {})}, colours)
    _draw_numbers(film, told, y, presentation, decimals, colours)
    return film


# ---- the axis ----


def _scale(values: dict[str, np.ndarray], presentation: Presentation, height: int) -> _Scale:
    evidence, long = values["log_evidence"], _is_long(values["kl"])
    shown = [values["elbo"], *(values[name] for name in _level(presentation))]
    # what is off the picture has no say in its scale
    levels = np.stack([evidence, *(np.where(long | ~np.isfinite(row), evidence, row) for row in shown)])
    top, gaps = levels.max(0), np.where(long, 0.0, values["kl"])
    needs = 2.2 * gaps if presentation == "III" else np.maximum(1.25 * (top - levels.min(0)), 2.2 * gaps)
    return _Scale(top, _spans(needs, np.array([_finest(value) for value in top])), height)


def _level(presentation: Presentation) -> tuple[str, ...]:
    """The term whose own height the second bar shows."""
    return {"I": ("joint",), "II": ("likelihood",), "III": (), "Σ": ("likelihood",)}[presentation]


def _is_long(gap: np.ndarray) -> np.ndarray:
    return np.abs(gap) > LONGEST


def _spans(needs: np.ndarray, finest: np.ndarray) -> np.ndarray:
    """1, 2 or 5 times a power of ten, changed only when the gap leaves 8 to 60 % of the bar.

    A closed gap says nothing about the scale, so it leaves it alone.
    """
    open_ = needs > SHUT
    first = needs[np.argmax(open_)] if open_.any() else 1.0
    span, spans = theme.at_least(float(first)), []
    for need, least in zip(needs, finest, strict=True):
        if need > SHUT and not 0.08 <= need / 2.2 / span <= 0.60:
            span = theme.at_least(float(need))
        span = max(span, least)
        spans.append(span)
    return np.array(spans)


def _finest(value: float) -> float:
    """The smallest span whose tick labels still fit into the gutter."""
    digits = len(f"{abs(value):.0f}")
    return 5.0 * 10.0 ** -max(0, 4 - digits)


def _draw_ticks(film: Film, scale: _Scale, colours: theme.Tokens) -> None:
    frames = [_ticks(top, span) for top, span in zip(scale.top, scale.span, strict=True)]
    y = np.stack([scale.pixels(np.array([[tick[i]] for tick, _ in frames])[:, 0]) for i in range(SLOTS)], 1)
    shown = np.array([[bool(text) for text in texts] for _, texts in frames])
    y = np.where(shown & (y > FOOT + 3), y, -50.0)
    texts = [labels for _, labels in frames]
    x = [GUTTER - 4.0] * SLOTS
    font = {"size": 11, "color": colours.muted}
    text = go.Scatter(x=x, mode="text", text=texts[0], textposition="middle left", textfont=font)
    film.values(_moving(film, text, y), "text", texts)
    marks = {"symbol": "line-ew", "size": 4, "line": {"width": 1, "color": colours.border}}
    _moving(film, go.Scatter(x=[v + 2 for v in x], mode="markers", marker=marks), y)


def _ticks(top: float, span: float) -> tuple[list[float], list[str]]:
    if math.isnan(top):
        return [0.0] * SLOTS, [""] * SLOTS
    made = theme.ticks(top - span, top, 5)
    spare = SLOTS - len(made["tickvals"])
    return (made["tickvals"] + [top] * spare)[:SLOTS], (made["ticktext"] + [""] * spare)[:SLOTS]


# ---- the bars ----


def _draw_bar(film: Film, scale: _Scale, values: dict[str, np.ndarray], colours: theme.Tokens) -> None:
    upper = scale.pixels(values["log_evidence"])
    lower = _elbo_pixels(scale, values)
    _faded(film, GUTTER, BAR, lower, colours)
    _box(film, GUTTER, BAR, lower, upper, colours.gap, hatched=True, outline=1.0)
    long = _is_long(values["kl"])
    arrow = {
        "symbol": "triangle-down",
        "size": 13,
        "color": colours.gap,
        "line": {"width": 2, "color": colours.bg},
    }
    y = np.where(long, FOOT + 5.0, -50.0)[:, None]
    _moving(film, go.Scatter(x=[GUTTER + BAR / 2], mode="markers", marker=arrow), y)


def _elbo_pixels(scale: _Scale, values: dict[str, np.ndarray]) -> np.ndarray:
    """The bar's height, px: a gap that is not zero keeps at least its least thickness."""
    upper, lower = scale.pixels(values["log_evidence"]), scale.pixels(values["elbo"])
    lower = np.where(values["kl"] > SHUT, np.minimum(lower, upper - THINNEST), upper)
    return np.where(_is_long(values["kl"]), float(FOOT), lower)


def _draw_parts(
    film: Film,
    scale: _Scale,
    values: dict[str, np.ndarray],
    presentation: Presentation,
    colours: theme.Tokens,
) -> None:
    """The second bar: what the ELBO is made of."""
    left = GUTTER + BAR + SPACE
    elbo, level = _elbo_pixels(scale, values), scale.pixels(values[_level(presentation)[0]])
    low, high = np.minimum(elbo, level), np.maximum(elbo, level)
    _faded(film, left, THIN, low, colours)
    if presentation == "I":  # entropy is q's own: outlined, not filled
        _box(film, left, THIN, low, high, colours.q_mark, hatched=False, outline=2.0)
    else:
        _box(film, left, THIN, low, high, colours.prior, hatched=True, outline=1.0)


def _faded(film: Film, left: int, width: int, upper: np.ndarray, colours: theme.Tokens) -> None:
    """A solid bar whose foot fades: the axis has no zero."""
    scale = [[0.0, theme.fill(colours.posterior, 0)], [1.0, theme.fill(colours.posterior, 0.78)]]
    gradient = {"type": "vertical", "colorscale": scale, "start": FOOT, "stop": FOOT + FADE}
    y = np.stack([np.full_like(upper, FOOT), upper, upper, np.full_like(upper, FOOT)], 1)
    x = [left, left, left + width, left + width]
    shape = go.Scatter(x=x, mode="lines", line={"width": 0}, fill="toself", fillgradient=gradient)
    _moving(film, shape, y)


def _box(
    film: Film,
    left: int,
    width: int,
    low: np.ndarray,
    high: np.ndarray,
    colour: str,
    *,
    hatched: bool,
    outline: float,
) -> None:
    """An outlined piece of a bar; a piece without height is not drawn."""
    none = high - low < 0.01
    low, high = np.where(none, -50.0, low), np.where(none, -60.0, high)
    inset = outline / 2
    x = [left + inset, left + inset, left + width - inset, left + width - inset, left + inset]
    pattern = {**theme.HATCH, "fgcolor": colour, "bgcolor": theme.fill(colour, 0.2), "fgopacity": 1}
    filling: dict[str, Any] = {"fill": "toself", "fillpattern": pattern} if hatched else {}
    line = {"width": outline, "color": colour}
    y = np.stack([low, high, high, low, low], 1)
    _moving(film, go.Scatter(x=x, mode="lines", line=line, **filling), y)


def _draw_evidence(
    film: Film,
    scale: _Scale,
    values: dict[str, np.ndarray],
    presentation: Presentation,
    colours: theme.Tokens,
) -> None:
    y = np.where(np.isfinite(values["log_evidence"]), scale.pixels(values["log_evidence"]), -50.0)
    line = {"width": 2, "color": colours.posterior}
    x = [GUTTER - 4, _right(presentation) + 4]
    _moving(film, go.Scatter(x=x, mode="lines", line=line), np.stack([y, y], 1))


def _right(presentation: Presentation) -> int:
    """Where the bars end and the leaders begin."""
    return GUTTER + BAR + (0 if presentation == "III" else SPACE + THIN)


# ---- the labels ----


def _draw_labels(
    film: Film,
    scale: _Scale,
    values: dict[str, np.ndarray],
    presentation: Presentation,
    names: Mapping[str, str],
    colours: theme.Tokens,
) -> np.ndarray:
    """The terms' names and their leaders; the names' heights (T, n)."""
    terms, right = _LABELS[presentation], _right(presentation)
    anchors = _anchors(scale, values, presentation)
    at = np.stack([anchors[name] for name in terms], 1)
    y, inks = _apart(at, scale.height), _inks(colours)
    for i, name in enumerate(terms):
        left = GUTTER + BAR if name == "kl" else right  # the gap is the first bar's
        _leader(film, left, right, at[:, i], y[:, i], inks[name][0])
    words = [_SIGNS[presentation].get(name, "") + names[name] for name in terms]
    font = {"size": 12, "color": [inks[name][1] for name in terms]}
    _moving(film, _text(presentation, words, font), y)
    return y


def _draw_numbers(
    film: Film,
    told: dict[str, np.ndarray],
    y: np.ndarray,
    presentation: Presentation,
    decimals: int,
    colours: theme.Tokens,
) -> None:
    """The live numbers under the names at heights `y`."""
    unit = f'<span style="font-size:11px;font-weight:400;color:{colours.muted}"> nats</span>'
    rows = np.stack([told[name] for name in _LABELS[presentation]], 1).tolist()
    numbers = [[_told(value, decimals) + unit for value in row] for row in rows]
    text = _text(presentation, numbers[0], {"size": 17, "color": colours.text, "weight": 600})
    film.values(_moving(film, text, y - 18), "text", numbers)


def _text(presentation: Presentation, words: list[str], font: dict[str, Any]) -> go.Scatter:
    x = [_right(presentation) + 31.0] * len(words)
    return go.Scatter(x=x, mode="text", text=words, textposition="middle right", textfont=font)


def _anchors(
    scale: _Scale, values: dict[str, np.ndarray], presentation: Presentation
) -> dict[str, np.ndarray]:
    """The height each label points at, px: a line's own, a piece's middle."""
    evidence, elbo = scale.pixels(values["log_evidence"]), _elbo_pixels(scale, values)
    made = {"log_evidence": evidence, "kl": (evidence + elbo) / 2, "elbo": elbo}
    for name in _level(presentation):
        made[name] = scale.pixels(values[name])
        made["entropy" if name == "joint" else "kl_prior"] = (made[name] + elbo) / 2
    return {name: made[name] for name in _LABELS[presentation]}


def _apart(anchors: np.ndarray, height: int) -> np.ndarray:
    """Label heights (T, n) near their anchors, in the same order, at least `APART` from each other and inside."""
    order = np.argsort(-np.round(anchors), axis=1, kind="stable")
    y = np.minimum(np.take_along_axis(anchors, order, 1), height - 9.0)
    for i in range(1, y.shape[1]):
        y[:, i] = np.minimum(y[:, i], y[:, i - 1] - APART)
    y[:, -1] = np.maximum(y[:, -1], 28.0)
    for i in range(y.shape[1] - 2, -1, -1):
        y[:, i] = np.maximum(y[:, i], y[:, i + 1] + APART)
    placed = np.empty_like(y)
    np.put_along_axis(placed, order, y, 1)
    return placed


def _leader(film: Film, left: int, right: int, at: np.ndarray, y: np.ndarray, colour: str) -> None:
    x = [left + 2, right + 9, right + 22, right + 29]
    line = {"width": 1.25, "color": colour}
    _moving(film, go.Scatter(x=x, mode="lines", line=line), np.stack([at, at, y, y], 1))


def _inks(colours: theme.Tokens) -> dict[str, tuple[str, str]]:
    """The colour of each term's mark and of its name."""
    blue, grey = (colours.posterior, colours.posterior), (colours.prior, colours.muted)
    orange, red = (colours.q_mark, colours.q_text), (colours.gap, colours.gap)
    first = {"log_evidence": blue, "elbo": blue, "joint": blue, "likelihood": blue}
    return {**first, "entropy": orange, "kl_prior": grey, "kl": red}


def _told(value: float, decimals: int) -> str:
    """A number that fits: past a hundred thousand its decimals say nothing."""
    return theme.number(value, decimals if math.isinf(value) or abs(value) < 1e5 else 0)


def _moving(film: Film, trace: go.Scatter, y: np.ndarray) -> int:
    """Add a trace whose heights (T, n) change from frame to frame; its number."""
    trace.update(y=np.round(y[0], 3).tolist(), hoverinfo="skip")
    film.figure.add_trace(trace)
    index = len(film.figure.data) - 1
    film.numbers(index, "y", y)
    return index
