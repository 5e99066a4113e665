"""The exact numbers of any q in the plane, against a finer rule that knows nothing of theirs."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from lvmviz.families import Autoregressive, Flow, FullRank, MeanField, MixtureQ, Planar, Plane
from lvmviz.plane_formulas import Formula2D
from lvmviz.plane_targets import (
    Banana,
    Cauchy2D,
    CorrelatedGaussian,
    Donut,
    FarModes,
    Funnel,
    HardBanana,
    Student2D,
    ThreeModes,
)
from lvmviz.quadrature import coverage, decompose, log_evidence
from lvmviz.quadrature.plane.highest import above
from lvmviz.quadrature.plane.images import images, thin_in
from lvmviz.quadrature.plane.over_q import expectations
from lvmviz.regression_targets import EightSchools, LogisticRegression
from lvmviz.summaries.plane import Place, extent, phi_at

F64 = torch.float64
TARGETS = [
    CorrelatedGaussian(),
    Banana(),
    HardBanana(),
    Donut(),
    FarModes(),
    ThreeModes(),
    Funnel(spread=1.0),
    Student2D(),
    Cauchy2D(),
    LogisticRegression(rows=10),
    EightSchools(),
    Formula2D(),
]
FAMILIES = [MeanField(), FullRank(), MixtureQ(parts=2), MixtureQ(parts=4)]
EACH = 10  # q's of a family on a target


def anywhere(target, family: Plane, random: np.random.Generator) -> torch.Tensor:
    """A q as a hand may put it: anywhere in the picture, from a fiftieth of it to half of it wide."""
    box = extent(target)
    size = np.array([box.right - box.left, box.top - box.bottom])
    places = []
    for _ in range(family.parts if isinstance(family, MixtureQ) else 1):
        x, y = random.uniform(box.left, box.right), random.uniform(box.bottom, box.top)
        wide, tall = np.exp(random.uniform(math.log(0.02), math.log(0.5), 2)) * size
        places.append(Place(x, y, wide, tall, random.uniform(-90, 90), random.uniform(0.05, 1.0)))
    return phi_at(family, places)


def lattice(step: float, reach: float = 8.2) -> tuple[torch.Tensor, torch.Tensor]:
    """Nodes and weights of standard normal noise: a plain trapezoid, many times finer than any of theirs."""
    side = torch.arange(-reach, reach, step, dtype=F64) + 0.41 * step
    noise = torch.cartesian_prod(side, side)
    return noise, torch.exp(-0.5 * noise.square().sum(1)) * step**2 / (2 * math.pi)


def by_lattice(target, family, phi, step: float = 0.05) -> float:
    """The ELBO, every part in its own noise, with the whole q's density there."""
    noise, weights = lattice(step)
    log_shares, z, log_q = family.carried(phi, noise)
    values = target.log_prob(z.flatten(0, -2)).view(log_q.shape) - log_q
    return float(log_shares.exp() @ (values @ weights))


@pytest.mark.parametrize("target", [*TARGETS, Funnel()], ids=repr)
def test_elbo_and_kl_of_any_q_are_the_evidence_to_a_ten_thousandth(target):
    random, evidence = np.random.default_rng(7), log_evidence(target)
    allowed = 3 * evidence.error  # of a hard banana the evidence itself is known to 4e-4
    for family in FAMILIES:
        for _ in range(EACH):
            found = decompose(target, family, anywhere(target, family, random))
            assert abs(found.elbo + found.kl - evidence) <= found.error
            assert found.error <= 1e-4 * max(1.0, found.kl / 1e3) + allowed  # of a large number a share
            assert found.kl >= 0


@pytest.mark.parametrize("target", TARGETS, ids=repr)
def test_elbo_against_a_much_finer_lattice(target):
    random = np.random.default_rng(8)
    for family in (FullRank(), MixtureQ(parts=2)):
        phi = anywhere(target, family, random)
        found = decompose(target, family, phi)
        other = 2e-5 if isinstance(family, FullRank) else 1e-4  # the lattice's own share, in a wide part
        assert found.elbo == pytest.approx(by_lattice(target, family, phi), abs=found.error + other, rel=1e-9)


