"""The exact layer: against fine grids, against draws, and against what is known in closed form."""

import math

import pytest
import torch

from lvmviz import MLP, Bernoulli, DigitImages, GaussianNoise, Job, LinearMap, SigmoidDecoder, TrainVAE, run
from lvmviz.algorithms.vae import VAEWeights
from lvmviz.amortized import Q
from lvmviz.core import generator
from lvmviz.latent import LatentPlane
from lvmviz.latent_model import LatentModel, elbo, estimate, sigmoid_decoder, with_squares
from lvmviz.observations import halves

SMALL = {"data": DigitImages(count=500), "encoder": MLP(hidden=64), "decoder": MLP(hidden=64)}
TRAINED = {
    "after 150 epochs": (TrainVAE(**SMALL), 150),
    "full q": (TrainVAE(**SMALL, posterior="full"), 60),
    "narrow": (TrainVAE(**SMALL, likelihood=GaussianNoise(sd=0.3, learned=True), learning_rate=5e-3), 600),
    "silu": (TrainVAE(**{**SMALL, "decoder": MLP(hidden=32, activation="silu")}), 60),
}


class Case:
    """A trained model with 40 test digits and their q's."""

    def __init__(self, vae: TrainVAE, epochs: int) -> None:
        weights = run(Job(vae, steps=epochs, every=epochs))[-1].state.weights
        self.vae, self.model = vae, vae.model(weights)
        self.x = halves(vae.data, vae.likelihood, vae.held_out, "cpu").test.double()[:40]
        with torch.no_grad():
            self.q = vae.encode(VAEWeights(*(part.double() for part in weights)), self.x)
        self.plane = LatentPlane(self.model)


@pytest.fixture(scope="module", params=list(TRAINED))
def case(request) -> Case:
    return Case(*TRAINED[request.param])


def on_grid(model: LatentModel, x: torch.Tensor, nodes: int = 901, half: float = 6.5) -> torch.Tensor:
    """log p(x) by a plain sum over a fixed grid."""
    axis = torch.linspace(-half, half, nodes, dtype=torch.float64)
    total = torch.full((len(x),), -torch.inf, dtype=torch.float64)
    for row in axis.split(20):
        z = torch.cartesian_prod(row, axis)
        eta, a = model.natural(z)
        joint = x @ eta.T - a + model.base(x)[:, None] - 0.5 * z.square().sum(-1) - math.log(2 * math.pi)
        total = torch.logaddexp(total, joint.logsumexp(1))
    return total + 2.0 * math.log(2.0 * half / (nodes - 1))


def test_log_evidence_is_that_of_a_fine_grid(case):
    value, error = case.plane.log_evidence(case.x, case.q)
    assert float(error.max()) <= 1e-6
    torch.testing.assert_close(value, on_grid(case.model, case.x), atol=1e-6, rtol=0)


def test_the_bound_and_the_gap_add_up_to_the_evidence(case):
    """And the bound is that of a rule of its own, Gauss and Hermite's nodes of q."""
    exact = case.plane.decompose(case.x, case.q)
    assert float(exact.error.max()) <= 1e-6
    bound, apart = elbo(case.model, case.x, case.q, 1e-8)
    assert float(apart.max()) <= 1e-8
    torch.testing.assert_close(exact.elbo, bound, atol=1e-6, rtol=0)
    assert bool(((exact.elbo + exact.kl - exact.log_evidence).abs() <= exact.error + 1e-9).all())
    assert bool((exact.kl > 0.0).all()) and bool((exact.elbo < exact.log_evidence).all())
    assert float(exact.kl.max()) > 0.01  # there is a gap to speak of


def test_the_gap_is_the_integral_of_its_density(case):
    """KL(q || p(z | x)) by a fine grid round q, with the evidence from the grid over the whole plane."""
    x, q = case.x[:5], case.q.rows(slice(0, 5))
    evidence = on_grid(case.model, x)
    axis = torch.linspace(-7.0, 7.0, 201, dtype=torch.float64)
    points = torch.cartesian_prod(axis, axis)
    z = q.means[:, None] + points @ q.scale_tril().mT
    weight = (-0.5 * points.square().sum(-1)).exp()
    log_q = -0.5 * points.square().sum(-1) - q.log_sds.sum(-1, keepdim=True) - math.log(2 * math.pi)
    posterior = case.model.log_joint(x, z) - evidence[:, None]
    kl = (weight * (log_q - posterior)).sum(-1) / weight.sum()
    torch.testing.assert_close(case.plane.decompose(x, q).kl, kl, atol=2e-6, rtol=0)


