"""The page Fit q in two dimensions without a browser: its scenes, its formula, its links, its code."""

import contextlib
import io
import re
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from lvmviz import LBFGS, MLP, VI, AffineCoupling, Banana, DigitImages, Flow, Job, TrainVAE, run
from lvmviz.runs.execute import execute
from lvmviz.runs.store import Store
from lvmviz.summaries.plane import phi_at
from lvmviz.ui.plane_places import first_places, places_of
from lvmviz.ui.plane_scenes import SCENES
from tests.widgets import control, sound, visited, words

PAGE = str(Path(__file__).parents[2] / "pages" / "03_fit_q_2d.py")
CARDS = {scene.name: scene for scene in SCENES}


def opened(**link: str) -> AppTest:
    return visited(PAGE, **link)


def told(app: AppTest) -> dict[str, float]:
    """The terms of the q on screen, as the page's own code computes them."""
    (code,) = [block.value for block in app.code if "import" in block.value]
    said = re.search(r"# (\S+) nats", code)
    assert said
    with contextlib.redirect_stdout(io.StringIO()):
        space: dict = {}
        *before, last = code.splitlines()
        exec("\n".join(before), space)
        exec(f"value = {last}", space)
    return {"said": float(said[1].replace("−", "-")), "kl": float(space["value"])}


def where(app: AppTest) -> str:
    """What the link says of q."""
    text = app.query_params["q"]
    return text if isinstance(text, str) else text[0]


def fitted(name: str) -> AppTest:
    """The scene, and Fit pressed."""
    return opened(**CARDS[name].link, scene=name, fitted="1", step="last")


def test_every_scene_opens_with_its_question_and_no_fault():
    assert len(SCENES) >= 5
    for scene in SCENES[2:]:
        app = opened(**scene.link, scene=scene.name)
        assert not app.error and not app.warning
        assert scene.question in words(app)


def test_mean_field_is_as_narrow_as_the_scene_says():
    app = fitted("narrow")
    assert not app.error
    assert told(app)["said"] == pytest.approx(0.830, abs=6e-4)
    assert told(app)["kl"] == pytest.approx(0.8304, abs=1e-4)


def test_one_mode_is_what_the_reverse_kl_chooses():
    app = fitted("forward")
    assert told(app)["said"] == pytest.approx(0.693, abs=6e-4)
    app = opened(**CARDS["missed"].link)
    assert told(app)["said"] == pytest.approx(0.693, abs=6e-4)
    assert "0.693 too low" in words(app)


def test_one_coupling_layer_is_enough_for_the_banana():
    family = Flow(layer=AffineCoupling(), layers=1)
    start = tuple(phi_at(family, first_places(Banana(), family)).tolist())
    trace = run(Job(VI(target=Banana(), family=family, optimizer=LBFGS(), starts=1, phi=start), steps=100))
    assert trace[-1].info.kl < 0.01
    link = CARDS["layers"].link
    assert (link["family"], link["family.layer"], link["family.layers"]) == ("Flow", "AffineCoupling", "1")


def test_the_funnel_keeps_its_gap():
    assert told(fitted("funnel"))["said"] == pytest.approx(0.852, abs=6e-4)


def test_the_boxes_move_q_and_the_link_says_where():
    app = opened()
    (box,) = [box for box in app.number_input if box.key == "lvmviz.plane.x"]
    sound(box.set_value(1.5).run())
    (place,) = places_of(where(app))
    assert place.x == 1.5
    (angle,) = [slider for slider in app.slider if slider.key == "lvmviz.plane.angle"]
    sound(angle.set_value(45.0).run())
    (place,) = places_of(where(app))
    assert (place.x, place.angle) == (1.5, 45.0)
    again = opened(q=where(app))
    assert told(again)["said"] == told(app)["said"]
    (undo,) = [button for button in app.button if button.key == "undo"]
    sound(undo.click().run())
    assert places_of(where(app))[0].angle == 0.0


def test_another_posterior_begins_anew():
    app = opened(q="1,1,1,1")
    sound(control(app, "target").select("Donut").run())
    assert "q" not in app.query_params


def test_a_link_that_says_nonsense_is_told():
    app = opened(q="1,2,3", **{"family.layers": "99"}, target="Skewed")
    assert "it is x, y and two positive half" in words(app).replace("\\", "")
    assert "target" in words(app)
    assert not app.error


def test_weights_of_a_mixture_sum_to_one():
    app = opened(family="MixtureQ")
    (weight,) = [box for box in app.number_input if box.key == "lvmviz.plane.share"]
    sound(weight.set_value(0.8).run())
    shares = [place.share for place in places_of(where(app))]
    assert shares == pytest.approx([0.8, 0.1, 0.1], abs=1e-6)


def test_an_own_formula_is_taken_or_refused_with_a_sentence():
    app = opened(target="Formula2D")
    (text,) = app.text_input
    sound(text.set_value("-x**2 - z").run())
    assert app.error and "z" in app.error[0].value
    sound(text.set_value("-x**2 - (y - x)**2").run())
    assert not app.error
    assert told(app)["kl"] == pytest.approx(told(app)["said"], abs=6e-4)


@pytest.mark.parametrize("family", ["Flow", "MixtureQ"])
def test_the_warped_grid_has_its_layers(family: str):
    app = opened(family=family, view="Warped grid", upto="1")
    assert not app.error
    names = [slider.label for slider in app.slider]
    assert ("Layers shown" in names) == (family == "Flow")


def test_without_variances_no_gaussian_is_best_forward():
    app = opened(target="Cauchy2D", beside="best KL(p‖q)")
    assert "no Gaussian has a finite KL" in words(app)
    assert not app.error


def test_the_posterior_of_an_image_of_a_finished_run_can_be_fitted(tmp_path, monkeypatch):
    monkeypatch.setenv("LVMVIZ_HOME", str(tmp_path))
    job = Job(TrainVAE(data=DigitImages(count=60), encoder=MLP(hidden=8), decoder=MLP(hidden=6)), steps=3)
    made = Store(tmp_path).create(job)
    assert execute(job, made.path) == "finished"
    app = opened()
    (which,) = [box for box in app.selectbox if box.label == "Image of a VAE run"]
    sound(which.select_index(1).run())
    assert not app.error
    assert "test image 0 of a VAE run" in words(app)
    (image,) = [box for box in app.number_input if box.label == "Image"]
    sound(image.set_value(2).run())
    assert told(app)["kl"] == pytest.approx(told(app)["said"], abs=6e-4)
    (fit,) = [button for button in app.button if button.label == "Fit"]
    before = told(app)["said"]
    sound(fit.click().run())
    assert not app.error
    link = {**dict(app.query_params), "step": "last"}
    assert before > told(opened(**link))["said"]
    monkeypatch.setattr("lvmviz.runs.job.LONG", 1.0)  # all is long, and this is done here nevertheless
    flow = opened(**{**link, "family": "Flow", "steps": "3", "starts": "1", "q": ""})
    assert not flow.error and "Press Fit: an optimizer" not in words(flow)
    assert [run.job.id for run in Store(tmp_path).runs()] == [job.id]
    far = opened(**{**link, "family": "Flow", "steps": "400", "starts": "64", "q": ""})
    assert "take fewer starts" in far.error[0].value
