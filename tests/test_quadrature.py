"""The exact numbers, against closed forms, 30-digit arithmetic, other rules, and each other."""

import csv
import itertools
import math
import pickle
from pathlib import Path

import mpmath
import numpy as np
import pytest
import torch
from scipy.integrate import tanhsinh
from scipy.special import iv
from scipy.stats import kstest, norm

from lvmviz import divergences, targets
from lvmviz.families import Gaussian, LaplaceQ, MixtureOf2, SinhArcsinh, StudentQ
from lvmviz.formula_targets import Formula as Typed
from lvmviz.quadrature import (
    Integral,
    NotIntegrable,
    coverage,
    decompose,
    forward_kl,
    log_evidence,
    moments,
    renyi,
)
from lvmviz.quadrature.rule import FAR, NODES, RULES, integrate, panels, to_t, to_z
from lvmviz.targets import (
    Cauchy,
    ConjugateGaussian,
    EqualModes,
    Laplace,
    LogGamma,
    SigmoidDecoder,
    Skewed,
    Spike,
    Student,
    Target,
    TwoModes,
    normal,
    student,
)

INF = math.inf
GOLDEN = Path(__file__).parent / "golden" / "one_dimension.csv"
FAMILIES = [Gaussian(), StudentQ(), LaplaceQ(), MixtureOf2(), SinhArcsinh()]
NAMED = [
    Skewed(),
    TwoModes(),
    TwoModes(weight=0.01, distance=12.0),
    EqualModes(),
    EqualModes(distance=20.0, sd=0.05),
    Student(),
    Student(df=1.0),
    Student(df=30.0),
    Cauchy(),
    Laplace(),
    Laplace(scale=0.05),
    LogGamma(),
    LogGamma(shape=0.2),
    LogGamma(shape=20.0),
    Spike(),
    Spike(centre=30.0, sd=0.2),
    Spike(centre=-29.98765, sd=0.005),
]
SMOOTH = [
    Skewed(),
    TwoModes(),
    EqualModes(),
    Student(),
    Cauchy(),
    LogGamma(),
    Spike(),
    Spike(centre=30.0, sd=0.2),
    SigmoidDecoder(),
    ConjugateGaussian(),
]
over_named = pytest.mark.parametrize("target", NAMED, ids=repr)
over_smooth = pytest.mark.parametrize("target", SMOOTH, ids=repr)
over_families = pytest.mark.parametrize("family", FAMILIES, ids=repr)


class Formula(Target):
    """A log joint as a function of z (n,); no registered choice, so that nothing lists it."""

    dim = 1

    def __init__(self, f):
        object.__setattr__(self, "f", f)

    def __eq__(self, other):
        return self is other

    def __hash__(self):
        return id(self)

    def log_prob(self, z):
        return self.f(z[..., 0])

    def log_prior(self, z):
        return normal(z[..., 0], 0.0, 3.0)


def mix(*parts):
    """log of a sum of weighted densities: (weight, log density) pairs."""
    return lambda z: torch.logsumexp(torch.stack([math.log(w) + f(z) for w, f in parts]), 0)


def bump(mean, sd):
    return lambda z: normal(z, mean, sd)


def steps(z, *levels):
    """0 in [.1, 1.7], impossible elsewhere."""
    return torch.where((z > 0.1) & (z < 1.7), 0.0, -INF).double()


HARD = {  # log mass by hand
    "spike .005 at -40": (mix((0.9, bump(0, 1)), (0.1, bump(-40, 0.005))), 0.0),
    "off every grid": (mix((0.99, bump(0, 1)), (0.01, bump(-40.0087, 0.005))), 0.0),
    "spike in a Cauchy's tail": (mix((0.9, lambda z: student(z, 1.0)), (0.1, bump(-40.0087, 0.005))), 0.0),
    "a hundredth of it at 17.003": (mix((0.99, lambda z: student(z, 2.0)), (0.01, bump(17.003, 0.005))), 0.0),
    "far": (bump(1000.3, 0.5), 0.0),
    "very narrow": (bump(0.123, 1e-6), 0.0),
    "very wide": (bump(1e6, 1e7), 0.0),
    "wiggly": (lambda z: -0.5 * z**2 + 2 * torch.sin(20 * z), math.log(math.sqrt(2 * math.pi) * iv(0, 2.0))),
    "quartic": (lambda z: -0.25 * z**4, math.log(math.gamma(0.25) / math.sqrt(2))),
    "uniform": (steps, math.log(1.6)),
    "exponential": (lambda z: torch.where(z > 0.3, -2 * (z - 0.3), -INF), -math.log(2)),
    "undefined outside": (lambda z: 0.5 * torch.log(1 - z**2), math.log(math.pi / 2)),
    "two kinks": (
        lambda z: -3 * (z - 0.3137).abs() - (z + 1.11).abs(),
        math.log(0.75 * math.exp(-1.4237) - 0.25 * math.exp(-3 * 1.4237)),
    ),
    "falls like |z|^-1.05": (lambda z: -1.05 * torch.log1p(z.abs()), math.log(40.0)),
    "deep": (lambda z: normal(z, 0.0, 1.0) - 1e5, -1e5),
}
over_hard = pytest.mark.parametrize(("f", "exact"), HARD.values(), ids=HARD.keys())


