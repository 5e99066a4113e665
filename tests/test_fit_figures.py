"""The pictures of a fit say what the arrays say, in every frame, whatever q does."""

import json
import math
import re

import numpy as np
import pytest

from lvmviz.figures import theme
from lvmviz.figures.fit import Bell, picture
from lvmviz.figures.fit_landscape import landscape
from lvmviz.figures.fit_trace import trace

BOTH = pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
Z = np.linspace(-8, 8, 801)
U = np.concatenate([[-400.0, -40.0], np.linspace(-6, 6, 97), [40.0, 400.0]])
PEAK = 1 / math.sqrt(2 * math.pi)


def normal(z, mean, sd):
    return np.exp(-0.5 * ((z - mean) / sd) ** 2) * PEAK / sd


SKEWED = 0.7 * normal(Z, 1.6, 1.2) + 0.3 * normal(Z, 3.6, 1.6)  # GOLDEN: KL of N(2, 2) is 0.031
PATH = np.array([[-4.0, 0.75**0.5], [0.0, 1.0], [1.5, 1.3], [2.0, 2**0.5]])


def drawn(path=PATH, posterior=SKEWED, z=Z, **options):
    """The film of a Gaussian q on a path (T, 2), its traces, and what went in."""
    q = np.array([normal(z, *place) for place in path])
    with np.errstate(divide="ignore", invalid="ignore"):
        integrand = np.where(q > 0, q * np.log(q / posterior), 0.0)
    kl = np.trapezoid(integrand, z, axis=1)
    bell = Bell(U, np.exp(-0.5 * U**2), np.array([[mean, sd, PEAK] for mean, sd in path]))
    labels = [f"q(z) = N({theme.number(mean, 2)}, {sd:.2f}²)" for mean, sd in path.tolist()]
    film, indices = picture(z, posterior, q, integrand, [bell], q_label=labels, kl=kl.tolist(), **options)
    return film, indices, q, integrand, kl


def words(figure):
    return [note.text for note in figure.layout.annotations if note.visible is not False]


def labelled(figure, part):
    return next(note for note in figure.layout.annotations if part in note.text)


def colours_of(film):
    """Every colour a film holds, as #RRGGBB."""
    text = json.dumps(film.data(), default=lambda value: np.asarray(value).tolist())
    plain = set(re.findall(r"#[0-9A-Fa-f]{6}\b", text))
    mixed = re.findall(r"rgba?\((\d+), ?(\d+), ?(\d+)", text)
    return {code.upper() for code in plain} | {"#{:02X}{:02X}{:02X}".format(*map(int, c)) for c in mixed}


def assert_sound(film, dark):
    """Plain finite JSON, and only the theme's colours."""
    for frame in range(film.count):
        made = film.at(frame).to_plotly_json()
        json.dumps(made, default=lambda value: np.asarray(value).tolist(), allow_nan=False)
    json.dumps(film.data(), default=lambda value: np.asarray(value).tolist(), allow_nan=False)
    own = {c.upper() for c in theme.tokens(dark) if isinstance(c, str)}
    own |= {colour.upper() for _, colour in theme.tokens(dark).landscape} | {"#000000"}  # rgba(0,0,0,0)
    template = {"#" + code for code in re.findall("#([0-9A-F]{6})", str(theme.template(theme.tokens(dark))))}
    assert colours_of(film) <= own | template


# ---- the picture ----


@BOTH
def test_curves_are_the_arrays_in_every_frame(dark):
    film, (index,), q, integrand, _ = drawn(second=normal(Z, -4, 0.87), dark=dark)
    assert_sound(film, dark)
    for frame in range(film.count):
        posterior, second, curve, strip = film.at(frame).data
        np.testing.assert_allclose(posterior.y, SKEWED)
        np.testing.assert_allclose(second.y, normal(Z, -4, 0.87))
        assert index == 2
        np.testing.assert_allclose(np.interp(Z, curve.x, curve.y), q[frame], atol=2e-3)
        np.testing.assert_allclose(strip.x, Z)
        if frame == film.count - 1:
            np.testing.assert_allclose(strip.y, integrand[frame], atol=1e-6)


