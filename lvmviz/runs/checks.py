"""What may stand in a run's files when they come from elsewhere.

Each check returns what was told, or raises ValueError with a sentence; nothing is handed on unasked.
"""

from __future__ import annotations

import functools
import re
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from torch import Tensor

from lvmviz.core import Algorithm
from lvmviz.runs import queue
from lvmviz.runs.codec import decode
from lvmviz.runs.files import Damaged, unseal
from lvmviz.runs.job import Job, Snapshot, job_from_json

ENDED = ("finished", "stopped", "paused", "failed", "interrupted")
VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+-]{0,39}")
DEVICE = re.compile(r"cpu|cuda(:[0-9]{1,3})?|mps")
_LONGEST = 2000  # characters of a sentence
_WHOLE = 2**53
_FARTHEST = 10**300  # of a whole number that stands for a real one: any larger is no float
_STATUS = {
    "state": str, "step": int, "steps": int, "attempt": int, "device": str, "threads": int, "started": float,
    "updated": float, "rate": float, "snapshots": int, "cause": str, "remedy": str, "version": str,
}  # fmt: skip
TOLD = (*_STATUS, "elbo", "notes")


class Settings(typing.NamedTuple):
    """What job.json tells."""

    id: str
    job: Job
    version: str
    created: float  # seconds since 1970


