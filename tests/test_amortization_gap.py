"""The two gaps: against other optimizers and other integrals, closed forms, and what each scene says."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.integrate
import scipy.optimize
import torch

from lvmviz import (
    MLP,
    AmortizedVI,
    DigitImages,
    DigitPixels,
    GaussianNoise,
    Iris,
    Job,
    KnownSpectrum,
    OneLatentDecoder,
    TrainLinearVAE,
    TrainVAE,
    Wine,
    run,
)
from lvmviz.algorithms.amortization_gap import Split, refined, refined_flow, split
from lvmviz.algorithms.best_gaussian import best_gaussian
from lvmviz.algorithms.vae import VAEWeights
from lvmviz.amortized import Q
from lvmviz.core import generator
from lvmviz.figures import amortization as one_latent
from lvmviz.figures import budget, image_gaps
from lvmviz.figures import linear_vae as linear_figures
from lvmviz.latent import LatentPlane
from lvmviz.latent_model import LatentModel
from lvmviz.observations import halves
from lvmviz.summaries import amortization, linear_vae, vae_gaps
from lvmviz.ui import gaps_scenes
from lvmviz.ui.derivation import agrees
from lvmviz.ui.derivation_gaps import linear_lines, split_lines

F64 = torch.float64
COUNT = 24


class Digits:
    """A small VAE of digits, some test images, their encoder's q's."""

    def __init__(self, posterior: str = "mean-field") -> None:
        small = {"data": DigitImages(count=500), "encoder": MLP(hidden=32), "decoder": MLP(hidden=32)}
        vae = TrainVAE(**small, posterior=posterior)
        weights = run(Job(vae, steps=60, every=60))[-1].state.weights
        self.model = vae.model(weights)
        self.x = halves(vae.data, vae.likelihood, vae.held_out, "cpu").test.double()[:COUNT]
        self.encode = lambda x: vae.encode(VAEWeights(*(part.double() for part in weights)), x)
        with torch.no_grad():
            self.q = self.encode(self.x)
        self.plane = LatentPlane(self.model)


@pytest.fixture(scope="module")
def digits() -> Digits:
    return Digits()


@pytest.fixture(scope="module", params=["mean-field", "full"])
def made(digits: Digits, request) -> Split:
    return split(digits.plane, digits.x, digits.q, request.param)


def test_the_parts_are_not_negative_and_add_up_within_the_error(made):
    assert float(made.error.max()) < 1e-5
    assert bool((made.approximation > 0.0).all()) and bool((made.amortization >= 0.0).all())
    apart = (made.total - made.approximation - made.amortization).abs()
    assert bool((apart <= made.error).all())
    assert float(made.amortization.mean()) > 0.01  # there is a gap to speak of


def test_every_part_is_that_of_a_fine_grid(digits):
    """KL's by sums over one lattice round the posterior; nothing of it is the code's own."""
    made, axis = split(digits.plane, digits.x, digits.q, "full"), torch.linspace(-7.5, 7.5, 751, dtype=F64)
    z, area = torch.cartesian_prod(axis, axis), float(axis[1] - axis[0]) ** 2
    for k in (0, 13):
        with torch.no_grad():
            eta, a = digits.model.natural(z)
            joint = eta @ digits.x[k] - a - 0.5 * z.square().sum(1) - math.log(2.0 * math.pi)
        log_p = joint - joint.logsumexp(0) - math.log(area)
        for q, kl in ((digits.q, made.total), (made.best, made.approximation)):
            covariance = q.scale_tril()[k] @ q.scale_tril()[k].T
            log_q = torch.distributions.MultivariateNormal(q.means[k], covariance).log_prob(z)
            assert float((log_q.exp() * (log_q - log_p)).sum()) * area == pytest.approx(
                float(kl[k]), abs=2e-6
            )


@pytest.mark.parametrize("posterior", ["mean-field", "full"])
def test_the_best_q_is_that_of_another_optimizer(digits, posterior):
    """L-BFGS from many starts, one datum at a time, finds no nearer Gaussian."""
    made = split(digits.plane, digits.x[:4], digits.q.rows(slice(0, 4)), posterior)
    for k in range(4):
        x = digits.x[k : k + 1]
        other = digits.plane.decompose(x, best_gaussian(digits.model, x, posterior)).kl
        assert float(made.approximation[k]) == pytest.approx(float(other), abs=5e-6)


def test_a_larger_family_is_never_farther_and_one_datum_is_as_many(digits):
    mean_field, full = (split(digits.plane, digits.x, digits.q, name) for name in ("mean-field", "full"))
    assert bool((full.approximation <= mean_field.approximation + 1e-9).all())
    torch.testing.assert_close(full.total, mean_field.total, atol=1e-9, rtol=0)
    alone = split(digits.plane, digits.x[5:6], digits.q.rows(slice(5, 6)), "full")
    torch.testing.assert_close(alone.approximation, full.approximation[5:6], atol=2e-6, rtol=0)
    bent = refined_flow(digits.plane, digits.x[3:4], full.best.rows(slice(3, 4)))
    assert 0.0 <= bent.kl <= float(full.approximation[3]) + 1e-6 and bent.error < 1e-4


def test_an_encoder_with_correlations_is_split_by_full_gaussians(digits):
    q = digits.q._replace(below=torch.zeros(COUNT, 2, 2, dtype=F64))
    with pytest.raises(ValueError, match="best full Gaussian"):
        split(digits.plane, digits.x, q, "mean-field")


def test_images_that_training_never_showed_are_the_encoders_loss(digits):
    """What the scene of inverted digits says: q's fitted to each alone come as near as ever."""
    x = 1.0 - digits.x
    with torch.no_grad():
        inverted = split(digits.plane, x, digits.encode(x), "mean-field")
    usual = split(digits.plane, digits.x, digits.q, "mean-field")
    assert float(inverted.amortization.mean()) > 10.0 * float(usual.amortization.mean())
    assert float(inverted.approximation.mean()) < 0.1 * float(inverted.total.mean())
    assert bool((inverted.total - inverted.approximation - inverted.amortization <= inverted.error).all())


