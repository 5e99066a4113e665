"""Bernoulli mixtures against sums over completions, plain loops, closed forms and autograd."""

import itertools
import pickle
import warnings

import hypothesis.strategies as st
import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.utils.estimator_checks import check_estimator

import lvmviz.bernoulli_mixture as module
from lvmviz import BernoulliMixture
from lvmviz.bernoulli_mixture import (
    BernoulliMixtureParams,
    Data,
    decompose,
    decompose_at,
    evaluate,
    filled,
    log_density,
    log_likelihoods,
    log_prior,
    maximum,
    responsibilities,
    statistics,
    statistics_at,
)
from lvmviz.divergences import Decomposition
from lvmviz.mixtures import Responsibilities
from lvmviz.sklearn_api.bernoulli_em import best_climb

mpmath.mp.dps = 40
NAN = float("nan")


def f64(values) -> torch.Tensor:
    return torch.tensor(np.asarray(values, float))


def make(x, labels=None, weights=None) -> Data:
    """Data from an array with NaN where missing."""
    x = np.array(x, float)
    return Data(
        f64(x), torch.tensor(~np.isnan(x)), None if labels is None else torch.tensor(labels),
        None if weights is None else f64(weights),
    )  # fmt: skip


def make_theta(
    rng: np.random.Generator, count: int, width: int, edges: float = 0.0
) -> BernoulliMixtureParams:
    """Any mixture; a share of its means is exactly 0 or 1."""
    means = rng.uniform(size=(count, width)) ** rng.choice([1.0, 8.0])
    means = np.where(rng.uniform(size=means.shape) < edges, rng.integers(0, 2, means.shape), means)
    return BernoulliMixtureParams(f64(rng.dirichlet(np.ones(count))), f64(means))


