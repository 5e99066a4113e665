"""A linear VAE's trace beside probabilistic PCA, as small NumPy arrays.

T snapshots, D columns, q latents; nats per datum.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from lvmviz import ppca
from lvmviz.algorithms.linear_vae import LinearVAE, LinearVAEState, TrainLinearVAE
from lvmviz.datasets import Dataset
from lvmviz.divergences import Decomposition
from lvmviz.kept import kept
from lvmviz.ppca import PPCAParams
from lvmviz.runs.job import Snapshot, Trace

MOST = 300  # rows whose latents are drawn


def linear_vae(trace: Trace) -> TrainLinearVAE:
    """The algorithm that made a trace."""
    algorithm = trace.job.algorithm
    if not isinstance(algorithm, TrainLinearVAE):
        raise TypeError(f"{type(algorithm).__name__} is no linear VAE: give a trace of TrainLinearVAE")
    return algorithm


class Optimum(NamedTuple):
    """What no linear VAE gets beyond: probabilistic PCA with this noise variance."""

    eigenvalues: np.ndarray  # (D,) of the data's covariance, falling
    noise_variance: float
    log_lik: float  # nats per datum
    kl: np.ndarray  # (q,) of every latent to the prior: 1/2 log(lambda / sigma^2), 0 where lambda is below it
    theta: PPCAParams

    @property
    def active(self) -> int:
        """How many latents have lambda above sigma^2."""
        return int((self.kl > 1e-9).sum())  # one that stands on the line does not count


@functools.lru_cache(maxsize=32)
def optimum(algorithm: TrainLinearVAE) -> Optimum:
    """By the eigenvalues alone; W keeps what lies above the noise variance (Tipping and Bishop, 1999)."""
    points = torch.from_numpy(algorithm.data.table().points.copy())
    values, vectors, mean = ppca.spectrum(points)
    q = algorithm.latents
    noise = values[q:].mean() if algorithm.learned else values.new_tensor(algorithm.noise_variance)
    if not float(noise) > 1e-13 * float(values.sum()):
        raise ValueError(ppca.FLAT)
    theta = PPCAParams(mean, vectors[:, :q] * (values[:q] - noise).clamp(min=0.0).sqrt(), noise)
    log_lik = float(ppca.applied(theta, points).log_density.mean())
    kl = 0.5 * (values[:q] / noise).log().clamp(min=0.0)
    return Optimum(values.numpy(), float(noise), log_lik, kl.numpy(), theta)


def _count(made: list[Decomposition]) -> int:
    return len(made)


@kept(20_000, _count, key=lambda trace: trace.key)
def decompositions(trace: Trace) -> list[Decomposition]:
    """The evidence and its terms at every snapshot, nats per datum, each by a formula of its own."""
    covariance = linear_vae(trace).covariance()
    return [_terms(snapshot, covariance) for snapshot in trace]


def _terms(snapshot: Snapshot, covariance: Tensor) -> Decomposition:
    state: LinearVAEState = snapshot.state
    info, model = snapshot.info, state.model
    latents = len(model.factor)
    volume = float(2.0 * model.factor.diagonal().log().sum())
    square = float(((model.encoder @ covariance) * model.encoder).sum() + model.factor.square().sum())
    entropy = 0.5 * (latents * (1.0 + ppca.LOG_2PI) + volume)
    likelihood = _likelihood(model, covariance)
    joint = likelihood - 0.5 * (latents * ppca.LOG_2PI + square)
    kl_prior = 0.5 * (square - latents - volume)
    return Decomposition(info.log_lik, info.elbo, info.kl, joint, entropy, likelihood, kl_prior, error=1e-9)


def _likelihood(model: LinearVAE, covariance: Tensor) -> float:
    """E_q[log p(x | z)], nats, mean over the data."""
    w, noise = model.theta.loadings, model.theta.noise_variance
    left = torch.eye(len(w)).to(w) - w @ model.encoder
    error = ((left @ covariance) * left).sum() + (w @ model.factor).square().sum()
    return float(-0.5 * (len(w) * (ppca.LOG_2PI + noise.log()) + error / noise))


class Course(NamedTuple):
    """What changes in training."""

    elbo: np.ndarray  # (T,)
    log_lik: np.ndarray  # (T,)
    eigenvalues: np.ndarray  # (T, q) of W W' + sigma^2 I, falling
    noise_variance: np.ndarray  # (T,)
    kl: np.ndarray  # (T, q) of every latent to the prior, falling


def course(trace: Trace) -> Course:
    """Of every snapshot."""
    covariance, found = linear_vae(trace).covariance(), []
    for snapshot in trace:
        model: LinearVAE = snapshot.state.model
        noise = float(model.theta.noise_variance)
        spread = torch.linalg.svdvals(model.theta.loadings).square().numpy() + noise
        kl = np.sort(model.kl_prior(covariance).numpy())[::-1]
        found.append((snapshot.info.elbo, snapshot.info.log_lik, spread, noise, kl))
    return Course(*(np.array(side) for side in zip(*found, strict=True)))


class Turned(NamedTuple):
    """The model with its first two latents rotated: another W, another V, the same density of x."""

    latents: np.ndarray  # (n, 2) E[z | x] of the rows that are drawn
    posterior: np.ndarray  # (2, 2) factor of the posterior's covariance of the first two latents
    q: np.ndarray  # (2, 2) factor of the best mean-field q's
    log_lik: float  # nats per datum, computed anew
    elbo: float  # of the best mean-field q
    gap: float  # KL of the best mean-field q to the posterior


def turned(theta: PPCAParams, data: Dataset, degrees: float) -> Turned:
    """W (two columns at least) becomes W R: the posterior turns, and a mean-field q cannot follow."""
    points = torch.from_numpy(data.table().points.copy())
    loadings = theta.loadings.clone()
    angle = math.radians(degrees)
    cos, sin = math.cos(angle), math.sin(angle)
    loadings[:, :2] = loadings[:, :2] @ torch.tensor([[cos, -sin], [sin, cos]], dtype=torch.float64)
    moved = theta._replace(loadings=loadings)
    told = ppca.applied(moved, points)
    precision = torch.eye(loadings.shape[1]).double() + loadings.T @ loadings / theta.noise_variance
    model = _mean_field(moved, precision)
    away = points - theta.mean
    covariance = away.T @ away / len(points)
    rows = np.linspace(0, len(points) - 1, min(MOST, len(points))).round().astype(int)
    two = torch.linalg.inv(precision)[:2, :2]
    return Turned(
        told.latents[:, :2].numpy()[rows],
        torch.linalg.cholesky(two).numpy(),
        model.factor[:2, :2].numpy(),
        float(told.log_density.mean()),
        float(model.elbo(covariance)),
        float(model.kl(covariance)),
    )


def _mean_field(theta: PPCAParams, precision: Tensor) -> LinearVAE:
    """The best linear encoder without correlations: the posterior's mean, and the precision's diagonal."""
    encoder = torch.linalg.solve(precision, theta.loadings.T / theta.noise_variance)
    return LinearVAE(theta, encoder, torch.diag(precision.diagonal().rsqrt()))


def principal(model: LinearVAE) -> PPCAParams:
    """theta with its latents turned to principal axes, the widest first: the same density of x."""
    left, sizes, _ = torch.linalg.svd(model.theta.loadings, full_matrices=False)
    signs = left.gather(0, left.abs().argmax(0, keepdim=True)).sign()
    return model.theta._replace(loadings=left * signs * sizes)


def angle(loadings: Tensor, best: Optimum) -> float | None:
    """The largest angle between W's subspace and that of the active principal axes, degrees.

    None where no axis is active.
    """
    if not best.active:
        return None
    active = best.theta.loadings[:, : best.active]
    own = torch.linalg.svd(loadings, full_matrices=False)[0][:, : active.shape[1]]
    basis = torch.linalg.qr(active)[0]
    apart = own - basis @ (basis.T @ own)
    return math.degrees(math.asin(min(1.0, float(torch.linalg.matrix_norm(apart, 2)))))


def parameters(snapshot: Snapshot) -> dict[str, Any]:
    """The model of one snapshot as plain lists, with its numbers."""
    model: LinearVAE = snapshot.state.model
    theta = {name: part.tolist() for name, part in model.theta._asdict().items()}
    rest = {"encoder": model.encoder.tolist(), "factor": model.factor.tolist()}
    return {"step": snapshot.step, **theta, **rest, "info": snapshot.info._asdict()}
