"""Variational inference: a batch of q's that climb towards a posterior."""

from __future__ import annotations

import functools
import operator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lvmviz.core import Algorithm, Key, choice, fold_in, knob
from lvmviz.divergences import Decomposition
from lvmviz.families import Family, Gaussian, MeanField, Plane, Stack
from lvmviz.gradients import Estimator, Exact, Reparameterized, elbo_terms, fisher
from lvmviz.nodes import noise_rule
from lvmviz.objectives import IWAE, ForwardKL, Objective, ReverseKL
from lvmviz.optimizers import Adam, CoordinateAscent, Hill, Optimizer, Slope, remembered, slope_of
from lvmviz.quadrature import decompose, log_evidence
from lvmviz.targets import Skewed, Target

ENDLESS = 1e300  # told for infinity: a number that JSON has
LOWEST = -1e10  # an objective below it is lost in rounding, and its q in the distance
ROUNDED = 1e-6  # nats by which a bound may pass its roof
WIDEST = 4.0  # the other starts' sds are at most this times wider or narrower
SPREAD = {  # by dimension: what every start adds to the shares of means and log sds (Roberts, 2018)
    1: (0.7548776662466927, 0.5698402909980532),
    2: (0.8191725133961645, 0.6710436067037893, 0.5497004779019703),
}
TOGETHER, FEW = (
    16,
    2,
)  # q's in the plane that are differentiated at once: more leave the cache, then the memory


class VIState(NamedTuple):
    """The q's and what the optimizer remembers of them."""

    phi: Tensor  # (B, P), start 0 first; always finite
    optimizer: Any  # the optimizer's own NamedTuple of tensors
    value: Tensor  # (B,) the objective at phi by quadrature, nats
    gradient: Tensor  # (B, P) its gradient
    lost: Tensor  # (B,) bool, q's whose next step was not finite or below LOWEST: they stay where they were
    move: Tensor  # (B,) length of the last move in phi
    steps: Tensor  # () int64, the optimizer's


class VIInfo(NamedTuple):
    """The numbers of start 0 after a step, nats, and how the others stand; infinity is told as 1e300."""

    iteration: int
    objective: float  # what is climbed, by the batch's own rule
    log_evidence: float  # log p(x)
    elbo: float
    kl: float  # KL(q || p(z | x)), an integral of its own
    joint: float  # E_q[log p(x, z)]
    entropy: float  # H(q)
    likelihood: float  # E_q[log p(x | z)]
    kl_prior: float  # KL(q || p(z))
    error: float  # how far a sum of these may be off
    grad_norm: float  # of the objective's exact gradient
    move: float  # length of the last step in phi
    best: float  # the highest objective among all starts
    best_start: int
    settled: int  # starts whose gradient is below the tolerance
    lost: int  # starts that left the finite numbers
    status: str  # of start 0: "moving", "converged" or "not finite"

    @property
    def evidence(self) -> Decomposition:
        """The numbers as the evidence and its terms."""
        return Decomposition(*self[2:10])


