"""The page Missing pixels: joints, places for q, the brush, links, printed code, scenes, and its ends."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from streamlit.testing.v1 import AppTest

from lvmviz import (
    Completions,
    DigitImages,
    Job,
    TrainVAE,
    font_digits,
    font_mixture,
    hidden_given_seen,
    run,
)
from lvmviz.bernoulli_mixture import Data, log_density
from lvmviz.figures import missing_pixels as figures
from lvmviz.runs.execute import execute
from lvmviz.runs.store import Store
from lvmviz.summaries import missing_pixels as summaries
from lvmviz.summaries import pixels_by_vae, vae
from lvmviz.ui import pixels
from lvmviz.ui.pixels_joint import LEARNED, VAE, job
from lvmviz.ui.pixels_scenes import SCENES
from tests.widgets import control, sound, visited, words

PAGE = str(Path(__file__).parents[2] / "pages" / "10_missing_pixels.py")
TIED = {"image": "3", "rows": "4"}


def parts(app: AppTest, component: str) -> list[dict]:
    """What the browser's components of a kind were told."""
    found = [one.proto for one in app.get("bidi_component")]
    return [json.loads(one.json) for one in found if one.component_name == f"lvmviz_{component}"]


def plots(app: AppTest) -> dict[str, dict]:
    return {one["name"]: one for one in parts(app, "plot")}


def numbers(app: AppTest) -> dict[str, list[str]]:
    """The table of numbers, by the row's name."""
    rows = next(one["rows"] for one in parts(app, "table") if one["name"] == "numbers")
    return {row[0]: row[1:] for row in rows}


def films(app: AppTest) -> dict[str, dict]:
    return {name: json.loads(one["film"]) for name, one in plots(app).items() if "film" in one}


def printed(app: AppTest) -> str:
    return next(code.value for code in app.code if "from lvmviz" in code.value)


def plain(text: str) -> str:
    return text.replace("\\", "").replace("\u2060", "")


# ---- the numbers, the links, the code ----


@pytest.mark.parametrize(
    ("link", "elbo", "kl"),
    [
        ({"rows": "3"}, "−15.760", "12.431"),
        ({"rows": "3", "q": "ones"}, "−27.532", "24.203"),
        ({"rows": "3", "q": "digit"}, "−3.328", "0.000"),
        ({**TIED, "q": "mean"}, None, "3.426"),
        ({**TIED, "cavi": "1", "step": "99"}, None, "0.745"),
    ],
)
def test_golden_numbers_stand_on_the_page_and_the_printed_code_gives_them(link, elbo, kl):
    app = visited(PAGE, **link)
    assert not app.error and not app.warning
    told = numbers(app)
    assert told["KL(q‖p)"][0] == kl and (elbo is None or told["ELBO"][0] == elbo)
    assert re.fullmatch(r"−?\d+\.\d{2,6} ± \d+\.\d{2,6}", told["ELBO"][1]) and told["log p(x_o)"][1] == ""
    space: dict = {}
    *head, last = printed(app).splitlines()
    exec("\n".join(head), space)
    assert len(head) <= 11
    value = eval(last.partition("#")[0], space)
    assert f"{value:.3f}".replace("-", "−") == last.partition("# ")[2].removesuffix(" nats")
    assert float(kl) == pytest.approx(value, abs=6e-4)


def test_every_line_of_the_derivation_agrees():
    for line in ("1", "2", "4", "6", "7", "8", "10"):
        latex = visited(PAGE, line=line).latex[0].value
        assert "\\checkmark" in latex and "undefined" not in latex
    assert "\\ge" in visited(PAGE, line="5").latex[0].value


def test_buttons_put_q_and_the_link_says_where():
    app = visited(PAGE)
    for name, told in (("put_ones", "ones"), ("put_mean", "mean"), ("climb", "mean")):
        sound(app.button(key=name).click().run())
        assert app.query_params["q"] == told
    assert app.query_params["cavi"] == "1" and parts(app, "player")
    ledger = next(one for one in parts(app, "table") if one["name"] == "ledger")
    assert len(ledger["rows"]) == parts(app, "player")[0]["count"] >= 2
    sound(app.button(key="leave").click().run())
    assert "cavi" not in app.query_params and not parts(app, "player")
    sound(app.button(key="again").click().run())
    assert app.query_params["seed"] == "1" and "seed 1" in words(app)
    sound(control(app, "rows").set_value(5).run())
    sound(app.button(key="reset").click().run())
    assert "q" not in app.query_params and control(app, "rows").value == 3
    sound(app.button(key="put_ones").click().run())
    sound(app.button(key="put_half").click().run())
    assert "q" not in app.query_params


