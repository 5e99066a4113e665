"""A mixture of two Gaussians as q, differentiable in all its parameters."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lvmviz.core import choice
from lvmviz.families.base import SPREAD, Line
from lvmviz.families.quantile import Parts, quantile


@choice
class MixtureOf2(Line):
    """Two Gaussians, w N(mean 1, sd 1^2) + (1 - w) N(mean 2, sd 2^2): phi = (logit w, means, log sds).

    `sample` inverts the mixture's distribution function at Phi(noise), and is smooth in all five by implicit
    reparameterization (Figurnov, Mohamed and Mnih, 2018).
    """

    title = "Mixture of two"

    @property
    def names(self) -> tuple[str, ...]:
        return ("logit weight", "mean 1", "mean 2", "log sd 1", "log sd 2")

    def at(self, loc: Tensor, scale: Tensor) -> Tensor:
        """Means .6 sd either side, so that the two parts can part: a symmetric start never would."""
        log_sd = scale.log() + math.log(0.8)
        return torch.stack([torch.zeros_like(loc), loc - 0.6 * scale, loc + 0.6 * scale, log_sd, log_sd], -1)

    def log_prob(self, phi: Tensor, z: Tensor) -> Tensor:
        return _parts(phi).log_prob(z[..., 0])

    def sample(self, phi: Tensor, noise: Tensor) -> Tensor:
        return quantile(_parts(phi), noise[..., 0])[..., None]

    def spread(self, phi: Tensor) -> Tensor:
        noise = phi.new_tensor(SPREAD)
        parts = phi[..., 1:3, None] + phi[..., 3:5, None].exp() * noise
        return parts.flatten(-2)

    def mean_sd(self, phi: Tensor) -> tuple[Tensor, Tensor]:
        weights, means = _log_weights(phi)[..., 0, :].exp(), phi[..., 1:3]
        mean = (weights * means).sum(-1)
        variance = (weights * ((2 * phi[..., 3:5]).exp() + (means - mean[..., None]) ** 2)).sum(-1)
        return mean, variance.sqrt()


def _log_weights(phi: Tensor) -> Tensor:
    """(..., 1, 2) log w and log (1 - w)."""
    return torch.nn.functional.logsigmoid(torch.stack([phi[..., 0:1], -phi[..., 0:1]], -1))


def _parts(phi: Tensor) -> Parts:
    """The mixtures (..., 1, 2): one for all of a batch member's z."""
    return Parts(_log_weights(phi), phi[..., None, 1:3], phi[..., None, 3:5])
