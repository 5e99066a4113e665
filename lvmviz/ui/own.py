"""A person's own data: a table from a file or pasted, a scene file, and centres clicked on the picture."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import streamlit as st

from lvmviz import own_data
from lvmviz.algorithms.ecm import ECM
from lvmviz.algorithms.em import EM
from lvmviz.algorithms.mcem import MonteCarloEM
from lvmviz.cells import MAX_BYTES, MAX_COLUMNS, MAX_ROWS, TableError
from lvmviz.core import Choice
from lvmviz.datasets import Stored
from lvmviz.own_data import MissingData, StoreError
from lvmviz.starts import ByHand
from lvmviz.summaries import em as summaries
from lvmviz.tables import Table, read_table, to_csv
from lvmviz.ui import frame, state
from lvmviz.ui.links import words
from lvmviz.ui.plot import spot as spot_on

Started = TypeVar("Started", bound=EM | ECM | MonteCarloEM)
SCENE_MARK = "lvmviz scene"
MOST_PASTED = 5_000_000  # characters; a browser takes no more with ease
_LONG = 2_000_000  # bytes that take about half a second
_FILE, _PASTE, _FAULT, _NOTES = (f"lvmviz.own.{part}" for part in ("file", "paste", "fault", "notes"))


def own_table(name: str) -> Mapping[str, Any]:
    """Load a table and choose its columns; the values of `Stored`."""
    return _own_table(name, gaps=False)


def own_table_with_gaps(name: str) -> Mapping[str, Any]:
    """The same, and cells may be empty."""
    return _own_table(name, gaps=True)


def _own_table(name: str, gaps: bool) -> Mapping[str, Any]:
    # a new table is a new popover, and that one is closed
    name_of = f"own_{state.placed(f'{name}.digest')[:12]}"
    with st.popover("Load a table", icon=":material/table:", width="stretch", key=name_of):
        st.file_uploader("CSV file or scene file", key=_FILE, on_change=_from_file, args=(name, gaps))
        st.text_area(
            "or paste rows and columns",
            key=_PASTE,
            height=110,
            max_chars=MOST_PASTED,
            placeholder="x,y\n1.0,2.0\n1.5,1.8",
        )
        st.button("Use what is pasted", on_click=_from_paste, args=(name, gaps), width="stretch")
        if fault := st.session_state.get(_FAULT):
            frame.failed(fault)
        st.caption(
            f"At most {MAX_ROWS:,} rows, {MAX_COLUMNS} columns and {MAX_BYTES // 10**6} MB. "
            "A column headed “weight” says how often each row counts. "
            f"{'Empty cells are missing values. ' if gaps else ''}"
            "It stays on the computer that runs lvmviz."
        )
    digest = state.placed(f"{name}.digest")
    read, notes = st.session_state.get(_NOTES, ("", ()))
    for note in notes if read == digest else ():
        st.caption(frame.plain(note))
    return {"digest": digest, "features": _columns(name, digest)}


def _columns(name: str, digest: str) -> tuple[str, ...]:
    try:
        table = own_data.get(digest)
    except (MissingData, StoreError, ValueError):
        return ()  # said in the picture's place, where the data are asked for
    full = f"{name}.features"
    key = f"{state.key(full)}.{digest[:12]}"
    if key not in st.session_state:
        st.session_state[key] = _known(state.linked(full) or "", table.columns)
    features = st.multiselect(
        "Columns",
        table.columns,
        default=st.session_state[key],
        key=key,
        help="Which columns EM sees; all when none is named.",
    )
    whole = features in ([], list(table.columns))
    state.holds(full, key, "" if whole else json.dumps(features))
    return () if whole else tuple(features)


def _known(text: str, columns: tuple[str, ...]) -> list[str]:
    try:
        return [word for word in words(text) if word in columns] if text else list(columns)
    except ValueError:
        return list(columns)


def _from_file(name: str, gaps: bool) -> None:
    file = st.session_state[_FILE]
    if file is not None:
        _take(name, file.getvalue(), gaps)


def _from_paste(name: str, gaps: bool) -> None:
    _take(name, st.session_state[_PASTE], gaps)


def _take(name: str, source: bytes | str, gaps: bool) -> None:
    """Read, store and show it; on a fault say so and keep what was there."""
    st.session_state[_FAULT] = None
    try:
        scene = _scene(source)
        if scene is not None:
            _open_scene(scene)
            return
        table = _read(source, gaps)
        digest = own_data.put(table)
    except (TableError, StoreError) as fault:
        st.session_state[_FAULT] = str(fault)
        return
    st.session_state[_NOTES] = digest, table.notes
    state.place(f"{name}.digest", digest)
    state.place(state.POSITION, "")


def _read(source: bytes | str, gaps: bool) -> Table:
    """The table, with a bar where reading it takes a while."""
    if len(source) < _LONG:
        return read_table(source, gaps=gaps)
    place = st.empty()
    bar = place.progress(0.0, "Reading the table")

    def show(share: float) -> None:
        bar.progress(min(1.0, share), "Reading the table")

    try:
        return read_table(source, show, gaps)
    finally:
        place.empty()


# ---- scene files: the link and the table in one file ----


def scene_file(name: str, data: Choice, link: Mapping[str, str]) -> dict[str, Any]:
    """What another computer needs to show this: the link and, for own data, the table."""
    table = to_csv(own_data.get(data.digest)) if isinstance(data, Stored) and data.digest else None
    return {
        "file": SCENE_MARK,
        "version": state.VERSION,
        "page": name,
        "link": dict(link),
        "table": table,
    }


def _scene(source: bytes | str) -> Mapping[str, Any] | None:
    head = source[:200] if isinstance(source, str) else source[:200].decode("utf-8", "replace")
    if SCENE_MARK not in head:
        return None
    try:
        made = json.loads(source)
    except (ValueError, RecursionError):
        raise TableError("This scene file is damaged: it is no JSON. Download it again.") from None
    link, table = (made.get("link"), made.get("table")) if isinstance(made, dict) else (None, None)
    words = isinstance(link, dict) and all(
        isinstance(w, str) and w.isprintable() for kv in link.items() for w in kv
    )
    if not words or not (table is None or isinstance(table, str)):
        raise TableError("This scene file is damaged: its link or its table is missing. Download it again.")
    return made


def _open_scene(scene: Mapping[str, Any]) -> None:
    link = dict(scene["link"])
    if scene.get("table") is not None:
        name = next((name for name in link if name.endswith(".digest")), "data.digest")
        link[name] = own_data.put(read_table(scene["table"], gaps=True))
    state.open_link(link)


# ---- centres clicked on the picture ----


def by_hand(name: str) -> Mapping[str, Any]:
    """The clicked centres, and a button to take them back."""
    centres = clicked(name)
    with st.container(key="placed", horizontal=True, wrap=False, vertical_alignment="center", gap="small"):
        st.markdown(f":gray[{len(centres)} placed by click]", width="content")
        st.button(
            "Clear",
            key="clear_centres",
            type="tertiary",
            disabled=not centres,
            help="Take the clicked centres back",
            on_click=state.place,
            args=(f"{name}.centres", ""),
        )
    return {"centres": centres}


def clicked(name: str) -> tuple[tuple[float, ...], ...]:
    """The centres that the link carries."""
    text = state.placed(f"{name}.centres")
    try:
        made = json.loads(text) if text else []
        centres = tuple(tuple(float(value) for value in centre) for centre in made)
        if len(centres) > 20 or not all(math.isfinite(value) for centre in centres for value in centre):
            raise ValueError
    except (ValueError, TypeError, OverflowError, RecursionError):
        state.problem(f"The link's {name}.centres = {text[:40]} are no points; none is used.")
        state.place(f"{name}.centres", "")
        return ()
    return centres


def place_spot(name: str, plot: str, em: EM, axes: tuple[int, int]) -> Callable[[], None]:
    """What a click on a plot does: place a centre; beyond one for each component the oldest goes."""

    def clicked_on() -> None:
        spot = spot_on(plot)
        points = em.data.table().points
        seen = (spot["x"], spot["y"]) if points.shape[1] > 1 else (spot["x"],)
        centre = summaries.completed(points, axes[: len(seen)], seen)
        kept = [list(old) for old in clicked(name) if len(old) == len(centre)]
        kept = [*kept, [float(f"{value:.6g}") for value in centre]][-em.components :]
        state.place(f"{name}.centres", json.dumps(kept))
        state.place(state.POSITION, "")

    return clicked_on


def forget_misfits(name: str, em: Started) -> Started:
    """Drop clicked centres that belong to data of another width."""
    width = em.data.table().points.shape[1]
    if isinstance(em.start, ByHand) and any(len(centre) != width for centre in em.start.centres):
        state.place(f"{name}.centres", "")
        return dataclasses.replace(em, start=ByHand())
    return em
