"""Gradients: every estimator of one gradient, the trick that lets ∇ into the mean, and what was before."""

from lvmviz import ui
from lvmviz.ui import before_the_trick, gradient_lab, noise_map
from lvmviz.ui.gradient_scenes import MAP, SCENES, TRICK, VIEW

TITLE = "Gradients"
GROUP = "Fit q"
SHOWS = "GradientScatter"
CLAIM = "Every estimator aims at the same gradient: some scatter widely, some miss."
LAB = "Lab"
VIEWS = {
    LAB: "every way to estimate the gradient of E[f], many times over",
    MAP: "what becomes of noise, and when it has a density",
    TRICK: "the gradient of log E[p(x|z)] itself, beside the ELBO's",
}
ROOMS = {LAB: gradient_lab.draw, MAP: noise_map.draw, TRICK: before_the_trick.draw}


def draw() -> None:
    """One of the three views."""
    ui.opened(SCENES)
    stage = ui.stage()
    with stage.controls:
        view = ui.switch(VIEW, "View", VIEWS, LAB)
    try:
        ROOMS[view](stage, SCENES)
    except (ValueError, LookupError, OSError) as fault:
        with stage.picture:
            ui.failed(str(fault))


ui.page("gradients", "Gradients of an expectation", CLAIM, draw)