def random_phi(family, rng) -> list[float]:
    """A q somewhere between sensible and silly."""
    phi = family.at(torch.tensor(rng.uniform(-4, 4)), torch.tensor(math.exp(rng.uniform(-3, 1.2)))).double()
    return (phi + 0.5 * torch.tensor(rng.standard_normal(len(phi)))).tolist()


def reference(f, places) -> float:
    """An integral over the line by SciPy's tanh-sinh rule in pieces."""
    ends = np.array([-INF, *sorted(places), INF])
    with np.errstate(all="ignore"):
        return math.fsum(tanhsinh(f, ends[:-1], ends[1:], atol=1e-14, maxlevel=12).integral)


def numpy_log(log_density):
    return lambda z: log_density(torch.as_tensor(z).reshape(-1, 1)).numpy().reshape(np.shape(z))


# ---- the rule ----


def test_kronrod_and_gauss_are_exact_for_polynomials():
    for power in range(0, 24):
        exact = (1 - (-1) ** (power + 1)) / (power + 1)
        assert NODES**power @ RULES[:, 0] == pytest.approx(exact, abs=1e-15)
        if power < 14:
            assert NODES**power @ RULES[:, 1] == pytest.approx(exact, abs=1e-15)


def test_coordinates_go_back():
    z = np.array([-FAR, -1e30, -3.0, -1e-30, 0.0, 1e-9, 1.0, 77.0, FAR])
    np.testing.assert_allclose(to_z(to_t(z)), z, rtol=2e-13 * 345)


def test_panels_are_sorted_and_within_the_ends():
    edges = panels(np.array([3.0, 1.0, 1.0, -5.0, 400.0, -INF]), -2.0, 100.0)
    np.testing.assert_allclose(to_z(edges), [-2.0, 1.0, 3.0, 100.0], rtol=1e-12)


def test_every_integral_has_its_own_error():
    """A kink in the second: the first stays at rounding, and nothing hides in a sum of squares."""

    def rows(z):
        weight = np.tile(norm.logpdf(z), (2, 1))
        return weight, np.stack([z**2, np.abs(z - 0.1234)])

    sums = integrate(rows, panels(np.linspace(-8, 8, 7)))
    kinked = 2 * norm.pdf(0.1234) + 0.1234 * (2 * norm.cdf(0.1234) - 1)
    np.testing.assert_allclose(sums.value, [1.0, kinked], rtol=0, atol=1e-11)
    assert (np.abs(sums.value - [1.0, kinked]) <= 10 * sums.error).all() and (sums.error < 1e-10).all()


def test_one_panel_is_cut_where_it_must_be():
    sums = integrate(lambda z: (norm.logpdf(z, 0.3, 0.1)[None], np.ones((1, len(z)))), panels(np.zeros(1)))
    assert sums.value[0] == pytest.approx(1.0, abs=1e-12)


def test_tails_that_do_not_end():
    def power(exponent):
        return lambda z: (-exponent * np.log1p(np.abs(z))[None], np.sign(z)[None] + 2)

    slow = integrate(power(1.05), panels(np.linspace(-3, 3, 7)))
    assert slow.value[0] == pytest.approx(3 / 0.05 + 1 / 0.05, rel=1e-9)
    assert integrate(power(1.0), panels(np.linspace(-3, 3, 7))).value[0] == INF
    odd = integrate(lambda z: (-np.log1p(np.abs(z))[None], np.sign(z)[None]), panels(np.linspace(-3, 3, 7)))
    assert math.isnan(odd.value[0])  # inf - inf: undefined, not 0


def test_infinities_count_only_where_the_weight_does():
    def value(border):
        return lambda z: (norm.logpdf(z)[None], np.where(z > border, -INF, 1.0)[None])

    assert integrate(value(3.0), panels(np.linspace(-8, 8, 9))).value[0] == -INF
    assert integrate(value(50.0), panels(np.linspace(-8, 8, 9))).value[0] == pytest.approx(1.0, abs=1e-12)


# ---- the evidence ----


@over_named
def test_evidence_of_normalized_densities(target):
    found = log_evidence(target)
    assert found == pytest.approx(-3.2, abs=1e-10)
    assert abs(found + 3.2) <= 10 * found.error < 1e-8


@over_hard
def test_evidence_by_hand(f, exact):
    found = log_evidence(Formula(f))
    assert found == pytest.approx(exact, abs=1e-10)
    assert abs(found - exact) <= 10 * found.error + 2e-16 * abs(exact) < 1e-8


def test_log_gamma_of_the_research():
    """log p = 3z - e^z has the evidence log Gamma(3)."""
    assert log_evidence(Formula(lambda z: 3 * z - z.exp())) == pytest.approx(math.lgamma(3), abs=1e-12)


@pytest.mark.parametrize("knobs", [{}, {"x": 10.0, "noise_sd": 0.05}, {"prior_sd": 0.05, "x": -10.0}])
def test_evidence_of_the_conjugate_gaussian(knobs):
    target = ConjugateGaussian(**knobs)
    assert log_evidence(target) == pytest.approx(target.log_evidence(), rel=1e-12, abs=1e-10)


