"""The store of runs: equal jobs are one folder, whoever asks and however many at once, within bounds."""

import dataclasses
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvmviz import EM, VI, Blobs, Job, Stored, own_data, run
from lvmviz.core import Algorithm
from lvmviz.runs import files, queue, store
from lvmviz.runs.execute import execute
from lvmviz.runs.files import Damaged, Lock, held, read_sealed, seal, unseal, unseal_lines, write_sealed
from lvmviz.runs.job import job_from_json, job_json
from lvmviz.runs.run import MissingRun, Run, RunBusy
from lvmviz.runs.store import Store, StoreFull, run_id, title
from tests.walk import Walk

ROOT = Path(__file__).parents[1]
PRIVATE = Job(EM(data=Stored(digest="0" * 64)))


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(Algorithm.options, "Walk", Walk)


@pytest.fixture
def runs(tmp_path: Path) -> Store:
    return Store(tmp_path)


def job(seed: int = 0, **settings: object) -> Job:
    return Job(Walk(**settings), steps=5, seed=seed)  # type: ignore[arg-type]


def filled(kept: Store, count: int) -> list[Run]:
    """Finished runs, the first opened longest ago."""
    made = [kept.create(job(seed)) for seed in range(count)]
    for at, one in enumerate(made):
        execute(one.job, one.path)
        os.utime(one.path / "opened", (1000.0 + at, 1000.0 + at))
    return made


# ---- jobs as JSON ----


@pytest.mark.parametrize("told", [Job(VI()), Job(EM(data=Blobs(points=7)), 3, 2, -1), job(3), PRIVATE])
def test_a_job_comes_back_from_json(told):
    back = job_from_json(json.loads(json.dumps(job_json(told))))
    assert back == told and back.id == told.id


@pytest.mark.parametrize(
    "change",
    [{"steps": "many"}, {"steps": -1}, {"more": 1}, {"device": 3}, {"device": "abacus"}, {"algorithm": None},
     {"algorithm": {"choice": "os.system"}}, {"algorithm": {"choice": "Blobs"}}, {"seed": None}],
)  # fmt: skip
def test_what_is_no_job_is_refused_with_a_sentence(change):
    with pytest.raises(ValueError, match=" "):
        job_from_json({**job_json(Job(VI())), **change})


def test_a_job_with_something_missing_is_refused():
    for name in job_json(Job(VI())):
        with pytest.raises(ValueError):
            job_from_json({key: value for key, value in job_json(Job(VI())).items() if key != name})
    for wrong in (None, [], "job", 3):
        with pytest.raises(ValueError):
            job_from_json(wrong)


def test_only_jobs_on_somebodys_data_are_private():
    assert PRIVATE.private and not Job(EM()).private and not Job(VI()).private
    assert run_id(PRIVATE, "anna") != run_id(PRIVATE, "ben") != PRIVATE.id
    assert run_id(Job(VI()), "anna") == run_id(Job(VI()), "ben") == Job(VI()).id
    assert len(run_id(PRIVATE, "anna")) == 16


# ---- creating and finding ----


def test_equal_jobs_are_one_run(runs):
    one = runs.create(job(), owner="anna")
    assert runs.create(job(), owner="ben") == one == runs.open(one.id)
    assert (one.owner, one.job, one.id) == ("", job(), job().id)
    assert one.title == "Walk" and runs.create(Job(EM())).title == f"{EM.name()}, {EM().data.name()}"
    assert one.status().state == "stopped" and one.metrics() == [] and len(one.trace()) == 0


def test_private_runs_are_their_owners_alone(runs):
    one, other, public = runs.create(PRIVATE, "anna"), runs.create(PRIVATE, "ben"), runs.create(job())
    assert one != other and (one.owner, other.owner) == ("anna", "ben")
    assert set(runs.runs("anna")) == {one, public} and set(runs.runs("ben")) == {other, public}
    assert runs.runs() == [public]


def test_runs_are_told_newest_first(runs):
    made = [runs.create(job(seed)) for seed in range(4)]
    for at, one in enumerate(made):
        write_sealed(one.path / "job.json", {**read_sealed(one.path / "job.json"), "created": float(at)})  # type: ignore[dict-item]
    assert runs.runs() == made[::-1]


@pytest.mark.parametrize("id", ["", "x", "../../etc/passwd", "0" * 15, "0" * 17, "G" * 16, "0" * 16 + "\n"])
def test_what_names_no_run_is_refused(runs, id):
    with pytest.raises(MissingRun, match="16 hexadecimal"):
        runs.open(id)


