"""lvmviz.GaussianMixture: scikit-learn's numbers and manners, and what it has beyond them."""

import pickle
import tracemalloc
import warnings

import numpy as np
import pytest
import sklearn.mixture
from scipy.stats import multivariate_normal
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.estimator_checks import check_estimator

import lvmviz
from lvmviz import GaussianMixture

KINDS = ["full", "tied", "diag", "spherical"]
STARTS = ["kmeans", "k-means++", "random", "random_from_data"]
IRIS = load_iris()
X = IRIS.data - IRIS.data.mean(0)
ATTRIBUTES = ["weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"]


def theirs(**settings):
    return sklearn.mixture.GaussianMixture(**settings)


def fitted(model, x, **told):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(x, **told)


def near(one, other, rtol, names=ATTRIBUTES):
    for name in names:
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=rtol, atol=rtol)


# ---- scikit-learn's numbers ----


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("init", STARTS)
def test_the_same_climb(kind, init):
    """Bounds to 1e-10, all of them, from scikit-learn's own starts; and all that is told of the end."""
    settings = {
        "n_components": 3, "covariance_type": kind, "init_params": init, "n_init": 3, "random_state": 7,
        "reg_covar": 1e-3, "tol": 1e-5, "max_iter": 300,
    }  # fmt: skip
    a, b = fitted(GaussianMixture(**settings), X), fitted(theirs(**settings), X)
    np.testing.assert_allclose(a.lower_bounds_, b.lower_bounds_, rtol=1e-10)
    assert (a.n_iter_, a.converged_, a.lower_bound_) == (b.n_iter_, b.converged_, a.lower_bounds_[-1])
    near(a, b, 1e-8)
    for name in ("score_samples", "predict_proba", "predict"):
        np.testing.assert_allclose(getattr(a, name)(X), getattr(b, name)(X), rtol=1e-8, atol=1e-8)
    assert a.bic(X) == pytest.approx(b.bic(X), rel=1e-10) and a.aic(X) == pytest.approx(b.aic(X), rel=1e-10)
    assert a._n_parameters() == {"full": 44, "tied": 24, "diag": 26, "spherical": 17}[kind]
    np.testing.assert_array_equal(a.fit_predict(X), a.predict(X))


@pytest.mark.parametrize("kind", KINDS)
def test_given_starts(kind):
    shape = {"full": (2, 4, 4), "tied": (4, 4), "diag": (2, 4), "spherical": (2,)}[kind]
    a = np.random.default_rng(0).normal(size=shape)
    precisions = a @ np.swapaxes(a, -1, -2) + np.eye(4) if kind in ("full", "tied") else 0.5 + a**2
    settings = {
        "n_components": 2, "covariance_type": kind, "weights_init": [0.3, 0.7], "means_init": X[[0, 100]],
        "precisions_init": precisions,
    }  # fmt: skip
    ours, peer = GaussianMixture(**settings).fit(X), theirs(**settings).fit(X)
    np.testing.assert_allclose(ours.lower_bounds_, peer.lower_bounds_, rtol=1e-10)
    near(ours, peer, 1e-8)


def test_no_steps_keep_the_start():
    ours = GaussianMixture(3, max_iter=0, random_state=1).fit(X)
    near(ours, theirs(n_components=3, max_iter=0, random_state=1).fit(X), 1e-10)
    assert ours.n_iter_ == 0 and ours.lower_bounds_ == [] and not ours.converged_


def test_one_start_goes_on_where_it_stopped():
    ours = GaussianMixture(3, max_iter=3, warm_start=True, random_state=0, tol=0.0)
    twice = fitted(fitted(ours, X), X)
    at_once = fitted(GaussianMixture(3, max_iter=6, random_state=0, tol=0.0), X)
    near(twice, at_once, 1e-9)
    assert twice.lower_bound_ == pytest.approx(at_once.lower_bound_, rel=1e-12)


def test_scikit_learn_s_checks():
    """All of them; one is skipped, as for scikit-learn's own: it asks for an array API that is off."""
    found = check_estimator(GaussianMixture(), on_skip=None, on_fail=None)
    assert {one["check_name"] for one in found if one["status"] != "passed"} <= {"check_array_api_input"}
    assert len(found) > 40


