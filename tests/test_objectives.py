"""Objectives against SciPy's integrals of other formulas, closed forms, draws and finite differences."""

import math
from collections.abc import Callable

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from scipy import integrate, stats

from lvmviz import quadrature
from lvmviz.algorithms.best_fit import best_fit
from lvmviz.core import each
from lvmviz.families import Family, Gaussian, LaplaceQ, Line, MixtureOf2, SinhArcsinh, StudentQ
from lvmviz.nodes import noise_rule, over_q, quantiles
from lvmviz.objectives import IWAE, ForwardKL, Objective, Renyi, ReverseKL
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
)

LOG_Z = -3.2  # of every posterior given by its density alone
OBJECTIVES = [
    ReverseKL(),
    ForwardKL(),
    Renyi(),
    Renyi(alpha=0.0),
    Renyi(alpha=1.00001),
    Renyi(alpha=1.2),
    IWAE(),
    IWAE(draws=64),
]
FAMILIES = list(each(Line))
MIXTURES = {  # weight, (mean, sd), (mean, sd)
    Skewed(): (0.7, (1.6, 1.2), (3.6, 1.6)),
    TwoModes(): (0.75, (2.0, 1.2), (-3.0, 0.7)),
    EqualModes(): (0.5, (-2.5, 0.8), (2.5, 0.8)),
}
ids = {"ids": lambda value: repr(value) if not isinstance(value, float) else f"{value:g}"}


def phis(*pairs: tuple[float, float]) -> torch.Tensor:
    """Gaussian phi (B, 2) from means and sds."""
    means, sds = torch.tensor(pairs, dtype=torch.float64).T
    return torch.stack([means, sds.log()], -1)


def around(family: Family, means: list[float], sds: list[float], jitter: float = 0.2) -> torch.Tensor:
    """Some phi (B, P) of any family, none of them special."""
    at = family.at(torch.tensor(means, dtype=torch.float64), torch.tensor(sds, dtype=torch.float64))
    return at + jitter * torch.sin(torch.arange(at.numel(), dtype=torch.float64)).reshape(at.shape)


def log_mixture(
    z: np.ndarray, weight: float, one: tuple[float, float], two: tuple[float, float]
) -> np.ndarray:
    return np.logaddexp(
        math.log(weight) + stats.norm.logpdf(z, *one), math.log1p(-weight) + stats.norm.logpdf(z, *two)
    )


def pieces(f: Callable[[np.ndarray], np.ndarray], edges: list[float]) -> float:
    """The integral of f over adjoining pieces, within which it is smooth, by Gauss and Legendre's nodes."""
    parts = zip(edges[:-1], edges[1:], strict=True)
    return sum(float(integrate.fixed_quad(f, a, b, n=500)[0]) for a, b in parts)


# ---- the golden numbers ----


@pytest.mark.parametrize(
    ("target", "mean", "variance", "kl", "digit"),
    [(Skewed(), 2, 2, 0.0312, 1e-4), (Skewed(), -4, 0.75, 11.057, 1e-3), (TwoModes(), 2, 2, 0.285, 1e-3)],
)
def test_the_golden_divergences(target, mean, variance, kl, digit):
    elbo = ReverseKL().value(target, Gaussian(), phis((mean, math.sqrt(variance))))
    assert LOG_Z - float(elbo[0]) == pytest.approx(kl, abs=digit)


def test_forward_kl_is_best_at_the_moments():
    """75/25 has mean .75 and sd 2.43, the equal modes sd 2.625: nothing near is better."""
    for target, mean, sd in (
        (TwoModes(), 0.75, math.sqrt(5.89)),
        (EqualModes(), 0.0, math.sqrt(0.64 + 6.25)),
    ):
        phi = phis((mean, sd)).requires_grad_()
        (gradient,) = torch.autograd.grad(ForwardKL().value(target, Gaussian(), phi).sum(), phi)
        assert gradient.abs().max() < 1e-5
        near = phi.detach() + torch.tensor([[0.01, 0.0], [-0.01, 0.0], [0.0, 0.01], [0.0, -0.01]])
        assert (
            ForwardKL().value(target, Gaussian(), near) < ForwardKL().value(target, Gaussian(), phi)
        ).all()


