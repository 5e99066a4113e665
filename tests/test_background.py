"""A long job on a page: submitted once, told of, watched, obeyed, found again, and nobody else's."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from lvmviz import EM, Blobs, Job, Stored, own_data, run
from lvmviz.runs import engine, queue
from lvmviz.runs.execute import execute
from lvmviz.runs.run import MissingRun, Run
from lvmviz.runs.store import Store, run_id
from lvmviz.tables import read_table
from lvmviz.ui import background, ticker, watchers
from lvmviz.ui.player import _frame
from lvmviz.ui.state import LAST
from tests.test_live import live_module, same, sound

JOB = Job(EM(data=Blobs(points=60)), steps=40, seed=3)
FLAT_OUT = Job(EM(data=Blobs(points=20_000), components=8, tolerance=0.0), steps=20_000)  # minutes
DEADLINE_S = 60


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of the test's own, where everything counts as long and no engine comes of itself."""
    monkeypatch.setenv("LVMVIZ_HOME", str(tmp_path))
    monkeypatch.setattr("lvmviz.runs.job.LONG", 0.0)
    monkeypatch.setattr("lvmviz.runs.attempt.OBEY_S", 0.0)
    monkeypatch.setattr(engine, "ensure", lambda base=None: None)
    monkeypatch.setattr(background, "TOGETHER_S", -60.0)
    background._snapshots.clear()
    background._glance.clear()
    ticker._looked.clear()
    return tmp_path


def showing() -> None:
    import streamlit as st

    from lvmviz import ui
    from lvmviz.ui import state

    def draw() -> None:
        try:
            trace = ui.keep(ui.live(st.session_state["job"]))
            st.session_state["trace"] = trace
            st.session_state["grows"] = trace is not None and ui.growing(trace)
            st.session_state["at"] = state.placed(state.POSITION)
        except (ValueError, LookupError, OSError) as fault:
            ui.failed(str(fault))

    ui.page("a page", "A page", "It shows a trace.", draw)


def opened(job: Job = JOB, **link: str) -> AppTest:
    app = AppTest.from_function(showing, default_timeout=60)
    app.session_state["job"] = job
    for name, value in link.items():
        app.query_params[name] = value
    return sound(app.run())


def asks(app: AppTest) -> list[dict[str, Any]]:
    """What makes the browser ask again: a poll has a time, the page itself only listens."""
    parts = [part.proto for part in app.get("bidi_component")]
    return [json.loads(p.json) for p in parts if p.component_name == "lvmviz_ticker"]


def polls(app: AppTest) -> list[float]:
    return [data["after_ms"] for data in asks(app) if "after_ms" in data]


def words(app: AppTest) -> str:
    """All that is said, without what keeps it from being taken for Markdown."""
    said = [*app.markdown, *app.error, *app.caption, *app.warning]
    return " ".join(one.value for one in said).replace("\\", "").replace("\u2060", "")


def press(app: AppTest, label: str) -> AppTest:
    (button,) = [button for button in app.button if button.label == label]
    return sound(button.click().run())


def labels(app: AppTest) -> list[str]:
    return [b.label for b in app.button if b.label in ("Pause", "Resume", "Stop", "Stop it", "Let it go on")]


def after(count: int) -> Callable[[], bool]:
    """A graceful end at this question, of which there is one a step."""
    left = iter(range(count))
    return lambda: next(left, None) is None


def until(what: Callable[[], Any], why: str) -> None:
    end = time.monotonic() + DEADLINE_S
    while not what():
        assert time.monotonic() < end, why
        time.sleep(0.01)


@pytest.fixture
def running() -> Iterator[Callable[[Job], Run]]:
    """Works at a job in a thread until the test is over."""
    over, threads = threading.Event(), []

    def begin(job: Job) -> Run:
        run = Store().open(job.id)
        threads.append(threading.Thread(target=execute, args=(job, run.path, over.is_set)))
        threads[-1].start()
        until(lambda: run.status().state == "running" and run.trace().steps, "it never began")
        return run

    yield begin
    over.set()
    for thread in threads:
        thread.join()


