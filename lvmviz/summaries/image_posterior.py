"""The posterior of one image under a trained VAE with two latents, as a target to fit."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict

import torch
from torch import Tensor

from lvmviz.latent_model import log_prior
from lvmviz.regression_targets import PlaneDecoder
from lvmviz.summaries.vae import Moment
from lvmviz.summaries.vae.evidence import latent_model
from lvmviz.summaries.vae.moment import exact_possible, half

MOST = 8  # snapshots whose weights are kept
PART = 8192  # places that are decoded at once
_moments: OrderedDict[tuple[str, int], Moment] = OrderedDict()


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImagePosterior(PlaneDecoder):
    """p(z | x) of one image: prior N(0, I), likelihood by the decoder of one snapshot of a run.

    It names the snapshot, whose weights `of` has brought along; no other process knows them.
    """

    title = "Posterior of an image"
    job: str = ""  # its id
    step: int = 0
    half: str = "test"
    image: int = 0  # of that half

    @classmethod
    def of(cls, at: Moment, name: str, image: int) -> ImagePosterior:
        """That of an image of the training or test half, under this snapshot."""
        if not exact_possible(at.vae):
            raise ValueError(
                "This VAE's posteriors are no smooth densities on a plane: take a run with two latents and a "
                "decoder without kinks"
            )
        count = len(half(at.vae, name).x)
        if not 0 <= image < count:
            raise ValueError(f"image {image} is not among the {count} of the {name} half: take a smaller one")
        _moments[at.key] = at
        while len(_moments) > MOST:
            _moments.popitem(last=False)
        return cls(job=at.id, step=at.step, half=name, image=image)

    def log_prior(self, z: Tensor) -> Tensor:
        return log_prior(z)

    def log_likelihood(self, z: Tensor) -> Tensor:
        """x . eta(z) - a(z) + base(x), in parts: a decoder's layers are wide."""
        at = _moments.get((self.job, self.step))
        if at is None:
            raise LookupError("The weights of this run are not loaded: choose the run again")
        model = latent_model(at)
        x = torch.tensor(half(at.vae, self.half).x[self.image : self.image + 1]).double()
        parts = [eta @ x[0] - a for eta, a in map(model.natural, z.reshape(-1, 2).split(PART))]
        return torch.cat(parts).reshape(z.shape[:-1]) + model.base(x)[0]
