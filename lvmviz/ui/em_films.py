"""From a trace of EM to the films that show it."""

from __future__ import annotations

from lvmviz.figures import bounds, mixtures, steps
from lvmviz.figures.film import Film
from lvmviz.runs.job import Trace
from lvmviz.summaries import em as summaries


def picture(trace: Trace, axes: tuple[int, int], dark: bool) -> Film:
    """Points and components in two of the columns, or in the only one."""
    table = summaries.em(trace).data.table()
    rows, _ = mixtures.drawn(len(table.points))
    resp, weights = summaries.responsibilities(trace, rows), summaries.weights(trace)
    known = {
        "rows": rows,
        "labels": table.labels,
        "label_names": table.label_names,
        "collapsed": summaries.collapsed(trace),
        "clicked": summaries.clicked(trace, axes),
        "dark": dark,
    }
    if len(table.columns) == 1:
        points, column = table.points[:, 0], table.columns[0]
        return mixtures.picture_1d(points, resp, *summaries.densities(trace), weights, column=column, **known)
    points, columns = table.points[:, list(axes)], [table.columns[axis] for axis in axes]
    return mixtures.picture(points, resp, summaries.ellipses(trace, axes), weights, columns=columns, **known)


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
