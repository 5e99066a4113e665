"""Why a gradient cannot enter E_q, and two tricks that let it; g(e); the log of a mean (notes 000, 002)."""

from __future__ import annotations

import math

from lvmviz.affine_noise import Affine
from lvmviz.algorithms.gradient_scatter import GradientScatter
from lvmviz.summaries import gradients as summaries
from lvmviz.summaries.before_the_trick import Sides
from lvmviz.summaries.gradients import Look
from lvmviz.ui.derivation import Line, Term

ROUGH = 1e-5  # of integrals over a jump
_GRAD = r"\nabla_{\q{\varphi}}"
_GOAL = rf"{_GRAD}\,\mathbb{{E}}_{{\q{{q}}}}[f(z)]"
_INTEGRAL = rf"\int f(z)\,{_GRAD}\,\q{{q(z)}}\,dz"
_SUM = rf"\sum_z f(z)\,{_GRAD}\,\q{{q(z)}}"
_ENTERED = rf"\mathbb{{E}}_{{\q{{q}}}}[{_GRAD} f(z)]"
_SCORE = rf"{_GRAD}\log \q{{q(z)}}"
_WEIGHED = rf"\mathbb{{E}}_{{\q{{q}}}}[f(z)\,{_SCORE}]"
_BASED = rf"\mathbb{{E}}_{{\q{{q}}}}[(f(z)-b)\,{_SCORE}]"
_PATH = rf"\mathbb{{E}}_{{\varepsilon}}[{_GRAD} f(g(\varepsilon;\q{{\varphi}}))]"
_STUCK = rf"\mathbb{{E}}_{{\varepsilon}}[f'(z)\,{_GRAD}\, g(\varepsilon;\q{{\varphi}})]"


def lab_lines(of: GradientScatter, look: Look, which: str) -> list[Line]:
    """From the goal to every estimator, with the numbers of this f and this q."""
    at, exact = look.at, look.exact
    rough = 0.0 if of.integrand.smooth and not of.integrand.of_q else ROUGH * (1.0 + abs(exact))
    rough += 1e-9 * (1.0 + abs(float(at.f)))  # the sums of a large f
    goal, weighed = Term(_GOAL, exact), Term(_WEIGHED, float(at.weighed))
    total = _SUM if of.integrand.discrete else _INTEGRAL
    moved, based = Term(total, float(at.weighed)), Term(_BASED, float(at.weighed))
    lines = [
        Line(f"The goal, in {_of(which)}: q moves", goal, "=", [("+", moved)], error=rough),
        Line(_entered(of), goal, "!=", [("+", Term(_ENTERED, 0.0))]),
        Line("∇q = q ∇log q: draws of q again", moved, "=", [("+", weighed)], error=rough),
        Line("A score is 0 on average …", Term(rf"\mathbb{{E}}_{{\q{{q}}}}[{_SCORE}]", float(at.score)), "=",
             [("+", Term(rf"{_GRAD}\int \q{{q(z)}}\,dz", 0.0))]),
        Line("… so any b may be subtracted", goal, "=", [("+", based)], error=rough),
    ]  # fmt: skip
    return lines + (_softened(look, goal) if of.integrand.discrete else _moved(of, look, goal, rough))


def _of(which: str) -> str:
    return {"mean": "q's mean", "log sd": "q's log sd", "logit": "the log odds"}[which]


def _entered(of: GradientScatter) -> str:
    return "∇ does not enter: that would be 0" if not of.integrand.of_q else "∇ does not enter: E[∇log q] = 0"


def _moved(of: GradientScatter, look: Look, goal: Term, rough: float) -> list[Line]:
    """Through z = g(e)."""
    at = look.at
    expectation = Term(r"\mathbb{E}_{\q{q}}[f(z)]", summaries.inside(of))
    noise = Term(r"\mathbb{E}_{\varepsilon}[f(g(\varepsilon;\q{\varphi}))]", float(at.f))
    slope = Term(_PATH, float(at.slope))
    reached = Line("ε stays where it is: ∇ may enter", goal, "=", [("+", slope)], error=rough)
    missed = Line("A jump has no slope: ∇ sees nothing", goal, "!=", [("+", slope)])
    wide = ROUGH * (1.0 + abs(float(at.f)))
    lines = [
        Line("Reparameterize: z = g(ε) = μ + σε", expectation, "=", [("+", noise)], error=wide),
        reached if of.integrand.smooth else missed,
    ]
    if of.integrand.of_q:
        stuck, score = (
            Term(_STUCK, float(at.stuck)),
            Term(rf"\mathbb{{E}}_{{\q{{q}}}}[{_SCORE}]", float(at.score)),
        )
        lines.append(
            Line("Sticking the landing drops a score", slope, "=", [("+", stuck), ("-", score)], error=rough)
        )
    return lines


