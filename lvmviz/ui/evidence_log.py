"""The bias of the log: Jensen by hand with two weights, then with ever more of q's, which is IWAE's bound."""

from __future__ import annotations

import functools
from typing import Any, ClassVar

import plotly.graph_objects as go
import streamlit as st

from lvmviz.algorithms.estimates import Estimates
from lvmviz.core import Choice, Knob
from lvmviz.divergences import Decomposition
from lvmviz.figures import evidence as over_draws
from lvmviz.figures import jensen as figures
from lvmviz.figures.film import Film
from lvmviz.figures.theme import number, tokens
from lvmviz.runs.job import Job, Trace
from lvmviz.summaries import evidence as summaries
from lvmviz.ui import answers, code, frame, state
from lvmviz.ui.answers import Places
from lvmviz.ui.controls import Controls, switched
from lvmviz.ui.derivation import Line
from lvmviz.ui.derivation_evidence import Told, sample_lines
from lvmviz.ui.evidence import LOG, EvidenceView, settings
from lvmviz.ui.evidence_sample import over_k, short, terms_of
from lvmviz.ui.frame import Stage
from lvmviz.ui.live import afresh
from lvmviz.ui.player import player
from lvmviz.ui.plot import Hand, Handle, Shape, film_text, grasp, plot
from lvmviz.ui.table import Cell, Column, table
from lvmviz.ui.thermometer import PRESENTATIONS, thermometer

PLAYER = "bound"
NAMES = {"elbo": "E[log p̂] of K draws", "kl": "log p(x) less that"}
WEIGHT = Knob(figures.LEAST, figures.MOST, "In units of p(x). Drag it on the curve too.")
FIRST, SECOND = 0.2, 1.8  # where the weights stand at first: their mean is p(x)
_WEIGHTS = "lvmviz.evidence.weights"
_ROWS = 7


class LogView(EvidenceView):
    """Two weights, then many."""

    name: ClassVar[str] = LOG
    told: ClassVar[str] = "why the log of an unbiased estimate is too low"
    method: ClassVar[type] = Estimates

    def job(self, controls: Controls) -> Job:
        first = controls.value("first", float, FIRST, WEIGHT._replace(label="First weight w₁"))
        second = controls.value("second", float, SECOND, WEIGHT._replace(label="Second weight w₂"))
        st.session_state[_WEIGHTS] = figures.pair(first, second)
        job = settings(controls, aside=True)
        afresh(job.id)
        return job

    def show(self, stage: Stage, trace: Trace) -> None:
        # the view is in the key: the page's other view draws the same trace under the same names
        depends, line = (LOG, trace.key, frame.dark()), summaries.over_k(trace)
        with stage.picture:
            _by_hand()
            counts = line.counts.tolist()
            player(PLAYER, labels=[f"K = {count:,}" for count in counts], buttons=[],
                   trace_id=f"{trace.job.id}:{len(line.estimates)}")  # fmt: skip
            _pictures(trace, depends)
        with stage.evidence:
            _thermometer(trace, depends)
            rows = bound_rows(trace)
            frame.head("bounds", "IWAE bound", f"over {len(line.estimates)} repeats, seed {trace.job.seed}")
            table("bounds", [Column("K"), Column("exact"), Column("mean"), Column("±")], rows=rows,
                  alt="Mean of the logs of the means of K weights: exact, over repeats, standard error",
                  height=27 + 24 * _ROWS, channel=PLAYER)  # fmt: skip

    def lines(self, trace: Trace) -> list[Line]:
        line, at, info = summaries.over_k(trace), frame_of(trace), summaries.info(trace)
        exact = summaries.expected_at(summaries.settings(trace), int(line.counts[at]))
        rows = {row.name: row for row in summaries.numbers(trace)}
        told = Told(
            terms_of(trace), int(line.counts[at]), float(line.means[at]) if exact is None else exact,
            info.log_pooled, rows["log of mean p̂"].error, summaries.second_moment(trace),
        )  # fmt: skip
        return sample_lines(told)

    def source(self, trace: Trace) -> str:
        line, at = summaries.over_k(trace), frame_of(trace)
        told = f"K = {line.counts[at]}: {number(float(line.means[at]), 4)} nats"
        return code.script(trace.job, f"trace[-1].state.log_estimate[:, {at}].mean()  # {told}")

    def figure(self, trace: Trace) -> go.Figure:
        return figures.by_hand(_pair(), dark=frame.dark()).checked()

    def model(self, trace: Trace) -> Choice:
        return summaries.settings(trace).model


def frame_of(trace: Trace) -> int:
    """The frame that the player rests on."""
    return min(state.position(), len(summaries.over_k(trace).counts) - 1)


