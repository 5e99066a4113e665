"""The engine before it lives: what its clients import, its settings, its keys. Living ones are in faults/."""

import asyncio
import os
import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, cast

import pytest

from lvmviz import EM, Job, own_data
from lvmviz.preload import preload
from lvmviz.runs import bundle, cluster, engine, queue, serve
from lvmviz.runs.attempt import give_up
from lvmviz.runs.execute import execute
from lvmviz.runs.files import Lock, read_sealed, write_sealed
from lvmviz.runs.handle import RunEnded, start, submit
from lvmviz.runs.keys import keys, make_keys
from lvmviz.runs.run import control_of
from lvmviz.runs.store import Store
from lvmviz.runs.worker import _bound_memory

ROOT = Path(__file__).parents[1]
IMPORTED = """
import asyncio, sys
import app

async def main():
    async with app.lifespan(app.app):
        import lvmviz.shell, lvmviz.runs.serve
        lvmviz.submit(lvmviz.Job(lvmviz.EM(), steps=1))

asyncio.run(main())
print(sorted({name.partition(".")[0] for name in sys.modules} & {"dask", "distributed", "tornado.ioloop"}))
"""


@pytest.mark.slow
def test_the_app_never_imports_dask(tmp_path):
    """Neither do notebooks and the shell: only the engine's own process does."""
    env = {**os.environ, "LVMVIZ_ENGINE": "off", "LVMVIZ_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", IMPORTED], cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
    assert len(os.listdir(tmp_path / "queue")) == 1


def test_off_starts_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("LVMVIZ_ENGINE", "off")
    engine.ensure(tmp_path)
    assert not engine.folder(tmp_path).exists()
    assert not engine.alive(tmp_path) and engine.about(tmp_path) == {}


def test_the_next_try_does_not_unsay_why_an_engine_could_not_start(tmp_path, monkeypatch):
    """Seconds pass until it has told of itself, and it may fail like the one before."""
    engine.folder(tmp_path).mkdir(mode=0o700)
    write_sealed(engine.folder(tmp_path) / "engine.json", {"pid": 1})  # of one that was killed long ago
    children: list[subprocess.Popen[bytes]] = []

    def spawn(code: str) -> Any:
        def start_one(base: Path, lock: int) -> subprocess.Popen[bytes]:
            with open(engine.folder(base) / "output.txt", "wb") as output:
                children.append(
                    subprocess.Popen([sys.executable, "-c", code], stderr=output, pass_fds=[lock])
                )
            return children[-1]

        return start_one

    monkeypatch.setattr(engine, "WATCH_S", 0.0)
    stay = engine._stays[tmp_path] = engine._Stay(tmp_path)
    try:
        monkeypatch.setattr(engine, "_spawn", spawn("raise ImportError('nothing there')"))
        stay.tend()
        children[-1].wait()
        assert engine.fault(tmp_path) == ""  # nobody has looked yet
        monkeypatch.setattr(engine, "_spawn", spawn("import time; time.sleep(60)"))
        stay.tend()
        assert engine.alive(tmp_path) and "ImportError: nothing there" in engine.fault(tmp_path)
        write_sealed(engine.folder(tmp_path) / "engine.json", {"pid": children[-1].pid})
        assert engine.fault(tmp_path) == ""
        children[-1].kill()
        children[-1].wait()
        stay.tend()  # it had started: something else ended it
        assert engine.fault(tmp_path) == ""
    finally:
        engine.leave(tmp_path)
        for child in children:
            child.kill()
            child.wait()


def test_settings_that_mean_nothing_are_told(monkeypatch, tmp_path):
    monkeypatch.setenv("LVMVIZ_ENGINE", "maybe")
    with pytest.raises(ValueError, match="on or off"):
        engine.ensure(tmp_path)
    monkeypatch.setenv("LVMVIZ_PRELOAD", "json, no_such_module_of_mine")
    with pytest.raises(ValueError, match="'no_such_module_of_mine'.*PYTHONPATH"):
        preload()


