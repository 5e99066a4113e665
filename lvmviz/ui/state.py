"""The URL is the state: every control's value, under its own name, in the query string.

A page calls `begin` first and `finish` last. Between them a control takes its value from the session, or
else from the link the page was opened with, or else from its default. Opening a scene, undo, redo and reset
are all the same act: another link is opened.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import streamlit as st

VERSION = "1"
POSITION = "step"  # where one is in a trace: part of the link, but no change to undo
LAST = "last"  # the position that stays at the end of a trace which still grows
Link = dict[str, str]


@dataclasses.dataclass
class _State:
    page: str = ""
    link: Link = dataclasses.field(default_factory=dict)  # what was opened
    placed: Link = dataclasses.field(default_factory=dict)  # values that no widget holds
    controls: Link = dataclasses.field(default_factory=dict)  # what the controls said in this run
    keys: dict[str, str] = dataclasses.field(default_factory=dict)  # the controls' keys by their names
    renewed: dict[str, int] = dataclasses.field(default_factory=dict)  # how often a control got another key
    defaults: dict[str, object] = dataclasses.field(default_factory=dict)  # where the controls started
    written: Link | None = None  # the query string as we wrote it
    shown: Link | None = None  # the link of the last run
    past: list[Link] = dataclasses.field(default_factory=list)
    future: list[Link] = dataclasses.field(default_factory=list)
    problems: list[str] = dataclasses.field(default_factory=list)
    generation: int = 0
    paused: bool = False  # a hand is moving: link and history wait until it rests
    entered: bool = False  # the whole script runs, so the query string is the browser's newest


def _state() -> _State:
    return st.session_state.setdefault("lvmviz.state", _State())


def enter() -> None:
    """Say that the whole page runs, not only its fragment.

    The rerun of a fragment still carries the query string from before our last write; only a whole run tells
    of the browser's back button.
    """
    _state().entered = True


def begin(page: str) -> None:
    """Enter a page: when it, or the query string, is new, take the values from the query string."""
    state, url = _state(), dict(st.query_params)
    if state.page != page:
        state.page, state.past, state.future = page, [], []
        _open(url)
    elif state.entered and url != state.written:
        _open(url)  # the browser's back button, or a link to this very page
    state.entered = False
    state.controls = {}


def finish() -> None:
    """Write the query string, and remember a change for undo."""
    state, link = _state(), current()
    if state.paused:
        state.paused = False
        return
    if state.shown is not None and _settings(state.shown) != _settings(link):
        state.past.append(state.shown)
        state.future.clear()
    state.shown = link
    if link != state.written:
        state.written = link
        st.query_params.from_dict(link)


def pause() -> None:
    """Let this run leave the query string and the history alone; for callbacks of a hand that still moves."""
    _state().paused = True


def _open(link: Mapping[str, str]) -> None:
    state = _state()
    for name in list(state.keys):
        renew(name)
    state.link, state.placed, state.keys, state.problems = dict(link), {}, {}, []
    state.written = state.shown = None
    state.generation += 1
    if link.get("v", VERSION) != VERSION:
        problem("This link was made by another version of lvmviz; what is still understood of it is shown.")


def open_link(link: Mapping[str, str]) -> None:
    """Show what a link says; for callbacks, which run before the controls are drawn."""
    _state().past.append(current())
    _state().future.clear()
    _go(link)


def _go(link: Mapping[str, str]) -> None:
    _open(link)
    _state().written = dict(st.query_params)  # the change is ours, not the browser's


def undo() -> None:
    """Back to the settings before the last change."""
    state = _state()
    if state.past:
        state.future.append(current())
        _go(state.past.pop())


def redo() -> None:
    """Forward again."""
    state = _state()
    if state.future:
        state.past.append(current())
        _go(state.future.pop())


def reset() -> None:
    """Every control at its default."""
    open_link({})


def can_undo() -> bool:
    return bool(_state().past)


def can_redo() -> bool:
    return bool(_state().future)


def current() -> Link:
    """The link of what is on screen: only what differs from the defaults."""
    values = {**_state().controls, **_state().placed}
    values = {name: text for name, text in values.items() if text}
    return values | {"v": VERSION} if values else {}


def _settings(link: Mapping[str, str]) -> Link:
    return {name: text for name, text in link.items() if name not in (POSITION, "v")}


def page() -> str:
    """The page that is open."""
    return _state().page


def generation() -> int:
    """Rises whenever a link is opened: what the browser remembers of the position is then out of date."""
    return _state().generation


# ---- for controls that are widgets ----


def linked(name: str) -> str | None:
    """What the link says of a control that has no value yet; it is said once, then the control remembers."""
    return _state().link.pop(name, None)


def key(name: str) -> str:
    """The key of a control's widget in the session."""
    count = _state().renewed.get(name, 0)
    return f"lvmviz.{name}" + (f"~{count}" if count else "")


def holds(name: str, key: str, text: str) -> None:
    """A widget's name, its key in the session, and what the query string says of it ("" at the default)."""
    _state().keys[name] = key
    _state().controls[name] = text


def keep_hidden() -> None:
    """Let controls that this run did not draw keep their values: Streamlit forgets what it does not show."""
    state = _state()
    for name, key in state.keys.items():
        if name not in state.controls and key in st.session_state:
            st.session_state[key] = st.session_state[key]


def renew(name: str) -> None:
    """Forget a control's value; its widget is another one from now on.

    A browser keeps the value of a widget whose popover is closed, and sends it again whatever Python has set
    meanwhile: only under another key is that forgotten.
    """
    state = _state()
    st.session_state.pop(state.keys.pop(name, key(name)), None)
    state.renewed[name] = state.renewed.get(name, 0) + 1


def starts(name: str, default: object) -> None:
    """Where a control starts: one that nobody moved goes along when that is another place now."""
    state = _state()
    before = state.defaults.get(name, default)
    state.defaults[name] = default
    if before != default and st.session_state.get(key(name)) == before:
        renew(name)


def put(name: str, value: object) -> None:
    """Set a control; for callbacks."""
    renew(name)
    st.session_state[key(name)] = value


# ---- for values that no widget holds: a position, a digest, clicked centres ----


def place(name: str, text: str) -> None:
    """Set such a value; "" is its default."""
    _state().placed[name] = text


def placed(name: str) -> str:
    """Such a value, from this session or else from the link."""
    state = _state()
    return state.placed.setdefault(name, state.link.get(name, ""))


def turn() -> None:
    """Tell the player that Python has moved the position."""
    _state().generation += 1


def position() -> int:
    """The step of the trace that is on screen; larger than any while it is to be the last."""
    text = placed(POSITION) or "0"
    if text == LAST:
        return 10**9
    if text.isascii() and text.isdigit() and len(text) < 10:
        return int(text)
    problem(f"The link's {POSITION} = {text[:40]} is no step; the start is shown.")
    place(POSITION, "")
    return 0


# ---- what a link asked for in vain ----


def problem(sentence: str) -> None:
    """Note it; the page says it above the controls."""
    if sentence not in _state().problems:
        _state().problems.append(sentence)


def problems() -> list[str]:
    return _state().problems
