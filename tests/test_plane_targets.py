"""Posteriors in the plane: normalized, stable in the tails, prior and likelihood what they are said to be."""

import math

import numpy as np
import pytest
import scipy.stats as ss
import sklearn.datasets
import torch
from scipy import integrate, special

from lvmviz.core import knobs, peers
from lvmviz.formulas import FormulaError
from lvmviz.plane_formulas import Formula2D
from lvmviz.plane_targets import (
    Banana,
    Cauchy2D,
    CorrelatedGaussian,
    Donut,
    FarModes,
    Funnel,
    HardBanana,
    PlaneDensity,
    Student2D,
    ThreeModes,
)
from lvmviz.regression_targets import EFFECTS, ERRORS, EightSchools, LogisticRegression
from lvmviz.targets import Skewed, Target

TARGETS = [cls for cls in peers(Target, Banana()) if cls.__module__.startswith("lvmviz.")]
DENSITIES = [cls for cls in TARGETS if issubclass(cls, PlaneDensity)]
FAR = [1e3, 1e6, 1e30, 1e100, 1e150]

over_targets = pytest.mark.parametrize("cls", TARGETS, ids=lambda cls: cls.__name__)
over_densities = pytest.mark.parametrize("cls", DENSITIES, ids=lambda cls: cls.__name__)


def at(*points) -> torch.Tensor:
    return torch.tensor(points, dtype=torch.float64)


def grid(low: float = -6.0, high: float = 6.0, count: int = 13) -> torch.Tensor:
    side = torch.linspace(low, high, count, dtype=torch.float64)
    return torch.stack(torch.meshgrid(side, side, indexing="ij"), -1).reshape(-1, 2)


def corners(cls: type[Target]) -> list[Target]:
    """The defaults, and every numeric knob at either end."""
    ends = [
        cls(**{name: end})
        for name, meta in knobs(cls).items()
        for end in (meta.low, meta.high)
        if end is not None
    ]
    return [cls(), *ends]


def by_rows(log_density, ends: list[float], inner) -> float:
    """A mass by SciPy's tanh-sinh along y, between places that depend on x, and Gauss's 60 nodes along x."""
    t, w = np.polynomial.legendre.leggauss(60)
    total = 0.0
    for a, b in zip(ends[:-1], ends[1:], strict=True):
        if math.isinf(a) or math.isinf(b):  # x = end / s
            end = b if math.isinf(a) else a
            share = 0.5 * (t + 1.0)
            x, slope = end / share, 0.5 * w * abs(end) / share**2
        else:
            x, slope = 0.5 * (a + b) + 0.5 * (b - a) * t, 0.5 * (b - a) * w
        places = np.array([[-np.inf, *inner(v), np.inf] for v in x])

        def f(y: np.ndarray, x: np.ndarray) -> np.ndarray:
            return np.exp(log_density(torch.from_numpy(np.stack(np.broadcast_arrays(x, y), -1))).numpy())

        rows = integrate.tanhsinh(
            f, places[:, :-1], places[:, 1:], args=(x[:, None],), atol=1e-13, rtol=1e-10
        )
        total += float(slope @ rows.integral.sum(-1))
    return total


def around(centres: list[float], sd: float) -> list[float]:
    return sorted({c + k * sd for c in centres for k in (-8, 0, 8)})


def case(target: Target) -> tuple[list[float], object]:
    """Where SciPy's panels end along x, and along y at a given x."""
    inf = math.inf
    match target:
        case Banana() | HardBanana():
            bend = target.curvature if isinstance(target, Banana) else 1.0
            s = target.spread if isinstance(target, Banana) else 3.0
            return [-8 * s, -3 * s, 0.0, 3 * s, 8 * s], lambda x: [
                bend * x * x + k * target.width for k in (-6, 0, 6)
            ]
        case CorrelatedGaussian():
            w = math.sqrt(1 - target.correlation**2)
            return [-9.0, -3.0, 0.0, 3.0, 9.0], lambda x: [target.correlation * x + k * w for k in (-6, 0, 6)]
        case Donut():
            r, w = target.radius, target.width

            def ring(x: float) -> list[float]:
                y = math.sqrt(max(r * r - x * x, 0.0))
                return sorted({*(y + k * w for k in (-6, 0, 6)), *(-y + k * w for k in (-6, 0, 6)), 0.0})

            return [-r - 9 * w, -r, 0.0, r, r + 9 * w], ring
        case FarModes():
            return around([-target.distance / 2, target.distance / 2], target.sd), lambda x: around(
                [0.0, 1.0], target.sd
            )
        case ThreeModes():
            r, far = target.radius, math.sqrt(0.75) * target.radius
            return around([-far, 0.0, far], target.sd), lambda x: around([-r / 2, r], target.sd)
        case Funnel():  # the other way round: x is narrow where y is low
            return [-9 * target.spread, -3.0, 0.0, 3.0, 9 * target.spread], lambda y: [
                k * math.exp(y / 2) for k in (-7, -1, 0, 1, 7)
            ]
    return [-inf, -3.0, 0.0, 3.0, inf], lambda x: [-abs(x) - 1, 0.0, abs(x) + 1]


