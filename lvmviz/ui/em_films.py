"""From a trace of EM to the films that show it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lvmviz.figures import bounds, mixtures, steps
from lvmviz.figures.film import Film
from lvmviz.figures.mixtures import Shown
from lvmviz.runs.job import Trace
from lvmviz.summaries import em as summaries


def picture(
    trace: Trace, axes: tuple[int, int], dark: bool, resp: Sequence[np.ndarray] | None = None
) -> Film:
    """Points and components in two of the columns, or in the only one.

    `resp`, T times (n, K), is q of the rows that are drawn where it is not theta_q's posterior.
    """
    table = summaries.em(trace).data.table()
    shown = _shown(trace, axes)
    shown = shown if resp is None or shown.cells is not None else shown._replace(resp=resp)
    if len(table.columns) == 1:
        densities = summaries.densities(trace)
        return mixtures.picture_1d(table.points[:, 0], shown, densities, column=table.columns[0], dark=dark)
    points, columns = table.points[:, list(axes)], [table.columns[axis] for axis in axes]
    return mixtures.picture(points, shown, summaries.ellipses(trace, axes), columns=columns, dark=dark)


def alt(trace: Trace) -> str:
    """The picture in words."""
    em = summaries.em(trace)
    said = f"{em.data.name()}: {em.components} Gaussian components, points coloured by responsibility"
    return f"{said}. {told(trace)}".removesuffix(". ")


def told(trace: Trace) -> str:
    """How the points are drawn, where not each has a plain mark of its own, and how many labels are shown."""
    table = summaries.em(trace).data.table()
    count, columns = table.points.shape
    marks = mixtures.told(count, columns, table.weights is not None)
    return f"{marks} {mixtures.labels_told(summaries.shown_labels(trace))}".strip()


def _shown(trace: Trace, axes: tuple[int, int]) -> Shown:
    """What the picture shows of the points: those that are drawn, or of very many how dense they are."""
    table = summaries.em(trace).data.table()
    shown = Shown(
        resp=(),
        weights=summaries.weights(trace),
        labels=table.labels,
        label_names=table.label_names,
        collapsed=summaries.collapsed(trace),
        clicked=summaries.clicked(trace, axes),
        known=summaries.shown_labels(trace),
        point_weights=table.weights,
    )
    if len(table.points) > mixtures.DENSE:
        seen = tuple(dict.fromkeys(axes))
        cells = summaries.cells(trace, seen, mixtures.GRID if len(seen) > 1 else mixtures.BARS)
        return shown._replace(cells=cells, resp=summaries.cell_responsibilities(trace, seen, cells))
    rows, _ = mixtures.drawn(len(table.points))
    return shown._replace(rows=rows, resp=summaries.responsibilities_of(trace, rows))


def trace_chart(trace: Trace, dark: bool) -> Film:
    """Log-likelihood and ELBO per point over the half-steps."""
    infos, terms = summaries.infos(trace), summaries.decompositions(trace)
    return steps.trace_chart(
        summaries.column(terms, "log_evidence"),
        summaries.column(terms, "elbo"),
        [info.iteration for info in infos],
        [info.moved for info in infos],
        dark=dark,
    )


def bound_chart(trace: Trace, component: int, axis: int, dark: bool) -> Film:
    """Log-likelihood and ELBO per point over one coordinate of one mean; `component` counts from 1."""
    column = summaries.em(trace).data.table().columns[axis]
    curve = summaries.bound_curve(trace, component - 1, axis)
    return bounds.bound_chart(
        *curve, name=f"mean of component {component}: {mixtures.plain(column)}", dark=dark
    )
