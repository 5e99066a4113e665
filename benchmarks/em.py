"""What a step of EM for a Gaussian mixture costs, against scikit-learn: `python -m benchmarks.em [--save]`.

Full covariances, the same points, start and threads on both sides, in one process, in turns; the fastest step
of several fits, each timed from one iteration's end to the next. scikit-learn computes in float64, ours in
float64 and in float32. The last two cases climb from 64 starts, 20 iterations each, the starts being made
before: scikit-learn fits them one after the other, ours at once; `n_init` is the whole fit with its starts,
on both sides. Prints one JSON object: milliseconds, how many times ours is faster, and whether that is as
much as was asked for.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import sklearn.mixture
import torch
from threadpoolctl import threadpool_limits

from lvmviz import GaussianMixture
from lvmviz.fast_em import Points, chunk_rows, climb, mixture

RESULTS = Path(__file__).parent / "results"
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
    many |= {"init_params": "random_from_data"}
    sides: dict[str, Callable[[], Any]] = {
        "sklearn": lambda: [sklearn.mixture.GaussianMixture(**one, max_iter=STEPS).fit(x) for one in given],
        "float64": lambda: together(x, given),
        "sklearn_n_init": lambda: sklearn.mixture.GaussianMixture(**many).fit(x),
        "float64_n_init": lambda: GaussianMixture(**many).fit(x),
    }
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(TURNS):
        for name, side in sides.items():
            for _ in range(1 if name.startswith("sklearn") else 4):
                begun = time.perf_counter()
                side()
                times[name].append(time.perf_counter() - begun)
    best = {name: min(some) for name, some in times.items()}
    told: dict[str, Any] = {f"{name}_ms": round(1e3 * seconds, 2) for name, seconds in best.items()}
    told["times_n_init"] = round(best["sklearn_n_init"] / best["float64_n_init"], 2)
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


def main() -> None:
    """Measure, and print or save one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--save", action="store_true", help="write it into results/, too")
    parser.add_argument("--threads", type=int, default=2, help="of torch and of BLAS, on both sides")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    load = os.getloadavg()[0]
    with warnings.catch_warnings(), threadpool_limits(asked.threads):
        warnings.simplefilter("ignore")  # nothing converges here, and is not to
        result: dict[str, Any] = {
            "step": {" x ".join(map(str, case)): step(case) for case in STEP_TARGETS},
            f"{STARTS} starts, {STEPS} iterations": {
                " x ".join(map(str, case)): restarts(case) for case in START_TARGETS
            },
        }
    result |= {
        "date": datetime.date.today().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}",
        "threads": asked.threads,
        "load_before_and_after": [round(load, 2), round(os.getloadavg()[0], 2)],
        "versions": {name: version(name) for name in ("torch", "numpy", "scikit-learn")},
    }
    print(json.dumps(result, indent=1))
    if asked.save:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"em-{result['date']}-cpu.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
