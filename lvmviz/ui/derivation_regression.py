"""The derivation of Bayesian linear regression by EM and by MLE-II, with the values of one half-step."""

from __future__ import annotations

import math

from lvmviz.half_steps import HalfStep
from lvmviz.summaries.regression import Numbers
from lvmviz.ui.derivation import Line, Term

_EVIDENCE = r"\p{\log p(y\mid X,\theta{\beta,\lambda})}"
_ELBO = r"\p{\mathcal{L}(\q{q},\theta{\beta,\lambda})}"
_JOINT = r"\mathbb{E}_{\q{q}}[\log p(y,w\mid X,\theta{\beta,\lambda})]"
_GAP = r"\kl{\mathrm{KL}(q\,\|\,p(w\mid X,y,\theta))}"
_ENTROPY = r"\mathrm{H}(\q{q})"
_FIT = r"\mathbb{E}_{\q{q}}[\log p(y\mid X,w,\theta{\beta})]"
_PRIOR = r"\prior{\mathrm{KL}(q\,\|\,p(w\mid\theta{\lambda}))}"
_ERROR, _SIZE = r"\mathbb{E}_{\q{q}}\|y-Xw\|^2", r"\mathbb{E}_{\q{q}}\|w\|^2"
LOG_2PI = math.log(2.0 * math.pi)


def lines(info: HalfStep, at: Numbers) -> list[Line]:
    """Every line with its values, nats in all."""
    evidence, elbo, gap = Term(_EVIDENCE, info.log_lik), Term(_ELBO, info.elbo), Term(_GAP, info.kl)
    joint, entropy = Term(_JOINT, info.joint), Term(_ENTROPY, info.entropy)
    normal = 0.5 * (at.rows * (math.log(at.beta) - LOG_2PI) + at.width * math.log(at.lambda_) - at.log_det)
    error, size = at.missed + at.doubt_y, at.size + at.doubt_w
    return [
        Line("The weights are integrated out: fit, less what its freedom costs", evidence, "=", [
            ("-", Term(r"(\tfrac{\theta{\beta}}2\|y-Xm\|^2+\tfrac{\theta{\lambda}}2\|m\|^2)", at.energy)),
            ("+", Term(r"\tfrac12\log\frac{\theta{\beta}^N\theta{\lambda}^D}{(2\pi)^N|A|}", normal))]),
        Line("Jensen, with q over the weights", evidence, ">=", [("+", joint), ("+", entropy)], gap),
        Line("What Jensen lost is exactly a KL", evidence, "=", [("+", elbo), ("+", gap)]),
        Line("E: what q expects of the errors is more than its mean's", Term(_ERROR, error), "=",
             [("+", Term(r"\|y-X\q{m}\|^2", at.missed)),
              ("+", Term(r"\mathrm{tr}\,X\q{S}X^\top", at.doubt_y))]),
        Line("E: and of the weights' length", Term(_SIZE, size), "=",
             [("+", Term(r"\|\q{m}\|^2", at.size)), ("+", Term(r"\mathrm{tr}\,\q{S}", at.doubt_w))]),
        Line("M of EM: β maximizes the first term", Term(r"\theta{\beta^{\text{new}}}", at.rows / error), "=",
             [("+", Term(rf"N\,/\,{_ERROR}", at.rows / error))]),
        Line("M of EM: λ likewise", Term(r"\theta{\lambda^{\text{new}}}", at.width / size), "=",
             [("+", Term(rf"D\,/\,{_SIZE}", at.width / size))]),
        _gamma(at),
        *_second_type(at),
        Line("The same number: fit minus complexity", elbo, "=",
             [("+", Term(_FIT, info.likelihood)), ("-", Term(_PRIOR, info.kl_prior))]),
    ]  # fmt: skip


def _gamma(at: Numbers) -> Line:
    """How many weights the data determine; it needs a q that is a posterior, not the prior."""
    left = Term(r"\gamma", at.determined)
    return Line("How many weights the data determine", left, "=",
                [("+", Term("D", at.width)), ("-", Term(r"\theta{\lambda}\,\mathrm{tr}\,\q{S}",
                                                        at.lambda_q * at.doubt_w))])  # fmt: skip


def _second_type(at: Numbers) -> list[Line]:
    """MLE-II, which has the same fixed points: there D - lambda tr S = lambda |m|^2."""
    if not at.determined > 0.0:
        return []
    beta = (at.rows - at.determined) / at.missed if at.missed else math.inf
    lambda_ = at.determined / at.size
    return [
        Line("MLE-II: where the evidence's slope in log λ is 0",
             Term(r"\theta{\lambda^{\text{MLE-II}}}", lambda_), "=",
             [("+", Term(r"\gamma\,/\,\|\q{m}\|^2", lambda_))]),
        Line("MLE-II: and in log β", Term(r"\theta{\beta^{\text{MLE-II}}}", beta), "=",
             [("+", Term(r"(N-\gamma)\,/\,\|y-X\q{m}\|^2", beta))]),
    ]  # fmt: skip
