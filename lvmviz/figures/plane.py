"""A posterior in the plane, filled, and q, outlined, with both marginals at the sides."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from lvmviz.figures import theme
from lvmviz.figures.drawing import Drawing, scatter
from lvmviz.figures.film import Film
from lvmviz.figures.latent import png_address
from lvmviz.figures.level_lines import joined
from lvmviz.figures.marks import moving
from lvmviz.figures.mixture_points import png_shades
from lvmviz.figures.theme import Tokens, fill

HEIGHT = 470
MARGIN = theme.Margin(l=46, r=4, t=4, b=34)
_WIDE, _TALL = 0.88, 0.86  # parts of the figure that the plane itself takes; the marginals have the rest
_APART = 0.012
_HEADROOM, _ABOVE = 1.8, 1.05  # a marginal's axis, at least: in the posterior's peaks, and in q's
_SHARP, _BAND, _LINE, _DEEP = 3, 0.12, 0.35, 12.0  # pixels a node, strengths, nats below the last level
_SHADES = 64
BELL = np.linspace(-4.5, 4.5, 73)


Margin = tuple[np.ndarray, np.ndarray]  # places (n,), density (n,)


class Truth(NamedTuple):
    """The posterior as it is drawn."""

    x: np.ndarray  # (W,)
    y: np.ndarray  # (H,)
    marginals: tuple[Margin, Margin]  # along x and along y
    even: bool  # whether both axes have one scale
    filled: str  # the regions as `bands` paints them


class Part(NamedTuple):
    """A part of q that the hand may take: its outlines in its own coordinates, and its ellipse."""

    outlines: Sequence[np.ndarray]  # each (n, 2), or (T, n, 2) when the shape changes too; the last is outer
    places: np.ndarray  # (T, 5) x, y, first and second half-axis, degrees


class Margins(NamedTuple):
    """q's marginals: densities (T, n) over places (n,), or a single Gaussian's means and sds (T, 2)."""

    x: np.ndarray
    across: np.ndarray
    y: np.ndarray
    along: np.ndarray
    normal: bool = False  # then across and along are (T, 2) means and sds


class Ways(NamedTuple):
    """Where the starts of a fit went: all centres (T, B, 2), the first of them the one that is shown."""

    centres: np.ndarray


def picture(
    truth: Truth,
    parts: Sequence[Part],
    margins: Margins,
    *,
    whole: Sequence[np.ndarray] = (),
    second: Sequence[np.ndarray] = (),
    ways: Ways | None = None,
    names: Sequence[str] = ("p(z|x): 10 to 90 % of its mass", "q: 50 and 90 %"),
    second_name: str = "",
    axes: tuple[str, str] = ("x", "y"),
    dark: bool = False,
    height: int = HEIGHT,
) -> tuple[Film, list[list[int]]]:
    """The film of q over the posterior, and for each part of q the traces of its outlines.

    Of several parts `whole` are the level lines (S, 2, 2) of all of q. `second` are closed lines (n, 2) of
    another q, dashed.
    """
    colours = theme.tokens(dark)
    film = Film(panel(truth, axes, colours, height), len(parts[0].places))
    if ways is not None:
        _draw_ways(film, ways, colours)
    for line in second:
        dashed = {"color": colours.q_mark, "width": 1.5, "dash": "5px,4px"}
        moving(film, scatter(mode="lines", line=dashed), line[None, :, 0], line[None, :, 1])
    traces = [_draw_part(film, part, len(parts) > 1, colours) for part in parts]
    for width, pieces in zip((2.5, 2.0), whole, strict=False):
        x, y = joined(pieces)
        line = {"color": colours.q_mark, "width": width}
        film.figure.add_trace(scatter(mode="lines", x=x, y=y, line=line, hoverinfo="skip"))
    draw_margins(film, margins, colours)
    make_room(film, truth, margins)
    _say(film.figure, [names[0], names[1], *([second_name] if second_name else [])], colours)
    return film, traces


# ---- the posterior and the axes ----


def panel(truth: Truth, axes: tuple[str, str], colours: Tokens, height: int) -> Drawing:
    """The axes, the posterior's regions and its marginals."""
    made = theme.figure(colours, height=height, margin=MARGIN, uirevision="plane")
    made.update_layout(**_axes(truth, axes))
    made.update_layout(images=[image(truth.filled, truth.x, truth.y)])
    (x, across), (y, along) = truth.marginals
    shade = {"fillcolor": fill(colours.posterior, 0.13), "line": {"color": colours.posterior, "width": 1.5}}
    made.add_trace(scatter(x=x.tolist(), y=across.tolist(), mode="lines", fill="tozeroy", yaxis="y2",
                           hoverinfo="skip", **shade))  # fmt: skip
    made.add_trace(scatter(x=along.tolist(), y=y.tolist(), mode="lines", fill="tozerox", xaxis="x2",
                           hoverinfo="skip", **shade))  # fmt: skip
    return made


