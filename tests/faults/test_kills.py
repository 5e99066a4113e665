"""Processes are killed for real, at random moments: nothing recorded is lost, and what happened is told."""

import os
import random
import signal
import tempfile
import time

import pytest

from lvmviz.runs.execute import execute
from lvmviz.runs.handle import start, submit
from lvmviz.runs.job import Job
from lvmviz.runs.store import Store
from tests.faults.conftest import GONE_S, START_S, belonging, bits, kill, reached, ready, until, worker_of

KILLS = int(os.environ.get("LVMVIZ_TEST_KILLS", "2"))
STEPS, PACE = 120 * KILLS, 0.01
TOLD_S = 60.0  # says that it never comes, not how fast


@pytest.fixture
def chance():
    seed = random.SystemRandom().randrange(10**6)
    print(f"the moments are those of random.Random({seed})")
    return random.Random(seed)


def moments(chance):
    """At which steps to kill, early and late, but a second before the end: what is told is a bit old."""
    return sorted(chance.sample(range(2, STEPS - 100), KILLS))


def interrupted(run, after):
    """Wait until the run is told to be interrupted, and why; what it had then must have stayed."""
    status = until(lambda: not (s := run.status()).active and s, TOLD_S, f"it is told: {run.status()}")
    assert status.state == "interrupted", (status, run.log())
    assert status.cause and status.remedy
    assert run.metrics()[: len(after)] == after
    assert not list(run.path.rglob("*.damaged"))
    return status


def finished_as(run, undisturbed, within_s=START_S):
    """Wait until the run has finished, to the bit as the job does when nothing disturbs it."""
    alone = Store(tempfile.mkdtemp(dir=run.home, prefix="alone-")).create(undisturbed)
    assert execute(alone.job, alone.path) == "finished"
    until(lambda: not run.status().active, within_s, f"it ends: {run.status()}")
    assert run.status().state == "finished", (run.status(), run.log())
    assert bits(run.trace()) == bits(alone.trace())
    assert run.metrics() == alone.metrics()
    assert run.trace().notes == ()


def test_killed_servers(base, own, chance, client):
    """Two over one directory have one engine; it stays while one of them lives, then goes."""
    steps = 360 * (KILLS // 2)  # 11 s a round, of which the engine lives 3 s with nobody there
    job = Job(own.Drift(pace=0.03), steps=steps, seed=4)
    run = Store().create(job)
    for attempt in range(1, KILLS // 2 + 1):
        servers = [client(job), client(job)]
        engine = ready(base)
        until(lambda: run.busy, START_S, "it begins")
        done = run.status().step
        first, last = done + chance.randrange(1, 10), done + chance.randrange(130, 150)
        reached(run, first)
        kill(servers[0].pid)
        reached(run, last)  # that takes longer than the engine lives when nobody uses it
        assert ready(base) == engine and run.status().attempt == attempt
        had = run.metrics()
        servers[1].send_signal(chance.choice((signal.SIGKILL, signal.SIGINT)))
        until(lambda: not belonging(base), GONE_S, "no process is left")
        assert "closed" in interrupted(run, had).cause
    start(run)
    finished_as(run, Job(own.Drift(), steps=steps, seed=4), START_S + 0.06 * steps)


def test_a_killed_worker(base, own, chance):
    handle = submit(Job(own.Drift(pace=PACE), steps=STEPS, seed=5))
    run = Store().open(handle.id)
    for step in moments(chance):
        reached(run, step)
        had = run.metrics()
        kill(worker_of(run))
        status = interrupted(run, had)
        assert "worker" in status.cause
        handle.resume()
    finished_as(run, Job(own.Drift(), steps=STEPS, seed=5))


def test_a_killed_engine(base, own, chance):
    """Its workers die with it, and a new one takes up what was waiting."""
    run = Store().open(submit(Job(own.Drift(pace=PACE), steps=STEPS, seed=6)).id)
    later = Store().open(submit(Job(own.Drift(), steps=3)).id)
    engine = 0
    for step in moments(chance):
        engine = ready(base, but=engine)
        reached(run, step)
        had, of_it = run.metrics(), belonging(base)
        assert len(of_it) >= 2 and later.queued
        kill(engine)
        interrupted(run, had)
        until(lambda of_it=of_it: not any(p.is_running() for p in of_it), TOLD_S, "its workers are gone")
        finished_as(later, Job(own.Drift(), steps=3))
        later.delete()
        start(run)
        submit(later.job)
    finished_as(run, Job(own.Drift(), steps=STEPS, seed=6))


def test_latencies_are_told(base, own):
    """Measured and printed; asserted nowhere, for a busy machine is no fault."""
    handle = submit(Job(own.Drift(), steps=1, seed=1))
    handle.wait(START_S, progress=False)
    began = time.monotonic()
    handle = submit(Job(own.Drift(pace=0.01), steps=10_000, seed=2))
    until(lambda: handle.status.state == "running", START_S, "it runs")
    print(f"\nsubmit to first progress, warm: {time.monotonic() - began:.3f} s")
    began = time.monotonic()
    handle.stop()
    until(lambda: handle.status.state == "stopped", START_S, "it stops")
    print(f"stop to stopped: {time.monotonic() - began:.3f} s")
