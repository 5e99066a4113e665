"""The only loop: it turns a job into steps."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch

from lvmviz.core import fold_in
from lvmviz.runs.job import Job, Snapshot


class Step(NamedTuple):
    """One turn of the loop."""

    snapshot: Snapshot
    recorded: bool  # whether the trace has it
    last: bool


def steps(job: Job, after: Snapshot | None = None) -> Iterator[Step]:
    """Every step of a job in order, from the start or from the one after `after`.

    The key of step k is fold_in(seed, k), so a run resumed from any step agrees with the undisturbed one to
    the bit. Nothing is computed before it is asked for, so whoever iterates can stop at any time.
    """
    algorithm = job.algorithm
    fresh, here = after is None, _on(job.device)
    if after is None:
        with here:
            state, info = algorithm.init(fold_in(job.seed, 0))
        after = Snapshot(0, state, info)
    step, state, info = after
    with here:
        last = algorithm.finished(state, info) or step >= job.steps
    if fresh:
        yield Step(after, True, last)
    while not last:
        step += 1
        with here:
            state, info = algorithm.step(fold_in(job.seed, step), state)
            last = algorithm.finished(state, info) or step == job.steps
        yield Step(Snapshot(step, state, info), step % job.every == 0 or last, last)


def _on(device: str) -> contextlib.AbstractContextManager[Any]:
    """Where new tensors stand, to be entered again and again.

    They stand on the CPU anyway: torch's context would ask at each call, for as long as a small one takes.
    """
    plain = torch.device(device).type == torch.get_default_device().type == "cpu"
    return contextlib.nullcontext() if plain else torch.device(device)