@choice
class VI(Algorithm):
    """Variational inference: climb the ELBO, or another objective, until q fits the posterior.

    phi <- optimizer(phi, gradient of the objective at phi). The gradient is exact, by quadrature, or an
    estimate from draws of q, the same for all starts; whatever climbs, the numbers told are by quadrature
    (Jordan et al., 1999; Kingma and Welling, 2014; Ranganath, Gerrish and Blei, 2014; notes 000 and 001).
    Start 0 begins at `mean` and `sd` in every dimension, the others on a fixed even spread of means and log
    sds round it. An optimizer that measures its way (L-BFGS, natural gradient) does so on the draws of that
    step, and a flow in the plane on the lattice of that step.
    """

    target: Target = knob(Skewed(), help="The posterior to fit.", label="Posterior")
    family: Family = knob(Gaussian(), help="What q may be.", label="Family of q")
    objective: Objective = knob(ReverseKL(), help="What makes one q better than another.")
    optimizer: Optimizer = knob(Adam(), help="How q moves.")
    gradient: Estimator = knob(Exact(), help="Where the gradient comes from.")
    starts: int = knob(8, 1, 512, "How many q's climb at once.")
    mean: float = knob(0.0, -1e6, 1e6, "Where q's centre begins.", label="Start at")
    sd: float = knob(1.0, 1e-4, 1e4, "How wide q begins.", label="Start width", scale="log")
    phi: tuple[float, ...] = knob((), help="All of start 0's numbers, in place of mean and sd.", hidden=True)
    spread: float = knob(8.0, 0.0, 1e6, "How far from it the other starts' means lie.", more=True)
    within: tuple[float, ...] = knob((), help="(least, most) of the other starts' means, in place of spread; "
                                     "of x, then of y.", hidden=True)  # fmt: skip
    tolerance: float = knob(1e-6, 1e-12, 1e-1, "A gradient shorter than this counts as none.",
                            label="Stop below", scale="log", more=True)  # fmt: skip
    stride: int = knob(1, 1, 1000, "The optimizer's steps between two looks at the exact numbers.", more=True)

    def init(self, key: Key) -> tuple[VIState, VIInfo]:
        self._refuse()
        ends = self.within or (self.mean - self.spread, self.mean + self.spread) * self.family.dim
        phi = self._first(self.family.at(*_spread(self.mean, self.sd, ends, self.starts)))
        value, gradient = self._exact(phi)
        finite = self._sound(value, gradient)
        if not bool(finite[0]):
            raise ValueError(
                f"{self.objective.name()} is infinite or undefined at mean {self.mean:g} and sd {self.sd:g}: "
                "move the start, or choose another objective or family of q"
            )
        value = torch.where(finite, value, -ENDLESS)
        gradient = torch.where(finite[:, None], gradient, 0.0)
        steps = torch.zeros((), dtype=torch.int64, device="cpu")
        first = VIState(
            phi, self.optimizer.init(phi), value, gradient, ~finite, torch.zeros_like(value), steps
        )
        return first, self._told(first)

    def step(self, key: Key, state: VIState) -> tuple[VIState, VIInfo]:
        rows, turn = isinstance(self.family, Plane), self._turn(int(state.steps) + 1)
        known = (state.phi, (state.value, state.gradient)) if not turn else (None, None)
        exact = remembered(lambda phi: self._exact(phi, turn), *known, rows)
        memory, phi = state.optimizer, state.phi
        for k in range(self.stride):
            draws = fold_in(key, k) if k else key
            slope = exact if self.gradient.exact else remembered(self._estimate(draws), rows=rows)
            hill = Hill(slope if self.optimizer.measures else _safe(slope), self._fisher)
            memory, phi = self.optimizer.step(memory, phi, hill)
        value, gradient = exact(phi)
        finite = phi.isfinite().all(-1) & self._sound(value, gradient)
        stays = (~finite | state.lost)[:, None]
        phi = torch.where(stays, state.phi, phi)
        new = VIState(
            phi,
            memory,
            torch.where(stays[:, 0], state.value, value),
            torch.where(stays, state.gradient, gradient),
            stays[:, 0],
            (phi - state.phi).norm(dim=-1),
            state.steps + self.stride,
        )
        return new, self._told(new)

    def finished(self, state: VIState, info: VIInfo) -> bool:
        return info.settled + info.lost == self.starts

    def effort(self) -> float:
        """Fitted to what a step took: nodes and draws, more of them in rich families and inner integrals."""
        draws, inner = self.stride * getattr(self.gradient, "draws", 0), self._inner()
        nodes, names = len(noise_rule(self.family.dim)[0]), len(self.family.names)
        if isinstance(self.family, Stack):
            return 1.5e8 + self.starts * self.family.layers * 600.0 * (3.0 * inner * nodes + draws)
        if isinstance(self.family, Plane):  # 5 names a part
            return 2e7 + self.starts * (names / 5.0) ** 2 * 500.0 * (2.0 * inner * nodes + draws)
        return 6e6 + self.starts * names**2 / 4.0 * (150.0 * inner * nodes + 275.0 * draws)

    def _inner(self) -> float:
        """How many times more an objective costs than the ELBO."""
        return {IWAE: 60.0, ReverseKL: 1.0}.get(type(self.objective), 7.0)

    def _sound(self, value: Tensor, gradient: Tensor) -> Tensor:
        """Which q's numbers can be believed: finite, and no bound above what it bounds."""
        seen = value <= roof(self.target, self.objective) + ROUNDED
        return seen & value.isfinite() & (value > LOWEST) & gradient.isfinite().all(-1)

    def _first(self, phi: Tensor) -> Tensor:
        """The starts (B, P), the first of them at `self.phi` where that is given."""
        if not self.phi:
            return phi
        if len(self.phi) != phi.shape[-1]:
            raise ValueError(
                f"phi has {len(self.phi)} numbers and {self.family.name()} {phi.shape[-1]}: "
                f"give {', '.join(self.family.names)}"
            )
        return torch.cat([phi.new_tensor([self.phi]), phi[1:]])

    def _refuse(self) -> None:
        dim, low, high = self.family.dim, self.within[::2], self.within[1::2]
        if self.target.dim != dim:
            raise ValueError(
                f"{self.target.name()} has dimension {self.target.dim} and {self.family.name()} {dim}: "
                "choose a family of q with the posterior's dimension"
            )
        ordered = len(low) == len(high) == dim and all(map(operator.le, low, high))
        if self.within and not ordered:
            raise ValueError(
                f"within is {self.within}: give the least and the most of the starts' means"
                + (" in x, then in y" if dim > 1 else "")
            )
        any_objective = self.gradient.exact or isinstance(self.gradient, Reparameterized)
        if not any_objective and not isinstance(self.objective, ReverseKL):
            raise ValueError(
                f"{self.gradient.name()} estimates the ELBO's gradient, not that of {self.objective.name()}: "
                "choose the exact gradient"
            )
        factorized = isinstance(self.family, (Gaussian, MeanField)) and isinstance(self.objective, ReverseKL)
        if isinstance(self.optimizer, CoordinateAscent) and not factorized:
            raise ValueError(
                f"{self.optimizer.name()} moves one Gaussian of a factorized q at a time, by the ELBO: "
                f"choose another optimizer, or {(Gaussian if dim == 1 else MeanField).name()} and "
                f"{ReverseKL.name()}"
            )
        if isinstance(self.gradient, Reparameterized):
            self.objective.reduce(torch.zeros(self.gradient.draws, dtype=torch.float64))  # says what it lacks

    def _turn(self, step: int) -> int:
        """Which lattice a step takes: a flow would hide its steep bends between the nodes of a single one."""
        return step if isinstance(self.family, Stack) else 0

    def _exact(self, phi: Tensor, turn: int = 0) -> tuple[Tensor, Tensor]:
        def value(leaf: Tensor) -> Tensor:
            return self.objective.value(self.target, self.family, leaf, turn=turn)

        values, gradients = zip(*(slope_of(value, part) for part in self._split(phi)), strict=True)
        return torch.cat(values), torch.cat(gradients)

    def _fisher(self, phi: Tensor) -> Tensor:
        return torch.cat([fisher(self.family, part) for part in self._split(phi)])

    def _split(self, phi: Tensor) -> tuple[Tensor, ...]:
        """The q's in parts, each differentiated at once."""
        if not isinstance(self.family, Plane):
            return (phi,)
        return phi.split(TOGETHER if isinstance(self.objective, ReverseKL) else FEW)

    def _estimate(self, key: Key) -> Slope:
        """The objective and its gradient as one set of draws sees them."""
        noise = self.gradient.noise(key, self.family.dim)
        target, family = self.target, self.family
        if isinstance(self.gradient, Reparameterized):
            return lambda phi: slope_of(
                lambda leaf: self.objective.surrogate(target, family, leaf, noise), phi
            )

        def slope(phi: Tensor) -> tuple[Tensor, Tensor]:
            with torch.no_grad():
                z = family.sample(phi, noise.expand(*phi.shape[:-1], *noise.shape))
                value = elbo_terms(target, family)(phi, z).mean(-1)
            return value, self.gradient.per_draw(target, family, phi, noise).mean(-2)

        return slope

    def _told(self, state: VIState) -> VIInfo:
        norms = state.gradient.norm(dim=-1)
        still = (norms < self.tolerance) & ~state.lost
        best = int(state.value.argmax())
        return VIInfo(
            int(state.steps),
            float(state.value[0]),
            *(_plain(term) for term in decompose(self.target, self.family, state.phi[0])),
            grad_norm=float(norms[0]),
            move=float(state.move[0]),
            best=float(state.value[best]),
            best_start=best,
            settled=int(still.sum()),
            lost=int(state.lost.sum()),
            status="not finite" if bool(state.lost[0]) else "converged" if bool(still[0]) else "moving",
        )