@pytest.mark.parametrize("layer", [Planar(), Autoregressive()], ids=repr)
@pytest.mark.parametrize("target", [Banana(), HardBanana(), FarModes(), EightSchools()], ids=repr)
def test_flows_too(target, layer):
    family, random = Flow(layer=layer, layers=3), np.random.default_rng(9)
    box = extent(target)
    for _ in range(2):
        loc, scale = (
            [box.left + box.right, box.bottom + box.top],
            [box.right - box.left, box.top - box.bottom],
        )
        phi = family.at(0.5 * torch.tensor(loc, dtype=F64), 0.2 * torch.tensor(scale, dtype=F64))
        phi[4:] += 0.3 * torch.from_numpy(random.normal(size=len(phi) - 4))
        found, error = decompose(target, family, phi), log_evidence(target).error
        allowed = 1e-4 * max(1.0, found.kl / 1e3) + 3 * error  # of a large number a share
        assert abs(found.elbo + found.kl - log_evidence(target)) <= found.error <= allowed
        assert found.elbo == pytest.approx(by_lattice(target, family, phi), abs=2 * found.error, rel=1e-9)


# ---- where the mass of E_q[log p] is beside q ----


def joint_in_funnel(target: Funnel, family, phi) -> float:
    """E_q[log p(x, z)]: of a Gaussian, E[x^2 exp(-y)] = exp(-m_y + S_yy / 2) ((m_x - S_xy)^2 + S_xx)."""
    log_weights, each = family.frames(phi)
    total = -3.2 - math.log(2 * math.pi * target.spread)
    for w, (mx, my), factor in zip(log_weights.exp(), *each, strict=True):
        (xx, xy), (_, yy) = factor @ factor.mT
        moved = torch.exp(-my + yy / 2) * ((mx - xy) ** 2 + xx)
        total -= 0.5 * float(w * ((my**2 + yy) / target.spread**2 + my + moved))
    return total


@pytest.mark.parametrize("family", [MeanField(), FullRank(), MixtureQ(parts=2), MixtureQ(parts=5)], ids=repr)
def test_in_a_funnel_wide_q_in_closed_form(family):
    target, random = Funnel(), np.random.default_rng(10)
    phis = [anywhere(target, family, random) for _ in range(20)]
    phis.append(family.at(torch.tensor([0.5, 1.0], dtype=F64), torch.tensor([2.0, 9.0], dtype=F64)))
    sizes = []
    for phi in phis:
        found = decompose(target, family, phi)
        assert abs(found.joint - joint_in_funnel(target, family, phi)) <= found.joint.error
        assert abs(found.elbo + found.kl - found.log_evidence) <= found.elbo.error + found.kl.error
        assert found.error <= 1e-4 * max(1.0, abs(found.elbo) / 1e3)
        sizes.append(abs(found.elbo))
    assert max(sizes) > 1e10  # the mass is up to nine sds away


def test_what_lies_far_out_with_a_kink():
    """E_q[max(0, r - 10)^2 exp(r^2 / 2 - r)], r = |z|, is the integral of (r - 10)^2 r exp(-r) from 10 on."""

    def terms(z: torch.Tensor, log_q: torch.Tensor) -> torch.Tensor:
        r = z.norm(dim=-1)
        return torch.stack([(r - 10).clamp(min=0).pow(2) * torch.exp(r * r / 2 - r)])

    x, w = np.polynomial.laguerre.laggauss(40)
    exact = math.exp(-10) * float(w @ (x**2 * (x + 10)))
    for found in expectations(MeanField(), torch.zeros(4, dtype=F64), terms):
        assert abs(found.value[0] - exact) <= found.error[0] <= 1e-5


# ---- what is told is never less than what is wrong ----


