"""Bernoulli mixtures on the page Mixtures: controls, words, numbers, links, and the way there and back."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from lvmviz import (
    EM,
    BernoulliEM,
    DigitImages,
    Digits,
    Job,
    NearlyAlike,
    OpenML,
    Rows,
    StoredImages,
    Wine,
    run,
)
from lvmviz.bernoulli_starts import BernoulliStart
from lvmviz.core import each
from lvmviz.image_sets import put_images
from lvmviz.images import Images
from lvmviz.observations import Observations
from lvmviz.ui import link_of, run_numbers, runs, site
from lvmviz.ui.em_scenes import SCENES
from tests.widgets import control, sound, visited, words

PAGE = str(Path(__file__).parents[2] / "pages" / "05_mixtures.py")
HERE = {"mixture": "Bernoullis"}


def parts(app: AppTest, component: str) -> list[dict]:
    """What the browser's components of a kind were told."""
    found = [one.proto for one in app.get("bidi_component")]
    return [json.loads(one.json) for one in found if one.component_name == f"lvmviz_{component}"]


def plots(app: AppTest) -> dict[str, dict]:
    return {one["name"]: one for one in parts(app, "plot")}


def job(app: AppTest) -> Job:
    """The job whose trace is shown."""
    return app.session_state["lvmviz.kept"][1].job


def opened(em: BernoulliEM, **link: str) -> AppTest:
    return visited(PAGE, **HERE, **link_of(em), **link)


# ---- which mixture ----


def test_an_old_link_without_a_mixture_means_gaussians():
    app = visited(PAGE, data="Wine", components="4", seed="3")
    assert job(app) == Job(EM(data=Wine(), components=4), steps=200, seed=3)
    assert "mixture" not in app.query_params and not app.warning and "members" not in plots(app)


def test_the_switch_leads_there_and_back():
    app = visited(PAGE, components="4")
    sound(control(app, "mixture").set_value("Bernoullis").run())
    assert job(app) == Job(BernoulliEM(components=4), steps=200)
    assert "Bernoullis" in app.query_params["mixture"]
    assert {"picture", "members", "curves", "thermometer"} <= set(plots(app))
    sound(control(app, "mixture").set_value("Gaussians").run())
    assert job(app) == Job(EM(components=4), steps=200) and "mixture" not in app.query_params


def test_a_number_of_components_that_nobody_touched_goes_to_its_own_default():
    app = visited(PAGE)
    sound(control(app, "mixture").set_value("Bernoullis").run())
    assert control(app, "components").value == 10 and job(app) == Job(BernoulliEM(), steps=200)
    sound(control(app, "mixture").set_value("Gaussians").run())
    assert control(app, "components").value == 3 and job(app) == Job(EM(), steps=200)


def test_an_unknown_mixture_is_said_and_gaussians_are_shown():
    app = visited(PAGE, mixture="Poissons")
    assert "must be one of Gaussians, Bernoullis" in words(app).replace("\\", "").replace("\u2060", "")
    assert job(app) == Job(EM(), steps=200)


# ---- every control ----


@pytest.mark.parametrize(
    "em",
    [
        BernoulliEM(),
        BernoulliEM(components=1),
        BernoulliEM(components=20, data=DigitImages(count=200)),
        BernoulliEM(components=3, pseudo_count=100.0, data=DigitImages(count=200)),
        BernoulliEM(components=3, threshold=0.0, data=DigitImages(count=200)),
        BernoulliEM(components=3, threshold=0.9, data=DigitImages(count=200)),
        BernoulliEM(components=3, tolerance=0.0, data=DigitImages(count=200)),
        BernoulliEM(components=10, data=DigitImages(count=10)),
        BernoulliEM(components=3, start=NearlyAlike(shake=0.5), data=DigitImages(count=200)),
        BernoulliEM(components=4, data=Rows()),
        BernoulliEM(components=4, data=Rows(table=Wine(), scaled=False)),
    ],
    ids=range(11),
)
def test_a_link_opens_what_it_says_and_says_what_is_open(em: BernoulliEM):
    app = opened(em, seed="5")
    assert not app.error and not app.warning
    assert job(app) == Job(em, steps=200, seed=5)
    told = {name: value[0] if isinstance(value, list) else value for name, value in app.query_params.items()}
    assert told == {**HERE, **link_of(em), "seed": "5", "v": "1"}


