"""k-hat: how heavy the tail of importance weights is, by a generalized Pareto fit to the largest of them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

LEAST = 5  # of the largest weights: fewer tell no shape
PRIOR_COUNT, PRIOR_SHAPE = 10, 0.5  # the shape is drawn towards 1/2 by so many observations
SCALE = 3.0  # of the prior on b, in units of the first quartile
NEGLIGIBLE = 10 * torch.finfo(torch.float64).eps
LOG_TINY = math.log(torch.finfo(torch.float64).tiny)  # nats below the largest weight: nothing beside it
EQUAL = 1e-10  # nats between weights that differ by rounding alone
GOOD, BAD = 0.7, 1.0  # below, an estimate from enough draws can be believed; above, the weights have no mean


def khat(log_weights: Tensor) -> Tensor:
    """The shape k (R,) of the tail of weights (R, S): they have 1/k moments.

    -inf where the largest are all equal, inf where those beyond the cutoff are too few to tell (Vehtari,
    Simpson, Gelman, Yao and Gabry, 2024, "Pareto smoothed importance sampling"; the fit is that of Zhang and
    Stephens, 2009).
    """
    count = tail_length(log_weights.shape[-1])
    if count >= log_weights.shape[-1]:
        return torch.full(log_weights.shape[:-1], torch.inf, dtype=torch.float64)
    top = log_weights.topk(count + 1, -1).values
    shifted = top - top[..., :1]
    cutoff = shifted[..., -1:].clamp(min=LOG_TINY)
    beyond = torch.expm1(shifted[..., :-1] - cutoff) * cutoff.exp()
    lengths = beyond.gt(0).sum(-1)  # ties at the cutoff leave fewer beyond it
    k = torch.full(log_weights.shape[:-1], torch.inf, dtype=torch.float64)
    for met in lengths.unique().tolist():
        rows = lengths == met
        if met >= LEAST:
            k[rows] = pareto_shape(beyond[rows][..., :met].flip(-1))
    return torch.where(top[..., 0] - top[..., -1] < EQUAL, -torch.inf, k)


def running_khat(log_weights: Tensor, counts: Tensor) -> Tensor:
    """k-hat (R, T) of the first k weights of each row (R, S), for every k of `counts` (T,)."""
    return torch.stack([khat(log_weights[..., :count]) for count in counts.tolist()], -1)


def tail_length(draws: int) -> int:
    """How many of the largest weights the fit is made to: a fifth of them, at most 3 sqrt(S)."""
    return math.ceil(min(draws / 5, 3.0 * math.sqrt(draws)))


def pareto_shape(x: Tensor) -> Tensor:
    """The shape k (R,) of generalized Pareto variables x > 0 (R, n), rising, by their profile likelihood.

    Averaged over a grid of b = -k / scale and drawn a little towards 1/2; k > 0 is a heavy tail.
    """
    n = x.shape[-1]
    grid = 30 + int(math.sqrt(n))
    index = torch.arange(1, grid + 1, dtype=torch.float64, device=x.device) - 0.5
    quartile = x[..., int(n / 4 + 0.5) - 1].unsqueeze(-1)
    b = (1.0 - (grid / index).sqrt()) / (SCALE * quartile) + 1.0 / x[..., -1:]
    shape = torch.log1p(-b.unsqueeze(-1) * x.unsqueeze(-2)).mean(-1)
    log_lik = n * (torch.log(-b / shape) - shape - 1.0)
    weight = torch.softmax(log_lik, -1)
    weight = torch.where(weight >= NEGLIGIBLE, weight, 0.0)
    b = (b * weight).sum(-1, keepdim=True) / weight.sum(-1, keepdim=True)
    k = torch.log1p(-b * x).mean(-1)
    return (n * k + PRIOR_COUNT * PRIOR_SHAPE) / (n + PRIOR_COUNT)


def fewest_draws(k: float) -> float:
    """How many draws an estimate needs for its error to be what it says, 10^(1 / (1 - max(0, k)))."""
    return 10.0 ** (1.0 / (1.0 - max(0.0, k))) if k < 1.0 else math.inf


def believable(draws: int) -> float:
    """The k-hat up to which so many draws can be believed: min(1 - 1 / log10 S, .7)."""
    return min(1.0 - 1.0 / math.log10(draws), GOOD) if draws > 10 else 0.0
