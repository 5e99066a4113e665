"""The gradient of log E[p(x | z)] beside the ELBO's as arrays: estimates over the draws, exact values."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from lvmviz.core import Key, fold_in
from lvmviz.evidence.models import GaussianLatents
from lvmviz.evidence.proposals import NearPosterior
from lvmviz.evidence.weights import marks
from lvmviz.gradients import log_evidence

LogWeight = Callable[[GaussianLatents, torch.Tensor], torch.Tensor]
MARKS, EXPECTED = 22, 8  # values of k on a line, and of those with an expectation
REACH, NODES = 12.0, 4001  # of an integral over one latent, in standard deviations


class Sides(NamedTuple):
    """What is exact, each number by its own way."""

    draws: int
    exact: float  # d log p(x) / d theta
    by_integrals: float  # E[d p(x|z)] / E[p(x|z)] under the prior, two integrals
    over_posterior: float  # E[d log p(x|z)] under the posterior, by its mean
    expected_ratio: float  # the expectation of the estimate from so many draws
    elbo: float  # d ELBO / d theta
    over_q: float  # E_q[d log p(x, z)], an integral
    kl: float  # d KL(q || p(z|x)) / d theta


class Estimates(NamedTuple):
    """Estimates from the first k draws, R times over."""

    counts: np.ndarray  # (T,) k
    ratio: np.ndarray  # (R, T) of the gradient of log p(x), from the prior's draws
    elbo: np.ndarray  # (R, T) of the ELBO's, from q's draws
    marks: np.ndarray  # (E,) some of these k
    expected: np.ndarray  # (E,) the expectation of `ratio` there


@functools.lru_cache(maxsize=32)
def estimates(model: GaussianLatents, q: NearPosterior, key: Key, repeats: int, draws: int) -> Estimates:
    """Both gradients, each from draws of its own."""
    counts, few = marks(draws, MARKS), marks(draws, EXPECTED)
    ratio = log_evidence.ratio(model, fold_in(key, 0), repeats, counts)
    elbo = log_evidence.elbo(model, q, fold_in(key, 1), repeats, counts)
    expected = np.array([log_evidence.expected_ratio(model, k) for k in few.tolist()])
    return Estimates(counts.numpy(), ratio.numpy(), elbo.numpy(), few.numpy(), expected)


@functools.lru_cache(maxsize=64)
def sides(model: GaussianLatents, q: NearPosterior, draws: int) -> Sides:
    """Every exact number of the derivation."""
    mean, sd = (float(part[0]) for part in model.posterior())
    place, width = (float(part[0]) for part in q.place(model))
    noise = model.noise**2
    return Sides(
        draws,
        log_evidence.exact(model),
        model.size * _slope(model, mean, sd, _log_joint),
        model.size * (model.offset - mean) / noise,
        log_evidence.expected_ratio(model, draws),
        log_evidence.exact_elbo(model, q),
        model.size * _slope(model, place, width, lambda model, z: -0.5 * ((z - place) / width).square()),
        model.size * (place - mean) / noise,
    )


def _log_joint(model: GaussianLatents, z: torch.Tensor) -> torch.Tensor:
    return -0.5 * z.square() - 0.5 * ((model.offset - z) / model.noise).square()


def _slope(model: GaussianLatents, centre: float, sd: float, log_weight: LogWeight) -> float:
    """The mean of d log p(x|z) / d theta = (x - z) / noise^2 of one latent under these log weights."""
    z = torch.linspace(centre - REACH * sd, centre + REACH * sd, NODES, dtype=torch.float64)
    weights = torch.softmax(log_weight(model, z), 0)
    return float((weights * (model.offset - z)).sum()) / model.noise**2


def standard_error(values: np.ndarray) -> float:
    """Of the mean of (R,); nan for one."""
    return float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.nan
