"""The frame of a page: title, claim, undo, share, projector; and the three columns of its stage."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import urlencode, urlsplit

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from lvmviz.ui import state

CONTROLS, EVIDENCE = 196, 240  # widths in px; the picture takes the rest
PROJECTOR = 1.35  # how much larger everything is for the last row of a lecture hall


def dark() -> bool:
    """Whether the reader's theme is dark."""
    return st.context.theme.type == "dark"


def projector() -> bool:
    """Whether the page is shown large and without its controls."""
    return state.placed("projector") == "1"


def scale() -> float:
    """The factor for type and heights."""
    return PROJECTOR if projector() else 1.0


def page(name: str, title: str, claim: str, draw: Callable[[], None]) -> None:
    """Draw a page, as one fragment: a change of a control runs only this."""

    @st.fragment
    def body() -> None:
        state.begin(name)
        actions, problems = _title(title, claim)
        draw()
        state.finish()
        # last, because only now the controls have read the link, and the link says what is on screen
        with problems:
            if told := [plain(sentence) for sentence in state.problems()]:
                st.warning("  \n".join(told))
        with actions:
            _actions()

    state.enter()
    body()


def _title(title: str, claim: str) -> tuple[DeltaGenerator, DeltaGenerator]:
    st.html(f"<style>html {{ font-size: {14 * scale():.0f}px !important; }}</style>")
    with st.container(key="title", horizontal=True, wrap=False, vertical_alignment="center", gap="small"):
        st.title(title, anchor=False, width="content")
        st.markdown(f":gray[{claim}]", width="stretch")
        actions = st.container(horizontal=True, wrap=False, width="content", gap="xsmall")
    return actions, st.container()


def _actions() -> None:
    st.button("Undo", key="undo", icon=":material/undo:", type="tertiary", on_click=state.undo,
              disabled=not state.can_undo(), help="Undo the last change of a control")  # fmt: skip
    st.button("Redo", key="redo", icon=":material/redo:", type="tertiary", on_click=state.redo,
              disabled=not state.can_redo(), help="Do it again")  # fmt: skip
    st.button("Reset", key="reset", icon=":material/restart_alt:", type="tertiary", on_click=state.reset,
              disabled=not state.current(), help="Every control back to its default")  # fmt: skip
    _share()
    st.button("Projector", key="projector", icon=":material/present_to_all:", type="tertiary",
              on_click=state.place, args=("projector", "" if projector() else "1"),
              help="Large type, no controls")  # fmt: skip


def _share() -> None:
    shared = st.container(key="share", width="content")  # a player that is asked for its link pauses
    with shared.popover("Share", icon=":material/link:", type="tertiary"):
        address = urlsplit(st.context.url or "")
        query = urlencode(state.current())
        st.markdown("This link opens exactly what is on screen: every control, the seed and the step.")
        st.code(
            f"{address.scheme}://{address.netloc}{address.path}{'?' if query else ''}{query}",
            language=None,
            wrap_lines=True,
        )
        if any("digest" in name for name in state.current()):
            st.markdown(
                ":gray[Your own table is not in the link, only its digest: the link works on this computer. "
                "For another one, download the scene file under *Export*.]"
            )


class Stage(NamedTuple):
    """The three columns of a page."""

    controls: DeltaGenerator
    picture: DeltaGenerator
    evidence: DeltaGenerator


def stage() -> Stage:
    """Controls left, the picture in the middle and large, numbers right."""
    with st.container(key="stage", horizontal=True, wrap=False, gap="medium"):
        if projector():
            controls = st.container(key="controls_hidden")
        else:
            controls = st.container(key="controls", width=CONTROLS, gap="small")
        picture = st.container(key="picture", width="stretch", gap="xsmall")
        evidence = st.container(key="evidence", width=int(EVIDENCE * scale()), gap="xsmall")
    return Stage(controls, picture, evidence)


def head(name: str, bold: str, muted: str = "") -> DeltaGenerator:
    """A section's head, and the place to its right for a switch."""
    with st.container(
        key=f"head_{name}", horizontal=True, wrap=False, vertical_alignment="center", gap="small"
    ):
        st.markdown(f"**{bold}** :gray[{muted}]" if muted else f"**{bold}**", width="stretch")
        return st.container(width="content")


def failed(sentence: str, remedy: str = "") -> None:
    """An error in its place: the cause in bold, then the remedy; it may be in the same sentence."""
    cause, colon = sentence, ""
    if not remedy:
        cause, colon, remedy = sentence.partition(": ")
    if not remedy:
        cause, colon, remedy = sentence.partition(". ")
    st.error(f"**{plain(cause + colon.strip())}** {plain(remedy)}")


def note(sentence: str) -> None:
    """A warning in its place."""
    st.warning(sentence)


def remark(sentence: str) -> None:
    """A sentence on what is shown, in small grey type."""
    st.caption(sentence)


def plain(text: str) -> str:
    """Somebody's text as text: Markdown, HTML, formulas, icons and colours in it are shown, not obeyed."""
    escaped = re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", " ".join(text.split()))
    # icons and arrows are set after Markdown has taken the backslashes: a word joiner parts their signs
    return re.sub(r"([:<>=~-])", "\\1\u2060", escaped)


def empty(sentence: str, *, name: str, height: int = 318) -> DeltaGenerator:
    """A bordered box of the picture's height with one muted sentence; a button may be added to it."""
    box = st.container(
        border=True,
        height=height,
        key=f"empty_{name}",
        horizontal_alignment="center",
        vertical_alignment="center",
    )
    box.markdown(f":gray[{sentence}]", width="content")
    return box


def columns() -> tuple[DeltaGenerator, DeltaGenerator]:
    """Where the first controls go, and where the rest goes: under More."""
    view = st.container(gap="small")
    return view, st.popover("More", icon=":material/tune:", width="stretch")


def beside(width: int) -> tuple[DeltaGenerator, DeltaGenerator]:
    """A wide place on the left and a narrow one, so many px, on the right."""
    row = st.container(horizontal=True, wrap=False, gap="medium")
    return row.container(width="stretch"), row.container(width=width, gap="small")


def place() -> DeltaGenerator:
    """A place in a column to be filled later."""
    return st.container(gap="small")


def halves() -> tuple[DeltaGenerator, DeltaGenerator]:
    """Two places of equal width."""
    row = st.container(horizontal=True, wrap=False, gap="medium")
    return row.container(width="stretch", gap="xsmall"), row.container(width="stretch", gap="xsmall")
