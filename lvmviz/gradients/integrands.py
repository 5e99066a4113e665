"""What is averaged over q: f in E_q[f(z)], each with the expectation and so its gradient in closed form."""

from __future__ import annotations

import abc
import functools
from typing import ClassVar

import torch
from torch import Tensor

from lvmviz.core import Choice, choice, knob
from lvmviz.families import Gaussian, Line, MixtureOf2
from lvmviz.gradients.products import Gaussians, States
from lvmviz.gradients.rows import Function, Samplable, elbo_terms
from lvmviz.objectives import ReverseKL
from lvmviz.quadrature import log_evidence
from lvmviz.targets import LOG_2PI, Laplace, Skewed, Target

Q = Gaussians | States | Line


class Integrand(Choice):
    """A function f(z), or f(z; phi) as in the ELBO, whose expectation over q is to climb in phi."""

    smooth: ClassVar[bool] = True  # has a derivative in z that tells how it changes
    discrete: ClassVar[bool] = False  # z is one of K states
    of_q: ClassVar[bool] = False  # an ELBO: it has - log q(z; phi) in it
    most: ClassVar[int] = 100  # dimensions it can have

    @abc.abstractmethod
    def f(self, q: Samplable) -> Function:
        """f(phi, z), (..., S), for z (..., S, dim)."""

    @abc.abstractmethod
    def expectation(self, q: Q, phi: Tensor) -> Tensor:
        """E_q[f] (...), exact and differentiable in phi (..., P)."""

    def share(self, dim: int) -> Integrand:
        """One coordinate's part of it where z has `dim`, as a function on the line."""
        return self

    def bend(self) -> float | None:
        """Where on the line f, or its slope, jumps; None where it is smooth."""
        return None

    def q(self, dim: int = 1) -> Q:
        """The q it is usually averaged over."""
        if dim > self.most:
            raise ValueError(f"{self.name()} has at most {self.most} dimensions, not {dim}: choose fewer")
        return Gaussians(dim)


