"""Exact integrals over the plane against closed forms, a brute grid, SciPy and mpmath."""

import math

import hypothesis.strategies as st
import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from scipy import integrate, stats

from lvmviz import quadrature
from lvmviz.families import AffineCoupling, Flow, FullRank, Gaussian, MeanField, MixtureQ, Planar
from lvmviz.families.plane import Frame
from lvmviz.plane_formulas import Formula2D
from lvmviz.plane_targets import (
    Banana,
    Cauchy2D,
    CorrelatedGaussian,
    Donut,
    FarModes,
    Funnel,
    HardBanana,
    Student2D,
    ThreeModes,
)
from lvmviz.quadrature import NotIntegrable, coverage, decompose, forward_kl, log_evidence, marginal, moments
from lvmviz.quadrature.plane import mass as plane_mass
from lvmviz.quadrature.plane.cells import grid, halves, looked_at, refined
from lvmviz.quadrature.plane.coordinates import Frame as Coordinates
from lvmviz.quadrature.plane.nested import Line
from lvmviz.quadrature.plane.nested import marginal as along
from lvmviz.regression_targets import EightSchools, LogisticRegression
from lvmviz.targets import Skewed

F64 = torch.float64
KNOWN = [  # log p(x) = -3.2
    CorrelatedGaussian(),
    CorrelatedGaussian(correlation=-0.99),
    Banana(),
    Banana(curvature=2.0, spread=3.0, width=0.2),
    Donut(),
    Donut(radius=6.0, width=0.1),
    FarModes(),
    FarModes(distance=16.0, sd=0.1),
    ThreeModes(),
    ThreeModes(radius=8.0, sd=0.1),
    Funnel(),
    Student2D(),
    Student2D(df=1.0),
    Cauchy2D(),
]
DATA = [
    LogisticRegression(),
    LogisticRegression(data="breast cancer"),
    LogisticRegression(rows=2),
    EightSchools(),
]
QUICK = [
    CorrelatedGaussian(),
    Banana(),
    Donut(),
    FarModes(),
    ThreeModes(),
    Student2D(),
    Cauchy2D(),
    EightSchools(),
]
over_known = pytest.mark.parametrize("target", KNOWN, ids=repr)
over_quick = pytest.mark.parametrize("target", QUICK, ids=repr)


def tensor(values) -> torch.Tensor:
    return torch.as_tensor(values, dtype=F64)


def full(mean, factor) -> torch.Tensor:
    return FullRank().of_frame(Frame(tensor(mean), tensor(factor)))


def field(mean, sds) -> torch.Tensor:
    return MeanField().at(tensor(mean), tensor(sds))


def brute(f, reach: float = 14.0, count: int = 2001) -> float:
    """The integral of f(z), by a trapezoid of 2001 by 2001 nodes in z = sinh t."""
    t = torch.linspace(-math.asinh(reach), math.asinh(reach), count, dtype=F64)
    side, weights = t.sinh(), t.cosh() * (t[1] - t[0])
    total = 0.0
    for x, w in zip(side.split(200), weights.split(200), strict=True):
        z = torch.stack(torch.meshgrid(x, side, indexing="ij"), -1)
        total += float(w @ f(z) @ weights)
    return total


# ---- evidence ----


@over_known
def test_evidence_in_closed_form(target):
    found = log_evidence(target)
    assert abs(found + 3.2) <= min(2 * found.error + 1e-9, 1e-5)
    assert found.error < 1e-4


def test_the_hard_banana_is_right_to_a_thousandth_and_says_so():
    found = log_evidence(HardBanana())
    assert abs(found + 3.2) <= found.error <= 1e-3
    narrow = log_evidence(HardBanana(width=0.05))
    assert abs(narrow + 3.2) <= max(narrow.error, 1e-3)


@pytest.mark.parametrize("target", DATA, ids=repr)
def test_evidence_of_real_data_on_a_brute_grid(target):
    found = log_evidence(target)
    assert found == pytest.approx(math.log(brute(lambda z: target.log_prob(z).exp(), 60.0, 1001)), abs=1e-7)
    assert found.error < 1e-6


@over_known
def test_two_rules_agree_though_they_share_no_node(target):
    by_cells, by_rows = plane_mass.joint(target).rules
    assert by_cells != by_rows
    assert by_cells == pytest.approx(by_rows, abs=1e-4)
    assert log_evidence(target).error >= abs(by_cells - by_rows)


