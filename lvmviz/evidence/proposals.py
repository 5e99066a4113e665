"""Where the draws come from: the proposal q(z) of an importance weight p(x, z) / q(z)."""

from __future__ import annotations

import abc
import math

import torch
from torch import Tensor

from lvmviz.core import Choice, choice, knob
from lvmviz.evidence.models import EvidenceModel
from lvmviz.families import Family, Gaussian
from lvmviz.targets import LOG_2PI


class Proposal(Choice):
    """A density q(z) to draw from, for a model."""

    @abc.abstractmethod
    def draw(self, model: EvidenceModel, source: torch.Generator, count: int) -> tuple[Tensor, Tensor]:
        """z (count, size) and log q(z) (count,), nats."""

    @abc.abstractmethod
    def log_prob(self, model: EvidenceModel, z: Tensor) -> Tensor:
        """log q(z), nats (...), for z (..., size)."""


@choice
class UniformBox(Proposal):
    """Everywhere alike: a box of the prior's mean plus and minus so many standard deviations.

    The estimate misses what lies outside. For bits the box is all 2^n states.
    """

    title = "Uniform box"
    reach: float = knob(4.0, 0.5, 20.0, "Half the box's width, in the prior's standard deviations.")

    def draw(self, model: EvidenceModel, source: torch.Generator, count: int) -> tuple[Tensor, Tensor]:
        u = uniforms(source, count, model.size)
        z = (u < 0.5).double() if model.discrete else self._low(model) + u * self._widths(model)
        log_q = -math.log(2.0) * model.size if model.discrete else -float(self._widths(model).log().sum())
        return z, torch.full((count,), log_q, dtype=torch.float64, device="cpu")

    def log_prob(self, model: EvidenceModel, z: Tensor) -> Tensor:
        if model.discrete:
            return torch.full_like(z[..., 0], -math.log(2.0) * model.size)
        low, widths = self._low(model), self._widths(model)
        inside = ((z >= low) & (z <= low + widths)).all(-1)
        return torch.where(inside, -widths.log().sum(), -torch.inf)

    def _low(self, model: EvidenceModel) -> Tensor:
        mean, sd = model.prior()
        return mean - self.reach * sd

    def _widths(self, model: EvidenceModel) -> Tensor:
        return 2.0 * self.reach * model.prior()[1]


@choice
class FromPrior(Proposal):
    """The prior: p(x) is the mean of p(x | z) over its draws."""

    title = "Prior"

    def draw(self, model: EvidenceModel, source: torch.Generator, count: int) -> tuple[Tensor, Tensor]:
        mean, sd = model.prior()
        if model.discrete:
            return _switches(model, mean, source, count)
        e = normals(source, count, model.size)
        return mean + sd * e, _log_normal(e, sd)

    def log_prob(self, model: EvidenceModel, z: Tensor) -> Tensor:
        return model.log_prior(z)


@choice
class NearPosterior(Proposal):
    """Each latent by itself at the posterior's mean, `width` times as wide: q = N(m, (width * sd)^2).

    Or of another family on the line, by its place and width. A bit is on with the posterior's odds to the
    power 1 / width.
    """

    title = "Near the posterior"
    family: Family = knob(Gaussian(), help="The density of each latent.", label="Family of q", more=True)
    width: float = knob(
        1.3, 0.1, 10.0, "Times the posterior's standard deviation.", label="Width c", scale="fine"
    )
    shift: float = knob(0.0, -10.0, 10.0, "Off the posterior's mean, in its standard deviations.", more=True)

    def draw(self, model: EvidenceModel, source: torch.Generator, count: int) -> tuple[Tensor, Tensor]:
        if model.discrete:
            return _switches(model, self.shares(model), source, count)
        return _product(self.family, *self.place(model), source, count)

    def log_prob(self, model: EvidenceModel, z: Tensor) -> Tensor:
        if model.discrete:
            return _log_switches(z, self.shares(model))
        return _log_product(self.family, *self.place(model), z)

    def place(self, model: EvidenceModel) -> tuple[Tensor, Tensor]:
        mean, sd = model.posterior()
        return mean + self.shift * sd, self.width * sd

    def shares(self, model: EvidenceModel) -> Tensor:
        """How likely each bit is on (n,)."""
        # no bit is certain: a state that q never draws would be missing from the sum
        odds = torch.logit(model.posterior()[0], eps=1e-9) / self.width
        return torch.sigmoid(odds + self.shift)


