"""What Fit q in two dimensions shows: regions, outlines, marginals, maps, numbers, and the hand's answer."""

import io
import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy import stats
from scipy.ndimage import zoom

from lvmviz import (
    MLP,
    VI,
    Adam,
    AffineCoupling,
    Autoregressive,
    Banana,
    Cauchy2D,
    ComposedFlow,
    CorrelatedGaussian,
    DigitImages,
    Donut,
    Exact,
    FarModes,
    Flow,
    ForwardKL,
    FullRank,
    Funnel,
    HardBanana,
    Job,
    MeanField,
    MixtureQ,
    ThreeModes,
    TrainVAE,
    decompose,
    run,
)
from lvmviz.figures import plane as figures
from lvmviz.figures import plane_khat, plane_warp
from lvmviz.figures.level_lines import joined, level_lines
from lvmviz.figures.mixture_points import png_shades
from lvmviz.figures.theme import number
from lvmviz.quadrature import coverage, forward_kl, log_evidence
from lvmviz.summaries import plane as summaries
from lvmviz.summaries import plane_numbers, vae
from lvmviz.summaries.image_posterior import ImagePosterior
from lvmviz.summaries.plane import Place
from lvmviz.ui import plane, plane_films
from lvmviz.ui.derivation import agrees
from lvmviz.ui.derivation_plane import lines
from lvmviz.ui.plane import Q
from lvmviz.ui.plane_answer import Look, answer
from lvmviz.ui.plane_link import job_of, plane_link
from lvmviz.ui.plane_numbers import far, number_rows
from lvmviz.ui.plane_places import first_places, places_of, range_of, text_of

F64 = torch.float64
HERE, SIZE, TURN = st.floats(-5, 5), st.floats(0.05, 4), st.floats(-180, 180)
LEANING = Place(0.4, -0.7, 1.5, 0.4, 30.0)
MIXED = (LEANING._replace(share=0.3), Place(2.0, 1.0, 0.6, 0.6, 0.0, 0.7))
CASES = [
    (MeanField(), (LEANING._replace(angle=0.0),)),
    (FullRank(), (LEANING,)),
    (MixtureQ(parts=2), MIXED),
    (Flow(layers=3), (LEANING._replace(angle=0.0),)),
    (ComposedFlow(layers=2, second=Autoregressive()), (LEANING._replace(angle=0.0),)),
]
COUPLED = Flow(layer=AffineCoupling(), layers=2)
over_cases = pytest.mark.parametrize(("family", "places"), CASES, ids=lambda case: type(case).__name__)


def bent(family, places) -> torch.Tensor:
    """phi with a flow's layers far from the identity."""
    phi = summaries.phi_at(family, places)
    if isinstance(family, (Flow, ComposedFlow)):
        phi[4:] += 0.6 * torch.randn(len(phi) - 4, generator=torch.Generator().manual_seed(3), dtype=F64)
    return phi


# ---- where q stands ----


@given(x=HERE, y=HERE, first=SIZE, second=SIZE, angle=TURN)
def test_a_place_is_the_gaussian_with_that_ellipse(x, y, first, second, angle):
    phi = summaries.phi_at(FullRank(), [Place(x, y, first, second, angle)])
    turn = math.radians(angle)
    axes = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    covariance = axes @ np.diag([first**2, second**2]) @ axes.T
    frame = FullRank().frame(phi)
    assert frame.centre.tolist() == [x, y]
    assert (frame.factor @ frame.factor.T).numpy() == pytest.approx(covariance, rel=1e-9, abs=1e-9)
    (found,) = summaries.standing(FullRank(), phi)
    back = summaries.phi_at(FullRank(), [Place(*found)])
    assert back.numpy() == pytest.approx(phi.numpy(), rel=1e-7, abs=1e-7)


