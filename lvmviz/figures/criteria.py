"""What each number of components is worth: likelihood, AIC, BIC and held-out points over K."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from lvmviz.figures import theme
from lvmviz.figures.drawing import Drawing, scatter
from lvmviz.figures.marks import ring
from lvmviz.figures.theme import Margin, Tokens

HEIGHT = 146
_CHOICE = Margin(l=50, r=96)


class Line(NamedTuple):
    """One criterion over K, larger is better, nats per point."""

    values: np.ndarray  # (T,), NaN where it is not known
    name: str
    penalized: bool = True  # its maximum means something, and is ringed


def choice(
    components: np.ndarray,
    lines: Mapping[str, Line],
    told: Sequence[str],
    shown: int,
    *,
    floored: Sequence[bool] = (),
    dark: bool = False,
    height: int = HEIGHT,
) -> Drawing:
    """Log-likelihood, AIC, BIC and held-out likelihood over K (T,), on one axis; `shown` is the K on screen.

    The keys are "log_lik", "held_out", "bic" and "aic". Rings are where a criterion is highest. Marks are
    hollow where the best run has a component on the regularizer's floor, `floored` (T,).
    """
    colours = theme.tokens(dark)
    low, high = _view(lines)
    ends = [float(components[0]) - 0.4, float(components[-1]) + 0.25]
    upright = {"title": {"text": "nats per point"}, "range": [low, high], **theme.ticks(low, high)}
    ticks = {
        "tickmode": "array",
        "tickvals": components.tolist(),
        "ticktext": [*map(str, components.tolist())],
    }
    across = {"title": {"text": "K, components"}, "range": ends, **ticks}
    drawing = theme.figure(
        colours, height=height, margin=_CHOICE, uirevision="choice", hovermode="x", hoverdistance=-1,
        xaxis=across, yaxis=upright,
    )  # fmt: skip
    line = {"color": colours.muted, "width": 1.25, "dash": "3px,3px"}
    drawing.add_shape(type="line", x0=shown, x1=shown, y0=0, y1=1, yref="paper", line=line)
    styles = _styles(colours)
    for key, one in lines.items():
        hollow = floored if key != "held_out" else ()  # that is of other runs
        _draw_line(drawing, components, one, styles[key], hollow, colours)
        _say_leaving(drawing, components, one.values, styles[key], low)
    _say_collapsed(drawing, components, lines["log_lik"].values, 0.5 * (low + high), colours)
    _name_lines(drawing, lines, styles, low, high, height - _CHOICE.t - _CHOICE.b)
    middle = [0.5 * (low + high)] * len(components)  # wherever the pointer is, the nearest K answers
    spots = scatter(x=components.tolist(), y=middle, mode="markers", marker={"opacity": 0})
    asked = {"hovertext": list(told), "hoverinfo": "text", "customdata": components.tolist()}
    drawing.add_trace({**spots, **asked})
    return drawing


def _styles(colours: Tokens) -> dict[str, dict[str, object]]:
    return {
        "log_lik": {"color": colours.posterior, "width": 2.5},
        "held_out": {"color": colours.posterior, "width": 2, "dash": "5px,4px"},
        "aic": {"color": colours.muted, "width": 1.75, "dash": "2px,3px"},
        "bic": {"color": colours.text, "width": 1.75},
    }


def _view(lines: Mapping[str, Line]) -> tuple[float, float]:
    """From the top down to well below the lowest maximum: what falls deeper leaves the picture.

    Points that were not seen can be as unlikely as they like: they do not widen what the others need.
    """
    known = {key: line.values[np.isfinite(line.values)] for key, line in lines.items()}
    seen = [values for key, values in known.items() if len(values) and key != "held_out"]
    seen = seen or [values for values in known.values() if len(values)]
    if not seen:
        return -1.0, 0.0
    tops = [float(values.max()) for values in seen]
    size = max(max(tops) - min(tops), 0.02)
    least = float(np.concatenate(list(known.values())).min())
    return max(least, min(tops) - 1.2 * size) - 0.06 * size, max(tops) + 0.12 * size


def _draw_line(
    drawing: Drawing, components: np.ndarray, line: Line, style: dict[str, object], hollow: Sequence[bool],
    colours: Tokens,
) -> None:  # fmt: skip
    x, y = components.tolist(), line.values.tolist()
    edge = {"width": 1.25, "color": style["color"]}
    fill = [colours.bg if empty else style["color"] for empty in hollow] or style["color"]
    marks = {"size": 4.5, "color": fill, "opacity": 1, "line": edge if any(hollow) else {"width": 0}}
    drawing.add_trace(scatter(x=x, y=y, mode="lines+markers", line=style, marker=marks, hoverinfo="skip"))
    if line.penalized and np.isfinite(line.values).any():
        top = int(np.nanargmax(line.values))
        marker = {**ring(colours), "line": {"width": 2, "color": style["color"]}}
        drawing.add_trace(scatter(x=[x[top]], y=[y[top]], mode="markers", marker=marker, hoverinfo="skip"))


def _say_leaving(
    drawing: Drawing, components: np.ndarray, values: np.ndarray, style: Mapping[str, object], low: float
) -> None:
    """An arrow where a line leaves through the bottom."""
    for at in (1 + np.flatnonzero((values[:-1] >= low) & (values[1:] < low))).tolist():
        part = (values[at - 1] - low) / (values[at - 1] - values[at])
        x = float(components[at - 1] + part * (components[at] - components[at - 1]))
        place = {"x": x, "y": 0.0, "yref": "paper", "yanchor": "bottom", "xanchor": "left", "borderpad": 0}
        drawing.add_annotation(text="↓", showarrow=False, font={"color": style["color"]}, **place)


def _say_collapsed(
    drawing: Drawing, components: np.ndarray, log_lik: np.ndarray, middle: float, colours: Tokens
) -> None:
    """Which K have no fit at all, where their marks would be."""
    gone = np.flatnonzero(np.isnan(log_lik))
    for run in np.split(gone, np.flatnonzero(np.diff(gone) > 1) + 1) if len(gone) else ():
        first, last = int(components[run[0]]), int(components[run[-1]])
        text = f"K = {first} to {last} collapse" if last > first else f"K = {first} collapses"
        place = {"x": 0.5 * (first + last), "y": middle, "yanchor": "middle"}
        drawing.add_annotation(text=text, showarrow=False, font={"color": colours.gap}, **place)


def _name_lines(
    drawing: Drawing, lines: Mapping[str, Line], styles: Mapping[str, Mapping[str, object]],
    low: float, high: float, room: int,
) -> None:  # fmt: skip
    """Names at the right of the lines' ends, in their order and not on each other."""
    last = {key: line.values[np.isfinite(line.values)][-1:] for key, line in lines.items()}
    ends = {key: float(np.clip(end[0], low, high)) for key, end in last.items() if len(end)}
    pixel, apart = (high - low) / room, 14
    order = sorted(ends, key=lambda key: -ends[key])
    place = high
    for at, key in enumerate(order):
        below = (len(order) - 1 - at) * apart * pixel
        place = max(min(ends[key], place), low + below)
        note = {"xref": "paper", "x": 1.0, "xanchor": "left", "yanchor": "middle", "xshift": 2, "y": place}
        name = lines[key].name + (" ↓" if last[key][0] < low else "")
        drawing.add_annotation(text=name, showarrow=False, font={"color": styles[key]["color"]}, **note)
        place -= apart * pixel