def linear(correlated: bool) -> tuple[LatentModel, torch.Tensor, torch.Tensor, torch.Tensor]:
    """A linear decoder, some x, the posterior's means and its precision."""
    loadings = torch.randn((5, 2), generator=generator(1), dtype=F64)
    if not correlated:
        loadings = torch.linalg.qr(loadings)[0]
    noise, none = GaussianNoise(sd=0.5), torch.zeros(0, dtype=F64)
    model = LatentModel(lambda z: noise.natural(z @ loadings.T, none), lambda x: noise.base(x, none))
    x = torch.randn((6, 5), generator=generator(2), dtype=F64)
    precision = torch.eye(2, dtype=F64) + loadings.T @ loadings / 0.25
    return model, x, torch.linalg.solve(precision, loadings.T @ x.T / 0.25).T, precision


@pytest.mark.parametrize("far", [0.0, 3.0])
def test_a_linear_decoder_has_closed_forms(far):
    """The best full q is the posterior; without correlations it costs 1/2 log of a ratio of determinants."""
    model, x, means, precision = linear(correlated=True)
    q = Q(means + far, torch.full_like(means, -1.0), None)
    full, flat = (split(LatentPlane(model), x, q, name) for name in ("full", "mean-field"))
    torch.testing.assert_close(full.best.means, means, atol=1e-6, rtol=0)
    assert float(full.approximation.abs().max()) < 1e-6
    lost = 0.5 * (precision.diagonal().log().sum() - torch.logdet(precision))
    torch.testing.assert_close(flat.approximation, lost.expand(6), atol=1e-6, rtol=0)
    sd = math.exp(-1.0)
    shift = torch.full((2,), far, dtype=F64)
    total = 0.5 * (
        sd**2 * precision.trace() - 2.0 + shift @ precision @ shift + 4.0 - torch.logdet(precision)
    )
    torch.testing.assert_close(full.total, total.expand(6), atol=1e-5, rtol=1e-6)


def test_a_q_that_is_best_already_has_no_amortization_gap():
    model, x, means, precision = linear(correlated=False)
    q = Q(means, -0.5 * precision.diagonal().log().expand(6, 2).contiguous(), None)
    made = split(LatentPlane(model), x, q, "mean-field")
    assert float(made.amortization.max()) < 1e-9 and bool((made.amortization >= 0.0).all())
    torch.testing.assert_close(refined(model, x, q).means, means, atol=1e-6, rtol=0)


