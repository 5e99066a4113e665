"""Traces of Bayesian linear regression as small NumPy arrays: evidence, paths, functions, weights.

T snapshots, D weights, G places; float64 on the CPU. Both ways to share the roles are here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from lvmviz.algorithms.bayes_linreg import EMRegression, decomposition
from lvmviz.algorithms.swapped_linreg import SwappedRegression
from lvmviz.core import fold_in
from lvmviz.divergences import Decomposition
from lvmviz.half_steps import CLIMBING
from lvmviz.kept import kept
from lvmviz.linear_evidence import (
    Decomposed,
    Precisions,
    WeightsPosterior,
    determined,
    draws,
    expected,
    heading,
    log_evidence,
    posterior,
    variances,
    weights,
)
from lvmviz.regressions import Polynomial, Problem, Regression
from lvmviz.runs.job import Snapshot, Trace

GRID, CURVES = 61, 6  # places along x, functions that are drawn from q
CELLS = 49  # of the evidence's surface, along each side
FARTHEST = 6.0  # decades from 1; a path that runs away is followed so far


def regression(trace: Trace) -> EMRegression:
    """The algorithm that made a trace of the evidence over (beta, lambda)."""
    algorithm = trace.job.algorithm
    if not isinstance(algorithm, EMRegression):
        raise TypeError(f"{type(algorithm).__name__} climbs no evidence: give a trace of EMRegression")
    return algorithm


def swapped(trace: Trace) -> SwappedRegression:
    """The algorithm that made a trace with the roles swapped."""
    algorithm = trace.job.algorithm
    if not isinstance(algorithm, SwappedRegression):
        raise TypeError(f"{type(algorithm).__name__} estimates no weights: give a trace of SwappedRegression")
    return algorithm


def problem(trace: Trace) -> Problem:
    """What is told from what."""
    return trace.job.algorithm.data.problem()  # type: ignore[attr-defined]


def decompositions(trace: Trace) -> list[Decomposition]:
    """The evidence and its terms at every snapshot, nats in all."""
    return [snapshot.info.evidence for snapshot in trace]


# ---- (beta, lambda) ----


def path(trace: Trace) -> np.ndarray:
    """beta and lambda at every snapshot (T, 2)."""
    return np.array([[float(part) for part in snapshot.state.theta] for snapshot in trace])


class Surface(NamedTuple):
    """The log evidence over beta and lambda."""

    beta: np.ndarray  # (G,)
    lambda_: np.ndarray  # (G,)
    value: np.ndarray  # (G, G) nats, a row for each lambda


def surface(data: Regression, ends: Sequence[float]) -> Surface:
    """The surface between decades: the least and most of log10 beta, and of log10 lambda."""
    return _surface(data, tuple(ends))


def _bytes(found: Surface) -> int:
    return sum(part.nbytes for part in found)


@kept(5_000_000, _bytes)
def _surface(data: Regression, ends: tuple[float, ...]) -> Surface:
    beta = torch.logspace(ends[0], ends[1], CELLS, dtype=torch.float64)
    lambda_ = torch.logspace(ends[2], ends[3], CELLS, dtype=torch.float64)
    grid = Precisions(beta[None, :].expand(CELLS, -1), lambda_[:, None].expand(-1, CELLS))
    return Surface(beta.numpy(), lambda_.numpy(), log_evidence(grid, decomposition(data)).numpy())


def ends(paths: Sequence[np.ndarray]) -> tuple[float, ...]:
    """Whole halves of decades round all paths (T, 2), as `surface` takes them."""
    logs = np.clip(np.log10(np.concatenate(list(paths))), -FARTHEST, FARTHEST)
    low, high = np.floor(2.0 * logs.min(0) - 1.0) / 2.0, np.ceil(2.0 * logs.max(0) + 1.0) / 2.0
    return float(low[0]), float(high[0]), float(low[1]), float(high[1])


# ---- weights ----


def endless(trace: Trace) -> str:
    """Where beta or lambda runs to without end, as a sentence; empty where the trace ends at a maximum."""
    if len(trace) < 3 or getattr(trace[-1].info, "status", CLIMBING) != CLIMBING:
        return ""
    # the last round is E and M, or M and E
    before, theta = (Precisions(*(part.cpu() for part in trace[i].state.theta)) for i in (-3, -1))
    fit = "the polynomial passes" if has_functions(trace) else "the columns pass"
    return heading(theta, before, decomposition(regression(trace).data), fit)


class Weights(NamedTuple):
    """What is believed of the weights at every snapshot."""

    q: np.ndarray  # (T, D) means of q
    q_sd: np.ndarray  # (T, D)
    posterior: np.ndarray  # (T, D) means of p(w | X, y, theta)
    posterior_sd: np.ndarray  # (T, D)
    least_squares: np.ndarray  # (D,)


def weights_of(trace: Trace) -> Weights:
    """Of a regression whose weights are latent."""
    data = decomposition(regression(trace).data)
    eye = torch.eye(data.basis.shape[0], dtype=torch.float64)
    told = [_beliefs(snapshot, data, eye) for snapshot in trace]
    q, q_sd, p, p_sd = (np.stack(part) for part in zip(*told, strict=True))
    made = problem(trace)
    return Weights(q, q_sd, p, p_sd, np.linalg.lstsq(made.x, made.y, rcond=None)[0])


def _beliefs(snapshot: Snapshot, data: Decomposed, x: torch.Tensor) -> tuple[np.ndarray, ...]:
    """Mean and standard deviation of x w, for rows x (n, D), under q and under the posterior of theta."""
    both = (posterior(theta, data) for theta in (snapshot.state.theta_q, snapshot.state.theta))
    return tuple(part for q in both for part in ((x @ weights(q, data)).numpy(), _sd(q, data, x)))


def _sd(q: WeightsPosterior, data: Decomposed, x: torch.Tensor) -> np.ndarray:
    return variances(q, data, x).sqrt().numpy()


# ---- functions ----


class Functions(NamedTuple):
    """Functions of x at every snapshot."""

    x: np.ndarray  # (G,)
    drawn: np.ndarray  # (T, CURVES, G) from q
    mean: np.ndarray  # (T, G) of q
    low: np.ndarray  # (T, G) the posterior's mean less two standard deviations, noise not included
    high: np.ndarray  # (T, G)
    inputs: np.ndarray  # (N,) of the points
    targets: np.ndarray  # (N,)


def has_functions(trace: Trace) -> bool:
    """Whether what is told is a function of one number."""
    return isinstance(trace.job.algorithm.data, Polynomial)  # type: ignore[attr-defined]


def _toy(trace: Trace) -> Polynomial:
    data = trace.job.algorithm.data  # type: ignore[attr-defined]
    if not isinstance(data, Polynomial):
        raise TypeError("a regression on many columns is no curve: draw its weights")
    return data


def functions(trace: Trace) -> Functions:
    """Of a regression on powers of x; every snapshot's functions come from the same draws."""
    toy, key = _toy(trace), fold_in(trace.job.seed, 1)
    data, x = decomposition(toy), np.linspace(-1.0, 1.0, GRID)
    design = torch.from_numpy(toy.design(x))
    drawn, means, lows, highs = [], [], [], []
    for snapshot in trace:
        q = posterior(snapshot.state.theta_q, data)
        mean, _, middle, sd = _beliefs(snapshot, data, design)
        drawn.append((draws(q, data, key, CURVES) @ design.T).numpy())
        means.append(mean)
        lows.append(middle - 2.0 * sd)
        highs.append(middle + 2.0 * sd)
    curves, middles, low, high = (np.stack(part) for part in (drawn, means, lows, highs))
    return Functions(x, curves, middles, low, high, toy.inputs(), toy.problem().y)


