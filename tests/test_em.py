"""EM against scikit-learn, closed forms and autograd; what collapses says so, with finite numbers."""

import csv
import dataclasses
import math
import warnings
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given
from scipy import stats
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from lvmviz import (
    EM,
    Added,
    Blobs,
    ByHand,
    CrossedEllipses,
    Dataset,
    Digits,
    Floor,
    Iris,
    Job,
    KMeansPlusPlus,
    Moons,
    RandomPoints,
    Regularizer,
    Start,
    ThreeInARow,
    Trace,
    Wine,
    run,
)
from lvmviz.algorithms.em import EMInfo
from lvmviz.core import fold_in
from lvmviz.datasets import WINE
from lvmviz.mixtures import log_density, maximum, responsibilities
from lvmviz.tables import Table

GOLDEN = Path(__file__).parent / "golden"
EPS = float(np.finfo(np.float64).eps)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Given(Dataset):
    """Points of a test's own; not registered."""

    rows: tuple[tuple[float, ...], ...] = ()

    def _make(self) -> Table:
        points = np.array(self.rows, dtype=np.float64)
        return Table(points, tuple(f"column {i}" for i in range(points.shape[1])), None, (), ())


def data(points) -> Given:
    return Given(rows=tuple(map(tuple, np.asarray(points, float).tolist())))


def centred(source: Dataset) -> Given:
    points = source.table().points
    return data(points - points.mean(0))


def trace_of(source: Dataset, steps: int = 60, seed: int = 0, **settings) -> Trace:
    return run(Job(EM(data=source, **settings), steps=steps, seed=seed))


def after_each_m(trace: Trace) -> np.ndarray:
    """log p(X | theta) at the start and after each M-step."""
    return np.array([s.info.log_lik for s in trace if s.info.moved != "E"])


def twenty_points() -> np.ndarray:
    with (GOLDEN / "twenty_points.csv").open() as file:
        return np.array([[float(row["x"]), float(row["y"])] for row in csv.DictReader(file)])


DATA = {
    "iris": centred(Iris()),
    "iris in 4-D": centred(Iris(features=())),
    "wine": centred(Wine()),
    "digits": centred(Digits()),
    "digits in 5-D": centred(Digits(components=5)),
    "blobs": centred(Blobs()),
    "1-D": centred(Iris(features=("petal length",))),
    "5-D": centred(Wine(features=WINE[:4] + WINE[6:7])),
    "crossed": centred(CrossedEllipses()),
    "moons": centred(Moons(points=80)),
}
small_data = st.sampled_from([name for name in DATA if "digits" not in name])


# ---- the same numbers as scikit-learn ----


def lower_bounds(start, points: np.ndarray, iterations: int, amount: float) -> np.ndarray:
    """scikit-learn's mean log-likelihood before each of its M-steps, from our start."""
    model = GaussianMixture(
        len(start.weights),
        reg_covar=amount,
        tol=0.0,
        max_iter=iterations,
        weights_init=start.weights.numpy(),
        means_init=start.means.numpy(),
        precisions_init=np.linalg.inv(start.covariances.numpy()),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # tol = 0 never converges
        model.fit(points)
    return np.array(model.lower_bounds_)


@pytest.mark.parametrize("regularizer", [Floor(amount=0), Added(amount=1e-6), Added(amount=1e-3)], ids=repr)
@pytest.mark.parametrize("name", DATA)
def test_lower_bounds_of_scikit_learn(name, regularizer):
    source, compared = DATA[name], 0
    points = source.table().points
    for seed in range(2 if "digits" in name else 5):
        settings = {"components": 2 + seed % 3, "start": (RandomPoints(), KMeansPlusPlus())[seed % 2]}
        trace = trace_of(source, 40, seed, regularizer=regularizer, tolerance=0, **settings)
        ours = after_each_m(trace) / len(points)
        if trace[-1].info.collapsed:
            continue
        reg = regularizer.amount if isinstance(regularizer, Added) else 0.0
        theirs = lower_bounds(trace[0].state.theta, points, len(ours), reg)
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-10)
        compared += 1
    assert compared >= 2


# ---- what each half-step does ----


