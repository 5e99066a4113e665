"""A mixture of Gaussians in the plane as q, differentiable in all its parameters."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lvmviz.core import choice, knob
from lvmviz.families.plane import Frame, Frames, Plane, cholesky
from lvmviz.families.plane_gaussian import FullRank
from lvmviz.families.quantile import Parts, quantile

SIZE = 5  # numbers of a part
RADIUS = 0.6 * math.sqrt(2.0)  # of the circle that a start's centres stand on, in its sds


@choice
class MixtureQ(Plane):
    """Up to five Gaussians that may lean: phi = (logits of the weights but the last, then every part's five).

    A part's five are those of a full Gaussian; the last weight's logit is 0. `sample` inverts the
    distribution function of x at Phi(first noise), then that of y given x, a mixture too, at Phi(second), and
    is differentiated implicitly: a smooth map of the noise, so that its gradients are unbiased in the weights
    too, and no part has to be drawn (Rosenblatt, 1952; Figurnov, Mohamed and Mnih, 2018).
    """

    title = "Mixture of Gaussians"
    parts: int = knob(3, 1, 5, "How many Gaussians.", label="Parts", more=True)

    @property
    def names(self) -> tuple[str, ...]:
        logits = [f"logit {m}" for m in range(1, self.parts)]
        return (*logits, *(f"{name} {m}" for m in range(1, self.parts + 1) for name in FullRank().names))

    def at(self, loc: Tensor, scale: Tensor) -> Tensor:
        """The parts on a circle, so that they can part; q's mean and sds are the ones asked for."""
        scale = scale.expand_as(loc)
        lonely = self.parts == 1
        turn = torch.arange(self.parts).to(loc) * (2.0 * math.pi / self.parts) + 0.25 * math.pi
        circle = (0.0 if lonely else RADIUS) * torch.stack([turn.cos(), turn.sin()], -1)
        centres = loc[..., None, :] + scale[..., None, :] * circle
        log_sds = (scale.log() + (0.0 if lonely else math.log(0.8)))[..., None, :].expand_as(centres)
        each = torch.cat([centres, log_sds, torch.zeros_like(centres[..., :1])], -1)
        return self.joined(torch.zeros_like(each[..., :-1, 0]), each)

    def joined(self, logits: Tensor, each: Tensor) -> Tensor:
        """phi (..., P) of logits (..., M - 1) and the parts' numbers (..., M, 5)."""
        return torch.cat([logits, each.flatten(-2)], -1)

    def split(self, phi: Tensor) -> tuple[Tensor, Tensor]:
        """The logits (..., M - 1) and the parts' numbers (..., M, 5), each as of a full Gaussian."""
        return phi[..., : self.parts - 1], phi[..., self.parts - 1 :].unflatten(-1, (self.parts, SIZE))

    def frames(self, phi: Tensor) -> Frames:
        logits, each = self.split(phi)
        whole = torch.nn.functional.pad(logits, (0, 1))
        return Frames(torch.log_softmax(whole, -1), FullRank().frame(each))

    def log_prob(self, phi: Tensor, z: Tensor) -> Tensor:
        log_weights, each = self.frames(phi)
        heights = each.log_prob(z[..., None, :, :])  # (..., M, S)
        return torch.logsumexp(log_weights[..., None] + heights, -2)

    def carried(self, phi: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """An image for every part: no distribution function has to be inverted."""
        log_weights, each = self.frames(phi)
        z = each.place(noise)
        log_q = self.log_prob(phi, z.flatten(-3, -2)).unflatten(-1, z.shape[-3:-1])
        return log_weights, z, log_q

    def sample(self, phi: Tensor, noise: Tensor) -> Tensor:
        logits, each = self.split(phi)
        log_weights = torch.log_softmax(torch.nn.functional.pad(logits, (0, 1)), -1)
        mean_x, mean_y, log_x, log_y, below = (part[..., None, :] for part in each.unbind(-1))
        across = Parts(log_weights[..., None, :], mean_x, log_x)
        x = quantile(across, noise[..., 0])
        e = across.standardized(x)  # (..., S, M)
        given_x = torch.log_softmax(across.log_weights - 0.5 * e**2 - log_x, -1)
        y = quantile(Parts(given_x, mean_y + below * e, log_y), noise[..., 1])
        return torch.stack([x, y], -1)

    def frame(self, phi: Tensor) -> Frame:
        log_weights, (centres, factors) = self.frames(phi)
        weights = log_weights.exp()
        centre = (weights[..., None] * centres).sum(-2)
        away = weights.sqrt()[..., None] * (centres - centre[..., None, :])
        within = (weights[..., None, None] * (factors @ factors.mT)).sum(-3)
        return Frame(centre, cholesky(within + away.mT @ away))

    def mean_sd(self, phi: Tensor) -> tuple[Tensor, Tensor]:
        frame = self.frame(phi)
        return frame.centre, frame.sds()

    def entropy(self, phi: Tensor) -> Tensor | None:
        return FullRank().entropy(phi) if self.parts == 1 else None