@pytest.mark.parametrize(
    "target", [SigmoidDecoder(), SigmoidDecoder(a=30.0, b=-30.0, c=7.0, d=3.0, x=-4.0)], ids=repr
)
def test_evidence_of_the_sigmoid_decoder_in_thirty_digits(target):
    def joint(z):
        s = lambda u: 1 / (1 + mpmath.exp(-u))  # noqa: E731
        mean, variance = s(target.a * z + target.c), mpmath.exp(s(target.b * z + target.d))
        return mpmath.npdf(z) * mpmath.npdf(target.x, mean, mpmath.sqrt(variance))

    with mpmath.workdps(30):
        exact = mpmath.log(mpmath.quad(joint, [-15, -4, -2, -1, -0.5, 0, 0.5, 1, 1.5, 2, 4, 15], maxdegree=9))
    assert log_evidence(target) == pytest.approx(float(exact), abs=1e-11)


def test_evidence_shifts_and_scales_with_its_density():
    for shift, scale in ((-17.3, 0.004), (3.0, 50.0), (29.0, 1.0)):
        moved = Formula(lambda z, a=shift, s=scale: student((z - a) / s, 3.0) - math.log(s))
        assert log_evidence(moved) == pytest.approx(0.0, abs=1e-10)


def test_the_spike_is_found_wherever_it_stands():
    rng = np.random.default_rng(0)
    for centre in rng.uniform(-60, 60, 100):
        for sd in (0.005, 0.02):
            f = mix((0.7, bump(0.5, 2.0)), (0.3, bump(centre, sd)))
            assert log_evidence(Formula(f)) == pytest.approx(0.0, abs=1e-9), (centre, sd)


@pytest.mark.parametrize(
    ("f", "says"),
    [
        (lambda z: 0 * z, "infinite"),
        (lambda z: z.abs(), "infinite"),
        (lambda z: -(z**3), "infinite"),
        (lambda z: -torch.log1p(z.abs()), "infinite"),
        (lambda z: torch.where(z > 0, -z, 0.0), "infinite"),
        (lambda z: torch.where(z > 0, -0.9 * torch.log1p(z.abs()), -(z**2)), "infinite"),
        (lambda z: -z.abs().log() - z**2, r"\+inf at z = 0"),
        (lambda z: -(z - 0.3).abs().log() - z**2, "pole"),
        (lambda z: 0 * z - INF, "-inf or undefined"),
        (lambda z: z * math.nan, "-inf or undefined"),
    ],
)
def test_what_is_no_density_is_told(f, says):
    with pytest.raises(NotIntegrable, match=says) as told:
        log_evidence(Formula(f))
    assert isinstance(told.value, ValueError) and ";" in str(told.value)  # cause; remedy
    with pytest.raises(NotIntegrable):
        decompose(Formula(f), Gaussian(), [0.0, 0.0])


def test_three_dimensions_are_refused_and_two_on_the_line():
    class Space(Formula):
        dim = 3

    class Plane(Formula):
        dim = 2

    with pytest.raises(ValueError, match="3 dimensions"):
        log_evidence(Space(lambda z: -(z**2)))
    with pytest.raises(ValueError, match="2 dimensions"):
        renyi(Plane(lambda z: -(z**2)), Gaussian(), [0.0, 0.0], 0.5)


def test_what_is_undefined_is_impossible():
    """NaN counts as -inf: a formula with a logarithm has a border, not a hole in its number."""
    half = Formula(lambda z: torch.log(z) - z)
    assert log_evidence(half) == pytest.approx(0.0, abs=1e-10)
    assert decompose(half, Gaussian(), [3.0, 0.0]).elbo == -INF


# ---- the decomposition ----


def closed_forms(target: ConjugateGaussian, mean: float, sd: float) -> dict[str, float]:
    entropy = 0.5 * math.log(2 * math.pi * math.e) + math.log(sd)

    def expected(centre, width):
        return -0.5 * math.log(2 * math.pi * width**2) - 0.5 * (sd**2 + (mean - centre) ** 2) / width**2

    prior, likelihood = expected(0.0, target.prior_sd), expected(target.x, target.noise_sd)
    terms = {"joint": prior + likelihood, "entropy": entropy, "likelihood": likelihood}
    terms |= {"elbo": prior + likelihood + entropy, "kl_prior": -entropy - prior}
    return terms | {"kl": -entropy - expected(*target.posterior()), "log_evidence": target.log_evidence()}


@pytest.mark.parametrize(("mean", "sd"), [(1.8, 0.9), (0.0, 1.0), (-4.0, 0.02), (20.0, 3.0), (1.8, 30.0)])
@pytest.mark.parametrize("knobs", [{}, {"prior_sd": 0.3, "noise_sd": 2.0, "x": -3.0}])
def test_every_term_in_closed_form(knobs, mean, sd):
    target = ConjugateGaussian(**knobs)
    terms = decompose(target, Gaussian(), [mean, math.log(sd)])
    for name, exact in closed_forms(target, mean, sd).items():
        assert getattr(terms, name) == pytest.approx(exact, rel=1e-11, abs=1e-11), name
    assert terms.error < 1e-9 * max(1.0, abs(terms.elbo))


