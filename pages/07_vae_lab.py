"""VAE lab: train in the background, watch q fill the prior, and see the true log p(x) beside the bound."""

from lvmviz import Job, ui
from lvmviz.algorithms.vae import TrainVAE
from lvmviz.core import Knob
from lvmviz.datasets import Stored
from lvmviz.figures.theme import number
from lvmviz.image_sets import StoredImages
from lvmviz.runs.job import Trace
from lvmviz.summaries import vae as summaries
from lvmviz.ui import own, sigmoid, training_loop, vae_desk, vae_evidence, vae_films
from lvmviz.ui.vae_scenes import SCENES

TITLE = "VAE lab"
GROUP = "VAE"
SHOWS = "TrainVAE"
CLAIM = "Encoder and decoder climb the ELBO together. With two latents the true log p(x) stands beside it."
PLAYER = "player"  # the trace's channel: every view below follows it
SEED = Knob(
    0, 9999, "Another seed draws other first weights and other minibatches.", "Seed", "box", more=True
)
PLANE, BOUND, TERMS, STRIP = 446, 214, 168, 118  # heights, px
WIDE = 440  # of the plane, px
NAMES = {"likelihood": "reconstruction", "kl_prior": "KL to prior"}
MODELS = {"VAE": "learned from data", "Sigmoid decoder": "explicit, with one datum (note 001)"}


def draw() -> None:
    """Controls, job, pictures, numbers."""
    ui.opened(SCENES)
    stage = ui.stage()
    with stage.controls:
        model = ui.switch("model", "Model", MODELS, "VAE")
        view, more = ui.columns()
    controls = ui.Controls(view, more, {Stored: own.own_table, StoredImages: vae_desk.own_images})
    if model != "VAE":
        sigmoid.draw(stage, controls, SCENES)
        return
    with stage.picture:
        trace = _trace(controls)
    if trace is not None:
        _show(stage, controls, trace)
    else:
        ui.scenes(SCENES)


def _trace(controls: ui.Controls) -> Trace | None:
    """The run that the controls ask for; a sentence in the picture's place when there is none."""
    try:
        algorithm = controls.adjust(TrainVAE)
        if not vae_desk.here(algorithm.data):
            return None
        steps = controls.value("iterations", int, 300, vae_desk.epochs(algorithm))
        job = Job(algorithm, steps=steps, seed=controls.value("seed", int, 0, SEED))
        ui.afresh(job.id)
        if job.long and not vae_desk.started(job):
            return None
        return ui.keep(ui.live(job))
    except (ValueError, LookupError, OSError) as fault:
        ui.failed(str(fault))
        return ui.kept()


def _show(stage: ui.Stage, controls: ui.Controls, trace: Trace) -> None:
    vae_desk.arrive(trace)
    infos, growing = summaries.infos(trace), ui.growing(trace)
    algorithm, axes = summaries.vae(trace), vae_desk.axes(controls, summaries.vae(trace))
    depends = (trace.key, ui.dark())
    with stage.picture:
        left, right, below = vae_desk.side_by_side(WIDE)
        with below:
            index = ui.trace_player(
                PLAYER,
                trace,
                labels=[vae_desk.label(info, infos[-1]) for info in infos],
            )
            if told := vae_desk.ended(infos[-1]):
                ui.note(told)
        if summaries.is_images(algorithm):
            _strip(trace, index)
    with stage.evidence:
        half, evidence = vae_desk.evidence(trace, index, growing, NAMES)
        vae_desk.numbers(trace, index, half, evidence, growing)
        vae_desk.ledger(trace, PLAYER)
    with left:
        vae_desk.plane(trace, index, axes, depends, PLAYER, PLANE)
    with right:
        _curves(trace, depends, vae_evidence.known(trace, "test"))
    training_loop.draw(trace, index, growing)
    link, elbo = ui.link(), number(infos[index].test_elbo, 4)
    ui.dock(
        "vae",
        "A variational autoencoder",
        SCENES,
        source=ui.script(trace.job, f"{ui.snapshot(trace, index)}.info.test_elbo  # {elbo} nats"),
        rows=lambda: vae_desk.rows(trace),
        figure=lambda: vae_films.still(trace, index, axes, ui.dark()),
        model=lambda: summaries.settings(summaries.moment(trace, index), infos[index]),
        weights=lambda: summaries.file(summaries.moment(trace, index), round(infos[index].epoch)),
        scene=lambda: own.scene_file("vae_lab", algorithm.data, link),
    )
    vae_evidence.work(trace, index, half)


def _curves(trace: Trace, depends: tuple[object, ...], known: dict[int, summaries.Evidence]) -> None:
    """ELBO and log p(x) over the epochs, and the two terms of the ELBO."""
    ui.head("bound", "ELBO and log p(x)", "of the test set; train dashed")
    ui.plot(
        "bound",
        lambda: vae_films.bound(trace, known, ui.dark(), BOUND),
        depends=(*depends, tuple(known)),
        height=BOUND,
        alt="ELBO of test and training examples over the epochs, and log p(x)",
        channel=PLAYER,
    )
    vae_desk.terms(trace, depends, PLAYER, TERMS)


def _strip(trace: Trace, index: int) -> None:
    """Test images, and what the decoder makes of them."""
    ui.head("strip", "Reconstructions", "test images above, decoded from their q's means below")
    ui.plot(
        "strip",
        lambda: vae_films.reconstructions(trace, index, 16, ui.dark()),
        depends=(trace.job.id, trace.steps[index], ui.dark()),
        height=STRIP,
        alt=f"16 test images and their reconstructions after step {number(trace.steps[index], 0)}",
    )


ui.page("vae_lab", "VAE lab", CLAIM, draw)
