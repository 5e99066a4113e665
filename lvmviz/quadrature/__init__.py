"""Exact evidence, ELBO, divergences and moments of densities on the line."""

from lvmviz.quadrature.exact import (
    Integral,
    Moments,
    RenyiTerms,
    coverage,
    decompose,
    forward_kl,
    log_evidence,
    moments,
    renyi,
)
from lvmviz.quadrature.survey import NotIntegrable

__all__ = [
    "Integral", "Moments", "NotIntegrable", "RenyiTerms", "coverage", "decompose", "forward_kl",
    "log_evidence", "moments", "renyi",
]  # fmt: skip
