"""Exact evidence, ELBO and divergences in one dimension, each its own integral with its own error, in nats.

A target's shape is looked at once and kept; when only q moves, only q's integrals are computed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lvmviz.divergences import Decomposition
from lvmviz.families import Line
from lvmviz.quadrature.rule import EPS, FAR, NOTHING, Sums, integrate, panels, to_z
from lvmviz.quadrature.survey import LogDensity, NotIntegrable, Survey, survey
from lvmviz.targets import Target

Phi = Tensor | Sequence[float]
FARTHER = 10.0 ** np.arange(20.0, 151.0, 10.0)
NEAR_ONE = 1e-3  # Renyi orders this near 1 use the form without a logarithm's cancellation
MISSED = 1e-6  # nats between two ways to one number: more is no rounding
LEAST = 1e-17  # nats, of a panel: a KL of 0 is left alone, not chased into its rounding
ROUNDED = 4.0  # times the grain of floats
DOUBT = 1e-3  # a density whose mass is not known to a thousandth does not settle
UNSETTLED = (
    "the mass of exp(log p) is infinite or does not settle: log p must have no pole and must fall faster "
    "than -log|z| on both sides; bound it, or add a prior, -z**2 / 2 say"
)


class Integral(float):
    """A number found by quadrature, with how far it may be off."""

    error: float

    def __new__(cls, value: float, error: float = 0.0) -> Integral:
        made = super().__new__(cls, value)
        made.error = float(error)
        return made


class RenyiTerms(NamedTuple):
    """The variational Renyi bound on log p(x) and the D_alpha(q || p(z | x)) that it leaves, nats."""

    bound: Integral
    divergence: Integral


class Moments(NamedTuple):
    """The posterior's mean and variance: inf where infinite, nan where undefined."""

    mean: Integral
    variance: Integral


class _Mass(NamedTuple):
    """An integrated density."""

    log_total: Integral  # nats
    edges: np.ndarray  # t, the panels that were enough
    survey: Survey


def log_evidence(target: Target) -> Integral:
    """log p(x) = log of the integral of p(x, z) over z, nats.

    NotIntegrable, with cause and remedy, when there is no such number.
    """
    return _joint(target).log_total


