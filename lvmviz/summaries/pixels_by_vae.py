"""A VAE run as the joint of an image's pixels: a mixture over a lattice of its latents."""

from __future__ import annotations

import torch
from torch import Tensor

from lvmviz.algorithms.vae import VAEWeights
from lvmviz.kept import kept
from lvmviz.latent_lattice import Lattice, disagreement, lattice, wide
from lvmviz.likelihoods import Bernoulli
from lvmviz.summaries import vae
from lvmviz.summaries.missing_pixels import Joint, Open, by_class
from lvmviz.summaries.vae import Moment


def _size(joint: Joint) -> int:
    wide = 0 if joint.wide is None else joint.wide.theta.means.nbytes
    return joint.theta.means.nbytes + wide + joint.images.nbytes


def _key(at: Moment) -> tuple[str, int]:
    return at.key


@kept(100_000_000, _size, key=_key)
def joint(at: Moment) -> Joint:
    """The mixture of a snapshot, and its test images; ValueError where it is no such model."""
    if at.vae.latent != 2 or not isinstance(at.vae.likelihood, Bernoulli):
        raise ValueError(
            "This run has no p(x) over pixels that are on or off, summed over two latents: "
            "choose a run with two latents and a Bernoulli likelihood"
        )
    weights = VAEWeights(*(part.double() for part in at.weights))

    def decode(z: Tensor) -> Tensor:
        with torch.no_grad():
            return at.vae.likelihood.mean(at.vae.decode(weights, z))

    test = vae.half(at.vae, "test")
    height, width = at.vae.data.examples().shape
    x = test.x.astype(float)
    made, further, key = lattice(decode), wide(decode), f"{at.id}:{at.step}"
    joint = Joint(key, made.theta, (height, width), x, test.labels, by_class(x, test.labels))
    return _on(joint, made)._replace(wide=_on(joint, further)._replace(key=f"{key}:wide"))


def _on(joint: Joint, made: Lattice) -> Joint:
    """The joint with the nodes of a lattice for components."""
    names = tuple(f"z = ({_at(a)}, {_at(b)})" for a, b in made.z.tolist())
    return joint._replace(theta=made.theta, names=names, black=made.black)


def _at(value: float) -> str:
    return f"{value:.1f}".replace("-", "−")


def rule_error(made: Open) -> float:
    """How far log p(x_o) by half of the lattice is from that by the other half, nats; 0 of no lattice."""
    black, known = made.image.joint.black, made.conditional
    return 0.0 if black is None else disagreement(known.log_joint, known.log_weights, black)
