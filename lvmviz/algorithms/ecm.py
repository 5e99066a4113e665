"""Expectation conditional maximization for Gaussian mixtures: M in two parts, one of theta's at a time."""

from __future__ import annotations

import functools
from typing import NamedTuple

import torch
from torch import Tensor

from lvmviz.algorithms.em import EM
from lvmviz.core import Algorithm, Key, choice, knob
from lvmviz.covariances import Covariance, Full
from lvmviz.datasets import Dataset, Iris
from lvmviz.half_steps import CLIMBING, HalfStep
from lvmviz.mixtures import Data, GaussianMixtureParams, decompose_at, maximum_at, not_positive_definite
from lvmviz.regularizers import Floor, Regularizer
from lvmviz.starts import RandomPoints, Start

ONCE, EACH = "E, means, covariances", "E, means, E, covariances"
CYCLES = {ONCE: ("E", "M means", "M covariances"), EACH: ("E", "M means", "E", "M covariances")}
COLLAPSED = "component {} collapsed onto one point or line: raise the regularizer or use fewer components"


class ECMState(NamedTuple):
    """theta, and the theta that q was made from."""

    theta: GaussianMixtureParams
    theta_q: GaussianMixtureParams  # q(z_n) = p(z_n | x_n, theta_q)
    parts: Tensor  # () int64, E-steps and parts of M-steps taken
    log_lik: Tensor  # () log p(X | theta) in nats
    begun: Tensor  # () log p(X | theta) where this iteration began


@choice
class ECM(Algorithm):
    """Expectation conditional maximization: M moves weights and means, then covariances, each at its best.

    Each part maximizes E_q[log p(X, Z | theta)] over its own parameters, the others as they are, so no part
    lowers the ELBO and no iteration the log-likelihood (Meng and Rubin, 1993). With one E-step an iteration
    is here exactly one of EM, for the best means do not depend on the covariances; with an E-step before each
    part (multicycle ECM) it is not.
    """

    title = "ECM"
    data: Dataset = knob(Iris(), help="The points to explain.", label="Data")
    components: int = knob(3, 1, 20, "How many Gaussians.", label="Components K")
    cycle: str = knob(EACH, help="The order of an iteration.", options=(EACH, ONCE))
    covariance: Covariance = knob(Full(), help="Which shapes the components may have.", more=True)
    start: Start = knob(RandomPoints(), help="Where the means begin.", label="Start")
    regularizer: Regularizer = knob(Floor(), help="What keeps a component from collapsing.", more=True)
    tolerance: float = knob(1e-5, 0.0, 1e-2, "Stop when log p(X)/N rises by less in one iteration.",
                            label="Stop below", scale="log", more=True)  # fmt: skip

    def init(self, key: Key) -> tuple[ECMState, HalfStep]:
        state, _ = self._exact().init(key)
        none = torch.zeros((), dtype=torch.int64)
        return self._told(ECMState(state.theta, state.theta_q, none, state.log_lik, state.log_lik), "start")

    def step(self, key: Key, state: ECMState) -> tuple[ECMState, HalfStep]:
        order = CYCLES[self.cycle]
        place = int(state.parts) % len(order)
        begun = state.log_lik if place == 0 else state.begun
        moved = state._replace(parts=state.parts + 1, begun=begun)
        if order[place] == "E":
            return self._told(moved._replace(theta_q=state.theta), "E")
        best = maximum_at(state.theta_q, self._known())
        if order[place] == "M means":
            theta = state.theta._replace(weights=best.weights, means=best.means)
            return self._told(moved._replace(theta=theta), order[place])
        return self._covariances(moved, best)

    def finished(self, state: ECMState, info: HalfStep) -> bool:
        least = self.tolerance * self.data.table().total()
        settled = info.moved == "M covariances" and info.log_lik - float(state.begun) < least
        return info.status != CLIMBING or settled

    def effort(self) -> float:
        """As EM's, whose passes these are."""
        rows, width = self.data.table().points.shape
        return float(rows) * self.components * (1.5 * width**2 + 10.0 * width + 300.0)

    def _covariances(self, state: ECMState, best: GaussianMixtureParams) -> tuple[ECMState, HalfStep]:
        """The best covariances about the means as they are, within those that are allowed."""
        apart = best.means - state.theta.means
        about = best.covariances + apart[:, :, None] * apart[:, None, :]
        limited = self.regularizer(self.covariance(about, best.weights))
        collapsed = not_positive_definite(limited, self._known().x.abs().amax(0))
        if bool(collapsed.any()):  # no density: keep the last theta that had one
            return self._told(state, "M covariances", COLLAPSED.format(int(collapsed.nonzero()[0, 0]) + 1))
        return self._told(state._replace(theta=state.theta._replace(covariances=limited)), "M covariances")

    def _told(self, state: ECMState, moved: str, status: str = CLIMBING) -> tuple[ECMState, HalfStep]:
        """The state with its own log-likelihood, and its numbers."""
        terms = decompose_at(state.theta, state.theta_q, self._known())
        length = len(CYCLES[self.cycle])
        rise = terms.log_evidence - float(state.log_lik)
        iteration = (int(state.parts) + length - 1) // length
        info = HalfStep(iteration, moved, *terms[:7], rise=rise, status=status)
        return state._replace(log_lik=torch.full_like(state.log_lik, terms.log_evidence)), info

    def _exact(self) -> EM:
        return EM(data=self.data, components=self.components, covariance=self.covariance, start=self.start,
                  regularizer=self.regularizer)  # fmt: skip

    def _known(self) -> Data:
        return _exact(self).known()


@functools.lru_cache(maxsize=64)
def _exact(algorithm: ECM) -> EM:
    """Made once: a choice looks at each of its fields when it is made, and every part asks for it."""
    return algorithm._exact()
