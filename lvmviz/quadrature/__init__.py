"""Exact evidence, ELBO, divergences and moments of densities on the line and on the plane."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from lvmviz.divergences import Decomposition
from lvmviz.families import Family
from lvmviz.quadrature import exact as line
from lvmviz.quadrature import plane
from lvmviz.quadrature.exact import Integral, Moments, Phi, RenyiTerms, renyi
from lvmviz.quadrature.plane import PlaneMoments, marginal
from lvmviz.quadrature.survey import NotIntegrable
from lvmviz.targets import Target

__all__ = [
    "Integral", "Moments", "NotIntegrable", "PlaneMoments", "RenyiTerms", "coverage", "decompose",
    "forward_kl", "log_evidence", "marginal", "moments", "renyi",
]  # fmt: skip


def _rules(target: Target, family: Family | None = None) -> ModuleType:
    """What integrates over as many dimensions as the target has."""
    if family is not None and family.dim != target.dim:
        raise ValueError(
            f"{target.name()} has {target.dim} and {family.name()} {family.dim} of the dimensions 1 and 2: "
            "choose a family of as many as the target has"
        )
    return line if target.dim == 1 else plane


def log_evidence(target: Target) -> Integral:
    """log p(x) = log of the integral of p(x, z) over z, nats.

    NotIntegrable, with cause and remedy, when there is no such number.
    """
    return _rules(target).log_evidence(target)


def decompose(target: Target, family: Family, phi: Phi) -> Decomposition:
    """The evidence and every term of the ELBO's presentations, nats; `error` bounds how far sums are off."""
    return _rules(target, family).decompose(target, family, phi)


def forward_kl(target: Target, family: Family, phi: Phi) -> Integral:
    """KL(p(z | x) || q), nats: inf when q's tails are too light for p's."""
    return _rules(target, family).forward_kl(target, family, phi)


def moments(target: Target) -> Any:
    """The posterior's mean and variance, or means and covariance: inf where infinite, nan where undefined.

    A `Moments` on the line, a `PlaneMoments` on the plane.
    """
    return _rules(target).moments(target)


def coverage(target: Target, family: Family, phi: Phi, level: float = 0.9) -> Integral:
    """The posterior's mass within q's central region of the given level: level itself when q = p."""
    return _rules(target, family).coverage(target, family, phi, level)
