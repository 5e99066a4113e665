"""The latent space page without a browser: its empty plane, its numbers, every bad link in a sentence."""

import json
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from lvmviz import DigitImages, Job, TrainVAE
from lvmviz.runs.execute import execute
from lvmviz.runs.store import Store
from lvmviz.summaries import latent_view, vae
from lvmviz.ui.latent_answer import Look, answer
from tests.widgets import visited, words

PAGE = str(Path(__file__).parents[1] / "pages/08_latent_space.py")


def opened(**link: str) -> AppTest:
    return visited(PAGE, **link)


@pytest.fixture
def alone(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("LVMVIZ_HOME", str(tmp_path))
    return tmp_path


def trained(home: Path, latent: int = 2) -> str:
    job = Job(TrainVAE(data=DigitImages(count=200), latent=latent), steps=4)
    run = Store(home).create(job)
    assert execute(job, run.path) == "finished"
    return run.id


def test_an_empty_plane_offers_to_train(alone):
    app = opened()
    assert "No VAE of images is trained yet." in words(app)
    assert any(button.label.startswith("Train on Digits") for button in app.button)


def test_a_switched_off_engine_is_told(alone, monkeypatch):
    monkeypatch.setenv("LVMVIZ_ENGINE", "off")
    app = opened()
    next(button for button in app.button if button.label.startswith("Train on")).click().run()
    assert "switched off" in words(app) and not app.exception


def test_a_run_is_shown_with_its_numbers(alone):
    trained(alone)
    told = words(opened())
    assert "Walk" in told and "Posterior and q" in told and "log p(z) =" in told and "Numbers" in told


def test_a_pin_is_answered_with_the_numbers_that_the_page_then_shows(alone):
    run = trained(alone)
    app = opened(at="0.5,-0.25")
    sent = [json.loads(one.proto.json) for one in app.get("bidi_component")]
    (shown,) = [one["rows"] for one in sent if one.get("name") == "numbers"]
    trace = Store(alone).open(run).trace()
    at = vae.moment(trace, len(trace) - 1)
    look = Look(at, latent_view.two_latents((0, 1), (0.0, 0.0), (0.0, 0.0), 3.0), "III", False, 1.0)
    told = answer(look, ((0.5, -0.25),))
    assert told["numbers"] == shown and set(told) == {"numbers", "thermometer"}
    assert answer(look, ((-1.0, 0.75),))["numbers"] != shown
    for places in ((), ((1.0,),), ((1.0, 2.0), (3.0, 4.0))):
        with pytest.raises(ValueError, match="two numbers"):
            answer(look, places)


@pytest.mark.parametrize("at", ["x", "1", "nan,1", "1,inf", "1e9,0", "1,2,3"])
def test_a_place_that_is_none_is_told(alone, at):
    trained(alone)
    assert "is no place" in words(opened(at=at))


def test_a_run_that_is_not_here_is_told(alone):
    trained(alone)
    assert "not on this computer" in words(opened(run="0" * 16))


def test_more_latents_slide(alone):
    trained(alone, latent=4)
    app = opened(across="z3", up="z2", z1="1.5")
    assert not app.warning and {"z1", "z4"} == {slider.label for slider in app.slider}
    assert "two latents" in words(app) and "an estimate" in words(app)
