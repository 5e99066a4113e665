"""The Gaussian q nearest to a posterior over two latents: what the best encoder could tell of one datum."""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor

from lvmviz.amortized import Q, q_of, q_size
from lvmviz.latent import LatentPlane
from lvmviz.latent_model import LOG_2PI, LatentModel, hermite

ROUGH, FINE = 24, 81  # nodes along a side: to find the hill, and to find its top
REACH = 5.5  # standard deviations of q that the fine nodes cover: beyond are 4e-8 of it
KEPT, STEPS = 5, 60  # starts that are climbed from, and iterations of each


def best_gaussian(model: LatentModel, x: Tensor, posterior: str = "full") -> Q:
    """The q of smallest KL(q || p(z | x)) found for one datum x (1, D).

    L-BFGS climbs a quadrature ELBO from several starts; which top is the best is decided on the exact layer,
    as the nodes of a wide q may miss a narrow posterior.
    """
    rules = hermite(ROUGH, 2), lattice(FINE, REACH)
    rough, fine = (functools.partial(_elbo, model, x, posterior, rule) for rule in rules)
    starts = _starts(posterior)
    with torch.no_grad():
        heights = rough(starts)
    tops = torch.cat([_climbed(rough, starts[i : i + 1]) for i in heights.argsort(descending=True)[:KEPT]])
    if posterior == "full":  # never farther than without correlations
        tops = torch.cat([tops, _told(best_gaussian(model, x, "mean-field"))])
    both = torch.cat([tops, _climbed(fine, tops[_nearest(model, x, q_of(tops, 2, posterior))][None])])
    return q_of(both[_nearest(model, x, q_of(both, 2, posterior))][None], 2, posterior)


def _told(q: Q) -> Tensor:
    """A mean-field q as the numbers (1, 5) of one that may have correlations."""
    return torch.cat([q.means, q.log_sds, torch.zeros_like(q.means[:, :1])], 1)


def _nearest(model: LatentModel, x: Tensor, q: Q) -> int:
    """Which of these q's (n) has the smallest KL to the posterior of x (1, D)."""
    kl = LatentPlane(model).decompose(x.expand(len(q.means), -1), q).kl
    return int(kl.nan_to_num(math.inf).argmin())


def _starts(posterior: str) -> Tensor:
    """Wide and narrow q's over the plane, (n, size)."""
    line = torch.linspace(-2.4, 2.4, 7, dtype=torch.float64, device="cpu")
    places = torch.cartesian_prod(line, line)
    parts = [torch.cat([places, torch.full_like(places, math.log(sd))], 1) for sd in (0.08, 0.25, 0.7)]
    starts = torch.cat(parts)
    return torch.nn.functional.pad(starts, (0, q_size(2, posterior) - 4))


@functools.cache
def lattice(side: int, reach: float) -> tuple[Tensor, Tensor]:
    """Even nodes (side^2, 2) and weights that average over N(0, I), for steep functions."""
    line = torch.linspace(-reach, reach, side, dtype=torch.float64, device="cpu")
    nodes = torch.cartesian_prod(line, line)
    return nodes, torch.softmax(-0.5 * nodes.square().sum(1), 0)


def _elbo(model: LatentModel, x: Tensor, posterior: str, rule: tuple[Tensor, Tensor], told: Tensor) -> Tensor:
    """E_q[log p(x, z)] + H(q), nats (n,), of the q's that `told` (n, size) tells."""
    points, weights = rule
    q = q_of(told, 2, posterior)
    z = q.means.unsqueeze(1) + points @ q.scale_tril().mT
    joint = model.log_joint(x.expand(len(told), -1), z)
    return joint @ weights + q.log_sds.sum(1) + 1.0 + LOG_2PI


def _climbed(height: functools.partial[Tensor], start: Tensor) -> Tensor:
    """Where L-BFGS ends, (1, size)."""
    told = start.clone().requires_grad_()
    climb = torch.optim.LBFGS(
        [told], max_iter=STEPS, tolerance_grad=1e-10, tolerance_change=1e-14, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        climb.zero_grad()
        value = -height(told).sum()
        value.backward()
        return value.detach()

    climb.step(loss)  # type: ignore[arg-type]
    return told.detach()
