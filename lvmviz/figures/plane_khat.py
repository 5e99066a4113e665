"""k-hat over the number of draws: what q's own samples say of q."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from lvmviz.figures import theme
from lvmviz.figures.drawing import Drawing, scatter
from lvmviz.figures.theme import Tokens, fill, number

HEIGHT = 150
_MARGIN = theme.Margin(l=46)
GOOD, BAD = 0.7, 1.0
LIGHT = -0.25  # a tail that is lighter is drawn as this


def khat(
    counts: Sequence[int], rows: np.ndarray, truth: str, *, dark: bool = False, height: int = HEIGHT
) -> Drawing:
    """k-hat (R, n) over the counts (n,): the first row is the one that is told, the others other seeds'.

    `truth` is a line about the exact divergences, which k-hat cannot see.
    """
    colours = theme.tokens(dark)
    kept = np.where(np.isfinite(rows), rows, np.nan)
    finite = kept[np.isfinite(kept)]
    low = -0.95  # below LIGHT there is room for words
    high = min(max(1.2, float(finite.max(initial=0.0)) + 0.1), 2.2)
    ticks = [count for count in counts if str(count)[0] != "2"]
    x = {"title": {"text": "draws of q"}, "type": "log", "tickvals": ticks,
         "range": [math.log10(counts[0]) - 0.05, math.log10(counts[-1]) + 0.05]}  # fmt: skip
    marks = [level for level in (0.0, GOOD, BAD, 2.0) if level <= high]
    y = {"title": {"text": "k-hat"}, "range": [low, high], "tickmode": "array", "tickvals": marks,
         "ticktext": [f"{level:g}".lstrip("0") or "0" for level in marks]}  # fmt: skip
    made = theme.figure(colours, height=height, margin=_MARGIN, uirevision="khat", xaxis=x, yaxis=y)
    for level in (GOOD, BAD):
        line = {"color": colours.muted, "width": 1, "dash": "3px,3px"}
        made.add_trace(scatter(x=[counts[0], counts[-1]], y=[level] * 2, mode="lines", line=line,
                               hoverinfo="skip"))  # fmt: skip
    for row in rows[:0:-1]:
        _draw_row(made, counts, row, (LIGHT, high), {"color": fill(colours.q_mark, 0.4), "width": 1})
    _draw_row(made, counts, rows[0], (LIGHT, high), {"color": colours.q_mark, "width": 2.5})
    _say(made, _verdict(float(rows[0, -1])), truth, colours)
    return made


def _draw_row(
    made: Drawing, counts: Sequence[int], row: np.ndarray, ends: tuple[float, float], line: dict[str, object]
) -> None:
    """A gap where there are too few weights to tell; what is beyond the axis stays at its end."""
    told = [None if math.isnan(k) else min(max(k, ends[0]), ends[1]) for k in row.tolist()]
    made.add_trace(scatter(x=list(counts), y=told, mode="lines", line=line, hoverinfo="skip"))


def _verdict(k: float) -> str:
    if math.isinf(k):
        return "k-hat −∞: excellent, equal weights" if k < 0 else "k-hat ∞: too few weights count"
    word = (
        "excellent"
        if k < 0.5
        else "good"
        if k < GOOD
        else "poor, draw more"
        if k < BAD
        else "useless, no mean exists"
    )
    return f"k-hat {number(k, 2)}: {word}"


def _say(made: Drawing, verdict: str, truth: str, colours: Tokens) -> None:
    for i, (text, colour) in enumerate(((verdict, colours.q_text), (truth, colours.gap))):
        made.add_annotation(
            text=text, showarrow=False, xref="x domain", x=0, xanchor="left", xshift=6, yref="y domain", y=0,
            yanchor="bottom", yshift=19 - 17 * i, font={"size": 12, "color": colour},
            bgcolor=fill(colours.bg, 0.8), borderpad=1,
        )  # fmt: skip
