"""Families of q: densities with parameters that can be drawn from, evaluated and differentiated."""

from __future__ import annotations

import abc
import math
from typing import ClassVar

import torch
from scipy import special
from torch import Tensor

from lvmviz.core import Choice, choice, knob

LOG_2PI = math.log(2.0 * math.pi)
SPREAD = (-8.5, -6.0, -4.0, -2.5, -1.5, -0.7, 0.0, 0.7, 1.5, 2.5, 4.0, 6.0, 8.5)  # noise that covers a normal


class Family(Choice):
    """A family q(z; phi) with phi = (..., P) unconstrained numbers; leading dimensions are a batch of q's.

    In one dimension `sample` grows with its noise, so it carries quantiles to quantiles.
    """

    dim: ClassVar[int]
    affine: ClassVar[bool] = False  # whether another phi (loc and scale only) is the same curve, shifted and stretched

    @property
    @abc.abstractmethod
    def names(self) -> tuple[str, ...]:
        """(P,) what each number of phi is, such as "mean" or "log sd"."""

    @abc.abstractmethod
    def at(self, loc: Tensor, scale: Tensor) -> Tensor:
        """phi (..., P) of a q near these means and standard deviations (...,): where a fit starts."""

    @abc.abstractmethod
    def log_prob(self, phi: Tensor, z: Tensor) -> Tensor:
        """log q(z; phi), shape (..., S), nats, for phi (..., P) and z (..., S, dim)."""

    @abc.abstractmethod
    def sample(self, phi: Tensor, noise: Tensor) -> Tensor:
        """z (..., S, dim) = g(noise; phi), differentiable in phi, from standard normal noise (..., S, dim).

        A family with a discrete choice inside (a mixture) says how it stays differentiable.
        """

    def mean_sd(self, phi: Tensor) -> tuple[Tensor, Tensor] | None:
        """The means and standard deviations (...,) where they have a closed form: nan undefined, inf infinite."""
        return None

    def entropy(self, phi: Tensor) -> Tensor | None:
        """H(q), shape (...,), nats, where it has a closed form."""
        return None


class Line(Family):
    """A family in one dimension."""

    dim: ClassVar[int] = 1

    def quantile(self, phi: Tensor, share: Tensor) -> Tensor:
        """z (..., S) below which q has the shares (..., S) of its mass."""
        return self.sample(phi, torch.special.ndtri(share)[..., None])[..., 0]

    def spread(self, phi: Tensor) -> Tensor:
        """Places (..., J) between which q is smooth and beyond which it has next to no mass: quadrature's panels."""
        noise = phi.new_tensor(SPREAD).expand(*phi.shape[:-1], -1)
        return self.sample(phi, noise[..., None])[..., 0]


class LocationScale(Line):
    """z = loc + scale e with e of a fixed density: phi = (loc, log scale)."""

    affine: ClassVar[bool] = True
    sd: ClassVar[float]  # of e

    @abc.abstractmethod
    def standard(self, e: Tensor) -> Tensor:
        """log density of e, nats, elementwise."""

    @abc.abstractmethod
    def draw(self, noise: Tensor) -> Tensor:
        """e from standard normal noise, elementwise and growing with it."""

    @property
    def names(self) -> tuple[str, ...]:
        return ("loc", "log scale")

    def at(self, loc: Tensor, scale: Tensor) -> Tensor:
        return torch.stack([loc, scale.log()], -1)

    def log_prob(self, phi: Tensor, z: Tensor) -> Tensor:
        loc, log_scale = phi[..., 0:1], phi[..., 1:2]
        return self.standard((z[..., 0] - loc) * torch.exp(-log_scale)) - log_scale

    def sample(self, phi: Tensor, noise: Tensor) -> Tensor:
        return phi[..., 0:1, None] + torch.exp(phi[..., 1:2, None]) * self.draw(noise)


@choice
class Gaussian(LocationScale):
    """N(mean, sd^2): phi = (mean, log sd)."""

    @property
    def names(self) -> tuple[str, ...]:
        return ("mean", "log sd")

    def standard(self, e: Tensor) -> Tensor:
        return -0.5 * e**2 - 0.5 * LOG_2PI

    def draw(self, noise: Tensor) -> Tensor:
        return noise

    def mean_sd(self, phi: Tensor) -> tuple[Tensor, Tensor]:
        return phi[..., 0], phi[..., 1].exp()

    def entropy(self, phi: Tensor) -> Tensor:
        return phi[..., 1] + 0.5 * (1.0 + LOG_2PI)


