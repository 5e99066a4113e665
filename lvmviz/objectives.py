"""What a fit of q climbs: bounds on the evidence and divergences, larger is better, by quadrature.

Everything here takes a batch of q's and can be differentiated in phi; for one q, adaptively and with the
error of every integral, there is `lvmviz.quadrature`.
"""

from __future__ import annotations

import abc
import math

import torch
from torch import Tensor

from lvmviz.core import Choice, Key, choice, generator, knob
from lvmviz.families import Family, Line, Plane
from lvmviz.nodes import Nodes, convergent, of_q, over_all, over_line, over_p, over_q, weighted
from lvmviz.quadrature.exact import Integral
from lvmviz.targets import Target

NEAR_ONE = 1e-4  # Renyi orders this near 1 use the form without a logarithm's cancellation
LOST = 42.0  # nats below a whole, a part of it is lost in rounding
STEP, MOST_STEPS, BEND = 0.4, 500, 8.0  # of IWAE's integral over log t; from there on steps grow
SETTLED = 1e-9  # nats between two rules that agree


class Objective(Choice):
    """What makes one q better than another, in nats; larger is better.

    `value` is deterministic and differentiable in phi. `surrogate` is the same from draws, and its derivative
    a Monte-Carlo gradient.
    """

    @abc.abstractmethod
    def value(
        self, target: Target, family: Family, phi: Tensor, *, coarse: bool = False, turn: int = 0
    ) -> Tensor:
        """The objective (B,) for phi (B, P), by quadrature; -inf where an integral is infinite.

        With `coarse` by the rule that has half the nodes; `turn` is which of the lattices in the plane it
        has.
        """

    @abc.abstractmethod
    def reduce(self, log_ratio: Tensor) -> Tensor:
        """The objective from log p(x, z) - log q(z) at draws of q, (..., S) -> (...,)."""

    def error(self, target: Target, family: Family, phi: Tensor) -> Tensor:
        """How far `value` may be off, (B,): the disagreement of its two rules; NaN where it is infinite."""
        with torch.no_grad():
            fine = self.value(target, family, phi)
            return (fine - self.value(target, family, phi, coarse=True)).abs() + 1e-13 * fine.abs()

    def surrogate(self, target: Target, family: Family, phi: Tensor, noise: Tensor) -> Tensor:
        """The objective (B,) from the draws that noise (S, dim) makes, differentiable in phi through them."""
        return self.reduce(_log_ratio(target, family, phi, noise))


def _log_ratio(target: Target, family: Family, phi: Tensor, noise: Tensor) -> Tensor:
    if isinstance(family, Plane):
        z, log_q = family.draw(phi, noise)
        return target.log_prob(z) - log_q
    z = family.sample(phi, noise.expand(*phi.shape[:-1], *noise.shape))
    return target.log_prob(z) - family.log_prob(phi, z)


@choice
class ReverseKL(Objective):
    """Minimize KL(q || p): climb the ELBO, E_q[log p(x, z) - log q(z)], which avoids what p excludes.

    log p(x) - ELBO = KL(q || p(z | x)) (Jordan, Ghahramani, Jaakkola and Saul, 1999; note 000). From draws it
    is unbiased.
    """

    title = "Reverse KL (ELBO)"

    def value(
        self, target: Target, family: Family, phi: Tensor, *, coarse: bool = False, turn: int = 0
    ) -> Tensor:
        q, entropy = over_q(target, family, phi, coarse, turn), family.entropy(phi)
        terms = weighted(q.log_weights, q.log_p - q.log_q if entropy is None else q.log_p)
        total = terms.sum(-1) if entropy is None else terms.sum(-1) + entropy
        return convergent(terms, total, q.ends)

    def careful(self, target: Target, family: Family, phi: Tensor, coarse: bool = False) -> Tensor:
        """The same (B,) on the panels of p and q: five times the nodes, but exact at kinks of log p too."""
        both = over_all(target, family, phi, coarse)
        terms = weighted(both.log_weights + both.log_q, both.log_p - both.log_q)
        return convergent(terms, terms.sum(-1), both.ends)

    def error(self, target: Target, family: Family, phi: Tensor) -> Tensor:
        """How far `value` may be off, (B,): its disagreement with the panels, and theirs with fewer nodes."""
        if not isinstance(family, Line):
            return super().error(target, family, phi)
        with torch.no_grad():
            value, careful = self.value(target, family, phi), self.careful(target, family, phi)
            doubt = (careful - self.careful(target, family, phi, coarse=True)).abs()
            error = (value - careful).abs() + torch.minimum(doubt, 10.0 * doubt**1.5) + 1e-13 * value.abs()
            error = 2.0 * error  # a kink can make both rules miss the same way
            return torch.where(value == careful, torch.nan_to_num(error, nan=0.0), error)

    def reduce(self, log_ratio: Tensor) -> Tensor:
        return log_ratio.mean(-1)


