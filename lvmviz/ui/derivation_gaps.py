"""The derivations of the page Gaps: the gap in two parts, and probabilistic PCA as a linear VAE."""

from __future__ import annotations

import numpy as np

from lvmviz.divergences import Decomposition
from lvmviz.ppca import LOG_2PI
from lvmviz.summaries.linear_vae import Optimum, Turned
from lvmviz.ui.derivation import Line, Term

MOST = 1e-4  # nats: two rules that differ by more are not called equal
_EVIDENCE = r"\p{\log p(x)}"
_ELBO = r"\p{\mathrm{ELBO}(\q{q_\phi})}"
_BEST = r"\p{\mathrm{ELBO}(\q{q^*})}"
_TOTAL = r"\kl{\mathrm{KL}(q_\phi(z\mid x)\,\|\,p(z\mid x))}"
_APPROXIMATION = r"\kl{\mathrm{KL}(q^*\,\|\,p(z\mid x))}"
_AMORTIZATION = r"\kl{\left[\mathrm{ELBO}(q^*)-\mathrm{ELBO}(q_\phi)\right]}"


def split_lines(terms: Decomposition, approximation: float, amortization: float, error: float) -> list[Line]:
    """The gap of one datum in parts; each value is an integral of its own."""
    evidence, elbo, total = (
        Term(_EVIDENCE, terms.log_evidence),
        Term(_ELBO, terms.elbo),
        Term(_TOTAL, terms.kl),
    )
    best, shared = Term(_BEST, terms.elbo + amortization), Term(_AMORTIZATION, amortization)
    family, slack = Term(_APPROXIMATION, approximation), min(max(error, 1e-9), MOST)
    fit, prior = (r"\mathbb{E}_{\q{q_\phi}}[\log p(x\mid z)]", r"\prior{\mathrm{KL}(q_\phi\,\|\,p(z))}")
    return [
        Line("What Jensen loses with the encoder's q", evidence, ">=", [("+", elbo)], total),
        Line("That is exactly a KL", evidence, "=", [("+", elbo), ("+", total)], error=slack),
        Line(
            "The best q of the family for this x alone loses less",
            evidence,
            "=",
            [("+", best), ("+", family)],
            error=slack,
        ),
        Line(
            "Subtract: what the family costs, and what sharing one encoder costs",
            total,
            "=",
            [("+", family), ("+", shared)],
            error=slack,
        ),
        Line(
            "The encoder climbs the mean over all x of this",
            elbo,
            "=",
            [("+", Term(fit, terms.likelihood)), ("-", Term(prior, terms.kl_prior))],
        ),
    ]


_LIK = r"\p{\tfrac1N\log p(X\mid\theta{W,\sigma^2})}"
_NORMAL = r"\tfrac1N\sum_n\log\mathcal{N}(x_n\mid\mu,\theta{WW^\top+\sigma^2I})"
_GAP = r"\kl{\mathrm{KL}(q_\phi\,\|\,p(z\mid x))}"


def linear_lines(terms: Decomposition, best: Optimum, turn: Turned | None) -> list[Line]:
    """Probabilistic PCA as a linear VAE, nats per datum."""
    evidence = Term(_LIK, terms.log_evidence)
    elbo, gap = Term(r"\p{\mathrm{ELBO}}", terms.elbo), Term(_GAP, terms.kl)
    made = [
        Line(
            "A linear decoder: z can be integrated out",
            evidence,
            "=",
            [("+", Term(_NORMAL, terms.log_evidence))],
        ),
        Line(
            "The posterior is Gaussian with mean linear in x: a linear encoder can be it",
            evidence,
            "=",
            [("+", elbo), ("+", gap)],
            error=1e-8,
        ),
        *_closed(best),
    ]
    return made if turn is None else [*made, _rotated(best, turn)]


def _closed(best: Optimum) -> list[Line]:
    values, noise, active = best.eigenvalues, best.noise_variance, best.active
    rest = values[active:]
    width = len(values)
    top = Term(r"\p{\tfrac1N\log p(X\mid\theta{\hat W,\sigma^2})}", best.log_lik)
    constant = Term(r"\tfrac D2\log2\pi", 0.5 * width * LOG_2PI)
    kept = Term(
        r"\tfrac12\textstyle\sum_{\lambda_i>\sigma^2}(\log\lambda_i+1)",
        0.5 * float((np.log(values[:active]) + 1.0).sum()),
    )
    left = Term(
        r"\tfrac12\textstyle\sum_{\text{others}}(\log\sigma^2+\lambda_i/\sigma^2)",
        0.5 * float((np.log(noise) + rest / noise).sum()),
    )
    prior = Term(r"\prior{\mathrm{KL}(q\,\|\,p(z))}", float(best.kl.sum()))
    each = [
        ("+", Term(rf"\tfrac12\log\tfrac{{\lambda_{k + 1}}}{{\sigma^2}}", float(value)))
        for k, value in enumerate(best.kl[:4].tolist())
    ]
    if len(best.kl) > 4:
        each.append(("+", Term(r"\ldots", float(best.kl[4:].sum()))))
    return [
        Line(
            "At the optimum W keeps what lies above σ², in the direction of the eigenvectors",
            top,
            "=",
            [("-", constant), ("-", kept), ("-", left)],
        ),
        Line(
            "Each latent carries half the log of its signal over the noise; below σ² nothing",
            prior,
            "=",
            each,
        ),
    ]


def _rotated(best: Optimum, turn: Turned) -> Line:
    left = Term(r"\p{\tfrac1N\log p(X\mid\theta{WR})}", turn.log_lik)
    right = [
        ("+", Term(r"\p{\mathrm{ELBO}(\q{q_{\text{mean-field}}})}", turn.elbo)),
        ("+", Term(r"\kl{\mathrm{KL}}", turn.gap)),
    ]
    return Line(
        "WR(WR)ᵀ = WWᵀ: no rotation R is seen by x, but a mean-field q cannot turn along",
        left,
        "=",
        right,
        error=1e-8,
    )