@choice
class PlacedQ(Proposal):
    """Each latent by itself, where the hand puts it: one mode of two, say."""

    title = "Placed by hand"
    family: Family = knob(Gaussian(), help="The density of each latent.", label="Family of q", more=True)
    mean: float = knob(2.5, -100.0, 100.0, "Its mean.")
    sd: float = knob(0.8, 0.005, 100.0, "Its standard deviation.", label="Width", scale="fine")

    def draw(self, model: EvidenceModel, source: torch.Generator, count: int) -> tuple[Tensor, Tensor]:
        return _product(self.family, *self.place(model), source, count)

    def log_prob(self, model: EvidenceModel, z: Tensor) -> Tensor:
        return _log_product(self.family, *self.place(model), z)

    def place(self, model: EvidenceModel) -> tuple[Tensor, Tensor]:
        if model.discrete:
            raise ValueError(f"{model.name()} are switches: choose the prior or a q near the posterior")
        one = torch.ones(model.size, dtype=torch.float64, device="cpu")
        return self.mean * one, self.sd * one


# ---- draws: latent by latent in memory, so that sums over latents run along it (three times as fast) ----


def normals(source: torch.Generator, count: int, size: int) -> Tensor:
    """Standard normal noise (count, size), float64.

    Drawn with the 24 bits of float32, at a sixth of the time: all that is lost is a grain of 1e-7, and what
    lies beyond 5.8 standard deviations.
    """
    drawn = torch.empty((size, count), dtype=torch.float32, device="cpu").normal_(generator=source)
    return drawn.double().T


def uniforms(source: torch.Generator, count: int, size: int) -> Tensor:
    """Numbers between 0 and 1 (count, size), float64."""
    return torch.empty((size, count), dtype=torch.float64, device="cpu").uniform_(generator=source).T


def _log_normal(e: Tensor, sd: Tensor) -> Tensor:
    """The log density (...), nats, of what has standard normal noise e (..., size) and these sds (size,)."""
    return -0.5 * e.square().sum(-1) - float(sd.log().sum()) - 0.5 * e.shape[-1] * LOG_2PI


def _product(
    family: Family, mean: Tensor, sd: Tensor, source: torch.Generator, count: int
) -> tuple[Tensor, Tensor]:
    e = normals(source, count, len(mean))
    if isinstance(family, Gaussian):
        return mean + sd * e, _log_normal(e, sd)
    phi = _phi(family, mean, sd)
    z = family.sample(phi, e.T.unsqueeze(-1))[..., 0]  # (size, count)
    return z.T, family.log_prob(phi, z.unsqueeze(-1)).sum(0)


def _log_product(family: Family, mean: Tensor, sd: Tensor, z: Tensor) -> Tensor:
    if isinstance(family, Gaussian):
        return _log_normal((z - mean) / sd, sd)
    flat = z.reshape(-1, z.shape[-1]).T.unsqueeze(-1)  # (size, n, 1)
    return family.log_prob(_phi(family, mean, sd), flat).sum(0).view(z.shape[:-1])


def _phi(family: Family, mean: Tensor, sd: Tensor) -> Tensor:
    if family.dim != 1:
        raise ValueError(f"{family.name()} has {family.dim} dimensions: choose a family of q with one")
    return family.at(mean, sd)


def _switches(
    model: EvidenceModel, shares: Tensor, source: torch.Generator, count: int
) -> tuple[Tensor, Tensor]:
    z = (uniforms(source, count, model.size) < shares).double()
    return z, _log_switches(z, shares)


def _log_switches(z: Tensor, shares: Tensor) -> Tensor:
    return (z * shares.log() + (1.0 - z) * torch.log1p(-shares)).sum(-1)
