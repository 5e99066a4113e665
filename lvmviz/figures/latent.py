"""The latent plane as pictures: tinted tiles, signed maps, the posterior against q, a strip of frames."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.ndimage

from lvmviz.figures import theme
from lvmviz.figures.drawing import Drawing, Trace, scatter
from lvmviz.figures.mixture_points import png
from lvmviz.figures.theme import Margin
from lvmviz.figures.vae_images import ink

FAINT = 0.22  # ink where no training image lives
LEVELS = (0.05, 0.25, 0.5, 0.8)  # of the posterior's top, where its contours run
POSTERIOR, WALK = 262, 76  # heights, px
SHARP, FILL, LINE = 4, 0.28, 0.45  # pixels a node; strengths of a level and of the line round it


def address(pixels: np.ndarray) -> str:
    """A picture (H, W, 4) uint8 as the address of a PNG."""
    return png_address(png(np.ascontiguousarray(pixels)))


def png_address(file: bytes) -> str:
    """A PNG file as an address."""
    return f"data:image/png;base64,{base64.b64encode(file).decode('ascii')}"


def sprite(tiles: np.ndarray) -> str:
    """Grey tiles (rows, columns, H, W) uint8, the first row on top, as one picture: grey in red, opaque."""
    rows, columns, height, width = tiles.shape
    grey = tiles.transpose(0, 2, 1, 3).reshape(rows * height, columns * width)
    return address(np.stack([grey, grey, grey, np.full_like(grey, 255)], -1))


def manifold(tiles: np.ndarray, amount: np.ndarray, shares: np.ndarray, *, dark: bool = False) -> str:
    """Tiles (side, side, H, W) uint8, the first row below: in their class's colour, faint where none is."""
    side, _, height, width = tiles.shape
    colour = np.full((side, side, 3), theme.rgb(theme.tokens(dark).text), np.uint8)
    if shares.shape[-1]:
        sharp = shares**2 / (shares**2).sum(-1, keepdims=True)  # the class of most of them
        tint = theme.mix(sharp[..., : len(theme.tokens(dark).categories)], dark)
        grey = np.array(theme.rgb(theme.tokens(dark).muted))
        colour = np.round(amount[..., None] * tint + (1.0 - amount[..., None]) * grey).astype(np.uint8)
    strength = FAINT + (1.0 - FAINT) * amount
    edge = max(1, round(height * 0.06))
    padded = np.pad(tiles, ((0, 0), (0, 0), (edge, edge), (edge, edge)))[::-1]
    alpha = np.round(padded * strength[::-1, :, None, None]).astype(np.uint8)
    ink_of = np.broadcast_to(colour[::-1, :, None, None], (*alpha.shape, 3))
    whole = np.concatenate([ink_of, alpha[..., None]], -1).transpose(0, 2, 1, 3, 4)
    return address(whole.reshape(side * (height + 2 * edge), side * (width + 2 * edge), 4))


def signed(values: np.ndarray, *, dark: bool = False) -> str:
    """A map (side, side), the first row below: blue above 0, red below, nothing at 0."""
    colours = theme.tokens(dark)
    above, below = np.array(theme.rgb(colours.posterior)), np.array(theme.rgb(colours.gap))
    top = float(np.abs(values).max()) or 1.0
    strength = np.round(255 * np.sqrt(np.abs(values) / top)).astype(np.uint8)
    body = np.where((values > 0)[..., None], above, below).astype(np.uint8)
    return address(np.concatenate([body, strength[..., None]], -1)[::-1])


def amount(values: np.ndarray, *, dark: bool = False) -> str:
    """A map (side, side) of what is nowhere negative, the first row below: more is more ink."""
    ink_of = np.broadcast_to(theme.rgb(theme.tokens(dark).text), (*values.shape, 3)).astype(np.uint8)
    strength = np.round(230 * values / (float(values.max()) or 1.0)).astype(np.uint8)
    return address(np.concatenate([ink_of, strength[..., None]], -1)[::-1])


def levels(density: np.ndarray, colour: str) -> str:
    """Where a density (H, W), the first row below, is above each level: filled, with a line round it.

    A picture: contours of numbers would be a hundred thousand characters, and the browser's work.
    """
    fine = np.asarray(scipy.ndimage.zoom(density / float(density.max()), SHARP, order=1))
    steep = np.maximum(np.hypot(*np.gradient(fine)), 1e-9)  # a pixel
    clear = np.ones_like(fine)
    for level in LEVELS:
        away = (fine - level) / steep  # pixels from the line: a pixel that it crosses is partly within
        clear *= 1.0 - FILL * np.clip(away + 0.5, 0.0, 1.0)
        clear *= 1.0 - LINE * np.clip(1.0 - np.abs(away), 0.0, 1.0)
    strength = 1.0 - clear
    body = np.broadcast_to(np.array(theme.rgb(colour), np.uint8), (*fine.shape, 3))
    return address(np.concatenate([body, np.round(255 * strength).astype(np.uint8)[..., None]], -1)[::-1])


