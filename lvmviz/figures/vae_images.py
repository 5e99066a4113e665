"""Grey images as one picture: tiles of ink on the page's own background."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence

import numpy as np

from lvmviz.figures import theme
from lvmviz.figures.drawing import Drawing
from lvmviz.figures.mixture_points import png
from lvmviz.figures.theme import Margin
from lvmviz.kept import kept

SHARP = 100  # px a picture has at least; the style sheet keeps its pixels square
KEPT = 32_000_000  # bytes of pictures that are kept
STRIP, GAP = 118, 0.12  # height of the strip, px; of a tile between tiles
MARGIN = 0.1  # of a tile, round it


def _told(pixels: np.ndarray, dark: bool) -> tuple[bytes, tuple[int, ...], bool]:
    return hashlib.sha256(pixels.tobytes()).digest(), pixels.shape, dark


@kept(KEPT, len, key=_told)
def ink(pixels: np.ndarray, dark: bool) -> str:
    """Grey values (H, W) from 0 to 1 as the address of a PNG: 1 is the colour of text, 0 nothing."""
    times = max(1, -(-SHARP // max(pixels.shape)))
    large = np.repeat(np.repeat(np.round(255 * np.clip(pixels, 0, 1)).astype(np.uint8), times, 0), times, 1)
    canvas = np.empty((*large.shape, 4), np.uint8)
    canvas[..., :3] = theme.rgb(theme.tokens(dark).text)
    canvas[..., 3] = large
    return f"data:image/png;base64,{base64.b64encode(png(canvas)).decode('ascii')}"


def mosaic(tiles: np.ndarray) -> np.ndarray:
    """Tiles (rows, columns, H, W) with the first row below as one image with the first row above."""
    edge = max(1, round(tiles.shape[2] * MARGIN))  # so that no tile runs into the next
    tiles = np.pad(tiles, ((0, 0), (0, 0), (edge, edge), (edge, edge)))
    rows, columns, height, width = tiles.shape
    return tiles[::-1].transpose(0, 2, 1, 3).reshape(rows * height, columns * width)


def columns_of(tops: np.ndarray, bottoms: np.ndarray) -> np.ndarray:
    """Two rows of images (n, H, W), one above the other, with a gap between the columns and rows."""
    count, height, width = tops.shape
    gap = max(1, round(GAP * width))
    made = np.zeros((2 * height + gap, count * (width + gap) - gap))
    for i, pair in enumerate(zip(tops, bottoms, strict=True)):
        left = i * (width + gap)
        made[:height, left : left + width], made[height + gap :, left : left + width] = pair
    return made


def reconstructions(
    x: np.ndarray, decoded: np.ndarray, names: Sequence[str], *, dark: bool = False, height: int = STRIP
) -> Drawing:
    """Images (n, H, W) above, what their q's means decode to below; `names` are told on hover."""
    colours = theme.tokens(dark)
    picture = columns_of(x, decoded)
    tall, wide = picture.shape
    made = theme.figure(
        colours,
        height=height,
        margin=Margin(58, 0, 2, 2),
        xaxis={"visible": False, "range": [0, wide], "fixedrange": True, "constrain": "domain"},
        yaxis={"visible": False, "range": [0, tall], "fixedrange": True, "scaleanchor": "x",
               "constrain": "domain"},
    )  # fmt: skip
    place = {"x": 0, "y": tall, "sizex": wide, "sizey": tall, "sizing": "stretch", "layer": "below"}
    made.update_layout(images=[{"source": ink(picture, dark), "xref": "x", "yref": "y", **place}])
    for text, y in (("x", 0.75), ("decoded", 0.25)):
        where = {"xref": "paper", "yref": "paper", "x": 0, "y": y, "xanchor": "right", "xshift": -8}
        made.add_annotation(text=text, showarrow=False, font={"size": 11, "color": colours.muted}, **where)
    each = wide / len(names)
    spots = {"x": [(i + 0.5) * each for i in range(len(names))] * 2, "y": [0.75 * tall] * len(names)}
    spots["y"] += [0.25 * tall] * len(names)
    marker = {"size": 30, "symbol": "square", "opacity": 0}
    made.add_trace({"type": "scatter", "mode": "markers", "marker": marker, "hovertext": [*names, *names],
                    "hoverinfo": "text", **spots})  # fmt: skip
    return made
