"""What is kept so that it is made once."""

import numpy as np

from lvmviz import EM, Blobs, Job, run
from lvmviz.figures import mixture_points
from lvmviz.kept import kept
from lvmviz.runs.job import Trace
from lvmviz.summaries import em as summaries
from lvmviz.ui import em_films


def test_a_result_is_made_once_for_each_key():
    made = []

    @kept(1000, len, key=lambda name, _: name)
    def ask(name: str, table: np.ndarray) -> str:
        made.append(name)
        return name * len(table)

    assert [ask("a", np.ones(2)), ask("a", np.ones(3)), ask("b", np.ones(1))] == ["aa", "aa", "b"]
    assert made == ["a", "b"]


def test_what_was_asked_for_longest_ago_goes_first():
    made = []

    @kept(20, len)
    def ask(name: str) -> str:
        made.append(name)
        return name * 8

    for name in "ababcab":
        ask(name)
    assert made == ["a", "b", "c", "a", "b"]


def test_a_trace_that_grows_paints_only_what_is_new(monkeypatch):
    job = Job(
        EM(data=Blobs(points=30_000, clusters=3, seed=5), components=3, tolerance=0.0), steps=12, seed=4
    )
    whole = run(job)
    painted = []
    monkeypatch.setattr(
        mixture_points, "png", lambda pixels, png=mixture_points.png: painted.append(1) or png(pixels)
    )
    em_films.picture(Trace(job, whole[:5]), (0, 1), dark=False)
    assert len(painted) == 3  # the start, and after each E
    grown = em_films.picture(Trace(job, whole[:]), (0, 1), dark=False)
    assert len(painted) == 7
    assert grown.data() == em_films.picture(whole, (0, 1), dark=False).data() and len(painted) == 7
    em_films.picture(whole, (0, 1), dark=True)
    assert len(painted) == 14


def test_a_trace_that_grows_keeps_the_bounds_it_has():
    job = Job(EM(data=Blobs(points=400, clusters=3), components=3, tolerance=0.0), steps=30, seed=2)
    whole = run(job)
    parts = [summaries.bound_curve(Trace(job, whole[:stop]), 0, 1) for stop in (3, 9, 31)]
    for part in parts:
        shown = len(part.at)
        at = np.array(
            [np.interp(*pair) for pair in zip(part.at, [part.grid] * shown, part.bound, strict=True)]
        )
        assert np.all(at <= part.curve_at + 1e-9) and np.all(part.grid[[0, -1]] != part.at[:, None])
        margin = 0.5 * float(np.std(summaries.table_points(whole)[:, 1]))
        assert part.grid[0] <= part.at.min() - margin and part.grid[-1] >= part.at.max() + margin
        np.testing.assert_allclose(
            part.curve_at, [term.log_evidence for term in summaries.decompositions(whole)[:shown]], rtol=1e-12
        )
