"""A VAE whose decoder and encoder are linear, trained by exact gradients: it ends at probabilistic PCA."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lvmviz import ppca
from lvmviz.amortized import POSTERIORS
from lvmviz.core import Algorithm, Key, choice, generator, knob
from lvmviz.datasets import Dataset, Iris, Wine
from lvmviz.digit_pixels import DigitPixels
from lvmviz.kept import kept
from lvmviz.optimizers import LBFGS, Hill, Memory, remembered
from lvmviz.ppca import LOG_2PI, PPCAParams
from lvmviz.spectra import KnownSpectrum

ARRIVED = 1e-5  # the gradient's length, nats, from which on it has arrived
CLIMB = LBFGS(memory=10)
SOLVED = 5  # every so many steps end with the decoder that is best for q, and q's axes
ACTIVE = 1e-4  # nats of KL, mean over the data, from which on a latent is active


class LinearVAE(NamedTuple):
    """x ~ N(W z + mean, sigma^2 I), q(z | x) = N(V (x - mean), C) with one C for all x."""

    theta: PPCAParams
    encoder: Tensor  # (q, D) V
    factor: Tensor  # (q, q) lower triangular, C = factor factor'

    def kl_prior(self, covariance: Tensor) -> Tensor:
        """KL(q(z_i | x) || p(z_i)) of every latent's marginal (q,), nats, mean over data."""
        spread = self.factor.square().sum(1)
        size = ((self.encoder @ covariance) * self.encoder).sum(1)
        return 0.5 * (size + spread - 1.0 - spread.log())

    def elbo(self, covariance: Tensor) -> Tensor:
        """E_q[log p(x | z)] - KL(q || p(z)) (), nats, mean over data of this covariance (D, D)."""
        w, noise = self.theta.loadings, self.theta.noise_variance
        left = torch.eye(len(w)).to(w) - w @ self.encoder
        error = ((left @ covariance) * left).sum() + (w @ self.factor).square().sum()
        square = ((self.encoder @ covariance) * self.encoder).sum() + self.factor.square().sum()
        volume = 2.0 * self.factor.diagonal().log().sum()
        return -0.5 * (len(w) * (LOG_2PI + noise.log()) + error / noise + square - w.shape[1] - volume)

    def kl(self, covariance: Tensor) -> Tensor:
        """KL(q || p(z | x)) (), nats, mean over data of this covariance: by the posterior's own formula."""
        w, noise, eye = self.theta.loadings, self.theta.noise_variance, torch.eye(len(self.factor))
        precision = eye.to(w) + w.T @ w / noise
        apart = self.encoder - torch.linalg.solve(precision, w.T / noise)
        turned = torch.linalg.cholesky(precision).T @ self.factor
        moved = (precision * ((apart @ covariance) @ apart.T)).sum()
        return 0.5 * (turned.square().sum() - len(eye) - torch.linalg.slogdet(turned)[1] * 2.0 + moved)

    def log_lik(self, covariance: Tensor) -> Tensor:
        """log N(x | mean, W W' + sigma^2 I) (), nats, mean over data of this covariance."""
        factor = torch.linalg.cholesky(ppca.covariance(self.theta))
        squares = torch.cholesky_solve(covariance, factor).trace()
        return -0.5 * (len(factor) * LOG_2PI + 2.0 * factor.diagonal().log().sum() + squares)


def _bytes(moments: tuple[Tensor, Tensor]) -> int:
    return sum(part.nbytes for part in moments)


@kept(20_000_000, _bytes)
def _moments(data: Dataset) -> tuple[Tensor, Tensor]:
    """Mean (D,) and covariance (1/N), (D, D), float64 on the CPU."""
    points = torch.from_numpy(data.table().points.copy())
    mean = points.mean(0)
    return mean, (points - mean).T @ (points - mean) / len(points)


@kept(64, lambda made: 1)
def _roots(data: Dataset, latents: int, least: float) -> Tensor:
    """A root of the covariance (D, D), no eigenvalue below the noise variance; `least` 0: that of PPCA."""
    values, axes = torch.linalg.eigh(_moments(data)[1])
    noise = least or float(values[: len(values) - latents].mean())
    return (axes * values.clamp(min=max(noise, 1e-12 * float(values[-1]))).sqrt()) @ axes.T


class LinearVAEState(NamedTuple):
    """The model, and its decoder as the numbers that L-BFGS moves."""

    model: LinearVAE
    phi: Tensor  # (1, P)
    memory: Memory
    iteration: Tensor  # () int64


