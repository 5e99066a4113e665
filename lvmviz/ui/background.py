"""A job in the background as its page shows it: the trace so far, and a strip that says how it goes."""

from __future__ import annotations

import bisect
import contextlib
import math
import time
from collections.abc import Callable, Sequence

import streamlit as st

from lvmviz.runs import engine, handle, record
from lvmviz.runs.codec import size
from lvmviz.runs.files import unchanged
from lvmviz.runs.job import Job, Snapshot, Trace
from lvmviz.runs.run import MissingRun, Run, RunBusy
from lvmviz.runs.status import Status
from lvmviz.runs.store import Store, run_id
from lvmviz.runs.trace import StoredTrace, steps_kept
from lvmviz.ui import frame, run_words, state, ticker, watchers
from lvmviz.ui.owner import owner

CACHE = 64_000_000  # bytes of a run's states that are kept in memory, so that each is read once
TOGETHER_S, LONGER_S = 0.2, 0.006  # so long all who watch a run see the same; where several do, longer
_KNOWN, _SHOWN, _FAULT = "lvmviz.background.known", "lvmviz.background.shown", "lvmviz.background.fault"
_CONFIRM, _HERE, _MINE = "lvmviz.background.confirm", "lvmviz.background.here", "lvmviz.background.mine"
_GROWS, _TOLD = "lvmviz.background.grows", "lvmviz.background.told"


# ---- the run of a job ----


def run_of(job: Job, beside: str = "") -> Run | None:
    """The run of a job, begun where nobody has; None where it was deleted while this session looked at it.

    `beside` names the place of a second run on a page, beside the page's own.
    """
    known: set[str] = st.session_state.setdefault(_KNOWN, set())
    id = run_id(job, owner())
    withdraw_all_but(id, beside)
    try:
        run = Store().open(id)
    except MissingRun:
        if id in known:
            return None
        run = _begin(job, beside)
    known.add(id)
    return run


def finished_run(job: Job) -> Run | None:
    """The run of a job if there is one with nothing left to do."""
    with contextlib.suppress(MissingRun):
        run = Store().open(run_id(job, owner()))
        return run if run.status().state == "finished" else None
    return None


def begun(job: Job) -> bool:
    """Whether there is a run of a job, or what it would show is computed in the page."""
    with contextlib.suppress(MissingRun):
        return bool(Store().open(run_id(job, owner())))
    return here(job)


def _begin(job: Job, beside: str) -> Run:
    run = Store().open(handle.submit(job, owner()).id)
    st.session_state.setdefault(_MINE + beside, set()).add(run.id)
    return run


def withdraw_all_but(id: str, beside: str = "") -> None:
    """Take back what this session asked for in passing, as long as nobody has begun it or looks at it."""
    mine: set[str] = st.session_state.get(_MINE + beside, set())
    for other in mine - {id}:
        mine.discard(other)
        with contextlib.suppress(MissingRun, RunBusy, OSError):
            run = Store().open(other)
            if run.queued and not run.status().attempt and not watchers.others(run):
                run.delete()
                st.session_state[_KNOWN].discard(other)


def again(job: Job) -> None:
    """Start a deleted run anew; for the button that offers it."""
    st.session_state[_KNOWN].discard(run_id(job, owner()))


# ---- its trace ----


def trace_of(run: Run, active: bool = False, most: int = 0) -> Trace:
    """The snapshots so far; each is read once where they are small.

    Of a run that goes on there are about `most`, if that is not 0: what is drawn so often must not grow.
    """
    steps = _steps(run, active)
    if active and most:
        steps = in_view(steps, run.job.every, most, state.position())
    stored = StoredTrace(run.job, run.path, steps)
    trace = _read(run, stored)
    for note in stored.notes:
        frame.note(frame.plain(note))
    return trace


def recorded(run: Run) -> bool:
    """Whether a run has a snapshot yet."""
    return bool(steps_kept(run.path))


def growing(trace: Trace) -> bool:
    """Whether snapshots are still added to the trace that is on screen."""
    return st.session_state.get(_GROWS) == trace.job.id


def _steps(run: Run, active: bool) -> list[int]:
    """The steps whose snapshots are there.

    All who watch a run that goes on see the same for a moment: what is drawn for one serves the others.
    """
    if not active:
        return steps_kept(run.path)
    place, now = _glance(str(run.path)), time.monotonic()
    at, steps = place.get("seen", (-math.inf, []))
    longer = LONGER_S * len(steps) * (ticker.crowd() > 1)  # the more snapshots, the dearer a drawing
    if now - at > TOGETHER_S + longer or not steps:  # the first is not waited for
        steps = steps_kept(run.path)
        place["seen"] = now, steps
    return steps


