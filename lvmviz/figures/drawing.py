"""A plotly figure as plain values, put together without plotly's checks.

Checking every property costs ten times as much as everything else in a figure that is made twelve times a
second under a hand. What leaves for a file, and what a test looks at, is checked.
"""

from __future__ import annotations

import copy
from typing import Any

import plotly.graph_objects as go

Trace = dict[str, Any]


def scatter(**fields: Any) -> Trace:
    """A line, marks or words over x and y."""
    return {"type": "scatter", **fields}


class Drawing:
    """Traces and a layout, made like a plotly figure is."""

    def __init__(self, **layout: Any) -> None:
        self._traces: list[Trace] = []
        self._layout: dict[str, Any] = copy.deepcopy(layout)

    def add_trace(self, trace: Any) -> None:
        """On top of the others."""
        self._traces.append(trace if isinstance(trace, dict) else trace.to_plotly_json())

    def add_annotation(self, **note: Any) -> int:
        """Words; returned is their index."""
        notes = self._layout.setdefault("annotations", [])
        notes.append(note)
        return len(notes) - 1

    def add_shape(self, **shape: Any) -> None:
        """A shape under or over the traces."""
        self._layout.setdefault("shapes", []).append(shape)

    def update_layout(self, **layout: Any) -> None:
        """Set parts of the layout; what they do not name stays."""
        _merge(self._layout, layout)

    def last(self) -> int:
        """The index of the trace on top."""
        return len(self._traces) - 1

    def to_plotly_json(self) -> dict[str, Any]:
        """The figure as plain values."""
        return {"data": self._traces, "layout": self._layout}

    def checked(self) -> go.Figure:
        """The figure as plotly's own, every property checked; raises ValueError for a wrong one."""
        return go.Figure(copy.deepcopy(self.to_plotly_json()))

    @property
    def data(self) -> tuple[Any, ...]:
        """The traces, checked."""
        return tuple(self.checked().data)

    @property
    def layout(self) -> Any:
        """The layout, checked."""
        return self.checked().layout


def _merge(old: dict[str, Any], new: dict[str, Any]) -> None:
    for key, value in new.items():
        if isinstance(value, dict) and isinstance(old.get(key), dict):
            _merge(old[key], value)
        else:
            old[key] = value
