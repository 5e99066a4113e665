"""Files that appear whole or not at all, whenever the process or the machine stops."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


def make_folder(folder: Path) -> None:
    """Make a folder that nobody else may look into."""
    folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.mkdir(exist_ok=True, mode=0o700)
    folder.chmod(0o700)  # also where it was there before


def write(path: Path, content: bytes, *, sync: bool = True) -> None:
    """Replace a file's content by renaming: a reader sees the old one or the new one, never half.

    Without `sync` that holds when the process dies, but not when the machine does.
    """
    handle, part = tempfile.mkstemp(suffix=".part", prefix=f"{path.stem}.", dir=path.parent)  # of mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        with contextlib.suppress(OSError):  # the first error is the one to tell
            os.unlink(part)
        raise
    if sync:
        sync_folder(path.parent)


@contextlib.contextmanager
def named(path: Path) -> Iterator[None]:
    """Let an error of the system name this file, and not the one that was to become it."""
    try:
        yield
    except OSError as error:
        if error.strerror:
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


def remedy(error: OSError) -> str:
    """What helps where something could not be written."""
    elsewhere = "et LVMVIZ_HOME to a folder that can be written."
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return f"Free some space there, or s{elsewhere}" if full else f"S{elsewhere}"


def sync_folder(folder: Path) -> None:
    """Wait until the disk knows which files a folder has."""
    if os.name != "posix":  # elsewhere a folder cannot be opened
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
