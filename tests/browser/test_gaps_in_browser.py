"""The gaps in a browser: a scene, a film, a bar that is clicked; it fits both screens and themes."""

import re

import pytest
from playwright.sync_api import Page, expect

from lvmviz import MLP, DigitImages, Job, TrainVAE
from lvmviz.runs.execute import execute
from lvmviz.runs.store import Store

pytestmark = pytest.mark.browser
RUN = "/gaps?model=A+VAE%E2%80%99s+run"
NUMBERS = '[aria-label="The gap and its parts at this x, and means over x"]'
OVERLAP = """() => {
  const shown = [...document.querySelectorAll('.lv-plot, .lv-table')].map((n) => n.getBoundingClientRect());
  return shown.flatMap((a, i) => shown.slice(0, i).filter((b) =>
    a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1)).length;
}"""


@pytest.fixture(scope="module", autouse=True)
def trained(home) -> None:
    vae = TrainVAE(data=DigitImages(count=300), encoder=MLP(hidden=32), decoder=MLP(hidden=32))
    job = Job(vae, steps=10, seed=9)
    assert execute(job, Store(home).create(job).path) == "finished"


def fits(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate(OVERLAP) == 0


def test_a_scene_is_guessed_and_the_film_plays(visitor):
    page = visitor.visit("/gaps")
    page.locator("[data-scene=outside]").click()
    page.get_by_role("radio", name="More than a hundred times").click()
    expect(page.get_by_text("Right.")).to_be_visible()
    expect(page.locator(NUMBERS)).to_contain_text("x = 2.6")
    before = page.locator(".lv-plot[data-name=thermometer]").text_content()
    page.locator(".lv-player input[type=range]").first.fill("0")
    expect(page.locator(".lv-plot[data-name=thermometer]")).not_to_have_text(before or "")
    page.get_by_role("button", name="Undo").click()
    expect(page).not_to_have_url(re.compile("scene=outside"))


def test_a_click_on_a_bar_chooses_the_image(visitor):
    page = visitor.visit(RUN)
    bars = page.locator(".lv-plot[data-name=bars]")
    box = bars.bounding_box()
    assert box
    page.mouse.click(box["x"] + 48 + (box["width"] - 56) * (6 + 0.6) / 12.2, box["y"] + box["height"] / 2)
    expect(page).to_have_url(re.compile("image=7"))
    expect(page.get_by_text("of datum 7")).to_be_visible()


@pytest.mark.parametrize(("width", "height", "scheme"), [(1440, 900, "dark"), (1024, 768, "light")])
def test_every_view_fits_the_screen(visitor, width, height, scheme):
    visitor.page.set_viewport_size({"width": width, "height": height})
    visitor.page.emulate_media(color_scheme=scheme)
    for path in ("/gaps?step=999", RUN, "/gaps?view=Linear+VAE&latents=2&angle=30"):
        fits(visitor.visit(path))
