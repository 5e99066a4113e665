"""Missing pixels in a browser: the brush hides and paints, keys too, CAVI plays, nothing hangs over."""

import io
import re

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser
PATH = "/missing_pixels"
PICTURE = "[data-name=picture]"
QUIET = """() => document.querySelector("[data-testid=stApp]").dataset.testScriptState === "notRunning"
    && document.querySelector("[aria-busy=true]:is(.lv-plot, .lv-table)") === null"""


def rested(page: Page, text: str) -> None:
    """Python has heard, and the address says it."""
    expect(page).to_have_url(re.compile(rf"[?&]{text}(&|$)"))
    page.wait_for_function(QUIET)


def pixel(
    page: Page, canvas: int, row: int, column: int, rows: int = 7, columns: int = 5
) -> tuple[float, float]:
    """The middle of a pixel of one of the two images that can be painted on."""
    box = page.locator(f"{PICTURE} .lv-canvas").nth(canvas).bounding_box()
    assert box is not None and box["width"] > 60
    return box["x"] + (column + 0.5) / columns * box["width"], box["y"] + (row + 0.5) / rows * box["height"]


def test_the_brush_hides_and_paints_and_the_link_says_so(visit) -> None:
    page = visit(PATH + "?rows=1")
    page.mouse.move(*pixel(page, 0, 3, 0))
    page.mouse.down()
    page.mouse.move(*pixel(page, 0, 3, 4))  # faster than the picture: the pixels between are taken too
    expect(page.locator(f"{PICTURE} .lv-cell")).to_have_count(5)
    page.mouse.up()
    rested(page, r"toggled=15\.16\.17\.18\.19")
    expect(page.get_by_text("seen 25, hidden 10", exact=True)).to_be_visible()  # the caption says more
    expect(page.locator(f"{PICTURE} .lv-cell")).to_have_count(0)
    page.mouse.click(*pixel(page, 0, 0, 2))  # a hidden one is shown again
    rested(page, r"toggled=2\.15\.16\.17\.18\.19")
    page.mouse.click(*pixel(page, 1, 3, 1))
    rested(page, r"painted=16\.100")
    page.mouse.click(*pixel(page, 1, 6, 1))  # what is seen is no part of q
    page.wait_for_function(QUIET)
    assert "painted=16.100" in page.url
    page.get_by_role("button", name="Undo").click()
    expect(page).to_have_url(re.compile(r"^(?!.*painted=)"))


def test_arrow_keys_and_space_do_what_the_brush_does(visit) -> None:
    page = visit(PATH + "?rows=2")
    page.locator(f"{PICTURE} .lv-canvas").nth(1).focus()
    for key in ("ArrowRight", "ArrowDown", "Space"):
        page.keyboard.press(key)
    rested(page, r"painted=6\.100")
    page.locator(f"{PICTURE} .lv-canvas").first.focus()
    page.keyboard.press("Space")
    rested(page, r"toggled=0")


def test_cavi_plays_and_every_view_follows(visit) -> None:
    page = visit(PATH + "?image=3&rows=4")
    page.get_by_role("button", name="CAVI", exact=True).click()
    expect(page).to_have_url(re.compile(r"step=[1-9]"))
    last = page.locator(".lv-player").get_attribute("data-index")
    for name in ("picture", "completions", "moves", "thermometer"):
        expect(page.locator(f"[data-name={name}]")).to_have_attribute("data-frame", last or "")
    page.wait_for_function(QUIET)
    expect(page.locator("code").filter(has_text="coordinate_ascent(left, phi")).to_have_count(1)
    expect(page.get_by_text("1 of 7")).to_have_count(0)


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (1024, 768)])
def test_it_is_drawn_and_nothing_hangs_over(visit, width, height) -> None:
    page = visit(PATH)
    page.set_viewport_size({"width": width, "height": height})
    page.emulate_media(color_scheme="dark" if width == 1024 else "light")
    page = visit(PATH + "?image=3&rows=4&q=mean")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    shot = Image.open(io.BytesIO(page.locator(PICTURE).screenshot())).convert("L")
    assert np.asarray(shot).std() > 15
    outer = page.locator(PICTURE).bounding_box()
    for canvas in page.locator(f"{PICTURE} .lv-canvas").all():
        box = canvas.bounding_box()
        assert outer is not None and box is not None
        assert outer["x"] <= box["x"] and box["x"] + box["width"] <= outer["x"] + outer["width"]
