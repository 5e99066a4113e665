"""Three ways to the same sums over a chunk: log joints, then moments weighted by responsibilities.

`Quadratic` is one matrix product with the features [1, x, x_i x_j]; it loses digits with the square of the
steepness (how many of its own standard deviations a component lies from the origin). `Whitened` makes
y = A x - A m by one matrix product, sums y [1, x] by another and turns the sums into each component's own
frame; it loses them linearly. `Framed` subtracts the mean first and loses none.
"""

from __future__ import annotations

from functools import cache
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from lvmviz.fast_em.mixture import Mixture, Moments
from lvmviz.fast_em.points import Chunk, Points

# steepness up to which Quadratic, then Whitened, keep the log-likelihood to 1e-10 (float64), 1e-6 (float32)
LIMITS = {torch.float64: (500.0, 1e5), torch.float32: (20.0, 500.0)}
WIDEST = {"full": 20, "tied": 2**30, "diag": 2**30, "spherical": 2**30}  # D where Quadratic stops to pay


class Kernel(Protocol):
    """A sweep over a chunk in three moves; `seen` is what both sums are made from."""

    def see(self, chunk: Chunk) -> Tensor:
        """The features, or the whitened points."""
        ...

    def log_joint(self, seen: Tensor) -> Tensor:
        """log weight + log density, up to what `left_out` says (R, K, n)."""
        ...

    def gather(self, chunk: Chunk, seen: Tensor, resp: Tensor) -> Tensor:
        """The sums for responsibilities (R, K, n), as one table (R K, S); `seen` is used up."""
        ...

    def left_out(self, table: np.ndarray) -> np.ndarray | float:
        """What the log joints leave out of the log-likelihood of all points (R,), given the sums: nats."""
        ...

    def moments(self, table: np.ndarray) -> Moments:
        """The sums (R K, S) by their names."""
        ...


def kernel(theta: Mixture, points: Points) -> Kernel:
    """The fastest that is exact enough here."""
    steep = theta.steepness()
    quadratic, whitened = LIMITS[points.dtype]
    if steep <= quadratic and theta.means.shape[2] <= WIDEST[theta.kind]:
        return Quadratic(theta, points)
    if theta.kind in ("diag", "spherical"):
        return Scaled(theta, points, exact=steep > whitened)
    return Whitened(theta, points) if steep <= whitened else Framed(theta, points)


def framed(theta: Mixture, points: Points) -> Kernel:
    """The one that is exact everywhere."""
    if theta.kind in ("diag", "spherical"):
        return Scaled(theta, points, exact=True)
    return Framed(theta, points)


class Quadratic:
    """log joint = table @ features: constant, linear and quadratic terms of all components in one product."""

    def __init__(self, theta: Mixture, points: Points) -> None:
        self.shape, self.kind, self.points = theta.means.shape, theta.kind, points
        linear, quadratic, bent = _expanded(theta)
        constant = theta.log_constants() - 0.5 * bent
        table = np.concatenate([constant[..., None], linear, quadratic], axis=2)
        exact = table.reshape(-1, table.shape[2])
        self.table = _sent(exact, points)
        self.cut = _cut(exact, self.table)
        self.constant: np.ndarray | float = 0.0
        if self.kind == "tied":  # x's quadratic term is the same for all components: it cancels in q
            precision = np.swapaxes(theta.whiteners, 2, 3) @ theta.whiteners
            self.constant = -0.5 * (precision[:, 0] * points.squares()).sum((1, 2))

    def see(self, chunk: Chunk) -> Tensor:
        if self.kind == "tied":
            return chunk.x
        if self.kind in chunk.features:
            return chunk.features[self.kind]
        made = _features(chunk.x, self.kind)
        if self.points.keeps(made.shape[0]):
            chunk.features[self.kind] = made
        return made

    def log_joint(self, seen: Tensor) -> Tensor:
        return (self.table @ seen).view(self.shape[0], self.shape[1], -1)

    def gather(self, chunk: Chunk, seen: Tensor, resp: Tensor) -> Tensor:
        return resp.view(-1, resp.shape[2]) @ seen.T

    def left_out(self, table: np.ndarray) -> np.ndarray | float:
        """The sums are the log-likelihood's gradient: with it, what float32 cut off the table comes back."""
        return self.constant + (self.cut * table).reshape(self.shape[0], -1).sum(1)

    def moments(self, table: np.ndarray) -> Moments:
        r, k, d = self.shape
        table = table.reshape(r, k, -1)
        counts, first, second = table[..., 0], table[..., 1 : d + 1], table[..., d + 1 :]
        if self.kind == "full":
            second = _symmetric(second, d)
        elif self.kind == "tied":
            second = self.points.squares()
        elif self.kind == "spherical":
            second = second[..., 0]
        return Moments(counts, first, second, None)


