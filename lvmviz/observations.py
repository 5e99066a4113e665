"""What a VAE is trained on: images, or the rows of a table, with values from 0 to 1."""

from __future__ import annotations

import abc
from typing import Any, NamedTuple

import numpy as np
import sklearn.datasets
import torch
from torch import Tensor

from lvmviz.core import Choice, choice, generator, knob
from lvmviz.datasets import Dataset
from lvmviz.kept import kept
from lvmviz.likelihoods import Likelihood
from lvmviz.toys import Pinwheel

SPLIT = 20160107  # the key that the test set is drawn with


class Examples(NamedTuple):
    """N examples, read-only."""

    x: np.ndarray  # (N, D) float32
    shape: tuple[int, ...]  # (H, W) where the columns are the pixels of images, row by row; else (D,)
    labels: np.ndarray | None  # (N,) int64 indices into label_names
    label_names: tuple[str, ...]
    columns: tuple[str, ...]  # (D,) names; none where the columns are pixels


class Observations(Choice):
    """Examples to learn a generative model of."""

    @abc.abstractmethod
    def _make(self) -> Examples:
        """The examples, made anew."""

    def examples(self) -> Examples:
        """The examples; made once and kept."""
        return _made(self)


def _bytes(examples: Examples) -> int:
    return examples.x.nbytes + (0 if examples.labels is None else examples.labels.nbytes)


@kept(400_000_000, _bytes)
def _made(data: Observations) -> Examples:
    made = data._make()
    for array in (made.x, made.labels):
        if array is not None:
            array.flags.writeable = False
    return made


class Halves(NamedTuple):
    """What is learned from and what is only looked at, as a likelihood sees them."""

    train: Tensor  # (N, D) float32
    test: Tensor  # (M, D)
    shape: tuple[int, ...]


def _halves_bytes(made: Halves) -> int:
    return made.train.nbytes + made.test.nbytes


@kept(600_000_000, _halves_bytes)
def halves(data: Observations, likelihood: Likelihood, held_out: float, device: str) -> Halves:
    """Training and test examples, the same for every run: drawn without replacement by a fixed key."""
    examples = data.examples()
    count = len(examples.x)
    tests = max(round(held_out * count), 1)
    if count - tests < 1:
        raise ValueError(f"{count} examples cannot be trained on and tested with: give at least 2")
    x = likelihood.prepare(torch.from_numpy(np.array(examples.x)))
    order = torch.randperm(count, generator=generator(SPLIT), device="cpu")
    return Halves(x[order[tests:]].to(device), x[order[:tests]].to(device), examples.shape)


def first(examples: Examples, count: int) -> Examples:
    """The first `count` examples; all of them where there are fewer."""
    labels = None if examples.labels is None else examples.labels[:count].copy()
    return examples._replace(x=examples.x[:count].copy(), labels=labels)


@choice
class DigitImages(Observations):
    """1797 handwritten digits of 8 x 8 pixels (Alpaydin and Kaynak, 1998)."""

    title = "Digits"
    count: int = knob(1797, 10, 1797, "How many of them, from the first.", label="Images N", more=True)

    def _make(self) -> Examples:
        bunch: Any = sklearn.datasets.load_digits()
        x = (bunch.data / 16.0).astype(np.float32)  # exact: sixteenths
        names = tuple(map(str, range(10)))
        return first(Examples(x, (8, 8), bunch.target.astype(np.int64), names, ()), self.count)


@choice
class Rows(Observations):
    """The rows of a table, each column moved and scaled to 0...1 as pixels are, or left as it is."""

    title = "Points of a table"
    table: Dataset = knob(Pinwheel(), help="The points.", label="Points")
    scaled: bool = knob(True, help="Whether each column is scaled to 0...1.", label="Scale to 0…1", more=True)

    def _make(self) -> Examples:
        table = self.table.table()
        points = table.points
        if self.scaled:
            low, high = points.min(0), points.max(0)
            points = (points - low) / np.where(high > low, high - low, 1.0)
        x = np.ascontiguousarray(points, dtype=np.float32)
        labels = None if table.labels is None else table.labels.copy()
        return Examples(x, (x.shape[1],), labels, table.label_names, table.columns)
