"""What goes to the screen is what EM did: checked against scipy, scikit-learn and plain re-evaluation."""

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics
import torch

from lvmviz import EM, Blobs, ByHand, Floor, Iris, Job, KMeansPlusPlus, Moons, run
from lvmviz.mixtures import decompose, log_density, responsibilities
from lvmviz.runs.job import Snapshot, Trace
from lvmviz.summaries import em as summaries

IRIS = ("petal length", "sepal width", "petal width")


@pytest.fixture(scope="module")
def trace():
    """Three columns, so that a pair of axes is a choice."""
    return run(Job(EM(data=Iris(features=IRIS), components=3), steps=11, seed=3))


@pytest.fixture(scope="module")
def line():
    """One column."""
    return run(Job(EM(data=Iris(features=("petal length",)), components=2), steps=9, seed=1))


def densities_by_scipy(theta, points):
    """pi_k N(x | mu_k, Sigma_k), (N, K)."""
    columns = [
        weight * scipy.stats.multivariate_normal(mean, sigma).pdf(points)
        for weight, mean, sigma in zip(*(part.numpy() for part in theta), strict=True)
    ]
    return np.stack(columns, 1)


def test_responsibilities_are_the_posterior_of_the_theta_that_q_was_made_from(trace):
    points, made = summaries.table_points(trace), summaries.responsibilities(trace)
    assert made.shape == (len(trace), 150, 3) and made.dtype == np.float64
    for snapshot, resp in zip(trace, made, strict=True):
        joint = densities_by_scipy(snapshot.state.theta_q, points)
        np.testing.assert_allclose(resp, joint / joint.sum(1, keepdims=True), atol=1e-10)
    rows = np.array([7, 3, 149])
    np.testing.assert_array_equal(summaries.responsibilities(trace, rows), made[:, rows])


def test_only_an_e_step_moves_q_and_only_an_m_step_theta(trace):
    resp, means = summaries.responsibilities(trace), summaries.means(trace)
    for t, info in enumerate(summaries.infos(trace)[1:], 1):
        assert np.array_equal(resp[t], resp[t - 1]) == (info.moved == "M")
        assert np.array_equal(means[t], means[t - 1]) == (info.moved == "E")


def test_counts_and_weights(trace):
    weights = summaries.weights(trace)
    counts = summaries.counts(trace)
    np.testing.assert_allclose(counts.sum(1), 150)
    np.testing.assert_allclose(weights[2], counts[2] / 150, atol=1e-12)  # after the first M-step


def test_ellipses_are_one_standard_deviation_away(trace):
    maps = summaries.ellipses(trace, (2, 0))
    u, v = np.cos(turn := np.linspace(0, 6, 9)), np.sin(turn)
    for t, snapshot in enumerate(trace):
        for k in range(3):
            a = maps[t, k]
            xy = np.stack([a[0] + a[1] * u + a[2] * v, a[3] + a[4] * u + a[5] * v], 1)
            mean = snapshot.state.theta.means[k].numpy()[[2, 0]]
            sigma = snapshot.state.theta.covariances[k].numpy()[np.ix_([2, 0], [2, 0])]
            away = xy - mean
            distance = np.einsum("ni,ij,nj->n", away, np.linalg.inv(sigma), away)
            np.testing.assert_allclose(distance, 1.0, rtol=1e-9)


def test_smallest_eigenvalue_is_the_narrowest_variance(trace):
    made = summaries.smallest_eigenvalues(trace)
    for t in (0, 5, len(trace) - 1):
        by_svd = np.linalg.svd(trace[t].state.theta.covariances.numpy(), compute_uv=False)[:, -1]
        np.testing.assert_allclose(made[t], by_svd, rtol=1e-9)


def test_adjusted_rand_agrees_with_scikit_learn(trace):
    labels = trace.job.algorithm.data.table().labels
    made = summaries.adjusted_rand(trace)
    for resp, score in zip(summaries.responsibilities(trace), made, strict=True):
        assert score == pytest.approx(sklearn.metrics.adjusted_rand_score(labels, resp.argmax(1)), abs=1e-12)
    one = run(Job(EM(data=Moons(points=30), components=1), steps=2))
    assert summaries.adjusted_rand(one).tolist() == [0.0, 0.0, 0.0]


def test_decompositions_are_per_point(trace):
    points = torch.tensor(summaries.table_points(trace))
    for snapshot, terms in zip(trace, summaries.decompositions(trace), strict=True):
        assert terms.log_evidence == pytest.approx(float(log_density(snapshot.state.theta, points).mean()))
        assert terms.elbo == pytest.approx(terms.log_evidence - terms.kl)


# ---- one dimension ----


def test_the_marginal_is_the_sum_of_the_bells_and_a_density(line):
    grid, marginal, bells = summaries.densities(line)
    assert np.all(np.diff(grid, axis=1) >= 0)
    for t, snapshot in enumerate(line):
        joint = densities_by_scipy(snapshot.state.theta, grid[t][:, None])
        np.testing.assert_allclose(marginal[t], joint.sum(1), atol=1e-12)
        theta = snapshot.state.theta
        for k in range(2):
            mean, sd, height = bells[t, k, 0], bells[t, k, 1], bells[t, k, 5]
            assert sd**2 == pytest.approx(float(theta.covariances[k, 0, 0]))
            assert height * np.exp(-0.5) == pytest.approx(
                densities_by_scipy(theta, np.array([[mean + sd], [mean]]))[0, k]
            )
    np.testing.assert_allclose(np.trapezoid(marginal[-1], grid[-1]), 1.0, atol=2e-3)


