"""What the page Beyond mixtures draws and says: against formulas written out here, in every frame."""

from __future__ import annotations

import base64
import io
import itertools
import math

import numpy as np
import pytest
import scipy.linalg
import scipy.stats
from PIL import Image

from lvmviz import (
    ECM,
    EM,
    MAR,
    MCAR,
    PPCAEM,
    AsGiven,
    CorrelatedPair,
    DigitPixels,
    EMRegression,
    FixedPoint,
    GeneralizedEM,
    Iris,
    Job,
    MissingGaussianEM,
    MonteCarloEM,
    Polynomial,
    Stored,
    SwappedRegression,
    VariationalEM,
    own_data,
    run,
)
from lvmviz.cells import TableError
from lvmviz.figures import component_images, theme
from lvmviz.figures import missing as missing_figures
from lvmviz.figures import ppca as ppca_figures
from lvmviz.figures import regression as regression_figures
from lvmviz.figures.steps import Beside, trace_chart
from lvmviz.schemes import ExpectationMaximization
from lvmviz.summaries import missing, ppca, regression, relatives, swapped_regression
from lvmviz.tables import read_table, to_csv
from lvmviz.ui import beyond_ppca, beyond_swapped, derivation_climb, half_step_buttons, own
from lvmviz.ui.derivation import agrees
from lvmviz.ui.derivation_missing import lines as missing_lines
from lvmviz.ui.derivation_regression import lines as regression_lines

PAIR = CorrelatedPair(points=60)
AXES = (0, 1)


@pytest.fixture(scope="module")
def gaps():
    return run(Job(MissingGaussianEM(data=PAIR), steps=30))


@pytest.fixture(scope="module")
def product():
    return run(Job(VariationalEM(data=PAIR), steps=20))


@pytest.fixture(scope="module")
def hill():
    return run(Job(EMRegression(), steps=40))


@pytest.fixture(scope="module")
def latents():
    return run(Job(PPCAEM(data=DigitPixels(count=100), latents=3, gaps=MCAR(share=0.2)), steps=12))


def sound(lines) -> None:
    """Every equality agrees, every bound holds; what is left of it is its gap."""
    for line in lines:
        right = math.fsum(-term.value if sign == "-" else term.value for sign, term in line.right)
        if line.relation == "=":
            assert agrees(line) is True, (line, right)
        else:
            assert line.left.value >= right - 1e-9
            assert line.gap.value == pytest.approx(line.left.value - right, abs=1e-7)


# ---- missing features ----


def test_a_segment_is_the_conditional_in_every_frame(gaps):
    rows = missing.sorts(gaps, AXES).one
    known, points = missing.known(gaps, rows, AXES), missing.table(gaps).points
    assert np.isnan(points[rows, 1]).all() and not np.isnan(points[rows, 0]).any()  # MAR hides the second
    for t in range(len(gaps)):
        mean, cov = (part.numpy() for part in gaps[t].state.theta_q)
        guess = mean[1] + cov[0, 1] / cov[0, 0] * (points[rows, 0] - mean[0])
        np.testing.assert_allclose(known.means[t, :, 1], guess, rtol=1e-12)
        np.testing.assert_allclose(known.sds[t, :, 1], math.sqrt(cov[1, 1] - cov[0, 1] ** 2 / cov[0, 0]))
    np.testing.assert_array_equal(known.means[:, :, 0], np.tile(points[rows, 0], (len(gaps), 1)))
    assert (known.sds[:, :, 0] == 0).all()


def shown_of(trace, dark=False):
    found, points = missing.sorts(trace, AXES), missing.table(trace).points
    return missing_figures.picture(
        points[found.whole], missing.known(trace, found.one, AXES), missing.known(trace, found.none, AXES),
        missing.ellipses(trace, AXES), rows=found[:3], pair=missing.pair(trace, AXES), columns=("x<b>", "y"),
        rivals={name: missing.ellipse(made, AXES) for name, made in missing.rivals(trace).items()}, dark=dark,
    )  # fmt: skip


