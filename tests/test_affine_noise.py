"""Note 002's g(e) = mean + A e: points, density, and where there is none."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lvmviz.affine_noise import PRESETS, Affine

entries = st.floats(-3, 3)


@given(st.tuples(*[entries] * 6))
def test_the_density_is_scipy_s_or_there_is_none(numbers):
    names = ("a11", "a12", "a21", "a22", "mean1", "mean2")
    g = Affine(**dict(zip(names, numbers, strict=True)))
    z = torch.tensor([[0.3, -0.8], [1.5, 2.0]], dtype=torch.float64)
    told = g.log_density(z)
    assert (told is None) == (g.rank() < 2) == ("no density" in g.sentence())
    if np.linalg.cond(g.matrix().numpy()) < 1e3:
        wanted = stats.multivariate_normal(g.mean().numpy(), g.covariance().numpy()).logpdf(z.numpy())
        assert told.numpy() == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("name", PRESETS)
def test_points_have_their_mean_and_covariance(name):
    g = PRESETS[name]
    e, z = g.points(3, 200_000)
    assert torch.allclose(z, g.mean() + torch.einsum("ij,nj->ni", g.matrix(), e))
    spread = g.covariance().diagonal().clamp(min=1e-12).sqrt()
    assert ((z.mean(0) - g.mean()).abs() < 4.5 * spread / 200_000**0.5 + 1e-12).all()
    assert torch.allclose(torch.cov(z.T), g.covariance(), atol=0.02)
    assert torch.equal(g.points(3, 5)[1], g.points(3, 5)[1])


def test_example_a_is_a_line():
    g = PRESETS["A"]
    assert g.rank() == 1 and g.log_density(torch.zeros(2).double()) is None
    assert g.direction().abs().tolist() == [0.0, 1.0] and not g.points(1, 100)[1][:, 0].any()
    assert g.sentence().startswith("A is singular")


def test_example_b_is_independent_and_c_is_not():
    assert PRESETS["B"].covariance().tolist() == [[pytest.approx(0.36), 0], [0, pytest.approx(0.36)]]
    assert "independent" in PRESETS["B"].sentence() and "independent" not in PRESETS["C"].sentence()
    assert PRESETS["C"].rank() == 2 and PRESETS["C"].direction() is None


@pytest.mark.parametrize(
    ("a", "rank"),
    [
        ((0, 0, 0, 0), 0),
        ((1, 1.5, 2, 3), 1),
        ((1, 1.5, 2, 2.999), 2),
        ((1e-3, 0, 0, 1e-3), 2),
        ((3, -3, -3, 3), 1),
    ],
)
def test_the_rank_is_what_is_left_of_the_plane(a, rank):
    g = Affine(**dict(zip(("a11", "a12", "a21", "a22"), a, strict=True)))
    assert g.rank() == rank == np.linalg.matrix_rank(g.matrix().numpy(), tol=1e-8)
    if rank == 1:
        along = g.direction()
        e, z = g.points(1, 50)
        assert torch.allclose(z, (z @ along)[:, None] * along, atol=1e-12)