# ---- from the first word to the last ----


def test_a_long_job_waits_in_the_queue_and_the_page_says_so():
    app = opened()
    assert queue.waiting() == [JOB.id] and app.session_state["trace"] is None
    assert "gets ready" in words(app) and "The picture comes with the first step" in words(app)
    assert labels(app) == ["Stop"] and len(polls(app)) == 1
    sound(app.run())
    assert queue.waiting() == [JOB.id], "it is submitted once"
    assert [one.id for one in Store().runs()] == [JOB.id]


def test_a_finished_run_is_the_same_trace_and_nothing_polls():
    app = opened()
    assert execute(JOB, Store().open(JOB.id).path) == "finished"
    for seen in (sound(app.run()), opened()):
        assert same(seen.session_state["trace"], run(JOB))
        assert asks(seen) == [] and labels(seen) == [] and not seen.session_state["grows"]
    assert queue.waiting() == []


def test_who_waits_is_told_how_many_are_before(monkeypatch):
    monkeypatch.setattr(engine, "about", lambda base=None: {"pid": 1})
    first, second = opened(), opened(Job(JOB.algorithm, steps=40, seed=4))
    assert "it is the next" in words(first) and "1 run is before it" in words(second)
    assert "2 runs are before it" in words(opened(Job(JOB.algorithm, steps=40, seed=5)))


def test_polling_slows_down_while_nothing_happens():
    app = opened()
    waits = polls(app)
    for _ in range(8):
        waits += polls(sound(app.run()))
    assert waits[0] == 250 and waits == sorted(waits) and waits[-1] == 2000
    assert waits[1] > 250


def test_the_more_look_the_less_often_each_does(monkeypatch):
    """Together they ask a bounded number of times; who looks no more counts no more."""
    monkeypatch.setattr(ticker, "LOOKS", 4)
    monkeypatch.setattr(ticker, "DRAWS", 2)
    monkeypatch.setattr(ticker, "RECENT_S", 1e9)
    apps = [opened() for _ in range(6)]
    told = [{name: value for data in asks(app) for name, value in data.items()} for app in apps]
    assert [data["after_ms"] for data in told] == [250, 500, 750, 1000, 1250, 1500]
    assert [data["apart_ms"] for data in told] == [500, 1000, 1500, 2000, 2500, 3000]
    monkeypatch.setattr(ticker, "RECENT_S", 0.0)
    assert polls(sound(apps[0].run()))[0] < 500


def test_an_interrupted_run_says_why_keeps_its_pictures_and_goes_on():
    app = opened()
    made = Store().open(JOB.id)
    assert execute(JOB, made.path, after(7)) == "interrupted"
    sound(app.run())
    shown = app.session_state["trace"]
    assert 1 < len(shown) < len(run(JOB)) and same(shown, run(JOB)[: len(shown)])
    assert "The app was closed at step" in words(app) and "Resume it" in words(app)
    assert labels(app) == ["Resume"] and polls(app) == []
    press(app, "Resume")
    assert queue.waiting() == [JOB.id] and len(polls(app)) == 1
    assert same(app.session_state["trace"], shown), "what was there stays while it waits"
    execute(JOB, made.path)
    assert same(sound(app.run()).session_state["trace"], run(JOB))


def test_a_failed_run_says_its_cause():
    job = Job(EM(data=Blobs(points=3), components=9), steps=2)
    app = opened(job)
    assert execute(job, Store().open(job.id).path) == "failed"
    sound(app.run())
    assert "3 points cannot start 9 components" in app.error[0].value and polls(app) == []
    assert labels(app) == ["Resume"] and app.session_state["trace"] is None
    assert "Traceback" not in words(app)


def test_the_last_picture_stays_until_the_next_has_one():
    app = opened()
    execute(JOB, Store().open(JOB.id).path)
    before = sound(app.run()).session_state["trace"]
    app.session_state["job"] = Job(JOB.algorithm, steps=40, seed=9)
    sound(app.run())
    assert app.session_state["trace"] is before
    assert "The picture comes" not in words(app)


