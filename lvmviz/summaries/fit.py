"""A fit of q in one dimension as NumPy arrays: densities over z, paths of its starts, exact numbers."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lvmviz.algorithms.best_fit import best_fit
from lvmviz.algorithms.vi import VI, landscape
from lvmviz.core import Key
from lvmviz.divergences import Decomposition
from lvmviz.families import Family, Gaussian, Line, MixtureOf2, SinhArcsinh
from lvmviz.gradients import Estimator, Exact, elbo_terms
from lvmviz.nodes import quantiles
from lvmviz.objectives import IWAE, Objective, Renyi, ReverseKL
from lvmviz.quadrature import Integral, coverage, decompose, forward_kl, log_evidence, moments, renyi
from lvmviz.runs.job import Job, Trace
from lvmviz.targets import Target

GRID = 401
LOG_10 = math.log(10.0)
_FAR = 2.0  # times the middle 80 %: how far a heavy tail is followed


class Bell(NamedTuple):
    """A component of q: its curve (u, v) and where it is, x = loc + scale u and y = height v / scale."""

    u: np.ndarray  # (n,), or (T, n) when its shape changes too
    v: np.ndarray  # like u
    places: np.ndarray  # (T, 3) loc, scale, height


class Picture(NamedTuple):
    """What the main picture of a fit shows, for T states of q."""

    z: np.ndarray  # (G,)
    posterior: np.ndarray  # (G,) p(z | x)
    joint: np.ndarray  # (G,) p(x, z) times 10 to `power`, so large that it is seen beside the posterior
    power: int
    q: np.ndarray  # (T, G)
    integrand: np.ndarray  # (T, G) q log(q / p)
    bells: list[Bell]


class Place(NamedTuple):
    """Where a q stands, what sliders and the hand set: its centre and width where it has no mean and sd."""

    mean: float
    sd: float


def phi_at(family: Line, places: Sequence[Place], extra: Sequence[float] = ()) -> Tensor:
    """phi (P,) of a q at these places: one, or one for each component of a mixture.

    `extra` is a mixture's weight, or a flow's skew and log tail.
    """
    means, sds = (torch.tensor(part, dtype=torch.float64) for part in zip(*places, strict=True))
    if isinstance(family, MixtureOf2):
        logit = torch.logit(torch.tensor([extra[0]], dtype=torch.float64))
        return torch.cat([logit, means, sds.log()])
    phi = family.at(means[0], sds[0])
    return torch.cat([phi[:2], torch.tensor(list(extra), dtype=torch.float64)]) if extra else phi


def unit(family: Line) -> float:
    """The scale of the family's q whose standard deviation is called 1."""
    if isinstance(family, MixtureOf2):
        return 1.0
    one = torch.ones((), dtype=torch.float64)
    return float(family.at(torch.zeros_like(one), one)[1].exp())


@functools.lru_cache(maxsize=64)
def extent(target: Target) -> tuple[float, float]:
    """The stretch of z that a picture shows: nearly all of the posterior, and room on both sides."""
    shares = torch.tensor([0.002, 0.1, 0.9, 0.998], dtype=torch.float64)
    low, inner_low, inner_high, high = quantiles(target, shares).tolist()
    bulk = inner_high - inner_low
    low, high = max(low, inner_low - _FAR * bulk), min(high, inner_high + _FAR * bulk)
    room = 0.6 * max(high - low, 1e-6)
    return low - room, high + room


def picture(target: Target, family: Line, phis: Tensor) -> Picture:
    """Densities for every phi (T, P) over one grid: even, and finer where q or p is narrow."""
    low, high = extent(target)
    z = _grid(target, low, high)
    points = torch.from_numpy(z)[:, None]
    joint, evidence = target.log_prob(points).numpy(), float(log_evidence(target))
    log_p, power = joint - evidence, math.floor(-evidence / LOG_10 - 0.22)  # its area is .06 to .6
    log_q = family.log_prob(phis, points.expand(len(phis), -1, -1)).numpy()
    q = np.exp(log_q)
    with np.errstate(invalid="ignore", over="ignore"):
        integrand = np.where(q > 0, q * (log_q - log_p), 0.0)
        seen = np.exp(log_p + (evidence + power * LOG_10))
    return Picture(z, np.exp(log_p), seen, power, q, integrand, bells(family, phis))


