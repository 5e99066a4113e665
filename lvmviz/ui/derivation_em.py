"""The derivation of EM, line by line, with the values of one half-step (notes 003 and 004)."""

from __future__ import annotations

from lvmviz.algorithms.em import EMInfo
from lvmviz.algorithms.mcem import MonteCarloInfo
from lvmviz.half_steps import HalfStep
from lvmviz.schemes import Scheme
from lvmviz.ui.derivation import Line, Term

_EVIDENCE = r"\p{\log p(X\mid\theta{\theta})}"
_ELBO = r"\p{\mathcal{L}(\q{q},\theta{\theta})}"
_JOINT = r"\mathbb{E}_{\q{q}}[\log p(X,Z\mid\theta{\theta})]"
_LIKELIHOOD = r"\mathbb{E}_{\q{q}}[\log p(X\mid Z,\theta{\theta})]"
_ENTROPY = r"\mathrm{H}(\q{q})"
_GAP = r"\kl{\mathrm{KL}(q\,\|\,p(Z\mid X,\theta))}"
_PRIOR = r"\prior{\mathrm{KL}(q\,\|\,p(Z\mid\theta))}"
_SUM = r"\sum_n\log\sum_k\theta{\pi_k}\,"
GAUSSIAN = r"\mathcal{N}(x_n\mid\theta{\mu_k,\Sigma_k})"  # p(x_n | z_n = k, theta)
BERNOULLI = r"\prod_d\theta{\mu_{kd}}^{x_{nd}}(1-\theta{\mu_{kd}})^{1-x_{nd}}"
_WITH_Q = r"\sum_n\log\sum_k \q{q_{nk}}\,\frac{p(x_n,z_n{=}k\mid\theta{\theta})}{\q{q_{nk}}}"
_JENSEN = r"\sum_n\sum_k \q{q_{nk}}\log\frac{p(x_n,z_n{=}k\mid\theta{\theta})}{\q{q_{nk}}}"


def lines(
    info: EMInfo | HalfStep | MonteCarloInfo, scheme: Scheme, density: str = GAUSSIAN,
    m_reason: str = "M: only the first term has θ, so maximize that",
) -> list[Line]:  # fmt: skip
    """Every line with its values; the sums are over all points, in nats."""
    total = Term(_SUM + density, info.log_lik)
    evidence, elbo, gap = Term(_EVIDENCE, info.log_lik), Term(_ELBO, info.elbo), Term(_GAP, info.kl)
    joint, entropy = Term(_JOINT, info.joint), Term(_ENTROPY, info.entropy)
    likelihood, prior = Term(_LIKELIHOOD, info.likelihood), Term(_PRIOR, info.kl_prior)
    after = {"E": f"After E: {scheme.e_left}", "M": f"After M: {scheme.m_left}"}
    now = after.get(info.moved, "At the start: q knows nothing, so the gap is wide")
    return [
        Line("A sum inside the log: no closed form", evidence, "=", [("+", total)]),
        Line("Times one: any q may be put in", evidence, "=", [("+", Term(_WITH_Q, info.log_lik))]),
        Line(
            "Jensen: the log of a mean is above the mean of logs",
            evidence,
            ">=",
            [("+", Term(_JENSEN, info.elbo))],
            gap,
        ),
        Line(
            now,
            evidence,
            ">=",
            [("+", joint), ("+", entropy)],
            gap,
        ),
        Line("What Jensen lost is exactly a KL", evidence, "=", [("+", elbo), ("+", gap)]),
        Line(
            "E: the left side has no q, so the best q makes KL = 0", elbo, "=", [("+", evidence), ("-", gap)]
        ),
        Line(m_reason, elbo, "=", [("+", joint), ("+", entropy)]),
        Line("The same number: fit minus complexity", elbo, "=", [("+", likelihood), ("-", prior)]),
    ]
