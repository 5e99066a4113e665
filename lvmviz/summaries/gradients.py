"""The lab of gradients as arrays: estimates and their scatter, variances over a range, runs of an ascent."""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lvmviz.algorithms.gradient_ascents import GradientAscents
from lvmviz.algorithms.gradient_scatter import GradientScatter
from lvmviz.core import knobs
from lvmviz.gradients import Exact, integrals, lab
from lvmviz.gradients.estimators import Estimator, ScoreFunction
from lvmviz.gradients.integrals import Integrals
from lvmviz.gradients.integrands import Integrand, Square, StateSquare
from lvmviz.gradients.relaxations import Relaxation
from lvmviz.runs.job import Job, Trace

OF = ("mean", "log sd")  # which number of phi the gradient is in
POINTS = 41  # of a curve
DIMENSIONS = (1, 2, 3, 5, 10, 20, 30, 50, 100)
COOLEST, WARMEST, TEMPERATURES = 0.05, 10.0, 25
LEVELS = 64  # at which a violin's width is told
RUNS, STEPS = 20, 100


class Row(NamedTuple):
    """What the estimates of one estimator say, beside what is exact."""

    estimator: Estimator
    mean: float
    error: float  # its standard error
    aim: float  # what the mean tends to: the gradient, where it is unbiased; nan where nobody knows
    sd: float  # of one estimate
    variance: float  # of one draw: S times that of an estimate
    exact_variance: float  # nan where no integral tells it
    why: str  # it is biased; empty where it is not


class Look(NamedTuple):
    """Every estimator at one q."""

    exact: float  # the gradient
    rows: list[Row]
    found: np.ndarray  # (E, R) the estimates
    at: Integrals  # the integrals behind them, each (1,)


def scatter(job: Job) -> GradientScatter:
    """The scatter that a job runs."""
    if not isinstance(job.algorithm, GradientScatter):
        raise TypeError(
            f"{type(job.algorithm).__name__} estimates no gradients: give a job of GradientScatter"
        )
    return job.algorithm


def look(trace: Trace, which: int) -> Look:
    """The estimates so far of the gradient in the mean (0) or the log sd (1)."""
    of, state = scatter(trace.job), trace[-1].state
    found, exact = state.found[..., which], float(state.exact[which])
    at = places(of.integrand, torch.tensor([of.mean], dtype=torch.float64), of.sd, of.dimension, which)
    rows = [
        _row(estimator, each, exact, of, at) for estimator, each in zip(of.estimators(), found, strict=True)
    ]
    return Look(exact, rows, found.numpy(), at)


def _row(estimator: Estimator, found: Tensor, exact: float, of: GradientScatter, at: Integrals) -> Row:
    sd, draws = float(found.std()), of.draws
    aim, variance = aim_of(estimator, of, exact, at)
    why = lab.bias(estimator, of.integrand)
    error = sd / math.sqrt(len(found))
    return Row(estimator, float(found.mean()), error, aim, sd, draws * sd**2, variance, why)


def aim_of(estimator: Estimator, of: GradientScatter, exact: float, at: Integrals) -> tuple[float, float]:
    """What the mean of ever more estimates tends to, and the variance of one draw; nan where nobody knows."""
    if isinstance(estimator, Relaxation):
        logit = torch.tensor([of.mean], dtype=torch.float64)
        known = integrals.softened(estimator, of.integrand, logit)
        return (math.nan, math.nan) if known is None else (float(known[0]), float(known[1]))
    variance = float(integrals.variance(estimator, at))
    if estimator.needs_slope and not of.integrand.smooth:
        return float(at.slope), variance
    if isinstance(estimator, ScoreFunction) and estimator.baseline == "mean":
        return exact * (of.draws - 1) / of.draws, variance
    return exact, variance


def places(integrand: Integrand, means: Tensor, sd: float, dim: int, which: int) -> Integrals:
    """The integrals behind every estimator, at means or log odds (M,)."""
    if integrand.discrete:
        return integrals.over_states(integrand, means)
    return integrals.over_noise(integrand, means, sd, min(dim, integrand.most), which)


def inside(of: GradientScatter) -> float:
    """E_q[f], the expectation whose gradient is asked for, by its closed form or quadrature."""
    with torch.no_grad():
        return float(of.integrand.expectation(of.q(), of.phi()))


