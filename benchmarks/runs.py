"""What work in the background costs, and how fast it obeys: `python -m benchmarks.runs`.

Prints one JSON object. Times are in milliseconds where a name says so, else in seconds; each target stands
beside its number. `--alone` is for the measurement itself: the same loop without worker or engine.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import torch

from benchmarks.client import Visitor
from benchmarks.ui import ROOT, serve
from lvmviz import EM, VI, Blobs, Job, ScoreFunction
from lvmviz.core import one_thread
from lvmviz.runs import engine
from lvmviz.runs.execute import snapshots
from lvmviz.runs.handle import Handle, submit
from lvmviz.ui import link_of

RESULTS = Path(__file__).parent / "results"
PAGE, CONTROL = "mixtures", "Components K"
WARM_S = 1.0  # of a loop, before its steps are counted
TARGETS = {
    "rerun_p95_ratio": ("<=", 2.0),
    "training_ratio": (">=", 0.9),
    "first_progress_s.p95": ("<=", 0.3),
    "poll_ms.p95": ("<=", 2.0),
    "stop_s.p95": ("<=", 0.5),
    "finished.sent": ("<=", 0),
}


def endless(seed: int = 0) -> Job:
    """A job that trains flat out for longer than any measurement, on 100,000 points that overlap."""
    data = Blobs(points=100_000, clusters=12, spread=3.0, seed=seed)
    return Job(EM(data=data, components=8, tolerance=0.0), steps=100_000)


def brisk(seed: int = 0) -> Job:
    """A job of many short steps that never settles: its gradient is an estimate."""
    return Job(VI(gradient=ScoreFunction(), starts=1, tolerance=1e-12), steps=1_000_000, seed=seed)


def spread(times: list[float], scale: float = 1.0, digits: int = 3) -> dict[str, float]:
    """Median and 95th percentile."""
    ordered = sorted(times)
    p50, p95 = (ordered[min(len(ordered) - 1, int(part * len(ordered)))] for part in (0.5, 0.95))
    return {"p50": round(scale * p50, digits), "p95": round(scale * p95, digits), "n": len(ordered)}


def until(what: Callable[[], Any], seconds: float = 60.0, pause: float = 0.002) -> Any:
    """What is asked for, once it is there."""
    end = time.perf_counter() + seconds
    while not (found := what()):
        if time.perf_counter() > end:
            raise TimeoutError(f"nothing came within {seconds:g} s")
        time.sleep(pause)
    return found


# ---- the page while a job trains ----


async def reruns(address: str, count: int) -> dict[str, dict[str, float]]:
    """The whole page, and a control moved to and fro, ms; the first two compute their traces."""
    async with Visitor(address, PAGE) as visitor:
        moved = [await visitor.move(CONTROL, 3 + i % 2) for i in range(count)]
        whole = [await visitor.rerun() for _ in range(count)]
    if visitor.faults:
        raise RuntimeError(f"the page failed: {visitor.faults[0]}")
    return {"control_ms": spread(moved[4:], 1e3, 1), "page_ms": spread(whole[2:], 1e3, 1)}


def page(address: str, count: int = 64) -> dict[str, Any]:
    """Reruns of the page while nothing else happens, and while a worker trains flat out."""
    idle = asyncio.run(reruns(address, count))
    job = submit(endless())
    until(lambda: job.status.step > 2)
    begun = job.status.step
    busy = asyncio.run(reruns(address, count))
    trained = job.status.step - begun
    _end(job)
    ratios = [busy[name]["p95"] / idle[name]["p95"] for name in idle]
    return {
        "rerun_idle": idle,
        "rerun_while_training": busy | {"steps_trained": trained},
        "rerun_p95_ratio": round(max(ratios), 2),
    }


# ---- training in a worker, and alone ----


def alone(seconds: float) -> float:
    """Steps a second of the bare loop in this process."""
    one_thread()
    begun, first = time.perf_counter(), 0
    for snapshot in snapshots(endless()):
        took = time.perf_counter() - begun
        if not first and took >= WARM_S:
            begun, first = time.perf_counter(), snapshot.step
        elif first and took >= seconds:
            return (snapshot.step - first) / took
    raise RuntimeError("the loop has ended: give it more steps")


def _alone(seconds: float) -> float:
    """The same in a process of its own, as a worker is; nice as one, too."""
    command = [sys.executable, "-m", "benchmarks.runs", "--alone", str(seconds)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, check=True, preexec_fn=lambda: os.nice(10)
    )
    return float(done.stdout)


def _in_worker(seconds: float) -> float:
    """Steps a second of a run in the engine, by the numbers it has told and when they came."""
    job = submit(endless())
    until(lambda: job.status.state == "running")
    time.sleep(WARM_S)
    first, begun = _next_step(job)
    time.sleep(seconds)
    last, ended = _next_step(job)
    _end(job)
    return (last - first) / (ended - begun)


def _next_step(job: Handle) -> tuple[int, float]:
    """The step that is told next, and when: between two words a count would be up to 0.2 s old."""
    before = job.status.step
    step = until(lambda: (now := job.status.step) > before and now)
    return step, time.perf_counter()


def training(seconds: float, times: int = 3) -> dict[str, Any]:
    """In turns, so that both meet the same machine."""
    rates = [(_alone(seconds), _in_worker(seconds)) for _ in range(times)]
    bare, worker = (statistics.median(rate) for rate in zip(*rates, strict=True))
    return {
        "steps_per_s_alone": [round(rate[0], 2) for rate in rates],
        "steps_per_s_in_worker": [round(rate[1], 2) for rate in rates],
        "training_ratio": round(worker / bare, 3),
    }


# ---- beginning, asking, ending ----


def first_progress(times: int = 20) -> dict[str, float]:
    """From `submit` to the first step that can be seen, s, in an engine that is ready."""
    took = []
    for seed in range(times):
        begun = time.perf_counter()
        job = submit(brisk(seed))
        until(lambda job=job: job.status.step > 0)
        took.append(time.perf_counter() - begun)
        _end(job)
    return spread(took)


def poll(count: int = 300) -> dict[str, dict[str, float]]:
    """Asking how a run is, while it goes on and once it has a thousand steps, ms."""
    job = submit(brisk(1000))
    until(lambda: len(job.metrics) > 1000, 120.0)
    asked, numbers = [], []
    for _ in range(count):
        begun = time.perf_counter()
        _ = job.status
        between = time.perf_counter()
        _ = job.metrics
        asked.append(between - begun)
        numbers.append(time.perf_counter() - between)
        time.sleep(0.01)
    _end(job)
    return {"poll_ms": spread(asked, 1e3), "metrics_ms": spread(numbers, 1e3)}


def stopping(times: int = 20) -> dict[str, float]:
    """From `stop` to "stopped", s."""
    took = []
    for seed in range(times):
        job = submit(brisk(seed + 100))
        until(lambda job=job: job.status.step > 0)
        took.append(_end(job))
    return spread(took)


def _end(job: Handle) -> float:
    begun = time.perf_counter()
    job.stop()
    state = until(lambda: (now := job.status.state) != "running" and now)
    took = time.perf_counter() - begun
    if state != "stopped":
        raise RuntimeError(f"the job was to go on until it is stopped, and is {state}: {job.status.cause}")
    return took


# ---- a run that has ended ----


async def watch(address: str, job: Job, seconds: float = 8.0) -> dict[str, int]:
    """Messages of a page that shows a run: while it goes on, and after it has finished."""
    handle = submit(job)
    query = urlencode(link_of(job.algorithm) | {"seed": str(job.seed), "iterations": str(job.steps // 2)})
    async with Visitor(address, PAGE, query) as visitor:
        await _come(lambda: handle.status.state == "finished")
        going = visitor.polled
        await _come(lambda: not visitor.polls)
        sent, received = visitor.sent, visitor.received
        await asyncio.sleep(seconds)
        told = {"sent": visitor.sent - sent, "received": visitor.received - received}
    if visitor.faults:
        raise RuntimeError(f"the page failed: {visitor.faults[0]}")
    return {"polls_while_it_went_on": going} | told


async def _come(what: Callable[[], bool], seconds: float = 120.0) -> None:
    end = time.perf_counter() + seconds
    while not what():
        if time.perf_counter() > end:
            raise TimeoutError(f"nothing came within {seconds:g} s")
        await asyncio.sleep(0.05)


def finished(address: str) -> dict[str, Any]:
    """A run long enough for the background that ends after some seconds."""
    job = Job(EM(data=Blobs(points=100_000), components=6, tolerance=0.0), steps=80)
    if not job.long:
        raise RuntimeError("the page would compute this itself: choose more points")
    return {"finished": asyncio.run(watch(address, job))}


# ---- all of it ----


def machine(*packages: str) -> dict[str, Any]:
    """Where, when and with what it was measured: the versions of these packages, or of what runs need."""
    return {
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}",
        "load_before": [round(load, 2) for load in os.getloadavg()],
        "date": datetime.date.today().isoformat(),
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in packages or ("streamlit", "torch", "distributed", "websockets")},
    }


def held(result: dict[str, Any], targets: dict[str, tuple[str, float]]) -> dict[str, dict[str, Any]]:
    """Each number beside its target, and whether it holds."""
    found = {}
    for name, (sign, target) in targets.items():
        number: Any = result
        for part in name.split("."):
            number = number[part]
        holds = number <= target if sign == "<=" else number >= target
        found[name] = {"is": number, "target": f"{sign} {target:g}", "holds": holds}
    return found


def show(name: str, result: dict[str, Any], save: bool) -> None:
    """Print the result, and keep it where asked."""
    text = json.dumps(result, indent=1)
    print(text)
    if save:
        (RESULTS / f"{name}-{result['date']}.json").write_text(text + "\n", "utf-8")


def measure(home: str, seconds: float) -> dict[str, Any]:
    """Everything, one after the other, with one server and one engine."""
    result = machine() | {"threads": torch.get_num_threads()}
    with serve("app.py", home) as address:
        begun = time.perf_counter()
        engine.ensure()
        try:
            until(engine.about, 120.0, 0.05)
            result["engine_ready_s"] = round(time.perf_counter() - begun, 2)
            result |= page(address) | training(seconds)
            result |= {"first_progress_s": first_progress(), "stop_s": stopping()} | poll()
            result |= finished(address)
        finally:
            engine.leave()  # it ends with the app
    return result | {"targets": held(result, TARGETS)}


def main() -> None:
    """Measure, and print one JSON object."""
    parser = argparse.ArgumentParser("python -m benchmarks.runs", description=__doc__)
    parser.add_argument("--save", action="store_true", help="also write benchmarks/results/runs-DATE.json")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long each training is measured")
    parser.add_argument("--alone", type=float, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    one_thread()
    if asked.alone:
        print(alone(asked.alone))
        return
    with tempfile.TemporaryDirectory() as home:
        os.environ["LVMVIZ_HOME"] = home
        show("runs", measure(home, asked.seconds), asked.save)


if __name__ == "__main__":
    main()
