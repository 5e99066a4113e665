"""The variational autoencoder as a scikit-learn estimator."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from lvmviz import disk
from lvmviz.algorithms.vae import TrainVAE, VAEWeights
from lvmviz.amortized import Q
from lvmviz.core import Choice, from_json, to_json
from lvmviz.latent import LatentPlane
from lvmviz.latent_model import elbo, estimate
from lvmviz.likelihoods import Bernoulli, Likelihood
from lvmviz.networks import MLP, Network
from lvmviz.observations import Examples, Observations
from lvmviz.runs.execute import run
from lvmviz.runs.job import Job

DRAWS = 1000  # of q for each datum, where log p(x) can only be estimated
_KEY = "lvmviz VAE"
_BROKEN = (safetensors.SafetensorError, ValueError, KeyError, TypeError, RecursionError, struct.error)


class _Given(Observations):
    """An array at hand. It is no registered choice: an array has no place in a value."""

    def __init__(self, x: np.ndarray, shape: tuple[int, ...]) -> None:
        self._examples = Examples(np.ascontiguousarray(x, dtype=np.float32), shape, None, (), ())

    def _make(self) -> Examples:
        return self._examples

    def examples(self) -> Examples:
        return self._examples


class VAE(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """A variational autoencoder with scikit-learn's manners.

    >>> vae = VAE(n_components=2, max_epochs=200, random_state=0).fit(X)  # X (N, D), values from 0 to 1
    >>> vae.transform(X), vae.score_samples(X)  # the means of q(z | x), and log p(x) in nats

    With two components and a smooth decoder `score_samples` is exact (two rules agree to 1e-6, or a
    RuntimeError says by how much they do not); otherwise it estimates with 1000 importance-weighted draws,
    too low on average.
    Rows are images of `image_shape` where that is given, for `Convolutional` networks.
    """

    n_features_in_: int

    def __init__(
        self, n_components: int = 2, *, encoder: Network | None = None, decoder: Network | None = None,
        likelihood: Likelihood | None = None, posterior: str = "mean-field", beta: float = 1.0,
        max_epochs: int = 100, learning_rate: float = 1e-3, batch_size: int = 128,
        image_shape: tuple[int, int] | None = None, random_state: Any = None,
    ) -> None:  # fmt: skip
        self.n_components = n_components
        self.encoder = encoder
        self.decoder = decoder
        self.likelihood = likelihood
        self.posterior = posterior
        self.beta = beta
        self.max_epochs = max_epochs
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.image_shape = image_shape
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> VAE:
        """Train on the rows of X (N, D), all but one: that one measures the test ELBO."""
        x = np.asarray(validate_data(self, X, dtype=np.float32, ensure_min_samples=2))
        vae = self._algorithm(x)
        steps = self.max_epochs * math.ceil(math.ceil((len(x) - 1) / self.batch_size) / vae.batches)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        last = run(Job(vae, steps=steps, every=max(steps, 1), seed=seed))[-1]
        if last.info.status != "training":
            raise ValueError(last.info.status)
        self._keep(vae, last.state.weights)
        self.elbo_, self.n_iter_ = last.info.elbo, int(last.info.epoch)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """The means of q(z | x), (N, n_components)."""
        return self._encoded(X)[1].means.numpy()

    def inverse_transform(self, Z: Any) -> np.ndarray:
        """E[x | z], (N, D), for z (N, n_components)."""
        check_is_fitted(self, "weights_")
        z = torch.from_numpy(np.array(Z, dtype=np.float64))
        if z.ndim != 2 or z.shape[1] != self.n_components:
            raise ValueError(f"Z has shape {tuple(z.shape)}: give one row of {self.n_components} numbers a z")
        if not bool(z.isfinite().all()):
            raise ValueError("Z has values that are missing or infinite: leave those rows out")
        with torch.no_grad():
            return self._vae.likelihood.mean(self._vae.decode(self._exact(), z)).numpy()

    def score_samples(self, X: Any) -> np.ndarray:
        """log p(x) (N,), nats; RuntimeError where it should be exact and is not."""
        x, q = self._encoded(X)
        model = self._vae.model(self.weights_)
        with torch.no_grad():
            if self.n_components != 2 or not self._vae.decoder.smooth:
                return estimate(model, x, q, DRAWS, 0).log_evidence.numpy()
            value, error = LatentPlane(model).log_evidence(x, q)
        return _sure(value, error, "log p(x)")

    def elbo_samples(self, X: Any) -> np.ndarray:
        """The ELBO (N,), nats: by quadrature with one or two components, else the mean over 1000 draws."""
        x, q = self._encoded(X)
        model = self._vae.model(self.weights_)
        with torch.no_grad():
            if self.n_components > 2 or not self._vae.decoder.smooth:
                return self._drawn(x)
            return _sure(*elbo(model, x, q), "the ELBO")

    def score(self, X: Any, y: Any = None) -> float:
        """The mean of log p(x), nats."""
        return float(self.score_samples(X).mean())

    # ---- files ----

    def save(self, path: str | Path) -> None:
        """Write the weights and settings as one safetensors file; its header holds the settings as JSON."""
        check_is_fitted(self, "weights_")
        disk.write(Path(path), self._packed())

    def _packed(self) -> bytes:
        told = {
            name: to_json(value) if isinstance(value, Choice) else value
            for name, value in self.get_params(deep=False).items() if name != "random_state"
        }  # fmt: skip
        told["n_features"] = int(self.n_features_in_)
        tensors = {name: part.contiguous() for name, part in self.weights_._asdict().items()}
        return safetensors.torch.save(tensors, {_KEY: json.dumps(told, sort_keys=True)})

    @classmethod
    def load(cls, path: str | Path) -> VAE:
        """The estimator that `save` wrote; ValueError, with a sentence, for any other file."""
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise ValueError(
                f"{path} could not be read ({error.strerror}): give a file that VAE.save wrote"
            ) from error
        try:
            tensors = safetensors.torch.load(data)
            (length,) = struct.unpack_from("<Q", data)
            told = json.loads(json.loads(data[8 : 8 + length])["__metadata__"][_KEY])
        except _BROKEN as error:
            raise ValueError(
                f"{Path(path).name} holds no VAE that lvmviz saved; nothing in it was run. "
                "Save one with VAE.save, or train again."
            ) from error
        return cls._restored(told, tensors, Path(path).name)

    @classmethod
    def _restored(cls, told: Any, tensors: dict[str, Tensor], name: str) -> VAE:
        try:
            width = told.pop("n_features")
            kinds: dict[str, type[Choice]] = {
                "encoder": Network,
                "decoder": Network,
                "likelihood": Likelihood,
            }
            for key, kind in kinds.items():
                told[key] = None if told[key] is None else from_json(kind, told[key])
            told["image_shape"] = None if told["image_shape"] is None else tuple(told["image_shape"])
            made = cls(**told)
            vae = made._algorithm(np.zeros((0, width), dtype=np.float32))
        except (*_BROKEN, AttributeError) as error:
            raise ValueError(f"{name} has settings that this lvmviz does not know: train again") from error
        wanted = {key: (part, torch.float32) for key, part in vae.sizes()._asdict().items()}
        found = {key: (len(part) if part.ndim == 1 else -1, part.dtype) for key, part in tensors.items()}
        if tensors and {part.dtype for part in tensors.values()} != {torch.float32}:
            raise ValueError(f"the weights in {name} are no float32: save them with VAE.save")
        if found != wanted:
            raise ValueError(
                f"the weights in {name} are those of another architecture: they do not fit "
                f"{width} columns, {vae.encoder!r} and {vae.decoder!r}"
            )
        if not all(bool(part.isfinite().all()) for part in tensors.values()):
            raise ValueError(f"the weights in {name} are not finite: train again")
        made.n_features_in_ = width
        made._keep(vae, VAEWeights(**tensors))
        return made

    # ---- parts ----

    @property
    def _n_features_out(self) -> int:
        return self.n_components  # named vae0, vae1, ...

    def _algorithm(self, x: np.ndarray) -> TrainVAE:
        """The settings as TrainVAE, with x as its data."""
        shape = (x.shape[1],) if self.image_shape is None else tuple(self.image_shape)
        if math.prod(shape) != x.shape[1]:
            raise ValueError(f"image_shape {shape} has {math.prod(shape)} pixels and X {x.shape[1]} columns")
        return TrainVAE(
            data=_Given(x, shape), encoder=self.encoder or MLP(), decoder=self.decoder or MLP(),
            likelihood=self.likelihood or Bernoulli(), latent=self.n_components, posterior=self.posterior,
            beta=self.beta, learning_rate=self.learning_rate, batch=self.batch_size, batches=1000,
            held_out=0.0,
        )  # fmt: skip

    def _keep(self, vae: TrainVAE, weights: VAEWeights) -> None:
        """Keep what is learned, and not what it was learned from."""
        shape = vae.data.examples().shape
        self._vae = self._algorithm(np.zeros((0, math.prod(shape)), dtype=np.float32))
        self.weights_ = weights

    def _exact(self) -> VAEWeights:
        return VAEWeights(*(part.double() for part in self.weights_))

    def _encoded(self, X: Any) -> tuple[Tensor, Q]:
        """X as the likelihood sees it, float64, and its q's."""
        check_is_fitted(self, "weights_")
        x = self._vae.likelihood.prepare(
            torch.from_numpy(np.array(validate_data(self, X, dtype=np.float64, reset=False)))
        )
        with torch.no_grad():
            return x, self._vae.encode(self._exact(), x)

    def _drawn(self, x: Tensor) -> np.ndarray:
        source = torch.Generator(device="cpu").manual_seed(0)
        parts = []
        for some in x.split(64):
            noise = torch.randn(
                (DRAWS, len(some), self.n_components), generator=source, dtype=torch.float64, device="cpu"
            )
            terms = self._vae.terms(self._exact(), some, noise)
            parts.append(terms.reconstruction - terms.kl.sum(-1))
        return torch.cat(parts).numpy()


def packed(vae: TrainVAE, weights: VAEWeights, epochs: int) -> bytes:
    """The file of a snapshot, as `VAE.save` writes it and `VAE.load` reads it."""
    shape = vae.data.examples().shape
    made = VAE(
        vae.latent, encoder=vae.encoder, decoder=vae.decoder, likelihood=vae.likelihood,
        posterior=vae.posterior, beta=vae.beta, max_epochs=epochs, learning_rate=vae.learning_rate,
        batch_size=vae.batch, image_shape=shape if len(shape) == 2 else None,
    )  # fmt: skip
    made.n_features_in_, made.weights_ = math.prod(shape), weights
    return made._packed()


def _sure(value: Tensor, error: Tensor, name: str) -> np.ndarray:
    if not float(error.max()) <= 1e-3:
        raise RuntimeError(f"{name} is not exact here: two rules differ by {float(error.max()):.1e} nats")
    return value.numpy()
