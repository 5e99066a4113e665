"""Tables of a person's own numbers, read from a CSV file or from pasted text.

Cells are text and nothing in them is ever evaluated. The sentences made here quote cells as plain text;
whoever shows them must show them as such, not as Markdown or HTML.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from lvmviz.cells import (
    MAX_COLUMNS,
    MAX_ROWS,
    TableError,
    blocks_of,
    decode,
    delimiter_of,
    quote,
    too_many_rows,
)

MAX_NAME = 60
MAX_CLASSES = 20
MAX_MAGNITUDE = 1e150  # the square of anything larger overflows

_NUMBER = re.compile(r"[+\-\u2212]?(\d++([.,]\d*+)?|[.,]\d++)([eE][+-]?\d++)?", re.ASCII)
_NUMBERLIKE = re.compile(r"[-\u2212]?[\d.,'’+$€£%\s]+")  # "1 234", "1,234.5", "12%"
_MISSING = frozenset(  # in lower case; the first is the empty cell
    "|na|n/a|#n/a|<na>|nan|-nan|nat|null|none|nil|missing|?|-|--|.|inf|+inf|-inf|infinity|+infinity|-infinity|∞|-∞".split(
        "|"
    )
)
_INDEX_NAMES = frozenset({"", "id", "index", "unnamed: 0"})


class Table(NamedTuple):
    """A table of finite numbers, with the class of each row where the table names one."""

    points: np.ndarray  # (N, D) float64, finite, C-contiguous, read-only
    columns: tuple[str, ...]  # (D,) names, distinct, none of them a number
    labels: np.ndarray | None  # (N,) int64 indices into label_names, read-only
    label_names: tuple[str, ...]  # sorted
    notes: tuple[str, ...]  # sentences on what was left out or assumed


class _Column(NamedTuple):
    name: str
    title: str  # what the header says, empty where it says nothing
    lines: Sequence[int]  # the line of the file on which each cell's row begins, from 1
    cells: Sequence[str]
    place: int  # which cell of a row it is


def read_table(source: bytes | str, progress: Callable[[float], None] | None = None) -> Table:
    """Read a table of numbers from a CSV file's bytes or from pasted text.

    Delimiter, decimal comma and header are found from the content. The first text column with 2 to 20
    distinct values gives the labels; other text and leading row numbers are left out, each with a note.
    What the columns are is settled by the first 20,000 rows. `progress` is told the share that has been read.
    Raises TableError, and nothing else, for whatever is not such a table.
    """
    text, notes = decode(source)
    delimiter = delimiter_of(text)
    blocks = blocks_of(text, delimiter, progress)
    lines, rows = next(blocks)
    decimal = _decimal(rows, delimiter)
    if decimal == ",":
        notes.append("Commas were read as decimal commas.")
    columns = _columns(lines, rows, notes)
    numeric = [column for column in columns if _is_numeric(column)]
    texts = [column for column in columns if not _is_numeric(column)]
    values, texts = _whole(numeric, texts, blocks, decimal)
    labels, names = _labels(texts, notes)
    numeric, values = _without_index(numeric, values, notes)
    points = np.ascontiguousarray(np.column_stack(values))
    points.setflags(write=False)
    return Table(points, tuple(column.name for column in numeric), labels, names, tuple(notes))


def to_csv(table: Table) -> str:
    """Write a table as CSV, its labels as a last text column.

    `read_table` gives back all but the notes, to the bit, where the text is within its limits.
    """
    names = list(table.columns)
    rows: list[list[float | str]] = [[_shortest(x) for x in row] for row in table.points.tolist()]
    if table.labels is not None:
        names = _unique([*names, "class"])
        for row, label in zip(rows, table.labels.tolist(), strict=True):
            row.append(table.label_names[label])
    out = io.StringIO()
    # Every text is quoted: a name such as "a;b" cannot pass for two cells when the delimiter is sought.
    csv.writer(out, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n").writerows([names, *rows])
    return out.getvalue()


def _shortest(x: float) -> float:
    """Whole numbers without ".0", where that reads back to the same bits: a table stays within its limit."""
    return int(x) if x.is_integer() and 0 < abs(x) < 1e15 else x


def _decimal(rows: list[list[str]], delimiter: str) -> str:
    if delimiter not in ";\t":
        return "."
    numbers = [
        cell for row in rows for cell in row if ("," in cell or "." in cell) and _NUMBER.fullmatch(cell)
    ]
    return "," if 2 * sum("," in cell for cell in numbers) > len(numbers) else "."


def _columns(lines: list[int], rows: list[list[str]], notes: list[str]) -> list[_Column]:
    header = rows[0] if _has_header(rows) else None
    below = rows[1:] if header else rows
    if len(below) < 2:
        raise TableError("The table has one row, and at least two rows of numbers are needed. Add rows.")
    if header is None:
        notes.append(
            "The first line does not name the columns, so they are called “column 1”, “column 2”, …."
        )
    elif number := next((cell for cell in header if _NUMBER.fullmatch(cell)), None):
        notes.append(f"Line {lines[0]} was read as the columns' names, although it holds {quote(number)}.")
    titles = header or [""] * len(below[0])
    columns = [
        _Column(name, title, lines[-len(below) :], cells, place)
        for place, (name, title, cells) in enumerate(
            zip(_unique(titles), titles, zip(*below, strict=True), strict=True)
        )
    ]
    kept = [column for column in columns if column.title or any(column.cells)]
    if len(kept) < len(columns):
        notes.append(f"Empty columns without a name were left out ({len(columns) - len(kept)}).")
    return kept


def _whole(
    numeric: list[_Column],
    texts: list[_Column],
    blocks: Iterator[tuple[list[int], list[list[str]]]],
    decimal: str,
) -> tuple[list[np.ndarray], list[_Column]]:
    """The numbers (N,) of every numeric column, and the columns of text, to the end of the table."""
    parts = [[_numbers(column, decimal)] for column in numeric]
    words = [list(column.cells) for column in texts]
    kept = {column.place for column in [*numeric, *texts]}
    for lines, rows in blocks:
        _check_left_out(lines, rows, set(range(len(rows[0]))) - kept)
        for column, made in zip(numeric, parts, strict=True):
            cells = [row[column.place] for row in rows]
            made.append(_numbers(column._replace(lines=lines, cells=cells), decimal))
        for column, cells in zip(texts, words, strict=True):
            cells.extend(row[column.place] for row in rows)
    values = [np.concatenate(made) for made in parts]
    if max(map(len, [*values, *words]), default=0) > MAX_ROWS:
        raise too_many_rows()
    for column, numbers in zip(numeric, values, strict=True):
        _check_spread(column, numbers)
    return values, [column._replace(cells=cells) for column, cells in zip(texts, words, strict=True)]


def _check_left_out(lines: list[int], rows: list[list[str]], places: set[int]) -> None:
    """A column without a name that was empty so far has to stay so."""
    for line, row in zip(lines, rows, strict=True) if places else ():
        if filled := [row[place] for place in sorted(places) if row[place]]:
            raise TableError(
                f"Line {line}: {quote(filled[0])} stands in a column without a name that is empty above. "
                "Name the column, or delete the cell."
            )


def _has_header(rows: list[list[str]]) -> bool:
    """Tell whether the first row has text over a column at least half of which is numbers."""
    for title, *cells in zip(*rows, strict=True):
        if cells and title.lower() not in _MISSING and not _NUMBER.fullmatch(title):
            if 2 * sum(_NUMBER.fullmatch(cell) is not None for cell in cells) >= len(cells):
                return True
    return False


def _unique(titles: Sequence[str]) -> list[str]:
    """Return distinct names, none of them empty or a number, so that a line of them reads as a header."""
    names: list[str] = []
    for position, title in enumerate(titles, start=1):
        title = title[:MAX_NAME].strip()
        if title.lower() in _MISSING or _NUMBER.fullmatch(title):
            title = f"column {title or position}"
        name, copies = title[:MAX_NAME].strip(), 1
        while name in names:
            copies += 1
            name = title[: MAX_NAME - 4].strip() + f" {copies}"
        names.append(name)
    return names


def _is_numeric(column: _Column) -> bool:
    """Tell numbers from text: one number makes a column numeric, as does the absence of anything else."""
    return any(map(_NUMBER.fullmatch, column.cells)) or all(cell.lower() in _MISSING for cell in column.cells)


def _numbers(column: _Column, decimal: str) -> np.ndarray:
    """Return the column's numbers (N,), or raise the error that names the first cell which is none."""
    wrong = "," if decimal == "." else "."
    for line, cell in zip(column.lines, column.cells, strict=True):
        if not _NUMBER.fullmatch(cell) or wrong in cell:
            raise TableError(f"Line {line}, column {quote(column.name)}: {_fault(column, cell, decimal)}")
    values = np.array([float(cell.replace(",", ".").replace("\u2212", "-")) for cell in column.cells])
    _check_size(column, values)
    return values


