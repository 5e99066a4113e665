"""Estimates of log p(x) as small NumPy arrays: their scatter, their means over K, and what is exact."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from lvmviz.algorithms.estimates import ENDLESS, Estimates, EstimatesInfo, EstimatesState
from lvmviz.divergences import Decomposition
from lvmviz.evidence import EvidenceModel, GroupedBound, ImportanceSampling, Proposal
from lvmviz.evidence.exact import iwae, known
from lvmviz.evidence.terms import terms
from lvmviz.runs.job import Trace

MEDIAN = 1.2533  # the standard error of a median, in that of a mean, of Gaussian values
FAR = 3.0  # standard errors from exact: then something has to be said
HEALTHY = 0.5  # of the draws effective: nobody would doubt such an estimate


class OverK(NamedTuple):
    """The estimates of log p(x) over the first k draws, for T values of k, of R repeats."""

    counts: np.ndarray  # (T,) k
    estimates: np.ndarray  # (R, T) nats
    means: np.ndarray  # (T,) over repeats
    errors: np.ndarray  # (T,) their standard errors; inf for one repeat


class Exact(NamedTuple):
    """E[log of the mean of k weights], by quadrature, at some k."""

    counts: np.ndarray  # (m,)
    values: np.ndarray  # (m,) nats


class Number(NamedTuple):
    """One number of the estimates: exact where that is known, from the repeats, its standard error."""

    name: str
    exact: float | None
    value: float
    error: float
    decimals: int

    @property
    def is_far(self) -> bool:
        """Whether it is further from exact than its standard error explains."""
        return (
            self.exact is not None and abs(self.value - self.exact) > FAR * self.error + 10.0**-self.decimals
        )


class Draws(NamedTuple):
    """The first draws of a job's first repeat."""

    z: np.ndarray  # (n, size)
    share: np.ndarray  # (n,) of the largest weight among them


def settings(trace: Trace) -> Estimates:
    """The algorithm of a trace of `Estimates`."""
    algorithm = trace.job.algorithm
    if not isinstance(algorithm, Estimates):
        raise TypeError(f"{type(algorithm).__name__} estimates no evidence: give a trace of Estimates")
    return algorithm


def state(trace: Trace) -> EstimatesState:
    return trace[-1].state


def info(trace: Trace) -> EstimatesInfo:
    return trace[-1].info


def over_k(trace: Trace) -> OverK:
    """All repeats that are done."""
    last = state(trace)
    estimates = last.log_estimate.numpy()
    count = len(estimates)
    spread = estimates.std(0, ddof=1) if count > 1 else np.full(estimates.shape[1], np.inf)
    return OverK(last.counts.numpy(), estimates, estimates.mean(0), spread / math.sqrt(count))


def relative(trace: Trace) -> np.ndarray:
    """The estimates of p(x) itself (R,), in units of it: unbiased."""
    return np.exp(np.minimum(state(trace).sums.log_mean[:, -1].numpy() - info(trace).log_evidence, 700.0))


# ---- what is exact ----


def expected_at(algorithm: Estimates, draws: int) -> float | None:
    """E[log p-hat] from so many draws, nats; None where nothing but draws can tell."""
    estimator = algorithm.estimator
    if not isinstance(estimator, ImportanceSampling):
        return None
    group = min(draws, estimator.group) if isinstance(estimator, GroupedBound) else draws
    return iwae(algorithm.model, algorithm.proposal, group)


def expected(algorithm: Estimates) -> Exact | None:
    """The same at every decade of k, and at all draws."""
    counts = [10**power for power in range(int(math.log10(algorithm.draws)) + 1)]
    counts = sorted({*counts, algorithm.draws})
    values = [expected_at(algorithm, count) for count in counts]
    told = [value for value in values if value is not None]
    return Exact(np.array(counts), np.array(told)) if len(told) == len(counts) else None


def decomposition(model: EvidenceModel, proposal: Proposal) -> Decomposition:
    """What q's ELBO is made of."""
    return terms(model, proposal)


def at_k(base: Decomposition, log_mean: float) -> Decomposition:
    """The evidence over a bound of many draws: what that is made of is no sum of two terms."""
    gap, nothing = base.log_evidence - log_mean, math.nan
    return Decomposition(base.log_evidence, log_mean, gap, nothing, nothing, nothing, nothing)


def second_moment(trace: Trace) -> float | None:
    """Var(w) / E[w]^2 of a single weight; inf where it has none, None where it is not known."""
    algorithm = settings(trace)
    if type(algorithm.estimator) is not ImportanceSampling:
        return None
    log_second = known(algorithm.model, algorithm.proposal).log_second_moment
    return (
        None
        if log_second is None
        else math.expm1(min(log_second, 700.0))
        if log_second < math.inf
        else math.inf
    )


# ---- numbers ----


