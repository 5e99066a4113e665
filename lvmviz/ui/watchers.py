"""Who looks at a run just now: a file for every session in the run's folder, touched at every look."""

from __future__ import annotations

import contextlib
import secrets
import time
from pathlib import Path

import streamlit as st

from lvmviz.disk import make_folder
from lvmviz.runs.run import Run

RECENT_S = 6.0  # three of the slowest looks
GONE_S = 60.0
_NAME = "lvmviz.watcher"


def watch(run: Run) -> None:
    """Note that this session looks at it; where nothing can be written, nobody is told."""
    with contextlib.suppress(OSError):
        if run.path.is_dir():
            make_folder(run.path / "watchers")
            (run.path / "watchers" / _name()).touch(mode=0o600)


def others(run: Run) -> int:
    """How many other sessions looked at it in the last few seconds."""
    return sum(age <= RECENT_S for path, age in _ages(run.path / "watchers") if path.name != _name())


def _name() -> str:
    return st.session_state.setdefault(_NAME, secrets.token_hex(8))


def _ages(folder: Path) -> list[tuple[Path, float]]:
    """The marks and their ages in seconds; those of sessions long gone are swept away."""
    found = []
    with contextlib.suppress(OSError):  # deleted meanwhile
        for path in folder.iterdir():
            age = time.time() - path.stat().st_mtime
            if age > GONE_S:
                path.unlink(missing_ok=True)
            found.append((path, age))
    return found
