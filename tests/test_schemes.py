"""EM's relatives and its shapes: k-means, soft k-means, generalized EM; full, tied, diagonal, spherical."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal
from sklearn.cluster import KMeans as PeerKMeans
from sklearn.mixture import GaussianMixture as Peer

from lvmviz import (
    EM,
    Added,
    Blobs,
    ByHand,
    Covariance,
    Diabetes,
    Diagonal,
    ExpectationMaximization,
    Floor,
    Full,
    GeneralizedEM,
    Iris,
    Job,
    KMeans,
    KMeansPlusPlus,
    Scheme,
    SoftKMeans,
    Spherical,
    Tied,
    Trace,
    Wine,
    run,
)
from lvmviz.core import each
from lvmviz.mixtures import GaussianMixtureParams, responsibilities
from lvmviz.summaries import em as summaries

WINE = Wine(features=("flavanoids", "colour", "hue"))
NAMES = {Full: "full", Tied: "tied", Diagonal: "diag", Spherical: "spherical"}
RELATIVES = [ExpectationMaximization(), GeneralizedEM(), SoftKMeans(), KMeans()]


def trace(steps: int = 40, seed: int = 0, **settings) -> Trace:
    return run(Job(EM(tolerance=0.0, **settings), steps=steps, seed=seed))


def peer_form(covariances: np.ndarray, name: str) -> np.ndarray:
    """Covariances (K, D, D) as scikit-learn writes them."""
    if name == "tied":
        return covariances[0]
    if name == "full":
        return covariances
    diagonals = np.diagonal(covariances, axis1=1, axis2=2)
    return diagonals if name == "diag" else diagonals[:, 0]


# ---- shapes ----


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize(("regularizer", "reg_covar"), [(Floor(amount=0.0), 0.0), (Added(amount=1e-3), 1e-3)])
def test_every_shape_climbs_as_scikit_learn_does(kind, regularizer, reg_covar):
    name = NAMES[kind]
    ours = trace(data=WINE, components=3, covariance=kind(), regularizer=regularizer, start=KMeansPlusPlus())
    theta = ours[0].state.theta
    start = np.linalg.inv(theta.covariances.numpy())
    peer = Peer(3, covariance_type=name, reg_covar=reg_covar, tol=0.0, max_iter=20,
                means_init=theta.means.numpy(),
                weights_init=theta.weights.numpy(), precisions_init=peer_form(start, name))  # fmt: skip
    points = WINE.table().points
    with pytest.warns(UserWarning, match="converge"):  # 20 iterations are not meant to be enough
        peer.fit(points)
    reached = [one.info.log_lik / len(points) for one in ours if one.info.moved != "E"]
    np.testing.assert_allclose(reached[:20], peer.lower_bounds_[:20], rtol=1e-10)
    last = ours[-1].state.theta
    np.testing.assert_allclose(peer_form(last.covariances.numpy(), name), peer.covariances_, rtol=1e-6)
    assert kind().parameters(3, 3) + 3 * 3 + 2 == peer._n_parameters()


@pytest.mark.parametrize("shape", list(each(Covariance)), ids=lambda shape: type(shape).__name__)
def test_no_other_covariance_of_the_shape_explains_more(shape):
    """The M-step's own objective, under small moves within the shape."""
    rng = np.random.default_rng(0)
    made = torch.from_numpy(rng.standard_normal((4, 3, 9)))
    best, weights = made @ made.mT / 9, torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    chosen = shape(best, weights)

    def expected(covariances: torch.Tensor) -> float:
        fit = torch.linalg.solve(covariances, best).diagonal(dim1=1, dim2=2).sum(1)
        return float(-0.5 * (weights * (covariances.logdet() + fit)).sum())

    top = expected(chosen)
    for _ in range(50):
        noise = torch.from_numpy(rng.standard_normal((4, 3, 3)))
        moved = shape(chosen + 0.02 * noise @ noise.mT * rng.choice([-0.3, 1.0]), weights)
        assert expected(moved) <= top + 1e-12
    assert torch.equal(shape(chosen, weights), chosen) or torch.allclose(
        shape(chosen, weights), chosen, rtol=1e-14
    )


