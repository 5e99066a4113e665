"""The reconciler, a pure function: what the files say and who lives, together, have one true state."""

import itertools

import pytest

from lvmviz import EM, Job
from lvmviz.runs import queue
from lvmviz.runs.run import Run
from lvmviz.runs.status import SILENT_S, Status, judge
from lvmviz.runs.store import Store

TOLD = {
    "state": "running", "step": 10, "steps": 100, "attempt": 2, "rate": 5.0, "device": "cpu", "elbo": -3.0,
    "memory_limit": 1_000_000_000, "updated": 99.0, "notes": ["A note."],
}  # fmt: skip
BEAT = {"attempt": 2, "beat": 7, "memory": 500_000_000, "step": 12}
ENDS = ["paused", "stopped", "finished", "failed", "interrupted"]


def of(told=TOLD, beat=BEAT, held=0, queued=False, alive=True, **more) -> Status:
    return judge(told, beat, steps=100, held=held, queued=queued, alive=alive, **more)


def test_a_running_run_tells_how_long_it_will_take():
    status = of(held=2)
    assert (status.state, status.step, status.left_s, status.elbo) == ("running", 12, 88 / 5.0, -3.0)
    assert status.active and status.cause == status.remedy == "" and status.notes == ("A note.",)
    assert of({**TOLD, "rate": 0.0}, held=2).left_s is None


@pytest.mark.parametrize("state", ENDS)
def test_what_an_attempt_told_at_its_end_holds_while_it_lets_go(state):
    assert of({**TOLD, "state": state, "cause": "why"}, held=2).state == state
    assert not of({**TOLD, "state": state}, held=2).active


@pytest.mark.parametrize("state", ENDS)
def test_a_new_attempt_runs_before_it_has_told_anything(state):
    told = {**TOLD, "state": state, "cause": "why", "remedy": "what"}
    status = of(told, held=3)
    assert (status.state, status.cause, status.remedy) == ("running", "", "")
    assert of(told, held=-1).state == "running"


def test_a_run_that_waits():
    assert of(None, None, queued=True)[:3] == ("queued", 0, 100)
    assert of(None, None, queued=True).notes == ()
    assert "engine" in of(None, None, queued=True, alive=False).notes[0]
    for state in ENDS:
        assert of({**TOLD, "state": state, "cause": "old"}, queued=True)[0:2] == ("queued", 12)
        assert of({**TOLD, "state": state, "cause": "old", "remedy": "old"}, queued=True).cause == ""


def test_a_dead_worker_is_interrupted_with_its_last_step_and_memory():
    status = of()
    assert status.state == "interrupted" and not status.active
    assert "step 12" in status.cause and "500 MB" in status.cause and "worker" in status.cause
    assert "Resume" in status.remedy
    assert "held" not in of(beat=None).cause


def test_a_dead_engine_is_told_apart():
    assert "engine was ended at step 12" in of(alive=False).cause


def test_out_of_memory_is_told_from_what_was_held_then():
    full = {**BEAT, "memory": 900_000_000}
    status = of(beat=full)
    assert status.state == "failed" and "900 MB of 1,000 MB" in status.cause and status.remedy
    assert of(beat={**full, "memory": 899_000_000}).state == "interrupted"
    assert of({**TOLD, "memory_limit": 0}, full).state == "interrupted"


def test_the_heartbeat_of_an_earlier_attempt_says_nothing():
    old = {**BEAT, "attempt": 1, "memory": 10**9, "step": 99}
    status = of(beat=old)
    assert (status.state, status.step, status.memory) == ("interrupted", 10, 0)


def test_a_silent_worker_is_told_of_and_still_runs():
    assert of(held=2, silent_s=SILENT_S - 0.1).notes == ("A note.",)
    status = of(held=2, silent_s=SILENT_S)
    assert status.state == "running" and "No word from the worker for 8 s" in status.notes[-1]


def test_orders_to_a_run_that_does_not_run():
    assert of({**TOLD, "state": "paused"}, control="stop").state == "stopped"
    assert of({**TOLD, "state": "paused"}, control="pause").state == "paused"
    assert of(None, None, control="stop").state == "stopped"
    assert of(None, None, control="pause").state == "paused"
    assert "not begun" in of(None, None).cause


def test_a_lost_status_falls_back_on_the_heartbeat():
    assert of(None, BEAT)[:2] == ("interrupted", 12)
    assert of(None, BEAT, held=2)[:2] == ("running", 12)
    assert of(None, BEAT, notes=("status.json is damaged",)).notes == ("status.json is damaged",)


@pytest.mark.parametrize("state", ["paused", "stopped", "failed", "interrupted"])
def test_everything_that_stands_still_has_a_remedy(state):
    assert of({**TOLD, "state": state}).remedy
    assert of({**TOLD, "state": state, "remedy": "Do this."}).remedy == "Do this."


def test_every_combination_has_a_state_and_no_clock_is_asked():
    states = {"queued", "running", *ENDS}
    for told, beat, held, queued, alive, word in itertools.product(
        [None, TOLD, *({**TOLD, "state": end} for end in ENDS)],
        [None, BEAT],
        [0, 2, 3, -1],
        [True, False],
        [True, False],
        ["run", "pause", "stop"],
    ):
        status = of(told, beat, held, queued, alive, control=word)
        assert status.state in states
        if told is not None:
            jumped = of({**told, "updated": -1e12}, beat, held, queued, alive, control=word)
            assert jumped._replace(updated=99.0) == status


def test_a_run_that_begins_while_it_is_looked_at_is_active(tmp_path, monkeypatch):
    """It takes the lease and leaves the queue between two readings: nobody may stop watching for that."""
    monkeypatch.setenv("LVMVIZ_HOME", str(tmp_path))
    made = Store().create(Job(EM(), steps=3))
    queue.enqueue(made)
    looks = []

    def holder(run: Run) -> int:
        looks.append(run)
        if len(looks) == 2:
            queue.remove(run.id, run.home)  # it has begun right after this look
        return 0

    monkeypatch.setattr(Run, "_holder", holder)
    assert made.status().active and len(looks) == 2 and not made.queued
