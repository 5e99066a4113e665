"""The table of the lab of gradients: means with their errors, variances measured and exact, biases."""

from __future__ import annotations

import math
from typing import Any

from lvmviz.figures import gradients as figures
from lvmviz.figures.gradients import NOTHING, told
from lvmviz.figures.theme import number, tokens
from lvmviz.summaries.gradients import Look
from lvmviz.ui import frame
from lvmviz.ui.code import spelled
from lvmviz.ui.gradient_bench import Bench, choose, names
from lvmviz.ui.table import Column, across, dot, picked, table
from lvmviz.ui.table import Row as TableRow


def draw(bench: Bench) -> None:
    """A row an estimator: its mean with its standard error, its variance measured and exact."""
    of = bench.of
    frame.head("numbers", "Gradient", f"exact {told(bench.look.exact)}")
    rows, picks = number_rows(bench)
    columns = [Column("", "left"), Column("mean ± se"), Column("var"), Column("exact")]
    table("gradients", columns, rows=rows, picks=picks, selected=str(bench.chosen),
          on_pick=lambda: choose(int(picked("gradients").partition(" ")[0])), height=28 + 24 * len(rows),
          alt="Every estimator: mean and standard error of its estimates, variance of one draw as measured "
          "and exact; pick one to see its climbs")  # fmt: skip
    count = bench.trace[-1].info.repeats
    frame.remark(
        f"{count} estimates of S = {of.draws} draw{'s' * (of.draws != 1)}, seed {bench.trace.job.seed}. "
        "var: of one draw. → for ever more draws."
    )
    if said := far(bench.look):
        frame.remark(said)


def number_rows(bench: Bench) -> tuple[list[TableRow], list[str]]:
    """The rows of that table, and the names they are picked by."""
    rows: list[TableRow] = []
    picks: list[str] = []
    inks = tokens(bench.dark)
    for i, row in enumerate(bench.look.rows):
        mark = dot(figures.ink(i, inks), names(row.estimator)[0])
        limit = "→" if getattr(row.estimator, "baseline", "") == "optimal" and bench.of.draws > 1 else ""
        exact = limit + brief(row.exact_variance)
        rows.append([mark, with_error(row.mean, row.error), brief(row.variance), exact])
        picks.append(str(i))
        if row.why:
            rows.append(across(bias_told(row.aim, bench.look.exact)))
            picks.append(f"{i} bias")
    last = len(bench.look.rows)
    rows.append([dot(inks.posterior, "exact"), told(bench.look.exact), "0", "0"])
    return rows, [*picks, str(last)]


def with_error(mean: float, error: float) -> str:
    """A mean with as many decimals as its standard error has in two digits, such as "1.98 ± .044".

    The fifth decimal goes: the column has no room for it.
    """
    if not 1e-4 <= error < 1e4:
        return f"{brief(mean)} ± {brief(error)}"
    decimals = min(max(0, 1 - math.floor(math.log10(error))), 4)
    return f"{_bare(number(mean, decimals))} ± {_bare(number(error, decimals))}"


def brief(x: float) -> str:
    """In three digits and at most six characters: 1.6, .0136, 4.4e−4."""
    if math.isfinite(x) and NOTHING < abs(x) < 1e-2:
        digits, tens = f"{abs(x):.1e}".split("e")
        return f"{'−' if x < 0 else ''}{digits}e−{-int(tens)}"
    return _bare(told(x))


def _bare(text: str) -> str:
    """Without the 0 before the point."""
    return text.removeprefix("0") if text.startswith("0.") else text.replace("−0.", "−.", 1)


def bias_told(aim: float, exact: float) -> str:
    """That an estimator is biased, and by how much; nan where nobody knows what it tends to."""
    if math.isnan(aim):
        return "biased"
    off = aim - exact
    if abs(off) < NOTHING:
        return "biased, but not at this q"
    return f"biased: tends to {told(aim)}, {'+' if off > 0 else ''}{told(off)}"


def far(look: Look) -> str:
    """A sentence where a mean is more than three standard errors from what it tends to."""
    away = [
        names(row.estimator)[0]
        for row in look.rows
        if math.isfinite(row.aim) and abs(row.mean - row.aim) > 3.0 * row.error + 1e-9 * (1.0 + abs(row.aim))
    ]
    if not away:
        return ""
    which = f"{' and '.join(away)} {'lies' if len(away) == 1 else 'lie'}"
    return f"{which} more than 3 standard errors off: rare draws carry the mean. Take more draws."


def rows(bench: Bench) -> list[dict[str, Any]]:
    """The table with all its digits."""
    return [
        {
            "estimator": spelled(row.estimator),
            "exact": bench.look.exact,
            "mean": row.mean,
            "standard_error": row.error,
            "tends_to": row.aim,
            "variance_of_a_draw": row.variance,
            "exact_variance_of_a_draw": row.exact_variance,
            "draws": bench.of.draws,
            "repeats": bench.look.found.shape[1],
            "seed": bench.trace.job.seed,
            "biased": row.why,
        }
        for row in bench.look.rows
    ]
