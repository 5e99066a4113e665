"""Networks: against torch's own layers, against finite differences, and pure in their weights."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lvmviz import MLP, Convolutional, LinearMap, Network
from lvmviz.core import generator

IMAGES = [(8, 8), (28, 28), (5, 7), (4, 4), (1, 3)]
SMOOTH = [MLP(hidden=7), MLP(hidden=5, layers=2, activation="silu"), LinearMap(), Convolutional(channels=2)]


def normal(*shape: int, key: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=generator(key), dtype=torch.float64)


@pytest.mark.parametrize("bend", ["tanh", "silu", "relu"])
@pytest.mark.parametrize("layers", [1, 3])
def test_an_mlp_is_torchs_layers(bend, layers):
    network = MLP(hidden=6, layers=layers, activation=bend)
    weights, x = network.init(3, (4,), (5,)).double(), normal(9, 4)
    kinds = {"tanh": torch.nn.Tanh, "silu": torch.nn.SiLU, "relu": torch.nn.ReLU}
    widths = [4, *[6] * layers, 5]
    parts = []
    for i, o in zip(widths, widths[1:], strict=False):
        parts += [torch.nn.Linear(i, o, dtype=torch.float64), kinds[bend]()]
    theirs = torch.nn.Sequential(*parts[:-1])
    torch.nn.utils.vector_to_parameters(weights, theirs.parameters())
    torch.testing.assert_close(network.forward(weights, x, (4,), (5,)), theirs(x), rtol=1e-12, atol=1e-12)
    assert network.count((4,), (5,)) == len(weights) == sum(p.numel() for p in theirs.parameters())


def test_a_linear_map_is_linear():
    network, weights = LinearMap(), LinearMap().init(1, (3,), (2,)).double()
    x, y = normal(4, 3), normal(4, 3, key=1)
    at = [
        network.forward(weights, v, (3,), (2,)) for v in (x, y, 2.0 * x - 3.0 * y, torch.zeros(4, 3).double())
    ]
    torch.testing.assert_close(at[2] - at[3], 2.0 * (at[0] - at[3]) - 3.0 * (at[1] - at[3]))


@pytest.mark.parametrize("image", IMAGES)
def test_a_convolutional_encoder_reads_every_pixel(image):
    """By differences: no pixel is left out of what it tells, also where four does not divide the sides."""
    network, pixels = Convolutional(channels=3), math.prod(image)
    weights = network.init(2, image, (4,)).double()
    assert weights.shape == (network.count(image, (4,)),)
    x = normal(1, pixels)
    still = network.forward(weights, x, image, (4,))
    moved = network.forward(weights, x + 0.5 * torch.eye(pixels, dtype=torch.float64), image, (4,))
    assert still.shape == (1, 4) and moved.shape == (pixels, 4)
    assert ((moved - still).abs().max(1).values > 1e-6).all()


@pytest.mark.parametrize("image", IMAGES)
def test_a_convolutional_decoder_draws_every_pixel(image):
    network = Convolutional(channels=3)
    weights = network.init(2, (2,), image).double()
    out = network.forward(weights, normal(6, 2), (2,), image)
    assert out.shape == (6, math.prod(image)) and (out.std(0) > 1e-4).all()


def test_a_convolution_by_hand():
    """The first layer with four loops, the rest with torch."""
    network, image = Convolutional(channels=2, activation="silu"), (4, 8)
    weights, x = network.init(5, image, (3,)).double(), normal(1, 32)
    shapes = network.shapes(image, (3,))
    one, b1, two, b2, three, b3 = (
        part.reshape(shape)
        for part, shape in zip(weights.split([math.prod(s) for s in shapes]), shapes, strict=True)
    )
    padded = np.pad(x.reshape(image).numpy(), 1)
    first = np.zeros((2, 2, 4))
    for c, i, j in np.ndindex(2, 2, 4):
        first[c, i, j] = (padded[2 * i : 2 * i + 4, 2 * j : 2 * j + 4] * one[c, 0].numpy()).sum() + b1[c]
    hidden = F.silu(torch.from_numpy(first))[None]
    hidden = F.silu(F.conv2d(hidden, two, b2, stride=2, padding=1)).flatten()
    torch.testing.assert_close(network.forward(weights, x, image, (3,))[0], three @ hidden + b3)


def test_convolutions_need_images():
    with pytest.raises(ValueError, match="choose an MLP"):
        Convolutional().init(0, (64,), (4,))


@pytest.mark.parametrize("network", SMOOTH, ids=repr)
@pytest.mark.parametrize("sides", [((4, 4), (3,)), ((2,), (4, 4))])
def test_gradients_by_finite_differences(network, sides):
    inputs, outputs = sides
    weights, x = network.init(1, inputs, outputs).double(), normal(3, math.prod(inputs))
    share = normal(3, math.prod(outputs), key=2)

    def value(at: torch.Tensor) -> torch.Tensor:
        return (network.forward(at, x, inputs, outputs) * share).sum()

    leaf = weights.clone().requires_grad_()
    (slope,) = torch.autograd.grad(value(leaf), leaf)
    for key in range(4):
        along = normal(len(weights), key=key + 10)
        step = 1e-5 * along
        both = (value(weights + step) - value(weights - step)) / 2e-5
        assert float(both) == pytest.approx(float(slope @ along), rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("cls", Network.options.values(), ids=lambda cls: cls.__name__)
def test_the_first_weights_come_from_the_key(cls):
    network = cls()
    one, two, other = (network.init(key, (8, 8), (4,)) for key in (1, 1, 2))
    assert one.dtype == torch.float32 and torch.equal(one, two) and not torch.equal(one, other)
    assert network.flops((8, 8), (4,)) >= len(one)
    out = network.forward(one, torch.rand((50, 64), generator=generator(0)), (8, 8), (4,))
    assert out.shape == (50, 4) and 0.01 < float(out.std()) < 10.0


def test_leading_dimensions_are_kept():
    network, weights = Convolutional(), Convolutional().init(0, (2,), (8, 8)).double()
    z = normal(3, 5, 2)
    out = network.forward(weights, z, (2,), (8, 8))
    assert out.shape == (3, 5, 64)
    torch.testing.assert_close(out[1, 2], network.forward(weights, z[1, 2:3], (2,), (8, 8))[0])


def test_kinks_are_told():
    assert MLP().smooth and LinearMap().smooth and Convolutional(activation="silu").smooth
    assert not MLP(activation="relu").smooth and not Convolutional(activation="relu").smooth
