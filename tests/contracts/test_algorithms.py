"""Every registered algorithm is pure at its edge, repeatable to the bit, and resumes from every snapshot."""

import contextlib
import dataclasses
import functools
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
    EM,
    LBFGS,
    VI,
    Algorithm,
    Banana,
    Blobs,
    Dataset,
    DigitImages,
    Flow,
    FullRank,
    Job,
    MixtureQ,
    Observations,
    OpenML,
    ScoreFunction,
    Snapshot,
    Stored,
    StoredImages,
    Trace,
    TrainLinearVAE,
    run,
)
from lvmviz.core import Choice, field_types, fold_in, knobs, peers
from lvmviz.runs.execute import snapshots
from tests.contracts.about import about

STEPS = 4
SEED = 2**31 + 7
SMALL = {
    Dataset: Blobs(points=40),
    Observations: DigitImages(count=40),
    EM: EM(data=Blobs(points=40)),
}
FITTING: dict[type[Algorithm], dict[str, Any]] = {TrainLinearVAE: {"latents": 1}}  # Blobs have two columns
IN_THE_PLANE = (
    VI(target=Banana(), family=FullRank(), optimizer=LBFGS(), starts=3),
    VI(target=Banana(), family=MixtureQ(parts=2), gradient=ScoreFunction(), starts=2),
    VI(target=Banana(), family=Flow(layers=2), starts=1),
)
NOT_HERE = {Stored, StoredImages, OpenML}  # what only its owner has, or the network


def _variants(cls: type[Algorithm]) -> Iterator[Algorithm]:
    """The algorithm on few points, once at its defaults and once with every option of every choice in it.

    An option of another dimension is not one of these: what has dimensions has some in the plane.
    """
    small = {name: SMALL[kind] for name, kind in field_types(cls).items() if kind in SMALL}
    small |= FITTING.get(cls, {})
    yield cls(**small)
    for name, kind in field_types(cls).items():
        if isinstance(kind, type) and issubclass(kind, Choice):
            for option in peers(kind, getattr(cls(), name)):
                allowed = issubclass(option, kind) and option not in NOT_HERE
                if allowed and type(small.get(name)) is not option:
                    yield cls(**{**small, name: option()})
    yield from (algorithm for algorithm in IN_THE_PLANE if type(algorithm) is cls)


@functools.cache
def variants(cls: type[Algorithm]) -> list[Algorithm]:
    return list(dict.fromkeys(_variants(cls)))


@functools.cache
def trace(algorithm: Algorithm) -> Trace:
    """Its first steps, computed once for all the tests that only look."""
    return run(Job(algorithm, steps=STEPS, seed=SEED))


ALGORITHMS = [made for cls in Algorithm.options.values() for made in variants(cls)]
over_classes = pytest.mark.parametrize("cls", Algorithm.options.values(), ids=lambda cls: cls.__name__)


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


def global_numbers() -> tuple[Any, ...]:
    name, keys, *rest = np.random.get_state()
    return torch.get_rng_state().numpy().tobytes(), name, keys.tobytes(), *rest, random.getstate()


@contextlib.contextmanager
def other_numbers() -> Iterator[None]:
    """Global random numbers that start elsewhere, and another default type."""
    numbers, np_numbers, plain = torch.get_rng_state(), np.random.get_state(), random.getstate()
    usual = torch.get_default_dtype()
    try:
        torch.manual_seed(1), np.random.seed(1), random.seed(1)
        torch.set_default_dtype(torch.float64)
        yield
    finally:
        torch.set_default_dtype(usual)
        torch.set_rng_state(numbers), np.random.set_state(np_numbers), random.setstate(plain)


def test_there_are_algorithms():
    assert len(Algorithm.options) >= 1 and len(ALGORITHMS) > len(Algorithm.options)


