"""The latent space's pinned image: what it looks like, its posterior, its numbers."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from lvmviz.figures import latent as figures
from lvmviz.figures.theme import number
from lvmviz.summaries import latent as summaries
from lvmviz.summaries import vae
from lvmviz.summaries.latent import Image
from lvmviz.summaries.vae import Moment
from lvmviz.ui import frame
from lvmviz.ui.latent_pin import Pin
from lvmviz.ui.plot import plot
from lvmviz.ui.table import Column, table
from lvmviz.ui.thermometer import thermometer

SIDE = 262  # px
NAMES = {"likelihood": "reconstruction", "kl_prior": "KL to prior"}
FAR = 3.0  # standard errors from which an estimate is remarked on


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
        f"pinned x<br>{pin.short}", "decoded<br>at q’s mean", near]  # fmt: skip
    depends = (*at.key, pin.key, frame.dark())
    plot("pinned", lambda: figures.strip(np.clip(np.array(shown), 0, 1).reshape(-1, *shape), told,
                                         dark=frame.dark(), height=122, below=36),
         depends=depends, height=122, alt=f"Pinned: {', '.join(told).replace('<br>', ' ')}")  # fmt: skip
    frame.head("density", "Posterior and q", f"of {pin.name}" if pin.clicked else "")
    if not image.exact:
        frame.empty("p(z|x) is drawn where it can be exact: with two latents and a decoder without kinks.",
                    name="density", height=figures.POSTERIOR)  # fmt: skip
        return
    plot("posterior", lambda: figures.posterior(*summaries.density(at, pin.x), image.mean, image.factor,
                                              dark=frame.dark()),
         depends=depends, height=figures.POSTERIOR,
         alt=f"The exact posterior of z given {pin.name}, and q's ellipses")  # fmt: skip


def names_of(image: Image) -> dict[str, str]:
    """The words of the thermometer."""
    return NAMES if image.exact else {**NAMES, "log_evidence": "log p(x), estimate"}


def numbers(at: Moment, pin: Pin, image: Image) -> str:
    """Thermometer and table, and a sentence where an estimate is far off; returned is the presentation."""
    chosen = thermometer(lambda: [image.terms], depends=(*at.key, pin.key, frame.dark()), decimals=2,
                         names=names_of(image))  # fmt: skip
    frame.head("numbers", "Numbers", f"{pin.name}, nats")
    columns, rows = numbers_table(image)
    table("numbers", columns, rows=rows, alt="The pinned image's evidence and its terms", height=26 + 24 * 5)
    frame.remark(said(at, pin, image))
    return chosen


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
