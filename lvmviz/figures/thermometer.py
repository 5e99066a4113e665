"""The evidence thermometer: log p at the top, the ELBO filled up to its height, the gap hatched between them.

Everything is computed in pixels, y upwards, so that bars, labels and leaders keep their distances.
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
AWAY = -50.0  # px, below the picture: where marks wait until they are needed
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
# the term whose own height the second bar shows
_LEVEL = {"I": ("joint",), "II": ("likelihood",), "III": (), "Σ": ("likelihood",)}
# how the terms add up: to the ELBO in I and II, to the evidence in Σ; words, as −KL above a number misreads
_SIGNS = {
    "I": {"entropy": "plus ", "elbo": "= "},
    "II": {"kl_prior": "minus ", "elbo": "= "},
    "III": {},
    "Σ": {"kl_prior": "minus ", "elbo": "= ", "kl": "plus ", "log_evidence": "= "},
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


class _Stage(NamedTuple):
    """What every mark needs to be drawn."""

    film: Film
    scale: _Scale
    values: dict[str, np.ndarray]  # each term (T,), nats
    presentation: Presentation
    colours: theme.Tokens

    def pixels(self, name: str) -> np.ndarray:
        """Where a term stands (T,), px."""
        return self.scale.pixels(self.values[name])

    def elbo(self) -> np.ndarray:
        """The ELBO's height (T,), px: a gap that is not zero keeps at least its least thickness."""
        upper, gap = self.pixels("log_evidence"), self.values["kl"]
        lower = np.where(gap > SHUT, np.minimum(self.pixels("elbo"), upper - THINNEST), upper)
        return np.where(_is_long(gap), float(FOOT), lower)

    def right(self) -> int:
        """Where the bars end and the leaders begin, px."""
        return GUTTER + BAR + (0 if self.presentation == "III" else SPACE + THIN)

    def moving(self, trace: go.Scatter, y: np.ndarray) -> int:
        """Add a trace whose heights (T, n) change from frame to frame; its number."""
        self.film.figure.add_trace(trace.update(y=np.round(y[0], 3).tolist(), hoverinfo="skip"))
        index = self.film.last()
        self.film.numbers(index, "y", y)
        return index


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
    told = {name: np.array([getattr(term, name) for term in terms]) for name in Decomposition._fields}
    known = np.isfinite(told["log_evidence"])  # without evidence there is nothing to measure from
    values = {name: np.where(known, column, np.nan) for name, column in told.items()}
    colours = theme.tokens(dark)
    film = Film(theme.pixels(colours, width=WIDTH, height=height), len(terms))
    stage = _Stage(film, _scale(values, presentation, height), values, presentation, colours)
    _draw_ticks(stage)
    _draw_bar(stage)
    if presentation != "III":
        _draw_parts(stage)
    y = _draw_labels(stage, {**NAMES, **(names or {})})
    _draw_evidence(stage)
    _draw_numbers(stage, told, y, decimals)
    return film


# ---- the axis ----


def _scale(values: dict[str, np.ndarray], presentation: Presentation, height: int) -> _Scale:
    evidence, long = values["log_evidence"], _is_long(values["kl"])
    shown = [values["elbo"], *(values[name] for name in _LEVEL[presentation])]
    # what is off the picture has no say in its scale
    levels = np.stack([evidence, *(np.where(long | ~np.isfinite(row), evidence, row) for row in shown)])
    top, gaps = levels.max(0), np.where(long, 0.0, values["kl"])
    needs = 2.2 * gaps if presentation == "III" else np.maximum(1.25 * (top - levels.min(0)), 2.2 * gaps)
    reach = np.zeros_like(top) if presentation == "III" else top - levels.min(0)
    return _Scale(top, _spans(needs, reach, np.array([_finest(value) for value in top])), height)


def _is_long(gap: np.ndarray) -> np.ndarray:
    return np.abs(gap) > LONGEST


def _spans(needs: np.ndarray, reach: np.ndarray, finest: np.ndarray) -> np.ndarray:
    """1, 2 or 5 times a power of ten, kept while the gap is 8 to 60 % of the bar and all levels fit.

    A closed gap says nothing about the scale, so it leaves it alone.
    """
    open_ = needs[needs > SHUT]
    span, spans = theme.at_least(float(open_[0]) if len(open_) else 1.0), []
    for need, far, least in zip(needs, reach, finest, strict=True):
        if need > SHUT and not 0.08 <= need / 2.2 / span <= 0.60 or far > 0.95 * span:
            span = theme.at_least(float(need))
        span = max(span, least)
        spans.append(span)
    return np.array(spans)


