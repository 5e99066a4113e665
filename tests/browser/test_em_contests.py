"""The restart lottery and the choice of K in a browser: a click shows the run behind the mark."""

import re

import pytest
from playwright.sync_api import Page, expect

from lvmviz import EM, Job, ThreeInARow, run

pytestmark = pytest.mark.browser
CURVES = ".lv-plot[data-name=curves]"
PLACE = """([curve, point]) => {
  const node = document.querySelector(".lv-plot[data-name=curves]");
  const { xaxis, yaxis } = node._fullLayout, { x, y } = node._fullData.at(curve);
  const box = node.querySelector(".nsewdrag").getBoundingClientRect();
  return [box.left + xaxis.d2p(x[point]), box.top + yaxis.d2p(y[point])];
}"""

RINGED = """(seed) => {
  const [dots, ring] = document.querySelector(".lv-plot[data-name=curves]")._fullData;
  return ring.x[0] === dots.x[seed] && ring.y[0] === dots.y[seed];
}"""


def click(page: Page, curve: int, point: int) -> None:
    """On a mark of the picture below, once what it says is shown."""
    x, y = page.evaluate(PLACE, [curve, point])
    page.mouse.move(x - 3, y + 1)
    page.mouse.move(x, y)
    expect(page.locator(f"{CURVES} .hoverlayer .hovertext").first).to_be_visible()
    page.mouse.click(x, y)


def drawn(page: Page, alt: str) -> None:
    expect(page.get_by_role("img", name=re.compile(alt))).to_be_visible(timeout=60_000)
    expect(page.locator(f"{CURVES}[data-drawn]")).to_be_visible()


def test_a_click_on_a_dot_shows_its_run(visit) -> None:
    page = visit("/mixtures?data=ThreeInARow&curves=Restarts&v=1")
    drawn(page, "Restart lottery: 58 of 200")
    end = run(Job(EM(data=ThreeInARow()), steps=200, seed=17))[-1]
    x, y = page.evaluate(PLACE, [0, 17])
    page.mouse.move(x - 3, y + 1)
    page.mouse.move(x, y)
    told = page.locator(f"{CURVES} .hoverlayer .hovertext")
    value = f"{end.info.log_lik / 300:.4f}".replace("-", "−")
    expect(told).to_contain_text(f"seed 17: {value} after {end.info.iteration} iterations")
    page.mouse.click(x, y)
    expect(page).to_have_url(re.compile(rf"[?&]seed=17(&|$).*[?&]?step={end.step}(&|$)"))
    expect(page.get_by_role("spinbutton", name="Seed")).to_have_value("17")
    expect(page.locator(f".lv-plot[data-name=picture][data-frame='{end.step}']")).to_be_visible()
    expect(page.locator("[data-name=thermometer]")).to_contain_text(value)
    page.wait_for_function(RINGED, arg=17)
    page.get_by_role("button", name="Undo").click()
    expect(page).not_to_have_url(re.compile("seed="))


def test_a_click_on_a_k_uses_it(visit) -> None:
    page = visit("/mixtures?data=ThreeInARow&curves=K&v=1")
    drawn(page, "Criteria over K: AIC 6, BIC 3, held-out 3")
    click(page, -1, 3)
    expect(page).to_have_url(re.compile("components=4"))
    expect(page.get_by_role("img", name=re.compile("4 Gaussian components")).last).to_be_visible()
    seed = re.search(r"seed=(\d+)", page.url)
    end = run(Job(EM(data=ThreeInARow(), components=4), steps=200, seed=int(seed[1]) if seed else 0))[-1]
    value = f"{end.info.log_lik / 300:.4f}".replace("-", "−")
    expect(page.locator("[data-name=thermometer]")).to_contain_text(value)
    expect(page.get_by_test_id("stException")).to_have_count(0)
