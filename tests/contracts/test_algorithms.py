"""Every registered algorithm is pure at its edge, repeatable to the bit, and resumes from every snapshot."""

import dataclasses
import itertools
import math
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from lvmviz import (
    Algorithm,
    Blobs,
    Dataset,
    DigitImages,
    Job,
    Observations,
    OpenML,
    Snapshot,
    Stored,
    StoredImages,
    run,
)
from lvmviz.core import Choice, field_types, fold_in, knobs
from lvmviz.runs.execute import snapshots

STEPS = 6
SEED = 2**31 + 7
SMALL = {Dataset: Blobs(points=40), Observations: DigitImages(count=40)}
NOT_HERE = {Stored, StoredImages, OpenML}  # what only its owner has, or the network


def variants(cls: type[Algorithm]) -> Iterator[Algorithm]:
    """The algorithm on few points, once at its defaults and once with every option of every choice in it."""
    small = {name: SMALL[kind] for name, kind in field_types(cls).items() if kind in SMALL}
    yield cls(**small)
    for name, kind in field_types(cls).items():
        if isinstance(kind, type) and issubclass(kind, Choice):
            for option in kind.options.values():
                if option not in NOT_HERE and type(small.get(name)) is not option:
                    yield cls(**{**small, name: option()})


ALGORITHMS = [made for cls in Algorithm.options.values() for made in dict.fromkeys(variants(cls))]
over_algorithms = pytest.mark.parametrize(
    "algorithm", ALGORITHMS, ids=[f"{i}-{type(made).__name__}" for i, made in enumerate(ALGORITHMS)]
)


def tensors(state: Any) -> list[torch.Tensor]:
    """Every tensor of a state, which is a NamedTuple of tensors and of such NamedTuples."""
    if isinstance(state, torch.Tensor):
        return [state]
    assert isinstance(state, tuple) and hasattr(state, "_fields"), f"{type(state)} in a state"
    return list(itertools.chain.from_iterable(map(tensors, state)))


def bits(value: Any) -> Any:
    """What two values share only when they are equal to the bit."""
    if isinstance(value, torch.Tensor):
        array = value.detach().cpu().numpy()
        return str(array.dtype), array.shape, array.tobytes()
    if isinstance(value, tuple):
        return type(value), tuple(map(bits, value))
    return (type(value), value.hex()) if isinstance(value, float) else (type(value), value)


def copied(state: Any) -> Any:
    """The state as a file gives it back: new memory, contiguous."""
    if isinstance(state, torch.Tensor):
        return torch.from_numpy(np.array(state.numpy(), order="C"))
    return type(state)(*map(copied, state))


def global_numbers() -> tuple[Any, ...]:
    name, keys, *rest = np.random.get_state()
    return torch.get_rng_state().numpy().tobytes(), name, keys.tobytes(), *rest, random.getstate()


def test_there_are_algorithms():
    assert len(Algorithm.options) >= 1 and len(ALGORITHMS) > len(Algorithm.options)


@over_algorithms
def test_states_are_named_tuples_of_tensors(algorithm):
    for _, state, info in run(Job(algorithm, steps=STEPS, seed=SEED)):
        assert isinstance(state, tuple) and hasattr(state, "_fields")
        assert all(not tensor.requires_grad for tensor in tensors(state))
        assert all(bool(tensor.isfinite().all()) for tensor in tensors(state))
        assert len(tensors(state)) >= 1
        assert isinstance(info, tuple) and hasattr(info, "_fields")


@over_algorithms
def test_info_holds_only_plain_numbers_and_words(algorithm):
    """JSON and a table can take it: no tensors, no NumPy scalars, nothing that is not finite."""
    kinds: set[tuple[type, ...]] = set()
    for _, _, info in run(Job(algorithm, steps=STEPS, seed=SEED)):
        kinds.add(tuple(map(type, info)))
        assert set(map(type, info)) <= {int, float, bool, str}
        assert all(math.isfinite(number) for number in info if not isinstance(number, str))
    assert len(kinds) == 1  # a column of the table is of one type


