"""The latent space's controls, its pinned image, and that image's numbers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from lvmviz.core import Knob
from lvmviz.figures import latent as figures
from lvmviz.figures.theme import number
from lvmviz.summaries import latent as summaries
from lvmviz.summaries import vae
from lvmviz.summaries.latent import Image, View
from lvmviz.summaries.vae import Half, Moment
from lvmviz.ui import frame, latent_plane, state
from lvmviz.ui.controls import Controls
from lvmviz.ui.plot import plot
from lvmviz.ui.table import Column, table
from lvmviz.ui.thermometer import thermometer

AT = "at"  # in the link: where the plane was clicked
OFFERED = 240  # test images to choose from
REACH = 3.0  # of the plane from its centre
ZOOMS = {"whole plane": 1.0, "2 ×": 2.0, "4 ×": 4.0, "8 ×": 8.0}
PATHS, FRAMES = ("Line", "Sphere"), 12
SIDE = 262  # px
NAMES = {"likelihood": "reconstruction", "kl_prior": "KL to prior"}
_CHOSEN = "lvmviz.latent.chosen"
FAR = 3.0  # standard errors from which an estimate is remarked on


class Pin(NamedTuple):
    """The pinned place and the image whose numbers are told."""

    z: np.ndarray  # (latent,)
    x: np.ndarray  # (D,) as the likelihood sees it
    name: str  # such as "test 1598: 0"
    half: str
    place: int  # in its half
    clicked: bool  # a place was clicked: the image is the nearest training image
    nearest: int  # place of the nearest training image


class Choices(NamedTuple):
    """What the controls say."""

    mode: str
    pin: Pin
    goal: tuple[np.ndarray, str]  # z and name of the image walked to
    path: str
    view: View


def choices(controls: Controls, at: Moment) -> Choices:
    """Show, the pinned image, the walk; under More the zoom and which latents are drawn."""
    test = vae.half(at.vae, "test")
    order = vae.varied(test.labels, len(test.x), OFFERED).tolist()
    names = {summaries.named(at, test, "test", place): place for place in order}
    options = tuple(names)
    mode = controls.value("show", str, next(iter(latent_plane.MODES)),
                          Knob(label="Show", options=tuple(latent_plane.MODES)))  # fmt: skip
    first = controls.value("image", str, options[0], Knob(label="Pinned image", options=options))
    last = controls.value("goal", str, options[min(6, len(options) - 1)],
                          Knob(label="Walk to", options=options))  # fmt: skip
    path = controls.value("path", str, "Line", Knob(label="Path", options=PATHS))
    axes = _axes(controls, at.vae.latent)
    rest = _rest(controls, at.vae.latent, axes)
    pin = _pin(at, test, first, names[first], axes, rest)
    zoom = ZOOMS[controls.value("zoom", str, "whole plane", Knob(
        help="Round the pin, decoded anew.", label="Zoom", options=tuple(ZOOMS), more=True))]  # fmt: skip
    centre = (0.0, 0.0) if zoom == 1.0 else tuple(np.round(pin.z[list(axes)], 4).tolist())
    view = View(axes, rest, centre, REACH / zoom)
    goal = vae.means(at, test.x[[names[last]]])[0]
    return Choices(mode, pin, (goal, last), path, view)


def _axes(controls: Controls, latent: int) -> tuple[int, int]:
    if latent < 3:
        return 0, 1
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


def _pin(
    at: Moment, test: Half, name: str, place: int, axes: tuple[int, int], rest: tuple[float, ...]
) -> Pin:
    """The clicked place, or else the chosen image at its q's mean; another choice forgets the click."""
    was = st.session_state.get(_CHOSEN)
    st.session_state[_CHOSEN] = now = (state.generation(), name)
    if was is not None and was[0] == now[0] and was != now:
        state.place(AT, "")
    clicked = _clicked()
    if clicked is None:
        z = vae.means(at, test.x[[place]])[0]
        return Pin(z, test.x[place], name, "test", place, False, summaries.nearest(at, z))
    z = np.array(rest)
    z[list(axes)] = clicked
    train = vae.half(at.vae, "train")
    near = summaries.nearest(at, z)
    return Pin(z, train.x[near], summaries.named(at, train, "train", near), "train", near, True, near)


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
        state.problem(f"The link's at = {text[:40]} is no place: it must be two numbers such as 0.5,-1.2.")
        state.place(AT, "")
    return None


def pin_here() -> None:
    """Keep where the plane was clicked; for the component's callback."""
    x, y = latent_plane.pinned()
    state.place(AT, f"{x:.4g},{y:.4g}")


# ---- the pinned image ----


def beside() -> tuple[DeltaGenerator, DeltaGenerator]:
    """A place for the plane and one, so many px, for the pinned image; on a narrow screen it is below."""
    with st.container(key="plane_row", horizontal=True, gap="medium"):
        left = st.container(key="plane_left", width="stretch", gap="xsmall")
        return left, st.container(key="plane_right", width=SIDE, gap="xsmall")


def still(at: Moment, pin: Pin, image: Image) -> go.Figure:
    """The posterior and q, for a file."""
    if not image.exact:
        raise ValueError(
            "p(z|x) is drawn where it can be exact: with two latents and a decoder without kinks"
        )
    return figures.posterior(*summaries.density(at, pin.x), image.mean, image.factor).checked()


