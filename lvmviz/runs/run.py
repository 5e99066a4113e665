"""A run as its files tell it: the reading side, and the words and marks by which others steer it.

Reading takes no lock that a worker would wait for and may happen at any moment: files appear whole, lines
carry their checksum, and what is damaged is told.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import time
from pathlib import Path
from typing import Any

from lvmviz.runs import queue
from lvmviz.runs.files import Damaged, Lock, held, read_sealed, unseal_lines, write
from lvmviz.runs.job import Job, job_from_json
from lvmviz.runs.status import Status, judge
from lvmviz.runs.trace import StoredTrace

WORDS = ("run", "pause", "stop")
IMPORTED = "It was computed elsewhere and imported: nobody here has checked its numbers."

ANEW = "It cannot go on here: start it anew with the same settings."


class MissingRun(LookupError):
    """A run that is not here, or whose settings are lost; the message says which and what to do."""


class RunBusy(RuntimeError):
    """A run that cannot be deleted because a worker is at it."""


class Run:
    """A run in its folder. Equal runs read the same files; nothing is kept here that these do not say."""

    def __init__(self, path: Path) -> None:
        """Read the settings; raises MissingRun where there are none."""
        told = _settings(path)
        self.path = path
        self.id: str = path.name
        try:
            self.job: Job = job_from_json(told["job"])
        except (ValueError, KeyError) as error:
            raise MissingRun(f"The run {path.name} is of another lvmviz: {error}.") from error
        self.owner: str = told.get("owner", "")
        self.created: float = told.get("created", 0.0)  # seconds since 1970
        self.version: str = told.get("version", "")
        self.title: str = told.get("title", "")
        self.imported: bool = bool(told.get("imported"))  # what it had then was computed elsewhere
        self.ended: bool = bool(told.get("ended"))  # as what was computed elsewhere cannot go on here

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Run) and self.path == other.path

    def __hash__(self) -> int:
        return hash(self.path)

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @property
    def home(self) -> Path:
        """The folder of everything lvmviz keeps, this run among it."""
        return self.path.parents[1]

    @property
    def busy(self) -> bool:
        """Whether a living worker is at it."""
        return held(self.path / "lease")

    @property
    def finished(self) -> bool:
        """Whether its last attempt has said that nothing is left to do."""
        told, _ = self._read("status.json")
        return (told or {}).get("state") == "finished"

    @property
    def queued(self) -> bool:
        """Whether it waits for a worker."""
        return (queue.folder(self.home) / self.id).exists()

    @property
    def pinned(self) -> bool:
        """Whether it is kept however full the disk is."""
        return (self.path / "pinned").exists()

    def status(self) -> Status:
        """What it is doing now."""
        queued = self.queued  # before the lease: a run leaves the queue only once it holds that
        holder, told, notes = self._holder(), *self._read("status.json")
        if (
            not holder and (told or {}).get("state", "running") == "running"
        ):  # dead, or begun or ended between
            holder, told, notes = self._holder(), *self._read("status.json")
        beat, more = self._read("heartbeat.json")
        status = judge(
            told,
            beat,
            steps=self.job.steps,
            held=holder,
            queued=queued,
            alive=held(self.home / "engine" / "engine.lock"),
            control=control_of(self.path),
            silent_s=_reader(self.path).silent_s(beat) if holder else 0.0,
            notes=(*notes, *more, *((IMPORTED,) if self.imported else ())),
        )
        return status._replace(remedy=ANEW) if self.ended and status.remedy else status

    def metrics(self) -> list[dict[str, Any]]:
        """Every recorded step and its numbers, in order; only what is new is read."""
        return _reader(self.path).metrics()

    def trace(self) -> StoredTrace:
        """The snapshots that are there now."""
        return StoredTrace(self.job, self.path)

    def control(self, word: str) -> None:
        """Tell whoever works at it, now or next: "run", "pause" or "stop"."""
        if word not in WORDS:
            raise ValueError(f"a run obeys {', '.join(WORDS)}, not {word!r}")
        write(self.path / "control", word.encode(), sync=False)
        if word != "run":
            queue.remove(self.id, self.home)

    def pin(self, pinned: bool = True) -> None:
        """Keep it however full the disk is, or no longer."""
        if pinned:
            (self.path / "pinned").touch(mode=0o600)
        else:
            (self.path / "pinned").unlink(missing_ok=True)

    def touch(self) -> None:
        """Note that somebody has opened it; where nothing can be written, reading goes on without."""
        with contextlib.suppress(OSError):
            (self.path / "opened").touch(mode=0o600)

    def opened(self) -> float:
        """When somebody last opened it, seconds since 1970."""
        with contextlib.suppress(OSError):
            return (self.path / "opened").stat().st_mtime
        return self.created

    def delete(self) -> None:
        """Remove it with all it holds; raises RunBusy while a worker is at it."""
        lease = Lock(self.path / "lease")
        if not lease.acquire():
            raise RunBusy(f"The run {self.id} is running: stop it first.")
        try:
            queue.remove(self.id, self.home)
            gone = self.path.with_name(f".{self.id}.{os.getpid()}.gone")  # a run is there whole or not at all
            os.replace(self.path, gone)
            shutil.rmtree(gone)
        finally:
            lease.release()

    def log(self) -> str:
        """When it began and ended, and what went wrong, for a developer."""
        try:
            return (self.path / "log.txt").read_text("utf-8", "replace")
        except FileNotFoundError:
            return ""

    def _holder(self) -> int:
        """The number of the attempt that is at it, 0 where none is; -1 where one has not written it yet."""
        lease = self.path / "lease"
        if not held(lease):
            return 0
        number = lease.read_bytes()
        return int(number) if number.isdigit() else -1

    def _read(self, name: str) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
        try:
            return read_sealed(self.path / name), ()
        except Damaged as error:
            return None, (f"{error}; the rest of the run is whole.",)


def _settings(path: Path) -> dict[str, Any]:
    if not queue.ID.fullmatch(path.name):  # it may come from a URL
        raise MissingRun("This names no run (a name has 16 hexadecimal digits); start it again.")
    try:
        told = read_sealed(path / "job.json")
    except Damaged as error:
        raise MissingRun(
            f"The settings of the run {path.name} are damaged; start it again with the same "
            "settings, and it goes on from where it was."
        ) from error
    if told is None:
        raise MissingRun(f"The run {path.name} is not on this computer; start it again.")
    return told


def control_of(path: Path) -> str:
    """The word in a run's control file; "run" where there is none, or none that is known."""
    try:
        word = (path / "control").read_bytes().strip().decode("ascii", "replace")
    except FileNotFoundError:
        return "run"
    return word if word in WORDS else "run"


