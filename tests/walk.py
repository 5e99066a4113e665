"""An algorithm made for tests: a random walk with all that a state may hold, and faults on demand."""

import os
import time
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lvmviz.core import Algorithm, Key, choice, generator, knob


class Inner(NamedTuple):
    mean: Tensor  # (n,)
    seen: Tensor  # () int64


class WalkState(NamedTuple):
    at: Tensor  # (n,)
    inner: Inner
    flags: Tensor  # (2,) bool
    spare: Tensor | None
    pair: tuple[Any, ...]


class Look(NamedTuple):
    at: Tensor  # (n,)


class WalkInfo(NamedTuple):
    elbo: float
    step: int
    word: str


ERRORS = {
    "ValueError": ValueError("the walk fell off: walk less"),
    "ZeroDivisionError": ZeroDivisionError("1/0 of the walk"),
    "MemoryError": MemoryError(),
    "OutOfMemoryError": torch.OutOfMemoryError("CUDA out of memory"),
    "LookupError": LookupError("the table is gone; upload it again"),
    "KeyError": KeyError("x"),
    "ENOSPC": OSError(28, "No space left on device"),
    "PermissionError": PermissionError(13, "Permission denied"),
    "KeyboardInterrupt": KeyboardInterrupt(),
}


@choice
class Walk(Algorithm):
    """A random walk. Nothing else."""

    size: int = knob(3, 1, 10_000_000)
    fail_at: int = knob(-1, -1)
    error: str = knob("ValueError")
    end_at: int = knob(10**9, 0)
    pause_ms: float = knob(0.0, 0.0)
    small: bool = knob(False)

    def init(self, key: Key) -> tuple[WalkState, WalkInfo]:
        self._fail(0)
        zero = torch.zeros((), dtype=torch.int64)
        at = torch.randn(self.size, generator=generator(key), dtype=torch.float64, device="cpu")
        state = WalkState(at, Inner(at.clone(), zero), torch.tensor([True, False]), None, (1, at[:1].float()))
        return state, WalkInfo(float(at[0]), 0, "start")

    def step(self, key: Key, state: WalkState) -> tuple[WalkState, WalkInfo]:
        step = int(state.inner.seen) + 1
        self._fail(step)
        if self.pause_ms:
            time.sleep(self.pause_ms / 1000.0)
        at = state.at + torch.randn(self.size, generator=generator(key), dtype=torch.float64, device="cpu")
        inner = Inner(state.inner.mean + (at - state.inner.mean) / (step + 1), state.inner.seen + 1)
        new = WalkState(at, inner, ~state.flags, None, (step, at[:1].float()))
        return new, WalkInfo(float(at[0]), step, "walk")

    def finished(self, state: WalkState, info: WalkInfo) -> bool:
        return info.step >= self.end_at

    def shown(self, state: WalkState) -> WalkState | Look:
        return Look(state.at) if self.small else state

    def _fail(self, step: int) -> None:
        if step == self.fail_at and "WALK_ON" not in os.environ:
            raise ERRORS[self.error]


del Algorithm.options["Walk"]  # it is for those tests that ask for it: see `registered`


def bits(value: Any) -> Any:
    """What two values share only when they are equal to the bit."""
    if isinstance(value, Tensor):
        array = value.detach().cpu()
        return (
            str(array.dtype),
            tuple(array.shape),
            array.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes(),
        )
    if isinstance(value, tuple):
        return type(value), tuple(map(bits, value))
    return (type(value), value.hex()) if isinstance(value, float) else (type(value), value)