@st.composite
def problems(draw, edges: float = 0.0) -> tuple[BernoulliMixtureParams, Data, np.random.Generator]:
    """A small mixture and rows: binary or partly on, some missing, perhaps weighted or labelled."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    count, width, rows = draw(st.integers(1, 4)), draw(st.integers(1, 5)), draw(st.integers(1, 6))
    x = rng.integers(0, 2, (rows, width)).astype(float)
    if draw(st.booleans()):
        x = np.where(rng.uniform(size=x.shape) < 0.5, rng.uniform(size=x.shape), x)
    x[rng.uniform(size=x.shape) < draw(st.sampled_from([0.0, 0.4]))] = np.nan
    labels = rng.integers(-1, count, rows) if draw(st.booleans()) else None
    weights = rng.uniform(0.1, 3.0, rows) if draw(st.booleans()) else None
    return make_theta(rng, count, width, draw(st.sampled_from([0.0, edges]))), make(x, labels, weights), rng


# ---- 40 digits ----


def exact_joint(theta: BernoulliMixtureParams, row: np.ndarray, label: int = -1) -> list[mpmath.mpf]:
    """p(x_observed, z = k), by summing over every completion of the row."""
    holes = np.flatnonzero(np.isnan(row))
    sums = [mpmath.mpf(0)] * len(theta.weights)
    for bits in itertools.product((0.0, 1.0), repeat=len(holes)):
        whole = row.copy()
        whole[holes] = bits
        for k, (weight, means) in enumerate(zip(*(part.tolist() for part in theta), strict=True)):
            if label in (-1, k):
                sums[k] += mpmath.mpf(weight) * mpmath.fprod(
                    mpmath.mpf(m) ** mpmath.mpf(x) * (1 - mpmath.mpf(m)) ** (1 - mpmath.mpf(x))
                    for m, x in zip(means, whole.tolist(), strict=True)
                )
    return sums


def each_row(data: Data) -> list[tuple[np.ndarray, int, float]]:
    """Every row with its label and its weight."""
    x = data.x.numpy()
    labels = np.full(len(x), -1) if data.labels is None else data.labels.numpy()
    weights = np.ones(len(x)) if data.weights is None else data.weights.numpy()
    return list(zip(x, labels.tolist(), weights.tolist(), strict=True))


def log(p: mpmath.mpf) -> float:
    return float(mpmath.log(p)) if p > 0 else -np.inf


@given(problems(edges=0.3))
def test_log_density_and_posterior_sum_over_all_completions(problem):
    theta, data, _ = problem
    density, resp = log_density(theta, data).tolist(), responsibilities(theta, data).resp.tolist()
    log_lik = log_likelihoods(theta, data).tolist()
    for n, (row, label, _) in enumerate(each_row(data)):
        joint = exact_joint(theta, row, label)
        total = mpmath.fsum(joint)
        assert density[n] == pytest.approx(log(total), abs=1e-12)
        lik = [
            log(p / mpmath.mpf(w))
            for p, w in zip(exact_joint(theta, row), theta.weights.tolist(), strict=True)
        ]
        assert log_lik[n] == pytest.approx(lik, abs=1e-12)
        if total > 0:
            assert resp[n] == pytest.approx([float(p / total) for p in joint], abs=1e-12)


def exact_terms(theta: BernoulliMixtureParams, q: np.ndarray, data: Data) -> Decomposition:
    """Every term by its definition."""
    sums = dict.fromkeys(Decomposition._fields, mpmath.mpf(0))
    for (row, label, weight), resp in zip(each_row(data), q.tolist(), strict=True):
        joint, free = exact_joint(theta, row, label), exact_joint(theta, row)
        total = mpmath.fsum(joint)
        sums["log_evidence"] += weight * mpmath.log(total)
        for k, r in enumerate(map(mpmath.mpf, resp)):
            if r == 0:
                continue
            prior = mpmath.mpf(float(theta.weights[k]))
            sums["elbo"] += weight * r * mpmath.log(joint[k] / r)
            sums["kl"] += weight * r * mpmath.log(r * total / joint[k])
            sums["joint"] += weight * r * mpmath.log(joint[k])
            sums["entropy"] -= weight * r * mpmath.log(r)
            sums["likelihood"] += weight * r * mpmath.log(free[k] / prior)
            sums["kl_prior"] += weight * r * mpmath.log(r / prior)
    return Decomposition(**{name: float(value) for name, value in sums.items()})


def any_q(rng: np.random.Generator, theta: BernoulliMixtureParams, data: Data) -> Responsibilities:
    """Responsibilities far from the posterior that respect the labels."""
    q = rng.dirichlet(np.full(len(theta.weights), 0.5), len(data.x))
    if data.labels is not None:
        known = data.labels.numpy()
        q[known >= 0] = np.eye(len(theta.weights))[known[known >= 0]]
    with np.errstate(divide="ignore"):
        return Responsibilities(f64(np.log(q)), f64(q))


@given(problems())
def test_every_term_of_the_elbo(problem):
    theta, data, rng = problem
    q = any_q(rng, theta, data)
    found, exact = decompose(theta, q, data), exact_terms(theta, q.resp.numpy(), data)
    assert found == pytest.approx(exact, abs=1e-10)
    assert found.elbo == pytest.approx(found.joint + found.entropy, abs=1e-10)
    assert found.elbo == pytest.approx(found.likelihood - found.kl_prior, abs=1e-10)
    assert found.elbo == pytest.approx(found.log_evidence - found.kl, abs=1e-10)
    assert found.kl > -1e-12


@given(problems())
def test_terms_at_the_parameters_of_q(problem):
    theta, data, rng = problem
    other = make_theta(rng, *theta.means.shape)
    exact = exact_terms(theta, responsibilities(other, data).resp.numpy(), data)
    assert decompose_at(theta, other, data) == pytest.approx(exact, abs=1e-10)
    assert abs(decompose_at(theta, theta, data).kl) < 1e-11


def test_chunks_change_nothing(monkeypatch):
    rng = np.random.default_rng(1)
    theta, x = make_theta(rng, 3, 7), rng.uniform(size=(101, 7))
    x[rng.uniform(size=x.shape) < 0.3] = np.nan
    data = make(x, rng.integers(-1, 3, 101), rng.uniform(size=101))
    q = any_q(rng, theta, data)

    def told() -> tuple:
        numbers = decompose(theta, q, data), decompose_at(theta, theta, data), statistics_at(theta, data)[1]
        tables = filled(theta, data), log_density(theta, data), responsibilities(theta, data).log_resp
        return *numbers, *statistics_at(theta, data)[0], *tables

    whole = told()
    monkeypatch.setattr(module, "CHUNK", 100)
    assert [len(part.x) for part in module.chunks(data, theta)] == [5] * 20 + [1]
    parts = told()
    for a, b in zip(whole, parts, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11)
    assert decompose_at(theta, theta, data) == parts[1]  # to the bit


@given(problems(edges=0.3), st.integers(2, 4))
def test_a_batch_is_its_mixtures_one_by_one(problem, copies):
    theta, data, rng = problem
    batch = [make_theta(rng, *theta.means.shape) for _ in range(copies)]
    together = BernoulliMixtureParams(*map(torch.stack, zip(*batch, strict=True)))
    told, log_lik = statistics_at(together, data)
    moved = maximum(told, 0.5)
    for r, alone in enumerate(batch):
        found, lik = statistics_at(alone, data)
        assert float(log_lik[r]) == pytest.approx(float(lik), rel=1e-12)
        torch.testing.assert_close(type(told)(*(part[r] for part in told)), found)
        torch.testing.assert_close(BernoulliMixtureParams(*(part[r] for part in moved)), maximum(found, 0.5))
        assert float(log_prior(together, 0.3)[r]) == pytest.approx(float(log_prior(alone, 0.3)))


# ---- the M-step ----


@given(problems(), st.sampled_from([0.0, 0.5, 2.0]))
def test_the_m_step_by_plain_loops(problem, pseudo):
    theta, data, rng = problem
    q = any_q(rng, theta, data)
    found = maximum(statistics(q, data), pseudo)
    for k, d in np.ndindex(*theta.means.shape):
        on = seen = 0.0
        for (row, _, weight), resp in zip(each_row(data), q.resp.tolist(), strict=True):
            if not np.isnan(row[d]):
                on, seen = on + weight * resp[k] * row[d], seen + weight * resp[k]
        if seen + pseudo > 0:
            assert float(found.means[k, d]) == pytest.approx((on + pseudo) / (seen + 2 * pseudo), abs=1e-12)
        else:
            assert float(found.means[k, d]) == 0.5
    counts = [
        sum(w * r[k] for (*_, w), r in zip(each_row(data), q.resp.tolist(), strict=True))
        for k in range(len(theta.weights))
    ]
    np.testing.assert_allclose(found.weights, np.array(counts) / sum(counts), atol=1e-12)


@given(problems())
def test_the_m_step_is_a_maximum(problem):
    """Nothing near or far has a larger E_q[log p(x, z)] + log prior."""
    theta, data, rng = problem
    q = any_q(rng, theta, data)
    best = maximum(statistics(q, data), 0.1)
    safe = best.weights.clamp(min=1e-300)  # a component without any row has weight 0

    def height(at: BernoulliMixtureParams) -> float:
        return decompose(at, q, data).joint + float(log_prior(at, 0.1))

    top = height(best._replace(weights=safe))
    for step in (1e-3, 0.1, 0.9):
        near = make_theta(rng, *theta.means.shape)
        mixed = BernoulliMixtureParams(*(a + step * (b - a) for a, b in zip(best, near, strict=True)))
        assert height(mixed) <= top + 1e-10


def test_log_prior_is_beta():
    theta = BernoulliMixtureParams(f64([1.0]), f64([[0.2, 0.7]]))
    assert float(log_prior(theta, 3.0)) == pytest.approx(3 * np.log(0.2 * 0.8 * 0.7 * 0.3))
    assert float(log_prior(theta._replace(means=f64([[0.0, 1.0]])), 0.0)) == 0.0


# ---- means at 0 and 1, and what is impossible ----


def test_means_at_the_edges_give_no_nan():
    theta = BernoulliMixtureParams(f64([0.5, 0.5]), f64([[0.0, 1.0, 0.5], [1.0, 1.0, 0.25]]))
    data = make([[0, 1, 1], [1, 1, 0], [NAN, 1, 0], [0, 0, 1], [0.5, 1, 1], [5e-324, 1, 1]])
    inf = np.inf
    expected = [[np.log(0.5), -inf], [-inf, np.log(0.75)], [np.log(0.5), np.log(0.75)]] + [[-inf, -inf]] * 2
    expected.append([-inf, -inf])  # the smallest number above 0 is still more than nothing
    np.testing.assert_allclose(log_likelihoods(theta, data), expected, atol=1e-15)
    at = evaluate(theta, data)
    assert at.log_density.isneginf().tolist() == [False] * 3 + [True] * 3
    assert at.posterior.resp[3:].tolist() == [[0.5, 0.5]] * 3
    assert not any(part.isnan().any() for part in (*at[:3], *at.posterior, *statistics_at(theta, data)[0]))
    assert not np.isnan(np.array(decompose_at(theta, theta, data))).any()
    theta.means.requires_grad_()
    log_density(theta, make([[0, 1, 1], [1, 1, 0]])).sum().backward()
    assert bool(theta.means.grad.isfinite().all())


def test_an_impossible_label_stays_the_label():
    theta = BernoulliMixtureParams(f64([0.5, 0.5]), f64([[0.0], [1.0]]))
    data = make([[1.0], [1.0]], labels=[0, -1])
    assert responsibilities(theta, data).resp.tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert log_density(theta, data).tolist() == [-np.inf, pytest.approx(np.log(0.5))]


def test_a_row_with_weight_nothing_counts_for_nothing_even_where_it_is_impossible():
    theta = BernoulliMixtureParams(f64([1.0]), f64([[0.0]]))
    data = make([[1.0], [0.0]], weights=[0.0, 1.0])
    assert decompose_at(theta, theta, data).log_evidence == 0.0


@pytest.mark.parametrize("alpha", [0.0, 0.01])
def test_fits_on_constant_pixels_and_too_many_components(alpha):
    x = np.zeros((12, 4))
    x[:6, 1], x[:, 2] = 1.0, 1.0
    fitted = BernoulliMixture(12, alpha=alpha, tol=1e-10, random_state=0, max_iter=1000).fit(x)
    assert np.isfinite(fitted.means_).all() and np.isfinite(fitted.lower_bounds_).all()
    assert fitted.weights_.sum() == pytest.approx(1.0)
    if alpha == 0.0:
        assert fitted.score(x) == pytest.approx(np.log(0.5))
        assert (fitted.means_[:, 0] == 0.0).all() and (fitted.means_[:, 2] == 1.0).all()


@pytest.mark.parametrize("small", [1e-20, 1e-300, 5e-324])
def test_what_counts_for_almost_nothing_stays_possible(small):
    x = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    light = BernoulliMixture(1, alpha=0.0).fit(x, sample_weight=[1.0, 1.0, small])
    shy = BernoulliMixture(1, alpha=small).fit(x[:2])
    for fitted in (light, shy):
        np.testing.assert_allclose(fitted.means_, [[1.0, 0.0]], atol=1e-15)
        assert fitted.converged_ and fitted.lower_bound_ == pytest.approx(0.0, abs=1e-12)
        assert np.isfinite(fitted.score_samples(x)).all()


def test_starts_differ_where_rows_do_not():
    x = np.tile([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0]], (10, 1))
    weights, means = BernoulliMixture(6, n_init=3, random_state=0)._starts(make(x))
    assert len(np.unique(means.reshape(18, 3), axis=0)) == 18
    assert bool(((means > 0) & (means < 1)).all()) and weights.tolist() == [[1 / 6] * 6] * 3


# ---- the glyphs ----

FONT = """01110 10001 10011 10101 11001 10001 01110 · 00100 01100 00100 00100 00100 00100 01110
· 01110 10001 00001 00010 00100 01000 11111 · 11111 00010 00100 00010 00001 10001 01110
· 00010 00110 01010 10010 11111 00010 00010 · 11111 10000 11110 00001 00001 10001 01110
· 00110 01000 10000 11110 10001 10001 01110 · 11111 00001 00010 00100 01000 01000 01000
· 01110 10001 10001 01110 10001 10001 01110 · 01110 10001 10001 01111 00001 00010 01100"""
GLYPHS = np.array([[float(c) for c in g if c in "01"] for g in FONT.split("·")])  # (10, 35)
PIXELS = np.abs(GLYPHS - 0.05)  # each pixel flipped with probability .05
FONT_THETA = BernoulliMixtureParams(f64(np.full(10, 0.1)), f64(PIXELS))


def hidden(digit: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """A glyph with its top rows hidden, and log p of every completion of them, shape (2,) * pixels."""
    x, count = GLYPHS[digit].copy(), 5 * rows
    bits = (np.arange(2**count)[:, None] >> np.arange(count - 1, -1, -1)) & 1
    tables = []
    for part in np.array_split(bits, max(1, len(bits) // 2**15)):
        whole = np.hstack([part, np.broadcast_to(x[count:], (len(part), 35 - count))])
        tables.append(log_density(FONT_THETA, Data(f64(whole))).numpy())
    x[:count] = np.nan
    return x, np.concatenate(tables).reshape((2,) * count)


def mean_under(table: np.ndarray, phi: np.ndarray) -> np.ndarray:
    """E[table] of independent pixels, on with probabilities phi, over as many axes as phi has."""
    for p in phi:
        table = (1 - p) * table[0] + p * table[1]
    return table


def factorized_elbo(table: np.ndarray, phi: np.ndarray) -> float:
    entropy = -np.sum(phi * np.log(phi) + (1 - phi) * np.log1p(-phi))
    return float(mean_under(table, phi) + entropy)


def best_factorized(table: np.ndarray, phi: np.ndarray) -> np.ndarray:
    """Coordinate ascent: each pixel's log odds are what turning it on changes in the mean of log p."""
    phi = phi.copy()
    for _ in range(10):
        for d in range(len(phi)):
            off, on = mean_under(np.moveaxis(table, d, -1), np.delete(phi, d))
            phi[d] = 1.0 / (1.0 + np.exp(off - on))
    return phi


