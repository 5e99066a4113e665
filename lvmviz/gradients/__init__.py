"""Estimators of the gradient of an expectation over q, such as the ELBO, and experiments on them."""

from lvmviz.gradients.estimators import (
    Drawn,
    Estimator,
    Exact,
    Reparameterized,
    ScoreFunction,
    StickingTheLanding,
)
from lvmviz.gradients.integrands import (
    Integrand,
    NormalELBO,
    Square,
    StateSquare,
    StepUp,
    TargetELBO,
    Wiggly,
    gradient,
)
from lvmviz.gradients.products import Gaussians, States
from lvmviz.gradients.relaxations import GumbelSoftmax, Relaxation, StraightThrough
from lvmviz.gradients.rows import (
    Function,
    Samplable,
    elbo_terms,
    fisher,
    normals,
    pathwise,
    score_function,
    scores,
)

__all__ = [
    "Drawn", "Estimator", "Exact", "Function", "Gaussians", "GumbelSoftmax", "Integrand", "NormalELBO",
    "Relaxation", "Reparameterized", "Samplable", "ScoreFunction", "Square", "StateSquare", "States",
    "StepUp", "StickingTheLanding", "StraightThrough", "TargetELBO", "Wiggly", "elbo_terms", "fisher",
    "gradient", "normals", "pathwise", "score_function", "scores",
]  # fmt: skip
