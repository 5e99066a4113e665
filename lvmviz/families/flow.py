"""A flow on the line as q: a Gaussian bent by a closed-form map."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from scipy import special
from torch import Tensor

from lvmviz.core import choice
from lvmviz.families.base import LOG_2PI, Line


@choice
class SinhArcsinh(Line):
    """A flow, z = loc + scale sinh((asinh e + skew) / tail): phi = (loc, log scale, skew, log tail).

    e is standard normal; skew 0 and tail 1 give a Gaussian, tail < 1 heavier tails. Its inverse is
    e = sinh(tail asinh((z - loc) / scale) - skew) (Jones and Pewsey, 2009, "Sinh-arcsinh distributions").
    """

    title = "Flow (sinh-arcsinh)"
    affine: ClassVar[bool] = True

    @property
    def names(self) -> tuple[str, ...]:
        return ("loc", "log scale", "skew", "log tail")

    def at(self, loc: Tensor, scale: Tensor) -> Tensor:
        return torch.stack([loc, scale.log(), torch.zeros_like(loc), torch.zeros_like(loc)], -1)

    def sample(self, phi: Tensor, noise: Tensor) -> Tensor:
        loc, scale, skew, tail = (part[..., None] for part in _flow(phi))
        return loc + scale * torch.sinh((torch.asinh(noise) + skew) / tail)

    def inverse(self, phi: Tensor, z: Tensor) -> Tensor:
        """The noise (..., S, 1) that `sample` carries to z (..., S, 1)."""
        loc, scale, skew, tail = (part[..., None] for part in _flow(phi))
        return torch.sinh(tail * torch.asinh((z - loc) / scale) - skew)

    def log_prob(self, phi: Tensor, z: Tensor) -> Tensor:
        loc, scale, skew, tail = _flow(phi)
        x = (z[..., 0] - loc) / scale
        angle = tail * torch.asinh(x) - skew
        log_cosh = angle.abs() + torch.log1p(torch.exp(-2 * angle.abs())) - math.log(2.0)
        log_slope = log_cosh + phi[..., 3:4] - phi[..., 1:2] - torch.hypot(x, torch.ones_like(x)).log()
        return -0.5 * torch.sinh(angle) ** 2 - 0.5 * LOG_2PI + log_slope

    def mean_sd(self, phi: Tensor) -> tuple[Tensor, Tensor]:
        """By the Bessel functions of Jones and Pewsey's section 2.2; no gradient."""
        loc, scale, skew, tail = (part[..., 0] for part in _flow(phi.detach()))
        first = torch.sinh(skew / tail) * _bessel(1 / tail)
        second = 0.5 * (torch.cosh(2 * skew / tail) * _bessel(2 / tail) - 1.0)
        return loc + scale * first, scale * (second - first**2).sqrt()


def _flow(phi: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """loc, scale, skew and tail, each (..., 1)."""
    return phi[..., 0:1], phi[..., 1:2].exp(), phi[..., 2:3], phi[..., 3:4].exp()


def _bessel(power: Tensor) -> Tensor:
    """E cosh(power asinh e) for standard normal e."""
    order = power.double().cpu().numpy()
    value = special.kv((order + 1) / 2, 0.25) + special.kv((order - 1) / 2, 0.25)
    return torch.as_tensor(math.exp(0.25) / math.sqrt(8 * math.pi) * value).to(power)
