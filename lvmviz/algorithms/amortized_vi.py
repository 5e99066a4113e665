"""One encoder for all data against one q for each, in one dimension, where every integral is exact."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from lvmviz.core import Algorithm, Key, choice, generator, knob
from lvmviz.one_latent import DECODERS, OneLatentDecoder
from lvmviz.optimizers import LBFGS, Hill, Memory, remembered

CLIMB = LBFGS(memory=10)
ARRIVED = 1e-5  # the gradient's length, nats
NODES = 60  # of the ELBO's, about
FIRST = (2.0, 1.0, 0.1, 0.1)  # standard deviations of an MLP's first slopes, shifts and outer weights
Answer = tuple[Tensor, Tensor]  # a value and its gradient
CAPACITIES = ("constant", "linear", "MLP")


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
        """The mean ELBO (1,) and its gradient (1, P), by hand and in NumPy: so small, torch mostly waits."""
        x, numbers = self.x().numpy(), phi[0].detach().numpy()
        if self.capacity == "MLP":
            slopes, shifts, first, second = numbers[: 4 * self.hidden].reshape(4, -1)
            scaled = x[:, None] / self.reach
            hidden = np.tanh(scaled * slopes + shifts)
            told = np.stack([hidden @ first, hidden @ second], 1) + numbers[-2:]
        else:
            hidden = np.stack([np.ones_like(x), x][: len(numbers) // 2], 1)
            told = hidden @ numbers.reshape(2, -1).T
        made = self.decoder.heights(x, told)
        by = made.slope / len(x)  # (n, 2) what each mean and log sd gains
        outer = by.T @ hidden  # (2, H)
        if self.capacity == "MLP":
            within = (by @ np.stack([first, second])) * (1.0 - hidden * hidden)
            parts = (scaled * within).sum(0), within.sum(0), outer.ravel(), by.sum(0)
            gradient = np.concatenate(parts)
        else:
            gradient = outer.ravel()
        return torch.tensor([made.value.mean()]), torch.from_numpy(gradient)[None]

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


__all__ = ["CAPACITIES", "DECODERS", "AmortizedVI", "Inner", "OneLatentDecoder", "climbed_from"]
