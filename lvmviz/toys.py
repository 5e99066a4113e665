"""Point sets that bend: what no mixture of a few Gaussians fits, and a decoder does."""

from __future__ import annotations

import numpy as np

from lvmviz.core import choice, knob
from lvmviz.datasets import Dataset, Synthetic
from lvmviz.tables import Table

_COUNT = "How many points are drawn."
_SEED = "Another seed draws other points."


@choice
class Pinwheel(Synthetic):
    """Bent arms round a centre (Johnson et al., 2016)."""

    points: int = knob(1000, 2, 5000, _COUNT, label="Points N", more=True)
    arms: int = knob(5, 2, 9, "How many arms.", more=True)
    bend: float = knob(0.25, 0.0, 1.0, "How far an arm turns on its way out.", more=True)
    seed: int = knob(0, 0, 9999, _SEED, label="Data seed", more=True)

    def _draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        labels = self._labels(self.arms)
        along = 1.0 + 0.3 * rng.standard_normal(self.points)
        across = 0.05 * rng.standard_normal(self.points)
        turn = 2.0 * np.pi * labels / self.arms + self.bend * np.exp(along)
        cos, sin = np.cos(turn), np.sin(turn)
        return np.stack([cos * along - sin * across, sin * along + cos * across], 1), labels


@choice
class Rings(Synthetic):
    """Rings round one centre: a hole that a plane of latents has to be torn for."""

    points: int = knob(1000, 2, 5000, _COUNT, label="Points N", more=True)
    rings: int = knob(2, 1, 4, "How many rings.", more=True)
    noise: float = knob(0.08, 0.001, 0.5, "How far points stray from their ring.", more=True)
    seed: int = knob(0, 0, 9999, _SEED, label="Data seed", more=True)

    def _draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        labels = self._labels(self.rings)
        angle = 2.0 * np.pi * rng.random(self.points)
        radius = 1.0 + labels + self.noise * rng.standard_normal(self.points)
        return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1), labels


@choice
class SwissRoll(Dataset):
    """A rolled-up sheet in three dimensions, coloured along the roll (Marsland, 2009)."""

    points: int = knob(1000, 2, 5000, _COUNT, label="Points N", more=True)
    noise: float = knob(0.1, 0.0, 2.0, "Standard deviation of the noise.", more=True)
    seed: int = knob(0, 0, 9999, _SEED, label="Data seed", more=True)

    def _make(self) -> Table:
        rng = np.random.default_rng(self.seed)
        turn = 1.5 * np.pi * (1.0 + 2.0 * np.arange(self.points) / self.points)
        height = 21.0 * rng.random(self.points)
        points = np.stack([turn * np.cos(turn), height, turn * np.sin(turn)], 1)
        points += self.noise * rng.standard_normal(points.shape)
        names = tuple(f"quarter {k + 1}" for k in range(4))
        return Table(points, ("x", "y", "z"), np.arange(self.points) * 4 // self.points, names, ())
