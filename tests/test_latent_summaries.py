"""What the latent space page tells, against oracles of its own: sums over grids, nearest by hand, scipy."""

import math

import numpy as np
import pytest
import scipy.stats
import torch
from sklearn.decomposition import PCA

from lvmviz import DigitImages, Job, TrainVAE, run
from lvmviz.summaries import latent as summaries
from lvmviz.summaries import vae
from lvmviz.summaries.latent_view import principal, two_latents
from lvmviz.summaries.vae import Moment

WHOLE = two_latents((0, 1), (0.0, 0.0), (0.0, 0.0), 3.0)


@pytest.fixture(scope="module")
def at() -> Moment:
    trace = run(Job(TrainVAE(data=DigitImages(count=400)), steps=40))
    return vae.moment(trace, len(trace) - 1)


def test_tiles_are_decoded_at_their_middles(at):
    side, view = 5, two_latents((0, 1), (0.0, 0.0), (0.5, -0.25), 1.0)
    made = summaries.tiles(at, view, side)
    assert np.allclose(view.points(side)[0, 0], [0.5 - 0.8, -0.25 - 0.8])
    one = vae.decode(at, np.array([0.5 + 0.4, -0.25 - 0.8]))  # fourth column of the lowest row
    assert np.abs(made[0, 3].reshape(-1) / 255.0 - one).max() <= 0.5 / 255.0 + 1e-6


def test_latents_that_are_not_drawn_stand_still():
    view = two_latents((2, 0), (9.0, 0.5, 9.0, -1.0), (0.0, 0.0), 1.0)
    assert view.whole(np.array([[0.1, 0.2]])).tolist() == [[0.2, 0.5, 0.1, -1.0]]


def test_presence_counts_bumps_by_class(at):
    made = summaries.presence(at, WHOLE, 7)
    means, labels = vae.means(at, vae.half(at.vae, "train").x), vae.half(at.vae, "train").labels
    z = WHOLE.points(7)[2, 4]
    bumps = np.exp(-0.5 * ((means - z) ** 2).sum(1) / summaries.WIDE**2)
    share = np.array([bumps[labels == label].sum() for label in range(10)]) / bumps.sum()
    assert made.shares[2, 4] == pytest.approx(share, abs=1e-6)
    assert ((made.amount >= 0) & (made.amount <= 1)).all()


def test_holes_are_the_difference_of_two_densities(at):
    wide = two_latents((0, 1), (0.0, 0.0), (0.0, 0.0), 9.0)
    made = summaries.holes(at, wide, 181)
    assert made.sum() * (18.0 / 181) ** 2 == pytest.approx(0.0, abs=2e-3)
    q = vae.q(at, vae.half(at.vae, "train").x)
    z = wide.points(181)[95, 84]
    cov = (q.scale_tril() @ q.scale_tril().mT).numpy()
    parts = [scipy.stats.multivariate_normal(m, c).pdf(z) for m, c in zip(q.means.numpy(), cov, strict=True)]
    prior = scipy.stats.multivariate_normal(np.zeros(2)).pdf(z)
    assert made[95, 84] == pytest.approx(np.mean(parts) - prior, abs=1e-10)


def test_uncertainty_is_the_mean_variance_of_a_pixel(at):
    made = summaries.uncertainty(at, WHOLE, 3)
    mean = vae.decode(at, np.zeros(2))
    assert made[1, 1] == pytest.approx((mean * (1 - mean)).mean(), abs=1e-7)


def test_a_line_is_straight_and_a_sphere_keeps_its_distance():
    start, end = np.array([2.0, 0.0]), np.array([0.0, 1.0])
    line = summaries.walk(start, end, "Line", 5)
    assert np.allclose(line, [[2, 0], [1.5, 0.25], [1, 0.5], [0.5, 0.75], [0, 1]])
    turn = summaries.walk(start, end, "Sphere", 5)
    assert np.allclose(np.linalg.norm(turn, axis=1), np.linspace(2.0, 1.0, 5))
    assert np.allclose(np.arctan2(turn[:, 1], turn[:, 0]), np.linspace(0, math.pi / 2, 5))
    assert np.allclose(turn[[0, -1]], [start, end])


@pytest.mark.parametrize("end", [[0.0, 0.0], [-3.0, 0.0], [1.0, 0.0]])
def test_a_sphere_without_a_shortest_turn_is_a_line(end):
    start = np.array([1.0, 0.0])
    made = summaries.walk(start, np.array(end), "Sphere", 3)
    assert np.allclose(made, summaries.walk(start, np.array(end), "Line", 3)) and np.isfinite(made).all()


