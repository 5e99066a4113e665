"""The q of a one-dimensional fit: sliders and the hand set one place, an optimizer goes on from it."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import streamlit as st

from lvmviz.core import Knob
from lvmviz.divergences import Decomposition
from lvmviz.families import Gaussian, Line, MixtureOf2, SinhArcsinh
from lvmviz.figures.fit import Bell
from lvmviz.figures.theme import tokens
from lvmviz.summaries import fit as summaries
from lvmviz.summaries.fit import Place
from lvmviz.targets import Skewed, Target
from lvmviz.ui import answers, frame, state
from lvmviz.ui.answers import Places
from lvmviz.ui.controls import Controls, decade
from lvmviz.ui.plot import Hand, Handle, Mark, Outline, Shape, grasp, spot

FITTED = "fitted"  # in the link: an optimizer has set out from the q of the sliders
NOTE_001 = (Place(2.0, round(math.sqrt(2.0), 4)), Place(-4.0, round(math.sqrt(0.75), 4)))
SECOND = Knob(help="Another q, dashed, to compare with.", label="Second q", more=True)
FARTHEST, NARROWEST, WIDEST = 1e6, 2e-3, 1e5  # of what a picture shows: q's controls go no further
_AUTOPLAY = "lvmviz.autoplay"
_RANGE, _POSTERIOR = "lvmviz.range", "lvmviz.posterior"


@dataclasses.dataclass(frozen=True)
class Q:
    """A q as its family, its places and what else shapes it."""

    family: Line
    places: tuple[Place, ...]
    extra: tuple[float, ...] = ()

    @property
    def phi(self) -> Any:
        """phi (P,), unconstrained."""
        return summaries.phi_at(self.family, self.places, self.extra)


class Range(NamedTuple):
    """How far the sliders and the hand may go."""

    low: float  # of the mean
    high: float
    least: float  # of the standard deviation
    most: float

    def held(self, mean: float, sd: float) -> Place:
        """The nearest place within, in no more digits than a picture so wide can show."""
        digits = 5 - math.floor(math.log10(self.high - self.low))
        mean, sd = round(mean, digits), float(f"{sd:.5g}")
        return Place(min(max(mean, self.low), self.high), min(max(sd, self.least), self.most))


# ---- the sliders ----


def sliders(controls: Controls, target: Target, family: Line) -> Q:
    """One pair of sliders for q, or for each component of a mixture."""
    st.session_state[_RANGE] = ends = range_of(target)
    _put_on(target)
    count = 2 if isinstance(family, MixtureOf2) else 1
    of = ("q",) if count == 1 else ("part 1", "part 2")
    words = summaries.place_names(family)
    places = tuple(
        _place(controls, i, words, of[i], first_place(target, i, count), ends) for i in range(count)
    )
    return Q(family, places, _extra(controls, family))


def _put_on(target: Target) -> None:
    """A q of another posterior says nothing of this one: its sliders begin anew, unless a link set them."""
    was, now = st.session_state.get(_POSTERIOR), (state.generation(), target)
    st.session_state[_POSTERIOR] = now
    if was is not None and was[0] == now[0] and was[1] != target:
        for name in ("mean", "sd", "mean2", "sd2", "second", "second.mean", "second.sd"):
            state.renew(name)
        leave()


def range_of(target: Target) -> Range:
    """What a picture of the posterior shows, in round numbers."""
    low, high = summaries.extent(target)
    if not (max(abs(low), abs(high)) < FARTHEST and NARROWEST < high - low < WIDEST):
        least, most = _far(low), _far(high)
        where = f"at z = {least}" if least == most else f"between z = {least} and {most}"
        raise ValueError(
            f"This posterior lies {where}: scale or shift z, so that it is "
            f"nearer to 0 than {decade(FARTHEST)}, and between {NARROWEST:g} and {WIDEST:g} wide"
        )
    grain = 10.0 ** (math.floor(math.log10(high - low)) - 2)  # three digits of the width, wherever it lies
    low, high = (round(round(end / grain) * grain, 12) for end in (low, high))
    return Range(low, high, float(f"{0.004 * (high - low):.1g}"), float(f"{0.5 * (high - low):.2g}"))


def _far(z: float) -> str:
    """In three digits."""
    return decade(float(f"{z:.3g}")).replace("-", "−")


def _place(controls: Controls, i: int, words: tuple[str, str], of: str, start: Place, ends: Range) -> Place:
    names = [f"{word.capitalize()} of {of}" for word in words]
    told = "The {} handle on the picture moves it too."
    across = Knob(ends.low, ends.high, told.format("larger"), names[0], "both", more=i > 0)
    wide = Knob(ends.least, ends.most, told.format("smaller"), names[1], "both", more=i > 0)
    mean = controls.value(_key("mean", i), float, start.mean, across)
    return Place(mean, controls.value(_key("sd", i), float, start.sd, wide))


def _extra(controls: Controls, family: Line) -> tuple[float, ...]:
    if isinstance(family, MixtureOf2):
        weight = Knob(0.01, 0.99, "Share of the first part.", "Weight of part 1")
        return (controls.value("weight", float, 0.5, weight),)
    if isinstance(family, SinhArcsinh):
        lean = Knob(-2.0, 2.0, "Leans q to one side.", "Skew of q")
        tail = Knob(-1.0, 1.0, "Below 0 the tails are heavier than a Gaussian's.", "Log tail of q")
        return controls.value("skew", float, 0.0, lean), controls.value("tail", float, 0.0, tail)
    return ()


def _key(name: str, i: int) -> str:
    return name if i == 0 else f"{name}{i + 1}"


def first_place(target: Target, i: int = 0, count: int = 1) -> Place:
    """Where q stands at first: note 001's on its posterior, else left of the middle."""
    if count == 1 and isinstance(target, Skewed):
        return NOTE_001[0]
    ends = range_of(target)
    share = 0.35 if count == 1 else (0.35, 0.65)[i]
    wide = ends.high - ends.low
    grain = 0.01 * 10.0 ** math.floor(math.log10(wide))
    return ends.held(grain * round((ends.low + share * wide) / grain), float(f"{0.08 * wide:.2g}"))


