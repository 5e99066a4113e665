"""The latent space in a browser: hovering asks nobody, a pin tells numbers, keys walk, it fits the screen."""

import re

import pytest
from playwright.sync_api import Page, expect

from lvmviz import Job, TrainVAE
from lvmviz.runs.execute import execute
from lvmviz.runs.store import Store

pytestmark = pytest.mark.browser
PLANE = ".lv-latent"
NUMBERS = '[aria-label="The pinned image\'s evidence and its terms"]'


@pytest.fixture(scope="module", autouse=True)
def trained(home) -> None:
    job = Job(TrainVAE(), steps=40, seed=8)
    assert execute(job, Store(home).create(job).path) == "finished"


def opened(visitor, link: str = "") -> Page:
    page = visitor.visit(f"/latent_space{link}")
    expect(page.locator(PLANE)).to_have_attribute("data-drawn", re.compile(r"\d"))
    return page


def middle(page: Page) -> tuple[float, float]:
    box = page.locator(PLANE).bounding_box()
    assert box
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2 - 10


def count(page: Page) -> int:
    return int(page.locator(PLANE).get_attribute("data-frames") or 0)


def test_hovering_decodes_and_asks_nobody(visitor):
    page = opened(visitor)
    x, y = middle(page)
    page.mouse.move(x, y)
    page.wait_for_function("() => document.querySelector('.lv-latent').dataset.at")
    before, sent = count(page), len(visitor.sent)
    for k in range(40):
        page.mouse.move(x + 2 * k, y + k)
    page.wait_for_function(
        "(least) => +document.querySelector('.lv-latent').dataset.frames >= least", arg=before + 10
    )
    assert len(visitor.sent) == sent


def test_a_click_pins_and_the_numbers_follow(visitor):
    page = opened(visitor)
    before = page.locator(NUMBERS).inner_text()
    x, y = middle(page)
    page.mouse.click(x + 90, y - 60)
    expect(page).to_have_url(re.compile(r"at=[\d.]+%2C[\d.]+"))
    expect(page.get_by_text("log p(z) =")).to_be_visible()
    expect(page.locator(".lv-plot[data-name=pinned]")).to_contain_text("at the pin")
    expect(page.locator(NUMBERS)).not_to_have_text(before)
    expect(page.locator(NUMBERS)).to_contain_text("±")


def test_a_link_opens_the_very_pin(visitor):
    page = opened(visitor, "?at=0.5,-1.25&show=Holes&path=Sphere&v=1")
    expect(page.get_by_text("red is a hole")).to_be_visible()
    assert page.evaluate("() => document.querySelector('.lv-latent').parentElement.lvLatent.data.pin") == [
        0.5,
        -1.25,
    ]


def test_keys_walk_and_enter_pins(visitor):
    page = opened(visitor, "?at=0,0&v=1")
    page.locator(PLANE).focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowUp")
    expect(page.locator(PLANE)).to_have_attribute("data-at", "0.1500 0.1500")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"at=0\.15%2C0\.15"))


@pytest.mark.parametrize("mode", ["Training images", "Holes", "Decoder variance"])
def test_every_mode_is_drawn(visitor, mode):
    opened(visitor, f"?show={mode.replace(' ', '%20')}&v=1")


@pytest.mark.parametrize(("width", "height", "scheme"), [(1440, 900, "dark"), (1024, 768, "light")])
def test_it_fits_the_screen_in_both_themes(visitor, width, height, scheme):
    visitor.page.set_viewport_size({"width": width, "height": height})
    visitor.page.emulate_media(color_scheme=scheme)
    page = opened(visitor)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    boxes = [
        page.locator(f).bounding_box()
        for f in (PLANE, ".lv-plot[data-name=walk]", ".lv-plot[data-name=pinned]")
    ]
    for i, one in enumerate(boxes):
        for other in boxes[:i]:
            assert one and other
            assert (one["x"] >= other["x"] + other["width"] - 1 or other["x"] >= one["x"] + one["width"] - 1
                    or one["y"] >= other["y"] + other["height"] - 1
                    or other["y"] >= one["y"] + one["height"] - 1)  # fmt: skip
