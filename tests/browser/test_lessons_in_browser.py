"""The VAE's lessons in a browser: the training loop steps by itself, the sigmoid decoder fits the screen."""

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser
LINK = "/vae_lab?iterations=3&data.count=120"
NEXT, BACK = "The next box (right arrow)", "One box back (left arrow)"
LEAP = "To the next minibatch's first box"


def opened(visit) -> Page:
    page = visit(LINK)
    page.locator(".lv-box").nth(7).wait_for()
    return page


def told(page: Page) -> str:
    return page.locator(".lv-loop-told").inner_text()


def at_rest(page: Page) -> None:
    """Whatever the page works out in small parts is done: the estimate is the last of it."""
    expect(page.locator("[aria-label='The evidence and its terms']")).to_contain_text("S = 100")
    page.wait_for_function("() => !document.querySelector('[class*=st-key-poll_]')")


def test_boxes_step_without_a_message(visitor, visit):
    page = opened(visit)
    at_rest(page)
    visitor.sent.clear()
    first = page.locator(".lv-boxes").inner_text()
    for _ in range(3):
        page.get_by_label(NEXT).click()
    assert told(page).startswith("minibatch 1 of 6, box 4 of 8: Decoder")
    expect(page.locator(".lv-box.lv-on strong")).to_have_text("Decoder")
    assert page.locator(".lv-box.lv-later").count() == 4
    page.get_by_label(BACK).click()
    page.get_by_label(LEAP).click()
    assert told(page).startswith("minibatch 2 of 6, box 1 of 8")
    assert page.locator(".lv-boxes").inner_text() != first
    page.locator(".lv-loop").press("ArrowLeft")
    assert told(page).startswith("minibatch 1 of 6, box 8 of 8: Adam")
    assert page.locator(".lv-player input").first.input_value() == "3", (
        "the player's arrow keys are not meant"
    )
    assert not visitor.sent


def test_another_example_has_other_boxes(visit):
    page = opened(visit)
    image = page.locator(".lv-box-image").first
    before = image.get_attribute("src")
    page.get_by_label(NEXT).click()
    box = page.get_by_role("spinbutton", name="Training image")
    box.fill("5")
    box.press("Enter")
    expect(image).not_to_have_attribute("src", before)
    page.wait_for_function("() => location.search.includes('example=5')")
    assert told(page).startswith("minibatch 1 of 6, box 1 of 8"), "another image begins at its first box"


@pytest.mark.parametrize("width", [1440, 1024])
@pytest.mark.parametrize("link", [LINK, "/vae_lab?model=Sigmoid+decoder"])
def test_nothing_is_wider_than_the_screen(visit, visitor, link, width):
    visitor.page.set_viewport_size({"width": width, "height": 800})
    page = visit(link)
    page.locator("[data-card=bent]").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for name in (".lv-box-rows", ".lv-box-head", ".st-key-scenes", ".st-key-derivation"):
        for box in page.locator(name).all():
            assert box.evaluate("(node) => node.scrollWidth <= node.clientWidth + 1"), name


def test_the_posterior_follows_its_datum(visit):
    page = visit("/vae_lab?model=Sigmoid+decoder")
    numbers = page.locator("[aria-label='The evidence and its terms']")
    expect(numbers).to_contain_text("0.532")
    page.get_by_role("slider", name="Datum x₁").press("ArrowLeft")
    expect(numbers).not_to_contain_text("0.532")


def test_a_scene_opens_from_the_empty_stage_and_answers(visit):
    page = visit("/vae_lab?seed=77")  # which no other test trains
    expect(page.get_by_text("Nothing is trained with these settings yet.")).to_be_visible()
    card = page.get_by_text("The lagging encoder").locator("xpath=ancestor::*[.//button][1]")
    card.get_by_role("button").first.click()
    expect(page.get_by_text("does q sit on the posterior?").first).to_be_visible()
    expect(page.locator(".lv-player").first).to_contain_text("epoch 10 of 40", timeout=60_000)
    page.get_by_text("It lags behind", exact=True).click()
    expect(page.get_by_text("Right.")).to_be_visible()
    thermometer = page.locator(".lv-plot[data-name=thermometer]")
    expect(thermometer).to_contain_text("1.31", timeout=60_000)
