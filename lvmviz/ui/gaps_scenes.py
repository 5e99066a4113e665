"""The scenes of the page Gaps; a test measures every number in them again."""

from __future__ import annotations

from lvmviz.algorithms.amortized_vi import AmortizedVI, OneLatentDecoder
from lvmviz.algorithms.linear_vae import TrainLinearVAE
from lvmviz.ui.latent_runs import DEFAULT, RUN
from lvmviz.ui.links import link_of
from lvmviz.ui.scenes import Scene

END = {"step": "999"}
LINEAR = {"view": "Linear VAE"}
LINE = AmortizedVI(decoder=OneLatentDecoder(mean="line"), capacity="linear")
OUTSIDE = AmortizedVI()
ROOTS = AmortizedVI(decoder=OneLatentDecoder(mean="square"), hidden=16)
CONSTANT = AmortizedVI(capacity="constant")
FIXED = TrainLinearVAE(latents=5, learned=False, noise_variance=1.0)
TURNED = TrainLinearVAE(latents=2)

SCENES = (
    Scene(
        name="line",
        title="Nothing lost",
        question="A line decodes, a line encodes. What gap is left beyond the training x?",
        answers=("None", "Some"),
        right=0,
        reason="The posterior's mean is linear in x and its sd does not depend on x: the encoder can be "
        "exact, and then is so everywhere. The gap is 0 at every x.",
        link=link_of(LINE) | {"x": "3"} | END,
    ),
    Scene(
        name="outside",
        title="Beyond what it has seen",
        question="Trained up to |x| = 1.5. Its amortization gap at x = 2.6, against inside?",
        answers=("As large", "Ten times", "More than a hundred times"),
        right=2,
        reason="Nothing in training asked for those x, and an MLP goes its own way there: more than a "
        "hundred times what it loses inside. The best q of that x would lose 0.047, no more than "
        "elsewhere.",
        link=link_of(OUTSIDE) | {"x": "2.6"} | END,
    ),
    Scene(
        name="two-roots",
        title="Two z for one x",
        question="x = z² − 1 + noise. Can a better encoder close the gap at x = 1?",
        answers=("Yes", "No"),
        right=1,
        reason="Two z explain one x, and a Gaussian takes one of them: 0.703 nats, log 2 and a little for "
        "its shape. That is the family’s part. The encoder adds next to nothing.",
        link=link_of(ROOTS) | {"x": "1"} | END,
    ),
    Scene(
        name="constant",
        title="One q for all",
        question="The encoder may not look at x. Which part of the gap grows?",
        answers=("Approximation", "Amortization"),
        right=1,
        reason="One q for every x: 4.63 nats at x = −1.2 are lost by sharing, where the best Gaussian of "
        "that x loses 0.071. The posterior and the family are the same as ever.",
        link=link_of(CONSTANT) | {"x": "-1.2"} | END,
    ),
    Scene(
        name="budget",
        title="When does sharing pay?",
        question="Ten own steps a datum, or one encoder: from how many data on is the encoder cheaper?",
        answers=("About 3", "About 300", "About 30,000"),
        right=1,
        reason="Ten steps cost 16 gradients a datum and leave 0.04 nats. Training took about 5,000 in all "
        "and leaves 0.04 too: from about 300 new data on the encoder is the cheaper way.",
        link=link_of(OUTSIDE) | {"inner": "10", "new": "1000"} | END,
    ),
    Scene(
        name="active",
        title="How many latents work?",
        question="Five latents, σ² fixed at 1, eigenvalues 6, 3, 1.5, .8, .3, … How many are used?",
        answers=("2", "3", "5"),
        right=1,
        reason="Only a direction whose variance is above σ² is worth its KL, ½ log(λ/σ²): 0.90, 0.55 and "
        "0.20 nats. The other two latents stay at the prior. That is posterior collapse, and it is "
        "the optimum.",
        link=LINEAR | link_of(FIXED) | END,
    ),
    Scene(
        name="rotation",
        title="Turn the latents",
        question="Turn the two latents by 45°. What notices?",
        answers=("The likelihood", "A mean-field q", "Nothing"),
        right=1,
        reason="The likelihood stays at −10.7173: WR(WR)ᵀ = WWᵀ. The posterior’s ellipse turns with the "
        "axes, and a q without correlations cannot: it loses 0.0589 nats. That is how a VAE picks "
        "its axes.",
        link=LINEAR | link_of(TURNED) | {"angle": "45"} | END,
    ),
    Scene(
        name="inverted",
        title="White on black, black on white",
        question="The VAE’s encoder gets inverted digits. Which part of the gap explodes?",
        answers=("Approximation", "Amortization"),
        right=1,
        reason="Their posteriors are about as Gaussian as any: a q fitted to each alone comes as near as "
        "ever. The encoder has never seen such images and tells a q far from the posterior: nearly "
        "all of the gap is its doing.",
        link={"model": "A VAE’s run", "seen": "Inverted", RUN: DEFAULT},
    ),
)
