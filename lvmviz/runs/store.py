"""Where the runs are: one folder each, and a bound on all of them."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from lvmviz import __version__, own_data
from lvmviz.disk import make_folder, remedy
from lvmviz.runs.files import Damaged, read_sealed, write_sealed
from lvmviz.runs.job import WORKER_THREADS, Job, job_json, title
from lvmviz.runs.run import MissingRun, Run, RunBusy

LIMIT = 5_000_000_000  # bytes of all runs; those opened longest ago go first
FREE = 1_000_000_000  # bytes that must be left on the disk before something new begins
RUN = 500_000_000  # bytes that one run may take
FORMAT = 1
_ABANDONED_S = 3600  # a half-made folder this old belongs to a process that died

_sizes: dict[Path, tuple[tuple[int, ...], int]] = {}  # what a folder took when it last looked so


class StoreFull(OSError):
    """A disk without room for another run; the message says what to do."""


class Store:
    """The runs under one home; several processes may use them at once."""

    def __init__(self, home: Path | str | None = None) -> None:
        self.home = Path(home) if home is not None else own_data.home()
        self.path = self.home / "runs"

    def create(self, job: Job, owner: str = "") -> Run:
        """The run of this job, made where it is not there yet; equal jobs are one run.

        Raises StoreFull, and own_data.StoreError where nothing can be written.
        """
        path = self.path / run_id(job, owner)
        try:
            if _settled(path):
                return self.open(path.name)
            make_folder(self.path)
            self.make_room()
            _make(path, job, owner if job.private else "")
        except StoreFull:
            raise
        except OSError as error:
            raise own_data.StoreError(
                f"The run could not be kept in {self.path}: {error.strerror or error}. {remedy(error)}"
            ) from error
        return self.open(path.name)

    def open(self, id: str) -> Run:
        """The run of this name; raises MissingRun."""
        run = Run(self.path / id)
        run.touch()
        return run

    def runs(self, owner: str = "") -> list[Run]:
        """The runs that everyone may see and those of this owner, newest first."""
        found = [run for run in self._all() if run.owner in ("", owner)]
        return sorted(found, key=lambda run: (-run.created, run.id))

    def used(self) -> int:
        """The bytes that all runs take."""
        return sum(map(size_of, self.path.iterdir())) if self.path.is_dir() else 0

    def make_room(self) -> None:
        """Delete the runs opened longest ago until another one fits; never one that runs, waits or is pinned.

        Raises StoreFull where the disk is nearly full: with what, the store cannot know.
        """
        self._sweep()
        total = self.used()
        for run in sorted(self._all(), key=Run.opened):
            if total <= LIMIT - RUN:
                break
            size = size_of(run.path)
            if not (run.pinned or run.busy or run.queued):
                with contextlib.suppress(RunBusy, FileNotFoundError):  # begun or deleted in between
                    run.delete()
                    total -= size
        if shutil.disk_usage(self.path).free < FREE:
            raise StoreFull(
                f"The disk of {self.path} has less than {FREE / 1e9:.1f} GB left: delete something there, "
                "or set LVMVIZ_HOME to a folder on another disk."
            )

    def _all(self) -> Iterator[Run]:
        names = os.listdir(self.path) if self.path.is_dir() else []
        for name in names:
            with contextlib.suppress(MissingRun):  # deleted meanwhile, damaged, or not a run
                yield Run(self.path / name)

    def _sweep(self) -> None:
        """Remove what a process that died had half made or half deleted."""
        for path in self.path.glob(".*"):
            with contextlib.suppress(OSError):  # another process was faster
                if time.time() - path.stat().st_mtime > _ABANDONED_S:
                    shutil.rmtree(path)


def run_id(job: Job, owner: str = "") -> str:
    """The name of a job's run, whoever asks with however many threads; on private data one for each owner."""
    name = job.named(WORKER_THREADS)
    return hashlib.sha256(f"{name} {owner}".encode()).hexdigest()[:16] if job.private else name


def _settled(path: Path) -> bool:
    """Whether the run is there with its settings whole."""
    try:
        return read_sealed(path / "job.json") is not None
    except Damaged:
        return False


def settings(id: str, job: Job, owner: str) -> dict[str, object]:
    """What job.json says."""
    return {
        "format": FORMAT,
        "id": id,
        "job": job_json(job),
        "version": __version__,
        "created": time.time(),
        "owner": owner,
        "title": title(job),
    }


def _make(path: Path, job: Job, owner: str) -> None:
    """Make the folder appear with its settings in it, or find that somebody else just did."""
    told = settings(path.name, job, owner)
    if path.is_dir():
        if not _settled(path):  # its settings are lost, or else another process just made it
            write_sealed(path / "job.json", told, sync=True)
        return
    part = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
    try:
        (part / "snapshots").mkdir(mode=0o700)
        write_sealed(part / "job.json", told, sync=True)
        os.rename(part, path)
    except OSError:
        shutil.rmtree(part, ignore_errors=True)
        if not _settled(path):
            raise


def size_of(path: Path) -> int:
    """The bytes a run's files take; counted again only when something was written."""
    with contextlib.suppress(OSError):  # deleted meanwhile
        looks = tuple(os.stat(place).st_mtime_ns for place in (path, path / "snapshots"))
        if _sizes.get(path, (None,))[0] != looks:
            _sizes[path] = looks, sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        return _sizes[path][1]
    return 0
