"""The curves of runs: every point where it belongs, the same axes for all, and what is infinite left out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvmviz.figures.runs import MOST, Panel, curves


def panel(elbo: list[float], title: str = "a run") -> Panel:
    values = np.array(elbo, dtype=float)
    return Panel(title, np.arange(len(elbo), dtype=float), {"ELBO": values, "log p(X)": values + 1.0})


@pytest.mark.parametrize("dark", [False, True])
def test_one_run_has_its_two_lines_with_their_names(dark):
    drawing = curves([panel([-9.0, -5.0, -4.0])], dark=dark, height=200)
    figure = drawing.checked()
    assert [list(line.y) for line in figure.data] == [[-9.0, -5.0, -4.0], [-8.0, -4.0, -3.0]]
    assert [note.text for note in figure.layout.annotations] == ["ELBO", "log p(X)"]
    assert [note.y for note in figure.layout.annotations] == [-4.0, -3.0]
    assert figure.layout.dragmode == "zoom" and not figure.layout.xaxis.fixedrange


runs = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40)


@given(runs, runs)
def test_two_runs_share_axes_that_hold_both(one, other):
    layout = curves([panel(one), panel(other)], dark=False, height=200).checked().layout
    assert layout.xaxis.range == layout.xaxis2.range and layout.yaxis.range == layout.yaxis2.range
    assert (layout.xaxis2.matches, layout.yaxis2.matches) == ("x", "y")
    assert layout.xaxis.domain[1] < layout.xaxis2.domain[0]
    assert layout.xaxis.range[1] >= max(len(one), len(other)) - 1
    assert layout.yaxis.range[1] > max(*one, *other) + 1.0
    assert layout.yaxis.range[0] < min(one[-1], other[-1]) or min(one[-1], other[-1]) < max(*one, *other)


def test_a_steep_start_is_cut_off_and_a_slow_rise_is_not():
    low = curves([panel([-1e6, *np.linspace(-10, -9, 60)])], dark=False, height=200).layout.yaxis.range[0]
    assert low > -100
    low = curves([panel(list(np.linspace(-10, -9, 60)))], dark=False, height=200).layout.yaxis.range[0]
    assert low < -10


def test_a_long_line_is_drawn_with_few_points_and_both_ends():
    long = panel(list(np.linspace(-5.0, 1.0, 20_000)))
    first, _ = curves([long], dark=False, height=200).data
    assert len(first.x) == MOST and (first.x[0], first.x[-1]) == (0.0, 19_999.0)
    assert np.allclose(first.y, np.interp(first.x, long.steps, long.lines["ELBO"]))


def test_what_is_infinite_leaves_a_gap():
    drawing = curves([panel([-np.inf, -3.0, 1e300, -2.0])], dark=False, height=200)
    assert np.isnan(drawing.to_plotly_json()["data"][0]["y"]).tolist() == [True, False, True, False]
    assert np.isfinite(drawing.layout.yaxis.range).all()


def test_runs_without_numbers_are_empty_axes():
    none = Panel("none", np.array([]), {})
    assert curves([none, none], dark=False, height=200).data == ()
