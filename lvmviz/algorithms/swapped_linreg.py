"""Bayesian linear regression with the roles swapped: beta and lambda are latent, w is estimated."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from lvmviz.algorithms.bayes_linreg import decomposition
from lvmviz.core import Algorithm, Key, choice, knob
from lvmviz.divergences import Decomposition
from lvmviz.half_steps import CLIMBING, HalfStep, over, told
from lvmviz.linear_evidence import Decomposed
from lvmviz.regressions import Polynomial, Regression

LOG_2PI = math.log(2.0 * math.pi)
LEAST_SQUARES, ZERO = "least squares", "zero"


class Gammas(NamedTuple):
    """Gamma distributions of (beta, lambda): mean shape / rate."""

    shapes: Tensor  # (2,)
    rates: Tensor  # (2,)


class SwappedState(NamedTuple):
    """The weights as theta, and q over the two precisions."""

    weights: Tensor  # (D,) w in the coordinates V'w of X's right singular vectors; 0 beyond N
    q: Gammas  # q(beta) q(lambda)
    half_steps: Tensor  # () int64, E-steps and M-steps taken; E comes next when even
    log_lik: Tensor  # () log p(y, w | X) in nats, beta and lambda integrated out


@choice
class SwappedRegression(Algorithm):
    """Bayesian linear regression with the roles swapped: a posterior over beta and lambda, one estimate of w.

    beta, lambda ~ Gamma(shape, rate). E: q(beta, lambda) = p(beta, lambda | X, y, w), two Gammas that are
    independent given w; M: w = argmax E_q[log p(y, w | X, beta, lambda)], ridge regression with lambda / beta
    at their means. What rises is log p(y, w | X), beta and lambda integrated out (note 003: "MLE-II for w").
    With a small rate it has a high, narrow second maximum at w = 0. Before the first E-step q is the prior.
    """

    title = "Bayesian linear regression, roles swapped"
    data: Regression = knob(Polynomial(), help="What is to be told from what.", label="Data")
    shape: float = knob(1.0, 0.1, 10.0, "Shape of the Gamma priors.", label="Prior shape", scale="log")
    rate: float = knob(0.01, 1e-3, 10.0, "Rate of the Gamma priors: mean = shape / rate.",
                       label="Prior rate", scale="log")  # fmt: skip
    start: str = knob(LEAST_SQUARES, help="The weights to start from.", options=(LEAST_SQUARES, ZERO))
    tolerance: float = knob(1e-6, 0.0, 1e-2, "Stop when log p(y, w) rises by less in one iteration.",
                            label="Stop below", scale="log", more=True)  # fmt: skip

    def init(self, key: Key) -> tuple[SwappedState, HalfStep]:
        data = decomposition(self.data)
        held = data.values > 1e-12 * data.values[0]
        best = torch.where(held, data.pulled / torch.where(held, data.values, 1.0).sqrt(), 0.0)
        weights = best if self.start == LEAST_SQUARES else torch.zeros_like(best)
        none = torch.zeros((), dtype=torch.int64)
        return self._told(SwappedState(weights, self._prior(data), none, weights.new_zeros(())), first=True)

    def step(self, key: Key, state: SwappedState) -> tuple[SwappedState, HalfStep]:
        data, half_steps = decomposition(self.data), state.half_steps + 1
        if int(state.half_steps) % 2 == 0:
            q = self._posterior(state.weights, data)
            return self._told(state._replace(q=q, half_steps=half_steps))
        beta, lambda_ = state.q.shapes / state.q.rates
        weights = beta * data.values.sqrt() * data.pulled / (beta * data.values + lambda_)
        return self._told(state._replace(weights=weights, half_steps=half_steps))

    def finished(self, state: SwappedState, info: HalfStep) -> bool:
        return over(info, self.tolerance)

    def _prior(self, data: Decomposed) -> Gammas:
        ones = torch.ones_like(data.rest.expand(2))
        return Gammas(self.shape * ones, self.rate * ones)

    def _posterior(self, weights: Tensor, data: Decomposed) -> Gammas:
        """p(beta, lambda | X, y, w): half the counts and half the squares are added."""
        prior, (counts, squares) = self._prior(data), _squares(weights, data)
        return Gammas(prior.shapes + 0.5 * counts, prior.rates + 0.5 * squares)

    def _told(
        self, state: SwappedState, status: str = CLIMBING, first: bool = False
    ) -> tuple[SwappedState, HalfStep]:
        """The state with its own log-likelihood, and its numbers."""
        terms = self._decompose(state)
        before = terms.log_evidence if first else float(state.log_lik)
        info = told(terms, int(state.half_steps), before, status)
        return state._replace(log_lik=torch.full_like(state.log_lik, terms.log_evidence)), info

    def _decompose(self, state: SwappedState) -> Decomposition:
        """log p(y, w | X) and the terms of its bound, nats; z is (beta, lambda); every term of its own."""
        data, q = decomposition(self.data), state.q
        prior, at, (counts, squares) = self._prior(data), self._posterior(state.weights, data), _squares(
            state.weights, data
        )  # fmt: skip
        mean, log_mean = q.shapes / q.rates, torch.digamma(q.shapes) - q.rates.log()
        likelihood = 0.5 * (counts * (log_mean - LOG_2PI) - mean * squares)
        log_prior = _log_constant(prior) + (prior.shapes - 1.0) * log_mean - prior.rates * mean
        log_q = _log_constant(q) + (q.shapes - 1.0) * log_mean - q.shapes  # E_q[log q]
        terms = (
            _log_constant(prior) - _log_constant(at) - 0.5 * counts * LOG_2PI,
            likelihood + log_prior - log_q,
            _divergence(q, at),
            likelihood + log_prior,
            q.shapes - q.rates.log() + torch.lgamma(q.shapes) + (1.0 - q.shapes) * torch.digamma(q.shapes),
            likelihood,
            _divergence(q, prior),
        )
        return Decomposition(*(float(term.sum()) for term in terms))


def _squares(weights: Tensor, data: Decomposed) -> tuple[Tensor, Tensor]:
    """(N, D) and (|y - X w|^2, |w|^2), (2,) each."""
    missed = (data.pulled - data.values.sqrt() * weights).square().sum() + data.rest
    counts = torch.tensor([data.rows, len(weights)], dtype=weights.dtype, device=weights.device)
    return counts, torch.stack([missed, weights.square().sum()])


def _log_constant(gammas: Gammas) -> Tensor:
    """The logarithm of rate^shape / Gamma(shape), (2,)."""
    return gammas.shapes * gammas.rates.log() - torch.lgamma(gammas.shapes)


def _divergence(q: Gammas, p: Gammas) -> Tensor:
    """KL(q || p) of Gammas, (2,), nats (Penny, 2001)."""
    ratio = p.rates / q.rates
    shapes = (q.shapes - p.shapes) * torch.digamma(q.shapes) - torch.lgamma(q.shapes) + torch.lgamma(p.shapes)
    return shapes - p.shapes * ratio.log() + q.shapes * (ratio - 1.0)
