"""Monte-Carlo EM for Gaussian mixtures: the E-step draws instead of computing, so the ledger is noisy."""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import torch
from torch import Tensor

from lvmviz.algorithms.em import EM
from lvmviz.core import Algorithm, Key, choice, generator, knob
from lvmviz.covariances import Covariance, Full
from lvmviz.datasets import Dataset, Iris
from lvmviz.half_steps import told
from lvmviz.mixtures import (
    Data,
    GaussianMixtureParams,
    Responsibilities,
    decompose,
    evaluate,
    maximum,
    not_positive_definite,
    responsibilities,
)
from lvmviz.regularizers import Floor, Regularizer
from lvmviz.starts import RandomPoints, Start

COLLAPSED = (
    "component {} collapsed: the draws left it too few different points. Draw more, raise the regularizer, "
    "or use fewer components"
)


class MonteCarloState(NamedTuple):
    """theta, and what q was drawn from and with: the draws are made again where they are needed."""

    theta: GaussianMixtureParams
    theta_q: GaussianMixtureParams  # the draws come from p(z_n | x_n, theta_q)
    key_q: Tensor  # () int64, the key they were drawn with
    half_steps: Tensor  # () int64, E-steps and M-steps taken; E comes next when even
    log_lik: Tensor  # () log p(X | theta) in nats


class MonteCarloInfo(NamedTuple):
    """The numbers of one half-step: sums over all points, in nats, for the q that the draws are.

    q(z_n = k) is the share of the M draws of z_n that are k, a distribution like any other, so that its terms
    are exact. What is noisy is q itself; `joint_error` says by how much that shakes `joint`.
    """

    iteration: int  # 0 at the start, then 1, 1, 2, 2, ...
    moved: str  # "start", "E" (q moved) or "M" (theta moved)
    log_lik: float  # log p(X | theta)
    elbo: float
    kl: float  # KL(q || p(Z | X, theta)); after E about (K - 1) / (2 M) a point where clusters overlap, not 0
    joint: float  # E_q[log p(X, Z | theta)]
    entropy: float  # H(q)
    likelihood: float  # E_q[log p(X | Z, theta)]
    kl_prior: float  # KL(q || p(Z | theta))
    rise: float  # change of log_lik in this half-step; below 0 when the draws misled M
    status: str  # "climbing", or the sentence why it cannot go on
    joint_error: float  # standard error of `joint` for E_p(Z | X, theta_q)[log p(X, Z | theta)], M draws


@choice
class MonteCarloEM(Algorithm):
    """EM for a mixture of Gaussians whose E-step draws M labels for each point instead of summing over all.

    E: z_n^(1..M) ~ p(z_n | x_n, theta); M: theta = argmax (1/M) sum_m log p(X, Z^(m) | theta) (Wei and
    Tanner, 1990; note 003). The log-likelihood wanders about where EM ends, with a width that falls as
    1 / sqrt(M). A component that no draw chose keeps its mean and covariance. It goes on until its steps
    are over.
    """

    title = "Monte-Carlo EM"
    data: Dataset = knob(Iris(), help="The points to explain.", label="Data")
    components: int = knob(3, 1, 20, "How many Gaussians.", label="Components K")
    draws: int = knob(10, 1, 1000, "How many labels are drawn for each point.", label="Draws M", scale="box")
    covariance: Covariance = knob(Full(), help="Which shapes the components may have.", more=True)
    start: Start = knob(RandomPoints(), help="Where the means begin.", label="Start")
    regularizer: Regularizer = knob(Floor(), help="What keeps a component from collapsing.", more=True)

    def init(self, key: Key) -> tuple[MonteCarloState, MonteCarloInfo]:
        state, _ = self.exact().init(key)
        return self._told(
            MonteCarloState(state.theta, state.theta_q, _word(key), state.half_steps, state.log_lik)
        )

    def step(self, key: Key, state: MonteCarloState) -> tuple[MonteCarloState, MonteCarloInfo]:
        half_steps = state.half_steps + 1
        if int(state.half_steps) % 2 == 0:
            return self._told(state._replace(theta_q=state.theta, key_q=_word(key), half_steps=half_steps))
        theta = self._m_step(state)
        collapsed = not_positive_definite(theta.covariances, self._known().x.abs().amax(0))
        if bool(collapsed.any()):  # no density: keep the last theta that had one
            number = int(collapsed.nonzero()[0, 0]) + 1
            return self._told(state._replace(half_steps=half_steps), COLLAPSED.format(number))
        return self._told(state._replace(theta=theta, half_steps=half_steps))

    def finished(self, state: MonteCarloState, info: MonteCarloInfo) -> bool:
        return info.status != "climbing"

    def effort(self) -> float:
        """On average over E and M: the draws, and the passes of EM."""
        return self.exact().effort() + 200.0 * len(self.data.table().points) * self.components

    def exact(self) -> EM:
        """EM with the same settings, whose sums these draws estimate."""
        return EM(data=self.data, components=self.components, covariance=self.covariance, start=self.start,
                  regularizer=self.regularizer)  # fmt: skip

    def q(self, state: MonteCarloState) -> Responsibilities:
        """The share of the draws of each point that fell on each component, (N, K); the last is kept."""
        return _drawn(state.theta_q, state.key_q, self._known(), self.draws)

    def _m_step(self, state: MonteCarloState) -> GaussianMixtureParams:
        q = self.q(state)
        best = maximum(q, self._known())
        chosen = (q.resp > 0).any(0)
        means = torch.where(chosen[:, None], best.means, state.theta.means)
        covariances = torch.where(chosen[:, None, None], best.covariances, state.theta.covariances)
        limited = self.regularizer(self.covariance(covariances, best.weights))
        return GaussianMixtureParams(best.weights, means, limited)

    def _told(
        self, state: MonteCarloState, status: str = "climbing"
    ) -> tuple[MonteCarloState, MonteCarloInfo]:
        """The state with its own log-likelihood, and its numbers."""
        data = self._known()
        terms = decompose(state.theta, self.q(state), data)
        half = told(terms, int(state.half_steps), float(state.log_lik), status)
        joint = evaluate(state.theta, data).log_joint
        info = MonteCarloInfo(*half, standard_error(state.theta_q, joint, data, self.draws))
        return state._replace(log_lik=torch.full_like(state.log_lik, terms.log_evidence)), info

    def _known(self) -> Data:
        return _exact(self).known()


