"""EM for Bernoulli mixtures by half-steps: against the estimator, sums over all states, closed forms."""

import itertools
import json
import math
import warnings

import hypothesis.strategies as st
import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

from lvmviz import (
    EM,
    Bernoulli,
    BernoulliEM,
    BernoulliMixture,
    BernoulliStart,
    BlurredImages,
    DigitImages,
    Digits,
    Job,
    NearlyAlike,
    Rows,
    Stored,
    StoredImages,
    Trace,
    own_data,
    run,
)
from lvmviz.algorithms.bernoulli_em import TooFewImages
from lvmviz.algorithms.em import TooFewPoints
from lvmviz.bernoulli_mixture import log_prior
from lvmviz.core import each, fold_in
from lvmviz.figures import mean_images, theme
from lvmviz.image_sets import put_images
from lvmviz.images import Images
from lvmviz.summaries import bernoulli as summaries
from lvmviz.summaries import pca_images
from lvmviz.summaries.em import means as gaussian_means
from lvmviz.tables import read_table
from lvmviz.ui import bernoulli_films, em_scenes
from lvmviz.ui.plot import film_text

mpmath.mp.dps = 40
FEW = DigitImages(count=150)


def traced(em: BernoulliEM, steps: int = 60, seed: int = 0) -> Trace:
    return run(Job(em, steps=steps, seed=seed))


@pytest.fixture(scope="module")
def whole() -> Trace:
    """The page's first run, to its end."""
    return traced(BernoulliEM(), 200)


def images_of(rows: np.ndarray) -> StoredImages:
    """Own images (N, H, W) of zeros and ones."""
    return StoredImages(digest=put_images(Images((255 * rows).astype(np.uint8), None)))


# ---- the estimator, from the same start ----


@pytest.mark.parametrize("pseudo_count", [0.0, 0.5])
@pytest.mark.parametrize("seed", [0, 7])
def test_it_takes_the_estimators_steps(seed: int, pseudo_count: float):
    em = BernoulliEM(data=FEW, components=4, pseudo_count=pseudo_count, tolerance=0.0)
    trace = traced(em, 24, seed)
    x = (load_digits().data[:150] / 16 > 0.5).astype(float)
    for iterations in (0, 1, 5, 12):
        oracle = BernoulliMixture(4, alpha=pseudo_count, tol=0.0, max_iter=iterations,
                                  random_state=fold_in(seed, 0) % 2**32)  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            oracle.fit(x)
        state, info = trace[2 * iterations].state, trace[2 * iterations].info
        assert np.allclose(state.theta.means, oracle.means_, rtol=0, atol=1e-12)
        assert np.allclose(state.theta.weights, oracle.weights_, rtol=0, atol=1e-12)
        assert info.log_lik / 150 == pytest.approx(oracle.score(x), abs=1e-10)
        priced = info.log_lik + float(log_prior(state.theta, pseudo_count))
        assert priced / 150 == pytest.approx(oracle.lower_bound_, abs=1e-10)


def test_it_starts_where_the_estimator_starts_to_the_bit():
    x = torch.tensor((load_digits().data / 16 > 0.5).astype(float))
    for key, count in itertools.product((0, 5, 2**40 + 3), (1, 10, 20)):
        oracle = BernoulliMixture(count, max_iter=0, random_state=key % 2**32).fit(x.numpy())
        assert torch.equal(BlurredImages().means(key, x, count), torch.from_numpy(oracle.means_))


@pytest.mark.parametrize("start", list(each(BernoulliStart)), ids=lambda start: type(start).__name__)
def test_starts_are_means_and_differ(start: BernoulliStart):
    x = (torch.rand(30, 12, generator=torch.Generator().manual_seed(0)) > 0.8).double()
    means = start.means(3, x, 5)
    assert means.shape == (5, 12) and bool(((means > 0) & (means < 1)).all())
    assert len({tuple(row) for row in means.tolist()}) == 5
    assert not torch.equal(means, start.means(4, x, 5))


def test_nearly_alike_is_near_the_mean_of_all():
    x = (torch.rand(50, 12, generator=torch.Generator().manual_seed(0)) > 0.5).double()
    for shake in (0.001, 0.5):
        assert float((NearlyAlike(shake=shake).means(0, x, 6) - x.mean(0)).abs().max()) <= shake


