"""From a job to its trace: short work is done here and now, long work in the background, by one call."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.runtime.scriptrunner_utils.script_requests import ScriptRequestType
from streamlit.runtime.scriptrunner_utils.script_run_context import ThreadState, get_script_run_ctx

from lvmviz.core import Algorithm
from lvmviz.runs import engine
from lvmviz.runs.execute import snapshots
from lvmviz.runs.job import LONG, Job, Snapshot, Trace
from lvmviz.ui import background, frame, run_words, state

Piece = TypeVar("Piece")
PATIENCE = 0.4  # seconds without a word; then progress is shown
LONG_S, BEARABLE_S = 2.0, 60.0  # what is long takes so many seconds; what is waited for where no engine works
MOST_PACES = 4096  # jobs whose pace is remembered
LOW = 146  # px, a box where a second job's picture will be
_KEPT, _ASKED = "lvmviz.kept", "lvmviz.asked"
_PARTIAL = "lvmviz.partial"  # what a stopped or interrupted job had computed, by its id


class Pace(NamedTuple):
    """How fast a job's steps were taken, and on what."""

    rate: float  # steps/s; 0 where nobody knows
    device: str


@st.cache_resource(max_entries=64, show_spinner=False)
def _finished(id: str) -> dict[str, Trace]:
    """A place for the trace of this job, shared by everyone who asks for it."""
    return {}


@st.cache_resource(show_spinner=False)
def _paces() -> dict[str, Pace]:
    """How fast the jobs went, by their ids."""
    return {}


def pace(job: Job) -> Pace:
    """How fast this job's steps were or are taken here."""
    return _paces().get(job.id, Pace(0.0, job.device))


def live(job: Job, growing: int = 0, beside: str = "") -> Trace | None:
    """The trace of a job as far as it is; None where there is nothing to show yet, which the page then says.

    Short work is computed here, with progress, an estimate and a stop; long work in the background, with a
    strip that tells how it goes. The page draws itself again when there is more; of a run that goes on there
    are about `growing` snapshots, if that is not 0. `beside` names the place of a second job on the page: its
    trace has no player and is no last frame for others.
    Raises ValueError, with a sentence for the person, when the job cannot start.
    """
    with st.container(
        key=f"live_{beside}" if beside else "live"
    ):  # whatever stands in it, what the page draws below keeps its place and stays in view
        if not job.long or background.here(job):
            return _inline(job)
        return _watched(job, growing, beside) if engine.wanted() else _without_engine(job)


def in_the_page(job: Job) -> Trace:
    """The trace of a job that no other process can do: computed here, with progress and a stop.

    Raises ValueError where that would take longer than anybody waits, or when the job cannot start.
    """
    seconds = _seconds(job)
    if seconds > BEARABLE_S:
        raise ValueError(
            f"This cannot run in the background, and here it may take {run_words.duration(seconds)}: "
            "take fewer starts or fewer steps"
        )
    with st.container(key="live"):
        return _inline(job)


def _seconds(job: Job) -> float:
    """How long a job may take on one core."""
    return LONG_S * job.steps * job.algorithm.effort() / LONG


def _watched(job: Job, growing: int, beside: str) -> Trace | None:
    run = background.run_of(job, beside)
    if run is None:
        gone = "The run of these settings was deleted."
        box = frame.empty(gone, name=f"deleted{beside}", height=LOW if beside else 318)
        box.button("Start it again", on_click=background.again, args=(job,), key=f"again_{job.id}")
        return None
    status = run.status()
    _keep_pace(job, Pace(status.rate, status.device or job.device))
    shown = background.told(run, status)  # before it is read: what comes meanwhile is drawn next
    if status.state != "finished":
        background.drawn(run, shown)
        background.strip(run)
    trace = background.trace_of(run, status.active, growing)
    if beside:
        return trace if len(trace) else _soon(beside)
    background.follow(trace, status.active)
    return trace if len(trace) else _nothing_yet(job, status.active)


def _soon(beside: str) -> None:
    frame.empty("The picture comes with the first step.", name=f"soon_{beside}", height=LOW)


def _nothing_yet(job: Job, active: bool) -> Trace | None:
    """The last frame, faint, or an empty box."""
    last = kept(type(job.algorithm))
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
    seconds = _seconds(job)
    off = "Work in the background is switched off (LVMVIZ_ENGINE=off)"
    if seconds > BEARABLE_S:
        raise ValueError(
            f"{off}, and this may take {run_words.duration(seconds)}: "
            "switch it on, or choose fewer points or fewer steps"
        )
    st.caption(f"{off}: this is computed here, in {run_words.duration(seconds)} at most.")
    return _inline(job)


def _inline(job: Job) -> Trace:
    """The trace of a job: kept, or computed now; a stopped one keeps what it had until it goes on."""
    place = _finished(job.id)
    if "trace" in place:
        return place["trace"]
    partial: list[Snapshot] = st.session_state.setdefault(_PARTIAL, {}).setdefault(job.id, [])
    if st.session_state.get(f"lvmviz.stop.{job.id}") and partial:
        _offer_to_go_on(job.id, f"Stopped after step {len(partial) - 1} of at most {job.steps}.")
        return Trace(job, partial)
    if _compute(job, partial):
        place["trace"] = Trace(job, partial)
        del st.session_state[_PARTIAL][job.id]
    return Trace(job, partial)