def _fault(column: _Column, cell: str, decimal: str) -> str:
    if all(not cell for cell in column.cells):
        return "the whole column is empty. Delete it or fill it."
    if not cell:
        return "the cell is empty. Fill it or delete the row."
    if cell.lower() in _MISSING:
        return f"{quote(cell)} is not a finite number. Fill the cell or delete the row."
    if _NUMBER.fullmatch(cell) or _NUMBERLIKE.fullmatch(cell):
        mark = "point" if decimal == "." else "comma"
        return f"{quote(cell)} is not read as a number. Use a decimal {mark} and no other marks or spaces."
    return f"{quote(cell)} is not a number, but other cells are. Correct it, or delete its row or column."


def _check_size(column: _Column, values: np.ndarray) -> None:
    large = np.flatnonzero(np.abs(values) > MAX_MAGNITUDE)
    if large.size:
        first = int(large[0])
        line, cell = column.lines[first], quote(column.cells[first])
        raise TableError(
            f"Line {line}, column {quote(column.name)}: {cell} is so large that its square overflows "
            "(more than 1e150). Correct it, or divide the column by a constant."
        )


def _check_spread(column: _Column, values: np.ndarray) -> None:
    name = quote(column.name)
    with np.errstate(all="ignore"):
        variance = values.var()
    if values.min() == values.max():
        raise TableError(
            f"The column {name} is {quote(column.cells[0])} in every row. Its variance is zero, so no "
            "Gaussian can be fitted: delete the column."
        )
    if variance == 0:
        raise TableError(
            f"The variance of the column {name} is too small for a number. Multiply it by a constant."
        )