def test_all_who_watch_see_the_same_for_a_moment(running, monkeypatch):
    opened(FLAT_OUT)
    made = running(FLAT_OUT)
    until(lambda: len(made.trace()) > 1, "it has told nothing")
    monkeypatch.setattr(background, "TOGETHER_S", 3600.0)
    first = opened(FLAT_OUT).session_state["trace"].steps
    until(lambda: len(made.trace()) > len(first), "it does not go on")
    assert opened(FLAT_OUT).session_state["trace"].steps == first
    made.control("stop")
    until(lambda: made.status().state == "stopped", "the stop was not obeyed")
    assert opened(FLAT_OUT).session_state["trace"].steps == made.trace().steps != first


# ---- obeyed ----


def test_pause_resume_and_stop_are_obeyed(running):
    app = opened(FLAT_OUT)
    made = running(FLAT_OUT)
    sound(app.run())
    assert labels(app) == ["Pause", "Stop"] and app.session_state["grows"] and len(polls(app)) == 1
    (progress,) = app.get("progress")
    assert "of at most 20000" in progress.proto.text and 0 <= progress.proto.value < 100
    press(app, "Pause")
    until(lambda: made.status().state == "paused" and not made.busy, "the pause was not obeyed")
    assert labels(sound(app.run())) == ["Resume", "Stop"] and polls(app) == []
    at = made.status().step
    assert f"Paused at step {at} of at most 20000" in words(app)
    press(app, "Resume")
    assert made.queued
    running(FLAT_OUT)
    press(sound(app.run()), "Stop")
    until(lambda: made.status().state == "stopped" and not made.busy, "the stop was not obeyed")
    assert made.status().step >= at and labels(sound(app.run())) == ["Resume"]


def test_a_run_that_waits_is_stopped_by_leaving_the_queue():
    app = press(opened(), "Stop")
    assert queue.waiting() == [] and "Stopped at step 0" in words(app) and polls(app) == []


def test_stopping_asks_while_somebody_else_is_watching(running):
    app, other = opened(FLAT_OUT), opened(FLAT_OUT)
    made = running(FLAT_OUT)
    assert len(list((made.path / "watchers").iterdir())) == 2
    press(sound(app.run()), "Stop")
    assert "Somebody else is watching" in words(app) and made.status().state == "running"
    press(app, "Let it go on")
    assert "Somebody else" not in words(app) and made.status().state == "running"
    press(press(app, "Stop"), "Stop it")
    until(lambda: made.status().state == "stopped", "the stop was not obeyed")
    assert "Stopped at step" in words(sound(other.run())), "the other page says so"


def test_who_looked_long_ago_is_not_asked_about(running):
    import os

    app, _ = opened(FLAT_OUT), opened(FLAT_OUT)
    made = running(FLAT_OUT)
    for mark in (made.path / "watchers").iterdir():
        os.utime(mark, (time.time() - watchers.RECENT_S - 1,) * 2)
    press(sound(app.run()), "Stop")
    until(lambda: made.status().state == "stopped", "it asked about somebody who had gone")


def test_nobody_is_watching_a_run_without_a_folder_for_it(tmp_path):
    assert [age for _, age in watchers._ages(tmp_path / "nowhere")] == []


# ---- asked for in passing, deleted, found again ----


def test_what_was_asked_for_in_passing_leaves_the_queue():
    app = opened()
    for seed in (4, 5):
        app.session_state["job"] = last = Job(JOB.algorithm, steps=40, seed=seed)
        sound(app.run())
    assert queue.waiting() == [last.id] and [one.id for one in Store().runs()] == [last.id]
    app.session_state["job"] = JOB
    assert queue.waiting() != [JOB.id] and sound(app.run()) and queue.waiting() == [JOB.id]


def test_what_somebody_else_waits_for_too_stays():
    app = opened()
    opened()
    app.session_state["job"] = Job(JOB.algorithm, steps=40, seed=4)
    sound(app.run())
    assert queue.waiting()[0] == JOB.id and len(queue.waiting()) == 2


