"""Regression with the roles swapped on the page Beyond mixtures: a posterior over β and λ, one w."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from lvmviz.algorithms.swapped_linreg import SwappedRegression
from lvmviz.figures import regression as figures
from lvmviz.figures.film import Film
from lvmviz.figures.theme import tokens
from lvmviz.half_steps import HalfStep
from lvmviz.runs.job import Snapshot, Trace
from lvmviz.schemes import ExpectationMaximization, Scheme
from lvmviz.summaries import swapped_regression as summaries
from lvmviz.summaries.regression import has_functions, problem
from lvmviz.ui import frame
from lvmviz.ui.beyond_model import Others
from lvmviz.ui.beyond_regression import RegressionModel
from lvmviz.ui.derivation import Line, Term
from lvmviz.ui.plot import plot
from lvmviz.ui.table import Cell, Column, dot, table

_EVIDENCE = r"\p{\log p(y,\theta{w}\mid X)}"
_ELBO = r"\p{\mathcal{L}(\q{q},\theta{w})}"
_GAP = r"\kl{\mathrm{KL}(q\,\|\,p(\beta,\lambda\mid y,w))}"
_FIT = r"\mathbb{E}_{\q{q}}[\log p(y,\theta{w}\mid X,\beta,\lambda)]"
_PRIOR = r"\prior{\mathrm{KL}(q\,\|\,p(\beta,\lambda))}"


class Words(ExpectationMaximization):
    """EM in words where w is the parameter."""

    m_does = "w becomes a ridge regression's; both rise"


class Swapped(RegressionModel):
    """Gammas over the precisions, and one function."""

    name = "Roles swapped"
    title = "Bayesian linear regression with the roles swapped"
    algorithm = SwappedRegression
    evidence = "log p(y, w|X)"
    names = {
        "log_evidence": "log p(y, w|X)", "kl": "KL", "elbo": "ELBO", "joint": "E[log p(y, w, β, λ)]",
        "entropy": "entropy H(q)", "likelihood": "E[log p(y, w|β, λ)]", "kl_prior": "KL to prior",
    }  # fmt: skip

    def picture(self, trace: Trace, others: Others, view: str, channel: str, height: int) -> None:
        depends = (trace.key, frame.dark())
        left, right = frame.halves()
        with left:
            plot("picture", lambda: self.film(trace, others, view), depends=depends, height=height,
                 alt="Densities of β and λ: prior, q and posterior given w", channel=channel)  # fmt: skip
        with right:
            plot("believed", lambda: _estimate(trace), depends=depends, height=height,
                 alt="The one function, or the weights, that w is", channel=channel)  # fmt: skip
        drawn = "" if has_functions(trace) else " Right: rings are w, crosses least squares."
        frame.remark(f"Densities are those of log β and log λ: areas on the axis are probabilities.{drawn}")

    def film(self, trace: Trace, others: Others, view: str) -> Film:
        return figures.precisions(*summaries.densities(trace), dark=frame.dark())

    def table(self, trace: Trace, others: Others, view: str, channel: str) -> None:
        frame.head("estimates", "Estimates", "")
        table(
            "estimates",
            [Column("", "left", wide=True), Column("value")],
            frames=lambda: _frames(trace, frame.dark()),
            depends=(trace.key, frame.dark()),
            alt="Means of β and λ under q, the ridge λ/β, errors and length of the weights",
            height=int((26 + 24 * 5) * frame.scale()),
            channel=channel,
        )

    def lines(self, trace: Trace, index: int, view: str) -> list[Line]:
        prior = trace.job.algorithm
        assert isinstance(prior, SwappedRegression)
        return lines(trace[index].info, summaries.numbers(trace)[index], prior)

    def parameters(self, snapshot: Snapshot) -> Mapping[str, Any]:
        return summaries.parameters(snapshot)

    def words(self, trace: Trace) -> Scheme:
        return Words()


def _estimate(trace: Trace) -> Film:
    dark = frame.dark()
    if has_functions(trace):
        return figures.curve(*summaries.curve(trace), dark=dark)
    made = problem(trace)
    least = np.linalg.lstsq(made.x, made.y, rcond=None)[0]
    return figures.estimates(summaries.weights(trace), least, made.columns, dark=dark)


def _frames(trace: Trace, dark: bool) -> list[list[list[Cell]]]:
    q, theta = tokens(dark).q_mark, tokens(dark).theta_mark
    return [
        [
            [dot(q, "E[β]"), f"{at.beta:.4g}"],
            [dot(q, "E[λ]"), f"{at.lambda_:.4g}"],
            [dot(q, "ridge E[λ]/E[β]"), f"{at.lambda_ / at.beta:.4g}"],
            [dot(theta, "|y − Xw|²"), f"{at.missed:.4g}"],
            [dot(theta, "|w|²"), f"{at.size:.4g}"],
        ]
        for at in summaries.numbers(trace)
    ]


def lines(info: HalfStep, at: summaries.Numbers, prior: SwappedRegression) -> list[Line]:
    """Every line with its values, nats in all."""
    evidence, elbo, gap = Term(_EVIDENCE, info.log_lik), Term(_ELBO, info.elbo), Term(_GAP, info.kl)
    joint = Term(r"\mathbb{E}_{\q{q}}[\log p(y,\theta{w},\beta,\lambda\mid X)]", info.joint)
    shape_b, shape_l = prior.shape + 0.5 * at.rows, prior.shape + 0.5 * at.width
    beta, lambda_ = shape_b / (prior.rate + 0.5 * at.missed), shape_l / (prior.rate + 0.5 * at.size)
    return [
        Line("Now β and λ are integrated out, and w is a parameter", evidence, "=",
             [("+", Term(r"\log\int p(y,\theta{w},\beta,\lambda\mid X)\,d\beta\,d\lambda", info.log_lik))]),
        Line("Jensen, with q over β and λ", evidence, ">=", [("+", joint), ("+", Term(r"\mathrm{H}(\q{q})",
             info.entropy))], gap),
        Line("What Jensen lost is exactly a KL", evidence, "=", [("+", elbo), ("+", gap)]),
        Line("E: q(β) is a Gamma: half the counts, half the squares",
             Term(r"\q{\mathbb{E}[\beta]}", beta), "=",
             [("+", Term(r"\frac{a+N/2}{b+\|y-X\theta{w}\|^2/2}", beta))]),
        Line("E: q(λ) likewise", Term(r"\q{\mathbb{E}[\lambda]}", lambda_), "=",
             [("+", Term(r"\frac{a+D/2}{b+\|\theta{w}\|^2/2}", lambda_))]),
        Line("M: ridge regression with this penalty", Term(r"\text{penalty on }\|\theta{w}\|^2",
             at.lambda_ / at.beta), "=", [("+", Term(r"\q{\mathbb{E}[\lambda]\,/\,\mathbb{E}[\beta]}",
                                                     at.lambda_ / at.beta))]),
        Line("The same number: fit minus complexity", elbo, "=",
             [("+", Term(_FIT, info.likelihood)), ("-", Term(_PRIOR, info.kl_prior))]),
    ]  # fmt: skip
