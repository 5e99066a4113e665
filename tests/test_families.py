"""Families of q on the line: densities, draws, gradients and closed forms, each against another way."""

import math

import hypothesis.strategies as st
import numpy as np
import pytest
import scipy.stats as ss
import torch
from hypothesis import given
from scipy.integrate import tanhsinh

from lvmviz import families, targets
from lvmviz.core import Choice
from lvmviz.families import Gaussian, LaplaceQ, Line, LocationScale, MixtureOf2, SinhArcsinh, StudentQ

F64 = torch.float64
CASES = [
    (Gaussian(), (0.3, -0.4)),
    (StudentQ(), (0.3, -0.4)),
    (StudentQ(df=1.0), (-1.0, 0.2)),
    (StudentQ(df=2.5), (0.0, 0.0)),
    (StudentQ(df=30.0), (5.0, -2.0)),
    (LaplaceQ(), (0.3, -0.4)),
    (MixtureOf2(), (0.4, -1.0, 2.0, -0.5, 0.3)),
    (MixtureOf2(), (-3.0, 4.0, -6.0, -2.0, 0.5)),
    (MixtureOf2(), (0.0, 0.0, 0.0, 0.0, 0.0)),
    (SinhArcsinh(), (0.3, -0.4, 0.0, 0.0)),
    (SinhArcsinh(), (0.3, 0.1, 0.8, -0.3)),
    (SinhArcsinh(), (-1.0, 0.2, -0.5, 0.4)),
]
over_cases = pytest.mark.parametrize(
    ("family", "phi"), CASES, ids=[f"{f}-{i}" for i, (f, _) in enumerate(CASES)]
)
ONE_OF_EACH = [cls() for cls in (Gaussian, StudentQ, LaplaceQ, MixtureOf2, SinhArcsinh)]
over_families = pytest.mark.parametrize("family", ONE_OF_EACH, ids=repr)


def tensor(values) -> torch.Tensor:
    return torch.as_tensor(values, dtype=F64)


def density(family, phi):
    """q(z) for z of any shape."""
    return lambda z: family.log_prob(tensor(phi), tensor(z).reshape(-1, 1)).exp().numpy().reshape(z.shape)


def masses(f, ends) -> np.ndarray:
    """The integrals of f between the ends, by SciPy's tanh-sinh rule."""
    ends = np.asarray(ends, float)
    return tanhsinh(f, ends[:-1], ends[1:], atol=1e-13).integral


def integral(family, phi, g=np.ones_like) -> float:
    """The expectation of g, in pieces that end at q's own quantiles."""
    q = density(family, phi)
    shares = tensor([1e-12, 1e-6, 1e-3, 0.05, 0.3, 0.5, 0.7, 0.95, 1 - 1e-3, 1 - 1e-6])
    ends = [-np.inf, *family.quantile(tensor(phi), shares).tolist(), np.inf]
    with np.errstate(all="ignore"):  # g may overflow where q is 0
        return math.fsum(masses(lambda z: np.where(q(z) > 0, q(z) * g(z), 0.0), ends))


def noise_of(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, 1, dtype=F64, generator=torch.Generator().manual_seed(seed))


def test_names_are_of_one_namespace():
    assert not set(families.Family.options) & set(targets.Target.options)
    ours = {type(family).__name__ for family in ONE_OF_EACH}
    assert ours <= {c.__name__ for kind in Choice.__subclasses__() for c in kind.options.values()}


@over_cases
def test_densities_integrate_to_one(family, phi):
    assert integral(family, phi) == pytest.approx(1.0, abs=1e-9)


@over_cases
def test_draws_have_the_density(family, phi):
    """Kolmogorov and Smirnov, against the distribution function summed from log_prob."""
    z = family.sample(tensor(phi), noise_of(4000))[:, 0].numpy()
    edges = family.quantile(tensor(phi), tensor(np.linspace(1e-4, 1 - 1e-4, 400))).numpy()
    cdf = masses(density(family, phi), [-np.inf, *edges]).cumsum()
    assert ss.kstest(z, lambda x: np.interp(x, edges, cdf)).pvalue > 0.01


