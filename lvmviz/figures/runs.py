"""What runs say of themselves over their steps, one panel a run, all on the same axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from lvmviz.figures import theme
from lvmviz.figures.drawing import Drawing, scatter
from lvmviz.figures.theme import Margin, Tokens

GAP = 0.045  # of the width, between two panels
MOST = 1500  # points of a line; of more, so many are drawn
_MARGIN = Margin(l=64, t=20, b=34)
_STEEP = 6.0  # a rise at the start that is so many times the rest is cut off


class Panel(NamedTuple):
    """One run: its title and its lines over the steps."""

    title: str
    steps: np.ndarray  # (T,)
    lines: Mapping[str, np.ndarray]  # each (T,), nats


def curves(panels: Sequence[Panel], *, dark: bool, height: int, unit: str = "nats") -> Drawing:
    """The lines of every run beside each other; a zoom in one is a zoom in all, a double click ends it."""
    colours = theme.tokens(dark)
    drawing = theme.figure(colours, height=height, margin=_MARGIN, uirevision="runs", dragmode="zoom")
    view = _view(panels)
    for at, panel in enumerate(panels):
        _axes(drawing, at, len(panels), view, unit)
        if len(panels) > 1:
            _title(drawing, at, panel.title, colours)
        for order, (name, values) in enumerate(panel.lines.items()):
            _line(drawing, at, panel.steps, values, name, order, colours, unit)
    return drawing


def _view(panels: Sequence[Panel]) -> tuple[float, float, float, float]:
    """x from and to, y from and to: all that any panel has, without a steep start."""
    last = max((float(panel.steps[-1]) for panel in panels if len(panel.steps)), default=1.0)
    known = [
        values[np.isfinite(values) & (np.abs(values) < 1e299)]
        for panel in panels
        for values in panel.lines.values()
    ]
    ends = [_ends(values) for values in known if len(values)]
    low, high = (min(low for low, _ in ends), max(high for _, high in ends)) if ends else (0.0, 1.0)
    size = max(high - low, 1e-9 * max(abs(high), 1.0))
    return 0.0, max(last, 1.0), low - 0.08 * size, high + 0.12 * size


def _ends(values: np.ndarray) -> tuple[float, float]:
    """The least and most of a line; the least of what follows a steep start."""
    low, high = float(values.min()), float(values.max())
    later = float(np.quantile(values, 0.05))
    return (later, high) if high - low > _STEEP * (high - later) > 0 else (low, high)


def _axes(drawing: Drawing, at: int, count: int, view: tuple[float, float, float, float], unit: str) -> None:
    width = (1.0 - GAP * (count - 1)) / count
    left = at * (width + GAP)
    number = "" if at == 0 else str(at + 1)
    style = drawing.to_plotly_json()["layout"]["template"]["layout"]["xaxis"]
    linked = ({"matches": "x"}, {"matches": "y"}) if at else ({}, {})
    x = {"domain": [left, left + width], "anchor": f"y{number}", "range": list(view[:2])}
    y = {"anchor": f"x{number}", "range": list(view[2:]), "showticklabels": at == 0}
    x["title"], y["title"] = {"text": "step"}, {"text": unit if at == 0 else ""}
    for name, axis, link in ((f"xaxis{number}", x, linked[0]), (f"yaxis{number}", y, linked[1])):
        drawing.update_layout(**{name: {**style, **axis, **link, "fixedrange": False, "tickformat": "~g"}})


def _title(drawing: Drawing, at: int, title: str, colours: Tokens) -> None:
    number = "" if at == 0 else str(at + 1)
    place: dict[str, Any] = {"xref": f"x{number} domain", "yref": "paper", "x": 0.0, "y": 1.0}
    place |= {"xanchor": "left", "yanchor": "bottom", "showarrow": False}
    drawing.add_annotation(text=title, font={"color": colours.muted}, **place)


def _line(
    drawing: Drawing, at: int, steps: np.ndarray, values: np.ndarray, name: str, order: int,
    colours: Tokens, unit: str,
) -> None:  # fmt: skip
    """The first line is what is climbed, the second what it is held against."""
    rows = _drawn(len(steps))
    known = np.where(np.isfinite(values) & (np.abs(values) < 1e299), values, np.nan)
    axes = {} if at == 0 else {"xaxis": f"x{at + 1}", "yaxis": f"y{at + 1}"}
    line = {
        "color": colours.posterior,
        "width": 2.5 if order == 0 else 2,
        "dash": "solid" if order == 0 else "dot",
    }
    x, y = steps[rows].tolist(), known[rows].tolist()
    told = f"step %{{x}}<br>{name} %{{y:.4f}} {unit}<extra></extra>"
    drawing.add_trace(scatter(x=x, y=y, mode="lines", line=line, hovertemplate=told, **axes))
    if len(x):
        refs = {"xref": axes.get("xaxis", "x"), "yref": axes.get("yaxis", "y")}
        side = {"yanchor": "top", "yshift": -2} if order == 0 else {"yanchor": "bottom", "yshift": 2}
        drawing.add_annotation(
            x=x[-1], y=y[-1], text=name, xanchor="right", showarrow=False,
            font={"color": colours.posterior}, bgcolor=colours.bg, borderpad=1, **refs, **side,
        )  # fmt: skip


def _drawn(count: int) -> np.ndarray:
    """The rows of a line that are drawn: all, or an even choice with both ends."""
    return (
        np.arange(count) if count <= MOST else np.unique(np.linspace(0, count - 1, MOST).round().astype(int))
    )
