"""The latent plane of one snapshot to walk on: decoded grids, where the data lie, one pinned image.

Nats; x is what the likelihood sees. What is drawn is float32, what is a number is float64.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.spatial import KDTree

from lvmviz.algorithms.vae import VAEWeights
from lvmviz.core import generator
from lvmviz.divergences import Decomposition
from lvmviz.kept import kept
from lvmviz.latent_model import LOG_2PI
from lvmviz.likelihoods import Bernoulli, ContinuousBernoulli
from lvmviz.summaries.latent_view import View
from lvmviz.summaries.vae.evidence import latent_model, latent_plane, told
from lvmviz.summaries.vae.moment import Half, Moment, decode, exact_possible, half, q
from lvmviz.summaries.vae.pictures import all_means

KEPT = 64_000_000  # bytes of each kind of grid that are kept
DRAWS, SEED = 1000, 0  # of the estimates beside what is exact
WIDE = 0.25  # standard deviation of the bump that a training image is on the plane
DENSE = 12.0  # training images' bumps, in units of one bump's height, at which ink is full


def _of(at: Moment, *more: object) -> tuple[object, ...]:
    return (*at.key, *more)


def _bytes(made: Any) -> int:
    return made.nbytes if isinstance(made, np.ndarray) else sum(part.nbytes for part in made)


@kept(KEPT, _bytes, key=_of)
def tiles(at: Moment, view: View, side: int) -> np.ndarray:
    """Decoded images (side, side, H, W) of the view, uint8; row 0 is the lowest."""
    decoded = decode(at, view.whole(view.points(side)))
    shape = at.vae.data.examples().shape
    return np.rint(255.0 * np.clip(decoded, 0.0, 1.0)).astype(np.uint8).reshape(side, side, *shape)


def train_means(at: Moment) -> np.ndarray:
    """The means (n, latent) of the training images' q's."""
    return np.asarray(all_means(at, "train"))


class Presence(NamedTuple):
    """Where training images live, on a grid."""

    amount: np.ndarray  # (side, side) from 0, none, to 1, many
    shares: np.ndarray  # (side, side, K) of the classes; none where there are no labels


@kept(KEPT, _bytes, key=_of)
def presence(at: Moment, view: View, side: int) -> Presence:
    """How many training images lie round the middle of every tile, and of which classes."""
    means, labels = view.seen(train_means(at)), half(at.vae, "train").labels
    weights = [_bumps(means, view, side)] if labels is None else [
        _bumps(means[labels[: len(means)] == label], view, side) for label in range(int(labels.max()) + 1)
    ]  # fmt: skip
    by_class = np.stack(weights, -1)
    total = by_class.sum(-1)
    shares = (by_class + 1e-12) / (total[..., None] + 1e-12 * len(weights))
    amount = 1.0 - np.exp(-total * 1437.0 / max(len(means), 1) / DENSE)
    return Presence(amount, shares if labels is not None else shares[..., :0])


def _bumps(means: np.ndarray, view: View, side: int) -> np.ndarray:
    """The sum (side, side) of a Gaussian bump of height 1 at every mean; the product of two axes' bumps."""
    first, second = (
        np.exp(-0.5 * ((line[:, None] - means[:, k]) / WIDE) ** 2) for k, line in enumerate(view.line(side))
    )
    return second @ first.T


@kept(KEPT, _bytes, key=_of)
def holes(at: Moment, view: View, side: int) -> np.ndarray:
    """The aggregated posterior's density minus the prior's (side, side), of the two latents drawn."""
    some = half(at.vae, "train").x[:3000]
    looked = q(at, some)
    factor = np.swapaxes(view.seen(np.swapaxes(looked.scale_tril().numpy(), 1, 2)), 1, 2)  # (n, 2, latent)
    covariance = factor @ np.swapaxes(factor, 1, 2)
    means = view.seen(looked.means.numpy())
    return _mixture(means, covariance, view.points(side)) - _normal(view.points(side))


def _mixture(means: np.ndarray, covariance: np.ndarray, z: np.ndarray) -> np.ndarray:
    """The mean density (...) at z (..., 2) of Gaussians (n, 2), (n, 2, 2)."""
    flat, total = z.reshape(-1, 2), np.zeros(z[..., 0].size)
    inverse, root = np.linalg.inv(covariance), np.sqrt(np.linalg.det(covariance))
    for start in range(0, len(means), 200):
        at = slice(start, start + 200)
        away = flat[:, None] - means[at]
        square = np.einsum("mni,nij,mnj->mn", away, inverse[at], away)
        total += (np.exp(-0.5 * square) / (2.0 * math.pi * root[at])).sum(1)
    return (total / len(means)).reshape(z.shape[:-1])


def _normal(z: np.ndarray) -> np.ndarray:
    """The density (...) of N(0, I) at z (..., 2)."""
    return np.exp(-0.5 * (z**2).sum(-1)) / (2.0 * math.pi)


def varies(at: Moment) -> bool:
    """Whether the variance of x given z depends on z; with Gaussian noise it is the same everywhere."""
    return isinstance(at.vae.likelihood, (Bernoulli, ContinuousBernoulli))


