"""A font of ten digits, 7 rows of 5 pixels, and the mixture that draws them with flipped pixels."""

from __future__ import annotations

import torch
from torch import Tensor

from lvmviz.bernoulli_mixture import BernoulliMixtureParams

ROWS, COLUMNS = 7, 5
FLIP = 0.05  # how often a pixel is not what its digit says
_DIGITS = """01110 10001 10011 10101 11001 10001 01110 | 00100 01100 00100 00100 00100 00100 01110
    | 01110 10001 00001 00010 00100 01000 11111 | 11111 00010 00100 00010 00001 10001 01110
    | 00010 00110 01010 10010 11111 00010 00010 | 11111 10000 11110 00001 00001 10001 01110
    | 00110 01000 10000 11110 10001 10001 01110 | 11111 00001 00010 00100 01000 01000 01000
    | 01110 10001 10001 01110 10001 10001 01110 | 01110 10001 10001 01111 00001 00010 01100"""


def font_digits() -> Tensor:
    """The ten digits (10, 35), zeros and ones, row by row."""
    drawn = [[float(sign) for sign in "".join(digit.split())] for digit in _DIGITS.split("|")]
    return torch.tensor(drawn, dtype=torch.float64, device="cpu")


def font_mixture(flip: float = FLIP) -> BernoulliMixtureParams:
    """Every digit is as likely as any other; each of its pixels is flipped with probability `flip`."""
    drawn = font_digits()
    weights = torch.full((len(drawn),), 1.0 / len(drawn), dtype=drawn.dtype)
    return BernoulliMixtureParams(weights, drawn * (1.0 - flip) + (1.0 - drawn) * flip)
