"""A fit of q in the plane as NumPy arrays: the posterior's regions, q's outlines, and both marginals."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d
from scipy.special import ndtri
from torch import Tensor

from lvmviz.families import Ellipse, Frame, FullRank, MeanField, MixtureQ, Plane, Stack, ellipse, frame_of
from lvmviz.quadrature import log_evidence, marginal
from lvmviz.quadrature.plane.cells import BOTH
from lvmviz.quadrature.plane.mass import as_numpy, joint
from lvmviz.runs.job import Trace
from lvmviz.summaries.fit import vi
from lvmviz.targets import Target

SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)  # of the posterior's mass within the regions that are filled
REGIONS = (0.5, 0.9)  # of q's within its outlines
GRID, FINE, MANY = 180, 540, 1000  # nodes along a side; more of them where so many cells say that it is thin
TURNS = 72  # points of an outline
MARGIN_POINTS = 161  # of a marginal
OWN = np.linspace(-5.0, 5.0, 51)  # and of a part of q's own, sds
FAR, ROOM = 1.0, 0.13  # times the middle 80 %: how far a tail is followed; of the width: room on both sides
EVEN = 3.0  # a picture that is longer than this in one direction has a scale of its own for each axis
WIDEST, TALLEST = 2.6, 1.1  # of a picture whose axes have one scale: its width by its height, and back


class Place(NamedTuple):
    """Where a Gaussian of q stands: its ellipse of one standard deviation, and its share of q."""

    x: float
    y: float
    first: float  # half-axes
    second: float
    angle: float = 0.0  # degrees from x to the first
    share: float = 1.0


class Box(NamedTuple):
    """What a picture shows of the plane."""

    left: float
    right: float
    bottom: float
    top: float

    @property
    def even(self) -> bool:
        """Whether both axes can have one scale."""
        wide, tall = self.right - self.left, self.top - self.bottom
        return max(wide, tall) < EVEN * min(wide, tall)


Margin = tuple[np.ndarray, np.ndarray]  # places (n,), density (n,)


class Posterior(NamedTuple):
    """The posterior on a grid, and its marginals."""

    x: np.ndarray  # (W,)
    y: np.ndarray  # (H,)
    log_density: np.ndarray  # (H, W) nats
    levels: np.ndarray  # (L,) nats: above them lie SHARES of the mass
    marginals: tuple[Margin, Margin]  # along x and along y


# ---- where q stands ----


def phi_at(family: Plane, places: Sequence[Place], layers: Sequence[float] = ()) -> Tensor:
    """phi (P,) of a q at these places, one for each part of a mixture; `layers` are a flow's others."""
    x, y, first, second, angle, share = torch.tensor(places, dtype=torch.float64).unbind(-1)
    centre, axes = torch.stack([x, y], -1), torch.stack([first, second], -1)
    if isinstance(family, Stack):
        phi = family.at(centre[0], axes[0])
        return torch.cat([phi[:4], torch.tensor(layers, dtype=torch.float64)]) if len(layers) else phi
    if isinstance(family, MeanField):
        return family.of_frame(Frame(centre[0], torch.diag(axes[0])))
    numbers = FullRank().of_frame(frame_of(Ellipse(centre, axes, torch.deg2rad(angle))))
    if isinstance(family, MixtureQ):
        return family.joined(torch.log(share[:-1] / share[-1]), numbers)
    return numbers[0]


def standing(family: Plane, phi: Tensor | Sequence[float]) -> np.ndarray:
    """(..., M, 5) every part's ellipse as (x, y, first, second, degrees); a flow's shift and stretch."""
    phi = torch.as_tensor(phi, dtype=torch.float64)
    if isinstance(family, (MeanField, Stack)):
        found = Ellipse(phi[..., None, :2], phi[..., None, 2:4].exp(), torch.zeros_like(phi[..., :1]))
    else:
        found = ellipse(family.frames(phi).each)
    angle = torch.rad2deg(found.angle)[..., None]
    return torch.cat([found.centre, found.axes, angle], -1).numpy()


def shares(family: Plane, phi: Tensor) -> np.ndarray:
    """(..., M) of every part."""
    if isinstance(family, MixtureQ):
        return family.frames(phi).log_weights.exp().numpy()
    return np.ones((*phi.shape[:-1], 1))


