"""What the report of a failed run needs: versions, settings, status, log, the last numbers; no own data."""

from __future__ import annotations

import io
import json
import platform
import zipfile
from importlib import metadata
from pathlib import Path
from typing import Any

from lvmviz import __version__
from lvmviz.core import Choice, knobs, to_json
from lvmviz.runs.job import job_json
from lvmviz.runs.run import Run

LINES = 200  # of the numbers
LOG_CHARACTERS = 1_000_000  # the end of the log
LEFT_OUT = "left out"
_PACKAGES = ("torch", "numpy", "streamlit", "dask", "distributed", "scipy", "safetensors", "plotly", "pandas")


def failure(run: Run) -> bytes:
    """A zip for the report of a bug, to be read before it is sent."""
    told = {**job_json(run.job), "algorithm": _disowned(run.job.algorithm)}
    parts = {
        "versions.json": versions(),
        "job.json": {"id": run.id, "version": run.version, "created": run.created, "job": told},
        "status.json": run.status()._asdict(),
        "metrics.json": run.metrics()[-LINES:],
    }
    texts = {name: json.dumps(part, indent=1) for name, part in parts.items()}
    texts["log.txt"] = run.log()[-LOG_CHARACTERS:]
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
            for name, text in texts.items():
                packed.writestr(zipfile.ZipInfo(name), _anonymous(run, text).encode("utf-8", "replace"))
        return file.getvalue()


def versions() -> dict[str, str]:
    """Of everything that a run may have failed in."""
    found = {name: _version(name) for name in _PACKAGES}
    return {
        "lvmviz": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
    } | found


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def _disowned(value: Any) -> Any:
    """A choice as JSON, without what names somebody's own data or its columns."""
    if not isinstance(value, Choice):
        return to_json(value)
    fields = {name: getattr(value, name) for name in knobs(type(value))}
    told = {name: LEFT_OUT if value.private else _disowned(field) for name, field in fields.items()}
    return {"choice": type(value).__name__, **told}


def _anonymous(run: Run, text: str) -> str:
    """Without the folders that tell a person's name."""
    for folder, word in ((run.home.absolute(), "$LVMVIZ_HOME"), (Path.home(), "~")):
        if len(str(folder)) > 1:  # the root says nothing
            text = text.replace(str(folder), word)
    return text
