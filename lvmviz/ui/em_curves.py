"""The curves below a mixture's picture: over the half-steps, or over one parameter."""

from __future__ import annotations

from lvmviz.core import Knob
from lvmviz.runs.job import Trace
from lvmviz.summaries import em as summaries
from lvmviz.ui import em_contests, em_films, frame
from lvmviz.ui.controls import Controls, switch, switched
from lvmviz.ui.plot import plot

HEIGHT = 146  # px
CURVES = {
    "Steps": "log-likelihood and ELBO over the half-steps",
    "Bound": "both over one mean: E makes the bound touch, M climbs it",
    **em_contests.VIEWS,
}


def curves(controls: Controls, trace: Trace, channel: str) -> None:
    """The trace over the half-steps, or the bound over one parameter; or many fits beside this one."""
    em = summaries.em(trace)
    e_does = "touches" if em.scheme.closes else "assigns"
    said = f"each :orange[**E**] {e_does}, each :green[**M**] lifts"
    head, view = ("ELBO and log-likelihood per point", said), switched("curves", CURVES, "Steps")
    if view in em_contests.VIEWS:
        head = em_contests.head(view, em)
    with frame.head("curves", *head):
        shown = switch("curves", "What the curves are over", CURVES, "Steps")
    if shown in em_contests.VIEWS:
        em_contests.draw(shown, trace, HEIGHT)
        return
    em_contests.leave()
    if shown == "Steps":
        make, more = lambda: em_films.trace_chart(trace, frame.dark()), ()
    else:
        component, axis = _varied(controls, trace)
        make, more = lambda: em_films.bound_chart(trace, component, axis, frame.dark()), (component, axis)
    depends = (trace.key, frame.dark(), shown, *more)
    plot("curves", make, depends=depends, height=HEIGHT, alt=CURVES[shown], channel=channel)


def _varied(controls: Controls, trace: Trace) -> tuple[int, int]:
    """Whose mean the bound is drawn over, from 1, and along which column."""
    em = summaries.em(trace)
    which = Knob(
        1, em.components, "Whose mean is varied.", "Bound over the mean of component", "box", more=True
    )
    component = controls.value("bound.component", int, 1, which)
    columns = em.data.table().columns
    column = controls.value("bound.column", str, columns[0], Knob(label="along", options=columns, more=True))
    return component, columns.index(column)
