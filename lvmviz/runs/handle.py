"""A run in the background, as the one who asked for it holds it."""

from __future__ import annotations

import sys
import time
from typing import Any

from lvmviz.runs import engine, queue
from lvmviz.runs.job import Job, Trace
from lvmviz.runs.run import ANEW, Run, control_of
from lvmviz.runs.status import Status
from lvmviz.runs.store import Store

SOONEST_S, LATEST_S = 0.02, 0.5  # between two looks at a run that is waited for


class RunEnded(RuntimeError):
    """A run that ended without finishing; the message says why and what to do."""


class Handle:
    """A run that goes on by itself: in the engine, which lives while somebody uses it.

    It may be dropped and asked for again at any time; what was computed is in the run's folder.
    """

    def __init__(self, run: Run) -> None:
        self._run = run

    def __repr__(self) -> str:
        return (
            f"<run {self.id}: {self.status.state} at step {self.status.step} of at most {self.status.steps}>"
        )

    @property
    def id(self) -> str:
        """The run's name: equal jobs have the same."""
        return self._run.id

    @property
    def job(self) -> Job:
        """What is computed."""
        return self._run.job

    @property
    def status(self) -> Status:
        """What it is doing now; where it does nothing, why."""
        return self._run.status()

    @property
    def trace(self) -> Trace:
        """The snapshots that are there now."""
        return self._run.trace()

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """The numbers of every recorded step, in order."""
        return self._run.metrics()

    def wait(self, timeout: float | None = None, *, progress: bool = True) -> Trace:
        """Wait until the run has finished, with progress in a terminal or notebook, and return its trace.

        A run that is paused or stopped meanwhile returns what it has. Raises RunEnded where it failed or was
        interrupted, TimeoutError after `timeout` seconds; neither ends a run that goes on.
        """
        until = None if timeout is None else time.monotonic() + timeout
        status = follow(self._run, until, progress=progress)
        if status.active:
            raise TimeoutError(
                f"The run {self.id} is {status.state} at step {status.step} after {timeout:g} s."
            )
        if status.state in ("failed", "interrupted"):
            raise RunEnded(f"{status.cause} {status.remedy}".strip())
        return self.trace

    def stop(self) -> None:
        """End it at the next step; what it has is kept."""
        self._run.control("stop")

    def pause(self) -> None:
        """Let it rest at the next step, with a checkpoint."""
        self._run.control("pause")

    def resume(self) -> Handle:
        """Go on from the last checkpoint."""
        return start(self._run)


def submit(job: Job, owner: str = "") -> Handle:
    """Have a job computed in the background; equal jobs are one run, whoever asks.

    A finished run is returned as it is, one that was paused, stopped, interrupted or failed goes on from its
    last checkpoint. Returns at once. Raises OSError with a sentence where nothing can be kept.
    """
    return start(Store().create(job, owner))


def start(run: Run) -> Handle:
    """Have a run go on, unless it has finished or goes on already; ValueError where it cannot."""
    if run.ended:
        raise ValueError(f"The run {run.id} was computed elsewhere. {ANEW}")
    if run.status().state != "finished":
        busy = run.busy
        going_on = busy and control_of(run.path) == "run"
        run.control("run")
        if not going_on:  # also one that is about to obey a pause: it waits until its lease is free
            queue.enqueue(run)
            if run.finished or (run.busy and not busy):  # another who asked at once was faster
                queue.remove(run.id, run.home)
        engine.ensure(run.home)
    return Handle(run)


def follow(run: Run, until: float | None = None, *, progress: bool = True) -> Status:
    """The status of a run once nothing more happens by itself, or when the monotonic clock says `until`."""
    from tqdm.auto import tqdm  # noqa: PLC0415  # only those who wait need it

    pause, status = SOONEST_S, run.status()
    with tqdm(total=status.steps, unit="step", disable=not progress, file=sys.stderr, leave=True) as bar:
        while True:
            status, moved = run.status(), status
            bar.set_description_str(status.state, refresh=False)
            bar.update(status.step - bar.n)
            if status.state == "queued" and not (engine.wanted() or engine.alive(run.home)):
                raise RuntimeError(f"The run {run.id} waits for an engine, and LVMVIZ_ENGINE=off wants none.")
            if not status.active or (until is not None and time.monotonic() >= until):
                return status
            pause = SOONEST_S if status[:2] != moved[:2] else min(LATEST_S, 1.5 * pause)
            time.sleep(pause)
