"""The tables of a fit: what else quadrature says of q, and what draws of q would have said."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import streamlit as st

from lvmviz.families import Line
from lvmviz.figures.theme import number
from lvmviz.gradients import Estimator
from lvmviz.objectives import IWAE, ForwardKL, Objective, Renyi, ReverseKL
from lvmviz.summaries import fit as summaries
from lvmviz.summaries.fit import Estimate
from lvmviz.targets import Target
from lvmviz.ui.table import Cell, Column, table

_ROW, _HEAD = 25, 28  # px


def numbers(target: Target, family: Line, phi: Any, best: float, objective: Objective) -> None:
    """What else quadrature says of q: the objective first, where it is not the ELBO above."""
    rows = number_rows(target, family, phi, best, objective)
    columns = (Column("also exact", "left"), Column("nats"))
    table("numbers", columns, rows=rows, alt="Other exact numbers of q", height=_HEAD + _ROW * len(rows))


def number_rows(
    target: Target, family: Line, phi: Any, best: float, objective: Objective
) -> list[list[Cell]]:
    """The rows of that table."""
    told = summaries.numbers(target, family, phi)
    climbed = ", which Fit lowers" if isinstance(objective, ForwardKL) else ", the other way"
    rows: list[list[Cell]] = [
        [f"KL(p‖q){climbed}", number(told.forward, 3)],
        ["p within q's central 90 %", number(100 * told.coverage, 1) + " %"],
        [f"best KL of a {family.name()}", number(best, 3)],
        ["off by at most", f"{told.terms.error:.0e}"],
    ]
    if not isinstance(objective, (ReverseKL, ForwardKL)):
        value = summaries.objective_at(target, family, phi, objective)
        rough = f" ± {value.error:.1g}" if value.error > 5e-4 else ""
        rows.insert(0, [f"{title(objective)}, which Fit climbs", number(value, 3) + rough])
    return rows


def title(objective: Objective) -> str:
    """An objective's name with the number that makes it what it is."""
    if isinstance(objective, Renyi):
        return f"Rényi bound, α {objective.alpha:g}"
    return f"IWAE bound, K {objective.draws}" if isinstance(objective, IWAE) else objective.name()


def estimates(target: Target, family: Line, phi: Any, gradient: Estimator, seed: int) -> None:
    """What one set of draws says of the ELBO and its gradient, beside the exact numbers."""
    if gradient.exact:
        return
    made = summaries.estimates(target, family, phi, gradient, seed)
    count = len(gradient.noise(seed, family.dim))
    head = "1 draw" if count == 1 else f"{count} draws"
    columns = (Column("ELBO, slope", "left"), Column("exact"), Column(head), Column("±"))
    rows = estimate_rows(made)
    alt = (
        f"The ELBO in nats and its slopes in q's numbers: exact, and from {head} of seed {seed} with the "
        "standard error"
    )
    table("estimates", columns, rows=rows, alt=alt, height=_HEAD + _ROW * len(rows))
    if sentence := far(made):
        st.caption(sentence)


def estimate_rows(made: Sequence[Estimate]) -> list[list[Cell]]:
    """The rows of that table."""
    return [
        [one.name.replace("ELBO's slope ", ""), _short(one.exact), _short(one.mean), _short(one.error)]
        for one in made
    ]


def _short(x: float) -> str:
    """In at most three decimals and about six digits; a dash where there is no number."""
    if math.isnan(x):
        return "–"
    return number(x, 3 if abs(x) < 100 else 1 if abs(x) < 1e4 else 0) if abs(x) < 1e6 else brief(x)


def brief(x: float) -> str:
    """A large number in two digits, such as "−1.2e9"."""
    return (
        f"{x:.1e}".replace("e+0", "e").replace("e+", "e").replace("-", "−")
        if math.isfinite(x)
        else number(x, 0)
    )


def far(made: Sequence[Estimate]) -> str:
    """A sentence when estimates have no standard error, or are more than three from exact; else empty."""
    if made and math.isnan(made[0].error):
        return "One draw has no standard error: take more."
    names = [one.name for one in made if one.is_far]
    if not names:
        return ""
    which = f"{' and '.join(names)} {'lies' if len(names) == 1 else 'lie'}"
    return (
        f"{which} further than 3 standard errors from exact: with few draws, or heavy tails, the error is "
        "itself a guess. Take more draws, or another seed."
    )
