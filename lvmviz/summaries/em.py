"""States to small NumPy arrays to draw: the only door from torch to the screen.

Functions of a trace of `EM` give one row a snapshot: T snapshots, N points of D dimensions, K components, all
float64 on the CPU.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from lvmviz.algorithms.em import EM, EMInfo
from lvmviz.divergences import Decomposition
from lvmviz.mixtures import GaussianMixtureParams, Responsibilities, log_likelihoods
from lvmviz.mixtures import responsibilities as posterior
from lvmviz.regularizers import Floor
from lvmviz.runs.job import Snapshot, Trace
from lvmviz.starts import ByHand


def table_points(trace: Trace) -> np.ndarray:
    """The points (N, D) that a trace's EM explains."""
    return em(trace).data.table().points


def infos(trace: Trace) -> list[EMInfo]:
    """The numbers of every snapshot."""
    return [snapshot.info for snapshot in trace]


def decompositions(trace: Trace) -> list[Decomposition]:
    """The evidence and its terms at every snapshot, nats per point."""
    count = len(table_points(trace))
    return [info.evidence.per(count) for info in infos(trace)]


def column(terms: Sequence[Decomposition], name: str) -> np.ndarray:
    """One term of every decomposition (T,)."""
    return np.array([getattr(term, name) for term in terms])


# ---- q ----


def responsibilities(trace: Trace, rows: np.ndarray | None = None) -> np.ndarray:
    """q(z_n = k) at every snapshot (T, N, K), of all points or of some rows of them."""
    points = table_points(trace) if rows is None else table_points(trace)[rows]
    which, made = _distinct_q(trace)
    return np.stack([_q(theta, points).resp.numpy() for theta in made])[which]


def counts(trace: Trace) -> np.ndarray:
    """N_k, the points each component explains, at every snapshot (T, K); one table of q at a time."""
    which, made = _distinct_q(trace)
    points = table_points(trace)
    return np.stack([_q(theta, points).resp.sum(0).numpy() for theta in made])[which]


def adjusted_rand(trace: Trace) -> np.ndarray | None:
    """How well the likeliest components agree with the labels (T,); None without labels.

    1 is the same grouping, 0 what chance gives (Hubert and Arabie, 1985, "Comparing partitions").
    """
    labels = em(trace).data.table().labels
    if labels is None:
        return None
    which, made = _distinct_q(trace)
    groups = [_q(theta, table_points(trace)).resp.argmax(1).numpy() for theta in made]
    return np.array([_rand(np.asarray(labels), group) for group in groups])[which]


def _rand(labels: np.ndarray, groups: np.ndarray) -> float:
    labels, groups = (np.unique(side, return_inverse=True)[1] for side in (labels, groups))
    table = np.zeros((labels.max() + 1, groups.max() + 1))
    np.add.at(table, (labels, groups), 1.0)
    same, rows, columns = (_pairs(side) for side in (table, table.sum(1), table.sum(0)))
    chance = rows * columns / max(_pairs(table.sum()), 1.0)
    best = (rows + columns) / 2
    return 1.0 if best == chance else float((same - chance) / (best - chance))


def _pairs(sizes: np.ndarray) -> float:
    return float((sizes * (sizes - 1) / 2).sum())


def _distinct_q(trace: Trace) -> tuple[np.ndarray, list[GaussianMixtureParams]]:
    """Which q each snapshot has (T,), and the thetas they were made from: an M-step leaves q alone."""
    return _distinct([snapshot.state.theta_q for snapshot in trace])


def _distinct(thetas: Sequence[GaussianMixtureParams]) -> tuple[np.ndarray, list[GaussianMixtureParams]]:
    """Which of the different thetas each one is (T,), and these, in order."""
    which, made = [], []
    for theta in thetas:
        if not made or not all(map(torch.equal, made[-1], theta)):
            made.append(theta)
        which.append(len(made) - 1)
    return np.array(which), made


def _q(theta: GaussianMixtureParams, points: np.ndarray) -> Responsibilities:
    return posterior(_on_cpu(theta), torch.tensor(points, dtype=torch.float64))


# ---- theta ----


def weights(trace: Trace) -> np.ndarray:
    """pi at every snapshot (T, K)."""
    return _stacked([theta.weights for theta in _thetas(trace)])


def means(trace: Trace) -> np.ndarray:
    """mu at every snapshot (T, K, D)."""
    return _stacked([theta.means for theta in _thetas(trace)])


def covariances(trace: Trace) -> np.ndarray:
    """Sigma at every snapshot (T, K, D, D)."""
    return _stacked([theta.covariances for theta in _thetas(trace)])


def smallest_eigenvalues(trace: Trace) -> np.ndarray:
    """The variance of each component along its narrowest direction (T, K)."""
    return np.linalg.eigvalsh(covariances(trace))[..., 0]


def collapsed(trace: Trace) -> np.ndarray:
    """Which components have collapsed (T, K), bool."""
    return np.stack([snapshot.state.collapsed.cpu().numpy() for snapshot in trace])


def ellipses(trace: Trace, axes: tuple[int, int] = (0, 1)) -> np.ndarray:
    """The map of the unit circle onto each component's 1 sd ellipse in two axes, (T, K, 6).

    x = a0 + a1 u + a2 v, y = a3 + a4 u + a5 v, with the Cholesky factor of the marginal covariance.
    """
    i, j = axes
    centre, sigma = means(trace), covariances(trace)
    root = np.sqrt(sigma[..., i, i])
    slope = sigma[..., i, j] / root
    rest = np.sqrt(np.maximum(sigma[..., j, j] - slope**2, 0.0))
    return np.stack([centre[..., i], root, np.zeros_like(root), centre[..., j], slope, rest], -1)


