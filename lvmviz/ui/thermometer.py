"""The evidence thermometer with its switch: the same numbers in four presentations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import cast

from lvmviz.divergences import Decomposition
from lvmviz.figures import thermometer as figures
from lvmviz.ui import frame
from lvmviz.ui.controls import switch
from lvmviz.ui.plot import plot

PRESENTATIONS = {
    "I": "ELBO = expected log joint + entropy of q",
    "II": "ELBO = expected log likelihood − KL from q to the prior",
    "III": "ELBO = evidence − KL from q to the posterior",
    "Σ": "evidence = likelihood − KL to the prior + KL to the posterior",
}
HEIGHT = 210


def thermometer(
    terms: Callable[[], Sequence[Decomposition]],
    *,
    depends: tuple[object, ...],
    decimals: int,
    names: Mapping[str, str],
    channel: str | None = None,
) -> None:
    """Draw the thermometer; `terms` gives one decomposition a frame, `names` replaces its fields' words."""
    with frame.head("evidence", "Evidence"):
        chosen = switch("presentation", "Presentation of the ELBO", PRESENTATIONS, "III")
    dark = frame.dark()
    plot(
        "thermometer",
        lambda: figures.thermometer(
            terms(),
            presentation=cast(figures.Presentation, chosen),
            decimals=decimals,
            dark=dark,
            height=HEIGHT,
            names=names,
        ),
        depends=(*depends, chosen, dark),
        height=HEIGHT,
        alt=f"Evidence thermometer: {PRESENTATIONS[chosen]}",
        channel=channel,
    )
