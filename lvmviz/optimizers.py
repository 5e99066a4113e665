"""Optimizers that climb a batch of hills at once: what VI moves q with."""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from lvmviz.core import Choice, choice, knob
from lvmviz.two_loops import two_loops

MEASURE = 25  # how often a line is measured at most
ROUNDING = 1e-15  # a change below this share of the value is no change
ARMIJO, WOLFE = 1e-4, 0.9

Slope = Callable[[Tensor], tuple[Tensor, Tensor]]  # phi (B, P) -> value (B,), gradient (B, P)


class Hill(NamedTuple):
    """What an optimizer may ask about B hills; every member of a batch climbs its own."""

    slope: Slope
    fisher: Callable[[Tensor], Tensor]  # phi (B, P) -> (B, P, P), the Fisher information of q


def slope_of(value: Callable[[Tensor], Tensor], phi: Tensor) -> tuple[Tensor, Tensor]:
    """A value (B,) and its gradient (B, P), both detached."""
    with torch.enable_grad():
        leaf = phi.detach().requires_grad_()
        heights = value(leaf)
        return heights.detach(), torch.autograd.grad(heights.sum(), leaf)[0]


def remembered(
    slope: Slope, phi: Tensor | None = None, answer: tuple[Tensor, Tensor] | None = None, rows: bool = False
) -> Slope:
    """The slope, which is not computed twice in a row for an equal phi; with `rows`, of no member of a batch.

    A member alone may differ from itself in a batch in the last digits: so `rows` is a choice.
    """
    last = [(phi, answer)]

    def ask(at: Tensor) -> tuple[Tensor, Tensor]:
        phi, answer = last[0]
        if answer is None or phi is None or not torch.equal(phi, at):
            if not rows or answer is None or phi is None:
                answer = slope(at)
            else:
                answer = _mended(slope, phi, answer, at)
            last[0] = (at, answer)
        return answer

    return ask


def _mended(slope: Slope, phi: Tensor, answer: tuple[Tensor, Tensor], at: Tensor) -> tuple[Tensor, Tensor]:
    """The answer at `at`, asked only where that is not phi."""
    moved = (phi != at).any(-1).nonzero()[:, 0]
    value, gradient = slope(at[moved])
    return answer[0].index_copy(0, moved, value), answer[1].index_copy(0, moved, gradient)


class Optimizer(Choice):
    """A rule for the next phi, as pure functions: `step` changes neither its state nor phi.

    It climbs: larger values are better. Members of the batch do not see each other.
    """

    measures: ClassVar[bool] = False  # whether it measures the value along its way, so that it cannot fall

    @abc.abstractmethod
    def init(self, phi: Tensor) -> Any:
        """The first state, a NamedTuple of tensors, for phi (B, P)."""

    @abc.abstractmethod
    def step(self, state: Any, phi: Tensor, hill: Hill) -> tuple[Any, Tensor]:
        """The next state and the next phi (B, P)."""


class Taken(NamedTuple):
    """The steps taken, for an optimizer that remembers nothing else."""

    steps: Tensor  # () int64


def _none_taken(phi: Tensor) -> Tensor:
    return phi.new_zeros((), dtype=torch.int64)


@choice
class GradientAscent(Optimizer):
    """Follow the gradient: phi + step size x gradient.

    Too large a step oscillates or flies away, which is worth seeing (Nocedal and Wright, 2006, ch. 3).
    """

    step_size: float = knob(0.1, 1e-4, 10.0, "Share of the gradient taken in one step.", scale="log")

    def init(self, phi: Tensor) -> Taken:
        return Taken(_none_taken(phi))

    def step(self, state: Taken, phi: Tensor, hill: Hill) -> tuple[Taken, Tensor]:
        _, gradient = hill.slope(phi)
        return Taken(state.steps + 1), phi + self.step_size * gradient


class Moments(NamedTuple):
    """Adam's running averages."""

    steps: Tensor  # () int64
    first: Tensor  # (B, P), of the gradient
    second: Tensor  # (B, P), of its square


