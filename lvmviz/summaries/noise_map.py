"""z = mean + A e as arrays: a cloud of draws before and after, and what the draws say of its moments."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch

from lvmviz.affine_noise import Affine
from lvmviz.core import Key

MOMENTS = ("mean z₁", "mean z₂", "Var z₁", "Var z₂", "Cov z₁, z₂")


class Moment(NamedTuple):
    """A moment of z: exact, and from the draws with its standard error."""

    name: str
    exact: float
    mean: float
    error: float


class Cloud(NamedTuple):
    """Draws of noise and where g takes them."""

    e: np.ndarray  # (S, 2)
    z: np.ndarray  # (S, 2)
    moments: list[Moment]
    log_noise: float  # log p(e) of the first draw, nats
    log_density: float | None  # log q(z) of the first draw, nats; None where z has no density


def cloud(g: Affine, key: Key, draws: int) -> Cloud:
    """So many draws of a map."""
    e, z = g.points(key, draws)
    at = g.log_density(z[0])
    log_noise = float(-0.5 * e[0].square().sum()) - math.log(2.0 * math.pi)
    return Cloud(e.numpy(), z.numpy(), _moments(g, z), log_noise, None if at is None else float(at))


def _moments(g: Affine, z: torch.Tensor) -> list[Moment]:
    apart = z - z.mean(0)
    products = torch.cat([apart.square(), apart.prod(1, keepdim=True)], 1)
    samples = torch.cat([z, products * len(z) / max(len(z) - 1, 1)], 1)
    covariance = g.covariance()
    exact = [*g.mean().tolist(), *covariance.diagonal().tolist(), float(covariance[0, 1])]
    errors = samples.std(0) / math.sqrt(len(z)) if len(z) > 1 else torch.full((5,), math.nan)
    parts = zip(MOMENTS, exact, samples.mean(0).tolist(), errors.tolist(), strict=True)
    return [Moment(*part) for part in parts]


def map_at(place: tuple[float, ...]) -> Affine:
    """The map whose centre and columns are (cx, cy, a11, a21, a12, a22); ValueError where there is none."""
    if len(place) != 6:
        raise ValueError("a map of the plane has a centre and two columns")
    cx, cy, a11, a21, a12, a22 = (round(number, 2) for number in place)
    return Affine(a11=a11, a12=a12, a21=a21, a22=a22, mean1=cx, mean2=cy)


def place_of(g: Affine) -> tuple[float, float, float, float, float, float]:
    """Its centre and columns, as `map_at` takes them."""
    return g.mean1, g.mean2, g.a11, g.a21, g.a12, g.a22
