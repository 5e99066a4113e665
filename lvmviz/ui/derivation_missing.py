"""The derivation of EM for a Gaussian with missing features, with the values of a half-step and a gap."""

from __future__ import annotations

from lvmviz.half_steps import HalfStep
from lvmviz.summaries.missing import Cell
from lvmviz.ui.derivation import Line, Term

_EVIDENCE = r"\p{\log p(X_O\mid\theta{\theta})}"
_INTEGRAL = r"\sum_n\log\int p(x_{nO},x_{nM}\mid\theta{\theta})\,dx_{nM}"
_ELBO = r"\p{\mathcal{L}(\q{q},\theta{\theta})}"
_JOINT = r"\mathbb{E}_{\q{q}}[\log p(X_O,X_M\mid\theta{\theta})]"
_ENTROPY = r"\mathrm{H}(\q{q})"
_GAP = r"\kl{\mathrm{KL}(q\,\|\,p(X_M\mid X_O,\theta))}"
_PRIOR = r"\prior{\mathrm{KL}(q\,\|\,p(X_M\mid\theta))}"
_FIT = r"\mathbb{E}_{\q{q}}[\log p(X_O\mid X_M,\theta{\theta})]"


def lines(info: HalfStep, about: Cell | None, factorized: bool) -> list[Line]:
    """Every line with its values: sums over all rows in nats, and the conditional of one gap."""
    evidence, elbo, gap = Term(_EVIDENCE, info.log_lik), Term(_ELBO, info.elbo), Term(_GAP, info.kl)
    joint, entropy = Term(_JOINT, info.joint), Term(_ENTROPY, info.entropy)
    e_reason = "E: the best product; a gap stays" if factorized else "E: no q on the left, so make KL = 0"
    return [
        Line("What is missing is integrated out; the rest is N(μ_O, Σ_OO)", evidence, "=",
             [("+", Term(_INTEGRAL, info.log_lik))]),
        Line("Jensen, with q over what is missing", evidence, ">=", [("+", joint), ("+", entropy)], gap),
        Line("What Jensen lost is exactly a KL", evidence, "=", [("+", elbo), ("+", gap)]),
        Line(e_reason, elbo, "=", [("+", evidence), ("-", gap)]),
        *(_of_one(about, factorized) if about else ()),
        Line("M: only the first term has θ, so maximize that", elbo, "=", [("+", joint), ("+", entropy)]),
        Line("The same number: fit minus complexity", elbo, "=",
             [("+", Term(_FIT, info.likelihood)), ("-", Term(_PRIOR, info.kl_prior))]),
    ]  # fmt: skip


def _of_one(about: Cell, factorized: bool) -> list[Line]:
    """One gap's conditional, and what M makes of its column."""
    name = rf"x_{{{about.row + 1},M}}"
    mean = Term(rf"\q{{\mathbb{{E}}[{name}\mid x_O]}}", about.mean)
    pull = Term(r"\Sigma_{MO}\Sigma_{OO}^{-1}(x_O-\mu_O)", about.pull)
    variance = Term(rf"\q{{\mathrm{{Var}}[{name}\mid x_O]}}", about.variance)
    told = Term(r"\Sigma_{MO}\Sigma_{OO}^{-1}\Sigma_{OM}", about.prior_variance - about.variance)
    column = r"\theta{\Sigma^{\text{new}}_{MM}}"
    spread = Term(r"\mathrm{Var}[\text{filled column}]", about.filled_variance)
    doubt = Term(r"\tfrac1N\sum_n\q{\mathrm{Var}[x_{nM}]}", about.doubt)
    reason = "1/Λ_ii: a product is too sure" if factorized else "what the seen cells tell is taken off"
    return [
        Line(f"E: row {about.row + 1}, the gap in its column: its mean is linear in what is seen", mean, "=",
             [("+", Term(r"\mu_M", about.prior_mean)), ("+", pull)]),
        Line(f"E: its variance: {reason}", variance, "=",
             [("+", Term(r"\Sigma_{MM}", about.prior_variance)), ("-", told)]),
        Line("M: filling in means alone would lose q's own variance", Term(column, about.filled_variance
             + about.doubt), "=", [("+", spread), ("+", doubt)]),
    ]  # fmt: skip
