"""A latent variable model with the prior N(0, I): its bound by quadrature, its evidence by draws.

float64 on the CPU, nats.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lvmviz.amortized import LOG_2PI, Q
from lvmviz.core import Key, generator

TOLERANCE = 1e-6  # nats: two rules that differ by less agree
MEMORY = 2**22  # numbers in a table of natural parameters
HERMITE = (6, 9, 14, 21, 32, 48)  # nodes along a side, until two of these agree


class LatentModel(NamedTuple):
    """A model p(x | z) p(z) with z ~ N(0, I): log p(x | z) = x . eta(z) - a(z) + base(x)."""

    natural: Callable[[Tensor], tuple[Tensor, Tensor]]  # z (m, d) float64 -> eta (m, D), a (m,)
    base: Callable[[Tensor], Tensor]  # x (n, D) -> (n,)

    def log_joint(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x_n, z_nm), nats (n, m), for each datum's own z (n, m, d)."""
        eta, a = self.natural(z.flatten(0, 1))
        likelihood = (eta.view(*z.shape[:2], -1) @ x.unsqueeze(-1)).squeeze(-1) - a.view(z.shape[:2])
        return likelihood + self.base(x).unsqueeze(-1) + log_prior(z)

    def log_joint_at(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x_n, z_m), nats (n, m), for all data at the same z (m, d)."""
        eta, a = self.natural(z)
        return x @ eta.T - a + self.base(x).unsqueeze(-1) + log_prior(z)


def log_prior(z: Tensor) -> Tensor:
    """log N(z | 0, I), nats (...), for z (..., d)."""
    return -0.5 * z.square().sum(-1) - 0.5 * z.shape[-1] * LOG_2PI


def chunks(count: int, size: int) -> Iterator[slice]:
    """So many at once."""
    return (slice(start, start + size) for start in range(0, count, size))


# ---- rules of their own: Gauss-Hermite for the bound, importance weights where no lattice reaches ----


def elbo(model: LatentModel, x: Tensor, q: Q, tolerance: float = TOLERANCE) -> tuple[Tensor, Tensor]:
    """E_q[log p(x, z) - log q(z)], nats (n,), and how far the last two rules differ."""
    entropy = q.log_sds.sum(-1) + 0.5 * q.means.shape[1] * (1.0 + LOG_2PI)
    value = torch.full((len(x),), torch.nan, dtype=torch.float64)
    error = torch.full_like(value, torch.inf)
    for side in HERMITE:
        (rows,) = (~(error <= tolerance)).nonzero(as_tuple=True)
        if not len(rows):
            break
        told = _expected(model, x[rows], q.rows(rows), side) + entropy[rows]
        error[rows] = (told - value[rows]).abs().nan_to_num(torch.inf)
        value[rows] = told
    return value, error


def _expected(model: LatentModel, x: Tensor, q: Q, side: int) -> Tensor:
    """E_q[log p(x, z)] by side^d Gauss-Hermite nodes."""
    points, weights = hermite(side, q.means.shape[1])
    parts = []
    for at in chunks(len(x), max(MEMORY // (len(points) * x.shape[1]), 1)):
        some = q.rows(at)
        z = some.means.unsqueeze(1) + points @ some.scale_tril().mT
        parts.append(model.log_joint(x[at], z) @ weights)
    return torch.cat(parts)


@functools.cache
def hermite(side: int, dim: int) -> tuple[Tensor, Tensor]:
    """Nodes (side^d, d) and weights that average over N(0, I)."""
    nodes, weights = (torch.from_numpy(part) for part in np.polynomial.hermite_e.hermegauss(side))
    grid = torch.cartesian_prod(*[nodes] * dim).view(-1, dim)
    product = torch.cartesian_prod(*[weights / weights.sum()] * dim).view(-1, dim).prod(-1)
    return grid, product


class Estimate(NamedTuple):
    """log p(x) from draws: not exact, and too low on average."""

    log_evidence: Tensor  # (n,) nats
    standard_error: Tensor  # (n,) nats, of the mean of the weights, as far as the draws tell
    draws: int
    key: Key


def estimate(model: LatentModel, x: Tensor, q: Q, draws: int, key: Key) -> Estimate:
    """log of the mean of p(x, z) / q(z) over draws of q (Burda, Grosse and Salakhutdinov, 2016).

    For decoders with kinks and for more than two latents.
    """
    source, latent = generator(key), q.means.shape[1]
    values, errors = [], []
    for at in chunks(len(x), max(MEMORY // (draws * x.shape[1]), 1)):
        some = q.rows(at)
        shape = draws, len(some.means), latent
        noise = torch.randn(shape, generator=source, dtype=torch.float64, device="cpu")
        z = some.sample(noise)
        log_q = -0.5 * noise.square().sum(-1) - some.log_sds.sum(-1) - 0.5 * latent * LOG_2PI
        log_weight = model.log_joint(x[at], z.transpose(0, 1)).mT - log_q
        values.append(torch.logsumexp(log_weight, 0) - math.log(draws))
        share = (log_weight - values[-1]).exp()  # of mean one
        errors.append(share.std(0) / math.sqrt(draws))
    return Estimate(torch.cat(values), torch.cat(errors), draws, key)


# ---- the explicit sigmoid decoder of note 001 ----


def sigmoid_decoder(a: Tensor, b: Tensor, c: Tensor, d: Tensor, noise: float = 1.0) -> LatentModel:
    """p(x | z) = N(s(A z + c), diag noise^2 exp s(B z + d)), s the logistic sigmoid (note 001: noise 1).

    A, B (D, latent), c, d (D,). Its x are those of `with_squares`: as the variance depends on z, log p(x | z)
    is linear in x and x^2.
    """

    def natural(z: Tensor) -> tuple[Tensor, Tensor]:
        mean = torch.sigmoid(z @ a.T + c)
        log_variance = torch.sigmoid(z @ b.T + d) + 2.0 * math.log(noise)
        precision = torch.exp(-log_variance)
        eta = torch.cat([mean * precision, -0.5 * precision], -1)
        return eta, 0.5 * (mean.square() * precision + log_variance + LOG_2PI).sum(-1)

    return LatentModel(natural, lambda x: torch.zeros_like(x[..., 0]))


def with_squares(x: Tensor) -> Tensor:
    """x (n, D) and its squares, (n, 2 D)."""
    return torch.cat([x, x.square()], -1)