@choice
class Adam(Optimizer):
    """Steps of about equal size in every number, from running averages of the gradient and its square.

    m = b1 m + (1 - b1) g, v = b2 v + (1 - b2) g^2, phi + step size x m' / (sqrt(v') + 1e-8), where
    m' = m / (1 - b1^t) and v' = v / (1 - b2^t) (Kingma and Ba, 2015, algorithm 1).
    """

    step_size: float = knob(0.1, 1e-4, 1.0, "About how far each number moves in one step.", scale="log")
    beta1: float = knob(0.9, 0.0, 0.999, "Memory of the gradient.", label="β₁", more=True)
    beta2: float = knob(0.999, 0.0, 0.9999, "Memory of the squared gradient.", label="β₂", more=True)

    def init(self, phi: Tensor) -> Moments:
        return Moments(_none_taken(phi), torch.zeros_like(phi), torch.zeros_like(phi))

    def step(self, state: Moments, phi: Tensor, hill: Hill) -> tuple[Moments, Tensor]:
        _, gradient = hill.slope(phi)
        steps = int(state.steps) + 1
        first = self.beta1 * state.first + (1.0 - self.beta1) * gradient
        second = self.beta2 * state.second + (1.0 - self.beta2) * gradient**2
        up = first / (1.0 - self.beta1**steps)
        size = (second / (1.0 - self.beta2**steps)).sqrt() + 1e-8
        return Moments(state.steps + 1, first, second), phi + self.step_size * up / size


class Memory(NamedTuple):
    """The last M moves of each member and how the gradient changed; empty places hold zeros."""

    moves: Tensor  # (M, B, P)
    changes: Tensor  # (M, B, P), of the gradient of the loss
    curvatures: Tensor  # (M, B), move . change, positive where the place is filled


@choice
class LBFGS(Optimizer):
    """Curvature from the last few moves, and a line search that never accepts a fall.

    The direction is the two-loop recursion (Nocedal and Wright, 2006, algorithm 7.4), the step obeys the
    weak Wolfe conditions by bisection (Lewis and Overton, 2013). Its hill must be the same at every
    question of a step; a new hill each step makes it online BFGS (Schraudolph, Yu and Guenter, 2007).
    """

    title: ClassVar[str] = "L-BFGS"
    measures: ClassVar[bool] = True
    memory: int = knob(6, 1, 30, "How many moves it remembers.")

    def init(self, phi: Tensor) -> Memory:
        blank = phi.new_zeros((self.memory, *phi.shape))
        return Memory(blank, blank.clone(), blank[..., 0].clone())

    def step(self, state: Memory, phi: Tensor, hill: Hill) -> tuple[Memory, Tensor]:
        value, gradient = hill.slope(phi)
        direction = _two_loops(state, gradient)
        up = (direction * gradient).sum(-1) > 0.0  # false too where it is not finite
        direction = torch.where(up[:, None], direction, gradient)
        # with no curvature known yet a unit step may leave the hill: begin with one of length 1 at most
        length = direction.norm(dim=-1).clamp(min=1.0)
        first = torch.where((state.curvatures[-1] > 0.0) & up, torch.ones_like(length), 1.0 / length)
        new, new_gradient = _wolfe(hill, phi, value, gradient, direction, first)
        return _remember(state, new - phi, gradient - new_gradient), new


def _two_loops(memory: Memory, gradient: Tensor) -> Tensor:
    """The inverse Hessian that the memory knows, times the gradient."""
    return two_loops(memory.moves, memory.changes, memory.curvatures, gradient)


def _remember(memory: Memory, move: Tensor, change: Tensor) -> Memory:
    """The memory with one more move, for those members whose curvature along it is positive."""
    curvature = (move * change).sum(-1)
    good = curvature > 1e-10 * move.norm(dim=-1) * change.norm(dim=-1)
    new = (move, change, curvature)
    shifted = [torch.cat([old[1:], part[None]]) for old, part in zip(memory, new, strict=True)]
    keep = [good.reshape(1, -1, *[1] * (old.ndim - 2)) for old in memory]
    return Memory(*(torch.where(k, a, b) for k, a, b in zip(keep, shifted, memory, strict=True)))


def _wolfe(
    hill: Hill, phi: Tensor, value: Tensor, gradient: Tensor, direction: Tensor, step: Tensor
) -> tuple[Tensor, Tensor]:
    """The phi and gradient (B, P) after steps along `direction` that obey the weak Wolfe conditions.

    Where no step in `MEASURE` obeys both, the highest seen is taken; where none is higher, phi stays.
    """
    climb = (direction * gradient).sum(-1)
    low, high = torch.zeros_like(step), torch.full_like(step, torch.inf)
    best, best_value, best_gradient = phi, value, gradient
    done = climb <= 1e-5 * ROUNDING * value.abs()  # at the top already
    for _ in range(MEASURE):
        trial = phi + step[:, None] * direction
        trial_value, trial_gradient = hill.slope(trial)
        enough = trial_value >= value + ARMIJO * step * climb - ROUNDING * value.abs()
        enough &= trial_gradient.isfinite().all(-1)
        better = (enough & ~done & (trial_value >= best_value - ROUNDING * value.abs()))[:, None]
        best, best_gradient = (
            torch.where(better, trial, best),
            torch.where(better, trial_gradient, best_gradient),
        )
        best_value = torch.where(better[:, 0], trial_value, best_value)
        steep = (trial_gradient * direction).sum(-1) > WOLFE * climb
        done = done | (enough & ~steep)
        if bool(done.all()):
            break
        low, high = torch.where(enough, step, low), torch.where(enough, high, step)
        step = torch.where(done, step, torch.where(high.isinf(), 2.0 * step, 0.5 * (low + high)))
    return best, best_gradient


