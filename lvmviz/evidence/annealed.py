"""Annealed importance sampling: many small steps from the proposal to the posterior in place of one."""

from __future__ import annotations

import abc
import functools
import math
from typing import ClassVar

import torch
from torch import Tensor

from lvmviz.core import Choice, Key, choice, fold_in, generator, knob
from lvmviz.evidence.estimators import EvidenceEstimator
from lvmviz.evidence.models import EvidenceModel
from lvmviz.evidence.proposals import Proposal
from lvmviz.evidence.weights import Weighed

PILOTS, ROUNDS, PILOT_KEY = 128, 6, 20_010_401  # chains, tries at each temperature, and a key of their own
SMALLEST = 1e-12  # of a coordinate's spread: where all pilots are in one place it still can move
SHORTER = 0.5  # of a step, at most
CHAINS = 2**15  # numbers of the chains' places at once


class Path:
    """The bridge log f_b(z) = (1 - b) log q(z) + b log p(x, z) from q to the posterior."""

    def __init__(self, model: EvidenceModel, proposal: Proposal) -> None:
        self.model, self.proposal = model, proposal

    def ends(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """log q and log p(x, z), nats, each (n,)."""
        return self.proposal.log_prob(self.model, z), self.model.log_joint(z)

    def at(self, z: Tensor, b: float) -> Tensor:
        """log f_b (n,)."""
        log_q, log_p = self.ends(z)
        return (1.0 - b) * log_q + b * log_p

    def slope(self, z: Tensor, b: float) -> tuple[Tensor, Tensor]:
        """The same (n,) and its gradient (n, size)."""
        with torch.enable_grad():
            leaf = z.detach().requires_grad_()
            value = self.at(leaf, b)
            return value.detach(), torch.autograd.grad(value.sum(), leaf)[0]


class Kernel(Choice):
    """A move that leaves a bridge's density as it is, whatever its step: each is accepted or taken back."""

    discrete: ClassVar[bool] = False  # also moves bits
    aim: float  # share of proposals to accept: steps are tuned to it

    @abc.abstractmethod
    def move(
        self, path: Path, b: float, z: Tensor, step: float, scale: Tensor, source: torch.Generator
    ) -> tuple[Tensor, float]:
        """z (n, size) after one move of each chain, and the share of moves accepted; scale is (size,)."""

    @abc.abstractmethod
    def cost(self) -> float:
        """Evaluations of the bridge in one move."""


@choice
class Hamiltonian(Kernel):
    """Hamiltonian Monte Carlo: a throw along the gradient, then accept or stay (Neal, 2011)."""

    title = "Hamiltonian"
    leapfrogs: int = knob(3, 1, 50, "Steps of the throw.", label="Leapfrog steps")
    aim: float = knob(
        0.65, 0.1, 0.95, "The share of throws to accept; the step is tuned to it.", label="Accept"
    )

    def move(
        self, path: Path, b: float, z: Tensor, step: float, scale: Tensor, source: torch.Generator
    ) -> tuple[Tensor, float]:
        if path.model.discrete:
            raise ValueError(f"{path.model.name()} have no gradient to follow: choose Metropolis moves")
        start = _normal_like(z, source)
        # throws of one length could land on their start's mirror image for ever (Neal, 2011, section 3.2)
        length = step * (1.0 - SHORTER * torch.rand((), generator=source, dtype=torch.float64, device="cpu"))
        along, half = length * scale, 0.5 * length * scale
        before, slope = path.slope(z, b)
        momentum, new, after = start + half * slope, z, before
        for left in range(self.leapfrogs, 0, -1):
            new = new + along * momentum
            after, slope = path.slope(new, b)
            momentum = momentum + (along if left > 1 else half) * slope
        energy = 0.5 * (start.square().sum(-1) - momentum.square().sum(-1))
        return _accepted(z, new, after - before + energy, source)

    def cost(self) -> float:
        return 3.0 * (self.leapfrogs + 1)


@choice
class Metropolis(Kernel):
    """A random step, or for bits one switch turned, then accept or stay (Metropolis et al., 1953)."""

    discrete: ClassVar[bool] = True
    moves: int = knob(5, 1, 100, "Moves at each temperature.")
    aim: float = knob(
        0.3, 0.1, 0.95, "The share of moves to accept; the step is tuned to it.", label="Accept"
    )

    def move(
        self, path: Path, b: float, z: Tensor, step: float, scale: Tensor, source: torch.Generator
    ) -> tuple[Tensor, float]:
        accepted = []
        for _ in range(self.moves):
            new = _turned(z, source) if path.model.discrete else z + step * scale * _normal_like(z, source)
            z, share = _accepted(z, new, path.at(new, b) - path.at(z, b), source)
            accepted.append(share)
        return z, sum(accepted) / self.moves

    def cost(self) -> float:
        return 2.0 * self.moves


@choice
class Annealed(EvidenceEstimator):
    """Annealed importance sampling: from q to the posterior over bridges, a few moves at each.

    log w = sum_t (b_t - b_t-1) (log p(x, z_t) - log q(z_t)), z_t moved so that bridge t-1 stays as it is; the
    mean of w is p(x) however badly the moves mix (Neal, 2001, "Annealed importance sampling"). Steps are
    tuned beforehand on chains of their own, so that the weights stay unbiased.
    """

    title = "Annealed importance sampling"
    bridges: int = knob(10, 1, 1000, "Steps from q to the posterior; 1 is importance sampling.", scale="log")
    kernel: Kernel = knob(Hamiltonian(), help="How the draws move at each bridge.", label="Moves")
    bend: float = knob(2.0, 1.0, 6.0, "Above 1 the first steps from q are the smallest: b_t = (t / T)^bend.",
                       more=True)  # fmt: skip

    def weigh(self, model: EvidenceModel, proposal: Proposal, key: Key, repeats: int, draws: int) -> Weighed:
        path, plan = Path(model, proposal), tuned(self, model, proposal)
        parts = []
        for number, count in enumerate(_counts(repeats * draws, max(CHAINS // model.size, 1))):
            parts.append(self._chains(path, plan, generator(fold_in(key, number)), count))
        weights, first = (torch.cat(part).view(repeats, draws) for part in zip(*parts, strict=True))
        return Weighed(weights, first)

    def cost(self) -> float:
        return 1.0 + (self.bridges - 1) * self.kernel.cost()

    def betas(self) -> list[float]:
        """b_1 to b_T = 1."""
        return [(t / self.bridges) ** self.bend for t in range(1, self.bridges + 1)]

    @torch.no_grad()
    def _chains(
        self, path: Path, plan: list[tuple[float, Tensor]], source: torch.Generator, count: int
    ) -> tuple[Tensor, Tensor]:
        z, log_q = path.proposal.draw(path.model, source, count)
        rise, before, betas = path.model.log_joint(z) - log_q, 0.0, self.betas()
        log_weights = betas[0] * rise
        for before, b, (step, scale) in zip(betas[:-1], betas[1:], plan, strict=True):
            z, _ = self.kernel.move(path, before, z, step, scale, source)
            log_q, log_p = path.ends(z)
            log_weights = log_weights + (b - before) * (log_p - log_q)
        return log_weights, z[:, 0]


@functools.lru_cache(maxsize=64)
def tuned(annealed: Annealed, model: EvidenceModel, proposal: Proposal) -> list[tuple[float, Tensor]]:
    """The step and each coordinate's spread (size,) for the moves at b_1 to b_T-1.

    Found on pilot chains from a key of their own: a plan made of the draws it moves would bias the weights.
    """
    path, source = Path(model, proposal), generator(PILOT_KEY)
    plan: list[tuple[float, Tensor]] = []
    step = 1.2 / max(model.size, 1) ** 0.25
    with torch.no_grad():
        z, _ = proposal.draw(model, source, PILOTS)
        for b in annealed.betas()[:-1]:
            for _ in range(ROUNDS):
                scale = z.std(0).clamp(min=SMALLEST)
                z, share = annealed.kernel.move(path, b, z, step, scale, source)
                step = min(max(step * math.exp(2.0 * (share - annealed.kernel.aim)), 1e-3), 10.0)
            plan.append((step, z.std(0).clamp(min=SMALLEST)))
    return plan


def _accepted(z: Tensor, new: Tensor, log_ratio: Tensor, source: torch.Generator) -> tuple[Tensor, float]:
    """Each chain's new place where it is accepted, else its old one."""
    chance = torch.empty(len(z), dtype=torch.float64, device="cpu").uniform_(generator=source)
    taken = chance.log() < log_ratio.nan_to_num(-torch.inf)
    return torch.where(taken.unsqueeze(-1), new, z), float(taken.double().mean())


def _turned(z: Tensor, source: torch.Generator) -> Tensor:
    """z with one switch of each chain turned."""
    which = torch.randint(z.shape[-1], (len(z), 1), generator=source, device="cpu")
    return (z - torch.zeros_like(z).scatter(-1, which, 1.0)).abs()


def _normal_like(z: Tensor, source: torch.Generator) -> Tensor:
    drawn = torch.empty((z.shape[-1], len(z)), dtype=torch.float32, device="cpu").normal_(generator=source)
    return drawn.double().T


def _counts(total: int, most: int) -> list[int]:
    return [min(most, total - start) for start in range(0, total, most)]
