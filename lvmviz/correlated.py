"""A pair of columns that vary together: where one is missing, the other says what it may have been."""

from __future__ import annotations

import numpy as np

from lvmviz.core import choice, knob
from lvmviz.datasets import Synthetic


@choice
class CorrelatedPair(Synthetic):
    """One Gaussian in two columns, means 0 and variances 1, that vary together."""

    classes = "the one group"
    points: int = knob(400, 2, 5000, "How many points are drawn.", label="Points N", scale="box", more=True)
    correlation: float = knob(0.8, -0.99, 0.99, "How far one column tells the other.", more=True)
    seed: int = knob(0, 0, 9999, "Another seed draws other points.", label="Data seed", more=True)

    def _draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        first, own = rng.standard_normal((2, self.points))
        second = self.correlation * first + np.sqrt(1.0 - self.correlation**2) * own
        return np.stack([first, second], 1), np.zeros(self.points, dtype=np.int64)
