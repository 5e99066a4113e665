"""Variational inference: the golden optima, honest numbers, and runs that say when they are lost."""

import math

import numpy as np
import pytest
import scipy.optimize
import torch
from scipy import stats

from lvmviz import quadrature
from lvmviz.algorithms.best_fit import best_fit
from lvmviz.algorithms.vi import VI, VIState, landscape
from lvmviz.core import each, fold_in
from lvmviz.families import Gaussian, LaplaceQ, Line, MixtureOf2, StudentQ
from lvmviz.formula_targets import Formula
from lvmviz.gradients import Reparameterized, ScoreFunction
from lvmviz.objectives import IWAE, ForwardKL, Renyi, ReverseKL
from lvmviz.optimizers import LBFGS, Adam, GradientAscent, NaturalGradient, Optimizer
from lvmviz.targets import Cauchy, ConjugateGaussian, EqualModes, Laplace, LogGamma, Skewed, Target, TwoModes

LOG_Z = -3.2
MIXTURES = {
    Skewed(): (0.7, (1.6, 1.2), (3.6, 1.6)),
    TwoModes(): (0.75, (2.0, 1.2), (-3.0, 0.7)),
}


def run(algorithm: VI, steps: int, seed: int = 3) -> list[tuple]:
    """Every (state, info) until it is finished."""
    made = [algorithm.init(fold_in(seed, 0))]
    for step in range(1, steps + 1):
        if algorithm.finished(*made[-1]):
            break
        made.append(algorithm.step(fold_in(seed, step), made[-1][0]))
    return made


def kl_by_grid(target: Target, mean: float, sd: float) -> float:
    """KL(N(mean, sd^2) || p) by the trapezoidal rule on a dense grid, from SciPy's densities."""
    weight, one, two = MIXTURES[target]
    z = np.linspace(mean - 12 * sd, mean + 12 * sd, 4001)
    log_p = np.logaddexp(
        math.log(weight) + stats.norm.logpdf(z, *one), math.log1p(-weight) + stats.norm.logpdf(z, *two)
    )
    log_q = stats.norm.logpdf(z, mean, sd)
    return float(np.trapezoid(np.exp(log_q) * (log_q - log_p), z))


# ---- the best fit ----


@pytest.mark.parametrize(
    ("target", "kl", "mean", "sd"),
    [(Skewed(), 0.0217, 2.18, 1.55), (TwoModes(), 0.2753, 1.94, 1.28), (EqualModes(), 0.690, None, None)],
)
def test_the_golden_best_gaussians(target, kl, mean, sd):
    phi = best_fit(target, Gaussian())
    assert LOG_Z - float(ReverseKL().value(target, Gaussian(), phi[None])[0]) == pytest.approx(
        kl, abs=5.1e-4 if mean is None else 5.1e-5
    )
    if mean is not None:
        assert phi.tolist() == pytest.approx([mean, math.log(sd)], abs=0.006)


@pytest.mark.parametrize("target", MIXTURES, ids=repr)
def test_the_best_fit_is_scipy_s_on_another_integral(target):
    phi = best_fit(target, Gaussian())
    other = scipy.optimize.minimize(
        lambda x: kl_by_grid(target, x[0], math.exp(x[1])), phi.numpy() + 0.1, method="Nelder-Mead",
        options={"xatol": 1e-9, "fatol": 1e-15, "maxiter": 2000},
    )  # fmt: skip
    assert phi.tolist() == pytest.approx(other.x.tolist(), abs=1e-7)
    assert LOG_Z - quadrature.decompose(target, Gaussian(), phi).elbo == pytest.approx(other.fun, abs=1e-12)


@pytest.mark.parametrize("family", list(each(Line)), ids=lambda f: type(f).__name__)
@pytest.mark.parametrize(
    "target", [Skewed(), TwoModes(), Laplace(), ConjugateGaussian()], ids=lambda t: type(t).__name__
)
def test_the_best_fit_leaves_no_gradient(target, family):
    leaf = best_fit(target, family)[None].requires_grad_()
    (gradient,) = torch.autograd.grad(ReverseKL().careful(target, family, leaf).sum(), leaf)
    flat = (
        1e-6 if isinstance(family, MixtureOf2) and target == ConjugateGaussian() else 1e-8
    )  # one part is enough
    assert float(gradient.norm()) < flat


