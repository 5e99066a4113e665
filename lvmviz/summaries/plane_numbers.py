"""The numbers of a q in the plane: exact ones, what draws of q would have said, the change of variables."""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lvmviz.algorithms.best_plane import best_gaussian_plane
from lvmviz.core import generator
from lvmviz.divergences import Decomposition
from lvmviz.evidence.pareto import running_khat
from lvmviz.families import Frame, FullRank, MixtureQ, Plane, PlaneGaussian, Stack
from lvmviz.families.plane import cholesky, standard
from lvmviz.nodes import noise_rule
from lvmviz.quadrature import Integral, coverage, decompose, forward_kl, moments
from lvmviz.quadrature.plane.mass import joint
from lvmviz.summaries.plane import Place, standing
from lvmviz.targets import Target

COUNTS = (50, 100, 200, 500, 1000, 2000, 4000)  # draws that k-hat is told for
SEEDS = 4  # more sets of draws beside the one that is told
THIN = 2000  # cells of a posterior on which a flow's forward KL would take seconds
POINT = (1.0, -0.5)  # the noise whose way through the layers is followed


class Numbers(NamedTuple):
    """The exact numbers of one q beside its terms."""

    forward: Integral | None  # KL(p || q), nats; None where it would take seconds
    coverage: Integral | None  # the posterior's mass in q's region of 90 %, likewise


def terms(target: Target, family: Plane, phi: Tensor) -> Decomposition:
    """Evidence, ELBO and KL(q || p), each by its own quadrature, nats."""
    return _terms(target, family, tuple(phi.tolist()))


@functools.lru_cache(maxsize=256)
def _terms(target: Target, family: Plane, phi: tuple[float, ...]) -> Decomposition:
    return decompose(target, family, phi)


def numbers(target: Target, family: Plane, phi: Tensor, quick: bool = False) -> Numbers:
    """Forward KL and coverage; `quick` leaves out what a hand cannot wait for."""
    return _numbers(target, family, tuple(phi.tolist()), quick)


@functools.lru_cache(maxsize=256)
def _numbers(target: Target, family: Plane, phi: tuple[float, ...], quick: bool) -> Numbers:
    thin = len(joint(target).cells.low) > THIN
    slow = (isinstance(family, Stack) and (quick or thin)) or (quick and thin)
    rings = not (quick and (thin or isinstance(family, MixtureQ)))
    return Numbers(
        None if slow else forward_kl(target, family, phi), coverage(target, family, phi) if rings else None
    )


def rules(target: Target) -> tuple[float, float]:
    """log p(x) by cells and by rows, nats: two rules that share nothing."""
    return joint(target).rules


# ---- the best Gaussians ----


class Best(NamedTuple):
    """The Gaussian of a family that is best in one direction of the KL."""

    family: PlaneGaussian
    phi: Tensor  # (P,)
    place: Place
    terms: Decomposition
    forward: float  # KL(p || q), nats


@functools.lru_cache(maxsize=64)
def best(target: Target, family: PlaneGaussian, forward: bool = False) -> Best | None:
    """The best by KL(q || p), or by KL(p || q): that one has the posterior's moments. None where none is."""
    if forward:
        phi = _matched(target, family)
        if phi is None:
            return None
    else:
        phi = best_gaussian_plane(target, isinstance(family, FullRank), near=_frame(target)).phi
    place = Place(*standing(family, phi)[0].tolist())
    return Best(family, phi, place, decompose(target, family, phi), float(forward_kl(target, family, phi)))


def _frame(target: Target) -> Frame:
    """The posterior's own, for the starts."""
    frame = joint(target).frame
    return Frame(torch.from_numpy(frame.centre), cholesky(torch.from_numpy(frame.factor @ frame.factor.T)))


def _matched(target: Target, family: PlaneGaussian) -> Tensor | None:
    mean, covariance, _ = moments(target)
    if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
        return None
    return family.of_frame(Frame(torch.from_numpy(mean), cholesky(torch.from_numpy(covariance))))


# ---- draws of q ----


class Draws(NamedTuple):
    """What draws of q say: nats; the importance weights are p(x, z) / q(z)."""

    count: int
    seed: int
    elbo: tuple[float, float]  # the mean of the log weights, and its standard error
    log_evidence: tuple[float, float]  # the log of their mean, and its standard error
    khat: np.ndarray  # (1 + SEEDS, len(COUNTS)) of this seed and of the next


@functools.lru_cache(maxsize=4)
def _noise(seed: int) -> Tensor:
    """(1 + SEEDS, S, 3): two standard normal numbers, and one between 0 and 1 that picks a mixture's part."""
    rows = []
    for k in range(1 + SEEDS):
        source = generator(seed + k)
        normal = torch.randn(COUNTS[-1], 2, generator=source, dtype=torch.float64, device="cpu")
        even = torch.rand(COUNTS[-1], 1, generator=source, dtype=torch.float64, device="cpu")
        rows.append(torch.cat([normal, even], 1))
    return torch.stack(rows)