# ---- two weights by hand ----


def _pair() -> figures.Pair:
    return st.session_state[_WEIGHTS]


def _by_hand() -> None:
    two, dark = _pair(), frame.dark()
    frame.head("picture", "Jensen by hand", "drag the two weights: the chord stays below the curve")
    alt = (
        f"The log of weights {two.first:g} and {two.second:g}: the log of their mean is "
        f"{number(two.log_of_mean, 3)}, the mean of their logs {number(two.mean_of_log, 3)}"
    )
    plot("picture", lambda: figures.by_hand(two, dark=dark), depends=(two, dark), height=figures.HEIGHT,
         alt=alt, hand=_hand(two), on_hand=_dragged)  # fmt: skip
    look = functools.partial(_answer, dark=dark, factor=frame.scale())
    answers.offer(look)


def _hand(two: figures.Pair) -> Hand:
    """A handle for each weight, which slides on the curve."""
    colour, rail = tokens(frame.dark()).q_mark, figures.rail()
    places = [two.first, two.second]
    shapes = [
        Shape([], [[place, height]]) for place, height in zip(places, figures.logs(places), strict=True)
    ]
    handles = [
        Handle(i, (0.0, 0.0), "loc", f"{name} weight", colour) for i, name in enumerate(("First", "Second"))
    ]
    ends = (figures.LEAST, figures.MOST, *rail.tolist())
    return Hand(shapes, handles, answers.count(), ends, answers.address(), "rail")


def _held(taken: Places) -> list[float]:
    """The weights where the hand has put them."""
    if len(taken) != 2 or any(len(place) != 1 for place in taken):
        raise ValueError("two weights have a place each")
    return [round(min(max(place[0], figures.LEAST), figures.MOST), 2) for place in taken]


def _answer(taken: Places, dark: bool, factor: float) -> dict[str, Any]:
    """The picture while the hand moves."""
    return {"picture": film_text(figures.by_hand(figures.pair(*_held(taken)), dark=dark), factor)}


def _dragged() -> None:
    """The hand moved: the sliders follow, the link waits until it rests."""
    took = grasp("picture")
    for name, value in zip(("first", "second"), _held(took.places), strict=True):
        st.session_state[state.key(name)] = value
    answers.heard(took.request)
    if not took.settled:
        state.pause()


# ---- many weights ----


def _pictures(trace: Trace, depends: tuple[object, ...]) -> None:
    left, right = frame.halves()
    with left:
        frame.head("spread", "Weights of q", "log of the mean of K of them")
        plot("spread", lambda: spread(trace), depends=depends, height=figures.LOW, channel=PLAYER,
             alt="Histogram of the log of the mean of K weights under log p(x)")  # fmt: skip
    with right:
        frame.head("over_k", "Their mean over K", "◆ exact; K = 1: the ELBO")
        plot("over_k", lambda: over_k(trace, film=True), depends=depends, height=over_draws.LOW,
             channel=PLAYER, alt="The IWAE bound over the number of draws K, rising to log p(x)")  # fmt: skip


def spread(trace: Trace) -> Film:
    """How the logs of means of k weights scatter."""
    line = summaries.over_k(trace)
    return figures.spread(line.counts, line.estimates, summaries.info(trace).log_evidence, dark=frame.dark())


def _thermometer(trace: Trace, depends: tuple[object, ...]) -> None:
    """The bound of every k; in the presentations that take the ELBO apart, the ELBO, whatever k is."""
    if switched("presentation", PRESENTATIONS, "III") == "III":
        thermometer(lambda: bounds(trace), depends=depends, decimals=3, names=NAMES, channel=PLAYER)
    else:
        thermometer(lambda: [terms_of(trace)], depends=depends, decimals=3, names={})


def bounds(trace: Trace) -> list[Decomposition]:
    """The evidence over the bound of every k; at k = 1 it is q's ELBO with all its terms."""
    base, line = terms_of(trace), summaries.over_k(trace)
    rest = [summaries.at_k(base, float(mean)) for mean in line.means[1:]]
    return [base, *rest]


def bound_rows(trace: Trace) -> list[list[Cell]]:
    """A row for every k."""
    line, exact = summaries.over_k(trace), summaries.expected(summaries.settings(trace))
    known = {} if exact is None else dict(zip(exact.counts.tolist(), exact.values.tolist(), strict=True))
    return [
        [
            f"{count:,}",
            short(known[count], 3) if count in known else "",
            short(float(mean), 3),
            short(float(error), 3),
        ]
        for count, mean, error in zip(line.counts.tolist(), line.means, line.errors, strict=True)
    ]
