"""Many points: the same numbers in bounded memory, and pictures of a sample or of counts that say so."""

import base64
import hashlib
import io
import json
import subprocess
import sys

import numpy as np
import pytest
import scipy.stats
import torch
from PIL import Image

from lvmviz import EM, VI, Blobs, Iris, Job, Stored, mixtures, own_data, run
from lvmviz.figures import mixtures as figures
from lvmviz.figures import theme
from lvmviz.figures.mixture_points import heights, png
from lvmviz.kept import kept
from lvmviz.mixtures import GaussianMixtureParams, decompose, maximum, responsibilities
from lvmviz.objectives import IWAE
from lvmviz.runs.job import Trace
from lvmviz.summaries import em as summaries
from lvmviz.tables import Table
from lvmviz.ui import em_films

MANY = Blobs(points=30_000, clusters=5)


def theta_of(points, count, seed=0):
    """A theta somewhere among the points."""
    rng = np.random.default_rng(seed)
    width = points.shape[1]
    root = rng.standard_normal((count, width, width))
    scale = points.std(0).mean() ** 2
    sigma = scale * (root @ root.transpose(0, 2, 1) / width + 0.2 * np.eye(width))
    means = points[rng.choice(len(points), count)]
    return GaussianMixtureParams(*map(torch.tensor, (rng.dirichlet(np.ones(count)), means, sigma)))


@pytest.fixture(scope="module")
def trace():
    """A run on more points than are drawn one by one; it ends with an E-step."""
    return run(Job(EM(data=MANY, components=5, tolerance=0.0), steps=9, seed=1))


@pytest.fixture(scope="module")
def wide(home):
    """A run on three own columns, and the same data in one column."""
    points = np.random.default_rng(3).standard_normal((25_000, 3)) * [1.0, 2.0, 0.5]
    points[:9000] += [4.0, 1.0, 3.0]
    points[:, 1] += 0.8 * points[:, 0]
    digest = own_data.put(Table(points, ("a", "b", "c"), None, (), ()))
    three = run(Job(EM(data=Stored(digest=digest), components=2), steps=6))
    return three, run(Job(EM(data=Stored(digest=digest, features=("a",)), components=2), steps=6))


# ---- data ----


def test_blobs_are_what_they_were():
    """The sets that links and scenes name keep their bits now that there may be a million points."""
    named = (Blobs(), Blobs(points=20, clusters=1, spread=1.0), Blobs(points=5000, clusters=12, seed=9))
    told = [hashlib.sha256(data.table().points.tobytes()).hexdigest()[:16] for data in named]
    assert told == ["64191e1b23061728", "0861911bd385d48f", "dd3f31e3d6bbb035"]
    assert Blobs(points=1_000_000).table().points.shape == (1_000_000, 2)


def test_what_is_kept_stays_within_its_bytes():
    made = []

    @kept(10, len)
    def text(letter, count):
        made.append(letter)
        return letter * count

    assert [text("a", 4), text("b", 4), text("a", 4)] == ["aaaa", "bbbb", "aaaa"] and made == ["a", "b"]
    text("c", 4)  # b was asked for longest ago
    assert text("a", 4) == "aaaa" and made == ["a", "b", "c"]
    text("b", 4)
    assert made == ["a", "b", "c", "b"]
    assert text("d", 99) == "d" * 99 and text("d", 99) and made[-2:] == ["b", "d"]


# ---- one pass, in chunks ----


@pytest.mark.parametrize(("width", "count", "offset"), [(2, 4, 0.0), (1, 1, 0.0), (3, 20, 0.0), (2, 3, 1e5)])
def test_chunks_change_no_number(monkeypatch, width, count, offset):
    points = np.random.default_rng(width).standard_normal((3000, width)) * np.arange(1, width + 1) + offset
    theta, theta_q, x = theta_of(points, count), theta_of(points, count, 1), torch.tensor(points)
    q = responsibilities(theta_q, x)
    whole, best = decompose(theta, q, x), maximum(q, x)
    monkeypatch.setattr(mixtures, "CHUNK", 700)
    assert len(mixtures.chunks(x, count)) >= 5
    assert mixtures.decompose_at(theta, theta_q, x) == pytest.approx(whole, rel=1e-12, abs=1e-9)
    spread = points.std()
    for part, expected in zip(mixtures.maximum_at(theta_q, x), best, strict=True):
        np.testing.assert_allclose(part, expected, rtol=1e-11, atol=1e-11 * spread**2)


