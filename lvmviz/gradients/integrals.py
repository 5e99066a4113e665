"""What gradient estimators average, integrated exactly: their means and the variance of one draw.

For a Gaussian q and an f that is a sum over coordinates one integral over the noise of one coordinate is
enough; for states a sum is, and for two softened states an integral over one logistic variable.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lvmviz.gradients.estimators import Estimator, Reparameterized, ScoreFunction
from lvmviz.gradients.integrands import Integrand
from lvmviz.gradients.products import Gaussians, States
from lvmviz.gradients.relaxations import GumbelSoftmax, Relaxation

MEAN, LOG_SD = 0, 1  # which number of phi
REACH, STEP = 10.0, 0.01  # of the noise, in standard deviations: a jump is put between two nodes
LOGISTIC, FINE = 40.0, 0.005  # and of the logistic noise of two states


class Integrals(NamedTuple):
    """Expectations over q at M places; the slope is that of f(g(noise; phi)) in one number of phi."""

    f: Tensor  # (M,) E[f]
    spread: Tensor  # (M,) Var[f]
    score: Tensor  # (M,) E[score], which is 0
    score_square: Tensor  # (M,) E[score^2]
    weighed: Tensor  # (M,) E[f score], the gradient
    with_score: Tensor  # (M,) E[(f - E f) score^2]
    with_square: Tensor  # (M,) E[(f - E f)^2 score^2]
    slope: Tensor  # (M,) E[d/dphi f(g(noise; phi); phi)]
    slope_square: Tensor  # (M,) its square's
    stuck: Tensor  # (M,) E[f' dg/dphi], phi held still within f
    stuck_square: Tensor  # (M,) its square's


def over_noise(integrand: Integrand, mean: Tensor, sd: float, dim: int, which: int) -> Integrals:
    """All of them for N(mean, sd^2 I) in `dim` dimensions, at means (M,), for the mean or log sd of z_1."""
    q, one = Gaussians(1), integrand.share(dim)
    e = _noise(integrand, mean, sd)
    z = (mean[:, None] + sd * e).requires_grad_()
    phi = q.at(mean, sd)
    f = one.f(q)(phi, z.unsqueeze(-1))
    fall = torch.autograd.grad(f.sum(), z)[0] if f.requires_grad else torch.zeros_like(z)
    f = f.detach()
    score = e / sd if which == MEAN else e.square() - 1.0
    stuck = fall * (1.0 if which == MEAN else sd * e)
    slope = stuck - score if integrand.of_q else stuck
    weights = torch.exp(-0.5 * e.square())
    return _integrals(weights / weights.sum(-1, keepdim=True), f, score, slope, stuck, dim)


def over_states(integrand: Integrand, logit: Tensor, which: int = 0) -> Integrals:
    """The same for K states, every log odds `logit` (M,); a state has no slope."""
    q = integrand.q()
    assert isinstance(q, States)
    phi = logit[:, None].expand(-1, q.count - 1)
    shares = q.probabilities(phi)
    every = torch.eye(q.count, dtype=torch.float64, device="cpu").expand(len(logit), -1, -1)
    f = integrand.f(q)(phi, every)
    score = every[:, :, which + 1] - shares[:, which + 1, None]
    nothing = torch.zeros_like(f)
    return _integrals(shares, f, score, nothing, nothing, 1)


def softened(estimator: Relaxation, integrand: Integrand, logit: Tensor) -> tuple[Tensor, Tensor] | None:
    """The mean and variance (M,) of one draw's gradient through two softened states; None for more."""
    q = integrand.q()
    if not isinstance(q, States) or q.count != 2:
        return None
    half = torch.arange(0.5 * FINE, LOGISTIC, FINE, dtype=torch.float64, device="cpu")
    raised = torch.cat([-half.flip(0), half])  # log odds plus logistic noise: the state changes at 0
    noise = raised - logit[:, None]
    weights = torch.exp(torch.nn.functional.logsigmoid(noise) + torch.nn.functional.logsigmoid(-noise))
    soft = torch.sigmoid(raised / estimator.temperature)
    at = (soft if isinstance(estimator, GumbelSoftmax) else (raised > 0.0).double()).requires_grad_()
    fall = torch.autograd.grad(integrand.f(q)(logit[:1], torch.stack([1.0 - at, at], -1)).sum(), at)[0]
    rows = (fall * soft * (1.0 - soft) / estimator.temperature).detach()
    mean = (weights * rows).sum(-1) * FINE
    return mean, (weights * rows.square()).sum(-1) * FINE - mean.square()


def variance(estimator: Estimator, found: Integrals) -> Tensor:
    """Of one draw's gradient (M,): S times the variance of an estimate from S draws.

    Exact but for the optimal baseline, whose other draws only estimate it: there it is the limit of many.
    """
    if estimator.exact:
        return torch.zeros_like(found.f)
    if isinstance(estimator, ScoreFunction):
        return _weighed(found, estimator.baseline, estimator.draws)
    if isinstance(estimator, Reparameterized):
        return (found.slope_square - found.slope.square()).clamp(min=0.0)
    return (found.stuck_square - found.stuck.square()).clamp(min=0.0)


def _weighed(found: Integrals, baseline: str, draws: int) -> Tensor:
    """With a baseline; the mean's and the others' make a U-statistic of order two (Hoeffding, 1948)."""
    square = found.weighed.square()
    if baseline == "optimal" and draws > 1:
        gain = found.with_score.square() / found.score_square
        return (found.with_square - gain - square).clamp(min=0.0)
    if baseline == "none" or (draws == 1 and baseline != "mean"):
        shifted = 2.0 * found.f * found.with_score + found.f.square() * found.score_square
        return found.with_square + shifted - square
    if draws == 1:
        return torch.zeros_like(square)
    pairs = found.with_square + found.spread * found.score_square
    others = ((draws - 2) * (found.with_square - square) + pairs) / (draws - 1)
    return others * ((draws - 1) / draws) ** 2 if baseline == "mean" else others


def _noise(integrand: Integrand, mean: Tensor, sd: float) -> Tensor:
    """Nodes (M, S) of the noise, with a jump of f or of its slope half way between two of them."""
    e = torch.arange(-REACH, REACH, STEP, dtype=torch.float64, device="cpu").expand(len(mean), -1)
    bend = integrand.bend()
    if bend is None:
        return e
    return e + torch.remainder((bend - mean[:, None]) / sd, STEP) - 0.5 * STEP


def _integrals(
    weights: Tensor, f: Tensor, score: Tensor, slope: Tensor, stuck: Tensor, dim: int
) -> Integrals:
    """From f of one coordinate at the nodes: the other coordinates only shift it and add to its spread."""

    def mean(values: Tensor) -> Tensor:
        return (weights * values).sum(-1)

    first = mean(f)
    apart = f - first[:, None]
    spread, square = mean(apart.square()), mean(score.square())
    return Integrals(
        f=dim * first,
        spread=dim * spread,
        score=mean(score),
        score_square=square,
        weighed=mean(apart * score) + dim * first * mean(score),
        with_score=mean(apart * score.square()),
        with_square=mean((apart * score).square()) + (dim - 1) * spread * square,
        slope=mean(slope),
        slope_square=mean(slope.square()),
        stuck=mean(stuck),
        stuck_square=mean(stuck.square()),
    )
