"""Flows in the plane: every layer forth and back, its determinant, and stacks, each against another way."""

import math

import hypothesis.strategies as st
import numpy as np
import pytest
import scipy.optimize
import torch
from hypothesis import given, settings

from lvmviz.core import each
from lvmviz.families import (
    AffineCoupling,
    Autoregressive,
    ComposedFlow,
    Flow,
    FullRank,
    Layer,
    LinearLU,
    LinearQR,
    Planar,
)
from lvmviz.families.flows import conditioner, planar

F64 = torch.float64
LAYERS = [*each(Layer), AffineCoupling(hidden=1), Autoregressive(hidden=2)]
over_layers = pytest.mark.parametrize("layer", LAYERS, ids=repr)
STACKS = [
    *(Flow(layer=layer, layers=count) for layer in each(Layer) for count in (1, 4, 16)),
    ComposedFlow(layers=5),
    ComposedFlow(first=LinearQR(), second=Autoregressive(), layers=8),
]
over_stacks = pytest.mark.parametrize("flow", STACKS, ids=repr)


def noise_of(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


def numbers(layer: Layer, size: float, seed: int = 0) -> torch.Tensor:
    return size * noise_of(len(layer.names), seed=seed)


def jacobians(f, z: torch.Tensor) -> torch.Tensor:
    """(S, 2, 2) of a map of rows, by autograd, a row at a time."""
    return torch.stack([torch.autograd.functional.jacobian(lambda x: f(x[None])[0], row) for row in z])


def log_dets(matrices: torch.Tensor) -> torch.Tensor:
    sign, log = torch.linalg.slogdet(matrices)
    assert (sign > 0).all()
    return log


def placed(flow, size: float = 0.5, seed: int = 1) -> torch.Tensor:
    """phi of a stack away from its start."""
    phi = flow.at(torch.tensor([0.5, -1.0], dtype=F64), torch.tensor([1.5, 0.7], dtype=F64))
    return phi + size * noise_of(*phi.shape, seed=seed)


# ---- one layer ----


@over_layers
@given(seed=st.integers(0, 10**6), size=st.sampled_from([0.01, 0.3, 1.0, 3.0]))
def test_a_layer_goes_forth_and_back(layer, seed, size):
    phi, z = numbers(layer, size, seed), 2.0 * noise_of(30, 2, seed=seed)
    there, log_det = layer.forward(phi, z)
    back, log_back = layer.inverse(phi, there)
    hard = 1e-13 * torch.linalg.cond(jacobians(lambda x: layer.forward(phi, x)[0], z)).max()
    assert float((back - z).abs().max()) < max(1e-10, float(hard) * float(1 + there.abs().max()))
    torch.testing.assert_close(log_back, -log_det, rtol=1e-6, atol=1e-7)


@over_layers
@given(seed=st.integers(0, 10**6))
def test_a_large_layer_still_comes_back(layer, seed):
    """Numbers of size 10, one layer: what comes back goes forth to the same place."""
    phi, z = numbers(layer, 10.0, seed), 2.0 * noise_of(30, 2, seed=seed)
    there = layer.forward(phi, z)[0]
    again = layer.forward(phi, layer.inverse(phi, there)[0])[0]
    assert there.isfinite().all()
    assert float(((again - there).norm(dim=-1) / (1 + there.norm(dim=-1))).max()) < 1e-6


@over_layers
@given(seed=st.integers(0, 10**6), size=st.sampled_from([0.3, 1.0, 2.0]))
@settings(max_examples=15)
def test_log_determinants_are_autograds(layer, seed, size):
    phi, z = numbers(layer, size, seed), noise_of(8, 2, seed=seed)
    there, log_det = layer.forward(phi, z)
    torch.testing.assert_close(
        log_det, log_dets(jacobians(lambda x: layer.forward(phi, x)[0], z)), rtol=1e-8, atol=1e-8
    )
    back, log_back = layer.inverse(phi, there.detach())
    found = log_dets(jacobians(lambda x: layer.inverse(phi, x)[0], there.detach()))
    torch.testing.assert_close(log_back, found, rtol=1e-6, atol=1e-6)


@over_layers
def test_a_layer_starts_near_the_identity_but_not_at_it(layer):
    z = noise_of(50, 2)
    away = layer.forward(layer.start(noise_of(len(layer.names), seed=4)), z)[0] - z
    assert 1e-4 < float(away.abs().max()) < 0.3


@over_layers
def test_numbers_have_names(layer):
    assert len(set(layer.names)) == len(layer.names)


@over_layers
def test_a_volume_is_told_where_it_is_everywhere_the_same(layer):
    phi, z = numbers(layer, 0.7), noise_of(20, 2)
    log_det = layer.forward(phi, z)[1]
    volume = layer.log_volume(phi)
    assert (
        (volume is not None) == isinstance(layer, LinearLU | LinearQR) == bool((log_det == log_det[0]).all())
    )
    if volume is not None:
        assert float(volume) == float(log_det[0])


@over_layers
def test_the_way_backs_gradient_is_that_of_differences(layer):
    """In phi and in z, through place and determinant: what log q of a foreign z needs."""
    phi, z = numbers(layer, 0.6, seed=2), noise_of(6, 2, seed=3)

    def told(p: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        back, log_det = layer.inverse(p, x)
        return (back @ torch.tensor([1.0, -0.6], dtype=F64)).sum() + log_det.sum()

    assert torch.autograd.gradcheck(
        told, (phi.requires_grad_(), z.requires_grad_()), eps=1e-6, atol=1e-6, rtol=1e-5
    )


# ---- each kind ----


def test_lu_and_qr_are_the_matrices_they_say():
    phi = numbers(LinearLU(), 0.8)
    below, log_first, log_second, above, *shift = phi.tolist()
    lower, upper = np.array([[1, 0], [below, 1]]), np.diag(np.exp([log_first, log_second]))
    upper[0, 1] = above
    z = noise_of(10, 2)
    expected = z.numpy() @ (lower @ upper).T + np.array(shift)
    np.testing.assert_allclose(LinearLU().forward(phi, z)[0], expected, rtol=1e-12)
    angle, log_first, log_second, above, *shift = phi.tolist()
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    upper = np.array([[np.exp(log_first), above], [0, np.exp(log_second)]])
    expected = z.numpy() @ (turn @ upper).T + np.array(shift)
    np.testing.assert_allclose(LinearQR().forward(phi, z)[0], expected, rtol=1e-12)


@pytest.mark.parametrize("layer", [LinearLU(), LinearQR()], ids=repr)
@pytest.mark.parametrize("layers", [1, 3, 8])
def test_a_stack_of_linear_layers_is_one_gaussian(layer, layers):
    """The lesson of the layer slider: its frame, as a full Gaussian, has the same density everywhere."""
    flow = Flow(layer=layer, layers=layers)
    phi = placed(flow, 0.4)
    gaussian = FullRank().of_frame(flow.frame(phi))
    z = flow.sample(phi, 3.0 * noise_of(30, 2))
    torch.testing.assert_close(FullRank().log_prob(gaussian, z), flow.log_prob(phi, z), rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(FullRank().entropy(gaussian), flow.entropy(phi), rtol=1e-9, atol=1e-9)


@given(
    phi=st.lists(st.floats(-20, 20), min_size=5, max_size=5),
    z=st.lists(st.floats(-30, 30), min_size=2, max_size=2),
)
def test_a_planar_layers_way_back_is_brents_root(phi, z):
    told, aim = torch.tensor(phi, dtype=F64), torch.tensor([z], dtype=F64)
    bend = planar._bend(told)
    assert float(bend.rate) > -1.0
    w, push = bend.w[0].numpy(), bend.push[0].numpy()
    assert float(w @ push) == pytest.approx(float(bend.rate), rel=1e-6, abs=1e-6)
    goal = float(w @ aim[0].numpy())
    reach = abs(float(bend.rate)) + 1.0
    root = scipy.optimize.brentq(
        lambda t: t + float(bend.rate) * math.tanh(t + phi[4]) - goal, goal - reach, goal + reach, xtol=1e-14
    )
    expected = aim[0].numpy() - push * math.tanh(root + phi[4])
    slack = 1e-9 * (1 + np.abs(push).max()) / min(1.0, 1.0 + float(bend.rate))
    np.testing.assert_allclose(Planar().inverse(told, aim)[0][0], expected, rtol=1e-9, atol=slack)


def test_every_planar_push_is_allowed_and_a_small_one_is_left_alone():
    rates = torch.linspace(-200, 200, 2001, dtype=F64).requires_grad_()
    allowed = planar._allowed(rates)
    (slope,) = torch.autograd.grad(allowed.sum(), rates)
    assert (allowed.diff() >= 0).all() and (slope >= 0).all()
    assert float(allowed.detach().min()) >= planar.LEAST - 1.0 > -1.0
    near = torch.tensor(1e-4, dtype=F64)
    assert float(planar._allowed(near)) == pytest.approx(1e-4, abs=1e-7)
    assert float(planar._allowed(-near)) == pytest.approx(-1e-4, abs=1e-7)


@pytest.mark.parametrize("w", [(0.0, 0.0), (1e-200, 0.0), (1e-9, -1e-9), (1e-4, 2e-4)])
def test_a_planar_layer_with_hardly_a_direction_only_shifts(w):
    phi = torch.tensor([*w, 0.7, -0.4, 0.3], dtype=F64).requires_grad_()
    z = noise_of(5, 2)
    there, log_det = Planar().forward(phi, z)
    expected = z + torch.tensor([0.7, -0.4], dtype=F64) * math.tanh(0.3)
    torch.testing.assert_close(there.detach(), expected, rtol=1e-3, atol=1e-3)
    (slope,) = torch.autograd.grad(there.sum() + log_det.sum(), phi)
    assert slope.isfinite().all() and log_det.abs().max() < 1e-3
    torch.testing.assert_close(Planar().inverse(phi, there)[0], z, rtol=1e-9, atol=1e-9)


def test_a_coupling_layer_leaves_x_alone_and_an_autoregressive_one_does_not_mix_it():
    z = noise_of(9, 2)
    coupled = AffineCoupling().forward(numbers(AffineCoupling(), 1.0), z)[0]
    assert torch.equal(coupled[:, 0], z[:, 0]) and not torch.allclose(coupled[:, 1], z[:, 1])
    layer = Autoregressive()
    jacobian = jacobians(lambda x: layer.forward(numbers(layer, 1.0), x)[0], z)
    assert (jacobian[:, 0, 1] == 0).all() and (jacobian[:, 1, 0] != 0).all()
    assert float(jacobian[:, 0, 0].std()) < 1e-12 and (jacobian[:, 0, 0] != 1).all()


def test_the_network_behind_a_layer_is_the_one_it_says():
    hidden = 3
    phi, x = noise_of(4 * hidden + 2), noise_of(7)
    slope, offset, shift, scale = phi[:-2].reshape(4, hidden).numpy()
    heights = np.tanh(np.outer(x, slope) + offset)
    told = conditioner.shift_and_log_scale(phi, x)
    np.testing.assert_allclose(told[0], heights @ shift + float(phi[-2]), rtol=1e-12)
    raw = heights @ scale + float(phi[-1])
    np.testing.assert_allclose(told[1], conditioner.LIMIT * np.tanh(raw / conditioner.LIMIT), rtol=1e-12)
    assert len(conditioner.names(hidden)) == len(phi)


def test_no_layer_stretches_beyond_its_limit():
    for layer in (AffineCoupling(), Autoregressive()):
        log_det = layer.forward(numbers(layer, 1e3), noise_of(50, 2))[1]
        assert log_det.abs().max() <= 2 * conditioner.LIMIT and log_det.isfinite().all()


# ---- stacks ----


@over_stacks
def test_a_stack_goes_forth_and_back(flow):
    size = 0.2 if flow.layers > 8 else 0.5
    phi = torch.stack([placed(flow, size, seed) for seed in range(20)])
    e = noise_of(20, 50, 2).clamp(-4, 4)
    back, log_det = flow.inverse(phi, flow.sample(phi, e))
    assert float((back - e).abs().max()) < 1e-10
    torch.testing.assert_close(log_det, -flow.warp(phi, e)[1], rtol=1e-9, atol=1e-9)


@over_stacks
def test_a_large_stack_comes_back_as_far_as_it_can(flow):
    """The error is that of rounding, times how much the map itself makes of one."""
    for seed in range(3):
        phi, e = placed(flow, 1.5, seed), noise_of(10, 2, seed=seed)
        back = flow.inverse(phi, flow.sample(phi, e))[0]
        condition = torch.linalg.cond(jacobians(lambda x, phi=phi: flow.sample(phi, x), e))
        known = condition < 1e10
        assert ((back - e).abs().amax(-1)[known] < (1e-6 + 1e-13 * condition * condition.sqrt())[known]).all()


@over_stacks
def test_the_grid_is_warped_layer_by_layer(flow):
    """Stage by stage by the layers themselves; determinants by autograd; the last stage is the draw."""
    phi, e = placed(flow, 0.3), noise_of(6, 2)
    sizes = [len(layer.names) for layer in flow.stack]
    parts = phi[4:].split(sizes)
    scale = phi[2:4].exp()
    z = e
    for upto in range(flow.layers + 1):
        place, log_det = flow.warp(phi, e, upto)
        torch.testing.assert_close(place, phi[:2] + scale * z, rtol=1e-10, atol=1e-10)
        found = log_dets(jacobians(lambda x, upto=upto: flow.warp(phi, x, upto)[0], e))
        torch.testing.assert_close(log_det, found, rtol=1e-7, atol=1e-7)
        if upto < flow.layers:
            odd = upto // len(flow.kinds) % 2 == 1
            inside = z[:, [1, 0]] if odd else z
            inside = flow.stack[upto].forward(parts[upto], inside)[0]
            z = inside[:, [1, 0]] if odd else inside
    torch.testing.assert_close(flow.warp(phi, e)[0], flow.sample(phi, e), rtol=0, atol=0)
    torch.testing.assert_close(place, flow.sample(phi, e), rtol=0, atol=0)


def test_before_the_first_layer_the_grid_is_only_placed():
    flow, e = Flow(), noise_of(6, 2)
    phi = placed(flow)
    place, log_det = flow.warp(phi, e, 0)
    assert place.shape == (6, 2) and log_det.shape == (6,)
    assert (log_det == phi[2:4].sum()).all()


def test_one_grid_serves_a_batch():
    flow, e = Flow(layer=AffineCoupling()), noise_of(6, 2)
    phi = torch.stack([placed(flow, seed=seed) for seed in range(3)])
    for upto in (0, 2, None):
        place, log_det = flow.warp(phi, e, upto)
        assert place.shape == (3, 6, 2) and log_det.shape == (3, 6)
        torch.testing.assert_close(place[1], flow.warp(phi[1], e, upto)[0])


def test_two_kinds_follow_each_other():
    flow = ComposedFlow(first=LinearLU(), second=Planar(), layers=5)
    assert flow.stack == (LinearLU(), Planar(), LinearLU(), Planar(), LinearLU())
    assert len(flow.names) == 4 + 3 * 6 + 2 * 5
    alone = ComposedFlow(first=Planar(), second=LinearLU(), layers=1)
    phi = placed(alone)
    z = noise_of(4, 2)
    assert torch.equal(alone.log_prob(phi, z), Flow(layer=Planar(), layers=1).log_prob(phi, z))


def test_layers_of_one_side_move_both_sides_in_a_stack():
    """Every second round sees x and y exchanged: with coupling layers both coordinates bend."""
    for flow in (Flow(layer=AffineCoupling(), layers=2), ComposedFlow(first=AffineCoupling(), layers=3)):
        phi, e = placed(flow, 0.8), noise_of(8, 2)
        jacobian = jacobians(lambda x, phi=phi, flow=flow: flow.sample(phi, x), e)
        assert float(jacobian[:, 0, 1].abs().min()) > 1e-6 and float(jacobian[:, 1, 0].abs().min()) > 1e-6


@pytest.mark.parametrize("layer", list(each(Layer)), ids=repr)
def test_a_flow_can_be_fitted_beyond_the_gaussian(layer):
    """Ten steps of L-BFGS on a bent posterior: linear layers stay Gaussian, the others get nearer."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(24)
    line, weight = torch.from_numpy(nodes), torch.from_numpy(weights)
    noise, weight = torch.cartesian_prod(line, line), torch.outer(weight, weight).flatten()
    weight = weight / weight.sum()
    flow = Flow(layer=layer, layers=4)
    phi = flow.at(torch.zeros(2, dtype=F64), torch.ones(2, dtype=F64)).requires_grad_()

    def gap() -> torch.Tensor:
        z, log_q = flow.draw(phi, noise)
        x, y = z.unbind(-1)
        log_p = -0.5 * (x**2 + ((y - 0.5 * x**2) / 0.5) ** 2) - math.log(0.5) - math.log(2 * math.pi)
        return weight @ (log_q - log_p)

    climb = torch.optim.LBFGS([phi], max_iter=60, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        climb.zero_grad()
        value = gap()
        value.backward()
        return value

    climb.step(loss)
    left = float(gap().detach())
    assert left >= -1e-9
    assert (left > 0.25) == isinstance(layer, LinearLU | LinearQR), left
