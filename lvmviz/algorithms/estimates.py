"""Estimates of log p(x), many times over, so that their scatter and their bias show."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from lvmviz.core import Algorithm, Key, choice, fold_in, knob
from lvmviz.evidence import bounds, weights
from lvmviz.evidence.bounds import Bounds
from lvmviz.evidence.estimators import EvidenceEstimator, ImportanceSampling, drawn
from lvmviz.evidence.models import EvidenceModel, GaussianLatents
from lvmviz.evidence.pareto import khat
from lvmviz.evidence.proposals import NearPosterior, Proposal
from lvmviz.evidence.weights import Sums

CHUNK = 2**21  # numbers of noise in one step: some 30 ms
LEAST = 2**15  # with fewer, more time goes into calls than into numbers
PARTS = 8  # a run comes in at least so many, so that it can be watched and stopped
ENDLESS = 1e300  # told for infinity: a number that JSON has


class EstimatesState(NamedTuple):
    """What the r repeats done so far have found; T values of k, from 1 to the draws."""

    counts: Tensor  # (T,) int64, k
    log_estimate: Tensor  # (r, T) estimates of log p(x) from the first k draws, nats
    log_sum: Tensor  # (r, T) log of the sum of their weights
    log_square: Tensor  # (r, T) log of the sum of their squares
    log_top: Tensor  # (r, T) log of the largest
    khat: Tensor  # (r,) of all draws; infinity is told as 1e300
    mean: Tensor  # (r,) the posterior's mean of the first latent, self-normalized
    variance: Tensor  # (r,) and its variance
    bounds: Bounds  # IWAE's, for every K of `bounds.sizes(draws)`

    @property
    def sums(self) -> Sums:
        """The weights' sums (r, T): the effective sample size, the largest share, the errors."""
        return Sums(self.log_sum, self.log_square, self.log_top, self.counts.double())


class EstimatesInfo(NamedTuple):
    """The numbers of all repeats so far at the last k, nats; infinity is told as 1e300."""

    repeats: int  # done
    log_evidence: float  # log p(x), exact
    log_estimate: float  # the mean of the estimates of log p(x)
    bias: float  # its distance to log p(x)
    bias_error: float  # standard error of that, over repeats
    bias_expected: float  # by the delta method, from the weights of each repeat alone
    log_pooled: float  # log of the mean of the estimates of p(x): unbiased before its log
    effective: float  # effective sample size, mean over repeats
    largest_share: float  # of one weight, mean over repeats
    khat: float  # median over repeats
    inside: float  # share of repeats whose interval of 2 standard errors has p(x) in it


@choice
class Estimates(Algorithm):
    """Estimate log p(x) from draws, over and over: a step is some repeats more.

    Every repeat has draws of its own, and is told for the first k of them on the way. One call does for a
    glance and for the background; whoever iterates sees how far it is, and can stop.
    """

    model: EvidenceModel = knob(GaussianLatents(), help="The model, with x seen.")
    proposal: Proposal = knob(NearPosterior(), help="Where the draws come from.", label="Draw from")
    estimator: EvidenceEstimator = knob(ImportanceSampling(), help="What is made of the draws.")
    draws: int = knob(1000, 1, 100_000, "Draws K in one estimate.", label="Draws K", scale="log")
    repeats: int = knob(200, 1, 10_000, "How many estimates to compare.", scale="log")

    def init(self, key: Key) -> tuple[EstimatesState, EstimatesInfo]:
        state = self._part(key, min(self.chunk(), self.repeats))
        return state, self._told(state)

    def step(self, key: Key, state: EstimatesState) -> tuple[EstimatesState, EstimatesInfo]:
        count = min(self.chunk(), self.repeats - len(state.log_sum))
        new = joined(state, self._part(key, count)) if count > 0 else state
        return new, self._told(new)

    def finished(self, state: EstimatesState, info: EstimatesInfo) -> bool:
        return info.repeats >= self.repeats

    def chunk(self) -> int:
        """Repeats in one step."""
        numbers = self.draws * self.model.size
        most = max(CHUNK / self.estimator.cost(), LEAST) / numbers
        return max(1, min(int(most), math.ceil(self.repeats / PARTS)))

    def steps(self) -> int:
        """Steps until all repeats are done: `init` does the first of them."""
        return math.ceil(self.repeats / self.chunk()) - 1

    def draws_of(self, seed: int, most: int) -> tuple[Tensor, Tensor]:
        """z (n, size) and log weights (n,), nats: the first draws of repeat 0 of a job with this seed.

        For a picture of plain draws, whatever the estimator makes of them.
        """
        total, count = self.draws * min(self.chunk(), self.repeats), min(most, self.draws)
        places, log_weights = [], []
        for start, z, log_weight in drawn(self.model, self.proposal, fold_in(seed, 0), total):
            places.append(z)
            log_weights.append(log_weight)
            if start + len(z) >= count:
                break
        return torch.cat(places)[:count], torch.cat(log_weights)[:count]

    def effort(self) -> float:
        """Fitted to what a step took."""
        return 40.0 * self.chunk() * self.draws * (self.model.size + 20.0) * self.estimator.cost()

    def _part(self, key: Key, repeats: int) -> EstimatesState:
        """What so many repeats find."""
        with torch.no_grad():
            weighed = self.estimator.weigh(self.model, self.proposal, key, repeats, self.draws)
            counts = weights.marks(self.draws)
            sums = weights.running(weighed.log_weights, counts)
            return EstimatesState(
                counts,
                self.estimator.estimates(weighed.log_weights, counts, sums.log_mean),
                sums.log_sum,
                sums.log_square,
                sums.log_top,
                khat(weighed.log_weights).clamp(-ENDLESS, ENDLESS),
                *weights.moments(weighed),
                bounds=bounds.grouped(weighed.log_weights),
            )

    def _told(self, state: EstimatesState) -> EstimatesInfo:
        sums, log_p = state.sums, self.model.log_evidence()
        last, done = state.log_estimate[:, -1], len(state.log_sum)
        error, pooled = sums.relative_error[:, -1], torch.logsumexp(sums.log_mean[:, -1], 0) - math.log(done)
        off = torch.expm1(log_p - sums.log_mean[:, -1]).abs()  # of p(x), in units of the estimate
        return EstimatesInfo(
            done,
            log_p,
            *_plain(last.mean(), last.mean() - log_p),
            *_plain(last.std() / math.sqrt(done) if done > 1 else ENDLESS, sums.log_bias[:, -1].mean()),
            *_plain(pooled, sums.effective[:, -1].mean(), sums.largest_share[:, -1].mean()),
            *_plain(state.khat.median(), (off <= 2.0 * error).double().mean()),
        )


def joined(one: EstimatesState, other: EstimatesState) -> EstimatesState:
    """The repeats of both."""
    rows = {
        name: torch.cat([getattr(one, name), getattr(other, name)])
        for name in EstimatesState._fields
        if name not in ("counts", "bounds")
    }
    return one._replace(**rows, bounds=bounds.merged(one.bounds, other.bounds))


def _plain(*numbers: Tensor | float) -> list[float]:
    return [min(max(float(number), -ENDLESS), ENDLESS) for number in numbers]
