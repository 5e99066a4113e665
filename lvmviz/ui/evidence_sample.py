"""Estimates of log p(x) from draws of q, over and over: scatter, bias, and how far to believe them."""

from __future__ import annotations

import math
from typing import ClassVar

import plotly.graph_objects as go

from lvmviz.algorithms.estimates import Estimates
from lvmviz.core import Choice
from lvmviz.divergences import Decomposition
from lvmviz.evidence import Annealed
from lvmviz.figures import evidence as figures
from lvmviz.figures import evidence_draws
from lvmviz.figures.drawing import Drawing
from lvmviz.figures.film import Film
from lvmviz.figures.theme import number
from lvmviz.runs.job import Job, Trace
from lvmviz.summaries import brute_force
from lvmviz.summaries import evidence as summaries
from lvmviz.ui import code, frame
from lvmviz.ui.controls import Controls
from lvmviz.ui.derivation import Line
from lvmviz.ui.derivation_evidence import Told, sample_lines
from lvmviz.ui.evidence import SAMPLE, EvidenceView, seed_told, settings
from lvmviz.ui.frame import Stage
from lvmviz.ui.plot import plot
from lvmviz.ui.table import Cell, Column, table
from lvmviz.ui.thermometer import thermometer

SHOWN = 250  # draws in the picture of them
NAMES = {"second": "log p − E log p̂"}
_ROW, _HEAD = 24, 27  # px


class SampleView(EvidenceView):
    """Many estimates beside the truth."""

    name: ClassVar[str] = SAMPLE
    told: ClassVar[str] = "estimate p(x) from draws, many times over"
    method: ClassVar[type] = Estimates

    def job(self, controls: Controls) -> Job:
        return settings(controls)

    def show(self, stage: Stage, trace: Trace) -> None:
        depends = (trace.key, frame.dark())
        with stage.picture:
            _pictures(trace, depends)
        with stage.evidence:
            base, rows = terms_of(trace), summaries.numbers(trace)
            second = summaries.at_k(base, rows[0].value if rows[0].exact is None else rows[0].exact)
            thermometer(lambda: [base], depends=depends, decimals=3, names=NAMES, second=second)
            _numbers(trace, rows)

    def lines(self, trace: Trace) -> list[Line]:
        info, algorithm = summaries.info(trace), summaries.settings(trace)
        mean_log = summaries.expected_at(algorithm, algorithm.draws)
        rows = {row.name: row for row in summaries.numbers(trace)}
        told = Told(
            terms_of(trace), algorithm.draws, info.log_estimate if mean_log is None else mean_log,
            info.log_pooled, rows["log of mean p̂"].error, summaries.second_moment(trace),
        )  # fmt: skip
        return sample_lines(told)

    def source(self, trace: Trace) -> str:
        info = summaries.info(trace)
        told = f"{number(info.bias, 4)} ± {number(info.bias_error, 4)} nats"
        return code.script(trace.job, f"trace[-1].info.bias  # of log p-hat: {told}")

    def figure(self, trace: Trace) -> go.Figure:
        return histograms(trace).checked()

    def model(self, trace: Trace) -> Choice:
        return summaries.settings(trace).model


def terms_of(trace: Trace) -> Decomposition:
    """What q's ELBO is made of; where only draws can tell, the ELBO and the KL alone."""
    algorithm = summaries.settings(trace)
    try:
        return summaries.decomposition(algorithm.model, algorithm.proposal)
    except (TypeError, ValueError):
        bounds, nothing = summaries.state(trace).bounds, math.nan
        blank = Decomposition(summaries.info(trace).log_evidence, *[nothing] * 6)
        return summaries.at_k(blank, float(bounds.mean[0]))


# ---- pictures ----


def histograms(trace: Trace) -> Drawing:
    """Estimates of p(x) and of log p(x)."""
    line, info = summaries.over_k(trace), summaries.info(trace)
    mean = info.log_estimate, float(line.errors[-1])
    return figures.histograms(
        summaries.relative(trace), line.estimates[:, -1], info.log_evidence, mean, dark=frame.dark()
    )