def test_what_the_brush_hid_and_painted_is_in_the_link():
    whole = visited(PAGE, rows="0", toggled="2.7.33", painted="7.30-33.100-4.20")
    assert not whole.error and not whole.warning and "3 pixels hidden" in words(whole)
    assert "hidden[[2, 7, 33]] = True" in printed(whole)
    assert "phi = torch.tensor([0.5, 0.3, 1.0]" in printed(whole)
    shown = visited(PAGE, rows="1", toggled="0.1")
    assert "hidden[[2, 3, 4]] = True" in printed(shown)
    canvases = plots(shown)["picture"]["brush"]
    assert [one["name"] for one in canvases] == ["seen", "q"]
    assert all((one["rows"], one["columns"]) == (7, 5) for one in canvases)


@pytest.mark.parametrize(
    ("link", "said"),
    [
        ({"toggled": "1.x"}, "are no pixels; none is used"),
        ({"painted": "1.2.3"}, "is no painting; none is used"),
        ({"q": "best"}, "must be one of half, ones, digit, mean"),
        ({"toggled": "0.99999"}, "toggled names pixels that this image does not have"),
        ({"painted": "400.50"}, "painted names pixels that this image does not have"),
        ({"painted": "2.999"}, "is no painting; none is used"),
        ({"cavi": "yes"}, "cavi = yes must be 1 or missing"),
        ({"rows": "8"}, "must lie between 0 and 7"),
        ({"joint": "PixelCNN"}, "must be one of Small font"),
        ({"step": "-3"}, "is no step"),
    ],
)
def test_a_wrong_link_is_said_and_the_page_stands(link, said):
    app = visited(PAGE, **{"cavi": "1", **link})
    assert said in plain(words(app)) and not app.error and "picture" in plots(app)


def test_each_stroke_is_a_move_and_undo_takes_the_last_one():
    app = visited(PAGE, **TIED, painted="3.100-4.100_9.0_30.100")  # the last on a pixel that is seen
    film = films(app)["moves"]
    line = next(one for one in film["figure"]["data"] if one["name"] == "ELBO")
    joint, hidden = summaries.small_font(), np.arange(35) < 20
    left = hidden_given_seen(font_mixture(), font_digits()[3], torch.tensor(hidden))
    phis = torch.full((3, 20), 0.5).double()
    phis[1:, 3:5], phis[2, 9] = 1.0, 0.0
    assert np.allclose(line["y"], [one.elbo for one in Completions(left).terms(phis)], atol=1e-9)
    ahead = next(one for one in film["figure"]["data"] if one["name"] == "ELBO, CAVI from here")
    open_ = summaries.opened(summaries.Image(joint, joint.images[3], hidden))
    sweeps = summaries.terms(open_, summaries.path(open_, phis[2].numpy()))
    assert np.allclose(ahead["y"], [one.elbo for one in sweeps], atol=1e-9) and film["count"] == 1
    app = visited(PAGE, **TIED, painted="3.100-4.100_9.0", cavi="1")
    assert films(app)["moves"]["count"] == len(sweeps)
    names = [one["name"] for one in films(app)["moves"]["figure"]["data"]]
    assert "ELBO, CAVI from here" not in names


def test_strokes_are_written_one_by_one_and_old_ones_together(monkeypatch):
    kept: dict[str, str] = {}
    monkeypatch.setattr(pixels.state, "placed", lambda name: kept.get(name, ""))
    monkeypatch.setattr(pixels.state, "place", kept.__setitem__)
    for cell in range(pixels.MOST_STROKES):
        pixels.paint([cell], 0.25)
    assert kept["painted"].count("_") == pixels.MOST_STROKES - 1
    pixels.paint([40, 39], 1.0)
    assert kept["painted"].startswith("0.25-1.25_2.25_") and kept["painted"].endswith("_39.100-40.100")


def test_where_no_digit_is_known_q_stays_at_a_half(monkeypatch):
    told: list[str] = []
    monkeypatch.setattr(pixels.state, "placed", lambda name: "digit" if name == "q" else "")
    monkeypatch.setattr(pixels.state, "place", lambda name, value: None)
    monkeypatch.setattr(pixels.state, "problem", told.append)
    assert pixels._preset(summaries.small_font()) == "digit" and not told
    assert pixels._preset(summaries.small_font()._replace(alike=None)) == "half" and "no labels" in told[0]
    joint = summaries.small_font()._replace(alike=None)
    open_ = summaries.opened(summaries.Image(joint, joint.images[3], np.arange(35) < 5))
    assert set(summaries.places(open_, 9, 0)) == {summaries.HALF, summaries.ONES, summaries.MEAN}


