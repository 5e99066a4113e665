"""Tables of a person's own numbers, read from a CSV file or from pasted text.

Cells are text and nothing in them is ever evaluated. The sentences made here quote cells as plain text;
whoever shows them must show them as such, not as Markdown or HTML.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from lvmviz.cells import (
    MAX_ROWS,
    TableError,
    blocks_of,
    decode,
    delimiter_of,
    quote,
    too_many_rows,
)
from lvmviz.columns import (
    MAX_NAME,
    MISSING,
    NUMBER,
    Column,
    are_weights,
    check_spread,
    is_numeric,
    labels_of,
    numbers_of,
    says_weights,
    weights_of,
    without_index,
)


class Table(NamedTuple):
    """A table of finite numbers, with the class of each row where the table names one."""

    points: np.ndarray  # (N, D) float64, finite (NaN in an empty cell), C-contiguous, read-only
    columns: tuple[str, ...]  # (D,) names, distinct, none of them a number
    labels: np.ndarray | None  # (N,) int64 indices into label_names, read-only
    label_names: tuple[str, ...]  # sorted
    notes: tuple[str, ...]  # sentences on what was left out or assumed
    weights: np.ndarray | None = None  # (N,) float64, how often each row counts, read-only; None: once
    gaps: int = 0  # cells that are empty

    def total(self) -> float:
        """How many points these are, each as often as it counts."""
        return len(self.points) if self.weights is None else float(self.weights.sum())


def read_table(
    source: bytes | str, progress: Callable[[float], None] | None = None, gaps: bool = False
) -> Table:
    """Read a table of numbers from a CSV file's bytes or from pasted text; with `gaps` cells may be empty.

    Delimiter, decimal comma and header are found from the content. The first text column with 2 to 20
    distinct values gives the labels; numbers headed "weight" say how often each row counts; other text and
    leading row numbers are left out, each with a note.
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
    numeric = [column for column in columns if is_numeric(column)]
    texts = [column for column in columns if not is_numeric(column)]
    values, texts = _whole(numeric, texts, blocks, decimal, gaps)
    labels, names = labels_of(texts, notes)
    weights, numeric, values = weights_of(numeric, values, notes)
    numeric, values = without_index(numeric, values, notes)
    points = np.ascontiguousarray(np.column_stack(values))
    points.setflags(write=False)
    empty = int(np.isnan(points).sum()) if gaps else 0
    if empty:
        notes.append(f"{empty:,} of {points.size:,} cells are empty.")
    named = tuple(column.name for column in numeric)
    return Table(points, named, labels, names, tuple(notes), weights, empty)


def whole(table: Table) -> Table:
    """The table, or a ValueError where cells are empty."""
    if table.gaps:
        raise ValueError(
            f"{table.gaps:,} cells of the table are empty: fill them, leave their columns out, or fit a "
            "model for tables with gaps (Beyond mixtures: Missing features, Probabilistic PCA)"
        )
    return table


def to_csv(table: Table) -> str:
    """Write a table as CSV, its weights and labels as last columns.

    `read_table` gives back all but the notes, to the bit, where the text is within its limits.
    """
    # a feature by such a name would come back as weights
    names = _unique([f"{name} as such" if says_weights(name) else name for name in table.columns])
    rows: list[list[float | str]] = [
        ["" if x != x else _shortest(x) for x in row] for row in table.points.tolist()
    ]
    if table.weights is not None:
        names.append("weight")  # no feature is called so
        for row, weight in zip(rows, table.weights.tolist(), strict=True):
            row.append(_shortest(weight))
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
        cell for row in rows for cell in row if ("," in cell or "." in cell) and NUMBER.fullmatch(cell)
    ]
    return "," if 2 * sum("," in cell for cell in numbers) > len(numbers) else "."


def _columns(lines: list[int], rows: list[list[str]], notes: list[str]) -> list[Column]:
    header = rows[0] if _has_header(rows) else None
    below = rows[1:] if header else rows
    if len(below) < 2:
        raise TableError("The table has one row, and at least two rows of numbers are needed. Add rows.")
    if header is None:
        notes.append(
            "The first line does not name the columns, so they are called “column 1”, “column 2”, …."
        )
    elif number := next((cell for cell in header if NUMBER.fullmatch(cell)), None):
        notes.append(f"Line {lines[0]} was read as the columns' names, although it holds {quote(number)}.")
    titles = header or [""] * len(below[0])
    columns = [
        Column(name, title, lines[-len(below) :], cells, place)
        for place, (name, title, cells) in enumerate(
            zip(_unique(titles), titles, zip(*below, strict=True), strict=True)
        )
    ]
    kept = [column for column in columns if column.title or any(column.cells)]
    if len(kept) < len(columns):
        notes.append(f"Empty columns without a name were left out ({len(columns) - len(kept)}).")
    return kept


def _whole(
    numeric: list[Column],
    texts: list[Column],
    blocks: Iterator[tuple[list[int], list[list[str]]]],
    decimal: str,
    gaps: bool,
) -> tuple[list[np.ndarray], list[Column]]:
    """The numbers (N,) of every numeric column, and the columns of text, to the end of the table."""
    parts = [[numbers_of(column, decimal, gaps)] for column in numeric]
    words = [list(column.cells) for column in texts]
    kept = {column.place for column in [*numeric, *texts]}
    for lines, rows in blocks:
        _check_left_out(lines, rows, set(range(len(rows[0]))) - kept)
        for column, made in zip(numeric, parts, strict=True):
            cells = [row[column.place] for row in rows]
            made.append(numbers_of(column._replace(lines=lines, cells=cells), decimal, gaps))
        for column, cells in zip(texts, words, strict=True):
            cells.extend(row[column.place] for row in rows)
    values = [np.concatenate(made) for made in parts]
    if max(map(len, [*values, *words]), default=0) > MAX_ROWS:
        raise too_many_rows()
    for column, numbers in zip(numeric, values, strict=True):
        if not are_weights(column):
            check_spread(column, numbers)
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
    """Tell whether the first row has text over a column at least half of whose filled cells are numbers."""
    for title, *below in zip(*rows, strict=True):
        cells = [cell for cell in below if cell.lower() not in MISSING]
        if cells and title.lower() not in MISSING and not NUMBER.fullmatch(title):
            if 2 * sum(NUMBER.fullmatch(cell) is not None for cell in cells) >= len(cells):
                return True
    return False


def _unique(titles: Sequence[str]) -> list[str]:
    """Return distinct names, none of them empty or a number, so that a line of them reads as a header."""
    names: list[str] = []
    for position, title in enumerate(titles, start=1):
        title = title[:MAX_NAME].strip()
        if title.lower() in MISSING or NUMBER.fullmatch(title):
            title = f"column {title or position}"
        name, copies = title[:MAX_NAME].strip(), 1
        while name in names:
            copies += 1
            name = title[: MAX_NAME - 4].strip() + f" {copies}"
        names.append(name)
    return names
