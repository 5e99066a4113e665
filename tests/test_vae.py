"""TrainVAE: its ELBO against closed forms, its gradients against differences, its training against PPCA."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from lvmviz import (
    MLP,
    Bernoulli,
    ContinuousBernoulli,
    DigitImages,
    GaussianNoise,
    Job,
    LinearMap,
    Pinwheel,
    Rows,
    TrainVAE,
    run,
)
from lvmviz.algorithms.vae import VAEWeights
from lvmviz.amortized import q_of, q_size
from lvmviz.core import fold_in, generator
from lvmviz.observations import halves

SMALL = TrainVAE(data=DigitImages(count=60), encoder=MLP(hidden=16), decoder=MLP(hidden=16), batch=16)
POSTERIORS = ["mean-field", "full"]


def normal(*shape: int, key: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=generator(key), dtype=torch.float64)


def double(weights: VAEWeights) -> VAEWeights:
    return VAEWeights(*(part.double() for part in weights))


def prepared(vae: TrainVAE) -> torch.Tensor:
    return halves(vae.data, vae.likelihood, vae.held_out, "cpu").train.double()


# ---- q ----


@pytest.mark.parametrize("latent", [1, 2, 5])
@pytest.mark.parametrize("posterior", POSTERIORS)
def test_q_is_torchs_gaussian(latent, posterior):
    q = q_of(normal(4, q_size(latent, posterior)), latent, posterior)
    theirs = torch.distributions.MultivariateNormal(q.means, scale_tril=q.scale_tril())
    prior = torch.distributions.MultivariateNormal(torch.zeros(latent).double(), torch.eye(latent).double())
    torch.testing.assert_close(q.kl().sum(-1), torch.distributions.kl_divergence(theirs, prior))
    assert bool((q.kl() >= 0.0).all())
    z = normal(7, latent, key=1)
    torch.testing.assert_close(q.log_prob(z), theirs.log_prob(z[:, None]).T)
    noise = normal(3, 4, latent, key=2)
    sampled = q.sample(noise)
    torch.testing.assert_close(sampled, q.means + (q.scale_tril() @ noise[..., None])[..., 0])
    told = q.sampled_kl(sampled, noise).sum(-1)
    torch.testing.assert_close(told, theirs.log_prob(sampled) - prior.log_prob(sampled))
    torch.testing.assert_close(q.sds(), theirs.variance.sqrt())


def test_the_kl_by_coordinates_is_the_chain_rule():
    """The last coordinate's share by its conditional distribution, which a regression gives."""
    q = q_of(normal(1, q_size(3, "full"), key=4), 3, "full")
    covariance = (q.scale_tril() @ q.scale_tril().mT)[0]
    slope = torch.linalg.solve(covariance[:2, :2], covariance[:2, 2])
    spread = covariance[2, 2] - slope @ covariance[:2, 2]
    mean_square = q.means[0, 2] ** 2 + slope @ covariance[:2, :2] @ slope
    share = 0.5 * (spread + mean_square - 1.0 - spread.log())
    torch.testing.assert_close(q.kl()[0, 2], share)


# ---- the bound ----


@pytest.mark.parametrize("posterior", POSTERIORS)
@pytest.mark.parametrize("kl", ["analytic", "sampled"])
def test_gradients_by_finite_differences(posterior, kl):
    """The loss with everything in it, on the same draws, in double precision."""
    vae = dataclasses.replace(
        SMALL, posterior=posterior, kl=kl, latent=3, free_bits=0.1, likelihood=GaussianNoise(learned=True)
    )
    weights = double(vae.init(3)[0].weights)
    x, noise = prepared(vae)[:5], normal(2, 5, 3)
    leaves = VAEWeights(*(part.clone().requires_grad_() for part in weights))
    loss, _ = vae.loss(leaves, x, noise, 0.7)
    slopes = torch.autograd.grad(loss, leaves)
    for key in range(4):
        along = [normal(len(part), key=10 * key + k) for k, part in enumerate(weights)]
        at = [
            VAEWeights(*(part + step * move for part, move in zip(weights, along, strict=True)))
            for step in (1e-5, -1e-5)
        ]
        both = [float(vae.loss(there, x, noise, 0.7)[0]) for there in at]
        told = sum(float(slope @ move) for slope, move in zip(slopes, along, strict=True))
        assert (both[0] - both[1]) / 2e-5 == pytest.approx(told, rel=1e-5)


def test_the_sampled_kl_is_the_analytic_one_on_average():
    weights = double(SMALL.init(0)[0].weights)
    x = prepared(SMALL)[:3]
    draws = [SMALL.terms(weights, x, normal(2000, 3, 2, key=k), "sampled").kl for k in range(20)]
    told, error = torch.stack(draws).mean(0), torch.stack(draws).std(0) / math.sqrt(20)
    assert bool(((told - SMALL.terms(weights, x, normal(1, 3, 2)).kl).abs() < 5.0 * error).all())