def test_there_and_back():
    ours = GaussianMixture(3, covariance_type="tied", random_state=0).fit(X)
    peer = ours.to_sklearn()
    assert type(peer) is sklearn.mixture.GaussianMixture and peer.covariance_type == "tied"
    np.testing.assert_allclose(peer.score_samples(X), ours.score_samples(X), rtol=1e-10)
    np.testing.assert_array_equal(peer.sample(3)[0], ours.sample(3)[0])
    again = GaussianMixture.from_sklearn(peer, dtype="float32")
    assert again.dtype == "float32" and again.n_iter_ == ours.n_iter_
    np.testing.assert_array_equal(again.score_samples(X), ours.score_samples(X))
    assert not hasattr(GaussianMixture(2).to_sklearn(), "means_")


def test_equal_fits_are_equal_to_the_bit():
    one, other = (GaussianMixture(3, n_init=4, random_state=0).fit(X) for _ in range(2))
    for name in [*ATTRIBUTES, "lower_bounds_"]:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    back = pickle.loads(pickle.dumps(one))
    np.testing.assert_array_equal(back.predict_proba(X), one.predict_proba(X))
    assert clone(one).get_params() == one.get_params()


# ---- float32 ----


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("width", "offset"), [(1.0, 0.0), (1e-2, 0.0), (1e-4, 0.0), (1.0, 1e6), (1e-4, 1e6)])
def test_float32_keeps_the_likelihood(kind, width, offset):
    """To 1e-6 of float64 on centred data, for tight clusters and far offsets."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(5, 4))
    z = rng.integers(5, size=20_000)
    moved = centres[z] + width * rng.normal(size=(20_000, 4)) + offset
    centred = moved - moved.mean(0)  # what the offset has rounded away is lost for both
    wide = {"full": np.eye(4), "tied": np.eye(4), "diag": np.ones(4), "spherical": 1.0}[kind]
    roots = np.broadcast_to(wide, (4, 4) if kind == "tied" else (5, *np.shape(wide))) / (2.0 * width) ** 2
    settings = {
        "n_components": 5, "covariance_type": kind, "weights_init": np.full(5, 0.2), "reg_covar": 0.0,
        "precisions_init": roots, "max_iter": 10, "tol": 0.0,
    }  # fmt: skip
    start = np.stack([moved[z == k][:20].mean(0) for k in range(5)])
    exact = fitted(theirs(**settings, means_init=start - moved.mean(0)), centred)
    ours = fitted(GaussianMixture(**settings, means_init=start, dtype="float32"), moved)
    np.testing.assert_allclose(ours.lower_bounds_, exact.lower_bounds_, rtol=1e-6)
    assert (np.diff(ours.lower_bounds_) >= -1e-6 * abs(ours.lower_bound_)).all()
    assert ours.means_.dtype == np.float64
    np.testing.assert_allclose(ours.means_ - moved.mean(0), exact.means_, atol=2e-3 * width)


def test_float32_data_give_float32_attributes():
    many = np.tile(X, (100, 1)).astype(np.float32)
    ours = GaussianMixture(2, random_state=0).fit(many)
    assert {getattr(ours, name).dtype for name in ATTRIBUTES} == {np.dtype(np.float32)}
    exact = GaussianMixture(2, random_state=0, dtype="float64").fit(many)
    assert (
        ours.lower_bound_ == pytest.approx(exact.lower_bound_, rel=1e-6)
        and ours.lower_bound_ != exact.lower_bound_
    )


def test_few_float32_points_are_summed_in_float64():
    """It takes no longer, and loses nothing."""
    ours = GaussianMixture(2, random_state=0).fit(X.astype(np.float32))
    assert {getattr(ours, name).dtype for name in ATTRIBUTES} == {np.dtype(np.float32)}
    assert (
        ours.lower_bound_
        == GaussianMixture(2, random_state=0, dtype="float64").fit(X.astype(np.float32)).lower_bound_
    )


def test_mps_has_no_float64():
    with pytest.raises(ValueError, match='choose dtype="float32"'):
        GaussianMixture(2, device="mps").fit(X)


# ---- weights ----


@pytest.mark.parametrize("kind", KINDS)
def test_a_weight_is_as_many_rows(kind):
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 4, len(X))
    settings = {"n_components": 2, "covariance_type": kind, "tol": 1e-6, "random_state": 0, "max_iter": 500}
    given = {"means_init": X[[0, 100]], "weights_init": [0.5, 0.5]}
    given["precisions_init"] = GaussianMixture(2, covariance_type=kind, random_state=0).fit(X).precisions_
    weighted = GaussianMixture(**settings, **given).fit(X, sample_weight=counts)
    repeated = theirs(**settings, **given).fit(np.repeat(X, counts, axis=0))
    np.testing.assert_allclose(weighted.lower_bounds_, repeated.lower_bounds_, rtol=1e-10)
    near(weighted, repeated, 1e-8)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("init", STARTS)
def test_starts_know_the_weights(kind, init):
    """A row of weight zero is no row: whatever stands in it changes nothing."""
    counts = np.where(np.arange(len(X)) % 3 == 0, 0.0, 1.5)
    far = np.where((counts == 0.0)[:, None], X[::-1] * 50.0, X)
    model = GaussianMixture(
        2, covariance_type=kind, init_params=init, random_state=0, tol=1e-9, max_iter=2000
    )
    one, other = (fitted(clone(model), x, sample_weight=counts) for x in (X, far))
    # k-means draws its first row from all of them: its starts are others, and so may be the mode
    if init in ("kmeans", "k-means++"):
        assert one.lower_bound_ == pytest.approx(other.lower_bound_, abs=0.2)
    else:
        near(one, other, 1e-4)


def test_too_few_weights():
    with pytest.raises(ValueError, match="only 1 rows have a weight above zero: 2 components"):
        GaussianMixture(2).fit(X, sample_weight=np.eye(len(X))[0])
    with pytest.raises(ValueError, match="[Nn]egative"):
        GaussianMixture(2).fit(X, sample_weight=-np.ones(len(X)))


# ---- labels ----


@pytest.mark.parametrize("kind", ["full", "diag"])
def test_all_labels_are_the_maximum_likelihood_of_every_class(kind):
    ours = GaussianMixture(3, covariance_type=kind, reg_covar=0.0).fit(X, labels=IRIS.target)
    assert ours.converged_ and ours.n_iter_ == 2
    total = 0.0
    for k in range(3):
        rows = X[IRIS.target == k]
        np.testing.assert_allclose(ours.means_[k], rows.mean(0), rtol=1e-10, atol=1e-12)
        exact = np.cov(rows.T, bias=True)
        exact = exact if kind == "full" else np.diag(exact)
        np.testing.assert_allclose(ours.covariances_[k], exact, rtol=1e-9, atol=1e-12)
        as_matrix = exact if kind == "full" else np.diag(exact)
        total += multivariate_normal.logpdf(rows, rows.mean(0), as_matrix).sum() + 50 * np.log(1 / 3)
    np.testing.assert_allclose(ours.weights_, 1 / 3)
    assert ours.lower_bound_ == pytest.approx(total / 150, rel=1e-10)


def test_no_labels_are_the_plain_mixture():
    plain = GaussianMixture(3, random_state=0).fit(X)
    none = GaussianMixture(3, random_state=0).fit(X, labels=np.full(150, -1))
    np.testing.assert_allclose(plain.lower_bounds_, none.lower_bounds_, rtol=1e-12)


def test_some_labels_name_the_components():
    """With ten known rows a class the components carry the classes' numbers, and the fit beats no labels."""
    known = np.full(150, -1)
    known[::5] = IRIS.target[::5]
    ours = GaussianMixture(3, random_state=0, tol=1e-8, max_iter=1000).fit(X, labels=known)
    assert (ours.predict(X) == IRIS.target).mean() > 0.95
    # a fixed point: the weights are the mean of q, and q of a known row is its class
    q = ours.predict_proba(X)
    q[known >= 0] = np.eye(3)[known[known >= 0]]
    np.testing.assert_allclose(ours.weights_, q.mean(0), atol=1e-4)
    np.testing.assert_allclose(ours.means_, (q.T @ X) / q.sum(0)[:, None], atol=1e-3)
    assert (np.diff(ours.lower_bounds_) >= -1e-10).all()


