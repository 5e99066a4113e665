"""The sigmoid decoder of note 001: its numbers against plain grids, the note's formula and the 1-D target."""

import math

import numpy as np
import pytest
import torch
from scipy import optimize, stats

from lvmviz import SigmoidDecoder, log_evidence
from lvmviz.algorithms.best_gaussian import best_gaussian
from lvmviz.core import generator
from lvmviz.figures import sigmoid as figures
from lvmviz.latent_model import LatentModel
from lvmviz.sigmoid import SigmoidModel
from lvmviz.summaries.sigmoid import look
from lvmviz.ui import sigmoid
from lvmviz.ui.derivation import agrees
from lvmviz.ui.derivation_vi import lines

NOTE = SigmoidModel(noise=1.0, x1=1.4, x2=-0.3, b11=3.0, b22=-2.0, c1=-1.0, d2=0.5)
MODELS = [SigmoidModel(), NOTE, SigmoidModel(x1=0.2, x2=1.0, a11=6, a12=-6, a21=6, a22=6, b12=5.0)]


def squash(t: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-t))


def log_joint(m: SigmoidModel, z: np.ndarray) -> np.ndarray:
    """log p(x, z) (n,) from the note's formula, coordinate by coordinate."""
    told = stats.norm.logpdf(z).sum(1)
    for x, a, b, c, d in (
        (m.x1, (m.a11, m.a12), (m.b11, m.b12), m.c1, m.d1),
        (m.x2, (m.a21, m.a22), (m.b21, m.b22), m.c2, m.d2),
    ):
        variance = m.noise**2 * np.exp(squash(z @ np.array(b) + d))
        told = told + stats.norm.logpdf(x, squash(z @ np.array(a) + c), np.sqrt(variance))
    return told


def grid(m: SigmoidModel, side: int = 1201) -> tuple[np.ndarray, np.ndarray, float]:
    line = np.linspace(-7.0, 7.0, side)
    z = np.stack(np.meshgrid(line, line, indexing="ij"), -1).reshape(-1, 2)
    return z, log_joint(m, z), (line[1] - line[0]) ** 2


@pytest.mark.parametrize("m", MODELS, ids=range(3))
def test_the_model_is_the_note_s_formula(m):
    z = np.random.default_rng(1).normal(size=(50, 2))
    made = m.model().log_joint(m.datum(), torch.from_numpy(z)[None])[0]
    np.testing.assert_allclose(made, log_joint(m, z), rtol=1e-10)


@pytest.mark.parametrize("m", MODELS, ids=range(3))
def test_every_number_is_what_a_plain_grid_says(m):
    made = look(m)
    z, joint, area = grid(m)
    evidence = math.log(np.exp(joint).sum() * area)
    log_q = stats.multivariate_normal.logpdf(z, made.mean, made.factor @ made.factor.T)
    q, prior = np.exp(log_q) * area, stats.norm.logpdf(z).sum(1)
    told = {
        "log_evidence": evidence, "elbo": (q * (joint - log_q)).sum(), "joint": (q * joint).sum(),
        "kl": (q * (log_q - joint + evidence)).sum(), "entropy": -(q * log_q).sum(),
        "likelihood": (q * (joint - prior)).sum(), "kl_prior": (q * (log_q - prior)).sum(),
    }  # fmt: skip
    for name, value in told.items():
        assert getattr(made.terms, name) == pytest.approx(value, abs=2e-5), name
    weight = np.exp(joint - evidence) * area
    mean = weight @ z
    np.testing.assert_allclose(made.posterior_mean, mean, atol=2e-4)
    np.testing.assert_allclose(made.posterior_cov, (z - mean).T @ (weight[:, None] * (z - mean)), atol=5e-4)
    assert made.settled


def test_with_one_feature_that_says_nothing_it_is_the_one_dimensional_target():
    """A second feature that does not depend on z changes the evidence by its own density alone."""
    m = SigmoidModel(noise=1.0, x1=2.5, x2=0.5, a11=8, a12=0, a21=0, a22=0, b11=-8, c1=-8)
    target = SigmoidDecoder(x=2.5)
    other = stats.norm.logpdf(0.5, 0.5, math.exp(0.25))
    assert look(m).terms.log_evidence == pytest.approx(float(log_evidence(target)) + other, abs=1e-6)


