"""Images of probabilistic PCA: the mean and the components, and digits with hidden pixels over the filled."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence

import numpy as np

from lvmviz.figures import theme
from lvmviz.figures.drawing import Drawing, scatter
from lvmviz.figures.film import Film
from lvmviz.figures.mixture_points import png
from lvmviz.figures.theme import Margin, Tokens
from lvmviz.figures.vae_images import KEPT, SHARP
from lvmviz.kept import kept

HEIGHT = 150  # px
MARGIN = Margin(12, 12, 16, 2)
GAP, FOOT = 0.14, 0.36  # of a tile: between tiles; between the rows, where words stand
TINT = 96  # of 255: how opaque the orange of a hidden pixel is


def images(
    loadings: np.ndarray, seen: np.ndarray, hidden: np.ndarray, filled: np.ndarray,
    told: Sequence[Sequence[str]], *, dark: bool = False, height: int = HEIGHT,
) -> Film:  # fmt: skip
    """The mean and components (T, 1 + q, H, W), and digits as seen (n, H, W) over the filled (T, n, H, W).

    Pixels of `seen` that are `hidden` (n, H, W) have an orange that no grey value is. `told` says what each
    group of tiles is on hover: the first, the digits as seen, the filled.
    """
    colours, wide = theme.tokens(dark), seen.shape[-1]
    left = -(-loadings.shape[1] // 2)
    columns, step = left + 1 + len(seen), wide + max(1, round(GAP * wide))
    foot = max(1, round(FOOT * wide))
    tall = 2 * wide + foot
    places = [(step * (k % left), (k // left) * (wide + foot)) for k in range(loadings.shape[1])]
    rows = [[(step * (left + 1 + n), down) for n in range(len(seen))] for down in (0, wide + foot)]
    across = step * columns - (step - wide)
    film = Film(_figure(colours, height, across, tall), len(loadings))
    _paint(film, loadings, seen, hidden, filled, (places, *rows), (tall, across), dark)
    _frame_and_tell(film, [*places, *rows[0], *rows[1]], [word for group in told for word in group], wide,
                    tall, colours)  # fmt: skip
    orange = f'<span style="color:{colours.q_mark}">■</span>'
    hides = f"; {orange} hidden" if bool(hidden.any()) else ""
    _say(film, "mean, components", (0, tall), colours)
    _say(film, f"seen{hides}", (rows[0][0][0], tall), colours)
    _say(film, "filled by q", (rows[0][0][0], wide), colours)
    return film


def _figure(colours: Tokens, height: int, across: int, tall: int) -> Drawing:
    off = {"visible": False, "fixedrange": True, "constrain": "domain"}
    return theme.figure(
        colours, height=height, margin=MARGIN, hoverdistance=-1,
        xaxis={"range": [0, across], "constraintoward": "left", **off},
        yaxis={"range": [0, tall], "scaleanchor": "x", "constraintoward": "top", **off},
    )  # fmt: skip


def _paint(
    film: Film, loadings: np.ndarray, seen: np.ndarray, hidden: np.ndarray, filled: np.ndarray,
    places: tuple[list[tuple[int, int]], ...], size: tuple[int, int], dark: bool,
) -> None:  # fmt: skip
    """All tiles as one picture a frame."""
    side = seen.shape[-1]
    sources = []
    for first, last in zip(loadings, filled, strict=True):
        grey, covered = np.zeros(size), np.zeros(size, bool)
        for group, tiles in zip(places, (first, seen, last), strict=True):
            for (x, y), tile in zip(group, tiles, strict=True):
                grey[y : y + side, x : x + side] = tile
        for (x, y), tile in zip(places[1], hidden, strict=True):
            covered[y : y + side, x : x + side] = tile
        sources.append(_ink(grey, covered, dark))
    where = {"x": 0, "y": size[0], "sizex": size[1], "sizey": size[0], "sizing": "stretch", "layer": "below"}
    film.figure.update_layout(images=[{"source": sources[0], "xref": "x", "yref": "y", **where}])
    film.values(None, "images[0].source", sources)


def _told(grey: np.ndarray, hidden: np.ndarray, dark: bool) -> tuple[bytes, tuple[int, ...], bool]:
    return hashlib.sha256(grey.tobytes() + hidden.tobytes()).digest(), grey.shape, dark


@kept(KEPT, len, key=_told)
def _ink(grey: np.ndarray, hidden: np.ndarray, dark: bool) -> str:
    """Grey values (H, W) from 0 to 1 as the address of a PNG, hidden ones in q's orange, which fills them."""
    times = max(1, -(-SHARP // max(grey.shape)))
    canvas = np.empty((*grey.shape, 4), np.uint8)
    canvas[..., :3] = theme.rgb(theme.tokens(dark).text)
    canvas[..., 3] = np.round(255 * np.clip(grey, 0, 1))
    canvas[hidden] = [*theme.rgb(theme.tokens(dark).q_mark), TINT]
    large = np.repeat(np.repeat(canvas, times, 0), times, 1)
    return f"data:image/png;base64,{base64.b64encode(png(large)).decode('ascii')}"


def _frame_and_tell(
    film: Film, corners: list[tuple[int, int]], told: list[str], side: int, tall: int, colours: Tokens
) -> None:
    """A thin frame round each tile, and an unseen mark in its middle that says what it is."""
    line = {"width": 1, "color": colours.border}
    for x, y in corners:
        place = {"x0": x, "x1": x + side, "y0": tall - y - side, "y1": tall - y}
        film.figure.add_shape(type="rect", line=line, layer="below", **place)
    middles = [(x + side / 2, tall - y - side / 2) for x, y in corners]
    spot = {"size": 40, "symbol": "square", "opacity": 0}
    x, y = (list(part) for part in zip(*middles, strict=True))
    film.figure.add_trace(scatter(x=x, y=y, mode="markers", marker=spot, hovertext=told, hoverinfo="text"))


def _say(film: Film, text: str, at: tuple[float, float], colours: Tokens) -> None:
    """Words over the tile whose upper left corner is here."""
    font = {"size": 11, "color": colours.muted}
    place = {"x": at[0], "y": at[1], "xanchor": "left", "yanchor": "bottom", "borderpad": 1}
    film.figure.add_annotation(text=text, font=font, showarrow=False, **place)
