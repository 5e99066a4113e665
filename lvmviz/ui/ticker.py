"""Looking again at what goes on by itself: the browser asks, and only while something may still happen."""

from __future__ import annotations

from typing import Any

import streamlit as st

from lvmviz.ui.component import component
from lvmviz.ui.plot import nothing

SOONEST_S, LATEST_S = 0.5, 2.0  # between two looks, while much happens and while nothing does
SLOWER = 1.4


def poll(name: str, looks: Any, told: str = "") -> None:
    """Run this fragment again in a moment; the longer `looks` stays the same, the later.

    `told` names what there is to show now, for `fresh`.
    """
    key = f"lvmviz.poll.{name}"
    was, wait_s, turn = st.session_state.get(key, (None, SOONEST_S, 0))
    wait_s = SOONEST_S if was != looks else min(LATEST_S, SLOWER * wait_s)
    st.session_state[key] = looks, wait_s, turn + 1
    data = {"channel": name, "after_ms": round(1000 * wait_s), "turn": turn + 1, "told": told}
    component("ticker")(key=f"poll_{name}", data=data, height=0, on_tick_change=nothing)


def fresh(name: str, shown: str) -> None:
    """Run this fragment again once a `poll` of this name tells of something else than what is shown."""
    data = {"channel": name, "shown": shown}
    component("ticker")(key=f"fresh_{name}", data=data, height=0, on_tick_change=nothing)
