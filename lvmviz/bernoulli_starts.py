"""Where EM for Bernoulli mixtures starts: the first means. Weights are equal."""

from __future__ import annotations

import abc

import numpy as np
import torch
from torch import Tensor

from lvmviz.core import Choice, Key, choice, knob


class BernoulliStart(Choice):
    """How the first means of a Bernoulli mixture are found."""

    @abc.abstractmethod
    def means(self, key: Key, x: Tensor, count: int) -> Tensor:
        """The first means (count, D), between 0 and 1, for rows x (N, D) of zeros and ones."""


@choice
class BlurredImages(BernoulliStart):
    """Images drawn at random, each pulled half way to the mean of all and to noise.

    They are drawn as `BernoulliMixture(random_state=key % 2**32)` draws them: one from each of equal parts of
    the images along a random direction, so that their order does not matter.
    """

    def means(self, key: Key, x: Tensor, count: int) -> Tensor:
        return blurred(_numbers(key), count, x, x.mean(0))


@choice
class NearlyAlike(BernoulliStart):
    """The mean of all images for every component, shaken a little: EM has to tell them apart first."""

    shake: float = knob(0.02, 0.001, 0.5, "The share of noise in a mean.", more=True)

    def means(self, key: Key, x: Tensor, count: int) -> Tensor:
        return (1.0 - self.shake) * x.mean(0) + self.shake * _noise(_numbers(key), count, x)


def blurred(
    rng: np.random.RandomState, count: int, x: Tensor, average: Tensor, weights: Tensor | None = None
) -> Tensor:
    """Rows of x (N, D), each pulled half way to the average (D,) and to noise, (count, D).

    One from each of equal parts of them along a random direction: so neither the order of the rows matters,
    nor whether one counts twice, by its weight (N,), or stands there twice.
    """
    direction = torch.from_numpy(rng.standard_normal(x.shape[1])).to(x)
    places = torch.from_numpy((np.arange(count) + rng.uniform(size=count)) / count)
    order = torch.argsort(x @ direction, stable=True)
    share = torch.ones(len(x), dtype=torch.float64, device="cpu") if weights is None else weights[order].cpu()
    share = share.cumsum(0)
    picked = torch.searchsorted(share, places * share[-1]).clamp(max=len(x) - 1)
    return 0.5 * x[order[picked.to(x.device)]] + 0.25 * average + 0.25 * _noise(rng, count, x)


def _numbers(key: Key) -> np.random.RandomState:
    return np.random.RandomState(key % 2**32)


def _noise(rng: np.random.RandomState, count: int, x: Tensor) -> Tensor:
    return torch.from_numpy(rng.uniform(size=(count, x.shape[1]))).to(x)