def test_a_nine_with_its_top_hidden():
    x, table = hidden(9, 3)
    evidence = float(log_density(FONT_THETA, make([x]))[0])
    assert evidence == pytest.approx(-3.33, abs=0.005)
    assert evidence == pytest.approx(np.logaddexp.reduce(table, axis=None), abs=1e-12)
    assert evidence == pytest.approx(
        log(
            mpmath.fsum(
                mpmath.fprod(
                    [
                        mpmath.mpf(0.1),
                        *(
                            mpmath.mpf(m) if on else 1 - mpmath.mpf(m)
                            for m, on in zip(row[15:], x[15:], strict=True)
                        ),
                    ]
                )
                for row in PIXELS
            )
        ),
        abs=1e-12,
    )
    assert factorized_elbo(table, np.full(15, 0.5)) == pytest.approx(-15.8, abs=0.05)
    assert factorized_elbo(table, np.full(15, 0.999)) == pytest.approx(-27.5, abs=0.05)
    assert factorized_elbo(table, PIXELS[9, :15]) == pytest.approx(-3.33, abs=0.005)


def test_a_three_with_its_top_hidden_may_be_a_five():
    x, table = hidden(3, 4)
    evidence = float(log_density(FONT_THETA, make([x]))[0])
    assert evidence == pytest.approx(np.logaddexp.reduce(table, axis=None), abs=1e-11)
    resp = responsibilities(FONT_THETA, make([x])).resp[0]
    assert float(resp[3]) == pytest.approx(float(resp[5]), rel=1e-12) and float(resp[3]) > 0.45
    mean = filled(FONT_THETA, make([x])).numpy()[0, :20]
    assert evidence - factorized_elbo(table, mean) == pytest.approx(3.43, abs=0.005)
    gaps = [evidence - factorized_elbo(table, best_factorized(table, PIXELS[k, :20])) for k in (3, 5)]
    assert min(gaps) == pytest.approx(0.745, abs=0.0005)


