"""From a q, or an optimizer's path of q's, to the films that show it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from lvmviz.families import Line, LocationScale
from lvmviz.figures import fit as figures
from lvmviz.figures import fit_landscape, fit_trace
from lvmviz.figures.film import Film
from lvmviz.figures.theme import number
from lvmviz.objectives import ForwardKL, ReverseKL
from lvmviz.runs.job import Trace
from lvmviz.summaries import fit as summaries
from lvmviz.summaries.fit import Place
from lvmviz.targets import Target
from lvmviz.ui.fit_numbers import title


class Second(NamedTuple):
    """A q to compare with: its family, parameters and place."""

    family: Line
    phi: Any
    place: Place


class Picture(NamedTuple):
    """The main picture, and what of it the hand may take."""

    film: Film
    traces: list[int]
    bells: list[figures.Bell]


def picture(
    target: Target,
    family: Line,
    phis: Any,
    kl: Sequence[float],
    second: Second | None,
    dark: bool,
    hide: bool,
) -> Picture:
    """Posterior, q in every state (T, P) and the integrand; `hide` leaves out every number."""
    shown, digits = summaries.picture(target, family, phis), decimals(target)
    bells = [figures.Bell(*bell) for bell in shown.bells]
    film, traces = figures.picture(
        shown.z,
        shown.posterior,
        shown.q,
        shown.integrand,
        bells,
        joint=shown.joint,
        joint_label=f"dotted {_times(shown.power)}p(x,z), p(x) = {_area(summaries.evidence(target))}",
        q_label=[_told(family, mean, sd, digits) for mean, sd in summaries.places(family, phis).tolist()],
        kl=kl,
        second=None if second is None else summaries.density(second.family, second.phi, shown.z),
        second_label="" if second is None else _second_told(target, second, digits),
        hide_numbers=hide,
        dark=dark,
    )
    return Picture(film, traces, bells)


def _area(log_area: float) -> str:
    """e to this power, in three digits."""
    power = math.floor(log_area / math.log(10.0))
    if -3 <= power < 4:
        return f"{math.exp(log_area):.3g}"
    return f"{math.exp(log_area - power * math.log(10.0)):.2f}·10<sup>{power}</sup>".replace("-", "−")


def _times(power: int) -> str:
    """A power of ten before what it multiplies."""
    return {0: "", 1: "10 ", 2: "100 "}.get(power, f"10<sup>{power}</sup> ".replace("-", "−"))


def decimals(target: Target) -> int:
    """Of means and sds: as many as tell places apart in a picture so wide."""
    low, high = summaries.extent(target)
    return max(2, 3 - math.floor(math.log10(high - low)))


def _told(family: Line, centre: float, width: float, digits: int) -> str:
    across, wide = summaries.place_names(family)
    return f"q(z)\n{across} {number(centre, digits)}, {wide} {number(width, digits)}"


def _second_told(target: Target, second: Second, digits: int) -> str:
    kl = summaries.terms(target, second.family, second.phi).kl
    mean, sd = second.place
    return f"second q\nN({number(mean, digits)}, {number(sd, digits)}²)\nKL {number(kl, 2)}"


def landscape(target: Target, family: Line, trace: Trace | None, dark: bool) -> Film:
    """The ELBO over the places of q with the paths of all starts; without a trace a ring to be put on q."""
    means, sds, elbo = summaries.hills(target, family)
    place, kl = summaries.best(target, family)
    ways = None if trace is None else summaries.paths(trace)
    path = np.array([[means[0], sds[0]]]) if ways is None else ways[0]  # the ring is put on q by its mark
    return fit_landscape.landscape(
        means,
        sds,
        elbo,
        path,
        log_evidence=summaries.evidence(target),
        others=None if ways is None else ways[1:],
        best=place if isinstance(family, LocationScale) else None,  # the others' best is none of these q's
        best_label=f"best ELBO, KL {number(kl, 3)}",
        names=summaries.place_names(family),
        decimals=decimals(target),
        dark=dark,
    )


def trace(trace: Trace, dark: bool) -> Film:
    """The ELBO over the iterations under log p(x), and what is climbed where that is another number."""
    elbo, evidence = summaries.column(trace, "elbo"), float(trace[0].info.log_evidence)
    objective = summaries.vi(trace.job).objective
    if isinstance(objective, ReverseKL):
        return fit_trace.trace(elbo, evidence, others=None, dark=dark)
    climbed, name = summaries.column(trace, "objective"), title(objective)
    if isinstance(objective, ForwardKL):  # a divergence hangs from log p(x), as KL(q‖p) does
        climbed, name = evidence + climbed, "log p(x) − KL(p‖q)"
    return fit_trace.trace(elbo, evidence, climbed=climbed, climbed_name=name, dark=dark)