# ---- what must hold at every half-step ----


@settings(max_examples=25)
@given(
    seed=st.integers(0, 10_000), rows=st.integers(1, 12), width=st.integers(1, 5), count=st.integers(1, 4),
    ink=st.sampled_from([0.05, 0.5, 0.95]),
)  # fmt: skip
def test_elbo_and_kl_add_up_and_nothing_falls(seed, rows, width, count, ink):
    made = (np.random.default_rng(seed).uniform(size=(rows, 2, width)) < ink).astype(float)
    em = BernoulliEM(data=images_of(made), components=min(count, rows), tolerance=0.0)
    before = None
    for _, _, info in traced(em, 20, seed):
        scale = 1e-9 * max(1.0, abs(info.log_lik), abs(info.elbo))
        assert info.elbo + info.kl == pytest.approx(info.log_lik, abs=scale)
        assert info.joint + info.entropy == pytest.approx(info.elbo, abs=scale)
        assert info.likelihood - info.kl_prior == pytest.approx(info.elbo, abs=scale)
        assert min(info.kl, info.entropy, info.kl_prior) >= -scale and info.collapsed == 0
        if before is not None:
            assert info.log_lik >= before.log_lik - scale and info.elbo >= before.elbo - scale
            assert info.rise == pytest.approx(info.log_lik - before.log_lik, abs=scale)
        if info.moved == "E":
            assert abs(info.kl) <= scale and info.rise == pytest.approx(0.0, abs=scale)
        before = info


@settings(max_examples=15)
@given(seed=st.integers(0, 10_000), pseudo_count=st.sampled_from([0.01, 1.0, 100.0]))
def test_with_pseudo_counts_the_sum_with_the_prior_never_falls(seed, pseudo_count):
    made = (np.random.default_rng(seed).uniform(size=(9, 2, 3)) < 0.3).astype(float)
    em = BernoulliEM(data=images_of(made), components=3, pseudo_count=pseudo_count, tolerance=0.0)
    sums = [
        info.log_lik + float(log_prior(state.theta, pseudo_count)) for _, state, info in traced(em, 20, seed)
    ]
    assert all(now >= was - 1e-9 * abs(was) for was, now in itertools.pairwise(sums))


def test_with_pseudo_counts_log_p_alone_may_fall_and_it_still_ends():
    """Why the page says so; and why the end is not called by log p(X)."""
    em = BernoulliEM(data=FEW, components=3, pseudo_count=100.0)
    trace = traced(em, 400)
    assert min(info.rise for _, _, info in trace) < -1.0
    assert 4 < len(trace) < 400 and em.finished(trace[-1].state, trace[-1].info)
    means = trace[-1].state.theta.means
    assert float(means.min()) > 0.2 and float(means.max()) < 0.8  # 100 images of each against 150 in all


def test_the_half_steps_take_turns_and_move_what_they_say(whole: Trace):
    assert [info.moved for _, _, info in whole][:5] == ["start", "E", "M", "E", "M"]
    assert [info.iteration for _, _, info in whole][:5] == [0, 1, 1, 2, 2]
    for was, now in itertools.pairwise(whole[:9]):
        theta_stays = all(map(torch.equal, was.state.theta, now.state.theta))
        q_stays = all(map(torch.equal, was.state.theta_q, now.state.theta_q))
        assert (theta_stays, q_stays) == ((True, False) if now.info.moved == "E" else (False, True))
    assert whole[-1].info.rise < 1e-5 * 1797 <= whole[-3].info.rise


def test_before_the_first_e_step_q_knows_nothing(whole: Trace):
    resp = summaries.bernoulli_em(whole).q(whole[0].state).resp
    assert torch.allclose(resp, torch.full_like(resp, 0.1), rtol=0, atol=1e-12)
    assert whole[0].info.entropy == pytest.approx(1797 * math.log(10), rel=1e-12)
    assert whole[0].info.rise == 0.0


# ---- tiny data, all states ----


