"""Sample weights: whole ones are repeated rows, in every number; others are in proportion."""

import hashlib
import json

import hypothesis.strategies as st
import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings

from lvmviz import (
    EM,
    Added,
    Blobs,
    ByHand,
    Diagonal,
    Floor,
    GeneralizedEM,
    Job,
    KMeans,
    KMeansPlusPlus,
    RandomPoints,
    SoftKMeans,
    Spherical,
    Stored,
    Tied,
    mixtures,
    own_data,
    run,
)
from lvmviz.algorithms.em import TooFewPoints
from lvmviz.core import each, fold_in
from lvmviz.datasets import revealed
from lvmviz.mixtures import Data, GaussianMixtureParams
from lvmviz.starts import Start
from lvmviz.summaries import em as summaries
from lvmviz.tables import Table, TableError, read_table, to_csv
from lvmviz.ui import em_films

CENTRES = ((-2.0, 0.0), (2.0, 1.0), (0.0, 3.0))
SETTINGS = {
    "EM": {},
    "tied": {"covariance": Tied()},
    "diagonal": {"covariance": Diagonal()},
    "spherical": {"covariance": Spherical()},
    "added": {"regularizer": Added(amount=1e-3)},
    "floor": {"regularizer": Floor(amount=0.1)},
    "generalized": {"scheme": GeneralizedEM()},
    "soft k-means": {"scheme": SoftKMeans()},
    "k-means": {"scheme": KMeans()},
}


