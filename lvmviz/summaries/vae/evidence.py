"""log p(x) of a half of the data at one snapshot: exact where it can be, else an estimate that says so.

The examples are taken in parts, as many as a page has time for; what is done is kept.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lvmviz.algorithms.vae import TrainVAE, VAEWeights
from lvmviz.amortized import Q
from lvmviz.divergences import Decomposition
from lvmviz.latent import LatentPlane
from lvmviz.latent_model import LOG_2PI, TOLERANCE, LatentModel, estimate
from lvmviz.summaries.vae.moment import Moment, exact_possible, half, q

MOST = 500  # examples that evidence is a mean over
PART = 180  # examples at once: what is decoded for one serves the others
AGREE = 1.2 * TOLERANCE  # of errors that are sums: the lattice's, and a tenth of it of the bound
DRAWS, SEED = 100, 0  # of an importance-weighted estimate


class Evidence(NamedTuple):
    """The evidence and its terms for n examples, nats."""

    log_evidence: np.ndarray  # (n,) log p(x)
    elbo: np.ndarray  # (n,)
    kl: np.ndarray  # (n,) KL(q || p(z | x)); of an estimate, log p - ELBO
    entropy: np.ndarray  # (n,) H(q)
    likelihood: np.ndarray  # (n,) E_q[log p(x | z)]
    kl_prior: np.ndarray  # (n,) KL(q || p(z))
    error: np.ndarray  # (n,) how far two rules differ; of an estimate, the standard error of log p
    draws: int  # of an estimate; 0 where it is exact

    @property
    def exact(self) -> bool:
        """Whether these are integrals, not estimates."""
        return self.draws == 0

    @property
    def settled(self) -> bool:
        """Whether two rules agree on every example."""
        return self.exact and bool((self.error <= AGREE).all())

    @property
    def standard_error(self) -> float:
        """Of the mean of an estimate, nats, for these examples; 0 where it is exact."""
        return 0.0 if self.exact else math.sqrt(float((self.error**2).sum())) / len(self.error)

    def mean(self) -> Decomposition:
        """The terms, means over the examples."""
        log_evidence, elbo, kl, entropy, likelihood, kl_prior = (float(np.mean(part)) for part in self[:6])
        error = float(self.error.mean()) if self.exact else self.standard_error
        return Decomposition(
            log_evidence, elbo, kl, elbo - entropy, entropy, likelihood, kl_prior, error=error
        )


def latent_model(at: Moment) -> LatentModel:
    """The decoder and its prior in float64, for what is exact."""
    return at.vae.model(at.weights)


def latent_plane(at: Moment, tolerance: float = TOLERANCE) -> LatentPlane:
    """The exact layer of a snapshot with two latents; the last few are kept."""
    return _plane(_ByKey(at), tolerance)


class _ByKey:
    """A moment as its key, to be found again by it."""

    def __init__(self, at: Moment) -> None:
        self.at = at

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ByKey) and self.at.key == other.at.key

    def __hash__(self) -> int:
        return hash(self.at.key)


@functools.lru_cache(maxsize=8)
def _plane(key: _ByKey, tolerance: float) -> LatentPlane:
    return LatentPlane(latent_model(key.at), tolerance)


@functools.lru_cache(maxsize=1024)
def _parts(id: str, step: int, name: str, rough: bool) -> dict[int, Evidence]:
    """A place for what is known of a snapshot, by the first example of every part."""
    return {}


def starts(algorithm: TrainVAE, name: str) -> range:
    """The first examples of the parts that a half is taken in."""
    return range(0, min(len(half(algorithm, name).x), MOST), PART)


def known(id: str, step: int, name: str, parts: int, rough: bool = False) -> Evidence | None:
    """What is known of a snapshot when all of it is; nothing is computed."""
    made = _parts(id, step, name, rough)
    return joined([made[start] for start in sorted(made)]) if len(made) >= parts else None


def advance(at: Moment, name: str, deadline: float, rough: bool = False) -> Evidence | None:
    """Go on until all is known or the deadline of time.monotonic() is over; None while some is missing.

    A `rough` one is an estimate also where log p(x) could be exact.
    """
    made, tell = _parts(*at.key, name, rough), estimated if rough else told
    for start in starts(at.vae, name):
        if start not in made:
            if time.monotonic() > deadline:
                return None
            made[start] = tell(at, half(at.vae, name).x[start : min(start + PART, MOST)], SEED + start)
    return joined([made[start] for start in sorted(made)])


def joined(parts: Sequence[Evidence]) -> Evidence:
    """Several parts as one."""
    return Evidence(*(np.concatenate(side) for side in zip(*(part[:7] for part in parts), strict=True)),
                    draws=parts[0].draws)  # fmt: skip


def told(at: Moment, x: np.ndarray, seed: int = SEED, draws: int = DRAWS) -> Evidence:
    """The evidence of prepared x (n, D) and its terms: exact where possible, else by `draws` draws."""
    with torch.no_grad():
        looked = q(at, x)
        rows = torch.tensor(x, dtype=torch.float64)
        return _exact(at, rows, looked) if exact_possible(at.vae) else estimated(at, x, seed, draws)


def _exact(at: Moment, x: Tensor, looked: Q) -> Evidence:
    made = latent_plane(at).decompose(x, looked)
    likelihood = made.elbo - _entropy(looked) - _prior(looked)
    parts = made.log_evidence, made.elbo, made.kl, _entropy(looked), likelihood, looked.kl().sum(1)
    return Evidence(*(part.numpy() for part in parts), error=made.error.numpy(), draws=0)


def estimated(at: Moment, x: np.ndarray, seed: int = SEED, draws: int = DRAWS) -> Evidence:
    """The same by importance weights and by draws of q: log p(x) is too low on average."""
    with torch.no_grad():
        looked, rows = q(at, x), torch.tensor(x, dtype=torch.float64)
        made = estimate(latent_model(at), rows, looked, draws, seed)
        likelihood = _by_draws(at, rows, looked, draws, seed + 1)
    kl_prior = looked.kl().sum(1)
    elbo = likelihood - kl_prior
    parts = made.log_evidence, elbo, made.log_evidence - elbo, _entropy(looked), likelihood, kl_prior
    return Evidence(*(part.numpy() for part in parts), error=made.standard_error.numpy(), draws=draws)


def _by_draws(at: Moment, x: Tensor, looked: Q, draws: int, seed: int) -> Tensor:
    """E_q[log p(x | z)] (n,) by draws."""
    source = torch.Generator().manual_seed(seed)
    shape = draws, *looked.means.shape
    z = looked.sample(torch.randn(shape, generator=source, dtype=torch.float64, device="cpu"))
    weights = VAEWeights(*(part.double() for part in at.weights))
    output = at.vae.decode(weights, z)
    return at.vae.likelihood.log_prob(output, x, at.vae.own(weights)).mean(0)


def _entropy(looked: Q) -> Tensor:
    """H(q) (n,), nats."""
    return looked.log_sds.sum(1) + 0.5 * looked.means.shape[1] * (1.0 + LOG_2PI)


def _prior(looked: Q) -> Tensor:
    """E_q[log p(z)] (n,), nats."""
    square = looked.means.square() + looked.sds().square()
    return -0.5 * (square + LOG_2PI).sum(1)
