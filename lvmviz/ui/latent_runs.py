"""Which run's latent space is walked on: one of this visitor's, or the default one, begun by a button."""

from __future__ import annotations

from typing import NamedTuple

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from lvmviz.algorithms.vae import TrainVAE
from lvmviz.runs import engine, handle
from lvmviz.runs.job import LONG, Job, Trace
from lvmviz.runs.store import run_id, title
from lvmviz.summaries import vae as summaries
from lvmviz.ui import background, frame, run_words, runs, state
from lvmviz.ui.live import LONG_S, live
from lvmviz.ui.owner import owner
from lvmviz.ui.runs import Listed

RUN, DEFAULT = "run", "default"  # in the link: a run's id, or the run of FIRST, trained or not
NOT_YET = "VAE, Digits (not trained yet)"
FIRST = Job(TrainVAE(), steps=300)  # what the VAE lab trains when nothing is changed
EMPTY = 446  # px
_FAULT = "lvmviz.latent.fault"


class Walked(NamedTuple):
    """A run that is walked on."""

    one: Listed
    trace: Trace  # as far as it is


def chosen(controls: DeltaGenerator, picture: DeltaGenerator, tables: bool = False) -> Walked | None:
    """The chosen run; None where there is nothing to walk on, which is said. `tables` asks for those too."""
    found = {one.run.id: one for one in runs.mine() if _walkable(one, tables)}
    first, asked = run_id(FIRST, owner()), state.placed(RUN)
    id = first if asked == DEFAULT else asked
    missing = asked == DEFAULT and first not in found
    if found:
        id = _pick(controls, id, {DEFAULT: NOT_YET} if missing else {}, found)
    if id not in found:
        state.place(RUN, asked if asked == DEFAULT else "")
        with picture:
            return _offer()
    state.place(RUN, id)
    return Walked(found[id], _trace(found[id]))


def _pick(controls: DeltaGenerator, asked: str, more: dict[str, str], found: dict[str, Listed]) -> str:
    """The control for the run; `more` are choices that are no runs yet, and come first."""
    names = more | {id: _named(one) for id, one in found.items()}
    if asked and asked not in names and not more:
        state.problem("The link's run is not on this computer: another one is shown.")
    key = f"lvmviz.latent.run.{state.generation()}"
    if st.session_state.get(key) not in names:
        st.session_state[key] = asked if asked in names else next(iter(names))
    return controls.selectbox(
        "Run", list(names), list(names).index(st.session_state[key]), key=key, format_func=names.__getitem__,
        help="Runs of the VAE lab on images, newest first.",
    )  # fmt: skip


def _walkable(one: Listed, tables: bool) -> bool:
    """Whether it is a VAE of images, or of a table where these are asked for, that has begun."""
    algorithm = one.run.job.algorithm
    if not isinstance(algorithm, TrainVAE) or algorithm.latent < 2:
        return False
    try:
        return (tables or summaries.is_images(algorithm)) and background.recorded(one.run)
    except (ValueError, LookupError, OSError):  # its data are not here: it is no run to choose
        return False


def _named(one: Listed) -> str:
    told = runs.settings(one.run.job)
    ending = "" if one.status.state == "finished" else f" ({one.status.state})"
    return f"{title(one.run.job)}{f': {told}' if told else ''}{ending}"


def _trace(one: Listed) -> Trace:
    trace = background.trace_of(one.run, one.status.active)
    if one.status.active:
        background.drawn(one.run, background.told(one.run, one.status))
    return trace


def strip(walked: Walked) -> None:
    """How a run that still grows goes."""
    if walked.one.status.active:
        background.strip(walked.one.run)


def _offer() -> None:
    """An empty plane with the button that trains; or how the training goes."""
    waiting = [one for one in runs.mine() if one.run.job == FIRST]
    if waiting:
        live(FIRST)
        return
    box = frame.empty("No VAE of images is trained yet.", name="start", height=EMPTY)
    seconds = run_words.duration(max(1.0, LONG_S * FIRST.steps * FIRST.algorithm.effort() / LONG))
    box.button(f"Train on Digits, {seconds} at most", key="start", on_click=_start)
    if fault := st.session_state.pop(_FAULT, ""):
        frame.failed(fault)


def _start() -> None:
    if not engine.wanted():
        st.session_state[_FAULT] = "Work in the background is switched off (LVMVIZ_ENGINE=off): switch it on"
        return
    try:
        handle.submit(FIRST, owner())
    except (OSError, ValueError, RuntimeError) as fault:
        st.session_state[_FAULT] = str(fault)
