"""The gaps of an encoder of one number as small NumPy arrays, and what it saves; nats."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lvmviz.algorithms.amortized_vi import AmortizedVI, OneLatentDecoder, climbed_from
from lvmviz.divergences import Decomposition
from lvmviz.kept import kept
from lvmviz.runs.job import Trace

SIDE = 3.2  # x and z that are drawn, to either side of 0
SHOWN = 97  # values of x
NODES = 161  # values of z
NEW = 33  # new x that the budget is measured on
INNER = 15  # steps of one datum's own climb
START = 0.5  # where it begins: at 0 a square decoder would look alike to both sides


class Landscape(NamedTuple):
    """The posterior of z for every x, and the best Gaussian."""

    x: np.ndarray  # (V,)
    z: np.ndarray  # (W,)
    density: np.ndarray  # (W, V) p(z | x)
    log_evidence: np.ndarray  # (V,)
    mean: np.ndarray  # (V,) of the best Gaussian
    sd: np.ndarray  # (V,)
    elbo: np.ndarray  # (V,) of the best Gaussian
    gap: np.ndarray  # (V,) KL of the best Gaussian: the approximation gap


def _x() -> Tensor:
    return torch.linspace(-SIDE, SIDE, SHOWN, dtype=torch.float64, device="cpu")


@functools.lru_cache(maxsize=32)
def landscape(decoder: OneLatentDecoder) -> Landscape:
    """Of one decoder at every drawn x; no encoder has a part in it."""
    return _landscape(decoder, _x())


@functools.lru_cache(maxsize=64)
def _there(decoder: OneLatentDecoder, x: float) -> Landscape:
    """The same at one x."""
    return _landscape(decoder, torch.tensor([x], dtype=torch.float64, device="cpu"))


def _landscape(decoder: OneLatentDecoder, x: Tensor) -> Landscape:
    z = torch.linspace(-SIDE, SIDE, NODES, dtype=torch.float64, device="cpu")
    evidence = decoder.log_evidence(x)
    mean, log_sd = decoder.best(x)
    density = (decoder.log_joint(x, z[:, None]) - evidence).exp()
    gap = decoder.gap(x, mean, log_sd).clamp(min=0.0)  # below 0 by rounding, where q is the posterior
    parts = (x, z, density, evidence, mean, log_sd.exp(), decoder.elbo(x, mean, log_sd), gap)
    return Landscape(*(part.numpy() for part in parts))


def best_beside(trace: Trace) -> np.ndarray:
    """The mean (V,) of the best Gaussian: of two that are alike, the one on the encoder's side."""
    decoder = amortized(trace).decoder
    mean = landscape(decoder).mean
    if decoder.mean != "square":
        return mean
    return np.where(encoded(trace).mean[-1] < 0.0, -1.0, 1.0) * np.abs(mean)  # x sees only z squared


class Encoded(NamedTuple):
    """What the encoder tells of every x at T snapshots, and the gap it leaves."""

    mean: np.ndarray  # (T, V)
    sd: np.ndarray  # (T, V)
    elbo: np.ndarray  # (T, V)
    total: np.ndarray  # (T, V) KL(q || p(z | x))


def amortized(trace: Trace) -> AmortizedVI:
    """The algorithm that made a trace."""
    algorithm = trace.job.algorithm
    if not isinstance(algorithm, AmortizedVI):
        raise TypeError(
            f"{type(algorithm).__name__} has no encoder of one number: give a trace of AmortizedVI"
        )
    return algorithm


def _bytes(made: Encoded) -> int:
    return sum(part.nbytes for part in made)


@kept(20_000_000, _bytes, key=lambda trace: trace.key)
def encoded(trace: Trace) -> Encoded:
    """At every snapshot, of every drawn x."""
    return _encoded(trace, _x())


@kept(2_000_000, _bytes, key=lambda trace, x: (trace.key, x))
def encoded_at(trace: Trace, x: float) -> Encoded:
    """At every snapshot, of one x."""
    return _encoded(trace, torch.tensor([x], dtype=torch.float64, device="cpu"))


def _encoded(trace: Trace, x: Tensor) -> Encoded:
    algorithm = amortized(trace)
    decoder = algorithm.decoder
    told = [algorithm.encode(snapshot.state.phi[0], x) for snapshot in trace]
    mean, log_sd = (torch.stack(side) for side in zip(*told, strict=True))  # (T, V)
    every = x.repeat(len(told)), mean.flatten(), log_sd.flatten()
    elbo, gap = decoder.elbo(*every), decoder.gap(*every, evidence=decoder.log_evidence(x).repeat(len(told)))
    return Encoded(mean.numpy(), log_sd.exp().numpy(), elbo.view_as(mean).numpy(), gap.view_as(mean).numpy())


