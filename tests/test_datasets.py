"""Data sets: scikit-learn's own columns, principal components, and recipes that give what they say."""

import math

import hypothesis.strategies as st
import numpy as np
import pytest
import sklearn.datasets
from hypothesis import given
from sklearn.decomposition import PCA

from lvmviz import (
    Blobs,
    BreastCancer,
    CrossedEllipses,
    Dataset,
    Diabetes,
    DigitPixels,
    Digits,
    Iris,
    KnownSpectrum,
    Moons,
    Stored,
    ThreeInARow,
    Wine,
    own_data,
)
from lvmviz.datasets import CANCER, DIABETES, IRIS, WINE, Synthetic, select
from lvmviz.tables import Table

MADE = [cls() for cls in Dataset.options.values() if cls is not Stored]
SYNTHETIC = [cls for cls in Dataset.options.values() if issubclass(cls, Synthetic)]
over_data = pytest.mark.parametrize("data", MADE, ids=lambda data: type(data).__name__)
over_recipes = pytest.mark.parametrize("cls", SYNTHETIC, ids=lambda cls: cls.__name__)


# ---- every data set ----


@over_data
def test_tables_are_whole(data):
    table = data.table()
    assert isinstance(table, Table)
    assert table.points.dtype == np.float64 and table.points.ndim == 2 and table.points.flags.c_contiguous
    assert np.isfinite(table.points).all()
    assert table.points.shape[1] == len(table.columns) == len(set(table.columns)) >= 1
    assert all(isinstance(name, str) and name.strip() for name in table.columns)
    if not isinstance(data, DigitPixels):  # of which some pixels are always off
        rank = np.linalg.matrix_rank(np.cov(table.points.T))
        assert rank == table.points.shape[1]  # a Gaussian fits without a floor
    assert len(np.unique(table.points, axis=0)) >= 20  # enough points for every K


@over_data
def test_labels_have_names(data):
    table = data.table()
    if isinstance(data, (Diabetes, KnownSpectrum)):
        assert table.labels is None and table.label_names == ()
        return
    assert table.labels is not None
    assert table.labels.shape == (len(table.points),) and np.issubdtype(table.labels.dtype, np.integer)
    assert set(table.labels.tolist()) == set(range(len(table.label_names)))
    assert all(isinstance(name, str) and name for name in table.label_names)


@over_data
def test_tables_are_read_only(data):
    """They are kept and shared: whoever wrote into one would change everybody's."""
    table = data.table()
    for array in (part for part in (table.points, table.labels) if part is not None):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    with pytest.raises(AttributeError):
        table.points = table.points + 1


@over_data
def test_tables_are_made_once_and_repeat(data):
    assert data.table() is data.table()
    again = data._make()
    np.testing.assert_array_equal(again.points, data.table().points)
    np.testing.assert_array_equal(again.labels, data.table().labels)
    assert again.columns == data.table().columns


# ---- real data ----


def column(bunch, name: str) -> np.ndarray:
    """One of scikit-learn's columns by its own name."""
    return bunch.data[:, list(bunch.feature_names).index(name)]


@pytest.mark.parametrize("features", [IRIS, IRIS[:1], IRIS[::-1], ("sepal width", "petal length")])
def test_iris_is_scikit_learns(features):
    bunch, table = sklearn.datasets.load_iris(), Iris(features=features).table()
    assert table.columns == tuple(f"{name}, cm" for name in features)
    for name, values in zip(features, table.points.T, strict=True):
        np.testing.assert_array_equal(values, column(bunch, f"{name} (cm)"))
    np.testing.assert_array_equal(table.labels, bunch.target)
    assert table.label_names == ("setosa", "versicolor", "virginica")


def test_no_feature_named_is_all_of_them():
    assert set(Iris(features=()).table().columns) == {f"{name}, cm" for name in IRIS}
    assert Wine(features=()).table().points.shape == (178, 13)


LONG_NAMES = {
    "alcohol": "alcohol",
    "malic acid": "malic_acid",
    "ash": "ash",
    "alcalinity": "alcalinity_of_ash",
    "magnesium": "magnesium",
    "phenols": "total_phenols",
    "flavanoids": "flavanoids",
    "nonflavanoids": "nonflavanoid_phenols",
    "proanthocyanins": "proanthocyanins",
    "colour": "color_intensity",
    "hue": "hue",
    "protein": "od280/od315_of_diluted_wines",
    "proline": "proline",
}


@pytest.mark.parametrize("name", WINE)
def test_wine_is_scikit_learns(name):
    bunch, table = sklearn.datasets.load_wine(), Wine(features=(name,)).table()
    assert table.columns == (name,) and table.points.shape == (178, 1)
    np.testing.assert_array_equal(table.points[:, 0], column(bunch, LONG_NAMES[name]))
    np.testing.assert_array_equal(table.labels, bunch.target)


