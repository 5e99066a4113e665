"""Families of q in the plane: densities, draws, gradients and ellipses, each against another way."""

import math

import hypothesis.strategies as st
import numpy as np
import pytest
import scipy.stats as ss
import torch
from hypothesis import given

from lvmviz import VI, targets
from lvmviz.core import each, from_json, peers, to_json
from lvmviz.families import (
    AffineCoupling,
    Autoregressive,
    ComposedFlow,
    Ellipse,
    Family,
    Flow,
    FullRank,
    Gaussian,
    Line,
    LinearLU,
    LinearQR,
    MeanField,
    MixtureQ,
    Planar,
    Plane,
    PlaneGaussian,
    ellipse,
    frame_of,
)
from lvmviz.families.plane import cholesky, frame_by_draws

F64 = torch.float64
LAYERS = (LinearLU(), LinearQR(), Planar(), AffineCoupling(hidden=3), Autoregressive(hidden=3))
FLOWS = [Flow(layer=layer, layers=3) for layer in LAYERS] + [ComposedFlow(layers=4)]
ALL = [MeanField(), FullRank(), *(MixtureQ(parts=m) for m in (1, 2, 3, 5)), *FLOWS]
over_all = pytest.mark.parametrize("family", ALL, ids=repr)


def tensor(values) -> torch.Tensor:
    return torch.as_tensor(values, dtype=F64)


