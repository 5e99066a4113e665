"""The scenes of the page Gradients; every number in a reason is exact, and a test computes it again."""

from __future__ import annotations

from lvmviz.affine_noise import PRESETS, Affine
from lvmviz.algorithms.gradient_scatter import GradientScatter
from lvmviz.gradients.integrands import NormalELBO, Square, StateSquare, StepUp, TargetELBO, Wiggly
from lvmviz.targets import TwoModes
from lvmviz.ui.links import link_of, text_of
from lvmviz.ui.scenes import Scene

VIEW, MAP, TRICK = "view", "g(ε)", "No trick"  # short: the switch has one row
LANDING = GradientScatter(integrand=NormalELBO(), mean=0.0)
WIGGLY = GradientScatter(integrand=Wiggly(), mean=0.0)
FAR = GradientScatter(integrand=NormalELBO(), mean=3.0, sd=0.1, dimension=2)
BASELINE = GradientScatter(integrand=TargetELBO(target=TwoModes(), normalized=True), mean=0.0, draws=100)
MANY = GradientScatter(integrand=Square(), dimension=100)
STRAIGHT = GradientScatter(integrand=StateSquare(), mean=-1.0)
STEP = GradientScatter(integrand=StepUp(), mean=0.0)


def map_link(g: Affine) -> dict[str, str]:
    """The link of a map; the page begins with example C."""
    base = PRESETS["C"]
    told = {
        name: (getattr(g, name), getattr(base, name))
        for name in ("a11", "a12", "a21", "a22", "mean1", "mean2")
    }
    return {VIEW: MAP} | {name: text_of(value) for name, (value, usual) in told.items() if value != usual}


SCENES = (
    Scene(
        name="landing",
        title="When q is the posterior",
        question="q is the posterior already. Which of the two slopes still scatters?",
        answers=("Reparameterization", "Sticking the landing"),
        right=0,
        reason="f = log p(x, z) − log q(z) is then one constant, so f′ is 0 at every draw and sticking the "
        "landing is exactly 0. Reparameterization keeps the score: variance 1 per draw, for a gradient of 0.",
        link=link_of(LANDING),
    ),
    Scene(
        name="wiggly",
        title="Reparameterization loses",
        question="log p has small, steep waves. Slope or score: which estimate scatters less?",
        answers=("Through the slope", "Through the score"),
        right=1,
        reason="The waves are 2 high but their slope is 40. The score function sees only heights: variance "
        "2.84 per draw, where reparameterization has 801.",
        link=link_of(WIGGLY),
    ),
    Scene(
        name="far",
        title="Sticking the landing loses",
        question="q is narrow and far away. Does dropping the score, whose mean is 0, help here?",
        answers=("It helps", "It hurts"),
        right=1,
        reason="Far from the posterior the score cancelled most of the noise. Without it the variance is "
        "98.0 per draw; with it, .01.",
        link=link_of(FAR),
    ),
    Scene(
        name="baseline",
        title="A baseline that hurts",
        question="Subtract the mean of f, a baseline. Does the variance fall?",
        answers=("It falls", "It rises"),
        right=1,
        reason="f is far from its mean just where the score is small. Leave one out has 4.59 per draw, no "
        "baseline at all 3.03. The optimal one is never worse: 3.01.",
        link=link_of(BASELINE),
    ),
    Scene(
        name="unbiased",
        title="Unbiased is not useful",
        question="100 dimensions, 10 draws. How often has the score function even the right sign?",
        answers=("Nearly always", "Hardly above a coin"),
        right=1,
        reason="The gradient is 2, and one estimate has sd 64.4: the right sign comes 51 times in 100. "
        "Reparameterization, sd .632, has it 999 times in 1000. Both are unbiased.",
        link=link_of(MANY) | {"over": "dimension"},
    ),
    Scene(
        name="straight",
        title="Straight through, the wrong way",
        question="Two states, the first is better. Where does straight-through take q?",
        answers=("To the better state", "It never decides"),
        right=1,
        reason="The gradient is .0197, but straight-through tends to −.0271: biased, here even in sign. "
        "Its runs stop half way, where their own mean is 0. Play them.",
        link=link_of(STRAIGHT) | {"rate": "10", "estimator": "5", "climbs": "1"},
    ),
    Scene(
        name="step",
        title="A jump has no slope",
        question="f jumps from 0 to 1 under q's centre. What does reparameterization say?",
        answers=("0, always", "0.399, noisily"),
        right=0,
        reason="The slope of f is 0 on both sides of its jump, and no draw falls on it. Only the score tells "
        "that more of q could lie above: 0.399.",
        link=link_of(STEP),
    ),
    Scene(
        name="singular",
        title="g that loses a dimension",
        question="A keeps one of two noises. What is the density of z where a draw fell?",
        answers=("Twice as high", "There is none"),
        right=1,
        reason="All draws lie on one line, which has no area: det A is 0, log q(z) is undefined, and so is "
        "an ELBO. Drag the first column of A off the line.",
        link=map_link(PRESETS["A"]),
    ),
    Scene(
        name="ratio",
        title="Before the trick",
        question="100 draws of the prior, log E[p(x|z)]. Is the mean of its gradients right?",
        answers=("Yes, only noisy", "No, biased"),
        right=1,
        reason="A ratio of two unbiased averages is biased: it tends to 11.0, and the gradient is 6. The "
        "ELBO's, with the log inside, is a plain mean: 6.",
        link={VIEW: TRICK},
    ),
)