# ---- the estimator ----


def glyph_rows(rng: np.random.Generator, copies: int, flip: float = 0.05, missing: float = 0.0) -> np.ndarray:
    """Noisy glyphs, all ten in turn."""
    x = np.tile(GLYPHS, (copies, 1))
    x = np.where(rng.uniform(size=x.shape) < flip, 1.0 - x, x)
    return np.where(rng.uniform(size=x.shape) < missing, np.nan, x)


def plain_log_lik(weights: torch.Tensor, means: torch.Tensor, x: np.ndarray) -> torch.Tensor:
    """log p of each row, written out."""
    rows = []
    for row in x:
        seen = torch.tensor(~np.isnan(row))
        r = f64(row)[seen]
        terms = r * means[:, seen].log() + (1 - r) * (1 - means[:, seen]).log()
        rows.append(torch.logsumexp(weights.log() + terms.sum(1), 0))
    return torch.stack(rows)


def plain_height(log_weights: torch.Tensor, means: torch.Tensor, x: np.ndarray, alpha: float) -> torch.Tensor:
    """What EM climbs, times the number of rows."""
    beta = alpha * (means.log() + (1 - means).log()).sum()
    return plain_log_lik(log_weights.softmax(0), means, x).sum() + beta


def plain_em(
    weights: np.ndarray, means: np.ndarray, x: np.ndarray, alpha: float
) -> tuple[np.ndarray, np.ndarray]:
    """One iteration of EM by loops over rows, components and pixels."""
    resp = np.zeros((len(x), len(weights)))
    for n, k in np.ndindex(*resp.shape):
        seen = ~np.isnan(x[n])
        resp[n, k] = weights[k] * np.prod(np.where(x[n, seen] == 1, means[k, seen], 1 - means[k, seen]))
    resp /= resp.sum(1, keepdims=True)
    new = np.empty_like(means)
    for k, d in np.ndindex(*means.shape):
        seen = ~np.isnan(x[:, d])
        new[k, d] = (resp[seen, k] @ x[seen, d] + alpha) / (resp[seen, k].sum() + 2 * alpha)
    return resp.mean(0), new


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("alpha", [0.0, 0.3])
def test_iterations_are_those_of_plain_em(alpha):
    rng = np.random.default_rng(3)
    x = glyph_rows(rng, 5, missing=0.2)
    weights, means = rng.dirichlet(np.ones(4)), rng.uniform(0.2, 0.8, (4, 35))
    fitted = BernoulliMixture(
        4, weights_init=weights, means_init=means, alpha=alpha, max_iter=4, tol=0.0
    ).fit(x)
    for _ in range(4):
        weights, means = plain_em(weights, means, x, alpha)
    np.testing.assert_allclose(fitted.weights_, weights, atol=1e-12)
    np.testing.assert_allclose(fitted.means_, means, atol=1e-12)
    assert fitted.n_iter_ == 4 == len(fitted.lower_bounds_) and not fitted.converged_
    prior = float(log_prior(BernoulliMixtureParams(f64(weights), f64(means)), alpha))
    assert fitted.lower_bound_ == pytest.approx((fitted.score_samples(x).sum() + prior) / len(x), abs=1e-12)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@given(st.integers(0, 2**31), st.sampled_from([0.0, 0.01, 1.0]), st.sampled_from([0.0, 0.5]), st.booleans())
