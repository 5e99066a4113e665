"""The restart lottery: one EM from many starts at once."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from lvmviz.algorithms.climbers import Climbers, Ground
from lvmviz.algorithms.em import EM
from lvmviz.core import Algorithm, Key, choice, fold_in, knob
from lvmviz.kept import kept
from lvmviz.mixtures import GaussianMixtureParams
from lvmviz.starts import ByHand, Start

SAME = 1e-3  # nats a point: ends that differ by less are told as one optimum
A_STEP = 1e9  # floating-point operations: of very many points only some of the restarts move in a step


class RestartsState(NamedTuple):
    """Where the restarts are; restart r is the run of the same EM with seed r."""

    weights: Tensor  # (R, K)
    means: Tensor  # (R, K, D)
    covariances: Tensor  # (R, K, D, D)
    log_lik: Tensor  # (R,) nats, log p(X | theta) before the last M; after it where a restart has ended
    iterations: Tensor  # (R,) int64
    moving: Tensor  # (R,) bool
    settled: Tensor  # (R,) bool
    collapsed: Tensor  # (R,) bool


class RestartsInfo(NamedTuple):
    """How far they are; heights are nats per point, of k-means the ELBO."""

    iteration: int  # the most that one of them has taken
    best: float  # the highest log p(X | theta)/N of those that have not collapsed
    median: float
    reach_best: int  # how many are within SAME of the best
    moving: int
    settled: int
    collapsed: int


@choice
class Restarts(Algorithm):
    """The restart lottery: one EM from many starts, all advanced together.

    EM climbs to the nearest optimum, so where it ends depends on where it starts. Restart r is exactly the
    run with seed r. A step is one iteration, E and M, of all that still move (of very many points: of some).
    """

    em: EM = knob(EM(), help="What is started again and again.")
    restarts: int = knob(200, 1, 1000, "How many starts, with seeds from 0.", label="Restarts")
    iterations: int = knob(
        100, 1, 500, "EM stops earlier when it has settled.", label="At most this many iterations"
    )

    def init(self, key: Key) -> tuple[RestartsState, RestartsInfo]:
        placed_by_hand(self.em.start)
        ground = self._ground()
        at = ground.start([fold_in(seed, 0) for seed in range(self.restarts)])
        first = torch.arange(self._together, device="cpu")
        return self._told(_flat(at.put(first, ground.measured(at.take(first)))))

    def step(self, key: Key, state: RestartsState) -> tuple[RestartsState, RestartsInfo]:
        rows = state.moving.nonzero()[: self._together, 0]
        at = Climbers(GaussianMixtureParams(*state[:3]), *state[3:], torch.zeros_like(state.iterations))
        return self._told(_flat(at.put(rows, self._ground().climb(at.take(rows), self.iterations))))

    def finished(self, state: RestartsState, info: RestartsInfo) -> bool:
        return info.moving == 0

    def effort(self) -> float:
        return self._together * self._one_pass()

    def waiting(self, state: RestartsState) -> Tensor:
        """Which restarts have not begun (R,), as others of very many points are at it: their log_lik is 0."""
        late = torch.arange(self.restarts, device="cpu") >= self._together
        return late & state.moving & (state.iterations == 0)

    @property
    def most_steps(self) -> int:
        """After so many steps all have ended."""
        turns = self.iterations + 1  # the last only measures
        return math.ceil(self.restarts * turns / self._together) + turns * (self._together < self.restarts)

    @property
    def _together(self) -> int:
        """How many restarts move in one step."""
        return max(1, min(self.restarts, int(A_STEP / self._one_pass())))

    def _one_pass(self) -> float:
        rows, width = self.em.data.table().points.shape
        return one_pass(rows, self.em.components, width)

    def _ground(self) -> Ground:
        return _ground(self.em, self._together, str(torch.get_default_device()))

    def _told(self, parts: list[Tensor]) -> tuple[RestartsState, RestartsInfo]:
        state = RestartsState(*parts)
        height = state.log_lik / self.em.data.table().total()
        begun = ~self.waiting(state)
        valid = height[begun & ~state.collapsed] if bool((begun & ~state.collapsed).any()) else height[begun]
        best = float(valid.max())
        flags = (int(flag.sum()) for flag in (state.moving, state.settled, state.collapsed))
        near = int((valid >= best - SAME).sum())
        return state, RestartsInfo(int(state.iterations.max()), best, float(valid.median()), near, *flags)


def placed_by_hand(start: Start) -> None:
    """Raise ValueError where chance has no say in the start."""
    if isinstance(start, ByHand):
        raise ValueError("the centres are placed by hand, so every restart is the same: choose another start")


def one_pass(rows: int, count: float, width: int) -> float:
    """Floating-point operations of one iteration of one of many runs, at the rate that `effort` counts in."""
    return rows * count * (3.0 * width**2 + 60.0) + 1e5


def _flat(at: Climbers) -> list[Tensor]:
    return [*at.theta, *at[1:-1]]


@kept(200_000_000, Ground.nbytes)
def _ground(em: EM, together: int, device: str) -> Ground:
    return Ground(em, em.known(), together)
