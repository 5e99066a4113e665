"""The words of a one-dimensional fit: beside what they name, inside the picture, not on each other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from lvmviz.figures.film import Film
from lvmviz.figures.marks import annotate
from lvmviz.figures.theme import Tokens, fill, number

_ROWS = 16.0  # px, a line of words
_LETTERS = (6.6, *(5.8,) * 5)  # px, a letter of the first line, and of the smaller others
_RISES, _AWAY = (0.0, 18.0, 36.0, 54.0), (13.0, 45.0, 77.0)  # px, how far words go to be free
_FLANK = 0.8  # of the axis or of a peak: where words stand beside a curve

Box = tuple[float, float, float, float]  # left, right, bottom, top, px
Line = tuple[np.ndarray, np.ndarray]  # x and y of a curve, px


class Panel(NamedTuple):
    """The main panel: its z, the end of its density axis, and its least width and height, px."""

    low: float
    high: float
    top: float
    wide: float  # what is apart here is apart in every wider picture
    room: float

    def px(self, x: Any, y: Any) -> tuple[Any, Any]:
        """Where a point falls, px from the lower left corner."""
        return (x - self.low) / (self.high - self.low) * self.wide, y / self.top * self.room


class _Spot(NamedTuple):
    """A place for words: how plotly is told, and the box they fill."""

    how: dict[str, Any]
    box: Box


def _spot(panel: Panel, size: tuple[float, float], at: float, mid: float, anchor: str, shift: float) -> _Spot:
    wide, tall = size
    left = at + shift - {"left": 0.0, "center": 0.5, "right": 1.0}[anchor] * wide
    x = panel.low + at / panel.wide * (panel.high - panel.low)
    how = {"x": x, "y": mid / panel.room * panel.top, "xanchor": anchor, "xshift": shift}
    return _Spot(how, (left, left + wide, mid - 0.5 * tall, mid + 0.5 * tall))


def _size(lines: Sequence[str]) -> tuple[float, float]:
    """Of words whose first line is larger than the others."""
    wide = (per * len(line) for per, line in zip(_LETTERS, lines, strict=False))
    return max(wide), _ROWS * len(lines)


def _around(panel: Panel, x: tuple[float, float], y: float, lines: Sequence[str]) -> list[_Spot]:
    """Right of a peak whose sides are x, left of it, above it, the nearest first; then the upper corners."""
    size = _, tall = _size(lines)
    corner = panel.room - 0.5 * tall - 2
    (left, right), height = panel.px(np.array(x), min(y, panel.top))
    beside, over = height + 0.5 * tall + 4, height + 0.5 * tall + 12
    spots = []
    for rise, away in sorted(product(_RISES, _AWAY), key=sum):
        spots.append(_spot(panel, size, right, min(beside + rise, corner), "left", away))
        spots.append(_spot(panel, size, left, min(beside + rise, corner), "right", -away))
        if away == _AWAY[0]:
            spots.append(_spot(panel, size, 0.5 * (left + right), min(over + rise, corner), "center", 0))
    return [
        *spots,
        _spot(panel, size, panel.wide, corner, "right", 0),
        _spot(panel, size, 0.0, corner, "left", 6),
    ]


def _best(panel: Panel, spots: Sequence[_Spot], taken: Sequence[Box], hill: Line | None = None) -> _Spot:
    """The first free place, or else the first with the least overlap; what lies on a hill is not free."""

    def cost(spot: _Spot) -> float:
        left, right, bottom, top = spot.box
        out = max(0.0, -left) + max(0.0, right - panel.wide)
        over = sum(
            max(0.0, min(right, box[1]) - max(left, box[0]))
            * max(0.0, min(top, box[3]) - max(bottom, box[2]))
            for box in taken
        )
        return 20.0 * out + over + (200.0 if hill is not None and _covered(spot.box, hill) else 0.0)

    least, best = math.inf, spots[0]
    for spot in spots:
        if (now := cost(spot)) < least:
            least, best = now, spot
        if not least:
            break
    return best


def _covered(box: Box, hill: Line) -> bool:
    """Whether a curve, or what is filled below it, comes under the box."""
    left, right, bottom, _ = box
    x, y = hill
    return bool((y[(x > left) & (x < right)] > bottom).any())


def _crossed(box: Box, curve: Line) -> bool:
    left, right, bottom, top = box
    x, y = curve
    return bool(((x > left) & (x < right) & (y > bottom) & (y < top)).any())


def _near_half(spot: _Spot) -> Box:
    """What the words cover where the picture is widest, twice as wide as it can be."""
    left, right, bottom, top = spot.box
    middle = 0.5 * (left + right)
    return (middle, right, bottom, top) if spot.how["xanchor"] == "right" else (left, middle, bottom, top)


def _small(lines: Sequence[str], colours: Tokens) -> str:
    """The first line as it is, the others small and muted."""
    style = f"font-size:11px;color:{colours.muted}"
    return "<br>".join([lines[0], *(f'<span style="{style}">{line}</span>' for line in lines[1:])])


def boxed(colours: Tokens) -> dict[str, Any]:
    """Words over marks."""
    return {
        "showarrow": False,
        "yanchor": "middle",
        "align": "left",
        "bgcolor": fill(colours.bg, 0.8),
        "borderpad": 1,
    }


# ---- the three densities ----


def name_posterior(
    film: Film, panel: Panel, truth: Line, second: Line | None, word: str, colours: Tokens
) -> Box:
    """Outside a flank; q does not count, or the words would jump when it passes."""
    x, y = truth
    peak, size = float(y.max()), _size([word])
    spots = []
    for level in (0.45, 0.6, 0.3, 0.75):
        left, right = _sides(x, y, level * peak)
        sides = [(left, "right", -13), (right, "left", 13)]
        for flank, anchor, shift in sorted(sides, key=lambda side: abs(side[0] - float(x[y.argmax()]))):
            spots.append(_spot(panel, size, flank, level * peak, anchor, shift))
    free = [spot for spot in spots if second is None or not _crossed(_near_half(spot), second)]
    spot = _best(panel, free or spots, [], truth)
    ink = {"color": colours.posterior}
    film.figure.add_annotation(text=word, font=ink, **boxed(colours), **spot.how)
    return spot.box


def name_joint(film: Film, panel: Panel, truth: Line, label: str, colours: Tokens) -> None:
    """In the lower corner where the posterior is not, the right one if it can."""
    size, mid = _size([label])[0] * 5.8 / 6.6, 0.06 * panel.room
    corners = [
        _spot(panel, (size, _ROWS), panel.wide, mid, "right", -2),
        _spot(panel, (size, _ROWS), 0.0, mid, "left", 6),
    ]
    spot = _best(panel, corners, [], truth)
    ink = {"size": 11, "color": colours.posterior}
    film.figure.add_annotation(text=label, font=ink, **boxed(colours), **spot.how)


def _sides(x: np.ndarray, y: np.ndarray, level: float) -> tuple[float, float]:
    """Where a curve last is this high."""
    high = np.flatnonzero(y >= level)
    return float(x[high[0]]), float(x[high[-1]])


def name_second(
    film: Film,
    panel: Panel,
    x: np.ndarray,
    y: np.ndarray,
    label: str,
    guess: bool,
    taken: Box,
    colours: Tokens,
) -> Box:
    """Beside the top of the second q."""
    lines = label.split("\n")[: 1 if guess else None]
    top = float(y.max())
    if top > panel.top:
        lines.append(_peak(top, guess))
    level = min(top, panel.top) * _FLANK
    sides = _sides(x, y, level)
    spot = _best(panel, _around(panel, sides, level, lines), [taken])
    ink = {"color": colours.q_text}
    film.figure.add_annotation(text=_small(lines, colours), font=ink, **boxed(colours), **spot.how)
    return spot.box


def _peak(height: float, guess: bool) -> str:
    return "↑" if guess else f"peak {height:.3g} ↑"


def name_q(
    film: Film,
    panel: Panel,
    curves: Sequence[Line],
    labels: Sequence[str],
    guess: bool,
    truth: Line,
    taken: Sequence[Box],
    colours: Tokens,
) -> None:
    """The words that follow q, whose x and y in every frame are `curves`; arrows when its top is off."""
    moves: dict[str, list[Any]] = {key: [] for key in ("text", "x", "y", "xanchor", "xshift")}
    for (x, y), label in zip(curves, labels, strict=True):
        lines = label.split("\n")
        lines = lines[0].split(" = ")[:1] if guess else lines
        at, top = float(x[y.argmax()]), float(y.max())
        sides = at, at
        if top > panel.top:
            lines.append(_peak(top, guess))
            sides = _sides(x, y, _FLANK * panel.top)
        if not panel.low <= at <= panel.high:
            lines[0] = f"← {lines[0]}" if at < panel.low else f"{lines[0]} →"
            edge = panel.low if at < panel.low else panel.high
            sides, top = (edge, edge), 0.6 * panel.top
        spot = _best(panel, _around(panel, sides, top, lines), taken, truth)
        for key, value in {"text": _small(lines, colours), **spot.how}.items():
            moves[key].append(value)
    annotate(film, {"font": {"color": colours.q_text}, **boxed(colours)}, moves)


# ---- the strip ----


def name_strip(
    film: Film, kl: Sequence[float], y: float, decimals: int, guess: bool, colours: Tokens
) -> None:
    """What the strip shows, between the panels where no curve can cross the words."""
    place = {"xref": "paper", "yref": "paper", "y": y, "yanchor": "bottom", "showarrow": False}
    small = {"size": 11, "color": colours.muted}
    area = "q log(q/p), area = KL"
    words = [area if guess else f"{area} = {number(size, decimals)}" for size in kl]
    annotate(film, {**place, "x": 0, "xanchor": "left", "xshift": 4, "font": small}, {"text": words})
    signs = f'<span style="color:{colours.gap}">+ q above p</span>\u2003− q below p'
    film.figure.add_annotation(text=signs, x=1, xanchor="right", font=small, **place)


def name_cut(
    film: Film, z: np.ndarray, integrand: np.ndarray, level: float, guess: bool, colours: Tokens
) -> None:
    """How high the integrand goes in the frames where the strip, which ends at `level`, cuts it off."""
    highest = integrand.max(1)
    if not (highest > level).any():
        return
    late = z[integrand.argmax(1)] > 0.5 * (z[0] + z[-1])
    sides = [_sides(z, row, min(0.6 * level, float(row.max()))) for row in integrand]
    moves = {
        "text": [_peak(size, guess) for size in highest.tolist()],
        "visible": (highest > level).tolist(),
        "x": [side[0 if last else 1] for side, last in zip(sides, late, strict=True)],
        "xanchor": ["right" if last else "left" for last in late],
        "xshift": [-8 if last else 8 for last in late],
    }
    note = {**boxed(colours), "yref": "y2", "y": 0.6 * level, "font": {"size": 11, "color": colours.gap}}
    annotate(film, note, moves)
