"""The parameters of a batch of Gaussian mixtures, and the M-step: small tables, float64, NumPy.

R mixtures of K components in D dimensions stand side by side, the restart's axis in front. The M-step works
on R K D^2 numbers, however many points there are: the device that holds the points never sees it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lvmviz.mixtures import LOG_2PI

EPS = float(np.finfo(np.float64).eps)
ILL_DEFINED = (
    "Fitting the mixture model failed because some components have ill-defined empirical covariance (for "
    "instance caused by singleton or collapsed samples). Try to decrease the number of components, increase "
    "reg_covar, or scale the input data."
)


class Mixture(NamedTuple):
    """R Gaussian mixtures; a component whitens a point as y = A (x - mean), A A^T's inverse its covariance.

    Shapes by covariance type S: full (R, K, D, D), tied (R, 1, D, D), diag (R, K, D), spherical (R, K).
    """

    kind: str  # full, tied, diag or spherical
    weights: np.ndarray  # (R, K) positive, sum to one
    means: np.ndarray  # (R, K, D)
    covariances: np.ndarray  # S
    factors: np.ndarray  # S, L: lower Cholesky factors, or standard deviations
    whiteners: np.ndarray  # S, A: the inverses of L

    def take(self, rows: np.ndarray | slice) -> Mixture:
        """Some of the R, chosen by index or mask."""
        return Mixture(self.kind, *(part[rows] for part in self[1:]))

    def log_constants(self) -> np.ndarray:
        """log weight + log |A| - D/2 log 2 pi (R, K): the log joint where y = 0."""
        return _log(self.weights) + self._log_det() - 0.5 * self.means.shape[2] * LOG_2PI

    def steepness(self) -> float:
        """How many standard deviations a component lies from the origin, at most: squares lose digits."""
        if self.kind in ("full", "tied"):
            apart = (self.whiteners @ self.means[..., None])[..., 0]
        else:
            apart = self.means * (self.whiteners if self.kind == "diag" else self.whiteners[..., None])
        return math.sqrt(float((apart**2).sum(2).max()) + self.means.shape[2])

    def _log_det(self) -> np.ndarray:
        if self.kind == "spherical":
            return self.means.shape[2] * np.log(self.whiteners)
        if self.kind == "diag":
            return np.log(self.whiteners).sum(2)
        return np.log(np.diagonal(self.whiteners, axis1=2, axis2=3)).sum(2)


class Moments(NamedTuple):
    """Sums over the points, weighted by responsibilities; y = A (x - origin), or x itself without a frame."""

    counts: np.ndarray  # (R, K) sum of r
    first: np.ndarray  # (R, K, D) sum of r y
    # sum of r y y^T: full and tied in a frame (R, K, D, D), tied without (D, D) = sum of x x^T;
    # diag: its diagonal (R, K, D); spherical: its trace (R, K)
    second: np.ndarray
    frame: Mixture | None  # whose components' means and whiteners y is made with


def mixture(kind: str, weights: np.ndarray, means: np.ndarray, covariances: np.ndarray) -> Mixture:
    """R mixtures of these parameters; ValueError when a covariance is not positive definite."""
    if kind in ("full", "tied"):
        factors = _cholesky(covariances)
        whiteners = np.tril(np.linalg.inv(factors))
    else:
        if not (covariances > 0.0).all():
            raise ValueError(_ill_defined(covariances.min(2) if kind == "diag" else covariances))
        factors = np.sqrt(covariances)
        whiteners = 1.0 / factors
    return Mixture(kind, weights, means, covariances, factors, whiteners)


def from_precisions(kind: str, weights: np.ndarray, means: np.ndarray, roots: np.ndarray) -> Mixture:
    """One mixture (R = 1) from scikit-learn's arrays; roots: its precisions_cholesky_ U, precision U U^T."""
    if kind in ("full", "tied"):
        whiteners = np.swapaxes(roots.reshape(1, -1, *roots.shape[-2:]), 2, 3)
        factors = np.tril(np.linalg.inv(whiteners))
        covariances = factors @ np.swapaxes(factors, 2, 3)
    else:
        whiteners, factors, covariances = roots[None], 1.0 / roots[None], 1.0 / roots[None] ** 2
    return Mixture(kind, weights[None], means[None], covariances, factors, whiteners)


