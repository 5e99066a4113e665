"""The numbers of half a step: what E (q moved) or M (theta moved) made of every term of the bound."""

from __future__ import annotations

from typing import NamedTuple

from lvmviz.divergences import Decomposition

CLIMBING = "climbing"  # the status of a run that nothing has stopped


class HalfStep(NamedTuple):
    """The numbers of one half-step: sums over all data, in nats.

    Each term is a sum of its own; `kl` in particular is an expectation under q, never log_lik - elbo.
    """

    iteration: int  # 0 at the start, then 1, 1, 2, 2, ...
    moved: str  # "start", "E" (q moved) or "M" (theta moved)
    log_lik: float  # log p(data | theta)
    elbo: float
    kl: float  # KL(q(z) || p(z | data, theta))
    joint: float  # E_q[log p(data, z | theta)]
    entropy: float  # H(q)
    likelihood: float  # E_q[log p(data | z, theta)]
    kl_prior: float  # KL(q(z) || p(z | theta))
    rise: float  # change of log_lik in this half-step
    status: str  # "climbing", or the sentence why it cannot go on

    @property
    def evidence(self) -> Decomposition:
        """The numbers as the evidence and its terms; log p(data | theta) is the evidence."""
        return Decomposition(self.log_lik, *self[3:9])


def told(terms: Decomposition, half_steps: int, before: float, status: str = CLIMBING) -> HalfStep:
    """The numbers after so many half-steps, E and M in turn; `before` is the log-likelihood before it."""
    moved = "start" if half_steps == 0 else "EM"[(half_steps - 1) % 2]
    rise = terms.log_evidence - before
    return HalfStep((half_steps + 1) // 2, moved, *terms[:7], rise=rise, status=status)


def over(info: HalfStep, least: float) -> bool:
    """Whether it was stopped, or an iteration's M lifted the log-likelihood by less than `least` nats."""
    return info.status != CLIMBING or (info.moved == "M" and info.rise < least)