class Whitened:
    """y = A x - A m of all components by one product; the sums are taken in each component's own frame."""

    def __init__(self, theta: Mixture, points: Points) -> None:
        self.theta, self.shape = theta, theta.means.shape
        self.constants = _sent(theta.log_constants()[..., None], points)
        self.cut = _cut(theta.log_constants(), self.constants[..., 0])
        self._place(points)

    def _place(self, points: Points) -> None:
        r, k, d = self.shape
        whiteners = np.broadcast_to(self.theta.whiteners, (r, k, d, d))
        shift = -(whiteners @ self.theta.means[..., None])
        self.table = _sent(np.concatenate([shift, whiteners], axis=3).reshape(r * k * d, d + 1), points)

    def see(self, chunk: Chunk) -> Tensor:
        r, k, d = self.shape
        return (self.table @ chunk.x).view(r * k, d, -1)

    def log_joint(self, seen: Tensor) -> Tensor:
        r, k, _ = self.shape
        return torch.add(self.constants, seen.square().sum(1).view(r, k, -1), alpha=-0.5)

    def gather(self, chunk: Chunk, seen: Tensor, resp: Tensor) -> Tensor:
        counts = resp.sum(2).view(-1, 1)
        seen *= resp.view(seen.shape[0], 1, -1)
        return torch.cat([counts, (seen.flatten(0, 1) @ chunk.x.T).view(len(seen), -1)], dim=1)

    def left_out(self, table: np.ndarray) -> np.ndarray | float:
        return (self.cut * table[:, 0].reshape(self.cut.shape)).sum(1)

    def moments(self, table: np.ndarray) -> Moments:
        r, k, d = self.shape
        table = table.reshape(r, k, -1)
        sums = table[..., 1:].reshape(r, k, d, d + 1)  # of r y [1, x]
        first, apart = sums[..., 0], self.theta.means[..., None, :]
        second = (sums[..., 1:] - first[..., None] * apart) @ np.swapaxes(self.theta.whiteners, 2, 3)
        return Moments(table[..., 0], first, 0.5 * (second + np.swapaxes(second, 2, 3)), self.theta)


class Framed(Whitened):
    """y = A (x - m), the mean subtracted first: tight components far from the origin keep their digits."""

    def _place(self, points: Points) -> None:
        r, k, d = self.shape
        self.means = Deviation(self.theta, points)
        self.table = _sent(np.broadcast_to(self.theta.whiteners, (r, k, d, d)).reshape(r * k, d, d), points)

    def see(self, chunk: Chunk) -> Tensor:
        return torch.bmm(self.table, self.means.subtracted(chunk))

    def gather(self, chunk: Chunk, seen: Tensor, resp: Tensor) -> Tensor:
        resp = resp.view(seen.shape[0], 1, -1)
        weighted = seen * resp
        second = torch.bmm(weighted, seen.transpose(1, 2)).flatten(1)
        return torch.cat([resp.sum(2), weighted.sum(2), second], dim=1)

    def moments(self, table: np.ndarray) -> Moments:
        r, k, d = self.shape
        table = table.reshape(r, k, -1)
        second = table[..., d + 1 :].reshape(r, k, d, d)
        return Moments(table[..., 0], table[..., 1 : d + 1], second, self.theta)


