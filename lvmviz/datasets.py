"""Point sets, each one class: real ones that scikit-learn carries, synthetic ones, and the user's own."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import sklearn.datasets

from lvmviz import own_data
from lvmviz.core import Choice, choice, knob
from lvmviz.kept import kept
from lvmviz.tables import Table, whole


class Dataset(Choice):
    """A set of points with named columns, and labels where they are known."""

    classes: ClassVar[str] = "the groups"  # what the labels tell

    @abc.abstractmethod
    def _make(self) -> Table:
        """The points, made anew."""

    def table(self) -> Table:
        """Points (N, D) float64 with their columns and labels; made once and kept; none may be empty."""
        return whole(_made(self))

    def with_gaps(self) -> Table:
        """The same, also where cells are empty: NaN stands there."""
        return _made(self)

    def labelled(self) -> bool:
        """Whether there may be labels, told without making the points."""
        return True


def _bytes(table: Table) -> int:
    return sum(part.nbytes for part in (table.points, table.labels, table.weights) if part is not None)


@kept(400_000_000, _bytes)
def _made(data: Dataset) -> Table:
    table = data._make()
    labels = None if table.labels is None else table.labels.copy()
    for array in (table.points, labels, table.weights):
        if array is not None:
            array.flags.writeable = False
    return table._replace(labels=labels)


def _nbytes(labels: np.ndarray | None) -> int:
    return 0 if labels is None else labels.nbytes


@kept(50_000_000, _nbytes)
def revealed(data: Dataset, each: int) -> np.ndarray | None:
    """The labels (N,) int64 that are shown of so many points of every class, -1 elsewhere; None without any.

    Which points these are is the data set's own: of more points of a class, the same and others. Points
    that do not count are left out.
    """
    table = data.table()
    if table.labels is None or each == 0:
        return None
    shown = np.full(len(table.labels), -1, dtype=np.int64)
    order = np.random.default_rng(0).permutation(len(shown))
    order = order if table.weights is None else order[table.weights[order] > 0]
    for label in np.unique(table.labels):
        shown[order[table.labels[order] == label][:each]] = label
    shown.flags.writeable = False
    return shown


def _table(
    points: np.ndarray, columns: Sequence[str], labels: np.ndarray | None = None, names: Sequence[object] = ()
) -> Table:
    points = np.ascontiguousarray(points, dtype=np.float64)
    return Table(points, tuple(columns), labels, tuple(map(str, names)), ())


def select(table: Table, columns: Sequence[str]) -> Table:
    """The table with only these columns, in this order; all of them when none is named."""
    wanted = tuple(columns) or table.columns
    missing = [name for name in wanted if name not in table.columns]
    if missing:
        raise ValueError(f"the table has no column {missing[0]!r}: it has {', '.join(table.columns)}")
    points = table.points[:, [table.columns.index(name) for name in wanted]]
    return table._replace(points=np.ascontiguousarray(points), columns=wanted)


def _load(name: str) -> Any:
    """One of the data sets that scikit-learn carries, as its Bunch."""
    return getattr(sklearn.datasets, f"load_{name}")()


def _bundled(bunch: Any, names: Sequence[str], features: tuple[str, ...], unit: str = "") -> Table:
    chosen = select(_table(bunch.data, names, bunch.target, bunch.target_names), features)
    return chosen._replace(columns=tuple(f"{name}{unit}" for name in chosen.columns))


# ---- real data, carried by scikit-learn ----

IRIS = ("petal length", "sepal width", "petal width", "sepal length")


@choice
class Iris(Dataset):
    """150 irises of three species, four lengths each (Fisher, 1936)."""

    classes = "the species"
    features: tuple[str, ...] = knob(IRIS[:2], help="Which lengths EM sees.", options=IRIS, more=True)

    def _make(self) -> Table:
        names = ("sepal length", "sepal width", "petal length", "petal width")
        return _bundled(_load("iris"), names, self.features, ", cm")


WINE = (
    "alcohol", "malic acid", "ash", "alcalinity", "magnesium", "phenols", "flavanoids", "nonflavanoids",
    "proanthocyanins", "colour", "hue", "protein", "proline",
)  # fmt: skip


@choice
class Wine(Dataset):
    """178 wines from three growers in one Italian region, 13 measurements (Forina et al., 1988)."""

    classes = "the growers"
    features: tuple[str, ...] = knob(
        ("flavanoids", "colour"), help="Which measurements EM sees.", options=WINE, more=True
    )

    def _make(self) -> Table:
        return _bundled(_load("wine"), WINE, self.features)


CANCER = (
    "radius", "texture", "perimeter", "area", "smoothness", "compactness", "concavity", "concave points",
    "symmetry", "fractal dimension",
)  # fmt: skip


@choice
class BreastCancer(Dataset):
    """569 tumours, benign or malignant: ten measurements of their cells' nuclei (Street et al., 1993)."""

    classes = "the diagnosis"
    features: tuple[str, ...] = knob(
        ("radius", "texture"), help="Which measurements EM sees.", options=CANCER, more=True
    )

    def _make(self) -> Table:
        bunch = _load("breast_cancer")
        points = bunch.data[:, : len(CANCER)]  # the means; standard errors and extremes follow
        return select(_table(points, CANCER, bunch.target, bunch.target_names), self.features)


DIABETES = (
    "body mass index", "blood pressure", "age", "total cholesterol", "LDL", "HDL", "cholesterol ratio",
    "triglycerides", "blood sugar",
)  # fmt: skip


