"""The posterior of one image of a finished VAE run as what q has to cover."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from lvmviz.algorithms.vae import TrainVAE
from lvmviz.core import Knob
from lvmviz.families import Plane
from lvmviz.runs.job import Job
from lvmviz.runs.store import title
from lvmviz.summaries import vae
from lvmviz.summaries.image_posterior import ImagePosterior
from lvmviz.targets import Target
from lvmviz.ui import background, runs
from lvmviz.ui.code import calls, script, spelled
from lvmviz.ui.controls import Controls
from lvmviz.ui.runs import Listed

NONE = "none"
_JOB = "lvmviz.plane.trained"


def image_posterior(controls: Controls, target: Target) -> Target:
    """An image's posterior where one is chosen, else the target; without a run there is nothing to choose."""
    found = {f"{title(one.run.job)}, {one.run.id[:8]}": one for one in runs.mine() if _has_posteriors(one)}
    if not found:
        return target
    options = (NONE, *found)
    which = Knob(help="Fit the posterior of one of its images in place of the one above.",
                 label="Image of a VAE run", options=options, more=True)  # fmt: skip
    chosen = controls.value("run", str, NONE, which)
    if chosen == NONE:
        return target
    trace = background.trace_of(found[chosen].run)
    st.session_state[_JOB] = trace.job
    at = vae.moment(trace, len(trace) - 1)
    most = len(vae.half(at.vae, "test").x) - 1
    box = Knob(0, most, "Which of the test images.", "Image", "box", more=True)
    image = controls.value("image", int, 0, box)
    return ImagePosterior.of(at, "test", image)


def _has_posteriors(one: Listed) -> bool:
    """Whether it is a finished VAE of images whose posteriors are smooth densities on a plane."""
    algorithm = one.run.job.algorithm
    if one.status.state != "finished" or not isinstance(algorithm, TrainVAE):
        return False
    try:
        return vae.is_images(algorithm) and vae.exact_possible(algorithm)
    except (ValueError, LookupError, OSError):  # its data are not here
        return False


def said(target: Target) -> None:
    """Under the Posterior control: that another one is in its place."""
    if isinstance(target, ImagePosterior):
        st.caption(f"In its place: test image {target.image} of a VAE run (More).")


def source(target: ImagePosterior, family: Plane, phi: Sequence[float], told: str) -> str:
    """The lines that train that run again and give the KL of this q."""
    job: Job = st.session_state[_JOB]
    last = (
        f'target = ImagePosterior.of(vae.moment(trace, {-(-target.step // job.every)}), "{target.half}", '
        f"{target.image})\n"
        f"phi = {[round(x, 10) for x in phi]}\n"
        f"decompose(target, {spelled(family)}, phi).kl{told}"
    )
    imports, rest = script(job, last).split("\n\n", 1)
    names = imports.removeprefix("from lvmviz import ").split(", ")
    more = calls(["decompose"], {"family": family}, "").split("\n", 1)[0].removeprefix("from lvmviz import ")
    whole = ", ".join(sorted({*names, *more.split(", ")}))
    rooms = "from lvmviz.summaries import vae\nfrom lvmviz.summaries.image_posterior import ImagePosterior"
    return f"from lvmviz import {whole}\n{rooms}\n\n{rest}"
