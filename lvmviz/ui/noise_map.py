"""The view z = g(e) = mean + A e: the columns of A are dragged, and the draws follow (note 002)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from lvmviz.affine_noise import PRESETS, Affine
from lvmviz.core import Knob
from lvmviz.figures import noise_map as figures
from lvmviz.figures.gradients import told
from lvmviz.figures.theme import number, tokens
from lvmviz.summaries import noise_map as summaries
from lvmviz.summaries.noise_map import Cloud
from lvmviz.ui import answers, frame, own, state
from lvmviz.ui.answers import Places
from lvmviz.ui.code import calls
from lvmviz.ui.controls import Controls
from lvmviz.ui.derivation import derivation
from lvmviz.ui.derivation_gradients import map_lines
from lvmviz.ui.dock import dock
from lvmviz.ui.plot import Hand, Handle, Outline, Shape, film_text, grasp, plot
from lvmviz.ui.scenes import Scene
from lvmviz.ui.table import Cell, Column, table

DRAWS = Knob(1, 2000, "Draws of noise in the picture.", "Draws S", "fine", more=True)
SEED = Knob(0, 9999, "Another seed, other noise.", "Seed", "box", more=True)
NAMES = ("mean1", "mean2", "a11", "a21", "a12", "a22")  # as the hand tells them
ENDS = (-3.0, 3.0)
TOLD = {"A": "keeps one noise of two", "B": "mean + σε", "C": "mean + Aε"}


def draw(stage: frame.Stage, cards: Sequence[Scene]) -> None:
    """Controls, the plane with the hand on it, numbers."""
    with stage.controls:
        _presets()
        view, more = frame.columns()
    controls = Controls(view, more)
    g: Affine = controls.adjust(Affine, base=PRESETS["C"])
    draws = controls.value("draws", int, 300, DRAWS)
    seed = controls.value("seed", int, 0, SEED)
    made, dark, factor = summaries.cloud(g, seed, draws), frame.dark(), frame.scale()
    lines = picture(g, made, dark)
    with stage.picture:
        frame.head("picture", "z = μ + Aε", "drag the centre, or a column of A")
        plot(
            "picture",
            lambda: lines.drawing,
            depends=(g, draws, seed, dark),
            height=figures.HEIGHT,
            alt=f"{draws} draws of noise and where g takes them. {g.sentence()}",
            hand=_hand(g, lines.traces, dark),
            on_hand=_dragged,
        )
    with stage.evidence:
        _numbers(g, made)
    answers.offer(lambda places: answer(places, seed, draws, dark, factor))
    first = made.e[0].tolist(), made.z[0].tolist()
    derivation(map_lines(g, *first, made.log_density), decimals=3)
    link = state.current()
    dock(
        "noise-map",
        "z = mean + A e",
        cards,
        source=source(g, made, seed),
        rows=lambda: [{"e1": e[0], "e2": e[1], "z1": z[0], "z2": z[1]}
                      for e, z in zip(made.e.tolist(), made.z.tolist(), strict=True)],
        figure=lambda: lines.drawing.checked(),
        model=lambda: {"map": repr(g), "determinant": g.determinant(), "rank": g.rank()},
        scene=lambda: own.scene_file("gradients", g, link),
    )  # fmt: skip


def picture(g: Affine, made: Cloud, dark: bool) -> figures.Lines:
    """The plane."""
    return figures.picture(
        made.e, made.z, g.matrix().numpy(), g.mean().numpy(), g.determinant(), g.rank() < 2, dark=dark
    )


def _presets() -> None:
    """Note 002's three examples."""
    frame.remark("Examples of note 002")
    with st.container(horizontal=True, gap="small", key="presets"):
        for name, g in PRESETS.items():
            st.button(name, key=f"preset_{name}", on_click=_put, args=(g,), width="stretch",
                      help=f"Example {name}: {TOLD[name]}")  # fmt: skip


def _put(g: Affine) -> None:
    for name in NAMES:
        state.put(name, getattr(g, name))


# ---- the hand ----


def _hand(g: Affine, traces: Sequence[int], dark: bool) -> Hand:
    colour = tokens(dark).q_mark
    outlines = [
        Outline(trace, *outline.tolist()) for trace, outline in zip(traces, figures.OUTLINES, strict=True)
    ]
    handles = [
        Handle(0, at, moves, told_, colour)
        for at, moves, told_ in (
            ((0.0, 0.0), "centre", "Mean of z"),
            ((1.0, 0.0), "first", "First column of A"),
            ((0.0, 1.0), "second", "Second column of A"),
        )
    ]
    shape = Shape(outlines, [list(summaries.place_of(g))])
    return Hand([shape], handles, answers.count(), ENDS, answers.address(), "columns")


def _dragged() -> None:
    """The sliders follow the hand."""
    took = grasp("picture")
    _put_widgets(summaries.map_at(took.places[0]))
    answers.heard(took.request)
    if not took.settled:
        state.pause()


def _put_widgets(g: Affine) -> None:
    for name in NAMES:
        st.session_state[state.key(name)] = getattr(g, name)


def answer(places: Places, seed: int, draws: int, dark: bool, factor: float) -> dict[str, Any]:
    """The picture and the table with A where the hand has put it."""
    g = summaries.map_at(places[0])
    made = summaries.cloud(g, seed, draws)
    return {"picture": film_text(picture(g, made, dark).drawing, factor), "moments": moment_rows(g, made)}


# ---- numbers ----


def _numbers(g: Affine, made: Cloud) -> None:
    frame.head("numbers", "Moments of z", "A Aᵀ and the draws")
    rows = moment_rows(g, made)
    columns = [Column("", "left"), Column("exact"), Column(f"S = {len(made.e)}")]
    table("moments", columns, rows=rows, height=28 + 24 * len(rows),
          alt="Mean and covariance of z: exact, and from the draws with their standard error")  # fmt: skip
    frame.remark(g.sentence())


def moment_rows(g: Affine, made: Cloud) -> list[list[Cell]]:
    """The rows of that table; then the determinant and the density of the first draw."""
    rows: list[list[Cell]] = [
        [one.name, number(one.exact, 2), f"{number(one.mean, 2)} ± {number(one.error, 2)}"]
        for one in made.moments
    ]
    density = "none" if made.log_density is None else number(made.log_density, 3)
    return [*rows, ["det A", told(g.determinant()), ""], ["log q, 1st draw", density, ""]]


def source(g: Affine, made: Cloud, seed: int) -> str:
    """The lines that give the first draw's log density."""
    told_q = "None: no density" if made.log_density is None else number(made.log_density, 3)
    last = f"noise, z = g.points({seed}, {len(made.e)})\ng.log_density(z[0])  # {told_q}"
    return calls([], {"g": g}, last)