def elbo_by_turns(target: Donut, family, phi, reach: float) -> float:
    """In the target's own polar coordinates, in which all is smooth: Gauss panels times a trapezoid."""
    x, w = np.polynomial.legendre.leggauss(12)
    ends = np.linspace(0, reach, 81)
    r = (ends[:-1, None] + 0.5 * (x + 1) * ends[1]).ravel()
    turns = torch.arange(1000, dtype=F64) * (2 * math.pi / 1000)
    total = 0.0
    for radius, weight in zip(r, np.tile(0.5 * ends[1] * w, 80), strict=True):
        log_q = family.log_prob(phi, radius * torch.stack([turns.cos(), turns.sin()], 1))
        log_p = -0.5 * ((radius - target.radius) / target.width) ** 2 - math.log(target.mass()) - 3.2
        total += weight * radius * float((log_q.exp() * (log_p - log_q)).sum()) * (2 * math.pi / 1000)
    return total


@pytest.mark.parametrize(
    "numbers",
    [
        [-0.178405, -3.77233, 0.888733, 0.099166, -2.262009],
        [0.4, -0.3, 0.2, -0.5, 0.3],
        [2.0, 1.0, 0.8, 0.1, -0.4],
        [-1.0, 0.2, -0.2, 0.9, 0.5],
    ],
    ids=["agree by chance", "on the kink", "beside it", "across it"],
)
def test_the_error_in_a_donut_holds_its_distance_to_the_truth(numbers):
    phi = torch.tensor(numbers, dtype=F64)
    found, exact = decompose(Donut(), FullRank(), phi), elbo_by_turns(Donut(), FullRank(), phi, 40.0)
    assert abs(found.elbo - exact) <= found.elbo.error + 1e-9 and found.error <= 1e-4
    assert abs(found.log_evidence - found.kl - exact) <= found.kl.error + 1e-9


def test_the_donut_s_slope_is_no_number_nowhere():
    z = torch.zeros(1, 2, dtype=F64, requires_grad=True)
    (slope,) = torch.autograd.grad(Donut().log_prob(z).sum(), z)
    assert slope.tolist() == [[0.0, 0.0]]


# ---- coverage ----


@pytest.mark.parametrize(
    "place",
    [
        Place(0, 6, 2, 5, 70),
        Place(-2.2, -0.8, 23.4, 2.3, -66.6),
        Place(3.4, 11.5, 27.6, 0.18, 56.5),
        Place(0, 30, 4, 20),
    ],
)
def test_coverage_of_a_thread_row_by_row(place):
    """Within an ellipse y lies between two ends, and y given x is normal: one integral over x."""
    phi = phi_at(FullRank(), [place])
    (mx, my), factor = (part.numpy() for part in FullRank().frame(phi))
    covariance, square = factor @ factor.T, 2 * math.log(10)
    x = mx + np.linspace(-1, 1, 400_001) * math.sqrt(square * covariance[0, 0])
    slope, rest = covariance[0, 1] / covariance[0, 0], np.linalg.det(covariance) / covariance[0, 0]
    half = np.sqrt(np.maximum(0, square - (x - mx) ** 2 / covariance[0, 0]) * rest)
    middle = my + slope * (x - mx)
    inside = stats.norm.cdf((middle + half - x**2) / 0.1) - stats.norm.cdf((middle - half - x**2) / 0.1)
    exact = float((stats.norm.pdf(x, 0, 3) * inside).sum() * (x[1] - x[0]))
    found = coverage(HardBanana(), FullRank(), phi)
    assert abs(found - exact) <= found.error <= 1e-3
    flat = Flow(layer=Autoregressive(), layers=1)
    numbers = flat.at(torch.tensor([mx, my]), torch.tensor(factor.diagonal().copy()))
    numbers[4:] = 0.0
    if not place.angle:  # a flow that bends nothing, by rings
        found = coverage(HardBanana(), flat, numbers)
        assert abs(found - exact) <= found.error <= 1e-3


