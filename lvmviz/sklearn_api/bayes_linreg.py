"""Bayesian linear regression as a scikit-learn estimator."""

from __future__ import annotations

import warnings
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from lvmviz import linear_evidence
from lvmviz.evidence_updates import EvidenceUpdate, FixedPoint, Maximization
from lvmviz.linear_evidence import Decomposed, Precisions, log_evidence, posterior, runaway, within

_UPDATES: dict[str, EvidenceUpdate] = {"em": Maximization(), "fixed-point": FixedPoint()}
_UNFINISHED = "the log evidence has not converged in max_iter={} iterations: raise max_iter or tol"


class BayesianLinearRegression(RegressorMixin, BaseEstimator):
    """Linear regression with w ~ N(0, I / lambda) and noise of variance 1 / alpha, both by maximum evidence.

    >>> model = BayesianLinearRegression().fit(X, y)
    >>> mean, std = model.predict(X, return_std=True)  # std includes the noise

    alpha_ (beta in the lecture) and lambda_ climb from 1 / var(y) and 1, as scikit-learn's BayesianRidge with
    its hyperpriors at 0, by EM (`method="em"`: the evidence never falls) or by MacKay's fixed point
    (`method="fixed-point"`: faster as a rule), until an iteration changes the log evidence by less than `tol`
    nats. Where the evidence has no finite maximum, a ConvergenceWarning says why (note 003; Bishop, 2006,
    sections 3.5 and 9.3.4).
    """

    n_features_in_: int
    _parameter_constraints: dict[str, list[Any]] = {
        "method": [StrOptions({"em", "fixed-point"})],
        "tol": [Interval(Real, 0.0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "fit_intercept": ["boolean"],
        "alpha_init": [None, Interval(Real, 0.0, None, closed="neither")],
        "lambda_init": [None, Interval(Real, 0.0, None, closed="neither")],
    }

    def __init__(
        self, *, method: str = "em", tol: float = 1e-9, max_iter: int = 2000, fit_intercept: bool = True,
        alpha_init: float | None = None, lambda_init: float | None = None,
    ) -> None:  # fmt: skip
        self.method = method
        self.tol = tol
        self.max_iter = max_iter
        self.fit_intercept = fit_intercept
        self.alpha_init = alpha_init
        self.lambda_init = lambda_init

    def fit(self, X: Any, y: Any) -> BayesianLinearRegression:
        """Learn the weights of X (N, D) for y (N,)."""
        self._validate_params()
        checked = validate_data(self, X, y, dtype=np.float64, y_numeric=True, ensure_min_samples=2)
        x, target = (np.asarray(part, dtype=np.float64) for part in checked)
        self._x_mean = x.mean(0) if self.fit_intercept else np.zeros(x.shape[1])
        y_mean = float(target.mean()) if self.fit_intercept else 0.0
        centred = torch.from_numpy(x - self._x_mean), torch.from_numpy(target - y_mean)
        data = linear_evidence.decomposed(*centred)
        theta = self._climbed(self._start(centred[1]), data)
        self._keep(theta, data)
        self.intercept_ = y_mean - float(self._x_mean @ self.coef_)
        return self

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """The mean of y (N,); with return_std also its standard deviation, noise included."""
        check_is_fitted(self, "coef_")
        x = np.asarray(validate_data(self, X, dtype=np.float64, reset=False))
        mean = x @ self.coef_ + self.intercept_
        if not return_std:
            return mean
        centred = x - self._x_mean
        return mean, np.sqrt(((centred @ self.sigma_) * centred).sum(1) + 1.0 / self.alpha_)

    def _start(self, y: torch.Tensor) -> Precisions:
        variance = float(y.square().mean())
        alpha = self.alpha_init or 1.0 / (variance + np.finfo(np.float64).eps)
        values = (alpha, self.lambda_init or 1.0)
        return Precisions(*(torch.tensor(value, dtype=torch.float64) for value in values))

    def _climbed(self, theta: Precisions, data: Decomposed) -> Precisions:
        """Where the updates end, or the last theta before they left the range of numbers."""
        update, self.scores_ = _UPDATES[self.method], [float(log_evidence(theta, data))]
        for _ in range(self.max_iter):
            following = update(theta, posterior(theta, data), data)
            why = runaway(following, data)
            if why:
                warnings.warn(why, ConvergenceWarning, stacklevel=3)
                return following if within(following) else theta
            theta = following
            self.scores_.append(float(log_evidence(theta, data)))
            if abs(self.scores_[-1] - self.scores_[-2]) < self.tol:
                return theta
        warnings.warn(_UNFINISHED.format(self.max_iter), ConvergenceWarning, stacklevel=3)
        return theta

    def _keep(self, theta: Precisions, data: Decomposed) -> None:
        q, (width, rank) = posterior(theta, data), data.basis.shape
        self.alpha_, self.lambda_ = (float(part) for part in theta)
        self.coef_ = linear_evidence.weights(q, data).numpy()
        inside = (data.basis * q.variances[:rank]) @ data.basis.T
        if rank < width:  # across the rows nothing is known: the prior is left
            across = torch.eye(width, dtype=inside.dtype) - data.basis @ data.basis.T
            inside = inside + across / self.lambda_
        self.sigma_ = inside.numpy()
        self.n_iter_ = max(len(self.scores_) - 1, 1)