@pytest.mark.parametrize("start", list(each(BernoulliStart)), ids=lambda start: type(start).__name__)
@pytest.mark.parametrize("data", Observations.options)
def test_every_set_and_start_is_shown_or_says_what_is_missing(data: str, start: BernoulliStart):
    app = visited(PAGE, mixture="Bernoullis", data=data, start=type(start).__name__, components="2")
    assert not app.error
    if data in ("StoredImages", "OpenML"):
        assert any(
            sentence in words(app) for sentence in ("No images yet. Load some", "is fetched from openml")
        )
        assert "lvmviz.kept" not in app.session_state
    else:
        assert job(app).algorithm.start == start and "picture" in plots(app)


def test_images_that_are_not_here_are_an_error_with_the_remedy():
    app = visited(PAGE, mixture="Bernoullis", data="StoredImages", **{"data.digest": "ab" * 32}, seed="4")
    assert "upload the images again" in app.error[0].value and "picture" not in plots(app)
    assert control(app, "seed").value == 4


def test_an_error_keeps_no_picture_of_the_other_mixture():
    app = visited(PAGE)
    assert "picture" in plots(app)
    app.query_params.clear()
    sound(control(app, "mixture").set_value("Bernoullis").run())
    sound(control(app, "data").set_value("StoredImages").run())
    assert "picture" not in plots(app) and "No images yet" in words(app)
    sound(control(app, "data").set_value("DigitImages").run())
    assert job(app) == Job(BernoulliEM(), steps=200)


def test_too_few_images_offer_the_remedy():
    three = put_images(Images((255 * np.eye(3)[:, None]).astype(np.uint8), None))
    app = opened(BernoulliEM(data=StoredImages(digest=three)))
    assert "3 images cannot start 10 components" in app.error[0].value.replace("\\", "")
    (remedy,) = [button for button in app.button if button.key == "remedy_components"]
    sound(remedy.click().run())
    assert not app.error and control(app, "components").value == 3


@pytest.mark.parametrize(("text", "shown"), [("", 1), ("4", 4), ("10", 10), ("11", 10), ("99", 10)])
def test_the_link_says_whose_images_are_shown(text: str, shown: int):
    app = opened(BernoulliEM(), **({"component": text} if text else {}))
    assert f"**Component {shown}**" in words(app) and not app.warning
    assert f"Images of component {shown}:" in plots(app)["members"]["alt"]


def test_images_without_a_pixel_that_is_on_are_told():
    app = opened(BernoulliEM(threshold=1.0))
    assert "No pixel is on: lower the threshold" in words(app)


@pytest.mark.parametrize("text", ["0", "00", "-1", "x", "1.5", "1" * 40, "٣"])
def test_a_component_that_is_none_is_said(text: str):
    app = opened(BernoulliEM(), component=text)
    assert "is no component" in words(app) and "**Component 1**" in words(app)
    assert "component" not in app.query_params


# ---- words and numbers ----


def test_numbers_are_per_image_and_the_ledger_tells_them():
    app = opened(BernoulliEM(), step="6")
    info = run(Job(BernoulliEM(), steps=200))[6].info
    assert "ELBO and log-likelihood per image" in words(app)
    ledger, table = parts(app, "table")
    said = ledger["rows"][6][1].replace("−", "-")
    assert said == f"{info.elbo / 1797:.4f}"
    assert [column["label"] for column in table["columns"]] == ["", "weight π", "images N", "mostly"]
    frames = json.loads(table["film"]) if "film" in table else None
    assert frames is None or len(frames[0]) == 10


def test_images_without_labels_have_no_column_of_classes():
    rows = np.random.default_rng(0).integers(0, 2, (30, 4, 5)) * 255
    digest = put_images(Images(rows.astype(np.uint8), None))
    app = opened(BernoulliEM(data=StoredImages(digest=digest), components=3))
    _, table = parts(app, "table")
    assert [column["label"] for column in table["columns"]] == ["", "weight π", "images N"]
    assert all(len(row) == 3 for frame in json.loads(table["film"]) for row in frame)


def test_pseudo_counts_change_what_m_is_said_to_do():
    plain = opened(BernoulliEM(components=2))
    priced = opened(BernoulliEM(components=2, pseudo_count=1.0), line="7")
    said = "that sum never falls, ELBO and log p(X) alone may"
    assert said in words(priced) and said not in words(plain)
    (m,) = [button for button in parts(priced, "player")[0]["buttons"] if button["label"] == "M"]
    assert "ELBO + log p(θ)" in m["help"] and "ELBO + log p(θ)" in m["refusal"][2]
    assert "the first term + log p(θ)" in words(priced)
    (m,) = [button for button in parts(plain, "player")[0]["buttons"] if button["label"] == "M"]
    assert m["help"].startswith("M-step: θ maximizes the ELBO; both rise")


