"""What Fit does from where a q in the plane stands, and the link with which the page shows that run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lvmviz.algorithms.vi import VI
from lvmviz.families import FullRank, MeanField, Stack
from lvmviz.runs.job import Job
from lvmviz.summaries import plane as summaries
from lvmviz.summaries.image_posterior import ImagePosterior
from lvmviz.summaries.plane import Place
from lvmviz.targets import Target
from lvmviz.ui.fit import FITTED
from lvmviz.ui.fit_link import SEEDS, STARTS, STEPS
from lvmviz.ui.links import link_of
from lvmviz.ui.plane import STANDS, Q
from lvmviz.ui.plane_places import range_of, text_of

URL = "fit_q_2d"
OWN = ("mean", "sd", "phi", "within")  # of VI, which follow from where q stands


def job_of(target: Target, q: Q, steps: int, seed: int, **settings: Any) -> Job:
    """The job of a q that climbs from its place, the other starts within what the picture shows."""
    place = q.places[0]
    vi = VI(
        target=target,
        family=q.family,
        mean=place.x,
        sd=(place.first * place.second) ** 0.5,
        phi=tuple(q.phi.tolist()),
        within=tuple(summaries.extent(target)),
        **settings,
    )
    return Job(vi, steps=steps, seed=seed)


def plane_link(job: Job) -> dict[str, str] | None:
    """The query string; None where no controls of the page ask for this very job."""
    vi = job.algorithm
    if not isinstance(vi, VI) or vi.target.dim != 2 or isinstance(vi.target, ImagePosterior):
        return None
    asks = ((job.steps, STEPS), (vi.starts, STARTS), (job.seed, SEEDS))
    if not all(low <= number <= high for number, (low, high) in asks):
        return None
    settings = {name: getattr(vi, name) for name in ("objective", "optimizer", "gradient", "starts")}
    for q in _places(vi):
        if job_of(vi.target, q, job.steps, job.seed, **settings) == job:
            told = {name: text for name, text in link_of(vi).items() if name not in OWN}
            own = {"optimizer": type(vi.optimizer).__name__, STANDS: text_of(q.places)}
            return told | own | {"steps": str(job.steps), "seed": str(job.seed), FITTED: "1"}
    return None


def _places(vi: VI) -> Iterator[Q]:
    """Where the boxes may have stood: of an ellipse either axis may be the first, either way round."""
    family = vi.family
    if not isinstance(family, (FullRank, MeanField, Stack)) or len(vi.phi) != len(family.names):
        return
    ends = range_of(vi.target)
    x, y, first, second, angle = summaries.standing(family, vi.phi)[0].tolist()
    yield Q(family, (ends.held(Place(x, y, first, second, angle)),))
    if isinstance(family, FullRank):
        for turn, axes in ((180.0, (first, second)), (90.0, (second, first)), (-90.0, (second, first))):
            yield Q(family, (ends.held(Place(x, y, axes[0], axes[1], angle + turn)),))
