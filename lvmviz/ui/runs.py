"""The runs of this computer as a table; who may see which."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import streamlit as st

from lvmviz.algorithms.em import EM
from lvmviz.core import Algorithm, Knob
from lvmviz.datasets import Blobs
from lvmviz.runs.job import Job
from lvmviz.runs.run import MissingRun, Run
from lvmviz.runs.status import Status
from lvmviz.runs.store import Store, title
from lvmviz.ui import em_contests, evidence, frame, plane_link, run_numbers, site, state
from lvmviz.ui.code import spelled
from lvmviz.ui.controls import Controls
from lvmviz.ui.fit_link import URL, fit_link
from lvmviz.ui.links import link_of
from lvmviz.ui.owner import owner
from lvmviz.ui.run_numbers import settings
from lvmviz.ui.run_words import pace
from lvmviz.ui.table import Cell, Column, noted, picked, table

RUN, OTHER, SEARCH = "run", "compare", "search"  # their names in the link
STATES = ("all", "active", "queued", "running", "paused", "stopped", "finished", "failed", "interrupted")
COLUMNS = [
    Column("run", "left", wide=True),
    Column("state", "left"),
    Column("device", "left"),
    Column("step"),
    Column("steps/s"),
    Column("ELBO per\u00a0datum"),
    Column("begun"),
]
ROWS = 9
DEVICE = 12  # characters of its name
LARGE = link_of(EM(data=Blobs(points=1_000_000)))  # the link of what takes long
_ODD = (ValueError, TypeError, ArithmeticError, LookupError, AttributeError, OSError)  # of odd files


class Listed(NamedTuple):
    """A run and what it is doing."""

    run: Run
    status: Status


# ---- which there are ----


def mine() -> list[Listed]:
    """Every run that this browser may see, newest first."""
    return [Listed(run, status_of(run)) for run in Store().runs(owner())]


def status_of(run: Run) -> Status:
    """What it is doing; where its files tell what no run does, that."""
    try:
        return run.status()
    except _ODD as error:
        cause = f"What its files tell cannot be read ({error})."
        return Status("unreadable", steps=run.job.steps, cause=cause, remedy="Delete it.")


def find(id: str) -> Run:
    """The run of this name; raises MissingRun, also for one that is another person's."""
    run = Run(Store().path / id)
    if run.owner not in ("", owner()):  # the very words of a run that is not there
        raise MissingRun(f"The run {id} is not on this computer; start it again.")
    run.touch()
    return run


def chosen(name: str) -> Run | None:
    """The run that the link names so; where there is none, the page says so."""
    id = state.placed(name)
    if not id:
        return None
    try:
        return find(id)
    except MissingRun as missing:
        frame.note(frame.plain(str(missing)))
        return None


class Filter(NamedTuple):
    """What the controls let through."""

    state: str
    method: str
    words: tuple[str, ...]

    def passes(self, one: Listed) -> bool:
        text = f"{title(one.run.job)} {spelled(one.run.job.algorithm)} {one.run.id}".lower()
        state = self.state in ("all", one.status.state) or (self.state == "active" and one.status.active)
        method = self.method in ("all", type(one.run.job.algorithm).__name__)
        return state and method and all(word in text for word in self.words)


def filters(controls: Controls) -> Filter:
    """State, method and a search."""
    shown = controls.value("doing", str, "all", Knob(label="State", options=STATES))
    methods = ("all", *Algorithm.options)
    method = controls.value("method", str, "all", Knob(label="Method", options=methods))
    key = state.key(SEARCH)
    if key not in st.session_state:
        st.session_state[key] = state.linked(SEARCH) or ""
    words = controls.view.text_input("Search", key=key, placeholder="Blobs components=6", max_chars=200)
    state.holds(SEARCH, key, words)
    return Filter(shown, method, tuple(words.lower().split()))


