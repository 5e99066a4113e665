"""Fit q in two dimensions: turn and stretch q onto the posterior, or let a flow bend it there."""

import functools
from typing import Any

from lvmviz import Job, ui
from lvmviz.core import Knob
from lvmviz.families import Family, FullRank
from lvmviz.gradients import Estimator, Exact
from lvmviz.objectives import Objective, ReverseKL
from lvmviz.optimizers import LBFGS, Optimizer
from lvmviz.plane_formulas import Formula2D
from lvmviz.plane_targets import Banana
from lvmviz.runs.job import Trace
from lvmviz.summaries import fit as fits
from lvmviz.summaries import plane_numbers as exact
from lvmviz.summaries.image_posterior import ImagePosterior
from lvmviz.targets import Target
from lvmviz.ui import answers, fit, fit_films, own, plane, plane_films, plane_images, plane_numbers
from lvmviz.ui.derivation_plane import lines
from lvmviz.ui.fit_end import arrived, flown
from lvmviz.ui.fit_formula import own_formula
from lvmviz.ui.fit_path import path_player, source, told
from lvmviz.ui.fit_refused import path
from lvmviz.ui.live import in_the_page
from lvmviz.ui.plane_answer import Look, answer
from lvmviz.ui.plane_beside import Beside, beside
from lvmviz.ui.plane_link import job_of
from lvmviz.ui.plane_places import range_of
from lvmviz.ui.plane_scenes import SCENES

TITLE = "Two dimensions"
GROUP = "Fit q"
CLAIM = "Turn and stretch q onto the posterior. Where no ellipse fits, a flow may bend."
PLAYER = "fit"
PICTURE, ROW = 470, 150  # heights, px
NAMES = {"log_evidence": "log p(x)", "kl": "KL(q‖p)", "elbo": "ELBO"}
POSTERIOR = Knob(label="Posterior", help="What q has to cover.")
FAMILY = Knob(label="Family of q", help="What q may be.")
OBJECTIVE = Knob(label="Objective", help="What Fit climbs.", more=True)
OPTIMIZER = Knob(label="Optimizer", help="How q moves.")
GRADIENT = Knob(label="Gradient", help="Exact by quadrature, or estimated from draws.")
STARTS = Knob(1, 64, "How many q's climb at once.", "Starts", "box")
STEPS = Knob(1, 400, "The fit stops earlier when it has converged.", "At most this many steps", "box")
SEED = Knob(0, 9999, "For the draws of q, and for gradients estimated from draws.", "Seed", "box")
CONTOURS, WARPED = "Contours", "Warped grid"
VIEWS = {CONTOURS: "p filled, q outlined", WARPED: "what q’s map makes of the noise, layer by layer"}


def draw() -> None:
    """Controls, q, pictures, numbers."""
    ui.opened(SCENES)
    stage = ui.stage()
    with stage.controls:
        view, more = ui.columns()
    controls = ui.Controls(view, more, {Formula2D: functools.partial(own_formula, kind=Formula2D)})
    try:
        target = controls.choose(Target, "target", Banana(), POSTERIOR, aside=True)
        target = plane_images.image_posterior(controls, target)
        with view:
            plane_images.said(target)
        family = controls.choose(Family, "family", FullRank(), FAMILY)
        with view:
            q = plane.boxes(target, family)
            fit.fit_buttons()
        second = beside(controls, target, family)
        job = _job(ui.Controls(more, more), target, q)
        with stage.picture:
            trace = _trace(job)
        _show(stage, job, q, trace, second)
    except (ValueError, LookupError, OSError) as fault:
        with stage.picture:
            ui.failed(str(fault))


def _trace(job: Job) -> Trace | None:
    """The optimizer's path; that of an image's posterior is made here: no other process has its weights."""
    return path(job, in_the_page if isinstance(fits.vi(job).target, ImagePosterior) else ui.live)


def _job(controls: ui.Controls, target: Target, q: plane.Q) -> Job:
    """What Fit would do from where q stands."""
    objective = controls.choose(Objective, "objective", ReverseKL(), OBJECTIVE)
    optimizer = controls.choose(Optimizer, "optimizer", LBFGS(), OPTIMIZER)
    gradient = controls.choose(Estimator, "gradient", Exact(), GRADIENT)
    starts = controls.value("starts", int, 8, STARTS)
    steps, seed = controls.value("steps", int, 100, STEPS), controls.value("seed", int, 0, SEED)
    told = {"objective": objective, "optimizer": optimizer, "gradient": gradient, "starts": starts}
    return job_of(target, q, steps, seed, **told)