def assert_monotone(trace: Trace) -> None:
    log_lik, elbo = trace.column("log_lik"), trace.column("elbo")
    assert (np.diff(log_lik) >= -1e-10 * np.abs(log_lik[:-1])).all()
    assert (np.diff(elbo) >= -1e-10 * np.abs(elbo[:-1])).all()  # both halves lift it


@given(
    small_data,
    st.integers(0, 10**6),
    st.integers(1, 6),
    st.sampled_from([0.0, 1e-6, 1e-4, 1e-2, 0.1]),
    st.booleans(),
)
def test_a_floor_keeps_em_monotone(name, seed, count, amount, far):
    start = KMeansPlusPlus() if far else RandomPoints()
    trace = trace_of(DATA[name], 60, seed, components=count, regularizer=Floor(amount=amount), start=start)
    assert_monotone(trace)


@given(st.integers(0, 10**6), st.floats(0, 0.1))
def test_a_floor_keeps_em_monotone_where_it_holds_most(seed, amount):
    """Few points and many components: the floor works at every step."""
    trace = trace_of(data(twenty_points()), 40, seed, components=5, regularizer=Floor(amount=amount))
    assert_monotone(trace)


def test_added_variance_can_lower_the_likelihood():
    """As its docstring says; scikit-learn's reg_covar does the same."""
    source = DATA["iris in 4-D"]
    trace = trace_of(source, 100, 2, components=2, regularizer=Added(amount=0.1), tolerance=0)
    rises = np.diff(after_each_m(trace))
    assert rises.min() < -0.5
    theirs = lower_bounds(trace[0].state.theta, source.table().points, len(rises) + 1, 0.1)
    np.testing.assert_allclose(np.diff(theirs) * len(source.rows), rises, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("name", DATA)
def test_e_closes_the_gap(name):
    source = DATA[name]
    for seed in (0, 1):
        for _, state, info in trace_of(source, 12, seed, components=4):
            size = 1e-10 * max(len(source.rows), abs(info.log_lik))
            assert info.elbo + info.kl == pytest.approx(info.log_lik, abs=size)
            assert info.kl >= -1e-10 * len(source.rows)
            if info.moved == "E":
                assert abs(info.kl) <= 1e-10 * len(source.rows)
                assert info.elbo == pytest.approx(info.log_lik, abs=size)
                assert all(torch.equal(a, b) for a, b in zip(state.theta, state.theta_q, strict=True))


@pytest.mark.parametrize("name", DATA)
def test_at_the_start_q_knows_nothing(name):
    em, points = EM(data=DATA[name], components=4), DATA[name].table().points
    state, info = em.init(fold_in(3, 0))
    np.testing.assert_allclose(em.q(state).resp.numpy(), np.full((len(points), 4), 0.25), rtol=1e-13)
    assert info.entropy == pytest.approx(len(points) * math.log(4), rel=1e-14)
    assert info.kl_prior == pytest.approx(0.0, abs=1e-12 * len(points))  # the weights are 1/4 too
    assert (info.iteration, info.moved, info.rise, info.collapsed) == (0, "start", 0.0, 0)
    assert info.kl > 1e-3
    assert torch.equal(state.theta.weights, torch.full((4,), 0.25, dtype=torch.float64))
    for covariance in state.theta.covariances.numpy():
        np.testing.assert_allclose(
            covariance, np.cov(points.T, bias=True).reshape(covariance.shape), rtol=1e-12, atol=1e-12
        )
    rows = {tuple(row) for row in points.tolist()}
    assert all(tuple(mean) in rows for mean in state.theta.means.tolist())


def test_the_numbers_are_those_of_the_state():
    """Every number again from theta and theta_q, by scikit-learn's idea of a posterior."""
    em = EM(data=DATA["blobs"], components=3)
    points = DATA["blobs"].table().points
    before = None
    for step, state, info in run(Job(em, steps=9)):
        assert info.log_lik == pytest.approx(
            float(log_density(state.theta, torch.tensor(points)).sum()), rel=1e-12
        )
        assert float(state.log_lik) == info.log_lik
        resp = responsibilities(state.theta_q, torch.tensor(points)).resp.numpy()
        np.testing.assert_array_equal(em.q(state).resp.numpy(), resp)
        entropy = -sum(r * math.log(r) for r in resp.ravel().tolist() if r > 0)
        assert info.entropy == pytest.approx(entropy, rel=1e-9)
        assert int(state.half_steps) == step and info.iteration == (step + 1) // 2
        assert info.moved == ("start" if step == 0 else "E" if step % 2 else "M")
        assert info.rise == pytest.approx(0.0 if before is None else info.log_lik - before, abs=1e-12)
        assert info.moved != "E" or info.rise == 0.0
        assert info.evidence[:7] == info[2:9]
        assert EMInfo._fields[2:9] == ("log_lik", "elbo", "kl", "joint", "entropy", "likelihood", "kl_prior")
        before = info.log_lik


def test_the_gradient_is_0_where_em_ends():
    source = centred(Blobs(points=200, clusters=3, spread=0.5, seed=1))
    trace = trace_of(
        source, 3000, 1, components=3, regularizer=Floor(amount=0), tolerance=1e-15, start=KMeansPlusPlus()
    )
    assert len(trace) < 2000 and trace[-1].info.collapsed == 0
    theta = trace[-1].state.theta
    parts = theta.weights.log(), theta.means, torch.linalg.cholesky(theta.covariances)
    logits, means, roots = coordinates = [part.clone().requires_grad_() for part in parts]
    mixture = torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(logits=logits),
        torch.distributions.MultivariateNormal(means, scale_tril=roots),
    )
    value = mixture.log_prob(torch.tensor(source.table().points)).sum()
    assert value.item() == pytest.approx(trace[-1].info.log_lik, rel=1e-12)
    gradients = torch.autograd.grad(value, coordinates)
    assert max(float(gradient.abs().max()) for gradient in gradients) < 1e-4
    far = torch.autograd.grad(
        torch.distributions.MultivariateNormal(means, scale_tril=roots)
        .log_prob(torch.zeros(2).double())
        .sum(),
        means,
    )
    assert float(far[0].abs().max()) > 0.1  # a gradient that can be other than 0


