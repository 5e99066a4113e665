"""Jobs done: in memory, or in the folder of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from lvmviz.own_data import StoreError
from lvmviz.runs import queue
from lvmviz.runs.attempt import Attempt
from lvmviz.runs.files import Damaged, Lock, make_folder, quarantine, read_sealed, write_sealed
from lvmviz.runs.job import Job, Snapshot, Trace, job_json
from lvmviz.runs.steps import steps
from lvmviz.runs.store import settings

LEASE_S = 1.0  # somebody who asks whether a run lives holds its lease for a moment


class Leased(RuntimeError):
    """A run that somebody else executes already."""


def snapshots(job: Job, after: Snapshot | None = None) -> Iterator[Snapshot]:
    """Every snapshot of a job in order, from the start or from the one after `after`."""
    return (step.snapshot for step in steps(job, after) if step.recorded)


def run(job: Job) -> Trace:
    """The whole trace of a job, in memory, in this thread."""
    return Trace(job, snapshots(job))


def execute(job: Job, run_dir: Path | str, ending: Callable[[], bool] | Path | None = None) -> str:
    """Do a job in the folder of its run, from its last checkpoint on, and return the state it ends in.

    That is "finished", "paused", "stopped", "failed", or "interrupted" when `ending` (a question, or a file
    that appears) asks for a graceful end. Raises Leased where somebody else is at it, StoreError where the
    folder cannot be written and ValueError where it is another job's; whatever goes wrong later is told in
    the run's status and log.
    """
    path = Path(run_dir).absolute()
    try:
        make_folder(path)
        lease = Lock(path / "lease")
        if not lease.acquire(LEASE_S):
            raise Leased(f"The run {path.name} is running already: watch it, or stop it first.")
        try:
            attempt = _number(lease)
            _settle(job, path)
            queue.remove(path.name, path.parents[1])
            return Attempt(job, path, attempt, _question(ending)).run()
        finally:
            lease.release()
    except OSError as error:
        raise StoreError(
            f"The run could not be written in {path}: {error.strerror or error}. "
            "Make the folder writable, or set LVMVIZ_HOME to one that is."
        ) from error


def _question(ending: Callable[[], bool] | Path | None) -> Callable[[], bool]:
    if isinstance(ending, Path):
        return ending.exists
    return ending or (lambda: False)


def _settle(job: Job, path: Path) -> None:
    """Write job.json where there is none that is whole; ValueError where it is another job's."""
    try:
        told = read_sealed(path / "job.json")
    except Damaged:
        quarantine(path / "job.json")
        told = None
    if told is None:
        write_sealed(path / "job.json", settings(path.name, job, ""), sync=True)
    elif told["job"] != job_json(job):
        raise ValueError(f"the folder {path.name} holds the run of another job: choose another folder")


def _number(lease: Lock) -> int:
    """The number of this attempt, one more than the last."""
    before = lease.read()
    attempt = int(before) + 1 if before.isdecimal() else 1
    lease.write(str(attempt))
    return attempt