class Densities(NamedTuple):
    """The densities of a mixture in one dimension at every snapshot."""

    grid: np.ndarray  # (T, G) where the marginal was evaluated: finer round each mean
    marginal: np.ndarray  # (T, G) p(x | theta)
    bells: np.ndarray  # (T, K, 6) maps of the standard bell (u, exp(-u^2/2)) onto pi_k N(x | mu_k, s_k^2)


def densities(trace: Trace, count: int = 201) -> Densities:
    """The marginal and the components of a mixture of one-dimensional points."""
    points, share = table_points(trace), weights(trace)
    if points.shape[1] != 1:
        raise ValueError(f"densities are drawn for 1 column, not {points.shape[1]}: choose one column")
    mean, sd = means(trace)[..., 0], np.sqrt(covariances(trace)[..., 0, 0])
    height = share / (sd * math.sqrt(2 * math.pi))
    none = np.zeros_like(mean)
    bells = np.stack([mean, sd, none, none, none, height], -1)
    grid = _grid(points[:, 0], mean, sd, count)
    bumps = height[:, None] * np.exp(-0.5 * ((grid[..., None] - mean[:, None]) / sd[:, None]) ** 2)
    return Densities(grid, bumps.sum(-1), bells)


def _grid(x: np.ndarray, mean: np.ndarray, sd: np.ndarray, count: int) -> np.ndarray:
    """Even steps over the data and beyond, and a few steps of its own for every bump however narrow."""
    pad = 0.25 * (np.ptp(x) or 1.0)
    even = np.linspace(x.min() - pad, x.max() + pad, count)
    own = mean[..., None] + sd[..., None] * np.linspace(-4.0, 4.0, 25)
    frames = len(mean)
    return np.sort(np.concatenate([np.tile(even, (frames, 1)), own.reshape(frames, -1)], 1), 1)


# ---- the bound over one parameter ----


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

    The grid covers the parameter's path and `width` standard deviations of the data on both sides.
    """
    points = torch.tensor(table_points(trace), dtype=torch.float64)
    at = means(trace)[:, component, axis]
    margin = width * (float(points[:, axis].std(correction=0)) or 1.0)
    grid = np.linspace(at.min() - margin, at.max() + margin, count)
    (theta_of, thetas), (q_of, made) = _distinct(_thetas(trace)), _distinct_q(trace)
    lines = [_Line.of(theta, points, component, axis) for theta in thetas]
    # q alone moves in an E-step: the curve is that of the snapshot before
    curves = np.stack([line.curve(grid) for line in lines])
    qs = [posterior(_on_cpu(theta), points) for theta in made]
    bounds = np.stack([lines[i].bound(qs[j], grid) for i, j in zip(theta_of, q_of, strict=True)])
    curves = curves[theta_of]
    return BoundCurve(grid, curves[:, :-1], bounds[:, :-1], at, curves[:, -1], bounds[:, -1])


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


def floor_binds(algorithm: EM) -> bool:
    """Whether the floor is wider than the narrowest direction of all the data."""
    if not isinstance(algorithm.regularizer, Floor):
        return False
    covariance = np.atleast_2d(np.cov(algorithm.data.table().points.T, bias=True))
    return float(np.linalg.eigvalsh(covariance)[0]) < algorithm.regularizer.amount


# ---- one snapshot ----


def parameters(snapshot: Snapshot) -> dict[str, Any]:
    """theta of one snapshot as plain lists, with its numbers: what a file of the fitted model holds."""
    theta = _on_cpu(snapshot.state.theta)
    return {"step": snapshot.step, **{name: part.tolist() for name, part in theta._asdict().items()},
            "info": snapshot.info._asdict()}  # fmt: skip


def clicked(trace: Trace, axes: tuple[int, int] = (0, 1)) -> np.ndarray | None:
    """The centres placed by hand: (M, 2) in two axes, (M,) in one dimension; None for other starts."""
    start = em(trace).start
    if not isinstance(start, ByHand) or not start.centres:
        return None
    centres = np.array(start.centres)
    return centres[:, list(axes)] if centres.shape[1] > 1 else centres[:, 0]


def completed(points: np.ndarray, axes: Sequence[int], spot: Sequence[float]) -> tuple[float, ...]:
    """A spot in two of D coordinates as a whole point (D,): the others are those of the nearest data point.

    Distances are in the two coordinates' standard deviations.
    """
    seen = points[:, list(axes)]
    scale = seen.std(0)
    nearest = points[(((seen - spot) / np.where(scale > 0, scale, 1.0)) ** 2).sum(1).argmin()].copy()
    nearest[list(axes)] = spot
    return tuple(nearest.tolist())


# ---- torch to NumPy ----


def em(trace: Trace) -> EM:
    """The EM that made a trace."""
    algorithm = trace.job.algorithm
    if not isinstance(algorithm, EM):
        raise TypeError(f"{type(algorithm).__name__} has no components to draw: give a trace of EM")
    return algorithm


def _thetas(trace: Trace) -> list[GaussianMixtureParams]:
    return [_on_cpu(snapshot.state.theta) for snapshot in trace]


def _on_cpu(theta: GaussianMixtureParams) -> GaussianMixtureParams:
    return GaussianMixtureParams(*(part.detach().to("cpu", torch.float64) for part in theta))


def _stacked(parts: Sequence[Tensor]) -> np.ndarray:
    return torch.stack(list(parts)).numpy()
