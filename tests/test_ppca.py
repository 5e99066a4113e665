"""Probabilistic PCA: against scikit-learn, D x D Gaussians row by row, and autograd; with holes, too."""

import itertools
import math
import warnings

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from scipy.stats import multivariate_normal
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.estimator_checks import check_estimator

import lvmviz.ppca as module
from lvmviz import MCAR, PPCA, PPCAEM, AsGiven, Iris, Job, Wine, run
from lvmviz.gaps import incomplete
from lvmviz.ppca import (
    PPCAParams,
    applied,
    closed_form,
    covariance,
    decompose_at,
    gathered,
    maximum_at,
)
from tests.test_missing import data, gaussian_kl, holed

WINE = load_wine().data / load_wine().data.std(0)


def theta_of(seed: int, width: int, latents: int) -> PPCAParams:
    rng = np.random.default_rng(seed)
    loadings = torch.tensor(rng.standard_normal((width, latents)))
    noise = torch.tensor(0.3 + rng.random(), dtype=torch.float64)
    return PPCAParams(torch.tensor(rng.standard_normal(width)), loadings, noise)


def posterior(theta: PPCAParams, row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """p(z | what is seen), from the joint Gaussian of z and x, D x D."""
    mean, loadings = theta.mean.numpy(), theta.loadings.numpy()
    o = ~np.isnan(row)
    gain = loadings[o].T @ np.linalg.inv(covariance(theta).numpy()[np.ix_(o, o)])
    return gain @ (row[o] - mean[o]), np.eye(loadings.shape[1]) - gain @ loadings[o]


def row_terms(theta: PPCAParams, theta_q: PPCAParams, row: np.ndarray) -> np.ndarray:
    """log_lik, elbo, kl, joint, entropy, likelihood, kl_prior of one row."""
    o, q = ~np.isnan(row), theta.loadings.shape[1]
    mean, loadings, noise = theta.mean.numpy()[o], theta.loadings.numpy()[o], float(theta.noise_variance)
    z, spread = posterior(theta_q, row)
    at, left = posterior(theta, row)
    log_lik = (
        multivariate_normal.logpdf(row[o], mean, covariance(theta).numpy()[np.ix_(o, o)]) if o.any() else 0
    )
    likelihood = 0.0
    if o.any():
        fit = multivariate_normal.logpdf(row[o], loadings @ z + mean, noise * np.eye(o.sum()))
        likelihood = fit - 0.5 * np.trace(loadings @ spread @ loadings.T) / noise
    prior = multivariate_normal.logpdf(z, np.zeros(q), np.eye(q)) - 0.5 * np.trace(spread)
    entropy = 0.5 * np.linalg.slogdet(2 * np.pi * np.e * spread)[1]
    joint = likelihood + prior
    return np.array([log_lik, joint + entropy, gaussian_kl(z, spread, at, left), joint, entropy, likelihood,
                     gaussian_kl(z, spread, np.zeros(q), np.eye(q))])  # fmt: skip


@pytest.mark.parametrize(("width", "latents", "share"), [(3, 1, 0.4), (5, 2, 0.0), (6, 4, 0.6)])
def test_every_term_row_by_row(width, latents, share, monkeypatch):
    points = np.vstack([holed(1, 25, width, share), np.full((2, width), np.nan)])
    theta, theta_q = theta_of(2, width, latents), theta_of(3, width, latents)
    wanted = sum(row_terms(theta, theta_q, row) for row in points)
    told = decompose_at(theta, theta_q, gathered(torch.tensor(points)))
    np.testing.assert_allclose(told[:7], wanted, rtol=1e-9, atol=1e-9)
    best = maximum_at(theta_q, gathered(torch.tensor(points)))
    monkeypatch.setattr(module, "CHUNK", 60)  # in many parts
    np.testing.assert_allclose(decompose_at(theta, theta_q, gathered(torch.tensor(points))), told, rtol=1e-11)
    for a, b in zip(maximum_at(theta_q, gathered(torch.tensor(points))), best, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)


def test_what_theta_says_of_rows_row_by_row():
    points, theta = np.vstack([holed(5, 30, 4, 0.5), np.full((1, 4), np.nan)]), theta_of(4, 4, 2)
    told = applied(theta, torch.tensor(points))
    for i, row in enumerate(points):
        z, _ = posterior(theta, row)
        np.testing.assert_allclose(told.latents[i], z, rtol=1e-9, atol=1e-12)
        assert float(told.log_density[i]) == pytest.approx(row_terms(theta, theta, row)[0], rel=1e-10)
        guess = np.where(np.isnan(row), theta.loadings.numpy() @ z + theta.mean.numpy(), row)
        np.testing.assert_allclose(told.filled[i], guess, rtol=1e-9)


def test_m_is_the_maximum():
    points, theta_q = gathered(torch.tensor(holed(7, 30, 4, 0.3))), theta_of(8, 4, 2)
    best = maximum_at(theta_q, points)
    top, rng = decompose_at(best, theta_q, points).elbo, np.random.default_rng(0)
    for _ in range(20):
        shaken = [part + 1e-3 * torch.tensor(rng.standard_normal(part.shape)) for part in best]
        assert decompose_at(PPCAParams(*shaken), theta_q, points).elbo < top


# ---- whole rows ----


@pytest.mark.parametrize("latents", [1, 2, 5])
@pytest.mark.parametrize("points", [WINE, load_breast_cancer().data[:, :10], load_digits().data / 16.0],
                         ids=["wine", "cancer", "digits"])  # fmt: skip
def test_the_closed_form_is_scikit_learns(points, latents):
    """Its noise variance divides by n - 1, ours by n; the axes are the same."""
    count = len(points)
    theirs, ours = PCA(latents, svd_solver="full").fit(points), closed_form(torch.tensor(points), latents)
    assert float(ours.noise_variance) == pytest.approx(
        theirs.noise_variance_ * (count - 1) / count, rel=1e-10
    )
    variances = theirs.explained_variance_ * (count - 1) / count
    np.testing.assert_allclose(ours.loadings.square().sum(0) + ours.noise_variance, variances, rtol=1e-10)
    axes = (ours.loadings / ours.loadings.norm(dim=0)).T.numpy()
    np.testing.assert_allclose(np.abs(np.sum(axes * theirs.components_, 1)), 1.0, rtol=1e-10)
    biased = np.cov(points.T, bias=True)
    wanted = np.linalg.eigvalsh(biased)[::-1][latents:].mean()
    assert float(ours.noise_variance) == pytest.approx(wanted, rel=1e-9)


def test_golden_numbers():
    digits = load_digits().data / 16.0
    assert PPCA(2).fit(digits).score(digits) == pytest.approx(0.0057067249515783, abs=1e-12)
    spectrum = np.array([6, 3, 1.5, 0.8, 0.3, 0.2, 0.1, 0.1])
    turned, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((100, 8)))
    turned = np.linalg.qr(turned - turned.mean(0))[0] * np.sqrt(100 * spectrum)  # covariance exactly diagonal
    for latents, noise in ((2, 0.5), (3, 0.3)):
        assert float(closed_form(torch.tensor(turned), latents).noise_variance) == pytest.approx(
            noise, rel=1e-12
        )


