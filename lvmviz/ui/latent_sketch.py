"""An image of one's own for the latent space: drawn on a small canvas, or read from a picture file."""

from __future__ import annotations

import base64
import binascii
import hashlib

import numpy as np
import streamlit as st

from lvmviz.figures import theme
from lvmviz.images import ImageError, read_picture
from lvmviz.summaries.latent_own import fitted, packed, unpacked
from lvmviz.summaries.vae import Moment
from lvmviz.ui import frame, state
from lvmviz.ui.component import component

OWN = "own"  # in the link
NAME = "your image"
MOST = 1800  # characters of a link; a larger image stays in this session
CANVAS = 196  # px
_FILE, _TOLD, _LONG = "lvmviz.sketch.file", "lvmviz.sketch.told", "lvmviz.sketch.long"


def own(at: Moment) -> np.ndarray | None:
    """The pixels (H, W) uint8 of the image that was drawn or loaded; None where there is none."""
    text = state.placed(OWN)
    if not text:
        return None
    try:
        return unpacked(_whole(text), at.vae.data.examples().shape)
    except ValueError as fault:
        state.problem(f"Your image is not shown: {fault}.")
        state.place(OWN, "")
        return None


def _whole(text: str) -> str:
    """What the link stands for: itself, or what is too long for one."""
    if not text.startswith("~"):
        return text
    kept: dict[str, str] = st.session_state.get(_LONG, {})
    if text not in kept:
        raise ValueError("it is too large for a link and was drawn in another session: draw it again")
    return kept[text]


def sketch(at: Moment, pixels: np.ndarray | None) -> None:
    """A popover in which an image is drawn or loaded; a new one becomes the pinned image."""
    with st.popover("Draw or upload", icon=":material/draw:", width="stretch", key="sketch_popover"):
        _canvas(at, pixels)
        st.file_uploader("or a picture file", key=_FILE, on_change=_loaded, args=(at,))
        fault, notes = st.session_state.get(_TOLD, ("", ()))
        if fault:
            frame.failed(fault)
        for note in notes:
            frame.remark(frame.plain(note))


def _canvas(at: Moment, pixels: np.ndarray | None) -> None:
    high, wide = at.vae.data.examples().shape
    now = np.zeros((high, wide), np.uint8) if pixels is None else pixels
    inks = theme.tokens(frame.dark())
    data = {
        "rows": high,
        "columns": wide,
        "pixels": base64.b64encode(now.tobytes()).decode("ascii"),
        "size": CANVAS,
        "alt": f"Canvas of {wide} × {high} pixels. Arrow keys move, Space inks or clears a pixel, "
        "Delete clears all.",
        "colours": {"bg": inks.bg, "border": inks.border, "cursor": inks.q_mark,
                    "ink": theme.rgb(inks.text)},
    }  # fmt: skip
    component("sketch")(key="sketch", data=data, height=CANVAS + 34, on_drawn_change=lambda: _drawn(at))


def _drawn(at: Moment) -> None:
    """Take what the hand drew."""
    shape = at.vae.data.examples().shape
    try:
        raw = base64.b64decode(str(st.session_state["sketch"]["drawn"]["pixels"]), validate=True)
        pixels = np.frombuffer(raw, np.uint8).reshape(shape)
    except (binascii.Error, ValueError, KeyError, TypeError):
        st.session_state[_TOLD] = "The drawing did not arrive whole: draw it again", ()
        return
    st.session_state[_TOLD] = "", ()
    take(pixels)


def _loaded(at: Moment) -> None:
    file = st.session_state[_FILE]
    if file is not None:
        upload(at, file.getvalue(), file.name)


def upload(at: Moment, data: bytes, name: str) -> None:
    """Read a picture file; on a fault say so and keep what was there."""
    try:
        made = fitted(at, read_picture(data, name))
    except ImageError as fault:
        st.session_state[_TOLD] = str(fault), ()
        return
    st.session_state[_TOLD] = "", made.notes
    take(made.pixels)


def take(pixels: np.ndarray) -> None:
    """Make it the pinned image; an empty one is none."""
    if not pixels.any():
        state.place(OWN, "")
        state.renew("image")
        return
    text = packed(pixels)
    if len(text) > MOST:
        short = f"~{hashlib.sha256(text.encode()).hexdigest()[:16]}"
        st.session_state[_LONG] = {short: text}
        text = short
    state.place(OWN, text)
    state.place("at", "")
    state.put("image", NAME)
