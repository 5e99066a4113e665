"""EM of Gaussian mixtures as fast as the machine allows: chunks, matrix products, many starts at once."""

from lvmviz.fast_em.climb import Climb, climb
from lvmviz.fast_em.given import estimated
from lvmviz.fast_em.mixture import Mixture, from_precisions, mixture, stack
from lvmviz.fast_em.points import Points, chunk_rows
from lvmviz.fast_em.sweep import GRAIN, Sweep, log_joints, sweep

__all__ = [
    "GRAIN", "Climb", "Mixture", "Points", "Sweep", "chunk_rows", "climb", "estimated", "from_precisions",
    "log_joints", "mixture", "stack", "sweep",
]  # fmt: skip
