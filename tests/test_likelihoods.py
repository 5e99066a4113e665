"""Likelihoods: they integrate to one, agree with torch's distributions, and say which data they accept."""

import itertools
import math

import hypothesis.strategies as st
import numpy as np
import pytest
import scipy.integrate
import torch
from hypothesis import example, given

from lvmviz import Bernoulli, ContinuousBernoulli, GaussianNoise, Likelihood
from lvmviz.core import generator

EACH = [Bernoulli(), GaussianNoise(sd=0.3), GaussianNoise(sd=0.3, learned=True), ContinuousBernoulli()]
NONE = torch.zeros(0, dtype=torch.float64)
over_each = pytest.mark.parametrize("likelihood", EACH, ids=repr)
outputs = st.floats(-60.0, 60.0)


def own(likelihood: Likelihood) -> torch.Tensor:
    return likelihood.init().double()


def double(*numbers: float) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


@given(output=outputs)
def test_bernoulli_sums_to_one(output):
    both = [float(Bernoulli().log_prob(double(output), double(x), NONE)) for x in (0.0, 1.0)]
    assert math.fsum(map(math.exp, both)) == pytest.approx(1.0, abs=1e-12)
    theirs = torch.distributions.Bernoulli(logits=double(output))
    assert both == pytest.approx([float(theirs.log_prob(double(x))) for x in (0.0, 1.0)], rel=1e-10)


