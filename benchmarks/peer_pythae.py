"""The same VAE in pythae, a library of VAEs, where it is: `pip install pythae pydantic imageio`."""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Callable

import torch
from torch import Tensor, nn


def epoch(x: Tensor, hidden: int, latent: int, batch: int, rate: float) -> Callable[[], float] | None:
    """An epoch of pythae's trainer on x (n, D) of 0 and 1; None where pythae is not installed."""
    try:
        from pythae.data.datasets import BaseDataset  # pyright: ignore[reportMissingImports]
        from pythae.models import VAE, VAEConfig  # pyright: ignore[reportMissingImports]
        from pythae.models.base.base_utils import ModelOutput  # pyright: ignore[reportMissingImports]
        from pythae.models.nn import BaseDecoder, BaseEncoder  # pyright: ignore[reportMissingImports]
        from pythae.trainers import BaseTrainer, BaseTrainerConfig  # pyright: ignore[reportMissingImports]
    except ImportError:
        return None
    width = x.shape[1]

    class Encoder(BaseEncoder):
        def __init__(self) -> None:
            super().__init__()
            self.inside, self.means = nn.Linear(width, hidden), nn.Linear(hidden, latent)
            self.logs = nn.Linear(hidden, latent)

        def forward(self, x: Tensor) -> ModelOutput:
            h = torch.tanh(self.inside(x.flatten(1)))
            return ModelOutput(embedding=self.means(h), log_covariance=self.logs(h))

    class Decoder(BaseDecoder):
        def __init__(self) -> None:
            super().__init__()
            self.outside, self.out = nn.Linear(latent, hidden), nn.Linear(hidden, width)

        def forward(self, z: Tensor) -> ModelOutput:
            return ModelOutput(reconstruction=torch.sigmoid(self.out(torch.tanh(self.outside(z)))))

    settings = VAEConfig(input_dim=(width,), latent_dim=latent, reconstruction_loss="bce")
    config = BaseTrainerConfig(
        output_dir=tempfile.mkdtemp(), num_epochs=1, learning_rate=rate, per_device_train_batch_size=batch,
        no_cuda=not x.is_cuda,
    )  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        trainer = BaseTrainer(
            model=VAE(settings, encoder=Encoder(), decoder=Decoder()),
            train_dataset=BaseDataset(x, torch.zeros(len(x))),
            training_config=config,
        )
        trainer.prepare_training()

    def once() -> float:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            return float(trainer.train_step(1))

    return once
