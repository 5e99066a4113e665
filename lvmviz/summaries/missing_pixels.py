"""Images with hidden pixels as small NumPy arrays: joints, q's path and numbers, completions."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lvmviz import font
from lvmviz.algorithms.bernoulli_em import BernoulliEM
from lvmviz.bernoulli_mixture import BernoulliMixtureParams, Data, responsibilities
from lvmviz.divergences import Decomposition
from lvmviz.factorized import Best, Estimate, coordinate_ascent, estimate, estimated_terms
from lvmviz.factorized import best as best_of
from lvmviz.factorized import completions as draws_of_posterior
from lvmviz.factorized import drawn as draws_of_q
from lvmviz.kept import kept
from lvmviz.missing_pixels import Completions, Conditional, hidden_given_seen
from lvmviz.runs.job import Trace

DRAWS, FEW, SEED = 1000, 150, 0  # of an estimate beside what is exact, or in its place; few of a lattice
ONE = 0.999  # "all 1": a q that is sure, and not infinitely so
SHOWN = 6  # completions of each sort
CUT = 1e-5  # nats of log p(x_o) beyond the edge of a lattice that are not left out
SLIGHT = 1e-12  # of a posterior
KEPT = 150_000_000  # bytes of tables


class Joint(NamedTuple):
    """A mixture of Bernoullis over the pixels of an image, and images to hide pixels of."""

    key: str  # tells it from every other
    theta: BernoulliMixtureParams
    shape: tuple[int, int]  # (H, W)
    images: np.ndarray  # (N, D) zeros and ones
    labels: np.ndarray | None  # (N,) what digit each shows
    alike: np.ndarray | None  # (10, D) p(x = 1) of every digit
    names: tuple[str, ...] = ()  # (K,) what a component is called
    black: Tensor | None = None  # (K,) where the components are nodes of a lattice, half of them
    wide: Joint | None = None  # the same on a lattice that reaches further

    @property
    def rough(self) -> bool:
        """Whether the mixture is a sum in place of an integral."""
        return self.black is not None

    def component(self, k: int) -> str:
        """A component as a person says it."""
        return self.names[k] if self.names else f"component {k + 1}"

    def named(self, row: int) -> str:
        """An image as a person says it."""
        if len(self.images) == 10:
            return f"“{row}”"
        return f"image {row}" + ("" if self.labels is None else f", a {self.labels[row]}")


class Image(NamedTuple):
    """One image and which of its pixels are hidden."""

    joint: Joint
    x: np.ndarray  # (D,) zeros and ones
    hidden: np.ndarray  # (D,) bool

    @property
    def key(self) -> tuple[str, bytes, bytes]:
        """What tells it from every other."""
        return self.joint.key, np.packbits(self.x > 0.5).tobytes(), np.packbits(self.hidden).tobytes()

    @property
    def count(self) -> int:
        """How many pixels are hidden."""
        return int(self.hidden.sum())

    def whole(self, phi: np.ndarray) -> np.ndarray:
        """Images (..., D): what is seen, and phi (..., h) elsewhere."""
        made = np.broadcast_to(self.x, (*phi.shape[:-1], len(self.x))).copy()
        made[..., self.hidden] = phi
        return made


# ---- joints ----


@functools.cache
def small_font() -> Joint:
    """The ten digits of 7 x 5 pixels, each pixel flipped with probability .05."""
    theta, drawn = font.font_mixture(), font.font_digits().numpy()
    shape = font.ROWS, font.COLUMNS
    return Joint("font", theta, shape, drawn, np.arange(10), theta.means.numpy(),
                 tuple(f"digit {digit}" for digit in range(10)))  # fmt: skip


def _joint_size(made: Joint) -> int:
    return made.images.nbytes + made.theta.means.nbytes


def _end(trace: Trace) -> tuple[str, int]:
    return trace.job.id, len(trace)


@kept(50_000_000, _joint_size, key=_end)
def learned(trace: Trace) -> Joint:
    """What EM has learned of images, at the end of its trace."""
    em = trace.job.algorithm
    assert isinstance(em, BernoulliEM), "only a trace of BernoulliEM ends in a mixture of Bernoullis"
    theta = _on_cpu(trace[-1].state.theta)
    examples = em.data.examples()
    x = (examples.x > em.threshold).astype(float)
    height, width = examples.shape
    return Joint(f"{trace.job.id}:{len(trace)}", theta, (height, width), x, examples.labels,
                 by_class(x, examples.labels), _mostly(theta, x, examples.labels))  # fmt: skip


def _mostly(theta: BernoulliMixtureParams, x: np.ndarray, labels: np.ndarray | None) -> tuple[str, ...]:
    """Every component by the digit that most of its images show."""
    if labels is None:
        return ()
    resp = responsibilities(theta, Data(_tensor(x))).resp.numpy()
    shares = np.stack([resp[labels == label].sum(0) for label in range(int(labels.max()) + 1)])
    return tuple(f"component {k + 1}, mostly {label}" for k, label in enumerate(shares.argmax(0).tolist()))


def _on_cpu(theta: BernoulliMixtureParams) -> BernoulliMixtureParams:
    return BernoulliMixtureParams(*(part.detach().to("cpu", torch.float64) for part in theta))


def by_class(x: np.ndarray, labels: np.ndarray | None) -> np.ndarray | None:
    """How often each pixel is on in images of every digit (10, D), with one image of each sort more."""
    if labels is None or int(labels.max()) != 9:
        return None
    rows = [x[labels == digit] for digit in range(10)]
    return np.stack([(part.sum(0) + 1.0) / (len(part) + 2.0) for part in rows])


# ---- what is open ----


class Open(NamedTuple):
    """An image's hidden pixels under its joint."""

    image: Image
    conditional: Conditional
    sums: Completions | None  # None where there are too many completions

    @property
    def exact(self) -> bool:
        """Whether every number is a sum over all completions."""
        return self.sums is not None

    @property
    def posterior_mean(self) -> np.ndarray:
        """p(x_i = 1 | x_o) of the hidden pixels (h,)."""
        return self.conditional.posterior_mean.numpy()

    @property
    def resp(self) -> np.ndarray:
        """p(k | x_o) (K,)."""
        return self.conditional.resp.numpy()

    @property
    def draws(self) -> int:
        """S of its estimates."""
        return FEW if self.image.joint.rough else DRAWS


