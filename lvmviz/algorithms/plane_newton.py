"""Newton's steps on the ELBO of many Gaussian q's in the plane, by quadrature in q's own coordinates.

By Stein's lemma the gradient of log p at the nodes gives the Hessian too (Price, 1958; Opper and Archambeau,
2009); its eigenvalues count by their size, so that every step climbs (Dauphin et al., 2014). float64, nats.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lvmviz.families import LOG_2PI, Frame
from lvmviz.families.plane import triangular

STEPS, LONGEST = 40, 4.0  # of a climb, and how long one may be, in q's own units
SADDLE = 1e-6  # a curvature upwards from here on is a way up
COVERED = 8.5  # standard deviations of q that the trapezoidal rule covers

# log p(x, z) (B, S), nats, at z (B, S, 2); the second argument says which of all q's these are, (B,)
LogJoint = Callable[[Tensor, Tensor], Tensor]


class Rule(NamedTuple):
    """Nodes of N(0, I), and what turns the gradient of log p there into that of the ELBO and its Hessian."""

    nodes: Tensor  # (K, 2)
    weights: Tensor  # (K,)
    moments: Tensor  # (2 K, P + P P)
    entropy: Tensor  # (P,) the gradient of H(q)


class Hill(NamedTuple):
    """The ELBO (B,), nats, with its gradient (B, P) and Hessian (B, P, P) in q's own units."""

    value: Tensor
    gradient: Tensor
    hessian: Tensor

    def sound(self) -> Tensor:
        """Which of them are finite, (B,)."""
        return (self.value + self.gradient.sum(-1) + self.hessian.sum((-2, -1))).isfinite()


def climbed(log_joint: LogJoint, frame: Frame, rule: Rule, settled: float) -> tuple[Frame, Hill]:
    """Where Newton's steps within a trusted radius end, and the ELBO there; q's with none stay."""
    hill = hill_at(log_joint, frame, rule, torch.arange(len(frame.centre)))
    live = hill.sound().nonzero()[:, 0]
    at, here, radius = Frame(*picked(frame, live)), Hill(*picked(hill, live)), torch.ones(len(live)).double()
    for _ in range(STEPS):
        if not len(live):
            break
        step, gain, last = _step(here, radius, settled)
        moved = _moved(at, step)
        new = hill_at(log_joint, moved, rule, live)
        rise = new.value - here.value
        good = (rise >= -1e-14 * (1.0 + here.value.abs())) & new.sound()
        at, here = Frame(*_better(at, moved, good)), Hill(*_better(here, new, good))
        wider = torch.where(rise > 0.5 * gain, 2.0 * radius, radius).clamp(max=LONGEST)
        radius = torch.where(good, wider, 0.25 * step.norm(dim=-1))
        goes = ~last & (radius > 1e-9)
        if not bool(goes.all()):
            frame, hill = Frame(*_put(frame, at, live)), Hill(*_put(hill, here, live))
            at, here = Frame(*picked(at, goes)), Hill(*picked(here, goes))
            live, radius = live[goes], radius[goes]
    return Frame(*_put(frame, at, live)), Hill(*_put(hill, here, live))


def picked(parts: Iterable[Tensor], rows: Tensor) -> Iterator[Tensor]:
    """Some rows of every part."""
    return (part[rows] for part in parts)


def _better(old: Iterable[Tensor], new: Iterable[Tensor], good: Tensor) -> Iterator[Tensor]:
    """The new parts where they are good, else the old."""
    return (torch.where(good.view(-1, *[1] * (a.ndim - 1)), b, a) for a, b in zip(old, new, strict=True))


def _put(old: Iterable[Tensor], new: Iterable[Tensor], rows: Tensor) -> Iterator[Tensor]:
    """The old parts with the new ones in these rows."""
    return (a.index_copy(0, rows, b) for a, b in zip(old, new, strict=True))


def _step(hill: Hill, radius: Tensor, settled: float) -> tuple[Tensor, Tensor, Tensor]:
    """Steps (B, P) of at most the radius, what they should gain (B,), and whether they are the last (B,).

    From a saddle it goes along the axis that curves upwards most.
    """
    curves, axes = torch.linalg.eigh(hill.hessian)
    along = (axes * hill.gradient[..., None]).sum(-2) / (curves.abs() + 1e-14)
    step = (axes * along[:, None, :]).sum(-1)
    gain = 0.5 * (step * hill.gradient).sum(-1)
    last = gain < settled * (1.0 + hill.value.abs())
    up = last & (curves[:, -1] > SADDLE)
    step = torch.where(up[:, None], radius[:, None] * axes[..., -1], step)
    gain = torch.where(up, 0.5 * curves[:, -1] * radius**2, gain)
    shrink = (radius / step.norm(dim=-1).clamp(min=1e-300)).clamp(max=1.0)
    return step * shrink[:, None], gain, last & ~up


