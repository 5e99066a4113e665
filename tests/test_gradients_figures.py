"""What the page Gradients draws: exact variances, violins, curves, climbs, the map and the ratio."""

import dataclasses
import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from lvmviz import GaussianLatents, GradientAscents, GradientScatter, Job, NearPosterior, run
from lvmviz.affine_noise import PRESETS, Affine
from lvmviz.figures import gradient_curves as curves
from lvmviz.figures import gradients as figures
from lvmviz.figures import noise_map as map_figures
from lvmviz.figures.film import Film
from lvmviz.gradients import (
    Exact,
    GumbelSoftmax,
    NormalELBO,
    Reparameterized,
    ScoreFunction,
    StateSquare,
    StepUp,
    StickingTheLanding,
    StraightThrough,
    TargetELBO,
    Wiggly,
    integrals,
    log_evidence,
)
from lvmviz.gradients.lab import bias, lineup, moments
from lvmviz.gradients.rows import BASELINES
from lvmviz.summaries import before_the_trick, gradients, noise_map
from lvmviz.targets import Laplace
from lvmviz.ui import before_the_trick as trick_room
from lvmviz.ui import gradient_bench, gradient_climbs, gradient_lab, gradient_numbers
from lvmviz.ui import gradient_scenes as scenes
from lvmviz.ui import noise_map as map_room
from lvmviz.ui.derivation import agrees
from lvmviz.ui.derivation_gradients import lab_lines, map_lines, trick_lines
from lvmviz.ui.plot import film_text

MOST = 500_000  # bytes of a picture
MEANS, SDS = st.floats(-4, 4), st.floats(0.15, 3)
NONE, MEAN, OTHERS, OPTIMAL = (ScoreFunction(draws=10, baseline=name) for name in BASELINES)
PATH, LANDING = Reparameterized(draws=10), StickingTheLanding(draws=10)
SCATTERS = [
    GradientScatter(),
    GradientScatter(integrand=NormalELBO(log_evidence=-4.0), dimension=3, mean=0.7, sd=1.4),
    GradientScatter(integrand=Wiggly(frequency=6.0), mean=0.5),
    GradientScatter(integrand=StepUp(threshold=0.37), mean=0.2, sd=0.8),
    GradientScatter(integrand=TargetELBO(), sd=0.7),
    GradientScatter(integrand=TargetELBO(target=Laplace(), normalized=True), mean=0.6),
    GradientScatter(integrand=StateSquare(), mean=-1.0),
    GradientScatter(integrand=StateSquare(states=4, point=0.2), mean=0.5),
]
over_scatters = pytest.mark.parametrize("of", SCATTERS, ids=lambda of: repr(of.integrand))


def at(of: GradientScatter, which: int = 0) -> integrals.Integrals:
    return gradients.places(
        of.integrand, torch.tensor([of.mean], dtype=torch.float64), of.sd, of.dimension, which
    )


def bench(of: GradientScatter, which: str = "mean", chosen: int = 0) -> gradient_bench.Bench:
    trace = run(Job(of, steps=of.steps(), seed=3))
    index = 1 if which == "log sd" else 0
    return gradient_bench.Bench(of, trace, gradients.look(trace, index), which, chosen, False)


# ---- exact variances ----


@settings(max_examples=25)
@given(mean=MEANS, sd=SDS)
def test_a_square_s_variances_are_golden(mean, sd):
    found = at(GradientScatter(mean=mean, sd=sd))
    wanted = mean**4 / sd**2 + 14 * mean**2 + 15 * sd**2
    assert float(integrals.variance(NONE, found)) == pytest.approx(wanted, rel=1e-9)
    assert float(integrals.variance(PATH, found)) == pytest.approx(4 * sd**2, rel=1e-9)
    assert float(found.weighed) == pytest.approx(2 * mean, abs=1e-9)
    assert float(found.score) == pytest.approx(0.0, abs=1e-12)


def total(estimator, of: GradientScatter) -> float:
    """Over the mean and the log sd of every coordinate."""
    return of.dimension * sum(float(integrals.variance(estimator, at(of, which))) for which in (0, 1))


def test_the_surprises_are_golden():
    assert total(PATH, scenes.WIGGLY) / total(NONE, scenes.WIGGLY) == pytest.approx(188, rel=0.01)
    assert total(LANDING, scenes.FAR) / total(PATH, scenes.FAR) == pytest.approx(998, rel=0.002)
    modes = at(scenes.BASELINE)
    assert float(integrals.variance(NONE, modes)) == pytest.approx(3.04, abs=0.02)
    many = dataclasses.replace(OTHERS, draws=4096)
    assert float(integrals.variance(many, modes)) == pytest.approx(4.60, abs=0.06)


