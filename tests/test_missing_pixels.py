"""Hidden pixels: closed form against every completion, golden numbers, coordinate ascent, draws, training."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lvmviz import (
    BernoulliEM,
    Completions,
    Decomposition,
    DigitImages,
    Job,
    coordinate_ascent,
    estimated_terms,
    font_digits,
    font_mixture,
    hidden_given_seen,
    run,
)
from lvmviz.bernoulli_mixture import BernoulliMixtureParams
from lvmviz.factorized import best, bound, completions, drawn, estimate
from lvmviz.latent_lattice import disagreement, lattice, wide
from lvmviz.missing_pixels import Conditional, log_table
from lvmviz.summaries import missing_pixels as summaries


def top(digit: int, rows: int) -> Conditional:
    """A digit of the font with its top rows hidden."""
    hidden = torch.arange(35) < 5 * rows
    return hidden_given_seen(font_mixture(), font_digits()[digit], hidden)


def constant(left: Conditional, phi: float) -> torch.Tensor:
    return torch.full((left.hidden,), phi, dtype=torch.float64)


def small(seed: int, components: int, pixels: int) -> tuple[BernoulliMixtureParams, np.ndarray]:
    """A mixture over a few pixels, and its density (2,) * pixels by loops."""
    rng = np.random.default_rng(seed)
    weights, means = rng.dirichlet(np.ones(components)), rng.uniform(0.02, 0.98, (components, pixels))
    density = np.zeros((2,) * pixels)
    for x in itertools.product((0, 1), repeat=pixels):
        made = [math.prod(m if bit else 1 - m for m, bit in zip(row, x, strict=True)) for row in means]
        density[x] = weights @ np.array(made)
    return BernoulliMixtureParams(torch.tensor(weights), torch.tensor(means)), density


def brute(density: np.ndarray, x: list[int], hidden: list[bool], phi: list[float]) -> Decomposition:
    """Every term as a loop over the completions."""
    seen = tuple(slice(None) if h else int(bit) for bit, h in zip(x, hidden, strict=True))
    joint = density[seen]
    prior = density.sum(tuple(i for i, h in enumerate(hidden) if not h))
    terms = np.zeros(6)
    for place in itertools.product((0, 1), repeat=joint.ndim):
        q = math.prod(p if bit else 1 - p for p, bit in zip(phi, place, strict=True))
        if q:
            a, b, c = math.log(joint[place]), math.log(prior[place]), math.log(q)
            terms += q * np.array([a - c, c - a + math.log(joint.sum()), a, -c, a - b, c - b])
    return Decomposition(math.log(joint.sum()), *terms.tolist())


# ---- golden numbers ----


def test_the_top_of_a_nine():
    left = top(9, 3)
    sums = Completions(left)
    nine = font_mixture().means[9, :15]
    half, ones, alike = sums.terms(torch.stack([constant(left, 0.5), constant(left, 0.999), nine]))
    assert half.log_evidence == pytest.approx(-3.33, abs=5e-3)
    assert half.elbo == pytest.approx(-15.8, abs=0.05) and ones.elbo == pytest.approx(-27.5, abs=0.05)
    assert alike.elbo == pytest.approx(-3.33, abs=5e-3) and 0 < alike.kl < 1e-8


def test_three_or_five():
    left = top(3, 4)
    sums = Completions(left)
    found = best(left, sums)
    assert found.kl == pytest.approx(0.745, abs=5e-4) and found.kl == pytest.approx(math.log(2), abs=0.06)
    assert float(sums.kl(left.posterior_mean[None])) == pytest.approx(3.43, abs=5e-3)
    path = coordinate_ascent(left, constant(left, 0.5), sums)
    told = sums.terms(path)
    assert told[-1].kl == pytest.approx(found.kl, abs=1e-4)
    assert all(b.elbo >= a.elbo - 1e-12 for a, b in itertools.pairwise(told))


def test_what_is_too_unlikely_to_be_multiplied_is_summed_by_logarithms():
    means = torch.tensor([[1e-40] * 10, [1e-35] * 10], dtype=torch.float64)
    table = log_table(torch.tensor([0.5, 0.5]).double().log(), means).flatten()
    assert float(table[-1]) == pytest.approx(10 * math.log(1e-35) + math.log(0.5), rel=1e-12)
    assert float(table[0]) == pytest.approx(0.0, abs=1e-12)


def test_every_one_of_two_to_the_twenty_completions_agrees_with_the_closed_form():
    hidden = torch.arange(35) < 20
    left = hidden_given_seen(font_mixture(), font_digits()[8], hidden)
    sums = Completions(left)
    assert sums.joint.values.numel() == 2**20
    assert float(sums.log_sum) == pytest.approx(float(left.log_evidence), rel=1e-12)
    assert float(sums.prior.values.flatten().logsumexp(0)) == pytest.approx(0.0, abs=1e-12)


# ---- against loops ----


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(1, 6), st.data())
def test_every_term_is_the_loop_over_completions(
    seed: int, components: int, pixels: int, data: st.DataObject
):
    theta, density = small(seed, components, pixels)
    bits = st.lists(st.integers(0, 1), min_size=pixels, max_size=pixels)
    x, hidden = data.draw(bits), [bool(bit) for bit in data.draw(bits)]
    phi = [data.draw(st.sampled_from([0.0, 0.1, 0.5, 0.93, 1.0])) for _ in range(sum(hidden))]
    left = hidden_given_seen(theta, torch.tensor(x, dtype=torch.float64), torch.tensor(hidden))
    q = torch.tensor(phi, dtype=torch.float64)
    (told,) = Completions(left).terms(q[None])
    assert np.allclose(told[:7], brute(density, x, hidden, phi)[:7], rtol=0, atol=1e-10)
    assert float(bound(left.log_joint, left.means, q[None])) <= told.joint + 1e-10


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 5))
def test_no_pixel_can_better_what_ascent_ends_at(seed: int, hidden: int):
    theta, _ = small(seed, 3, 6)
    mask = torch.arange(6) < hidden
    left = hidden_given_seen(theta, torch.tensor([1.0, 0, 1, 0, 1, 1], dtype=torch.float64), mask)
    sums = Completions(left)
    end = coordinate_ascent(left, constant(left, 0.5), sums, sweeps=3000)[-1]
    near = [end.clone() for _ in range(2 * hidden)]
    for i, (way, step) in enumerate(itertools.product(range(hidden), (-1e-3, 1e-3))):
        near[i][way] = (near[i][way] + step).clamp(0.0, 1.0)
    assert float(sums.kl(torch.stack(near)).min()) >= float(sums.kl(end[None])) - 1e-9
    assert best(left, sums).kl <= float(sums.kl(end[None])) + 1e-6


def test_pixels_that_cannot_be_on():
    theta = BernoulliMixtureParams(
        torch.tensor([0.5, 0.5]).double(), torch.tensor([[0.0, 0.3, 1.0], [0.0, 0.8, 0.2]]).double()
    )
    left = hidden_given_seen(theta, torch.tensor([0.0, 1.0, 1.0]).double(), torch.tensor([True, True, False]))
    sums = Completions(left)
    never, maybe = sums.terms(torch.tensor([[0.0, 0.4], [0.1, 0.4]]).double())
    assert math.isfinite(never.elbo) and never.elbo + never.kl == pytest.approx(never.log_evidence)
    assert maybe.kl == math.inf and maybe.elbo == -math.inf
    assert float(best(left, sums).phi[0]) == 0.0
    with pytest.raises(ValueError, match="cannot make such an image"):
        hidden_given_seen(theta, torch.tensor([1.0, 1.0, 1.0]).double(), torch.tensor([False, True, False]))


# ---- the ends ----


def test_nothing_hidden_and_everything_hidden():
    left = top(9, 0)
    (told,) = Completions(left).terms(constant(left, 0.5)[None])
    assert told.elbo == pytest.approx(told.log_evidence) == pytest.approx(told.likelihood)
    assert told.kl == pytest.approx(0.0, abs=1e-12) and told.entropy == 0.0
    assert best(left, Completions(left)).kl == pytest.approx(0.0, abs=1e-12)
    assert coordinate_ascent(left, constant(left, 0.5), Completions(left)).shape[1] == 0
    everything = top(9, 7)
    assert not everything.countable and float(everything.log_evidence) == pytest.approx(0.0, abs=1e-12)
    with pytest.raises(ValueError, match="hide fewer"):
        Completions(everything)
    nine = coordinate_ascent(everything, font_mixture().means[9])[-1]
    (one,) = estimated_terms(everything, nine[None], 1000, 0)
    assert one.kl == pytest.approx(math.log(10), abs=0.01)


@pytest.mark.parametrize("x", [torch.zeros(35).double(), torch.ones(35).double()], ids=["blank", "all on"])
def test_a_blank_and_an_all_black_image(x: torch.Tensor):
    left = hidden_given_seen(font_mixture(), x, torch.arange(35) < 10)
    (told,) = Completions(left).terms(left.posterior_mean[None])
    assert math.isfinite(told.log_evidence) and told.elbo + told.kl == pytest.approx(told.log_evidence)


# ---- draws ----


def test_estimates_lie_within_their_errors():
    left, sums = top(3, 4), Completions(top(3, 4))
    for phi in (constant(left, 0.5), left.posterior_mean, constant(left, 0.9)):
        exact = sums.terms(phi[None])[0]
        rough, (told,) = estimate(left, phi, 4000, 1), estimated_terms(left, phi[None], 4000, 1)
        assert abs(rough.elbo[0] - exact.elbo) < 4 * rough.elbo[1] + 1e-9
        assert abs(rough.kl[0] - exact.kl) < 4 * rough.kl[1] + 1e-9
        for mine, true in zip(told[:7], exact[:7], strict=True):
            assert abs(mine - true) < 4 * told.error + 1e-9


def test_estimates_of_a_climb_are_those_of_its_qs_one_by_one():
    left = top(3, 7)
    path = coordinate_ascent(left, torch.linspace(0.2, 0.8, 35, dtype=torch.float64))
    assert len(path) > 3
    for phi, told in zip(path, estimated_terms(left, path, 300, 5), strict=True):
        x = drawn(phi, 300, 5)
        log_p = x @ left.means.log().T + (1 - x) @ torch.log1p(-left.means).T
        own = left.log_joint + phi @ left.means.log().T + (1 - phi) @ torch.log1p(-left.means).T
        above = (left.log_joint + log_p).logsumexp(1) - ((left.log_joint + log_p - own) * own.softmax(0)).sum(
            1
        )
        assert told.joint == pytest.approx(float(above.mean()), abs=1e-9)


def test_a_q_that_is_sure_leaves_completions_out():
    left, sums = top(3, 4), Completions(top(3, 4))
    phi = constant(left, 0.4)
    assert sums.log_sum_drawn(phi) == sums.log_sum
    phi[[0, 7, 19]] = torch.tensor([1.0, 0.0, 1.0]).double()
    seen, x = torch.arange(35) < 20, font_digits()[3].clone()
    seen[[0, 7, 19]] = False  # as if these three had been seen as q has them
    x[[0, 7, 19]] = torch.tensor([1.0, 0.0, 1.0]).double()
    known = hidden_given_seen(font_mixture(), x, seen)
    assert float(sums.log_sum_drawn(phi)) == pytest.approx(float(known.log_evidence), abs=1e-10)
    assert float(sums.log_sum_drawn(phi)) < float(sums.log_sum) - 0.1


def test_draws_have_the_means_that_they_are_drawn_with():
    left = top(3, 4)
    for x, mean in (
        (completions(left, 20_000, 0), left.posterior_mean),
        (drawn(left.posterior_mean, 20_000, 0), left.posterior_mean),
    ):
        assert float((x.mean(0) - mean).abs().max()) < 4 * 0.5 / math.sqrt(20_000)
    truly, by_q = completions(left, 20_000, 0), drawn(left.posterior_mean, 20_000, 0)
    assert abs(np.corrcoef(truly[:, 6], truly[:, 7])[0, 1]) < 0.9
    where = (left.posterior_mean - 0.5).abs().argsort()[:2]  # what tells a 3 from a 5 goes together
    pair = [abs(float(np.corrcoef(x[:, where].T)[0, 1])) for x in (truly, by_q)]
    assert pair[0] > 0.5 and pair[1] < 0.05


# ---- a VAE as a mixture ----


def test_a_lattice_of_latents_is_the_integral_of_a_decoder():
    slope = torch.tensor([[1.5, -1.0, 0.5], [0.3, 1.0, -2.0]]).double()
    made = lattice(lambda z: torch.sigmoid(z @ slope))
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    grid = np.stack(np.meshgrid(nodes, nodes), -1).reshape(-1, 2)
    share = np.outer(weights, weights).ravel() / weights.sum() ** 2
    p = 1 / (1 + np.exp(-grid @ slope.numpy()))
    exact = float(share @ (p[:, 0] * (1 - p[:, 2])))
    left = hidden_given_seen(
        made.theta, torch.tensor([1.0, 0, 0]).double(), torch.tensor([False, True, False])
    )
    assert float(left.log_evidence.exp()) == pytest.approx(exact, abs=2e-5)
    assert disagreement(left.log_joint, left.log_weights, made.black) < 1e-4


def test_a_posterior_beyond_the_lattice_gets_nodes_there():
    def decode(z: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(3.0 * z[:, :1] - 24.0 + z[:, 1:] * torch.linspace(-1, 1, 4, dtype=torch.float64))

    near, far = lattice(decode), wide(decode)
    joint = summaries.Joint("near", near.theta, (2, 2), np.ones((1, 4)), None, None, (), near.black)
    beyond = summaries.Joint("far", far.theta, (2, 2), np.ones((1, 4)), None, None, (), far.black)
    names = tuple(map(str, range(len(far.z))))
    joint = joint._replace(wide=beyond._replace(names=names))
    hidden = np.array([False, False, False, True])
    line = np.arange(-14, 14, 0.05)
    first, second = np.meshgrid(line, line, indexing="ij")
    log_p = -(first**2 + second**2) / 2 - np.log(2 * np.pi) + 2 * np.log(0.05)
    for slope in (-1.0, -1 / 3, 1 / 3):
        log_p = log_p - np.logaddexp(0.0, -(3.0 * first - 24.0 + slope * second))
    dense = np.logaddexp.reduce(log_p.ravel())
    cut = hidden_given_seen(near.theta, torch.ones(4).double(), torch.tensor(hidden))
    assert abs(float(cut.log_evidence) - dense) > 0.05
    found = summaries.opened(summaries.Image(joint, np.ones(4), hidden))
    assert float(found.conditional.log_evidence) == pytest.approx(dense, abs=1e-6)
    assert len(near.z) < len(found.resp) < len(far.z) and len(found.image.joint.names) == len(found.resp)
    plain = summaries.opened(summaries.Image(joint, np.zeros(4), hidden))
    assert plain.image.joint is joint


# ---- learned from incomplete images ----


def test_em_sees_nothing_of_what_is_hidden():
    em = BernoulliEM(data=DigitImages(count=300), components=3, missing=0.5, pseudo_count=1.0)
    rows = em.rows()
    assert rows.observed is not None and 0.48 < float(rows.observed.double().mean()) < 0.52
    trace = run(Job(em, steps=12))
    elbos = [snapshot.info.log_lik for snapshot in trace]
    assert elbos[-1] > elbos[0]
    state, held, first = trace[6].state, rows.x.clone(), em.init(0)[0]
    try:
        rows.x[~rows.observed] = 1.0 - rows.x[~rows.observed]  # what is hidden may be anything
        again, second = em.step(0, trace[5].state)[0], em.init(0)[0]
    finally:
        rows.x.copy_(held)
    assert torch.equal(again.theta.means, state.theta.means)
    assert torch.equal(first.theta.means, second.theta.means)


def test_nothing_hidden_is_plain_em():
    whole = BernoulliEM(data=DigitImages(count=200), components=3)
    assert whole.rows().observed is None
    hidden = BernoulliEM(data=DigitImages(count=200), components=3, missing=1e-9)
    a, b = (run(Job(em, steps=6))[-1].state.theta.means for em in (whole, hidden))
    assert torch.allclose(a, b, atol=1e-12)
