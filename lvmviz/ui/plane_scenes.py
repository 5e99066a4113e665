"""What to try in two dimensions: each card is a link, a question, and the reason for its answer."""

from __future__ import annotations

from lvmviz.families import AffineCoupling, Flow, FullRank, MeanField, Plane
from lvmviz.plane_targets import Banana, CorrelatedGaussian, FarModes, Funnel
from lvmviz.summaries.plane import Place
from lvmviz.targets import Target
from lvmviz.ui.links import link_of
from lvmviz.ui.plane import STANDS
from lvmviz.ui.plane_beside import FORWARD
from lvmviz.ui.plane_places import text_of
from lvmviz.ui.scenes import Scene


def link(target: Target, family: Plane, *places: Place, **other: str) -> dict[str, str]:
    """The link of a scene: the posterior, the family, and where q stands."""
    own = {"target": "" if isinstance(target, Banana) else type(target).__name__,
           "family": "" if isinstance(family, FullRank) else type(family).__name__}  # fmt: skip
    told = own | _knobs(target, "target") | _knobs(family, "family") | other
    if places:
        told[STANDS] = text_of(places)
    return {name: text for name, text in told.items() if text}


def _knobs(choice: Target | Plane, name: str) -> dict[str, str]:
    return {f"{name}.{field}": text for field, text in link_of(choice).items()}


SCENES = (
    Scene(
        name="narrow",
        title="Mean field is too narrow",
        question="Both sds of p are 1, its correlation is .9. How wide is the best q that may not lean?",
        answers=("sd 1", "sd .44"),
        right=1,
        reason="An upright q that is wider lies beside the narrow ridge, and KL(q‖p) punishes that: the best "
        "sd is √(1 − .9²) = .436, and a KL of .830 stays. Press Fit.",
        link=link(CorrelatedGaussian(), MeanField(), Place(0.0, 0.0, 1.0, 1.0)),
    ),
    Scene(
        name="forward",
        title="Forward against reverse",
        question="Two far modes. The dashed q has the smallest KL(p‖q). Where would KL(q‖p) put it?",
        answers=("There too", "Onto one mode"),
        right=1,
        reason="KL(p‖q) pays wherever p is and q is not, so it covers both, and the valley too: its KL(q‖p) "
        "is 5.22. On one mode KL(q‖p) is log 2 = .693, and KL(p‖q) is 32.5. Press Fit.",
        link=link(FarModes(), FullRank(), Place(-3.0, -0.5, 1.0, 1.0), beside=FORWARD),
    ),
    Scene(
        name="missed",
        title="A mode missed, and nobody notices",
        question="q is one of two equal modes. Will its own draws tell, by k-hat?",
        answers=("Yes", "No"),
        right=1,
        reason="Where q never goes, no draw of q can complain: k-hat says excellent, log p(x) by draws is "
        ".693 too low with a tiny error, and KL(p‖q) is 32.5.",
        link=link(FarModes(), FullRank(), Place(-4.0, 0.0, 0.7, 0.7)),
    ),
    Scene(
        name="layers",
        title="How many layers?",
        question="The best Gaussian leaves .607 nats on the banana. How many coupling layers until .05?",
        answers=("One", "Eight"),
        right=0,
        reason="A coupling layer moves y by a smooth function of x, and so was the banana bent: one leaves "
        "less than .01. Press Fit. Planar layers squeeze along a line: four of them still leave .07.",
        link=link(Banana(), Flow(layer=AffineCoupling(), layers=1), starts="1"),
    ),
    Scene(
        name="funnel",
        title="The funnel",
        question="Its y has the sd 3. How wide is the best Gaussian in y?",
        answers=("3", "1.28"),
        right=1,
        reason="In the neck p is so narrow that a q that reached there would stick out of it. The best q "
        "takes the sd √(18/11) = 1.28 in y, and gives up the mouth too: KL .852. Press Fit.",
        link=link(Funnel(), FullRank(), Place(0.0, 0.0, 2.0, 3.0)),
    ),
)