def _compute(job: Job, partial: list[Snapshot]) -> bool:
    """Add the missing snapshots to `partial`; at a progress report a click or a control ends that for now."""
    begun, resumed, reported = time.monotonic(), len(partial), 0.0
    first = partial[-1].step if partial else 0
    place = st.empty()
    bar = None
    for snapshot in snapshots(job, partial[-1] if partial else None):
        partial.append(snapshot)
        now = time.monotonic() - begun
        if now < PATIENCE or now - reported < 0.2:
            continue
        if _asked_meanwhile():
            place.empty()
            return False
        bar, reported = bar or _progress(job.id, place), now
        rate = (len(partial) - resumed) / now
        left = max(0.0, (job.steps / job.every - len(partial)) / rate)
        told = f"Step {snapshot.step} of at most {job.steps}, {rate:.1f} steps/s, {left:.0f} s left"
        bar.progress(min(1.0, snapshot.step / max(1, job.steps)), told)
    place.empty()
    rate = (partial[-1].step - first) / max(time.monotonic() - begun, 1e-9)
    _keep_pace(job, Pace(rate, job.device))
    return True


def _asked_meanwhile() -> bool:
    """Whether the page is to run again, as somebody has stopped the work or moved a control.

    Streamlit lets the run of a fragment end before it looks at that, so the work has to look itself.
    """
    context = get_script_run_ctx(suppress_warning=True)
    pending = None if context is None else context.script_requests
    if pending is None or pending._state is not ScriptRequestType.RERUN:
        return False
    asked = pending._rerun_data.fragment_id_queue  # a strip that looks again asks for itself alone
    return not asked or ThreadState.get().fragment_id in asked


def _keep_pace(job: Job, pace: Pace) -> None:
    paces = _paces()
    if len(paces) >= MOST_PACES:
        paces.clear()
    if pace.rate:
        paces[job.id] = pace


def _progress(id: str, place: DeltaGenerator) -> DeltaGenerator:
    row = place.container(horizontal=True, vertical_alignment="bottom")
    bar = row.progress(0.0, "Working")
    row.button("Stop", on_click=_stop, args=(id, True), key=f"stop-{id}")
    return bar


def _offer_to_go_on(id: str, sentence: str) -> None:
    row = st.container(horizontal=True, vertical_alignment="center")
    row.markdown(sentence)
    row.button("Go on", on_click=_stop, args=(id, False), key=f"resume-{id}")


def piece_by_piece(id: str, pieces: Sequence[Callable[[], Piece]], what: str) -> list[Piece]:
    """What the pieces of some work give, computed here with progress, an estimate and a stop.

    Fewer where somebody stopped it or moved a control: what is done is kept until it goes on.
    """
    done: list[Piece] = st.session_state.setdefault(_PARTIAL, {}).setdefault(id, [])
    if st.session_state.get(f"lvmviz.stop.{id}") and 0 < len(done) < len(pieces):
        _offer_to_go_on(id, f"Stopped after {len(done)} of {len(pieces)} {what}.")
        return done
    place, bar, first, begun, reported = st.empty(), None, len(done), time.monotonic(), -1.0
    while len(done) < len(pieces):
        done.append(pieces[len(done)]())
        now = time.monotonic() - begun
        if now < PATIENCE or now - reported < 0.2 or len(done) == len(pieces):
            continue
        if _asked_meanwhile():
            place.empty()
            return done
        bar, reported = bar or _progress(id, place), now
        left = now * (len(pieces) - len(done)) / (len(done) - first)
        bar.progress(len(done) / len(pieces), f"{len(done)} of {len(pieces)} {what}, {left:.0f} s left")
    place.empty()
    return st.session_state[_PARTIAL].pop(id)


def keep(trace: Trace | None) -> Trace | None:
    """Remember the trace, where there is one, as the last good one of this page."""
    if trace is not None:
        st.session_state[_KEPT] = state.page(), trace
    return trace


def kept(method: type[Algorithm] = Algorithm) -> Trace | None:
    """The last good trace of this page, to stay on screen beside an error, if it is one of this method."""
    page, trace = st.session_state.get(_KEPT, ("", None))
    mine = trace is not None and page == state.page() and isinstance(trace.job.algorithm, method)
    return trace if mine else None


def afresh(id: str, at_end: bool = False) -> None:
    """Start at the first frame when a control has asked for another job; a link brings its own position.

    `at_end`: at the last one, where what is there is what a page is about; also when it is opened.
    """
    was = st.session_state.get(_ASKED)
    st.session_state[_ASKED] = now = (state.generation(), id)
    another = was is not None and was[0] == now[0] and was[1] != id
    opened = at_end and (was is None or was[0] != now[0]) and not state.placed(state.POSITION)
    if another or opened:
        state.place(state.POSITION, state.LAST if at_end else "")
    if another:
        state.turn()
        st.session_state[_ASKED] = (state.generation(), id)


def _stop(id: str, stopped: bool) -> None:
    st.session_state[f"lvmviz.stop.{id}"] = stopped
