"""Bayesian linear regression on the page Beyond mixtures: three ways up one hill, and what they believe."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from lvmviz.algorithms.bayes_linreg import EMRegression
from lvmviz.core import Algorithm, Knob
from lvmviz.datasets import Stored
from lvmviz.divergences import Decomposition
from lvmviz.evidence_updates import EvidenceAscent, EvidenceUpdate, FixedPoint, Maximization
from lvmviz.figures import regression as figures
from lvmviz.figures.film import Film
from lvmviz.figures.theme import number, tokens
from lvmviz.regressions import TableColumn
from lvmviz.runs.job import Job, Snapshot, Trace
from lvmviz.schemes import ExpectationMaximization, Scheme
from lvmviz.summaries import regression as summaries
from lvmviz.ui import frame, own, state
from lvmviz.ui.background import growing
from lvmviz.ui.beyond_model import BeyondModel, Others, table_here
from lvmviz.ui.controls import Controls
from lvmviz.ui.derivation import Line
from lvmviz.ui.derivation_regression import lines
from lvmviz.ui.plot import plot
from lvmviz.ui.plot import spot as spot_on
from lvmviz.ui.table import Cell, Column, dot, table

RIVALS: tuple[EvidenceUpdate, ...] = (Maximization(), FixedPoint(), EvidenceAscent())
SHORT = {Maximization: "EM", FixedPoint: "MLE-II", EvidenceAscent: "ascent"}
WEIGHTS = "Right: rings are q, bars the posterior at θ, mean ± 1 sd; crosses are least squares."
LEAST, MOST = 1e-4, 1e4  # of beta and lambda to start from


class RegressionModel(BeyondModel):
    """What both ways to share the roles have in common: the data, and nats in all."""

    editors = {Stored: own.own_table}
    unit = ""
    per = "nats"

    def asked(self, controls: Controls) -> Algorithm:
        return targeted(controls, controls.adjust(self.algorithm))

    def ready(self, asked: Algorithm) -> Algorithm | None:
        data = asked.data  # type: ignore[attr-defined]
        return asked if not isinstance(data, TableColumn) or table_here(data.data) else None

    def data(self, trace: Trace) -> Any:
        found = super().data(trace)
        return found.data if isinstance(found, TableColumn) else found

    def decompositions(self, trace: Trace) -> Sequence[Decomposition]:
        return summaries.decompositions(trace)

    def view(self, controls: Controls, trace: Trace) -> str:
        return ""


def targeted(controls: Controls, asked: Any) -> Any:
    """The same, with the column of a table that is to be told, chosen among its columns."""
    data = asked.data
    if not isinstance(data, TableColumn) or (isinstance(data.data, Stored) and not data.data.digest):
        return asked
    columns = data.data.table().columns
    told = Knob(label="Told column", options=columns, help="The column that the others tell.")
    target = controls.value("data.target", str, columns[-1], told)
    return dataclasses.replace(
        asked, data=dataclasses.replace(data, target="" if target == columns[-1] else target)
    )


class Weights(RegressionModel):
    """The evidence's hill over (beta, lambda), and functions drawn from the posterior over the weights."""

    name = "Regression"
    title = "Bayesian linear regression"
    algorithm = EMRegression
    pictures_others = True
    evidence = "log p(y|X)"
    names = {
        "log_evidence": "log p(y|X)", "kl": "KL", "elbo": "ELBO", "joint": "E[log p(y, w|X)]",
        "entropy": "entropy H(q)", "likelihood": "E[log p(y|X, w)]", "kl_prior": "KL to prior",
    }  # fmt: skip

    def beside(self, trace: Trace) -> Mapping[str, Job]:
        mine = summaries.regression(trace)
        return {
            _short(update): dataclasses.replace(trace.job, algorithm=dataclasses.replace(mine, update=update))
            for update in RIVALS
            if type(update) is not type(mine.update)
        }

    def picture(self, trace: Trace, others: Others, view: str, channel: str, height: int) -> None:
        depends = (trace.key, *(other.key for other in others.values()), frame.dark())
        left, right = frame.halves()
        with left:
            plot("picture", lambda: self.film(trace, others, view), depends=depends, height=height,
                 alt="Contours of the log evidence over β and λ; the paths of EM, MLE-II and ascent",
                 channel=channel, on_spot=_start_here)  # fmt: skip
        with right:
            plot("believed", lambda: believed(trace), depends=(trace.key, frame.dark()), height=height,
                 alt="What q and the posterior say of the function, or of the weights",
                 channel=channel)  # fmt: skip
        drawn = f"Thin: {summaries.CURVES} functions drawn from q, seed {trace.job.seed}."
        told = drawn if summaries.has_functions(trace) else WEIGHTS
        frame.remark(f"Click on the contours to start from there. {told}")

    def film(self, trace: Trace, others: Others, view: str) -> Film:
        path = summaries.path(trace)
        ways = {name: summaries.path(other) for name, other in others.items()}
        ends = summaries.ends([path, *ways.values()])
        made = summaries.surface(summaries.regression(trace).data, ends)
        return figures.contour(made, path, ways, name=_short(summaries.regression(trace).update),
                               dark=frame.dark())  # fmt: skip

    def table(self, trace: Trace, others: Others, view: str, channel: str) -> None:
        frame.head("estimates", "Precisions", "and the rounds they took")
        dark = frame.dark()
        table(
            "estimates",
            [Column("", "left", wide=True), Column("β"), Column("λ"), Column("log p(y)")],
            frames=lambda: _frames(trace, others, dark),
            depends=(trace.key, *(other.key for other in others.values()), dark),
            alt="β, λ and log evidence now, and where each algorithm ends",
            height=int((26 + 24 * (len(others) + 2)) * frame.scale()),
            channel=channel,
        )

    def lines(self, trace: Trace, index: int, view: str) -> list[Line]:
        return lines(trace[index].info, summaries.numbers(trace, index))

    def parameters(self, snapshot: Snapshot) -> Mapping[str, Any]:
        return summaries.parameters(snapshot)

    def warning(self, trace: Trace) -> str:
        return super().warning(trace) or ("" if growing(trace) else summaries.endless(trace))

    def words(self, trace: Trace) -> Scheme:
        return ExpectationMaximization() if summaries.regression(trace).update.maximizes else Other()


