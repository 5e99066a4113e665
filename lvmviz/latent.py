"""The exact layer: log p(x), the posterior p(z | x) and KL(q || p(z | x)) of a model with two latents.

A lattice over the plane is refined wherever a datum's posterior or its q still has shape between the nodes:
in tiles of 4 x 4 nodes that halve their sides, shared by all data that need them. Each level holds two rules,
the black and the white nodes of its checkerboard: their mean is the answer, their disagreement its error.
Sums over a lattice converge exponentially for smooth integrands that vanish at its edge (Trefethen and
Weideman, 2014); a decoder with kinks hardly gets two rules to agree. float64 on the CPU, nats.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lvmviz.amortized import Q
from lvmviz.latent_model import LOG_2PI, MEMORY, TOLERANCE, LatentModel, chunks, log_prior
from lvmviz.tiles import (
    FARTHEST,
    FIRST,
    NODES,
    QUARTERS,
    REACH,
    SIDE,
    STEPS,
    Pairs,
    everywhere,
    extent,
    joined,
    nodes,
    rim,
    ring,
)  # fmt: skip

LEVELS = 12
DROP = 19.0  # nats below the top where nothing is left: beyond lies e^-19 = 6e-9 of a Gaussian
EDGE = 19.0  # the same for what lies beyond the first lattice: e^-19 is 6e-9
DATA = 512  # data at once
PAIRS = 500  # tiles of one level for each datum, at most, on average; some more where there are few


class Exact(NamedTuple):
    """The evidence and its terms for n data, nats."""

    log_evidence: Tensor  # (n,) log p(x)
    elbo: Tensor  # (n,) the integral of q log(p(x, z) / q)
    kl: Tensor  # (n,) KL(q || p(z | x)), the integral of q log(q / p) - q + p
    error: Tensor  # (n,) how far two rules differ and the three fail to add up, summed


class Posterior(NamedTuple):
    """The density of z given one x on a lattice round it."""

    first: Tensor  # (W,) z_1
    second: Tensor  # (H,) z_2
    density: Tensor  # (H, W)


class _Sums(NamedTuple):
    """Of every pair's nodes, in four: even and odd rows and columns apart."""

    top: Tensor  # (P,) the highest log p(x, z)
    reach: Tensor  # (P, 4) how high it may be in each quarter of the tile, between the nodes too
    mass: Tensor  # (P, 4) sum of p(x, z) exp(-top)
    within: Tensor  # (P, 4) sum of q
    gap: Tensor  # (P, 4) sum of q (log q - log p(x, z))


class _Level(NamedTuple):
    """The integrals of n data by one level."""

    log_evidence: Tensor
    elbo: Tensor
    kl: Tensor
    error: Tensor  # of the evidence, or of all three
    top: Tensor  # (n,)


class _Last(NamedTuple):
    """The last level's tiles."""

    tile: Tensor  # (P, 2)
    top: Tensor  # (P,)
    width: float


