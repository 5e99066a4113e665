"""The gap of a VAE's encoder as small NumPy arrays: in parts, and with every q of one datum; nats."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch

from lvmviz.algorithms import amortization_gap
from lvmviz.algorithms.amortization_gap import Bent
from lvmviz.amortized import LOG_2PI, Q
from lvmviz.divergences import Decomposition
from lvmviz.kept import kept
from lvmviz.likelihoods import GaussianNoise
from lvmviz.summaries.amortization import Parts
from lvmviz.summaries.vae import Moment, exact_possible, half, is_images, latent_plane, q

BARS = 12  # data
MANY = 200  # data that a mean is over

SEEN = ("Test data", "Training data")
CHANGED = ("Inverted", "Upside down", "Shifted by two pixels")  # of images, which no training showed
FAR, TIMES = "Three times as far", 3.0  # of rows of numbers, from their mean


def seen_options(at: Moment) -> tuple[str, ...]:
    """What the encoder may be asked about."""
    if is_images(at.vae):
        return (*SEEN, *CHANGED)
    return (*SEEN, FAR) if isinstance(at.vae.likelihood, GaussianNoise) else SEEN


def images(at: Moment, seen: str, count: int = BARS) -> np.ndarray:
    """The first data (n, D) as the likelihood sees them, changed as `seen` says."""
    x = half(at.vae, "train" if seen == "Training data" else "test").x[:count]
    if seen == FAR:
        mean = half(at.vae, "train").x.mean(0)
        return np.ascontiguousarray(mean + TIMES * (x - mean), dtype=np.float32)
    square = x.reshape(len(x), *at.vae.data.examples().shape)
    if seen == "Inverted":
        square = 1.0 - square
    elif seen == "Upside down":
        square = square[:, ::-1]
    elif seen == "Shifted by two pixels":
        square = np.pad(square, ((0, 0), (0, 0), (2, 0)))[:, :, :-2]
    return np.ascontiguousarray(square.reshape(len(x), -1), dtype=np.float32)


class Gaps(NamedTuple):
    """The gaps of n images, and both q's."""

    log_evidence: np.ndarray  # (n,)
    elbo: np.ndarray  # (n,) of the encoder's q
    parts: Parts
    encoder: Q
    best: Q


def refusal(at: Moment) -> str:
    """Why the gap of this run cannot be exact; "" where it can."""
    if at.vae.latent != 2:
        return f"This run has {at.vae.latent} latents, and the gap is exact for two: choose a run with two."
    if not at.vae.decoder.smooth:
        return "This run's decoder has kinks (ReLU) that quadrature cannot see round: choose tanh or SiLU."
    return "" if exact_possible(at.vae) else "This run's posterior has no exact integral: choose another run."


def _key(at: Moment, *more: object) -> tuple[object, ...]:
    return (*at.key, *more)


def _bytes(made: Any) -> int:
    return 50_000


@kept(8_000_000, _bytes, key=_key)
def gaps(at: Moment, seen: str, posterior: str, count: int = BARS) -> Gaps:
    """Of so many images: the encoder's gap and its parts, against the best q of a Gaussian family."""
    x = images(at, seen, count)
    encoder = q(at, x)
    with torch.no_grad():
        made = amortization_gap.split(latent_plane(at), torch.tensor(x).double(), encoder, posterior)
    parts = made.total, made.approximation, made.amortization, made.error
    return Gaps(
        made.log_evidence.numpy(),
        made.elbo.numpy(),
        Parts(*(part.numpy() for part in parts)),
        encoder,
        made.best,
    )


def families(at: Moment) -> tuple[str, ...]:
    """The families whose best q is never worse than the encoder's."""
    return ("mean-field", "full") if at.vae.posterior == "mean-field" else ("full",)


@kept(8_000_000, _bytes, key=_key)
def flow(at: Moment, seen: str, place: int) -> Bent:
    """The best flow found for one image."""
    x = torch.tensor(images(at, seen)[place : place + 1]).double()
    start = gaps(at, seen, "full").best.rows(slice(place, place + 1))
    return amortization_gap.refined_flow(latent_plane(at), x, start)


class Density(NamedTuple):
    """p(z | x) of one image on a lattice."""

    first: np.ndarray  # (W,)
    second: np.ndarray  # (H,)
    density: np.ndarray  # (H, W)


@kept(8_000_000, _bytes, key=_key)
def density(at: Moment, seen: str, place: int) -> Density:
    """Round where it and the encoder's q lie."""
    x = images(at, seen)[place : place + 1]
    made = latent_plane(at).posterior(torch.tensor(x).double(), q(at, x), 72)
    return Density(*(part.numpy() for part in made))


def cloud(at: Moment, seen: str, place: int, count: int = 300) -> np.ndarray:
    """Draws (count, 2) of the flow."""
    bent = flow(at, seen, place)
    noise = torch.tensor(np.random.default_rng(0).standard_normal((count, 2)))
    return bent.draw(noise)[0].numpy()


def image_terms(at: Moment, made: Gaps, place: int, best: bool) -> Decomposition:
    """One image's evidence and its terms under the encoder's q, or under the best one."""
    looked = (made.best if best else made.encoder).rows(slice(place, place + 1))
    gap = made.parts.approximation[place] if best else made.parts.total[place]
    evidence, entropy, kl_prior = (
        float(made.log_evidence[place]),
        float(looked.log_sds.sum() + 0.5 * looked.means.shape[1] * (1.0 + LOG_2PI)),
        float(looked.kl().sum()),
    )
    elbo = float(made.elbo[place]) + (float(made.parts.amortization[place]) if best else 0.0)
    return Decomposition(
        evidence,
        elbo,
        float(gap),
        elbo - entropy,
        entropy,
        elbo + kl_prior,
        kl_prior,
        error=float(made.parts.error[place]),
    )