def test_an_m_step_takes_the_q_it_is_given():
    """q is the parameters it was made from, also where theta has moved on since."""
    em = EM(data=DATA["blobs"], components=3, regularizer=Floor(amount=0))
    state = run(Job(em, steps=4))[-1].state
    assert not torch.equal(state.theta.means, state.theta_q.means)
    again, _ = em.step(0, state._replace(half_steps=torch.tensor(3)))
    expected = maximum(em.q(state), torch.tensor(DATA["blobs"].table().points))
    assert all(torch.equal(a, b) for a, b in zip(again.theta, expected, strict=True))


def test_em_stops_where_it_says():
    trace = trace_of(DATA["iris"], 1000, tolerance=1e-6)
    rises = [s.info.rise for s in trace if s.info.moved == "M"]
    assert trace[-1].info.moved == "M" and len(trace) < 1000
    assert rises[-1] < 1e-6 * 150 and all(rise >= 1e-6 * 150 for rise in rises[:-1])


# ---- symmetries ----


def clicked(points: np.ndarray) -> ByHand:
    return ByHand(centres=tuple(map(tuple, points.tolist())))


@pytest.mark.parametrize("name", ["iris", "1-D", "5-D"])
def test_another_order_of_the_start_is_another_order_of_the_end(name):
    points = DATA[name].table().points
    centres, order = points[[3, 70, 90, 120]], [2, 0, 3, 1]
    ends = [trace_of(DATA[name], 41, components=4, start=clicked(c))[-1] for c in (centres, centres[order])]
    one, two = (end.state.theta for end in ends)
    assert ends[0].info.log_lik == pytest.approx(ends[1].info.log_lik, rel=1e-10)
    for a, b in zip(one, two, strict=True):
        torch.testing.assert_close(a[order], b, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("name", ["iris", "5-D", "blobs"])
def test_other_units_are_the_same_model(name):
    """x' = Ax + b changes log p by -N log|det A| and turns every Gaussian along."""
    points = DATA[name].table().points
    width = points.shape[1]
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.standard_normal((width, width)))[0] * np.linspace(0.5, 3.0, width)
    centres = points[[3, 70, 140]]
    moved = data(points @ turn.T + 2.0)
    settings = {"components": 3, "regularizer": Floor(amount=0), "tolerance": 0}
    plain = trace_of(DATA[name], 30, start=clicked(centres), **settings)
    other = trace_of(moved, 30, start=clicked(centres @ turn.T + 2.0), **settings)
    shift = len(points) * np.linalg.slogdet(turn)[1]
    np.testing.assert_allclose(other.column("log_lik") + shift, plain.column("log_lik"), rtol=1e-8)
    np.testing.assert_allclose(other.column("kl"), plain.column("kl"), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(
        other[-1].state.theta.covariances.numpy(),
        turn @ plain[-1].state.theta.covariances.numpy() @ turn.T,
        rtol=1e-6,
        atol=1e-8,
    )


def test_every_point_twice_is_twice_the_likelihood():
    points = DATA["iris"].table().points
    once, twice = (
        trace_of(data(rows), 30, components=3, start=clicked(points[[3, 70, 140]]), tolerance=0)
        for rows in (points, np.repeat(points, 2, axis=0))
    )
    for name in ("log_lik", "elbo", "joint", "entropy", "likelihood"):
        np.testing.assert_allclose(twice.column(name), 2 * once.column(name), rtol=1e-10)


def test_one_component_is_the_mean_and_covariance():
    """K = 1: one iteration is the closed form, and the second changes nothing."""
    for name in ("iris", "1-D", "5-D", "moons"):
        points = DATA[name].table().points + 3.0
        trace = trace_of(data(points), 40, components=1, regularizer=Floor(amount=0))
        theta = trace[2].state.theta
        np.testing.assert_allclose(theta.weights.numpy(), [1.0])
        np.testing.assert_allclose(theta.means[0].numpy(), points.mean(0), rtol=1e-12)
        covariance = np.cov(points.T, bias=True).reshape(points.shape[1], -1)
        np.testing.assert_allclose(theta.covariances[0].numpy(), covariance, rtol=1e-10, atol=1e-12)
        n, d = points.shape
        closed = -0.5 * n * (d * math.log(2 * math.pi) + np.linalg.slogdet(covariance)[1] + d)
        assert trace[2].info.log_lik == pytest.approx(closed, rel=1e-12)
        assert len(trace) == 5 and abs(trace[4].info.rise) < 1e-9
        assert all(info.kl == pytest.approx(0, abs=1e-9) and info.entropy == 0 for _, _, info in trace)


# ---- collapse ----


def assert_told(trace: Trace) -> None:
    """Finite numbers all along; a collapse ends the trace and keeps the last theta that had a density."""
    reach = np.abs(trace.job.algorithm.data.table().points).max(0)
    for _, state, info in trace:
        assert all(math.isfinite(number) for number in info if not isinstance(number, str))
        assert all(bool(part.isfinite().all()) for part in (*state.theta, *state.theta_q))
        assert bool((torch.linalg.cholesky_ex(state.theta.covariances).info == 0).all())
        widths = state.theta.covariances.diagonal(dim1=1, dim2=2).sqrt().numpy()
        assert (widths > 10 * EPS * reach).all(), "narrower than the rounding of the points themselves"
    assert all(info.collapsed == 0 for _, _, info in trace[:-1])
    last, components = trace[-1], len(trace[-1].state.theta.weights)
    if last.info.collapsed:
        assert 1 <= last.info.collapsed <= components and last.info.moved == "M"
        assert bool(last.state.collapsed[last.info.collapsed - 1])
        assert last.info.rise == 0.0
        assert all(torch.equal(a, b) for a, b in zip(last.state.theta, trace[-2].state.theta, strict=True))


def test_the_golden_points_are_plain_noise():
    points = twenty_points()
    assert points.shape == (20, 2)
    np.testing.assert_array_equal(points, np.random.default_rng(8).standard_normal((20, 2)))


@pytest.fixture(scope="module")
def collapses() -> list[Trace]:
    """120 random starts of five components on the twenty points, without a floor."""
    em = EM(data=data(twenty_points()), components=5, regularizer=Floor(amount=0))
    return [run(Job(em, steps=600, seed=seed)) for seed in range(120)]


def test_without_a_floor_most_starts_collapse(collapses):
    """GOLDEN: 65 to 85 % of random starts; 120 starts may miss that by 3 standard errors."""
    for trace in collapses:
        assert_told(trace)
        assert len(trace) < 600
    collapsed = sum(trace[-1].info.collapsed > 0 for trace in collapses)
    low, high = stats.binom.ppf(0.00135, 120, 0.65), stats.binom.ppf(0.99865, 120, 0.85)
    assert low <= collapsed <= high


def test_up_to_the_collapse_the_numbers_mean_something(collapses):
    """A component on two points has a covariance of rank one: what rounding leaves of it is no likelihood."""
    for trace in collapses:
        assert_monotone(trace)
        for state in (trace[-1].state, trace[len(trace) // 2].state):
            assert thinnest(state.theta.covariances.numpy()).min() > 1e-14


def test_what_collapses_is_what_numpy_says(collapses):
    """The component told is the first whose covariance, computed anew, is singular up to rounding."""
    points, checked = twenty_points(), 0
    for trace in collapses:
        if trace[-1].info.collapsed:
            theta = trace[-2].state.theta  # after the E-step
            resp = responsibilities(theta, torch.tensor(points)).resp.numpy()
            anew = []
            for k in range(5):
                mean = resp[:, k] @ points / resp[:, k].sum()
                outer = sum(r * np.outer(x - mean, x - mean) for r, x in zip(resp[:, k], points, strict=True))
                anew.append(outer / resp[:, k].sum())
            shares, told = thinnest(np.array(anew)), trace[-1].info.collapsed - 1
            shares = np.where(np.trace(anew, axis1=1, axis2=2) < 1e-24, 0.0, shares)  # onto one point
            assert shares[told] < 1e-12
            assert (shares[:told] > 1e-14).all()
            checked += 1
    assert checked > 60


def thinnest(covariances: np.ndarray) -> np.ndarray:
    """The smallest variance of a coordinate given the others, as a share of its own (K,): 0 when singular."""
    with np.errstate(invalid="ignore", divide="ignore"):
        (a, b), (_, d) = covariances.transpose(1, 2, 0)
        return np.nan_to_num((a * d - b * b) / (a * d))


def test_a_floor_prevents_every_collapse():
    source = data(twenty_points())
    for seed in range(30):
        trace = trace_of(source, 120, seed, components=5, regularizer=Floor(amount=1e-3))
        assert_told(trace)
        assert trace[-1].info.collapsed == 0
        assert all(
            float(torch.linalg.eigvalsh(s.state.theta.covariances).min()) > 1e-3 * (1 - 1e-9) for s in trace
        )


@given(st.integers(0, 10**6), st.integers(1, 3), st.integers(2, 8), st.integers(-8, 8), st.booleans())
def test_a_collapse_never_raises(seed, width, count, decade, far):
    """Any scale, any width, barely enough points."""
    points = 10.0**decade * np.random.default_rng(seed).standard_normal((count + width + 3, width))
    start = KMeansPlusPlus() if far else RandomPoints()
    assert_told(trace_of(data(points), 120, seed, components=count, regularizer=Floor(amount=0), start=start))


@pytest.mark.parametrize("points", [[0.0, 1.0], [0.3, 1.7], [-5.1, 100.3], [0.3, 1.7, 1.8], [1e-9, 3e-9]])
def test_one_point_to_itself(points):
    """In one dimension too, where rounding leaves a variance of 1e-31 that has a square root."""
    rows = [[point] for point in points]
    trace = trace_of(data(rows), 200, components=2, regularizer=Floor(amount=0))
    assert_told(trace)
    assert trace[-1].info.collapsed > 0


def test_two_points_on_a_floor():
    floored = trace_of(data([[0.0], [1.0]]), 200, components=2, regularizer=Floor(amount=1e-4))
    density = math.log(0.5) - 0.5 * math.log(2 * math.pi * 1e-4)
    assert floored[-1].info.log_lik == pytest.approx(2 * density, rel=1e-9)


def test_collapses_in_one_dimension_are_told():
    told = 0
    for seed in range(20):
        points = np.random.default_rng(seed).standard_normal((20, 1))
        trace = trace_of(data(points), 200, seed, components=5, regularizer=Floor(amount=0))
        assert_told(trace)
        told += trace[-1].info.collapsed > 0
    assert told >= 3


def test_a_collapsed_state_is_finished():
    em = EM(data=data(twenty_points()), components=5, regularizer=Floor(amount=0))
    trace = next(t for seed in range(20) if (t := run(Job(em, steps=600, seed=seed)))[-1].info.collapsed)
    assert em.finished(trace[-1].state, trace[-1].info)
    state, info = em.step(0, trace[-1].state)  # whoever goes on all the same gets numbers, too
    assert math.isfinite(info.log_lik) and info.moved == "E"


# ---- regularizers ----


def covariances() -> torch.Tensor:
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.standard_normal((4, 3, 3)))[0]
    values = np.array([[1e-9, 0.5, 2.0], [1e-3, 1e-3, 1e-3], [0.02, 1.0, 5.0], [0.0, 0.0, 0.0]])
    return torch.tensor(turn * values[:, None, :] @ turn.transpose(0, 2, 1))


@pytest.mark.parametrize("amount", [1e-6, 1e-3, 1e-2, 0.1])
def test_a_floor_lifts_only_what_is_below(amount):
    before = covariances()
    after = Floor(amount=amount)(before)
    was, now = (np.linalg.eigvalsh(part.numpy()) for part in (before, after))
    np.testing.assert_allclose(now, np.maximum(was, amount), rtol=1e-10, atol=1e-14)
    commuting = after @ before - before @ after  # the directions stay
    assert float(commuting.abs().max()) < 1e-12
    torch.testing.assert_close(after, after.mT, rtol=1e-12, atol=1e-14)


def test_a_floor_below_everything_changes_no_bit():
    before = covariances()[[1, 2]]
    assert torch.equal(Floor(amount=1e-6)(before), before)
    assert torch.equal(Floor(amount=0)(covariances()), covariances())


def test_added_is_added_to_the_diagonal():
    after = Added(amount=0.05)(covariances())
    np.testing.assert_allclose(after.numpy(), covariances().numpy() + 0.05 * np.eye(3), rtol=0, atol=1e-17)


@pytest.mark.parametrize("cls", Regularizer.options.values(), ids=lambda cls: cls.__name__)
def test_regularizers_leave_their_argument_alone(cls):
    before = covariances()
    cls(amount=0.1)(before)
    assert torch.equal(before, covariances())


# ---- data that make trouble ----


@pytest.mark.parametrize("start", [RandomPoints(), KMeansPlusPlus(), ByHand(), ByHand(centres=((0.0, 0.0),))])
def test_fewer_points_than_components(start):
    with pytest.raises(
        ValueError, match="3 points cannot start 4 components: use at most 3 components, or more points"
    ):
        EM(data=data([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0]]), components=4, start=start).init(0)


def test_as_many_points_as_components():
    trace = trace_of(
        data([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0]]), 50, components=3, regularizer=Floor(amount=1e-3)
    )
    assert_told(trace)
    assert trace[-1].info.collapsed == 0


