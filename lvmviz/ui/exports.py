"""Numbers as CSV and Parquet, pictures as PNG and HTML, the model and the scene as JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from lvmviz.ui.component import component

Rows = Sequence[Mapping[str, Any]]


def exports(
    name: str,
    *,
    rows: Callable[[], Rows],
    figure: Callable[[], go.Figure],
    picture: str,
    model: Callable[[], Mapping[str, Any]],
    scene: Callable[[], Mapping[str, Any]],
    weights: Callable[[], bytes] | None = None,
) -> None:
    """One menu; nothing is made before it is asked for. `picture` is the name of the plot to save as PNG."""
    with st.popover("Export", icon=":material/download:", type="tertiary"):
        st.markdown("**Numbers**, a row a step")
        _file("CSV", f"{name}.csv", "text/csv", lambda: to_csv(rows()))
        _file("Parquet", f"{name}.parquet", "application/vnd.apache.parquet", lambda: to_parquet(rows()))
        st.markdown("**Picture**")
        component("save")(key="save", data={"plot": picture, "file": name, "label": "PNG"}, height=34)
        _file("HTML", f"{name}.html", "text/html", lambda: to_html(figure()))
        st.markdown("**Model and scene**")
        if weights is not None:
            _file("Weights (safetensors)", f"{name}.safetensors", "application/octet-stream", weights)
        _file("Parameters (JSON)", f"{name}.json", "application/json", lambda: json.dumps(model(), indent=1))
        _file("Scene file", f"{name}.scene.json", "application/json", lambda: json.dumps(scene(), indent=1))


def _file(label: str, file: str, mime: str, make: Callable[[], str | bytes]) -> None:
    st.download_button(
        label, make, file_name=file, mime=mime, on_click="ignore", key=f"export_{file}", width="stretch"
    )


def to_csv(rows: Rows) -> str:
    """A header and a line a row; floats so that they read back to the bit."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(
        [{key: float.__repr__(v) if isinstance(v, float) else v for key, v in row.items()} for row in rows]
    )
    return text.getvalue()


def to_parquet(rows: Rows) -> bytes:
    """The same numbers as a Parquet file."""
    file = io.BytesIO()
    pd.DataFrame(list(rows)).to_parquet(file, index=False)
    return file.getvalue()


def to_html(figure: go.Figure) -> str:
    """A page of its own that needs no network: plotly.js is inside."""
    return figure.to_html(include_plotlyjs=True, full_html=True)