def test_filled_is_the_truth_and_q_is_an_outline():
    colours = theme.LIGHT
    posterior, second, curve, _ = drawn(second=normal(Z, -4, 0.87))[0].at(0).data
    assert posterior.fill == "tozeroy" and posterior.fillcolor == theme.fill(colours.posterior, 0.13)
    assert (posterior.line.width, curve.line.width, second.line.width) == (2.5, 2.5, 1.5)
    assert curve.fill is None and second.fill is None and second.line.dash == "5px,4px"
    assert curve.line.color == second.line.color == colours.q_mark


def test_the_strips_areas_are_the_kl():
    film, *_, kl = drawn()
    assert kl[-1] == pytest.approx(0.031, abs=5e-4)
    for frame in (0, 2, 3):
        figure = film.at(frame)
        strip = figure.data[-1]
        assert strip.yaxis == "y2" and strip.fill == "tozeroy"
        assert np.trapezoid(np.array(strip.y), np.array(strip.x)) == pytest.approx(kl[frame], abs=1e-5)
        assert f"q log(q/p), area = KL = {kl[frame]:.3f}" in words(figure)


@BOTH
def test_the_strips_colour_changes_at_zero(dark):
    colours = theme.tokens(dark)
    shade = drawn(dark=dark)[0].at(0).data[-1].fillgradient
    stops = [(shade.start + at * (shade.stop - shade.start), colour) for at, colour in shade.colorscale]
    below, above = theme.fill(colours.muted, 0.35), theme.fill(colours.gap, 0.5)
    assert [colour for _, colour in stops] == [below, below, above, above]
    assert stops[1][0] == pytest.approx(0, abs=1e-12) == stops[2][0]


def test_one_bell_is_q_and_of_two_the_total_is_thick():
    assert len(drawn()[0].figure.data) == 3
    q = 0.6 * normal(Z, 2, 1) + 0.4 * normal(Z, -3, 0.7)
    shape = np.exp(-0.5 * U**2)
    bells = [
        Bell(U, shape, np.array([[2, 1, 0.6 * PEAK]])),
        Bell(U, shape, np.array([[-3, 0.7, 0.4 * PEAK]])),
    ]
    film, indices = picture(Z, SKEWED, q[None], q[None] - SKEWED, bells, q_label=["q(z) = a\n+ b"], kl=[0.5])
    data = film.at(0).data
    one, other, total = (data[i] for i in (*indices, indices[-1] + 1))
    assert one.line.width == other.line.width < total.line.width == 2.5
    np.testing.assert_allclose(total.y, q, atol=1e-7)
    summed = np.interp(Z, one.x, one.y) + np.interp(Z, other.x, other.y)
    np.testing.assert_allclose(summed, q, atol=2e-3)
    assert any(text.startswith("q(z) = a<br>") and "+ b" in text for text in words(film.at(0)))


def test_a_bell_may_change_its_shape():
    v = np.stack([np.exp(-0.5 * U**2), np.exp(-np.abs(U))])
    bell = Bell(np.stack([U, 2 * U]), v, np.array([[0.0, 1.0, PEAK], [1.0, 2.0, 0.5]]))
    q = np.stack([normal(Z, 0, 1), np.exp(-np.abs(Z - 1) / 4) / 4])
    film, (index,) = picture(Z, SKEWED, q, q - SKEWED, [bell], q_label=["q", "q"], kl=[0.1, 0.2])
    np.testing.assert_allclose(film.at(1).data[index].x, 1 + 4 * U, rtol=1e-6)
    np.testing.assert_allclose(film.at(1).data[index].y, 0.25 * np.exp(-np.abs(U)), atol=1e-7)


@pytest.mark.parametrize("sd", [0.003, 0.05, 1.0, 30.0])
def test_the_density_axis_is_the_posteriors_whatever_q_does(sd):
    film, *_ = drawn(np.array([[1.0, sd]]))
    low, high = film.figure.layout.yaxis.range
    assert (low, high) == pytest.approx((-0.024 * SKEWED.max(), 2 * SKEWED.max()))
    assert not any("range" in key for move in film.moves for key in move["keys"])
    note = labelled(film.at(0), "q(z)").text
    peak = PEAK / sd
    assert (f"peak {peak:.3g} ↑" in note) == (peak > high)
    assert film.figure.layout.uirevision == drawn()[0].figure.layout.uirevision


