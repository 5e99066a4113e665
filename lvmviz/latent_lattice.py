"""A VAE with two latents as a mixture: the integral over z as a sum over a lattice, a component a node."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from lvmviz.bernoulli_mixture import BernoulliMixtureParams
from lvmviz.latent_model import log_prior

REACH = 6.5  # as far as nodes lie from 0; beyond is 7e-10 of the prior
SIDE = 60  # nodes along a side
WIDE = 2  # so many times as far, with nodes as dense, where an image's posterior reaches the edge


class Lattice(NamedTuple):
    """p(x) = sum_k w_k prod_i Bernoulli(x_i | mu_ki), with k over nodes z_k and w_k = N(z_k | 0, I) / sum."""

    theta: BernoulliMixtureParams
    z: Tensor  # (K, 2)
    black: Tensor  # (K,) bool, half of the nodes, like the black fields of a chessboard: a rule of its own


def lattice(decode: Callable[[Tensor], Tensor], side: int = SIDE, reach: float = REACH) -> Lattice:
    """The mixture of a decoder from z (n, 2) to p(x = 1 | z) (n, D)."""
    line = torch.linspace(-reach, reach, side, dtype=torch.float64)
    z = torch.cartesian_prod(line, line)
    place = torch.arange(side)
    black = ((place[:, None] + place) % 2 == 0).flatten()
    near = z.square().sum(1) <= reach**2
    z, black = z[near], black[near]
    return Lattice(BernoulliMixtureParams(log_prior(z).softmax(0), decode(z)), z, black)


def wide(decode: Callable[[Tensor], Tensor], side: int = SIDE, reach: float = REACH) -> Lattice:
    """The same nodes and as many times further ones, as far apart: what an unlikely image needs."""
    return lattice(decode, WIDE * side, reach * (WIDE * side - 1) / (side - 1))


def disagreement(log_joint: Tensor, log_weights: Tensor, black: Tensor) -> float:
    """How far log p(x_o) by the black nodes is from that by the white ones, nats, for log p(k, x_o) (K,)."""
    sides = [(log_joint[part].logsumexp(0) - log_weights[part].logsumexp(0)) for part in (black, ~black)]
    return float((sides[0] - sides[1]).abs())
