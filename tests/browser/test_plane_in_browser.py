"""Fit q in two dimensions in a browser: the ellipse under the hand, the optimizer, narrow screens."""

from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from playwright.sync_api import Page, expect

from lvmviz import Banana, FullRank, decompose
from lvmviz.summaries.plane import phi_at
from lvmviz.ui.plane_places import places_of

pytestmark = pytest.mark.browser
CENTRE, FIRST = "[data-name=picture] .lv-handle-centre", "[data-name=picture] .lv-handle-first"
READY = """() => {
  const plots = [...document.querySelectorAll(".lv-plot")];
  return document.querySelector("[data-testid=stApp]")?.dataset.testScriptState === "notRunning"
    && document.querySelector("[data-testid=stSkeleton]") === null
    && plots.length >= 3 && plots.every((plot) => plot.dataset.drawn);
}"""
# the middle of q's outer outline as it is drawn, px
MIDDLE = """() => {
  const plot = document.querySelector("[data-name=picture]");
  const { lines } = plot.parentElement.lvPlot.hand.shapes[0];
  const { uid } = plot._fullData[lines[1].trace];
  const box = plot.querySelector(`.trace${uid} .js-line`).getBoundingClientRect();
  return [box.left + box.width / 2, box.top + box.height / 2];
}"""


def opened(visitor, **link: str) -> Page:
    page = visitor.page
    page.goto(visitor.server + "/fit_q_2d" + ("?" + urlencode(link) if link else ""))
    page.wait_for_function(READY, timeout=60_000)
    return page


def at(page: Page, handle: str) -> tuple[float, float]:
    box = page.locator(handle).first.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def place(page: Page):
    link = dict(parse_qsl(urlsplit(page.url).query))
    return places_of(link["q"])[0]


def drag(page: Page, handle: str, across: float, down: float) -> tuple[float, float]:
    """Take a handle and move it, the button stays down; where the pointer is."""
    x, y = at(page, handle)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + across, y + down, steps=8)
    return x + across, y + down


def released(page: Page) -> None:
    was = page.url
    page.mouse.up()
    page.wait_for_function("(was) => location.href !== was", arg=was)
    page.wait_for_function(READY)


def tells(page: Page) -> None:
    """The thermometer's numbers are the exact ones of the q that the link names."""
    terms = decompose(Banana(), FullRank(), phi_at(FullRank(), [place(page)]))
    for value in (terms.elbo, terms.kl):
        text = f"{value:.3f} nats".replace("-", "−")
        expect(page.locator("[data-name=thermometer]")).to_contain_text(text)


def test_the_ellipse_follows_the_hand_and_stays_where_it_was_put(visitor):
    page = opened(visitor)
    x, y = drag(page, CENTRE, 90, -40)
    page.wait_for_function(
        f"([x, y]) => {{ const [a, b] = ({MIDDLE})(); return Math.hypot(a - x, b - y) < 4; }}", arg=[x, y]
    )
    released(page)
    tells(page)
    assert at(page, CENTRE) == pytest.approx((x, y), abs=1.5)
    assert page.evaluate(MIDDLE) == pytest.approx([x, y], abs=4)
    before = place(page)
    drag(page, FIRST, -30, -60)  # the end of the first axis goes up: q turns to the left
    released(page)
    after = place(page)
    assert (after.x, after.y, after.second) == pytest.approx((before.x, before.y, before.second))
    assert 20.0 < after.angle < 90.0
    tells(page)
    page.get_by_role("button", name="Undo the last change").or_(
        page.locator(".st-key-undo button")
    ).first.click()
    page.wait_for_function("(angle) => !location.search.includes(angle)", arg=f"{after.angle:g}")
    assert place(page) == before


def test_keys_turn_and_stretch_q(visitor):
    page = opened(visitor, q="0,1,1,0.5")
    page.locator(FIRST).focus()
    page.keyboard.press("ArrowUp")
    page.wait_for_function(
        "() => location.search.includes('5')&& new URLSearchParams(location.search).get('q').endsWith(',5')"
    )
    assert place(page).angle == 5.0
    page.wait_for_function(READY)
    tells(page)


def test_fit_walks_to_the_best_gaussian_and_a_drag_leaves_it(visitor):
    page = opened(visitor)
    page.get_by_role("button", name="Fit", exact=True).first.click()
    expect(page.locator(".lv-player")).to_be_visible()
    page.wait_for_function(READY)
    page.locator(".lv-scrub input").focus()
    page.keyboard.press("End")
    expect(page.locator("[data-name=thermometer]")).to_contain_text("0.607 nats")
    expect(page.locator("[data-name=iterations]")).to_contain_text("ELBO −3.807")
    page.wait_for_function(READY)
    drag(page, CENTRE, 40, 20)
    released(page)
    expect(page.locator(".lv-player")).to_have_count(0)
    page.wait_for_function(READY)
    tells(page)


@pytest.mark.parametrize("dark", [False, True])
def test_nothing_scrolls_sideways_on_a_narrow_screen(visitor, dark):
    visitor.page.set_viewport_size({"width": 1024, "height": 768})
    visitor.page.emulate_media(color_scheme="dark" if dark else "light")
    page = opened(
        visitor, family="MixtureQ", target="ThreeModes", **({"view": "Warped grid"} if dark else {})
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= 1024
    picture = page.locator(".lv-plot").first.bounding_box()
    evidence = page.locator("[data-name=thermometer]").bounding_box()
    assert picture["x"] + picture["width"] <= evidence["x"]
    assert picture["width"] >= 400
