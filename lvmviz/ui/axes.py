"""Which two columns of a table are drawn across and up."""

from __future__ import annotations

from collections.abc import Sequence

from lvmviz.core import Knob
from lvmviz.ui.controls import Controls


def axes(controls: Controls, columns: Sequence[str]) -> tuple[int, int]:
    """Two of the columns, chosen under More; of one or two there is nothing to choose."""
    if len(columns) < 3:
        return 0, len(columns) - 1
    names = tuple(columns)
    across = controls.value("across", str, names[0], Knob(label="Across", options=names, more=True))
    rest = tuple(name for name in names if name != across)
    up = controls.value("up", str, rest[0], Knob(label="Up", options=rest, more=True))
    return names.index(across), names.index(up)