@kept(KEPT, _bytes, key=_of)
def uncertainty(at: Moment, view: View, side: int) -> np.ndarray:
    """Mean over the pixels of the variance (side, side) of x given z, where that depends on z.

    In an exponential family p(x) = exp(x output) / C(output) it is the slope of the mean in the output.
    """
    z = torch.tensor(view.whole(view.points(side)))
    with torch.no_grad():
        output = at.vae.decode(VAEWeights(*(part.double() for part in at.weights)), z)
    output.requires_grad_()
    (slope,) = torch.autograd.grad(at.vae.likelihood.mean(output).sum(), output)
    return slope.mean(-1).numpy()


def walk(start: np.ndarray, end: np.ndarray, path: str, frames: int) -> np.ndarray:
    """z (frames, d) from start to end: along a "Line", or turning about 0 on a "Sphere" (Shoemake, 1985)."""
    share = np.linspace(0.0, 1.0, frames)[:, None]
    first, last = float(np.linalg.norm(start)), float(np.linalg.norm(end))
    if path == "Line" or min(first, last) < 1e-9:
        return start + share * (end - start)
    angle = math.acos(float(np.clip(start @ end / (first * last), -1.0, 1.0)))
    if math.sin(angle) < 1e-6:  # one direction, or opposite ones: no turn is the shortest
        return start + share * (end - start)
    turned = np.sin((1.0 - share) * angle) * start / first + np.sin(share * angle) * end / last
    return turned / math.sin(angle) * (first + share * (last - first))


# ---- one image ----


class Estimates(NamedTuple):
    """Means over S draws of q, nats, each with its standard error."""

    log_evidence: tuple[float, float]  # of importance weights: too low on average
    elbo: tuple[float, float]
    likelihood: tuple[float, float]
    kl_prior: tuple[float, float]


class Image(NamedTuple):
    """One image and what is known of it."""

    x: np.ndarray  # (D,)
    mean: np.ndarray  # (latent,) of q
    factor: np.ndarray  # (latent, latent) lower triangular, covariance = factor factor'
    terms: Decomposition  # exact where that is possible, else by importance weights
    error: float  # how far two rules differ; of an estimate the standard error of log p(x)
    exact: bool
    rough: Estimates


class Density(NamedTuple):
    """p(z | x) on a lattice."""

    first: np.ndarray  # (W,)
    second: np.ndarray  # (H,)
    density: np.ndarray  # (H, W)


def image(at: Moment, x: np.ndarray) -> Image:
    """What is known of one prepared x (D,)."""
    looked, known = q(at, x[None]), told(at, x[None], SEED, DRAWS)
    return Image(x, looked.means[0].numpy(), looked.scale_tril()[0].numpy(), known.mean(),
                 float(known.error[0]), known.exact, estimates(at, x))  # fmt: skip


def estimates(at: Moment, x: np.ndarray) -> Estimates:
    """log p(x) and the ELBO's terms of one x (D,) by the same draws of its q."""
    with torch.no_grad():
        looked, model = q(at, x[None]), latent_model(at)
        shape = DRAWS, 1, at.vae.latent
        z = looked.sample(torch.randn(shape, generator=generator(SEED), dtype=torch.float64, device="cpu"))
        joint = model.log_joint(torch.tensor(x[None], dtype=torch.float64), z.transpose(0, 1))[0]
        prior = -0.5 * (z[:, 0].square() + LOG_2PI).sum(1)
        log_q = looked.log_prob(z[:, 0])[0]
    weights = (joint - log_q).numpy()
    share = np.exp(weights - weights.max())
    evidence = float(weights.max() + math.log(share.mean()))
    error = float((share / share.mean()).std(ddof=1) / math.sqrt(DRAWS))
    means = (weights, (joint - prior).numpy(), (log_q - prior).numpy())
    return Estimates((evidence, error), *(_mean(part) for part in means))


def _mean(values: np.ndarray) -> tuple[float, float]:
    return float(values.mean()), float(values.std(ddof=1) / math.sqrt(len(values)))


def density(at: Moment, x: np.ndarray, nodes: int = 64) -> Density:
    """p(z | x) of one x (D,) where it is an integral that quadrature does."""
    if not exact_possible(at.vae):
        raise ValueError("p(z | x) is drawn for two latents and a decoder without kinks")
    with torch.no_grad():
        made = latent_plane(at).posterior(torch.tensor(x[None], dtype=torch.float64), q(at, x[None]), nodes)
    return Density(*(part.numpy() for part in made))


def nearest(at: Moment, z: np.ndarray) -> int:
    """The place among the training images of the one whose q has its mean nearest to z (latent,)."""
    return int(KDTree(train_means(at)).query(z)[1])


def log_prior(z: np.ndarray) -> float:
    """log p(z) of one z (latent,), nats."""
    return float(-0.5 * (z @ z + len(z) * LOG_2PI))


def named(at: Moment, half: Half, name: str, place: int) -> str:
    """An example as a person says it: "test 1598: 0"."""
    names = at.vae.data.examples().label_names
    row = f"{name} {int(half.rows[place])}"
    return row if half.labels is None else f"{row}: {names[int(half.labels[place])]}"