def test_the_best_fit_is_the_posterior_where_the_family_has_it():
    mean, sd = ConjugateGaussian().posterior()
    assert best_fit(ConjugateGaussian(), Gaussian()).tolist() == pytest.approx([mean, math.log(sd)], abs=1e-9)
    assert best_fit(Laplace(), LaplaceQ()).tolist() == pytest.approx([0.0, 0.0], abs=1e-8)
    assert best_fit(Cauchy(), StudentQ(df=1.0)).tolist() == pytest.approx([0.0, 0.0], abs=1e-6)
    fit = best_fit(TwoModes(), MixtureOf2())
    assert sorted(fit[1:3].tolist()) == pytest.approx([-3.0, 2.0], abs=1e-7)


def test_forward_kl_fits_the_moments():
    assert best_fit(TwoModes(), Gaussian(), ForwardKL()).tolist() == pytest.approx(
        [0.75, 0.5 * math.log(5.89)], abs=1e-8
    )
    phi = best_fit(EqualModes(), Gaussian(), ForwardKL())
    assert phi.exp()[1].item() == pytest.approx(2.62488, abs=1e-5) and abs(phi[0].item()) < 1e-8


def test_objectives_that_cover_more_are_wider():
    widths = [
        float(best_fit(TwoModes(), Gaussian(), o)[1])
        for o in (Renyi(alpha=2.0), ReverseKL(), Renyi(), ForwardKL())
    ]
    assert widths == sorted(widths) and widths[0] < widths[-1] - 0.5
    assert float(best_fit(TwoModes(), Gaussian(), IWAE())[1]) > widths[1]


def test_the_best_fit_is_handed_out_as_a_copy():
    best_fit(Skewed(), Gaussian()).zero_()
    assert float(best_fit(Skewed(), Gaussian())[0]) == pytest.approx(2.1757, abs=1e-4)


def test_a_family_that_cannot_fit_says_so():
    with pytest.raises(
        ValueError, match="infinite for every Student tried on Log-gamma: choose a family with other tails"
    ):
        best_fit(LogGamma(), StudentQ())
    with pytest.raises(ValueError, match="Forward KL is infinite for every Gaussian tried on Cauchy"):
        best_fit(Cauchy(), Gaussian(), ForwardKL())


def test_the_landscape_is_the_elbo_at_each_place():
    means, sds = torch.linspace(-5, 5, 7), torch.tensor([0.3, 1.0, 2.0])
    for family in each(Line):
        grid = landscape(TwoModes(), family, means, sds)
        assert grid.shape == (3, 7) and not grid.requires_grad
        for row, sd in enumerate(sds.double()):
            exact = [
                quadrature.decompose(TwoModes(), family, family.at(mean, sd)).elbo for mean in means.double()
            ]
            assert grid[row].tolist() == pytest.approx(exact, abs=2e-3)


# ---- runs ----


@pytest.mark.parametrize(
    "optimizer", [Adam(), LBFGS(), NaturalGradient(), GradientAscent(step_size=0.5)], ids=repr
)
def test_every_optimizer_arrives(optimizer):
    (state, info) = run(VI(optimizer=optimizer, mean=-1.0, tolerance=1e-4), 800)[-1]
    assert info.status == "converged" and info.settled == 8 and info.grad_norm < 1e-4
    assert state.phi[0].tolist() == pytest.approx(best_fit(Skewed(), Gaussian()).tolist(), abs=1e-3)


@pytest.mark.parametrize("optimizer", [LBFGS(), NaturalGradient()], ids=repr)
def test_what_measures_is_monotone_and_quick(optimizer):
    trace = run(VI(target=TwoModes(), optimizer=optimizer, starts=64), 60)
    values = torch.stack([state.value for state, _ in trace])
    assert (values.diff(dim=0) >= -1e-13 * values[:-1].abs()).all()
    assert len(trace) < 60 and trace[-1][1].lost == 0


def test_many_starts_fall_into_the_two_optima():
    """75/25: .2753 at (1.94, 1.28) and 1.3584 at (-2.93, .78)."""
    state, info = run(VI(target=TwoModes(), optimizer=LBFGS(), starts=64), 100)[-1]
    high, low = torch.tensor([1.94, math.log(1.28)]), torch.tensor([-2.93, math.log(0.78)])
    near_high, near_low = (((state.phi - optimum).abs() < 0.01).all(-1) for optimum in (high, low))
    assert (near_high | near_low).all() and near_high.sum() > 5 and near_low.sum() > 5
    assert (LOG_Z - state.value[near_high]).tolist() == pytest.approx(
        [0.2753] * int(near_high.sum()), abs=1e-4
    )
    assert (LOG_Z - state.value[near_low]).tolist() == pytest.approx([1.3584] * int(near_low.sum()), abs=1e-4)
    assert info.best == pytest.approx(LOG_Z - 0.27525, abs=1e-5) and bool(near_high[info.best_start])
    equal, _ = run(VI(target=EqualModes(), optimizer=LBFGS(), starts=64), 100)[-1]
    left = equal.phi[:, 0] < -2
    assert 5 < int(left.sum()) < 59
    assert (LOG_Z - equal.value[equal.phi[:, 0].abs() > 2]).tolist() == pytest.approx(
        [0.6903] * int((equal.phi[:, 0].abs() > 2).sum()), abs=1e-4
    )


