"""The z of a strip of decoded images: along one latent, by arithmetic, or drawn from one of two priors."""

from __future__ import annotations

import numpy as np
import torch

from lvmviz.core import generator
from lvmviz.summaries.latent import holes
from lvmviz.summaries.latent_view import two_latents
from lvmviz.summaries.vae.moment import Moment, half, q

SOURCES = ("Prior", "Aggregated posterior")
SEED = 0  # of the draws


def traverse(z: np.ndarray, axis: int, frames: int, edge: float = 3.0) -> np.ndarray:
    """z (frames, latent): one latent from -edge to edge, the others as at z (latent,)."""
    made = np.tile(z, (frames, 1))
    made[:, axis] = np.linspace(-edge, edge, frames)
    return made


def arithmetic(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """z (4, latent): a, b, c and a - b + c (Mikolov et al., 2013; of images, White, 2016)."""
    return np.stack([a, b, c, a - b + c])


def draws(at: Moment, source: str, count: int, seed: int = SEED) -> np.ndarray:
    """z (count, latent) of N(0, I), or of the mean of the training q's (Hoffman and Johnson, 2016)."""
    random = generator(seed)
    noise = torch.randn((count, at.vae.latent), generator=random, dtype=torch.float64, device="cpu")
    if source == "Prior":
        return noise.numpy()
    x = half(at.vae, "train").x
    rows = torch.randint(len(x), (count,), generator=random, device="cpu").numpy()
    return q(at, x[rows]).sample(noise.unsqueeze(0))[0].numpy()


def apart(at: Moment, edge: float = 6.0, side: int = 241) -> float:
    """The share of its mass by which the aggregated posterior differs from the prior, of two latents."""
    view = two_latents((0, 1), (0.0, 0.0), (0.0, 0.0), edge)
    return float(0.5 * np.abs(holes(at, view, side)).sum() * (2.0 * edge / side) ** 2)