def test_a_mixtures_parts_have_their_shares_and_a_flow_its_shift_and_stretch():
    family, phi = MixtureQ(parts=2), bent(MixtureQ(parts=2), MIXED)
    z = torch.tensor([[[0.3, 0.2], [2.0, 1.5]]], dtype=F64)[0]
    each = [
        place.share * np.exp(FullRank().log_prob(summaries.phi_at(FullRank(), [place]), z).numpy())
        for place in MIXED
    ]
    assert family.log_prob(phi, z).exp().numpy() == pytest.approx(sum(each), rel=1e-12)
    flow = summaries.phi_at(Flow(), [Place(1.0, 2.0, 0.5, 3.0)])
    assert summaries.standing(Flow(), flow)[0] == pytest.approx([1.0, 2.0, 0.5, 3.0, 0.0])


@given(st.lists(st.tuples(HERE, HERE, SIZE, SIZE, TURN, st.floats(0.05, 0.95)), min_size=2, max_size=5))
def test_a_link_says_where_q_stands(parts):
    places = tuple(Place(*part) for part in parts)
    for place, was in zip(places_of(text_of(places)), places, strict=True):
        assert place == pytest.approx(was, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(
    "text", ["", "1", "1,2", "1,2,3", "a,b,c,d", "0,0,1,-1", "0,0,1,nan", "1,2,3,4,5,6,7"]
)
def test_a_wrong_link_is_told(text):
    with pytest.raises((ValueError, TypeError)):
        places_of(text)


@pytest.mark.parametrize("target", [Banana(), HardBanana(), Funnel(), Cauchy2D()], ids=repr)
def test_q_is_held_within_what_can_be_seen(target):
    ends = range_of(target)
    held = ends.held(Place(1e9, -1e9, 1e9, 0.0, 725.0))
    assert held == (ends.right, ends.bottom, ends.most, ends.least, 5.0, 1.0)
    for family, _ in CASES:
        for place in first_places(target, family):
            assert ends.held(place) == place
            assert ends.left < place.x < ends.right
            assert ends.bottom < place.y < ends.top


# ---- the posterior ----


def test_the_regions_hold_their_shares():
    told = summaries.posterior(CorrelatedGaussian(correlation=0.6))
    peak = -math.log(2 * math.pi * math.sqrt(1 - 0.36))
    wanted = [peak + math.log1p(-share) for share in summaries.SHARES]  # -r^2 / 2 = log(1 - share)
    assert told.levels == pytest.approx(wanted, abs=0.02)
    assert told.log_density.max() == pytest.approx(peak, abs=1e-3)
    for k in (0, 1):
        line, density = told.marginals[k]
        assert density == pytest.approx(stats.norm.pdf(line), abs=1e-7)
    cell = (told.x[1] - told.x[0]) * (told.y[1] - told.y[0])
    for target in (Donut(), FarModes(), Banana()):
        told = summaries.posterior(target)
        cell = (told.x[1] - told.x[0]) * (told.y[1] - told.y[0])
        for share, level in zip(summaries.SHARES, told.levels, strict=True):
            assert np.exp(told.log_density[told.log_density > level]).sum() * cell == pytest.approx(
                share, abs=0.02
            )


def test_a_picture_shows_nearly_all_of_the_posterior_and_a_long_one_has_two_scales():
    for target in (Banana(), ThreeModes(), HardBanana()):
        left, right, bottom, top = summaries.extent(target)
        told = summaries.posterior(target)
        assert np.trapezoid(told.marginals[0][1], told.marginals[0][0]) > 0.97
        assert left < -0.5 < 0.5 < right and bottom < 0.0 < top
        wide = summaries.seen(target)
        assert wide.left <= left and wide.right >= right and wide.bottom <= bottom and wide.top >= top
    assert summaries.extent(Banana()).even
    assert not summaries.extent(HardBanana()).even


# ---- q ----


@over_cases
def test_outlines_hold_their_share_of_q(family, places):
    phi = bent(family, places)
    made, where = summaries.outlines(family, phi), summaries.standing(family, phi)
    for share, line in zip(summaries.REGIONS, made, strict=True):
        rows = figures.affine(where)
        for k, row in enumerate(rows):
            z = np.stack([row[0] + line @ row[1:3], row[3] + line @ row[4:6]], 1)
            if isinstance(family, (Flow, ComposedFlow)):
                e = family.inverse(phi, torch.from_numpy(z))[0].numpy()
            else:
                each = family.frames(phi).each
                e = type(each)(each.centre[k], each.factor[k]).whiten(torch.from_numpy(z)).numpy()
            assert 1.0 - np.exp(-0.5 * (e**2).sum(1)) == pytest.approx(np.full(len(e), share), abs=1e-9)


@over_cases
def test_marginals_of_q_are_those_of_its_draws(family, places):
    phi, box = bent(family, places), summaries.Box(-7.0, 7.0, -7.0, 7.0)
    x, across, y, along = summaries.margins(family, phi[None], box)
    noise = torch.randn(8_000, 2, generator=torch.Generator().manual_seed(0), dtype=F64)
    z = family.sample(phi, noise).numpy()
    for k, line, density in ((0, x, across[0]), (1, y, along[0])):
        inside = np.abs(z[:, k]) < 7.0
        assert np.trapezoid(density, line) == pytest.approx(inside.mean(), abs=0.015)
        mean = np.trapezoid(density * line, line) / np.trapezoid(density, line)
        assert mean == pytest.approx(z[inside, k].mean(), abs=6 * z[inside, k].std() / 89)


def test_the_marginal_of_a_flow_that_does_not_bend_is_a_smooth_bell():
    family = Flow()
    phi = family.at(torch.zeros(2, dtype=F64), torch.ones(2, dtype=F64))
    phi[4:] = 0.0
    assert family.log_prob(phi, torch.zeros(1, 2, dtype=F64)) == pytest.approx(-math.log(2 * math.pi))
    x, across, y, along = summaries.margins(family, phi[None], summaries.Box(-6.0, 6.0, -6.0, 6.0))
    for line, density in ((x, across[0]), (y, along[0])):
        assert density == pytest.approx(stats.norm.pdf(line), abs=0.01)


def test_level_lines_of_a_hill_are_circles():
    line = np.linspace(-2, 2, 81)
    values = -np.hypot(*np.meshgrid(line, line))
    pieces = level_lines(line, line, values, -1.3)
    assert np.linalg.norm(pieces, axis=-1) == pytest.approx(np.full(pieces.shape[:2], 1.3), abs=2e-3)
    assert np.linalg.norm(pieces[:, 0] - pieces[:, 1], axis=-1).sum() == pytest.approx(
        2 * math.pi * 1.3, rel=1e-3
    )
    x, y = joined(pieces)
    assert len(x) == len(y) == 3 * len(pieces)
    assert x[2] is None and y[2] is None
    saddle = level_lines(np.arange(2.0), np.arange(2.0), np.array([[1.0, -1.0], [-1.0, 1.0]]), 0.0)
    assert sorted(map(tuple, saddle.reshape(-1, 2).tolist())) == [(0, 0.5), (0.5, 0), (0.5, 1), (1, 0.5)]


def test_the_whole_of_a_mixture_is_where_it_is_highest():
    family, phi = MixtureQ(parts=2), bent(MixtureQ(parts=2), MIXED)
    _, _, heights, levels = summaries.total(family, phi, summaries.Box(-9, 9, -9, 9))
    noise = torch.randn(8_000, 2, generator=torch.Generator().manual_seed(1), dtype=F64)
    drawn = family.draw(phi, noise)[1].numpy()
    assert [(drawn > level).mean() for level in levels] == pytest.approx(summaries.REGIONS, abs=0.025)
    assert heights.max() > levels[0] > levels[1]


def test_the_film_puts_q_where_it_stands_in_every_frame():
    target, family = Banana(), FullRank()
    phis = torch.stack([summaries.phi_at(family, [place]) for place in (LEANING, Place(1.0, 2.0, 0.5, 0.5))])
    ways = np.zeros((2, 3, 2))
    made = plane_films.picture(target, Q(family, (LEANING,)), phis, None, ways, False)
    assert made.film.count == 2
    for t in (0, 1):
        shown = made.film.at(t).data[made.traces[0][1]]
        e = family.frame(phis[t]).whiten(torch.tensor(np.stack([shown.x, shown.y], 1))).numpy()
        assert np.hypot(*e.T) == pytest.approx(np.full(len(e), summaries.radius(0.9)), abs=1e-5)
        top = made.film.at(t).data[-2]
        mean, sd = float(phis[t][0]), float(family.frame(phis[t]).sds()[0])
        assert np.asarray(top.y) == pytest.approx(stats.norm.pdf(top.x, mean, sd), abs=1e-6)


@pytest.mark.parametrize("sd", [0.01, 0.3, 3.0])
@pytest.mark.parametrize("still", [True, False])
def test_the_peaks_of_both_marginals_stay_within_their_axes(sd, still):
    target, place = Banana(), Place(0.0, 0.5, sd, 2.0 * sd)
    phi = summaries.phi_at(FullRank(), [place])
    phis = phi[None] if still else torch.stack([phi, summaries.phi_at(FullRank(), [LEANING])])
    ways = None if still else np.zeros((2, 1, 2))
    shown = plane_films.picture(target, Q(FullRank(), (place,)), phis, None, ways, False).film.at(0)
    for curve, axis in ((shown.data[-2].y, shown.layout.yaxis2), (shown.data[-1].x, shown.layout.xaxis2)):
        low, high = axis.range
        assert low == 0.0 and max(curve) < high
    (_, across), (_, along) = summaries.posterior(target).marginals
    assert max(across) < shown.layout.yaxis2.range[1] and max(along) < shown.layout.xaxis2.range[1]


def test_a_still_q_keeps_the_axes_that_the_hand_gave_it():
    turned = Place(0.0, 0.0, 0.4, 1.5, 120.0)  # the same Gaussian as the longer axis first, at 30 degrees
    q = Q(FullRank(), (turned,))
    made = plane_films.picture(Banana(), q, q.phi[None], None, None, False)
    assert made.places[0, 0].tolist() == list(turned[:5])


# ---- the map from the noise ----


@over_cases
def test_the_derivations_sides_agree(family, places):
    phi = bent(family, places)
    told = plane_numbers.change(family, phi)
    assert told.log_q == pytest.approx(told.log_noise - math.fsum(told.log_dets), abs=1e-8)
    for line in lines(family, decompose(Banana(), family, phi), told):
        assert agrees(line) is not False or line.relation == ">=" or told.error > 1e-3, line.reason


def test_the_mean_log_det_of_a_gaussian_is_its_volume():
    phi = summaries.phi_at(FullRank(), [LEANING])
    assert plane_numbers.change(FullRank(), phi).mean_log_det == pytest.approx(math.log(1.5 * 0.4), abs=1e-12)


@over_cases
def test_a_cell_of_the_grid_grows_as_its_det_says(family, places):
    phi = bent(family, places)
    shown = plane_numbers.warp(family, phi, plane_numbers.layer_count(family))
    a, b, c = shown.corners[:-1, :-1], shown.corners[1:, :-1], shown.corners[:-1, 1:]
    side = 2 * plane_numbers.REACH / plane_numbers.SIDE
    one, two = b - a, c - a
    area = np.abs(one[..., 0] * two[..., 1] - one[..., 1] * two[..., 0]) / side**2
    core = (slice(12, -12),) * 2
    off = np.abs(np.log(area[core]) - shown.log_det[core])
    assert np.median(off) < 0.1
    truth = plane_films.truth(Banana(), False)
    margins = figures.Margins(*summaries.margins(family, phi[None], summaries.seen(Banana())))
    drawn = plane_warp.warp(truth, shown.lines, shown.corners, shown.log_det, margins, told="after").checked()
    sides = [trace for trace in drawn.data if trace.yaxis == "y2" or trace.xaxis == "x2"]
    assert len(sides) == 4  # of p and of q


def test_a_flow_s_marginals_layer_by_layer():
    """Before any layer they are normal, after all of them the integral of its density along rows."""
    family = Flow(layers=3)
    phi, box = bent(family, (Place(0.2, 0.0, 1.0, 1.5),)), summaries.Box(-6.0, 6.0, -9.0, 9.0)
    x, across, y, along = summaries.margins(family, phi[None], box, 0)
    np.testing.assert_allclose(across[0], stats.norm.pdf(x, 0.2, 1.0), atol=0.01)
    np.testing.assert_allclose(along[0], stats.norm.pdf(y, 0.0, 1.5), atol=0.01)
    x, across, y, along = summaries.margins(family, phi[None], box, 3)
    z = torch.from_numpy(np.stack(np.meshgrid(x, y), -1))
    density = family.log_prob(phi, z.reshape(-1, 2)).exp().numpy().reshape(len(y), len(x))
    assert np.abs(across[0] - density.sum(0) * (y[1] - y[0])).sum() * (x[1] - x[0]) < 0.04
    assert np.abs(along[0] - density.sum(1) * (x[1] - x[0])).sum() * (y[1] - y[0]) < 0.04
    assert np.abs(across[0] - stats.norm.pdf(x, 0.2, 1.0)).max() > 0.05


@pytest.mark.parametrize("family", [FullRank(), MixtureQ(parts=2)], ids=repr)
def test_a_narrow_q_has_a_round_marginal(family):
    places = [Place(0.3, 0.2, 0.05, 0.05, 0.0, 0.5), Place(4.0, 1.0, 0.04, 0.04, 0.0, 0.5)]
    phi = summaries.phi_at(family, places[: 2 if isinstance(family, MixtureQ) else 1])
    x, across, y, along = summaries.margins(family, phi[None], summaries.Box(-50.0, 50.0, -50.0, 50.0))
    for line, density in ((x, across[0]), (y, along[0])):
        assert np.trapezoid(density, line) == pytest.approx(1.0, abs=1e-3)
        assert (np.diff(line) > 0).all()


def test_a_picture_of_few_shades_is_what_was_painted():
    index = np.arange(12, dtype=np.uint8).reshape(3, 4) % 5
    palette = [(10, 20, 30, 4 * shade) for shade in range(5)]
    with Image.open(io.BytesIO(png_shades(index, palette))) as picture:
        np.testing.assert_array_equal(np.asarray(picture.convert("RGBA")), np.array(palette)[index])


def test_a_finer_grid_is_straight_between_the_nodes():
    values = np.random.default_rng(0).normal(size=(5, 5))
    np.testing.assert_allclose(figures.finer(values, 3), zoom(values, 3, order=1), atol=1e-12)


def test_before_any_layer_the_grid_is_square():
    family, phi = Flow(layers=3), bent(Flow(layers=3), (Place(0.0, 0.0, 2.0, 2.0),))
    shown = plane_numbers.warp(family, phi, 0)
    assert shown.log_det == pytest.approx(np.full_like(shown.log_det, math.log(4.0)))
    assert np.ptp(plane_numbers.warp(family, phi, 3).log_det) > 0.1


# ---- numbers ----


def test_the_best_gaussians():
    narrow = plane_numbers.best(CorrelatedGaussian(), MeanField())
    assert narrow.place[2:4] == pytest.approx([math.sqrt(1 - 0.81)] * 2, abs=1e-7)
    assert narrow.terms.kl == pytest.approx(-0.5 * math.log(1 - 0.81), abs=1e-6)
    both = plane_numbers.best(FarModes(), FullRank(), True)
    assert np.cov(np.array([[-4.0, 0.0], [4.0, 1.0]]).T, ddof=0) + 0.49 * np.eye(2) == pytest.approx(
        (lambda f: (f.factor @ f.factor.T).numpy())(FullRank().frame(both.phi)), abs=1e-5
    )
    assert both.terms.kl == pytest.approx(5.2247, abs=1e-3)
    mouth = plane_numbers.best(Funnel(), FullRank())
    assert mouth.terms.kl == pytest.approx(0.8524, abs=1e-3)
    height, wide = math.sqrt(18 / 11), math.exp(-18 / 44)  # 1 / v = 1/9 + 1/2, s^2 = exp(-v / 2)
    assert mouth.place[:4] == pytest.approx((0.0, 0.0, height, wide), abs=1e-6)
    assert plane_numbers.best(Cauchy2D(), FullRank(), True) is None


def test_a_missed_mode_is_not_missed_by_its_own_draws():
    target, phi = FarModes(), summaries.phi_at(FullRank(), [Place(-4.0, 0.0, 0.7, 0.7)])
    terms, told = (
        plane_numbers.terms(target, FullRank(), phi),
        plane_numbers.draws(target, FullRank(), phi, 0),
    )
    assert terms.kl == pytest.approx(math.log(2), abs=1e-6)
    assert plane_numbers.numbers(target, FullRank(), phi).forward == pytest.approx(32.47, abs=0.01)
    assert told.log_evidence[0] == pytest.approx(-3.2 - math.log(2), abs=1e-6)
    assert told.khat[0, -1] < 0.5
    assert "too low" in far(terms, told)
    words = json.dumps(plane_films.khat(told, terms.kl, 32.47, False).to_plotly_json(), ensure_ascii=False)
    assert "excellent" in words and "KL: q‖p 0.693" in words


@over_cases
def test_draws_say_the_elbo_within_their_error(family, places):
    target, phi = CorrelatedGaussian(correlation=0.3), bent(family, places)
    terms, told = plane_numbers.terms(target, family, phi), plane_numbers.draws(target, family, phi, 5)
    assert told.elbo[0] == pytest.approx(terms.elbo, abs=5 * told.elbo[1])
    quick = plane_numbers.draws(target, family, phi, 5, quick=True)
    assert quick.elbo == told.elbo
    assert np.array_equal(quick.khat[0], told.khat[0])


def test_draws_of_three_parts_have_their_shares():
    family = MixtureQ(parts=3)
    places = [Place(x, 0.0, 0.1, 0.1, 0.0, share) for x, share in ((-3.0, 0.5), (0.0, 0.2), (3.0, 0.3))]
    phi = summaries.phi_at(family, places)
    terms = plane_numbers.terms(CorrelatedGaussian(), family, phi)
    told = plane_numbers.draws(CorrelatedGaussian(), family, phi, 1)
    assert told.elbo[0] == pytest.approx(terms.elbo, abs=5 * told.elbo[1])


def test_khat_in_words():
    rows = np.tile([[0.1]], (2, len(plane_numbers.COUNTS)))
    for k, word in ((0.2, "excellent"), (0.6, "good"), (0.8, "poor"), (1.4, "useless"), (np.inf, "too few")):
        rows[0, -1] = k
        made = plane_khat.khat(plane_numbers.COUNTS, rows, "exact").checked()
        assert word in made.layout.annotations[0].text


# ---- the posterior of an image ----


def test_the_posterior_of_an_image_is_the_lab_s():
    algorithm = TrainVAE(data=DigitImages(count=60), encoder=MLP(hidden=7), decoder=MLP(hidden=5), batch=10)
    at = vae.moment(run(Job(algorithm, steps=3)), 3)
    target = ImagePosterior.of(at, "test", 2)
    assert target == ImagePosterior.of(at, "test", 2)
    x = vae.half(algorithm, "test").x[2:3]
    wanted, _ = vae.latent_plane(at).log_evidence(torch.tensor(x).double(), vae.q(at, x))
    assert log_evidence(target) == pytest.approx(float(wanted[0]), abs=1e-5)
    phi = summaries.phi_at(FullRank(), first_places(target, FullRank()))
    terms = plane_numbers.terms(target, FullRank(), phi)
    assert terms.elbo + terms.kl == pytest.approx(terms.log_evidence, abs=max(1e-6, terms.error))
    assert Job(VI(target=target, family=FullRank())).id != Job(VI(target=Banana(), family=FullRank())).id
    with pytest.raises(ValueError, match="take a smaller one"):
        ImagePosterior.of(at, "test", 10_000)
    with pytest.raises(LookupError, match="not loaded"):
        ImagePosterior(job="gone").log_prob(torch.zeros(1, 2, dtype=F64))


# ---- while the hand moves ----

NAMES = {"log_evidence": "log p(x)", "kl": "KL(q‖p)", "elbo": "ELBO"}


@over_cases
def test_a_moving_hand_reads_the_exact_numbers(family, places):
    target = Banana()
    q = Q(family, places)
    look = Look(target, q, range_of(target), None, "III", NAMES, 0, False, 1.0)
    moved = tuple(place._replace(x=place.x + 0.5) for place in places)
    shown = answer(look, tuple(place[:5] for place in moved))
    held = tuple(look.ends.held(place) for place in moved)
    phi = summaries.phi_at(family, held)
    terms = decompose(target, family, phi)
    words = json.dumps(json.loads(shown["thermometer"]), ensure_ascii=False)
    for value in (terms.log_evidence, terms.kl, terms.elbo):
        assert number(value, 3) in words
    rows = dict(shown["numbers"])
    if isinstance(family, (MeanField, FullRank)):
        assert rows["KL(p‖q), the other way"] == number(forward_kl(target, family, phi), 3)
        assert rows["p within q’s 90 % region"] == f"{100 * coverage(target, family, phi):.1f} %"
    assert set(shown) == {"picture", "thermometer", "numbers", "estimates"}


@pytest.mark.parametrize("family", [MeanField(), FullRank(), COUPLED], ids=repr)
def test_a_run_has_the_link_that_asks_for_it(family):
    ends = range_of(Banana())
    place = Place(-0.31, 1.7, 0.45, 1.2, 25.0 if plane.may_lean(family) else 0.0)
    settings = {"objective": ForwardKL(), "optimizer": Adam(step_size=0.03), "gradient": Exact(), "starts": 3}
    job = job_of(Banana(), Q(family, (ends.held(place),)), 40, 7, **settings)
    link = plane_link(job)
    assert link is not None
    assert (link["optimizer"], link["objective"], link["steps"], link["seed"]) == (
        "Adam",
        "ForwardKL",
        "40",
        "7",
    )
    again = Q(family, tuple(ends.held(one) for one in places_of(link["q"])))
    assert again.phi.tolist() == list(job.algorithm.phi)
    assert plane_link(job_of(Banana(), Q(family, (ends.held(place),)), 4000, 7, **settings)) is None


def test_no_ellipse_no_answer():
    look = Look(Banana(), Q(FullRank(), (LEANING,)), range_of(Banana()), None, "III", NAMES, 0, False, 1.0)
    for places in ((), ((1.0, 2.0),), ((0.0, 0.0, 1.0, 1.0, 0.0),) * 2):
        with pytest.raises(ValueError, match="ellipses of five numbers"):
            answer(look, places)


def test_rows_wait_for_what_takes_long():
    phi = summaries.phi_at(Flow(), [Place(0.0, 0.0, 1.0, 1.0)])
    told = plane_numbers.numbers(Banana(), Flow(), phi, quick=True)
    assert told.forward is None
    assert number_rows(Banana(), plane_numbers.terms(Banana(), Flow(), phi), told, None)[0][1] == "…"
    assert plane.count_of(MixtureQ(parts=4)) == 4