# ---- against SciPy ----


@pytest.mark.parametrize("target", MIXTURES, **ids)
@pytest.mark.parametrize(("family", "q"), [
    (Gaussian(), lambda m, s: stats.norm(m, s)),
    (StudentQ(df=5.0), lambda m, s: stats.t(5.0, m, s * math.sqrt(3 / 5))),
    (LaplaceQ(), lambda m, s: stats.laplace(m, s / math.sqrt(2))),
], ids=["Gaussian", "Student", "Laplace"])  # fmt: skip
def test_elbo_and_divergences_against_independent_formulas(target, family, q):
    for mean, sd in ((1.9, 1.3), (-2.0, 0.6), (0.3, 0.9)):

        def log_p(z):
            return log_mixture(z, *MIXTURES[target])  # noqa: B023

        law, phi = q(mean, sd), family.at(*torch.tensor([[mean], [sd]], dtype=torch.float64))
        points = [mean + k * sd for k in (-6, -2, 0, 2, 6)]
        kl = pieces(lambda z: law.pdf(z) * (law.logpdf(z) - log_p(z)), [-60, *points, 60])  # noqa: B023
        beyond = 2e-4 if isinstance(family, StudentQ) else 1e-7  # what a Student has beyond 60
        assert float(ReverseKL().value(target, family, phi)[0]) == pytest.approx(LOG_Z - kl, abs=beyond)
        forward = pieces(lambda z: np.exp(log_p(z)) * (log_p(z) - law.logpdf(z)), [-30, *points, 30])  # noqa: B023
        assert float(ForwardKL().value(target, family, phi)[0]) == pytest.approx(-forward, abs=1e-7)
        half = pieces(lambda z: np.exp(0.5 * (log_p(z) + law.logpdf(z))), [-90, *points, 90])  # noqa: B023
        assert float(Renyi().value(target, family, phi)[0]) == pytest.approx(
            LOG_Z + 2 * math.log(half), abs=1e-7
        )


def test_forward_kl_of_a_heavy_tail_in_closed_form():
    """E_p z^2 = 3 for Student's t with 3 degrees of freedom, which a fixed box misses."""
    cross = 0.5 * math.log(2 * math.pi * 4.0) + 3.0 / 8.0
    value = ForwardKL().value(Student(), Gaussian(), phis((0.0, 2.0)))
    assert float(value[0]) == pytest.approx(stats.t(3).entropy() - cross, abs=1e-8)


@pytest.mark.parametrize("target", [Cauchy(), Student(df=2.0), Student(df=1.3)], **ids)
def test_forward_kl_is_infinite_where_q_has_lighter_tails(target):
    assert ForwardKL().value(target, Gaussian(), phis((0, 1), (3, 20))).tolist() == [-math.inf] * 2
    assert ForwardKL().value(target, StudentQ(df=2.0), phis((0, 1))).isfinite().all()


def test_the_elbo_is_infinite_where_q_has_heavier_tails():
    """E_q e^z is infinite for a Student's q, and E_q z^2 for one with at most two degrees of freedom."""
    assert ReverseKL().value(LogGamma(), StudentQ(), phis((0, 1))).tolist() == [-math.inf]
    assert ReverseKL().value(Skewed(), StudentQ(df=2.0), phis((0, 1))).tolist() == [-math.inf]
    assert ReverseKL().value(Skewed(), StudentQ(df=3.0), phis((0, 1))).isfinite().all()
    assert Renyi(alpha=2.0).value(Skewed(), Gaussian(), phis((2, 9))).tolist() == [-math.inf]
    assert Renyi(alpha=1.00001).value(Skewed(), LaplaceQ(), phis((2, 1))).tolist() == [-math.inf]


