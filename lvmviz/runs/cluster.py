"""Workers for the engine: processes on this machine, or a Dask cluster that is there already.

Only the engine's own process imports this module, and with it Dask.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from dask import config

# before `distributed` reads it: what Dask says is for the file that the engine's output goes to
config.set({"logging": {"distributed": "warning", "distributed.worker": "error"}})

from dask.system import CPU_COUNT  # noqa: E402
from dask.utils import parse_bytes  # noqa: E402
from distributed import Client, Nanny, Scheduler, Security, Worker  # noqa: E402
from distributed.core import Status  # noqa: E402
from distributed.system import MEMORY_LIMIT  # noqa: E402

from lvmviz.runs.keys import Keys  # noqa: E402

MOST_WORKERS = 4  # on one machine, unless LVMVIZ_WORKERS says more
SLOT, GPU = "slot", "gpu"  # what a job takes of a worker: it has one of either
SETTINGS = {
    "distributed.scheduler.allowed-failures": 0,  # a killed run is the person's to resume
    "distributed.scheduler.work-stealing": False,
    "distributed.scheduler.active-memory-manager.start": False,
    "distributed.scheduler.worker-ttl": None,  # leases tell who is dead; a long step is not
    "distributed.worker.profile.enabled": False,  # a look into every job a hundred times a second
    "distributed.admin.system-monitor.gil.enabled": False,
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,  # a paused worker would wait for memory nobody frees
    "distributed.worker.multiprocessing-method": "spawn",  # CUDA and threads survive nothing else
    # dask's own thresholds give memory back after every step, at 15 to 20 % of the time
    "distributed.nanny.pre-spawn-environ": {
        "MALLOC_TRIM_THRESHOLD_": 2**28,
        "MALLOC_MMAP_THRESHOLD_": 2**26,
        "OMP_NUM_THREADS": 1,
        "MKL_NUM_THREADS": 1,
        "OPENBLAS_NUM_THREADS": 1,
    },
}


class _NoPort:
    """Dask opens a port for its dashboard even where none is wanted; here it does not."""

    def start_http_server(self, *_: Any, **__: Any) -> None:
        return


class OwnScheduler(_NoPort, Scheduler):
    """A scheduler that listens for its workers and its client alone."""


class OwnWorker(_NoPort, Worker):
    """A worker that listens for its scheduler alone."""


class Seat(NamedTuple):
    """Where one job at a time can be done."""

    name: str
    resource: str  # SLOT or GPU
    device: str  # CUDA_VISIBLE_DEVICES: "" for none
    memory: int  # bytes


def seats() -> list[Seat]:
    """One for each worker of this machine: some for the CPU, one for every GPU."""
    cards = _cards()
    count = _whole("LVMVIZ_WORKERS", min(MOST_WORKERS, max(1, CPU_COUNT - 1)))
    memory = _memory(count + len(cards))
    own = [Seat(f"cpu-{i}", SLOT, "", memory) for i in range(count)]
    return own + [Seat(f"gpu-{i}", GPU, card, memory) for i, card in enumerate(cards)]


def _cards() -> list[str]:
    count = torch.cuda.device_count()
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return [part.strip() for part in named.split(",")][:count] if named else [str(i) for i in range(count)]


def _whole(name: str, default: int) -> int:
    said = os.environ.get(name, "").strip()
    if said and not (said.isascii() and said.isdigit() and 1 <= int(said) <= 256):
        raise ValueError(f"{name} is {said!r}: it can be a whole number from 1 to 256")
    return int(said or default)


def _memory(seats: int) -> int:
    said = os.environ.get("LVMVIZ_MEMORY", "").strip()
    try:
        return parse_bytes(said) if said else int(0.8 * MEMORY_LIMIT / seats)
    except ValueError:
        raise ValueError(f"LVMVIZ_MEMORY is {said!r}: it can be a size such as 2GB or 800MB") from None


class Cluster:
    """A client of a Dask scheduler; of one's own, with a worker for every seat, or of one that is there."""

    def __init__(self, keys: Keys, scratch: Path) -> None:
        self.keys = keys
        self.scratch = scratch
        self.address = os.environ.get("LVMVIZ_SCHEDULER", "").strip()
        self.foreign = bool(self.address)
        if self.foreign and not self.address.startswith("tls://"):
            raise ValueError(
                f"LVMVIZ_SCHEDULER is {self.address!r}: it must begin with tls://, "
                "for a scheduler without TLS runs anyone's code"
            )
        self.seats = [] if self.foreign else seats()
        self.nannies: dict[str, Nanny] = {}
        self.client: Client
        self._open = AsyncExitStack()

    async def start(self) -> None:
        """Start the scheduler and every worker, ready to work; or connect."""
        config.set(SETTINGS)
        if not self.foreign:
            scheduler = OwnScheduler(host="127.0.0.1", port=0, protocol="tls://", security=self._security())
            self.address = (await self._open.enter_async_context(scheduler)).address
            await asyncio.gather(*(self._hire(seat) for seat in self.seats))
        self.client = await self._open.enter_async_context(
            Client(self.address, security=self._security(), asynchronous=True, set_as_default=False)
        )

    async def tend(self) -> None:
        """Put a worker on every seat whose nanny gave up."""
        gone = [
            seat for seat in self.seats if self.nannies[seat.name].status in (Status.closed, Status.failed)
        ]
        await asyncio.gather(*(self._hire(seat) for seat in gone))

    async def resource(self, device: str) -> str:
        """What a job for this device takes: a GPU where there are any, else a slot."""
        if not device.startswith("cuda"):
            return SLOT
        return GPU if any(GPU in held for held in await self._resources()) else SLOT

    async def close(self) -> None:
        """Let the workers go; what they still do is lost."""
        await asyncio.gather(*(nanny.close(timeout=1) for nanny in self.nannies.values()))
        await self._open.aclose()

    async def _resources(self) -> list[dict[str, float]]:
        if not self.foreign:
            return [{seat.resource: 1} for seat in self.seats]
        told: Any = await cast(Any, self.client.scheduler).identity(n_workers=-1)
        return [worker["resources"] for worker in told["workers"].values()]

    async def _hire(self, seat: Seat) -> None:
        self.nannies[seat.name] = await Nanny(
            self.address,
            name=seat.name,
            nthreads=1,
            host="127.0.0.1",
            protocol="tls://",
            security=self._security(),
            resources={seat.resource: 1},
            memory_limit=cast(Any, seat.memory),
            local_directory=str(self.scratch),
            worker_class=OwnWorker,
            preload=["lvmviz.runs.worker"],
            env={"CUDA_VISIBLE_DEVICES": seat.device},
        )

    def _security(self) -> Security:
        """Our own keys among ourselves; for a cluster that is there, those its Dask settings name."""
        if self.foreign:
            return Security(require_encryption=True)
        authority, certificate, key = map(str, self.keys)
        both = {f"tls_{role}_cert": certificate for role in ("client", "scheduler", "worker")}
        both |= {f"tls_{role}_key": key for role in ("client", "scheduler", "worker")}
        return Security(require_encryption=True, tls_ca_file=authority, **both)