# ---- violins ----


class Violin(NamedTuple):
    """The density of some estimates, by a Gaussian kernel."""

    level: np.ndarray  # (L,) of the gradient
    width: np.ndarray  # (L,) from 0 to 1


def violins(found: np.ndarray) -> list[Violin]:
    """One for every estimator's estimates (E, R); a single level where they are all the same."""
    return [_violin(each) for each in found]


def _violin(found: np.ndarray) -> Violin:
    low, high = np.quantile(found, [0.002, 0.998])
    middle = np.quantile(found, [0.25, 0.75])
    scale = min(float(found.std()), float(np.ptp(middle)) / 1.34) or float(found.std())
    if scale <= 1e-12 * (1.0 + abs(float(found.mean()))):
        return Violin(found[:1], np.ones(1))
    band = 0.9 * scale * len(found) ** -0.2
    level = np.linspace(low - band, high + band, LEVELS)
    width = np.exp(-0.5 * ((level[:, None] - found) / band) ** 2).sum(1)
    return Violin(level, width / width.max())


# ---- the variance over a range ----


class Curves(NamedTuple):
    """The variance of one draw of every estimator over a range of something."""

    x: np.ndarray  # (X,)
    variance: np.ndarray  # (E, X), nan where no integral tells it


@functools.lru_cache(maxsize=64)
def over_mean(of: GradientScatter, which: int) -> Curves:
    """Over the mean of q, or the log odds; `of`'s own mean and seed say nothing here."""
    meta = knobs(GradientScatter)["mean"]
    means = torch.linspace(meta.low or 0.0, meta.high or 0.0, POINTS, dtype=torch.float64)
    at = places(of.integrand, means, of.sd, of.dimension, which)
    return Curves(means.numpy(), np.stack([_variance(e, of.integrand, means, at) for e in of.estimators()]))


@functools.lru_cache(maxsize=64)
def over_dimension(of: GradientScatter, which: int) -> Curves:
    """Over the dimension of z: of one number of the gradient, the first coordinate's."""
    mean = torch.tensor([of.mean], dtype=torch.float64)
    dims = [dim for dim in DIMENSIONS if dim <= of.integrand.most]
    found = [places(of.integrand, mean, of.sd, dim, which) for dim in dims]
    parts = [[float(integrals.variance(e, at)) for at in found] for e in of.estimators()]
    return Curves(np.array(dims, dtype=np.float64), np.array(parts))


@functools.lru_cache(maxsize=64)
def over_temperature(of: GradientScatter) -> Curves:
    """Over the temperature of a softened choice; estimators without one are level."""
    logit = torch.tensor([of.mean], dtype=torch.float64)
    at = places(of.integrand, logit, of.sd, 1, 0)
    warmth = np.geomspace(COOLEST, WARMEST, TEMPERATURES)
    lines = [lab.lineup(of.integrand, of.draws, float(t)) for t in warmth]
    parts = [[float(_variance(e, of.integrand, logit, at)[0]) for e in line] for line in lines]
    return Curves(warmth, np.array(parts).T)


def _variance(estimator: Estimator, integrand: Integrand, means: Tensor, at: Integrals) -> np.ndarray:
    """Of one draw (M,)."""
    if not isinstance(estimator, Relaxation):
        return integrals.variance(estimator, at).numpy()
    known = integrals.softened(estimator, integrand, means)
    return np.full(len(means), math.nan) if known is None else known[1].numpy()


# ---- ascents ----


def ascents(of: GradientScatter, estimator: Estimator, rate: float) -> GradientAscents:
    """Twenty climbs from where q stands; a distance is made small in place of large."""
    return GradientAscents(
        integrand=of.integrand,
        estimator=estimator,
        runs=RUNS,
        dimension=of.dimension,
        rate=rate,
        mean=of.mean,
        sd=of.sd,
        downwards=isinstance(of.integrand, (Square, StateSquare)),
    )


def climbers(of: GradientScatter) -> tuple[Estimator, ...]:
    """Whose climbs can be seen: every estimator, and the exact gradient."""
    return (*of.estimators(), Exact())


def values(trace: Trace) -> np.ndarray:
    """The exact expectation (T, R) of every run at every snapshot."""
    return np.stack([snapshot.state.value.numpy() for snapshot in trace])
