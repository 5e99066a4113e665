"""The ELBO of a proposal in all its presentations, in closed form or by quadrature: no draws."""

from __future__ import annotations

import functools
import math

import numpy as np
import torch
from torch import Tensor

from lvmviz import quadrature
from lvmviz.divergences import Decomposition
from lvmviz.evidence.models import BinaryLatents, EvidenceModel, GaussianLatents, OneLatent
from lvmviz.evidence.proposals import FromPrior, NearPosterior, PlacedQ, Proposal, UniformBox
from lvmviz.families import Family, Gaussian, Line
from lvmviz.targets import LOG_2PI, ConjugateGaussian, Target

NODES = 2000  # of Gauss and Legendre over a box: its posterior may be a narrow one


@functools.lru_cache(maxsize=256)
def terms(model: EvidenceModel, proposal: Proposal) -> Decomposition:
    """Evidence, ELBO, KL and what the ELBO is made of, nats, for q the proposal."""
    if isinstance(model, BinaryLatents):
        return of_shares(model, shares(model, proposal), model.log_evidence())
    if isinstance(model, GaussianLatents):
        line = ConjugateGaussian(prior_sd=1.0, noise_sd=model.noise, x=model.offset)
        return _on_a_line(line, model, proposal).per(1.0 / model.size)
    if isinstance(model, OneLatent):
        return _on_a_line(model.target, model, proposal)
    raise TypeError(f"the ELBO of {model.name()} has no closed form here: estimate it from draws")


def _on_a_line(target: Target, model: EvidenceModel, proposal: Proposal) -> Decomposition:
    """Of one latent; the others are as it is."""
    if isinstance(proposal, UniformBox):
        mean, sd = (float(part[0]) for part in model.prior())
        return _boxed(target, mean - proposal.reach * sd, mean + proposal.reach * sd)
    family, place = _q(model, proposal)
    if not isinstance(family, Line):
        raise ValueError(f"{family.name()} is no density on the line: choose another family of q")
    phi = family.at(place[0][:1], place[1][:1])[0]
    return quadrature.decompose(target, family, phi)


def _q(model: EvidenceModel, proposal: Proposal) -> tuple[Family, tuple[Tensor, Tensor]]:
    """The family of each latent, and its means and standard deviations (size,)."""
    if isinstance(proposal, FromPrior):
        return Gaussian(), model.prior()
    if isinstance(proposal, (NearPosterior, PlacedQ)):
        return proposal.family, proposal.place(model)
    raise TypeError(f"{proposal.name()} has no place on the line: choose another q")


def _boxed(target: Target, low: float, high: float) -> Decomposition:
    """Of q = 1 / (high - low) between two ends."""
    nodes, shares = np.polynomial.legendre.leggauss(NODES)
    z = torch.from_numpy(0.5 * (low + high) + 0.5 * (high - low) * nodes).unsqueeze(-1)
    weights, log_q = torch.from_numpy(0.5 * shares), -math.log(high - low)
    log_p, log_joint = float(quadrature.log_evidence(target)), target.log_prob(z)
    log_prior = target.log_prior(z)

    def mean(values: Tensor) -> float:
        return float((weights * values).sum())

    return Decomposition(
        log_p,
        mean(log_joint - log_q),
        mean(log_q - (log_joint - log_p)),
        mean(log_joint),
        -log_q,
        mean(log_joint - log_prior),
        mean(log_q - log_prior),
    )


# ---- bits ----


def shares(model: BinaryLatents, proposal: Proposal) -> Tensor:
    """How likely each switch is on under q (n,)."""
    if isinstance(proposal, UniformBox):
        return torch.full((model.bits,), 0.5, dtype=torch.float64, device="cpu")
    if isinstance(proposal, FromPrior):
        return model.prior()[0]
    if isinstance(proposal, NearPosterior):
        return proposal.shares(model)
    raise ValueError(f"{model.name()} are switches: choose the prior or a q near the posterior")


def of_shares(model: BinaryLatents, on: Tensor, log_evidence: float) -> Decomposition:
    """Of switches that are on by themselves, each with its share (n,): x is quadratic in them.

    E_q[(x_j - m_j(z))^2] is the square at the mean state plus m_j's variance under q.
    """
    on = on.clamp(1e-12, 1.0 - 1e-12)
    spread, leak = on * (1.0 - on), model.leak
    means = (1.0 - leak) * on + leak * on.sum()
    variances = (1.0 - leak) ** 2 * spread + leak**2 * spread.sum() + 2.0 * leak * (1.0 - leak) * spread
    strayed = ((model.x() - means).square() + variances).sum() / model.noise**2
    likelihood = -0.5 * float(strayed) - model.bits * (math.log(model.noise) + 0.5 * LOG_2PI)
    entropy = -float((on * on.log() + (1.0 - on) * torch.log1p(-on)).sum())
    log_prior = float((on * math.log(model.share) + (1.0 - on) * math.log1p(-model.share)).sum())
    joint = likelihood + log_prior
    elbo = joint + entropy
    return Decomposition(
        log_evidence, elbo, log_evidence - elbo, joint, entropy, likelihood, -entropy - log_prior
    )


def factored(model: BinaryLatents) -> float | None:
    """log p(x), nats, as a sum over switches of logs of two terms; None where a leak ties them."""
    if model.leak:
        return None
    off, on = (-0.5 * (model.x() - z).square() / model.noise**2 for z in (0.0, 1.0))
    each = torch.logaddexp(math.log1p(-model.share) + off, math.log(model.share) + on)
    return float(each.sum()) - model.bits * (math.log(model.noise) + 0.5 * LOG_2PI)
