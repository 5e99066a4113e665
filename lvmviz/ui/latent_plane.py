"""The latent plane on the page: what it shows, as modes, and the component that the pointer walks on."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import streamlit as st

from lvmviz.figures import latent as figures
from lvmviz.figures import theme
from lvmviz.figures.marks import free_angle
from lvmviz.summaries import latent as summaries
from lvmviz.summaries import vae
from lvmviz.summaries.latent import Image
from lvmviz.summaries.latent_view import View
from lvmviz.summaries.vae import Moment
from lvmviz.ui import answers, films, frame
from lvmviz.ui.component import component

SIDE, MAP, ATLAS = 25, 121, 41  # tiles or points along a side: of the picture, of a map, of the atlas
LARGE_TILE = 16  # px; of larger images there are fewer tiles
MOST_NAMES = 12
CLEAR = 0.13  # of the plane's edge: so near to the pin no class's name stands


class Back(NamedTuple):
    """What lies under the marks."""

    source: str  # the address of a picture
    smooth: bool  # whether its pixels run into each other
    dots: list[dict[str, Any]]


class Marks(NamedTuple):
    """What is drawn on the plane."""

    pin: np.ndarray  # (2,)
    image: Image | None  # its q is drawn
    paths: Sequence[tuple[np.ndarray, bool]]  # places (n, 2), and whether a line joins them
    spots: Sequence[tuple[np.ndarray, str]] = ()  # places (2,) with a name


def _side(at: Moment, small: int) -> int:
    """Tiles along a side, so that all of them stay a picture of some hundred pixels."""
    tall = max(at.vae.data.examples().shape)
    return small if tall <= LARGE_TILE else max(9, small * LARGE_TILE // tall)


def _manifold(at: Moment, view: View, dark: bool) -> Back:
    side = _side(at, SIDE)
    where = summaries.presence(at, view, side)
    return Back(figures.manifold(summaries.tiles(at, view, side), *where, dark=dark), False, [])


def _points(at: Moment, view: View, dark: bool) -> Back:
    means, labels = view.seen(summaries.train_means(at)), vae.half(at.vae, "train").labels
    inks = theme.tokens(dark).categories
    kinds = np.zeros(len(means), int) if labels is None else labels[: len(means)]
    size = 4.0 if len(means) < 5000 else 2.0
    dots = [
        {"colour": inks[kind % len(inks)], "size": size,
         **dict(zip("xy", np.round(means[kinds == kind].T, 3).tolist(), strict=True))}
        for kind in np.unique(kinds).tolist()
    ]  # fmt: skip
    return Back(figures.amount(np.zeros((2, 2)), dark=dark), False, dots)


def _holes(at: Moment, view: View, dark: bool) -> Back:
    return Back(figures.signed(summaries.holes(at, view, MAP), dark=dark), True, [])


def _variance(at: Moment, view: View, dark: bool) -> Back:
    return Back(figures.amount(summaries.uncertainty(at, view, MAP), dark=dark), True, [])


VARIANCE = "Decoder variance"
MODES: dict[str, Callable[[Moment, View, bool], Back]] = {
    "Manifold by class": _manifold,
    "Training images": _points,
    "Holes": _holes,
    VARIANCE: _variance,
}
SAID = {
    "Manifold by class": "ink fades where no training image lives",
    "Training images": "means of their q's, coloured by class",
    "Holes": "aggregated posterior minus prior: blue has more, red is a hole",
    VARIANCE: "variance of a pixel given z, mean over pixels: more ink is more",
}


def modes(at: Moment) -> tuple[str, ...]:
    """What can be shown of this model: the variance of x only where it depends on z."""
    return tuple(mode for mode in MODES if mode != VARIANCE or summaries.varies(at))


def plane(at: Moment, view: View, mode: str, marks: Marks, height: int, on_pin: Callable[[], None]) -> None:
    """Draw it. Only a pin is told to the server."""
    dark, side = frame.dark(), _side(at, ATLAS)
    id = films.named("latent", *at.key, view, mode, dark)
    still = films.text(id, lambda: json.dumps(_still(at, view, mode, dark, side)))
    # apart from what a pin changes: it is fetched once
    component("latent_still")(
        key="latent_still",
        data={"id": id, **films.sent(id, still)},
        height=0,
        on_lost_change=films.lost("latent_still"),
    )
    data = {
        "id": id,
        "centre": view.centre,
        "edge": view.edge,
        "height": int(height * frame.scale()),
        "alt": f"Latent plane: {SAID[mode]}. Arrow keys move, Enter pins.",
        "axes": list(view.names),
        "ticks": [_ticks(middle, view.edge) for middle in view.centre],
        "pin": marks.pin.tolist(),
        "ask": answers.address(),
        "lines": _lines(view, marks, dark),
        "words": _words(at, view, mode, marks, dark),
        "colours": _colours(dark),
    }
    component("latent")(key="latent_plane", data=data, height=data["height"], on_pin_change=on_pin)


def _still(at: Moment, view: View, mode: str, dark: bool, side: int) -> dict[str, Any]:
    """What is large and stays as long as run, view, mode and theme do."""
    back = MODES[mode](at, view, dark)
    tiles = summaries.tiles(at, view, side)
    atlas = {
        "source": figures.sprite(tiles),
        "side": side,
        "height": tiles.shape[2],
        "width": tiles.shape[3],
    }
    return {"back": back.source, "smooth": back.smooth, "dots": back.dots, "atlas": atlas}


def _colours(dark: bool) -> dict[str, Any]:
    inks = theme.tokens(dark)
    return {"bg": inks.bg, "text": inks.text, "muted": inks.muted, "border": inks.border, "prior": inks.prior,
            "ink": theme.rgb(inks.text), "font": theme.FONT}  # fmt: skip


def _ticks(middle: float, edge: float) -> list[dict[str, Any]]:
    made = theme.ticks(middle - edge, middle + edge, 6)
    return [{"at": at, "text": text} for at, text in zip(made["tickvals"], made["ticktext"], strict=True)]


def _line(points: np.ndarray, colour: str, width: float, dash: Sequence[float] = (), fill: str = "",
          dots: str = "", joined: bool = True) -> dict[str, Any]:  # fmt: skip
    """A line (2, n), or only its points; with `dots`, a disc at every point, the first filled so."""
    x, y = np.round(points, 4).tolist()
    return {"x": x, "y": y, "colour": colour, "width": width, "dash": list(dash), "fill": fill, "dots": dots,
            "joined": joined}  # fmt: skip


def _lines(view: View, marks: Marks, dark: bool) -> list[dict[str, Any]]:
    inks = theme.tokens(dark)
    middle = np.zeros(2)
    made = [_line(figures.ellipse(middle, np.eye(2), sds), inks.prior, 1.25, (4, 4)) for sds in (1.0, 2.0)]
    if marks.image is not None:
        factor = view.seen(marks.image.factor.T).T
        root = np.linalg.cholesky(factor @ factor.T)
        for sds, width, fill in ((2.0, 1.25, theme.fill(inks.q_mark, 0.1)), (1.0, 2.25, "")):
            made.append(
                _line(figures.ellipse(view.seen(marks.image.mean), root, sds), inks.q_mark, width, (), fill)
            )
    for points, joined in marks.paths:
        made.append(_line(points.T, inks.text, 1.75, dots=inks.text if joined else inks.bg, joined=joined))
    made.append(_line(np.stack([marks.pin, marks.pin], 1), inks.q_mark, 2.0, dots=inks.q_mark))
    return made


def _words(at: Moment, view: View, mode: str, marks: Marks, dark: bool) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    labels, names = vae.half(at.vae, "train").labels, at.vae.data.examples().label_names
    if labels is not None and 1 < len(names) <= MOST_NAMES and mode != "Holes":
        means = view.seen(summaries.train_means(at))
        for label in np.unique(labels).tolist():
            middle = np.median(means[labels[: len(means)] == label], 0)
            ring = theme.tokens(dark).categories[label % 20]
            made.append({"at": _beside(middle, marks.pin, view).tolist(), "text": names[label], "ring": ring})
    taken = np.array([*(word["at"] for word in made), marks.pin])
    for radius, text in ((1.0, "prior 1 sd"), (2.0, "2 sd")):
        turn = free_angle(radius, taken)
        made.append({"at": [radius * math.cos(turn), radius * math.sin(turn)], "text": text, "ring": ""})
    named = [*marks.spots, (marks.pin, "pinned")]
    return made + [{"at": at.tolist(), "text": text, "ring": "", "shift": -17} for at, text in named]


def _beside(place: np.ndarray, pin: np.ndarray, view: View) -> np.ndarray:
    """The place, or where a word's box leaves the pin free."""
    away, room = place - pin, CLEAR * view.edge
    far = float(np.linalg.norm(away))
    if far >= room:
        return place
    return pin + room * (away / far if far else np.array([-1.0, 0.0]))


def pinned() -> tuple[float, float]:
    """Where the plane was pinned; for `on_pin` callbacks."""
    told = st.session_state["latent_plane"]["pin"]
    return float(told["x"]), float(told["y"])
