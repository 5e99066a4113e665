"""What Gaussians over the digits' principal components stand for: their means as images."""

from __future__ import annotations

import numpy as np

from lvmviz.datasets import Dataset, Digits
from lvmviz.observations import DigitImages
from lvmviz.runs.job import Trace
from lvmviz.summaries.em import means, table_points


def has_pca_images(data: Dataset) -> bool:
    """Whether the points are images seen through their principal components."""
    return isinstance(data, Digits)


def pca_images(trace: Trace) -> np.ndarray:
    """The means of a mixture over `Digits` as images (T, K, 8, 8); what falls outside 0...1 is cut off.

    The pixels' regression on the principal components is the inverse of PCA: the components have mean 0 and
    are uncorrelated, so that each loading is a regression of its own.
    """
    scores, pixels = table_points(trace), DigitImages().examples().x.astype(float)
    average = pixels.mean(0)
    loadings = scores.T @ (pixels - average) / (scores**2).sum(0)[:, None]  # (D, 64)
    return np.clip(average + means(trace) @ loadings, 0.0, 1.0).reshape(len(trace), -1, 8, 8)
