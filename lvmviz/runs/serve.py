"""The engine's own process: it takes what waits in the queue and hands it to the workers.

What becomes of a run, its attempt says in the run's folder; the engine writes there only why it has given up
a run that no worker could begin. So a killed engine loses nothing, and the next goes on with what waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import logging.handlers
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import lvmviz
from lvmviz.own_data import StoreError, home
from lvmviz.preload import preload
from lvmviz.runs import engine, files, queue
from lvmviz.runs.attempt import give_up, reason
from lvmviz.runs.keys import make_keys
from lvmviz.runs.run import Run
from lvmviz.runs.worker import NICE, work

if TYPE_CHECKING:
    from distributed import Future

    from lvmviz.runs.cluster import Cluster

LOOK_S = 0.05  # between two looks into the queue
GRACE_S = 3.0  # without a client, then the engine ends
PROBE_S = 0.25  # between two looks for a client
CHECKPOINT_S = 4.0  # for runs to write their checkpoints when the engine ends
CLOSE_S = 2.0  # for processes to go by themselves; then they are gone
MOST_DEATHS = 3  # of workers before a run had begun; then it waits no more

log = logging.getLogger("lvmviz.engine")


def serve(lock: int | None = None) -> int:
    """Be the engine until it is needed no more; the exit status.

    `lock` is the open file of the engine's lock when a client started it and holds it for us. Without one it
    was started by hand and stays until Ctrl-C. Raises ValueError or OSError with a sentence.
    """
    os.umask(0o077)
    base = home().absolute()
    files.make_folder(engine.folder(base))
    held = _take(base, lock)
    log_to(base / "log.txt", also_here=lock is None)
    try:
        preload()
        os.nice(max(0, NICE // 2 - os.nice(0)))
        status = asyncio.run(_Engine(base).live())
    except (ValueError, OSError) as error:
        log.error("the engine could not start: %s", error)
        raise
    del held  # until here the locks are ours
    logging.shutdown()
    os._exit(status)  # whatever a library still waits for: workers end with their parent


def _take(base: Path, lock: int | None) -> object:
    """Hold the engine's lock; by hand also that of a client, so that the engine stays."""
    if lock is not None:
        os.set_inheritable(lock, False)
        return lock
    own = files.Lock(engine.folder(base) / "engine.lock")
    if not own.acquire(1.0):
        raise OSError(f"an engine works for {base} already (pid {engine.about(base).get('pid', 'not told')})")
    client = files.Lock(engine.folder(base) / "clients.lock", shared=True)
    client.acquire(1.0)
    return own, client


def log_to(path: Path, *, also_here: bool) -> None:
    """Write what happens to the engine into a file that never grows beyond some megabytes."""
    log.setLevel(logging.INFO)
    handlers: list[logging.Handler] = [
        logging.handlers.RotatingFileHandler(path, maxBytes=2**20, backupCount=2, encoding="utf-8")
    ]
    handlers += [logging.StreamHandler(sys.stderr)] if also_here else []
    for handler in handlers:
        handler.setFormatter(logging.Formatter("%(asctime)s engine %(process)d: %(message)s"))
        log.addHandler(handler)