def _without_index(
    columns: list[_Column], values: list[np.ndarray], notes: list[str]
) -> tuple[list[_Column], list[np.ndarray]]:
    """Leave out leading columns that only number the rows; without a header none can be known to."""
    named = any(column.title for column in columns)
    count = 0
    while count < len(columns) and named and _is_index(columns[count], values[count]):
        notes.append(f"The column {quote(columns[count].name)} only numbers the rows and was left out.")
        count += 1
    left = len(columns) - count
    if left == 0:
        raise TableError(
            "The table has no column of numbers to fit (text and row numbers do not count). Add one."
        )
    if left > MAX_COLUMNS:
        raise TableError(
            f"The table has {left} columns of numbers, and at most {MAX_COLUMNS} are read. Keep fewer."
        )
    return columns[count:], values[count:]


def _is_index(column: _Column, values: np.ndarray) -> bool:
    whole = values[0] == np.rint(values[0])
    return column.title.lower() in _INDEX_NAMES and bool(whole and (np.diff(values) == 1).all())


def _labels(columns: list[_Column], notes: list[str]) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Take the classes from the first text column that can name them, and note what becomes of the others."""
    for column in columns:
        if all(map(_NUMBERLIKE.fullmatch, column.cells)):  # to leave measurements out would be too quiet
            fault = _fault(column, column.cells[0], ".")
            raise TableError(f"Line {column.lines[0]}, column {quote(column.name)}: {fault}")
    chosen = next(filter(_names_classes, columns), None)
    others = [quote(column.name) for column in columns if column is not chosen]
    if others:
        more = f" and {len(others) - 5} more" if len(others) > 5 else ""
        notes.append(
            f"Columns of text were left out: {', '.join(others[:5])}{more}. Only the first with "
            f"2 to {MAX_CLASSES} different words and no empty cell can give the classes."
        )
    if chosen is None:
        return None, ()
    names, labels = np.unique(np.array(chosen.cells, dtype=object), return_inverse=True)
    labels = labels.astype(np.int64)
    labels.setflags(write=False)
    notes.append(f"The text column {quote(chosen.name)} gives the classes ({len(names)}).")
    return labels, tuple(names.tolist())


def _names_classes(column: _Column) -> bool:
    if not 2 <= len(set(column.cells)) <= MAX_CLASSES:
        return False
    return all(0 < len(cell) <= MAX_NAME for cell in column.cells)
