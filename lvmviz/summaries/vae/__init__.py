"""States of a VAE to small NumPy arrays to draw: the only door from torch to the screen.

A `Moment` is one snapshot of a trace of `TrainVAE`; what is made of it is kept by its job and step, so a
trace that grows costs only what is new. Nats per example; x is what the likelihood sees (Bernoulli: 0 and 1).
"""

from lvmviz.summaries.vae.evidence import (
    DRAWS,
    MOST,
    SEED,
    Evidence,
    advance,
    estimated,
    joined,
    known,
    latent_model,
    latent_plane,
    starts,
    told,
)
from lvmviz.summaries.vae.moment import (
    HALVES,
    Half,
    Moment,
    column,
    decode,
    exact_possible,
    examples,
    file,
    half,
    infos,
    is_images,
    kl_by_latent,
    means,
    moment,
    q,
    settings,
    split,
    steps_an_epoch,
    vae,
)
from lvmviz.summaries.vae.pictures import (
    ELLIPSES,
    SHOWN,
    Bent,
    Grid,
    Plane,
    Reconstructions,
    all_means,
    bent,
    keyframes,
    manifold,
    placed,
    plane,
    reconstructions,
    shown,
    varied,
)

__all__ = [
    "DRAWS", "ELLIPSES", "HALVES", "MOST", "SEED", "SHOWN", "Bent", "Evidence", "Grid", "Half", "Moment",
    "Plane", "Reconstructions", "advance", "all_means", "bent", "column", "decode", "estimated",
    "exact_possible", "examples", "file", "half", "infos", "is_images", "joined", "keyframes", "kl_by_latent",
    "known", "latent_model", "latent_plane", "manifold", "means", "moment", "placed", "plane", "q",
    "reconstructions", "settings", "shown", "split", "starts", "steps_an_epoch", "told", "vae", "varied",
]  # fmt: skip