def test_the_last_frame_fits_the_strip_and_what_is_cut_off_says_how_high_it_goes():
    film, _, _, integrand, _ = drawn()
    low, high = film.figure.layout.yaxis2.range
    assert low <= integrand[-1].min() and integrand[-1].max() <= high < 8 * 1.2 * integrand[-1].max() * 2.5
    assert integrand[0].max() > high
    assert f"peak {integrand[0].max():.3g} ↑" in words(film.at(0))
    assert not any("peak" in text for text in words(film.at(film.count - 1)))
    assert set(np.sign(film.figure.layout.yaxis2.tickvals)) == {-1, 0, 1}
    assert all(low < tick < high for tick in film.figure.layout.yaxis2.tickvals)


@pytest.mark.parametrize(
    "path",
    [[[-1.0, 1.4], [2.0, 2**0.5]], [[2.0, 2.5], [2.4, 1.5], [2.0, 2**0.5]]],
    ids=["nothing left", "near"],
)
def test_where_the_end_is_seen_or_empty_the_first_frame_fits_the_strip(path):
    """A q that ends on the posterior leaves an empty strip: its axis is that of the way there."""
    posterior = SKEWED if len(path) == 3 else normal(Z, 2.0, 2**0.5)
    film, _, _, integrand, _ = drawn(np.array(path), posterior=posterior)
    low, high = film.figure.layout.yaxis2.range
    assert low <= integrand[0].min() and integrand[0].max() <= high < 8 * integrand[0].max()
    assert not any("peak" in text for text in words(film.at(0)))


def test_words_follow_q_and_say_where_it_went():
    film, *_ = drawn(np.array([[-20.0, 1.0], [0.0, 1.0], [7.9, 1.0], [20.0, 1.0]]))
    notes = [labelled(film.at(frame), "q(z)") for frame in range(4)]
    assert [note.text for note in notes] == [
        "← q(z) = N(−20.00, 1.00²)",
        "q(z) = N(0.00, 1.00²)",
        "q(z) = N(7.90, 1.00²)",
        "q(z) = N(20.00, 1.00²) →",
    ]
    assert [note.xanchor for note in notes] == ["left", "left", "right", "right"]
    assert [note.x for note in notes] == pytest.approx([-8, 0, 7.9, 8], abs=0.05)
    assert all(0 < note.y < film.figure.layout.yaxis.range[1] for note in notes)


@pytest.mark.parametrize("mean", np.linspace(-5, 5, 11))
def test_words_stay_near_q_where_there_is_room(mean):
    """A low q beside a tall posterior: its words are above it, not in a corner far off."""
    film, *_ = drawn(np.array([[mean, 2.0]]), posterior=normal(Z, 0, 0.6))
    note = labelled(film.at(0), "q(z)")
    assert note.x == pytest.approx(mean, abs=0.05)


@pytest.mark.parametrize("mean", [-3.0, -1.0, 0.0, 1.0])
def test_words_of_q_lie_on_no_mode(mean):
    posterior = 0.5 * (normal(Z, -2.5, 0.5) + normal(Z, 2.5, 0.5))
    film, *_ = drawn(np.array([[mean, 2.5]]), posterior=posterior)
    note, top = labelled(film.at(0), "q(z)"), film.figure.layout.yaxis.range[1]
    wide, room = 490 - 50 - 12, 0.73 * (338 - 8 - 34)
    at = (note.x + 8) / 16 * wide + note.xshift
    size = 5.5 * len(note.text)
    left = at - {"left": 0, "center": 0.5, "right": 1}[note.xanchor] * size
    px = (Z + 8) / 16 * wide
    under = posterior[(px > left) & (px < left + size)].max()
    assert note.y / top * room - 8 >= under / top * room - 1


