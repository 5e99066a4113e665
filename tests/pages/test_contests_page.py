"""The restart lottery and the choice of K on the page Mixtures."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from lvmviz import EM, Blobs, ByHand, Floor, Job, KMeans, KMeansPlusPlus, Restarts, ThreeInARow, run
from lvmviz.summaries.contests import best, criteria
from lvmviz.ui import em_contests, link_of
from lvmviz.ui.em_scenes import SCENES
from lvmviz.ui.runs import page_of
from tests.widgets import control, sound, visited, words

PAGE = str(Path(__file__).parents[2] / "pages" / "05_mixtures.py")
THREE = link_of(EM(data=ThreeInARow()))


def curves(app) -> dict:
    """What the browser is sent for the picture below."""
    found = [json.loads(one.proto.json) for one in app.get("bidi_component")]
    (made,) = [one for one in found if one.get("name") == "curves" and "alt" in one]
    return made


def test_the_lottery_says_how_many_reach_the_best():
    app = visited(PAGE, **THREE, curves="Restarts")
    assert curves(app)["alt"].startswith("Restart lottery: 58 of 200 reach the best, −2.4899")
    assert curves(app)["pickable"] and "Restart lottery" in words(app)
    sound(control(app, "scheme").set_value("KMeans").run())
    assert "Restart lottery: " in curves(app)["alt"] and "−2.4899" not in curves(app)["alt"]


def test_the_criteria_say_which_k_they_prefer():
    app = visited(PAGE, **THREE, curves="K")
    assert curves(app)["alt"] == "Criteria over K: AIC 6, BIC 3, held-out 3"
    sound(control(app, "components").set_value(7).run())
    assert curves(app)["alt"] == "Criteria over K: AIC 6, BIC 3, held-out 3"  # whichever K is on screen


def test_a_lottery_of_collapses_is_told():
    em = EM(data=Blobs(points=20, clusters=1, spread=1.0), components=5, regularizer=Floor(amount=0.0))
    app = visited(PAGE, **link_of(em), curves="Restarts")
    assert curves(app)["alt"] == "Restart lottery: 1 of 200 reaches the best, −0.6307"


@pytest.mark.parametrize("view", ["Restarts", "K"])
def test_clicked_centres_get_a_sentence(view):
    app = visited(PAGE, **link_of(EM(start=ByHand())), curves=view)
    why = "so every restart is the same" if view == "Restarts" else "for one K only"
    assert f"The centres are placed by hand, {why}: choose another start." in words(app)
    app = visited(PAGE, **link_of(EM(revealed=2)), curves=view)
    assert curves(app)["alt"].startswith("Restart lottery" if view == "Restarts" else "Criteria over K")


def test_only_the_chosen_view_computes(monkeypatch):
    begun = []
    started = Restarts.init
    monkeypatch.setattr(Restarts, "init", lambda self, key: (begun.append(self), started(self, key))[1])
    link = link_of(EM(data=ThreeInARow(seed=4)))
    for view, count in (("Steps", 0), ("Bound", 0), ("K", 0), ("Restarts", 1), ("Restarts", 1)):
        visited(PAGE, **link, curves=view)
        assert len(begun) == count


def scene(name: str):
    (found,) = [scene for scene in SCENES if scene.name == name]
    return found


def test_the_scene_of_the_lottery_says_what_is_so():
    assert "58 of 200 reach −2.49" in scene("lottery").reason and "k-means++ 122" in scene("lottery").reason
    for em, count in ((EM(data=ThreeInARow()), 58), (EM(data=ThreeInARow(), start=KMeansPlusPlus()), 122)):
        told = run(Job(Restarts(em=em), steps=101))[-1].info
        assert (told.reach_best, round(told.best, 2)) == (count, -2.49) and told.moving == 0
    assert scene("lottery").link == {**THREE, "curves": "Restarts"}


def test_the_scene_of_k_says_what_is_so():
    em = EM(regularizer=Floor(amount=1e-2))
    rows = criteria(run(em_contests.choice_job(em, 100)))
    assert [rows.components[best(row)] for row in (rows.bic, rows.held_out, rows.aic)] == [2, 2, 2]
    assert not rows.floored[:3].any()  # no spike decides
    two, three = rows.infos[1:3]
    more = three.parameters - two.parameters
    numbers = (three.log_lik - two.log_lik, more, 0.5 * more * np.log(150))
    said = "six parameters more, gains {:.1f} nats over all 150 points, and costs {:.1f} under AIC and {:.1f}"
    assert more == 6 and said.format(*numbers) in scene("how-many").reason
    assert (np.diff(rows.log_lik) > 0).all()
    assert scene("how-many").link == {**link_of(em), "curves": "K"}


def test_with_labels_shown_a_clicked_k_is_the_run_that_was_charted(monkeypatch):
    app = visited(PAGE, revealed=2, curves="K")
    assert "without labels" in words(app)
    rows, put = criteria(run(em_contests.choice_job(EM(), 100))), {}
    monkeypatch.setattr(em_contests.state, "put", put.__setitem__)
    monkeypatch.setattr(em_contests, "_picked", lambda: 2)
    monkeypatch.setattr(em_contests, "_go", lambda control, value, iterations: put.update({control: value}))
    em_contests._use(rows)
    end = run(Job(EM(**put_only(put)), steps=200, seed=put["seed"]))[-1].info
    assert put["revealed"] == 0 and end.log_lik == pytest.approx(rows.infos[1].log_lik)


def put_only(put: dict) -> dict:
    return {name: value for name, value in put.items() if name != "seed"}


def test_where_a_rule_fixes_the_variances_aic_and_bic_prefer_none():
    app = visited(PAGE, scheme="KMeans", curves="K")
    assert "AIC" not in curves(app)["alt"] and "a rule fixes the variances" in words(app)


def test_jobs_are_the_same_whatever_is_on_screen():
    some = [EM(components=k, relabel=n) for k, n in ((2, 0), (5, 3), (2, 7))]
    assert len({em_contests.choice_job(em, 100).id for em in some}) == 1
    assert len({em_contests.lottery_job(em, 100).id for em in some}) == 2
    assert em_contests.choice_job(EM(scheme=KMeans()), 100).id != em_contests.choice_job(EM(), 100).id
    assert em_contests.lottery_job(EM(), 100).id != em_contests.lottery_job(EM(), 99).id


@pytest.mark.parametrize("em", [EM(), EM(data=ThreeInARow(seed=3), components=4, scheme=KMeans())], ids=repr)
@pytest.mark.parametrize("make", [em_contests.lottery_job, em_contests.choice_job])
def test_the_page_shows_the_very_job_that_a_list_names(make, em, monkeypatch):
    job = make(em, 30)
    url, link = page_of(job)
    asked = []
    shown = em_contests.live
    monkeypatch.setattr(em_contests, "live", lambda job, **more: (asked.append(job), shown(job, **more))[1])
    visited(PAGE, **link)
    assert url == "mixtures" and asked == [job]
    assert page_of(dataclasses.replace(job, steps=1)) is None
