"""The Start page's ways into the other pages: cards that open a scene, and the marks of the map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import streamlit as st

from lvmviz.core import best_device
from lvmviz.ui import site


class Door(NamedTuple):
    """A card that opens a page with a link."""

    title: str
    text: str
    url: str  # the page's address
    link: Mapping[str, str]


def doors(cards: Sequence[Door]) -> None:
    """Draw them, one below the other."""
    for i, card in enumerate(cards):
        with st.container(border=True, key=f"card_{i}", gap="xsmall"):
            st.markdown(f"**{card.title}**")
            st.markdown(f":gray[{card.text}]")
            if st.button("Open →", key=f"door_{i}", type="tertiary", help=card.title):
                go(card.url, card.link)


def open_picked(pick: Mapping[str, Any] | None) -> None:
    """Open the page whose mark was clicked on the map."""
    if pick is not None and pick.get("value") in {page.url for page in site.pages()}:
        go(pick["value"], {})


def way(label: str, url: str, link: Mapping[str, str]) -> None:
    """A button that opens a page with a link."""
    if st.button(label, key=f"way_{url}"):
        go(url, link)


def go(url: str, link: Mapping[str, str]) -> None:
    """Open a page with a link."""
    path = next(page.path for page in site.pages() if page.url == url)
    st.switch_page(str(path), query_params=dict(link))


def computer() -> None:
    """What the numbers are computed on."""
    found = best_device()
    more = "" if found == "cpu" else f"; {found} is here for long work"
    st.caption(f"What is exact is computed in float64 on the CPU{more}. Nothing leaves this computer.")
