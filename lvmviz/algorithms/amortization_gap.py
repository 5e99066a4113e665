"""The gap between log p(x) and an encoder's ELBO, split: what its family costs, and what sharing it costs.

KL(q_phi(z | x) || p(z | x)) = [ELBO(q*) - ELBO(q_phi)] + KL(q* || p(z | x)), q* the best of the family for
this x alone: the amortization gap and the approximation gap (Cremer, Li and Duvenaud, 2018, "Inference
suboptimality in variational autoencoders"). Two latents, float64 on the CPU, nats.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import torch
from torch import Tensor

from lvmviz.algorithms.plane_newton import Rule, climbed, elbo_at, rule_of
from lvmviz.amortized import Q
from lvmviz.families import AffineCoupling, Flow, Frame
from lvmviz.families.plane import cholesky
from lvmviz.latent import Exact, LatentPlane
from lvmviz.latent_model import TOLERANCE, LatentModel, chunks, elbo
from lvmviz.optimizers import LBFGS, Hill, remembered, slope_of

ROUGH, FINE, ORDER = 6, 9, 12  # Gauss-Hermite nodes along a side: to find the hill, its top, its height
ROUGHLY, SETTLED = 1e-5, 1e-10  # nats: a step that gains less is the last
BLOCK = 24  # data that climb at once: what they decode stays in the cache
LATTICE, HALF = 33, 6.4  # nodes along a side, and how far they reach, of a first look at the posterior
WIDE = 0.12  # standard deviation that a q starts with at least: those nodes are 0.4 apart
FLOW_NODES, FLOW_STEPS, FLOW_ROUNDS, FLOW_GAINS = 16, 10, 8, 1e-5


class Split(NamedTuple):
    """The gap of n data in parts, nats; each an integral of its own, total = approximation + amortization."""

    log_evidence: Tensor  # (n,) log p(x)
    total: Tensor  # (n,) KL(q_phi(z | x) || p(z | x)), by a lattice over the plane
    approximation: Tensor  # (n,) KL(q* || p(z | x)), likewise
    amortization: Tensor  # (n,) ELBO(q*) - ELBO(q_phi), both by nodes in q's own coordinates
    error: Tensor  # (n,) how far the rules differ and the parts fail to add up
    elbo: Tensor  # (n,) ELBO(q_phi)
    best: Q  # q*


def split(plane: LatentPlane, x: Tensor, q: Q, posterior: str = "mean-field") -> Split:
    """The gap of q (n) for x (n, D), as the likelihood sees it; `posterior` is the family that q* is of.

    Raises ValueError where q is not of that family: its amortization gap could be negative.
    """
    if posterior == "mean-field" and q.below is not None:
        raise ValueError("the encoder's q has correlations: split its gap by the best full Gaussian")
    best = refined(plane.model, x, q, posterior)
    told, exact = plane.decompose(x, q), plane.decompose(x, best)
    theirs, ours = _bound(plane.model, x, q, told), _bound(plane.model, x, best, exact)
    worse = ours < theirs  # by rounding, where the encoder's is the best
    best = _either(worse, q, best)
    amortization = torch.where(worse, 0.0, ours - theirs)
    approximation = torch.where(worse, told.kl, exact.kl)
    apart = (told.kl - approximation - amortization).abs()
    error = told.error + exact.error + (theirs - told.elbo).abs() + (ours - exact.elbo).abs() + apart
    return Split(told.log_evidence, told.kl, approximation, amortization, error, theirs, best)


def _bound(model: LatentModel, x: Tensor, q: Q, other: Exact) -> Tensor:
    """The ELBO (n,) by nodes in q's own coordinates; by more of them where a lattice says otherwise."""
    rule = rule_of(ORDER, 5)
    parts = [
        elbo_at(lambda z, rows, at=at: model.log_joint(x[at][rows], z), _frame(q.rows(at)), rule)
        for at in chunks(len(x), BLOCK)
    ]
    value = torch.cat(parts)
    (rows,) = (~((value - other.elbo).abs() <= TOLERANCE)).nonzero(as_tuple=True)
    return value.index_copy(0, rows, elbo(model, x[rows], q.rows(rows))[0]) if len(rows) else value


def refined(model: LatentModel, x: Tensor, q: Q, posterior: str = "full") -> Q:
    """The Gaussian of highest ELBO found for every x (n, D), from q and from the posterior's moments.

    Newton's steps on a Gauss-Hermite ELBO, all data at once: what per-datum variational inference ends at.
    """
    parts = [_climbed(model, x[at], q.rows(at), posterior) for at in chunks(len(x), BLOCK)]
    centre, factor = (torch.cat([part[k] for part in parts]) for k in (0, 1))
    return _q(Frame(centre, factor), posterior)


