"""What an epoch of a VAE costs, against the loops that people write: `python -m benchmarks.vae [--save]`.

The same networks, minibatches, Adam and threads on both sides, interleaved; the best epoch of several. Ours
is a whole step: it also measures the ELBO of 256 training and of 256 test examples. The peers only train:
`classic` is the loop of PyTorch's own example: a DataLoader whose worker makes a picture into a tensor, one
by one; `tensors` takes them out of a TensorDataset in the same process; `pythae` is that library's trainer,
where it is installed. Prints one JSON object: seconds, and how many times ours is faster.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import math
import os
import platform
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from benchmarks import peer_pythae
from lvmviz.algorithms.vae import TrainVAE
from lvmviz.core import Choice, choice, fold_in
from lvmviz.latent import LatentPlane
from lvmviz.likelihoods import Bernoulli
from lvmviz.networks import MLP
from lvmviz.observations import DigitImages, Examples, Observations, halves

RESULTS = Path(__file__).parent / "results"
TURNS = 5
WARM = 1
RATE = 1e-3


@choice
class Pixels(Observations):
    """As many images of noise as MNIST's test set has, 28 x 28: what they show does not matter here."""

    def _make(self) -> Examples:
        x = np.random.default_rng(0).random((10_000, 784), dtype=np.float32).round()
        return Examples(x, (28, 28), None, (), ())


class Images(Dataset):
    """Examples as torchvision's MNIST hands them out: each a picture, made a tensor when it is asked for."""

    def __init__(self, x: np.ndarray) -> None:
        side = math.isqrt(x.shape[1])
        self.x = (255 * x).astype(np.uint8).reshape(-1, side, side)

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> Tensor:
        picture = Image.fromarray(self.x[index])  # and then what ToTensor does with it
        return (
            torch.from_numpy(np.array(picture, copy=True)).contiguous().to(torch.float32).div(255).flatten()
        )


class Classic(nn.Module):
    """The VAE of the tutorials."""

    def __init__(self, width: int, hidden: int, latent: int) -> None:
        super().__init__()
        self.inside, self.means, self.logs = (
            nn.Linear(width, hidden),
            nn.Linear(hidden, latent),
            nn.Linear(hidden, latent),
        )
        self.outside, self.out = nn.Linear(latent, hidden), nn.Linear(hidden, width)

    def loss(self, x: Tensor) -> Tensor:
        """Minus the ELBO, mean over the minibatch."""
        hidden = torch.tanh(self.inside(x))
        mean, log_variance = self.means(hidden), self.logs(hidden)
        z = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
        logits = self.out(torch.tanh(self.outside(z)))
        missed = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
        kl = -0.5 * torch.sum(1 + log_variance - mean.pow(2) - log_variance.exp())
        return (missed + kl) / len(x)


def loop(data: Dataset, model: Classic, device: str, workers: int = 0) -> Callable[[], float]:
    """An epoch of the loop of the tutorials."""
    loader = DataLoader(data, batch_size=128, shuffle=True, num_workers=workers)
    adam = torch.optim.Adam(model.parameters(), lr=RATE)

    def epoch() -> float:
        total = 0.0
        for part in loader:
            x = (part[0] if isinstance(part, (list, tuple)) else part).to(device)
            loss = model.loss(x)
            adam.zero_grad()
            loss.backward()
            adam.step()
            total += loss.item()
        return total

    return epoch


def ours(vae: TrainVAE) -> Callable[[], float]:
    """An epoch of lvmviz."""
    state, _ = vae.init(0)
    at = [0, state]

    def epoch() -> float:
        at[0] += 1
        at[1], info = vae.step(fold_in(0, at[0]), at[1])
        return info.elbo

    return epoch


def best(epochs: dict[str, Callable[[], float]]) -> dict[str, float]:
    """The best time of each, taken in turns of three: an epoch follows others of its own kind, as in use."""
    times: dict[str, list[float]] = {name: [] for name in epochs}
    for turn in range(WARM + TURNS):
        for name, epoch in epochs.items():
            for _ in range(3):
                begun = time.perf_counter()
                epoch()
                if turn >= WARM:
                    times[name].append(time.perf_counter() - begun)
    return {name: min(some) for name, some in times.items()}


def training(vae: TrainVAE, device: str) -> dict[str, float]:
    """Seconds an epoch, and ratios."""
    x = halves(vae.data, vae.likelihood, vae.held_out, "cpu").train
    hidden = vae.encoder.hidden if isinstance(vae.encoder, MLP) else 0
    peers = [Classic(x.shape[1], hidden, vae.latent).to(device) for _ in range(2)]
    with default_device(device):
        epochs = {
            "ours": ours(vae),
            "classic": loop(Images(x.numpy()), peers[0], device, workers=1),
            "tensors": loop(TensorDataset(x), peers[1], device),
        }
        if library := peer_pythae.epoch(x, hidden, vae.latent, vae.batch, RATE):
            epochs["pythae"] = library
        took = best(epochs)
    told = {f"{name}_s": round(seconds, 4) for name, seconds in took.items()}
    return told | {f"times_{name}": round(took[name] / took["ours"], 2) for name in took if name != "ours"}


@contextlib.contextmanager
def default_device(device: str) -> Iterator[None]:
    """Where the app would put its tensors."""
    before = torch.get_default_device()
    torch.set_default_device(device)
    try:
        yield
    finally:
        torch.set_default_device(before)


def exact(epochs: int) -> dict[str, float]:
    """Milliseconds for log p(x), ELBO and KL of 200 digits, and of one: the best of ten fresh lattices."""
    vae = TrainVAE()
    state, _ = vae.init(0)
    for step in range(epochs):
        state, _ = vae.step(fold_in(0, step + 1), state)
    x = halves(vae.data, vae.likelihood, vae.held_out, "cpu").test.double()
    with torch.no_grad():
        q = vae.encode(type(state.weights)(*(part.double() for part in state.weights)), x)
        took: dict[str, float] = {}
        for count in (200, 1):
            times = []
            for _ in range(10):
                begun = time.perf_counter()
                LatentPlane(vae.model(state.weights)).decompose(x[:count], q.rows(slice(0, count)))
                times.append(1e3 * (time.perf_counter() - begun))
            took[f"{count}_ms"] = round(min(times), 1)
    return took


def main() -> None:
    """Measure, and print or save one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--save", action="store_true", help="write it into results/, too")
    parser.add_argument("--threads", type=int, default=1, help="of torch, on both sides")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    wide: Choice = MLP(hidden=400)
    result = {
        "digits 64-256-2": training(TrainVAE(data=DigitImages()), device),
        "noise 784-400-20": training(
            TrainVAE(
                data=Pixels(), encoder=wide, decoder=wide, likelihood=Bernoulli(), latent=20, held_out=0.05
            ),
            device,
        ),
        "exact": {f"after {epochs} epochs": exact(epochs) for epochs in (150, 600)},
        "date": datetime.date.today().isoformat(),
        "machine": machine(device),
        "threads": asked.threads,
        "versions": {name: version(name) for name in ("torch", "numpy")},
    }
    print(json.dumps(result, indent=1))
    if asked.save:
        RESULTS.mkdir(exist_ok=True)
        name = f"vae-{result['date']}-{device}-{asked.threads}-threads.json"
        (RESULTS / name).write_text(json.dumps(result, indent=1) + "\n")


def machine(device: str) -> str:
    """What this was measured on."""
    beside = f", {torch.cuda.get_device_name()}" if device == "cuda" else ""
    return f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}{beside}"


if __name__ == "__main__":
    main()
