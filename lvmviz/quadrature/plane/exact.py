"""Exact evidence, ELBO and divergences in the plane, each its own integral with its own error, in nats.

A target's mass is looked for once and kept, with the nodes that found it; when only q moves, only q's
integrals are computed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lvmviz.divergences import Decomposition
from lvmviz.families import Family, Plane
from lvmviz.quadrature.exact import Integral
from lvmviz.quadrature.plane.cells import UNSEEN, Cells, refined, unseen
from lvmviz.quadrature.plane.gap import REACH, forwards, parts, weighed
from lvmviz.quadrature.plane.mass import as_numpy, axes, joint
from lvmviz.quadrature.plane.nested import marginal as along_rows
from lvmviz.quadrature.plane.over_q import expectations
from lvmviz.quadrature.plane.region import covered
from lvmviz.targets import Target

MEAN, VARIANCE = -2.0, -3.0  # slopes of a marginal's tail from which on there is none
STILL = 1e-3  # nats per e-fold: less is no fall
NEAR = 100.0  # of the frame's scales
CELLS_END = 60.0  # e-folds that the cells reach at least
Phi = Tensor | Sequence[float]


class PlaneMoments(NamedTuple):
    """The posterior's means (2,) and covariance (2, 2): inf where infinite, nan where undefined."""

    mean: np.ndarray
    covariance: np.ndarray
    error: float  # of the worst of them


def log_evidence(target: Target) -> Integral:
    """log p(x) = log of the integral of p(x, z) over z, nats; its error is how far two rules are apart.

    NotIntegrable, with cause and remedy, when there is no such number.
    """
    return joint(target).log_total


def decompose(target: Target, family: Family, phi: Phi) -> Decomposition:
    """The evidence and every term of the ELBO's presentations, nats; `error` bounds how far sums are off.

    What q averages is averaged in q's own noise. KL(q || p) is the integral of q log(q/p) - q + p over the
    plane: the first over q again, by a rule that shares no node with the ELBO's, and p's mass on p's cells,
    so that a wrong log p(x) shows. Infinite terms are inf or -inf.
    """
    p, (q, numbers) = joint(target), checked(family, phi)

    def terms(z: Tensor, log_q: Tensor) -> Tensor:
        joint_, prior, _ = map(possible, target.log_terms(z))
        return torch.stack([joint_ - log_q, -log_q, log_q - prior])

    found, again = expectations(q, numbers, terms)
    elbo, entropy, kl_prior = map(Integral, found.value.tolist(), found.error.tolist())
    gap = Integral(again.value[0], again.error[0])
    if _reaches(q, numbers, _holes(target)):
        elbo = gap = Integral(-math.inf)
    kl = max(0.0, p.log_total - gap + math.expm1(p.rules[0] - p.log_total))
    likelihood = Integral(elbo + kl_prior, elbo.error + kl_prior.error)  # the same nodes': its own integral
    joint_ = Integral(elbo - entropy, elbo.error + entropy.error)
    told = (
        p.log_total,
        elbo,
        Integral(kl, gap.error + p.log_total.error),
        joint_,
        entropy,
        likelihood,
        kl_prior,
    )
    return Decomposition(*told, error=_error(told))


@lru_cache(maxsize=64)
def _holes(target: Target) -> np.ndarray:
    """Nodes (n, 2) not far from p's mass at which p is nothing."""
    p = joint(target)
    z = p.cells.z[np.isneginf(p.cells.log_p)]
    near = np.abs((z - p.frame.centre) @ np.linalg.inv(p.frame.factor).T).max(-1, initial=0.0) < NEAR
    return z[near]


def _reaches(family: Plane, phi: Tensor, z: np.ndarray) -> bool:
    """Whether q is a number above 0 at any of these places (n, 2)."""
    if not len(z):
        return False
    centre, sds = parts(family, phi)
    return bool((np.abs(z[:, None] - centre) < REACH * sds).all(-1).any())


def possible(log_density: Tensor) -> Tensor:
    """Undefined is impossible."""
    return torch.where(log_density.isnan(), -torch.inf, log_density)


