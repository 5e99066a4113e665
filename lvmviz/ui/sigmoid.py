"""The explicit sigmoid decoder of note 001: its bent posterior, the best Gaussian q, all of it exact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lvmviz.amortized import POSTERIORS
from lvmviz.core import Knob
from lvmviz.figures import sigmoid as figures
from lvmviz.figures.theme import number
from lvmviz.sigmoid import SigmoidModel
from lvmviz.summaries.sigmoid import DRAWS, SEED, Look, look
from lvmviz.ui import frame, own, state
from lvmviz.ui.code import spelled
from lvmviz.ui.controls import Controls
from lvmviz.ui.derivation import derivation
from lvmviz.ui.derivation_vi import lines
from lvmviz.ui.dock import dock
from lvmviz.ui.plot import plot
from lvmviz.ui.scenes import Scene
from lvmviz.ui.table import Cell, Column, table
from lvmviz.ui.thermometer import thermometer
from lvmviz.ui.vae_desk import side_by_side

WIDE = 440  # of the posterior, px
NAMES = {"log_evidence": "log p(x)", "kl": "KL(q‖p)", "elbo": "ELBO"}
Q = Knob(label="q", help="Whether q may have correlations.", options=POSTERIORS, more=True)


def draw(stage: frame.Stage, controls: Controls, cards: Sequence[Scene]) -> None:
    """The model's controls, pictures and numbers, and what stands below a stage."""
    model = controls.adjust(SigmoidModel)
    posterior = controls.value("gaussian", str, "full", Q)
    made, depends = look(model, posterior), (model, posterior, frame.dark())
    with stage.picture:
        _pictures(model, made, depends)
    with stage.evidence:
        thermometer(lambda: [made.terms], depends=depends, decimals=3, names=NAMES)
        _numbers(made)
    derivation(lines(made.terms), decimals=3)
    link = state.current()
    dock(
        "sigmoid-decoder",
        "The posterior of a sigmoid decoder",
        cards,
        source=_source(model, posterior, made),
        rows=lambda: [made.terms._asdict()],
        figure=lambda: figures.posterior(
            made.z, made.posterior, made.mean, made.factor, dark=frame.dark()
        ).checked(),
        model=lambda: _model(model, made),
        scene=lambda: own.scene_file("vae_lab", model, link),
    )


def _pictures(model: SigmoidModel, made: Look, depends: tuple[object, ...]) -> None:
    left, right, _ = side_by_side(WIDE)
    dark = frame.dark()
    with left:
        frame.head("plane", "Posterior p(z|x)", "exact, and the best Gaussian q at 1 and 2 sd")
        plot(
            "picture",
            lambda: figures.posterior(made.z, made.posterior, made.mean, made.factor, dark=dark),
            depends=depends,
            height=figures.HEIGHT,
            alt="The exact posterior over the latent plane, the best Gaussian q and the prior",
        )
    with right:
        frame.head("likelihood", "Likelihood p(x|z)", "times the prior (dashed) it is the posterior")
        plot("likelihood", lambda: figures.likelihood(made.z, made.likelihood, dark=dark), depends=depends,
             height=figures.SMALL, alt="The likelihood of the datum over the latent plane")  # fmt: skip
        frame.head("made", "What the model makes", f"{len(made.cloud)} draws of x")
        plot("made", lambda: figures.made_x(made.cloud, (model.x1, model.x2), dark=dark), depends=depends,
             height=figures.SMALL, alt="Draws of x from the model, and the datum")  # fmt: skip


def _numbers(made: Look) -> None:
    frame.head("numbers", "Numbers", "nats")
    columns, rows = table_of(made)
    table("numbers", columns, rows=rows, alt="The evidence and its terms", height=26 + 24 * len(rows))
    frame.head("moments", "Mean and sd", "")
    columns, rows = moments_of(made)
    table("moments", columns, rows=rows, alt="Mean and standard deviation of posterior and q", height=130)
    frame.remark(told_of(made))


def told_of(made: Look) -> str:
    """What is to be said of these numbers."""
    parts = [f"S = {DRAWS} draws of q, seed {SEED}."]
    away = abs(made.estimate[0] - made.terms.log_evidence)
    if away > 3.0 * made.estimate[1]:
        parts.append("More than 3 standard errors off: q seldom reaches where the posterior still has mass.")
    if not made.settled:
        parts.append(
            f"Two rules differ by {made.terms.error:.1e} nats: the posterior is too narrow for one of them."
        )
    return " ".join(parts)


def table_of(made: Look) -> tuple[list[Column], list[list[Cell]]]:
    """log p(x) and its terms, with the estimate beside what is exact."""
    told = {
        "log p(x)": made.terms.log_evidence,
        "KL(q‖p(z|x))": made.terms.kl,
        "ELBO": made.terms.elbo,
        "E[log p(x|z)]": made.terms.likelihood,
        "KL to prior": made.terms.kl_prior,
    }
    rows: list[list[Cell]] = [[name, number(value, 3), ""] for name, value in told.items()]
    rows[0][2] = f"{number(made.estimate[0], 3)} ± {made.estimate[1]:.3f}"
    return [Column("", "left"), Column("exact"), Column(f"S = {DRAWS}")], rows


def moments_of(made: Look) -> tuple[list[Column], list[list[Cell]]]:
    """Mean and standard deviation of the posterior and of q."""
    cov = made.factor @ made.factor.T
    sides = ((made.posterior_mean, made.posterior_cov), (made.mean, cov))
    rows: list[list[Cell]] = []
    for k in range(2):
        rows.append([f"mean z{'₁₂'[k]}", *(number(float(mean[k]), 3) for mean, _ in sides)])
        rows.append([f"sd z{'₁₂'[k]}", *(number(float(c[k, k]) ** 0.5, 3) for _, c in sides)])
    return [Column("", "left"), Column("posterior"), Column("q")], rows


def _model(model: SigmoidModel, made: Look) -> Mapping[str, Any]:
    return {
        "model": repr(model),
        "mean": made.mean.tolist(),
        "factor": made.factor.tolist(),
        **made.terms._asdict(),
    }


def _source(model: SigmoidModel, posterior: str, made: Look) -> str:
    asked = "model" if posterior == "full" else f'model, "{posterior}"'
    return (
        "from lvmviz import SigmoidModel\nfrom lvmviz.summaries.sigmoid import look\n\n"
        f"model = {spelled(model)}\n"
        f"look({asked}).terms.kl  # {number(made.terms.kl, 3)} nats"
    )