def centres(trace: Trace, most: int = 6000) -> np.ndarray:
    """(T, B, 2) the middle of every start's q, at all snapshots, or at some where there are many."""
    family, stride = vi(trace.job).family, max(1, len(trace) * vi(trace.job).starts // most)
    if not isinstance(family, Plane):
        raise TypeError(f"{family.name()} is no family in the plane")
    kept = sorted({*range(0, len(trace), stride), len(trace) - 1})
    phis = torch.stack([trace[step].state.phi for step in kept])
    return family.frame(phis).centre.numpy()


# ---- the posterior ----


@functools.lru_cache(maxsize=16)
def _nodes(target: Target) -> tuple[np.ndarray, np.ndarray]:
    """Places (N, 2) and the posterior's mass (N,) round each, from its cells."""
    mass = joint(target)
    cells = mass.cells
    with np.errstate(over="ignore"):
        share = (np.exp(cells.log_p + cells.log_slope - float(mass.log_total)) * BOTH).ravel()
    return cells.z.reshape(-1, 2), share / share.sum()


@functools.lru_cache(maxsize=64)
def extent(target: Target) -> Box:
    """The part of the plane that a picture shows: nearly all of the posterior, and room round it."""
    z, mass = _nodes(target)
    ends: list[float] = []
    for axis in (0, 1):
        order = np.argsort(z[:, axis])
        line, share = z[order, axis], np.cumsum(mass[order])
        low, inner_low, inner_high, high = line[np.searchsorted(share, (0.01, 0.1, 0.9, 0.99))]
        bulk = inner_high - inner_low
        low, high = max(low, inner_low - FAR * bulk), min(high, inner_high + FAR * bulk)
        room = ROOM * max(high - low, 1e-6)
        ends += [float(low - room), float(high + room)]
    return Box(*ends)


@functools.lru_cache(maxsize=64)
def seen(target: Target) -> Box:
    """The same and what more of the plane comes into view where both axes have one scale."""
    box = extent(target)
    if not box.even:
        return box
    wide, tall = box.right - box.left, box.top - box.bottom
    across, up = 0.5 * max(0.0, WIDEST * tall - wide), 0.5 * max(0.0, TALLEST * wide - tall)
    return Box(box.left - across, box.right + across, box.bottom - up, box.top + up)


@functools.lru_cache(maxsize=16)
def posterior(target: Target) -> Posterior:
    """p(z | x) on a grid, its regions of highest density, its marginals by quadrature."""
    box = extent(target)
    count = FINE if len(joint(target).cells.low) > MANY else GRID
    x, y = np.linspace(box.left, box.right, count), np.linspace(box.bottom, box.top, count)
    z = np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)
    heights = as_numpy(target.log_prob)(z).reshape(count, count) - float(log_evidence(target))
    whole = seen(target)
    sides = _margin(target, 0, whole.left, whole.right), _margin(target, 1, whole.bottom, whole.top)
    cell = (x[1] - x[0]) * (y[1] - y[0])
    return Posterior(x, y, heights, _levels(heights + math.log(cell)) - math.log(cell), sides)


def _levels(log_mass: np.ndarray) -> np.ndarray:
    """The log masses (L,) of those of a grid's cells that lie on the edge of the regions of SHARES."""
    falling = np.sort(log_mass[np.isfinite(log_mass)])[::-1]
    held = np.cumsum(np.exp(falling))
    return np.interp(SHARES, held, falling)