def test_the_targets_of_the_page_are_there():
    names = "CorrelatedGaussian Banana HardBanana Donut FarModes ThreeModes Funnel Student2D Cauchy2D"
    assert {cls.__name__ for cls in DENSITIES} == set(names.split())
    assert {cls.__name__ for cls in TARGETS} == set(names.split()) | {
        "LogisticRegression",
        "EightSchools",
        "Formula2D",
    }
    assert not set(peers(Target, Skewed())) & set(TARGETS)
    assert len({cls.name() for cls in TARGETS}) == len(TARGETS)


@over_densities
def test_densities_integrate_to_one(cls):
    for target in corners(cls):
        density = target.log_density
        if isinstance(target, Funnel):
            density = lambda z, f=target.log_density: f(z.flip(-1))  # noqa: E731
        assert by_rows(density, *case(target)) == pytest.approx(1.0, abs=2e-7), target


@over_targets
def test_shapes(cls):
    for shape in ((), (3,), (2, 3)):
        z = torch.zeros(*shape, 2, dtype=torch.float64)
        for f in (cls().log_prob, cls().log_prior, cls().log_likelihood):
            assert f(z).shape == shape and f(z).dtype == torch.float64


@over_targets
def test_never_infinite_upwards_however_far(cls):
    places = [0.0, *FAR, *(-far for far in FAR)]
    z = at(*[(x, y) for x in places for y in places])
    for target in corners(cls):
        for f in (target.log_prob, target.log_prior):
            assert not torch.isposinf(f(z)).any(), target


@over_targets
def test_no_holes_where_pages_look(cls):
    z = grid(-40.0, 40.0, 81)
    for target in corners(cls):
        for term in target.log_terms(z):
            assert not term.isnan().any(), target


@over_targets
def test_joint_is_prior_times_likelihood(cls):
    for target in corners(cls):
        joint, prior, likelihood = (
            target.log_prob(grid()),
            target.log_prior(grid()),
            target.log_likelihood(grid()),
        )
        torch.testing.assert_close(joint, prior + likelihood, rtol=1e-13, atol=1e-11)
        for one, two in zip(target.log_terms(grid()), (joint, prior, likelihood), strict=True):
            torch.testing.assert_close(one, two, rtol=0, atol=0)


@over_densities
def test_a_density_alone_gets_prior_and_evidence(cls):
    z = grid()
    np.testing.assert_allclose(cls().log_prior(z), ss.norm.logpdf(z.numpy(), 0, 3).sum(-1), rtol=1e-14)
    np.testing.assert_allclose(cls().log_prob(z), cls().log_density(z) - 3.2, rtol=1e-15)


@over_targets
def test_gradients_agree_with_differences(cls):
    z = at((-2.3, 1.1), (0.4, -0.7), (1.9, 2.6), (-0.2, 0.3)).requires_grad_()
    (slope,) = torch.autograd.grad(cls().log_prob(z).sum(), z)
    with torch.no_grad():
        for axis in (0, 1):
            step = torch.zeros(2, dtype=torch.float64)
            step[axis] = 1e-6
            difference = (cls().log_prob(z + step) - cls().log_prob(z - step)) / 2e-6
            torch.testing.assert_close(slope[:, axis], difference, rtol=1e-6, atol=1e-6)


# ---- against SciPy ----

Z = grid(-5, 5, 21)


