"""From a job to its trace: short work is done here and now, long work in the background, by one call."""

from __future__ import annotations

import time

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from lvmviz.runs import engine
from lvmviz.runs.execute import snapshots
from lvmviz.runs.job import LONG, Job, Snapshot, Trace
from lvmviz.ui import background, frame, state, words

PATIENCE = 0.4  # seconds without a word; then progress is shown
LONG_S, BEARABLE_S = 2.0, 60.0  # what is long takes so many seconds; what is waited for where no engine works
_KEPT, _ASKED = "lvmviz.kept", "lvmviz.asked"
_PARTIAL = "lvmviz.partial"  # what a stopped or interrupted job had computed, by its id


@st.cache_resource(max_entries=64, show_spinner=False)
def _finished(id: str) -> dict[str, Trace]:
    """A place for the trace of this job, shared by everyone who asks for it."""
    return {}


def live(job: Job, growing: int = 0) -> Trace | None:
    """The trace of a job as far as it is; None where there is nothing to show yet, which the page then says.

    Short work is computed here, with progress, an estimate and a stop; long work in the background, with a
    strip that tells how it goes. The page draws itself again when there is more; of a run that goes on there
    are about `growing` snapshots, if that is not 0.
    Raises ValueError, with a sentence for the person, when the job cannot start.
    """
    with st.container(
        key="live"
    ):  # whatever stands in it, what the page draws below keeps its place and stays in view
        if not job.long or background.here(job):
            return _inline(job)
        return _watched(job, growing) if engine.wanted() else _without_engine(job)


def _watched(job: Job, growing: int) -> Trace | None:
    run = background.run_of(job)
    if run is None:
        box = frame.empty("The run of these settings was deleted.", name="deleted")
        box.button("Start it again", on_click=background.again, args=(job,), key=f"again_{job.id}")
        return None
    status = run.status()
    shown = background.told(run, status)  # before it is read: what comes meanwhile is drawn next
    if status.state != "finished":
        background.drawn(run, shown)
        background.strip(run)
    trace = background.trace_of(run, status.active, growing)
    background.follow(trace, status.active)
    return trace if len(trace) else _nothing_yet(status.active)


def _nothing_yet(active: bool) -> Trace | None:
    """The last frame, faint, or an empty box."""
    last = kept()
    if active:
        st.container(key="working")  # the style sheet makes the pictures of its stage faint
    if last is None:
        frame.empty("The picture comes with the first step." if active else "It has no picture yet.",
                    name="working")  # fmt: skip
    return last


def _without_engine(job: Job) -> Trace | None:
    """Computed here when that can be borne, as work in the background is switched off."""
    run = background.finished_run(job)
    if run is not None:
        return background.trace_of(run)
    seconds = LONG_S * job.steps * job.algorithm.effort() / LONG
    off = "Work in the background is switched off (LVMVIZ_ENGINE=off)"
    if seconds > BEARABLE_S:
        raise ValueError(
            f"{off}, and this may take {words.duration(seconds)}: "
            "switch it on, or choose fewer points or fewer steps"
        )
    st.caption(f"{off}: this is computed here, in {words.duration(seconds)} at most.")
    return _inline(job)


def _inline(job: Job) -> Trace:
    """The trace of a job: kept, or computed now; a stopped one keeps what it had until it goes on."""
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


def keep(trace: Trace | None) -> Trace | None:
    """Remember the trace, where there is one, as the last good one of this page."""
    if trace is not None:
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
