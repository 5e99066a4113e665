"""Below the violins: the variance of every estimator over a range, and twenty climbs of one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from lvmviz.figures import theme
from lvmviz.figures.drawing import Drawing, scatter
from lvmviz.figures.film import Film
from lvmviz.figures.gradients import told
from lvmviz.figures.marks import moving, ring
from lvmviz.figures.theme import Margin, Tokens, fill

HEIGHT = 186
_MARGIN = Margin(l=48, r=66, t=8, b=34)
_DEEP = 1e-8  # of the largest variance: what is lower stands at the foot
_APART = 12  # px between two names
_RUNS = Margin(l=52, t=8)


class Curve(NamedTuple):
    """One estimator's variance."""

    name: str
    colour: str
    y: np.ndarray  # (X,) nan where nobody knows
    measured: float  # at `now`; nan where there is none


def variance(
    x: np.ndarray, curves: Sequence[Curve], now: float, *, axis: str, log: bool, dark: bool = False,
    height: int = HEIGHT,
) -> Drawing:  # fmt: skip
    """The exact variance of one draw over x (X,), and as rings what was measured at `now`."""
    colours = theme.tokens(dark)
    low, high = _decades(curves)
    made = theme.figure(
        colours,
        height=height,
        margin=_MARGIN,
        xaxis={"title": {"text": axis}, **_across(x, log)},
        yaxis={"type": "log", "range": [low, high], "title": {"text": "variance of a draw"},
               **_powers(low, high)},
        uirevision="variance",
    )  # fmt: skip
    made.add_shape(type="line", x0=now, x1=now, yref="paper", y0=0, y1=1, layer="below",
                   line={"color": colours.muted, "width": 1.25, "dash": "3px,3px"})  # fmt: skip
    for curve in curves:
        _draw_curve(made, x, curve, low, colours)
    _draw_measured(made, now, curves, low, colours)
    _name_curves(made, curves, low, high, height, colours)
    return made


def _decades(curves: Sequence[Curve]) -> tuple[float, float]:
    """The least and most power of ten on the axis."""
    every = np.concatenate([np.append(curve.y, curve.measured) for curve in curves])
    some = every[np.isfinite(every) & (every > 0.0)]
    most = math.log10(float(some.max())) if some.size else 0.0
    kept = some[some > _DEEP * 10.0**most]
    least = math.log10(float(kept.min())) if kept.size else -1.0
    return least - 0.3, max(most + 0.2, least + 1.0)