@pytest.mark.parametrize("dark", [False, True])
def test_the_picture_holds_what_the_arrays_say(product, dark):
    film, colours = shown_of(product, dark), theme.tokens(dark)
    found = missing.sorts(product, AXES)
    assert all(len(rows) for rows in found[:3])  # rows of every sort are tested
    known = missing.known(product, found.one, AXES)
    for t in (0, 1, 2, len(product) - 1):
        figure = film.at(t)
        (lines,) = [one for one in figure.data if one.mode == "lines" and None in one.x or
                    (one.mode == "lines" and any(x != x for x in one.x))]  # fmt: skip
        ends = np.array(lines.y, float).reshape(-1, 3)
        np.testing.assert_allclose(ends[:, 0], known.means[t, :, 1] - known.sds[t, :, 1])
        np.testing.assert_allclose(ends[:, 1], known.means[t, :, 1] + known.sds[t, :, 1])
        assert lines.line.color.startswith("rgba({},{},{}".format(*theme.rgb(colours.q_mark)))
        ring = [one for one in figure.data if one.line.width == 2.25 and one.line.color == colours.theta_mark]
        mean, cov = (part.numpy() for part in product[t].state.theta)
        apart = np.stack([ring[0].x, ring[0].y], 1) - mean
        np.testing.assert_allclose((apart @ np.linalg.inv(cov) * apart).sum(1), 1.0, atol=1e-4)
    assert "x&lt;b&gt;" in film.at(0).layout.xaxis.title.text


def test_rivals_are_what_their_names_say(gaps):
    made, found = missing.table(gaps), missing.rivals(gaps)
    whole = ~np.isnan(made.points).any(1)
    filled = np.where(np.isnan(made.points), np.nanmean(made.points, 0), made.points)
    for name, table in ((missing.ORACLE, PAIR.table().points), (missing.COMPLETE, made.points[whole]),
                        (missing.FILLED, filled)):  # fmt: skip
        np.testing.assert_allclose(found[name].covariance, np.cov(table.T, bias=True), rtol=1e-10)
        assert found[name].correlation(AXES) == pytest.approx(np.corrcoef(table.T)[0, 1])
    kept = missing.rivals(
        run(Job(MissingGaussianEM(data=CorrelatedPair(points=8), gaps=MCAR(share=0.6)), steps=2))
    )
    assert missing.FILLED in kept


def test_a_product_has_the_precisions_variances_and_the_posterior_its_own(product):
    pair = missing.pair(product, AXES)
    for t in (1, 5, len(product) - 1):
        q = np.linalg.inv(product[t].state.theta_q.covariance.numpy())
        np.testing.assert_allclose(pair.q[t, [1, 5]] ** 2, 1.0 / np.diag(q), rtol=1e-10)
        assert pair.q[t, 4] == 0.0
        _, root, _, _, slope, rest = pair.posterior[t]
        drawn = np.array([[root**2, root * slope], [root * slope, slope**2 + rest**2]])
        np.testing.assert_allclose(drawn, product[t].state.theta.covariance.numpy(), rtol=1e-10)


def test_every_line_on_gaps_agrees_and_m_is_what_it_says(gaps, product):
    for trace in (gaps, product):
        for t in range(len(trace) - 1):
            cell = missing.cell(trace, t, 1)
            sound(missing_lines(trace[t].info, cell, missing.gaussian_em(trace).factorized))
            if trace[t].info.moved == "E":
                after = float(trace[t + 1].state.theta.covariance[1, 1])
                assert cell.filled_variance + cell.doubt == pytest.approx(after, rel=1e-10)
    assert missing.cell(run(Job(MissingGaussianEM(data=PAIR, gaps=AsGiven()), steps=2)), 1, 1) is None


# ---- regression ----


def test_the_surface_is_the_density_of_y(hill):
    data = regression.problem(hill)
    made = regression.surface(Polynomial(), (-1.0, 2.0, -1.5, 1.0))
    for i, j in itertools.product((0, 20, 48), repeat=2):
        cov = np.eye(30) / made.beta[j] + data.x @ data.x.T / made.lambda_[i]
        exact = scipy.stats.multivariate_normal(np.zeros(30), cov).logpdf(data.y)
        assert made.value[i, j] == pytest.approx(exact, rel=1e-9)