@over_classes
def test_states_are_named_tuples_of_tensors(cls):
    for algorithm in variants(cls):
        with about(algorithm):
            for _, state, info in trace(algorithm):
                assert isinstance(state, tuple) and hasattr(state, "_fields")
                assert all(not tensor.requires_grad for tensor in tensors(state))
                assert all(bool(tensor.isfinite().all()) for tensor in tensors(state))
                assert len(tensors(state)) >= 1
                assert isinstance(info, tuple) and hasattr(info, "_fields")


@over_classes
def test_info_holds_only_plain_numbers_and_words(cls):
    """JSON and a table can take it: no tensors, no NumPy scalars, nothing that is not finite."""
    for algorithm in variants(cls):
        with about(algorithm):
            kinds: set[tuple[type, ...]] = set()
            for _, _, info in trace(algorithm):
                kinds.add(tuple(map(type, info)))
                assert set(map(type, info)) <= {int, float, bool, str}
                assert all(math.isfinite(number) for number in info if not isinstance(number, str))
            assert len(kinds) == 1  # a column of the table is of one type


@over_classes
def test_a_step_is_a_function_of_key_and_state(cls):
    """Asked again it answers the same to the bit, and leaves the state it was given as it is."""
    for algorithm in variants(cls):
        with about(algorithm):
            whole = trace(algorithm)
            assert bits(algorithm.init(fold_in(SEED, 0))) == bits(whole[0][1:])
            for (_, state, info), after in itertools.pairwise(whole):
                before, told = bits(state), bits(info)
                versions = [tensor._version for tensor in tensors(state)]  # counts writes, also undone ones
                assert bits(algorithm.step(fold_in(SEED, after.step), state)) == bits(after[1:])
                algorithm.finished(state, info)
                assert bits(state) == before and bits(info) == told
                assert [tensor._version for tensor in tensors(state)] == versions


@over_classes
def test_nothing_in_the_process_matters_and_nothing_is_left_in_it(cls):
    """Global random numbers, torch's default type, the data: neither read, but for the data, nor changed."""
    for algorithm in variants(cls):
        with about(algorithm):
            told = [bits(snapshot) for snapshot in trace(algorithm)]
            values = [getattr(algorithm, name) for name in knobs(type(algorithm))]
            sets = [value for value in values if isinstance(value, Dataset)]
            points = [data.table().points.tobytes() for data in sets]
            with other_numbers():
                before = global_numbers()
                assert [bits(s) for s in run(Job(algorithm, steps=STEPS, seed=SEED))] == told
                assert global_numbers() == before
            assert [data.table().points.tobytes() for data in sets] == points


@over_classes
def test_fewer_snapshots_are_some_of_all(cls):
    for algorithm in variants(cls):
        with about(algorithm):
            whole = {snapshot.step: bits(tuple(snapshot)) for snapshot in trace(algorithm)}
            for every in (3, 100):
                some = run(Job(algorithm, steps=STEPS, every=every, seed=SEED))
                assert all(bits(tuple(snapshot)) == whole[snapshot.step] for snapshot in some)
                assert [s.step for s in some] == [
                    step for step in whole if step % every == 0 or step == max(whole)
                ]


@over_classes
def test_more_steps_begin_as_fewer_do(cls):
    for algorithm in variants(cls):
        with about(algorithm):
            short = run(Job(algorithm, steps=2, seed=SEED))
            long = trace(algorithm)
            assert [bits(tuple(s)) for s in short] == [bits(tuple(s)) for s in long[: len(short)]]


@over_classes
def test_a_finished_run_stays_finished(cls):
    for algorithm in variants(cls):
        with about(algorithm):
            job = Job(algorithm, steps=20, seed=SEED)
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


@over_classes
def test_threads_do_not_disturb_each_other(cls):
    jobs = [Job(algorithm, steps=STEPS, seed=SEED) for algorithm in variants(cls)]
    serial = [[bits(tuple(snapshot)) for snapshot in trace(algorithm)] for algorithm in variants(cls)]
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