class _Engine:
    """One life of the engine."""

    def __init__(self, base: Path) -> None:
        from lvmviz.runs.cluster import Cluster  # noqa: PLC0415

        self.base = base
        self.folder = engine.folder(base)
        self.ending = self.folder / f"ending-{os.getpid()}"
        self.cluster: Cluster = Cluster(make_keys(self.folder), self.folder / "scratch")
        self.jobs: dict[str, Future] = {}
        self.deaths: dict[str, int] = {}  # of workers, by run, before it had begun
        self.attempts: dict[str, str] = {}  # the number of a run's last attempt when it was handed out
        self.later: dict[str, float] = {}  # when a run is handed out again, on the monotonic clock
        self.over: asyncio.Event

    async def live(self) -> int:
        """Work until nobody needs the engine, a signal ends it, or something breaks."""
        self.over = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self.over.set)
        self._clear()
        tasks = [asyncio.ensure_future(part) for part in (self._work(), self._watch(), self.over.wait())]
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        broken = [task.exception() for task in done if task.exception()]
        for error in broken:
            log.error("the engine broke", exc_info=error)
        await self._end(tasks)
        return 1 if broken else 0

    def _clear(self) -> None:
        """Remove what an engine that was killed has left."""
        for name in ("ending-*", "engine.json"):
            for path in self.folder.glob(name):
                path.unlink(missing_ok=True)

    # ---- working ----

    async def _work(self) -> None:
        began = time.monotonic()
        await self.cluster.start()
        self._introduce()
        log.info("ready after %.1f s: %s", time.monotonic() - began, self.cluster.address)
        looks = 0
        while True:
            await self._look()
            looks += 1
            if looks % 20 == 0:
                await self.cluster.tend()
            await asyncio.sleep(LOOK_S)

    def _introduce(self) -> None:
        about = {"pid": os.getpid(), "version": lvmviz.__version__, "address": self.cluster.address}
        about |= {"workers": [seat.name for seat in self.cluster.seats], "since": time.time()}
        files.write_sealed(self.folder / "engine.json", about)

    async def _look(self) -> None:
        """Hand out who waits, and hear of what is done."""
        for id in [id for id, future in self.jobs.items() if future.done()]:
            await self._hear(id, self.jobs.pop(id))
        for id in queue.waiting(self.base):
            if id not in self.jobs and self._ready(id):
                self.jobs[id] = await self._hand_out(id)

    def _ready(self, id: str) -> bool:
        """Not while somebody is at it: a run that was paused and resumed at once has to let go first."""
        return self.later.get(id, 0.0) <= time.monotonic() and not files.held(self._path(id) / "lease")

    def _path(self, id: str) -> Path:
        return self.base / "runs" / id

    async def _hand_out(self, id: str) -> Future:
        self.attempts[id] = self._attempt(id)
        resource = await self.cluster.resource(self._device(id))
        log.info("run %s waits for a %s", id, resource)
        return self.cluster.client.submit(
            work, str(self.base), id, str(self.ending),
            key=f"{id}-{time.monotonic_ns()}", pure=False, retries=0, resources={resource: 1},
        )  # fmt: skip

    def _attempt(self, id: str) -> str:
        """The number of its last attempt, "" where there was none."""
        try:
            return (self._path(id) / "lease").read_text("utf-8")
        except OSError:
            return ""

    def _device(self, id: str) -> str:
        try:
            return Run(self._path(id)).job.device
        except (ValueError, LookupError, OSError):
            return "cpu"  # what is wrong with the run, its attempt will say

    async def _hear(self, id: str, future: Future) -> None:
        if future.status == "finished":
            log.info("run %s: %s", id, await future or "no longer waited")
            self.deaths.pop(id, None)
            return
        error = await future.exception() if future.status == "error" else None
        log.warning("run %s lost its worker: %s: %s", id, type(error).__name__, error)
        self.later[id] = time.monotonic() + 1.0
        if self.attempts[id] != self._attempt(id):
            self.deaths.pop(id, None)  # it had begun; if it waits, somebody has resumed it since
        elif id in queue.waiting(self.base):
            self.deaths[id] = self.deaths.get(id, 0) + 1
        if self.deaths.get(id, 0) >= MOST_DEATHS:
            log.error("run %s failed %d times before it began, and waits no more", id, self.deaths.pop(id))
            self._give_up(id, error)

    def _give_up(self, id: str, error: BaseException | None) -> None:
        """Say why first: a run that waits no more without a word looks like one that was stopped."""
        try:
            give_up(self._path(id), *_why(error))
        except OSError as fault:
            log.error("run %s could not be told of: %s", id, fault)
        queue.remove(id, self.base)

    # ---- ending ----

    async def _watch(self) -> None:
        """Return when there has been no client for a while; at once, when there is none to begin with."""
        seen = time.monotonic() - GRACE_S
        while True:
            if self._used():
                seen = time.monotonic()
            elif time.monotonic() - seen >= GRACE_S:
                break
            await asyncio.sleep(PROBE_S)
        log.info("nobody uses the engine any more")

    def _used(self) -> bool:
        probe = files.Lock(self.folder / "clients.lock")
        try:
            return not probe.acquire()
        except OSError:
            return False  # the folder was deleted
        finally:
            probe.release()

    async def _end(self, tasks: Sequence[asyncio.Future]) -> None:
        """Let the runs write their checkpoints, then let the workers go, all in good time."""
        last = threading.Timer(CHECKPOINT_S + CLOSE_S, os._exit, (1,))
        last.daemon = True
        last.start()
        for task in tasks:
            task.cancel()
        with contextlib.suppress(OSError):  # a deleted or full home keeps nobody alive
            files.write(self.ending, b"", sync=False)
        until = time.monotonic() + CHECKPOINT_S
        while not all(future.done() for future in self.jobs.values()) and time.monotonic() < until:
            await asyncio.sleep(LOOK_S)
        log.info("ends; %d runs were under way", len(self.jobs))
        with contextlib.suppress(TimeoutError):  # then they are ended with us
            await asyncio.wait_for(self.cluster.close(), CLOSE_S)
        for path in (self.ending, self.folder / "engine.json"):
            path.unlink(missing_ok=True)


def _why(error: BaseException | None) -> tuple[str, str]:
    """Why a run could not begin, and what helps, for a person."""
    if isinstance(error, (ValueError, LookupError, StoreError)):
        return reason(error, 0)
    remedy = "Choose less data or a smaller model, or resume it once the cause is gone."
    if type(error).__name__ == "KilledWorker":
        return f"Its worker ended {MOST_DEATHS} times before it had begun: killed, or out of memory.", remedy
    said = str(error or "the worker is gone").strip().partition("\n")[0][:200].rstrip(".")
    return f"It could not begin in {MOST_DEATHS} tries: {said}.", remedy
