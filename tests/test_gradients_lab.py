"""The lab of gradients: every estimator's mean against the exact gradient, and the surprises as numbers."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from lvmviz.algorithms.gradient_ascents import GradientAscents
from lvmviz.core import fold_in, generator
from lvmviz.evidence import GaussianLatents, NearPosterior
from lvmviz.evidence.weights import marks
from lvmviz.families import Gaussian, LaplaceQ, MixtureOf2
from lvmviz.gradients import (
    Estimator,
    Exact,
    Gaussians,
    GumbelSoftmax,
    Integrand,
    NormalELBO,
    Reparameterized,
    ScoreFunction,
    Square,
    States,
    StateSquare,
    StepUp,
    StickingTheLanding,
    StraightThrough,
    TargetELBO,
    Wiggly,
    gradient,
    log_evidence,
)
from lvmviz.gradients.lab import (
    against_dimension,
    bias,
    estimates,
    measured_bias,
    moments,
    refusal,
    rows,
)
from lvmviz.gradients.rows import BASELINES
from lvmviz.runs.execute import run
from lvmviz.runs.job import Job
from lvmviz.targets import EqualModes, Laplace, Skewed, TwoModes

MANY = 400_000
ESTIMATORS = [
    *(ScoreFunction(draws=8, baseline=baseline) for baseline in BASELINES),
    Reparameterized(draws=8),
    StickingTheLanding(draws=8),
    GumbelSoftmax(draws=8),
    StraightThrough(draws=8),
    Exact(),
]
INTEGRANDS = [
    Square(),
    StepUp(threshold=0.3),
    Wiggly(frequency=3.0),
    NormalELBO(log_evidence=-2.0),
    TargetELBO(),
    TargetELBO(target=Laplace()),
    StateSquare(),
    StateSquare(states=5, point=0.3),
]
over_integrands = pytest.mark.parametrize("integrand", INTEGRANDS, ids=repr)
over_estimators = pytest.mark.parametrize("estimator", ESTIMATORS, ids=repr)


def place(q, mean: float = 0.6, sd: float = 0.8) -> torch.Tensor:
    """A phi where no gradient is 0."""
    if isinstance(q, Gaussians):
        return q.at(mean, sd)
    return torch.linspace(mean, 1.0, len(q.names), dtype=torch.float64)


# ---- the contract ----


@over_integrands
@over_estimators
def test_unbiased_ones_are_and_biased_ones_say_so(estimator, integrand):
    """The mean of 5000 estimates against the exact gradient, within 4.5 standard errors or clearly beyond."""
    q = integrand.q()
    phi = place(q)
    if refusal(estimator, integrand):
        with pytest.raises(ValueError, match="choose"):
            estimates(estimator, integrand, q, phi, 1, 3)
        return
    off, error = measured_bias(estimator, integrand, q, phi, 5, 5000)
    if bias(estimator, integrand):
        assert (off.abs() > 4.5 * error).any() and (off.abs() > 1e-3).any()
    else:
        assert (off.abs() <= 4.5 * error + 1e-12).all()


@over_estimators
def test_what_is_biased_for_every_f_says_so(estimator):
    relaxed = isinstance(estimator, (GumbelSoftmax, StraightThrough))
    assert estimator.biased == (relaxed or getattr(estimator, "baseline", "") == "mean")
    assert all(bias(estimator, f) for f in INTEGRANDS) == estimator.biased


def test_every_registered_estimator_and_integrand_is_here():
    assert {type(e) for e in ESTIMATORS} == set(Estimator.options.values())
    assert {type(f) for f in INTEGRANDS} == set(Integrand.options.values())


def test_the_mean_baseline_s_bias_is_its_share():
    """(S - 1) / S of the gradient: off by -1/8 of it with 8 draws."""
    q, phi = Gaussians(), Gaussians().at(0.6, 0.8)
    off, error = measured_bias(ScoreFunction(draws=8, baseline="mean"), Square(), q, phi, 2, 20_000)
    assert ((off + gradient(Square(), q, phi) / 8).abs() < 4.5 * error).all()


def test_a_cooler_relaxation_has_less_bias_and_more_variance():
    q, phi, f = States(), torch.tensor([0.6], dtype=torch.float64), StateSquare()
    found = [moments(GumbelSoftmax(temperature=t), f, q, phi, 3, MANY) for t in (0.1, 0.2, 0.5)]
    off = [abs(float(mean - gradient(f, q, phi))) for mean, _ in found]
    assert off[0] < 0.7 * off[1] < 0.6 * off[2]
    assert float(found[0][1]) > 1.5 * float(found[1][1]) > 1.5 * float(found[2][1])


def test_gumbel_softmax_is_the_gradient_of_a_softened_expectation():
    """Two states: E[f] over a logistic variable, by SciPy's integral and a difference."""
    f, t = StateSquare(), 0.7

    def softened(logit: float) -> float:
        def integrand(x: float) -> float:
            z = 1 / (1 + math.exp(-(logit + x) / t))
            return stats.logistic.pdf(x) * (z - 0.45) ** 2

        return integrate.quad(integrand, -40, 40, epsabs=1e-13, limit=200)[0]

    wanted = (softened(0.6 + 1e-4) - softened(0.6 - 1e-4)) / 2e-4
    mean, variance = moments(
        GumbelSoftmax(temperature=t), f, States(), torch.tensor([0.6], dtype=torch.float64), 3, MANY
    )
    assert float(mean) == pytest.approx(wanted, abs=4.5 * math.sqrt(float(variance) / MANY))


