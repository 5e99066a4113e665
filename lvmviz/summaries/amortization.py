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
    """Of one decoder; no encoder has a part in it."""
    x = _x()
    z = torch.linspace(-SIDE, SIDE, NODES, dtype=torch.float64, device="cpu")
    evidence = decoder.log_evidence(x)
    mean, log_sd = decoder.best(x)
    density = (decoder.log_joint(x, z[:, None]) - evidence).exp()
    parts = (
        x,
        z,
        density,
        evidence,
        mean,
        log_sd.exp(),
        decoder.elbo(x, mean, log_sd),
        decoder.gap(x, mean, log_sd),
    )
    return Landscape(*(part.numpy() for part in parts))


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
    """At every snapshot."""
    algorithm, x = amortized(trace), _x()
    decoder, parts = algorithm.decoder, []
    for snapshot in trace:
        mean, log_sd = algorithm.encode(snapshot.state.phi[0], x)
        parts.append((mean, log_sd.exp(), decoder.elbo(x, mean, log_sd), decoder.gap(x, mean, log_sd)))
    return Encoded(*(torch.stack(side).numpy() for side in zip(*parts, strict=True)))


def terms(trace: Trace, place: int) -> list[Decomposition]:
    """The evidence of the x at one place, and its terms under the encoder's q, at every snapshot."""
    made, seen = encoded(trace), landscape(amortized(trace).decoder)
    evidence = float(seen.log_evidence[place])
    found = []
    for mean, sd, elbo, gap in zip(*(part[:, place].tolist() for part in made), strict=True):
        entropy = float(np.log(sd)) + 0.5 * (1.0 + np.log(2.0 * np.pi))
        kl_prior = 0.5 * (mean**2 + sd**2 - 1.0) - float(np.log(sd))
        found.append(Decomposition(evidence, elbo, gap, elbo - entropy, entropy, elbo + kl_prior, kl_prior))
    return found


def nearest(x: float) -> int:
    """The place of the drawn x nearest to this one."""
    return int(np.abs(_x().numpy() - x).argmin())


class Parts(NamedTuple):
    """The gap of n data in parts."""

    total: np.ndarray  # (n,)
    approximation: np.ndarray  # (n,)
    amortization: np.ndarray  # (n,)
    error: np.ndarray  # (n,) how far they fail to add up, and their rules to agree


def parts(trace: Trace, index: int) -> Parts:
    """Of every drawn x at one snapshot."""
    seen, made = landscape(amortized(trace).decoder), encoded(trace)
    saved = np.maximum(seen.elbo - made.elbo[index], 0.0)
    total = made.total[index]
    return Parts(total, seen.gap, saved, np.abs(total - seen.gap - saved))


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
    least = float(decoder.gap(x, *decoder.best(x)).mean())
    ways = own.gaps.mean(1), own.asked, warm.gaps.mean(1), warm.asked
    return Budget(*ways, np.array(training), asked, least)
