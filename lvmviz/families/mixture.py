"""A mixture of two Gaussians as q, differentiable in all its parameters."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lvmviz.core import choice
from lvmviz.families.base import LOG_2PI, SPREAD, Line


@choice
class MixtureOf2(Line):
    """Two Gaussians, w N(mean 1, sd 1^2) + (1 - w) N(mean 2, sd 2^2): phi = (logit w, means, log sds).

    `sample` inverts the mixture's distribution function at Phi(noise) and differentiates it by implicit
    reparameterization, dz = -dF(z; phi) / q(z), so it is smooth in all five (Figurnov, Mohamed and Mnih,
    2018).
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
        e, log_sd = _standardized(phi, z[..., 0])
        return torch.logsumexp(_log_weights(phi) - 0.5 * e**2 - log_sd - 0.5 * LOG_2PI, -1)

    def log_tail(self, phi: Tensor, z: Tensor, side: Tensor) -> Tensor:
        """log of q's mass below z (..., S) where side is 1, above where it is -1: exact in either tail."""
        e, _ = _standardized(phi, z)
        return torch.logsumexp(_log_weights(phi) + torch.special.log_ndtr(side[..., None] * e), -1)

    def sample(self, phi: Tensor, noise: Tensor) -> Tensor:
        side = torch.where(noise[..., 0] > 0, -1.0, 1.0).to(noise)
        aim = torch.special.log_ndtr(-noise[..., 0].abs())
        with torch.no_grad():
            root = self._root(phi, noise[..., 0], side, aim)
        return self._newton(phi, root, side, aim)[
            ..., None
        ]  # moves nothing any more, but carries the gradient

    def _newton(self, phi: Tensor, z: Tensor, side: Tensor, aim: Tensor) -> Tensor:
        tail = self.log_tail(phi, z, side)
        slope = torch.exp(self.log_prob(phi, z[..., None]) - tail).detach()
        return z - side * (tail - aim) / slope

    def _root(self, phi: Tensor, noise: Tensor, side: Tensor, aim: Tensor) -> Tensor:
        """z (..., S) whose tail is the aim: Newton, and bisection where Newton leaves the bracket."""
        ends = phi[..., None, 1:3] + phi[..., None, 3:5].exp() * noise[..., None]
        low, high = ends.amin(-1), ends.amax(-1)  # a mixture's quantile lies between its parts'
        z = 0.5 * (low + high)
        for _ in range(200):
            above = side * (self.log_tail(phi, z, side) - aim) > 0
            low, high = torch.where(above, low, z), torch.where(above, z, high)
            step = self._newton(phi, z, side, aim)
            new = torch.where((step >= low) & (step <= high), step, 0.5 * (low + high))
            moved, z = (new - z).abs(), new
            if bool((moved <= 4 * torch.finfo(z.dtype).eps * (1 + z.abs())).all()):
                break
        return z

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


def _standardized(phi: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    """(..., S, 2) z (..., S) in either part's own coordinate, and (..., 1, 2) the parts' log sds."""
    means, log_sd = phi[..., None, 1:3], phi[..., None, 3:5]
    return (z[..., None] - means) * torch.exp(-log_sd), log_sd
