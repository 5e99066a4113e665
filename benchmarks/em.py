"""What a step of EM for a Gaussian mixture costs, against scikit-learn: `python -m benchmarks.em [--save]`.

Full covariances, the same points, start and threads on both sides, in one process, in turns; the fastest step
of several fits, each timed from one iteration's end to the next. scikit-learn computes in float64, ours in
float64 and in float32. The last two cases climb from 64 starts, 20 iterations each, the starts being made
before: scikit-learn fits them one after the other, ours at once; `n_init` is the whole fit with its starts,
on both sides. Prints one JSON object: milliseconds, how many times ours is faster, and whether that is as
much as was asked for. `--memory` measures instead what a fit of 10 million points in float32 holds at most
over the points themselves, in memory and memory-mapped, each in a process of its own (Linux).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import sklearn.mixture
import torch
from threadpoolctl import threadpool_limits

from benchmarks.runs import machine, show
from lvmviz import GaussianMixture
from lvmviz.fast_em import Points, chunk_rows, climb, mixture

TURNS = 3
SECONDS = 1.0  # of one side in one turn, about
STARTS, STEPS = 64, 20
# N, D, K: how many times faster ours is to be, in float64 and in float32
STEP_TARGETS = {
    (1_000_000, 2, 10): (20.0, 35.0),
    (100_000, 16, 32): (9.0, 6.0),
    (20_000, 64, 10): (1.7, 3.0),
    (10_000, 2, 5): (6.0, 6.0),
    (272, 2, 2): (1.0, 1.0),
}
START_TARGETS = {(272, 2, 2): 35.0, (10_000, 2, 5): 20.0}
MANY, ALLOWED = (10_000_000, 2, 10), 2e9  # N, D, K of float32; bytes over the points
FEW_STEPS = 3


class Peer(sklearn.mixture.GaussianMixture):
    """scikit-learn's, with a clock that rings at the end of every iteration."""

    callback: Callable[[int, float], bool]

    def _print_verbose_msg_iter_end(self, n_iter: int, diff_ll: float) -> None:
        self.callback(n_iter, diff_ll)


def points(count: int, width: int, components: int) -> np.ndarray:
    """Clusters of unit width, their centres three times as far spread."""
    rng = np.random.default_rng(0)
    centres = 3.0 * rng.normal(size=(components, width))
    return centres[rng.integers(components, size=count)] + rng.normal(size=(count, width))


def start(x: np.ndarray, components: int, seed: int) -> dict[str, Any]:
    """Rows drawn at random, the covariance of all."""
    rows = np.random.default_rng(seed).choice(len(x), components, replace=False)
    precision = np.linalg.inv(np.cov(x.T))
    return {
        "weights_init": np.full(components, 1.0 / components), "means_init": x[rows],
        "precisions_init": np.broadcast_to(precision, (components, *precision.shape)).copy(),
        "n_components": components, "tol": 0.0,
    }  # fmt: skip


def fastest(model: Any, x: np.ndarray, steps: int) -> float:
    """Seconds from the end of one iteration to that of the next, at least."""
    ends: list[float] = []
    model.set_params(max_iter=steps)
    model.callback = lambda iteration, bound: ends.append(time.perf_counter())  # type: ignore[assignment]
    model.fit(x)
    return float(np.diff(ends).min())


def step(case: tuple[int, int, int]) -> dict[str, Any]:
    """Milliseconds an iteration, and ratios."""
    x = points(*case)
    given = start(x, case[2], 0)
    models = {
        "sklearn": Peer(**given), "float64": GaussianMixture(**given),
        "float32": GaussianMixture(**given, dtype="float32"),
    }  # fmt: skip
    steps = {name: max(4, min(300, round(SECONDS / fastest(model, x, 4)))) for name, model in models.items()}
    times: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(TURNS):
        for name, model in models.items():
            times[name].append(fastest(model, x, steps[name]))
    told: dict[str, Any] = {f"{name}_ms": round(1e3 * min(some), 3) for name, some in times.items()}
    for name, target in zip(("float64", "float32"), STEP_TARGETS[case], strict=True):
        told |= verdict(name, min(times["sklearn"]) / min(times[name]), target)
    return told


