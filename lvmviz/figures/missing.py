"""A Gaussian fitted through gaps: what is seen as dots, what is missing as segments of its conditional."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lvmviz.figures import theme
from lvmviz.figures.drawing import scatter
from lvmviz.figures.film import Film
from lvmviz.figures.mixture_marks import add
from lvmviz.figures.mixture_points import plain
from lvmviz.figures.theme import Tokens, fill
from lvmviz.summaries.missing import Known, Pair

HEIGHT = 318
_TURN = np.linspace(0.0, 2.0 * np.pi, 73)
_CIRCLE = np.cos(_TURN), np.sin(_TURN)
_TWICE = np.array([1.0, 2.0, 2.0, 1.0, 2.0, 2.0])
DASHES = ("6px,4px", "1.5px,3px", "9px,3px,2px,3px")  # of what EM is compared with, in order
SIGNS = ("╌", "┈", "─·")


def picture(
    seen: np.ndarray,
    one: Known,
    none: Known,
    gaussian: np.ndarray,
    *,
    rows: Sequence[np.ndarray],
    rivals: Mapping[str, np.ndarray],
    pair: Pair | None,
    columns: Sequence[str],
    dark: bool = False,
    height: int = HEIGHT,
) -> Film:
    """Rows that show both columns (n, 2), segments of q for those that show `one`, rings for those of `none`.

    `gaussian` (T, 6) maps the unit circle onto theta's 1 sd ellipse, `rivals` hold such maps (6,) by name,
    and `rows` say which row of the table each mark is. A segment is the mean of q plus and minus one sd.
    """
    colours = theme.tokens(dark)
    spans = _span(seen, one, gaussian, 0), _span(seen, one, gaussian, 1)
    x, y = ({"title": {"text": plain(column)}, "range": span, "fixedrange": False, "nticks": 8}
            for column, span in zip(columns, spans, strict=True))  # fmt: skip
    made = theme.figure(colours, height=height, dragmode="zoom", uirevision="picture", xaxis=x, yaxis=y)
    film = Film(made, len(gaussian))
    if pair is not None:
        _draw_pair(film, pair, colours)
    _draw_segments(film, one, rows[1], columns, colours)
    _draw_seen(film, seen, rows[0], columns, colours)
    _draw_none(film, none, rows[2], colours)
    for number, (name, map_) in enumerate(rivals.items()):
        _draw_rival(film, name, map_, DASHES[number % len(DASHES)], colours)
    _draw_gaussian(film, gaussian, colours)
    _name(film, rivals, pair, colours)
    return film


def _span(seen: np.ndarray, one: Known, gaussian: np.ndarray, axis: int) -> list[float]:
    """An axis that all that is seen fits on, the end's ellipse too, and most of what is guessed."""
    centre, reach = gaussian[-1, 3 * axis], 2.0 * np.hypot(*gaussian[-1, 3 * axis + 1 : 3 * axis + 3])
    known = one.means[-1, :, axis]
    values = np.concatenate([seen[:, axis], known, [centre - reach, centre + reach]])
    low, high = float(values.min()), float(values.max())
    pad = 0.04 * (high - low) or 1.0
    return [low - pad, high + pad]


def _draw_seen(
    film: Film, seen: np.ndarray, rows: np.ndarray, columns: Sequence[str], colours: Tokens
) -> None:
    size = float(np.clip(7.0 * (200 / max(len(seen), 1)) ** 0.25, 4.0, 7.0))
    line = {"width": 0.5, "color": colours.bg}
    where = "<br>".join(f"{plain(name)} %{{{axis}}}" for name, axis in zip(columns, "xy", strict=True))
    trace = scatter(
        x=seen[:, 0].tolist(), y=seen[:, 1].tolist(), mode="markers", hovertext=_told(rows, "both are seen"),
        marker={"size": size, "color": colours.text, "opacity": 0.55, "line": line},
        hovertemplate=f"%{{hovertext}}<br>{where}<extra></extra>",
    )  # fmt: skip
    add(film, trace)


