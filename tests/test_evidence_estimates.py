"""Estimates of log p(x), many times over: golden numbers, annealed importance sampling, and the run."""

import math

import pytest
import torch

from lvmviz.algorithms.estimates import CHUNK, Estimates
from lvmviz.core import each, fold_in, generator
from lvmviz.evidence import (
    Annealed,
    BinaryLatents,
    EvidenceEstimator,
    EvidenceModel,
    FromPrior,
    GaussianLatents,
    GroupedBound,
    Hamiltonian,
    Kernel,
    Metropolis,
    NearPosterior,
    OneLatent,
    PlacedQ,
    UniformBox,
)
from lvmviz.evidence.annealed import Path, tuned
from lvmviz.evidence.bounds import sizes
from lvmviz.evidence.exact import iwae, known
from lvmviz.evidence.states import states
from lvmviz.evidence.weights import running
from lvmviz.runs.execute import run, snapshots
from lvmviz.runs.job import Job
from lvmviz.targets import EqualModes


def done(seed: int = 1, **settings):
    algorithm = Estimates(**settings)
    return run(Job(algorithm, steps=algorithm.steps(), seed=seed))[-1]


# ---- golden numbers ----


@pytest.mark.parametrize(
    ("dimension", "bias", "error", "effective"), [(10, -4.93, 0.2, 1.8), (20, -24.8, 0.4, 1.4)]
)
def test_sampling_the_prior(dimension, bias, error, effective):
    """Golden: of 200 repeats of 1000 draws; here of 2000, so that the expectation is met."""
    info = done(model=GaussianLatents(dimension=dimension), proposal=FromPrior(), repeats=2000).info
    assert info.bias == pytest.approx(bias, abs=error)
    assert info.effective == pytest.approx(effective, abs=0.1)
    exact = iwae(GaussianLatents(dimension=dimension), FromPrior(), 1000) - info.log_evidence
    assert abs(info.bias - exact) < 4.5 * info.bias_error


@pytest.mark.parametrize(("width", "bias"), [(1.3, 0.0), (0.5, -0.71), (2.0, -0.03)])
def test_the_better_elbo_is_the_worse_sampler(width, bias):
    info = done(proposal=NearPosterior(width=width)).info
    assert info.bias == pytest.approx(bias, abs=4.5 * info.bias_error + 0.01)
    exact = iwae(GaussianLatents(), NearPosterior(width=width), 1000) - info.log_evidence
    assert abs(info.bias - exact) < 4.5 * info.bias_error


def test_a_healthy_sample_misses_a_mode():
    """q on one of two equal far modes: nearly all draws effective, a fine k-hat, and low by log 2."""
    model = OneLatent(target=EqualModes(distance=12.0))
    state, info = done(model=model, proposal=PlacedQ(mean=6.0, sd=0.8), repeats=50)[1:]
    assert info.effective / 1000 > 0.999 and info.khat < 0.5 and info.largest_share < 0.0015
    assert info.bias == pytest.approx(-math.log(2), abs=1e-6)
    assert (state.mean - 6.0).abs().max() < 0.2  # the posterior's mean is 0


def test_the_box_converges_to_what_lies_within_it():
    model, box = GaussianLatents(dimension=2), UniformBox(reach=1.0)
    info = done(model=model, proposal=box, draws=10_000).info
    limit = known(model, box).limit
    assert limit < info.log_evidence - 0.5
    assert info.log_estimate == pytest.approx(limit, abs=4.5 * info.bias_error + 1e-3)


def test_a_healthy_interval_has_the_truth_inside():
    info = done(proposal=NearPosterior(width=1.2), repeats=2000).info
    assert info.inside == pytest.approx(0.954, abs=0.025)
    assert info.bias_expected == pytest.approx(iwae(GaussianLatents(), NearPosterior(width=1.2), 1000)
                                               - info.log_evidence, abs=1e-4)  # fmt: skip


def test_self_normalized_moments_tell_the_posterior():
    model = GaussianLatents(dimension=4)
    state = done(model=model, draws=4000).state
    mean, sd = (float(part[0]) for part in model.posterior())
    for told, wanted in ((state.mean, mean), (state.variance, sd**2)):
        assert float(told.mean()) == pytest.approx(
            wanted, abs=4.5 * float(told.std()) / math.sqrt(200) + 1e-3
        )


@pytest.mark.parametrize("proposal", [FromPrior(), UniformBox(), NearPosterior(width=2.0)], ids=repr)
def test_estimates_over_bits_are_unbiased(proposal):
    model = BinaryLatents(bits=6)
    state, info = done(model=model, proposal=proposal, repeats=400)[1:]
    ratio = (state.sums.log_mean[:, -1] - model.log_evidence()).exp()
    assert float(ratio.mean()) == pytest.approx(1.0, abs=4.5 * float(ratio.std()) / 20)
    assert (state.mean - model.posterior()[0][0]).abs().mean() < 0.1


# ---- the trace over k, and the bounds ----


