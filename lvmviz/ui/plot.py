"""Figures on a node that stays: zoom survives, hover and clicks come back, films play without the server."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import streamlit as st

from lvmviz.figures.drawing import Drawing
from lvmviz.figures.film import Film
from lvmviz.ui import answers, films, frame
from lvmviz.ui.component import component


class Outline(NamedTuple):
    """A drawn line of a shape, in the shape's own coordinates."""

    trace: int
    u: list[float]
    v: list[float]


class Shape(NamedTuple):
    """Lines that the hand moves together, by an affine map of (u, v) that js/curve.js or js/ellipse.js makes.

    A curve's place is (loc, scale, height), with x = loc + scale u and y = height v / scale; an ellipse's
    (cx, cy, first, second, angle), half axes and the degrees from x to the first; a linear map's
    (cx, cy, a11, a21, a12, a22), where its "first" and "second" column are.
    """

    lines: list[Outline]
    places: list[list[float]]  # in every frame


class Handle(NamedTuple):
    """A point (u, v) of a shape that can be taken.

    It moves a curve's "loc" or "scale", or an ellipse's "centre", "first" or "second", which may turn it.
    """

    shape: int
    at: tuple[float, float]
    moves: str
    label: str
    colour: str
    turns: bool = False


class Hand(NamedTuple):
    """What can be dragged on a plot. The browser draws it at once and asks once at a time for the numbers."""

    shapes: list[Shape]
    handles: list[Handle]
    answers: int  # the request this picture answers
    # the least and most of loc, and of scale; of an ellipse of x, of y, and of half an axis
    ends: tuple[float, ...]
    ask: str = ""  # the address that answers while the hand moves, see answers.py; "": the page itself
    kind: str = "curve"  # or "ellipse", "columns", "rail": the modules of js/

    def data(self) -> dict[str, Any]:
        """As the browser reads it."""
        shapes = [{"lines": [line._asdict() for line in shape.lines], "places": shape.places}
                  for shape in self.shapes]  # fmt: skip
        return self._asdict() | {"shapes": shapes, "handles": [handle._asdict() for handle in self.handles]}


class Canvas(NamedTuple):
    """An image in a plot, rows x columns in the axes' units, whose pixels a brush takes."""

    name: str
    label: str
    x: float  # its left
    y: float  # its top
    columns: int
    rows: int
    colour: str


class Square(NamedTuple):
    """A plot whose units are as wide as high needs no more height than its width asks for."""

    rest: int  # px, whatever the width
    slope: float  # px a px of width


class Stroke(NamedTuple):
    """What a brush took: pixels of a canvas, counted row by row."""

    canvas: str
    cells: tuple[int, ...]


def stroke(name: str) -> Stroke:
    """What the brush took on a plot; for `on_brush` callbacks."""
    told = st.session_state[f"plot_{name}"]["brush"]
    return Stroke(str(told["canvas"]), tuple(map(int, told["cells"])))


class Mark(NamedTuple):
    """A trace of one point that stands apart from the figure, so that moving it sends no figure again.

    While a hand is on another plot it shows that hand's place, (loc, scale / unit).
    """

    plot: str  # the other plot, or "" for a mark that only Python moves
    trace: int  # from the end when negative
    at: tuple[float, float]
    unit: float


class Grasp(NamedTuple):
    """What the hand did: the places of every shape, of a curve (loc, scale)."""

    places: tuple[tuple[float, ...], ...]
    request: int
    settled: bool  # the hand rests: the URL may follow


def grasp(name: str) -> Grasp:
    """What the hand on a plot did; for `on_hand` callbacks."""
    told = st.session_state[f"plot_{name}"]["hand"]
    places = tuple(tuple(map(float, place)) for place in told["places"])
    return Grasp(places, int(told["request"]), bool(told["settled"]))


