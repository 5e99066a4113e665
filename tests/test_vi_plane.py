"""VI in the plane: closed forms of Gaussians, golden optima, other integrals of the same, honest numbers."""

import math

import numpy as np
import pytest
import torch

from lvmviz import (
    IWAE,
    LBFGS,
    VI,
    Adam,
    AffineCoupling,
    Banana,
    Cauchy2D,
    ComposedFlow,
    CoordinateAscent,
    CorrelatedGaussian,
    Donut,
    Flow,
    ForwardKL,
    FullRank,
    Funnel,
    Gaussian,
    GradientAscent,
    Job,
    LinearQR,
    LogisticRegression,
    MeanField,
    MixtureQ,
    NaturalGradient,
    Renyi,
    Reparameterized,
    ReverseKL,
    ScoreFunction,
    Skewed,
    StickingTheLanding,
    Student2D,
    ThreeModes,
    best_gaussian_plane,
    cavi,
    decompose,
    run,
)
from lvmviz.core import fold_in
from lvmviz.gradients import fisher, scores
from lvmviz.nodes import TURNS, noise_rule, over_all
from lvmviz.optimizers import remembered
from lvmviz.quadrature import forward_kl
from lvmviz.summaries import plane

F64 = torch.float64
LOG_Z = -3.2
RHO = 0.9
FAMILIES = [
    MeanField(), FullRank(), MixtureQ(parts=2), Flow(layers=2), Flow(layer=LinearQR(), layers=1),
    ComposedFlow(layers=2, first=AffineCoupling(hidden=3)),
]  # fmt: skip
over_families = pytest.mark.parametrize("family", FAMILIES, ids=repr)


def climbed(vi: VI, steps: int, seed: int = 3):
    """The state and the numbers where it ends."""
    state, info = vi.init(fold_in(seed, 0))
    for step in range(1, steps + 1):
        if vi.finished(state, info):
            break
        state, info = vi.step(fold_in(seed, step), state)
    return state, info


def some(family, count: int = 2, jitter: float = 0.2):
    """phi (B, P), none of them special."""
    places = torch.tensor([[0.3, -0.4], [-0.6, 0.8], [1.0, 1.2], [0.1, 0.2]], dtype=F64)[:count]
    phi = family.at(places, 0.8 + 0.1 * places.abs())
    return phi + jitter * torch.sin(torch.arange(phi.numel(), dtype=F64)).reshape(phi.shape)


def gaussians(phi):
    """Means and covariances, NumPy, of a full Gaussian's phi (P,) and of the correlated posterior."""
    mean, l11, l22, l21 = phi[:2].numpy(), math.exp(phi[2]), math.exp(phi[3]), float(phi[4])
    factor = np.array([[l11, 0.0], [l21, l22]])
    return (mean, factor @ factor.T), (np.zeros(2), np.array([[1.0, RHO], [RHO, 1.0]]))


def kl(one, two) -> float:
    """KL(one || two) of Gaussians, the textbook's."""
    (m, s), (n, t) = one, two
    inverse, away = np.linalg.inv(t), n - m
    logs = np.log(np.linalg.det(t) / np.linalg.det(s))
    return float(0.5 * (np.trace(inverse @ s) + away @ inverse @ away - 2 + logs))


def renyi(q, p, alpha: float) -> float:
    """log of the integral of p^(1 - a) q^a, over 1 - a, by completing the square."""
    (m, s), (n, t) = q, p
    one, two = alpha * np.linalg.inv(s), (1 - alpha) * np.linalg.inv(t)
    top = np.linalg.solve(one + two, one @ m + two @ n)
    rest = (top - m) @ one @ (top - m) + (top - n) @ two @ (top - n)
    logs = alpha * np.log(np.linalg.det(s)) + (1 - alpha) * np.log(np.linalg.det(t))
    return float(-0.5 * (rest + logs + np.log(np.linalg.det(one + two))) / (1 - alpha))


# ---- objectives ----


