"""What inference costs: the gap over gradients spent, by each datum alone and by one encoder for all."""

from __future__ import annotations

import numpy as np

from lvmviz.figures import theme
from lvmviz.figures.drawing import Drawing, scatter
from lvmviz.figures.marks import legend
from lvmviz.figures.theme import Margin

BUDGET = 184  # height, px
WORDS = 58  # px, of the legend: no curve comes so near the top
_MARGIN = Margin(l=48, r=12, t=8, b=34)
Course = tuple[np.ndarray, np.ndarray]  # gradients, and the gap after them


def spent(
    own: Course,
    training: Course,
    both: Course,
    least: float,
    *,
    chosen: int,
    dark: bool = False,
    height: int = BUDGET,
) -> Drawing:
    """The mean gap over gradients spent: of every datum's own climb, of one encoder for all, of both.

    `chosen` is the number of own steps on the slider; courses are (gradients, gaps), step by step.
    """
    colours = theme.tokens(dark)
    (steps, gaps), (asked, gap) = own, training
    on = asked > 0
    every = np.concatenate([steps[1:], asked[on]])
    low, high = np.log10(every.min()) - 0.1, np.log10(every.max()) + 0.25
    floor = max(0.3 * least, 1e-4)
    taken = WORDS / (height - _MARGIN.t - _MARGIN.b)
    top = np.log10(max(float(gaps[1:].max()), float(gap[on].max()), 2.0 * floor))
    tall = top + (top - np.log10(floor)) * taken / (1.0 - taken)
    powers = list(range(int(np.ceil(low)), int(np.floor(high)) + 1))
    decades = list(range(int(np.ceil(np.log10(floor))), int(np.floor(tall)) + 1))
    made = theme.figure(
        colours,
        height=height,
        margin=_MARGIN,
        uirevision="spent",
        xaxis={
            "type": "log",
            "range": [low, high],
            "title": {"text": "gradients, all data together"},
            "tickmode": "array",
            "tickvals": [10.0**p for p in powers],
            "ticktext": [f"10<sup>{p}</sup>" for p in powers],
        },
        yaxis={
            "type": "log",
            "range": [np.log10(floor), tall],
            "title": {"text": "gap, nats"},
            "tickmode": "array",
            "tickvals": [10.0**p for p in decades],
            "ticktext": [f"{10.0**p:g}" for p in decades],
        },
    )
    blue = {"color": colours.posterior, "width": 2.5}
    made.add_trace(
        scatter(
            x=steps[1:].tolist(),
            y=np.maximum(gaps[1:], floor).tolist(),
            mode="lines",
            line=blue,
            hovertemplate="VI of each datum<br>%{x:.3s} gradients, %{y:.3g} nats<extra></extra>",
        )
    )
    orange = {"color": colours.q_mark, "width": 2.5}
    made.add_trace(
        scatter(
            x=asked[on].tolist(),
            y=np.maximum(gap[on], floor).tolist(),
            mode="lines",
            line=orange,
            hovertemplate="one encoder<br>%{x:.3s} gradients, %{y:.3g} nats<extra></extra>",
        )
    )
    made.add_trace(
        scatter(
            x=both[0].tolist(),
            y=np.maximum(both[1], floor).tolist(),
            mode="lines",
            hoverinfo="skip",
            line={"color": colours.q_text, "width": 1.5, "dash": "5px,4px"},
        )
    )
    made.add_trace(
        scatter(
            x=[max(float(steps[chosen]), 1.0)],
            y=[max(float(gaps[chosen]), floor)],
            mode="markers",
            hoverinfo="skip",
            marker={"size": 10, "color": colours.bg, "line": {"width": 2, "color": colours.text}},
        )
    )
    made.add_shape(
        type="line",
        x0=0,
        x1=1,
        xref="paper",
        y0=least,
        y1=least,
        line={"width": 1.25, "color": colours.gap, "dash": "4px,4px"},
    )
    words = (
        ("each datum’s own climb", colours.posterior),
        ("one encoder", colours.q_text),
        ("╌ encoder, then own steps", colours.q_text),
    )
    legend(made, words, colours, right=True, size=11)
    return made
