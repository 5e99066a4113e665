"""The q(z | x) that an encoder tells: a Gaussian for every datum, with or without correlations."""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import torch
from torch import Tensor

LOG_2PI = math.log(2.0 * math.pi)
POSTERIORS = ("mean-field", "full")


class Q(NamedTuple):
    """q(z | x_n) = N(means_n, L_n L_n') for n data."""

    means: Tensor  # (n, d)
    log_sds: Tensor  # (n, d) logs of L's diagonal
    below: Tensor | None  # (n, d, d) L below its diagonal, 0 elsewhere; None where q is mean-field

    def rows(self, at: slice | Tensor) -> Q:
        """The q's of some of the data."""
        return Q(self.means[at], self.log_sds[at], None if self.below is None else self.below[at])

    def scale_tril(self) -> Tensor:
        """L (n, d, d)."""
        diagonal = torch.diag_embed(self.log_sds.exp())
        return diagonal if self.below is None else diagonal + self.below

    def sds(self) -> Tensor:
        """The standard deviation of every coordinate, (n, d)."""
        return self.scale_tril().square().sum(-1).sqrt()

    def sample(self, noise: Tensor) -> Tensor:
        """z (S, n, d) = mean + L noise, for standard normal noise (S, n, d)."""
        z = self.means + self.log_sds.exp() * noise
        return z if self.below is None else z + (self.below @ noise.unsqueeze(-1)).squeeze(-1)

    def log_prob(self, z: Tensor) -> Tensor:
        """The log density (n, m), nats, at the points z (m, d)."""
        away = (z.unsqueeze(0) - self.means.unsqueeze(1)).mT  # (n, d, m)
        white = torch.linalg.solve_triangular(self.scale_tril(), away, upper=False)
        return -0.5 * white.square().sum(-2) - (self.log_sds + 0.5 * LOG_2PI).sum(-1, keepdim=True)

    def kl(self) -> Tensor:
        """KL(q || N(0, I)) by coordinates (n, d), nats; their sum is the KL.

        Coordinate i has E KL(q(z_i | z_1..i-1) || N(0, 1)), which is never negative (the chain rule).
        """
        square = (2.0 * self.log_sds).exp()
        if self.below is not None:
            square = square + self.below.square().sum(-1)
        return 0.5 * (self.means.square() + square - 1.0) - self.log_sds

    def sampled_kl(self, z: Tensor, noise: Tensor) -> Tensor:
        """log q - log p at draws z (S, n, d) of this noise, by coordinates as in `kl`; its mean is `kl`."""
        return 0.5 * (z.square() - noise.square()) - self.log_sds


def q_size(latent: int, posterior: str) -> int:
    """How many numbers tell one q."""
    return 2 * latent + (latent * (latent - 1) // 2 if posterior == "full" else 0)


def q_of(told: Tensor, latent: int, posterior: str) -> Q:
    """The q's that n encoder outputs (n, q_size) tell: means, logs of L's diagonal, L's rows below it."""
    means, log_sds = told[:, :latent], told[:, latent : 2 * latent]
    if posterior == "mean-field" or latent == 1:
        return Q(means, log_sds, None)
    places = _below(latent).to(told.device)
    flat = told.new_zeros(len(told), latent * latent).index_copy(1, places, told[:, 2 * latent :])
    return Q(means, log_sds, flat.view(-1, latent, latent))


@functools.cache
def _below(latent: int) -> Tensor:
    rows, columns = torch.tril_indices(latent, latent, -1, device="cpu")
    return rows * latent + columns
