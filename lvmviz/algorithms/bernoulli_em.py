"""Expectation maximization for Bernoulli mixtures, one half-step at a time."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lvmviz.algorithms.em import EMInfo, TooFewPoints
from lvmviz.bernoulli_mixture import (
    BernoulliMixtureParams,
    Data,
    decompose_at,
    log_prior,
    maximum,
    responsibilities,
    statistics_at,
)
from lvmviz.bernoulli_starts import BernoulliStart, BlurredImages
from lvmviz.core import Algorithm, Key, choice, generator, knob, real
from lvmviz.kept import kept
from lvmviz.mixtures import Responsibilities
from lvmviz.observations import DigitImages, Observations

HIDDEN = 20160107  # the key that hidden pixels are drawn with


class TooFewImages(TooFewPoints):
    """More components than images; `most` is how many could start."""

    def __init__(self, images: int, components: int) -> None:
        self.most = images
        ValueError.__init__(
            self,
            f"{images} images cannot start {components} components: "
            f"use at most {images} components, or more images.",
        )


class BernoulliEMState(NamedTuple):
    """theta, and the theta that q was made from: q needs no N x K table of its own."""

    theta: BernoulliMixtureParams
    theta_q: BernoulliMixtureParams  # q(z_n) = p(z_n | x_n, theta_q)
    half_steps: Tensor  # () int64, E-steps and M-steps taken; E comes next when even
    log_lik: Tensor  # () log p(X | theta) in nats, so that the next step can say by how much it rose


@choice
class BernoulliEM(Algorithm):
    """Expectation maximization for a mixture of products of Bernoullis: every component is a mean image.

    E: q(z_n = k) = pi_k prod_d mu_kd^x_nd (1 - mu_kd)^(1 - x_nd) / p(x_n); M: pi_k = N_k / N and
    mu_kd = (sum_n q_nk x_nd + a) / (N_k + 2 a), the share of k's images in which pixel d is on (Bishop, 2006,
    section 9.3.3). With a = 0 M maximizes the ELBO, and log p(X) never falls. With a > 0 pseudo-counts it
    maximizes ELBO + log p(theta), every mu_kd ~ Beta(a + 1, a + 1): that sum never falls, log p(X) alone may.

    Pixels that are hidden are left out of every product and share: EM climbs log p of the seen ones
    (Ghahramani and Jordan, 1994). Pixels brighter than the threshold are on: over images of zeros and ones
    the probabilities add up to one.
    Before the first E-step q knows nothing of x: q(z_n = k) = 1/K for every image.
    """

    title = "Bernoulli EM"
    data: Observations = knob(DigitImages(), help="The images to explain.", label="Images")
    components: int = knob(10, 1, 20, "How many mean images.", label="Components K")
    start: BernoulliStart = knob(BlurredImages(), help="Where the mean images begin.", label="Start")
    threshold: float = knob(0.5, 0.0, 1.0, "A pixel brighter than this is on, any other is off.", more=True)
    pseudo_count: float = knob(
        0.0, 0.0, 100.0, "So many more images of each component in which a pixel is on, and as many in which "
        "it is off: no mean is 0 or 1. 0 is plain EM.", label="Pseudo-counts", scale="log", more=True,
    )  # fmt: skip
    missing: float = knob(0.0, 0.0, 0.95, "This share of the pixels is hidden from EM, drawn at random.",
                          label="Hidden while training", more=True)  # fmt: skip
    tolerance: float = knob(1e-5, 0.0, 1e-2, "Stop when log p(X)/N rises by less in one iteration.",
                            label="Stop below", scale="log", more=True)  # fmt: skip

    def init(self, key: Key) -> tuple[BernoulliEMState, EMInfo]:
        x, count = _mean_filled(self.rows()), self.components
        if len(x) < count:
            raise TooFewImages(len(x), count)
        weights = torch.full((count,), 1.0 / count, dtype=x.dtype, device=x.device)
        theta = BernoulliMixtureParams(weights, self.start.means(key, x, count))
        # K times the mean of all: its posterior is 1/K everywhere, the q that knows nothing
        blank = theta._replace(means=x.mean(0).expand(count, -1).contiguous())
        none = torch.zeros((), dtype=x.dtype, device=x.device)
        state, info = self._told(BernoulliEMState(theta, blank, torch.zeros((), dtype=torch.int64), none))
        return state, info._replace(rise=0.0)

    def step(self, key: Key, state: BernoulliEMState) -> tuple[BernoulliEMState, EMInfo]:
        return self._told(self._e_step(state) if int(state.half_steps) % 2 == 0 else self._m_step(state))

    def finished(self, state: BernoulliEMState, info: EMInfo) -> bool:
        if info.moved != "M":
            return False
        priors = [float(log_prior(theta, self.pseudo_count)) for theta in (state.theta, state.theta_q)]
        return info.rise + priors[0] - priors[1] < self.tolerance * len(self.rows().x)

    def _e_step(self, state: BernoulliEMState) -> BernoulliEMState:
        return state._replace(theta_q=state.theta, half_steps=state.half_steps + 1)

    def _m_step(self, state: BernoulliEMState) -> BernoulliEMState:
        told, _ = statistics_at(state.theta_q, self.rows())
        theta = maximum(told, self.pseudo_count)
        return state._replace(theta=theta, half_steps=state.half_steps + 1)

    def effort(self) -> float:
        """On average over E and M: two and a half passes of one matrix product and K exponentials a row."""
        rows, width = self.rows().x.shape
        return float(rows) * self.components * (12.0 * width + 300.0)

    def q(self, state: BernoulliEMState) -> Responsibilities:
        """The responsibilities that q is, a table (N, K), from the parameters it was made from."""
        return responsibilities(state.theta_q, self.rows())

    def rows(self) -> Data:
        """The images (N, D) as zeros and ones, and which pixels EM sees."""
        x = _tensor(self.data, self.threshold, str(torch.get_default_device()))
        return Data(x) if self.missing == 0.0 else Data(x, _observed(x.shape, self.missing, x.device))

    def _told(self, state: BernoulliEMState) -> tuple[BernoulliEMState, EMInfo]:
        """The state with its own log-likelihood, and its numbers."""
        terms = decompose_at(state.theta, state.theta_q, self.rows())
        halves = int(state.half_steps)
        info = EMInfo(
            (halves + 1) // 2,
            "start" if halves == 0 else "EM"[(halves - 1) % 2],
            *terms[:7],  # all but the error: sums over the images have none
            rise=terms.log_evidence - float(state.log_lik),
            collapsed=0,
        )
        return state._replace(log_lik=torch.full_like(state.log_lik, terms.log_evidence)), info


def _bytes(x: Tensor) -> int:
    return x.nbytes


@kept(600_000_000, _bytes)
def _tensor(data: Observations, threshold: float, device: str) -> Tensor:
    x: np.ndarray = data.examples().x
    if not np.isfinite(x).all():
        raise ValueError("some values are missing or infinite: leave those rows out")
    return torch.from_numpy(x > threshold).to(device=device, dtype=real(device))


def _mean_filled(rows: Data) -> Tensor:
    """x (N, D) with the mean of a pixel's seen values where it is hidden: a start may look at no more."""
    if rows.observed is None:
        return rows.x
    seen = rows.observed.to(rows.x)
    counts = seen.sum(0)
    means = torch.where(counts > 0, (rows.x * seen).sum(0) / counts.clamp(min=1.0), 0.5)
    return torch.where(rows.observed, rows.x, means)


@kept(100_000_000, _bytes)
def _observed(shape: tuple[int, int], missing: float, device: torch.device) -> Tensor:
    """Which pixels (N, D) are seen: the same for every run with this share."""
    drawn = torch.rand(shape, generator=generator(HIDDEN), dtype=torch.float64, device="cpu")
    return (drawn >= missing).to(device)