def test_an_m_step_in_chunks_is_numpys_weighted_covariance(monkeypatch):
    monkeypatch.setattr(mixtures, "CHUNK", 5000)
    rng = np.random.default_rng(0)
    points = np.sort(rng.standard_normal((4000, 2)), 0) + 1e6  # sorted: each chunk is another place
    theta = theta_of(points, 3)
    resp = responsibilities(theta, torch.tensor(points)).resp.numpy()
    made = mixtures.maximum_at(theta, torch.tensor(points))
    for k in range(3):
        np.testing.assert_allclose(made.weights[k], resp[:, k].mean(), rtol=1e-12)
        np.testing.assert_allclose(made.means[k], np.average(points, 0, resp[:, k]), rtol=1e-14)
        sigma = np.cov((points - 1e6).T, aweights=resp[:, k], bias=True)
        np.testing.assert_allclose(made.covariances[k], sigma, rtol=1e-8, atol=1e-10)


def test_a_component_without_points_stays_finite_in_chunks(monkeypatch):
    monkeypatch.setattr(mixtures, "CHUNK", 300)
    points = torch.tensor(np.random.default_rng(0).standard_normal((900, 2))) + 1e8
    far = theta_of(points.numpy(), 2)._replace(means=torch.stack([points[0], points[0] + 1e7]))
    far = far._replace(covariances=torch.eye(2, dtype=torch.float64).expand(2, -1, -1).clone())
    made = mixtures.maximum_at(far, points)
    assert all(bool(part.isfinite().all()) for part in made)
    np.testing.assert_allclose(made.covariances[0], np.cov(points.numpy().T, bias=True), atol=1e-7)


@pytest.mark.parametrize("rows", [1, 65, 66, 131, 150])
def test_chunks_are_all_the_points_in_order(monkeypatch, rows):
    points = torch.arange(2.0 * rows).reshape(-1, 2)
    monkeypatch.setattr(mixtures, "CHUNK", 66 * 3 * 2)
    parts = mixtures.chunks(points, 3)
    assert torch.equal(torch.cat(parts), points) and max(map(len, parts)) <= 66
    assert (parts[0] is points) == (rows <= 66)


def test_em_in_chunks_is_em_and_repeats_to_the_bit(monkeypatch):
    job = Job(EM(data=Iris(), components=3), steps=30, seed=3)
    whole = run(job)
    monkeypatch.setattr(mixtures, "CHUNK", 200)
    parts, again = run(job), run(job)
    assert len(parts) == len(whole)
    for one, other, third in zip(parts, whole, again, strict=True):
        assert one.info == third.info and all(map(torch.equal, one.state.theta, third.state.theta))
        np.testing.assert_allclose(one.info[2:9], other.info[2:9], rtol=1e-10, atol=1e-8)
        np.testing.assert_allclose(one.state.theta.means, other.state.theta.means, rtol=1e-9)


GROWN = """
import resource, torch
torch.set_num_threads(1)
from lvmviz import EM, Blobs
em = EM(data=Blobs(points=1_000_000), components=20)
em._points()
used = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = used()
state, _ = em.init(0)
for step in (1, 2):
    state, info = em.step(step, state)
print((used() - before) // 1024)
"""


def test_a_million_points_need_no_table_of_responsibilities():
    """One table of 1,000,000 x 20 numbers takes 153 MiB, and a pass without chunks holds several."""
    told = subprocess.run([sys.executable, "-c", GROWN], capture_output=True, text=True, check=True)
    assert int(told.stdout) < 120, "MiB beyond the data"


# ---- what is long ----


def test_effort_grows_with_the_work():
    base = EM(data=Blobs(points=1000), components=3).effort()
    assert EM(data=Blobs(points=2000), components=3).effort() == pytest.approx(2 * base)
    assert EM(data=Blobs(points=1000), components=6).effort() == pytest.approx(2 * base)
    assert VI(starts=64).effort() > VI().effort() > 0
    assert VI(objective=IWAE()).effort() > VI().effort()