class LatentPlane:
    """A model with two latents under the lattice; the first level's nodes are decoded once."""

    def __init__(self, model: LatentModel, tolerance: float = TOLERANCE) -> None:
        self.model, self.tolerance = model, tolerance
        self._first = functools.lru_cache(maxsize=2)(self._decoded)
        self._one: tuple[tuple[Tensor, ...], tuple[_Level, _Last]] | None = None

    def log_evidence(self, x: Tensor, q: Q) -> tuple[Tensor, Tensor]:
        """log p(x) (n,) for x (n, D), and how far two rules differ; q says where to look too."""
        parts = [self._refined(x[at], q.rows(at), False)[0] for at in chunks(len(x), DATA)]
        return torch.cat([part.log_evidence for part in parts]), torch.cat([part.error for part in parts])

    def decompose(self, x: Tensor, q: Q) -> Exact:
        """log p(x) = ELBO + KL, each an integral of its own."""
        parts = [self._remembered(x[at], q.rows(at))[0] for at in chunks(len(x), DATA)]
        return Exact(*(torch.cat([part[k] for part in parts]) for k in range(4)))  # type: ignore[misc]

    def posterior(self, x: Tensor, q: Q, nodes: int = 96) -> Posterior:
        """p(z | x) of one datum (1, D) on nodes x nodes points round where it and q lie."""
        told, last = self._remembered(x, q)
        there = last.tile[last.top > told.top - 20.0]  # e^-20 is not to be seen
        low, high = there.amin(0) * last.width, (there.amax(0) + 1) * last.width
        ends = zip(low.tolist(), high.tolist(), strict=True)
        axes = [torch.linspace(a, b, nodes, dtype=torch.float64) for a, b in ends]
        z = torch.stack(torch.meshgrid(*axes, indexing="xy"), -1)
        density = (self.model.log_joint(x, z.view(1, -1, 2)) - told.log_evidence).exp()
        return Posterior(axes[0], axes[1], density.view(nodes, nodes))

    # ---- refinement ----

    def _remembered(self, x: Tensor, q: Q) -> tuple[_Level, _Last]:
        """The integrals with q; one datum's are kept, whose numbers and picture are asked for in turn."""
        if len(x) > 1:
            return self._refined(x, q, True)
        asked, kept = (x, q.means, q.scale_tril()), self._one  # another thread may put its own there
        if kept is None or not all(map(torch.equal, kept[0], asked)):
            kept = self._one = tuple(part.clone() for part in asked), self._refined(x, q, True)
        return kept[1]

    def _refined(self, x: Tensor, q: Q, with_q: bool) -> tuple[_Level, _Last]:
        """The integrals of x by as many levels as each datum needs, and the tiles of the last level."""
        count = len(x)
        half = extent(q)
        pairs = everywhere(count, half)
        pairs, sums = self._summed(pairs, x, q, FIRST, with_q, self._first(half))
        while half < FARTHEST and len(far := self._reaching(x, pairs, sums, half)):
            more = self._summed(ring(far, half), x, q, FIRST, with_q)
            pairs, sums = joined(pairs, more[0]), joined(sums, more[1])
            half *= 2.0
        width = FIRST
        told = best = _told(pairs, sums, width, count, with_q)
        for _ in range(LEVELS):
            open_ = ~(told.error <= self.tolerance)  # also where it is not a number
            finer = _active(pairs, sums, told, open_, q if with_q else None, width)
            if not len(finer.datum) or len(finer.datum) > PAIRS * (count + 20):
                break
            width *= 0.5
            pairs, sums = self._summed(finer, x, q, width, with_q)
            told = _told(pairs, sums, width, count, with_q)
            best = _Level(*(torch.where(open_, new, old) for new, old in zip(told, best, strict=True)))
            told = told._replace(error=torch.where(open_, told.error, 0.0))
        return best, _Last(pairs.tile, sums.top, width)

    def _reaching(self, x: Tensor, pairs: Pairs, sums: _Sums, half: float) -> Tensor:
        """Whose posteriors reach the edge of the first lattice."""
        top = torch.full((len(x),), -torch.inf, dtype=torch.float64)
        top = top.scatter_reduce(0, pairs.datum, sums.top, "amax").unsqueeze(1)
        eta, a = self.model.natural(edge := rim(half))
        joint = x @ eta.T - a + self.model.base(x).unsqueeze(1) + log_prior(edge)
        return (joint > top - EDGE).any(1).nonzero().squeeze(1)

    def _decoded(self, half: float) -> tuple[Tensor, Tensor]:
        """eta and a at every node of the first level."""
        return self._natural(everywhere(1, half).tile, FIRST)

    def _natural(self, tiles: Tensor, width: float) -> tuple[Tensor, Tensor]:
        """eta and a at the nodes of tiles (T, 2); a holds the prior too: log p(x, z) = x . eta - a + base."""
        z = nodes(tiles, width).flatten(0, 1)
        eta, a = self.model.natural(z)
        return eta, a - log_prior(z)

    def _summed(
        self, pairs: Pairs, x: Tensor, q: Q, width: float, with_q: bool,
        table: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Pairs, _Sums]:  # fmt: skip
        """The sums over every pair's nodes, and the pairs in the order they come."""
        base = self.model.base(x)
        if table is not None:
            joint = (x @ table[0].T - table[1] + base.unsqueeze(1)).view(-1, NODES)
            return pairs, _sums(joint, pairs, q, width, with_q)
        _, which = torch.unique(pairs.tile[:, 0] * 2**32 + pairs.tile[:, 1], return_inverse=True)
        order = which.argsort(stable=True)
        pairs = Pairs(pairs.datum[order], pairs.tile[order])
        counts = torch.bincount(which)
        tiles = pairs.tile[counts.cumsum(0) - 1]
        joint = torch.cat(self._by_tile(x, tiles, width, pairs.datum.split(counts.tolist())))
        return pairs, _sums(joint.add_(base[pairs.datum, None]), pairs, q, width, with_q)

    def _by_tile(self, x: Tensor, tiles: Tensor, width: float, data: Sequence[Tensor]) -> list[Tensor]:
        """x . eta - a (P, NODES): of every tile one matrix product with the data that look there."""
        found = []
        for at in chunks(len(tiles), max(MEMORY // (NODES * x.shape[1]), 1)):
            eta, a = self._natural(tiles[at], width)
            split = eta.view(-1, NODES, x.shape[1]).mT.unbind(0), a.view(-1, 1, NODES).unbind(0)
            found += [torch.addmm(b, x[d], e, beta=-1.0) for d, e, b in zip(data[at], *split, strict=True)]
        return found


_FOUR = 2 * (torch.arange(NODES) // SIDE % 2) + torch.arange(NODES) % 2  # even or odd row and column
_COLOURS = torch.nn.functional.one_hot(_FOUR, 4).double()  # (NODES, 4)
# black minus white, even minus odd rows, even minus odd columns
_CONTRASTS = 0.5 * torch.tensor([[1, -1, -1, 1], [1, 1, -1, -1], [1, -1, 1, -1]], dtype=torch.float64)


def _sums(joint: Tensor, pairs: Pairs, q: Q, width: float, with_q: bool) -> _Sums:
    """The sums of log p(x, z) (P, NODES) and of q."""
    square = joint.view(-1, SIDE, SIDE)
    steep = sum(square.diff(dim=side).abs_().flatten(1).amax(1, keepdim=True) for side in (1, 2))
    quarters = joint.view(-1, 2, 2, 2, 2).amax((2, 4)).flatten(1)
    top = quarters.amax(1)
    mass = (joint - top.unsqueeze(1)).exp_() @ _COLOURS
    within, gap = torch.zeros_like(mass), torch.zeros_like(mass)
    if with_q:
        (near,) = _near(pairs, q, width).nonzero(as_tuple=True)
        log_q = _log_q(Pairs(*(part[near] for part in pairs)), q, width)
        weight = log_q.exp()
        within[near] = weight @ _COLOURS
        gap[near] = (weight * (log_q - joint[near])) @ _COLOURS
    return _Sums(top, quarters + 0.5 * steep, mass, within, gap)


def _log_q(pairs: Pairs, q: Q, width: float) -> Tensor:
    """log q (P, NODES) of each pair's datum; a tile's rows are z_1, its columns z_2."""
    at, lower = pairs.datum, q.scale_tril()[pairs.datum]
    first, second = ((pairs.tile[:, k, None] + STEPS) * width - q.means[at, k, None] for k in (0, 1))
    across = first / lower[:, 0, 0, None]
    up = (second / lower[:, 1, 1, None]).unsqueeze(1)
    shift = (lower[:, 1, 0, None] / lower[:, 1, 1, None] * across).unsqueeze(2)
    rest = 0.5 * across.square() + (q.log_sds.sum(-1) + LOG_2PI)[at, None]
    return (up - shift).square_().mul_(-0.5).sub_(rest.unsqueeze(2)).flatten(1)


def _near(pairs: Pairs, q: Q, width: float) -> Tensor:
    """Which pairs' tiles hold something of q (P,)."""
    low, high = (q.means + sign * REACH * q.sds() for sign in (-1.0, 1.0))
    tile = pairs.tile * width
    return ((tile <= high[pairs.datum]) & (tile + width >= low[pairs.datum])).all(1)


def _told(pairs: Pairs, sums: _Sums, width: float, count: int, with_q: bool) -> _Level:
    """The integrals and how far black and white differ."""
    datum, area = pairs.datum, 4.0 * (width / SIDE) ** 2  # of a node of one of the four
    top = torch.full((count,), -torch.inf, dtype=torch.float64).scatter_reduce(0, datum, sums.top, "amax")
    share = (sums.top - top[datum]).exp().unsqueeze(1)
    mass = _by_datum(sums.mass * share, datum, count) * area
    log_evidence = top + mass.mean(1).log()
    error = _apart(mass / mass.mean(1, keepdim=True))
    if not with_q:
        return _Level(log_evidence, torch.zeros_like(top), torch.zeros_like(top), error, top)
    within, gap = (_by_datum(part, datum, count) * area for part in (sums.within, sums.gap))
    # the integral of q log(q / p) - q + p, which is nowhere negative; p(z | x) integrates to one
    kl = gap + within * log_evidence.unsqueeze(1) - within + 1.0
    bound, between = -gap.mean(1), kl.mean(1)
    error += torch.maximum(_apart(kl), _apart(gap)) + (bound + between - log_evidence).abs()
    return _Level(log_evidence, bound, between, error, top)


def _apart(four: Tensor) -> Tensor:
    """How far black and white differ (n,), from the values (n, 4) of even and odd rows and columns.

    What a lattice misses along one axis is in black and white alike. Rows and columns by themselves show it,
    for a Gaussian about its fourth root, so the square of their difference bounds it with room to spare.
    """
    colours, rows, columns = (four @ _CONTRASTS.T).abs().unbind(1)
    return torch.maximum(colours, torch.maximum(rows, columns) ** 2)


def _by_datum(values: Tensor, datum: Tensor, count: int) -> Tensor:
    return values.new_zeros(count, 4).index_add(0, datum, values)


def _active(pairs: Pairs, sums: _Sums, told: _Level, open_: Tensor, q: Q | None, width: float) -> Pairs:
    """The quarters of tiles with something of the posterior or of q, for data that are still open.

    Within half a step of a node the density may rise by half the steepest difference from node to node: for
    a Gaussian that is also more than a peak between nodes rises above them.
    """
    (rows,) = open_[pairs.datum].nonzero(as_tuple=True)
    pairs, reach = Pairs(pairs.datum[rows], pairs.tile[rows]), sums.reach[rows]
    quarters = (2 * pairs.tile.unsqueeze(1) + QUARTERS).flatten(0, 1)
    finer = Pairs(pairs.datum.repeat_interleave(4), quarters)
    here = (reach > (told.top - DROP)[pairs.datum].unsqueeze(1)).flatten()
    if q is not None:
        here |= _near(finer, q, 0.5 * width)
    return Pairs(finer.datum[here], finer.tile[here])
