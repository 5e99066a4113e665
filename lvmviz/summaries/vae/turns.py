"""The next minibatches of a training, as one of their examples sees them: from x to Adam's update."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from lvmviz.algorithms.vae import VAEWeights
from lvmviz.core import Key, fold_in, generator
from lvmviz.descent import FusedAdam
from lvmviz.observations import halves
from lvmviz.summaries.vae.moment import Moment

TURNS = 6


class Turn(NamedTuple):
    """One minibatch; nats. What is told of the example is before the update, but for `after`."""

    x: np.ndarray  # (D,) as the likelihood sees it
    mean: np.ndarray  # (latent,) of q
    sd: np.ndarray  # (latent,) the diagonal of L, where q has covariance L L'
    noise: np.ndarray  # (latent,) N(0, I): the first of the example's S draws
    z: np.ndarray  # (latent,) = mean + L noise
    decoded: np.ndarray  # (D,) E[x | z]
    reconstruction: float  # log p(x | z)
    kl: float  # KL(q || N(0, I))
    beta: float  # its weight in what is climbed
    slope_mean: np.ndarray  # (latent,) of reconstruction - beta KL
    slope_sd: np.ndarray  # (latent,)
    encoder_slope: float  # length of the gradient of the minibatch's loss
    decoder_slope: float
    encoder_step: float  # length of Adam's step
    decoder_step: float  # 0 where only the encoder has its turn
    after: float  # log p(x | z) - KL with the same noise, after the update

    @property
    def elbo(self) -> float:
        """log p(x | z) - KL by the one draw."""
        return self.reconstruction - self.kl


def turns(at: Moment, row: int, batches: int, key: Key = 0, count: int = TURNS) -> tuple[Turn, ...]:
    """The next `count` minibatches after so many `batches`, each with the training example `row` in it.

    Adam begins anew: what it remembers is not kept in a snapshot. The other examples are drawn by the key.
    """
    return _turns(_Asked(at, row, batches, key, count))


class _Asked:
    """What the turns follow from, to be found again by it."""

    def __init__(self, at: Moment, row: int, batches: int, draw: Key, count: int) -> None:
        self.at, self.row, self.batches, self.draw, self.count = at, row, batches, draw, count
        self.key = (*at.key, row, batches, draw, count)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Asked) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


@functools.lru_cache(maxsize=32)
def _turns(asked: _Asked) -> tuple[Turn, ...]:
    vae, weights = asked.at.vae, asked.at.weights
    blank = VAEWeights(*map(torch.zeros_like, weights))
    climb = FusedAdam(weights, blank, blank, torch.zeros(2, dtype=torch.int64), vae.learning_rate)
    return tuple(
        _turn(asked, climb, x, fold_in(asked.draw, 2 + k), asked.batches + k)
        for k, x in enumerate(_minibatches(asked))
    )


def _minibatches(asked: _Asked) -> Iterator[Tensor]:
    """The example first, then others in an order drawn by the key, again and again from its start."""
    vae = asked.at.vae
    train = halves(vae.data, vae.likelihood, vae.held_out, "cpu").train
    order = torch.randperm(len(train), generator=generator(fold_in(asked.draw, 1)), device="cpu")
    others = order[order != asked.row]
    own, size = torch.tensor([asked.row]), min(vae.batch, len(train)) - 1
    for k in range(asked.count):
        places = torch.arange(k * size, (k + 1) * size) % max(len(others), 1)
        yield train[torch.cat([own, others[places]])]


def _turn(asked: _Asked, climb: FusedAdam, x: Tensor, key: Key, batches: int) -> Turn:
    vae = asked.at.vae
    shape = vae.draws, len(x), vae.latent
    noise = torch.randn(shape, generator=generator(key), dtype=torch.float32, device="cpu")
    both = (batches + 1) % vae.encoder_steps == 0
    before, beta = VAEWeights(*(part.clone() for part in climb.weights)), vae.beta_at(batches)
    leaves = VAEWeights(*climb.leaves(2))
    loss, _ = vae.loss(leaves, x, noise, beta)
    slopes = torch.autograd.grad(loss, list(leaves), retain_graph=True)
    told = _seen(asked.at, before, x[:1], noise[:1, :1], beta)
    climb.step(loss, 1 + both)
    now = VAEWeights(*climb.weights)
    steps = [float((new - old).norm()) for new, old in zip(now, before, strict=True)]
    return Turn(
        **told,
        encoder_slope=float(slopes[0].norm()),
        decoder_slope=float(slopes[1].norm()),
        encoder_step=steps[0],
        decoder_step=steps[1],
        after=_elbo(asked.at, now, x[:1], noise[:1, :1]),
    )


def _seen(at: Moment, weights: VAEWeights, x: Tensor, noise: Tensor, beta: float) -> dict[str, Any]:
    """Of a turn what is the example's own, before the update."""
    vae = at.vae
    told = vae.encode(weights, x)
    means, sds = told.means.detach().requires_grad_(), told.log_sds.detach().exp().requires_grad_()
    below = None if told.below is None else told.below.detach()
    q = told._replace(means=means, log_sds=sds.log(), below=below)
    z = q.sample(noise)
    output = vae.decode(weights, z)
    fit, kl = vae.likelihood.log_prob(output, x, vae.own(weights)).sum(), q.kl().sum()
    slope_mean, slope_sd = torch.autograd.grad(fit - beta * kl, [means, sds])
    arrays = {
        "x": x[0], "mean": means[0], "sd": sds[0], "noise": noise[0, 0], "z": z[0, 0],
        "decoded": vae.likelihood.mean(output)[0, 0],
        "slope_mean": slope_mean[0], "slope_sd": slope_sd[0],
    }  # fmt: skip
    numbers = {"reconstruction": float(fit.detach()), "kl": float(kl.detach()), "beta": beta}
    return {name: _array(part) for name, part in arrays.items()} | numbers


def _elbo(at: Moment, weights: VAEWeights, x: Tensor, noise: Tensor) -> float:
    with torch.no_grad():
        terms = at.vae.terms(weights, x, noise)
    return float(terms.reconstruction.sum() - terms.kl.sum())


def _array(part: Tensor) -> np.ndarray:
    return part.detach().numpy().astype(float)
