"""Many runs of one EM side by side: each takes an iteration, and ends, exactly as it would alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from lvmviz import fast_em
from lvmviz.algorithms.em import EM
from lvmviz.core import Key, real
from lvmviz.mixtures import (
    LOG_2PI,
    Data,
    GaussianMixtureParams,
    maximum_at,
    not_positive_definite,
    total_log_density,
)
from lvmviz.regularizers import Floor

# of the points' reach, a variance below which the sums of many lose digits that a collapse is told by
NARROW = 1e-6
TINY = 10 * torch.finfo(torch.float64).eps  # as in the M-step of one run: without points there is no 0/0


class Climbers(NamedTuple):
    """R runs of EM as far as they are, float64 on the CPU."""

    theta: GaussianMixtureParams  # weights (R, K), means (R, K, D), covariances (R, K, D, D)
    log_lik: Tensor  # (R,) log p(X | theta) before the last M, after it where a run has ended; k-means: ELBO
    iterations: Tensor  # (R,) int64
    moving: Tensor  # (R,) bool
    settled: Tensor  # (R,) bool, the last iteration changed too little
    collapsed: Tensor  # (R,) bool: theta is the last one that had a density
    part: Tensor  # (R,) int64, which part of the points each climbs on

    def take(self, rows: Tensor) -> Climbers:
        """Some of the R."""
        return Climbers(GaussianMixtureParams(*(part[rows] for part in self.theta)),
                        *(part[rows] for part in self[1:]))  # fmt: skip

    def put(self, rows: Tensor, some: Climbers) -> Climbers:
        """All, with some of them replaced."""
        theta = (a.index_copy(0, rows, b) for a, b in zip(self.theta, some.theta, strict=True))
        rest = (a.index_copy(0, rows, b) for a, b in zip(self[1:], some[1:], strict=True))
        return Climbers(GaussianMixtureParams(*theta), *rest)


def joined(groups: Sequence[Climbers]) -> Climbers:
    """All of several."""
    theta = GaussianMixtureParams(*map(torch.cat, zip(*(one.theta for one in groups), strict=True)))
    return Climbers(theta, *map(torch.cat, zip(*(one[1:] for one in groups), strict=True)))


class Ground:
    """The points that all of them climb on, or parts of these, and what one pass over them says."""

    def __init__(self, em: EM, data: Data, together: int, parts: Sequence[Tensor] = ()) -> None:
        self.em, device = em, str(torch.get_default_device())
        data = Data(*(None if part is None else part.cpu() for part in data))  # type: ignore[arg-type]
        points, labels, weights = (None if part is None else part.numpy() for part in data)
        assert points is not None
        self.read: fast_em.Points = fast_em.Points(
            points, weights=weights, labels=labels, device=device, dtype=real(device),
            rows=fast_em.chunk_rows(together, em.components, points.shape[1]),
        )  # fmt: skip
        self.parts = [rows_of(data, rows) for rows in parts] or [data]
        self.shares = _shares(data, parts).to(device, real(device)) if parts else None  # (P, N)
        self.totals = torch.tensor([_total(part) for part in self.parts], device="cpu")  # (P,) points
        self.tiny = TINY if weights is None else TINY * min(1.0, float(weights.max()))
        self.origin = torch.from_numpy(self.read.origin)
        self.unit = torch.from_numpy(self.read.scale).clamp(min=1e-300)  # (D,) from the mean

    def nbytes(self) -> int:
        """About what is kept in memory, with the features that are made of the points."""
        return 8 * self.parts[0].x.numel() * (3 + self.parts[0].x.shape[1])

    def start(self, keys: Sequence[Key], part: int = 0) -> Climbers:
        """Where EM starts for each of these keys on a part of the points; ValueError where it cannot.

        How high that is has not been measured yet: log_lik is 0.
        """
        em, data, count = self.em, self.parts[part], self.em.components
        em.refuse(data)
        width = data.x.shape[1]
        spread = torch.cov(data.x.T, correction=0, aweights=data.weights).reshape(width, width)
        weights = torch.full((count,), 1.0 / count, dtype=torch.float64, device="cpu")
        same = spread.expand(count, width, width)
        if em.scheme.free:
            same = em.allowed(same, weights, data)
        means = torch.stack([em.first_means(key, data) for key in keys])
        first = em.scheme.start(GaussianMixtureParams(weights, means[0], same), spread)
        many = (len(keys), count)
        theta = GaussianMixtureParams(
            first.weights.repeat(len(keys), 1), means, first.covariances.expand(*many, width, width).clone()
        )
        none = torch.zeros(len(keys), dtype=torch.bool, device="cpu")
        return Climbers(theta, none.double(), none.long(), ~none, none, none, none.long() + part)

    def measured(self, at: Climbers) -> Climbers:
        """The same, with how high they are."""
        return at._replace(log_lik=self._seen(self.em.scheme.e(at.theta), at).log_lik)

    def climb(self, at: Climbers, most: int) -> Climbers:
        """All of them an iteration further, E and M; those that have taken `most` are only measured."""
        em, theta_q = self.em, self.em.scheme.e(at.theta)
        seen = self._seen(theta_q, at)
        theta, collapsed = self._moved(at, theta_q, seen.best)
        if em.scheme.closes:
            rise = seen.log_lik - at.log_lik
            settled = em.scheme.still(at.theta, theta_q, rise, em.tolerance * self.totals[at.part])
            settled &= at.iterations > 0
            rests = settled | (at.iterations >= most)
            collapsed &= ~rests
            theta = _where(rests | collapsed, at.theta, theta)
            iterations = at.iterations + ~rests
            moving, log_lik = ~rests & ~collapsed, self._alone(seen.log_lik, at, collapsed)
        else:
            settled = em.scheme.still(theta, theta_q, torch.zeros_like(at.log_lik), 0.0)
            iterations = at.iterations + 1
            moving, log_lik = ~settled & (iterations < most), self._elbo(at._replace(theta=theta), seen.best)
        return Climbers(theta, log_lik, iterations, moving, settled, collapsed, at.part)

    def log_likelihood(self, at: Climbers) -> Tensor:
        """log p(X | theta) of each (R,), nats."""
        return self._swept(at.theta, at.part)[0]

    def _seen(self, theta_q: GaussianMixtureParams, at: Climbers) -> _Seen:
        log_lik, best = self._swept(theta_q, at.part)
        return _Seen(log_lik if self.em.scheme.closes else self._elbo(at, best), best)

    def _swept(self, theta: GaussianMixtureParams, part: Tensor) -> tuple[Tensor, GaussianMixtureParams]:
        """log p(X | theta) (R,), and the thetas that maximize the ELBO of their posteriors."""
        centred = theta.means - self.origin
        parts = (theta.weights.numpy(), centred.numpy(), theta.covariances.numpy())
        read = self.read if self.shares is None else _Parts(self.read, self.shares, part)
        seen = fast_em.sweep(fast_em.mixture("full", *parts), read)
        return torch.from_numpy(seen.bounds * read.total), self._best(*seen.moments)

    def _best(self, counts: np.ndarray, first: np.ndarray, second: np.ndarray,
              frame: fast_em.Mixture | None) -> GaussianMixtureParams:  # fmt: skip
        """The maximum without a limit, from sums about the origin or in each component's own frame."""
        filled = np.where(counts > 0.0, counts, 1.0)[..., None]
        means = first / filled
        central = second / filled[..., None] - means[..., :, None] * means[..., None, :]
        if frame is not None:
            means = frame.means + (frame.factors @ means[..., None])[..., 0]
            central = frame.factors @ central @ np.swapaxes(frame.factors, 2, 3)
        held = torch.from_numpy(counts + self.tiny)
        share = torch.from_numpy(counts) / held
        means = (torch.from_numpy(means) + self.origin) * share[..., None]
        covariances = torch.from_numpy(central) * share[..., None, None]
        return GaussianMixtureParams(held / held.sum(1, keepdim=True), means, covariances)

    def _moved(
        self, at: Climbers, theta_q: GaussianMixtureParams, best: GaussianMixtureParams
    ) -> tuple[GaussianMixtureParams, Tensor]:
        """The next thetas, and which of them have collapsed (R,)."""
        theta = self._m(best, at.theta)
        collapsed = torch.zeros(len(theta.weights), dtype=torch.bool, device="cpu")
        if not self.em.scheme.free:
            return theta, collapsed
        for r in self._narrow(theta.covariances).nonzero()[:, 0].tolist():
            data = self.parts[int(at.part[r])]
            alone = self._m(maximum_at(one_of(theta_q, r), data), one_of(at.theta, r))
            for part, new in zip(theta, alone, strict=True):
                part[r] = new
            collapsed[r] = not_positive_definite(alone.covariances, data.reach).any()
        return theta, collapsed

    def _alone(self, log_lik: Tensor, at: Climbers, rows: Tensor) -> Tensor:
        """The log-likelihoods, of some rows summed as a single run sums them: on the brink digits are few."""
        for r in rows.nonzero()[:, 0].tolist():
            log_lik[r] = total_log_density(one_of(at.theta, r), self.parts[int(at.part[r])])
        return log_lik

    def _m(self, best: GaussianMixtureParams, now: GaussianMixtureParams) -> GaussianMixtureParams:
        em, theta = self.em, self.em.scheme.m(best, now)
        if not em.scheme.free:
            return theta
        limited = em.regularizer(em.covariance(theta.covariances, theta.weights))
        return GaussianMixtureParams(theta.weights.clone(), theta.means.clone(), limited.clone())

    def _narrow(self, covariances: Tensor) -> Tensor:
        """Whose sums are worth taking again one by one (R,): some component is nearly flat, or no number."""
        scaled = covariances / (self.unit[:, None] * self.unit)
        finite = scaled.isfinite().all(-1).all(-1)
        least = torch.linalg.eigvalsh(torch.where(finite[..., None, None], scaled, 0.0))[..., 0]
        return ~(least > NARROW).all(1)

    def _elbo(self, at: Climbers, best: GaussianMixtureParams) -> Tensor:
        """E_q[log p(X, Z | theta)] of equal balls (R,), for a q without doubt whose moments `best` tells."""
        theta = at.theta
        variance, width = theta.covariances[..., 0, 0], theta.means.shape[-1]
        away = best.covariances.diagonal(dim1=-2, dim2=-1).sum(-1)
        away = away + (best.means - theta.means).square().sum(-1)
        log_joint = theta.weights.log() - 0.5 * width * (LOG_2PI + variance.log()) - 0.5 * away / variance
        return self.totals[at.part] * (best.weights * log_joint).sum(-1)


