"""One encoder for all data against one q for each, in one dimension, where every integral is exact."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from lvmviz.core import Algorithm, Choice, Key, choice, generator, knob
from lvmviz.latent_model import LOG_2PI, hermite, log_prior
from lvmviz.optimizers import LBFGS, Hill, Memory, remembered

NODES, EVEN = 40, 81  # of means over q: Gauss-Hermite for the ELBO, even ones for the KL
EDGE, LATTICE = 7.0, 4001  # how far z reaches in sums over it, and how many nodes there are
CLIMB = LBFGS(memory=10)
ALIKE = 1e-7  # nats: two optima of one height, as where x has two z
ARRIVED = 1e-5  # the gradient's length, nats
DECODERS = {
    "line": lambda z: z,
    "sigmoid": lambda z: 4.0 * torch.sigmoid(2.0 * z) - 2.0,
    "square": lambda z: z.square() - 1.0,
}
FIRST = (2.0, 1.0, 0.1, 0.1)  # standard deviations of an MLP's first slopes, shifts and outer weights
Answer = tuple[Tensor, Tensor]  # a value and its gradient
SLOPES = {  # of these, by z
    "line": torch.ones_like,
    "sigmoid": lambda z: 8.0 * torch.sigmoid(2.0 * z) * torch.sigmoid(-2.0 * z),
    "square": lambda z: 2.0 * z,
}
CAPACITIES = ("constant", "linear", "MLP")


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
        """E_q[log p(x, z) - log q(z)], nats (...), of q = N(mean, exp(log_sd)^2)."""
        nodes, weights = hermite(NODES, 1)
        z = mean.unsqueeze(-1) + log_sd.exp().unsqueeze(-1) * nodes[:, 0]
        return self.log_joint(x.unsqueeze(-1), z) @ weights + log_sd + 0.5 * (1.0 + LOG_2PI)

    def slopes(self, x: Tensor, mean: Tensor, log_sd: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The ELBO (n,), and what it gains by mean and by log sd; autograd would take five times as long."""
        (nodes, weights), sd = hermite(NODES, 1), log_sd.exp()[:, None]
        z = mean[:, None] + sd * nodes[:, 0]
        away = (x[:, None] - DECODERS[self.mean](z)) / self.noise
        pull = away * SLOPES[self.mean](z) / self.noise - z
        height = -0.5 * (away.square() + z.square()) - LOG_2PI - math.log(self.noise)
        value = height @ weights + log_sd + 0.5 * (1.0 + LOG_2PI)
        return value, pull @ weights, (pull * nodes[:, 0] * sd) @ weights + 1.0

    def climb_slope(self, x: Tensor, phi: Tensor) -> Answer:
        """The ELBO (n,) of x (n,) under q's of means and log sds (n, 2), and its gradient (n, 2)."""
        value, by_mean, by_log_sd = self.slopes(x, *phi.unbind(1))
        return value, torch.stack([by_mean, by_log_sd], 1)

    def log_evidence(self, x: Tensor) -> Tensor:
        """log p(x), nats (n,), by a sum over z that converges exponentially."""
        z = torch.linspace(-EDGE, EDGE, LATTICE, dtype=torch.float64, device="cpu")
        return torch.logsumexp(self.log_joint(x[:, None], z), 1) + math.log(2.0 * EDGE / (LATTICE - 1))

    def gap(self, x: Tensor, mean: Tensor, log_sd: Tensor) -> Tensor:
        """KL(q || p(z | x)), nats (n,): the mean of log q - log p(z | x) over even nodes of q."""
        e = torch.linspace(-8.0, 8.0, EVEN, dtype=torch.float64, device="cpu")
        weights = torch.softmax(-0.5 * e.square(), 0)
        z = mean[:, None] + log_sd.exp()[:, None] * e
        log_q = -0.5 * (e.square() + LOG_2PI) - log_sd[:, None]
        return (log_q - self.log_joint(x[:, None], z)) @ weights + _evidence(self, tuple(x.tolist()))

    def best(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log sd (n,) of the Gaussian of highest ELBO found for every x (n,)."""
        starts = torch.cat([self._starts(x), torch.zeros(1, len(x), 2).to(x)])  # (S, n, 2)
        ask = remembered(lambda phi: self.climb_slope(x.repeat(len(starts)), phi))
        phi = starts.flatten(0, 1)
        memory = CLIMB.init(phi)
        for _ in range(60):
            memory, phi = CLIMB.step(memory, phi, Hill(ask, lambda at: at))
            if float(ask(phi)[1].norm(dim=1).max()) < ARRIVED:
                break
        value = ask(phi)[0].view(len(starts), -1)
        value = value.nan_to_num(-torch.inf)
        highest = (value >= value.amax(0) - ALIKE).int().argmax(0)  # the first of those that are alike
        return tuple(phi.view(len(starts), -1, 2)[highest, torch.arange(len(x))].unbind(1))  # type: ignore[return-value]

    def _starts(self, x: Tensor) -> Tensor:
        """The moments of either half of the posterior, and of all of it (3, n, 2)."""
        z = torch.linspace(-EDGE, EDGE, 701, dtype=torch.float64, device="cpu")
        joint = self.log_joint(x[:, None], z)
        halves = [*(joint.masked_fill(side, -1e3) for side in (z < 0.0, z > 0.0)), joint]
        weight = torch.softmax(torch.stack(halves), 2)
        mean = weight @ z
        variance = (weight * (z - mean[..., None]).square()).sum(-1)
        return torch.stack([mean, 0.5 * (variance + 1e-4).log()], 2)


@functools.lru_cache(maxsize=64)
def _evidence(decoder: OneLatentDecoder, x: tuple[float, ...]) -> Tensor:
    return decoder.log_evidence(torch.tensor(x, dtype=torch.float64, device="cpu"))


class AmortizedState(NamedTuple):
    """The encoder's numbers, and what L-BFGS remembers."""

    phi: Tensor  # (1, P)
    memory: Memory
    iteration: Tensor  # () int64
    asked: Tensor  # () int64, gradients of the ELBO of one datum


class AmortizedInfo(NamedTuple):
    """The numbers after a step, nats per training datum."""

    iteration: int
    elbo: float
    gap: float  # KL(q || p(z | x))
    asked: int  # gradients of one datum's ELBO so far
    slope: float  # the gradient's length


@choice
class AmortizedVI(Algorithm):
    """Amortized variational inference: one encoder x -> q(z | x) climbs the mean ELBO of all training data.

    q = N(m(x), s(x)^2). The encoder is constant, linear in x, or an MLP with one hidden layer of tanh; the
    training x lie evenly on [-reach, reach]. L-BFGS on the exact ELBO: what is left is not noise.
    """

    title = "Amortized VI"
    decoder: OneLatentDecoder = knob(OneLatentDecoder(), help="The model.", label="Decoder")
    capacity: str = knob("MLP", help="What the encoder can be.", label="Encoder", options=CAPACITIES)
    hidden: int = knob(8, 1, 64, "Units of the MLP's hidden layer.", label="Hidden units", more=True)
    reach: float = knob(1.5, 0.5, 3.0, "The encoder sees x from minus this to this.", label="Trained up to")
    count: int = knob(40, 2, 400, "How many training data.", label="Training x", scale="box", more=True)

    @classmethod
    def idle(cls, values: Mapping[str, Any]) -> tuple[str, ...]:
        return () if values.get("capacity", "MLP") == "MLP" else ("hidden",)

    def init(self, key: Key) -> tuple[AmortizedState, AmortizedInfo]:
        phi = torch.zeros(1, self._size(), dtype=torch.float64, device="cpu")
        if self.capacity == "MLP":
            draw = torch.randn(4 * self.hidden, generator=generator(key), dtype=torch.float64, device="cpu")
            widths = torch.tensor(FIRST, dtype=torch.float64, device="cpu").repeat_interleave(self.hidden)
            phi[0, : 4 * self.hidden] = draw * widths
        zero = torch.zeros((), dtype=torch.int64, device="cpu")
        return self._told(phi, CLIMB.init(phi), zero, zero)

    def step(self, key: Key, state: AmortizedState) -> tuple[AmortizedState, AmortizedInfo]:
        asked: list[int] = []
        ask = remembered(lambda phi: (asked.append(1), self._slope(phi))[1])
        memory, phi = CLIMB.step(state.memory, state.phi, Hill(ask, lambda at: at))
        more = state.asked + len(asked) * self.count  # what is asked for the numbers does not count
        return self._told(phi, memory, state.iteration + 1, more, ask(phi))

    def finished(self, state: AmortizedState, info: AmortizedInfo) -> bool:
        return info.slope < ARRIVED

    def effort(self) -> float:
        """Some questions a step, each an encoder's pass and the decoder at every node."""
        return 3e6 + 200.0 * self.count * (NODES + self.hidden)

    def x(self) -> Tensor:
        """The training data (count,)."""
        return torch.linspace(-self.reach, self.reach, self.count, dtype=torch.float64, device="cpu")

    def encode(self, phi: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log sd (n,) of q for x (n,), from numbers phi (P,)."""
        if self.capacity == "constant":
            return phi[0].expand_as(x), phi[1].expand_as(x)
        if self.capacity == "linear":
            return phi[0] + phi[1] * x, phi[2] + phi[3] * x
        slopes, shifts, first, second = phi[: 4 * self.hidden].view(4, -1)
        hidden = torch.tanh(x[:, None] / self.reach * slopes + shifts)
        return hidden @ first + phi[-2], hidden @ second + phi[-1]

    def _size(self) -> int:
        return {"constant": 2, "linear": 4, "MLP": 4 * self.hidden + 2}[self.capacity]

    def _slope(self, phi: Tensor) -> Answer:
        """The mean ELBO (1,) and its gradient (1, P)."""
        x = self.x()
        value, by_mean, by_log_sd = self.decoder.slopes(x, *self.encode(phi[0], x))
        gradient = self._back(phi[0], x, by_mean / len(x), by_log_sd / len(x))
        return value.mean()[None], gradient[None]

    def _back(self, phi: Tensor, x: Tensor, by_mean: Tensor, by_log_sd: Tensor) -> Tensor:
        """What the encoder's numbers gain (P,), from what every mean and log sd gains (n,)."""
        ends = torch.stack([by_mean.sum(), by_log_sd.sum()])
        if self.capacity == "constant":
            return ends
        if self.capacity == "linear":
            return torch.stack([ends[0], by_mean @ x, ends[1], by_log_sd @ x])
        slopes, shifts, first, second = phi[: 4 * self.hidden].view(4, -1)
        scaled = x[:, None] / self.reach
        hidden = torch.tanh(scaled * slopes + shifts)
        within = (by_mean[:, None] * first + by_log_sd[:, None] * second) * (1.0 - hidden.square())
        parts = (scaled * within).sum(0), within.sum(0), by_mean @ hidden, by_log_sd @ hidden, ends
        return torch.cat(parts)

    def _told(
        self, phi: Tensor, memory: Memory, iteration: Tensor, asked: Tensor, known: Answer | None = None
    ) -> tuple[AmortizedState, AmortizedInfo]:
        value, slope = self._slope(phi) if known is None else known
        with torch.no_grad():
            gap = self.decoder.gap(self.x(), *self.encode(phi[0], self.x())).mean()
        info = AmortizedInfo(int(iteration), float(value), float(gap), int(asked), float(slope.norm()))
        return AmortizedState(phi, memory, iteration, asked), info


# ---- one q for each datum ----


class Inner(NamedTuple):
    """One q for each of n data, climbing by itself."""

    gaps: np.ndarray  # (steps + 1, n) KL(q || p(z | x)), nats
    asked: np.ndarray  # (steps + 1,) gradients taken for each datum so far


def climbed_from(decoder: OneLatentDecoder, x: Tensor, start: Tensor, steps: int) -> Inner:
    """Steps of L-BFGS on every x's own ELBO, from means and log sds (n, 2).

    From an encoder's q's this is semi-amortized inference.
    """
    count = [0]

    def slope(phi: Tensor) -> tuple[Tensor, Tensor]:
        count[0] += 1
        return decoder.climb_slope(x, phi)

    ask = remembered(slope)
    phi, memory, asked = start, CLIMB.init(start), [0]
    gaps = [decoder.gap(x, *start.unbind(1))]
    for _ in range(steps):
        memory, phi = CLIMB.step(memory, phi, Hill(ask, lambda at: at))
        gaps.append(decoder.gap(x, *phi.unbind(1)))
        asked.append(count[0])
    return Inner(torch.stack(gaps).numpy(), np.array(asked))
