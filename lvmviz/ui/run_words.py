"""How a run goes, in words."""

from __future__ import annotations

from lvmviz.runs.queue import waiting
from lvmviz.runs.run import Run
from lvmviz.runs.status import Status


def before(run: Run) -> int | None:
    """How many runs wait before this one; None when it does not wait."""
    ids = waiting(run.home)
    return ids.index(run.id) if run.id in ids else None


def spoken(status: Status, wait: int | None = None) -> str:
    """A status in one line."""
    at = f"at step {status.step} of at most {status.steps}"
    if status.state == "running":
        rate = f", {pace(status.rate)} steps/s" if status.rate else ""
        left = f", {duration(status.left_s)} left" if status.left_s is not None else ""
        return f"Step {status.step} of at most {status.steps}{rate}{left}"
    if status.state == "queued":
        if wait:
            return f"Waits for a worker: {wait} {'run is' if wait == 1 else 'runs are'} before it."
        return "Waits for a worker: it is the next."
    return f"{status.state.capitalize()} {at}."


def held(status: Status) -> str:
    """Where it runs, and the memory it takes."""
    memory = f", {status.memory / 1e6:,.0f} MB" if status.memory and status.active else ""
    return f"on {status.device}{memory}" if status.device else ""


def pace(rate: float) -> str:
    """Steps a second with two or three digits."""
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.1f}" if rate >= 1 else f"{rate:.2f}"


def duration(seconds: float) -> str:
    """Seconds as a person says them."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
