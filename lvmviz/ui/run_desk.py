"""What can be done with runs: open, pin, delete, export, import; and the room they take."""

from __future__ import annotations

import time
from collections.abc import Sequence

import streamlit as st

from lvmviz import __version__
from lvmviz.runs import bundle
from lvmviz.runs.job import WORKER_THREADS, Job
from lvmviz.runs.run import Run, RunBusy
from lvmviz.runs.status import Status
from lvmviz.runs.store import LIMIT, Store, size_of
from lvmviz.ui import background, frame, run_numbers, run_words, runs, state, watchers
from lvmviz.ui.code import code, script
from lvmviz.ui.doors import go
from lvmviz.ui.owner import owner

_DELETE, _TAKEN, _FAULT = "lvmviz.runs.delete", "lvmviz.runs.taken", "lvmviz.runs.fault"
_FILE = "lvmviz.runs.file"
RECENT = 4  # runs on the Start page
NAMED = 27  # characters of such a run


# ---- one run ----


def desk(run: Run, status: Status) -> None:
    """How it goes, why it does not, and what can be done about it."""
    watchers.watch(run)
    with st.container(key=f"strip_{run.id}", gap="xsmall"):
        st.markdown(run_words.spoken(status, run_words.before(run)))
        if status.active or status.state == "paused":
            st.progress(min(1.0, status.step / max(1, status.steps)))
        st.markdown(f":gray[{_facts(run, status)}]")
        with st.container(key=f"row_{run.id}", horizontal=True, gap="xsmall"):
            _open(run)
            background.buttons(run, status)
            _keep(run)
            _export(run, status)
            _delete(run, status)
        if st.session_state.get(_DELETE) == run.id and not status.active:
            _ask(run)
        background.trouble(run, status)
        for note in status.notes:
            st.markdown(f":gray[{frame.plain(note)}]")


def _facts(run: Run, status: Status) -> str:
    said = [run_words.held(status), f"{size_of(run.path) / 1e6:.1f} MB on disk"]
    said += [f"attempt {status.attempt}"] if status.attempt > 1 else []
    said += ["yours alone"] if run.owner else []
    said += ["imported"] if run.imported else []
    return frame.plain(" · ".join(filter(None, said)))


def _open(run: Run) -> None:
    where = runs.page_of(run.job)
    help = "The page that shows it, with all its settings" if where else "No page can show these settings"
    if st.button("Open", key=f"open_{run.id}", disabled=where is None, help=help) and where is not None:
        go(*where)


def _keep(run: Run) -> None:
    pinned = run.pinned
    help = "It may go when room is needed" if pinned else "Never let it go for want of room"
    background.button("Unpin" if pinned else "Pin", run, lambda: run.pin(not pinned), "pin", help)


def _export(run: Run, status: Status) -> None:
    with st.popover("Export"):
        st.download_button("The run (zip)", lambda: bundle.export(run), file_name=f"lvmviz-{run.id}.zip",
                           mime="application/zip", on_click="ignore", key=f"export_{run.id}")  # fmt: skip
        if status.state in ("failed", "interrupted"):
            st.download_button("Report: versions, status, log", lambda: bundle.failure(run),
                               file_name=f"lvmviz-{run.id}-report.zip", mime="application/zip",
                               on_click="ignore", key=f"report_{run.id}")  # fmt: skip


def _delete(run: Run, status: Status) -> None:
    help = "Stop it first" if status.active else "Remove it with all it computed"
    st.button("Delete", key=f"delete_{run.id}", disabled=status.active, help=help,
              on_click=st.session_state.update, args=({_DELETE: run.id},))  # fmt: skip


def _ask(run: Run) -> None:
    others = watchers.others(run)
    also = f" {others} more {'is' if others == 1 else 'are'} looking at it." if others else ""
    st.markdown(f"**Delete it with all it computed?**{also}")
    with st.container(key=f"ask_{run.id}", horizontal=True, gap="xsmall"):
        background.button("Delete it", run, lambda: _deleted(run), "sure")
        background.button("Cancel", run, lambda: st.session_state.pop(_DELETE), "cancel")


def _deleted(run: Run) -> None:
    st.session_state.pop(_DELETE)
    try:
        run.delete()
    except FileNotFoundError:
        return  # somebody was faster
    except RunBusy:
        raise RunBusy("It runs again: stop it first.") from None
    state.place(runs.RUN, "")


def settings_and_log(run: Run) -> None:
    """The Python lines that make it, and what a developer wants to know."""
    frame.head("made", "Made by", _promise(run))
    code(_lines(run.job))
    with st.expander("Log, for a developer"):
        st.code(run.log() or "Nothing yet.", language=None, height=200)


def _promise(run: Run) -> str:
    """How far the lines give what is shown."""
    if run.imported:
        return "these lines compute it here; its own numbers were computed elsewhere"
    if run.version != __version__ or run.job.device != "cpu":
        return f"these lines compute it again, with lvmviz {__version__}"
    return "these lines give the same numbers, to the bit on this computer"


def _lines(job: Job) -> str:
    """In one thread, as workers compute: with others a sum has other last bits."""
    imports, _, rest = script(job, "trace[-1].info").partition("\n\n")
    return f"import torch\n{imports}\n\ntorch.set_num_threads({WORKER_THREADS})\n{rest}"


# ---- all of them ----


def storage() -> None:
    """The room that all runs take, and their limit."""
    used = Store().used()
    st.progress(min(1.0, used / LIMIT), f"{used / 1e9:.2f} of {LIMIT / 1e9:.0f} GB used")
    st.caption("When it is full, the runs opened longest ago go first; never one that is pinned.")


def importing() -> None:
    """A run from a zip that was exported here or elsewhere."""
    with st.popover("Import a run", icon=":material/upload:", width="stretch", key=_popover()):
        st.file_uploader("Zip of a run", type="zip", key=_FILE, on_change=_take, max_upload_size=600)
        if fault := st.session_state.get(_FAULT):
            frame.failed(fault)


def _popover() -> str:
    """A new run is a new popover, and that one is closed."""
    return f"import_{st.session_state.get(_TAKEN, '')}"


def _take() -> None:
    file = st.session_state[_FILE]
    st.session_state[_FAULT] = None
    if file is None:
        return
    try:
        run = bundle.load(Store(), file.getvalue(), owner())
    except (ValueError, LookupError, OSError) as fault:
        st.session_state[_FAULT] = str(fault)
        return
    st.session_state[_TAKEN] = run.id
    state.place(runs.RUN, run.id)


def recent() -> None:
    """The newest runs with a link each, for the Start page; nothing where there are none."""
    found: Sequence[runs.Listed] = runs.mine()[:RECENT]
    if not found:
        return
    frame.head("runs", "Runs")
    with st.container(key="recent", gap=None):
        for run, status in found:
            begun = time.strftime("%H:%M", time.localtime(run.created))
            label = frame.plain(f"{run_numbers.named(run.job, NAMED)} ({_short(status)}, {begun})")
            told = frame.plain(run_numbers.settings(run.job))
            if st.button(label, key=f"recent_{run.id}", type="tertiary", help=told or None):
                go("runs", {runs.RUN: run.id, "v": state.VERSION})


def _short(status: Status) -> str:
    share = f" {100 * status.step / max(1, status.steps):.0f} %" if status.state == "running" else ""
    return status.state + share
