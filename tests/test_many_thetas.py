"""Many thetas at once give what each gives alone: what a film of a whole trace is made of."""

import numpy as np
import pytest
import scipy.stats
import torch

from lvmviz import EM, Blobs, Job, run
from lvmviz.incomplete_gaussian import GaussianParams, fill_each
from lvmviz.mixtures import Data, GaussianMixtureParams, posteriors
from lvmviz.ppca import PPCAParams, decompose_at, gathered, latent_means, maximum_at
from lvmviz.summaries import em

RNG = np.random.default_rng(3)


def covariance(width: int) -> np.ndarray:
    root = RNG.normal(size=(width, width))
    return root @ root.T + 0.3 * np.eye(width)


@pytest.mark.parametrize("labelled", [False, True])
def test_responsibilities_of_several_mixtures_are_bayes_rule(labelled: bool):
    x = RNG.normal(size=(7, 2))
    labels = torch.tensor([-1, 2, -1, 0, -1, 1, -1]) if labelled else None
    thetas = []
    expected = []
    for _ in range(4):
        weights, means = RNG.dirichlet(np.ones(3)), RNG.normal(size=(3, 2))
        covariances = np.stack([covariance(2) for _ in range(3)])
        densities = [
            scipy.stats.multivariate_normal(*part).pdf(x) for part in zip(means, covariances, strict=True)
        ]
        joint = weights * np.stack(densities, 1)
        if labels is not None:
            joint = np.where((labels[:, None] < 0) | (labels[:, None] == torch.arange(3)), joint, 0.0)
        expected.append(joint / joint.sum(1, keepdims=True))
        thetas.append(GaussianMixtureParams(*map(torch.from_numpy, (weights, means, covariances))))
    made = posteriors(thetas, Data(torch.from_numpy(x), labels))
    np.testing.assert_allclose(made.numpy(), expected, rtol=1e-10, atol=1e-14)


def test_a_trace_in_several_parts_has_the_tables_of_one(monkeypatch: pytest.MonkeyPatch):
    trace = run(Job(EM(data=Blobs(points=60), components=3), steps=20))
    rows = np.arange(60)
    whole, counts, score = em.responsibilities(trace, rows), em.counts(trace), em.adjusted_rand(trace)
    monkeypatch.setattr("lvmviz.summaries.em.q.AT_ONCE", 2 * 60 * 3 * 2)  # two thetas a part
    np.testing.assert_array_equal(em.responsibilities(trace, rows), whole)
    np.testing.assert_allclose(em.counts(trace), counts, rtol=1e-13)
    np.testing.assert_allclose(counts, whole.sum(1), rtol=1e-10)
    np.testing.assert_array_equal(em.adjusted_rand(trace), score)


@pytest.mark.parametrize("factorized", [False, True])
def test_gaps_filled_under_several_gaussians_are_conditionals(factorized: bool):
    points = RNG.normal(size=(6, 3))
    points[0, 1] = points[2, 0] = points[3, :2] = points[4, 1:] = np.nan
    thetas = [(RNG.normal(size=3), covariance(3)) for _ in range(4)]
    made = fill_each(
        [GaussianParams(*map(torch.from_numpy, theta)) for theta in thetas],
        torch.from_numpy(points),
        factorized,
    )
    for t, (mean, full) in enumerate(thetas):
        for n, row in enumerate(points):
            holes = np.isnan(row)
            across = full[holes][:, ~holes] @ np.linalg.inv(full[~holes][:, ~holes])
            guess = mean[holes] + across @ (row - mean)[~holes]
            exact = full[holes][:, holes] - across @ full[~holes][:, holes]
            variances = 1.0 / np.diag(np.linalg.inv(exact)) if factorized and holes.any() else np.diag(exact)
            np.testing.assert_allclose(made.means[t, n, torch.from_numpy(holes)], guess, rtol=1e-9)
            np.testing.assert_allclose(made.sds[t, n, torch.from_numpy(holes)] ** 2, variances, rtol=1e-9)
            np.testing.assert_array_equal(made.means[t, n, torch.from_numpy(~holes)], row[~holes])


def test_latents_under_several_thetas_are_the_dense_formula():
    points = RNG.normal(size=(6, 4))
    points[0, 1] = points[2, :3] = np.nan
    thetas = [(RNG.normal(size=4), RNG.normal(size=(4, 2)), RNG.uniform(0.1, 1.0)) for _ in range(3)]
    told = [PPCAParams(*(torch.tensor(part, dtype=torch.float64) for part in theta)) for theta in thetas]
    made = latent_means(told, torch.from_numpy(points))
    for t, (mean, w, noise) in enumerate(thetas):
        for n, row in enumerate(points):
            seen = ~np.isnan(row)
            dense = w[seen] @ w[seen].T + noise * np.eye(seen.sum())
            expected = w[seen].T @ np.linalg.solve(dense, (row - mean)[seen])
            np.testing.assert_allclose(made[t, n], expected, rtol=1e-9, atol=1e-12)


def test_what_is_kept_of_a_theta_is_not_given_for_another():
    """A half-step asks for the posteriors of the one before: a changed tensor or table is another."""
    points = torch.from_numpy(RNG.normal(size=(30, 4)))
    points[:5, 0] = torch.nan
    rows = gathered(points)
    theta = PPCAParams(
        points.nan_to_num(0.0).mean(0), torch.from_numpy(RNG.normal(size=(4, 2))), torch.tensor(0.5).double()
    )
    first = decompose_at(theta, theta, rows)
    moved = maximum_at(theta, rows)
    assert decompose_at(moved, moved, rows).log_evidence > first.log_evidence
    theta.loadings.mul_(2.0)  # in place: the same tensor, other numbers
    fresh = theta._replace(loadings=theta.loadings.clone())
    assert decompose_at(theta, theta, rows) == decompose_at(fresh, fresh, rows) != first
    other = gathered(points + 1.0)
    assert decompose_at(theta, theta, other) != decompose_at(theta, theta, rows)
