"""The ticks and the bars."""

from __future__ import annotations

from typing import Any

import numpy as np

from lvmviz.figures import theme
from lvmviz.figures.thermometer.scale import FADE, FOOT, LEVEL, SLOTS, is_long, ticks
from lvmviz.figures.thermometer.stage import AWAY, BAR, GUTTER, SPACE, THIN, Stage

SECOND_HATCH = {**theme.HATCH, "shape": "x", "size": 6, "solidity": 0.2}


def draw_ticks(stage: Stage) -> None:
    """The axis in the gutter."""
    scale, colours = stage.scale, stage.colours
    frames = [ticks(top, span) for top, span in zip(scale.top, scale.span, strict=True)]
    at, texts = np.array([values for values, _ in frames]), [words for _, words in frames]
    y = np.stack([scale.pixels(column) for column in at.T], 1)
    shown = np.array([[bool(text) for text in words] for words in texts])
    y = np.where(shown & (y > FOOT + 3), y, AWAY)
    font = {"size": 11, "color": colours.muted}
    words = {"x": [GUTTER - 4.0] * SLOTS, "mode": "text", "textposition": "middle left", "textfont": font}
    stage.add(words, y, texts)
    marks = {"symbol": "line-ew", "size": 4, "line": {"width": 1, "color": colours.border}}
    stage.add({"x": [GUTTER - 2.0] * SLOTS, "mode": "markers", "marker": marks}, y)


def draw_bar(stage: Stage) -> None:
    """The first bar: the ELBO, and the gap above it."""
    lower = stage.elbo()
    _faded(stage, GUTTER, BAR, lower)
    _box(stage, GUTTER, BAR, lower, stage.pixels("log_evidence"), stage.colours.gap, theme.HATCH)
    _arrow(stage, GUTTER + BAR / 2, 13, is_long(stage.values["kl"]))


def draw_second(stage: Stage) -> None:
    """The second bar: another q's ELBO, and its gap; the arrow says that it goes on below the foot."""
    left, lower = GUTTER + BAR + SPACE, stage.elbo("second_elbo", "second")
    _faded(stage, left, THIN, lower)
    _box(stage, left, THIN, lower, stage.pixels("log_evidence"), stage.colours.gap, SECOND_HATCH)
    _arrow(stage, left + THIN / 2, 10, lower <= FOOT)


def draw_parts(stage: Stage) -> None:
    """The second bar: what the ELBO is made of."""
    left, elbo = GUTTER + BAR + SPACE, stage.elbo()
    level = stage.pixels(LEVEL[stage.presentation][0])
    low, high = np.minimum(elbo, level), np.maximum(elbo, level)
    _faded(stage, left, THIN, low)
    if stage.presentation == "I":  # entropy is q's own: outlined, not filled
        _box(stage, left, THIN, low, high, stage.colours.q_mark, None)
    else:
        _box(stage, left, THIN, low, high, stage.colours.prior, theme.HATCH)


def draw_evidence(stage: Stage) -> None:
    """The line across the top."""
    y = np.where(np.isfinite(stage.values["log_evidence"]), stage.pixels("log_evidence"), AWAY)
    line = {"width": 2, "color": stage.colours.posterior}
    stage.add({"x": [GUTTER - 4, stage.right() + 4], "mode": "lines", "line": line}, np.stack([y, y], 1))


def _faded(stage: Stage, left: int, width: int, upper: np.ndarray) -> None:
    """A solid bar whose foot fades: the axis has no zero."""
    blue = stage.colours.posterior
    scale = [[0.0, theme.fill(blue, 0)], [1.0, theme.fill(blue, 0.78)]]
    gradient = {"type": "vertical", "colorscale": scale, "start": FOOT, "stop": FOOT + FADE}
    foot = np.full_like(upper, FOOT)
    shape = {"mode": "lines", "line": {"width": 0}, "fill": "toself", "fillgradient": gradient}
    x = [left, left, left + width, left + width]
    stage.add({"x": x, **shape}, np.stack([foot, upper, upper, foot], 1))


def _box(
    stage: Stage,
    left: int,
    width: int,
    low: np.ndarray,
    high: np.ndarray,
    colour: str,
    hatch: dict[str, Any] | None,
) -> None:
    """An outlined piece of a bar; a piece without height is not drawn."""
    none = high - low < 0.01
    low, high = np.where(none, AWAY, low), np.where(none, AWAY - 10, high)
    outline = 1.0 if hatch else 2.0
    sides = left + outline / 2, left + width - outline / 2
    style = {"mode": "lines", "line": {"width": outline, "color": colour}}
    if hatch:
        pattern = {**hatch, "fgcolor": colour, "bgcolor": theme.fill(colour, 0.2), "fgopacity": 1}
        style |= {"fill": "toself", "fillpattern": pattern}
    x = [sides[0], sides[0], sides[1], sides[1], sides[0]]
    stage.add({"x": x, **style}, np.stack([low, high, high, low, low], 1))


def _arrow(stage: Stage, x: float, size: int, shown: np.ndarray) -> None:
    """At the foot of a bar that is cut off."""
    rim = {"width": 2, "color": stage.colours.bg}
    arrow = {"symbol": "triangle-down", "size": size, "color": stage.colours.gap, "line": rim}
    stage.add({"x": [x], "mode": "markers", "marker": arrow}, np.where(shown, FOOT + 5.0, AWAY)[:, None])
