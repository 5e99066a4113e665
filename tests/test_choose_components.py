"""K against its criteria: scikit-learn counts the parameters and scores the held-out points."""

import dataclasses
import math

import numpy as np
import pytest
import sklearn.mixture
import torch

from lvmviz import (
    EM,
    Added,
    Blobs,
    ByHand,
    ChooseComponents,
    Diagonal,
    Floor,
    Full,
    Iris,
    Job,
    KMeans,
    Snapshot,
    SoftKMeans,
    Spherical,
    ThreeInARow,
    Tied,
    run,
)
from lvmviz.algorithms.choose_components import ChooseInfo
from lvmviz.figures import criteria as figures
from lvmviz.mixtures import GaussianMixtureParams, log_density
from lvmviz.runs.job import Trace
from lvmviz.summaries.contests import best, criteria
from lvmviz.ui.em_contests import preferred

NAMES = {Full(): "full", Tied(): "tied", Diagonal(): "diag", Spherical(): "spherical"}
FOUR = Iris(features=("petal length", "sepal width", "petal width", "sepal length"))


def chosen(em: EM, most: int = 4, **more: int) -> Trace:
    algorithm = ChooseComponents(em=em, most=most, **{"restarts": 3, "iterations": 60, **more})
    return run(Job(algorithm, steps=most - 1))


def fitted(em: EM, points: np.ndarray, seed: int, shape: str) -> sklearn.mixture.GaussianMixture:
    """scikit-learn's mixture with the parameters of one run of its own seed."""
    theta = run(Job(em, steps=120, seed=seed))[-1].state.theta
    return peer(theta, shape)


def peer(theta: GaussianMixtureParams, shape: str) -> sklearn.mixture.GaussianMixture:
    weights, means, covariances = (part.numpy() for part in theta)
    inner = {"full": covariances, "tied": covariances[0], "diag": np.diagonal(covariances, axis1=1, axis2=2),
             "spherical": covariances[:, 0, 0]}[shape]  # fmt: skip
    made = sklearn.mixture.GaussianMixture(len(weights), covariance_type=shape)
    made.weights_, made.means_, made.covariances_ = weights, means, inner
    made.precisions_cholesky_ = sklearn.mixture._gaussian_mixture._compute_precision_cholesky(inner, shape)
    return made


@pytest.mark.parametrize("shape", NAMES, ids=NAMES.get)
@pytest.mark.parametrize("data", [FOUR, ThreeInARow(points=90)], ids=["iris", "three"])
def test_aic_and_bic_are_those_of_scikit_learn(shape, data):
    points = data.table().points
    for one in chosen(EM(data=data, covariance=shape)):
        em = EM(data=data, covariance=shape, components=one.info.components)
        made = fitted(em, points, one.info.seed, NAMES[shape])
        assert one.info.parameters == made._n_parameters()
        assert one.info.bic == pytest.approx(made.bic(points), rel=1e-9)
        assert one.info.aic == pytest.approx(made.aic(points), rel=1e-9)
        assert one.info.log_lik == pytest.approx(made.score(points) * len(points), rel=1e-9)


def test_the_best_of_the_restarts_counts():
    for one in chosen(EM(data=ThreeInARow(points=90)), restarts=8):
        em = EM(data=ThreeInARow(points=90), components=one.info.components)
        ends = [run(Job(em, steps=120, seed=seed))[-1].info for seed in range(8)]
        assert one.info.log_lik == pytest.approx(max(end.log_lik for end in ends), rel=1e-10)
        assert one.info.iterations == ends[one.info.seed].iteration


@pytest.mark.parametrize("shape", NAMES, ids=NAMES.get)
def test_held_out_points_are_scored_by_what_has_not_seen_them(shape, monkeypatch):
    """Each fold's fit once more, by single runs on the other points, and scored by scikit-learn."""
    data, folds = ThreeInARow(points=90), 3
    table = data.table()
    told = chosen(EM(data=data, covariance=shape), most=3, folds=folds)
    fold = np.random.default_rng(0).permutation(90) % folds
    subsets = {100 + part: table._replace(points=table.points[fold != part]) for part in range(folds)}
    whole = ThreeInARow.table
    monkeypatch.setattr(ThreeInARow, "table", lambda self: subsets.get(self.seed) or whole(self))
    for one in told:
        total = 0.0
        for part in range(folds):
            em = EM(data=ThreeInARow(points=90, seed=100 + part), covariance=shape,
                    components=one.info.components)  # fmt: skip
            ends = [run(Job(em, steps=120, seed=seed))[-1] for seed in range(3)]
            top = max(ends, key=lambda end: end.info.log_lik)
            total += peer(top.state.theta, NAMES[shape]).score_samples(table.points[fold == part]).sum()
        assert one.info.held_out == pytest.approx(total, rel=1e-8)


