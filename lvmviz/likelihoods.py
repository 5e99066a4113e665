"""Likelihoods p(x | output): what a decoder's output says about data.

Each is an exponential family in x, log p(x | output) = x . eta - a + base, so that the exact layer gets the
values for many x and many z out of one matrix product. `own` are the likelihood's own numbers, such as a
learned noise. Nats, summed over dimensions, one number a datum.
"""

from __future__ import annotations

import abc
import math

import torch
import torch.nn.functional as F
from torch import Tensor

from lvmviz.core import Choice, choice, knob

LOG_2PI = math.log(2.0 * math.pi)


class Likelihood(Choice):
    """How data scatter round what the decoder says."""

    def init(self) -> Tensor:
        """Its own numbers at the start, (k,) float32 on the CPU; most have none."""
        return torch.zeros(0, dtype=torch.float32, device="cpu")

    def prepare(self, x: Tensor) -> Tensor:
        """The data (N, D) as it sees them, or a ValueError that says which data it accepts."""
        if not bool(x.isfinite().all()):
            raise ValueError("some values are missing or infinite: leave those rows out")
        return x

    @abc.abstractmethod
    def log_prob(self, output: Tensor, x: Tensor, own: Tensor) -> Tensor:
        """The log density (...), nats, of x (..., D) given the decoder's output (..., D)."""

    def slope(self, output: Tensor, x: Tensor) -> Tensor:
        """d log_prob/d output, (..., D): what x is more than its mean, in units of the output.

        Only where the likelihood has no numbers of its own.
        """
        return x - self.mean(output)

    @abc.abstractmethod
    def mean(self, output: Tensor) -> Tensor:
        """E[x | output], (..., D)."""

    @abc.abstractmethod
    def sample(self, output: Tensor, own: Tensor, draw: torch.Generator) -> Tensor:
        """One x (..., D) for each output, on the CPU."""

    @abc.abstractmethod
    def natural(self, output: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
        """eta (..., D) and a (...) of every output."""

    def base(self, x: Tensor, own: Tensor) -> Tensor:
        """What of log p(x | output) does not depend on the output, (...)."""
        return torch.zeros_like(x[..., 0])

    def noise(self, own: Tensor) -> float:
        """The standard deviation of the noise in the data's units; 0 where there is no such number."""
        return 0.0


def _in_unit(x: Tensor, name: str) -> None:
    low, high = float(x.min()), float(x.max())
    if not (low >= 0.0 and high <= 1.0):
        raise ValueError(
            f"{name} reads values from 0 to 1, and these reach from {low:g} to {high:g}: "
            "scale the data to 0...1, or choose Gaussian noise"
        )


@choice
class Bernoulli(Likelihood):
    """Every pixel is on or off: p(x = 1) = sigmoid(output); grey values become 1 above the threshold.

    The probabilities of all 2^D images add up to one, which they would not for grey values left as they are.
    """

    threshold: float = knob(0.5, 0.0, 1.0, "A value above it is on.", more=True)

    def prepare(self, x: Tensor) -> Tensor:
        _in_unit(super().prepare(x), "A Bernoulli likelihood")
        return (x > self.threshold).to(x.dtype)

    def log_prob(self, output: Tensor, x: Tensor, own: Tensor) -> Tensor:
        return (x * output - _softplus(output)).sum(-1)

    def mean(self, output: Tensor) -> Tensor:
        return torch.sigmoid(output)

    def sample(self, output: Tensor, own: Tensor, draw: torch.Generator) -> Tensor:
        return (_uniform(output, draw) < self.mean(output).cpu()).to(output.dtype)

    def natural(self, output: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
        return output, _softplus(output).sum(-1)


@choice
class GaussianNoise(Likelihood):
    """The output plus noise of one standard deviation: x ~ N(output, sd^2), fixed or learned.

    Learned, the noise shrinks until the decoder explains what it can (the sigma-VAE of Rybkin et al., 2021).
    """

    sd: float = knob(0.1, 1e-3, 10.0, "The noise's standard deviation, at the start when learned.",
                     label="Noise sd", scale="log", more=True)  # fmt: skip
    learned: bool = knob(False, help="Whether the decoder learns it.", label="Learn the noise", more=True)

    def init(self) -> Tensor:
        return torch.full((int(self.learned),), math.log(self.sd), dtype=torch.float32, device="cpu")

    def log_prob(self, output: Tensor, x: Tensor, own: Tensor) -> Tensor:
        log_sd = self._log_sd(own)
        square = ((x - output) ** 2).sum(-1)
        return -0.5 * square * torch.exp(-2.0 * log_sd) - x.shape[-1] * (log_sd + 0.5 * LOG_2PI)

    def slope(self, output: Tensor, x: Tensor) -> Tensor:
        return (x - output) * self.sd**-2.0

    def mean(self, output: Tensor) -> Tensor:
        return output

    def sample(self, output: Tensor, own: Tensor, draw: torch.Generator) -> Tensor:
        noise = torch.randn(output.shape, generator=draw, dtype=output.dtype, device="cpu")
        return output.cpu() + self.noise(own) * noise

    def natural(self, output: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
        precision = torch.exp(-2.0 * self._log_sd(own))
        return output * precision, 0.5 * (output**2).sum(-1) * precision

    def base(self, x: Tensor, own: Tensor) -> Tensor:
        return self.log_prob(torch.zeros_like(x), x, own)

    def noise(self, own: Tensor) -> float:
        return float(self._log_sd(own).exp())

    def _log_sd(self, own: Tensor) -> Tensor:
        return own[0] if self.learned else torch.full_like(own.sum(), math.log(self.sd))


@choice
class ContinuousBernoulli(Likelihood):
    """Grey values from 0 to 1 with a density that integrates to one: p(x) = exp(output x) / C(output).

    C = (exp(output) - 1) / output (Loaiza-Ganem and Cunningham, 2019).
    """

    def prepare(self, x: Tensor) -> Tensor:
        _in_unit(super().prepare(x), "A continuous Bernoulli likelihood")
        return x

    def log_prob(self, output: Tensor, x: Tensor, own: Tensor) -> Tensor:
        return (x * output - _log_c(output)).sum(-1)

    def mean(self, output: Tensor) -> Tensor:
        half = 0.5 * output
        near = half.abs() < 0.1
        safe = torch.where(near, 1.0, half)
        far = 1.0 / torch.tanh(safe) - 1.0 / safe
        return 0.5 + 0.5 * torch.where(near, half / 3.0 - half**3 / 45.0 + 2.0 * half**5 / 945.0, far)

    def sample(self, output: Tensor, own: Tensor, draw: torch.Generator) -> Tensor:
        output = output.cpu()
        down = -output.abs().clamp(min=1e-6)  # by symmetry: exp of a positive number may overflow
        x = torch.log1p(_uniform(output, draw) * torch.expm1(down)) / down
        return torch.where(output < 0.0, x, 1.0 - x)

    def natural(self, output: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
        return output, _log_c(output).sum(-1)


def _log_c(output: Tensor) -> Tensor:
    """log((exp(t) - 1) / t) = t/2 + log(sinh(t/2) / (t/2)), by its series near 0."""
    half = (0.5 * output).abs()
    near = half < 0.1
    safe = torch.where(near, 1.0, half)  # so that no gradient is 0/0
    far = safe + torch.log1p(-torch.exp(-2.0 * safe)) - torch.log(2.0 * safe)
    square = half**2
    series = square * (1.0 / 6.0 - square * (1.0 / 180.0 - square / 2835.0))
    return 0.5 * output + torch.where(near, series, far)


def _softplus(output: Tensor) -> Tensor:
    return F.softplus(output, threshold=40.0)  # torch's own threshold, 20, leaves an error of 2e-9


def _uniform(like: Tensor, draw: torch.Generator) -> Tensor:
    return torch.rand(like.shape, generator=draw, dtype=like.dtype, device="cpu")
