"""What importance weights w = p(x, z) / q(z) say: the estimate, and how far it can be believed."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor


class Weighed(NamedTuple):
    """Draws with their weights, one row for each of R repeats."""

    log_weights: Tensor  # (R, S) nats; their mean weight estimates p(x)
    first: Tensor  # (R, S) the first latent of each draw: what self-normalized moments are told of


class Sums(NamedTuple):
    """All that the first k weights leave behind: whatever is said of them follows from these."""

    log_sum: Tensor  # (..., T) log of the sum of w, nats
    log_square: Tensor  # (..., T) log of the sum of w^2
    log_top: Tensor  # (..., T) log of the largest w
    counts: Tensor  # (T,) k, float64

    @property
    def log_mean(self) -> Tensor:
        """The estimate of log p(x) (..., T), nats: on average too low (Jensen)."""
        return self.log_sum - self.counts.log()

    @property
    def effective(self) -> Tensor:
        """The effective sample size (..., T), (sum w)^2 / sum w^2 (Kong, 1992): from 1 to k."""
        return torch.exp(2.0 * self.log_sum - self.log_square).clamp(min=1.0).minimum(self.counts)

    @property
    def largest_share(self) -> Tensor:
        """The part of the estimate (..., T) that its largest weight is."""
        return torch.exp(self.log_top - self.log_sum).clamp(max=1.0)

    @property
    def relative_error(self) -> Tensor:
        """The standard error of the mean weight (..., T), in units of it; inf for a single weight.

        By the delta method it is that of log p(x), nats, where it is small.
        """
        spread = (self.counts / self.effective - 1.0).clamp(
            min=0.0
        )  # the weights' variance over their square
        return torch.where(self.counts > 1, (spread / (self.counts - 1.0)).sqrt(), torch.inf)

    @property
    def log_bias(self) -> Tensor:
        """How far the log of the mean is low on average (..., T), nats, by the delta method: -var / 2 k.

        As far as these weights tell of their variance: where the tail has not been met, they do not.
        """
        return -0.5 * self.relative_error.square()


def running(log_weights: Tensor, counts: Tensor) -> Sums:
    """The sums (R, T) over the first k weights of each row (R, S), for every k of `counts` (T,), rising."""
    parts = [_piece(part) for part in log_weights.split(_lengths(counts), -1)]
    log_sum, log_square, log_top = (torch.stack(piece, -1) for piece in zip(*parts, strict=True))
    return Sums(
        log_sum.logcumsumexp(-1), log_square.logcumsumexp(-1), log_top.cummax(-1).values, counts.double()
    )


def _lengths(counts: Tensor) -> list[int]:
    return torch.diff(counts, prepend=counts.new_zeros(1)).tolist()


def _piece(log_weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Log sum, log sum of squares and largest (R,) of one piece (R, n)."""
    top = log_weights.amax(-1, keepdim=True)
    share = (log_weights - top.clamp(min=-1e300)).exp()  # all impossible: exp(-inf) is 0, not exp(nan)
    top = top[..., 0]
    return top + share.sum(-1).log(), 2.0 * top + share.square().sum(-1).log(), top


def moments(weighed: Weighed) -> tuple[Tensor, Tensor]:
    """The posterior's mean and variance (R,) of the first latent, self-normalized: a ratio of two averages.

    sum w h / sum w, biased by about -cov(w, w h) / k (Kong, 1992; Owen, 2013).
    """
    share = torch.softmax(weighed.log_weights, -1)
    mean = (share * weighed.first).sum(-1)
    return mean, (share * (weighed.first - mean.unsqueeze(-1)).square()).sum(-1)


def jensen(log_weights: Tensor) -> tuple[Tensor, Tensor]:
    """The log of the mean and the mean of the log (...,), nats, of weights (..., S): the second is lower."""
    return torch.logsumexp(log_weights, -1) - math.log(log_weights.shape[-1]), log_weights.mean(-1)


def marks(draws: int, most: int = 31) -> Tensor:
    """At most so many k between 1 and `draws`, both among them, evenly on a log scale (T,)."""
    steps = torch.linspace(0.0, math.log(draws), most, dtype=torch.float64, device="cpu")
    return steps.exp().round().long().unique()