def numbers(trace: Trace) -> list[Number]:
    """Estimate, bias, sample size, tail and cover: exact, from the repeats, standard error."""
    algorithm, told, last = settings(trace), info(trace), state(trace)
    count, plain = told.repeats, type(algorithm.estimator) is ImportanceSampling
    about, sums = known(algorithm.model, algorithm.proposal), last.sums
    mean_log = expected_at(algorithm, algorithm.draws)
    bias = None if mean_log is None else mean_log - told.log_evidence
    spread = second_moment(trace)
    effective = None if spread is None else algorithm.draws / (1.0 + spread)
    effective = effective if effective and effective >= 1.0 else None  # a sample of less than one draw
    pooled, khat = sums.log_mean[:, -1] - told.log_pooled, _endless(told.khat)
    rough = _error(last.khat) if math.isfinite(khat) else math.nan
    rows = [
        Number("E[log p̂]", mean_log, told.log_estimate, told.bias_error, 3),
        Number("bias of log p̂", bias, told.bias, told.bias_error, 3),
        Number("log of mean p̂", about.limit, told.log_pooled, _error(pooled.exp()), 3),
        Number("ESS", effective, told.effective, _error(sums.effective[:, -1]), 1),
        Number("largest share", None, told.largest_share, _error(sums.largest_share[:, -1]), 3),
        Number("k-hat", about.tail if plain else None, khat, MEDIAN * rough, 2),
        Number("± 2 se holds p", None, told.inside, math.sqrt(told.inside * (1 - told.inside) / count), 2),
    ]
    rows.append(
        Number("E[z₁ | x]", _posterior_mean(algorithm.model), float(last.mean.mean()), _error(last.mean), 3)
    )
    if plain:
        one = last.bounds
        elbo = _elbo(algorithm) if about.elbo is None else about.elbo
        rows.append(Number("ELBO", elbo, float(one.mean[0]), float(one.standard_error[0]), 3))
    return rows


def _posterior_mean(model: EvidenceModel) -> float | None:
    """Of the first latent; None where it has none."""
    try:
        return float(model.posterior()[0][0])
    except ValueError:
        return None


def _elbo(algorithm: Estimates) -> float | None:
    """Of q, nats; None where only draws can tell."""
    try:
        return decomposition(algorithm.model, algorithm.proposal).elbo
    except (TypeError, ValueError):
        return None


def _error(values: torch.Tensor) -> float:
    """The standard error of a mean over repeats (R,)."""
    values = values[values.abs() < ENDLESS]
    return float(values.std()) / math.sqrt(len(values)) if len(values) > 1 else math.inf


def _endless(value: float) -> float:
    return math.copysign(math.inf, value) if abs(value) >= ENDLESS else value


def doubt(rows: Sequence[Number], draws: int) -> str:
    """Why the estimates are further from exact than their errors say, or may be; "" where they are not."""
    by_name = {row.name: row for row in rows}
    pooled, khat, effective = (by_name[name] for name in ("log of mean p̂", "k-hat", "ESS"))
    truth = by_name["bias of log p̂"]
    if khat.value == math.inf:
        return "So few draws do not tell how heavy the tail of the weights is: take more."
    if effective.value > HEALTHY * draws and truth.value < -max(FAR * truth.error, 0.05):
        return "Every sign is healthy, and p(x) is missed: q has never met a part of the posterior."
    if round(khat.value, 2) > 0.7:
        return f"k-hat {khat.value:.2f} is above 0.7: the tail is so heavy that the errors are guesses too."
    if pooled.is_far:
        return "The mean of p̂ is far from p(x): the few draws that carry it have not come yet."
    return ""


# ---- draws ----


def draws(trace: Trace, most: int) -> Draws:
    """Some plain draws of q with their weights."""
    with torch.no_grad():
        z, log_weights = settings(trace).draws_of(trace.job.seed, most)
    share = (log_weights - log_weights.max().clamp(min=-1e300)).exp()
    return Draws(z.numpy(), share.numpy())


class Densities(NamedTuple):
    """Posterior and q of one latent over a grid."""

    z: np.ndarray  # (G,)
    posterior: np.ndarray  # (G,)
    q: np.ndarray  # (G,)


def densities(trace: Trace, around: np.ndarray, count: int = 301) -> Densities:
    """Where the draws are, and the posterior, if it has a place: densities over the line."""
    algorithm = settings(trace)
    low, high = _ends(algorithm.model, around)
    z = torch.linspace(low, high, count, dtype=torch.float64, device="cpu").unsqueeze(-1)
    posterior = (algorithm.model.log_joint(z) - algorithm.model.log_evidence()).exp()
    q = algorithm.proposal.log_prob(algorithm.model, z).exp()
    return Densities(z[:, 0].numpy(), posterior.numpy(), q.numpy())


def _ends(model: EvidenceModel, around: np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(around, [0.01, 0.99]).tolist()
    try:
        mean, sd = (float(part[0]) for part in model.posterior())
    except ValueError:  # a posterior without a variance
        return low - 1.0, high + 1.0
    return min(low, mean - 4.0 * sd), max(high, mean + 4.0 * sd)


class Rings(NamedTuple):
    """Where the first two latents are under one density: means and standard deviations."""

    mean: tuple[float, float]
    sd: tuple[float, float]


def rings(trace: Trace) -> Rings:
    """Of the posterior, in its first two latents."""
    mean, sd = settings(trace).model.posterior()
    (a, b), (c, d) = mean[:2].tolist(), sd[:2].tolist()
    return Rings((a, b), (c, d))
