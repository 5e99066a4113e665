"""Figures say what the arrays say: heights in proportion, labels apart, frames that are their film's."""

import math

import numpy as np
import pytest

from lvmviz.divergences import Decomposition
from lvmviz.figures import mixtures, theme
from lvmviz.figures.bounds import bound_chart
from lvmviz.figures.map import Node, intractable_map
from lvmviz.figures.mixtures import MOST_POINTS, Shown, drawn, plain
from lvmviz.figures.steps import trace_chart
from lvmviz.figures.thermometer import thermometer
from lvmviz.summaries.em import Densities

BOTH = pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
ALL = pytest.mark.parametrize("presentation", ["I", "II", "III", "Σ"])


def terms(evidence, kl, entropy=0.7, kl_prior=0.4):
    """A decomposition that adds up."""
    elbo = evidence - kl
    return Decomposition(evidence, elbo, kl, elbo - entropy, entropy, elbo + kl_prior, kl_prior)


STEPS = [terms(-2.8, 0.5), terms(-2.8, 0.0), terms(-2.2, 0.08), terms(-2.2, 0.0), terms(-1.9656, 0.0625)]
ODD = [
    terms(-1234.56, 5.5),
    terms(-543.21, 0.01),
    terms(0.0, 0.031),
    terms(0.0, 11.057, kl_prior=12.0),
    terms(2.0, 0.5, entropy=-1.2),
    Decomposition(-27.15, -math.inf, math.inf, -math.inf, 1.2, -math.inf, 3.0),
    Decomposition(math.nan, math.nan, math.nan, 0.0, 0.0, 0.0, 0.0),
]


# ---- reading a figure ----


def words(figure):
    """Every trace of words as (text, y) pairs."""
    return [list(zip(t.text, t.y, strict=True)) for t in figure.data if t.mode == "text"]


def polygons(figure, kind):
    """The lower and upper edge of every drawn polygon with a pattern, or with a gradient."""
    drawn = [
        t for t in figure.data if t.fill == "toself" and bool(t.fillpattern.shape) == (kind == "pattern")
    ]
    return [(min(t.y), max(t.y)) for t in drawn if min(t.y) >= 0]


def numbers(values):
    """A trace's coordinates without its breaks."""
    return [value for value in values if value is not None]


def finite(value):
    """Whether a JSON value holds only finite numbers."""
    if isinstance(value, dict):
        return all(finite(part) for part in value.values())
    if isinstance(value, (list, tuple, np.ndarray)):
        return all(finite(part) for part in value)
    return not isinstance(value, float) or math.isfinite(value)


def assert_frames(film):
    """The figure is the first frame; every frame has its own values, all of them finite."""
    first, made = film.at(0).to_plotly_json(), film.figure.to_plotly_json()
    for one, other in zip(first["data"], made["data"], strict=True):
        assert one.keys() == other.keys()
        for axis in {"x", "y"} & one.keys():
            assert numbers(one[axis]) == pytest.approx(numbers(other[axis]), rel=1e-5, abs=1e-3)
        assert one.get("text") is None or list(one["text"]) == list(other["text"]) or other["text"] == ""
    for frame in range(film.count):
        assert finite(film.at(frame).to_plotly_json())


# ---- the thermometer ----


@ALL
@BOTH
def test_thermometer_frames(presentation, dark):
    assert_frames(thermometer(STEPS, presentation=presentation, dark=dark))
    for odd in ODD:
        assert_frames(thermometer([odd], presentation=presentation, dark=dark))


@ALL
def test_labels_are_apart_and_inside(presentation):
    films = [thermometer([odd], presentation=presentation, height=210) for odd in ODD]
    films.append(thermometer(STEPS, presentation=presentation, height=210))
    for film in films:
        for frame in range(film.count):
            _, names, numbers = words(film.at(frame))
            heights = np.sort([y for _, y in names])
            assert np.all(np.diff(heights) >= 38 - 1e-3)
            assert heights[-1] <= 210 - 8 and min(y for _, y in numbers) >= 8


