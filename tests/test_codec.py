"""Snapshots survive bytes to the bit, and nothing but a whole snapshot is ever decoded."""

import json
import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save

from lvmviz import EM, VI, Blobs, Job, Snapshot, run
from lvmviz.core import Algorithm
from lvmviz.runs import codec
from lvmviz.runs.codec import decode, encode, size
from lvmviz.runs.files import Damaged
from tests.walk import Inner, Look, Walk, WalkInfo, WalkState, bits

DTYPES = [
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16,
    torch.int8, torch.uint8, torch.bool, torch.complex64,
]  # fmt: skip


class Stranger(NamedTuple):
    at: Any


@pytest.fixture(autouse=True, scope="module")
def registered() -> Iterator[None]:
    """The walk is a choice only here: its types are declared by it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(Algorithm.options, "Walk", Walk)
        yield


@st.composite
def tensors(draw: st.DrawFn) -> torch.Tensor:
    dtype = draw(st.sampled_from(DTYPES))
    shape = draw(st.lists(st.integers(0, 4), max_size=3))
    numbers = torch.randn(shape, generator=torch.Generator().manual_seed(draw(st.integers(0, 99)))) * 100.0
    tensor = numbers.to(dtype) if dtype is not torch.bool else numbers > 0.0
    return tensor.transpose(0, -1) if draw(st.booleans()) and tensor.ndim > 1 else tensor


leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | tensors()
trees = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3).map(tuple) | inner.map(Look) | st.builds(Inner, inner, inner),
    max_leaves=8,
)


@given(trees, st.integers(0, 10**12), st.floats(), st.text())
def test_what_is_encoded_comes_back_to_the_bit(tree, step, number, word):
    told = Snapshot(step, Look(tree), WalkInfo(number, step, word))
    data = encode(*told)
    assert bits(decode(data)) == bits(told)
    assert encode(*decode(data)) == data  # one spelling


def test_special_numbers_keep_their_bits():
    nan = struct.unpack(">d", bytes.fromhex("7ff800000000beef"))[0]
    info = WalkInfo(nan, 0, "")
    state = Look((-0.0, math.inf, -math.inf, nan, 5e-324, 2**200, "\ud800\0é"))
    back = decode(encode(0, state, info))
    assert struct.pack(">d", back.info.elbo) == struct.pack(">d", nan)
    assert bits(back.state.at[:3]) == bits(state.at[:3]) and back.state.at[4:] == state.at[4:]


def test_tensors_that_share_memory_come_back_apart():
    base = torch.arange(6.0)
    state = WalkState(base, Inner(base[2:], base.expand(2, 6)), base.reshape(2, 3).T, None, (base,))
    back = decode(encode(0, state, None)).state
    assert bits(back) == bits(state)
    back.at.add_(1.0)
    assert bits(back.inner) == bits(state.inner)
    assert all(t.is_contiguous() for t in (back.at, back.inner.mean, back.flags))


def test_equal_snapshots_are_equal_bytes_in_every_process():
    """One key of metadata: safetensors writes several in an order of the day."""
    job = Job(EM(data=Blobs(points=30)), steps=3)
    assert [encode(*one) for one in run(job)] == [encode(*one) for one in run(job)]
    data = encode(*run(job)[-1])
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    assert list(header["__metadata__"]) == ["lvmviz"]


def test_gradients_are_left_behind():
    leaf = torch.ones(2, requires_grad=True)
    back = decode(encode(0, Look(leaf * 2), None)).state.at
    assert not back.requires_grad and back.tolist() == [2.0, 2.0]


def test_what_was_on_the_cpu_comes_back_there():
    """The meta device stands for a GPU: it has no numbers, but a place."""
    data = encode(0, Inner(torch.ones(2), torch.ones(())), None)
    assert decode(data, "meta").state.mean.device.type == "cpu"
    state, _ = _resealed(data, lambda told: told["state"]["items"][0].update(away=True))
    back = decode(state, "meta").state
    assert (back.mean.device.type, back.seen.device.type) == ("meta", "cpu")
    assert decode(state).state.mean.device.type == "cpu"


def test_size_counts_the_tensors():
    assert size(Inner(torch.zeros(10, dtype=torch.float64), torch.zeros((), dtype=torch.int64))) == 88


@pytest.mark.parametrize(
    "wrong", [Look([1]), Look({"a": 1}), Look(torch.nn.Linear(1, 1)), Stranger(1), Look(b"")]
)
def test_what_no_file_can_hold_is_refused(wrong):
    with pytest.raises(ValueError, match="make it a tensor|no algorithm declares"):
        encode(0, wrong, None)


# ---- damage ----


@pytest.fixture(scope="module")
def sound(registered) -> bytes:
    return encode(3, Inner(torch.arange(3.0), torch.tensor(2)), WalkInfo(1.5, 3, "walk"))


def test_every_flipped_bit_is_found(sound):
    for bit in range(8 * len(sound)):
        data = bytearray(sound)
        data[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Damaged):
            decode(bytes(data))


def test_every_truncation_is_found(sound):
    for end in range(len(sound)):
        with pytest.raises(Damaged):
            decode(sound[:end])


@given(st.binary(max_size=200))
def test_noise_is_no_snapshot(sound, data):
    with pytest.raises(Damaged):
        decode(data)
    with pytest.raises(Damaged):
        decode(len(data).to_bytes(8, "little") + data)
    with pytest.raises(Damaged):
        decode(sound + data + b"x")


def _resealed(data: bytes, change: Any) -> tuple[bytes, dict[str, Any]]:
    """A file changed by somebody who knows how to seal it."""
    told, parts = codec._opened(data)
    told.pop("sha256")
    change(told)
    told["sha256"] = codec._digest(told, parts)
    return save(parts, {"lvmviz": codec._json(told)}), told


@pytest.mark.parametrize(
    "change",
    [
        lambda told: told.update(format=2),
        lambda told: told.update(step="3"),
        lambda told: told.update(step=True),
        lambda told: told.pop("step"),
        lambda told: told.pop("state"),
        lambda told: told["state"].update({"class": "os.system"}),
        lambda told: told["state"].update({"class": "tests.test_codec.Stranger"}),
        lambda told: told["state"].update({"class": ["lvmviz"]}),
        lambda told: told["state"]["items"].append(1),
        lambda told: told["state"]["items"].clear(),
        lambda told: told["state"].update(items=7),
        lambda told: told["state"]["items"][0].update(tensor="9"),
        lambda told: told["info"]["items"].__setitem__(0, {"bits": "zz"}),
        lambda told: told["info"]["items"].__setitem__(0, {"bits": "00"}),
        lambda told: told["info"]["items"].__setitem__(0, {}),
        lambda told: told["info"]["items"].__setitem__(0, [1]),
    ],
)
def test_a_forged_file_is_refused(sound, change):
    with pytest.raises(Damaged):
        decode(_resealed(sound, change)[0])


def test_a_deep_file_is_refused():
    deep = "[" * 100_000 + "]" * 100_000
    with pytest.raises(Damaged):
        decode(save({}, {"lvmviz": deep}))


def test_a_file_imports_nothing(sound, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "trap_of_the_codec.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(Damaged, match="no algorithm here declares"):
        decode(_resealed(sound, lambda told: told["state"].update({"class": "trap_of_the_codec.X"}))[0])


def test_vi_declares_its_optimizers_memory():
    """The state says only that the optimizer remembers something; the optimizers say what."""
    last = run(Job(VI(), steps=2))[-1]
    assert bits(decode(encode(*last))) == bits(last)