def test_log_p_and_elbo_against_sums_over_every_assignment():
    """3 rows, 2 components: every one of the 2^3 assignments in 40 digits."""
    rows = np.array([[[1.0, 0.0]], [[1.0, 1.0]], [[0.0, 0.0]]])
    em = BernoulliEM(data=images_of(rows), components=2, tolerance=0.0)
    for _, state, info in traced(em, 5, seed=2):
        weights, means = ([mpmath.mpf(v) for v in part.flatten().tolist()] for part in state.theta)
        joint = [[weights[k] * mpmath.fprod(means[2 * k + d] if x else 1 - means[2 * k + d]
                                            for d, x in enumerate(row)) for k in range(2)]
                 for row in rows[:, 0]]  # fmt: skip
        q = em.q(state).resp.tolist()
        p = elbo = mpmath.mpf(0)
        for z in itertools.product(range(2), repeat=3):
            both = mpmath.fprod(joint[n][k] for n, k in enumerate(z))
            chance = mpmath.fprod(mpmath.mpf(q[n][k]) for n, k in enumerate(z))
            p += both
            elbo += chance * (mpmath.log(both) - mpmath.log(chance)) if chance and both else 0
        assert info.log_lik == pytest.approx(float(mpmath.log(p)), abs=1e-12)
        assert info.elbo == pytest.approx(float(elbo), abs=1e-12)


def test_one_component_is_the_share_of_ink():
    x = (load_digits().data / 16 > 0.5).astype(float)
    trace = traced(BernoulliEM(components=1), 20)
    share = x.mean(0)
    assert np.allclose(trace[-1].state.theta.means[0], share, rtol=0, atol=1e-12)
    inked = share[(share > 0) & (share < 1)]
    entropy = -(inked * np.log(inked) + (1 - inked) * np.log1p(-inked)).sum()
    assert trace[-1].info.log_lik / 1797 == pytest.approx(-entropy, rel=1e-12)
    assert trace[-1].info.kl == trace[-1].info.entropy == 0.0
    priced = traced(BernoulliEM(components=1, pseudo_count=2.0), 20)[-1].state.theta.means[0]
    assert np.allclose(priced, (x.sum(0) + 2.0) / (1797 + 4.0), rtol=0, atol=1e-12)


def test_a_component_that_loses_all_its_images_stays_a_number():
    """Two kinds of rows, four components: some end with no weight, and nothing becomes NaN."""
    rows = np.repeat([[[1.0, 1.0, 0.0, 0.0]], [[0.0, 0.0, 1.0, 1.0]]], 10, axis=0)
    trace = traced(BernoulliEM(data=images_of(rows), components=4, tolerance=0.0), 40)
    last = trace[-1]
    assert last.info.log_lik / 20 == pytest.approx(-math.log(2), abs=1e-9)
    assert float(last.state.theta.weights.sum()) == pytest.approx(1.0)
    assert all(bool(part.isfinite().all()) for part in last.state.theta)
    assert all(math.isfinite(v) for v in last.info if not isinstance(v, str))
    assert json.loads(film_text(bernoulli_films.picture(trace, 3, False), 1.0))["count"] == len(trace)


@pytest.mark.parametrize("threshold", [0.0, 0.5, 1.0])
def test_the_threshold_decides_what_is_on(threshold: float):
    em = BernoulliEM(data=FEW, components=2, threshold=threshold)
    told = em.rows().x.numpy()
    assert (told == (load_digits().data[:150] > 16 * threshold)).all()
    trace = traced(em, 6)
    assert abs(trace[-1].info.log_lik) < 1e-9 if threshold == 1.0 else trace[-1].info.log_lik < -1.0


def test_it_sees_the_images_that_the_vae_sees():
    """So that their log p(x) may be compared."""
    x = torch.from_numpy(DigitImages().examples().x.copy())
    assert torch.equal(Bernoulli().prepare(x).double(), BernoulliEM().rows().x)


def test_more_components_than_images_is_refused_with_the_remedy():
    em = BernoulliEM(data=images_of(np.eye(3)[:, None]), components=4)
    with pytest.raises(
        TooFewImages, match="3 images cannot start 4 components: use at most 3 components"
    ) as told:
        em.init(0)
    assert told.value.most == 3 and isinstance(told.value, TooFewPoints)


def test_missing_values_and_missing_images_are_said():
    with pytest.raises(LookupError, match="upload the images again"):
        BernoulliEM(data=StoredImages(digest="0" * 64)).init(0)
    gaps = own_data.put(read_table("a,b\n1,2\n2,3\n3,1\n"))
    kept = Rows(table=Stored(digest=gaps), scaled=False)
    assert BernoulliEM(data=kept, components=2).rows().x.tolist() == [[1.0, 1.0]] * 3


