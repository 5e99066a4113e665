"""A trace of EM for a Bernoulli mixture as small NumPy arrays: mean images, weights, who belongs to whom.

One row a snapshot: T snapshots, K components, N images of H x W pixels. What is told of single images is that
of a fixed sample of at most `SAMPLE`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from lvmviz.algorithms.bernoulli_em import BernoulliEM
from lvmviz.algorithms.em import EMInfo
from lvmviz.bernoulli_mixture import BernoulliMixtureParams, Data, evaluate, statistics_at
from lvmviz.core import Algorithm
from lvmviz.divergences import Decomposition
from lvmviz.kept import kept
from lvmviz.observations import Examples
from lvmviz.runs.job import Snapshot, Trace
from lvmviz.summaries.em import sample

MEMBERS = 6  # images shown of each sort


def bernoulli_em(trace: Trace) -> BernoulliEM:
    """The algorithm that made a trace."""
    algorithm = trace.job.algorithm
    if not isinstance(algorithm, BernoulliEM):
        raise TypeError(f"{type(algorithm).__name__} has no mean images: give a trace of BernoulliEM")
    return algorithm


def any_on(algorithm: Algorithm) -> bool:
    """Whether any pixel of its images is on."""
    return not isinstance(algorithm, BernoulliEM) or bool(algorithm.rows().x.any())


def examples(trace: Trace) -> Examples:
    """What a trace's EM explains, in shades of grey."""
    return bernoulli_em(trace).data.examples()


def infos(trace: Trace) -> list[EMInfo]:
    """The numbers of every snapshot."""
    return [snapshot.info for snapshot in trace]


def decompositions(trace: Trace) -> list[Decomposition]:
    """The evidence and its terms at every snapshot, nats per image."""
    count = len(examples(trace).x)
    return [info.evidence.per(count) for info in infos(trace)]


