"""Optimizers on hills whose top is known, against torch's and SciPy's own, and against their members."""

import math
from typing import Any

import pytest
import scipy.optimize
import torch
from torch import Tensor

from lvmviz.core import each
from lvmviz.optimizers import (
    LBFGS,
    Adam,
    GradientAscent,
    Hill,
    NaturalGradient,
    Optimizer,
    _remember,
    _two_loops,
)

OPTIMIZERS = [*each(Optimizer), LBFGS(memory=1), LBFGS(memory=30), NaturalGradient(step_size=1.0)]
SHARP = torch.tensor([[4.0, 1.2], [1.2, 0.5]], dtype=torch.float64)
TOP = torch.tensor([1.0, -2.0], dtype=torch.float64)
STARTS = torch.tensor([[0.0, 0.0], [3.0, 1.0], [-2.0, 4.0], [1.0, -2.0]], dtype=torch.float64)
over_optimizers = pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)


def hill(value: Any, fisher: Tensor | None = None) -> Hill:
    """A hill from a function of phi (B, P); q's geometry is flat unless given."""

    def slope(phi: Tensor) -> tuple[Tensor, Tensor]:
        leaf = phi.clone().requires_grad_()
        heights = value(leaf)
        return heights.detach(), torch.autograd.grad(heights.sum(), leaf)[0]

    metric = torch.eye(2, dtype=torch.float64) if fisher is None else fisher
    return Hill(slope, lambda phi: metric.expand(len(phi), 2, 2))


def bowl(phi: Tensor) -> Tensor:
    return -0.5 * torch.einsum("bi,ij,bj->b", phi - TOP, SHARP, phi - TOP)


def banana(phi: Tensor) -> Tensor:
    return -((1 - phi[:, 0]) ** 2) - 100 * (phi[:, 1] - phi[:, 0] ** 2) ** 2


def edge(phi: Tensor) -> Tensor:
    """Nothing is left of 0: log x - x + log y - y, with its top at (1, 1)."""
    return (phi.log() - phi).sum(-1)


def climb(optimizer: Optimizer, ground: Hill, phi: Tensor, steps: int) -> tuple[Any, Tensor, Tensor]:
    """State, phi and the heights (steps + 1, B) on the way."""
    state, heights = optimizer.init(phi), [ground.slope(phi)[0]]
    for _ in range(steps):
        state, phi = optimizer.step(state, phi, ground)
        heights.append(ground.slope(phi)[0])
    return state, phi, torch.stack(heights)


def bits(state: Any) -> list[tuple[Any, ...]]:
    return [(t.dtype, t.shape, t.numpy().tobytes(), t._version) for t in state]


# ---- what each does ----


def test_gradient_ascent_is_its_formula():
    _, phi, _ = climb(GradientAscent(step_size=0.05), hill(bowl), STARTS, 2)
    step = torch.eye(2, dtype=torch.float64) - 0.05 * SHARP
    assert torch.allclose(phi, TOP + (STARTS - TOP) @ step @ step, atol=1e-14)
    _, far, heights = climb(
        GradientAscent(step_size=1.0), hill(bowl), STARTS, 30
    )  # 1.0 > 2 / largest curvature
    assert (heights[-1, :3] < heights[0, :3]).all() and torch.equal(far[3], TOP)


@pytest.mark.parametrize(
    "optimizer", [Adam(), Adam(step_size=0.3, beta1=0.5, beta2=0.9), Adam(beta1=0.0)], ids=repr
)
def test_adam_is_torch_s(optimizer):
    theirs = STARTS.clone().requires_grad_()
    other = torch.optim.Adam([theirs], lr=optimizer.step_size, betas=(optimizer.beta1, optimizer.beta2))
    state, phi = optimizer.init(STARTS), STARTS
    for _ in range(50):
        other.zero_grad()
        (-banana(theirs).sum()).backward()
        other.step()
        state, phi = optimizer.step(state, phi, hill(banana))
        assert torch.allclose(phi, theirs.detach(), rtol=1e-9, atol=1e-10)
    assert int(state.steps) == 50


