"""Where a log density on the plane has its mass: its modes, how wide they are, and a frame round them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lvmviz.quadrature.plane.cells import LogDensity
from lvmviz.quadrature.plane.coordinates import Frame
from lvmviz.quadrature.survey import NotIntegrable

UNBOUNDED = (
    "the mass of exp(log p) is infinite: log p must fall faster than -2 log|z| in every direction; "
    "add a prior, -(x**2 + y**2) / 2 say"
)
MOST_MODES = 16
CLIMBS = 40
CLOSE = 1e-4  # steps: what is narrower is found later
LOW = 60.0  # nats below the highest: no mode that counts


def _look() -> np.ndarray:
    """Places on either axis: every half up to 8, ever wider beyond, closer round 0."""
    side = np.concatenate([[0.02, 0.1, 0.25], np.arange(1, 17) / 2, 8.0 * 2.0 ** np.arange(1, 18)])
    return np.concatenate([-side[::-1], [0.0], side])


LOOK = _look()
STENCIL = np.stack(np.meshgrid(*[np.arange(-2, 3) / 2] * 2, indexing="ij"), -1).reshape(-1, 2)
TURNS = np.linspace(0.0, 2.0 * np.pi, 48, endpoint=False)
RING = np.concatenate([r * np.stack([np.cos(TURNS), np.sin(TURNS)], -1) for r in (0.05, 0.3, 1.0)])
STEPS = 2.0 ** np.arange(-24, 12)


class Survey(NamedTuple):
    """What quadrature must know of a log density."""

    top: float  # its largest value met, nats
    frame: Frame
    modes: np.ndarray  # (K, 2)
    widths: np.ndarray  # (K, 2) how far along either axis until it has fallen by half a nat


def survey(log_f: LogDensity) -> Survey:
    """The modes and the spread, by looking on many scales; NotIntegrable when there is nothing."""
    with np.errstate(all="ignore"):
        z = np.stack(np.meshgrid(LOOK, LOOK, indexing="ij"), -1)
        height = log_f(z.reshape(-1, 2)).reshape(z.shape[:-1])
        _refuse(height)
        modes, tops = _climbed(log_f, *_peaks(height))
        widths = _widths(log_f, modes, tops)
        top = float(tops.max())
        kept = (tops > top - LOW) & ~_on_a_ridge(log_f, modes, tops, widths) | (tops == top)
        return Survey(top, _frame(z, height - top, modes, tops - top, widths), modes[kept], widths[kept])


def _refuse(height: np.ndarray) -> None:
    best = np.unravel_index(int(height.argmax()), height.shape)
    if np.isneginf(height[best]):
        raise NotIntegrable("log p is -inf or undefined at every z; make it finite where z is possible")
    if np.isposinf(height[best]):
        x, y = LOOK[list(best)]
        raise NotIntegrable(f"log p is +inf at z = ({x:g}, {y:g}): no density there; keep it finite")
    if {0, len(LOOK) - 1} & set(best):
        raise NotIntegrable(UNBOUNDED)


def _peaks(height: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The highest local maxima (K, 2) of the look, and the spacing (K, 2) round them."""
    inner = height[1:-1, 1:-1]
    peak = np.isfinite(inner)
    for i in (0, 1, 2):
        for j in (0, 1, 2):
            if (i, j) != (1, 1):
                other = height[i : i + inner.shape[0], j : j + inner.shape[1]]
                peak &= inner > other if (i, j) > (1, 1) else inner >= other
    rows, columns = np.nonzero(peak)
    best = np.argsort(-inner[rows, columns])[:MOST_MODES]
    at = np.stack([rows[best], columns[best]], -1) + 1
    return LOOK[at], np.maximum(LOOK[at + 1] - LOOK[at], LOOK[at] - LOOK[at - 1])


def _climbed(log_f: LogDensity, z: np.ndarray, step: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The tops (K, 2) of the hills and their heights: from step to step, shorter when there is no higher."""
    rows = np.arange(len(z))
    for _ in range(CLIMBS):
        around = z[:, None] + step[:, None] * STENCIL
        height = log_f(around.reshape(-1, 2)).reshape(around.shape[:-1])
        best = height.argmax(1)
        best = np.where(height[rows, best] > height[:, len(STENCIL) // 2], best, len(STENCIL) // 2)
        z = around[rows, best]
        step = np.where(np.abs(STENCIL[best]) < 1.0, 0.5 * step, step)
        if (step < CLOSE).all():
            break
    z = z[np.unique(np.round(z, 3), axis=0, return_index=True)[1]]
    return z, log_f(z)


def _widths(log_f: LogDensity, modes: np.ndarray, tops: np.ndarray) -> np.ndarray:
    """How far along either axis (K, 2) until the density has fallen by half a nat."""
    reach = np.maximum(1.0, np.abs(modes))  # (K, 2)
    found = []
    for axis in (0, 1):
        step = np.zeros((len(modes), len(STEPS), 2, 2))
        step[..., axis] = (reach[:, axis, None] * STEPS)[..., None] * np.array([-1.0, 1.0])
        z = modes[:, None, None] + step
        fall = (tops[:, None, None] - log_f(z.reshape(-1, 2)).reshape(z.shape[:-1])).max(-1)
        found.append(reach[:, axis] * STEPS[np.where(fall > 0.5, 1, 0).argmax(1)])
    return np.stack(found, -1)


def _on_a_ridge(log_f: LogDensity, modes: np.ndarray, tops: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """Whether (K,) it goes on up from there, in a direction in which steps along the axes do not lead."""
    z = modes[:, None] + widths[:, None] * RING
    return log_f(z.reshape(-1, 2)).reshape(z.shape[:-1]).max(-1) > tops


def _frame(
    z: np.ndarray, height: np.ndarray, modes: np.ndarray, tops: np.ndarray, widths: np.ndarray
) -> Frame:
    """Median and spread along either axis, of the look's mass and the modes' together."""
    area = np.log(np.outer(np.gradient(LOOK), np.gradient(LOOK)))
    spread = modes[:, None] + np.array([-1.0, 0.0, 1.0])[:, None] * widths[:, None]  # (K, 3, 2)
    own = np.repeat(tops + np.log(2.0 * widths.prod(-1)), 3)
    places = np.concatenate([z.reshape(-1, 2), spread.reshape(-1, 2)])
    weights = np.concatenate([(height + area).ravel(), own])
    weights = np.exp(weights - weights.max())
    low, middle, high = _quantiles(places, weights, (0.16, 0.5, 0.84)).T
    apart = 0.25 * np.interp(middle, LOOK, np.gradient(LOOK))  # all the mass may be at one place of the look
    return Frame(middle, np.diag(np.where(high > low, 0.5 * (high - low), apart)))


def _quantiles(places: np.ndarray, weights: np.ndarray, shares: tuple[float, ...]) -> np.ndarray:
    """Along either axis (2, Q) the places below which these shares of the weights lie."""
    found = []
    for line in places.T:
        order = np.argsort(line)
        mass = np.cumsum(weights[order])
        found.append(line[order[np.searchsorted(mass, np.array(shares) * mass[-1])]])
    return np.array(found)