def _softened(look: Look, goal: Term) -> list[Line]:
    """Through a softened choice: another expectation."""
    names = {
        "GumbelSoftmax": r"f(\mathrm{soft}_\tau)",
        "StraightThrough": r"f(z)\text{ by way of }\mathrm{soft}_\tau",
    }
    lines = []
    for row in look.rows:
        body = names.get(type(row.estimator).__name__)
        if body:
            aim = None if math.isnan(row.aim) else row.aim
            term = Term(rf"\mathbb{{E}}_{{\varepsilon}}[{_GRAD} {body}]", aim)
            lines.append(Line(f"{row.estimator.name()}: near, not equal", goal, "!=", [("+", term)]))
    return lines


# ---- g(e) ----


def map_lines(g: Affine, e: tuple[float, float], z: tuple[float, float], log_q: float | None) -> list[Line]:
    """What becomes of noise under z = mean + A e, with the numbers of this A and its first draw."""
    area, det = abs(g.determinant()), r"|\det \q{A}|"
    covariance = g.covariance()
    variance, shared = float(covariance[0, 0]), float(covariance[0, 1])
    log_noise = -0.5 * (e[0] ** 2 + e[1] ** 2) - math.log(2.0 * math.pi)
    noise = Term(r"\prior{\log p(\varepsilon)}", log_noise)
    first = Line("One draw of ε, its first coordinate", Term(r"\q{z_1}", z[0]), "=",
                 [("+", Term(r"\q{\mu_1}", g.mean1)), ("+", Term(r"\q{A_{11}}\varepsilon_1", g.a11 * e[0])),
                  ("+", Term(r"\q{A_{12}}\varepsilon_2", g.a12 * e[1]))])  # fmt: skip
    lines = [
        first,
        Line("Cov z = A Aᵀ: its first number", Term(r"\mathrm{Var}[z_1]", variance), "=",
             [("+", Term(r"\q{A_{11}}^2", g.a11**2)), ("+", Term(r"\q{A_{12}}^2", g.a12**2))]),
        Line("… and what both share", Term(r"\mathrm{Cov}[z_1,z_2]", shared), "=",
             [("+", Term(r"\q{A_{11}A_{21}}", g.a11 * g.a21)),
              ("+", Term(r"\q{A_{12}A_{22}}", g.a12 * g.a22))]),
        Line("An area grows by the determinant", Term(det, area), "=",
             [("+", Term(r"|\q{A_{11}A_{22}-A_{12}A_{21}}|", abs(g.a11 * g.a22 - g.a12 * g.a21)))]),
    ]  # fmt: skip
    spread = Term(rf"\log{det}", math.log(area) if g.rank() == 2 else -math.inf)
    density = Term(r"\log \q{q(z)}", math.inf if log_q is None else log_q)
    why = "Density thins out as area grows" if log_q is not None else "det A = 0: no area, no density"
    return [*lines, Line(why, density, "=" if log_q is not None else "!=", [("+", noise), ("-", spread)])]


# ---- before the trick ----

_LOG_P = r"\nabla_{\theta}\,\p{\log p(x)}"
_MEAN_OF = r"\mathbb{E}_{\prior{p(z)}}"
_SLOPE = r"\nabla_{\theta}\log p(x\mid z)"


def trick_lines(sides: Sides) -> list[Line]:
    """The gradient of the log of a mean, and of the mean of a log, with this model's numbers."""
    exact, elbo = Term(_LOG_P, sides.exact), Term(r"\nabla_{\theta}\,\p{\mathrm{ELBO}(\q{q})}", sides.elbo)
    whole = rf"\frac{{{_MEAN_OF}[\nabla_{{\theta}}\, p(x\mid z)]}}{{{_MEAN_OF}[p(x\mid z)]}}"
    average = r"\mathbb{E}\!\left[\frac{\sum_k \nabla_{\theta}\,p(x\mid z_k)}{\sum_k p(x\mid z_k)}\right]"
    lines = [
        Line("The log stands outside the mean", exact, "=", [("+", Term(whole, sides.by_integrals))]),
        Line("That is a mean over the posterior", exact, "=",
             [("+", Term(rf"\mathbb{{E}}_{{\p{{p(z\mid x)}}}}[{_SLOPE}]", sides.over_posterior))]),
        Line(f"K = {sides.draws} draws: a ratio of averages", exact, "!=",
             [("+", Term(average, sides.expected_ratio))]),
        Line("The ELBO: the log stands inside", elbo, "=",
             [("+", Term(r"\mathbb{E}_{\q{q}}[\nabla_{\theta}\log p(x,z)]", sides.over_q))]),
        Line("What the ELBO leaves out: the KL", exact, "=",
             [("+", elbo), ("+", Term(r"\nabla_{\theta}\,\kl{\mathrm{KL}(q\,\|\,p(z\mid x))}", sides.kl))]),
    ]  # fmt: skip
    return lines
