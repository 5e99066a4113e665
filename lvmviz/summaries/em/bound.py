"""The log-likelihood and its bound over one parameter of a mixture."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lvmviz.datasets import Dataset
from lvmviz.kept import kept
from lvmviz.mixtures import GaussianMixtureParams, Responsibilities, log_likelihoods
from lvmviz.mixtures import responsibilities as posterior
from lvmviz.runs.job import Trace
from lvmviz.summaries.em.theta import means
from lvmviz.summaries.em.trace import (
    SAMPLE,
    decompositions,
    distinct,
    distinct_q,
    em,
    sample,
    table_points,
    thetas,
    told,
    weight,
)

KEPT = 8_000_000  # bytes of curves that are kept


class BoundCurve(NamedTuple):
    """log p(X | theta)/N and ELBO(q, theta)/N as functions of one mean's coordinate t, at every snapshot."""

    grid: np.ndarray  # (G,) values of t, the same for all snapshots
    curve: np.ndarray  # (T, G) log-likelihood per point, nats
    bound: np.ndarray  # (T, G) ELBO per point, nats: a parabola in t
    at: np.ndarray  # (T,) where the parameter is
    curve_at: np.ndarray  # (T,) log-likelihood per point there
    bound_at: np.ndarray  # (T,) ELBO per point there


class _Varied(NamedTuple):
    """Which coordinate of which mean varies, over which points."""

    data: Dataset
    component: int
    axis: int
    ends: tuple[float, float]
    count: int

    def points(self) -> Tensor:
        """All points, or the sample that stands for them (n, D)."""
        everything = self.data.table().points
        return torch.tensor(everything[sample(len(everything))], dtype=torch.float64)

    def grid(self) -> np.ndarray:
        """The values of t."""
        return np.linspace(*self.ends, self.count)


def bound_curve(trace: Trace, component: int, axis: int, width: float = 0.5, count: int = 91) -> BoundCurve:
    """The log-likelihood and its bound while coordinate `axis` of the mean of `component` (from 0) varies.

    The grid covers the parameter's path and at least `width` standard deviations of the data on both sides;
    its ends jump, so that a trace that grows keeps what was computed. Of more than `SAMPLE` points the shapes
    are a sample's, lifted onto the exact values where the parameter is.
    """
    everything = table_points(trace)
    at = means(trace)[:, component, axis]
    margin = width * (float(everything[:, axis].std()) or 1.0)
    origin = float(everything[0, axis])
    low, high = np.floor((at.min() - origin) / margin) - 1.0, np.ceil((at.max() - origin) / margin) + 1.0
    ends = float(origin + low * margin), float(origin + high * margin)
    varied = _Varied(em(trace).data, component, axis, ends, count)
    curves, bounds = _over(trace, varied)
    if len(everything) > SAMPLE:
        terms = decompositions(trace)
        curves = curves + (np.array([term.log_evidence for term in terms]) - curves[:, -1])[:, None]
        bounds = bounds + (np.array([term.elbo for term in terms]) - bounds[:, -1])[:, None]
    return BoundCurve(varied.grid(), curves[:, :-1], bounds[:, :-1], at, curves[:, -1], bounds[:, -1])


def _over(trace: Trace, varied: _Varied) -> tuple[np.ndarray, np.ndarray]:
    """Curve and bound at every t of the grid, and last where t is, (T, G + 1)."""
    (theta_of, lines), (q_of, made) = distinct(thetas(trace)), distinct_q(trace)
    # q alone moves in an E-step: the curve is that of the snapshot before
    curves = [_curve(theta, varied) for theta in lines]
    pairs = list(zip(theta_of.tolist(), q_of.tolist(), strict=True))
    bounds = {pair: _bound(lines[pair[0]], made[pair[1]], varied) for pair in dict.fromkeys(pairs)}
    return np.stack(curves)[theta_of], np.stack([bounds[pair] for pair in pairs])


@kept(KEPT, weight, key=lambda theta, varied: (told(theta), varied))
def _curve(theta: GaussianMixtureParams, varied: _Varied) -> np.ndarray:
    """The log-likelihood per point along the grid, and last where t is, (G + 1,)."""
    return _Line.of(theta, varied.points(), varied.component, varied.axis).curve(varied.grid())


@kept(KEPT, weight, key=lambda theta, q, varied: (told(theta), told(q), varied))
def _bound(theta: GaussianMixtureParams, q: GaussianMixtureParams, varied: _Varied) -> np.ndarray:
    """The ELBO per point likewise, under the posterior of another theta."""
    points = varied.points()
    line = _Line.of(theta, points, varied.component, varied.axis)
    return line.bound(posterior(q, points), varied.grid())


class _Line(NamedTuple):
    """log p(x_n, z_n) along a line in theta: one coordinate t of the mean of component k.

    log N(x | mu + d e, Sigma) = log N(x | mu, Sigma) + d e'P(x - mu) - d^2 P_ee / 2 with P = inverse Sigma,
    so only one log-sum-exp of two terms a point and step is needed.
    """

    k: int
    now: float  # where t is
    log_joint: Tensor  # (N, K) there
    slope: Tensor  # (N,) e'P(x_n - mu)
    curvature: Tensor  # () P_ee

    @classmethod
    def of(cls, theta: GaussianMixtureParams, points: Tensor, k: int, axis: int) -> _Line:
        log_joint = log_likelihoods(theta, points) + theta.weights.log()
        precision = torch.cholesky_inverse(torch.linalg.cholesky(theta.covariances[k]))[axis]  # (D,)
        slope = (points - theta.means[k]) @ precision
        return cls(k, float(theta.means[k, axis]), log_joint, slope, precision[axis])

    def curve(self, grid: np.ndarray) -> np.ndarray:
        """The log-likelihood per point at every t of the grid, and last where t is, (G + 1,)."""
        here, rest = self.log_joint[:, [self.k]], torch.arange(self.log_joint.shape[1]) != self.k
        others = self.log_joint[:, rest].logsumexp(1, keepdim=True).numpy()  # -inf when K = 1
        varied = (here + self._change(grid)).numpy()
        # one thread of NumPy: torch's logaddexp on a busy machine took 20 times as long
        high = np.maximum(others, varied)
        return (high + np.log1p(np.exp(np.minimum(others, varied) - high))).mean(0)

    def bound(self, q: Responsibilities, grid: np.ndarray) -> np.ndarray:
        """The ELBO per point under q, likewise: a parabola, as its quadratic terms are all alike."""
        here = torch.where(q.resp > 0, q.resp * (self.log_joint - q.log_resp), 0.0).sum(1).mean()
        mine, moved = q.resp[:, self.k], self._moved(grid)
        return (
            here + (mine * self.slope).mean() * moved - 0.5 * mine.mean() * self.curvature * moved**2
        ).numpy()

    def _moved(self, grid: np.ndarray) -> Tensor:
        return torch.from_numpy(np.append(grid - self.now, 0.0))

    def _change(self, grid: np.ndarray) -> Tensor:
        moved = self._moved(grid)
        return self.slope[:, None] * moved - 0.5 * self.curvature * moved**2  # (N, G + 1)
