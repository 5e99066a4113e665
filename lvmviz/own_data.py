"""The store of people's own tables: one file per table, named by the SHA-256 of its content.

A file is a magic line, a line of JSON (shape and names), the points as little-endian float64 and, where there
are any, the labels as little-endian int64 and the weights as little-endian float64. Its name is the hash of
all of it, so a file proves itself. Several processes may use the store at once: files appear whole, by
renaming, and are never changed afterwards.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import platformdirs

from lvmviz import disk
from lvmviz.tables import Table

MAX_TOTAL = 500_000_000  # bytes of all files; the tables least recently used go first

_MAGIC = b"lvmviz table 1\n"
_DIGEST = re.compile(r"[0-9a-f]{64}")
_ABANDONED_S = 3600  # a half-written file this old belongs to a process that died
_REMEDY = "upload it again or open a scene file"


class MissingData(LookupError):
    """A table that is not here, or no longer whole; the message says which and what to do."""


class StoreError(OSError):
    """A store that cannot be written or read; the message says where, why and what to do."""


def home() -> Path:
    """The folder of everything lvmviz keeps: $LVMVIZ_HOME, else the user's data directory."""
    return Path(os.environ.get("LVMVIZ_HOME") or platformdirs.user_data_dir("lvmviz"))


def put(table: Table) -> str:
    """Keep a table and return its digest (64 hexadecimal digits), equal for equal tables.

    The notes are not kept: they tell how a file was read, not what the table is. Raises StoreError.
    """
    content = _encode(table)
    if len(content) > MAX_TOTAL:
        raise StoreError(
            f"The table takes {len(content):,} bytes and the store keeps {MAX_TOTAL:,}; use fewer rows."
        )
    digest = hashlib.sha256(content).hexdigest()
    path = _path(digest)
    try:
        disk.make_folder(path.parent)
        if not _touch_if_whole(path, content):
            disk.write(path, content)
        _make_room(path)
    except OSError as error:
        raise StoreError(
            f"The table could not be kept in {path.parent}: {error.strerror or error}. {disk.remedy(error)}"
        ) from error
    return digest


def get(digest: str) -> Table:
    """Return the table with this digest, without notes.

    Raises MissingData where it is absent or damaged, StoreError where it cannot be read.
    """
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):  # it may come from a URL
        raise MissingData(f"This names no table (a name has 64 hexadecimal digits); {_REMEDY}.")
    path = _path(digest)
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise MissingData(f"The table {digest[:12]}… is not on this computer; {_REMEDY}.") from error
    except OSError as error:
        raise StoreError(
            f"The table could not be read from {path.parent}: {error.strerror or error}. "
            "Make the folder readable, or set LVMVIZ_HOME to another one."
        ) from error
    if hashlib.sha256(content).hexdigest() != digest:
        raise MissingData(_quarantine(path))
    with contextlib.suppress(OSError):  # reading must work where writing does not
        os.utime(path)
    return _decode(content)


def labelled(digest: str) -> bool:
    """Whether a table has labels, from its first lines alone; True where these cannot be read."""
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        return True
    try:
        with _path(digest).open("rb") as file:
            file.readline()
            return bool(json.loads(file.readline())["labelled"])
    except (OSError, ValueError, LookupError, TypeError):
        return True  # whoever asks for the table itself is told what is wrong


def _path(digest: str) -> Path:
    return home() / "data" / f"{digest}.table"


def _encode(table: Table) -> bytes:
    """The canonical bytes of a table: equal tables, equal bytes."""
    points = np.ascontiguousarray(table.points, dtype="<f8")
    labels = b"" if table.labels is None else np.ascontiguousarray(table.labels, dtype="<i8").tobytes()
    header = {
        "columns": list(table.columns),
        "label_names": list(table.label_names),
        "labelled": table.labels is not None,
        "shape": list(points.shape),
    }
    weights = b""
    if table.weights is not None:  # a table without any keeps the name that it always had
        header["weighted"] = True
        weights = np.ascontiguousarray(table.weights, dtype="<f8").tobytes()
    line = json.dumps(header, sort_keys=True, separators=(",", ":")).encode("ascii")
    return b"".join((_MAGIC, line, b"\n", points.tobytes(), labels, weights))


def _decode(content: bytes) -> Table:
    start = content.index(b"\n", len(_MAGIC)) + 1
    header = json.loads(content[len(_MAGIC) : start])
    rows, width = header["shape"]
    points = _array(content, "<f8", rows * width, start).reshape(rows, width)
    after = start + points.nbytes
    labels = _array(content, "<i8", rows, after) if header["labelled"] else None
    after += 0 if labels is None else labels.nbytes
    weights = _array(content, "<f8", rows, after) if header.get("weighted") else None
    return Table(points, tuple(header["columns"]), labels, tuple(header["label_names"]), (), weights)


def _array(content: bytes, dtype: str, count: int, start: int) -> np.ndarray:
    """A read-only array (count,) of its own: one that looked into the file's bytes would not be aligned."""
    array = np.frombuffer(content, dtype, count, start).astype(np.dtype(dtype).newbyteorder("="))
    array.setflags(write=False)
    return array


def _touch_if_whole(path: Path, content: bytes) -> bool:
    """Mark a file as used, if it is there and undamaged."""
    try:
        whole = path.stat().st_size == len(content) and path.read_bytes() == content
    except FileNotFoundError:
        return False
    if whole:
        os.utime(path)
    return whole


def _make_room(keep: Path) -> None:
    """Remove the files used longest ago until the store is within its bound; never the one to keep."""
    files = sorted(_own_files(keep.parent))
    total = sum(size for _, size, _ in files)
    for used, size, path in files:
        half_written = path.suffix == ".part"
        abandoned = half_written and time.time() - used > _ABANDONED_S
        if path != keep and (abandoned or (total > MAX_TOTAL and not half_written)):
            path.unlink(missing_ok=True)
            total -= size


def _own_files(folder: Path) -> Iterator[tuple[float, int, Path]]:
    """Yield when each file of the store was last used (seconds since 1970), its bytes and its path."""
    for path in folder.iterdir():
        if path.suffix in (".table", ".damaged", ".part"):
            with contextlib.suppress(FileNotFoundError):  # another process removed or renamed it
                status = path.stat()
                yield status.st_mtime, status.st_size, path


def _quarantine(path: Path) -> str:
    """Put a damaged file aside, where a person can look at it, and return the sentence that says so."""
    damaged = path.with_suffix(".damaged")
    said = f"The file of the table {path.stem[:12]}… is damaged"
    try:
        os.replace(path, damaged)
    except OSError:
        return f"{said} and could not be put aside; delete {path.name}, then {_REMEDY}."
    return f"{said} and was put aside as {damaged.name}; {_REMEDY}."
