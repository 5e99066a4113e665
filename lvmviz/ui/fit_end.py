"""How a fit ended: how many starts are at the best, and what would keep those that flew away."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import streamlit as st

from lvmviz.algorithms.vi import VI
from lvmviz.core import knobs
from lvmviz.gradients import Exact
from lvmviz.optimizers import LBFGS
from lvmviz.runs.execute import run
from lvmviz.runs.job import Job, Trace
from lvmviz.summaries import fit as summaries
from lvmviz.ui import frame
from lvmviz.ui.controls import decade, remedy

NEAR = 0.01  # nats
_PROBE = 50  # steps that a remedy is tried for


def arrived(trace: Trace) -> str:
    """How many of the starts end where the best does, in words so few that they fit at 1024 px."""
    last = trace[len(trace) - 1].state
    count, here = len(last.value), last.value[~last.lost]
    if not len(here):
        return "lost" if count == 1 else f"all {count} lost"
    near = int((here > here.max() - NEAR).sum())
    return (
        f"{near} of {count} at the best" if len(here) == count else f"{near} best, {count - len(here)} lost"
    )


def flown(trace: Trace) -> None:
    """A sentence, and a button for what would help, where q left the finite numbers."""
    told = left(trace)
    if not told:
        return
    mend = _mend(trace.job)
    advice = mend.advice if mend else "choose another optimizer, or let q begin elsewhere"
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        frame.note(f"**{told}:** {advice}.")
        if mend:
            remedy(mend.label, mend.name, mend.value)


def left(trace: Trace) -> str:
    """Such as "All 8 starts left the finite numbers by step 3"; empty while q goes on."""
    at = [snapshot.step for snapshot in trace if snapshot.info.status == "not finite"]
    if not at:
        return ""
    count, last = summaries.vi(trace.job).starts, trace[len(trace) - 1].info.lost
    if last < count or count == 1:
        others = f", as did {last - 1} of the {count - 1} other starts" if last > 1 else ""
        return f"q left the finite numbers at step {at[0]}{others}"
    end = next(snapshot.step for snapshot in trace if snapshot.info.lost == count)
    return f"All {count} starts left the finite numbers by step {end}"


class _Mend(NamedTuple):
    """A control and its value, and how these are told."""

    advice: str
    label: str
    name: str
    value: float | str


@functools.lru_cache(maxsize=64)
def _mend(job: Job) -> _Mend | None:
    """The first of the remedies with which q stays among the finite numbers, and climbs."""
    return next((mend for mend, vi in _mends(summaries.vi(job)) if _climbs(vi, job)), None)


def _mends(vi: VI) -> Iterator[tuple[_Mend, VI]]:
    """Smaller steps first, then the gradient, then an optimizer that measures its way."""
    now: Any = vi.optimizer
    meta, size = knobs(type(now)).get("step_size"), getattr(now, "step_size", 0.0)
    for smaller in (float(f"{size / 10.0**power:.3g}") for power in range(1, 6)):
        if meta is not None and meta.low is not None and smaller >= meta.low:
            mend = _Mend(
                "take a smaller step", f"Take steps of {decade(smaller)}", "optimizer.step_size", smaller
            )
            optimizer = dataclasses.replace(now, step_size=smaller)
            yield mend, dataclasses.replace(vi, optimizer=optimizer)
    if not vi.gradient.exact:
        mend = _Mend("take the exact gradient", "Use the exact gradient", "gradient", Exact.__name__)
        yield mend, dataclasses.replace(vi, gradient=Exact())
    if not isinstance(vi.optimizer, LBFGS):
        mend = _Mend("take an optimizer that measures its way", "Take L-BFGS", "optimizer", LBFGS.__name__)
        yield mend, dataclasses.replace(vi, optimizer=LBFGS())


def _climbs(vi: VI, job: Job) -> bool:
    trace = run(Job(dataclasses.replace(vi, starts=1), steps=min(job.steps, _PROBE), seed=job.seed))
    first, last = trace[0].info, trace[len(trace) - 1].info
    return last.status != "not finite" and last.objective > first.objective
