"""Latent space: move over the plane and see it decode; pin an image and see its exact evidence."""

from lvmviz import ui
from lvmviz.figures.theme import number
from lvmviz.runs.job import Trace
from lvmviz.summaries import latent as summaries
from lvmviz.summaries import vae
from lvmviz.summaries.vae import lesson
from lvmviz.ui import latent_desk, latent_plane, latent_runs, own
from lvmviz.ui.derivation_vae import lines

TITLE = "Latent space"
GROUP = "VAE"
CLAIM = "Every point of the plane decodes to an image. Ink fades where no training image lives."
PLANE = 470  # height, px


def draw() -> None:
    """The run, its plane, what is pinned, its numbers."""
    stage = ui.stage()
    with stage.controls:
        run = ui.place()
        view, more = ui.columns()
    try:
        trace = latent_runs.chosen(run, stage.picture)
        if trace is None:
            return
        _show(stage, ui.Controls(view, more), trace)
    except (ValueError, LookupError, OSError) as fault:
        with stage.picture:
            ui.failed(str(fault))


def _show(stage: ui.Stage, controls: ui.Controls, trace: Trace) -> None:
    at = vae.moment(trace, len(trace) - 1)
    chosen = latent_desk.choices(controls, at)
    pin, image = chosen.pin, summaries.image(at, chosen.pin.x)
    with stage.evidence:  # first: they are what a pin asks for
        latent_desk.numbers(at, pin, image)
    with stage.picture:
        latent_runs.strip(trace)
        left, right = latent_desk.beside()
        with left:
            plane = ui.place()
        with right:
            latent_desk.side(at, pin, image)
        z = latent_desk.walk(at, chosen)
        with plane:
            ui.head("plane", chosen.mode, latent_plane.SAID[chosen.mode])
            marks = latent_plane.Marks(pin.z[list(chosen.view.axes)], None if pin.clicked else image,
                                       z[:, list(chosen.view.axes)])  # fmt: skip
            latent_plane.plane(at, chosen.view, chosen.mode, marks, PLANE, latent_desk.pin_here)
    ui.derivation(lines(lesson.lesson(at, pin.place, pin.half)), decimals=2)
    link = ui.link()
    told = number(trace[-1].info.test_elbo, 4)
    ui.dock(
        "latent-space",
        "The latent space of a VAE",
        (),
        source=ui.script(trace.job, f"trace[-1].info.test_elbo  # {told} nats a test image"),
        rows=lambda: latent_desk.rows(z),
        figure=lambda: latent_desk.still(at, pin, image),
        model=lambda: vae.settings(at, trace[-1].info),
        weights=lambda: vae.file(at, round(trace[-1].info.epoch)),
        scene=lambda: own.scene_file("latent_space", at.vae.data, link),
    )  # fmt: skip


ui.page("latent_space", "Latent space", CLAIM, draw)
