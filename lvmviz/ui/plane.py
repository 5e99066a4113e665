"""The q of a fit in the plane: boxes and the hand set its ellipses, an optimizer goes on from there."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import streamlit as st

from lvmviz.core import Knob
from lvmviz.families import FullRank, MixtureQ, Plane, Stack
from lvmviz.figures.theme import tokens
from lvmviz.summaries import plane as summaries
from lvmviz.summaries.plane import Place
from lvmviz.summaries.plane_numbers import layer_count
from lvmviz.targets import Target
from lvmviz.ui import answers, fit, frame, state
from lvmviz.ui.answers import Places
from lvmviz.ui.controls import Controls
from lvmviz.ui.plane_places import Range, first_places, places_of, range_of, text_of
from lvmviz.ui.plot import Hand, Handle, Outline, Shape, grasp

STANDS = "q"  # in the link: where every part of q stands
_NOW, _RANGE, _POSTERIOR = "lvmviz.plane.now", "lvmviz.plane.range", "lvmviz.plane.posterior"


@dataclasses.dataclass(frozen=True)
class Q:
    """A q as its family and where its parts stand."""

    family: Plane
    places: tuple[Place, ...]

    @property
    def phi(self) -> Any:
        """phi (P,), unconstrained."""
        return summaries.phi_at(self.family, self.places)

    @property
    def turns(self) -> bool:
        """Whether its ellipses may lean."""
        return may_lean(self.family)


def may_lean(family: Plane) -> bool:
    """Whether an ellipse of this q may turn."""
    return isinstance(family, (FullRank, MixtureQ))


def count_of(family: Plane) -> int:
    """Of its parts."""
    return family.parts if isinstance(family, MixtureQ) else 1


# ---- the boxes ----


def boxes(target: Target, family: Plane) -> Q:
    """Centre, half-axes and angle of q, or of one part of a mixture after another."""
    st.session_state[_RANGE] = ends = range_of(target)
    _put_on(target)
    places = _stands(target, family, ends)
    st.session_state[_NOW] = places
    part = _part(len(places))
    now, whose = places[part], "" if len(places) == 1 else f" of part {part + 1}"
    words = (("Half-axis 1", "Half-axis 2") if may_lean(family) else ("Sd x", "Sd y"))  # fmt: skip
    if isinstance(family, Stack):
        words = ("Stretch x", "Stretch y")
    grain = 10.0 ** (math.floor(math.log10(ends.right - ends.left)) - 2)
    _pair(part, whose, ("x", "Centre x", now.x, ends.left, ends.right),
          ("y", "Centre y", now.y, ends.bottom, ends.top), grain)  # fmt: skip
    _pair(part, whose, ("first", words[0], now.first, ends.least, ends.most),
          ("second", words[1], now.second, ends.least, ends.most), grain)  # fmt: skip
    if len(places) > 1:
        share = round(now.share / sum(place.share for place in places), 4)
        _pair(part, whose, ("angle", "Angle", now.angle, -180.0, 180.0),
              ("share", "Weight", share, 0.01, 0.99), 0.05)  # fmt: skip
    elif may_lean(family):
        _turn(now.angle)
    return Q(family, places)


Box = tuple[str, str, float, float, float]  # field, label, value, least, most


def _pair(part: int, whose: str, one: Box, two: Box, grain: float) -> None:
    with st.container(horizontal=True, wrap=False, gap="small"):
        for field, label, value, low, high in (one, two):
            key = _key(field)
            st.session_state[key] = value
            st.number_input(label, low, high, value, step=grain, format="%g", key=key,
                            on_change=_typed, args=(part, field, key),
                            help=f"{label}{whose}; the hand sets it too.")  # fmt: skip


def _turn(angle: float) -> None:
    key = _key("angle")
    st.session_state[key] = angle
    st.slider("Angle", -180.0, 180.0, angle, step=1.0, format="%g°", key=key, on_change=_typed,
              args=(0, "angle", key),
              help="Of half-axis 1, from the x axis; the hand sets it too.")  # fmt: skip


def _key(field: str) -> str:
    return f"lvmviz.plane.{field}"


def _part(count: int) -> int:
    """Which part of a mixture the boxes set."""
    if count == 1:
        return 0
    names = [str(part) for part in range(1, count + 1)]
    chosen = st.segmented_control("Part", names, default="1", key=f"lvmviz.plane.part{count}", required=True,
                                  help="Which part of q the boxes below set.")  # fmt: skip
    return int(chosen or 1) - 1


def _typed(part: int, field: str, key: str) -> None:
    places = list(st.session_state[_NOW])
    value = float(st.session_state[key])
    if field == "share":
        rest = sum(place.share for i, place in enumerate(places) if i != part)
        value = value / (1.0 - value) * rest
    places[part] = places[part]._replace(**{field: value})
    _put(_even(places))


def _even(places: Sequence[Place]) -> list[Place]:
    """Shares that sum to one; a single part has no share to tell."""
    total = sum(place.share for place in places)
    if len(places) == 1:
        return [places[0]._replace(share=1.0)]
    return [place._replace(share=place.share / total) for place in places]


def _put(places: Sequence[Place]) -> None:
    ends: Range = st.session_state[_RANGE]
    held = tuple(ends.held(place) for place in places)
    st.session_state[_NOW] = held
    state.place(STANDS, text_of(held))
    fit.leave()


def _stands(target: Target, family: Plane, ends: Range) -> tuple[Place, ...]:
    """Where q stands: by the link or the hand, else where it begins."""
    text, first = state.placed(STANDS), first_places(target, family)
    if not text:
        return first
    try:
        places = places_of(text)
    except (ValueError, TypeError):
        told = "it is x, y and two positive half-axes, perhaps an angle"
        state.problem(f"The link's {STANDS} = {text[:40]} was not used: {told}.")
        state.place(STANDS, "")
        return first
    if len(places) != len(first):  # of a mixture with other parts
        return first
    if not may_lean(family):
        places = tuple(place._replace(angle=0.0) for place in places)
    return tuple(ends.held(place) for place in places)


def layers(family: Plane) -> int:
    """How many layers of q's map are shown; a slider where there are several."""
    count = layer_count(family)
    if count == 1:
        return 1
    place = st.container()
    meta = Knob(0, count, "0 is the noise itself, put in place.", "Layers shown")
    return Controls(place, place).value("upto", int, count, meta)


