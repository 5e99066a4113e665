"""The evidence thermometer with its switch: the same numbers in four presentations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import cast

from lvmviz.divergences import Decomposition
from lvmviz.figures import thermometer as figures
from lvmviz.figures.film import Film
from lvmviz.ui import frame
from lvmviz.ui.controls import switch
from lvmviz.ui.plot import plot

PRESENTATIONS = {
    "I": "ELBO = expected log joint + entropy of q",
    "II": "ELBO = expected log likelihood − KL from q to the prior",
    "III": "ELBO = evidence − KL from q to the posterior",
    "Σ": "evidence = likelihood − KL to the prior + KL to the posterior",
}
PER_DATUM = {
    "log_evidence": "log p(X)/N",
    "kl": "KL/N",
    "elbo": "ELBO/N",
    "joint": "E[log p(X, Z)]/N",
    "entropy": "entropy H(q)/N",
    "likelihood": "E[log p(X|Z)]/N",
    "kl_prior": "KL to prior/N",
}  # the words for sums over N data, divided by N
HEIGHT = 210


def thermometer(
    terms: Callable[[], Sequence[Decomposition]],
    *,
    depends: tuple[object, ...],
    decimals: int,
    names: Mapping[str, str],
    second: Decomposition | None = None,
    channel: str | None = None,
    sampled: bool = False,
) -> str:
    """Draw the thermometer; `terms` gives one decomposition a frame, `names` replaces its fields' words.

    A `second` q shares the axis. Errors of what is `sampled` are standard errors and are told. Returned is
    the chosen presentation.
    """
    with frame.head("evidence", "Evidence"):
        chosen = switch("presentation", "Presentation of the ELBO", PRESENTATIONS, "III")
    dark = frame.dark()
    plot(
        "thermometer",
        lambda: film(terms(), second, chosen, decimals, names, dark, sampled),
        depends=(*depends, second, chosen, dark),
        height=HEIGHT,
        alt=f"Evidence thermometer: {PRESENTATIONS[chosen]}",
        channel=channel,
    )
    return chosen


def film(
    terms: Sequence[Decomposition],
    second: Decomposition | None,
    chosen: str,
    decimals: int,
    names: Mapping[str, str],
    dark: bool,
    sampled: bool = False,
) -> Film:
    """The thermometer of these numbers in a presentation."""
    return figures.thermometer(
        terms,
        second=second,
        presentation=cast(figures.Presentation, chosen),
        decimals=decimals,
        dark=dark,
        height=HEIGHT,
        names=names,
        sampled=sampled,
    )