@pytest.mark.parametrize("scheme", [KMeans(), SoftKMeans()], ids=lambda scheme: type(scheme).__name__)
def test_balls_of_a_fixed_size_have_only_their_centres(scheme):
    data = ThreeInARow(points=90)
    for one in chosen(EM(data=data, scheme=scheme)):
        assert one.info.parameters == 2 * one.info.components
        em = EM(data=data, scheme=scheme, components=one.info.components)
        ends = [run(Job(em, steps=120, seed=seed))[-1] for seed in range(3)]
        top = max(ends, key=lambda end: end.info.log_lik if scheme.closes else end.info.elbo)
        assert one.info.log_lik == pytest.approx(top.info.log_lik, rel=1e-9)
        assert one.info.bic == pytest.approx(
            2 * one.info.components * math.log(90) - 2 * one.info.log_lik, rel=1e-12
        )


def test_one_component_is_the_maximum_likelihood_gaussian():
    points = FOUR.table().points
    info = chosen(EM(data=FOUR, regularizer=Added(amount=0.0)), most=1)[0].info
    theta = GaussianMixtureParams(
        torch.ones(1, dtype=torch.float64),
        torch.tensor(points.mean(0))[None],
        torch.tensor(np.cov(points.T, bias=True))[None],
    )
    assert info.log_lik == pytest.approx(float(log_density(theta, torch.tensor(points)).sum()), rel=1e-10)
    assert info.parameters == 4 + 10 and info.components == 1


def test_the_likelihood_rises_and_what_is_charged_for_it_does_not():
    rows = criteria(chosen(EM(data=Blobs()), most=7, restarts=10, iterations=100))
    assert (np.diff(rows.log_lik) > 0).all()
    assert rows.components[best(rows.bic)] == 4  # as many as were drawn
    assert (rows.log_lik > rows.aic).all() and (rows.aic > rows.bic).all()
    infos = rows.infos
    np.testing.assert_allclose(rows.aic, [-info.aic / 600 for info in infos])
    np.testing.assert_allclose(rows.bic, [-info.bic / 600 for info in infos])
    np.testing.assert_allclose(rows.held_out, [info.held_out / 300 for info in infos])


def test_points_count_as_often_as_they_say(monkeypatch):
    table = ThreeInARow(points=60).table()
    twice = table._replace(weights=np.full(60, 2.0))
    plain = chosen(EM(data=ThreeInARow(points=60), tolerance=0.0), most=3, iterations=30)
    monkeypatch.setattr(ThreeInARow, "table", lambda self: twice)
    double = chosen(EM(data=ThreeInARow(points=60, seed=79), tolerance=0.0), most=1)
    one, two = plain[0].info, double[0].info
    assert (two.points, two.parameters) == (120.0, one.parameters)
    assert two.log_lik == pytest.approx(2 * one.log_lik, rel=1e-9)
    assert two.held_out == pytest.approx(2 * one.held_out, rel=1e-9)
    assert two.bic == pytest.approx(one.parameters * math.log(120) - 4 * one.log_lik, rel=1e-9)


def test_where_every_restart_collapses_nothing_is_known():
    em = EM(data=Blobs(points=12, clusters=1, spread=1.0), regularizer=Floor(amount=0.0))
    rows = criteria(chosen(em, most=6, folds=2))
    lost = [info.collapsed == 3 for info in rows.infos]
    assert any(lost) and (np.isnan(rows.bic) == lost).all()
    assert (np.isnan(rows.held_out) == [info.folds_collapsed > 0 for info in rows.infos]).all()
    assert best(np.full(3, np.nan)) is None


def test_it_ends_where_points_run_out():
    trace = chosen(EM(data=Blobs(points=8)), most=20, folds=4)
    assert [one.info.components for one in trace] == [1, 2, 3, 4, 5, 6]  # six points are left of eight


