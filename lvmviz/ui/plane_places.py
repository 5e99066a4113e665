"""Where a q in the plane may stand: how far it may go, where it begins, and how a link says it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from lvmviz.families import MixtureQ, Plane
from lvmviz.summaries import plane as summaries
from lvmviz.summaries.plane import Place
from lvmviz.targets import Target

FARTHEST, NARROWEST, WIDEST = 1e6, 2e-3, 1e5  # of what a picture shows: q's controls go no further


class Range(NamedTuple):
    """How far the boxes and the hand may go."""

    left: float
    right: float
    bottom: float
    top: float
    least: float  # of a half-axis, one sd
    most: float

    def held(self, place: Place) -> Place:
        """The nearest place within, in no more digits than such a picture can show."""
        digits = 5 - math.floor(math.log10(max(self.right - self.left, self.top - self.bottom)))
        return Place(
            round(min(max(place.x, self.left), self.right), digits),
            round(min(max(place.y, self.bottom), self.top), digits),
            self._axis(place.first),
            self._axis(place.second),
            round((place.angle + 180.0) % 360.0 - 180.0, 2),
            place.share if place.share == 1.0 else min(max(place.share, 0.01), 0.99),
        )

    def _axis(self, sd: float) -> float:
        return min(max(float(f"{sd:.5g}"), self.least), self.most)


def range_of(target: Target) -> Range:
    """What a picture of the posterior shows at its widest, in round numbers."""
    box = summaries.extent(target)
    wide, tall = box.right - box.left, box.top - box.bottom
    if not (max(map(abs, box)) < FARTHEST and NARROWEST < min(wide, tall) and max(wide, tall) < WIDEST):
        raise ValueError(
            f"This posterior lies between ({box.left:.3g}, {box.bottom:.3g}) and ({box.right:.3g}, "
            f"{box.top:.3g}): scale or shift x and y, so that it is nearer to 0 than 1e6, and between "
            f"{NARROWEST:g} and {WIDEST:g} wide"
        )
    grain = 10.0 ** (math.floor(math.log10(max(wide, tall))) - 2)
    least, most = float(f"{0.004 * min(wide, tall):.1g}"), float(f"{0.5 * max(wide, tall):.2g}")
    left, right, bottom, top = (round(round(end / grain) * grain, 12) for end in summaries.seen(target))
    return Range(left, right, bottom, top, least, most)


def first_places(target: Target, family: Plane) -> tuple[Place, ...]:
    """Left of the middle; a mixture's parts round that place."""
    box, ends = summaries.extent(target), range_of(target)
    wide, tall = box.right - box.left, box.top - box.bottom
    x, y = box.left + 0.36 * wide, box.bottom + 0.42 * tall
    sds = (0.07 * min(wide, tall),) * 2 if box.even else (0.07 * wide, 0.07 * tall)
    grain = 0.01 * 10.0 ** math.floor(math.log10(min(wide, tall)))
    first, second = (float(f"{sd:.2g}") for sd in sds)
    start = Place(grain * round(x / grain), grain * round(y / grain), first, second)
    if not isinstance(family, MixtureQ) or family.parts == 1:
        return (ends.held(start),)
    return tuple(ends.held(place) for place in _circle(start, family.parts))


def _circle(start: Place, count: int) -> list[Place]:
    """Parts that stand two sds round a place."""
    turns = [2.0 * math.pi * (m + 0.125 * count) / count for m in range(count)]
    return [
        start._replace(
            x=start.x + 2.0 * start.first * math.cos(turn),
            y=start.y + 2.0 * start.second * math.sin(turn),
            share=1.0 / count,
        )
        for turn in turns
    ]


# ---- in the link ----


def text_of(places: Sequence[Place]) -> str:
    """Such as "0,1,2,0.5,30": x, y, half-axes, angle and, of a mixture's part, its share."""
    many = len(places) > 1
    told = (place if many else place[:5] if place.angle else place[:4] for place in places)
    return ";".join(",".join(f"{number:.7g}" for number in place) for place in told)


def places_of(text: str) -> tuple[Place, ...]:
    """The places that such a text says; ValueError where it says none."""
    places = tuple(Place(*map(float, part.split(","))) for part in text[:1000].split(";"))
    for place in places:
        if not all(map(math.isfinite, place)) or min(place.first, place.second, place.share) <= 0.0:
            raise ValueError("a place is x, y, two positive half-axes, an angle and a share")
    return places