def sealed(name: str, content: bytes) -> dict[str, Any]:
    """A sealed line of JSON."""
    try:
        return unseal(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{name} in the bundle is damaged or was changed: export it again.") from error


def settings(content: bytes) -> Settings:
    """The settings, made only of choices that are registered here."""
    told = sealed("job.json", content)
    id, version = told.get("id"), told.get("version")
    created: Any = told.get("created")
    if not isinstance(id, str) or not queue.ID.fullmatch(id):
        raise ValueError("job.json in the bundle has no name of a run (16 hexadecimal digits).")
    if not isinstance(version, str) or not VERSION.fullmatch(version):
        raise ValueError("job.json in the bundle does not say of which lvmviz it is.")
    if not _plain(float, created) or not 0.0 <= created < 1e11:
        raise ValueError("job.json in the bundle does not say when the run was made.")
    return Settings(id, _job(told.get("job"), version), version, float(created))


def _job(told: Any, version: str) -> Job:
    try:
        return job_from_json(told)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        reason = str(error).encode("ascii", "backslashreplace").decode()[:300]
        raise ValueError(f"The run, of lvmviz {version}, cannot be read by this one: {reason}.") from error


def status(content: bytes, job: Job) -> dict[str, Any]:
    """What was told of a run that has ended, one way or another."""
    told = sealed("status.json", content)
    kept = {name: told[name] for name, kind in _STATUS.items() if _plain(kind, told.get(name))}
    if not DEVICE.fullmatch(kept.get("device", "")):
        kept.pop("device", None)
    notes, elbo = told.get("notes", []), told.get("elbo")
    missing = {"state", "step", "threads", "attempt"} - set(kept)
    if missing or kept["state"] not in ENDED:
        raise ValueError("status.json in the bundle does not say how the run ended.")
    if not kept["step"] <= job.steps == kept.get("steps", job.steps):
        raise ValueError("status.json in the bundle tells of another number of steps than the run has.")
    if elbo is not None and not _is_number(elbo):
        raise ValueError("status.json in the bundle has an ELBO that is no number.")
    if not isinstance(notes, list) or len(notes) > 100 or not all(_plain(str, note) for note in notes):
        raise ValueError("status.json in the bundle has notes that are no sentences.")
    return {**kept, "elbo": elbo, "notes": notes}


def _plain(kind: type, value: Any) -> bool:
    """Whether it is a short text, a finite number, or a whole one that is not negative."""
    if kind is str:
        return isinstance(value, str) and len(value) <= _LONGEST
    if type(value) not in ((int,) if kind is int else (int, float)):
        return False
    return 0 <= value < _WHOLE if kind is int else -1e300 <= value <= 1e300


def _is_number(value: Any) -> bool:
    """Whether it is a float, infinite or missing ones among them, or a whole number that is one."""
    return type(value) is float or (type(value) is int and abs(value) <= _FARTHEST)


def _is_modest(value: Any) -> bool:
    """Whether it can be written on a page, as far as numbers and texts go."""
    return abs(value) < _WHOLE if type(value) is int else not isinstance(value, str) or len(value) <= _LONGEST


def rows(lines: Iterable[bytes], job: Job, most: int) -> Iterator[dict[str, Any]]:
    """The numbers of the recorded steps, in order, each as the algorithm declares them."""
    hints = _fields(_declared(type(job.algorithm))[1])
    last = -1
    for count, line in enumerate(lines, 1):
        row = sealed(f"line {count} of metrics.jsonl", line)
        step = row.get("step")
        if count > most:
            raise ValueError(f"metrics.jsonl in the bundle has more than {most:,} lines.")
        if type(step) is not int or not last < step <= job.steps:
            raise ValueError(f"line {count} of metrics.jsonl in the bundle has a step out of order.")
        named = not hints or set(row) == {"step", *hints}
        if not named or not all(fits(hints.get(name, Any), value) for name, value in row.items()):
            raise ValueError(f"line {count} of metrics.jsonl in the bundle has other numbers than its run.")
        last = step
        yield row


def snapshot(name: str, content: bytes, job: Job, *, whole: bool) -> Snapshot:
    """A snapshot of this job's algorithm: the whole state, or what of it is shown later."""
    try:
        made = decode(content)
    except (Damaged, MemoryError) as error:
        raise ValueError(f"{name} in the bundle: {error}. Export it again.") from error
    cls = type(job.algorithm)
    state, info = _declared(cls)
    if not whole and cls.shown is not Algorithm.shown:
        state = _hints(cls.shown).get("return", Any)
    if not 0 <= made.step <= job.steps or not fits(state, made.state) or not fits(info, made.info):
        raise ValueError(f"{name} in the bundle is no snapshot of {cls.__name__}.")
    return made


# ---- values and the types that an algorithm declares ----


def fits(hint: Any, value: Any) -> bool:
    """Whether a value is what a type says, as deep as types say it."""
    if isinstance(hint, type) and hasattr(hint, "_fields"):
        return type(value) is hint and all(
            fits(part, getattr(value, name)) for name, part in _fields(hint).items()
        )
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return any(fits(part, value) for part in typing.get_args(hint))
    if typing.get_origin(hint) is tuple:
        return _tuple_fits(typing.get_args(hint), value)
    if hint is float:
        return _is_number(value)
    if hint in (int, str, bool, Tensor):
        return isinstance(value, hint) and (hint is not int or type(value) is int) and _is_modest(value)
    return value is None if hint in (None, type(None)) else _is_modest(value)


def _tuple_fits(parts: tuple[Any, ...], value: Any) -> bool:
    if not isinstance(value, tuple):
        return False
    if len(parts) == 2 and parts[1] is Ellipsis:
        return all(fits(parts[0], item) for item in value)
    return len(parts) == len(value) and all(map(fits, parts, value))


def _declared(cls: type[Algorithm]) -> tuple[Any, Any]:
    """The types of an algorithm's states and infos, as its `init` declares them."""
    parts = typing.get_args(_hints(cls.init).get("return"))
    return parts if len(parts) == 2 else (Any, Any)


def _fields(cls: Any) -> Mapping[str, Any]:
    hints = _hints(cls) if hasattr(cls, "_fields") else {}
    return {name: hints.get(name, Any) for name in getattr(cls, "_fields", ())}


@functools.lru_cache(maxsize=128)
def _hints(what: Any) -> Mapping[str, Any]:
    """The annotations, resolved; none where they name what only a type checker knows."""
    try:
        return typing.get_type_hints(what)
    except NameError:
        return {}