@given(output=outputs)
@example(output=0.199)
@example(output=-0.199)
def test_continuous_bernoulli_integrates_to_one(output):
    """Also where its constant is 0/0, and where exp overflows in single precision."""

    def density(x: float) -> float:
        return math.exp(float(ContinuousBernoulli().log_prob(double(output), double(x), NONE)))

    edges = [0.02, 0.1, 0.9, 0.98]
    assert scipy.integrate.quad(density, 0.0, 1.0, points=edges)[0] == pytest.approx(1.0, abs=1e-9)
    mean = scipy.integrate.quad(lambda x: x * density(x), 0.0, 1.0, points=edges)[0]
    assert float(ContinuousBernoulli().mean(double(output))) == pytest.approx(mean, abs=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_continuous_bernoulli_has_no_seam(dtype):
    """Its series and its formula meet: value, mean and gradient, at 0 and at both seams."""
    for at in (-0.2, 0.0, 0.2):
        t = torch.linspace(at - 1e-3, at + 1e-3, 9, dtype=dtype, requires_grad=True)
        x = torch.full((9, 1), 0.3, dtype=dtype)
        value = ContinuousBernoulli().log_prob(t[:, None], x, NONE)
        (slope,) = torch.autograd.grad(value.sum(), t)
        assert bool(slope.isfinite().all())
        torch.testing.assert_close(slope, 0.3 - ContinuousBernoulli().mean(t), atol=2e-5, rtol=0)
        bend = torch.diff(value.detach().double(), n=2)
        assert float(bend.abs().max()) < (1e-6 if dtype == torch.float32 else 1e-7)


def test_torch_agrees_with_the_continuous_bernoulli_away_from_its_seam():
    output, x = torch.linspace(-9.0, 9.0, 40, dtype=torch.float64), torch.linspace(0.0, 1.0, 40).double()
    output = output[(output.abs() > 0.5)]
    theirs = torch.distributions.ContinuousBernoulli(logits=output).log_prob(x[: len(output)])
    ours = ContinuousBernoulli().log_prob(output[:, None], x[: len(output), None], NONE)
    torch.testing.assert_close(ours, theirs, atol=1e-7, rtol=1e-7)


@pytest.mark.parametrize("learned", [False, True])
def test_gaussian_noise_is_torchs_normal(learned):
    likelihood = GaussianNoise(sd=0.3, learned=learned)
    mean, x = double(0.1, -2.0, 3.0), double(0.0, -2.5, 9.0)
    theirs = torch.distributions.Normal(mean, 0.3).log_prob(x).sum()
    torch.testing.assert_close(likelihood.log_prob(mean, x, own(likelihood)), theirs, rtol=1e-6, atol=0)
    assert likelihood.noise(own(likelihood)) == pytest.approx(0.3, rel=1e-6)
    assert len(likelihood.init()) == learned


@over_each
def test_the_natural_form_is_the_same_number(likelihood):
    output = 3.0 * torch.randn((7, 5), generator=generator(1), dtype=torch.float64)
    x = likelihood.prepare(torch.rand((7, 5), generator=generator(2), dtype=torch.float64))
    eta, a = likelihood.natural(output, own(likelihood))
    told = (x * eta).sum(-1) - a + likelihood.base(x, own(likelihood))
    torch.testing.assert_close(told, likelihood.log_prob(output, x, own(likelihood)), rtol=1e-12, atol=1e-10)


@over_each
def test_samples_have_the_mean(likelihood):
    output = double(-3.0, -0.5, 0.0, 0.05, 2.0, 30.0).expand(20_000, 6)
    draws = likelihood.sample(output, own(likelihood), generator(5))
    error = draws.std(0) / math.sqrt(len(draws))
    assert bool(((draws.mean(0) - likelihood.mean(output[0])).abs() <= 5.0 * error + 1e-12).all())
    assert torch.equal(draws, likelihood.sample(output, own(likelihood), generator(5)))


@over_each
def test_gradients_by_finite_differences(likelihood):
    output, x = double(-2.0, 0.01, 1.7), likelihood.prepare(double(0.2, 0.9, 0.6))
    leaf, mine = output.clone().requires_grad_(), own(likelihood).requires_grad_()
    value = likelihood.log_prob(leaf, x, mine)
    slopes = torch.autograd.grad(value, [leaf, mine], allow_unused=True)
    for k in range(3):
        step = 1e-6 * torch.eye(3, dtype=torch.float64)[k]
        both = [likelihood.log_prob(output + sign * step, x, own(likelihood)) for sign in (1, -1)]
        assert float(both[0] - both[1]) / 2e-6 == pytest.approx(float(slopes[0][k]), rel=1e-5, abs=1e-8)
    if len(mine):
        both = [likelihood.log_prob(output, x, own(likelihood) + sign * 1e-6) for sign in (1, -1)]
        assert float(both[0] - both[1]) / 2e-6 == pytest.approx(float(slopes[1][0]), rel=1e-5)


def test_all_images_together_have_probability_one():
    output = double(0.3, -1.0, 2.0, 0.0)
    images = torch.tensor(list(itertools.product([0.0, 1.0], repeat=4)), dtype=torch.float64)
    assert float(Bernoulli().log_prob(output, images, NONE).exp().sum()) == pytest.approx(1.0, abs=1e-12)


def test_the_threshold_makes_grey_values_black_or_white():
    x = double(0.0, 0.3, 0.5, 0.51, 1.0)
    assert Bernoulli().prepare(x[None])[0].tolist() == [0, 0, 0, 1, 1]
    assert Bernoulli(threshold=0.25).prepare(x[None])[0].tolist() == [0, 1, 1, 1, 1]


@pytest.mark.parametrize("likelihood", [Bernoulli(), ContinuousBernoulli()], ids=repr)
@pytest.mark.parametrize("wrong", [-0.1, 1.1, 255.0])
def test_values_outside_the_unit_interval_are_refused(likelihood, wrong):
    with pytest.raises(ValueError, match=r"from 0 to 1.*reach from.*choose Gaussian noise"):
        likelihood.prepare(double(0.5, wrong)[None])


@over_each
def test_missing_values_are_refused(likelihood):
    for wrong in (math.nan, math.inf):
        with pytest.raises(ValueError, match="leave those rows out"):
            likelihood.prepare(double(0.5, wrong)[None])


def test_data_for_gaussian_noise_stay_as_they_are():
    x = double(-3.0, 200.0)[None]
    np.testing.assert_array_equal(GaussianNoise().prepare(x), x)
