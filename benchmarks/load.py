"""Many visitors at once, without browsers: `python -m benchmarks.load [--save] [--seconds 60]`.

30 watch five runs and move controls; 100 each move something every five seconds. Prints one JSON object: how
long a moved control took to be answered, a visitor's own wait for an earlier answer counted.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import urlencode

import psutil

from benchmarks.client import Visitor
from benchmarks.runs import CONTROL, PAGE, endless, held, machine, show, spread, until
from benchmarks.ui import serve
from lvmviz import Job
from lvmviz.core import one_thread
from lvmviz.runs import engine
from lvmviz.runs.handle import submit
from lvmviz.ui import link_of

WATCHERS, RUNS, WATCHER_S = 30, 5, 2.0  # between two moves of one visitor
HANDS, HAND_S = 100, 5.0
VIEW, VIEWS = "What the curves are over", ("Bound", "Steps")  # a control that does not change the job
TARGETS = {"watching_and_moving.move_s.p95": ("<=", 0.5), "moving.move_s.p95": ("<=", 1.0)}

Move = Callable[[Visitor, int], Awaitable[float]]


def jobs() -> list[Job]:
    """The runs that are watched; they outlast the measurement."""
    return [Job(endless(seed).algorithm, steps=1000) for seed in range(RUNS)]


def begin(wanted: Sequence[Job]) -> None:
    """Give each run a few steps to look at, then let all go on, as many at once as there are workers."""
    handles = []
    for job in wanted:
        handles.append(handle := submit(job))
        until(lambda handle=handle: handle.status.step > 2)
        handle.pause()
        until(lambda handle=handle: handle.status.state == "paused")
    for handle in handles:
        handle.resume()


def link(job: Job) -> str:
    """The query string with which the page shows a job."""
    return urlencode(link_of(job.algorithm) | {"iterations": str(job.steps // 2)})


async def look(visitor: Visitor, count: int) -> float:
    """Switch between two views of a run."""
    return await visitor.move(VIEW, VIEWS[count % 2])


async def choose(visitor: Visitor, count: int) -> float:
    """Choose another number of components, of five."""
    return await visitor.move(CONTROL, 2 + count % 5)


async def crowd(
    address: str, queries: Sequence[str], move: Move, every_s: float, seconds: float
) -> dict[str, Any]:
    """Let one visitor for each query move a control again and again, each in a rhythm of its own."""
    chance = random.Random(0)
    async with AsyncExitStack() as stack:
        visitors = [await stack.enter_async_context(Visitor(address, PAGE, query)) for query in queries]
        for count in range(5):  # what only the first of all has to compute
            await move(visitors[0], count)
        for visitor in visitors:
            visitor.poll_s.clear()
        client = psutil.Process().cpu_times()
        begun = time.perf_counter()
        took = await asyncio.gather(
            *(_moves(visitor, move, every_s, seconds, chance.uniform(0, every_s)) for visitor in visitors)
        )
        lasted, spent = time.perf_counter() - begun, psutil.Process().cpu_times()
    faults = [fault for visitor in visitors for fault in visitor.faults]
    if faults:
        raise RuntimeError(f"{len(faults)} pages failed: {faults[0]}")
    polls = [took for visitor in visitors for took in visitor.poll_s]
    return {
        "visitors": len(visitors),
        "opened_s": spread([visitor.opened_s for visitor in visitors]),
        "move_s": spread([one for times in took for one in times]),
        "poll_s": spread(polls) if polls else {},
        "megabytes_received": round(sum(visitor.bytes for visitor in visitors) / 1e6),
        "cores_used_by_the_visitors": round((spent.user - client.user) / lasted, 2),
    }


async def _moves(visitor: Visitor, move: Move, every_s: float, seconds: float, wait: float) -> list[float]:
    """A hand that moves at fixed times; one that had to wait longer moves again at once."""
    begun, took = time.perf_counter() + wait, []
    while (due := begun + len(took) * every_s) < begun + seconds:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        took.append(await move(visitor, len(took)))
    return took


def measure(home: str, seconds: float) -> dict[str, Any]:
    """Both crowds, one after the other, with one server and one engine."""
    result = machine()
    with serve("app.py", home) as address:
        until(engine.about, 120.0, 0.05)
        result["moving"] = asyncio.run(crowd(address, [""] * HANDS, choose, HAND_S, seconds))
        watched = jobs()
        try:
            begin(watched)
            links = [link(watched[at % RUNS]) for at in range(WATCHERS)]
            result["watching_and_moving"] = asyncio.run(crowd(address, links, look, WATCHER_S, seconds))
        finally:
            engine.leave()  # it ends with the app
    return result | {"targets": held(result, TARGETS)}


def main() -> None:
    """Measure, and print one JSON object."""
    parser = argparse.ArgumentParser("python -m benchmarks.load", description=__doc__)
    parser.add_argument("--save", action="store_true", help="also write benchmarks/results/load-DATE.json")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long each crowd is there")
    asked = parser.parse_args()
    one_thread()
    with tempfile.TemporaryDirectory() as home:
        os.environ["LVMVIZ_HOME"] = home
        show("load", measure(home, asked.seconds), asked.save)


if __name__ == "__main__":
    main()
