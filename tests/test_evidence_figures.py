"""The numbers and pictures of the page Evidence: closed forms, sums, histograms, Jensen by hand."""

import itertools
import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lvmviz import (
    Annealed,
    BinaryLatents,
    BruteForce,
    Cauchy,
    EqualModes,
    Estimates,
    FromPrior,
    GaussianLatents,
    GroupedBound,
    Job,
    LaplaceQ,
    NearPosterior,
    OneLatent,
    PlacedQ,
    StudentQ,
    UniformBox,
    run,
)
from lvmviz.evidence.exact import known
from lvmviz.evidence.states import states
from lvmviz.evidence.terms import factored, of_shares, shares, terms
from lvmviz.figures import brute_force as sum_figures
from lvmviz.figures import evidence as figures
from lvmviz.figures import evidence_draws, jensen
from lvmviz.summaries import brute_force as sums
from lvmviz.summaries import evidence as summaries
from lvmviz.ui.plot import film_text

PROPOSALS = [FromPrior(), UniformBox(), NearPosterior(width=0.7), PlacedQ(mean=1.0, sd=0.9)]
PROPOSALS += [NearPosterior(family=LaplaceQ()), NearPosterior(family=StudentQ(df=5.0))]


def done(algorithm, seed=0):
    return run(Job(algorithm, steps=algorithm.steps(), seed=seed))


def text(made) -> str:
    return film_text(made, 1.0)


# ---- what the ELBO is made of ----


@pytest.mark.parametrize("proposal", PROPOSALS, ids=repr)
@pytest.mark.parametrize("model", [GaussianLatents(dimension=3, noise=0.8), OneLatent()], ids=repr)
def test_the_terms_are_means_over_draws(model, proposal):
    """Every term against draws of q; KL from its own average, and the three presentations add up."""
    told = terms(model, proposal)
    z, log_q = proposal.draw(model, torch.Generator().manual_seed(1), 200_000)
    log_joint, log_prior = model.log_joint(z), model.log_prior(z)
    wanted = {
        "elbo": log_joint - log_q,
        "kl": log_q - log_joint + model.log_evidence(),
        "joint": log_joint,
        "entropy": -log_q,
        "likelihood": log_joint - log_prior,
        "kl_prior": log_q - log_prior,
    }
    for name, values in wanted.items():
        error = 4.5 * float(values.std()) / math.sqrt(len(values)) + 1e-6
        assert getattr(told, name) == pytest.approx(float(values.mean()), abs=error), name
    assert told.elbo == pytest.approx(told.log_evidence - told.kl, abs=1e-6)
    assert told.elbo == pytest.approx(told.joint + told.entropy, abs=1e-6)
    assert told.elbo == pytest.approx(told.likelihood - told.kl_prior, abs=1e-6)


def test_the_golden_gap():
    """Golden: d (c^2 - 1) / 2 - d log c at d = 10."""
    for width, gap in ((1.3, 0.826), (0.5, 3.181), (2.0, 8.069)):
        assert terms(GaussianLatents(), NearPosterior(width=width)).kl == pytest.approx(gap, abs=5e-4)


@given(
    bits=st.integers(1, 6), leak=st.floats(0.0, 1.0), share=st.floats(0.05, 0.95), width=st.floats(0.3, 4.0)
)
def test_the_terms_of_bits_are_sums_over_states(bits, leak, share, width):
    model, proposal = BinaryLatents(bits=bits, leak=leak, share=share), NearPosterior(width=width)
    told, every = terms(model, proposal), states(bits, 0, 2**bits)
    on = shares(model, proposal)
    log_q = (every * on.log() + (1 - every) * (1 - on).log()).sum(-1)
    q, log_joint, log_prior = log_q.exp(), model.log_joint(every), model.log_prior(every)
    assert float(q.sum()) == pytest.approx(1.0)
    assert told.elbo == pytest.approx(float((q * (log_joint - log_q)).sum()), abs=1e-9)
    assert told.kl == pytest.approx(float((q * (log_q - log_joint + told.log_evidence)).sum()), abs=1e-9)
    assert told.likelihood == pytest.approx(float((q * (log_joint - log_prior)).sum()), abs=1e-9)
    assert told.entropy == pytest.approx(-float((q * log_q).sum()), abs=1e-9)
    assert told.kl_prior == pytest.approx(float((q * (log_q - log_prior)).sum()), abs=1e-9)


