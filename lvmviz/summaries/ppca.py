"""A trace of probabilistic PCA by EM as small NumPy arrays: latents, loadings, images, its rivals.

T snapshots, n rows that are drawn, D columns, q latents; float64 on the CPU. Any rotation of the latents has
the same likelihood, so all are turned as one: at the end the axes are principal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from lvmviz import ppca
from lvmviz.algorithms.ppca import PPCAEM
from lvmviz.datasets import Dataset
from lvmviz.digit_pixels import SIDE, DigitPixels
from lvmviz.divergences import Decomposition
from lvmviz.gaps import Gaps, Incomplete, incomplete
from lvmviz.incomplete_gaussian import column_means
from lvmviz.kept import kept
from lvmviz.ppca import PPCAParams
from lvmviz.runs.job import Snapshot, Trace
from lvmviz.summaries.em import sample
from lvmviz.summaries.missing import FILLED, ORACLE, total

MOST = 400  # rows that are drawn
AT_ONCE = 2**18  # numbers (thetas x rows x D) in work at once
SHOWN = 5  # images


def ppca_em(trace: Trace) -> PPCAEM:
    """The algorithm that made a trace."""
    algorithm = trace.job.algorithm
    if not isinstance(algorithm, PPCAEM):
        raise TypeError(f"{type(algorithm).__name__} has no latent plane: give a trace of PPCAEM")
    return algorithm


def table(trace: Trace) -> Incomplete:
    """The table with gaps that a trace is about."""
    return incomplete(ppca_em(trace).data, ppca_em(trace).gaps)


def rows(trace: Trace) -> np.ndarray:
    """Which rows are drawn."""
    return sample(len(table(trace).points), MOST)


def decompositions(trace: Trace) -> list[Decomposition]:
    """The evidence and its terms at every snapshot, nats per row."""
    count = total(table(trace))
    return [snapshot.info.evidence.per(count) for snapshot in trace]


def _cpu(theta: PPCAParams) -> PPCAParams:
    return PPCAParams(*(part.detach().to("cpu", torch.float64) for part in theta))


def turn(trace: Trace) -> np.ndarray:
    """The rotation (q, q) that makes the last snapshot's axes principal: z becomes z @ turn."""
    loadings = _cpu(trace[-1].state.theta).loadings.numpy()
    left, _, right = np.linalg.svd(loadings, full_matrices=False)
    signs = np.sign(left[np.abs(left).argmax(0), np.arange(left.shape[1])])
    return right.T * np.where(signs == 0, 1.0, signs)


def loadings(trace: Trace) -> np.ndarray:
    """W at every snapshot (T, D, q)."""
    return np.stack([_cpu(snapshot.state.theta).loadings.numpy() for snapshot in trace]) @ turn(trace)


def noise_variances(trace: Trace) -> np.ndarray:
    """sigma^2 at every snapshot (T,)."""
    return np.array([float(snapshot.state.theta.noise_variance) for snapshot in trace])


class Told(NamedTuple):
    """What q says of the rows that are drawn."""

    latents: np.ndarray  # (T, n, q) means of q(z)
    filled: np.ndarray | None  # (T, SHOWN, D) the first rows with gaps, these filled; None for a plain table


