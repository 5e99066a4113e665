"""Gradients through a choice among states that is softened: smooth, of little variance, and biased."""

from __future__ import annotations

import abc
from typing import ClassVar

from torch import Tensor

from lvmviz.core import choice, knob
from lvmviz.families import Family
from lvmviz.gradients.estimators import Drawn, draws_knob
from lvmviz.gradients.products import States
from lvmviz.gradients.rows import Function, Samplable, pathwise
from lvmviz.targets import Target


class Relaxation(Drawn):
    """An estimate for one of K states, by a softmax in place of the choice among them."""

    dim: ClassVar[int] = 0  # states have no extent: what asks for a q on the line is not offered this
    temperature: float

    @property
    def biased(self) -> bool:
        return True

    def per_draw(self, target: Target, family: Family, phi: Tensor, noise: Tensor) -> Tensor:
        raise ValueError(
            f"{self.name()} is for discrete latents: choose another gradient for {family.name()}"
        )

    def rows(self, f: Function, q: Samplable, phi: Tensor, noise: Tensor) -> Tensor:
        if not isinstance(q, States):
            raise ValueError(f"{self.name()} is for discrete latents: choose another gradient for this q")
        return pathwise(f, _Softened(q, self), phi, noise)

    @abc.abstractmethod
    def soften(self, q: States, phi: Tensor, noise: Tensor) -> Tensor:
        """z (..., S, K), differentiable in phi."""


class _Softened:
    """States that are drawn with a derivative."""

    def __init__(self, q: States, relaxation: Relaxation) -> None:
        self.names, self.log_prob, self._q, self._relaxation = q.names, q.log_prob, q, relaxation

    def sample(self, phi: Tensor, noise: Tensor) -> Tensor:
        return self._relaxation.soften(self._q, phi, noise)


def _temperature() -> float:
    return knob(0.5, 0.05, 10.0, "Near 0 the draws are states, and the variance has no bound.", scale="log")


@choice
class GumbelSoftmax(Relaxation):
    """Average f between the states: z = softmax((logits + Gumbel noise) / temperature).

    The exact gradient of another expectation, E[f(softened z)], which nears that of the states as the
    temperature goes to 0 (Jang, Gu and Poole, 2017; Maddison, Mnih and Teh, 2017).
    """

    title = "Gumbel-softmax"
    draws: int = draws_knob()
    temperature: float = _temperature()

    def soften(self, q: States, phi: Tensor, noise: Tensor) -> Tensor:
        return q.relaxed(phi, noise, self.temperature)


@choice
class StraightThrough(Relaxation):
    """Forwards the state, backwards the softmax: f is asked at states, its slope taken along another path.

    f'(z) d softmax((logits + Gumbel noise) / temperature) / dphi at the drawn state z (Bengio, Leonard and
    Courville, 2013; Jang, Gu and Poole, 2017). The gradient of no expectation at all.
    """

    title = "Straight-through"
    draws: int = draws_knob()
    temperature: float = _temperature()

    def soften(self, q: States, phi: Tensor, noise: Tensor) -> Tensor:
        soft = q.relaxed(phi, noise, self.temperature)
        return q.sample(phi.detach(), noise) + soft - soft.detach()