@pytest.mark.parametrize(
    ("expression", "exact"),
    [
        ("-x**2 - y**2", math.log(math.pi)),
        ("-abs(x) - abs(y)", math.log(4)),
        ("-log(1 + x**2) - log(1 + y**2)", 2 * math.log(math.pi)),
        ("-1.5*log(1 + x**2 + y**2)", math.log(2 * math.pi)),
        ("-((x - 300)/0.02)**2 - ((y + 40)/0.02)**2", math.log(math.pi * 0.02**2)),
        ("-(x - 1e4)**2/2e6 - (y - x)**2/2", math.log(2 * math.pi * 1e3)),
        ("-1e6*(y - sin(x))**2 - x**2", math.log(math.pi / 1e3)),
    ],
)
def test_evidence_of_formulas(expression, exact):
    found = log_evidence(Formula2D(expression=expression))
    assert found == pytest.approx(exact, abs=1e-6)
    assert found.error < 5e-3


def test_a_jump_is_told_by_the_error():
    found = log_evidence(Formula2D(expression="where(x**2 + y**2 < 4, 0, log(0))"))
    assert abs(found - math.log(4 * math.pi)) <= found.error <= 5e-3


def test_heavy_tails_against_mpmath():
    """What a box of 40 would miss of a Cauchy is 2.5 %: here the tail is in."""
    box = 1 - 4 / (2 * mpmath.pi) * mpmath.atan(40 * 40 / mpmath.sqrt(1 + 2 * 40**2))
    assert float(box) > 0.02
    for power in (1.1, 1.5, 4.0):
        exact = mpmath.log(mpmath.pi / (mpmath.mpf(power) - 1))
        found = log_evidence(Formula2D(expression=f"-{power}*log(1 + x**2 + y**2)"))
        assert abs(found - float(exact)) <= max(found.error, 1e-8) and found.error < 1e-5


@pytest.mark.parametrize("expression", ["-x**2*y**2", "-(x - y)**2", "-x**2 - log(1 + abs(y))"])
def test_infinite_mass_is_refused_with_a_remedy(expression):
    with pytest.raises(NotIntegrable, match="infinite.*add a prior"):
        log_evidence(Formula2D(expression=expression))


@pytest.mark.parametrize("expression", ["-(x**2 + y**2)*1e30", "-1e308*x**2 - y**2"])
def test_mass_in_a_place_too_narrow_for_any_node_is_refused_with_a_remedy(expression):
    with pytest.raises(NotIntegrable, match="narrow.*scale x and y"):
        log_evidence(Formula2D(expression=expression))


def test_the_evidence_is_looked_for_once():
    plane_mass.joint.cache_clear()
    assert log_evidence(Banana()) is log_evidence(Banana())
    assert plane_mass.joint.cache_info().hits == 1


# ---- the pieces ----


def test_cells_integrate_polynomials_and_halves_tile():
    frame = Coordinates(np.array([1.0, -2.0]), np.array([[2.0, 0.0], [0.7, 0.5]]))
    u = np.random.default_rng(0).uniform(-3, 3, (50, 2))
    np.testing.assert_allclose(frame.to_u(frame.to_z(u)), u, atol=1e-9)
    step = 1e-6
    moved = [(frame.to_z(u + d) - frame.to_z(u - d)) / (2 * step) for d in np.eye(2) * step]
    np.testing.assert_allclose(
        frame.log_slope(u), np.log(np.abs(np.linalg.det(np.stack(moved, -1)))), atol=1e-6
    )
    low, high = halves(np.zeros((2, 2)), np.ones((2, 2)), np.array([[True, True], [False, True]]))
    assert len(low) == 6 and (high - low).prod(-1).sum() == pytest.approx(2.0)
    cells = looked_at(frame, lambda z: np.zeros(len(z)), *grid(np.linspace(-1, 1, 3)))
    sums = refined(frame, lambda z: np.zeros(len(z)), cells, lambda c: np.exp(c.log_slope)[None])
    area = 4 * np.sinh(1) ** 2 * abs(np.linalg.det(frame.factor))
    assert sums.value[0] == pytest.approx(area, rel=1e-9)


