"""What the numbers of the latent space say of a place that was just pinned: before the page runs again."""

from __future__ import annotations

from typing import Any, NamedTuple

from lvmviz.summaries import latent as summaries
from lvmviz.summaries.latent_view import View
from lvmviz.summaries.vae import Moment
from lvmviz.ui import latent_desk, latent_pin
from lvmviz.ui.answers import Places
from lvmviz.ui.plot import film_text
from lvmviz.ui.thermometer import film as gauge


class Look(NamedTuple):
    """Everything on screen but the pin."""

    at: Moment
    view: View
    presentation: str
    dark: bool
    factor: float  # of type and lines


def answer(look: Look, places: Places) -> dict[str, Any]:
    """The thermometer and the table for the training image nearest to one place (z1, z2).

    Raises ValueError where it is no such place.
    """
    if len(places) != 1 or len(places[0]) != 2:
        raise ValueError("a place in the plane is two numbers")
    image = summaries.image(look.at, latent_pin.at_place(look.at, look.view, places[0]).x)
    made = gauge([image.terms], None, look.presentation, 2, latent_desk.names_of(image), look.dark)
    return {
        "numbers": latent_desk.numbers_table(image)[1],
        "thermometer": film_text(made, look.factor),
    }