# ---- schemes ----


@pytest.mark.parametrize("scheme", RELATIVES, ids=lambda scheme: type(scheme).__name__)
@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 9999), count=st.integers(1, 6), shape=st.sampled_from(list(each(Covariance))))
def test_no_half_step_lowers_the_bound(scheme, seed, count, shape):
    data = Blobs(points=60, clusters=4, seed=seed % 7)
    made = trace(
        30, seed, data=data, components=count, scheme=scheme, covariance=shape, regularizer=Floor(amount=1e-3)
    )
    elbo = np.array([one.info.elbo for one in made])
    log_lik = np.array([one.info.log_lik for one in made])
    least = -1e-10 * np.abs(elbo[1:])
    soft = 0 if scheme.closes else 1  # the q of the start is no whole point's: leaving it may cost something
    assert (np.diff(elbo) >= least)[soft:].all()
    if scheme.closes:
        assert (np.diff(log_lik) >= least).all()
        assert all(one.info.kl < 1e-9 for one in made if one.info.moved == "E")
    for one in made:
        assert one.info.elbo + one.info.kl == pytest.approx(one.info.log_lik, rel=1e-10)


@pytest.mark.parametrize(
    "data", [Iris(), WINE, Blobs(points=200, clusters=5)], ids=lambda data: type(data).__name__
)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_k_means_ends_where_scikit_learn_does(data, seed):
    ours, points = trace(200, seed, data=data, components=4, scheme=KMeans()), data.table().points
    first, last = ours[0].state.theta.means.numpy(), ours[-1].state
    peer = PeerKMeans(4, init=first, n_init=1, algorithm="lloyd", tol=0.0).fit(points)
    np.testing.assert_allclose(last.theta.means.numpy(), peer.cluster_centers_, rtol=1e-9)
    q = responsibilities(last.theta_q, torch.from_numpy(points.copy())).resp.numpy()
    assert (q.argmax(1) == peer.labels_).all() and set(np.unique(q)) <= {0.0, 1.0}
    variance = float(last.theta.covariances[0, 0, 0])
    width = points.shape[1]
    constant = len(points) * (np.log(4) + 0.5 * width * np.log(2 * np.pi * variance))
    assert ours[-1].info.elbo == pytest.approx(-peer.inertia_ / (2 * variance) - constant, rel=1e-10)
    assert ours[-1].info.entropy == 0.0 and ours[-1].info.kl > 0.0


@pytest.mark.parametrize(
    ("features", "seed", "count"),
    [(("petal length",), 14, 3), (("petal length",), 1, 20), (("petal length", "sepal width"), 5, 10)],
)
def test_k_means_knows_no_doubt_where_points_are_as_near_to_two_centres(features, seed, count):
    made = trace(60, seed, data=Iris(features=features), components=count, scheme=KMeans())
    assert all(one.info.entropy < 1e-9 for one in made[1:])
    counts = summaries.counts(made)[1:]
    np.testing.assert_allclose(counts, np.round(counts), atol=1e-9)
    elbo = np.array([one.info.elbo for one in made])
    assert (np.diff(elbo)[1:] >= -1e-10 * np.abs(elbo[2:])).all()


def test_balls_need_no_regularizer_that_fits_the_columns_scales():
    class Mixed(Blobs):
        def _make(self):
            table = super()._make()
            return table._replace(points=table.points * [1e6, 1e-3])

    with pytest.raises(ValueError, match="scales differ too much"):
        EM(data=Mixed()).init(0)
    for scheme in (KMeans(), SoftKMeans()):
        made = trace(10, data=Mixed(), scheme=scheme)
        assert made[-1].info.log_lik == pytest.approx(made[-1].info.elbo + made[-1].info.kl, rel=1e-10)