def points_of(count: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.array(CENTRES)[np.arange(count) % 3] + rng.standard_normal((count, 2)) * [1.0, 0.5]


def stored(points, weights=None, labels=None) -> Stored:
    names = () if labels is None else tuple("abc"[: int(np.max(labels)) + 1])
    columns = tuple("xyz"[: points.shape[1]])
    return Stored(digest=own_data.put(Table(points, columns, labels, names, (), weights)))


def weighted(count: int = 60, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points, whole weights of which some are 0, and labels."""
    weights = np.random.default_rng(seed + 1).integers(0, 5, count)
    return points_of(count, seed), weights, np.arange(count) % 3


def pair(settings: dict, steps: int, labels: bool = False):
    """A run on weighted rows, and one on rows that are there as often."""
    points, weights, groups = weighted()
    told = groups if labels else None
    many = None if told is None else np.repeat(told, weights)
    data = (stored(points, weights.astype(float), told), stored(np.repeat(points, weights, 0), None, many))
    settings = {"start": ByHand(centres=CENTRES), "tolerance": 0.0, "revealed": 500 * labels} | settings
    return [run(Job(EM(data=one, **settings), steps=steps)) for one in data]


# ---- the same as repeated rows ----


@pytest.mark.parametrize("name", SETTINGS)
def test_whole_weights_are_repeated_rows_in_every_number(home, name):
    one, other = pair(SETTINGS[name], steps=16)
    assert len(one) == len(other)
    for mine, theirs in zip(one, other, strict=True):
        assert mine.info[:2] == theirs.info[:2]
        np.testing.assert_allclose(mine.info[2:10], theirs.info[2:10], rtol=1e-10, atol=1e-9)
        for a, b in zip(mine.state.theta, theirs.state.theta, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(summaries.counts(one), summaries.counts(other), rtol=1e-9, atol=1e-9)
    for mine, theirs in zip(summaries.decompositions(one), summaries.decompositions(other), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-10, atol=1e-11)
    # the curves' grids hang on the points' spread and on the first point
    varied = [summaries.bound_curve(trace, 1, 0) for trace in (one, other)]
    np.testing.assert_allclose(varied[0].curve_at, varied[1].curve_at, rtol=1e-10)
    np.testing.assert_allclose(varied[0].bound_at, varied[1].bound_at, rtol=1e-10)


def test_whole_weights_are_repeated_rows_where_labels_are_shown(home):
    one, other = pair({}, steps=6, labels=True)
    assert one.job.algorithm.revealed == 500
    for mine, theirs in zip(one, other, strict=True):
        np.testing.assert_allclose(mine.info[2:10], theirs.info[2:10], rtol=1e-10, atol=1e-9)
    points, weights, groups = weighted()
    for k in range(3):
        mean = np.average(points[groups == k], 0, weights[groups == k])
        np.testing.assert_allclose(one[2].state.theta.means[k], mean, rtol=1e-12)
        np.testing.assert_allclose(one[0].state.theta.means[k], mean, rtol=1e-12)


def test_a_run_ends_where_that_on_repeated_rows_ends(home):
    lengths = {len(trace) for trace in pair({"tolerance": 1e-4}, steps=400)}
    assert len(lengths) == 1 and lengths.pop() < 400


@given(
    weights=st.lists(st.integers(0, 4), min_size=12, max_size=30).filter(lambda w: sum(map(bool, w)) > 3),
    labelled=st.booleans(), chunk=st.sampled_from([36, 10**6]), seed=st.integers(0, 99),
)  # fmt: skip
@settings(max_examples=40)
def test_sums_over_weighted_points_are_sums_over_repeated_points(weights, labelled, chunk, seed):
    rng = np.random.default_rng(seed)
    times = torch.tensor(weights)
    x = torch.tensor(points_of(len(weights), seed))
    labels = torch.tensor(rng.integers(-1, 3, len(weights))) if labelled else None
    again = None if labels is None else labels.repeat_interleave(times)
    few, many = Data(x, labels, times.double()), Data(x.repeat_interleave(times, 0), again)
    theta, theta_q = theta_of(rng), theta_of(rng)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mixtures, "CHUNK", chunk)
        made = [
            (
                mixtures.decompose_at(theta, theta_q, data),
                mixtures.total_log_density(theta, data),
                mixtures.counts_at(theta_q, data),
                *mixtures.maximum_at(theta_q, data),
            )
            for data in (few, many)
        ]
    for one, other in zip(*made, strict=True):
        mine, theirs = (torch.as_tensor(part, dtype=torch.float64).numpy() for part in (one, other))
        np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-9)


def theta_of(rng: np.random.Generator) -> GaussianMixtureParams:
    root = rng.standard_normal((3, 2, 2))
    parts = (
        rng.dirichlet(np.ones(3)),
        rng.standard_normal((3, 2)) * 2,
        root @ root.swapaxes(1, 2) + 0.3 * np.eye(2),
    )
    return GaussianMixtureParams(*map(torch.tensor, parts))


# ---- other weights ----


@pytest.mark.parametrize("scale", [1e-12, 0.37, 1e9])
def test_in_another_unit_the_weights_say_the_same(home, scale):
    points, weights, _ = weighted()
    settings = {"start": ByHand(centres=CENTRES), "tolerance": 1e-6}
    one, other = (
        run(Job(EM(data=stored(points, weights * unit), **settings), steps=300)) for unit in (1.0, scale)
    )
    assert abs(len(one) - len(other)) <= 2
    for mine, theirs in list(zip(one, other, strict=False))[::7]:
        np.testing.assert_allclose(mine.state.theta.means, theirs.state.theta.means, rtol=1e-8)
        np.testing.assert_allclose(mine.state.theta.weights, theirs.state.theta.weights, rtol=1e-8)
        assert theirs.info.log_lik / scale == pytest.approx(mine.info.log_lik, rel=1e-9)
    per_point = [summaries.decompositions(trace)[5] for trace in (one, other)]
    np.testing.assert_allclose(*per_point, rtol=1e-9, atol=1e-11)


def test_a_row_that_does_not_count_is_not_there(home):
    points, weights, _ = weighted()
    far = np.vstack([points, [[1e15, -1e15]]])
    one, other = (
        run(Job(EM(data=stored(*given), start=ByHand(centres=CENTRES)), steps=30))
        for given in ((points, weights.astype(float)), (far, np.append(weights, 0).astype(float)))
    )
    for mine, theirs in zip(one, other, strict=True):
        np.testing.assert_allclose(mine.info[2:9], theirs.info[2:9], rtol=1e-12, atol=1e-12)
    for seed in range(20):
        for start in (RandomPoints(), KMeansPlusPlus()):
            made = run(Job(EM(data=other.job.algorithm.data, start=start), steps=0, seed=seed))
            assert float(made[0].state.theta.means.abs().max()) < 1e3


def test_only_points_that_count_can_start(home):
    weights = np.array([1.0, 0.0, 2.0, 0.0, 0.0])
    with pytest.raises(TooFewPoints, match="2 points cannot start 3") as refused:
        run(Job(EM(data=stored(points_of(5), weights)), steps=1))
    assert refused.value.most == 2
    assert set(
        np.flatnonzero(revealed(stored(points_of(5), weights, np.array([0, 0, 1, 1, 1])), 9) >= 0)
    ) == {
        0,
        2,
    }


@pytest.mark.parametrize("start", list(each(Start)), ids=lambda s: s.name())
def test_starts_draw_in_proportion_to_weight(start):
    x, weights = torch.tensor(points_of(6)), torch.tensor([1.0, 2.0, 0.0, 3.0, 4.0, 1e-3]).double()
    first = [start.means(fold_in(key, 0), x, 1, weights)[0] for key in range(2000)]
    drawn = np.array([int((x == mean).all(1).nonzero()[0, 0]) for mean in first])
    counts = np.bincount(drawn, minlength=6)
    expected = (weights / weights.sum()).numpy()
    heavy = [0, 1, 3, 4]
    assert counts[2] == 0 and counts[5] <= 5
    shares = expected[heavy] / expected[heavy].sum()
    assert scipy.stats.chisquare(counts[heavy], shares * counts[heavy].sum()).pvalue > 1e-4
    rest = start.means(5, x, 5, weights)
    assert len({tuple(mean) for mean in rest.tolist()}) == 5 and x[2].tolist() not in rest.tolist()


def test_centres_are_spread_in_proportion_to_weight_and_distance():
    """The second centre of k-means++: weight times squared distance from the first."""
    x, weights = torch.tensor([[0.0], [1.0], [3.0]]).double(), torch.tensor([1e-9, 6.0, 1.0]).double()
    second = [KMeansPlusPlus().means(fold_in(key, 0), x, 2, weights).ravel() for key in range(4000)]
    from_one = [float(pair[1]) for pair in second if float(pair[0]) == 1.0]
    assert len(from_one) > 3000 and np.mean(np.array(from_one) == 3.0) > 0.999  # 1 x 4 against 1e-9 x 1


# ---- tables ----

TEXT = "a,Weight,b,kind\n1,2,5,p\n2,0.5,3,q\n4,0,1,p\n"


def test_a_column_headed_as_weights_says_how_often_rows_count():
    for head in ("weight", "Weights", "WEIGHT", " weight "):
        table = read_table(TEXT.replace("Weight", head))
        assert table.columns == ("a", "b") and table.weights.tolist() == [2.0, 0.5, 0.0]
        assert table.total() == 2.5 and not table.weights.flags.writeable
        assert table.points.tolist() == [[1, 5], [2, 3], [4, 1]] and table.label_names == ("p", "q")
        assert any("says how often each row counts" in note for note in table.notes)
    plain = read_table(TEXT.replace("Weight", "weighty"))
    assert plain.columns == ("a", "weighty", "b") and plain.weights is None and plain.total() == 3
    words = read_table("a,weight\n1,heavy\n2,light\n3,heavy\n")
    assert words.weights is None and words.label_names == ("heavy", "light")
    same = read_table("a,weight\n1,3\n2,3\n")
    assert same.weights.tolist() == [3.0, 3.0]  # weights need not differ, features do


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,weight\n1,2\n2,-0.5\n", "Line 3, column “weight”: “-0.5” is negative"),
        ("a,weight\n1,2\n2,x\n3,1\n", "Line 3, column “weight”: “x” is not a number"),
        ("a,weight\n1,2\n2,\n", "Line 3, column “weight”: the cell is empty"),
        ("a,weight\n1,2\n2,inf\n", "Line 3, column “weight”: “inf” is not a finite number"),
        ("a,weight\n1,0\n2,0\n", "“weight” is 0 in every row"),
        ("a,weight\n1,1e99\n2,1\n", "has to lie between 1e-15 and 1e+15"),
        ("a,weight\n1,1e-99\n2,0\n", "has to lie between 1e-15 and 1e+15"),
        ("a,weight,Weights\n1,2,3\n2,3,4\n", "Two columns are headed as weights"),
        ("weight\n1\n2\n", "no column of numbers to fit"),
    ],
)
def test_weights_that_are_none_are_refused(text, said):
    with pytest.raises(TableError) as refused:
        read_table(text)
    assert said in str(refused.value)


def test_a_negative_weight_far_down_is_named_by_its_line():
    rows = ["x,weight"] + [f"{i % 97}.5,{i % 3}" for i in range(30_000)]
    assert read_table("\n".join(rows)).total() == 30_000
    with pytest.raises(TableError, match=r"Line 25002, column “weight”: “-1” is negative"):
        read_table("\n".join([*rows[:25_001], "1,-1", *rows[25_001:]]))


@given(
    weights=st.lists(st.floats(0, 1e15), min_size=2, max_size=8).filter(lambda w: max(w) >= 1e-15),
    labelled=st.booleans(), name=st.sampled_from(["a", "class", "Weight", "weights", "weight 2"]),
)  # fmt: skip
def test_weights_go_into_a_file_and_come_back(home, weights, labelled, name):
    count = len(weights)
    labels = np.arange(count) % 2 if labelled else None
    names = ("p", "q") if labelled else ()
    columns = (name if name.lower() not in ("weight", "weights") else f"{name} as such", "z")
    table = Table(points_of(count), (name, "z"), labels, names, (), np.array(weights))
    back = read_table(to_csv(table))
    kept = own_data.get(own_data.put(table))
    for made, heads in ((back, columns), (kept, table.columns)):
        assert made.weights.tolist() == weights and made.columns == heads and made.label_names == names
        np.testing.assert_array_equal(made.points, table.points)
        assert (made.labels is None) if labels is None else np.array_equal(made.labels, labels)
    assert not kept.weights.flags.writeable


def test_a_table_without_weights_keeps_its_name(home):
    """What was stored before there were weights is found under the same digest, byte for byte."""
    points = np.array([[1.0, 2.0], [3.0, 5.0]])
    head = {"columns": ["a", "b"], "label_names": [], "labelled": False, "shape": [2, 2]}
    line = json.dumps(head, sort_keys=True, separators=(",", ":")).encode()
    content = b"lvmviz table 1\n" + line + b"\n" + points.astype("<f8").tobytes()
    table = Table(points, ("a", "b"), None, (), ())
    digest = own_data.put(table)
    assert digest == hashlib.sha256(content).hexdigest() and own_data.get(digest).weights is None
    assert own_data.put(table._replace(weights=np.array([1.0, 1.0]))) != digest
    assert own_data.labelled(digest) is False and own_data.labelled("0" * 64) is True


# ---- summaries and pictures ----


def test_cells_sum_weights(home):
    rng = np.random.default_rng(0)
    points, weights = points_of(25_000), rng.exponential(size=25_000)
    trace = run(Job(EM(data=stored(points, weights), components=2), steps=2))
    made = summaries.cells(trace, (0, 1), (20, 15))
    span = list(zip(made.low, made.high, strict=True))
    expected = np.histogram2d(*points.T, bins=(20, 15), range=span, weights=weights)[0]
    assert made.counts.sum() == pytest.approx(weights.sum()) and made.unit == pytest.approx(weights.mean())
    assert np.abs(made.counts - expected).sum() <= 4 * weights.max()
    assert "its opacity the log of its weight" in em_films.told(trace)
    assert em_films.picture(trace, (0, 1), dark=False).at(1).layout.images


def test_a_histogram_of_weighted_points_is_a_density(home):
    weights = np.where(np.arange(25_000) % 2, 0.01, 3.0)
    data = stored(points_of(25_000), weights)
    trace = run(Job(EM(data=Stored(digest=data.digest, features=("x",)), components=2), steps=2))
    (bars,) = [one for one in em_films.picture(trace, (0, 0), dark=True).at(0).data if one.type == "bar"]
    assert float(np.sum(bars.y) * bars.width) == pytest.approx(1.0)
    assert all(text.startswith("weight ") for text in bars.hovertext)


@pytest.mark.parametrize("features", [("x", "y"), ("x",)])
def test_marks_have_areas_like_weights(home, features):
    points, weights = points_of(30), np.linspace(0.5, 2.0, 30)
    weights[3], weights[4] = 1e6, 0.0
    weights[:3] = 1e5
    data = Stored(digest=stored(points, weights).digest, features=features)
    trace = run(Job(EM(data=data, components=2), steps=1))
    figure = em_films.picture(trace, (0, len(features) - 1), dark=False).at(0)
    (marks,) = [one for one in figure.data if one.hovertext is not None and len(one.x) == 30]
    size = np.array(marks.marker.size)
    assert size[3] == size.max() <= 14 * 3 and size[4] == size.min() > 2.5
    assert marks.hovertext[3].endswith("weight 1e+06") and marks.hovertext[4].endswith("weight 0")
    share = (size[0] / size[3]) ** (2 if len(features) == 2 else 1)
    assert 0.05 < share < 0.8  # 0.1, but for the limits
    assert "a row counts as often as its weight says" in em_films.told(trace).lower()


def test_areas_are_in_proportion_within_the_limits(home):
    weights = np.linspace(0.5, 2.0, 30)
    trace = run(Job(EM(data=stored(points_of(30), weights), components=2), steps=1))
    figure = em_films.picture(trace, (0, 1), dark=False).at(0)
    (marks,) = [one for one in figure.data if one.hovertext is not None and len(one.x) == 30]
    area = np.array(marks.marker.size) ** 2
    np.testing.assert_allclose(area / area[0], weights / weights[0], rtol=0.01)


def test_data_without_weights_have_none():
    assert EM().known().weights is None and EM(data=Blobs()).known().labels is None
    assert EM(data=Blobs()).data.table().total() == 300
