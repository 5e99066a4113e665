"""What the lab of gradients shows: an experiment, its estimates, and whose climbs are looked at."""

from __future__ import annotations

from typing import NamedTuple

from lvmviz.algorithms.gradient_scatter import GradientScatter
from lvmviz.figures import gradients as figures
from lvmviz.figures.theme import tokens
from lvmviz.gradients import Estimator, ScoreFunction
from lvmviz.runs.job import Trace
from lvmviz.summaries import gradients as summaries
from lvmviz.summaries.gradients import Look
from lvmviz.ui import state

CHOSEN = "estimator"  # in the link: whose climbs
SYMBOLS = {"mean": "∂/∂μ E[f]", "log sd": "∂/∂log σ E[f]", "logit": "∂/∂φ E[f]"}

_SCORES = {
    "none": ("score", "score<br>function"),
    "mean": ("+ mean", "+ mean<br>baseline"),
    "leave one out": ("leave one", "leave one<br>out"),
    "optimal": ("+ optimal", "+ optimal<br>baseline"),
}
_NAMES = {
    "Reparameterized": ("reparam.", "reparam-<br>eterized"),
    "StickingTheLanding": ("landing", "sticking<br>the landing"),
    "GumbelSoftmax": ("Gumbel", "Gumbel-<br>softmax"),
    "StraightThrough": ("straight", "straight-<br>through"),
    "Exact": ("exact", "exact"),
}


def names(estimator: Estimator) -> tuple[str, str]:
    """In a table, and below a violin."""
    if isinstance(estimator, ScoreFunction):
        return _SCORES[estimator.baseline]
    return _NAMES[type(estimator).__name__]


class Bench(NamedTuple):
    """What is on screen."""

    of: GradientScatter
    trace: Trace
    look: Look
    which: str  # number of phi: a key of SYMBOLS
    chosen: int  # the estimator whose climbs are shown; after the last comes the exact gradient
    dark: bool

    @property
    def key(self) -> tuple[object, ...]:
        """What its pictures depend on."""
        return self.trace.key, self.which, self.dark

    @property
    def index(self) -> int:
        return 1 if self.which == "log sd" else 0

    @property
    def climber(self) -> Estimator:
        """Whose climbs are shown."""
        return summaries.climbers(self.of)[self.chosen]

    @property
    def colour(self) -> str:
        """By which the climber is told."""
        inks = tokens(self.dark)
        return figures.ink(self.chosen, inks) if self.chosen < len(self.look.rows) else inks.posterior


def chosen(of: GradientScatter) -> int:
    """Whose climbs are shown: those of the link, else of the first."""
    text, count = state.placed(CHOSEN), len(summaries.climbers(of))
    return min(int(text), count - 1) if text.isascii() and text.isdigit() and len(text) < 3 else 0


def choose(i: int) -> None:
    """Show this one's climbs; for callbacks."""
    state.place(CHOSEN, str(i) if i else "")
    state.place(state.POSITION, "")
    state.turn()