# ---- exact expectations ----


@pytest.mark.parametrize("q", [Gaussians(), Gaussian(), MixtureOf2(), LaplaceQ()], ids=repr)
@pytest.mark.parametrize("integrand", INTEGRANDS[:6], ids=repr)
def test_expectations_are_scipy_s_integrals(integrand, q):
    if not (isinstance(q, (Gaussians, Gaussian)) or isinstance(integrand, TargetELBO)) and (
        isinstance(q, LaplaceQ) or integrand.of_q
    ):
        with pytest.raises(ValueError, match="no closed form under this q"):
            integrand.expectation(q, torch.zeros(len(q.names)).double())
        return
    phi = torch.tensor([0.4, -0.5, 0.9, -0.2, 0.1][: len(q.names)], dtype=torch.float64)
    f = integrand.f(q)

    def value(z: float) -> float:
        here = torch.tensor([[z]], dtype=torch.float64)
        return float(q.log_prob(phi, here).exp() * f(phi, here))

    wanted, _ = integrate.quad(value, -15, 15, points=[-1.0, 0.0, 0.3, 0.4, 1.0], limit=400, epsabs=1e-11)
    assert float(integrand.expectation(q, phi)) == pytest.approx(wanted, abs=1e-7)


def test_states_have_their_closed_form():
    """Two states: d/dlogit E[f] = s (1 - s) (f(1) - f(0))."""
    phi = torch.tensor([0.6], dtype=torch.float64)
    s = 1 / (1 + math.exp(-0.6))
    assert float(gradient(StateSquare(), States(), phi)) == pytest.approx(s * (1 - s) * (0.55**2 - 0.45**2))
    q = States(4)
    phi = torch.tensor([0.1, -1.0, 0.7], dtype=torch.float64)
    z = q.sample(phi, torch.randn(MANY, 4, generator=generator(1), dtype=torch.float64))
    share = q.probabilities(phi)
    assert ((z.mean(0) - share).abs() < 4.5 * (share * (1 - share) / MANY).sqrt()).all()
    assert torch.allclose(q.log_prob(phi, torch.eye(4).double()).exp(), share)


@pytest.mark.parametrize("dim", [1, 3])
def test_products_are_their_coordinates(dim):
    q = Gaussians(dim)
    phi = torch.linspace(-1, 1, 2 * dim, dtype=torch.float64)
    noise = torch.randn(5, dim, generator=generator(1), dtype=torch.float64)
    z, (mean, sd) = q.sample(phi, noise), (phi[:dim].numpy(), phi[dim:].exp().numpy())
    assert np.allclose(z, mean + sd * noise.numpy())
    assert np.allclose(q.log_prob(phi, z), stats.norm.logpdf(z, mean, sd).sum(-1))
    assert float(q.entropy(phi)) == pytest.approx(stats.norm.entropy(mean, sd).sum())
    assert torch.allclose(q.at(0.5, 2.0), torch.tensor([0.5] * dim + [math.log(2)] * dim).double())


