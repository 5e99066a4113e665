"""One's own image in the latent space: scaled, inverted, packed into a link; every bad file a sentence."""

import base64
import io
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from streamlit.testing.v1 import AppTest

from lvmviz import DigitImages, GaussianNoise, Job, TrainVAE, run
from lvmviz.runs.execute import execute
from lvmviz.runs.store import Store
from lvmviz.summaries import latent, vae
from lvmviz.summaries.latent_own import fitted, packed, prepared, unpacked
from lvmviz.summaries.vae import Moment
from lvmviz.ui import latent_sketch
from tests.widgets import control, visited, words

PAGE = str(Path(__file__).parents[1] / "pages/08_latent_space.py")
ONE = np.zeros((8, 8), np.uint8)
ONE[:, 4] = 255


@pytest.fixture(scope="module")
def at() -> Moment:
    trace = run(Job(TrainVAE(data=DigitImages(count=200)), steps=4))
    return vae.moment(trace, len(trace) - 1)


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


# ---- fitted ----


def test_a_fitting_image_stays_as_it_is(at):
    made = fitted(at, ONE)
    assert (made.pixels == ONE).all() and made.notes == ()


def test_bright_paper_is_inverted_and_told(at):
    made = fitted(at, 255 - ONE)
    assert (made.pixels == ONE).all()
    assert len(made.notes) == 1 and "Bright paper was inverted" in made.notes[0]


def test_a_larger_picture_becomes_the_means_of_its_blocks(at):
    large = np.zeros((40, 40), np.uint8)
    large[5:25, 12:23] = 200
    made = fitted(at, large)
    blocks = large.reshape(8, 5, 8, 5).mean((1, 3))
    assert np.abs(made.pixels - blocks).max() <= 0.5 + 1e-9
    assert made.notes == ("Scaled from 40 × 40 to 8 × 8 pixels.",)


def test_a_wide_picture_keeps_its_sides_ratio(at):
    wide = np.zeros((16, 32), np.uint8)
    wide[4:12, 8:24] = 255
    made = fitted(at, wide).pixels
    assert made.shape == (8, 8) and not made[:2].any() and not made[6:].any() and made[3:5, 2:6].all()


@given(high=st.integers(1, 60), wide=st.integers(1, 60), grey=st.integers(0, 255))
def test_any_size_fits_and_a_blank_sheet_is_blank(at, high, wide, grey):
    made = fitted(at, np.full((high, wide), grey, np.uint8)).pixels
    assert made.shape == (8, 8) and (made == (grey if grey <= 127 else 255 - grey)).all()


def test_x_is_what_the_likelihood_sees(at):
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
    assert prepared(at, grey).tolist() == (grey.reshape(-1) / 255.0 > 0.5).astype(float).tolist()
    smooth = Moment(TrainVAE(likelihood=GaussianNoise()), at.weights, "", 0)
    assert prepared(smooth, grey) == pytest.approx(grey.reshape(-1) / 255.0, abs=1e-7)


def test_a_training_image_that_is_drawn_is_encoded_as_itself(at):
    row = int(vae.half(at.vae, "test").rows[0])
    grey = np.rint(at.vae.data.examples().x[row].reshape(8, 8) * 255).astype(np.uint8)
    assert (prepared(at, grey) == vae.half(at.vae, "test").x[0]).all()


# ---- the link ----


@given(st.binary(min_size=64, max_size=64))
def test_a_link_keeps_every_pixel(raw):
    pixels = np.frombuffer(raw, np.uint8).reshape(8, 8)
    text = packed(pixels)
    assert (unpacked(text, (8, 8)) == pixels).all()
    assert set(text) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")


@given(st.text(max_size=200))
def test_any_other_text_is_refused_in_a_sentence(text):
    with pytest.raises(ValueError, match="again|draw another"):
        unpacked(text, (8, 8))