@pytest.mark.parametrize(
    "gradient", [Reparameterized(), ScoreFunction(), ScoreFunction(baseline="none", draws=256)], ids=repr
)
@pytest.mark.parametrize(
    "optimizer", [Adam(step_size=0.03), LBFGS(), NaturalGradient(step_size=0.3)], ids=repr
)
def test_estimates_come_near_and_tell_exact_numbers(gradient, optimizer):
    trace = run(VI(gradient=gradient, optimizer=optimizer, starts=2, mean=-1.0), 150)
    _, info = trace[-1]
    assert info.elbo > LOG_Z - 0.25 and info.lost == 0
    for state, told in trace[::50]:
        exact = quadrature.decompose(Skewed(), Gaussian(), state.phi[0])
        assert (told.elbo, told.kl) == (float(exact.elbo), float(exact.kl))
        assert told.objective == pytest.approx(exact.elbo, abs=1e-7)


def test_different_keys_make_different_draws():
    algorithm = VI(gradient=Reparameterized(), starts=2)
    state, _ = algorithm.init(0)
    one, two, again = (algorithm.step(key, state)[0].phi for key in (1, 2, 1))
    assert torch.equal(one, again) and not torch.equal(one, two)


def test_the_numbers_of_a_step():
    trace = run(VI(optimizer=LBFGS(), starts=3, mean=0.5, sd=0.7), 4)
    for step, (state, info) in enumerate(trace):
        assert info.iteration == int(state.steps) == step
        assert info.objective == float(state.value[0]) and info.best == float(state.value.max())
        assert info.grad_norm == pytest.approx(float(state.gradient[0].norm()))
        assert {type(value) for value in info} <= {int, float, str}
        terms = info.evidence
        assert terms.elbo + terms.kl == pytest.approx(terms.log_evidence, abs=1e-9)
        assert terms.joint + terms.entropy == pytest.approx(terms.likelihood - terms.kl_prior, abs=1e-9)
        before = trace[step - 1][0].phi if step else state.phi
        assert info.move == pytest.approx(float((state.phi - before)[0].norm()))
    assert trace[0][0].phi[0].tolist() == pytest.approx([0.5, math.log(0.7)])


def test_starts_are_spread_evenly_and_the_same_each_time():
    algorithm = VI(starts=256, mean=1.0, sd=0.5, spread=6.0)
    state, _ = algorithm.init(0)
    assert torch.equal(state.phi, algorithm.init(99)[0].phi)
    means, ratio = state.phi[:, 0] - 1.0, state.phi[:, 1] - math.log(0.5)
    assert means.abs().max() <= 6.0 and ratio.abs().max() <= math.log(4.0)
    for column, width in ((means / 6.0, 2.0), (ratio / math.log(4.0), 2.0)):
        share = np.histogram(column, bins=8, range=(-1, 1))[0]
        assert share.min() >= 28 and share.max() <= 36 and width
    assert abs(np.corrcoef(means, ratio)[0, 1]) < 0.05
    assert torch.equal(VI(starts=16, mean=1.0, sd=0.5, spread=6.0).init(0)[0].phi, state.phi[:16])


@pytest.mark.parametrize("optimizer", list(each(Optimizer)), ids=repr)
def test_a_member_of_a_batch_runs_as_alone(optimizer):
    together = run(VI(optimizer=optimizer, starts=5), 6)[-1][0]
    alone = run(VI(optimizer=optimizer, starts=1), 6)[-1][0]
    assert torch.allclose(together.phi[0], alone.phi[0], rtol=1e-12, atol=1e-12)


def test_what_leaves_the_numbers_says_so_and_stays():
    """Steps of 10 x the gradient from far away overflow log sd; every state stays finite and is told."""
    trace = run(VI(optimizer=GradientAscent(step_size=10.0), mean=20.0, sd=0.1, starts=4), 60)
    assert trace[-1][1].lost > 0
    for state, info in trace:
        assert state.phi.isfinite().all() and state.value.isfinite().all() and state.gradient.isfinite().all()
        assert info.status in ("moving", "converged", "not finite") and all(
            math.isfinite(value) for value in info if not isinstance(value, str)
        )
        assert (info.status == "not finite") == bool(state.lost[0]) and info.lost == int(state.lost.sum())
    last, before = trace[-1][0], trace[-2][0]
    assert torch.equal(last.phi[before.lost], before.phi[before.lost])
    assert isinstance(last, VIState) and (last.lost >= before.lost).all()


