"""The page Gradients in a browser: violins, picks, climbs that play, and the hand on the columns of A."""

import re
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page, expect

from lvmviz import GradientScatter, Job, run
from lvmviz.affine_noise import PRESETS
from lvmviz.figures.theme import number
from lvmviz.summaries import gradients as summaries
from lvmviz.ui.gradient_scenes import MAP, TRICK, VIEW, map_link

pytestmark = pytest.mark.browser
PATH = "/gradients"
TABLE = "table[aria-label^='Every estimator']"
MOMENTS = "table[aria-label^='Mean and covariance']"
FIRST, CENTRE = "[data-name=picture] .lv-handle-first", "[data-name=picture] .lv-handle-centre"
READY = """() => {
  const plots = [...document.querySelectorAll(".lv-plot")];
  return document.querySelector("[data-testid=stApp]")?.dataset.testScriptState === "notRunning"
    && document.querySelector("[data-testid=stSkeleton]") === null
    && document.querySelector("[data-name=picture]") !== null && plots.every((plot) => plot.dataset.drawn);
}"""
INSIDE = """() => {
  const parts = [...document.querySelectorAll(".st-key-stage > *, .st-key-picture > *")];
  return document.documentElement.scrollWidth <= innerWidth
    && parts.every((part) => part.getBoundingClientRect().right <= innerWidth + 1);
}"""
UNIT = """() => {
  const { xaxis } = document.querySelector("[data-name=picture]")._fullLayout;
  return xaxis._length / (xaxis.range[1] - xaxis.range[0]);
}"""


def opened(visitor, **link: str) -> Page:
    page = visitor.page
    page.goto(visitor.server + PATH + ("?" + urlencode(link) if link else ""))
    page.wait_for_function(READY, timeout=120_000)
    return page


def test_violins_picks_and_climbs(visitor):
    page = opened(visitor)
    picture = page.locator("[data-name=picture]")
    expect(picture).to_contain_text("exact 2.00")
    expect(page.locator(TABLE)).to_contain_text("biased: tends to 1.80")
    assert page.locator("[data-name=picture] .scatterlayer .trace").count() == 7  # six violins and the means
    page.locator(f"{TABLE} tr", has_text="reparam.").click()
    expect(page.locator(".st-key-head_climbs")).to_contain_text("20 climbs: reparam.")
    page.get_by_role("button", name="Climb").click()
    climbs = page.locator("[data-name=climbs]")
    expect(climbs).to_contain_text("reparam.: 2.00, sd 0")
    of = GradientScatter()
    runs = run(Job(summaries.ascents(of, of.estimators()[4], 0.1), steps=100, seed=0))
    page.locator(".lv-scrub input").focus()
    page.keyboard.press("End")
    expect(page.get_by_test_id("stCode").first).to_contain_text(f"{runs[-1].info.mean:.4f}")
    expect(page).to_have_url(re.compile(r"estimator=4&climbs=1&step=100|step=100"))
    page.get_by_text("dimension", exact=True).click()
    expect(page.locator("[data-name=variance]")).to_contain_text("dimension of z")


def at(page: Page, handle: str) -> tuple[float, float]:
    box = page.locator(handle).bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_the_hand_takes_a_column_off_the_line(visitor):
    """Example A is singular; its first column is dragged to (1.5, 0), and z has a density."""
    page = opened(visitor, **map_link(PRESETS["A"]))
    expect(page.locator("[data-name=picture]")).to_contain_text("z: on a line, no density")
    expect(page.locator(MOMENTS)).to_contain_text("none")
    x, y = at(page, FIRST)
    unit = page.evaluate(UNIT)  # px of one unit of z
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 0.7 * unit, y, steps=5)
    page.mouse.move(x + 1.5 * unit, y, steps=5)
    expect(page.locator(MOMENTS)).to_contain_text("1.50")  # while the hand still holds it
    page.mouse.up()
    expect(page.locator("[data-name=picture]")).to_contain_text("area × 1.50")
    expect(page).to_have_url(re.compile("a11=1.5&"))
    expect(page.locator(FIRST)).to_have_attribute("data-value", "1.5")
    there = at(page, FIRST)
    assert there == pytest.approx((x + 1.5 * unit, y), abs=1.5)
    page.locator(CENTRE).focus()
    page.keyboard.press("ArrowUp")
    expect(page).to_have_url(re.compile("mean2=0.2"))
    page.get_by_role("button", name="Undo").click()
    expect(page).not_to_have_url(re.compile("mean2=0.2"))


def test_three_views_fit_on_both_screens_in_both_themes(visitor):
    page = visitor.page
    for size, scheme in (((1440, 900), "light"), ((1024, 768), "dark")):
        page.set_viewport_size(dict(zip(("width", "height"), size, strict=True)))
        page.emulate_media(color_scheme=scheme)
        for link in ({"climbs": "1", "scene": "wiggly"}, {VIEW: MAP}, {VIEW: TRICK}):
            opened(visitor, **link)
            assert page.evaluate(INSIDE), (size, link)


def test_the_ratio_s_numbers_follow_a_control(visitor):
    page = opened(visitor, **{VIEW: TRICK})
    table = page.locator("table[aria-label^='Both gradients']")
    expect(table).to_contain_text("4.99")
    page.get_by_role("slider", name="Shift").focus()
    page.keyboard.press("ArrowRight")
    exact = 5 * (1.5 - (1.2 + 0.1 * 0.5 / 1.25**0.5)) / 0.25
    expect(table).to_contain_text(number(exact, 2))
