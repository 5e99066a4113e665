"""Twenty climbs of one expectation with one estimator, beside where the exact gradient goes."""

from __future__ import annotations

import dataclasses

import streamlit as st

from lvmviz.figures import gradient_curves as figures
from lvmviz.figures.film import Film
from lvmviz.runs.job import Job, Trace
from lvmviz.summaries import gradients as summaries
from lvmviz.ui import background, frame, state
from lvmviz.ui.gradient_bench import Bench, names
from lvmviz.ui.live import live
from lvmviz.ui.player import player
from lvmviz.ui.plot import plot

CLIMBS = "climbs"  # in the link: the runs have set out
PLAYER, BESIDE = "gradients", "climbs"  # the player's channel; the place of these runs on the page


def buttons() -> None:
    """Climb sets out from where q stands; Back takes the runs away."""
    with st.container(horizontal=True, gap="small", key="climb"):
        st.button("Climb", icon=":material/play_arrow:", on_click=_set_out, width="stretch",
                  help="20 runs of gradient ascent from where q stands, with one estimator")  # fmt: skip
        st.button("Back", icon=":material/undo:", on_click=_leave, width="stretch",
                  disabled=not climbing(), help="Take the runs away")  # fmt: skip


def climbing() -> bool:
    """Whether the runs have set out."""
    return state.placed(CLIMBS) == "1"


def _set_out() -> None:
    _leave()
    state.place(CLIMBS, "1")
    state.turn()


def _leave() -> None:
    state.place(CLIMBS, "")
    state.place(state.POSITION, "")


def jobs(bench: Bench, rate: float) -> tuple[Job, Job]:
    """The runs of the chosen estimator, and the one of the exact gradient."""
    seed, exact = bench.trace.job.seed, summaries.climbers(bench.of)[-1]
    twenty, alone = (summaries.ascents(bench.of, each, rate) for each in (bench.climber, exact))
    alone = dataclasses.replace(alone, runs=1)
    return Job(twenty, steps=summaries.STEPS, seed=seed), Job(alone, steps=summaries.STEPS, seed=seed)


def draw(bench: Bench, rate: float, height: int) -> Trace | None:
    """The runs; None where there are none."""
    short = names(bench.climber)[0]
    frame.head("climbs", f"{summaries.RUNS} climbs: {short}", "blue: by the exact gradient")
    if not climbing():
        background.withdraw_all_but("", BESIDE)
        frame.empty("Press Climb: runs set out from where q stands.", name="climbs", height=height)
        return None
    job, exact = jobs(bench, rate)
    runs, best = live(job, beside=BESIDE), live(exact, beside="exact")
    if runs is None or best is None or not (len(runs) and len(best)):
        return None
    plot("climbs", lambda: film(bench, runs, best), depends=(runs.key, best.key, bench.dark), height=height,
         alt=f"E[f] over the steps of {summaries.RUNS} runs with {short}", channel=PLAYER)  # fmt: skip
    return runs


def step(runs: Trace) -> int:
    """The player of the runs, and the step that is shown."""
    labels = ["where q stands"] + [f"step {step}" for step in range(1, len(runs))]
    return player(PLAYER, labels=labels, buttons=[], trace_id=f"{runs.job.id}:{len(runs)}")


def film(bench: Bench, runs: Trace, best: Trace) -> Film:
    """The runs over the steps."""
    count = min(len(runs), len(best))
    values, exact = summaries.values(runs)[:count], summaries.values(best)[:count, 0]
    return figures.climbs(values, exact, bench.colour, name=names(bench.climber)[0], dark=bench.dark)
