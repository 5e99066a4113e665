"""The page Evidence without a browser: its views, its scenes, its numbers, its links."""

import contextlib
import io
import json
import math
import re
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from lvmviz import (
    Annealed,
    BinaryLatents,
    BruteForce,
    EqualModes,
    Estimates,
    FromPrior,
    GaussianLatents,
    Job,
    NearPosterior,
    OneLatent,
    PlacedQ,
    UniformBox,
    run,
)
from lvmviz.divergences import Decomposition
from lvmviz.evidence.exact import iwae, known
from lvmviz.figures import jensen
from lvmviz.summaries import evidence as summaries
from lvmviz.ui import evidence
from lvmviz.ui.derivation import agrees
from lvmviz.ui.derivation_evidence import Told, sample_lines, sum_lines
from lvmviz.ui.evidence_log import _answer
from lvmviz.ui.evidence_sample import short
from lvmviz.ui.evidence_scenes import SCENES
from lvmviz.ui.runs import page_of
from tests.widgets import control, sound, visited, words

KINDS = ("slider", "select_slider", "selectbox", "number_input", "multiselect", "toggle")
PAGE = str(Path(__file__).parents[2] / "pages" / "01_evidence.py")
SMALL = {"draws": "20", "repeats": "10"}


def plots(app) -> dict[str, dict]:
    """What the browser is sent for each picture, by its name."""
    found = [json.loads(one.proto.json) for one in app.get("bidi_component")]
    return {one["name"]: one for one in found if "alt" in one}


def scene(name: str):
    (found,) = [one for one in SCENES if one.name == name]
    return found


# ---- the views ----


def test_every_view_draws_its_pictures():
    wanted = {
        "Sum": {"picture", "shares", "times", "thermometer", "numbers"},
        "Sample": {"picture", "over_k", "draws", "thermometer", "numbers"},
        "Log": {"picture", "spread", "over_k", "thermometer", "bounds"},
    }
    app = visited(PAGE, **SMALL)
    for view, names in wanted.items():
        sound(control(app, "view").set_value(view).run())
        assert set(plots(app)) == names and not app.error
        assert all(len(plot.get("film", "")) < 100_000 for plot in plots(app).values())


def test_a_view_that_is_left_keeps_its_controls():
    app = visited(PAGE, **SMALL)
    for view in ("Sum", "Log", "Sum", "Sample"):
        sound(control(app, "view").set_value(view).run())
    assert (control(app, "draws").value, control(app, "repeats").value) == (20, 10)


def test_two_views_of_one_trace_keep_their_own_pictures():
    """Log's picture over K follows the player, also where Sample has drawn the same trace before."""
    app = visited(PAGE, **SMALL)
    still = json.loads(plots(app)["over_k"]["film"])["count"]
    sound(control(app, "view").set_value("Log").run())
    moves = json.loads(plots(app)["over_k"]["film"])["count"]
    assert still == 1 and moves == len(summaries.over_k(run(evidence.whole(asked(), 0))).counts)


def test_the_numbers_on_screen_are_those_of_the_run():
    app = visited(PAGE)
    info = run(evidence.whole(Estimates(proposal=FromPrior()), 0))[-1].info
    exact = iwae(GaussianLatents(), FromPrior(), 1000)
    rows = {row[0]: row[1:] for row in plots(app)["numbers"]["rows"]}
    assert rows["bias of log p̂"] == [
        short(value, 3) for value in (exact + 19.3051031, info.bias, info.bias_error)
    ]
    assert rows["ELBO"][0] == short(known(GaussianLatents(), FromPrior()).elbo, 3)
    assert f"{info.log_estimate:.3f}".replace("-", "−") in plots(app)["picture"]["alt"]
    assert "k-hat 5.03" in words(app)


def in_view(block) -> int:
    """How many controls stand on the page itself, not in a popover."""
    if getattr(block, "type", "") in KINDS:
        return 1
    return (
        0
        if block.type == "popover"
        else sum(in_view(child) for child in getattr(block, "children", {}).values())
    )