def test_what_belongs_in_the_background_is_long():
    million = EM(data=Blobs(points=1_000_000), components=4)
    assert Job(million, steps=200).long and not Job(million, steps=1).long
    assert not Job(EM(), steps=1000).long and not Job(VI(), steps=300).long
    assert Job(EM(data=Blobs(points=20_000), components=20), steps=1000).long


# ---- summaries ----


def test_points_per_component_are_those_of_a_pass_over_all(trace):
    points = torch.tensor(summaries.table_points(trace))
    by_pass = [responsibilities(shot.state.theta_q, points).resp.sum(0).numpy() for shot in trace]
    np.testing.assert_allclose(summaries.counts(trace), by_pass, rtol=1e-9, atol=1e-6)
    short = Trace(trace.job, trace[4:5])  # an M-step alone, as a thinned trace has it
    np.testing.assert_allclose(summaries.counts(short), by_pass[4:5], rtol=1e-9, atol=1e-6)


def test_points_per_component_after_a_collapse():
    from lvmviz import Floor

    data = Blobs(points=20, clusters=1, spread=1.0)
    made = run(Job(EM(data=data, components=5, regularizer=Floor(amount=0.0)), steps=200, seed=3))
    assert made[-1].info.collapsed
    points = torch.tensor(summaries.table_points(made))
    by_pass = [responsibilities(shot.state.theta_q, points).resp.sum(0).numpy() for shot in made]
    np.testing.assert_allclose(summaries.counts(made), by_pass, atol=1e-9)


def test_the_bound_of_a_sample_is_exact_where_the_parameter_is(trace):
    made = summaries.bound_curve(trace, 1, 0, count=9)
    points = torch.tensor(summaries.table_points(trace))
    for t, shot in enumerate(trace):
        assert made.curve_at[t] == pytest.approx(shot.info.log_lik / 30_000, rel=1e-12)
        assert made.bound_at[t] == pytest.approx(shot.info.elbo / 30_000, rel=1e-12)
        q = responsibilities(shot.state.theta_q, points)
        for value, curve, bound in zip(made.grid, made.curve[t], made.bound[t], strict=True):
            means = shot.state.theta.means.clone()
            means[1, 0] = value
            terms = decompose(shot.state.theta._replace(means=means), q, points).per(30_000)
            fall = abs(terms.log_evidence - made.curve_at[t]), abs(terms.elbo - made.bound_at[t])
            assert curve == pytest.approx(terms.log_evidence, abs=0.1 * fall[0] + 0.01)
            assert bound == pytest.approx(terms.elbo, abs=0.1 * fall[1] + 0.01)


def test_cells_count_every_point_once(trace, wide):
    for made, axes, shape in ((trace, (0, 1), (31, 17)), (wide[0], (2, 0), (20, 30))):
        points = summaries.table_points(made)[:, list(axes)]
        cells = summaries.cells(made, axes, shape)
        assert cells.counts.sum() == len(points) and cells.counts.shape == shape
        span = list(zip(cells.low, cells.high, strict=True))
        expected = np.histogram2d(*points.T, bins=shape, range=span)[0]
        assert np.abs(cells.counts - expected).sum() <= 4  # points on an edge may go to either side
        assert span == [(points[:, i].min(), points[:, i].max()) for i in (0, 1)]
    line = wide[1]
    one = summaries.cells(line, (0,), (40,))
    expected = np.histogram(summaries.table_points(line)[:, 0], bins=40)[0]
    assert np.abs(one.counts - expected).sum() <= 4


def test_a_cells_colour_is_the_posterior_in_its_middle(wide):
    made, _ = wide
    axes = (2, 0)
    cells = summaries.cells(made, axes, (9, 7))
    lazy = summaries.cell_responsibilities(made, axes, cells)
    width = [(high - low) / n for low, high, n in zip(cells.low, cells.high, (9, 7), strict=True)]
    for t in (0, 3, 6):
        theta = made[t].state.theta_q
        joint = np.stack(
            [
                float(theta.weights[k])
                * scipy.stats.multivariate_normal(
                    theta.means[k].numpy()[list(axes)], theta.covariances[k].numpy()[np.ix_(axes, axes)]
                ).pdf(
                    [
                        (cells.low[0] + (i + 0.5) * width[0], cells.low[1] + (j + 0.5) * width[1])
                        for i, j in zip(*np.nonzero(cells.counts), strict=True)
                    ]
                )
                for k in range(2)
            ],
            1,
        )
        np.testing.assert_allclose(lazy[t], joint / joint.sum(1, keepdims=True), atol=1e-9)


