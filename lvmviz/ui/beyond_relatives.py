"""EM's relatives for mixtures on the page Beyond mixtures: Monte-Carlo EM, generalized EM, ECM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lvmviz.algorithms.ecm import ECM
from lvmviz.algorithms.em import EM
from lvmviz.algorithms.mcem import MonteCarloEM
from lvmviz.core import Algorithm, Choice, field_types, knobs
from lvmviz.datasets import Stored
from lvmviz.divergences import Decomposition
from lvmviz.figures.film import Film
from lvmviz.figures.theme import number, tokens
from lvmviz.runs.job import Job, Snapshot, Trace
from lvmviz.schemes import ExpectationMaximization, GeneralizedEM, Scheme
from lvmviz.starts import ByHand
from lvmviz.summaries import em as em_summaries
from lvmviz.summaries import relatives as summaries
from lvmviz.ui import derivation_climb, em_films, frame, own
from lvmviz.ui.axes import axes
from lvmviz.ui.beyond_model import BeyondModel, Others
from lvmviz.ui.components import components
from lvmviz.ui.controls import Controls
from lvmviz.ui.derivation import Line
from lvmviz.ui.plot import plot
from lvmviz.ui.table import Cell, Column, dot, noted, table

Axes = tuple[int, int]
EXACT = "exact EM"


class Relative(BeyondModel):
    """What all three have in common: the picture of a mixture, and EM beside it."""

    by_chance = True
    per = "nats per point"
    editors = {Stored: own.own_table, ByHand: own.by_hand}

    def ready(self, asked: Algorithm) -> Algorithm | None:
        assert isinstance(asked, (EM, ECM, MonteCarloEM))
        return None if super().ready(asked) is None else own.forget_misfits("start", asked)

    def view(self, controls: Controls, trace: Trace) -> Axes:
        return axes(controls, summaries.relative(trace).data.table().columns)

    def beside(self, trace: Trace) -> Mapping[str, Job]:
        job = trace.job
        return {EXACT: Job(summaries.exact(summaries.relative(trace)), steps=job.steps, seed=job.seed)}

    def picture(self, trace: Trace, others: Others, view: Axes, channel: str, height: int) -> None:
        alike = summaries.as_em(trace)
        em = em_summaries.em(alike)
        plot(
            "picture",
            lambda: self.film(trace, others, view),
            depends=(trace.key, frame.dark(), view),
            height=height,
            alt=em_films.alt(alike),
            channel=channel,
            on_spot=own.place_spot("start", "picture", em, view) if isinstance(em.start, ByHand) else None,
        )
        if told := em_films.told(alike):
            frame.remark(told)

    def film(self, trace: Trace, others: Others, view: Axes) -> Film:
        return em_films.picture(summaries.as_em(trace), view, frame.dark())

    def table(self, trace: Trace, others: Others, view: Axes, channel: str) -> None:
        components(summaries.as_em(trace), channel)

    def decompositions(self, trace: Trace) -> Sequence[Decomposition]:
        return summaries.decompositions(trace)

    def lines(self, trace: Trace, index: int, view: Axes) -> list[Line]:
        return derivation_climb.lines(trace, index, self.words(trace))

    def parameters(self, snapshot: Snapshot) -> Mapping[str, Any]:
        return em_summaries.parameters(snapshot)


class Drawn(ExpectationMaximization):
    """EM in words where E draws."""

    closes = False
    e_does = "M labels are drawn for each point from the posterior; a noisy gap stays"
    e_again = "In this trace E draws once in each round. Press M."
    e_left = "q is the shares of the draws, near the posterior"
    m_does = "θ maximizes the average over the draws; the log-likelihood may fall"
    m_left = "best for these draws, not for all"


class MonteCarlo(Relative):
    """E draws labels: every point has the colours of its draws."""

    name = "Monte-Carlo EM"
    title = "Monte-Carlo EM on a mixture of Gaussians"
    algorithm = MonteCarloEM
    rounds = 25  # it never settles

    def words(self, trace: Trace) -> Scheme:
        return Drawn()

    def film(self, trace: Trace, others: Others, view: Axes) -> Film:
        resp = summaries.drawn_responsibilities(trace)
        return em_films.picture(summaries.as_em(trace), view, frame.dark(), resp)

    def table(self, trace: Trace, others: Others, view: Axes, channel: str) -> None:
        made = summaries.monte_carlo(trace)
        frame.head("estimates", "E[log p(X, Z)]/N", f"M = {made.draws}, seed {trace.job.seed}")
        table(
            "estimates",
            [Column("", "left", wide=True), Column("nats per point")],
            frames=lambda: _frames(trace, frame.dark()),
            depends=(trace.key, frame.dark()),
            alt="The expected log joint by the draws with its standard error, and exactly",
            height=int((26 + 24 * 2) * frame.scale()),
            channel=channel,
        )
        super().table(trace, others, view, channel)

    def lines(self, trace: Trace, index: int, view: Axes) -> list[Line]:
        estimate = summaries.estimates(trace[index : index + 1])[0]
        drawn = None if trace[index].info.moved == "start" else estimate
        return derivation_climb.lines(trace, index, self.words(trace), drawn)

    def ending(self, trace: Trace) -> str:
        ended = self.warning(trace) or "This trace ends here: it never settles. Allow more rounds under More."
        return super().ending(trace) if len(trace) - 1 < trace.job.steps else ended


class Generalized(Relative):
    """M goes a part of the way."""

    name = "Generalized EM"
    title = "Generalized EM on a mixture of Gaussians"
    algorithm = EM
    rounds = 40

    def asked(self, controls: Controls) -> Algorithm:
        shown = ("data", "components", "covariance", "start", "regularizer", "tolerance")
        part = knobs(GeneralizedEM)["part"]
        values: dict[str, Any] = {}
        for name in shown:
            if name == "covariance":
                values["scheme"] = GeneralizedEM(
                    part=controls.value("scheme.part", float, GeneralizedEM().part, part)
                )
            values[name] = _field(controls, name)
        return EM(**values)

    def words(self, trace: Trace) -> Scheme:
        return em_summaries.em(trace).scheme

    def warning(self, trace: Trace) -> str:
        lost = trace[-1].info.collapsed
        said = (
            "its covariance is not positive definite any more. Raise the regularizer or use fewer components"
        )
        return f"Component {lost} has collapsed: {said}." if lost else ""


def _field(controls: Controls, name: str) -> Any:
    """One field of EM by its own knob."""
    default, meta = getattr(EM(), name), knobs(EM)[name]
    meta = meta._replace(more=meta.more or name == "covariance")
    kind = field_types(EM)[name]
    if isinstance(default, Choice):
        return controls.choose(kind, name, default, meta, aside=meta.more)
    return controls.value(name, kind, default, meta)


class InTurn(ExpectationMaximization):
    """EM in words where M has two parts."""

    m_does = "one part of θ maximizes the ELBO, the other as it is; both rise"
    m_again = "The other part of θ has its turn after E. Press E."


class Conditional(Relative):
    """M moves weights and means, then covariances."""

    name = "ECM"
    title = "ECM on a mixture of Gaussians"
    algorithm = ECM
    rounds = 40

    def words(self, trace: Trace) -> Scheme:
        return InTurn()


def _frames(trace: Trace, dark: bool) -> list[list[list[Cell]]]:
    colour = tokens(dark).q_mark
    exactly = lambda value: "—" if value != value else number(value, 4)  # noqa: E731
    return [
        [
            [dot(colour, "by the draws"), noted(number(at.value, 4), f"± {number(at.error, 4)}")],
            ["exactly", exactly(at.exact)],
        ]
        for at in summaries.estimates(trace)
    ]
