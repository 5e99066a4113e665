"""The numbers of one run, or of two beside each other: as curves over the steps, and the newest as a table.

What an algorithm sums over its points is divided by their number: a sum says little, and less beside another.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from lvmviz.algorithms.bernoulli_em import BernoulliEM
from lvmviz.algorithms.em import EM
from lvmviz.algorithms.vae import TrainVAE
from lvmviz.algorithms.vi import ENDLESS
from lvmviz.datasets import Dataset, Synthetic
from lvmviz.figures.runs import Panel, curves
from lvmviz.figures.theme import number
from lvmviz.image_sets import OpenML
from lvmviz.observations import DigitImages, Observations
from lvmviz.runs.job import Job
from lvmviz.runs.run import Run
from lvmviz.runs.store import title
from lvmviz.ui import frame
from lvmviz.ui.code import spelled
from lvmviz.ui.plot import plot
from lvmviz.ui.table import Column, table

TITLE = 30  # characters over a panel, the narrowest
NAMES = ("A", "B")  # of two runs, over their panels and columns
FAR = 1e15  # from here on a number is written with its power of ten
LINES = {"elbo": "ELBO", "log_lik": "log p(X)", "log_evidence": "log p(x)"}  # of a run's numbers, those drawn
WORDS = LINES | {
    "kl": "KL", "joint": "E log p(x, z)", "entropy": "entropy of q", "kl_prior": "KL to the prior",
    "likelihood": "E log p(x | z)", "rise": "rise of log p(X)", "collapsed": "collapsed component",
    "test_elbo": "test ELBO", "test_reconstruction": "test reconstruction", "test_kl": "test KL",
    "active": "active latents", "noise": "noise σ", "beta": "β", "error": "error at most",
    "grad_norm": "length of the gradient", "move": "length of the last step", "best": "best objective",
    "best_start": "best start", "settled": "starts settled", "lost": "starts lost",
}  # fmt: skip
NO_NATS = ("epoch", "noise", "beta", "error", "grad_norm", "move")


# ---- what numbers are per ----


class Unit(NamedTuple):
    """What a run's nats are divided by, and what they are then."""

    count: int
    name: str


def unit(job: Job) -> Unit:
    """EM sums over its points or images, the VAE means over examples, VI has one posterior."""
    if isinstance(job.algorithm, TrainVAE):
        return Unit(1, "nats per example")
    if not isinstance(job.algorithm, (EM, BernoulliEM)):
        return Unit(1, "nats")
    name = "nats per point" if isinstance(job.algorithm, EM) else "nats per image"
    try:
        return Unit(_count(job.algorithm.data), name)
    except (LookupError, OSError, ValueError):  # its table is not here
        return Unit(1, "nats in all")


@functools.lru_cache(maxsize=1024)
def _count(data: Dataset | Observations) -> int:
    if isinstance(data, (DigitImages, OpenML)):
        return data.count  # told without fetching them
    if isinstance(data, Observations):
        return len(data.examples().x)
    return data.points if isinstance(data, Synthetic) else len(data.table().points)


def alike(one: Job, other: Job) -> bool:
    """Whether the numbers of two jobs can stand on one axis."""
    return type(one.algorithm) is type(other.algorithm) and unit(one).name == unit(other).name


def elbo(run: Run, value: float | None) -> str:
    """The ELBO per datum, or in all where nobody here knows how many data there are."""
    if value is None:
        return ""
    count, name = unit(run.job)
    return written(real(value) / count, 2) + (" in all" if name.endswith("in all") else "")


def real(value: Any) -> float:
    """A number as a float, infinite where no float can hold it; NaN for what is none."""
    if not isinstance(value, (int, float)) or value != value:
        return math.nan
    return float(value) if abs(value) < ENDLESS else math.inf if value > 0 else -math.inf


def written(value: float, decimals: int) -> str:
    """A number with fixed decimals; what these cannot tell has its power of ten."""
    if math.isnan(value):
        return "not finite"
    size = abs(value)
    if size < FAR and (size == 0.0 or size >= 0.5 * 10.0**-decimals) or math.isinf(value):
        return number(value, decimals)
    return f"{value:.1e}".replace("-", "−").replace("e+", "e")


# ---- names ----


def settings(job: Job) -> str:
    """What tells a run from others of its method, as Python: only what differs from the defaults."""
    inside = spelled(job.algorithm).partition("(")[2][:-1]
    return ", ".join(filter(None, (inside, f"seed={job.seed}" if job.seed else "")))


def named(job: Job, longest: int) -> str:
    """Method, data and settings in at most so many characters."""
    return _cut(": ".join(filter(None, (title(job), settings(job)))), longest)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


# ---- curves ----


def curve_plot(runs: Sequence[Run], height: int) -> None:
    """ELBO and log-likelihood over the steps of one run, or of two on the same axes."""
    panels = [_panel(run, name) for run, name in zip(runs, NAMES, strict=False)]
    if not any(len(panel.steps) for panel in panels):
        frame.empty("It has no numbers yet.", name="curves", height=height)
        return
    depends = tuple((run.id, len(panel.steps)) for run, panel in zip(runs, panels, strict=True))
    dark, name = frame.dark(), unit(runs[0].job).name
    plot(
        "runs",
        lambda: curves(panels, dark=dark, height=height, unit=name),
        depends=(*depends, dark, name),
        height=height,
        alt=f"ELBO and log-likelihood over the steps, {name}",
    )


def _panel(run: Run, name: str) -> Panel:
    rows, count = run.metrics(), unit(run.job).count
    names = [name for name in LINES if rows and name in rows[0]]
    steps = np.array([row["step"] for row in rows], dtype=float)
    lines = {LINES[name]: np.array([real(row.get(name)) / count for row in rows]) for name in names}
    return Panel(f"{name}: {named(run.job, TITLE)}", steps, lines)


# ---- the newest numbers ----


def last_numbers(run: Run) -> dict[str, Any]:
    """The step of the newest numbers, and these."""
    rows = run.metrics()
    return {name: value for name, value in rows[-1].items() if name != "crc"} if rows else {}


def numbers(runs: Sequence[Run]) -> None:
    """The newest numbers of one run, or of two beside each other."""
    told = [last_numbers(run) for run in runs]
    if not any(told):
        return
    names = list(dict.fromkeys(name for one in told for name in one))
    units = [unit(run.job) for run in runs]
    heads = [units[0].name] if len(runs) == 1 else NAMES
    table(
        "numbers",
        [Column("at its last step" if len(runs) == 1 else units[0].name, "left"), *map(Column, heads)],
        rows=[
            [_worded(name), *(_cell(one, name, at.count) for one, at in zip(told, units, strict=True))]
            for name in names
        ],
        alt="The newest numbers of the run" + ("" if len(runs) == 1 else " and of the one beside it"),
        height=int((26 + 24 * len(names)) * frame.scale()),
    )


def _worded(name: str) -> str:
    return WORDS.get(name, name.replace("_", " "))


def _cell(row: Mapping[str, Any], name: str, count: int) -> str:
    value = row.get(name, "")
    if isinstance(value, float):
        return _short(value) if name in NO_NATS else written(real(value) / count, 4)
    return str(value) if not isinstance(value, int) or abs(value) < FAR else written(real(value), 0)


def _short(value: float) -> str:
    """A number that is no nats: as many digits as it needs, at most four."""
    return f"{value:.4g}".replace("-", "−") if math.isfinite(value) else written(value, 4)