def test_lazy_responsibilities_are_a_sequence(trace):
    rows = np.array([5, 7, 29_999])
    lazy = summaries.responsibilities_of(trace, rows)
    table = summaries.responsibilities(trace, rows)
    assert len(lazy) == len(trace) and lazy[2] is lazy[2]
    np.testing.assert_array_equal(np.stack(list(lazy)), table)
    np.testing.assert_array_equal(lazy[-1], table[-1])
    np.testing.assert_array_equal(np.stack(list(lazy[2:5])), table[2:5])


# ---- pictures ----


def opened(source):
    head, _, body = source.partition(",")
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(body))))


def test_png_is_read_back():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 8, 4)).astype(np.uint8)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png(pixels)))), pixels)


@pytest.mark.parametrize("dark", [False, True])
def test_the_density_has_the_colours_of_q_and_the_opacity_of_its_counts(trace, dark):
    film = em_films.picture(trace, (0, 1), dark)
    assert film.count == len(trace)
    cells = summaries.cells(trace, (0, 1), figures.GRID)
    q = summaries.cell_responsibilities(trace, (0, 1), cells)
    for t in (0, 5):
        figure = film.at(t)
        assert not [line for line in figure.data if line.hovertext is not None], "no point has its own mark"
        (image,) = figure.layout.images
        pixels = opened(image.source)[::-1].swapaxes(0, 1)  # now [x, y], as the counts
        np.testing.assert_array_equal(pixels[..., 3] > 0, cells.counts > 0)
        i, j = np.nonzero(cells.counts)
        assert np.abs(pixels[i, j, :3].astype(int) - theme.mix(q[t], dark)).max() <= 3  # 52 shades
        order = np.argsort(cells.counts[i, j], kind="stable")
        assert np.all(np.diff(pixels[i, j, 3][order].astype(int)) >= 0)
        assert pixels[i, j, 3].max() == 255 and pixels[i, j, 3].min() >= 40
        assert (image.x, image.y) == (cells.low[0], cells.high[1])
        assert image.sizex == pytest.approx(cells.high[0] - cells.low[0])


def test_the_histogram_is_a_density_in_the_colours_of_q(wide):
    _, line = wide
    film = em_films.picture(line, (0, 0), False)
    (bars,) = [part for part in film.at(3).data if part.type == "bar"]
    assert np.sum(bars.y) * bars.width == pytest.approx(1.0)
    cells = summaries.cells(line, (0,), figures.BARS)
    mixed = theme.mix(summaries.cell_responsibilities(line, (0,), cells)[3], False)
    assert list(bars.marker.color) == ["rgb({},{},{})".format(*colour) for colour in mixed.tolist()]
    assert film.at(3).layout.yaxis.range[1] >= np.quantile(heights(cells), 0.98)


def test_films_of_many_points_stay_small():
    """Even where nearly every cell is filled and twelve colours mix: 0.7 MB for 80 frames."""
    data = Blobs(points=100_000, clusters=12, spread=3.0)
    made = run(Job(EM(data=data, components=12, tolerance=0.0), steps=9))
    assert summaries.cells(made, (0, 1), figures.GRID).filled().shape[0] > 4000
    whole, part = (
        len(json.dumps(em_films.picture(shown, (0, 1), False).data())) for shown in (made, made[:4])
    )
    assert whole + (whole - part) / (len(made) - 4) * (80 - len(made)) < 700_000


@pytest.mark.parametrize(
    ("count", "columns", "said"),
    [
        (3000, 2, ""),
        (3001, 2, "3,000 of 3,001 points are drawn"),
        (20_000, 1, "3,000 of 20,000 points are drawn"),
        (20_001, 2, "density"),
        (1_000_000, 3, "from these two columns alone"),
        (1_000_000, 1, "histogram"),
    ],
)
def test_the_page_says_how_points_are_drawn(count, columns, said):
    told = figures.told(count, columns)
    assert said in told and bool(said) == bool(told)


def test_the_picture_says_it_in_words_too(trace):
    assert em_films.told(trace) in em_films.alt(trace) and "30,000" in em_films.told(trace)
    assert em_films.alt(run(Job(EM(), steps=0))).endswith("responsibility")
