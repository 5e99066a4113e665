"""What a step of Monte-Carlo VI costs, against Pyro and NumPyro: `python -m benchmarks.vi [--save]`.

The banana, a full Gaussian q, reparameterized gradients from 64 draws, Adam, float64, on the same one core:
one run against Pyro's vectorized particles, and 512 runs at once against NumPyro's compiled scan, mapped over
them. Ours draws once a step for all runs, NumPyro for each: that is its policy, and the noise is part of what
either pays. Both sides only climb; ours also takes one exact look at all of it at the end of 1000 steps,
which is timed with them. Then what is exact: 64 starts on three modes until all stand still, the best
Gaussian by Newton's method, the numbers of a q that moves, and log p(x). Prints one JSON object:
milliseconds, steps a second, and whether that is as much as was asked for. The peers want a Python of
their own, `--peers path/to/python`; see benchmarks/peer_vi.py.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.peer_vi import DRAWS, RATE
from benchmarks.runs import machine, show
from lvmviz import (
    LBFGS,
    VI,
    Adam,
    Banana,
    FullRank,
    Job,
    Reparameterized,
    ThreeModes,
    best_gaussian_plane,
    run,
)
from lvmviz.core import fold_in
from lvmviz.quadrature import decompose, log_evidence
from lvmviz.quadrature.plane.mass import joint

STRIDE, RUNS = 1000, 512
TURNS = 8
FASTER = {"pyro, 1 run": 2.0, f"numpyro, {RUNS} runs": 3.0}  # than this peer, at least
MOST_MS = {"64 starts on three modes": 1000.0, "best Gaussian": 25.0, "q moves": 5.0, "log evidence": 15.0}


def ours(starts: int) -> dict[str, float]:
    """Seconds a step, the fastest stride of several."""
    vi = VI(
        target=Banana(), family=FullRank(), gradient=Reparameterized(draws=DRAWS),
        optimizer=Adam(step_size=RATE), starts=starts, spread=2.0, stride=STRIDE,
    )  # fmt: skip
    state, info = vi.init(0)
    times = []
    for turn in range(TURNS // 2):
        begun = time.perf_counter()
        state, info = vi.step(fold_in(0, turn + 1), state)
        times.append((time.perf_counter() - begun) / STRIDE)
    return {"step_s": min(times), "elbo": info.best + 3.2, "draws": DRAWS}  # log p(x) = -3.2 here, 0 there


def peers(python: str) -> dict[str, Any]:
    """The peers' numbers, by their own Python, on the same core."""
    script = str(Path(__file__).with_name("peer_vi.py"))
    done = subprocess.run(
        [python, script, str(STRIDE), str(RUNS)], check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def fastest_ms(work: Callable[[], object]) -> float:
    """Of several, warm."""
    work()
    times = []
    for _ in range(TURNS):
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
    return round(1e3 * min(times), 2)


def exact() -> dict[str, Any]:
    """Milliseconds of what is exact."""
    many = VI(target=ThreeModes(), family=FullRank(), optimizer=LBFGS(), starts=64, spread=4.0)
    phi = best_gaussian_plane(Banana()).phi
    works: dict[str, Callable[[], object]] = {
        "64 starts on three modes": lambda: run(Job(many, steps=60)),
        "best Gaussian": lambda: best_gaussian_plane(Banana()),
        "q moves": lambda: decompose(Banana(), FullRank(), phi),
        "log evidence": lambda: (joint.cache_clear(), log_evidence(Banana())),
    }
    found = {name: fastest_ms(work) for name, work in works.items()}
    return {
        name: {"ms": ms, "most_ms": MOST_MS[name], "held": ms <= MOST_MS[name]} for name, ms in found.items()
    }


def compared(mine: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
    """How many times faster, and whether that is enough."""
    told = {}
    for name, target in FASTER.items():
        one = mine[name.split(", ")[1]]["step_s"]
        ratio = theirs[name]["step_s"] / one
        told[name] = {"times": round(ratio, 2), "target": target, "held": ratio >= target}
    return told


def main() -> None:
    """Measure, and print or save one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--save", action="store_true", help="write it into results/, too")
    parser.add_argument("--peers", default=sys.executable, help="a Python that has pyro-ppl and numpyro")
    asked = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # one core, for the peers too
    torch.set_num_threads(1)
    mine = {f"{count} run{'s' * (count > 1)}": ours(count) for count in (1, RUNS)}
    result: dict[str, Any] = {"ours": mine, "exact": exact()}
    try:
        told = peers(asked.peers)
        result |= {"peers": told, "compared": compared(mine, told["steps"])}
    except (OSError, subprocess.CalledProcessError) as error:
        result["peers"] = f"not measured: {error}"
    for side in (mine, result["peers"]["steps"] if isinstance(result["peers"], dict) else {}):
        for one in side.values():
            one["steps_per_s"] = round(1.0 / one["step_s"], 1)
    show("vi", machine("torch", "numpy") | {"threads": 1} | result, asked.save)


if __name__ == "__main__":
    main()