# ---- one latent ----


@pytest.mark.parametrize("mean", ["line", "sigmoid", "square"])
def test_one_latent_is_what_scipy_integrates(mean):
    decoder = OneLatentDecoder(mean=mean, noise=0.4)
    f = {
        "line": lambda z: z,
        "sigmoid": lambda z: 4 / (1 + math.exp(-2 * z)) - 2,
        "square": lambda z: z * z - 1,
    }
    x, m, s = 0.7, 0.4, 0.3

    def log_joint(z: float) -> float:
        return -0.5 * ((x - f[mean](z)) / 0.4) ** 2 - math.log(0.4) - 0.5 * z * z - math.log(2 * math.pi)

    def integral(g, points=(0.0,)) -> float:
        return scipy.integrate.quad(g, -8.0, 8.0, points=points, limit=400, epsabs=1e-12)[0]

    evidence = math.log(integral(lambda z: math.exp(log_joint(z)), (-1.3, 0.4, 1.3)))
    log_q = lambda z: -0.5 * ((z - m) / s) ** 2 - math.log(s) - 0.5 * math.log(2 * math.pi)  # noqa: E731
    elbo = integral(lambda z: math.exp(log_q(z)) * (log_joint(z) - log_q(z)), (m,))
    at, log_sd = torch.tensor([m], dtype=F64), torch.tensor([math.log(s)], dtype=F64)
    data = torch.tensor([x], dtype=F64)
    assert float(decoder.log_evidence(data)) == pytest.approx(evidence, abs=1e-9)
    assert float(decoder.elbo(data, at, log_sd)) == pytest.approx(elbo, abs=1e-9)
    assert float(decoder.gap(data, at, log_sd)) == pytest.approx(evidence - elbo, abs=1e-8)
    best, spread = (float(part) for part in decoder.best(data))

    def lost(phi: np.ndarray) -> float:
        return float(decoder.gap(data, *torch.tensor(phi, dtype=F64)[:, None]))

    found = min(
        scipy.optimize.minimize(
            lost, [start, -1.0], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-13}
        ).fun
        for start in (-1.0, 1.0)
    )
    assert lost(np.array([best, spread])) == pytest.approx(found, abs=1e-8)


@pytest.mark.parametrize("mean", ["line", "sigmoid", "square"])
@pytest.mark.parametrize("capacity", ["constant", "linear", "MLP"])
def test_the_encoders_gradient_is_autograds(mean, capacity):
    made = AmortizedVI(decoder=OneLatentDecoder(mean=mean), capacity=capacity)
    size = len(made.init(3)[0].phi[0])
    phi = torch.randn(1, size, generator=generator(5), dtype=F64).requires_grad_()
    mean, log_sd = made.encode(phi[0], made.x())
    e = torch.linspace(-9.0, 9.0, 2001, dtype=F64)
    weights = torch.softmax(-0.5 * e.square(), 0)
    log_joint = made.decoder.log_joint(made.x()[:, None], mean[:, None] + log_sd.exp()[:, None] * e)
    value = (log_joint @ weights + log_sd).mean() + 0.5 * math.log(2.0 * math.pi * math.e)
    value.backward()
    told, gradient = made._slope(phi.detach())
    assert float(told) == pytest.approx(value.item(), abs=1e-10, rel=1e-11)
    torch.testing.assert_close(gradient, phi.grad, atol=1e-9, rtol=1e-9)


def test_wide_qs_are_integrated_as_finely_as_they_need():
    """Where noise is small and an untrained encoder wild, 40 Gauss-Hermite nodes were .35 nats off."""
    asked = AmortizedVI(decoder=OneLatentDecoder(noise=0.1), hidden=64)
    trace = run(Job(asked, steps=2))
    e = np.linspace(-9.0, 9.0, 24001)
    weights = np.exp(-0.5 * e * e) / np.exp(-0.5 * e * e).sum()
    for x in (-3.2, 0.97):
        there, terms = amortization.encoded_at(trace, x), amortization.terms(trace, x)
        for mean, sd, term in zip(there.mean[:, 0], there.sd[:, 0], terms, strict=True):
            z = mean + sd * e
            joint = -0.5 * (((x - 2.0 * np.tanh(z)) / 0.1) ** 2 + z * z) - math.log(0.1 * 2.0 * math.pi)
            elbo = float(joint @ weights) + 0.5 * math.log(2.0 * math.pi * math.e) + math.log(sd)
            assert term.elbo == pytest.approx(elbo, rel=1e-10, abs=1e-9)
            assert term.elbo + term.kl == pytest.approx(term.log_evidence, rel=1e-10, abs=1e-9)


