"""Three scenes of the latent space, all of the default run; a test measures every number in them again."""

from __future__ import annotations

from lvmviz.ui.latent_runs import DEFAULT, RUN
from lvmviz.ui.scenes import Scene

HERE = {RUN: DEFAULT}
NINES = "test 655: 9", "test 805: 9"
FURTHEST = "test 1148: 4"

SCENES = (
    Scene(
        name="walk",
        title="Walk through a hole",
        question="Two 9s. Does the line between them stay on 9s?",
        answers=("On 9s all the way", "On digits, not on 9s", "Into a hole"),
        right=1,
        reason="The training image nearest to a frame is no 9 for more than half of the 12: the line crosses "
        "other classes. No hole is met: the aggregated posterior keeps at least half of the prior’s density "
        "all the way. Show: Holes has the map.",
        link=HERE | {"image": NINES[0], "goal": NINES[1]},
    ),
    Scene(
        name="furthest",
        title="Furthest from its q",
        question="The test image with the largest gap. What does its posterior look like?",
        answers=("Two modes", "One mode, beside q", "Like the prior"),
        right=1,
        reason="One mode, with a mean more than 2 of q’s standard deviations from q’s own. The gap is 2.1 "
        "nats, six times the mean over the test images: one encoder serves all x, and is off for this one.",
        link=HERE | {"image": FURTHEST},
    ),
    Scene(
        name="prior",
        title="Swap the prior",
        question="Draw z from the aggregated posterior, not from N(0, I). Better digits?",
        answers=("Much better", "Hardly", "Worse"),
        right=1,
        reason="Here the two share 86 % of their mass. Of the prior’s draws 9 % land where the ink has "
        "half its strength or less, and of the aggregated posterior’s 9 % do too: the tails of the q’s lie "
        "there as well.",
        link=HERE | {"strip": "Samples", "source": "Aggregated posterior", "show": "Holes"},
    ),
)