def landscape(target: Target, family: Family, means: Tensor, sds: Tensor) -> Tensor:
    """The ELBO (S, M), nats, of the family's q at every sd (S,) and mean (M,), as `Family.at` makes it.

    By the coarse rule: a picture's accuracy, not a number's.
    """
    grid = torch.broadcast_tensors(means.double().unsqueeze(0), sds.double().unsqueeze(1))
    with torch.no_grad():
        return ReverseKL().value(target, family, family.at(*grid), coarse=True)


def _safe(slope: Slope) -> Slope:
    """The slope with no gradient where it is not finite, so that an optimizer's averages stay numbers."""

    def ask(phi: Tensor) -> tuple[Tensor, Tensor]:
        value, gradient = slope(phi)
        return value, torch.where(gradient.isfinite().all(-1, keepdim=True), gradient, 0.0)

    return ask


def _spread(mean: float, sd: float, ends: tuple[float, ...], starts: int) -> tuple[Tensor, Tensor]:
    """Means and sds (B,), or (B, 2): the start, then others evenly between the ends."""
    index = torch.arange(starts, dtype=torch.float64, device="cpu")
    *across, along = (2.0 * torch.frac(0.5 + index * step) - 1.0 for step in SPREAD[len(ends) // 2])
    sides = zip(ends[::2], ends[1::2], across, strict=True)
    means = torch.stack([0.5 * (low + high) + 0.5 * (high - low) * share for low, high, share in sides], -1)
    means = torch.cat([torch.full_like(means[:1], mean), means[1:]])
    sds = (sd * WIDEST**along)[:, None].expand_as(means)
    return (means[:, 0], sds[:, 0]) if len(across) == 1 else (means, sds)


@functools.lru_cache(maxsize=256)
def roof(target: Target, objective: Objective) -> float:
    """No q's objective is higher, nats: a bound is below log p(x), minus a divergence below 0.

    Where one seems higher, q is so narrow that the nodes miss it.
    """
    return 0.0 if isinstance(objective, ForwardKL) else float(log_evidence(target))


def _plain(number: float) -> float:
    return min(max(float(number), -ENDLESS), ENDLESS)