def _finest(value: float) -> float:
    """The smallest span whose tick labels still fit into the gutter."""
    digits = len(f"{abs(value):.0f}")
    return 5.0 * 10.0 ** -max(0, 4 - digits)


def _draw_ticks(stage: _Stage) -> None:
    scale, colours = stage.scale, stage.colours
    frames = [_ticks(top, span) for top, span in zip(scale.top, scale.span, strict=True)]
    at, texts = np.array([values for values, _ in frames]), [words for _, words in frames]
    y = np.stack([scale.pixels(column) for column in at.T], 1)
    shown = np.array([[bool(text) for text in words] for words in texts])
    y = np.where(shown & (y > FOOT + 3), y, AWAY)
    x = np.full(SLOTS, GUTTER - 4.0)
    font = {"size": 11, "color": colours.muted}
    words = go.Scatter(x=x.tolist(), mode="text", text=texts[0], textposition="middle left", textfont=font)
    stage.film.values(stage.moving(words, y), "text", texts)
    marks = {"symbol": "line-ew", "size": 4, "line": {"width": 1, "color": colours.border}}
    stage.moving(go.Scatter(x=(x + 2).tolist(), mode="markers", marker=marks), y)


def _ticks(top: float, span: float) -> tuple[list[float], list[str]]:
    if math.isnan(top):
        return [0.0] * SLOTS, [""] * SLOTS
    made = theme.ticks(top - span, top, 5)
    spare = SLOTS - len(made["tickvals"])
    fitting = ["" if len(text.replace(".", "")) > 6 else text for text in made["ticktext"]]  # whole or not
    return (made["tickvals"] + [top] * spare)[:SLOTS], (fitting + [""] * spare)[:SLOTS]


# ---- the bars ----


def _draw_bar(stage: _Stage) -> None:
    lower, colours = stage.elbo(), stage.colours
    _faded(stage, GUTTER, BAR, lower)
    _box(stage, GUTTER, BAR, lower, stage.pixels("log_evidence"), colours.gap, hatched=True)
    rim = {"width": 2, "color": colours.bg}
    arrow = {"symbol": "triangle-down", "size": 13, "color": colours.gap, "line": rim}
    y = np.where(_is_long(stage.values["kl"]), FOOT + 5.0, AWAY)[:, None]
    stage.moving(go.Scatter(x=[GUTTER + BAR / 2], mode="markers", marker=arrow), y)


def _draw_parts(stage: _Stage) -> None:
    """The second bar: what the ELBO is made of."""
    left, elbo = GUTTER + BAR + SPACE, stage.elbo()
    level = stage.pixels(_LEVEL[stage.presentation][0])
    low, high = np.minimum(elbo, level), np.maximum(elbo, level)
    _faded(stage, left, THIN, low)
    if stage.presentation == "I":  # entropy is q's own: outlined, not filled
        _box(stage, left, THIN, low, high, stage.colours.q_mark, hatched=False)
    else:
        _box(stage, left, THIN, low, high, stage.colours.prior, hatched=True)


def _faded(stage: _Stage, left: int, width: int, upper: np.ndarray) -> None:
    """A solid bar whose foot fades: the axis has no zero."""
    blue = stage.colours.posterior
    scale = [[0.0, theme.fill(blue, 0)], [1.0, theme.fill(blue, 0.78)]]
    gradient = {"type": "vertical", "colorscale": scale, "start": FOOT, "stop": FOOT + FADE}
    foot = np.full_like(upper, FOOT)
    x = [left, left, left + width, left + width]
    shape = go.Scatter(x=x, mode="lines", line={"width": 0}, fill="toself", fillgradient=gradient)
    stage.moving(shape, np.stack([foot, upper, upper, foot], 1))


