"""Expectations over q in its own noise: smooth rules first, finer ones and cells where these do not agree.

All by two rules that share no node, so that the ELBO and KL(q || p) are integrals of their own.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lvmviz.families import Plane
from lvmviz.quadrature.plane.far import beyond, wide
from lvmviz.quadrature.plane.images import Images, images, thin_in
from lvmviz.quadrature.plane.noise import Rules, coarse, fine, outposts
from lvmviz.quadrature.plane.noise_cells import Terms, by_cells

AGREE = 5e-6  # nats between rules of a term, or SHARE of it where that is more
CAUTION = 2.0  # times as far as rules are apart may they all be off
UNSEEN = 0.1  # of what is enough: more of it beyond all rules, and they go farther
NEARLY = 10.0  # times as far may the halves of a finer lattice be apart
LATER = 0.5  # of that, at most, is how far their union is off: it converges by a power of sqrt(2) faster
ENOUGH = 5e-6  # nats of all cells
SHARE = 1e-11
LARGE = 1e-9  # of all cells, of a term's size
ROUNDING = 2e-12  # of a term's size


class Found(NamedTuple):
    """Expectations (R,), and how far each may be off (R,); -inf and inf are answers."""

    value: np.ndarray
    error: np.ndarray


class Parts(NamedTuple):
    """What every one of q's images adds by two rules, (2, R, M)."""

    value: np.ndarray
    error: np.ndarray


def expectations(family: Plane, phi: Tensor, terms: Terms) -> tuple[Found, Found]:
    """E_q of every term by one rule and by another; a term may hold log q no other way than linearly."""
    with torch.no_grad(), np.errstate(all="ignore"):
        q = images(family, phi)
        every = np.arange(len(q.weights))
        seen = _averaged(q, every, terms, coarse(), outposts()[0])
        sums, size = seen.sums, seen.size
        value, error = sums[..., [1, 3]], CAUTION * np.ptp(sums, axis=-1)
        found = Parts(value.transpose(2, 0, 1), np.stack([error, error]))
        if np.isfinite(sums).all():
            enough = _enough(q, size.sum(-1))
            far = (seen.beyond > UNSEEN * enough[:, None]).any(0)
            for m in np.flatnonzero(far):
                size[:, m] = _farther(q, int(m), terms, found)
            enough = _enough(q, size.sum(-1))
            rough = ~(found.error[0] <= CAUTION * enough[:, None])
            found = _mended(q, terms, found, rough, size.sum(-1), seen.turns, np.asarray(far))
        value = found.value.sum(-1)
        off = found.error.sum(-1) + np.abs(value[0] - value[1]) + ROUNDING * size.sum(-1)
        error = np.where(np.isfinite(value), off, 0.0)
        return Found(value[0], error[0]), Found(value[1], error[1])


def _enough(q: Images, size: np.ndarray) -> np.ndarray:
    """By how much a part's rules may be apart in every term (R,)."""
    return np.maximum(AGREE / len(q.weights), SHARE * size)


def _farther(q: Images, m: int, terms: Terms, found: Parts) -> np.ndarray:
    """Put in what lattices say that reach as far as a part's terms do; their sizes (R,)."""
    sums, size, _, _ = _averaged(q, np.array([m]), terms, wide(q, m, terms))
    found.value[..., m] = sums[:, 0, [1, 3]].T
    found.error[..., m] = CAUTION * np.ptp(sums[:, 0], axis=-1)
    return size[:, 0]


def _mended(
    q: Images,
    terms: Terms,
    found: Parts,
    rough: np.ndarray,
    size: np.ndarray,
    turns: np.ndarray,
    far: np.ndarray,
) -> Parts:
    """With those (R, M) that are rough by finer lattices, and by cells what still is."""
    thin = [thin_in(q, m, turn) for m, turn in enumerate(turns)]
    hides = np.array([len(maps) > 0 for maps in thin])
    rough = rough | hides
    again = np.flatnonzero(rough.any(0) & ~hides & ~far)
    if len(again):
        rough[:, again] &= ~_finer(q, terms, found, again, _enough(q, size))
    rows, parts = np.flatnonzero(rough.any(1)), np.flatnonzero(rough.any(0))
    if not len(parts):
        return found
    for part in found:
        part[:, rows[:, None], parts] = 0.0
    budget = np.maximum(ENOUGH, LARGE * size[rows])
    more, off = by_cells(q, parts, turns, thin, far, lambda z, log_q: terms(z, log_q)[rows], budget)
    value, error = np.zeros((2, *found.value.shape[:2], 1))
    value[:, rows, 0], error[:, rows, 0] = more, off
    return Parts(np.concatenate([found.value, value], -1), np.concatenate([found.error, error], -1))


def _finer(q: Images, terms: Terms, found: Parts, parts: np.ndarray, enough: np.ndarray) -> np.ndarray:
    """Put in what finer lattices say of some parts, where (R, K) that is good enough."""
    sums = _averaged(q, parts, terms, fine()).sums
    halves = sums.reshape(*sums.shape[:2], 2, 2).transpose(2, 0, 1, 3)  # (2, R, K, 2)
    union, apart = halves.mean(-1), 0.5 * np.abs(np.diff(halves)[..., 0])
    differ = np.abs(union[0] - union[1])
    good = (apart < NEARLY * enough[:, None]).all(0) & (differ < enough[:, None])
    rows, columns = np.nonzero(good)
    found.value[:, rows, parts[columns]] = union[:, rows, columns]
    off = LATER * apart.max(0) + CAUTION * differ  # the worse rule's: unions may agree by chance
    found.error[:, rows, parts[columns]] = off[rows, columns]
    return good


class Averages(NamedTuple):
    """Shares of K parts in R terms."""

    sums: np.ndarray  # (R, K, 4) by four rules
    size: np.ndarray  # (R, K) of the terms without their signs
    turns: np.ndarray  # (K, 2, 2) first column: the noise's direction in which the first term bends most
    beyond: np.ndarray  # (R, K) about how much of the size lies beyond the rules


def _averaged(
    q: Images, parts: np.ndarray, terms: Terms, rules: Rules, more: Tensor | None = None
) -> Averages:
    """All that in one look; `more` (S, 2) are the outposts. Along the turn would lie the cells."""
    count, nodes = len(parts), len(rules.one)
    one, two = rules.one, rules.two
    if more is not None:
        one, two = (torch.cat(pair) for pair in zip((one, two), more.mT, strict=True))
    z, log_q = q.draw(torch.from_numpy(parts)[:, None], one.expand(count, -1), two.expand(count, -1))
    values, outside = terms(z, log_q).unflatten(-1, (count, -1)).split([nodes, len(one) - nodes], -1)
    blown = torch.zeros(len(values), count, dtype=torch.float64)
    if not bool(values.sum().isfinite()):
        finite = values.isfinite()
        blown = torch.where(finite, 0.0, values).sum(-1)
        blown = torch.where(blown.isnan(), -torch.inf, blown)
        values = torch.where(finite, values, 0.0)
    sums = (values @ rules.weights).numpy() * q.weights[parts, None] + blown.numpy()[..., None]
    size = (values.abs() @ rules.weights[:, 1]).numpy() * q.weights[parts]
    cross, apart = (values[0] @ rules.bends).T.numpy()
    angle = 0.5 * np.arctan2(cross, apart)
    cos, sin = np.cos(angle), np.sin(angle)
    turns = np.stack([cos, -sin, sin, cos], -1).reshape(count, 2, 2)
    return Averages(sums, size, turns, beyond(q, outside, parts) if more is not None else np.zeros_like(size))