def test_the_golden_hilltop_by_two_roads(hill):
    other = run(Job(EMRegression(update=FixedPoint()), steps=40))
    assert (len(hill) - 1, len(other) - 1) == (18, 14)  # EM 9 rounds, MLE-II 7
    for trace in (hill, other):
        np.testing.assert_allclose(regression.path(trace)[-1], [19.18246, 0.605342], rtol=4e-4)
        assert trace[-1].info.log_lik == pytest.approx(-10.3956, abs=5e-5)
    film = regression_figures.contour(
        regression.surface(Polynomial(), regression.ends([regression.path(hill)])), regression.path(hill),
        {"MLE-II": regression.path(other)}, name="EM",
    )  # fmt: skip
    at = film.at(len(hill) - 1).data[-1]  # the ring
    np.testing.assert_allclose([at.x[0], at.y[0]], regression.path(hill)[-1], rtol=1e-9)


def test_functions_are_those_of_the_posterior(hill):
    data, made = regression.problem(hill), regression.functions(hill)
    x = np.vander(made.x, 6, increasing=True)
    beta, lambda_ = regression.path(hill)[-1]
    precision = lambda_ * np.eye(6) + beta * data.x.T @ data.x
    mean, cov = beta * np.linalg.solve(precision, data.x.T @ data.y), np.linalg.inv(precision)
    middle, sd = x @ mean, np.sqrt(np.einsum("gi,ij,gj->g", x, cov, x))
    np.testing.assert_allclose(made.low[-1], middle - 2 * sd, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(made.high[-1], middle + 2 * sd, rtol=1e-8, atol=1e-10)
    np.testing.assert_array_equal(made.mean[0], np.zeros(len(made.x)))  # q is the prior before the first E
    film = regression_figures.functions(made)
    curves = [one for one in film.at(len(hill) - 1).data if one.mode == "lines" and one.line.width == 1]
    assert len(curves) == regression.CURVES
    beyond = np.abs(made.drawn[-1] - made.mean[-1]) / sd
    assert 0.1 < np.median(beyond) < 1.5  # draws lie about one sd from the mean


def test_every_line_on_regression_agrees(hill):
    for t in range(len(hill)):
        sound(regression_lines(hill[t].info, regression.numbers(hill, t)))
    swapped = run(Job(SwappedRegression(), steps=12))
    prior = swapped_regression.swapped(swapped)
    for t, numbers in enumerate(swapped_regression.numbers(swapped)):
        sound(beyond_swapped.lines(swapped[t].info, numbers, prior))


def test_densities_of_the_precisions_are_densities_and_touch_after_e():
    trace = run(Job(SwappedRegression(), steps=12))
    made = swapped_regression.densities(trace)
    q, posterior = swapped_regression.q(trace), swapped_regression.posterior(trace)
    for t in range(2, len(trace)):
        whole = scipy.integrate.trapezoid(made.q[t], np.log(made.grid), axis=1)
        np.testing.assert_allclose(whole, 1.0, atol=2e-3)
        if trace[t].info.moved == "E":
            np.testing.assert_allclose(made.q[t], made.posterior[t], rtol=1e-9)
            np.testing.assert_allclose(q.rates[t], posterior.rates[t], rtol=1e-12)
    exact = scipy.stats.gamma(q.shapes[-1, 0], scale=1 / q.rates[-1, 0]).pdf(made.grid) * made.grid
    np.testing.assert_allclose(made.q[-1, 0], exact, rtol=1e-9, atol=1e-12)
    ridge = np.linalg.solve(
        (lambda q: q.rates[0] / q.shapes[0] * q.shapes[1] / q.rates[1])(trace[-1].state.q).item() * np.eye(6)
        + regression.problem(trace).x.T @ regression.problem(trace).x,
        regression.problem(trace).x.T @ regression.problem(trace).y,
    )
    np.testing.assert_allclose(swapped_regression.weights(trace)[-1], ridge, rtol=1e-7)


# ---- relatives of EM ----


def test_draws_are_shares_and_the_estimate_lies_within_its_error():
    trace = run(Job(MonteCarloEM(draws=4, components=2), steps=12))
    resp = relatives.drawn_responsibilities(trace)
    for before, now, snapshot in zip(resp, resp[1:], list(trace)[1:], strict=False):
        np.testing.assert_allclose(4 * now, np.round(4 * now), atol=1e-9)
        np.testing.assert_allclose(now.sum(1), 1.0)
        assert (now is before) == (snapshot.info.moved == "M")  # M leaves the draws alone
    made = relatives.estimates(trace)[1:]
    apart = np.array([(one.value - one.exact) / one.error for one in made])
    assert np.abs(apart).max() < 4.5 and np.abs(apart).min() > 0
    points, theta = Iris().table().points, trace[3].state.theta_q
    logs = np.stack([np.log(pi) + scipy.stats.multivariate_normal(m, c).logpdf(points) for pi, m, c in
                     zip(*(part.numpy() for part in theta), strict=True)], 1)  # fmt: skip
    post = np.exp(logs - scipy.special.logsumexp(logs, axis=1, keepdims=True))
    assert relatives.estimates(trace)[3].exact == pytest.approx((post * logs).sum() / len(points), rel=1e-9)


@pytest.mark.parametrize(
    "algorithm",
    [EM(scheme=GeneralizedEM()), ECM(), ECM(cycle="E, means, covariances")],
    ids=["GEM", "ECM, each", "ECM, once"],
)
def test_relatives_climb_and_their_lines_say_why(algorithm):
    trace = run(Job(algorithm, steps=24))
    lik, elbo = trace.column("log_lik"), trace.column("elbo")
    slack = 1e-9 * np.abs(lik).max()
    assert (np.diff(lik) >= -slack).all() and (np.diff(elbo)[1:] >= -slack).all()
    for t in range(1, len(trace)):
        sound(derivation_climb.lines(trace, t, ExpectationMaximization()))
    alike = relatives.as_em(trace)
    assert alike.key == trace.key and all(
        one.state.theta is other.state.theta for one, other in zip(alike, trace, strict=True)
    )


def test_covariances_of_ecm_lie_about_the_means_as_they_are():
    trace, points = run(Job(ECM(), steps=8)), Iris().table().points
    for t in (4, 8):
        assert trace[t].info.moved == "M covariances"
        (_, means, covariances), q = trace[t].state.theta, trace[t].state.theta_q
        logs = np.stack([np.log(pi) + scipy.stats.multivariate_normal(m, c).logpdf(points) for pi, m, c in
                         zip(*(part.numpy() for part in q), strict=True)], 1)  # fmt: skip
        resp = np.exp(logs - scipy.special.logsumexp(logs, axis=1, keepdims=True))
        for k, mean in enumerate(means.numpy()):
            apart = points - mean
            about = (resp[:, k, None] * apart).T @ apart / resp[:, k].sum()
            np.testing.assert_allclose(covariances[k], about, rtol=1e-9)
        assert not np.allclose(means[0], resp[:, 0] @ points / resp[:, 0].sum(), rtol=1e-6)  # not q's best


def test_an_m_in_parts_is_one_press_each_and_the_whole_goes_on_to_e():
    moved = ["start", "E", "M means", "M covariances", "E", "M means", "M covariances"]
    e, m, both = half_step_buttons.buttons(moved, range(7), "End.", ExpectationMaximization(), theme.LIGHT)
    assert list(e.next) == [1, 1, 2, 4, 4, 5, 6] and list(m.next) == [0, 2, 3, 3, 5, 6, 6]
    assert list(both.next) == [3, 3, 3, 6, 6, 6, 6]
    assert m.refusal[0] == half_step_buttons.FIRST_E and m.refusal[3].startswith("M again")


def test_other_runs_are_dashed_and_the_whole_is_seen():
    rise = -3.0 - 2.0 ** -np.arange(40.0)
    beside = [Beside("exact EM", np.arange(60.0) / 2, rise.min() + 0.0 * np.arange(60.0))]
    film = trace_chart(rise, rise - 0.01, [(t + 1) // 2 for t in range(40)],
                       ["start", *["E", "M means"] * 19, "E"], at=0.5 + 0.5 * np.arange(40.0), beside=beside,
                       names=("log p", "L"), whole=True)  # fmt: skip
    figure = film.at(0)
    (dashed,) = [one for one in figure.data if one.line.dash == "5px,4px"]
    np.testing.assert_array_equal(dashed.y, beside[0].y)
    left, right = figure.layout.xaxis.range
    assert left <= 0.5 and right >= 29.5 and film.at(39).layout.xaxis.range == (left, right)
    assert {"log p", "L"} <= {note.text for note in figure.layout.annotations}


# ---- probabilistic PCA ----


def test_turned_latents_and_loadings_are_the_same_model(latents):
    made, told = ppca.loadings(latents), ppca.told(latents)
    end = latents[-1].state.theta.loadings.numpy()
    np.testing.assert_allclose(made[-1] @ made[-1].T, end @ end.T, atol=1e-12)
    square = made[-1].T @ made[-1]
    np.testing.assert_allclose(square, np.diag(np.diag(square)), atol=1e-10)  # principal axes
    theta, x = latents[-1].state.theta_q, ppca.table(latents).points
    w, mean, noise = (
        theta.loadings.numpy() @ ppca.turn(latents),
        theta.mean.numpy(),
        float(theta.noise_variance),
    )
    for n in (0, 7, 63):
        seen = ~np.isnan(x[n])
        m = np.eye(3) + w[seen].T @ w[seen] / noise
        z = np.linalg.solve(m, w[seen].T @ (x[n] - mean)[seen] / noise)
        np.testing.assert_allclose(told.latents[-1, n], z, atol=1e-9)
    film = ppca_figures.latents(told.latents, ppca.rows(latents), None, ())
    dots = next(one for one in film.at(len(latents) - 1).data if one.mode == "markers")
    np.testing.assert_allclose(dots.x, told.latents[-1, :, 0])
    labels = DigitPixels(count=100).table().labels
    named = ppca_figures.latents(told.latents, ppca.rows(latents), labels, [str(k) for k in range(10)])
    notes = {note.text: (note.x, note.y) for note in named.at(len(latents) - 1).layout.annotations}
    for k in range(10):
        middle = np.median(told.latents[-1, labels[ppca.rows(latents)] == k, :2], axis=0)
        np.testing.assert_allclose(notes[str(k)], middle)


def test_images_keep_what_is_seen_and_fill_the_rest(latents):
    made, x = ppca.images(latents), ppca.table(latents).points[:5].reshape(5, 8, 8)
    seen = ~np.isnan(x)
    assert 0.7 < seen.mean() < 0.9
    for t in range(1, len(latents)):
        np.testing.assert_allclose(made.filled[t][seen], x[seen], atol=1e-12)
    truth = DigitPixels(count=100).table().points[:5].reshape(5, 8, 8)
    error = np.abs(made.filled[-1] - truth)[~seen].mean()
    blank = np.abs(ppca.table(latents).whole.mean(0).reshape(8, 8) - truth)[~seen].mean()
    assert error < 0.95 * blank and made.components.shape[1] == 3


def test_closed_forms_angles_and_lines(latents):
    oracle = ppca.rivals(latents)[ppca.ORACLE]
    values = np.linalg.eigvalsh(np.cov(DigitPixels(count=100).table().points.T, bias=True))
    assert oracle.noise_variance == pytest.approx(values[:-3].mean(), rel=1e-10)
    w = latents[-1].state.theta.loadings.numpy()
    exact = np.degrees(scipy.linalg.subspace_angles(w, oracle.basis).max())
    assert ppca.angles(latents, oracle.basis)[-1] == pytest.approx(exact, rel=1e-6)
    for t in range(len(latents) - 1):
        numbers = ppca.numbers(latents, t)
        sound(beyond_ppca.lines(latents[t].info, numbers, oracle))
        if latents[t].info.moved == "E":
            after = float(latents[t + 1].state.theta.noise_variance)
            assert numbers.misfit + numbers.doubt_x == pytest.approx(after, rel=1e-10)


def test_golden_digits():
    trace = run(Job(PPCAEM(data=DigitPixels(count=1797), latents=2, gaps=AsGiven()), steps=0))
    assert ppca.rivals(trace)[ppca.ORACLE].log_lik == pytest.approx(0.0057067249515783, abs=1e-10)


# ---- tables with empty cells ----

TEXT = "a,b,kind\n1,2,u\n,3,v\n2.5,NA,u\n4,5,v\n"


def test_empty_cells_are_missing_where_they_may_be():
    table = read_table(TEXT, gaps=True)
    expected = [[1.0, 2.0], [np.nan, 3.0], [2.5, np.nan], [4.0, 5.0]]
    np.testing.assert_array_equal(table.points, expected)
    assert table.gaps == 2 and "2 of 8 cells are empty." in table.notes and table.label_names == ("u", "v")
    again = read_table(to_csv(table), gaps=True)
    np.testing.assert_array_equal(again.points, table.points)
    with pytest.raises(TableError, match="Line 3, column “a”: the cell is empty"):
        read_table(TEXT)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n1,\n2,\n3,\n", "whole column “b” is empty"),
        ("a,b\n1,inf\n2,1\n3,\n", "“inf” is not a finite number"),
        ("a,b\n1,5\n2,\n3,5\n", "“b” is “5” in every row"),
        ("a,weight\n1,5\n2,\n3,5\n", "Line 3, column “weight”: the cell is empty"),
    ],
)
def test_other_faults_are_still_said(text, said):
    with pytest.raises(TableError, match=said):
        read_table(text, gaps=True)


