"""Inside a worker of the engine: made ready once, then one job at a time. It knows files, not the engine."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from pathlib import Path
from typing import Any

from lvmviz.core import one_thread
from lvmviz.preload import preload
from lvmviz.runs import queue
from lvmviz.runs.execute import execute
from lvmviz.runs.record import MEMORY_LIMIT
from lvmviz.runs.run import Run

NICE = 10  # what people click on goes first
OWN_BOUND = 0.8  # of the memory at which it is killed, a worker may write to


def dask_setup(worker: Any) -> None:
    """Make a worker ready before it takes work; Dask calls this by its name."""
    preload()
    with contextlib.suppress(OSError):  # already nicer than that
        os.nice(max(0, NICE - os.nice(0)))
    _bound_memory(worker.memory_manager.memory_limit or 0)
    _warm()


def _warm() -> None:
    """Do once what only the first job would pay for, then take it out of garbage collection."""
    from lvmviz import EM, Job, run  # noqa: PLC0415

    one_thread()
    run(Job(EM(), steps=2))
    gc.collect()
    gc.freeze()


def _bound_memory(killed: int) -> None:
    """Let a job that asks for too much meet a MemoryError, which it can tell, before it is killed.

    It is killed at `killed` bytes. Linux counts what a process may write; CUDA maps far more than it uses, so
    its workers have no such bound.
    """
    if killed:
        os.environ[MEMORY_LIMIT] = str(killed)
    if not killed or not sys.platform.startswith("linux") or os.environ.get("CUDA_VISIBLE_DEVICES"):
        return
    import resource  # noqa: PLC0415

    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    resource.setrlimit(resource.RLIMIT_DATA, (int(OWN_BOUND * killed), hard))


def work(home: str, id: str, ending: str) -> str:
    """Execute the waiting run `id` and return its final state.

    Nothing is done when it waits no more (it was stopped or deleted), or when the engine is ending.
    """
    os.environ["LVMVIZ_HOME"] = home
    one_thread()  # the number is one per thread, and Dask runs jobs in a thread of their own
    run = Run(Path(home) / "runs" / id)
    if Path(ending).exists() or not run.queued:
        return ""
    if run.finished:  # somebody asked for it again just before it ended
        queue.remove(id, run.home)
        return "finished"
    try:
        return execute(run.job, run.path, ending=Path(ending))
    finally:
        gc.collect()
