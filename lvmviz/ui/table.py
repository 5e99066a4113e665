"""Small tables that follow a trace: the ledger, the components."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import streamlit as st

from lvmviz.ui import answers, films
from lvmviz.ui.component import component
from lvmviz.ui.plot import nothing

Cell = str | dict[str, str]
Row = Sequence[Cell] | dict[str, str]


class Column(NamedTuple):
    """A column's head and side; numbers stand right. A wide one takes the room that is left."""

    label: str
    align: str = "right"
    wide: bool = False


def dot(colour: str, text: str, note: str = "") -> Cell:
    """A text behind a coloured dot."""
    return {"dot": colour, "text": text, "note": note}


def noted(text: str, note: str) -> Cell:
    """A text with something muted behind it."""
    return {"text": text, "note": note}


def ring(colour: str, text: str) -> Cell:
    """A number in a ring: a category's colour never carries text."""
    return {"ring": colour, "text": text}


def across(text: str) -> Row:
    """A muted text in place of a row, over all columns."""
    return {"across": text}


def table(
    name: str,
    columns: Sequence[Column],
    *,
    alt: str,
    height: int,
    rows: Sequence[Row] | None = None,
    frames: Callable[[], Sequence[Sequence[Row]]] | None = None,
    depends: tuple[object, ...] = (),
    channel: str | None = None,
    picks: Sequence[str] | None = None,
    selected: str = "",
    on_pick: Callable[[], None] = nothing,
) -> None:
    """Draw `rows` with the current one marked, or the rows of the current frame out of `frames`.

    `frames` is called only when `depends` is new.
    With `picks`, a name for each row, a row can be picked: the one that is `selected` is marked.
    """
    data: dict[str, Any] = {
        "name": name,
        "columns": [column._asdict() for column in columns],
        "rows": rows,
        "channel": channel,
        "picks": picks,
        "selected": selected,
        "height": height,
        "alt": alt,
    }
    film = films.named(name, depends)
    data["id"] = films.named(film, data)
    if frames is not None:
        data |= films.sent(film, films.text(film, lambda: json.dumps(frames())))
    data["answered"] = answers.count()
    key = f"table_{name}"
    component("table")(key=key, data=data, on_pick_change=on_pick, on_lost_change=films.lost(key))


def picked(name: str) -> str:
    """The row of a table that was picked; for `on_pick` callbacks."""
    return str(st.session_state[f"table_{name}"]["pick"])
