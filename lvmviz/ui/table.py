"""Small tables that follow a trace: the ledger, the components."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from lvmviz.ui.component import component

Cell = str | dict[str, str]


class Column(NamedTuple):
    """A column's head and side; numbers stand right."""

    label: str
    align: str = "right"


def dot(colour: str, text: str, note: str = "") -> Cell:
    """A text behind a coloured dot."""
    return {"dot": colour, "text": text, "note": note}


def ring(colour: str, text: str) -> Cell:
    """A number in a ring: a category's colour never carries text."""
    return {"ring": colour, "text": text}


def table(
    name: str,
    columns: Sequence[Column],
    *,
    alt: str,
    height: int,
    rows: Sequence[Sequence[Cell]] | None = None,
    frames: Sequence[Sequence[Sequence[Cell]]] | None = None,
    channel: str | None = None,
) -> None:
    """Draw `rows` with the current one marked, or the rows of the current frame out of `frames`."""
    data: dict[str, Any] = {
        "columns": [column._asdict() for column in columns],
        "rows": rows,
        "frames": frames,
        "channel": channel,
        "height": height,
        "alt": alt,
    }
    data["id"] = hashlib.sha256(json.dumps(data).encode()).hexdigest()[:16]
    component("table")(key=f"table_{name}", data=data)
