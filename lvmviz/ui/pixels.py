"""The page Missing pixels: what is hidden, and where q stands; buttons and the brush set both."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from lvmviz.core import Knob
from lvmviz.figures import missing_pixels as figures
from lvmviz.figures.theme import tokens
from lvmviz.summaries import missing_pixels as summaries
from lvmviz.summaries.missing_pixels import Image, Joint, Open
from lvmviz.ui import frame, state
from lvmviz.ui.controls import Controls
from lvmviz.ui.plot import Canvas, Square, stroke

TOGGLED, Q, PAINTED, CLIMBS = "toggled", "q", "painted", "cavi"  # in the link
PRESETS = {"half": summaries.HALF, "ones": summaries.ONES, "digit": summaries.ALIKE, "mean": summaries.MEAN}
AS_IS, OFF, ON = "as it is", "all off", "all on"
PIXELS = Knob(options=(AS_IS, OFF, ON), help="A blank image, or one all on, in its place.",
              label="Pixels of the image", more=True)  # fmt: skip
BRUSH = Knob(0.0, 1.0, "What the brush paints on q: drag over its hidden pixels.", "Brush φ")
DIGIT = Knob(0, 9, "Whose top “a digit” puts q at.", "q like the digit", "box", more=True)
SEED = Knob(0, 9999, "Of the draws: completions and estimates.", "Seed", "box", more=True)
MOST_STROKES = 12  # that are told apart; older ones become one
_PAINTING = r"(\d{1,5}\.(100|\d{1,2})([-_]\d{1,5}\.(100|\d{1,2}))*)?"
_AUTOPLAY, _JOINT, _NOW = "lvmviz.pixels.autoplay", "lvmviz.pixels.joint", "lvmviz.pixels.now"


class Asked(NamedTuple):
    """What the controls ask for."""

    image: Image
    phi: np.ndarray  # (h,) where q sets out
    before: np.ndarray  # (n, h) where it was put, and after every stroke but the last
    climbs: bool  # whether coordinate ascent goes on from there
    preset: str  # the name of the place, a key of PRESETS
    painted: bool  # whether the brush has changed it
    digit: int
    row: int  # of the joint's images
    seed: int

    @property
    def depends(self) -> tuple[object, ...]:
        """What tells its pictures from others."""
        return (*self.image.key, self.phi.tobytes(), self.climbs, self.seed)


# ---- the image ----


def image(controls: Controls, joint: Joint) -> tuple[Image, int]:
    """The chosen image with its hidden pixels, and its row."""
    _put_on(joint)
    most, noun = len(joint.images) - 1, "Digit" if len(joint.images) == 10 else "Image"
    row = controls.value("image", int, 9, Knob(0, most, f"0 to {most}.", noun, "box"))
    high, wide = joint.shape
    usual = 3 if high < 8 else 2
    told = "From the top. Brush on the left image to hide others."
    rows = controls.value("rows", int, usual, Knob(0, high, told, "Hidden rows"))
    x = {AS_IS: joint.images[row], OFF: np.zeros(high * wide), ON: np.ones(high * wide)}[
        controls.value("pixels", str, AS_IS, PIXELS)
    ]
    hidden = (np.arange(high * wide) < rows * wide) ^ _toggled(high * wide)
    return Image(joint, x, hidden), row


def _put_on(joint: Joint) -> None:
    """What was brushed on one joint's image means nothing on another's."""
    was, now = st.session_state.get(_JOINT), (state.generation(), joint.shape)
    st.session_state[_JOINT] = now
    if was is not None and was[0] == now[0] and was[1] != joint.shape:
        state.place(TOGGLED, "")
        leave()
        state.place(PAINTED, "")


def _toggled(size: int) -> np.ndarray:
    """Which pixels (D,) the brush has hidden or shown."""
    text = state.placed(TOGGLED)
    made = np.zeros(size, bool)
    if not text:
        return made
    if not re.fullmatch(r"\d{1,5}(\.\d{1,5})*", text, re.ASCII):
        state.problem(f"The link's {TOGGLED} = {text[:40]} are no pixels; none is used.")
        state.place(TOGGLED, "")
        return made
    places = np.array(text.split("."), int)
    if (places >= size).any():
        state.problem(
            f"The link's {TOGGLED} names pixels that this image does not have; the others are used."
        )
    made[places[places < size]] = True
    return made


# ---- q ----


def asked(controls: Controls, joint: Joint) -> tuple[Asked, Open]:
    """Everything that the controls say, and what it leaves open."""
    made, row = image(controls, joint)
    digit = controls.value("digit", int, 9, DIGIT)
    brush = controls.value("brush", float, 1.0, BRUSH)
    seed = controls.value("seed", int, 0, SEED)
    open_ = summaries.opened(made)
    name = _preset(joint)
    *before, phi = _painted_on(summaries.preset(open_, PRESETS[name], digit), made.hidden)
    st.session_state[_NOW] = made.hidden, brush
    way = np.array(before).reshape(len(before), len(phi))
    return Asked(made, phi, way, _climbs(), name, bool(before), digit, row, seed), open_


def _preset(joint: Joint) -> str:
    text = state.placed(Q) or "half"
    if text in PRESETS and (text != "digit" or joint.alike is not None):
        return text
    told = (
        "These images have no labels that tell how a digit looks: q is at all .5." if text == "digit" else
        f"The link's {Q} = {text[:40]} must be one of {', '.join(PRESETS)}; all .5 is shown."
    )  # fmt: skip
    state.problem(told)
    state.place(Q, "")
    return "half"


def _climbs() -> bool:
    text = state.placed(CLIMBS)
    if text not in ("", "1"):
        state.problem(f"The link's {CLIMBS} = {text[:40]} must be 1 or missing; q stands.")
        state.place(CLIMBS, "")
    return text == "1"


def _strokes() -> list[dict[int, float]]:
    """phi of the pixels that each stroke painted, by their places."""
    text = state.placed(PAINTED)
    if not re.fullmatch(_PAINTING, text, re.ASCII):
        state.problem(f"The link's {PAINTED} = {text[:40]} is no painting; none is used.")
        state.place(PAINTED, "")
        return []
    strokes = ((pair.split(".") for pair in part.split("-")) for part in text.split("_") if part)
    return [{int(place): int(percent) / 100 for place, percent in stroke} for stroke in strokes]


def _painted_on(phi: np.ndarray, hidden: np.ndarray) -> list[np.ndarray]:
    """phi (h,), and after every stroke on a hidden pixel."""
    made, index = [phi], np.cumsum(hidden) - 1
    strokes = _strokes()
    if any(place >= len(hidden) for one in strokes for place in one):
        state.problem(
            f"The link's {PAINTED} names pixels that this image does not have; the others are used."
        )
    for one in strokes:
        on = {index[place]: value for place, value in one.items() if place < len(hidden) and hidden[place]}
        if on:
            made.append(made[-1].copy())
            made[-1][list(on)] = list(on.values())
    return made


def buttons(labelled: bool) -> None:
    """Where q may be put, and the climb from there."""
    with st.container(key="places", gap="xsmall"):
        st.markdown("Put q at")
        digit = int(st.session_state.get(state.key("digit"), 9))
        names = {"half": "all .5", "ones": "all 1", "digit": f"like a {digit}", "mean": "mean"}
        told = {
            "half": "Every hidden pixel is on with probability .5",
            "ones": "Every hidden pixel is on with probability .999",
            "digit": "The pixels of a digit; which one stands under More",
            "mean": "Each pixel’s own posterior probability, p(on | seen)",
        }
        for pair in (("half", "ones"), ("digit", "mean")):
            with st.container(horizontal=True, gap="small"):
                for name in pair:
                    st.button(names[name], key=f"put_{name}", on_click=_put, args=(name,), width="stretch",
                              help=told[name], disabled=name == "digit" and not labelled)  # fmt: skip
        with st.container(horizontal=True, gap="small"):
            climbing = state.placed(CLIMBS) == "1"
            st.button("CAVI", icon=":material/play_arrow:", on_click=_climb, width="stretch", key="climb",
                      help="Coordinate ascent from where q stands: one pixel after another")  # fmt: skip
            st.button("Back", icon=":material/undo:", on_click=leave, disabled=not climbing, width="stretch",
                      key="leave", help="Back to where q set out")  # fmt: skip


def _put(name: str) -> None:
    leave()
    state.place(PAINTED, "")
    state.place(Q, "" if name == "half" else name)


def _climb() -> None:
    leave()
    state.place(CLIMBS, "1")
    state.turn()
    st.session_state[_AUTOPLAY] = True


def leave() -> None:
    """Take q off its climb."""
    state.place(CLIMBS, "")
    state.place(state.POSITION, "")


def autoplay() -> bool:
    """Whether a climb has just been asked for."""
    return st.session_state.pop(_AUTOPLAY, False)


# ---- the brush ----


def canvases(joint: Joint) -> list[Canvas]:
    """The two images that can be painted on: what is seen, and q."""
    panels, colours = figures.Panels(*joint.shape), tokens(frame.dark())
    told = "Arrow keys move, Space {}."
    return [
        Canvas("seen", f"The image. {told.format('hides or shows a pixel')}", panels.left(0), panels.height,
               panels.width, panels.height, colours.prior),
        Canvas("q", f"q's probabilities. {told.format('paints a hidden pixel')}", panels.left(1),
               panels.height, panels.width, panels.height, colours.q_mark),
    ]  # fmt: skip


def square(joint: Joint) -> Square:
    """How high the three images are at every width."""
    panels, margin = figures.Panels(*joint.shape), figures.MARGIN
    return Square(round(margin.t + margin.b - panels.slope * (margin.l + margin.r)), panels.slope)


def brushed() -> None:
    """Take what the brush took on the picture."""
    made = stroke("picture")
    hidden, value = st.session_state[_NOW]
    cells = [cell for cell in made.cells if 0 <= cell < len(hidden)]
    if made.canvas == "seen":
        toggle(cells, hidden)
    else:
        paint([cell for cell in cells if hidden[cell]], value)


def toggle(cells: Sequence[int], hidden: np.ndarray) -> None:
    """A stroke that begins on a seen pixel hides, one that begins on a hidden pixel shows."""
    hides = bool(cells) and not hidden[cells[0]]
    changed = {cell for cell in cells if bool(hidden[cell]) != hides}
    kept = set(np.flatnonzero(_toggled(len(hidden))).tolist())
    state.place(TOGGLED, ".".join(map(str, sorted(kept ^ changed))))


def paint(cells: Sequence[int], value: float) -> None:
    """Set q's phi of some pixels."""
    if not cells:
        return
    made = [*_strokes(), dict.fromkeys(sorted(cells), value)]
    while len(made) > MOST_STROKES:
        made[:2] = [dict(sorted((made[0] | made[1]).items()))]
    leave()
    state.place(PAINTED, "_".join(map(_written, made)))