@settings(max_examples=25)
def test_the_bound_never_falls(seed, alpha, missing, weighted):
    rng = np.random.default_rng(seed)
    x = rng.uniform(size=(30, 6)) if seed % 2 else rng.integers(0, 2, (30, 6)).astype(float)
    x[rng.uniform(size=x.shape) < missing] = np.nan
    x[0] = 0.0  # no column is all missing
    weights = rng.uniform(size=30) if weighted else None
    labels = rng.integers(-1, 3, 30) if seed % 3 else None
    mixture = BernoulliMixture(3, alpha=alpha, tol=0.0, max_iter=40, n_init=2, random_state=seed)
    bounds = mixture.fit(x, sample_weight=weights, labels=labels).lower_bounds_
    assert np.diff(bounds).min() > -1e-11 and mixture.lower_bound_ == bounds[-1]


@pytest.mark.parametrize("alpha", [0.0, 0.1])
@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_where_em_ends_the_gradient_is_zero(alpha, missing):
    x = glyph_rows(np.random.default_rng(0), 6, missing=missing)
    fitted = BernoulliMixture(3, alpha=alpha, tol=1e-15, max_iter=20_000, random_state=0).fit(x)
    assert fitted.converged_
    weights, means = f64(np.log(fitted.weights_)), f64(fitted.means_.clip(1e-12, 1 - 1e-12))
    height = plain_height(weights.requires_grad_(), means.requires_grad_(), x, alpha)
    height.backward()
    in_log_odds = means.grad * (means * (1 - means)).detach()
    assert float(weights.grad.abs().max()) < 1e-5 and float(in_log_odds.abs().max()) < 1e-5
    with torch.no_grad():
        for moved in (means + 0.01 * (0.5 - means), means * 0.99 + 0.005 * f64(GLYPHS[:3])):
            assert float(plain_height(weights, moved, x, alpha)) < float(height) - 1e-3