def test_rows_of_a_gaussian_and_of_a_cauchy():
    x = np.array([-3.0, 0.0, 0.5, 40.0])
    log_f = lambda z: stats.norm.logpdf(z[:, 0]) + stats.cauchy.logpdf(z[:, 1], loc=7 * z[:, 0], scale=0.01)  # noqa: E731
    np.testing.assert_allclose(along(log_f, x, Line(1, 0.0, 1.0)), stats.norm.logpdf(x), atol=1e-7)


@over_quick
def test_marginals_against_scipy(target):
    places = np.array([-2.5, 0.1, 1.7])
    for axis in (0, 1):
        for place, found in zip(places, marginal(target, axis, places), strict=True):

            def row(y: np.ndarray, axis: int = axis, place: float = place) -> np.ndarray:
                z = np.empty((*y.shape, 2))
                z[..., axis], z[..., 1 - axis] = place, y
                return target.log_prob(torch.from_numpy(z)).exp().numpy()

            ends = np.array([-np.inf, -20, -6, -3, -1, 0, 1, 2, 3, 4, 5, 6, 9, 20, np.inf])
            mass = integrate.tanhsinh(row, ends[:-1], ends[1:], atol=1e-16, rtol=1e-10).integral.sum()
            assert found == pytest.approx(math.log(mass) - log_evidence(target), abs=1e-6)


# ---- moments ----


@pytest.mark.parametrize(
    ("target", "mean", "covariance"),
    [
        (CorrelatedGaussian(), (0, 0), ((1, 0.9), (0.9, 1))),
        (Banana(), (0, 1.125), ((2.25, 0), (0, 0.25 + 2 * (0.5 * 2.25) ** 2))),
        (FarModes(), (0, 0.5), ((16.49, 2.0), (2.0, 0.74))),
        (Funnel(spread=1.5), (0, 0), ((math.exp(1.125), 0), (0, 2.25))),
        (Student2D(), (0, 0), ((3, 0), (0, 3))),
        (Student2D(df=5.0), (0, 0), ((5 / 3, 0), (0, 5 / 3))),
    ],
    ids=repr,
)
def test_moments_in_closed_form(target, mean, covariance):
    found = moments(target)
    np.testing.assert_allclose(found.mean, mean, atol=2e-4)
    np.testing.assert_allclose(found.covariance, covariance, atol=2e-4)
    assert found.error < 0.05


def test_moments_that_there_are_not():
    cauchy, student = moments(Cauchy2D()), moments(Student2D(df=2.0))
    assert np.isnan(cauchy.mean).all() and np.isnan(cauchy.covariance).all()
    np.testing.assert_allclose(student.mean, 0, atol=1e-4)
    assert np.isinf(student.covariance).all()


# ---- q ----


def test_a_gaussian_in_closed_form():
    """p = N(0, [[1, .9], [.9, 1]]), q = N(m, L L')."""
    m, factor = np.array([0.3, -0.8]), np.array([[0.7, 0.0], [0.4, 1.1]])
    own, other = factor @ factor.T, np.array([[1, 0.9], [0.9, 1]])

    def kl(m: np.ndarray, a: np.ndarray, b: np.ndarray) -> float:
        both = np.linalg.solve(b, a + np.outer(m, m))
        return 0.5 * (np.trace(both) - 2 + np.log(np.linalg.det(b) / np.linalg.det(a)))

    found = decompose(CorrelatedGaussian(), FullRank(), full(m, factor))
    assert found.kl == pytest.approx(kl(m, own, other), abs=1e-5)
    assert found.kl_prior == pytest.approx(kl(m, own, 9 * np.eye(2)), abs=1e-9)
    assert found.entropy == pytest.approx(1 + math.log(2 * math.pi) + math.log(0.77), abs=1e-9)
    assert found.elbo == pytest.approx(-3.2 - kl(m, own, other), abs=1e-8)
    assert found.joint == pytest.approx(found.elbo - found.entropy, abs=1e-8)
    assert found.likelihood == pytest.approx(found.elbo + found.kl_prior, abs=1e-8)
    forward = forward_kl(CorrelatedGaussian(), FullRank(), full(m, factor))
    assert forward == pytest.approx(kl(m, other, own), abs=1e-5) and forward.error < 1e-4


def test_q_equal_to_p_leaves_no_gap():
    same = full([0, 0], [[1, 0], [0.9, math.sqrt(0.19)]])
    found = decompose(CorrelatedGaussian(), FullRank(), same)
    assert 0 <= found.kl < 1e-15 and 0 <= forward_kl(CorrelatedGaussian(), FullRank(), same) < 1e-15
    for level in (0.5, 0.9):
        assert coverage(CorrelatedGaussian(), FullRank(), same, level) == pytest.approx(level, abs=1e-8)


