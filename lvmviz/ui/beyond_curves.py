"""The curves below the picture of Beyond mixtures: log-likelihood, ELBO and the KL between them."""

from __future__ import annotations

import numpy as np

from lvmviz.figures import steps
from lvmviz.figures.film import Film
from lvmviz.figures.steps import Beside
from lvmviz.runs.job import Trace
from lvmviz.summaries.em import column
from lvmviz.ui import frame
from lvmviz.ui.beyond_model import BeyondModel, Others
from lvmviz.ui.controls import switch
from lvmviz.ui.plot import plot

HEIGHT = 146  # px
CURVES = {
    "Steps": "log-likelihood and ELBO over the half-steps, through a window",
    "All": "the whole run, without most of its first rise",
}
SIGNS = ("╌", "┈", "─·")


def curves(model: BeyondModel, trace: Trace, others: Others, channel: str) -> None:
    """Draw them; runs beside this one are dashed lines."""
    beside = "".join(f" {sign} {name}" for sign, name in zip(SIGNS, others, strict=False))
    with frame.head("curves", f"{model.evidence} and ELBO", f"the space between is the KL.{beside}"):
        shown = switch("curves", "What the curves show", CURVES, "Steps")
    dark = frame.dark()
    plot(
        "curves",
        lambda: film(model, trace, others, shown == "All", dark),
        depends=(trace.key, *(other.key for other in others.values()), dark, shown),
        height=HEIGHT,
        alt=f"{model.evidence} and ELBO over the half-steps{beside}",
        channel=channel,
    )


def film(model: BeyondModel, trace: Trace, others: Others, whole: bool, dark: bool) -> Film:
    """The same as a film."""
    terms, infos = model.decompositions(trace), [snapshot.info for snapshot in trace]
    return steps.trace_chart(
        column(terms, "log_evidence"),
        column(terms, "elbo"),
        [info.iteration for info in infos],
        [info.moved for info in infos],
        names=(model.names["log_evidence"], model.names["elbo"]),
        at=places(trace),
        beside=[
            Beside(name, places(other), column(model.decompositions(other), "log_evidence"))
            for name, other in others.items()
        ],
        whole=whole,
        unit=model.per,
        dark=dark,
    )


def places(trace: Trace) -> np.ndarray:
    """Where each snapshot stands on the axis of rounds (T,): E at the whole numbers, M halfway after."""
    return 0.5 + 0.5 * np.array(trace.steps, dtype=float)