def _size(made: Open) -> int:
    return 1000 if made.sums is None else 3 * made.sums.joint.values.nbytes + 1000


def _key(image: Image) -> tuple[str, bytes, bytes]:
    return image.key


@kept(KEPT, _size, key=_key)
def opened(image: Image) -> Open:
    """What the seen pixels leave open; ValueError where the joint cannot make them.

    Where a posterior reaches beyond a lattice, the nodes there that matter to it are added.
    """
    made = _conditional(image)
    if image.joint.wide is not None:
        beyond = _conditional(image._replace(joint=image.joint.wide))
        if abs(float(beyond.log_evidence - made.log_evidence)) > CUT:
            image = image._replace(joint=_with_far_nodes(image.joint, beyond.resp))
            made = _conditional(image)
    return Open(image, made, Completions(made) if made.countable else None)


def _with_far_nodes(joint: Joint, resp: Tensor) -> Joint:
    """The lattice with those nodes of its wide one that have a share (K,) of the posterior."""
    wide = joint.wide
    assert wide is not None and wide.black is not None, "only a lattice has a wider one"
    weights = wide.theta.weights  # fall with the distance from 0
    near = weights >= 0.99 * joint.theta.weights.min()
    kept = (near | (resp > SLIGHT)).nonzero()[:, 0]
    theta = BernoulliMixtureParams(*(part[kept] for part in wide.theta))
    names = tuple(wide.names[k] for k in kept.tolist())
    return wide._replace(theta=theta, names=names, black=wide.black[kept])


def _conditional(image: Image) -> Conditional:
    return hidden_given_seen(image.joint.theta, _tensor(image.x), torch.tensor(image.hidden))