def test_a_certain_switch_is_no_trouble():
    told = of_shares(BinaryLatents(bits=2, noise=0.05), torch.tensor([1.0, 0.0], dtype=torch.float64), -1.0)
    assert all(math.isfinite(term) for term in told)


def test_independent_switches_factor():
    model = BinaryLatents(bits=9, leak=0.0, share=0.3, noise=0.7)
    assert factored(model) == pytest.approx(model.log_evidence(), abs=1e-10)
    assert factored(BinaryLatents(leak=0.1)) is None


def test_what_has_no_closed_form_says_so():
    with pytest.raises(ValueError, match="are switches: choose the prior or a q near the posterior"):
        terms(BinaryLatents(bits=3), PlacedQ())


# ---- brute force ----


@pytest.mark.parametrize("bits", [1, 5, 9, 10, 17])
def test_the_sum_in_steps_is_the_sum(bits):
    model = BinaryLatents(bits=bits)
    trace = done(BruteForce(model=model))
    state, info = trace[-1].state, trace[-1].info
    assert (info.terms, info.of) == (2**bits, 2**bits) and trace[0].info.terms == 0
    assert info.log_sum == pytest.approx(model.log_evidence(), abs=1e-9)
    assert torch.allclose(state.on, model.posterior()[0], atol=1e-10)
    made = sums.bars(trace)
    assert made.each * len(made.log_sums) == 2**bits
    every = model.log_joint(states(bits, 0, min(2**bits, 2**10)))[: made.each]
    assert made.log_sums[0] == pytest.approx(float(torch.logsumexp(every, 0)))
    assert float(torch.logsumexp(state.bars, 0)) == pytest.approx(info.log_sum, abs=1e-9)


def test_a_sum_that_was_stopped_shows_what_it_has():
    algorithm = BruteForce(model=BinaryLatents(bits=18))
    trace = run(Job(algorithm, steps=1))
    assert algorithm.steps() == 4 and trace[-1].info.terms == 2**16
    made = sums.bars(trace)
    assert np.isfinite(made.log_sums).sum() == 128
    assert np.isnan(sums.bars(run(Job(algorithm, steps=0))).log_sums).all()
    assert len(json.loads(text(sum_figures.bars(made.log_sums, made.each, made.bits)))["figure"]["data"]) == 1


def test_time_doubles_with_every_bit():
    trace = done(BruteForce(model=BinaryLatents(bits=4)))
    seconds = sums.seconds_over_bits(trace, 0.0)
    assert len(seconds) == 30 and np.allclose(seconds[1:] / seconds[:-1], 2.0)
    assert sums.seconds(trace, 0.0) > seconds[3] > 0.0  # a few terms take no time but their overhead
    layout = sum_figures.times(seconds, (4, 1e-4), "here", "there").checked()
    assert [layout.data[1].x[0], layout.data[1].y[0]] == [4, -4.0]
    long = run(Job(BruteForce(model=BinaryLatents(bits=20)), steps=0))
    assert sums.seconds(long, 8.0) == 2.0 and math.isnan(sums.seconds(long, 0.0))


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(math.nan, "not measured"), (3.2e-6, "3.2 µs"), (0.012, "12 ms"), (1.0, "1 s"), (119.0, "119 s"),
     (3600.0, "60 min"), (7200.0, "2 h"), (86400 * 30.0, "30 days"), (sums.YEAR * 41, "41 years"),
     (sums.YEAR * 3e9, "3e09 years")],
)  # fmt: skip
def test_durations_are_told_in_their_unit(seconds, said):
    assert sums.duration(seconds) == said


def test_few_terms_hold_nearly_all():
    assert sums.held(np.array([0.1, 0.6, 0.3])) == pytest.approx([0.6, 0.9, 1.0])


