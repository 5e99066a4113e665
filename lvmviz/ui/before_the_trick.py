"""The view Before the trick: the gradient of log E[p(x | z)] itself, beside the ELBO's (note 000)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lvmviz.core import Knob, knobs
from lvmviz.evidence.models import GaussianLatents
from lvmviz.evidence.proposals import NearPosterior
from lvmviz.figures import before_the_trick as figures
from lvmviz.figures.drawing import Drawing
from lvmviz.figures.gradients import told
from lvmviz.summaries import before_the_trick as summaries
from lvmviz.summaries.before_the_trick import Estimates, Sides
from lvmviz.ui import frame, own, state
from lvmviz.ui.code import spelled
from lvmviz.ui.controls import Controls
from lvmviz.ui.derivation import derivation
from lvmviz.ui.derivation_gradients import trick_lines
from lvmviz.ui.dock import dock
from lvmviz.ui.gradient_numbers import with_error
from lvmviz.ui.plot import plot
from lvmviz.ui.scenes import Scene
from lvmviz.ui.table import Cell, Column, table

START = GaussianLatents(dimension=5)
DRAWS = Knob(1, 1000, "Draws in one estimate, at most.", "Draws K", "fine")
REPEATS = Knob(10, 1000, "How many estimates of each kind.", "Estimates", "fine", more=True)
SEED = Knob(0, 9999, "Another seed, other draws.", "Seed", "box", more=True)


def draw(stage: frame.Stage, cards: Sequence[Scene]) -> None:
    """Controls, both gradients over the draws, numbers."""
    with stage.controls:
        view, more = frame.columns()
    controls = Controls(view, more)
    model, q = _model(controls)
    draws = controls.value("trick.draws", int, 100, DRAWS)
    repeats = controls.value("trick.repeats", int, 200, REPEATS)
    seed = controls.value("seed", int, 0, SEED)
    found, exact = summaries.estimates(model, q, seed, repeats, draws), summaries.sides(model, q, draws)
    dark = frame.dark()
    with stage.picture:
        frame.head(
            "picture", "The gradient in θ, by ever more draws", f"{repeats} estimates: mean, nine tenths"
        )
        plot(
            "picture",
            lambda: picture(found, exact, dark),
            depends=(model, q, seed, repeats, draws, dark),
            height=figures.HEIGHT,
            alt="The gradients of log p(x) and of the ELBO: estimates over the draws, and exact values",
        )
        frame.remark("z ~ N(0, I), x|z ~ N(z + θ, s² I), every number of x the same; gradients at θ = 0.")
    with stage.evidence:
        _numbers(found, exact, seed)
    derivation(trick_lines(exact), decimals=3)
    link = state.current()
    dock(
        "before-the-trick",
        "The gradient of the log of a mean",
        cards,
        source=source(model, found, seed, repeats, draws),
        rows=lambda: rows(found, exact),
        figure=lambda: picture(found, exact, dark).checked(),
        model=lambda: {"model": repr(model), "q": repr(q), **exact._asdict()},
        scene=lambda: own.scene_file("gradients", model, link),
    )


def _model(controls: Controls) -> tuple[GaussianLatents, NearPosterior]:
    """The model with its x, and q beside its posterior."""
    metas = knobs(GaussianLatents)
    values: dict[str, Any] = {
        name: controls.value(
            f"trick.{name}", int if name == "dimension" else float, getattr(START, name), meta
        )
        for name, meta in metas.items()
    }
    asked = {name: knobs(NearPosterior)[name]._replace(more=False) for name in ("width", "shift")}
    near = {
        name: controls.value(f"trick.{name}", float, 1.0 if name == "width" else 0.0, meta)
        for name, meta in asked.items()
    }
    return GaussianLatents(**values), NearPosterior(**near)


def picture(found: Estimates, exact: Sides, dark: bool) -> Drawing:
    """Both gradients over the draws."""
    return figures.picture(
        found.counts, found.ratio, found.elbo, found.marks, found.expected, exact.exact, exact.elbo, dark=dark
    )


def _numbers(found: Estimates, exact: Sides, seed: int) -> None:
    frame.head("numbers", "Gradient in θ", f"K = {exact.draws}")
    columns = [Column("", "left"), Column("of log p(x)"), Column("of the ELBO")]
    rows = number_rows(found, exact)
    alt = "Both gradients: exact, mean and standard error of the estimates, bias, standard deviation"
    table("trick", columns, rows=rows, height=28 + 24 * len(rows), alt=alt)
    frame.remark(f"± standard error of {len(found.ratio)} estimates, seed {seed}.")
    bias = exact.expected_ratio - exact.exact
    frame.remark(
        f"The ratio is biased: it tends to {told(exact.expected_ratio)}, off by {told(bias)}, which shrinks "
        "as K grows. The ELBO's is a plain mean: unbiased for any K."
    )


def number_rows(found: Estimates, exact: Sides) -> list[list[Cell]]:
    """The rows of that table."""
    pairs = [(found.ratio[:, -1], exact.exact), (found.elbo[:, -1], exact.elbo)]
    means = [with_error(float(part.mean()), summaries.standard_error(part)) for part, _ in pairs]
    sds = [told(float(part.std(ddof=1))) for part, _ in pairs]
    biases = [told(exact.expected_ratio - exact.exact), "0"]
    return [
        ["exact", *(told(value) for _, value in pairs)],
        ["mean", *means],
        ["bias", *biases],
        ["sd", *sds],
    ]


def source(model: GaussianLatents, found: Estimates, seed: int, repeats: int, draws: int) -> str:
    """The lines that give the mean of the ratio's estimates."""
    return (
        f"import torch\n\nfrom lvmviz import GaussianLatents\nfrom lvmviz.core import fold_in\n"
        f"from lvmviz.gradients import log_evidence\n\n"
        f"model = {spelled(model)}\n"
        f"found = log_evidence.ratio(model, fold_in({seed}, 0), {repeats}, torch.tensor([{draws}]))\n"
        f"found.mean()  # {told(float(found.ratio[:, -1].mean()))}, exact {told(log_p(model))}"
    )


def log_p(model: GaussianLatents) -> float:
    """The exact gradient of log p(x)."""
    return summaries.sides(model, NearPosterior(), 1).exact


def rows(found: Estimates, exact: Sides) -> list[dict[str, Any]]:
    """A row for every K."""
    return [
        {
            "draws": int(count),
            "ratio_mean": float(ratio.mean()),
            "ratio_standard_error": summaries.standard_error(ratio),
            "elbo_mean": float(elbo.mean()),
            "elbo_standard_error": summaries.standard_error(elbo),
            "exact": exact.exact,
            "exact_elbo": exact.elbo,
        }
        for count, ratio, elbo in zip(found.counts, found.ratio.T, found.elbo.T, strict=True)
    ]