@ALL
def test_every_term_is_named_with_its_number(presentation):
    film = thermometer(STEPS, presentation=presentation, decimals=4, names={"kl": "KL/N"})
    _, names, numbers = words(film.at(4))
    fields = {
        "I": ("joint", "entropy"),
        "II": ("likelihood", "kl_prior"),
        "III": (),
        "Σ": ("likelihood", "kl_prior"),
    }
    for field in ("log_evidence", "elbo", "kl", *fields[presentation]):
        told = theme.number(getattr(STEPS[4], field), 4)
        assert any(text.startswith(told + "<span") for text, _ in numbers), field
    assert len(names) == len(numbers) == 3 + len(fields[presentation])
    assert any(text.endswith("KL/N") for text, _ in names)


def test_the_numbers_of_the_mock_up():
    """Evidence -1.9656, KL .0625: the span is 0.2, so the gap takes 31 % of the bar."""
    figure = thermometer([terms(-1.9656, 0.0625)], decimals=4).at(0)
    (gap,), (bar,) = polygons(figure, "pattern"), polygons(figure, "gradient")
    room = gap[1] - bar[0]
    assert (gap[1] - gap[0]) / room == pytest.approx(0.0625 / 0.2, rel=1e-4)
    assert gap[0] == pytest.approx(bar[1])
    ticks = {text: y for text, y in words(figure)[0] if text and y > 0}
    assert set(ticks) == {"−2.00", "−2.05", "−2.10", "−2.15"}
    scale = room / 0.2
    for text, y in ticks.items():
        assert y == pytest.approx(gap[1] - scale * (-1.9656 - float(text.replace("−", "-"))), abs=1e-3)


def test_bar_heights_are_in_proportion_in_every_presentation():
    figure = thermometer([terms(-2.0, 0.3, entropy=0.7)], presentation="I").at(0)
    (gap,) = polygons(figure, "pattern")
    bar, joint = polygons(figure, "gradient")
    assert (bar[1] - joint[1]) / (gap[1] - gap[0]) == pytest.approx(0.7 / 0.3, rel=1e-4)
    figure = thermometer([terms(-2.0, 0.3, kl_prior=0.9)], presentation="Σ").at(0)
    gap, prior = polygons(figure, "pattern")
    assert (prior[1] - prior[0]) / (gap[1] - gap[0]) == pytest.approx(0.9 / 0.3, rel=1e-4)
    assert prior[1] - gap[1] == pytest.approx(
        (gap[1] - gap[0]) * 2, rel=1e-4
    )  # E[log p(x|z)] is .6 above log p


def test_a_closed_gap_is_not_drawn_and_a_small_one_stays_visible():
    film = thermometer([terms(-2.0, 0.5), terms(-2.0, 0.0), terms(-2.0, 3e-5)])
    assert polygons(film.at(1), "pattern") == []
    ((low, high),) = polygons(film.at(2), "pattern")
    assert high - low >= 2.0 - 1e-3


def test_the_floor_keeps_still_while_the_gap_stays_between_8_and_60_percent():
    def span(film, frame):
        (gap,), (bar,) = polygons(film.at(frame), "pattern"), polygons(film.at(frame), "gradient")
        return kls[frame] * (gap[1] - bar[0]) / (gap[1] - gap[0])

    kls = [0.4, 0.5, 0.12, 0.09, 0.55, 0.07, 1.0]
    film = thermometer([terms(-3.0, kl) for kl in kls])
    made = [span(film, frame) for frame in range(len(kls))]
    assert made == pytest.approx([1, 1, 1, 1, 1, 0.2, 5], rel=1e-3)
    closed = thermometer([terms(-3.0, kl) for kl in (0.4, 0.0, 0.3)])
    assert words(closed.at(0))[0] == words(closed.at(1))[0], "a closed gap leaves the axis alone"


def test_an_infinite_gap_fills_the_bar_with_an_arrow_and_its_sign():
    figure = thermometer([ODD[5]]).at(0)
    ((low, high),) = polygons(figure, "pattern")
    arrow = next(t for t in figure.data if t.marker.symbol == "triangle-down")
    assert low < arrow.y[0] < low + 10 and high - low > 200
    assert any(text.startswith("∞<span") for text, _ in words(figure)[2])
    shown = thermometer(STEPS).at(0)
    assert next(t for t in shown.data if t.marker.symbol == "triangle-down").y[0] < 0


