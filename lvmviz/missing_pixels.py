"""Images with hidden pixels: what a mixture of Bernoullis says of them, and a q that knows nothing of pairs.

Given the seen pixels x_o the hidden ones follow a mixture again, p(x_h | x_o) = sum_k r_k prod_i
Bernoulli(mu_ki) with r_k = p(k | x_o). Whatever is summed over all 2^h completions x_h is summed in two
halves of the pixels: p(x_o, x_h) is then one matrix product (2^b, K) (K, 2^a). float64 on the CPU, nats.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import torch
from torch import Tensor

from lvmviz.bernoulli_mixture import BernoulliMixtureParams, Data, log_likelihoods
from lvmviz.divergences import Decomposition

MOST_HIDDEN = 20  # pixels whose completions are all summed
MOST_WORK = 2**28  # the same, in components times completions


class Conditional(NamedTuple):
    """What the seen pixels of one image leave open."""

    log_weights: Tensor  # (K,) log p(k)
    log_seen: Tensor  # (K,) log p(x_o | k), nats
    means: Tensor  # (K, h) p(x_i = 1 | k) of the hidden pixels

    @property
    def hidden(self) -> int:
        """h, how many pixels are hidden."""
        return self.means.shape[-1]

    @property
    def log_evidence(self) -> Tensor:
        """log p(x_o) = log sum_k p(k) p(x_o | k), nats (); no sum over completions."""
        return self.log_joint.logsumexp(-1)

    @property
    def log_joint(self) -> Tensor:
        """log p(k, x_o), (K,)."""
        return self.log_weights + self.log_seen

    @property
    def resp(self) -> Tensor:
        """r_k = p(k | x_o), (K,)."""
        return self.log_joint.softmax(-1)

    @property
    def posterior_mean(self) -> Tensor:
        """p(x_i = 1 | x_o) = sum_k r_k mu_ki, (h,): of all factorized q the one with the least KL(p || q)."""
        return self.resp @ self.means

    @property
    def countable(self) -> bool:
        """Whether all 2^h completions are summed."""
        return self.hidden <= MOST_HIDDEN and len(self.log_weights) * 2**self.hidden <= MOST_WORK


def hidden_given_seen(theta: BernoulliMixtureParams, x: Tensor, hidden: Tensor) -> Conditional:
    """What is left open of x (D,), zeros and ones, where `hidden` (D,) is true."""
    log_seen = log_likelihoods(theta, Data(x[None], ~hidden[None]))[0]
    if not bool(log_seen.isfinite().any()):
        raise ValueError(
            "this model cannot make such an image, whatever is hidden: hide more pixels, "
            "or train with pseudo-counts"
        )
    return Conditional(theta.weights.log(), log_seen, theta.means[:, hidden])


# ---- all completions ----


def products(means: Tensor) -> Tensor:
    """prod_i m_i^x_i (1 - m_i)^(1 - x_i) of all x, (n, 2^h), for means (n, h); bit i of the place is x_i."""
    made = means.new_ones(len(means), 1)
    for column in columns(means):
        made = torch.cat([made * (1.0 - column), made * column], 1)
    return made


def columns(means: Tensor) -> list[Tensor]:
    """The columns (n, 1) of a table (n, h); none where h = 0."""
    return [means[:, i : i + 1] for i in range(means.shape[1])]


def patterns(places: Tensor, hidden: int) -> Tensor:
    """The completions (n, h), zeros and ones, that stand at these places."""
    return (places[:, None] >> torch.arange(hidden)) & 1


def log_table(log_weights: Tensor, means: Tensor) -> Tensor:
    """log sum_k w_k prod_i ... of every completion (2^b, 2^a): columns are the first half of the pixels."""
    half = means.shape[1] // 2
    first, second = products(means[:, :half]), products(means[:, half:])
    top = log_weights.max()
    total = second.T @ ((log_weights - top).exp()[:, None] * first)
    made = total.log() + top
    lost = (total < 1e-280).nonzero()
    for some in lost.split(4096):  # too small to be multiplied: by logarithms, one by one
        made[tuple(some.T)] = _one_by_one(log_weights, means, (some[:, 0] << half) + some[:, 1])
    return made


def _one_by_one(log_weights: Tensor, means: Tensor, places: Tensor) -> Tensor:
    rows = Data(patterns(places, means.shape[1]).to(means))
    return (log_likelihoods(BernoulliMixtureParams(log_weights, means), rows) + log_weights).logsumexp(-1)


class Table(NamedTuple):
    """A number for every completion."""

    values: Tensor  # (2^b, 2^a), 0 where barred
    barred: Tensor | None  # (2^b, 2^a) 1 where the number is -inf; None where it never is

    def mean(self, q: tuple[Tensor, Tensor]) -> Tensor:
        """E_q (T,) for q's probabilities (T, 2^a), (T, 2^b) of both halves' completions."""
        first, second = q
        return _weighed(first, self.over(second))

    def over(self, q: Tensor, second: bool = True) -> Tensor:
        """The mean (T, R) over one half alone, with 0 times -inf = 0."""
        values, barred = (part if part is None or second else part.T for part in (self.values, self.barred))
        assert values is not None
        made = q @ values
        return made if barred is None else made.masked_fill(q @ barred > 0, -torch.inf)


def _table(values: Tensor) -> Table:
    barred = values.isneginf()
    if not bool(barred.any()):
        return Table(values, None)
    return Table(values.masked_fill(barred, 0.0), barred.to(values))


class Completions:
    """All completions of one image: every mean over a factorized q is a sum over 2^h terms."""

    def __init__(self, open_: Conditional) -> None:
        if not open_.countable:
            raise ValueError(f"{open_.hidden} hidden pixels have too many completions to sum: hide fewer")
        self.open = open_
        self.half = open_.hidden // 2  # pixels in the first half
        log_joint = log_table(open_.log_joint, open_.means)
        self.joint = _table(log_joint)  # log p(x_o, x_h)
        self.log_sum = log_joint.flatten().logsumexp(0)  # log p(x_o), by enumeration

    @functools.cached_property
    def prior(self) -> Table:
        """log p(x_h)."""
        return _table(log_table(self.open.log_weights, self.open.means))

    @functools.cached_property
    def likelihood(self) -> Table:
        """log p(x_o | x_h)."""
        return Table(self.joint.values - self.prior.values, self.joint.barred)

    def halves(self, phi: Tensor) -> tuple[Tensor, Tensor]:
        """q's probabilities (T, 2^a) and (T, 2^b) of both halves' completions, for phi (T, h)."""
        return products(phi[:, : self.half]), products(phi[:, self.half :])

    def terms(self, phi: Tensor) -> list[Decomposition]:
        """The evidence and the terms of the ELBO of each q = prod_i Bernoulli(phi_i), phi (T, h)."""
        q = self.halves(phi)
        joint, log_q = self.joint.mean(q), _log_mean(q)
        kl = log_q - joint + self.log_sum
        within, prior = self.likelihood.mean(q), log_q - self.prior.mean(q)
        evidence = self.open.log_evidence.expand_as(kl)
        made = (evidence, joint - log_q, kl, joint, entropy(phi), within, prior)
        return [Decomposition(*row) for row in torch.stack(made, 1).tolist()]

    def kl(self, phi: Tensor) -> Tensor:
        """KL(q || p(x_h | x_o)) (T,), nats."""
        q = self.halves(phi)
        return _log_mean(q) - self.joint.mean(q) + self.log_sum

    def log_sum_drawn(self, phi: Tensor) -> Tensor:
        """log sum_x q(x) p(x_o, x) / q(x) over the x that q = prod_i Bernoulli(phi_i), phi (h,), can draw."""
        if bool(((phi > 0) & (phi < 1)).all()):
            return self.log_sum
        first, second = (part[0] > 0 for part in self.halves(phi[None]))
        values, barred = self.joint
        made = values if barred is None else values.masked_fill(barred > 0, -torch.inf)
        return made[second][:, first].flatten().logsumexp(0)

    def sweep(self, phi: Tensor) -> Tensor:
        """phi (T, h) after one update of every pixel in turn: each climbs to its own best ELBO.

        log phi_i / (1 - phi_i) = E[log p(x_i = 1, ...) - log p(x_i = 0, ...)] over the others as they are.
        """
        first, second = phi[:, : self.half], phi[:, self.half :]
        first = _updated(first, self.joint.over(products(second)))
        second = _updated(second, self.joint.over(products(first), second=False))
        return torch.cat([first, second], 1)


def _log_mean(q: tuple[Tensor, Tensor]) -> Tensor:
    """E_q[log q] (T,), summed over the completions of both halves."""
    return torch.stack([torch.xlogy(part, part).sum(1) for part in q]).sum(0)


def entropy(phi: Tensor) -> Tensor:
    """H(q) (T,), nats, of prod_i Bernoulli(phi_i)."""
    return -(torch.xlogy(phi, phi) + torch.xlogy(1.0 - phi, 1.0 - phi)).sum(-1)


def _updated(phi: Tensor, told: Tensor) -> Tensor:
    """phi (T, a) after one update of each in turn; told (T, 2^a) is log p averaged over all other pixels."""
    behind = [told.new_ones(len(phi), 1)]  # q of the pixels after i, old
    for column in reversed(columns(phi)):
        behind.append(torch.stack([behind[-1] * (1.0 - column), behind[-1] * column], 2).flatten(1))
    made = [phi[:, :0]]
    for i, old in enumerate(columns(phi)):
        off, on = told.unflatten(1, (-1, 2)).unbind(2)
        weight = behind[phi.shape[1] - 1 - i]
        odds = (_weighed(weight, on) - _weighed(weight, off)).unsqueeze(1)
        new = torch.where(odds.isnan(), old, odds.sigmoid())
        told = _weighed_pair(new, off, on)
        made.append(new)
    return torch.cat(made, 1)


def _weighed(weight: Tensor, values: Tensor) -> Tensor:
    return torch.where(weight > 0, weight * values, 0.0).sum(1)


def _weighed_pair(new: Tensor, off: Tensor, on: Tensor) -> Tensor:
    """(1 - phi) off + phi on, with 0 times -inf = 0."""
    return torch.where(new < 1, (1.0 - new) * off, 0.0) + torch.where(new > 0, new * on, 0.0)
