"""Coordinates of the whole plane: z = centre + factor sinh(u), so that a tail is as near as its decades."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

FAR = 80.0  # in u: e^80 / 2 scales from the centre
LOG_2 = float(np.log(2.0))


class Frame(NamedTuple):
    """An affine map of the plane after one sinh along each of its axes."""

    centre: np.ndarray  # (2,)
    factor: np.ndarray  # (2, 2): e -> z - centre

    def to_z(self, u: np.ndarray) -> np.ndarray:
        """Places (..., 2) of the plane."""
        return self.centre + np.sinh(u) @ self.factor.T

    def to_u(self, z: np.ndarray) -> np.ndarray:
        """Their coordinates (..., 2)."""
        return np.arcsinh((z - self.centre) @ np.linalg.inv(self.factor).T)

    def log_slope(self, u: np.ndarray) -> np.ndarray:
        """log |dz / du|, shape (...), nats."""
        return log_cosh(u).sum(-1) + self.log_area

    @property
    def log_area(self) -> float:
        """log |det factor|."""
        return float(np.log(abs(np.linalg.det(self.factor))))


def log_cosh(u: np.ndarray) -> np.ndarray:
    """log cosh u without overflow."""
    far = np.abs(u)
    return far + np.log1p(np.exp(-2.0 * far)) - LOG_2
