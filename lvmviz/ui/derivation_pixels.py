"""The derivation of a factorized q over hidden pixels (note 001): the ELBO, its gap, one pixel's update."""

from __future__ import annotations

from lvmviz.divergences import Decomposition
from lvmviz.ui.derivation import Line, Term

SURE = 1e-6  # nats that a q leaves out which is sure of some pixels
_EVIDENCE = r"\p{\log p(x_o)}"
_ELBO = r"\p{\mathrm{ELBO}(\q{\varphi})}"
_SUM = r"\log\sum_{x_h} p(x_o,x_h)"
_MIXTURE = r"\log\sum_k \pi_k\,p(x_o\mid k)"
_WITH_Q = r"\log\mathbb{E}_{\q{q}}\!\left[\frac{p(x_o,x_h)}{\q{q(x_h)}}\right]"
_JENSEN = r"\mathbb{E}_{\q{q}}\!\left[\log\frac{p(x_o,x_h)}{\q{q(x_h)}}\right]"
_JOINT = r"\mathbb{E}_{\q{q}}[\log p(x_o,x_h)]"
_ENTROPY = r"\textstyle\sum_i \mathrm{H}(\q{\varphi_i})"
_GAP = r"\kl{\mathrm{KL}(q\,\|\,p(x_h\mid x_o))}"
_LIKELIHOOD = r"\mathbb{E}_{\q{q}}[\log p(x_o\mid x_h)]"
_PRIOR = r"\prior{\mathrm{KL}(q\,\|\,p(x_h))}"
_Q = r"\q{q(x_h)}"
_PRODUCT = r"\textstyle\prod_i \q{\varphi_i}^{x_i}(1-\q{\varphi_i})^{1-x_i}"
_ODDS = r"\log\frac{\q{\varphi_i}}{1-\q{\varphi_i}}"
_RATIO = r"\frac{p(x_o,x_{h\setminus i},x_i=1)}{p(x_o,x_{h\setminus i},x_i=0)}"
_UPDATE = r"\mathbb{E}_{\q{q_{-i}}}\!\left[\log" + _RATIO + r"\right]"


def lines(terms: Decomposition, by_sum: float | None, drawn: float | None) -> list[Line]:
    """Every line with its values, nats; `by_sum` is log p(x_o) by enumeration, None where it was not done.

    `drawn` is the same over the completions that q can draw: less where some of its phi are 0 or 1.
    """
    evidence, elbo, gap = Term(_EVIDENCE, terms.log_evidence), Term(_ELBO, terms.elbo), Term(_GAP, terms.kl)
    joint, entropy = Term(_JOINT, terms.joint), Term(_ENTROPY, terms.entropy)
    likelihood, prior = Term(_LIKELIHOOD, terms.likelihood), Term(_PRIOR, terms.kl_prior)
    error = 4.0 * terms.error
    return [
        Line("Every completion of the hidden pixels", evidence, "=", [("+", Term(_SUM, by_sum))]),
        Line(
            "A mixture sums them in closed form",
            Term(_SUM, by_sum),
            "=",
            [("+", Term(_MIXTURE, terms.log_evidence))],
        ),
        Line("q: every hidden pixel by itself", Term(_Q), "=", [("+", Term(_PRODUCT))]),
        _times_one(evidence, Term(_WITH_Q, drawn)),
        Line("Jensen: a bound", evidence, ">=", [("+", Term(_JENSEN, terms.elbo))], gap),
        Line("Presentation I: joint and entropy", elbo, "=", [("+", joint), ("+", entropy)], error=error),
        Line(
            "Presentation II: fit and complexity", elbo, "=", [("+", likelihood), ("-", prior)], error=error
        ),
        Line(
            "Presentation III: what is left is the KL", elbo, "=", [("+", evidence), ("-", gap)], error=error
        ),
        Line("CAVI: the ELBO has no slope in φᵢ", Term(_ODDS), "=", [("+", Term(_UPDATE))]),
        Line("All four terms", evidence, "=", [("+", likelihood), ("-", prior), ("+", gap)], error=error),
    ]


def _times_one(evidence: Term, with_q: Term) -> Line:
    """Exact for a q that can draw every completion; one that is sure of a pixel leaves some out."""
    assert evidence.value is not None, "the evidence is always known"
    less = with_q.value is not None and with_q.value < evidence.value - SURE
    told = "Times one; but q is sure of some pixels" if less else "Times one, with any q"
    return Line(told, evidence, ">=" if less else "=", [("+", with_q)])
