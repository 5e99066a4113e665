"""From a job to its trace. Short work is done here and now; the rule of what is short stands here alone."""

from __future__ import annotations

import time

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from lvmviz.runs.execute import snapshots
from lvmviz.runs.job import Job, Snapshot, Trace
from lvmviz.ui import state

PATIENCE = 0.4  # seconds without a word; then progress is shown
_KEPT, _ASKED = "lvmviz.kept", "lvmviz.asked"
_PARTIAL = "lvmviz.partial"  # what a stopped or interrupted job had computed, by its id


@st.cache_resource(max_entries=64, show_spinner=False)
def _finished(id: str) -> dict[str, Trace]:
    """A place for the trace of this job, shared by everyone who asks for it."""
    return {}


def live(job: Job) -> Trace:
    """The trace of a job: kept, or computed with progress, an estimate and a stop.

    A stopped job keeps what it had; *Go on* takes it up again from there.
    Raises ValueError, with a sentence for the person, when the job cannot start.
    """
    place = _finished(job.id)
    if "trace" in place:
        return place["trace"]
    partial: list[Snapshot] = st.session_state.setdefault(_PARTIAL, {}).setdefault(job.id, [])
    if st.session_state.get(f"lvmviz.stop.{job.id}") and partial:
        _offer_to_go_on(job, len(partial))
        return Trace(job, partial)
    if _compute(job, partial):
        place["trace"] = Trace(job, partial)
        del st.session_state[_PARTIAL][job.id]
    return Trace(job, partial)


def _compute(job: Job, partial: list[Snapshot]) -> bool:
    """Add the missing snapshots to `partial`; Streamlit may interrupt at any progress report."""
    begun, resumed, reported = time.monotonic(), len(partial), 0.0
    place = st.empty()
    bar = None
    for snapshot in snapshots(job, partial[-1] if partial else None):
        partial.append(snapshot)
        now = time.monotonic() - begun
        if now < PATIENCE or now - reported < 0.2:
            continue
        bar, reported = bar or _progress(job, place), now
        rate = (len(partial) - resumed) / now
        left = max(0.0, (job.steps / job.every - len(partial)) / rate)
        told = f"Step {snapshot.step} of at most {job.steps}, {rate:.1f} steps/s, {left:.0f} s left"
        bar.progress(min(1.0, snapshot.step / max(1, job.steps)), told)
    place.empty()
    return True


def _progress(job: Job, place: DeltaGenerator) -> DeltaGenerator:
    row = place.container(horizontal=True, vertical_alignment="bottom")
    bar = row.progress(0.0, "Working")
    row.button("Stop", on_click=_stop, args=(job.id, True), key=f"stop-{job.id}")
    return bar


def _offer_to_go_on(job: Job, count: int) -> None:
    row = st.container(horizontal=True, vertical_alignment="center")
    row.markdown(f"Stopped after step {count - 1} of at most {job.steps}.")
    row.button("Go on", on_click=_stop, args=(job.id, False), key=f"resume-{job.id}")


def keep(trace: Trace) -> Trace:
    """Remember the trace as the last good one of this page."""
    st.session_state[_KEPT] = state.page(), trace
    return trace


def kept() -> Trace | None:
    """The last good trace of this page, to stay on screen beside an error."""
    page, trace = st.session_state.get(_KEPT, ("", None))
    return trace if page == state.page() else None


def afresh(id: str) -> None:
    """Start at the first frame when a control has asked for another job; a link brings its own position."""
    was = st.session_state.get(_ASKED)
    st.session_state[_ASKED] = now = (state.generation(), id)
    if was is not None and was[0] == now[0] and was[1] != id:
        state.place(state.POSITION, "")
        state.turn()
        st.session_state[_ASKED] = (state.generation(), id)


def _stop(id: str, stopped: bool) -> None:
    st.session_state[f"lvmviz.stop.{id}"] = stopped
