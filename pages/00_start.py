"""Start: a map of the pages, and scenes that open with one click."""

from lvmviz import ui

TITLE = "Start"
GROUP = ""


def draw() -> None:
    """The map, then the scenes."""
    import streamlit as st

    st.write("start")


ui.page("start", "lvmviz", "See latent variable models: the picture is live, the numbers are exact.", draw)