def test_labels_of_one_class_leave_the_others_free():
    known = np.where(IRIS.target == 2, 2, -1)
    ours = GaussianMixture(3, random_state=0).fit(X, labels=known)
    assert (ours.predict(X[100:]) == 2).mean() > 0.9


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        (np.zeros(3), "one label for each of the 150 rows"),
        (np.full(150, 3), "0 to 2, the components"),
        (np.full(150, -2), "-1 .unknown."),
        (np.full(150, 0.5), "whole numbers"),
        (np.full(150, "a"), "whole numbers"),
        (np.full(150, np.nan), "whole numbers"),
        (np.zeros(150, dtype=int), "component 1 has no row"),
    ],
)
def test_wrong_labels_get_a_sentence(labels, sentence):
    with pytest.raises(ValueError, match=sentence):
        GaussianMixture(3).fit(X, labels=labels)


# ---- the rest ----


def test_the_callback_hears_and_stops():
    heard = []
    ours = GaussianMixture(
        3, random_state=0, tol=0.0, callback=lambda i, bound: heard.append((i, bound)) or i == 4
    )
    fitted(ours, X)
    assert [i for i, _ in heard] == [1, 2, 3, 4] and ours.n_iter_ == 4 and not ours.converged_
    assert [bound for _, bound in heard] == ours.lower_bounds_
    with pytest.warns(ConvergenceWarning, match="did not converge"):
        ours.fit(X)


