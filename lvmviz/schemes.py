"""How clusters are found: EM and its relatives, which differ in a line of E or of M."""

from __future__ import annotations

import abc
from typing import ClassVar

import torch
from torch import Tensor

from lvmviz.core import Choice, choice, knob
from lvmviz.mixtures import GaussianMixtureParams

HARD = 1e-12  # of the variances: so narrow, a posterior leaves each point to its nearest centre
TIE = 37.0  # nats by which the earlier of two equally near centres is preferred: e^-37 is lost beside 1
ROUNDING = 1e-10  # of a ball's width
NONE = 1e-12  # of all points; a component with fewer has no mean


class Scheme(Choice):
    """What E and M are. q is told as the theta whose posterior it is.

    A theta may have leading dimensions: many mixtures side by side, each treated alone.
    """

    closes: ClassVar[bool] = True  # E makes q the posterior, so that KL = 0
    maximizes: ClassVar[bool] = False  # M goes all the way in all of theta: then pi_k = N_k / N
    free: ClassVar[bool] = True  # weights and covariances are learned, too
    e_does: ClassVar[str] = "q becomes the posterior; the gap closes"
    e_again: ClassVar[str] = "E again changes nothing: q already is the posterior, KL = 0. Press M."
    e_left: ClassVar[str] = "q is the posterior, the bound is tight"
    m_does: ClassVar[str] = "θ maximizes the ELBO; both rise"
    m_left: ClassVar[str] = "higher, no longer tight"
    m_again: ClassVar[str] = "M again changes nothing: θ already maximizes the ELBO of this q. Press E."

    def start(self, theta: GaussianMixtureParams, spread: Tensor) -> GaussianMixtureParams:
        """Where it begins; `spread` (D, D) is the covariance of all points."""
        return theta

    def e(self, theta: GaussianMixtureParams) -> GaussianMixtureParams:
        """The theta whose posterior q becomes."""
        return theta

    @abc.abstractmethod
    def m(self, best: GaussianMixtureParams, now: GaussianMixtureParams) -> GaussianMixtureParams:
        """The next theta; `best` is the one that maximizes the ELBO of this q."""

    def settled(
        self, theta: GaussianMixtureParams, theta_q: GaussianMixtureParams, rise: float, least: float
    ) -> bool:
        """Whether an iteration that lifted the log-likelihood by `rise` nats was the last worth taking."""
        return bool(self.still(theta, theta_q, torch.tensor(rise, dtype=torch.float64), least))

    def still(
        self, theta: GaussianMixtureParams, theta_q: GaussianMixtureParams, rise: Tensor,
        least: Tensor | float,
    ) -> Tensor:  # fmt: skip
        """The same of each of many mixtures, as bools of the shape of `rise`."""
        return rise < least


@choice
class ExpectationMaximization(Scheme):
    """E moves q onto the posterior, M moves θ to the top of the ELBO (Dempster, Laird and Rubin, 1977)."""

    title = "EM"
    maximizes = True

    def m(self, best: GaussianMixtureParams, now: GaussianMixtureParams) -> GaussianMixtureParams:
        return best


@choice
class GeneralizedEM(Scheme):
    """M goes only a part of the way to the maximum: the likelihood still never falls.

    It maximizes what q and theta's own posterior moments say together, the moments (pi_k, pi_k mu_k,
    pi_k (Sigma_k + mu_k mu_k')) mixed: so the ELBO rises (Neal and Hinton, 1998).
    """

    title = "Generalized EM"
    part: float = knob(0.3, 0.05, 1.0, "How far M goes: 1 is EM.", label="Part of the M-step")
    m_does = "θ goes a part of the way to the maximum of the ELBO; both rise"
    m_again = "In this trace E and M take turns, though another M would go on rising. Press E."

    def m(self, best: GaussianMixtureParams, now: GaussianMixtureParams) -> GaussianMixtureParams:
        old, new = (1.0 - self.part) * now.weights, self.part * best.weights
        weights = old + new
        share = (new / weights)[..., None]
        apart = best.means - now.means
        means = now.means + share * apart
        within = now.covariances + share[..., None] * (best.covariances - now.covariances)
        between = (share * (1.0 - share))[..., None] * apart.unsqueeze(-1) * apart.unsqueeze(-2)
        return GaussianMixtureParams(weights, means, within + between)


class Balls(Scheme):
    """Equal balls of a fixed size: only the centres move."""

    free = False
    stiffness: float  # the mean variance of the columns is 2 stiffness times that of a ball

    def start(self, theta: GaussianMixtureParams, spread: Tensor) -> GaussianMixtureParams:
        width = spread.shape[-1]
        variance = spread.diagonal().mean() / (2.0 * self.stiffness)
        if not float(variance) > 0.0:
            raise ValueError("all points are the same: there is nothing to divide")
        ball = variance * torch.eye(width, dtype=spread.dtype, device=spread.device)
        return theta._replace(covariances=ball.expand_as(theta.covariances).contiguous())

    def m(self, best: GaussianMixtureParams, now: GaussianMixtureParams) -> GaussianMixtureParams:
        held = (best.weights > NONE)[..., None]
        return now._replace(means=torch.where(held, best.means, now.means))


@choice
class SoftKMeans(Balls):
    """EM for equal balls of a fixed size: only the centres move (MacKay, 2003).

    q(z_n = k) is proportional to exp(-stiffness |x_n - mu_k|² / v), v the mean variance of the columns.
    """

    title = "Soft k-means"
    stiffness: float = knob(10.0, 0.1, 1000.0, "The stiffer, the less a point is shared.", scale="log")
    m_does = "every centre moves to the mean of its points; both rise"


@choice
class KMeans(Balls):
    """Every point belongs wholly to the nearest centre: soft k-means with a q without doubt (Lloyd, 1982).

    The ELBO is what it lifts; the gap to the log-likelihood stays open.
    """

    title = "k-means"
    stiffness: ClassVar[float] = 10.0
    closes = False
    e_does = "every point goes to its nearest centre; of all q with whole points the smallest gap"
    e_again = "E again changes nothing: every point is with its nearest centre. Press M."
    e_left = "every point is with its nearest centre, a gap stays"
    m_does = "every centre moves to the mean of its points; the ELBO rises"
    m_left = "the ELBO is higher, and the gap another"

    def e(self, theta: GaussianMixtureParams) -> GaussianMixtureParams:
        count, most = theta.weights.shape[-1], 700.0 if theta.weights.dtype == torch.float64 else 80.0
        order = torch.arange(count, dtype=theta.weights.dtype, device=theta.weights.device)
        weights = torch.softmax(-min(TIE, most / max(count - 1, 1)) * order, 0)
        return theta._replace(weights=weights.expand_as(theta.weights), covariances=HARD * theta.covariances)

    def still(
        self, theta: GaussianMixtureParams, theta_q: GaussianMixtureParams, rise: Tensor,
        least: Tensor | float,
    ) -> Tensor:  # fmt: skip
        # a point that changes its centre moves two centres by far more; less is rounding
        moved = (theta.means - theta_q.means).abs().amax((-2, -1))
        return moved <= ROUNDING * theta.covariances.diagonal(dim1=-2, dim2=-1).amax((-2, -1)).sqrt()
