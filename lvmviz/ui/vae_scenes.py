"""Six scenes of the VAE lab; every number in a reason was measured, and a test measures it again."""

from __future__ import annotations

from lvmviz.algorithms.vae import TrainVAE
from lvmviz.datasets import WINE, Wine
from lvmviz.likelihoods import GaussianNoise
from lvmviz.networks import MLP
from lvmviz.observations import Rows
from lvmviz.sigmoid import SigmoidModel
from lvmviz.toys import Pinwheel
from lvmviz.ui.links import link_of
from lvmviz.ui.scenes import Scene
from lvmviz.ui.vae_desk import START

DEEP = MLP(hidden=128, layers=4)
COLLAPSE = TrainVAE(latent=8, beta=8.0)
REVIVAL = TrainVAE(latent=16, encoder=DEEP, decoder=DEEP, warm_up=60.0)
AVERAGED = TrainVAE(
    data=Rows(table=Wine(features=WINE)), likelihood=GaussianNoise(sd=0.2), beta=float(len(WINE))
)
LAGGING = TrainVAE(data=Rows(table=Pinwheel()), likelihood=GaussianNoise(learned=True))
HOLE = TrainVAE(data=Rows(table=Pinwheel()), likelihood=GaussianNoise(sd=0.05))
BENT = SigmoidModel()


def link(vae: TrainVAE, epochs: int, **more: str) -> dict[str, str]:
    """The link of a scene."""
    return link_of(vae) | {"iterations": str(epochs)} | more


AT_ONCE = {START: "1"}  # a run of some seconds begins where nobody has asked for it yet

SCENES = (
    Scene(
        name="collapse",
        title="Collapse by β",
        question="Eight latents, and a nat of KL costs 8. How many will carry anything?",
        answers=("All eight", "Some", "None"),
        right=2,
        reason="No latent wins 8 nats of reconstruction for a nat of KL, so every q becomes the prior: "
        "KL 0.00, one mean digit for every x, −24.4 in the ledger. With β = 1 all eight work, at −19.0.",
        link=link(COLLAPSE, 120, terms="Latents", **AT_ONCE),
    ),
    Scene(
        name="revival",
        title="Revival by warm-up",
        question="16 latents, deep networks: 4 stay in use. How many with 60 epochs of warm-up?",
        answers=("Fewer", "The same 4", "More"),
        right=2,
        reason="Early on the decoder cannot use z yet, and the KL switches latents off. With β grown "
        "from 0 they are in use before they cost: 6 end above 0.1 nats, and the ledger at −17.7, not −18.2. "
        "Set Warm-up to 0 under More.",
        link=link(REVIVAL, 150, terms="Latents", **AT_ONCE),
    ),
    Scene(
        name="mean",
        title="The sum-or-mean trap",
        question="A loss averages over 13 features, and adds the KL's sum. Which β is that?",
        answers=("1/13", "1", "13"),
        right=2,
        reason="Dividing the reconstruction by 13 is multiplying the KL by 13. The loss falls nicely, and "
        "both latents are dead: KL 0.00, ELBO 2.2. Set β to 1: KL 1.3, ELBO 3.8.",
        link=link(AVERAGED, 300, **AT_ONCE),
    ),
    Scene(
        name="lagging",
        title="The lagging encoder",
        question="The noise is learned. After 10 epochs, does q sit on the posterior?",
        answers=("Nearly", "It lags behind"),
        right=1,
        reason="The noise shrinks and the posterior with it, faster than the encoder learns: KL(q‖p(z|x)) is "
        "1.3 nats. With 5 encoder steps to each of the decoder, and 50 epochs, it is 0.05.",
        link=link(LAGGING, 40, step="10"),
    ),
    Scene(
        name="hole",
        title="A hole in the plane",
        question="400 draws of the prior, decoded. How many fall clearly off the arms?",
        answers=("None", "A few percent", "About 40 %"),
        right=2,
        reason="41 % lie more than 0.05 from every training point; of the test points none do. Between the "
        "arms' regions the prior lives and no q does: what is decoded there is no datum.",
        link=link(HOLE, 200, plane="Cloud to data", **AT_ONCE),
    ),
    Scene(
        name="bent",
        title="The bent posterior",
        question="A decoder of two sigmoids, one datum. Can a Gaussian q close the gap?",
        answers=("Yes", "No"),
        right=1,
        reason="Where a sigmoid is flat, moving z changes nothing: the posterior fans out from a corner. The "
        "best Gaussian leaves 0.53 of a nat, and no encoder that tells a Gaussian can do better.",
        link=link_of(BENT) | {"model": "Sigmoid decoder"},
    ),
)