def test_one_and_many_agree(case):
    together, _ = case.plane.log_evidence(case.x, case.q)
    alone = [case.plane.log_evidence(case.x[k : k + 1], case.q.rows(slice(k, k + 1)))[0] for k in range(4)]
    torch.testing.assert_close(torch.cat(alone), together[:4], atol=2e-6, rtol=0)


def test_importance_weights_agree_within_their_error(case):
    exact = case.plane.decompose(case.x, case.q)
    near = exact.kl < 0.5  # where q misses the posterior, no draw tells the error
    assert int(near.sum()) >= 5
    wide = case.q._replace(log_sds=case.q.log_sds + math.log(1.5)).rows(near)  # of bounded weights
    told = estimate(case.model, case.x[near], wide, 4000, 7)
    assert bool(
        ((told.log_evidence - exact.log_evidence[near]).abs() < 6.0 * told.standard_error + 1e-9).all()
    )
    assert (told.draws, told.key) == (4000, 7)
    again = estimate(case.model, case.x[near], wide, 4000, 7)
    assert torch.equal(told.log_evidence, again.log_evidence)


def test_draws_of_the_prior_agree_within_their_error():
    case = Case(TrainVAE(**SMALL), 20)
    prior = Q(torch.zeros(6, 2).double(), torch.zeros(6, 2).double(), None)
    exact, _ = case.plane.log_evidence(case.x[:6], case.q.rows(slice(0, 6)))
    told = estimate(case.model, case.x[:6], prior, 50_000, 3)
    assert bool(((told.log_evidence - exact).abs() < 5.0 * told.standard_error).all())


def linear(noise: float, far: float = 0.0) -> tuple[LatentModel, torch.Tensor, Q, torch.Tensor]:
    """A linear decoder, some x, their exact posteriors and evidence (Tipping and Bishop, 1999)."""
    loadings = torch.randn((5, 2), generator=generator(1), dtype=torch.float64)
    likelihood, none = GaussianNoise(sd=noise), torch.zeros(0).double()
    model = LatentModel(
        lambda z: likelihood.natural(z @ loadings.T, none), lambda x: likelihood.base(x, none)
    )
    x = torch.randn((6, 5), generator=generator(2), dtype=torch.float64) + far * loadings[:, 0]
    precision = torch.eye(2).double() + loadings.T @ loadings / noise**2
    covariance = torch.linalg.inv(precision)
    lower = torch.linalg.cholesky(covariance)
    means = x @ loadings @ covariance / noise**2
    q = Q(means, lower.diagonal().log().expand(6, 2), lower.tril(-1).expand(6, 2, 2))
    marginal = torch.distributions.MultivariateNormal(
        torch.zeros(5).double(), loadings @ loadings.T + noise**2 * torch.eye(5).double()
    )
    return model, x, q, marginal.log_prob(x)


@pytest.mark.parametrize("noise", [1.0, 0.1, 0.01, 0.001])
@pytest.mark.parametrize("far", [0.0, 12.0])
def test_a_linear_decoder_has_a_closed_form(noise, far):
    """Posteriors 0.0005 wide, and some beyond the first lattice; q is the posterior, so there is no gap."""
    model, x, q, evidence = linear(noise, far)
    exact = LatentPlane(model).decompose(x, q)
    torch.testing.assert_close(exact.log_evidence, evidence, atol=1e-6, rtol=1e-9)
    assert bool((exact.kl.abs() < 1e-6 + 1e-9 * evidence.abs()).all())
    torch.testing.assert_close(exact.elbo, evidence, atol=1e-6, rtol=1e-9)


