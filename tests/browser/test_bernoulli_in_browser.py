"""Bernoulli mixtures in a browser: half-steps, mean images, whose images, links, the runs' way back."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser
PLAYER = ".lv-player:not(.lv-save)"
PICTURE = "[data-name=picture]"
BERNOULLIS = "/mixtures?mixture=Bernoullis&data.count=400&iterations=25"


def on_frame(page: Page, index: int) -> None:
    """Every view shows this frame."""
    page.wait_for_function(
        """(index) => ["picture", "members", "curves", "thermometer"]
            .map((name) => `.lv-plot[data-name=${name}]`).concat(".lv-table")
            .every((name) => document.querySelector(name)?.dataset.frame === String(index))
            && document.querySelector(".lv-player").dataset.index === String(index)""",
        arg=index, timeout=60_000,
    )  # fmt: skip


def rested(page: Page, text: str) -> None:
    """Python has heard, and the address says it."""
    expect(page).to_have_url(re.compile(rf"[?&]{text}(&|$)"))
    page.wait_for_function(
        "() => document.querySelector('[data-testid=stApp]').dataset.testScriptState === 'notRunning'"
    )


def picture(page: Page, name: str = "picture") -> np.ndarray:
    """The opacities of the PNG that stands in a plot: how much ink."""
    source = page.locator(f"[data-name={name}] image").get_attribute("href") or ""
    made = Image.open(io.BytesIO(base64.b64decode(source.partition("base64,")[2])))
    return np.asarray(made)[..., 3].astype(float)


def words(page: Page) -> list[str]:
    """What stands below the mean images: the weights, then the counts."""
    return [text for text in page.locator(f"{PICTURE} .textpoint text").all_text_contents() if " " in text]


def count(page: Page) -> int:
    return int(page.locator(f"{PLAYER} input").get_attribute("max") or 0)


def test_e_moves_q_alone_and_m_sharpens_the_images(visit) -> None:
    page = visit(BERNOULLIS)
    on_frame(page, 0)
    start, told = picture(page), words(page)
    assert start.max() > 100 and told[:10] == ["π 0.100"] * 10 and told[10:] == ["N 40"] * 10
    page.locator("[data-move=E]").click()
    on_frame(page, 1)
    assert np.array_equal(picture(page), start)
    assert words(page)[:10] == told[:10] and words(page)[10:] != told[10:]
    page.locator("[data-move=M]").click()
    on_frame(page, 2)
    assert not np.array_equal(picture(page), start) and words(page)[:10] != told[:10]
    rested(page, "step=2")
    expect(page.locator("code").filter(has_text="trace[2].info.elbo")).to_have_count(1)


def test_it_plays_to_its_end_and_says_why_it_ends(visit) -> None:
    page = visit(BERNOULLIS.replace("iterations=25", "components=4&tolerance=0.001"))
    on_frame(page, 0)
    last = count(page)
    page.get_by_role("button", name="Play").click()
    on_frame(page, last)
    rested(page, f"step={last}")
    page.locator("[data-move=E]").click()
    expect(page.locator(f"{PLAYER} output")).to_have_text("EM has settled: E and M change nothing more.")
    sharp = picture(page)
    assert ((sharp > 200) | (sharp < 55)).mean() > 0.5


def test_a_click_on_a_mean_image_shows_its_own(visit) -> None:
    page = visit(BERNOULLIS + "&step=40")
    on_frame(page, 40)
    expect(page.get_by_text("Component 1", exact=True)).to_be_visible()
    before, film = picture(page, "members"), page.locator(PICTURE).get_attribute("data-drawn")
    box = page.locator(f"{PICTURE} image").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + 0.72 * box["height"])
    expect(page.locator(f"{PICTURE} .hoverlayer")).to_contain_text("component 10: weight")
    page.mouse.click(box["x"] + 0.9 * box["width"], box["y"] + 0.72 * box["height"])
    rested(page, "component=10")
    expect(page.get_by_text("Component 10", exact=True)).to_be_visible()
    on_frame(page, 40)
    assert not np.array_equal(picture(page, "members"), before)
    assert page.locator(PICTURE).get_attribute("data-drawn") == film, "the mean images are not sent again"
    page.keyboard.press("e")
    on_frame(page, 41)
    rested(page, "step=41")
    told, seen, link = words(page), picture(page, "members"), page.url.split("/", 3)[3]
    page = visit("/" + link)
    on_frame(page, 41)
    assert words(page) == told and np.array_equal(picture(page, "members"), seen)


def test_from_one_mixture_to_the_other_and_back(visit) -> None:
    page = visit("/mixtures?seed=2&iterations=25")
    switch = page.get_by_role("radiogroup", name="Mixture of")
    switch.get_by_role("radio", name="Bernoullis").click()
    rested(page, "mixture=Bernoullis")
    on_frame(page, 0)
    expect(page.locator(PICTURE)).to_have_attribute("aria-label", re.compile("^Digits: mean images of 10"))
    switch.get_by_role("radio", name="Gaussians").click()
    expect(page).to_have_url(re.compile(r"^(?!.*mixture=)"))
    expect(page.locator(PICTURE)).to_have_attribute("aria-label", re.compile("^Iris: 3 Gaussian"))
    expect(page.locator("[data-name=members]")).to_have_count(0)


def test_means_of_the_digits_principal_components_follow_the_player(visit) -> None:
    page = visit("/mixtures?data=Digits&components=6&iterations=10")
    expect(page.locator("[data-name=means]")).to_have_attribute("data-frame", "0")
    before = picture(page, "means")
    page.keyboard.press("n")
    expect(page.locator("[data-name=means]")).to_have_attribute("data-frame", "2")
    assert before.max() > 100 and not np.array_equal(picture(page, "means"), before)


@pytest.mark.parametrize(("width", "height", "scheme"), [(1440, 900, "dark"), (1024, 768, "light")])
def test_it_is_drawn_and_nothing_hangs_over(visitor, width, height, scheme) -> None:
    visitor.page.set_viewport_size({"width": width, "height": height})
    visitor.page.emulate_media(color_scheme=scheme)
    page = visitor.visit(BERNOULLIS + "&components=20&step=20")
    on_frame(page, 20)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    shot = Image.open(io.BytesIO(page.locator(PICTURE).screenshot())).convert("L")
    assert np.asarray(shot).std() > 20
    box, tiles = (page.locator(name).bounding_box() for name in (PICTURE, f"{PICTURE} image"))
    assert box is not None and tiles is not None
    assert box["x"] <= tiles["x"] and tiles["x"] + tiles["width"] <= box["x"] + box["width"] + 1