def noise_of(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


def some(family: Plane, *shape: int, size: float = 0.4, seed: int = 3) -> torch.Tensor:
    """phi (*shape, P) away from every start, all its numbers at work."""
    loc, scale = tensor([0.7, -0.4]).expand(*shape, 2), tensor([1.3, 0.6]).expand(*shape, 2)
    phi = family.at(loc, scale)
    return phi + size * noise_of(*phi.shape, seed=seed)


def grid_of(family: Plane, phi: torch.Tensor, count: int = 701) -> tuple[torch.Tensor, torch.Tensor, float]:
    """A grid (S, 2) over all of q's mass, log q there and a cell's area: the trapezoidal rule."""
    draws = family.sample(phi, 7.5 * torch.nn.functional.normalize(noise_of(4000, 2), dim=-1))
    low, high = draws.amin(0), draws.amax(0)
    axes = [torch.linspace(float(a), float(b), count, dtype=F64) for a, b in zip(low, high, strict=True)]
    z = torch.cartesian_prod(*axes)
    return z, family.log_prob(phi, z), float(math.prod(axis[1] - axis[0] for axis in axes))


# ---- where they are offered ----


def test_families_of_the_line_and_of_the_plane_are_told_apart():
    assert {type(f).dim for f in each(Family)} == {1, 2}
    assert {type(f) for f in each(Line)} | {type(f) for f in each(Plane)} == {type(f) for f in each(Family)}
    assert peers(Family, Gaussian()) == [type(f) for f in each(Line)]
    assert peers(Family, MeanField()) == [type(f) for f in each(Plane)]
    assert {MeanField, FullRank, MixtureQ, Flow, ComposedFlow} <= set(peers(Family, Flow()))


def test_a_family_of_the_plane_does_not_fit_a_line():
    vi = VI(family=FullRank())
    with pytest.raises(ValueError, match="has dimension 1 and Full Gaussian 2: choose a family of q"):
        vi.init(0)


def test_nested_layers_go_through_json():
    flow = ComposedFlow(first=Autoregressive(hidden=5), second=LinearQR(), layers=7)
    assert from_json(Family, to_json(flow)) == flow
    assert VI(family=flow).family == flow


# ---- densities ----


@over_all
def test_densities_integrate_to_one(family):
    phi = some(family)
    _, log_q, area = grid_of(family, phi)
    assert float(log_q.exp().sum() * area) == pytest.approx(1.0, abs=3e-6)


@over_all
def test_change_of_variables_by_autograd(family):
    """log q(g(e)) = log N(e) - log |det dg/de|, the Jacobian by autograd of the draw itself."""
    phi = some(family)
    e = noise_of(40, 2)
    jacobian = torch.stack(
        [torch.autograd.functional.jacobian(lambda x: family.sample(phi, x[None])[0], row) for row in e]
    )
    expected = (
        ss.multivariate_normal(cov=np.eye(2)).logpdf(e.numpy()) - torch.linalg.slogdet(jacobian)[1].numpy()
    )
    z, told = family.draw(phi, e)
    np.testing.assert_allclose(family.log_prob(phi, family.sample(phi, e)), expected, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(told, expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(z, family.sample(phi, e), rtol=0, atol=0)


@over_all
def test_batches_are_their_members(family):
    phi, noise = some(family, 2, 3), noise_of(2, 3, 5, 2)
    z, log_q = family.sample(phi, noise), family.log_prob(phi, some_z := 2.0 * noise)
    frame, frames = family.frame(phi), family.frames(phi)
    assert z.shape == (2, 3, 5, 2) and log_q.shape == (2, 3, 5) and frame.factor.shape == (2, 3, 2, 2)
    for a in range(2):
        for b in range(3):
            close = {"rtol": 1e-12, "atol": 1e-12}
            torch.testing.assert_close(z[a, b], family.sample(phi[a, b], noise[a, b]), **close)
            torch.testing.assert_close(log_q[a, b], family.log_prob(phi[a, b], some_z[a, b]), **close)
            torch.testing.assert_close(frame.factor[a, b], family.frame(phi[a, b]).factor, **close)
            alone = family.frames(phi[a, b])
            torch.testing.assert_close(frames.each.centre[a, b], alone.each.centre, **close)


@over_all
def test_every_draw_may_have_a_phi_of_its_own(family):
    """As the gradients per draw ask: phi (S, P) with one row of noise each."""
    phi, noise = some(family), noise_of(6, 2)
    own = phi.expand(6, -1)
    together = family.sample(phi, noise)
    torch.testing.assert_close(family.sample(own, noise[:, None])[:, 0], together, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(
        family.log_prob(own, together[:, None])[:, 0], family.log_prob(phi, together), rtol=1e-12, atol=1e-12
    )


@over_all
def test_gradients_reach_every_parameter(family):
    """Through the draw, the density and both, and all agree with finite differences."""
    phi, noise = some(family), noise_of(9, 2)
    z = family.sample(phi, noise)
    lean = torch.tensor([1.0, 0.3], dtype=F64)
    reached = torch.zeros_like(phi)
    for f in (
        lambda p: (family.sample(p, noise) @ lean).sum(),
        lambda p: family.log_prob(p, z).sum(),
        lambda p: family.draw(p, noise)[1].sum(),
    ):
        leaf = phi.clone().requires_grad_()
        (slope,) = torch.autograd.grad(f(leaf), leaf)
        shifts = 1e-6 * torch.eye(len(phi), dtype=F64)
        with torch.no_grad():
            differences = torch.stack([(f(phi + d) - f(phi - d)) / 2e-6 for d in shifts])
        size = float(differences.abs().max())
        torch.testing.assert_close(slope, differences, rtol=2e-6, atol=2e-7 * (1 + size))
        reached = torch.maximum(reached, slope.abs())
    assert (reached > 1e-7).all(), [n for n, r in zip(family.names, reached, strict=True) if r <= 1e-7]


@over_all
def test_gradients_in_z_are_those_of_the_density(family):
    phi = some(family)
    z = family.sample(phi, noise_of(7, 2)).detach().requires_grad_()
    (slope,) = torch.autograd.grad(family.log_prob(phi, z).sum(), z)
    with torch.no_grad():
        for axis in torch.eye(2, dtype=F64) * 1e-6:
            difference = (family.log_prob(phi, z + axis) - family.log_prob(phi, z - axis)) / 2e-6
            along = slope @ (axis / 1e-6)
            torch.testing.assert_close(
                along, difference, rtol=1e-5, atol=1e-6 * (1 + float(along.abs().max()))
            )


@over_all
def test_at_starts_where_it_is_told(family):
    loc, scale = tensor([[0.0, 1.0], [-30.0, 12.0]]), tensor([[1.0, 0.05], [4.0, 0.3]])
    phi = family.at(loc, scale)
    assert phi.shape == (2, len(family.names)) and len(set(family.names)) == len(family.names)
    frame, near = family.frame(phi), isinstance(family, Flow | ComposedFlow)
    slack = 0.2 if near else 1e-12
    assert ((frame.centre - loc).abs() <= slack * scale * (1 + loc.abs() * (not near))).all()
    assert ((frame.sds() / scale).log().abs() <= slack).all()
    assert torch.equal(phi, family.at(loc, scale))
    told = family.mean_sd(phi)
    if told is not None:
        torch.testing.assert_close(told[0], frame.centre)
        torch.testing.assert_close(told[1], frame.sds())


def test_starts_use_no_global_random_numbers():
    state = torch.get_rng_state()
    for family in ALL:
        family.at(tensor([0.0, 0.0]), tensor([1.0, 1.0]))
    assert torch.equal(torch.get_rng_state(), state)


@over_all
def test_one_scale_may_serve_both_coordinates(family):
    loc = tensor([0.3, 0.4])
    assert torch.equal(family.at(loc, tensor(2.0)), family.at(loc, tensor([2.0, 2.0])))


@over_all
def test_affine_families_are_one_density(family):
    one = family.at(tensor([0.0, 0.0]), tensor([1.0, 1.0]))
    two = family.at(tensor([2.0, -1.0]), tensor([0.5, 3.0]))
    z = noise_of(20, 2)
    moved = family.log_prob(two, z * tensor([0.5, 3.0]) + tensor([2.0, -1.0])) + math.log(1.5)
    torch.testing.assert_close(moved, family.log_prob(one, z), rtol=1e-11, atol=1e-11)


@over_all
def test_moments_and_entropy_against_the_grid(family):
    phi = some(family)
    z, log_q, area = grid_of(family, phi)
    mass = log_q.exp() * area
    mean = mass @ z
    away = (z - mean) * mass.sqrt()[:, None]
    covariance = away.mT @ away
    frame, told, entropy = family.frame(phi), family.mean_sd(phi), family.entropy(phi)
    exact = isinstance(family, PlaneGaussian | MixtureQ) or told is not None
    slack = 1e-5 if exact else 0.2
    torch.testing.assert_close(frame.centre, mean, rtol=slack, atol=slack)
    torch.testing.assert_close(frame.factor @ frame.factor.mT, covariance, rtol=slack, atol=slack)
    if told is not None:
        torch.testing.assert_close(told[1], covariance.diagonal().sqrt(), rtol=1e-5, atol=1e-5)
    if entropy is not None:
        assert float(entropy) == pytest.approx(float(-(mass * log_q).sum()), abs=3e-5)


def test_which_entropies_have_a_closed_form():
    closed = [family for family in ALL if family.entropy(some(family)) is not None]
    linear = [Flow(layer=LinearLU(), layers=3), Flow(layer=LinearQR(), layers=3)]
    assert closed == [MeanField(), FullRank(), MixtureQ(parts=1), *linear]
    assert [family for family in ALL if family.mean_sd(some(family)) is None] == [
        f for f in FLOWS if f not in linear
    ]


@over_all
def test_far_away_is_minus_infinity_and_never_nan(family):
    far = tensor([1e3, 1e9, 1e100, 1e150, -1e150])
    z = torch.stack([far, -0.5 * far], -1)
    for phi in (some(family), family.at(tensor([30.0, 0.0]), tensor([0.005, 100.0]))):
        heights = family.log_prob(phi, z)
        assert not (torch.isnan(heights) | torch.isposinf(heights)).any()


@over_all
def test_single_precision_stays_single(family):
    phi = family.at(torch.tensor([0.5, 1.0]), torch.tensor([2.0, 1.0]))
    z = family.sample(phi, noise_of(9, 2).float())
    assert z.dtype == family.log_prob(phi, z).dtype == phi.dtype == torch.float32
    assert family.frame(phi).factor.dtype == torch.float32
    assert torch.isfinite(z).all() and torch.isfinite(family.log_prob(phi, z)).all()


# ---- Gaussians ----


def covariance_of(phi: torch.Tensor) -> np.ndarray:
    factor = np.array([[math.exp(phi[2]), 0.0], [float(phi[4]) if len(phi) > 4 else 0.0, math.exp(phi[3])]])
    return factor @ factor.T


@pytest.mark.parametrize("family", [MeanField(), FullRank()], ids=repr)
def test_gaussians_of_scipy(family):
    phi = some(family)
    reference = ss.multivariate_normal(phi[:2].numpy(), covariance_of(phi))
    z = 3.0 * noise_of(50, 2)
    np.testing.assert_allclose(family.log_prob(phi, z), reference.logpdf(z.numpy()), rtol=1e-11)
    assert float(family.entropy(phi)) == pytest.approx(reference.entropy(), rel=1e-12)
    frame = family.frame(phi)
    np.testing.assert_allclose(frame.factor @ frame.factor.mT, covariance_of(phi), rtol=1e-13)
    torch.testing.assert_close(family.of_frame(frame), phi, rtol=1e-13, atol=1e-13)
    again = frame_by_draws(family, phi)  # the rule that flows use
    torch.testing.assert_close(again.factor, frame.factor, rtol=1e-11, atol=1e-11)


finite = st.floats(-50, 50)
size = st.floats(1e-3, 1e3)


@given(centre=st.tuples(finite, finite), axes=st.tuples(size, size), angle=st.floats(-4, 4))
def test_ellipses_go_to_phi_and_back(centre, axes, angle):
    """Against NumPy's eigenvalues, and as a hand sees it: the same ellipse again."""
    told = Ellipse(tensor(centre), tensor(axes), tensor(angle))
    phi = FullRank().of_frame(frame_of(told))
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    expected = turn @ np.diag(np.square(axes)) @ turn.T
    covariance = covariance_of(phi)
    np.testing.assert_allclose(covariance, expected, rtol=1e-9, atol=1e-11 * max(axes) ** 2)
    back = ellipse(FullRank().frame(phi))
    assert float(back.axes[0]) == pytest.approx(max(axes), rel=1e-9)
    assert float(back.axes[1]) == pytest.approx(min(axes), rel=1e-9)
    assert -math.pi / 2 <= float(back.angle) <= math.pi / 2
    one, two = sorted(axes, reverse=True)
    if one / two > 1.01:
        lean = angle if axes[0] >= axes[1] else angle + math.pi / 2
        assert abs(math.sin(float(back.angle) - lean)) < 1e-6
    assert back.centre.tolist() == list(centre)


def test_a_mean_field_keeps_an_ellipses_sds_and_does_not_lean():
    told = Ellipse(tensor([1.0, 2.0]), tensor([3.0, 0.5]), tensor(0.7))
    phi = MeanField().of_frame(frame_of(told))
    leaning = FullRank().of_frame(frame_of(told))
    torch.testing.assert_close(phi[2:].exp(), FullRank().mean_sd(leaning)[1])
    assert float(ellipse(MeanField().frame(phi)).angle) in (0.0, math.pi / 2)
    assert float(FullRank().frame(leaning).factor[1, 0]) > 0.1


def test_ellipses_come_in_batches():
    told = Ellipse(noise_of(4, 3, 2), noise_of(4, 3, 2).exp(), noise_of(4, 3))
    phi = FullRank().of_frame(frame_of(told))
    assert phi.shape == (4, 3, 5)
    one = FullRank().of_frame(frame_of(Ellipse(told.centre[1, 2], told.axes[1, 2], told.angle[1, 2])))
    torch.testing.assert_close(phi[1, 2], one)


def test_a_singular_covariance_has_a_finite_factor():
    for covariance in ([[0.0, 0.0], [0.0, 0.0]], [[1.0, 1.0], [1.0, 1.0]], [[1e-300, 0.0], [0.0, 4.0]]):
        factor = cholesky(tensor(covariance))
        assert factor.isfinite().all() and (factor.diagonal() > 0).all()
        torch.testing.assert_close(factor @ factor.mT, tensor(covariance), rtol=1e-12, atol=1e-12)


# ---- mixtures ----


@pytest.mark.parametrize("parts", [1, 2, 3, 5])
def test_mixtures_of_scipy(parts):
    family = MixtureQ(parts=parts)
    phi = some(family, size=0.8)
    logits, each_part = family.split(phi)
    assert torch.equal(family.joined(logits, each_part), phi)
    weights = np.exp(np.append(logits.numpy(), 0.0))
    weights /= weights.sum()
    z = 3.0 * noise_of(50, 2)
    density = sum(
        w * ss.multivariate_normal(p[:2].numpy(), covariance_of(p)).pdf(z.numpy())
        for w, p in zip(weights, each_part, strict=True)
    )
    np.testing.assert_allclose(family.log_prob(phi, z), np.log(density), rtol=1e-10, atol=1e-10)
    log_weights, frames = family.frames(phi)
    np.testing.assert_allclose(log_weights.exp(), weights, rtol=1e-12)
    np.testing.assert_allclose(
        frames.factor[0] @ frames.factor[0].mT, covariance_of(each_part[0]), rtol=1e-12
    )


def test_draws_of_a_mixture_have_its_shares():
    """Two far parts: the share of draws in either, and moments within it, are the part's."""
    family = MixtureQ(parts=2)
    parts = tensor([[-6.0, 1.0, -0.5, 0.2, 0.4], [5.0, -2.0, 0.3, -0.7, -0.2]])
    phi = family.joined(tensor([math.log(3.0)]), parts)
    draws = ss.qmc.Sobol(2, seed=1).random(2**14)
    z = family.sample(phi, tensor(ss.norm.ppf(draws)))
    left = z[:, 0] < 0
    assert float(left.double().mean()) == pytest.approx(0.75, abs=1e-3)
    for inside, part in ((left, parts[0]), (~left, parts[1])):
        np.testing.assert_allclose(z[inside].mean(0), part[:2], atol=0.02)
        np.testing.assert_allclose(np.cov(z[inside].numpy().T), covariance_of(part), atol=0.03)


@pytest.mark.parametrize("parts", [2, 3])
def test_a_mixtures_gradient_is_that_of_the_expectation(parts):
    """Implicit reparameterization: the draws' mean gradient is that of E z z', in the weights too."""
    family = MixtureQ(parts=parts)
    phi = some(family, size=0.3).requires_grad_()
    log_weights, frames = family.frames(phi)
    second = frames.factor @ frames.factor.mT + frames.centre[..., None] * frames.centre[..., None, :]
    mean = (log_weights.exp()[:, None, None] * second).sum(0)
    ask = torch.tensor([[1.0, 0.4], [0.4, -0.7]], dtype=F64)
    (exact,) = torch.autograd.grad((mean * ask).sum(), phi)
    share = (torch.arange(400, dtype=F64) + 0.5) / 400  # a sum over the noise without noise
    z = family.sample(phi, torch.special.ndtri(torch.cartesian_prod(share, share)))
    (drawn,) = torch.autograd.grad(((z @ ask) * z).sum(-1).mean(), phi)
    torch.testing.assert_close(drawn, exact, rtol=2e-2, atol=2e-2)
    assert (exact.abs() > 1e-3).all()


@given(seed=st.integers(0, 10**6), scale=st.floats(0.1, 3.0))
def test_a_mixtures_draw_inverts_its_distribution(seed, scale):
    """Rosenblatt's map of the draw gives the noise back, by SciPy's normal distribution."""
    family = MixtureQ(parts=3)
    phi = some(family, size=scale, seed=seed)
    e = noise_of(8, 2, seed=seed).clamp(-5, 5)
    z = family.sample(phi, e).numpy()
    logits, parts = (part.numpy() for part in family.split(phi))
    weights = np.exp(np.append(logits, 0.0)) / np.exp(np.append(logits, 0.0)).sum()
    mean, sd = parts[:, :2], np.exp(parts[:, 2:4])
    below = weights @ ss.norm.cdf(z[:, 0], mean[:, :1], sd[:, :1])
    np.testing.assert_allclose(below, ss.norm.cdf(e[:, 0]), rtol=1e-7, atol=1e-12)
    given_x = weights[:, None] * ss.norm.pdf(z[:, 0], mean[:, :1], sd[:, :1])
    given_x /= given_x.sum(0)
    centre = mean[:, 1:] + parts[:, 4:] * (z[:, 0] - mean[:, :1]) / sd[:, :1]
    below = (given_x * ss.norm.cdf(z[:, 1], centre, sd[:, 1:])).sum(0)
    np.testing.assert_allclose(below, ss.norm.cdf(e[:, 1]), rtol=1e-6, atol=1e-10)


def test_targets_of_the_line_stay_on_theirs():
    assert all(cls.dim == 1 for cls in peers(targets.Target, targets.Skewed()))


def test_the_way_back_of_many_points_is_that_of_few():
    """With many, those that have arrived are left out of the search: the same numbers to the last digit."""
    flow = Flow(layer=Planar(), layers=3)
    random = torch.Generator().manual_seed(4)
    phi = torch.randn(len(flow.names), generator=random, dtype=torch.float64)
    noise = torch.randn(5000, 2, generator=random, dtype=torch.float64)
    z = flow.sample(phi, noise)
    back, log_det = flow.inverse(phi, z)
    few = [flow.inverse(phi, part) for part in z.split(500)]
    assert torch.equal(back, torch.cat([e for e, _ in few]))
    assert torch.equal(log_det, torch.cat([more for _, more in few]))
    assert (back - noise).abs().max() < 1e-8
