"""Variational EM: a q that cannot be the posterior, and a bound that no longer touches."""

from __future__ import annotations

from typing import ClassVar

from lvmviz.algorithms.missing import GaussianState, MissingGaussianEM
from lvmviz.core import choice, knob
from lvmviz.correlated import CorrelatedPair
from lvmviz.datasets import Dataset
from lvmviz.gaps import MCAR, Gaps
from lvmviz.half_steps import CLIMBING, HalfStep
from lvmviz.incomplete_gaussian import divergence


@choice
class VariationalEM(MissingGaussianEM):
    """EM for a Gaussian with missing features, where q may know no correlation between two gaps of a row.

    E: q(missing) = prod_i N(m_i, 1 / Lambda_ii), of all products the nearest to p(missing | seen, theta);
    where a row has two gaps or more, KL(q || p) stays above 0. M as before. So every half-step lifts the
    ELBO, but the log-likelihood may fall: it ends where the bound is highest, with correlations too small
    (Jordan, Ghahramani, Jaakkola and Saul, 1999; note 003). It stops when the ELBO does.
    """

    title = "Variational EM"
    factorized: ClassVar[bool] = True
    data: Dataset = knob(CorrelatedPair(), help="The table; its empty cells are missing, too.", label="Data")
    gaps: Gaps = knob(MCAR(share=0.5), help="Which cells are hidden besides.", label="Missing")

    def finished(self, state: GaussianState, info: HalfStep) -> bool:
        if info.moved != "M" or info.status != CLIMBING:
            return info.status != CLIMBING
        # M lifts the ELBO by N KL(theta || theta_q), for theta has the moments that q expects
        return float(divergence(state.theta, state.theta_q)) < self.tolerance