def test_q_that_looks_elsewhere_does_not_hide_the_posterior():
    model, x, q, evidence = linear(0.01)
    lost = Q(q.means + 1.0, torch.full((6, 2), math.log(1e-3)).double(), None)
    value, error = LatentPlane(model).log_evidence(x, lost)
    torch.testing.assert_close(value, evidence, atol=2e-6, rtol=0)
    exact = LatentPlane(model).decompose(x, lost)
    assert bool((exact.kl > 1.0).all())
    assert bool(((exact.elbo + exact.kl - evidence).abs() <= exact.error + 1e-10 * exact.kl).all())


def test_a_posterior_beyond_the_first_lattice_is_found_without_q():
    model, x, _, evidence = linear(0.1, 12.0)
    prior = Q(torch.zeros(6, 2).double(), torch.zeros(6, 2).double(), None)
    value, error = LatentPlane(model).log_evidence(x, prior)
    torch.testing.assert_close(value, evidence, atol=1e-6, rtol=1e-9)
    assert float(error.max()) <= 1e-6


def test_the_bound_of_more_latents_than_two():
    vae = TrainVAE(latent=3, encoder=LinearMap(), decoder=LinearMap(), likelihood=GaussianNoise(sd=0.3))
    weights = VAEWeights(*(part.double() for part in vae.init(1)[0].weights))
    x = halves(vae.data, vae.likelihood, vae.held_out, "cpu").test.double()[:3]
    q = vae.encode(weights, x)
    corners = torch.cartesian_prod(*[torch.tensor([1.0, -1.0]).double()] * 3)
    terms = vae.terms(weights, x, corners[:, None, :].expand(8, 3, 3))
    value, error = elbo(vae.model(weights), x, q)
    torch.testing.assert_close(value, terms.reconstruction - terms.kl.sum(-1), atol=1e-9, rtol=1e-10)
    assert float(error.max()) < 1e-6


def test_kinks_are_told_by_the_error():
    """Where two rules do not agree within the bound on work, the disagreement is returned and is no lie."""
    vae = TrainVAE(
        data=DigitImages(count=60), decoder=MLP(hidden=8, activation="relu"), likelihood=Bernoulli()
    )
    case = Case(vae, 100)
    x, q = case.x[:2], case.q.rows(slice(0, 2))
    value, error = case.plane.log_evidence(x, q)
    fine = on_grid(case.model, x, 2001)
    assert bool(((value - fine).abs() < error + 1e-5).all())


def test_the_posterior_integrates_to_one_and_has_the_posteriors_moments():
    model, x, q, _ = linear(0.3)
    told = LatentPlane(model).posterior(x[:1], q.rows(slice(0, 1)), 160)
    area = float((told.first[1] - told.first[0]) * (told.second[1] - told.second[0]))
    assert told.density.shape == (len(told.second), len(told.first))
    assert float(told.density.sum()) * area == pytest.approx(1.0, abs=1e-6)
    means = (
        float((told.density.sum(0) * told.first).sum()) * area,
        float((told.density.sum(1) * told.second).sum()) * area,
    )
    assert means == pytest.approx(q.means[0].tolist(), abs=1e-5)


def test_the_sigmoid_decoder_is_the_target_of_note_001():
    """In one dimension, and in two against a fine grid."""
    target = SigmoidDecoder(x=1.7)
    told = [
        torch.tensor(v, dtype=torch.float64) for v in ([[target.a]], [[target.b]], [target.c], [target.d])
    ]
    z = torch.linspace(-4.0, 4.0, 81, dtype=torch.float64)[:, None]
    joint = sigmoid_decoder(*told).log_joint(with_squares(torch.tensor([[1.7]]).double()), z[None])[0]
    torch.testing.assert_close(joint, target.log_prob(z))

    draw = generator(4)
    a, b = (4.0 * torch.randn((3, 2), generator=draw, dtype=torch.float64) for _ in range(2))
    c, d = (torch.randn(3, generator=draw, dtype=torch.float64) for _ in range(2))
    model, x = sigmoid_decoder(a, b, c, d), with_squares(torch.rand((5, 3), generator=draw).double())
    prior = Q(torch.zeros(5, 2).double(), torch.zeros(5, 2).double(), None)
    exact = LatentPlane(model).decompose(x, prior)
    torch.testing.assert_close(exact.log_evidence, on_grid(model, x), atol=1e-6, rtol=0)
    assert bool(((exact.elbo + exact.kl - exact.log_evidence).abs() <= exact.error + 1e-9).all())
