"""What the views of a fit in the plane show while the hand holds q: the page's own films and rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from lvmviz.summaries import plane_numbers as summaries
from lvmviz.targets import Target
from lvmviz.ui import plane_films
from lvmviz.ui.answers import Places
from lvmviz.ui.plane import Q, taken
from lvmviz.ui.plane_beside import Beside
from lvmviz.ui.plane_numbers import estimate_rows, number_rows
from lvmviz.ui.plane_places import Range
from lvmviz.ui.plot import film_text
from lvmviz.ui.thermometer import film as gauge


class Look(NamedTuple):
    """Everything on screen but where q is."""

    target: Target
    q: Q
    ends: Range
    second: Beside | None
    presentation: str
    names: Mapping[str, str]
    seed: int
    dark: bool
    factor: float  # of type and lines


def answer(look: Look, places: Places) -> dict[str, Any]:
    """The picture, the thermometer and the tables with q where the hand has put it.

    k-hat, and what takes long, waits until the hand rests.

    Raises ValueError where there is no such q.
    """
    target = look.target
    q = Q(look.q.family, tuple(look.ends.held(place) for place in taken(look.q, places)))
    phi = q.phi
    terms = summaries.terms(target, q.family, phi)
    beside = None if look.second is None else look.second.best.terms
    films = {
        "picture": plane_films.picture(target, q, phi[None], look.second, None, look.dark).film,
        "thermometer": gauge([terms], beside, look.presentation, 3, look.names, look.dark),
    }
    drawn = summaries.draws(target, q.family, phi, look.seed, quick=True)
    told = summaries.numbers(target, q.family, phi, quick=True)
    rows = {
        "numbers": number_rows(target, terms, told, look.second),
        "estimates": estimate_rows(terms, drawn),
    }
    return {name: film_text(film, look.factor) for name, film in films.items()} | rows
