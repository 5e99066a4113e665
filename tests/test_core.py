"""Random keys against the published SplitMix64, and the small words of the vocabulary."""

import itertools
import random

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given

from lvmviz.core import Choice, best_device, fold_in, generator, real

words = st.integers(0, 2**64 - 1)

# Published first outputs of SplitMix64: for 1234567 of Vigna's splitmix64.c (Rosetta Code), for 0 of Java's
# SplittableRandom.
PUBLISHED = {
    1234567: [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ],
    0: [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F, 0xF88BB8A8724C81EC, 0x1B39896A51A8749B],
}


@pytest.mark.parametrize("seed", PUBLISHED)
def test_fold_in_is_splitmix64(seed):
    """fold_in(n, seed) is output n + 1 of the generator seeded with `seed`."""
    assert [fold_in(n, seed) for n in range(5)] == PUBLISHED[seed]


def mixed(state: int) -> int:
    """One output of SplitMix64, in NumPy's wrapping 64-bit arithmetic."""
    with np.errstate(over="ignore"):
        z = np.uint64(state) + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return int(z ^ (z >> np.uint64(31)))


@given(words, words)
def test_fold_in_wraps_like_a_machine(key, data):
    with np.errstate(over="ignore"):
        state = np.uint64(key) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(data)
    assert fold_in(key, data) == mixed(int(state))


@given(words)
def test_a_key_is_a_64_bit_word(key):
    made = fold_in(key, -1)
    assert type(made) is int and 0 <= made < 2**64
    assert fold_in(key, 2**64 + 3) == fold_in(key, 3)


def test_keys_differ():
    """100 seeds of 1000 steps, and a second folding of each: no two alike."""
    keys = [fold_in(seed, step) for seed in range(100) for step in range(1000)]
    again = [fold_in(key, 1) for key in keys]
    assert len({*keys, *again}) == 2 * len(keys)


def test_keys_look_random():
    """Every bit is set in about half of the keys, and neighbours share about half of theirs."""
    keys = [fold_in(seed, step) for seed in range(20) for step in range(500)]
    share = np.array([[key >> bit & 1 for bit in range(64)] for key in keys]).mean(0)
    assert np.abs(share - 0.5).max() < 5 * 0.5 / len(keys) ** 0.5
    shared = [(one ^ two).bit_count() for one, two in itertools.pairwise(keys)]
    assert abs(np.mean(shared) - 32) < 5 * 4 / len(shared) ** 0.5


@given(words)
def test_generators_live_on_the_cpu_and_repeat(key):
    rng = generator(key)
    assert rng.device.type == "cpu"
    assert torch.equal(torch.rand(4, generator=rng), torch.rand(4, generator=generator(key)))


def test_generators_live_on_the_cpu_whatever_the_default_device():
    with torch.device("meta"):
        rng = generator(5)
    assert rng.device.type == "cpu"
    assert torch.equal(torch.rand(4, generator=rng), torch.rand(4, generator=generator(5)))


def test_generators_leave_the_global_numbers_alone():
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    torch.rand(4, generator=generator(fold_in(3, 4)))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1].tolist(), random.getstate()) == before[1:]


def test_the_keys_of_many_steps_draw_different_numbers():
    """A run of 20 000 steps never draws the same numbers twice."""
    drawn = {tuple(torch.rand(3, generator=generator(fold_in(0, step))).tolist()) for step in range(20_000)}
    assert len(drawn) == 20_000


@pytest.mark.parametrize("bit", [0, 1, 20, 31])
def test_each_low_bit_of_a_key_counts(bit):
    """The low 32 bits are all that torch seeds its CPU generator with; keys that share them draw alike."""
    key = fold_in(1, 2)
    one, two = (torch.rand(8, generator=generator(k)) for k in (key, key ^ 1 << bit))
    assert not torch.equal(one, two)


def test_float64_wherever_there_is_one():
    assert real("cpu") == real("cuda") == real("cuda:1") == real(torch.device("cpu")) == torch.float64
    assert real("mps") == torch.float32
    assert best_device() in ("cpu", "cuda", "mps")


def test_kinds_are_the_direct_subclasses():
    class Kind(Choice):
        """A kind of this test's own."""

    class Shared(Kind):
        """Abstract, between the kind and its choices."""

    assert Shared.kind() is Kind.kind() is Kind
    assert Shared.options is Kind.options