@choice
class Diabetes(Dataset):
    """442 people with diabetes, nine measurements of each; no labels (Efron et al., 2004)."""

    features: tuple[str, ...] = knob(
        ("body mass index", "blood pressure"), help="Which measurements EM sees.", options=DIABETES, more=True
    )

    def _make(self) -> Table:
        points = np.asarray(sklearn.datasets.load_diabetes(return_X_y=True, scaled=False)[0])
        order = [2, 3, 0, 4, 5, 6, 7, 8, 9]  # column 1 is the sex, a code of two values
        return select(_table(points[:, order], DIABETES), self.features)

    def labelled(self) -> bool:
        return False


@choice
class Digits(Dataset):
    """1797 handwritten digits of 8 x 8 pixels, seen through their first principal components."""

    title = "Digits by PCA"
    classes = "the digits"
    components: int = knob(
        2, 1, 20, "How many principal components EM sees.", label="Principal components", more=True
    )

    def _make(self) -> Table:
        bunch = _load("digits")
        centred = bunch.data - bunch.data.mean(0)
        left, singular, right = np.linalg.svd(centred, full_matrices=False)
        # the sign of a component is arbitrary: make its largest loading positive, the same on every machine
        sign = np.sign(right[np.arange(len(right)), np.abs(right).argmax(1)])
        scores = (left * singular * sign)[:, : self.components]
        names = [f"principal component {i + 1}" for i in range(self.components)]
        return _table(scores, names, bunch.target, bunch.target_names)


# ---- synthetic data; NumPy's default_rng(seed) draws them ----


class Synthetic(Dataset):
    """Points drawn from a recipe with a seed."""

    points: int
    seed: int

    @abc.abstractmethod
    def _draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Points (N, 2) and labels (N,)."""

    def _make(self) -> Table:
        points, labels = self._draw(np.random.default_rng(self.seed))
        names = [f"group {k + 1}" for k in range(int(labels.max()) + 1)]
        return _table(points, ("x", "y"), labels, names)

    def _labels(self, groups: int) -> np.ndarray:
        return np.arange(self.points) * groups // self.points


def _points(count: int, most: int = 5000) -> int:
    return knob(count, 2, most, "How many points are drawn.", label="Points N", scale="box", more=True)


def _seed() -> int:
    return knob(0, 0, 9999, "Another seed draws other points.", label="Data seed", more=True)


@choice
class Blobs(Synthetic):
    """Round clusters at random places; up to a million points."""

    points: int = _points(300, 1_000_000)
    clusters: int = knob(4, 1, 12, "How many clusters are drawn.", more=True)
    spread: float = knob(0.9, 0.1, 3.0, "Standard deviation of each cluster.", more=True)
    seed: int = _seed()

    def _draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        labels = self._labels(self.clusters)
        centres = rng.uniform(-6.0, 6.0, (self.clusters, 2))
        return centres[labels] + self.spread * rng.standard_normal((self.points, 2)), labels


@choice
class ThreeInARow(Synthetic):
    """Two close clusters and one far away: most random starts stay in a poor optimum."""

    title = "Three in a row"
    points: int = _points(300)
    seed: int = _seed()

    def _draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        labels = self._labels(3)
        centres = np.array([[-6.0, 0.0], [-4.0, 0.0], [6.0, 0.0]])
        return centres[labels] + 0.5 * rng.standard_normal((self.points, 2)), labels


@choice
class CrossedEllipses(Synthetic):
    """Two long clusters with one centre: only their shapes tell them apart."""

    title = "Crossed ellipses"
    points: int = _points(300)
    angle: float = knob(90.0, 10.0, 90.0, "The angle between the two, in degrees.", more=True)
    seed: int = _seed()

    def _draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        labels = self._labels(2)
        long = rng.standard_normal((self.points, 2)) * [3.0, 0.5]
        turn = np.deg2rad(45.0 + self.angle * (labels - 0.5))
        cos, sin = np.cos(turn), np.sin(turn)
        return np.stack([cos * long[:, 0] - sin * long[:, 1], sin * long[:, 0] + cos * long[:, 1]], 1), labels


@choice
class Moons(Synthetic):
    """Two half circles that no two Gaussians fit."""

    points: int = _points(300)
    noise: float = knob(0.08, 0.0, 0.5, "Standard deviation of the noise.", more=True)
    seed: int = _seed()

    def _draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        labels = self._labels(2)
        angle = np.pi * rng.random(self.points)
        upper = np.stack([np.cos(angle), np.sin(angle)], 1)
        lower = np.stack([1.0 - np.cos(angle), 0.5 - np.sin(angle)], 1)
        return np.where(labels[:, None] == 0, upper, lower) + self.noise * rng.standard_normal(
            (self.points, 2)
        ), labels


# ---- the user's own ----


@choice
class Stored(Dataset):
    """Your own table, from a file or pasted; it stays on this computer."""

    title = "Own table"
    private = True
    classes = "the classes"
    digest: str = knob("", help="The table's SHA-256, its name in the store.", hidden=True)
    features: tuple[str, ...] = knob((), help="Which columns EM sees; all when none is named.", hidden=True)

    def _make(self) -> Table:
        table = select(own_data.get(self.digest), self.features)
        return table._replace(gaps=int(np.isnan(table.points).sum()))

    def labelled(self) -> bool:
        return own_data.labelled(self.digest)
