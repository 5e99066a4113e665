"""An image with hidden pixels three times: as it is seen, with q's phi, and with the exact posterior mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lvmviz.figures import mean_images, theme
from lvmviz.figures.drawing import scatter
from lvmviz.figures.film import Film
from lvmviz.figures.theme import Margin, Tokens
from lvmviz.figures.vae_images import ink

GAP = 0.15  # of an image, between two
STRIP = 104  # px
MARGIN = Margin(6, 6, 24, 4)
PANELS = ("seen", "q", "posterior")
MOST_TOLD = 100  # pixels of an image that are told on hover


class Shown(NamedTuple):
    """What the picture shows."""

    x: np.ndarray  # (H, W) zeros and ones
    hidden: np.ndarray  # (H, W) bool
    phis: np.ndarray  # (T, H, W) q's p(x = 1), what is seen elsewhere
    mean: np.ndarray  # (H, W) the posterior's p(x = 1), what is seen elsewhere
    words: tuple[str, str, str]  # above the three


class Panels(NamedTuple):
    """Three images of H x W side by side; a unit is a pixel, y upwards."""

    height: int  # H
    width: int  # W

    @property
    def gap(self) -> int:
        return max(1, round(GAP * self.width))

    @property
    def across(self) -> int:
        return 3 * self.width + 2 * self.gap

    @property
    def slope(self) -> float:
        """How much higher it gets with every px of width."""
        return (self.height + 0.2) / (self.across + 0.2)

    def left(self, panel: int) -> int:
        """Where a panel begins."""
        return panel * (self.width + self.gap)

    def canvas(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """Three images as one."""
        made = np.zeros((self.height, self.across))
        for panel, image in enumerate(images):
            made[:, self.left(panel) : self.left(panel) + self.width] = image
        return made


def picture(shown: Shown, *, dark: bool, height: int) -> Film:
    """The film of q: hidden pixels are dotted, then outlined in q's colour and the posterior's."""
    colours = theme.tokens(dark)
    panels = Panels(*shown.x.shape)
    film = Film(_figure(panels, colours, height), len(shown.phis))
    seen = np.where(shown.hidden, 0.0, shown.x)
    sources = [ink(panels.canvas((seen, phi, shown.mean)), dark) for phi in shown.phis]
    where = {"x": 0, "y": panels.height, "sizex": panels.across, "sizey": panels.height}
    film.figure.update_layout(
        images=[
            {"source": sources[0], "xref": "x", "yref": "y", "sizing": "stretch", "layer": "below", **where}
        ]
    )
    film.values(None, "images[0].source", sources)
    _draw_dots(film, panels, shown.hidden, colours)
    for panel, colour in enumerate((colours.muted, colours.q_mark, colours.posterior)):
        _draw_outline(film, panels, panel, shown.hidden, colour, 1.25 if panel == 0 else 2.5)
    shades = (colours.muted, colours.q_text, colours.posterior)
    for panel, (text, shade) in enumerate(zip(shown.words, shades, strict=True)):
        film.figure.add_annotation(
            text=text, showarrow=False, x=panels.left(panel), y=panels.height, xanchor="left",
            yanchor="bottom", yshift=3, font={"size": 12, "color": shade},
        )  # fmt: skip
    if shown.x.size <= MOST_TOLD:
        _tell(film, panels, shown)
    return film


def _figure(panels: Panels, colours: Tokens, height: int) -> theme.Drawing:
    off = {"visible": False, "fixedrange": True, "constrain": "domain"}
    made = theme.figure(
        colours, height=height, margin=MARGIN, hoverdistance=40,
        xaxis={"range": [-0.1, panels.across + 0.1], "constraintoward": "center", **off},
        yaxis={"range": [-0.1, panels.height + 0.1], "scaleanchor": "x", "constraintoward": "top", **off},
    )  # fmt: skip
    for panel in range(3):
        x = panels.left(panel)
        line = {"width": 1, "color": colours.border}
        made.add_shape(
            type="rect", x0=x, x1=x + panels.width, y0=0, y1=panels.height, line=line, layer="below"
        )
    return made


def _draw_dots(film: Film, panels: Panels, hidden: np.ndarray, colours: Tokens) -> None:
    """A dot in every hidden pixel of the image as it is seen."""
    row, column = np.nonzero(hidden)
    film.figure.add_trace(
        scatter(
            x=(column + 0.5).tolist(), y=(panels.height - row - 0.5).tolist(), mode="markers",
            name="hidden", hoverinfo="skip", marker={"size": 3, "color": colours.muted},
        )
    )  # fmt: skip


def outline(mask: np.ndarray) -> np.ndarray:
    """The edges (n, 2, 2) of a mask (H, W): from and to, in columns and rows."""
    padded = np.pad(mask, 1).astype(np.int8)
    rows, columns = np.nonzero(np.diff(padded, axis=0)[:, 1:-1])
    flat = np.stack([np.stack([columns, rows], 1), np.stack([columns + 1, rows], 1)], 1)
    rows, columns = np.nonzero(np.diff(padded, axis=1)[1:-1])
    upright = np.stack([np.stack([columns, rows], 1), np.stack([columns, rows + 1], 1)], 1)
    return np.concatenate([flat, upright]).astype(float)


def _draw_outline(
    film: Film, panels: Panels, panel: int, mask: np.ndarray, colour: str, width: float
) -> None:
    edges = outline(mask)
    gap = np.full((len(edges), 1), np.nan)
    x = np.concatenate([edges[..., 0] + panels.left(panel), gap], 1).ravel()
    y = np.concatenate([panels.height - edges[..., 1], gap], 1).ravel()
    film.figure.add_trace(
        scatter(
            x=x.tolist(), y=y.tolist(), mode="lines", name=PANELS[panel], hoverinfo="skip",
            line={"width": width, "color": colour}, cliponaxis=False,
        )
    )  # fmt: skip


def _tell(film: Film, panels: Panels, shown: Shown) -> None:
    """What every pixel says on hover: the corners of an unseen line, drawn faster than a mark each."""
    row, column = np.indices(shown.x.shape).reshape(2, -1)
    unseen = {"width": 0}
    said = np.where(shown.hidden, "hidden", np.where(shown.x > 0.5, "on", "off")).ravel().tolist()
    names = [f"row {r + 1}, column {c + 1}: {word}" for r, c, word in zip(row, column, said, strict=True)]
    hidden = shown.hidden.ravel()
    for panel, (label, values) in enumerate(
        (("", None), ("φ", shown.phis.reshape(len(shown.phis), -1)), ("p(on)", shown.mean.reshape(1, -1)))
    ):
        told = [names] if values is None else [_with(names, hidden, label, one) for one in values]
        x, y = column + 0.5 + panels.left(panel), panels.height - row - 0.5
        trace = scatter(x=x.tolist(), y=y.tolist(), mode="lines", line=unseen, hovertext=told[0],
                        hoverinfo="text", name=f"pixels, {PANELS[panel]}")  # fmt: skip
        film.figure.add_trace(trace)
        if len(told) == film.count > 1:
            film.values(film.last(), "hovertext", told)


def _with(names: list[str], hidden: np.ndarray, label: str, values: np.ndarray) -> list[str]:
    return [
        f"{name}<br>{label} = {theme.number(value, 3)}" if open_ else name
        for name, open_, value in zip(names, hidden.tolist(), values.tolist(), strict=True)
    ]


def completions(truly: np.ndarray, by_q: np.ndarray, *, dark: bool) -> Film:
    """Images (n, H, W) completed by the posterior, and (T, n, H, W) by q, side by side."""
    frames, count = by_q.shape[:2]
    images = np.concatenate([np.broadcast_to(truly, by_q.shape), by_q], 1)
    colours = theme.tokens(dark)
    words = (f"<span style='color:{colours.posterior}'>by the posterior</span>",
             f"<span style='color:{colours.q_text}'>by q</span>")  # fmt: skip
    told = ["drawn from the posterior"] * count + ["drawn from q"] * count
    return mean_images.strip(
        images, [told] * frames, [count, count], words=[words] * frames, dark=dark, height=STRIP
    )
