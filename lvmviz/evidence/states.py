"""The sum over all states of n bits, term by term: what makes an exact evidence expensive."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

LOW = 11  # bits that change within a block
BLOCK = 2**LOW  # states at once: they and what is made of them stay in the processor's cache


class Sum(NamedTuple):
    """A sum of 2^n terms, as far as it has come."""

    terms: int  # summed
    of: int  # 2^n
    log_sum: float  # nats
    on: list[float]  # (n,) how likely each bit is 1, among the states summed
    seconds: float  # since the beginning


def states(bits: int, start: int, stop: int) -> Tensor:
    """States start to stop of n bits, (m, n) of 0.0 and 1.0, the last bit the first to change.

    Bit by bit in memory: sums over bits then run along it. Within a block the last bits are always the same.
    """
    low = min(bits, LOW)
    z = torch.empty((bits, stop - start), dtype=torch.float64, device="cpu")
    z[bits - low :] = _low(low)[:, start % BLOCK : start % BLOCK + stop - start]
    for place in range(bits - low):
        z[place] = start >> (bits - 1 - place) & 1
    return z.T


@functools.cache
def _low(bits: int) -> Tensor:
    """All states (n, 2^n) of a few bits."""
    places = torch.arange(bits - 1, -1, -1, device="cpu").unsqueeze(-1)
    return ((torch.arange(2**bits, device="cpu") >> places) & 1).double()


def terms(log_joint: Callable[[Tensor], Tensor], bits: int) -> Tensor:
    """log p(x, z) of all 2^n states (2^n,), nats: for a picture of few of them."""
    blocks = range(0, 2**bits, BLOCK)
    return torch.cat([log_joint(states(bits, start, min(start + BLOCK, 2**bits))) for start in blocks])


def summed(log_joint: Callable[[Tensor], Tensor], bits: int) -> Iterator[Sum]:
    """The sum of exp(log_joint) over all states, told after every block: whoever iterates can stop."""
    began, total = time.perf_counter(), 2**bits
    log_sum, on = torch.full((), -torch.inf, dtype=torch.float64, device="cpu"), torch.zeros(bits).double()
    for start in range(0, total, BLOCK):
        log_sum, on = add(log_joint, bits, start, log_sum, on)
        done = min(start + BLOCK, total)
        yield Sum(done, total, float(log_sum), on.tolist(), time.perf_counter() - began)


def add(
    log_joint: Callable[[Tensor], Tensor], bits: int, start: int, log_sum: Tensor, on: Tensor
) -> tuple[Tensor, Tensor]:
    """The log sum () and the shares (n,) after one more block of states, from `start` on."""
    z = states(bits, start, min(start + BLOCK, 2**bits))
    log_terms = log_joint(z)
    here = torch.logsumexp(log_terms, 0)
    new = torch.logaddexp(log_sum, here)
    part = torch.exp(log_terms - here) @ z
    return new, torch.exp(log_sum - new) * on + torch.exp(here - new) * part


def seconds_for(bits: int, measured: Sum) -> float:
    """How long 2^bits terms would take at the pace of a sum that was measured."""
    return measured.seconds * 2.0**bits / max(measured.terms, 1)


def years(seconds: float) -> float:
    """The same in years."""
    return seconds / (365.25 * 24 * math.pow(60.0, 2))
