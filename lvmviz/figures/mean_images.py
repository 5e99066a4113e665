"""Mixtures of images: a tile for every component, with its weight and its share of q, and rows of images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from lvmviz.figures import theme
from lvmviz.figures.drawing import Drawing, scatter
from lvmviz.figures.film import Film
from lvmviz.figures.marks import annotate
from lvmviz.figures.theme import Margin, Tokens
from lvmviz.figures.vae_images import ink

HEIGHT, STRIP = 318, 86  # px
FOOT = 37  # px below a tile, for its bars, its words and the next disc
MOST = 1.35  # times as large as on a narrow screen a tile may be: what stands below it shrinks with it
DOWN = 6  # px from a tile's corner to its disc's middle
WIDTHS = (906, 490)  # px a picture has on a wide and on a narrow screen
GAP = 0.16  # of a tile, between tiles
LETTERS = 12  # of more tiles than these, the words below are numbers alone
MARGIN = Margin(12, 12, 12, 2)  # room for half a disc


class Shown(NamedTuple):
    """What is shown of the components of a mixture of images at every frame."""

    images: np.ndarray  # (T, K, H, W) from 0 to 1
    weights: np.ndarray  # (T, K) pi
    counts: np.ndarray  # (T, K) N_k
    told: Sequence[Sequence[str]]  # (T, K) said of a tile on hover


class Tiles(NamedTuple):
    """Where tiles of H x W stand, in rows; a unit is a pixel of theirs, y upwards, (0, 0) the lowest left."""

    count: int
    columns: int
    height: int  # H
    width: int  # W
    foot: int  # below each tile
    empty: float = 0.0  # below all

    @property
    def gap(self) -> int:
        return max(1, round(GAP * self.width))

    @property
    def rows(self) -> int:
        return -(-self.count // self.columns)

    @property
    def size(self) -> tuple[int, int]:
        """Across and up."""
        return self.columns * (self.width + self.gap) - self.gap, self.rows * (self.height + self.foot)

    def corners(self) -> np.ndarray:
        """The upper left corners (count, 2)."""
        row, column = np.divmod(np.arange(self.count), self.columns)
        up = self.size[1] - row * (self.height + self.foot)
        return np.stack([column * (self.width + self.gap), up], 1).astype(float)

    def discs(self) -> np.ndarray:
        """The middles of the numbered discs (count, 2), on the left edges."""
        return self.corners() - [0.0, DOWN / FOOT * self.foot]

    def middles(self) -> np.ndarray:
        """The middles of the tiles (count, 2)."""
        return self.corners() + [0.5 * self.width, -0.5 * self.height]

    def canvas(self, images: np.ndarray) -> np.ndarray:
        """All images (count, H, W) as one picture; nothing between them."""
        across, up = self.size
        made = np.zeros((up, across))
        for (x, y), image in zip(self.corners().astype(int).tolist(), images, strict=True):
            made[up - y : up - y + self.height, x : x + self.width] = image
        return made


def grid(shown: Shown, *, chosen: int = 0, dark: bool = False, height: int = HEIGHT) -> Film:
    """The components as tiles, with bars and words for pi (green) and N_k / N (orange) below each.

    The trace on top is a ring round the number of the `chosen` one, from 0; a tile is picked by its number.
    """
    colours = theme.tokens(dark)
    count, tall, wide = shown.images.shape[1:]
    tiles = _tiles(count, (tall, wide), height)
    film = Film(_figure(tiles, colours, height, MARGIN), len(shown.images))
    _draw_images(film, tiles, shown.images, dark)
    _draw_shares(film, tiles, shown, colours)
    _draw_spots(film, tiles, shown.told, list(range(1, count + 1)))
    _draw_discs(film, tiles, colours)
    x, y = tiles.discs()[chosen].tolist()
    line = {"width": 2, "color": colours.text}
    ring = {"size": 25, "symbol": "circle-open", "opacity": 1, "line": line, "color": colours.text}
    film.figure.add_trace(
        scatter(x=[x], y=[y], mode="markers", marker=ring, hoverinfo="skip", cliponaxis=False)
    )
    return film


def place(count: int, shape: tuple[int, int], index: int, height: int = HEIGHT) -> tuple[float, float]:
    """Where the ring round a tile's number stands in a `grid` of so many."""
    x, y = _tiles(count, shape, height).discs()[index].tolist()
    return x, y