def test_a_run_that_is_not_here_says_so(runs):
    with pytest.raises(MissingRun, match="not on this computer; start it again"):
        runs.open("0" * 16)


def test_settings_that_are_lost_come_back_with_the_same_job(runs):
    one = runs.create(job())
    execute(one.job, one.path)
    for content in (b"", b"{}", (one.path / "job.json").read_bytes()[:-9]):
        (one.path / "job.json").write_bytes(content)
        with pytest.raises(MissingRun, match="damaged; start it again"):
            runs.open(one.id)
        assert runs.runs() == []
        assert len(runs.create(job()).trace()) == 6


def test_a_run_of_a_choice_that_is_not_here(runs, monkeypatch):
    one = runs.create(job())
    monkeypatch.delitem(Algorithm.options, "Walk")
    with pytest.raises(MissingRun, match="is no Algorithm"):
        runs.open(one.id)
    assert runs.runs() == []


def test_the_home_is_that_of_own_data(tmp_path, monkeypatch):
    monkeypatch.setenv("LVMVIZ_HOME", str(tmp_path / "there"))
    assert Store().create(job()).path.is_relative_to(tmp_path / "there")


def test_nothing_is_for_others_to_read(runs):
    one = runs.create(job())
    queue.enqueue(one)
    one.control("run")
    execute(one.job, one.path)
    one.pin()
    for path in (runs.path, *runs.path.rglob("*"), queue.folder(runs.home)):
        assert path.stat().st_mode & 0o077 == 0, path


def test_a_store_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", Path("/proc/lvmviz")):
        with pytest.raises(own_data.StoreError, match="Set LVMVIZ_HOME") as told:
            Store(place).create(job())
        assert "Free some space" not in str(told.value), "no disk is full"


