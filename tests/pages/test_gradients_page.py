"""The page Gradients without a browser: three views, scenes, picks, numbers, and the lines that run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from lvmviz import GradientScatter, Job, run
from lvmviz.affine_noise import PRESETS
from lvmviz.figures.gradients import told
from lvmviz.gradients import GumbelSoftmax, ScoreFunction
from lvmviz.gradients.integrands import Integrand
from lvmviz.summaries import gradients as summaries
from lvmviz.ui import gradient_lab, link_of, noise_map
from lvmviz.ui.gradient_scenes import MAP, SCENES, TRICK, VIEW, map_link
from lvmviz.ui.runs import page_of
from tests.widgets import control, sound, visited, words

PAGE = str(Path(__file__).parents[2] / "pages" / "04_gradients.py")


def sent(app: AppTest, name: str) -> dict:
    """What the browser is sent for a view of this name."""
    found = [json.loads(one.proto.json) for one in app.get("bidi_component")]
    (made,) = [one for one in found if one.get("name") == name]
    return made


def table(app: AppTest, name: str = "gradients") -> list[list[str]]:
    """The rows as text."""
    rows = sent(app, name)["rows"]
    return [
        [row["across"]]
        if isinstance(row, dict)
        else [one["text"] if isinstance(one, dict) else one for one in row]
        for row in rows
    ]


def code(app: AppTest) -> str:
    return app.code[-1].value


def ran(source: str) -> object:
    """The value of the last of the lines."""
    body, _, last = source.rpartition("\n")
    names: dict[str, object] = {}
    exec(body, names)
    return eval(last, names)


def test_the_table_is_the_lab_s():
    app = visited(PAGE)
    of = GradientScatter()
    look = summaries.look(run(Job(of, steps=of.steps(), seed=0)), 0)
    rows = table(app)
    assert [row[0] for row in rows] == [
        "score", "+ mean", "biased: tends to 1.80, −0.200", "leave one", "+ optimal", "reparam.", "landing",
        "exact",
    ]  # fmt: skip
    assert rows[0][2:] == [told(look.rows[0].variance), "30.0"] and rows[5][3] == "4.00"
    assert rows[-1] == ["exact", "2.00", "0", "0"]
    assert "1000 estimates of S = 10 draws, seed 0" in words(app)
    assert sent(app, "picture")["pickable"]


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_a_scene_opens_what_it_says(scene):
    app = visited(PAGE, **scene.link, scene=scene.name)
    assert not app.error and not app.warning and scene.question in words(app)
    assert sent(app, "picture")["alt"]


def test_links_of_scenes_say_every_control():
    app = visited(PAGE, **map_link(PRESETS["A"]))
    assert [control(app, name).value for name in ("a11", "a22", "mean1")] == [0.0, 1.0, 0.0]
    app = visited(PAGE, **SCENES[3].link)
    assert control(app, "draws").value == 100 and control(app, "integrand").value == "TargetELBO"


def test_every_f_and_its_extremes_are_drawn():
    app = visited(PAGE, repeats="20")
    for name in Integrand.options:
        sound(control(app, "integrand").set_value(name).run())
        assert not app.error, name
        mean = control(app, "mean")
        for value in (mean.min, mean.max):
            sound(control(app, "mean").set_value(value).run())
            assert not app.error, (name, value)
    coolest = visited(
        PAGE, **link_of(GradientScatter(integrand=Integrand.options["StateSquare"](), temperature=0.05))
    )
    assert not coolest.error and table(coolest)[-1][0] == "exact"
    many = visited(PAGE, dimension="100", draws="4096", repeats="10", integrand="Wiggly", sd="0.1")
    assert not many.error and "10 estimates of S = 4096 draws" in words(many)
    one = visited(PAGE, draws="1")
    assert not one.error and "S = 1 draw, seed" in words(one)


def test_switching_f_leaves_no_switch_astray():
    """A span that only states have is no span of a square."""
    app = visited(PAGE, integrand="StateSquare", over_soft="temperature")
    sound(control(app, "integrand").set_value("Square").run())
    sound(control(app, "over").set_value("dimension").run())
    assert "over the dimension" in sent(app, "variance")["alt"]
    sound(control(app, "integrand").set_value("TargetELBO").run())
    assert "This f lives on a line" in words(app)
    sound(control(app, "of").set_value("log sd").run())
    assert "log σ" in sent(app, "picture")["alt"]


def test_a_picked_estimator_climbs():
    app = visited(PAGE, estimator="4", climbs="1", step="100")
    of, picked = GradientScatter(), sent(app, "gradients")
    assert picked["selected"] == "4" and picked["picks"][2] == "1 bias"
    job = Job(summaries.ascents(of, of.estimators()[4], 0.1), steps=100, seed=0)
    mean = run(job)[-1].info.mean
    assert code(app).endswith(f"trace[100].info.mean  # {mean:.4f}: E[f], mean of the runs")
    assert float(ran(code(app))) == mean
    (back,) = [button for button in app.button if button.label == "Back"]
    sound(back.click().run())
    assert "Press Climb" in words(app) and "found[4" in code(app)
    for text in ("99", "x", "-1"):
        assert not visited(PAGE, estimator=text).error


@pytest.mark.parametrize(
    "link", [{}, {"estimator": "6"}, {"of": "log sd", "estimator": "5", "dimension": "3"}]
)
def test_the_lines_give_the_number_on_screen(link):
    app = visited(PAGE, **link)
    value = ran(code(app))
    assert f"  # {told(float(value))}: " in code(app)


def test_the_map_says_when_there_is_no_density():
    app = visited(PAGE, **{VIEW: MAP})
    rows = table(app, "moments")
    assert rows[5][:2] == ["det A", "0.480"] and sent(app, "picture")["hand"]["kind"] == "columns"
    assert float(ran(code(app))) == pytest.approx(float(rows[6][1].replace("−", "-")), abs=6e-4)
    (preset,) = [button for button in app.button if button.label == "A"]
    sound(preset.click().run())
    assert "A is singular" in words(app) and table(app, "moments")[6][1] == "none"
    assert [control(app, name).value for name in noise_map.NAMES] == [0, 0, 0, 0, 0, 1]
    assert ran(code(app)) is None


def test_the_ratio_is_told_to_be_biased():
    app = visited(PAGE, **{VIEW: TRICK})
    rows = table(app, "trick")
    assert rows[0] == ["exact", "6.00", "6.00"] and rows[2] == ["bias", "4.99", "0"]
    assert "it tends to 11.0" in words(app)
    assert told(float(ran(code(app)))) in code(app)
    for name, value in (("dimension", 30), ("noise", 0.05), ("noise", 5.0), ("width", 0.1), ("shift", -10.0)):
        sound(control(app, f"trick.{name}").set_value(value).run())
        assert not app.error, (name, value)
    assert not visited(PAGE, **{VIEW: TRICK, "trick.draws": "1"}).error


def test_a_run_in_the_background_is_found_again(monkeypatch):
    of = GradientScatter(dimension=100, draws=1000, sd=0.5)
    job, asked = Job(of, steps=of.steps(), seed=7), []
    url, link = page_of(job)
    monkeypatch.setattr(gradient_lab, "live", lambda job, **more: asked.append(job))
    visited(PAGE, **link)
    assert url == "gradients" and job.long and asked == [job]


def test_a_broken_link_is_told():
    app = visited(PAGE, dimension="101", mean="nan", integrand="Nothing", view="Nowhere")
    assert len(app.warning) == 1 and "was not used" in app.warning[0].value


def test_climbs_belong_to_the_estimator_with_its_draws():
    assert isinstance(summaries.climbers(GradientScatter())[0], ScoreFunction)
    of = GradientScatter(integrand=Integrand.options["StateSquare"](), draws=7, temperature=0.2)
    assert GumbelSoftmax(draws=7, temperature=0.2) in summaries.climbers(of)
