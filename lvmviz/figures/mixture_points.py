"""The points that a mixture explains: a mark for each, or, where they are many, their density in cells."""

from __future__ import annotations

import base64
import html
import struct
import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from lvmviz.figures import theme
from lvmviz.figures.drawing import scatter
from lvmviz.figures.film import Film
from lvmviz.figures.mixture_marks import add
from lvmviz.figures.theme import Tokens
from lvmviz.kept import kept
from lvmviz.summaries.em import SAMPLE, Cells, Responsibilities, sample

MOST_POINTS = SAMPLE
DENSE = 20_000  # more points than these are drawn as cells
GRID = (160, 60)  # cells across and up: about 5 px each
BARS = (120,)
PAINTED = 64_000_000  # bytes of pictures that are kept
_WIDTHS = 0.35, 3.0  # the narrowest and the widest mark of a weighted point, in those of others
_FAINTEST, _LEVELS, _SHADES = 0.2, 16, 52  # of a cell with one point; steps of opacity and of colour


class Shown(NamedTuple):
    """What both pictures of a mixture show, whatever the number of columns."""

    resp: Sequence[np.ndarray]  # T times (n, K): q of the drawn rows, or in the middle of the filled cells
    weights: np.ndarray  # (T, K)
    rows: np.ndarray | None = None  # (n,) which points are drawn; None: q is that of all of them
    labels: np.ndarray | None = None  # (N,) indices into label_names
    label_names: Sequence[str] = ()
    collapsed: np.ndarray | None = None  # (T, K) bool, components without a density
    clicked: np.ndarray | None = None  # (M, 2), in one dimension (M,): centres placed by hand
    cells: Cells | None = None  # drawn in place of points
    known: np.ndarray | None = None  # (N,) the component whose point it is known to be, -1: unknown
    point_weights: np.ndarray | None = None  # (N,) how often each point counts


def drawn(count: int) -> tuple[np.ndarray, str]:
    """Which rows of so many points are drawn, and a note when these are not all."""
    rows = sample(count)
    if len(rows) == count:
        return rows, ""
    return rows, f"{len(rows):,} of {count:,} points are drawn, chosen at random; all of them are used."


def told(count: int, columns: int, weighted: bool = False) -> str:
    """The sentence on how so many points of so many columns are drawn; empty where each has its own mark."""
    if count <= DENSE:
        area = "A row counts as often as its weight says: the larger its mark, the more." if weighted else ""
        return f"{drawn(count)[1]} {area}".strip()
    alone = ", from these two columns alone" if columns > 2 else ""
    if columns == 1:
        return f"{count:,} points as a histogram: a bar's colour is q in its middle."
    return (
        f"{count:,} points as a density: a cell's colour is q in its middle{alone}, "
        f"its opacity the log of its {'weight' if weighted else 'count'}."
    )


def labels_told(known: np.ndarray | None) -> str:
    """The sentence on the labels (N,) that are shown; empty where none is."""
    if known is None:
        return ""
    marks = "" if len(known) > DENSE else " (diamonds)"
    return (
        f"{(known >= 0).sum():,} of {len(known):,} labels are revealed{marks}: there q is certain. "
        "The first class is component 1, and so on."
    )


def plain(text: str) -> str:
    """A person's own words, as words: no tags and no template fields."""
    return html.escape(text, quote=False).replace("%{", "%&#123;")


def draw_points(
    film: Film, points: np.ndarray, shown: Shown, rows: np.ndarray, columns: Sequence[str], dark: bool
) -> None:
    """The rows' points (n, 2) in the mixed colours of their q; strokes of a rug where there is one column."""
    colours = theme.tokens(dark)
    mixed = _mixed(shown.resp, dark)
    first = _css(mixed[0])
    rug = len(columns) == 1
    where = "<br>".join(f"{plain(name)} %{{{axis}}}" for name, axis in zip(columns, "xy", strict=False))
    sizes = _sizes(rows, shown.point_weights)
    trace = scatter(
        x=points[:, 0].tolist(),
        y=points[:, 1].tolist(),
        mode="markers",
        marker=_strokes(first, sizes) if rug else _dots(first, sizes, colours),
        hovertext=_rows_told(rows, shown),
        text="",
        hovertemplate=f"%{{hovertext}}<br>{where}%{{text}}<extra></extra>",
    )
    index = add(film, trace)
    film.colours(index, "marker.line.color" if rug else "marker.color", mixed)
    film.shares(index, "text", shown.resp)


