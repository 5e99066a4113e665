"""Posteriors on the line: normalized, stable in the tails, prior and likelihood what they are said to be."""

import math

import mpmath
import numpy as np
import pytest
import scipy.stats as ss
import torch
from scipy.integrate import tanhsinh

from lvmviz import targets
from lvmviz.core import choice, knobs
from lvmviz.targets import (
    Cauchy,
    ConjugateGaussian,
    Density,
    EqualModes,
    Laplace,
    LogGamma,
    SigmoidDecoder,
    Skewed,
    Spike,
    Student,
    Target,
    TwoModes,
)

PRESETS = [cls for cls in Target.options.values() if cls.__module__ == "lvmviz.targets" and cls.dim == 1]
DENSITIES = [cls for cls in PRESETS if issubclass(cls, Density)]
FAR = [1e3, 1e6, 1e30, 1e100, 1e150]

over_presets = pytest.mark.parametrize("cls", PRESETS, ids=lambda cls: cls.__name__)
over_densities = pytest.mark.parametrize("cls", DENSITIES, ids=lambda cls: cls.__name__)


def at(values) -> torch.Tensor:
    return torch.as_tensor(values, dtype=torch.float64).unsqueeze(-1)


def corners(cls: type[Target]) -> list[Target]:
    """The defaults, and every knob at either end."""
    ends = [cls(**{name: end}) for name, meta in knobs(cls).items() for end in (meta.low, meta.high)]
    return [cls(), *ends]


def mass(target: Target, places: list[float]) -> float:
    """The density's integral by SciPy's tanh-sinh rule, between places where something happens."""
    ends = np.array([-np.inf, *sorted(places), np.inf])
    found = tanhsinh(lambda z: np.exp(target.log_density(at(z)).numpy()), ends[:-1], ends[1:], atol=1e-11)
    return float(found.integral.sum())


def interesting(target: Target) -> list[float]:
    match target:
        case Spike():
            return [target.centre + k * target.sd for k in (-30, -8, -3, 0, 3, 8, 30)]
        case TwoModes():
            left = 2.0 - target.distance
            return [left - 6, left, left + 3, 2.0, 6.0, 12.0]
        case EqualModes():
            half = target.distance / 2
            return sorted({side * half + k * target.sd for side in (-1, 1) for k in (-9, -3, 0, 3, 9)})
        case LogGamma():
            return [-60.0, -10.0, 0.0, math.log(target.shape), 5.0]
        case Laplace():
            return [-30 * target.scale, -3 * target.scale, 0.0, 3 * target.scale, 30 * target.scale]
    return [-3.0, 0.0, 3.0]


def test_the_presets_of_the_page_are_there():
    names = {"Skewed", "TwoModes", "EqualModes", "Student", "Cauchy", "LogGamma", "Spike", "Laplace"}
    assert {cls.__name__ for cls in PRESETS} == names | {"SigmoidDecoder", "ConjugateGaussian"}
    assert {cls.__name__ for cls in DENSITIES} == names


@over_densities
def test_densities_integrate_to_one(cls):
    for target in corners(cls):
        assert mass(target, interesting(target)) == pytest.approx(1.0, abs=2e-8), target


@over_presets
def test_shapes(cls):
    for shape in ((), (3,), (2, 3)):
        z = torch.zeros(*shape, 1, dtype=torch.float64)
        for f in (cls().log_prob, cls().log_prior, cls().log_likelihood):
            assert f(z).shape == shape and f(z).dtype == torch.float64


@over_presets
def test_never_nan_however_far(cls):
    z = at([0.0, *FAR, *(-far for far in FAR)])
    for target in corners(cls):
        for f in (target.log_prob, target.log_prior):
            assert not (torch.isnan(f(z)) | torch.isposinf(f(z))).any(), target
        assert not torch.isnan(target.log_likelihood(z)).any(), target


@over_presets
def test_tails_fall_as_far_as_the_floats_go(cls):
    side = at(FAR)
    for z in (side, -side):
        heights = cls().log_prob(z)
        assert (heights[1:] <= heights[:-1]).all() and heights[-1] < -600


@over_presets
def test_joint_is_prior_times_likelihood(cls):
    z = at(torch.linspace(-6.0, 6.0, 41))
    for target in corners(cls):
        joint, prior, likelihood = target.log_prob(z), target.log_prior(z), target.log_likelihood(z)
        torch.testing.assert_close(joint, prior + likelihood, rtol=1e-14, atol=1e-12)
        for one, two in zip(target.log_terms(z), (joint, prior, likelihood), strict=True):
            torch.testing.assert_close(one, two, rtol=0, atol=0)


@over_densities
def test_a_density_alone_gets_prior_and_evidence(cls):
    z = at(torch.linspace(-5.0, 5.0, 21))
    np.testing.assert_allclose(cls().log_prior(z), ss.norm.logpdf(z[:, 0], 0, 3), rtol=1e-14)
    np.testing.assert_allclose(cls().log_prob(z), cls().log_density(z) - 3.2, rtol=1e-15)