@pytest.mark.parametrize(
    ("link", "count"),
    [({}, 5), ({"model": "OneLatent", "proposal": "PlacedQ"}, 6), ({"model": "BinaryLatents"}, 5),
     ({"proposal": "NearPosterior"}, 6), ({"view": "Log", "proposal": "NearPosterior"}, 5),
     ({"view": "Sum"}, 2)],
    ids=str,
)  # fmt: skip
def test_few_controls_are_in_view(link, count):
    app = visited(PAGE, **SMALL, **link)
    assert in_view(app.main) == count


def test_what_cannot_be_gets_a_sentence():
    app = visited(PAGE, **SMALL, model="BinaryLatents", proposal="PlacedQ")
    assert "choose the prior or a q near the posterior" in app.error[0].value.replace("\\", "")
    sound(control(app, "proposal").set_value("FromPrior").run())
    assert not app.error and "picture" in plots(app)
    assert "it is no whole number" in words(visited(PAGE, repeats="10", draws="1e9"))


def test_extremes_of_every_control_work():
    app = visited(PAGE, repeats="5", draws="10")
    for name, values in {
        "model.dimension": (1, 30),
        "model.noise": (0.05, 5.0),
        "draws": (1, 10_000),
    }.items():
        for value in values:
            sound(control(app, name).set_value(value).run())
            assert "picture" in plots(app) and not app.error, (name, value)
    for link in (
        {"draws": "1", "repeats": "1"},
        {"view": "Log", "draws": "1", "repeats": "1", "first": "0.05", "second": "4"},
        {"view": "Sum", "model.bits": "1", "model.leak": "0"},
        {"proposal": "NearPosterior", "proposal.width": "0.1", "draws": "10", "repeats": "3"},
        {"model": "OneLatent", "model.target": "Cauchy", "draws": "10", "repeats": "3"},
        {"model": "OneLatent", "proposal": "UniformBox", "draws": "10", "repeats": "3"},
    ):
        app = visited(PAGE, **link)
        assert "picture" in plots(app) and not app.error, link


def test_a_cauchy_has_no_place_near_it():
    app = visited(PAGE, model="OneLatent", proposal="NearPosterior", **{"model.target": "Cauchy"}, **SMALL)
    assert "place q by hand" in app.error[0].value.replace("\\", "")


def test_the_parts_of_the_elbo_are_those_of_one_draw():
    """A bound of many draws is no sum of two terms: those presentations show the ELBO, whatever K is."""
    for presentation, count in (
        ("III", len(summaries.over_k(run(evidence.whole(asked(), 0))).counts)),
        ("I", 1),
    ):
        app = visited(PAGE, view="Log", presentation=presentation, step="4", **SMALL)
        film = json.loads(plots(app)["thermometer"]["film"])
        assert film["count"] == count and "undefined" not in json.dumps(film)


def asked() -> Estimates:
    return Estimates(proposal=FromPrior(), draws=20, repeats=10)


# ---- the hand ----


def test_the_hand_is_answered_with_the_chord():
    told = json.loads(_answer(((0.5,), (9.0,)), dark=False, factor=1.0)["picture"])
    (chord,) = [trace for trace in told["figure"]["data"] if trace.get("name") == "chord"]
    assert chord["x"] == [0.5, jensen.MOST]
    with pytest.raises(ValueError, match="two weights"):
        _answer(((0.5, 1.0),), dark=False, factor=1.0)


def test_handles_stand_on_the_curve():
    hand = plots(visited(PAGE, view="Log", first="0.3", second="2.5", **SMALL))["picture"]["hand"]
    places = [shape["places"][0] for shape in hand["shapes"]]
    assert places == [[0.3, math.log(0.3)], [2.5, math.log(2.5)]] and hand["kind"] == "rail"
    assert hand["ends"][:2] == [jensen.LEAST, jensen.MOST] and len(hand["ends"]) == 2 + jensen.RAIL


