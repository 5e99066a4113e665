"""The loop into a folder: it records, thins, checkpoints, obeys, and survives whatever happens to it."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvmviz import VI, Job, run
from lvmviz.core import Algorithm
from lvmviz.own_data import StoreError
from lvmviz.runs import attempt, queue, record
from lvmviz.runs.codec import decode
from lvmviz.runs.execute import Leased, execute
from lvmviz.runs.files import Lock, held, unseal_lines
from lvmviz.runs.record import kept, most, spacing
from lvmviz.runs.run import Run
from lvmviz.runs.store import Store
from lvmviz.runs.trace import steps_kept
from tests.contracts.test_runs import Asked, files
from tests.walk import Walk, bits

ROOT = Path(__file__).parents[1]
DEADLINE_S = 90.0  # says that it never comes: children import torch, and other tests run beside
CHILD = """
import os, sys, signal, time
sys.path.insert(0, sys.argv[1])
import torch
torch.set_num_threads(1)
from lvmviz import *
from lvmviz.core import Algorithm
from lvmviz.runs.store import Store
from lvmviz.runs.execute import execute, Leased
from tests.walk import Walk
Algorithm.options["Walk"] = Walk
"""


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(Algorithm.options, "Walk", Walk)


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Run]:
    """Makes a run of a walk, in a home of the test's own."""

    def made(steps: int = 20, every: int = 1, **settings: object) -> Run:
        return Store(tmp_path).create(Job(Walk(**settings), steps=steps, every=every))  # type: ignore[arg-type]

    return made


