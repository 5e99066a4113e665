"""The VAE lab without a browser: its start, its numbers, own images, and every bad input in a sentence."""

import gzip
import io
import json
import math
import struct
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from lvmviz import DigitImages, Job, Rows, TrainVAE, run, ui
from lvmviz.images import ImageError
from lvmviz.runs.execute import snapshots
from lvmviz.runs.job import Trace
from lvmviz.summaries import vae as summaries
from lvmviz.ui import vae_desk, vae_evidence, vae_films, vae_images
from lvmviz.ui.code import script, snapshot
from tests.widgets import visited, words

ROOT = Path(__file__).parents[1]
PAGE = str(ROOT / "pages/07_vae_lab.py")
SHORT = {"iterations": "4", "data.count": "120"}


def opened(**link: str) -> AppTest:
    return visited(PAGE, **link)


def buttons(app: AppTest) -> list[str]:
    return [button.label for button in app.button]


@pytest.fixture(scope="module")
def trace() -> Trace:
    return run(Job(TrainVAE(data=DigitImages(count=120)), steps=4))


# ---- the start ----


def test_the_first_visit_offers_to_train_and_does_nothing_yet():
    app = opened()
    assert "Nothing is trained with these settings yet." in words(app)
    assert [label for label in buttons(app) if label.startswith("Train on Digits")]


def test_at_most_six_controls_are_in_view():
    for data in ("DigitImages", "Rows", "OpenML"):
        app = opened(data=data, likelihood="GaussianNoise")
        assert len(app.slider) + len(app.selectbox) + len(app.number_input) > 6, "the rest is under More"
        view = app.main.children[0]
        shown = [s for s in _controls(view, under_more=False)]
        assert 4 <= len(shown) <= 6, shown


def _controls(block, under_more: bool):
    """Labels of the controls below a block, those in a popover apart."""
    for child in getattr(block, "children", {}).values():
        if getattr(child, "type", "") == "popover":
            continue
        if getattr(child, "type", "") in ("slider", "selectbox", "number_input", "select_slider", "toggle"):
            yield child.label
        yield from _controls(child, under_more)


def test_a_short_run_is_shown_at_once():
    app = opened(**SHORT)
    told = words(app)
    assert "Reconstructions" in told and "Ledger" in told and "Latent plane" in told
    assert not app.error


def test_every_kind_of_data_is_shown_or_says_what_is_missing():
    assert "No images yet" in words(opened(data="StoredImages"))
    assert "16 MB" in words(opened(data="OpenML"))
    assert "Fetch 16 MB" in buttons(opened(data="OpenML"))
    assert "No table yet" in words(opened(**{"data": "Rows", "data.table": "Stored"}))
    shown = words(opened(**{"data": "Rows", "iterations": "3", "likelihood": "GaussianNoise"}))
    assert "q of each point" in shown and "Reconstructions" not in shown


@pytest.mark.parametrize("digest", ["0" * 64, "x", "../../etc/passwd"])
def test_images_that_are_not_here_are_asked_for(digest):
    app = opened(**{"data": "StoredImages", "data.digest": digest})
    assert app.error and "upload the images again" in app.error[0].value


def test_settings_that_do_not_fit_say_why():
    app = opened(**{"data": "Rows", "encoder": "Convolutional", "iterations": "2"})
    assert "choose an MLP" in app.error[0].value


def test_training_that_fails_says_why_and_what_to_do():
    told = opened(**SHORT, learning_rate="10", **{"likelihood": "GaussianNoise", "likelihood.sd": "0.001"})
    assert "stopped" in words(told).lower() and "learning rate" in words(told)


def test_two_of_many_latents_can_be_chosen():
    app = opened(**SHORT, latent="4", across="z3", up="z2", terms="Latents")
    assert not app.warning and {"z3", "z2"} <= {box.value for box in app.selectbox}


def test_a_cloud_goes_to_the_data():
    app = opened(**{"data": "Rows", "iterations": "2", "likelihood": "GaussianNoise",
                    "plane": "Cloud to data", "share": "0.5"})  # fmt: skip
    assert next(s for s in app.slider if s.label == "From the prior to the data").value == 0.5


# ---- numbers ----


def test_the_table_has_the_exact_numbers_and_the_estimate(trace):
    at = summaries.moment(trace, 4)
    x = summaries.half(at.vae, "test").x
    exact, rough = summaries.told(at, x), summaries.estimated(at, x)
    columns, rows = vae_desk._table(exact, rough)
    assert [column.label for column in columns] == ["mean", "exact", "S = 100"]
    numbers = {str(row[0]): str(row[1]).replace("−", "-") for row in rows}
    assert float(numbers["log p(x)"]) == pytest.approx(exact.log_evidence.mean(), abs=6e-4)
    assert float(numbers["KL(q‖p(z|x))"]) == pytest.approx(exact.kl.mean(), abs=6e-4)
    assert "±" in str(rows[0][2]) and "±" not in str(rows[0][1])
    _, alone = vae_desk._table(rough, None)
    assert "±" in str(alone[0][1])