def test_the_gaussian_and_the_students_are_scipy_s():
    for rho in (-0.99, 0.0, 0.9):
        other = ss.multivariate_normal([0, 0], [[1, rho], [rho, 1]]).logpdf(Z.numpy())
        np.testing.assert_allclose(CorrelatedGaussian(correlation=rho).log_density(Z), other, rtol=1e-11)
    for df in (1.0, 3.0, 17.5):
        other = ss.multivariate_t([0, 0], np.eye(2), df=df).logpdf(Z.numpy())
        np.testing.assert_allclose(Student2D(df=df).log_density(Z), other, rtol=1e-12)
    np.testing.assert_allclose(Cauchy2D().log_density(Z), Student2D(df=1.0).log_density(Z), rtol=1e-15)


def test_a_student_is_a_power_law_to_the_end():
    z = at((1e100, 0.0), (1e120, 1e120), (1e140, 0.0))
    drops = np.diff(Student2D(df=3.0).log_density(z).numpy())
    np.testing.assert_allclose(
        drops + 5 * np.array([0.5, -0.5]) * math.log(2), -5 * math.log(1e20), rtol=1e-12
    )


def test_bananas_and_the_funnel_are_chains_of_gaussians():
    x, y = Z.numpy().T
    for target, (s, b, w) in {
        Banana(): (1.5, 0.5, 0.5),
        Banana(curvature=-2.0, spread=0.3, width=1.7): (0.3, -2.0, 1.7),
        HardBanana(): (3.0, 1.0, 0.1),
    }.items():
        other = ss.norm.logpdf(x, 0, s) + ss.norm.logpdf(y, b * x * x, w)
        np.testing.assert_allclose(target.log_density(Z), other, rtol=1e-11)
    other = ss.norm.logpdf(y, 0, 3) + ss.norm.logpdf(x, 0, np.exp(y / 2))
    np.testing.assert_allclose(Funnel().log_density(Z), other, rtol=1e-12)


def test_modes_are_mixtures():
    parts = [ss.multivariate_normal(c, 0.49 * np.eye(2)).pdf(Z.numpy()) for c in ((-4, 0), (4, 1))]
    np.testing.assert_allclose(FarModes().log_density(Z), np.log(0.5 * parts[0] + 0.5 * parts[1]), rtol=1e-10)
    turns = np.deg2rad([90, 210, 330])
    parts = [
        ss.multivariate_normal([3 * np.cos(t), 3 * np.sin(t)], 0.49 * np.eye(2)).pdf(Z.numpy()) for t in turns
    ]
    np.testing.assert_allclose(
        ThreeModes().log_density(Z), np.log(np.array([0.5, 0.3, 0.2]) @ parts), rtol=1e-10
    )


def test_the_donut_is_highest_on_its_ring():
    target = Donut(radius=2.0, width=0.3)
    ring = at(*[(2 * math.cos(t), 2 * math.sin(t)) for t in np.linspace(0, 6, 7)])
    heights = target.log_density(ring)
    torch.testing.assert_close(heights, heights[0].expand(7), rtol=1e-12, atol=1e-12)
    assert float(target.log_density(at((2.3, 0.0))[0])) == pytest.approx(float(heights[0]) - 0.5)


# ---- real data ----


def test_logistic_regression_is_the_sum_over_its_rows():
    bunch = sklearn.datasets.load_iris()
    kept = bunch.target > 0
    v, y = bunch.data[kept, 2], (bunch.target[kept] == 2).astype(float)
    v = (v - v.mean()) / v.std()
    z = grid(-4, 4, 5)
    f = z[:, :1].numpy() + z[:, 1:].numpy() * v
    likelihood = (y * special.log_expit(f) + (1 - y) * special.log_expit(-f)).sum(-1)
    np.testing.assert_allclose(LogisticRegression().log_likelihood(z), likelihood, rtol=1e-12)
    np.testing.assert_allclose(
        LogisticRegression(prior_sd=2.0).log_prior(z), ss.norm.logpdf(z.numpy(), 0, 2).sum(-1), rtol=1e-13
    )