def terms(trace: Trace, x: float) -> list[Decomposition]:
    """The evidence of one x, and its terms under the encoder's q, at every snapshot."""
    made = encoded_at(trace, x)
    evidence = float(_there(amortized(trace).decoder, x).log_evidence[0])
    found = []
    for mean, sd, elbo, gap in zip(*(part[:, 0].tolist() for part in made), strict=True):
        entropy = float(np.log(sd)) + 0.5 * (1.0 + np.log(2.0 * np.pi))
        kl_prior = 0.5 * (mean**2 + sd**2 - 1.0) - float(np.log(sd))
        found.append(Decomposition(evidence, elbo, gap, elbo - entropy, entropy, elbo + kl_prior, kl_prior))
    return found


class Parts(NamedTuple):
    """The gap of n data in parts."""

    total: np.ndarray  # (n,)
    approximation: np.ndarray  # (n,)
    amortization: np.ndarray  # (n,)
    error: np.ndarray  # (n,) how far they fail to add up, and their rules to agree


def parts(trace: Trace, index: int) -> Parts:
    """Of every drawn x at one snapshot."""
    return _parts(landscape(amortized(trace).decoder), encoded(trace), index)


def parts_at(trace: Trace, index: int, x: float) -> Parts:
    """Of one x at one snapshot."""
    return _parts(_there(amortized(trace).decoder, x), encoded_at(trace, x), index)


def _parts(seen: Landscape, made: Encoded, index: int) -> Parts:
    saved = np.maximum(seen.elbo - made.elbo[index], 0.0)
    total = made.total[index]
    return Parts(total, seen.gap, saved, np.abs(total - seen.gap - saved))


class Left(NamedTuple):
    """What the importance weighted bound of K draws leaves under the encoder's q."""

    there: float  # nats, at one x
    over_x: np.ndarray  # (V,) nats, at every drawn x
    error: float  # between two rules, the worst of them


def iwae_leaves(trace: Trace, index: int, x: float, draws: int) -> Left:
    """At one snapshot: log p(x) less the bound, by quadrature."""
    there, off = _leaves(trace, index, draws, torch.tensor([x], dtype=torch.float64, device="cpu"))
    over, error = _leaves_over_x(trace, index, draws)
    return Left(float(there[0]), over, float(max(off.max(), error.max())))


@kept(64, lambda made: 1, key=lambda trace, index, draws: (trace.key, index, draws))
def _leaves_over_x(trace: Trace, index: int, draws: int) -> tuple[np.ndarray, np.ndarray]:
    return _leaves(trace, index, draws, _x())


def _leaves(trace: Trace, index: int, draws: int, x: Tensor) -> tuple[np.ndarray, np.ndarray]:
    algorithm = amortized(trace)
    return algorithm.decoder.iwae_leaves(x, *algorithm.encode(trace[index].state.phi[0], x), draws)


class Budget(NamedTuple):
    """The mean gap of new data over what was spent on each; gradients of one datum's ELBO."""

    own: np.ndarray  # (INNER + 1,) each datum's own climb from N(START, 1), by its steps
    asked_own: np.ndarray  # (INNER + 1,) gradients that these steps have taken, for each datum
    warm: np.ndarray  # (INNER + 1,) the same from the encoder's q
    asked_warm: np.ndarray  # (INNER + 1,)
    training: np.ndarray  # (T,) the encoder's, by its training steps
    asked: np.ndarray  # (T,) gradients that training has taken
    least: float  # the mean approximation gap: nobody gets below


@kept(32, lambda made: 1, key=lambda trace: trace.key)
def budget(trace: Trace) -> Budget:
    """New data lie between the training data."""
    algorithm = amortized(trace)
    decoder, reach = algorithm.decoder, 0.97 * algorithm.reach
    x = torch.linspace(-reach, reach, NEW, dtype=torch.float64, device="cpu")
    told = [torch.stack(algorithm.encode(snapshot.state.phi[0], x), 1) for snapshot in trace]
    training = [float(decoder.gap(x, *phi.unbind(1)).mean()) for phi in told]
    cold = torch.tensor([START, 0.0]).to(x).expand(len(x), 2)
    own, warm = (climbed_from(decoder, x, start, INNER) for start in (cold, told[-1]))
    asked = np.array([snapshot.info.asked for snapshot in trace], float)
    least = float(decoder.gap(x, *decoder.best(x)).clamp(min=0.0).mean())
    ways = own.gaps.mean(1), own.asked, warm.gaps.mean(1), warm.asked
    return Budget(*ways, np.array(training), asked, least)
