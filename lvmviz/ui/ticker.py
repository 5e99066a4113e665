"""Looking again at what goes on by itself: the browser asks, and only while something may still happen.

The more people look, the less often each does: what they ask of the server together is bounded.
"""

from __future__ import annotations

import threading
import time
import weakref
from typing import Any

import streamlit as st

from lvmviz.ui.component import component
from lvmviz.ui.plot import nothing

SOONEST_S, LATEST_S = 0.25, 2.0  # between two looks, while much happens and while nothing does
SLOWER = 1.4
APART_S = 0.45  # between two draws of a page, at least
LOOKS, DRAWS = 24, 12  # a second, of all who look together
RECENT_S = 2.0 * LATEST_S
_ME = "lvmviz.looks"


class _Looker:
    """A session that looks; it is forgotten with it."""


_looked: weakref.WeakKeyDictionary[_Looker, float] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def crowd() -> int:
    """How many sessions look at something just now, this one among them."""
    me, now = st.session_state.setdefault(_ME, _Looker()), time.monotonic()
    with _lock:
        _looked[me] = now
        return sum(now - at <= RECENT_S for at in _looked.values())


def poll(name: str, looks: Any, told: str = "") -> None:
    """Run this fragment again in a moment; the longer `looks` stays the same, the later.

    `told` names what there is to show now, for `fresh`.
    """
    key, soonest = f"lvmviz.poll.{name}", max(SOONEST_S, crowd() / LOOKS)
    was, wait_s, turn = st.session_state.get(key, (None, soonest, 0))
    wait_s = soonest if was != looks else max(soonest, min(LATEST_S, SLOWER * wait_s))
    st.session_state[key] = looks, wait_s, turn + 1
    data = {"channel": name, "after_ms": round(1000 * wait_s), "turn": turn + 1, "told": told}
    component("ticker")(key=f"poll_{name}", data=data, height=0, on_tick_change=nothing)


def fresh(name: str, shown: str) -> None:
    """Run this fragment again once a `poll` of this name tells of something else than what is shown."""
    apart = max(APART_S, crowd() / DRAWS)
    data = {"channel": name, "shown": shown, "apart_ms": round(1000 * apart)}
    component("ticker")(key=f"fresh_{name}", data=data, height=0, on_tick_change=nothing)