# ---- what is shown ----


def table_of(trace: Trace, index: int) -> tuple[np.ndarray, np.ndarray]:
    """q (N, K) of a snapshot, by the definition, and the pixels (N, D)."""
    x = (load_digits().data / 16 > 0.5).astype(float)
    theta = trace[index].state.theta_q
    means, weights = (np.clip(part.numpy(), 1e-300, 1 - 1e-16) for part in (theta.means, theta.weights))
    log_joint = x @ np.log(means).T + (1 - x) @ np.log1p(-means).T + np.log(weights)
    return np.exp(log_joint - np.logaddexp.reduce(log_joint, 1)[:, None]), x


def test_counts_classes_and_members_are_those_of_q(whole: Trace):
    labels = load_digits().target
    counts, found = summaries.counts(whole), summaries.mostly(whole)
    assert found is not None
    for index in (1, 2, 20, len(whole) - 1):
        q, _ = table_of(whole, index)
        assert np.allclose(counts[index], q.sum(0), rtol=0, atol=1e-6)
        sums = np.stack([q[labels == digit].sum(0) for digit in range(10)])
        assert found.names[index] == [str(digit) for digit in sums.argmax(0)]
        assert np.allclose(found.shares[index], sums.max(0) / q.sum(0), rtol=0, atol=1e-6)


def test_members_are_the_likeliest_and_the_doubtful_of_their_own(whole: Trace):
    index = 30
    q, x = table_of(whole, index)
    for component in (0, 9):
        rows, shares = (part[index] for part in summaries.members(whole, component))
        own = np.flatnonzero(q.argmax(1) == component)
        means = np.clip(whole[index].state.theta_q.means[component].numpy(), 1e-300, 1 - 1e-16)
        fit = x[own] @ np.log(means) + (1 - x[own]) @ np.log1p(-means)
        assert set(rows.ravel()) <= set(own)
        assert np.allclose(np.sort(fit)[::-1][:6], fit[np.searchsorted(own, rows[0])])
        assert np.allclose(np.sort(q[own, component])[:6], shares[1])
        assert np.allclose(q[rows, component], shares)
    assert (summaries.members(whole, 0).rows[0] == -1).all()


def test_a_component_with_few_images_has_empty_places():
    rows = np.repeat([[[1.0, 1.0, 0.0, 0.0]], [[0.0, 0.0, 1.0, 1.0]]], [2, 9], axis=0)
    trace = traced(BernoulliEM(data=images_of(rows), components=2), 20)
    rows_of = [summaries.members(trace, k).rows[-1] for k in range(2)]
    assert sorted((part >= 0).sum() for part in rows_of) == [4, 12]
    film = bernoulli_films.members(trace, 0, False)
    assert film.at(len(trace) - 1).layout.shapes and summaries.mostly(trace) is None


def test_the_picture_follows_and_stays_small(whole: Trace):
    film = bernoulli_films.picture(whole, 0, False)
    assert len(film_text(bernoulli_films.picture(whole[:60], 0, False), 1.0)) < 500_000
    first, last = film.at(0), film.at(len(whole) - 1)
    assert first.layout.images[0].source != last.layout.images[0].source
    assert film.at(1).layout.images[0].source == first.layout.images[0].source, "E leaves theta alone"
    words = next(trace for trace in last.data if trace.hovertext is not None)
    weight, count = whole[-1].state.theta.weights[2], summaries.counts(whole)[-1, 2]
    assert f"component 3: weight {weight:.3f}, {count:.0f} images, mostly" in words.hovertext[2]
    assert "q knows nothing yet" in next(t for t in first.data if t.hovertext is not None).hovertext[2]
    assert [part.text for part in last.data if part.text][0][2] == f"π {weight:.3f}"


def test_bars_are_in_the_proportion_of_their_numbers(whole: Trace):
    figure = bernoulli_films.picture(whole, 0, False).at(5)
    lines = [trace for trace in figure.data if trace.mode == "lines"]
    colours = theme.tokens(False)
    for line, numbers in zip(
        lines, (summaries.counts(whole)[5] / 1797, summaries.weights(whole)[5]), strict=True
    ):
        x = np.array(line.x, float).reshape(-1, 3)
        assert np.allclose((x[:, 1] - x[:, 0]) / (x[0, 1] - x[0, 0]), numbers / numbers[0])
    assert [line.line.color for line in lines] == [colours.q_mark, colours.theta_mark]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 10, 13, 20])