@over_cases
def test_change_of_variables(family, phi):
    """log q(g(e)) = log N(e) - log dg/de, the slope by central differences of the draw itself."""
    e = tensor(np.linspace(-3.3, 3.3, 34))[:, None]  # avoids 0, where a Laplace draw has its kink
    numbers, step = tensor(phi), 1e-5
    slope = (family.sample(numbers, e + step) - family.sample(numbers, e - step)) / (2 * step)
    expected = -0.5 * e**2 - 0.5 * math.log(2 * math.pi) - slope.log()
    actual = family.log_prob(numbers, family.sample(numbers, e))
    torch.testing.assert_close(actual, expected[:, 0], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("family", [Gaussian(), LaplaceQ(), SinhArcsinh()], ids=repr)
def test_change_of_variables_by_autograd(family):
    numbers = family.at(tensor(0.7), tensor(1.3))
    if isinstance(family, SinhArcsinh):
        numbers = tensor([0.7, 0.2, 0.6, -0.4])
    e = tensor(np.linspace(-5, 5, 22))[:, None].requires_grad_()
    z = family.sample(numbers, e)
    (slope,) = torch.autograd.grad(z.sum(), e)
    expected = -0.5 * e**2 - 0.5 * math.log(2 * math.pi) - slope.log()
    torch.testing.assert_close(family.log_prob(numbers, z), expected[:, 0], rtol=1e-11, atol=1e-11)


@over_cases
def test_quantiles(family, phi):
    shares = tensor([1e-9, 1e-3, 0.05, 0.25, 0.5, 0.75, 0.95, 0.999])
    places = family.quantile(tensor(phi), shares)
    assert (places.diff() > 0).all()
    found = masses(density(family, phi), places[1:])
    np.testing.assert_allclose(found, np.diff(shares.numpy())[1:], rtol=1e-8)


@pytest.mark.parametrize(
    ("family", "phi", "reference"),
    [
        (Gaussian(), (0.3, -0.4), ss.norm(0.3, math.exp(-0.4))),
        (StudentQ(df=2.5), (0.3, -0.4), ss.t(2.5, 0.3, math.exp(-0.4))),
        (LaplaceQ(), (0.3, -0.4), ss.laplace(0.3, math.exp(-0.4))),
    ],
)
def test_named_densities_of_scipy(family, phi, reference):
    z = np.linspace(-8, 8, 65)
    np.testing.assert_allclose(
        family.log_prob(tensor(phi), tensor(z)[:, None]), reference.logpdf(z), rtol=1e-12
    )
    shares = np.array([1e-12, 0.01, 0.4, 0.5, 0.8, 0.999])
    np.testing.assert_allclose(
        family.quantile(tensor(phi), tensor(shares)), reference.ppf(shares), rtol=1e-9, atol=1e-12
    )
    assert float(family.entropy(tensor(phi))) == pytest.approx(reference.entropy(), rel=1e-12)


def test_sinh_arcsinh_bends_a_gaussian():
    plain = tensor([0.3, -0.4, 0.0, 0.0])
    z = tensor(np.linspace(-4, 4, 33))[:, None]
    torch.testing.assert_close(
        SinhArcsinh().log_prob(plain, z), Gaussian().log_prob(plain[:2], z), rtol=1e-12, atol=1e-12
    )
    right = SinhArcsinh().mean_sd(tensor([0.0, 0.0, 0.5, 0.0]))[0]
    assert float(right) > 0.5  # positive skew leans to the right
    light, heavy = (
        float(SinhArcsinh().quantile(tensor([0.0, 0.0, 0.0, t]), tensor([0.999]))) for t in (0.5, -0.5)
    )
    assert light < heavy


@given(st.lists(st.floats(-2, 2), min_size=4, max_size=4), st.floats(-7, 7))
def test_the_flows_inverse_goes_back(phi, e):
    flow, noise = SinhArcsinh(), tensor([[e]])
    back = flow.inverse(tensor(phi), flow.sample(tensor(phi), noise))
    assert float(back) == pytest.approx(e, rel=1e-8, abs=1e-8 * math.exp(2 * abs(phi[0])))


# ---- moments and entropy ----


@over_cases
def test_mean_and_sd(family, phi):
    told = family.mean_sd(tensor(phi))
    assert told is not None
    mean, sd = map(float, told)
    if isinstance(family, StudentQ) and family.df <= 3:
        expected = (
            (math.nan, math.nan)
            if family.df <= 1
            else (phi[0], math.exp(phi[1]) * math.sqrt(family.df / (family.df - 2)))
        )
        np.testing.assert_allclose((mean, sd), expected)
        return
    assert mean == pytest.approx(integral(family, phi, lambda z: z), rel=1e-7, abs=1e-7)
    assert sd**2 == pytest.approx(integral(family, phi, lambda z: (z - mean) ** 2), rel=1e-6)


def test_a_heavy_student_has_an_infinite_sd():
    mean, sd = StudentQ(df=2.0).mean_sd(tensor([0.3, 0.0]))
    assert float(mean) == 0.3 and float(sd) == math.inf


@over_cases
def test_entropy(family, phi):
    told = family.entropy(tensor(phi))
    closed = isinstance(family, LocationScale)
    assert (told is not None) == closed
    if told is not None:
        q = density(family, phi)
        summed = integral(family, phi, lambda z: -np.log(q(z)))
        assert float(told) == pytest.approx(summed, abs=1e-6)


# ---- parameters ----


@over_families
def test_at_starts_where_it_is_told(family):
    loc, scale = tensor([0.0, -3.0, 12.0]), tensor([1.0, 0.05, 4.0])
    phi = family.at(loc, scale)
    assert phi.shape == (3, len(family.names)) and len(set(family.names)) == len(family.names)
    mean, sd = family.mean_sd(phi)
    torch.testing.assert_close(mean, loc, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(sd, scale, rtol=1e-12, atol=1e-12)


def test_at_for_a_student_without_sd():
    torch.testing.assert_close(StudentQ(df=1.5).at(tensor(2.0), tensor(3.0)), tensor([2.0, math.log(3.0)]))


@over_families
def test_batches_are_their_members(family):
    phi = family.at(tensor([0.0, 1.0, -2.0]), tensor([1.0, 0.3, 2.0])) + 0.1
    noise = noise_of(5).expand(3, 5, 1)
    z = family.sample(phi, noise)
    assert z.shape == (3, 5, 1) and family.log_prob(phi, z).shape == (3, 5)
    assert family.spread(phi).shape[0] == 3
    for row in range(3):
        torch.testing.assert_close(z[row], family.sample(phi[row], noise[row]), rtol=1e-13, atol=1e-13)
        torch.testing.assert_close(
            family.log_prob(phi, z)[row], family.log_prob(phi[row], z[row]), rtol=1e-13, atol=0
        )


@over_cases
def test_gradients_reach_every_parameter(family, phi):
    """Through the draw and through the density, and both agree with finite differences."""
    noise = tensor(np.linspace(-2.9, 2.7, 9))[:, None]
    numbers = tensor(phi).requires_grad_()
    z = family.sample(numbers, noise).detach()
    if isinstance(family, MixtureOf2) and len(set(phi)) == 1:
        return  # two equal parts: the weight moves nothing
    for f in (lambda p: family.sample(p, noise).sum(), lambda p: family.log_prob(p, z).sum()):
        (slope,) = torch.autograd.grad(f(numbers), numbers)
        assert torch.isfinite(slope).all()
        shifts = 1e-6 * torch.eye(len(phi), dtype=F64)
        with torch.no_grad():
            differences = torch.stack([(f(tensor(phi) + d) - f(tensor(phi) - d)) / 2e-6 for d in shifts])
        torch.testing.assert_close(slope, differences, rtol=2e-6, atol=2e-6)
        assert (slope.abs() > 1e-9).all()


def test_the_mixtures_gradient_is_that_of_the_expectation():
    """Implicit reparameterization: the draw's mean gradient is the gradient of the mean, in all five."""
    phi = tensor([0.4, -1.0, 2.0, -0.5, 0.3]).requires_grad_()
    mean, sd = MixtureOf2().mean_sd(phi)
    (exact,) = torch.autograd.grad(mean, phi)
    shares = (torch.arange(20_000, dtype=F64) + 0.5) / 20_000  # a sum over the noise without noise
    z = MixtureOf2().sample(phi, torch.special.ndtri(shares)[:, None])
    (drawn,) = torch.autograd.grad(z.mean(), phi)
    torch.testing.assert_close(drawn, exact, rtol=1e-3, atol=1e-3)
    assert float(z.detach().std()) == pytest.approx(float(sd.detach()), rel=1e-3)


@over_families
def test_far_away_is_minus_infinity_and_never_nan(family):
    z = tensor([1e3, 1e9, 1e100, 1e150, -1e150])[:, None]
    for loc, scale in ((0.0, 1.0), (30.0, 0.005), (-5.0, 100.0)):
        heights = family.log_prob(family.at(tensor(loc), tensor(scale)), z)
        assert not (torch.isnan(heights) | torch.isposinf(heights)).any()
    tails = family.quantile(family.at(tensor(0.0), tensor(1.0)), tensor([1e-300, 1e-15]))
    assert torch.isfinite(tails).all() and tails[0] < tails[1]


@over_families
def test_affine_families_are_one_curve(family):
    """What the page moves without asking: another loc and scale is the same curve, shifted and stretched."""
    one, two = family.at(tensor(0.0), tensor(1.0)), family.at(tensor(2.0), tensor(0.5))
    z = tensor(np.linspace(-4, 4, 41))[:, None]
    moved = family.log_prob(two, 0.5 * z + 2.0) + math.log(0.5)
    assert torch.allclose(moved, family.log_prob(one, z), rtol=1e-9, atol=1e-9)
    assert family.affine == (not isinstance(family, MixtureOf2)) and isinstance(family, Line)


@over_cases
def test_spread_covers_the_mass(family, phi):
    places = family.spread(tensor(phi)).sort().values
    q = density(family, phi)
    assert masses(q, places.unique()).sum() == pytest.approx(1.0, abs=3e-9)


def test_single_precision_stays_single():
    for family in ONE_OF_EACH:
        phi = family.at(torch.tensor(0.5), torch.tensor(2.0))
        z = family.sample(phi, torch.randn(9, 1, generator=torch.Generator().manual_seed(0)))
        assert z.dtype == family.log_prob(phi, z).dtype == torch.float32
        assert torch.isfinite(z).all()