def test_objectives_are_the_closed_forms_of_gaussians():
    target, family, phi = CorrelatedGaussian(correlation=RHO), FullRank(), some(FullRank(), 4)
    pairs = [gaussians(row) for row in phi]
    wanted = {
        ReverseKL(): [LOG_Z - kl(q, p) for q, p in pairs],
        ForwardKL(): [-kl(p, q) for q, p in pairs],
        Renyi(alpha=0.5): [LOG_Z + renyi(q, p, 0.5) for q, p in pairs],
        Renyi(alpha=0.0): [LOG_Z] * 4,
    }
    for objective, values in wanted.items():
        assert objective.value(target, family, phi).tolist() == pytest.approx(values, abs=2e-6), objective
        assert float(objective.error(target, family, phi).max()) < 1e-2
    small = torch.cat(
        [0.3 * phi[:, :2], phi[:, 2:4] - 1.0, 0.0 * phi[:, 4:]], 1
    )  # narrower than p: a 2 exists
    exact = [LOG_Z + renyi(*gaussians(row), 2.0) for row in small]
    assert Renyi(alpha=2.0).value(target, family, small).tolist() == pytest.approx(exact, abs=1e-6)


@pytest.mark.parametrize("family", FAMILIES[1:], ids=repr)
def test_iwae_is_what_draws_say_and_between_elbo_and_evidence(family):
    phi, bound = some(family), IWAE(draws=4)
    with torch.no_grad():
        value = bound.value(Banana(), family, phi)
        told, se = bound.sampled(Banana(), family, phi[0], 5, 4000)
        elbo = ReverseKL().value(Banana(), family, phi)
    assert abs(float(value[0]) - float(told)) < 5 * float(se)
    assert (elbo < value).all() and (value < LOG_Z).all()


@over_families
def test_the_batch_s_rule_is_the_adaptive_one(family):
    phi = some(family)
    for target in (Banana(), LogisticRegression(rows=20)):
        elbos = ReverseKL().value(target, family, phi).tolist()
        assert elbos == pytest.approx([float(decompose(target, family, row).elbo) for row in phi], abs=2e-5)
    forward = ForwardKL().value(Banana(), family, phi).tolist()
    assert forward == pytest.approx([-float(forward_kl(Banana(), family, row)) for row in phi], rel=1e-4)


def test_what_is_infinite_is_so():
    phi = some(FullRank())
    assert ForwardKL().value(Cauchy2D(), FullRank(), phi).isneginf().all()
    assert ForwardKL().value(Student2D(df=2.0), FullRank(), phi).isneginf().all()
    assert ForwardKL().value(Student2D(df=3.0), FullRank(), phi).isfinite().all()
    assert Renyi(alpha=3.0).value(CorrelatedGaussian(), FullRank(), phi + 1.0).isneginf().any()


@over_families
@pytest.mark.parametrize("objective", [ReverseKL(), ForwardKL(), Renyi(), IWAE(draws=3)], ids=repr)
def test_gradients_are_differences_of_values(objective, family):
    phi = some(family, 1)
    leaf = phi.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(objective.value(Banana(), family, leaf).sum(), leaf)
    h, sure = 1e-3, 5e-3 if isinstance(objective, IWAE) else 2e-6  # IWAE's value is sure to 1e-5
    for i in range(0, phi.shape[-1], 3):
        step = torch.zeros_like(phi)
        step[0, i] = h
        with torch.no_grad():
            rows = torch.cat([phi + k * step for k in (1, -1, 2, -2)])
            up, down, up2, down2 = objective.value(Banana(), family, rows).tolist()
        slope = (8 * (up - down) - (up2 - down2)) / (12 * h)
        assert slope == pytest.approx(float(gradient[0, i]), abs=sure)


def test_q_s_nodes_and_p_s_together_integrate_what_either_alone_misses():
    """Two masses far apart, q's and p's: the integral of each over all nodes is 1."""
    phi = FullRank().at(torch.tensor([[9.0, -9.0]], dtype=F64), torch.full((1, 2), 0.05, dtype=F64))
    both = over_all(ThreeModes(), FullRank(), phi)
    assert float((both.log_weights + both.log_q).exp().sum()) == pytest.approx(1.0, abs=1e-8)
    assert float((both.log_weights + both.log_p).exp().sum()) == pytest.approx(math.exp(LOG_Z), rel=1e-5)


@pytest.mark.parametrize("turn", [0, 1, 7, TURNS - 1])
@pytest.mark.parametrize("coarse", [False, True])
def test_every_lattice_of_the_noise_integrates_a_normal(turn, coarse):
    e, log_weights = noise_rule(2, coarse, turn)
    x, y = e.unbind(-1)
    for value, wanted in ((x.square(), 1.0), (y**4, 3.0), (x * y, 0.0), (x.square() * y.square(), 1.0)):
        assert float(log_weights.exp() @ value) == pytest.approx(wanted, abs=1e-10)
    assert float(e.norm(dim=1).max()) <= 8.5