@choice
class ForwardKL(Objective):
    """Minimize KL(p || q): climb -KL(p(z | x) || q), which covers all that p has.

    Its best Gaussian takes p's mean and standard deviation (Minka, 2005). It is -inf where q's tails are too
    light for p's. The expectation is p's: draws of q give no estimate of it.
    """

    title = "Forward KL"

    def value(
        self, target: Target, family: Family, phi: Tensor, *, coarse: bool = False, turn: int = 0
    ) -> Tensor:
        p = over_p(target, family, phi, coarse)
        log_mass = p.log_weights + p.log_p
        log_evidence = torch.logsumexp(log_mass, -1, keepdim=True)
        terms = weighted(log_mass - log_evidence, p.log_q - p.log_p + log_evidence)
        return convergent(terms, terms.sum(-1), p.ends)

    def reduce(self, log_ratio: Tensor) -> Tensor:
        raise ValueError(
            "KL(p || q) is an expectation over p, not over draws of q: choose the exact gradient"
        )


@choice
class Renyi(Objective):
    """A bound whose order says how much q must cover: 1 is the ELBO, 0 the evidence itself.

    1 / (1 - a) log E_q[(p(x, z) / q(z))^(1 - a)] (Li and Turner, 2016). It is -inf where the integral is
    infinite, as it can be for orders above 1. From draws the logarithm makes it biased unless the order is 1.
    """

    title = "Rényi bound"
    alpha: float = knob(0.5, 0.0, 5.0, "The order: 0 is log p(x), 1 the ELBO.", label="Order α")

    def value(
        self, target: Target, family: Family, phi: Tensor, *, coarse: bool = False, turn: int = 0
    ) -> Tensor:
        both, rest = over_all(target, family, phi, coarse, turn), 1.0 - self.alpha
        if not rest:
            return ReverseKL().careful(target, family, phi, coarse)
        told = both.log_q.isfinite()  # where q left the floats, p may have too: no ratio is known there
        log_q = torch.where(told, both.log_q, 0.0)
        terms = both.log_weights + rest * both.log_p + self.alpha * log_q
        if self.alpha:
            terms = torch.where(told, terms, -torch.inf)
        total = torch.logsumexp(terms, -1)
        value = total / rest if abs(rest) > NEAR_ONE else _near_elbo(both, rest)
        return convergent((terms - total.unsqueeze(-1)).exp(), value, both.ends)

    def reduce(self, log_ratio: Tensor) -> Tensor:
        rest = 1.0 - self.alpha
        if abs(rest) < NEAR_ONE:
            return log_ratio.mean(-1)
        return (torch.logsumexp(rest * log_ratio, -1) - math.log(log_ratio.shape[-1])) / rest


def _near_elbo(both: Nodes, rest: float) -> Tensor:
    """The bound (B,) of order 1 - rest near 1: log E[ratio^rest] / rest without cancellation."""
    rise = weighted(both.log_weights + both.log_q, torch.expm1(rest * (both.log_p - both.log_q)))
    return torch.log1p(rise.sum(-1)) / rest


