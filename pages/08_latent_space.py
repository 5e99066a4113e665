"""Latent space: move over the plane and see it decode; pin an image and see its exact evidence."""

from lvmviz import ui
from lvmviz.runs.job import Trace
from lvmviz.summaries import latent as summaries
from lvmviz.summaries import vae
from lvmviz.summaries.latent import Image
from lvmviz.summaries.vae import Moment, lesson
from lvmviz.ui import (
    answers,
    latent_code,
    latent_desk,
    latent_pin,
    latent_plane,
    latent_runs,
    latent_strip,
    own,
)
from lvmviz.ui.derivation_vae import lines
from lvmviz.ui.latent_answer import Look, answer
from lvmviz.ui.latent_pin import Pin
from lvmviz.ui.latent_runs import Walked
from lvmviz.ui.latent_scenes import SCENES
from lvmviz.ui.latent_strip import Strip

TITLE = "Latent space"
GROUP = "VAE"
CLAIM = "Every point of the plane decodes to an image. Ink fades where no training image lives."
PLANE = 470  # height, px


def draw() -> None:
    """The run, its plane, what is pinned, its numbers."""
    ui.opened(SCENES)
    stage = ui.stage()
    with stage.controls:
        run = ui.place()
        view, more = ui.columns()
    try:
        walked = latent_runs.chosen(run, stage.picture)
        if walked is None:
            ui.scenes(SCENES)
            return
        _show(stage, ui.Controls(view, more), walked)
    except (ValueError, LookupError, OSError) as fault:
        with stage.picture:
            ui.failed(str(fault))


def _show(stage: ui.Stage, controls: ui.Controls, walked: Walked) -> None:
    trace = walked.trace
    at = vae.moment(trace, len(trace) - 1)
    with stage.picture:
        latent_runs.strip(walked)
        left, right = latent_desk.beside()
        below = latent_strip.place()
    chosen = latent_pin.choices(controls, at)
    pin, image = chosen.pin, summaries.image(at, chosen.pin.x)
    with stage.evidence:  # first: they are what a pin asks for
        presentation = latent_desk.numbers(at, pin, image)
    look = Look(at, chosen.view, presentation, ui.dark(), ui.scale())
    answers.offer(lambda places: answer(look, places))
    strip = latent_strip.STRIPS[below.mode](controls, at, chosen)
    with right:
        latent_desk.side(at, pin, image)
    with left:
        ui.head("plane", chosen.mode, latent_plane.SAID[chosen.mode])
        seen = chosen.view.seen
        paths = [(seen(path.z), path.joined) for path in strip.paths]
        spots = [(seen(z), name) for z, name in strip.spots]
        marks = latent_plane.Marks(seen(pin.z), None if pin.clicked else image, paths, spots)
        latent_plane.plane(at, chosen.view, chosen.mode, marks, PLANE, latent_pin.pin_here)
    latent_strip.draw(at, below, strip)
    ui.derivation(lines(lesson.lesson(at, pin.x)), decimals=2)
    _dock(trace, at, pin, image, strip)


def _dock(trace: Trace, at: Moment, pin: Pin, image: Image, strip: Strip) -> None:
    link = ui.link()
    ui.dock(
        "latent-space",
        "The latent space of a VAE",
        SCENES,
        source=latent_code.source(trace, at, pin, image),
        rows=lambda: latent_strip.rows(strip),
        figure=lambda: latent_desk.still(at, pin, image),
        model=lambda: vae.settings(at, trace[-1].info),
        weights=lambda: vae.file(at, round(trace[-1].info.epoch)),
        scene=lambda: own.scene_file("latent_space", at.vae.data, link),
    )


ui.page("latent_space", "Latent space", CLAIM, draw)