@over_algorithms
def test_the_state_given_is_unchanged(algorithm):
    state, info = algorithm.init(fold_in(SEED, 0))
    for step in range(1, STEPS):
        before, told = bits(state), bits(info)
        versions = [tensor._version for tensor in tensors(state)]  # counts every write, also one undone
        new, new_info = algorithm.step(fold_in(SEED, step), state)
        algorithm.finished(state, info)
        assert bits(state) == before and bits(info) == told
        assert [tensor._version for tensor in tensors(state)] == versions
        state, info = new, new_info


@over_algorithms
def test_the_data_are_unchanged(algorithm):
    sets = [
        value for name in knobs(type(algorithm)) if isinstance(value := getattr(algorithm, name), Dataset)
    ]
    before = [data.table().points.tobytes() for data in sets]
    run(Job(algorithm, steps=STEPS))
    assert [data.table().points.tobytes() for data in sets] == before


@over_algorithms
def test_no_global_random_numbers(algorithm):
    before = global_numbers()
    first = [bits(snapshot) for snapshot in run(Job(algorithm, steps=STEPS, seed=SEED))]
    assert global_numbers() == before
    numbers, np_numbers, plain = torch.get_rng_state(), np.random.get_state(), random.getstate()
    try:
        torch.manual_seed(1), np.random.seed(1), random.seed(1)
        assert [bits(snapshot) for snapshot in run(Job(algorithm, steps=STEPS, seed=SEED))] == first
    finally:
        torch.set_rng_state(numbers), np.random.set_state(np_numbers), random.setstate(plain)


@over_algorithms
def test_a_step_is_a_function_of_key_and_state(algorithm):
    """Called twice, on the state and on a copy as a file gives it back, it answers the same to the bit."""
    assert bits(algorithm.init(3)) == bits(algorithm.init(3))
    for step, state, _ in run(Job(algorithm, steps=STEPS, seed=SEED)):
        key = fold_in(SEED, step + 1)
        told = bits(algorithm.step(key, state))
        assert bits(algorithm.step(key, state)) == told
        assert bits(algorithm.step(key, copied(state))) == told


@over_algorithms
def test_the_default_type_of_torch_does_not_matter(algorithm):
    before = [bits(snapshot) for snapshot in run(Job(algorithm, steps=3, seed=SEED))]
    usual = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        assert [bits(snapshot) for snapshot in run(Job(algorithm, steps=3, seed=SEED))] == before
    finally:
        torch.set_default_dtype(usual)


@over_algorithms
@pytest.mark.parametrize("every", [1, 4])
def test_resumes_to_the_bit_from_every_snapshot(algorithm, every):
    job = Job(algorithm, steps=STEPS, every=every, seed=SEED)
    whole = list(run(job))
    for position, snapshot in enumerate(whole):
        kept = snapshot._replace(state=copied(snapshot.state))
        rest = list(snapshots(job, after=kept))
        assert [bits(tuple(s)) for s in rest] == [bits(tuple(s)) for s in whole[position + 1 :]]


@over_algorithms
def test_fewer_snapshots_are_some_of_all(algorithm):
    whole = {snapshot.step: bits(tuple(snapshot)) for snapshot in run(Job(algorithm, steps=STEPS, seed=SEED))}
    for every in (2, 4, 100):
        some = run(Job(algorithm, steps=STEPS, every=every, seed=SEED))
        assert all(bits(tuple(snapshot)) == whole[snapshot.step] for snapshot in some)
        assert [s.step for s in some] == [step for step in whole if step % every == 0 or step == max(whole)]


@over_algorithms
def test_more_steps_begin_as_fewer_do(algorithm):
    short = run(Job(algorithm, steps=4, seed=SEED))
    long = run(Job(algorithm, steps=STEPS, seed=SEED))
    assert [bits(tuple(s)) for s in short] == [bits(tuple(s)) for s in long[: len(short)]]


@over_algorithms
def test_a_finished_run_stays_finished(algorithm):
    job = Job(algorithm, steps=60, seed=SEED)
    trace = run(job)
    answers = [algorithm.finished(snapshot.state, snapshot.info) for snapshot in trace]
    assert set(map(type, answers)) == {bool}
    assert not any(answers[:-1])
    assert answers[-1] or trace[-1].step == job.steps
    assert list(snapshots(job, after=trace[-1])) == []


