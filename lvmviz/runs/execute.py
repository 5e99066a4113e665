"""The only loop: it turns a job into snapshots."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from lvmviz.core import fold_in
from lvmviz.runs.job import Job, Snapshot, Trace


def snapshots(job: Job, after: Snapshot | None = None) -> Iterator[Snapshot]:
    """Every snapshot of a job in order, from the start or from the one after `after`.

    The key of step k is fold_in(seed, k), so a run resumed from any snapshot agrees with the undisturbed
    one to the bit. Nothing is computed before it is asked for, so whoever iterates can stop at any time.
    """
    algorithm = job.algorithm
    if after is None:
        with torch.device(job.device):
            state, info = algorithm.init(fold_in(job.seed, 0))
        after = Snapshot(0, state, info)
        yield after
    step, state, info = after
    with torch.device(job.device):
        finished = algorithm.finished(state, info)
    while step < job.steps and not finished:
        step += 1
        with torch.device(job.device):
            state, info = algorithm.step(fold_in(job.seed, step), state)
            finished = algorithm.finished(state, info)
        if step % job.every == 0 or step == job.steps or finished:
            yield Snapshot(step, state, info)


def run(job: Job) -> Trace:
    """The whole trace of a job, in memory, in this thread."""
    return Trace(job, snapshots(job))