def test_everything_has_a_closed_form_when_conjugate():
    target = ConjugateGaussian()
    (m, s), log_z = target.posterior(), target.log_evidence()
    mean, sd = 0.4, 1.7
    q = phis((mean, sd), (m, s))
    kl = math.log(s / sd) + (sd**2 + (mean - m) ** 2) / (2 * s**2) - 0.5
    assert torch.allclose(
        ReverseKL().value(target, Gaussian(), q), torch.tensor([log_z - kl, log_z]).double(), atol=1e-12
    )
    forward = math.log(sd / s) + (s**2 + (mean - m) ** 2) / (2 * sd**2) - 0.5
    assert torch.allclose(
        ForwardKL().value(target, Gaussian(), q), torch.tensor([-forward, 0.0]).double(), atol=1e-12
    )
    for alpha in (0.0, 0.3, 0.5, 0.99999, 1.0, 1.1):
        mixed = alpha * s**2 + (1 - alpha) * sd**2
        divergence = math.log(s / sd) * 1.0 - 0.5 / (alpha - 1) * math.log(mixed / s**2) if alpha != 1 else kl
        if alpha != 1:
            divergence += 0.5 * alpha * (mean - m) ** 2 / mixed
        wanted = log_z - divergence if alpha != 0 else log_z
        value = Renyi(alpha=alpha).value(target, Gaussian(), q)
        assert value.tolist() == pytest.approx([wanted, log_z], abs=1e-9)
    for draws in (1, 2, 7, 1000):
        assert float(IWAE(draws=draws).value(target, Gaussian(), q)[1]) == pytest.approx(log_z, abs=1e-11)


# ---- the families of bounds ----


def test_renyi_falls_from_the_evidence_to_the_elbo_and_on():
    q = phis((1.0, 1.1))
    orders = [0.0, 0.2, 0.5, 0.9, 1.0, 1.1, 1.5]
    values = [float(Renyi(alpha=a).value(TwoModes(), Gaussian(), q)[0]) for a in orders]
    assert values == sorted(values, reverse=True) and len(set(values)) == len(values)
    assert values[0] == pytest.approx(LOG_Z, abs=1e-10)
    elbo = float(ReverseKL().value(TwoModes(), Gaussian(), q)[0])
    assert values[4] == pytest.approx(elbo, abs=1e-9)
    for step in (1e-3, 2e-4, 9e-5, 1e-6, 1e-9):  # either side of where the formula changes
        for order in (1 - step, 1 + step):
            assert float(Renyi(alpha=order).value(TwoModes(), Gaussian(), q)[0]) == pytest.approx(
                elbo, abs=20 * step
            )


def test_iwae_rises_from_the_elbo_to_the_evidence():
    q = phis((1.0, 1.1), (-3.0, 0.5), (0.0, 4.0))
    values = torch.stack([IWAE(draws=k).value(TwoModes(), Gaussian(), q) for k in (1, 2, 3, 10, 100, 1000)])
    assert torch.equal(values[0], ReverseKL().value(TwoModes(), Gaussian(), q))
    assert (values.diff(dim=0) > 0).all() and (values < LOG_Z).all()


@pytest.mark.parametrize(("mean", "sd"), [(1.0, 1.1), (1.5, 2.0)])
def test_iwae_of_two_draws_is_a_double_integral(mean, sd):
    e = np.linspace(-9, 9, 1201)
    weight = stats.norm.pdf(e) * (e[1] - e[0])
    z = mean + sd * e
    log_w = log_mixture(z, *MIXTURES[TwoModes()]) + LOG_Z - stats.norm.logpdf(z, mean, sd)
    pair = np.logaddexp(log_w[:, None], log_w[None]) - math.log(2)
    value = IWAE(draws=2).value(TwoModes(), Gaussian(), phis((mean, sd)))
    assert float(value[0]) == pytest.approx(float(weight @ pair @ weight), abs=1e-7)


@pytest.mark.parametrize("family", FAMILIES, **ids)
@pytest.mark.parametrize("draws", [1, 3, 30])
def test_iwae_agrees_with_its_draws(family, draws):
    phi, objective = around(family, [1.5, 0.0], [1.2, 1.0]), IWAE(draws=draws)
    repeats = 800 if isinstance(family, MixtureOf2) else 4000  # a mixture's draw is a root to find
    mean, error = objective.sampled(Skewed(), family, phi, key=5, repeats=repeats)
    exact = objective.value(Skewed(), family, phi)
    assert ((mean - exact).abs() < 4 * error).all() and (error < 0.2).all()
    assert torch.equal(objective.sampled(Skewed(), family, phi, key=5, repeats=repeats)[0], mean)
    assert not torch.equal(objective.sampled(Skewed(), family, phi, key=6, repeats=repeats)[0], mean)


