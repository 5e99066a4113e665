"""Many climbs of one expectation, alike but for their noise: what an estimator's variance does to them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lvmviz.core import Algorithm, Key, choice, fold_in, generator, knob
from lvmviz.gradients.estimators import Estimator, ScoreFunction
from lvmviz.gradients.integrands import Integrand, NormalELBO, Q
from lvmviz.gradients.lab import rows
from lvmviz.gradients.products import Gaussians, States

LARGEST = 20.0  # of phi: where a noisy step would throw q out of the numbers, it ends there


class AscentsState(NamedTuple):
    """Where the runs are."""

    phi: Tensor  # (R, P)
    value: Tensor  # (R,) the exact expectation there
    steps: Tensor  # () int64


class AscentsInfo(NamedTuple):
    """The exact expectation over the runs."""

    iteration: int
    mean: float
    least: float
    most: float
    spread: float  # standard deviation of phi's first number over the runs


@choice
class GradientAscents(Algorithm):
    """Climb an expectation with one estimator, many runs at once: the same start, each its own draws.

    phi <- phi + rate * estimate, plain gradient ascent, so that what scatters is the estimator's doing.
    """

    integrand: Integrand = knob(NormalELBO(), help="What is averaged over q.", label="f")
    estimator: Estimator = knob(ScoreFunction(), help="Where the gradient comes from.", label="Gradient")
    runs: int = knob(20, 1, 1000, "How many runs.", scale="log")
    dimension: int = knob(1, 1, 100, "How many coordinates z has.", label="Dimension", scale="log")
    rate: float = knob(0.05, 1e-4, 10.0, "The step's length, in gradients.", label="Step size", scale="log")
    mean: float = knob(2.0, -20.0, 20.0, "Where q's centre begins, or the log odds.", label="Start at")
    sd: float = knob(1.0, 0.01, 20.0, "How wide q begins.", label="Start width", scale="log")
    downwards: bool = knob(False, help="Lower the expectation in place of raising it.")

    def init(self, key: Key) -> tuple[AscentsState, AscentsInfo]:
        q = self.q()
        if isinstance(q, Gaussians):
            phi = q.at(self.mean, self.sd)
        else:
            phi = torch.full((len(q.names),), self.mean, dtype=torch.float64, device="cpu")
        phi = phi.expand(self.runs, -1).contiguous()
        return self._told(phi, torch.zeros((), dtype=torch.int64, device="cpu"))

    def step(self, key: Key, state: AscentsState) -> tuple[AscentsState, AscentsInfo]:
        q = self.q()
        shape = self.runs, len(self.estimator.noise(key, 1)), q.dim
        noise = torch.randn(shape, generator=generator(fold_in(key, 0)), dtype=torch.float64, device="cpu")
        estimate = rows(self.estimator, self.integrand, q, state.phi, noise).mean(-2)
        way = -self.rate if self.downwards else self.rate
        phi = (state.phi + way * estimate.nan_to_num(0.0)).clamp(-LARGEST, LARGEST)
        return self._told(phi, state.steps + 1)

    def finished(self, state: AscentsState, info: AscentsInfo) -> bool:
        return False

    def effort(self) -> float:
        """Fitted to what a step took."""
        draws = max(len(self.estimator.noise(0, 1)), 1)
        return 4e6 + 200.0 * self.runs * draws * self.dimension

    def q(self) -> Gaussians | States:
        """What moves."""
        q: Q = self.integrand.q(min(self.dimension, self.integrand.most))
        if not isinstance(q, (Gaussians, States)):
            raise ValueError(f"{self.integrand.name()} has no q that can climb here")
        return q

    def _told(self, phi: Tensor, steps: Tensor) -> tuple[AscentsState, AscentsInfo]:
        with torch.no_grad():
            value = self.integrand.expectation(self.q(), phi)
        spread = float(phi[:, 0].std()) if self.runs > 1 else 0.0
        state = AscentsState(phi, value, steps)
        return state, AscentsInfo(
            int(steps), float(value.mean()), float(value.amin()), float(value.amax()), spread
        )