@choice
class NaturalGradient(Optimizer):
    """Follow the gradient that q's own geometry sees: phi + step size x (F + damping I)^-1 gradient.

    F = E_q[score score'] is the Fisher information of q (Amari, 1998); for a Gaussian in (mean, log sd)
    it is diag(1 / sd^2, 2). Full steps diverge, so each is halved until the value rises.
    """

    measures: ClassVar[bool] = True
    step_size: float = knob(0.7, 0.01, 1.0, "Share of the natural gradient tried first.")
    damping: float = knob(1e-6, 1e-9, 1.0, "Added to F's diagonal.", scale="log", more=True)

    def init(self, phi: Tensor) -> Taken:
        return Taken(_none_taken(phi))

    def step(self, state: Taken, phi: Tensor, hill: Hill) -> tuple[Taken, Tensor]:
        value, gradient = hill.slope(phi)
        fisher = hill.fisher(phi)
        fisher = fisher + self.damping * torch.eye(phi.shape[-1], dtype=phi.dtype, device=phi.device)
        direction = torch.linalg.solve_ex(fisher, gradient)[0]
        direction = torch.where(direction.isfinite().all(-1, keepdim=True), direction, gradient)
        return Taken(state.steps + 1), self._halve(hill, phi, value, gradient, direction)

    def _halve(self, hill: Hill, phi: Tensor, value: Tensor, gradient: Tensor, direction: Tensor) -> Tensor:
        """The first of phi + rho direction, rho = step size, half of it, ..., that climbs enough."""
        step = torch.full_like(value, self.step_size)
        climb = (direction * gradient).sum(-1)
        done, best = torch.zeros_like(value, dtype=torch.bool), phi
        for _ in range(MEASURE):
            trial = phi + step[:, None] * direction
            trial_value, trial_gradient = hill.slope(trial)
            enough = trial_value >= value + ARMIJO * step * climb - ROUNDING * value.abs()
            enough &= trial_gradient.isfinite().all(-1) & ~done
            best, done = torch.where(enough[:, None], trial, best), done | enough
            if bool(done.all()):
                break
            step = torch.where(done, step, 0.5 * step)
        return best


@choice
class CoordinateAscent(Optimizer):
    """Move one coordinate of a factorized Gaussian q at a time to its best for the others as they are.

    Where the posterior is Gaussian with precision L this is CAVI (Bishop, 2006, section 10.1.2): the sd
    becomes L_ii^-1/2 and the mean goes where the others pull it, both found in the ELBO's own slope, as
    d ELBO / d log sd_i = 1 - L_ii sd_i^2. In two dimensions with correlation rho, two steps leave rho^2 of
    the means' error. Elsewhere L_ii is an average over q (Khan and Lin, 2017), and the step is halved until
    the value rises.
    """

    title: ClassVar[str] = "Coordinate ascent (CAVI)"
    measures: ClassVar[bool] = True

    def init(self, phi: Tensor) -> Taken:
        return Taken(_none_taken(phi))

    def step(self, state: Taken, phi: Tensor, hill: Hill) -> tuple[Taken, Tensor]:
        value, gradient = hill.slope(phi)
        mean = int(state.steps) % (phi.shape[-1] // 2)
        log_sd = mean + phi.shape[-1] // 2
        share = torch.ones_like(value)
        done, best = torch.zeros_like(value, dtype=torch.bool), phi
        for _ in range(MEASURE):
            shrink = 1.0 - share * gradient[:, log_sd]  # of the variance
            trial = phi.clone()
            trial[:, log_sd] -= 0.5 * shrink.log()
            trial[:, mean] += share * gradient[:, mean] * (2.0 * trial[:, log_sd]).exp()
            possible = (shrink > 0.0) & trial.isfinite().all(-1)
            trial_value, _ = hill.slope(torch.where(possible[:, None], trial, phi))
            enough = possible & (trial_value >= value - 100.0 * ROUNDING * value.abs()) & ~done
            best, done = torch.where(enough[:, None], trial, best), done | enough
            if bool(done.all()):
                break
            share = torch.where(done, share, 0.5 * share)
        return Taken(state.steps + 1), best
