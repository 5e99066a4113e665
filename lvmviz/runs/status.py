"""What a run is doing, judged from its files and from who lives; no clock of another process is asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

SILENT_S = 8.0  # a worker whose heart has not beaten for so long is told of
FULL = 0.9  # a worker that died holding so much of its memory limit ran out of it
_MB = 1e6

RESUME = "Resume it: it goes on from its last checkpoint."
_REMEDIES = {
    "paused": "Resume it when you like.",
    "stopped": "Resume it if you want the rest after all.",
    "interrupted": RESUME,
    "failed": "Change the settings, or resume it once the cause is gone.",
}


class Status(NamedTuple):
    """What a run is doing and, where it does nothing, why."""

    state: str  # "queued", "running", "paused", "stopped", "finished", "failed" or "interrupted"
    step: int = 0  # the last one computed
    steps: int = 0  # at most so many
    rate: float = 0.0  # steps/s
    left_s: float | None = None  # seconds to `steps` at this rate
    cause: str = ""  # why it does not run, a sentence
    remedy: str = ""
    attempt: int = 0  # how many workers have begun it
    device: str = ""
    memory: int = 0  # bytes its worker held at the last heartbeat
    elbo: float | None = None  # nats, at `step`
    updated: float = 0.0  # seconds since 1970 by the worker's clock, to be shown and not to be compared
    notes: tuple[str, ...] = ()  # what else a person should know

    @property
    def active(self) -> bool:
        """Whether something will still happen by itself."""
        return self.state in ("queued", "running")


def judge(
    told: Mapping[str, Any] | None,
    beat: Mapping[str, Any] | None,
    *,
    steps: int,
    held: int,
    queued: bool,
    alive: bool,
    control: str = "run",
    silent_s: float = 0.0,
    notes: tuple[str, ...] = (),
) -> Status:
    """The status of a run.

    `told` is what an attempt wrote last, `beat` the last heartbeat, `held` the number of the attempt whose
    living process holds the lease (0: none), `alive` whether an engine lives, `silent_s` for how long an
    observer has seen the same heartbeat.
    """
    told, beat = told or {}, beat or {}
    status = _plain(told, beat, steps, (*told.get("notes", ()), *notes))
    if held:
        return _running(status, held, silent_s)
    if queued:
        note = () if alive else ("It waits for the engine, which starts with the app.",)
        return status._replace(state="queued", cause="", remedy="", notes=(*status.notes, *note))
    if not told:
        return _untold(status, beat, control)
    if status.state == "running":
        return _dead(status, told, alive)
    if status.state == "paused" and control == "stop":
        status = status._replace(state="stopped", remedy="")
    return _advised(status)


def _plain(told: Mapping[str, Any], beat: Mapping[str, Any], steps: int, notes: tuple[str, ...]) -> Status:
    """What the files say, before it is judged."""
    same = beat.get("attempt") == told.get("attempt", beat.get("attempt"))
    return Status(
        state=told.get("state", "running"),
        step=max(told.get("step", 0), beat.get("step", 0) if same else 0),
        steps=told.get("steps", steps),
        rate=told.get("rate", 0.0),
        cause=told.get("cause", ""),
        remedy=told.get("remedy", ""),
        attempt=told.get("attempt", beat.get("attempt", 0)),
        device=told.get("device", ""),
        memory=beat.get("memory", 0) if same else 0,
        elbo=told.get("elbo"),
        updated=told.get("updated", 0.0),
        notes=notes,
    )


def _running(status: Status, held: int, silent_s: float) -> Status:
    if status.state != "running" and status.attempt == held:  # it has said how it ended, and will let go
        return _advised(status)
    status = status._replace(state="running", cause="", remedy="")  # or what is told is of an earlier attempt
    left = (status.steps - status.step) / status.rate if status.rate > 0.0 else None
    silent = () if silent_s < SILENT_S else (f"No word from the worker for {silent_s:.0f} s.",)
    return status._replace(left_s=left, notes=(*status.notes, *silent))


def _untold(status: Status, beat: Mapping[str, Any], control: str) -> Status:
    """A run that no attempt has told anything of: nobody began it, or what was told is lost."""
    if beat:
        return _advised(status._replace(state="interrupted", cause=f"It ended at step {status.step}."))
    state = "paused" if control == "pause" else "stopped"
    return _advised(status._replace(state=state, cause="It has not begun."))


def _dead(status: Status, told: Mapping[str, Any], alive: bool) -> Status:
    limit = told.get("memory_limit") or 0
    held = f"it held {status.memory / _MB:,.0f} MB"
    if limit and status.memory >= FULL * limit:
        cause = f"The worker ran out of memory at step {status.step}: {held} of {limit / _MB:,.0f} MB."
        remedy = "Choose less data or a smaller model, or stop other runs and resume it."
        return status._replace(state="failed", cause=cause, remedy=remedy)
    if not alive:
        cause = f"The engine was ended at step {status.step}."
    else:
        held = f" ({held})" if status.memory else ""
        cause = f"The worker ended at step {status.step} without a word: killed, or out of memory{held}."
    return _advised(status._replace(state="interrupted", cause=cause))


def _advised(status: Status) -> Status:
    return status if status.remedy else status._replace(remedy=_REMEDIES.get(status.state, ""))