def hand_moves() -> None:
    """A script: the hand moves both weights, and the page's own callback hears of it."""
    import streamlit as st

    from lvmviz.ui import state
    from lvmviz.ui.evidence_log import _dragged

    state.begin("evidence")
    hand = {"places": [[0.5], [2.5]], "request": 1, "settled": st.session_state["rests"]}
    st.session_state["plot_picture"] = {"hand": hand}
    _dragged()
    for name in ("first", "second"):
        state.holds(name, state.key(name), str(st.session_state[state.key(name)]))
    state.finish()


@pytest.mark.parametrize(("rests", "told"), [(False, {}), (True, {"first": "0.5", "second": "2.5"})])
def test_the_link_waits_until_the_hand_rests(rests, told):
    app = AppTest.from_function(hand_moves)
    app.session_state["rests"] = rests
    sound(app.run())
    assert {name: text for name, text in app.query_params.items() if name != "v"} == told


# ---- derivations ----


def test_equal_signs_are_earned():
    """Where both sides are told they agree; a wrong number would show."""
    trace = run(evidence.whole(Estimates(draws=1000, repeats=100), 0))
    base = summaries.decomposition(GaussianLatents(), NearPosterior())
    info = trace[-1].info
    told = Told(base, 1000, iwae(GaussianLatents(), NearPosterior(), 1000), info.log_pooled, 0.003,
                summaries.second_moment(trace))  # fmt: skip
    lines = sample_lines(told)
    equal = [line for line in lines if line.relation == "="]
    assert all(agrees(line) for line in equal) and len(equal) == 6
    assert not agrees(sample_lines(told._replace(log_pooled=-19.0))[2])
    assert all(line.gap and line.gap.value and line.gap.value > 0 for line in lines if line.relation == ">=")
    closed = sum_lines(Decomposition(-9.0, -9.5, 0.5, -11.0, 1.5, -8.0, 1.5), -9.0)
    assert all(agrees(line) for line in closed if line.relation == "=")
    assert agrees(sum_lines(Decomposition(-9.0, -9.5, 0.5, -11.0, 1.5, -8.0, 1.5), None)[1]) is None


# ---- links and code ----


@pytest.mark.parametrize(
    ("job", "view"),
    [
        (evidence.whole(Estimates(), 0), "Sample"),
        (evidence.whole(Estimates(model=OneLatent(), proposal=PlacedQ(mean=1.0), draws=50), 3), "Sample"),
        (evidence.whole(Estimates(proposal=UniformBox(reach=2.0), draws=10, repeats=3), 1), "Sample"),
        (evidence.whole(BruteForce(model=BinaryLatents(bits=5, leak=0.0)), 0), "Sum"),
    ],
    ids=repr,
)  # fmt: skip
def test_the_page_shows_the_very_job_that_a_list_names(job, view, monkeypatch):
    url, link = page_of(job)
    asked = []
    shown = evidence.whole
    for name in ("evidence", "evidence_sum"):
        module = __import__(f"lvmviz.ui.{name}", fromlist=["whole"])
        monkeypatch.setattr(module, "whole", lambda *ask: (asked.append(shown(*ask)), shown(*ask))[1])
    app = visited(PAGE, **link)
    assert url == "evidence" and asked == [job] and control(app, "view").value == view


def test_a_run_that_the_page_cannot_ask_for_has_no_link():
    assert page_of(Job(Estimates(), steps=2)) is None
    assert page_of(evidence.whole(Estimates(draws=20_000), 0)) is None
    assert page_of(evidence.whole(Estimates(), 10_000)) is None
    assert page_of(evidence.whole(Estimates(repeats=2000), 0)) is None
    assert page_of(evidence.whole(BruteForce(), 1)) is None


@pytest.mark.parametrize("view", ["Sum", "Sample", "Log"])
def test_the_code_runs_and_gives_the_number(view):
    app = visited(PAGE, view=view, proposal="NearPosterior", step="3", **SMALL, **{"model.bits": "4"})
    (source,) = [one.value for one in app.code if "import" in one.value]
    last = source.splitlines()[-1]
    told = re.search(r"(−?\d+\.\d+)", last.split("#")[1])
    out = io.StringIO()
    lines = source.replace(last, f"print(float({last.split('#')[0]}))")
    with contextlib.redirect_stdout(out):
        exec(compile(lines, "code", "exec"), {})
    assert float(out.getvalue()) == pytest.approx(float(told[1].replace("−", "-")), abs=6e-5)