def test_of_two_equal_roots_the_one_beside_the_encoder_is_drawn():
    trace, index = ended(gaps_scenes.ROOTS)
    drawn, seen = amortization.best_beside(trace), amortization.landscape(gaps_scenes.ROOTS.decoder)
    inside = (seen.x > 0.0) & (seen.x < 1.4)  # where there are two, apart
    assert np.abs(drawn - amortization.encoded(trace).mean[index])[inside].max() < 0.1
    np.testing.assert_array_equal(np.abs(drawn), np.abs(seen.mean))
    x, mean, log_sd = (torch.tensor(part) for part in (seen.x, drawn, np.log(seen.sd)))
    np.testing.assert_allclose(gaps_scenes.ROOTS.decoder.elbo(x, mean, log_sd).numpy(), seen.elbo, atol=1e-12)


@pytest.mark.parametrize("draws", [1, 2, 8])
def test_what_iwae_leaves_is_that_of_other_integrals(draws):
    """One draw leaves the KL; two by a sum over both latents; eight by 200,000 samples."""
    trace, index = ended(gaps_scenes.OUTSIDE)
    decoder, x = gaps_scenes.OUTSIDE.decoder, 2.6
    there = amortization.encoded_at(trace, x)
    left = amortization.iwae_leaves(trace, index, x, draws)
    assert left.error < 1e-7 and left.there >= 0.0
    evidence = float(decoder.log_evidence(torch.tensor([x], dtype=F64)))
    q = np.array([x]), there.mean[index], np.log(there.sd[index])
    if draws == 1:
        assert left.there == pytest.approx(float(there.total[index, 0]), abs=1e-9)
    elif draws == 2:
        e = np.linspace(-8.0, 8.0, 1601)
        weights, log_w = np.exp(-0.5 * e * e), decoder.log_weights(*q, e)[0]
        both = np.logaddexp(log_w[:, None], log_w) - math.log(2.0)
        weights /= weights.sum()
        assert left.there == pytest.approx(evidence - float(weights @ both @ weights), abs=1e-8)
    else:
        noise = np.random.default_rng(0).standard_normal(200_000 * draws)
        log_w = decoder.log_weights(*q, noise)[0].reshape(-1, draws)
        bounds = np.log(np.exp(log_w).mean(1))
        error = float(bounds.std()) / math.sqrt(len(bounds))
        assert abs(left.there - (evidence - float(bounds.mean()))) < 4.0 * error < 0.02
        assert left.there < float(there.total[index, 0])


def ended(algorithm) -> tuple:
    trace = run(Job(algorithm, steps=60 if isinstance(algorithm, AmortizedVI) else 300))
    return trace, len(trace) - 1


def at(scene: str, x: float) -> tuple[float, float]:
    """Approximation and amortization gap of a scene at an x."""
    trace, index = ended(getattr(gaps_scenes, scene))
    parts, there = amortization.parts(trace, index), amortization.parts_at(trace, index, x)
    assert float(parts.error.max()) < 1e-9 and float(parts.amortization.min()) >= 0.0
    assert float(parts.approximation.min()) >= 0.0
    return float(there.approximation[0]), float(there.amortization[0])


def told(name: str) -> str:
    return next(scene.reason for scene in gaps_scenes.SCENES if scene.name == name)


