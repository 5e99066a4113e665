"""The gradient in theta of log E[p(x | z)] itself: a ratio of two averages, biased and noisy (note 000).

The model is x | z ~ N(z + theta, noise^2 I) with z ~ N(0, I) and theta one number for every coordinate, so
that everything the estimates aim at has a closed form. All gradients are d / d theta, at theta = 0.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from lvmviz.core import Key
from lvmviz.evidence.estimators import drawn
from lvmviz.evidence.exact import iwae
from lvmviz.evidence.models import GaussianLatents
from lvmviz.evidence.proposals import FromPrior, NearPosterior

STEP = 1e-3  # of theta, for the slope of an integral


def exact(model: GaussianLatents) -> float:
    """d log p(x) / d theta = sum_i x_i / (1 + noise^2)."""
    return model.size * model.offset / (1.0 + model.noise**2)


def exact_elbo(model: GaussianLatents, q: NearPosterior) -> float:
    """d ELBO / d theta = E_q[sum (x_i - z_i)] / noise^2, that of log p(x) if q's mean is the posterior's."""
    mean = float((model.posterior()[0] + q.shift * model.posterior()[1])[0])
    return model.size * (model.offset - mean) / model.noise**2


def ratio(model: GaussianLatents, key: Key, repeats: int, counts: Tensor) -> Tensor:
    """Estimates (R, T) from the first k draws of the prior, for every k of `counts` (T,), rising.

    sum_k p(x | z_k) d log p(x | z_k) / sum_k p(x | z_k): both averages are unbiased, their ratio is not.
    """
    slopes, log_weights = _draws(model, FromPrior(), key, repeats, int(counts[-1]))
    whole = torch.logcumsumexp(log_weights, -1)
    # a positive slope's average and a negative one's apart: both have logs
    up = torch.logcumsumexp(log_weights + slopes.clamp(min=0.0).log(), -1)
    down = torch.logcumsumexp(log_weights + (-slopes).clamp(min=0.0).log(), -1)
    return (torch.exp(up - whole) - torch.exp(down - whole))[:, counts - 1]


def elbo(model: GaussianLatents, q: NearPosterior, key: Key, repeats: int, counts: Tensor) -> Tensor:
    """Estimates (R, T) of the ELBO's gradient: plain averages over draws of q, so unbiased at every k."""
    slopes, _ = _draws(model, q, key, repeats, int(counts[-1]))
    return (slopes.cumsum(-1) / torch.arange(1, slopes.shape[-1] + 1))[:, counts - 1]


def expected_ratio(model: GaussianLatents, draws: int) -> float:
    """The expectation of `ratio` from so many draws, by quadrature: the gradient of the IWAE bound.

    d/dtheta E[log 1/K sum p(x | z_k)] with the prior's draws, which theta does not move.
    """
    up, down = (
        _bound(dataclasses.replace(model, offset=model.offset + step), draws) for step in (-STEP, STEP)
    )
    return (up - down) / (2.0 * STEP)


def _bound(model: GaussianLatents, draws: int) -> float:
    bound = iwae(model, FromPrior(), draws)
    if bound is None:
        raise ArithmeticError("the bound of a Gaussian under its prior is one integral")
    return bound


def _draws(
    model: GaussianLatents, proposal: FromPrior | NearPosterior, key: Key, repeats: int, draws: int
) -> tuple[Tensor, Tensor]:
    """d log p(x, z) / d theta and the log weights (R, S), nats, of each draw."""
    slopes, weights = [], []
    for _, z, log_weight in drawn(model, proposal, key, repeats * draws):
        slopes.append((model.offset - z).sum(-1) / model.noise**2)
        weights.append(log_weight)
    return torch.cat(slopes).view(repeats, draws), torch.cat(weights).view(repeats, draws)