def test_the_trace_is_of_the_same_draws():
    """What the first k draws say is what a trace of all says at k."""
    algorithm = Estimates(repeats=3, draws=500)
    state = run(Job(algorithm, steps=5, seed=4))[-1].state
    z, log_w = algorithm.draws_of(4, 500)
    for at, count in enumerate(state.counts.tolist()):
        wanted = torch.logsumexp(log_w[:count], 0) - math.log(count)
        assert float(state.log_estimate[0, at]) == pytest.approx(float(wanted), abs=1e-10)
    log_q = NearPosterior().log_prob(GaussianLatents(), z)
    assert torch.allclose(GaussianLatents().log_joint(z) - log_q, log_w, atol=1e-10)
    assert torch.equal(algorithm.draws_of(4, 20)[0], z[:20])


def test_iwae_s_expectation_rises_from_the_elbo():
    model, proposal = GaussianLatents(), NearPosterior(width=2.0)
    told = done(model=model, proposal=proposal).state.bounds
    exact = torch.tensor([iwae(model, proposal, size) for size in sizes(1000)], dtype=torch.float64)
    assert (told.mean.diff() > 0).all()
    assert ((told.mean - exact).abs() < 4.5 * told.standard_error).all()
    assert float(exact[0]) == pytest.approx(known(model, proposal).elbo, abs=1e-9)


def test_a_grouped_bound_has_the_bias_of_its_group():
    model, proposal = GaussianLatents(), NearPosterior(width=2.0)
    state = done(model=model, proposal=proposal, estimator=GroupedBound(group=20), draws=200)[1]
    exact = iwae(model, proposal, 20)
    last = state.log_estimate[:, -1]
    assert abs(float(last.mean()) - exact) < 4.5 * float(last.std()) / math.sqrt(200)
    first, alone = int((state.counts < 20).nonzero()[-1]), state.sums.log_mean
    assert torch.equal(state.log_estimate[:, : first + 1], alone[:, : first + 1])
    scatter = alone[:, -1].std() / last.std()
    assert float(scatter) > 0.9  # ten groups are about as noisy as one mean of all, and less so in the log


# ---- annealed importance sampling ----

KERNELS = [Hamiltonian(), Hamiltonian(leapfrogs=1), Metropolis(), Metropolis(moves=1)]


@pytest.mark.parametrize("kernel", KERNELS, ids=repr)
@pytest.mark.parametrize("step", [0.3, 1.1])
def test_a_move_leaves_its_bridge_as_it_is(kernel, step):
    """From exact draws of the bridge, a Gaussian, also with steps too long: same mean, variance and tails."""
    model, b = GaussianLatents(dimension=2), 0.35
    (m, sd), count = (float(part[0]) for part in model.posterior()), 200_000
    precision = (1 - b) + b / sd**2  # of q = N(0, 1) to the power 1 - b times p to the power b
    mean, width = b * m / sd**2 / precision, precision**-0.5
    z = mean + width * torch.randn(count, 2, generator=generator(1), dtype=torch.float64)
    scale = torch.tensor([width, 1.7 * width], dtype=torch.float64)
    new, share = kernel.move(Path(model, FromPrior()), b, z, step, scale, generator(2))
    e = (new - mean) / width
    assert 0.05 < share < 1.0 and (new != z).any()
    for power, wanted, spread in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        off = (e**power).mean(0) - wanted
        assert (off.abs() < 4.5 * math.sqrt(spread / count)).all()


def test_bits_move_within_their_bridge():
    """From exact draws of all 2^4 states in proportion to the bridge: the same proportions after."""
    model, b, count = BinaryLatents(bits=4), 0.6, 400_000
    every, path = states(4, 0, 16), Path(model, FromPrior())
    share = torch.softmax(path.at(every, b), 0)
    chosen = torch.multinomial(share, count, replacement=True, generator=generator(3))
    new, accepted = Metropolis(moves=3).move(path, b, every[chosen], 1.0, torch.ones(4), generator(4))
    index = (new @ torch.tensor([8.0, 4, 2, 1]).double()).long()
    met = torch.bincount(index, minlength=16) / count
    assert 0 < accepted < 1 and float((index != chosen).double().mean()) > 0.1
    assert ((met - share).abs() < 4.5 * (share * (1 - share) / count).sqrt()).all()


@pytest.mark.parametrize("kernel", list(each(Kernel)), ids=repr)
@pytest.mark.parametrize(
    ("model", "proposal"),
    [
        (GaussianLatents(dimension=3), FromPrior()),
        (GaussianLatents(dimension=2, offset=1.0), UniformBox()),
        (GaussianLatents(dimension=2), NearPosterior(width=0.6)),
        (OneLatent(), PlacedQ(mean=0.0, sd=3.0)),
        (BinaryLatents(bits=5), FromPrior()),
    ],
    ids=repr,
)
def test_annealed_weights_have_the_evidence_as_their_mean(kernel, model, proposal):
    """However badly the moves mix: few bridges, and steps as they were tuned."""
    if model.discrete and not kernel.discrete:
        with pytest.raises(ValueError, match="have no gradient to follow"):
            Annealed(kernel=kernel).weigh(model, proposal, 1, 1, 10)
        return
    annealed = Annealed(bridges=5, kernel=kernel)
    log_w = annealed.weigh(model, proposal, 11, 1, 20_000).log_weights[0]
    ratio = (log_w - model.log_evidence()).exp()
    assert float(ratio.mean()) == pytest.approx(1.0, abs=4.5 * float(ratio.std()) / math.sqrt(20_000))