def told(trace: Trace) -> Told:
    """Of every snapshot; an M-step leaves the latents alone."""
    points = torch.from_numpy(table(trace).points[rows(trace)].copy())
    which, thetas = _distinct([_cpu(snapshot.state.theta_q) for snapshot in trace])
    size = max(1, AT_ONCE // max(1, points.numel()))
    parts = [ppca.latent_means(thetas[i : i + size], points) for i in range(0, len(thetas), size)]
    latents = torch.cat(parts).numpy()[which] @ turn(trace)
    if not has_images(trace):
        return Told(latents, None)
    images = torch.from_numpy(table(trace).points[shown(trace)].copy())
    return Told(latents, np.stack([ppca.applied(theta, images).filled.numpy() for theta in thetas])[which])


def _distinct(thetas: Sequence[PPCAParams]) -> tuple[np.ndarray, list[PPCAParams]]:
    """Which of the different thetas each one is (T,), and these, in order."""
    which: list[int] = []
    made: list[PPCAParams] = []
    for theta in thetas:
        if not made or not all(map(torch.equal, made[-1], theta)):
            made.append(theta)
        which.append(len(made) - 1)
    return np.array(which), made


# ---- digits ----


def has_images(trace: Trace) -> bool:
    """Whether a row is an image."""
    return isinstance(ppca_em(trace).data, DigitPixels)


def shown(trace: Trace) -> np.ndarray:
    """The rows whose images are shown."""
    return np.arange(min(SHOWN, len(table(trace).points)))


class Images(NamedTuple):
    """Images from 0 to 1."""

    mean: np.ndarray  # (T, 1, H, W)
    components: np.ndarray  # (T, q, H, W) loadings; grey is 0
    seen: np.ndarray  # (SHOWN, H, W) with gaps; 0 stands there
    hidden: np.ndarray  # (SHOWN, H, W) bool, the gaps
    filled: np.ndarray  # (T, SHOWN, H, W) by q


def images(trace: Trace) -> Images:
    """What a trace over the digits' pixels looks like."""
    count, made = len(trace), loadings(trace)
    scale = np.maximum(np.abs(made).max(1, keepdims=True), 1e-300)
    mean = np.stack([_cpu(snapshot.state.theta).mean.numpy() for snapshot in trace])
    gapped = table(trace).points[shown(trace)].reshape(-1, SIDE, SIDE)
    filled = told(trace).filled
    assert filled is not None, "a plain table has no images"
    parts = (mean[:, None], np.swapaxes(0.5 + 0.5 * made / scale, 1, 2), filled)
    first, components, last = (part.reshape(count, -1, SIDE, SIDE).clip(0.0, 1.0) for part in parts)
    return Images(first, components, np.nan_to_num(gapped).clip(0.0, 1.0), np.isnan(gapped), last)


# ---- what it is compared with ----


class Fitted(NamedTuple):
    """A closed form."""

    noise_variance: float
    basis: np.ndarray  # (D, q) orthonormal, of its principal subspace
    log_lik: float  # mean log-likelihood of the table it was fitted to, nats per row


def rivals(trace: Trace) -> Mapping[str, Fitted]:
    """The closed form for the table without gaps, where it is known, and for gaps filled with means."""
    algorithm = ppca_em(trace)
    return _rivals(algorithm.data, algorithm.gaps, algorithm.latents)


def _bytes(found: Mapping[str, Fitted]) -> int:
    return sum(made.basis.nbytes for made in found.values())


@kept(5_000_000, _bytes)
def _rivals(data: Dataset, gaps: Gaps, latents: int) -> Mapping[str, Fitted]:
    made = incomplete(data, gaps)
    points, whole = torch.from_numpy(made.points.copy()), torch.from_numpy(made.whole.copy())
    weights = None if made.weights is None else torch.from_numpy(made.weights.copy())
    tables = {FILLED: torch.where(points.isnan(), column_means(points, weights), points)}
    if not bool(whole.isnan().any()):
        tables = {ORACLE: whole, **tables}
    found = ((name, _fitted(part, latents, weights)) for name, part in tables.items())
    return {name: fitted for name, fitted in found if fitted is not None}


def _fitted(points: torch.Tensor, latents: int, weights: torch.Tensor | None) -> Fitted | None:
    """The closed form; None where the points lie within the latents' dimensions, so that there is none."""
    try:
        theta = ppca.closed_form(points, latents, weights)
    except ValueError:
        return None
    count = torch.ones_like(points[:, 0]) if weights is None else weights
    log_lik = (count * ppca.applied(theta, points).log_density).sum() / count.sum()
    return Fitted(float(theta.noise_variance), np.linalg.qr(theta.loadings.numpy())[0], float(log_lik))


def angles(trace: Trace, basis: np.ndarray) -> np.ndarray:
    """The largest angle between W's subspace and another's at every snapshot (T,), degrees."""
    which, thetas = _distinct([_cpu(snapshot.state.theta) for snapshot in trace])
    return _angles(np.stack([theta.loadings.numpy() for theta in thetas]), basis)[which]


def angle(loadings: np.ndarray, basis: np.ndarray) -> float:
    """The same of two subspaces of D dimensions, by a sine, which is exact where they are near."""
    return float(_angles(loadings[None], basis)[0])


def _angles(loadings: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """The same of many (T, D, q), (T,)."""
    own = np.linalg.qr(loadings)[0]
    apart = own - basis @ (basis.T @ own)
    return np.degrees(np.arcsin(np.minimum(1.0, np.linalg.norm(apart, 2, axis=(1, 2)))))


# ---- the derivation's numbers ----


class Numbers(NamedTuple):
    """What E makes of one row and M of sigma^2, at one snapshot."""

    row: int
    size: float  # |E z|^2
    doubt: float  # tr Cov z
    misfit: float  # mean over the cells of (x - W_new E z - mean_new)^2
    doubt_x: float  # mean over the cells of Var(W_new z)
    best: float  # sigma^2 that M sets


def numbers(trace: Trace, index: int) -> Numbers:
    """Of one snapshot; the row is the one with the most gaps."""
    made, theta = table(trace), _cpu(trace[index].state.theta_q)
    with torch.device("cpu"):
        best = ppca.maximum_at(theta, ppca_em(trace).rows())
    seen = ~np.isnan(made.points)
    count = np.ones(len(seen)) if made.weights is None else made.weights
    w, noise = theta.loadings.numpy(), float(theta.noise_variance)
    apart = np.where(seen, made.points - theta.mean.numpy(), 0.0)
    precision = np.eye(w.shape[1]) + np.einsum("nd,di,dj->nij", seen, w, w, optimize=True) / noise
    spread = np.linalg.inv(precision)
    means = np.einsum("nij,nj->ni", spread, apart @ w / noise)
    new, middle = best.loadings.numpy(), best.mean.numpy()
    residual = np.where(seen, made.points - middle - means @ new.T, 0.0)
    doubt = np.where(seen, np.einsum("di,nij,dj->nd", new, spread, new, optimize=True), 0.0)
    cells, row = float((count[:, None] * seen).sum()), int(seen.sum(1).argmin())
    return Numbers(
        row, float((means[row] ** 2).sum()), float(np.trace(spread[row])),
        float((count[:, None] * residual**2).sum()) / cells, float((count[:, None] * doubt).sum()) / cells,
        float(best.noise_variance),
    )  # fmt: skip


def parameters(snapshot: Snapshot) -> dict[str, Any]:
    """theta of one snapshot as plain lists, with its numbers: what a file of the fitted model holds."""
    theta = _cpu(snapshot.state.theta)
    lists = {name: part.tolist() for name, part in theta._asdict().items()}
    return {"step": snapshot.step, **lists, "info": snapshot.info._asdict()}