@pytest.mark.parametrize("line", range(1, 9))
def test_every_line_of_the_derivation_agrees(line: int):
    app = opened(BernoulliEM(components=3, data=DigitImages(count=200)), line=str(line), step="4")
    latex = app.latex[0].value
    assert "mathcal{N}" not in latex and ("\\checkmark" in latex or "\\ge" in latex)
    assert ("\\prod_d" in latex) == (line == 1)


def test_the_lines_that_are_printed_run():
    em = BernoulliEM(components=3, pseudo_count=0.1, data=DigitImages(count=200), start=NearlyAlike())
    app = opened(em, seed="2", step="6")
    printed = next(code.value for code in app.code if "from lvmviz" in code.value)
    space: dict = {}
    exec(printed, space)
    told = space["trace"][6].info.elbo
    assert space["bernoulliem"] == em
    assert printed.endswith(f"trace[6].info.elbo  # {told:.4f} nats".replace("-", "−"))


def test_the_end_is_told():
    app = opened(BernoulliEM(components=2, data=DigitImages(count=100)))
    ends = {button["refusal"][-1] for button in parts(app, "player")[0]["buttons"]}
    assert ends == {"EM has settled: E and M change nothing more."}
    short = opened(BernoulliEM(), iterations="2")
    ends = {button["refusal"][-1] for button in parts(short, "player")[0]["buttons"]}
    assert ends == {"This trace ends here: allow more iterations under More."}


# ---- the runs page ----


@pytest.mark.parametrize("em", [BernoulliEM(), BernoulliEM(components=2, data=DigitImages(count=90))])
def test_a_run_opens_on_this_page(em: BernoulliEM):
    asked = Job(em, steps=40, seed=9)
    url, link = runs.page_of(asked)  # type: ignore[misc]
    assert url == "mixtures" and link["mixture"] == "Bernoullis"
    assert job(visited(PAGE, **link)) == asked
    assert runs.page_of(Job(EM(), steps=40))[1].get("mixture") is None  # type: ignore[index]
    assert runs.page_of(Job(em, steps=41)) is None


def test_its_numbers_are_told_per_image_without_fetching_any():
    assert run_numbers.unit(Job(BernoulliEM())) == (1797, "nats per image")
    assert run_numbers.unit(Job(BernoulliEM(data=OpenML(count=5000)))) == (5000, "nats per image")
    assert run_numbers.unit(Job(BernoulliEM(data=Rows()))).count == len(Rows().examples().x)
    gone = run_numbers.unit(Job(BernoulliEM(data=StoredImages(digest="cd" * 32))))
    assert gone == (1, "nats in all")
    assert not run_numbers.alike(Job(BernoulliEM()), Job(EM()))


@pytest.mark.parametrize(
    ("said", "meant"),
    [('"EM"', {"EM": {}}), ('{"EM": {}, "Other": {"of": "b"}}', {"EM": {}, "Other": {"of": "b"}}), ("", {})],
)
def test_a_page_says_which_runs_it_shows(said, meant, tmp_path, monkeypatch):
    (tmp_path / "pages").mkdir()
    monkeypatch.setattr(site, "ROOT", tmp_path)
    line = f"SHOWS = {said}\n" if said else ""
    (tmp_path / "pages" / "05_some.py").write_text(f'TITLE = "T"\nGROUP = "EM"\n{line}')
    assert site.pages()[0].shows == meant


# ---- the digits by PCA ----


def test_means_over_principal_components_are_shown_as_images():
    app = visited(PAGE, **link_of(EM(data=Digits(), components=5)))
    assert "means" in plots(app) and plots(app)["means"]["channel"] == "player"
    assert "means" not in plots(visited(PAGE))


# ---- the scenes ----


@pytest.mark.parametrize("name", ["ten-digits", "all-ten"])
def test_a_scene_opens_and_fits_its_card(name: str):
    (scene,) = [scene for scene in SCENES if scene.name == name]
    assert len(scene.question) <= 90
    app = visited(PAGE, **scene.link, scene=name)
    assert not app.error and not app.warning and scene.question in words(app)
    made = job(app).algorithm
    assert isinstance(made, BernoulliEM) and {**HERE, **link_of(made)}.items() <= dict(scene.link).items()


def test_names_of_scenes_are_their_own():
    assert all(one.name != other.name for one, other in itertools.combinations(SCENES, 2))