# ---- the numbers of the derivation ----


class Numbers(NamedTuple):
    """What the lines of the derivation are made of, at one snapshot."""

    rows: int  # N
    width: int  # D
    beta: float
    lambda_: float
    beta_q: float
    lambda_q: float
    missed: float  # |y - X m|^2, m the mean of q
    doubt_y: float  # tr(X S X')
    size: float  # |m|^2
    doubt_w: float  # tr S
    determined: float  # gamma at theta_q
    log_det: float  # log |A| with A = lambda I + beta X'X, at theta
    energy: float  # beta/2 |y - X m|^2 + lambda/2 |m|^2 at theta and its own posterior mean


def numbers(trace: Trace, index: int) -> Numbers:
    """Of one snapshot of a regression whose weights are latent."""
    data, state = decomposition(regression(trace).data), trace[index].state
    q, at = posterior(state.theta_q, data), posterior(state.theta, data)
    squares, sharp = expected(q, data), expected(q._replace(variances=torch.zeros_like(q.variances)), data)
    best = expected(at._replace(variances=torch.zeros_like(at.variances)), data)
    theta = state.theta
    energy = 0.5 * (theta.beta * best.error + theta.lambda_ * best.size)
    log_det = (theta.beta * data.values + theta.lambda_).log().sum()
    told = (theta.beta, theta.lambda_, *state.theta_q, sharp.error, squares.error - sharp.error, sharp.size,
            squares.size - sharp.size, determined(state.theta_q, data), log_det, energy)  # fmt: skip
    return Numbers(data.rows, len(data.values), *(float(part) for part in told))


def parameters(snapshot: Snapshot) -> dict[str, Any]:
    """beta and lambda of one snapshot, with its numbers: what a file of the fitted model holds."""
    theta = snapshot.state.theta
    return {"step": snapshot.step, "beta": float(theta.beta), "lambda": float(theta.lambda_),
            "info": snapshot.info._asdict()}  # fmt: skip