@choice
class IWAE(Objective):
    """The evidence as K draws at a time see it: a bound that rises from the ELBO to log p(x) with K.

    E[log 1/K sum_k w_k], w_k = p(x, z_k) / q(z_k), z_k ~ q (Burda, Grosse and Salakhutdinov, 2016). By log y
    = int_0^inf (e^-t - e^-ty) dt/t (Frullani) it is one integral of the K-th power of M(s) = E_q[e^-sw].
    """

    title = "IWAE"
    draws: int = knob(5, 1, 1000, "How many draws K share one logarithm.", label="Draws K", scale="log")

    def value(
        self, target: Target, family: Family, phi: Tensor, *, coarse: bool = False, turn: int = 0
    ) -> Tensor:
        if self.draws == 1:
            return ReverseKL().value(target, family, phi, coarse=coarse, turn=turn)
        q = over_q(target, family, phi, coarse, turn)
        return self._of(q, 1.5 * STEP if coarse else STEP, MOST_STEPS)

    def careful(self, target: Target, family: Family, phi: Tensor) -> Integral:
        """The same for one phi (P,), by ever more nodes, until two rules agree or time is up."""
        with torch.no_grad():
            value, error = math.nan, math.inf
            for finer in (1, 2, 4, 8):
                q = of_q(over_line(target, family, phi[None], split=finer))
                told = float(self._of(q, STEP / finer, finer * MOST_STEPS)[0])
                value, error = told, abs(told - value) if math.isfinite(told) else 0.0
                if error < SETTLED:
                    break
        return Integral(value, error)

    def _of(self, q: Nodes, step: float, most: int) -> Tensor:
        """The bound (B,) from nodes of q."""
        log_ratio = q.log_p - q.log_q
        near = (q.log_weights > -LOST).flatten(0, -2).any(0)
        found = log_of_mean(log_ratio[..., near], q.log_weights[..., near], self.draws, step, most)
        best = _of_the_best(log_ratio, q.log_weights, self.draws)
        return convergent(best, torch.where(best.isneginf().any(-1), -torch.inf, found), q.ends)

    def reduce(self, log_ratio: Tensor) -> Tensor:
        """The mean over groups of K draws; what fills no group is left out."""
        groups = log_ratio.shape[-1] // self.draws
        if groups == 0:
            raise ValueError(f"IWAE needs at least K = {self.draws} draws: raise S or lower K")
        log_ratio = log_ratio[..., : groups * self.draws].unflatten(-1, (groups, self.draws))
        return (torch.logsumexp(log_ratio, -1) - math.log(self.draws)).mean(-1)

    def sampled(
        self, target: Target, family: Family, phi: Tensor, key: Key, repeats: int = 1000
    ) -> tuple[Tensor, Tensor]:
        """The bound (...,) for phi (..., P) from `repeats` groups of K draws, and its standard error."""
        shape = (repeats * self.draws, family.dim)
        noise = torch.randn(shape, generator=generator(key), dtype=torch.float64, device="cpu")
        each = self.reduce(_log_ratio(target, family, phi, noise).unflatten(-1, (repeats, self.draws)))
        return each.mean(-1), each.std(-1) / math.sqrt(repeats)


@torch.no_grad()
def _of_the_best(log_ratio: Tensor, log_weights: Tensor, count: int) -> Tensor:
    """What each node adds to E[the highest of `count` log ratios], (B, S): infinite where IWAE is.

    All draws are below a height with the share of q there to the power of `count`.
    """
    order = log_ratio.argsort(-1)
    below = torch.logcumsumexp(log_weights.gather(-1, order), -1).clamp(max=0.0)
    share = torch.empty_like(below).scatter(-1, order, below)
    return weighted(log_weights + (count - 1) * share, count * log_ratio)


def log_of_mean(log_ratio: Tensor, log_weights: Tensor, count: int, step: float, most: int) -> Tensor:
    """E[log of the mean of `count` ratios], each drawn with the weights (B, S): Frullani's integral.

    Over u = log t it ends where all is rounding; u = v + e^(v - BEND) reaches there also under heavy tails.
    """
    shift = torch.logsumexp(log_weights + log_ratio, -1).detach()
    height = log_ratio - shift.unsqueeze(-1)
    low, high = _ends_of_log_t(height.detach(), log_weights.detach(), count)
    high = torch.minimum(high, BEND + high.clamp(min=1.0).log())
    steps = min(most, math.ceil(float(((high - low) / step).nan_to_num(1.0).max())))
    h = ((high - low) / steps).clamp(min=step).unsqueeze(-1)
    v = low.unsqueeze(-1) + h * torch.arange(steps + 1, dtype=low.dtype, device=low.device)
    u, wider = v + torch.exp(v - BEND), 1.0 + torch.exp(v - BEND)
    rate = (u.unsqueeze(-1) - math.log(count) + height.unsqueeze(-2)).clamp(max=LOST).exp()
    moment = (torch.exp(-rate) @ log_weights.exp().unsqueeze(-1)).squeeze(-1)
    return shift + (h * wider * (torch.exp(-torch.exp(u)) - moment**count)).sum(-1)


def _ends_of_log_t(height: Tensor, log_weights: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The range (B,) of log t outside which e^-t and M(t / K)^K are equal to rounding: both 1, or both 0."""
    low = -LOST - torch.where(log_weights > -LOST, height, 0.0).amax(-1).clamp(min=0.0)
    ordered, index = height.sort(-1)
    below = log_weights.exp().gather(-1, index).cumsum(-1).log()
    rare = (count * below < -LOST).sum(-1, keepdim=True).clamp(max=height.shape[-1] - 1)
    return low, (math.log(count) - ordered.gather(-1, rare).squeeze(-1)).clamp(min=0.0) + 4.0
