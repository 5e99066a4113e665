"""From bytes to rows of cells: encoding, delimiter, quotes and limits of a person's text.

Cells are text and nothing in them is ever evaluated. The sentences made here quote cells as plain text;
whoever shows them must show them as such, not as Markdown or HTML.
"""

from __future__ import annotations

import codecs
import contextlib
import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice

MAX_BYTES = 60_000_000  # bytes of a file, characters of text: a million rows of two full-length numbers
MAX_ROWS = 1_000_000
MAX_COLUMNS = 100  # columns of numbers
MAX_WIDTH = 2 * MAX_COLUMNS  # cells in a row: text and row numbers are left out later
MAX_LINES = MAX_ROWS + 200_000  # with the blank ones
MAX_LENGTH = 100_000  # characters in a row
MAX_CELL = 1_000
MAX_QUOTE = 40  # characters of a cell repeated in a sentence
_DELIMITERS = ("\t", ";", "|", ",", " ")  # equally good ones: the first wins, so "1,5;2,5" is two numbers
BLOCK = 20_000  # rows held as text at once; the first block decides what the columns are
_SAMPLE = 50  # rows that decide on the delimiter
_SEARCHED = 20_000  # lines among which these rows are sought
_WORD = re.compile(r'"(?:[^"]|"")*"(?=\s|$)|\S+')
_LATIN_TEXT = bytes({*b"\t\n\r\f", *range(32, 127), *range(128, 256)})
_BINARY = {  # how a file begins, and what it then is
    b"PK\x03\x04": "an Excel file (or another zip archive)",
    b"\xd0\xcf\x11\xe0": "an old Excel file",
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"GIF89a": "a GIF picture",
    b"%PDF-": "a PDF document",
    b"\x1f\x8b": "a gzip archive",
    b"\xfd7zXZ": "an xz archive",
    b"PAR1\x15": "a Parquet file",
    b"\x89HDF": "an HDF5 file",
    b"\x93NUMPY": "a NumPy file",
}


class TableError(ValueError):
    """A text that is no table of numbers; the message says what is wrong, where, and what to do."""


def decode(source: bytes | str) -> tuple[str, list[str]]:
    if len(source) > MAX_BYTES:
        size = f"{len(source) / 1e6:,.1f} MB, and at most {MAX_BYTES / 1e6:.0f} MB are read"
        raise TableError(f"The table has {size}. Keep a sample of its rows.")
    text, notes = (source, []) if isinstance(source, str) else _decode_bytes(source)
    if "\0" in text:
        raise TableError("This is a binary file, not text. Save the table as CSV in UTF-8.")
    return text.removeprefix("\ufeff"), notes


def _decode_bytes(source: bytes) -> tuple[str, list[str]]:
    for beginning, kind in _BINARY.items():
        if source.startswith(beginning):
            raise TableError(
                f"This is {kind}, not text. Save the table or the sheet as CSV and take that file."
            )
    wide = source.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return source.decode("utf-16" if wide else "utf-8"), []
    except UnicodeDecodeError as error:
        if wide or not _looks_latin(source):
            raise TableError(
                "This is not text in UTF-8 or UTF-16. Save the table as CSV in UTF-8."
            ) from error
    note = "The file is not UTF-8 and was read as Latin-1; accented letters may be wrong."
    return source.decode("latin-1"), [note]


def _looks_latin(source: bytes) -> bool:
    ascii_count = len(source) - len(source.translate(None, bytes(range(128))))
    return not source.translate(None, _LATIN_TEXT) and ascii_count >= 0.7 * len(source)


class _Lines:
    """The lines of a text, counted; a row that does not end is refused before it is held in memory."""

    def __init__(self, text: str, most: int = MAX_LINES) -> None:
        self._most = most  # lines
        self._stream = io.StringIO(text, newline=None)  # "\r" and "\r\n" end a line too
        self._number = 0  # lines given
        self.taken = 0  # characters given
        self._length = 0  # characters given of the row that is being read
        self.first = 1  # line on which that row begins

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._stream.readline(MAX_LENGTH + 1)
        if not line:
            raise StopIteration
        self._number += 1
        self._length += len(line)
        self.taken += len(line)
        if self._length > MAX_LENGTH:
            raise TableError(
                f"Line {self.first}: the row is longer than {MAX_LENGTH:,} characters. "
                "Shorten it, or close the quotation mark opened there."
            )
        if self._number > self._most:
            raise TableError(
                f"The table has more than {self._most:,} lines. Delete the blank ones; "
                f"at most {MAX_ROWS:,} rows are read."
            )
        return line

    def end_row(self) -> None:
        self.first, self._length = self._number + 1, 0


