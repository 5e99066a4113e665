"""The methods as scikit-learn estimators: fit, transform, score."""

from lvmviz.sklearn_api.bernoulli_mixture import BernoulliMixture
from lvmviz.sklearn_api.gaussian_mixture import GaussianMixture
from lvmviz.sklearn_api.vae import VAE, packed

__all__ = ["BernoulliMixture", "GaussianMixture", "VAE", "packed"]