def test_beta_warms_up_by_minibatches():
    vae = dataclasses.replace(SMALL, beta=2.0, warm_up=2.0)  # 48 of 60 digits by 16: 3 minibatches an epoch
    assert [vae.beta_at(k) for k in (0, 3, 6, 60)] == [0.0, 1.0, 2.0, 2.0]
    assert [snapshot.info.beta for snapshot in run(Job(vae, steps=3))] == [0.0, 1.0, 2.0, 2.0]
    assert SMALL.beta_at(0) == 1.0


@pytest.mark.parametrize("beta", [0.0, 0.3, 1.0, 4.0])
def test_beta_weighs_the_kl(beta):
    weights = double(SMALL.init(0)[0].weights)
    x, noise = prepared(SMALL)[:5], normal(1, 5, 2)
    terms = SMALL.terms(weights, x, noise)
    objective = terms.reconstruction - beta * terms.kl.sum(-1)
    assert float(SMALL.loss(weights, x, noise, beta)[0]) == pytest.approx(-float(objective.mean()))


def test_free_bits_leave_the_first_nats_alone():
    weights = double(SMALL.init(0)[0].weights)
    x, noise = prepared(SMALL)[:5], normal(1, 5, 2)
    free = dataclasses.replace(SMALL, free_bits=5.0)
    terms = free.terms(weights, x, noise)
    assert bool((terms.kl.mean(0) < 5.0).all())
    assert float(free.loss(weights, x, noise, 1.0)[0]) == pytest.approx(
        float(10.0 - terms.reconstruction.mean())
    )


# ---- a step ----


def by_hand(vae: TrainVAE, key: int, steps: int) -> VAEWeights:
    """The weights after some epochs with torch's own Adam, one minibatch after the other."""
    state, _ = vae.init(fold_in(key, 0))
    weights = [part.clone().requires_grad_() for part in state.weights]
    optimizer = torch.optim.Adam(weights, lr=vae.learning_rate)
    train = halves(vae.data, vae.likelihood, vae.held_out, "cpu").train
    for step in range(1, steps + 1):
        order = torch.randperm(
            len(train), generator=generator(fold_in(fold_in(key, step), 1) % 2**63), device="cpu"
        )
        draws = torch.randn(
            (vae.draws, len(train), vae.latent), generator=generator(fold_in(fold_in(key, step), 2))
        )
        for start in range(0, len(train), vae.batch):
            rows = order[start : start + vae.batch]
            terms = vae.terms(VAEWeights(*weights), train[rows], draws[:, start : start + vae.batch])
            optimizer.zero_grad()
            (terms.kl.sum(-1) - terms.reconstruction).mean().backward()
            optimizer.step()
    return VAEWeights(*(part.detach() for part in weights))


@pytest.mark.parametrize("draws", [1, 3])
def test_a_step_is_an_epoch_of_torchs_adam(draws):
    vae = dataclasses.replace(SMALL, draws=draws, batch=20)  # the last minibatch has 8
    ours = run(Job(vae, steps=3, seed=9))[-1].state.weights
    for mine, theirs in zip(ours, by_hand(vae, 9, 3), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=2e-4, atol=2e-6)


def test_the_decoder_waits_for_the_encoder():
    vae = dataclasses.replace(SMALL, encoder_steps=3)
    first, last = run(Job(vae, steps=4, seed=2))[0].state, run(Job(vae, steps=4, seed=2))[-1].state
    assert last.updates.tolist() == [12, 4] and int(last.batches) == 12
    patient = dataclasses.replace(SMALL, encoder_steps=20)
    still = run(Job(patient, steps=4, seed=2))[-1].state
    assert torch.equal(still.weights.decoder, first.weights.decoder)
    assert not torch.equal(still.weights.encoder, first.weights.encoder)


def test_an_epoch_in_several_steps_sees_every_example_once():
    slow = dataclasses.replace(SMALL, batches=1)
    trace = run(Job(slow, steps=6, seed=4))
    assert [round(s.info.epoch, 6) for s in trace] == [0, 0.333333, 0.666667, 1, 1.333333, 1.666667, 2]
    keys = [int(s.state.shuffle) for s in trace][1:]
    assert len(set(keys[:3])) == len(set(keys[3:])) == 1 and keys[0] != keys[3]
    seen = []
    for at in range(3):
        order = torch.randperm(48, generator=generator(keys[0]), device="cpu")
        seen += order[at * 16 : (at + 1) * 16].tolist()
    assert sorted(seen) == list(range(48))


