"""The lab of gradients: every estimator's estimates, their variance over a range, and climbs of one."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import streamlit as st

from lvmviz.algorithms.gradient_scatter import GradientScatter
from lvmviz.core import Knob, field_types, knobs
from lvmviz.families import Gaussian
from lvmviz.figures import gradient_curves as curves
from lvmviz.figures import gradients as figures
from lvmviz.figures.drawing import Drawing
from lvmviz.figures.gradients import told
from lvmviz.figures.theme import number, tokens
from lvmviz.formula_targets import Formula
from lvmviz.gradients.integrands import Integrand, Square, TargetELBO
from lvmviz.runs.job import Job, Trace
from lvmviz.summaries import fit
from lvmviz.summaries import gradients as summaries
from lvmviz.summaries.gradients import Row
from lvmviz.ui import frame, gradient_climbs, gradient_numbers, own, state
from lvmviz.ui.code import script, snapshot
from lvmviz.ui.controls import Controls, switch
from lvmviz.ui.derivation import derivation
from lvmviz.ui.derivation_gradients import lab_lines
from lvmviz.ui.dock import dock
from lvmviz.ui.fit_formula import own_formula
from lvmviz.ui.gradient_bench import SYMBOLS, Bench, choose, chosen, names
from lvmviz.ui.live import live
from lvmviz.ui.plot import plot
from lvmviz.ui.scenes import Scene, scenes
from lvmviz.ui.thermometer import thermometer

ROW = curves.HEIGHT
NAMES = {"log_evidence": "log p(x)", "kl": "KL(q‖p)", "elbo": "ELBO"}
EDITORS = {Formula: own_formula}
F = Knob(help="What is averaged over q.", label="f")
SEED = Knob(0, 9999, "Another seed, other draws.", "Seed", "box")
RATE = Knob(1e-4, 10.0, "The step of a climb, in gradients.", "Step size", "log", more=True)
SPANS = {"q": "over where q stands", "dimension": "over the dimension of z"}
SOFT_SPANS = {"q": "over the log odds", "temperature": "over the temperature"}
OF = {"mean": "the gradient in q's mean", "log sd": "the gradient in the log of q's sd"}


def draw(stage: frame.Stage, cards: Sequence[Scene]) -> None:
    """Controls, violins, variance and climbs, numbers."""
    with stage.controls:
        view, more = frame.columns()
    controls = Controls(view, more, EDITORS)
    of = adjusted(controls)
    seed, rate = controls.value("seed", int, 0, SEED), controls.value("rate", float, 0.1, RATE)
    with view:
        gradient_climbs.buttons()
    with stage.picture:
        place = frame.head("picture", "Estimates of the gradient", f"{of.repeats} of each, S draws in one")
        which = _which(place, of)
        trace = live(Job(of, steps=of.steps(), seed=seed), beside="scatter")
    if trace is None or not len(trace):
        scenes(cards)
        return
    look = summaries.look(trace, 1 if which == "log sd" else 0)
    bench = Bench(of, trace, look, which, chosen(of), frame.dark())
    with stage.picture:
        _violins(bench)
        left, right = frame.halves()
        with left:
            _variance(bench)
        with right:
            runs = gradient_climbs.draw(bench, rate, ROW)
        climbed = None if runs is None else (runs, gradient_climbs.step(runs))
    with stage.evidence:
        gradient_numbers.draw(bench)
        _thermometer(bench)
    derivation(lab_lines(of, look, which), decimals=3)
    _dock(bench, cards, climbed)


def adjusted(controls: Controls) -> GradientScatter:
    """The experiment that the controls ask for."""
    integrand: Integrand = controls.choose(Integrand, "integrand", Square(), F, aside=True)
    base, metas, types = (
        GradientScatter(integrand=integrand),
        knobs(GradientScatter),
        field_types(GradientScatter),
    )
    metas["mean"] = metas["mean"]._replace(label="Log odds" if integrand.discrete else "Mean of q")
    idle = GradientScatter.idle({"integrand": integrand})
    values: dict[str, Any] = {
        name: controls.value(name, types[name], getattr(base, name), meta)
        for name, meta in metas.items()
        if name != "integrand" and name not in idle
    }
    return dataclasses.replace(base, **values)


def _which(place: Any, of: GradientScatter) -> str:
    if of.integrand.discrete:
        return "logit"
    with place:
        return switch("of", "Gradient in", OF, "mean")


# ---- pictures ----


def _violins(bench: Bench) -> None:
    plot(
        "picture",
        lambda: violins(bench),
        depends=(*bench.key, bench.chosen),
        height=figures.HEIGHT,
        alt=f"{SYMBOLS[bench.which]}: a violin of the estimates of every estimator round the exact gradient, "
        f"{told(bench.look.exact)}; click one to see its climbs",
        on_pick=lambda: choose(int(st.session_state["plot_picture"]["pick"]["value"])),
    )


def violins(bench: Bench) -> Drawing:
    """The main picture."""
    shapes = [
        figures.Shape(names(row.estimator)[1], *made, row.mean, row.error, row.sd, bool(row.why), _hover(row))
        for row, made in zip(bench.look.rows, summaries.violins(bench.look.found), strict=True)
    ]
    axis = SYMBOLS[bench.which]
    return figures.violins(shapes, bench.look.exact, bench.chosen, axis=axis, dark=bench.dark)


def _hover(row: Row) -> str:
    lines = [
        names(row.estimator)[1].replace("-<br>", "").replace("<br>", " "),
        f"mean {told(row.mean)} ± {told(row.error)}",
        f"sd of one estimate {told(row.sd)}",
    ]
    return "<br>".join([*lines, f"biased: it tends to {told(row.aim)}"] if row.why else lines)


def _variance(bench: Bench) -> None:
    of = bench.of
    name, spans = ("over_soft", SOFT_SPANS) if of.integrand.discrete else ("over", SPANS)
    with frame.head("variance", "Variance", "per draw; rings: measured"):
        span = switch(name, "Over", spans, "q")
    if span == "dimension" and of.integrand.most == 1:
        frame.empty("This f lives on a line: choose another one.", name="variance", height=ROW)
        return
    plot(
        "variance",
        lambda: variance(bench, span),
        depends=(*bench.key, span),
        height=ROW,
        alt=f"The variance of one draw of every estimator {spans[span]}",
    )


def variance(bench: Bench, span: str) -> Drawing:
    """Every estimator's variance over a range."""
    of = bench.of
    if span == "dimension":
        found, now, axis = summaries.over_dimension(of, bench.index), float(of.dimension), "dimension of z"
    elif span == "temperature":
        found, now, axis = summaries.over_temperature(of), of.temperature, "temperature"
    else:
        axis = "log odds" if of.integrand.discrete else "mean of q"
        found, now = summaries.over_mean(dataclasses.replace(of, mean=0.0), bench.index), of.mean
    inks = tokens(bench.dark)
    lines = [
        curves.Curve(names(row.estimator)[0], figures.ink(i, inks), found.variance[i], row.variance)
        for i, row in enumerate(bench.look.rows)
    ]
    return curves.variance(found.x, lines, now, axis=axis, log=span != "q", dark=bench.dark)