def _tiles(count: int, shape: tuple[int, int], height: int) -> Tiles:
    """The tiles of a `grid`, with room for bars and words below each."""
    tall, wide = shape
    columns = best_columns(count, wide / tall, height)
    large, small = (_side(columns, count, wide / tall, height, width) for width in WIDTHS)
    side = min(large, MOST * small)
    tiles = Tiles(count, columns, tall, wide, max(1, round(FOOT / side * tall)))
    return tiles._replace(empty=max(0.0, (height - MARGIN.t - MARGIN.b) * tall / side - tiles.size[1]))


def strip(
    images: np.ndarray, told: Sequence[Sequence[str]], sizes: Sequence[int], *,
    words: Sequence[Sequence[str]] = (), numbered: bool = False, dark: bool = False, height: int = STRIP,
) -> Film:  # fmt: skip
    """Images (T, n, H, W) in one row, in groups of these sizes, with words (T, G) above them."""
    colours = theme.tokens(dark)
    frames, count, tall, wide = images.shape
    spaces, starts = len(sizes) - 1, _starts(sizes)
    tiles = Tiles(count + spaces, count + spaces, tall, wide, 0)
    at = np.concatenate([np.arange(size) + start for start, size in zip(starts, sizes, strict=True)])
    made = np.zeros((frames, count + spaces, tall, wide))
    made[:, at] = images
    margin = Margin(12, 12, 15 if words else 12, 2)
    film = Film(_figure(tiles, colours, height, margin, "left", at), frames)
    _draw_images(film, tiles, made, dark)
    _draw_spots(film, tiles, told, [], at)
    if numbered:
        _draw_discs(film, tiles, colours)
    note = {"xanchor": "left", "yanchor": "bottom", "showarrow": False, "borderpad": 1}
    for group, said in enumerate(zip(*words, strict=True)):
        x, y = tiles.corners()[starts[group]].tolist()
        font = {"size": 11, "color": colours.muted}
        annotate(film, {"x": x, "y": y, "font": font, **note}, {"text": list(said)})
    return film


def _starts(sizes: Sequence[int]) -> list[int]:
    """The place where each group starts; one is left free between two."""
    return [sum(sizes[:i]) + i for i in range(len(sizes))]


def best_columns(count: int, aspect: float, height: int) -> int:
    """In how many columns tiles of W / H = aspect are largest, on a wide and on a narrow screen together."""
    sides = [
        (sum(_side(columns, count, aspect, height, width) for width in WIDTHS), -columns)
        for columns in range(1, count + 1)
    ]
    return -max(sides)[1]