def test_a_q_that_is_sure_of_a_pixel_leaves_some_out_in_the_derivation():
    latex = visited(PAGE, painted="3.100", line="4").latex[0].value
    assert "\\ge" in latex and "\\checkmark" not in latex


# ---- the ends ----


@pytest.mark.parametrize(
    ("link", "said"),
    [
        ({"rows": "0"}, "Nothing is hidden"),
        ({"rows": "0", "cavi": "1"}, "Nothing is hidden"),
        ({"rows": "7"}, "Everything is hidden"),
        ({"rows": "7", "cavi": "1"}, "closed bound and a mean over draws"),
        ({"pixels": "all off"}, "Draws: seed 0"),
        ({"pixels": "all on", "rows": "2"}, "Draws: seed 0"),
        ({"brush": "0.0", "painted": "0.0"}, "Draws: seed 0"),
    ],
)
def test_the_ends_are_told(link, said):
    app = visited(PAGE, **link)
    assert not app.error and said in words(app)
    assert {"picture", "completions", "thermometer"} <= set(plots(app))


def test_an_image_that_is_too_open_has_errors_in_place_of_exact_numbers():
    told = numbers(visited(PAGE, rows="7", q="digit"))
    assert set(told) == {"log p(x_o)", "ELBO", "KL(q‖p)"} and told["log p(x_o)"] == ["0.000", ""]
    value, error = map(float, told["KL(q‖p)"][1].split(" ± "))
    assert abs(value - np.log(10)) < 4 * error + 0.01
    climbed = visited(PAGE, rows="7", q="digit", cavi="1")
    gauge = json.dumps(films(climbed)["thermometer"], ensure_ascii=False)
    assert "± 0.0" in gauge and "sweeps of CAVI, ± 0.0" in words(climbed)
    assert any(
        "KL(q‖p) = 2.3" in text and "±" in text for text in films(climbed)["moves"]["moves"][-1]["list"]
    )


# ---- learned joints ----


def test_a_mixture_learned_from_holes_completes_digits():
    app = visited(PAGE, joint=LEARNED, share="50", q="mean")
    assert not app.error and "16 pixels hidden" in words(app)
    made = job(0.5)
    joint = summaries.learned(run(made))
    hidden = np.arange(64) < 16
    open_ = summaries.opened(summaries.Image(joint, joint.images[9], hidden))
    (exact,) = summaries.terms(open_, open_.posterior_mean[None])
    assert numbers(app)["log p(x_o)"][0] == f"{exact.log_evidence:.3f}".replace("-", "−")
    assert "missing=0.5" in printed(app)
    more = visited(PAGE, joint=LEARNED, share="50", rows="4", cavi="1")
    assert (
        not more.error
        and "32 pixels hidden" in words(more)
        and "S = 1000" in json.dumps(parts(more, "table"))
    )


def test_without_a_run_the_page_offers_one(tmp_path, monkeypatch):
    monkeypatch.setenv("LVMVIZ_HOME", str(tmp_path))
    app = visited(PAGE, joint=VAE)
    assert not app.error and "No VAE of images is trained yet" in words(app)


def test_a_vae_run_is_a_joint_too(tmp_path, monkeypatch):
    monkeypatch.setenv("LVMVIZ_HOME", str(tmp_path))
    made = Store(tmp_path).create(Job(TrainVAE(data=DigitImages(count=200)), steps=20))
    assert execute(made.job, made.path) == "finished"
    trace = made.trace()
    at = vae.moment(trace, len(trace) - 1)
    joint, test = pixels_by_vae.joint(at), vae.half(at.vae, "test")
    hidden = np.arange(64) < 16
    nothing = [summaries.opened(summaries.Image(joint, x, hidden & False)) for x in joint.images[:5]]
    exact = vae.told(at, test.x[:5]).log_evidence  # another rule: it refines a lattice of its own
    assert np.allclose([float(one.conditional.log_evidence) for one in nothing], exact, atol=1e-4)
    open_ = summaries.opened(summaries.Image(joint, joint.images[9], hidden))
    assert open_.exact and pixels_by_vae.rule_error(open_) < 1e-3
    app = visited(PAGE, joint=VAE)
    (terms,) = summaries.terms(open_, np.full((1, 16), 0.5))
    assert not app.error and numbers(app)["KL(q‖p)"][0] == f"{terms.kl:.3f}"
    assert "two halves of it differ by" in words(app)
    space: dict = {}
    *head, last = printed(app).splitlines()
    exec("\n".join(head), space)
    assert eval(last.partition("#")[0], space) == pytest.approx(terms.kl, rel=1e-6)
    app = visited(PAGE, joint=VAE, rows="4", cavi="1")
    assert not app.error and "S = 150" in json.dumps(parts(app, "table"))


