"""A job's id is a hash of everything that decides its bits; a trace is an immutable sequence."""

import dataclasses
import hashlib
import inspect
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

import lvmviz
from lvmviz import EM, Added, Blobs, Floor, Iris, Job, KMeansPlusPlus, Snapshot, Trace, run
from lvmviz.core import canonical
from lvmviz.runs import job as job_module
from lvmviz.runs.store import run_id

ROOT = Path(__file__).parents[1]
BASE = Job(EM(data=Blobs(points=40)), steps=6)
OTHERS = {
    "algorithm": EM(data=Blobs(points=41)),
    "steps": 7,
    "every": 2,
    "seed": 1,
    "device": "cuda",
}
DEEP = [
    EM(),
    EM(data=Iris()),
    EM(data=Iris(features=("sepal width", "petal length"))),
    EM(data=Iris(features=("petal length",))),
    EM(components=4),
    EM(start=KMeansPlusPlus()),
    EM(regularizer=Floor(amount=0)),
    EM(regularizer=Floor(amount=np.nextafter(1e-4, 1))),
    EM(regularizer=Added(amount=1e-4)),
    EM(tolerance=0),
]


# ---- ids ----


def test_ids_are_names_of_files():
    assert len(BASE.id) == 16 and set(BASE.id) <= set("0123456789abcdef")


def test_equal_jobs_have_one_id():
    again = Job(EM(data=Blobs(points=40)), steps=6)
    assert again == BASE and hash(again) == hash(BASE) and again.id == BASE.id


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Job)])
def test_ids_differ_in_each_field(name):
    assert dataclasses.replace(BASE, **{name: OTHERS[name]}).id != BASE.id


def test_ids_differ_in_each_setting():
    assert len({Job(algorithm).id for algorithm in DEEP}) == len(DEEP) - 1  # EM() is EM(data=Iris())


def test_ids_differ_in_version_and_threads(monkeypatch):
    monkeypatch.setattr(job_module, "__version__", "999")
    newer = BASE.id
    monkeypatch.undo()
    monkeypatch.setattr(torch, "get_num_threads", lambda: 63)
    assert len({newer, BASE.id, dataclasses.replace(BASE, device="mps").id}) == 3
    monkeypatch.undo()
    assert BASE.id != newer


def test_a_run_has_one_name_however_many_threads_ask_for_it(monkeypatch):
    names = [(BASE.id, run_id(BASE))]
    monkeypatch.setattr(torch, "get_num_threads", lambda: 63)
    names.append((BASE.id, run_id(BASE)))
    assert names[0][1] == names[1][1] == BASE.named(1) and names[0][0] != names[1][0]


@pytest.mark.parametrize("name", ["steps", "every", "seed"])
def test_a_number_of_400_digits_gets_a_sentence(name):
    with pytest.raises(ValueError, match=f"{name} must be a whole number of at most"):
        dataclasses.replace(BASE, **{name: 10**400})


def test_numbers_of_a_device_do_not_matter():
    """cuda:0 and cuda:1 compute the same bits; threads of the CPU decide nothing on a GPU."""
    assert dataclasses.replace(BASE, device="cuda:1").id == dataclasses.replace(BASE, device="cuda").id


@pytest.mark.parametrize("number", [3.0, np.int64(3), np.float64(3)])
@pytest.mark.parametrize("name", ["steps", "every", "seed"])
def test_one_number_has_one_id_however_spelt(name, number):
    made, plain = dataclasses.replace(BASE, **{name: number}), dataclasses.replace(BASE, **{name: 3})
    assert made == plain and made.id == plain.id
    assert type(getattr(made, name)) is int


WRONG = {
    "algorithm": [None, "EM", Iris(), EM],
    "steps": [-1, None, "3", 1.5, float("nan"), float("inf")],
    "every": [0, -2, None, "3", 1.5, float("nan"), float("inf")],
    "seed": [None, "3", 1.5, float("nan"), float("inf")],
    "device": [None, "gpu9", 3.5],
}


@pytest.mark.parametrize(("name", "wrong"), [(name, wrong) for name in WRONG for wrong in WRONG[name]])
def test_wrong_fields_are_refused_with_a_sentence(name, wrong):
    with pytest.raises(ValueError, match=name) as error:
        dataclasses.replace(BASE, **{name: wrong})
    assert len(str(error.value)) > 15


