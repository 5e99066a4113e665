"""Evidence: sum over all z, draw z, and why the log of an estimate is too low."""

from lvmviz import ui
from lvmviz.formula_targets import Formula
from lvmviz.runs.job import Trace
from lvmviz.ui import evidence, own, state
from lvmviz.ui.evidence_log import LogView
from lvmviz.ui.evidence_sample import SampleView
from lvmviz.ui.evidence_scenes import SCENES
from lvmviz.ui.evidence_sum import BruteForceView
from lvmviz.ui.fit_formula import own_formula

TITLE = "Evidence"
GROUP = "Fit q"
CLAIM = "p(x) is one integral over z. Sum it, draw it, and watch the log of the draws fall short."
VIEWS = {view.name: view for view in (BruteForceView(), SampleView(), LogView())}
GROWING = 8  # snapshots of a run that goes on: only the last is drawn


def draw() -> None:
    """Controls, the sum or the draws, pictures, numbers."""
    ui.opened(SCENES)
    stage = ui.stage()
    with stage.controls:
        told = {name: view.told for name, view in VIEWS.items()}
        view = VIEWS[ui.switch("view", "How p(x) is found", told, evidence.SAMPLE)]
        first, more = ui.columns()
    controls = ui.Controls(first, more, {Formula: own_formula})
    with stage.picture:
        trace = _trace(view, controls)
    state.keep_hidden()
    if trace is not None:
        _show(view, stage, trace)


def _trace(view: evidence.EvidenceView, controls: ui.Controls) -> Trace | None:
    """What the controls ask for; a sentence, and the last good picture, where that cannot be."""
    try:
        return ui.keep(ui.live(view.job(controls), growing=GROWING))
    except (ValueError, LookupError, OSError) as fault:
        ui.failed(str(fault))
        return ui.kept(view.method)


def _show(view: evidence.EvidenceView, stage: ui.Stage, trace: Trace) -> None:
    view.show(stage, trace)
    ui.derivation(view.lines(trace), decimals=3)
    link = ui.link()
    ui.dock(
        "evidence",
        "Evidence",
        SCENES,
        source=view.source(trace),
        rows=lambda: view.rows(trace),
        figure=lambda: view.figure(trace),
        model=lambda: view.parameters(trace),
        scene=lambda: own.scene_file("evidence", view.model(trace), link),
    )


ui.page("evidence", "Evidence", CLAIM, draw)
