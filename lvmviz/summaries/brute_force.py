"""A sum over all states as small NumPy arrays: its terms, and how long more bits would take."""

from __future__ import annotations

import functools
import math
import time
from typing import NamedTuple

import numpy as np

from lvmviz.algorithms.brute_force import NOTHING, BruteForce, BruteForceInfo, BruteForceState
from lvmviz.divergences import Decomposition
from lvmviz.evidence import BinaryLatents
from lvmviz.evidence.terms import factored, of_shares
from lvmviz.runs.job import Trace

MOST = 30  # bits that the time is told for
MANY = 16  # bits whose sum takes long enough to be timed
YEAR = 365.25 * 24 * 3600.0  # s


class Bars(NamedTuple):
    """The terms of a sum, or sums of those with the same first bits, in binary order."""

    log_sums: np.ndarray  # (B,) nats; NaN where not summed yet
    each: int  # states in a bar
    bits: int


def settings(trace: Trace) -> BruteForce:
    """The algorithm of a trace of `BruteForce`."""
    algorithm = trace.job.algorithm
    if not isinstance(algorithm, BruteForce):
        raise TypeError(f"{type(algorithm).__name__} sums no states: give a trace of BruteForce")
    return algorithm


def state(trace: Trace) -> BruteForceState:
    return trace[-1].state


def info(trace: Trace) -> BruteForceInfo:
    return trace[-1].info


def bars(trace: Trace) -> Bars:
    """What is summed so far."""
    bits, log_sums = settings(trace).model.bits, state(trace).bars.numpy()
    return Bars(np.where(log_sums <= NOTHING, np.nan, log_sums), 2**bits // len(log_sums), bits)


def decomposition(trace: Trace) -> Decomposition:
    """What the ELBO of independent switches is made of, each on as often as under the posterior."""
    last = state(trace)
    return of_shares(settings(trace).model, last.on, float(last.log_sum))


def closed_form(trace: Trace) -> float | None:
    """log p(x) without a sum over states, nats, where the switches are independent."""
    return factored(settings(trace).model)


def seconds(trace: Trace, rate: float) -> float:
    """How long the whole sum takes at so many steps a second; one of a single step is timed by itself."""
    algorithm = settings(trace)
    if algorithm.steps() == 1:
        return timed(algorithm)
    return algorithm.steps() / rate if rate > 0.0 else math.nan


@functools.lru_cache(maxsize=64)
def timed(algorithm: BruteForce) -> float:
    """The seconds of one step, the best of three: whatever else the machine does is not the sum's time."""
    start, took = algorithm.init(0)[0], []
    for _ in range(3):
        begun = time.perf_counter()
        algorithm.step(0, start)
        took.append(time.perf_counter() - begun)
    return min(took)


def seconds_over_bits(trace: Trace, rate: float) -> np.ndarray:
    """The same for 1 to 30 bits (30,): each bit doubles the terms.

    A sum of few terms takes no time but its overhead: it is one of 2^16 that is doubled then.
    """
    bits = settings(trace).model.bits
    known = seconds(trace, rate) if bits >= MANY else timed(BruteForce(model=BinaryLatents(bits=MANY)))
    return known * 2.0 ** (np.arange(1, MOST + 1) - max(bits, MANY))


def held(shares: np.ndarray) -> np.ndarray:
    """The part of the sum (B,) that its largest 1, 2, 3 … bars hold."""
    return np.cumsum(np.sort(shares)[::-1])


def duration(s: float) -> str:
    """Seconds in the unit that suits them, such as "3.2 ms" or "41 years"."""
    if math.isnan(s):
        return "not measured"
    for most, size, unit in ((1e-3, 1e-6, "µs"), (1.0, 1e-3, "ms"), (120.0, 1.0, "s"), (7200.0, 60.0, "min"),
                             (48 * 3600.0, 3600.0, "h"), (2 * YEAR, 86400.0, "days")):  # fmt: skip
        if s < most:
            return f"{s / size:.3g} {unit}"
    years = s / YEAR
    return f"{years:,.0f} years" if years < 1e6 else f"{years:.0e} years".replace("e+", "e")
