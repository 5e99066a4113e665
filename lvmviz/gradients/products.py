"""What q is in the lab of gradients: independent Gaussians in any dimension, or one of K states."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import one_hot

LOG_2PI = math.log(2.0 * math.pi)


class Gaussians(NamedTuple):
    """Independent Gaussians, prod_i N(z_i | mean_i, sd_i^2): phi = (means, log sds), (..., 2 dim)."""

    dim: int = 1

    @property
    def names(self) -> tuple[str, ...]:
        if self.dim == 1:
            return ("mean", "log sd")
        places = range(1, self.dim + 1)
        return (*(f"mean {i}" for i in places), *(f"log sd {i}" for i in places))

    def at(self, mean: Tensor | float, sd: Tensor | float) -> Tensor:
        """phi (..., 2 dim) with this mean and sd (...) in every coordinate."""
        loc, scale = torch.broadcast_tensors(
            torch.as_tensor(mean, dtype=torch.float64), torch.as_tensor(sd, dtype=torch.float64)
        )
        return torch.stack([loc, scale.log()], -1).repeat_interleave(self.dim, -1)

    def sample(self, phi: Tensor, noise: Tensor) -> Tensor:
        mean, log_sd = phi.unsqueeze(-2).split(self.dim, -1)
        return mean + log_sd.exp() * noise

    def log_prob(self, phi: Tensor, z: Tensor) -> Tensor:
        mean, log_sd = phi.unsqueeze(-2).split(self.dim, -1)
        e = (z - mean) * torch.exp(-log_sd)
        return -(0.5 * e.square() + log_sd).sum(-1) - 0.5 * self.dim * LOG_2PI

    def entropy(self, phi: Tensor) -> Tensor:
        """H(q), nats (...)."""
        return phi[..., self.dim :].sum(-1) + 0.5 * self.dim * (1.0 + LOG_2PI)


class States(NamedTuple):
    """One of K states, told as a one-hot z: phi (..., K - 1) are the log odds against the first."""

    count: int = 2

    @property
    def dim(self) -> int:
        """z has a number for every state, and so has its noise."""
        return self.count

    @property
    def names(self) -> tuple[str, ...]:
        return ("logit",) if self.count == 2 else tuple(f"logit {k}" for k in range(2, self.count + 1))

    def sample(self, phi: Tensor, noise: Tensor) -> Tensor:
        """By the largest of log odds plus Gumbel noise: it jumps, and has no derivative in phi."""
        return one_hot(self._raised(phi, noise).argmax(-1), self.count).to(noise)

    def relaxed(self, phi: Tensor, noise: Tensor, temperature: float) -> Tensor:
        """Between the states: a softmax in place of the largest; at temperature 0 it is `sample`."""
        return torch.softmax(self._raised(phi, noise) / temperature, -1)

    def log_prob(self, phi: Tensor, z: Tensor) -> Tensor:
        return (z * torch.log_softmax(_logits(phi), -1).unsqueeze(-2)).sum(-1)

    def probabilities(self, phi: Tensor) -> Tensor:
        """Of the states (..., K)."""
        return torch.softmax(_logits(phi), -1)

    def _raised(self, phi: Tensor, noise: Tensor) -> Tensor:
        gumbel = -torch.log(-torch.special.log_ndtr(noise))
        return _logits(phi).unsqueeze(-2) + gumbel


def _logits(phi: Tensor) -> Tensor:
    return torch.cat([torch.zeros_like(phi[..., :1]), phi], -1)
