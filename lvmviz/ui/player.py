"""Back, play, half-steps and scrubber: the position in a trace, shared by every view of it."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from typing import NamedTuple

import streamlit as st

from lvmviz.runs.job import Trace
from lvmviz.ui import state
from lvmviz.ui.background import growing
from lvmviz.ui.component import component

HEIGHT = 40


class Button(NamedTuple):
    """A half-step by name: where it leads from every frame, or why it changes nothing there."""

    label: str
    key: str  # the keyboard key
    colour: str
    help: str
    next: Sequence[int]  # (T,) the frame it leads to
    refusal: Sequence[str]  # (T,) what is said where next is the same frame


def player(
    name: str,
    *,
    labels: Sequence[str],
    buttons: Sequence[Button],
    trace_id: str,
    autoplay: bool = False,
    steps: Sequence[int] = (),
    growing: bool = False,
) -> int:
    """Draw the player and return the frame it rests on; its step is `step` in the URL.

    A trace whose `steps` change, its id being the same, is still the same: the position stays at its step, or
    at the end. Of a `growing` one the link says "last" there.
    """
    count = len(labels)
    index = _frame(state.position(), steps, count)
    component("player")(
        key=f"player_{name}",
        data={
            "channel": name,
            "count": count,
            "labels": list(labels),
            "buttons": [button._asdict() for button in buttons],
            "index": index,
            "autoplay": autoplay,
            "steps": list(steps),
            "revision": f"{trace_id}:{state.generation()}",
        },
        height=HEIGHT,
        on_index_change=lambda: _rested(name, steps, count - 1 if growing else None),
    )
    return index


def trace_player(name: str, trace: Trace, labels: Sequence[str], buttons: Sequence[Button] = ()) -> int:
    """The player of a run, which may still grow; the frame it rests on."""
    return player(
        name,
        labels=labels,
        buttons=buttons,
        trace_id=trace.job.id,
        steps=trace.steps,
        growing=growing(trace),
    )


def _frame(step: int, steps: Sequence[int], count: int) -> int:
    """The frame that shows a step, or the last one before it; without `steps` each frame is one."""
    return max(0, bisect.bisect_right(steps, step) - 1) if steps else min(step, count - 1)


def _rested(name: str, steps: Sequence[int], end: int | None) -> None:
    index = st.session_state[f"player_{name}"]["index"]
    if index is None:
        return
    if end is not None and int(index) >= end:
        state.place(state.POSITION, state.LAST)
    else:
        step = steps[min(int(index), len(steps) - 1)] if steps else int(index)
        state.place(state.POSITION, str(step) if step else "")
