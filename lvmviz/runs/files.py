"""What the files of a run are made with: sealed lines, quarantine, and locks that die with their process.

A sealed line is one line of JSON whose last member is the CRC-32 of what stands before it, so that a torn or
damaged one is known. A lock is the kernel's (flock): it is free as soon as its process is gone, however that
went, and no clock is asked.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lvmviz.disk import make_folder, remedy, sync_folder, write

try:
    import fcntl
except ImportError:  # Windows: everything works there but runs in the background
    fcntl = None

__all__ = [
    "Damaged", "Lock", "append", "held", "make_folder", "quarantine", "read_sealed", "seal", "sync_folder",
    "unseal", "unseal_lines", "write", "write_sealed",
]  # fmt: skip

_SEAL = b',"crc":'
_WAIT_S = 0.01  # between two tries for a lock


class Damaged(ValueError):
    """A file that is no longer what was written; the message says which."""


def seal(data: Mapping[str, Any]) -> bytes:
    """A line of JSON, not empty, with its checksum."""
    body = json.dumps(data, separators=(",", ":")).encode("ascii")[:-1]
    return b"%b%b%d}\n" % (body, _SEAL, zlib.crc32(body))


def unseal(line: bytes) -> dict[str, Any]:
    """What was sealed; Damaged where anything was lost or changed."""
    body, _, tail = line.rpartition(_SEAL)
    if tail != b"%d}\n" % zlib.crc32(body):
        raise Damaged("the line is damaged")
    return json.loads(body + b"}")


def unseal_lines(content: bytes) -> Iterator[dict[str, Any]]:
    """The whole lines of a metrics file; torn and damaged ones are left out."""
    for line in content.splitlines(keepends=True):
        with contextlib.suppress(Damaged):
            yield unseal(line)


def write_sealed(path: Path, data: Mapping[str, Any], *, sync: bool = False) -> None:
    """Replace a file by one sealed line."""
    write(path, seal(data), sync=sync)


def read_sealed(path: Path) -> dict[str, Any] | None:
    """What a file of one sealed line holds, None where there is none; Damaged where it is broken."""
    try:
        return unseal(path.read_bytes())
    except FileNotFoundError:
        return None
    except Damaged as error:
        raise Damaged(f"{path.name} is damaged") from error


def append(handle: int, content: bytes) -> None:
    """Write all of the content at the end of an open file."""
    while content:
        content = content[os.write(handle, content) :]


def quarantine(path: Path) -> str:
    """Put a damaged file aside, where a person can look at it, and return the sentence that says so."""
    aside = path.with_name(path.name + ".damaged")
    try:
        os.replace(path, aside)
    except FileNotFoundError:
        return f"{path.name} is damaged and was put aside by somebody else."
    except OSError:
        return f"{path.name} is damaged and could not be put aside."
    return f"{path.name} is damaged and was put aside as {aside.name}."


class Lock:
    """A lock on a file, held by this process until it is released or the process ends.

    `shared`: any number may hold it together, but not with one who holds it alone. As a context manager it
    waits for as long as it takes.
    """

    def __init__(self, path: Path, *, shared: bool = False) -> None:
        self.path = path
        self.shared = shared
        self._handle: int | None = None

    def acquire(self, wait_s: float = 0.0) -> bool:
        """Whether the lock is held now; it is tried for for so many seconds."""
        until = time.monotonic() + wait_s
        while not self._try():
            if time.monotonic() >= until:
                return False
            time.sleep(_WAIT_S)
        return True

    def release(self) -> None:
        """Let others have it."""
        if self._handle is not None:
            os.close(self._handle)  # this frees it
            self._handle = None

    def read(self) -> str:
        """What the holder has written into the file."""
        return os.pread(self._open(), 4096, 0).decode("utf-8", "replace")

    def write(self, text: str) -> None:
        """Write into the locked file, in place: a renamed one would not be locked."""
        handle = self._open()
        os.ftruncate(handle, 0)
        os.pwrite(handle, text.encode(), 0)

    def fileno(self) -> int:
        """The open file: a child process that inherits it holds the lock with us."""
        return self._open()

    def __enter__(self) -> Lock:
        while not self.acquire(60.0):
            continue
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _open(self) -> int:
        if self._handle is None:
            raise RuntimeError(f"{self.path.name} is not held")
        return self._handle

    def _try(self) -> bool:
        if self._handle is not None:
            return True
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        if _flock(handle, self.shared) and _same(handle, self.path):
            self._handle = handle
            return True
        os.close(handle)
        return False


def held(path: Path) -> bool:
    """Whether a living process holds the lock for itself alone; asking takes nothing from anybody."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        return not _flock(handle, shared=True)
    finally:
        os.close(handle)


def _flock(handle: int, shared: bool) -> bool:
    if fcntl is None:
        raise OSError("Runs in the background need Linux or macOS")
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _same(handle: int, path: Path) -> bool:
    """Whether the locked file is the one that stands there: it may have been deleted meanwhile."""
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except FileNotFoundError:
        return False


def unchanged(error: Exception) -> str:
    """A person's words where a run could not be changed; an error that has its own words keeps them."""
    if isinstance(error, OSError) and error.strerror:
        return f"The run could not be changed: {error.strerror}. {remedy(error)}"
    return str(error)