def test_twenty_processes_at_once_make_one_folder(tmp_path):
    """All of them wait for the same lock, then go."""
    script = """
import sys
sys.path.insert(0, sys.argv[1])
import os
from pathlib import Path
from lvmviz import VI, Job
from lvmviz.runs.store import Store
from lvmviz.runs.files import Lock
home = Path(sys.argv[2])
children = []
for _ in range(20):
    if not (child := os.fork()):
        Lock(home / "go", shared=True).acquire(60)
        run = Store(home).create(Job(VI(), seed=5))
        (home / f"{os.getpid()}.told").write_text(f"{run.id} {run.created!r}")
        os._exit(0)
    children.append(child)
print("ready", flush=True)
sys.exit(max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))
"""
    go = Lock(tmp_path / "go")
    assert go.acquire()
    command = [sys.executable, "-W", "error", "-c", script, str(ROOT), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None and child.stdout.readline() == "ready\n"
        go.release()
        assert child.wait(60) == 0
    told = [path.read_text() for path in tmp_path.glob("*.told")]
    assert len(told) == 20 and len(set(told)) == 1
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [told[0].split()[0]]


# ---- bounds ----


def test_used_is_what_the_files_take(runs):
    filled(runs, 2)
    assert runs.used() == sum(path.stat().st_size for path in runs.path.rglob("*") if path.is_file())


def test_the_longest_unopened_go_first(runs, monkeypatch):
    made = filled(runs, 4)
    sizes = [store.size_of(one.path) for one in made]
    monkeypatch.setattr(store, "RUN", 0)
    monkeypatch.setattr(store, "LIMIT", sum(sizes[1:]) - 1)
    runs.make_room()
    assert set(runs.runs()) == set(made[2:]) and runs.used() <= store.LIMIT
    monkeypatch.setattr(store, "LIMIT", 0)
    made[2].pin()
    queue.enqueue(made[3])
    runs.make_room()
    assert set(runs.runs()) == set(made[2:])
    made[2].pin(False)
    queue.remove(made[3].id, runs.home)
    with Lock(made[3].path / "lease"):
        runs.make_room()
        assert runs.runs() == [made[3]]
    runs.make_room()
    assert runs.runs() == [] and list(runs.path.iterdir()) == []


def test_opening_counts(runs, monkeypatch):
    made = filled(runs, 3)
    runs.open(made[0].id)
    monkeypatch.setattr(store, "RUN", 0)
    monkeypatch.setattr(store, "LIMIT", store.size_of(made[0].path) + 10)
    runs.make_room()
    assert runs.runs() == [made[0]]


def test_a_full_disk_takes_nothing_new_and_loses_nothing_old(runs, monkeypatch):
    made = filled(runs, 2)
    monkeypatch.setattr(store, "FREE", 10**18)
    with pytest.raises(StoreFull, match="delete something there"):
        runs.create(job(99))
    assert set(runs.runs()) == set(made) and runs.create(job(0)) == made[0]


def test_what_a_dead_process_left_is_swept(runs):
    runs.create(job())
    old, new = runs.path / ".a.part", runs.path / ".b.part"
    for path in (old, new):
        (path / "snapshots").mkdir(parents=True)
    os.utime(old, (1000.0, 1000.0))
    runs.make_room()
    assert not old.exists() and new.exists()


def test_a_run_is_deleted_unless_somebody_is_at_it(runs):
    one = filled(runs, 1)[0]
    with Lock(one.path / "lease"), pytest.raises(RunBusy, match="stop it first"):
        one.delete()
    queue.enqueue(one)
    one.delete()
    assert runs.runs() == [] and queue.waiting(runs.home) == [] and list(runs.path.iterdir()) == []
    again = runs.create(job())
    assert (
        again.metrics() == [] and execute(again.job, again.path) == "finished" and len(again.metrics()) == 6
    )


# ---- the queue ----


def test_the_queue_is_first_come_first_served_whatever_the_clock(runs, monkeypatch):
    made = [runs.create(job(seed)) for seed in range(5)]
    for at, one in enumerate(made):
        monkeypatch.setattr(time, "time", lambda at=at: 1e9 - at)
        queue.enqueue(one)
        os.utime(queue.folder(runs.home) / one.id, (1e9 - at, 1e9 - at))
    queue.enqueue(made[0])
    assert queue.waiting(runs.home) == [one.id for one in made]
    assert made[0].queued and made[0].status().state == "queued"
    (queue.folder(runs.home) / made[4].id).write_bytes(b"\xff")
    (queue.folder(runs.home) / "stray.part").write_bytes(b"1")
    assert queue.waiting(runs.home) == [one.id for one in [made[4], *made[:4]]]
    queue.remove(made[1].id, runs.home)
    queue.remove(made[1].id, runs.home)
    queue.remove("../runs", runs.home)
    assert made[1].id not in queue.waiting(runs.home) and runs.path.exists()


# ---- watching ----


def test_metrics_read_only_what_is_new_and_see_a_new_file(runs):
    one = filled(runs, 1)[0]
    rows = one.metrics()
    assert [row["step"] for row in rows] == list(range(6))
    with (one.path / "metrics.jsonl").open("ab") as file:
        file.write(seal({"step": 6, "elbo": 1.0}) + seal({"step": 7, "elbo": 1.0})[:-5])
        file.flush()
        assert [row["step"] for row in one.metrics()] == list(range(7))
        file.write(seal({"step": 7, "elbo": 1.0})[-5:] + seal({"step": 3, "elbo": 9.0}))
    assert [row["step"] for row in Run(one.path).metrics()] == list(range(8))
    assert one.metrics()[3] == {"step": 3, "elbo": 9.0}  # the last line for a step wins
    one.delete()
    again = runs.create(job())
    assert again.metrics() == []


@pytest.mark.parametrize("more", [0, 3, -2], ids=["as long", "longer", "shorter"])
def test_metrics_put_in_the_place_of_others_are_read_anew(runs, more):
    """Tidied or deleted and computed again by another process, of whatever length."""
    one = filled(runs, 1)[0]
    path = one.path / "metrics.jsonl"
    count = len(one.metrics()) + more
    fresh = [{"step": step, "elbo": 100.0 + step, "word": "new"} for step in range(count)]
    (one.path / "other").write_bytes(b"".join(map(seal, fresh)))
    os.replace(one.path / "other", path)
    assert one.metrics() == fresh
    path.unlink()
    assert one.metrics() == []


def test_metrics_cut_short_in_their_place_are_read_anew(runs):
    one = filled(runs, 1)[0]
    assert len(one.metrics()) == 6
    os.truncate(one.path / "metrics.jsonl", 0)
    assert one.metrics() == []
    (one.path / "metrics.jsonl").write_bytes(seal({"step": 0, "elbo": 5.0}))
    assert one.metrics() == [{"step": 0, "elbo": 5.0}]


def test_a_heart_that_stands_still_is_told_by_the_watchers_own_clock(runs, monkeypatch):
    one = runs.create(job())
    now = [100.0]
    monkeypatch.setattr("lvmviz.runs.run.time.monotonic", lambda: now[0])
    with Lock(one.path / "lease") as lease:
        lease.write("1")
        write_sealed(one.path / "heartbeat.json", {"attempt": 1, "beat": 4, "memory": 7, "step": 2})
        assert one.status()[:2] == ("running", 2) and one.status().notes == ()
        now[0] += 9.0
        assert "No word from the worker for 9 s." in runs.open(one.id).status().notes
        write_sealed(one.path / "heartbeat.json", {"attempt": 1, "beat": 5, "memory": 7, "step": 2})
        assert one.status().notes == ()


# ---- sealed lines and locks ----


@given(
    st.dictionaries(st.text(), st.none() | st.integers() | st.text() | st.floats(allow_nan=False), min_size=1)
)
def test_a_sealed_line_comes_back(data):
    line = seal(data)
    assert (
        unseal(line) == data
        and line.count(b"\n") == 1
        and json.loads(line) == {**data, "crc": json.loads(line)["crc"]}
    )


def test_any_flipped_bit_or_lost_byte_of_a_line_is_found():
    line = seal({"step": 12, "elbo": -3.25, "word": "é"})
    for bit in range(8 * len(line)):
        broken = bytearray(line)
        broken[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Damaged):
            unseal(bytes(broken))
    for end in range(len(line)):
        with pytest.raises(Damaged):
            unseal(line[:end])
    assert list(unseal_lines(b"\n" + line[:9] + b"\n" + line + b"\0\0" + line[:-1])) == [unseal(line)]


def test_a_lock_is_free_when_its_process_is_killed(tmp_path):
    script = """
import os, sys, types, time
package = types.ModuleType("lvmviz"); package.__path__ = [os.path.join(sys.argv[1], "lvmviz")]
sys.modules["lvmviz"] = package
from pathlib import Path
from lvmviz.runs.files import Lock
assert Lock(Path(sys.argv[2])).acquire()
print("held", flush=True)
time.sleep(600)
"""
    path = tmp_path / "lock"
    assert not held(path)
    command = [sys.executable, "-c", script, str(ROOT), str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None and child.stdout.readline() == "held\n"
        assert held(path) and not Lock(path).acquire() and not Lock(path, shared=True).acquire(0.05)
        child.kill()
    assert not held(path) and Lock(path).acquire(5.0)


def test_shared_locks_stand_together_and_a_deleted_one_is_no_lock(tmp_path):
    path = tmp_path / "lock"
    one, other, alone = Lock(path, shared=True), Lock(path, shared=True), Lock(path)
    assert one.acquire() and other.acquire() and not alone.acquire() and not held(path)
    one.release(), other.release()
    assert alone.acquire() and alone.acquire() and held(path)
    path.unlink()
    assert not held(path)
    fresh = Lock(path)
    assert fresh.acquire() and held(path)
    alone.release()
    assert held(path)
    fresh.release()


@pytest.mark.parametrize("again", [True, False])
def test_a_file_deleted_while_its_lock_is_taken_is_no_lock(tmp_path, monkeypatch, again):
    """Between opening the file and locking it somebody deletes it, and perhaps another makes it anew."""
    path, flock = tmp_path / "lock", files._flock

    def late(handle: int, shared: bool) -> bool:
        path.unlink()
        if again:
            path.touch()
        return flock(handle, shared)

    with monkeypatch.context() as patch:
        patch.setattr(files, "_flock", late)
        lock = Lock(path)
        assert not lock.acquire()
    with pytest.raises(RuntimeError, match="not held"):
        lock.fileno()
    assert not held(path) and lock.acquire() and held(path)
    lock.release()


def test_settings_of_a_choice_are_words_in_a_file(runs):
    """Nothing that runs: job.json is plain JSON, and says all that `created` needs."""
    one = runs.create(job(7, size=4))
    told = json.loads((one.path / "job.json").read_text())
    assert told["job"]["algorithm"]["choice"] == "Walk" and told["id"] == one.id and told["format"] == 1
    assert dataclasses.replace(one.job, seed=7) == one.job


def test_a_trace_says_what_it_is(tmp_path):
    one = Store(tmp_path).create(job())
    name = title(one.job)
    assert repr(one.trace()) == f"<trace of {name}: 0 snapshots>"
    execute(one.job, one.path)
    steps = one.trace().steps
    told = f"<trace of {name}: {len(steps)} snapshots, steps 0 to {steps[-1]}>"
    assert repr(one.trace()) == repr(run(one.job)) == told
