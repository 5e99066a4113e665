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


class LinearVAEState(NamedTuple):
    """The model, and the same as the numbers that L-BFGS moves."""

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

    The noise variance is learned, or fixed: then a direction whose variance is below it stays unused. Its
    optimum is that of probabilistic PCA, where q is the posterior (Dai et al., 2018; Lucas, Tucker, Grosse
    and Norouzi, 2019, "Don't blame the ELBO!"). A mean-field q also picks the axes: any rotation of the
    latents would leave the likelihood alone and lower the ELBO.
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
        draw = torch.randn(
            2 * width * self.latents, generator=generator(key), dtype=torch.float64, device="cpu"
        )
        rest = torch.zeros(self._size() - len(draw), dtype=torch.float64, device="cpu")
        phi = torch.cat([draw / math.sqrt(width), rest])[None]
        if self.learned:
            phi[0, -1] = math.log(self.noise_variance / self.scale() ** 2)
        return self._told(phi, CLIMB.init(phi), torch.zeros((), dtype=torch.int64, device="cpu"))

    def step(self, key: Key, state: LinearVAEState) -> tuple[LinearVAEState, LinearVAEInfo]:
        ask = remembered(self._slope)
        memory, phi = CLIMB.step(state.memory, state.phi, Hill(ask, lambda at: at))
        return self._told(phi, memory, state.iteration + 1, ask(phi)[1])

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

    # ---- the numbers that L-BFGS moves: W, V, the factor, log sigma^2 ----

    def _size(self) -> int:
        width, q = len(self.covariance()), self.latents
        below = q * (q - 1) // 2 if self.posterior == "full" else 0
        return 2 * width * q + q + below + int(self.learned)

    def model(self, phi: Tensor) -> LinearVAE:
        """The linear VAE of numbers phi (P,)."""
        width, q, scale = len(self.covariance()), self.latents, self.scale()
        w, v, diagonal, rest = phi.split([width * q, width * q, q, len(phi) - (2 * width + 1) * q])
        factor = torch.diag(diagonal.exp())
        if self.posterior == "full":
            rows, columns = torch.tril_indices(q, q, -1, device="cpu")
            factor = factor.index_put((rows, columns), rest[: len(rows)])
        noise = scale**2 * rest[-1].exp() if self.learned else phi.new_tensor(self.noise_variance)
        return LinearVAE(
            PPCAParams(_moments(self.data)[0], scale * w.view(width, q), noise),
            v.view(q, width) / scale,
            factor,
        )

    def _slope(self, phi: Tensor) -> tuple[Tensor, Tensor]:
        """The ELBO (1,) and its gradient (1, P), by hand and in NumPy: a tenth of what autograd takes."""
        made, scale = self.model(phi[0]), self.scale()
        w, noise, v, factor = (
            part.numpy()
            for part in (made.theta.loadings, made.theta.noise_variance, made.encoder, made.factor)
        )
        covariance, inner = self.covariance().numpy(), w.T @ w
        left, spread, signal = covariance - w @ (v @ covariance), factor @ factor.T, v @ covariance
        by_w = (left @ v.T - w @ spread) / noise
        by_v = w.T @ left / noise - signal
        by_factor = np.diag(1.0 / np.diagonal(factor)) - inner @ factor / noise - factor
        error = np.trace(left) - ((left @ v.T) * w).sum() + (inner * spread).sum()
        parts = [scale * by_w.ravel(), by_v.ravel() / scale, np.diagonal(by_factor) * np.diagonal(factor)]
        if self.posterior == "full":
            parts.append(by_factor[np.tril_indices(len(factor), -1)])
        if self.learned:
            parts.append(np.array([0.5 * (error / noise - len(w))]))
        square, volume = (signal * v).sum() + np.trace(spread), 2.0 * np.log(np.diagonal(factor)).sum()
        constant = len(w) * (LOG_2PI + np.log(noise)) - w.shape[1]
        value = -0.5 * (constant + error / noise + square - volume)
        return torch.tensor([value], dtype=torch.float64), torch.from_numpy(np.concatenate(parts))[None]

    def _told(
        self, phi: Tensor, memory: Memory, iteration: Tensor, slope: Tensor | None = None
    ) -> tuple[LinearVAEState, LinearVAEInfo]:
        made, covariance = self.model(phi[0]), self.covariance()
        slope = self._slope(phi)[1] if slope is None else slope
        elbo, log_lik, kl = (float(part(covariance)) for part in (made.elbo, made.log_lik, made.kl))
        info = LinearVAEInfo(
            int(iteration),
            elbo,
            log_lik,
            kl,
            float(made.theta.noise_variance),
            active=int((made.kl_prior(covariance) > ACTIVE).sum()),
            slope=float(slope.norm()),
        )
        return LinearVAEState(made, phi, memory, iteration), info