LINES = {
    "horizontal": np.stack([np.arange(12.0), np.zeros(12)], 1),
    "diagonal": np.stack([np.arange(12.0), np.arange(12.0)], 1),
    "steep": np.stack([np.arange(12.0), 3 * np.arange(12.0) - 1], 1),
    "plane": np.stack([np.arange(12.0), np.arange(12.0) ** 2, np.arange(12.0) ** 2 - 2 * np.arange(12.0)], 1),
    "one point": np.ones((12, 2)),
}


@pytest.mark.parametrize("name", LINES)
def test_points_on_a_line_need_a_floor(name):
    with pytest.raises(
        ValueError, match="on a line or plane: raise the regularizer, leave out a feature, or choose"
    ):
        EM(data=data(LINES[name]), components=2, regularizer=Floor(amount=0)).init(0)
    for regularizer in (Floor(amount=1e-3), Added(amount=1e-3)):
        trace = trace_of(data(LINES[name]), 60, components=2, regularizer=regularizer)
        assert_told(trace)
        assert trace[-1].info.collapsed == 0


@given(st.floats(-math.pi, math.pi), st.floats(-5, 5), st.integers(0, 1000))
def test_any_line_is_refused(angle, offset, seed):
    """Rounding makes a line look like a very thin cloud: its numbers would be rounding, too."""
    along = np.random.default_rng(seed).standard_normal(15)
    points = np.stack([along * math.cos(angle) + offset, along * math.sin(angle) - offset], 1)
    shape = points - points.mean(0)
    if np.abs(shape).max(0).min() < 1e-6:
        return  # along an axis, up to the rounding of the points themselves
    with pytest.raises(ValueError, match="on a line or plane"):
        EM(data=data(points), components=2, regularizer=Floor(amount=0)).init(seed)


