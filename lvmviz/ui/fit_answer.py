"""What the views of a one-dimensional fit show while the hand holds q: the page's own films and rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from lvmviz.divergences import Decomposition
from lvmviz.runs.job import Job
from lvmviz.summaries import fit as summaries
from lvmviz.ui import fit_films
from lvmviz.ui.answers import Places
from lvmviz.ui.fit import Q, Range, mark_at, places_of
from lvmviz.ui.fit_numbers import estimate_rows, number_rows
from lvmviz.ui.plot import film_text
from lvmviz.ui.thermometer import film as gauge


class Look(NamedTuple):
    """Everything on screen but where q is."""

    job: Job  # what Fit would do: its posterior, objective and gradient
    q: Q  # its family, and what shapes it besides its places
    ends: Range
    best: float  # KL, nats
    second: fit_films.Second | None
    beside: Decomposition | None  # of the second q
    presentation: str
    names: Mapping[str, str]
    dark: bool
    factor: float  # of type and lines
    hide: bool


def answer(look: Look, taken: Places) -> dict[str, Any]:
    """The picture, the thermometer and the tables with q where the hand has put it (loc, scale).

    Raises ValueError where there is no such q.
    """
    family, vi = look.q.family, summaries.vi(look.job)
    places = tuple(look.ends.held(*place) for place in places_of(family, taken))
    if len(places) != len(look.q.places):
        raise ValueError(f"{family.name()} has {len(look.q.places)} places, not {len(places)}")
    q = Q(family, places, look.q.extra)
    phi, ring = q.phi, {"landscape": mark_at(vi.target, q)}
    terms = summaries.terms(vi.target, family, phi)
    films = {
        "picture": fit_films.picture(
            vi.target, family, phi[None], [terms.kl], look.second, look.dark, look.hide
        ).film
    }
    if look.hide:
        return ring | {name: film_text(film, look.factor) for name, film in films.items()}
    films["thermometer"] = gauge([terms], look.beside, look.presentation, 3, look.names, look.dark)
    rows = {"numbers": number_rows(vi.target, family, phi, look.best, vi.objective)}
    if not vi.gradient.exact:
        rows["estimates"] = estimate_rows(
            summaries.estimates(vi.target, family, phi, vi.gradient, look.job.seed)
        )
    return ring | {name: film_text(film, look.factor) for name, film in films.items()} | rows