def test_words_are_apart_at_the_narrowest():
    second = normal(Z, -1, 0.6)
    path = np.array([[mean, sd] for mean in np.linspace(-9, 9, 19) for sd in (0.3, 0.8, 1.4, 4.0)])
    film, *_ = drawn(path, second=second, second_label="second q\nN(−1.00, 0.60²)\nKL 3.10")
    wide, room = 490 - 50 - 12, 0.73 * (338 - 8 - 34)
    top = film.figure.layout.yaxis.range[1]

    def box(note):
        text = re.sub("<span[^>]*>|</span>", "", note.text).split("<br>")
        size = 6.2 * max(map(len, text))
        x = (note.x + 8) / 16 * wide + note.xshift
        left = x - {"left": 0, "center": 0.5, "right": 1}[note.xanchor] * size
        y, half = note.y / top * room, 8 * len(text)
        return left, left + size, y - half, y + half

    for frame in range(film.count):
        notes = film.at(frame).layout.annotations[:3]
        boxes = [box(note) for note in notes]
        for left, right, bottom, above in boxes:
            assert left >= -1 and right <= wide + 1 and bottom >= -1 and above <= room + 1
        for i, one in enumerate(boxes):
            for two in boxes[:i]:
                apart = one[0] >= two[1] or two[0] >= one[1] or one[2] >= two[3] - 1 or two[2] >= one[3] - 1
                assert apart, (path[frame], notes[i].text)


def test_nothing_about_q_is_told_while_it_is_guessed():
    options = {
        "second": normal(Z, -4, 0.3),
        "second_label": "second q\nN(−4.00, 0.30²)",
        "hide_numbers": True,
    }
    film, *_ = drawn(**options)
    for frame in range(film.count):
        figure = film.at(frame)
        assert not any(re.search(r"\d", re.sub("<[^>]*>", "", text)) for text in words(figure))
        assert list(figure.layout.yaxis2.ticktext) == ["", "0", ""]
    assert {"second q", "q log(q/p), area = KL"} <= {text.split("<br>")[0] for text in words(figure)}


def test_the_words_of_q_in_lines_lose_their_numbers_too_while_it_is_guessed():
    q = normal(Z, 2, 1)
    bell = Bell(U, np.exp(-0.5 * U**2), np.array([[2.0, 1.0, PEAK]]))
    options = {"q_label": ["q(z)\nmean 2.00, sd 1.00"], "kl": [0.5], "hide_numbers": True}
    film, _ = picture(Z, SKEWED, q[None], q[None] - SKEWED, [bell], **options)
    assert labelled(film.at(0), "q(z)").text == "q(z)"


@BOTH
def test_infinite_and_missing_values_are_drawn(dark):
    posterior = np.where(np.abs(Z) < 2, 0.25, 0.0)  # KL(q || p) is infinite
    film, *_, kl = drawn(posterior=posterior, dark=dark)
    assert np.isinf(kl).all()
    assert_sound(film, dark)
    assert "q log(q/p), area = KL = ∞" in words(film.at(0))
    assert_sound(drawn(posterior=np.where(Z == 0, np.inf, SKEWED))[0], False)
    exact = normal(Z, 1.0, 0.5)
    assert_sound(drawn(np.array([[1.0, 0.5]]), posterior=exact)[0], False)


# ---- the landscape ----

MEANS, SDS = np.linspace(-6, 7, 40), np.geomspace(0.2, 4, 30)
ELBO = -3.2 - (((MEANS - 2) ** 2 + SDS[:, None] ** 2) / 4 - 0.5 - np.log(SDS[:, None] / 2**0.5))