def test_too_many_dimensions_are_refused():
    with pytest.raises(ValueError, match="at most 1 dimensions"):
        TargetELBO().q(2)
    with pytest.raises(ValueError, match="choose one with one"):
        TargetELBO(target=next(t() for t in _plane())).expectation(Gaussians(), torch.zeros(2).double())


def _plane():
    from lvmviz.targets import Target

    return [cls for cls in Target.options.values() if cls.dim == 2] or [_Plane]


class _Plane(Laplace):
    dim = 2


# ---- the surprises, as numbers ----


def total(estimator, integrand, q, phi) -> float:
    """Variance per draw over all of phi."""
    return float(moments(estimator, integrand, q, phi, 7, MANY)[1].sum())


@pytest.mark.parametrize(("mean", "sd"), [(1.0, 1.0), (-2.0, 0.5)])
def test_a_square_s_variances(mean, sd):
    """Golden: d/dmean of z^2, score mean^4/sd^2 + 14 mean^2 + 15 sd^2, reparameterization 4 sd^2."""
    q, phi = Gaussians(), Gaussians().at(mean, sd)
    score = moments(ScoreFunction(baseline="none"), Square(), q, phi, 7, MANY)[1][0]
    path = moments(Reparameterized(), Square(), q, phi, 7, MANY)[1][0]
    assert float(score) == pytest.approx(mean**4 / sd**2 + 14 * mean**2 + 15 * sd**2, rel=0.03)
    assert float(path) == pytest.approx(4 * sd**2, rel=0.01)


def test_a_mean_baseline_raises_the_variance():
    """Golden: 75/25 with q = N(0, 1), d/dmean: 3.04 without, 4.60 with; the optimal one is below both."""
    f = TargetELBO(target=TwoModes())
    q, phi = f.q(), Gaussians().at(0.0, 1.0)
    found = {
        name: float(moments(ScoreFunction(baseline=name), _plus(f, 3.2), q, phi, 7, MANY)[1][0])
        for name in BASELINES
    }
    assert found["none"] == pytest.approx(3.04, abs=0.05)
    assert found["mean"] == pytest.approx(4.60, abs=0.07)
    assert found["leave one out"] == pytest.approx(4.60, abs=0.07)
    assert found["optimal"] < found["none"]


def _plus(integrand: Integrand, constant: float):
    """The same f with log p(x) = 0."""

    class Shifted:
        discrete, smooth, of_q = False, True, True

        def f(self, q):
            inner = integrand.f(q)
            return lambda phi, z: inner(phi, z) + constant

    return Shifted()


def test_the_optimal_baseline_is_the_best_constant():
    """f = z^2: b* = E[f s^2] / E[s^2] leaves less variance than any constant tried, in each number."""
    q, phi = Gaussians(), Gaussians().at(1.0, 0.7)
    best = moments(ScoreFunction(baseline="optimal"), Square(), q, phi, 7, MANY)[1]
    noise = torch.randn(MANY, 1, generator=generator(8), dtype=torch.float64)
    z = q.sample(phi, noise)[:, 0]
    score = torch.stack([noise[:, 0] / 0.7, noise[:, 0] ** 2 - 1], -1)
    star = (z[:, None] ** 2 * score**2).mean(0) / (score**2).mean(0)
    wanted = ((z[:, None] ** 2 - star) * score).var(0)
    assert torch.allclose(best, wanted, rtol=0.03)
    for b in np.linspace(0, 6, 25):
        assert (((z[:, None] ** 2 - b) * score).var(0) > 0.98 * best).all()


def test_reparameterization_loses_on_a_wiggle():
    """Golden: summed over mean and log sd, 188 times the score function's variance."""
    q, phi = Gaussians(), Gaussians().at(0.0, 1.0)
    ratio = total(Reparameterized(), Wiggly(), q, phi) / total(
        ScoreFunction(baseline="none"), Wiggly(), q, phi
    )
    assert ratio == pytest.approx(188, rel=0.02)


