"""Mixtures: EM on a Gaussian mixture, half-step by half-step, with everything that moves on one screen."""

import itertools

from lvmviz import EM, Decomposition, Job, ui
from lvmviz.algorithms.em import EMInfo, TooFewPoints
from lvmviz.core import Knob
from lvmviz.datasets import Stored
from lvmviz.figures.theme import number, tokens
from lvmviz.runs.job import Trace
from lvmviz.starts import ByHand
from lvmviz.summaries import em as summaries
from lvmviz.ui import em_films, half_steps, own
from lvmviz.ui.derivation_em import lines
from lvmviz.ui.em_scenes import SCENES

TITLE = "Mixtures"
GROUP = "EM"
SHOWS = "EM"
STEPS_EACH = 2  # an iteration: E and M
CLAIM = "E moves q onto the posterior and closes the gap. M moves θ and opens it again, higher up."
PLAYER = "player"  # the trace's channel: every view below follows it
FLOOR = "The regularizer is wider than the data's narrowest direction, so it sets the shapes. Lower it."
SEED = Knob(0, 9999, "Another seed draws another start.", "Seed", "box")
ITERATIONS = Knob(1, 500, "EM stops earlier when it has settled.", "At most this many iterations", more=True)
GROWING = 64  # half-steps of a run that goes on, about: all of them when it has ended
PICTURE, CURVE = 318, 146  # heights, px
NAMES = {
    "log_evidence": "log p(X)/N",
    "kl": "KL/N",
    "elbo": "ELBO/N",
    "joint": "E[log p(X, Z)]/N",
    "entropy": "entropy H(q)/N",
    "likelihood": "E[log p(X|Z)]/N",
    "kl_prior": "KL to prior/N",
}
CURVES = {
    "Steps": "log-likelihood and ELBO over the half-steps",
    "Bound": "both over one mean: E makes the bound touch, M climbs it",
}
MOVED = {"start": "", "E": "q", "M": "θ"}


def draw() -> None:
    """Controls, job, pictures, numbers."""
    ui.opened(SCENES)
    stage = ui.stage()
    with stage.controls:
        view, more = ui.columns()
    controls = ui.Controls(view, more, {Stored: own.own_table, ByHand: own.by_hand})
    with stage.picture:
        trace = _trace(controls)
    if trace is not None:
        _show(stage, controls, trace)


def _trace(controls: ui.Controls) -> Trace | None:
    """The run that the controls ask for; a sentence in the picture's place when there is none."""
    try:
        em = controls.adjust(EM)
        seed = controls.value("seed", int, 0, SEED)
        iterations = controls.value("iterations", int, 100, ITERATIONS)
        if isinstance(em.data, Stored) and not em.data.digest:
            ui.empty(
                "No table yet. Load one on the left: a row is a point, a column a feature.", name="table"
            )
            return None
        job = Job(own.forget_misfits("start", em), steps=STEPS_EACH * iterations, seed=seed)
        ui.afresh(job.id)
        if summaries.floor_binds(em):
            ui.note(FLOOR)
        return ui.keep(ui.live(job, growing=GROWING))
    except (ValueError, LookupError, OSError) as fault:
        ui.failed(str(fault))
        if isinstance(fault, TooFewPoints):
            ui.remedy(f"Use {fault.most} components", "components", fault.most)
        return ui.kept()


