"""An engine in a home of its own, the processes that belong to a home, and patience with a deadline."""

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from lvmviz.core import Algorithm, one_thread
from lvmviz.runs import engine
from lvmviz.runs.files import read_sealed
from lvmviz.runs.job import Job, job_json
from lvmviz.runs.run import Run

ROOT = Path(__file__).parents[2]
OWN = "tests.faults.own_choices"
GONE_S = 60.0  # for the processes of a home that nobody uses: says that they stay, not how fast they go
START_S = 60  # importing torch twice on a busy machine


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = str(Path(__file__).parent)
    for item in items:
        if str(item.path).startswith(here):
            item.add_marker(pytest.mark.faults)


def until(happens: Callable[[], Any], within_s: float, what: str) -> Any:
    """What `happens` returns once it is true; a failure that says `what` was waited for."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        found = happens()
        if found:
            return found
        time.sleep(0.02)
    pytest.fail(f"not within {within_s:g} s: {what}")


@pytest.fixture(scope="session")
def own() -> Iterator[Any]:
    """The module with the algorithm of our own, known in this process for as long as it is needed."""
    threads = torch.get_num_threads()
    one_thread()  # as workers do: the number of threads is part of a job's name
    module = importlib.import_module(OWN)
    yield module
    Algorithm.options.pop("Drift", None)
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory, own: Any) -> Iterator[Path]:
    """A home; when the tests are done, every process that belongs to it must go by itself."""
    path = tmp_path_factory.mktemp("faults")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LVMVIZ_HOME", str(path))
        patch.setenv("LVMVIZ_PRELOAD", OWN)
        patch.setenv("LVMVIZ_WORKERS", "1")
        patch.delenv("LVMVIZ_ENGINE", raising=False)
        yield path
        engine.leave(path)
        try:
            until(lambda: not belonging(path), GONE_S, f"no process of {path} is left: {said(path)}")
        finally:
            for process in belonging(path):
                with contextlib.suppress(psutil.Error):
                    process.kill()


def belonging(base: Path) -> list[psutil.Process]:
    """Every other process that works for this home, known by its environment."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            zombie = process.status() == psutil.STATUS_ZOMBIE
            if not zombie and process.environ().get("LVMVIZ_HOME") == str(base):
                found.append(process)
    return [process for process in found if process.pid != os.getpid()]


def said(base: Path) -> str:
    """What the engine wrote, for a failure's message."""
    files = (base / "log.txt", base / "engine" / "output.txt")
    return "\n".join(path.read_text() for path in files if path.exists())


def ready(base: Path, but: int = 0) -> int:
    """The pid of the engine once it takes work; of another one than `but`."""

    def pid() -> int:
        told = engine.about(base).get("pid", 0)
        return told if told != but else 0

    return until(pid, START_S, "an engine is ready")


def worker_of(run: Run) -> int:
    """The pid of the last attempt: one that has just begun has not told its own yet."""

    def pid() -> int:
        told = read_sealed(run.path / "status.json") or {}
        same = str(told.get("attempt")) == (run.path / "lease").read_text("utf-8")
        return told["pid"] if same else 0

    return until(pid, START_S, f"somebody executes it: {run.status()}")


def reached(run: Run, step: int) -> None:
    """Wait until a run goes on and has come to a step: it may have been there before it was interrupted."""

    def there() -> bool:
        status = run.status()
        if not status.active:
            pytest.fail(f"the run should run: {status}\n{run.log()}")
        return status.state == "running" and status.step >= step

    until(there, START_S, f"step {step} is reached: {run.status()}")


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


@pytest.fixture
def client(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Job], Any]]:
    """Starts processes that have a job done and watch it, as a server does."""
    started: list[subprocess.Popen] = []
    folder = tmp_path_factory.mktemp("jobs")

    def start(job: Job) -> subprocess.Popen:
        path = folder / f"{job.id}.json"
        path.write_text(json.dumps(job_json(job)))
        command = [sys.executable, "-m", "lvmviz", "run", str(path), "--follow"]
        started.append(
            subprocess.Popen(
                command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
            )
        )
        return started[-1]

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def bits(trace: Any) -> list[tuple[int, Any, list[bytes]]]:
    """A trace as what is the same when, and only when, it is the same to the bit."""
    return [
        (snapshot.step, snapshot.info, [part.numpy().tobytes() for part in snapshot.state])
        for snapshot in trace
    ]