def test_sticking_the_landing_loses_far_away():
    """Golden: N(0, I_2), q at mean (3, 3) and sd .1: 998 times reparameterization's variance."""
    q, phi = Gaussians(2), Gaussians(2).at(3.0, 0.1)
    path, stuck = (total(e, NormalELBO(), q, phi) for e in (Reparameterized(), StickingTheLanding()))
    assert stuck / path == pytest.approx(998, rel=0.02)


@pytest.mark.parametrize("dim", [1, 2, 50])
def test_sticking_the_landing_is_exactly_zero_at_the_posterior(dim):
    q, phi = Gaussians(dim), Gaussians(dim).at(0.0, 1.0)
    noise = torch.randn(500, dim, generator=generator(1), dtype=torch.float64)
    assert not rows(StickingTheLanding(), NormalELBO(), q, phi, noise).any()
    assert rows(Reparameterized(), NormalELBO(), q, phi, noise).any()


def test_log_p_of_x_is_noise_without_a_baseline():
    """d = 2, q a unit away: with log p(x) 50 more, far noisier; with a baseline of the others alike."""
    q = Gaussians(2)
    phi = torch.tensor([1.0, 0.0, 0.0, 0.0], dtype=torch.float64)
    plain, shifted = (
        total(ScoreFunction(baseline="none"), NormalELBO(log_evidence=shift), q, phi) for shift in (0.0, 50.0)
    )
    assert shifted > 100 * plain
    one, other = (
        total(ScoreFunction(baseline="leave one out"), NormalELBO(log_evidence=shift), q, phi)
        for shift in (0.0, 50.0)
    )
    assert one == pytest.approx(other, rel=1e-6)


def test_against_dimension():
    """z^2: reparameterization's variance grows like d, the score function's like d^3."""
    dims = (1, 10, 100)
    path = against_dimension(Reparameterized(), Square(), dims, 1.0, 1.0, 3, 20_000)
    score = against_dimension(ScoreFunction(baseline="none"), Square(), dims, 1.0, 1.0, 3, 20_000)
    assert (path[1:] / path[:-1]).tolist() == pytest.approx([10, 10], rel=0.1)
    assert float(score[2] / score[1]) > 500
    one = moments(ScoreFunction(baseline="none"), Square(), Gaussians(), Gaussians().at(1.0, 1.0), 3, MANY)[1]
    assert float(score[0]) == pytest.approx(float(one.sum()), rel=0.15)


def test_a_step_has_no_slope():
    q, phi = Gaussians(), Gaussians().at(0.0, 1.0)
    assert not rows(Reparameterized(), StepUp(), q, phi, torch.ones(3, 1).double()).any()
    assert float(gradient(StepUp(), q, phi)[0]) == pytest.approx(1 / math.sqrt(2 * math.pi))


def test_a_mixture_moves_implicitly():
    """E z^2 under two Gaussians, all five numbers: through the draw and its score, against closed form."""
    q, phi = MixtureOf2(), torch.tensor([0.4, -0.5, 0.9, -0.2, 0.1], dtype=torch.float64)
    exact = gradient(Square(), q, phi)
    for estimator in (Reparameterized(), ScoreFunction()):
        mean, variance = moments(estimator, Square(), q, phi, 3, 40_000)
        assert ((mean - exact).abs() < 4.5 * (variance / 40_000).sqrt()).all()


# ---- batches ----


def test_a_batch_of_places_is_each_of_them():
    q, means = Gaussians(), torch.linspace(-2, 2, 5, dtype=torch.float64)
    phi = q.at(means, 0.5)
    assert phi.shape == (5, 2)
    for estimator in ESTIMATORS[:6]:
        mean, variance = moments(estimator, Square(), q, phi, 3, 5000)
        for i in range(5):
            alone = moments(estimator, Square(), q, phi[i], 3, 5000)
            assert torch.allclose(mean[i], alone[0]) and torch.allclose(variance[i], alone[1])


