"""Gradient estimators: unbiased where they say so, with the variances of closed forms and golden numbers."""

import math
from types import SimpleNamespace

import pytest
import torch

from lvmviz.core import each
from lvmviz.families import Gaussian, LaplaceQ, Line, MixtureOf2, StudentQ
from lvmviz.gradients import (
    Estimator,
    Exact,
    Reparameterized,
    ScoreFunction,
    StickingTheLanding,
    fisher,
    normals,
    pathwise,
    score_function,
    scores,
)
from lvmviz.objectives import ReverseKL
from lvmviz.targets import Laplace, Skewed, TwoModes

MANY = 400_000
ESTIMATORS = [Reparameterized(draws=8), StickingTheLanding(draws=8)] + [
    ScoreFunction(draws=8, baseline=b) for b in ("none", "mean", "leave one out")
]


def square(phi, z):
    return z[..., 0] ** 2


over_families = pytest.mark.parametrize("family", list(each(Line)), ids=lambda f: type(f).__name__)
over_estimators = pytest.mark.parametrize("estimator", ESTIMATORS, ids=repr)


def phi(mean: float, sd: float) -> torch.Tensor:
    return torch.tensor([mean, math.log(sd)], dtype=torch.float64)


def exact(target, family, at: torch.Tensor) -> torch.Tensor:
    leaf = at.clone().requires_grad_()
    return torch.autograd.grad(ReverseKL().value(target, family, leaf[None]).sum(), leaf)[0]


# ---- variances ----


@pytest.mark.parametrize(("mean", "sd"), [(1.0, 1.0), (2.0, 0.5), (-0.7, 1.6)])
def test_the_variances_for_a_square_in_closed_form(mean, sd):
    """f = z^2, d/dmean: score m^4/s^2 + 14 m^2 + 15 s^2, reparameterization 4 s^2."""
    noise = normals(1, MANY, 1)
    score = score_function(square, Gaussian(), phi(mean, sd), noise)[:, 0]
    path = pathwise(square, Gaussian(), phi(mean, sd), noise)[:, 0]
    assert float(score.var()) == pytest.approx(mean**4 / sd**2 + 14 * mean**2 + 15 * sd**2, rel=0.03)
    assert float(path.var()) == pytest.approx(4 * sd**2, rel=0.01)
    assert float(score.mean()) == pytest.approx(2 * mean, abs=4 * float(score.std()) / math.sqrt(MANY))
    assert float(path.mean()) == pytest.approx(2 * mean, abs=4 * float(path.std()) / math.sqrt(MANY))


def test_a_mean_baseline_can_raise_the_variance():
    """75/25 with q = N(0, 1), d/dmean: 3.04 without, 4.60 with (log p known up to nothing: log Z = 0)."""
    noise, at = normals(2, MANY, 1), phi(0.0, 1.0)

    def f(phi, z):
        return TwoModes().log_density(z) - Gaussian().log_prob(phi, z)

    plain, mean = (score_function(f, Gaussian(), at, noise, b)[:, 0].var() for b in ("none", "mean"))
    assert float(plain) == pytest.approx(3.04, abs=0.05)
    assert float(mean) == pytest.approx(4.60, abs=0.07)


def test_the_score_function_wins_on_a_wiggle():
    """log p = -z^2/2 + 2 sin 20z, q = N(0, 1): reparameterization has 188 times its variance."""

    def wiggle(phi, z):
        return -0.5 * z[..., 0] ** 2 + 2 * torch.sin(20 * z[..., 0]) - Gaussian().log_prob(phi, z)

    noise, at = normals(3, MANY, 1), phi(0.0, 1.0)
    path = pathwise(wiggle, Gaussian(), at, noise).var(0).sum()
    assert float(path / score_function(wiggle, Gaussian(), at, noise).var(0).sum()) == pytest.approx(
        188, rel=0.02
    )


def test_in_a_narrow_q_reparameterization_has_little_variance():
    """Target N(0, 1), q mean 3, sd .1: .01 for the mean, .09 + .0002 for log sd."""

    def normal(phi, z):
        return -0.5 * z[..., 0] ** 2 - Gaussian().log_prob(phi, z)

    variance = pathwise(normal, Gaussian(), phi(3.0, 0.1), normals(4, MANY, 1)).var(0)
    assert variance.tolist() == pytest.approx([0.01, 0.0902], rel=0.02)


