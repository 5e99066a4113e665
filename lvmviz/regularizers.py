"""What keeps a component from collapsing onto a point: a choice, applied to every covariance."""

from __future__ import annotations

import abc

import torch
from torch import Tensor

from lvmviz.core import Choice, choice, knob


class Regularizer(Choice):
    """What is done to the covariances after an M-step."""

    amount: float

    @abc.abstractmethod
    def refuse(self, covariance: Tensor) -> None:
        """Raise ValueError when data of this covariance (D, D) leave no digits for the amount."""

    @abc.abstractmethod
    def __call__(self, covariances: Tensor) -> Tensor:
        """Regularized covariances (..., D, D), in the data's squared units."""


@choice
class Floor(Regularizer):
    """No variance, in any direction, may fall below the amount.

    Clipping the eigenvalues is the exact maximum under that constraint, so EM stays monotone
    (Ingrassia, 2004, "A likelihood-based constrained algorithm for multivariate normal mixture models").
    """

    title = "Floor under the variances"
    amount: float = knob(1e-4, 0.0, 1e-1, "The smallest variance allowed. At 0 a component may collapse.",
                         label="Regularizer", scale="log")  # fmt: skip

    def refuse(self, covariance: Tensor) -> None:
        rounding = torch.finfo(covariance.dtype).eps * float(covariance.diagonal().sum())
        narrowest = float(torch.linalg.eigvalsh(covariance)[0])
        if 0.0 < self.amount < rounding and narrowest < 1e3 * rounding:
            raise ValueError(
                f"the columns' scales differ too much for a regularizer of {self.amount:g}: "
                "bring the columns to similar units, or set the regularizer to 0"
            )

    def __call__(self, covariances: Tensor) -> Tensor:
        if self.amount == 0.0:
            return covariances
        values, vectors = torch.linalg.eigh(covariances)
        if bool((values >= self.amount).all()):
            return covariances  # nothing to mend, and no rounding added
        # what is missing is added, so that the large variances keep their own digits
        missing = (self.amount - values).clamp(min=0.0).unsqueeze(-2)
        return covariances + (vectors * missing) @ vectors.mT


@choice
class Added(Regularizer):
    """The amount is added to every variance, as scikit-learn's reg_covar does.

    The M-step is then no maximum any more, so the log-likelihood may fall by a little.
    """

    title = "Added to the variances"
    amount: float = knob(1e-6, 0.0, 1e-1, "Added to the diagonal of every covariance (reg_covar).",
                         label="Regularizer", scale="log")  # fmt: skip

    def refuse(self, covariance: Tensor) -> None:
        return None  # what is added is added, however little it changes

    def __call__(self, covariances: Tensor) -> Tensor:
        eye = torch.eye(covariances.shape[-1], dtype=covariances.dtype, device=covariances.device)
        return covariances + self.amount * eye
