"""scikit-learn's own tests of its GaussianMixture, run against ours; what is left out is named."""

import inspect

import numpy as np
import pytest
import sklearn.mixture.tests.test_gaussian_mixture as theirs

from lvmviz import GaussianMixture

LEFT_OUT = {
    "test_gaussian_mixture_array_api_compliance": "ours takes NumPy arrays and a device, no array API",
    "test_gaussian_mixture_raises_where_array_api_not_implemented": "the same",
    "test_gaussian_mixture_all_init_does_not_estimate_gaussian_parameters": "counts private calls",
    "test_gaussian_mixture_setting_best_params": "a component on one point: ours refuses it",
    "test_init": "compares one start alone with ten at once to the last digit; below, to rounding",
    "test_multiple_init": "the same with five",
}
TAKEN = {
    name: test
    for name, test in inspect.getmembers(theirs, inspect.isfunction)
    if name.startswith("test_") and name not in LEFT_OUT
}
globals().update(TAKEN)
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(params=[np.float32, np.float64])
def global_dtype(request):
    return request.param


@pytest.fixture
def global_random_seed():
    return 42


@pytest.fixture(autouse=True)
def ours_for_theirs(monkeypatch):
    monkeypatch.setattr(theirs, "GaussianMixture", GaussianMixture)


def test_all_of_them_are_there():
    assert len(TAKEN) == 35 and all(hasattr(theirs, name) for name in LEFT_OUT)


@pytest.mark.parametrize("seed", range(15))
def test_ten_starts_are_no_worse_than_the_first(seed):
    """scikit-learn's test_init; ten starts side by side are summed in another order than one."""
    X = np.random.RandomState(seed).rand(50, 2)
    one, ten = (
        GaussianMixture(2, n_init=count, max_iter=1, random_state=seed).fit(X).lower_bound_
        for count in (1, 10)
    )
    assert ten >= one - 1e-14  # nats per point


@pytest.mark.parametrize("cov_type", theirs.COVARIANCE_TYPE)
def test_five_starts_score_no_worse_than_one(cov_type):
    """scikit-learn's test_multiple_init."""
    X = np.random.RandomState(0).randn(50, 5)
    one, five = (
        GaussianMixture(2, covariance_type=cov_type, n_init=count, random_state=0).fit(X).score(X)
        for count in (1, 5)
    )
    assert five >= one - 1e-13  # nats per point