@pytest.mark.parametrize("objective", [ReverseKL(), Renyi(), Renyi(alpha=1.0), IWAE()], **ids)
def test_surrogates_agree_with_the_values(objective):
    noise = torch.randn(200_000, 1, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    phi = phis((1.5, 1.2))
    surrogate = objective.surrogate(Skewed(), Gaussian(), phi, noise)
    assert float(surrogate - objective.value(Skewed(), Gaussian(), phi)) == pytest.approx(0.0, abs=0.01)


def test_draws_that_give_no_estimate_say_so():
    with pytest.raises(ValueError, match="expectation over p.*exact gradient"):
        ForwardKL().reduce(torch.zeros(8))
    with pytest.raises(ValueError, match="at least K = 5 draws: raise S or lower K"):
        IWAE(draws=5).reduce(torch.zeros(4))
    assert float(IWAE(draws=2).reduce(torch.tensor([0.0, 0.0, 2.0, 2.0, 99.0]))) == pytest.approx(1.0)


# ---- derivatives, batches, errors ----


@pytest.mark.parametrize("objective", OBJECTIVES, **ids)
@pytest.mark.parametrize("family", FAMILIES, **ids)
def test_gradients_against_finite_differences(objective, family):
    target = Student(df=4.0) if isinstance(objective, Renyi) and objective.alpha > 1 else Skewed()
    phi = around(family, [1.5], [1.1], jitter=0.05).requires_grad_()
    (gradient,) = torch.autograd.grad(objective.value(target, family, phi).sum(), phi)
    h = 1e-4
    for i in range(phi.shape[1]):
        step = torch.zeros_like(phi)
        step[0, i] = h
        with torch.no_grad():
            up, down, up2, down2 = (objective.value(target, family, phi + k * step) for k in (1, -1, 2, -2))
        slope = (8 * (up - down) - (up2 - down2)) / (12 * h)
        assert float(gradient[0, i]) == pytest.approx(float(slope), abs=3e-7)


@pytest.mark.parametrize("objective", OBJECTIVES, **ids)
@pytest.mark.parametrize("family", FAMILIES, **ids)
def test_a_batch_is_its_members(objective, family):
    phi = around(family, [1.5, -6.0, 3.0, 0.0], [1.1, 0.5, 2.5, 0.1])
    together = objective.value(TwoModes(), family, phi)
    alone = torch.cat([objective.value(TwoModes(), family, phi[i : i + 1]) for i in range(4)])
    assert together.shape == (4,)
    assert torch.equal(together.isfinite(), alone.isfinite())
    scale = 1 + alone.abs()
    tolerance = 1e-4 if isinstance(objective, IWAE) else 1e-12  # far from p, IWAE's steps are the widest's
    assert (((together - alone) / scale)[alone.isfinite()].abs() < tolerance).all()
    assert not alone[0].isfinite() or abs(float(together[0] - alone[0])) < 1e-12 * scale[0]


@settings(max_examples=150)
@given(
    target=st.sampled_from([target for target in each(Target) if target.dim == 1]),
    family=st.sampled_from([Gaussian(), StudentQ(), LaplaceQ(), SinhArcsinh(), MixtureOf2()]),
    mean=st.floats(-4, 4),
    log_sd=st.floats(-2, 1.2),
)
def test_elbo_is_adaptive_quadrature_s_within_the_error_told(target, family, mean, log_sd):
    phi = around(family, [mean], [math.exp(log_sd)])
    value, error = ReverseKL().value(target, family, phi), ReverseKL().error(target, family, phi)
    exact = quadrature.decompose(target, family, phi[0])
    if not math.isfinite(exact.elbo):
        assert float(value[0]) < -30 or not math.isfinite(value[0])
        return
    assert abs(float(value[0]) - exact.elbo) <= 2 * float(error[0]) + 10 * exact.error + 1e-11 * (
        1 + abs(exact.elbo)
    )
    rough = {"Laplace", "Formula", "Spike"} & {type(target).__name__}
    assert rough or float(error[0]) < 2e-3 * (1 + abs(exact.elbo))


@pytest.mark.parametrize(
    "target", [Skewed(), TwoModes(), Laplace(), Spike(), SigmoidDecoder(), Student()], **ids
)
@pytest.mark.parametrize("family", FAMILIES, **ids)
def test_the_other_objectives_agree_with_adaptive_quadrature(target, family):
    phi = around(family, [1.0, 0.2], [1.2, 0.5], jitter=0.05)
    for objective, exact in (
        (ForwardKL(), lambda row: -quadrature.forward_kl(target, family, row)),
        (Renyi(), lambda row: quadrature.renyi(target, family, row, 0.5).bound),
    ):
        values, errors = objective.value(target, family, phi), objective.error(target, family, phi)
        for row, value, error in zip(phi, values, errors, strict=True):
            wanted = exact(row)
            if math.isfinite(wanted):
                assert float(value) == pytest.approx(wanted, rel=1e-9, abs=1e-9 + float(error))
                assert float(error) < 1e-3


def test_a_kink_is_told_as_an_error_and_mended_with_care():
    phi = phis((0.3, 1.2))
    wanted = (
        -stats.norm.expect(np.abs, loc=0.3, scale=1.2) - math.log(2) + LOG_Z + stats.norm(0, 1.2).entropy()
    )
    assert float(ReverseKL().careful(Laplace(), Gaussian(), phi)[0]) == pytest.approx(wanted, abs=1e-8)
    off = abs(float(ReverseKL().value(Laplace(), Gaussian(), phi)[0]) - wanted)
    assert 1e-7 < off <= float(ReverseKL().error(Laplace(), Gaussian(), phi)[0]) * 1.01 < 1e-3


@pytest.mark.parametrize(("dim", "coarse"), [(1, False), (1, True), (2, False), (2, True)])
def test_the_noise_rule_integrates_a_normal(dim, coarse):
    nodes, log_weights = noise_rule(dim, coarse)
    weights, tolerance = log_weights.exp(), 1e-9 if not coarse else 1e-4
    assert nodes.shape == (len(weights), dim)
    for power, moment in ((0, 1.0), (1, 0.0), (2, 1.0), (4, 3.0), (6, 15.0)):
        for column in nodes.T:
            assert float(weights @ column**power) == pytest.approx(moment, abs=tolerance * (1 + moment))
    if dim == 2:
        assert float(weights @ (nodes[:, 0] ** 2 * nodes[:, 1] ** 2)) == pytest.approx(1.0, abs=tolerance)


def test_quantiles_of_the_posterior():
    shares = torch.tensor([0.05, 0.5, 0.9], dtype=torch.float64)
    assert quantiles(Spike(centre=7.0, sd=0.1), shares).tolist() == pytest.approx(
        stats.norm(7.0, 0.1).ppf(shares), abs=0.05
    )
    assert quantiles(Cauchy(), shares).tolist() == pytest.approx(stats.cauchy.ppf(shares), abs=0.5)


def test_values_are_constants_of_their_arguments():
    phi = phis((1.0, 1.0))
    before = phi.clone()
    for objective in each(Objective):
        first = objective.value(TwoModes(), Gaussian(), phi)
        assert torch.equal(objective.value(TwoModes(), Gaussian(), phi), first)
        assert first.dtype == torch.float64 and objective.error(TwoModes(), Gaussian(), phi).shape == (1,)
    assert torch.equal(phi, before)
    assert over_q(TwoModes(), Gaussian(), phi).log_weights.shape == (1, 185)


@pytest.mark.parametrize("target", [TwoModes(), Skewed()], ids=lambda t: type(t).__name__)
@pytest.mark.parametrize("draws", [2, 5])
def test_iwae_under_heavy_tails_is_what_draws_say(target, draws):
    """With Student's q the integral over log t reaches as far as 1e8: its steps were too wide for that."""
    objective, phi = IWAE(draws=draws), torch.tensor([[0.5, 0.3]], dtype=torch.float64)
    value, error = objective.value(target, StudentQ(), phi), objective.error(target, StudentQ(), phi)
    told, se = objective.sampled(target, StudentQ(), phi[0], 3, 40_000)
    assert abs(float(value) - float(told)) < 5 * float(se) + float(error)
    assert float(ReverseKL().value(target, StudentQ(), phi)) < float(value) < LOG_Z and float(error) < 1e-3


# ---- where ratios are huge ----


def two_draws(target: Target, family: Line, phi: torch.Tensor, low: float, high: float) -> float:
    """E[log of the mean of two ratios] by the midpoint rule on a square: nothing in common with Frullani."""
    count = 6000
    z = low + (high - low) * (torch.arange(count, dtype=torch.float64) + 0.5) / count
    log_q = family.log_prob(phi, z[:, None])
    log_w, q = target.log_prob(z[:, None]) - log_q, log_q.exp() * (high - low) / count
    return sum(
        float(q[k] * (q * (torch.logaddexp(log_w, log_w[k]) - math.log(2.0))).sum()) for k in range(count)
    )


@pytest.mark.parametrize(
    ("family", "phi", "ends"),
    [
        (Gaussian(), [2.0, math.log(10.0)], (-90.0, 94.0)),
        (Gaussian(), [-0.5, 0.0], (-10.0, 9.0)),
        (LaplaceQ(), [2.0, math.log(3.0)], (-60.0, 64.0)),
    ],
)
def test_iwae_with_care_is_the_double_integral_within_its_error(family, phi, ends):
    """A skewed posterior falls like e^-e^z: of a wide q's draws the ratios differ by thousands of nats."""
    q = torch.tensor(phi, dtype=torch.float64)
    careful = IWAE(draws=2).careful(Skewed(), family, q)
    wanted = two_draws(Skewed(), family, q, *ends)
    assert abs(careful - wanted) <= 3.0 * careful.error + 1e-4
    assert careful.error < 1e-3


@pytest.mark.parametrize(
    ("target", "family", "log_scale", "draws", "finite"),
    [
        (LogGamma(), StudentQ(), 0.0, 2, False),
        (LogGamma(), StudentQ(), 0.0, 20, False),
        (ConjugateGaussian(), StudentQ(df=1), 0.0, 2, False),
        (ConjugateGaussian(), StudentQ(df=1), 0.0, 4, True),
        (LogGamma(), LaplaceQ(), math.log(3.0), 3, False),
        (LogGamma(), LaplaceQ(), math.log(3.0), 4, True),
        (LogGamma(), Gaussian(), 1.0, 2, True),
    ],
)
def test_iwae_is_infinite_where_all_draws_may_fall_too_far(target, family, log_scale, draws, finite):
    """The highest of K ratios has tail^K / |z|: against z^2 or e^z that is not always enough."""
    q = torch.tensor([[0.0, log_scale]], dtype=torch.float64)
    objective = IWAE(draws=draws)
    for value in (float(objective.value(target, family, q)), objective.careful(target, family, q[0])):
        assert math.isfinite(value) if finite else value == -math.inf


def test_a_best_fit_that_no_q_has_says_so():
    with pytest.raises(ValueError, match="IWAE is infinite for every Student"):
        best_fit(LogGamma(), StudentQ(), IWAE(draws=5))


@pytest.mark.parametrize("alpha", [0.0, 0.5, 2.0, 5.0])
@pytest.mark.parametrize("sd", [0.3, 0.05])
def test_renyi_of_narrow_q_and_posterior(alpha, sd):
    """Where both logs leave the floats nothing is known and nothing counts; at q = p it is log p(x)."""
    target = ConjugateGaussian(prior_sd=sd, noise_sd=sd, x=0.0)
    q = torch.tensor([[0.0, math.log(sd / math.sqrt(2.0))]], dtype=torch.float64)
    value = float(Renyi(alpha=alpha).value(target, Gaussian(), q))
    assert value == pytest.approx(float(quadrature.log_evidence(target)), abs=1e-10)


def test_renyi_of_a_q_whose_log_leaves_the_floats():
    """Far away log q is -inf and log p is not: that is nothing, and no reason to be infinite."""
    target, q = ConjugateGaussian(), torch.tensor([[1.8, math.log(1e-5)]], dtype=torch.float64)
    value = float(Renyi(alpha=2.0).value(target, Gaussian(), q))
    assert value == pytest.approx(quadrature.renyi(target, Gaussian(), q[0], 2.0).bound, abs=1e-8)
