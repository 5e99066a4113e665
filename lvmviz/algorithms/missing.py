"""Expectation maximization for one Gaussian with missing features, one half-step at a time."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from lvmviz.core import Algorithm, Key, choice, generator, knob
from lvmviz.correlated import CorrelatedPair
from lvmviz.datasets import Dataset
from lvmviz.gaps import MAR, Gaps, cells, incomplete, nbytes
from lvmviz.half_steps import CLIMBING, HalfStep, over, told
from lvmviz.incomplete_gaussian import (
    Filled,
    GaussianParams,
    Patterns,
    column_means,
    column_variances,
    decompose_at,
    fill,
    gathered,
    maximum_at,
)
from lvmviz.kept import kept
from lvmviz.mixtures import not_positive_definite
from lvmviz.regularizers import Floor, Regularizer

ALONE, DRAWN = "no correlation", "random correlations"
SINGULAR = (
    "the covariance is not positive definite any more: too few rows show the columns together, or a column "
    "follows from others. Raise the regularizer, leave a column out, or hide fewer cells"
)


class GaussianState(NamedTuple):
    """theta, and the theta that q was made from: q needs no table of the gaps."""

    theta: GaussianParams
    theta_q: GaussianParams  # q(missing) is made of p(missing | seen, theta_q)
    half_steps: Tensor  # () int64, E-steps and M-steps taken; E comes next when even
    log_lik: Tensor  # () log p(what is seen | theta) in nats


@choice
class MissingGaussianEM(Algorithm):
    """Expectation maximization for one Gaussian when some features of some rows are missing.

    E: q = p(missing | seen, theta), a Gaussian for each row; M: mean and covariance of the filled rows, plus
    q's own covariances, without which the variances would be too small (Little and Rubin, 2002, section 11.2;
    note 003). The log-likelihood is that of what is seen. Before the first E-step q is what one would guess
    from each column alone.
    """

    title = "Gaussian with missing features"
    factorized: ClassVar[bool] = False
    data: Dataset = knob(CorrelatedPair(), help="The table; its empty cells are missing, too.", label="Data")
    gaps: Gaps = knob(MAR(), help="Which cells are hidden besides.", label="Missing")
    start: str = knob(ALONE, help="The covariance that theta starts from.", options=(ALONE, DRAWN),
                      label="Start", more=True)  # fmt: skip
    regularizer: Regularizer = knob(Floor(amount=0.0), help="What keeps the covariance positive definite.",
                                    more=True)  # fmt: skip
    tolerance: float = knob(1e-9, 0.0, 1e-2, "Stop when log p(X)/N rises by less in one iteration.",
                            label="Stop below", scale="log", more=True)  # fmt: skip

    def init(self, key: Key) -> tuple[GaussianState, HalfStep]:
        points, weights = cells(self.data, self.gaps)
        spread = self._first(torch.diag(column_variances(points, weights)))
        blank = GaussianParams(column_means(points, weights), spread)
        theta = blank if self.start == ALONE else blank._replace(covariance=self._drawn(key, spread))
        zero = torch.zeros((), dtype=points.dtype, device=points.device)
        state = GaussianState(theta, blank, torch.zeros((), dtype=torch.int64), zero)
        return self._told(state, CLIMBING, first=True)

    def step(self, key: Key, state: GaussianState) -> tuple[GaussianState, HalfStep]:
        half_steps = state.half_steps + 1
        if int(state.half_steps) % 2 == 0:
            return self._told(state._replace(theta_q=state.theta, half_steps=half_steps), CLIMBING)
        best = maximum_at(state.theta_q, self.patterns(), self.factorized)
        theta = best._replace(covariance=self.regularizer(best.covariance))
        failed = bool(not_positive_definite(theta.covariance[None], theta.mean.abs()).any())
        theta = state.theta if failed else theta  # a flat Gaussian has no density: keep the last one that had
        return self._told(
            state._replace(theta=theta, half_steps=half_steps), SINGULAR if failed else CLIMBING
        )

    def finished(self, state: GaussianState, info: HalfStep) -> bool:
        return over(info, self.tolerance * float(self.patterns().counts.sum()))

    def effort(self) -> float:
        """Some twelve small inverses and products for each pattern."""
        rows, width = incomplete(self.data, self.gaps).points.shape
        return float(min(rows, 2.0**width)) * (60.0 * width**3 + 3000.0)

    def conditionals(self, state: GaussianState) -> Filled:
        """q as what is drawn: every cell's mean and standard deviation, (N, D) each."""
        return fill(state.theta_q, cells(self.data, self.gaps).points, self.factorized)

    def patterns(self) -> Patterns:
        """The rows, gathered by which columns they show."""
        return _patterns(self.data, self.gaps, str(torch.get_default_device()))

    def _first(self, spread: Tensor) -> Tensor:
        """The covariance to start with, or a ValueError where a column does not vary."""
        reach = cells(self.data, self.gaps).points.abs().nan_to_num(0.0).amax(0)
        self.regularizer.refuse(spread)
        limited = self.regularizer(spread)
        for i, name in enumerate(incomplete(self.data, self.gaps).columns):
            if bool(not_positive_definite(limited[None, i : i + 1, i : i + 1], reach[i : i + 1]).any()):
                raise ValueError(
                    f"the column {name!r} has one value wherever it is seen: leave it out, "
                    "raise the regularizer, or hide fewer cells"
                )
        return limited

    def _drawn(self, key: Key, spread: Tensor) -> Tensor:
        """A covariance with these variances and correlations drawn at random."""
        width = len(spread)
        source = torch.randn(width, width + 2, dtype=spread.dtype, generator=generator(key), device="cpu")
        product = (source @ source.T).to(spread.device)
        units = (spread.diagonal() / product.diagonal()).sqrt()
        return units[:, None] * product * units

    def _told(self, state: GaussianState, status: str, first: bool = False) -> tuple[GaussianState, HalfStep]:
        """The state with its own log-likelihood, and its numbers."""
        terms = decompose_at(state.theta, state.theta_q, self.patterns(), self.factorized)
        before = terms.log_evidence if first else float(state.log_lik)
        info = told(terms, int(state.half_steps), before, status)
        return state._replace(log_lik=torch.full_like(state.log_lik, terms.log_evidence)), info


@kept(400_000_000, nbytes)
def _patterns(data: Dataset, gaps: Gaps, device: str) -> Patterns:
    return gathered(*cells(data, gaps))