def test_golden_mean_field():
    phi = field([0, 0], [math.sqrt(0.19)] * 2)
    assert decompose(CorrelatedGaussian(), MeanField(), phi).kl == pytest.approx(
        -0.5 * math.log(0.19), abs=1e-6
    )
    for factor in (0.99, 1.01):
        worse = field([0, 0], [math.sqrt(0.19) * factor] * 2)
        assert decompose(CorrelatedGaussian(), MeanField(), worse).kl > -0.5 * math.log(0.19)


def test_golden_banana():
    """N((0, v/2), diag(v, .25)): ELBO = log p(x) + log(v/2.25)/2 + 1/2 - v/4.5 - v^2, 1/(2v) = 1/4.5 + 2v."""
    v = float(np.roots([2.0, 1 / 4.5, -0.5]).max())
    phi = full([0, v / 2], [[math.sqrt(v), 0], [0, 0.5]])
    found = decompose(Banana(), FullRank(), phi)
    assert found.elbo + 3.2 == pytest.approx(-0.6072051721569, abs=1e-10)
    assert found.kl == pytest.approx(0.6072051721569, abs=2e-5)
    for step in 0.02 * torch.eye(5, dtype=F64):
        assert decompose(Banana(), FullRank(), phi + step).elbo < found.elbo


def test_golden_far_modes():
    on_one = field([-4, 0], [0.7, 0.7])
    found = decompose(FarModes(), MeanField(), on_one)
    assert found.kl == pytest.approx(math.log(2), abs=1e-6)
    assert forward_kl(FarModes(), MeanField(), on_one) == pytest.approx(32.47, abs=0.05)
    assert coverage(FarModes(), MeanField(), on_one) == pytest.approx(0.45, abs=1e-6)


def test_kl_from_a_heavy_tail_is_infinite():
    phi = field([0, 0], [2.0, 2.0])
    assert forward_kl(Cauchy2D(), MeanField(), phi) == math.inf
    assert forward_kl(Student2D(df=2.0), MeanField(), phi) == math.inf
    entropy = stats.multivariate_t([0, 0], np.eye(2), df=3).entropy()
    exact = -entropy + math.log(2 * math.pi * 4) + (3 + 3) / 8
    assert forward_kl(Student2D(), MeanField(), phi) == pytest.approx(exact, abs=1e-4)
    assert math.isfinite(decompose(Cauchy2D(), MeanField(), phi).kl)


def test_where_p_is_nothing_the_gap_is_infinite():
    disc = Formula2D(expression="where(x**2 + y**2 < 4, 0, log(0))")
    found = decompose(disc, MeanField(), field([0, 0], [1, 1]))
    assert found.kl == math.inf and found.elbo == -math.inf


# ---- every q: ELBO + KL = log evidence, each an integral of its own ----

NUMBERS = st.floats(-1.0, 1.0)


def random_phi(family, loc, log_sd, noise):
    phi = family.at(tensor(loc), tensor(log_sd).exp())
    return phi + 0.3 * tensor(noise[: len(phi)])


@over_quick
@settings(max_examples=12)
@given(
    loc=st.tuples(st.floats(-3, 3), st.floats(-3, 3)),
    log_sd=st.tuples(st.floats(-1, 1), st.floats(-1, 1)),
    noise=st.lists(NUMBERS, min_size=40, max_size=40),
    family=st.sampled_from([MeanField(), FullRank(), MixtureQ(parts=2)]),
)
def test_elbo_and_kl_are_the_evidence(target, loc, log_sd, noise, family):
    phi = random_phi(family, loc, log_sd, noise)
    found = decompose(target, family, phi)
    scale = 1 + abs(found.kl) / 100
    assert abs(found.elbo + found.kl - found.log_evidence) <= min(found.error, 1e-4 * scale)
    assert abs(found.joint + found.entropy - found.elbo) <= 1e-4 * scale
    assert abs(found.likelihood - found.kl_prior - found.elbo) <= 1e-4 * scale
    assert found.kl >= 0 and found.kl_prior > -1e-9 and found.error <= 3e-4 * scale