def test_chunks_do_not_show(monkeypatch):
    """Three chunks of the same draws: the same numbers but for rounding."""
    q, phi = Gaussians(3), Gaussians(3).at(0.5, 0.8)
    whole = moments(Reparameterized(), Square(), q, phi, 3, 3072)
    many = estimates(ScoreFunction(draws=16), Square(), q, phi, 3, 48)
    monkeypatch.setattr("lvmviz.gradients.lab.MEMORY", 6 * 1024)
    parts = moments(Reparameterized(), Square(), q, phi, 3, 3072)
    for one, other in zip(whole, parts, strict=True):
        assert torch.allclose(one, other, rtol=1e-10)
    assert torch.allclose(many, estimates(ScoreFunction(draws=16), Square(), q, phi, 3, 48), rtol=1e-10)
    noise = torch.randn(3072, 3, generator=generator(fold_in(3, 0)), dtype=torch.float64)
    assert torch.allclose(whole[1], rows(Reparameterized(), Square(), q, phi, noise).var(-2), rtol=1e-10)


def test_straight_through_takes_the_slope_at_the_state():
    """Two states: 2 (z - t) at the drawn z, times s (1 - s) / temperature of the softened choice."""
    phi, noise = torch.tensor([0.6], dtype=torch.float64), torch.randn(40, 2, generator=generator(1)).double()
    gumbel = -torch.log(-torch.special.log_ndtr(noise))
    raised = 0.6 + gumbel[:, 1] - gumbel[:, 0]
    z, soft = (raised > 0).double(), torch.sigmoid(raised / 0.3)
    told = rows(StraightThrough(temperature=0.3), StateSquare(), States(), phi, noise)[:, 0]
    assert torch.allclose(told, 2 * (z - 0.45) * soft * (1 - soft) / 0.3)
    through = rows(GumbelSoftmax(temperature=0.3), StateSquare(), States(), phi, noise)[:, 0]
    assert torch.allclose(through, 2 * (soft - 0.45) * soft * (1 - soft) / 0.3)


def test_exact_estimates_do_not_scatter():
    found = estimates(Exact(), Wiggly(), Gaussians(), Gaussians().at(0.3, 0.5), 1, 4)
    assert found.shape == (4, 2) and not found.std(0).any()
    assert torch.equal(found[0], gradient(Wiggly(), Gaussians(), Gaussians().at(0.3, 0.5)))
    mean, variance = moments(Exact(), Wiggly(), Gaussians(), Gaussians().at(0.3, 0.5), 1, 4)
    assert torch.equal(mean, found[0]) and not variance.any()


# ---- runs ----


@pytest.mark.parametrize("estimator", ESTIMATORS[:6] + [Exact()], ids=repr)
def test_twenty_runs_climb_to_the_posterior(estimator):
    algorithm = GradientAscents(estimator=estimator)
    last = run(Job(algorithm, steps=300, seed=2))[-1]
    assert last.state.phi.shape == (20, 2)
    assert float(last.state.phi.mean(0).abs().max()) < 0.25
    assert last.info.most <= 1e-12  # log p(x) = 0 is the roof
    # at the posterior f is log p(x) = 0 for every draw: only the plain path still has its score
    assert (last.info.spread > 1e-3) == isinstance(estimator, Reparameterized)


def test_no_baseline_does_not_land_where_log_p_of_x_is_far_from_0():
    f = NormalELBO(log_evidence=10.0)
    plain, better = (
        run(Job(GradientAscents(integrand=f, estimator=ScoreFunction(baseline=b)), steps=300, seed=2))[
            -1
        ].info
        for b in ("none", "optimal")
    )
    assert plain.spread > 0.1 and better.spread < 0.05


def test_a_step_is_the_rate_times_the_estimate():
    algorithm = GradientAscents(estimator=Exact(), integrand=Square(), downwards=True, rate=0.1, runs=2)
    state, info = algorithm.init(1)
    new, _ = algorithm.step(2, state)
    assert torch.allclose(new.phi, state.phi - 0.1 * gradient(Square(), Gaussians(), state.phi))
    assert info.mean == pytest.approx(2.0**2 + 1)