def climbed(points: np.ndarray, latents: int, most: int = 60_000) -> PPCAParams:
    """The fixed point of E and M, from the algorithm's own start."""
    algorithm = PPCAEM(data=data(points), gaps=AsGiven(), latents=latents)
    theta, rows = run(Job(algorithm, steps=0))[0].state.theta, gathered(torch.tensor(points))
    for _ in range(most):
        before, theta = theta, maximum_at(theta, rows)
        moved = max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(theta, before, strict=True))
        if moved < 1e-13:
            return theta
    raise AssertionError(f"still moving by {moved}")


@pytest.mark.parametrize("latents", [1, 2])
def test_em_ends_at_the_closed_form(latents):
    points = Iris(features=()).table().points
    found, wanted = climbed(points, latents), closed_form(torch.tensor(points), latents)
    torch.testing.assert_close(covariance(found), covariance(wanted), rtol=1e-10, atol=1e-10)
    assert float(found.noise_variance) == pytest.approx(float(wanted.noise_variance), abs=1e-10)
    torch.testing.assert_close(found.mean, wanted.mean, rtol=1e-12, atol=1e-12)
    assert observed_gradient(wanted, points) < 1e-10


# ---- with holes ----


def observed_gradient(theta: PPCAParams, points: np.ndarray) -> float:
    """The largest slope of the mean log-likelihood of what is seen, by autograd through D x D Gaussians."""
    mean, loadings, noise = (part.clone().requires_grad_() for part in theta)
    total = torch.zeros((), dtype=torch.float64)
    for row in torch.tensor(points):
        o = (~row.isnan()).nonzero()[:, 0]
        if len(o):
            spread = loadings[o] @ loadings[o].T + noise * torch.eye(len(o), dtype=torch.float64)
            total = total + torch.distributions.MultivariateNormal(mean[o], spread).log_prob(row[o])
    (total / len(points)).backward()
    slopes = [part.grad for part in (mean, loadings, noise)]
    return max(float(slope.abs().max()) for slope in slopes if slope is not None)


