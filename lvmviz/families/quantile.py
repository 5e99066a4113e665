"""The quantiles of mixtures of Gaussians on the line, differentiable in all that makes them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lvmviz.families.base import LOG_2PI

STEPS = 200  # a bracket is halved to nothing long before


class Parts(NamedTuple):
    """Mixtures on the line; every field broadcasts to (..., M) with M parts."""

    log_weights: Tensor  # log of each part's share, nats
    means: Tensor
    log_sds: Tensor

    def log_prob(self, z: Tensor) -> Tensor:
        """The log density (...), nats, at z (...)."""
        e = self.standardized(z)
        return torch.logsumexp(self.log_weights - 0.5 * e**2 - self.log_sds - 0.5 * LOG_2PI, -1)

    def log_tail(self, z: Tensor, side: Tensor) -> Tensor:
        """log of the mass below z (...) where side is 1, above where it is -1: exact in either tail."""
        e = self.standardized(z)
        return torch.logsumexp(self.log_weights + torch.special.log_ndtr(side[..., None] * e), -1)

    def standardized(self, z: Tensor) -> Tensor:
        """z (...) in every part's own coordinate, (..., M)."""
        return (z[..., None] - self.means) * torch.exp(-self.log_sds)


def quantile(parts: Parts, noise: Tensor) -> Tensor:
    """z (...) with Phi(noise) of the mixture's mass below it, for noise (...).

    Differentiable by implicit reparameterization, dz = -dF(z) / density(z), so it is smooth in every part
    (Figurnov, Mohamed and Mnih, 2018). Its first derivatives are exact, later ones are not.
    """
    side = torch.where(noise > 0, -1.0, 1.0).to(noise)
    aim = torch.special.log_ndtr(side * noise)
    with torch.no_grad():
        root = _root(parts, noise, side, aim)
    return root - _step(parts, root, side, aim)[0]  # moves nothing any more, but carries the gradient


def _step(parts: Parts, z: Tensor, side: Tensor, aim: Tensor) -> tuple[Tensor, Tensor]:
    """Newton's step back from z (...), and whether z is above the root."""
    tail = parts.log_tail(z, side)
    excess = side * (tail - aim)
    return excess / torch.exp(parts.log_prob(z) - tail).detach(), excess > 0


def _root(parts: Parts, noise: Tensor, side: Tensor, aim: Tensor) -> Tensor:
    """z (...) whose tail is the aim: Newton, and bisection where Newton leaves the bracket.

    What has arrived stays there: a last step, all rounding, may point out of the bracket.
    """
    ends = parts.means + parts.log_sds.exp() * noise[..., None]
    low, high = ends.amin(-1), ends.amax(-1)  # a mixture's quantile lies between its parts'
    z = 0.5 * (low + high)
    for _ in range(STEPS):
        step, above = _step(parts, z, side, aim)
        low, high = torch.where(above, low, z), torch.where(above, z, high)
        enough = 4 * torch.finfo(z.dtype).eps * (1 + z.abs())
        there = (step.abs() <= enough) | (high - low <= enough)
        if bool(there.all()):
            break
        new = torch.where((z - step >= low) & (z - step <= high), z - step, 0.5 * (low + high))
        z = torch.where(there, z, new)
    return z
