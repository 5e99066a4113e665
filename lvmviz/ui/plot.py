"""Figures on a node that stays: zoom survives, hover and clicks come back, films play without the server."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from lvmviz.figures.film import Film
from lvmviz.ui.component import component


@st.cache_resource(max_entries=256, show_spinner=False)
def _payload(id: str, _make: Callable[[], Film | go.Figure]) -> dict[str, Any]:
    made = _make()
    film = made if isinstance(made, Film) else Film(made, 1)
    # through plotly's own encoder once, so that every later run sends the same plain JSON
    return json.loads(json.dumps(film.data(), cls=_Encoder))


class _Encoder(json.JSONEncoder):
    def default(self, o: Any) -> Any:
        return o.tolist() if hasattr(o, "tolist") else super().default(o)


def plot(
    name: str,
    make: Callable[[], Film | go.Figure],
    *,
    depends: tuple[object, ...],
    height: int,
    alt: str,
    channel: str | None = None,
    on_spot: Callable[[], None] | None = None,
    on_pick: Callable[[], None] | None = None,
) -> Any:
    """Draw a figure or film; `make` is called only when `depends` is new.

    With a `channel` the film follows that trace's player. Returned are `.spot` ({x, y} on the axes, where an
    empty place was clicked) and `.pick` ({trace, value} of a clicked mark's customdata), each for one run.
    """
    id = hashlib.sha256(repr((name, depends)).encode()).hexdigest()[:16]
    data = {
        "id": id,
        "name": name,
        "film": _payload(id, make),
        "height": height,
        "alt": alt,
        "channel": channel,
        "clickable": on_spot is not None,
        "pickable": on_pick is not None,
    }
    return component("plot")(
        key=f"plot_{name}",
        data=data,
        height=height,
        on_spot_change=on_spot or nothing,
        on_pick_change=on_pick or nothing,
    )


def nothing() -> None:
    """Streamlit sends a trigger only when somebody listens."""


def spot(name: str) -> dict[str, float]:
    """Where a plot was clicked, {x, y} on its axes; for `on_spot` callbacks."""
    return st.session_state[f"plot_{name}"]["spot"]
