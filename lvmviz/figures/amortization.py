"""An encoder's q over all x, the gaps it leaves, and what it saves."""

from __future__ import annotations

import numpy as np

from lvmviz.figures import theme
from lvmviz.figures.drawing import Drawing, scatter
from lvmviz.figures.film import Film
from lvmviz.figures.latent import address
from lvmviz.figures.marks import legend
from lvmviz.figures.theme import HATCH, Margin, Tokens, fill

ENCODED, GAP = 300, 184  # heights, px
_MARGIN = Margin(l=48, r=12, t=8, b=34)


# ---- one number, one latent ----


def encoded(
    x: np.ndarray,
    z: np.ndarray,
    density: np.ndarray,
    best: tuple[np.ndarray, np.ndarray],
    mean: np.ndarray,
    sd: np.ndarray,
    *,
    reach: float,
    at: float,
    dark: bool = False,
    height: int = ENCODED,
) -> Film:
    """p(z | x) (W, V) as a landscape over x, the best Gaussian's mean and sd, the encoder's (T, V) on it.

    `reach` is how far the encoder saw x in training, `at` the x whose numbers are told.
    """
    colours = theme.tokens(dark)
    side = float(z[-1])
    made = theme.figure(
        colours,
        height=height,
        margin=_MARGIN,
        uirevision="encoded",
        xaxis={
            "range": [float(x[0]), float(x[-1])],
            "title": {"text": "x"},
            **theme.ticks(float(x[0]), float(x[-1])),
        },
        yaxis={"range": [-side, side], "title": {"text": "z"}, **theme.ticks(-side, side)},
    )
    _draw_landscape(made, x, z, density, colours)
    _edges(made, reach, colours, "the encoder’s training x")
    _best(made, x, *best, colours)
    film = Film(made, len(mean))
    for shift, width in ((0.0, 2.5), (-1.0, 1.25), (1.0, 1.25)):
        rows = np.clip(mean + shift * sd, -3.0 * side, 3.0 * side)
        made.add_trace(
            scatter(
                x=x.tolist(),
                y=rows[0].tolist(),
                mode="lines",
                hoverinfo="skip",
                line={"color": colours.q_mark, "width": width},
            )
        )
        film.numbers(film.last(), "y", rows)
    _cursor(made, at, colours)
    legend(
        made,
        [
            ("p(z|x)", colours.posterior),
            ("encoder’s q: mean ± sd", colours.q_text),
            ("╌ best q of each x", colours.q_text),
        ],
        colours,
    )
    return film


def _draw_landscape(
    made: Drawing, x: np.ndarray, z: np.ndarray, density: np.ndarray, colours: Tokens
) -> None:
    """The density (W, V) as a picture: as numbers it would be ten times as long."""
    share = np.minimum(density / float(np.quantile(density.max(0), 0.9)), 1.0)
    at, inks = zip(*((stop, theme.rgb(colour)) for stop, colour in colours.landscape), strict=True)
    mixed = np.stack([np.interp(share, at, part) for part in zip(*inks, strict=True)], -1)
    pixels = np.concatenate([mixed, np.full_like(share, 255.0)[..., None]], -1).round().astype(np.uint8)
    wide, tall = (float(line[1] - line[0]) for line in (x, z))
    place: dict[str, object] = {"xref": "x", "yref": "y", "sizing": "stretch", "layer": "below"}
    place |= {"x": float(x[0]) - 0.5 * wide, "sizex": float(x[-1] - x[0]) + wide}
    place |= {"y": float(z[-1]) + 0.5 * tall, "sizey": float(z[-1] - z[0]) + tall}
    made.update_layout(images=[{"source": address(pixels[::-1]), **place}])


def _best(made: Drawing, x: np.ndarray, mean: np.ndarray, sd: np.ndarray, colours: Tokens) -> None:
    for shift, width in ((0.0, 1.5), (-1.0, 1.0), (1.0, 1.0)):
        line = {"color": colours.q_text, "width": width, "dash": "5px,4px"}
        made.add_trace(
            scatter(x=x.tolist(), y=(mean + shift * sd).tolist(), mode="lines", hoverinfo="skip", line=line)
        )


def _edges(made: Drawing, reach: float, colours: Tokens, text: str) -> None:
    """Where training ends, to the left and to the right."""
    for end in (-reach, reach):
        made.add_shape(
            type="line",
            x0=end,
            x1=end,
            y0=0,
            y1=1,
            yref="paper",
            line={"width": 1.25, "color": colours.text, "dash": "2px,3px"},
        )
    if text:
        made.add_annotation(
            text=f"← {text} →",
            x=0,
            y=0.0,
            yref="paper",
            yanchor="bottom",
            showarrow=False,
            font={"size": 11, "color": colours.text},
            bgcolor=fill(colours.bg, 0.7),
        )


def _cursor(made: Drawing, at: float, colours: Tokens) -> None:
    made.add_shape(
        type="line", x0=at, x1=at, y0=0, y1=1, yref="paper", line={"width": 1.25, "color": colours.muted}
    )


def over_x(
    x: np.ndarray,
    approximation: np.ndarray,
    total: np.ndarray,
    *,
    reach: float,
    at: float,
    dark: bool = False,
    height: int = GAP,
) -> Film:
    """The gap (T, V) over x: hatched what no Gaussian avoids, plain above it what the encoder adds."""
    colours = theme.tokens(dark)
    inside = np.abs(x) <= reach
    high = 1.15 * max(float(total[-1][inside].max()), 4.0 * float(np.median(approximation)), 0.02)
    high = min(max(high, 0.35 * float(total[-1].max())), 8.0 * high)
    made = theme.figure(
        colours,
        height=height,
        margin=_MARGIN,
        uirevision="gap",
        xaxis={
            "range": [float(x[0]), float(x[-1])],
            "title": {"text": "x"},
            **theme.ticks(float(x[0]), float(x[-1])),
        },
        yaxis={"range": [0.0, high], "title": {"text": "nats"}, **theme.ticks(0.0, high, 3)},
    )
    film = Film(made, len(total))
    line = {"color": colours.gap, "width": 1.5}
    made.add_trace(
        scatter(
            x=x.tolist(),
            y=approximation.tolist(),
            mode="lines",
            fill="tozeroy",
            hoverinfo="skip",
            line=line,
            fillcolor=fill(colours.gap, 0.0),
            fillpattern={**HATCH, "fgcolor": colours.gap, "bgcolor": fill(colours.gap, 0.0)},
        )
    )
    shown = np.minimum(total, 50.0 * high)
    made.add_trace(
        scatter(
            x=x.tolist(),
            y=shown[0].tolist(),
            mode="lines",
            fill="tonexty",
            hoverinfo="skip",
            line={**line, "width": 2.5},
            fillcolor=fill(colours.gap, 0.12),
        )
    )
    film.numbers(film.last(), "y", shown)
    _edges(made, reach, colours, "")
    _cursor(made, at, colours)
    legend(made, [("▨ approximation", colours.gap), ("▢ amortization", colours.gap)], colours)
    return film
