"""Gaussian mixtures by EM as a scikit-learn estimator: its names, its starts, its numbers, and faster."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import sklearn.mixture
import torch
from sklearn.base import _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture._gaussian_mixture import _compute_precision_cholesky_from_precisions
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from lvmviz.fast_em import (
    GRAIN,
    Climb,
    Mixture,
    Points,
    chunk_rows,
    climb,
    from_precisions,
    log_joints,
    mixture,
)
from lvmviz.sklearn_api.gaussian_starts import Starting, first_estimates, known_labels

STARTED_FROM = 2**17  # rows of a memory map that a start looks at


class GaussianMixture(sklearn.mixture.GaussianMixture):
    """EM for a mixture of K Gaussians, with scikit-learn's names and semantics, and its starts for a seed.

    p(x) = sum_k pi_k N(x | mu_k, Sigma_k), Sigma_k full, tied, diag or spherical. Beyond scikit-learn's own:
    sample weights; labels of some or all rows; n_init starts climb at once; device ("cpu", "cuda", "mps");
    dtype ("float64", "float32", or None: that of X), in which the sums over many points are taken; callback
    (iteration, lower bound in nats per point), which ends the fit by returning True; memory maps, read in
    chunks. (Dempster, Laird and Rubin, 1977; Bishop, 2006, section 9.2.2.)

    >>> X = np.array([[1, 2], [1, 4], [1, 0], [10, 2], [10, 4], [10, 0]])
    >>> GaussianMixture(2, random_state=0).fit(X).predict([[0, 0], [12, 3]])
    array([1, 0])
    """

    _parameter_constraints = {
        **sklearn.mixture.GaussianMixture._parameter_constraints,
        "device": [StrOptions({"cpu", "cuda", "mps"})],
        "dtype": [StrOptions({"float32", "float64"}), None],
        "callback": [callable, None],
    }

    def __init__(
        self, n_components: int = 1, *, covariance_type: str = "full", tol: float = 1e-3,
        reg_covar: float = 1e-6, max_iter: int = 100, n_init: int = 1, init_params: str = "kmeans",
        weights_init: Any = None, means_init: Any = None, precisions_init: Any = None,
        random_state: Any = None, warm_start: bool = False, verbose: int = 0, verbose_interval: int = 10,
        device: str = "cpu", dtype: str | None = None,
        callback: Callable[[int, float], bool | None] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(
            n_components, covariance_type=covariance_type, tol=tol, reg_covar=reg_covar, max_iter=max_iter,
            n_init=n_init, init_params=init_params, weights_init=weights_init, means_init=means_init,
            precisions_init=precisions_init, random_state=random_state, warm_start=warm_start,
            verbose=verbose, verbose_interval=verbose_interval,
        )  # fmt: skip
        self.device = device
        self.dtype = dtype
        self.callback = callback

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None, labels: Any = None) -> GaussianMixture:
        """Climb from the starts and keep the best.

        A row of weight w counts as w rows. labels (N,) holds the component of the rows that are known and -1
        for the others: those rows' q is fixed, and they place the start; with all known, one step gives the
        maximum likelihood of every class.
        """
        self._fit(X, sample_weight, labels)
        return self

    def fit_predict(self, X: Any, y: Any = None, sample_weight: Any = None, labels: Any = None) -> np.ndarray:
        """Fit, and the most probable component of each row (N,)."""
        return self._fit(X, sample_weight, labels).argmax()

    @_fit_context(prefer_skip_nested_validation=True)
    def _fit(self, X: Any, sample_weight: Any, labels: Any) -> _Posterior:
        mapped = isinstance(X, np.memmap)
        X = np.asarray(validate_data(self, X, dtype=[np.float64, np.float32], ensure_min_samples=2))
        if len(X) < self.n_components:
            raise ValueError(
                f"Expected n_samples >= n_components but got n_components = {self.n_components}, "
                f"n_samples = {len(X)}"
            )
        self._check_parameters(X, xp=np)
        weights = self._checked_weights(sample_weight, X)
        known = None if labels is None else known_labels(labels, len(X), self.n_components)
        again = self.warm_start and hasattr(self, "converged_")
        begun = self.lower_bound_ if again else -np.inf
        points = self._points(X, weights, known, keep=not mapped)
        start = self._theta() if again else self._starts(X, weights, known, mapped)
        self._keep(self._climbed(points, start, begun), X.dtype, points.origin)
        return _Posterior(self, X)

    # ---- the start ----

    def _starts(
        self, X: np.ndarray, weights: np.ndarray | None, known: np.ndarray | None, mapped: bool
    ) -> Mixture:
        """n_init starts side by side, by scikit-learn's own draws; all three parameters given: one."""
        given = (self.weights_init, self.means_init, self.precisions_init)
        if all(part is not None for part in given):
            return self._placed(np.empty((1, 0)), np.empty((1, 0, 0)), None)
        source = check_random_state(self.random_state)
        if mapped and len(X) > STARTED_FROM:
            rows = np.sort(source.choice(len(X), STARTED_FROM, replace=False))
            X = X[rows]
            weights = None if weights is None else weights[rows]
            known = None if known is None else known[rows]
        rows = chunk_rows(self.n_init, self.n_components, X.shape[1])
        points = Points(X, weights=weights, rows=rows, keep=False)
        told = Starting(X, weights, known, self.n_components, self.init_params, source)
        found = first_estimates(told, points, self.covariance_type, self.reg_covar, self.n_init)
        return self._placed(*found)

    def _placed(self, weights: np.ndarray, means: np.ndarray, covariances: np.ndarray | None) -> Mixture:
        """R starts, what the settings give in the place of what was found."""
        kind, r = self.covariance_type, len(weights)
        if self.weights_init is not None:
            weights = _repeated(self.weights_init, r)
        if self.means_init is not None:
            means = _repeated(self.means_init, r)
        if self.precisions_init is None:
            return mixture(kind, weights, means, np.asarray(covariances))
        precisions = np.asarray(self.precisions_init, dtype=np.float64)
        roots = _compute_precision_cholesky_from_precisions(precisions, kind, xp=np)
        one = from_precisions(kind, weights[0], means[0], roots)
        covariances, factors, whiteners = (_repeated(part[0], r) for part in one[3:])
        return Mixture(kind, weights, means, covariances, factors, whiteners)

    # ---- the climb ----

    def _points(
        self, X: np.ndarray, weights: np.ndarray | None, known: np.ndarray | None, keep: bool
    ) -> Points:
        dtype = torch.float32 if (self.dtype or X.dtype.name) == "float32" else torch.float64
        if self.device == "cpu" and X.size * self.n_components * self.n_init <= GRAIN:
            dtype = torch.float64  # so few that single precision saves nothing
        if self.device == "mps" and dtype == torch.float64:
            raise ValueError('device "mps" has no float64: choose dtype="float32"')
        rows = chunk_rows(self.n_init, self.n_components, X.shape[1])
        return Points(X, weights=weights, labels=known, device=self.device, dtype=dtype, rows=rows, keep=keep)

    def _climbed(self, points: Points, start: Mixture, begun: float) -> Climb:
        """The best of the climbs; the first of equals."""
        self._print_verbose_msg_init_beg(0)
        theta = start._replace(means=start.means - points.origin)
        if self.max_iter == 0:
            return Climb(theta.take(slice(-1, None)), [], False)
        climbs = climb(
            points, theta, tol=self.tol, reg_covar=self.reg_covar, max_iter=self.max_iter, begun=begun,
            told=self._told if self.callback is not None or self.verbose else None,
        )  # fmt: skip
        best = max(climbs, key=lambda one: one.bounds[-1])
        self._print_verbose_msg_init_end(best.bounds[-1], best.converged)
        return best

    def _told(self, iteration: int, bound: float) -> bool:
        self._print_verbose_msg_iter_end(iteration, bound - getattr(self, "_before", -np.inf))
        self._before = bound
        return self.callback is not None and self.callback(iteration, bound) is True

    def _keep(self, best: Climb, dtype: np.dtype, origin: np.ndarray) -> None:
        """Scikit-learn's attributes, of X's dtype."""
        theta, tied = best.theta, self.covariance_type == "tied"
        roots = theta.whiteners
        if self.covariance_type in ("full", "tied"):
            roots = np.swapaxes(roots, 2, 3)
        shaped = [part[0, 0] if tied else part[0] for part in (theta.covariances, roots)]
        kept = [theta.weights[0], theta.means[0] + origin, *shaped]
        self._set_parameters(tuple(np.array(part, dtype=dtype, order="C") for part in kept), xp=np)
        self.converged_, self.n_iter_ = best.converged, len(best.bounds)
        self.lower_bounds_, self.lower_bound_ = best.bounds, best.bounds[-1] if best.bounds else -np.inf
        vars(self).pop("_before", None)
        if not self.converged_ and self.max_iter > 0:
            warnings.warn(
                "Best performing initialization did not converge. Try different init parameters, or increase "
                "max_iter, tol, or check for degenerate data.", ConvergenceWarning, stacklevel=4,
            )  # fmt: skip

    # ---- what is learned, applied ----

    def predict(self, X: Any) -> np.ndarray:
        """The most probable component of each row (N,)."""
        return self._posterior(X).argmax()

    def predict_proba(self, X: Any) -> np.ndarray:
        """p(z = k | x) (N, K)."""
        return self._posterior(X).proba()

    def score_samples(self, X: Any) -> np.ndarray:
        """log p(x) (N,), nats."""
        return self._posterior(X).log_density()

    def _posterior(self, X: Any) -> _Posterior:
        check_is_fitted(self)
        X = np.asarray(validate_data(self, X, dtype=[np.float64, np.float32], reset=False))
        return _Posterior(self, X)

    def _theta(self) -> Mixture:
        """The attributes as the engine has them, about zero."""
        parts = (self.weights_, self.means_, self.precisions_cholesky_)
        return from_precisions(self.covariance_type, *(np.asarray(part, dtype=np.float64) for part in parts))

    def _checked_weights(self, sample_weight: Any, X: np.ndarray) -> np.ndarray | None:
        if sample_weight is None:
            return None
        weights = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        if np.count_nonzero(weights) < self.n_components:
            raise ValueError(
                f"only {np.count_nonzero(weights)} rows have a weight above zero: {self.n_components} "
                "components need at least as many"
            )
        return weights

    # ---- to and from scikit-learn ----

    def to_sklearn(self) -> sklearn.mixture.GaussianMixture:
        """Scikit-learn's estimator with these settings and, once fitted, these parameters."""
        names = sklearn.mixture.GaussianMixture._get_param_names()
        made = sklearn.mixture.GaussianMixture(**{name: getattr(self, name) for name in names})
        return _told_the_same(self, made)

    @classmethod
    def from_sklearn(cls, model: sklearn.mixture.GaussianMixture, **settings: Any) -> GaussianMixture:
        """This estimator with scikit-learn's settings and parameters; `settings` adds device, dtype, ..."""
        if not isinstance(model, sklearn.mixture.GaussianMixture):
            raise TypeError(
                f"{type(model).__name__} is no GaussianMixture: give one of sklearn.mixture, fitted or not"
            )
        return _told_the_same(model, cls(**{**model.get_params(deep=False), **settings}))