def test_a_tiny_divergence_keeps_its_digits():
    """q = p but for a millionth: KL 1e-12 has digits of its own, not those that a difference leaves."""
    target = ConjugateGaussian()
    mean, sd = target.posterior()
    for shift in (1e-3, 1e-5, 1e-6):
        kl = decompose(target, Gaussian(), [mean + shift * sd, math.log(sd)]).kl
        assert kl == pytest.approx(0.5 * shift**2, rel=1e-3)
        assert forward_kl(target, Gaussian(), [mean + shift * sd, math.log(sd)]) == pytest.approx(
            0.5 * shift**2, rel=1e-3
        )
    assert 0 <= decompose(target, Gaussian(), [mean, math.log(sd)]).kl < 1e-15


def agree(terms, slack: float) -> None:
    """ELBO <= log p(x), and its presentations are one number."""
    assert terms.kl >= 0 and terms.kl_prior >= -slack
    assert terms.elbo <= terms.log_evidence + slack
    assert terms.elbo + terms.kl == pytest.approx(terms.log_evidence, abs=slack)
    assert terms.joint + terms.entropy == pytest.approx(terms.elbo, abs=0.01 * slack)
    assert terms.likelihood - terms.kl_prior == pytest.approx(terms.elbo, abs=slack)


@over_smooth
def test_presentations_of_many_random_q(target):
    """Infinite where q's tails are too heavy, else within 1e-8 of each other, or 1e-12 of a huge ELBO."""
    rng = np.random.default_rng(1)
    infinite = 0
    for family in itertools.islice(itertools.cycle(FAMILIES), 300):
        terms = decompose(target, family, random_phi(family, rng))
        if terms.elbo == -INF:
            infinite += 1
            assert terms.kl == INF and terms.joint == -INF and isinstance(target, LogGamma)
            continue
        agree(terms, 1e-8 + 1e-12 * abs(terms.elbo))
        assert abs(terms.elbo + terms.kl - terms.log_evidence) <= terms.error
    assert infinite == 0 or isinstance(target, LogGamma)


@pytest.mark.parametrize("target", [Laplace(), Laplace(scale=0.05), Student(df=1.0)], ids=repr)
def test_presentations_on_kinks(target):
    rng = np.random.default_rng(2)
    for family in itertools.islice(itertools.cycle(FAMILIES), 100):
        terms = decompose(target, family, random_phi(family, rng))
        assert abs(terms.elbo + terms.kl - terms.log_evidence) <= terms.error
        agree(terms, 1e-8 + 1e-12 * abs(terms.elbo))


@over_families
@over_smooth
def test_terms_by_another_rule(target, family):
    """Each term against SciPy's tanh-sinh: q's own quantiles and p's scales are where its pieces end."""
    phi = family.at(torch.tensor(0.4), torch.tensor(0.8)).double() + 0.1
    terms = decompose(target, family, phi)
    if terms.elbo == -INF:
        return
    log_q = numpy_log(lambda z: family.log_prob(phi, z))
    joint, prior = numpy_log(target.log_prob), numpy_log(target.log_prior)
    likelihood = numpy_log(target.log_likelihood)
    p = lambda z: joint(z) - terms.log_evidence  # noqa: E731
    places = [
        *family.spread(phi).tolist(),
        *(30 + 0.2 * np.array([-8, -3, 0, 3, 8])),
        *np.linspace(-6, 6, 25),
        -0.1,
        -0.05,
        0.05,
        0.1,
        12.0,
    ]

    def expect(weight, g):
        return reference(lambda z: np.where(weight(z) > -740, np.exp(weight(z)) * g(z), 0.0), set(places))

    exact = {
        "elbo": expect(log_q, lambda z: joint(z) - log_q(z)),
        "joint": expect(log_q, joint),
        "entropy": expect(log_q, lambda z: -log_q(z)),
        "likelihood": expect(log_q, likelihood),
        "kl": expect(log_q, lambda z: log_q(z) - p(z)),
        "kl_prior": expect(log_q, lambda z: log_q(z) - prior(z)),
    }
    for name, value in exact.items():
        assert getattr(terms, name) == pytest.approx(value, rel=1e-9, abs=1e-9), name
    forward = forward_kl(target, family, phi)
    if forward < INF:
        assert forward == pytest.approx(expect(p, lambda z: p(z) - log_q(z)), rel=1e-7, abs=1e-8)


@over_families
def test_closed_entropies_and_moments(family):
    phi = family.at(torch.tensor(-1.3), torch.tensor(0.4)).double() + 0.05
    closed = family.entropy(phi)
    if closed is not None:
        assert decompose(Skewed(), family, phi).entropy == pytest.approx(float(closed), abs=1e-11)
    posterior = Formula(lambda z: family.log_prob(phi, z[:, None]))  # q as a target
    mean, sd = map(float, family.mean_sd(phi))
    found = moments(posterior)
    assert found.mean == pytest.approx(mean, abs=1e-10) and found.variance == pytest.approx(sd**2, rel=1e-9)
    terms = decompose(posterior, family, phi)
    assert terms.kl == pytest.approx(0.0, abs=1e-13) and terms.log_evidence == pytest.approx(0.0, abs=1e-11)
    assert forward_kl(posterior, family, phi) == pytest.approx(0.0, abs=1e-13)


