"""The latent space page without a browser: its empty plane, its numbers, every bad link in a sentence."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from lvmviz import DigitImages, Job, TrainVAE
from lvmviz.runs.execute import execute
from lvmviz.runs.store import Store
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
