"""Labels that are shown, and components by other names: against closed forms and against scipy."""

import itertools

import hypothesis.strategies as st
import numpy as np
import pytest
import scipy.special
import scipy.stats
import sklearn.metrics
import torch
from hypothesis import given, settings

from lvmviz import (
    EM,
    Blobs,
    ByHand,
    CrossedEllipses,
    Diabetes,
    Diagonal,
    Digits,
    Floor,
    Full,
    GeneralizedEM,
    Iris,
    Job,
    KMeans,
    KMeansPlusPlus,
    Moons,
    SoftKMeans,
    Spherical,
    Stored,
    ThreeInARow,
    Tied,
    mixtures,
    own_data,
    run,
)
from lvmviz.algorithms.em import TooFewComponents
from lvmviz.core import each, from_json, to_json
from lvmviz.covariances import Covariance
from lvmviz.datasets import revealed
from lvmviz.figures.theme import tokens
from lvmviz.mixtures import Data, GaussianMixtureParams, decompose_at, evaluate, log_density, responsibilities
from lvmviz.schemes import Scheme
from lvmviz.summaries import em as summaries
from lvmviz.tables import Table
from lvmviz.ui import em_films
from lvmviz.ui.em_scenes import SCENES

FREE = Floor(amount=0.0)
ALL = 500
SMALL = Blobs(points=40, clusters=3, spread=2.0, seed=2)


def by_scipy(theta: GaussianMixtureParams, points: np.ndarray) -> np.ndarray:
    """log pi_k N(x_n | mu_k, Sigma_k), (N, K)."""
    return np.stack(
        [
            np.log(float(weight)) + scipy.stats.multivariate_normal(mean, sigma).logpdf(points)
            for weight, mean, sigma in zip(*(part.numpy() for part in theta), strict=True)
        ],
        1,
    )


def known(theta: GaussianMixtureParams, points: np.ndarray, shown: np.ndarray) -> tuple[np.ndarray, ...]:
    """log p(x_n, z_n where it is shown) (N,) and q (N, K), by scipy."""
    joint = by_scipy(theta, points)
    total = scipy.special.logsumexp(joint, axis=1)
    q = np.exp(joint - total[:, None])
    rows = np.flatnonzero(shown >= 0)
    q[rows] = np.eye(joint.shape[1])[shown[rows]]
    total[rows] = joint[rows, shown[rows]]
    return total, q


# ---- which labels are shown ----


@pytest.mark.parametrize("data", [Iris(), Digits(), Blobs(points=11, clusters=5)], ids=lambda d: d.name())
def test_more_labels_are_the_same_and_others(data):
    labels = data.table().labels
    before = np.full(len(labels), -1)
    for each_class in (1, 2, 3, 10, ALL):
        shown = revealed(data, each_class)
        assert shown.dtype == np.int64 and np.all((shown == -1) | (shown == labels))
        for label in np.unique(labels):
            assert (shown == label).sum() == min(each_class, (labels == label).sum())
        assert np.all(shown[before >= 0] == before[before >= 0])
        before = shown
    assert revealed(data, 0) is None and revealed(Diabetes(), 3) is None


def test_they_are_the_data_sets_own():
    """The seed of a run and the columns that EM sees decide nothing of it."""
    three = Iris(features=("petal length", "sepal width", "petal width"))
    assert np.array_equal(revealed(three, 4), revealed(Iris(), 4))
    first = [run(Job(EM(revealed=2), steps=0, seed=seed))[0].state.theta.means for seed in (0, 1)]
    assert torch.equal(*first)
    shown = revealed(Iris(), 2)
    means = [Iris().table().points[shown == label].mean(0) for label in range(3)]
    np.testing.assert_allclose(first[0], means, rtol=1e-14)


def test_components_beyond_the_classes_start_as_they_would():
    for start in (KMeansPlusPlus(), ByHand(centres=((1.0, 1.0), (2.0, 2.0), (3.0, 3.0), (4.0, 4.0)))):
        plain, told = (run(Job(EM(components=5, revealed=n, start=start), steps=0, seed=7)) for n in (0, 3))
        means = [trace[0].state.theta.means for trace in (plain, told)]
        assert torch.equal(means[0][3:], means[1][3:]) and not bool((means[0][:3] == means[1][:3]).any())


