"""How M moves (beta, lambda), given what the posterior over the weights expects: EM and its relatives."""

from __future__ import annotations

import abc
from typing import ClassVar

from lvmviz.core import Choice, choice, knob
from lvmviz.linear_evidence import Decomposed, Precisions, WeightsPosterior, determined, expected, slope


class EvidenceUpdate(Choice):
    """What the M-step does with q(w)."""

    maximizes: ClassVar[bool] = False  # the ELBO, so that the evidence cannot fall

    @abc.abstractmethod
    def __call__(self, theta: Precisions, q: WeightsPosterior, data: Decomposed) -> Precisions:
        """The next theta; q is the posterior of `theta`."""


@choice
class Maximization(EvidenceUpdate):
    """M maximizes the ELBO: beta = N / E|y - Xw|², lambda = D / E|w|² (note 003)."""

    title = "EM"
    maximizes = True

    def __call__(self, theta: Precisions, q: WeightsPosterior, data: Decomposed) -> Precisions:
        squares = expected(q, data)
        return Precisions(data.rows / squares.error, len(data.values) / squares.size)


@choice
class FixedPoint(EvidenceUpdate):
    """MLE-II: solve for where the evidence's gradient is 0, all else as it is (MacKay, 1992).

    lambda = gamma / |m|², beta = (N - gamma) / |y - X m|², with gamma = sum_i beta s_i / (lambda + beta s_i),
    the number of weights that the data determine. Faster than EM as a rule. It does not maximize the bound:
    from far away M lowers the ELBO while the evidence rises.
    """

    title = "MLE-II fixed point"

    def __call__(self, theta: Precisions, q: WeightsPosterior, data: Decomposed) -> Precisions:
        gamma = determined(theta, data)
        missed = (data.pulled - data.values.sqrt() * q.means).square().sum() + data.rest
        return Precisions((data.rows - gamma) / missed, gamma / q.means.square().sum())


@choice
class EvidenceAscent(EvidenceUpdate):
    """A step of gradient ascent on the log evidence per datum, in (log beta, log lambda)."""

    title = "Gradient ascent"
    rate: float = knob(1.0, 0.01, 10.0, "How far a step goes.", label="Learning rate", scale="log")

    def __call__(self, theta: Precisions, q: WeightsPosterior, data: Decomposed) -> Precisions:
        step = (self.rate / data.rows * slope(theta, expected(q, data), data)).exp()
        return Precisions(theta.beta * step[0], theta.lambda_ * step[1])