@BOTH
def test_landscape_frames(dark):
    ways = np.stack([PATH[::-1], PATH + 0.3])
    options = {"others": ways, "best": (2.0, 1.41), "best_label": "best, KL 0.022"}
    film = landscape(MEANS, SDS, ELBO, PATH, log_evidence=-3.2, dark=dark, **options)
    assert_sound(film, dark)
    contour, first, second, path, start, cross, _ = film.at(0).data
    assert [list(t.x) for t in (first, second)] == [way[:, 0].tolist() for way in ways]
    np.testing.assert_allclose(np.stack([path.x, path.y], 1), PATH)
    assert (start.x[0], start.y[0]) == tuple(PATH[0]) and (cross.x[0], cross.y[0]) == (2.0, 1.41)
    assert {"start", "× best, KL 0.022"} <= set(words(film.at(0)))
    for frame in range(len(PATH)):
        here = film.at(frame).data[-1]
        assert (here.x[0], here.y[0]) == pytest.approx(tuple(PATH[frame]), rel=1e-6)
    assert contour.customdata[3][4] == theme.number(ELBO[3, 4], 3)


@BOTH
def test_no_contour_strikes_through_the_words_on_the_landscape(dark):
    film = landscape(MEANS, SDS, ELBO, PATH, log_evidence=-3.2, best=(2.0, 1.41), dark=dark)
    assert labelled(film.at(0), "× best").bgcolor == theme.tokens(dark).bg


def test_landscape_contours_are_at_round_kls_and_higher_is_better():
    contour = landscape(MEANS, SDS, ELBO, PATH, log_evidence=-3.2).at(0).data[0]
    kl, depth = (-3.2 - ELBO).ravel(), np.array(contour.z).ravel()
    order = np.argsort(kl)
    assert np.all(np.diff(depth[order]) <= 0)
    count = contour.contours.end + 1
    assert 6 <= count <= 10 and (contour.contours.start, contour.contours.size) == (0, 1)
    for level in range(count):
        edge = kl[depth < level].min(), kl[depth >= level].max()
        between = [f * 10.0**p for p in range(-3, 4) for f in (1, 1.5, 2, 3, 5, 7)]
        assert any(edge[1] <= value * 1.001 and value <= edge[0] * 1.001 for value in between)
    assert [tuple(stop) for stop in contour.colorscale] == list(theme.LIGHT.landscape)


def test_landscape_axes_end_with_the_grid_and_sd_is_logarithmic():
    layout = landscape(MEANS, SDS, ELBO, PATH, log_evidence=-3.2).figure.layout
    assert list(layout.xaxis.range) == [-6, 7] and layout.yaxis.type == "log"
    assert layout.yaxis.range == pytest.approx((math.log10(0.2), math.log10(4)))
    assert layout.yaxis.ticktext == ("0.2", "0.5", "1", "2")
    for low, high in ((0.001, 100.0), (0.5, 0.8), (0.01, 0.05)):
        sds = np.geomspace(low, high, 30)
        ticks = landscape(MEANS, sds, ELBO, PATH, log_evidence=-3.2).figure.layout.yaxis.tickvals
        assert 2 <= len(ticks) <= 6 and all(low <= tick <= high for tick in ticks)


def test_landscape_names_a_q_that_is_off_the_picture():
    path = np.array([[-12.0, 0.05], [2.0, 1.0], [9.0, 30.0]])
    film = landscape(MEANS, SDS, ELBO, path, log_evidence=-3.2)
    said = ["← mean −12.00, ↓ sd 0.05", None, "mean 9.00 →, ↑ sd 30"]
    for frame, word in enumerate(said):
        here, notes = film.at(frame).data[-1], words(film.at(frame))
        assert -6 <= here.x[0] <= 7 and 0.2 - 1e-6 <= here.y[0] <= 4 + 1e-6
        assert word in notes if word else not any("sd" in text for text in notes)
    odd = np.where(ELBO < -20, -np.inf, ELBO)
    assert_sound(landscape(MEANS, SDS, odd, path, log_evidence=-3.2), False)
    alone = landscape(MEANS, SDS, ELBO, path[1:2], log_evidence=-3.2)
    assert len(alone.figure.data) == 2 and not words(alone.at(0))


# ---- over the iterations ----

RISE = -3.2 - 11 * np.exp(-np.arange(41) / 8)