def _show(stage: ui.Stage, controls: ui.Controls, trace: Trace) -> None:
    infos, terms = summaries.infos(trace), summaries.decompositions(trace)
    moved, depends = [info.moved for info in infos], (trace.key, ui.dark())
    em, axes = summaries.em(trace), _axes(controls, trace)
    with stage.picture:
        ui.plot(
            "picture",
            lambda: em_films.picture(trace, axes, ui.dark()),
            depends=(*depends, axes),
            height=PICTURE,
            alt=em_films.alt(trace),
            channel=PLAYER,
            on_spot=own.place_spot("start", "picture", em, axes) if isinstance(em.start, ByHand) else None,
        )
        if told := em_films.told(trace):
            ui.remark(told)
        index = ui.player(
            PLAYER,
            labels=half_steps.labels(
                moved, [info.iteration for info in infos], [info.collapsed for info in infos]
            ),
            buttons=half_steps.buttons(moved, trace.steps, _ending(trace), em.scheme, tokens(ui.dark())),
            trace_id=trace.job.id,
            steps=trace.steps,
            growing=ui.growing(trace),
        )
        _curves(controls, trace, depends)
    with stage.evidence:
        ui.thermometer(lambda: terms, depends=depends, decimals=4, names=NAMES, channel=PLAYER)
        ui.ledger(
            [_entry(*row) for row in zip(infos, terms, _cut(trace), strict=True)],
            decimals=4,
            unit="/N",
            channel=PLAYER,
        )
        ui.components(trace, PLAYER)
    ui.derivation(lines(infos[index], em.scheme), decimals=2)
    link, elbo = ui.link(), number(infos[index].elbo, 4)
    ui.dock(
        "mixtures",
        "EM on a mixture of Gaussians",
        SCENES,
        source=ui.script(trace.job, f"{ui.snapshot(trace, index)}.info.elbo  # {elbo} nats"),
        rows=trace.rows,
        figure=lambda: em_films.picture(trace, axes, ui.dark()).at(index),
        model=lambda: summaries.parameters(trace[index]),
        scene=lambda: own.scene_file("mixtures", em.data, link),
    )


def _axes(controls: ui.Controls, trace: Trace) -> tuple[int, int]:
    """Which columns are drawn across and up; of one or two there is nothing to choose."""
    columns = summaries.em(trace).data.table().columns
    if len(columns) < 3:
        return 0, len(columns) - 1
    across = controls.value("across", str, columns[0], Knob(label="Across", options=columns, more=True))
    rest = tuple(column for column in columns if column != across)
    up = controls.value("up", str, rest[0], Knob(label="Up", options=rest, more=True))
    return columns.index(across), columns.index(up)


def _curves(controls: ui.Controls, trace: Trace, depends: tuple[object, ...]) -> None:
    """The trace over the half-steps, or the bound over one parameter."""
    em = summaries.em(trace)
    e_does = "touches" if em.scheme.closes else "assigns"
    said = f"each :orange[**E**] {e_does}, each :green[**M**] lifts"
    with ui.head("curves", "ELBO and log-likelihood per point", said):
        shown = ui.switch("curves", "What the curves are over", CURVES, "Steps")
    if shown == "Steps":
        make, more = lambda: em_films.trace_chart(trace, ui.dark()), ()
    else:
        which = Knob(
            1, em.components, "Whose mean is varied.", "Bound over the mean of component", "box", more=True
        )
        component = controls.value("bound.component", int, 1, which)
        columns = em.data.table().columns
        column = controls.value(
            "bound.column", str, columns[0], Knob(label="along", options=columns, more=True)
        )
        axis = columns.index(column)
        make, more = lambda: em_films.bound_chart(trace, component, axis, ui.dark()), (component, axis)
    depends = (*depends, shown, *more)
    ui.plot("curves", make, depends=depends, height=CURVE, alt=CURVES[shown], channel=PLAYER)


def _entry(info: EMInfo, terms: Decomposition, cut: bool) -> ui.Entry:
    name = f"{info.iteration} {info.moved}" if info.iteration else "start"
    word = "→ ∞" if info.collapsed else "…" if cut else ""
    return ui.Entry(name, MOVED[info.moved], terms.elbo, terms.kl, word)


def _cut(trace: Trace) -> list[bool]:
    """Whether the half-step before each is left out: what changed since is not its work alone."""
    return [False, *(now - was > 1 for was, now in itertools.pairwise(trace.steps))]


def _ending(trace: Trace) -> str:
    """Why the trace goes no further."""
    em, info = summaries.em(trace), trace[-1].info
    if info.collapsed:
        which = "The shared covariance" if em.covariance.shared else f"Component {info.collapsed}"
        return f"{which} has collapsed: no step leads on from here."
    if ui.growing(trace):
        return "The run has not come further yet."
    if trace.job.algorithm.finished(trace[-1].state, info):
        changes = "E and M change nothing more" if em.scheme.maximizes else "an iteration changes too little"
        return f"{em.scheme.name()} has settled: {changes}."
    return "This trace ends here: allow more iterations under More."


ui.page("mixtures", "Mixtures: EM, live", CLAIM, draw)
