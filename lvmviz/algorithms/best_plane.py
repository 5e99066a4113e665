"""The best Gaussian q in the plane, and every other optimum: Newton's steps on a Gauss-Hermite ELBO."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import torch
from torch import Tensor

from lvmviz.algorithms.plane_newton import LogJoint, climbed, elbo_at, picked, rule_of
from lvmviz.families import Frame, FullRank, MeanField, PlaneGaussian
from lvmviz.targets import Target

HERMITE = (10, 16, 24)  # Gauss-Hermite nodes along a side; then the trapezoidal rule with these steps
TRAPEZOID = (1 / 2, 1 / 3, 1 / 4, 1 / 6)
RULES = (*HERMITE, *TRAPEZOID)
AGREE = 1e-8  # nats between two rules that agree
ARRIVED = 1e-6  # a gradient, in q's own units, that is a top's
SETTLED, ROUGHLY = 1e-11, 1e-7  # nats: a step that gains less is the last; in the first climb, of all starts
SAME = 1e-2  # how far apart one optimum's copies may be, in q's own units
R3 = (0.8191725133961645, 0.6710436067037893, 0.5497004779019703)
REACH, WIDEST = 5.0, 4.0  # of the starts: how far, and how many times wider or narrower


class Optimum(NamedTuple):
    """A top of the ELBO."""

    phi: Tensor  # (P,) of FullRank or MeanField
    elbo: float  # nats
    error: float  # nats between the last two orders
    gradient: float  # what is left of it, in q's own units
    starts: int  # how many ended here


def best_gaussian_plane(
    target: Target, full: bool = True, starts: int | Tensor = 16, near: Frame | None = None
) -> Optimum:
    """The Gaussian q of highest ELBO found, with correlation or without; see `gaussian_optima`."""
    return gaussian_optima(target, full, starts, near)[0]


def gaussian_optima(
    target: Target, full: bool = True, starts: int | Tensor = 64, near: Frame | None = None
) -> list[Optimum]:
    """The tops of a Gaussian q's ELBO that so many starts find, the highest first.

    The starts are phi (B, P), or spread evenly round `near`, N(0, I) unless told. ELBO = E_q[log p(x, z)] +
    H(q) by Gauss-Hermite in q's coordinates; the order rises until two agree to 1e-8, and what is left
    between the last two is told as `error`. By Stein's lemma the gradient of log p at the nodes gives the
    Hessian too (Price, 1958; Opper and Archambeau, 2009); its eigenvalues count by their size, so that every
    step climbs (Dauphin et al., 2014).
    """
    family = FullRank() if full else MeanField()
    frame = family.frame(starts) if isinstance(starts, Tensor) else _spread(starts, near)
    if not full:
        frame = family.frame(family.of_frame(frame))
    frame, hill = climbed(_heights(target), frame, rule_of(RULES[0], len(family.names)), ROUGHLY)
    kept = hill.sound()
    if not bool(kept.any()):
        raise ValueError(f"{target.name()} has no finite ELBO where q starts: move the starts onto its mass")
    return _refined(target, family, Frame(*picked(frame, kept)), hill.value[kept])


def _refined(target: Target, family: PlaneGaussian, frame: Frame, value: Tensor) -> list[Optimum]:
    """The tops above these, each by the first rule that agrees with the one before."""
    size, found = len(family.names), []
    frame, counts = _distinct(frame, value, torch.ones_like(value))
    for coarse, fine in itertools.pairwise(RULES):
        frame, hill = climbed(_heights(target), frame, rule_of(fine, size), SETTLED)
        error = (hill.value - elbo_at(_heights(target), frame, rule_of(coarse, size))).abs()
        slope = hill.gradient.norm(dim=-1)
        done = ((error <= AGREE) & (slope < ARRIVED)) | (fine == RULES[-1])
        whole = (*frame, hill.value, error, slope, counts)
        found.append(list(picked(whole, done)))
        if bool(done.all()):
            break
        frame, counts = _distinct(Frame(*picked(frame, ~done)), hill.value[~done], counts[~done])
    centre, factor, *told = map(torch.cat, zip(*found, strict=True))
    return _told(family, Frame(centre, factor), *told)


def _told(
    family: PlaneGaussian, frame: Frame, value: Tensor, error: Tensor, gradient: Tensor, counts: Tensor
) -> list[Optimum]:
    """Each top once, the highest first."""
    groups = _groups(frame, value)
    phi = family.of_frame(frame)
    return [
        Optimum(phi[i], float(value[i]), float(error[i]), float(gradient[i]), int(counts[groups == i].sum()))
        for i in value.argsort(descending=True).tolist()
        if groups[i] == i
    ]


def _distinct(frame: Frame, value: Tensor, counts: Tensor) -> tuple[Frame, Tensor]:
    """Each top once, and how many stood there."""
    groups = _groups(frame, value)
    leaders = groups.unique()
    counts = torch.stack([counts[groups == i].sum() for i in leaders])
    return Frame(*picked(frame, leaders)), counts


def _groups(frame: Frame, value: Tensor) -> Tensor:
    """(B,) the highest of the tops that stand where this one does, up to SAME."""
    groups = torch.full_like(value, -1, dtype=torch.int64)
    for i in value.argsort(descending=True):
        if groups[i] < 0:
            groups[(_apart(frame, int(i)) < SAME) & (groups < 0)] = i
    return groups


def _apart(frame: Frame, i: int) -> Tensor:
    """How far every Gaussian (B,) is from the i-th, in the i-th's own units."""
    away = torch.cat([(frame.centre - frame.centre[i])[..., None], frame.factor - frame.factor[i]], -1)
    return torch.linalg.solve_triangular(frame.factor[i], away, upper=False).abs().amax((-2, -1))


def _heights(target: Target) -> LogJoint:
    """One target for all q's."""
    return lambda z, rows: target.log_prob(z)


def _spread(count: int, near: Frame | None) -> Frame:
    """Frames (B,): `near` itself, then others evenly round it, wide and narrow (Roberts' R3, 2018)."""
    steps = torch.tensor(R3, dtype=torch.float64, device="cpu")
    share = 2.0 * torch.frac(0.5 + torch.arange(count, device="cpu")[:, None] * steps) - 1.0
    share[0] = 0.0  # itself, also to the last digit
    centre, factor = near or Frame(torch.zeros_like(steps[:2]), torch.eye(2).to(steps))
    sds = WIDEST ** share[:, 2]
    return Frame(centre + REACH * share[:, :2] @ factor.mT, factor * sds[:, None, None])