def second(controls: Controls, target: Target) -> Q | None:
    """Another q to compare with; on the skewed posterior the poor one of note 001, at once."""
    if not controls.value("second", bool, isinstance(target, Skewed), SECOND):
        return None
    ends = range_of(target)
    start = NOTE_001[1] if isinstance(target, Skewed) else ends.held(*_beside(first_place(target), ends))
    across = Knob(ends.low, ends.high, "", "Mean of the second q", more=True)
    wide = Knob(ends.least, ends.most, "", "Sd of the second q", more=True)
    mean = controls.value("second.mean", float, start.mean, across)
    return Q(Gaussian(), (Place(mean, controls.value("second.sd", float, start.sd, wide)),))


@functools.lru_cache(maxsize=64)
def terms(target: Target, q: Q) -> Decomposition:
    """Evidence and ELBO of a q that stays where it is while another is dragged."""
    return summaries.terms(target, q.family, q.phi)


def _beside(place: Place, ends: Range) -> tuple[float, float]:
    return place.mean + 0.3 * (ends.high - ends.low), place.sd


# ---- the hand ----


def hand(q: Q, bells: Sequence[Bell], traces: Sequence[int], ask: str = "") -> Hand | None:
    """Two handles for each component: its centre, and its width at one scale to the right.

    None for a q whose shape changes from frame to frame: no one curve is it.
    """
    if any(bell.u.ndim > 1 for bell in bells):
        return None
    colour = tokens(frame.dark()).q_mark
    shapes, handles = [], []
    whose = ("q",) if len(bells) == 1 else ("part 1", "part 2")
    for i, (bell, trace) in enumerate(zip(bells, traces, strict=True)):
        u, v = bell.u, bell.v
        shapes.append(Shape([Outline(trace, u.tolist(), v.tolist())], bell.places.tolist()))
        for at, moves, told in ((0.0, "loc", "Centre"), (1.0, "scale", "Width")):
            height = float(v[abs(u - at).argmin()])
            handles.append(Handle(i, (at, height), moves, f"{told} of {whose[i]}", colour))
    ends: Range = st.session_state[_RANGE]
    unit = summaries.unit(q.family)
    reach = ends.low, ends.high, ends.least * unit, ends.most * unit
    return Hand(shapes, handles, answers.count(), reach, ask)