def _side(columns: int, count: int, aspect: float, height: int, width: int) -> float:
    """How high each tile is, px."""
    rows = -(-count // columns)
    room = (height - MARGIN.t - MARGIN.b) / rows - FOOT
    return max(1.0, min(room, (width - MARGIN.l - MARGIN.r) / (columns * (1 + GAP) - GAP) / aspect))


def _figure(
    tiles: Tiles, colours: Tokens, height: int, margin: Margin, toward: str = "center",
    which: np.ndarray | None = None,
) -> Drawing:  # fmt: skip
    """Axes in the tiles' units, and a thin frame round each tile, or round some of them."""
    across, up = tiles.size
    off = {"visible": False, "fixedrange": True, "constrain": "domain"}
    made = theme.figure(
        colours, height=height, margin=margin, hoverdistance=-1,  # of a tile: the whole of it is hovered
        xaxis={"range": [0, across], "constraintoward": toward, **off},
        yaxis={"range": [-tiles.empty, up], "scaleanchor": "x", "constraintoward": "top", **off},
    )  # fmt: skip
    corners = tiles.corners() if which is None else tiles.corners()[which]
    for x, y in corners.tolist():
        line = {"width": 1, "color": colours.border}
        made.add_shape(
            type="rect", x0=x, x1=x + tiles.width, y0=y - tiles.height, y1=y, line=line, layer="below"
        )
    return made


def _draw_images(film: Film, tiles: Tiles, images: np.ndarray, dark: bool) -> None:
    """All tiles as one picture, painted once where neighbouring frames are the same."""
    sources = [ink(tiles.canvas(frame), dark) for frame in images]
    across, up = tiles.size
    where = {"x": 0, "y": up, "sizex": across, "sizey": up, "sizing": "stretch", "layer": "below"}
    film.figure.update_layout(images=[{"source": sources[0], "xref": "x", "yref": "y", **where}])
    film.values(None, "images[0].source", sources)


def _draw_shares(film: Film, tiles: Tiles, shown: Shown, colours: Tokens) -> None:
    """Two bars below each tile, and two words: q's share, which E moves, and theta's, which M moves."""
    shares = shown.counts / np.maximum(shown.counts.sum(1, keepdims=True), 1e-300)
    most = max(float(shares.max()), float(shown.weights.max()))
    letters = tiles.count <= LETTERS
    pis = [[f"{'π ' * letters}{theme.number(w, 3)}" for w in row] for row in shown.weights.tolist()]
    sizes = [[f"{'N ' * letters}{theme.number(n, 0)}" for n in row] for row in shown.counts.tolist()]
    left, bottom = (tiles.corners() - [0, tiles.height]).T
    bars = ((shares, 0.14, colours.q_mark), (shown.weights, 0.28, colours.theta_mark))
    for values, down, colour in bars:
        _draw_bars(film, tiles, values / most, left, bottom - down * tiles.foot, colour)
    words = ((pis, left, "bottom right", colours.theta_text),
             (sizes, left + tiles.width, "bottom left", colours.q_text))  # fmt: skip
    unseen = {"size": 6, "opacity": 0}  # a mark whose size keeps the words off the bars
    for texts, x, side, colour in words:
        trace = scatter(
            x=x.tolist(), y=(bottom - 0.28 * tiles.foot).tolist(), mode="markers+text", text=texts[0],
            marker=unseen, textposition=side, textfont={"size": 11, "color": colour}, hoverinfo="skip",
            cliponaxis=False,
        )  # fmt: skip
        film.figure.add_trace(trace)
        film.values(film.last(), "text", texts)


def _draw_bars(
    film: Film, tiles: Tiles, lengths: np.ndarray, left: np.ndarray, y: np.ndarray, colour: str
) -> None:
    """Bars of these lengths (T, K), in tiles; a break after each."""
    ends = left + tiles.width * lengths
    x = np.stack([np.broadcast_to(left, ends.shape), ends, np.full_like(ends, np.nan)], 2)
    line = {"width": 3.5, "color": colour}
    up = np.stack([y, y, np.full_like(y, np.nan)], 1).ravel().tolist()
    film.figure.add_trace(
        scatter(x=x[0].ravel().tolist(), y=up, mode="lines", line=line, hoverinfo="skip", cliponaxis=False)
    )
    film.numbers(film.last(), "x", x.reshape(len(x), -1))


def _draw_spots(
    film: Film, tiles: Tiles, told: Sequence[Sequence[str]], picks: list[int], which: np.ndarray | None = None
) -> None:
    """What a tile says and is picked by: an unseen mark in its middle."""
    x, y = (tiles.middles() if which is None else tiles.middles()[which]).T.tolist()
    spot: dict[str, Any] = {"size": 40, "symbol": "square", "opacity": 0}
    more = {"customdata": picks} if picks else {}
    trace = scatter(x=x, y=y, mode="markers", marker=spot, hovertext=list(told[0]), hoverinfo="text", **more)
    film.figure.add_trace(trace)
    film.values(film.last(), "hovertext", [list(row) for row in told])


def _draw_discs(film: Film, tiles: Tiles, colours: Tokens) -> None:
    """The components' numbers in rings of their colours, on the corners of their tiles."""
    x, y = tiles.discs().T.tolist()
    rings = {"width": 2, "color": list(colours.categories[: tiles.count])}
    film.figure.add_trace(
        scatter(
            x=x, y=y, mode="markers+text", text=[str(k + 1) for k in range(tiles.count)],
            textfont={"size": 12, "weight": 600, "color": colours.text}, cliponaxis=False, hoverinfo="skip",
            marker={"size": 19, "color": colours.bg, "opacity": 1, "line": rings},
        )
    )  # fmt: skip
