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


def opened(cards: Sequence[Scene]) -> None:
    """Above the stage, where both are in view: the open scene's question, its answers, and why."""
    card = next((card for card in cards if card.name == state.placed(SCENE)), None)
    if card is None:
        return
    with st.container(key="opened", gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown(f"**{card.title}** :gray[{card.question}]", width="content")
            guess = st.segmented_control(
                card.question, card.answers, key=f"lvmviz.guess.{card.name}", label_visibility="collapsed"
            )
            st.button("Close", key="close_scene", type="tertiary", on_click=state.place, args=(SCENE, ""))
        if guess is not None:
            right = card.answers[card.right]
            st.markdown(f"**{'Right.' if guess == right else f'Not quite: {right}.'}** {card.reason}")


def scenes(cards: Sequence[Scene]) -> None:
    """Draw the cards; the question of the opened one stands above the stage."""
    current = state.placed(SCENE)
    with st.container(horizontal=True, gap="small", key="scenes"):
        for card in cards:
            with st.container(border=True, key=f"card_{card.name}", gap="xsmall"):
                st.markdown(f"**{card.title}**")
                st.markdown(f":gray[{card.question}]")
                label = "Asked above ↑" if card.name == current else "Predict, then reveal →"
                st.button(label, key=f"open_{card.name}", type="tertiary", on_click=_open, args=(card,))


def _open(card: Scene) -> None:
    state.open_link({**card.link, SCENE: card.name})
    st.session_state.pop(f"lvmviz.guess.{card.name}", None)