def _margin(target: Target, axis: int, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    """Places (n,), closer where the mass is, and the marginal density (n,) there."""
    z, mass = _nodes(target)
    order = np.argsort(z[:, axis])
    own = z[order, axis][np.searchsorted(np.cumsum(mass[order]), np.linspace(0.005, 0.995, 60)) - 1]
    places = np.unique(np.concatenate([np.linspace(low, high, MARGIN_POINTS), own]))
    return places, np.exp(marginal(target, axis, places))


# ---- q ----


def radius(share: float) -> float:
    """Of the noise's disc that holds so much of it."""
    return math.sqrt(-2.0 * math.log1p(-share))


def circle(share: float) -> np.ndarray:
    """The edge (TURNS + 1, 2) of that disc."""
    turn = np.linspace(0.0, 2.0 * math.pi, TURNS + 1)
    return radius(share) * np.stack([np.cos(turn), np.sin(turn)], -1)


def bends(family: Plane) -> bool:
    """Whether q's outlines change their shape, and not only their place."""
    return isinstance(family, Stack)


def outlines(family: Plane, phi: Tensor) -> list[np.ndarray]:
    """For each of REGIONS a closed line (..., n, 2), in q's own coordinates, which `standing` places.

    A Gaussian's are circles; a flow's are where its layers carry these.
    """
    made = []
    for share in REGIONS:
        e = torch.from_numpy(circle(share))
        if isinstance(family, Stack):
            z = family.sample(phi, e.expand(*phi.shape[:-1], *e.shape))
            e = (z - phi[..., None, :2]) * torch.exp(-phi[..., None, 2:4])
        made.append(e.numpy())
    return made


def total(
    family: Plane, phi: Tensor, box: Box, count: int = 70
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """x (count,), y (count,), log q (count, count) over them, nats, and the levels above which REGIONS lie.

    The grid lies round q, or where that is smaller round what is seen.
    """
    centre, sds = (part.numpy() for part in (family.frames(phi).each.centre, family.frames(phi).each.sds()))
    low = np.maximum((centre - 4.0 * sds).min(0), [box.left, box.bottom])
    high = np.minimum((centre + 4.0 * sds).max(0), [box.right, box.top])
    x, y = np.linspace(low[0], high[0], count), np.linspace(low[1], high[1], count)
    z = torch.from_numpy(np.stack(np.meshgrid(x, y), -1).reshape(-1, 2))
    heights = family.log_prob(phi, z).numpy()
    falling = np.sort(heights)[::-1]
    held = np.cumsum(np.exp(falling))
    levels = falling[np.searchsorted(held, np.array(REGIONS) * held[-1])]
    return x, y, heights.reshape(count, count), levels


def margins(
    family: Plane, phis: Tensor, box: Box, upto: int | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """q's marginals: places (n,) and densities (T, n) along x, then the same along y, for phis (T, P).

    Those of a flow after its first `upto` layers, or all. The places are closer where a single q is narrow.
    """
    x, y = (np.linspace(*ends, MARGIN_POINTS) for ends in ((box.left, box.right), (box.bottom, box.top)))
    if isinstance(family, Stack):
        drawn = [_by_draws(family, tuple(phi), box, upto) for phi in phis.tolist()]
        across, along = (np.stack(sides) for sides in zip(*drawn, strict=True))
    else:
        if len(phis) == 1:
            x, y = (_closer(family, phis[0], axis, line) for axis, line in ((0, x), (1, y)))
        across, along = (_density(family, phis, axis, line) for axis, line in ((0, x), (1, y)))
    return x, across, y, along


def spreads(family: Plane, phis: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Mean and sd (T, 2) of a Gaussian q along x, and along y."""
    frame = family.frame(phis)
    first, second = (torch.stack([frame.centre[..., k], frame.sds()[..., k]], -1).numpy() for k in (0, 1))
    return first, second


def _closer(family: Plane, phi: Tensor, axis: int, line: np.ndarray) -> np.ndarray:
    """The places and, round each part of q, others by its own width."""
    each = family.frames(phi).each
    mean, sd = (part[:, axis, None].numpy() for part in (each.centre, each.sds()))
    own = (mean + sd * OWN).ravel()
    return np.unique(np.concatenate([line, own[(own > line[0]) & (own < line[-1])]]))


def _density(family: Plane, phis: Tensor, axis: int, line: np.ndarray) -> np.ndarray:
    """The marginal density (T, n) at places (n,) of an axis: a sum of normals."""
    log_weights, each = family.frames(phis)
    mean, sd = (part[..., axis, None].numpy() for part in (each.centre, each.sds()))  # (T, M, 1)
    bells = np.exp(-0.5 * ((line - mean) / sd) ** 2) / (math.sqrt(2.0 * math.pi) * sd)
    return (log_weights.exp().numpy()[..., None] * bells).sum(-2)


@functools.lru_cache(maxsize=1024)
def _by_draws(
    family: Stack, phi: tuple[float, ...], box: Box, upto: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """Both marginals (n,): even draws counted and smoothed, to a picture's accuracy, not a number's.

    Kept, as every drawing of a fit that goes on asks for those of all its steps.
    """
    noise = torch.from_numpy(_even(4096))
    with torch.no_grad():
        z, _ = family.warp(torch.tensor(phi, dtype=torch.float64), noise, upto)
    found = []
    for axis, (low, high) in enumerate(((box.left, box.right), (box.bottom, box.top))):
        step = (high - low) / (MARGIN_POINTS - 1)
        counts, _ = np.histogram(z[:, axis].numpy(), MARGIN_POINTS, (low - 0.5 * step, high + 0.5 * step))
        found.append(gaussian_filter1d(counts / (len(z) * step), 1.2, mode="constant"))
    return found[0], found[1]


@functools.lru_cache(maxsize=4)
def _even(count: int) -> np.ndarray:
    """Standard normal noise (count, 2), evenly taken: no two have the same x or y."""
    index = np.arange(count)
    along = np.modf(index * 0.5 * (math.sqrt(5.0) - 1.0))[0].argsort().argsort()  # its ranks: (k + .5) / n
    return ndtri((np.stack([index, along], -1) + 0.5) / count)