def test_all_points_the_same():
    """Closed form: every component is the floor round the point."""
    for start in (RandomPoints(), KMeansPlusPlus()):
        trace = trace_of(
            data([[2.0, -1.0]] * 9), 20, components=3, regularizer=Floor(amount=1e-4), start=start
        )
        assert trace[-1].info.log_lik == pytest.approx(-9 * math.log(2 * math.pi * 1e-4), rel=1e-12)


def test_duplicates_among_the_points():
    points = np.repeat([[0.0, 0.0], [5.0, 1.0], [0.0, 6.0]], [10, 7, 3], axis=0)
    for seed in range(5):
        trace = trace_of(
            data(points), 60, seed, components=3, regularizer=Floor(amount=1e-4), start=KMeansPlusPlus()
        )
        theta = trace[-1].state.theta
        by_weight = theta.weights.argsort(descending=True)
        np.testing.assert_allclose(theta.weights[by_weight].numpy(), [0.5, 0.35, 0.15], atol=1e-9)
        np.testing.assert_allclose(theta.means[by_weight].numpy(), [[0, 0], [5, 1], [0, 6]], atol=1e-9)


@pytest.mark.parametrize("scale", [1e-140, 1e140])
def test_numbers_near_the_ends_of_float64(scale):
    points = DATA["iris"].table().points
    settings = {"components": 3, "regularizer": Floor(amount=0), "tolerance": 0}
    plain = trace_of(DATA["iris"], 20, start=clicked(points[[3, 70, 140]]), **settings)
    far = trace_of(data(scale * points), 20, start=clicked(scale * points[[3, 70, 140]]), **settings)
    np.testing.assert_allclose(
        far.column("log_lik") + 300 * math.log(scale), plain.column("log_lik"), rtol=1e-8
    )
    for start in (RandomPoints(), KMeansPlusPlus()):
        assert_told(
            trace_of(data(scale * points), 20, start=start, components=3, regularizer=Floor(amount=0))
        )


