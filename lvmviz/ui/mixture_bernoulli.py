"""Mixtures of Bernoullis on the page Mixtures: every component is a mean image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from lvmviz.algorithms.bernoulli_em import BernoulliEM
from lvmviz.algorithms.em import EMInfo
from lvmviz.core import Algorithm, Choice
from lvmviz.datasets import Stored
from lvmviz.divergences import Decomposition
from lvmviz.figures import mean_images
from lvmviz.figures.film import Film
from lvmviz.figures.theme import number, tokens
from lvmviz.image_sets import StoredImages
from lvmviz.observations import Rows
from lvmviz.runs.job import Snapshot, Trace
from lvmviz.schemes import ExpectationMaximization, Scheme
from lvmviz.summaries import bernoulli as summaries
from lvmviz.ui import bernoulli_films, frame, own, state, vae_desk
from lvmviz.ui.controls import Controls
from lvmviz.ui.derivation import Line
from lvmviz.ui.derivation_em import BERNOULLI, lines
from lvmviz.ui.em_curves import HEIGHT
from lvmviz.ui.mixture_model import MixtureModel
from lvmviz.ui.plot import Mark, plot
from lvmviz.ui.table import Cell, Column, ring, table
from lvmviz.ui.vae_images import own_images

CHOSEN = "component"  # in the link: whose images are shown, from 1
ROWS = 10
PRIOR = "M: the first term + log p(θ) has θ, so maximize that sum"


class WithPrior(ExpectationMaximization):
    """EM in words where M knows a prior of theta: it maximizes the sum."""

    m_does = "θ maximizes ELBO + log p(θ); that sum rises"
    m_left = "higher with log p(θ), no longer tight"
    m_again = "M again changes nothing: θ already maximizes ELBO + log p(θ) of this q. Press E."


class Bernoullis(MixtureModel):
    """Mean images that sharpen, and who belongs to them."""

    name = "Bernoullis"
    told = "mean images: every pixel is on or off"
    title = "EM on a mixture of Bernoullis"
    algorithm = BernoulliEM
    editors = {Stored: own.own_table, StoredImages: own_images}

    def ready(self, asked: Algorithm) -> Algorithm | None:
        assert isinstance(asked, BernoulliEM)
        return asked if vae_desk.here(asked.data) else None

    def warning(self, algorithm: Algorithm) -> str:
        return "" if summaries.any_on(algorithm) else "No pixel is on: lower the threshold under More."

    def view(self, controls: Controls, trace: Trace) -> int:
        """Whose images are shown, from 0."""
        return _chosen(summaries.bernoulli_em(trace).components)

    def picture(self, trace: Trace, view: int, channel: str, height: int) -> None:
        em = summaries.bernoulli_em(trace)
        shape = summaries.images(trace[:1]).shape[2:]
        with st.container(key="tiles"):
            plot(
                "picture",
                lambda: self.film(trace, view),
                depends=(trace.key, frame.dark()),
                height=height,
                alt=bernoulli_films.alt(trace),
                channel=channel,
                on_pick=_pick,
                mark=Mark("", -1, mean_images.place(em.components, shape, view), 1.0),
            )
        if told := bernoulli_films.told(trace):
            frame.remark(told)

    def film(self, trace: Trace, view: int) -> Film:
        return bernoulli_films.picture(trace, view, frame.dark())

    def curves(self, controls: Controls, trace: Trace, view: int, channel: str) -> None:
        _members(trace, view, channel)
        frame.head("curves", "ELBO and log-likelihood per image", "each :orange[**E**] touches, each "
                   ":green[**M**] lifts")  # fmt: skip
        plot(
            "curves",
            lambda: bernoulli_films.trace_chart(trace, frame.dark()),
            depends=(trace.key, frame.dark()),
            height=HEIGHT,
            alt="log-likelihood and ELBO over the half-steps",
            channel=channel,
        )

    def components(self, trace: Trace, channel: str) -> None:
        frame.head("components", "Components", "")
        dark, known = frame.dark(), summaries.examples(trace).labels is not None
        count = summaries.bernoulli_em(trace).components
        table(
            "components",
            [Column("", "left"), Column("weight π"), Column("images N"), *[Column("mostly")] * known],
            frames=lambda: _frames(trace, dark, known),
            depends=(trace.key, dark),
            alt="Weight, number of images and largest class of every component",
            height=int((26 + 24 * min(count, ROWS)) * frame.scale()),
            channel=channel,
        )

    def decompositions(self, trace: Trace) -> Sequence[Decomposition]:
        return summaries.decompositions(trace)

    def scheme(self, trace: Trace) -> Scheme:
        return WithPrior() if summaries.bernoulli_em(trace).pseudo_count > 0 else ExpectationMaximization()

    def lines(self, info: EMInfo, trace: Trace) -> list[Line]:
        scheme = self.scheme(trace)
        reason = {"m_reason": PRIOR} if isinstance(scheme, WithPrior) else {}
        return lines(info, scheme, BERNOULLI, **reason)

    def parameters(self, snapshot: Snapshot) -> Mapping[str, Any]:
        return summaries.parameters(snapshot)

    def table(self, trace: Trace) -> Choice:
        data = summaries.bernoulli_em(trace).data
        return data.table if isinstance(data, Rows) else data


# ---- one component ----


def _chosen(count: int) -> int:
    text = state.placed(CHOSEN)
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) < 3 and text.strip("0")):
        state.problem(f"The link's {CHOSEN} = {text[:40]} is no component; the first is shown.")
        state.place(CHOSEN, "")
        return 0
    return min(int(text), count) - 1


def _pick() -> None:
    component = int(st.session_state["plot_picture"]["pick"]["value"])
    state.place(CHOSEN, str(component) if component > 1 else "")


def _members(trace: Trace, component: int, channel: str) -> None:
    """Images that q gives to one component before any other, at every frame."""
    said = "its images; click a mean image for those of another"
    frame.head("members", f"Component {component + 1}", said)
    dark = frame.dark()
    plot(
        "members",
        lambda: bernoulli_films.members(trace, component, dark),
        depends=(trace.key, component, dark),
        height=mean_images.STRIP,
        alt=f"Images of component {component + 1}: those it makes likeliest, those it is least sure of",
        channel=channel,
    )


def _frames(trace: Trace, dark: bool, known: bool) -> list[list[list[Cell]]]:
    colours = tokens(dark).categories
    rows = zip(
        summaries.weights(trace).tolist(),
        summaries.counts(trace).tolist(),
        bernoulli_films.classes(trace),
        strict=True,
    )
    return [
        [
            [ring(colours[k], str(k + 1)), number(pi, 3), number(n, 1), *[name] * known]
            for k, (pi, n, name) in enumerate(zip(*frame, strict=True))
        ]
        for frame in rows
    ]