def test_bars_name_the_largest_state():
    values = np.log([0.1, 0.6, 0.2, 0.1])
    layout = sum_figures.bars(values, 1, 2).checked().layout
    assert layout.annotations[0].text == "01: 60.0 %"
    assert list(layout.xaxis.ticktext) == ["00", "01", "10", "11"]
    assert "10<sup>−1</sup>" in layout.yaxis.title.text
    grouped = sum_figures.bars(values, 8, 5).checked().layout
    assert grouped.annotations[0].text == "01…: 60.0 %" and "sums of 8 terms" in grouped.yaxis.title.text


# ---- estimates ----

PRIOR = Estimates(proposal=FromPrior(), draws=100, repeats=40)


def test_over_k_is_the_mean_over_repeats():
    trace = done(PRIOR)
    line = summaries.over_k(trace)
    assert line.estimates.shape == (40, len(line.counts)) and line.counts[-1] == 100
    assert line.means[-1] == pytest.approx(trace[-1].info.log_estimate)
    assert line.errors[-1] == pytest.approx(stats.sem(line.estimates[:, -1]))
    ratio = summaries.relative(trace)
    assert np.log(ratio) + trace[-1].info.log_evidence == pytest.approx(line.estimates[:, -1])


def test_numbers_stand_beside_what_is_exact():
    rows = {row.name: row for row in summaries.numbers(done(Estimates(draws=100, repeats=400)))}
    about = known(GaussianLatents(), NearPosterior())
    assert rows["ELBO"].exact == pytest.approx(about.elbo)
    assert rows["log of mean p̂"].exact == pytest.approx(about.log_evidence)
    assert rows["E[z₁ | x]"].exact == pytest.approx(1.2)  # x / (1 + s^2)
    for name in ("E[log p̂]", "bias of log p̂", "log of mean p̂", "ELBO", "E[z₁ | x]"):
        assert abs(rows[name].value - rows[name].exact) < 4.5 * rows[name].error
        assert 0 < rows[name].error < 0.1
    assert rows["ESS"].exact == pytest.approx(100 / math.exp(about.log_second_moment))
    assert rows["ESS"].exact < rows["ESS"].value < 100  # of few draws it is too hopeful


def test_only_the_plain_estimator_s_numbers_are_exact():
    trace = done(Estimates(estimator=GroupedBound(group=10), draws=50, repeats=20))
    assert summaries.expected_at(summaries.settings(trace), 50) == summaries.expected_at(Estimates(), 10)
    assert "ELBO" not in {row.name for row in summaries.numbers(trace)}
    annealed = Estimates(estimator=Annealed(bridges=2), draws=20, repeats=5)
    assert summaries.expected(annealed) is None and summaries.second_moment(done(annealed)) is None


@pytest.mark.parametrize(
    ("algorithm", "said"),
    [
        (Estimates(model=OneLatent(target=EqualModes(distance=12.0)), proposal=PlacedQ(mean=6.0, sd=1.0)),
         "never met a part"),
        (Estimates(model=GaussianLatents(dimension=2), proposal=UniformBox(reach=1.0), repeats=20), ""),
        (Estimates(proposal=FromPrior(), repeats=20), "the errors are guesses"),
        (Estimates(repeats=20), ""),
        (Estimates(proposal=UniformBox(), draws=1, repeats=20), "take more"),
    ],
    ids=["mode", "box", "prior", "good", "one"],
)  # fmt: skip
def test_doubt_is_said_where_there_is_reason(algorithm, said):
    told = summaries.doubt(summaries.numbers(done(algorithm)), algorithm.draws)
    assert said in told and (said or not told)


def test_a_posterior_without_variance_has_a_picture():
    trace = done(Estimates(model=OneLatent(target=Cauchy()), proposal=PlacedQ(), draws=50, repeats=5))
    made = summaries.draws(trace, 20)
    over = summaries.densities(trace, made.z[:, 0])
    assert made.share.max() == 1.0 and np.isfinite(over.posterior).all() and over.z[0] < over.z[-1]


