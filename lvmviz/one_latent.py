"""A model of one number with one latent, where every integral of its ELBO, gap and evidence is exact.

Means over q are sums over even nodes, which converge exponentially: the ELBO's nodes lie half-way between
those of the KL, so that the two are integrals of their own.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lvmviz import iwae
from lvmviz.core import Choice, choice, knob
from lvmviz.latent_model import LOG_2PI, log_prior

EDGE, LATTICE = 7.0, 4001  # how far z reaches in sums over it, and how many nodes there are
REACH, APART = 8.0, 0.3  # how far the nodes of q reach, and how far apart they are, in its sds
FINEST = 6  # how often they are halved at most where q is wide: tanh(z) has a pole at i pi/2
ALIKE = 1e-7  # nats: two optima of one height, as where x has two z
ROUNDS, HALVINGS, ARRIVED = 60, 14, 1e-10  # of Newton's steps, and the gradient at which they end
DECODERS = {
    "line": lambda z: z,
    "sigmoid": lambda z: 2.0 * torch.tanh(z),
    "square": lambda z: z.square() - 1.0,
}


class Heights(NamedTuple):
    """The ELBO of n q's of means and log sds, nats, with its slopes and their slopes."""

    value: np.ndarray  # (n,)
    slope: np.ndarray  # (n, 2)
    bend: np.ndarray  # (n, 2, 2) the Hessian