def _grid(target: Target, low: float, high: float) -> np.ndarray:
    shares = torch.linspace(0.001, 0.999, GRID // 2, dtype=torch.float64)
    own = quantiles(target, shares).numpy()
    even = np.linspace(low, high, GRID)
    return np.unique(np.concatenate([even, own[(own > low) & (own < high)]]))


def bells(family: Line, phis: Tensor) -> list[Bell]:
    """The curves that the hand moves: q itself, or the two components of a mixture."""
    if isinstance(family, MixtureOf2):
        weight = torch.sigmoid(phis[:, 0])
        parts = zip((weight, 1 - weight), (1, 2), (3, 4), strict=True)
        return [_bell(Gaussian(), torch.stack([phis[:, i], phis[:, j]], 1), w.numpy()) for w, i, j in parts]
    return [_bell(family, phis, np.ones(len(phis)))]


_TAIL = torch.logspace(-9, -2, 43, dtype=torch.float64)[:-1]
_SHARES = torch.cat([_TAIL, torch.linspace(0.01, 0.99, 161, dtype=torch.float64), 1 - _TAIL.flip(0)])


def _bell(family: Line, phis: Tensor, height: np.ndarray) -> Bell:
    """The standard curve of each state, with tails that leave any picture."""
    standard = phis.clone()
    standard[:, :2] = 0.0
    if bool((standard == standard[:1]).all()):
        standard = standard[:1]  # only its place changes
    u = family.quantile(standard, _SHARES.expand(len(standard), -1))
    wide = (u[:, -1:] - u[:, :1]) * u.new_tensor([[100.0, 10.0, 1.0]])  # tails that leave any picture
    u = torch.cat([u[:, :1] - wide, u, u[:, -1:] + wide.flip(1)], 1)
    v = family.log_prob(standard, u[..., None]).exp()
    places = np.stack([phis[:, 0].numpy(), phis[:, 1].exp().numpy(), height], 1)
    same = len(standard) == 1
    return Bell(u[0].numpy() if same else u.numpy(), v[0].numpy() if same else v.numpy(), places)


class Numbers(NamedTuple):
    """The exact numbers of one q."""

    terms: Decomposition
    forward: Integral  # KL(p || q)
    coverage: Integral  # the posterior's mass in q's central 90 % interval


def numbers(target: Target, family: Line, phi: Tensor) -> Numbers:
    """Evidence, ELBO, both KLs and coverage, each by its own quadrature."""
    return Numbers(
        decompose(target, family, phi), forward_kl(target, family, phi), coverage(target, family, phi)
    )


@functools.lru_cache(maxsize=64)
def best(target: Target, family: Line) -> tuple[Place | None, float]:
    """The best q of the family and its KL(q || p): None and inf where every q's is infinite."""
    try:
        phi = best_fit(target, family)
    except ValueError:
        return None, math.inf
    return Place(*places(family, phi).tolist()), float(decompose(target, family, phi).kl)


@functools.lru_cache(maxsize=32)
def hills(target: Target, family: Line) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means (M,), sds (S,) and the ELBO (S, M) over them."""
    (low, high), (place, _) = extent(target), best(target, family)
    narrow = 0.02 * (high - low) if place is None else min(0.02 * (high - low), 0.5 * place.sd)
    means = torch.linspace(low, high, 61, dtype=torch.float64)
    sds = torch.logspace(math.log10(narrow), math.log10(0.6 * (high - low)), 41, dtype=torch.float64)
    return means.numpy(), sds.numpy(), landscape(target, family, means, sds).numpy()


def is_endless(target: Target, family: Line) -> bool:
    """Whether KL(q || p) is infinite for every q of the family."""
    return best(target, family)[0] is None or not bool(np.isfinite(hills(target, family)[2]).any())


class Estimate(NamedTuple):
    """A number, and what draws of q say of it."""

    name: str
    exact: float
    mean: float  # of the draws
    error: float  # its standard error; nan for a single draw

    @property
    def is_far(self) -> bool:
        """Whether it is further than three standard errors from exact."""
        return abs(self.mean - self.exact) > 3.0 * self.error + 1e-9 * (1.0 + abs(self.exact))


def estimates(target: Target, family: Line, phi: Tensor, estimator: Estimator, key: Key) -> list[Estimate]:
    """The ELBO and each part of its gradient as the estimator's S draws see them, beside the exact ones."""
    noise = estimator.noise(key, family.dim)
    with torch.no_grad():
        elbo = elbo_terms(target, family)(phi, family.sample(phi, noise))
    rows = torch.cat([elbo[:, None], estimator.per_draw(target, family, phi, noise)], 1)
    exact = torch.cat(
        [ReverseKL().value(target, family, phi[None]), Exact().per_draw(target, family, phi, noise)[0]]
    )
    errors = rows.std(0) / math.sqrt(len(rows)) if len(rows) > 1 else torch.full_like(exact, math.nan)
    names = ("ELBO", *(f"ELBO's slope in {name}" for name in family.names))
    parts = (exact.tolist(), rows.mean(0).tolist(), errors.tolist())
    return [Estimate(*part) for part in zip(names, *parts, strict=True)]


def forward(target: Target, family: Line, mean: float, sd: float) -> float:
    """KL(p || q) of a q at this place, nats."""
    return float(forward_kl(target, family, phi_at(family, [Place(mean, sd)])))


def objective_at(target: Target, family: Line, phi: Tensor, objective: Objective) -> Integral:
    """What is climbed, at this q, by quadrature, nats, and how far it may be off."""
    if isinstance(objective, Renyi):
        return renyi(target, family, phi, objective.alpha).bound
    if isinstance(objective, IWAE):
        return _iwae(target, family, tuple(phi.tolist()), objective)
    return Integral(float(objective.value(target, family, phi[None])[0]))


@functools.lru_cache(maxsize=256)
def _iwae(target: Target, family: Line, phi: tuple[float, ...], objective: IWAE) -> Integral:
    return objective.careful(target, family, torch.tensor(phi, dtype=torch.float64))


# ---- traces of VI ----


def vi(job: Job) -> VI:
    """The VI that a job runs."""
    if not isinstance(job.algorithm, VI):
        raise TypeError(f"{type(job.algorithm).__name__} fits no q: give a job of VI")
    return job.algorithm


def phis(trace: Trace) -> Tensor:
    """phi (T, P) of start 0 at every snapshot."""
    return torch.stack([snapshot.state.phi[0] for snapshot in trace])


def paths(trace: Trace) -> np.ndarray:
    """(B, T, 2) where every start stood at every snapshot."""
    return places(vi(trace.job).family, torch.stack([snapshot.state.phi for snapshot in trace], 1))


def place_names(family: Family) -> tuple[str, str]:
    """What a place of this q is: a heavy-tailed Student has no moments, a flow's are not what is set."""
    one = torch.ones((), dtype=torch.float64)
    found = None if isinstance(family, SinhArcsinh) else family.mean_sd(family.at(torch.zeros_like(one), one))
    exist = found is not None and all(bool(part.isfinite()) for part in found)
    return ("mean", "sd") if exist else ("centre", "width")


def places(family: Family, phi: Tensor) -> np.ndarray:
    """(..., 2) mean and standard deviation, or location and scale where q is set by these."""
    found = family.mean_sd(phi) if place_names(family) == ("mean", "sd") else None
    if found is None or not all(bool(part.isfinite().all()) for part in found):
        found = phi[..., 0], phi[..., 1].exp()
    return torch.stack(found, -1).numpy()


def posterior_moments(target: Target) -> tuple[float, float]:
    """Mean and standard deviation of the posterior; nan where it has none."""
    mean, variance = moments(target)
    return float(mean), math.sqrt(variance) if variance >= 0 else math.nan


# ---- single numbers ----


def evidence(target: Target) -> float:
    """log p(x), nats."""
    return float(log_evidence(target))


def density(family: Line, phi: Tensor, z: np.ndarray) -> np.ndarray:
    """q (G,) over z (G,)."""
    return family.log_prob(phi, torch.from_numpy(z)[:, None]).exp().numpy()


def column(trace: Trace, name: str) -> np.ndarray:
    """One number of every snapshot (T,)."""
    return trace.column(name).astype(np.float64)


def terms(target: Target, family: Line, phi: Tensor) -> Decomposition:
    """Evidence and ELBO of one q, each term by its own quadrature, nats."""
    return decompose(target, family, phi)


def decompositions(trace: Trace) -> list[Decomposition]:
    """The evidence and its terms at every snapshot, nats."""
    return [snapshot.info.evidence for snapshot in trace]
