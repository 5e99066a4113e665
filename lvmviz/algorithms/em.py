"""Expectation maximization for Gaussian mixtures, one half-step at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from lvmviz.core import Algorithm, Key, choice, knob, real
from lvmviz.covariances import Covariance, Full
from lvmviz.datasets import Dataset, Iris
from lvmviz.divergences import Decomposition
from lvmviz.kept import kept
from lvmviz.mixtures import (
    GaussianMixtureParams,
    Responsibilities,
    decompose_at,
    maximum_at,
    not_positive_definite,
    responsibilities,
    total_log_density,
)
from lvmviz.regularizers import Floor, Regularizer
from lvmviz.schemes import ExpectationMaximization, Scheme
from lvmviz.starts import RandomPoints, Start


class TooFewPoints(ValueError):
    """More components than points; `most` is how many could start."""

    def __init__(self, points: int, components: int) -> None:
        self.most = points
        super().__init__(
            f"{points} points cannot start {components} components: "
            f"use at most {points} components, or more points."
        )


FARTHEST = 1e12  # nats a point; beyond it nothing but rounding is left of a likelihood


class EMState(NamedTuple):
    """theta, and the theta that q was made from: q needs no N x K table of its own."""

    theta: GaussianMixtureParams
    theta_q: GaussianMixtureParams  # q(z_n) = p(z_n | x_n, theta_q)
    half_steps: Tensor  # () int64, E-steps and M-steps taken; E comes next when even
    collapsed: Tensor  # (K,) bool, components whose covariance stopped being positive definite
    log_lik: Tensor  # () log p(X | theta) in nats, so that the next step can say by how much it rose


class EMInfo(NamedTuple):
    """The numbers of one half-step: sums over all points, in nats."""

    iteration: int  # 0 at the start, then 1, 1, 2, 2, ...
    moved: str  # "start", "E" (q moved) or "M" (theta moved)
    log_lik: float  # log p(X | theta)
    elbo: float
    kl: float  # KL(q || p(Z | X, theta))
    joint: float  # E_q[log p(X, Z | theta)]
    entropy: float  # H(q)
    likelihood: float  # E_q[log p(X | Z, theta)]
    kl_prior: float  # KL(q || p(Z | theta))
    rise: float  # change of log_lik in this half-step
    collapsed: int  # the number, from 1, of the first collapsed component, or 0

    @property
    def evidence(self) -> Decomposition:
        """The numbers as the evidence and its terms; log p(X | theta) is the evidence."""
        return Decomposition(self.log_lik, *self[3:9])


@choice
class EM(Algorithm):
    """Expectation maximization for a mixture of Gaussians, and its relatives.

    E: q(z_n = k) = pi_k N(x_n | mu_k, Sigma_k) / p(x_n); M: theta = argmax E_q[log p(X, Z | theta)].
    Each is half a step: E closes the gap KL(q || p(Z | X, theta)), M lifts ELBO and log-likelihood
    (Dempster, Laird and Rubin, 1977; Neal and Hinton, 1998; note 003).
    Before the first E-step q knows nothing of x: q(z_n = k) = 1/K for every point. Points are passed over in
    chunks of fixed order, so memory stays bounded and equal runs agree to the bit.
    """

    data: Dataset = knob(Iris(), help="The points to explain.", label="Data")
    components: int = knob(3, 1, 20, "How many Gaussians.", label="Components K")
    scheme: Scheme = knob(ExpectationMaximization(), help="What E and M are.", label="Algorithm")
    covariance: Covariance = knob(Full(), help="Which shapes the components may have.")
    start: Start = knob(RandomPoints(), help="Where the means begin.", label="Start")
    regularizer: Regularizer = knob(Floor(), help="What keeps a component from collapsing.", more=True)
    tolerance: float = knob(1e-5, 0.0, 1e-2, "Stop when log p(X)/N rises by less in one iteration.",
                            label="Stop below", scale="log", more=True)  # fmt: skip

    def init(self, key: Key) -> tuple[EMState, EMInfo]:
        points = self._points()
        count = self.components
        if len(points) < count:
            raise TooFewPoints(len(points), count)
        spread = torch.cov(points.T, correction=0).reshape(points.shape[1], -1)
        weights = torch.full((count,), 1.0 / count, dtype=points.dtype, device=points.device)
        same = spread.unsqueeze(0).expand(count, -1, -1)
        if self.scheme.free:
            same = self._first(same, weights, points)
        theta = GaussianMixtureParams(weights, self.start.means(key, points, count), same)
        theta = self.scheme.start(theta, spread)
        # K times the same Gaussian: its posterior is 1/K everywhere, the q that knows nothing
        blank = theta._replace(means=points.mean(0).expand(count, -1))
        none = torch.zeros(count, dtype=torch.bool, device=points.device)
        log_lik = total_log_density(theta, points)
        if not abs(float(log_lik)) < FARTHEST * len(points):
            raise ValueError("a start lies too far from the points to be told from nothing: place it nearer")
        return self._told(EMState(theta, blank, torch.zeros((), dtype=torch.int64), none, log_lik))

    def step(self, key: Key, state: EMState) -> tuple[EMState, EMInfo]:
        return self._told(self._e_step(state) if int(state.half_steps) % 2 == 0 else self._m_step(state))

    def finished(self, state: EMState, info: EMInfo) -> bool:
        least = self.tolerance * len(self._points())
        settled = info.moved == "M" and self.scheme.settled(state.theta, state.theta_q, info.rise, least)
        return info.collapsed > 0 or settled

    @classmethod
    def idle(cls, values: Mapping[str, Any]) -> tuple[str, ...]:
        """Balls of a fixed size have neither a shape to choose nor a variance to keep from 0."""
        return () if values["scheme"].free else ("covariance", "regularizer")

    def _e_step(self, state: EMState) -> EMState:
        return state._replace(theta_q=self.scheme.e(state.theta), half_steps=state.half_steps + 1)

    def _m_step(self, state: EMState) -> EMState:
        points = self._points()
        theta = self.scheme.m(maximum_at(state.theta_q, points), state.theta)
        if self.scheme.free:
            theta = theta._replace(covariances=self._limited(theta.covariances, theta.weights))
        collapsed = not_positive_definite(theta.covariances, _reach(points))
        # a collapsed Gaussian has no density: keep the last theta that had one
        kept = state.theta if bool(collapsed.any()) else theta
        return EMState(kept, state.theta_q, state.half_steps + 1, collapsed, state.log_lik)

    def _first(self, covariances: Tensor, weights: Tensor, points: Tensor) -> Tensor:
        """The covariances that a start may have, or a ValueError where these points leave it none."""
        shaped = self.covariance(covariances, weights)
        self.regularizer.refuse(shaped[0])
        limited = self.regularizer(shaped)
        if bool(not_positive_definite(limited[:1], _reach(points)).any()):
            raise ValueError(
                "the points lie on a line or plane: raise the regularizer, leave out a feature, or choose "
                "spherical covariances"
            )
        return limited

    def _limited(self, covariances: Tensor, weights: Tensor) -> Tensor:
        """The best of the covariances that are allowed."""
        return self.regularizer(self.covariance(covariances, weights))

    def effort(self) -> float:
        """On average over E and M: three passes, each with a triangular solve, exponentials and sums."""
        rows, width = self.data.table().points.shape
        return float(rows) * self.components * (1.5 * width**2 + 10.0 * width + 300.0)

    def q(self, state: EMState) -> Responsibilities:
        """The responsibilities that q is, a table (N, K), from the parameters it was made from."""
        return responsibilities(state.theta_q, self._points())

    def _told(self, state: EMState) -> tuple[EMState, EMInfo]:
        """The state with its own log-likelihood, and its numbers."""
        terms = decompose_at(state.theta, state.theta_q, self._points())
        halves = int(state.half_steps)
        info = EMInfo(
            (halves + 1) // 2,
            "start" if halves == 0 else "EM"[(halves - 1) % 2],
            *terms[:7],  # all but the error: sums over the points have none
            rise=terms.log_evidence - float(state.log_lik),
            collapsed=int(state.collapsed.nonzero()[0, 0]) + 1 if bool(state.collapsed.any()) else 0,
        )
        return state._replace(log_lik=torch.full_like(state.log_lik, terms.log_evidence)), info

    def _points(self) -> Tensor:
        return _tensor(self.data, str(torch.get_default_device()))


def _bytes(points: Tensor) -> int:
    return points.nbytes


def _reach(points: Tensor) -> Tensor:
    """How far the coordinates reach from 0, (D,)."""
    return torch.maximum(points.amax(0).abs(), points.amin(0).abs())


@kept(400_000_000, _bytes)
def _tensor(data: Dataset, device: str) -> Tensor:
    points: np.ndarray = data.table().points
    return torch.from_numpy(np.array(points)).to(device=device, dtype=real(device))