@pytest.mark.parametrize(
    "places",
    [
        [Place(0, 0.5, 1, 1), Place(1, 2, 0.1, 0.1, share=0.5)],
        [Place(0, 1, 2, 0.1, 30), Place(0, 1, 2, 0.1, -60), Place(-2, 2, 0.5, 1.5, 10)],
    ],
    ids=["one within the other", "thin ones crossing"],
)
def test_coverage_of_a_mixture_on_a_grid(places):
    family = MixtureQ(parts=len(places))
    phi = phi_at(family, places)
    x, y = torch.linspace(-9, 9, 1501, dtype=F64), torch.linspace(-8, 12, 1501, dtype=F64)
    z = torch.cartesian_prod(x, y)
    log_q = family.log_prob(phi, z)
    held, order = log_q.sort(descending=True)
    last = int(torch.searchsorted(held.exp().cumsum(0), 0.9 * held.exp().sum()))
    exact = float((Banana().log_prob(z[order[:last]]) + 3.2).exp().sum() * (x[1] - x[0]) * (y[1] - y[0]))
    found = coverage(Banana(), family, phi)
    assert abs(found - exact) <= found.error + 1e-4 and found.error <= 1e-3


@pytest.mark.parametrize(
    ("rise", "across", "along"), [(0.1, 0.5, 0.3), (-0.6, 0.5, 0.3), (0.2, 0, 1), (-2, 1, 0.5)]
)
def test_the_share_of_a_rectangle_above_a_slope(rise, across, along):
    side = (np.arange(2000) + 0.5) / 1000 - 1
    exact = float((rise + across * side[:, None] + along * side > 0).mean())
    assert above(*(np.array([float(v)]) for v in (rise, across, along)))[0] == pytest.approx(exact, abs=1e-3)


# ---- mixtures ----


def entropy_by_grid(family: MixtureQ, phi: torch.Tensor, reach: float, count: int) -> float:
    """H(q) from the density as the book writes it, on a plain grid."""
    log_weights, (centres, factors) = family.frames(phi)
    side = np.linspace(-reach, reach, count)
    z, q = np.stack(np.meshgrid(side, side, indexing="ij"), -1), np.zeros((count, count))
    for w, c, f in zip(log_weights, centres, factors, strict=True):
        covariance, away = (f @ f.mT).numpy(), z - c.numpy()
        square = np.einsum("...i,ij,...j->...", away, np.linalg.inv(covariance), away, optimize=True)
        q += math.exp(w - 0.5 * np.log(np.linalg.det(2 * math.pi * covariance))) * np.exp(-0.5 * square)
    return float(-(q * np.log(np.maximum(q, 1e-300))).sum() * (side[1] - side[0]) ** 2)


@pytest.mark.parametrize(
    "places",
    [
        [Place(0, 0, 1, 1), Place(0.5, 0.2, 0.05, 0.05, share=0.3)],  # a narrow one in a wide one
        [
            Place(0, 0, 1.2, 0.03, 30),
            Place(0, 0, 1.2, 0.04, -60),
            Place(0.3, 0, 0.4, 0.4),
        ],  # thin ones crossing
        [Place(0, 0, 0.5, 0.5), Place(0, 0, 0.5, 0.5), Place(0, 0, 0.5, 0.5)],  # the same three times
        [Place(-3, 0, 0.3, 0.3), Place(3, 0, 0.3, 0.3, share=1e-6)],  # far apart, one of them nearly nothing
    ],
    ids=["within", "crossing", "same", "apart"],
)
def test_the_entropy_of_a_mixture_on_a_plain_grid(places):
    family = MixtureQ(parts=len(places))
    phi = phi_at(family, places)
    found = decompose(CorrelatedGaussian(), family, phi)
    assert found.entropy == pytest.approx(entropy_by_grid(family, phi, 9.0, 2001), abs=5e-5)
    assert found.error < 1e-4


