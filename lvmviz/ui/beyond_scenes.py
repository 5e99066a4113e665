"""The scenes of the page Beyond mixtures."""

from __future__ import annotations

from lvmviz.algorithms.bayes_linreg import EMRegression
from lvmviz.algorithms.ecm import ECM, ONCE
from lvmviz.algorithms.mcem import MonteCarloEM
from lvmviz.algorithms.missing import MissingGaussianEM
from lvmviz.algorithms.ppca import PPCAEM
from lvmviz.algorithms.swapped_linreg import ZERO, SwappedRegression
from lvmviz.digit_pixels import DigitPixels
from lvmviz.evidence_updates import FixedPoint
from lvmviz.gaps import MCAR
from lvmviz.regressions import Polynomial
from lvmviz.ui.links import link_of
from lvmviz.ui.scenes import Scene

END = {"step": "999"}

SCENES = (
    Scene(
        name="filled-in",
        title="Just fill in the mean?",
        question="Where x is high, y is often missing. Is the column's mean a fair guess for it?",
        answers=("Yes", "No"),
        right=1,
        reason="It hides how x and y go together: correlation 0.496, where the table without gaps has "
        "0.816. Leaving such rows out gives 0.754. EM, which uses each row's own conditional, finds 0.803.",
        link=link_of(MissingGaussianEM()) | END,
    ),
    Scene(
        name="keep-the-doubt",
        title="Fill in, and forget?",
        question="Every gap is filled with its best guess. Is the variance of the filled column right?",
        answers=("Right", "Too small"),
        right=1,
        reason="The filled column has variance 0.854. What M adds, 0.143, is how far the guesses may be "
        "off, q's own variance averaged over the rows: line 7 of the derivation.",
        link=link_of(MissingGaussianEM()) | {"step": "59", "line": "7"},
    ),
    Scene(
        name="two-roads",
        title="Two roads, one hilltop",
        question="EM and MLE-II start at β = λ = 1. Do they end at the same β and λ?",
        answers=("The same", "Not the same"),
        right=0,
        reason="Both end where the evidence has no slope: β = 19.18, λ = 0.605, log p(y|X) = −10.3956. EM "
        "takes 9 rounds, MLE-II 7; plain gradient ascent 77. Click on the contours to start elsewhere.",
        link={"model": "Regression", **link_of(EMRegression())} | END,
    ),
    Scene(
        name="no-weights",
        title="Less than a curve",
        question="Five points, nine powers of x. Where does λ go?",
        answers=("It settles", "Without limit"),
        right=1,
        reason="The evidence is highest when every weight is 0: what five points tell of the curve is "
        "worth less than its freedom costs. MLE-II runs after it and is stopped in round 16.",
        link={
            "model": "Regression",
            **link_of(EMRegression(data=Polynomial(points=5, degree=8), update=FixedPoint())),
        }
        | END,
    ),
    Scene(
        name="lower-hill",
        title="Stuck at nothing",
        question="Roles swapped, w starts at 0. Will it find the curve?",
        answers=("Yes", "No"),
        right=1,
        reason="With w = 0 the mean of λ is 3887, and such a λ keeps w at 0: a hill of its own with log "
        "p(y, w|X) = −22.82. From least squares it ends at −16.04: choose that start.",
        link={"model": "Roles swapped", **link_of(SwappedRegression(rate=1e-3, start=ZERO))} | END,
    ),
    Scene(
        name="ten-draws",
        title="Ten draws a point",
        question="E draws ten labels for each point. Will the log-likelihood settle, as under EM?",
        answers=("It settles", "It wanders"),
        right=1,
        reason="M is misled by each new set of draws. Over the last 20 rounds log p(X)/N wanders about "
        "−1.563 with standard deviation 0.0013; with 100 draws it stays near −1.575, EM's own end.",
        link={"model": "Monte-Carlo EM", **link_of(MonteCarloEM())}
        | {"curves": "All", "iterations": "50"}
        | END,
    ),
    Scene(
        name="a-third",
        title="A third of the way",
        question="M goes only 0.3 of its way. Will the likelihood fall now and then?",
        answers=("Now and then", "Never"),
        right=1,
        reason="Any θ with a higher ELBO will do: E then lifts the bound onto log p(X). It only takes "
        "longer, 91 rounds where EM takes 32. The last lines of the derivation say why.",
        link={"model": "Generalized EM", "seed": "1", "curves": "All", "iterations": "200"} | END,
    ),
    Scene(
        name="in-turn",
        title="One after the other",
        question="After one E, M moves the means, then the covariances. Does it end elsewhere than EM?",
        answers=("Elsewhere", "At the same θ"),
        right=1,
        reason="The best means do not depend on the covariances, so here both parts together are EM's M: "
        "25 iterations, −1.5747 nats per point for both. With an E before each part it takes another way.",
        link={"model": "ECM", **link_of(ECM(cycle=ONCE))} | END,
    ),
    Scene(
        name="never-touches",
        title="A bound that never touches",
        question="q may know no correlation between two gaps of a row. Will E still make KL = 0?",
        answers=("Yes", "No"),
        right=1,
        reason="82 rows show neither column: their posterior is a slanted ellipse, q an upright one. KL/N "
        "stays at 0.0350, and θ bends to what q can say: correlation 0.538, where exact EM finds 0.796.",
        link={"model": "Variational EM"} | END,
    ),
    Scene(
        name="half-a-flower",
        title="Half of the cells",
        question="Half of the irises' lengths are gone. Can the plane of the rest still be found?",
        answers=("Yes", "No"),
        right=0,
        reason="EM's plane lies 4.7° from the one without gaps after 60 rounds. Fill the gaps with means "
        "first, and PCA is off by 56.9°: means pull every column towards no correlation.",
        link={"model": "Probabilistic PCA", **link_of(PPCAEM(latents=2, gaps=MCAR(share=0.5)))}
        | {"iterations": "60"}
        | END,
    ),
    Scene(
        name="hidden-pixels",
        title="Half of the pixels",
        question="Each digit shows half of its pixels, never the same. Can five components be learned?",
        answers=("Yes", "No"),
        right=0,
        reason="Every pixel is regressed on z over the digits that show it. After 60 rounds the subspace "
        "lies 10.4° from the one of whole digits; with gaps filled by means 18.6°. Below: what q fills in.",
        link={
            "model": "Probabilistic PCA",
            **link_of(PPCAEM(data=DigitPixels(), latents=5, gaps=MCAR(share=0.5))),
            "iterations": "60",
        }
        | END,
    ),
)
