"""The ledger: a row a step, who moved, ELBO, KL and the change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from lvmviz.figures.theme import number, tokens
from lvmviz.ui import frame
from lvmviz.ui.table import Cell, Column, dot, table

ROWS = 4
HEIGHT = 26 + 24 * ROWS


class Entry(NamedTuple):
    """One step: its name, who moved ("q", "θ" or ""), and its numbers in nats."""

    step: str
    moved: str
    elbo: float
    kl: float
    word: str = ""  # instead of a change


def ledger(
    entries: Sequence[Entry],
    *,
    decimals: int,
    unit: str,
    channel: str,
    what: str = "which half-step, what moved",
) -> None:
    """Draw it; the row of the current step is marked and kept in view."""
    frame.head("ledger", "Ledger", what)
    colours = tokens(frame.dark())
    marks = {"q": colours.q_mark, "θ": colours.theta_mark, "": colours.prior}
    rows: list[list[Cell]] = []
    for i, entry in enumerate(entries):
        change = entry.word or (number(entry.elbo - entries[i - 1].elbo, decimals, signed=True) if i else "")
        name = dot(marks[entry.moved], entry.step, entry.moved)
        rows.append([name, number(entry.elbo, decimals), number(entry.kl, decimals), change])
    table(
        "ledger",
        [Column("step", "left"), Column(f"ELBO{unit}"), Column(f"KL{unit}"), Column("change")],
        rows=rows,
        alt="Ledger: one row a half-step with ELBO, KL and the change of the ELBO, in nats",
        height=int(HEIGHT * frame.scale()),
        channel=channel,
    )
