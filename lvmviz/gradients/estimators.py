"""Estimators of the gradient of E_q[f(z)], one row for every draw, so that their variance shows."""

from __future__ import annotations

import abc
from typing import ClassVar

import torch
from torch import Tensor

from lvmviz.core import Choice, Key, choice, knob
from lvmviz.families import Family, Line
from lvmviz.gradients.rows import (
    BASELINES,
    Function,
    Samplable,
    elbo_terms,
    normals,
    pathwise,
    score_function,
)
from lvmviz.objectives import ReverseKL
from lvmviz.targets import Target


class Estimator(Choice):
    """A way to get the gradient of the ELBO in phi.

    `per_draw` gives a row for every draw; their mean estimates the gradient, and the variance of that mean
    is the rows' variance over S.
    """

    exact: ClassVar[bool] = False
    needs_slope: ClassVar[bool] = False  # of f: where f jumps it sees nothing

    @property
    def biased(self) -> bool:
        """Whether the mean of ever more estimates is not the gradient, however smooth f is."""
        return False

    @abc.abstractmethod
    def noise(self, key: Key, dim: int) -> Tensor:
        """Standard normal noise (S, dim) for one estimate, the same for every member of a batch."""

    @abc.abstractmethod
    def per_draw(self, target: Target, family: Family, phi: Tensor, noise: Tensor) -> Tensor:
        """Gradients of the ELBO (..., S, P), one for every row of noise (S, dim), for phi (..., P)."""

    @abc.abstractmethod
    def rows(self, f: Function, q: Samplable, phi: Tensor, noise: Tensor) -> Tensor:
        """Gradients of E_q[f] (..., S, P), one for every row of noise (S, dim) or (..., S, dim)."""


@choice
class Exact(Estimator):
    """The gradient itself, by quadrature: no draws, no variance."""

    exact: ClassVar[bool] = True

    def noise(self, key: Key, dim: int) -> Tensor:
        return torch.empty((0, dim), dtype=torch.float64)

    def per_draw(self, target: Target, family: Family, phi: Tensor, noise: Tensor) -> Tensor:
        with torch.enable_grad():
            leaf, elbo = phi.detach().requires_grad_(), ReverseKL()
            rule = elbo.careful if isinstance(family, Line) else elbo.value  # also at a kink of log p
            value = rule(target, family, leaf)
            return torch.autograd.grad(value.sum(), leaf)[0].unsqueeze(-2)

    def rows(self, f: Function, q: Samplable, phi: Tensor, noise: Tensor) -> Tensor:
        raise ValueError("the exact gradient is made of no draws: ask the integrand for it")


class Drawn(Estimator):
    """An estimate from draws of q."""

    draws: int

    def noise(self, key: Key, dim: int) -> Tensor:
        return normals(key, self.draws, dim)

    def per_draw(self, target: Target, family: Family, phi: Tensor, noise: Tensor) -> Tensor:
        return self.rows(elbo_terms(target, family), family, phi, noise)


def draws_knob() -> int:
    """The draws of one estimate."""
    return knob(16, 1, 4096, "Draws S for one estimate.", label="Draws S", scale="log")


@choice
class Reparameterized(Drawn):
    """Move the draws with q: the gradient of f(g(noise; phi)), through the draw.

    d/dphi E_q[f(z)] = E[d/dphi f(g(noise; phi))] with f = log p(x, z) - log q(z; phi). Unbiased where f has a
    derivative and the draw moves smoothly with phi (Kingma and Welling, 2014; Rezende et al., 2014); a
    mixture's draw does so by implicit differentiation (Figurnov, Mohamed and Mnih, 2018).
    """

    needs_slope: ClassVar[bool] = True
    draws: int = draws_knob()

    def rows(self, f: Function, q: Samplable, phi: Tensor, noise: Tensor) -> Tensor:
        return pathwise(f, q, phi, noise)


@choice
class StickingTheLanding(Drawn):
    """Reparameterized without the score: phi within log q is held still, it only moves the draws.

    d/dphi E_q[f(z)] = E[f'(z) dg(noise; phi)/dphi] with f = log p(x, z) - log q(z; phi), because the score
    that is left out has expectation 0. Where q is the posterior f is constant, and every draw's gradient is
    exactly 0; far from it the score may have been a help (Roeder, Wu and Duvenaud, 2017).
    """

    needs_slope: ClassVar[bool] = True
    draws: int = draws_knob()

    def rows(self, f: Function, q: Samplable, phi: Tensor, noise: Tensor) -> Tensor:
        return pathwise(lambda leaf, z: f(leaf.detach(), z), q, phi, noise)


@choice
class ScoreFunction(Drawn):
    """Weigh the score of each draw by how good the draw was: it needs no derivative of log p.

    d/dphi E_q[f(z)] = E[(f(z) - b) d/dphi log q(z; phi)] with f = log p(x, z) - log q(z; phi); the part
    d/dphi f has expectation 0 (Ranganath, Gerrish and Blei, 2014). Unbiased with no baseline, with
    "leave one out", where b is the mean of the other draws (Mnih and Rezende, 2016), and with "optimal",
    where b is that of least variance, E[f score^2] / E[score^2] by the other draws, for each number of phi
    (Greensmith, Bartlett and Baxter, 2004). With "mean", b is the mean of all S draws, its own among them:
    the estimate is (S - 1) / S times the gradient on average.
    With no baseline the variance grows with the size of log p(x), which shifts f and says nothing about phi.
    """

    draws: int = draws_knob()
    baseline: str = knob("leave one out", options=BASELINES,
                         help="What is subtracted from f before it weighs the score.")  # fmt: skip

    @property
    def biased(self) -> bool:
        return self.baseline == "mean"

    def rows(self, f: Function, q: Samplable, phi: Tensor, noise: Tensor) -> Tensor:
        return score_function(f, q, phi, noise, self.baseline)