def test_most_starts_stay_in_a_poor_optimum():
    """As the docstring of ThreeInARow says: of 20 random starts fewer than half find the best."""
    source = ThreeInARow()
    ends = [trace_of(source, 400, seed, components=3, tolerance=1e-5)[-1] for seed in range(20)]
    best = max(ends, key=lambda end: end.info.log_lik)
    found = sum(end.info.log_lik > best.info.log_lik - 1 for end in ends)
    assert 2 <= found < 10
    means = best.state.theta.means[best.state.theta.means[:, 0].argsort()]
    np.testing.assert_allclose(means.numpy(), [[-6, 0], [-4, 0], [6, 0]], atol=0.3)


# ---- starts ----

STARTS = [RandomPoints(), KMeansPlusPlus(), ByHand()]


@pytest.mark.parametrize("start", STARTS, ids=repr)
def test_starts_are_distinct_points(start):
    points = torch.tensor(DATA["blobs"].table().points)
    rows = {tuple(row) for row in points.tolist()}
    for key in range(50):
        means = start.means(fold_in(key, 0), points, 12)
        assert means.shape == (12, 2) and means.dtype == torch.float64
        chosen = {tuple(row) for row in means.tolist()}
        assert len(chosen) == 12 and chosen <= rows


@pytest.mark.parametrize("start", STARTS, ids=repr)
def test_every_point_can_be_a_start(start):
    points = torch.arange(6.0).double()[:, None]
    everything = start.means(4, points, 6)
    assert sorted(everything.ravel().tolist()) == list(range(6))
    assert len({tuple(start.means(key, points, 3).ravel().tolist()) for key in range(40)}) > 15


