"""Probabilistic PCA by expectation maximization, with missing values, one half-step at a time."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lvmviz import ppca
from lvmviz.core import Algorithm, Key, choice, generator, knob
from lvmviz.datasets import Dataset, Iris
from lvmviz.digit_pixels import DigitPixels
from lvmviz.gaps import MCAR, Gaps, cells, incomplete, nbytes
from lvmviz.half_steps import CLIMBING, HalfStep, over, told
from lvmviz.incomplete_gaussian import column_means, column_variances
from lvmviz.kept import kept
from lvmviz.ppca import FLAT, PPCAParams, Rows

LEAST = 1e-12  # of the mean variance of the columns: less noise than this is none


class PPCAState(NamedTuple):
    """theta, and the theta that q was made from."""

    theta: PPCAParams
    theta_q: PPCAParams  # q(z_n) = p(z_n | what is seen of x_n, theta_q)
    half_steps: Tensor  # () int64, E-steps and M-steps taken; E comes next when even
    log_lik: Tensor  # () log p(what is seen | theta) in nats


@choice
class PPCAEM(Algorithm):
    """Probabilistic PCA by expectation maximization, also where cells are missing.

    x = W z + mean + noise. E: q(z_n) = p(z_n | what is seen of x_n); M: every column is regressed on z over
    the rows that show it, and sigma^2 is the mean squared error that q expects (Tipping and Bishop, 1999,
    appendix B). Before the first E-step q is the prior N(0, I). Without gaps it ends at the closed form.
    """

    title = "Probabilistic PCA"
    data: Dataset = knob(Iris(features=()), help="The table; its empty cells are missing.", label="Data",
                         options=(DigitPixels.__name__,))  # fmt: skip
    gaps: Gaps = knob(MCAR(share=0.2), help="Which cells are hidden besides.", label="Missing")
    latents: int = knob(1, 1, 20, "How many dimensions z has.", label="Latents q")
    tolerance: float = knob(1e-9, 0.0, 1e-2, "Stop when log p(X)/N rises by less in one iteration.",
                            label="Stop below", scale="log", more=True)  # fmt: skip

    def init(self, key: Key) -> tuple[PPCAState, HalfStep]:
        table = incomplete(self.data, self.gaps)
        width = table.points.shape[1]
        if self.latents >= width:
            raise ValueError(
                f"{self.latents} latents need more than {self.latents} columns and the table has {width}: "
                "use fewer latents, or more columns"
            )
        points, weights = cells(self.data, self.gaps)
        mean, variance = column_means(points, weights), column_variances(points, weights).mean()
        if not float(variance) > 0.0:
            raise ValueError("no column varies where it is seen, so nothing is left to explain: use others")
        noise = torch.randn(width, self.latents, dtype=points.dtype, generator=generator(key), device="cpu")
        loadings = (0.5 * variance / self.latents).sqrt() * noise.to(points.device)
        theta = PPCAParams(mean, loadings, 0.5 * variance)
        blank = theta._replace(loadings=torch.zeros_like(loadings))  # its posterior is the prior
        zero = torch.zeros((), dtype=points.dtype, device=points.device)
        return self._told(PPCAState(theta, blank, torch.zeros((), dtype=torch.int64), zero), first=True)

    def step(self, key: Key, state: PPCAState) -> tuple[PPCAState, HalfStep]:
        half_steps = state.half_steps + 1
        if int(state.half_steps) % 2 == 0:
            return self._told(state._replace(theta_q=state.theta, half_steps=half_steps))
        theta, points = ppca.maximum_at(state.theta_q, self.rows()), self.rows()
        scale = float((points.counts[:, None] * points.x.square()).sum() / points.counts.sum())
        flat = not float(theta.noise_variance) > LEAST * scale / points.x.shape[1]
        # without noise there is no density: keep the last theta that had one
        kept = state.theta if flat else theta
        return self._told(state._replace(theta=kept, half_steps=half_steps), FLAT if flat else CLIMBING)

    def finished(self, state: PPCAState, info: HalfStep) -> bool:
        return over(info, self.tolerance * float(self.rows().counts.sum()))

    def effort(self) -> float:
        """On average over E and M: second moments of z for every cell, a small inverse for every row."""
        rows, width = incomplete(self.data, self.gaps).points.shape
        squares = (self.latents + 1.0) ** 2
        return float(rows) * (2.0 * width * squares + 10.0 * squares * self.latents + 20.0 * width + 200.0)

    def rows(self) -> Rows:
        """The rows, those that show the same columns side by side."""
        return _rows(self.data, self.gaps, str(torch.get_default_device()))

    def _told(
        self, state: PPCAState, status: str = CLIMBING, first: bool = False
    ) -> tuple[PPCAState, HalfStep]:
        """The state with its own log-likelihood, and its numbers."""
        terms = ppca.decompose_at(state.theta, state.theta_q, self.rows())
        before = terms.log_evidence if first else float(state.log_lik)
        info = told(terms, int(state.half_steps), before, status)
        return state._replace(log_lik=torch.full_like(state.log_lik, terms.log_evidence)), info


@kept(200_000_000, nbytes)
def _rows(data: Dataset, gaps: Gaps, device: str) -> Rows:
    return ppca.gathered(*cells(data, gaps))
