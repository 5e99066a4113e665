"""Bayesian linear regression: the evidence climbed over (beta, lambda), one half-step at a time."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lvmviz.core import Algorithm, Key, choice, knob, real
from lvmviz.evidence_updates import EvidenceUpdate, Maximization
from lvmviz.gaps import nbytes
from lvmviz.half_steps import CLIMBING, HalfStep, told
from lvmviz.kept import kept
from lvmviz.linear_evidence import (
    Decomposed,
    Precisions,
    WeightsPosterior,
    decompose_at,
    decomposed,
    posterior,
    runaway,
    within,
)
from lvmviz.regressions import Polynomial, Regression


class RegressionState(NamedTuple):
    """theta, and the theta that q was made from."""

    theta: Precisions
    theta_q: Precisions  # q(w) = p(w | X, y, theta_q); beta = 0 is the prior
    half_steps: Tensor  # () int64, E-steps and M-steps taken; E comes next when even
    log_lik: Tensor  # () log p(y | X, theta) in nats, the log evidence


@choice
class EMRegression(Algorithm):
    """Bayesian linear regression: the weights are latent, beta and lambda are estimated.

    y ~ N(X w, I / beta), w ~ N(0, I / lambda). E: q(w) = p(w | X, y, beta, lambda); M: beta and lambda by EM,
    by the fixed point of MLE-II, or by a step of gradient ascent. The log-likelihood is the log evidence
    log p(y | X, beta, lambda) (note 003; Bishop, 2006, sections 3.5 and 9.3.4). Before the first E-step q is
    the prior.
    """

    title = "Bayesian linear regression"
    data: Regression = knob(Polynomial(), help="What is to be told from what.", label="Data")
    update: EvidenceUpdate = knob(Maximization(), help="How beta and lambda move.", label="Algorithm")
    beta: float = knob(1.0, 1e-4, 1e4, "The beta to start from.", label="First β", scale="log",
                       more=True)  # fmt: skip
    lambda_: float = knob(1.0, 1e-4, 1e4, "The lambda to start from.", label="First λ",
                          scale="log", more=True)  # fmt: skip
    tolerance: float = knob(1e-6, 0.0, 1e-2, "Stop when the log evidence changes by less in one iteration.",
                            label="Stop below", scale="log", more=True)  # fmt: skip

    def init(self, key: Key) -> tuple[RegressionState, HalfStep]:
        data = self.decomposed()
        start = Precisions(torch.full_like(data.rest, self.beta), torch.full_like(data.rest, self.lambda_))
        prior = start._replace(beta=torch.zeros_like(start.beta))
        state = RegressionState(start, prior, torch.zeros((), dtype=torch.int64), torch.zeros_like(data.rest))
        return self._told(state, first=True)

    def step(self, key: Key, state: RegressionState) -> tuple[RegressionState, HalfStep]:
        half_steps = state.half_steps + 1
        if int(state.half_steps) % 2 == 0:
            return self._told(state._replace(theta_q=state.theta, half_steps=half_steps))
        theta = self.update(state.theta, self.q(state), self.decomposed())
        why = runaway(theta, self.decomposed())
        kept = theta if within(theta) else state.theta
        return self._told(state._replace(theta=kept, half_steps=half_steps), why or CLIMBING)

    def finished(self, state: RegressionState, info: HalfStep) -> bool:
        settled = info.moved == "M" and abs(info.rise) < self.tolerance
        return info.status != CLIMBING or settled

    def q(self, state: RegressionState) -> WeightsPosterior:
        """q(w) in the coordinates of X's singular vectors."""
        return posterior(state.theta_q, self.decomposed())

    def decomposed(self) -> Decomposed:
        """X and y by X's singular vectors."""
        return decomposition(self.data)

    def _told(
        self, state: RegressionState, status: str = CLIMBING, first: bool = False
    ) -> tuple[RegressionState, HalfStep]:
        """The state with its own log evidence, and its numbers."""
        terms = decompose_at(state.theta, state.theta_q, self.decomposed())
        before = terms.log_evidence if first else float(state.log_lik)
        info = told(terms, int(state.half_steps), before, status)
        return state._replace(log_lik=torch.full_like(state.log_lik, terms.log_evidence)), info


def decomposition(data: Regression) -> Decomposed:
    """The problem by its design's singular vectors, on torch's default device; made once and kept."""
    return _decomposed(data, str(torch.get_default_device()))


def _bytes(data: Decomposed) -> int:
    return nbytes(data[:4])


@kept(100_000_000, _bytes)
def _decomposed(data: Regression, device: str) -> Decomposed:
    problem = data.problem()
    x, y = (torch.from_numpy(part.copy()).to(device=device, dtype=real(device)) for part in problem[:2])
    return decomposed(x, y)
