"""Long work in a browser: it shows progress, obeys, is found again by its address, and ends in silence."""

import re
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page, expect

from lvmviz import EM, Blobs, ui

pytestmark = pytest.mark.browser
PATIENCE_MS = 180_000  # the first run waits for the engine, which lets two browsers go first, to get ready
STRIP = "[class*='st-key-strip_']"
PLAYER = ".lv-player:not(.lv-save)"


def address(points: int, components: int, iterations: int, page: str = "/mixtures") -> str:
    em = EM(data=Blobs(points=points), components=components, tolerance=0.0)
    return f"{page}?{urlencode(ui.link_of(em) | {'iterations': str(iterations)})}"


FLAT_OUT = address(30_000, 8, 500)  # a minute at least
SHORT = address(3_000, 20, 250)  # some seconds


def strip(page: Page, words: str) -> None:
    expect(page.locator(STRIP)).to_contain_text(re.compile(words), timeout=PATIENCE_MS)


def press(page: Page, name: str) -> None:
    page.locator(STRIP).get_by_role("button", name=name, exact=True).click()


def step(page: Page) -> int:
    """How far the strip says it is."""
    return int(re.search(r"tep (\d+) of", page.locator(STRIP).inner_text())[1])  # type: ignore[index]


def frames(page: Page) -> int:
    """The last frame's number."""
    return int(page.locator(f"{PLAYER} input").get_attribute("max"))  # type: ignore[arg-type]


def at(page: Page) -> int:
    return int(page.locator(PLAYER).get_attribute("data-index"))  # type: ignore[arg-type]


def iteration(page: Page) -> int:
    """The iteration that is on screen."""
    return int(re.search(r"iteration (\d+)", page.locator(f"{PLAYER} output").inner_text())[1])  # type: ignore


def grown(page: Page, than: int) -> None:
    """The ledger's last row is of a later iteration: a run that goes on shows a bounded number of them."""
    page.wait_for_function(
        """(than) => Number([...document.querySelectorAll("[aria-label^=Ledger] tbody tr")].at(-1)
            ?.textContent.match(/^\\d+/)?.[0]) > than""",
        arg=than,
        timeout=PATIENCE_MS,
    )


def listed(visitor, query: str = "") -> Page:
    """The page of runs."""
    visitor.page.goto(f"{visitor.server}/runs?{query}")
    visitor.page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]")
    expect(visitor.page.get_by_role("heading", name="Runs")).to_be_visible()
    return visitor.page


def test_a_run_is_watched_paused_found_again_and_stopped(visitor, stranger) -> None:
    page = visitor.visit(FLAT_OUT)
    strip(page, r"Step \d+ of at most 1000")
    page.wait_for_selector(PLAYER, timeout=PATIENCE_MS)
    grown(page, 3)
    assert at(page) == frames(page), "who stands at the end is taken along"
    expect(page).to_have_url(re.compile("step=last"))

    page.locator(f"{PLAYER} input").focus()
    page.keyboard.press("Home")
    for count in range(1, 5):
        page.keyboard.press("ArrowRight")
        expect(page.locator(PLAYER)).to_have_attribute("data-index", str(count))
    expect(page).to_have_url(re.compile("step=4(&|$)"))
    stays = iteration(page)
    grown(page, 40)
    assert iteration(page) == stays and at(page) == 4, "who looks at a step stays there"
    expect(page).to_have_url(re.compile("step=4(&|$)"))

    press(page, "Pause")
    strip(page, r"Paused at step \d+ of at most 1000")
    expect(page.locator("[class*='st-key-poll_']")).to_have_count(0)
    paused = step(page)
    page.goto("about:blank")  # the tab is closed, and somebody opens the link

    other = stranger.visit(FLAT_OUT)
    strip(other, f"Paused at step {paused} of at most 1000")
    press(other, "Resume")
    strip(other, r"Step \d+ of at most 1000")
    other.wait_for_function(
        "(than) => Number(document.querySelector(\"[class*='st-key-strip_']\")"
        "?.innerText.match(/tep (\\d+) of/)?.[1]) > than",
        arg=paused,
        timeout=PATIENCE_MS,
    )

    page = visitor.visit(FLAT_OUT)  # two are watching now
    strip(page, r"Step \d+ of at most 1000")
    press(page, "Stop")
    strip(page, "Somebody else is watching")
    press(page, "Stop it")
    for seen_by in (page, other):
        strip(seen_by, r"Stopped at step \d+ of at most 1000")


def test_a_finished_run_ends_in_silence_and_is_listed(visitor) -> None:
    page = visitor.visit(SHORT)
    expect(page.locator(STRIP)).to_have_count(0, timeout=2 * PATIENCE_MS)
    expect(page.locator("[class*='st-key-poll_'], [class*='st-key-fresh_']")).to_have_count(0)
    page.wait_for_selector(PLAYER, timeout=PATIENCE_MS)
    assert at(page) == frames(page)
    said = len(visitor.sent)
    page.wait_for_timeout(3000)  # longer than the slowest poll
    assert len(visitor.sent) == said, "something polls a finished run"

    page = listed(visitor, "search=components%3D20")
    row = page.locator("[data-pick]")
    expect(row).to_have_count(1)
    expect(row).to_contain_text("finished")
    row.focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("run=[0-9a-f]{16}"))
    expect(page.locator("[data-name=runs]")).to_have_attribute("data-drawn", re.compile(r"\d"))
    said = len(visitor.sent)
    page.wait_for_timeout(3000)
    assert len(visitor.sent) == said, "the page of runs polls though nothing runs"

    press(page, "Open")
    expect(page).to_have_url(re.compile(r"/mixtures\?.*components=20"))
    page.wait_for_selector(PLAYER, timeout=PATIENCE_MS)
    expect(page.locator(STRIP)).to_have_count(0)


def test_a_run_goes_out_and_comes_in_and_the_start_page_links_to_it(visitor, tmp_path) -> None:
    page = listed(visitor, "search=components%3D20&doing=finished")
    page.locator("[data-pick]").click()
    page.get_by_role("button", name="Export").click()
    with page.expect_download() as waiting:
        page.get_by_role("button", name="The run (zip)").click()
    waiting.value.save_as(tmp_path / "run.zip")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_role("button", name="Delete it", exact=True).click()
    expect(page.locator("[data-pick]")).to_have_count(0)

    page.get_by_role("button", name="Import a run").click()
    page.locator("input[type=file]").set_input_files(tmp_path / "run.zip")
    expect(page.locator("[data-pick]")).to_have_count(1, timeout=PATIENCE_MS)
    expect(page).to_have_url(re.compile("run=[0-9a-f]{16}"))

    page = visitor.visit("/")
    page.locator("[class*='st-key-recent_']").get_by_role("button").first.click()
    expect(page).to_have_url(re.compile(r"/runs\?.*run=[0-9a-f]{16}"))
    expect(page.locator("[data-pick]").first).to_be_attached()


def test_own_data_are_another_browsers_secret(visitor, stranger) -> None:
    listed(visitor)
    keys = [cookie for cookie in visitor.context.cookies() if cookie["name"] == "lvmviz_key"]
    listed(stranger)
    others = [cookie for cookie in stranger.context.cookies() if cookie["name"] == "lvmviz_key"]
    assert len(keys) == len(others) == 1 and keys[0]["value"] != others[0]["value"]
    assert keys[0]["httpOnly"] and keys[0]["sameSite"] == "Lax"
    visitor.visit("/mixtures")
    again = [cookie for cookie in visitor.context.cookies() if cookie["name"] == "lvmviz_key"]
    assert again[0]["value"] == keys[0]["value"]
