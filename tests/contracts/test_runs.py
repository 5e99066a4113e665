"""Every registered algorithm can be kept, watched, interrupted and resumed: to the bit, file for file."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch

from lvmviz import Job, Snapshot, run
from lvmviz.runs.codec import decode, encode
from lvmviz.runs.execute import execute, snapshots
from lvmviz.runs.job import job_from_json, job_json
from lvmviz.runs.store import Store
from tests.contracts.test_algorithms import ALGORITHMS, bits, global_numbers

STEPS = 6
SEED = 2**31 + 7
over_algorithms = pytest.mark.parametrize(
    "algorithm", ALGORITHMS, ids=[f"{i}-{type(made).__name__}" for i, made in enumerate(ALGORITHMS)]
)


class Asked:
    """An order to end that is given at the n-th question."""

    def __init__(self, after: int) -> None:
        self.left = after

    def __call__(self) -> bool:
        self.left -= 1
        return self.left < 0


def files(path: Path) -> dict[str, bytes]:
    """What a run has computed: every file that says nothing about who did it and when."""
    told = ["metrics.jsonl", *(file.name for file in path.glob("checkpoint-*"))]
    told += [f"snapshots/{file.name}" for file in (path / "snapshots").iterdir()]
    return {name: (path / name).read_bytes() for name in told}


@over_algorithms
def test_the_codec_keeps_every_snapshot_to_the_bit(algorithm):
    for one in run(Job(algorithm, steps=STEPS, seed=SEED)):
        back = decode(encode(*one))
        assert isinstance(back, Snapshot) and bits(back) == bits(one)
        assert bits(decode(encode(back.step, algorithm.shown(back.state), back.info)).state) == bits(
            algorithm.shown(one.state)
        )


@over_algorithms
def test_a_snapshot_from_a_file_goes_on_to_the_bit(algorithm):
    job = Job(algorithm, steps=STEPS, seed=SEED)
    whole = run(job)
    for at, one in enumerate(whole):
        assert [bits(s) for s in snapshots(job, decode(encode(*one)))] == [bits(s) for s in whole[at + 1 :]]


@over_algorithms
def test_a_run_in_a_folder_is_the_run_in_memory(algorithm, tmp_path):
    job = Job(algorithm, steps=STEPS, every=2, seed=SEED)
    kept = Store(tmp_path).create(job)
    assert job_from_json(job_json(job)) == job == kept.job
    assert execute(job, kept.path) == "finished"
    memory = run(job)
    shown = [bits(s._replace(state=algorithm.shown(s.state))) for s in memory]
    assert [bits(s) for s in kept.trace()] == shown
    assert kept.metrics() == memory.rows()
    assert kept.status().step == memory[-1].step


@over_algorithms
def test_interrupted_at_every_step_and_resumed_it_leaves_the_same_files(algorithm, tmp_path, monkeypatch):
    monkeypatch.setattr("lvmviz.runs.attempt.OBEY_S", 0.0)
    job = Job(algorithm, steps=STEPS, every=2, seed=SEED)
    execute(job, tmp_path / "whole")
    whole, broken = files(tmp_path / "whole"), tmp_path / "broken"
    for _ in range(2 * STEPS):
        state = execute(job, broken, Asked(1))  # asked before the first step and after each
        if state == "finished":
            break
        assert state == "interrupted"
    assert files(broken) == whole


@over_algorithms
def test_a_run_leaves_no_trace_in_the_process(algorithm, tmp_path):
    before = global_numbers(), torch.get_num_threads(), torch.get_default_dtype()
    execute(Job(algorithm, steps=2, seed=SEED), tmp_path / "one")
    assert (global_numbers(), torch.get_num_threads(), torch.get_default_dtype()) == before
    numbers, np_numbers, plain = torch.get_rng_state(), np.random.get_state(), random.getstate()
    try:
        torch.manual_seed(1), np.random.seed(1), random.seed(1)
        execute(Job(algorithm, steps=2, seed=SEED), tmp_path / "two")
    finally:
        torch.set_rng_state(numbers), np.random.set_state(np_numbers), random.setstate(plain)
    assert files(tmp_path / "one") == files(tmp_path / "two")