@over_presets
def test_gradients_agree_with_differences(cls):
    z = at([-4.31, -1.7, -0.33, 0.012, 0.71, 1.83, 3.17]).requires_grad_()
    (slope,) = torch.autograd.grad(cls().log_prob(z).sum(), z)
    with torch.no_grad():
        step = 1e-6
        differences = (cls().log_prob(z + step) - cls().log_prob(z - step)) / (2 * step)
    torch.testing.assert_close(slope[:, 0], differences, rtol=1e-6, atol=1e-6)


# ---- against SciPy ----

GRID = np.linspace(-9, 9, 181)
MIX = [
    (Skewed(), [(0.7, 1.6, 1.2), (0.3, 3.6, 1.6)]),
    (TwoModes(), [(0.75, 2.0, 1.2), (0.25, -3.0, 0.7)]),
    (TwoModes(weight=0.4, distance=7.5), [(0.4, 2.0, 1.2), (0.6, -5.5, 0.7)]),
    (EqualModes(), [(0.5, -2.5, 0.8), (0.5, 2.5, 0.8)]),
    (Spike(centre=1.5, sd=0.2), [(1.0, 1.5, 0.2)]),
]


@pytest.mark.parametrize(("target", "parts"), MIX, ids=lambda v: repr(v)[:30])
def test_normals_and_their_mixtures(target, parts):
    exact = [mpmath.fsum(w * mpmath.npdf(mpmath.mpf(z), m, s) for w, m, s in parts) for z in GRID.tolist()]
    exact = np.array([mpmath.log(density) for density in exact], float)
    np.testing.assert_allclose(target.log_density(at(GRID)), exact, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("target", "reference"),
    [
        (Student(), ss.t(3)),
        (Student(df=1.0), ss.cauchy()),
        (Student(df=17.5), ss.t(17.5)),
        (Cauchy(), ss.cauchy()),
        (Laplace(), ss.laplace()),
        (Laplace(scale=0.3), ss.laplace(scale=0.3)),
        (LogGamma(), ss.loggamma(3)),
        (LogGamma(shape=0.5), ss.loggamma(0.5)),
    ],
    ids=lambda value: repr(value).partition(" object at")[0],
)
def test_named_densities(target, reference):
    np.testing.assert_allclose(target.log_density(at(GRID)), reference.logpdf(GRID), rtol=1e-11, atol=1e-12)


def test_student_is_a_power_law_to_the_end():
    """SciPy's own overflows here: the exponent is df + 1 for each decade."""
    z = at([1e100, 1e120, 1e140])
    drops = np.diff(Student(df=3.0).log_density(z).numpy()) / math.log(1e20)
    np.testing.assert_allclose(drops, -4.0, rtol=1e-13)


def test_sigmoid_decoder_of_the_note():
    target = SigmoidDecoder(a=1.5, b=-2.0, c=0.3, d=0.7, x=1.1)
    for z in (-2.0, 0.0, 1.3):
        mean = 1 / (1 + math.exp(-(1.5 * z + 0.3)))
        variance = math.exp(1 / (1 + math.exp(-(-2.0 * z + 0.7))))
        likelihood = ss.norm.logpdf(1.1, mean, math.sqrt(variance))
        assert float(target.log_likelihood(at([z]))) == pytest.approx(likelihood, rel=1e-13)
        assert float(target.log_prior(at([z]))) == pytest.approx(ss.norm.logpdf(z), rel=1e-13)


def test_sigmoid_decoder_shows_what_it_is_for():
    """Its default posterior is no Gaussian, so that a gap remains for the page to show."""
    z = np.linspace(-5, 5, 4001)
    weight = np.exp(SigmoidDecoder().log_prob(at(z)).numpy())
    weight /= weight.sum()
    mean = (weight * z).sum()
    sd = math.sqrt((weight * (z - mean) ** 2).sum())
    gap = (weight * (np.log(weight / (z[1] - z[0])) - ss.norm.logpdf(z, mean, sd))).sum()
    assert gap > 0.05


@pytest.mark.parametrize("target", corners(ConjugateGaussian), ids=repr)
def test_conjugate_gaussian_in_closed_form(target):
    mean, sd = target.posterior()
    z = at(mean + sd * np.linspace(-5, 5, 11))
    posterior = target.log_prob(z) - target.log_evidence()
    np.testing.assert_allclose(posterior, ss.norm.logpdf(z[:, 0], mean, sd), rtol=1e-9, atol=1e-9)


def test_knobs_move_what_they_name():
    assert float(TwoModes(weight=0.9).log_density(at([2.0]))) > float(
        TwoModes(weight=0.5).log_density(at([2.0]))
    )
    for distance in (3.0, 9.0):
        heights = TwoModes(distance=distance).log_density(at(GRID))
        left = GRID[GRID < 0.5][heights[GRID < 0.5].argmax()]
        assert left == pytest.approx(2.0 - distance, abs=0.15)
    assert float(Spike(centre=30.0).log_density(at([30.0]))) == pytest.approx(ss.norm.logpdf(0, 0, 0.02))


def test_another_target_is_one_class():
    saved = dict(Target.options)
    try:

        @choice
        class Flat(Target):
            """A flat one."""

            dim = 1

            def log_prob(self, z):
                return 0 * z[..., 0]

            log_prior = log_prob

        assert Target.options["Flat"] is Flat and targets.Target is Target
    finally:
        Target.options.clear()
        Target.options.update(saved)
