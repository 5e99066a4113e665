"""Gradients draw by draw: through the draw, or through its score."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from lvmviz.core import Key, generator
from lvmviz.families import Family, Plane, Stack
from lvmviz.nodes import noise_rule
from lvmviz.targets import Target

Function = Callable[[Tensor, Tensor], Tensor]  # f(phi (..., P), z (..., S, dim)) -> (..., S)
BASELINES = ("none", "mean", "leave one out", "optimal")


class Samplable(Protocol):
    """A density q(z; phi) with phi (..., P), as families are: drawn from and evaluated."""

    @property
    def names(self) -> tuple[str, ...]:
        """(P,) what each number of phi is."""
        ...

    def sample(self, phi: Tensor, noise: Tensor) -> Tensor:
        """z (..., S, dim) from standard normal noise (..., S, dim)."""
        ...

    def log_prob(self, phi: Tensor, z: Tensor) -> Tensor:
        """log q(z; phi), nats (..., S), for z (..., S, dim)."""
        ...


def normals(key: Key, draws: int, dim: int) -> Tensor:
    """Standard normal noise (draws, dim) from a key, float64 on the CPU."""
    return torch.randn((draws, dim), generator=generator(key), dtype=torch.float64, device="cpu")


def elbo_terms(target: Target, family: Samplable) -> Function:
    """f(phi, z) = log p(x, z) - log q(z; phi), whose expectation over q is the ELBO."""
    return lambda phi, z: target.log_prob(z) - family.log_prob(phi, z)


def pathwise(f: Function, family: Samplable, phi: Tensor, noise: Tensor) -> Tensor:
    """d/dphi f(phi, g(noise; phi)) for every draw, (..., S, P), for noise (S, dim) or (..., S, dim)."""
    with torch.enable_grad():
        leaf, each = _per_draw(phi, noise)
        terms = f(leaf, family.sample(leaf, each))
        return torch.autograd.grad(terms.sum(), leaf)[0]


def score_function(
    f: Function, family: Samplable, phi: Tensor, noise: Tensor, baseline: str = "none"
) -> Tensor:
    """(f - b) d/dphi log q(z; phi) for every draw, (..., S, P), for noise (S, dim) or (..., S, dim).

    With S = 1 there are no other draws, and what is made of them is 0.
    """
    _, each = _per_draw(phi, noise)
    with torch.no_grad():
        spread = phi.unsqueeze(-2).expand(*phi.shape[:-1], noise.shape[-2], -1)
        z = family.sample(spread, each)
        terms = f(spread, z)
    rows = scores(family, phi, z[..., 0, :])
    return (terms - _baseline(terms[..., 0], rows, baseline)) * rows


def scores(family: Samplable, phi: Tensor, z: Tensor) -> Tensor:
    """d/dphi log q(z; phi), (..., S, P), for phi (..., P) and z (..., S, dim)."""
    with torch.enable_grad():
        leaf, each = _per_draw(phi, z)
        return torch.autograd.grad(family.log_prob(leaf, each).sum(), leaf)[0]


def fisher(family: Family, phi: Tensor) -> Tensor:
    """E_q[score score'], the Fisher information of q, (..., P, P), by quadrature in q's noise."""
    if isinstance(family, Plane):
        return _fisher_in_the_plane(family, phi)
    nodes, log_weights = noise_rule(family.dim)
    # every second node: none of them is 0, where a Laplace's score jumps
    nodes, weights = nodes[1::2], 2.0 * log_weights[1::2].exp()
    with torch.no_grad():
        z = family.sample(phi, nodes.expand(*phi.shape[:-1], *nodes.shape))
    rows = scores(family, phi, z)
    return torch.einsum("s,...sp,...sr->...pr", weights, rows, rows)


def _fisher_in_the_plane(family: Plane, phi: Tensor) -> Tensor:
    """By the coarse rule where q is made of Gaussians, whose scores are polynomials."""
    nodes, log_weights = noise_rule(2, coarse=not isinstance(family, Stack))
    if isinstance(family, Stack):
        weights, rows = log_weights.exp(), _scores_of_draws(family, phi, nodes)
    else:
        with torch.no_grad():
            log_shares, z, _ = family.carried(phi, nodes)
        weights = (log_shares.unsqueeze(-1) + log_weights).exp().flatten(-2)
        rows = scores(family, phi, z.flatten(-3, -2))
    return rows.mT @ (weights.unsqueeze(-1) * rows)


def _scores_of_draws(family: Stack, phi: Tensor, noise: Tensor) -> Tensor:
    """d/dphi log q(z; phi) at the z of every noise, (..., S, P): a flow is never turned round.

    Along a draw log q(z(phi); phi) changes by the score plus d log q/dz . dz/dphi.
    """
    with torch.enable_grad():
        leaf, e = _per_draw(phi, noise)
        e = e.requires_grad_()
        z, log_q = family.draw(leaf, e)
        parts = (log_q.sum(), z[..., 0].sum(), z[..., 1].sum())
        by_noise, *jacobian = (torch.autograd.grad(part, e, retain_graph=True)[0] for part in parts)
        jacobian = torch.cat(jacobian, -2)  # (..., S, 2, 2), dz_i / de_j
        by_z = torch.linalg.solve(jacobian.mT, by_noise.mT).mT
        return torch.autograd.grad((log_q - (by_z * z).sum(-1)).sum(), leaf)[0]


def _per_draw(phi: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """A phi of its own for every row, (..., S, P) and a leaf, and the rows as (..., S, 1, dim)."""
    count, dim = rows.shape[-2:]
    leaf = phi.detach().unsqueeze(-2).repeat(*[1] * (phi.ndim - 1), count, 1).requires_grad_()
    return leaf, rows.unsqueeze(-2).expand(*phi.shape[:-1], count, 1, dim)


def _baseline(terms: Tensor, rows: Tensor, name: str) -> Tensor | float:
    """b for every draw, (..., S, 1) or (..., S, P), from f (..., S) and the scores (..., S, P)."""
    f = terms.unsqueeze(-1)
    if name == "none" or (name != "mean" and terms.shape[-1] == 1):
        return 0.0
    if name == "mean":
        return f.mean(-2, keepdim=True)
    if name == "leave one out":
        return _others(f) / (terms.shape[-1] - 1)
    weights = rows.square()
    sums = _others(weights)
    return torch.where(sums > 0.0, _others(weights * f) / sums, 0.0)


def _others(x: Tensor) -> Tensor:
    """For every draw the sum over the others, (..., S, P)."""
    return x.sum(-2, keepdim=True) - x
