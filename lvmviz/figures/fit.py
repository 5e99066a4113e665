"""A posterior and the q that is fitted to it in one dimension, over the integrand whose area is the KL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go

from lvmviz.figures import theme
from lvmviz.figures.bounds import _annotate, _moving
from lvmviz.figures.film import Film
from lvmviz.figures.theme import Tokens, fill, number

HEIGHT = 338
MARGIN = theme.Margin(l=50)
_HEADROOM = 2.0  # the density axis, in posterior's peaks: it stands still whatever q does
_STRIP, _MAIN = 0.20, 0.27  # the strip ends and the picture begins, in parts of the height
_NARROW = 490 - MARGIN.l - MARGIN.r  # px, the plot where it is narrowest: what is apart there is apart wider


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

    One bell is q itself; of more, q is the total. `second` (G,) is another q, its label one or more lines.
    `hide_numbers` leaves every number about q to be guessed.
    """
    colours = theme.tokens(dark)
    posterior = _finite(posterior)
    panel = _Panel(float(z[0]), float(z[-1]), _HEADROOM * float(posterior.max()), height)
    levels = _levels(_finite(integrand), 0.05 * float(posterior.max()))
    made = theme.figure(colours, height=height, margin=MARGIN, uirevision="fit")
    made.update_layout(_axes(panel, levels, x_name, hide_numbers, colours))
    film = Film(made, len(q))
    _draw_posterior(film, z, posterior, second, colours)
    indices = _draw_q(film, z, _finite(q), bells, colours)
    _draw_strip(film, z, integrand, levels, colours)
    taken = [_name_posterior(film, panel, z, posterior, second, posterior_label, colours)]
    if second is not None:
        taken.append(_name_second(film, panel, z, second, second_label, taken, hide_numbers, colours))
    _name_q(film, panel, _tops(z, _finite(q), bells), q_label, taken, hide_numbers, colours)
    _name_strip(film, kl, decimals, hide_numbers, colours)
    if not hide_numbers:
        _name_cut(film, panel, z, integrand, levels[1], colours)
    return film, indices


def _finite(values: np.ndarray) -> np.ndarray:
    """0 log 0 is 0; what is infinite is as large as the largest that is not."""
    largest = float(np.max(np.abs(values), where=np.isfinite(values), initial=0.0))
    return np.nan_to_num(values, nan=0.0, posinf=largest, neginf=-largest)


# ---- axes ----


class _Panel(NamedTuple):
    """The main panel: its z, the end of its density axis, and the figure's height in px."""

    low: float
    high: float
    top: float
    figure: int

    @property
    def room(self) -> float:
        return (1 - _MAIN) * (self.figure - MARGIN.t - MARGIN.b)

    def px(self, x: Any, y: Any) -> tuple[Any, Any]:
        """Where a point falls when the picture is narrowest, px from the panel's lower left corner."""
        return (x - self.low) / (self.high - self.low) * _NARROW, y / self.top * self.room


def _levels(integrand: np.ndarray, least: float) -> tuple[float, float]:
    """The round numbers the strip reaches below and above zero: the last frame fits, a usual one if it can.

    The axis stands still, so that an area is the same KL in every frame.
    """

    def level(sizes: np.ndarray) -> float:
        last = max(float(sizes[-1]), least)
        return max(last, min(float(np.median(sizes)), 4 * last))

    above, below = level(integrand.max(1)), level(-integrand.min(1))
    above, below = max(above, 0.4 * below), max(below, 0.4 * above)
    return -theme.at_least(below), theme.at_least(above)


def _axes(
    panel: _Panel, levels: tuple[float, float], x_name: str, hide_numbers: bool, colours: Tokens
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
            "range": [1.2 * low, 1.2 * high],
            "tickmode": "array",
            "tickvals": [low, 0.0, high],
            "ticktext": ["", "0", ""] if hide_numbers else [texts[0], "0", texts[2]],
            **ground,
        },
    }


# ---- curves ----


def _draw_posterior(
    film: Film, z: np.ndarray, posterior: np.ndarray, second: np.ndarray | None, colours: Tokens
) -> None:
    solid = {"color": colours.posterior, "width": 2.5}
    truth = go.Scatter(mode="lines", line=solid, fill="tozeroy", fillcolor=fill(colours.posterior, 0.13))
    _moving(film, truth, z[None], posterior[None])
    if second is not None:
        dashed = {"color": colours.q_mark, "width": 1.5, "dash": "5px,4px"}
        _moving(film, go.Scatter(mode="lines", line=dashed), z[None], _finite(second)[None])


