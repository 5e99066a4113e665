"""What is known of importance weights without a draw: their bound, their variance, their tail, their bias."""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np
import torch
from scipy import special, stats
from torch import Tensor

from lvmviz.evidence.models import BinaryLatents, EvidenceModel, GaussianLatents, OneLatent
from lvmviz.evidence.proposals import FromPrior, NearPosterior, PlacedQ, Proposal, UniformBox
from lvmviz.evidence.states import LOW, states
from lvmviz.families import Gaussian, Line
from lvmviz.nodes import noise_rule, of_q, over_line
from lvmviz.objectives import log_of_mean
from lvmviz.quadrature import decompose

FEW_BITS = LOW  # so many states fit one block
STEP, MOST_STEPS = 0.1, 2000  # of the integral over log t


class Known(NamedTuple):
    """Exact numbers of the weights p(x, z) / q(z) under q; None where no closed form is known."""

    log_evidence: float  # log p(x), nats
    limit: float | None  # what the estimate tends to, nats: less where q leaves out a part of the posterior
    elbo: float | None  # E_q[log w], nats
    log_second_moment: float | None  # log E_q[w^2] - 2 limit, nats; inf where the weights have no variance
    tail: float | None  # k, the shape of the weights' tail: 1/k moments exist


class _Gaussians(NamedTuple):
    """d independent latents, each with posterior N(m, v) and q N(mean, variance)."""

    count: int
    m: float
    v: float
    mean: float
    variance: float


def known(model: EvidenceModel, proposal: Proposal) -> Known:
    """All that closed forms and quadrature tell of a model's weights under this proposal."""
    log_p = model.log_evidence()
    if isinstance(model, GaussianLatents) and isinstance(proposal, UniformBox):
        return _boxed(model, proposal)
    if isinstance(model, BinaryLatents):
        return _counted(model, proposal)
    pair = _gaussians(model, proposal)
    if pair is None:
        elbo = iwae(model, proposal, 1) if isinstance(model, OneLatent) else None
        return Known(log_p, None if isinstance(proposal, UniformBox) else log_p, elbo, None, None)
    ratio = pair.variance / pair.v
    kl = 0.5 * pair.count * (ratio + (pair.mean - pair.m) ** 2 / pair.v - 1.0 - math.log(ratio))
    return Known(log_p, log_p, log_p - kl, pair.count * _log_second(pair), max(1.0 - ratio, 0.0))


def _boxed(model: GaussianLatents, box: UniformBox) -> Known:
    """Of the box, as wide in every latent: what lies within it, and the weights' mean log and mean square."""
    (mean, sd), half = (float(part[0]) for part in model.posterior()), box.reach
    inside, squared = (
        special.ndtr((half - mean) / width) - special.ndtr((-half - mean) / width)
        for width in (sd, sd / math.sqrt(2.0))
    )
    each = model.log_evidence() / model.size
    log_joint = each - 0.5 * ((half**2 / 3.0 + mean**2) / sd**2 + math.log(2.0 * math.pi * sd**2))
    elbo = log_joint + math.log(2.0 * half)
    second = math.log(2.0 * half * squared / (2.0 * sd * math.sqrt(math.pi))) - 2.0 * math.log(inside)
    limit = model.log_evidence() + model.size * math.log(inside)
    return Known(model.log_evidence(), limit, model.size * elbo, model.size * second, 0.0)


def _counted(model: BinaryLatents, proposal: Proposal) -> Known:
    """Of bits, by all their states where these are few: a weight then has a largest value, and no tail."""
    log_p = model.log_evidence()
    if model.bits > FEW_BITS:
        return Known(log_p, log_p, None, None, 0.0)
    log_weights, log_shares = _states(model, proposal)
    second = float(torch.logsumexp(log_shares + 2.0 * log_weights, -1)) - 2.0 * log_p
    return Known(log_p, log_p, float((log_shares.exp() * log_weights).sum()), second, 0.0)


@functools.lru_cache(maxsize=16)
def _states(model: BinaryLatents, proposal: Proposal) -> tuple[Tensor, Tensor]:
    """log weights and log q (1, 2^n) of all states."""
    every = states(model.bits, 0, 2**model.bits)
    log_q = proposal.log_prob(model, every)
    return (model.log_joint(every) - log_q).unsqueeze(0), log_q.unsqueeze(0)