def test_tick_labels_fit_the_gutter():
    for odd in (*ODD, terms(-99999.5, 1e-3), terms(-1.5477, 4e-9)):
        for text, y in words(thermometer([odd]).at(0))[0]:
            assert y < 0 or len(text.replace(".", "")) <= 6, text
    assert any(y > 0 for _, y in words(thermometer([terms(-99000.5, 1e-3)]).at(0))[0])


def thin(figure, kind):
    """The edges of the second bar's piece."""
    drawn = [
        t for t in figure.data if t.fill == "toself" and bool(t.fillpattern.shape) == (kind == "pattern")
    ]
    (found,) = [t for t in drawn if 91.9 < min(t.x) and max(t.x) < 108.1 and min(t.y) >= 0]  # 40 + 44 + 8, 16
    return min(found.y), max(found.y)


@BOTH
def test_a_second_q_shares_the_axis(dark):
    figure = thermometer([terms(-2.0, 0.3)], second=terms(-2.0, 0.7), dark=dark).at(0)
    first, second = polygons(figure, "pattern")
    assert thin(figure, "pattern") == second and thin(figure, "gradient")[1] == pytest.approx(second[0])
    assert first[1] == second[1]  # both hang from the evidence
    assert (second[1] - second[0]) / (first[1] - first[0]) == pytest.approx(0.7 / 0.3, rel=1e-4)
    ticks, names, numbers = words(figure)
    named = {text: number for (text, _), (number, _) in zip(names, numbers, strict=True)}
    assert named["KL of second q"].startswith("0.700<span") and named["KL(q‖p)"].startswith("0.300<span")
    hatches = {t.fillpattern.shape for t in figure.data if t.fill == "toself" and t.fillpattern.shape}
    assert len(hatches) == 2, "its own hatch"
    evidence = next(t for t in figure.data if t.line.width == 2 and t.mode == "lines")
    assert max(evidence.x) >= 108


def test_a_second_q_far_away_is_cut_off_and_says_so():
    figure = thermometer([terms(-2.0, 0.05)], second=terms(-2.0, 40.0)).at(0)
    low, high = thin(figure, "pattern")
    assert low == 6 and any(text.startswith("40.000<span") for text, _ in words(figure)[2])
    arrows = [t for t in figure.data if t.marker.symbol == "triangle-down"]
    assert [t.y[0] > 0 for t in arrows] == [False, True]
    first = next(edges for edges in polygons(figure, "pattern") if edges[0] > 6)
    assert first[1] - first[0] >= 0.04 * (high - low), "the first gap stays in sight"
    endless = Decomposition(-2.0, -math.inf, math.inf, -math.inf, 1.2, -math.inf, 3.0)
    figure = thermometer([terms(-2.0, 0.05)], second=endless).at(0)
    assert thin(figure, "pattern")[0] == 6 and any(text.startswith("∞<span") for text, _ in words(figure)[2])


def test_a_closed_gap_beside_a_second_q_leaves_the_axis_to_it():
    figure = thermometer([terms(-2.0, 0.0)], second=terms(-2.0, 0.7)).at(0)
    low, high = thin(figure, "pattern")
    assert high - low > 0.3 * 194


@ALL
def test_a_second_q_is_in_every_frame_and_only_where_the_thin_bar_is_free(presentation):
    film = thermometer(STEPS, second=STEPS[0], presentation=presentation)
    assert_frames(film)
    told = [text for text, _ in words(film.at(0))[1]]
    assert (presentation == "III") == any("second" in text for text in told)
    for frame in range(film.count):
        heights = np.sort([y for _, y in words(film.at(frame))[1]])
        assert np.all(np.diff(heights) >= 38 - 1e-3)


# ---- mixtures ----


def scene(frames=3, count=40, groups=3, seed=0):
    """Points, q, ellipses and weights of a made-up run."""
    rng = np.random.default_rng(seed)
    points = rng.standard_normal((count, 2)) * [3, 1]
    resp = rng.dirichlet(np.ones(groups), (frames, count))
    maps = rng.standard_normal((frames, groups, 6))
    return points, resp, maps, rng.dirichlet(np.ones(groups), frames)


def picture(points, resp, maps, weights, *, columns, dark=False, **known):
    return mixtures.picture(points, Shown(resp, weights, **known), maps, columns=columns, dark=dark)


def dots(figure):
    return next(t for t in figure.data if t.hovertext is not None and t.mode == "markers")


