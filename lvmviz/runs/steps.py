"""The only loop: it turns a job into steps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

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
    fresh = after is None
    if after is None:
        with torch.device(job.device):
            state, info = algorithm.init(fold_in(job.seed, 0))
        after = Snapshot(0, state, info)
    step, state, info = after
    with torch.device(job.device):
        last = algorithm.finished(state, info) or step >= job.steps
    if fresh:
        yield Step(after, True, last)
    while not last:
        step += 1
        with torch.device(job.device):
            state, info = algorithm.step(fold_in(job.seed, step), state)
            last = algorithm.finished(state, info) or step == job.steps
        yield Step(Snapshot(step, state, info), step % job.every == 0 or last, last)