@BOTH
def test_trace_frames(dark):
    others = np.stack([RISE - 1, RISE - 2])
    film = trace(RISE, -3.2, others=others, dark=dark)
    assert_sound(film, dark)
    low, high = film.figure.layout.yaxis.range
    assert low < others.min() and high > -3.2
    gap, first, second, level, elbo, *_ = film.at(0).data
    assert list(elbo.y) == RISE.tolist() and list(level.y) == [-3.2, -3.2]
    assert [list(first.y), list(second.y)] == others.tolist()
    assert gap.fillcolor == theme.fill(theme.tokens(dark).gap, 0.12)
    turns = np.array(gap.x), np.array(gap.y)
    area = abs(np.dot(turns[0], np.roll(turns[1], -1)) - np.dot(turns[1], np.roll(turns[0], -1))) / 2
    assert area == pytest.approx(np.trapezoid(-3.2 - RISE), rel=1e-9)
    for frame in (0, 7, 40):
        figure = film.at(frame)
        ring = figure.data[-1]
        assert (ring.x[0], ring.y[0]) == pytest.approx((frame, RISE[frame]), rel=1e-6)
        told = f"ELBO {theme.number(RISE[frame], 3)} after {frame}"
        assert {told, "log p(x) = −3.200", "KL(q‖p)"} <= set(words(figure))


@BOTH
def test_trace_with_a_monte_carlo_band(dark):
    errors = np.linspace(0.5, 0.1, 41)
    noisy = RISE + errors * np.random.default_rng(0).standard_normal(41)
    film = trace(noisy, -3.2, standard_errors=errors, name="IWAE-5", dark=dark)
    assert_sound(film, dark)
    band = film.at(0).data[1]
    np.testing.assert_allclose(band.y[:41], noisy + 2 * errors)
    np.testing.assert_allclose(band.y[41:], (noisy - 2 * errors)[::-1])
    assert film.figure.layout.yaxis.range[1] > (noisy + 2 * errors).max()
    assert f"IWAE-5 {theme.number(noisy[3], 3)} ± {errors[3]:.3f}<br>after 3" in words(film.at(3))


def test_a_wild_start_leaves_the_picture_and_says_so():
    wild = np.concatenate([[-np.inf, -9000.0, -300.0], RISE, [np.nan]])
    film = trace(wild, -3.2)
    assert_sound(film, False)
    low, high = film.figure.layout.yaxis.range
    assert high - low < 20
    assert "ELBO −9000.000 ↓ after 1" in words(film.at(1)) and "ELBO −∞ ↓ after 0" in words(film.at(0))
    assert low <= film.at(1).data[-1].y[0] <= high
    full = trace(RISE - 1, -3.2).figure.layout.yaxis.range
    assert full[0] < RISE.min() - 1, "an ordinary start is shown whole"


@pytest.mark.parametrize(
    ("deep", "told"),
    [
        (-129867.3, "−100k"),
        (-40.0, "−40"),
        (-9000.0, "−8000"),
        (-3.4e6, "−2M"),
        (-6.9e9, "−6·10<sup>9</sup>"),
    ],
)
def test_no_tick_is_so_long_that_it_meets_the_axis_title(deep, told):
    layout = trace(np.array([-5.2, deep, deep, deep]), -3.2).figure.layout
    assert told in layout.yaxis.ticktext, layout.yaxis.ticktext
    shown = [re.sub("<[^>]*>", "", text) for text in layout.yaxis.ticktext]
    assert layout.margin["l"] >= 4 + 6 + 12 + 5.5 * max(map(len, shown))
    assert len(set(layout.yaxis.ticktext)) == len(shown)


def test_a_flat_trace_has_room_for_its_many_decimals():
    layout = trace(np.full(50, -3.2), -3.2).figure.layout
    assert layout.margin["l"] >= 4 + 6 + 12 + 5.5 * max(map(len, layout.yaxis.ticktext)) > 50


@pytest.mark.parametrize("elbo", [[-3.231], [-3.2, -3.2], [-3.2] * 50, [-14.0, -3.3, -3.2]])
def test_short_and_flat_traces(elbo):
    film = trace(np.array(elbo), -3.2)
    assert_sound(film, False)
    low, high = film.figure.layout.yaxis.range
    assert low < min(elbo) + 1e-9 and high > -3.2
    assert len(film.figure.layout.yaxis.tickvals) >= 3