@BOTH
@pytest.mark.parametrize("groups", [1, 3, 20])
def test_picture_frames(dark, groups):
    points, resp, maps, weights = scene(groups=groups)
    film = picture(points, resp, maps, weights, columns=["a", "b"], dark=dark)
    assert_frames(film)
    for frame in range(3):
        figure = film.at(frame)
        mixed = theme.mix(resp[frame], dark)
        assert list(dots(figure).marker.color) == [f"rgb({r},{g},{b})" for r, g, b in mixed.tolist()]
        discs = [t for t in figure.data if t.mode == "markers+text"]
        assert [t.text[0] for t in discs] == [str(k + 1) for k in range(groups)]
        np.testing.assert_allclose([t.x[0] for t in discs], maps[frame, :, 0], rtol=1e-6)
        np.testing.assert_allclose([t.customdata[0] for t in discs], weights[frame], rtol=1e-6)


def test_outer_ellipses_are_twice_the_inner_ones():
    points, resp, maps, weights = scene(groups=1)
    outer, inner = [
        t for t in picture(points, resp, maps, weights, columns="ab").at(2).data if t.fill == "toself"
    ]
    centre = maps[2, 0, [0, 3]]
    far, near = (np.stack([t.x, t.y], 1) - centre for t in (outer, inner))
    np.testing.assert_allclose(far, 2 * near, atol=1e-5)
    assert (outer.line.width, inner.line.width) == (1.25, 2.25)


def test_the_range_is_the_datas_and_zooming_stays():
    points, resp, maps, weights = scene()
    film = picture(points, resp, 100 * maps, weights, columns=["a", "b"])
    for axis, values in (("xaxis", points[:, 0]), ("yaxis", points[:, 1])):
        low, high = film.figure.layout[axis].range
        pad = 0.06 * np.ptp(values)
        assert (low, high) == pytest.approx((values.min() - pad, values.max() + pad))
        assert film.figure.layout[axis].fixedrange is False
    assert film.figure.layout.dragmode == "zoom" and film.figure.layout.uirevision
    assert not any("range" in key for move in film.moves for key in move["keys"])


def test_hover_names_row_label_and_the_likeliest_components():
    points, resp, maps, weights = scene()
    resp[1, 5] = [0.08, 0.9, 0.02]
    labels = np.array([0, 1] * 20)
    film = picture(points, resp, maps, weights, columns=["a", "b"], labels=labels, label_names=("no", "yes"))
    shown = dots(film.at(1))
    assert shown.hovertext[5] == "row 6, yes"
    assert shown.text[5] == "<br>q(2) = 0.90<br>q(1) = 0.08"
    assert "a %{x}" in shown.hovertemplate and "b %{y}" in shown.hovertemplate


def test_a_persons_own_words_stay_words():
    assert plain("<b>%{x}</b> & y") == "&lt;b&gt;%&#123;x}&lt;/b&gt; &amp; y"
    points, resp, maps, weights = scene()
    film = picture(points, resp, maps, weights, columns=["<a href='x'>", "%{text}"], label_names=())
    assert "<a" not in film.figure.layout.xaxis.title.text
    assert "<a" not in dots(film.at(0)).hovertemplate
    assert dots(film.at(0)).hovertemplate.count("%{text}") == 1


def test_many_points_are_drawn_in_part_with_a_note():
    rows, note = drawn(5000)
    assert len(set(rows.tolist())) == MOST_POINTS and rows.max() < 5000 and "5,000" in note
    assert np.array_equal(rows, drawn(5000)[0]), "always the same ones"
    assert drawn(MOST_POINTS)[1] == ""
    points, resp, maps, weights = scene(frames=2, count=5000)
    shown = dots(picture(points, resp, maps, weights, columns=["a", "b"]).at(1))
    assert len(shown.x) == MOST_POINTS
    assert shown.hovertext[-1] == f"row {rows[-1] + 1}"
    assert tuple(theme.mix(resp[1, rows[7]], False)) == tuple(
        map(int, shown.marker.color[7][4:-1].split(","))
    )


