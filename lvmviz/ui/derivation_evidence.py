"""From an average over draws to the ELBO by Jensen, with the values on screen (notes 000 and 001)."""

from __future__ import annotations

import math
from typing import NamedTuple

from lvmviz.divergences import Decomposition
from lvmviz.ui.derivation import Line, Term

_EVIDENCE = r"\p{\log p(x)}"
_PRIOR = r"\log\mathbb{E}_{\prior{p(z)}}[p(x\mid z)]"
_WITH_Q = r"\log\mathbb{E}_{\q{q}}\!\left[\frac{p(x,z)}{\q{q(z)}}\right]"
_BOUND = r"\mathbb{E}_{\q{q}}\!\left[\log\tfrac1K\textstyle\sum_k w_k\right]"
_ONE = r"\mathbb{E}_{\q{q}}\!\left[\log\frac{p(x,z)}{\q{q(z)}}\right]"
_ELBO = r"\p{\mathrm{ELBO}(\q{q})}"
_KL = r"\kl{\mathrm{KL}(q\,\|\,p(z\mid x))}"
_BIAS = r"\kl{\log p-\mathbb{E}\log\hat p}"
_SUM = r"\log\sum_{z\in\{0,1\}^n} p(x,z)"
_FACTORS = r"\sum_j\log\sum_{z_j} p(x_j,z_j)"
_FACTORED = r"\mathbb{E}_{\q{q}}\!\left[\log\frac{p(x,z)}{\q{\prod_j q(z_j)}}\right]"
SURE = 3.0  # standard errors within which two numbers are called equal


class Told(NamedTuple):
    """The numbers that the lines need, nats."""

    terms: Decomposition  # of q
    draws: int  # K
    mean_log: float  # E[log p-hat]
    log_pooled: float  # the log of the mean of all estimates of p(x)
    pooled_error: float  # its standard error
    second: float | None  # Var(w) / E[w]^2


def sample_lines(told: Told) -> list[Line]:
    """Every line with its values."""
    terms = told.terms
    evidence, bound = Term(_EVIDENCE, terms.log_evidence), Term(_BOUND, told.mean_log)
    elbo, gap = Term(_ELBO, terms.elbo), Term(_KL, terms.kl)
    bias = Term(_BIAS, terms.log_evidence - told.mean_log)
    pooled = Term(r"\log\tfrac1R\textstyle\sum_r \q{\hat p_r}", told.log_pooled)
    return [
        Line(
            "The prior's average of the likelihood", evidence, "=", [("+", Term(_PRIOR, terms.log_evidence))]
        ),
        Line("Times one: an average over any q", evidence, "=", [("+", Term(_WITH_Q, terms.log_evidence))]),
        Line("The average of draws is unbiased", evidence, "=", [("+", pooled)], error=_error(told)),
        Line("Jensen: the log of it is too low", evidence, ">=", [("+", bound)], bias),
        _first_order(told, bias),
        Line("One draw, K = 1, is the ELBO", elbo, "=", [("+", Term(_ONE, terms.elbo))]),
        Line("More draws lift the bound", bound, ">=", [("+", elbo)], _lift(told)),
        Line("What one draw loses is exactly a KL", evidence, "=", [("+", elbo), ("+", gap)]),
    ]


def _error(told: Told) -> float:
    return SURE * told.pooled_error if math.isfinite(told.pooled_error) else 0.0


def _lift(told: Told) -> Term:
    return Term(r"\text{lift}", told.mean_log - told.terms.elbo)


def _first_order(told: Told, bias: Term) -> Line:
    """The delta method: it holds where the bias is small."""
    value = None if told.second is None else told.second / (2.0 * told.draws)
    latex = r"\tfrac1{2K}\,\mathrm{Var}(w)/p(x)^2"
    return Line("For many draws, var/2K; not for few", bias, "=", [("+", Term(latex, value))], error=5e-4)


def sum_lines(terms: Decomposition, closed: float | None) -> list[Line]:
    """Every line with its values; `closed` is log p(x) without the sum, where that can be had."""
    evidence, elbo, gap = Term(_EVIDENCE, terms.log_evidence), Term(_ELBO, terms.elbo), Term(_KL, terms.kl)
    factors = (
        "No leak: a product of n small sums" if closed is not None else "With a leak no factor comes out"
    )
    joint, entropy = (
        Term(r"\mathbb{E}_{\q{q}}[\log p(x,z)]", terms.joint),
        Term(r"\mathrm{H}(\q{q})", terms.entropy),
    )
    return [
        Line("All states: 2ⁿ terms inside the log", evidence, "=", [("+", Term(_SUM, terms.log_evidence))]),
        Line(factors, evidence, "=", [("+", Term(_FACTORS, closed))]),
        Line("Jensen, with a q that factors", evidence, ">=", [("+", Term(_FACTORED, terms.elbo))], gap),
        Line("Its terms are n small sums", elbo, "=", [("+", joint), ("+", entropy)]),
        Line("What is lost is exactly a KL", evidence, "=", [("+", elbo), ("+", gap)]),
    ]