@over_scatters
@pytest.mark.parametrize("which", [0, 1])
def test_integrals_are_what_many_draws_say(of, which):
    """Means and variances of 100,000 draws, whose baselines are then at their limit."""
    if of.integrand.discrete and which:
        return
    found, q, count = at(of, which), of.q(), 100_000
    for estimator in lineup(of.integrand, 4096, of.temperature):
        aim, variance = gradients.aim_of(estimator, of, float(found.weighed), found)
        mean, spread = (
            part[which * q.dim] for part in moments(estimator, of.integrand, q, of.phi(), 5, count)
        )
        if getattr(estimator, "baseline", "") == "mean":
            aim = float(found.weighed)  # of so many draws
        if math.isfinite(aim):
            assert float(mean) == pytest.approx(aim, abs=5 * math.sqrt(float(spread) / count) + 1e-9)
            assert float(spread) == pytest.approx(variance, rel=0.06, abs=1e-9)


def test_few_draws_make_a_baseline_noisy():
    """S times the variance of estimates from S draws, with the mean's and the others' baseline."""
    for draws in (2, 3, 8):
        of = GradientScatter(integrand=TargetELBO(), draws=draws, repeats=10_000, mean=0.3)
        state = run(Job(of, steps=of.steps(), seed=1))[-1].state
        for i in (1, 2):
            exact = float(integrals.variance(of.estimators()[i], at(of)))
            assert draws * float(state.found[i, :, 0].var()) == pytest.approx(exact, rel=0.15)
    assert float(integrals.variance(ScoreFunction(draws=1, baseline="mean"), at(of))) == 0.0


def test_gumbel_s_mean_is_scipy_s_integral():
    of = GradientScatter(integrand=StateSquare(), mean=0.6, temperature=0.3)

    def row(x: float) -> float:
        soft = 1 / (1 + math.exp(-(0.6 + x) / 0.3))
        return stats.logistic.pdf(x) * 2 * (soft - 0.45) * soft * (1 - soft) / 0.3

    wanted = integrate.quad(row, -40, 40, points=[-0.6], limit=200)[0]
    mean, _ = integrals.softened(
        GumbelSoftmax(temperature=0.3), of.integrand, torch.tensor([0.6], dtype=torch.float64)
    )
    assert float(mean) == pytest.approx(wanted, abs=1e-9)
    assert integrals.softened(StraightThrough(), StateSquare(states=3), torch.zeros(1).double()) is None


# ---- a look ----


@over_scatters
@pytest.mark.parametrize("which", ["mean", "log sd"])
def test_a_look_is_its_trace(of, which):
    if of.integrand.discrete and which != "mean":
        return
    made = bench(of, which).look
    assert made.found.shape == (len(of.estimators()), 1000)
    for row, found in zip(made.rows, made.found, strict=True):
        assert (row.mean, row.variance) == pytest.approx((found.mean(), of.draws * found.var(ddof=1)))
        assert row.error == pytest.approx(stats.sem(found))
        assert row.why == bias(row.estimator, of.integrand)
        if math.isfinite(row.aim):
            assert abs(row.mean - row.aim) < 5 * row.error + 1e-9
            assert bool(row.why) == (row.aim != made.exact)


def test_at_the_posterior_only_reparameterization_scatters():
    made = bench(scenes.LANDING).look
    assert [bool(found.any()) for found in made.found] == [False] * 4 + [True, False]
    assert [row.exact_variance for row in made.rows] == pytest.approx([0, 0, 0, 0, 1, 0], abs=1e-20)


def test_a_scatter_comes_in_parts_and_ends():
    of = GradientScatter(draws=4096, dimension=100, repeats=10)
    assert of.chunk() == 1 and of.steps() == 9
    small = dataclasses.replace(of, draws=512, dimension=30, repeats=90)
    trace = run(Job(small, steps=small.steps(), seed=0))
    assert [snapshot.info.repeats for snapshot in trace] == list(range(11, 90, 11)) + [90]
    assert GradientScatter().steps() == 0
    assert Job(dataclasses.replace(of, repeats=1000), steps=499).long  # such a one belongs in the background


# ---- violins ----