def film_text(made: Film | Drawing, factor: float) -> str:
    """A film as the browser reads it, everything in px larger by a factor."""
    film = made if isinstance(made, Film) else Film(made, 1)
    text = json.dumps(film.data(), cls=_Encoder)
    if "NaN" in text or "Infinity" in text:  # a browser's JSON has neither: they are gaps in a line
        text = json.dumps(json.loads(text, parse_constant=lambda _: None))
    if factor == 1.0:
        return text
    # words of several sizes say them themselves
    data = json.loads(re.sub(r"(?<=font-size:)\d+(?=px)", lambda size: f"{int(size[0]) * factor:g}", text))
    moves = [_moved(move, factor) for move in data["moves"]]
    return json.dumps(data | {"figure": _enlarged(data["figure"], factor), "moves": moves})


_SIZES = {"size", "standoff", "startstandoff", "xshift", "yshift", "ticklen", "height", "l", "r", "t", "b"}


def _enlarged(value: Any, factor: float, key: str = "", inside: str = "") -> Any:
    """A figure with every type, mark, line and margin larger: what is in px, not what is in data."""
    if isinstance(value, dict):
        return {name: _enlarged(part, factor, name, key) for name, part in value.items()}
    if isinstance(value, list):
        return [_enlarged(part, factor, key, inside) for part in value]
    px = key in _SIZES or (key == "width" and inside == "line")
    return value * factor if px and isinstance(value, (int, float)) and not isinstance(value, bool) else value


def _moved(move: dict[str, Any], factor: float) -> dict[str, Any]:
    """What moves from frame to frame, likewise."""
    key = move["keys"][0].rpartition(".")[2]
    return move | {"list": _enlarged(move["list"], factor, key)} if "list" in move else move


class _Encoder(json.JSONEncoder):
    def default(self, o: Any) -> Any:
        return o.tolist() if hasattr(o, "tolist") else super().default(o)


def plot(
    name: str,
    make: Callable[[], Film | Drawing],
    *,
    depends: tuple[object, ...],
    height: int,
    alt: str,
    channel: str | None = None,
    on_spot: Callable[[], None] | None = None,
    on_pick: Callable[[], None] | None = None,
    hand: Hand | None = None,
    on_hand: Callable[[], None] | None = None,
    mark: Mark | None = None,
    brush: Sequence[Canvas] = (),
    on_brush: Callable[[], None] | None = None,
    square: Square | None = None,
) -> Any:
    """Draw a figure or film; `make` is called only when `depends` is new.

    `height` is the most of a `square` one. With a `channel` the film follows that trace's player. Returned
    are `.spot` ({x, y} on the axes, where an empty place was clicked) and `.pick` ({trace, value} of a
    clicked mark's customdata), each for one run.
    """
    factor = frame.scale()
    id = films.named(name, depends, factor)
    data = {
        "id": id,
        "name": name,
        **films.sent(id, films.text(id, lambda: film_text(make(), factor)), held=hand is not None),
        "height": int(height * factor),
        "alt": alt,
        "channel": channel,
        "clickable": on_spot is not None,
        "pickable": on_pick is not None,
        "hand": hand and hand.data(),
        "mark": mark and mark._asdict(),
        "brush": [canvas._asdict() for canvas in brush] or None,
        "square": square and [square.rest * factor, square.slope],
        "answered": answers.count(),
    }
    return component("plot")(
        key=f"plot_{name}",
        data=data,
        height="content" if square else int(height * factor),
        on_spot_change=on_spot or nothing,
        on_pick_change=on_pick or nothing,
        on_hand_change=on_hand or nothing,
        on_brush_change=on_brush or nothing,
        on_theme_change=nothing,
        on_lost_change=films.lost(f"plot_{name}"),
    )


def nothing() -> None:
    """Streamlit sends a trigger only when somebody listens."""


def spot(name: str) -> dict[str, float]:
    """Where a plot was clicked, {x, y} on its axes; for `on_spot` callbacks."""
    return st.session_state[f"plot_{name}"]["spot"]