def test_a_floor_binds_where_a_covariance_of_the_shape_can_be_so_narrow():
    class Line(Blobs):
        def _make(self):
            table = super()._make()
            return table._replace(points=np.stack([table.points[:, 0], 2.0 * table.points[:, 0]], 1))

    binds = {cls.__name__: summaries.floor_binds(EM(data=Line(), covariance=cls())) for cls in NAMES}
    assert binds == {"Full": True, "Tied": True, "Diagonal": False, "Spherical": False}
    assert not summaries.floor_binds(EM(data=Line(), scheme=KMeans()))


def test_k_means_stops_when_no_point_changes_its_centre():
    made = run(Job(EM(data=Iris(), scheme=KMeans(), tolerance=0.0), steps=400))
    assert len(made) < 60
    assert torch.equal(made[-1].state.theta.means, made[-1].state.theta_q.means)


def test_soft_k_means_is_the_loop_of_the_book():
    ours, points = trace(20, data=Iris(), scheme=SoftKMeans(stiffness=4.0)), Iris().table().points
    means, mean_variance = ours[0].state.theta.means.numpy(), points.var(0).mean()
    for one in ours[2::2]:
        distance = ((points[:, None] - means) ** 2).sum(-1) * 4.0 / mean_variance
        q = np.exp(-distance)
        q /= q.sum(1, keepdims=True)
        means = (q.T @ points) / q.sum(0)[:, None]
        np.testing.assert_allclose(one.state.theta.means.numpy(), means, rtol=1e-12)
        assert torch.equal(one.state.theta.weights, ours[0].state.theta.weights)
        assert torch.equal(one.state.theta.covariances, ours[0].state.theta.covariances)


def test_the_stiffest_soft_k_means_is_k_means():
    start = ByHand(centres=((1.5, 3.5), (4.0, 2.7), (5.5, 3.0)))
    hard, soft = (
        trace(100, data=Iris(), start=start, scheme=scheme)[-1].state.theta.means
        for scheme in (KMeans(), SoftKMeans(stiffness=1000.0))
    )
    torch.testing.assert_close(hard, soft, rtol=0.02, atol=0.02)


def test_a_generalized_em_that_goes_all_the_way_is_em():
    whole, em = (
        trace(data=WINE, scheme=scheme) for scheme in (GeneralizedEM(part=1.0), ExpectationMaximization())
    )
    for one, other in zip(whole, em, strict=True):
        assert one.info.log_lik == pytest.approx(other.info.log_lik, rel=1e-12)


def test_a_part_of_the_way_leads_to_the_same_end():
    slow, em = (
        run(Job(EM(scheme=scheme, tolerance=1e-12), steps=4000, seed=1))[-1].info.log_lik
        for scheme in (GeneralizedEM(part=0.3), ExpectationMaximization())
    )
    assert slow == pytest.approx(em, abs=1e-6)


def test_a_part_of_the_way_is_one_in_the_moments():
    rng = np.random.default_rng(1)

    def random() -> GaussianMixtureParams:
        made = torch.from_numpy(rng.standard_normal((3, 2, 5)))
        weights = torch.from_numpy(rng.dirichlet(np.ones(3)))
        return GaussianMixtureParams(weights, torch.from_numpy(rng.standard_normal((3, 2))), made @ made.mT)

    def moments(theta: GaussianMixtureParams) -> tuple[torch.Tensor, ...]:
        second = theta.covariances + theta.means.unsqueeze(2) * theta.means.unsqueeze(1)
        return theta.weights, theta.weights[:, None] * theta.means, theta.weights[:, None, None] * second

    now, best = random(), random()
    made = GeneralizedEM(part=0.25).m(best, now)
    for old, new, got in zip(moments(now), moments(best), moments(made), strict=True):
        torch.testing.assert_close(got, 0.75 * old + 0.25 * new, rtol=1e-12, atol=1e-12)