def _thermometer(bench: Bench) -> None:
    """The ELBO whose gradient this is, where it is page 2's."""
    f = bench.of.integrand
    if not isinstance(f, TargetELBO) or f.normalized:
        return
    terms = fit.terms(f.target, Gaussian(), bench.of.phi())
    thermometer(lambda: [terms], depends=(f.target, bench.of.mean, bench.of.sd), decimals=3, names=NAMES)


# ---- below the stage ----


def _dock(bench: Bench, cards: Sequence[Scene], climbed: tuple[Trace, int] | None) -> None:
    link = state.current()
    dock(
        "gradients",
        "Estimators of a gradient",
        cards,
        source=source(bench, climbed),
        rows=lambda: gradient_numbers.rows(bench) if climbed is None else climbed[0].rows(),
        figure=lambda: violins(bench).checked(),
        model=lambda: {"experiment": repr(bench.of), "exact": bench.look.exact, "in": bench.which},
        scene=lambda: own.scene_file("gradients", bench.of.integrand, link),
    )


def source(bench: Bench, climbed: tuple[Trace, int] | None) -> str:
    """The lines that give the mean of the chosen estimator, or of its climbs where these are shown."""
    if climbed is not None:
        runs, index = climbed
        mean = number(runs[index].info.mean, 4)
        return script(runs.job, f"{snapshot(runs, index)}.info.mean  # {mean}: E[f], mean of the runs")
    if bench.chosen >= len(bench.look.rows):
        exact = f"# {told(bench.look.exact)}: exact"
        return script(bench.trace.job, f"trace[-1].state.exact[{bench.index}]  {exact}")
    row = bench.look.rows[bench.chosen]
    mean = f"# {told(row.mean)}: {names(row.estimator)[0]}"
    return script(bench.trace.job, f"trace[-1].state.found[{bench.chosen}, :, {bench.index}].mean()  {mean}")
