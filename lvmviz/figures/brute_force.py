"""A sum over all states: its terms as bars, and the time that more bits would take."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lvmviz.figures import theme
from lvmviz.figures.drawing import Drawing, scatter
from lvmviz.figures.marks import ring
from lvmviz.figures.theme import Margin, Tokens, fill, number

HEIGHT, LOW = 338, 186
FEW = 16  # bars that have room for their states below
_MARGIN = Margin(l=50, t=24)
_TIMES = Margin(l=56, t=22)
_UNITS = ((1e-6, "1 µs"), (1e-3, "1 ms"), (1.0, "1 s"), (60.0, "1 min"), (3600.0, "1 h"),
          (86400.0, "1 day"), (365.25 * 86400.0, "1 year"))  # fmt: skip


def bars(log_sums: np.ndarray, each: int, bits: int, *, dark: bool = False, height: int = HEIGHT) -> Drawing:
    """p(x, z) of every state, or sums over the `each` states with the same first bits (B,), nats.

    What is not summed yet is NaN, and not there.
    """
    colours = theme.tokens(dark)
    power = _power(log_sums)
    sums = np.nan_to_num(np.exp(log_sums - power * math.log(10.0)))
    top = 1.1 * max(float(sums.max()), 1e-12)
    count = len(sums)
    what = "p(x, z)" if each == 1 else f"sums of {each:,} terms p(x, z)"
    unit = "" if power == 0 else f", 10<sup>{power}</sup>".replace("-", "−")
    axes = {
        "xaxis": _states(count, each, bits),
        "yaxis": {"title": {"text": what + unit}, "range": [0, top], **theme.ticks(0.0, top, 5)},
    }
    made = theme.figure(colours, height=height, margin=_MARGIN, uirevision="bars",
                        bargap=0.25 if count <= 128 else 0.0, **axes)  # fmt: skip
    marker = {"color": fill(colours.posterior, 0.62), "line": {"width": 0}}
    y = [float(f"{value:.4g}") for value in sums.tolist()]
    made.add_trace({"type": "bar", "x": list(range(count)), "y": y, "marker": marker, "hoverinfo": "skip",
                    "name": what})  # fmt: skip
    _name_largest(made, sums, each, bits, colours)
    return made


def _power(log_sums: np.ndarray) -> int:
    """The power of ten that the largest is told in."""
    known = log_sums[np.isfinite(log_sums)]
    return math.floor(float(known.max()) / math.log(10.0)) if len(known) else 0


def _states(count: int, each: int, bits: int) -> dict[str, Any]:
    width = bits - int(math.log2(each))
    few = count <= FEW
    at = list(range(count)) if few else [0, count // 4, count // 2, 3 * count // 4, count - 1]
    dots = "" if each == 1 else "…"
    texts = [f"{i:0{width}b}{dots}" for i in at]
    names = {"tickmode": "array", "tickvals": at, "ticktext": texts if width <= 12 else [""] * len(at)}
    told = "z, all states in binary order" if each == 1 else f"z, by its first {width} of {bits} bits"
    return {"title": {"text": told}, "range": [-0.8, count - 0.2], **names}


def _name_largest(made: Drawing, sums: np.ndarray, each: int, bits: int, colours: Tokens) -> None:
    if not sums.sum():
        return
    at, width = int(sums.argmax()), bits - int(math.log2(each))
    state = f"{at:0{width}b}" + ("" if each == 1 else "…")
    text = f"{state}: {number(100.0 * float(sums[at] / sums.sum()), 1)} %"
    share = at / len(sums)
    anchor = "left" if share < 0.3 else "right" if share > 0.7 else "center"
    place = {"x": at, "y": float(sums[at]), "xanchor": anchor, "yanchor": "bottom", "yshift": 2}
    made.add_annotation(text=text, showarrow=False, font={"color": colours.posterior}, **place)


def times(
    seconds: np.ndarray, measured: tuple[int, float], told: str, told_at_end: str, *, dark: bool = False,
    height: int = LOW,
) -> Drawing:  # fmt: skip
    """Seconds for 1 to so many bits (n,), on a log scale, twice per bit; and what was `measured` for some."""
    colours = theme.tokens(dark)
    count = np.arange(1, len(seconds) + 1)
    logs = np.log10(np.maximum(seconds, 1e-12))
    bits, here = measured[0], math.log10(max(measured[1], 1e-12))
    low, high = float(logs[0]) - 0.6, float(logs[-1]) + 0.8
    shown = [(math.log10(size), name) for size, name in _UNITS if low < math.log10(size) < high]
    shown = shown[::2] if len(shown) > 5 else shown
    up = {"tickmode": "array", "tickvals": [at for at, _ in shown], "ticktext": [name for _, name in shown]}
    axes = {
        "xaxis": {"title": {"text": "bits n"}, "range": [0, len(seconds) + 1], "dtick": 5},
        "yaxis": {"title": {"text": "time"}, "range": [low, high], **up},
    }
    made = theme.figure(colours, height=height, margin=_TIMES, uirevision="times", **axes)
    dashed = {"color": colours.muted, "width": 2, "dash": "5px,4px"}
    line = {"mode": "lines", "line": dashed, "hoverinfo": "skip", "name": "2 times as long per bit"}
    made.add_trace(scatter(x=count.tolist(), y=np.round(logs, 4).tolist(), **line))
    marks = {"mode": "markers", "hoverinfo": "skip", "cliponaxis": False}
    made.add_trace(scatter(x=[bits], y=[here], name="measured", marker=ring(colours), **marks))
    dot = {"size": 8, "color": colours.muted, "opacity": 1}
    made.add_trace(scatter(x=[len(seconds)], y=[float(logs[-1])], name="extrapolated", marker=dot, **marks))
    near = {"showarrow": False, "borderpad": 1, "bgcolor": fill(colours.bg, 0.85)}
    side = "left" if bits < 18 else "right"
    made.add_annotation(x=bits, y=here, text=told, xanchor=side, yanchor="bottom", yshift=6,
                        xshift=-8 if side == "left" else 8, font={"color": colours.text}, **near)  # fmt: skip
    made.add_annotation(x=len(seconds), y=float(logs[-1]), text=told_at_end, xanchor="right", xshift=-8,
                        yanchor="bottom", font={"color": colours.muted}, **near)  # fmt: skip
    return made