def stack(several: Sequence[Mixture]) -> Mixture:
    """The mixtures side by side."""
    return Mixture(
        several[0].kind, *(np.concatenate(parts) for parts in list(zip(*several, strict=True))[1:])
    )


def maximum(moments: Moments, kind: str, reg_covar: float, scale: np.ndarray) -> Mixture:
    """The M-step: the mixtures of largest expected log joint, reg_covar added to the variances.

    ValueError when a component's variance falls below what the coordinates resolve.
    """
    weights, means, covariances = estimates(moments, kind, reg_covar)
    _refuse_collapse(kind, covariances, scale)
    return mixture(kind, weights, means, covariances)


def estimates(moments: Moments, kind: str, reg_covar: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights (R, K), means (R, K, D) and covariances S that the sums say, positive definite or not."""
    counts = moments.counts + 10.0 * EPS  # as scikit-learn keeps an empty component from dividing by zero
    means = moments.first / counts[..., None]
    covariances = _COVARIANCES[kind](moments, counts, means) + _ridge(kind, reg_covar, means.shape[2])
    if moments.frame is not None:
        means = moments.frame.means + _unwhitened(moments.frame, means)
    return counts / counts.sum(1, keepdims=True), means, covariances


def _full(moments: Moments, counts: np.ndarray, means: np.ndarray) -> np.ndarray:
    central = moments.second / counts[..., None, None] - means[..., :, None] * means[..., None, :]
    return central if moments.frame is None else _rotated(moments.frame, central)


def _tied(moments: Moments, counts: np.ndarray, means: np.ndarray) -> np.ndarray:
    within = np.swapaxes(means * counts[..., None], 1, 2) @ means  # (R, D, D)
    total = moments.second if moments.frame is None else moments.second.sum(1)
    pooled = ((total - within) / counts.sum(1)[:, None, None])[:, None]
    return pooled if moments.frame is None else _rotated(moments.frame, pooled)


def _diag(moments: Moments, counts: np.ndarray, means: np.ndarray) -> np.ndarray:
    central = moments.second / counts[..., None] - means**2
    return central if moments.frame is None else central * moments.frame.factors**2


def _spherical(moments: Moments, counts: np.ndarray, means: np.ndarray) -> np.ndarray:
    central = (moments.second / counts - (means**2).sum(2)) / means.shape[2]
    return central if moments.frame is None else central * moments.frame.factors**2


_COVARIANCES = {"full": _full, "tied": _tied, "diag": _diag, "spherical": _spherical}


def _ridge(kind: str, reg_covar: float, width: int) -> np.ndarray | float:
    return reg_covar * np.eye(width) if kind in ("full", "tied") else reg_covar


def _rotated(frame: Mixture, central: np.ndarray) -> np.ndarray:
    return frame.factors @ central @ np.swapaxes(frame.factors, 2, 3)


def _unwhitened(frame: Mixture, y: np.ndarray) -> np.ndarray:
    if frame.kind in ("full", "tied"):
        return (frame.factors @ y[..., None])[..., 0]
    return y * (frame.factors if frame.kind == "diag" else frame.factors[..., None])


def _refuse_collapse(kind: str, covariances: np.ndarray, scale: np.ndarray) -> None:
    """A standard deviation within a few roundings of the coordinates is no width but their noise."""
    variances = np.diagonal(covariances, axis1=2, axis2=3) if kind in ("full", "tied") else covariances
    floor = (4.0 * EPS * (scale.min() if kind == "spherical" else scale)) ** 2
    if not (variances > floor).all():
        margin = variances - floor
        raise ValueError(_ill_defined(margin if kind == "spherical" else margin.min(2)))


def _cholesky(covariances: np.ndarray) -> np.ndarray:
    try:
        return np.linalg.cholesky(covariances)
    except np.linalg.LinAlgError:
        finite = np.nan_to_num(covariances, nan=-1.0, posinf=-1.0, neginf=-1.0)
        raise ValueError(_ill_defined(np.linalg.eigvalsh(finite).min(2))) from None


def _ill_defined(worst: np.ndarray) -> str:
    """The sentence; worst (R, K) is smallest at the component to name."""
    number = int(np.argmin(np.nan_to_num(worst, nan=-np.inf).min(0)))
    named = f"Component {number} collapsed. " if worst.shape[1] > 1 else ""
    return named + ILL_DEFINED


def _log(weights: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):  # a component of weight zero takes no points
        return np.log(weights)
