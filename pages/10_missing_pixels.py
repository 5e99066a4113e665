"""Missing pixels: hide some of an image, and see how well a q that knows no pairs can fill them in."""

from lvmviz import ui
from lvmviz.datasets import Digits
from lvmviz.figures import missing_pixels as figures
from lvmviz.summaries import missing_pixels as summaries
from lvmviz.summaries.missing_pixels import Open
from lvmviz.ui import own, pixels, pixels_code, pixels_desk, pixels_joint, pixels_moves
from lvmviz.ui.derivation_pixels import lines
from lvmviz.ui.pixels import Asked
from lvmviz.ui.pixels_joint import Known
from lvmviz.ui.pixels_scenes import SCENES

TITLE = "Missing pixels"
GROUP = "EM"
CLAIM = "What is hidden is latent. q gives every hidden pixel a φ of its own; the posterior has pairs."
PLAYER = "sweeps"
PICTURE = 336  # px


def draw() -> None:
    """Joint, image and q; the picture; the numbers."""
    ui.opened(SCENES)
    stage = ui.stage()
    with stage.controls:
        view, more = ui.columns()
    controls = ui.Controls(view, more)
    try:
        known = pixels_joint.chosen(controls, stage)
        if known is None:
            ui.scenes(SCENES)
            return
        asked, made = pixels.asked(controls, known.joint)
        with view:
            pixels.buttons(known.joint.alike is not None)
        _show(stage, known, asked, made)
    except (ValueError, LookupError, OSError) as fault:
        with stage.picture:
            ui.failed(str(fault))


def _show(stage: ui.Stage, known: Known, asked: Asked, made: Open) -> None:
    dark, depends = ui.dark(), (*asked.depends, ui.dark())
    phis, terms = summaries.climb(made, asked.phi, asked.climbs, asked.seed)
    shown = pixels.shown(asked, made, phis)
    with stage.picture:
        with pixels.tiles():
            ui.plot(
                "picture",
                lambda: figures.picture(shown, dark=dark, height=PICTURE),
                depends=depends,
                height=PICTURE,
                alt=f"{known.name}, {known.joint.named(asked.row)}: seen, q's φ, and the posterior mean",
                channel=PLAYER,
                brush=pixels.canvases(known.joint),
                on_brush=pixels.brushed,
                square=pixels.square(known.joint),
            )
        index = _player(asked, len(phis))
        pixels.head_of_completions(asked.seed)
        ui.plot(
            "completions",
            lambda: figures.completions(*pixels.completed(asked, made, phis), dark=dark),
            depends=depends,
            height=figures.STRIP,
            alt="Images completed by draws of the posterior, then by draws of q",
            channel=PLAYER,
        )
        pixels_moves.draw(asked, made, terms, PLAYER)
    with stage.evidence:
        ui.thermometer(lambda: terms, depends=depends, decimals=3, names=pixels_desk.NAMES,
                       channel=PLAYER, sampled=not made.exact)  # fmt: skip
        pixels_desk.numbers(asked, made, phis[index], terms[index])
        pixels_desk.components(made)
        if asked.climbs:
            entries = [ui.Entry(str(step), "q" if step else "", t.elbo, t.kl) for step, t in enumerate(terms)]
            what = f"sweeps of CAVI{pixels_desk.most(terms)}"
            ui.ledger(entries, decimals=3 if made.exact else 2, unit="", channel=PLAYER, what=what)
            pixels_desk.stopped(asked, phis)
    ui.derivation(lines(terms[index], *summaries.by_sum(made, phis[index])), decimals=3)
    link = ui.link()
    ui.dock(
        "missing-pixels",
        "Missing pixels",
        SCENES,
        source=pixels_code.source(known, asked, made, phis, index, terms[index].kl),
        rows=lambda: [term._asdict() for term in terms],
        figure=lambda: figures.picture(shown, dark=dark, height=PICTURE).at(index),
        model=lambda: pixels_desk.model(asked, phis[index], terms[index]),
        scene=lambda: own.scene_file("missing_pixels", Digits(), link),
    )


def _player(asked: Asked, count: int) -> int:
    """The sweep that is on screen; 0 where q only stands."""
    if not asked.climbs:
        return 0
    labels = ["where q stood"] + [f"sweep {step}" for step in range(1, count)]
    name, plays = str(asked.depends), pixels.autoplay()
    return ui.player(PLAYER, labels=labels, buttons=[], trace_id=name, autoplay=plays)


ui.page("missing_pixels", "Missing pixels", CLAIM, draw)
