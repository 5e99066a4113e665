"""The page Gaps without a browser: its parts, their numbers, and what a run without an exact gap is told."""

import importlib
import json
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from lvmviz import MLP, DigitImages, GaussianNoise, Job, Pinwheel, Rows, TrainVAE
from lvmviz.runs.execute import execute
from lvmviz.runs.store import Store
from lvmviz.ui import code
from lvmviz.ui.gaps_scenes import SCENES
from tests.widgets import control, sound, visited, words

live = importlib.import_module("lvmviz.ui.live")  # the package gives this name to its function
PAGE = str(Path(__file__).parents[2] / "pages/09_gaps.py")
RUN = "A VAE’s run"


def table(app: AppTest, name: str) -> list[list[str]]:
    sent = [json.loads(one.proto.json) for one in app.get("bidi_component")]
    return next(one["rows"] for one in sent if one.get("name") == name and "rows" in one)


@pytest.fixture
def alone(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("LVMVIZ_HOME", str(tmp_path))
    return tmp_path


def trained(home: Path, **more) -> str:
    job = Job(TrainVAE(**{"data": DigitImages(count=200), "encoder": MLP(hidden=16), **more}), steps=3)
    run = Store(home).create(job)
    assert execute(job, run.path) == "finished"
    return run.id


def numbers(row: list[str]) -> list[float]:
    return [float(text.replace("−", "-")) for text in row[1:]]


def test_the_parts_of_one_latent_add_up_on_screen():
    app = visited(PAGE, step="999", x="2.6")
    total, family, shared, left = (numbers(row) for row in table(app, "numbers"))
    assert total == pytest.approx([a + b for a, b in zip(family, shared, strict=True)], abs=2e-4)
    assert all(0.0 <= less <= whole for less, whole in zip(left, total, strict=True))
    assert "cheaper way from" in words(app) and not app.error
    source = next(one.value for one in app.code if "import" in one.value)
    names: dict = {}
    exec(compile(source.rsplit("\n", 1)[0], "code", "exec"), names)
    shown = float(source.rsplit("# ", 1)[1].split()[0])
    assert float(names["parts"].amortization[0]) == pytest.approx(shown, abs=1e-4) == shared[0]


@pytest.mark.parametrize(
    "scene", [scene for scene in SCENES if "run" not in scene.link], ids=lambda s: s.name
)
def test_every_scene_opens_and_keeps_its_link(scene):
    app = visited(PAGE, **scene.link, scene=scene.name)
    assert not app.error and not app.warning
    assert scene.question in words(app)
    kept = {name: value for name, value in scene.link.items() if name != "step"}
    held = {name: told if isinstance(told, str) else told[0] for name, told in app.query_params.items()}
    assert {name: held.get(name, "") for name in kept} == kept | {
        name: "" for name in kept.keys() - held.keys()
    }
    assert kept.keys() - held.keys() <= {"x", "inner", "new"}  # where a control stands at its default


def test_extremes_of_the_controls_are_taken():
    app = visited(PAGE)
    for name, values in {
        "reach": (0.5, 3.0),
        "x": (-3.2, 3.2),
        "inner": (0, 15),
        "capacity": ("constant", "linear"),
    }.items():
        for value in values:
            sound(control(app, name).set_value(value).run())
            assert not app.error
    sound(
        visited(PAGE, **{"decoder.noise": "0.1", "decoder.mean": "square", "hidden": "1", "new": "1000000"})
    )
    app = sound(visited(PAGE, **{"decoder.noise": "2", "capacity": "MLP", "count": "2", "iterations": "1"}))
    assert not app.error


def test_the_linear_vae_says_how_near_it_came():
    app = visited(PAGE, view="Linear VAE", step="999")
    closed, em, vae = table(app, "compared")
    assert closed[1] == vae[1] and closed[2] == vae[2] == "0.3" and em[0].startswith("EM")
    assert "nats below the closed form" in words(app)
    app = sound(control(app, "angle").set_value(45.0).run())
    assert table(app, "rotated")[0][1] == closed[1]


def test_more_latents_than_columns_offer_the_remedy():
    app = visited(PAGE, view="Linear VAE", data="Iris", latents="3")
    assert not app.error  # all four columns, until somebody chooses
    sound(control(app, "data.features").set_value(["petal length", "sepal width"]).run())
    assert "need more columns" in app.error[0].value
    sound(next(button for button in app.button if button.key == "remedy_latents").click().run())
    assert not app.error and control(app, "latents").value == 1
    assert "A rotation needs two latents" in words(app)


def test_the_numbers_are_those_of_the_x_that_was_asked_for():
    app = visited(PAGE, x="0.97", draws="20")
    columns = [json.loads(one.proto.json) for one in app.get("bidi_component")]
    told = next(one for one in columns if one.get("name") == "numbers" and "rows" in one)
    assert "x = 0.97" in json.dumps(told, ensure_ascii=False) and told["rows"][3][0] == "left by IWAE, K = 20"


def test_the_page_opens_and_stays_at_the_end_of_training():
    app = visited(PAGE)
    assert table(app, "numbers")[0][1] == table(visited(PAGE, step="999"), "numbers")[0][1]
    app = sound(control(app, "reach").set_value(2.0).run())
    assert table(app, "numbers")[0][1] == table(visited(PAGE, step="999", reach="2"), "numbers")[0][1]
    assert table(app, "numbers")[0][1] != table(visited(PAGE, step="0", reach="2"), "numbers")[0][1]


def test_a_cheaper_way_that_leaves_more_says_so():
    assert "and leaves more:" in words(visited(PAGE, capacity="constant"))
    assert "and leaves less:" in words(visited(PAGE))


def test_a_run_shows_the_gap_of_twelve_images(alone):
    trained(alone)
    app = visited(PAGE, model=RUN)
    assert "Each part is an integral of its own" in words(app)
    total, family, shared, left = (numbers(row)[0] for row in table(app, "means"))
    assert total == pytest.approx(family + shared, abs=2e-4) and min(family, shared) >= 0.0
    assert 0.0 < left < total
    sound(control(app, "draws").set_value(1).run())
    assert numbers(table(app, "means")[3])[0] == total  # one draw leaves the KL
    app = sound(control(app, "best").set_value("flow").run())
    rows = {row[0]: numbers(row)[0] for row in table(app, "numbers")}
    assert rows["flow, 4 couplings"] <= rows["best full"] + 1e-4 <= rows["best mean-field"] + 2e-4
    for seen in ("Training data", "Inverted", "Upside down", "Shifted by two pixels"):
        sound(control(app, "seen").set_value(seen).run())
        assert not app.error
    sound(control(app, "image").set_value(12).run())


def test_the_mean_over_many_goes_on_where_it_was_left(alone, monkeypatch):
    trained(alone)
    monkeypatch.setattr(live, "PATIENCE", -1.0)
    monkeypatch.setattr(live, "_asked_meanwhile", lambda: True)  # somebody moves a control all the time
    app = visited(PAGE, model=RUN, seen="Training data", many="1")
    some, every = (numbers(row) for row in table(app, "means")[:2])
    assert len(some) == len(every) == 2
    monkeypatch.setattr(live, "_asked_meanwhile", lambda: False)
    app = sound(app.run())
    whole = numbers(table(app, "means")[0])
    assert whole[0] == some[0] and whole[1] != some[1] and not app.error


def test_a_run_on_rows_of_numbers_is_asked_about_farther_ones(alone):
    trained(alone, data=Rows(table=Pinwheel(points=100)), likelihood=GaussianNoise(sd=0.5))
    near = numbers(table(visited(PAGE, model=RUN), "means")[0])[0]
    app = visited(PAGE, model=RUN, seen="Three times as far", image="2")
    assert not app.error and not app.warning and numbers(table(app, "means")[0])[0] > 2.0 * near


def test_no_run_is_an_offer_and_a_run_without_an_exact_gap_a_sentence(alone):
    assert "No VAE of images is trained yet." in words(visited(PAGE, model=RUN))
    assert "exact for two" in words(visited(PAGE, model=RUN, run=trained(alone, latent=3)))
    kinks = trained(alone, decoder=MLP(hidden=16, activation="relu"))
    assert "ReLU" in words(visited(PAGE, model=RUN, run=kinks))


def test_a_notebook_of_the_lines_can_be_made():
    assert json.loads(code.notebook("x = 1", "Gaps"))["nbformat"] == 4
