"""Variational autoencoders: an encoder and a decoder that climb the ELBO together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lvmviz.amortized import POSTERIORS, Q, q_of, q_size
from lvmviz.backprop import Bound, stack
from lvmviz.core import Algorithm, Key, choice, fold_in, generator, knob
from lvmviz.descent import FusedAdam
from lvmviz.latent_model import LatentModel
from lvmviz.likelihoods import Bernoulli, Likelihood
from lvmviz.networks import MLP, Network
from lvmviz.observations import SPLIT, DigitImages, Halves, Observations, halves

WATCHED = 256  # examples of each half that the numbers told are averages over
ACTIVE = 0.01  # a latent is active when the variance of its mean over the data is above this


class VAEWeights(NamedTuple):
    """Everything that is learned."""

    encoder: Tensor  # (P,) float32
    decoder: Tensor  # (R,) float32, the likelihood's own numbers last


class Sizes(NamedTuple):
    """How many numbers each part of the weights has."""

    encoder: int
    decoder: int


class VAEState(NamedTuple):
    """The weights, what Adam remembers of them, and where in the data the training stands."""

    weights: VAEWeights
    first: VAEWeights  # running averages of the gradient; empty in a state that is only shown
    second: VAEWeights  # and of its square
    updates: Tensor  # (2,) int64, of encoder and decoder
    batches: Tensor  # () int64, minibatches seen
    shuffle: Tensor  # () int64, the key of this epoch's order
    kl: Tensor  # (latent,) float32, nats, mean over training examples, by coordinates of z
    lost: Tensor  # () int64: 0, or 1 + the place in `CAUSES` of what was not finite first


class VAEInfo(NamedTuple):
    """The numbers after a step, nats per example, means over up to 256 examples of each half.

    The noise they are measured with is always the same. `elbo` is the bound itself, whatever beta is.
    """

    iteration: int  # minibatches seen
    epoch: float
    elbo: float
    reconstruction: float  # E_q[log p(x | z)]
    kl: float  # KL(q(z | x) || p(z))
    test_elbo: float
    test_reconstruction: float
    test_kl: float
    active: int  # latents whose mean differs from example to example
    noise: float  # the likelihood's standard deviation, 0 where it has none
    beta: float  # the weight of the KL in the next minibatch
    status: str  # "training", or the sentence why it stopped


CAUSES = ("the reconstruction", "the KL", "a weight")


class Terms(NamedTuple):
    """The ELBO's terms for n examples, nats; elbo = reconstruction - kl."""

    reconstruction: Tensor  # (n,)
    kl: Tensor  # (n, latent)