def test_one_component_has_a_closed_form():
    rng = np.random.default_rng(4)
    x = glyph_rows(rng, 3, missing=0.3)
    fitted = BernoulliMixture(1, alpha=0.0, random_state=0).fit(x)
    mean = np.nanmean(x, 0)
    np.testing.assert_allclose(fitted.means_, mean[None], atol=1e-14)
    assert fitted.weights_.tolist() == [1.0] and fitted.converged_ and fitted.n_iter_ == 2
    seen = (~np.isnan(x)).sum(0)
    entropy = -np.where((mean > 0) & (mean < 1), mean * np.log(np.where(mean > 0, mean, 1)), 0.0)
    entropy -= np.where((mean > 0) & (mean < 1), (1 - mean) * np.log(np.where(mean < 1, 1 - mean, 1)), 0.0)
    assert fitted.lower_bound_ == pytest.approx(-(seen * entropy).sum() / len(x), rel=1e-13)


@pytest.mark.parametrize("alpha", [0.0, 0.5])
def test_with_all_labels_the_means_are_those_of_the_classes(alpha):
    rng = np.random.default_rng(5)
    x, labels = glyph_rows(rng, 7, missing=0.2), np.tile(np.arange(10), 7)
    fitted = BernoulliMixture(10, alpha=alpha, random_state=0).fit(x, labels=labels)
    on = np.array([np.nansum(x[labels == k], 0) for k in range(10)])
    seen = np.array([(~np.isnan(x[labels == k])).sum(0) for k in range(10)])
    expected = np.where(seen + alpha > 0, (on + alpha) / np.maximum(seen + 2 * alpha, 1e-300), 0.5)
    np.testing.assert_allclose(fitted.means_, expected, atol=1e-14)
    np.testing.assert_allclose(fitted.weights_, np.full(10, 0.1))
    assert fitted.converged_ and fitted.n_iter_ == 2


def test_a_few_labels_name_the_components():
    rng = np.random.default_rng(6)
    x, truth = glyph_rows(rng, 40), np.tile(np.arange(10), 40)
    labels = np.where(np.arange(400) < 10, truth, -1)
    fitted = BernoulliMixture(10, random_state=0).fit(x, labels=labels)
    assert (fitted.predict(x) == truth).mean() > 0.97
    joint = [
        np.log(fitted.weights_[k]) + plain_log_lik(torch.ones(1), f64(fitted.means_[[k]]), x[[k]])
        for k in range(10)
    ]
    prior = float(log_prior(BernoulliMixtureParams(f64(fitted.weights_), f64(fitted.means_)), 0.01))
    total = float(sum(joint)) + fitted.score_samples(x[10:]).sum() + prior
    assert fitted.lower_bound_ == pytest.approx(total / 400)


@pytest.mark.parametrize("missing", [0.0, 0.2])
def test_a_weight_is_a_row_repeated(missing):
    rng = np.random.default_rng(7)
    x, times = glyph_rows(rng, 5, missing=missing), rng.integers(0, 4, 50)
    repeated = np.repeat(x, times, axis=0)
    labels = rng.integers(-1, 4, 50)
    order = rng.permutation(len(repeated))
    weighted = BernoulliMixture(4, random_state=1, n_init=3).fit(x, sample_weight=times, labels=labels)
    twice = BernoulliMixture(4, random_state=1, n_init=3).fit(
        repeated[order], labels=np.repeat(labels, times)[order]
    )
    np.testing.assert_allclose(weighted.means_, twice.means_, atol=1e-9)
    np.testing.assert_allclose(weighted.lower_bounds_, twice.lower_bounds_, atol=1e-10)


def test_restarts_in_one_batch_are_restarts_one_by_one():
    rng = np.random.default_rng(8)
    data = make(glyph_rows(rng, 6, missing=0.1))
    starts = BernoulliMixture(5, n_init=6, random_state=0)._starts(data)
    alone = [
        best_climb(BernoulliMixtureParams(*(part[[r]] for part in starts)), data, 0.01, 1e-4, 500)
        for r in range(6)
    ]
    best = best_climb(starts, data, 0.01, 1e-4, 500)
    expected = max(alone, key=lambda climb: climb.bounds[-1])
    assert len({len(climb.bounds) for climb in alone}) > 1 and len({climb.bounds[-1] for climb in alone}) > 1
    assert best.bounds == pytest.approx(expected.bounds, abs=1e-10) and best.converged
    torch.testing.assert_close(best.theta, expected.theta)
    fitted = BernoulliMixture(5, n_init=6, tol=1e-4, max_iter=500, random_state=0).fit(data.x.numpy())
    assert fitted.lower_bounds_ == best.bounds[1:]


def test_it_finds_the_font():
    x = glyph_rows(np.random.default_rng(9), 100)
    fitted = BernoulliMixture(10, n_init=20, random_state=0).fit(x)
    found = fitted.predict(GLYPHS)
    assert sorted(found) == list(range(10))
    np.testing.assert_allclose(fitted.means_[found], PIXELS, atol=0.12)
    np.testing.assert_allclose(fitted.weights_, 0.1, atol=0.02)


