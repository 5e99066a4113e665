"""From a trace of a VAE to the films that show it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from lvmviz.figures import vae_cloud, vae_curves, vae_images, vae_plane
from lvmviz.figures.drawing import Drawing
from lvmviz.figures.film import Film
from lvmviz.figures.theme import number
from lvmviz.runs.job import Trace
from lvmviz.summaries import vae as summaries

FRAMES, FEWER = 20, 8  # snapshots the plane is drawn at, in a trace at rest and in one that grows
WHOLE = 48  # snapshots with log p(x) that make a line of it
POINTS = 1500  # of the data, drawn beside the bent prior
HOLDS = 16_000_000  # pixels of all the manifolds of one film


def frames(trace: Trace, index: int, growing: bool) -> list[int]:
    """Which snapshots the plane is drawn at: what is on screen, and some for playing."""
    return summaries.keyframes(trace.steps, FEWER if growing else FRAMES, also=(index,))


def held(chosen: Sequence[int], count: int) -> list[int]:
    """For every frame the place among the chosen of the last one that is not after it."""
    places = np.searchsorted(np.asarray(chosen), np.arange(count), side="right") - 1
    return np.maximum(places, 0).tolist()


def plane(trace: Trace, chosen: Sequence[int], axes: tuple[int, int], dark: bool) -> Film:
    """q of a sample of the data in two of the latents."""
    planes = [summaries.plane(summaries.moment(trace, index), axes) for index in chosen]
    first, names = planes[0], summaries.examples(summaries.vae(trace)).label_names
    cloud = vae_plane.Cloud(
        np.stack([one.means for one in planes]),
        np.stack([one.factors for one in planes]),
        first.labels,
        names,
        _told(first, names),
    )
    return vae_plane.plane(cloud, held(chosen, len(trace)), axes=axes, dark=dark)


def _told(plane: summaries.Plane, names: Sequence[str]) -> list[str]:
    """Which example a mark is."""
    halves = ("test" if tested else "train" for tested in plane.tested.tolist())
    if plane.labels is None:
        return [f"{half} {row}" for half, row in zip(halves, plane.rows.tolist(), strict=True)]
    rows = zip(halves, plane.rows.tolist(), plane.labels.tolist(), strict=True)
    return [f"{half} {row}: {_named(names, label)}" for half, row, label in rows]


def _named(names: Sequence[str], label: int) -> str:
    return names[label] if label < len(names) else str(label)


def manifold(trace: Trace, chosen: Sequence[int], axes: tuple[int, int], dark: bool) -> Film:
    """What a grid of the plane decodes to; of large images only the snapshot on screen is decoded."""
    algorithm = summaries.vae(trace)
    height, width = summaries.examples(algorithm).shape
    side = 15 if max(height, width) <= 16 else 13
    most = max(1, HOLDS // (side * side * height * width * 50))
    some = list(chosen)[-most:] if len(chosen) > most else list(chosen)
    grids = [summaries.manifold(summaries.moment(trace, index), axes, side) for index in some]
    at = held(some, len(trace))
    return vae_plane.manifold([grid.images for grid in grids], at, grids[0].edge, axes=axes, dark=dark)


def cloud(trace: Trace, index: int, share: float, dark: bool, height: int) -> Film:
    """The prior's draws this share of their way to the data, and the data."""
    at = summaries.moment(trace, index)
    made, data = summaries.bent(at), summaries.half(at.vae, "train")
    z = np.pad(made.z, ((0, 0), (0, max(0, 2 - made.z.shape[1]))))[:, :2]
    labels = None if data.labels is None else data.labels[:POINTS]
    return vae_cloud.cloud(z, made.x[:, :3], data.x[:POINTS, :3], labels, (share,), dark=dark, height=height)


def reconstructions(trace: Trace, index: int, count: int, dark: bool) -> Drawing:
    """Test images above, what the decoder makes of their q's means below."""
    at = summaries.moment(trace, index)
    made, examples = summaries.reconstructions(at, "test", count), summaries.examples(at.vae)
    x, decoded = (part.reshape(-1, *examples.shape) for part in (made.x, made.decoded))
    labels = examples.labels
    names = [
        f"test {row}" + ("" if labels is None else f": {_named(examples.label_names, int(labels[row]))}")
        for row in made.rows.tolist()
    ]
    return vae_images.reconstructions(x, decoded, names, dark=dark)


def bound(trace: Trace, known: Mapping[int, summaries.Evidence], dark: bool, height: int) -> Film:
    """ELBO over the epochs, with log p(x) where it is known."""
    infos = summaries.infos(trace)
    epochs, test, train = (summaries.column(infos, name) for name in ("epoch", "test_elbo", "elbo"))
    places = sorted(known)
    means = [known[index].mean() for index in places]
    points = vae_curves.Points(
        epochs[places],
        np.array([mean.log_evidence for mean in means]),
        np.array([mean.elbo for mean in means]),
        np.array([known[index].standard_error for index in places]),
    )
    exact = summaries.exact_possible(summaries.vae(trace))
    whole = exact and len(places) > 1 and set(summaries.keyframes(trace.steps, WHOLE)) <= set(places)
    return vae_curves.bound(epochs, test, train, points, exact=exact, whole=whole, dark=dark, height=height)


def terms(trace: Trace, dark: bool, height: int) -> Film:
    """Reconstruction and KL to the prior over the epochs."""
    infos = summaries.infos(trace)
    epochs, *values = (
        summaries.column(infos, name)
        for name in ("epoch", "test_reconstruction", "reconstruction", "test_kl", "kl")
    )
    return vae_curves.terms(epochs, values[:2], values[2:], dark=dark, height=height)


def by_latent(trace: Trace, dark: bool, height: int) -> Film:
    """KL of every latent over the epochs."""
    epochs = summaries.column(summaries.infos(trace), "epoch")
    return vae_curves.by_latent(epochs, summaries.kl_by_latent(trace), dark=dark, height=height)


def still(trace: Trace, index: int, axes: tuple[int, int], dark: bool) -> go.Figure:
    """The plane of one snapshot, for a file."""
    return plane(trace, [index], axes, dark).at(index)


def alt(trace: Trace, index: int) -> str:
    """The plane in words."""
    algorithm, info = summaries.vae(trace), summaries.infos(trace)[index]
    return (
        f"{algorithm.data.name()}: q of a sample of the data in the latent plane after epoch {info.epoch:g}, "
        f"test ELBO {number(info.test_elbo, 2)} nats per example"
    )