@pytest.mark.parametrize(("points", "latents", "share"), [(Iris(features=()).table().points, 1, 0.2),
                                                         (Iris(features=()).table().points, 2, 0.1),
                                                         (WINE[:, :6], 2, 0.2)],
                         ids=["iris-1", "iris-2", "wine-2"])  # fmt: skip
def test_with_holes_the_observed_gradient_is_zero_at_the_end(points, latents, share):
    shown = incomplete(data(points), MCAR(share=share, seed=1)).points
    theta = climbed(shown, latents)
    assert observed_gradient(theta, shown) < 1e-8
    assert observed_gradient(theta._replace(mean=theta.mean + 0.1), shown) > 1e-3  # the measure measures


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6), width=st.integers(2, 6), latents=st.integers(1, 5),
    share=st.floats(0, 0.6), key=st.integers(0, 99),
)  # fmt: skip
def test_it_climbs_and_the_terms_agree(seed, width, latents, share, key):
    points = holed(seed, 30, width, share)
    algorithm = PPCAEM(data=data(points), gaps=AsGiven(), latents=min(latents, width - 1), tolerance=0.0)
    trace = run(Job(algorithm, steps=20, seed=key))
    assert trace[0].info.kl_prior == pytest.approx(0.0, abs=1e-12)  # q is the prior
    for before, after in itertools.pairwise(s.info for s in trace):
        slack = 1e-9 * (1.0 + abs(after.joint) + abs(after.likelihood))
        assert after.elbo >= before.elbo - slack and after.log_lik >= before.log_lik - slack
        assert after.elbo == pytest.approx(after.joint + after.entropy, abs=slack)
        assert after.elbo == pytest.approx(after.likelihood - after.kl_prior, abs=slack)
        assert after.elbo == pytest.approx(after.log_lik - after.kl, abs=slack)
        assert (after.kl <= slack) if after.moved == "E" else (after.kl >= -slack)


def test_weights_are_repeated_rows():
    points, counts = holed(23, 25, 4, 0.3), np.arange(25) % 4
    weighted = PPCAEM(data=data(points, counts.astype(float)), gaps=AsGiven(), latents=2)
    repeated = PPCAEM(data=data(np.repeat(points, counts, axis=0)), gaps=AsGiven(), latents=2)
    one, two = (run(Job(algorithm, steps=20, every=20))[-1] for algorithm in (weighted, repeated))
    np.testing.assert_allclose(one.info[2:9], two.info[2:9], rtol=1e-9)
    once = np.repeat(points, counts, axis=0)
    once[np.isnan(once)] = 0.0
    filled = torch.tensor(np.where(np.isnan(points), 0.0, points))
    a, b = closed_form(filled, 2, torch.tensor(counts.astype(float))), closed_form(torch.tensor(once), 2)
    torch.testing.assert_close(covariance(a), covariance(b), rtol=1e-10, atol=1e-10)


def test_what_cannot_be_fitted_is_explained():
    with pytest.raises(ValueError, match="2 latents need more than 2 columns and the table has 2"):
        PPCAEM(data=Iris(), latents=2).init(0)
    with pytest.raises(ValueError, match="no column varies"):
        PPCAEM(data=data(np.ones((5, 3))), gaps=AsGiven()).init(0)
    with pytest.raises(ValueError, match="has no value that is seen"):
        PPCAEM(data=data([[1.0, math.nan], [2.0, math.nan]]), gaps=AsGiven()).init(0)
    line = np.outer(np.arange(10.0), [1.0, 2.0, -1.0])  # within one dimension
    with pytest.raises(ValueError, match="the noise variance falls to 0"):
        closed_form(torch.tensor(line), 1)
    last = run(Job(PPCAEM(data=data(line), gaps=AsGiven(), tolerance=0.0), steps=400, every=400))[-1]
    assert "the noise variance falls to 0" in last.info.status and "fewer latents" in last.info.status
    assert all(map(math.isfinite, last.info[2:10])) and float(last.state.theta.noise_variance) > 0.0