def _words(line: str) -> list[str]:
    words = _WORD.findall(line)
    if any(word[0] == '"' and not (word[-1] == '"' and len(word) > 1) for word in words):
        raise csv.Error("quotation mark not closed")
    return [word[1:-1].replace('""', '"') if word[0] == '"' else word for word in words]


def _split(lines: Iterator[str], delimiter: str) -> Iterator[list[str]]:
    if delimiter == " ":
        return map(_words, lines)
    return csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True)


def _records(lines: _Lines, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the line on which each row begins, and its cells; blank rows are passed over."""
    try:
        for row in _split(lines, delimiter):
            cells = [_clean(cell) for cell in row]
            if any(cells):
                yield lines.first, cells
            lines.end_row()
    except csv.Error as error:
        raise TableError(
            f"Line {lines.first}: a quoted cell is not closed, or goes on after its closing quotation mark. "
            'Write a quotation mark within a cell twice (""), or delete it.'
        ) from error


def _clean(cell: str) -> str:
    """Put a space for what does not print: control characters, line breaks, zero-width marks."""
    if cell.isprintable():
        return cell.strip()
    return " ".join("".join(c if c.isprintable() else " " for c in cell).split())


def delimiter_of(text: str) -> str:
    text = text[: _SAMPLE * MAX_LENGTH]
    agreements = [_agreement(text, delimiter) for delimiter in _DELIMITERS]
    best = max(agreements)
    return _DELIMITERS[agreements.index(best)] if best else ","


def _agreement(text: str, delimiter: str) -> float:
    """Return the share of the first rows that have the commonest number of cells, 0 where that is 1."""
    widths: list[int] = []
    with contextlib.suppress(TableError):  # the reading proper raises it again, once the delimiter is settled
        widths.extend(
            len(cells) for _, cells in islice(_records(_Lines(text, _SEARCHED), delimiter), _SAMPLE)
        )
    if not widths:
        return 0.0
    width, count = max(Counter(widths).items(), key=lambda item: (item[1], -item[0]))
    return count / len(widths) if width > 1 else 0.0


def blocks_of(
    text: str, delimiter: str, progress: Callable[[float], None] | None = None
) -> Iterator[tuple[list[int], list[list[str]]]]:
    """Yield blocks of rows of one width, each with the lines on which its rows begin.

    `progress` is told the share of the text that has been read, after each block.
    """
    stream = _Lines(text)
    records = _records(stream, delimiter)
    total, width = 0, 0
    while block := list(islice(_sized(records), BLOCK)):
        total += len(block)
        if total > MAX_ROWS + 1:  # one of them may be the header
            raise too_many_rows()
        lines, rows = [line for line, _ in block], [cells for _, cells in block]
        width = width or Counter(map(len, rows)).most_common(1)[0][0]
        _check_width(lines, rows, width)
        yield lines, rows
        if progress:
            progress(stream.taken / len(text))
    if not total:
        raise TableError("The table is empty. Write one row of numbers a line, commas or tabs between them.")


def _sized(records: Iterator[tuple[int, list[str]]]) -> Iterator[tuple[int, list[str]]]:
    for line, cells in records:
        _check_size(line, cells)
        yield line, cells


def too_many_rows() -> TableError:
    return TableError(
        f"The table has more than {MAX_ROWS:,} rows, and no more are read. Keep a sample of them."
    )


def _check_size(line: int, cells: list[str]) -> None:
    if len(cells) > MAX_WIDTH:
        raise TableError(
            f"Line {line} has {len(cells):,} cells, and at most {MAX_WIDTH} are read "
            f"({MAX_COLUMNS} of them numbers). Keep fewer columns."
        )
    longest = max(cells, key=len)
    if len(longest) > MAX_CELL:
        raise TableError(
            f"Line {line}: the cell {quote(longest)} has {len(longest):,} characters, and at most "
            f"{MAX_CELL:,} are read. Shorten it, or delete its column."
        )


def _check_width(lines: list[int], rows: list[list[str]], expected: int) -> None:
    for line, row in zip(lines, rows, strict=True):
        if len(row) != expected:
            raise TableError(
                f"Line {line} has {len(row)} cells where {expected} are expected, as in most rows. "
                "Add or delete cells there, or put text with delimiters in quotation marks."
            )


def quote(cell: str) -> str:
    return f"“{cell if len(cell) <= MAX_QUOTE else cell[: MAX_QUOTE - 1] + '…'}”"