@choice
class StudentQ(LocationScale):
    """loc + scale t, t of Student's density with df degrees of freedom: phi = (loc, log scale).

    The degrees of freedom are a setting, not a parameter, so its quantile is a constant to autograd.
    """

    title = "Student"
    df: float = knob(4.0, 1.0, 30.0, "Degrees of freedom: the fewer, the heavier q's tails.", label="Freedom")

    def at(self, loc: Tensor, scale: Tensor) -> Tensor:
        shrink = math.sqrt((self.df - 2) / self.df) if self.df > 2 else 1.0  # with df <= 2 there is no sd to meet
        return torch.stack([loc, scale.log() + math.log(shrink)], -1)

    def standard(self, e: Tensor) -> Tensor:
        constant = math.lgamma((self.df + 1) / 2) - math.lgamma(self.df / 2) - 0.5 * math.log(self.df * math.pi)
        return constant - (self.df + 1) * torch.hypot(e / math.sqrt(self.df), torch.ones_like(e)).log()

    def draw(self, noise: Tensor) -> Tensor:
        lower = special.stdtrit(self.df, special.ndtr(-noise.detach().abs().double().cpu().numpy()))
        return -torch.sign(noise) * torch.as_tensor(lower).to(noise)

    def mean_sd(self, phi: Tensor) -> tuple[Tensor, Tensor]:
        mean = phi[..., 0] if self.df > 1 else torch.full_like(phi[..., 0], math.nan)
        stretch = math.sqrt(self.df / (self.df - 2)) if self.df > 2 else math.inf if self.df > 1 else math.nan
        return mean, phi[..., 1].exp() * stretch

    def entropy(self, phi: Tensor) -> Tensor:
        above, half = (self.df + 1) / 2, self.df / 2
        spread = above * (special.digamma(above) - special.digamma(half))
        return phi[..., 1] + float(spread + 0.5 * math.log(self.df) + special.betaln(half, 0.5))


@choice
class LaplaceQ(LocationScale):
    """The density exp(-|z - loc| / scale) / (2 scale): phi = (loc, log scale)."""

    title = "Laplace"

    def at(self, loc: Tensor, scale: Tensor) -> Tensor:
        return torch.stack([loc, scale.log() - 0.5 * math.log(2.0)], -1)

    def standard(self, e: Tensor) -> Tensor:
        return -e.abs() - math.log(2.0)

    def draw(self, noise: Tensor) -> Tensor:
        return -torch.sign(noise) * (math.log(2.0) + torch.special.log_ndtr(-noise.abs()))

    def mean_sd(self, phi: Tensor) -> tuple[Tensor, Tensor]:
        return phi[..., 0], math.sqrt(2.0) * phi[..., 1].exp()

    def entropy(self, phi: Tensor) -> Tensor:
        return phi[..., 1] + 1.0 + math.log(2.0)


@choice
class MixtureOf2(Line):
    """w N(mean 1, sd 1^2) + (1 - w) N(mean 2, sd 2^2): phi = (logit w, means, log sds).

    `sample` inverts the mixture's distribution function at Phi(noise) and differentiates it by implicit
    reparameterization, dz = -dF(z; phi) / q(z), so it is smooth in all five (Figurnov, Mohamed and Mnih, 2018).
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
        """log of q's mass below z (..., S) where side is 1, above it where side is -1: exact in either tail."""
        e, _ = _standardized(phi, z)
        return torch.logsumexp(_log_weights(phi) + torch.special.log_ndtr(side[..., None] * e), -1)

    def sample(self, phi: Tensor, noise: Tensor) -> Tensor:
        side = torch.where(noise[..., 0] > 0, -1.0, 1.0).to(noise)
        aim = torch.special.log_ndtr(-noise[..., 0].abs())
        with torch.no_grad():
            root = self._root(phi, noise[..., 0], side, aim)
        return self._newton(phi, root, side, aim)[..., None]  # moves nothing any more, but carries the gradient

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