def test_the_lost_stay_lost_and_are_not_counted_as_settled():
    algorithm = VI(starts=3)
    state, _ = algorithm.init(0)
    top = best_fit(Skewed(), Gaussian())
    value = ReverseKL().value(Skewed(), Gaussian(), top[None])
    state = state._replace(
        phi=top.repeat(3, 1), value=value.repeat(3), gradient=torch.zeros(3, 2).double(),
        lost=torch.tensor([True, False, True]),
    )  # fmt: skip
    new, info = algorithm.step(0, state)
    assert new.lost.tolist() == [True, False, True] and torch.equal(new.phi[[0, 2]], state.phi[[0, 2]])
    assert (info.settled, info.lost, info.status) == (1, 2, "not finite") and algorithm.finished(new, info)
    moved, _ = algorithm.step(0, state._replace(phi=state.phi + 1.0, gradient=torch.ones(3, 2).double()))
    assert (moved.phi[[0, 2]] == state.phi[[0, 2]] + 1.0).all() and (moved.phi[1] != state.phi[1] + 1.0).all()


def test_a_start_that_is_nowhere_is_refused_or_left_out():
    with pytest.raises(
        ValueError, match="infinite or undefined at mean 0 and sd 1: move the start, or choose another"
    ):
        VI(target=LogGamma(), family=StudentQ()).init(0)
    with pytest.raises(ValueError, match="Forward KL is infinite"):
        VI(target=Cauchy(), objective=ForwardKL()).init(0)


def test_combinations_without_a_gradient_are_refused():
    with pytest.raises(
        ValueError, match="Score function estimates the ELBO's gradient, not that of IWAE: choose the exact"
    ):
        VI(objective=IWAE(), gradient=ScoreFunction()).init(0)
    with pytest.raises(ValueError, match="expectation over p.*choose the exact gradient"):
        VI(objective=ForwardKL(), gradient=Reparameterized()).init(0)
    with pytest.raises(ValueError, match="at least K = 50 draws"):
        VI(objective=IWAE(draws=50), gradient=Reparameterized(draws=16)).init(0)
    VI(objective=IWAE(draws=5), gradient=Reparameterized(draws=16)).step(1, VI().init(0)[0])


@pytest.mark.parametrize("objective", [ForwardKL(), Renyi(), IWAE()], ids=repr)
def test_other_objectives_reach_their_own_optimum(objective):
    state, info = run(VI(objective=objective, optimizer=LBFGS(), starts=2), 60)[-1]
    assert state.phi[0].tolist() == pytest.approx(
        best_fit(Skewed(), Gaussian(), objective).tolist(), abs=1e-5
    )
    assert info.status == "converged" and info.objective != pytest.approx(info.elbo, abs=1e-4)


def test_other_starts_lie_within_the_ends_that_are_given():
    state, _ = VI(starts=256, mean=9.0, sd=0.5, within=(-2.0, 3.0)).init(0)
    assert float(state.phi[0, 0]) == 9.0
    others = state.phi[1:, 0]
    assert -2.0 <= float(others.min()) < -1.9 and 2.9 < float(others.max()) <= 3.0
    for wrong in ((1.0,), (3.0, -2.0), (0.0, 1.0, 2.0)):
        with pytest.raises(ValueError, match="give the least and the most"):
            VI(within=wrong).init(0)


@pytest.mark.parametrize("distance", [5.0, 8.0, 12.0, 20.0])
def test_the_best_mixture_of_two_equal_modes_is_they(distance):
    """Its parts once began both near one quantile, and stayed on one mode: KL log 2."""
    target = EqualModes(distance=distance, sd=0.3)
    assert quadrature.decompose(target, MixtureOf2(), best_fit(target, MixtureOf2())).kl < 1e-12


@pytest.mark.parametrize("expression", ["-abs(z)+cos(exp(minimum(z,12)))", "-z**2/2+sin(1/(abs(z)+1e-9))"])
def test_a_rough_posterior_is_fitted_with_bounded_work(expression, monkeypatch):
    """Its thousands of panels are not climbed over; counted in nodes, as seconds are another's."""
    asked = []
    monkeypatch.setattr(Formula, "log_prob", counted(Formula.log_prob, asked))
    best_fit(Formula(expression=expression), Gaussian())
    assert sum(asked) < 3e7


def counted(log_prob, asked):
    def ask(self, z):
        asked.append(z.numel())
        return log_prob(self, z)

    return ask
