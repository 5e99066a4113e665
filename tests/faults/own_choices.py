"""An algorithm that takes its time, fails, eats memory or kills; workers know it by LVMVIZ_PRELOAD."""

import os
import signal
import time
from typing import NamedTuple

import torch
from torch import Tensor

from lvmviz.core import Algorithm, choice, generator, knob

HOARD: list[Tensor] = []


class DriftState(NamedTuple):
    position: Tensor  # (size,)
    taken: Tensor  # () int64, steps


class DriftInfo(NamedTuple):
    elbo: float


@choice
class Drift(Algorithm):
    """A random walk, at a pace."""

    size: int = knob(64, 1, 10**7, "Numbers that walk.")
    pace: float = knob(0.0, 0.0, 10.0, "Seconds a step takes.")
    fails_at: int = knob(-1, -1, 10**6, "The step that raises; -1 for none.")
    dies_at: int = knob(-1, -1, 10**6, "The step that kills its process; -1 for none. 0 is the start.")
    eats: int = knob(0, 0, 2**30, "Bytes more that each step holds on to.")

    def init(self, key: int) -> tuple[DriftState, DriftInfo]:
        self._mishap(0)
        zero = torch.zeros((), dtype=torch.int64)
        return DriftState(torch.zeros(self.size, dtype=torch.float64), zero), DriftInfo(0.0)

    def step(self, key: int, state: DriftState) -> tuple[DriftState, DriftInfo]:
        time.sleep(self.pace)
        self._mishap(int(state.taken) + 1)
        noise = torch.randn(self.size, dtype=torch.float64, generator=generator(key))
        position = 0.99 * state.position + noise
        return DriftState(position, state.taken + 1), DriftInfo(float(position.mean()))

    def finished(self, state: DriftState, info: DriftInfo) -> bool:
        return False

    def effort(self) -> float:
        return 1e12

    def _mishap(self, step: int) -> None:
        if step == self.fails_at:
            raise ZeroDivisionError("as it was asked to")
        if step == self.dies_at:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.eats:
            HOARD.append(torch.ones(self.eats, dtype=torch.uint8))