def side(at: Moment, pin: Pin, image: Image) -> None:
    """What is pinned, what its place decodes to, the nearest training image; then the posterior and q."""
    shape, train = at.vae.data.examples().shape, vae.half(at.vae, "train")
    decoded = vae.decode(at, pin.z)
    shown = [decoded, train.x[pin.nearest]] if pin.clicked else [pin.x, decoded, train.x[pin.nearest]]
    near = f"nearest<br>train {int(train.rows[pin.nearest])}"
    told = ["decoded<br>at the pin", near] if pin.clicked else [
        f"pinned x<br>{pin.name.partition(':')[0]}", "decoded<br>at q’s mean", near]  # fmt: skip
    depends = (*at.key, pin.z.tobytes(), pin.name, frame.dark())
    plot("pinned", lambda: figures.strip(np.clip(np.array(shown), 0, 1).reshape(-1, *shape), told,
                                         dark=frame.dark(), height=122, below=36),
         depends=depends, height=122, alt=f"Pinned: {', '.join(told).replace('<br>', ' ')}")  # fmt: skip
    frame.head("density", "Posterior and q", f"of {pin.name}" if pin.clicked else "")
    if not image.exact:
        frame.empty("p(z|x) is drawn where it can be exact: with two latents and a decoder without kinks.",
                    name="density", height=figures.POSTERIOR)  # fmt: skip
        return
    plot("picture", lambda: figures.posterior(*summaries.density(at, pin.x), image.mean, image.factor,
                                              dark=frame.dark()),
         depends=depends, height=figures.POSTERIOR,
         alt=f"The exact posterior of z given {pin.name}, and q's ellipses")  # fmt: skip


def numbers(at: Moment, pin: Pin, image: Image) -> None:
    """Thermometer and table, and a sentence where an estimate is far off."""
    names = NAMES if image.exact else {**NAMES, "log_evidence": "log p(x), estimate"}
    thermometer(lambda: [image.terms], depends=(*at.key, pin.name, frame.dark()), decimals=2, names=names)
    frame.head("numbers", "Numbers", f"{pin.name}, nats")
    columns, rows = numbers_table(image)
    table("numbers", columns, rows=rows, alt="The pinned image's evidence and its terms", height=26 + 24 * 5)
    frame.remark(said(at, pin, image))


def numbers_table(image: Image) -> tuple[list[Column], list[list]]:
    """A row a quantity: exact where it is, and by draws of q with the standard error."""
    exact, rough = image.terms, image.rough
    rows: list[list] = [
        ["log p(x)", exact.log_evidence, rough.log_evidence],
        ["ELBO", exact.elbo, rough.elbo],
        ["KL(q‖p(z|x))", exact.kl, None],
        ["reconstruction", exact.likelihood, rough.likelihood],
        ["KL to prior", exact.kl_prior, rough.kl_prior],
    ]
    columns = [Column("", "left"), Column("exact"), Column(f"S = {summaries.DRAWS}")]
    made = [[name, number(value, 2), _with_error(pair)] for name, value, pair in rows]
    if image.exact:
        return columns, made
    return [columns[0], columns[2]], [[row[0], row[2]] for row in made]


def _with_error(pair: tuple[float, float] | None) -> str:
    return "" if pair is None else f"{number(pair[0], 2)} ± {pair[1]:.2f}"


def said(at: Moment, pin: Pin, image: Image) -> str:
    """log p(z), how far two rules differ, and an estimate that its own error does not explain."""
    parts = [
        f"log p(z) = {number(summaries.log_prior(pin.z), 3)} at the pin; draws with seed {summaries.SEED}."
    ]
    value, error = image.rough.log_evidence
    off = (value - image.terms.log_evidence) / error if image.exact and error else 0.0
    if abs(off) > FAR:
        parts.append(f"{abs(off):.1f} se {'low' if off < 0 else 'high'}: q misses posterior mass.")
    if image.exact and image.error > 1e-5:
        parts.append(f"Two rules differ by {image.error:.1e} nats.")
    if not image.exact:
        parts.append("log p(x) is an estimate: too low on average.")
    return " ".join(parts)


def rows(z: np.ndarray) -> list[dict[str, float]]:
    """The walk's z (frames, latent) for a file, a row a frame."""
    return [{"frame": k + 1, **{f"z{j + 1}": float(v) for j, v in enumerate(one)}} for k, one in enumerate(z)]


def walk(at: Moment, chosen: Choices) -> np.ndarray:
    """The strip of decoded frames; returned are their z (frames, latent)."""
    z = summaries.walk(chosen.pin.z, chosen.goal[0], chosen.path, FRAMES)
    start = "the pin" if chosen.pin.clicked else chosen.pin.name
    frame.head("walk", "Walk", f"from {start} to {chosen.goal[1]}, {FRAMES} decoded frames")
    told = [f"frame {k + 1}: {', '.join(number(float(v), 2) for v in one)}" for k, one in enumerate(z)]
    shape = at.vae.data.examples().shape
    dark = frame.dark()
    plot("walk", lambda: figures.strip(np.clip(vae.decode(at, z), 0, 1).reshape(-1, *shape), told, dark=dark),
         depends=(*at.key, z.tobytes(), frame.dark()), height=figures.WALK,
         alt=f"{FRAMES} images decoded on the way from {start} to {chosen.goal[1]}")  # fmt: skip
    return z