@pytest.mark.parametrize(
    "estimator", [ScoreFunction(), GumbelSoftmax(), StraightThrough(), Exact()], ids=repr
)
def test_two_states_are_climbed_too(estimator):
    """From log odds 0 to the state farther from the point; the biased ones get there all the same."""
    algorithm = GradientAscents(integrand=StateSquare(), estimator=estimator, mean=0.0, rate=2.0)
    last = run(Job(algorithm, steps=150, seed=1))[-1]
    assert float(last.state.phi.median()) > 1.0


def test_what_cannot_climb_says_so():
    with pytest.raises(ValueError, match="a state cannot move"):
        run(Job(GradientAscents(integrand=StateSquare(), estimator=Reparameterized()), steps=1))
    with pytest.raises(ValueError, match="for discrete latents"):
        GumbelSoftmax().per_draw(Skewed(), Gaussian(), torch.zeros(2).double(), torch.zeros(3, 1).double())


# ---- before the trick: the gradient of log E[p(x | z)] ----


@pytest.mark.parametrize("dimension", [1, 5])
def test_the_ratio_of_averages_is_biased_as_the_bound_says(dimension):
    model, counts = GaussianLatents(dimension=dimension), marks(300, 6)
    found = log_evidence.ratio(model, 3, 4000, counts)
    error = found.std(0) / math.sqrt(4000)
    for at, count in enumerate(counts.tolist()):
        wanted = log_evidence.expected_ratio(model, count)
        assert float(found[:, at].mean()) == pytest.approx(wanted, abs=4.5 * float(error[at]))
    assert log_evidence.expected_ratio(model, 1) == pytest.approx(dimension * 1.5 / 0.25, rel=1e-6)
    assert log_evidence.expected_ratio(model, 300) > log_evidence.exact(model) + 4.5 * float(error[-1]) * (
        dimension > 1
    )


def test_the_ratio_is_a_ratio_of_two_averages():
    model, counts = GaussianLatents(dimension=2), torch.tensor([1, 4, 50])
    found = log_evidence.ratio(model, 3, 7, counts)
    slope, log_w = log_evidence._draws(model, log_evidence.FromPrior(), 3, 7, 50)
    for at, k in enumerate(counts.tolist()):
        w = log_w[:, :k].exp()
        assert torch.allclose(found[:, at], (w * slope[:, :k]).mean(-1) / w.mean(-1), rtol=1e-9)


def test_its_exact_values_are_differences():
    model = GaussianLatents(dimension=3, offset=0.7, noise=0.4)
    up, down = (GaussianLatents(dimension=3, offset=0.7 - t, noise=0.4).log_evidence() for t in (1e-5, -1e-5))
    assert log_evidence.exact(model) == pytest.approx((up - down) / 2e-5, rel=1e-7)


@pytest.mark.parametrize("width", [0.5, 1.0, 2.0])
def test_the_elbo_s_gradient_is_unbiased_at_every_k(width):
    model, q = GaussianLatents(dimension=2), NearPosterior(width=width)
    found = log_evidence.elbo(model, q, 3, 4000, torch.tensor([1, 10, 100]))
    error = found.std(0) / math.sqrt(4000)
    assert ((found.mean(0) - log_evidence.exact_elbo(model, q)).abs() < 4.5 * error).all()
    assert log_evidence.exact_elbo(model, q) == pytest.approx(log_evidence.exact(model))
    aside = NearPosterior(width=width, shift=1.0)
    assert log_evidence.exact_elbo(model, aside) < log_evidence.exact(model) - 1.0


def test_far_modes_have_a_gradient_of_their_own():
    """The exact gradient of page 2's ELBO, at a q on neither mode, is that of its midpoint rule."""
    f, q, phi = TargetELBO(target=EqualModes()), Gaussians(), Gaussians().at(0.7, 1.1)
    z = torch.linspace(-20, 20, 400_001, dtype=torch.float64)[:, None]
    leaf = phi.clone().requires_grad_()
    log_q = q.log_prob(leaf, z)
    value = (log_q.exp() * (EqualModes().log_prob(z) - log_q)).sum() * 1e-4
    wanted = torch.autograd.grad(value, leaf)[0]
    assert torch.allclose(gradient(f, q, phi), wanted, atol=1e-7)