def _axes(truth: Truth, names: tuple[str, str]) -> dict[str, Any]:
    (_, across), (_, along) = truth.marginals
    spans = [[float(line[0]), float(line[-1])] for line in (truth.x, truth.y)]
    hidden = {"visible": False, "fixedrange": True}
    return {
        "xaxis": {"title": {"text": names[0]}, "range": spans[0], "domain": [0, _WIDE]},
        "yaxis": {
            "title": {"text": names[1]},
            "range": spans[1],
            "domain": [0, _TALL],
            **({"scaleanchor": "x"} if truth.even else {}),
        },
        "xaxis2": {
            **hidden,
            "domain": [_WIDE + _APART, 1],
            "range": [0, _HEADROOM * float(along.max())],
            "anchor": "y",
        },
        "yaxis2": {
            **hidden,
            "domain": [_TALL + 2 * _APART, 1],
            "range": [0, _HEADROOM * float(across.max())],
            "anchor": "x",
        },
    }


def bands(log_density: np.ndarray, levels: np.ndarray, *, dark: bool = False) -> str:
    """The regions of (H, W) above each level, one upon another, with a line round each; nats.

    It is the address of a picture: contours of numbers would be the browser's work.
    """
    low = float(levels.min()) - _DEEP
    heights = np.maximum(np.nan_to_num(log_density, nan=low, neginf=low), low).astype(np.float32)
    fine = finer(heights, max(1, round(_SHARP * 180 / len(heights))))
    flat = 1.0 / np.maximum(np.hypot(*np.gradient(fine)), np.float32(1e-9))  # pixels a nat
    clear = np.ones_like(fine)
    for level in levels.tolist():
        away = (fine - np.float32(level)) * flat  # pixels from the line: one that it crosses is partly within
        clear *= 1.0 - _BAND * (away + 0.5).clip(0.0, 1.0)
        clear *= 1.0 - _LINE * (1.0 - np.abs(away)).clip(0.0, 1.0)
    strength = np.rint((_SHADES - 1) * (1.0 - clear)).astype(np.uint8)  # few shades make a small file
    colour = theme.rgb(theme.tokens(dark).posterior)
    return png_address(png_shades(strength[::-1], [(*colour, 4 * shade) for shade in range(_SHADES)]))


def finer(values: np.ndarray, times: int) -> np.ndarray:
    """So many times as many nodes along either side of a grid (n, n), straight between the old ones."""
    if times == 1:
        return values
    at = np.linspace(0.0, len(values) - 1.0, times * len(values))
    below = np.minimum(at.astype(int), len(values) - 2)
    share = (at - below).astype(values.dtype)
    rows = values[below] + share[:, None] * (values[below + 1] - values[below])
    return rows[:, below] + share * (rows[:, below + 1] - rows[:, below])


def image(source: str, x: np.ndarray, y: np.ndarray) -> dict[str, Any]:
    """A picture whose corners are the outer nodes of a grid."""
    return {
        "source": source, "xref": "x", "yref": "y", "sizing": "stretch", "layer": "below",
        "x": float(x[0]), "y": float(y[-1]), "sizex": float(x[-1] - x[0]), "sizey": float(y[-1] - y[0]),
    }  # fmt: skip


# ---- q ----


def affine(places: np.ndarray) -> np.ndarray:
    """(T, 6) what takes (u, v) to the ellipses (T, 5), in a film's order."""
    x, y, first, second, angle = places.T
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    return np.stack([x, first * cos, -second * sin, y, first * sin, second * cos], 1)


