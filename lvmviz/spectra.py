"""Points whose covariance has eigenvalues that are known to the last digit."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from lvmviz.core import choice, knob
from lvmviz.datasets import Dataset
from lvmviz.tables import Table

EIGENVALUES = (6.0, 3.0, 1.5, 0.8, 0.3, 0.2, 0.1, 0.1)


@choice
class KnownSpectrum(Dataset):
    """Eight columns whose covariance has the eigenvalues 6, 3, 1.5, .8, .3, .2, .1, .1, exactly.

    Drawn, whitened and turned: mean 0 and covariance (1/N) U diag(eigenvalues) U' hold of the points.
    """

    title = "Known spectrum"
    dim: ClassVar[int] = len(EIGENVALUES)  # a menu offers it only where it is asked for by name
    count: int = knob(400, 20, 5000, "How many points.", label="Points N", scale="box", more=True)
    seed: int = knob(0, 0, 9999, "Another seed draws and turns otherwise.", label="Data seed", more=True)

    def labelled(self) -> bool:
        return False

    def _make(self) -> Table:
        draw, width = np.random.default_rng(self.seed), len(EIGENVALUES)
        cloud = draw.standard_normal((self.count, width))
        white = np.linalg.qr(cloud - cloud.mean(0))[0] * np.sqrt(self.count)
        turn = np.linalg.qr(draw.standard_normal((width, width)))[0]
        points = (white * np.sqrt(EIGENVALUES)) @ turn.T
        return Table(points, tuple(f"x{k + 1}" for k in range(width)), None, (), ())