def _powers(low: float, high: float) -> dict[str, Any]:
    """Ticks at every power of ten, or at every second or third where they are many."""
    powers = range(math.ceil(low), math.floor(high) + 1)
    few = list(powers)[:: max(1, -(-len(powers) // 5))]
    return {"tickmode": "array", "tickvals": [10.0**p for p in few], "ticktext": [told_power(p) for p in few]}


def told_power(power: int) -> str:
    """10000 as 10⁴, 0.01 as it is."""
    return theme.number(10.0**power, max(0, -power)) if -2 <= power <= 3 else f"10<sup>{power}</sup>"


def _across(x: np.ndarray, log: bool) -> dict[str, Any]:
    if not log:
        return {"range": [float(x[0]), float(x[-1])], **theme.ticks(float(x[0]), float(x[-1]), 5)}
    ends = [math.log10(float(end)) for end in (x[0], x[-1])]
    room = 0.02 * (ends[1] - ends[0])
    powers = range(math.ceil(ends[0] - 1e-9), math.floor(ends[1] + 1e-9) + 1)
    ticks = {"tickmode": "array", "tickvals": [10.0**p for p in powers],
             "ticktext": [f"{10.0**p:g}" for p in powers]}  # fmt: skip
    return {"type": "log", "range": [ends[0] - room, ends[1] + room], **ticks}


def _draw_curve(made: Drawing, x: np.ndarray, curve: Curve, low: float, colours: Tokens) -> None:
    y = [float(f"{value:.5g}") if math.isfinite(value) else None for value in _lifted(curve.y, low).tolist()]
    line = {"color": curve.colour, "width": 1.75}
    hover = f"{curve.name}: %{{y:.3g}}<extra></extra>"
    made.add_trace(scatter(x=x.tolist(), y=y, mode="lines", line=line, hovertemplate=hover))


def _draw_measured(made: Drawing, now: float, curves: Sequence[Curve], low: float, colours: Tokens) -> None:
    found = [curve for curve in curves if math.isfinite(curve.measured)]
    marker = {"size": 7, "color": colours.bg, "line": {"width": 1.75, "color": [c.colour for c in found]}}
    y = _lifted(np.array([curve.measured for curve in found]), low).tolist()
    hover = [f"{curve.name}: measured {told(curve.measured)}" for curve in found]
    made.add_trace(scatter(x=[now] * len(found), y=y, mode="markers", marker=marker, hovertext=hover,
                           hoverinfo="text", cliponaxis=False))  # fmt: skip


def _lifted(y: np.ndarray, low: float) -> np.ndarray:
    """What is below the axis, 0 above all, stands at its foot."""
    return np.maximum(y, 10.0**low)


def _name_curves(
    made: Drawing, curves: Sequence[Curve], low: float, high: float, height: int, colours: Tokens
) -> None:
    """Every name at its curve's right end, as near as its neighbours let it."""
    room = height - _MARGIN.t - _MARGIN.b
    known = [curve for curve in curves if math.isfinite(curve.y[-1])]
    wanted = [room * (math.log10(max(curve.y[-1], 10.0**low)) - low) / (high - low) for curve in known]
    for curve, y in zip(known, spread(wanted, _APART, room), strict=True):
        made.add_annotation(
            text=curve.name, x=1.0, xref="paper", xanchor="left", xshift=14, y=y / room, yref="paper",
            yanchor="middle", showarrow=False, borderpad=0, font={"size": 11, "color": colours.text},
        )  # fmt: skip
        made.add_shape(type="line", xref="paper", yref="paper", xsizemode="pixel", xanchor=1.0, x0=4, x1=12,
                       y0=y / room, y1=y / room, line={"color": curve.colour, "width": 3})  # fmt: skip


def spread(wanted: Sequence[float], apart: float, room: float) -> list[float]:
    """Places as near to those that are wanted as their order and a distance allow, within the room."""
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    places = [wanted[i] for i in order]
    for i in range(1, len(places)):
        places[i] = max(places[i], places[i - 1] + apart)
    over = max(0.0, places[-1] - room) if places else 0.0
    for i in range(len(places) - 1, -1, -1):
        above = places[i + 1] - apart if i + 1 < len(places) else room
        places[i] = min(places[i], above) if over else places[i]
    found = [0.0] * len(places)
    for i, place in zip(order, places, strict=True):
        found[i] = place
    return found


# ---- climbs ----


def climbs(
    values: np.ndarray, exact: np.ndarray, colour: str, *, name: str, dark: bool = False, height: int = HEIGHT
) -> Film:
    """E[f] (T, R) of every run over the steps, their mean, and where the exact gradient goes (T,)."""
    colours = theme.tokens(dark)
    steps = np.arange(len(values), dtype=float)
    low, high = _span(values, exact)
    made = theme.figure(
        colours,
        height=height,
        margin=_RUNS,
        xaxis={"title": {"text": "step"}, "range": [0, max(len(values) - 1, 1)],
               **theme.ticks(0, max(len(values) - 1, 2), 5)},
        yaxis={"title": {"text": "E[f]"}, "range": [low, high], **theme.ticks(low, high, 4)},
        uirevision="climbs",
    )  # fmt: skip
    film = Film(made, len(values))
    for run in np.clip(values.T, low - (high - low), high + (high - low)):
        _line(made, steps, run, {"color": fill(colour, 0.45), "width": 1})
    _line(made, steps, exact, {"color": colours.posterior, "width": 2})
    _line(made, steps, values.mean(1), {"color": colour, "width": 2.5})
    dotted = {"width": 1.25, "color": colours.muted, "dash": "3px,3px"}
    now = np.stack([steps, steps], 1)
    moving(film, scatter(mode="lines", line=dotted), now, np.tile([low, high], (len(steps), 1)))
    moving(film, scatter(mode="markers", marker=ring(colours), cliponaxis=False), steps[:, None],
           np.clip(values.mean(1), low, high)[:, None])  # fmt: skip
    _say(film, values, name, colours)
    return film


def _span(values: np.ndarray, exact: np.ndarray) -> tuple[float, float]:
    """All of the runs, unless a few would crush the rest."""
    low, high = np.quantile(values, [0.01, 0.99])
    low, high = min(float(low), float(exact.min())), max(float(high), float(exact.max()))
    room = 0.06 * (high - low) or 0.1 * max(1.0, abs(high))
    return low - room, high + room


def _line(made: Drawing, x: np.ndarray, y: np.ndarray, line: dict[str, Any]) -> None:
    kept = [float(f"{value:.5g}") for value in y.tolist()]
    made.add_trace(scatter(x=x.tolist(), y=kept, mode="lines", line=line, hoverinfo="skip"))


def _say(film: Film, values: np.ndarray, name: str, colours: Tokens) -> None:
    """The numbers at the step that is shown, where the lines leave room."""
    texts = [
        f"{name}: {told(float(row.mean()))}, sd {told(float(row.std(ddof=1) if len(row) > 1 else 0.0))}"
        for row in values
    ]
    rises = values[-1].mean() >= values[0].mean()
    place = {"x": 1.0, "xref": "paper", "xanchor": "right", "yref": "paper", "y": 0.04 if rises else 0.96}
    index = film.figure.add_annotation(
        text=texts[0], showarrow=False, yanchor="bottom" if rises else "top", borderpad=1,
        bgcolor=fill(colours.bg, 0.8), font={"size": 12, "color": colours.text}, **place,
    )  # fmt: skip
    film.values(None, f"annotations[{index}].text", texts)
