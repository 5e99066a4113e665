"""From a job to its trace on a page: kept, stopped, gone on with, and refused with a sentence."""

import dataclasses
import importlib
import time
from typing import Any, NamedTuple

import pytest
import torch
from streamlit.testing.v1 import AppTest

from lvmviz import EM, Blobs, Job, Trace, run
from lvmviz.core import Algorithm
from lvmviz.runs import execute
from lvmviz.runs.job import Snapshot
from tests.widgets import sound

live_module = importlib.import_module("lvmviz.ui.live")  # the package gives this name to its function


def counts(trace: Any) -> list[int]:
    return [snapshot.step for snapshot in trace]


def same(one: Any, other: Any) -> bool:
    """Equal to the bit: states, numbers and steps."""
    return len(one) == len(other) and all(
        a.step == b.step and a.info == b.info and all(map(equal, leaves(a.state), leaves(b.state)))
        for a, b in zip(one, other, strict=True)
    )


def leaves(state: Any) -> list[torch.Tensor]:
    return [leaf for part in state for leaf in (leaves(part) if isinstance(part, tuple) else [part])]


def equal(a: torch.Tensor, b: torch.Tensor) -> bool:
    return a.dtype == b.dtype and torch.equal(a, b)


def showing() -> None:
    import streamlit as st

    from lvmviz import ui

    try:
        trace = ui.live(st.session_state["job"])
        st.session_state["trace"], st.session_state["id"] = trace, id(trace)
    except ValueError as fault:
        ui.failed(str(fault))


def opened(job: Job, **session: Any) -> AppTest:
    app = AppTest.from_function(showing, default_timeout=60)
    app.session_state["job"] = job
    for name, value in session.items():
        app.session_state[name] = value
    return sound(app.run())


