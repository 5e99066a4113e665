"""What the columns of a person's table are: numbers, classes, weights, or mere row numbers.

The sentences made here quote cells as plain text; whoever shows them must show them as such.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lvmviz.cells import MAX_COLUMNS, TableError, quote

MAX_NAME = 60
MAX_CLASSES = 20
MAX_MAGNITUDE = 1e150  # the square of anything larger overflows

NUMBER = re.compile(r"[+\-\u2212]?(\d++([.,]\d*+)?|[.,]\d++)([eE][+-]?\d++)?", re.ASCII)
_NUMBERLIKE = re.compile(r"[-\u2212]?[\d.,'’+$€£%\s]+")  # "1 234", "1,234.5", "12%"
MISSING = frozenset(  # in lower case; the first is the empty cell
    "|na|n/a|#n/a|<na>|nan|-nan|nat|null|none|nil|missing|?|-|--|.|inf|+inf|-inf|infinity|+infinity|-infinity|∞|-∞".split(
        "|"
    )
)
EMPTY = frozenset(word for word in MISSING if "inf" not in word and "∞" not in word)  # no number was there
_INDEX_NAMES = frozenset({"", "id", "index", "unnamed: 0"})
_WEIGHT_NAMES = frozenset({"weight", "weights"})
HEAVIEST = 1e-15, 1e15  # the largest weight lies between these: sums keep their digits


class Column(NamedTuple):
    """A column as text, to the end of the first block of rows."""

    name: str
    title: str  # what the header says, empty where it says nothing
    lines: Sequence[int]  # the line of the file on which each cell's row begins, from 1
    cells: Sequence[str]
    place: int  # which cell of a row it is


def is_numeric(column: Column) -> bool:
    """Tell numbers from text: one number makes a column numeric, as does the absence of anything else."""
    return any(map(NUMBER.fullmatch, column.cells)) or all(cell.lower() in MISSING for cell in column.cells)


def numbers_of(column: Column, decimal: str, gaps: bool = False) -> np.ndarray:
    """Return the column's numbers (N,), or raise the error that names the first cell which is none.

    With `gaps` an empty cell is NaN, but not one that says how often its row counts.
    """
    wrong, gaps = "," if decimal == "." else ".", gaps and not are_weights(column)
    for line, cell in zip(column.lines, column.cells, strict=True):
        if (not NUMBER.fullmatch(cell) or wrong in cell) and not (gaps and cell.lower() in EMPTY):
            raise TableError(f"Line {line}, column {quote(column.name)}: {_fault(column, cell, decimal)}")
    values = np.array([_number(cell) for cell in column.cells])
    _check_size(column, values)
    if are_weights(column):
        _check_negative(column, values)
    return values


def _number(cell: str) -> float:
    """NaN for a cell that is no number: where none may be, that was refused before."""
    return float(cell.replace(",", ".").replace("\u2212", "-")) if NUMBER.fullmatch(cell) else float("nan")


def _fault(column: Column, cell: str, decimal: str) -> str:
    if all(not cell for cell in column.cells):
        return "the whole column is empty. Delete it or fill it."
    if not cell:
        return "the cell is empty. Fill it or delete the row."
    if cell.lower() in MISSING:
        return f"{quote(cell)} is not a finite number. Fill the cell or delete the row."
    if NUMBER.fullmatch(cell) or _NUMBERLIKE.fullmatch(cell):
        mark = "point" if decimal == "." else "comma"
        return f"{quote(cell)} is not read as a number. Use a decimal {mark} and no other marks or spaces."
    return f"{quote(cell)} is not a number, but other cells are. Correct it, or delete its row or column."


def _check_size(column: Column, values: np.ndarray) -> None:
    large = np.flatnonzero(np.abs(values) > MAX_MAGNITUDE)
    if large.size:
        first = int(large[0])
        line, cell = column.lines[first], quote(column.cells[first])
        raise TableError(
            f"Line {line}, column {quote(column.name)}: {cell} is so large that its square overflows "
            "(more than 1e150). Correct it, or divide the column by a constant."
        )


def check_spread(column: Column, values: np.ndarray) -> None:
    """Raise the error of a column (N,) that does not vary."""
    name, values = quote(column.name), values[~np.isnan(values)]
    if not len(values):
        raise TableError(f"The whole column {name} is empty. Delete it or fill it.")
    with np.errstate(all="ignore"):
        variance = values.var()
    if values.min() == values.max():
        told = next(cell for cell in column.cells if cell.lower() not in MISSING)
        raise TableError(
            f"The column {name} is {quote(told)} in every row. Its variance is zero, so no "
            "Gaussian can be fitted: delete the column."
        )
    if variance == 0:
        raise TableError(
            f"The variance of the column {name} is too small for a number. Multiply it by a constant."
        )


def without_index(
    columns: list[Column], values: list[np.ndarray], notes: list[str]
) -> tuple[list[Column], list[np.ndarray]]:
    """Leave out leading columns that only number the rows; without a header none can be known to."""
    named = any(column.title for column in columns)
    count = 0
    while count < len(columns) and named and _is_index(columns[count], values[count]):
        notes.append(f"The column {quote(columns[count].name)} only numbers the rows and was left out.")
        count += 1
    left = len(columns) - count
    if left == 0:
        raise TableError(
            "The table has no column of numbers to fit (text, row numbers and weights do not count). Add one."
        )
    if left > MAX_COLUMNS:
        raise TableError(
            f"The table has {left} columns of numbers, and at most {MAX_COLUMNS} are read. Keep fewer."
        )
    return columns[count:], values[count:]


def _is_index(column: Column, values: np.ndarray) -> bool:
    whole = values[0] == np.rint(values[0])
    return column.title.lower() in _INDEX_NAMES and bool(whole and (np.diff(values) == 1).all())


def weights_of(
    columns: list[Column], values: list[np.ndarray], notes: list[str]
) -> tuple[np.ndarray | None, list[Column], list[np.ndarray]]:
    """Take how often each row counts (N,) from the column that says so, and leave the others."""
    chosen = [i for i, column in enumerate(columns) if are_weights(column)]
    if not chosen:
        return None, columns, values
    if len(chosen) > 1:
        raise TableError("Two columns are headed as weights. Rename the one that says something else.")
    place = chosen[0]
    weights = values[place]
    _check_heaviest(columns[place], weights)
    weights.setflags(write=False)
    notes.append(
        f"The column {quote(columns[place].name)} says how often each row counts. To fit it like the others, "
        "give it another name."
    )
    return weights, columns[:place] + columns[place + 1 :], values[:place] + values[place + 1 :]


def are_weights(column: Column) -> bool:
    """Tell by its head whether a column says how often each row counts."""
    return says_weights(column.title)


def says_weights(title: str) -> bool:
    """Tell such a head from others."""
    return title.strip().lower() in _WEIGHT_NAMES


def _check_negative(column: Column, weights: np.ndarray) -> None:
    negative = np.flatnonzero(weights < 0)
    if negative.size:
        first = int(negative[0])
        raise TableError(
            f"Line {column.lines[first]}, column {quote(column.name)}: {quote(column.cells[first])} is "
            "negative, and a row counts 0 times or more. Correct it, or give the column another name."
        )


def _check_heaviest(column: Column, weights: np.ndarray) -> None:
    name, heaviest = quote(column.name), weights.max()
    if heaviest == 0:
        raise TableError(f"The column {name} is 0 in every row, so that none counts. Correct the weights.")
    if not HEAVIEST[0] <= heaviest <= HEAVIEST[1]:
        raise TableError(
            f"The largest weight in the column {name} is {heaviest:g}; it has to lie between {HEAVIEST[0]:g} "
            f"and {HEAVIEST[1]:g}. Multiply the column by a constant."
        )


def labels_of(columns: list[Column], notes: list[str]) -> tuple[np.ndarray | None, tuple[str, ...]]:
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


def _names_classes(column: Column) -> bool:
    if not 2 <= len(set(column.cells)) <= MAX_CLASSES:
        return False
    return all(0 < len(cell) <= MAX_NAME for cell in column.cells)