@pytest.mark.parametrize(
    ("choose", "said"),
    [
        (ChooseComponents(em=EM(start=ByHand())), "for one K only: choose another start"),
        (ChooseComponents(em=EM(revealed=2)), "reveal none to choose K"),
        (
            ChooseComponents(em=EM(data=Blobs(points=3)), folds=5),
            "in 5 folds, which need as many points: add points",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused(choose, said):
    with pytest.raises(ValueError, match=said):
        choose.init(0)


def test_only_many_points_are_long():
    def job(em: EM) -> Job:
        choose = ChooseComponents(em=em)
        return Job(choose, steps=choose.most - 1)

    assert not job(EM()).long and not job(EM(data=Blobs())).long and job(EM(data=Blobs(points=20_000))).long


# ---- what is drawn ----


def row(k: int, log_lik: float, held_out: float) -> ChooseInfo:
    parameters = 6 * k - 1
    return ChooseInfo(
        k, log_lik, parameters, 2 * parameters - 2 * log_lik, parameters * math.log(100) - 2 * log_lik,
        held_out, 100.0, 0, 5, 0, 0, 0,
    )  # fmt: skip


def test_rings_are_where_a_criterion_is_highest():
    values = {
        "log_lik": [-3, -2, -1.9],
        "held_out": [-3.1, -2.2, -2.4],
        "aic": [-3, -2.1, -2.0],
        "bic": [-3.2, -2.2, np.nan],
    }
    lines = {key: figures.Line(np.array(row), key, key != "log_lik") for key, row in values.items()}
    drawn = figures.choice(np.array([1, 2, 3]), lines, ["a", "b", "c"], 2)
    rings = [trace for trace in drawn.data if trace.mode == "markers" and trace.hoverinfo == "skip"]
    assert [trace.x[0] for trace in rings] == [2, 3, 2]
    asked = drawn.data[-1]
    assert list(asked.customdata) == [1, 2, 3] and list(asked.hovertext) == ["a", "b", "c"]
    assert drawn.layout.shapes[0].x0 == 2
    places = sorted(note.y for note in drawn.layout.annotations)
    low, high = drawn.layout.yaxis.range
    assert min(np.diff(places)) > 0.1 * (high - low) and low <= places[0] and places[-1] <= high


def test_lines_that_are_known_nowhere_are_drawn():
    lines = {key: figures.Line(np.full(2, np.nan), key) for key in ("log_lik", "aic", "bic", "held_out")}
    (note,) = figures.choice(np.array([1, 2]), lines, ["", ""], 7, dark=True).layout.annotations
    assert note.text == "K = 1 to 2 collapse"


def test_what_falls_out_collapses_or_is_held_up_is_said():
    three = {
        "log_lik": [-3, -2, -1.9, np.nan],
        "aic": [-3, -2.1, -2.0, np.nan],
        "bic": [-3, -2.2, -2.3, np.nan],
    }
    values = three | {"held_out": [-2.1, -40.0, -80.0, np.nan]}
    lines = {key: figures.Line(np.array(row), key) for key, row in values.items()}
    drawn = figures.choice(np.arange(1, 5), lines, [""] * 4, 2, floored=[False, False, True, False])
    assert drawn.layout.yaxis.range[0] > -4  # points that were not seen do not widen the axis
    notes = [note.text for note in drawn.layout.annotations]
    assert "↓" in notes and "held_out ↓" in notes and "K = 4 collapses" in notes
    fills = drawn.data[0].marker.color
    assert fills[0] == fills[1] != fills[2]


def test_a_best_run_on_the_floor_is_flagged():
    rows = criteria(chosen(EM(), most=5, restarts=10, iterations=100))
    for info, flag in zip(rows.infos, rows.floored, strict=True):
        em = EM(components=info.components)
        end = run(Job(em, steps=200, seed=info.seed))[-1].state.theta
        assert flag == (np.linalg.eigvalsh(end.covariances.numpy()).min() <= 1e-4 * (1 + 1e-6))
    assert rows.floored.any() and not rows.floored.all()


def test_the_words_name_the_best():
    infos = [row(1, -300.0, -310.0), row(2, -200.0, -240.0), row(3, -193.0, -250.0)]
    trace = Trace(Job(ChooseComponents(), steps=2), [])
    trace = Trace(trace.job, [_snapshot(i, info) for i, info in enumerate(infos)])
    assert preferred(criteria(trace)) == "AIC 3, BIC 2, held-out 2"


def _snapshot(step: int, info: ChooseInfo) -> Snapshot:
    return Snapshot(step, None, info)


def test_shapes_have_their_own_criteria():
    bic = [chosen(dataclasses.replace(EM(), covariance=shape), most=2)[1].info.bic for shape in NAMES]
    assert len(set(np.round(bic, 6))) == 4
