"""Runs: what is computed in the background, was, and can go on; two of them beside each other."""

from collections.abc import Sequence

from lvmviz import ui
from lvmviz.runs.run import Run
from lvmviz.ui import run_desk, run_numbers, runs, ticker
from lvmviz.ui.runs import Listed

TITLE = "Runs"
GROUP = "Runs"
CLAIM = "Long work goes on in the background. Close the page, and find it here again."
CURVES = 236  # height, px


def draw() -> None:
    """Filters left, the table and the curves in the middle, the run that was picked right."""
    stage = ui.stage()
    with stage.controls:
        view, more = ui.place(), ui.place()
        wanted = runs.filters(ui.Controls(view, more))
        run_desk.importing()
        run_desk.storage()
    listed = runs.mine()
    with stage.picture:
        picked = runs.chosen(runs.RUN)
        _table(listed, [one for one in listed if wanted.passes(one)], picked)
        beside = _curves(listed, picked) if picked else None
    with stage.evidence:
        if picked:
            _picked(picked, beside)
        elif listed:
            ui.remark("Pick a run in the table: what it is, how it goes, and what can be done with it.")
    if picked:
        run_desk.settings_and_log(picked)
    if any(one.status.active for one in listed):
        ticker.poll("runs", tuple((one.run.id, *one.status[:2]) for one in listed))


def _table(listed: Sequence[Listed], found: Sequence[Listed], picked: Run | None) -> None:
    if not listed:
        box = ui.empty("No runs yet: what takes more than some two seconds becomes one.", name="runs")
        with box:
            ui.way("A million points, one minute", "mixtures", runs.LARGE)
        return
    ui.head("runs", "Runs", f"{len(found)} of {len(listed)}, newest first; numbers in nats")
    if not found:
        box = ui.empty("No run matches.", name="runs")
        box.button("Show all runs", key="all_runs", on_click=runs.show_all)
        return
    runs.run_table(found, picked.id if picked else "")


def _curves(listed: Sequence[Listed], picked: Run) -> Run | None:
    """The run's curves, and beside them those of another that was chosen for it."""
    with ui.head("curves", runs.title(picked.job), run_numbers.settings(picked.job)):
        other = runs.other(listed, picked)
    run_numbers.curve_plot([picked, *([other] if other else [])], CURVES)
    return other


def _picked(picked: Run, other: Run | None) -> None:
    status = runs.status_of(picked)
    ui.head("picked", runs.title(picked.job), picked.id)
    run_desk.desk(picked, status)
    run_numbers.numbers([picked, *([other] if other else [])])


ui.page("runs", "Runs", CLAIM, draw)
