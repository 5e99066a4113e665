"""The engine as its clients see it: a process that executes what waits in the queue, alive while it is used.

A client holds a shared lock for as long as it lives, the engine a lock of its own. The kernel frees them when
their process is gone, so each knows of the other without a word or a clock. The engine itself is in serve.py.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import lvmviz
from lvmviz.own_data import home
from lvmviz.runs.files import Damaged, Lock, held, make_folder, read_sealed

WATCH_S = 1.0  # how often a client looks whether its engine lives
SHORT_S = 10.0  # an engine that lived no longer could not start; the next waits twice as long as the last
LONGEST_S = 60.0


def folder(base: Path | None = None) -> Path:
    """Where an engine keeps its locks and keys."""
    return (base or home()) / "engine"


def alive(base: Path | None = None) -> bool:
    """Whether an engine works for this home."""
    return held(folder(base) / "engine.lock")


def wanted() -> bool:
    """Whether work in the background is switched on: LVMVIZ_ENGINE=off does without."""
    said = os.environ.get("LVMVIZ_ENGINE", "on").lower()
    if said not in ("on", "off"):
        raise ValueError(f"LVMVIZ_ENGINE is {said!r}: it can be on or off")
    return said == "on"


def about(base: Path | None = None) -> dict[str, Any]:
    """What a living engine has told of itself (pid, version, workers, address, since), else nothing."""
    if not alive(base):
        return {}
    try:
        return read_sealed(folder(base) / "engine.json") or {}
    except Damaged:
        return {}  # it says who the engine is, not whether there is one


def fault(base: Path | None = None) -> str:
    """Why the engine that this process started for this home does not work; "" where none has failed.

    The next try does not unsay it: only an engine that has told of itself does.
    """
    base = (base or home()).absolute()
    stay = _stays.get(base)
    if stay is None or not stay.last_words or about(base):
        return ""
    return f"The engine, which works in the background, could not start: {stay.last_words}."


class _Stay:
    """One home's engine, kept alive by this process."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.client = Lock(folder(base) / "clients.lock", shared=True)
        self.child: subprocess.Popen[bytes] | None = None
        self.started, self.pause = 0.0, 0.0  # monotonic seconds, of this process alone
        self.last_words = ""  # of an engine that could not start

    def tend(self) -> None:
        """Start the engine where none lives; one that cannot start is tried again, ever more seldom."""
        self.client.acquire()
        gone = self.child is not None and self.child.poll() is not None
        now = time.monotonic()
        if gone:
            short = now - self.started < SHORT_S
            self.pause = min(LONGEST_S, 2 * self.pause or WATCH_S) if short else 0.0
            told = (folder(self.base) / "engine.json").exists()  # it had started; something else ended it
            self.last_words = "" if told or not short else self._said()
            self.child = None
        if not alive(self.base) and now >= self.started + self.pause:
            self.start()

    def start(self) -> None:
        """The engine is born with its lock held, so no two are started, whoever asks at once."""
        lock = Lock(folder(self.base) / "engine.lock")
        if not lock.acquire():
            return
        try:
            (folder(self.base) / "engine.json").unlink(missing_ok=True)  # the one before told that
            self.child = _spawn(self.base, lock.fileno())
            self.started = time.monotonic()
        finally:
            lock.release()

    def _said(self) -> str:
        lines = (folder(self.base) / "output.txt").read_text("utf-8", "replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")[:200]


_stays: dict[Path, _Stay] = {}
_tending = threading.Lock()
_leaving = threading.Event()
_keepers: list[threading.Thread] = []
_parted: list[subprocess.Popen[bytes]] = []


def ensure(base: Path | None = None) -> None:
    """Have an engine work for this home, now and for as long as this process lives.

    Returns at once: the engine takes seconds to get ready, and what waits in the queue is not lost meanwhile.
    Raises OSError with a sentence where its folder cannot be written, ValueError where a setting is wrong.
    """
    if not wanted():
        return
    base = (base or home()).absolute()
    with _tending:
        if base not in _stays:
            make_folder(folder(base))
            _stays[base] = _Stay(base)
        _stays[base].tend()
        if not _keepers or not _keepers[0].is_alive():  # also after a fork, which takes no thread along
            _leaving.clear()
            _keepers[:] = [threading.Thread(target=_keep, name="lvmviz engine watch", daemon=True)]
            _keepers[0].start()


def leave(base: Path | None = None) -> None:
    """Need the engine of this home no more; it ends when nobody does."""
    with _tending:
        stay = _stays.pop((base or home()).absolute(), None)
        if stay is not None:
            _part(stay)


def _keep() -> None:
    while not _leaving.wait(WATCH_S):
        with _tending:
            for base in [base for base in _stays if not folder(base).is_dir()]:
                _part(_stays.pop(base))  # its home was deleted: that is no engine's death
            _parted[:] = [child for child in _parted if child.poll() is None]
            for stay in _stays.values():
                with contextlib.suppress(OSError):  # a full disk passes; the next look is in a second
                    stay.tend()


def _part(stay: _Stay) -> None:
    stay.client.release()
    if stay.child is not None:
        _parted.append(stay.child)  # it still ends, and somebody has to take note


@atexit.register
def _stop_keeping() -> None:
    """No engine is started by a process that is about to end, nor waited for."""
    _leaving.set()
    for child in [*_parted, *(stay.child for stay in _stays.values())]:
        if child is not None and child.poll() is None:
            child.returncode = 0  # else Python warns that a child is still running, as it should be


def _spawn(base: Path, lock: int) -> subprocess.Popen[bytes]:
    """Start the engine in a session of its own: Ctrl-C in our terminal is not meant for it."""
    environment = {**os.environ, "LVMVIZ_HOME": str(base), "PYTHONPATH": _path()}
    command = [sys.executable, "-m", "lvmviz", "engine", "--lock", str(lock)]
    with open(folder(base) / "output.txt", "wb", opener=_private) as output:
        return subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            pass_fds=[lock],
        )


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _path() -> str:
    """PYTHONPATH for the engine, which must find this package where it is not installed, too."""
    root = Path(lvmviz.__file__).parents[1]
    own = [] if root.name == "site-packages" else [str(root)]  # PYTHONPATH comes before Python's own modules
    return os.pathsep.join([*own, *filter(None, [os.environ.get("PYTHONPATH")])])
