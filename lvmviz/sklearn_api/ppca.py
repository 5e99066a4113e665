"""Probabilistic PCA as a scikit-learn estimator, also with missing values."""

from __future__ import annotations

import warnings
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import Tags, check_random_state
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from lvmviz import ppca
from lvmviz.gaps import Incomplete, checked
from lvmviz.ppca import PPCAParams

_LEAST = 1e-12  # of the mean variance of the columns: less noise than this is none
_TINY = 1e-6  # of the same: from less EM comes to 0 only in the limit
_NOISELESS = (
    "the noise variance goes to 0: what is seen can be told almost without noise by as many latents. "
    "Use fewer components, or more rows"
)
_UNFINISHED = "EM has not converged in max_iter={} iterations: raise max_iter or tol"


class PPCA(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Probabilistic PCA, x = W z + mean + noise, z ~ N(0, I), noise ~ N(0, sigma^2 I); NaN is missing.

    >>> model = PPCA(2).fit(X)  # X (N, D)
    >>> model.transform(X), model.score(X)  # E[z | x], and the mean of log p(x) in nats
    >>> model.impute(X_with_holes)  # E[x | what was seen] in the holes

    Whole rows have a closed form: `noise_variance_` is the mean of the D - q smallest eigenvalues of the
    covariance (1/N; scikit-learn's PCA divides by N - 1). With missing values EM climbs from a start drawn
    with `random_state`, until an iteration lifts the mean log-likelihood by less than `tol`. The components
    are orthogonal, the longest first, the largest entry of each positive. (Tipping and Bishop, 1999.)
    """

    n_features_in_: int
    _parameter_constraints: dict[str, list[Any]] = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0.0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
    }

    def __init__(
        self, n_components: int = 1, *, tol: float = 1e-9, max_iter: int = 2000, random_state: Any = None
    ) -> None:
        self.n_components = n_components
        self.tol = tol
        self.max_iter = max_iter
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> PPCA:
        """Learn from the rows of X (N, D)."""
        self._validate_params()
        x = np.asarray(validate_data(self, X, dtype=np.float64, ensure_all_finite="allow-nan",
                                     ensure_min_samples=2))  # fmt: skip
        self._refuse(x)
        points = torch.from_numpy(np.array(x))
        self.log_likelihoods_: list[float] = []
        holes = bool(points.isnan().any())
        theta = self._climbed(points) if holes else ppca.closed_form(points, self.n_components)
        self._keep(theta)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """E[z | what is seen of x], (N, n_components)."""
        return self._applied(X).latents.numpy()

    def inverse_transform(self, Z: Any) -> np.ndarray:
        """E[x | z], (N, D), for z (N, n_components)."""
        check_is_fitted(self, "components_")
        z = np.asarray(Z, dtype=np.float64)
        if z.ndim != 2 or z.shape[1] != self.n_components:
            raise ValueError(f"Z has shape {z.shape}: give one row of {self.n_components} numbers a z")
        return z @ self.components_ + self.mean_

    def impute(self, X: Any) -> np.ndarray:
        """X with E[x | what is seen of the row] in place of NaN, (N, D)."""
        return self._applied(X).filled.numpy()

    def score_samples(self, X: Any) -> np.ndarray:
        """log p(what is seen of x), (N,), nats; 0 for a row that shows nothing."""
        return self._applied(X).log_density.numpy()

    def score(self, X: Any, y: Any = None) -> float:
        """The mean log-likelihood of the rows, nats."""
        return float(self.score_samples(X).mean())

    def get_covariance(self) -> np.ndarray:
        """W W' + sigma^2 I, (D, D)."""
        return ppca.covariance(self._theta()).numpy()

    # ---- parts ----

    @property
    def _n_features_out(self) -> int:
        return self.n_components  # named ppca0, ppca1, ...

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def _refuse(self, x: np.ndarray) -> None:
        if self.n_components >= x.shape[1]:
            raise ValueError(
                f"n_components={self.n_components} is too many for n_features={x.shape[1]}: "
                "use fewer components than features"
            )
        names = getattr(self, "feature_names_in_", [f"column {i}" for i in range(x.shape[1])])
        checked(Incomplete(x, x, tuple(map(str, names))))

    def _climbed(self, points: Tensor) -> PPCAParams:
        """Where EM ends."""
        rows, before = ppca.gathered(points), -np.inf
        theta, least = self._start(points), _LEAST * float(rows.x.square().sum(0).div(len(rows.x)).mean())
        for _ in range(self.max_iter):
            theta = ppca.maximum_at(theta, rows)
            if not float(theta.noise_variance) > least:
                raise ValueError(ppca.FLAT)
            self.log_likelihoods_.append(float(ppca.applied(theta, points).log_density.mean()))
            if self.log_likelihoods_[-1] - before < self.tol:
                if float(theta.noise_variance) < _TINY / _LEAST * least:
                    warnings.warn(_NOISELESS, ConvergenceWarning, stacklevel=3)
                return theta
            before = self.log_likelihoods_[-1]
        warnings.warn(_UNFINISHED.format(self.max_iter), ConvergenceWarning, stacklevel=3)
        return theta

    def _start(self, points: Tensor) -> PPCAParams:
        """The closed form of the rows after their gaps were filled with means, shaken a little."""
        rows = ppca.gathered(points)
        filled = torch.zeros_like(rows.x)
        filled[rows.order] = rows.x
        values, vectors, mean = ppca.spectrum(filled)
        rng = check_random_state(self.random_state)
        scale = values.sum() / len(mean)
        if not float(scale) > 0.0:
            raise ValueError("no column varies where it is seen: use columns that do")
        noise = 0.1 * (scale / self.n_components).sqrt() * torch.from_numpy(
            rng.standard_normal((len(mean), self.n_components))
        )  # fmt: skip
        count = min(self.n_components, vectors.shape[1])
        noise[:, :count] += vectors[:, :count] * values[:count].sqrt()
        return PPCAParams(mean + rows.origin, noise, 0.5 * scale)

    def _keep(self, theta: PPCAParams) -> None:
        """The parameters, turned so that the components are orthogonal: the likelihood is the same."""
        left, singular, _ = torch.linalg.svd(theta.loadings, full_matrices=False)
        largest = left.abs().argmax(0, keepdim=True)
        self.components_ = (left * singular * left.gather(0, largest).sign()).T.numpy().copy()
        self.mean_ = theta.mean.numpy().copy()
        self.noise_variance_ = float(theta.noise_variance)
        self.n_iter_ = max(len(self.log_likelihoods_), 1)

    def _theta(self) -> PPCAParams:
        check_is_fitted(self, "components_")
        mean, loadings = (torch.from_numpy(np.array(part)) for part in (self.mean_, self.components_.T))
        return PPCAParams(mean, loadings, torch.tensor(self.noise_variance_, dtype=torch.float64))

    def _applied(self, X: Any) -> ppca.Applied:
        theta = self._theta()
        x = validate_data(self, X, dtype=np.float64, ensure_all_finite="allow-nan", reset=False)
        return ppca.applied(theta, torch.from_numpy(np.array(x)))
