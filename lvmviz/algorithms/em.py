"""Expectation maximization for Gaussian mixtures, one half-step at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from lvmviz.core import Algorithm, Key, choice, fold_in, generator, knob, real
from lvmviz.covariances import Covariance, Full
from lvmviz.datasets import Dataset, Iris, revealed
from lvmviz.divergences import Decomposition
from lvmviz.kept import kept
from lvmviz.mixtures import (
    Data,
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
    """More components than points that count; `most` is how many could start."""

    def __init__(self, points: int, components: int) -> None:
        self.most = points
        held, most = (
            ("1 point", "1 component") if points == 1 else (f"{points} points", f"{points} components")
        )
        super().__init__(f"{held} cannot start {components} components: use at most {most}, or more points.")


class TooFewComponents(ValueError):
    """Fewer components than classes whose labels are shown; `least` is how many are needed."""

    def __init__(self, components: int, classes: int) -> None:
        self.least = classes
        super().__init__(
            f"{components} components cannot stand for {classes} classes: "
            f"use at least {classes} components, or reveal no labels."
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
    """The numbers of one half-step: sums over all points, each as often as it counts, in nats.

    Of a point whose label is shown, evidence and terms are those of x and z together.
    """

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
    Where labels are shown, class c is component c: q of these points is certain, their means are where the
    components start. Weights of the points multiply every sum, as if points were repeated.
    """

    data: Dataset = knob(Iris(), help="The points to explain.", label="Data")
    components: int = knob(3, 1, 20, "How many Gaussians.", label="Components K")
    scheme: Scheme = knob(ExpectationMaximization(), help="What E and M are.", label="Algorithm")
    covariance: Covariance = knob(Full(), help="Which shapes the components may have.")
    start: Start = knob(RandomPoints(), help="Where the means begin.", label="Start")
    regularizer: Regularizer = knob(Floor(), help="What keeps a component from collapsing.", more=True)
    tolerance: float = knob(1e-5, 0.0, 1e-2, "Stop when log p(X)/N rises by less in one iteration.",
                            label="Stop below", scale="log", more=True)  # fmt: skip
    revealed: int = knob(0, 0, 500, "So many points of every class show which component they belong to.",
                         label="Labels revealed per class", scale="box", more=True)  # fmt: skip
    relabel: int = knob(0, 0, 9999, "Another number gives the components other names: nothing else changes.",
                        label="Permute the names", scale="box", more=True)  # fmt: skip

    def init(self, key: Key) -> tuple[EMState, EMInfo]:
        data, count = self.known(), self.components
        points = data.x
        self.refuse(data)
        spread = torch.cov(points.T, correction=0, aweights=data.weights).reshape(points.shape[1], -1)
        weights = torch.full((count,), 1.0 / count, dtype=points.dtype, device=points.device)
        same = spread.unsqueeze(0).expand(count, -1, -1)
        if self.scheme.free:
            same = self.allowed(same, weights, data)
        theta = GaussianMixtureParams(weights, self.first_means(key, data), same)
        theta = self.scheme.start(theta, spread)
        # K times the same Gaussian: its posterior is 1/K everywhere, the q that knows nothing
        blank = theta._replace(means=_mean(points, data.weights).expand(count, -1))
        none = torch.zeros(count, dtype=torch.bool, device=points.device)
        log_lik = total_log_density(theta, data)
        if not abs(float(log_lik)) < FARTHEST * self._total():
            raise ValueError("a start lies too far from the points to be told from nothing: place it nearer")
        return self._told(EMState(theta, blank, torch.zeros((), dtype=torch.int64), none, log_lik))

    def step(self, key: Key, state: EMState) -> tuple[EMState, EMInfo]:
        return self._told(self._e_step(state) if int(state.half_steps) % 2 == 0 else self._m_step(state))

    def finished(self, state: EMState, info: EMInfo) -> bool:
        least = self.tolerance * self._total()
        settled = info.moved == "M" and self.scheme.settled(state.theta, state.theta_q, info.rise, least)
        return info.collapsed > 0 or settled

    @classmethod
    def idle(cls, values: Mapping[str, Any]) -> tuple[str, ...]:
        """Balls of a fixed size have neither a shape to choose nor a variance to keep from 0.

        Without labels none can be revealed. Those that are name the components; k-means gives a point between
        two centres to the earlier, so that names matter; and a component that is alone has but one name.
        """
        idle = () if values["scheme"].free else ("covariance", "regularizer")
        labelled = "data" not in values or values["data"].labelled()
        named = labelled and values.get("revealed", 0) > 0
        named |= not values["scheme"].closes or values.get("components") == 1
        return idle + (() if labelled else ("revealed",)) + (("relabel",) if named else ())

    def _e_step(self, state: EMState) -> EMState:
        return state._replace(theta_q=self.scheme.e(state.theta), half_steps=state.half_steps + 1)

    def _m_step(self, state: EMState) -> EMState:
        data = self.known()
        theta = self.scheme.m(maximum_at(state.theta_q, data), state.theta)
        if self.scheme.free:
            theta = theta._replace(covariances=self._limited(theta.covariances, theta.weights))
        collapsed = not_positive_definite(theta.covariances, data.reach)
        # a collapsed Gaussian has no density: keep the last theta that had one
        kept = state.theta if bool(collapsed.any()) else theta
        return EMState(kept, state.theta_q, state.half_steps + 1, collapsed, state.log_lik)

    def refuse(self, data: Data) -> None:
        """Raise the error of more components than can start, or fewer than the labels name."""
        held = len(data.x) if data.weights is None else int((data.weights > 0).sum())
        if held < self.components:
            raise TooFewPoints(held, self.components)
        classes = 0 if data.labels is None else int(data.labels.max()) + 1
        if classes > self.components:
            raise TooFewComponents(self.components, classes)

    def first_means(self, key: Key, data: Data) -> Tensor:
        """The first means (K, D): of a class's points where it has any that show it, else the start's."""
        means = self.start.means(key, data.x, self.components, data.weights)
        if data.labels is not None:
            means = means.clone()
            for label in data.labels[data.labels >= 0].unique().tolist():
                shown = data.labels == label
                means[label] = _mean(data.x[shown], None if data.weights is None else data.weights[shown])
        return means[self._names().to(means.device)] if self.relabel else means

    def _names(self) -> Tensor:
        """Which components the names 1, 2, … go to, (K,): not to these themselves."""
        rng = generator(fold_in(self.relabel, self.components))
        order = same = torch.arange(self.components, device="cpu")
        while torch.equal(order, same):
            order = torch.randperm(self.components, generator=rng, device="cpu")
        return order

    def allowed(self, covariances: Tensor, weights: Tensor, data: Data) -> Tensor:
        """The covariances that a start may have, or a ValueError where these points leave it none."""
        shaped = self.covariance(covariances, weights)
        self.regularizer.refuse(shaped[0])
        limited = self.regularizer(shaped)
        if bool(not_positive_definite(limited[:1], data.reach).any()):
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
        return responsibilities(state.theta_q, self.known())

    def _told(self, state: EMState) -> tuple[EMState, EMInfo]:
        """The state with its own log-likelihood, and its numbers."""
        terms = decompose_at(state.theta, state.theta_q, self.known())
        halves = int(state.half_steps)
        info = EMInfo(
            (halves + 1) // 2,
            "start" if halves == 0 else "EM"[(halves - 1) % 2],
            *terms[:7],  # all but the error: sums over the points have none
            rise=terms.log_evidence - float(state.log_lik),
            collapsed=int(state.collapsed.nonzero()[0, 0]) + 1 if bool(state.collapsed.any()) else 0,
        )
        return state._replace(log_lik=torch.full_like(state.log_lik, terms.log_evidence)), info

    def known(self) -> Data:
        """The points, with the labels that are shown and how often each counts."""
        device, weighted = str(torch.get_default_device()), self.data.table().weights is not None
        return Data(
            self._points(),
            _labels(self.data, self.revealed, device) if self.revealed else None,
            _weights(self.data, device) if weighted else None,
        )

    def _points(self) -> Tensor:
        return _tensor(self.data, str(torch.get_default_device()))

    def _total(self) -> float:
        """How many points there are, each as often as it counts."""
        return self.data.table().total()


def _bytes(points: Tensor) -> int:
    return points.nbytes


def _any_bytes(labels: Tensor | None) -> int:
    return 0 if labels is None else labels.nbytes


def _mean(points: Tensor, weights: Tensor | None) -> Tensor:
    """The mean (D,) of points (n, D), each as often as it counts."""
    return points.mean(0) if weights is None else (weights @ points) / weights.sum()


@kept(400_000_000, _bytes)
def _tensor(data: Dataset, device: str) -> Tensor:
    points: np.ndarray = data.table().points
    return torch.from_numpy(np.array(points)).to(device=device, dtype=real(device))


@kept(50_000_000, _any_bytes)
def _labels(data: Dataset, each: int, device: str) -> Tensor | None:
    shown = revealed(data, each)
    return None if shown is None else torch.from_numpy(np.array(shown)).to(device)


@kept(50_000_000, _bytes)
def _weights(data: Dataset, device: str) -> Tensor:
    return torch.from_numpy(np.array(data.table().weights)).to(device=device, dtype=real(device))