def test_scenes_say_what_is_measured():
    assert sum(at("LINE", 3.0)) < 1e-9
    family, shared = at("OUTSIDE", 2.6)
    trace, index = ended(gaps_scenes.OUTSIDE)
    inside = np.abs(amortization.landscape(gaps_scenes.OUTSIDE.decoder).x) <= gaps_scenes.OUTSIDE.reach
    mean = float(amortization.parts(trace, index).amortization[inside].mean())
    assert f"{family:.3f}" in told("outside") and "more than a hundred times" in told("outside")
    assert shared > 100.0 * mean
    family, shared = at("ROOTS", 1.0)
    assert f"{family:.3f}" in told("two-roots") and family > math.log(2.0) and shared < 0.02
    family, shared = at("CONSTANT", -1.2)
    assert f"{shared:.2f}" in told("constant") and f"{family:.3f}" in told("constant")
    spent = amortization.budget(trace)
    assert f"{spent.asked_own[10]} gradients" in told("budget") and f"{spent.own[10]:.2f} nats" in told(
        "budget"
    )
    assert f"{spent.training[-1]:.2f} too" in told("budget") and "about 5,000" in told("budget")
    assert abs(spent.asked[-1] - 5000) < 250 and 280 < spent.asked[-1] / spent.asked_own[10] < 340


def test_lines_of_the_gap_agree():
    trace, index = ended(gaps_scenes.OUTSIDE)
    parts, terms = amortization.parts_at(trace, index, 0.97), amortization.terms(trace, 0.97)[index]
    told = split_lines(terms, *(float(part[0]) for part in parts[1:]))
    assert all(agrees(line) for line in told if line.relation == "=")


@pytest.mark.parametrize("draws", [1, 8])
def test_what_iwae_leaves_of_images_is_that_of_samples(draws, monkeypatch):
    """Of a linear decoder; one draw leaves the KL in closed form, eight what 100,000 samples say."""
    model, x, means, precision = linear(correlated=True)
    q = Q(means + 0.4, torch.full_like(means, -1.0), None)
    made = split(LatentPlane(model), x, q, "full")
    parts = vae_gaps.Parts(*(part.numpy() for part in (made.total, made.approximation, made.amortization)),
                           made.error.numpy())  # fmt: skip
    gaps = vae_gaps.Gaps(made.log_evidence.numpy(), made.elbo.numpy(), parts, q, made.best)
    monkeypatch.setattr(vae_gaps, "gaps", lambda *asked: gaps)
    monkeypatch.setattr(vae_gaps, "families", lambda at: ("full",))
    monkeypatch.setattr(vae_gaps, "images", lambda *asked: x.numpy())
    monkeypatch.setattr(vae_gaps, "latent_plane", lambda at: LatentPlane(model))
    left = vae_gaps.iwae_leaves(SimpleNamespace(key=("linear", draws)), "", draws)
    assert left.error.max() < 1e-5
    if draws == 1:
        np.testing.assert_allclose(left.each, made.total.numpy(), atol=2e-5)
    else:
        noise = torch.randn((100_000 * draws, 1, 2), generator=generator(3), dtype=F64)
        z = q.rows(slice(0, 1)).sample(noise)
        log_q = -0.5 * noise.square().sum(-1) - math.log(2.0 * math.pi) - q.log_sds[0].sum()
        log_w = (model.log_joint(x[:1], z[:, 0][None])[0] - log_q[:, 0]).view(-1, draws)
        bounds = torch.logsumexp(log_w, 1) - math.log(draws)
        error = float(bounds.std()) / math.sqrt(len(bounds))
        assert abs(left.each[0] - (gaps.log_evidence[0] - float(bounds.mean()))) < 4.0 * error < 0.02


# ---- the linear VAE ----


def test_the_known_spectrum_is_what_it_says():
    points = KnownSpectrum(seed=3).table().points
    assert np.abs(points.mean(0)).max() < 1e-12
    values = np.sort(np.linalg.eigvalsh(np.cov(points.T, bias=True)))[::-1]
    np.testing.assert_allclose(values, (6.0, 3.0, 1.5, 0.8, 0.3, 0.2, 0.1, 0.1), rtol=1e-10)