def test_a_centre_without_points_stays():
    far = (50.0, 50.0)
    made = trace(20, data=Iris(), components=2, start=ByHand(centres=((4.0, 3.0), far)), scheme=KMeans())
    assert made[-1].state.theta.means[1].tolist() == list(far)
    np.testing.assert_allclose(
        made[-1].state.theta.means[0].numpy(), Iris().table().points.mean(0), rtol=1e-12
    )


@pytest.mark.parametrize("scheme", RELATIVES, ids=lambda scheme: type(scheme).__name__)
def test_counts_are_those_of_q(scheme):
    made = trace(12, data=WINE, scheme=scheme)
    points = torch.from_numpy(WINE.table().points.copy())
    for one, counts in zip(made, summaries.counts(made), strict=True):
        np.testing.assert_allclose(
            counts, responsibilities(one.state.theta_q, points).resp.sum(0).numpy(), rtol=1e-9
        )


def test_balls_keep_their_size_below_the_floor_of_the_variances():
    class Small(Blobs):
        def _make(self):
            table = super()._make()
            return table._replace(points=1e-4 * table.points)

    em = EM(data=Small(), scheme=SoftKMeans(stiffness=100.0), tolerance=0.0)
    first, _ = em.init(0)
    last, _ = em.step(2, em.step(1, first)[0])
    assert float(first.theta.covariances[0, 0, 0]) < 1e-8 < em.regularizer.amount
    assert torch.equal(last.theta.covariances, first.theta.covariances)
    assert not torch.equal(last.theta.means, first.theta.means)


def test_points_that_are_all_the_same_are_refused():
    class Same(Blobs):
        def _make(self):
            table = super()._make()
            return table._replace(points=np.ones_like(table.points))

    with pytest.raises(ValueError, match="all points are the same"):
        EM(data=Same(), scheme=SoftKMeans()).init(0)


def test_a_point_near_the_border_is_one_side_s_and_one_on_it_the_first_one_s():
    theta = GaussianMixtureParams(
        torch.tensor([0.5, 0.5], dtype=torch.float64),
        torch.tensor([[-1.0], [1.0]], dtype=torch.float64),
        torch.full((2, 1, 1), 0.1, dtype=torch.float64),
    )
    points = torch.tensor([[-1e-6], [1e-6], [0.0]], dtype=torch.float64)
    q = responsibilities(KMeans().e(theta), points).resp
    assert q[:2].tolist() == [[1.0, 0.0], [0.0, 1.0]] and q[2].tolist() == pytest.approx(
        [1.0, 0.0], abs=1e-15
    )


@pytest.mark.parametrize("scheme", list(each(Scheme)), ids=lambda scheme: type(scheme).__name__)
def test_what_changes_nothing_has_no_control(scheme):
    other = EM(data=Diabetes(), scheme=scheme, covariance=Tied(), regularizer=Floor(amount=0.1))
    assert (other == EM(data=Diabetes(), scheme=scheme)) == (not scheme.free)
    shape = {"covariance", "regularizer"}
    assert shape & set(EM.idle({"scheme": scheme})) == (set() if scheme.free else shape)
    spread = torch.eye(2, dtype=torch.float64)
    theta = GaussianMixtureParams(spread[0], 3.0 * spread, torch.stack([spread, 2.0 * spread]))
    best = theta._replace(weights=torch.full((2,), 0.5).double(), covariances=5.0 * theta.covariances)
    kept = scheme.m(best, theta)
    assert torch.equal(kept.covariances, theta.covariances) == (not scheme.free)


def test_the_density_is_the_peers():
    """One evaluation by hand, so that no shape is right only in the same wrong way."""
    made = trace(10, data=WINE, covariance=Tied())[-1]
    theta, points = made.state.theta, WINE.table().points
    parts = [
        float(w) * multivariate_normal(m.numpy(), c.numpy()).pdf(points)
        for w, m, c in zip(*theta, strict=True)
    ]
    assert made.info.log_lik == pytest.approx(np.log(np.sum(parts, 0)).sum(), rel=1e-12)