class Scaled(Whitened):
    """y = (x - m) / sd, for diagonal and spherical covariances; `exact` counts what float32 cut off."""

    def __init__(self, theta: Mixture, points: Points, exact: bool) -> None:
        self.exact = exact
        super().__init__(theta, points)

    def _place(self, points: Points) -> None:
        self.means = Deviation(self.theta, points, self.exact)
        self.scales = _sent(self.theta.whiteners.reshape(self.shape[0] * self.shape[1], -1, 1), points)

    def see(self, chunk: Chunk) -> Tensor:
        return self.means.subtracted(chunk).mul_(self.scales)

    def gather(self, chunk: Chunk, seen: Tensor, resp: Tensor) -> Tensor:
        resp = resp.view(seen.shape[0], 1, -1)
        weighted = seen * resp
        return torch.cat([resp.sum(2), weighted.sum(2), weighted.mul_(seen).sum(2)], dim=1)

    def moments(self, table: np.ndarray) -> Moments:
        r, k, d = self.shape
        table = table.reshape(r, k, -1)
        second = table[..., d + 1 :]
        if self.theta.kind == "spherical":
            second = second.sum(2)
        return Moments(table[..., 0], table[..., 1 : d + 1], second, self.theta)


class Deviation:
    """x - m for every component; in float32 as two differences, of leading and of lost digits."""

    def __init__(self, theta: Mixture, points: Points, exact: bool = True) -> None:
        means = theta.means.reshape(-1, theta.means.shape[2], 1)
        self.high, self.low = _sent(means, points), None
        if exact and points.dtype == torch.float32:
            self.low = _sent(means - means.astype(np.float32), points)

    def subtracted(self, chunk: Chunk) -> Tensor:
        """(R K, D, n)."""
        apart = chunk.x[1:] - self.high
        if self.low is not None and chunk.low is not None:
            apart += chunk.low - self.low
        return apart


def _features(x: Tensor, kind: str) -> Tensor:
    """[1, x] and the products x_i x_j (i <= j), the squares, or their sum."""
    ones, x = x[:1], x[1:]
    if kind == "full":
        i, j = torch.triu_indices(len(x), len(x), device=x.device)
        return torch.cat([ones, x, x[i] * x[j]])
    squares = x.square()
    return torch.cat([ones, x, squares if kind == "diag" else squares.sum(0, keepdim=True)])


def _expanded(theta: Mixture) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The coefficients of x (R, K, D) and of the quadratic features (R, K, ...), and |A m|^2 (R, K)."""
    a, m = theta.whiteners, theta.means
    if theta.kind in ("full", "tied"):
        precisions = np.swapaxes(a, 2, 3) @ a
        linear = (precisions @ m[..., None])[..., 0]
        i, j, halves = _pairs(m.shape[2])
        quadratic = precisions[..., i, j] * halves
        return linear, quadratic if theta.kind == "full" else m[..., :0], (linear * m).sum(2)
    precisions = a**2 if theta.kind == "diag" else (a**2)[..., None]
    linear = m * precisions
    return linear, -0.5 * precisions, (linear * m).sum(2)


@cache
def _pairs(width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """i, j of the products x_i x_j (i <= j), and what a quadratic form -1/2 x^T P x takes of each P_ij."""
    i, j = np.triu_indices(width)
    return i, j, np.where(i == j, -0.5, -1.0)


def _symmetric(upper: np.ndarray, width: int) -> np.ndarray:
    i, j, _ = _pairs(width)
    full = np.empty((*upper.shape[:-1], width, width))
    full[..., i, j] = upper
    full[..., j, i] = upper
    return full


def _sent(table: np.ndarray, points: Points) -> Tensor:
    return torch.from_numpy(np.require(table, requirements=["C", "W"])).to(points.dtype).to(points.device)


def _cut(exact: np.ndarray, sent: Tensor) -> np.ndarray:
    """What the points' dtype has rounded away."""
    if sent.dtype == torch.float64:
        return np.zeros(exact.shape)
    kept = sent.cpu().numpy().astype(np.float64)
    return np.subtract(exact, kept, out=np.zeros(exact.shape), where=np.isfinite(exact))