def test_an_own_table_with_gaps_is_for_models_that_know_gaps(tmp_path, monkeypatch):
    monkeypatch.setenv("LVMVIZ_HOME", str(tmp_path))
    data = Stored(digest=own_data.put(read_table(TEXT, gaps=True)))
    with pytest.raises(ValueError, match="2 cells of the table are empty: fill them"):
        data.table()
    assert data.with_gaps().gaps == 2
    trace = run(Job(MissingGaussianEM(data=data, gaps=AsGiven()), steps=4))
    assert math.isfinite(trace[-1].info.log_lik)
    scene = own.scene_file("em_beyond", data, {"data": "Stored", "data.digest": data.digest})
    np.testing.assert_array_equal(read_table(scene["table"], gaps=True).points, data.with_gaps().points)
    assert missing.COMPLETE in missing.rivals(trace) and missing.ORACLE not in missing.rivals(trace)


def test_share_hidden_leaves_no_column_empty_or_says_so():
    with pytest.raises(ValueError, match="has no value that is seen"):
        run(Job(MissingGaussianEM(data=CorrelatedPair(points=2), gaps=MAR(share=0.9)), steps=1))


@pytest.mark.parametrize("dark", [False, True])
def test_hidden_pixels_have_a_colour_that_no_grey_value_is(latents, dark: bool):
    made = ppca.images(latents)
    np.testing.assert_array_equal(made.hidden, np.isnan(ppca.table(latents).points[:5].reshape(5, 8, 8)))
    first = np.concatenate([made.mean, made.components], 1)
    told = (["mean", "1", "2", "3"], list("abcde"), list("fghij"))
    film = component_images.images(first, made.seen, made.hidden, made.filled, told, dark=dark)
    shown = film.at(len(latents) - 1)
    picture = Image.open(io.BytesIO(base64.b64decode(shown.layout.images[0].source.split(",")[1])))
    pixels = np.asarray(picture)
    times = pixels.shape[1] // int(shown.layout.images[0].sizex)
    pixels = pixels[::times, ::times]
    orange, ink = theme.rgb(theme.tokens(dark).q_mark), theme.rgb(theme.tokens(dark).text)
    left = 3 * 9  # two columns of components and a free one, 8 pixels and a gap each
    digit, filled = pixels[:8, left : left + 8], pixels[11:19, left : left + 8]
    assert (digit[made.hidden[0]][:, :3] == orange).all() and (digit[made.hidden[0]][:, 3] > 60).all()
    assert (digit[~made.hidden[0]][:, :3] == ink).all() and (filled[..., :3] == ink).all()
    np.testing.assert_allclose(digit[~made.hidden[0]][:, 3], np.round(255 * made.seen[0][~made.hidden[0]]))
    words = " ".join(note.text for note in shown.layout.annotations)
    assert "hidden" in words and "filled by q" in words
    whole = component_images.images(first, made.seen, made.hidden & False, made.filled, told, dark=dark)
    assert "hidden" not in " ".join(note.text for note in whole.at(0).layout.annotations)


def test_a_name_at_a_line_hides_other_lines_that_pass_beneath_it():
    line, steps = np.array([-2.0, -1.5, -1.0]), ["start", "E", "M"]
    film = trace_chart(line, line, [0, 1, 1], steps, beside=[Beside("exact EM", np.arange(3.0), line)])
    named = [note for note in film.at(2).layout.annotations if note.text in ("log-likelihood/N", "ELBO/N")]
    assert len(named) == 2 and all(note.bgcolor for note in named)
