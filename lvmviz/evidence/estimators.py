"""Estimators of log p(x) from draws: what a weight is, and what is made of many."""

from __future__ import annotations

import abc
import math
from collections.abc import Iterator

import torch
from torch import Tensor

from lvmviz.core import Choice, Key, choice, fold_in, generator, knob
from lvmviz.evidence.models import EvidenceModel
from lvmviz.evidence.proposals import Proposal
from lvmviz.evidence.weights import Weighed

BLOCK = 2**15  # numbers of noise at once: what is made of them stays in the processor's cache


class EvidenceEstimator(Choice):
    """A way to estimate log p(x): weights whose mean has the expectation p(x), and their log."""

    @abc.abstractmethod
    def weigh(self, model: EvidenceModel, proposal: Proposal, key: Key, repeats: int, draws: int) -> Weighed:
        """So many weighed draws in each repeat, from this key."""

    def estimates(self, log_weights: Tensor, counts: Tensor, log_means: Tensor) -> Tensor:
        """Estimates of log p(x) (R, T), nats, from the first k weights of each row (R, S).

        `log_means` (R, T) are the logs of the weights' means over the first k, for every k of `counts` (T,).
        """
        return log_means

    def cost(self) -> float:
        """How many times a draw costs what one plain draw does."""
        return 1.0


@choice
class ImportanceSampling(EvidenceEstimator):
    """The log of the mean of p(x, z_k) / q(z_k), z_k ~ q: unbiased before the log, and too low after it.

    With a uniform box or the prior as q it is naive Monte Carlo.
    """

    title = "Importance sampling"

    def weigh(self, model: EvidenceModel, proposal: Proposal, key: Key, repeats: int, draws: int) -> Weighed:
        log_weights = torch.empty(repeats * draws, dtype=torch.float64, device="cpu")
        first = torch.empty_like(log_weights)
        for start, z, log_weight in drawn(model, proposal, key, repeats * draws):
            log_weights[start : start + len(z)] = log_weight
            first[start : start + len(z)] = z[:, 0]
        return Weighed(log_weights.view(repeats, draws), first.view(repeats, draws))


@choice
class GroupedBound(ImportanceSampling):
    """The mean, over groups of K draws, of the log of their mean weight: the IWAE-K bound, less noisy.

    Its expectation is E[log 1/K sum_k w_k]: the ELBO for K = 1, and it rises to log p(x) (Burda, Grosse and
    Salakhutdinov, 2016). More groups make it less noisy and leave its bias; K = S is importance sampling.
    """

    title = "IWAE bound"
    group: int = knob(10, 1, 1000, "How many draws K share one logarithm.", label="Draws K", scale="log")

    def estimates(self, log_weights: Tensor, counts: Tensor, log_means: Tensor) -> Tensor:
        groups = log_weights.shape[-1] // self.group
        if not groups:
            return log_means
        whole = log_weights[..., : groups * self.group].unflatten(-1, (groups, self.group))
        each = torch.logsumexp(whole, -1) - math.log(self.group)
        met = counts // self.group
        means = each.cumsum(-1)[..., met.clamp(min=1) - 1] / met.clamp(min=1)
        return torch.where(met > 0, means, log_means)  # where no group is full, all there is


def drawn(
    model: EvidenceModel, proposal: Proposal, key: Key, total: int
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Draws of q block by block: where the block starts, z (n, size) and log p(x, z) / q(z) (n,), nats."""
    source, size = generator(fold_in(key, 0)), max(BLOCK // model.size, 64)
    for start in range(0, total, size):
        z, log_q = proposal.draw(model, source, min(size, total - start))
        yield start, z, model.log_joint(z) - log_q
