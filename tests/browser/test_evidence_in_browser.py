"""The page Evidence in a browser: the hand on the log curve, the player over K, sizes, a run with a stop."""

import re

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser
WIDER = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
BIG = "/evidence?proposal=NearPosterior&model.dimension=30&draws=10000&repeats=400&seed=4&v=1"
TEXTS = """() => [...document.querySelectorAll(".lv-plot")].flatMap((plot) => {
  const words = [...plot.querySelectorAll(".annotation-text-g")];
  const boxes = words.map((one) => [one.textContent, one.getBoundingClientRect()]);
  const beside = (a, b) => a.right < b.left + 2 || b.right < a.left + 2;
  const above = (a, b) => a.bottom < b.top + 4 || b.bottom < a.top + 4;
  const apart = (a, b) => beside(a, b) || above(a, b);
  return boxes.flatMap(([one, a], i) => boxes.slice(i + 1).filter(([, b]) => !apart(a, b))
    .map(([other]) => `${plot.dataset.name}: ${one} over ${other}`));
})"""


def test_the_hand_slides_on_the_curve(visit) -> None:
    page = visit("/evidence?view=Log&draws=100&repeats=20&proposal=NearPosterior&proposal.width=2&v=1")
    picture = page.locator(".lv-plot[data-name=picture]")
    expect(picture).to_contain_text("gap 0.511")
    handle = page.get_by_role("slider", name="Second weight", exact=True)
    box = handle.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 60, y - 90, steps=6)
    page.wait_for_function(
        "(was) => Number(document.querySelectorAll('.lv-handle')[1].dataset.value) > was", arg=1.9
    )
    landed = float(handle.get_attribute("data-value"))
    top = handle.bounding_box()["y"] + box["height"] / 2
    assert 0 < y - top < 60, "it stays on the curve, wherever the pointer is"
    page.mouse.up()
    expect(page).to_have_url(re.compile(rf"second={landed:.2f}".rstrip("0")))
    expect(picture).to_contain_text(re.compile("gap 0\\.5[3-9]"))
    handle.press("End")
    handle.press("ArrowLeft")
    expect(page).not_to_have_url(re.compile(rf"second={landed:.2f}(&|$)"))
    page.get_by_role("button", name="Reset").click()
    expect(page).not_to_have_url(re.compile("second="))


def test_the_bound_rises_as_k_is_played(visit) -> None:
    page = visit("/evidence?view=Log&draws=100&repeats=50&proposal=NearPosterior&proposal.width=2&v=1")
    expect(page.locator(".lv-plot[data-name=thermometer]")).to_contain_text("−27.374")
    page.get_by_role("slider", name="Position in the trace").press("End")
    expect(page.locator(".lv-plot[data-name=spread]")).to_contain_text("K = 100: mean −19")
    expect(page.locator(".lv-plot[data-name=over_k]")).to_contain_text("K = 100: mean −19")
    expect(page.locator(".lv-plot[data-name=thermometer]")).not_to_contain_text("−27.374")
    expect(page).to_have_url(re.compile("step="))


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_view_fits_and_no_words_overlap(visitor, dark) -> None:
    page = visitor.page
    page.emulate_media(color_scheme="dark" if dark else "light")
    for width, height in ((1440, 900), (1024, 768)):
        page.set_viewport_size({"width": width, "height": height})
        for view in ("Sum", "Sample", "Log"):
            visitor.visit(f"/evidence?view={view}&draws=100&proposal=NearPosterior&v=1")
            assert page.evaluate(WIDER) == 0, (view, width)
            assert page.evaluate(TEXTS) == [], (view, width)


def test_ten_thousand_draws_in_thirty_dimensions_tell_how_far_they_are(visitor) -> None:
    """With progress and a stop; what was stopped goes on."""
    page = visitor.page
    page.goto(visitor.server + BIG)
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("Stopped after step")).to_be_visible()
    expect(page.locator(".lv-plot[data-name=picture][data-drawn]")).to_be_visible()
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_role("img", name=re.compile("400 estimates of p"))).to_be_visible(timeout=60_000)
    visitor.visit("/evidence?view=Sum&model.bits=22&v=1")
    expect(page.get_by_text("4,194,304 of 4,194,304 states summed")).to_be_visible(timeout=60_000)


def test_a_scene_asks_and_answers(visit) -> None:
    page = visit("/evidence")
    page.get_by_role("listitem").filter(has_text="Healthy, and wrong").get_by_role("button").click()
    page.get_by_role("radio", name="No: half is missing").click()
    expect(page.get_by_text("low by log 2 = 0.693")).to_be_visible()
    expect(page.get_by_text("Every sign is healthy")).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    expect(page).not_to_have_url(re.compile("OneLatent"))
