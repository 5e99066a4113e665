"""Nodes and weights for expectations over q and integrals over the line, for a batch of q's at once."""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lvmviz.families import LOG_2PI, Family, Line
from lvmviz.quadrature.rule import NODES, RULES, integrate, panels, to_t, to_z
from lvmviz.quadrature.survey import survey
from lvmviz.targets import Target

DIVERGES = 1e-6  # share of an integral in its outermost nodes from which on it counts as infinite


class Nodes(NamedTuple):
    """The integrand's parts at the nodes of an integral; weights belong to dz, or to q(z) dz."""

    log_p: Tensor  # (B, S) log p(x, z), nats
    log_q: Tensor  # (B, S) log q(z; phi), nats
    log_weights: Tensor  # (B, S)


def over_q(target: Target, family: Family, phi: Tensor, coarse: bool = False) -> Nodes:
    """Nodes for an expectation over q: they move with q where its draw is one stretch of the noise.

    A mixture's is not: there they stand still on the panels of p and q, and q is in the weights.
    """
    if not (isinstance(family, Line) and not family.affine):
        noise, log_weights = noise_rule(family.dim, coarse)
        z = family.sample(phi, noise.expand(*phi.shape[:-1], *noise.shape))
        return Nodes(target.log_prob(z), family.log_prob(phi, z), log_weights.expand(z.shape[:-1]))
    return of_q(over_line(target, family, phi, coarse))


def of_q(line: Nodes) -> Nodes:
    """Nodes of an integral over the line as those of an expectation over q."""
    return line._replace(log_weights=line.log_weights + line.log_q)


def over_line(target: Target, family: Family, phi: Tensor, coarse: bool = False, split: int = 1) -> Nodes:
    """Nodes for an integral over the line that resolve p's features and every q's.

    With `split` every panel is cut in so many.
    """
    if not isinstance(family, Line):
        raise ValueError(f"{type(family).__name__} has {family.dim} dimensions; this objective needs one")
    own = family.spread(phi.detach())
    edges = torch.cat([places(target).expand(*own.shape[:-1], -1), own], -1)
    return _nodes(target, family, phi, edges, coarse, split)


def _nodes(target: Target, family: Family, phi: Tensor, edges: Tensor, coarse: bool, split: int = 1) -> Nodes:
    """Gauss's or Kronrod's nodes in the double-exponential coordinate, on panels between edges (B, J)."""
    t = torch.from_numpy(to_t(edges.numpy())).sort(-1).values.unsqueeze(-1)
    if split > 1:
        within = t[..., :-1, :] + t.diff(dim=-2) * torch.arange(split, dtype=t.dtype) / split
        t = torch.cat([within.flatten(-2), t[..., -1, :]], -1).unsqueeze(-1)
    x, weights = (
        torch.from_numpy(part) for part in ((NODES[1::2], RULES[1::2, 1]) if coarse else (NODES, RULES[:, 0]))
    )
    half = 0.5 * (t[..., 1:, :] - t[..., :-1, :])
    t = 0.5 * (t[..., 1:, :] + t[..., :-1, :]) + half * x
    angle = 0.5 * math.pi * t.sinh()
    log_weights = (half * weights * (0.5 * math.pi) * t.cosh() * angle.cosh()).log().flatten(-2)
    z = angle.sinh().flatten(-2).unsqueeze(-1)
    return Nodes(target.log_prob(z), family.log_prob(phi, z), log_weights)


@functools.lru_cache(maxsize=128)
def places(target: Target) -> Tensor:
    """Places (J,) on the line between which p(x, z) is smooth: an adaptive integral's panels."""

    def log_joint(z: np.ndarray) -> np.ndarray:
        return np.nan_to_num(target.log_prob(torch.from_numpy(z).unsqueeze(-1)).numpy(), nan=-np.inf)

    seen = survey(log_joint, near=target.places())
    edges = panels(seen.places, seen.low, seen.high)
    return torch.from_numpy(
        to_z(integrate(lambda z: ((log_joint(z) - seen.top)[None], np.ones((1, len(z)))), edges).edges)
    )


def quantiles(target: Target, shares: Tensor) -> Tensor:
    """z (J,) below which p has the shares (J,) of its mass, to the nearest node: where a fit may start."""
    t = torch.from_numpy(to_t(places(target).numpy()))
    t = (t[:-1, None] + torch.diff(t)[:, None] * (0.5 + 0.5 * torch.from_numpy(NODES))).flatten()
    z = torch.from_numpy(to_z(t.numpy()))
    mass = torch.softmax(target.log_prob(z[:, None]) + torch.log(torch.gradient(z)[0]), 0).cumsum(0)
    return z[torch.searchsorted(mass, shares).clamp(max=len(z) - 1)]


@functools.lru_cache(maxsize=8)
def noise_rule(dim: int, coarse: bool = False) -> tuple[Tensor, Tensor]:
    """Nodes (S, dim) and log weights (S,) for an expectation over standard normal noise, float64.

    The trapezoidal rule, which converges exponentially also where log p has poles near the line, as between
    two modes, which hold Gauss-Hermite up (Trefethen, 2022). On the line it is one in t, e = sinh(2 sinh t),
    |e| <= 26, to reach the tails of a q that is no Gaussian (Takahasi and Mori, 1974); in the plane |e| <= 9.
    """
    h, reach = (1 / 64, 92) if dim == 1 else (1 / 3, 28)
    t = h * torch.arange(-reach, reach + 1, 2 if coarse else 1, dtype=torch.float64, device="cpu")
    e, slope = (t, torch.ones_like(t)) if dim > 1 else (torch.sinh(2.0 * t.sinh()), _stretch(t))
    log_weights = -0.5 * e**2 - 0.5 * LOG_2PI + torch.log((2 * h if coarse else h) * slope)
    index = torch.cartesian_prod(*[torch.arange(len(t), device="cpu")] * dim).reshape(-1, dim)
    return e[index], log_weights[index].sum(-1)


def _stretch(t: Tensor) -> Tensor:
    return 2.0 * t.cosh() * torch.cosh(2.0 * t.sinh())


def weighted(log_weights: Tensor, values: Tensor) -> Tensor:
    """exp(log weight) x value, and 0 where the weight is 0 whatever the value, also for the gradient."""
    weights = log_weights.exp()
    return weights * torch.where(weights > 0.0, values, 0.0)


def convergent(terms: Tensor, total: Tensor) -> Tensor:
    """The total (B,) of an integral's terms (B, S), or -inf where they have not died out at both ends."""
    ends = terms.detach()[..., [0, 1, -2, -1]].abs().amax(-1)
    return torch.where(ends <= DIVERGES * terms.detach().abs().sum(-1), total, -torch.inf)
