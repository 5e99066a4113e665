"""Try this: a card asks first; then it opens its scene, and on a guess gives the answer with the reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import streamlit as st

from lvmviz.ui import state

SCENE = "scene"  # its name in the link


class Scene(NamedTuple):
    """A link with a question, its answers, the right one and why."""

    name: str  # in the link: a word
    title: str
    question: str
    answers: tuple[str, ...]
    right: int
    reason: str
    link: Mapping[str, str]


def scenes(cards: Sequence[Scene]) -> None:
    """Draw the cards; the opened one shows its question's answers."""
    opened = state.placed(SCENE)
    with st.container(horizontal=True, gap="small", key="scenes"):
        for card in cards:
            with st.container(border=True, key=f"card_{card.name}", gap="xsmall"):
                st.markdown(f"**{card.title}**")
                st.markdown(f":gray[{card.question}]")
                _opened(card) if card.name == opened else _closed(card)


def _closed(card: Scene) -> None:
    st.button(
        "Predict, then reveal →", key=f"open_{card.name}", type="tertiary", on_click=_open, args=(card,)
    )


def _open(card: Scene) -> None:
    state.open_link({**card.link, SCENE: card.name})
    st.session_state.pop(f"lvmviz.guess.{card.name}", None)


def _opened(card: Scene) -> None:
    guess = st.segmented_control(
        card.question, card.answers, key=f"lvmviz.guess.{card.name}", label_visibility="collapsed", wrap=True
    )
    if guess is not None:
        verdict = "Yes." if guess == card.answers[card.right] else f"No: {card.answers[card.right]}."
        st.markdown(f"**{verdict}** {card.reason}")
