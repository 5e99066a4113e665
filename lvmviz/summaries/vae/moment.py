"""One snapshot of a VAE, the examples it is looked at through, and the two ways between x and z."""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from lvmviz.algorithms.vae import TrainVAE, VAEInfo, VAEState, VAEWeights
from lvmviz.amortized import Q
from lvmviz.core import generator, to_json
from lvmviz.observations import SPLIT, Examples, halves
from lvmviz.runs.job import Trace
from lvmviz.sklearn_api import packed

HALVES = ("test", "train")
BLOCK = 4096  # examples encoded at once


class Moment(NamedTuple):
    """What everything drawn of one snapshot follows from."""

    vae: TrainVAE
    weights: VAEWeights  # float32 on the CPU
    id: str  # of the job
    step: int

    @property
    def key(self) -> tuple[str, int]:
        """What tells it from every other moment."""
        return self.id, self.step


class Half(NamedTuple):
    """Training or test examples as the likelihood sees them."""

    x: np.ndarray  # (n, D) float32, read-only
    rows: np.ndarray  # (n,) int64, which of all examples they are
    labels: np.ndarray | None  # (n,) int64 indices into label_names


def vae(trace: Trace) -> TrainVAE:
    """The VAE that a trace trains."""
    algorithm = trace.job.algorithm
    if not isinstance(algorithm, TrainVAE):
        raise TypeError(f"{type(algorithm).__name__} has no latent space to draw: give a trace of TrainVAE")
    return algorithm


def moment(trace: Trace, index: int) -> Moment:
    """A snapshot of the trace; only this one is read."""
    snapshot = trace[index]
    state: VAEState = snapshot.state
    weights = VAEWeights(*(part.detach().to("cpu", torch.float32) for part in state.weights))
    return Moment(vae(trace), weights, trace.job.id, snapshot.step)


def infos(trace: Trace) -> list[VAEInfo]:
    """The numbers of every snapshot; each snapshot is read once, however often the trace grows."""
    told = _told(trace.job.id)
    for index, step in enumerate(trace.steps):
        if step not in told:
            told[step] = trace[index].info, trace[index].state.kl.detach().cpu().numpy().astype(float)
    return [told[step][0] for step in trace.steps]


def kl_by_latent(trace: Trace) -> np.ndarray:
    """KL(q || prior) of every latent at every snapshot (T, latent), nats, mean over training examples."""
    infos(trace)
    return np.stack([_told(trace.job.id)[step][1] for step in trace.steps])


@functools.lru_cache(maxsize=64)
def _told(id: str) -> dict[int, tuple[VAEInfo, np.ndarray]]:
    """A place for the numbers of a job's snapshots, by their step."""
    return {}


def column(numbers: list[VAEInfo], name: str) -> np.ndarray:
    """One number of every snapshot (T,)."""
    return np.array([getattr(info, name) for info in numbers], dtype=float)


def steps_an_epoch(algorithm: TrainVAE) -> int:
    """How many steps of the job are one pass over the training examples."""
    train, _ = split(len(algorithm.data.examples().x), algorithm.held_out)
    return math.ceil(math.ceil(len(train) / algorithm.batch) / algorithm.batches)


# ---- the examples ----


def split(count: int, held_out: float) -> tuple[np.ndarray, np.ndarray]:
    """Which of so many examples are trained on, and which are only looked at: as `halves` draws them."""
    tests = max(round(held_out * count), 1)
    order = torch.randperm(count, generator=generator(SPLIT), device="cpu").numpy()
    return order[tests:], order[:tests]


def half(algorithm: TrainVAE, name: str) -> Half:
    """The "train" or "test" examples, in the order that training knows them."""
    if name not in HALVES:
        raise ValueError(f"{name!r} is no half of the data: use train or test")
    made = halves(algorithm.data, algorithm.likelihood, algorithm.held_out, "cpu")
    examples = algorithm.data.examples()
    rows = split(len(examples.x), algorithm.held_out)[name == "test"]
    x = (made.test if name == "test" else made.train).numpy().view()
    x.flags.writeable = False
    return Half(x, rows, None if examples.labels is None else examples.labels[rows])


def examples(algorithm: TrainVAE) -> Examples:
    """All examples as they came."""
    return algorithm.data.examples()


def is_images(algorithm: TrainVAE) -> bool:
    """Whether the examples are images."""
    return len(algorithm.data.examples().shape) == 2


def exact_possible(algorithm: TrainVAE) -> bool:
    """Whether log p(x) is an integral that quadrature does: two latents and a decoder without kinks."""
    return algorithm.latent == 2 and algorithm.decoder.smooth


def file(at: Moment, epochs: int) -> bytes:
    """The weights as a safetensors file that `lvmviz.VAE.load` reads."""
    return packed(at.vae, at.weights, epochs)


def settings(at: Moment, info: VAEInfo) -> dict[str, Any]:
    """What was trained, how long, and its numbers, as plain JSON values."""
    return {"job": at.id, "step": at.step, "algorithm": to_json(at.vae), "info": info._asdict()}


# ---- between x and z ----


def q(at: Moment, x: np.ndarray) -> Q:
    """q(z | x) of prepared x (n, D), float64."""
    weights = VAEWeights(*(part.double() for part in at.weights))
    parts = [_encoded(at.vae, weights, torch.tensor(x[i : i + BLOCK])) for i in range(0, len(x), BLOCK)]
    below = [part.below for part in parts if part.below is not None]
    means, log_sds = (torch.cat([part[k] for part in parts]) for k in (0, 1))  # type: ignore[misc]
    return Q(means, log_sds, torch.cat(below) if below else None)


def _encoded(algorithm: TrainVAE, weights: VAEWeights, x: Tensor) -> Q:
    with torch.no_grad():
        return algorithm.encode(weights, x.double())


def means(at: Moment, x: np.ndarray) -> np.ndarray:
    """The means (n, latent) of q(z | x) for prepared x (n, D), in float32: for marks, not for numbers."""
    with torch.no_grad():
        parts = [
            at.vae.encode(at.weights, torch.tensor(x[i : i + BLOCK])).means for i in range(0, len(x), BLOCK)
        ]
    return torch.cat(parts).numpy().astype(float)


def decode(at: Moment, z: np.ndarray) -> np.ndarray:
    """E[x | z] (..., D) for z (..., latent), in float32: for pictures, not for numbers."""
    with torch.no_grad():
        told = at.vae.decode(at.weights, torch.tensor(z, dtype=torch.float32))
        return at.vae.likelihood.mean(told).numpy().astype(float)
