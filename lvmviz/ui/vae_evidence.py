"""log p(x) of the snapshots of a run, worked out a little at a time while the page is looked at."""

from __future__ import annotations

import time
from typing import NamedTuple

import streamlit as st

from lvmviz.runs.job import Trace
from lvmviz.summaries import vae as summaries
from lvmviz.summaries.vae import Evidence
from lvmviz.ui import background, ticker
from lvmviz.ui.vae_films import WHOLE

BUDGET_S = 0.1  # of computing at once: the page answers between
CURVE = 12  # snapshots whose log p(x) comes first
SELDOM_S = 2.0  # between two goes while a run grows: the picture is to be live, and the run to have the cores
_WENT = "lvmviz.evidence.went"


class Task(NamedTuple):
    """What is to be worked out of one snapshot."""

    index: int
    half: str
    rough: bool  # an estimate, beside what is exact


def known(trace: Trace, half: str) -> dict[int, Evidence]:
    """What is known already, by the snapshot's place in the trace; nothing is computed."""
    parts, id = len(summaries.starts(summaries.vae(trace), half)), trace.job.id
    found = {index: summaries.known(id, step, half, parts) for index, step in enumerate(trace.steps)}
    return {index: evidence for index, evidence in found.items() if evidence is not None}


def rough(trace: Trace, index: int, half: str) -> Evidence | None:
    """The estimate beside what is exact, once it is known."""
    return _found(trace, Task(index, half, True))


def soon(trace: Trace, index: int, half: str, patience_s: float) -> Evidence | None:
    """The evidence of one snapshot, if it can be had within some seconds."""
    return summaries.advance(summaries.moment(trace, index), half, time.monotonic() + patience_s)


def work(trace: Trace, index: int, half: str) -> None:
    """Go on, now and again, with the snapshot on screen and those of the curve.

    The page is drawn again when one of them is done.
    """
    tasks = _tasks(trace, index, half)
    if background.growing(trace):  # the run itself has the page drawn again
        if time.monotonic() - st.session_state.get(_WENT, 0.0) > SELDOM_S:
            _advance(trace, tasks)
            st.session_state[_WENT] = time.monotonic()
        return
    shown = _told(trace, tasks)
    ticker.fresh("evidence", shown)
    _go_on(trace, tasks, shown)


@st.fragment
def _go_on(trace: Trace, tasks: list[Task], shown: str) -> None:
    _advance(trace, tasks)
    told = _told(trace, tasks)
    if told != shown or _open(trace, tasks):
        ticker.poll("evidence", time.monotonic(), told)


def _advance(trace: Trace, tasks: list[Task]) -> None:
    until = time.monotonic() + BUDGET_S
    for task in _open(trace, tasks):
        if time.monotonic() < until:
            summaries.advance(summaries.moment(trace, task.index), task.half, until, task.rough)


def _tasks(trace: Trace, index: int, half: str) -> list[Task]:
    """First the snapshot on screen, then the curve from its end; while a run grows its end waits."""
    growing, exact = background.growing(trace), summaries.exact_possible(summaries.vae(trace))
    curve = summaries.keyframes(trace.steps, CURVE)[::-1]
    tasks = [Task(k, "test", False) for k in (curve[1:] if growing else curve)]
    if growing:
        return tasks
    if exact:  # then those between, until a line may be drawn
        tasks += [Task(k, "test", False) for k in summaries.keyframes(trace.steps, WHOLE)[::-1]]
    return list(dict.fromkeys([Task(index, half, False), *[Task(index, half, True)] * exact, *tasks]))


def _open(trace: Trace, tasks: list[Task]) -> list[Task]:
    return [task for task in tasks if _found(trace, task) is None]


def _found(trace: Trace, task: Task) -> Evidence | None:
    parts = len(summaries.starts(summaries.vae(trace), task.half))
    return summaries.known(trace.job.id, trace.steps[task.index], task.half, parts, task.rough)


def _told(trace: Trace, tasks: list[Task]) -> str:
    """What there is to show: another text where something more is known."""
    return f"{trace.job.id} {len(trace.steps)} {len(_open(trace, tasks))}"
