"""Nodes and weights for averages over q, over p, and over all z, for a batch of q's at once."""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lvmviz.families import LOG_2PI, Family, Line, Plane
from lvmviz.families.plane import standard
from lvmviz.quadrature.plane import nodes_of
from lvmviz.quadrature.rule import NODES, RULES, integrate, panels, to_t, to_z
from lvmviz.quadrature.survey import survey
from lvmviz.targets import Target

DIVERGES = 1e-6  # share of an integral in one of its outermost nodes from which on it counts as infinite
ENDS = torch.tensor([0, 1, -2, -1], device="cpu")  # the outermost nodes on the line
REACH, STEP = 8.5, 1 / 3  # of the noise in the plane
TURNS = 32  # lattices of the noise in the plane
LATTICE = (0.7548776662466927, 0.5698402909980532, 0.6180339887498949)  # shifts and turn from one to the next


class Nodes(NamedTuple):
    """The integrand's parts at the nodes of an integral; weights belong to dz, or to q(z) dz."""

    log_p: Tensor  # (B, S) log p(x, z), nats
    log_q: Tensor  # (B, S) log q(z; phi), nats
    log_weights: Tensor  # (B, S)
    ends: Tensor = ENDS  # (E,) the outermost of them, where an integral that diverges shows


def over_q(target: Target, family: Family, phi: Tensor, coarse: bool = False, turn: int = 0) -> Nodes:
    """Nodes for an expectation over q: they move with q where its draw is one stretch of the noise.

    A mixture's is not: on the line they stand still on the panels of p and q, and q is in the weights; in the
    plane every part has its own.
    """
    if isinstance(family, Plane):
        return _carried(target, family, phi, noise_rule(2, coarse, turn % TURNS))
    if not (isinstance(family, Line) and not family.affine):
        noise, log_weights = noise_rule(family.dim, coarse)
        z = family.sample(phi, noise.expand(*phi.shape[:-1], *noise.shape))
        return Nodes(target.log_prob(z), family.log_prob(phi, z), log_weights.expand(z.shape[:-1]))
    return of_q(over_line(target, family, phi, coarse))


def _carried(target: Target, family: Plane, phi: Tensor, rule: tuple[Tensor, Tensor]) -> Nodes:
    noise, log_weights = rule
    log_shares, z, log_q = family.carried(phi, noise)
    ends = (noise.norm(dim=-1) > REACH - STEP).expand(log_shares.shape[-1], -1).flatten().nonzero()[:, 0]
    log_weights = log_shares.unsqueeze(-1) + log_weights
    log_p, log_q, log_weights = (part.flatten(-2) for part in (target.log_prob(z), log_q, log_weights))
    return Nodes(log_p, log_q, log_weights, ends)


def over_p(target: Target, family: Family, phi: Tensor, coarse: bool = False) -> Nodes:
    """Nodes for an average over p; their weights belong to dz.

    In the plane they stand still, on the cells that log p(x) was found with.
    """
    if not isinstance(family, Plane):
        return over_line(target, family, phi, coarse)
    z, log_p, log_weights, ends = cells_of(target, coarse)
    log_q = family.log_prob(phi, z.expand(*phi.shape[:-1], *z.shape))
    return Nodes(log_p.expand_as(log_q), log_q, log_weights.expand_as(log_q), ends)


def over_all(target: Target, family: Family, phi: Tensor, coarse: bool = False, turn: int = 0) -> Nodes:
    """Nodes for an integral over all z that resolve p's features and every q's; weights belong to dz.

    In the plane q's and p's together, each with its share of q's and of p's mass, make a rule for the density
    q + p: that share over q + p is the node's weight (the balance heuristic of Veach and Guibas, 1995).
    """
    if not isinstance(family, Plane):
        return over_line(target, family, phi, coarse)
    q, p = over_q(target, family, phi, coarse, turn), over_p(target, family, phi, coarse)
    log_p, log_q = torch.cat([q.log_p, p.log_p], -1), torch.cat([q.log_q, p.log_q], -1)
    log_total = torch.logsumexp(p.log_p + p.log_weights, -1, keepdim=True)
    log_mass = torch.cat([q.log_weights, p.log_weights + p.log_p - log_total], -1)
    ends = torch.cat([q.ends, p.ends + q.log_p.shape[-1]])
    return Nodes(log_p, log_q, log_mass - torch.logaddexp(log_q, log_p - log_total), ends)


@functools.lru_cache(maxsize=32)
def cells_of(target: Target, coarse: bool = False) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """z (S, 2), log p(x, z) (S,), log weights (S,) of dz, and the outermost of them, (E,)."""
    z, log_p, log_weights, ends = (torch.from_numpy(part) for part in nodes_of(target, coarse))
    return z, log_p, log_weights, ends


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


@functools.lru_cache(maxsize=2 * TURNS)
def noise_rule(dim: int, coarse: bool = False, turn: int = 0) -> tuple[Tensor, Tensor]:
    """Nodes (S, dim) and log weights (S,) for an expectation over standard normal noise, float64.

    The trapezoidal rule, which converges exponentially also where log p has poles near the line, as between
    two modes, which hold Gauss-Hermite up (Trefethen, 2022). On the line it is one in t, e = sinh(2 sinh t),
    |e| <= 26, to reach the tails of a q that is no Gaussian (Takahasi and Mori, 1974); in the plane it ends
    at |e| = 8.5, and the lattice can be shifted and turned: a bend that falls between the nodes of one shows
    in another.
    """
    return _disc(2.0 * STEP if coarse else STEP, turn) if dim == 2 else _on_line(coarse)


def _on_line(coarse: bool) -> tuple[Tensor, Tensor]:
    h, reach = 1 / 64, 92
    t = h * torch.arange(-reach, reach + 1, 2 if coarse else 1, dtype=torch.float64, device="cpu")
    e = torch.sinh(2.0 * t.sinh())
    log_weights = -0.5 * e**2 - 0.5 * LOG_2PI + torch.log((2 * h if coarse else h) * _stretch(t))
    return e[:, None], log_weights


def _disc(h: float, turn: int) -> tuple[Tensor, Tensor]:
    """The nodes of a square lattice within REACH: beyond, a normal has 1e-16 of its mass."""
    count = math.ceil(REACH / h) + 1
    t = h * torch.arange(-count, count + 1, dtype=torch.float64, device="cpu")
    across, along, angle = ((turn * step) % 1.0 for step in LATTICE)
    e = torch.cartesian_prod(t + h * across, t + h * along)
    cos, sin = math.cos(0.5 * math.pi * angle), math.sin(0.5 * math.pi * angle)
    e = e @ e.new_tensor([[cos, sin], [-sin, cos]])
    e = e[e.norm(dim=1) <= REACH]
    return e, standard(e) + 2.0 * math.log(h)


def _stretch(t: Tensor) -> Tensor:
    return 2.0 * t.cosh() * torch.cosh(2.0 * t.sinh())


def weighted(log_weights: Tensor, values: Tensor) -> Tensor:
    """exp(log weight) x value, and 0 where the weight is 0 whatever the value, also for the gradient."""
    weights = log_weights.exp()
    return weights * torch.where(weights > 0.0, values, 0.0)


def convergent(terms: Tensor, total: Tensor, ends: Tensor = ENDS) -> Tensor:
    """The total (B,) of an integral's terms (B, S), or -inf where they have not died out at its ends."""
    sizes = terms.detach().abs()
    largest = sizes[..., ends].amax(-1) if len(ends) else torch.zeros_like(total)
    return torch.where(largest <= DIVERGES * sizes.sum(-1), total, -torch.inf)
