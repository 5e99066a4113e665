"""A run as one zip: to be kept, sent, and opened elsewhere.

A bundle may come from anybody. It is unpacked beside the runs, everything in it is checked, what is told in
JSON is written anew, and only then does it appear among them, by renaming.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import re
import shutil
import stat
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import torch

from lvmviz import __version__, own_data
from lvmviz.core import Choice, canonical, knobs
from lvmviz.disk import make_folder, named, remedy, write
from lvmviz.runs import checks
from lvmviz.runs.archive import Archive, opened
from lvmviz.runs.files import Damaged, read_sealed, seal, write_sealed
from lvmviz.runs.job import WORKER_THREADS, Job, job_json
from lvmviz.runs.record import KEEP, LINES, spacing
from lvmviz.runs.report import failure
from lvmviz.runs.run import IMPORTED, MissingRun, Run
from lvmviz.runs.store import RUN, Store, run_id, settings
from lvmviz.runs.trace import snapshot_path, steps_kept

__all__ = ["export", "export_to", "failure", "load"]

FORMAT = 1
FILES = KEEP + 16  # in a bundle, at most
BYTES = RUN + 100_000_000  # a run, its numbers and its log
TEXT = 1_000_000  # bytes of a file of JSON, and of the log
NUMBERS, LINE = 64_000_000, 8192  # bytes of all lines of numbers, and of one
_CHECKPOINTS = ("checkpoint-0.safetensors", "checkpoint-1.safetensors")
_KNOWN = re.compile(
    r"bundle\.json|job\.json|status\.json|metrics\.jsonl|log\.txt|checkpoint-[01]\.safetensors"
    r"|snapshots/[0-9]{8,16}\.safetensors"
)


# ---- out ----


def export(run: Run) -> bytes:
    """The bundle of a run: all it has computed, but not whose it is, who works at it, or its own table.

    A run that goes on is told as interrupted where it was; what is damaged is left out.
    """
    with io.BytesIO() as file:
        _pack(run, file)
        return file.getvalue()


def export_to(run: Run, path: Path) -> None:
    """Write the bundle of a run into a file, which is there whole or not at all."""
    with named(path):
        _write_to(run, path)


def _write_to(run: Run, path: Path) -> None:
    handle, part = tempfile.mkstemp(suffix=".part", prefix=f".{path.name}.", dir=path.absolute().parent)
    try:
        with os.fdopen(handle, "wb") as file:
            _pack(run, file)
        os.replace(part, path)
    except BaseException:
        with contextlib.suppress(OSError):  # the first error is the one to tell
            os.unlink(part)
        raise


def _pack(run: Run, file: IO[bytes]) -> None:
    with zipfile.ZipFile(file, "w") as packed:
        for name, content in _contents(run):
            info = zipfile.ZipInfo(name)  # all of one date: equal runs are equal bundles
            info.external_attr = (stat.S_IFREG | 0o600) << 16
            tensors = name.endswith(".safetensors")  # good as random: packing them only takes time
            info.compress_type = zipfile.ZIP_STORED if tensors else zipfile.ZIP_DEFLATED
            packed.writestr(info, content)


def _contents(run: Run) -> Iterator[tuple[str, bytes]]:
    """The files of a bundle, in such an order that a run which goes on meanwhile is told rightly.

    The checkpoints come before the numbers, so that no number before a checkpoint is missing.
    """
    told = {"id": run.id, "job": job_json(run.job), "version": run.version, "created": run.created}
    yield "job.json", seal({"format": FORMAT, **told})
    yield "bundle.json", seal({"format": FORMAT, "version": __version__, "tables_left_out": tables(run.job)})
    status = _status(run)
    if status:
        yield "status.json", seal(status)
    for name in _CHECKPOINTS:
        yield from _whole(run, name, run.path / name)
    lines = _lines(run)
    if lines:
        yield "metrics.jsonl", lines
    for step in steps_kept(run.path):
        path = snapshot_path(run.path, step)
        yield from _whole(run, f"snapshots/{path.name}", path)
    if log := run.log():
        yield "log.txt", log[-TEXT // 4 :].encode("utf-8", "replace")


def _whole(run: Run, name: str, path: Path) -> Iterator[tuple[str, bytes]]:
    """A file of tensors, if it is there and whole."""
    with contextlib.suppress(FileNotFoundError, ValueError):
        content = path.read_bytes()
        checks.snapshot(name, content, run.job, whole=name in _CHECKPOINTS)
        yield name, content


def _status(run: Run) -> dict[str, Any]:
    """What a run says of itself, nothing of where it was computed; nothing where it has not begun."""
    status = run.status()
    try:
        told = read_sealed(run.path / "status.json") or {}
    except Damaged:
        told = {}
    if not told and not steps_kept(run.path) and not run.metrics():
        return {}
    words = status._asdict() | {"threads": told.get("threads") or WORKER_THREADS}
    words = {name: words[name] for name in checks.TOLD if name in words}
    if status.active:
        going_on = {"state": "interrupted", "remedy": ""}
        words |= {**going_on, "cause": f"It was exported at step {status.step}, while it went on."}
    return words


def _lines(run: Run) -> bytes:
    """The numbers of every recorded step, thinned where they are more than a run keeps."""
    rows = run.metrics()
    apart = spacing(rows[-1]["step"] // run.job.every, LINES) * run.job.every if rows else 1
    return b"".join(seal(row) for row in rows if row["step"] % apart == 0 or row is rows[-1])


def tables(job: Job) -> list[str]:
    """The digests of the own tables that a job works on."""
    return sorted(set(filter(None, _digests(job.algorithm))))


def _digests(value: Choice) -> Iterator[str]:
    if value.private:
        yield getattr(value, "digest", "")
    for part in (getattr(value, name) for name in knobs(type(value))):
        if isinstance(part, Choice):
            yield from _digests(part)


# ---- in ----


def load(store: Store, data: bytes | Path, owner: str = "") -> Run:
    """The run in a bundle, put among the others; one on own data belongs to `owner` from now on.

    What another lvmviz has computed, or this one with other threads, is kept to be looked at: it cannot go on
    here. Raises ValueError with a sentence where the bundle is not whole or not what a run is, or where
    another run has its name, and StoreError where nothing can be written; then nothing is left behind.
    """
    with opened(data) as file:
        archive = Archive(file, _KNOWN, FILES, BYTES)
        if "job.json" not in archive.names:
            raise ValueError("The zip holds no run: choose a file that `export` made.")
        told = checks.settings(archive.read("job.json", TEXT))
        try:
            return _placed(store, archive, told, owner)
        except OSError as error:
            if isinstance(error, own_data.StoreError) or error.strerror is None:
                raise
            raise own_data.StoreError(
                f"The run could not be kept in {store.path}: {error.strerror}. {remedy(error)}"
            ) from error


def _placed(store: Store, archive: Archive, told: checks.Settings, owner: str) -> Run:
    make_folder(store.path)
    store.make_room()
    part = Path(tempfile.mkdtemp(prefix=f".{told.id}.", suffix=".part", dir=store.path))
    try:
        name = _unpack(archive, part, told, owner)
        try:
            os.rename(part, store.path / name)
        except OSError:
            if not (store.path / name).exists():
                raise
            return _same(store, name, part)
        return store.open(name)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _same(store: Store, name: str, part: Path) -> Run:
    """The run of this name that is here, if it holds all that the bundle tells."""
    try:
        here = store.open(name)
    except MissingRun as error:
        raise ValueError(f"A damaged run named {name} is here: delete it, then import again.") from error
    rows = {row["step"]: seal(row) for row in here.metrics()}
    there = (part / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    if not set(there) <= set(rows.values()):
        last = max(rows, default=None)
        state = "with nothing computed yet" if last is None else f"with other or fewer steps, to step {last}"
        raise ValueError(f"The run {name} is here already, {state}: delete it first, or keep it.")
    return here


def _unpack(archive: Archive, part: Path, told: checks.Settings, owner: str) -> str:
    """Write what the bundle holds, checked, into a folder; the run's name here."""
    job, status = told.job, None
    if "status.json" in archive.names:
        status = checks.status(archive.read("status.json", TEXT), job)
    name, why = _name(told, status, owner)
    kept = _tensors(archive, part, job, checkpoints=not why)
    _numbers(archive, part, job)
    if status is None and any(name.endswith((".safetensors", ".jsonl")) for name in archive.names):
        raise ValueError("The bundle has results but no status.json: export it again.")
    if status is not None:
        if not kept and (why or status["state"] == "finished"):
            raise ValueError("The bundle has no snapshot of the run, so there is nothing to see.")
        _write_status(part, job, told, status, why)
    if "log.txt" in archive.names:
        write(part / "log.txt", archive.read("log.txt", TEXT), sync=False)
    words = settings(name, job, owner if job.private else "")
    created = min(told.created, time.time())  # no run is of tomorrow
    words |= {"version": told.version, "created": created, "imported": True, "ended": bool(why)}
    write_sealed(part / "job.json", words, sync=True)
    return name


