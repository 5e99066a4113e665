"""The sigmoid decoder's posterior with q on it, its likelihood, and the x that the model makes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lvmviz.figures import theme
from lvmviz.figures.drawing import Drawing, scatter
from lvmviz.figures.theme import Margin, Tokens, fill

HEIGHT, SMALL = 446, 200
_MARGIN = Margin(40, 6, 6, 36)
_TURN = np.linspace(0.0, 2.0 * math.pi, 91)
_LEVELS = 8


def posterior(
    z: np.ndarray, density: np.ndarray, mean: np.ndarray, factor: np.ndarray, *, dark: bool = False,
    height: int = HEIGHT,
) -> Drawing:  # fmt: skip
    """p(z | x) (W, W) over z (W,) as a landscape, q at 1 and 2 standard deviations, the prior's circles."""
    colours = theme.tokens(dark)
    made = _square(colours, height, z)
    _draw_hill(made, z, density, colours.landscape, fill(colours.posterior, 0.35))
    _draw_prior(made, colours, named=True)
    for radius, width, alpha in ((1.0, 2.25, 1.0), (2.0, 1.25, 0.75)):
        around = mean[:, None] + factor @ (radius * np.stack([np.cos(_TURN), np.sin(_TURN)]))
        _line(made, around, {"color": fill(colours.q_mark, alpha), "width": width})
    top = _top(mean, factor)
    _name(made, top[0], top[1], "best Gaussian q", colours.q_text, colours)
    made.add_annotation(
        text="p(z|x): filled", xref="paper", yref="paper", x=0.02, y=0.98, showarrow=False,
        xanchor="left", yanchor="top", font={"size": 12, "color": colours.posterior},
    )  # fmt: skip
    return made


def likelihood(z: np.ndarray, values: np.ndarray, *, dark: bool = False, height: int = SMALL) -> Drawing:
    """p(x | z) (W, W) in parts of its largest value, with the prior's circles over it."""
    colours = theme.tokens(dark)
    made = _square(colours, height, z)
    shades = [[0.0, fill(colours.text, 0.0)], [1.0, fill(colours.text, 0.45)]]
    _draw_hill(made, z, values, shades, fill(colours.text, 0.3))
    _draw_prior(made, colours, named=False)
    return made


def made_x(cloud: np.ndarray, x: tuple[float, float], *, dark: bool = False, height: int = SMALL) -> Drawing:
    """Draws (n, 2) of x from the model, and the datum."""
    colours = theme.tokens(dark)
    axes = {}
    for side, values, at, name in zip("xy", cloud.T, x, ("x₁", "x₂"), strict=True):
        low, high = np.quantile(values, [0.005, 0.995])
        ends = [min(float(low), at) - 0.1, max(float(high), at) + 0.1]
        axes[f"{side}axis"] = {"range": ends, "title": {"text": name}, **theme.ticks(ends[0], ends[1], 3)}
    made = theme.figure(colours, height=height, margin=_MARGIN, **axes)
    dots = {"size": 3.5, "color": colours.prior, "opacity": 0.45}
    made.add_trace(scatter(x=np.round(cloud[:, 0], 3).tolist(), y=np.round(cloud[:, 1], 3).tolist(),
                           mode="markers", marker=dots, hoverinfo="skip"))  # fmt: skip
    datum = {"size": 10, "color": colours.text, "line": {"width": 1.5, "color": colours.bg}}
    made.add_trace(scatter(x=[x[0]], y=[x[1]], mode="markers", marker=datum,
                           hovertemplate="datum x<br>%{x:.2f}, %{y:.2f}<extra></extra>"))  # fmt: skip
    _name(made, x[0], x[1], "datum x", colours.text, colours)
    return made


def _square(colours: Tokens, height: int, z: np.ndarray) -> Drawing:
    """Two axes of one scale, as far as z reaches."""
    low, high = float(z[0]), float(z[-1])
    one = {"range": [low, high], "constrain": "domain", **theme.ticks(low, high, 4)}
    return theme.figure(
        colours, height=height, margin=_MARGIN, xaxis={**one, "title": {"text": "z<sub>1</sub>"}},
        yaxis={**one, "title": {"text": "z<sub>2</sub>"}, "scaleanchor": "x"}, uirevision="sigmoid",
    )  # fmt: skip


def _draw_hill(made: Drawing, z: np.ndarray, values: np.ndarray, scale: Any, line: str) -> None:
    """Contours at eighths of the top, the lowest at a sixteenth."""
    shape = {"coloring": "heatmap", "start": 0.5 / _LEVELS, "end": 1.0, "size": 1.0 / _LEVELS}
    at = np.round(z, 4).tolist()
    made.add_trace(
        {"type": "contour", "x": at, "y": at, "z": np.round(values / values.max(), 4).tolist(), "zmin": 0.0,
         "zmax": 1.0, "contours": shape, "line": {"width": 0.75, "color": line}, "hoverinfo": "skip",
         "colorscale": [list(stop) for stop in scale], "showscale": False}
    )  # fmt: skip


def _draw_prior(made: Drawing, colours: Tokens, *, named: bool) -> None:
    for radius, text in ((1.0, "prior 1 sd"), (2.0, "2 sd")):
        _line(made, radius * np.stack([np.cos(_TURN), np.sin(_TURN)]),
              {"color": colours.prior, "width": 1.25, "dash": "4px,4px"})  # fmt: skip
        if named:
            at = radius * math.cos(-2.2), radius * math.sin(-2.2)
            made.add_annotation(
                x=at[0], y=at[1], text=text, showarrow=False, bgcolor=fill(colours.bg, 0.85), borderpad=1,
                font={"size": 11, "color": colours.muted},
            )  # fmt: skip


def _line(made: Drawing, xy: np.ndarray, line: dict[str, Any]) -> None:
    x, y = np.round(xy, 4).tolist()
    made.add_trace(scatter(x=x, y=y, mode="lines", line=line, hoverinfo="skip"))


def _top(mean: np.ndarray, factor: np.ndarray) -> tuple[float, float]:
    """The highest point of q's ellipse at 2 standard deviations."""
    covariance = factor @ factor.T
    away = 2.0 * covariance[:, 1] / math.sqrt(covariance[1, 1])
    return float(mean[0] + away[0]), float(mean[1] + away[1])


def _name(made: Drawing, x: float, y: float, text: str, colour: str, colours: Tokens) -> None:
    made.add_annotation(
        x=x, y=y, text=text, showarrow=False, yshift=12, font={"size": 12, "color": colour},
        bgcolor=fill(colours.bg, 0.85), borderpad=1,
    )  # fmt: skip
