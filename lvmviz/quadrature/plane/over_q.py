"""Expectations over q in its own noise: smooth rules first, finer ones and cells where these do not agree.

All by two rules that share no node, so that the ELBO and KL(q || p) are integrals of their own.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lvmviz.families import Plane
from lvmviz.quadrature.plane.images import Images, images, thin_in
from lvmviz.quadrature.plane.noise import Rules, coarse, fine
from lvmviz.quadrature.plane.noise_cells import Terms, by_cells

AGREE = 5e-6  # nats between rules of a term, or SHARE of it where that is more
NEARLY = 30.0  # times as far may the halves of a finer lattice be apart
LATER = 0.2  # of that, at most, is how far their union is off: it converges by a power of sqrt(2) faster
ENOUGH = 5e-6  # nats of all cells
SHARE = 1e-11
ROUNDING = 3e-13  # of a term's size


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
        sums, size, turns = _averaged(q, np.arange(len(q.weights)), terms, coarse())
        found = Parts(
            np.stack([sums[..., 1], sums[..., 3]]), np.abs(np.diff(sums)[..., ::2]).transpose(2, 0, 1)
        )
        if np.isfinite(sums).all():
            enough = np.maximum(AGREE / len(q.weights), SHARE * size)
            rough = np.ptp(sums, axis=-1) > enough[:, None]
            found = _mended(q, terms, found, rough, enough, turns)
        value = found.value.sum(-1)
        off = found.error.sum(-1) + np.abs(value[0] - value[1]) + ROUNDING * size
        error = np.where(np.isfinite(value), off, 0.0)
        return Found(value[0], error[0]), Found(value[1], error[1])


def _mended(
    q: Images, terms: Terms, found: Parts, rough: np.ndarray, enough: np.ndarray, turns: np.ndarray
) -> Parts:
    """With those (R, M) that are rough by finer lattices, and by cells what still is."""
    thin = [thin_in(q, m, turn) for m, turn in enumerate(turns)]
    hides = np.array([len(maps) > 0 for maps in thin])
    rough = rough | hides
    again = np.flatnonzero(rough.any(0) & ~hides)
    if len(again):
        rough[:, again] &= ~_finer(q, terms, found, again, enough)
    rows, parts = np.flatnonzero(rough.any(1)), np.flatnonzero(rough.any(0))
    if not len(parts):
        return found
    for part in found:
        part[:, rows[:, None], parts] = 0.0
    budget = np.maximum(ENOUGH, enough[rows])
    more, off = by_cells(q, parts, turns, thin, lambda z, log_q: terms(z, log_q)[rows], budget)
    value, error = np.zeros((2, *found.value.shape[:2], 1))
    value[:, rows, 0], error[:, rows, 0] = more, off
    return Parts(np.concatenate([found.value, value], -1), np.concatenate([found.error, error], -1))


def _finer(q: Images, terms: Terms, found: Parts, parts: np.ndarray, enough: np.ndarray) -> np.ndarray:
    """Put in what finer lattices say of some parts, where (R, K) that is good enough."""
    sums, _, _ = _averaged(q, parts, terms, fine())
    halves = sums.reshape(*sums.shape[:2], 2, 2).transpose(2, 0, 1, 3)  # (2, R, K, 2)
    union, apart = halves.mean(-1), 0.5 * np.abs(np.diff(halves)[..., 0])
    good = (apart < NEARLY * enough[:, None]).all(0) & (np.abs(union[0] - union[1]) < enough[:, None])
    rows, columns = np.nonzero(good)
    found.value[:, rows, parts[columns]] = union[:, rows, columns]
    found.error[:, rows, parts[columns]] = LATER * apart[:, rows, columns]
    return good


def _averaged(
    q: Images, parts: np.ndarray, terms: Terms, rules: Rules
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Parts' shares of every term by four rules (R, K, 4), the terms' sizes (R,), and turns (K, 2, 2).

    A turn's first column is the direction of the noise in which the first term bends most, on average: along
    it lie the cells, if it comes to that.
    """
    count = len(parts)
    z, log_q = q.draw(
        torch.from_numpy(parts)[:, None], rules.one.expand(count, -1), rules.two.expand(count, -1)
    )
    values = terms(z, log_q).unflatten(-1, (count, -1))
    blown = torch.zeros(len(values), count, dtype=torch.float64)
    if not bool(values.sum().isfinite()):
        finite = values.isfinite()
        blown = torch.where(finite, 0.0, values).sum(-1)
        blown = torch.where(blown.isnan(), -torch.inf, blown)
        values = torch.where(finite, values, 0.0)
    sums = (values @ rules.weights).numpy() * q.weights[parts, None] + blown.numpy()[..., None]
    size = (values.abs() @ rules.weights[:, 1]).numpy() @ q.weights[parts]
    cross, apart = (values[0] @ rules.bends).T.numpy()
    angle = 0.5 * np.arctan2(cross, apart)
    cos, sin = np.cos(angle), np.sin(angle)
    return sums, size, np.stack([cos, -sin, sin, cos], -1).reshape(count, 2, 2)
