"""The snapshots in the folder of a run."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lvmviz.runs.codec import decode
from lvmviz.runs.files import Damaged, quarantine
from lvmviz.runs.job import Job, Snapshot, Trace

_KEPT = 16  # snapshots a trace keeps in memory


def snapshot_path(path: Path, step: int) -> Path:
    """Where a run keeps the snapshot of a step."""
    return path / "snapshots" / f"{step:08d}.safetensors"


def steps_kept(path: Path) -> list[int]:
    """The steps whose snapshots are there, in order."""
    try:
        names = os.listdir(path / "snapshots")
    except FileNotFoundError:
        return []
    return sorted(int(name[:-12]) for name in names if name.endswith(".safetensors") and name[:-12].isdigit())


class NoSnapshot(LookupError):
    """A run none of whose snapshots is whole; the message says which."""


class StoredTrace(Trace):
    """The snapshots of a run, read when they are asked for; the list of them is as it was when it was made.

    In the place of a damaged one, which is put aside and told of in `notes`, stands the one before.
    """

    def __init__(self, job: Job, path: Path, steps: Sequence[int] | None = None) -> None:
        self.job = job
        self._snapshots: Any = _OnDisk(path, steps_kept(path) if steps is None else list(steps))

    @property
    def steps(self) -> list[int]:
        """The step of every snapshot; none is read for that."""
        return list(self._snapshots.steps)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was found damaged."""
        return tuple(self._snapshots.notes)


class _OnDisk(Sequence[Snapshot]):
    def __init__(self, path: Path, steps: list[int]) -> None:
        self._path = path
        self.steps = steps
        self._kept: OrderedDict[int, Snapshot | None] = OrderedDict()
        self.notes: list[str] = []

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        at = range(len(self))[index]
        for near in (*range(at, -1, -1), *range(at + 1, len(self))):
            snapshot = self._snapshot(self.steps[near])
            if snapshot is not None:
                return snapshot
        raise NoSnapshot(f"No snapshot of the run {self._path.name} is left whole; start it again.")

    def _snapshot(self, step: int) -> Snapshot | None:
        """The snapshot of a step, None where it is damaged or gone; the last few asked for are remembered."""
        if step not in self._kept:
            self._kept[step] = self._load(step)
        self._kept.move_to_end(step)
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return self._kept[step]

    def _load(self, step: int) -> Snapshot | None:
        path = snapshot_path(self._path, step)
        try:
            return decode(path.read_bytes())
        except FileNotFoundError:  # thinned out since
            return None
        except Damaged:
            self.notes.append(f"{quarantine(path)} The one before is shown.")
            return None
