"""Beyond mixtures: EM where what is latent is a missing cell, a weight, a precision or a coordinate."""

from lvmviz import Decomposition, Job, ui
from lvmviz.algorithms.em import TooFewPoints
from lvmviz.core import Knob
from lvmviz.figures.theme import number, tokens
from lvmviz.gaps import AsGiven, NothingSeen
from lvmviz.runs.job import Trace
from lvmviz.ui import beyond_curves, half_step_buttons, own, run_words
from lvmviz.ui.beyond_missing import Missing, Variational
from lvmviz.ui.beyond_model import BeyondModel, Others
from lvmviz.ui.beyond_ppca import PPCA
from lvmviz.ui.beyond_regression import Weights
from lvmviz.ui.beyond_relatives import Conditional, Generalized, MonteCarlo
from lvmviz.ui.beyond_scenes import SCENES
from lvmviz.ui.beyond_swapped import Swapped

TITLE = "Beyond mixtures"
GROUP = "EM"
SHOWS = {
    "MissingGaussianEM": {},
    "VariationalEM": {"model": "Variational EM"},
    "EMRegression": {"model": "Regression"},
    "SwappedRegression": {"model": "Roles swapped"},
    "MonteCarloEM": {"model": "Monte-Carlo EM"},
    "ECM": {"model": "ECM"},
    "PPCAEM": {"model": "Probabilistic PCA"},
}
STEPS_EACH = 2  # a round: E and M
CLAIM = "E fills in what is not seen, with its doubt. M fits as if it had been seen, and keeps the doubt."
PLAYER = "player"  # the trace's channel: every view below follows it
MODELS: dict[str, BeyondModel] = {
    model.name: model
    for model in (
        Missing(),
        Weights(),
        Swapped(),
        MonteCarlo(),
        Generalized(),
        Conditional(),
        Variational(),
        PPCA(),
    )  # fmt: skip
}
MODEL = Knob(label="Model", options=tuple(MODELS), help="What is latent, and which relative of EM fits it.")
SEED = Knob(0, 9999, "Another seed draws otherwise.", "Seed", "box")
ITERATIONS = Knob(1, 500, "A run stops earlier when it has settled.", "At most this many rounds", more=True)
GROWING = 64  # half-steps of a run that goes on, about: all of them when it has ended
PICTURE = 318  # px
MOVED = {"s": "", "E": "q", "M": "θ"}


def draw() -> None:
    """Controls, job, pictures, numbers."""
    ui.opened(SCENES)
    stage = ui.stage()
    with stage.controls:
        view, more = ui.columns()
    name = ui.Controls(view, more).value("model", str, Missing.name, MODEL)
    model = MODELS[name]
    controls = ui.Controls(view, more, model.editors)
    with stage.picture:
        trace = _trace(model, controls)
    if trace is not None:
        _show(model, stage, controls, trace)


def _trace(model: BeyondModel, controls: ui.Controls) -> Trace | None:
    """The run that the controls ask for; a sentence in the picture's place when there is none."""
    try:
        asked = model.asked(controls)
        seed = controls.value("seed", int, 0, SEED._replace(more=not model.by_chance))
        rounds = controls.value("iterations", int, model.rounds, ITERATIONS)
        algorithm = model.ready(asked)
        if algorithm is None:
            return None
        job = Job(algorithm, steps=STEPS_EACH * rounds, seed=seed)
        ui.afresh(job.id)
        return ui.keep(ui.live(job, growing=GROWING))
    except (ValueError, LookupError, OSError) as fault:
        ui.failed(str(fault))
        if isinstance(fault, TooFewPoints):
            ui.remedy(f"Use {fault.most} components", "components", fault.most)
        if isinstance(fault, NothingSeen):
            ui.remedy("Hide no cells", "gaps", AsGiven.__name__)
        return ui.kept(model.algorithm)


def _others(model: BeyondModel, trace: Trace) -> Others:
    """The runs beside it, as far as they are."""
    found = {}
    for name, job in model.beside(trace).items():
        if (made := ui.live(job, growing=GROWING, beside=name)) is not None:
            found[name] = made
    return found


def _show(model: BeyondModel, stage: ui.Stage, controls: ui.Controls, trace: Trace) -> None:
    infos, terms = [snapshot.info for snapshot in trace], model.decompositions(trace)
    collapsed = [getattr(info, "collapsed", 0) for info in infos]
    moved, view = [info.moved for info in infos], model.view(controls, trace)
    with stage.picture:
        if said := model.warning(trace):
            ui.note(said)
        if model.pictures_others:
            others = _others(model, trace)
            model.picture(trace, others, view, PLAYER, PICTURE)
        else:  # the picture does not wait for what it does not show
            model.picture(trace, {}, view, PLAYER, PICTURE)
            others = _others(model, trace)
        index = ui.trace_player(
            PLAYER,
            trace,
            labels=half_step_buttons.labels(moved, [info.iteration for info in infos], collapsed),
            buttons=half_step_buttons.buttons(
                moved, trace.steps, model.ending(trace), model.words(trace), tokens(ui.dark())
            ),
        )
        beyond_curves.curves(model, trace, others, PLAYER)
    with stage.evidence:
        ui.thermometer(
            lambda: terms, depends=(trace.key, ui.dark()), decimals=4, names=model.names, channel=PLAYER
        )
        ui.ledger(
            [_entry(*row) for row in zip(infos, terms, half_step_buttons.cut(trace.steps), strict=True)],
            decimals=4,
            unit=model.unit,
            channel=PLAYER,
            what=_pace(trace),
        )
        model.table(trace, others, view, PLAYER)
    ui.derivation(model.lines(trace, index, view), decimals=3)
    link, elbo = ui.link(), number(infos[index].elbo, 4)
    ui.dock(
        "em_beyond",
        model.title,
        SCENES,
        source=ui.script(trace.job, f"{ui.snapshot(trace, index)}.info.elbo  # {elbo} nats"),
        rows=trace.rows,
        figure=lambda: model.film(trace, others, view).at(index),
        model=lambda: model.parameters(trace[index]),
        scene=lambda: own.scene_file("em_beyond", model.data(trace), link),
    )


def _entry(info: object, terms: Decomposition, cut: bool) -> ui.Entry:
    iteration, moved = info.iteration, info.moved  # type: ignore[attr-defined]
    name = f"{iteration} {moved}" if iteration else "start"
    return ui.Entry(name, MOVED[moved[0]], terms.elbo, terms.kl, "…" if cut else "")


def _pace(trace: Trace) -> str:
    """How fast it went, or goes, and on what."""
    rate, device = ui.pace(trace.job)
    return f"{run_words.pace(rate / STEPS_EACH)} rounds/s on {device}" if rate else "what moved"


ui.page("em_beyond", "Beyond mixtures", CLAIM, draw)