def test_the_default_wine_has_two_columns():
    bunch, table = sklearn.datasets.load_wine(), Wine().table()
    np.testing.assert_array_equal(
        table.points, np.stack([column(bunch, "flavanoids"), column(bunch, "color_intensity")], 1)
    )


@pytest.mark.parametrize("components", [1, 2, 20])
def test_digits_are_principal_components(components):
    bunch, table = sklearn.datasets.load_digits(), Digits(components=components).table()
    theirs = PCA(components, svd_solver="full").fit_transform(bunch.data)
    assert table.points.shape == theirs.shape == (1797, components)
    signs = np.sign((table.points * theirs).sum(0))
    np.testing.assert_allclose(table.points, theirs * signs, atol=1e-9)
    np.testing.assert_array_equal(table.labels, bunch.target)
    assert table.label_names == tuple("0123456789")


def test_the_sign_of_a_principal_component_is_settled():
    """The pixel that counts most counts upwards, whatever LAPACK answers."""
    bunch, table = sklearn.datasets.load_digits(), Digits(components=20).table()
    loadings = table.points.T @ (bunch.data - bunch.data.mean(0))
    assert (loadings[np.arange(20), np.abs(loadings).argmax(1)] > 0).all()


# ---- recipes ----


@over_recipes
def test_recipes_follow_their_seed_and_size(cls):
    table, other = cls(points=50, seed=3).table(), cls(points=50, seed=4).table()
    assert table.points.shape == (50, 2) and table.columns == ("x", "y")
    assert not np.array_equal(table.points, other.points)
    sizes = np.bincount(table.labels)
    assert sizes.max() - sizes.min() <= 1
    assert table.label_names == tuple(f"group {k + 1}" for k in range(len(sizes)))


@over_recipes
@given(points=st.integers(2, 60), seed=st.integers(0, 9999))
def test_recipes_work_at_every_size(cls, points, seed):
    table = cls(points=points, seed=seed).table()
    assert table.points.shape == (points, 2) and np.isfinite(table.points).all()
    assert table.labels.shape == (points,) and table.labels.max() < len(table.label_names)


def test_more_clusters_than_points():
    table = Blobs(points=2, clusters=12).table()
    assert table.points.shape == (2, 2) and table.labels.max() < len(table.label_names)


def assert_gaussian(points: np.ndarray, mean, covariance) -> None:
    """Sample mean and covariance within 5 standard errors."""
    n, covariance = len(points), np.asarray(covariance, float)
    variances = np.diag(covariance)
    assert (np.abs(points.mean(0) - mean) < 5 * np.sqrt(variances / n)).all()
    error = np.sqrt((np.outer(variances, variances) + covariance**2) / n)
    assert (np.abs(np.cov(points.T) - covariance) < 5 * error).all()


@pytest.mark.parametrize(("clusters", "spread"), [(1, 0.1), (4, 0.9), (12, 3.0)])
def test_blobs_are_round(clusters, spread):
    table = Blobs(points=5000, clusters=clusters, spread=spread, seed=5).table()
    assert len(table.label_names) == clusters
    for k in range(clusters):
        group = table.points[table.labels == k]
        assert (np.abs(group.mean(0)) < 6 + 5 * spread / math.sqrt(len(group))).all()
        assert_gaussian(group - group.mean(0), [0, 0], spread**2 * np.eye(2))


def test_blobs_lie_anywhere_in_the_square():
    centres = np.concatenate(
        [
            [t.points[t.labels == k].mean(0) for k in range(4)]
            for t in (Blobs(spread=0.1, seed=s).table() for s in range(100))
        ]
    )
    assert np.abs(centres.mean(0)).max() < 5 * 12 / math.sqrt(12 * 400)
    assert 0.95 * 6 < np.abs(centres).max() < 6.1


def test_three_in_a_row_are_where_they_are_said_to_be():
    table = ThreeInARow(points=4999, seed=1).table()
    for k, centre in enumerate([(-6, 0), (-4, 0), (6, 0)]):
        assert_gaussian(table.points[table.labels == k], centre, 0.25 * np.eye(2))


@pytest.mark.parametrize("angle", [10.0, 45.0, 90.0])
def test_crossed_ellipses_cross_at_their_angle(angle):
    table = CrossedEllipses(points=5000, angle=angle, seed=2).table()
    axes = []
    for k, sign in enumerate([-1, 1]):
        group = table.points[table.labels == k]
        turn = math.radians(45 + sign * angle / 2)
        axis, aside = np.array([math.cos(turn), math.sin(turn)]), np.array([-math.sin(turn), math.cos(turn)])
        assert_gaussian(group, [0, 0], 9 * np.outer(axis, axis) + 0.25 * np.outer(aside, aside))
        axes.append(np.linalg.eigh(np.cov(group.T))[1][:, 1])
    between = math.degrees(math.acos(min(1.0, abs(axes[0] @ axes[1]))))
    assert between == pytest.approx(angle, abs=1.0)


