"""A job is what to do; a trace is what happened. Both are values."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, overload

import numpy as np
import torch

from lvmviz import __version__
from lvmviz.core import Algorithm, Choice, from_json, is_real, knobs, real, to_json

LONG = 8e9  # floating-point operations: about 2 s on one core, at the 4e9/s that EM reached where measured


@dataclasses.dataclass(frozen=True)
class Job:
    """An algorithm, how many steps of it, and the seed: equal jobs are the same run."""

    algorithm: Algorithm
    steps: int = 100
    every: int = 1  # a snapshot after so many steps, and after the last
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        if not isinstance(self.algorithm, Algorithm):
            raise ValueError(f"algorithm must be an algorithm such as EM(), not {self.algorithm!r}")
        for name, least in (("steps", 0), ("every", 1), ("seed", None)):
            object.__setattr__(self, name, _whole(name, least, getattr(self, name)))
        try:
            torch.device(self.device)
        except (RuntimeError, TypeError):
            raise ValueError(f"device {self.device!r} is unknown: use cpu, cuda or mps") from None

    @property
    def id(self) -> str:
        """The name of what is computed here: a hash of all that decides its bits, as canonical JSON."""
        return self.named(torch.get_num_threads())

    def named(self, threads: int) -> str:
        """The same for a computation in so many threads of the CPU; on a GPU they decide nothing."""
        kind = torch.device(self.device).type
        told = {
            "version": __version__,
            "algorithm": to_json(self.algorithm),
            "steps": self.steps,
            "every": self.every,
            "seed": self.seed,
            "device": kind,
            "dtype": str(real(kind)),
            "threads": threads if kind == "cpu" else 0,
        }
        text = json.dumps(told, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def long(self) -> bool:
        """Whether it may take more than about 2 s on one core, and so belongs in the background."""
        return self.steps * self.algorithm.effort() > LONG

    @property
    def private(self) -> bool:
        """Whether it works on data that belong to somebody."""
        return _private(self.algorithm)


def title(job: Job) -> str:
    """What a list calls the run: its method, and what it works on."""
    names = knobs(type(job.algorithm))
    parts = [part for name in names if isinstance(part := getattr(job.algorithm, name), Choice)]
    return ", ".join(part.name() for part in (job.algorithm, *parts[:1]))


def job_json(job: Job) -> dict[str, Any]:
    """A job as plain JSON values."""
    fields = {field.name: getattr(job, field.name) for field in dataclasses.fields(job)}
    return {**fields, "algorithm": to_json(job.algorithm)}


def job_from_json(data: Any) -> Job:
    """The job that `job_json` wrote, made only from registered choices; ValueError for anything else."""
    names = [field.name for field in dataclasses.fields(Job)]
    if not isinstance(data, Mapping) or set(data) != set(names):
        raise ValueError(f"a job has {', '.join(names)}, and this has something else")
    if not isinstance(data["device"], str):
        raise ValueError(f"device must be a text such as cpu, not {data['device']!r}")
    algorithm = from_json(Algorithm, data["algorithm"])
    return Job(**{**data, "algorithm": algorithm})


def _private(value: Choice) -> bool:
    parts = (getattr(value, name) for name in knobs(type(value)))
    return value.private or any(_private(part) for part in parts if isinstance(part, Choice))


WORKER_THREADS = 1  # in which a worker computes: all who ask for a run mean the same bits
MOST = 2**63 - 1  # of steps and seeds: what other languages can read


def _whole(name: str, least: int | None, value: Any) -> int:
    if isinstance(value, int) and abs(value) > MOST:
        raise ValueError(f"{name} must be a whole number of at most {MOST}")
    if not is_real(value) or not math.isfinite(value) or value != int(value):
        raise ValueError(f"{name} must be a whole number, not {value!r}")
    if least is not None and value < least:
        raise ValueError(f"{name} = {value} must be {least} or more")
    return int(value)


class Snapshot(NamedTuple):
    """What was after `step` steps: step 0 is the start."""

    step: int
    state: Any  # a NamedTuple of tensors
    info: Any  # a NamedTuple of plain numbers and words


class Trace(Sequence[Snapshot]):
    """The snapshots of a job, in order; immutable."""

    def __init__(self, job: Job, snapshots: Iterable[Snapshot]) -> None:
        self.job = job
        self._snapshots = tuple(snapshots)

    @overload
    def __getitem__(self, index: int) -> Snapshot: ...
    @overload
    def __getitem__(self, index: slice) -> Trace: ...
    def __getitem__(self, index: int | slice) -> Snapshot | Trace:
        if isinstance(index, slice):
            return Trace(self.job, self._snapshots[index])
        return self._snapshots[index]

    def __len__(self) -> int:
        return len(self._snapshots)

    def __iter__(self) -> Iterator[Snapshot]:
        return iter(self._snapshots)

    def __repr__(self) -> str:
        steps = self.steps
        span = f", steps {steps[0]} to {steps[-1]}" if steps else ""
        return f"<trace of {title(self.job)}: {len(steps)} snapshots{span}>"

    @property
    def steps(self) -> list[int]:
        """The step of every snapshot."""
        return [snapshot.step for snapshot in self]

    @property
    def key(self) -> tuple[str, int, int]:
        """What tells it from every other trace, and from itself with other snapshots."""
        steps = self.steps
        return self.job.id, len(steps), hash(tuple(steps))

    def column(self, name: str) -> np.ndarray:
        """One number of every snapshot's info, such as "elbo", as an array (T,)."""
        return np.array([getattr(snapshot.info, name) for snapshot in self._snapshots])

    def rows(self) -> list[dict[str, Any]]:
        """Every snapshot's step and numbers, for a table or a file."""
        return [{"step": snapshot.step, **snapshot.info._asdict()} for snapshot in self._snapshots]
