"""Every registered algorithm can be kept, watched, interrupted and resumed: to the bit, file for file."""

from pathlib import Path

import torch

from lvmviz import Job, Snapshot, run
from lvmviz.runs.codec import decode, encode
from lvmviz.runs.execute import execute, snapshots
from lvmviz.runs.job import job_from_json, job_json
from lvmviz.runs.store import Store
from tests.contracts.about import about
from tests.contracts.test_algorithms import (
    SEED,
    STEPS,
    bits,
    global_numbers,
    other_numbers,
    over_classes,
    trace,
    variants,
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


@over_classes
def test_the_codec_keeps_every_snapshot_to_the_bit(cls):
    for algorithm in variants(cls):
        with about(algorithm):
            for one in trace(algorithm):
                back = decode(encode(*one))
                assert isinstance(back, Snapshot) and bits(back) == bits(one)
                assert bits(decode(encode(back.step, algorithm.shown(back.state), back.info)).state) == bits(
                    algorithm.shown(one.state)
                )


@over_classes
def test_resumes_to_the_bit_from_every_snapshot_of_a_file(cls):
    for algorithm in variants(cls):
        with about(algorithm):
            for every in (1, 3):
                job = Job(algorithm, steps=STEPS, every=every, seed=SEED)
                whole = list(trace(algorithm) if every == 1 else run(job))
                for at, one in enumerate(whole):
                    rest = [bits(s) for s in snapshots(job, decode(encode(*one)))]
                    assert rest == [bits(s) for s in whole[at + 1 :]], f"every {every}, from step {one.step}"


@over_classes
def test_a_run_in_a_folder_is_the_run_in_memory_however_often_it_is_interrupted(cls, tmp_path, monkeypatch):
    """Interrupted at every step, and among other global numbers, it leaves the same files."""
    monkeypatch.setattr("lvmviz.runs.attempt.OBEY_S", 0.0)
    for number, algorithm in enumerate(variants(cls)):
        with about(algorithm):
            job = Job(algorithm, steps=STEPS, every=2, seed=SEED)
            kept = Store(tmp_path / str(number)).create(job)
            assert job_from_json(job_json(job)) == job == kept.job
            before = global_numbers(), torch.get_num_threads(), torch.get_default_dtype()
            assert execute(job, kept.path) == "finished"
            assert (global_numbers(), torch.get_num_threads(), torch.get_default_dtype()) == before
            memory = run(job)
            shown = [bits(s._replace(state=algorithm.shown(s.state))) for s in memory]
            assert [bits(s) for s in kept.trace()] == shown
            assert kept.metrics() == memory.rows()
            assert kept.status().step == memory[-1].step
            with other_numbers():
                _interrupted(job, tmp_path / f"broken-{number}")
            assert files(tmp_path / f"broken-{number}") == files(kept.path)


def _interrupted(job: Job, path: Path) -> None:
    for _ in range(2 * STEPS):
        state = execute(job, path, Asked(1))  # asked before the first step and after each
        if state == "finished":
            return
        assert state == "interrupted"
    raise AssertionError("it never ends")
