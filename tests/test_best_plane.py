"""The best Gaussian in the plane: closed forms, golden numbers, and SciPy on a rule of its own."""

import dataclasses
import math
from itertools import pairwise

import hypothesis.strategies as st
import numpy as np
import pytest
import scipy.optimize
import torch
from hypothesis import given, settings

from lvmviz.algorithms.best_plane import AGREE, RULES, best_gaussian_plane, gaussian_optima
from lvmviz.algorithms.plane_newton import hill_at, rule_of
from lvmviz.families import Frame, FullRank, MeanField
from lvmviz.targets import Target

F64 = torch.float64
LOG_2PI = math.log(2 * math.pi)
THREE = (((-3.0, 0.0), (3.0, 0.5), (0.0, 3.5)), (0.8, 0.6, 0.7), (0.5, 0.3, 0.2))


def normal(x: torch.Tensor, mean: float, sd: float) -> torch.Tensor:
    return -0.5 * ((x - mean) / sd) ** 2 - math.log(sd) - 0.5 * LOG_2PI


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plain(Target):
    """What the targets below have in common; none is registered."""

    dim = 2

    def log_prior(self, z: torch.Tensor) -> torch.Tensor:
        return normal(z, 0.0, 1.0).sum(-1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Normal(Plain):
    """A Gaussian with its mean at (2, -1) and a log evidence."""

    rho: float = 0.9
    first: float = 1.0
    second: float = 0.3
    log_evidence: float = 0.0

    def precision(self) -> np.ndarray:
        cross = self.rho * self.first * self.second
        return np.linalg.inv([[self.first**2, cross], [cross, self.second**2]])

    def log_prob(self, z: torch.Tensor) -> torch.Tensor:
        away = z - z.new_tensor([2.0, -1.0])
        precision = torch.from_numpy(self.precision())
        square = ((away @ precision) * away).sum(-1)
        return -0.5 * square + 0.5 * torch.logdet(precision) - LOG_2PI + self.log_evidence


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bent(Plain):
    """z1 ~ N(0, 1.5^2), z2 | z1 ~ N(.5 z1^2, .5^2)."""

    def log_prob(self, z: torch.Tensor) -> torch.Tensor:
        x, y = z.unbind(-1)
        return normal(x, 0.0, 1.5) + normal(y - 0.5 * x**2, 0.0, 0.5)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Modes(Plain):
    """Round modes with weights."""

    three: bool = True

    def parts(self) -> list[tuple[tuple[float, float], float, float]]:
        far = (((-4.0, 0.0), (4.0, 1.0)), (0.7, 0.7), (0.5, 0.5))
        return list(zip(*(THREE if self.three else far), strict=True))

    def log_prob(self, z: torch.Tensor) -> torch.Tensor:
        x, y = z.unbind(-1)
        return torch.logsumexp(
            torch.stack([math.log(w) + normal(x, a, s) + normal(y, b, s) for (a, b), s, w in self.parts()]), 0
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Funnel(Plain):
    """v ~ N(0, 1.5^2), z | v ~ N(0, e^v)."""

    def log_prob(self, z: torch.Tensor) -> torch.Tensor:
        v, x = z.unbind(-1)
        return normal(v, 0.0, 1.5) - 0.5 * x**2 * torch.exp(-v) - 0.5 * v - 0.5 * LOG_2PI


@dataclasses.dataclass(frozen=True, kw_only=True)
class Heavy(Plain):
    """Student's t with three degrees of freedom."""

    def log_prob(self, z: torch.Tensor) -> torch.Tensor:
        return -LOG_2PI - 2.5 * torch.log1p(z.square().sum(-1) / 3.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Square(Plain):
    """Nothing beyond a square far from everywhere."""

    def log_prob(self, z: torch.Tensor) -> torch.Tensor:
        inside = ((z - 1e4).abs() < 1.0).all(-1)
        return torch.where(inside, -z.square().sum(-1), -torch.inf)


def gap_of(full: bool) -> float:
    """What the best q of a Gaussian posterior leaves, nats: Lambda's diagonal against its determinant."""
    precision = Normal().precision()
    return 0.0 if full else 0.5 * math.log(precision[0, 0] * precision[1, 1] / np.linalg.det(precision))


def measured(target: Target, phi: torch.Tensor, step: float = 0.02, reach: float = 9.0) -> float:
    """The ELBO by the trapezoidal rule in q's own coordinates, in NumPy, finer than any of ours."""
    first, second = np.exp(phi[2:4].numpy())
    below = float(phi[4]) if len(phi) > 4 else 0.0
    line = np.arange(-reach, reach, step)
    x, y = (part.ravel() for part in np.meshgrid(line, line, indexing="ij"))
    weights = np.exp(-0.5 * (x**2 + y**2)) * step**2 / (2 * math.pi)
    z = np.stack([float(phi[0]) + first * x, float(phi[1]) + below * x + second * y], -1)
    log_p = target.log_prob(torch.from_numpy(z)).numpy()
    return float(weights @ log_p + math.log(first * second) + 1.0 + LOG_2PI)


def climbed(target: Target, phi: np.ndarray, count: int = 60) -> tuple[float, np.ndarray]:
    """Where SciPy's BFGS ends with gradients by autograd on a midpoint rule of its own."""
    line = np.linspace(-7.5, 7.5, count)
    e = torch.from_numpy(np.stack(np.meshgrid(line, line), -1).reshape(-1, 2))
    weights = torch.softmax(-0.5 * e.square().sum(-1), 0)

    def loss(numbers: np.ndarray) -> tuple[float, np.ndarray]:
        leaf = torch.tensor(numbers, dtype=F64, requires_grad=True)
        x = leaf[0] + leaf[2].exp() * e[:, 0]
        y = leaf[1] + leaf[3].exp() * e[:, 1] + (leaf[4] * e[:, 0] if len(numbers) > 4 else 0.0)
        value = -(weights @ target.log_prob(torch.stack([x, y], -1)) + leaf[2] + leaf[3] + 1.0 + LOG_2PI)
        (slope,) = torch.autograd.grad(value, leaf)
        return float(value.detach()), slope.numpy()

    found = scipy.optimize.minimize(loss, phi, jac=True, method="BFGS", options={"gtol": 1e-7})
    return -float(found.fun), found.x


# ---- closed forms and golden numbers ----


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("log_evidence", [0.0, -40.0])
def test_a_gaussian_posterior_has_its_closed_form(full, log_evidence):
    best = best_gaussian_plane(Normal(log_evidence=log_evidence), full, starts=1)
    assert best.elbo == pytest.approx(log_evidence - gap_of(full), abs=1e-12)
    assert best.phi[:2].tolist() == pytest.approx([2.0, -1.0], abs=1e-9)
    sds = (FullRank() if full else MeanField()).mean_sd(best.phi)[1]
    precision = Normal().precision()
    expected = [1.0, 0.3] if full else 1 / np.sqrt(np.diag(precision))
    assert sds.tolist() == pytest.approx(list(expected), abs=1e-9)
    if full:
        factor = FullRank().frame(best.phi).factor
        np.testing.assert_allclose(factor @ factor.mT, np.linalg.inv(precision), atol=1e-9)


def test_the_mean_field_gap_of_unit_variances_is_minus_half_log_one_minus_rho_squared():
    best = best_gaussian_plane(Normal(second=1.0), full=False)
    assert -best.elbo == pytest.approx(-0.5 * math.log(1 - 0.9**2), abs=1e-12)
    assert best.phi[2:].exp().tolist() == pytest.approx([math.sqrt(1 - 0.81)] * 2, abs=1e-10)


@pytest.mark.parametrize("full", [True, False])
def test_the_bananas_best_gaussian_is_the_golden_number(full):
    best = best_gaussian_plane(Bent(), full)
    assert best.elbo == pytest.approx(-0.6072051721569, abs=1e-12)  # by symmetry it does not lean
    assert best.error <= AGREE and best.gradient < 1e-8


@pytest.mark.parametrize("full", [True, False])
def test_a_gaussian_on_one_of_two_far_modes_leaves_log_2(full):
    optima = gaussian_optima(Modes(three=False), full)
    tops = [top for top in optima if top.elbo > -1.0]
    assert len(tops) == 2
    assert [top.elbo for top in tops] == pytest.approx([-math.log(2.0)] * 2, abs=1e-6)
    assert sorted(round(float(top.phi[0])) for top in tops) == [-4, 4]


# ---- all the optima ----


@pytest.mark.parametrize("full", [True, False])
def test_64_starts_find_what_scipy_finds_on_three_modes(full):
    """SciPy from 60 starts of its own; every top it finds that is one is among ours, and the reverse."""
    target = Modes()
    ours = [top for top in gaussian_optima(target, full, 64) if top.error < 1e-6]
    random = np.random.default_rng(0)
    theirs: list[float] = []
    for _ in range(60):
        start = np.concatenate([random.uniform(-5, 5, 2), random.uniform(-1.5, 1.0, 2), [0.0] * full])
        value, phi = climbed(target, start)
        if (
            abs(value - measured(target, torch.from_numpy(phi), 0.05)) < 1e-3
        ):  # a top of its rule only is none
            theirs.append(value)
    distinct = sorted({round(value, 3) for value in theirs}, reverse=True)
    assert sorted({round(top.elbo, 3) for top in ours}, reverse=True) == distinct
    assert len(distinct) >= 3
    assert [top.elbo for top in ours] == sorted((top.elbo for top in ours), reverse=True)
    assert sum(top.starts for top in gaussian_optima(target, full, 64)) == 64


@pytest.mark.parametrize(
    "target", [Bent(), Funnel(), Heavy(), Modes(), Modes(three=False), Normal()], ids=repr
)
@pytest.mark.parametrize("full", [True, False])
def test_an_optimum_is_one_on_a_much_finer_rule(target, full):
    """Its ELBO to 1e-8, no gradient by central differences, and no higher place near it."""
    best = best_gaussian_plane(target, full)
    assert best.error <= AGREE and best.gradient < 1e-7
    assert best.elbo == pytest.approx(measured(target, best.phi), abs=1e-8)
    random = np.random.default_rng(1)
    for _ in range(6):
        away = torch.from_numpy(0.05 * random.standard_normal(len(best.phi)))
        assert measured(target, best.phi + away, 0.1) < best.elbo + 1e-9
    for axis in 1e-4 * torch.eye(len(best.phi), dtype=F64):
        ahead, behind = (measured(target, best.phi + sign * axis, 0.1) for sign in (1.0, -1.0))
        assert abs(ahead - behind) / 2e-4 < 3e-5


@settings(max_examples=20)
@given(x=st.floats(-6, 6), y=st.floats(-6, 6), width=st.floats(0.05, 4.0), full=st.booleans())
def test_every_start_reaches_the_only_optimum(x, y, width, full):
    family = FullRank() if full else MeanField()
    starts = family.at(torch.tensor([[x, y]], dtype=F64), torch.tensor([[width, width]], dtype=F64))
    for target, height in ((Bent(), -0.6072051721569), (Normal(), -gap_of(full))):
        (top,) = gaussian_optima(target, full, starts)
        assert top.elbo == pytest.approx(height, abs=1e-10)
        assert top.starts == 1 and top.phi.shape == (len(family.names),)


def test_a_saddle_is_left():
    """On a cross an upright q has no gradient towards leaning, by symmetry, and yet leaning is higher."""

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Cross(Plain):
        """Two thin Gaussians that lean to either side."""

        def log_prob(self, z: torch.Tensor) -> torch.Tensor:
            x, y = z.unbind(-1)
            lean = [normal(x + s * y, 0.0, 2.0) + normal(x - s * y, 0.0, 0.3) for s in (1.0, -1.0)]
            return torch.logaddexp(*lean)

    start = FullRank().at(torch.zeros(1, 2, dtype=F64), torch.tensor([[0.5, 0.5]], dtype=F64))
    (top,) = gaussian_optima(Cross(), True, start)
    upright = best_gaussian_plane(Cross(), False, MeanField().of_frame(FullRank().frame(start)))
    assert abs(float(top.phi[4])) > 0.5 and top.elbo > upright.elbo + 0.1
    assert top.elbo == pytest.approx(measured(Cross(), top.phi), abs=10 * top.error + 1e-8)


def test_starts_stand_round_the_frame_they_are_told():
    """A posterior far away and narrow is found from its own frame, and the same one each time."""

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Away(Plain):
        """A narrow Gaussian far from 0."""

        def log_prob(self, z: torch.Tensor) -> torch.Tensor:
            return normal(z[..., 0], 500.0, 1e-3) + normal(z[..., 1], -2e4, 30.0)

    near = Frame(torch.tensor([500.1, -2e4], dtype=F64), torch.diag(torch.tensor([1e-2, 50.0], dtype=F64)))
    best = best_gaussian_plane(Away(), starts=8, near=near)
    assert best.elbo == pytest.approx(0.0, abs=1e-9)
    again = best_gaussian_plane(Away(), starts=8, near=near)
    assert torch.equal(best.phi, again.phi) and best[1:] == again[1:]


def test_more_starts_are_never_worse():
    heights = [best_gaussian_plane(Modes(), starts=count).elbo for count in (1, 4, 16, 64)]
    assert all(more >= fewer - 1e-12 for fewer, more in pairwise(heights))  # nats, where both find the top


def test_where_nothing_is_finite_it_says_so():
    with pytest.raises(ValueError, match="no finite ELBO where q starts: move the starts"):
        best_gaussian_plane(Square())


def test_rules_that_do_not_agree_are_told():
    """The tops across two far modes have a kink between them that no rule here resolves."""
    start = FullRank().at(torch.zeros(1, 2, dtype=F64), torch.tensor([[4.0, 1.0]], dtype=F64))
    top = gaussian_optima(Modes(three=False), True, start)[0]
    assert top.error >= 1e-4 or top.elbo == pytest.approx(-math.log(2), abs=1e-6)
    if top.error >= 1e-4:
        assert abs(top.elbo - measured(Modes(three=False), top.phi)) < 2 * top.error


# ---- the rule ----


@pytest.mark.parametrize("kind", RULES)
@pytest.mark.parametrize("size", [4, 5])
def test_gradients_and_hessians_are_those_of_the_elbo(kind, size):
    """On a quartic every rule is exact: against differences of the ELBO in q's own units."""
    target, rule = Bent(), rule_of(kind, size)
    frame = Frame(
        torch.tensor([[0.3, 0.6]], dtype=F64),
        torch.tensor([[[0.9, 0.0], [0.2 * (size - 4), 0.5]]], dtype=F64),
    )

    def height(t: np.ndarray) -> float:
        change = np.array([[math.exp(t[2]), 0.0], [t[4] if size > 4 else 0.0, math.exp(t[3])]])
        factor = frame.factor[0].numpy() @ change
        centre = frame.centre[0].numpy() + frame.factor[0].numpy() @ t[:2]
        phi = [*centre, math.log(factor[0, 0]), math.log(factor[1, 1]), factor[1, 0]]
        return measured(target, torch.tensor(phi[:5], dtype=F64), 0.15)

    hill = hill_at(lambda z, rows: target.log_prob(z), frame, rule, torch.arange(1))
    assert float(hill.value[0]) == pytest.approx(height(np.zeros(size)), abs=1e-9)
    step = 1e-3
    units = step * np.eye(size)
    slope = [(height(u) - height(-u)) / (2 * step) for u in units]
    np.testing.assert_allclose(hill.gradient[0], slope, rtol=1e-5, atol=1e-5)
    bend = [
        [(height(u + v) - height(u - v) - height(v - u) + height(-u - v)) / (4 * step**2) for v in units]
        for u in units
    ]
    np.testing.assert_allclose(hill.hessian[0], bend, rtol=1e-4, atol=1e-4)