def test_densities_are_those_of_posterior_and_q():
    model = GaussianLatents(dimension=1)
    trace = done(Estimates(model=model, proposal=NearPosterior(width=2.0), draws=50, repeats=5))
    over = summaries.densities(trace, np.array([0.0, 2.0]))
    assert over.posterior == pytest.approx(stats.norm.pdf(over.z, 1.2, math.sqrt(0.2)), abs=1e-12)
    assert over.q == pytest.approx(stats.norm.pdf(over.z, 1.2, 2 * math.sqrt(0.2)), abs=1e-12)


# ---- pictures ----


def test_histograms_hold_every_repeat_and_the_truth():
    values = np.array([-25.0, -24.0, -24.0, -22.0])
    made = figures.histograms(np.array([0.1, 0.2, 0.4, 40.0]), values, -20.0, (-23.75, 0.6)).checked()
    left, right = (trace for trace in made.data if trace.name == "repeats")
    assert sum(right.y[1:-1:2]) == 4 and sum(left.y[1:-1:2]) == 3
    words = [note.text for note in made.layout.annotations]
    assert "log p(x) −20.00" in words and "bias −3.75 ± 0.60" in words
    assert any("1 beyond" in word and "40.00" in word for word in words)
    lines = [shape.x0 for shape in made.layout.shapes]
    assert -20.0 in lines and -23.75 in lines and 1.0 in lines
    (bias,) = [trace for trace in made.data if trace.name == "bias"]
    assert (min(bias.x), max(bias.x)) == (-23.75, -20.0)


@pytest.mark.parametrize(
    ("relative", "logs"),
    [([1.0], [-3.2]), ([0.5] * 9, [-3.9] * 9), ([0.0] * 3, [-1e5, -2e5, -3e5]), ([1e300, 0.0], [5e2, -7e2])],
)  # fmt: skip
def test_odd_estimates_have_a_picture(relative, logs):
    made = figures.histograms(np.array(relative), np.array(logs), -3.2, (float(np.mean(logs)), math.inf))
    assert "NaN" not in text(made) and made.checked()


def line_of(rows: list[list[float]]) -> figures.Line:
    estimates = np.array(rows)
    counts = np.array([1, 10, 100])[: estimates.shape[1]]
    return figures.Line(counts, estimates, estimates.mean(0), np.full(len(counts), 0.1))


def test_estimates_near_the_truth_are_seen_from_near():
    made = figures.histograms(np.array([0.9, 1.1]), np.array([-3.3, -3.1]), -3.2, (-3.2, 0.1)).checked()
    assert made.layout.xaxis.range[0] > 0.8 and made.layout.xaxis.range[1] < 1.2


def test_a_small_bias_leaves_the_picture_alone():
    made = figures.histograms(np.array([0.9, 1.1]), np.array([-3.4, -3.0]), -3.2, (-3.201, 0.1)).checked()
    assert not [trace for trace in made.data if trace.name == "bias"]
    assert len(made.layout.xaxis2.ticktext) <= 4


def test_over_k_follows_the_player():
    line = line_of([[-8.0, -6.0, -5.0], [-9.0, -7.0, -5.0]])
    exact = np.array([1, 100]), np.array([-8.4, -5.1])
    film = figures.over_k(line, -4.9, exact, film=True)
    assert film.count == 3
    for t, mean in enumerate((-8.5, -6.5, -5.0)):
        shown = film.at(t)
        assert (shown.data[-1].x[0], shown.data[-1].y[0]) == (t, mean)
        assert f"mean {mean:.2f} ± 0.10".replace("-", "−") in shown.layout.annotations[0].text
    (diamonds,) = [trace for trace in shown.data if trace.name == "exact"]
    assert list(diamonds.y) == [-8.4, -5.1] and list(diamonds.x) == [0, 2]
    assert figures.over_k(line_of([[-8.0]]), -4.9, None).count == 1