def _draw_segments(film: Film, one: Known, rows: np.ndarray, columns: Sequence[str], colours: Tokens) -> None:
    """Along the missing coordinate, one sd to both sides; an open mark at the mean."""
    ends = np.stack([one.means - one.sds, one.means + one.sds, np.full_like(one.means, np.nan)], 2)
    line = {"width": 1.25, "color": fill(colours.q_mark, 0.4)}
    trace = scatter(mode="lines", line=line, hoverinfo="skip", connectgaps=False)
    _move(film, trace, ends.reshape(len(ends), -1, 2))
    marker = {"size": 5, "color": colours.bg, "opacity": 1, "line": {"width": 1.25, "color": colours.q_mark}}
    gone = np.where(one.sds[-1, :, 0] > 0, 0, 1) if len(rows) else np.zeros(0, int)
    told = [
        f"row {row + 1}: {plain(columns[int(c)])} is missing"
        for row, c in zip(rows.tolist(), gone, strict=True)
    ]
    where = "<br>".join(f"{plain(name)} %{{{axis}}}" for name, axis in zip(columns, "xy", strict=True))
    marks = scatter(mode="markers", marker=marker, hovertext=told,
                    hovertemplate=f"%{{hovertext}}<br>{where}<extra></extra>")  # fmt: skip
    _move(film, marks, one.means)


def _draw_none(film: Film, none: Known, rows: np.ndarray, colours: Tokens) -> None:
    """Rows that show neither column: a diamond at q's mean."""
    line = {"width": 1.25, "color": colours.q_mark}
    marker = {"size": 7, "symbol": "diamond-open", "color": colours.q_mark, "opacity": 1, "line": line}
    trace = scatter(mode="markers", marker=marker, hovertext=_told(rows, "neither is seen"), hoverinfo="text")
    _move(film, trace, none.means)


def _told(rows: np.ndarray, what: str) -> list[str]:
    return [f"row {row + 1}: {what}" for row in rows.tolist()]


def _move(film: Film, trace: dict[str, Any], places: np.ndarray) -> None:
    """Add marks at places (T, n, 2) that move; nothing where there are none."""
    if not places.shape[1]:
        return
    index = add(film, {**trace, "x": places[0, :, 0].tolist(), "y": places[0, :, 1].tolist()})
    for axis, key in enumerate("xy"):
        rows = places[:, :, axis]
        if not np.array_equal(rows, np.broadcast_to(rows[0], rows.shape), equal_nan=True):
            film.numbers(index, key, rows)


def _draw_pair(film: Film, pair: Pair, colours: Tokens) -> None:
    """The posterior of a row without both columns, filled, and its q, outlined; one sd each."""
    blue = {"width": 1.5, "color": colours.posterior}
    looks = (
        (pair.posterior, {"line": blue, "fill": "toself", "fillcolor": fill(colours.posterior, 0.13)}),
        (pair.q, {"line": {"width": 2.25, "color": colours.q_mark}}),
    )
    for maps, look in looks:
        _draw_map(film, maps, look)


def _draw_gaussian(film: Film, maps: np.ndarray, colours: Tokens) -> None:
    for scale, width in ((_TWICE, 1.25), (1.0, 2.25)):
        _draw_map(film, maps * scale, {"line": {"width": width, "color": colours.theta_mark}})


def _draw_rival(film: Film, name: str, map_: np.ndarray, dash: str, colours: Tokens) -> None:
    line = {"width": 1.25, "color": colours.text if "oracle" in name else colours.muted, "dash": dash}
    _draw_map(film, (map_ * _TWICE)[None].repeat(film.count, 0), {"line": line})


def _draw_map(film: Film, maps: np.ndarray, look: dict[str, Any]) -> None:
    (u, v), a = _CIRCLE, maps[0]
    x, y = a[0] + a[1] * u + a[2] * v, a[3] + a[4] * u + a[5] * v
    index = add(film, scatter(x=x.tolist(), y=y.tolist(), mode="lines", hoverinfo="skip", **look))
    if not (maps == maps[0]).all():
        film.affine(index, maps, u, v)


def _name(film: Film, rivals: Mapping[str, np.ndarray], pair: Pair | None, colours: Tokens) -> None:
    """What each line is, in the upper left corner."""
    words = [("━ θ, 1 and 2 sd", colours.theta_text)]
    signs = zip(rivals, SIGNS, strict=False)
    words += [(f"{sign} {name}, 2 sd", colours.text if "oracle" in name else colours.muted)
              for name, sign in signs]  # fmt: skip
    words.append(("○ q: mean and 1 sd of what is missing", colours.q_text))
    if pair is not None:
        words.append((f"● posterior of row {pair.row + 1}, which shows neither", colours.posterior))
    for line, (text, colour) in enumerate(words):
        place = {"xref": "paper", "yref": "paper", "x": 0.0, "y": 1.0, "xanchor": "left", "yanchor": "top"}
        film.figure.add_annotation(
            text=text, font={"size": 11, "color": colour}, showarrow=False, bgcolor=fill(colours.bg, 0.7),
            borderpad=1, yshift=-15 * line, xshift=4, **place,
        )  # fmt: skip
