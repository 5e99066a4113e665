"""The best q of a family: L-BFGS from many starts finds the hills, Newton their tops."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor

from lvmviz.algorithms.vi import ROUNDED, roof
from lvmviz.families import Family, Line, MixtureOf2
from lvmviz.gradients import scores
from lvmviz.nodes import places, quantiles
from lvmviz.objectives import Objective, ReverseKL
from lvmviz.optimizers import LBFGS, ROUNDING, Hill, remembered, slope_of
from lvmviz.targets import Target

Value = Callable[[Tensor], Tensor]  # phi (B, P) -> (B,), larger is better

NEAR, FLAT = 1e-2, 1e-10  # gradients at which a start is near a top, and on it
SEARCH = 4  # steps of the search for each number of phi
SETTLED, ENOUGH = 1e-13, 2e-9  # nats: a step that gains less is the last; what may be left of a flat hill
DAMPING, MOST_DAMPING = 0.1, 1e4  # of Newton's step, in lengths of the gradient
GRAIN = 1e-5  # of the differences, in units of phi
ROUGH = 1000  # panels: log p wiggles so much that a climb over all of them takes a minute
CONTENDERS, BEHIND = 4, 0.2  # so many starts are taken to their tops, if at most so many nats behind the best


def best_fit(target: Target, family: Family, objective: Objective | None = None) -> Tensor:
    """phi (P,) of the best q found: the highest of the tops above ten starts, on the exact objective.

    Where log p is smooth the gradient left is below 1e-8; ValueError where the objective is finite nowhere.
    """
    return _best_fit(target, family, objective or ReverseKL()).clone()


@functools.lru_cache(maxsize=512)
def _best_fit(target: Target, family: Family, objective: Objective) -> Tensor:
    height = functools.partial(objective.value, target, family)
    top = roof(target, objective)
    rough = _below(top + 0.05, functools.partial(height, coarse=True))
    phi, value = _climb(rough, _starts(target, family), NEAR, SEARCH * len(family.names))
    best = value.argmax()
    if not bool(value[best].isfinite()):
        raise ValueError(
            f"{objective.name()} is infinite for every {family.name()} tried on {target.name()}: "
            "choose a family with other tails, or another objective"
        )
    smooth = target.dim > 1 or len(places(target)) <= ROUGH  # of a rougher one the nodes of q's draw must do
    if isinstance(objective, ReverseKL) and smooth and _off(objective, target, family, phi[best]) > 1e-9:
        height = functools.partial(objective.careful, target, family)  # log p has a kink, or q's draw a jump
    return _top(_below(top + ROUNDED, height), family, _contenders(family, phi, value))


def _off(objective: Objective, target: Target, family: Family, phi: Tensor) -> float:
    """How far the objective at phi (P,) may be off, nats."""
    return float(objective.error(target, family, phi[None]))


def _below(most: float, value: Value) -> Value:
    """The value, -inf where it is above `most`: q is so narrow there that the nodes miss it."""
    return lambda phi: torch.where((height := value(phi)) > most, -torch.inf, height)


def _contenders(family: Family, phi: Tensor, value: Tensor) -> Tensor:
    """The highest of the starts, and others that stand elsewhere and may yet be higher."""
    order = value.argsort(descending=True)
    kept, places = [order[0]], phi / _units(family, phi[order[0]][None])
    for i in order[1:]:
        apart = min(float((places[i] - places[k]).abs().max()) for k in kept) > 0.1
        if apart and value[i] > value[order[0]] - BEHIND and len(kept) < CONTENDERS:
            kept.append(i)
    return phi[torch.stack(kept)]


def _top(value: Value, family: Family, phi: Tensor) -> Tensor:
    """The highest top (P,) above these phi (B, P): by Newton's steps, and L-BFGS where they end too soon."""
    if len(phi) > 1:
        phi, height, _ = _newton(value, family, phi, 6)
        phi = phi[height.argmax()][None]
    phi, _, gain = _newton(value, family, phi, 50)
    return phi[0] if float(gain[0]) < ENOUGH else _climb(value, phi, FLAT, 100)[0][0]


def _climb(value: Value, phi: Tensor, tolerance: float, steps: int) -> tuple[Tensor, Tensor]:
    """phi (B, P) at the tops that L-BFGS reaches, and the values (B,) there, -inf where not finite."""
    slope = remembered(functools.partial(slope_of, value))
    optimizer, hill = LBFGS(), Hill(slope, lambda phi: phi)
    memory = optimizer.init(phi)
    for _ in range(steps):
        memory, new = optimizer.step(memory, phi, hill)
        height, gradient = slope(new)
        still = (gradient.norm(dim=-1) < tolerance) | (new == phi).all(-1)
        phi = new
        if bool((still | ~(height > height.nan_to_num(-torch.inf).max() - 1.0)).all()):
            break
    height = slope(phi)[0]
    return phi, torch.where(height.isfinite(), height, -torch.inf)


