"""The scenes of the page Missing pixels."""

from __future__ import annotations

from lvmviz.ui.latent_runs import DEFAULT, RUN
from lvmviz.ui.pixels_joint import LEARNED, VAE
from lvmviz.ui.scenes import Scene

TIED = {"image": "3", "rows": "4", "digit": "3"}

SCENES = (
    Scene(
        name="half",
        title="I know nothing: .5",
        question="The top of a 9 is hidden. Is φ = .5 for every pixel a fair q?",
        answers=("Fair", "Poor"),
        right=1,
        reason="log p(x_o) is −3.33, the ELBO −15.76: this q spends nearly all its mass on noise that no "
        "digit has. Its entropy is the largest there is, 10.40, and does not make up for it.",
        link={"rows": "3"},
    ),
    Scene(
        name="ones",
        title="All on: worse than knowing nothing?",
        question="Now every hidden pixel is on, φ = .999. Better or worse than .5?",
        answers=("Better", "Worse"),
        right=1,
        reason="The ELBO falls to −27.53: a full block of ink is no top of any digit, and a q that is sure "
        "gets no entropy for it.",
        link={"rows": "3", "q": "ones"},
    ),
    Scene(
        name="top-of-a-nine",
        title="The top of a 9",
        question="Put φ at the 9’s own pixels. How much KL is left?",
        answers=("None to speak of", "About 1 nat"),
        right=0,
        reason="The bottom says 9 beyond doubt, and given the digit the pixels are independent: the "
        "posterior is a product, and so is q. The KL is below 10⁻⁸.",
        link={"rows": "3", "q": "digit"},
    ),
    Scene(
        name="three-or-five",
        title="3 or 5?",
        question="The bottom fits a 3 and a 5 alike. Is their average a good q?",
        answers=("Yes, the fairest", "No, choose one"),
        right=1,
        reason="The average, which is the posterior’s own mean, has a KL of 3.43. A product cannot say “both"
        " or neither”, so it draws mixed digits. Choosing one costs .745, about log 2.",
        link={**TIED, "q": "mean"},
    ),
    Scene(
        name="cavi-chooses",
        title="Which one will CAVI choose?",
        question="From φ = .5, one pixel after another. Does it end between 3 and 5?",
        answers=("Between", "On one of them"),
        right=1,
        reason="The first pixels that lean to one digit pull the others after them. It ends with a KL of "
        ".745, though 3 and 5 were equally likely: press Play.",
        link={**TIED, "cavi": "1", "step": "99"},
    ),
    Scene(
        name="nothing-seen",
        title="Nothing is seen",
        question="All 35 pixels are hidden. What is log p of what is seen?",
        answers=("0", "−24"),
        right=0,
        reason="Nothing was observed, and its probability is one. The posterior is the prior of all ten "
        "digits; one q can hold one of them, and log 10 = 2.30 nats are left when it does.",
        link={"rows": "7", "q": "digit"},
    ),
    Scene(
        name="holes-in-training",
        title="Learned from holes",
        question="Half of the training pixels were hidden. Can it still complete a digit?",
        answers=("Yes", "No"),
        right=0,
        reason="EM weighs only what each image shows, and every pixel is shown by some. Of this 9 log p(x_o) "
        "is −18.92; with nothing hidden while training (set the slider to 0) it is −19.26. The mean "
        "over all images, nothing of them hidden, is −19.71 against −19.17: the holes cost a little.",
        link={"joint": LEARNED, "share": "50", "rows": "2", "q": "mean", "image": "19"},
    ),
    Scene(
        name="vae-finishes",
        title="A VAE finishes the digit",
        question="Given z a VAE’s pixels are independent. z is hidden: how much KL must q leave?",
        answers=("About log 2, as 3 or 5 does", "Next to none"),
        right=1,
        reason="From all .5, which leaves 35.12 nats, CAVI climbs to a KL of .008. The rows that are seen "
        "leave z little room, and for one z the posterior is a product. All 16 hidden pixels of the 9 come "
        "back: p(on | seen) is above .5 where it was on.",
        link={"joint": VAE, RUN: DEFAULT, "image": "11", "rows": "2", "cavi": "1", "step": "99"},
    ),
)
