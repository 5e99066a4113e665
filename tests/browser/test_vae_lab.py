"""The VAE lab in a browser: it starts, grows, ends, is found again, plays, and fits the screen."""

import re

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser
PATIENCE_MS = 180_000  # the first run waits for the engine, which lets two browsers go first, to get ready
PLAYER = ".lv-player:not(.lv-save)"
LINK = "/vae_lab?iterations=150"
VIEWS = ("picture", "bound", "terms")


def train(page: Page) -> None:
    page.get_by_role("button", name=re.compile("^Train on Digits")).click()


def drawn(page: Page, name: str) -> None:
    page.wait_for_function(
        "(name) => document.querySelector(`.lv-plot[data-name=${name}] .main-svg`)",
        arg=name,
        timeout=PATIENCE_MS,
    )


def last(page: Page) -> int:
    return int(page.locator(f"{PLAYER} input").get_attribute("max"))  # type: ignore[arg-type]


def on_frame(page: Page, index: int) -> None:
    """Every view that follows the player shows this frame."""
    page.wait_for_function(
        """([index, names]) => names.every((name) =>
            document.querySelector(`.lv-plot[data-name=${name}]`)?.dataset.frame === String(index))""",
        arg=[index, VIEWS],
        timeout=PATIENCE_MS,
    )


def at_rest(page: Page) -> None:
    """Training has ended and the page shows its end."""
    expect(page.locator("[class*='st-key-strip_']")).to_have_count(0, timeout=PATIENCE_MS)
    expect(page.locator(PLAYER)).to_contain_text("epoch 150 of 150", timeout=PATIENCE_MS)


def fits(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_run_is_watched_from_its_start_to_its_end(resident):
    page = resident.visit(LINK)
    expect(page.get_by_text("Nothing is trained with these settings yet.")).to_be_visible()
    train(page)
    drawn(page, "picture")
    page.wait_for_function(
        f"() => Number(document.querySelector('{PLAYER} input')?.max) > 2", timeout=PATIENCE_MS
    )
    at_rest(page)
    on_frame(page, last(page))
    numbers = page.locator("[aria-label='The evidence and its terms']")
    expect(numbers).to_contain_text("S = 100", timeout=PATIENCE_MS)
    expect(page.locator(".lv-plot[data-name=thermometer]")).to_contain_text("KL(q‖p)")
    fits(page)
    resident.check()


def test_the_curve_of_log_p_grows_by_itself(resident):
    page = resident.visit(LINK)
    at_rest(page)
    page.wait_for_function(
        "() => document.querySelectorAll('.lv-plot[data-name=bound] .trace path.point').length >= 5",
        timeout=PATIENCE_MS,
    )
    resident.check()


def test_a_run_that_is_there_is_shown_at_its_end(resident):
    page = resident.visit(LINK)
    at_rest(page)
    expect(page.get_by_role("button", name=re.compile("^Train on"))).to_have_count(0)
    on_frame(page, last(page))


def test_the_player_moves_every_view_and_the_strip_follows(resident):
    page = resident.visit(LINK)
    at_rest(page)
    strip = page.locator(".lv-plot[data-name=strip] image")
    before = strip.get_attribute("href") or strip.get_attribute("xlink:href")
    page.get_by_role("button", name="To the start").click()
    on_frame(page, 0)
    expect(page.locator(PLAYER)).to_contain_text("before training")
    expect(strip).not_to_have_attribute("href", before or "")
    resident.check()


def test_the_plane_can_be_decoded(resident):
    page = resident.visit(LINK)
    at_rest(page)
    page.get_by_role("radio", name="Decoded").click()
    expect(page).to_have_url(re.compile("plane=Decoded"))
    expect(page.locator(".lv-plot[data-name=picture] image")).to_have_count(1)
    resident.check()


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (1024, 768)])
def test_nothing_scrolls_sideways_or_overlaps(resident, width, height):
    resident.page.set_viewport_size({"width": width, "height": height})
    page = resident.visit(LINK)
    at_rest(page)
    fits(page)
    boxes = [page.locator(f".lv-plot[data-name={name}]").bounding_box() for name in (*VIEWS, "strip")]
    assert all(boxes)
    for i, one in enumerate(boxes):
        for other in boxes[:i]:
            apart = (
                one["x"] >= other["x"] + other["width"] - 1
                or other["x"] >= one["x"] + one["width"] - 1
                or one["y"] >= other["y"] + other["height"] - 1
                or other["y"] >= one["y"] + one["height"] - 1
            )
            assert apart
    resident.page.set_viewport_size({"width": 1440, "height": 900})
    resident.check()
