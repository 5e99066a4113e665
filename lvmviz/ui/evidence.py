"""What the page Evidence asks for, and what it must know of a view: a sum, estimates, or their logarithm."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import plotly.graph_objects as go

from lvmviz.algorithms.brute_force import BruteForce
from lvmviz.algorithms.estimates import Estimates
from lvmviz.core import Algorithm, Choice, Knob
from lvmviz.evidence import (
    EvidenceEstimator,
    EvidenceModel,
    FromPrior,
    GaussianLatents,
    ImportanceSampling,
    Proposal,
)
from lvmviz.runs.job import Job, Trace
from lvmviz.ui.controls import Controls
from lvmviz.ui.derivation import Line
from lvmviz.ui.exports import Rows
from lvmviz.ui.frame import Stage
from lvmviz.ui.links import link_of

URL = "evidence"
SUM, SAMPLE, LOG = "Sum", "Sample", "Log"  # the views' names in the link
MODEL = Knob(label="Model", help="p(x, z) at the x that was seen; its evidence is known.")
PROPOSAL = Knob(label="Draw from", help="The density q that z is drawn from.")
ESTIMATOR = Knob(label="Estimator", help="What is made of the draws.", more=True)
DRAWS = Knob(1, 10_000, "Draws in one estimate.", "Draws K", "fine")
REPEATS = Knob(1, 1000, "How many estimates are compared.", "Repeats", "box", more=True)
SEED = Knob(0, 9999, "Another seed draws other numbers.", "Seed", "box", more=True)


class EvidenceView(abc.ABC):
    """A view of the page: a subclass is one file, and the page names it in its list."""

    name: ClassVar[str]  # in the switch and in links
    told: ClassVar[str]  # what the switch says of it
    method: ClassVar[type[Algorithm]]

    @abc.abstractmethod
    def job(self, controls: Controls) -> Job:
        """What the controls ask for; ValueError, with a sentence, where there is no such thing."""

    @abc.abstractmethod
    def show(self, stage: Stage, trace: Trace) -> None:
        """Draw the pictures and the numbers."""

    @abc.abstractmethod
    def lines(self, trace: Trace) -> list[Line]:
        """The derivation with the values on screen."""

    @abc.abstractmethod
    def source(self, trace: Trace) -> str:
        """The lines of Python that give the number on screen."""

    @abc.abstractmethod
    def figure(self, trace: Trace) -> go.Figure:
        """The picture, for a file."""

    @abc.abstractmethod
    def model(self, trace: Trace) -> Choice:
        """The model that is asked for its evidence."""

    def rows(self, trace: Trace) -> Rows:
        """The numbers, for a file."""
        return trace.rows()

    def parameters(self, trace: Trace) -> Mapping[str, Any]:
        """What was estimated, and how, for a file."""
        return {"algorithm": repr(trace.job.algorithm), "seed": trace.job.seed, **trace[-1].info._asdict()}


# ---- controls ----


def settings(controls: Controls, aside: bool = False) -> Job:
    """The estimates that the controls ask for; the model's under More where another thing is in view."""
    first = Controls(controls.more, controls.more, controls.editors) if aside else controls
    model = first.choose(EvidenceModel, "model", GaussianLatents(), MODEL)
    proposal = controls.choose(Proposal, "proposal", FromPrior(), PROPOSAL)
    draws = controls.value("draws", int, 1000, DRAWS)
    estimator = controls.choose(EvidenceEstimator, "estimator", ImportanceSampling(), ESTIMATOR, aside=True)
    repeats = controls.value("repeats", int, 200, REPEATS)
    estimates = Estimates(model=model, proposal=proposal, estimator=estimator, draws=draws, repeats=repeats)
    return whole(estimates, controls.value("seed", int, 0, SEED))


def whole(algorithm: Estimates | BruteForce, seed: int) -> Job:
    """The job of all its steps."""
    return Job(algorithm, steps=algorithm.steps(), seed=seed)


# ---- links ----


def link(view: str, algorithm: Estimates | BruteForce, seed: int = 0) -> dict[str, str]:
    """The link with which the page shows this: the proposal is named also where it is the usual one."""
    told = {} if view == SAMPLE else {"view": view}
    if isinstance(algorithm, Estimates) and not isinstance(algorithm.proposal, FromPrior):
        told["proposal"] = type(algorithm.proposal).__name__
    own = {
        name: text for name, text in link_of(algorithm).items() if (name, text) != ("proposal", "FromPrior")
    }
    return own | told | ({"seed": str(seed)} if seed else {})


def link_to(job: Job) -> dict[str, str] | None:
    """The link of a run that the page can ask for; None of any other."""
    algorithm = job.algorithm
    if not isinstance(algorithm, (Estimates, BruteForce)) or job != whole(algorithm, job.seed):
        return None
    if isinstance(algorithm, BruteForce):  # a sum over all states knows no seed
        return None if job.seed else link(SUM, algorithm)
    asked = ((job.seed, SEED), (algorithm.draws, DRAWS), (algorithm.repeats, REPEATS))
    within = all(_within(value, knob) for value, knob in asked)
    return link(SAMPLE, algorithm, job.seed) if within else None


def _within(value: int, knob: Knob) -> bool:
    return knob.low is not None and knob.high is not None and knob.low <= value <= knob.high


def seed_told(trace: Trace, what: Sequence[str]) -> str:
    """Such as "200 estimates, seed 0"."""
    return ", ".join([*what, f"seed {trace.job.seed}"])
