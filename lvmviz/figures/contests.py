"""The restart lottery: a dot for every restart, where it ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lvmviz.figures import theme
from lvmviz.figures.drawing import Drawing, scatter
from lvmviz.figures.theme import Margin, Tokens, number

HEIGHT = 146
WIDTH = 434  # px, the narrowest plot: dots that fit there fit everywhere
LANE = 5  # columns at least for those that have collapsed
COUNT = 12  # px for how many a stack has that is pressed together
SMALL = 4.0  # px, a dot in such a stack
_LOTTERY = Margin(l=16, r=16, t=24)
_SECOND_LINE = 14  # px


class Ends(NamedTuple):
    """Where the restarts are, by their seed."""

    height: np.ndarray  # (R,) nats per point, NaN where one has not begun and is not drawn
    optimum: np.ndarray  # (R,) 0 where it is the best, -1 where collapsed
    climbing: np.ndarray  # (R,) bool, it has not settled
    spike: np.ndarray  # (R,) bool, a component sits on the regularizer's floor
    told: Sequence[str]  # what each says on hover


class _Places(NamedTuple):
    """Where the dots are."""

    x: np.ndarray  # (R,)
    level: np.ndarray  # (R,) from the bottom, in dots
    pressed: dict[int, int]  # the optima whose dots overlap, and how many they are


def lottery(
    ends: Ends, shown: int, *, name: str, said: str, unsettled: str = "not settled", dark: bool = False,
    height: int = HEIGHT,
) -> Drawing:  # fmt: skip
    """A dot a restart, stacked where they end alike; `shown` is the seed on screen, `name` what x is.

    Those that reach the best are blue, and `said` is said of them; those that have not settled are hollow,
    and `unsettled` is said of these; red rings are spikes, whose height the regularizer decides; those that
    collapse stand apart on the right, as crosses. Every optimum is one column where it is: stacks that are
    too high are pressed together, and say how many they are.
    """
    colours = theme.tokens(dark)
    seeds = np.flatnonzero(np.isfinite(ends.height))
    told = [ends.told[seed] for seed in seeds.tolist()]
    parts = (ends.height, ends.optimum, ends.climbing, ends.spike)
    tops, optimum, climbing, spike = (part[seeds] for part in parts)
    ends = Ends(tops, optimum, climbing, spike, told)
    gone = ends.optimum < 0
    low, high = _range(ends.height[~gone])
    pitch = 6.0 if len(ends.height) <= 400 else 4.5
    margin = _LOTTERY._replace(t=_LOTTERY.t + _SECOND_LINE * bool((ends.climbing | gone).any()))
    room = height - margin.t - margin.b
    rows = int((room - COUNT) / pitch)
    lane = max(LANE, -(-int(gone.sum()) // rows) + 1) if gone.any() else 0
    cell = (high - low) / (int(WIDTH / pitch) - lane - 2)
    places = _places(ends, low, cell, high + 3.0 * cell, rows)
    axes = {
        "xaxis": {
            "title": {"text": name},
            "range": [low - cell, high + (lane + 1) * cell],
            **theme.ticks(low, high),
        },
        "yaxis": {"visible": False, "range": [-0.5, room / pitch - 0.5], "fixedrange": True},
    }
    drawing = theme.figure(colours, height=height, margin=margin, uirevision="lottery", **axes)
    _draw_dots(drawing, ends, seeds, places, pitch - 0.5, low, colours)
    _ring_shown(drawing, places, np.flatnonzero(seeds == shown), pitch + 6, colours)
    _count(drawing, ends, places, cell / pitch, colours)
    _say_what(drawing, ends, said, unsettled, high, colours)
    if gone.any():
        edge, line = high + 1.5 * cell, {"color": colours.border, "width": 1}
        drawing.add_shape(type="line", x0=edge, x1=edge, y0=0, y1=1, yref="paper", line=line)
    return drawing


def _say_what(drawing: Drawing, ends: Ends, said: str, unsettled: str, high: float, colours: Tokens) -> None:
    """The words above: what is best, and which dots are something else."""
    if not (ends.optimum < 0).all():
        _say(drawing, said, high, "right", colours.posterior, "x")
    if spikes := int(ends.spike.sum()):
        mark = f"<span style='color:{colours.gap}'>○</span>"
        what = "a spike" if spikes == 1 else "spikes"
        _say(drawing, f"{mark} {spikes} on the regularizer: {what}", 0.0, "left", colours.muted)
    if open_dots := int(ends.climbing.sum()):
        _say(drawing, f"○ {open_dots} {unsettled}", 0.0, "left", colours.muted, lift=_SECOND_LINE)
    if gone := int((ends.optimum < 0).sum()):
        _say(drawing, f"✕ {gone} collapse", 1.0, "right", colours.gap, lift=_SECOND_LINE)


def _ring_shown(drawing: Drawing, places: _Places, at: np.ndarray, size: float, colours: Tokens) -> None:
    """A ring round the seed on screen, if it is among them."""
    line = {"width": 2, "color": colours.text}
    marker = {"size": size, "symbol": "circle-open", "line": line, "opacity": 1, "color": colours.text}
    for dot in at.tolist():
        x, y = [places.x[dot]], [places.level[dot]]
        spot = scatter(x=x, y=y, mode="markers", marker=marker, hoverinfo="skip")
        drawing.add_trace({**spot, "cliponaxis": False})


def _range(height: np.ndarray) -> tuple[float, float]:
    """From where to where the axis goes: all of them, but for a few that are far below."""
    if not len(height):
        return -1.0, 0.0
    best, least, few = float(height.max()), float(height.min()), float(np.quantile(height, 0.03))
    low = few if best - least > 4.0 * (best - few) > 0.0 else least
    size = max(best - low, 4e-3)
    return best - 1.04 * size, best + 0.06 * size


def _places(ends: Ends, low: float, cell: float, lane: float, rows: int) -> _Places:
    """Every optimum is a column over its mean height; what has collapsed fills columns from `lane` on."""
    x, level, pressed = np.zeros(len(ends.height)), np.zeros(len(ends.height)), {}
    gone = ends.optimum < 0
    order = np.arange(gone.sum())
    x[gone], level[gone] = lane + (order // rows) * cell, order % rows
    sizes = {one: int((ends.optimum == one).sum()) for one in np.unique(ends.optimum[~gone]).tolist()}
    for one in sorted(sizes, key=lambda one: -sizes[one]):  # the largest stand on the ground
        dots = np.flatnonzero(ends.optimum == one)
        at = max(float(ends.height[dots].mean()), low)
        near = (np.abs(x - at) < cell) & np.isin(ends.optimum, list(pressed))
        free = np.setdiff1d(np.arange(rows), level[near].round())
        fits = len(dots) <= len(free)
        x[dots] = at
        level[dots] = free[: len(dots)] if fits else np.linspace(0.0, rows - 1.0, len(dots))
        pressed[one] = 0 if fits else len(dots)
    return _Places(x, level, {one: count for one, count in pressed.items() if count > 1})


def _count(drawing: Drawing, ends: Ends, places: _Places, pixel: float, colours: Tokens) -> None:
    """How many there are in the stacks that are pressed together; of neighbours in one line."""
    spots = sorted((float(places.x[ends.optimum == one][0]), count) for one, count in places.pressed.items())
    groups: list[list[tuple[float, int]]] = []
    for spot in spots:
        if groups and spot[0] - groups[-1][-1][0] < 26 * pixel:
            groups[-1].append(spot)
        else:
            groups.append([spot])
    for group in groups:
        x = float(np.mean([at for at, _ in group]))
        note = {
            "x": x,
            "y": places.level.max() + 0.5,
            "xanchor": "center",
            "yanchor": "bottom",
            "borderpad": 0,
        }
        text = " · ".join(str(count) for _, count in group)
        drawing.add_annotation(text=text, showarrow=False, font={"color": colours.muted, "size": 10}, **note)


def _draw_dots(
    drawing: Drawing, ends: Ends, seeds: np.ndarray, places: _Places, size: float, low: float,
    colours: Tokens,
) -> None:  # fmt: skip
    inks = {0: colours.posterior, -1: colours.gap}
    ink = [
        colours.gap if spike else inks.get(one, colours.muted)
        for one, spike in zip(ends.optimum.tolist(), ends.spike.tolist(), strict=True)
    ]
    symbols = np.where(ends.climbing | ends.spike, "circle-open", "circle")
    symbols = np.where(ends.height < low, "triangle-left", symbols)
    symbols = np.where(ends.optimum < 0, "x-thin", symbols).tolist()
    sizes = np.where(np.isin(ends.optimum, list(places.pressed)), SMALL, size)
    sizes = np.where(ends.optimum < 0, size - 1.5, sizes).tolist()
    opacity = np.where(ends.spike, 0.75, 1.0).tolist()
    line = {"width": 1, "color": ink}
    marker = {"size": sizes, "color": ink, "symbol": symbols, "opacity": opacity, "line": line}
    x, y = places.x.tolist(), places.level.tolist()
    dots = scatter(x=x, y=y, mode="markers", marker=marker, cliponaxis=False)
    told = {"hovertext": list(ends.told), "hoverinfo": "text", "customdata": seeds.tolist()}
    drawing.add_trace({**dots, **told})


def _say(
    drawing: Drawing, text: str, x: float, anchor: str, ink: str, ref: str = "paper", lift: int = 0
) -> None:
    place = {"xref": ref, "yref": "paper", "x": x, "y": 1.0, "xanchor": anchor, "yanchor": "bottom"}
    drawing.add_annotation(text=text, showarrow=False, font={"color": ink}, yshift=2 + lift, **place)


def ends_here(seed: int, height: float, iterations: int, same: int, count: int, climbing: bool,
              spike: bool = False) -> str:  # fmt: skip
    """What a restart says on hover."""
    after = f"seed {seed}: {number(height, 4)} after {iterations} iteration{'s' * (iterations != 1)}"
    if spike:
        after += "<br>a component sits on the regularizer: a spike"
    if climbing:
        return f"{after}, not settled yet"
    return f"{after}<br>{same} of {count} end here"