def _draw_q(film: Film, z: np.ndarray, q: np.ndarray, bells: Sequence[Bell], colours: Tokens) -> list[int]:
    thick = {"color": colours.q_mark, "width": 2.5}
    thin = {"color": fill(colours.q_mark, 0.75), "width": 1.25}
    first = len(tuple(film.figure.data))
    for bell in bells:
        line = thick if len(bells) == 1 else thin
        _moving(film, go.Scatter(mode="lines", line=line), *_curves(bell))
    if len(bells) != 1:
        _moving(film, go.Scatter(mode="lines", line=thick), np.tile(z, (len(q), 1)), q)
    return list(range(first, first + len(bells)))


def _curves(bell: Bell) -> tuple[np.ndarray, np.ndarray]:
    """Both coordinates (T, n) of a bell in every frame."""
    loc, scale, height = (bell.places[:, i : i + 1] for i in range(3))
    return loc + scale * bell.u, height * bell.v / scale


def _draw_strip(
    film: Film, z: np.ndarray, integrand: np.ndarray, levels: tuple[float, float], colours: Tokens
) -> None:
    """One line; the colour under it changes where it crosses zero."""
    low, high = 1.2 * levels[0], 1.2 * levels[1]
    zero = -low / (high - low)
    above, below = fill(colours.gap, 0.5), fill(colours.muted, 0.35)
    shade = {
        "type": "vertical",
        "start": low,
        "stop": high,
        "colorscale": [[0, below], [zero, below], [zero, above], [1, above]],
    }
    line = {"color": colours.text, "width": 1.25}
    trace = go.Scatter(mode="lines", line=line, fill="tozeroy", fillgradient=shade, yaxis="y2")
    kept = np.clip(np.nan_to_num(integrand, nan=0.0), 100 * low, 100 * high)
    _moving(film, trace, np.tile(z, (len(kept), 1)), kept)


# ---- words: beside what they name, inside the picture, and not on top of each other ----

_Box = tuple[float, float, float, float]  # left, right, bottom, top, px


class _Spot(NamedTuple):
    """A place for words: how plotly is told, and the box they fill."""

    how: dict[str, Any]
    box: _Box


def _around(panel: _Panel, x: float, y: float, lines: Sequence[str]) -> list[_Spot]:
    """Right of a point, left of it, above it, and in either upper corner."""
    wide, tall = 6.6 * max(len(line) for line in lines), 16.0 * len(lines)
    corner = panel.room - 0.5 * tall - 2
    px, py = panel.px(x, min(y, panel.top))
    py = min(py + 12, corner)
    made = []
    for at, mid, anchor, shift in (
        (px, py, "left", 13),
        (px, py, "right", -13),
        (px, min(py + 0.5 * tall + 8, corner), "center", 0),
        (float(_NARROW), corner, "right", 0),
        (0.0, corner, "left", 6),
    ):
        left = at + shift - {"left": 0.0, "center": 0.5, "right": 1.0}[anchor] * wide
        data = panel.low + at / _NARROW * (panel.high - panel.low)
        how = {"x": data, "y": mid / panel.room * panel.top, "xanchor": anchor, "xshift": shift}
        made.append(_Spot(how, (left, left + wide, mid - 0.5 * tall, mid + 0.5 * tall)))
    return made


def _best(spots: Sequence[_Spot], taken: Sequence[_Box], curves: Sequence[Any] = ()) -> _Spot:
    """The first place with the least overlap; `curves` are (x, y) in px."""

    def cost(spot: _Spot) -> float:
        left, right, bottom, top = spot.box
        out = max(0.0, -left) + max(0.0, right - _NARROW)
        over = sum(
            max(0.0, min(right, box[1]) - max(left, box[0]))
            * max(0.0, min(top, box[3]) - max(bottom, box[2]))
            for box in taken
        )
        crossed = [(x > left) & (x < right) & (y > bottom) & (y < top) for x, y in curves]
        return 20.0 * out + over + sum(200.0 for hit in crossed if hit.any())

    return min(spots, key=cost)


def _box_of(colours: Tokens) -> dict[str, Any]:
    return {"showarrow": False, "yanchor": "middle", "bgcolor": fill(colours.bg, 0.8), "borderpad": 1}


def _name_posterior(
    film: Film,
    panel: _Panel,
    z: np.ndarray,
    posterior: np.ndarray,
    second: np.ndarray | None,
    word: str,
    colours: Tokens,
) -> _Box:
    """Outside a flank; q does not count, or the words would jump when it passes."""
    curves = [panel.px(z, curve) for curve in (posterior, second) if curve is not None]
    spots = []
    for level in (0.45, 0.7, 0.25):
        inside = np.flatnonzero(posterior >= level * posterior.max())
        for i, side in ((inside[0], 1), (inside[-1], 0)):
            at = _around(panel, float(z[i]), level * float(posterior.max()), [word])[side]
            left, right, bottom, top = at.box
            how = {**at.how, "y": level * float(posterior.max())}
            spots.append(_Spot(how, (left, right, bottom - 12, top - 12)))
    spot = _best(spots, [], curves)
    ink = {"color": colours.posterior}
    film.figure.add_annotation(text=word, font=ink, **_box_of(colours), **spot.how)
    return spot.box