def test_what_was_begun_stays_though_nobody_looks():
    app = opened()
    made = Store().open(JOB.id)
    execute(JOB, made.path, after(5))
    press(sound(app.run()), "Resume")
    app.session_state["job"] = Job(JOB.algorithm, steps=40, seed=4)
    sound(app.run())
    assert JOB.id in queue.waiting()


def test_a_deleted_run_is_not_begun_again_by_who_still_looks():
    app = opened()
    execute(JOB, Store().open(JOB.id).path)
    sound(app.run())
    Store().open(JOB.id).delete()
    sound(app.run())
    assert app.session_state["trace"] is None and "was deleted" in words(app) and queue.waiting() == []
    press(app, "Start it again")
    assert queue.waiting() == [JOB.id]


def test_a_damaged_snapshot_is_told_of_and_the_rest_is_shown():
    app = opened()
    made = Store().open(JOB.id)
    execute(JOB, made.path)
    path = sorted((made.path / "snapshots").iterdir())[2]
    path.write_bytes(path.read_bytes()[:-9])
    trace = sound(app.run()).session_state["trace"]
    whole = run(JOB)
    assert trace.steps == [one.step for one in whole if one.step != 2] and "damaged" in words(app)
    assert same(trace, [one for one in whole if one.step != 2])


# ---- the position in a trace that grows ----


def moves() -> None:
    import streamlit as st

    from lvmviz import Job, Trace
    from lvmviz.runs.job import Snapshot
    from lvmviz.ui import background, state

    state.enter()
    state.begin("moves")
    asked: Job = st.session_state["job"]
    trace = Trace(asked, [Snapshot(step, None, None) for step in st.session_state["steps"]])
    background.follow(trace, st.session_state["grows"])
    st.session_state["at"] = state.placed(state.POSITION)
    state.finish()
    st.button("go", on_click=lambda: state.place(state.POSITION, st.session_state["to"]))


def walk(app: AppTest, steps: list[int], grows: bool = True, to: str | None = None) -> str:
    app.session_state["steps"], app.session_state["grows"] = steps, grows
    if to is not None:
        app.session_state["to"] = to
        sound(app.button[0].click().run())
    return sound(app.run()).session_state["at"]


def mover(job: Job = JOB, **link: str) -> AppTest:
    app = AppTest.from_function(moves)
    app.session_state["job"] = job
    for name, value in link.items():
        app.query_params[name] = value
    return app


def test_who_stands_at_the_end_is_taken_along():
    app = mover()
    assert walk(app, [0]) == LAST and walk(app, [0, 1, 2]) == LAST
    assert walk(app, [0, 1, 2], grows=False) == LAST
    assert app.query_params["step"] == LAST


def test_who_looks_at_a_step_stays_there_when_others_come_and_go():
    app = mover()
    walk(app, [0, 1, 2, 3])
    assert walk(app, [0, 1, 2, 3], to="2") == "2"
    assert walk(app, [0, 1, 2, 3, 4]) == "2"
    assert walk(app, [0, 2, 4, 6]) == "2", "the link names the step, not the frame"
    assert walk(app, [0, 4, 8]) == "2", "step 2 is gone and may come again"


def test_the_frame_of_a_step_is_its_own_or_the_last_before_it():
    assert [_frame(step, [0, 4, 8], 3) for step in (0, 3, 4, 7, 8, 9, 10**9)] == [0, 0, 1, 1, 2, 2, 2]
    assert [_frame(step, (), 3) for step in (0, 1, 2, 3, 10**9)] == [0, 1, 2, 2, 2]


def test_a_link_to_a_step_of_a_running_trace_opens_there():
    assert walk(mover(step="1"), [0, 1, 2]) == "1"
    assert walk(mover(), [0, 1, 2], grows=False) == ""


# ---- whose it is ----


