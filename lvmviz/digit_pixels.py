"""Handwritten digits as a table, a column a pixel: for methods that bear many columns, some constant."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import sklearn.datasets

from lvmviz.core import choice, knob
from lvmviz.datasets import Dataset
from lvmviz.tables import Table

SIDE = 8  # pixels


@choice
class DigitPixels(Dataset):
    """Handwritten digits of 8 x 8 pixels, each a column from 0 to 1."""

    title = "Digits, pixel by pixel"
    classes = "the digits"
    dim: ClassVar[int] = SIDE**2  # a menu offers it only where it is asked for by name
    count: int = knob(400, 100, 1797, "How many digits.", label="Digits N", scale="box", more=True)

    def _make(self) -> Table:
        x, labels = (np.asarray(part) for part in sklearn.datasets.load_digits(return_X_y=True))
        names = tuple(f"row {i + 1}, column {j + 1}" for i in range(SIDE) for j in range(SIDE))
        points = np.ascontiguousarray(x[: self.count] / 16.0)
        return Table(points, names, labels[: self.count].astype(np.int64), tuple(map(str, range(10))), ())
