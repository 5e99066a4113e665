"""Another q to compare with: the best Gaussian by either direction of the KL."""

from __future__ import annotations

from typing import NamedTuple

from lvmviz.core import Knob
from lvmviz.families import FullRank, Plane, PlaneGaussian
from lvmviz.summaries import plane_numbers
from lvmviz.summaries.plane_numbers import Best
from lvmviz.targets import Target
from lvmviz.ui import frame
from lvmviz.ui.controls import Controls

NOTHING, REVERSE, FORWARD = "nothing", "best KL(q‖p)", "best KL(p‖q)"
BESIDE = Knob(
    help="A second q, dashed: the best Gaussian in either direction of the KL.",
    label="Compare with",
    options=(NOTHING, REVERSE, FORWARD),
    more=True,
)


class Beside(NamedTuple):
    """Another q and what it is called."""

    name: str
    best: Best


def beside(controls: Controls, target: Target, family: Plane) -> Beside | None:
    """The chosen one, of q's own family where that is Gaussian."""
    chosen = controls.value("beside", str, NOTHING, BESIDE)
    if chosen == NOTHING:
        return None
    own = family if isinstance(family, PlaneGaussian) else FullRank()
    found = plane_numbers.best(target, own, chosen == FORWARD)
    if found is None:
        with controls.view:
            frame.remark("p has no variances: no Gaussian has a finite KL(p‖q).")
        return None
    return Beside(f"{chosen} of a {own.name().lower().replace('gaussian', 'Gaussian')}", found)
