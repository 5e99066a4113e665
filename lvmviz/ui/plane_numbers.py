"""The tables of a fit in the plane: what else quadrature says of q, and what draws of q would have said."""

from __future__ import annotations

import math

from lvmviz.divergences import Decomposition
from lvmviz.figures.theme import number
from lvmviz.summaries import plane_numbers as summaries
from lvmviz.summaries.plane_numbers import Draws, Numbers
from lvmviz.targets import Target
from lvmviz.ui.frame import remark
from lvmviz.ui.plane_beside import Beside
from lvmviz.ui.table import Cell, Column, table

_ROW, _HEAD = 25, 28  # px
FAR = 3.0  # standard errors


def numbers(target: Target, terms: Decomposition, told: Numbers, second: Beside | None) -> None:
    """What else is exact."""
    rows = number_rows(target, terms, told, second)
    columns = (Column("also exact", "left"), Column("nats"))
    table("numbers", columns, rows=rows, alt="Other exact numbers of q", height=_HEAD + _ROW * len(rows))


def number_rows(
    target: Target, terms: Decomposition, told: Numbers, second: Beside | None
) -> list[list[Cell]]:
    """The rows of that table."""
    cells, rows = summaries.rules(target)
    made = [
        ("KL(p‖q), the other way", "…" if told.forward is None else number(told.forward, 3)),
        ("p within q’s 90 % region", "…" if told.coverage is None else f"{100 * told.coverage:.1f} %"),
    ]
    if second is not None:
        made += [
            ("KL(q‖p) of the dashed q", number(second.best.terms.kl, 3)),
            ("KL(p‖q) of the dashed q", number(second.best.forward, 3)),
        ]
    made += [
        ("log p(x): two rules differ by", f"{abs(cells - rows):.0e}"),
        ("sums are off by at most", f"{terms.error:.0e}"),
    ]
    return [[name, value] for name, value in made]


def estimates(terms: Decomposition, told: Draws) -> None:
    """What draws say, beside the exact numbers."""
    columns = (Column(f"{told.count} draws", "left"), Column("exact"), Column("drawn"), Column("±"))
    rows = estimate_rows(terms, told)
    alt = f"ELBO and log p(x) in nats: exact, and from {told.count} draws of q with seed {told.seed}"
    table("estimates", columns, rows=rows, alt=alt, height=_HEAD + _ROW * len(rows))
    remark(far(terms, told))


def estimate_rows(terms: Decomposition, told: Draws) -> list[list[Cell]]:
    """The rows of that table."""
    pairs = (("ELBO", terms.elbo, told.elbo), ("log p(x)", terms.log_evidence, told.log_evidence))
    return [[name, _short(exact), _short(mean), _short(error)] for name, exact, (mean, error) in pairs]


def _short(x: float) -> str:
    if math.isnan(x):
        return "–"
    return number(x, 3 if abs(x) < 100 else 1 if abs(x) < 1e4 else 0) if abs(x) < 1e6 else f"{x:.0e}"


def far(terms: Decomposition, told: Draws) -> str:
    """A sentence where the evidence by draws is far from exact; else the seed."""
    value, error = told.log_evidence
    off = value - terms.log_evidence
    if abs(off) > FAR * error + 1e-9:
        side = "low" if off < 0 else "high"
        return (
            f"Seed {told.seed}. By its draws log p(x) is {abs(off):.3g} too {side}, far beyond the standard "
            "error: they never went where q is not."
        )
    return f"Seed {told.seed}."
