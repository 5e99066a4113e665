"""What the exact numbers of a q in the plane are off by: `python -m benchmarks.plane_errors --each 300`.

Random q anywhere in the picture of every target, a fiftieth of it to half of it wide. Prints for every target
and family the greatest and the 95th percentile of the error that is told, in nats, of an ELBO beyond a
thousand nats per thousand of it; how many are above the 1e-4 that is asked; the greatest
|ELBO + KL - log p(x)| beyond what these terms' own errors allow (0 where none is); and the median of
milliseconds of one core. Targets and families may be named, so that a run is short:
`--targets Donut Funnel --families MixtureQ`.
"""

from __future__ import annotations

import argparse
import math
import time

import numpy as np
import torch
from torch import Tensor

from lvmviz.core import each
from lvmviz.families import (
    AffineCoupling,
    Autoregressive,
    Flow,
    FullRank,
    MeanField,
    MixtureQ,
    Planar,
    Plane,
    Stack,
)
from lvmviz.quadrature import Integral, decompose, log_evidence
from lvmviz.regression_targets import LogisticRegression
from lvmviz.summaries.plane import Box, Place, extent, phi_at
from lvmviz.targets import Target

FAMILIES: list[Plane] = [
    MeanField(),
    FullRank(),
    MixtureQ(parts=2),
    MixtureQ(parts=5),
    Flow(layer=Planar(), layers=4),
    Flow(layer=AffineCoupling(), layers=4),
    Flow(layer=Autoregressive(), layers=4),
]
NARROW, WIDE = 0.02, 0.5  # of the picture
FLOWS = 10  # times fewer of them
BENT = 0.3  # sd of a flow's numbers
ASKED, LARGE = 1e-4, 1e3  # nats


def anywhere(family: Plane, box: Box, random: np.random.Generator) -> Tensor:
    """One q."""
    size = np.array([box.right - box.left, box.top - box.bottom])
    places = []
    for _ in range(family.parts if isinstance(family, MixtureQ) else 1):
        x, y = random.uniform(box.left, box.right), random.uniform(box.bottom, box.top)
        first, second = np.exp(random.uniform(math.log(NARROW), math.log(WIDE), 2)) * size
        places.append(Place(x, y, first, second, random.uniform(-90.0, 90.0), random.uniform(0.05, 1.0)))
    if not isinstance(family, Stack):
        return phi_at(family, places)
    at = places[0]
    phi = family.at(torch.tensor([at.x, at.y]).double(), torch.tensor([at.first, at.second]).double())
    phi[4:] += BENT * torch.from_numpy(random.normal(size=len(phi) - 4))
    return phi


def measure(target: Target, family: Plane, count: int) -> str:
    """One line of the table."""
    random, box, evidence = np.random.default_rng(0), extent(target), log_evidence(target)
    told, beyond, ms = [], [], []
    decompose(target, family, anywhere(family, box, random))
    for _ in range(count):
        phi = anywhere(family, box, random)
        begun = time.process_time()
        found = decompose(target, family, phi)
        ms.append(1e3 * (time.process_time() - begun))
        told.append(found.error / max(1.0, abs(found.elbo) / LARGE))
        own = sum(term.error for term in (found.elbo, found.kl) if isinstance(term, Integral))
        beyond.append(abs(found.elbo + found.kl - evidence) - own)
    worse = int((np.array(told) > ASKED).sum())
    cells = (
        max(told),
        np.quantile(told, 0.95),
        f"{worse} of {count}",
        max(0.0, *beyond),
        float(np.median(ms)),
    )
    return "{:9.1e} {:9.1e} {:>10} {:9.1e} {:7.1f}".format(*cells)


def main() -> None:
    """The table, a line at a time."""
    parser = argparse.ArgumentParser(description="What exact numbers of q in the plane are off by.")
    parser.add_argument(
        "--each", type=int, default=300, help=f"q's a target and family; flows {FLOWS} times fewer"
    )
    parser.add_argument("--targets", nargs="*", default=[], help="names of classes; all by default")
    parser.add_argument("--families", nargs="*", default=[], help="parts of names; all by default")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'target and family':58} {'max':>9} {'95 %':>9} {'too large':>10} {'beyond':>9} {'ms':>7}")
    for target in [*each(Target), LogisticRegression(data="breast cancer")]:
        if target.dim != 2 or (asked.targets and type(target).__name__ not in asked.targets):
            continue
        for family in FAMILIES:
            if asked.families and not any(part in repr(family) for part in asked.families):
                continue
            count = max(2, asked.each // FLOWS) if isinstance(family, Stack) else asked.each
            print(f"{target!r:.32} {family!r:.25}".ljust(58), measure(target, family, count), flush=True)


if __name__ == "__main__":
    main()