def test_the_pinned_image_s_numbers_are_integrals_that_add_up(at):
    x = vae.half(at.vae, "test").x[3]
    made = summaries.image(at, x)
    grid = torch.linspace(-8, 8, 601, dtype=torch.float64)
    z = torch.stack(torch.meshgrid(grid, grid, indexing="xy"), -1).view(1, -1, 2)
    with torch.no_grad():
        joint = vae.latent_model(at).log_joint(torch.tensor(x[None], dtype=torch.float64), z)[0]
    evidence = float(torch.logsumexp(joint, 0)) + 2 * math.log(16 / 600)
    assert made.exact and made.terms.log_evidence == pytest.approx(evidence, abs=1e-6)
    assert made.terms.elbo + made.terms.kl == pytest.approx(evidence, abs=3e-6)
    assert made.terms.likelihood - made.terms.kl_prior == pytest.approx(made.terms.elbo, abs=1e-6)


def test_estimates_agree_with_what_is_exact_within_their_errors(at):
    for x in vae.half(at.vae, "test").x[:6]:
        made = summaries.image(at, x)
        for name in ("elbo", "likelihood", "kl_prior"):
            value, error = getattr(made.rough, name)
            assert error > 0 and abs(value - getattr(made.terms, name)) < 5 * error
        value, error = made.rough.log_evidence
        assert abs(value - made.terms.log_evidence) < 6 * error + 0.02  # too low on average


def test_the_posterior_integrates_to_one(at):
    made = summaries.density(at, vae.half(at.vae, "test").x[0])
    assert np.trapezoid(np.trapezoid(made.density, made.first, axis=1), made.second) == pytest.approx(
        1, abs=1e-3
    )


def test_the_nearest_is_nearest(at):
    means = vae.means(at, vae.half(at.vae, "train").x)
    z = np.array([0.3, -0.7])
    assert summaries.nearest(at, z) == int(np.argmin(((means - z) ** 2).sum(1)))


def test_log_prior_is_that_of_a_standard_normal():
    z = np.array([0.3, -2.0, 1.0])
    assert summaries.log_prior(z) == pytest.approx(scipy.stats.norm.logpdf(z).sum())


def test_more_latents_have_estimates_that_say_so():
    trace = run(Job(TrainVAE(data=DigitImages(count=120), latent=4), steps=2))
    at = vae.moment(trace, 2)
    x = vae.half(at.vae, "test").x[0]
    made = summaries.image(at, x)
    assert not made.exact and made.terms.log_evidence == pytest.approx(made.rough.log_evidence[0], abs=1.0)
    with pytest.raises(ValueError, match="two latents"):
        summaries.density(at, x)


# ---- the plane ----


def test_what_is_seen_of_a_plane_is_where_it_lies():
    view = two_latents((2, 0), (9.0, 0.5, 9.0, -1.0), (0.0, 0.0), 1.0)
    pairs = np.array([[0.1, 0.2], [-1.0, 3.0]])
    assert np.allclose(view.seen(view.whole(pairs)), pairs)
    assert np.allclose(view.seen(np.array([5.0, 6.0, 7.0, 8.0])), [7.0, 5.0]) and view.names == ("z3", "z1")


def test_the_principal_plane_is_scikit_learns():
    trace = run(Job(TrainVAE(data=DigitImages(count=200), latent=5), steps=20))
    moment = vae.moment(trace, len(trace) - 1)
    means = vae.means(moment, vae.half(moment.vae, "train").x)
    view, fitted = principal(moment, (0.0, 0.0), 3.0), PCA(5).fit(means)
    assert np.abs(np.array(view.directions) @ fitted.components_[:2].T) == pytest.approx(np.eye(2), abs=1e-5)
    assert view.names == tuple(f"PC {k + 1} ({fitted.explained_variance_ratio_[k]:.0%})" for k in range(2))
    plane = view.whole(view.seen(means.mean(0)))
    assert plane == pytest.approx(means.mean(0), abs=1e-6), "it passes through the mean"
    assert view.seen(np.array(view.origin)) == pytest.approx(np.zeros(2), abs=1e-9)
    assert np.ptp(view.seen(means), 0)[0] == pytest.approx(np.ptp(fitted.transform(means)[:, 0]), rel=1e-5)