def _pictures(trace: Trace, depends: tuple[object, ...]) -> None:
    info, algorithm = summaries.info(trace), summaries.settings(trace)
    told = seed_told(
        trace,
        [f"{info.repeats:,} estimates", f"each from {algorithm.draws:,} draw{'s' * (algorithm.draws > 1)}"],
    )
    frame.head("picture", "Estimates", told)
    alt = (
        f"{info.repeats} estimates of p(x) and of log p(x): log p(x) is {number(info.log_evidence, 3)} nats, "
        f"the mean of the estimates {number(info.log_estimate, 3)}"
    )
    plot("picture", lambda: histograms(trace), depends=depends, height=figures.HEIGHT, alt=alt)
    left, right = frame.halves()
    with left:
        frame.head("over_k", "Over the draws", "mean of log p̂; ◆ exact; thin: single repeats")
        plot("over_k", lambda: over_k(trace), depends=depends, height=figures.LOW,
             alt="Estimates of log p(x) over the number of draws K, under log p(x)")  # fmt: skip
    with right:
        frame.head("draws", "The draws", draws_told(algorithm))
        plot("draws", lambda: draws(trace), depends=depends, height=figures.LOW,
             alt="The first draws of q, the more opaque the larger their weight")  # fmt: skip


def over_k(trace: Trace, film: bool = False) -> Film:
    """Estimates of log p(x) over k."""
    exact = summaries.expected(summaries.settings(trace))
    line = figures.Line(*summaries.over_k(trace))
    known = None if exact is None else (exact.counts, exact.values)
    return figures.over_k(
        line, summaries.info(trace).log_evidence, known, film=film, some=0 if film else 4, dark=frame.dark()
    )


def draws_told(algorithm: Estimates) -> str:
    """How the picture of the draws is read."""
    size = algorithm.model.size
    if isinstance(algorithm.estimator, Annealed):
        return "of q alone, before any bridge"
    if algorithm.model.discrete:
        return "how much of p̂ the largest weights hold"
    if size == 1:
        return "ticks: opacity is weight"
    return f"opacity is weight{f'; the first 2 of {size} latents' if size > 2 else ''}"


def draws(trace: Trace) -> Drawing:
    """The first draws with their weights: on the line, in the plane, or their shares alone."""
    algorithm, made, dark = summaries.settings(trace), summaries.draws(trace, SHOWN), frame.dark()
    if algorithm.model.discrete:
        held = brute_force.held(made.share / made.share.sum())
        return evidence_draws.shares(held, what="largest weights", dark=dark)
    if algorithm.model.size == 1:
        over = summaries.densities(trace, made.z[:, 0])
        return evidence_draws.line(made.z[:, 0], made.share, *over, dark=dark)
    ring = summaries.rings(trace)
    return evidence_draws.plane(made.z[:, :2], made.share, (ring.mean, ring.sd), dark=dark)


# ---- numbers ----


def _numbers(trace: Trace, rows: list[summaries.Number]) -> None:
    info, algorithm = summaries.info(trace), summaries.settings(trace)
    columns = [Column(f"S = {info.repeats:,}", "left"), Column("exact"), Column("mean"), Column("±")]
    alt = (
        f"Numbers of {info.repeats} estimates of seed {trace.job.seed}: exact, their mean, its standard error"
    )
    table("numbers", columns, rows=number_rows(rows), alt=alt, height=_HEAD + _ROW * len(rows))
    if said := summaries.doubt(rows, algorithm.draws):
        frame.remark(said)


def number_rows(rows: list[summaries.Number]) -> list[list[Cell]]:
    """The rows of that table."""
    return [
        [row.name, *(short(value, row.decimals) for value in (row.exact, row.value, row.error))]
        for row in rows
    ]


def short(x: float | None, decimals: int) -> str:
    """In about five signs; a dash where there is no number."""
    if x is None or math.isnan(x):
        return "–"
    size = abs(x)
    if not math.isfinite(x) or size < 1e5:
        digits = 0 if size >= 1000 else 1 if size >= 100 else min(decimals, 2) if size >= 10 else decimals
        return number(x, digits)
    return f"{x:.1e}".replace("e+0", "e").replace("e+", "e").replace("-", "−")
