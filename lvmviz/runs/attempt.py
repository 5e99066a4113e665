"""One try at a run: it records, obeys, resumes, and keeps a sentence of what went wrong."""

from __future__ import annotations

import errno
import os
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from lvmviz.runs import queue
from lvmviz.runs.files import Damaged, Lock, read_sealed, write_sealed
from lvmviz.runs.job import Job, Snapshot
from lvmviz.runs.record import Heart, Recorder
from lvmviz.runs.run import control_of
from lvmviz.runs.steps import steps

OBEY_S = 0.1  # between two looks at what others want
_ORDERS = {"pause": "paused", "stop": "stopped"}


class Attempt:
    """One try at a run, by the one who holds its lease."""

    def __init__(self, job: Job, path: Path, number: int, ending: Callable[[], bool]) -> None:
        self.job = job
        self.path = path
        self.number = number
        self.last: Snapshot | None = None  # the newest state, everything up to which is recorded
        self._ending = ending
        self._looked = -OBEY_S
        self.recorder = Recorder(job, path, number)

    def run(self) -> str:
        """Go on until the end, an order or a failure, and return the state."""
        self._log("began")
        try:
            with Heart(self.recorder, self.number):
                state = self._guarded()
        finally:
            self.recorder.close()
        self._log(state)
        return state

    def _guarded(self) -> str:
        recorder = self.recorder
        try:
            recorder.tell("running")
            self.last = recorder.resume()
            return self._obeyed()
        except KeyboardInterrupt:
            self._settle()
            recorder.tell("interrupted", self._info, cause=f"It was interrupted at step {recorder.step}.")
            raise
        except Exception as error:
            self._log(f"failed at step {recorder.step}\n{''.join(traceback.format_exception(error))}")
            self._settle()
            cause, remedy = reason(error, recorder.step)
            recorder.tell("failed", self._info, cause=cause, remedy=remedy)
            return "failed"

    def _obeyed(self) -> str:
        """Go on until the end or an order that stands.

        Who takes an order back while it is obeyed sees either "paused", and lets the run wait for a worker,
        or "running", and leaves it to this attempt: orders are looked at once more after the word is given.
        """
        while True:
            state = self._loop()
            self.recorder.tell(state, self._info, cause=self._cause(state))
            if state not in _ORDERS.values() or control_of(self.path) != "run":
                return state
            queue.remove(self.path.name, self.path.parents[1])
            self.recorder.tell("running", cause="")

    def _loop(self) -> str:
        order = self._order()
        if order:
            return order
        for snapshot, recorded, last in steps(self.job, self.last):
            self.recorder.step = snapshot.step
            if recorded:
                self.recorder.record(snapshot)
            self.last = snapshot  # only now: a step that could not be recorded is taken again
            order = "" if last else self._order()
            if order:
                self.recorder.settle(snapshot)
                return order
            self.recorder.tick(snapshot)
        assert self.last is not None
        self.recorder.finish(self.last)
        return "finished"

    def _order(self) -> str:
        """The state that somebody wants it to end in now, or nothing; asked a few times a second."""
        now = time.monotonic()
        if now - self._looked < OBEY_S:
            return ""
        self._looked = now
        return "interrupted" if self._ending() else _ORDERS.get(control_of(self.path), "")

    @property
    def _info(self) -> Any:
        """The numbers of the newest state: how a run ends is told together with them."""
        return None if self.last is None else self.last.info

    def _cause(self, state: str) -> str:
        return f"The app was closed at step {self.recorder.step}." if state == "interrupted" else ""

    def _settle(self) -> None:
        """Keep the newest state if it can be kept."""
        try:
            if self.last is not None:
                self.recorder.settle(self.last)
        except (OSError, ValueError) as error:  # the first failure is the one to tell
            self._log(f"the last state could not be kept: {error}")

    def _log(self, words: str) -> None:
        when = time.strftime("%Y-%m-%d %H:%M:%S")
        try:
            with open(self.path / "log.txt", "a", encoding="utf-8", opener=_private) as file:
                file.write(f"{when} attempt {self.number}, process {os.getpid()}: {words}\n")
        except OSError as error:
            self.recorder.notes.append(f"log.txt could not be written: {error.strerror}.")


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def give_up(path: Path, cause: str, remedy: str) -> bool:
    """Tell why a run waits no more that no worker could begin; False where somebody is at it after all."""
    lease = Lock(path / "lease")
    if not lease.acquire():
        return False
    try:
        number = lease.read()
        words = {"step": 0, **_told(path), "attempt": int(number) if number.isdecimal() else 0}
        write_sealed(path / "status.json", {**words, "state": "failed", "cause": cause, "remedy": remedy})
    finally:
        lease.release()
    return True


def _told(path: Path) -> dict[str, Any]:
    try:
        return read_sealed(path / "status.json") or {}
    except Damaged:
        return {}


def reason(error: Exception, step: int) -> tuple[str, str]:
    """What went wrong and what helps, for a person."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"The disk was full at step {step}.", "Free some space, then resume it."
    if isinstance(error, PermissionError) or getattr(error, "errno", None) == errno.EROFS:
        return f"The run's folder could not be written at step {step}.", "Make it writable, then resume it."
    if _out_of_memory(error):
        return f"Memory ran out at step {step}.", "Choose less data or a smaller model, then start it again."
    if isinstance(error, (ValueError, LookupError, OSError)) and not isinstance(
        error, (KeyError, IndexError)
    ):
        return str(error), ""
    return (
        f"The run failed at step {step}: {type(error).__name__}.",
        "The log says where; resume it to try again.",
    )


def _out_of_memory(error: Exception) -> bool:
    """On the CPU torch has no type of its own for it."""
    words = ("can't allocate memory", "not enough memory")
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or (
        isinstance(error, RuntimeError) and any(word in str(error) for word in words)
    )