def _newton(value: Value, family: Family, phi: Tensor, steps: int) -> tuple[Tensor, Tensor, Tensor]:
    """phi (B, P) after Newton's steps, the values (B,) there, and what is still to be gained (B,), nats.

    Each eigenvalue of the Hessian counts by its size, so that every step climbs, also from a saddle (Dauphin
    et al., 2014), and is damped by the gradient's length, which leaves flat directions alone (Mishchenko,
    2023). Where a step falls it is damped more; falls in a row end it.
    """
    unit = _units(family, phi)
    height, gradient, hessian = _curvature(value, phi, unit)
    damping = torch.full_like(height, DAMPING)
    last = torch.zeros_like(height, dtype=torch.bool)
    for _ in range(steps):
        step, gain = _damped(gradient, hessian, damping)
        done = last | (gradient.norm(dim=-1) < FLAT) | (damping > MOST_DAMPING)
        if bool((done | (height + 3.0 * gain < height.max())).all()):
            break
        new = _curvature(value, phi + unit * step, unit)
        good = ~done & (new[0] >= height - 100 * ROUNDING * height.abs()) & new[1].isfinite().all(-1)
        last = last | (good & (gain < SETTLED))
        phi = torch.where(good[:, None], phi + unit * step, phi)
        height = torch.where(good, new[0], height)
        gradient = torch.where(good[:, None], new[1], gradient)
        hessian = torch.where(good[:, None, None], new[2], hessian)
        damping = torch.where(good, (0.2 * damping).clamp(min=DAMPING), 8.0 * damping)
    return phi, height, _damped(gradient, hessian, torch.full_like(height, DAMPING))[1]


def _damped(gradient: Tensor, hessian: Tensor, damping: Tensor) -> tuple[Tensor, Tensor]:
    """(|H| + damping |gradient|)^-1 gradient, (B, P), none where H is not finite; and its gain (B,)."""
    finite = hessian.isfinite().all(-1).all(-1)
    curves, axes = torch.linalg.eigh(torch.where(finite[:, None, None], hessian, 0.0))
    curves = curves.abs() + (damping * gradient.norm(dim=-1))[:, None] + 1e-300
    along = (axes * gradient[..., None]).sum(-2)
    step = (axes * (along / curves)[:, None, :]).sum(-1)
    gain = torch.where(finite, 0.5 * (along**2 / curves).sum(-1), torch.inf)
    return torch.where(finite[:, None], step, 0.0), gain


def _curvature(value: Value, phi: Tensor, unit: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """A value (B,), its gradient (B, P) and Hessian (B, P, P) by differences, in units (B, P) of phi."""
    near = phi[:, None] + GRAIN * torch.diag_embed(unit)
    rows = torch.cat([phi[:, None], near], 1)  # (B, 1 + P, P)
    height, gradient = (part.unflatten(0, (len(phi), -1)) for part in slope_of(value, rows.flatten(0, 1)))
    gradient = gradient * unit[:, None]
    hessian = (gradient[:, 1:] - gradient[:, :1]) / GRAIN
    return height[:, 0], gradient[:, 0], 0.5 * (hessian + hessian.mT)


def _units(family: Family, phi: Tensor) -> Tensor:
    """About how far each number (B, P) has to go to make another q: 1 / sqrt E_q[score^2], roughly."""
    z = family.spread(phi)[..., None] if isinstance(family, Line) else torch.empty(0)
    weights = torch.softmax(family.log_prob(phi, z), -1)[..., None]
    return (weights * scores(family, phi, z) ** 2).sum(-2).clamp(min=1e-12).rsqrt()


def _starts(target: Target, family: Family) -> Tensor:
    """phi (10, P): five quantiles of p, each with a wide and a narrow q; a mixture's parts also apart."""
    shares = torch.tensor([0.05, 0.25, 0.5, 0.75, 0.95, 0.16, 0.84], dtype=torch.float64, device="cpu")
    *centres, low, high = quantiles(target, shares)
    widths = torch.stack([0.5 * (high - low), 0.15 * (high - low)])
    phi = family.at(torch.stack(centres).repeat(2), widths.repeat_interleave(5))
    if not isinstance(family, MixtureOf2):
        return phi
    pairs = torch.tensor([[1, 3], [0, 4], [0, 2], [2, 4]], device="cpu")  # which quantiles the parts stand on
    spots = torch.stack(centres)[pairs]
    narrow = torch.stack([0.3 * (spots[:, 1] - spots[:, 0]), 0.05 * (spots[:, 1] - spots[:, 0])])
    sds = narrow.unsqueeze(-1).expand(2, len(pairs), 2)
    apart = torch.cat([torch.zeros(2, len(pairs), 1).double(), spots.expand(2, -1, 2), sds.log()], -1)
    return torch.cat([phi, apart.flatten(0, 1)])