@choice
class TrainVAE(Algorithm):
    """A variational autoencoder: climb the ELBO of all examples with one encoder for all their q's.

    ELBO(x) = E_q(z|x)[log p(x | z)] - KL(q(z | x) || p(z)), z ~ N(0, I), by draws z = mean + L noise and
    Adam (Kingma and Welling, 2014; Rezende, Mohamed and Wierstra, 2014; Kingma and Ba, 2015). What is climbed
    weighs the KL by beta, which warms up from 0 (Bowman et al., 2016; Higgins et al., 2017), and lets every
    latent have its first nats for nothing (free bits, Kingma et al., 2016). One step is an epoch, or
    `batches` minibatches of it where it has more.
    """

    title = "VAE"
    data: Observations = knob(DigitImages(), help="What to learn a model of.", label="Data")
    encoder: Network = knob(MLP(), help="The network from x to q(z | x).", more=True)
    decoder: Network = knob(MLP(), help="The network from z to p(x | z).", more=True)
    likelihood: Likelihood = knob(Bernoulli(), help="How data scatter round what the decoder says.")
    latent: int = knob(2, 1, 32, "How many numbers z has.", label="Latents")
    posterior: str = knob(
        "mean-field", help="Whether q may have correlations.", label="q", options=POSTERIORS, more=True
    )
    beta: float = knob(1.0, 0.0, 20.0, "The weight of the KL; 1 is the ELBO.", label="β")
    warm_up: float = knob(0.0, 0.0, 500.0, "Epochs in which β grows from 0.", label="Warm-up", more=True)
    free_bits: float = knob(0.0, 0.0, 5.0, "Nats of KL that each latent has for nothing.", more=True)
    encoder_steps: int = knob(1, 1, 20, "Encoder updates for each of the decoder.", more=True)
    kl: str = knob("analytic", help="Where the KL comes from: its formula, or the draws of z.", label="KL",
                   options=("analytic", "sampled"), more=True)  # fmt: skip
    draws: int = knob(1, 1, 64, "Draws of z for each example.", label="Draws S", more=True)
    learning_rate: float = knob(1e-3, 1e-6, 10.0, "About how far a weight moves at once.",
                                scale="log", more=True)  # fmt: skip
    batch: int = knob(128, 1, 4096, "Examples in a minibatch.", label="Minibatch", scale="log", more=True)
    batches: int = knob(100, 1, 1000, "Minibatches in a step at most.", scale="log", more=True)
    held_out: float = knob(0.2, 0.0, 0.5, "The share of the data that is the test set.", more=True)

    def init(self, key: Key) -> tuple[VAEState, VAEInfo]:
        halves = self._halves()
        device, outer, inner = halves.train.device, halves.shape, (self.latent,)
        encoder = self.encoder.init(fold_in(key, 1), outer, (q_size(self.latent, self.posterior),))
        decoder = self.decoder.init(fold_in(key, 2), inner, outer)
        weights = VAEWeights(encoder.to(device), torch.cat([decoder, self.likelihood.init()]).to(device))
        blank = VAEWeights(*map(torch.zeros_like, weights))
        kl = torch.zeros(self.latent, dtype=torch.float32, device="cpu")
        moments = blank, VAEWeights(*map(torch.zeros_like, weights))
        return self._told(VAEState(weights, *moments, _count(0, 0), _count(), _count(), kl, _count()))

    def step(self, key: Key, state: VAEState) -> tuple[VAEState, VAEInfo]:
        epoch, at = divmod(int(state.batches), self._epoch())
        if at == 0:
            state = state._replace(shuffle=_count(fold_in(key, 1) % 2**63))
        return self._told(self._train(fold_in(key, 2), state, at), state)

    def finished(self, state: VAEState, info: VAEInfo) -> bool:
        return bool(state.lost)

    def shown(self, state: VAEState) -> VAEState:
        """The state without what Adam remembers."""
        none = VAEWeights(*(part[:0].clone() for part in state.weights))
        return state._replace(first=none, second=none)

    def effort(self) -> float:
        """Three passes through both networks for each draw, and what a minibatch costs beside them."""
        rows, width = self.data.examples().x.shape
        shape, inner = self.data.examples().shape, (self.latent,)
        batches = min(self.batches, math.ceil(rows * (1.0 - self.held_out) / self.batch))
        told = self.encoder.flops(shape, (q_size(self.latent, self.posterior),))
        one = 3.0 * (told + self.draws * (self.decoder.flops(inner, shape) + 30.0 * width))
        return batches * (min(self.batch, rows) * one + 3e6) + 2.0 * WATCHED * one / 3.0

    # ---- the model ----

    def sizes(self) -> Sizes:
        """How many weights encoder and decoder have."""
        shape, inner = self.data.examples().shape, (self.latent,)
        encoder = self.encoder.count(shape, (q_size(self.latent, self.posterior),))
        return Sizes(encoder, self.decoder.count(inner, shape) + len(self.likelihood.init()))

    def encode(self, weights: VAEWeights, x: Tensor) -> Q:
        """q(z | x) for prepared x (n, D), in the weights' type."""
        size = (q_size(self.latent, self.posterior),)
        shape = self.data.examples().shape
        return q_of(self.encoder.forward(weights.encoder, x, shape, size), self.latent, self.posterior)

    def decode(self, weights: VAEWeights, z: Tensor) -> Tensor:
        """The decoder's outputs (..., D) for z (..., latent); the likelihood says what they mean."""
        shape = self.data.examples().shape
        network, _ = self._decoder(weights)
        return self.decoder.forward(network, z, (self.latent,), shape)

    def own(self, weights: VAEWeights) -> Tensor:
        """The likelihood's own numbers (k,)."""
        return self._decoder(weights)[1]

    def terms(self, weights: VAEWeights, x: Tensor, noise: Tensor, kl: str = "analytic") -> Terms:
        """The ELBO's terms for prepared x (n, D) by standard normal noise (S, n, latent)."""
        q = self.encode(weights, x)
        z = q.sample(noise)
        reconstruction = self.likelihood.log_prob(self.decode(weights, z), x, self.own(weights)).mean(0)
        return Terms(reconstruction, q.kl() if kl == "analytic" else q.sampled_kl(z, noise).mean(0))

    def model(self, weights: VAEWeights) -> LatentModel:
        """The decoder and its prior in float64 on the CPU, for what is exact."""
        exact = VAEWeights(*(part.detach().to("cpu", torch.float64) for part in weights))
        own = self.own(exact)
        return LatentModel(
            lambda z: self.likelihood.natural(self.decode(exact, z), own),
            lambda x: self.likelihood.base(x, own),
        )

    def beta_at(self, batches: int) -> float:
        """The weight of the KL after so many minibatches."""
        return self.beta * min(1.0, batches / (self.warm_up * self._epoch())) if self.warm_up else self.beta

    def loss(self, weights: VAEWeights, x: Tensor, noise: Tensor, beta: float) -> tuple[Tensor, Terms]:
        """What Adam makes smaller: minus the mean of reconstruction - beta max(KL, free bits)."""
        terms = self.terms(weights, x, noise, self.kl)
        kl = terms.kl.mean(0)
        if self.free_bits > 0.0:
            kl = kl.clamp(min=self.free_bits)
        return beta * kl.sum() - terms.reconstruction.mean(), terms

    def _decoder(self, weights: VAEWeights) -> tuple[Tensor, Tensor]:
        count = self.decoder.count((self.latent,), self.data.examples().shape)
        return weights.decoder[:count], weights.decoder[count:]

    # ---- training ----

    def _train(self, key: Key, state: VAEState, at: int, by_hand: bool = True) -> VAEState:
        """The state after the minibatches of this epoch from `at` on."""
        train, start = self._halves().train, int(state.batches)
        order = torch.randperm(len(train), generator=generator(int(state.shuffle)), device="cpu")
        rows = order[at * self.batch : (at + self.batches) * self.batch]
        x = train[rows.to(train.device)].split(self.batch)  # one gather for all minibatches
        noise = self._noise(key, self.draws, len(rows)).to(train.device)
        climb, seen = FusedAdam(*state[:4], self.learning_rate), []
        slopes = [torch.zeros_like(part) for part in climb.weights]
        bound = self._bound(climb.weights, slopes) if by_hand else None
        for k, (some, draws) in enumerate(zip(x, noise.split(self.batch, 1), strict=True)):
            both = (start + k + 1) % self.encoder_steps == 0
            if bound is not None:
                bound.descend(some, draws, self.beta_at(start + k), both)
                climb.move(slopes, 1 + both)
                continue
            leaves = VAEWeights(*climb.leaves(1 + both))
            loss, terms = self.loss(leaves, some, draws, self.beta_at(start + k))
            climb.step(loss, 1 + both)
            seen.append(terms)
        weights, first, second = (VAEWeights(*p) for p in (climb.weights, climb.first, climb.second))
        new = VAEState(weights, first, second, climb.updates(), state.batches + len(x), *state[5:])
        cause = _cause(seen, new.weights)
        if cause and bound is not None:
            return self._train(key, state, at, by_hand=False)  # which sees what was not finite first
        return state._replace(lost=_count(cause)) if cause else new

    def _bound(self, weights: Sequence[Tensor], slopes: Sequence[Tensor]) -> Bound | None:
        """The loss with its gradient by hand, on weights that Adam moves; None where autograd must do."""
        plain = self.posterior == "mean-field" or self.latent == 1
        if not plain or self.kl != "analytic" or len(self.likelihood.init()):
            return None
        outer, inner = self.data.examples().shape, (self.latent,)
        told = (q_size(self.latent, self.posterior),)
        encoder = stack(self.encoder, outer, told, weights[0], slopes[0])
        decoder = stack(self.decoder, inner, outer, weights[1], slopes[1])
        if encoder is None or decoder is None:
            return None
        return Bound(encoder, decoder, self.likelihood, self.free_bits)

    def _told(self, state: VAEState, before: VAEState | None = None) -> tuple[VAEState, VAEInfo]:
        """The state with its numbers, or the one before where they are not finite."""
        with torch.no_grad():
            train, test, kl, means = self._measured(state.weights)
        numbers = train[0] - train[1], *train, test[0] - test[1], *test
        if not all(map(math.isfinite, numbers)):
            return self._told(self._refused(numbers, before))
        batches, cause = int(state.batches), int(state.lost)
        info = VAEInfo(
            batches,
            batches / self._epoch(),
            *numbers,
            active=int((means.var(0, correction=0) > ACTIVE).sum()),
            noise=self.likelihood.noise(self.own(state.weights)),
            beta=self.beta_at(batches),
            status=self._why(cause, batches) if cause else "training",
        )
        return state._replace(kl=kl.cpu()), info

    def _refused(self, numbers: tuple[float, ...], before: VAEState | None) -> VAEState:
        """The state before, marked as lost; a ValueError where there is none."""
        if before is None:
            raise ValueError(
                f"the ELBO is {numbers[0]:g} at the start: scale the data, or choose a wider noise"
            )
        return before._replace(lost=_count(1 if not math.isfinite(numbers[1] + numbers[4]) else 2))

    def _measured(self, weights: VAEWeights) -> tuple[list[float], list[float], Tensor, Tensor]:
        """Both halves' mean reconstruction and KL; of training ones each latent's KL and the means of q."""
        halves = [half[:WATCHED] for half in self._halves()[:2]]
        x = torch.cat(halves)
        noise = torch.cat([self._noise(fold_in(SPLIT, 1), 1, len(half)) for half in halves], 1).to(x.device)
        q = self.encode(weights, x)
        output = self.decode(weights, q.sample(noise))
        reconstruction = self.likelihood.log_prob(output, x, self.own(weights)).mean(0)
        sizes = [len(half) for half in halves]
        kl = [part.mean(0) for part in q.kl().split(sizes)]
        told = [part.mean() for part in reconstruction.split(sizes)] + [part.sum() for part in kl]
        numbers = torch.stack(told).tolist()
        return numbers[::2], numbers[1::2], kl[0], q.means[: sizes[0]]

    def _why(self, cause: int, batches: int) -> str:
        epoch = 1 + batches // self._epoch()
        return (
            f"stopped: {CAUSES[cause - 1]} was not finite in epoch {epoch}; the state before it is kept. "
            f"Lower the learning rate ({self.learning_rate:g}), or warm up."
        )

    def _noise(self, key: Key, draws: int, rows: int) -> Tensor:
        shape = draws, rows, self.latent
        return torch.randn(shape, generator=generator(key), dtype=torch.float32, device="cpu")

    def _epoch(self) -> int:
        """Minibatches in an epoch."""
        return math.ceil(len(self._halves().train) / self.batch)

    def _halves(self) -> Halves:
        return halves(self.data, self.likelihood, self.held_out, str(torch.get_default_device()))


def _cause(seen: Sequence[Terms], weights: VAEWeights) -> int:
    """0 where all is finite, else 1 + the place in CAUSES of what was not finite first."""
    every = (torch.cat([part.detach().flatten() for part in side]) for side in zip(*seen, strict=True))
    if not all(bool(part.isfinite().all()) for part in every):
        return next(1 + k for terms in seen for k, part in enumerate(terms) if not part.isfinite().all())
    return 0 if all(bool(part.isfinite().all()) for part in weights) else 3


def _count(*numbers: int) -> Tensor:
    """Whole numbers on the CPU: () where one or none is given."""
    told = numbers[0] if len(numbers) == 1 else list(numbers) or 0
    return torch.tensor(told, dtype=torch.int64, device="cpu")
