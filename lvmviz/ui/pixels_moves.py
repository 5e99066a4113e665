"""The picture of q's moves on the page Missing pixels: its places, strokes of the brush, sweeps of CAVI."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lvmviz.divergences import Decomposition
from lvmviz.figures import pixel_moves as figures
from lvmviz.summaries import missing_pixels as summaries
from lvmviz.summaries.missing_pixels import Open
from lvmviz.ui import frame, pixels
from lvmviz.ui.pixels import Asked
from lvmviz.ui.plot import plot


def draw(asked: Asked, made: Open, terms: Sequence[Decomposition], channel: str) -> None:
    """ELBO of every move, and of the sweeps that CAVI would do where they are sums; `terms` a frame each."""
    dark = frame.dark()
    plot(
        "moves",
        lambda: figures.moves(places(asked, made), way(asked, made, terms), terms[0].log_evidence, dark=dark),
        depends=(*asked.depends, asked.before.tobytes(), asked.digit, asked.preset, dark),
        height=figures.HEIGHT,
        alt="ELBO of every place for q, of its strokes and of CAVI’s sweeps, under log p(x_o), nats",
        channel=channel,
    )


def places(asked: Asked, made: Open) -> list[figures.Place]:
    """q where each of the buttons puts it."""
    names = {"half": "all .5", "ones": "all 1", "digit": f"like {asked.digit}", "mean": "mean"}
    found = summaries.places(made, asked.digit, asked.seed)
    return [
        figures.Place(names[key], found[name].elbo, asked.preset == key)
        for key, name in pixels.PRESETS.items()
        if name in found
    ]


def way(asked: Asked, made: Open, terms: Sequence[Decomposition]) -> figures.Way:
    """Where q was put, what the brush did, and CAVI: gone where q climbs, else ahead of it."""
    hand = summaries.terms(made, asked.before, asked.seed) if len(asked.before) else []
    ahead = (
        [] if asked.climbs or not made.exact else summaries.climb(made, asked.phi, True, asked.seed).terms[1:]
    )
    every = [*hand, *terms, *ahead]
    strokes = [f"stroke {i}" for i in range(1, len(hand) + 1)]
    sweeps = [f"sweep {i}" for i in range(1, len(every) - len(hand))]
    return figures.Way(
        names=["put here", *strokes, *sweeps],
        elbo=np.array([one.elbo for one in every]),
        errors=np.array([one.error for one in every]),
        now=range(len(hand), len(hand) + len(terms)),
        ahead=len(hand) + len(terms),
    )
