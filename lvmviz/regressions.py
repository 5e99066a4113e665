"""Regression problems, each one class: a toy of powers of x, diabetes, and any column of a table."""

from __future__ import annotations

import abc
from typing import NamedTuple

import numpy as np
import sklearn.datasets

from lvmviz.core import Choice, choice, knob
from lvmviz.datasets import Dataset, Wine
from lvmviz.kept import kept


class Problem(NamedTuple):
    """What is to be told from what; read-only."""

    x: np.ndarray  # (N, D) float64, the design: y = x w + noise
    y: np.ndarray  # (N,) float64
    columns: tuple[str, ...]  # (D,) names
    target: str


class Regression(Choice):
    """A linear regression: columns, and what they shall tell."""

    @abc.abstractmethod
    def _make(self) -> Problem:
        """The columns and the target, made anew."""

    def problem(self) -> Problem:
        """The design (N, D) and the target (N,); made once and kept."""
        return _made(self)


def _bytes(problem: Problem) -> int:
    return problem.x.nbytes + problem.y.nbytes


@kept(100_000_000, _bytes)
def _made(data: Regression) -> Problem:
    made = data._make()
    if not float(np.abs(made.y).max(initial=0.0)) > 0.0:
        raise ValueError(f"{made.target!r} is the same in every row: choose another target")
    for array in (made.x, made.y):
        array.flags.writeable = False
    return made


@choice
class Polynomial(Regression):
    """A sine wave seen through noise, told by the powers 1, x, x², … of x in [-1, 1]."""

    points: int = knob(30, 2, 1000, "How many points are drawn.", label="Points N", more=True)
    degree: int = knob(5, 0, 12, "The highest power of x.", label="Degree")
    noise: float = knob(0.3, 0.0, 2.0, "Standard deviation of the noise.", more=True)
    seed: int = knob(0, 0, 9999, "Another seed draws other points.", label="Data seed", more=True)

    def design(self, x: np.ndarray) -> np.ndarray:
        """The powers of x (n,), (n, degree + 1)."""
        return np.vander(np.asarray(x, dtype=np.float64), self.degree + 1, increasing=True)

    def inputs(self) -> np.ndarray:
        """Where the points lie, (N,)."""
        return np.random.default_rng(self.seed).uniform(-1.0, 1.0, self.points)

    def _make(self) -> Problem:
        rng = np.random.default_rng(self.seed)
        x = rng.uniform(-1.0, 1.0, self.points)
        y = np.sin(3.0 * x) + self.noise * rng.standard_normal(self.points)
        names = ("1", "x", *(f"x^{power}" for power in range(2, self.degree + 1)))
        return Problem(self.design(x), y, names[: self.degree + 1], "sin 3x, seen through noise")


PROGRESSION = (
    "age", "sex", "body mass index", "blood pressure", "total cholesterol", "LDL", "HDL", "cholesterol ratio",
    "triglycerides", "blood sugar",
)  # fmt: skip


@choice
class DiabetesProgression(Regression):
    """442 people: how far their diabetes goes in a year, told by ten measurements (Efron et al., 2004).

    Columns and target have mean 0 and standard deviation 1, so that one lambda is fair to all weights.
    """

    title = "Diabetes"
    features: tuple[str, ...] = knob((), help="Which measurements are used; all when none is named.",
                                     options=PROGRESSION, more=True)  # fmt: skip

    def _make(self) -> Problem:
        x, y = (np.asarray(part) for part in sklearn.datasets.load_diabetes(return_X_y=True, scaled=False))
        names = tuple(dict.fromkeys(self.features)) or PROGRESSION
        return standardized(x[:, [PROGRESSION.index(name) for name in names]], y, names, "progression")


@choice
class TableColumn(Regression):
    """One column of a table, told by its other columns; all have mean 0 and standard deviation 1."""

    title = "A column of a table"
    data: Dataset = knob(Wine(features=()), help="The table.", label="Table")
    target: str = knob("", help="The column to be told; the last when none is named.", hidden=True)

    def _make(self) -> Problem:
        table = self.data.table()
        name = self.target or table.columns[-1]
        if name not in table.columns or len(table.columns) < 2:
            raise ValueError(
                f"the table has no column {name!r} and others beside it: it has {', '.join(table.columns)}"
            )
        place = table.columns.index(name)
        others = [i for i in range(len(table.columns)) if i != place]
        names = tuple(table.columns[i] for i in others)
        return standardized(table.points[:, others], table.points[:, place], names, name)


def standardized(x: np.ndarray, y: np.ndarray, names: tuple[str, ...], target: str) -> Problem:
    """The problem with every column and the target at mean 0 and standard deviation 1 (1/N)."""
    both = np.column_stack([x, y])
    if np.isnan(both).any():
        raise ValueError("the table has empty cells: fill them first, or leave those rows out")
    centred = both - both.mean(0)
    sds = centred.std(0)
    flat = sds <= 1e-12 * np.abs(both).max(0)
    if flat.any():
        name = (*names, target)[int(np.flatnonzero(flat)[0])]
        raise ValueError(f"the column {name!r} is the same in every row: leave it out")
    scaled = centred / sds
    return Problem(np.ascontiguousarray(scaled[:, :-1]), scaled[:, -1].copy(), names, target)
