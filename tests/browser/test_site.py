"""Every page, as anybody meets it: by menu and by address, light and dark, on three screens."""

import contextlib
import re

import pytest
from playwright.sync_api import Page, TimeoutError, expect

from lvmviz.ui.site import PageFile, pages

pytestmark = pytest.mark.browser
PAGES = pages()
DRAWN = """() => document.querySelector("[data-testid=stApp]").dataset.testScriptState === "notRunning"
    && [...document.querySelectorAll(".lv-plot")].every((plot) => plot.dataset.drawn)"""
NAMELESS = """() => [...document.querySelectorAll("button, input, textarea, [role=slider]")]
    .filter((n) => n.offsetParent !== null && n.type !== "file" && !n.closest("[aria-hidden=true]"))
    .filter((n) => {
        const by = document.getElementById(n.getAttribute("aria-labelledby")?.split(" ")[0]);
        const label = n.labels?.[0]?.textContent;
        const names = [n.getAttribute("aria-label"), n.textContent, n.title, label, by?.textContent];
        return !names.some((name) => name?.trim());
    })
    .map((n) => n.outerHTML.slice(0, 200))"""
SIZES = ((1440, 900), (1024, 768), (1920, 1080))
FIRST_SCREEN = (
    ".st-key-controls",
    "[data-name=picture]",
    "[data-name=thermometer]",
    ".lv-player:not(.lv-save)",
)


def everything_has_a_name(opened: Page) -> None:
    with contextlib.suppress(TimeoutError):  # a handle has its name a moment after it is there
        opened.wait_for_function(f"() => ({NAMELESS})().length === 0", timeout=10_000)
    assert opened.evaluate(NAMELESS) == []
    for plot in opened.locator(".lv-plot").all():
        assert plot.get_attribute("role") == "img"
        assert len(plot.get_attribute("aria-label") or "") > 10


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path.stem)
def test_page_names_everything_and_fits_every_screen(page: PageFile, dark, visitor) -> None:
    visitor.page.emulate_media(color_scheme="dark" if dark else "light")
    opened = visitor.visit(f"/{page.url}")
    expect(opened.locator("h1")).to_be_visible()
    paper = opened.get_by_test_id("stApp").evaluate("node => getComputedStyle(node).backgroundColor")
    assert paper == ("rgb(18, 20, 26)" if dark else "rgb(255, 255, 255)")
    everything_has_a_name(opened)
    for width, height in SIZES:
        opened.set_viewport_size({"width": width, "height": height})
        opened.wait_for_function(  # the figures follow the window
            "() => [...document.querySelectorAll('.lv-plot')]"
            ".every(n => Math.abs((n.querySelector('.main-svg')?.clientWidth ?? 0) - n.clientWidth) <= 1)"
        )
        assert opened.evaluate("document.documentElement.scrollWidth <= innerWidth"), (width, "overflows")
        main = opened.get_by_test_id("stMain")
        assert main.evaluate("n => n.scrollWidth <= n.clientWidth"), (width, "the page scrolls sideways")
        if opened.locator("[data-name=picture]").count() and width <= 1440:
            for part in FIRST_SCREEN:
                if not opened.locator(part).count():
                    assert "player" in part or page.url == "gradients"  # nothing to play yet, or f is no ELBO
                    continue
                box = opened.locator(part).bounding_box()
                assert box is not None, part
                assert box["x"] >= 0 and box["x"] + box["width"] <= width, (part, width)
                assert box["y"] >= 0 and box["y"] + box["height"] <= height, (part, width, height)
    for plot in opened.locator(".lv-plot").all():
        expect(plot.locator("svg path"), plot.get_attribute("data-name")).not_to_have_count(0)


def test_every_page_is_in_the_menu(visitor) -> None:
    opened = visitor.visit("/")
    for page in [*PAGES[1:], PAGES[0]]:
        if page.group:
            opened.get_by_test_id("stTopNavSection").get_by_text(page.group, exact=True).click()
        opened.locator(f"a[href$='/{page.url}']").last.click()
        expect(opened).to_have_url(re.compile(rf"/{page.url}($|\?)"))
        expect(opened.locator("h1")).to_be_visible()
        opened.wait_for_function(DRAWN)
        expect(opened.get_by_test_id("stAlert")).to_have_count(0)


def test_reader_who_wants_no_motion_gets_none(visitor) -> None:
    visitor.page.emulate_media(reduced_motion="reduce")
    page = visitor.visit("/mixtures")
    moving = page.evaluate("""() => [...document.querySelectorAll("[data-testid=stMain] *")]
        .filter((n) => { const s = getComputedStyle(n);
            return s.transitionProperty !== "none" || s.animationName !== "none"; }).length""")
    assert moving == 0


def test_a_control_whose_code_comes_late_keeps_its_value(stranger):
    """Streamlit fetches a slider by itself; whoever acts before it is there must not change its value."""
    page, held = stranger.page, []
    told = page.get_by_test_id("stSliderThumbValue")
    stranger.visit("/vae_lab?beta=4")
    expect(told.first).to_be_visible()
    asked = told.all_inner_texts()
    page.route(re.compile(r"/static/js/Slider"), lambda route: held.append(route))
    page.goto(stranger.server + "/vae_lab?beta=4")
    page.get_by_role("button", name="Projector").click()  # any act: the page runs again
    page.wait_for_url(re.compile("projector"))
    assert held and told.count() == 0
    for route in held:
        route.continue_()
    expect(told).to_have_text(asked)
    page.get_by_role("button", name="Projector").click()
    page.wait_for_url(lambda url: "projector" not in url)
    assert "beta=4" in page.url and "latent" not in page.url


def test_what_python_sets_holds_for_a_control_in_a_closed_popover(stranger):
    """The browser keeps such a control's value, and sends it again with whatever is done next."""
    page = stranger.visit("/fit_q_1d?steps=100")
    more, field = page.get_by_role("button", name="More"), page.get_by_text("Second q", exact=True)
    more.click()
    expect(field).to_be_visible()
    more.click()
    expect(field).to_have_count(0)
    page.get_by_role("button", name="Reset").click()
    page.wait_for_url(lambda url: "steps" not in url)
    page.get_by_role("button", name="Projector").click()
    page.wait_for_url(re.compile("projector"))
    page.get_by_role("button", name="Projector").click()
    page.wait_for_url(lambda url: "projector" not in url)
    assert "steps" not in page.url
