"""The VAE's ELBO and its gradient through z = mean + sd noise, for one example (notes 002 and 004)."""

from __future__ import annotations

import math

from lvmviz.summaries.vae.lesson import Lesson
from lvmviz.ui.derivation import Line, Term

MOST = 1e-4  # nats: two rules that differ by more are not called equal
_Q = r"\q{q_\phi}"
_EVIDENCE = r"\p{\log p_\theta(x)}"
_ELBO = r"\p{\mathrm{ELBO}(\theta{\theta},\q{\phi})}"
_FIT = r"\log p_\theta(x\mid z)"
_GAP = r"\kl{\mathrm{KL}(q_\phi(z\mid x)\,\|\,p_\theta(z\mid x))}"
_PRIOR = r"\prior{\mathrm{KL}(q_\phi(z\mid x)\,\|\,p(z))}"
_INTEGRAL = r"\log\int p_\theta(x\mid z)\,p(z)\,dz"
_SLOPE = r"\frac{\partial \log p_\theta(x\mid z)}{\partial z_1}"


def lines(told: Lesson) -> list[Line]:
    """Every line with its values for one example, nats."""
    return [*_bound(told), *_gradient(told)]


def _bound(told: Lesson) -> list[Line]:
    evidence, gap = (Term(*part) for part in ((_EVIDENCE, _or_none(told.log_evidence)),
                                              (_GAP, _or_none(told.gap))))  # fmt: skip
    elbo, fit = Term(_ELBO, told.elbo), Term(_mean(told, _FIT), told.reconstruction)
    jensen = _mean(told, rf"\log\frac{{p_\theta(x\mid z)\,p(z)}}{{{_Q}(z\mid x)}}")
    return [
        Line("An integral over every z there is", evidence, "=", [("+", Term(_INTEGRAL, evidence.value))]),
        Line("Jensen, with the encoder's q", evidence, ">=", [("+", Term(jensen, told.elbo))], gap),
        Line("What Jensen lost is exactly a KL", evidence, "=", [("+", elbo), ("+", gap)],
             error=min(told.error, MOST)),
        Line("Reconstruction minus KL", elbo, "=", [("+", fit), ("-", Term(_PRIOR, told.kl))]),
        Line("Two Gaussians: their KL has a formula", _kl(told), "=", _formula(told)),
    ]  # fmt: skip


def _kl(told: Lesson) -> Term:
    """By draws it only comes near its formula, so then the formula stands alone."""
    return Term(_PRIOR, None if told.draws else told.kl)


def _formula(told: Lesson) -> list[tuple[str, Term]]:
    """KL of N(mean, L L') to N(0, I)."""
    return [
        ("+", Term(r"\tfrac12\textstyle\sum_i\mu_i^2", 0.5 * float((told.mean**2).sum()))),
        ("+", Term(r"\tfrac12\textstyle\sum_i\sigma_i^2", 0.5 * told.square)),
        ("-", Term(_LOGS, float(told.log_sd.sum()))),
        ("-", Term(r"\tfrac{d}{2}", 0.5 * told.latent)),
    ]


_LOGS = r"\tfrac12\log|\Sigma|"


def _gradient(told: Lesson) -> list[Line]:
    mean, noise = float(told.mean[0]), float(told.noise[0])
    sd = math.exp(float(told.log_sd[0]))
    z, path = Term("z_1", float(told.z[0])), Term(rf"\mathbb{{E}}_\varepsilon\!\left[{_SLOPE}\right]")
    score = Term(rf"\mathbb{{E}}_{{{_Q}}}\!\left[{_FIT}\,\frac{{\partial\log {_Q}}}{{\partial\mu_1}}\right]")
    if not told.draws:
        path, score = path._replace(value=told.by_path), score._replace(value=told.by_score)
    moved = [("+", Term(r"\q{\mu_1}", mean)), ("+", Term(r"\q{\sigma_1}\,\varepsilon_1", sd * noise))]
    by_mean = [("+", Term(_SLOPE, told.pull)), ("-", Term(r"\prior{\mu_1}", mean))]
    by_sd = [
        ("+", Term(rf"\varepsilon_1\,{_SLOPE}", noise * told.pull)),
        ("-", Term(r"\prior{\left(\sigma_1-\tfrac{1}{\sigma_1}\right)}", sd - 1.0 / sd)),
    ]
    elbo = r"\mathrm{ELBO}_\varepsilon"
    return [
        Line("Reparameterize: the noise stands apart", z, "=", moved),
        Line("So the gradient goes through z", score, "=", [("+", path)]),
        Line("One draw's slope in the mean", _slope(elbo, r"\mu_1", told.slope_mean), "=", by_mean),
        Line("One draw's slope in the sd", _slope(elbo, r"\sigma_1", told.slope_sd), "=", by_sd),
    ]


def _slope(of: str, by: str, value: float) -> Term:
    return Term(rf"\frac{{\partial\,{of}}}{{\partial \q{{{by}}}}}", value)


def _mean(told: Lesson, inside: str) -> str:
    """A mean over q: the integral, or over as many draws."""
    if told.draws:
        return rf"\tfrac{{1}}{{{told.draws}}}\textstyle\sum_s {inside}"
    return rf"\mathbb{{E}}_{{{_Q}}}\!\left[{inside}\right]"


def _or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None