def _name(told: checks.Settings, status: dict[str, Any] | None, owner: str) -> tuple[str, str]:
    """The run's name here, and why it cannot go on, if so.

    What cannot be checked gets a name that no job has, so that nobody is given it for the run of a job.
    """
    why = ""
    if told.version != __version__:
        why = f"It was computed by lvmviz {told.version}, and this is {__version__}"
    elif status and torch.device(told.job.device).type == "cpu" and status["threads"] != WORKER_THREADS:
        why = f"It was computed with {status['threads']} threads, and workers here have {WORKER_THREADS}"
    elif not told.job.private and told.id != run_id(told.job):
        raise ValueError(f"The name {told.id} is not that of the run's settings: the bundle was changed.")
    if not why:
        return run_id(told.job, owner), ""
    if status is None:
        raise ValueError(f"The run has not begun. {why}: start it anew.")
    parts = (told.id, told.version, str(status["threads"]), canonical(told.job.algorithm), owner)
    return hashlib.sha256("\n".join(parts if told.job.private else parts[:-1]).encode()).hexdigest()[:16], why


def _tensors(archive: Archive, part: Path, job: Job, *, checkpoints: bool) -> int:
    """Write the snapshots and, where it may go on, the checkpoints; how many snapshots there are."""
    (part / "snapshots").mkdir(mode=0o700)
    kept = 0
    for name in archive.names:
        if name.endswith(".safetensors"):
            content = archive.read(name, BYTES)
            step = checks.snapshot(name, content, job, whole=name in _CHECKPOINTS).step
            shown = name not in _CHECKPOINTS
            if shown and part / name != snapshot_path(part, step):
                raise ValueError(f"{name} in the bundle is of step {step}: it was renamed.")
            kept += shown
            if shown or checkpoints:
                write(part / name, content, sync=False)
    return kept


def _numbers(archive: Archive, part: Path, job: Job) -> None:
    with open(part / "metrics.jsonl", "xb", opener=_private) as file:
        if "metrics.jsonl" in archive.names:
            lines = archive.lines("metrics.jsonl", NUMBERS, LINE)
            for row in checks.rows(lines, job, LINES + 1):
                file.write(seal(row))


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _write_status(part: Path, job: Job, told: checks.Settings, status: dict[str, Any], why: str) -> None:
    notes = [note for note in status["notes"] if note != IMPORTED]  # job.json says it from now on
    if why:
        notes.append(f"{why}: it is shown to step {status['step']} and cannot go on. Start it anew here.")
    for digest in tables(job):
        try:
            own_data.get(digest)
        except LookupError:
            notes.append(f"Its table {digest[:12]}… is not in the bundle: load that table here to see it.")
    write_sealed(part / "status.json", {**status, "version": told.version, "notes": notes})
    write(part / "lease", str(status["attempt"]).encode(), sync=False)  # the next attempt has the next number