def test_a_batch_of_numbers_is_no_surprise():
    """phi may be a list or a tensor that wants gradients; the answer is plain numbers either way."""
    listed = decompose(Skewed(), Gaussian(), [2.0, 0.1])
    wanted = decompose(
        Skewed(), Gaussian(), torch.tensor([2.0, 0.1], dtype=torch.float64, requires_grad=True)
    )
    assert listed == wanted and all(isinstance(term, float) for term in listed)


# ---- the golden numbers ----


@pytest.mark.parametrize(
    "row",
    list(csv.DictReader(GOLDEN.read_text().splitlines())),
    ids=lambda row: f"{row['target']} {row['quantity']}",
)
def test_golden(row):
    target = getattr(targets, row["target"][:-2])()
    found = {
        "kl": lambda: decompose(target, Gaussian(), [float(row["q_mean"]), math.log(float(row["q_sd"]))]).kl,
        "mean": lambda: moments(target).mean,
        "sd": lambda: math.sqrt(moments(target).variance),
    }[row["quantity"]]()
    assert found == pytest.approx(float(row["value"]), abs=float(row["tolerance"]))


@pytest.mark.parametrize(
    ("target", "start", "kl", "mean", "sd"),
    [
        (Skewed(), (2.0, 1.4), 0.0217, 2.18, 1.55),
        (TwoModes(), (2.0, 1.2), 0.2753, 1.94, 1.28),
        (TwoModes(), (-3.0, 0.7), 1.3584, -2.93, 0.78),
        (EqualModes(), (2.5, 0.8), 0.690, None, None),
        (EqualModes(), (-2.5, 0.8), 0.690, None, None),
    ],
)
def test_the_best_gaussians(target, start, kl, mean, sd):
    """No move of a ten-thousandth does better."""
    from scipy.optimize import minimize

    best = minimize(
        lambda phi: decompose(target, Gaussian(), phi.tolist()).kl,
        [start[0], math.log(start[1])],
        method="Nelder-Mead",
        options={"xatol": 1e-6, "fatol": 1e-12},
    )
    assert best.fun == pytest.approx(kl, abs=6e-4 if kl == 0.690 else 6e-5)
    if mean is not None:
        assert (best.x[0], math.exp(best.x[1])) == pytest.approx((mean, sd), abs=0.006)


@pytest.mark.parametrize("target", [Skewed(), TwoModes(), EqualModes()], ids=repr)
def test_forward_kl_is_least_at_the_moments(target):
    mean, variance = moments(target)
    best = [float(mean), 0.5 * math.log(variance)]
    least = forward_kl(target, Gaussian(), best)
    for shift in ([1e-3, 0], [-1e-3, 0], [0, 1e-3], [0, -1e-3]):
        moved = [best[0] + shift[0], best[1] + shift[1]]
        assert forward_kl(target, Gaussian(), moved) > least


# ---- infinite and undefined ----


@pytest.mark.parametrize("df", [1.0, 1.5, 2.0])
def test_a_heavy_tail_is_infinitely_far_from_a_gaussian(df):
    for phi in ([0.0, 0.0], [3.0, 2.0], [0.0, 10.0]):
        assert forward_kl(Student(df=df), Gaussian(), phi) == INF
    assert forward_kl(Cauchy(), Gaussian(), [0.0, 0.0]) == INF
    assert forward_kl(Cauchy(), LaplaceQ(), [0.0, 0.0]) == INF
    assert forward_kl(Student(df=2.0), LaplaceQ(), [0.0, 0.0]) < INF
    assert forward_kl(Student(df=df), MixtureOf2(), [0.0, -1.0, 1.0, 0.0, 3.0]) == INF


@pytest.mark.parametrize("df", [2.01, 2.1, 3.0, 10.0])
def test_just_finite_is_finite_and_right(df):
    """KL(t || N(0, s^2)) = -H(t) + log(s sqrt(2 pi)) + df / (df - 2) / (2 s^2)."""
    entropy = StudentQ(df=df).entropy(torch.tensor([0.0, 0.0], dtype=torch.float64))
    for log_sd in (0.0, 1.0):
        exact = (
            -float(entropy)
            + log_sd
            + 0.5 * math.log(2 * math.pi)
            + 0.5 * df / (df - 2) * math.exp(-2 * log_sd)
        )
        assert forward_kl(Student(df=df), Gaussian(), [0.0, log_sd]) == pytest.approx(exact, rel=1e-10)
    assert moments(Student(df=df)).variance == pytest.approx(df / (df - 2), rel=1e-10)


def test_moments_that_do_not_exist():
    assert math.isnan(moments(Cauchy()).mean) and math.isnan(moments(Cauchy()).variance)
    assert moments(Student(df=2.0)).mean == pytest.approx(0.0, abs=1e-12)
    assert moments(Student(df=2.0)).variance == INF
    assert moments(Spike(centre=30.0, sd=0.2)).variance == pytest.approx(0.04, rel=1e-9)
    half = Formula(lambda z: torch.where(z > 0, -2 * torch.log1p(z.abs()), -INF))
    assert moments(half).mean == INF and math.isnan(moments(half).variance)