def test_a_violin_is_scipy_s_density():
    found = np.random.default_rng(0).standard_normal((1, 400))
    (made,) = gradients.violins(found)
    scale = min(found.std(), np.ptp(np.quantile(found, [0.25, 0.75])) / 1.34)
    kernel = stats.gaussian_kde(found[0], bw_method=0.9 * scale * 400**-0.2 / found.std(ddof=1))
    wanted = kernel(made.level)
    assert made.width == pytest.approx(wanted / wanted.max(), abs=1e-9)


def test_estimates_that_agree_are_a_line():
    (made,) = gradients.violins(np.full((1, 50), 2.5))
    assert (made.level.tolist(), made.width.tolist()) == ([2.5], [1.0])


@over_scatters
def test_pictures_are_valid_small_and_tell_the_exact_gradient(of):
    made = bench(of)
    violins = gradient_lab.violins(made)
    words = [note.text for note in violins.checked().layout.annotations]
    assert f"exact {figures.told(made.look.exact)}" in words
    spans = ["q", "temperature"] if of.integrand.discrete else ["q", "dimension"]
    drawings = [violins, *(gradient_lab.variance(made, span) for span in spans)]
    for drawing in drawings:
        text = film_text(drawing, 1.0)
        assert len(text) < MOST and "NaN" not in text
        drawing.checked()
    shown = violins.checked()
    (line,) = shown.layout.shapes
    assert line.y0 == line.y1 == made.look.exact
    low, high = shown.layout.yaxis.range
    assert low < made.look.exact < high


def test_variance_curves_are_the_variances():
    of = GradientScatter(sd=0.8)
    found = gradients.over_mean(of, 0)
    wanted = found.x**4 / 0.64 + 14 * found.x**2 + 15 * 0.64
    assert found.variance[0] == pytest.approx(wanted, rel=1e-9)
    dims = gradients.over_dimension(of, 0)
    assert dims.x[-1] == 100 and dims.variance[4] == pytest.approx(4 * 0.64)
    assert dims.variance[0, 0] == pytest.approx(1 / 0.64 + 14 + 15 * 0.64)
    cool = gradients.over_temperature(GradientScatter(integrand=StateSquare()))
    assert np.ptp(cool.variance[:4], axis=1) == pytest.approx(0, abs=1e-12)
    assert (np.diff(cool.variance[4]) < 0).all()  # the warmer, the quieter


def test_what_is_zero_stands_at_the_foot_of_a_log_axis():
    line = curves.Curve("landing", "#123456", np.array([1.0, 0.0, 4.0]), 0.0)
    drawing = curves.variance(np.array([0.0, 1.0, 2.0]), [line], 1.0, axis="x", log=False).checked()
    foot = 10 ** drawing.layout.yaxis.range[0]
    assert drawing.data[0].y[1] == pytest.approx(foot, rel=1e-4) and drawing.data[1].y[0] == pytest.approx(
        foot
    )


@given(st.lists(st.floats(0, 150), min_size=1, max_size=9))
def test_names_keep_their_order_and_distance(wanted):
    places = curves.spread(wanted, 12.0, 150.0)
    order = np.argsort(wanted, kind="stable")
    assert (np.diff(np.array(places)[order]) >= 12.0 - 1e-9).all()
    assert max(places) <= 150.0 + 1e-9
    if min(np.diff(np.sort(wanted)), default=99.0) >= 12.0:
        assert places == pytest.approx(wanted)


@given(st.floats(-1e9, 1e9))
def test_numbers_are_told_in_three_digits(x):
    told = figures.told(x).replace("−", "-")
    assert float(told) == pytest.approx(x, rel=0.051 if "e" in told else 0.0051, abs=1e-12)
    brief = gradient_numbers.brief(x).replace("−", "-")
    assert float(brief) == pytest.approx(x, rel=0.051 if "e" in brief else 0.0051, abs=1e-12)
    assert "--" not in told and not told.startswith("-0.000")


@pytest.mark.parametrize(
    ("mean", "error", "told"),
    [(0.01969, 0.00123, ".0197 ± .0012"), (-2.0411, 0.058, "−2.041 ± .058"), (4.037, 1.99, "4.0 ± 2.0"),
     (0.0, 0.0, "0 ± 0"), (-0.5, 0.25, "−.50 ± .25"), (0.0176, 0.00021, ".0176 ± .0002")],
)  # fmt: skip
def test_a_mean_has_the_decimals_of_its_error(mean, error, told):
    assert gradient_numbers.with_error(mean, error) == told