@pytest.mark.parametrize("cls", Start.options.values(), ids=lambda cls: cls.__name__)
def test_starts_draw_on_the_cpu_whatever_the_default_device(cls):
    """`execute` makes the job's device the default one; the draws must not follow it there."""
    points = torch.tensor(DATA["blobs"].table().points)
    expected = cls().means(7, points, 3)
    with torch.device("meta"):  # stands for a GPU: nothing may be computed on it
        assert torch.equal(cls().means(7, points, 3), expected)


def test_random_points_are_uniform():
    points = torch.arange(5.0).double()[:, None]
    pairs = [tuple(RandomPoints().means(fold_in(k, 0), points, 2).ravel().tolist()) for k in range(4000)]
    counts = [pairs.count((a, b)) for a in range(5) for b in range(5) if a != b]
    assert sum(counts) == 4000 and stats.chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize("count", [2, 3])
def test_kmeans_plus_plus_draws_by_squared_distance(count):
    """The probability of every sequence of centres, from the definition, against 4000 draws."""
    places = [0.0, 1.0, 3.0, 4.5, 10.0]
    truth = {(place,): 1 / len(places) for place in places}
    for _ in range(count - 1):
        truth = {
            (*chosen, place): share * min((place - c) ** 2 for c in chosen) / total
            for chosen, share in truth.items()
            if (total := sum(min((p - c) ** 2 for c in chosen) for p in places))
            for place in places
            if place not in chosen
        }
    points = torch.tensor(places, dtype=torch.float64)[:, None]
    drawn = [
        tuple(KMeansPlusPlus().means(fold_in(k, 1), points, count).ravel().tolist()) for k in range(4000)
    ]
    assert set(drawn) <= set(truth) and sum(truth.values()) == pytest.approx(1.0)
    common = [sequence for sequence in truth if truth[sequence] * 4000 >= 5]
    seen = [drawn.count(sequence) for sequence in common]
    hoped = [4000 * truth[sequence] for sequence in common]
    seen, hoped = [*seen, 4000 - sum(seen)], [*hoped, 4000 - sum(hoped)]
    keep = [i for i, value in enumerate(hoped) if value > 1]
    assert stats.chisquare([seen[i] for i in keep], [hoped[i] for i in keep]).pvalue > 1e-3