@pytest.mark.parametrize("layer", [Planar(), AffineCoupling()], ids=repr)
@pytest.mark.parametrize(
    "target", [CorrelatedGaussian(), ThreeModes(), Student2D(), LogisticRegression()], ids=repr
)
def test_flows_are_integrated_over_their_noise(target, layer):
    family = Flow(layer=layer, layers=4)
    random = np.random.default_rng(3)
    for _ in range(3):
        phi = random_phi(
            family, random.normal(size=2), 0.3 * random.normal(size=2), random.normal(size=200) / 2
        )
        found = decompose(target, family, phi)
        assert abs(found.elbo + found.kl - found.log_evidence) <= found.error < 2e-3 * (1 + found.kl / 100)
        assert found.kl > 0


def test_a_flow_that_bends_nothing_is_a_gaussian():
    family = Flow(layer=AffineCoupling(), layers=2)
    phi = torch.zeros(len(family.names), dtype=F64)
    phi[:4] = tensor([0.3, -0.2, math.log(0.8), math.log(1.4)])
    plain = decompose(Banana(), MeanField(), field([0.3, -0.2], [0.8, 1.4]))
    found = decompose(Banana(), family, phi)
    for one, other in zip(found[:-1], plain[:-1], strict=True):
        assert one == pytest.approx(other, abs=1e-4)
    of_flow, own = (
        coverage(Banana(), family, phi),
        coverage(Banana(), MeanField(), field([0.3, -0.2], [0.8, 1.4])),
    )
    assert of_flow == pytest.approx(own, abs=1e-8)


@pytest.mark.parametrize("target", [Banana(), ThreeModes(), Donut(), EightSchools()], ids=repr)
def test_kl_and_coverage_on_a_brute_grid(target):
    """E_p of what q says, from two million nodes."""
    phi = full([0.4, 0.9], [[1.1, 0.0], [0.3, 0.8]])
    evidence = log_evidence(target)

    def both(z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return FullRank().log_prob(phi, z.reshape(-1, 2)).reshape(z.shape[:-1]), target.log_prob(z) - evidence

    def reverse(z: torch.Tensor) -> torch.Tensor:
        q, p = both(z)
        return torch.where(q > -700, q.exp() * (q - p), 0.0)

    def forward(z: torch.Tensor) -> torch.Tensor:
        q, p = both(z)
        return torch.where(p > -700, p.exp() * (p - q), 0.0)

    def inside(z: torch.Tensor) -> torch.Tensor:
        return both(z)[1].exp() * (FullRank().frame(phi).whiten(z).square().sum(-1) < 2 * math.log(10))

    assert decompose(target, FullRank(), phi).kl == pytest.approx(brute(reverse), abs=1e-4)
    assert forward_kl(target, FullRank(), phi) == pytest.approx(brute(forward, 80.0), abs=2e-4)
    assert coverage(target, FullRank(), phi) == pytest.approx(brute(inside), abs=2e-3)


def test_a_mixture_s_region_is_where_it_is_highest():
    family = MixtureQ(parts=2)
    phi = family.at(tensor([0.0, 0.0]), tensor([1.0, 1.0]))
    random = torch.Generator().manual_seed(0)
    z = family.sample(phi, torch.randn(200_000, 2, generator=random, dtype=F64))
    level = family.log_prob(phi, z).quantile(0.1)
    draws = torch.as_tensor(stats.multivariate_t([0, 0], np.eye(2), df=3).rvs(200_000, random_state=1))
    share = float((family.log_prob(phi, draws) > level).double().mean())
    found = coverage(Student2D(), family, phi)
    assert found == pytest.approx(share, abs=5e-3) and found.error < 1e-3


# ---- what people do wrong ----


def test_wrong_dimensions_get_a_sentence():
    with pytest.raises(ValueError, match="Banana has 2 and Gaussian 1"):
        decompose(Banana(), Gaussian(), [0.0, 0.0])
    with pytest.raises(ValueError, match="choose a family of as many"):
        forward_kl(Skewed(), MeanField(), [0.0] * 4)
    with pytest.raises(ValueError, match="all finite: mean x"):
        decompose(Banana(), MeanField(), [0.0, 0.0, math.nan, 0.0])
    with pytest.raises(ValueError, match="give a share between 0 and 1"):
        coverage(Banana(), MeanField(), [0.0] * 4, 1.0)


def test_the_line_is_still_the_line():
    assert log_evidence(Skewed()) == quadrature.line.log_evidence(Skewed())
    assert moments(Skewed()) == quadrature.line.moments(Skewed())