def test_collapsed_components_lose_their_colour_and_clicks_are_crosses():
    points, resp, maps, weights = scene()
    gone = np.zeros((3, 3), bool)
    gone[2, 1] = True
    film = picture(
        points,
        resp,
        maps,
        weights,
        columns=["a", "b"],
        collapsed=gone,
        clicked=np.array([[0.0, 1.0], [2.0, 3.0]]),
    )
    before, after = film.at(1), film.at(2)
    outlines = [[t for t in figure.data if t.fill == "toself"][2:4] for figure in (before, after)]
    assert {t.line.dash for t in outlines[0]} == {"solid"} and {t.line.dash for t in outlines[1]} == {
        "4px,3px"
    }
    assert {t.line.color for t in outlines[1]} == {theme.LIGHT.text}
    notes = [figure.layout.annotations[0] for figure in (before, after)]
    assert [note.visible for note in notes] == [False, True] and notes[1].text == "collapsed"
    assert notes[1].x == maps[2, 1, 0]
    crosses = next(t for t in after.data if t.marker.symbol == "x-thin")
    assert list(crosses.x) == [0, 2] and crosses.marker.line.color == theme.LIGHT.text


@BOTH
def test_picture_1d_frames(dark):
    points, resp, _, weights = scene()
    grid = np.tile(np.linspace(-3, 3, 21), (3, 1))
    bells = np.zeros((3, 3, 6))
    bells[..., 0], bells[..., 1], bells[..., 5] = [-1, 0, 1], 0.5, [0.3, 0.2, 9.0]
    marginal = np.abs(grid) + np.arange(3)[:, None]
    densities = Densities(grid, marginal, bells)
    film = mixtures.picture_1d(points[:, 0], Shown(resp, weights), densities, column="a", dark=dark)
    assert_frames(film)
    figure = film.at(2)
    sum_ = next(t for t in figure.data if t.line.color == theme.tokens(dark).posterior)
    np.testing.assert_allclose(sum_.y, marginal[2], rtol=1e-6)
    bell = next(t for t in figure.data if t.fill == "tozeroy")
    assert max(bell.y) == pytest.approx(0.3) and bell.x[int(np.argmax(bell.y))] == pytest.approx(-1)
    discs = [t for t in figure.data if t.mode == "markers+text"]
    assert all(t.y[0] < figure.layout.yaxis.range[1] for t in discs)
    assert any(text.strip() == "peak 9.0 ↑" for t in figure.data if t.mode == "text" for text in t.text)
    rug = dots(figure)
    assert max(rug.y) < 0 and rug.marker.symbol == "line-ns"


# ---- the bound ----

MOVED = ["start", "E", "M", "E", "M", "E", "M"]
LOG_LIK = np.array([-9.0, -9.0, -2.4, -2.4, -2.2, -2.2, -2.1])
ELBO = np.array([-12.0, -9.0, -2.6, -2.4, -2.25, -2.2, -2.15])


@BOTH
def test_trace_chart_frames(dark):
    film = trace_chart(LOG_LIK, ELBO, [0, 1, 1, 2, 2, 3, 3], MOVED, dark=dark)
    assert_frames(film)
    colours = theme.tokens(dark)
    lines = {t.line.color: t for t in film.figure.data if t.mode == "lines"}
    assert list(lines[colours.posterior].y) == LOG_LIK.tolist()
    assert list(lines[colours.q_mark].x) == [0.5, 1, None, 1.5, 2, None, 2.5, 3, None]
    assert list(lines[colours.theta_mark].y)[:3] == [-9.0, -2.6, None]
    gap = next(t for t in film.figure.data if t.fill == "toself")
    assert gap.fillcolor == theme.fill(colours.gap, 0.12)


def test_trace_chart_marks_the_step():
    film = trace_chart(LOG_LIK, ELBO, [0, 1, 1, 2, 2, 3, 3], MOVED)
    for frame, x in enumerate([0.5, 1, 1.5, 2, 2.5, 3, 3.5]):
        figure = film.at(frame)
        ring = [t for t in figure.data if t.mode == "markers"][-1]
        assert ring.x[0] == x and ring.y[0] == pytest.approx(ELBO[frame], rel=1e-12)
    told = [film.at(frame).layout.annotations[-1].text for frame in (0, 1, 4)]
    assert told == ["start", "iteration 1, after E", "iteration 2, after M"]