def _moved(frame: Frame, step: Tensor) -> Frame:
    """The frame after steps (B, P) in its own units: a shift, logs of the diagonal, and the shear."""
    below = step[:, 4] if step.shape[-1] > 4 else torch.zeros_like(step[:, 0])
    change = triangular(step[:, 2].exp(), below, step[:, 3].exp())
    shift = (frame.factor @ step[:, :2, None])[..., 0]
    return Frame(frame.centre + shift, frame.factor @ change)


def elbo_at(log_joint: LogJoint, frame: Frame, rule: Rule) -> Tensor:
    """The ELBO (B,) alone."""
    with torch.no_grad():
        heights = log_joint(frame.place(rule.nodes), torch.arange(len(frame.centre)))
        return heights @ rule.weights + frame.log_det() + 1.0 + LOG_2PI


def hill_at(log_joint: LogJoint, frame: Frame, rule: Rule, rows: Tensor) -> Hill:
    """The ELBO by this rule; its gradient is exact, its Hessian as exact as the rule."""
    with torch.enable_grad():
        z = frame.place(rule.nodes).requires_grad_()
        heights = log_joint(z, rows)
        (slopes,) = torch.autograd.grad(heights.sum(), z)
    told = (slopes @ frame.factor).flatten(1) @ rule.moments
    size = len(rule.entropy)
    gradient, hessian = told[:, :size], told[:, size:].unflatten(1, (size, size))
    bend = torch.nn.functional.pad(gradient[:, 2:4], (2, size - 4))  # a scale is an exponential
    hessian = 0.5 * (hessian + hessian.mT) + torch.diag_embed(bend)
    entropy = frame.log_det() + 1.0 + LOG_2PI
    return Hill(heights.detach() @ rule.weights + entropy, gradient + rule.entropy, hessian)


@functools.lru_cache(maxsize=16)
def rule_of(kind: float, size: int) -> Rule:
    """A rule for a q with so many numbers.

    In q's own units number t moves the point's coordinate i(t) by phi_t(e), so the gradient is E[g_i(t)
    phi_t] and, by Stein's lemma, the Hessian E[d_i(s) g_i(t) phi_t phi_s] = E[g_i(t) (e_i(s) - d_i(s))
    (phi_t phi_s)].
    """
    nodes, weights = _nodes(kind)
    one, none = torch.ones_like(weights), torch.zeros_like(weights)
    x, y = nodes.unbind(-1)
    turns = [(0, one, None), (1, one, None), (0, x, 0), (1, y, 1), (1, x, 0)][:size]
    moments = torch.zeros(len(nodes), 2, size + size * size, dtype=torch.float64, device="cpu")
    for t, (i, f, df) in enumerate(turns):
        moments[:, i, t] = weights * f
        for s, (k, g, dg) in enumerate(turns):
            slope = (g if df == k else none) + (f if dg == k else none)
            moments[:, i, size + t * size + s] = weights * (f * g * nodes[:, k] - slope)
    entropy = torch.tensor([0.0, 0.0, 1.0, 1.0, 0.0], dtype=torch.float64, device="cpu")[:size]
    return Rule(nodes, weights, moments.flatten(0, 1), entropy)


def _nodes(kind: float) -> tuple[Tensor, Tensor]:
    """Nodes (K, 2) and weights (K,): Gauss-Hermite by its order, the trapezoidal rule by its step.

    The second converges faster where log p has poles beside the plane, as between modes (Trefethen, 2022).
    """
    if kind >= 1:
        line, weight = (torch.from_numpy(part) for part in np.polynomial.hermite_e.hermegauss(int(kind)))
    else:
        count = math.ceil(COVERED / kind)
        line = torch.arange(-count, count, dtype=torch.float64, device="cpu")
        line = kind * (line + 0.5)  # never q's centre, where log p may have a kink
        weight = torch.exp(-0.5 * line**2)
    nodes, weights = torch.cartesian_prod(line, line), torch.outer(weight, weight).flatten()
    near = (nodes.norm(dim=1) <= COVERED) | (kind >= 1)
    return nodes[near], weights[near] / weights[near].sum()