def test_opacity_is_weight():
    share = np.array([1.0, 0.5, 0.0])
    plane = evidence_draws.plane(np.zeros((3, 2)), share, ((0.0, 0.0), (1.0, 2.0))).checked()
    faint = evidence_draws.FAINT
    assert list(plane.data[-1].marker.opacity) == pytest.approx([1.0, faint + 0.5 * (1 - faint), faint])
    assert "as good as 1.8" in plane.layout.annotations[0].text  # (1 + .5)^2 / (1 + .25)
    assert max(plane.data[0].y) == pytest.approx(4.0) and max(plane.data[1].x) == pytest.approx(1.0)
    grid = np.linspace(-1, 1, 5)
    line = evidence_draws.line(np.zeros(3), share, grid, np.ones(5), np.ones(5)).checked()
    assert line.data[-1].marker.opacity[2] == faint and line.data[0].fill == "tozeroy"


# ---- Jensen ----

WEIGHTS = st.floats(jensen.LEAST, jensen.MOST)


@given(first=WEIGHTS, second=WEIGHTS)
def test_the_chord_stays_below_the_curve(first, second):
    two = jensen.pair(first, second)
    assert two.gap >= -1e-12 and (two.gap < 1e-12) == (math.isclose(first, second, rel_tol=1e-5))
    made = jensen.by_hand(two).checked()
    heights = {trace.name: trace.y[0] for trace in made.data if len(trace.x) == 1}
    assert heights["log of the mean"] == pytest.approx(math.log((first + second) / 2))
    assert heights["mean of the logs"] == pytest.approx((math.log(first) + math.log(second)) / 2)
    (chord,) = [trace for trace in made.data if trace.name == "chord"]
    assert list(chord.x) == [first, second]


def test_the_rail_lies_on_the_curve():
    """Between its places it is straight: nowhere further from the log than a pixel."""
    x = np.linspace(jensen.LEAST, jensen.MOST, 4001)
    rail = np.interp(x, np.linspace(jensen.LEAST, jensen.MOST, jensen.RAIL), jensen.rail())
    off = np.abs(rail - np.log(x))
    assert off.max() < 0.03 and off[x > 0.3].max() < 0.001


def test_the_spread_moves_up_to_the_truth():
    trace = done(Estimates(proposal=NearPosterior(width=2.0), draws=100, repeats=60))
    line = summaries.over_k(trace)
    film = jensen.spread(line.counts, line.estimates, trace[-1].info.log_evidence)
    assert film.count == len(line.counts)
    means = [film.at(t).data[1].x[0] for t in (0, film.count - 1)]
    assert means == pytest.approx([line.means[0], line.means[-1]]) and means[0] < means[1]
    told = [film.at(t).layout.annotations[0].text for t in (0, film.count - 1)]
    assert told[0].startswith("K = 1: mean") and told[1].startswith("K = 100: mean")
    assert all(max(film.at(t).data[0].y) == 1.0 for t in range(film.count))


def test_pictures_are_small():
    trace = done(Estimates(draws=10_000, repeats=50, model=GaussianLatents(dimension=2)))
    line, info = summaries.over_k(trace), trace[-1].info
    draws = summaries.draws(trace, 250)
    made = [
        figures.histograms(summaries.relative(trace), line.estimates[:, -1], info.log_evidence, (0.0, 1.0)),
        figures.over_k(figures.Line(*line), info.log_evidence, None, film=True),
        jensen.spread(line.counts, line.estimates, info.log_evidence),
        evidence_draws.plane(draws.z, draws.share, ((0.0, 0.0), (1.0, 1.0))),
    ]
    assert max(len(text(one)) for one in made) < 100_000
    assert all("NaN" not in text(one) for one in made)


def test_both_themes_draw_alike():
    line = line_of([[-8.0, -6.0, -5.0]] * 3)
    for dark in (False, True):
        colours = [figures.theme.tokens(dark).posterior, figures.theme.tokens(dark).q_mark]
        told = text(figures.over_k(line, -4.9, None, dark=dark))
        assert all(colour in told for colour in colours)
    pairs = itertools.product((0.05, 4.0), repeat=2)
    assert all(jensen.by_hand(jensen.pair(*pair), dark=True).checked() for pair in pairs)