def _tensor(values: np.ndarray) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


class Climb(NamedTuple):
    """Where q sets out and what coordinate ascent makes of it, sweep by sweep."""

    phis: np.ndarray  # (T, h)
    terms: list[Decomposition]


def _asked(made: Open, phi: np.ndarray, climbs: bool, seed: int) -> tuple[object, ...]:
    return (*made.image.key, phi.tobytes(), climbs, seed)


def _climb_size(found: Climb) -> int:
    return found.phis.nbytes + 100 * len(found.terms)


@kept(4_000_000, _climb_size, key=_asked)
def climb(made: Open, phi: np.ndarray, climbs: bool, seed: int) -> Climb:
    """q where it stands (h,), and its climb from there if it `climbs`."""
    phis = path(made, phi) if climbs else phi[None]
    return Climb(phis, terms(made, phis, seed))


def _places_key(made: Open, digit: int, seed: int) -> tuple[object, ...]:
    return (*made.image.key, digit, seed)


@kept(1_000_000, lambda found: 1000, key=_places_key)
def places(made: Open, digit: int, seed: int) -> dict[str, Decomposition]:
    """The terms of q at every place that has a name."""
    names = [name for name in NAMED if name != ALIKE or made.image.joint.alike is not None]
    phis = np.stack([preset(made, name, digit) for name in names])
    return dict(zip(names, terms(made, phis, seed), strict=True))


def path(made: Open, phi: np.ndarray) -> np.ndarray:
    """phi (h,) and what coordinate ascent makes of it, sweep by sweep, (T, h)."""
    return coordinate_ascent(made.conditional, _tensor(phi), made.sums).numpy()


def terms(made: Open, phis: np.ndarray, seed: int = SEED) -> list[Decomposition]:
    """The terms of every q, phis (T, h): exact, or estimated with the standard error as their `error`."""
    if made.sums is not None:
        return made.sums.terms(_tensor(phis))
    return estimated_terms(made.conditional, _tensor(phis), made.draws, seed)


def by_sum(made: Open, phi: np.ndarray) -> tuple[float | None, float | None]:
    """log p(x_o) by adding up all completions, and those that q can draw; None where they are too many."""
    if made.sums is None:
        return None, None
    return float(made.sums.log_sum), float(made.sums.log_sum_drawn(_tensor(phi)))


def rough(made: Open, phi: np.ndarray, seed: int = SEED) -> Estimate:
    """ELBO and KL by plain draws of q, as if nothing could be summed."""
    return estimate(made.conditional, _tensor(phi), made.draws, seed)


def _open_key(made: Open) -> tuple[str, bytes, bytes]:
    return made.image.key


@kept(1_000_000, lambda found: 1000, key=_open_key)
def best(made: Open) -> Best | None:
    """The best factorized q that is found; None where completions are too many to sum."""
    return None if made.sums is None else best_of(made.conditional, made.sums)


def completions(made: Open, phis: np.ndarray, seed: int = SEED) -> tuple[np.ndarray, np.ndarray]:
    """Images (SHOWN, D) completed by the posterior, and (T, SHOWN, D) by every q with the same numbers."""
    truly = draws_of_posterior(made.conditional, SHOWN, seed).numpy()
    by_q = np.stack([draws_of_q(_tensor(phi), SHOWN, seed + 1).numpy() for phi in phis])
    return made.image.whole(truly), made.image.whole(by_q)


# ---- places for q ----

HALF, ONES, ALIKE, MEAN = "all .5", "all 1", "a digit's top", "posterior mean"
NAMED = HALF, ONES, ALIKE, MEAN


def preset(made: Open, name: str, digit: int) -> np.ndarray:
    """phi (h,) of one of the places that have a name."""
    if name == ALIKE:
        alike = made.image.joint.alike
        if alike is None:
            raise ValueError("These images have no labels to tell how a digit looks: choose another q")
        return alike[digit][made.image.hidden]
    if name == MEAN:
        return made.posterior_mean
    return np.full(made.image.count, ONE if name == ONES else 0.5)