@over_families
def test_the_fisher_information_is_the_mean_square_of_scores(family):
    """By draws, and their scores by the way back that quadrature avoids."""
    phi = some(family, 1)
    noise = torch.randn(20_000, 2, generator=torch.Generator().manual_seed(1), dtype=F64)
    with torch.no_grad():
        z = family.sample(phi, noise[None])
    rows = scores(family, phi, z)[0]
    products = rows[:, :, None] * rows[:, None, :]
    error = products.std(0) / math.sqrt(len(rows))
    assert ((fisher(family, phi)[0] - products.mean(0)).abs() < 5.5 * error + 1e-6).all()


# ---- optima ----


@pytest.mark.parametrize(
    "optimizer",
    [Adam(), LBFGS(), NaturalGradient(), GradientAscent(step_size=0.1), CoordinateAscent()],
    ids=lambda optimizer: type(optimizer).__name__,
)
def test_mean_field_is_too_narrow_by_the_golden_ratio(optimizer):
    """sd sqrt(1 - rho^2), KL -1/2 log(1 - rho^2) = .830."""
    vi = VI(
        target=CorrelatedGaussian(correlation=RHO), family=MeanField(), optimizer=optimizer, starts=2,
        mean=0.5, spread=2.0, tolerance=1e-4,
    )  # fmt: skip
    state, info = climbed(vi, 700)
    assert info.status == "converged" and state.phi[0, :2].abs().max() < 1e-3
    assert state.phi[0, 2:].exp().tolist() == pytest.approx([math.sqrt(1 - RHO**2)] * 2, abs=1e-4)
    assert info.kl == pytest.approx(-0.5 * math.log(1 - RHO**2), abs=1e-5)
    assert info.error < 1e-4 and info.elbo + info.kl == pytest.approx(info.log_evidence, abs=info.error)


@pytest.mark.parametrize("rho", [0.3, -0.8, 0.95])
def test_cavi_leaves_rho_squared_of_the_error_and_is_its_closed_form(rho):
    """A run of the optimizer, which sees only slopes, against the updates of the textbook."""
    target, start = CorrelatedGaussian(correlation=rho), (1.5, -0.4, 0.3, -0.2)
    vi = VI(target=target, family=MeanField(), optimizer=CoordinateAscent(), starts=1, phi=start)
    found = torch.stack([snapshot.state.phi[0] for snapshot in run(Job(vi, steps=8))])
    precision = torch.tensor([[1.0, -rho], [-rho, 1.0]], dtype=F64) / (1 - rho**2)
    path = cavi.path(precision, torch.zeros(2, dtype=F64), torch.tensor(start, dtype=F64), 4)
    assert torch.allclose(found, path, atol=1e-10)
    assert (found[4::2, :2] / found[2:-2:2, :2]).flatten().tolist() == pytest.approx([rho**2] * 6, abs=1e-8)


def test_cavi_climbs_where_no_closed_form_is_and_refuses_what_is_not_factorized():
    vi = VI(target=Banana(), family=MeanField(), optimizer=CoordinateAscent(), starts=4, spread=3.0)
    trace = run(Job(vi, steps=60))
    values = torch.stack([snapshot.state.value for snapshot in trace])
    assert (values.diff(dim=0) >= -1e-12).all()
    best = best_gaussian_plane(Banana(), full=False)
    assert float(values[-1].max()) == pytest.approx(best.elbo, abs=1e-8)
    for wrong in ({"family": FullRank()}, {"family": MeanField(), "objective": ForwardKL()}):
        with pytest.raises(
            ValueError, match="a factorized q at a time.*choose another optimizer, or Mean field"
        ):
            VI(target=Banana(), optimizer=CoordinateAscent(), **wrong).init(0)


def test_the_banana_s_golden_gaussian():
    state, info = climbed(VI(target=Banana(), family=FullRank(), optimizer=LBFGS(), starts=2, spread=2.0), 80)
    assert info.best - LOG_Z == pytest.approx(-0.6072051721569, abs=1e-9)
    assert torch.allclose(state.phi[info.best_start], best_gaussian_plane(Banana()).phi, atol=1e-5)
    assert info.elbo == pytest.approx(info.objective, abs=1e-9)
    assert info.error < 1e-4 and info.elbo + info.kl == pytest.approx(info.log_evidence, abs=info.error)


