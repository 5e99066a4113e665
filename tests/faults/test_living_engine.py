"""What a living engine does with jobs that misbehave, with many clients, and with strangers at its ports."""

import json
import os
import socket
import ssl
import subprocess
import sys

import psutil
import pytest

from lvmviz.runs import engine, queue, store
from lvmviz.runs.handle import RunEnded, submit
from lvmviz.runs.job import Job, job_json
from lvmviz.runs.keys import keys
from lvmviz.runs.store import Store
from lvmviz.runs.worker import NICE
from tests.faults.conftest import GONE_S, ROOT, START_S, belonging, kill, ready, until, worker_of


def test_one_job_of_twenty_clients_runs_once(base, own):
    job = Job(own.Drift(pace=0.01), steps=100)
    done = subprocess.run([sys.executable, "-m", "tests.faults.twenty", json.dumps(job_json(job))],
                          cwd=ROOT, capture_output=True, text=True, timeout=START_S)  # fmt: skip
    assert done.returncode == 0, done.stderr
    run = Store().open(job.id)
    assert run.status().attempt == 1, run.log()
    assert run.log().count("began") == 1


def test_an_exception_is_told_and_the_worker_goes_on(base, own):
    handle = submit(Job(own.Drift(fails_at=5), steps=10))
    with pytest.raises(RunEnded, match="step 4|step 5"):
        handle.wait(START_S, progress=False)
    run = Store().open(handle.id)
    pid = worker_of(run)
    assert handle.status.state == "failed"
    assert "Traceback" not in handle.status.cause + handle.status.remedy
    assert "ZeroDivisionError: as it was asked to" in run.log()
    assert [row["step"] for row in handle.metrics] == [0, 1, 2, 3, 4]
    well = submit(Job(own.Drift(), steps=10))
    assert len(well.wait(START_S, progress=False)) == 11
    assert worker_of(Store().open(well.id)) == pid


def test_pause_and_resume(base, own):
    handle = submit(Job(own.Drift(pace=0.01), steps=150, seed=7))
    until(lambda: handle.status.step > 10, START_S, "it goes")
    handle.pause()
    handle.resume()  # at once: whether it has obeyed the pause or not, it goes on
    assert len(handle.wait(START_S, progress=False)) > 10
    assert handle.status.state == "finished"
    assert [row["step"] for row in handle.metrics] == list(range(151))


def test_a_job_stopped_while_it_waits_never_begins(base, own):
    first = submit(Job(own.Drift(pace=0.01), steps=60, seed=8))
    second = submit(Job(own.Drift(pace=0.01), steps=60, seed=9))
    until(lambda: first.status.state == "running", START_S, "the first runs")
    assert second.status.state == "queued"
    second.stop()
    assert second.status.state == "stopped"
    first.wait(START_S, progress=False)
    third = submit(Job(own.Drift(), steps=1, seed=10))
    third.wait(START_S, progress=False)  # it stood behind the second
    assert second.status.attempt == 0 and second.id not in queue.waiting()


@pytest.mark.soak
def test_a_job_that_kills_its_worker_is_not_tried_again(base, own):
    handle = submit(Job(own.Drift(dies_at=3), steps=10))
    with pytest.raises(RunEnded, match="worker"):
        handle.wait(START_S, progress=False)
    assert len(submit(Job(own.Drift(), steps=10, seed=2)).wait(START_S, progress=False)) == 11
    assert handle.status.attempt == 1


def test_the_shell_hands_a_run_to_a_living_engine(base, own):
    """Without --follow it leaves at once; the run goes on, and `runs` tells of it."""
    ready(base)

    def shell(*words, said=None):
        command = [sys.executable, "-m", "lvmviz", *words]
        return subprocess.run(command, cwd=ROOT, input=said, capture_output=True, text=True, timeout=START_S)

    job = Job(own.Drift(pace=0.01), steps=20, seed=12)
    done = shell("run", "-", said=json.dumps(job_json(job)))
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, job.id, "")
    until(lambda: Store().open(job.id).status().state == "finished", START_S, "it finishes")
    job = Job(own.Drift(pace=0.01, fails_at=5), steps=20)
    done = shell("run", "-", "--follow", said=json.dumps(job_json(job)))
    assert done.returncode == 1 and "failed: The run failed at step" in done.stderr
    assert "Traceback" not in done.stderr