def test_mass_where_p_has_none():
    """q beyond p's border: the ELBO is -inf and both halves say so; the other direction is finite."""
    for f in (
        steps,
        lambda z: torch.where(z > 0.3, -2 * (z - 0.3), -INF),
        lambda z: 0.5 * torch.log(1 - z**2),
    ):
        terms = decompose(Formula(f), Gaussian(), [0.5, 0.0])
        assert terms.elbo == terms.joint == terms.likelihood == -INF and terms.kl == INF
        assert math.isfinite(terms.entropy) and math.isfinite(terms.kl_prior) and terms.error < 1e-8
        assert 0 < forward_kl(Formula(f), Gaussian(), [0.5, 0.0]) < INF


def test_a_student_q_under_light_tails():
    """E_q z^2 is infinite from 2 degrees of freedom down, and so is the bound; above, it is a number."""
    for df in (1.0, 2.0):
        terms = decompose(Skewed(), StudentQ(df=df), [1.0, 0.0])
        assert (
            terms.elbo == -INF and terms.kl == INF and terms.kl_prior == INF and math.isfinite(terms.entropy)
        )
    terms = decompose(ConjugateGaussian(), StudentQ(df=2.01), [0.0, 0.0])
    exact = -0.5 * (math.log(2 * math.pi) + 201 + 4)
    assert terms.likelihood == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize(
    ("scale", "finite"), [(0.9, True), (0.97, True), (0.99, True), (1.0, False), (1.5, False)]
)
def test_a_laplace_q_at_the_log_gammas_wall(scale, finite):
    """E_q e^z = 1 / (1 - scale^2), infinite from 1 on, although e^z leaves the floats at 709."""
    terms = decompose(LogGamma(), LaplaceQ(), [0.0, math.log(scale)])
    if not finite:
        assert terms.elbo == -INF
        return
    exact = -1 / (1 - scale**2) - math.lgamma(3) - 3.2
    assert terms.joint == pytest.approx(exact, abs=max(1e-8, terms.joint.error))
    assert terms.joint == pytest.approx(exact, rel=1e-3)


# ---- Renyi ----


def gaussian_renyi(alpha, mean, sd, centre, width):
    """D_alpha(N(mean, sd^2) || N(centre, width^2)) (Gil, Alajaji and Linder, 2013)."""
    mixed = alpha * width**2 + (1 - alpha) * sd**2
    if mixed <= 0:
        return INF
    ratio = math.log(width / sd) + math.log(width**2 / mixed) / (2 * (alpha - 1))
    return ratio + 0.5 * alpha * (mean - centre) ** 2 / mixed


@pytest.mark.parametrize("alpha", [0.05, 0.3, 0.5, 0.9, 0.9995, 1.0002, 1.1, 2.0, 5.0])
@pytest.mark.parametrize(("mean", "sd"), [(1.8, 0.9), (0.0, 0.5), (2.0, 1.5), (1.0, 3.0)])
def test_renyi_of_two_gaussians(alpha, mean, sd):
    target = ConjugateGaussian()
    exact = gaussian_renyi(alpha, mean, sd, *target.posterior())
    bound, divergence = renyi(target, Gaussian(), [mean, math.log(sd)], alpha)
    assert divergence == pytest.approx(exact, rel=1e-9, abs=1e-9)
    assert bound == pytest.approx(target.log_evidence() - exact, rel=1e-9, abs=1e-9)
    if exact < INF:
        assert abs(divergence - exact) <= 10 * divergence.error + 1e-13


@over_smooth
def test_renyi_passes_through_the_elbo(target):
    terms = decompose(target, Gaussian(), [0.5, 0.3])
    bound, divergence = renyi(target, Gaussian(), [0.5, 0.3], 1.0)
    assert bound == pytest.approx(terms.elbo, rel=1e-11) and divergence == pytest.approx(terms.kl, rel=1e-10)
    bounds = [
        renyi(target, Gaussian(), [0.5, 0.3], alpha).bound
        for alpha in (0.0, 0.3, 0.7, 0.9991, 1.0, 1.0009, 1.5)
    ]
    assert bounds[0] == pytest.approx(terms.log_evidence, abs=1e-9)
    assert all(one >= two - 1e-9 for one, two in itertools.pairwise(bounds))


def test_renyi_of_negative_order_is_an_upper_bound():
    target = ConjugateGaussian()
    assert renyi(target, Gaussian(), [1.0, 0.5], -1.0).bound > target.log_evidence()


# ---- coverage ----


def test_coverage():
    mean, sd = ConjugateGaussian().posterior()
    for level in (0.5, 0.9, 0.99):
        assert coverage(ConjugateGaussian(), Gaussian(), [mean, math.log(sd)], level) == pytest.approx(
            level, abs=1e-12
        )
    z = norm.ppf(0.95)
    assert coverage(Cauchy(), Gaussian(), [0.0, 0.0]) == pytest.approx(2 * math.atan(z) / math.pi, abs=1e-12)
    one = coverage(EqualModes(distance=20.0), Gaussian(), [10.0, math.log(0.8)])
    assert one == pytest.approx(0.45, abs=1e-12)  # 90 % of one mode of two
    assert coverage(Spike(), LaplaceQ(), [5.0, -3.0]) == pytest.approx(0.0, abs=1e-12)


