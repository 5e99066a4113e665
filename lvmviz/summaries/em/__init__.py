"""States of EM to small NumPy arrays to draw: the only door from torch to the screen.

Functions of a trace of `EM` give one row a snapshot: T snapshots, N points of D dimensions, K components, all
float64 on the CPU. Many points are looked at through a fixed sample, or as counts in the cells of a grid.
"""

from lvmviz.summaries.em.bound import BoundCurve, bound_curve
from lvmviz.summaries.em.cells import Cells, cell_responsibilities, cells
from lvmviz.summaries.em.q import (
    Responsibilities,
    adjusted_rand,
    counts,
    responsibilities,
    responsibilities_of,
)
from lvmviz.summaries.em.theta import (
    Densities,
    collapsed,
    covariances,
    densities,
    ellipses,
    means,
    smallest_eigenvalues,
    weights,
)
from lvmviz.summaries.em.trace import (
    SAMPLE,
    clicked,
    column,
    completed,
    decompositions,
    em,
    floor_binds,
    infos,
    parameters,
    sample,
    shown_labels,
    table_points,
    total,
)

__all__ = [
    "SAMPLE",
    "BoundCurve",
    "Cells",
    "Densities",
    "Responsibilities",
    "adjusted_rand",
    "bound_curve",
    "cell_responsibilities",
    "cells",
    "clicked",
    "collapsed",
    "column",
    "completed",
    "counts",
    "covariances",
    "decompositions",
    "densities",
    "ellipses",
    "em",
    "floor_binds",
    "infos",
    "means",
    "parameters",
    "responsibilities",
    "responsibilities_of",
    "sample",
    "shown_labels",
    "smallest_eigenvalues",
    "table_points",
    "total",
    "weights",
]
