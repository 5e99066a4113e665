"""From a trace of EM for a Bernoulli mixture to the films that show it."""

from __future__ import annotations

import numpy as np

from lvmviz.figures import mean_images, steps
from lvmviz.figures.film import Film
from lvmviz.figures.mean_images import Shown
from lvmviz.figures.mixture_points import plain
from lvmviz.figures.theme import number
from lvmviz.observations import Examples
from lvmviz.runs.job import Trace
from lvmviz.summaries import bernoulli as summaries
from lvmviz.summaries import em as of_any
from lvmviz.summaries.em import SAMPLE

PRIOR = "With pseudo-counts M maximizes ELBO + log p(θ): that sum never falls, ELBO and log p(X) alone may."
GROUPS = ("the surest of its own", "the least sure")
NOBODY = ("before the first E each image belongs to all alike", "")


def picture(trace: Trace, chosen: int, dark: bool) -> Film:
    """The mean images with their weights and shares; the `chosen` one, from 0, has a ring."""
    shown = Shown(summaries.images(trace), summaries.weights(trace), summaries.counts(trace), words(trace))
    return mean_images.grid(shown, chosen=chosen, dark=dark)


def alt(trace: Trace) -> str:
    """The picture in words."""
    em = summaries.bernoulli_em(trace)
    return f"{em.data.name()}: mean images of {em.components} Bernoulli components, with weights and shares"


def told(trace: Trace) -> str:
    """What the picture does not say itself."""
    said = []
    count = len(summaries.examples(trace).x)
    if summaries.bernoulli_em(trace).pseudo_count > 0.0:
        said.append(PRIOR)
    if count > SAMPLE:
        said.append(
            f"Single images and classes are those of {SAMPLE:,} of {count:,} images, chosen at random."
        )
    return " ".join(said)


def words(trace: Trace) -> list[list[str]]:
    """What is said of every component at every snapshot (T, K)."""
    rows = zip(summaries.weights(trace), summaries.counts(trace), classes(trace), trace, strict=True)
    return [
        [
            _word(k + 1, pi, None if snapshot.info.moved == "start" else n, name)
            for k, (pi, n, name) in enumerate(zip(weights.tolist(), counts.tolist(), names, strict=True))
        ]
        for weights, counts, names, snapshot in rows
    ]


def _word(component: int, weight: float, count: float | None, name: str) -> str:
    told = f"component {component}: weight {number(weight, 3)}"
    if count is None:
        return f"{told}<br>q knows nothing yet"
    return f"{told}, {number(count, 0)} images" + (f", mostly {name}" if name else "")


def classes(trace: Trace) -> list[list[str]]:
    """Every component's largest class and its share, such as "7 (92 %)" (T, K); "" where none is known."""
    found = summaries.mostly(trace)
    if found is None:
        return [[""] * summaries.bernoulli_em(trace).components] * len(trace)
    return [
        [
            f"{plain(name)} ({100 * share:.0f} %)" if share > 0 and snapshot.info.moved != "start" else ""
            for name, share in zip(names, shares.tolist(), strict=True)
        ]
        for names, shares, snapshot in zip(found.names, found.shares, trace, strict=True)
    ]


def members(trace: Trace, component: int, dark: bool) -> Film:
    """Images of one component (from 0): those it makes likeliest, and those it is least sure of."""
    found, examples = summaries.members(trace, component), summaries.examples(trace)
    rows = found.rows.reshape(len(trace), -1)
    images = np.where(rows[..., None] < 0, 0.0, examples.x[rows])
    shares = found.shares.reshape(rows.shape)
    told = [
        [_member(examples, row, component, q) for row, q in zip(*frame, strict=True)]
        for frame in zip(rows.tolist(), shares.tolist(), strict=True)
    ]
    return mean_images.strip(
        summaries.as_images(images, examples.shape),
        told,
        [summaries.MEMBERS] * len(GROUPS),
        words=[NOBODY if snapshot.info.moved == "start" else GROUPS for snapshot in trace],
        dark=dark,
    )


def _member(examples: Examples, row: int, component: int, q: float) -> str:
    if row < 0:
        return "none"
    label = -1 if examples.labels is None else int(examples.labels[row])
    name = f", a {plain(examples.label_names[label])}" if 0 <= label < len(examples.label_names) else ""
    return f"image {row + 1}{name}<br>q({component + 1}) = {number(q, 2)}"


def trace_chart(trace: Trace, dark: bool) -> Film:
    """Log-likelihood and ELBO per image over the half-steps."""
    infos, terms = summaries.infos(trace), summaries.decompositions(trace)
    return steps.trace_chart(
        of_any.column(terms, "log_evidence"),
        of_any.column(terms, "elbo"),
        [info.iteration for info in infos],
        [info.moved for info in infos],
        unit="nats per image",
        dark=dark,
    )