def test_rows_for_a_file_have_log_p_where_it_is_known(trace):
    made = Job(trace.job.algorithm, steps=4, seed=5)
    whole = run(made)
    assert {row["test_log_evidence"] for row in vae_desk.rows(whole)} == {None}
    found = summaries.advance(summaries.moment(whole, 2), "test", math.inf)
    assert found is not None
    rows = vae_desk.rows(whole)
    assert rows[2]["test_log_evidence"] == found.mean().log_evidence and rows[3]["test_gap"] is None
    assert rows[4]["test_elbo"] == whole[4].info.test_elbo
    assert list(vae_evidence.known(whole, "test")) == [2]


def test_the_code_on_the_page_makes_the_number_on_the_page(trace):
    source = script(trace.job, "elbo = trace[3].info.test_elbo")
    space: dict = {}
    runner = compile_lines(source)
    runner(space)
    assert space["elbo"] == trace[3].info.test_elbo


@pytest.mark.parametrize("every", [1, 3])
def test_the_code_names_the_snapshot_on_screen_also_of_a_thinned_run(every):
    job = Job(TrainVAE(data=DigitImages(count=60)), steps=8, every=every)
    whole = run(job)
    thinned = Trace(job, [*whole[::2], *([] if len(whole) % 2 else [whole[-1]])])
    for index, one in enumerate(thinned):
        space: dict = {"trace": whole}
        exec(f"found = {snapshot(thinned, index)}", space)
        assert space["found"].step == one.step and space["found"].info == one.info


def compile_lines(source: str):
    def runner(space: dict) -> None:
        exec(source, space)

    return runner


def test_a_page_of_runs_finds_its_way_here():
    from lvmviz.ui.runs import page_of

    found = page_of(Job(TrainVAE(latent=3), steps=70, seed=2))
    assert found is not None
    assert found == ("vae_lab", {"latent": "3", "iterations": "70", "seed": "2"})
    assert urlencode(found[1])


def test_films_hold_the_last_frame_that_was_made():
    assert vae_films.held([0, 3, 5], 7) == [0, 0, 0, 3 - 2, 1, 2, 2]
    assert vae_films.held([2, 4], 5) == [0, 0, 0, 0, 1]


def test_every_film_is_as_long_as_the_trace(trace):
    axes = (0, 1)
    chosen = vae_films.frames(trace, 2, False)
    for film in (vae_films.plane(trace, chosen, axes, True), vae_films.manifold(trace, chosen, axes, False),
                 vae_films.terms(trace, False, 150), vae_films.bound(trace, {}, False, 200)):  # fmt: skip
        assert film.count == len(trace)
        json.dumps(film.data())
    vae_films.still(trace, 2, axes, False)
    assert len(vae_films.reconstructions(trace, 2, 6, False).data[0].x) == 12


def test_before_a_worker_has_begun_the_start_is_shown(trace):
    begun = vae_desk._first(trace.job)
    assert len(begun) == 1 and begun[0].info == next(iter(snapshots(trace.job))).info


# ---- own images ----


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def npz(**arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


PIXELS = np.random.default_rng(0).integers(0, 256, (12, 6, 5), dtype=np.uint8)
LABELS = np.arange(12, dtype=np.uint8) % 3


@pytest.mark.parametrize(
    "files",
    [
        {"some.npz": npz(images=PIXELS, labels=LABELS.astype(np.int64))},
        {"t10k-images": idx(PIXELS), "t10k-labels": idx(LABELS)},
        {"images.gz": gzip.compress(idx(PIXELS)), "labels.gz": gzip.compress(idx(LABELS))},
        {f"{i:02d}.png": png(PIXELS[i]) for i in range(12)},
    ],
)
def test_images_come_in_every_form(files):
    read = vae_images.read(files)
    assert np.array_equal(read.pixels, PIXELS)
    assert read.labels is None or np.array_equal(read.labels, LABELS)


COLOUR = np.random.default_rng(1).integers(0, 256, (6, 5, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("files", "word"),
    [
        ({"a.png": b"no image at all"}, "no image"),
        ({f"{i}.png": png(COLOUR) for i in range(12)}, "in colour"),
        ({"a.png": png(PIXELS[0]), "b.png": png(PIXELS[0, :4])}, "one size"),
        ({"a.npz": npz(x=np.zeros((12, 5)))}, "images are an array"),
        ({"a.npz": npz(x=np.array([{"a": 1}] * 12, dtype=object))}, "nothing in it was run"),
        ({"a.npz": npz(x=PIXELS)[:200]}, "npz"),
        ({"images": idx(PIXELS)[:-7]}, "damaged"),
        ({"images": idx(PIXELS), "labels": idx(LABELS[:5])}, "do not belong together"),
        ({"images": idx(PIXELS), "more": idx(PIXELS)}, "one IDX file"),
        ({"model.pkl": b"\x80\x04\x95cos\nsystem\n."}, "no image"),
        ({"few.npz": npz(x=PIXELS[:3])}, "at least 10"),
    ],
)
def test_a_bad_file_gets_a_sentence(files, word):
    with pytest.raises(ImageError, match=word):
        vae_images.read(files)


def test_own_images_are_trained_on():
    from lvmviz.image_sets import StoredImages, put_images
    from lvmviz.images import Images

    digest = put_images(Images(PIXELS, None))
    app = opened(**{"data": "StoredImages", "data.digest": digest, "iterations": "2"})
    assert not app.error and "Reconstructions" in words(app)
    assert ui.link_of(TrainVAE(data=StoredImages(digest=digest)))["data.digest"] == digest
    assert Rows().private is False and StoredImages.private