def test_fewer_components_than_classes_are_refused():
    with pytest.raises(
        TooFewComponents, match="2 components cannot stand for 3 classes: use at least 3"
    ) as no:
        run(Job(EM(components=2, revealed=1), steps=1))
    assert no.value.least == 3
    assert run(Job(EM(components=2, revealed=0), steps=1))[1].info.moved == "E"


def test_without_labels_there_are_none_to_reveal(home):
    assert EM(data=Diabetes(), revealed=5) == EM(data=Diabetes())
    points = np.random.default_rng(0).standard_normal((9, 2))
    bare = Stored(digest=own_data.put(Table(points, ("a", "b"), None, (), ())))
    told = Stored(digest=own_data.put(Table(points, ("a", "b"), np.arange(9) % 3, ("p", "q", "r"), ())))
    assert EM(data=bare, revealed=5) == EM(data=bare) and EM(data=told, revealed=5).revealed == 5
    absent = EM(data=Stored(digest="0" * 64), revealed=5)  # whether it has any is not known here
    assert absent.revealed == 5 and from_json(type(absent).kind(), to_json(absent)) == absent
    assert EM(data=Stored(digest="../x"), revealed=5).revealed == 5
    assert "revealed" in EM.idle(dict(data=Diabetes(), scheme=KMeans(), components=3, revealed=1, relabel=4))
    assert EM(data=Diabetes(), revealed=5, relabel=4).relabel == 4  # nothing names the components


# ---- none and all ----


def test_labels_that_are_all_unknown_say_nothing():
    theta, points = (
        run(Job(EM(data=SMALL), steps=4, seed=1))[4].state.theta,
        torch.tensor(SMALL.table().points),
    )
    unknown = Data(points, torch.full((40,), -1))
    theta_q = theta._replace(means=theta.means + 0.3)
    assert decompose_at(theta, theta_q, points) == decompose_at(theta, theta_q, Data(points))
    assert decompose_at(theta, theta_q, unknown) == pytest.approx(
        decompose_at(theta, theta_q, points), rel=1e-13
    )
    plain, blind = (mixtures.maximum_at(theta, data) for data in (points, unknown))
    for one, other in zip(plain, blind, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-13)


def test_no_label_revealed_is_the_plain_mixture_to_the_bit(home):
    """The same numbers whether or not the data have labels that might be shown."""
    table = SMALL.table()
    pair = [
        run(Job(EM(data=Stored(digest=own_data.put(made)), relabel=0, revealed=0), steps=20, seed=3))
        for made in (table, table._replace(labels=None, label_names=()))
    ]
    for one, other in zip(*pair, strict=True):
        assert one.info == other.info and all(map(torch.equal, one.state.theta, other.state.theta))


@pytest.mark.parametrize("shape", [Full(), Tied(), Diagonal(), Spherical()], ids=lambda s: s.name())
@pytest.mark.parametrize("data", [Iris(), Iris(features=("petal width",)), Moons(points=31)], ids=repr)
def test_all_labels_are_maximum_likelihood_class_by_class(data, shape):
    """One M finds means, shares and covariances of the classes (Bishop, 2006, section 4.2.2)."""
    table = data.table()
    count = len(table.label_names)
    em = EM(data=data, components=count, revealed=ALL, covariance=shape, regularizer=FREE)
    theta = run(Job(em, steps=2, seed=3))[2].state.theta
    groups = [table.points[table.labels == k] for k in range(count)]
    share = np.array([len(group) / len(table.points) for group in groups])
    width = table.points.shape[1]
    full = np.stack([np.cov(group.T, bias=True).reshape(width, width) for group in groups])
    shaped = {
        "Full": full,
        "Tied": np.stack([np.einsum("k,kij", share, full)] * count),
        "Diagonal": full * np.eye(width),
        "Spherical": np.trace(full, axis1=1, axis2=2)[:, None, None] / width * np.eye(width),
    }[shape.name()]
    np.testing.assert_allclose(theta.weights, share, rtol=1e-12)
    np.testing.assert_allclose(theta.means, [group.mean(0) for group in groups], rtol=1e-12)
    np.testing.assert_allclose(theta.covariances, shaped, rtol=1e-10, atol=1e-14)
    ended = run(Job(em, steps=20, seed=3))
    assert len(ended) == 5 and ended[-1].info.rise == pytest.approx(0.0, abs=1e-9)  # E, M; E, M: no more