def _curve(name: str, z: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """f(z) and its first two derivatives."""
    if name == "sigmoid":
        t = np.tanh(z)
        rest = 1.0 - t * t
        return 2.0 * t, 2.0 * rest, -4.0 * t * rest
    if name == "square":
        return z * z - 1.0, 2.0 * z, np.full_like(z, 2.0)
    return z, np.ones_like(z), np.zeros_like(z)


@functools.cache
def _nodes(level: int, shift: float) -> tuple[np.ndarray, np.ndarray]:
    """Even nodes of a standard normal and their weights; twice as many at every level."""
    apart = APART / 2**level
    count = math.ceil(REACH / apart)
    e = (np.arange(-count, count + 1) + shift) * apart
    weights = np.exp(-0.5 * e * e)
    return e, weights / weights.sum()


@choice
class OneLatentDecoder(Choice):
    """A number z ~ N(0, 1) that makes a number x ~ N(f(z), noise^2).

    f is a line z, a sigmoid 4 s(2z) - 2, which saturates, or a square z^2 - 1, which leaves two z for one x.
    """

    mean: str = knob(
        "sigmoid", help="f: what z makes of x, but for the noise.", label="Decoder f", options=tuple(DECODERS)
    )
    noise: float = knob(0.4, 0.1, 2.0, "The standard deviation of x given z.", label="Noise sd")

    def log_joint(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x, z), nats (...), of numbers x (...) and z (...)."""
        away = (x - DECODERS[self.mean](z)) / self.noise
        return -0.5 * (away.square() + LOG_2PI) - math.log(self.noise) + log_prior(z.unsqueeze(-1))

    def elbo(self, x: Tensor, mean: Tensor, log_sd: Tensor) -> Tensor:
        """E_q[log p(x, z) - log q(z)], nats (n,), of q = N(mean, exp(log_sd)^2)."""
        phi = torch.stack([mean, log_sd], 1)
        return torch.from_numpy(self.heights(x.numpy(), phi.numpy()).value)

    def slopes(self, x: Tensor, mean: Tensor, log_sd: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The ELBO (n,), and what it gains by mean and by log sd."""
        value, slope = self.climb_slope(x, torch.stack([mean, log_sd], 1))
        return value, slope[:, 0], slope[:, 1]

    def climb_slope(self, x: Tensor, phi: Tensor) -> tuple[Tensor, Tensor]:
        """The ELBO (n,) of x (n,) under q's of means and log sds (n, 2), and its gradient (n, 2)."""
        made = self.heights(x.numpy(), phi.numpy())
        return torch.from_numpy(made.value), torch.from_numpy(made.slope)

    def heights(self, x: np.ndarray, phi: np.ndarray, bent: bool = False) -> Heights:
        """The ELBO of x (n,) under q's (n, 2), its gradient, and its Hessian if `bent`, by hand.

        What q's own Gaussian decides is in closed form; the fit to x is a mean over nodes.
        """
        made = Heights(np.empty(len(x)), np.empty((len(x), 2)), np.zeros((len(x), 2, 2)))
        with np.errstate(over="ignore", invalid="ignore"):  # a step too far is a height that is no number
            for rows, level in self._levels(phi[:, 1]):
                self._heights(x[rows], phi[rows], level, bent, rows, made)
        return made

    def _heights(
        self, x: np.ndarray, phi: np.ndarray, level: int, bent: bool, rows: slice | np.ndarray, made: Heights
    ) -> None:
        (e, weights), (mean, log_sd) = _nodes(level, 0.5), phi.T
        sd = np.exp(log_sd)
        f, first, second = _curve(self.mean, mean[:, None] + sd[:, None] * e)
        away = (x[:, None] - f) / self.noise
        pull = away * first / self.noise
        moved = pull @ (weights * e)
        made.value[rows] = (
            -0.5 * ((away * away) @ weights + mean * mean + sd * sd - 1.0 + LOG_2PI)
            - math.log(self.noise)
            + log_sd
        )
        made.slope[rows] = np.stack([pull @ weights - mean, sd * moved - sd * sd + 1.0], 1)
        if bent:
            bend = (away * second / self.noise) - (first / self.noise) ** 2
            across = sd * (bend @ (weights * e))
            wide = sd * moved + sd * sd * (bend @ (weights * e * e)) - 2.0 * sd * sd
            rows_of = np.stack([bend @ weights - 1.0, across, across, wide], 1)
            made.bend[rows] = rows_of.reshape(-1, 2, 2)

    def _levels(self, log_sd: np.ndarray) -> Iterator[tuple[slice | np.ndarray, int]]:
        """Which q's need how fine nodes; polynomials need no finer ones."""
        if self.mean != "sigmoid":
            yield slice(None), 0
            return
        if log_sd.max(initial=-math.inf) <= 0.0:
            yield slice(None), 0
            return
        levels = np.clip(np.ceil(np.nan_to_num(log_sd, nan=0.0) / math.log(2.0)), 0, FINEST).astype(int)
        for level in np.unique(levels):
            yield np.flatnonzero(levels == level), int(level)

    def log_evidence(self, x: Tensor) -> Tensor:
        """log p(x), nats (n,), by a sum over z that converges exponentially; kept."""
        return _evidence(self, tuple(x.tolist()))

    def summed(self, x: Tensor) -> Tensor:
        """The same, computed now."""
        z = torch.linspace(-EDGE, EDGE, LATTICE, dtype=torch.float64, device="cpu")
        return torch.logsumexp(self.log_joint(x[:, None], z), 1) + math.log(2.0 * EDGE / (LATTICE - 1))

    def gap(self, x: Tensor, mean: Tensor, log_sd: Tensor, evidence: Tensor | None = None) -> Tensor:
        """KL(q || p(z | x)), nats (n,): the mean of log q - log p(z | x) over even nodes of q.

        `evidence` is log p(x) (n,) where that is known already.
        """
        found, places, at = np.empty(len(x)), mean.numpy(), log_sd.numpy()
        for rows, level in self._levels(at):
            found[rows] = self._apart(x.numpy()[rows], places[rows], at[rows], level)
        return torch.from_numpy(found) + (self.log_evidence(x) if evidence is None else evidence)

    def _apart(self, x: np.ndarray, mean: np.ndarray, log_sd: np.ndarray, level: int) -> np.ndarray:
        """E_q[log q(z) - log p(x, z)] (n,), by the sum of both."""
        e, weights = _nodes(level, 0.0)
        return -self.log_weights(x, mean, log_sd, e) @ weights

    def log_weights(self, x: np.ndarray, mean: np.ndarray, log_sd: np.ndarray, e: np.ndarray) -> np.ndarray:
        """log p(x, z) - log q(z) (n, E), nats, at z = mean + sd e."""
        z = mean[:, None] + np.exp(log_sd)[:, None] * e
        away = (x[:, None] - _curve(self.mean, z)[0]) / self.noise
        log_joint = -0.5 * (away * away + z * z) - LOG_2PI - math.log(self.noise)
        return log_joint + 0.5 * (e * e + LOG_2PI) + log_sd[:, None]

    def iwae_leaves(
        self, x: Tensor, mean: Tensor, log_sd: Tensor, draws: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """log p(x) - E[log mean of `draws` weights p(x, z) / q(z)] (n,), nats, and how far two rules differ.

        Of one draw it is KL(q || p(z | x)); the more draws, the less.
        """
        left, error = np.empty(len(x)), np.empty(len(x))
        numbers, evidence = x.numpy(), self.log_evidence(x).numpy()
        for rows, level in self._levels(log_sd.numpy()):
            of = numbers[rows], mean.numpy()[rows], log_sd.numpy()[rows]
            rules = (_nodes(level + 2, shift) for shift in (0.0, 0.5))
            one, other = (iwae.bound(self.log_weights(*of, e), chances, draws) for e, chances in rules)
            left[rows], error[rows] = np.maximum(evidence[rows] - one, 0.0), np.abs(one - other)
        return left, error

    def best(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log sd (n,) of the Gaussian of highest ELBO found for every x (n,), by Newton's steps."""
        starts = torch.cat([self._starts(x), torch.zeros(1, len(x), 2).to(x)])  # (S, n, 2)
        phi, value = self._climbed(x.repeat(len(starts)).numpy(), starts.flatten(0, 1).numpy())
        value = np.nan_to_num(value.reshape(len(starts), -1), nan=-np.inf)
        highest = (value >= value.max(0) - ALIKE).argmax(0)  # the first of those that are alike
        found = phi.reshape(len(starts), -1, 2)[highest, np.arange(len(x))]
        return torch.from_numpy(found[:, 0].copy()), torch.from_numpy(found[:, 1].copy())

    def _climbed(self, x: np.ndarray, phi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where n climbs end (n, 2), and how high; each step is halved until it rises."""
        phi, value = phi.copy(), np.full(len(x), np.nan)
        active = np.arange(len(x))
        for _ in range(ROUNDS):
            made = self.heights(x[active], phi[active], bent=True)
            value[active] = made.value
            on = np.abs(made.slope).max(1) > ARRIVED
            if not on.any():
                break
            step, active = _newton(made.slope[on], made.bend[on]), active[on]
            phi[active], risen = self._risen(x[active], phi[active], step, made.value[on])
            active = active[risen]
            if not len(active):
                break
        return phi, value

    def _risen(
        self, x: np.ndarray, phi: np.ndarray, step: np.ndarray, value: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The q's (n, 2) after the first of 1, 1/2, 1/4, ... steps that rise, and which (n,) have risen."""
        phi, left, share = phi.copy(), np.arange(len(x)), 1.0
        risen = np.zeros(len(x), dtype=bool)
        for _ in range(HALVINGS):
            trial = phi[left] + share * step[left]
            up = self.heights(x[left], trial).value > value[left]
            phi[left[up]], risen[left[up]] = trial[up], True
            left, share = left[~up], 0.5 * share
            if not len(left):
                break
        return phi, risen

    def _starts(self, x: Tensor) -> Tensor:
        """The moments of either half of the posterior, and of all of it (3, n, 2)."""
        z = torch.linspace(-EDGE, EDGE, 701, dtype=torch.float64, device="cpu")
        joint = self.log_joint(x[:, None], z)
        halves = [*(joint.masked_fill(side, -1e3) for side in (z < 0.0, z > 0.0)), joint]
        weight = torch.softmax(torch.stack(halves), 2)
        mean = weight @ z
        variance = (weight * (z - mean[..., None]).square()).sum(-1)
        return torch.stack([mean, 0.5 * (variance + 1e-4).log()], 2)


def _newton(slope: np.ndarray, bend: np.ndarray) -> np.ndarray:
    """Uphill steps (n, 2) by the Hessian's size in each direction, none longer than 2."""
    sizes, axes = np.linalg.eigh(np.nan_to_num(bend))
    along = np.einsum("nij,ni->nj", axes, slope) / np.maximum(np.abs(sizes), 1e-6)
    step = np.einsum("nij,nj->ni", axes, along)
    return step * np.minimum(1.0, 2.0 / np.maximum(np.linalg.norm(step, axis=1, keepdims=True), 1e-300))


@functools.lru_cache(maxsize=64)
def _evidence(decoder: OneLatentDecoder, x: tuple[float, ...]) -> Tensor:
    return decoder.summed(torch.tensor(x, dtype=torch.float64, device="cpu"))
