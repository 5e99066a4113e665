"""Where a log density on the line has its mass: modes, kinks and spikes, found before it is integrated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from lvmviz.quadrature.rule import FAR, to_z

LogDensity = Callable[[np.ndarray], np.ndarray]  # z (n,) -> nats (n,), -inf where impossible

MOST_MODES = 64
MOST_PLACES = 64  # looked at closely because the density's own formula names them
JUMP = 1e-3  # nats between neighbours 1e-6 apart: a jump or a border, to be found to the last digit
UNBOUNDED = (
    "the mass of exp(log p) is infinite: log p must fall faster than -log|z| on both sides; "
    "add a prior, -z**2 / 2 say"
)
OVERFLOW = 1e100  # a log density of this size that ends in -inf left the floats, not its support


class NotIntegrable(ValueError):
    """A density with no finite mass: the sentence says why, and what to do about it."""


class Survey(NamedTuple):
    """What quadrature must know of a log density."""

    top: float  # its largest value met, nats
    places: np.ndarray  # where panels should end: the modes, and round them where the density falls
    low: float  # beyond these z the log density leaves the floats
    high: float


def _look() -> np.ndarray:
    """Where to look first: every 1/64 up to 64 so that sd .005 shows on any background, ever wider beyond."""
    fine = np.arange(1, 4097) / 64
    near = 2.0 ** -np.arange(7.0, 60.0, 2.0)[::-1]
    far = 64 * 2 ** (np.arange(1, 641) / 32)
    farther = np.geomspace(far[-1] * 2, FAR, 320)
    side = np.concatenate([near, fine, far, farther])
    return np.concatenate([-side[::-1], [0.0], side])


LOOK = _look()
CLOSER = np.linspace(0.0, 1.0, 257)
STEPS = 2.0 ** np.arange(-27, 10)
STEPS = np.concatenate([-STEPS[::-1], STEPS])
COARSE = to_z(np.linspace(-6, 6, 25))


def survey(log_f: LogDensity, rounds: int = 3, near: Sequence[float] = ()) -> Survey:
    """The modes and the range, by looking on many scales; NotIntegrable when there is nothing.

    Each round finds the modes 128 times more closely, from the third on to 1e-7. `near` are places to look at
    more closely.
    """
    with np.errstate(all="ignore"):
        look = _look_near(near)
        height = log_f(look)
        _refuse(look, height)
        low, high = _reach(look, height)
        modes = _closer(log_f, *_peaks(look, height), rounds)
        around = modes[:, None] + np.maximum(1.0, np.abs(modes))[:, None] * STEPS
        tops = log_f(modes)
        drop = tops[:, None] - log_f(around.ravel()).reshape(around.shape)
        falls = around[(drop > 0.3) & (drop < 200.0)]  # a parabola falls fourfold a step: none ends above 50
        top = float(max(height.max(), tops.max(initial=-np.inf)))
        return Survey(
            top, np.concatenate([COARSE, modes, falls, _valleys(log_f, look, height, rounds)]), low, high
        )


def _look_near(places: Sequence[float]) -> np.ndarray:
    if not places:
        return LOOK
    centre = np.array(places[:MOST_PLACES])[:, None]
    closely = centre + np.maximum(1.0, np.abs(centre)) * np.concatenate([STEPS, [0.0]])
    return np.unique(np.concatenate([LOOK, closely.clip(LOOK[0], LOOK[-1]).ravel()]))


def _valleys(log_f: LogDensity, look: np.ndarray, height: np.ndarray, rounds: int) -> np.ndarray:
    """Where panels should end between modes: narrow ones far apart meet there in nearly a kink."""
    depth = np.where(np.isfinite(height), -height, -np.inf)
    lows = _closer(lambda z: -log_f(z), *_peaks(look, depth), rounds)
    near = lows[:, None] + np.maximum(1.0, np.abs(lows))[:, None] * STEPS
    rise = log_f(near.ravel()).reshape(near.shape) - log_f(lows)[:, None]
    return np.concatenate([lows, near[(rise > 0.3) & (rise < 200.0)]])


def _refuse(look: np.ndarray, height: np.ndarray) -> None:
    best = int(height.argmax())
    if np.isneginf(height[best]):
        raise NotIntegrable("log p is -inf or undefined at every z; make it finite where z is possible")
    if best in (0, len(look) - 1):
        raise NotIntegrable(UNBOUNDED)
    if np.isposinf(height[best]):
        raise NotIntegrable(f"log p is +inf at z = {look[best]:g}: no density there; keep it finite")


def _reach(look: np.ndarray, height: np.ndarray) -> tuple[float, float]:
    first, last = np.flatnonzero(np.isfinite(height))[[0, -1]]
    low = look[first] if height[first] < -OVERFLOW else -FAR
    high = look[last] if height[last] < -OVERFLOW else FAR
    return float(low), float(high)


def _peaks(look: np.ndarray, height: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The brackets of the highest local maxima."""
    centre = height[1:-1]
    peak = 1 + np.flatnonzero((centre >= height[:-2]) & (centre > height[2:]))
    peak = peak[np.argsort(-height[peak])[:MOST_MODES]]
    return look[peak - 1], look[peak + 1]


def _closer(log_f: LogDensity, left: np.ndarray, right: np.ndarray, rounds: int) -> np.ndarray:
    """The maximum in every bracket, by looking again and again; no derivative, so kinks are found too."""
    left, best, right, drop = _zoom(log_f, left, right, rounds)
    jump = drop > JUMP
    if jump.any():
        best[jump] = _zoom(log_f, left[jump], right[jump], 5)[1]
    return best


def _zoom(log_f: LogDensity, left: np.ndarray, right: np.ndarray, rounds: int) -> tuple[np.ndarray, ...]:
    """The best place, its neighbours, and how far the lower of them lies below it."""
    rows = np.arange(len(left))
    best, drop = left, left
    for _ in range(rounds):
        z = left[:, None] + (right - left)[:, None] * CLOSER
        height = log_f(z.ravel()).reshape(z.shape)
        peak = height.argmax(1)
        before, after = np.maximum(peak - 1, 0), np.minimum(peak + 1, len(CLOSER) - 1)
        left, best, right = z[rows, before], z[rows, peak], z[rows, after]
        drop = height[rows, peak] - np.minimum(height[rows, before], height[rows, after])
    return left, best, right, drop