@pytest.mark.parametrize("scheme", [KMeans(), SoftKMeans(stiffness=5.0)], ids=lambda s: s.name())
def test_all_labels_are_class_means_for_balls(scheme):
    table = Iris().table()
    theta = run(Job(EM(scheme=scheme, revealed=ALL), steps=2))[2].state.theta
    np.testing.assert_allclose(theta.means, [table.points[table.labels == k].mean(0) for k in range(3)])


# ---- in between ----


@pytest.mark.parametrize("scheme", list(each(Scheme)), ids=lambda s: s.name())
@pytest.mark.parametrize("shape", list(each(Covariance)), ids=lambda s: s.name())
def test_every_number_is_that_of_scipy(scheme, shape):
    em = EM(data=SMALL, components=4, scheme=scheme, covariance=shape, revealed=4, tolerance=0.0)
    points, shown = SMALL.table().points, revealed(SMALL, 4)
    for snapshot in run(Job(em, steps=7, seed=5)):
        state, info = snapshot.state, snapshot.info
        evidence, posterior = known(state.theta, points, shown)
        resp = responsibilities(state.theta_q, em.known()).resp.numpy()
        assert np.array_equal(resp[shown >= 0], np.eye(4)[shown[shown >= 0]])
        if scheme.closes:
            np.testing.assert_allclose(resp, known(state.theta_q, points, shown)[1], atol=1e-10)
        joint = by_scipy(state.theta, points)
        entropy = scipy.special.entr(resp).sum()
        log_pi = np.log(state.theta.weights.numpy())
        expected = {
            "log_lik": evidence.sum(),
            "elbo": (resp * joint).sum() + entropy,
            "kl": scipy.special.rel_entr(resp, posterior).sum(),
            "joint": (resp * joint).sum(),
            "entropy": entropy,
            "likelihood": (resp * (joint - log_pi)).sum(),
            "kl_prior": scipy.special.rel_entr(resp, np.exp(log_pi)).sum(),
        }
        for name, value in expected.items():
            assert getattr(info, name) == pytest.approx(value, rel=1e-9, abs=1e-7), (name, snapshot.step)
        assert info.elbo + info.kl == pytest.approx(info.log_lik, rel=1e-10)
        if info.moved == "E" and scheme.closes:
            assert info.kl == pytest.approx(0.0, abs=1e-10)


@given(
    shown=st.integers(1, 12), extra=st.integers(0, 3), seed=st.integers(0, 999),
    data=st.sampled_from([SMALL, CrossedEllipses(points=60), Iris(), ThreeInARow(points=45)]),
    scheme=st.sampled_from([s for s in each(Scheme) if s.closes]),
    shape=st.sampled_from(list(each(Covariance))),
)  # fmt: skip
@settings(max_examples=40)
def test_no_half_step_lowers_the_likelihood_or_the_bound(shown, extra, seed, data, scheme, shape):
    count = len(data.table().label_names) + extra
    em = EM(data=data, components=count, revealed=shown, scheme=scheme, covariance=shape)
    infos = [snapshot.info for snapshot in run(Job(em, steps=16, seed=seed))]
    for before, after in itertools.pairwise(infos):
        slack = 1e-9 * abs(before.log_lik)
        assert after.elbo >= before.elbo - slack and after.log_lik >= before.log_lik - slack
        assert after.elbo <= after.log_lik + slack


def test_labels_in_chunks_are_labels(monkeypatch):
    job = Job(EM(revealed=5, components=4), steps=12, seed=2)
    whole = run(job)
    monkeypatch.setattr(mixtures, "CHUNK", 200)
    assert len(mixtures.chunks(job.algorithm.known(), 4)) == 6
    for one, other in zip(run(job), whole, strict=True):
        np.testing.assert_allclose(one.info[2:9], other.info[2:9], rtol=1e-10, atol=1e-8)
        np.testing.assert_allclose(one.state.theta.means, other.state.theta.means, rtol=1e-9)