def draw_known(
    film: Film, points: np.ndarray, shown: Shown, rows: np.ndarray, columns: Sequence[str], dark: bool
) -> None:
    """The points (n, 2) of these rows that show their label: diamonds in their component's colour."""
    if shown.known is None:
        return
    colours, here = theme.tokens(dark), np.flatnonzero(shown.known[rows] >= 0)
    where = "<br>".join(f"{plain(name)} %{{{axis}}}" for name, axis in zip(columns, "xy", strict=False))
    trace = scatter(
        x=points[here, 0].tolist(),
        y=points[here, 1].tolist(),
        mode="markers",
        marker={
            "symbol": "diamond",
            "size": float(np.clip(12.0 * (60 / max(len(here), 1)) ** 0.25, 7.0, 12.0)),
            "color": [colours.categories[k] for k in shown.known[rows[here]].tolist()],
            "opacity": 1,
            "line": {"width": 1.5, "color": colours.text},
        },
        hovertext=_rows_told(rows[here], shown),
        hovertemplate=f"%{{hovertext}}<br>{where}<extra></extra>",
    )
    add(film, trace)


def _sizes(rows: np.ndarray, weights: np.ndarray | None) -> np.ndarray | None:
    """How many times as wide as others a row's mark is (n,): its area is its weight, within limits."""
    if weights is None:
        return None
    return np.clip(np.sqrt(weights[rows] / weights[weights > 0].mean()), *_WIDTHS)


def _dots(colour: list[str], sizes: np.ndarray | None, colours: Tokens) -> dict[str, Any]:
    """Round marks with a halo; smaller when there are many, which hide each other."""
    size = float(np.clip(8.5 * (400 / max(len(colour), 1)) ** 0.25, 5.0, 8.5))
    return {
        "size": size if sizes is None else np.round(size * sizes, 2).tolist(),
        "color": colour,
        "opacity": 1,
        "line": {"width": 1 if size > 6 else 0.5, "color": colours.bg},
    }


def _strokes(colour: list[str], sizes: np.ndarray | None) -> dict[str, Any]:
    """The strokes of a rug; of weighted points the length is the weight, within limits."""
    size = 14 if sizes is None else np.round(14 * np.clip(sizes**2, *_WIDTHS), 2).tolist()
    return {"symbol": "line-ns", "size": size, "opacity": 1, "line": {"width": 1.5, "color": colour}}


def _rows_told(rows: np.ndarray, shown: Shown) -> list[str]:
    """Row numbers from 1, with the label where there is one, whether EM is shown it, and the weight."""
    return [f"row {row + 1}{_label_told(row, shown)}{_weight_told(row, shown)}" for row in rows.tolist()]


def _label_told(row: int, shown: Shown) -> str:
    label = -1 if shown.labels is None else int(shown.labels[row])
    name = plain(shown.label_names[label]) if 0 <= label < len(shown.label_names) else ""
    if shown.known is not None and shown.known[row] >= 0:
        return f"<br>label revealed: {name}"
    return f", {name}" if name else ""


def _weight_told(row: int, shown: Shown) -> str:
    return "" if shown.point_weights is None else f"<br>weight {shown.point_weights[row]:.4g}"


def _mixed(resp: Sequence[np.ndarray], dark: bool) -> np.ndarray:
    """The mixed colours (T, n, 3) of every frame, mixed once where neighbours share their q."""
    made: list[np.ndarray] = []
    last = None
    for q in resp:
        made.append(made[-1] if q is last else theme.mix(q, dark))
        last = q
    return np.stack(made)


def _css(colours: np.ndarray) -> list[str]:
    """sRGB bytes (n, 3) as a browser reads them."""
    return ["rgb({},{},{})".format(*colour) for colour in colours.tolist()]


# ---- cells ----


def draw_density(film: Film, cells: Cells, resp: Responsibilities, dark: bool) -> None:
    """The filled cells of two columns as one picture under everything, in the colours of q at every frame."""
    low, high = cells.low, cells.high
    sources = [_picture(cells, resp, t, dark) for t in range(len(resp))]
    place = {"x": low[0], "y": high[1], "sizex": high[0] - low[0], "sizey": high[1] - low[1]}
    where = {"xref": "x", "yref": "y", "xanchor": "left", "yanchor": "top", "sizing": "stretch"}
    film.figure.update_layout(images=[{"source": sources[0], "layer": "below", **place, **where}])
    film.values(None, "images[0].source", sources)