def _drawn(family: Plane, phi: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """z (S, 2) and log q (S,) of noise (S, 3)."""
    if not isinstance(family, MixtureQ):
        return family.draw(phi, noise[:, :2])
    log_weights, each = family.frames(phi)
    part = torch.searchsorted(log_weights.exp().cumsum(0), noise[:, 2].contiguous()).clamp(
        max=family.parts - 1
    )
    z = each.centre[part] + (each.factor[part] @ noise[:, :2, None])[..., 0]
    return z, family.log_prob(phi, z)


def draws(target: Target, family: Plane, phi: Tensor, seed: int, quick: bool = False) -> Draws:
    """ELBO and evidence by the most draws, and k-hat over their number; `quick` takes one seed."""
    return _draws(target, family, tuple(phi.tolist()), seed, quick)


@functools.lru_cache(maxsize=64)
def _draws(target: Target, family: Plane, numbers: tuple[float, ...], seed: int, quick: bool) -> Draws:
    phi = torch.tensor(numbers, dtype=torch.float64)
    noise = _noise(seed)[:1] if quick else _noise(seed)
    with torch.no_grad():
        z, log_q = _drawn(family, phi, noise.flatten(0, 1))
        log_weights = (target.log_prob(z) - log_q).nan_to_num(nan=-torch.inf).view(len(noise), -1)
        khat = running_khat(log_weights, torch.tensor(COUNTS))
    first = log_weights[0]
    count, top = len(first), float(first.max())
    weights = (first - top).exp()
    mean = float(weights.mean())
    evidence = top + math.log(mean), float(weights.std()) / (mean * math.sqrt(count))
    elbo = float(first.mean()), float(first.std()) / math.sqrt(count)
    return Draws(count, seed, elbo, evidence, khat.numpy())


# ---- the change of variables ----


class Change(NamedTuple):
    """One point of noise on its way to z, and what the map does on average, nats."""

    noise: tuple[float, float]
    z: tuple[float, float]
    log_noise: float  # log N(noise | 0, I)
    log_dets: tuple[float, ...]  # log |det J| of every layer there, the first nearest to the noise
    log_q: float  # at z, by the way back
    mean_log_det: float  # E over the noise of their sum
    error: float  # how far a rule with fewer nodes is from that


def change(family: Plane, phi: Tensor) -> Change:
    """The density at one point by both ways, and the mean of log |det J|."""
    e = torch.tensor([POINT], dtype=torch.float64)
    with torch.no_grad():
        z = family.sample(phi, e)
        mean, coarse = (_mean_log_det(family, phi, rough) for rough in (False, True))
        log_q = float(family.log_prob(phi, z)[0])
        log_dets = _log_dets(family, phi, e)
    return Change(
        POINT, tuple(z[0].tolist()), float(standard(e)[0]), log_dets, log_q, mean, abs(mean - coarse)
    )


def _mean_log_det(family: Plane, phi: Tensor, coarse: bool) -> float:
    nodes, log_weights = noise_rule(2, coarse)
    return float(log_weights.exp() @ (standard(nodes) - family.draw(phi, nodes)[1]))


def _log_dets(family: Plane, phi: Tensor, e: Tensor) -> tuple[float, ...]:
    """Of every layer at one place (1, 2) of the noise; the last is the shift and stretch into place."""
    if isinstance(family, Stack):
        along = [float(family.warp(phi, e, upto)[1][0]) for upto in range(family.layers + 1)]
        place = float(phi[2:4].sum())
        return (*np.diff(along).tolist(), place)
    return (float((standard(e) - family.draw(phi, e)[1])[0]),)


# ---- the warped grid ----

REACH, LINES, SIDE = 3.0, 13, 48  # of the noise's grid, sds; its lines; its cells along a side


class Warp(NamedTuple):
    """The noise's grid after some layers."""

    lines: np.ndarray  # (2 LINES, n, 2)
    corners: np.ndarray  # (SIDE + 1, SIDE + 1, 2)
    log_det: np.ndarray  # (SIDE, SIDE) nats, of every cell


def warp(family: Plane, phi: Tensor, upto: int) -> Warp:
    """Straight lines and square cells of the noise, carried by the first `upto` layers and put in place."""
    mesh = torch.linspace(-REACH, REACH, SIDE + 1, dtype=torch.float64)
    straight = torch.linspace(-REACH, REACH, LINES, dtype=torch.float64)
    upright = torch.stack(torch.meshgrid(straight, mesh, indexing="ij"), -1)
    lines, _ = _warped(family, phi, torch.cat([upright, upright.flip(-1)]).flatten(0, 1), upto)
    corners, log_det = _warped(family, phi, torch.cartesian_prod(mesh, mesh), upto)
    at = log_det.view(SIDE + 1, SIDE + 1)
    cells = 0.25 * (at[1:, 1:] + at[1:, :-1] + at[:-1, 1:] + at[:-1, :-1])
    shape = SIDE + 1, SIDE + 1, 2
    return Warp(lines.view(2 * LINES, -1, 2).numpy(), corners.view(shape).numpy(), cells.numpy())


def _warped(family: Plane, phi: Tensor, e: Tensor, upto: int) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        if isinstance(family, Stack):
            return family.warp(phi, e, upto)
        if not upto:
            return e, torch.zeros_like(e[:, 0])
        z, log_q = family.draw(phi, e)
        return z, standard(e) - log_q


def layer_count(family: Plane) -> int:
    """How many maps lead from the noise to q, besides a flow's shift and stretch."""
    return family.layers if isinstance(family, Stack) else 1