# ---- what only one who watches for a while can know ----


class _Reader:
    """How far a run's metrics are read, and since when its heart is seen to stand still."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._start()
        self._beat: tuple[Any, float] = (None, 0.0)

    def _start(self) -> None:
        self._file: tuple[int, int] = (0, 0)
        self._offset = 0
        self._rows: dict[int, dict[str, Any]] = {}
        self._sorted: list[dict[str, Any]] = []

    def metrics(self) -> list[dict[str, Any]]:
        try:
            handle = os.open(self._path / "metrics.jsonl", os.O_RDONLY)
        except FileNotFoundError:
            self._start()
            return []
        with os.fdopen(handle, "rb") as file:
            state = os.fstat(handle)
            if (state.st_dev, state.st_ino) != self._file or state.st_size < self._offset:
                self._start()
                self._file = (state.st_dev, state.st_ino)
            if state.st_size > self._offset:
                file.seek(self._offset)
                self._add(file.read())
        return list(self._sorted)

    def _add(self, content: bytes) -> None:
        end = content.rfind(b"\n") + 1  # a last line that is still being written is left for later
        self._offset += end
        for row in unseal_lines(content[:end]):
            self._rows[row["step"]] = row
        self._sorted = [self._rows[step] for step in sorted(self._rows)]

    def silent_s(self, beat: dict[str, Any] | None) -> float:
        """For how long this process has seen the same heartbeat, by its own clock."""
        seen = None if beat is None else (beat.get("attempt"), beat.get("beat"))
        now = time.monotonic()
        if seen != self._beat[0] or not self._beat[1]:
            self._beat = (seen, now)
        return now - self._beat[1]


_reader = functools.lru_cache(maxsize=64)(_Reader)