def test_a_run_on_own_data_is_one_for_each_owner():
    digest = own_data.put(read_table("a,b\n1,2\n3,1\n5,5\n7,3\n"))
    job = Job(EM(data=Stored(digest=digest), components=1), steps=4)
    one, other = opened(job), opened(job)
    assert len(list(Store().path.iterdir())) == 2
    assert Store().runs() == [] and job.id not in [path.name for path in Store().path.iterdir()]
    owners = {Run(path).owner for path in Store().path.iterdir()}
    assert len(owners) == 2 and "" not in owners
    for app in (one, other):
        assert "gets ready" in words(sound(app.run()))
    with pytest.raises(MissingRun):
        Store().open(job.id)
    assert {run_id(job, who) for who in owners} == {path.name for path in Store().path.iterdir()}


# ---- without an engine ----


def test_without_an_engine_it_is_computed_here_when_that_can_be_borne(monkeypatch):
    monkeypatch.setenv("LVMVIZ_ENGINE", "off")
    monkeypatch.setattr(live_module, "LONG", 1e12)
    app = opened()
    assert same(app.session_state["trace"], run(JOB)) and asks(app) == []
    assert "switched off" in words(app) and "computed here" in words(app) and Store().runs() == []
    monkeypatch.setattr(live_module, "LONG", 1.0)
    app = opened()
    assert "switched off" in app.error[0].value and "trace" not in app.session_state


def test_without_an_engine_a_finished_run_is_found(monkeypatch):
    execute(JOB, Store().create(JOB).path)
    monkeypatch.setenv("LVMVIZ_ENGINE", "off")
    monkeypatch.setattr(live_module, "LONG", 1.0)
    assert same(opened().session_state["trace"], run(JOB))


def test_an_engine_that_cannot_start_is_told_of_and_done_without(place, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setenv("LVMVIZ_HOME", str(place))
    monkeypatch.setenv("LVMVIZ_PRELOAD", "there_is_no_such_module")
    monkeypatch.setattr("lvmviz.runs.job.LONG", 0.0)
    try:
        app = opened()
        until(lambda: engine.fault(), "the engine's end was not noticed")
        sound(app.run())
        assert "could not start" in words(app) and "there_is_no_such_module" in words(app)
        press(app, "Compute it here")
        assert same(app.session_state["trace"], run(JOB)) and queue.waiting() == []
    finally:
        engine.leave()


# ---- the key of a browser ----


def served(headers: list[tuple[bytes, bytes]], scheme: str = "http", method: str = "GET") -> list[str]:
    """The cookies that a browser with these headers is given."""
    import asyncio

    async def page(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x", b"y")]})
        await send({"type": "http.response.body", "body": b"<html>"})

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request"}

    scope = {"type": "http", "method": method, "scheme": scheme, "path": "/mixtures", "headers": headers}
    asyncio.run(owner_module().BrowserKey(page)(scope, receive, send))
    assert sent[1]["body"] == b"<html>" and (b"x", b"y") in sent[0]["headers"]
    return [value.decode() for name, value in sent[0]["headers"] if name == b"set-cookie"]


def owner_module() -> Any:
    import importlib

    return importlib.import_module("lvmviz.ui.owner")


HTML = (b"accept", b"text/html,application/xhtml+xml")


def test_a_browser_gets_a_key_that_no_script_and_no_other_site_can_use():
    (cookie,) = served([HTML])
    name, *rules = cookie.split("; ")
    assert name.startswith("lvmviz_key=") and len(name.partition("=")[2]) >= 43
    assert set(rules) == {"Path=/", "Max-Age=31536000", "HttpOnly", "SameSite=Lax"}
    assert served([HTML])[0].split("; ")[0] != name
    assert "Secure" in served([HTML], scheme="https")[0].split("; ")


def test_a_browser_keeps_its_key_and_what_is_no_page_gives_none():
    for cookie in (b"lvmviz_key=abc", b"_xsrf=2|a|b; lvmviz_key=abc"):
        assert served([HTML, (b"cookie", cookie)]) == []
    assert served([(b"accept", b"*/*")]) == [] and served([HTML], method="POST") == []
    assert len(served([HTML, (b"cookie", b"lvmviz_key=")])) == 1
    assert len(served([HTML, (b"cookie", b"other=1")])) == 1