class Standard:
    """log N(z | 0, 1): a target of d dimensions that are independent has d times its variances."""

    def log_prob(self, z):
        return -0.5 * z[..., 0] ** 2


def test_sticking_the_landing_is_no_help_far_away():
    """Target N(0, 1), q mean 3, sd .1, over mean and log sd: 998 times reparameterization's variance."""
    noise, at = normals(5, MANY, 1), phi(3.0, 0.1)
    path, stl = (
        estimator.per_draw(Standard(), Gaussian(), at, noise).var(0).sum()
        for estimator in (Reparameterized(), StickingTheLanding())
    )
    assert float(stl / path) == pytest.approx(998, rel=0.02)


def test_sticking_the_landing_is_exact_at_the_posterior():
    at, noise = phi(0.0, 1.0), normals(6, 1000, 1)
    assert not StickingTheLanding().per_draw(Standard(), Gaussian(), at, noise).any()
    assert Reparameterized().per_draw(Standard(), Gaussian(), at, noise).any()


# ---- means ----


@over_families
@over_estimators
def test_the_mean_is_the_exact_gradient(family, estimator):
    """Within four standard errors; the mean baseline's is (S - 1) / S of it."""
    at = family.at(torch.tensor(1.2, dtype=torch.float64), torch.tensor(1.4, dtype=torch.float64))
    repeats = 100 if isinstance(family, MixtureOf2) else 500  # a mixture's draw is a root to find
    noise = normals(7, repeats * 8, family.dim).unflatten(0, (repeats, 8))
    biased = getattr(estimator, "baseline", "") == "mean"
    if isinstance(estimator, (Reparameterized, StickingTheLanding)):
        means = (
            estimator.per_draw(Skewed(), family, at, noise.flatten(0, 1)).unflatten(0, (repeats, 8)).mean(1)
        )
    else:
        means = torch.stack([estimator.per_draw(Skewed(), family, at, rows).mean(0) for rows in noise])
    wanted = exact(Skewed(), family, at) * (7 / 8 if biased else 1.0)
    assert ((means.mean(0) - wanted).abs() < 4.2 * means.std(0) / math.sqrt(repeats)).all()


def test_the_mean_baseline_is_biased_by_exactly_its_share():
    """S / (S - 1) times the mean baseline's estimate is leave one out's, draw for draw on average."""
    noise = normals(1, 8, 1)
    mean, others = (
        ScoreFunction(baseline=b).per_draw(Skewed(), Gaussian(), phi(0.5, 1.0), noise).mean(0)
        for b in ("mean", "leave one out")
    )
    assert torch.allclose(mean * 8 / 7, others, atol=1e-12)


def test_one_draw_has_no_others():
    noise = normals(1, 1, 1)
    rows = [
        ScoreFunction(baseline=b).per_draw(Skewed(), Gaussian(), phi(0.5, 1.0), noise)
        for b in ("none", "leave one out")
    ]
    assert torch.equal(*rows) and bool((rows[0] != 0).all())


def test_exact_is_exact_at_a_kink():
    """Target Laplace: the slope of log p jumps, d/dmean ELBO is its mean under q; by the midpoint rule."""
    target, at = Laplace(), phi(0.3, 0.9)
    gradient = Exact().per_draw(target, Gaussian(), at[None], Exact().noise(0, 1))[0, 0, 0]
    z, wide = torch.linspace(-40, 40, 3_000_001, dtype=torch.float64), 0.9
    slope = torch.diff(target.log_prob(z[:, None])) / torch.diff(z)
    mid = 0.5 * (z[1:] + z[:-1])
    weight = torch.exp(-0.5 * ((mid - 0.3) / wide) ** 2) / (wide * math.sqrt(2 * math.pi))
    assert float(gradient) == pytest.approx(float((slope * weight).sum() * (z[1] - z[0])), abs=1e-7)