def test_moons_lie_on_their_half_circles():
    exact = Moons(points=1000, noise=0).table()
    upper, lower = (exact.points[exact.labels == k] for k in (0, 1))
    np.testing.assert_allclose(np.hypot(*upper.T), 1, rtol=1e-12)
    np.testing.assert_allclose(np.hypot(lower[:, 0] - 1, lower[:, 1] - 0.5), 1, rtol=1e-12)
    assert upper[:, 1].min() >= 0 and lower[:, 1].max() <= 0.5
    assert upper[:, 0].min() < -0.99 and upper[:, 0].max() > 0.99  # the whole half circle
    noisy = Moons(points=1000, noise=0.2).table()
    np.testing.assert_array_equal(noisy.labels, exact.labels)
    assert_gaussian(noisy.points - exact.points, [0, 0], 0.04 * np.eye(2))


# ---- the user's own ----


def test_an_own_table_comes_back():
    rng = np.random.default_rng(0)
    table = Table(
        rng.standard_normal((30, 3)), ("a", "b", "c"), np.arange(30) % 2, ("no", "yes"), ("a note",)
    )
    digest = own_data.put(table)
    whole = Stored(digest=digest).table()
    np.testing.assert_array_equal(whole.points, table.points)
    assert (whole.columns, whole.label_names) == (("a", "b", "c"), ("no", "yes"))
    part = Stored(digest=digest, features=("c", "a")).table()
    np.testing.assert_array_equal(part.points, table.points[:, [2, 0]])
    assert part.columns == ("c", "a") and part.points.flags.c_contiguous
    np.testing.assert_array_equal(part.labels, table.labels)
    for array in (whole.points, whole.labels, part.points, part.labels):
        assert not array.flags.writeable
    with pytest.raises(ValueError, match="the table has no column 'd': it has a, b, c"):
        Stored(digest=digest, features=("a", "d")).table()


def test_an_own_table_without_labels():
    digest = own_data.put(Table(np.eye(3), ("a", "b", "c"), None, (), ()))
    table = Stored(digest=digest).table()
    assert table.labels is None and not table.points.flags.writeable


@pytest.mark.parametrize("digest", ["", "0" * 64, "../../etc/passwd", "not a digest"])
def test_a_table_that_is_not_here(digest):
    with pytest.raises(own_data.MissingData) as error:
        Stored(digest=digest).table()
    assert "upload it again" in str(error.value)


def test_a_table_that_was_missing_can_come_later():
    table = Table(np.arange(8.0).reshape(4, 2) ** 2, ("late", "later"), None, (), ())
    digest = own_data.put(table)
    (own_data.home() / "data" / f"{digest}.table").unlink()
    with pytest.raises(own_data.MissingData):
        Stored(digest=digest).table()
    own_data.put(table)
    np.testing.assert_array_equal(Stored(digest=digest).table().points, table.points)


def test_select_keeps_all_when_nothing_is_named():
    table = Table(np.arange(6.0).reshape(3, 2), ("a", "b"), None, (), ())
    assert select(table, ()).columns == ("a", "b")
    np.testing.assert_array_equal(select(table, ["b"]).points, [[1.0], [3.0], [5.0]])


def test_measurements_of_tumours_are_the_means_under_their_names():
    bunch, table = sklearn.datasets.load_breast_cancer(), BreastCancer(features=CANCER).table()
    names = [str(name) for name in bunch.feature_names]
    for i, name in enumerate(CANCER):
        assert (table.points[:, i] == bunch.data[:, names.index(f"mean {name}")]).all()
    assert table.label_names == ("malignant", "benign") and np.bincount(table.labels).tolist() == [212, 357]


def test_measurements_of_diabetes_are_those_that_scikit_learn_describes():
    bunch = sklearn.datasets.load_diabetes(scaled=False)
    told = dict(zip(DIABETES, ("bmi", "bp", "age", "s1", "s2", "s3", "s4", "s5", "s6"), strict=True))
    table = Diabetes(features=DIABETES).table()
    for i, name in enumerate(DIABETES):
        assert (table.points[:, i] == bunch.data[:, bunch.feature_names.index(told[name])]).all()
    assert (
        "s1      tc, total serum cholesterol" in bunch.DESCR
        and "s6      glu, blood sugar level" in bunch.DESCR
    )
