"""Mixtures: EM on a mixture, half-step by half-step, with everything that moves on one screen."""

from lvmviz import Decomposition, Job, ui
from lvmviz.algorithms.em import EMInfo, TooFewComponents, TooFewPoints
from lvmviz.core import Knob
from lvmviz.figures.theme import number, tokens
from lvmviz.runs.job import Trace
from lvmviz.ui import half_step_buttons, own, run_words
from lvmviz.ui.em_scenes import SCENES
from lvmviz.ui.mixture_bernoulli import Bernoullis
from lvmviz.ui.mixture_gaussian import Gaussians
from lvmviz.ui.mixture_model import MixtureModel
from lvmviz.ui.thermometer import PER_DATUM

TITLE = "Mixtures"
GROUP = "EM"
SHOWS = {"EM": {}, "BernoulliEM": {"mixture": "Bernoullis"}}
STEPS_EACH = 2  # an iteration: E and M
CLAIM = "E moves q onto the posterior and closes the gap. M moves θ and opens it again, higher up."
PLAYER = "player"  # the trace's channel: every view below follows it
MODELS = {model.name: model for model in (Gaussians(), Bernoullis())}
SEED = Knob(0, 9999, "Another seed draws another start.", "Seed", "box")
ITERATIONS = Knob(1, 500, "EM stops earlier when it has settled.", "At most this many iterations", more=True)
GROWING = 64  # half-steps of a run that goes on, about: all of them when it has ended
PICTURE = 318  # px
MOVED = {"start": "", "E": "q", "M": "θ"}


def draw() -> None:
    """Controls, job, pictures, numbers."""
    ui.opened(SCENES)
    stage = ui.stage()
    with stage.controls:
        words = {name: model.told for name, model in MODELS.items()}
        model = MODELS[ui.switch("mixture", "Mixture of", words, Gaussians.name)]
        view, more = ui.columns()
    controls = ui.Controls(view, more, model.editors)
    with stage.picture:
        trace = _trace(model, controls)
    if trace is not None:
        _show(model, stage, controls, trace)


def _trace(model: MixtureModel, controls: ui.Controls) -> Trace | None:
    """The run that the controls ask for; a sentence in the picture's place when there is none."""
    try:
        asked = controls.adjust(model.algorithm)
        seed = controls.value("seed", int, 0, SEED)
        iterations = controls.value("iterations", int, 100, ITERATIONS)
        algorithm = model.ready(asked)
        if algorithm is None:
            return None
        job = Job(algorithm, steps=STEPS_EACH * iterations, seed=seed)
        ui.afresh(job.id)
        if said := model.warning(algorithm):
            ui.note(said)
        return ui.keep(ui.live(job, growing=GROWING))
    except (ValueError, LookupError, OSError) as fault:
        ui.failed(str(fault))
        if isinstance(fault, TooFewPoints):
            ui.remedy(f"Use {fault.most} components", "components", fault.most)
        if isinstance(fault, TooFewComponents):
            ui.remedy(f"Use {fault.least} components", "components", fault.least)
        return ui.kept(model.algorithm)


def _show(model: MixtureModel, stage: ui.Stage, controls: ui.Controls, trace: Trace) -> None:
    infos, terms = [snapshot.info for snapshot in trace], model.decompositions(trace)
    moved, depends = [info.moved for info in infos], (trace.key, ui.dark())
    view, scheme = model.view(controls, trace), model.scheme(trace)
    with stage.picture:
        model.picture(trace, view, PLAYER, PICTURE)
        index = ui.trace_player(
            PLAYER,
            trace,
            labels=half_step_buttons.labels(
                moved, [info.iteration for info in infos], [info.collapsed for info in infos]
            ),
            buttons=half_step_buttons.buttons(
                moved, trace.steps, model.ending(trace), scheme, tokens(ui.dark())
            ),
        )
        model.curves(controls, trace, view, PLAYER)
    with stage.evidence:
        ui.thermometer(lambda: terms, depends=depends, decimals=4, names=PER_DATUM, channel=PLAYER)
        ui.ledger(
            [_entry(*row) for row in zip(infos, terms, half_step_buttons.cut(trace.steps), strict=True)],
            decimals=4,
            unit="/N",
            channel=PLAYER,
            what=_pace(trace),
        )
        model.components(trace, PLAYER)
    ui.derivation(model.lines(infos[index], trace), decimals=2)
    link, elbo = ui.link(), number(infos[index].elbo, 4)
    ui.dock(
        "mixtures",
        model.title,
        SCENES,
        source=ui.script(trace.job, f"{ui.snapshot(trace, index)}.info.elbo  # {elbo} nats"),
        rows=trace.rows,
        figure=lambda: model.film(trace, view).at(index),
        model=lambda: model.parameters(trace[index]),
        scene=lambda: own.scene_file("mixtures", model.table(trace), link),
    )


def _entry(info: EMInfo, terms: Decomposition, cut: bool) -> ui.Entry:
    name = f"{info.iteration} {info.moved}" if info.iteration else "start"
    word = "→ ∞" if info.collapsed else "…" if cut else ""
    return ui.Entry(name, MOVED[info.moved], terms.elbo, terms.kl, word)


def _pace(trace: Trace) -> str:
    """How fast it went, or goes, and on what."""
    rate, device = ui.pace(trace.job)
    return f"{run_words.pace(rate / STEPS_EACH)} iterations/s on {device}" if rate else "what moved"


ui.page("mixtures", "Mixtures: EM, live", CLAIM, draw)
