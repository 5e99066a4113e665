"""Log p(x) as a sum over all states: its terms, what they cost, and the ELBO of independent switches."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import plotly.graph_objects as go

from lvmviz.algorithms.brute_force import BruteForce
from lvmviz.core import Choice
from lvmviz.evidence import BinaryLatents
from lvmviz.figures import brute_force as figures
from lvmviz.figures import evidence_draws
from lvmviz.figures.drawing import Drawing
from lvmviz.figures.theme import number
from lvmviz.runs.job import Job, Trace
from lvmviz.summaries import brute_force as summaries
from lvmviz.ui import code, frame
from lvmviz.ui.controls import Controls
from lvmviz.ui.derivation import Line
from lvmviz.ui.derivation_evidence import sum_lines
from lvmviz.ui.evidence import SUM, EvidenceView, whole
from lvmviz.ui.frame import Stage
from lvmviz.ui.live import pace
from lvmviz.ui.plot import plot
from lvmviz.ui.table import Cell, Column, table
from lvmviz.ui.thermometer import thermometer

MOST = 0.9  # of the sum: how few terms hold so much
NAMES = {"elbo": "ELBO of ∏ q(zⱼ)", "kl": "KL(q‖p)"}
_ROW, _HEAD = 25, 28  # px


class BruteForceView(EvidenceView):
    """The sum over all 2^n states."""

    name: ClassVar[str] = SUM
    told: ClassVar[str] = "all 2ⁿ states of n switches, one after the other"
    method: ClassVar[type] = BruteForce

    def job(self, controls: Controls) -> Job:
        return whole(BruteForce(model=controls.adjust(BinaryLatents, "model")), 0)

    def show(self, stage: Stage, trace: Trace) -> None:
        depends = (trace.key, frame.dark())
        with stage.picture:
            _pictures(trace, depends)
        with stage.evidence:
            thermometer(lambda: [summaries.decomposition(trace)], depends=depends, decimals=3, names=NAMES)
            rows = number_rows(trace)
            columns, alt = (
                [Column("the sum", "left"), Column("")],
                "The sum in numbers: terms, time, log p(x)",
            )
            table("numbers", columns, rows=rows, alt=alt, height=_HEAD + _ROW * len(rows))
            frame.remark("q: each switch on by itself, as often as under the posterior.")

    def lines(self, trace: Trace) -> list[Line]:
        return sum_lines(summaries.decomposition(trace), summaries.closed_form(trace))

    def source(self, trace: Trace) -> str:
        value = number(summaries.info(trace).log_sum, 4)
        return code.script(trace.job, f"trace[-1].info.log_sum  # {value} nats")

    def figure(self, trace: Trace) -> go.Figure:
        return _bars(trace).checked()

    def model(self, trace: Trace) -> Choice:
        return summaries.settings(trace).model


def _bars(trace: Trace) -> Drawing:
    made = summaries.bars(trace)
    return figures.bars(made.log_sums, made.each, made.bits, dark=frame.dark())


def _pictures(trace: Trace, depends: tuple[object, ...]) -> None:
    info, made, dark = summaries.info(trace), summaries.bars(trace), frame.dark()
    frame.head("picture", "Every term of the sum", f"{info.terms:,} of {info.of:,} states summed")
    alt = f"p(x, z) over all {info.of:,} states of {made.bits} switches"
    plot("picture", lambda: _bars(trace), depends=depends, height=figures.HEIGHT, alt=alt)
    left, right = frame.halves()
    with left:
        what = "largest terms" if made.each == 1 else "largest bars"
        frame.head("shares", "Few hold nearly all", f"p(x) in the {what}")
        held = _held(trace)
        said, alt = _few(trace), f"Part of p(x) in the {what}: {_few(trace)}"
        plot("shares", lambda: evidence_draws.shares(held, what=what, said=said, dark=dark),
             depends=depends, height=figures.LOW, alt=alt)  # fmt: skip
    with right:
        frame.head("times", "Time for n switches", "measured, then doubled")
        _times(trace, depends)


def _times(trace: Trace, depends: tuple[object, ...]) -> None:
    rate, bits = pace(trace.job).rate, summaries.bars(trace).bits
    measured, seconds = summaries.seconds(trace, rate), summaries.seconds_over_bits(trace, rate)
    if not np.isfinite(measured):
        frame.empty("The time was not measured.", name="times", height=figures.LOW)
        return
    told = f"{summaries.duration(measured)} for {bits}"
    end = f"{summaries.duration(float(seconds[-1]))} for {summaries.MOST}"
    plot("times", lambda: figures.times(seconds, (bits, measured), told, end, dark=frame.dark()),
         depends=(*depends, rate), height=figures.LOW,
         alt=f"Time of the sum: {told} switches, {end}")  # fmt: skip


def _held(trace: Trace) -> np.ndarray:
    """The part of the sum that its largest bars hold."""
    log_sums = np.nan_to_num(summaries.bars(trace).log_sums, nan=-np.inf)
    shares = np.exp(log_sums - np.logaddexp.reduce(log_sums)) if np.isfinite(log_sums).any() else log_sums * 0
    return summaries.held(np.nan_to_num(shares))


def _few(trace: Trace) -> str:
    held = _held(trace)
    count = int(np.searchsorted(held, MOST) + 1)
    return f"{count:,} of {len(held):,} hold {MOST:.0%}" if held[-1] > MOST else ""


def number_rows(trace: Trace) -> list[list[Cell]]:
    """The rows of the table."""
    info, rate = summaries.info(trace), pace(trace.job).rate
    seconds = summaries.seconds_over_bits(trace, rate)
    closed = summaries.closed_form(trace)
    bits, more = summaries.bars(trace).bits, 2 ** (60 - summaries.MOST)
    return [
        ["terms", f"{info.of:,}"],
        ["log p(x) by the sum", number(info.log_sum, 6)],
        ["n sums of two terms", "a leak ties them" if closed is None else number(closed, 6)],
        [f"time for n = {bits}", summaries.duration(summaries.seconds(trace, rate))],
        [f"n = 30: {2**30:.2g} terms".replace("e+0", "e"), summaries.duration(float(seconds[-1]))],
        ["n = 60", summaries.duration(float(seconds[-1]) * more)],
    ]
