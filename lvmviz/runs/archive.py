"""A zip from anywhere, read without trusting what it says: only known names, plain files, bounded sizes."""

from __future__ import annotations

import contextlib
import io
import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

CHUNK = 1 << 16  # bytes unpacked at a time
RATIO = 100  # unpacked bytes for each packed one, at most, beyond the first
FREE_BYTES = 1_000_000
_ENTRY = 256  # bytes of the directory that one entry may take
_END = struct.Struct("<4s4H2LH")  # the record at the end of a zip: counts, size and place of its directory
_PLAIN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_UNREADABLE = (
    zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, struct.error, ValueError,
    OverflowError, OSError,
)  # fmt: skip


class Archive:
    """The files of a zip; whatever is wrong with it is a ValueError with a sentence, before any harm."""

    def __init__(self, file: IO[bytes], known: re.Pattern[str], most_files: int, most_bytes: int) -> None:
        """Read the directory; `known` says which names there may be."""
        size = _size(file, most_files, most_bytes)
        try:
            self._zip = zipfile.ZipFile(file)
        except _UNREADABLE as error:
            raise ValueError("The file is no whole zip: export it again.") from error
        self._left = min(most_bytes, RATIO * size + FREE_BYTES)
        self._entries = _entries(self._zip.infolist(), known)

    @property
    def names(self) -> list[str]:
        """The names of the files, in order."""
        return sorted(self._entries)

    def read(self, name: str, most: int) -> bytes:
        """The content of a file of at most so many bytes."""
        return b"".join(self.chunks(name, most))

    def lines(self, name: str, most: int, longest: int) -> Iterator[bytes]:
        """The lines of a file, each with its end."""
        rest = b""
        for chunk in self.chunks(name, most):
            *whole, rest = (rest + chunk).split(b"\n")
            yield from (line + b"\n" for line in whole)
            if len(rest) > longest:
                raise ValueError(f"{name} in the bundle has a line longer than {longest:,} bytes.")
        if rest:
            yield rest

    def chunks(self, name: str, most: int) -> Iterator[bytes]:
        """The content piece by piece; what is counted is what comes out, whatever the headers say."""
        count = 0
        for chunk in self._unpacked(name):
            count += len(chunk)
            self._left -= len(chunk)
            if count > most:
                raise ValueError(f"{name} in the bundle is larger than {most:,} bytes, more than a run has.")
            if self._left < 0:
                raise ValueError("The bundle unpacks to more than a run can be: it is no run of lvmviz.")
            yield chunk
        if count != self._entries[name].file_size:
            raise ValueError(f"{name} in the bundle is torn: export it again.")

    def _unpacked(self, name: str) -> Iterator[bytes]:
        with contextlib.ExitStack() as stack:
            try:
                file = stack.enter_context(self._zip.open(self._entries[name]))
                while chunk := file.read(CHUNK):
                    yield chunk
            except _UNREADABLE as error:
                raise ValueError(f"{name} in the bundle is damaged: export it again.") from error


@contextlib.contextmanager
def opened(data: bytes | Path) -> Iterator[IO[bytes]]:
    """The bytes as a file, or the file."""
    with io.BytesIO(data) if isinstance(data, bytes) else open(data, "rb") as file:
        yield file


def _size(file: IO[bytes], most_files: int, most_bytes: int) -> int:
    """The size of a zip whose directory is small enough to be read, and stands where it says."""
    size = file.seek(0, os.SEEK_END)
    if size > most_bytes:
        raise ValueError(f"The file has {size:,} bytes and a bundle at most {most_bytes:,}.")
    back = min(size, _END.size + 20)  # 20 bytes before the end a larger kind of zip would be announced
    file.seek(size - back)
    tail = file.read(back)
    if len(tail) < _END.size or not tail[-_END.size :].startswith(b"PK\5\6"):
        raise ValueError("The file is no whole zip: choose a file that `export` made.")
    _, disk, start, here, count, length, place, comment = _END.unpack(tail[-_END.size :])
    if count > most_files or length > most_files * _ENTRY:
        raise ValueError(f"The zip holds {count:,} files and a run at most {most_files:,}.")
    plain = not (disk or start or comment) and here == count and place + length + _END.size == size
    if not plain or tail[: -_END.size].startswith(b"PK\6\7"):
        raise ValueError("The zip is not of the kind that `export` makes: choose the file as it was made.")
    return size


def _entries(infos: list[zipfile.ZipInfo], known: re.Pattern[str]) -> dict[str, zipfile.ZipInfo]:
    entries: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        name = info.filename
        if info.orig_filename != name or not known.fullmatch(name):
            raise ValueError(f"The zip holds {ascii(name)[:80]}, which no run has.")
        if name in entries:
            raise ValueError(f"The zip holds {name} twice.")
        if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
            raise ValueError(f"{name} in the zip is no plain file.")
        if info.flag_bits & 0x2061 or info.compress_type not in _PLAIN:  # encrypted, patched, masked
            raise ValueError(f"{name} in the zip is encrypted or packed in a way that `export` does not use.")
        entries[name] = info
    return entries