def _draw_part(film: Film, part: Part, thin: bool, colours: Tokens) -> list[int]:
    """Inner and outer outline; of one among several parts both are thin."""
    made = []
    for outline, width in zip(part.outlines, (2.5, 2.0), strict=True):
        line = {"color": fill(colours.q_mark, 0.75), "width": 1.25} if thin else {
            "color": colours.q_mark, "width": width}  # fmt: skip
        trace = scatter(mode="lines", line={**line, "simplify": False}, hoverinfo="skip")
        rows = affine(part.places)
        if outline.ndim == 2 and film.count > 1:
            film.figure.add_trace(trace)
            film.affine(film.last(), rows, outline[:, 0], outline[:, 1])
        else:
            uv = outline if outline.ndim == 3 else outline[None]
            a, b, c, d, e, f = (rows[:, k : k + 1] for k in range(6))
            moving(film, trace, a + b * uv[..., 0] + c * uv[..., 1], d + e * uv[..., 0] + f * uv[..., 1])
        made.append(film.last())
    return made


def draw_margins(film: Film, margins: Margins, colours: Tokens) -> None:
    """q's marginals at both sides."""
    line = {"color": colours.q_mark, "width": 2.0, "simplify": False}
    top = scatter(mode="lines", line=line, yaxis="y2", hoverinfo="skip")
    side = scatter(mode="lines", line=line, xaxis="x2", hoverinfo="skip")
    if not margins.normal:
        moving(film, top, np.tile(margins.x, (film.count, 1)), margins.across)
        moving(film, side, margins.along, np.tile(margins.y, (film.count, 1)))
        return
    height = np.exp(-0.5 * BELL**2) / np.sqrt(2.0 * np.pi)
    for trace, (mean, sd), turned in ((top, margins.across.T, False), (side, margins.along.T, True)):
        none = np.zeros_like(mean)
        place, tall = np.stack([mean, sd, none]), np.stack([none, none, 1.0 / sd])
        rows = np.concatenate([tall, place] if turned else [place, tall]).T
        film.figure.add_trace(trace)
        film.affine(film.last(), rows, BELL, height)


def make_room(film: Film, truth: Truth, margins: Margins) -> None:
    """Room for q's marginals where q is narrower than the posterior, in every frame."""
    across, along = (_top(own, told, margins.normal) for (_, own), told in
                     zip(truth.marginals, (margins.across, margins.along), strict=True))  # fmt: skip
    film.figure.update_layout(yaxis2={"range": [0, across]}, xaxis2={"range": [0, along]})


def _top(own: np.ndarray, told: np.ndarray, normal: bool) -> float:
    """The end of a marginal's axis: of the posterior's heights (n,), and of q's or its means and sds."""
    peak = 1.0 / (math.sqrt(2.0 * math.pi) * told[:, 1].min()) if normal else told.max()
    return float(max(_HEADROOM * own.max(), _ABOVE * peak))


def _draw_ways(film: Film, ways: Ways, colours: Tokens) -> None:
    """The paths of the centres, thin, with a dot where each ends; the one that is shown is thicker."""
    for b in range(ways.centres.shape[1])[::-1]:
        x, y = ways.centres[:, b].T
        line = {"width": 2.0 if b == 0 else 1.0, "color": fill(colours.q_mark, 1.0 if b == 0 else 0.6)}
        trace = scatter(mode="lines", line=line, hoverinfo="skip")
        moving(film, trace, x[None], y[None])
    ends = ways.centres[-1]
    dots = {"size": 6, "color": colours.q_mark, "opacity": 1, "line": {"width": 1, "color": colours.bg}}
    moving(film, scatter(mode="markers", marker=dots), ends[None, :, 0], ends[None, :, 1])


def _say(made: Drawing, words: Sequence[str], colours: Tokens) -> None:
    """The names in the upper left corner, one below another."""
    for i, (text, colour) in enumerate(
        zip(words, (colours.posterior, colours.q_text, colours.q_text), strict=False)
    ):
        made.add_annotation(
            text=text, showarrow=False, xref="x domain", x=0, xanchor="left", xshift=6, yref="y domain", y=1,
            yanchor="top", yshift=-3 - 17 * i, font={"size": 12, "color": colour},
            bgcolor=fill(colours.bg, 0.8), borderpad=1,
        )  # fmt: skip