@pytest.mark.parametrize("memory", [1, 3, 6, 30])
def test_lbfgs_finds_the_top_that_scipy_finds(memory):
    steps = {1: 400, 3: 120}.get(memory, 60)
    _, phi, heights = climb(LBFGS(memory=memory), hill(banana), STARTS, steps)
    for i, start in enumerate(STARTS.numpy()):
        theirs = scipy.optimize.minimize(
            lambda x: -float(banana(torch.from_numpy(x)[None])[0]), start, tol=1e-12
        )
        assert phi[i].tolist() == pytest.approx([1.0, 1.0], abs=1e-7)
        assert float(heights[-1, i]) >= -float(theirs.fun) - 1e-12


def test_lbfgs_knows_a_quadratic_after_a_few_moves():
    """As many moves as dimensions, with a few more for the inexact line search."""
    _, phi, heights = climb(LBFGS(), hill(bowl), STARTS, 9)
    assert torch.allclose(phi, TOP.expand(4, 2), atol=1e-4)
    assert float(heights[-1].min()) > -1e-9


def test_lbfgs_applies_the_inverse_that_bfgs_updates_say():
    """After two moves the two-loop recursion is the dense BFGS matrix of Nocedal and Wright (6.17)."""
    optimizer, ground = LBFGS(memory=5), hill(banana)
    state, phi = optimizer.init(STARTS), STARTS
    for _ in range(2):
        state, phi = optimizer.step(state, phi, ground)
    gradient = ground.slope(phi)[1]
    for b in range(3):
        last_s, last_y = state.moves[-1, b], state.changes[-1, b]
        dense = torch.eye(2, dtype=torch.float64) * (last_s @ last_y) / (last_y @ last_y)
        for s, y in zip(state.moves[:, b], state.changes[:, b], strict=True):
            if float(s @ y) > 0:
                rho = 1 / (s @ y)
                left = torch.eye(2, dtype=torch.float64) - rho * torch.outer(s, y)
                dense = left @ dense @ left.T + rho * torch.outer(s, s)
        assert torch.allclose(_two_loops(state, gradient)[b], dense @ gradient[b], rtol=1e-8)
    assert int((state.curvatures[:, 0] > 0).sum()) == 2


def test_a_natural_step_of_size_one_solves_a_quadratic_with_its_own_metric():
    optimizer = NaturalGradient(step_size=1.0, damping=1e-9)
    _, phi, _ = climb(optimizer, hill(bowl, SHARP), STARTS, 1)
    assert torch.allclose(phi, TOP.expand(4, 2), atol=1e-6)
    half = NaturalGradient(step_size=0.5, damping=1e-9)
    _, phi, _ = climb(half, hill(bowl, SHARP), STARTS, 1)
    assert torch.allclose(phi, 0.5 * (STARTS + TOP), atol=1e-6)


def test_damping_is_added_to_the_metric():
    _, phi, _ = climb(NaturalGradient(step_size=0.1, damping=1.0), hill(bowl), STARTS, 1)
    assert torch.allclose(phi, STARTS - 0.05 * (STARTS - TOP) @ SHARP, atol=1e-14)


def test_damping_turns_the_natural_gradient_to_the_plain_one():
    _, phi, _ = climb(
        NaturalGradient(step_size=0.1, damping=1.0), hill(bowl, torch.zeros(2, 2).double()), STARTS, 1
    )
    assert torch.allclose(phi, STARTS - 0.1 * (STARTS - TOP) @ SHARP, atol=1e-14)


@pytest.mark.parametrize("optimizer", [o for o in OPTIMIZERS if o.measures], ids=repr)
@pytest.mark.parametrize("ground", [bowl, banana, edge])
def test_what_measures_never_falls_and_never_leaves_the_numbers(optimizer, ground):
    starts = STARTS.abs() + 0.1 if ground is edge else STARTS
    _, phi, heights = climb(optimizer, hill(ground, 0.01 * SHARP), starts, 60)
    assert phi.isfinite().all() and heights.isfinite().all()
    assert (heights.diff(dim=0) >= -1e-14 * (1 + heights[:-1].abs())).all()
    assert (heights[-1] > heights[0] + 1e-6)[:3].all()