def test_a_run_that_is_no_mixture_of_bernoullis_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("LVMVIZ_HOME", str(tmp_path))
    made = Store(tmp_path).create(Job(TrainVAE(data=DigitImages(count=100), latent=3), steps=2))
    assert execute(made.job, made.path) == "finished"
    app = visited(PAGE, joint=VAE)
    assert "choose a run with two latents and a Bernoulli likelihood" in plain(app.error[0].value)


# ---- scenes ----


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_a_scene_opens_and_fits_its_card(scene, tmp_path, monkeypatch):
    monkeypatch.setenv("LVMVIZ_HOME", str(tmp_path))
    assert len(scene.question) <= 90 and 0 <= scene.right < len(scene.answers)
    if scene.link.get("joint") == LEARNED:
        return  # opened above
    if scene.link.get("joint") == VAE:  # its numbers: tests/test_latent_strip.py, which trains that run
        app = visited(PAGE, **scene.link, scene=scene.name)
        assert not app.error and scene.question in words(app)
        assert "Train on Digits" in app.button(key="start").label
        return
    app = visited(PAGE, **scene.link, scene=scene.name)
    assert not app.error and not app.warning and scene.question in words(app)


def test_numbers_in_the_reasons():
    reasons = {scene.name: scene.reason for scene in SCENES}
    left = hidden_given_seen(font_mixture(), font_digits()[9], torch.arange(35) < 15)
    half, ones = Completions(left).terms(torch.tensor([[0.5] * 15, [0.999] * 15]).double())
    for value in (half.elbo, half.log_evidence, half.entropy):
        assert f"{value:.2f}".replace("-", "−") in reasons["half"]
    assert f"{ones.elbo:.2f}".replace("-", "−") in reasons["ones"]
    joint = summaries.small_font()
    tied = summaries.opened(summaries.Image(joint, joint.images[3], np.arange(35) < 20))
    found = summaries.best(tied)
    assert found is not None and f"{found.kl:.3f}".lstrip("0") in reasons["three-or-five"]
    (mean,) = summaries.terms(tied, tied.posterior_mean[None])
    assert f"{mean.kl:.2f}" in reasons["three-or-five"]
    end = summaries.terms(tied, summaries.path(tied, np.full(20, 0.5)))[-1]
    assert f"{end.kl:.3f}".lstrip("0") in reasons["cavi-chooses"]
    x = torch.tensor(DigitImages().examples().x > 0.5).double()
    hidden = np.arange(64) < 16
    for asked in (job(0.0), job(0.5)):
        trace = run(asked)
        told = float(log_density(trace[-1].state.theta, Data(x)).mean())
        joint = summaries.learned(trace)
        nine = summaries.opened(summaries.Image(joint, joint.images[19], hidden))
        for value in (told, float(nine.conditional.log_evidence)):
            assert f"{value:.2f}".replace("-", "−") in reasons["holes-in-training"]
        assert joint.labels is not None and joint.labels[19] == 9
    assert joint.component(int(nine.resp.argmax())).endswith("mostly 9")  # what the scene's table says


# ---- the picture ----


def test_an_outline_goes_round_what_is_hidden():
    mask = np.zeros((3, 4), bool)
    mask[1, 1:3] = True
    edges = figures.outline(mask)
    assert len(edges) == 6 and {tuple(edge.ravel()) for edge in edges} == {
        (1, 1, 2, 1), (2, 1, 3, 1), (1, 2, 2, 2), (2, 2, 3, 2), (1, 1, 1, 2), (3, 1, 3, 2)
    }  # fmt: skip
    assert len(figures.outline(np.zeros((3, 4), bool))) == 0


def test_a_film_is_a_frame_a_sweep_and_the_figure_is_sound():
    phis = np.random.default_rng(0).uniform(size=(4, 7, 5))
    shown = figures.Shown(phis[0].round(), phis[1] > 0.5, phis, phis[2], ("a", "b", "c"))
    film = figures.picture(shown, dark=True, height=300)
    assert film.count == 4 and film.at(0) != film.at(3)
    made = figures.completions(phis[:3].round(), np.stack([phis[:3].round()] * 4), dark=False)
    assert made.count == 4 and len(made.figure.layout.images) == 1