def test_a_short_trace_is_seen_whole_and_a_long_one_through_a_window_that_holds_the_step():
    def views(count):
        x = np.arange(2 * count + 1)
        log_lik = -1.0 - 3.0 * 0.8**x
        moved = ["start", *["E", "M"] * count]
        film = trace_chart(log_lik, log_lik - 0.1, [(i + 1) // 2 for i in x.tolist()], moved)
        return [
            (film.at(t).layout.xaxis.range, film.at(t).layout.yaxis.range, log_lik[t]) for t in x.tolist()
        ]

    assert len({across for across, _, _ in views(6)}) == 1
    long = views(40)
    assert len({across for across, _, _ in long}) > 3
    for t, ((left, right), (low, high), top) in enumerate(long):
        assert left <= (t + 1) // 2 + (0.5 if t % 2 == 0 else 0.0) <= right and right - left < 13
        assert low <= top - 0.1 and top <= high, "the step is in view"


def test_trace_chart_of_one_step():
    assert_frames(trace_chart(LOG_LIK[:1], ELBO[:1], [0], ["start"]))


@BOTH
def test_bound_chart_frames(dark):
    grid = np.linspace(-1, 2, 31)
    curve = np.stack([-0.3 * grid**2 - 2, -0.3 * grid**2 - 1, -0.3 * grid**2 - 1])
    bound = curve - np.stack([(grid - 0.5) ** 2 + 0.2, (grid - 0.5) ** 2, (grid - 1) ** 2])
    at = np.array([0.5, 0.5, 1.0])
    curve_at, bound_at = -0.3 * at**2 - [2, 1, 1], -0.3 * at**2 - [2.2, 1, 1]
    film = bound_chart(grid, curve, bound, at, curve_at, bound_at, name="mean", dark=dark)
    assert_frames(film)
    for frame in range(3):
        figure = film.at(frame)
        low, high = figure.layout.yaxis.range
        full, dashed = [t for t in figure.data if t.mode == "lines" and t.fill is None]
        assert (full.line.dash, dashed.line.dash) == (None, "5px,4px")
        assert np.all(np.array(dashed.y) <= np.array(full.y) + 1e-6)
        np.testing.assert_allclose(full.y, curve[frame], rtol=1e-6)
        ring = figure.data[-1]
        assert (ring.x[0], ring.y[0]) == pytest.approx((at[frame], bound_at[frame]))
        assert low < bound_at[frame] <= curve_at[frame] < high and curve[frame].max() < high
        gap = next(t for t in figure.data if t.fill == "toself")
        assert max(gap.y) == pytest.approx(curve_at[frame]) and min(gap.y) == pytest.approx(bound_at[frame])
        assert figure.layout.annotations[-1].text == ("KL/N 0.2000" if frame == 0 else "touches")
    assert film.at(1).layout.yaxis.range == film.at(2).layout.yaxis.range, "the axis keeps still"


# ---- the map ----


@BOTH
def test_only_pages_that_exist_lead_somewhere(dark):
    nodes = [
        Node("Mixtures", "em", "mixtures"),
        Node("Gaps", "amortized", None),
        Node("Start", "evidence", "/"),
    ]
    figure = intractable_map(nodes, dark=dark)
    bars = {t.text[0]: t for t in figure.data if t.type == "bar"}
    assert bars["Mixtures"].customdata[0] == "mixtures" and bars["Start"].customdata[0] == "/"
    assert bars["Gaps"].customdata is None and "later" in bars["Gaps"].hovertemplate
    assert bars["Gaps"].insidetextfont.color == theme.tokens(dark).muted
    for bar in bars.values():
        assert 0 < bar.base[0] and bar.base[0] + bar.x[0] <= 1
    assert len({bar.y[0] for bar in bars.values()}) == 3, "one row a group"


def test_pages_of_one_group_do_not_overlap():
    nodes = [Node(str(i), "amortized", "x") for i in range(3)]
    bars = sorted((t.base[0], t.base[0] + t.x[0]) for t in intractable_map(nodes).data if t.type == "bar")
    assert all(right < left for (_, right), (left, _) in zip(bars, bars[1:], strict=False))


def test_an_unknown_group_is_refused():
    with pytest.raises(ValueError, match="choose from evidence"):
        intractable_map([Node("Mixtures", "nowhere", "mixtures")])
