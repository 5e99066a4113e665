"""The log-likelihood and its bound over one parameter of a mixture."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lvmviz.algorithms.em import EM
from lvmviz.kept import kept
from lvmviz.mixtures import Data, GaussianMixtureParams, Responsibilities, evaluate
from lvmviz.runs.job import Trace
from lvmviz.summaries.em.theta import means
from lvmviz.summaries.em.trace import (
    SAMPLE,
    decompositions,
    distinct,
    distinct_q,
    em,
    known,
    sample,
    table_points,
    thetas,
    told,
    weight,
)

KEPT = 8_000_000  # bytes of curves that are kept


class BoundCurve(NamedTuple):
    """log p(X | theta)/N and ELBO(q, theta)/N as functions of one mean's coordinate t, at every snapshot.

    N is the sum of the points' weights where they have any.
    """

    grid: np.ndarray  # (G,) values of t, the same for all snapshots
    curve: np.ndarray  # (T, G) log-likelihood per point, nats
    bound: np.ndarray  # (T, G) ELBO per point, nats: a parabola in t
    at: np.ndarray  # (T,) where the parameter is
    curve_at: np.ndarray  # (T,) log-likelihood per point there
    bound_at: np.ndarray  # (T,) ELBO per point there


class _Varied(NamedTuple):
    """Which coordinate of which mean varies, over which points."""

    em: EM
    component: int
    axis: int
    ends: tuple[float, float]
    count: int

    def points(self) -> Data:
        """All points that count, or the sample that stands for them, with what is known of them."""
        data = known(self.em)
        held = torch.arange(len(data.x)) if data.weights is None else data.weights.nonzero()[:, 0]
        rows = held[torch.tensor(sample(len(held)))]
        return Data(*(None if part is None else part[rows] for part in data))  # type: ignore[arg-type]

    def key(self) -> tuple[object, ...]:
        """What of it decides a curve."""
        return self.em.data, self.em.revealed, *self[1:]

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
    varied = _Varied(em(trace), component, axis, ends, count)
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


@kept(KEPT, weight, key=lambda theta, varied: (told(theta), varied.key()))
def _curve(theta: GaussianMixtureParams, varied: _Varied) -> np.ndarray:
    """The log-likelihood per point along the grid, and last where t is, (G + 1,)."""
    return _Line.of(theta, varied.points(), varied.component, varied.axis).curve(varied.grid())


@kept(KEPT, weight, key=lambda theta, q, varied: (told(theta), told(q), varied.key()))
def _bound(theta: GaussianMixtureParams, q: GaussianMixtureParams, varied: _Varied) -> np.ndarray:
    """The ELBO per point likewise, under the posterior of another theta."""
    points = varied.points()
    line = _Line.of(theta, points, varied.component, varied.axis)
    return line.bound(evaluate(q, points).posterior, varied.grid())


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
    weights: Tensor | None  # (N,) how often each point counts; None: once

    @classmethod
    def of(cls, theta: GaussianMixtureParams, data: Data, k: int, axis: int) -> _Line:
        log_joint = evaluate(theta, data).log_joint
        precision = torch.cholesky_inverse(torch.linalg.cholesky(theta.covariances[k]))[axis]  # (D,)
        slope = (data.x - theta.means[k]) @ precision
        return cls(k, float(theta.means[k, axis]), log_joint, slope, precision[axis], data.weights)

    def curve(self, grid: np.ndarray) -> np.ndarray:
        """The log-likelihood per point at every t of the grid, and last where t is, (G + 1,)."""
        here, rest = self.log_joint[:, [self.k]], torch.arange(self.log_joint.shape[1]) != self.k
        others = self.log_joint[:, rest].logsumexp(1, keepdim=True).numpy()  # -inf when K = 1
        varied = (here + self._change(grid)).numpy()
        # one thread of NumPy: torch's logaddexp on a busy machine took 20 times as long
        high = np.maximum(others, varied)
        weights = None if self.weights is None else self.weights.numpy()
        return np.average(high + np.log1p(np.exp(np.minimum(others, varied) - high)), 0, weights)

    def bound(self, q: Responsibilities, grid: np.ndarray) -> np.ndarray:
        """The ELBO per point under q, likewise: a parabola, as its quadratic terms are all alike."""
        here = self._mean(torch.where(q.resp > 0, q.resp * (self.log_joint - q.log_resp), 0.0).sum(1))
        mine, moved = q.resp[:, self.k], self._moved(grid)
        slope, curvature = self._mean(mine * self.slope), self._mean(mine) * self.curvature
        return (here + slope * moved - 0.5 * curvature * moved**2).numpy()

    def _mean(self, term: Tensor) -> Tensor:
        """The mean of a term (N,) over the points."""
        return term.mean() if self.weights is None else (self.weights @ term) / self.weights.sum()

    def _moved(self, grid: np.ndarray) -> Tensor:
        return torch.from_numpy(np.append(grid - self.now, 0.0))

    def _change(self, grid: np.ndarray) -> Tensor:
        moved = self._moved(grid)
        return self.slope[:, None] * moved - 0.5 * self.curvature * moved**2  # (N, G + 1)