# ---- climbs ----


def test_climbs_are_their_runs():
    made = bench(scenes.STRAIGHT, "logit", 5)
    twenty, alone = (run(job) for job in gradient_climbs.jobs(made, 10.0))
    film = gradient_climbs.film(made, twenty, alone)
    assert isinstance(film, Film) and len(film_text(film, 1.0)) < MOST
    values = gradients.values(twenty)
    assert values.shape == (101, 20) and values[-1].mean() == pytest.approx(twenty[-1].info.mean)
    last = film.at(100).layout.annotations[0].text
    assert last == f"straight: {figures.told(values[-1].mean())}, sd {figures.told(values[-1].std(ddof=1))}"
    assert float(alone[-1].info.mean) < 0.206 < 0.225 < values[-30:].mean() < 0.26  # it never decides


def test_a_distance_is_lowered_and_an_elbo_raised():
    for of, downwards in ((SCATTERS[0], True), (SCATTERS[4], False), (SCATTERS[6], True)):
        made = gradients.ascents(of, Exact(), 0.1)
        assert isinstance(made, GradientAscents) and made.downwards == downwards


# ---- derivations ----


@over_scatters
@pytest.mark.parametrize("which", ["mean", "log sd"])
def test_both_sides_of_every_equal_sign_agree(of, which):
    if of.integrand.discrete and which != "mean":
        return
    made = bench(of, "logit" if of.integrand.discrete else which)
    lines = lab_lines(of, made.look, made.which)
    assert len(lines) >= 6
    for line in lines:
        assert agrees(line) in ((True, None) if line.relation == "=" else (False, None)), line


@pytest.mark.parametrize("g", [*PRESETS.values(), Affine(a11=-1.0, a12=2.0)], ids=repr)
def test_the_map_s_lines_agree(g):
    made = noise_map.cloud(g, 2, 50)
    lines = map_lines(g, made.e[0].tolist(), made.z[0].tolist(), made.log_density)
    assert all(agrees(line) for line in lines[:4])
    assert (agrees(lines[4]) is True) == (g.rank() == 2) and (lines[4].relation == "!=") == (g.rank() < 2)


@pytest.mark.parametrize("shift", [0.0, 1.5])
@pytest.mark.parametrize("dimension", [1, 5, 30])
def test_the_ratio_s_lines_agree(dimension, shift):
    model, q = GaussianLatents(dimension=dimension), NearPosterior(width=0.7, shift=shift)
    sides = before_the_trick.sides(model, q, 50)
    lines = trick_lines(sides)
    assert [agrees(line) for line in lines] == [True, True, False, True, True]
    assert (sides.kl > 1e-3) == (shift > 0)


# ---- the map ----


@given(st.tuples(*[st.floats(-3, 3)] * 6))
def test_a_hand_s_place_is_its_map(place):
    g = noise_map.map_at(place)
    assert noise_map.place_of(g) == pytest.approx(place, abs=0.0051)
    cx, cy, a11, a21, a12, a22 = noise_map.place_of(g)
    assert g.matrix().tolist() == [[a11, a12], [a21, a22]] and g.mean().tolist() == [cx, cy]


def test_the_map_s_moments_are_numpy_s():
    g = PRESETS["C"]
    made = noise_map.cloud(g, 4, 500)
    found = [*made.z.mean(0), *np.cov(made.z.T)[[0, 1, 0], [0, 1, 1]]]
    assert [one.mean for one in made.moments] == pytest.approx(found)
    assert all(abs(one.mean - one.exact) < 4.5 * one.error for one in made.moments)
    wanted = stats.multivariate_normal(g.mean().numpy(), g.covariance().numpy()).logpdf(made.z[0])
    assert made.log_density == pytest.approx(wanted)


@pytest.mark.parametrize("g", [*PRESETS.values()], ids=["A", "B", "C"])
def test_the_map_s_outlines_are_where_its_points_go(g):
    made = map_room.picture(g, noise_map.cloud(g, 0, 40), False)
    drawing = made.drawing.checked()
    for trace, outline in zip(made.traces, map_figures.OUTLINES, strict=True):
        wanted = g.mean().numpy()[:, None] + g.matrix().numpy() @ outline
        assert np.stack([drawing.data[trace].x, drawing.data[trace].y]) == pytest.approx(wanted, abs=1e-4)
    assert any("no density" in note.text for note in drawing.layout.annotations) == (g.rank() < 2)
    answer = map_room.answer((noise_map.place_of(g),), 0, 40, False, 1.0)
    assert answer["picture"] == film_text(made.drawing, 1.0) and len(answer["moments"]) == 7
    with pytest.raises(ValueError, match="two columns"):
        map_room.answer(((1.0, 2.0),), 0, 40, False, 1.0)