def _climbed(model: LatentModel, x: Tensor, q: Q, posterior: str) -> Frame:
    """Of few data: every start is climbed from roughly, the higher end to its top."""
    size = 5 if posterior == "full" else 4
    ends = []
    for start in (_frame(q), _moments(model, x)):
        flat = start if size == 5 else Frame(start.centre, torch.diag_embed(start.sds()))
        end, hill = climbed(lambda z, rows: model.log_joint(x[rows], z), flat, rule_of(ROUGH, size), ROUGHLY)
        ends.append((end, torch.where(hill.sound(), hill.value, -torch.inf)))
    higher = ends[1][1] > ends[0][1] + 1e-6
    frame = _better(higher, ends[1][0], ends[0][0])
    frame, _ = climbed(lambda z, rows: model.log_joint(x[rows], z), frame, rule_of(FINE, size), SETTLED)
    return frame


def _moments(model: LatentModel, x: Tensor) -> Frame:
    """The Gaussian with about the posterior's mean and covariance, by a coarse lattice over the plane."""
    line = torch.linspace(-HALF, HALF, LATTICE, dtype=torch.float64, device="cpu")
    z = torch.cartesian_prod(line, line)
    with torch.no_grad():
        weight = torch.softmax(model.log_joint_at(x, z), 1)
    centre = weight @ z
    away = z[None] - centre[:, None]
    covariance = (away * weight[..., None]).mT @ away + WIDE**2 * torch.eye(2).to(z)
    return Frame(centre, cholesky(covariance))


def _frame(q: Q) -> Frame:
    return Frame(q.means, q.scale_tril())


def _better(here: Tensor, one: Frame, other: Frame) -> Frame:
    """One frame where `here` (n,), the other elsewhere."""
    return Frame(torch.where(here[:, None], one.centre, other.centre),
                 torch.where(here[:, None, None], one.factor, other.factor))  # fmt: skip


def _either(here: Tensor, one: Q, other: Q) -> Q:
    """One q where `here` (n,), the other elsewhere, of the other's family."""
    made = _better(here, _frame(one), _frame(other))
    return _q(made, "mean-field" if other.below is None else "full")


def _q(frame: Frame, posterior: str) -> Q:
    log_sds = frame.factor.diagonal(dim1=-2, dim2=-1).log()
    return Q(frame.centre, log_sds, frame.factor.tril(-1) if posterior == "full" else None)


# ---- a flow for one datum ----


class Bent(NamedTuple):
    """A flow as the q of one datum: the flow's draws, carried by a Gaussian's frame."""

    family: Flow
    phi: Tensor  # (P,)
    frame: Frame
    kl: float  # KL(q || p(z | x)), nats, the mean of log q - log p(z | x) over q
    error: float  # between two rules

    def draw(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """z (S, 2) of standard normal noise (S, 2), and log q there (S,)."""
        with torch.no_grad():
            u, log_q = self.family.draw(self.phi, noise)
        return self.frame.place(u), log_q - self.frame.log_det()


def refined_flow(plane: LatentPlane, x: Tensor, q: Q, layers: int = 4) -> Bent:
    """The flow of highest ELBO found for one datum x (1, D), from the Gaussian q: affine couplings by L-BFGS.

    A flow may fit the nodes and not the posterior between them: what a finer rule thinks less of is dropped.
    """
    family, frame = Flow(layer=AffineCoupling(), layers=layers), Frame(q.means[0], q.scale_tril()[0])
    evidence, apart = (float(part) for part in plane.log_evidence(x, q))
    height = functools.partial(_flow_elbo, plane.model, x, frame, family)
    fit, check = rule_of(FLOW_NODES, 5), rule_of(1 / 2, 5)
    phi = family.at(*torch.tensor([[0.0, 0.0], [1.0, 1.0]]).to(x))[None]
    climb, ask = LBFGS(memory=12), remembered(lambda at: slope_of(lambda of: height(fit, of), at))
    memory, best, top = climb.init(phi), phi, float(height(check, phi))
    for _ in range(FLOW_ROUNDS):
        for _ in range(FLOW_STEPS):
            memory, phi = climb.step(memory, phi, Hill(ask, lambda at: at))
        now = float(height(check, phi))
        if not now > top + FLOW_GAINS:
            break
        best, top = phi, now
    with torch.no_grad():
        coarse, fine = (float(height(rule_of(kind, 5), best)) for kind in (1 / 3, 1 / 4))
    return Bent(family, best[0], frame, evidence - fine, apart + abs(fine - coarse))


def _flow_elbo(model: LatentModel, x: Tensor, frame: Frame, family: Flow, rule: Rule, phi: Tensor) -> Tensor:
    """E_q[log p(x, z) - log q(z)] (1,) of a flow (1, P) in a frame."""
    u, log_q = family.draw(phi, rule.nodes)
    return (model.log_joint(x, frame.place(u)) - log_q) @ rule.weights + frame.log_det()


__all__ = ["Bent", "Split", "refined", "refined_flow", "split"]
