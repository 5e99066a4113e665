"""One pass over the points, chunk by chunk: the E-step and its sums, added in the order of the chunks."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from lvmviz.fast_em.kernels import Kernel, framed, kernel
from lvmviz.fast_em.mixture import Mixture, Moments
from lvmviz.fast_em.points import Chunk, Points

T = TypeVar("T")
# log q is cut off here: nothing is left of it in a sum, and far smaller numbers are subnormal, up to 100
# times slower to multiply
LEAST = {torch.float64: -600.0, torch.float32: -75.0}
GRAIN = 2**15  # numbers up to which torch works alone, whatever the number of threads
WAVE = 64  # chunks whose sums wait to be added: what a pass over a memory map holds at most


class Sweep(NamedTuple):
    """What one pass says of R mixtures."""

    bounds: np.ndarray  # (R,) log-likelihood per unit of sample weight, nats
    moments: Moments


def sweep(theta: Mixture, points: Points) -> Sweep:
    """The E-step, and the sums that the M-step needs."""
    seeing = kernel(theta, points)
    parts = in_order(lambda index: _part(points.chunk(index), seeing), points, theta.weights.size)
    bounds, table = next(parts)
    for bound, more in parts:
        bounds, table = bounds + bound, table + more
    return Sweep((bounds + seeing.left_out(table)) / points.total, seeing.moments(table))


def log_joints(theta: Mixture, points: Points) -> Iterator[Tensor]:
    """log weight + log density of one mixture (K, n), chunk after chunk; exact wherever the points lie."""
    seeing = framed(theta, points)
    work = lambda index: seeing.log_joint(seeing.see(points.chunk(index)))[0]  # noqa: E731
    return in_order(work, points, theta.weights.size)


def _part(chunk: Chunk, seeing: Kernel) -> tuple[np.ndarray, np.ndarray]:
    """A chunk's log-likelihood (R,) and sums (R K, S)."""
    seen = seeing.see(chunk)
    resp = seeing.log_joint(seen)  # and then, in place, r times the sample weight
    if chunk.label is not None:
        resp.masked_fill_(_forbidden(chunk.label, resp.shape[1]), -torch.inf)
    top = resp.amax(1, keepdim=True)
    total = resp.sub_(top).clamp_(min=LEAST[resp.dtype]).exp_().sum(1, keepdim=True)
    log_density = top.add_(total.log())
    resp *= total.reciprocal_() if chunk.weight is None else chunk.weight / total
    if chunk.weight is not None:
        log_density *= chunk.weight
    exact = torch.float32 if log_density.device.type == "mps" else torch.float64
    bound = log_density.sum((1, 2), dtype=exact)
    return home(bound), home(seeing.gather(chunk, seen, resp))


def _forbidden(label: Tensor, components: int) -> Tensor:
    """Where a known label rules a component out (K, n)."""
    return (label >= 0) & (label != torch.arange(components, device=label.device)[:, None])


def home(sums: Tensor) -> np.ndarray:
    """As float64 NumPy."""
    return sums.cpu().numpy().astype(np.float64)


# ---- threads ----


def in_order(work: Callable[[int], T], points: Points, components: int) -> Iterator[T]:
    """work(chunk) of all chunks in their order, by as many threads as torch may use; each has one of its own.

    A chunk's sums are the same whoever makes them, so the result does not depend on the threads. Where so few
    numbers come of points times components (of all mixtures) that torch works alone, so does this thread.
    """
    threads = torch.get_num_threads() if points.device == "cpu" else 1
    small = len(points) == 1 and len(points.x) * components * points.x.shape[1] <= GRAIN
    if threads == 1 or small:
        yield from map(work, range(len(points)))
        return
    pool = _pool(threads)
    for begin in range(0, len(points), WAVE):
        some = range(begin, min(begin + WAVE, len(points)))
        shares = [
            pool.submit(lambda share: [work(i) for i in share], some[w::threads]) for w in range(threads)
        ]
        done = [share.result() for share in shares]
        yield from (done[i % threads][i // threads] for i in range(len(some)))


_POOLS: dict[tuple[int, int], ThreadPoolExecutor] = {}
_STARTING = threading.Lock()


def _pool(threads: int) -> ThreadPoolExecutor:
    """Threads in which torch works alone; torch's own number stays what it is for everyone else."""
    with _STARTING:
        if (key := (os.getpid(), threads)) not in _POOLS:  # a forked process has none of the threads
            pool = ThreadPoolExecutor(threads, "em")
            ready = threading.Barrier(threads + 1)
            for _ in range(threads):
                pool.submit(_alone, ready)
            ready.wait()
            torch.set_num_threads(threads)  # the number that a thread sets is also that of threads to come
            _POOLS[key] = pool
    return _POOLS[key]


def _alone(ready: threading.Barrier) -> None:
    torch.get_num_threads()  # a thread takes the common number over at its first question: ask before setting
    torch.set_num_threads(1)
    ready.wait()
