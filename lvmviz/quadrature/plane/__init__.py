"""Exact evidence, ELBO, divergences and moments of densities on the plane."""

from lvmviz.quadrature.plane.exact import (
    PlaneMoments,
    coverage,
    decompose,
    forward_kl,
    log_evidence,
    marginal,
    moments,
)
from lvmviz.quadrature.plane.mass import nodes_of

__all__ = [
    "PlaneMoments", "coverage", "decompose", "forward_kl", "log_evidence", "marginal", "moments",
    "nodes_of",
]  # fmt: skip