class LinearVAEInfo(NamedTuple):
    """The numbers after a step, nats per datum."""

    iteration: int
    elbo: float
    log_lik: float
    kl: float  # KL(q || p(z | x))
    noise_variance: float
    active: int  # latents whose KL to the prior is above 1e-4 nats
    slope: float  # the gradient's length


@choice
class TrainLinearVAE(Algorithm):
    """A VAE whose decoder W z + mean and encoder V (x - mean) are linear, by L-BFGS on the exact ELBO.

    For every decoder the best encoder is a regression: V = (I + W'W / sigma^2)^-1 W' / sigma^2, and it is
    solved for; the decoder climbs what is left, and every fifth step ends with the decoder that is best for
    this q (EM's M-step). The noise variance is learned, or fixed: then a direction whose variance is below
    it stays unused. The optimum is that of probabilistic PCA, where q is the posterior (Dai et al., 2018;
    Lucas, Tucker, Grosse and Norouzi, 2019, "Don't blame the ELBO!"). A mean-field q also picks the axes:
    any rotation of the latents leaves the likelihood alone, and the principal ones leave nothing between
    ELBO and likelihood; every fifth step turns there.
    """

    title = "Linear VAE"
    data: Dataset = knob(
        KnownSpectrum(),
        help="What to learn a model of.",
        label="Data",
        options=(Iris.__name__, Wine.__name__, DigitPixels.__name__),
    )
    latents: int = knob(3, 1, 20, "How many dimensions z has.", label="Latents q")
    learned: bool = knob(True, help="Whether the decoder learns the noise variance.", label="Learn σ²")
    noise_variance: float = knob(
        0.5,
        0.01,
        10.0,
        "The noise variance; where it is learned, the one it starts from.",
        label="σ²",
        scale="fine",
    )
    posterior: str = knob(
        "mean-field", help="Whether q may have correlations.", label="q", options=POSTERIORS, more=True
    )

    def init(self, key: Key) -> tuple[LinearVAEState, LinearVAEInfo]:
        width = len(self.covariance())
        if self.latents >= width:
            raise ValueError(
                f"{self.latents} latents need more than {self.latents} columns and the table has {width}: "
                "use fewer latents, or more columns"
            )
        draw = torch.randn(width * self.latents, generator=generator(key), dtype=torch.float64, device="cpu")
        phi = torch.zeros(1, len(draw) + int(self.learned), dtype=torch.float64, device="cpu")
        phi[0, : len(draw)] = draw / math.sqrt(width)
        if self.learned:
            phi[0, -1] = math.log(self.noise_variance / self.scale() ** 2)
        return self._told(phi, CLIMB.init(phi), torch.zeros((), dtype=torch.int64, device="cpu"))

    def step(self, key: Key, state: LinearVAEState) -> tuple[LinearVAEState, LinearVAEInfo]:
        ask = remembered(self._slope)
        memory, phi = CLIMB.step(state.memory, state.phi, Hill(ask, lambda at: at))
        count = state.iteration + 1
        if int(count) % SOLVED == 0:
            phi = self._solved(phi)
            memory, phi = self._turned(memory, phi) if self.posterior == "mean-field" else (memory, phi)
        return self._told(phi, memory, count, ask(phi))

    def finished(self, state: LinearVAEState, info: LinearVAEInfo) -> bool:
        return info.slope < ARRIVED

    def effort(self) -> float:
        """Some questions a step, each of a few products of D x D and D x q numbers."""
        width = self.data.table().points.shape[1]
        return 2e6 + 40.0 * width**2 * self.latents + 4.0 * width**3

    # ---- the data, in units in which their mean variance is one ----

    def covariance(self) -> Tensor:
        """The data's covariance (1/N), (D, D) float64."""
        return _moments(self.data)[1]

    def scale(self) -> float:
        """The square root of the mean variance."""
        found = float(self.covariance().diagonal().mean())
        if not found > 0.0:
            raise ValueError("no column varies, so nothing is left to explain: use others")
        return math.sqrt(found)

    # ---- the numbers that L-BFGS moves: W, log sigma^2 ----

    def model(self, phi: Tensor) -> LinearVAE:
        """The linear VAE whose decoder has the numbers phi (P,), with the best encoder for it."""
        width, q, scale = len(self.covariance()), self.latents, self.scale()
        w = self._units() @ phi[: width * q].view(width, q)
        noise = scale**2 * phi[-1].exp() if self.learned else phi.new_tensor(self.noise_variance)
        precision = torch.eye(q).to(w) + w.T @ w / noise
        encoder = torch.linalg.solve(precision, w.T / noise)
        if self.posterior == "full":
            factor = torch.linalg.cholesky(torch.linalg.inv(precision))
        else:
            factor = torch.diag(precision.diagonal().rsqrt())
        return LinearVAE(PPCAParams(_moments(self.data)[0], w, noise), encoder, factor)

    def _units(self) -> Tensor:
        """What W is measured in, (D, D): the data's sd along each principal axis, the noise's at least.

        It decides how fast L-BFGS arrives, not where.
        """
        return _roots(self.data, self.latents, 0.0 if self.learned else self.noise_variance)

    def _solved(self, phi: Tensor) -> Tensor:
        """The decoder of highest ELBO for the q that phi (1, P) tells: x regressed on z."""
        made, covariance = self.model(phi[0]), self.covariance()
        seen = made.encoder @ covariance
        second = seen @ made.encoder.T + made.factor @ made.factor.T  # E_q[z z']
        w = torch.linalg.solve(second, seen).T
        parts = [torch.linalg.solve(self._units(), w).flatten()]
        if self.learned:
            noise = (covariance - w @ seen).trace() / len(covariance)
            parts.append((noise / self.scale() ** 2).log()[None])
        return torch.cat(parts)[None]

    def _turned(self, memory: Memory, phi: Tensor) -> tuple[Memory, Tensor]:
        """W in its principal axes, W'W diagonal, the widest first; what L-BFGS remembers turns along."""
        width = len(self.covariance())
        size = width * self.latents
        axes = torch.linalg.svd(self.model(phi[0]).theta.loadings, full_matrices=False)[2].T

        def along(numbers: Tensor) -> Tensor:
            turned = numbers[..., :size].unflatten(-1, (width, self.latents)) @ axes
            return torch.cat([turned.flatten(-2), numbers[..., size:]], -1)

        return memory._replace(moves=along(memory.moves), changes=along(memory.changes)), along(phi)

    def _slope(self, phi: Tensor) -> tuple[Tensor, Tensor]:
        """The ELBO (1,) and its gradient (1, P), by hand and in NumPy: a tenth of what autograd takes.

        The best encoder for a decoder moves with it, and as it is the best that changes no slope.
        """
        covariance, scale, q = self.covariance().numpy(), self.scale(), self.latents
        width, numbers, units = len(covariance), phi[0].numpy(), self._units().numpy()
        w = units @ numbers[: width * q].reshape(width, q)
        noise = scale**2 * math.exp(numbers[-1]) if self.learned else self.noise_variance
        inner = w.T @ w
        precision = np.eye(q) + inner / noise
        v = np.linalg.solve(precision, w.T / noise)
        spread = np.linalg.inv(precision) if self.posterior == "full" else np.diag(1.0 / np.diag(precision))
        signal = v @ covariance
        left = covariance - w @ signal
        pulled = left @ v.T
        error = np.trace(left) - (pulled * w).sum() + (inner * spread).sum()
        square, volume = (signal * v).sum() + np.trace(spread), np.linalg.slogdet(spread)[1]
        value = -0.5 * (width * (LOG_2PI + math.log(noise)) - q + error / noise + square - volume)
        parts = [(units @ (pulled - w @ spread) / noise).ravel()]
        if self.learned:
            parts.append(np.array([0.5 * (error / noise - width)]))
        return torch.tensor([value], dtype=torch.float64), torch.from_numpy(np.concatenate(parts))[None]

    def _told(
        self,
        phi: Tensor,
        memory: Memory,
        iteration: Tensor,
        known: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[LinearVAEState, LinearVAEInfo]:
        made, covariance = self.model(phi[0]), self.covariance()
        elbo, slope = self._slope(phi) if known is None else known
        log_lik, kl = (float(part(covariance)) for part in (made.log_lik, made.kl))
        info = LinearVAEInfo(
            int(iteration),
            float(elbo),
            log_lik,
            max(kl, 0.0),  # below it by rounding where q is the posterior
            float(made.theta.noise_variance),
            active=int((made.kl_prior(covariance) > ACTIVE).sum()),
            slope=float(slope.norm()),
        )
        return LinearVAEState(made, phi, memory, iteration), info
