"""Every page by AppTest: it renders at its defaults, at its controls' extremes, and from any link."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from lvmviz.ui.site import PageFile, pages
from tests.widgets import control, sound

ROOT = Path(__file__).parents[2]
PAGES = pages()


def opened(page: PageFile, **link: str) -> AppTest:
    """The page as its script alone; site.py is tested beside it."""
    app = AppTest.from_file(str(page.path), default_timeout=60)
    for name, value in link.items():
        app.query_params[name] = value
    return app.run()


def test_every_page_says_its_title_and_group() -> None:
    assert [page.url for page in PAGES].count("") == 1
    assert all(page.title for page in PAGES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path.stem)
def test_page_renders_at_its_defaults(page: PageFile) -> None:
    app = sound(opened(page))
    assert app.title, "a page shows its title"
    assert not app.error


def test_site_renders_its_first_page() -> None:
    app = sound(AppTest.from_file(str(ROOT / "lvmviz/ui/site.py"), default_timeout=60).run())
    assert app.title[0].value


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path.stem)
def test_every_slider_and_select_box_takes_its_extremes(page: PageFile) -> None:
    app = sound(opened(page))
    count = len(app.slider), len(app.selectbox), len(app.number_input)
    for i in range(count[0]):
        for value in (app.slider[i].min, app.slider[i].max):
            sound(app.slider[i].set_value(value).run())
        app = sound(opened(page))
    for i in range(count[1]):
        for option in range(len(app.selectbox[i].options)):
            sound(app.selectbox[i].select_index(option).run())
        app = sound(opened(page))
    for i in range(count[2]):
        sound(app.number_input[i].set_value(app.number_input[i].max).run())
        app = sound(opened(page))


WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
NAMES = st.sampled_from(
    ["data", "components", "start", "regularizer", "regularizer.amount", "seed", "step", "line", "v", "scene"]
    + [
        "data.features",
        "data.digest",
        "start.centres",
        "presentation",
        "projector",
        "iterations",
        "tolerance",
    ]
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path.stem)
@settings(max_examples=15)
@given(
    link=st.dictionaries(
        NAMES | WORDS,
        WORDS | st.sampled_from(["-1", "1e999", "nan", "[[1]]", "Stored", "ByHand"]),
        max_size=5,
    )
)
def test_no_link_breaks_a_page(page: PageFile, link: dict[str, str]) -> None:
    sound(opened(page, **link))


def test_too_few_points_keep_the_last_picture_and_offer_the_remedy() -> None:
    (page,) = [page for page in PAGES if page.url == "mixtures"]
    app = sound(opened(page, **{"data": "Blobs", "data.points": "30"}))
    pictures = len(app.get("bidi_component"))
    assert pictures > 3
    (points,) = [box for box in app.number_input if box.key == "lvmviz.data.points"]
    sound(points.set_value(2).run())
    assert "2 points cannot start 3 components" in app.error[0].value.replace("\\", "")
    assert len(app.get("bidi_component")) == pictures, "the last good picture stays"
    (remedy,) = [button for button in app.button if button.key == "remedy_components"]
    sound(remedy.click().run())
    assert not app.error
    assert control(app, "components").value == 2