def dragged(family: Line) -> Callable[[], None]:
    """The hand moved: the sliders follow, an earlier fit is left, the link waits until the hand rests."""

    def follow() -> None:
        took = grasp("picture")
        for i, place in enumerate(places_of(family, took.places)):
            _put(i, *place)
        answers.heard(took.request)
        if not took.settled:
            state.pause()

    return follow


def places_of(family: Line, taken: Places) -> tuple[Place, ...]:
    """What the sliders say where the hand has put the curves (loc, scale); ValueError for other places."""
    if any(len(place) != 2 for place in taken):
        raise ValueError("each curve has a loc and a scale")
    unit = summaries.unit(family)
    return tuple(Place(loc, scale / unit) for loc, scale in taken)


def mark(target: Target, q: Q) -> Mark:
    """The ring on the landscape: where q is, or the hand on it."""
    hand = "picture" if len(q.places) == 1 else ""  # a mixture's place is neither of its parts'
    return Mark(hand, -1, mark_at(target, q), summaries.unit(q.family))


def mark_at(target: Target, q: Q) -> tuple[float, float]:
    """Mean and sd of q, held within the landscape."""
    means, sds, _ = summaries.hills(target, q.family)
    mean, sd = summaries.places(q.family, q.phi).tolist()
    return min(max(mean, float(means[0])), float(means[-1])), min(max(sd, float(sds[0])), float(sds[-1]))


def jump(q: Q) -> Callable[[], None]:
    """A click on the landscape puts q there: a mixture is shifted and stretched as a whole."""

    def put() -> None:
        there = spot("landscape")
        whole = q.places[0] if len(q.places) == 1 else Place(*summaries.places(q.family, q.phi).tolist())
        stretch = there["y"] / whole.sd
        for i, part in enumerate(q.places):
            mean = there["x"] + stretch * (part.mean - whole.mean)
            _put(i, mean, stretch * part.sd)

    return put


def _put(i: int, mean: float, sd: float) -> None:
    ends: Range = st.session_state[_RANGE]
    for name, value in zip(("mean", "sd"), ends.held(mean, sd), strict=True):
        if i:  # under More
            state.put(_key(name, i), value)
        else:
            st.session_state[state.key(name)] = value
    leave()


# ---- the optimizer ----


def fit_buttons(guessing: bool = False) -> None:
    """Fit sets out from where q stands; once it has, q can be put back."""
    with st.container(horizontal=True, gap="small", key="fit"):
        st.button("Fit", icon=":material/play_arrow:", on_click=_set_out, width="stretch", disabled=guessing,
                  help="Let the optimizer go on from where q stands")  # fmt: skip
        st.button("Back", icon=":material/undo:", on_click=leave, disabled=not fitted(), width="stretch",
                  help="Take q off the optimizer's path, back to where it set out")  # fmt: skip


def fitted() -> bool:
    """Whether the optimizer has set out."""
    return state.placed(FITTED) == "1"


def _set_out() -> None:
    leave()
    state.place(FITTED, "1")
    state.turn()
    st.session_state[_AUTOPLAY] = True


def leave() -> None:
    """Take q off the optimizer's path."""
    state.place(FITTED, "")
    state.place(state.POSITION, "")


def autoplay() -> bool:
    """Whether a fit has just been asked for."""
    return st.session_state.pop(_AUTOPLAY, False)


# ---- the game ----

GUESS = Knob(
    help="Hide every number, fit by eye, then see how near you came.",
    label="Guess: hide the numbers",
    more=True,
)


def guessing(controls: Controls) -> bool:
    """Whether the numbers are hidden; no optimizer plays the game."""
    hidden = controls.value("guess", bool, False, GUESS)
    if hidden and fitted():
        leave()
    return hidden


def reveal(kl: float, best: float) -> None:
    """The game's answer: your KL beside the best."""
    frame.head("game", "Fit by eye")
    st.markdown(":gray[Move q until you think it is best. Every number is hidden.]")
    if st.button("Reveal", key="reveal", width="stretch"):
        st.markdown(f"Your KL: **{kl:.3f}** nats  \nThe best: **{best:.3f}** nats")
        near = kl - best
        word = "As good as it gets." if near < 0.005 else "Close." if near < 0.05 else "There is room yet."
        st.markdown(f"**{word}** {near:.3f} nats above the best.")
    st.button(
        "Show the numbers again", key="end_game", on_click=state.put, args=("guess", False), width="stretch"
    )
