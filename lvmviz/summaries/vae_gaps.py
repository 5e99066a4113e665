"""The gap of a VAE's encoder as small NumPy arrays: in parts, and with every q of one datum; nats."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from lvmviz import iwae
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
TOGETHER = 24  # data that are split at once
REACH, APART, FINEST = 6.5, 0.5, 2  # of q's nodes for IWAE, in its sds; how often they are halved at most
AGREED = 1e-6  # nats

SEEN = ("Test data", "Training data")
CHANGED = ("Inverted", "Upside down", "Shifted by two pixels")  # of images, which no training showed
FAR, TIMES = "Three times as far", 3.0  # of rows of numbers, from their mean


def seen_options(at: Moment) -> tuple[str, ...]:
    """What the encoder may be asked about."""
    if is_images(at.vae):
        return (*SEEN, *CHANGED)
    return (*SEEN, FAR) if isinstance(at.vae.likelihood, GaussianNoise) else SEEN


def images(at: Moment, seen: str, count: int = BARS, first: int = 0) -> np.ndarray:
    """Some data (n, D) as the likelihood sees them, changed as `seen` says."""
    x = half(at.vae, "train" if seen == "Training data" else "test").x[first : first + count]
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
def gaps(at: Moment, seen: str, posterior: str, count: int = BARS, first: int = 0) -> Gaps:
    """Of so many images: the encoder's gap and its parts, against the best q of a Gaussian family."""
    x = images(at, seen, count, first)
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


def pieces(at: Moment, seen: str, posterior: str) -> list[Callable[[], Parts]]:
    """The gaps of many images, piece by piece."""
    count = min(MANY, len(half(at.vae, "train" if seen == "Training data" else "test").x))
    return [
        lambda first=first: gaps(at, seen, posterior, min(TOGETHER, count - first), first).parts
        for first in range(0, count, TOGETHER)
    ]


def joined(some: Sequence[Parts]) -> Parts:
    """The parts of all data of some pieces."""
    return Parts(*(np.concatenate(side) for side in zip(*some, strict=True)))


class Left(NamedTuple):
    """What the importance weighted bound of K draws leaves under the encoder's q."""

    each: np.ndarray  # (n,) nats
    error: np.ndarray  # (n,) between two rules


@kept(8_000_000, _bytes, key=_key)
def iwae_leaves(at: Moment, seen: str, draws: int) -> Left:
    """log p(x) less the bound, by quadrature: nodes over q's plane, until those between them agree."""
    made, x = gaps(at, seen, families(at)[0]), torch.tensor(images(at, seen)).double()
    one, other = (_bound(at, x, made.encoder, draws, APART, shift) for shift in (0.0, 0.5))
    for level in range(1, FINEST + 1):
        (rows,) = (~(np.abs(one - other) <= AGREED)).nonzero()
        if not len(rows):
            break
        some = x[rows], made.encoder.rows(torch.from_numpy(rows)), draws, APART / 2**level
        one[rows], other[rows] = (_bound(at, *some, shift) for shift in (0.0, 0.5))
    return Left(np.maximum(made.log_evidence - one, 0.0), np.abs(one - other) + made.parts.error)


def _bound(at: Moment, x: torch.Tensor, q: Q, draws: int, apart: float, shift: float) -> np.ndarray:
    """The bound of n data by nodes so far apart, nats (n,)."""
    count = round(REACH / apart)
    line = (torch.arange(-count, count + 1, dtype=torch.float64) + shift) * apart
    noise = torch.cartesian_prod(line, line)  # (E, 2)
    chances = torch.softmax(-0.5 * noise.square().sum(1), 0)
    z = q.means[:, None] + noise @ q.scale_tril().mT
    log_q = -0.5 * noise.square().sum(1) - LOG_2PI - q.log_sds.sum(1, keepdim=True)
    with torch.no_grad():
        log_weights = latent_plane(at).model.log_joint(x, z) - log_q
    return iwae.bound(log_weights.numpy(), chances.numpy(), draws)


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
