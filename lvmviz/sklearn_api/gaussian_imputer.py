"""Missing values filled by a Gaussian, as a scikit-learn transformer."""

from __future__ import annotations

import warnings
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import Tags
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from lvmviz import incomplete_gaussian as gaussian
from lvmviz.gaps import Incomplete, checked
from lvmviz.incomplete_gaussian import GaussianParams, divergence
from lvmviz.regularizers import Floor

_UNFINISHED = "EM has not converged in max_iter={} iterations: raise max_iter or tol"


class GaussianImputer(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Fill missing values (NaN) with E[missing | seen] of the Gaussian that explains what is seen best.

    >>> imputer = GaussianImputer().fit(X)  # X (N, D) with NaN
    >>> imputer.transform(X), imputer.conditionals(X)  # filled; and means with standard deviations

    Mean and covariance are those of maximum likelihood by EM (Little and Rubin, 2002, section 11.2), which
    ends when an iteration moves the Gaussian by less than `tol` nats of KL. In units of the columns' standard
    deviations no variance, in any direction, falls below `reg_covar`: so constant columns, copies of columns
    and more columns than rows do no harm.
    """

    n_features_in_: int
    _parameter_constraints: dict[str, list[Any]] = {
        "tol": [Interval(Real, 0.0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "reg_covar": [Interval(Real, 1e-10, 0.1, closed="both")],
    }

    def __init__(self, *, tol: float = 1e-8, max_iter: int = 1000, reg_covar: float = 1e-6) -> None:
        self.tol = tol
        self.max_iter = max_iter
        self.reg_covar = reg_covar

    def fit(self, X: Any, y: Any = None) -> GaussianImputer:
        """Learn mean and covariance from the rows of X (N, D); ValueError where a column has no value."""
        self._validate_params()
        x = np.asarray(validate_data(self, X, dtype=np.float64, ensure_all_finite="allow-nan"))
        names = getattr(self, "feature_names_in_", [f"column {i}" for i in range(x.shape[1])])
        points = torch.from_numpy(np.array(checked(Incomplete(x, x, tuple(map(str, names)))).points))
        origin, spread = gaussian.column_means(points), gaussian.column_variances(points).sqrt()
        varies = spread > 1e-12 * (1.0 + origin.abs())
        units = torch.where(varies, spread, 1.0)
        theta = self._climbed((points - origin) / units)
        self.mean_ = (theta.mean * units + origin).numpy()
        self.covariance_ = (units[:, None] * theta.covariance * units).numpy()
        return self

    def transform(self, X: Any) -> np.ndarray:
        """X with the conditional means in place of NaN, (N, D)."""
        return self.conditionals(X)[0]

    def conditionals(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        """X filled (N, D), and the standard deviations (N, D) of what was filled in, 0 where seen."""
        filled = gaussian.fill(self._theta(), self._checked(X))
        return filled.means.numpy(), filled.sds.numpy()

    def score_samples(self, X: Any) -> np.ndarray:
        """log p(what is seen of each row), (N,), nats; 0 for a row that shows nothing."""
        return gaussian.log_density(self._theta(), self._checked(X)).numpy()

    def score(self, X: Any, y: Any = None) -> float:
        """The mean of log p(what is seen of a row), nats."""
        return float(self.score_samples(X).mean())

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def _climbed(self, points: Tensor) -> GaussianParams:
        """Where EM ends, for columns of mean 0 and variance 1."""
        patterns, floor = gaussian.gathered(points), Floor(amount=self.reg_covar)
        spread = floor(torch.diag(gaussian.column_variances(points)))
        theta = GaussianParams(torch.zeros_like(points[0]), spread)
        for iteration in range(1, self.max_iter + 1):
            best = gaussian.maximum_at(theta, patterns)
            before, theta = theta, best._replace(covariance=floor(best.covariance))
            self.n_iter_ = iteration
            if float(divergence(theta, before)) < self.tol:
                return theta
        warnings.warn(_UNFINISHED.format(self.max_iter), ConvergenceWarning, stacklevel=3)
        return theta

    def _theta(self) -> GaussianParams:
        check_is_fitted(self, "covariance_")
        return GaussianParams(torch.from_numpy(self.mean_.copy()), torch.from_numpy(self.covariance_.copy()))

    def _checked(self, X: Any) -> Tensor:
        x = validate_data(self, X, dtype=np.float64, ensure_all_finite="allow-nan", reset=False)
        return torch.from_numpy(np.array(x))