def in_view(steps: Sequence[int], every: int, most: int, at: int = -1) -> list[int]:
    """Of many steps the first, the newest, and of those between some, evenly: about `most` in all.

    As a run grows, what has left the view stays out, and what is in it changes seldom but at its end; but the
    step that somebody stands `at` is there, with the one before it and the one after.
    """
    half = most // 2
    if len(steps) <= most:
        return list(steps)
    apart = every * record.spacing(steps[-1] // every, half // 2)
    newest = bisect.bisect_left(steps, steps[-half] // apart * apart)
    first, here = (most // 4) * every, (at - every, at, at + every)
    # each with the one before it, so that E and M stay together
    some = [step for step in steps[:newest] if -step % apart in (0, every) or step <= first or step in here]
    return some + list(steps[newest:])


@st.cache_resource(max_entries=64, show_spinner=False)
def _glance(path: str) -> dict[str, tuple[float, list[int]]]:
    """When somebody last looked at a run that goes on, and what there was."""
    return {}


@st.cache_resource(max_entries=16, show_spinner=False)
def _snapshots(path: str) -> dict[int, Snapshot]:
    """The snapshots of a run that were read, by their step."""
    return {}


def _read(run: Run, stored: StoredTrace) -> Trace:
    steps = stored.steps
    if not steps or len(steps) * size(stored[-1].state) > CACHE:
        return stored
    known = _snapshots(str(run.path))
    for at, step in enumerate(steps):
        if step not in known and (one := stored[at]).step == step:  # else it is damaged, or was thinned out
            known[step] = one
    for step in set(known) - set(steps):
        known.pop(step, None)
    return Trace(run.job, [known[step] for step in steps if step in known])


def follow(trace: Trace, growing: bool) -> None:
    """Take along who first sees a trace that grows: the position is its last frame, then and later."""
    id = trace.job.id
    st.session_state[_GROWS] = id if growing else ""
    if not len(trace):
        return
    was = st.session_state.get(_SHOWN, "")
    st.session_state[_SHOWN] = id
    if was != id and growing and not state.placed(state.POSITION):
        state.place(state.POSITION, state.LAST)


def told(run: Run, status: Status) -> str:
    """What there is to show of a run: another text where there is something new."""
    steps = _steps(run, status.active)
    return f"{run.id} {status.state} {len(steps)} {steps[-1] if steps else ''}"


# ---- the strip ----


@st.fragment
def strip(run: Run) -> None:
    """How it goes, and what can be done about it; looks again by itself while something may happen."""
    watchers.watch(run)
    status = run.status()
    told_now = told(run, status)
    with st.container(key=f"strip_{run.id}", gap="xsmall"):
        _progress(run, status)
        trouble(run, status)
        if st.session_state.get(_CONFIRM) == run.id and status.active:
            _ask(run)
        for note in status.notes:
            st.markdown(f":gray[{frame.plain(note)}]")
    if status.active or told_now != st.session_state.get(_TOLD, {}).get(run.id):
        ticker.poll(run.id, (status.state, status.step, told_now), told_now)


def drawn(run: Run, shown: str) -> None:
    """Remember what the page shows of the run, and draw it again when there is more."""
    st.session_state.setdefault(_TOLD, {})[run.id] = shown
    ticker.fresh(run.id, shown)


def _progress(run: Run, status: Status) -> None:
    with st.container(key=f"row_{run.id}", horizontal=True, vertical_alignment="center", gap="small"):
        if status.state == "running":
            share = status.step / max(1, status.steps)
            st.progress(
                min(1.0, share), f"{run_words.spoken(status)} :gray[{frame.plain(run_words.held(status))}]"
            )
        else:
            ready = status.state != "queued" or engine.about(run.home)
            getting_ready = "The engine gets ready: that takes some seconds."
            st.markdown(
                run_words.spoken(status, run_words.before(run)) if ready else getting_ready, width="stretch"
            )
        buttons(run, status)


def trouble(run: Run, status: Status) -> None:
    """What went wrong, and the remedy."""
    fault = st.session_state.pop(_FAULT, "")
    if fault:
        frame.failed(fault)
    if status.state in ("failed", "interrupted", "unreadable"):
        frame.failed(status.cause, status.remedy)
    why = engine.fault(run.home) if status.state == "queued" else ""
    if why:
        frame.failed(why, "Mend that, or do without.")
        st.button("Compute it here", key=f"here_{run.id}", on_click=_compute_here, args=(run,))


def _ask(run: Run) -> None:
    count = watchers.others(run)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        who = "Somebody else is" if count == 1 else f"{count} others are"
        st.markdown(f"**{who} watching this run.** Stop it for everyone?", width="content")
        button("Stop it", run, lambda: _stop(run, sure=True), "sure")
        button("Let it go on", run, lambda: st.session_state.pop(_CONFIRM, None), "keep")


def buttons(run: Run, status: Status) -> None:
    """Pause, resume, stop: what the state allows."""
    if run.ended:
        return
    if status.state == "running":
        button("Pause", run, lambda: run.control("pause"), "pause", "Let it rest, with a checkpoint")
    if status.state in ("paused", "stopped", "failed", "interrupted"):
        button("Resume", run, lambda: handle.start(run), "resume", "Go on from the last checkpoint")
    if status.state in ("running", "queued", "paused"):
        button("Stop", run, lambda: _stop(run), "stop", "End it; what it has is kept")


def button(label: str, run: Run, do: Callable[[], object], name: str, help: str = "") -> None:
    """A button that does something to a run; what goes wrong is told in a sentence."""
    key = f"{name}_{run.id}"
    st.button(label, key=key, on_click=_attempt, args=(do,), help=help or None, type="secondary")


def _attempt(do: Callable[[], object]) -> None:
    try:
        do()
    except (OSError, LookupError, RuntimeError, ValueError) as error:
        st.session_state[_FAULT] = unchanged(error)


def _stop(run: Run, sure: bool = False) -> None:
    """Stop it; where somebody else is watching, ask first."""
    if not sure and watchers.others(run):
        st.session_state[_CONFIRM] = run.id
        return
    st.session_state.pop(_CONFIRM, None)
    run.control("stop")


def _compute_here(run: Run) -> None:
    st.session_state.setdefault(_HERE, set()).add(run.id)
    _attempt(lambda: run.control("stop"))


def here(job: Job) -> bool:
    """Whether somebody wants it computed in the page, as no engine can."""
    return run_id(job, owner()) in st.session_state.get(_HERE, ())
