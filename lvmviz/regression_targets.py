"""Posteriors of two parameters that real data left over: logistic regression, and eight schools."""

from __future__ import annotations

import functools
import math
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from lvmviz.core import choice, knob
from lvmviz.datasets import BreastCancer, Iris
from lvmviz.targets import LOG_2PI, Decoder, normal

SOURCES = {  # the data, and the two labels that are told apart
    "iris": (Iris(features=("petal length",)), 1, 2),
    "breast cancer": (BreastCancer(features=("radius",)), 1, 0),
}
EFFECTS = (28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0)  # Rubin (1981), points of the test
ERRORS = (15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0)


class PlaneDecoder(Decoder):
    """A posterior on the plane that follows from its model."""

    dim: ClassVar[int] = 2


@choice
class LogisticRegression(PlaneDecoder):
    """Two weights, p(class 1 | v) = sigmoid(z1 + z2 v) with v one standardized measurement; z ~ N(0, sd^2 I).

    Iris: virginica (1) against versicolor by petal length. Breast cancer: malignant (1) against benign by
    the nuclei's radius. Fewer rows, evenly taken from all, leave a wider posterior.
    """

    title = "Logistic regression"
    data: str = knob("iris", help="Whose rows.", label="Data", options=tuple(SOURCES))
    rows: int = knob(
        100, 2, 569, "How many rows were seen; all, where there are fewer.", label="Rows", scale="box"
    )
    prior_sd: float = knob(
        3.0, 0.1, 10.0, "The standard deviation of either weight's prior.", label="Prior width"
    )

    def log_prior(self, z: Tensor) -> Tensor:
        return normal(z[..., 0], 0.0, self.prior_sd) + normal(z[..., 1], 0.0, self.prior_sd)

    def log_likelihood(self, z: Tensor) -> Tensor:
        """sum over rows of y f - log(1 + e^f), f = z1 + z2 v; equal rows are counted, not repeated."""
        values, counts, ones, weighted = (part.to(z) for part in rows_of(self.data, self.rows))
        f = z[..., 0:1] + z[..., 1:2] * values
        return z[..., 0] * ones + z[..., 1] * weighted - torch.nn.functional.softplus(f) @ counts


@functools.lru_cache(maxsize=64)
def rows_of(data: str, count: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The different values (U,) of the measurement, how often each was seen (U,), sum of y, and of y v."""
    v, y = measured(data, count)
    values, times = np.unique(v, return_counts=True)
    return tuple(torch.from_numpy(np.asarray(part, float)) for part in (values, times, y.sum(), y @ v))  # type: ignore[return-value]


def measured(data: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The measurement (N,), standardized, and the class (N,), 0 or 1, of so many rows."""
    source, zero, one = SOURCES[data]
    table = source.table()
    assert table.labels is not None
    kept = np.flatnonzero((table.labels == zero) | (table.labels == one))
    v = table.points[kept, 0]
    taken = np.linspace(0, len(kept) - 1, min(count, len(kept))).round().astype(int)
    return ((v - v.mean()) / v.std())[taken], (table.labels[kept] == one)[taken].astype(float)


@choice
class EightSchools(PlaneDecoder):
    """Coaching in eight schools (Rubin, 1981): z = (mu, log tau), the schools' own effects integrated out.

    Effect of school j | mu, tau ~ N(mu, tau^2), measured with sd s_j: y_j ~ N(mu, tau^2 + s_j^2). Priors
    mu ~ N(0, scale^2), tau ~ half-Cauchy(scale) (Gelman et al., "Bayesian data analysis"; 5 in posteriordb).
    """

    title = "Eight schools"
    scale: float = knob(5.0, 0.5, 25.0, "The priors' scale, points of the test.", label="Prior scale")

    def log_prior(self, z: Tensor) -> Tensor:
        """log p(mu) + log p(tau) + log tau, the last for the coordinate."""
        mu, log_tau = z.unbind(-1)
        away = log_tau - math.log(self.scale)
        spread = math.log(2.0 / math.pi) + away - torch.nn.functional.softplus(2.0 * away)
        return normal(mu, 0.0, self.scale) + spread

    def log_likelihood(self, z: Tensor) -> Tensor:
        effects, errors = z.new_tensor(EFFECTS), z.new_tensor(ERRORS)
        log_variance = torch.logaddexp(2.0 * z[..., 1:2], 2.0 * errors.log())
        off = (effects - z[..., 0:1]) * torch.exp(-0.5 * log_variance)
        return -0.5 * (off.square() + log_variance + LOG_2PI).sum(-1)
