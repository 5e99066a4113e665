"""What the page Mixtures must know of a kind of mixture."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from lvmviz.algorithms.em import EMInfo
from lvmviz.core import Algorithm, Choice
from lvmviz.divergences import Decomposition
from lvmviz.figures.film import Film
from lvmviz.runs.job import Snapshot, Trace
from lvmviz.schemes import Scheme
from lvmviz.ui.background import growing
from lvmviz.ui.controls import Controls, Editor
from lvmviz.ui.derivation import Line


class MixtureModel(abc.ABC):
    """A kind of mixture on the page: a subclass is one file, and the page names it in its list.

    `view` is what the picture shows beside the trace: two of the columns, or which component.
    """

    name: ClassVar[str]  # in the switch and in links
    told: ClassVar[str]  # what the switch says of it
    title: ClassVar[str]  # of the notebook
    algorithm: ClassVar[type[Algorithm]]
    editors: ClassVar[Mapping[type, Editor]]

    @abc.abstractmethod
    def ready(self, asked: Algorithm) -> Algorithm | None:
        """What the controls ask for as it can run; None where its data are missing, which is then said."""

    def warning(self, algorithm: Algorithm) -> str:
        """What is to be said before it runs."""
        return ""

    @abc.abstractmethod
    def view(self, controls: Controls, trace: Trace) -> Any:
        """What else the picture depends on: hashable."""

    @abc.abstractmethod
    def picture(self, trace: Trace, view: Any, channel: str, height: int) -> None:
        """Draw the picture, which follows the player."""

    @abc.abstractmethod
    def film(self, trace: Trace, view: Any) -> Film:
        """The same as a film."""

    @abc.abstractmethod
    def curves(self, controls: Controls, trace: Trace, view: Any, channel: str) -> None:
        """Draw what stands below the player."""

    @abc.abstractmethod
    def components(self, trace: Trace, channel: str) -> None:
        """Draw the table of the components."""

    @abc.abstractmethod
    def decompositions(self, trace: Trace) -> Sequence[Decomposition]:
        """The evidence and its terms at every snapshot, nats per datum."""

    @abc.abstractmethod
    def scheme(self, trace: Trace) -> Scheme:
        """What E and M are, in words too."""

    @abc.abstractmethod
    def lines(self, info: EMInfo, trace: Trace) -> list[Line]:
        """The derivation with the values of one half-step."""

    @abc.abstractmethod
    def parameters(self, snapshot: Snapshot) -> Mapping[str, Any]:
        """What a file of the fitted model holds."""

    @abc.abstractmethod
    def table(self, trace: Trace) -> Choice:
        """The choice that a scene file carries when it is a person's own."""

    def ending(self, trace: Trace) -> str:
        """Why the trace goes no further."""
        if growing(trace):
            return "The run has not come further yet."
        scheme, last = self.scheme(trace), trace[-1]
        if trace.job.algorithm.finished(last.state, last.info):
            changes = "E and M change nothing more" if scheme.maximizes else "an iteration changes too little"
            return f"{scheme.name()} has settled: {changes}."
        return "This trace ends here: allow more iterations under More."