def test_breast_cancer_tells_malignant_from_benign():
    bunch = sklearn.datasets.load_breast_cancer()
    v, y = bunch.data[:, 0], (bunch.target == 0).astype(float)
    v = (v - v.mean()) / v.std()
    z = at((-0.5, 1.5))
    f = -0.5 + 1.5 * v
    target = LogisticRegression(data="breast cancer", rows=569)
    other = (y * special.log_expit(f) + (1 - y) * special.log_expit(-f)).sum()
    assert float(target.log_likelihood(z)[0]) == pytest.approx(other, rel=1e-12)


def test_fewer_rows_leave_a_flatter_likelihood():
    z = at((0.0, 0.0))
    for rows in (2, 10, 57, 100):
        likelihood = float(LogisticRegression(data="breast cancer", rows=rows).log_likelihood(z)[0])
        assert likelihood == pytest.approx(-rows * math.log(2), rel=1e-12)
    assert LogisticRegression(rows=569).log_likelihood(z) == LogisticRegression(rows=100).log_likelihood(z)


def test_eight_schools_integrate_their_effects_out():
    """Against a numerical integral over every school's own effect."""
    mu, log_tau = 6.0, 1.3
    total = 0.0
    for effect, sd in zip(EFFECTS, ERRORS, strict=True):
        f = lambda t, y=effect, s=sd: ss.norm.pdf(y, t, s) * ss.norm.pdf(t, mu, math.exp(log_tau))  # noqa: E731
        total += math.log(integrate.quad(f, -80, 90, points=[mu, effect], epsabs=1e-14)[0])
    assert float(EightSchools().log_likelihood(at((mu, log_tau)))[0]) == pytest.approx(total, rel=1e-9)


def test_eight_schools_priors():
    z = at((3.0, -2.0), (-7.0, 0.5), (1.0, 4.0))
    tau = np.exp(z[:, 1].numpy())
    other = ss.norm.logpdf(z[:, 0].numpy(), 0, 5) + ss.halfcauchy.logpdf(tau, scale=5) + z[:, 1].numpy()
    np.testing.assert_allclose(EightSchools().log_prior(z), other, rtol=1e-12)


# ---- formulas ----


def test_a_formula_of_two_variables():
    target = Formula2D(expression="-x² - y²/2 + x*y/3")
    x, y = Z.numpy().T
    np.testing.assert_allclose(target.log_prob(Z), -(x**2) - y**2 / 2 + x * y / 3, rtol=1e-13)
    np.testing.assert_allclose(target.log_prior(Z), ss.norm.logpdf(Z.numpy(), 0, 3).sum(-1), rtol=1e-13)
    assert "x^{2}" in target.latex and target.dim == 2


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("-x**2", "does not depend on y.*Subtract y\\*\\*2/2"),
        ("-y**2", "does not depend on x"),
        ("x + y", "does not fall far from 0.*0.1"),
        ("-log(1 + x**2 + y**2)", "falls too slowly"),
        ("log(x) - x**2 - y**2", "no value at x = -0.001, y = 0, among others.*log of a negative number"),
        ("1/(x - y) - x**2 - y**2", "is infinite at x = 0, y = 0.*divides by 0"),
        ("-2*log(x**2 + y**2)", "is infinite at x = 0, y = 0.*log of 0"),
        ("exp(x) - y**2", "too large for a computer"),
        ("-z**2", "“z” is not known"),
        ("-x**2 - y**2 +", "stops too early"),
        ("where(x**2 + y**2 < 0, 0, log(0))", "zero wherever"),
        ("__import__('os')", "is not known|no sign of a formula"),
    ],
)
def test_no_log_density_gets_a_sentence(expression, says):
    with pytest.raises(FormulaError, match=says) as told:
        Formula2D(expression=expression)
    assert str(told.value).endswith(".")


@pytest.mark.parametrize(
    "expression",
    [
        "-abs(x) - abs(y)",
        "-log(1 + x**2) - log(1 + y**2)",  # along an axis as slow as -2 log |z|, and yet integrable
        "where(x > y, -x**2 - y**2, -1e9)",
        "where(x**2 + y**2 < 4, 0, log(0))",
        "-1.02*log(1 + x**2 + y**2)",
        "-cosh(x) - cosh(y)",
    ],
)
def test_what_is_a_log_density_is_taken(expression):
    assert Formula2D(expression=expression).log_prob(at((0.5, 0.25))).isfinite().all()


def test_an_expression_is_a_text():
    with pytest.raises(FormulaError, match="Formula2D.expression is a text"):
        Formula2D(expression=3)