def _show(stage: ui.Stage, job: Job, q: plane.Q, trace: Trace | None, second: Beside | None) -> None:
    target, family, dark = fits.vi(job).target, q.family, ui.dark()
    phis = q.phi[None] if trace is None else fits.phis(trace)
    depends = (target, q, dark) if trace is None else (trace.job.id, len(trace), dark)
    made = (
        plane_films.picture(target, q, phis, second, None, dark)
        if trace is None
        else plane_films.path(trace, q, second, dark)
    )
    terms = [exact.terms(target, family, q.phi)] if trace is None else fits.decompositions(trace)
    with stage.picture:
        index = _pictures(target, q, trace, made, phis, (*depends, second))
        now, phi = terms[index], phis[index]
        told, drawn = exact.numbers(target, family, phi), exact.draws(target, family, phi, job.seed)
        _lower_row(trace, plane_films.khat(drawn, now.kl, told.forward, dark), (*depends, index, job.seed))
    with stage.evidence:
        chosen = ui.thermometer(lambda: terms, depends=depends, decimals=3, names=NAMES,
                                second=second and second.best.terms, channel=PLAYER)  # fmt: skip
        plane_numbers.numbers(target, now, told, second)
        plane_numbers.estimates(now, drawn)
        if trace is not None:
            entries = [ui.Entry(str(step), "q" if step else "", t.elbo, t.kl) for step, t in enumerate(terms)]
            ui.ledger(entries, decimals=3, unit="", channel=PLAYER, what="the path on the left")
    if trace is None:
        look = Look(target, q, range_of(target), second, chosen, NAMES, job.seed, dark, ui.scale())
        answers.offer(lambda places: answer(look, places))
    ui.derivation(lines(family, now, exact.change(family, phi)), decimals=3)
    shared = ui.link()
    ui.dock(
        "fit-q-2d",
        "Fit q in two dimensions",
        SCENES,
        source=_source(target, q, trace, index, phi.tolist(), now.kl),
        rows=lambda: [term._asdict() for term in terms] if trace is None else trace.rows(),
        figure=lambda: made.film.at(index),
        model=lambda: {"family": repr(family), "phi": phi.tolist(), **now._asdict()},
        scene=lambda: own.scene_file("fit_q_2d", target, shared),
    )


def _pictures(
    target: Target,
    q: plane.Q,
    trace: Trace | None,
    made: plane_films.Picture,
    phis: Any,
    depends: tuple[object, ...],
) -> int:
    """The plane, or the noise's grid in it, and the player; the frame that q stands on."""
    held = plane.hand(q, made, answers.address() if trace is None else "")
    name = q.family.name() if held else f"{q.family.name()}; to move it press Back"
    with ui.head("plane", "Posterior and q", name):
        view = ui.switch("view", "Picture", VIEWS, CONTOURS)
    place = ui.place()
    index = path_player(PLAYER, trace)
    with place:
        if view == WARPED:
            upto = plane.layers(q.family)
            height = PICTURE - 62 * (exact.layer_count(q.family) > 1)
            ui.plot("warp", lambda: plane_films.warp(target, q.family, phis[index], upto, ui.dark(), height),
                    depends=(*depends, index, upto), height=height,
                    alt=f"The noise's grid after {upto} layers of {q.family.name()}")  # fmt: skip
        else:
            ui.plot(
                "picture",
                lambda: made.film,
                depends=depends,
                height=PICTURE,
                alt=f"{target.name()}: the posterior's regions, and q from the family {q.family.name()}",
                channel=PLAYER,
                hand=held,
                on_hand=plane.dragged(q),
            )
    if trace is not None:
        flown(trace)
    return index


def _lower_row(trace: Trace | None, khat: Any, depends: tuple[object, ...]) -> None:
    """What q's own draws say of it, and the ELBO over the iterations."""
    left, right = ui.halves()
    with left:
        ui.head(
            "khat",
            "k-hat over the draws of q",
            f"seeds {depends[-1]} to {int(str(depends[-1])) + exact.SEEDS}",
        )
        ui.plot("khat", lambda: khat, depends=depends, height=ROW, alt="k-hat over the number of draws")
    with right:
        ui.head("iterations", "ELBO over iterations", "" if trace is None else arrived(trace))
        if trace is None:
            ui.empty("Press Fit: an optimizer goes on from where q stands.", name="iterations", height=ROW)
        else:
            ui.plot("iterations", lambda: fit_films.trace(trace, ui.dark()),
                    depends=(trace.job.id, len(trace), ui.dark()), height=ROW,
                    alt="ELBO over the iterations under log p(x)", channel=PLAYER)  # fmt: skip


def _source(target: Target, q: plane.Q, trace: Trace | None, index: int, phi: list[float], kl: float) -> str:
    """The lines that give the KL on screen."""
    if isinstance(target, ImagePosterior):
        return plane_images.source(target, q.family, phi, told(kl))
    return source(target, q.family, phi, trace, index, kl)


ui.page("fit_q_2d", "Fit q in two dimensions", CLAIM, draw)