def test_its_ports_answer_to_nobody_else(base):
    ready(base)
    listening = [c.laddr for p in belonging(base) for c in p.net_connections("inet") if c.status == "LISTEN"]
    assert {address.ip for address in listening} == {"127.0.0.1"}
    assert len(listening) == 3  # scheduler, nanny, worker: no dashboard
    stranger = ssl.create_default_context(cafile=keys(engine.folder(base)).authority)
    stranger.check_hostname = False
    for address in listening:
        with socket.create_connection(address, timeout=10) as plain, pytest.raises((ssl.SSLError, OSError)):
            with stranger.wrap_socket(plain) as line:
                line.recv(1)  # TLS 1.3 tells at the first read that a certificate was wanted


def test_nobody_else_may_read_its_files(base):
    ready(base)
    assert (engine.folder(base).stat().st_mode & 0o777) == 0o700
    files = [path for path in engine.folder(base).iterdir() if path.is_file()]
    assert keys(engine.folder(base)).key in files
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}


def test_workers_are_nice_and_an_engine_is_asked_for_once(base, own):
    pid = ready(base)
    engine.ensure()
    engine.ensure()
    assert ready(base) == pid
    handle = submit(Job(own.Drift(), steps=2, seed=11))
    handle.wait(START_S, progress=False)
    assert psutil.Process(worker_of(Store().open(handle.id))).nice() == NICE


@pytest.mark.soak
@pytest.mark.parametrize("ending", ["kill", "interrupt"])
def test_the_app_takes_its_engine_along(tmp_path, ending):
    """The real server, killed or ended by Ctrl-C in its terminal."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", f"--server.port={port}"]
    server = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "LVMVIZ_HOME": str(tmp_path)},
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    ready(tmp_path)
    assert len(belonging(tmp_path)) >= 3
    kill(server.pid) if ending == "kill" else server.send_signal(2)
    server.wait(START_S)
    until(lambda: not belonging(tmp_path), GONE_S, "no process is left")


@pytest.fixture
def small(base, tmp_path, monkeypatch, own):
    """A home with an engine whose workers may hold little memory."""
    monkeypatch.setenv("LVMVIZ_HOME", str(tmp_path))
    monkeypatch.setenv("LVMVIZ_PRELOAD", own.__name__)
    monkeypatch.setenv("LVMVIZ_WORKERS", "1")
    monkeypatch.setenv("LVMVIZ_MEMORY", "1500MB")
    yield tmp_path
    engine.leave()
    until(lambda: not belonging(tmp_path), GONE_S, "no process is left")


@pytest.mark.soak
def test_a_job_that_eats_memory_is_told(small, own):
    handle = submit(Job(own.Drift(eats=50_000_000, pace=0.01), steps=1000))
    until(lambda: not handle.status.active, START_S, f"it ends: {handle.status}")
    assert handle.status.state == "failed"
    assert "emory" in handle.status.cause and handle.status.remedy
    assert len(submit(Job(own.Drift(), steps=3)).wait(START_S, progress=False)) == 4


@pytest.mark.soak
@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can make a small disk")
def test_a_full_disk_is_told(tmp_path, small, own, monkeypatch):
    (tmp_path / "runs").mkdir(mode=0o700)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m,mode=700", "none", tmp_path / "runs"])
    if mounted.returncode:
        pytest.skip("no disk can be mounted here")
    monkeypatch.setattr(store, "FREE", 0)
    try:
        handle = submit(Job(own.Drift(size=100_000), steps=400))
        until(lambda: not handle.status.active, START_S, f"it ends: {handle.status}")
        assert handle.status.state == "failed" and "disk" in handle.status.cause, handle.status
        assert handle.metrics and len(handle.trace) > 2 and handle.trace[2].info.elbo is not None
    finally:
        engine.leave()
        until(lambda: not belonging(tmp_path), GONE_S, "no process is left")
        subprocess.run(["umount", tmp_path / "runs"], check=True)