@pytest.mark.parametrize(
    "asked",
    [TrainLinearVAE(), TrainLinearVAE(latents=2), TrainLinearVAE(data=Iris(features=()), latents=2),
     TrainLinearVAE(latents=2, posterior="full"), gaps_scenes.FIXED, TrainLinearVAE(latents=7),
     TrainLinearVAE(latents=7, learned=False, noise_variance=0.01),
     TrainLinearVAE(data=Wine(features=()), latents=5),
     TrainLinearVAE(data=DigitPixels(), latents=3), TrainLinearVAE(data=DigitPixels(), latents=20),
     TrainLinearVAE(data=DigitPixels(), latents=10, learned=False, noise_variance=0.01)],
)  # fmt: skip
def test_training_reaches_probabilistic_pca(asked):
    """By multivariate normals of scipy, and with sigma^2 of GOLDEN: .5 for two latents, .3 for three."""
    trace, index = ended(asked)
    best, info = linear_vae.optimum(asked), trace[index].info
    points = asked.data.table().points
    cov = best.theta.loadings.numpy() @ best.theta.loadings.numpy().T + best.noise_variance * np.eye(
        points.shape[1]
    )
    log_lik = scipy.stats.multivariate_normal(points.mean(0), cov).logpdf(points).mean()
    assert best.log_lik == pytest.approx(log_lik, abs=1e-9)
    assert info.elbo == pytest.approx(log_lik, abs=1e-6) and info.kl == pytest.approx(0.0, abs=1e-6)
    if isinstance(asked.data, KnownSpectrum) and asked.learned and asked.latents < 4:
        assert info.noise_variance == pytest.approx({2: 0.5, 3: 0.3}[asked.latents], abs=1e-4)
    own = trace[index].state.model.kl_prior(asked.covariance()).numpy()
    if asked.posterior == "mean-field":
        np.testing.assert_allclose(np.sort(own)[::-1], best.kl, atol=1e-3)


@pytest.mark.parametrize(("noise", "active"), [(0.1, 6), (0.25, 5), (0.5, 4), (1.0, 3), (2.0, 2), (4.0, 1)])
def test_active_latents_are_those_above_the_noise(noise, active):
    best = linear_vae.optimum(TrainLinearVAE(latents=7, learned=False, noise_variance=noise))
    assert best.active == active
    values = np.array((6.0, 3.0, 1.5, 0.8, 0.3, 0.2))[:active]
    np.testing.assert_allclose(best.kl[:active], 0.5 * np.log(values / noise), atol=1e-9)


@pytest.mark.parametrize("posterior", ["mean-field", "full"])
def test_every_moment_of_training_adds_up(posterior):
    """log p = ELBO + KL on the way, each by a formula of its own; the ELBO's gradient is the hand's."""
    trace = run(Job(TrainLinearVAE(latents=3, posterior=posterior), steps=12, seed=4))
    for terms in linear_vae.decompositions(trace):
        assert terms.elbo + terms.kl == pytest.approx(terms.log_evidence, abs=1e-9) and terms.kl >= 0.0
        assert terms.likelihood - terms.kl_prior == pytest.approx(terms.elbo, abs=1e-9)
        assert terms.joint + terms.entropy == pytest.approx(terms.elbo, abs=1e-9)
    algorithm, phi = linear_vae.linear_vae(trace), trace[5].state.phi.clone().requires_grad_()
    algorithm.model(phi[0]).elbo(algorithm.covariance()).backward()
    told, gradient = algorithm._slope(phi.detach())
    torch.testing.assert_close(gradient, phi.grad, atol=1e-10, rtol=1e-9)
    assert float(told) == pytest.approx(trace[5].info.elbo, abs=1e-10)


def test_a_turn_to_the_axes_leaves_the_likelihood_alone_and_closes_the_gap():
    trace = run(Job(TrainLinearVAE(latents=3), steps=5, seed=4))
    before, after = trace[4].info, trace[5].info
    assert before.kl > 1e-3 and after.kl < 1e-12 and after.log_lik >= before.elbo
    covariance = trace[5].state.model.theta.loadings.T @ trace[5].state.model.theta.loadings
    assert float((covariance - covariance.diagonal().diag()).abs().max()) < 1e-9


def test_no_active_axis_has_no_angle():
    best = linear_vae.optimum(TrainLinearVAE(latents=2, learned=False, noise_variance=10.0))
    assert best.active == 0 and linear_vae.angle(best.theta.loadings + 1.0, best) is None