def decompose(target: Target, family: Line, phi: Phi) -> Decomposition:
    """The evidence and every term of the ELBO's presentations, nats; `error` bounds how far sums are off.

    KL(q || p) is the integral of q log(q/p) - q + p, whose integrand is never negative: small where q is near
    p, and no difference of two large numbers. Infinite terms are inf or -inf.
    """
    p, q = _joint(target), _q(family, phi)

    def rows(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        log_q, joint, prior, likelihood = q(z), *_logs(target, z)
        apart, apart_prior = gap(log_q, joint - p.log_total), gap(log_q, prior)
        return np.stack([log_q] * 4 + [apart[0], apart_prior[0]]), np.stack(
            [joint - log_q, joint, -log_q, likelihood, apart[1], apart_prior[1]]
        )

    sums = integrate(rows, _edges(target, family, phi), least=LEAST)
    elbo, joint, entropy, likelihood, kl, kl_prior = _integrals(sums)
    kl = Integral(kl, kl.error + p.log_total.error)
    terms = (p.log_total, elbo, kl, joint, entropy, likelihood, kl_prior)
    return Decomposition(*terms, error=sum(term.error for term in terms) + _unseen(p.log_total - elbo - kl))


def _unseen(defect: float) -> float:
    """What is off where a part of q is narrower than numbers near it are apart, so that no node meets it."""
    return abs(defect) if MISSED < abs(defect) < math.inf else 0.0


def forward_kl(target: Target, family: Line, phi: Phi) -> Integral:
    """KL(p(z | x) || q), nats: inf when q's tails are too light for p's."""
    p, q = _joint(target), _q(family, phi)
    log_p = _log_joint(target)

    def rows(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        weight, value = gap(log_p(z) - p.log_total, q(z))
        return weight[None], value[None]

    reach = _reach(q)
    edges = panels(to_z(_edges(target, family, phi)), -reach, reach)
    (kl,) = _integrals(integrate(rows, edges, least=LEAST))
    return Integral(kl, kl.error + p.log_total.error)


def renyi(target: Target, family: Line, phi: Phi, alpha: float) -> RenyiTerms:
    """The bound 1/(1-a) log E_q[(p(x, z) / q)^(1-a)] and the divergence it leaves, nats.

    The divergence is 1/(a-1) log E_q[(p(z | x) / q)^(1-a)], an integral of its own. Order 1 is the ELBO and
    KL(q || p). The bound is -inf and the divergence inf where the integral is infinite (Li and Turner, 2016,
    "Renyi divergence variational inference").
    """
    p, log_p, q = _joint(target), _log_joint(target), _q(family, phi)
    if not math.isfinite(alpha):
        raise ValueError(f"alpha is {alpha}: give a finite order")
    rest = 1.0 - alpha
    near = _near_kl(target, family, phi, rest) if abs(rest) < NEAR_ONE else None
    if near is not None and rest >= 0.0:
        return near
    try:  # of an order above 1 the integral may be infinite, however near
        tilted = _mass(lambda z: _clean(rest * log_p(z) + alpha * q(z)))
        seen = tilted.survey._replace(top=tilted.survey.top - rest * p.log_total)
        own = _mass(lambda z: _clean(rest * (log_p(z) - p.log_total) + alpha * q(z)), seen)
    except NotIntegrable:
        return RenyiTerms(Integral(math.inf / rest), Integral(-math.inf / rest))
    if near is not None:
        return near
    bound, divergence = tilted.log_total, own.log_total
    slack = p.log_total.error + divergence.error / abs(rest)
    return RenyiTerms(Integral(bound / rest, bound.error / abs(rest)), Integral(-divergence / rest, slack))


def moments(target: Target) -> Moments:
    """The posterior's mean and variance; a Cauchy density has neither."""
    p, log_p = _joint(target), _log_joint(target)

    def about(centre: float, power: int) -> Integral:
        def rows(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return (log_p(z) - p.log_total)[None], ((z - centre) ** power)[None]

        (found,) = _integrals(integrate(rows, p.edges))
        return found

    mean = about(0.0, 1)
    return Moments(mean, about(mean, 2) if math.isfinite(mean) else Integral(math.nan))


def coverage(target: Target, family: Line, phi: Phi, level: float = 0.9) -> Integral:
    """The posterior's mass within q's central interval of the given level: level itself when q = p."""
    p, log_p = _joint(target), _log_joint(target)
    if not 0.0 < level < 1.0:
        raise ValueError(f"level is {level:g}: give a share between 0 and 1")
    tail = 0.5 * (1.0 - level)
    ends = family.quantile(_tensor(phi), torch.tensor([tail, 1.0 - tail], dtype=torch.float64)).numpy()
    edges = panels(np.concatenate([to_z(p.edges), _spread(family, phi)]), *ends)
    sums = integrate(lambda z: ((log_p(z) - p.log_total)[None], np.ones((1, len(z)))), edges, open_ends=False)
    return Integral(float(sums.value[0]), float(sums.error[0]) + p.log_total.error)


# ---- densities as functions of NumPy arrays ----


def _clean(values: np.ndarray) -> np.ndarray:
    """Undefined is impossible: log of a negative number in a formula, inf - inf far away."""
    return np.where(np.isnan(values), -np.inf, values)


def _numpy(log_density: Callable[[Tensor], Tensor]) -> LogDensity:
    def log_f(z: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return _clean(log_density(torch.from_numpy(z).unsqueeze(-1)).numpy())

    return log_f


def _log_joint(target: Target) -> LogDensity:
    return _numpy(target.log_prob)


def _logs(target: Target, z: np.ndarray) -> list[np.ndarray]:
    """log p(x, z), log p(z) and log p(x | z), each (n,)."""
    with torch.no_grad():
        return [_clean(term.numpy()) for term in target.log_terms(torch.from_numpy(z).unsqueeze(-1))]


def _tensor(phi: Phi) -> Tensor:
    return torch.as_tensor(phi, dtype=torch.float64).detach()


def _q(family: Line, phi: Phi) -> LogDensity:
    numbers = _tensor(phi)
    if numbers.shape[-1:] != (len(family.names),) or not bool(numbers.isfinite().all()):
        names = ", ".join(family.names)
        raise ValueError(f"phi is {numbers.tolist()}: give {family.name()}'s numbers, all finite: {names}")
    return _numpy(lambda z: family.log_prob(numbers, z))


# ---- panels and masses ----


@lru_cache(maxsize=128)
def _joint(target: Target) -> _Mass:
    if target.dim != 1:
        raise ValueError(
            f"{type(target).__name__} has {target.dim} dimensions; these integrals are over a line"
        )
    log_p = _log_joint(target)
    return _mass(log_p, survey(log_p, near=target.places()))


@lru_cache(maxsize=128)
def _places(target: Target) -> np.ndarray:
    """Where the joint's panels ended, and where the prior's should."""
    return np.concatenate([to_z(_joint(target).edges), survey(_numpy(target.log_prior), 1).places])


def _edges(target: Target, family: Line, phi: Phi) -> np.ndarray:
    """Panels for what p, its prior and q all do, to where log p leaves the floats unless q goes on there."""
    seen = _joint(target).survey
    goes_on = _q(family, phi)(np.array([seen.low, seen.high])) > NOTHING
    low, high = np.where(goes_on, [-FAR, FAR], [seen.low, seen.high])
    return panels(np.concatenate([_places(target), _spread(family, phi)]), low, high)


def _reach(q: LogDensity) -> float:
    """How far log q can be told at both sides: a q so narrow leaves the floats before p's tail does."""
    told = np.isfinite(q(-FARTHER)) & np.isfinite(q(FARTHER))
    return float(FARTHER[told].max(initial=FARTHER[0])) if told.any() else FAR


def _spread(family: Line, phi: Phi) -> np.ndarray:
    return family.spread(_tensor(phi)).numpy()


def _mass(log_f: LogDensity, seen: Survey | None = None) -> _Mass:
    seen = seen or survey(log_f)
    sums = integrate(lambda z: ((log_f(z) - seen.top)[None], np.ones((1, len(z)))), panels(seen.places))
    value, error = float(sums.value[0]), float(sums.error[0])
    if not (math.isfinite(value) and error < DOUBT * value):
        raise NotIntegrable(UNSETTLED)
    rounded = ROUNDED * EPS * abs(seen.top)  # nats: as many digits as log p itself has
    return _Mass(Integral(seen.top + math.log(value), error / value + rounded), sums.edges, seen)


# ---- integrands ----


def gap(log_p: np.ndarray, log_q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """p log(p/q) - p + q >= 0 as log weight and value, exact also near p = q; its integral is KL(p || q)."""
    d = log_p - log_q
    far = np.abs(d)
    fall = np.expm1(-far)
    less = -fall - np.where(far < 700.0, far, 0.0) * np.exp(-far)  # where p < q, in units of q
    return np.maximum(log_p, log_q), np.where(d >= 0, far + fall, less)


def _integrals(sums: Sums) -> list[Integral]:
    return [Integral(float(v), float(e)) for v, e in zip(sums.value, sums.error, strict=True)]


def _near_kl(target: Target, family: Line, phi: Phi, rest: float) -> RenyiTerms | None:
    """Renyi of order 1 - rest where the logarithm's argument is nearly 1; None where it is not."""
    p, log_p, q = _joint(target), _log_joint(target), _q(family, phi)

    def rows(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        log_q, joint = q(z), log_p(z)
        ratios = np.stack([joint - log_q, joint - p.log_total - log_q])
        return np.stack([log_q, log_q]), np.expm1(rest * ratios) / rest if rest else ratios

    bound, divergence = _integrals(integrate(rows, _edges(target, family, phi)))
    if rest:
        if not all(abs(rest * x) < 0.5 for x in (bound, divergence)):
            return None
        bound, divergence = (
            Integral(math.log1p(rest * x) / rest, x.error / (1.0 + rest * x)) for x in (bound, divergence)
        )
    return RenyiTerms(bound, Integral(-divergence, divergence.error + p.log_total.error))
