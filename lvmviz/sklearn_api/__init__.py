"""The methods as scikit-learn estimators: fit, transform, score."""

from lvmviz.sklearn_api.vae import VAE, packed

__all__ = ["VAE", "packed"]