def across(line: np.ndarray, times: int) -> tuple[float, float]:
    """Where a picture of so many pixels a node begins, and its size; its corners are the outer nodes."""
    pixel = float(line[-1] - line[0]) / (times * len(line) - 1)
    return float(line[0]) - 0.5 * pixel, float(line[-1] - line[0]) + pixel


def ellipse(mean: np.ndarray, factor: np.ndarray, sds: float, points: int = 61) -> np.ndarray:
    """The line (2, points) so many standard deviations round a Gaussian of two latents."""
    turn = np.linspace(0.0, 2.0 * math.pi, points)
    return mean[:, None] + sds * factor @ np.stack([np.cos(turn), np.sin(turn)])


def outline(around: np.ndarray, line: dict[str, Any], **more: Any) -> Trace:
    """A closed line (2, n) as a trace of a figure."""
    x, y = around.tolist()
    return scatter(x=x, y=y, mode="lines", hoverinfo="skip", line=line, **more)


def posterior(first: np.ndarray, second: np.ndarray, density: np.ndarray, mean: np.ndarray,
              factor: np.ndarray, *, dark: bool = False, height: int = POSTERIOR) -> Drawing:  # fmt: skip
    """Filled contours of p(z | x) (H, W), and q's 1 and 2 standard deviations as lines."""
    colours = theme.tokens(dark)
    around = [ellipse(mean, factor, sds) for sds in (1.0, 2.0)]
    seen = density >= LEVELS[0] * density.max()
    spans = [_span(line, seen.any(axis), around[1][k])
             for k, (line, axis) in enumerate(((first, 0), (second, 1)))]  # fmt: skip
    axes = [{"range": list(span), **theme.ticks(*span, 4)} for span in spans]
    made = theme.figure(
        colours, height=height, margin=Margin(34, 4, 4, 28), xaxis=axes[0],
        yaxis={**axes[1], "scaleanchor": "x"},
    )  # fmt: skip
    (left, wide), (low, tall) = (across(line, SHARP) for line in (first, second))
    made.update_layout(images=[{
        "source": levels(density, colours.posterior), "xref": "x", "yref": "y", "sizing": "stretch",
        "layer": "below", "x": left, "y": low + tall, "sizex": wide, "sizey": tall,
    }])  # fmt: skip
    for one, width in zip(around, (2.25, 1.25), strict=True):
        made.add_trace(outline(one, {"color": colours.q_mark, "width": width}))
    _say(made, "p(z|x)", colours.posterior, 1.0, "right")
    _say(made, "q, 1 and 2 sd", colours.q_text, 0.0, "left")
    return made


def _span(line: np.ndarray, seen: np.ndarray, around: np.ndarray) -> tuple[float, float]:
    """From where to where an axis goes, so that contours and ellipse are seen."""
    low, high = min(line[seen].min(), around.min()), max(line[seen].max(), around.max())
    room = 0.12 * (high - low)
    return float(low - room), float(high + room)


def _say(made: Drawing, text: str, colour: str, x: float, anchor: str) -> None:
    made.add_annotation(text=text, showarrow=False, xref="paper", yref="paper", x=x, xanchor=anchor, y=1.0,
                        yanchor="top", font={"size": 12, "color": colour})  # fmt: skip


def strip(images: np.ndarray, names: Sequence[str], *, dark: bool = False, height: int = WALK,
          below: float = 0.0) -> Drawing:  # fmt: skip
    """Images (n, H, W) from 0 to 1 side by side; `below` px are left for their names."""
    count, tall, wide = images.shape
    gap = max(1, round(0.3 * wide))
    row = np.pad(images, ((0, 0), (0, 0), (0, gap))).transpose(1, 0, 2).reshape(tall, -1)[:, :-gap]
    made = theme.figure(
        theme.tokens(dark), height=height, margin=Margin(0, 0, 2, round(below)),
        xaxis={"visible": False, "range": [0, row.shape[1]], "fixedrange": True, "constrain": "domain"},
        yaxis={"visible": False, "range": [0, tall], "scaleanchor": "x", "constrain": "domain"},
    )  # fmt: skip
    made.update_layout(images=[{"source": ink(row, dark), "xref": "x", "yref": "y", "x": 0, "y": tall,
                                "sizex": row.shape[1], "sizey": tall, "sizing": "stretch"}])  # fmt: skip
    middles = [(i + 0.5) * wide + i * gap for i in range(count)]
    made.add_trace(scatter(x=middles, y=[tall / 2] * count, mode="markers", hovertext=list(names),
                           hoverinfo="text", marker={"size": 30, "opacity": 0}))  # fmt: skip
    if below:
        font = {"size": 11, "color": theme.tokens(dark).muted}
        for x, name in zip(middles, names, strict=True):
            made.add_annotation(text=name, showarrow=False, x=x, y=0, yanchor="top", font=font)
    return made