def panels(edges: list[float]) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Legendre nodes and weights between edges and their mirror images."""
    ends, (x, w) = np.array([*(-e for e in edges[::-1]), 0.0, *edges]), np.polynomial.legendre.leggauss(12)
    half = 0.5 * np.diff(ends)[:, None]
    return (ends[:-1, None] + half * (1 + x)).ravel(), (half * w).ravel()


def test_a_thin_part_is_found_though_it_lies_between_the_nodes():
    family = MixtureQ(parts=2)
    phi = phi_at(family, [Place(0, 0, 60, 4e-3, 20), Place(0, 0, 0.4, 0.4, share=0.2)])
    q = images(family, phi)
    assert [len(thin_in(q, m, np.eye(2))) for m in (0, 1)] == [0, 1]
    u, du = panels([0.4, 0.8, 1.2, 1.8, 2.6, 5, 12, 30, 60, 90, 130, 180, 260, 400])
    v, dv = panels([0.004, 0.008, 0.012, 0.018, 0.026, 0.035, 0.06, 0.1, 0.2, 0.4, 0.8, 1.4, 2.0, 3.0])
    cos, sin = math.cos(math.radians(20)), math.sin(math.radians(20))
    z = np.stack(np.meshgrid(u, v, indexing="ij"), -1) @ np.array([[cos, sin], [-sin, cos]])
    log_q = family.log_prob(phi, torch.from_numpy(z.reshape(-1, 2))).numpy().reshape(z.shape[:-1])
    exact = float(du @ (np.exp(log_q) * log_q) @ dv)
    one, two = expectations(family, phi, lambda z, log_q: torch.stack([log_q]))
    for found in (one, two):
        assert abs(found.value[0] - exact) <= found.error[0] + 1e-7 and found.error[0] <= 1e-4


# ---- what the two rules are worth ----


def test_the_two_rules_share_no_node():
    seen: list[torch.Tensor] = []

    def terms(z: torch.Tensor, log_q: torch.Tensor) -> torch.Tensor:
        seen.append(z)
        return torch.stack([z.norm(dim=1) - log_q])  # a kink: all rules are asked

    phi = torch.zeros(4, dtype=F64)
    one, two = expectations(MeanField(), phi, terms)
    z = torch.cat(seen)
    assert len(seen) > 2 and len(z.unique(dim=0)) == len(z)
    exact = math.sqrt(math.pi / 2) + 1 + math.log(2 * math.pi)
    for found in (one, two):
        assert abs(found.value[0] - exact) <= found.error[0] < 1e-4
    assert one.value[0] != two.value[0]


def test_a_wrong_evidence_shows_in_kl(monkeypatch):
    """KL holds p's own mass: it is not log p(x) - ELBO in other words."""
    from lvmviz.quadrature.plane import exact

    phi = phi_at(FullRank(), [Place(0.3, 0.4, 1, 0.7, 30)])
    right, p = decompose(Banana(), FullRank(), phi), exact.joint(Banana())
    wrong = p._replace(log_total=type(p.log_total)(p.log_total + 0.1, p.log_total.error))
    monkeypatch.setattr(exact, "joint", lambda target: wrong)
    found = decompose(Banana(), FullRank(), phi)
    assert found.kl == pytest.approx(right.kl + 0.1 + math.expm1(-0.1), abs=1e-7)
    assert found.error > 0.09


def test_where_p_is_nothing_far_out_in_q_the_gap_is_infinite():
    wall = Formula2D(expression="where(x < 3, -x**2/2 - y**2/2, log(0))")
    for sd in (1.0, 0.15):  # 3 and 20 sds away
        phi = MeanField().at(torch.zeros(2, dtype=F64), torch.full((2,), sd, dtype=F64))
        found = decompose(wall, MeanField(), phi)
        assert found.elbo == found.joint == -math.inf and found.kl == math.inf
        assert found.entropy == pytest.approx(1 + math.log(2 * math.pi) + 2 * math.log(sd), abs=1e-9)
