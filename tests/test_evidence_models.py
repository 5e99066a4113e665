"""Models of known evidence and proposals: against closed forms, enumeration and SciPy's integrals."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from lvmviz.core import each, generator
from lvmviz.evidence import (
    BinaryLatents,
    EvidenceModel,
    FromPrior,
    GaussianLatents,
    NearPosterior,
    OneLatent,
    PlacedQ,
    Proposal,
    UniformBox,
)
from lvmviz.evidence.states import BLOCK, seconds_for, states, summed, terms
from lvmviz.families import LaplaceQ, MixtureOf2, StudentQ
from lvmviz.targets import Cauchy, ConjugateGaussian, EqualModes, SigmoidDecoder

SEED = 7


def symmetric(model: BinaryLatents) -> float:
    """log p(x) in n^2 steps: at each number of switches on, the sum over who they are is a polynomial."""
    x, n, total = model.x().numpy(), model.bits, -math.inf
    for on in range(n + 1):
        off = stats.norm.logpdf(x, model.leak * on, model.noise) + math.log1p(-model.share)
        lit = stats.norm.logpdf(x, 1 - model.leak + model.leak * on, model.noise) + math.log(model.share)
        coefficients = np.array([0.0] + [-np.inf] * n)  # log of the elementary symmetric polynomials
        for a, b in zip(off, lit, strict=True):
            moved = np.concatenate([[-np.inf], coefficients[:-1]])
            coefficients = np.logaddexp(coefficients + a, moved + b)
        total = np.logaddexp(total, coefficients[on])
    return float(total)


@given(
    bits=st.integers(1, 10),
    share=st.floats(0.01, 0.99),
    leak=st.floats(0, 1),
    noise=st.floats(0.1, 5),
)
def test_the_sum_over_all_states_is_the_evidence(bits, share, leak, noise):
    model = BinaryLatents(bits=bits, share=share, leak=leak, noise=noise)
    assert model.log_evidence() == pytest.approx(symmetric(model), abs=1e-9)


@pytest.mark.parametrize("bits", [1, 11, 12, 17, 22])
def test_independent_bits_have_a_closed_form(bits):
    """Without a leak p(x) is a product of sums of two terms; 22 bits are 4 million terms."""
    model = BinaryLatents(bits=bits, leak=0.0, share=0.3)
    x = model.x().numpy()
    one = 0.3 * stats.norm.pdf(x, 1, 0.5) + 0.7 * stats.norm.pdf(x, 0, 0.5)
    assert model.log_evidence() == pytest.approx(float(np.log(one).sum()), abs=1e-9)
    on = model.posterior()[0].numpy()
    assert on == pytest.approx(0.3 * stats.norm.pdf(x, 1, 0.5) / one, abs=1e-12)


def test_states_are_all_there_is():
    assert states(3, 0, 8).tolist() == [list(map(float, row)) for row in itertools.product((0, 1), repeat=3)]
    assert states(13, BLOCK, BLOCK + 2)[:, :3].tolist() == [[0, 1, 0]] * 2
    index = states(13, 0, BLOCK) @ 2.0 ** torch.arange(12, -1, -1, dtype=torch.float64)
    assert torch.equal(index, torch.arange(BLOCK, dtype=torch.float64))


def test_every_term_is_that_of_its_state():
    model = BinaryLatents(bits=4, leak=0.3, share=0.2)
    told = terms(model.log_joint, 4)
    for number, bits in enumerate(itertools.product((0, 1), repeat=4)):
        z = np.array(bits)
        mean = 0.7 * z + 0.3 * z.sum()
        wanted = stats.norm.logpdf(model.x(), mean, 0.5).sum() + stats.bernoulli.logpmf(z, 0.2).sum()
        assert float(told[number]) == pytest.approx(wanted, abs=1e-12)


def test_a_sum_tells_how_far_it_is_and_can_be_stopped():
    model, told = BinaryLatents(bits=14), []
    for one in summed(model.log_joint, 14):
        told.append(one)
        if one.terms >= 3 * BLOCK:
            break
    assert [one.terms for one in told] == [BLOCK, 2 * BLOCK, 3 * BLOCK] and {one.of for one in told} == {
        2**14
    }
    assert all(a.log_sum < b.log_sum and a.seconds <= b.seconds for a, b in itertools.pairwise(told))
    assert seconds_for(30, told[0]) == pytest.approx(told[0].seconds * 2**30 / BLOCK)


@pytest.mark.parametrize("dimension", [1, 7, 30])
def test_the_gaussian_evidence_is_scipy_s(dimension):
    model = GaussianLatents(dimension=dimension, offset=-0.8, noise=1.7)
    one = stats.norm.logpdf(-0.8, 0, math.hypot(1.0, 1.7))
    assert model.log_evidence() == pytest.approx(dimension * one, abs=1e-12)
    mean, sd = (float(part[0]) for part in model.posterior())
    z = torch.tensor([[0.3] * dimension], dtype=torch.float64)
    posterior = dimension * stats.norm.logpdf(0.3, mean, sd)
    assert float(model.log_joint(z)) - model.log_evidence() == pytest.approx(posterior, abs=1e-11)


@pytest.mark.parametrize("target", [ConjugateGaussian(prior_sd=2.0, x=3.0), SigmoidDecoder(), EqualModes()])
def test_one_latent_is_its_target(target):
    model = OneLatent(target=target)
    joint = lambda z: float(target.log_prob(torch.tensor([z], dtype=torch.float64)).exp())  # noqa: E731
    total, _ = integrate.quad(joint, -40, 40, points=[-2.5, 0, 2.5], limit=400)
    assert model.log_evidence() == pytest.approx(math.log(total), abs=1e-8)
    mean, _ = integrate.quad(lambda z: z * joint(z) / total, -40, 40, points=[-2.5, 0, 2.5], limit=400)
    assert float(model.posterior()[0]) == pytest.approx(mean, abs=1e-7)
    prior = stats.norm(*(float(part) for part in model.prior()))
    for z in (-3.0, 0.4):
        here = torch.tensor([z], dtype=torch.float64)
        assert float(target.log_prior(here)) == pytest.approx(prior.logpdf(z), abs=1e-9)


def test_what_cannot_be_says_so():
    with pytest.raises(ValueError, match="no variance to make q of"):
        OneLatent(target=Cauchy()).posterior()
    with pytest.raises(ValueError, match="are switches"):
        PlacedQ().draw(BinaryLatents(), generator(1), 3)


# ---- proposals ----

PROPOSALS = [
    *each(Proposal),
    *(NearPosterior(family=family, shift=0.3) for family in (StudentQ(), LaplaceQ(), MixtureOf2())),
    UniformBox(reach=0.7),
]
over_proposals = pytest.mark.parametrize("proposal", PROPOSALS, ids=repr)


@over_proposals
@pytest.mark.parametrize("model", list(each(EvidenceModel)), ids=lambda m: type(m).__name__)
def test_draws_know_their_density(model, proposal):
    if model.discrete and isinstance(proposal, PlacedQ):
        return
    z, log_q = proposal.draw(model, generator(SEED), 200)
    assert z.shape == (200, model.size) and z.dtype == log_q.dtype == torch.float64
    assert torch.allclose(log_q, proposal.log_prob(model, z), atol=1e-9)
    again, _ = proposal.draw(model, generator(SEED), 200)
    assert torch.equal(z, again) and not torch.equal(z, proposal.draw(model, generator(8), 200)[0])
    assert model.log_joint(z).isfinite().all()


@over_proposals
def test_a_density_has_mass_one_and_its_draws_follow_it(proposal):
    model = GaussianLatents(dimension=1)

    def density(z: float) -> float:
        return float(proposal.log_prob(model, torch.tensor([z], dtype=torch.float64)).exp())

    ends = np.linspace(-12, 12, 25).tolist() + [-0.7, 0.7, 1.2]
    mass, _ = integrate.quad(density, -14, 14, points=ends, limit=900)
    mean, _ = integrate.quad(lambda z: z * density(z), -14, 14, points=ends, limit=900)
    assert mass == pytest.approx(1.0, abs=2e-4)  # a Student has some beyond
    z, _ = proposal.draw(model, generator(SEED), 40_000)
    assert float(z.mean()) == pytest.approx(mean, abs=4.5 * float(z.std()) / 200)


@pytest.mark.parametrize(
    "proposal", [FromPrior(), UniformBox(), NearPosterior(width=2.0), NearPosterior(shift=1.0)]
)
def test_over_bits_a_proposal_sums_to_one(proposal):
    model = BinaryLatents(bits=9, share=0.3)
    every = states(9, 0, 512)
    log_q = proposal.log_prob(model, every)
    assert float(log_q.exp().sum()) == pytest.approx(1.0, abs=1e-12)
    # weighed by q, the importance weights of all states sum to p(x)
    total = torch.logsumexp(log_q + (model.log_joint(every) - log_q), 0)
    assert float(total) == pytest.approx(symmetric(model), abs=1e-12)
    z, _ = proposal.draw(model, generator(SEED), 40_000)
    share = log_q.exp() @ every
    assert ((z.mean(0) - share).abs() < 4.5 * (share * (1 - share) / 40_000).sqrt() + 1e-9).all()


def test_near_the_posterior_is_the_posterior_at_width_one():
    model = GaussianLatents(dimension=3)
    z, log_q = NearPosterior(width=1.0).draw(model, generator(SEED), 100)
    assert torch.allclose(model.log_joint(z) - log_q, torch.tensor(model.log_evidence()).double(), atol=1e-12)


def test_a_wider_q_over_bits_has_flatter_odds():
    """The posterior's odds to the power 1 / width; at width 1 and without a leak all weights are equal."""
    model = BinaryLatents(bits=3, leak=0.0)
    exact = NearPosterior(width=1.0)
    z = states(3, 0, 8)
    weights = model.log_joint(z) - exact.log_prob(model, z)
    assert weights.tolist() == pytest.approx([model.log_evidence()] * 8, abs=1e-9)
    flat = NearPosterior(width=2.0).log_prob(model, z).exp() @ z
    odds = (model.posterior()[0] / (1 - model.posterior()[0])).sqrt()
    assert torch.allclose(flat, odds / (1 + odds))