def _which(cells: Cells, resp: Responsibilities, frame: int, dark: bool) -> tuple[object, ...]:
    return cells.low, cells.high, cells.counts.shape, cells.counts.tobytes(), resp.key(frame), dark


@kept(PAINTED, len, key=_which)
def _picture(cells: Cells, resp: Responsibilities, frame: int, dark: bool) -> str:
    """One frame as a PNG, painted once however long the trace grows; few shades, so that it is small."""
    column, row = cells.filled().T
    row = cells.counts.shape[1] - 1 - row
    canvas = np.zeros((*cells.counts.shape[::-1], 4), np.uint8)
    canvas[row, column, 3] = _opacities(cells)
    step = 255 / (_SHADES - 1)
    canvas[row, column, :3] = np.round(np.round(theme.mix(resp[frame], dark) / step) * step)
    return f"data:image/png;base64,{base64.b64encode(png(canvas)).decode('ascii')}"


def _opacities(cells: Cells) -> np.ndarray:
    """How much of a filled cell's colour shows (n,) uint8: the logarithm of its count, at least a point's."""
    heights = np.log(np.maximum(cells.counts[tuple(cells.filled().T)] / cells.unit, 1.0))
    share = _FAINTEST + (1 - _FAINTEST) * heights / max(float(heights.max()), 1e-9)
    return np.round(255 * np.round(share * _LEVELS) / _LEVELS).astype(np.uint8)


def png(pixels: np.ndarray) -> bytes:
    """A picture (height, width, 4) of sRGB and opacity, uint8, as a PNG file (ISO/IEC 15948)."""
    height, width, _ = pixels.shape
    lines = pixels.reshape(height, -1)
    up = np.diff(lines, axis=0, prepend=np.zeros_like(lines[:1]))  # filter 2: what the line above has not
    return _file(up, 2, width, 6, b"")


def png_shades(index: np.ndarray, palette: Sequence[tuple[int, int, int, int]]) -> bytes:
    """A picture (height, width) uint8 of at most 256 colours (red, green, blue, opacity), as a PNG file."""
    colours = np.array(palette, np.uint8)
    told = _chunk(b"PLTE", colours[:, :3].tobytes()) + _chunk(b"tRNS", colours[:, 3].tobytes())
    return _file(index, 0, index.shape[1], 3, told)


def _file(lines: np.ndarray, way: int, width: int, colour: int, told: bytes) -> bytes:
    """Lines (height, bytes), each filtered this way, of a colour type, and what is told before them."""
    body = np.concatenate([np.full((len(lines), 1), way, np.uint8), lines], 1).tobytes()
    header = struct.pack(">IIBBBBB", width, len(lines), 8, colour, 0, 0, 0)
    parts = (_chunk(b"IHDR", header), told, _chunk(b"IDAT", zlib.compress(body, 6)), _chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def heights(cells: Cells) -> np.ndarray:
    """The densities (n,) of the filled cells of one column: their areas sum to one."""
    width = (cells.high[0] - cells.low[0]) / cells.counts.shape[0]
    return cells.counts[cells.filled()[:, 0]] / (cells.counts.sum() * width)


def draw_bars(film: Film, cells: Cells, resp: Sequence[np.ndarray], dark: bool) -> None:
    """The histogram of one column as a density, in the colours of q at every frame."""
    mixed = _mixed(resp, dark)
    width = (cells.high[0] - cells.low[0]) / cells.counts.shape[0]
    counts = cells.counts[cells.filled()[:, 0]]
    bars = {
        "type": "bar",
        "x": cells.centres()[:, 0].tolist(),
        "y": heights(cells).tolist(),
        "width": width,
        "marker": {"color": _css(mixed[0]), "opacity": 0.55, "line": {"width": 0}},
        "hovertext": [_count_told(count) for count in counts.tolist()],
        "hoverinfo": "text",
    }
    film.colours(add(film, bars), "marker.color", mixed)


def _count_told(count: float) -> str:
    return f"{count:,} points" if isinstance(count, int) else f"weight {count:,.4g}"
