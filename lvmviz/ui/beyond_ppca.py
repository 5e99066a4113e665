"""Probabilistic PCA on the page Beyond mixtures: latents, loadings, and of digits images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lvmviz.algorithms.ppca import PPCAEM
from lvmviz.divergences import Decomposition
from lvmviz.figures import component_images
from lvmviz.figures import ppca as figures
from lvmviz.figures.film import Film
from lvmviz.figures.theme import number, tokens
from lvmviz.half_steps import HalfStep
from lvmviz.runs.job import Snapshot, Trace
from lvmviz.summaries import ppca as summaries
from lvmviz.ui import frame
from lvmviz.ui.beyond_model import BeyondModel, Others
from lvmviz.ui.controls import Controls
from lvmviz.ui.derivation import Line, Term
from lvmviz.ui.plot import plot
from lvmviz.ui.table import Cell, Column, dot, table

MOST_COMPONENTS = 5  # images of loadings
IMAGES_TAKE = 130  # px of the picture's height, for what stands below it


class PPCA(BeyondModel):
    """Latents and loadings."""

    name = "Probabilistic PCA"
    title = "Probabilistic PCA by EM"
    algorithm = PPCAEM
    by_chance = True
    rounds = 30

    def view(self, controls: Controls, trace: Trace) -> str:
        return ""

    def picture(self, trace: Trace, others: Others, view: str, channel: str, height: int) -> None:
        if summaries.has_images(trace):
            self._latents(trace, channel, height - IMAGES_TAKE)
            _images(trace, channel)
            return
        left, right = frame.halves()
        with left:
            self._latents(trace, channel, height)
        with right:
            columns = summaries.table(trace).columns
            plot("loadings", lambda: figures.loadings(summaries.loadings(trace), columns, dark=frame.dark()),
                 depends=(trace.key, frame.dark()), height=height, alt="The loadings of every column",
                 channel=channel)  # fmt: skip
        frame.remark(_told(trace))

    def _latents(self, trace: Trace, channel: str, height: int) -> None:
        plot("picture", lambda: self._film(trace, height), depends=(trace.key, frame.dark(), height),
             height=height, alt="The mean of every row's latents under q, coloured by class",
             channel=channel)  # fmt: skip

    def film(self, trace: Trace, others: Others, view: str) -> Film:
        return self._film(trace, figures.HEIGHT)

    def _film(self, trace: Trace, height: int) -> Film:
        made = summaries.ppca_em(trace).data.with_gaps()
        rows = summaries.rows(trace)
        return figures.latents(summaries.told(trace).latents, rows, made.labels, made.label_names,
                               dark=frame.dark(), height=height)  # fmt: skip

    def table(self, trace: Trace, others: Others, view: str, channel: str) -> None:
        frame.head("estimates", "Estimates", "angle to the subspace without gaps")
        table(
            "estimates",
            [Column("", "left", wide=True), Column("σ²"), Column("angle")],
            frames=lambda: _frames(trace, frame.dark()),
            depends=(trace.key, frame.dark()),
            alt="Noise variance and angle of the subspace, by EM and by closed forms",
            height=int((26 + 24 * (1 + len(summaries.rivals(trace)))) * frame.scale()),
            channel=channel,
        )

    def decompositions(self, trace: Trace) -> Sequence[Decomposition]:
        return summaries.decompositions(trace)

    def lines(self, trace: Trace, index: int, view: str) -> list[Line]:
        oracle = summaries.rivals(trace).get(summaries.ORACLE)
        return lines(trace[index].info, summaries.numbers(trace, index), oracle)

    def parameters(self, snapshot: Snapshot) -> Mapping[str, Any]:
        return summaries.parameters(snapshot)


def _told(trace: Trace) -> str:
    made = summaries.table(trace)
    empty, cells, drawn = (
        int((made.points != made.points).sum()),
        made.points.size,
        len(summaries.rows(trace)),
    )
    sampled = f" {drawn:,} of {len(made.points):,} rows are drawn." if drawn < len(made.points) else ""
    turned = "The axes are turned so that they end as principal ones: no turn changes the likelihood."
    return f"{empty:,} of {cells:,} cells are missing.{sampled} {turned}"


def _images(trace: Trace, channel: str) -> None:
    """The mean, the components, some digits with gaps, and the same filled."""
    dark = frame.dark()
    plot("components", lambda: _strip(trace, dark), depends=(trace.key, dark), height=component_images.HEIGHT,
         alt="The mean, the components as images, five digits with missing pixels, and the same filled by q",
         channel=channel)  # fmt: skip
    frame.remark(_told(trace))


def _strip(trace: Trace, dark: bool) -> Film:
    made = summaries.images(trace)
    components = min(made.components.shape[1], MOST_COMPONENTS)
    names = ["the mean", *(f"component {k + 1}; grey is 0" for k in range(components))]
    digits = [f"digit {row + 1}" for row in range(len(made.seen))]
    told = (names, [f"{name}, what is seen" for name in digits], [f"{name}, filled by q" for name in digits])
    first = np.concatenate([made.mean, made.components[:, :components]], 1)
    return component_images.images(first, made.seen, made.hidden, made.filled, told, dark=dark)


def _frames(trace: Trace, dark: bool) -> list[list[list[Cell]]]:
    found, colour = summaries.rivals(trace), tokens(dark).theta_mark
    oracle = found.get(summaries.ORACLE)
    basis = None if oracle is None else oracle.basis
    fixed: list[list[Cell]] = [
        [
            name,
            _small(made.noise_variance),
            _degrees(None if basis is None else summaries.angle(made.basis, basis)),
        ]
        for name, made in found.items()
    ]
    now = [None] * len(trace) if basis is None else summaries.angles(trace, basis).tolist()
    pairs = zip(summaries.noise_variances(trace).tolist(), now, strict=True)
    return [[[dot(colour, "θ", "now"), _small(noise), _degrees(turn)], *fixed] for noise, turn in pairs]


def _small(value: float) -> str:
    return f"{value:.4g}"


def _degrees(value: float | None) -> str:
    return "—" if value is None else f"{number(value, 1)}°"


_EVIDENCE = r"\p{\log p(X_O\mid\theta{\theta})}"
_ELBO = r"\p{\mathcal{L}(\q{q},\theta{\theta})}"
_GAP = r"\kl{\mathrm{KL}(q\,\|\,p(Z\mid X_O,\theta))}"
_NORMAL = r"\sum_n\log\mathcal{N}(x_{nO}\mid\theta{\mu_O},\theta{W_OW_O^\top+\sigma^2I})"


def lines(info: HalfStep, at: summaries.Numbers, oracle: summaries.Fitted | None) -> list[Line]:
    """The derivation with its values: sums over all rows in nats, q of one row, M's noise."""
    evidence, elbo, gap = Term(_EVIDENCE, info.log_lik), Term(_ELBO, info.elbo), Term(_GAP, info.kl)
    joint = Term(r"\mathbb{E}_{\q{q}}[\log p(X_O,Z\mid\theta{\theta})]", info.joint)
    entropy, name = Term(r"\mathrm{H}(\q{q})", info.entropy), rf"z_{{{at.row + 1}}}"
    made = [
        Line("Linear and Gaussian: z can be integrated out, over the seen columns alone", evidence, "=",
             [("+", Term(_NORMAL, info.log_lik))]),
        Line("Jensen, with q over the latents", evidence, ">=", [("+", joint), ("+", entropy)], gap),
        Line("What Jensen lost is exactly a KL", evidence, "=", [("+", elbo), ("+", gap)]),
        Line(f"E: row {at.row + 1}, the one with the most gaps: q has a mean and a doubt",
             Term(rf"\mathbb{{E}}_{{\q{{q}}}}\|{name}\|^2", at.size + at.doubt), "=",
             [("+", Term(rf"\|\q{{\mathbb{{E}}[{name}]}}\|^2", at.size)),
              ("+", Term(rf"\mathrm{{tr}}\,\q{{\mathrm{{Cov}}[{name}]}}", at.doubt))]),
        Line("M: σ² is what q expects of the squared error, a mean over the seen cells",
             Term(r"\theta{\sigma^2_{\text{new}}}", at.best), "=",
             [("+", Term(r"\overline{(x-W\q{\mathbb{E}[z]}-\mu)^2}", at.misfit)),
              ("+", Term(r"\overline{w^\top\q{\mathrm{Cov}[z]}w}", at.doubt_x))]),
        Line("The same number: fit minus complexity", elbo, "=",
             [("+", Term(r"\mathbb{E}_{\q{q}}[\log p(X_O\mid Z,\theta{\theta})]", info.likelihood)),
              ("-", Term(r"\prior{\mathrm{KL}(q\,\|\,p(Z))}", info.kl_prior))]),
    ]  # fmt: skip
    if oracle is not None:
        value = Term(r"\theta{\sigma^2_{\text{ML}}}", oracle.noise_variance)
        mean = Term(r"\tfrac1{D-q}\textstyle\sum_{i>q}\lambda_i", oracle.noise_variance)
        reason = "Without gaps no iteration is needed: the mean of the eigenvalues left out"
        made.append(Line(reason, value, "=", [("+", mean)]))
    return made
