"""The sigmoid decoder's posterior, the Gaussian q nearest to it, and every term by a rule of its own."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lvmviz.algorithms.best_gaussian import best_gaussian, lattice
from lvmviz.amortized import LOG_2PI, Q
from lvmviz.core import Key, generator
from lvmviz.divergences import Decomposition
from lvmviz.latent import LatentPlane
from lvmviz.latent_model import estimate, log_prior
from lvmviz.sigmoid import SigmoidModel

NODES, REACH = 141, 3.2  # of the picture, along a side, and how far it reaches from 0
CLOUD, DRAWS, SEED = 1500, 100, 0
AGREE = 1e-4  # nats: how far rules may differ before it is said; three decimals are told
SIDE, WIDTH = 401, 8.0  # nodes along a side of means over q, and how many of its sds they reach


class Look(NamedTuple):
    """What is drawn and told of one sigmoid decoder and its datum."""

    z: np.ndarray  # (W,) the nodes of both axes
    likelihood: np.ndarray  # (W, W) p(x | z) / its largest value here; rows are z_2
    posterior: np.ndarray  # (W, W) p(z | x)
    mean: np.ndarray  # (2,) of the best q
    factor: np.ndarray  # (2, 2) lower triangular, covariance = factor factor'
    terms: Decomposition  # of the best q, nats
    posterior_mean: np.ndarray  # (2,)
    posterior_cov: np.ndarray  # (2, 2)
    estimate: tuple[float, float]  # of log p(x) by DRAWS draws of q, and its standard error
    cloud: np.ndarray  # (CLOUD, 2) x drawn from the model
    settled: bool  # whether the rules agree, and log p(x) = ELBO + KL with them


@functools.lru_cache(maxsize=64)
def look(model: SigmoidModel, posterior: str = "full", key: Key = SEED) -> Look:
    """Everything of one model; `posterior` is what q may be, "full" or "mean-field"."""
    made, x = model.model(), model.datum()
    q, plane = best_gaussian(made, x, posterior), LatentPlane(model.model())
    exact = plane.decompose(x, q)
    z, likelihood, joint = _grid(model)
    rough = estimate(made, x, q, DRAWS, key)
    mean, cov = _moments(plane, x, q)
    terms = _terms(model, q, float(exact.log_evidence), float(exact.kl))
    apart = max(float(exact.error), abs(terms.elbo + terms.kl - terms.log_evidence))
    terms = terms._replace(error=apart)
    return Look(
        z,
        np.exp(likelihood - likelihood.max()),
        np.exp(joint - float(exact.log_evidence)),
        q.means[0].numpy(),
        q.scale_tril()[0].numpy(),
        terms,
        mean,
        cov,
        (float(rough.log_evidence), float(rough.standard_error)),
        model.sample(CLOUD, generator(key)).numpy(),
        apart <= AGREE,
    )


def _grid(model: SigmoidModel) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The axes' nodes, log p(x | z) and log p(x, z) on them."""
    line = torch.linspace(-REACH, REACH, NODES, dtype=torch.float64, device="cpu")
    z = torch.stack(torch.meshgrid(line, line, indexing="xy"), -1).view(-1, 2)
    joint = model.model().log_joint(model.datum(), z[None])[0]
    parts = (line, (joint - log_prior(z)).view(NODES, NODES), joint.view(NODES, NODES))
    return parts[0].numpy(), parts[1].numpy(), parts[2].numpy()


def _moments(plane: LatentPlane, x: Tensor, q: Q) -> tuple[np.ndarray, np.ndarray]:
    """The posterior's mean and covariance, on a lattice that covers it."""
    made = plane.posterior(x, q, 401)
    z = torch.stack(torch.meshgrid(made.first, made.second, indexing="xy"), -1).view(-1, 2)
    weight = made.density.reshape(-1) / made.density.sum()
    mean = weight @ z
    away = z - mean
    return mean.numpy(), (away.mT @ (weight[:, None] * away)).numpy()


def _terms(model: SigmoidModel, q: Q, log_evidence: float, kl: float) -> Decomposition:
    """Both presentations of the ELBO, each mean over q by itself."""
    points, weights = lattice(SIDE, WIDTH)
    z = (q.means + points @ q.scale_tril()[0].mT)[None]
    joint, prior = model.model().log_joint(model.datum(), z)[0], log_prior(z[0])
    entropy = float(q.log_sds.sum()) + 1.0 + LOG_2PI
    mean_joint = float(joint @ weights)
    return Decomposition(log_evidence, mean_joint + entropy, kl, mean_joint, entropy,
                         float((joint - prior) @ weights), float(q.kl().sum()))  # fmt: skip
