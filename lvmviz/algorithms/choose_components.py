"""How many components: likelihood, AIC, BIC and held-out likelihood over K."""

from __future__ import annotations

import dataclasses
import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lvmviz.algorithms.climbers import Climbers, Ground, joined, on_floor, one_of, rows_of
from lvmviz.algorithms.em import EM
from lvmviz.algorithms.restarts import one_pass
from lvmviz.core import Algorithm, Key, choice, fold_in, knob
from lvmviz.mixtures import Data, total_log_density
from lvmviz.starts import ByHand

TYPICAL = 0.3  # of the iterations allowed are taken by the slowest of some restarts, mostly


class ChooseState(NamedTuple):
    """How far it is; the next K needs nothing of those before."""

    components: Tensor  # () int64


class ChooseInfo(NamedTuple):
    """What is found with K components; likelihoods in nats, summed over the points."""

    components: int
    log_lik: float  # log p(X | theta), the best of the restarts
    parameters: int  # numbers in theta that are free
    aic: float  # 2 parameters - 2 log_lik: smaller is better
    bic: float  # parameters log N - 2 log_lik
    held_out: float  # log p of every point under the theta found without its fold
    points: float  # N, each as often as it counts
    seed: int  # of the best restart
    iterations: int  # that it took
    collapsed: (
        int  # of the restarts on all points; where all have, the numbers are of the last theta with a density
    )
    folds_collapsed: int  # in which every restart has collapsed
    floored: int  # components of the best restart that sit on the regularizer's floor


@choice
class ChooseComponents(Algorithm):
    """K components for K = 1, 2, …: what each more buys, and what it costs.

    The highest likelihood can only rise with K. AIC (Akaike, 1974) and BIC (Schwarz, 1978) charge for
    parameters; held-out likelihood asks points that the parameters have not seen, each fold in turn.
    """

    em: EM = knob(EM(), help="What is fitted, with each number of components.")
    most: int = knob(10, 1, 20, "The largest K.", label="K up to")
    restarts: int = knob(10, 1, 100, "The best of so many starts counts, seeds from 0.", label="Restarts")
    folds: int = knob(5, 2, 20, "Parts of the points, each held out once.", label="Folds")
    iterations: int = knob(
        100, 1, 500, "EM stops earlier when it has settled.", label="At most this many iterations"
    )

    def init(self, key: Key) -> tuple[ChooseState, ChooseInfo]:
        if isinstance(self.em.start, ByHand):
            raise ValueError("the centres are placed by hand, for one K only: choose another start")
        if self.em.revealed:
            raise ValueError(
                "labels that are shown say how many components there are: reveal none to choose K"
            )
        if self._room() < 1:
            raise ValueError(
                f"the points are held out in {self.folds} folds, which need as many points: add points"
            )
        return self._told(1)

    def step(self, key: Key, state: ChooseState) -> tuple[ChooseState, ChooseInfo]:
        return self._told(int(state.components) + 1)

    def finished(self, state: ChooseState, info: ChooseInfo) -> bool:
        return info.components >= min(self.most, self._room())

    def effort(self) -> float:
        """On average over all K: every restart on all points, and on all but each fold."""
        width = self.em.data.table().points.shape[1]
        each = one_pass(len(self.em.data.table().points), (self.most + 1) / 2, width)
        return self.restarts * self.folds * TYPICAL * self.iterations * each

    def _told(self, count: int) -> tuple[ChooseState, ChooseInfo]:
        em = dataclasses.replace(self.em, components=count, relabel=0)
        data, fold = em.known(), torch.from_numpy(self._fold())
        parts = [fold >= 0, *(fold != number for number in range(self.folds))]
        ground, groups = self._climbed(em, data, parts)
        best, collapsed = _best(groups[0])
        log_lik = float(ground.log_likelihood(groups[0].take(torch.tensor([best])))[0])
        free, width, total = em.scheme.free, data.x.shape[1], self.em.data.table().total()
        parameters = count * width + (em.covariance.parameters(count, width) + count - 1 if free else 0)
        held_out, failed = 0.0, 0
        for number, group in enumerate(groups[1:]):
            row, lost = _best(group)
            test = rows_of(data, fold == number)
            held_out += float(total_log_density(one_of(group.theta, row), test))
            failed += lost == self.restarts
        info = ChooseInfo(
            count, log_lik, parameters, 2 * parameters - 2 * log_lik,
            parameters * math.log(total) - 2 * log_lik, held_out, float(total), best,
            int(groups[0].iterations[best]), collapsed, failed,
            int(on_floor(em, groups[0].theta.covariances[best]).sum()),
        )  # fmt: skip
        return ChooseState(torch.tensor(count, device="cpu")), info

    def _climbed(self, em: EM, data: Data, parts: list[Tensor]) -> tuple[Ground, list[Climbers]]:
        """The restarts on every part, as far as they get."""
        ground = Ground(em, data, self.restarts * len(parts), parts)
        keys = [fold_in(seed, 0) for seed in range(self.restarts)]
        at = joined([ground.start(keys, part) for part in range(len(parts))])
        while len(rows := at.moving.nonzero()[:, 0]):
            at = at.put(rows, ground.climb(at.take(rows), self.iterations))
        return ground, [at.take((at.part == part).nonzero()[:, 0]) for part in range(len(parts))]

    def _fold(self) -> np.ndarray:
        """The fold of every point (N,), the same for every K."""
        return np.random.default_rng(0).permutation(len(self.em.data.table().points)) % self.folds

    def _room(self) -> int:
        """How many components can start in every fold."""
        weights = self.em.data.table().weights
        counts = np.ones(len(self._fold())) if weights is None else weights > 0
        held = np.bincount(self._fold(), counts, self.folds)
        return int(held.sum() - held.max()) if held.min() > 0 else 0


def _best(at: Climbers) -> tuple[int, int]:
    """The restart of the highest log-likelihood, if possible one with a density; and how many collapsed."""
    every = bool(at.collapsed.all())
    height = at.log_lik if every else torch.where(at.collapsed, -torch.inf, at.log_lik)
    return int(height.argmax()), int(at.collapsed.sum())
