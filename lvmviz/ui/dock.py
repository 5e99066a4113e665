"""Below the stage: scenes to try on the left, the code and the exports on the right."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from lvmviz.ui.code import code, notebook_button
from lvmviz.ui.exports import Rows, exports
from lvmviz.ui.scenes import Scene, scenes


def dock(
    name: str,
    title: str,
    cards: Sequence[Scene],
    *,
    source: str,
    rows: Callable[[], Rows],
    figure: Callable[[], go.Figure],
    model: Callable[[], Mapping[str, Any]],
    scene: Callable[[], Mapping[str, Any]],
    weights: Callable[[], bytes] | None = None,
) -> None:
    """Try this (3/5); code, notebook and exports (2/5)."""
    left, right = st.columns([3, 2], gap="medium")
    with left:
        scenes(cards)
    with right, st.container(key="code", gap="xsmall"):
        code(source)
        with st.container(horizontal=True, gap="small"):
            notebook_button(name, title, source)
            exports(name, rows=rows, figure=figure, picture="picture", model=model, scene=scene,
                    weights=weights)  # fmt: skip
