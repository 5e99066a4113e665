"""The writing side of a run: the files of one attempt, each written by it alone."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import torch

from lvmviz import __version__
from lvmviz.runs.codec import decode, encode, size
from lvmviz.runs.files import (
    Damaged,
    append,
    make_folder,
    quarantine,
    seal,
    unseal_lines,
    write,
    write_sealed,
)
from lvmviz.runs.job import Job, Snapshot
from lvmviz.runs.trace import snapshot_path, steps_kept

KEEP = 256  # snapshots of a run
LINES = 65_536  # steps whose numbers are kept
ROOM = 400_000_000  # bytes of a run's snapshots and checkpoints
TELL_S = 0.2  # between two words about how far it is
BEAT_S = 1.0
CHECKPOINT_S = 1.0  # at least, between two checkpoints
SHARE = 0.02  # of the time, at most, for checkpoints, and as much for showing the newest state
RATE_S = 5.0  # over which steps are counted
MEMORY_LIMIT = "LVMVIZ_MEMORY_LIMIT"  # where the engine says how many bytes its worker may hold


def spacing(index: int, most: int) -> int:
    """A power of two: when every so-many-th of the records 0 to `index` stays, they are at most `most`."""
    step = 1
    while index // step + 1 > most:
        step *= 2
    return step


def kept(index: int, most: int) -> bool:
    """Whether the record of this index is worth writing when it is the newest."""
    return index % spacing(index, most) == 0


class Recorder:
    """Writes what an attempt computes, in such an order that a kill at any moment loses nothing told before.

    Which states and lines stay is a function of the steps alone, so a run that was interrupted leaves the
    same files as one that was not.
    """

    def __init__(self, job: Job, path: Path, attempt: int) -> None:
        self.job = job
        self.path = path
        self.step = 0  # the last one computed
        self.notes: list[str] = []
        self._words = _first_words(job, attempt)
        self._most = 0  # snapshots to keep; not known before the first
        self._spacing = 1
        self._unshown: Snapshot | None = None  # the newest recorded, where it has no file yet
        self._interim: int | None = None  # the step whose file is there only while it is the newest
        self._told_at = time.monotonic()
        self._marks = ((self._told_at, 0), (self._told_at, 0))  # when it was at which step
        self._next_show = self._told_at
        self._next_checkpoint = self._told_at + CHECKPOINT_S
        self._saves = 0
        make_folder(path / "snapshots")
        _sweep(path)
        self._metrics = _open_lines(path / "metrics.jsonl")

    def close(self) -> None:
        """Let go of the files."""
        os.close(self._metrics)

    # ---- before the first step ----

    def resume(self) -> Snapshot | None:
        """The newest checkpoint that is whole; the damaged ones are put aside and told of."""
        good = [(one.step, at, one) for at in (0, 1) if (one := self._load(self._checkpoint(at))) is not None]
        step, at, after = max(good, key=lambda item: item[:2], default=(0, 1, None))
        self._saves = at + 1  # the next one goes into the other's place
        self.step = step
        self._marks = ((time.monotonic(), step),) * 2
        self._told_at = -TELL_S  # the first step is told at once
        if self.notes:
            self.notes.append(f"The run went on from {'the start' if after is None else f'step {step}'}.")
        return after

    def _checkpoint(self, at: int) -> Path:
        return self.path / f"checkpoint-{at}.safetensors"

    def _load(self, path: Path) -> Snapshot | None:
        try:
            return decode(path.read_bytes(), self.job.device)
        except FileNotFoundError:
            return None
        except Damaged:
            self.notes.append(quarantine(path))
            return None

    # ---- while it runs ----

    def record(self, snapshot: Snapshot) -> None:
        """Write a recorded step's numbers and, where it is one of those that stay, its state."""
        index, rest = divmod(snapshot.step, self.job.every)
        self._most = self._most or most(self.job, snapshot.state)
        if rest:  # it is the last, and `finish` writes it
            return
        if kept(index, LINES):
            self._line(snapshot)
        self._unshown = snapshot
        if kept(index, self._most):
            self._show(snapshot)
        if spacing(index, self._most) != self._spacing:
            self._spacing = spacing(index, self._most)
            self._thin(snapshot.step, self._spacing)

    def tick(self, snapshot: Snapshot) -> None:
        """Now and then: say how far it is, show the newest state, keep a checkpoint."""
        now = time.monotonic()
        if now - self._told_at < TELL_S:
            return
        if self._unshown is not None and now >= self._next_show:
            self._show(self._unshown)
            self._next_show = now + (time.monotonic() - now) / SHARE
        if now >= self._next_checkpoint:
            self.save(snapshot)
        self.tell("running", snapshot.info)

    def tell(self, state: str, info: Any = None, **words: Any) -> None:
        """Write the status."""
        now = time.monotonic()
        self._words |= {
            "state": state,
            "step": self.step,
            "updated": time.time(),
            "rate": self._rate(now),
            "snapshots": len(steps_kept(self.path)),
            "elbo": getattr(info, "elbo", self._words["elbo"]),
            "notes": self.notes,
            **words,
        }
        _tell(self.path / "status.json", self._words)
        self._told_at = now

    def _rate(self, now: float) -> float:
        """Steps a second, over the last 5 to 10 seconds."""
        since, step = self._marks[0]
        if now - self._marks[1][0] > RATE_S:
            self._marks = (self._marks[1], (now, self.step))
        return (self.step - step) / (now - since) if now > since else 0.0

    def save(self, snapshot: Snapshot) -> None:
        """Keep the whole state in the place of the older of the two checkpoints."""
        begun = time.monotonic()
        write(self._checkpoint(self._saves % 2), encode(*snapshot))
        self._saves += 1
        now = time.monotonic()
        self._next_checkpoint = now + max(CHECKPOINT_S, (now - begun) / SHARE)

    def settle(self, snapshot: Snapshot) -> None:
        """Leave everything so that another attempt can go on."""
        if self._unshown is not None:
            self._show(self._unshown)
        self.save(snapshot)

    def finish(self, snapshot: Snapshot) -> None:
        """Leave what stays of a run that has come to its end."""
        every = self.job.every
        index = -(-snapshot.step // every)
        self._most = self._most or most(self.job, snapshot.state)
        if snapshot.step % every or not kept(index, LINES):
            self._line(snapshot)
        self._show(snapshot)
        self._thin(snapshot.step, spacing(index, self._most))
        _tidy(self.path / "metrics.jsonl")
        self._saves = 0
        self.save(snapshot)
        self._checkpoint(1).unlink(missing_ok=True)

    def _line(self, snapshot: Snapshot) -> None:
        append(self._metrics, seal({"step": snapshot.step, **snapshot.info._asdict()}))

    def _show(self, snapshot: Snapshot) -> None:
        """Write the state's file, and remove the one that was there only while it was the newest."""
        step, state, info = snapshot
        content = encode(step, self.job.algorithm.shown(state), info)
        write(snapshot_path(self.path, step), content, sync=False)
        before, self._interim = self._interim, None
        if not self._stays(step, self._spacing):
            self._interim = step
        if before is not None and before != step:
            snapshot_path(self.path, before).unlink(missing_ok=True)
        self._unshown = None

    def _thin(self, newest: int, spacing: int) -> None:
        for step in steps_kept(self.path):
            if step != newest and not self._stays(step, spacing):
                snapshot_path(self.path, step).unlink(missing_ok=True)

    def _stays(self, step: int, spacing: int) -> bool:
        return step % (self.job.every * spacing) == 0


def _sweep(path: Path) -> None:
    """Remove what a killed attempt was writing; `control` and `job` belong to others."""
    for mine in ("snapshots/*", "status.*", "heartbeat.*", "checkpoint-*", "metrics.*"):
        for part in path.glob(f"{mine}.part"):
            part.unlink(missing_ok=True)


def most(job: Job, state: Any) -> int:
    """How many snapshots fit: their sizes follow from the settings, so every attempt agrees."""
    left = ROOM - 2 * size(state)
    return max(2, min(KEEP, left // (size(job.algorithm.shown(state)) + 4096)))


def _first_words(job: Job, attempt: int) -> dict[str, Any]:
    return {
        "state": "running",
        "step": 0,
        "steps": job.steps,
        "attempt": attempt,
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "device": job.device,
        "threads": torch.get_num_threads(),
        "started": time.time(),
        "rate": 0.0,
        "elbo": None,
        "cause": "",
        "memory_limit": int(os.environ.get(MEMORY_LIMIT) or psutil.virtual_memory().total),
        "version": __version__,
    }


def _open_lines(path: Path) -> int:
    """The file to append to, its last line ended if a kill has torn it."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    end = os.fstat(handle).st_size
    if end and os.pread(handle, 1, end - 1) != b"\n":
        append(handle, b"\n")
    return handle


def _tidy(path: Path) -> None:
    """Leave one line a step, in order: an attempt that went on has repeated some."""
    content = path.read_bytes()
    lines = {row["step"]: row for row in unseal_lines(content)}
    tidy = b"".join(seal(lines[step]) for step in sorted(lines))
    if tidy != content:
        write(path, tidy)


def _tell(path: Path, words: dict[str, Any]) -> None:
    """Write the status; where a new file finds no room, into the old one, which has its place already."""
    try:
        write_sealed(path, words)
    except OSError:
        handle = os.open(path, os.O_WRONLY)
        try:
            os.ftruncate(handle, os.pwrite(handle, seal(words), 0))
        finally:
            os.close(handle)


class Heart:
    """Beats once a second while an attempt lives, whatever its steps take."""

    def __init__(self, recorder: Recorder, attempt: int) -> None:
        self._recorder = recorder
        self._attempt = attempt
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._beats, name="heartbeat", daemon=True)

    def __enter__(self) -> Heart:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _beats(self) -> None:
        process, beat = psutil.Process(), 0
        while True:
            beat += 1
            told = {
                "attempt": self._attempt,
                "beat": beat,
                "memory": process.memory_info().rss,
                "step": self._recorder.step,
            }
            with contextlib.suppress(OSError):  # a full disk is told by the loop; the heart beats on
                write_sealed(self._recorder.path / "heartbeat.json", told)
            if self._end.wait(BEAT_S):
                return
