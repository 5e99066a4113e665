"""Gaps: what an encoder's q loses on log p(x), in two parts; and the VAE where nothing is lost."""

from lvmviz import ui
from lvmviz.core import Knob
from lvmviz.ui import gaps_linear, gaps_run, gaps_toy
from lvmviz.ui.gaps_scenes import SCENES

TITLE = "Gaps"
GROUP = "VAE"
SHOWS = {"AmortizedVI": {}, "TrainLinearVAE": {"view": "Linear VAE"}}
CLAIM = "What q’s family costs on a datum, and what sharing one encoder costs. Here both are exact."
VIEWS = {
    "Amortization": "one encoder against the best q of each datum",
    "Linear VAE": "closed form, EM and training end at one optimum",
}
TOY, RUN = "One latent", "A VAE’s run"
MODEL = Knob(label="Model", options=(TOY, RUN), help="A model of one number, or a VAE that you have trained.")


def draw() -> None:
    """The chosen view."""
    ui.opened(SCENES)
    stage = ui.stage()
    with stage.controls:
        view = ui.switch("view", "View", VIEWS, "Amortization")
        shown, more = ui.columns()
    controls = ui.Controls(shown, more)
    try:
        if view == "Linear VAE":
            gaps_linear.draw(stage, controls, SCENES)
            return
        model = controls.value("model", str, TOY, MODEL)
        if model == TOY:
            gaps_toy.draw(stage, controls, SCENES)
            return
        with shown:
            run = ui.place()
        gaps_run.draw(stage, run, controls, SCENES)
    except (ValueError, LookupError, OSError) as fault:
        with stage.picture:
            ui.failed(str(fault))


ui.page("gaps", "Gaps", CLAIM, draw)