def restarts(case: tuple[int, int, int]) -> dict[str, Any]:
    """Milliseconds for 20 iterations of 64 starts, and ratios."""
    x = points(*case)
    given = [start(x, case[2], seed) for seed in range(STARTS)]
    many = {"n_components": case[2], "tol": 0.0, "max_iter": STEPS, "n_init": STARTS, "random_state": 0}
    sides: dict[str, Callable[[], Any]] = {
        "sklearn": lambda: [sklearn.mixture.GaussianMixture(**one, max_iter=STEPS).fit(x) for one in given],
        "float64": lambda: together(x, given),
    }
    for how in ("kmeans", "random_from_data"):
        told = many | {"init_params": how}
        sides[f"sklearn_n_init_{how}"] = lambda told=told: sklearn.mixture.GaussianMixture(**told).fit(x)
        sides[f"float64_n_init_{how}"] = lambda told=told: GaussianMixture(**told).fit(x)
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(TURNS):
        for name, side in sides.items():
            for _ in range(1 if name.startswith("sklearn") else 4):
                begun = time.perf_counter()
                side()
                times[name].append(time.perf_counter() - begun)
    best = {name: min(some) for name, some in times.items()}
    told: dict[str, Any] = {f"{name}_ms": round(1e3 * seconds, 2) for name, seconds in best.items()}
    for how in ("kmeans", "random_from_data"):
        ratio = best[f"sklearn_n_init_{how}"] / best[f"float64_n_init_{how}"]
        told[f"times_n_init_{how}"] = round(ratio, 2)
    return told | verdict("float64", best["sklearn"] / best["float64"], START_TARGETS[case])


def together(x: np.ndarray, given: list[dict[str, Any]]) -> Any:
    """All starts at once, from points to ends."""
    placed = Points(x, rows=chunk_rows(len(given), given[0]["n_components"], x.shape[1]))
    theta = mixture(
        "full",
        np.stack([one["weights_init"] for one in given]),
        np.stack([one["means_init"] for one in given]) - placed.origin,
        np.linalg.inv(np.stack([one["precisions_init"] for one in given])),
    )
    return climb(placed, theta, tol=0.0, reg_covar=1e-6, max_iter=STEPS)


def verdict(name: str, ratio: float, target: float) -> dict[str, Any]:
    """How many times faster, what is asked for, and whether it holds."""
    return {f"times_{name}": round(ratio, 2), f"target_{name}": target, f"held_{name}": ratio >= target}


# ---- memory ----


def memory() -> dict[str, Any]:
    """Megabytes over the points at the peak of a fit from the default start."""
    told = {}
    with tempfile.TemporaryDirectory() as folder:
        stored = Path(folder) / "x"
        _fill(np.memmap(stored, dtype=np.float32, mode="w+", shape=MANY[:2]))
        for how in ("memory", "mapped"):
            command = [sys.executable, "-m", "benchmarks.em", "--peak-of", how, "--points", str(stored)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            told[how] = json.loads(done.stdout.splitlines()[-1])
    return told


def peak(how: str, stored: str) -> dict[str, Any]:
    """Of this process: what is resident before and at most during a fit."""
    points = np.memmap(stored, dtype=np.float32, mode="r", shape=MANY[:2])
    x = points if how == "mapped" else np.array(points)
    model = GaussianMixture(MANY[2], random_state=0, max_iter=FEW_STEPS, tol=0.0)
    model.fit(x[:1000])  # what is loaded and started once
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    before = _resident("VmRSS")
    model.fit(x)
    over = _resident("VmHWM") - before
    return {"before_mb": before // 2**20, "over_mb": over // 2**20, "held": over <= ALLOWED}


def _fill(x: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    centres = 3.0 * rng.normal(size=(MANY[2], MANY[1]))
    for begin in range(0, len(x), 2**18):
        part = x[begin : begin + 2**18]
        part[:] = centres[rng.integers(MANY[2], size=len(part))] + rng.normal(size=part.shape)


def _resident(name: str) -> int:
    """Bytes, VmRSS now or VmHWM at most."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(name))


def main() -> None:
    """Measure, and print or save one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--save", action="store_true", help="write it into results/, too")
    parser.add_argument("--threads", type=int, default=2, help="of torch and of BLAS, on both sides")
    parser.add_argument("--memory", action="store_true", help="measure the peak of memory instead")
    parser.add_argument("--peak-of", choices=["memory", "mapped"], help=argparse.SUPPRESS)
    parser.add_argument("--points", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    about = machine("torch", "numpy", "scikit-learn") | {"threads": asked.threads}
    with warnings.catch_warnings(), threadpool_limits(asked.threads):
        warnings.simplefilter("ignore")  # nothing converges here, and is not to
        if asked.peak_of:
            print(json.dumps(peak(asked.peak_of, asked.points)))
            return
        if asked.memory:
            show("em-memory", about | {" x ".join(map(str, MANY)): memory()}, asked.save)
            return
        result: dict[str, Any] = {
            "step": {" x ".join(map(str, case)): step(case) for case in STEP_TARGETS},
            f"{STARTS} starts, {STEPS} iterations": {
                " x ".join(map(str, case)): restarts(case) for case in START_TARGETS
            },
        }
    show("em", about | result, asked.save)


if __name__ == "__main__":
    main()
