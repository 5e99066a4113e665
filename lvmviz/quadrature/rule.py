"""Adaptive quadrature on the whole line: many integrals on one set of panels, each with its own error.

Every integrand is exp(log_weight) * value, so that neither the tails nor an infinite result are lost in
rounding. The line is z = sinh(pi/2 sinh t), |z| <= 1e150 (double-exponential coordinates; Takahasi and Mori,
1974). Panels in t are cut in four until Gauss (7) and Kronrod (15) agree; the slope at the ends tells what
lies beyond them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

Integrand = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]  # z (n,) -> log_weight, value (Q, n)

TOLERANCE = 1e-12  # of the integral of |f|, nats for log integrals
ROUNDS = 30
MOST_PANELS = 20_000  # in one round: more is no smooth function
EPS = float(np.finfo(float).eps)
ROUNDING = 20 * EPS
DIVERGES = -1e-6  # d log(|f| z) / d log z from which on a tail's integral is infinite
FAR = 1e150
NOTHING = -690.0  # exp of it is the smallest weight that counts

# QUADPACK's qk15: Kronrod's nodes and weights from the end to the centre, Gauss's at every second of them.
_X = [0.991455371120812639, 0.949107912342758525, 0.864864423359769073, 0.741531185599394440]
_X += [0.586087235467691130, 0.405845151377397167, 0.207784955007898468, 0.0]
_K = [0.022935322010529225, 0.063092092629978553, 0.104790010322250184, 0.140653259715525919]
_K += [0.169004726639267903, 0.190350578064785410, 0.204432940075298892, 0.209482141084727828]
_G = [
    0.0,
    0.129484966168869693,
    0.0,
    0.279705391489276668,
    0.0,
    0.381830050505118945,
    0.0,
    0.417959183673469388,
]
NODES = np.array([-x for x in _X] + _X[-2::-1])  # (15,)
RULES = np.array([_K + _K[-2::-1], _G + _G[-2::-1]]).T  # (15, 2) Kronrod, Gauss
PLACES = np.concatenate([[-1.0], NODES, [1.0]])  # with the panel's ends
ENDS = np.array([[0, 1, 2, 3], [16, 15, 14, 13]])  # from either end inwards
JUMP = 4.0  # times the steps between the next nodes
QUARTERS = np.linspace(0.0, 1.0, 5)


class Sums(NamedTuple):
    """The integrals (Q,) and how far they may be off (Q,); inf, -inf and nan (undefined) are answers."""

    value: np.ndarray
    error: np.ndarray
    edges: np.ndarray  # (n + 1,) t, the panels that were enough


def to_z(t: np.ndarray) -> np.ndarray:
    """The place on the line."""
    return np.sinh(0.5 * np.pi * np.sinh(t))


def to_t(z: np.ndarray) -> np.ndarray:
    """Its coordinate."""
    return np.arcsinh(np.arcsinh(np.clip(z, -FAR, FAR)) / (0.5 * np.pi))


END = float(to_t(np.array(FAR)))


def panels(places: np.ndarray, low: float = -FAR, high: float = FAR) -> np.ndarray:
    """Edges in t from places on the line: sorted, each once, within [low, high] and with both ends."""
    ends = to_t(np.array([low, high]))
    t = np.sort(np.concatenate([to_t(places), ends]).clip(*ends))
    return t[np.concatenate([[True], np.diff(t) > 1e-13 * (1 + np.abs(t[1:]))])]


def integrate(integrand: Integrand, edges: np.ndarray, open_ends: bool = True, least: float = 0.0) -> Sums:
    """Every integral over [edges[0], edges[-1]] in t, and beyond both when the ends are open.

    A panel that may be off by no more than `least` is good enough: of an integral that is zero but for
    rounding no share is small.
    """
    with np.errstate(all="ignore"):  # infinities are answers here: inf - inf is undefined, exp(-1e300) is 0
        value, error, kept = _adapt(integrand, edges, least)
        if open_ends:
            rest, doubt = _tails(integrand, to_z(edges[[0, -1]]))
            value, error = value + rest, error + doubt
        return Sums(value, np.where(np.isfinite(value), error, 0.0), kept)


def _adapt(integrand: Integrand, edges: np.ndarray, least: float) -> Sums:
    left, right = edges[:-1], edges[1:]
    value = error = size = endless = np.zeros(1)
    kept = [edges[-1:]]
    for turn in range(ROUNDS):
        part, doubt, bulk, blown = _sweep(integrand, left, right)
        endless = endless + blown
        grain = 2 * EPS * np.abs(left) / (right - left) * bulk  # places are rounded
        whole = (size + bulk.sum(1))[:, None]
        cut = (doubt > np.maximum(np.maximum(TOLERANCE / 16 * whole, least), grain)).any(axis=0)
        if turn == ROUNDS - 1 or cut.sum() > MOST_PANELS:
            cut = np.zeros_like(cut)
        done = ~cut
        value, size = value + part[:, done].sum(1), size + bulk[:, done].sum(1)
        error = error + (doubt + grain)[:, done].sum(1)
        kept.append(left[done])
        if not cut.any():
            break
        left, right = _quarter(left[cut], right[cut])
    return Sums(value + endless, error + ROUNDING * size, np.sort(np.concatenate(kept)))


def _sweep(integrand: Integrand, left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, ...]:
    """(Q, n) every integral over every panel, its error, the integral of |f|; and the infinities (Q,) met.

    Both rules miss what happens between a panel's end and its outermost node: where f changes more there than
    between the next nodes, which lie farther apart, it has a jump.
    """
    half = 0.5 * (right - left)[:, None]
    t = 0.5 * (left + right)[:, None] + half * PLACES
    angle = 0.5 * np.pi * np.sinh(t)
    z = np.sinh(angle)
    f = evaluate(integrand, z.ravel()).reshape(-1, *z.shape)
    blown = np.zeros(len(f))
    if not np.isfinite(f.sum()):
        up, down = np.isposinf(f).any((1, 2)), np.isneginf(f).any((1, 2))
        blown = np.where(up, np.inf, 0.0) - np.where(down, np.inf, 0.0)
        f = np.where(np.isfinite(f), f, 0.0)
    f *= half * (0.5 * np.pi) * np.cosh(t) * np.cosh(angle)
    steps = np.abs(np.diff(f[..., ENDS], axis=-1))  # (Q, n, 2, 3)
    jump = (1.0 - _X[0]) * np.maximum(steps[..., 0] - JUMP * steps[..., 1:].max(-1), 0.0).sum(-1)
    f = f[..., 1:-1]
    both = f @ RULES
    size = np.abs(f) @ RULES[:, 0]
    gap = np.abs(both[..., 0] - both[..., 1])
    share = 200 * np.divide(gap, size, out=np.zeros_like(gap), where=size > 0)
    return both[..., 0], size * np.minimum(share * np.sqrt(share), share / 200) + jump, size, blown


def evaluate(integrand: Integrand, z: np.ndarray) -> np.ndarray:
    """f (Q, n); an infinite value counts only where the weight does."""
    log_weight, value = integrand(z)
    f = np.exp(log_weight) * value
    lost = (log_weight < NOTHING) & (np.abs(value) > 1e30)  # the weight underflows, the product need not
    if lost.any():
        product = np.sign(value[lost]) * np.exp(log_weight[lost] + np.log(np.abs(value[lost])))
        f[lost] = np.where(np.isfinite(value[lost]), product, 0.0)
    return f


def _quarter(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    edges = left[:, None] + (right - left)[:, None] * QUARTERS
    edges[:, -1] = right
    return edges[:, :-1].ravel(), edges[:, 1:].ravel()


def _tails(integrand: Integrand, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What lies beyond both ends (Q,), by the power law of the last octave, and how far that may be off.

    With f z ~ z^s the rest is f z / -s, infinite when s >= 0. The octave before tells how good the law is.
    """
    z = ends[:, None] * np.array([0.25, 0.5, 1.0])
    log_weight, value = (rows.reshape(-1, 2, 3) for rows in integrand(z.ravel()))
    log_fz = log_weight + np.log(np.abs(value)) + np.log(np.abs(z))
    log_fz = np.where(np.isfinite(value) | (log_weight > NOTHING), log_fz, -np.inf)
    slopes = np.nan_to_num(np.diff(np.nan_to_num(log_fz, nan=-np.inf)) / np.log(2), nan=-np.inf)
    before, slope = slopes[..., 0], slopes[..., 1]
    fall = np.maximum(-slope, -DIVERGES)
    rest = np.where(log_fz[..., 2] > NOTHING, np.exp(log_fz[..., 2]), 0.0) / fall
    doubt = np.where(rest > 0, rest * np.minimum(1.0, np.abs(slope - before) / fall), 0.0)
    rest = np.where((rest > 0) & (slope >= DIVERGES), np.inf, rest)
    return np.copysign(rest, value[..., 2]).sum(1), doubt.sum(1)
