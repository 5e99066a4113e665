"""The scenes of the page Evidence: the slogans first that fail."""

from __future__ import annotations

from lvmviz.algorithms.brute_force import BruteForce
from lvmviz.algorithms.estimates import Estimates
from lvmviz.evidence import (
    Annealed,
    BinaryLatents,
    FromPrior,
    GaussianLatents,
    NearPosterior,
    OneLatent,
    PlacedQ,
    UniformBox,
)
from lvmviz.targets import EqualModes
from lvmviz.ui.evidence import LOG, SAMPLE, SUM, link
from lvmviz.ui.scenes import Scene

THIRTY = GaussianLatents(dimension=30)
SCENES = (
    Scene(
        name="better-elbo",
        title="The better ELBO, the worse sampler",
        question="q half as wide as the posterior, or twice? The half has the ELBO nearer by 4.9 nats.",
        answers=("Half estimates better", "Twice does"),
        right=1,
        reason="Half as wide loses 3.18 nats of ELBO, and its log p̂ is 0.70 low after 1000 draws; twice as "
        "wide loses 8.07, and is 0.03 low. The narrow q never draws the tails where its weights are huge: "
        "k is 0.75. Set c to 2.",
        link=link(SAMPLE, Estimates(proposal=NearPosterior(width=0.5))),
    ),
    Scene(
        name="missed-mode",
        title="Healthy, and wrong",
        question="Nearly all 1000 draws count, k-hat is fine, repeats agree. Is p(x) right?",
        answers=("Yes", "No: half is missing"),
        right=1,
        reason="q sits on one of two equal modes, and no draw ever meets the other: log p̂ is low by log 2 = "
        "0.693. Diagnostics know only of the weights they have seen.",
        link=link(
            SAMPLE,
            Estimates(model=OneLatent(target=EqualModes(distance=12.0)), proposal=PlacedQ(mean=6.0, sd=1.0)),
        ),
    ),
    Scene(
        name="thirty",
        title="A thousand draws of the prior",
        question="30 latents, 1000 draws of the prior: how low will log p̂ be?",
        answers=("About 1 nat", "About 50 nats"),
        right=1,
        reason="51 nats. The posterior holds next to nothing of the prior's volume; one draw carries nearly "
        "the whole estimate. Ten times the draws gain 12 nats: naive Monte Carlo sees nothing here.",
        link=link(SAMPLE, Estimates(model=THIRTY, proposal=FromPrior())),
    ),
    Scene(
        name="unbiased",
        title="Unbiased is not useful",
        question="The mean of p̂ is p(x), exactly. How many of 200 estimates are below p(x)?",
        answers=("Half", "Nearly all"),
        right=1,
        reason="Nearly all are far below, and a few far above make up for it. The log undoes that: E log p̂ "
        "is 4.90 nats low at K = 1000, and 2.05 at 10,000.",
        link=link(SAMPLE, Estimates(proposal=FromPrior())),
    ),
    Scene(
        name="jensen",
        title="Why the log is low",
        question="Weights 0.2 and 1.8 have the mean 1, and log 1 = 0. Is the mean of their logs 0?",
        answers=("0", "Below 0"),
        right=1,
        reason="It is −0.51: the log bends down, so a chord lies below it. The gap grows with the spread of "
        "the weights: drag one, then play K below, where a mean of more weights spreads less.",
        link=link(LOG, Estimates(proposal=NearPosterior(width=2.0))),
    ),
    Scene(
        name="every-bit",
        title="One switch more",
        question="16 switches make 65,536 terms. How many make 30?",
        answers=("Twice as many", "16,384 times as many"),
        right=1,
        reason="Each switch doubles the sum: 2³⁰ is 1,073,741,824. The blue curve says why nobody needs them "
        "all: few terms hold nearly all of p(x). Drawing z where they are is importance sampling.",
        link=link(SUM, BruteForce(model=BinaryLatents(bits=16))),
    ),
    Scene(
        name="annealed",
        title="Fifty small steps",
        question="Again 30 latents from the prior, but over 50 bridges. How low are 100 draws now?",
        answers=("About 68 nats", "Less than 1 nat"),
        right=1,
        reason="0.4 nats, where 100 plain draws are 68 low. Each bridge is a small step from prior to "
        "posterior, so no weight is huge; and the mean of p̂ is still p(x) (Neal, 2001).",
        link=link(
            SAMPLE,
            Estimates(
                model=THIRTY, proposal=FromPrior(), estimator=Annealed(bridges=50), draws=100, repeats=20
            ),
        ),
    ),
    Scene(
        name="box",
        title="A box that is too small",
        question="Uniform draws in a box, and ever more of them. Will they find p(x)?",
        answers=("With enough draws", "Never"),
        right=1,
        reason="The box ends at 1, the posterior's centre lies at 1.2. What is outside is never drawn: the "
        "estimate settles 2.23 nats low, with small errors and a fine k-hat.",
        link=link(SAMPLE, Estimates(model=GaussianLatents(dimension=2), proposal=UniformBox(reach=1.0))),
    ),
)
