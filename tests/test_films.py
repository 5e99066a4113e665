"""Films by address: made once, bounded, found by the browser, and what a growing run shows of itself."""

from __future__ import annotations

import json
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import Response

from lvmviz.runs import record
from lvmviz.ui import background, films


@pytest.fixture(autouse=True)
def empty(monkeypatch):
    monkeypatch.setattr(films, "_texts", films.OrderedDict())


def get(name: str) -> Response:
    return films._film(Request({"type": "http", "path_params": {"name": name}, "headers": []}))


def test_a_name_follows_from_what_it_is_about_and_from_nothing_else():
    assert films.named("picture", 1, 2.0) == films.named("picture", 1, 2.0)
    names = {films.named(*about) for about in [(), ("a",), ("a", 1), ("a", 1.0), ("a", "1"), (("a", 1),)]}
    assert len(names) == 6 and all(len(name) == 24 for name in names)


def test_a_name_cannot_be_made_outside_the_process(monkeypatch):
    here = films.named("picture")
    monkeypatch.setattr(films, "_SECRET", b"0123456789abcdef")
    assert films.named("picture") != here


def test_a_film_is_made_once_for_all_who_ask_at_the_same_moment():
    made, gate, got = [], threading.Barrier(8), []

    def make() -> str:
        made.append(1)
        time.sleep(0.05)
        return "film"

    def ask() -> None:
        gate.wait()
        got.append(films.text("one", make))

    askers = [threading.Thread(target=ask) for _ in range(8)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    assert got == ["film"] * 8 and len(made) == 1 and not films._making


def test_one_that_could_not_be_made_is_tried_again():
    with pytest.raises(ZeroDivisionError):
        films.text("one", lambda: str(1 / 0))
    assert films.text("one", lambda: "film") == "film" and not films._making


def test_others_do_not_wait_for_it():
    gate = threading.Event()
    slow = threading.Thread(target=films.text, args=("slow", lambda: str(gate.wait(10))))
    slow.start()
    assert films.text("quick", lambda: "film") == "film"
    gate.set()
    slow.join()


def test_those_asked_for_longest_ago_are_let_go(monkeypatch):
    monkeypatch.setattr(films, "ROOM", 25)
    for name in "abc":
        films.text(name, lambda: 10 * "x")
        films.text("a", lambda: 10 * "x")
    assert list(films._texts) == ["c", "a"]
    films.text("long", lambda: 99 * "x")  # the newest stays whatever its size
    assert list(films._texts) == ["long"]


def test_a_short_film_goes_with_the_page_and_a_long_one_has_an_address():
    short, long = films.INLINE * "x", (films.FIRST + 1) * "x"
    assert films.sent("one", short) == {"film": short}
    assert films.sent("one", long) == {"at": "lvmviz/film/one"}
    assert films.sent("one", long, held=True) == {"film": long}  # a hand does not wait


def test_one_of_middle_length_comes_along_once_a_session_with_its_address(monkeypatch):
    monkeypatch.setattr(films, "MET", 2)
    for _ in range(2):
        monkeypatch.setattr(films.st, "session_state", {})
        for length in (films.INLINE + 1, films.FIRST):
            name, film = str(length), length * "x"
            at = {"at": f"lvmviz/film/{name}"}
            assert [films.sent(name, film) for _ in range(3)] == [{"film": film, **at}, at, at]
    assert "film" in films.sent("another", film)
    assert "film" in films.sent(str(films.INLINE + 1), film), "only the latest are remembered"
    assert "film" not in films.sent("another", film)


def test_one_that_did_not_reach_the_browser_comes_with_the_page(monkeypatch):
    session: dict = {"plot_picture": {"lost": films.ROUTE.path.strip("/").replace("{name}", "one")}}
    monkeypatch.setattr(films.st, "session_state", session)
    long = (films.FIRST + 1) * "x"
    assert "at" in films.sent("one", long)
    films.lost("plot_picture")()
    assert films.sent("one", long) == {"film": long} and "at" in films.sent("other", long)


def test_the_browser_finds_a_film_and_may_keep_it():
    name, film = films.named("picture"), json.dumps({"μ": list(range(20_000))}, ensure_ascii=False)
    films.text(name, lambda: film)
    assert films.sent(name, film)["at"] == films.ROUTE.path.replace("{name}", name).lstrip("/")
    answer = get(name)
    assert answer.status_code == 200 and json.loads(answer.body) == json.loads(film)
    assert "private" in answer.headers["cache-control"] and "immutable" in answer.headers["cache-control"]


@pytest.mark.parametrize("name", ["nothing", "../../etc/passwd", "\0", 3000 * "a", ""])
def test_what_is_no_film_is_said_and_not_kept(name):
    answer = get(name)
    assert answer.status_code == 404 and answer.headers["cache-control"] == "no-store"


# ---- what a run that goes on shows of itself ----


@given(st.integers(1, record.KEEP), st.sampled_from([1, 2, 5]), st.just(64))
def test_a_growing_run_shows_its_start_its_end_and_no_more_than_it_may(count, every, most):
    steps = [every * i for i in range(count)]
    seen = background.in_view(steps, every, most)
    assert seen == sorted(set(seen)) and set(seen) <= set(steps)
    assert seen[0] == 0 and seen[-most // 2 :] == steps[-most // 2 :]
    assert len(seen) <= 1.6 * most and (len(seen) == count or count > most)
    before = [step for step in seen if step < steps[-most // 2 :][0]]
    later = [step for step in before if step >= most // 4 * every]
    gaps = {late - early for early, late in zip(later[1:], later[2:], strict=False)}
    assert len(gaps - {every}) <= 1  # evenly, then whole
    assert seen[: most // 4] == steps[: most // 4]


@given(st.integers(65, record.KEEP), st.integers(0, record.KEEP - 1))
def test_the_step_that_somebody_stands_at_is_there_with_its_neighbours(count, at):
    seen = background.in_view(range(count), 1, 64, at)
    assert {at - 1, at, at + 1} & set(range(count)) <= set(seen)
    assert set(seen) - {at - 1, at, at + 1} <= set(background.in_view(range(count), 1, 64))


def test_a_growing_run_keeps_e_and_m_together():
    seen = background.in_view(range(241), 1, 64)
    for m in (step for step in seen if step and step % 2 == 0):
        assert m - 1 in seen


@given(st.integers(2, record.KEEP))
def test_what_has_left_the_view_stays_out(count):
    was = set(background.in_view(range(count - 1), 1, 64))
    now = set(background.in_view(range(count), 1, 64))
    assert now - was == {count - 1}


def test_steps_that_were_thinned_out_on_the_disk_are_seen_the_same_way():
    steps = [*range(0, 4096, 16), 4091]
    seen = background.in_view(steps, 1, 64)
    assert seen[0] == 0 and seen[-32:] == steps[-32:] and len(seen) <= 96
