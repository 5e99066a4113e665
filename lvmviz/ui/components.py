"""The table of a mixture's components: weight, points, smallest eigenvalue, at every frame of a trace."""

from __future__ import annotations

from lvmviz.figures.theme import number, tokens
from lvmviz.runs.job import Trace
from lvmviz.summaries import em as summaries
from lvmviz.ui import frame
from lvmviz.ui.controls import decade
from lvmviz.ui.table import Cell, Column, ring, table

ROWS = 5
HEIGHT = 26 + 24 * ROWS
COLUMNS = [Column("", "left"), Column("weight π"), Column("points N"), Column("smallest eig.")]


def components(trace: Trace, channel: str) -> None:
    """Draw it."""
    frame.head("components", "Components", "")
    dark = frame.dark()
    table(
        "components",
        COLUMNS,
        frames=lambda: _frames(trace, dark),
        depends=(trace.key, dark),
        alt="Weight, number of points and smallest eigenvalue of every component",
        height=int(HEIGHT * frame.scale()),
        channel=channel,
    )


def _frames(trace: Trace, dark: bool) -> list[list[list[Cell]]]:
    colours = tokens(dark).categories
    counts = summaries.counts(trace)
    weights, eigenvalues = summaries.weights(trace), summaries.smallest_eigenvalues(trace)
    return [
        [
            [ring(colours[k], str(k + 1)), number(pi, 3), number(n, 1), _small(eigenvalue)]
            for k, (pi, n, eigenvalue) in enumerate(zip(*rows, strict=True))
        ]
        for rows in zip(weights.tolist(), counts.tolist(), eigenvalues.tolist(), strict=True)
    ]


def _small(value: float) -> str:
    return number(value, 3) if value >= 0.001 else decade(float(f"{value:.0e}"))