@functools.lru_cache(maxsize=64)
def _exact(algorithm: MonteCarloEM) -> EM:
    """Made once: a choice looks at each of its fields when it is made, and every half-step asks for it."""
    return algorithm.exact()


# The last draws, with what they were made from: M and its numbers ask for those of the E-step before. Tensors
# are compared by identity and version, so nothing stale is ever found.
_recent: tuple[tuple[object, ...], Responsibilities] | None = None


def _drawn(theta_q: GaussianMixtureParams, key_q: Tensor, data: Data, draws: int) -> Responsibilities:
    """The shares (N, K) of so many labels drawn from the posterior of theta_q with a key."""
    global _recent
    tensors = (*theta_q, data.x, data.labels)
    made_from = (int(key_q), draws, *(None if part is None else part._version for part in tensors), *tensors)
    known = _recent
    if known is not None and all(
        a is b if isinstance(b, Tensor) else a == b for a, b in zip(known[0], made_from, strict=True)
    ):
        return known[1]
    made = drawn(responsibilities(theta_q, data), int(key_q), draws)
    _recent = made_from, made
    return made


def drawn(posterior: Responsibilities, key: Key, draws: int) -> Responsibilities:
    """The shares (N, K) of so many labels drawn from a posterior (N, K): one binomial for each component."""
    source, resp = generator(key), posterior.resp.cpu()
    left = torch.full_like(resp[:, 0], draws)
    rest = resp.flip(1).cumsum(1).flip(1)  # what a component and those after it have together
    counts = []
    for k in range(resp.shape[1] - 1):
        chance = (resp[:, k] / torch.where(rest[:, k] > 0, rest[:, k], 1.0)).clamp(0.0, 1.0)
        counts.append(torch.binomial(left, chance, generator=source))
        left = left - counts[-1]
    share = (torch.stack([*counts, left], 1) / draws).to(posterior.resp)
    return Responsibilities(share.log(), share)


def standard_error(theta_q: GaussianMixtureParams, log_joint: Tensor, data: Data, draws: int) -> float:
    """The standard deviation of the mean, over so many draws of all labels, of log p(X, Z | theta), nats."""
    resp = responsibilities(theta_q, data).resp
    possible = torch.where(resp > 0, log_joint, 0.0)
    apart = possible - (resp * possible).sum(1, keepdim=True)
    variances = (resp * apart.square()).sum(1)
    if data.weights is not None:
        variances = data.weights.square() * variances
    return math.sqrt(float(variances.sum()) / draws)


def _word(key: Key) -> Tensor:
    """A key as a number that a state can hold; `generator` sees the same."""
    return torch.tensor(key % 2**63, dtype=torch.int64, device="cpu")
