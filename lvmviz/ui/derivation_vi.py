"""Two derivations of the ELBO, by Jensen and by a KL, and when it is tight (notes 000, 001, 002 and 004)."""

from __future__ import annotations

from lvmviz.divergences import Decomposition
from lvmviz.ui.derivation import Line, Term

_EVIDENCE = r"\p{\log p(x)}"
_ELBO = r"\p{\mathrm{ELBO}(\q{q})}"
_JOINT = r"\mathbb{E}_{\q{q}}[\log p(x,z)]"
_LIKELIHOOD = r"\mathbb{E}_{\q{q}}[\log p(x\mid z)]"
_ENTROPY = r"\mathrm{H}(\q{q})"
_GAP = r"\kl{\mathrm{KL}(q\,\|\,p(z\mid x))}"
_PRIOR = r"\prior{\mathrm{KL}(q\,\|\,p(z))}"
_INTEGRAL = r"\log\int p(x\mid z)\,p(z)\,dz"
_WITH_Q = r"\log\mathbb{E}_{\q{q}}\!\left[\frac{p(x,z)}{\q{q(z)}}\right]"
_JENSEN = r"\mathbb{E}_{\q{q}}\!\left[\log\frac{p(x,z)}{\q{q(z)}}\right]"
_RATIO = r"\mathbb{E}_{\q{q}}\!\left[\log\frac{\q{q(z)}\,p(x)}{p(x,z)}\right]"


def lines(terms: Decomposition) -> list[Line]:
    """Every line with its values, nats."""
    evidence, elbo, gap = Term(_EVIDENCE, terms.log_evidence), Term(_ELBO, terms.elbo), Term(_GAP, terms.kl)
    joint, entropy = Term(_JOINT, terms.joint), Term(_ENTROPY, terms.entropy)
    likelihood, prior = Term(_LIKELIHOOD, terms.likelihood), Term(_PRIOR, terms.kl_prior)
    return [
        Line(
            "An integral over every z there is", evidence, "=", [("+", Term(_INTEGRAL, terms.log_evidence))]
        ),
        Line("First way: times one, with any q", evidence, "=", [("+", Term(_WITH_Q, terms.log_evidence))]),
        Line("Jensen: log of a mean, mean of logs", evidence, ">=", [("+", Term(_JENSEN, terms.elbo))], gap),
        Line("Presentation I: joint and entropy", elbo, "=", [("+", joint), ("+", entropy)]),
        Line("Second way: write the KL out", gap, "=", [("+", Term(_RATIO, terms.kl))]),
        Line("log p(x) comes out of the mean", gap, "=", [("+", evidence), ("-", elbo)]),
        Line("A KL is never negative: a bound", evidence, ">=", [("+", elbo)], gap),
        Line("Tight when q is the posterior: KL = 0", evidence, "=", [("+", elbo), ("+", gap)]),
        Line("Presentation II: fit and complexity", elbo, "=", [("+", likelihood), ("-", prior)]),
        Line("All four terms", evidence, "=", [("+", likelihood), ("-", prior), ("+", gap)]),
    ]