def test_preload_imports_what_is_named(monkeypatch, tmp_path):
    (tmp_path / "lvmviz_test_one.py").write_text("")
    (tmp_path / "lvmviz_test_two.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("LVMVIZ_PRELOAD", " lvmviz_test_one , lvmviz_test_two,")
    assert preload() == ("lvmviz_test_one", "lvmviz_test_two")
    assert {"lvmviz_test_one", "lvmviz_test_two"} <= set(sys.modules)
    monkeypatch.delenv("LVMVIZ_PRELOAD")
    assert preload() == ()


@pytest.fixture
def machine(monkeypatch):
    """A machine with eight cores, 16 GB and no GPU."""
    for name in ("LVMVIZ_WORKERS", "LVMVIZ_MEMORY", "LVMVIZ_SCHEDULER", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(cluster, "CPU_COUNT", 8)
    monkeypatch.setattr(cluster, "MEMORY_LIMIT", 16 * 10**9)
    monkeypatch.setattr(cluster.torch.cuda, "device_count", lambda: 0)
    return monkeypatch


@pytest.mark.parametrize(("cores", "count"), [(1, 1), (2, 1), (3, 2), (5, 4), (64, 4)])
def test_a_core_is_left_for_the_app(machine, cores, count):
    machine.setattr(cluster, "CPU_COUNT", cores)
    assert [seat.resource for seat in cluster.seats()] == ["slot"] * count
    assert {seat.device for seat in cluster.seats()} == {""}


def test_every_gpu_has_its_worker(machine):
    machine.setattr(cluster.torch.cuda, "device_count", lambda: 2)
    assert [(s.name, s.device) for s in cluster.seats()[4:]] == [("gpu-0", "0"), ("gpu-1", "1")]
    machine.setenv("CUDA_VISIBLE_DEVICES", "3,GPU-ab")
    assert [(s.resource, s.device) for s in cluster.seats()[4:]] == [("gpu", "3"), ("gpu", "GPU-ab")]


def test_workers_share_the_memory(machine):
    assert sum(seat.memory for seat in cluster.seats()) <= 0.8 * 16 * 10**9
    machine.setenv("LVMVIZ_WORKERS", "7")
    machine.setenv("LVMVIZ_MEMORY", "1.5GB")
    assert [seat.memory for seat in cluster.seats()] == [1_500_000_000] * 7


@pytest.mark.parametrize("said", ["0", "-1", "2.5", "many", "²", "1000"])
def test_a_number_of_workers_is_a_number(machine, said):
    machine.setenv("LVMVIZ_WORKERS", said)
    with pytest.raises(ValueError, match="LVMVIZ_WORKERS"):
        cluster.seats()


def test_a_size_is_a_size(machine):
    machine.setenv("LVMVIZ_MEMORY", "a lot")
    with pytest.raises(ValueError, match="LVMVIZ_MEMORY.*2GB"):
        cluster.seats()


def test_a_scheduler_without_keys_is_refused(machine, tmp_path):
    machine.setenv("LVMVIZ_SCHEDULER", "tcp://10.0.0.1:8786")
    with pytest.raises(ValueError, match="tls://"):
        cluster.Cluster(keys(tmp_path), tmp_path)


def test_memory_has_a_bound_of_its_own():
    """In a process of its own, for it stays bounded."""
    code = """
import lvmviz.runs.worker as worker
worker._bound_memory(2 * 10**9)
try:
    bytes(10**9) + bytes(10**9)
except MemoryError:
    print("told")
"""
    env = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.stdout.strip() == ("told" if sys.platform.startswith("linux") else ""), done.stderr
    assert _bound_memory(0) is None  # without a limit there is no bound


def handshake(server, client):
    """Whether two sides with these keys come to an understanding, both asking for a certificate."""
    near, far = socket.socketpair()
    listening, asking = context(server, ssl.PROTOCOL_TLS_SERVER), context(client, ssl.PROTOCOL_TLS_CLIENT)
    heard = []

    def listen():
        try:
            with listening.wrap_socket(far, server_side=True) as line:
                heard.append(line.recv(5))
        except OSError:
            far.close()

    thread = threading.Thread(target=listen)
    thread.start()
    try:
        with asking.wrap_socket(near) as line:
            line.sendall(b"hello")
    except OSError:
        near.close()
    thread.join()
    return heard == [b"hello"]


def context(made, protocol):
    found = ssl.SSLContext(protocol)
    found.check_hostname = False
    found.verify_mode = ssl.CERT_REQUIRED
    found.load_verify_locations(made.authority)
    found.load_cert_chain(made.certificate, made.key)
    return found


def test_keys_open_their_own_engine_alone(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    one, two = make_keys(tmp_path / "one"), make_keys(tmp_path / "two")
    assert handshake(one, one) and handshake(two, two)
    assert not handshake(one, two)
    assert not handshake(two, one)
    assert {path.stat().st_mode & 0o777 for path in (*one, *two)} == {0o600}
    again = make_keys(tmp_path / "one")
    assert again == one and not handshake(again, two)


class Lost:
    """What the engine sees of a job whose worker has died."""

    status = "error"

    async def exception(self) -> Exception:
        return RuntimeError("the worker has died")


@pytest.mark.parametrize("begins", [True, False])
def test_only_deaths_before_it_began_take_a_run_off_the_queue(begins, tmp_path, monkeypatch):
    """One that was killed and resumed waits again when the engine hears of it."""
    monkeypatch.setenv("LVMVIZ_HOME", str(tmp_path))
    monkeypatch.setattr(engine, "ensure", lambda base=None: None)
    made = submit(Job(EM(), steps=3))
    engine.folder(tmp_path).mkdir(mode=0o700)
    alive = serve._Engine(tmp_path)
    lease = tmp_path / "runs" / made.id / "lease"
    for attempt in range(1, 5):
        alive.attempts[made.id] = lease.read_text() if lease.exists() else ""
        if begins:
            lease.write_text(str(attempt))
        asyncio.run(alive._hear(made.id, cast(Any, Lost())))
        assert (queue.waiting(tmp_path) == [made.id]) == (begins or attempt < serve.MOST_DEATHS)


class KilledWorker(Exception):
    """By this name Dask tells of a worker that has died."""


class Ended:
    """What the engine sees of a job that went wrong so."""

    status = "error"

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def exception(self) -> Exception:
        return self.error


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (KilledWorker(), "Its worker ended 3 times before it had begun: killed, or out of memory."),
        (own_data.StoreError("No room is left: free some."), "No room is left: free some."),
        (ModuleNotFoundError("No module 'lvmviz'"), "It could not begin in 3 tries: No module 'lvmviz'."),
        (KeyError("x"), "The run failed at step 0: KeyError."),
    ],
)  # fmt: skip
def test_a_run_that_no_worker_could_begin_has_failed_and_says_why(error, cause, tmp_path, monkeypatch):
    monkeypatch.setenv("LVMVIZ_HOME", str(tmp_path))
    monkeypatch.setattr(engine, "ensure", lambda base=None: None)
    made = submit(Job(EM(), steps=3))
    engine.folder(tmp_path).mkdir(mode=0o700)
    alive = serve._Engine(tmp_path)
    for _ in range(serve.MOST_DEATHS):
        assert made.status.state == "queued"
        alive.attempts[made.id] = alive._attempt(made.id)
        asyncio.run(alive._hear(made.id, cast(Any, Ended(error))))
    status = made.status
    assert (status.state, status.cause, status.step, status.attempt) == ("failed", cause, 0, 0)
    assert status.remedy
    with pytest.raises(RunEnded, match="begin|begun|room|step 0"):
        made.wait(5, progress=False)
    bundle.load(Store(tmp_path / "else"), bundle.export(Store().open(made.id)))
    assert made.resume().status.state == "queued"
    assert execute(made.job, tmp_path / "runs" / made.id) == "finished" and made.status.cause == ""


def test_giving_up_keeps_what_is_there_and_touches_nothing_that_runs(tmp_path):
    kept = Store(tmp_path).create(Job(EM(), steps=6))
    assert execute(kept.job, kept.path) == "finished"
    write_sealed(
        kept.path / "status.json", {**(read_sealed(kept.path / "status.json") or {}), "state": "paused"}
    )
    before = kept.status()
    with Lock(kept.path / "lease"):
        assert not give_up(kept.path, "why", "what")
    assert kept.status() == before
    assert give_up(kept.path, "why", "what")
    assert kept.status() == before._replace(state="failed", cause="why", remedy="what")
    (kept.path / "status.json").write_bytes(b"torn")
    assert give_up(kept.path, "why", "what") and kept.status().state == "failed"


# ---- two who ask at once ----


@pytest.mark.parametrize("ends", [True, False])
def test_who_asks_while_another_begins_leaves_nothing_in_the_queue(ends, tmp_path, monkeypatch):
    """The other's attempt begins, or has even finished, between the look at the run and the entry."""
    monkeypatch.setenv("LVMVIZ_HOME", str(tmp_path))
    monkeypatch.setattr(engine, "ensure", lambda base=None: None)
    run, enqueue, lease = Store().create(Job(EM(), steps=3)), queue.enqueue, Lock(Path())

    def late(asked):
        if ends:
            execute(run.job, run.path)
        else:
            lease.path = run.path / "lease"
            assert lease.acquire()
            lease.write("1")
        enqueue(asked)

    monkeypatch.setattr(queue, "enqueue", late)
    start(run)
    assert queue.waiting(tmp_path) == [] and run.status().state == ("finished" if ends else "running")
    lease.release()


def test_who_resumes_what_is_just_being_paused_waits_for_it(tmp_path, monkeypatch):
    monkeypatch.setenv("LVMVIZ_HOME", str(tmp_path))
    monkeypatch.setattr(engine, "ensure", lambda base=None: None)
    run = Store().create(Job(EM(), steps=3))
    with Lock(run.path / "lease"):
        run.control("pause")
        start(run)
        assert control_of(run.path) == "run" and queue.waiting(tmp_path) == [run.id]