@over_families
def test_coverage_of_draws(family):
    """The share of 200,000 draws from p that fall into q's interval."""
    phi = family.at(torch.tensor(1.0), torch.tensor(1.0)).double() + 0.1
    rng = np.random.default_rng(0)
    z = np.where(rng.random(200_000) < 0.7, rng.normal(1.6, 1.2, 200_000), rng.normal(3.6, 1.6, 200_000))
    low, high = family.quantile(phi, torch.tensor([0.05, 0.95], dtype=torch.float64)).tolist()
    assert coverage(Skewed(), family, phi) == pytest.approx(((z > low) & (z < high)).mean(), abs=0.004)
    assert kstest(z[:100], norm(2.2, 1.6).cdf).statistic < 0.2  # the draws are p's


# ---- numbers with errors ----


def test_an_integral_is_a_number():
    number = Integral(1.5, 1e-9)
    assert number == 1.5 and number.error == 1e-9 and number + 1 == 2.5 and Integral(2.0).error == 0.0
    assert f"{number:.2f}" == "1.50"
    back = pickle.loads(pickle.dumps(number))
    assert back == 1.5 and back.error == 1e-9


def test_per_datum_divides_the_error_too():
    terms = decompose(Skewed(), Gaussian(), [2.0, 0.0])
    halved = terms.per(2)
    assert halved.error == terms.error / 2 and halved.elbo == terms.elbo / 2
    assert divergences.Decomposition(*range(7)).error == 0.0


def test_errors_are_told_for_every_term():
    for target, family in itertools.product(NAMED, FAMILIES):
        terms = decompose(target, family, family.at(torch.tensor(0.5), torch.tensor(0.3)).double())
        if terms.elbo == -INF:
            continue
        assert 0 < terms.error < 1e-8 * max(1.0, abs(terms.elbo))
        assert terms.error >= sum(term.error for term in terms[:7]) * 0.999


def test_reported_errors_hold():
    """Gaussian q, Gaussian p: every error told is at least a tenth of the true one."""
    rng = np.random.default_rng(3)
    for _ in range(200):
        knobs = dict(zip(("prior_sd", "noise_sd"), np.exp(rng.uniform(-2, 2, 2)), strict=True))
        target = ConjugateGaussian(**knobs, x=rng.uniform(-8, 8))
        mean, sd = rng.uniform(-5, 5), math.exp(rng.uniform(-3, 1))
        terms = decompose(target, Gaussian(), [mean, math.log(sd)])
        for name, exact in closed_forms(target, mean, sd).items():
            found = getattr(terms, name)
            assert abs(found - exact) <= 10 * found.error + 4e-16 * abs(exact), name


def test_only_q_moves_when_q_moves():
    """p is looked at once for equal targets, however often q changes."""
    calls = []

    class Counted(Formula):
        def __eq__(self, other):
            return isinstance(other, Counted)

        def __hash__(self):
            return 1

    def f(z):
        calls.append(len(z))
        return normal(z, 0.0, 1.0)

    decompose(Counted(f), Gaussian(), [0.0, 0.0])
    first = sum(calls)
    calls.clear()
    decompose(Counted(f), Gaussian(), [0.1, 0.0])
    assert 0 < sum(calls) < 0.25 * first


# ---- found by attack ----


@pytest.mark.parametrize("seed", range(60))
def test_borders_are_found_wherever_they_lie(seed):
    """A border between a panel's end and its outermost node was missed by both rules."""
    rng = np.random.default_rng(seed)
    centre, width = rng.uniform(-50, 50), 10 ** rng.uniform(-1.3, 1.5)
    box = Formula(lambda z: torch.where((z - centre).abs() < width, 0.0, -1e9))
    told = log_evidence(box)
    assert abs(told - math.log(2 * width)) <= 10 * told.error + 1e-11
    cut = centre + width * rng.uniform(-2, 2)
    half = Formula(lambda z: torch.where(z > cut, normal(z, centre, width), -1e9))
    told = log_evidence(half)
    assert abs(told - norm.logsf((cut - centre) / width)) <= 10 * told.error + 1e-11


def test_a_kl_of_nothing_is_not_chased_into_its_rounding():
    """Where every Gaussian fit of a Gaussian ends: panels were cut there without end."""
    target, asked = ConjugateGaussian(), []

    class Counted(ConjugateGaussian):
        def log_terms(self, z):
            asked.append(len(z))
            return target.log_terms(z)

    mean, variance = moments(target)
    for off in (0.0, 1e-8, 1e-7, 1e-6):
        asked.clear()
        terms = decompose(Counted(), Gaussian(), [mean + off, 0.5 * math.log(variance)])
        assert sum(asked) < 20_000
        assert terms.kl == pytest.approx(off**2 / (2 * variance), abs=1e-16)


