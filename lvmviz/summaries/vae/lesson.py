"""Every term of one example's ELBO, each by a sum of its own, and the gradient of one draw both ways."""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lvmviz.algorithms.vae import VAEWeights
from lvmviz.amortized import LOG_2PI, Q
from lvmviz.core import Key, generator
from lvmviz.latent_model import hermite
from lvmviz.summaries.vae.evidence import latent_plane
from lvmviz.summaries.vae.moment import Moment, exact_possible

SIDE = 48  # nodes along a side, of every mean over q
DRAWS = 1000  # where there is no rule for so many latents, or a decoder with kinks
TOLERANCE = 1e-8  # nats, of one example's lattice, which leaves out tails of about as much


class Lesson(NamedTuple):
    """One example at one snapshot; nats. Means over q are quadrature, or over `draws` draws of it."""

    log_evidence: float  # nan where it is no integral that quadrature does
    elbo: float  # E_q[log p(x, z) - log q(z | x)]
    gap: float  # KL(q || p(z | x)), an integral of its own; nan like the evidence
    reconstruction: float  # E_q[log p(x | z)]
    kl: float  # E_q[log q(z | x) - log p(z)]
    mean: np.ndarray  # (latent,) of q
    log_sd: np.ndarray  # (latent,) logs of L's diagonal; q has covariance L L'
    square: float  # the sum of L's squares: the variances together
    noise: np.ndarray  # (latent,) one draw of N(0, I)
    z: np.ndarray  # (latent,) = mean + L noise
    pull: float  # d log p(x | z) / d z_1 at this z
    slope_mean: float  # of that one draw's ELBO, in the first mean
    slope_sd: float  # in the first standard deviation, L_11
    by_score: float  # d E_q[log p(x | z)] / d mean_1, as E_q[log p(x | z) d log q / d mean_1]
    by_path: float  # the same, as E_q[d log p(x | z) / d z_1]
    draws: int  # 0 where the means are quadrature
    error: float  # how far the lattice's evidence and gap may be off

    @property
    def latent(self) -> int:
        """How many numbers z has."""
        return len(self.mean)


def lesson(at: Moment, x: np.ndarray, key: Key = 0) -> Lesson:
    """The terms of one prepared example x (D,); the last few are kept."""
    return _lesson(_Asked(at, x, key))


class _Asked:
    """What a lesson follows from, to be found again by it."""

    def __init__(self, at: Moment, x: np.ndarray, key: Key) -> None:
        self.at, self.x, self.draw = at, x, key
        self.key = (*at.key, x.tobytes(), key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Asked) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


@functools.lru_cache(maxsize=64)
def _lesson(asked: _Asked) -> Lesson:
    at = asked.at
    x = torch.tensor(asked.x[None], dtype=torch.float64)
    weights = VAEWeights(*(part.double() for part in at.weights))
    with torch.no_grad():
        q = at.vae.encode(weights, x)
        evidence, gap, error = _evidence(at, x, q)
    noise, share, draws = _nodes(at)
    z = q.sample(noise)[:, 0].requires_grad_()  # (S, latent)
    fit = _fit(at, weights, x, z)
    (pulls,) = torch.autograd.grad(fit.sum(), z)
    with torch.no_grad():
        z = z.detach()
        log_q, log_prior = q.log_prob(z)[0], -0.5 * (z.square() + LOG_2PI).sum(1)
        score = torch.linalg.solve_triangular(q.scale_tril()[0].mT, noise[:, 0].mT, upper=True)[0]
        log_fit = fit.detach()
        told = [log_fit + log_prior - log_q, log_fit, log_q - log_prior, log_fit * score, pulls[:, 0]]
        elbo, reconstruction, kl, by_score, by_path = (float(share @ part) for part in told)
    tril = q.scale_tril()[0]
    return Lesson(
        evidence, elbo, gap, reconstruction, kl, q.means[0].numpy(), q.log_sds[0].numpy(),
        float(tril.square().sum()), *_one_draw(at, weights, x, q, asked.draw),
        by_score=by_score, by_path=by_path, draws=draws, error=error,
    )  # fmt: skip


def _evidence(at: Moment, x: Tensor, q: Q) -> tuple[float, float, float]:
    if not exact_possible(at.vae):
        return math.nan, math.nan, 0.0
    made = latent_plane(at, TOLERANCE).decompose(x, q)
    return float(made.log_evidence), float(made.kl), float(made.error) + 2.0 * TOLERANCE


def _nodes(at: Moment) -> tuple[Tensor, Tensor, int]:
    """Noise (S, 1, latent), its weights (S,), and how many draws it is, if it is no rule."""
    if at.vae.latent <= 2 and at.vae.decoder.smooth:
        points, weights = hermite(SIDE, at.vae.latent)
        return points.unsqueeze(1), weights, 0
    noise = _noise(at.vae.latent, DRAWS, 1)
    return noise, torch.full((DRAWS,), 1.0 / DRAWS, dtype=torch.float64), DRAWS


def _noise(latent: int, draws: int, key: Key) -> Tensor:
    shape = draws, 1, latent
    return torch.randn(shape, generator=generator(key), dtype=torch.float64, device="cpu")


def _fit(at: Moment, weights: VAEWeights, x: Tensor, z: Tensor) -> Tensor:
    """log p(x | z) (...), for z (..., latent)."""
    return at.vae.likelihood.log_prob(at.vae.decode(weights, z), x, at.vae.own(weights))


def _one_draw(
    at: Moment, weights: VAEWeights, x: Tensor, q: Q, key: Key
) -> tuple[np.ndarray, np.ndarray, float, float, float]:
    """Noise, z, what the decoder says at z, and the slopes by the graph from q's numbers to the ELBO."""
    noise = _noise(at.vae.latent, 1, key)
    means, log_sds = q.means.clone().requires_grad_(), q.log_sds.clone().requires_grad_()
    own = Q(means, log_sds, q.below)
    z = own.sample(noise)
    fit = _fit(at, weights, x, z).sum()
    (pull,) = torch.autograd.grad(fit, z, retain_graph=True)
    by_mean, by_log_sd = torch.autograd.grad(fit - own.kl().sum(), [means, log_sds])
    sd = math.exp(float(q.log_sds[0, 0]))
    numbers = float(pull[0, 0, 0]), float(by_mean[0, 0]), float(by_log_sd[0, 0]) / sd
    return noise[0, 0].numpy(), z[0, 0].detach().numpy(), *numbers