class Coordinatewise(Integrand):
    """A sum over coordinates, whose mean under a Gaussian is known."""

    @abc.abstractmethod
    def of_z(self, z: Tensor) -> Tensor:
        """One coordinate's part of f at z, elementwise."""

    @abc.abstractmethod
    def mean(self, mean: Tensor, sd: Tensor) -> Tensor:
        """Its expectation under N(mean, sd^2), elementwise."""

    def f(self, q: Samplable) -> Function:
        if not self.of_q:
            return lambda phi, z: self.of_z(z).sum(-1)
        return lambda phi, z: self.of_z(z).sum(-1) - q.log_prob(phi, z)

    def expectation(self, q: Q, phi: Tensor) -> Tensor:
        if isinstance(q, MixtureOf2) and not self.of_q:
            log_w = torch.nn.functional.logsigmoid(torch.stack([phi[..., 0], -phi[..., 0]], -1))
            return (log_w.exp() * self.mean(phi[..., 1:3], phi[..., 3:5].exp())).sum(-1)
        if not isinstance(q, (Gaussians, Gaussian)):
            raise ValueError(f"{self.name()} has no closed form under this q: choose a Gaussian")
        mean, log_sd = phi.split(phi.shape[-1] // 2, -1)
        total = self.mean(mean, log_sd.exp()).sum(-1)
        return total + (log_sd + 0.5 * (1.0 + LOG_2PI)).sum(-1) if self.of_q else total


@choice
class Square(Coordinatewise):
    """The square f = z^2, summed over coordinates: the gradients' variances have closed forms."""

    title = "Square"

    def of_z(self, z: Tensor) -> Tensor:
        return z.square()

    def mean(self, mean: Tensor, sd: Tensor) -> Tensor:
        return mean.square() + sd.square()


@choice
class StepUp(Coordinatewise):
    """A jump from 0 to 1: the derivative of f is 0 wherever it has one, and only the score sees the jump."""

    title = "Step"
    smooth: ClassVar[bool] = False
    threshold: float = knob(0.0, -5.0, 5.0, "Where it jumps.")

    def bend(self) -> float:
        return self.threshold

    def of_z(self, z: Tensor) -> Tensor:
        return (z > self.threshold).to(z)

    def mean(self, mean: Tensor, sd: Tensor) -> Tensor:
        return torch.special.ndtr((mean - self.threshold) / sd)


@choice
class Wiggly(Coordinatewise):
    """The ELBO of log p = -z^2 / 2 + height sin(frequency z): steep everywhere, flat on average."""

    title = "ELBO, wiggly"
    of_q: ClassVar[bool] = True
    height: float = knob(2.0, 0.0, 10.0, "How high the waves are.")
    frequency: float = knob(20.0, 0.0, 100.0, "How many of them: the steeper, the noisier.")

    def of_z(self, z: Tensor) -> Tensor:
        return -0.5 * z.square() + self.height * torch.sin(self.frequency * z)

    def mean(self, mean: Tensor, sd: Tensor) -> Tensor:
        fade = torch.exp(-0.5 * (self.frequency * sd).square())
        square = -0.5 * (mean.square() + sd.square())
        return square + self.height * fade * torch.sin(self.frequency * mean)


@choice
class NormalELBO(Coordinatewise):
    """The ELBO of p(x, z) = p(x) N(z | 0, I): q at mean 0 and sd 1 is the posterior."""

    title = "ELBO, standard normal"
    of_q: ClassVar[bool] = True
    log_evidence: float = knob(0.0, -100.0, 100.0, "log p(x): it shifts f and says nothing about phi.",
                               label="log p(x)")  # fmt: skip

    def of_z(self, z: Tensor) -> Tensor:
        return -0.5 * z.square() - 0.5 * LOG_2PI + self.log_evidence / z.shape[-1]

    def mean(self, mean: Tensor, sd: Tensor) -> Tensor:
        shift = self.log_evidence / mean.shape[-1]
        return -0.5 * (mean.square() + sd.square()) - 0.5 * LOG_2PI + shift

    def share(self, dim: int) -> Integrand:
        return NormalELBO(log_evidence=self.log_evidence / dim)


@choice
class TargetELBO(Integrand):
    """The ELBO of page 2: f = log p(x, z) - log q(z; phi) for any posterior on the line."""

    title = "ELBO, one dimension"
    of_q: ClassVar[bool] = True
    most: ClassVar[int] = 1
    target: Target = knob(Skewed(), help="The posterior.", label="Posterior")
    normalized: bool = knob(False, help="Take p(z|x) in place of p(x, z): that shifts f by log p(x) and says "
                            "nothing about phi.", label="p(z|x) for p(x,z)")  # fmt: skip

    def f(self, q: Samplable) -> Function:
        terms, shift = elbo_terms(self.target, q), self._shift()
        return lambda phi, z: terms(phi, z) - shift

    def expectation(self, q: Q, phi: Tensor) -> Tensor:
        if self.target.dim != 1:
            raise ValueError(f"{self.target.name()} has {self.target.dim} dimensions: choose one with one")
        family = Gaussian() if isinstance(q, Gaussians) else q
        if not isinstance(family, Line):
            raise ValueError(f"{self.name()} needs a q on the line")
        flat = phi.reshape(-1, phi.shape[-1])
        return ReverseKL().careful(self.target, family, flat).view(phi.shape[:-1]) - self._shift()

    def bend(self) -> float | None:
        return 0.0 if isinstance(self.target, Laplace) else None

    def _shift(self) -> float:
        return _log_evidence(self.target) if self.normalized else 0.0


@choice
class StateSquare(Integrand):
    """One of K states at places from 0 to 1, and f is its squared distance to a point between them."""

    title = "One of K states"
    discrete: ClassVar[bool] = True
    most: ClassVar[int] = 1
    states: int = knob(2, 2, 10, "How many states.", label="States K")
    point: float = knob(0.45, 0.0, 1.0, "The point: at .45 the two states are nearly as good.")

    def f(self, q: Samplable) -> Function:
        return lambda phi, z: ((z * self._places()).sum(-1) - self.point).square()

    def expectation(self, q: Q, phi: Tensor) -> Tensor:
        if not isinstance(q, States) or q.count != self.states:
            raise ValueError(f"{self.name()} needs a q over {self.states} states")
        return (q.probabilities(phi) * (self._places() - self.point).square()).sum(-1)

    def q(self, dim: int = 1) -> Q:
        return States(self.states)

    def _places(self) -> Tensor:
        return torch.linspace(0.0, 1.0, self.states, dtype=torch.float64, device="cpu")


@functools.lru_cache(maxsize=64)
def _log_evidence(target: Target) -> float:
    return float(log_evidence(target))


def gradient(integrand: Integrand, q: Q, phi: Tensor) -> Tensor:
    """d/dphi E_q[f], exact, (..., P)."""
    with torch.enable_grad():
        leaf = phi.detach().requires_grad_()
        return torch.autograd.grad(integrand.expectation(q, leaf).sum(), leaf)[0]
