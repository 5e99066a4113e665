"""Navigation: a page is a file pages/NN_topic.py that says its own TITLE and GROUP."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import streamlit as st

ROOT = Path(__file__).parents[2]
GROUPS = ("", "Fit q", "EM", "VAE", "Runs")  # the order of the menu; the group "" stands without a heading
HERE = Path(__file__).parent
ITERATIONS, SEEDS = (1, 500), (0, 9999)  # offered by a page that does not say so at its top


class PageFile(NamedTuple):
    """What a page says of itself at its top."""

    path: Path
    title: str
    group: str
    url: str  # "" for the first page
    shows: Mapping[
        str, Mapping[str, str]
    ] = {}  # the algorithms whose runs it shows, and what their links add
    steps: int = 1  # of that algorithm in one of the page's iterations
    iterations: tuple[int, int] = ITERATIONS  # the least and most that its control offers
    seeds: tuple[int, int] = SEEDS


def pages() -> list[PageFile]:
    """Every page, in the order of its number."""
    return [
        _read(path, first=i == 0) for i, path in enumerate(sorted((ROOT / "pages").glob("[0-9][0-9]_*.py")))
    ]


def _read(path: Path, *, first: bool) -> PageFile:
    told = _assigned(path)
    constants = {
        name: ast.literal_eval(value) for name, value in told.items() if isinstance(value, ast.Constant)
    }
    if "TITLE" not in constants or constants.get("GROUP") not in GROUPS:
        raise ValueError(f"{path.name} must say TITLE = '…' and GROUP = one of {GROUPS} at its top")
    url = "" if first else path.stem[3:]
    shows = _shows(told.get("SHOWS")), constants.get("STEPS_EACH", 1)
    bounds = _bounds(told.get("ITERATIONS"), ITERATIONS), _bounds(told.get("SEED"), SEEDS)
    return PageFile(path, constants["TITLE"], constants["GROUP"], url, *shows, *bounds)


def _assigned(path: Path) -> dict[str, ast.expr]:
    """What a page gives names to at its top."""
    return {
        target.id: node.value
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def _shows(told: ast.expr | None) -> Mapping[str, Mapping[str, str]]:
    """The algorithms of a page that says SHOWS = "EM", or {"EM": {}, "Other": {"model": "other"}}."""
    said = "" if told is None else ast.literal_eval(told)
    return said if isinstance(said, dict) else {said: {}} if said else {}


def _bounds(told: ast.expr | None, otherwise: tuple[int, int]) -> tuple[int, int]:
    """The range of a control that a page describes as Knob(low, high, …)."""
    ends = told.args[:2] if isinstance(told, ast.Call) else []
    if len(ends) < 2 or not all(isinstance(end, ast.Constant) for end in ends):
        return otherwise
    return ast.literal_eval(ends[0]), ast.literal_eval(ends[1])


def main() -> None:
    """Draw the frame that every page shares, and run the page."""
    st.set_page_config(page_title="lvmviz", page_icon=str(HERE / "logo-light.svg"), layout="wide")
    theme = "dark" if st.context.theme.type == "dark" else "light"
    st.logo(str(HERE / f"logo-{theme}.svg"), size="medium", link=None)
    st.html(HERE / "style.css")
    menu: dict[str, list[st.Page]] = {group: [] for group in GROUPS}
    for page in pages():
        first = page.url == ""
        menu[page.group].append(
            st.Page(page.path, title=page.title, url_path=page.url or None, default=first)
        )
    st.navigation({group: made for group, made in menu.items() if made}, position="top").run()


if __name__ == "__main__":
    main()
