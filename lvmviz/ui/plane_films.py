"""From a q in the plane, or an optimizer's path of q's, to the films that show it."""

from __future__ import annotations

import functools
from collections.abc import Hashable
from typing import Any, NamedTuple

import numpy as np

from lvmviz.families import MixtureQ, Plane, PlaneGaussian
from lvmviz.figures import plane as figures
from lvmviz.figures import plane_khat, plane_warp
from lvmviz.figures.drawing import Drawing
from lvmviz.figures.film import Film
from lvmviz.figures.level_lines import level_lines
from lvmviz.figures.theme import number
from lvmviz.kept import kept
from lvmviz.regression_targets import EightSchools, LogisticRegression
from lvmviz.runs.job import Trace
from lvmviz.summaries import fit as fits
from lvmviz.summaries import plane as summaries
from lvmviz.summaries import plane_numbers
from lvmviz.summaries.image_posterior import ImagePosterior
from lvmviz.summaries.plane_numbers import Best, Draws
from lvmviz.targets import Target
from lvmviz.ui.plane import Q
from lvmviz.ui.plane_beside import Beside

AXES = {
    LogisticRegression: ("intercept", "slope"),
    EightSchools: ("mu, points", "log tau"),
    ImagePosterior: ("first latent", "second latent"),
}

KEPT, FRAME = 64_000_000, 10_000  # bytes of all pictures that are kept, and of a frame


class Picture(NamedTuple):
    """The main picture, and what of it the hand may take."""

    film: Film
    traces: list[list[int]]
    outlines: list[np.ndarray]
    places: np.ndarray  # (M, T, 5)


def axes(target: Target) -> tuple[str, str]:
    """What the plane's directions are."""
    return AXES.get(type(target), ("x", "y"))


@functools.lru_cache(maxsize=32)
def truth(target: Target, dark: bool) -> figures.Truth:
    """The posterior as it is drawn."""
    found = summaries.posterior(target)
    filled = figures.bands(found.log_density, found.levels, dark=dark)
    return figures.Truth(found.x, found.y, found.marginals, summaries.extent(target).even, filled)


def picture(
    target: Target, q: Q, phis: Any, second: Beside | None, ways: np.ndarray | None, dark: bool
) -> Picture:
    """Posterior and q in every state (T, P); a single state stands where the boxes have it."""
    family, still = q.family, len(phis) == 1 and ways is None
    own = np.array([[place[:5]] for place in q.places]) if still else np.moveaxis(
        summaries.standing(family, phis), -2, 0)  # fmt: skip
    lines = summaries.outlines(family, phis[0] if still or not summaries.bends(family) else phis)
    many = isinstance(family, MixtureQ) and family.parts > 1
    film, traces = figures.picture(
        truth(target, dark),
        [figures.Part(lines, places) for places in own],
        _margins(target, family, phis),
        whole=_whole(target, family, phis[0]) if many and still else (),
        second=() if second is None else _closed(second.best),
        ways=None if ways is None else figures.Ways(ways),
        second_name="" if second is None else f"dashed: {second.name}",
        axes=axes(target),
        dark=dark,
    )
    return Picture(film, traces, lines, own)


def _margins(target: Target, family: Plane, phis: Any) -> figures.Margins:
    if len(phis) > 1 and isinstance(family, PlaneGaussian):  # a place in every frame, instead of a curve
        across, along = summaries.spreads(family, phis)
        return figures.Margins(across, across, along, along, normal=True)
    x, across, y, along = summaries.margins(family, phis, summaries.seen(target))
    return figures.Margins(x, across, y, along)


def _whole(target: Target, family: Plane, phi: Any) -> list[np.ndarray]:
    x, y, heights, levels = summaries.total(family, phi, summaries.seen(target))
    return [level_lines(x, y, heights, level) for level in levels.tolist()]


def _closed(best: Best) -> list[np.ndarray]:
    rows = figures.affine(np.array([best.place[:5]]))[0]
    return [
        np.stack([rows[0] + e @ rows[1:3], rows[3] + e @ rows[4:6]], 1)
        for e in map(summaries.circle, summaries.REGIONS)
    ]


def khat(told: Draws, kl: float, forward: float | None, dark: bool) -> Drawing:
    """k-hat of one seed and of some others, beside what it cannot see."""
    kls = {"q‖p": kl} if forward is None else {"q‖p": kl, "p‖q": forward}
    exact = "exact KL: " + ", ".join(f"{way} {_short(x)}" for way, x in kls.items())
    return plane_khat.khat(plane_numbers.COUNTS, told.khat, exact, dark=dark)


def _short(x: float) -> str:
    """Nats in few characters: both KLs stand in one line at 1024 px."""
    return number(x, 3 if x < 10.0 else 1) if x < 1e5 else f"{x:.1e}".replace("e+0", "e")


def warp(target: Target, family: Plane, phi: Any, upto: int, dark: bool, height: int) -> Drawing:
    """The noise's grid after so many layers; its height in px."""
    count = plane_numbers.layer_count(family)
    shown = plane_numbers.warp(family, phi, upto)
    told = (
        "the noise's grid"
        if not upto
        else f"after layer {upto} of {count}"
        if count > 1
        else "the noise's grid, where q's map takes it"
    )
    return plane_warp.warp(
        truth(target, dark),
        shown.lines,
        shown.corners,
        shown.log_det,
        figures.Margins(*summaries.margins(family, phi[None], summaries.seen(target), upto)),
        told=told,
        axes=axes(target),
        dark=dark,
        height=height,
    )


def _size(made: Picture) -> int:
    return made.film.count * FRAME


def _settled(trace: Trace, q: Q, second: Beside | None, dark: bool) -> Hashable:
    return trace.key, second, dark


@kept(KEPT, _size, key=_settled)
def path(trace: Trace, q: Q, second: Beside | None, dark: bool) -> Picture:
    """The picture of every q on the optimizer's way, and of the ways of all starts; kept until it grows."""
    target, phis = fits.vi(trace.job).target, fits.phis(trace)
    return picture(target, q, phis, second, summaries.centres(trace), dark)