def _log_second(pair: _Gaussians) -> float:
    """log E_q[(p / q)^2] of one latent, p the posterior."""
    precision = 2.0 / pair.v - 1.0 / pair.variance
    if precision <= 0.0:
        return math.inf
    slope = 2.0 * pair.m / pair.v - pair.mean / pair.variance
    rest = pair.m**2 / pair.v - 0.5 * pair.mean**2 / pair.variance
    return 0.5 * math.log(pair.variance / precision) - math.log(pair.v) + 0.5 * slope**2 / precision - rest


def _gaussians(model: EvidenceModel, proposal: Proposal) -> _Gaussians | None:
    if not isinstance(model, GaussianLatents):
        return None
    (m, sd), one = (float(part[0]) for part in model.posterior()), model.size
    if isinstance(proposal, FromPrior):
        return _Gaussians(one, m, sd**2, 0.0, 1.0)
    if isinstance(proposal, NearPosterior) and isinstance(proposal.family, Gaussian):
        return _Gaussians(one, m, sd**2, m + proposal.shift * sd, (proposal.width * sd) ** 2)
    if isinstance(proposal, PlacedQ) and isinstance(proposal.family, Gaussian):
        return _Gaussians(one, m, sd**2, proposal.mean, proposal.sd**2)
    return None


# ---- the bias of the log, for every K ----


@functools.lru_cache(maxsize=1024)
def iwae(model: EvidenceModel, proposal: Proposal, draws: int) -> float | None:
    """E[log 1/K sum_k w_k], nats, by quadrature; None where the weights are not those of one number.

    Its distance to log p(x) is the bias of the log of K weights' mean.
    """
    if isinstance(model, OneLatent):
        return _on_the_line(model, proposal, draws)
    if isinstance(model, BinaryLatents):
        return _over_bits(model, proposal, draws)
    pair = _gaussians(model, proposal)
    if pair is None:
        return None
    log_weights, log_shares = _radial(pair)
    if draws == 1:
        return known(model, proposal).elbo
    value = log_of_mean(log_weights, log_shares, draws, STEP, MOST_STEPS)
    return model.log_evidence() + float(value[0])


def _over_bits(model: BinaryLatents, proposal: Proposal, draws: int) -> float | None:
    if model.bits > FEW_BITS:
        return None
    if draws == 1:
        return _counted(model, proposal).elbo
    return float(log_of_mean(*_states(model, proposal), draws, STEP, MOST_STEPS)[0])


def _on_the_line(model: OneLatent, proposal: Proposal, draws: int) -> float | None:
    if isinstance(proposal, FromPrior):
        mean, sd = model.prior()
        family: Line = Gaussian()
    elif isinstance(proposal, (NearPosterior, PlacedQ)) and isinstance(proposal.family, Line):
        (mean, sd), family = proposal.place(model), proposal.family
    else:
        return None
    phi = family.at(mean, sd)[0]
    if draws == 1:
        return float(decompose(model.target, family, phi).elbo)
    q = of_q(over_line(model.target, family, phi[None]))
    return float(log_of_mean(q.log_p - q.log_q, q.log_weights, draws, STEP, MOST_STEPS)[0])


def _radial(pair: _Gaussians) -> tuple[Tensor, Tensor]:
    """log p(z | x) / q(z) (1, S) at nodes of q with log weights (1, S): it depends on one number alone.

    Where the widths differ that is a squared distance, noncentral chi-square with d degrees of freedom; else
    a Gaussian.
    """
    noise, log_shares = (part.flatten() for part in noise_rule(1))
    sd, gap = math.sqrt(pair.variance), pair.mean - pair.m
    curve = 0.5 * (
        1.0 - pair.variance / pair.v
    )  # of log (p / q) in q's own noise: curve e^2 + slope e + rest
    slope, rest = -sd * gap / pair.v, 0.5 * (math.log(pair.variance / pair.v) - gap**2 / pair.v)
    if abs(curve) < 1e-12:
        value = pair.count * rest + math.sqrt(pair.count) * slope * noise
    else:
        turn = slope / (2.0 * curve)
        square = torch.from_numpy(_quantiles(pair.count, pair.count * turn**2, noise.numpy()))
        value = curve * square + pair.count * (rest - curve * turn**2)
    return value.unsqueeze(0), log_shares.unsqueeze(0)


def _quantiles(freedom: int, away: float, noise: np.ndarray) -> np.ndarray:
    """Of a noncentral chi-square: where as much lies below as below this standard normal noise."""
    law = stats.ncx2(freedom, away) if away > 0.0 else stats.chi2(freedom)
    with np.errstate(all="ignore"):
        return np.where(noise < 0, law.ppf(special.ndtr(noise)), law.isf(special.ndtr(-noise)))