def test_a_metric_of_another_world_is_halved_until_it_climbs():
    """A Fisher information 1000 times too small asks for steps 1000 times too long."""
    _, _, heights = climb(
        NaturalGradient(step_size=1.0, damping=1e-9), hill(banana, 1e-3 * SHARP), STARTS[:3], 20
    )
    assert (heights.diff(dim=0) > 0).any(0).all() and (heights.diff(dim=0) >= -1e-12).all()


@pytest.mark.parametrize("optimizer", [o for o in OPTIMIZERS if o.measures], ids=repr)
def test_where_nothing_is_finite_it_stays(optimizer):
    lost = Hill(
        lambda phi: (torch.full((len(phi),), math.nan).double(), torch.full_like(phi, math.nan)),
        lambda phi: torch.full((len(phi), 2, 2), math.nan).double(),
    )
    state, phi = optimizer.step(optimizer.init(STARTS), STARTS, lost)
    assert torch.equal(phi, STARTS)
    assert all(bool(part.isfinite().all()) for part in state)


def test_the_line_search_obeys_wolfe():
    """A first step from far away: enough height for its length, and a slope that has eased."""
    ground = hill(banana)
    value, gradient = ground.slope(STARTS)
    _, phi = LBFGS().step(LBFGS().init(STARTS), STARTS, ground)
    new, new_gradient = ground.slope(phi)
    move = phi - STARTS
    along, after = (move * gradient).sum(-1)[:3], (move * new_gradient).sum(-1)[:3]
    assert (new[:3] >= value[:3] + 1e-4 * along).all() and (after <= 0.9 * along).all()


def test_a_gentle_slope_is_taken_in_strides():
    """The first step is of length 1, on a slope that eases over 100: the search must go on doubling."""
    gentle, start = hill(lambda phi: -0.005 * (phi**2).sum(-1)), torch.tensor([[100.0, 0.0]]).double()
    _, phi = LBFGS().step(LBFGS().init(start), start, gentle)
    assert float(phi[0, 0]) <= 90.0


def test_only_positive_curvature_is_remembered():
    memory, move = LBFGS(memory=2).init(STARTS), torch.ones_like(STARTS)
    change = torch.tensor([1.0, -1.0, 0.0, math.nan]).double()[:, None] * move
    new = _remember(memory, move, change)
    assert new.curvatures[-1].tolist() == [2.0, 0.0, 0.0, 0.0]
    assert (
        new.moves[-1, 0].tolist() == [1.0, 1.0]
        and not new.moves[:, 1:].any()
        and not new.changes[:, 1:].any()
    )
    again = _remember(new, 2 * move, change)
    assert again.moves[:, 0, 0].tolist() == [1.0, 2.0] and torch.equal(again.moves[:, 1:], new.moves[:, 1:])


# ---- what all do ----


@over_optimizers
@pytest.mark.parametrize("ground", [bowl, banana])
def test_a_batch_is_its_members(optimizer, ground):
    state, phi, _ = climb(optimizer, hill(ground), 0.1 * STARTS, 8)
    for i in range(4):
        _, alone, _ = climb(optimizer, hill(ground), 0.1 * STARTS[i : i + 1], 8)
        finite = alone[0].isfinite()
        assert torch.allclose(alone[0][finite], phi[i][finite], rtol=1e-12, atol=1e-12)


@over_optimizers
def test_nothing_that_was_given_changes(optimizer):
    phi, ground = STARTS.clone(), hill(bowl)
    state = optimizer.init(phi)
    for _ in range(4):
        before, places = bits(state), bits([phi])
        new, moved = optimizer.step(state, phi, ground)
        again, moved_again = optimizer.step(state, phi, ground)
        assert bits(state) == before and bits([phi]) == places
        assert torch.equal(moved, moved_again)
        assert all(torch.equal(a, b) for a, b in zip(new, again, strict=True))
        state, phi = new, moved
    assert all(isinstance(part, Tensor) and not part.requires_grad for part in state)


@over_optimizers
def test_the_top_is_where_it_stays(optimizer):
    at = TOP.repeat(2, 1)
    _, phi, _ = climb(optimizer, hill(bowl), at, 5)
    assert torch.allclose(phi, at, atol=1e-12)
