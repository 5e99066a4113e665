"""The evidence thermometer: log p at the top, the ELBO filled up to its height, the gap hatched between them.

Everything is computed in pixels, y upwards, so that bars, labels and leaders keep their distances.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from lvmviz.divergences import Decomposition
from lvmviz.figures import theme
from lvmviz.figures.film import Film
from lvmviz.figures.thermometer import bars, labels, scale
from lvmviz.figures.thermometer.stage import WIDTH, Presentation, Stage

__all__ = ["Presentation", "thermometer"]


def thermometer(
    terms: Sequence[Decomposition],
    *,
    second: Decomposition | None = None,
    presentation: Presentation = "III",
    decimals: int = 3,
    dark: bool = False,
    height: int = 240,
    names: Mapping[str, str] | None = None,
    sampled: bool = False,
) -> Film:
    """One frame for each decomposition, nats; `names` replaces the words for its fields.

    Where they are `sampled` their errors are standard errors and stand beside the numbers.

    III: evidence - KL; I: joint + entropy; II: likelihood - KL to the prior; Σ: likelihood - KL to the prior
    + KL to the posterior = evidence. A `second` q of the same evidence has a thin bar of its own on the axis
    of the first, in III; in the others that bar shows what the first ELBO is made of.
    """
    told = {name: np.array([getattr(term, name) for term in terms]) for name in Decomposition._fields}
    if second is not None and presentation == "III":
        told |= {"second": np.full(len(terms), second.kl), "second_elbo": np.full(len(terms), second.elbo)}
    known = np.isfinite(told["log_evidence"])  # without evidence there is nothing to measure from
    values = {name: np.where(known, column, np.nan) for name, column in told.items()}
    colours = theme.tokens(dark)
    film = Film(theme.pixels(colours, width=WIDTH, height=height), len(terms))
    stage = Stage(film, scale.measured(values, presentation, height), values, presentation, colours)
    bars.draw_ticks(stage)
    bars.draw_bar(stage)
    if stage.has_second:
        bars.draw_second(stage)
    if presentation != "III":
        bars.draw_parts(stage)
    y = labels.draw_labels(stage, {**labels.NAMES, **(names or {})})
    bars.draw_evidence(stage)
    labels.draw_numbers(stage, told, y, decimals, sampled)
    return film