def test_holes_are_filled_with_the_mean_over_completions():
    rng = np.random.default_rng(10)
    x = glyph_rows(rng, 4)
    fitted = BernoulliMixture(4, random_state=0, alpha=0.1).fit(x)
    row = x[3].copy()
    row[[1, 8, 20, 34]] = np.nan
    completions = np.tile(row, (16, 1))
    completions[:, [1, 8, 20, 34]] = list(itertools.product((0.0, 1.0), repeat=4))
    p = np.exp(fitted.score_samples(completions))
    np.testing.assert_allclose(fitted.impute(row[None])[0], p @ completions / p.sum(), atol=1e-12)
    assert fitted.score_samples(row[None])[0] == pytest.approx(np.log(p.sum()))
    np.testing.assert_array_equal(fitted.impute(x), x)
    blank = np.full((1, 35), np.nan)
    np.testing.assert_allclose(fitted.impute(blank)[0], fitted.weights_ @ fitted.means_)
    np.testing.assert_allclose(fitted.predict_proba(blank)[0], fitted.weights_)
    assert fitted.score_samples(blank)[0] == pytest.approx(0.0, abs=1e-15)


def test_samples_come_from_the_mixture():
    weights, means = [0.2, 0.8], [[0.0, 0.3, 1.0], [0.9, 0.5, 0.1]]
    fitted = BernoulliMixture(2, weights_init=weights, means_init=means, max_iter=0, random_state=0).fit(
        np.eye(3)
    )
    x, y = fitted.sample(20_000)
    assert set(np.unique(x)) == {0.0, 1.0} and not x[y == 0, 0].any() and x[y == 0, 2].all()
    assert abs(y.mean() - 0.8) < 5 * np.sqrt(0.16 / 20_000)
    for k in range(2):
        error = 5 * 0.5 / np.sqrt((y == k).sum())
        np.testing.assert_allclose(x[y == k].mean(0), means[k], atol=error)
    np.testing.assert_array_equal(x, fitted.sample(20_000)[0])
    with pytest.raises(ValueError, match="draw at least one row"):
        fitted.sample(0)


def test_criteria():
    x = glyph_rows(np.random.default_rng(11), 6)
    fitted = BernoulliMixture(3, random_state=0).fit(x)
    log_lik, free = float(fitted.score_samples(x).sum()), 3 * 35 + 2
    assert fitted.score(x) * 60 == pytest.approx(log_lik)
    assert fitted.aic(x) == pytest.approx(2 * free - 2 * log_lik)
    assert fitted.bic(x) == pytest.approx(free * np.log(60) - 2 * log_lik)


def test_callback_stops_and_warm_start_goes_on():
    x = glyph_rows(np.random.default_rng(12), 6)
    seen = []

    def three(iteration: int, bound: float) -> bool:
        seen.append((iteration, bound))
        return iteration % 3 == 0

    mixture = BernoulliMixture(5, random_state=0, tol=0.0, callback=three, warm_start=True).fit(x)
    first = mixture.lower_bounds_
    assert seen == list(enumerate(first, 1)) and mixture.n_iter_ == 3 and not mixture.converged_
    second = mixture.fit(x).lower_bounds_
    whole = BernoulliMixture(5, random_state=0, tol=0.0, callback=lambda i, _: i == 6).fit(x)
    assert first + second == pytest.approx(whole.lower_bounds_, abs=1e-12)
    with pytest.raises(
        ValueError, match=r"means of shape \(5, 35\) and this one \(4, 35\): set warm_start=False"
    ):
        mixture.set_params(n_components=4).fit(x)


def test_callback_hears_of_the_best_restart():
    x, bounds = glyph_rows(np.random.default_rng(12), 6), []
    mixture = BernoulliMixture(
        5, n_init=4, random_state=0, callback=lambda _, bound: bounds.append(bound)
    ).fit(x)
    assert bounds == sorted(bounds) and bounds[-1] == mixture.lower_bound_


def test_not_done_in_time_is_a_warning():
    x = glyph_rows(np.random.default_rng(13), 6)
    with pytest.warns(ConvergenceWarning, match="max_iter=2 iterations: raise max_iter or tol"):
        BernoulliMixture(5, max_iter=2, tol=0.0, random_state=0).fit(x)


# ---- manners ----


@pytest.mark.parametrize("missing", [False, True])
def test_scikit_learns_own_checks(missing):
    """All of them; `binarize` because they bring numbers of any size."""
    done = check_estimator(BernoulliMixture(2 if missing else 1, binarize=0.0), on_skip=None)
    skipped = {check["check_name"] for check in done if check["status"] != "passed"}
    assert skipped <= {"check_array_api_input"} and len(done) > 40


def test_scikit_learns_checks_without_binarize():
    """What does not pass was refused for its numbers alone."""
    done = check_estimator(BernoulliMixture(2), on_fail=None, on_skip=None)
    failed = [check for check in done if check["status"] == "failed"]
    for check in failed:
        told, error = [], check["exception"]
        while error is not None:
            told.append(str(error))
            error = error.__cause__ or error.__context__
        assert "scale them to 0...1, or set binarize" in "".join(told), check["check_name"]
    passed = {check["check_name"] for check in done if check["status"] == "passed"}
    assert {"check_sample_weight_equivalence_on_dense_data", "check_estimator_sparse_tag"} <= passed