def noise(stop: threading.Event) -> None:
    """What a careless neighbour does to the global random numbers."""
    while not stop.is_set():
        torch.manual_seed(random.randrange(1000))
        torch.rand(10), np.random.rand(10)


@pytest.mark.parametrize("cls", Algorithm.options.values(), ids=lambda cls: cls.__name__)
def test_threads_do_not_disturb_each_other(cls):
    jobs = [Job(algorithm, steps=STEPS, seed=seed) for algorithm in variants(cls) for seed in (1, 2)]
    serial = [[bits(tuple(snapshot)) for snapshot in run(job)] for job in jobs]
    saved, stop = (torch.get_rng_state(), np.random.get_state(), random.getstate()), threading.Event()
    neighbour = threading.Thread(target=noise, args=(stop,))
    neighbour.start()
    try:
        with ThreadPoolExecutor(4) as pool:
            together = list(pool.map(lambda job: [bits(tuple(snapshot)) for snapshot in run(job)], jobs))
    finally:
        stop.set()
        neighbour.join()
        torch.set_rng_state(saved[0]), np.random.set_state(saved[1]), random.setstate(saved[2])
    assert together == serial


# ---- the loop ----


class Count(NamedTuple):
    """How often a step was taken."""

    steps: torch.Tensor


class Told(NamedTuple):
    """The same as a plain number, and the key it was taken with."""

    steps: int
    key: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Counter(Algorithm):
    """Counts, and writes down each call; it is not registered."""

    last: int = 1000

    def init(self, key: int) -> tuple[Count, Told]:
        CALLS.append(("init", key))
        return Count(torch.zeros((), dtype=torch.int64)), Told(0, key)

    def step(self, key: int, state: Count) -> tuple[Count, Told]:
        CALLS.append(("step", key))
        return Count(state.steps + 1), Told(int(state.steps) + 1, key)

    def finished(self, state: Count, info: Told) -> bool:
        return info.steps >= self.last


CALLS: list[tuple[str, int]] = []


@pytest.fixture
def calls() -> Callable[[], list[tuple[str, int]]]:
    CALLS.clear()
    return lambda: list(CALLS)


def test_snapshots_are_lazy(calls):
    steps = snapshots(Job(Counter(), steps=10**9, seed=5))
    assert calls() == []
    assert next(steps).step == 0 and len(calls()) == 1
    assert next(steps).step == 1 and len(calls()) == 2
    steps.close()
    assert len(calls()) == 2


def test_the_key_of_a_step_is_folded_from_the_seed(calls):
    run(Job(Counter(), steps=4, seed=11))
    assert calls() == [("init", fold_in(11, 0)), *(("step", fold_in(11, step)) for step in range(1, 5))]


def test_a_resumed_run_computes_nothing_again(calls):
    job = Job(Counter(), steps=7, every=3, seed=11)
    whole = list(run(job))
    assert [snapshot.step for snapshot in whole] == [0, 3, 6, 7]
    assert len(calls()) == 8
    CALLS.clear()
    assert [s.step for s in snapshots(job, after=whole[1])] == [6, 7]
    assert calls() == [("step", fold_in(11, step)) for step in range(4, 8)]


def test_the_step_that_finishes_is_shown():
    assert [snapshot.step for snapshot in run(Job(Counter(last=5), steps=50, every=3))] == [0, 3, 5]
    assert [snapshot.step for snapshot in run(Job(Counter(last=0), steps=50))] == [0]


def test_no_steps_is_the_start():
    assert [snapshot.step for snapshot in run(Job(Counter(), steps=0))] == [0]


def test_a_snapshot_beyond_the_end_gives_nothing():
    beyond = Snapshot(9, Count(torch.tensor(9)), Told(9, 0))
    assert list(snapshots(Job(Counter(), steps=5), after=beyond)) == []


def test_an_error_in_a_step_reaches_whoever_iterates():
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Broken(Counter):
        """Fails at its second step."""

        def step(self, key: int, state: Count) -> tuple[Count, Told]:
            if int(state.steps) == 1:
                raise ArithmeticError("the second step")
            return super().step(key, state)

    steps = snapshots(Job(Broken(), steps=5))
    assert [next(steps).step, next(steps).step] == [0, 1]
    with pytest.raises(ArithmeticError, match="the second step"):
        next(steps)
