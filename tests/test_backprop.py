"""The gradient by hand against autograd's, and finite differences behind it, for every part that it knows."""

import dataclasses

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lvmviz import MLP, Bernoulli, ContinuousBernoulli, DigitImages, GaussianNoise, LinearMap, TrainVAE
from lvmviz.algorithms.vae import VAEWeights
from lvmviz.core import generator

SMALL = TrainVAE(data=DigitImages(count=40), encoder=MLP(hidden=7), decoder=MLP(hidden=5), batch=8)


def both_ways(vae: TrainVAE, beta: float, rows: int = 6) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """The slopes by hand and by autograd, float64, with the same draws."""
    x = vae.likelihood.prepare(torch.tensor(vae.data.examples().x[:rows])).double()
    draw = generator(3)
    weights = [
        part.double() + 0.1 * torch.randn(part.shape, generator=draw).double()
        for part in vae.init(1)[0].weights
    ]
    noise = torch.randn((vae.draws, rows, vae.latent), generator=draw).double()
    slopes = [torch.full_like(part, torch.nan) for part in weights]
    bound = vae._bound(weights, slopes)
    assert bound is not None
    bound.descend(x, noise, beta, both=True)
    leaves = VAEWeights(*(part.clone().requires_grad_() for part in weights))
    loss, _ = vae.loss(leaves, x, noise, beta)
    return slopes, list(torch.autograd.grad(loss, leaves))


@pytest.mark.parametrize("activation", ["tanh", "silu", "relu"])
@pytest.mark.parametrize("likelihood", [Bernoulli(), GaussianNoise(sd=0.3), ContinuousBernoulli()], ids=repr)
@given(layers=st.integers(1, 3), latent=st.integers(1, 4), draws=st.integers(1, 3), beta=st.floats(0, 5),
       free=st.sampled_from([0.0, 0.02, 5.0]))  # fmt: skip
def test_by_hand_as_by_autograd(activation, likelihood, layers, latent, draws, beta, free):
    network = MLP(hidden=6, layers=layers, activation=activation)
    vae = dataclasses.replace(
        SMALL,
        encoder=network,
        decoder=network,
        likelihood=likelihood,
        latent=latent,
        draws=draws,
        free_bits=free,
    )
    for hand, tape in zip(*both_ways(vae, beta), strict=True):
        torch.testing.assert_close(hand, tape, rtol=1e-10, atol=1e-12)


def test_linear_maps_too():
    for hand, tape in zip(
        *both_ways(dataclasses.replace(SMALL, encoder=LinearMap(), decoder=LinearMap()), 1.0), strict=True
    ):
        torch.testing.assert_close(hand, tape, rtol=1e-10, atol=1e-12)


def test_the_decoder_rests_when_only_the_encoder_moves():
    weights = [part.double() for part in SMALL.init(1)[0].weights]
    slopes = [torch.zeros_like(part) for part in weights]
    x = SMALL.likelihood.prepare(torch.tensor(SMALL.data.examples().x[:4])).double()
    SMALL._bound(weights, slopes).descend(x, torch.ones(1, 4, 2).double(), 1.0, both=False)
    assert slopes[0].any() and not slopes[1].any()


@pytest.mark.parametrize(
    "settings", [{}, {"encoder_steps": 3}, {"free_bits": 0.5, "draws": 2}, {"warm_up": 5.0}], ids=repr
)
def test_a_training_goes_the_same_way(settings):
    """Three epochs, float32: as far as rounding lets two ways to one gradient agree."""
    vae = dataclasses.replace(SMALL, **settings)
    hand = tape = vae.init(0)[0]
    for step in range(3):
        hand, tape = vae._train(step, hand, 0), vae._train(step, tape, 0, by_hand=False)
    assert torch.equal(hand.updates, tape.updates) and int(hand.batches) == 12
    for one, other in zip(hand.weights, tape.weights, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def test_what_it_does_not_know_is_left_to_autograd():
    for settings in ({"posterior": "full"}, {"kl": "sampled"}, {"likelihood": GaussianNoise(learned=True)}):
        vae = dataclasses.replace(SMALL, **settings)
        assert vae._bound(vae.init(0)[0].weights, vae.init(0)[0].weights) is None
        assert int(vae.step(1, vae.init(0)[0])[0].batches) == 4