def test_exact_is_exact():
    rows = Exact().per_draw(Skewed(), Gaussian(), phi(0.5, 1.0)[None], Exact().noise(0, 1))
    assert torch.allclose(rows[0, 0], exact(Skewed(), Gaussian(), phi(0.5, 1.0)), atol=1e-13)
    assert Exact.exact and not Reparameterized.exact and not ScoreFunction.exact


@over_families
@over_estimators
def test_rows_belong_to_their_draws_and_members(family, estimator):
    at = family.at(*torch.tensor([[0.5, 2.0, -1.0], [1.0, 0.6, 2.0]], dtype=torch.float64))
    noise = estimator.noise(5, family.dim)
    rows = estimator.per_draw(Skewed(), family, at, noise)
    assert rows.shape == (3, 8, len(family.names)) and not rows.requires_grad
    for i in range(3):
        assert torch.allclose(
            rows[i], estimator.per_draw(Skewed(), family, at[i], noise), rtol=1e-10, atol=1e-10
        )
    if not isinstance(estimator, ScoreFunction) or estimator.baseline == "none":
        alone = torch.cat([estimator.per_draw(Skewed(), family, at, noise[k : k + 1]) for k in range(8)], -2)
        assert torch.allclose(rows, alone, rtol=1e-10, atol=1e-10)


def test_noise_comes_from_its_key():
    for estimator in each(Estimator):
        before = torch.get_rng_state()
        noise = estimator.noise(3, 1)
        assert torch.equal(noise, estimator.noise(3, 1)) and torch.equal(torch.get_rng_state(), before)
        assert noise.dtype == torch.float64 and len(noise) == getattr(estimator, "draws", 0)
        assert not len(noise) or not torch.equal(noise, estimator.noise(4, 1))


# ---- the Fisher information ----


def test_the_fisher_information_in_closed_form():
    """Gaussian diag(1/s^2, 2), Laplace diag(1/b^2, 1), Student diag((v+1)/((v+3) s^2), 2v/(v+3))."""
    at = torch.tensor([[0.3, math.log(0.5)], [-4.0, 1.0]], dtype=torch.float64)
    square = torch.exp(-2 * at[:, 1])
    df = 5.0
    for family, first, second in (
        (Gaussian(), square, 2.0),
        (LaplaceQ(), square, 1.0),
        (StudentQ(df=df), (df + 1) / (df + 3) * square, 2 * df / (df + 3)),
    ):
        wanted = torch.stack(
            [torch.diag(torch.tensor([float(a), second], dtype=torch.float64)) for a in first]
        )
        assert torch.allclose(fisher(family, at), wanted, rtol=3e-4, atol=1e-9)
    assert torch.allclose(fisher(Gaussian(), at)[:, 1, 1], torch.tensor(2.0, dtype=torch.float64), atol=1e-10)


@over_families
def test_the_fisher_information_is_the_mean_square_of_the_scores(family):
    at = family.at(*torch.tensor([[0.5], [1.0]], dtype=torch.float64))[0]
    z = family.sample(at, normals(5, 20_000, 1))
    rows = scores(family, at, z)
    products = rows[:, :, None] * rows[:, None, :]
    assert (rows.mean(0).abs() < 4.5 * rows.std(0) / math.sqrt(20_000)).all()
    assert (
        (products.mean(0) - fisher(family, at)).abs() < 4.5 * products.std(0) / math.sqrt(20_000) + 1e-9
    ).all()
    assert (torch.linalg.eigvalsh(fisher(family, at)) > 0).all()


def test_the_target_needs_no_derivative_for_the_score_function():
    """A step function: its derivative is 0, so only the score function sees the slope."""
    step = SimpleNamespace(log_prob=lambda z: (z[..., 0] > 0).double())
    noise, at = normals(9, MANY, 1), phi(0.0, 1.0)

    def f(phi, z):
        return step.log_prob(z)

    seen = score_function(f, Gaussian(), at, noise).mean(0)
    assert float(seen[0]) == pytest.approx(1 / math.sqrt(2 * math.pi), abs=0.005)  # d/dmean P(z > 0)
    with pytest.raises(RuntimeError, match="does not require grad"):
        pathwise(f, Gaussian(), at, noise[:4])
