"""Which joint the page Missing pixels completes images with: a font, a learned mixture, or a VAE run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from lvmviz.algorithms.bernoulli_em import BernoulliEM
from lvmviz.core import Knob
from lvmviz.observations import DigitImages
from lvmviz.runs.job import Job, Trace
from lvmviz.summaries import missing_pixels as summaries
from lvmviz.summaries import pixels_by_vae, vae
from lvmviz.summaries.missing_pixels import Joint
from lvmviz.ui import frame, latent_runs
from lvmviz.ui.controls import Controls
from lvmviz.ui.frame import Stage
from lvmviz.ui.live import live

FONT, LEARNED, VAE = "Small font", "Learned mixture", "VAE run"
JOINT = Knob(
    options=(FONT, LEARNED, VAE), help="p(x), whose hidden pixels q approximates.", label="Joint p(x)"
)
SHARE = Knob(0, 95, "The mixture is learned from digits of which so many pixels are hidden.",
             "Hidden while training, %")  # fmt: skip
COMPONENTS = Knob(1, 20, "How many mean images the mixture has.", "Components K", more=True)
TRAINED = Knob(0, 9999, "Another seed starts EM elsewhere.", "Seed of EM", "box", more=True)
ROUNDS, PSEUDO = 30, 1.0  # of EM; a pseudo-count keeps every image possible


class Known(NamedTuple):
    """A joint, where it comes from, and what it is called."""

    joint: Joint
    trace: Trace | None  # none of the font
    name: str

    @property
    def is_vae(self) -> bool:
        """Whether it is a VAE's."""
        return self.joint.rough


def chosen(controls: Controls, stage: Stage) -> Known | None:
    """The joint that the controls ask for; None where the page says what is missing."""
    name = controls.value("joint", str, FONT, JOINT)
    return MAKERS[name](controls, stage)


def _font(controls: Controls, stage: Stage) -> Known | None:
    return Known(summaries.small_font(), None, FONT)


def job(share: float, components: int = 10, seed: int = 0) -> Job:
    """The run that learns the mixture."""
    em = BernoulliEM(data=DigitImages(), components=components, missing=share, pseudo_count=PSEUDO)
    return Job(em, steps=2 * ROUNDS, seed=seed)


def _learned(controls: Controls, stage: Stage) -> Known | None:
    share = controls.value("share", int, 0, SHARE)
    components = controls.value("components", int, 10, COMPONENTS)
    asked = job(share / 100, components, controls.value("em_seed", int, 0, TRAINED))
    with stage.picture:
        trace = live(asked)
    return None if trace is None or not len(trace) else Known(summaries.learned(trace), trace, LEARNED)


def _vae(controls: Controls, stage: Stage) -> Known | None:
    with controls.view:
        place = frame.place()
    walked = latent_runs.chosen(place, stage.picture)
    if walked is None:
        return None
    with stage.picture:
        latent_runs.strip(walked)
    at = vae.moment(walked.trace, len(walked.trace) - 1)
    return Known(pixels_by_vae.joint(at), walked.trace, VAE)


MAKERS: Mapping[str, Callable[[Controls, Stage], Known | None]] = {
    FONT: _font, LEARNED: _learned, VAE: _vae,
}  # fmt: skip