def _written(stroke: dict[int, float]) -> str:
    return "-".join(f"{place}.{round(100 * phi)}" for place, phi in stroke.items())


# ---- what the picture shows ----


def tiles() -> DeltaGenerator:
    """A place in whose pictures pixels stay square."""
    return st.container(key="tiles")


def head_of_completions(seed: int) -> None:
    """What stands above the drawn images, and a button that draws others."""
    with frame.head("completions", "Completions", "drawn from the posterior, and pixel by pixel from q"):
        st.button("Draw again", key="again", type="tertiary", icon=":material/casino:", on_click=state.put,
                  args=("seed", (seed + 1) % 10_000), help="Another seed, also of the estimates")  # fmt: skip


def shown(asked: Asked, made: Open, phis: np.ndarray) -> figures.Shown:
    """The three images and the words above them."""
    picture, shape = asked.image, asked.image.joint.shape
    phi, mean = (picture.whole(part).reshape(-1, *shape) for part in (phis, made.posterior_mean))
    seen = f"seen {picture.x.size - picture.count}, hidden {picture.count}"
    return figures.Shown(
        picture.x.reshape(shape), picture.hidden.reshape(shape), phi, mean[0],
        (seen, "q: φ, paint on it", "posterior: p(on | seen)"),
    )  # fmt: skip


def completed(asked: Asked, made: Open, phis: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Completions as images: the posterior's (n, H, W), q's (T, n, H, W)."""
    truly, by_q = summaries.completions(made, phis, asked.seed)
    shape = asked.image.joint.shape
    return truly.reshape(-1, *shape), by_q.reshape(*by_q.shape[:2], *shape)