class _Posterior:
    """log pi_k + log N(x_n | mu_k, Sigma_k) of every row, a chunk at a time in float64; told in X's dtype."""

    def __init__(self, model: GaussianMixture, X: np.ndarray) -> None:
        self.theta, self.X = model._theta(), X
        self.origin = self.theta.means[0].mean(0)
        self.theta = self.theta._replace(means=self.theta.means - self.origin)

    def argmax(self) -> np.ndarray:
        """(N,)."""
        return np.concatenate([part.argmax(0).numpy() for part in self._chunks()])

    def proba(self) -> np.ndarray:
        """(N, K)."""
        return np.concatenate([part.softmax(0).T.numpy().astype(self.X.dtype) for part in self._chunks()])

    def log_density(self) -> np.ndarray:
        """(N,) nats."""
        return np.concatenate([part.logsumexp(0).numpy().astype(self.X.dtype) for part in self._chunks()])

    def _chunks(self) -> Iterator[torch.Tensor]:
        rows = chunk_rows(1, self.theta.means.shape[1], self.theta.means.shape[2])
        return log_joints(self.theta, Points(self.X, origin=self.origin, rows=rows, keep=False))


def _repeated(one: Any, count: int) -> np.ndarray:
    return np.repeat(np.asarray(one, dtype=np.float64)[None], count, axis=0)


def _told_the_same(source: Any, made: Any) -> Any:
    """`made` with the fitted attributes of `source`."""
    fitted = {name: value for name, value in vars(source).items() if name.endswith("_")}
    vars(made).update(fitted)
    return made
