"""What is drawn of one snapshot: the latent plane, decoded grids, reconstructions, the bent prior."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from lvmviz.kept import kept
from lvmviz.summaries.vae.moment import Half, Moment, decode, half, means, q

SHOWN = 900  # examples whose means are drawn, test examples first
ELLIPSES = 36  # of these have their q drawn
KEPT = 32_000_000  # bytes of each kind of picture that are kept


class Plane(NamedTuple):
    """q of a fixed sample of examples in two of the latents."""

    means: np.ndarray  # (n, 2)
    factors: np.ndarray  # (m, 2, 2) of the first m: lower triangular, covariance = factor factor'
    labels: np.ndarray | None  # (n,) indices into the data's label_names
    rows: np.ndarray  # (n,) which of all examples they are
    tested: np.ndarray  # (n,) bool: whether it is a test example


class Grid(NamedTuple):
    """Decoded images on a square grid of the plane."""

    images: np.ndarray  # (side, side, H, W) from 0 to 1; row 0 is the lowest z_2
    edge: float  # the middles reach from -edge to edge in both latents


class Reconstructions(NamedTuple):
    """Examples, and what the decoder makes of their q's means."""

    x: np.ndarray  # (n, D) as the likelihood sees them
    decoded: np.ndarray  # (n, D)
    rows: np.ndarray  # (n,) which of all examples they are


class Bent(NamedTuple):
    """Draws of the prior, and where the decoder sends them."""

    z: np.ndarray  # (n, latent)
    x: np.ndarray  # (n, D) means of p(x | z)


def _of(at: Moment, *more: object) -> tuple[object, ...]:
    return (*at.key, *more)


def _bytes(made: Any) -> int:
    return sum(part.nbytes for part in made if isinstance(part, np.ndarray))


def shown(at: Moment, count: int = SHOWN) -> tuple[Half, np.ndarray]:
    """The examples (n <= count) whose q is drawn, half of them test examples; and which of them are."""
    test, train = (half(at.vae, name) for name in ("test", "train"))
    tests = min(len(test.x), max(count // 2, count - len(train.x)))
    some = [(test, tests), (train, min(len(train.x), count - tests))]
    x, rows = (np.concatenate([part[k][:n] for part, n in some]) for k in (0, 1))  # type: ignore[misc]
    labels = None if test.labels is None else np.concatenate([part.labels[:n] for part, n in some])  # type: ignore[index]
    order = np.random.default_rng(0).permutation(len(x))  # so that no class is always on top
    made = Half(x[order], rows[order], None if labels is None else labels[order])
    return made, order < tests


@kept(KEPT, _bytes, key=_of)
def plane(at: Moment, axes: tuple[int, int] = (0, 1)) -> Plane:
    """q of the examples that are drawn, in two of the latents."""
    some, tested = shown(at)
    centres = means(at, some.x)
    factor = q(at, some.x[:ELLIPSES]).scale_tril()[:, list(axes)]
    factors = np.linalg.cholesky((factor @ factor.mT).numpy())
    return Plane(centres[:, list(axes)], factors, some.labels, some.rows, tested)


@kept(KEPT, np.size, key=_of)
def all_means(at: Moment, name: str, most: int = 60_000) -> np.ndarray:
    """The means (n, latent) of q of up to `most` examples of a half."""
    return means(at, half(at.vae, name).x[:most])


def placed(axes: tuple[int, int], pairs: np.ndarray, latent: int) -> np.ndarray:
    """Points (..., 2) of two of the latents as whole z (..., latent): the others are 0."""
    z = np.zeros((*pairs.shape[:-1], latent))
    z[..., list(axes)] = pairs
    return z


@kept(KEPT, _bytes, key=_of)
def manifold(at: Moment, axes: tuple[int, int] = (0, 1), side: int = 17, edge: float = 3.0) -> Grid:
    """The decoded images of a grid of z."""
    line = np.linspace(-edge, edge, side)
    pairs = np.stack(np.meshgrid(line, line, indexing="xy"), -1)
    decoded = decode(at, placed(axes, pairs, at.vae.latent))
    shape = at.vae.data.examples().shape
    return Grid(np.clip(decoded, 0.0, 1.0).reshape(side, side, *shape).astype(np.float32), edge)


@kept(KEPT, _bytes, key=_of)
def reconstructions(at: Moment, name: str = "test", count: int = 16) -> Reconstructions:
    """The first examples of a half, of every class in turn, decoded from their q's means."""
    some = half(at.vae, name)
    rows = varied(some.labels, len(some.x), count)
    x = some.x[rows]
    return Reconstructions(x, decode(at, means(at, x)), some.rows[rows])


def varied(labels: np.ndarray | None, total: int, count: int) -> np.ndarray:
    """Which `count` of so many are looked at: the first of every class, then the second of each, ..."""
    if labels is None:
        return np.arange(min(total, count))
    turn = np.zeros(total, dtype=np.int64)
    for label in np.unique(labels):
        mine = np.flatnonzero(labels == label)
        turn[mine] = np.arange(len(mine))
    return np.lexsort((labels, turn))[:count]


@kept(KEPT, _bytes, key=_of)
def bent(at: Moment, count: int = 400) -> Bent:
    """Draws of the prior, always the same, pushed through the decoder."""
    z = np.random.default_rng(7).standard_normal((count, at.vae.latent))
    return Bent(z, decode(at, z))


def keyframes(steps: Sequence[int], most: int, also: Sequence[int] = ()) -> list[int]:
    """Which of the snapshots stand for all: the first, the last, ever wider apart; and some more, in order.

    The places are those of a fixed growing sequence of steps, so that a trace that grows keeps them.
    """
    ratio, at, wanted = 1.5 if most < 16 else 1.2, 1.0, [0]
    while at <= steps[-1]:
        wanted.append(round(at))
        at = max(at * ratio, at + 1.0)
    places = np.searchsorted(np.asarray(steps), sorted(set(wanted))).tolist()
    chosen = sorted(set(places) | {0, len(steps) - 1})
    while len(chosen) > most:
        chosen = sorted({*chosen[::2], chosen[-1]})
    return sorted({*chosen, *also})