def _error(told: Sequence[Integral]) -> float:
    """How far a sum of them may be off: by their own errors, and by what was seen of it."""
    evidence, elbo, kl, joint_, entropy, likelihood, kl_prior = told
    sums = ((evidence, elbo, kl), (elbo, joint_, entropy), (elbo, likelihood, kl_prior))
    defect = abs(evidence - elbo - kl)
    return max(sum(term.error for term in terms) for terms in sums) + (
        defect if math.isfinite(defect) else 0.0
    )


def checked(family: Family, phi: Phi) -> tuple[Plane, Tensor]:
    """The family and its numbers (P,), or a ValueError with the remedy."""
    if not isinstance(family, Plane):
        raise ValueError(f"{family.name()} is a family of {family.dim} dimension: choose one in the plane")
    numbers = torch.as_tensor(phi, dtype=torch.float64).detach()
    if numbers.shape != (len(family.names),) or not bool(numbers.isfinite().all()):
        names = ", ".join(family.names)
        raise ValueError(f"phi is {numbers.tolist()}: give {family.name()}'s numbers, all finite: {names}")
    return family, numbers


def forward_kl(target: Target, family: Family, phi: Phi) -> Integral:
    """KL(p(z | x) || q), nats: inf where p's variances are: all families here have a Gaussian's tails."""
    p, (q, numbers) = joint(target), checked(family, phi)
    decay = VARIANCE - p.slopes.max()  # of what lies beyond, per e-fold
    if decay <= STILL:
        return Integral(math.inf)
    value, error = forwards(p, as_numpy(target.log_prob), q, numbers)
    return Integral(
        value[0], error[0] + p.log_total.error + abs(value[0]) * math.exp(-CELLS_END * min(decay, 10.0))
    )


def moments(target: Target) -> PlaneMoments:
    """The posterior's means and covariance; a Cauchy density has neither."""
    p = joint(target)
    has_mean, has_variance = (bool(k - p.slopes.max() > STILL) for k in (MEAN, VARIANCE))
    centre, factor = p.frame.centre, p.frame.factor

    def integrand(cells: Cells) -> np.ndarray:
        e = (cells.z - centre) @ np.linalg.inv(factor).T
        one, two = e[..., 0], e[..., 1]
        rows = [np.ones_like(one), *((one, two) if has_mean else ())]
        rows += [one * one, one * two, two * two] if has_variance else []
        return np.stack([weighed(cells.log_p - p.log_total, row, cells) for row in rows])

    def ridge(cells: Cells, whole: float) -> np.ndarray:
        e = (cells.z - centre) @ np.linalg.inv(factor).T
        return unseen(cells, cells.log_p - p.log_total + np.log1p(e**2).sum(-1), math.log(UNSEEN * whole))

    with np.errstate(all="ignore"):
        sums = refined(p.frame, as_numpy(target.log_prob), p.cells, integrand, hidden=ridge, keep=False)
    value = sums.value / sums.value[0]
    mean, covariance = np.full(2, np.nan), np.full((2, 2), np.inf if has_mean else np.nan)
    if has_mean:
        mean = centre + factor @ value[1:3]
    if has_variance:
        second = np.array([[value[3], value[4]], [value[4], value[5]]]) - np.outer(value[1:3], value[1:3])
        covariance = factor @ second @ factor.T
    error = sums.error.max() + p.log_total.error * np.abs(value).max()
    return PlaneMoments(mean, covariance, float(error * max(1.0, np.abs(factor).max() ** 2)))


def coverage(target: Target, family: Family, phi: Phi, level: float = 0.9) -> Integral:
    """The posterior's mass within q's region of the given level, q's highest: level itself when q = p."""
    p, (q, numbers), log_p = joint(target), checked(family, phi), as_numpy(target.log_prob)
    if not 0.0 < level < 1.0:
        raise ValueError(f"level is {level:g}: give a share between 0 and 1")
    held = covered(p, log_p, q, numbers, level)
    return Integral(held, held.error + p.log_total.error)


def marginal(target: Target, axis: int, places: np.ndarray) -> np.ndarray:
    """log of the posterior's marginal density (n,), nats, at places (n,) of an axis."""
    p, log_p = joint(target), as_numpy(target.log_prob)
    with np.errstate(all="ignore"):
        return along_rows(log_p, np.asarray(places, float), axes(p.frame)[1 - axis]) - p.log_total
