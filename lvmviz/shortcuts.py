"""What EM for tables with gaps is compared with: no gaps, complete rows alone, gaps filled with means."""

from __future__ import annotations

import torch
from torch import Tensor

from lvmviz.incomplete_gaussian import GaussianParams, column_means


def sample_moments(points: Tensor, weights: Tensor | None = None) -> GaussianParams:
    """Maximum likelihood of whole points (N, D): their mean and covariance (1/N)."""
    counts = torch.ones_like(points[:, 0]) if weights is None else weights.to(points)
    mean = (counts[:, None] * points).sum(0) / counts.sum()
    apart = points - mean
    return GaussianParams(mean, apart.T @ (counts[:, None] * apart) / counts.sum())


def complete_case(points: Tensor, weights: Tensor | None = None) -> GaussianParams | None:
    """The moments of the rows without gaps alone; None where there are none."""
    whole = ~points.isnan().any(1)
    if not bool(whole.any()):
        return None
    return sample_moments(points[whole], None if weights is None else weights[whole])


def mean_imputation(points: Tensor, weights: Tensor | None = None) -> GaussianParams:
    """The moments after each gap was filled with its column's mean: the variances are too small."""
    means = column_means(points, weights)
    return sample_moments(torch.where(points.isnan(), means, points), weights)