def test_a_pass_with_labels_is_not_taken_for_one_without():
    points = torch.tensor(SMALL.table().points)
    theta = run(Job(EM(data=SMALL), steps=2))[2].state.theta
    labels = torch.tensor(revealed(SMALL, 3))
    alone, told = evaluate(theta, points), evaluate(theta, Data(points, labels))
    assert evaluate(theta, points) is alone and evaluate(theta, Data(points, labels)) is told
    assert not torch.equal(alone.log_density, told.log_density)
    labels[:] = -1  # another version of the same tensor
    assert torch.equal(evaluate(theta, Data(points, labels)).log_density, alone.log_density)


# ---- summaries and pictures ----


@pytest.fixture(scope="module")
def told():
    return run(Job(EM(revealed=3, components=4, tolerance=0.0), steps=9, seed=1))


def test_summaries_know_the_labels(told):
    shown, table = revealed(Iris(), 3), Iris().table()
    made = summaries.responsibilities(told)
    for resp, snapshot, score, counts in zip(
        made, told, summaries.adjusted_rand(told), summaries.counts(told), strict=True
    ):
        expected = known(snapshot.state.theta_q, table.points, shown)[1]
        np.testing.assert_allclose(resp, expected, atol=1e-9)
        np.testing.assert_allclose(counts, expected.sum(0), rtol=1e-9)
        rand = sklearn.metrics.adjusted_rand_score(table.labels, expected.argmax(1))
        assert score == pytest.approx(rand, abs=1e-12)
    rows = np.flatnonzero(shown >= 0)[:2]
    some = summaries.responsibilities_of(told, rows)
    assert np.array_equal(some[3], np.eye(4)[shown[rows]]) and np.array_equal(some[2:5][1], some[3])
    assert some.key(1) != summaries.responsibilities_of(run(Job(told.job.algorithm, 1)), rows).key(1)


@pytest.mark.parametrize("component", [0, 3])
def test_the_curve_over_a_mean_is_the_likelihood_there(told, component):
    shown, points = revealed(Iris(), 3), Iris().table().points
    made = summaries.bound_curve(told, component, 1, count=9)
    for t in (0, 3, 8):
        theta = told[t].state.theta
        q = known(told[t].state.theta_q, points, shown)[1]
        for g in (0, 4, 8):
            moved = theta.means.clone()
            moved[component, 1] = made.grid[g]
            moved = theta._replace(means=moved)
            height = known(moved, points, shown)[0].mean()
            assert made.curve[t, g] == pytest.approx(height, rel=1e-9)
            bound = ((q * by_scipy(moved, points)).sum() + scipy.special.entr(q).sum()) / len(points)
            assert made.bound[t, g] == pytest.approx(bound, rel=1e-8)


@pytest.mark.parametrize("features", [("petal length", "sepal width"), ("petal length",)])
def test_a_revealed_point_has_a_mark_and_says_so(features):
    trace = run(Job(EM(data=Iris(features=features), revealed=2), steps=2))
    shown = revealed(Iris(), 2)
    figure = em_films.picture(trace, (0, len(features) - 1), dark=False).at(2)
    (marks,) = [one for one in figure.data if one.marker.symbol == "diamond"]
    rows = np.flatnonzero(shown >= 0)
    assert list(marks.x) == Iris().table().points[rows, 0].tolist()
    assert list(marks.marker.color) == [tokens(False).categories[k] for k in shown[rows]]
    names = Iris().table().label_names
    assert [text.split("<br>")[1] for text in marks.hovertext] == [
        f"label revealed: {names[k]}" for k in shown[rows]
    ]
    said = em_films.alt(trace)
    assert "6 of 150 labels are revealed (diamonds)" in said
    assert "revealed" not in em_films.alt(run(Job(EM(), steps=1)))


def test_dense_pictures_say_it_in_words_alone():
    trace = run(Job(EM(data=Blobs(points=20_001), components=4, revealed=3), steps=1))
    figure = em_films.picture(trace, (0, 1), dark=False).at(0)
    assert not [one for one in figure.data if one.marker.symbol == "diamond"]
    assert "12 of 20,001 labels are revealed: " in em_films.told(trace)
    fewer = run(Job(EM(data=Blobs(points=5000), components=4, revealed=3), steps=1))
    figure = em_films.picture(fewer, (0, 1), dark=False).at(0)
    (marks,) = [one for one in figure.data if one.marker.symbol == "diamond"]
    assert len(marks.x) == 12  # though most of the points are not drawn