def _box(
    stage: _Stage, left: int, width: int, low: np.ndarray, high: np.ndarray, colour: str, *, hatched: bool
) -> None:
    """An outlined piece of a bar; a piece without height is not drawn."""
    none = high - low < 0.01
    low, high = np.where(none, AWAY, low), np.where(none, AWAY - 10, high)
    outline = 1.0 if hatched else 2.0
    sides = left + outline / 2, left + width - outline / 2
    pattern = {**theme.HATCH, "fgcolor": colour, "bgcolor": theme.fill(colour, 0.2), "fgopacity": 1}
    filling: dict[str, Any] = {"fill": "toself", "fillpattern": pattern} if hatched else {}
    x = [sides[0], sides[0], sides[1], sides[1], sides[0]]
    shape = go.Scatter(x=x, mode="lines", line={"width": outline, "color": colour}, **filling)
    stage.moving(shape, np.stack([low, high, high, low, low], 1))


def _draw_evidence(stage: _Stage) -> None:
    """The line across the top."""
    y = np.where(np.isfinite(stage.values["log_evidence"]), stage.pixels("log_evidence"), AWAY)
    line = {"width": 2, "color": stage.colours.posterior}
    stage.moving(go.Scatter(x=[GUTTER - 4, stage.right() + 4], mode="lines", line=line), np.stack([y, y], 1))


# ---- the labels ----


def _draw_labels(stage: _Stage, names: Mapping[str, str]) -> np.ndarray:
    """The terms' names and their leaders; the names' heights (T, n)."""
    terms, anchors, inks = _LABELS[stage.presentation], _anchors(stage), _inks(stage.colours)
    at = np.stack([anchors[name] for name in terms], 1)
    y = _apart(at, stage.scale.height)
    for i, name in enumerate(terms):
        left = GUTTER + BAR if name == "kl" else stage.right()  # the gap is the first bar's
        x = [left + 2, *(stage.right() + step for step in (9, 22, 29))]
        leader = go.Scatter(x=x, mode="lines", line={"width": 1.25, "color": inks[name][0]})
        stage.moving(leader, np.stack([at[:, i], at[:, i], y[:, i], y[:, i]], 1))
    words = [_SIGNS[stage.presentation].get(name, "") + names[name] for name in terms]
    font = {"size": 12, "color": [inks[name][1] for name in terms]}
    stage.moving(_text(stage, words, font), y)
    return y


def _draw_numbers(stage: _Stage, told: dict[str, np.ndarray], y: np.ndarray, decimals: int) -> None:
    """The live numbers under the names at heights `y`."""
    muted, ink = stage.colours.muted, stage.colours.text
    unit = f'<span style="font-size:11px;font-weight:400;color:{muted}"> nats</span>'
    rows = np.stack([told[name] for name in _LABELS[stage.presentation]], 1).tolist()
    numbers = [[_told(value, decimals) + unit for value in row] for row in rows]
    text = _text(stage, numbers[0], {"size": 17, "color": ink, "weight": 600})
    stage.film.values(stage.moving(text, y - 18), "text", numbers)


def _text(stage: _Stage, words: list[str], font: dict[str, Any]) -> go.Scatter:
    x = [stage.right() + 31.0] * len(words)
    return go.Scatter(x=x, mode="text", text=words, textposition="middle right", textfont=font)


def _anchors(stage: _Stage) -> dict[str, np.ndarray]:
    """The height each label points at, px: a line's own, a piece's middle."""
    evidence, elbo = stage.pixels("log_evidence"), stage.elbo()
    made = {"log_evidence": evidence, "kl": (evidence + elbo) / 2, "elbo": elbo}
    for name in _LEVEL[stage.presentation]:
        made[name] = stage.pixels(name)
        made["entropy" if name == "joint" else "kl_prior"] = (made[name] + elbo) / 2
    return made


def _apart(anchors: np.ndarray, height: int) -> np.ndarray:
    """Label heights (T, n) near their anchors, in the same order, at least `APART` apart and inside."""
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


def _inks(colours: theme.Tokens) -> dict[str, tuple[str, str]]:
    """The colour of each term's mark and of its name."""
    made = dict.fromkeys(NAMES, (colours.posterior, colours.posterior))
    made["kl"] = colours.gap, colours.gap
    return made | {"entropy": (colours.q_mark, colours.q_text), "kl_prior": (colours.prior, colours.muted)}


def _told(value: float, decimals: int) -> str:
    """A number that fits: past a hundred thousand its decimals say nothing."""
    return theme.number(value, decimals if abs(value) < 1e5 else 0)