@pytest.mark.parametrize("shape", [(8, 8), (28, 28), (1, 5), (6, 2)])
def test_tiles_do_not_touch_and_stand_in_the_picture(count: int, shape: tuple[int, int]):
    images = np.random.default_rng(0).uniform(size=(2, count, *shape))
    shown = mean_images.Shown(
        images, np.full((2, count), 1 / count), np.ones((2, count)), [["x"] * count] * 2
    )
    film = mean_images.grid(shown, chosen=count - 1)
    layout = film.at(0).layout
    boxes = [(box.x0, box.x1, box.y0, box.y1) for box in layout.shapes]
    assert len(boxes) == count
    for one, other in itertools.combinations(boxes, 2):
        assert one[1] < other[0] or other[1] < one[0] or one[3] < other[2] or other[3] < one[2]
    (left, right), (low, high) = layout.xaxis.range, layout.yaxis.range
    assert all(left <= a and b <= right and low <= c and d <= high for a, b, c, d in boxes)
    ring = film.at(0).data[-1]
    assert (ring.x[0], ring.y[0]) == mean_images.place(count, shape, count - 1)


def test_the_canvas_holds_every_image_in_its_tile():
    images = np.random.default_rng(0).uniform(0.1, 1.0, size=(5, 3, 2))
    tiles = mean_images.Tiles(5, 3, 3, 2, 2)
    canvas = tiles.canvas(images)
    assert canvas.shape == tiles.size[::-1]
    for (x, y), image in zip(tiles.corners().astype(int), images, strict=True):
        top = tiles.size[1] - y
        assert (canvas[top : top + 3, x : x + 2] == image).all()
    assert (canvas > 0).sum() == images.size


def test_means_of_gaussians_come_back_from_pca():
    """The oracle is the SVD; with all 64 components the mean image is the weighted mean of the images."""
    pixels = load_digits().data / 16
    trace = run(Job(EM(data=Digits(components=3), components=4), steps=6))
    centred = pixels - pixels.mean(0)
    _, _, right = np.linalg.svd(centred, full_matrices=False)
    loadings = right[:3] * np.sign(right[np.arange(3), np.abs(right[:3]).argmax(1)])[:, None]
    made = pixels.mean(0) + gaussian_means(trace) / 16 @ loadings
    told = pca_images.pca_images(trace)
    assert told.shape == (7, 4, 8, 8)
    assert np.allclose(told.reshape(7, 4, 64), np.clip(made, 0, 1), rtol=0, atol=1e-9)
    assert pca_images.has_pca_images(Digits()) and not pca_images.has_pca_images(EM().data)


# ---- the scenes ----


def test_the_scenes_tell_what_happens(whole: Trace):
    reasons = {scene.name: scene.reason for scene in em_scenes.SCENES}
    found, labels = summaries.mostly(whole), load_digits().target
    assert found is not None and whole[-1].info.moved == "M"
    assert sorted(found.names[-1]) == ["0", "1", "1", "2", "3", "4", "5", "6", "7", "8"]
    q, _ = table_of(whole, len(whole) - 1)
    threes = found.names[-1].index("3")
    assert q[labels == 9, threes].sum() > 0.7 * 180 and q[labels == 3, threes].sum() > 0.85 * 183
    other = traced(BernoulliEM(start=NearlyAlike()), 200, seed=1)
    all_ten = summaries.mostly(other)
    assert all_ten is not None and sorted(all_ten.names[-1]) == [str(digit) for digit in range(10)]
    ends = [f"{trace[-1].info.log_lik / 1797:.2f}".replace("-", "−") for trace in (whole, other)]
    assert ends == ["−19.04", "−19.11"]
    assert ends[0] in reasons["ten-digits"] and all(end in reasons["all-ten"] for end in ends)
    links = {scene.name: dict(scene.link) for scene in em_scenes.SCENES}
    assert links["ten-digits"] == {"mixture": "Bernoullis"}
    assert links["all-ten"] == {"mixture": "Bernoullis", "start": "NearlyAlike", "seed": "1"}
