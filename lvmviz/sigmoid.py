"""The explicit sigmoid decoder of note 001 with two latents and two features: nothing of it is learned."""

from __future__ import annotations

import torch
from torch import Tensor

from lvmviz.core import Choice, choice, knob
from lvmviz.latent_model import LatentModel, sigmoid_decoder, with_squares

_A = "How steeply the mean of x follows z."
_B = "How steeply the variance of x follows z."
_C = "Shifts where the mean turns."
_D = "Shifts where the variance turns."


@choice
class SigmoidModel(Choice):
    """The sigmoid decoder of note 001 with two latents, two features and one datum x that was seen.

    z ~ N(0, I), x | z ~ N(s(A z + c), noise^2 diag exp s(B z + d)), s the logistic sigmoid; with noise 1
    the variances lie between 1 and e, as in the note.
    """

    x1: float = knob(0.9, -2.0, 3.0, "The datum's first feature.", label="Datum x₁")
    x2: float = knob(0.9, -2.0, 3.0, "The datum's second feature.", label="Datum x₂")
    noise: float = knob(0.1, 0.02, 1.0, "Multiplies x's standard deviation; the note has 1.", label="Noise")
    a11: float = knob(4.0, -12.0, 12.0, _A, label="A₁₁")
    a12: float = knob(4.0, -12.0, 12.0, _A, label="A₁₂", more=True)
    a21: float = knob(-4.0, -12.0, 12.0, _A, label="A₂₁", more=True)
    a22: float = knob(4.0, -12.0, 12.0, _A, label="A₂₂")
    b11: float = knob(0.0, -12.0, 12.0, _B, label="B₁₁", more=True)
    b12: float = knob(0.0, -12.0, 12.0, _B, label="B₁₂", more=True)
    b21: float = knob(0.0, -12.0, 12.0, _B, label="B₂₁", more=True)
    b22: float = knob(0.0, -12.0, 12.0, _B, label="B₂₂", more=True)
    c1: float = knob(0.0, -12.0, 12.0, _C, label="c₁", more=True)
    c2: float = knob(0.0, -12.0, 12.0, _C, label="c₂", more=True)
    d1: float = knob(0.0, -12.0, 12.0, _D, label="d₁", more=True)
    d2: float = knob(0.0, -12.0, 12.0, _D, label="d₂", more=True)

    def model(self) -> LatentModel:
        """Decoder and prior, for what is exact; its x are those of `datum`."""
        a = _table([[self.a11, self.a12], [self.a21, self.a22]])
        b = _table([[self.b11, self.b12], [self.b21, self.b22]])
        return sigmoid_decoder(a, b, _table([self.c1, self.c2]), _table([self.d1, self.d2]), self.noise)

    def datum(self) -> Tensor:
        """x and its squares (1, 4), as the model sees them."""
        return with_squares(_table([[self.x1, self.x2]]))

    def sample(self, count: int, draw: torch.Generator) -> Tensor:
        """x (count, 2) from the model."""
        z, noise = (torch.randn((count, 2), generator=draw, dtype=torch.float64, device="cpu") for _ in "zx")
        eta, _ = self.model().natural(z)
        precision = -2.0 * eta[:, 2:]
        return eta[:, :2] / precision + noise / precision.sqrt()


def _table(numbers: object) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64, device="cpu")
