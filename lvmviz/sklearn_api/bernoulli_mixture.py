"""The Bernoulli mixture as a scikit-learn estimator."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data
from torch import Tensor

from lvmviz.bernoulli_mixture import BernoulliMixtureParams, Data, filled, log_density, responsibilities
from lvmviz.sklearn_api.bernoulli_em import best_climb, drawn_means

_UNFINISHED = "EM has not converged in max_iter={} iterations: raise max_iter or tol"


class BernoulliMixture(DensityMixin, BaseEstimator):
    """A mixture of products of Bernoullis, for images and other rows of values from 0 to 1; NaN is missing.

    >>> mixture = BernoulliMixture(10, n_init=5, random_state=0).fit(X)  # X (N, D)
    >>> mixture.predict(X), mixture.score_samples(X)  # components, and log p(x) in nats
    >>> mixture.impute(X_with_holes)  # E[pixel | what was seen] in the holes

    EM (Bishop, 2006, section 9.3.3; with missing pixels: Ghahramani and Jordan, 1994) from `n_init` starts
    at once; the best is kept. It raises the lower bound (log p(X) + log p(means)) / N, in which every mean
    has the prior Beta(alpha + 1, alpha + 1): `alpha` pseudo-counts of on and of off. It has converged when
    an iteration changes the bound by less than `tol`. `callback(iteration, lower_bound)` may return True to
    stop. Values above `binarize`, where it is given, are on and all others off; without it, values between
    0 and 1 are partly on.
    """

    n_features_in_: int
    _parameter_constraints: dict[str, list[Any]] = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0.0, None, closed="left")],
        "max_iter": [Interval(Integral, 0, None, closed="left")],
        "n_init": [Interval(Integral, 1, None, closed="left")],
        "alpha": [Interval(Real, 0.0, None, closed="left")],
        "binarize": [None, Interval(Real, None, None, closed="neither")],
        "weights_init": ["array-like", None],
        "means_init": ["array-like", None],
        "random_state": ["random_state"],
        "warm_start": ["boolean"],
        "callback": [callable, None],
    }

    def __init__(
        self, n_components: int = 1, *, tol: float = 1e-3, max_iter: int = 100, n_init: int = 1,
        alpha: float = 0.01, binarize: float | None = None, weights_init: Any = None,
        means_init: Any = None, random_state: Any = None, warm_start: bool = False,
        callback: Callable[[int, float], Any] | None = None,
    ) -> None:  # fmt: skip
        self.n_components = n_components
        self.tol = tol
        self.max_iter = max_iter
        self.n_init = n_init
        self.alpha = alpha
        self.binarize = binarize
        self.weights_init = weights_init
        self.means_init = means_init
        self.random_state = random_state
        self.warm_start = warm_start
        self.callback = callback

    def fit(
        self, X: Any, y: Any = None, sample_weight: Any = None, *, labels: Any = None
    ) -> BernoulliMixture:
        """Learn from the rows of X (N, D); `labels` (N,) name the components of some, -1 where unknown."""
        self._validate_params()
        data = self._told(X, sample_weight, labels)
        best = best_climb(self._starts(data), data, self.alpha, self.tol, self.max_iter, self.callback)
        if not (best.converged or best.stopped or self.max_iter == 0):
            warnings.warn(_UNFINISHED.format(self.max_iter), ConvergenceWarning, stacklevel=2)
        self.weights_, self.means_ = (part.clone().numpy() for part in best.theta)
        self.lower_bounds_, self.lower_bound_ = best.bounds[1:], best.bounds[-1]
        self.converged_, self.n_iter_ = best.converged, len(best.bounds) - 1
        return self

    def fit_predict(self, X: Any, y: Any = None, sample_weight: Any = None) -> np.ndarray:
        """Fit, and the likeliest component of each row (N,)."""
        return self.fit(X, y, sample_weight).predict(X)

    def predict(self, X: Any) -> np.ndarray:
        """The likeliest component of each row, (N,)."""
        return self.predict_proba(X).argmax(1)

    def predict_proba(self, X: Any) -> np.ndarray:
        """p(component | what was seen of the row), (N, K)."""
        return responsibilities(self._theta(), self._seen(X)).resp.numpy()

    def score_samples(self, X: Any) -> np.ndarray:
        """log p(x) (N,) of the pixels that are not missing, nats."""
        return log_density(self._theta(), self._seen(X)).numpy()

    def score(self, X: Any, y: Any = None) -> float:
        """The mean of log p(x), nats."""
        return float(self.score_samples(X).mean())

    def impute(self, X: Any) -> np.ndarray:
        """X with E[pixel | what was seen of the row] in place of NaN, (N, D)."""
        return filled(self._theta(), self._seen(X)).numpy()

    def sample(self, n_samples: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """Rows of zeros and ones (n_samples, D), and the components that made them (n_samples,)."""
        check_is_fitted(self, "means_")
        if n_samples < 1:
            raise ValueError(f"n_samples is {n_samples}: draw at least one row")
        rng = check_random_state(self.random_state)
        y = np.repeat(np.arange(len(self.weights_)), rng.multinomial(n_samples, self.weights_))
        return (rng.uniform(size=(n_samples, self.means_.shape[1])) < self.means_[y]).astype(float), y

    def bic(self, X: Any) -> float:
        """Bayes' information criterion on X, nats times -2: lower is better."""
        log_lik = self.score_samples(X)
        return float(-2.0 * log_lik.sum() + self._n_parameters() * np.log(len(log_lik)))

    def aic(self, X: Any) -> float:
        """Akaike's information criterion on X, nats times -2: lower is better."""
        return float(-2.0 * self.score_samples(X).sum() + 2.0 * self._n_parameters())

    def _starts(self, data: Data) -> BernoulliMixtureParams:
        """The thetas (R, K) to climb from: given, those of the last fit, or drawn."""
        shape = (self.n_components, data.x.shape[1])
        if self.warm_start and hasattr(self, "means_"):
            if self.means_.shape != shape:
                raise ValueError(
                    f"the last fit had means of shape {self.means_.shape} and this one {shape}: "
                    "set warm_start=False"
                )
            return BernoulliMixtureParams(*(part[None] for part in self._theta()))
        weights = torch.full(shape[:1], 1.0 / shape[0], dtype=torch.float64)
        if self.weights_init is not None:
            weights = _given("weights_init", self.weights_init, shape[:1])
            if abs(float(weights.sum()) - 1.0) > 1e-6:
                raise ValueError(f"weights_init sums to {float(weights.sum()):g}: divide it by its sum")
        if self.means_init is not None:
            means = _given("means_init", self.means_init, shape)[None]
        else:
            rng = check_random_state(self.random_state)
            means = torch.stack([drawn_means(rng, shape[0], data) for _ in range(self.n_init)])
        return BernoulliMixtureParams(weights.expand(len(means), -1), means)

    # ---- what is given ----

    def _theta(self) -> BernoulliMixtureParams:
        check_is_fitted(self, "means_")
        return BernoulliMixtureParams(*(torch.tensor(part) for part in (self.weights_, self.means_)))

    def _seen(self, X: Any) -> Data:
        return _data(self._rows(X, reset=False))

    def _told(self, X: Any, sample_weight: Any, labels: Any) -> Data:
        """What there is to learn from; rows of weight 0 are left out."""
        x = self._rows(X, reset=True, ensure_min_samples=2)
        known = None if labels is None else _labels(labels, len(x), self.n_components)
        weights = None
        if sample_weight is not None:
            weights = _check_sample_weight(sample_weight, x, dtype=np.float64, ensure_non_negative=True)
            x, known = x[weights > 0], None if known is None else known[weights > 0]
            weights = weights[weights > 0]
        if len(x) < self.n_components:
            raise ValueError(
                f"n_samples={len(x)} rows cannot be shared by n_components={self.n_components}: "
                "ask for fewer components, or give more rows"
            )
        empty = np.isnan(x).all(0)
        if empty.any():
            raise ValueError(
                f"column {int(empty.argmax())} of X (from 0) is missing in every row: leave it out"
            )
        return _data(x)._replace(labels=_tensor(known), weights=_tensor(weights))

    def _rows(self, X: Any, **checks: Any) -> np.ndarray:
        """X (N, D), float64, from 0 to 1 or NaN."""
        try:
            x = validate_data(self, X, dtype=np.float64, ensure_all_finite="allow-nan", **checks)
        except ValueError as error:
            if "could not convert string" in str(error):
                raise ValueError(
                    f"X holds text ({error}): give numbers from 0 to 1, and NaN where missing"
                ) from error
            raise
        x = np.array(x, order="C")
        if self.binarize is not None:
            return np.where(np.isnan(x), np.nan, x > self.binarize)
        if ((x < 0.0) | (x > 1.0)).any():
            low, high = np.nanmin(x) + 0.0, np.nanmax(x) + 0.0  # never -0
            raise ValueError(f"X has values from {low:g} to {high:g}: scale them to 0...1, or set binarize")
        return x

    def _n_parameters(self) -> int:
        return self.means_.size + self.weights_.size - 1

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


def _data(x: np.ndarray) -> Data:
    missing = np.isnan(x)
    return Data(torch.from_numpy(x), torch.from_numpy(~missing) if missing.any() else None)


def _tensor(array: np.ndarray | None) -> Tensor | None:
    return None if array is None else torch.from_numpy(array)


def _given(name: str, value: Any, shape: tuple[int, ...]) -> Tensor:
    """Weights or means from 0 to 1 to start from."""
    array = np.array(value, dtype=np.float64)
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}: this fit needs {shape}")
    if not ((array >= 0.0) & (array <= 1.0)).all():
        raise ValueError(f"{name} must hold numbers from 0 to 1")
    return torch.from_numpy(array)


def _labels(labels: Any, rows: int, components: int) -> np.ndarray:
    array = np.array(labels)
    if array.shape != (rows,) or array.dtype.kind not in "iu":
        raise ValueError(f"labels must be {rows} whole numbers, one a row: a component, or -1 where unknown")
    if array.min() < -1 or array.max() >= components:
        raise ValueError(
            f"labels run from {array.min()} to {array.max()}: use 0 to {components - 1}, and -1 where unknown"
        )
    return array.astype(np.int64)