@pytest.fixture(autouse=True)
def nothing_kept() -> None:
    live_module._finished.clear()


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The step of every snapshot that was computed, in order."""
    steps: list[int] = []

    def counted(job: Job, after: Snapshot | None = None) -> Any:
        for snapshot in execute.snapshots(job, after):
            steps.append(snapshot.step)
            yield snapshot

    monkeypatch.setattr(live_module, "snapshots", counted)
    return steps


def job(seed: int = 0, **choice: Any) -> Job:
    return Job(EM(data=Blobs(points=60), **choice), steps=12, seed=seed)


def stopped(asked: Job, count: int) -> dict[str, Any]:
    """The session after Stop was pressed when so many snapshots were there."""
    partial = {asked.id: list(run(asked)[:count])}
    return {live_module._PARTIAL: partial, f"lvmviz.stop.{asked.id}": True}


# ---- kept ----


def test_short_work_is_done_here_and_now():
    app = opened(job())
    assert isinstance(app.session_state["trace"], Trace) and app.session_state["trace"].job == job()
    assert same(app.session_state["trace"], run(job()))
    assert not app.button and not app.markdown


def test_a_trace_is_kept_between_runs_and_sessions(computed):
    app = opened(job())
    steps = list(computed)
    assert steps == counts(run(job()))
    first = sound(app.run()).session_state["id"]
    assert sound(app.run()).session_state["id"] == first
    assert opened(job()).session_state["id"] == first
    assert computed == steps, "nothing is computed twice"


def test_another_job_is_another_trace(computed):
    first = sound(opened(job()).run()).session_state["id"]
    app = opened(job())
    for other in (job(seed=1), job(components=2), dataclasses.replace(job(), steps=4)):
        app.session_state["job"] = other
        assert same(sound(app.run()).session_state["trace"], run(other))
    app.session_state["job"] = job()
    assert sound(app.run()).session_state["id"] == first


def test_what_was_partial_is_forgotten_when_it_is_whole():
    app = opened(job())
    assert app.session_state[live_module._PARTIAL] == {}


# ---- stopped ----


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_stopped_job_keeps_what_it_had_and_goes_on_to_the_same_bits(count, computed):
    app = opened(job(), **stopped(job(), count))
    assert same(app.session_state["trace"], run(job())[:count]) and computed == []
    assert "Stopped" in app.markdown[0].value and f"{count - 1} of at most 12" in app.markdown[0].value
    assert [button.label for button in app.button] == ["Go on"]
    sound(app.run())
    assert len(app.session_state["trace"]) == count, "nothing goes on by itself"
    sound(app.button[0].click().run())
    assert same(app.session_state["trace"], run(job()))
    assert computed == counts(run(job()))[count:], "what was there is not computed again"
    assert not app.button and not app.markdown
    assert same(opened(job()).session_state["trace"], run(job())), "and it is kept for everyone"


def test_a_partial_trace_is_nobody_elses():
    asked = job()
    opened(asked, **stopped(asked, 3))
    assert same(opened(asked).session_state["trace"], run(asked))


def test_stopping_one_job_stops_no_other():
    app = opened(job(), **stopped(job(), 3))
    app.session_state["job"] = job(seed=1)
    assert same(sound(app.run()).session_state["trace"], run(job(seed=1)))
    app.session_state["job"] = job()
    assert len(sound(app.run()).session_state["trace"]) == 3


def test_a_job_stopped_before_it_had_anything_starts():
    app = opened(job(), **{f"lvmviz.stop.{job().id}": True})
    assert same(app.session_state["trace"], run(job()))


def test_an_interrupted_run_takes_up_where_it_was(computed):
    """Streamlit breaks off a run by an exception of its own, wherever the script then is."""
    asked = job()
    app = opened(asked, **{live_module._PARTIAL: {asked.id: list(run(asked)[:4])}})
    assert same(app.session_state["trace"], run(asked)) and computed == counts(run(asked))[4:]


# ---- progress ----


def test_long_work_shows_progress_that_goes_when_it_is_done(monkeypatch):
    told: list[str] = []
    progress = live_module._progress

    def listened(asked: Job, place: Any) -> Any:
        bar = progress(asked, place)
        report = bar.progress
        monkeypatch.setattr(bar, "progress", lambda share, text: (told.append(text), report(share, text)))
        return bar

    monkeypatch.setattr(live_module, "PATIENCE", 0.0)
    monkeypatch.setattr(live_module, "_progress", listened)
    clock = iter(range(10**6))
    monkeypatch.setattr(live_module.time, "monotonic", lambda: float(next(clock)))
    app = opened(job())
    whole = len(run(job()))
    assert len(told) == whole
    assert told[0].startswith("Step 0 of at most 12, 1.0 steps/s, 11 s left")
    assert not app.button and same(app.session_state["trace"], run(job()))


# ---- refused ----


class Counted(NamedTuple):
    n: torch.Tensor


class Told(NamedTuple):
    n: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Falling(Algorithm):
    """Counts until it falls; no registered choice, so that no menu shows it."""

    at: int = 0

    def init(self, key: int) -> tuple[Counted, Told]:
        return self._told(0)

    def step(self, key: int, state: Counted) -> tuple[Counted, Told]:
        return self._told(int(state.n) + 1)

    def finished(self, state: Counted, info: Told) -> bool:
        return False

    def _told(self, n: int) -> tuple[Counted, Told]:
        if n == self.at:
            raise ValueError(f"step {n} fell: start *anew*")
        return Counted(torch.tensor(n)), Told(n)


@pytest.mark.parametrize("at", [0, 3])
def test_an_algorithm_that_cannot_go_on_gives_its_sentence(at):
    app = opened(Job(Falling(at=at), steps=5))
    for _ in range(2):
        (error,) = app.error
        told = error.value.replace("\\", "").replace("\u2060", "")
        assert told == f"**step {at} fell:** start *anew*"
        assert "trace" not in app.session_state
        sound(app.run())


def test_a_start_that_is_impossible_gives_its_sentence():
    app = opened(Job(EM(data=Blobs(points=3), components=9), steps=2))
    assert "cannot start 9 components" in app.error[0].value


def test_registering_nothing():
    assert "Falling" not in Algorithm.options


def test_the_pace_of_what_was_computed_here_is_known():
    asked, other = job(seed=77), job(seed=78)
    begun = time.monotonic()
    opened(asked)
    slowest = 12 / (time.monotonic() - begun)
    pace = live_module.pace(asked)
    assert pace.rate >= slowest and pace.device == "cpu"
    assert live_module.pace(other).rate == 0.0
    opened(asked)  # kept: nothing is computed, and the pace is what it was
    assert live_module.pace(asked) == pace


def working() -> None:
    import streamlit as st

    from lvmviz.ui.live import piece_by_piece

    asked = st.session_state.setdefault("asked", [])
    pieces = [lambda k=k: (asked.append(k), 10 * k)[1] for k in range(4)]
    st.session_state["done"] = list(piece_by_piece("work", pieces, "pieces"))


def test_work_in_pieces_stops_and_goes_on_where_it_was(monkeypatch):
    app = AppTest.from_function(working, default_timeout=60)
    monkeypatch.setattr(live_module, "PATIENCE", -1.0)
    monkeypatch.setattr(live_module, "_asked_meanwhile", lambda: True)
    assert sound(app.run()).session_state["done"] == [0]
    app.session_state["lvmviz.stop.work"] = True
    monkeypatch.setattr(live_module, "_asked_meanwhile", lambda: False)
    assert sound(app.run()).session_state["done"] == [0]
    assert "Stopped after 1 of 4 pieces." in app.markdown[0].value
    sound(app.button[0].click().run())
    assert app.session_state["done"] == [0, 10, 20, 30] and app.session_state["asked"] == [0, 1, 2, 3]
    assert not app.button and "lvmviz.partial" in app.session_state