@pytest.mark.parametrize("order", [0.9992, 0.9995, 1.0005, 1.0008])
def test_renyi_near_order_one_neither_breaks_nor_saturates(order):
    """Against the closed form of two Gaussians (Gil, Alajaji and Linder, 2013)."""
    sd, apart = 0.02, 30.0
    target, rest = Spike(centre=apart, sd=sd), 1.0 - order
    variance = order * sd**2 + rest * 1.0
    told = renyi(target, Gaussian(), [0.0, 0.0], order)
    if variance <= 0.0:
        assert told.divergence == math.inf
        return
    logs = math.log(math.sqrt(variance) / (1.0**rest * sd**order)) / rest
    exact = order * apart**2 / (2 * variance) + logs
    assert told.divergence == pytest.approx(exact, rel=1e-8)
    assert told.bound == pytest.approx(-3.2 - exact, rel=1e-8)


def test_renyi_above_order_one_says_infinite_however_near():
    for order in (1.0005, 1.0011):
        told = renyi(Skewed(), LaplaceQ(), [0.5, 0.3], order)
        assert (told.bound, told.divergence) == (-math.inf, math.inf)


def test_narrow_modes_far_apart_meet_in_a_kink_that_is_found():
    """Between them log p is the larger of two parabolas, but for 1e-4 of z: in closed form."""
    distance, sd = 20.0, 0.05
    told = decompose(targets.EqualModes(distance=distance, sd=sd), Gaussian(), [0.0, 0.0])
    half, slope = 0.5 * distance, distance / sd**2  # log p = that of the nearer mode + log(1 + e^-slope |z|)
    nearer = -3.2 - math.log(2 * sd * math.sqrt(2 * math.pi))
    away = half**2 - 2 * half * math.sqrt(2 / math.pi) + 1.0  # E (|z| - half)^2
    both = 2 * (math.pi**2 / 12) / slope / math.sqrt(2 * math.pi)  # q is flat there
    elbo = nearer - away / (2 * sd**2) + both + 0.5 * math.log(2 * math.pi * math.e)
    assert told.elbo == pytest.approx(elbo, abs=1e-7)


def test_what_leaves_the_floats_takes_nothing_from_a_wide_q():
    """exp(-e^z) ends near z = 709; q's own integrals go on."""
    wide = decompose(LogGamma(), Gaussian(), [0.0, math.log(500.0)])
    assert wide.entropy == pytest.approx(0.5 * math.log(2 * math.pi * math.e) + math.log(500.0), abs=1e-8)
    assert math.isfinite(wide.kl_prior) and wide.elbo == -math.inf and wide.kl == math.inf
    assert forward_kl(LogGamma(), Gaussian(), [0.0, math.log(1e4)]) == pytest.approx(9.204485, abs=1e-6)


@pytest.mark.parametrize("phi", [[math.nan, 0.0], [0.0], [0.0, 0.0, 0.0], [math.inf, 0.0]])
def test_numbers_that_are_no_q_are_refused(phi):
    for ask in (decompose, forward_kl):
        with pytest.raises(ValueError, match="all finite: mean, log sd"):
            ask(Skewed(), Gaussian(), phi)
    with pytest.raises(ValueError, match="finite order"):
        renyi(Skewed(), Gaussian(), [0.0, 0.0], math.nan)
    with pytest.raises(ValueError, match="between 0 and 1"):
        coverage(Skewed(), Gaussian(), [0.0, 0.0], 1.5)


@pytest.mark.parametrize(
    ("spike", "place", "sd", "nats"),
    [
        ("(z - 100.3)**2", 100.3, 1e-4, 5.0),
        ("(z - sqrt(2))**2", math.sqrt(2.0), 1e-5, 10.0),
        ("(2*z/3 - 4)**2*9/4", 6.0, 1e-6, 12.0),
        ("((z + 3e5)/pi)**2*pi**2", -3e5, 1e-4, 8.0),
    ],
)
def test_a_spike_that_the_formula_names_is_found(spike, place, sd, nats):
    """However narrow, on a background of its own; the sum of both Gaussians' masses is the evidence."""
    target = Typed(expression=f"logaddexp(-z**2/2, {nats} - {spike}/(2*{sd}**2))")
    assert any(abs(found - place) <= 1e-12 * abs(place) for found in target.places())
    found = log_evidence(target)
    mass = math.sqrt(2 * math.pi) * (1.0 + sd * math.exp(nats))
    assert found == pytest.approx(math.log(mass), abs=max(1e-8, found.error))


def test_what_a_large_log_density_loses_is_in_the_error():
    found = log_evidence(Typed(expression="1e12 - z**2/2"))
    assert abs(found - 1e12 - 0.5 * math.log(2 * math.pi)) <= found.error < 0.01


def test_a_tail_too_heavy_for_a_narrow_q_is_infinite():
    """Also where log q leaves the floats before p's tail ends; Student 3 has a variance: finite."""
    for sd in (1.0, 1e-3, 5e-5, 1e-5):
        assert forward_kl(Cauchy(), Gaussian(), [0.0, math.log(sd)]) == math.inf
        assert math.isfinite(forward_kl(Student(), Gaussian(), [0.0, math.log(sd)]))