def test_a_narrow_bump_is_not_lost_between_the_steps_of_the_grid():
    job = Job(
        EM(data=Iris(features=("petal length",)), components=6, regularizer=Floor(amount=1e-4)), steps=120
    )
    grid, marginal, bells = summaries.densities(run(job))
    tops = np.take_along_axis(marginal, np.abs(grid[:, :, None] - bells[:, None, :, 0]).argmin(1), 1)
    assert np.all(tops >= bells[..., 5] * (1 - 1e-9)), "the marginal reaches over every bell's peak"


def test_densities_need_one_column(trace):
    with pytest.raises(ValueError, match="1 column, not 3"):
        summaries.densities(trace)


# ---- the bound over one parameter ----


@pytest.mark.parametrize(("component", "axis"), [(0, 0), (2, 1)])
def test_bound_curve_by_brute_force(trace, component, axis):
    made = summaries.bound_curve(trace, component, axis, count=7)
    points = torch.tensor(summaries.table_points(trace))
    for t, snapshot in enumerate(trace):
        q = responsibilities(snapshot.state.theta_q, points)
        for value, curve, bound in zip(made.grid, made.curve[t], made.bound[t], strict=True):
            means = snapshot.state.theta.means.clone()
            means[component, axis] = value
            terms = decompose(snapshot.state.theta._replace(means=means), q, points).per(len(points))
            assert curve == pytest.approx(terms.log_evidence, rel=1e-11)
            assert bound == pytest.approx(terms.elbo, rel=1e-11)


def test_bound_curve_by_plain_numpy(trace):
    """Without a line of the package: densities by scipy, sums by hand."""
    made, points = summaries.bound_curve(trace, 1, 2, count=5), summaries.table_points(trace)
    state = trace[4].state
    joint_q = densities_by_scipy(state.theta_q, points)
    q = joint_q / joint_q.sum(1, keepdims=True)
    for g, value in enumerate(made.grid):
        means = state.theta.means.clone()
        means[1, 2] = value
        joint = densities_by_scipy(state.theta._replace(means=means), points)
        assert made.curve[4, g] == pytest.approx(np.log(joint.sum(1)).mean(), rel=1e-9)
        positive = q > 1e-300
        log_ratio = np.log(joint, where=positive, out=np.zeros_like(q)) - np.log(
            q, where=positive, out=np.zeros_like(q)
        )
        assert made.bound[4, g] == pytest.approx((q * log_ratio).sum(1).mean(), rel=1e-9)


@pytest.mark.parametrize("components", [1, 4])
def test_the_bound_is_below_and_touches_after_e(components):
    fitted = run(Job(EM(data=Blobs(points=60), components=components, start=KMeansPlusPlus()), steps=8))
    made = summaries.bound_curve(fitted, 0, 1)
    assert np.all(made.curve >= made.bound - 1e-10)
    assert np.all(made.grid[0] < made.at) and np.all(made.at < made.grid[-1])
    infos, count = summaries.infos(fitted), 60
    for t, info in enumerate(infos):
        assert made.curve_at[t] == pytest.approx(info.log_lik / count, abs=1e-10)
        assert made.bound_at[t] == pytest.approx(info.elbo / count, abs=1e-10)
        if info.moved == "E":
            assert made.curve_at[t] - made.bound_at[t] == pytest.approx(0.0, abs=1e-10)
        if info.moved == "M":  # the mean stands at the top of the bound that q gave
            assert made.bound[t].max() <= made.bound_at[t] + 1e-10
    second = np.diff(made.bound, 2, axis=1)
    np.testing.assert_allclose(second, second[:, :1] * np.ones_like(second), rtol=1e-6, atol=1e-10)


# ---- one snapshot ----


def test_collapsed_components_are_told():
    fitted = run(Job(EM(data=Blobs(points=12), components=2), steps=2))
    assert summaries.collapsed(fitted).tolist() == [[False, False]] * 3
    state = fitted[-1].state._replace(collapsed=torch.tensor([False, True]))
    told = Trace(fitted.job, [*fitted[:-1], Snapshot(2, state, fitted[-1].info)])
    assert summaries.collapsed(told)[-1].tolist() == [False, True]


def test_clicked_centres_in_the_chosen_axes():
    start = ByHand(centres=((1.0, 2.0, 3.0), (4.0, 5.0, 6.0)))
    fitted = run(Job(EM(data=Iris(features=IRIS), components=3, start=start), steps=1))
    np.testing.assert_array_equal(summaries.clicked(fitted, (2, 0)), [[3.0, 1.0], [6.0, 4.0]])


def test_no_clicks_without_a_start_by_hand(trace):
    assert summaries.clicked(trace) is None


def test_everything_is_float64(trace):
    arrays = [
        *summaries.bound_curve(trace, 0, 0, count=3),
        summaries.weights(trace),
        summaries.ellipses(trace),
    ]
    assert {array.dtype for array in arrays} == {np.dtype(np.float64)}
