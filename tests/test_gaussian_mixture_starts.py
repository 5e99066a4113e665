"""lvmviz.GaussianMixture against scikit-learn's: every start, conversion both ways, criteria, collapse."""

import pickle
import warnings

import numpy as np
import pytest
import sklearn.mixture
import torch
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning

from lvmviz import GaussianMixture
from lvmviz.fast_em import climb

KINDS = ["full", "tied", "diag", "spherical"]
STARTS = ["kmeans", "k-means++", "random", "random_from_data"]
IRIS = load_iris()
X = IRIS.data - IRIS.data.mean(0)
ATTRIBUTES = {"weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"}


def theirs(**settings):
    return sklearn.mixture.GaussianMixture(**settings)


def fitted(model, x, **told):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(x, **told)


# ---- the starts ----


class Noting(sklearn.mixture.GaussianMixture):
    """scikit-learn's, keeping the parameters of every start."""

    def _initialize(self, X, resp, xp=None):
        super()._initialize(X, resp, xp=xp)
        vars(self).setdefault("begun", []).append((self.weights_, self.means_, self.precisions_cholesky_))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("init", STARTS)
@pytest.mark.parametrize("given", ["nothing", "means", "precisions"])
def test_every_start_is_scikit_learn_s(kind, init, given, threads, monkeypatch):
    """One after the other from the same random numbers, on uncentred data."""
    x, begun = IRIS.data, []
    settings = {"n_components": 3, "covariance_type": kind, "init_params": init, "n_init": 5}
    settings |= {"random_state": 3, "max_iter": 1, "reg_covar": 1e-3}
    if given == "means":
        settings["means_init"] = x[[1, 70, 120]]
    elif given == "precisions":
        settings["precisions_init"] = theirs(n_components=3, covariance_type=kind).fit(x).precisions_
    peer = fitted(Noting(**settings), x)
    monkeypatch.setattr(
        "lvmviz.sklearn_api.gaussian_mixture.climb",
        lambda points, theta, **told: begun.append(theta) or climb(points, theta, **told),
    )
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        ours = fitted(GaussianMixture(**settings), x)
    finally:
        torch.set_num_threads(before)
    assert len(begun[0].weights) == len(peer.begun) == 5
    for r, (weights, means, roots) in enumerate(peer.begun):
        one = begun[0].take(slice(r, r + 1))
        np.testing.assert_allclose(one.weights[0], weights, rtol=1e-12)
        np.testing.assert_allclose(one.means[0] + x.mean(0), means, rtol=1e-12)
        root = np.swapaxes(one.whiteners[0], 1, 2) if kind in ("full", "tied") else one.whiteners[0]
        np.testing.assert_allclose(root[0] if kind == "tied" else root, roots, rtol=1e-7, atol=1e-8)
    assert ours.lower_bound_ == pytest.approx(peer.lower_bound_, rel=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_a_tight_cluster_has_its_width_from_the_start(kind):
    """k-means sees it; a sum about the mean of all would have lost its covariance."""
    rng = np.random.default_rng(0)
    tight = 1e-6 * rng.normal(size=(50, 2))
    x = np.concatenate([tight + 4.0, tight - 4.0]) + 3.0
    start = GaussianMixture(2, covariance_type=kind, reg_covar=0.0, max_iter=0, random_state=0).fit(x)
    exact = np.cov((x[:50] - x[:50].mean(0)).T, bias=True)
    exact = {"full": exact, "tied": exact, "diag": np.diag(exact), "spherical": np.trace(exact) / 2}[kind]
    found = start.covariances_ if kind == "tied" else start.covariances_[0]
    np.testing.assert_allclose(found, exact, rtol=1e-6, atol=1e-18)


def test_many_large_starts_are_made_in_parts(monkeypatch):
    """And are those that are made at once."""
    settings = {"n_components": 3, "n_init": 5, "random_state": 0}
    at_once = {how: GaussianMixture(**settings, init_params=how).fit(X) for how in ("kmeans", "random")}
    monkeypatch.setattr("lvmviz.sklearn_api.gaussian_starts.HELD", 8000)
    for how, one in at_once.items():
        np.testing.assert_allclose(
            GaussianMixture(**settings, init_params=how).fit(X).lower_bounds_, one.lower_bounds_, rtol=1e-12
        )


def test_k_means_of_copies_tells_that_clusters_are_missing():
    x = np.repeat([[0.0, 1.0], [3.0, 2.0]], 10, axis=0)
    with pytest.warns(ConvergenceWarning, match=r"Number of distinct clusters \(2\) found smaller than"):
        GaussianMixture(3, random_state=0, max_iter=0).fit(x)


# ---- to and from scikit-learn ----


@pytest.mark.parametrize("kind", KINDS)
def test_of_scikit_learn_s_every_number_stays(kind):
    """There and back, fitted: all attributes, predictions, scores, samples and criteria."""
    peer = theirs(n_components=3, covariance_type=kind, random_state=0, init_params="random_from_data")
    peer = fitted(peer, X)
    ours = GaussianMixture.from_sklearn(peer)
    back = ours.to_sklearn()
    attributes = {name for name in vars(peer) if name.endswith("_")}
    assert attributes >= ATTRIBUTES | {"converged_", "n_iter_", "lower_bound_", "lower_bounds_"}
    for one in (ours, back):
        assert attributes == {name for name in vars(one) if name.endswith("_")}
        assert all(one.get_params()[name] == value for name, value in peer.get_params().items())
        for name in attributes:
            np.testing.assert_array_equal(getattr(one, name), getattr(peer, name))
        np.testing.assert_array_equal(one.predict(X), peer.predict(X))
        for name in ("score_samples", "predict_proba", "score", "bic", "aic"):
            np.testing.assert_allclose(getattr(one, name)(X), getattr(peer, name)(X), rtol=1e-9, atol=1e-12)
        for a, b in zip(clone_of(one).sample(20), clone_of(peer).sample(20), strict=True):
            np.testing.assert_array_equal(a, b)
    assert type(back) is sklearn.mixture.GaussianMixture and type(ours) is GaussianMixture


def clone_of(model):
    return pickle.loads(pickle.dumps(model))


def test_of_an_unfitted_one_the_settings():
    peer = theirs(n_components=4, covariance_type="diag", tol=1e-5, n_init=3)
    ours = GaussianMixture.from_sklearn(peer, dtype="float32", tol=1e-4)
    assert (ours.n_components, ours.covariance_type, ours.n_init) == (4, "diag", 3)
    assert ours.dtype == "float32" and ours.tol == 1e-4
    assert not hasattr(ours, "means_") and not hasattr(ours.to_sklearn(), "means_")


@pytest.mark.parametrize("other", [sklearn.mixture.BayesianGaussianMixture(), object(), None])
def test_what_is_no_gaussian_mixture_gets_a_sentence(other):
    with pytest.raises(TypeError, match=f"{type(other).__name__} is no GaussianMixture: give one of"):
        GaussianMixture.from_sklearn(other)


# ---- criteria and collapse ----


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("k", "d"), [(1, 1), (1, 4), (3, 1), (4, 3)])
def test_the_criteria_count_every_parameter(kind, k, d):
    """Weights K - 1, means K D, and one covariance each or one for all, counted by hand."""
    x = X[:, :d]
    settings = {"n_components": k, "covariance_type": kind, "random_state": 0}
    ours, peer = fitted(GaussianMixture(**settings), x), fitted(theirs(**settings), x)
    each = {"full": k * d * (d + 1) // 2, "tied": d * (d + 1) // 2, "diag": k * d, "spherical": k}[kind]
    count, total = k - 1 + k * d + each, ours.score_samples(x).sum()
    assert ours.bic(x) == pytest.approx(count * np.log(len(x)) - 2.0 * total, rel=1e-12)
    assert ours.aic(x) == pytest.approx(2.0 * count - 2.0 * total, rel=1e-12)
    assert (ours.bic(x), ours.aic(x)) == pytest.approx((peer.bic(x), peer.aic(x)), rel=1e-8)


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_component_is_a_sentence_or_harmless(kind):
    """Far from all points it takes none: nothing is left to estimate from but reg_covar."""
    given = {
        "n_components": 2, "covariance_type": kind, "weights_init": [0.5, 0.5], "random_state": 0,
        "means_init": [X.mean(0), X.mean(0) + 1e4], "max_iter": 3,
    }  # fmt: skip
    given["precisions_init"] = theirs(**given | {"n_components": 2}).fit(X).precisions_
    if kind == "tied":  # its covariance is that of all points
        assert np.isfinite(fitted(GaussianMixture(**given, reg_covar=0.0), X).lower_bound_)
    else:
        with pytest.raises(ValueError, match="Component 1 collapsed.*increase reg_covar"):
            GaussianMixture(**given, reg_covar=0.0).fit(X)
    assert np.isfinite(fitted(GaussianMixture(**given), X).lower_bound_)


@pytest.mark.parametrize("kind", ["tied", "spherical"])
def test_all_labels_are_the_maximum_likelihood_of_every_class_with_shared_widths(kind):
    ours = GaussianMixture(3, covariance_type=kind, reg_covar=0.0).fit(X, labels=IRIS.target)
    scatter = [np.cov(X[IRIS.target == k].T, bias=True) for k in range(3)]
    exact = np.mean(scatter, axis=0) if kind == "tied" else [np.trace(one) / 4 for one in scatter]
    np.testing.assert_allclose(ours.covariances_, exact, rtol=1e-9, atol=1e-12)
