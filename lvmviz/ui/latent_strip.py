"""The strip of decoded images below the plane: a walk, one latent, arithmetic, or draws of a prior."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from lvmviz.core import Knob
from lvmviz.figures import latent as figures
from lvmviz.figures.theme import number
from lvmviz.summaries import latent as summaries
from lvmviz.summaries import latent_strip as strips
from lvmviz.summaries import vae
from lvmviz.summaries.vae import Moment
from lvmviz.ui import frame
from lvmviz.ui.controls import Controls, switch
from lvmviz.ui.latent_pin import Choices, Pin
from lvmviz.ui.plot import plot

PATHS, FRAMES = ("Line", "Sphere"), 12
NAMES_BELOW = 17  # px


class Path(NamedTuple):
    """Places on the way through z, joined by a line or each for itself."""

    z: np.ndarray  # (n, latent)
    joined: bool


class Strip(NamedTuple):
    """Images side by side, and where on the plane they are."""

    z: np.ndarray  # (n, latent)
    images: np.ndarray  # (n, D)
    said: str
    paths: tuple[Path, ...]
    names: tuple[str, ...] = ()  # of the images, where they are shown
    spots: tuple[tuple[np.ndarray, str], ...] = ()  # places (latent,) that have a name on the plane


def _walk(controls: Controls, at: Moment, chosen: Choices) -> Strip:
    """Decoded on the way from the pin to another image."""
    goal = _image(controls, "goal", "Walk to", chosen, 6)
    path = controls.value("path", str, "Line", Knob(label="Path", options=PATHS))
    z = summaries.walk(chosen.pin.z, _z(at, chosen, goal), path, FRAMES)
    said = f"from {_start(chosen.pin)} to {goal}, {FRAMES} decoded frames"
    return Strip(z, vae.decode(at, z), said, (Path(z, True),))


def _traverse(controls: Controls, at: Moment, chosen: Choices) -> Strip:
    """One latent from -3 to 3, the others as at the pin."""
    names = tuple(f"z{k + 1}" for k in range(at.vae.latent))
    name = controls.value("along", str, names[0], Knob(label="Latent", options=names))
    z = strips.traverse(chosen.pin.z, names.index(name), FRAMES)
    said = f"{name} from −3 to 3, the rest as at {_start(chosen.pin)}"
    return Strip(z, vae.decode(at, z), said, (Path(z, True),))


def _arithmetic(controls: Controls, at: Moment, chosen: Choices) -> Strip:
    """a - b + c of three images' means: what leads from b to a is added to c."""
    minus, plus = (_image(controls, name, label, chosen, k)
                   for name, label, k in (("minus", "− b", 6), ("plus", "+ c", 1)))  # fmt: skip
    z = strips.arithmetic(chosen.pin.z, _z(at, chosen, minus), _z(at, chosen, plus))
    first = vae.decode(at, z[:1])[0] if chosen.pin.clicked else chosen.pin.x
    given = [first, *(vae.half(at.vae, "test").x[chosen.offered[name]] for name in (minus, plus))]
    images = np.stack([*given, vae.decode(at, z[3:])[0]])
    paths = Path(z[[1, 0]], True), Path(z[[2, 3]], True)
    said = f"{_start(chosen.pin)} − {minus} + {plus}"
    spots = tuple(zip(z[1:], ("b", "c", "a − b + c"), strict=True))
    return Strip(z, images, said, paths, ("a", "− b", "+ c", "= decoded"), spots)


def _samples(controls: Controls, at: Moment, chosen: Choices) -> Strip:
    """Decoded draws of the prior, or of what the training images' q's make together."""
    source = controls.value(
        "source", str, strips.SOURCES[0], Knob(label="Draw z from", options=strips.SOURCES)
    )
    z = strips.draws(at, source, FRAMES)
    said = f"{FRAMES} draws of the {source.lower()}, decoded; seed {strips.SEED}"
    return Strip(z, vae.decode(at, z), said, (Path(z, False),))


STRIPS: dict[str, Callable[[Controls, Moment, Choices], Strip]] = {
    "Walk": _walk,
    "Traverse": _traverse,
    "Arithmetic": _arithmetic,
    "Samples": _samples,
}
SAID = {
    "Walk": "from the pin to another image",
    "Traverse": "one latent from −3 to 3 at the pin",
    "Arithmetic": "a − b + c, of three images",
    "Samples": "draws of the prior or of the aggregated posterior",
}


def _image(controls: Controls, name: str, label: str, chosen: Choices, usual: int) -> str:
    """A control for another of the test images."""
    options = tuple(chosen.offered)
    return controls.value(
        name, str, options[min(usual, len(options) - 1)], Knob(label=label, options=options)
    )


def _z(at: Moment, chosen: Choices, name: str) -> np.ndarray:
    """The mean (latent,) of an offered image's q."""
    return vae.means(at, vae.half(at.vae, "test").x[[chosen.offered[name]]])[0]


def _start(pin: Pin) -> str:
    return "the pin" if pin.clicked else pin.name


# ---- on the page ----


class Place(NamedTuple):
    """Where the strip stands, and which one was chosen there."""

    place: DeltaGenerator
    words: DeltaGenerator
    mode: str


def place() -> Place:
    """The strip's head with the switch between the modes; the controls ask for it first."""
    box = st.container(gap="xsmall")
    with (
        box,
        st.container(key="head_walk", horizontal=True, wrap=False, vertical_alignment="center", gap="small"),
    ):
        words = st.container(width="stretch")
        mode = switch("strip", "What the strip shows", SAID, "Walk")
    return Place(box, words, mode)


def draw(at: Moment, where: Place, strip: Strip) -> None:
    """The images, with where each is when it is pointed at."""
    where.words.markdown(f"**{where.mode}** :gray[{strip.said}]", width="stretch")
    names = strip.names or tuple(f"frame {k + 1}" for k in range(len(strip.z)))
    places = [", ".join(number(float(v), 2) for v in one) for one in strip.z]
    told = strip.names or [f"{name}: {z}" for name, z in zip(names, places, strict=True)]
    images, dark = np.clip(strip.images, 0, 1).reshape(-1, *at.vae.data.examples().shape), frame.dark()
    below = NAMES_BELOW if strip.names else 0
    with where.place:
        plot("walk", lambda: figures.strip(images, told, dark=dark, below=below),
             depends=(*at.key, where.mode, strip.images.tobytes(), dark), height=figures.WALK,
             alt=f"{where.mode}: {len(images)} images, {strip.said}")  # fmt: skip


def rows(strip: Strip) -> list[dict[str, float]]:
    """The strip's z for a file, a row an image."""
    return [{"frame": k + 1, **{f"z{j + 1}": float(v) for j, v in enumerate(one)}}
            for k, one in enumerate(strip.z)]  # fmt: skip