class _Seen(NamedTuple):
    """What a pass over the points says."""

    log_lik: Tensor  # (R,), or the ELBO
    best: GaussianMixtureParams


class _Parts(fast_em.Points):
    """The same points, of which each mixture sees a part: the others count 0 times."""

    def __init__(self, whole: fast_em.Points, shares: Tensor, part: Tensor) -> None:
        self.__dict__.update(whole.__dict__)
        self.whole, self.shares, self.part, self.total = whole, shares, part.to(shares.device), 1.0

    def chunk(self, index: int) -> Any:
        """A chunk in which every mixture has weights of its own (R, 1, n)."""
        rows = slice(index * self.rows, (index + 1) * self.rows)
        return self.whole.chunk(index)._replace(weight=self.shares[:, rows][self.part][:, None])


def on_floor(em: EM, covariances: Tensor) -> Tensor:
    """Which components (..., K) of (..., K, D, D) sit on the regularizer: narrower was not allowed.

    A likelihood that is highest there is a spike's: it says how low the floor is, little of the points.
    """
    limit = em.regularizer
    if not em.scheme.free or not isinstance(limit, Floor) or limit.amount == 0.0:
        return torch.zeros(covariances.shape[:-2], dtype=torch.bool, device=covariances.device)
    values = torch.linalg.eigvalsh(covariances)
    rounding = 16 * torch.finfo(values.dtype).eps * values[..., -1]
    return values[..., 0] <= limit.amount * (1.0 + 1e-6) + rounding


def rows_of(data: Data, rows: Tensor) -> Data:
    """Some of the points."""
    return Data(*(None if part is None else part[rows] for part in data))  # type: ignore[arg-type]


def _shares(data: Data, parts: Sequence[Tensor]) -> Tensor:
    """How often each point counts in each part (P, N)."""
    shares = torch.stack(list(parts)).double()
    return shares if data.weights is None else shares * data.weights


def _total(data: Data) -> float:
    return float(len(data.x)) if data.weights is None else float(data.weights.sum())


def one_of(theta: GaussianMixtureParams, r: int) -> GaussianMixtureParams:
    """One of many mixtures."""
    return GaussianMixtureParams(*(part[r] for part in theta))


def _where(rows: Tensor, a: GaussianMixtureParams, b: GaussianMixtureParams) -> GaussianMixtureParams:
    parts = (
        torch.where(rows.view(-1, *(1,) * (one.dim() - 1)), one, other)
        for one, other in zip(a, b, strict=True)
    )
    return GaussianMixtureParams(*parts)