def _small(lines: Sequence[str], colours: Tokens) -> str:
    """The first line as it is, the others small and muted."""
    style = f"font-size:11px;color:{colours.muted}"
    return "<br>".join([lines[0], *(f'<span style="{style}">{line}</span>' for line in lines[1:])])


def _name_second(
    film: Film,
    panel: _Panel,
    z: np.ndarray,
    second: np.ndarray,
    label: str,
    taken: Sequence[_Box],
    hide_numbers: bool,
    colours: Tokens,
) -> _Box:
    lines = label.split("\n")[: 1 if hide_numbers else None]
    high = np.flatnonzero(second >= 0.8 * second.max())
    flanks = ((float(z[high[-1]]), 0), (float(z[high[0]]), 1))
    spots = [_around(panel, x, 0.8 * float(second.max()), lines)[side] for x, side in flanks]
    spot = _best([*spots, *_around(panel, float(z[second.argmax()]), float(second.max()), lines)], taken)
    ink = {"color": colours.q_text}
    film.figure.add_annotation(
        text=_small(lines, colours), font=ink, align="left", **_box_of(colours), **spot.how
    )
    return spot.box


def _tops(z: np.ndarray, q: np.ndarray, bells: Sequence[Bell]) -> np.ndarray:
    """Where q is highest in every frame (T, 2), also off the picture."""
    x, y = _curves(bells[0]) if len(bells) == 1 else (np.broadcast_to(z, q.shape), q)
    best = y.argmax(1)[:, None]
    return np.concatenate([np.take_along_axis(x, best, 1), np.take_along_axis(y, best, 1)], 1)


def _name_q(
    film: Film,
    panel: _Panel,
    tops: np.ndarray,
    labels: Sequence[str],
    taken: Sequence[_Box],
    hide_numbers: bool,
    colours: Tokens,
) -> None:
    """The words that follow q's top; an arrow says where it is when it left the picture."""
    moves: dict[str, list[Any]] = {key: [] for key in ("text", "x", "y", "xanchor", "xshift")}
    for (x, y), label in zip(tops.tolist(), labels, strict=True):
        lines = [label.split(" = ")[0] if hide_numbers else label]
        if y > panel.top:
            lines.append("↑" if hide_numbers else f"peak {number(y, 1)} ↑")
        if not panel.low <= x <= panel.high:
            lines[0] = f"← {lines[0]}" if x < panel.low else f"{lines[0]} →"
            x, y = float(np.clip(x, panel.low, panel.high)), 0.6 * panel.top
        spot = _best(_around(panel, x, y, lines), taken)
        for key, value in {"text": _small(lines, colours), **spot.how}.items():
            moves[key].append(value)
    _annotate(film, {"font": {"color": colours.q_text}, "align": "left", **_box_of(colours)}, moves)


def _name_strip(film: Film, kl: Sequence[float], decimals: int, hide_numbers: bool, colours: Tokens) -> None:
    """What the strip shows, between the panels where no curve can cross the words."""
    place = {"xref": "paper", "yref": "paper", "y": _STRIP, "yanchor": "bottom", "showarrow": False}
    small = {"size": 11, "color": colours.muted}
    area = "q log(q/p), area = KL"
    words = [area if hide_numbers else f"{area} = {number(size, decimals)}" for size in kl]
    _annotate(film, {**place, "x": 0, "xanchor": "left", "xshift": 4, "font": small}, {"text": words})
    signs = f'<span style="color:{colours.gap}">+ q above p</span>\u2003− q below p'
    film.figure.add_annotation(text=signs, x=1, xanchor="right", font=small, **place)


def _name_cut(
    film: Film, panel: _Panel, z: np.ndarray, integrand: np.ndarray, level: float, colours: Tokens
) -> None:
    """How high the integrand goes where the strip cuts it off."""
    highest = np.nan_to_num(integrand, nan=0.0).max(1)
    if not (highest > 1.2 * level).any():
        return
    x = z[np.nan_to_num(integrand, nan=0.0).argmax(1)]
    late = x > 0.5 * (panel.low + panel.high)
    font = {"size": 11, "color": colours.gap}
    moves = {
        "text": [f"peak {number(size, theme.decimals_of(level))} ↑" for size in highest.tolist()],
        "visible": (highest > 1.2 * level).tolist(),
        "x": x.tolist(),
        "xanchor": ["right" if last else "left" for last in late],
        "xshift": [-14 if last else 14 for last in late],
    }
    note = {**_box_of(colours), "yref": "y2", "y": 0.7 * level, "font": font}
    _annotate(film, note, moves)