# ---- before the trick ----


def test_the_ratio_s_picture_is_small_and_holds_its_numbers():
    model, q = GaussianLatents(dimension=5), NearPosterior(width=1.0)
    found = before_the_trick.estimates(model, q, 0, 100, 50)
    exact = before_the_trick.sides(model, q, 50)
    drawing = trick_room.picture(found, exact, False)
    assert len(film_text(drawing, 1.0)) < MOST
    heights = [trace.y for trace in drawing.checked().data]
    assert any(
        y == pytest.approx(found.ratio.mean(0), rel=1e-5) for y in heights if len(y) == len(found.counts)
    )
    assert found.expected[-1] == exact.expected_ratio == log_evidence.expected_ratio(model, 50)
    rows = trick_room.number_rows(found, exact)
    assert rows[0][1:] == ["6.00", "6.00"]


# ---- scenes ----


def exact(estimator, of: GradientScatter) -> float:
    return float(integrals.variance(dataclasses.replace(estimator, draws=of.draws), at(of)))


def reason(name: str) -> str:
    (found,) = [scene.reason for scene in scenes.SCENES if scene.name == name]
    return found


def test_the_numbers_in_the_reasons_are_so():
    assert "variance 1 per draw" in reason("landing") and exact(PATH, scenes.LANDING) == pytest.approx(1)
    assert exact(LANDING, scenes.LANDING) == 0.0
    wave = scenes.WIGGLY.integrand
    assert (wave.height, wave.height * wave.frequency) == (2.0, 40.0)
    assert f"{exact(NONE, scenes.WIGGLY):.2f} per draw" in reason("wiggly")
    assert f"has {exact(PATH, scenes.WIGGLY):.0f}." in reason("wiggly")
    assert f"{exact(LANDING, scenes.FAR):.1f} per draw; with it, .01" in reason("far")
    assert exact(PATH, scenes.FAR) == pytest.approx(0.01)
    told = [f"{exact(each, scenes.BASELINE):.2f}" for each in (OTHERS, NONE, OPTIMAL)]
    assert "Leave one out has {} per draw, no baseline at all {}. The optimal one is never worse: {}.".format(
        *told
    ) in reason("baseline")
    sds = [math.sqrt(exact(each, scenes.MANY) / scenes.MANY.draws) for each in (NONE, PATH)]
    right = [stats.norm.cdf(2 / sd) for sd in sds]
    assert f"sd {sds[0]:.1f}: the right sign comes {100 * right[0]:.0f} times in 100" in reason("unbiased")
    assert f"sd {sds[1]:.3f}".replace("0.", ".") in reason("unbiased") and round(1000 * right[1]) == 999
    of = scenes.STRAIGHT
    tends = gradients.aim_of(StraightThrough(draws=10), of, 0.0, at(of))[0]
    assert f"is {float(at(of).weighed):.4f}, but straight-through tends to −{-tends:.4f}".replace(
        "0.", "."
    ) in (reason("straight"))
    assert f"{float(at(scenes.STEP).weighed):.3f}." in reason("step")
    ratio = log_evidence.expected_ratio(GaussianLatents(dimension=5), 100)
    assert f"tends to {ratio:.1f}, and the gradient is 6" in reason("ratio")
    assert log_evidence.exact(GaussianLatents(dimension=5)) == pytest.approx(6)


def test_links_of_scenes_are_plain_words():
    assert len({scene.name for scene in scenes.SCENES}) == len(scenes.SCENES) >= 5
    for scene in scenes.SCENES:
        assert json.dumps(scene.link) and len(scene.question) <= 90
        assert 0 <= scene.right < len(scene.answers)


def test_the_optimal_baseline_is_never_worse():
    for mean in (-3.0, -1.0, 0.0, 2.0):
        for of in (GradientScatter(mean=mean), dataclasses.replace(scenes.BASELINE, mean=mean)):
            assert exact(OPTIMAL, of) <= min(exact(NONE, of), exact(OTHERS, of)) + 1e-12