def told() -> str:
    """A job's id and a hash of every bit of its trace."""
    job = Job(EM(data=Blobs(points=40), start=KMeansPlusPlus()), steps=6, seed=3)
    bits = hashlib.sha256()
    for _, state, info in run(job):
        for tensor in (*state.theta, *state.theta_q):
            bits.update(tensor.contiguous().numpy().tobytes())
        bits.update(repr(info).encode())
    return f"{job.id} {bits.hexdigest()}"


def test_ids_and_bits_are_the_same_in_every_process():
    """Another process, whose strings hash differently, agrees."""
    imports = "import hashlib\nfrom lvmviz import EM, Blobs, Job, KMeansPlusPlus, run\n"
    code = f"{imports}{inspect.getsource(told)}\nprint(told(), hash('lvmviz'))"
    environment = {**os.environ, "PYTHONHASHSEED": "4242"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.stderr == ""
    answer, _, hashed = done.stdout.strip().rpartition(" ")
    assert answer == told() and int(hashed) != hash("lvmviz")


def test_jobs_are_values():
    assert pickle.loads(pickle.dumps(BASE)) == BASE
    with pytest.raises(dataclasses.FrozenInstanceError):
        BASE.steps = 1  # type: ignore[misc]
    namespace = {name: getattr(lvmviz, name) for name in lvmviz.__all__}
    assert eval(repr(BASE), {"__builtins__": {}}, namespace) == BASE


def test_the_id_is_not_the_algorithm_alone():
    assert json.loads(canonical(BASE.algorithm))["choice"] == "EM"
    assert Job(BASE.algorithm, steps=5).id != Job(BASE.algorithm, steps=6).id


# ---- traces ----


@pytest.fixture(scope="module")
def trace() -> Trace:
    return run(BASE)


def test_a_trace_is_a_sequence_of_snapshots(trace):
    assert isinstance(trace, Sequence) and len(trace) == 7 and trace.job is BASE
    assert [snapshot.step for snapshot in trace] == list(range(7))
    assert all(isinstance(snapshot, Snapshot) for snapshot in trace)
    assert trace[-1] is trace[6] and trace[0] in trace and trace.index(trace[0]) == 0
    assert [snapshot.step for snapshot in reversed(trace)] == list(range(6, -1, -1))
    with pytest.raises(IndexError):
        trace[7]


@pytest.mark.parametrize(
    "cut", [slice(None), slice(2, 5), slice(None, None, 2), slice(-2, None), slice(9, 9)]
)
def test_a_slice_is_a_trace(trace, cut):
    part = trace[cut]
    assert isinstance(part, Trace) and part.job is BASE
    assert [snapshot.step for snapshot in part] == list(range(7))[cut]
    assert all(snapshot is trace[snapshot.step] for snapshot in part)


def test_a_trace_does_not_change(trace):
    with pytest.raises(TypeError):
        trace[0] = trace[1]
    with pytest.raises((AttributeError, TypeError)):
        trace.append(trace[0])
    given = [trace[0]]
    kept = Trace(BASE, given)
    given.append(trace[1])
    assert len(kept) == 1


def test_columns_and_rows(trace):
    assert trace.column("elbo").tolist() == [snapshot.info.elbo for snapshot in trace]
    assert trace.column("elbo").dtype == np.float64 and trace.column("elbo").shape == (7,)
    assert trace.column("moved").tolist() == ["start", "E", "M", "E", "M", "E", "M"]
    assert trace.column("iteration").tolist() == [0, 1, 1, 2, 2, 3, 3]
    rows = trace.rows()
    assert [row["step"] for row in rows] == list(range(7))
    assert all(row["kl"] == snapshot.info.kl for row, snapshot in zip(rows, trace, strict=True))
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows
    with pytest.raises(AttributeError):
        trace.column("no such number")


def test_every_thins_and_keeps_the_last():
    assert [s.step for s in run(dataclasses.replace(BASE, every=4))] == [0, 4, 6]
    assert [s.step for s in run(dataclasses.replace(BASE, every=99))] == [0, 6]


def test_no_steps_is_the_start():
    trace = run(dataclasses.replace(BASE, steps=0))
    assert [(s.step, s.info.moved) for s in trace] == [(0, "start")]
