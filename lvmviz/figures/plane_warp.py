"""The noise's grid as a map carries it into the plane: its lines, and how much every cell has grown."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw

from lvmviz.figures import theme
from lvmviz.figures.drawing import Drawing, scatter
from lvmviz.figures.film import Film
from lvmviz.figures.latent import address
from lvmviz.figures.level_lines import joined
from lvmviz.figures.plane import HEIGHT, Margins, Truth, draw_margins, image, make_room, panel
from lvmviz.figures.theme import fill, number

PIXELS, OVER = 360, 2  # of the picture of cells along a side, and how much larger it is painted
LEAST = 0.02  # nats: det J that differs by less is the same everywhere
STRONGEST = 200  # of 255, the ink of the cell that was squeezed most


def warp(
    truth: Truth,
    lines: np.ndarray,
    corners: np.ndarray,
    log_det: np.ndarray,
    margins: Margins,
    *,
    told: str,
    axes: tuple[str, str] = ("x", "y"),
    dark: bool = False,
    height: int = HEIGHT,
) -> Drawing:
    """Lines (N, n, 2) of a grid over its cells (m, m), darker where det J is small: q is densest there.

    `told` says how many layers have acted, `margins` is what they make of the noise's marginals.
    """
    colours = theme.tokens(dark)
    made = panel(truth, axes, colours, height)
    shown = image(cells(truth, corners, log_det, colours.text), truth.x, truth.y)
    made.update_layout(images=[*made.to_plotly_json()["layout"]["images"], shown])
    pieces = np.stack([lines[:, :-1], lines[:, 1:]], 2).reshape(-1, 2, 2)
    x, y = joined(pieces)
    made.add_trace(
        scatter(x=x, y=y, mode="lines", line={"color": colours.q_mark, "width": 1.0}, hoverinfo="skip")
    )
    film = Film(made, 1)
    draw_margins(film, margins, colours)
    make_room(film, truth, margins)
    low, high = (math.exp(float(end)) for end in (log_det.min(), log_det.max()))
    span = f"det J = {_brief(low)} everywhere" if log_det.max() - log_det.min() < LEAST else (
        f"det J from {_brief(low)} (dark: squeezed) to {_brief(high)} (light: stretched)")  # fmt: skip
    for i, (text, colour) in enumerate(((told, colours.q_text), (span, colours.muted))):
        made.add_annotation(
            text=text, showarrow=False, xref="x domain", x=0, xanchor="left", xshift=6, yref="y domain", y=1,
            yanchor="top", yshift=-3 - 17 * i, font={"size": 12, "color": colour},
            bgcolor=fill(colours.bg, 0.8), borderpad=1,
        )  # fmt: skip
    return made


def _brief(x: float) -> str:
    return number(x, 2) if 0.01 <= x < 1000 else f"{x:.1e}".replace("e-0", "e−").replace("e+0", "e")


def cells(truth: Truth, corners: np.ndarray, log_det: np.ndarray, colour: str) -> str:
    """Every cell painted in ink, the more the smaller its det J; the address of a picture."""
    low, high = float(log_det.min()), float(log_det.max())
    share = (high - log_det) / max(high - low, LEAST)
    painted = Image.new("L", (PIXELS * OVER, PIXELS * OVER), 0)
    pen = ImageDraw.Draw(painted)
    size = np.array([truth.x[-1] - truth.x[0], truth.y[0] - truth.y[-1]])  # rows go down
    at = np.clip((corners - [truth.x[0], truth.y[-1]]) / size, -9.0, 9.0) * PIXELS * OVER
    quads = np.stack([at[:-1, :-1], at[1:, :-1], at[1:, 1:], at[:-1, 1:]], 2)  # (m, m, 4, 2)
    shades = np.round(12 + (STRONGEST - 12) * share**1.5).astype(int)
    for quad, shade in zip(quads.reshape(-1, 8).tolist(), shades.ravel().tolist(), strict=True):
        pen.polygon(quad, fill=shade)
    strength = np.asarray(painted.resize((PIXELS, PIXELS), Image.Resampling.BOX))
    body = np.broadcast_to(np.array(theme.rgb(colour), np.uint8), (PIXELS, PIXELS, 3))
    return address(np.concatenate([body, strength[..., None]], -1))