class Other(ExpectationMaximization):
    """EM in words where M does not maximize the bound."""

    maximizes = False
    m_does = "β and λ move by the evidence's own slope; the ELBO may fall"
    m_left = "moved by the evidence's slope"
    m_again = "In this trace E and M take turns. Press E."


def believed(trace: Trace) -> Film:
    """Functions of one number, or weights."""
    if summaries.has_functions(trace):
        return figures.functions(summaries.functions(trace), dark=frame.dark())
    columns = summaries.problem(trace).columns
    return figures.weights(summaries.weights_of(trace), columns, dark=frame.dark())


def _short(update: EvidenceUpdate) -> str:
    return SHORT[type(update)]


def _start_here() -> None:
    """A click on the contours: the run starts there."""
    spot = spot_on("picture")
    for name, value in (("beta", spot["x"]), ("lambda_", spot["y"])):
        state.put(name, float(f"{min(max(value, LEAST), MOST):.3g}"))
    state.place(state.POSITION, "")


def _frames(trace: Trace, others: Others, dark: bool) -> list[list[list[Cell]]]:
    mine = _short(summaries.regression(trace).update)
    colour = tokens(dark).theta_mark
    ends = [_row(name, made[-1]) for name, made in {mine: trace, **others}.items()]
    return [[[dot(colour, "θ", "now"), *_row("", snapshot)[1:]], *ends] for snapshot in trace]


def _row(name: str, snapshot: Snapshot) -> list[Cell]:
    beta, lambda_ = (_precise(float(part)) for part in snapshot.state.theta)
    return [f"{name}, {snapshot.info.iteration}", beta, lambda_, number(snapshot.info.log_lik, 4)]


def _precise(value: float) -> str:
    return f"{value:.4g}" if 1e-3 <= value < 1e6 else f"{value:.1e}"
