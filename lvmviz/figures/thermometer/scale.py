"""The vertical axis: which nats stand at its top, and how many of them it shows in every frame."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from lvmviz.figures import theme

FOOT, FADE = 6, 26  # where the bar ends below, and how far it fades: there is no zero
LONGEST = 1e6  # nats; a longer gap is cut off and marked with an arrow
SLOTS = 6  # ticks at most
SHUT = 1e-9  # nats; below it a gap is rounding
SECOND = 5.0  # a second q's gap has a say in the scale up to so many times the first's

# the term whose own height the second bar shows
LEVEL = {"I": ("joint",), "II": ("likelihood",), "III": (), "Σ": ("likelihood",)}


class Scale(NamedTuple):
    """The vertical axis of every frame."""

    top: np.ndarray  # (T,) nats at the bar's upper end
    span: np.ndarray  # (T,) nats from there down to the foot
    height: int  # px

    def pixels(self, nats: np.ndarray) -> np.ndarray:
        """Where values (T,) stand, px; what lies below the foot stands on it."""
        room = self.height - 10 - FOOT
        down = np.nan_to_num((self.top - nats) / self.span, nan=1.0, posinf=1.0, neginf=0.0)
        return FOOT + room * (1 - np.clip(down, 0.0, 1.0))


def measured(values: dict[str, np.ndarray], presentation: str, height: int) -> Scale:
    """The axis on which the gap, the levels and a second q's gap have room."""
    evidence, long = values["log_evidence"], is_long(values["kl"])
    shown = [values["elbo"], *(values[name] for name in LEVEL[presentation])]
    # what is off the picture has no say in its scale
    levels = np.stack([evidence, *(np.where(long | ~np.isfinite(row), evidence, row) for row in shown)])
    top, gaps = levels.max(0), np.where(long, 0.0, values["kl"])
    tallest = _with_second(gaps, values["second"]) if "second" in values else gaps
    needs = 2.2 * tallest if presentation == "III" else np.maximum(1.25 * (top - levels.min(0)), 2.2 * gaps)
    reach = np.zeros_like(top) if presentation == "III" else top - levels.min(0)
    return Scale(top, _spans(needs, reach, np.array([_finest(value) for value in top])), height)


def is_long(gap: np.ndarray) -> np.ndarray:
    """Whether a gap is cut off."""
    return np.abs(gap) > LONGEST


def _with_second(gaps: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The gap that the axis has to show: one so long that the first would vanish beside it is cut off."""
    second = np.where(is_long(second), 0.0, second)
    return np.maximum(gaps, np.where(gaps > SHUT, np.minimum(second, SECOND * gaps), second))


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


def ticks(top: float, span: float) -> tuple[list[float], list[str]]:
    """The places of the ticks and their words, `SLOTS` of each."""
    if math.isnan(top):
        return [0.0] * SLOTS, [""] * SLOTS
    made = theme.ticks(top - span, top, 5)
    spare = SLOTS - len(made["tickvals"])
    fitting = ["" if len(text.replace(".", "")) > 6 else text for text in made["ticktext"]]  # whole or not
    return (made["tickvals"] + [top] * spare)[:SLOTS], (fitting + [""] * spare)[:SLOTS]
