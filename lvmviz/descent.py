"""Adam on a few flat vectors, in place: what trains a network fast on any device."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class FusedAdam:
    """Adam (Kingma and Ba, 2015, algorithm 1; beta 0.9 and 0.999) on copies of what it is given.

    The operator that `torch.optim.Adam(fused=True)` calls; the class itself first loads a compiler, 1.3 s.
    """

    def __init__(
        self, weights: Sequence[Tensor], first: Sequence[Tensor], second: Sequence[Tensor], updates: Tensor,
        rate: float,
    ) -> None:  # fmt: skip
        self.rate = rate
        self._leaves = [part.clone().requires_grad_() for part in weights]
        self.first, self.second = ([part.clone() for part in parts] for parts in (first, second))
        device = self._leaves[0].device
        self._updates = [n.to(device=device, dtype=torch.float32, copy=True) for n in updates.unbind()]

    @property
    def weights(self) -> list[Tensor]:
        """What the weights have become."""
        return [leaf.detach() for leaf in self._leaves]

    def updates(self) -> Tensor:
        """How often each part was moved, int64 on the CPU."""
        return torch.tensor([int(n) for n in self._updates], dtype=torch.int64, device="cpu")

    def leaves(self, count: int) -> list[Tensor]:
        """The weights, of which the first `count` parts are to be differentiated by."""
        return [leaf if k < count else leaf.detach() for k, leaf in enumerate(self._leaves)]

    def step(self, loss: Tensor, count: int) -> None:
        """Move the first `count` parts one step down the loss."""
        self.move(torch.autograd.grad(loss, self._leaves[:count]), count)

    def move(self, slopes: Sequence[Tensor], count: int) -> None:
        """Move the first `count` parts one step against their slopes."""
        leaves, first, second, updates = (
            part[:count] for part in (self._leaves, self.first, self.second, self._updates)
        )
        with torch.no_grad():
            for n in updates:
                n += 1
            torch.ops.aten._fused_adam_(
                leaves, list(slopes[:count]), first, second, [], updates,
                lr=self.rate, beta1=0.9, beta2=0.999,
                weight_decay=0.0, eps=1e-8, amsgrad=False, maximize=False,
            )  # fmt: skip
