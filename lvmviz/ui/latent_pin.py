"""What the latent space's controls say: what is shown, which image or place is pinned, which part is seen."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import streamlit as st

from lvmviz.core import Knob
from lvmviz.summaries import latent as summaries
from lvmviz.summaries import latent_view, vae
from lvmviz.summaries.latent_own import packed, prepared
from lvmviz.summaries.latent_view import View
from lvmviz.summaries.vae import Half, Moment
from lvmviz.ui import latent_plane, latent_sketch, state
from lvmviz.ui.controls import Controls

AT = "at"  # in the link: where the plane was clicked
OFFERED = 240  # test images to choose from
REACH = 3.0  # of the plane from its centre
ZOOMS = {"whole plane": 1.0, "2 ×": 2.0, "4 ×": 4.0, "8 ×": 8.0}
PCA = "PCA of q's means"
PLANES = ("two latents", PCA)
_CHOSEN = "lvmviz.latent.chosen"


class Pin(NamedTuple):
    """The pinned place and the image whose numbers are told."""

    z: np.ndarray  # (latent,)
    x: np.ndarray  # (D,) as the likelihood sees it
    name: str  # such as "test 1598: 0"
    half: str  # "" where the image is the visitor's own
    clicked: bool  # a place was clicked: the image is the nearest training image
    nearest: int  # place of the nearest training image
    code: str  # the Python that makes x

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells it from every other pin of the same moment."""
        x, z = (hashlib.sha256(part.tobytes()).hexdigest()[:16] for part in (self.x, self.z))
        return self.name, x, z

    @property
    def short(self) -> str:
        """Its name without its class."""
        return self.name.partition(":")[0]


class Choices(NamedTuple):
    """What the controls say."""

    mode: str
    pin: Pin
    view: View
    offered: dict[str, int]  # test images to choose from: name and place


def choices(controls: Controls, at: Moment) -> Choices:
    """Show and the pinned image; under More the zoom and which latents are drawn."""
    test, drawn = vae.half(at.vae, "test"), latent_sketch.own(at)
    order = vae.varied(test.labels, len(test.x), OFFERED).tolist()
    offered = {summaries.named(at, test, "test", place): place for place in order}
    modes = latent_plane.modes(at)
    mode = controls.value("show", str, modes[0], Knob(label="Show", options=modes))
    options = (*offered, *(() if drawn is None else (latent_sketch.NAME,)))
    name = controls.value("image", str, options[0], Knob(label="Pinned image", options=options))
    with controls.view:
        latent_sketch.sketch(at, drawn)
    view = _plane(controls, at)
    _forget(name)
    pin = _clicked_pin(at, view) or _image_pin(at, test, name, offered, drawn)
    zoom = ZOOMS[controls.value("zoom", str, "whole plane", Knob(
        help="Round the pin, decoded anew.", label="Zoom", options=tuple(ZOOMS), more=True))]  # fmt: skip
    if zoom != 1.0:
        view = view._replace(centre=tuple(np.round(view.seen(pin.z), 4).tolist()), edge=REACH / zoom)
    return Choices(mode, pin, view, offered)


def _plane(controls: Controls, at: Moment) -> View:
    """The whole plane that the controls choose; with two latents there is but one."""
    latent = at.vae.latent
    if latent > 2 and controls.value("plane", str, PLANES[0], Knob(
        help="Two latents, or where q's means spread most.", label="Plane", options=PLANES, more=True,
    )) == PCA:  # fmt: skip
        return latent_view.principal(at, (0.0, 0.0), REACH)
    axes = _axes(controls, latent) if latent > 2 else (0, 1)
    return latent_view.two_latents(axes, _rest(controls, latent, axes), (0.0, 0.0), REACH)


def _axes(controls: Controls, latent: int) -> tuple[int, int]:
    names = tuple(f"z{k + 1}" for k in range(latent))
    across = controls.value("across", str, names[0], Knob(label="Across", options=names, more=True))
    left = tuple(name for name in names if name != across)
    up = controls.value("up", str, left[0], Knob(label="Up", options=left, more=True))
    return names.index(across), names.index(up)


def _rest(controls: Controls, latent: int, axes: tuple[int, int]) -> tuple[float, ...]:
    """The latents that are not drawn, each with a slider."""
    return tuple(0.0 if k in axes else _slid(controls, f"z{k + 1}") for k in range(latent))


def _slid(controls: Controls, name: str) -> float:
    return controls.value(name, float, 0.0, Knob(-3.0, 3.0, label=name, more=True))


def _forget(name: str) -> None:
    """Another image was chosen: forget the click."""
    was = st.session_state.get(_CHOSEN)
    st.session_state[_CHOSEN] = now = (state.generation(), name)
    if was is not None and was[0] == now[0] and was != now:
        state.place(AT, "")


def _image_pin(at: Moment, test: Half, name: str, offered: dict[str, int], drawn: np.ndarray | None) -> Pin:
    """The chosen image at its q's mean."""
    if name in offered:
        half, x = "test", test.x[offered[name]]
        code = _spelled(half, offered[name])
    else:
        assert drawn is not None, "one's own image is offered only where there is one"
        half, x = "", prepared(at, drawn)
        code = f'latent_own.prepared(at, latent_own.unpacked("{packed(drawn)}", {drawn.shape}))'
    z = vae.means(at, x[None])[0]
    return Pin(z, x, name, half, False, summaries.nearest(at, z), code)


def _spelled(half: str, place: int) -> str:
    return f'vae.half(at.vae, "{half}").x[{place}]'


def _clicked_pin(at: Moment, view: View) -> Pin | None:
    """The clicked place, where there is one."""
    clicked = _clicked()
    return None if clicked is None else at_place(at, view, clicked)


def at_place(at: Moment, view: View, place: Sequence[float]) -> Pin:
    """A place of the plane (z1, z2), with the nearest training image."""
    z = view.whole(np.array(place))
    train, near = vae.half(at.vae, "train"), summaries.nearest(at, z)
    return Pin(z, train.x[near], summaries.named(at, train, "train", near), "train", True, near,
               _spelled("train", near))  # fmt: skip


def _clicked() -> tuple[float, float] | None:
    """The place that the link or a click gives; None where none does."""
    text = state.placed(AT)
    try:
        x, y = (float(part) for part in text.split(","))
        if abs(x) <= 100.0 and abs(y) <= 100.0:  # also false for nan
            return x, y
    except ValueError:
        pass
    if text:
        state.problem(
            f"The link's at = {text[:40]} is no place: it must be two numbers "
            "from -100 to 100, such as 0.5,-1.2."
        )
        state.place(AT, "")
    return None


def pin_here() -> None:
    """Keep where the plane was clicked; for the component's callback."""
    x, y = latent_plane.pinned()
    state.place(AT, f"{x:.4g},{y:.4g}")