@pytest.mark.parametrize("points", [np.random.default_rng(0).standard_normal((5, 12)),
                                    np.repeat(np.random.default_rng(1).standard_normal((6, 4)), 5, axis=0),
                                    np.hstack([WINE[:, :3], np.ones((178, 1))])],
                         ids=["wide", "duplicated", "constant column"])  # fmt: skip
def test_degenerate_tables_are_fitted(points):
    last = run(Job(PPCAEM(data=data(points), gaps=AsGiven()), steps=200, every=200))[-1]
    assert last.info.status == "climbing"
    best = float(applied(closed_form(torch.tensor(points), 1), torch.tensor(points)).log_density.sum())
    assert last.info.log_lik <= best + 1e-9
    assert last.info.log_lik == pytest.approx(best, abs=1e-4 * len(points))


def test_ninety_percent_hidden_is_fitted_or_explained():
    for source in (Wine(features=()), Iris(features=())):
        last = run(Job(PPCAEM(data=source, gaps=MCAR(share=0.9), latents=2), steps=100, every=100))[-1]
        assert all(map(math.isfinite, last.info[2:10]))
        assert last.info.status == "climbing" or "fewer latents" in last.info.status


# ---- the estimator ----


def test_the_estimator_on_whole_rows():
    model, theirs = PPCA(2).fit(WINE), PCA(2).fit(WINE)
    np.testing.assert_allclose(model.mean_, theirs.mean_, rtol=1e-12)
    scores, components = model.transform(WINE), model.components_
    for i in range(2):  # the same axis, each score shrunk towards 0
        assert abs(np.corrcoef(scores[:, i], theirs.transform(WINE)[:, i])[0, 1]) == pytest.approx(1.0)
    assert components[0] @ components[1] == pytest.approx(0.0, abs=1e-10)
    assert (components[np.arange(2), np.abs(components).argmax(1)] > 0).all()
    np.testing.assert_allclose(model.inverse_transform(scores), scores @ components + model.mean_)
    wanted = multivariate_normal.logpdf(WINE, model.mean_, model.get_covariance())
    np.testing.assert_allclose(model.score_samples(WINE), wanted, rtol=1e-9)
    assert model.score(WINE) == pytest.approx(wanted.mean()) and model.n_iter_ == 1
    assert model.get_feature_names_out().tolist() == ["ppca0", "ppca1"]


def test_the_estimator_with_holes():
    shown = incomplete(data(WINE[:, :6]), MCAR(share=0.2, seed=1)).points
    model = PPCA(2, tol=1e-13, max_iter=20_000, random_state=3).fit(shown)
    theta = climbed(shown, 2)
    np.testing.assert_allclose(model.get_covariance(), covariance(theta), atol=1e-5)
    assert (np.diff(model.log_likelihoods_) > -1e-12).all()
    told = applied(theta, torch.tensor(shown))
    assert model.score(shown) == pytest.approx(float(told.log_density.mean()), abs=1e-9)
    np.testing.assert_allclose(model.impute(shown), told.filled, atol=1e-4)
    hidden = np.isnan(shown)
    truth = WINE[:, :6][hidden]
    means = np.broadcast_to(np.nanmean(shown, 0), shown.shape)[hidden]
    assert np.mean((model.impute(shown)[hidden] - truth) ** 2) < 0.9 * np.mean((means - truth) ** 2)


def test_the_estimator_says_what_is_wrong():
    with pytest.raises(ValueError, match="n_components=4 is too many for n_features=4"):
        PPCA(4).fit(Iris(features=()).table().points)
    with pytest.raises(ValueError, match="'column 1' has no value"):
        PPCA(1).fit(np.array([[1.0, np.nan, 2.0], [2.0, np.nan, 3.0]]))
    with pytest.warns(ConvergenceWarning, match="has not converged in max_iter=3"):
        PPCA(2, max_iter=3).fit(holed(1, 30, 5, 0.2))
    with pytest.raises(ValueError, match="one row of 1 numbers"):
        PPCA().fit(WINE).inverse_transform(np.zeros((2, 3)))


def test_scikit_learns_checks():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        done = check_estimator(PPCA(), on_skip=None)
    assert {check["check_name"] for check in done if check["status"] != "passed"} <= {"check_array_api_input"}
    assert len(done) > 40