def test_forward_kl_takes_the_moments():
    """x ~ N(0, 1.5^2), y = x^2 / 2 + .5 e: mean 1.125, variance 1.5^4 / 2 + .25, no covariance."""
    vi = VI(target=Banana(), family=FullRank(), objective=ForwardKL(), optimizer=LBFGS(), starts=1)
    phi = climbed(vi, 80)[0].phi[0]
    sds = [1.5, math.sqrt(0.5 * 1.5**4 + 0.25)]
    assert phi.tolist() == pytest.approx([0.0, 1.125, *map(math.log, sds), 0.0], abs=1e-5)


def test_sixty_four_starts_find_the_three_modes():
    """Far enough apart that the best q on a mode is that mode: KL -log of its share."""
    vi = VI(target=ThreeModes(), family=FullRank(), optimizer=LBFGS(), starts=64, spread=4.0)
    trace = run(Job(vi, steps=60))
    state, info = trace[-1].state, trace[-1].info
    for share in (0.5, 0.3, 0.2):
        assert bool(((state.value - LOG_Z - math.log(share)).abs() < 2e-3).any())
    assert not bool(state.lost.any()) and info.settled == 64
    assert float(state.value.max()) == pytest.approx(info.best, abs=1e-4)


def test_a_mixture_and_a_flow_come_nearer_than_a_gaussian():
    for family in (MixtureQ(parts=2), Flow(layer=AffineCoupling(hidden=4), layers=2)):
        state, info = climbed(
            VI(target=Banana(), family=family, optimizer=LBFGS(), starts=1, phi=tuple(near(family))), 40
        )
        assert info.elbo > LOG_Z - 0.3 and info.kl > 0 and info.lost == 0
        assert info.elbo + info.kl == pytest.approx(info.log_evidence, abs=info.error) and info.error < 1e-4


def near(family) -> list[float]:
    where = torch.tensor([0.0, 1.0], dtype=F64), torch.tensor([1.2, 1.2], dtype=F64)
    return family.at(*where).tolist()


@pytest.mark.parametrize("target", [ThreeModes(), Donut()], ids=lambda target: type(target).__name__)
def test_a_flow_cannot_hide_its_bends_between_the_nodes(target):
    """On one and the same lattice the objective rose .1 to .3 above what it stood for."""
    vi = VI(target=target, family=Flow(), optimizer=LBFGS(), starts=1)
    _, info = climbed(vi, 50)
    assert info.objective - info.elbo < 0.06 and info.elbo > LOG_Z - 0.5


# ---- estimates ----


@over_families
@pytest.mark.parametrize(
    "gradient", [Reparameterized(draws=2000), StickingTheLanding(draws=2000), ScoreFunction(draws=2000)],
    ids=lambda gradient: type(gradient).__name__,
)  # fmt: skip
def test_estimates_are_unbiased(gradient, family):
    target, phi = LogisticRegression(rows=20), some(family, 1)
    leaf = phi.clone().requires_grad_()
    (exact,) = torch.autograd.grad(ReverseKL().value(target, family, leaf).sum(), leaf)
    rows = gradient.per_draw(target, family, phi, gradient.noise(11, 2))[0]
    error = rows.std(0) / math.sqrt(len(rows))
    assert ((rows.mean(0) - exact[0]).abs() < 5.0 * error + 1e-6).all()


@pytest.mark.parametrize("gradient", [Reparameterized(), ScoreFunction(draws=64)], ids=repr)
def test_estimates_come_near_and_tell_exact_numbers(gradient):
    vi = VI(
        target=CorrelatedGaussian(),
        family=FullRank(),
        gradient=gradient,
        optimizer=Adam(step_size=0.05),
        starts=2,
    )
    state, info = climbed(vi, 150)
    assert info.kl < 0.1 and info.lost == 0
    exact = decompose(CorrelatedGaussian(), FullRank(), state.phi[0])
    assert (info.elbo, info.kl) == (float(exact.elbo), float(exact.kl))


# ---- starts, refusals, batches ----