# ---- other names ----


@pytest.mark.parametrize("scheme", [one for one in each(Scheme) if one.closes], ids=lambda s: s.name())
@pytest.mark.parametrize("start", [KMeansPlusPlus(), ByHand(centres=((1.5, 3.4),))], ids=lambda s: s.name())
def test_other_names_change_nothing_else(scheme, start):
    settings = dict(components=4, scheme=scheme, start=start, tolerance=0.0)
    plain = run(Job(EM(**settings), steps=12, seed=4))
    for number in (1, 2, 77):
        em = EM(**settings, relabel=number)
        order = em._names()
        other = run(Job(em, steps=12, seed=4))
        assert sorted(order.tolist()) == [0, 1, 2, 3] != order.tolist() and len(other) == len(plain)
        for one, two in zip(other, plain, strict=True):
            assert one.info[:2] == two.info[:2] and one.info.collapsed == two.info.collapsed
            np.testing.assert_allclose(one.info[2:9], two.info[2:9], rtol=1e-12, atol=1e-10)
            for mine, theirs in zip(one.state.theta, two.state.theta, strict=True):
                np.testing.assert_allclose(mine, theirs[order], rtol=1e-9, atol=1e-12)


def test_names_are_never_as_they_were():
    for count, number in itertools.product((2, 3, 7, 20), range(1, 40)):
        order = EM(components=count, relabel=number)._names().tolist()
        assert sorted(order) == list(range(count)) != order
    assert len({tuple(EM(relabel=number)._names().tolist()) for number in range(1, 99)}) == 5
    assert EM(components=1, relabel=9) == EM(components=1)
    assert EM(revealed=1, relabel=9) == EM(revealed=1)
    assert EM(scheme=KMeans(), relabel=9) == EM(
        scheme=KMeans()
    )  # the earlier of two equally near centres wins
    assert EM(relabel=9) != EM() and EM(relabel=9).relabel == 9


# ---- scenes ----


def scene(name):
    (found,) = [one for one in SCENES if one.name == name]
    return found


def ended(em: EM):
    return run(Job(em, steps=400))


def per_point(value: float) -> str:
    return f"{value / 150:.2f}".replace("-", "−")


def test_the_scene_of_two_labels_says_what_is_so():
    two, four = (ended(EM(revealed=number)) for number in (2, 4))
    reason = scene("two-labels").reason
    assert f"ARI {summaries.adjusted_rand(two)[-1]:.2f}." in reason
    assert f"it is {summaries.adjusted_rand(four)[-1]:.2f}:" in reason
    points = torch.tensor(Iris().table().points)
    preferred = log_density(two[-1].state.theta, points).sum()
    species = log_density(ended(EM(revealed=ALL))[-1].state.theta, points).sum()
    assert f"{per_point(float(preferred))} nats per point" in reason
    assert f"have {per_point(float(species))}:" in reason
    assert scene("two-labels").link["revealed"] == "2"


def test_the_scene_of_other_names_says_what_is_so():
    told = scene("permuted")
    em = EM(relabel=1)
    assert em._names()[:2].tolist() == [2, 0]  # what was 3 is called 1, what was 1 is called 2
    assert "3 is now called 1, and 1 is called 2" in told.question
    heights = {f"{ended(EM(relabel=number))[-1].info.log_lik / 150:.4f}" for number in range(20)}
    assert [f"−{height[1:]} nats" in told.reason for height in heights] == [True]
    assert told.link["relabel"] == "1"


def test_generalized_em_with_labels_goes_part_of_the_way():
    em = EM(revealed=ALL, scheme=GeneralizedEM(part=0.5), regularizer=FREE)
    first = run(Job(em, steps=0))[0].state.theta
    theta = run(Job(em, steps=2))[2].state.theta
    table = Iris().table()
    best = np.stack([table.points[table.labels == k].mean(0) for k in range(3)])
    np.testing.assert_allclose(theta.means, (first.means.numpy() + best) / 2, rtol=1e-12)  # equal shares
