"""The table of a mixture's components: weight, points, smallest eigenvalue, at every frame of a trace."""

from __future__ import annotations

import streamlit as st

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
    """Draw it, with how well the components agree with the labels where there are some."""
    frame.head("components", "Components", "")
    table(
        "components",
        COLUMNS,
        frames=_frames(trace.key, trace, frame.dark()),
        alt="Weight, number of points and smallest eigenvalue of every component",
        height=int(HEIGHT * frame.scale()),
        channel=channel,
    )


@st.cache_resource(max_entries=64, show_spinner=False)
def _frames(key: tuple[str, int, int], _trace: Trace, dark: bool) -> list[list[list[Cell]]]:
    colours = tokens(dark).categories
    counts = summaries.counts(_trace)
    weights, eigenvalues = summaries.weights(_trace), summaries.smallest_eigenvalues(_trace)
    return [
        [
            [ring(colours[k], str(k + 1)), number(pi, 3), number(n, 1), _small(eigenvalue)]
            for k, (pi, n, eigenvalue) in enumerate(zip(*rows, strict=True))
        ]
        for rows in zip(weights.tolist(), counts.tolist(), eigenvalues.tolist(), strict=True)
    ]


def _small(value: float) -> str:
    return number(value, 3) if value >= 0.001 else decade(float(f"{value:.0e}"))
