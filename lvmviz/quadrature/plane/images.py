"""q in the plane as a weighted sum of images of standard normal noise, and what of it is smooth there."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lvmviz.families import LOG_2PI, Plane, Stack
from lvmviz.families.plane import Frame
from lvmviz.quadrature.plane.cells import halved

THIN = 0.3  # width of an earlier part, in a later one's noise: less, and it may hide between nodes
SEEN = 4.0  # sds of it within which it is looked at
WIDEST = 2.0  # of them that a cell may reach from its middle
FAINT = 20.0  # nats
MOST = 3000  # cells

# part (n, 1), both coordinates of its noise (n, S) -> z (n S, 2), and log q there (n S,) or what has its mean
Draw = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


class Images(NamedTuple):
    """q = the sum of weights_m times the image of N(0, I) under its m-th map."""

    weights: np.ndarray  # (M,)
    draw: Draw
    centre: np.ndarray  # (M, 2) of Gaussian parts, the largest first
    factor: np.ndarray  # (M, 2, 2) theirs


def images(family: Plane, phi: Tensor) -> Images:
    """One of a Gaussian or a flow, one a part of a mixture."""
    if isinstance(family, Stack):
        return Images(np.ones(1), _warped(family, phi), np.zeros((1, 2)), np.eye(2)[None])
    log_weights, each = family.frames(phi)
    order = each.log_det().argsort(descending=True)
    log_weights, each = log_weights[order], Frame(*(part[order] for part in each))
    log_height = log_weights - each.log_det() - LOG_2PI
    draw = _single(each, log_height) if len(order) == 1 else _mixed(each, log_height)
    return Images(log_weights.exp().numpy(), draw, each.centre.numpy(), each.factor.numpy())


def _warped(family: Stack, phi: Tensor) -> Draw:
    return lambda part, one, two: family.draw(phi, torch.stack([one.flatten(), two.flatten()]).mT)


def _single(each: Frame, log_height: Tensor) -> Draw:
    def draw(part: Tensor, one: Tensor, two: Tensor) -> tuple[Tensor, Tensor]:
        x, y = _placed(each, part, one, two)
        log_q = log_height - 0.5 * (one.square() + two.square())
        return torch.stack([x.flatten(), y.flatten()]).mT, log_q.flatten()

    return draw


def _mixed(each: Frame, log_height: Tensor) -> Draw:
    """With each part's share of E_q[log q], which is smooth on that part's scale, in place of log q.

    q log q is the sum over j of q_j log q_j - q_{j-1} log q_{j-1}, where q_j are the j largest parts. What
    the j-th adds lies where the part does, and per its own density is log q_{j-1} + (1 + 1/t) log(1 + t),
    where t is that density over q_{j-1}: a small part is never integrated in a large one's coordinates.
    """

    def draw(part: Tensor, one: Tensor, two: Tensor) -> tuple[Tensor, Tensor]:
        x, y = _placed(each, part, one, two)
        heights = _heights(each, log_height, x, y)
        own = heights.gather(0, part.expand_as(x)[None])[0]
        earlier = torch.arange(len(heights), device=part.device)[:, None, None] < part
        before = torch.where(earlier, heights, -torch.inf)
        top = before.amax(0).clamp(min=torch.finfo(x.dtype).min)
        before = before.sub_(top).exp_().sum(0).log_().add_(top)
        log_q = torch.where(part == 0, own, before + _added(own - before))
        return torch.stack([x.flatten(), y.flatten()]).mT, log_q.flatten()

    return draw


def _added(log_t: Tensor) -> Tensor:
    """(1 + 1/t) log(1 + t)."""
    more = torch.nn.functional.softplus(log_t, threshold=700.0)
    return torch.where(log_t < -FAINT, 1.0 + 0.5 * log_t.exp(), more + more * torch.exp(-log_t))


def _placed(each: Frame, part: Tensor, one: Tensor, two: Tensor) -> tuple[Tensor, Tensor]:
    """x and y (n, S) of noise."""
    (x0, y0), factor = each.centre[part].unbind(-1), each.factor[part]
    x = torch.addcmul(x0, factor[..., 0, 0], one)
    return x, torch.addcmul(torch.addcmul(y0, factor[..., 1, 0], one), factor[..., 1, 1], two)


def _heights(each: Frame, log_height: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """log weight + log density of every part, (M, n, S)."""
    shape = (-1, 1, 1)
    first, below, second = (each.factor[:, i, j].view(shape) for i, j in ((0, 0), (1, 0), (1, 1)))
    a = (x - each.centre[:, 0].view(shape)).div_(first)
    b = (y - each.centre[:, 1].view(shape)).addcmul_(below, a, value=-1.0).div_(second)
    return a.square_().addcmul_(b, b).mul_(-0.5).add_(log_height.view(shape))


def density(family: Plane, phi: Tensor) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """log q (S,) of x and y (S,), where q is a Gaussian or a mixture of them."""
    log_weights, each = family.frames(phi)
    log_height = log_weights - each.log_det() - LOG_2PI

    def log_q(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        one, two = (torch.from_numpy(np.ascontiguousarray(part))[None] for part in (x, y))
        heights = _heights(each, log_height, one, two)
        return (heights[0] if len(heights) == 1 else heights.logsumexp(0))[0].numpy()

    return log_q


def thin_in(q: Images, m: int, turn: np.ndarray) -> np.ndarray:
    """(K, 2, 3) for every earlier part that is thin in the m-th one's noise, turned: where it is.

    Each is an affine map of the noise under which the part is standard normal, along its axes.
    """
    found = []
    for k in range(m):
        axes, sds, _ = np.linalg.svd(turn.T @ np.linalg.solve(q.factor[m], q.factor[k]))
        if sds[1] < THIN:
            at = turn.T @ np.linalg.solve(q.factor[m], q.centre[k] - q.centre[m])
            back = axes.T / sds[:, None]
            found.append(np.concatenate([back, -(back @ at)[:, None]], 1))
    return np.array(found).reshape(-1, 2, 3)


def cut_to(low: np.ndarray, high: np.ndarray, thin: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cells (n, 2) halved until none that meets a thin part is much wider than it."""

    def split(low: np.ndarray, high: np.ndarray) -> np.ndarray:
        middle, half = 0.5 * (low + high), 0.5 * (high - low)
        away = np.abs(np.einsum("kij,nj->nki", thin[..., :2], middle) + thin[..., 2])
        each = np.abs(thin[None, ..., :2]) * half[:, None, None]  # (n, K, axis of the part, side of the cell)
        reach = each.sum(-1)
        wide = (away < SEEN + reach).all(-1)[..., None] & (reach > WIDEST)
        side = np.where(wide[..., None], each, 0.0).max((1, 2))
        return side > 0.5 * np.maximum(side.max(-1, keepdims=True), WIDEST)

    return halved(low, high, split, MOST) if len(thin) else (low, high)
