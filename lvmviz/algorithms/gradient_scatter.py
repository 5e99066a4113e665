"""The same gradient estimated many times over by every estimator, so that scatter and bias show."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lvmviz.core import Algorithm, Key, choice, fold_in, knob
from lvmviz.gradients import lab
from lvmviz.gradients.estimators import Estimator
from lvmviz.gradients.integrands import Integrand, Square, gradient
from lvmviz.gradients.products import Gaussians, States

CHUNK = 2**20  # numbers of noise in one step
PARTS = 8  # a run that takes long comes in at least so many, so that it can be watched and stopped


class ScatterState(NamedTuple):
    """The estimates so far."""

    found: Tensor  # (E, r, W) of every estimator: of z_1's mean and log sd, or of the first log odds
    exact: Tensor  # (W,) what they aim at


class ScatterInfo(NamedTuple):
    """What the estimates so far say of the gradient's first number."""

    repeats: int  # done
    exact: float
    steadiest: str  # the estimator that scatters least
    least: float  # its standard deviation
    most: float  # and the largest


@choice
class GradientScatter(Algorithm):
    """Estimate one gradient over and over with every estimator that can be: a step is some repeats more."""

    integrand: Integrand = knob(Square(), help="What is averaged over q.", label="f")
    mean: float = knob(1.0, -5.0, 5.0, "Where q stands: its mean, or the log odds of the states.")
    sd: float = knob(1.0, 0.1, 3.0, "How wide q is.", label="Sd of q")
    dimension: int = knob(1, 1, 100, "How many coordinates z has.", label="Dimension", scale="fine")
    draws: int = knob(10, 1, 4096, "Draws S in one estimate.", label="Draws S", scale="fine")
    temperature: float = knob(0.5, 0.05, 10.0, "Of the softened choice: near 0 it is hard.", scale="fine")
    repeats: int = knob(1000, 10, 10_000, "How many estimates of each kind.", scale="log", more=True)

    @classmethod
    def idle(cls, values: Mapping[str, Any]) -> tuple[str, ...]:
        integrand = values["integrand"]
        on_line = () if integrand.most > 1 else ("dimension",)
        return (*on_line, "sd") if integrand.discrete else (*on_line, "temperature")

    def init(self, key: Key) -> tuple[ScatterState, ScatterInfo]:
        state = self._part(key, min(self.chunk(), self.repeats))
        return state, self._told(state)

    def step(self, key: Key, state: ScatterState) -> tuple[ScatterState, ScatterInfo]:
        count = min(self.chunk(), self.repeats - state.found.shape[1])
        if count > 0:
            state = state._replace(found=torch.cat([state.found, self._part(key, count).found], 1))
        return state, self._told(state)

    def finished(self, state: ScatterState, info: ScatterInfo) -> bool:
        return info.repeats >= self.repeats

    def estimators(self) -> tuple[Estimator, ...]:
        """In the order of the state."""
        return lab.lineup(self.integrand, self.draws, self.temperature)

    def q(self) -> Gaussians | States:
        """What is averaged over."""
        q = self.integrand.q(self.dimension)
        assert isinstance(q, (Gaussians, States))
        return q

    def phi(self) -> Tensor:
        """Where q stands (P,)."""
        q = self.q()
        if isinstance(q, Gaussians):
            return q.at(self.mean, self.sd)
        return torch.full((len(q.names),), self.mean, dtype=torch.float64, device="cpu")

    def chunk(self) -> int:
        """Repeats in one step."""
        numbers = self.draws * self.q().dim
        most = CHUNK // numbers
        return max(1, self.repeats if most >= self.repeats else min(most, self.repeats // PARTS))

    def steps(self) -> int:
        """Steps until all repeats are done: `init` does the first of them."""
        return math.ceil(self.repeats / self.chunk()) - 1

    def effort(self) -> float:
        """Fitted to what a step took."""
        return 1500.0 * self.chunk() * self.draws * self.q().dim

    def _part(self, key: Key, repeats: int) -> ScatterState:
        """What so many repeats find; every estimator has draws of its own."""
        q, phi = self.q(), self.phi()
        shown = torch.tensor([0, q.dim] if isinstance(q, Gaussians) else [0])
        found = [
            lab.estimates(estimator, self.integrand, q, phi, fold_in(key, i), repeats)[:, shown]
            for i, estimator in enumerate(self.estimators())
        ]
        return ScatterState(torch.stack(found), gradient(self.integrand, q, phi)[shown])

    def _told(self, state: ScatterState) -> ScatterInfo:
        spread = state.found[..., 0].std(1, correction=0)
        least = int(spread.argmin())
        name = self.estimators()[least].name()
        return ScatterInfo(
            state.found.shape[1], float(state.exact[0]), name, float(spread[least]), float(spread.max())
        )