@pytest.mark.parametrize("posterior", ["full", "mean-field"])
@pytest.mark.parametrize("m", MODELS, ids=range(3))
def test_no_other_gaussian_is_nearer(m, posterior):
    """By SciPy's simplex on a grid's KL from where the best q was found, and from elsewhere."""
    z, joint, area = grid(m, 181)
    made = look(m, posterior)

    def loss(told: np.ndarray) -> float:
        tril = np.array([[math.exp(told[2]), 0.0], [told[4] if len(told) > 4 else 0.0, math.exp(told[3])]])
        white = np.linalg.solve(tril, (z - told[:2]).T)
        log_q = -0.5 * (white**2).sum(0) - told[2] - told[3] - math.log(2.0 * math.pi)
        q = np.exp(log_q) * area
        return float((q * (log_q - joint)).sum()) if abs(q.sum() - 1.0) < 1e-3 else math.inf

    tril = made.factor
    found = [*made.mean, math.log(tril[0, 0]), math.log(tril[1, 1]), tril[1, 0]][
        : 5 if posterior == "full" else 4
    ]
    assert loss(np.array(found)) == pytest.approx(-made.terms.elbo, abs=1e-4)
    for start in (found, [0.0, 0.0, -0.5, -0.5, 0.0][: len(found)]):
        ended = optimize.minimize(loss, np.array(start), method="Nelder-Mead", options={"maxiter": 250})
        assert -ended.fun <= made.terms.elbo + 1e-4


def test_a_gaussian_posterior_is_found_to_the_last_digit():
    """x | z ~ N(W z, s^2 I) has a Gaussian posterior in closed form: there the gap is 0."""
    w, s, x = torch.tensor([[1.0, 0.6], [-0.3, 1.5]]).double(), 0.4, torch.tensor([[0.7, -1.1]]).double()

    def natural(z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mean = z @ w.T
        return mean / s**2, 0.5 * mean.square().sum(-1) / s**2

    q = best_gaussian(LatentModel(natural, lambda x: torch.zeros_like(x[..., 0])), x)
    precision = torch.eye(2, dtype=torch.float64) + w.T @ w / s**2
    covariance = torch.linalg.inv(precision)
    torch.testing.assert_close(q.means[0], covariance @ w.T @ x[0] / s**2, atol=1e-6, rtol=0)
    torch.testing.assert_close(q.scale_tril()[0] @ q.scale_tril()[0].mT, covariance, atol=1e-6, rtol=0)


def test_draws_of_x_have_the_model_s_mean_and_variance():
    m = SigmoidModel(b11=6.0, noise=0.3)
    x = m.sample(200_000, generator(0)).numpy()
    z = np.random.default_rng(0).normal(size=(200_000, 2))
    mean = squash(z @ np.array([m.a11, m.a12]))
    variance = mean.var() + (0.09 * np.exp(squash(6.0 * z[:, 0]))).mean()
    assert x[:, 0].mean() == pytest.approx(mean.mean(), abs=5 * math.sqrt(variance / 100_000))
    assert x[:, 0].var() == pytest.approx(variance, rel=0.02)


def test_the_estimate_is_told_when_it_is_far():
    made = look(MODELS[2])
    far = made._replace(estimate=(made.terms.log_evidence - 1.0, 0.1))
    near = made._replace(estimate=(made.terms.log_evidence - 0.1, 0.1))
    assert "More than 3" in sigmoid.told_of(far) and "More than 3" not in sigmoid.told_of(near)
    assert "Two rules" in sigmoid.told_of(made._replace(settled=False))


def test_the_lines_agree_and_the_figures_hold_what_they_are_given():
    made = look(SigmoidModel())
    assert [agrees(line) for line in lines(made.terms) if line.relation == "="].count(True) >= 5
    for dark in (False, True):
        figure = figures.posterior(made.z, made.posterior, made.mean, made.factor, dark=dark)
        hill, ellipse = figure.data[0], figure.data[3]
        assert np.array(hill.z).max() == 1.0 and len(hill.x) == len(made.z)
        white = np.linalg.solve(made.factor, np.stack([ellipse.x, ellipse.y]) - made.mean[:, None])
        np.testing.assert_allclose((white**2).sum(0), 1.0, atol=0.01)
        cloud = figures.made_x(made.cloud, (0.9, 0.9), dark=dark)
        assert list(cloud.data[1].x) == [0.9]
        assert figures.likelihood(made.z, made.likelihood, dark=dark).data