@pytest.mark.parametrize("degrees", [0.0, 30.0, 45.0, 90.0])
def test_no_rotation_is_seen_but_by_a_mean_field_q(degrees):
    best = linear_vae.optimum(gaps_scenes.TURNED)
    turned = linear_vae.turned(best.theta, gaps_scenes.TURNED.data, degrees)
    assert turned.log_lik == pytest.approx(best.log_lik, abs=1e-10)
    assert turned.elbo + turned.gap == pytest.approx(turned.log_lik, abs=1e-9)
    one, two = 6.0 / 0.5, 3.0 / 0.5  # the posterior's precisions
    cos, sin = math.cos(math.radians(degrees)) ** 2, math.sin(math.radians(degrees)) ** 2
    lost = 0.5 * math.log((one * cos + two * sin) * (one * sin + two * cos) / (one * two))
    assert turned.gap == pytest.approx(lost, abs=1e-9)
    if degrees == 45.0:
        assert f"{lost:.4f} nats" in told("rotation") and f"{best.log_lik:.4f}".replace("-", "−") in told(
            "rotation"
        )


def test_lines_of_the_linear_vae_agree():
    trace, index = ended(gaps_scenes.FIXED)
    best = linear_vae.optimum(gaps_scenes.FIXED)
    turned = linear_vae.turned(best.theta, gaps_scenes.FIXED.data, 30.0)
    lines = linear_lines(linear_vae.decompositions(trace)[index], best, turned)
    assert len(lines) == 5 and all(agrees(line) for line in lines)
    assert [f"{value:.2f}" for value in best.kl[:3]] == ["0.90", "0.55", "0.20"] and best.active == 3


def test_too_many_latents_are_refused():
    with pytest.raises(ValueError, match="use fewer latents"):
        run(Job(TrainLinearVAE(latents=8), steps=1))


@pytest.mark.parametrize("dark", [False, True])
def test_figures_are_plotlys(dark):
    """Every property is one that plotly knows; the first and the last frame differ."""
    trace, index = ended(gaps_scenes.OUTSIDE)
    seen, made = amortization.landscape(gaps_scenes.OUTSIDE.decoder), amortization.encoded(trace)
    best = seen.mean, seen.sd
    film = one_latent.encoded(
        seen.x, seen.z, seen.density, best, made.mean, made.sd, reach=1.5, at=1.0, dark=dark
    )
    assert film.at(0).data[-1].y != film.at(index).data[-1].y and film.count == index + 1
    gap = one_latent.over_x(seen.x, seen.gap, made.total, reach=1.5, at=1.0, dark=dark).at(index)
    np.testing.assert_allclose(gap.data[-1].y, made.total[index], rtol=1e-9)
    spent = amortization.budget(trace)
    own, shared = (100 * spent.asked_own, spent.own), (spent.asked, spent.training)
    both = spent.asked[-1] + 100 * spent.asked_warm, spent.warm
    assert budget.spent(own, shared, both, spent.least, chosen=0, dark=dark).checked().data
    parts, images = (np.array([0.1, 0.2]), np.array([0.3, 0.0])), np.zeros((2, 8, 8))
    left = np.array([0.05, 0.01])
    bars = image_gaps.bars(*parts, ["a", "b"], images, chosen=1, left=left, draws=8, dark=dark).checked()
    assert [bar.y for bar in bars.data] == [(0.1, 0.2), (0.3, 0.0), (0.05, 0.01)]
    assert len(bars.layout.images) == 2
    line, eye = np.linspace(-1.0, 1.0, 9), (np.zeros(2), np.eye(2))
    density = np.exp(-(line[:, None] ** 2) - line**2)
    gaussians = {"encoder’s q": eye, "best mean-field": eye, "best full": eye}
    assert image_gaps.plane(line, line, density, gaussians, np.zeros((3, 2)), dark=dark).checked().data
    trained, last = ended(gaps_scenes.TURNED)
    course, best = linear_vae.course(trained), linear_vae.optimum(gaps_scenes.TURNED)
    spectrum = linear_figures.spectrum(
        best.eigenvalues, best.noise_variance, best.kl, course.eigenvalues, course.noise_variance, course.kl,
        dark=dark,
    )  # fmt: skip
    np.testing.assert_allclose(spectrum.at(last).data[1].y, best.noise_variance, rtol=1e-3)
    turned = linear_vae.turned(best.theta, gaps_scenes.TURNED.data, 30.0)
    assert linear_figures.latents(turned.latents, turned.posterior, turned.q, dark=dark).checked().data