def test_an_image_of_another_size_and_a_bomb_are_refused():
    with pytest.raises(ValueError, match="8 × 8"):
        unpacked(packed(np.zeros((28, 28), np.uint8)), (8, 8))
    bomb = base64.urlsafe_b64encode(zlib.compress(bytes(50_000_000), 9)).decode().rstrip("=")
    with pytest.raises(ValueError, match="8 × 8"):
        unpacked(bomb, (8, 8))


# ---- the page ----


def opened(link: dict[str, str]) -> AppTest:
    return visited(PAGE, **link)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    path = tmp_path_factory.mktemp("own")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LVMVIZ_HOME", str(path))
        job = Job(TrainVAE(data=DigitImages(count=200)), steps=4)
        assert execute(job, Store(path).create(job).path) == "finished"
        yield path


OWN = {"own": packed(ONE), "image": latent_sketch.NAME, "v": "1"}


def test_an_image_in_the_link_is_pinned_with_its_own_numbers(home, at):
    told = words(opened(OWN))
    x = torch.tensor(ONE.reshape(1, -1) / 255.0, dtype=torch.float64)
    grid = torch.linspace(-8, 8, 601, dtype=torch.float64)
    z = torch.stack(torch.meshgrid(grid, grid, indexing="xy"), -1).view(1, -1, 2)
    with torch.no_grad():
        joint = vae.latent_model(at).log_joint(x, z)[0]
    evidence = float(torch.logsumexp(joint, 0)) + 2 * np.log(16 / 600)
    image = latent.image(at, prepared(at, ONE))
    assert image.terms.log_evidence == pytest.approx(evidence, abs=1e-6)
    assert "your image, nats" in told and "from your image to" in told
    assert "An integral over every z there is" in told  # the derivation is of this image, too


def test_another_choice_or_another_link_leaves_it(home):
    app = opened(OWN)
    control(app, "image").set_value(control(app, "image").options[0]).run()
    assert "from test" in words(app) and not app.exception


@pytest.mark.parametrize("own", ["x", "~" + "0" * 16, packed(np.zeros((3, 3), np.uint8)), "é"])
def test_a_bad_image_in_the_link_is_told(home, own):
    told = words(opened({**OWN, "own": own}))
    assert "Your image is not shown" in told and "again" in told or "another" in told


def drawn(home, data: bytes, name: str = "a.png") -> AppTest:
    """The page after somebody has loaded a file."""
    app = opened({})
    uploader: Any = next(one for one in app.get("file_uploader") if one.key == latent_sketch._FILE)
    uploader.set_value((name, data, "image/png")).run()
    assert not app.exception, app.exception[0].stack_trace
    return app


def test_a_picture_is_loaded_scaled_and_inverted_with_notes(home):
    app = drawn(home, png(np.kron(255 - ONE, np.ones((3, 3), np.uint8))))
    told = words(app)
    assert "Bright paper was inverted" in told and "24 × 24" in told and "from your image" in told
    assert (unpacked("".join(app.query_params["own"]), (8, 8)) == ONE).all()


COLOUR = np.zeros((8, 8, 3), np.uint8)
COLOUR[..., 0] = 200


@pytest.mark.parametrize(
    ("data", "said"),
    [(b"", "no image"), (b"GIF89a", "no image"), (png(ONE)[:50], "damaged"), (png(COLOUR), "in colour"),
     (b"\x80\x04.", "no image"), (png(np.zeros((1, 5000), np.uint8)), "scale it down")],
    ids=["empty", "cut off", "damaged", "colour", "a pickle", "too large"],
)  # fmt: skip
def test_a_bad_file_is_a_sentence_and_nothing_changes(home, data, said):
    app = drawn(home, data)
    assert said in words(app) and "own" not in app.query_params


def test_an_image_too_large_for_a_link_stays_in_its_session(home, monkeypatch):
    monkeypatch.setattr(latent_sketch, "MOST", 10)
    app = drawn(home, png(ONE))
    own = "".join(app.query_params["own"])
    assert own.startswith("~") and len(own) == 17 and "from your image" in words(app)
    assert "drawn in another session" in words(opened({**OWN, "own": own}))