def test_kmeans_plus_plus_takes_any_duplicate_when_nothing_else_is_left():
    points = torch.tensor([[1.0, 1.0]] * 4 + [[2.0, 2.0]], dtype=torch.float64)
    for key in range(20):
        means = KMeansPlusPlus().means(key, points, 4)
        assert means.shape == (4, 2) and {1.0, 2.0} == set(means[:2, 0].tolist())


def test_clicked_centres_come_first():
    points = torch.tensor(DATA["blobs"].table().points)
    start = ByHand(centres=((0.5, 1.5), (-2.0, 3.0)))
    means = start.means(3, points, 4)
    assert means[:2].tolist() == [[0.5, 1.5], [-2.0, 3.0]]
    rows = {tuple(row) for row in points.tolist()}
    assert all(tuple(row) in rows for row in means[2:].tolist()) and len(means) == 4
    assert start.means(3, points, 1).tolist() == [[0.5, 1.5]]  # more clicks than components
    assert torch.equal(ByHand().means(3, points, 4), RandomPoints().means(3, points, 4))


@pytest.mark.parametrize("centres", [((1.0,),), ((1.0, 2.0, 3.0),), ((0.0, 1.0), (2.0,)), ((),)])
def test_centres_of_the_wrong_width(centres):
    with pytest.raises(ValueError, match=r"centre [12] has \d coordinates and the data 2: click again"):
        EM(data=Blobs(), start=ByHand(centres=centres)).init(0)


def test_the_start_depends_on_the_seed_alone():
    starts = [trace_of(DATA["blobs"], 0, seed)[0].state.theta.means for seed in (0, 0, 1)]
    assert torch.equal(starts[0], starts[1]) and not torch.equal(starts[0], starts[2])
