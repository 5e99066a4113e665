"""The table of a mixture's components at every frame of a trace: weight, points, smallest eigenvalue.

Where the data have labels, the table says how well the likeliest components agree with them.
"""

from __future__ import annotations

from lvmviz.figures.theme import number, tokens
from lvmviz.runs.job import Trace
from lvmviz.summaries import em as summaries
from lvmviz.ui import frame
from lvmviz.ui.controls import decade
from lvmviz.ui.table import Column, Row, across, ring, table

ROWS = 5
HEIGHT = 26 + 24 * ROWS
COLUMNS = [Column("", "left"), Column("weight π"), Column("points N"), Column("smallest eig.")]


def components(trace: Trace, channel: str) -> None:
    """Draw it."""
    count = summaries.em(trace).components
    frame.head("components", "Components", f"{count}: scroll" if count > ROWS else "")
    dark = frame.dark()
    table(
        "components",
        COLUMNS,
        frames=lambda: _frames(trace, dark),
        depends=(trace.key, dark),
        alt="Weight, number of points and smallest eigenvalue of every component, agreement with the labels",
        height=int((HEIGHT + 24 * _labelled(trace)) * frame.scale()),
        channel=channel,
    )


def _labelled(trace: Trace) -> bool:
    return summaries.em(trace).data.table().labels is not None


def _agreement(trace: Trace) -> list[list[Row]]:
    """At every frame the row on the adjusted Rand index; none without labels."""
    scores = summaries.adjusted_rand(trace)
    if scores is None:
        return [[] for _ in trace]
    classes = summaries.em(trace).data.classes
    return [[across(f"ARI {number(score, 2)} against {classes}")] for score in scores.tolist()]


def _frames(trace: Trace, dark: bool) -> list[list[Row]]:
    colours = tokens(dark).categories
    counts = summaries.counts(trace)
    weights, eigenvalues = summaries.weights(trace), summaries.smallest_eigenvalues(trace)
    rows = zip(weights.tolist(), counts.tolist(), eigenvalues.tolist(), strict=True)
    return [
        agreement
        + [
            [ring(colours[k], str(k + 1)), number(pi, 3), number(n, 1), _small(eigenvalue)]
            for k, (pi, n, eigenvalue) in enumerate(zip(*row, strict=True))
        ]
        for agreement, row in zip(_agreement(trace), rows, strict=True)
    ]


def _small(value: float) -> str:
    return number(value, 3) if value >= 0.001 else decade(float(f"{value:.0e}"))