def _put_on(target: Target) -> None:
    """A q of another posterior says nothing of this one: it begins anew, unless a link set it."""
    was, now = st.session_state.get(_POSTERIOR), (state.generation(), target)
    st.session_state[_POSTERIOR] = now
    if was is not None and was[0] == now[0] and was[1] != target:
        state.place(STANDS, "")
        fit.leave()


# ---- the hand ----


class Shown(Protocol):
    """What of a picture the hand may take."""

    @property
    def traces(self) -> Sequence[Sequence[int]]: ...  # of every part, inner outline first
    @property
    def outlines(self) -> Sequence[np.ndarray]: ...  # in a part's own coordinates
    @property
    def places(self) -> np.ndarray: ...  # (M, T, 5) every part in every frame


def hand(q: Q, shown: Shown, ask: str = "") -> Hand | None:
    """Three handles for each part: its centre, and the ends of both axes of its outer outline.

    None for a q whose outlines change from frame to frame, and for a mixture on its way.
    """
    if any(line.ndim > 2 for line in shown.outlines) or (len(shown.places) > 1 and shown.places.shape[1] > 1):
        return None
    colour, ends = tokens(frame.dark()).q_mark, st.session_state[_RANGE]
    reach = summaries.radius(summaries.REGIONS[-1])
    shapes, handles = [], []
    for i, (where, lines) in enumerate(zip(shown.places, shown.traces, strict=True)):
        whose = "q" if len(shown.places) == 1 else f"part {i + 1}"
        drawn = [Outline(trace, line[:, 0].tolist(), line[:, 1].tolist())
                 for trace, line in zip(lines, shown.outlines, strict=True)]  # fmt: skip
        shapes.append(Shape(drawn, where.tolist()))
        for at, moves, told in (((0.0, 0.0), "centre", "Centre"), ((reach, 0.0), "first", "First axis"),
                                ((0.0, reach), "second", "Second axis")):  # fmt: skip
            handles.append(Handle(i, at, moves, f"{told} of {whose}", colour, q.turns and moves != "centre"))
    return Hand(shapes, handles, answers.count(), tuple(ends), ask, "ellipse")


def dragged(q: Q) -> Callable[[], None]:
    """The hand moved: the boxes follow, an earlier fit is left, the link waits until the hand rests."""

    def follow() -> None:
        took = grasp("picture")
        _put(taken(q, took.places))
        answers.heard(took.request)
        if not took.settled:
            state.pause()

    return follow


def taken(q: Q, places: Places) -> tuple[Place, ...]:
    """The places where the hand has put the ellipses; ValueError for others."""
    if len(places) != len(q.places) or any(len(place) != 5 for place in places):
        raise ValueError(f"{q.family.name()} has {len(q.places)} ellipses of five numbers each")
    return tuple(Place(*place)._replace(share=was.share) for place, was in zip(places, q.places, strict=True))
