"""Jensen's inequality: two weights on the log curve by hand, and the log of the mean of ever more weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from lvmviz.figures import theme
from lvmviz.figures.drawing import Drawing, scatter
from lvmviz.figures.film import Film
from lvmviz.figures.marks import annotate, moving
from lvmviz.figures.theme import Margin, Tokens, fill, number

HEIGHT, LOW = 338, 186
LEAST, MOST = 0.05, 4.0  # where the hand may put a weight, in units of p(x)
RAIL = 159  # places of the curve that the hand slides on
BINS = 36
TOP = 1.62  # nats, above the whole curve: where the log of the mean is named
_MARGIN = Margin(l=44, t=10)
_SPREAD = Margin(l=44, t=22)


class Pair(NamedTuple):
    """Two weights, and what Jensen says of them, nats."""

    first: float
    second: float
    mean: float
    log_of_mean: float
    mean_of_log: float

    @property
    def gap(self) -> float:
        """Log of the mean less mean of the logs: never negative."""
        return self.log_of_mean - self.mean_of_log


def pair(first: float, second: float) -> Pair:
    """Of two weights above 0."""
    mean = 0.5 * (first + second)
    return Pair(first, second, mean, float(np.log(mean)), float(0.5 * (np.log(first) + np.log(second))))


def rail() -> np.ndarray:
    """The log at evenly spaced weights from `LEAST` to `MOST` (RAIL,): what the hand slides on."""
    return np.log(np.linspace(LEAST, MOST, RAIL))


def logs(weights: Sequence[float]) -> list[float]:
    """Where they stand on the curve."""
    return np.log(np.asarray(weights)).tolist()


def by_hand(two: Pair, *, dark: bool = False, height: int = HEIGHT) -> Drawing:
    """The log curve, the chord of two weights, and above its middle the log of their mean."""
    colours = theme.tokens(dark)
    low, high = float(np.log(LEAST)) - 0.25, float(np.log(MOST)) + 0.6
    axes = {
        "xaxis": {"title": {"text": "weight w, in units of p(x)"}, "range": [0.0, MOST + 0.12], "dtick": 1},
        "yaxis": {"title": {"text": "log w, nats"}, "range": [low, high], **theme.ticks(low, high, 5)},
    }
    made = theme.figure(colours, height=height, margin=_MARGIN, uirevision="jensen", **axes)
    grid = np.geomspace(LEAST, MOST + 0.12, 120)
    quiet = {"hoverinfo": "skip", "mode": "lines"}
    ink = {"color": colours.text, "width": 2}
    made.add_trace(scatter(x=_round(grid), y=_round(np.log(grid)), line=ink, name="log w", **quiet))
    ends = [two.first, two.second], [float(np.log(two.first)), float(np.log(two.second))]
    dashed = {"color": colours.q_mark, "width": 1.5, "dash": "5px,4px"}
    made.add_trace(scatter(x=ends[0], y=ends[1], line=dashed, name="chord", **quiet))
    _draw_gap(made, two, colours)
    _say_heights(made, two, colours)
    return made


def _round(values: np.ndarray) -> list[float]:
    return np.round(values, 4).tolist()


def _draw_gap(made: Drawing, two: Pair, colours: Tokens) -> None:
    half = 0.035
    x = [two.mean + side * half for side in (-1, 1, 1, -1, -1)]
    low, high = two.mean_of_log, two.log_of_mean
    pattern = {**theme.HATCH, "fgcolor": colours.gap, "bgcolor": fill(colours.gap, 0.2), "fgopacity": 1}
    line = {"width": 1, "color": colours.gap}
    made.add_trace(
        scatter(x=x, y=[low, low, high, high, low], mode="lines", line=line, fill="toself",
                fillpattern=pattern, hoverinfo="skip", name="gap")
    )  # fmt: skip
    for y, colour, name in (
        (high, colours.posterior, "log of the mean"),
        (low, colours.q_mark, "mean of the logs"),
    ):
        marker = {"size": 10, "color": colour, "opacity": 1, "line": {"width": 2, "color": colours.bg}}
        made.add_trace(
            scatter(x=[two.mean], y=[y], mode="markers", marker=marker, hoverinfo="skip", name=name)
        )


def _say_heights(made: Drawing, two: Pair, colours: Tokens) -> None:
    """The log of the mean above the curve, the mean of the logs below the chord, the gap beside itself."""
    base = {"x": two.mean, "showarrow": False, "borderpad": 1}
    leader = {"color": colours.posterior, "width": 1.25, "dash": "2px,3px"}
    made.add_shape(type="line", x0=two.mean, x1=two.mean, y0=two.log_of_mean, y1=TOP, line=leader)
    side = "left" if two.mean < 0.7 else "right" if two.mean > 3.3 else "center"
    above = {"xanchor": side, "yanchor": "bottom", "font": {"color": colours.posterior}}
    made.add_annotation(text=f"log of the mean {number(two.log_of_mean, 3)}", y=TOP, **base, **above)
    anchor, away = ("right", -12) if two.mean > 2.6 else ("left", 12)
    below = {"xanchor": anchor, "xshift": away, "bgcolor": fill(colours.bg, 0.85)}
    made.add_annotation(
        text=f"mean of the logs {number(two.mean_of_log, 3)}", y=two.mean_of_log, yanchor="top", yshift=-4,
        font={"color": colours.q_text}, **base, **below,
    )  # fmt: skip
    if two.gap > 0.02:
        made.add_annotation(
            text=f"gap {number(two.gap, 3)}", y=0.5 * (two.log_of_mean + two.mean_of_log), yanchor="middle",
            font={"color": colours.gap}, **base, **below,
        )  # fmt: skip


# ---- the log of the mean of ever more weights ----


def spread(
    counts: np.ndarray, estimates: np.ndarray, log_evidence: float, *, dark: bool = False, height: int = LOW
) -> Film:
    """Frame t: a histogram of the logs of means of k_t weights, of R repeats (R, T), and their mean."""
    colours = theme.tokens(dark)
    edges = _edges(estimates, log_evidence)
    heights = np.stack([np.histogram(np.maximum(row, edges[0]), edges)[0] for row in estimates.T])
    heights = heights / heights.max(1, keepdims=True)  # of each frame its place counts, not its height
    top = 1.1
    low, high = float(edges[0]), float(edges[-1])
    axes = {
        "xaxis": {"title": {"text": "log of the mean of K weights, nats"}, "range": [low, high],
                  **theme.ticks(low, high)},
        "yaxis": {"title": {"text": "repeats"}, "range": [0, top], "showticklabels": False, "ticks": ""},
    }  # fmt: skip
    made = theme.figure(colours, height=height, margin=_SPREAD, uirevision="spread", **axes)
    film = Film(made, len(counts))
    padded = np.concatenate(
        [np.zeros((len(counts), 1)), np.repeat(heights, 2, 1), np.zeros((len(counts), 1))], 1
    )
    style: dict[str, Any] = {
        "mode": "lines",
        "line": {"color": colours.q_mark, "width": 1.75},
        "fill": "tozeroy",
    }
    style |= {"fillcolor": fill(colours.q_mark, 0.08), "name": "repeats"}
    moving(film, scatter(**style), np.tile(np.repeat(edges, 2), (len(counts), 1)), padded)
    means = np.clip(estimates.mean(0), low, high)
    dashed = {"color": colours.q_mark, "width": 2, "dash": "5px,4px"}
    upright = np.tile([0.0, top], (len(counts), 1))
    moving(film, scatter(mode="lines", line=dashed, name="mean"), np.stack([means, means], 1), upright)
    blue = {"color": colours.posterior, "width": 2}
    made.add_shape(type="line", x0=log_evidence, x1=log_evidence, y0=0, y1=1, yref="y domain", line=blue)
    _say_means(film, counts, estimates.mean(0), colours)
    return film


def _edges(estimates: np.ndarray, log_evidence: float) -> np.ndarray:
    """From most of the single weights' logs to the highest estimate."""
    low = min(float(np.quantile(estimates[:, 0], 0.05)), float(estimates[:, -1].min()))
    high = max(float(np.quantile(estimates, 0.999)), log_evidence)
    room = max(0.06 * (high - low), 1e-3 * max(1.0, abs(log_evidence)))
    return np.linspace(low - room, high + room, BINS + 1)


def _say_means(film: Film, counts: np.ndarray, means: np.ndarray, colours: Tokens) -> None:
    top = {"yref": "paper", "y": 1.0, "xref": "paper", "yanchor": "bottom", "yshift": 3, "showarrow": False}
    told = [
        f"K = {count:,}: mean {number(mean, 2)}"
        for count, mean in zip(counts.tolist(), means.tolist(), strict=True)
    ]
    left = {"x": 0.0, "xanchor": "left", "xshift": -36, "font": {"color": colours.q_text}}
    annotate(film, {**left, **top}, {"text": told})
    ink = {"color": colours.posterior}
    film.figure.add_annotation(x=1.0, xanchor="right", text="log p(x)", font=ink, **top)