# ---- scenes ----


def test_scenes_open_and_say_what_they_ask():
    assert len(SCENES) >= 5 and len({one.name for one in SCENES}) == len(SCENES)
    for one in SCENES:
        assert len(one.question) <= 95 and 0 <= one.right < len(one.answers)
    for name in ("missed-mode", "jensen", "every-bit"):
        app = visited(PAGE, **scene(name).link, scene=name)
        assert scene(name).question in words(app) and not app.error and not app.warning


def bias(model, proposal, draws):
    return iwae(model, proposal, draws) - model.log_evidence()


def test_the_scene_of_the_better_elbo_says_what_is_so():
    model, reason = GaussianLatents(), scene("better-elbo").reason
    for width in (0.5, 2.0):
        q = NearPosterior(width=width)
        about = known(model, q)
        assert f"{about.log_evidence - about.elbo:.2f}" in reason and f"{-bias(model, q, 1000):.2f}" in reason
    assert known(model, NearPosterior(width=0.5)).tail == 0.75
    assert (
        f"{known(model, NearPosterior(width=0.5)).elbo - known(model, NearPosterior(width=2.0)).elbo:.1f}"
        in (scene("better-elbo").question)
    )


def test_the_scenes_of_the_prior_say_what_is_so():
    thirty, ten = GaussianLatents(dimension=30), GaussianLatents()
    lows = [-bias(thirty, FromPrior(), count) for count in (100, 1000, 10_000)]
    assert f"{lows[1]:.0f} nats" in scene("thirty").reason
    assert f"gain {lows[1] - lows[2]:.0f} nats" in scene("thirty").reason
    told = [f"{-bias(ten, FromPrior(), count):.2f}" for count in (1000, 10_000)]
    assert all(number in scene("unbiased").reason for number in told)
    below = summaries.relative(run(evidence.whole(Estimates(proposal=FromPrior()), 0)))
    assert (below < 1).mean() > 0.9
    assert f"{lows[0]:.0f} low" in scene("annealed").reason


def test_the_scene_of_the_missed_mode_says_what_is_so():
    algorithm = Estimates(
        model=OneLatent(target=EqualModes(distance=12.0)), proposal=PlacedQ(mean=6.0, sd=1.0), repeats=50
    )
    info = run(evidence.whole(algorithm, 0))[-1].info
    assert evidence.link("Sample", algorithm).items() >= scene("missed-mode").link.items()
    assert info.effective > 900 and info.khat < 0.5
    assert info.bias == pytest.approx(-math.log(2.0), abs=0.01) and "0.693" in scene("missed-mode").reason


def test_the_other_scenes_say_what_is_so():
    box = known(GaussianLatents(dimension=2), UniformBox(reach=1.0))
    assert f"{box.log_evidence - box.limit:.2f} nats low" in scene("box").reason
    mean, _ = GaussianLatents(dimension=2).posterior()
    assert f"at {float(mean[0]):.1f}" in scene("box").reason
    assert f"{jensen.pair(0.2, 1.8).mean_of_log:.2f}".replace("-", "−") in scene("jensen").reason
    assert f"{2**30:,}" in scene("every-bit").reason and f"{2**16:,}" in scene("every-bit").question
    assert f"{2**14:,} times" in scene("every-bit").answers[scene("every-bit").right]


@pytest.mark.slow
def test_the_scene_of_annealing_says_what_is_so():
    link = scene("annealed").link
    assert (link["draws"], link["repeats"], link["estimator.bridges"]) == ("100", "20", "50")
    asked = Estimates(model=GaussianLatents(dimension=30), proposal=FromPrior(), draws=100, repeats=20,
                      estimator=Annealed(bridges=50))  # fmt: skip
    assert f"{-run(evidence.whole(asked, 0))[-1].info.bias:.1f} nats" in scene("annealed").reason
