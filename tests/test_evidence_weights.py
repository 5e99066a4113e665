"""What weights say: sums, diagnostics, IWAE's bounds, k-hat; and what is known of them without a draw."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, special

from lvmviz.core import generator
from lvmviz.evidence import (
    BinaryLatents,
    FromPrior,
    GaussianLatents,
    NearPosterior,
    OneLatent,
    PlacedQ,
    UniformBox,
)
from lvmviz.evidence.bounds import grouped, merged, sizes
from lvmviz.evidence.exact import iwae, known
from lvmviz.evidence.pareto import believable, fewest_draws, khat, running_khat, tail_length
from lvmviz.evidence.weights import Weighed, jensen, marks, moments, running
from lvmviz.targets import EqualModes, Skewed

OTHERS = [-0.3, 0.0, 2.0, -700.0, 5.5, 5.5, -1.0]
rows = st.lists(st.floats(-800, 800), min_size=2, max_size=40)


@given(rows)
def test_running_sums_are_those_of_the_first_k(row):
    log_w = torch.tensor([row, row[::-1]], dtype=torch.float64)
    counts = torch.arange(1, len(row) + 1)
    sums = running(log_w, counts)
    for i, k in itertools.product(range(2), range(1, len(row) + 1)):
        first = log_w[i, :k].numpy()
        w = np.exp(first - first.max())
        assert float(sums.log_mean[i, k - 1]) == pytest.approx(first.max() + math.log(w.mean()), abs=1e-9)
        assert float(sums.effective[i, k - 1]) == pytest.approx(w.sum() ** 2 / (w**2).sum(), rel=1e-9)
        assert float(sums.largest_share[i, k - 1]) == pytest.approx(1 / w.sum(), rel=1e-9)
        if k > 1:
            error = w.std(ddof=1) / math.sqrt(k) / w.mean()
            assert float(sums.relative_error[i, k - 1]) == pytest.approx(error, rel=1e-5, abs=1e-6)
            assert float(sums.log_bias[i, k - 1]) == pytest.approx(-0.5 * error**2, rel=1e-5, abs=1e-6)
        else:
            assert sums.relative_error[i, 0] == math.inf


@given(rows)
def test_some_k_are_some_of_all(row):
    log_w = torch.tensor([row], dtype=torch.float64)
    every, some = running(log_w, torch.arange(1, len(row) + 1)), running(log_w, marks(len(row), 5))
    at = marks(len(row), 5) - 1
    assert torch.allclose(some.log_mean, every.log_mean[:, at], rtol=1e-12, atol=1e-12)
    assert torch.allclose(some.effective, every.effective[:, at], rtol=1e-9)


def test_marks_reach_from_one_to_all():
    assert marks(1).tolist() == [1] and marks(3).tolist() == [1, 2, 3]
    for draws in (10, 1000, 99_999):
        told = marks(draws)
        assert told[0] == 1 and told[-1] == draws and len(told) <= 31 and (told.diff() > 0).all()


def test_impossible_draws_weigh_nothing():
    log_w = torch.tensor([[-math.inf, -math.inf, 0.0, -math.inf]], dtype=torch.float64)
    sums = running(log_w, torch.tensor([2, 3, 4]))
    assert sums.log_mean.exp()[0].tolist() == pytest.approx([0, 1 / 3, 1 / 4])
    assert float(sums.effective[0, -1]) == 1.0


def test_self_normalized_moments_are_weighed_averages():
    log_w, h = torch.tensor([OTHERS], dtype=torch.float64), torch.tensor([[1.0, 2, 3, 4, 5, 6, 7]]).double()
    w = np.exp(np.array(OTHERS) - 5.5)
    mean, variance = moments(Weighed(log_w, h))
    wanted = (w * h[0].numpy()).sum() / w.sum()
    assert float(mean) == pytest.approx(wanted, rel=1e-12)
    assert float(variance) == pytest.approx((w * (h[0].numpy() - wanted) ** 2).sum() / w.sum(), rel=1e-12)


def test_jensen_by_hand():
    """Note 002: (log a + log b) / 2 <= log (a + b) / 2."""
    above, below = jensen(torch.tensor([math.log(1.0), math.log(9.0)]).double())
    assert (float(above), float(below)) == pytest.approx((math.log(5), math.log(3)))


# ---- IWAE's bounds ----


def test_bounds_are_means_over_groups():
    log_w = 3 * torch.randn(4, 103, generator=generator(1), dtype=torch.float64)
    told = grouped(log_w)
    assert sizes(103) == (1, 2, 5, 10, 20, 50, 100) and len(told.mean) == 7
    for at, size in enumerate(sizes(103)):
        groups = [
            math.log(np.exp(row[start : start + size].numpy()).mean())
            for row in log_w
            for start in range(0, 103 - size + 1, size)
        ]
        assert float(told.mean[at]) == pytest.approx(np.mean(groups), abs=1e-12)
        assert float(told.standard_error[at]) == pytest.approx(
            np.std(groups, ddof=1) / math.sqrt(len(groups)), rel=1e-9
        )
    both = merged(grouped(log_w[:1]), grouped(log_w[1:]))
    for one, other in zip(both, told, strict=True):
        assert torch.allclose(one, other, rtol=1e-12)


PAIRS = [
    (GaussianLatents(), NearPosterior()),
    (GaussianLatents(), NearPosterior(width=2.0, shift=0.2)),
    (GaussianLatents(dimension=3), NearPosterior(width=1.0, shift=0.5)),
    (GaussianLatents(dimension=2), NearPosterior(width=0.6)),
    (GaussianLatents(dimension=4), FromPrior()),
    (GaussianLatents(dimension=2), PlacedQ(mean=0.5, sd=0.9)),
    (BinaryLatents(bits=5), FromPrior()),
    (BinaryLatents(bits=11), NearPosterior(width=1.5)),
    (OneLatent(target=Skewed()), FromPrior()),
    (OneLatent(target=EqualModes()), PlacedQ(mean=1.0, sd=2.0)),
]


@pytest.mark.parametrize(("model", "proposal"), PAIRS, ids=repr)
def test_the_bound_rises_from_the_elbo_to_the_evidence(model, proposal):
    """By quadrature for every K, and within 4.5 standard errors of 400,000 draws in groups."""
    z, log_q = proposal.draw(model, generator(3), 400_000)
    told = grouped((model.log_joint(z) - log_q).view(40, 10_000))
    exact = torch.tensor([iwae(model, proposal, size) for size in sizes(1000)], dtype=torch.float64)
    assert (exact.diff() > -1e-9).all() and (exact <= model.log_evidence() + 1e-9).all()
    count = len(exact)
    assert ((told.mean[:count] - exact).abs() < 4.5 * told.standard_error[:count] + 1e-9).all()
    far = [model.log_evidence() - iwae(model, proposal, draws) for draws in (1, 100, 10_000)]
    assert far[0] > 2 * far[1] > 4 * far[2] > -1e-9


def test_two_weights_share_a_logarithm():
    """IWAE at K = 2 in one dimension, by a double sum of Gauss and Hermite over both draws."""
    model, proposal = GaussianLatents(dimension=1), NearPosterior(width=1.6, shift=-0.4)
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    sd = 1.6 * float(model.posterior()[1])
    z = torch.from_numpy(nodes[:, None] * sd + float(model.posterior()[0]) - 0.4 * sd / 1.6)
    table = (model.log_joint(z) - proposal.log_prob(model, z)).numpy()
    pairs = np.logaddexp(table[:, None], table[None]) - math.log(2)
    value = (np.outer(weights, weights) * pairs).sum() / weights.sum() ** 2
    assert iwae(model, proposal, 2) == pytest.approx(value, abs=1e-6)


# ---- closed forms ----


@pytest.mark.parametrize(
    ("width", "gap", "bias"), [(1.3, 0.826, 0.0), (0.5, 3.181, -0.71), (2.0, 8.069, -0.03)]
)
def test_the_better_bound_is_the_worse_sampler(width, gap, bias):
    """d = 10, q the posterior c times as wide: the ELBO's gap, and the log's bias at K = 1000 (golden)."""
    model, proposal = GaussianLatents(), NearPosterior(width=width)
    told = known(model, proposal)
    assert told.log_evidence - told.elbo == pytest.approx(gap, abs=5e-4)
    assert told.log_evidence - told.elbo == pytest.approx(
        10 * (0.5 * (width**2 - 1) - math.log(width)), abs=1e-12
    )
    assert iwae(model, proposal, 1000) - told.log_evidence == pytest.approx(bias, abs=0.01)


@pytest.mark.parametrize(("dimension", "bias", "error"), [(10, -4.93, 0.2), (20, -24.8, 0.4)])
def test_the_prior_s_log_is_low(dimension, bias, error):
    model = GaussianLatents(dimension=dimension)
    assert iwae(model, FromPrior(), 1000) - model.log_evidence() == pytest.approx(bias, abs=error)


@pytest.mark.parametrize(
    "proposal",
    [FromPrior(), NearPosterior(), NearPosterior(width=0.8, shift=0.5), UniformBox(), UniformBox(reach=1.0),
     PlacedQ(mean=0.0, sd=0.7)],
    ids=repr,
)  # fmt: skip
def test_what_is_known_of_the_weights_is_scipy_s_integral(proposal):
    model = GaussianLatents(dimension=3)
    one = GaussianLatents(dimension=1)
    ends = (-1.0, 1.0) if proposal == UniformBox(reach=1.0) else (-4.0, 4.0)

    def q_times(f) -> float:
        def integrand(z: float) -> float:
            here = torch.tensor([z], dtype=torch.float64)
            log_q, log_p = float(proposal.log_prob(one, here)), float(one.log_joint(here))
            return math.exp(log_q) * f(log_p - log_q)

        return integrate.quad(integrand, *ends, limit=400, epsabs=1e-13)[0]

    told = known(model, proposal)
    first = math.log(q_times(math.exp))
    assert told.limit == pytest.approx(3 * first, abs=1e-3 if ends[1] > 1 else 1e-9)
    assert told.elbo == pytest.approx(3 * q_times(lambda log_w: log_w), abs=2e-2 if ends[1] > 1 else 1e-9)
    second = math.log(q_times(lambda log_w: math.exp(2 * log_w))) - 2 * first
    assert told.log_second_moment == pytest.approx(3 * second, abs=1e-4 if ends[1] > 1 else 1e-9)


def test_the_weights_of_bits_are_known_by_all_their_states():
    """In another way: independent bits are products, one factor a bit."""
    model, proposal = BinaryLatents(bits=7, leak=0.0, share=0.3), FromPrior()
    told = known(model, proposal)
    one = BinaryLatents(bits=1, leak=0.0, share=0.3)
    log_w = (one.log_joint(z := torch.tensor([[0.0], [1.0]]).double()) - one.log_prior(z)).numpy()
    off = 1.0 - float(model.x()[1])  # an even meter shows 0, as if its bit were the other way round
    assert off == 1.0
    q = np.array([0.7, 0.3])
    likes = [log_w, log_w[::-1]]  # a meter that shows 1, one that shows 0
    elbo = sum((q * likes[j % 2]).sum() for j in range(7))
    second = sum(math.log((q * np.exp(2 * likes[j % 2])).sum()) for j in range(7))
    assert told.elbo == pytest.approx(elbo, abs=1e-10)
    assert told.log_second_moment == pytest.approx(second - 2 * told.log_evidence, abs=1e-10)
    assert (
        known(BinaryLatents(bits=20), proposal).elbo is None
        and iwae(BinaryLatents(bits=20), proposal, 5) is None
    )


def test_a_narrow_q_s_weights_have_no_variance():
    assert known(GaussianLatents(), NearPosterior(width=0.7)).log_second_moment == math.inf
    assert math.isfinite(known(GaussianLatents(), NearPosterior(width=0.72)).log_second_moment)


# ---- k-hat ----

# arviz 0.23.4, psislw of log weights f((i + .5) / n): the reference implementation's own numbers
SHAPES = {
    "pareto5": lambda u: -0.5 * np.log1p(-u),
    "pareto9": lambda u: -0.9 * np.log1p(-u),
    "lognormal": lambda u: 1.5 * special.ndtri(u),
    "wide": lambda u: 20 * special.ndtri(u),
    "far": lambda u: 400 * special.ndtri(u),
    "bounded": np.log,
    "square": lambda u: -0.5 * special.ndtri(u) ** 2,
}
KHATS = [
    ("pareto5", 100, 0.49196002019884805), ("pareto5", 1000, 0.49708596126252175),
    ("pareto5", 10000, 0.4990032756154632), ("pareto9", 100, 0.7205967434897379),
    ("pareto9", 1000, 0.8442664334030683), ("pareto9", 10000, 0.8809335199153142),
    ("lognormal", 100, 0.5148819157509475), ("lognormal", 1000, 0.4770164244352961),
    ("lognormal", 10000, 0.42272625531715863), ("wide", 100, 5.909581850519877),
    ("wide", 1000, 6.879451571170613), ("wide", 10000, 6.419526164798233),
    ("far", 100, 107.09220163909445), ("far", 1000, 109.23212357037471),
    ("far", 10000, 99.19568584518558), ("bounded", 100, -0.40462148035522866),
    ("bounded", 1000, -0.8192112494404742), ("bounded", 10000, -0.9235340185477373),
    ("square", 100, -1.066787499263296), ("square", 1000, -1.5891977820865908),
    ("square", 10000, -1.7394658154643714),
]  # fmt: skip


@pytest.mark.parametrize(("name", "count", "wanted"), KHATS)
def test_khat_is_the_reference_s(name, count, wanted):
    log_w = SHAPES[name]((np.arange(count) + 0.5) / count)
    shuffled = np.random.default_rng(1).permutation(log_w) + 123.0  # neither order nor scale matters
    told = khat(torch.from_numpy(np.stack([log_w, shuffled])))
    assert told.tolist() == pytest.approx([wanted] * 2, rel=1e-8)


def test_khat_where_there_is_no_tail():
    assert khat(torch.zeros(2, 500).double()).tolist() == [-math.inf] * 2  # q is the posterior
    assert khat(torch.arange(20).double()[None]).tolist() == [math.inf]  # too few to tell
    assert khat(torch.zeros(1, 1).double()).tolist() == [math.inf]


def test_khat_along_the_way():
    log_w = 2 * torch.randn(3, 1000, generator=generator(2), dtype=torch.float64)
    told = running_khat(log_w, torch.tensor([50, 1000]))
    assert torch.equal(told[:, 1], khat(log_w)) and torch.equal(told[:, 0], khat(log_w[:, :50]))


def test_khat_is_told_row_by_row():
    log_w = 2 * torch.randn(5, 1000, generator=generator(2), dtype=torch.float64)
    log_w[1, 100:] = -3.0  # ties
    log_w[3] *= 300
    assert torch.equal(khat(log_w), torch.cat([khat(row[None]) for row in log_w]))


@pytest.mark.parametrize(("width", "dimension"), [(0.5, 1), (0.7, 2), (0.3, 1)])
def test_khat_finds_the_tail_that_is_known(width, dimension):
    """q the posterior, c times as wide: log w ~ (1 - c^2) r^2 / 2, so P(w > t) ~ t^(-1 / (1 - c^2))."""
    model, proposal = GaussianLatents(dimension=dimension), NearPosterior(width=width)
    z, log_q = proposal.draw(model, generator(5), 4_000_000)
    told = khat((model.log_joint(z) - log_q).view(40, -1))
    assert known(model, proposal).tail == pytest.approx(1 - width**2)
    assert float(told.mean()) == pytest.approx(1 - width**2, abs=0.08)


def test_what_khat_is_good_for():
    assert tail_length(10) == 2 and tail_length(1000) == 95 and tail_length(10_000) == 300
    assert (
        fewest_draws(0.5) == pytest.approx(100) and fewest_draws(1.2) == math.inf and fewest_draws(-1) == 10
    )
    assert believable(100) == pytest.approx(0.5) and believable(10**6) == 0.7 and believable(3) == 0.0
