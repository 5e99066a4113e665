"""What the route answers a moving hand is what the page shows when it rests."""

import json
import math
from collections import OrderedDict
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.requests import Request

from lvmviz import (
    VI,
    EqualModes,
    Gaussian,
    Job,
    MixtureOf2,
    Renyi,
    Reparameterized,
    Skewed,
    StudentQ,
    decompose,
)
from lvmviz.figures.theme import number
from lvmviz.summaries import fit as summaries
from lvmviz.summaries.fit import Place
from lvmviz.ui import answers, fit, fit_films
from lvmviz.ui.fit_answer import Look, answer

NAMES = {"log_evidence": "log p(x)", "kl": "KL(q‖p)", "elbo": "ELBO"}


ONE = (Place(2.0, 1.0),)


def look(vi: VI | None = None, places: tuple[Place, ...] = ONE, extra: Any = (), **other: Any) -> Look:
    vi = vi or VI()
    q = fit.Q(vi.family, places, extra)
    whole = Look(Job(vi), q, fit.range_of(vi.target), 0.02, None, None, "III", NAMES, False, 1.0, False)
    return whole._replace(**other)


def words(text: str) -> str:
    return json.dumps(json.loads(text), ensure_ascii=False)


@pytest.mark.parametrize(("family", "unit"), [(Gaussian(), 1.0), (StudentQ(df=4.0), None)])
@given(mean=st.floats(-4.0, 8.0), sd=st.floats(0.2, 4.0))
def test_a_moving_hand_reads_the_exact_numbers(family, unit, mean, sd):
    unit = unit or summaries.unit(family)
    shown = answer(look(VI(family=family)), ((mean, sd * unit),))
    mean, sd = fit.range_of(Skewed()).held(mean, sd)
    terms = decompose(Skewed(), family, [mean, math.log(sd * unit)])
    for value in (terms.log_evidence, terms.kl, terms.elbo):
        assert number(value, 3) in words(shown["thermometer"])
    assert f"area = KL = {number(terms.kl, 3)}" in words(shown["picture"])
    assert shown["numbers"][-2][1] == "0.020"
    assert set(shown) == {"picture", "thermometer", "numbers", "landscape"}


def test_a_hand_on_a_mixture_moves_both_parts():
    vi = VI(target=EqualModes(), family=MixtureOf2())
    places = (Place(-2.0, 1.0), Place(2.0, 1.0))
    shown = answer(look(vi, places, (0.5,)), ((-2.5, 0.8), (2.5, 0.8)))
    assert f"area = KL = {number(0.0, 3)}" in words(shown["picture"])  # q is the posterior itself
    assert shown["landscape"] == pytest.approx((0.0, math.sqrt(0.64 + 6.25)))


def test_the_answer_is_the_picture_of_the_page():
    here = look()
    film = fit_films.picture(
        Skewed(), Gaussian(), fit.Q(Gaussian(), (Place(3.0, 0.5),)).phi[None],
        [decompose(Skewed(), Gaussian(), [3.0, math.log(0.5)]).kl], None, False, False,
    ).film  # fmt: skip
    told = json.loads(answer(here, ((3.0, 0.5),))["picture"])
    assert told["figure"]["data"] == json.loads(json.dumps(film.data()["figure"]["data"]))


def test_a_hand_beyond_the_sliders_is_held_as_they_are():
    far = answer(look(), ((1e9, 1e9),))
    ends = fit.range_of(Skewed())
    assert far == answer(look(), ((ends.high, ends.most),))


def test_the_objective_and_the_estimates_follow_the_hand():
    vi = VI(objective=Renyi(), gradient=Reparameterized())
    shown = answer(look(vi), ((1.0, 1.0),))
    assert "Fit climbs" in shown["numbers"][0][0] and len(shown["estimates"]) >= 2


def test_a_guess_is_told_nothing():
    shown = answer(look(hide=True), ((1.0, 1.0),))
    assert set(shown) == {"picture", "landscape"}
    assert number(decompose(Skewed(), Gaussian(), [1.0, 0.0]).kl, 3) not in words(shown["picture"])


# ---- the route ----


def asked(token: str, at: str) -> tuple[int, dict[str, Any]]:
    query = b"at=" + at.encode("utf-8", "surrogatepass").replace(b"&", b"%26").replace(b"#", b"%23")
    scope = {"type": "http", "path_params": {"token": token}, "query_string": query, "headers": []}
    response = answers._answer(Request(scope))
    return response.status_code, json.loads(response.body)


@pytest.fixture
def offered(monkeypatch):
    kept = OrderedDict(mine=lambda places: {"picture": str(places)})
    monkeypatch.setattr(answers, "_offered", kept)
    return kept


def test_the_route_hands_over_the_places(offered):
    assert asked("mine", "1.5,2;-3,0.25,7") == (200, {"picture": "((1.5, 2.0), (-3.0, 0.25, 7.0))"})


def test_only_who_knows_the_token_is_answered(offered):
    status, told = asked("other", "1,2")
    assert status == 422 and set(told) == {"fault"}


@given(at=st.text(max_size=40))
@example("")
@example("1")
@example("1,2,3")
@example("nan,1")
@example("inf,1")
@example("1e999,1")
@example(";".join(["1,1"] * 11))
@example("1;;2")
@example("1," * 100_000)
def test_what_is_no_place_is_a_sentence(at):
    status, told = asked("nobody", at)
    assert status == 422 and isinstance(told["fault"], str)


def test_a_fault_of_the_answer_is_left_for_the_page(offered):
    def refuse(places):
        raise ValueError("this q has no density there")

    offered["mine"] = refuse
    assert asked("mine", "1,2") == (422, {"fault": "this q has no density there"})
    assert answer(look(), ((1.0, 1.0),))  # and as many places as q has are needed:
    with pytest.raises(ValueError, match="a loc and a scale"):
        answer(look(), ((1.0, 1.0, 1.0),))
    with pytest.raises(ValueError, match="1 places, not 2"):
        answer(look(), ((1.0, 1.0), (2.0, 1.0)))


def test_sessions_long_gone_are_forgotten(offered, monkeypatch):
    for i in range(answers.MOST + 5):
        monkeypatch.setattr(answers, "address", lambda i=i: f"lvmviz/answer/{i}")
        answers.offer(lambda places: {})
    assert len(offered) == answers.MOST and "mine" not in offered and str(answers.MOST + 4) in offered
