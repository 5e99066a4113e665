"""The lines of Python that give the pinned image's evidence."""

from __future__ import annotations

from lvmviz.figures.theme import number
from lvmviz.runs.job import Trace
from lvmviz.summaries.latent import Image
from lvmviz.summaries.vae import Moment
from lvmviz.ui.code import script
from lvmviz.ui.latent_pin import Pin


def source(trace: Trace, at: Moment, pin: Pin, image: Image) -> str:
    """Train, take the snapshot that is on screen, and tell log p(x) and the ELBO of the pinned image."""
    rooms = "latent, vae" if pin.half else "latent, latent_own, vae"
    place, terms = -(-at.step // trace.job.every), image.terms
    told = f"{number(terms.log_evidence, 2)}, {number(terms.elbo, 2)}{'' if image.exact else ', estimates'}"
    last = (
        f"at = vae.moment(trace, {place})\n"
        f"x = {pin.code}  # {pin.name}\n"
        "made = latent.image(at, x).terms\n"
        f"made.log_evidence, made.elbo  # {told} nats"
    )
    imports, rest = script(trace.job, last).split("\n\n", 1)
    return f"{imports}\nfrom lvmviz.summaries import {rooms}\n\n{rest}"