def start_child(script: str, *args: object) -> subprocess.Popen:
    command = [sys.executable, "-W", "error", "-c", CHILD + script, str(ROOT), *map(str, args)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def until(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not what():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


def alongside(made: Run) -> tuple[threading.Thread, list[str]]:
    """Execute a run in another thread."""
    states: list[str] = []
    thread = threading.Thread(target=lambda: states.append(execute(made.job, made.path)))
    thread.start()
    return thread, states


# ---- which snapshots and lines stay ----


@given(st.integers(0, 5000), st.integers(2, 300))
def test_no_more_are_kept_than_allowed_and_evenly(index, at_most):
    gap = spacing(index, at_most)
    stay = range(0, index + 1, gap)
    assert len(stay) <= at_most and gap & (gap - 1) == 0
    assert gap == 1 or 2 * len(stay) >= at_most - 1  # and no fewer than half
    assert all(kept(at, at_most) for at in stay)  # each was written when it was the newest


@pytest.mark.parametrize(("steps", "every"), [(0, 1), (1, 1), (7, 3), (100, 1), (101, 7), (64, 64), (5, 10)])
def test_the_snapshots_are_those_the_rule_names(make, monkeypatch, steps, every):
    monkeypatch.setattr(record, "KEEP", 8)
    made = make(steps, every)
    assert execute(made.job, made.path) == "finished"
    memory = {one.step: one for one in run(made.job)}
    gap = every * spacing(-(-steps // every), 8)
    assert steps_kept(made.path) == sorted({*range(0, steps + 1, gap), steps})
    assert [bits(one) for one in made.trace()] == [bits(memory[step]) for step in steps_kept(made.path)]
    assert [row["step"] for row in made.metrics()] == sorted(memory)
    assert made.status().step == steps


def test_an_early_end_is_the_last_snapshot(make):
    made = make(100, every=5, end_at=12)
    assert execute(made.job, made.path) == "finished"
    assert steps_kept(made.path) == [0, 5, 10, 12] and made.metrics()[-1]["step"] == 12


def test_lines_are_bounded_too(make, monkeypatch):
    monkeypatch.setattr(record, "LINES", 16)
    made = make(100)
    execute(made.job, made.path)
    steps = [row["step"] for row in made.metrics()]
    assert steps == [step for step in range(101) if kept(step, 16)] + ([] if kept(100, 16) else [100])


def test_large_states_keep_few_snapshots():
    job = Job(Walk(size=1_000_000))
    state = job.algorithm.init(0)[0]
    large, room = most(job, state), record.ROOM
    assert large < record.KEEP and (large + 1) * 16e6 + 2 * 16e6 <= room + 16e6
    assert most(Job(Walk(size=1_000_000, small=True)), state) > large  # what is shown is smaller
    assert most(Job(Walk()), Walk().init(0)[0]) == record.KEEP
    assert most(Job(Walk(size=30_000_000 // 3)), Walk(size=10_000_000).init(0)[0]) >= 2


def test_what_is_shown_is_kept_and_the_rest_only_in_the_checkpoint(make):
    made = make(4, small=True)
    execute(made.job, made.path)
    memory = run(made.job)
    assert [bits(one.state) for one in made.trace()] == [
        bits((one.state.at,))[1] and bits(made.job.algorithm.shown(one.state)) for one in memory
    ]
    assert bits(decode((made.path / "checkpoint-0.safetensors").read_bytes())) == bits(memory[-1])
    assert not (made.path / "checkpoint-1.safetensors").exists()


# ---- orders ----


@pytest.mark.parametrize(("word", "state"), [("pause", "paused"), ("stop", "stopped")])
def test_an_order_is_obeyed_and_taken_back(make, word, state):
    made = make(10**6, pause_ms=1.0)
    thread, states = alongside(made)
    until(lambda: made.status().step >= 5)
    assert made.status().state == "running" and made.busy
    made.control(word)
    thread.join(DEADLINE_S)
    status = made.status()
    assert states == [state] and status.state == state and not made.busy
    step = status.step
    assert made.trace()[-1].step == step == made.metrics()[-1]["step"]
    made.control("run")
    thread, states = alongside(made)
    until(lambda: made.status().step > step + 5 and made.status().attempt == 2)
    made.control("stop")
    thread.join(DEADLINE_S)
    whole = run(Job(made.job.algorithm, steps=40))
    rows = made.metrics()
    assert [row["step"] for row in rows] == list(range(len(rows)))
    assert rows[:40] == whole.rows()[: len(rows)][:40]


def test_an_order_given_before_it_begins(make):
    made = make(10)
    queue.enqueue(made)
    made.control("stop")
    assert not made.queued
    assert execute(made.job, made.path) == "stopped" and made.metrics() == []
    made.control("run")
    assert execute(made.job, made.path) == "finished"


def test_an_order_taken_back_while_it_is_obeyed_goes_on(make, monkeypatch):
    """The one who resumes saw "running", so nobody else will go on with it."""
    monkeypatch.setattr(attempt, "OBEY_S", 0.0)
    made = make(20)
    words = iter(["run", "run", "pause", "run"])
    monkeypatch.setattr(attempt, "control_of", lambda path: next(words, "run"))
    assert execute(made.job, made.path) == "finished"
    assert made.status().attempt == 1 and [bits(one) for one in made.trace()] == [
        bits(o) for o in run(made.job)
    ]


def test_an_unknown_word_is_no_order(make):
    made = make(3)
    (made.path / "control").write_bytes(b"\xffpauze")
    assert execute(made.job, made.path) == "finished"
    with pytest.raises(ValueError, match="run, pause, stop"):
        made.control("halt")


def test_a_graceful_end_by_a_file(make, tmp_path):
    made, ending = make(10**6, pause_ms=1.0), tmp_path / "ending"
    threading.Timer(0.2, ending.touch).start()
    assert execute(made.job, made.path, ending) == "interrupted"
    status = made.status()
    assert status.cause == f"The app was closed at step {status.step}." and "Resume" in status.remedy
    good = [decode(path.read_bytes()).step for path in made.path.glob("checkpoint-*")]
    assert max(good) == status.step


# ---- who may ----


def test_only_one_executes(make):
    made = make(10**6, pause_ms=1.0)
    thread, states = alongside(made)
    until(lambda: made.busy)
    with pytest.raises(Leased, match="running already"):
        execute(made.job, made.path)
    made.control("stop")
    thread.join(DEADLINE_S)
    assert states == ["stopped"] and made.status().attempt == 1


def test_somebody_who_only_asks_keeps_nobody_out(make):
    made = make(5)
    asking = Lock(made.path / "lease", shared=True)
    assert asking.acquire()
    threading.Timer(0.2, asking.release).start()
    assert execute(made.job, made.path) == "finished"


def test_two_processes_and_one_run(make, tmp_path):
    made = make(10**6, pause_ms=1.0)
    script = """
run = Store(sys.argv[2]).open(sys.argv[3])
try:
    print(execute(run.job, run.path))
except Leased:
    print("leased")
"""
    children = [start_child(script, tmp_path, made.id) for _ in range(2)]
    until(lambda: sum(child.poll() is not None for child in children) == 1)
    made.control("stop")
    said = sorted(child.communicate(timeout=DEADLINE_S)[0].strip() for child in children)
    assert said == ["leased", "stopped"] and made.status().attempt == 1


def test_the_queue_is_left_only_with_the_lease(make):
    made = make(3)
    queue.enqueue(made)
    lease = Lock(made.path / "lease")
    with lease, pytest.raises(Leased):
        execute(made.job, made.path)
    assert made.queued
    execute(made.job, made.path)
    assert not made.queued


def test_a_folder_of_another_job_is_refused(make):
    made = make(3)
    with pytest.raises(ValueError, match="another job"):
        execute(Job(Walk(), steps=4), made.path)
    assert not held(made.path / "lease")


def test_a_folder_that_is_not_there_is_made(tmp_path):
    assert execute(Job(Walk(), steps=2), tmp_path / "0123456789abcdef") == "finished"
    assert Run(tmp_path / "0123456789abcdef").job == Job(Walk(), steps=2)


# ---- failures ----


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        ("ValueError", "the walk fell off: walk less"),
        ("LookupError", "the table is gone; upload it again"),
        ("ZeroDivisionError", "The run failed at step 6: ZeroDivisionError."),
        ("KeyError", "The run failed at step 6: KeyError."),
        ("MemoryError", "Memory ran out at step 6."),
        ("OutOfMemoryError", "Memory ran out at step 6."),
        ("ENOSPC", "The disk was full at step 6."),
        ("PermissionError", "The run's folder could not be written at step 6."),
    ],
)
def test_a_failure_is_a_sentence_and_goes_on_when_its_cause_is_gone(make, monkeypatch, error, cause):
    made = make(12, fail_at=7, error=error)
    assert execute(made.job, made.path) == "failed"
    status = made.status()
    assert (status.state, status.cause, status.step) == ("failed", cause, 6) and status.remedy
    assert "Traceback" in made.log() and "Traceback" not in str(status)
    assert [row["step"] for row in made.metrics()] == list(range(7)) and made.trace()[-1].step == 6
    assert not list(made.path.glob("*.part"))
    monkeypatch.setenv("WALK_ON", "1")
    assert execute(made.job, made.path) == "finished"
    assert [bits(one) for one in made.trace()] == [bits(one) for one in run(made.job)]
    assert made.status().cause == "" and made.status().attempt == 2


def test_a_job_that_cannot_start_says_so(make):
    made = make(fail_at=0)
    assert execute(made.job, made.path) == "failed"
    assert made.status().cause == "the walk fell off: walk less" and len(made.trace()) == 0


def test_an_interrupt_from_the_keyboard_keeps_everything(make):
    made = make(fail_at=5, error="KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        execute(made.job, made.path)
    assert made.status().state == "interrupted" and "step 4" in made.status().cause
    assert decode((made.path / "checkpoint-0.safetensors").read_bytes()).step == 4


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="set LVMVIZ_HOME"):
        execute(Job(Walk()), tmp_path / "file")
    with pytest.raises(StoreError, match="set LVMVIZ_HOME"):
        execute(Job(Walk()), Path("/proc/lvmviz"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_read_only_folder_is_told_and_can_be_read():
    with tempfile.TemporaryDirectory() as home:  # pytest's own folders are closed to others
        read_only(Store(home).create(Job(Walk(), steps=5)))


def read_only(made: Run) -> None:
    home = made.home
    execute(made.job, made.path)
    child = start_child(
        """
run = Store(sys.argv[2]).open(sys.argv[3])
os.setgroups([]), os.setgid(65534), os.setuid(65534)
for path in (run.path, run.path.parent, run.path.parent.parent):
    assert not os.access(path, os.W_OK)
print(run.status().state, len(run.trace()), len(run.metrics()))
try:
    execute(run.job, run.path)
except OSError as error:
    print(error)
""",
        home,
        made.id,
    )
    for path in (home, *home.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    out, err = child.communicate(timeout=DEADLINE_S)
    assert out.startswith("finished 6 6\n") and "set LVMVIZ_HOME" in out, err


def test_a_full_disk_is_told_and_loses_nothing(make, tmp_path):
    """The kernel stops every file at 30 kB, as a full disk would stop them all; then there is room again."""
    made = make(400)
    child = start_child(
        """
import resource
run = Store(sys.argv[2]).open(sys.argv[3])
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
print(execute(run.job, run.path))
status = run.status()
print(status.state, status.cause, status.remedy)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(execute(run.job, run.path))
""",
        tmp_path,
        made.id,
    )
    out, err = child.communicate(timeout=DEADLINE_S)
    assert out.splitlines()[0] == "failed", err
    assert "The disk was full at step" in out and "Free some space" in out and out.endswith("finished\n")
    execute(made.job, tmp_path / "whole")
    assert files(made.path) == files(tmp_path / "whole")


# ---- damage ----


def damaged(path: Path) -> Iterator[bytes]:
    content = path.read_bytes()
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 4
    yield from (b"", content[: len(content) // 2], content[:-1], bytes(flipped), b"\0" * len(content))


DAMAGEABLE = ["status.json", "heartbeat.json", "lease", "control", "log.txt", "metrics.jsonl", "job.json"]


def mended(made: Run) -> dict[str, bytes]:
    """What a run has computed, without what was put aside."""
    return {name: content for name, content in files(made.path).items() if "damaged" not in name}


@pytest.mark.parametrize("kind", range(5))
@pytest.mark.parametrize("both", [False, True])
def test_a_damaged_checkpoint_is_put_aside_and_the_other_used(make, tmp_path, monkeypatch, kind, both):
    monkeypatch.setattr(attempt, "OBEY_S", 0.0)
    made = make(20)
    for _ in range(2):
        assert execute(made.job, made.path, Asked(6)) == "interrupted"
    names = sorted(made.path.glob("checkpoint-?.safetensors"))
    assert [decode(name.read_bytes()).step for name in names] == [5, 11]
    for name in names if both else names[1:]:
        name.write_bytes(list(damaged(name))[kind])
    assert execute(made.job, made.path) == "finished"
    notes = " ".join(made.status().notes)
    assert "put aside as checkpoint-1.safetensors.damaged" in notes
    assert f"went on from {'the start' if both else 'step 5'}" in notes
    execute(made.job, tmp_path / "whole")
    assert {name: data for name, data in files(made.path).items() if "damaged" not in name} == files(
        tmp_path / "whole"
    )


@pytest.mark.parametrize("kind", range(5))
@pytest.mark.parametrize("name", DAMAGEABLE)
def test_any_damaged_file_is_survived(make, tmp_path, monkeypatch, name, kind):
    """And resuming mends everything but lines that were lost before the checkpoint."""
    monkeypatch.setattr(attempt, "OBEY_S", 0.0)
    made = make(20)
    made.control("run")
    execute(made.job, made.path, Asked(6))
    (made.path / name).write_bytes(list(damaged(made.path / name))[kind])
    status = made.status()
    assert status.state == "interrupted" and status.remedy
    if name in ("status.json", "heartbeat.json"):
        assert any(name in note for note in status.notes)
    assert len(made.trace()) == 6
    again = Store(tmp_path).create(made.job)
    assert again.path == made.path and execute(made.job, made.path) == "finished"
    execute(made.job, tmp_path / "whole")
    whole, ours = files(tmp_path / "whole"), files(made.path)
    if name == "metrics.jsonl":
        rows = list(unseal_lines(whole.pop(name)))
        assert all(row in rows for row in made.metrics()) and rows[6:] == made.metrics()[-15:]
        del ours[name]
    assert ours == whole


@pytest.mark.parametrize("kind", range(5))
def test_a_damaged_snapshot_is_put_aside_and_the_one_before_shown(make, kind):
    made = make(5)
    execute(made.job, made.path)
    path = made.path / "snapshots" / "00000003.safetensors"
    path.write_bytes(list(damaged(path))[kind])
    trace = made.trace()
    assert len(trace) == 6 and [one.step for one in trace] == [0, 1, 2, 2, 4, 5]
    assert trace.notes == (
        "00000003.safetensors is damaged and was put aside as 00000003.safetensors.damaged. "
        "The one before is shown.",
    )
    assert [one.step for one in made.trace()] == [0, 1, 2, 4, 5] and made.trace().notes == ()


def test_a_trace_without_a_whole_snapshot_says_so(make):
    made = make(1)
    execute(made.job, made.path)
    for path in (made.path / "snapshots").iterdir():
        path.write_bytes(b"")
    with pytest.raises(LookupError, match="No snapshot of the run"):
        made.trace()[-1]


def test_what_a_killed_attempt_was_writing_is_swept(make):
    made = make(3)
    parts = [
        made.path / f"{name}.x.part" for name in ("status", "heartbeat", "checkpoint-1", "snapshots/00000002")
    ]
    control = made.path / "control.x.part"  # somebody else is about to say a word
    for part in (*parts, control):
        part.write_bytes(b"half")
    execute(made.job, made.path)
    assert [part for part in parts if part.exists()] == [] and control.exists()


def test_a_jump_of_the_clock_matters_nowhere(make, monkeypatch, tmp_path):
    monkeypatch.setattr(attempt, "OBEY_S", 0.0)
    made, clock = make(20), random.Random(0)
    monkeypatch.setattr(time, "time", lambda: clock.uniform(-1e9, 1e10))
    while (state := execute(made.job, made.path, Asked(5))) == "interrupted":
        assert made.status().state == "interrupted"
    assert state == made.status().state == "finished"
    monkeypatch.undo()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(Algorithm.options, "Walk", Walk)
        execute(made.job, tmp_path / "whole")
    assert files(made.path) == files(tmp_path / "whole")


# ---- kill -9 ----

KILLED = """
store = Store(sys.argv[2])
for id in sys.stdin:  # one attempt a line, each in a process of its own, which has everything imported
    run = store.open(id.strip())
    child = os.fork()
    if child == 0:
        execute(run.job, run.path)
        os._exit(0)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def test_killed_at_random_moments_and_resumed_it_is_the_undisturbed_run(tmp_path):
    algorithms = [VI(tolerance=1e-12, starts=2), Walk(size=20_000, pause_ms=4.0)]
    runs = [Store(tmp_path).create(Job(algorithm, steps=400, every=3)) for algorithm in algorithms]
    command = [sys.executable, "-W", "error", "-c", CHILD + KILLED, str(ROOT), str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as zygote:
        codes = [killed(zygote, made) for made in runs]
    assert zygote.returncode == 0 and sum(codes, []).count(-signal.SIGKILL) >= 4
    for number, made in enumerate(runs):
        assert made.status().state == "finished" and made.status().attempt == len(codes[number])
        execute(made.job, tmp_path / f"whole{number}")
        assert files(made.path) == files(tmp_path / f"whole{number}")


def killed(zygote: subprocess.Popen, made: Run) -> list[int]:
    """How the attempts ended: the first few by kill -9, the last by itself."""
    assert zygote.stdin is not None and zygote.stdout is not None
    rng, codes, furthest = random.Random(), [], 0
    while not codes or codes[-1] != 0:
        zygote.stdin.write(f"{made.id}\n")
        zygote.stdin.flush()
        child = int(zygote.stdout.readline())
        if len(codes) < 4:
            until(lambda: made.status().attempt > len(codes))
            threading.Event().wait(rng.uniform(0.0, 0.4))  # a random moment, not a synchronisation
            with contextlib.suppress(ProcessLookupError):  # it had finished by then
                os.kill(child, signal.SIGKILL)
        codes.append(int(zygote.stdout.readline()))
        if codes[-1] != 0:
            status = made.status()
            assert status.state == "interrupted" and status.cause
            assert len(made.metrics()) >= furthest  # nothing that was recorded is lost
            furthest = len(made.metrics())
            assert all(one.step % 3 == 0 for one in made.trace()) and made.trace().notes == ()
    return codes


# ---- what is told last ----


@pytest.mark.parametrize("end", ["finished", "early", "paused", "interrupted", "failed", "keyboard"])
def test_the_numbers_told_at_the_end_are_those_of_its_last_step(make, monkeypatch, end):
    """However soon after the last word it ends: a status is told five times a second, a step takes less."""
    monkeypatch.setattr(attempt, "OBEY_S", 0.0)
    settings = {
        "early": {"end_at": 9},
        "failed": {"fail_at": 9},
        "keyboard": {"fail_at": 9, "error": "KeyboardInterrupt"},
    }
    made, asked = make(12, **settings.get(end, {})), iter(range(9))
    if end == "paused":
        monkeypatch.setattr(
            attempt, "control_of", lambda path: "run" if next(asked, None) is not None else "pause"
        )
    ending = (lambda: next(asked, None) is None) if end == "interrupted" else (lambda: False)
    monkeypatch.setattr(record, "TELL_S", 1e9)  # nothing is told on the way
    if end == "keyboard":
        with pytest.raises(KeyboardInterrupt):
            execute(made.job, made.path, ending)
    else:
        assert execute(made.job, made.path, ending) == ("finished" if end == "early" else end)
    status, last = made.status(), made.metrics()[-1]
    assert status.step == last["step"] > 5 and status.elbo == last["elbo"] == made.trace()[-1].info.elbo
    assert status.elbo != made.metrics()[0]["elbo"]


def test_a_run_resumed_at_its_end_still_tells_its_last_numbers(make):
    made = make(6)
    for _ in range(2):
        assert execute(made.job, made.path) == "finished"
        assert (made.status().step, made.status().elbo) == (6, made.metrics()[-1]["elbo"])


# ---- a line that was torn ----


@pytest.mark.parametrize("cut", [1, 9, -1])
def test_a_torn_line_costs_nothing_of_the_next(make, monkeypatch, cut):
    """A kill leaves part of a line; the next attempt writes that step again, on a line of its own."""
    monkeypatch.setattr(attempt, "OBEY_S", 0.0)
    made, asked = make(12), iter(range(5))
    assert execute(made.job, made.path, lambda: next(asked, None) is None) == "interrupted"
    lines = made.path / "metrics.jsonl"
    whole = lines.read_bytes()
    last = whole.splitlines(keepends=True)[-1]
    with lines.open("ab") as file:
        file.write(last[:cut])
    monkeypatch.setattr(record, "_tidy", lambda path: None)
    assert execute(made.job, made.path) == "finished"
    assert lines.read_bytes().startswith(whole + last[:cut] + b"\n")
    assert {row["step"] for row in unseal_lines(lines.read_bytes())} == set(range(13))
    assert made.metrics() == Run(made.path).metrics() == run(made.job).rows()