def test_starts_are_spread_evenly_over_the_plane_and_widths():
    vi = VI(target=Banana(), family=MeanField(), starts=256, mean=1.0, sd=0.5, spread=6.0)
    state, _ = vi.init(0)
    assert torch.equal(state.phi, vi.init(9)[0].phi)
    assert state.phi[0].tolist() == pytest.approx([1.0, 1.0, math.log(0.5), math.log(0.5)])
    shares = [(state.phi[1:, 0] - 1) / 6, (state.phi[1:, 1] - 1) / 6]
    shares.append((state.phi[1:, 2] - math.log(0.5)) / math.log(4.0))
    for share in shares:
        counts = np.histogram(share, bins=8, range=(-1, 1))[0]
        assert counts.min() >= 27 and counts.max() <= 37
    assert np.abs(np.corrcoef(np.stack(shares)) - np.eye(3)).max() < 0.06
    boxed = (
        VI(target=Banana(), family=MeanField(), starts=64, within=(-1.0, 1.0, 5.0, 9.0)).init(0)[0].phi[1:]
    )
    assert boxed[:, 0].abs().max() <= 1.0 and boxed[:, 1].min() >= 5.0 and boxed[:, 1].max() <= 9.0
    given = tuple(some(FullRank(), 1)[0].tolist())
    assert VI(target=Banana(), family=FullRank(), phi=given).init(0)[0].phi[0].tolist() == list(given)


def test_refusals_name_the_remedy():
    for target, family in ((Banana(), Gaussian()), (Skewed(), FullRank())):
        with pytest.raises(ValueError, match="has dimension . and .* a family of q with the posterior's"):
            VI(target=target, family=family).init(0)
    for wrong in ((0.0, 1.0), (0.0, 1.0, 3.0, 2.0), (0.0, 1.0, 2.0)):
        with pytest.raises(ValueError, match="give the least and the most .* in x, then in y"):
            VI(target=Banana(), family=FullRank(), within=wrong).init(0)
    with pytest.raises(ValueError, match="Forward KL is infinite"):
        VI(target=Cauchy2D(), family=FullRank(), objective=ForwardKL()).init(0)
    with pytest.raises(ValueError, match=r"phi has 2 numbers and Full Gaussian 5: give mean x, mean y"):
        VI(target=Banana(), family=FullRank(), phi=(0.0, 1.0)).init(0)


@pytest.mark.parametrize("optimizer", [Adam(), LBFGS(), NaturalGradient()], ids=repr)
def test_a_member_of_a_batch_runs_as_alone(optimizer):
    together, alone = (
        climbed(VI(target=Banana(), family=FullRank(), optimizer=optimizer, starts=n, mean=0.4), 5)[0]
        for n in (20, 1)
    )
    assert torch.allclose(together.phi[0], alone.phi[0], rtol=1e-11, atol=1e-11)


def test_members_that_stand_still_are_not_asked_again():
    asked = []

    def slope(phi):
        asked.append(len(phi))
        return phi.sum(-1), 2.0 * phi

    ask, phi = remembered(slope, rows=True), torch.arange(8, dtype=F64).view(4, 2)
    ask(phi)
    moved = phi.clone()
    moved[2] += 1.0
    value, gradient = ask(moved)
    assert asked == [4, 1] and torch.equal(value, moved.sum(-1)) and torch.equal(gradient, 2.0 * moved)


@pytest.mark.parametrize("target", [Funnel(), Cauchy2D(), Donut()], ids=lambda target: type(target).__name__)
def test_starts_stand_on_kinks_and_far_away_and_stay_finite(target):
    """The noise's node at 0 lies on the donut's and once lay on the Cauchy's own."""
    vi = VI(target=target, family=FullRank(), mean=1.0, starts=16, spread=50.0)
    state, info = climbed(vi, 3)
    assert info.status == "moving" and info.lost < 16
    assert all(bool(part.isfinite().all()) for part in (state.phi, state.value, state.gradient))


# ---- what a page is told ----


def test_a_trace_tells_where_every_start_stood():
    trace = run(Job(VI(target=Banana(), family=MixtureQ(parts=2), starts=3), steps=2))
    phis = torch.stack([snapshot.state.phi for snapshot in trace])
    shares, means = (
        torch.softmax(torch.nn.functional.pad(phis[..., :1], (0, 1)), -1),
        phis[..., 1:].unflatten(-1, (2, 5)),
    )
    centres = plane.centres(trace)
    assert centres == pytest.approx((shares[..., None] * means[..., :2]).sum(-2).numpy(), abs=1e-12)
    assert centres.shape == (3, 3, 2) and centres[0, 0] == pytest.approx([0.0, 0.0], abs=1e-12)
    for info in (snapshot.info for snapshot in trace):
        assert info.elbo + info.kl == pytest.approx(info.log_evidence, abs=1e-4)
    with pytest.raises(TypeError, match="no family in the plane"):
        plane.centres(run(Job(VI(), steps=1)))