def test_equal_seeds_agree_to_the_bit_and_what_is_fitted_travels():
    x = glyph_rows(np.random.default_rng(14), 6, missing=0.1)
    given = x.copy()
    a, b = (BernoulliMixture(4, n_init=3, random_state=5).fit(x) for _ in range(2))
    np.testing.assert_array_equal(a.means_, b.means_)
    assert a.lower_bounds_ == b.lower_bounds_
    np.testing.assert_array_equal(x, given)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(a)).predict(x), a.predict(x))
    np.testing.assert_array_equal(clone(a).fit_predict(x), a.predict(x))
    assert not np.array_equal(clone(a).set_params(random_state=6).fit(x).means_, a.means_)
    with pytest.raises(NotFittedError):
        clone(a).impute(x)


def test_binarize():
    x = np.array([[0.2, 0.9], [NAN, 0.5], [0.51, 0.0]])
    fitted = BernoulliMixture(1, binarize=0.5, alpha=0.0).fit(x)
    np.testing.assert_array_equal(fitted.means_, [[0.5, 1 / 3]])
    np.testing.assert_array_equal(fitted.impute(x), [[0, 1], [0.5, 0], [1, 0]])


ROWS = np.tile(np.eye(3), (2, 1))


@pytest.mark.parametrize(
    ("x", "settings", "more", "match"),
    [
        (ROWS * 2, {}, {}, r"values from 0 to 2: scale them to 0\.\.\.1, or set binarize"),
        (-ROWS, {}, {}, "values from -1 to 0: scale"),
        (ROWS.astype(str).astype(object) + "a", {}, {}, "X holds text .*: give numbers from 0 to 1, and NaN"),
        (ROWS[:1], {}, {}, "1 sample"),
        (ROWS, {"n_components": 7}, {}, "n_samples=6 rows cannot be shared by n_components=7: ask for fewer"),
        (np.where([1, 0, 1], ROWS, NAN), {}, {}, r"column 1 of X \(from 0\) is missing in every row: leave"),
        (np.where(ROWS == 1, np.inf, ROWS), {}, {}, "infinity"),
        (ROWS, {"n_components": 0}, {}, "'n_components' parameter .* must be an int in the range"),
        (ROWS, {"alpha": -1.0}, {}, "'alpha' parameter"),
        (ROWS, {"tol": NAN}, {}, "'tol' parameter"),
        (ROWS, {"callback": 3}, {}, "'callback' parameter"),
        (ROWS, {"weights_init": [1.0]}, {}, r"weights_init has shape \(1,\): this fit needs \(2,\)"),
        (ROWS, {"weights_init": [1.0, 1.0]}, {}, "sums to 2: divide it by its sum"),
        (ROWS, {"weights_init": [1.5, -0.5]}, {}, "weights_init must hold numbers from"),
        (ROWS, {"means_init": np.full((2, 3), NAN)}, {}, "means_init must hold numbers from 0 to 1"),
        (ROWS, {"means_init": np.zeros((3, 2))}, {}, r"means_init has shape \(3, 2\): this fit needs"),
        (ROWS, {}, {"labels": [0, 1]}, "labels must be 6 whole numbers"),
        (ROWS, {}, {"labels": [0.5] * 6}, "labels must be 6 whole numbers"),
        (ROWS, {}, {"labels": [0, 1, 2, 0, 0, 0]}, "labels run from 0 to 2: use 0 to 1, and -1"),
        (ROWS, {}, {"labels": [0, 1, -2, 0, 0, 0]}, "labels run from -2 to 1: use 0 to 1, and -1"),
        (ROWS, {}, {"sample_weight": [-1.0] * 6}, "[Nn]egative"),
        (ROWS, {}, {"sample_weight": np.zeros(6)}, "zero"),
        (ROWS, {}, {"sample_weight": [1.0, 0, 0, 0, 0, 0]}, "n_samples=1 rows cannot be shared"),
    ],
)  # fmt: skip
def test_what_cannot_be_fitted_gets_a_sentence(x, settings, more, match):
    with pytest.raises(ValueError, match=match):
        BernoulliMixture(**{"n_components": 2, **settings}).fit(x, **more)


def test_what_cannot_be_asked_gets_a_sentence():
    fitted = BernoulliMixture(2, random_state=0).fit(ROWS)
    with pytest.raises(ValueError, match="2 features"):
        fitted.predict(ROWS[:, :2])
    with pytest.raises(ValueError, match="scale them to"):
        fitted.score_samples(ROWS + 1)


def test_impossible_starts_recover():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mixture = BernoulliMixture(2, means_init=np.zeros((2, 3)), alpha=0.0, random_state=0).fit(ROWS)
    assert np.isfinite(mixture.lower_bounds_).all() and mixture.converged_
    assert mixture.score_samples(np.ones((1, 3)) * [1, 0, 0]) == pytest.approx(np.log(4 / 27))