def test_annealing_reaches_a_gaussian_that_the_prior_misses():
    """d = 30: from 100 draws of the prior the log is 67 nats low, over 100 bridges less than one."""
    model = GaussianLatents(dimension=30)
    log_w = Annealed(bridges=100).weigh(model, FromPrior(), 1, 6, 100).log_weights
    sums = running(log_w, torch.tensor([100]))
    off = sums.log_mean[:, 0] - model.log_evidence()
    assert abs(float(off.mean())) < 0.4 and float(sums.effective.mean()) > 8
    assert iwae(model, FromPrior(), 100) - model.log_evidence() < -60


def test_every_chain_has_draws_of_its_own(monkeypatch):
    """Also where chains are moved in several parts."""
    monkeypatch.setattr("lvmviz.evidence.annealed.CHAINS", 20)
    log_w = Annealed(bridges=2).weigh(GaussianLatents(dimension=2), FromPrior(), 5, 5, 7).log_weights
    assert len(log_w.flatten().unique()) == 35


def test_one_bridge_is_importance_sampling():
    model = GaussianLatents(dimension=2)
    weighed = Annealed(bridges=1).weigh(model, FromPrior(), 5, 1, 50)
    z, log_q = FromPrior().draw(model, generator(fold_in(5, 0)), 50)
    assert torch.allclose(weighed.log_weights[0], model.log_joint(z) - log_q, atol=1e-12)


def test_the_plan_is_made_once_and_accepts_as_aimed():
    model, annealed = GaussianLatents(dimension=5), Annealed(bridges=8)
    plan = tuned(annealed, model, FromPrior())
    assert len(plan) == 7 and tuned(annealed, model, FromPrior()) is plan
    spread = [float(scale.mean()) for _, scale in plan]
    assert spread[-1] < 0.7 * spread[0]  # the bridges get narrower
    z = float(model.posterior()[0][0]) + 0.447 * torch.randn(5000, 5, generator=generator(1)).double()
    _, share = annealed.kernel.move(Path(model, FromPrior()), 1.0, z, *plan[-1], generator(2))
    assert 0.3 < share < 0.95


# ---- the run ----


@pytest.mark.parametrize("estimator", list(each(EvidenceEstimator)), ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("model", list(each(EvidenceModel)), ids=lambda m: type(m).__name__)
def test_every_model_with_every_estimator(model, estimator):
    if model.discrete and isinstance(estimator, Annealed):
        estimator = Annealed(kernel=Metropolis())
    state, info = done(model=model, estimator=estimator, draws=50, repeats=11)[1:]
    assert info.repeats == len(state.log_sum) == len(state.khat) == len(state.mean) == 11
    assert state.bounds.count[0] == 11 * 50
    assert abs(info.bias) < 2.0


@pytest.mark.parametrize("settings", [
    {"model": GaussianLatents(dimension=30), "draws": 10_000},
    {"model": BinaryLatents(bits=22), "draws": 10_000, "proposal": FromPrior()},
    {"model": GaussianLatents(dimension=30, offset=10.0, noise=0.05), "proposal": FromPrior()},
    {"draws": 100_000}, {"draws": 1}, {"repeats": 1}, {"draws": 1, "repeats": 1},
    {"model": GaussianLatents(dimension=1), "proposal": NearPosterior(width=1.0)},
    {"model": GaussianLatents(dimension=1), "proposal": NearPosterior(width=0.1, shift=10.0)},
], ids=str)  # fmt: skip
def test_the_ends_of_every_slider_come_in_parts_that_fit(settings):
    """A step holds no more than CHUNK numbers, or one repeat; whoever iterates can stop after any."""
    algorithm = Estimates(**settings)
    assert algorithm.chunk() == 1 or algorithm.chunk() * algorithm.draws * algorithm.model.size <= CHUNK
    coming = snapshots(Job(algorithm, steps=algorithm.steps()))
    for _, snapshot in zip(range(2), coming, strict=False):
        told = snapshot.info
        assert all(math.isfinite(number) for number in told)
        assert told.repeats == min(algorithm.repeats, (snapshot.step + 1) * algorithm.chunk())
        assert 1.0 <= told.effective <= algorithm.draws and 0.0 < told.largest_share <= 1.0


def test_steps_are_enough():
    for repeats, draws in ((200, 1000), (1, 1), (7, 100_000), (10_000, 3)):
        algorithm = Estimates(repeats=repeats, draws=draws, model=GaussianLatents(dimension=1))
        assert (algorithm.steps() + 1) * algorithm.chunk() >= repeats > algorithm.steps() * algorithm.chunk()