def as_images(rows: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Rows (..., D) as images (..., H, W); the columns of a table stand side by side."""
    height, width = shape if len(shape) == 2 else (1, shape[0])
    return rows.reshape(*rows.shape[:-1], height, width)


def images(trace: Trace) -> np.ndarray:
    """The means at every snapshot (T, K, H, W): how often each pixel is on."""
    means = np.stack([_cpu(snapshot.state.theta).means.numpy() for snapshot in trace])
    return as_images(means, examples(trace).shape)


def weights(trace: Trace) -> np.ndarray:
    """pi at every snapshot (T, K)."""
    return np.stack([_cpu(snapshot.state.theta).weights.numpy() for snapshot in trace])


def counts(trace: Trace) -> np.ndarray:
    """N_k, the images that q gives each component, at every snapshot (T, K).

    The M-step after a q sets pi_k = N_k / N: where it is in the trace, no image is looked at again.
    """
    algorithm, total = bernoulli_em(trace), len(examples(trace).x)
    after_m = {
        _told(snapshot.state.theta_q): total * _cpu(snapshot.state.theta).weights.numpy()
        for snapshot in trace
        if snapshot.info.moved == "M"
    }
    names = [_told(snapshot.state.theta_q) for snapshot in trace]
    missing = {name: snapshot.state.theta_q for name, snapshot in zip(names, trace, strict=True)}
    made = {name: _counted(theta, algorithm) for name, theta in missing.items() if name not in after_m}
    return np.stack([(after_m | made)[name] for name in names])


def _bytes(row: np.ndarray) -> int:
    return row.nbytes


@kept(1_000_000, _bytes, key=lambda theta, algorithm: (_told(theta), algorithm))
def _counted(theta: BernoulliMixtureParams, algorithm: BernoulliEM) -> np.ndarray:
    """N_k (K,) by a pass over all images."""
    return statistics_at(_cpu(theta), algorithm.rows())[0].counts.numpy()


# ---- who belongs to whom, in a sample ----


class Mostly(NamedTuple):
    """Which class most of a component's images are of."""

    names: list[list[str]]  # (T, K)
    shares: np.ndarray  # (T, K) of N_k


def mostly(trace: Trace) -> Mostly | None:
    """The largest class of every component, by q; None where no class is known."""
    found = examples(trace)
    if found.labels is None or not len(found.label_names):
        return None
    rows = sample(len(found.x))
    classes = (found.labels[rows, None] == np.arange(len(found.label_names))).astype(float)
    tables = np.stack(_of_each_q(trace, lambda at: at.resp.T @ classes))  # (T, K, C)
    sizes = tables.sum(-1)
    names = [[found.label_names[i] for i in frame] for frame in tables.argmax(-1).tolist()]
    return Mostly(names, tables.max(-1) / np.where(sizes > 0, sizes, 1.0))


class Members(NamedTuple):
    """Images of one component at every snapshot, as rows of all images; -1 where there are fewer."""

    rows: np.ndarray  # (T, 2, MEMBERS): those it makes likeliest, and those it is least sure of
    shares: np.ndarray  # (T, 2, MEMBERS) q of the component


def members(trace: Trace, component: int) -> Members:
    """Of the images that q gives to a component (from 0) before any other: typical and doubtful ones.

    At the start q gives none to anyone.
    """
    rows = sample(len(examples(trace).x))
    found = _of_each_q(trace, functools.partial(_members, component=component, rows=rows))
    none = np.full((2, MEMBERS), -1), np.zeros((2, MEMBERS))
    told = [
        none if snapshot.info.moved == "start" else one for snapshot, one in zip(trace, found, strict=True)
    ]
    return Members(*(np.stack(part) for part in zip(*told, strict=True)))


def _members(at: Single, component: int, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    own = np.flatnonzero(at.resp.argmax(1) == component)
    typical = own[np.argsort(-at.log_lik[own, component], kind="stable")][:MEMBERS]
    doubtful = own[np.argsort(at.resp[own, component], kind="stable")][:MEMBERS]
    chosen = [np.pad(some, (0, MEMBERS - len(some)), constant_values=-1) for some in (typical, doubtful)]
    which = np.stack(chosen)
    return np.where(which < 0, -1, rows[which]), np.where(which < 0, 0.0, at.resp[which, component])


class Single(NamedTuple):
    """What one q says of the images of the sample."""

    resp: np.ndarray  # (n, K)
    log_lik: np.ndarray  # (n, K) log p(x_n | mu_k), nats


def _of_each_q(trace: Trace, summarize: Callable[[Single], Any]) -> list[Any]:
    """What there is to say of every snapshot's q over the sample; said once where neighbours share it."""
    em = bernoulli_em(trace)
    known: dict[bytes, Any] = {}
    for snapshot in trace:
        name = _told(snapshot.state.theta_q)
        if name not in known:
            known[name] = summarize(_single(snapshot.state.theta_q, em))
    return [known[_told(snapshot.state.theta_q)] for snapshot in trace]


def _both(one: Single) -> int:
    return one.resp.nbytes + one.log_lik.nbytes


@kept(100_000_000, _both, key=lambda theta, em: (_told(theta), em))
def _single(theta: BernoulliMixtureParams, em: BernoulliEM) -> Single:
    x = em.rows().x
    at = evaluate(_cpu(theta), Data(x[torch.from_numpy(sample(len(x)).copy())]))
    return Single(at.posterior.resp.numpy(), at.log_lik.numpy())


def parameters(snapshot: Snapshot) -> dict[str, Any]:
    """theta of one snapshot as plain lists, with its numbers: what a file of the fitted model holds."""
    theta = _cpu(snapshot.state.theta)
    return {"step": snapshot.step, **{name: part.tolist() for name, part in theta._asdict().items()},
            "info": snapshot.info._asdict()}  # fmt: skip


def _cpu(theta: BernoulliMixtureParams) -> BernoulliMixtureParams:
    return BernoulliMixtureParams(*(part.detach().to("cpu", torch.float64) for part in theta))


def _told(theta: BernoulliMixtureParams) -> bytes:
    """The numbers of a theta, to tell one from another."""
    return b"".join(part.numpy().tobytes() for part in _cpu(theta))
