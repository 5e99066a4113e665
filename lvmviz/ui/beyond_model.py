"""What the page Beyond mixtures must know of a model that EM, or a relative of it, fits."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from lvmviz.core import Algorithm, Choice
from lvmviz.datasets import Stored
from lvmviz.divergences import Decomposition
from lvmviz.figures.film import Film
from lvmviz.runs.job import Job, Snapshot, Trace
from lvmviz.schemes import ExpectationMaximization, Scheme
from lvmviz.ui import frame, own
from lvmviz.ui.background import growing
from lvmviz.ui.controls import Controls, Editor
from lvmviz.ui.derivation import Line
from lvmviz.ui.thermometer import PER_DATUM

Others = Mapping[str, Trace]  # runs beside this one, by what the page calls them


class BeyondModel(abc.ABC):
    """A model on the page: a subclass is one file, and the page names it in its list.

    `view` is what the picture shows beside the trace: two of the columns, or a row.
    """

    name: ClassVar[str]  # in the menu and in links
    title: ClassVar[str]  # of the notebook
    algorithm: ClassVar[type[Algorithm]]
    editors: ClassVar[Mapping[type, Editor]] = {Stored: own.own_table_with_gaps}
    rounds: ClassVar[int] = 100  # of E and M, when nobody asks for another number
    by_chance: ClassVar[bool] = False  # another seed makes another run, so that its control is in view
    pictures_others: ClassVar[bool] = False  # whether the picture shows the runs beside it
    unit: ClassVar[str] = "/N"  # behind ELBO and KL
    per: ClassVar[str] = "nats per row"
    evidence: ClassVar[str] = "log p(X)"
    names: ClassVar[Mapping[str, str]] = PER_DATUM

    def asked(self, controls: Controls) -> Algorithm:
        """What the controls ask for."""
        return controls.adjust(self.algorithm)

    def ready(self, asked: Algorithm) -> Algorithm | None:
        """The same as it can run; None where its data are missing, which is then said."""
        return asked if table_here(getattr(asked, "data", None)) else None

    @abc.abstractmethod
    def view(self, controls: Controls, trace: Trace) -> Any:
        """What else the picture depends on: hashable."""

    def beside(self, trace: Trace) -> Mapping[str, Job]:
        """Other runs that are shown beside it."""
        return {}

    @abc.abstractmethod
    def picture(self, trace: Trace, others: Others, view: Any, channel: str, height: int) -> None:
        """Draw the picture, which follows the player."""

    @abc.abstractmethod
    def film(self, trace: Trace, others: Others, view: Any) -> Film:
        """The same as a film."""

    @abc.abstractmethod
    def table(self, trace: Trace, others: Others, view: Any, channel: str) -> None:
        """Draw the table of what is estimated."""

    @abc.abstractmethod
    def decompositions(self, trace: Trace) -> Sequence[Decomposition]:
        """The evidence and its terms at every snapshot, nats, in the unit of the page."""

    @abc.abstractmethod
    def lines(self, trace: Trace, index: int, view: Any) -> list[Line]:
        """The derivation with the values of one half-step."""

    @abc.abstractmethod
    def parameters(self, snapshot: Snapshot) -> Mapping[str, Any]:
        """What a file of the fitted model holds."""

    def data(self, trace: Trace) -> Choice:
        """The choice that a scene file carries when it is a person's own."""
        return trace.job.algorithm.data  # type: ignore[attr-defined]

    def words(self, trace: Trace) -> Scheme:
        """What E and M are, in words."""
        return ExpectationMaximization()

    def warning(self, trace: Trace) -> str:
        """What is to be said of how it went."""
        status = getattr(trace[-1].info, "status", "")
        return "" if status in ("", "climbing") else f"It stops here: {status}."

    def ending(self, trace: Trace) -> str:
        """Why the trace goes no further."""
        if growing(trace):
            return "The run has not come further yet."
        if told := self.warning(trace):
            return told
        last = trace[-1]
        if trace.job.algorithm.finished(last.state, last.info):
            return "It has settled: a round changes too little."
        return "This trace ends here: allow more rounds under More."


def table_here(data: Choice | None) -> bool:
    """Whether a person's own table has been loaded; where not, an empty picture says what to do."""
    if isinstance(data, Stored) and not data.digest:
        frame.empty("No table yet. Load one on the left: a row is a point, a column a feature.", name="table")
        return False
    return True
