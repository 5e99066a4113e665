"""A posterior and the q that is fitted to it in one dimension, over the integrand whose area is the KL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from lvmviz.figures import theme
from lvmviz.figures.drawing import scatter
from lvmviz.figures.film import Film
from lvmviz.figures.fit_words import (
    Panel,
    name_cut,
    name_joint,
    name_posterior,
    name_q,
    name_second,
    name_strip,
)
from lvmviz.figures.marks import moving
from lvmviz.figures.theme import Tokens, fill

HEIGHT = 338
MARGIN = theme.Margin(l=50)
_HEADROOM = 2.0  # the density axis, in posterior's peaks: it stands still whatever q does
_STRIP, _MAIN = 0.20, 0.27  # the strip ends and the picture begins, in parts of the height
_NARROW = 490 - MARGIN.l - MARGIN.r  # px, the plot where it is narrowest
_SLACK = 1.2  # the strip's axis, in its outermost ticks
_NEAR = 5.0  # times the last frame: so much lower it is still seen


class Bell(NamedTuple):
    """A component of q that the hand may move: x = loc + scale u, y = height v / scale."""

    u: np.ndarray  # (n,), or (T, n) when its shape changes too
    v: np.ndarray  # like u
    places: np.ndarray  # (T, 3) loc, scale and height


def picture(
    z: np.ndarray,
    posterior: np.ndarray,
    q: np.ndarray,
    integrand: np.ndarray,
    bells: Sequence[Bell],
    *,
    q_label: Sequence[str],
    kl: Sequence[float],
    joint: np.ndarray | None = None,
    joint_label: str = "p(x,z)",
    second: np.ndarray | None = None,
    second_label: str = "second q",
    posterior_label: str = "posterior p(z|x)",
    x_name: str = "z",
    decimals: int = 3,
    hide_numbers: bool = False,
    dark: bool = False,
    height: int = HEIGHT,
) -> tuple[Film, list[int]]:
    """Posterior (G,) and q (T, G) over z (G,), the integrand q log(q/p) (T, G) below; and each bell's trace.

    One bell is q itself; of more, q is the total. `joint` (G,) is p(x, z), dotted, or a multiple of it.
    `second` (G,) is another q, its label one or more lines.
    `hide_numbers` leaves every number about q to be guessed.
    """
    colours = theme.tokens(dark)
    posterior, q, integrand = (_finite(values) for values in (posterior, q, integrand))
    peak = float(posterior.max())
    room = (1 - _MAIN) * (height - MARGIN.t - MARGIN.b)
    panel = Panel(float(z[0]), float(z[-1]), _HEADROOM * peak, _NARROW, room)
    levels = _levels(integrand, 0.05 * peak)
    made = theme.figure(colours, height=height, margin=MARGIN, uirevision="fit")
    made.update_layout(**_axes(panel, levels, x_name, hide_numbers, colours))
    film = Film(made, len(q))
    _draw_posterior(film, z, posterior, joint, second, colours)
    indices = _draw_q(film, z, q, bells, colours)
    _draw_strip(film, z, integrand, levels, colours)
    truth = panel.px(z, posterior)
    other = None if second is None else panel.px(z, _finite(second))
    taken = [name_posterior(film, panel, truth, other, posterior_label, colours)]
    if second is not None:
        taken.append(
            name_second(film, panel, z, _finite(second), second_label, hide_numbers, taken[0], colours)
        )
    if joint is not None:
        name_joint(film, panel, truth, joint_label, colours)
    x, y = _curves(bells[0]) if len(bells) == 1 else (np.broadcast_to(z, q.shape), q)
    name_q(film, panel, list(zip(x, y, strict=True)), q_label, hide_numbers, truth, taken, colours)
    name_strip(film, kl, _STRIP, decimals, hide_numbers, colours)
    name_cut(film, z, integrand, _SLACK * levels[1], hide_numbers, colours)
    return film, indices


def _finite(values: np.ndarray) -> np.ndarray:
    """0 log 0 is 0; what is infinite is as large as the largest that is not."""
    largest = float(np.max(np.abs(values), where=np.isfinite(values), initial=0.0))
    return np.nan_to_num(values, nan=0.0, posinf=largest, neginf=-largest)


# ---- axes ----


def _levels(integrand: np.ndarray, least: float) -> tuple[float, float]:
    """The round numbers the strip reaches below and above zero: the last frame fits, all of them if they can.

    The axis stands still, so that an area is the same KL in every frame.
    """

    def level(sizes: np.ndarray) -> float:
        last, largest = max(float(sizes[-1]), least), float(sizes.max())
        if largest <= _NEAR * last:
            return max(largest, last)
        if sizes[-1] < least:  # at the end there is nothing left to see: the way there is what is shown
            return max(float(sizes[0]), last)
        return max(last, min(float(np.median(sizes)), 4 * last))

    above, below = level(integrand.max(1)), level(-integrand.min(1))
    above, below = max(above, 0.4 * below), max(below, 0.4 * above)
    return -theme.at_least(below), theme.at_least(above)


def _axes(
    panel: Panel, levels: tuple[float, float], x_name: str, hide_numbers: bool, colours: Tokens
) -> dict[str, Any]:
    low, high = levels
    ground = {"zeroline": True, "zerolinewidth": 1, "zerolinecolor": colours.border}
    texts = theme.tick_texts([low, 0.0, high], min(-low, high))
    return {
        "xaxis": {
            "title": {"text": x_name},
            "range": [panel.low, panel.high],
            "anchor": "y2",
            **theme.ticks(panel.low, panel.high, 8),
        },
        "yaxis": {
            "title": {"text": "density"},
            "domain": [_MAIN, 1],
            "range": [-0.012 * panel.top, panel.top],
            **theme.ticks(0.0, panel.top, 5),
            **ground,
        },
        "yaxis2": {
            "domain": [0, _STRIP],
            "range": [_SLACK * low, _SLACK * high],
            "tickmode": "array",
            "tickvals": [low, 0.0, high],
            "ticktext": ["", "0", ""] if hide_numbers else [texts[0], "0", texts[2]],
            **ground,
        },
    }


# ---- curves ----


def _draw_posterior(
    film: Film,
    z: np.ndarray,
    posterior: np.ndarray,
    joint: np.ndarray | None,
    second: np.ndarray | None,
    colours: Tokens,
) -> None:
    solid = {"color": colours.posterior, "width": 2.5, "simplify": False}
    truth = scatter(mode="lines", line=solid, fill="tozeroy", fillcolor=fill(colours.posterior, 0.13))
    moving(film, truth, z[None], posterior[None])
    if joint is not None:
        dotted = {"color": colours.posterior, "width": 1.5, "dash": "2px,3px", "simplify": False}
        moving(film, scatter(mode="lines", line=dotted), z[None], _finite(joint)[None])
    if second is not None:
        dashed = {"color": colours.q_mark, "width": 1.5, "dash": "5px,4px", "simplify": False}
        moving(film, scatter(mode="lines", line=dashed), z[None], _finite(second)[None])


def _draw_q(film: Film, z: np.ndarray, q: np.ndarray, bells: Sequence[Bell], colours: Tokens) -> list[int]:
    thick = {"color": colours.q_mark, "width": 2.5, "simplify": False}
    thin = {"color": fill(colours.q_mark, 0.75), "width": 1.25, "simplify": False}
    first = film.last() + 1
    for bell in bells:
        line = thick if len(bells) == 1 else thin
        moving(film, scatter(mode="lines", line=line), *_curves(bell))
    if len(bells) != 1:
        moving(film, scatter(mode="lines", line=thick), np.tile(z, (len(q), 1)), q)
    return list(range(first, first + len(bells)))


def _curves(bell: Bell) -> tuple[np.ndarray, np.ndarray]:
    """Both coordinates (T, n) of a bell in every frame."""
    loc, scale, height = (bell.places[:, i : i + 1] for i in range(3))
    return loc + scale * bell.u, height * bell.v / scale


def _draw_strip(
    film: Film, z: np.ndarray, integrand: np.ndarray, levels: tuple[float, float], colours: Tokens
) -> None:
    """One line; the colour under it changes where it crosses zero."""
    low, high = _SLACK * levels[0], _SLACK * levels[1]
    zero = -low / (high - low)
    above, below = fill(colours.gap, 0.5), fill(colours.muted, 0.35)
    shade = {
        "type": "vertical",
        "start": low,
        "stop": high,
        "colorscale": [[0, below], [zero, below], [zero, above], [1, above]],
    }
    line = {"color": colours.text, "width": 1.25, "simplify": False}
    trace = scatter(mode="lines", line=line, fill="tozeroy", fillgradient=shade, yaxis="y2")
    kept = np.clip(integrand, 1000 * low, 1000 * high)  # what is far off need not be sent exactly
    moving(film, trace, np.tile(z, (len(kept), 1)), kept)