def show_all() -> None:
    """Let every run through; what is picked stays so. For a button."""
    picks = {name: state.placed(name) for name in (RUN, OTHER)}
    state.open_link({name: id for name, id in picks.items() if id})


# ---- the table ----


def run_table(found: Sequence[Listed], selected: str) -> None:
    """A row a run; one that is picked is shown below."""
    table(
        "runs",
        COLUMNS,
        rows=[_row(one) for one in found],
        picks=[one.run.id for one in found],
        selected=selected,
        on_pick=_pick,
        alt="Runs: what, state, device, step, speed, ELBO, begun; a row can be picked with Enter",
        height=int((26 + 24 * ROWS) * frame.scale()),
    )


def _pick() -> None:
    id = picked("runs")
    state.place(RUN, "" if id == state.placed(RUN) else id)
    state.place(OTHER, "")


def _row(one: Listed) -> list[Cell]:
    """A run, or that it cannot be shown: one odd run leaves the others their rows."""
    try:
        return _told(one)
    except _ODD:
        return [
            noted(title(one.run.job), "its files tell what no run does: delete it"),
            "unreadable",
            *[""] * 5,
        ]


def _told(one: Listed) -> list[Cell]:
    run, status = one
    marks = [mark for mark, is_so in _marks(run) if is_so]
    return [
        noted(title(run.job), settings(run.job)),
        " · ".join([status.state, *marks]),
        status.device if len(status.device) <= DEVICE else f"{status.device[: DEVICE - 1]}…",
        f"{status.step} / {status.steps}",
        pace(status.rate) if status.state == "running" and status.rate else "",
        run_numbers.elbo(run, status.elbo),
        time.strftime("%d %b %H:%M", time.localtime(run.created)),
    ]


def _marks(run: Run) -> Iterator[tuple[str, bool]]:
    """What a list says of a run beside its state."""
    yield "yours alone", bool(run.owner)
    yield "imported", run.imported
    yield "pinned", run.pinned


# ---- its page ----


def page_of(job: Job) -> tuple[str, dict[str, str]] | None:
    """The address of the page that shows this very job, and its link; None where no page can ask for it."""
    if (link := fit_link(job)) is not None:
        return URL, link
    if (link := plane_link.plane_link(job)) is not None:
        return plane_link.URL, link
    if (link := em_contests.link(job)) is not None:
        return em_contests.URL, link
    if (link := evidence.link_to(job)) is not None:
        return evidence.URL, link
    name = type(job.algorithm).__name__
    page = next((page for page in site.pages() if name in page.shows), None)
    if page is None or job.steps % page.steps:
        return None
    rounds, seed = job.steps // page.steps, job.seed
    asked = Job(job.algorithm, steps=job.steps, seed=seed)
    if job != asked or not (_within(rounds, page.iterations) and _within(seed, page.seeds)):
        return None
    link = {**page.shows[name], **link_of(job.algorithm)}
    return page.url, {**link, "iterations": str(rounds), "seed": str(seed)}


def _within(value: int, bounds: tuple[int, int]) -> bool:
    return bounds[0] <= value <= bounds[1]


# ---- the one beside it ----


def other(listed: Sequence[Listed], run: Run) -> Run | None:
    """The run to compare with, chosen among those of the same kind of numbers."""
    same = [one.run for one in listed if one.run != run and run_numbers.alike(one.run.job, run.job)]
    names = {one.id: f"{title(one.job)} ({settings(one.job) or one.id})" for one in same}
    key = f"lvmviz.{OTHER}.{run.id}"
    ids = ["", *names]
    if st.session_state.get(key) not in ids:
        asked = state.placed(OTHER)
        st.session_state[key] = asked if asked in names else ""
    id = st.selectbox("Compare with", ids, ids.index(st.session_state[key]), key=key, width=220,
                      label_visibility="collapsed",
                      format_func=lambda id: names.get(id, "Compare with …"))  # fmt: skip
    state.place(OTHER, id)
    return chosen(OTHER)