def test_the_numbers_told_are_the_terms():
    state, info = SMALL.init(5)
    made = halves(SMALL.data, SMALL.likelihood, SMALL.held_out, "cpu")
    q = SMALL.encode(state.weights, made.test)
    theirs = torch.distributions.Normal(q.means, q.log_sds.exp())
    prior = torch.distributions.Normal(torch.zeros_like(q.means), torch.ones_like(q.means))
    assert info.test_kl == pytest.approx(
        float(torch.distributions.kl_divergence(theirs, prior).sum(-1).mean()), rel=1e-5
    )
    assert info.elbo == pytest.approx(info.reconstruction - info.kl, abs=1e-9)
    assert info.test_elbo == pytest.approx(info.test_reconstruction - info.test_kl, abs=1e-9)
    assert float(state.kl.sum()) == pytest.approx(info.kl, rel=1e-6)
    draws = [SMALL.terms(state.weights, made.test, normal(1, 12, 2, key=k).float()) for k in range(200)]
    means = torch.stack([t.reconstruction.mean() for t in draws])
    assert abs(float(means.mean()) - info.test_reconstruction) < 5.0 * float(means.std())


def test_training_raises_the_bound_on_examples_it_has_not_seen():
    for likelihood in (Bernoulli(), ContinuousBernoulli(), GaussianNoise(learned=True)):
        trace = run(Job(dataclasses.replace(SMALL, likelihood=likelihood, learning_rate=0.01), steps=30))
        assert trace[-1].info.test_elbo > trace[0].info.test_elbo + 1.0
    assert trace[-1].info.noise != trace[0].info.noise == pytest.approx(0.1)


def test_the_test_set_is_the_same_for_every_run_and_apart():
    made = halves(Rows(), GaussianNoise(), 0.2, "cpu")
    assert made.train.shape == (800, 2) and made.test.shape == (200, 2)
    rows = {tuple(row) for part in made[:2] for row in part.tolist()}
    assert rows == {tuple(row) for row in Rows().examples().x.tolist()} and len(rows) == 1000
    assert halves(Rows(), GaussianNoise(), 0.2, "cpu") is made


def test_a_run_that_leaves_the_numbers_stops_with_its_last_good_state():
    trace = run(Job(dataclasses.replace(SMALL, learning_rate=10.0), steps=50))
    last, before = trace[-1], trace[-2]
    assert last.step < 50 and last.info.status.startswith("stopped: the ")
    assert "Lower the learning rate (10)" in last.info.status
    assert all(bool(part.isfinite().all()) for part in last.state.weights)
    assert last.state.weights is not None
    for kept, good in zip(last.state.weights, before.state.weights, strict=True):
        assert torch.equal(kept, good)
    assert math.isfinite(last.info.elbo)


def test_data_a_likelihood_cannot_read_are_refused_at_the_start():
    with pytest.raises(ValueError, match="from 0 to 1"):
        TrainVAE(data=Rows(table=Pinwheel(), scaled=False)).init(0)


def test_what_is_shown_is_without_adams_memory():
    state = run(Job(SMALL, steps=1))[-1].state
    shown = SMALL.shown(state)
    assert torch.equal(shown.weights.encoder, state.weights.encoder)
    assert sum(part.numel() for part in (*shown.first, *shown.second)) == 0


# ---- probabilistic PCA ----

PPCA = 0.0057067249515783  # closed form, digits / 16, two components, population covariance


def moments_of(x: torch.Tensor) -> torch.Tensor:
    """128 points with the mean and the covariance of x (N, 64): all that a linear model sees of it."""
    values, vectors = torch.linalg.eigh(torch.cov(x.T, correction=0))
    away = math.sqrt(64.0) * (values.clamp(min=0.0).sqrt() * vectors).T
    return x.mean(0) + torch.cat([away, -away])


def test_a_linear_vae_reaches_the_closed_form_of_ppca():
    """The four points (+-1, +-1) integrate a quadratic exactly, so this ELBO has no noise."""
    vae = TrainVAE(
        encoder=LinearMap(), decoder=LinearMap(), likelihood=GaussianNoise(sd=0.3, learned=True), latent=2
    )
    x = torch.from_numpy(np.array(DigitImages().examples().x)).double()
    leaves = VAEWeights(*(part.double().requires_grad_() for part in vae.init(0)[0].weights))
    points = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]], dtype=torch.float64)

    def climb(x: torch.Tensor, turns: int) -> None:
        optimizer = torch.optim.LBFGS(
            list(leaves), max_iter=turns, tolerance_grad=1e-9, tolerance_change=1e-14, history_size=100,
            line_search_fn="strong_wolfe",
        )  # fmt: skip

        def closure() -> torch.Tensor:
            optimizer.zero_grad()
            value = loss(x)
            value.backward()
            return value

        optimizer.step(closure)

    def loss(x: torch.Tensor) -> torch.Tensor:
        terms = vae.terms(leaves, x, points[:, None, :].expand(4, len(x), 2))
        return (terms.kl.sum(-1) - terms.reconstruction).mean()

    climb(moments_of(x), 1500)  # the way there
    climb(x, 100)
    assert -loss(x).item() == pytest.approx(PPCA, abs=1e-6)
    noise_variance = vae.likelihood.noise(vae.own(leaves).detach()) ** 2
    values = PCA().fit(x.numpy()).explained_variance_ * (len(x) - 1) / len(x)
    assert noise_variance == pytest.approx(values[2:].mean(), rel=1e-4)
