"""The methods as scikit-learn estimators: fit, transform, score."""

from lvmviz.sklearn_api.bayes_linreg import BayesianLinearRegression
from lvmviz.sklearn_api.bernoulli_mixture import BernoulliMixture
from lvmviz.sklearn_api.gaussian_imputer import GaussianImputer
from lvmviz.sklearn_api.gaussian_mixture import GaussianMixture
from lvmviz.sklearn_api.ppca import PPCA
from lvmviz.sklearn_api.vae import VAE, packed

__all__ = [
    "PPCA", "VAE", "BayesianLinearRegression", "BernoulliMixture", "GaussianImputer", "GaussianMixture",
    "packed",
]  # fmt: skip
