"""The scenes of the page Mixtures."""

from __future__ import annotations

from lvmviz.algorithms.bernoulli_em import BernoulliEM
from lvmviz.algorithms.em import EM
from lvmviz.bernoulli_starts import NearlyAlike
from lvmviz.datasets import Blobs, CrossedEllipses, Iris, Moons, ThreeInARow
from lvmviz.regularizers import Floor
from lvmviz.schemes import GeneralizedEM, KMeans, SoftKMeans
from lvmviz.ui.links import link_of
from lvmviz.ui.scenes import Scene

SCENES = (
    Scene(
        name="after-m",
        title="E closed the gap. And M?",
        question="q is the posterior and KL = 0. Will M leave the gap closed?",
        answers=("It stays closed", "It opens"),
        right=1,
        reason="M moves θ, and the posterior with it; q stays where it was. ELBO and log-likelihood both "
        "rise, the log-likelihood by more: the difference is the new gap. Press M.",
        link=link_of(EM(data=Iris())) | {"seed": "31", "step": "3", "line": "5"},
    ),
    Scene(
        name="three-in-a-row",
        title="Three in a row",
        question="Three blobs, three components, this start. Will EM find all three?",
        answers=("Yes", "No"),
        right=1,
        reason="EM climbs the nearest hill: two components share one blob, and one has to cover two. It "
        "ends at −2.58 nats per point; from seed 1 it reaches −2.49.",
        link=link_of(EM(data=ThreeInARow())),
    ),
    Scene(
        name="collapse",
        title="Collapse on purpose",
        question="20 points, K = 5, no regularizer. What happens to the likelihood?",
        answers=("It settles", "It goes to infinity"),
        right=1,
        reason="One component is left with points on a line. Its variance goes to 0 and its density to "
        "infinity: the likelihood has no maximum. Any regularizer above 0 mends it.",
        link=link_of(
            EM(data=Blobs(points=20, clusters=1, spread=1.0), components=5, regularizer=Floor(amount=0.0))
        )
        | {"seed": "3"},
    ),
    Scene(
        name="crossed",
        title="One centre, two shapes",
        question="Both clusters have the same mean. Can EM tell them apart?",
        answers=("Yes, by shape", "No"),
        right=0,
        reason="Full covariances give each component a direction. Where the two cross, q stays undecided: "
        "those points keep a mixed colour.",
        link=link_of(EM(data=CrossedEllipses(), components=2)),
    ),
    Scene(
        name="moons",
        title="The best fit is not the truth",
        question="Two moons, two Gaussians. Will each component be one moon?",
        answers=("Yes", "No"),
        right=1,
        reason="The likelihood knows nothing of moons: it prefers two ellipses that cover the points well. A "
        "better likelihood is not a truer clustering.",
        link=link_of(EM(data=Moons(), components=2)),
    ),
    Scene(
        name="one-column",
        title="A sum of bumps",
        question="One length, three species. Will the marginal show three bumps?",
        answers=("Yes", "No"),
        right=1,
        reason="Two species overlap so much that their bumps merge: a mixture can have fewer modes than "
        "components.",
        link=link_of(EM(data=Iris(features=("petal length",)))) | {"seed": "2", "step": "400"},
    ),
    Scene(
        name="distance-alone",
        title="Distance alone",
        question="k-means has centres and no shapes. Will it tell the crossed clusters apart?",
        answers=("Yes", "No"),
        right=1,
        reason="It knows distance alone, so it cuts the plane along a straight line: 63 % of the points fall "
        "to the right cluster, little better than chance. EM with full covariances gets 90 %: choose it.",
        link=link_of(EM(data=CrossedEllipses(), components=2, scheme=KMeans())) | {"seed": "1"},
    ),
    Scene(
        name="soft",
        title="Too soft",
        question="A soft q shares every point among all. Where do the three centres go?",
        answers=("To three clusters", "All to one place"),
        right=1,
        reason="When the balls are wider than the data, all three tell the same story, and each centre moves "
        "to the mean of everything. Play it; then raise the stiffness: near 0.3 one centre breaks away "
        "(MacKay, 2003).",
        link=link_of(EM(scheme=SoftKMeans(stiffness=0.1))),
    ),
    Scene(
        name="half-hearted",
        title="A half-hearted M",
        question="M goes only a third of its way. Will the likelihood fall now and then?",
        answers=("Now and then", "Never"),
        right=1,
        reason="Any θ with a higher ELBO will do, as E then lifts the bound onto the log-likelihood. It only "
        "takes longer: 268 iterations here, where EM takes 68.",
        link=link_of(EM(scheme=GeneralizedEM())) | {"seed": "31", "iterations": "300"},
    ),
    Scene(
        name="permuted",
        title="Other names",
        question="Component 3 is now called 1, and 1 is called 2. Will the log-likelihood change?",
        answers=("Yes", "No"),
        right=1,
        reason="A sum over components is the same in any order: −1.5747 nats per point under each of the "
        "3! = 6 ways to name them. Likelihood alone cannot say which cluster is which; only labels can.",
        link=link_of(EM(relabel=1)) | {"step": "400"},
    ),
    Scene(
        name="two-labels",
        title="Two labels each",
        question="EM is shown two irises of each species. Will it now find the species?",
        answers=("Yes", "No"),
        right=1,
        reason="144 irises without a label outvote six. Their likelihood prefers other groups, −1.55 nats "
        "per point where the species' own Gaussians have −1.58: ARI 0.55. With four labels each it is 0.85: "
        "reveal more.",
        link=link_of(EM(revealed=2)) | {"step": "400"},
    ),
    Scene(
        name="ten-digits",
        title="Ten components, ten digits",
        question="1797 digits, ten mean images. Will each component be one digit?",
        answers=("Yes", "No"),
        right=1,
        reason="EM sees pixels, no names. Two components draw ones, and threes and nines share a mean: no "
        "component is mostly 9. It ends at −19.04 nats per image. Play it, then click on a mean image.",
        link=link_of(BernoulliEM()) | {"mixture": "Bernoullis"},
    ),
    Scene(
        name="all-ten",
        title="All ten, and yet",
        question="From this start each mean becomes another digit. Is log p(X) higher for it?",
        answers=("Higher", "Lower"),
        right=1,
        reason="It ends at −19.11 nats per image, and at −19.04 where threes and nines share a mean (Blurred "
        "images, seed 0). A truer clustering need not have the better likelihood.",
        link=link_of(BernoulliEM(start=NearlyAlike())) | {"mixture": "Bernoullis", "seed": "1"},
    ),
    Scene(
        name="lottery",
        title="A lottery of starts",
        question="Three blobs, 200 random starts. How many of them reach the best optimum?",
        answers=("Nearly all", "Fewer than a third"),
        right=1,
        reason="58 of 200 reach −2.49 nats per point. The others stay on lower hills, where two components "
        "share one blob: click a grey dot, then a blue one. A start that spreads the means helps: from "
        "k-means++ 122 reach it.",
        link=link_of(EM(data=ThreeInARow())) | {"curves": "Restarts"},
    ),
    Scene(
        name="how-many",
        title="How many components?",
        question="Three species of iris, two lengths of each. How many components does BIC prefer?",
        answers=("Three", "Two"),
        right=1,
        reason="Two: two species overlap. A third ellipse has six parameters more, gains 5.8 nats over all "
        "150 points, and costs 6.0 under AIC and 15.0 under BIC: both refuse it, and so do held-out points. "
        "The likelihood alone never stops.",
        link=link_of(EM(regularizer=Floor(amount=1e-2))) | {"curves": "K"},
    ),
)
