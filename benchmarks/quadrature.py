"""What an exact number costs, against SciPy's quad: `python -m benchmarks.quadrature`.

Prints milliseconds (the best of 30, one thread) for the first look at a posterior, for all seven terms of the
ELBO at first and when only q moves, for the same seven integrals by scipy.integrate.quad; the ratios; and
what either is off where the truth is known. One JSON object, with machine, date and versions.
"""

from __future__ import annotations

import datetime
import json
import math
import os
import platform
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version

import numpy as np
import torch
from scipy.integrate import quad

from lvmviz.core import each
from lvmviz.families import Gaussian, Line
from lvmviz.quadrature import decompose, log_evidence
from lvmviz.quadrature.exact import _joint, _places
from lvmviz.targets import Density, Target

REPEATS = 30


def milliseconds(work: Callable[[], object]) -> float:
    """The best time of the work, warm: what it costs when nobody else wants the core."""
    work()
    times = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
    return round(1e3 * min(times), 3)


def forget() -> None:
    """As if no target had been looked at."""
    _joint.cache_clear()
    _places.cache_clear()


def peer(target: Target, family: Line, phi: torch.Tensor) -> tuple[float, ...]:
    """The seven terms as a careful user of quad writes them: the whole line, and its own subdivision."""

    def at(z: float) -> torch.Tensor:
        return torch.tensor([[z]], dtype=torch.float64)

    def over_q(g: Callable[[torch.Tensor], torch.Tensor]) -> float:
        def f(z: float) -> float:
            weight = math.exp(float(family.log_prob(phi, at(z))))
            return weight * float(g(at(z))) if weight > 0 else 0.0

        return quad(f, -np.inf, np.inf, epsabs=1e-10, epsrel=1e-10, limit=200)[0]

    mass = quad(lambda z: math.exp(float(target.log_prob(at(z)))), -np.inf, np.inf, epsabs=1e-12, limit=200)[
        0
    ]
    evidence = math.log(mass) if mass > 0 else -math.inf
    terms = (
        lambda z: target.log_prob(z) - family.log_prob(phi, z),
        lambda z: family.log_prob(phi, z) - target.log_prob(z) + evidence,
        target.log_prob,
        lambda z: -family.log_prob(phi, z),
        target.log_likelihood,
        lambda z: family.log_prob(phi, z) - target.log_prior(z),
    )
    return (evidence, *(over_q(term) for term in terms))


def measure(target: Target) -> dict[str, float]:
    """One posterior under one q."""
    family, phi = Gaussian(), torch.tensor([0.3, 0.2], dtype=torch.float64)

    def first(work: Callable[[], object]) -> float:
        return milliseconds(lambda: (forget(), work()))

    found = {
        "first_evidence_ms": first(lambda: log_evidence(target)),
        "first_terms_ms": first(lambda: decompose(target, family, phi)),
        "q_moves_ms": milliseconds(lambda: decompose(target, family, phi)),
    }
    begun = time.perf_counter()
    theirs = peer(target, family, phi)
    found["quad_ms"] = round(1e3 * (time.perf_counter() - begun), 1)
    found["times_faster_first"] = round(found["quad_ms"] / found["first_terms_ms"], 1)
    found["times_faster_q_moves"] = round(found["quad_ms"] / found["q_moves_ms"], 1)
    if isinstance(target, Density):
        found["evidence_off"] = abs(log_evidence(target) + 3.2)
        found["quad_evidence_off"] = abs(theirs[0] + 3.2)
    return found


def main() -> None:
    """Measure every posterior at its defaults, and print one JSON object."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # quad's own words about its failures: its numbers tell
    presets = [target for target in each(Target) if target.dim == 1 and target.__module__ == "lvmviz.targets"]
    result: dict[str, object] = {repr(target): measure(target) for target in presets}
    result["date"] = datetime.date.today().isoformat()
    result["machine"] = f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}"
    result["versions"] = {name: version(name) for name in ("torch", "numpy", "scipy")}
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
