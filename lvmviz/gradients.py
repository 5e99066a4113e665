"""Estimators of the gradient of the ELBO, one row for every draw, so that their variance shows."""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor

from lvmviz.core import Choice, Key, choice, generator, knob
from lvmviz.families import Family, Line
from lvmviz.nodes import noise_rule
from lvmviz.objectives import ReverseKL
from lvmviz.targets import Target

Function = Callable[[Tensor, Tensor], Tensor]  # f(phi (..., P), z (..., S, dim)) -> (..., S)


class Estimator(Choice):
    """A way to get the gradient of the ELBO in phi.

    `per_draw` gives a row for every draw; their mean estimates the gradient, and the variance of that mean
    is the rows' variance over S.
    """

    exact: ClassVar[bool] = False

    @abc.abstractmethod
    def noise(self, key: Key, dim: int) -> Tensor:
        """Standard normal noise (S, dim) for one estimate, the same for every member of a batch."""

    @abc.abstractmethod
    def per_draw(self, target: Target, family: Family, phi: Tensor, noise: Tensor) -> Tensor:
        """Gradients (..., S, P), one for every row of noise (S, dim), for phi (..., P)."""


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


class Drawn(Estimator):
    """An estimate from draws of q."""

    draws: int

    def noise(self, key: Key, dim: int) -> Tensor:
        return normals(key, self.draws, dim)


def _draws() -> int:
    return knob(16, 1, 4096, "Draws S for one estimate.", label="Draws S", scale="log")


@choice
class Reparameterized(Drawn):
    """Move the draws with q: the gradient of f(g(noise; phi)), through the draw.

    d/dphi E_q[f(z)] = E[d/dphi f(g(noise; phi))] with f = log p(x, z) - log q(z; phi). Unbiased where f has a
    derivative and the draw moves smoothly with phi (Kingma and Welling, 2014; Rezende et al., 2014).
    """

    draws: int = _draws()

    def per_draw(self, target: Target, family: Family, phi: Tensor, noise: Tensor) -> Tensor:
        return pathwise(elbo_terms(target, family), family, phi, noise)


@choice
class StickingTheLanding(Drawn):
    """Reparameterized without the score: phi within log q is held still, it only moves the draws.

    d/dphi E_q[f(z)] = E[f'(z) dg(noise; phi)/dphi] with f = log p(x, z) - log q(z; phi), because the score
    that is left out has expectation 0. Where q is the posterior f is constant, and every draw's gradient is
    exactly 0; far from it the score may have been a help (Roeder, Wu and Duvenaud, 2017).
    """

    draws: int = _draws()

    def per_draw(self, target: Target, family: Family, phi: Tensor, noise: Tensor) -> Tensor:
        f = elbo_terms(target, family)
        return pathwise(lambda leaf, z: f(leaf.detach(), z), family, phi, noise)


@choice
class ScoreFunction(Drawn):
    """Weigh the score of each draw by how good the draw was: it needs no derivative of log p.

    d/dphi E_q[f(z)] = E[(f(z) - b) d/dphi log q(z; phi)] with f = log p(x, z) - log q(z; phi); the part
    d/dphi f has expectation 0 (Ranganath, Gerrish and Blei, 2014). Unbiased with no baseline and with
    "leave one out", where b is the mean of the other draws (Mnih and Rezende, 2016). With "mean", b is the
    mean of all S draws, its own among them: the estimate is (S - 1) / S times the gradient on average.
    With no baseline the variance grows with the size of log p(x), which shifts f and says nothing about phi.
    """

    draws: int = _draws()
    baseline: str = knob("leave one out", options=("none", "mean", "leave one out"),
                         help="What is subtracted from f before it weighs the score.")  # fmt: skip

    def per_draw(self, target: Target, family: Family, phi: Tensor, noise: Tensor) -> Tensor:
        return score_function(elbo_terms(target, family), family, phi, noise, self.baseline)


def normals(key: Key, draws: int, dim: int) -> Tensor:
    """Standard normal noise (draws, dim) from a key, float64 on the CPU."""
    return torch.randn((draws, dim), generator=generator(key), dtype=torch.float64, device="cpu")


def elbo_terms(target: Target, family: Family) -> Function:
    """f(phi, z) = log p(x, z) - log q(z; phi), whose expectation over q is the ELBO."""
    return lambda phi, z: target.log_prob(z) - family.log_prob(phi, z)


def pathwise(f: Function, family: Family, phi: Tensor, noise: Tensor) -> Tensor:
    """d/dphi f(phi, g(noise; phi)) for every draw, (..., S, P)."""
    with torch.enable_grad():
        leaf, each = _per_draw(phi, noise)
        terms = f(leaf, family.sample(leaf, each))
        return torch.autograd.grad(terms.sum(), leaf)[0]


def score_function(f: Function, family: Family, phi: Tensor, noise: Tensor, baseline: str = "none") -> Tensor:
    """(f - b) d/dphi log q(z; phi) for every draw, (..., S, P).

    With S = 1 there are no other draws and "leave one out" subtracts nothing.
    """
    _, each = _per_draw(phi, noise)
    with torch.no_grad():
        spread = phi.unsqueeze(-2).expand(*phi.shape[:-1], len(noise), -1)
        z = family.sample(spread, each)
        terms = f(spread, z)[..., 0]
    return (terms - _baseline(terms, baseline))[..., None] * scores(family, phi, z[..., 0, :])


def scores(family: Family, phi: Tensor, z: Tensor) -> Tensor:
    """d/dphi log q(z; phi), (..., S, P), for phi (..., P) and z (..., S, dim)."""
    with torch.enable_grad():
        leaf, each = _per_draw(phi, z)
        return torch.autograd.grad(family.log_prob(leaf, each).sum(), leaf)[0]


def fisher(family: Family, phi: Tensor) -> Tensor:
    """E_q[score score'], the Fisher information of q, (..., P, P), by quadrature in q's noise."""
    nodes, log_weights = noise_rule(family.dim)
    # every second node: none of them is 0, where a Laplace's score jumps
    nodes, weights = nodes[1::2], 2.0 * log_weights[1::2].exp()
    with torch.no_grad():
        z = family.sample(phi, nodes.expand(*phi.shape[:-1], *nodes.shape))
    rows = scores(family, phi, z)
    return torch.einsum("s,...sp,...sr->...pr", weights, rows, rows)


def _per_draw(phi: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """A phi of its own for every row, (..., S, P) and a leaf, and the rows as (..., S, 1, dim)."""
    count, dim = rows.shape[-2:]
    leaf = phi.detach().unsqueeze(-2).repeat(*[1] * (phi.ndim - 1), count, 1).requires_grad_()
    return leaf, rows.unsqueeze(-2).expand(*phi.shape[:-1], count, 1, dim)


def _baseline(terms: Tensor, name: str) -> Tensor | float:
    """b for every draw, from f (..., S)."""
    count = terms.shape[-1]
    if name == "none" or (name == "leave one out" and count == 1):
        return 0.0
    total = terms.sum(-1, keepdim=True)
    return total / count if name == "mean" else (total - terms) / (count - 1)
