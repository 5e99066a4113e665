"""Try this: a card asks first; then it opens its scene, and on a guess gives the answer with the reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import streamlit as st

from lvmviz.ui import state
from lvmviz.ui.component import component

SCENE = "scene"  # its name in the link
_KEY = "scenes"


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
    by_name = {card.name: card for card in cards}
    told = [{"name": card.name, "title": card.title, "question": card.question} for card in cards]
    data = {"cards": told, "open": state.placed(SCENE)}
    component("cards")(key=_KEY, data=data, on_open_change=lambda: _open(by_name))


def _open(cards: Mapping[str, Scene]) -> None:
    card = cards.get(str(st.session_state[_KEY]["open"]))
    if card is not None:
        state.open_link({**card.link, SCENE: card.name})
        st.session_state.pop(f"lvmviz.guess.{card.name}", None)