def test_verbose_tells(capsys):
    GaussianMixture(3, random_state=0, verbose=2, verbose_interval=1).fit(X)
    told = capsys.readouterr().out
    assert "Initialization 0" in told and "Iteration 2" in told and "converged" in told


def test_a_memory_map_is_read_in_chunks(tmp_path):
    """The fit of the same numbers in memory, and never as many bytes as they have."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200_000, 8)) + 4.0 * rng.integers(0, 2, (200_000, 1))
    stored = np.memmap(tmp_path / "x", dtype=np.float64, mode="w+", shape=x.shape)
    stored[:] = x
    given = {
        "means_init": [[0.0] * 8, [4.0] * 8], "weights_init": [0.5, 0.5], "precisions_init": [np.eye(8)] * 2
    }  # fmt: skip
    model = GaussianMixture(2, tol=1e-6, **given)
    tracemalloc.start()
    mapped = clone(model).fit(stored)
    assert mapped.score(stored) == pytest.approx(mapped.lower_bound_, abs=1e-5)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.8 * x.nbytes
    np.testing.assert_array_equal(mapped.means_, clone(model).fit(x).means_)


def test_a_memory_map_starts_from_some_of_its_rows(tmp_path, monkeypatch):
    monkeypatch.setattr("lvmviz.sklearn_api.gaussian_mixture.STARTED_FROM", 60)
    stored = np.memmap(tmp_path / "x", dtype=np.float64, mode="w+", shape=X.shape)
    stored[:] = X
    ours = GaussianMixture(2, random_state=0, tol=1e-8, max_iter=500).fit(stored)
    assert ours.lower_bound_ == pytest.approx(
        GaussianMixture(2, random_state=0, tol=1e-8, max_iter=500).fit(X).lower_bound_, abs=1e-6
    )


@pytest.mark.parametrize(
    ("x", "sentence"),
    [
        (np.array([[1.0, np.nan], [2.0, 3.0]]), "contains NaN"),
        (np.array([[1.0, np.inf], [2.0, 3.0]]), "infinity"),
        (np.ones((1, 2)), "minimum of 2 is required"),
        (np.ones((2, 2)), "n_samples >= n_components but got n_components = 3, n_samples = 2"),
        (np.full((9, 2), "a"), "could not convert string to float"),
        (np.ones(9), "Expected 2D array"),
    ],
)
def test_wrong_data_get_scikit_learn_s_sentences(x, sentence):
    with pytest.raises(ValueError, match=sentence):
        GaussianMixture(3).fit(x)
    with pytest.raises(ValueError, match=sentence):
        theirs(n_components=3).fit(x)


@pytest.mark.parametrize("wrong", [{"device": "tpu"}, {"dtype": "float16"}, {"callback": 3}, {"tol": -1.0}])
def test_wrong_settings(wrong):
    with pytest.raises(ValueError, match=f"The '{next(iter(wrong))}' parameter of GaussianMixture"):
        GaussianMixture(2, **wrong).fit(X)


@pytest.mark.parametrize("kind", KINDS)
def test_a_collapse_is_a_sentence(kind):
    x = np.repeat([[0.0, 1.0], [3.0, 2.0]], 10, axis=0)
    with pytest.raises(ValueError, match="ill-defined empirical covariance.*increase reg_covar"):
        GaussianMixture(2, covariance_type=kind, reg_covar=0.0, random_state=0).fit(x)
    assert np.isfinite(GaussianMixture(2, covariance_type=kind, random_state=0).fit(x).lower_bound_)


def test_the_public_name():
    assert lvmviz.GaussianMixture is GaussianMixture and "GaussianMixture" in lvmviz.__all__
