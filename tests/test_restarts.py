"""The restart lottery: every restart is the run of its own seed, and ends where that ends."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch

from lvmviz import (
    EM,
    Added,
    Blobs,
    ByHand,
    CrossedEllipses,
    Diagonal,
    Floor,
    Full,
    GeneralizedEM,
    Iris,
    Job,
    KMeans,
    KMeansPlusPlus,
    Restarts,
    Scheme,
    SoftKMeans,
    Spherical,
    ThreeInARow,
    Tied,
    Wine,
    run,
)
from lvmviz.algorithms.climbers import Ground
from lvmviz.algorithms.restarts import SAME, RestartsState
from lvmviz.core import each, fold_in
from lvmviz.figures import contests as figures
from lvmviz.mixtures import GaussianMixtureParams
from lvmviz.runs.job import LONG
from lvmviz.summaries.contests import lottery

SHAPES = (Full(), Tied(), Diagonal(), Spherical())
LIMITS = (Floor(), Added(), Floor(amount=0.0))
COUNT = 6


def drawn(em: EM, restarts: int = COUNT, iterations: int = 60) -> RestartsState:
    algorithm = Restarts(em=em, restarts=restarts, iterations=iterations)
    trace = run(Job(algorithm, steps=algorithm.most_steps))
    assert trace[-1].info.moving == 0
    return trace[-1].state


def compared(em: EM, restarts: int = COUNT, iterations: int = 60) -> RestartsState:
    """Every restart against its own run, which nothing of this shares but the choices."""
    state, count = drawn(em, restarts, iterations), em.data.table().total()
    for r in range(restarts):
        end = run(Job(em, steps=2 * iterations, seed=r))[-1]
        collapsed = end.info.collapsed > 0
        assert int(state.iterations[r]) == end.info.iteration, r
        assert bool(state.collapsed[r]) == collapsed, r
        settled = em_settled(em, end)
        assert bool(state.settled[r]) == (settled and not collapsed), r
        value = end.info.log_lik if em.scheme.closes else end.info.elbo
        # on the brink of a collapse a likelihood has few digits left
        assert float(state.log_lik[r]) == pytest.approx(value, abs=(1e-4 if collapsed else 1e-9) * count), r
        if not collapsed:
            for part, one in zip(state[:3], end.state.theta, strict=True):
                torch.testing.assert_close(part[r], one, rtol=1e-6, atol=1e-8)
    return state


def em_settled(em: EM, end) -> bool:
    return em.finished(end.state, end.info)


@pytest.mark.parametrize("scheme", list(each(Scheme)), ids=lambda scheme: type(scheme).__name__)
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: type(shape).__name__)
@pytest.mark.parametrize("limit", LIMITS, ids=repr)
def test_a_restart_is_the_run_of_its_seed(scheme, shape, limit):
    em = EM(data=ThreeInARow(points=90), scheme=scheme, covariance=shape, regularizer=limit)
    if not scheme.free and (shape, limit) != (Full(), Floor()):
        assert em == EM(data=ThreeInARow(points=90), scheme=scheme)  # balls have no shape to choose
        return
    compared(em)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: type(shape).__name__)
def test_restarts_collapse_in_the_iteration_of_their_own_run(shape):
    data = Blobs(points=20, clusters=1, spread=1.0)
    state = compared(EM(data=data, components=5, covariance=shape, regularizer=Floor(amount=0.0)), 12)
    if shape in (Full(), Diagonal()):
        assert state.collapsed.any()


@pytest.mark.parametrize(
    "em",
    [
        EM(start=KMeansPlusPlus()),
        EM(components=1),
        EM(components=8, regularizer=Floor(amount=1e-6)),
        EM(data=Wine(features=("alcohol", "proline", "hue", "ash")), components=4),
        EM(data=Iris(features=("petal length",))),
        EM(scheme=SoftKMeans(stiffness=0.1)),
        EM(scheme=GeneralizedEM(part=1.0)),
        EM(revealed=3),
        EM(revealed=3, scheme=KMeans()),
        EM(relabel=5),
        EM(tolerance=0.0),
        EM(data=CrossedEllipses(), components=2, tolerance=1e-2),
    ],
    ids=repr,
)
def test_a_restart_is_the_run_of_its_seed_whatever_is_chosen(em):
    compared(em, iterations=40)


def test_points_that_count_twice_are_two_points(monkeypatch):
    table = ThreeInARow(points=60).table()
    weights = np.where(np.arange(60) % 3 == 0, 2.0, 1.0)
    weights[:5] = 0.0
    weighted = table._replace(weights=weights)
    monkeypatch.setattr(ThreeInARow, "table", lambda self: weighted if self.seed == 77 else table)
    compared(EM(data=ThreeInARow(points=60, seed=77)), iterations=30)


def test_far_from_the_origin_a_restart_is_still_the_run_of_its_seed(monkeypatch):
    table = ThreeInARow(points=60).table()
    far = table._replace(points=table.points + [1e5, -3e4])
    monkeypatch.setattr(ThreeInARow, "table", lambda self: far)
    em = EM(data=ThreeInARow(points=60, seed=78))
    state = drawn(em, iterations=30)
    for r in range(COUNT):
        end = run(Job(em, steps=60, seed=r))[-1].info
        assert float(state.log_lik[r]) == pytest.approx(end.log_lik, abs=1e-7 * 60)
        assert int(state.iterations[r]) == end.iteration


def test_more_restarts_leave_the_others_as_they_are():
    few, many = drawn(EM(), 3), drawn(EM(), 40)
    for a, b in zip(few, many, strict=True):
        torch.testing.assert_close(a, b[:3], rtol=1e-9, atol=1e-12)


def test_in_groups_they_end_where_they_end_together(monkeypatch):
    together = drawn(EM(), 20)
    monkeypatch.setattr("lvmviz.algorithms.restarts.A_STEP", 7.5 * Restarts()._one_pass())
    algorithm = Restarts(em=EM(), restarts=20, iterations=60)
    assert algorithm._together == 7
    trace = run(Job(algorithm, steps=algorithm.most_steps))
    assert trace[-1].info.moving == 0 and trace[-1].step <= algorithm.most_steps
    moved = [(b.state.iterations != a.state.iterations).sum() for a, b in itertools.pairwise(trace)]
    assert max(moved) == 7
    for a, b in zip(together, trace[-1].state, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


def test_heights_never_fall():
    for scheme in (GeneralizedEM(), KMeans()):
        trace = run(Job(Restarts(em=EM(scheme=scheme), restarts=30), steps=40))
        heights = torch.stack([one.state.log_lik for one in trace])
        assert float(heights.diff(dim=0)[1 if scheme.closes else 2 :].min()) > -1e-9


def test_what_is_told_is_counted():
    trace = run(Job(Restarts(em=EM(data=ThreeInARow()), restarts=50), steps=200))
    state, info = trace[-1].state, trace[-1].info
    height = state.log_lik.numpy() / 300
    assert info.best == pytest.approx(height.max()) and info.reach_best == (height >= info.best - SAME).sum()
    assert info.settled == int(state.settled.sum()) and info.collapsed == 0
    assert trace[0].info.moving == 50 and trace[0].info.iteration == 0
    assert info.median == pytest.approx(np.sort(height)[24])  # torch's: the lower of the middle two


def test_what_has_collapsed_is_not_the_best():
    data = Blobs(points=20, clusters=1, spread=1.0)
    em = EM(data=data, components=5, regularizer=Floor(amount=0.0))
    trace = run(Job(Restarts(em=em, restarts=40), steps=200))
    state, ends = trace[-1].state, lottery(trace)
    assert 0 < trace[-1].info.collapsed == int(state.collapsed.sum()) < 40
    assert trace[-1].info.best == pytest.approx(float(state.log_lik[~state.collapsed].max()) / 20)
    assert ((ends.optimum == -1) == ends.collapsed).all()


def test_clicked_centres_are_no_lottery():
    with pytest.raises(
        ValueError, match="placed by hand, so every restart is the same: choose another start"
    ):
        Restarts(em=EM(start=ByHand(centres=((1.0, 2.0),)))).init(0)
    with pytest.raises(ValueError, match="cannot start 20 components"):
        Restarts(em=EM(data=Blobs(points=10), components=20)).init(0)


def test_small_sets_are_short_and_a_million_points_are_long():
    def job(em: EM) -> Job:
        algorithm = Restarts(em=em)
        return Job(algorithm, steps=algorithm.most_steps)

    assert not job(EM()).long and not job(EM(data=ThreeInARow())).long
    assert job(EM(data=Blobs(points=1_000_000))).long
    million = Restarts(em=EM(data=Blobs(points=1_000_000)))
    assert million.effort() < LONG  # a step ends soon: it can be paused and stopped


# ---- the M-step for many at once ----


def several(seed: int, count: int = 4, width: int = 3) -> GaussianMixtureParams:
    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(5, count, width, width))
    weights = rng.dirichlet(np.ones(count), 5)
    parts = (weights, rng.normal(size=(5, count, width)), factors @ np.swapaxes(factors, -1, -2))
    return GaussianMixtureParams(*map(torch.from_numpy, parts))


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: type(shape).__name__)
@pytest.mark.parametrize("limit", [Floor(amount=0.1), Added(amount=0.1)], ids=repr)
def test_shapes_and_limits_treat_each_mixture_alone(shape, limit):
    theta = several(0)
    made = limit(shape(theta.covariances, theta.weights))
    for r in range(5):
        alone = limit(shape(theta.covariances[r], theta.weights[r]))
        torch.testing.assert_close(made[r], alone, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("scheme", list(each(Scheme)), ids=lambda scheme: type(scheme).__name__)
def test_schemes_treat_each_mixture_alone(scheme):
    best, now = several(1), several(2)
    moved, q = scheme.m(best, now), scheme.e(now)
    still = scheme.still(now, best, torch.linspace(-1.0, 1.0, 5), 0.1)
    for r in range(5):
        one = [GaussianMixtureParams(*(part[r] for part in theta)) for theta in (best, now)]
        for many, alone in ((moved, scheme.m(*one)), (q, scheme.e(one[1]))):
            for part, wanted in zip(many, alone, strict=True):
                torch.testing.assert_close(part[r], wanted, rtol=1e-13, atol=0)
        assert bool(still[r]) == scheme.settled(one[1], one[0], float(torch.linspace(-1.0, 1.0, 5)[r]), 0.1)


def test_parts_of_the_points_are_as_those_points_alone():
    em, data = EM(data=ThreeInARow()), EM(data=ThreeInARow()).known()
    parts = [torch.arange(300) % 3 != number for number in range(3)]
    ground, keys = Ground(em, data, 12, parts), [fold_in(seed, 0) for seed in range(4)]
    for number, rows in enumerate(parts):
        alone = Ground(em, dataclasses.replace(em).known()._replace(x=data.x[rows]), 4)
        mine, own = ground.start(keys, number), alone.start(keys)
        for _ in range(20):
            mine, own = ground.climb(mine, 99), alone.climb(own, 99)
        torch.testing.assert_close(mine.log_lik, own.log_lik, rtol=1e-10, atol=0)
        torch.testing.assert_close(mine.theta, own.theta, rtol=1e-7, atol=1e-9)


# ---- what is drawn ----


def ends(height, optimum=None, climbing=(), spikes=()) -> figures.Ends:
    height = np.array(height, float)
    optimum = np.zeros(len(height), int) if optimum is None else np.array(optimum)
    waits = np.isin(np.arange(len(height)), climbing)
    spike = np.isin(np.arange(len(height)), spikes)
    return figures.Ends(height, optimum, waits, spike, [f"seed {r}" for r in range(len(height))])


def dots(drawing) -> tuple[np.ndarray, np.ndarray]:
    return np.array(drawing.data[0].x), np.array(drawing.data[0].y)


@pytest.mark.parametrize("count", [1, 7, 200, 1000])
def test_every_optimum_is_one_column_where_it_is(count):
    rng = np.random.default_rng(count)
    height = rng.choice([-3.0, -2.5, -2.49, -2.0], count) + 1e-5 * rng.normal(size=count)
    optimum = np.searchsorted([2.2, 2.495, 2.7], -height)
    drawn = figures.lottery(ends(height, optimum), 0, name="x", said="")
    x, y = dots(drawn)
    np.testing.assert_allclose(x, height, atol=1e-4)
    assert len(set(zip(x.round(9).tolist(), y.tolist(), strict=True))) == count
    for one in np.unique(optimum):
        assert len(set(x[optimum == one])) == 1
    low, high = drawn.layout.xaxis.range
    assert low <= x.min() and x.max() <= high and y.max() < drawn.layout.yaxis.range[1]
    assert list(drawn.data[0].customdata) == list(range(count))
    told = [int(part) for note in drawn.layout.annotations for part in note.text.split(" · ") if part]
    tall = [size for size in np.bincount(optimum) if size > (12 if count <= 400 else 16)]
    assert sorted(told) == sorted(tall)  # a stack that is pressed together says how many it is


def test_small_optima_beside_a_low_stack_stand_above_it():
    height = np.r_[[-2.0] * 4, -2.002, -2.004, -1.0]
    x, y = dots(figures.lottery(ends(height, [1] * 4 + [2, 3, 0]), 0, name="x", said=""))
    np.testing.assert_allclose(x, height)
    assert len(set(y[:6])) == 6 and y[6] == 0


def test_spikes_are_red_rings_and_not_the_best():
    drawn = figures.lottery(ends([-1, -2, -0.5], [0, 1, 2], spikes=[2]), 0, name="x", said="1 of 3")
    assert list(drawn.data[0].marker.symbol) == ["circle", "circle", "circle-open"]
    blue, grey, red = drawn.data[0].marker.color
    assert len({blue, grey, red}) == 3
    assert any("1 on the regularizer" in note.text for note in drawn.layout.annotations)


def test_what_the_floor_holds_is_a_spike_and_the_best_is_below_it():
    """Every restart once more as its own run: its narrowest variance, from NumPy."""
    trace = run(Job(Restarts(em=EM(), restarts=60), steps=101))
    found, narrow = lottery(trace), []
    for covariances in trace[-1].state.covariances.numpy():
        narrow.append(np.linalg.eigvalsh(covariances).min())
    spike = np.array(narrow) <= 1e-4 * (1 + 1e-6)
    assert 0 < spike.sum() < 60 and (found.spike == spike).all()
    best = found.height[~spike].max()
    assert ((found.optimum == 0) == (~spike & (found.height >= best - SAME))).all()
    loose = dataclasses.replace(EM(), regularizer=Floor(amount=0.0))
    assert not lottery(run(Job(Restarts(em=loose, restarts=5), steps=30))).spike.any()


def test_the_shown_seed_has_the_ring_and_what_collapses_stands_apart():
    drawn = figures.lottery(ends([-1, -2, 5, -1], [0, 1, -1, 0], [1]), 3, name="x", said="2 of 4")
    x, y = dots(drawn)
    assert (drawn.data[1].x[0], drawn.data[1].y[0]) == (x[3], y[3])
    assert x[2] > max(x[[0, 1, 3]]) and drawn.layout.shapes[0].x0 < x[2]
    assert list(drawn.data[0].marker.symbol) == ["circle", "circle-open", "x-thin", "circle"]
    assert {note.text for note in drawn.layout.annotations} == {"2 of 4", "○ 1 not settled", "✕ 1 collapse"}
    colours = drawn.data[0].marker.color
    assert colours[0] == colours[3] and len({colours[0], colours[1], colours[2]}) == 3


def test_all_collapsed_or_a_seed_beyond_the_lottery_is_drawn():
    drawn = figures.lottery(ends([1, 2], [-1, -1]), 5000, name="x", said="none")
    assert len(drawn.data) == 1 and [note.text for note in drawn.layout.annotations] == ["✕ 2 collapse"]
    assert len(figures.lottery(ends([-1.0] * 3), 0, name="x", said="", dark=True).data) == 2


def test_a_few_far_below_do_not_squeeze_the_rest():
    height = np.r_[-100.0, np.linspace(-2, -1, 99)]
    drawn = figures.lottery(ends(height, np.arange(100)), 1, name="x", said="")
    assert drawn.layout.xaxis.range[0] > -3 and drawn.data[0].marker.symbol[0] == "triangle-left"


def test_optima_are_told_from_the_top_down():
    trace = run(Job(Restarts(em=EM(data=ThreeInARow()), restarts=60), steps=200))
    found = lottery(trace)
    held = found.optimum.max(where=~found.spike, initial=-1)
    tops = [found.height[found.optimum == one] for one in range(held + 1)]
    assert all(len(top) and np.ptp(top) <= SAME for top in tops)
    assert all(a.min() > b.max() for a, b in itertools.pairwise(tops))
    with pytest.raises(TypeError, match="give a trace of Restarts"):
        lottery(run(Job(EM(), steps=2)))


def test_those_that_wait_are_not_drawn(monkeypatch):
    monkeypatch.setattr("lvmviz.algorithms.restarts.A_STEP", 7.5 * Restarts()._one_pass())
    trace = run(Job(Restarts(em=EM(), restarts=20), steps=5))
    found = lottery(trace)
    assert np.isnan(found.height).tolist() == [False] * 7 + [True] * 13
    assert (found.optimum[7:] == -1).all() and not found.collapsed.any()
    told = [f"seed {r}" for r in range(20)]
    drawn = figures.lottery(
        figures.Ends(found.height, found.optimum, found.moving, found.spike, told), 3, name="x", said=""
    )
    assert list(drawn.data[0].customdata) == list(range(7)) and list(drawn.data[0].hovertext) == told[:7]
    assert drawn.data[1].x[0] == drawn.data[0].x[3] and not drawn.layout.shapes
