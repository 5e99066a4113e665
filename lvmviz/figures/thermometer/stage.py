"""The places and measures that every mark of the thermometer shares."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from lvmviz.figures import theme
from lvmviz.figures.drawing import Trace, scatter
from lvmviz.figures.film import Film
from lvmviz.figures.thermometer.scale import FOOT, SHUT, Scale, is_long

Presentation = Literal["I", "II", "III", "Σ"]

WIDTH = 240
GUTTER, BAR, SPACE, THIN = 40, 44, 8, 16  # ticks, the bar, the distance to the second bar, the second bar
THINNEST = 2.0  # a gap that is not zero is never drawn thinner
AWAY = -50.0  # px, below the picture: where marks wait until they are needed


class Stage(NamedTuple):
    """What every mark needs to be drawn."""

    film: Film
    scale: Scale
    values: dict[str, np.ndarray]  # each term (T,), nats
    presentation: Presentation
    colours: theme.Tokens

    @property
    def has_second(self) -> bool:
        """Whether there is a second q."""
        return "second" in self.values

    def pixels(self, name: str) -> np.ndarray:
        """Where a term stands (T,), px."""
        return self.scale.pixels(self.values[name])

    def elbo(self, name: str = "elbo", gap: str = "kl") -> np.ndarray:
        """The ELBO's height (T,), px: a gap that is not zero keeps at least its least thickness."""
        upper, width = self.pixels("log_evidence"), self.values[gap]
        lower = np.where(width > SHUT, np.minimum(self.pixels(name), upper - THINNEST), upper)
        return np.where(is_long(width), float(FOOT), lower)

    def right(self) -> int:
        """Where the bars end and the leaders begin, px."""
        alone = self.presentation == "III" and not self.has_second
        return GUTTER + BAR + (0 if alone else SPACE + THIN)

    def add(self, style: Trace, y: np.ndarray, texts: list[list[str]] | None = None) -> None:
        """Draw a trace whose heights (T, n), and words, change from frame to frame."""
        words = {} if texts is None else {"text": texts[0]}
        shown = {"y": np.round(y[0], 3).tolist(), "hoverinfo": "skip"}
        self.film.figure.add_trace(scatter(**style, **words, **shown))
        index = self.film.last()
        self.film.numbers(index, "y", y)
        if texts is not None:
            self.film.values(index, "text", texts)
