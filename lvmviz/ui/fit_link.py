"""The link with which the page of one-dimensional fits shows a run of VI."""

from __future__ import annotations

from lvmviz.algorithms.vi import VI
from lvmviz.families import LocationScale
from lvmviz.runs.job import Job
from lvmviz.ui.fit import FITTED, range_of
from lvmviz.ui.links import link_of

URL = "fit_q_1d"
STEPS, STARTS, SEEDS = (1, 400), (1, 64), (0, 9999)  # what the page's controls offer


def fit_link(job: Job) -> dict[str, str] | None:
    """The query string; None where no controls of the page ask for this very job."""
    vi = job.algorithm
    if not isinstance(vi, VI) or not isinstance(vi.family, LocationScale) or vi.target.dim != 1:
        return None
    ends = range_of(vi.target)
    asked = VI(target=vi.target, family=vi.family, objective=vi.objective, optimizer=vi.optimizer,
               gradient=vi.gradient, starts=vi.starts, mean=vi.mean, sd=vi.sd,
               within=(ends.low, ends.high))  # fmt: skip
    held = ends.held(vi.mean, vi.sd) == (vi.mean, vi.sd)
    asks = ((job.steps, STEPS), (vi.starts, STARTS), (job.seed, SEEDS))
    offered = all(low <= number <= high for number, (low, high) in asks)
    if not (held and offered) or job != Job(asked, steps=job.steps, seed=job.seed):
        return None
    link = {name: text for name, text in link_of(vi).items() if name != "within"}
    told = {"mean": repr(vi.mean), "sd": repr(vi.sd), "steps": str(job.steps), "seed": str(job.seed)}
    return link | told | {FITTED: "1"}
