"""Log p(x) by brute force: the sum over all states of n bits, some of them a step."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from lvmviz.core import Algorithm, Key, choice, knob
from lvmviz.evidence.models import BinaryLatents
from lvmviz.evidence.states import BLOCK, states

CHUNK = 2**16  # terms a step: some 20 ms
BARS = 2**9  # of the picture: each is the sum of the states that share their first bits
NOTHING = -1e300  # the log of a sum of no terms: a number that JSON has


class BruteForceState(NamedTuple):
    """The sum as far as it has come."""

    done: Tensor  # () int64, terms summed
    log_sum: Tensor  # () nats; -1e300 for no terms
    on: Tensor  # (n,) how likely each bit is 1, among the states summed
    bars: Tensor  # (min(2^n, 512),) nats, log sums of the states with the same first bits


class BruteForceInfo(NamedTuple):
    """The numbers so far."""

    terms: int  # summed
    of: int  # 2^n
    log_sum: float  # nats


@choice
class BruteForce(Algorithm):
    """Sum p(x, z) over all 2^n states of n bits: exact, and twice as long for every bit more."""

    model: BinaryLatents = knob(BinaryLatents(), help="The model, with x seen.")

    def init(self, key: Key) -> tuple[BruteForceState, BruteForceInfo]:
        empty = torch.full((min(self._total(), BARS),), NOTHING, dtype=torch.float64, device="cpu")
        on = torch.zeros(self.model.bits, dtype=torch.float64, device="cpu")
        state = BruteForceState(torch.zeros((), dtype=torch.int64, device="cpu"), empty[0].clone(), on, empty)
        return state, self._told(state)

    def step(self, key: Key, state: BruteForceState) -> tuple[BruteForceState, BruteForceInfo]:
        start = int(state.done)
        stop = min(start + CHUNK, self._total())
        new = state if start >= stop else self._added(state, start, stop)
        return new, self._told(new)

    def finished(self, state: BruteForceState, info: BruteForceInfo) -> bool:
        return info.terms >= info.of

    def steps(self) -> int:
        """Steps until all terms are summed."""
        return math.ceil(self._total() / CHUNK)

    def effort(self) -> float:
        """Fitted to what a step took."""
        return 60.0 * min(CHUNK, self._total()) * self.model.bits

    def _total(self) -> int:
        return 2**self.model.bits

    def _added(self, state: BruteForceState, start: int, stop: int) -> BruteForceState:
        log_sum, on, parts = state.log_sum, state.on, []
        for first in range(start, stop, BLOCK):
            z = states(self.model.bits, first, min(first + BLOCK, stop))
            parts.append(self.model.log_joint(z))
            here = torch.logsumexp(parts[-1], 0)
            total = torch.logaddexp(log_sum, here)
            share = torch.exp(parts[-1] - here) @ z
            log_sum, on = total, torch.exp(log_sum - total) * on + torch.exp(here - total) * share
        size, bars = max(self._total() // BARS, 1), state.bars.clone()
        bars[start // size : stop // size] = torch.logsumexp(torch.cat(parts).view(-1, size), -1)
        return BruteForceState(state.done + (stop - start), log_sum, on, bars)

    def _told(self, state: BruteForceState) -> BruteForceInfo:
        return BruteForceInfo(int(state.done), self._total(), float(state.log_sum))
