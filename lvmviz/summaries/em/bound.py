"""The log-likelihood and its bound over one parameter of a mixture."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lvmviz.mixtures import GaussianMixtureParams, Responsibilities, log_likelihoods
from lvmviz.mixtures import responsibilities as posterior
from lvmviz.runs.job import Trace
from lvmviz.summaries.em.theta import means
from lvmviz.summaries.em.trace import decompositions, distinct, distinct_q, sample, table_points, thetas


class BoundCurve(NamedTuple):
    """log p(X | theta)/N and ELBO(q, theta)/N as functions of one mean's coordinate t, at every snapshot."""

    grid: np.ndarray  # (G,) values of t, the same for all snapshots
    curve: np.ndarray  # (T, G) log-likelihood per point, nats
    bound: np.ndarray  # (T, G) ELBO per point, nats: a parabola in t
    at: np.ndarray  # (T,) where the parameter is
    curve_at: np.ndarray  # (T,) log-likelihood per point there
    bound_at: np.ndarray  # (T,) ELBO per point there


def bound_curve(trace: Trace, component: int, axis: int, width: float = 0.5, count: int = 91) -> BoundCurve:
    """The log-likelihood and its bound while coordinate `axis` of the mean of `component` (from 0) varies.

    The grid covers the parameter's path and `width` standard deviations of the data on both sides. Of more
    than `SAMPLE` points the shapes are a sample's, lifted onto the exact values where the parameter is.
    """
    everything = table_points(trace)
    rows = sample(len(everything))
    points = torch.tensor(everything[rows], dtype=torch.float64)
    at = means(trace)[:, component, axis]
    margin = width * (float(everything[:, axis].std()) or 1.0)
    grid = np.linspace(at.min() - margin, at.max() + margin, count)
    curves, bounds = _over(trace, points, component, axis, grid)
    if len(rows) < len(everything):
        terms = decompositions(trace)
        curves += (np.array([term.log_evidence for term in terms]) - curves[:, -1])[:, None]
        bounds += (np.array([term.elbo for term in terms]) - bounds[:, -1])[:, None]
    return BoundCurve(grid, curves[:, :-1], bounds[:, :-1], at, curves[:, -1], bounds[:, -1])


def _over(
    trace: Trace, points: Tensor, component: int, axis: int, grid: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Curve and bound at every t of the grid, and last where t is, (T, G + 1); one table of q at a time."""
    (theta_of, lines), (q_of, made) = distinct(thetas(trace)), distinct_q(trace)
    curves, bounds = [], []
    for t in range(len(trace)):
        # q alone moves in an E-step: the curve is that of the snapshot before
        if t == 0 or theta_of[t] != theta_of[t - 1]:
            line = _Line.of(lines[theta_of[t]], points, component, axis)
            curve = line.curve(grid)
        if t == 0 or q_of[t] != q_of[t - 1]:
            q = posterior(made[q_of[t]], points)
        curves.append(curve)
        bounds.append(line.bound(q, grid))
    return np.stack(curves), np.stack(bounds)


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
