"""Who waits for a worker: a folder with one file for every waiting run.

An entry is removed by the attempt that has taken the run's lease, so an engine killed before loses nothing.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from lvmviz import own_data
from lvmviz.disk import make_folder, write

if TYPE_CHECKING:
    from lvmviz.runs.run import Run

ID = re.compile(r"[0-9a-f]{16}")  # the name of a run


def enqueue(run: Run) -> None:
    """Let a run wait for a worker, behind all who wait already; one that waits keeps its place."""
    path = folder(run.path.parents[1]) / run.id
    if not path.exists():
        make_folder(path.parent)
        last = max((number for number, _ in _numbered(path.parent)), default=0)
        write(path, b"%d" % (last + 1), sync=False)


def waiting(home: Path | None = None) -> list[str]:
    """The ids of the runs that wait, the first first."""
    return [id for _, id in sorted(_numbered(folder(home)))]


def remove(id: str, home: Path | None = None) -> None:
    """Let a run wait no longer."""
    if ID.fullmatch(id):
        (folder(home) / id).unlink(missing_ok=True)


def folder(home: Path | None = None) -> Path:
    """Where the entries are."""
    return (home or own_data.home()) / "queue"


def _numbered(queue: Path) -> list[tuple[int, str]]:
    names = [path for path in queue.iterdir() if ID.fullmatch(path.name)] if queue.is_dir() else []
    return [(_number(path), path.name) for path in names]


def _number(path: Path) -> int:
    """The place in the queue; an entry whose number is lost goes first."""
    try:
        return int(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return 0
