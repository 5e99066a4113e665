"""The latent space in a browser: hovering asks nobody, a pin tells numbers, keys walk, it fits the screen."""

import io
import re

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from lvmviz import Job, TrainVAE
from lvmviz.runs.execute import execute
from lvmviz.runs.store import Store

pytestmark = pytest.mark.browser
PLANE = ".lv-latent"
NUMBERS = '[aria-label="The pinned image\'s evidence and its terms"]'


@pytest.fixture(scope="module", autouse=True)
def trained(home) -> None:
    job = Job(TrainVAE(), steps=40, seed=8)
    assert execute(job, Store(home).create(job).path) == "finished"


def opened(visitor, link: str = "") -> Page:
    page = visitor.visit(f"/latent_space{link}")
    expect(page.locator(PLANE)).to_have_attribute("data-drawn", re.compile(r"\d"))
    return page


def middle(page: Page) -> tuple[float, float]:
    box = page.locator(PLANE).bounding_box()
    assert box
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2 - 10


def count(page: Page) -> int:
    return int(page.locator(PLANE).get_attribute("data-frames") or 0)


def test_hovering_decodes_and_asks_nobody(visitor):
    page = opened(visitor)
    x, y = middle(page)
    page.mouse.move(x, y)
    page.wait_for_function("() => document.querySelector('.lv-latent').dataset.at")
    before, sent = count(page), len(visitor.sent)
    for k in range(40):
        page.mouse.move(x + 2 * k, y + k)
    page.wait_for_function(
        "(least) => +document.querySelector('.lv-latent').dataset.frames >= least", arg=before + 10
    )
    assert len(visitor.sent) == sent


def test_a_click_pins_and_the_numbers_follow(visitor):
    page = opened(visitor)
    before = page.locator(NUMBERS).text_content() or ""
    x, y = middle(page)
    page.mouse.click(x + 90, y - 60)
    expect(page).to_have_url(re.compile(r"at=[\d.]+%2C[\d.]+"))
    expect(page.get_by_text("log p(z) =")).to_be_visible()
    expect(page.locator(".lv-plot[data-name=pinned]")).to_contain_text("at the pin")
    expect(page.locator(NUMBERS)).not_to_have_text(before)
    expect(page.locator(NUMBERS)).to_contain_text("±")


def test_a_pin_does_not_send_the_atlas_again(visitor):
    sizes: list[int] = []
    asked: list[str] = []
    page = visitor.page
    page.on("websocket", lambda socket: socket.on("framereceived", lambda data: sizes.append(len(data))))
    page.on("request", lambda sent: asked.append(sent.url) if "/lvmviz/film/" in sent.url else None)
    page = opened(visitor)
    assert len(set(asked)) == len(asked) and (asked or sum(sizes) > 60_000)  # by its address, or along
    asked.clear()
    sizes.clear()
    x, y = middle(page)
    page.mouse.click(x + 40, y + 70)
    expect(page.locator(".lv-plot[data-name=pinned]")).to_contain_text("at the pin")
    expect(page).to_have_url(re.compile("at="))
    assert not asked and 0 < sum(sizes) < 120_000


CELLS = 8


def cell(page: Page, row: int, column: int) -> tuple[float, float]:
    box = page.locator(".lv-sketch canvas").bounding_box()
    assert box
    return box["x"] + (column + 0.5) * box["width"] / CELLS, box["y"] + (row + 0.5) * box["height"] / CELLS


def canvas(page: Page) -> list[list[int]]:
    cells = page.evaluate("() => [...document.querySelector('.lv-sketch').parentElement.lvSketch.cells]")
    return np.array(cells).reshape(CELLS, CELLS).tolist()


def test_a_drawn_image_is_pinned_with_numbers_of_its_own(visitor):
    page = opened(visitor)
    before = page.locator(NUMBERS).text_content() or ""
    page.get_by_role("button", name="Draw or upload").click()
    page.mouse.move(*cell(page, 0, 4))
    page.mouse.down()
    page.mouse.move(*cell(page, 7, 4))  # one jump: the hand is fast
    page.mouse.up()
    assert canvas(page) == [[255 * (column == 4) for column in range(CELLS)]] * CELLS
    expect(page.locator(".lv-plot[data-name=pinned]")).to_contain_text("your image")
    expect(page.locator(NUMBERS)).not_to_have_text(before)
    expect(page).to_have_url(re.compile("own="))
    page.get_by_role("button", name="Clear").click()
    expect(page).not_to_have_url(re.compile("own="))
    expect(page.locator(NUMBERS)).to_have_text(before)


def test_keys_draw_too(visitor):
    page = opened(visitor)
    page.get_by_role("button", name="Draw or upload").click()
    page.locator(".lv-sketch canvas").focus()
    for key in ("Space", "ArrowDown", "Space", "ArrowRight", "Space"):
        page.keyboard.press(key)
    expect(page.locator(".lv-plot[data-name=pinned]")).to_contain_text("your image")
    made = canvas(page)
    assert [(r, c) for r in range(CELLS) for c in range(CELLS) if made[r][c]] == [(0, 0), (1, 0), (1, 1)]


def test_a_picture_is_uploaded(visitor):
    page = opened(visitor)
    page.get_by_role("button", name="Draw or upload").click()
    file = io.BytesIO()
    Image.fromarray(np.full((30, 20), 250, np.uint8)).save(file, "PNG")
    page.locator("input[type=file]").set_input_files(
        {"name": "paper.png", "mimeType": "image/png", "buffer": b"not a picture"}
    )
    expect(page.get_by_text("is no image, or a damaged one")).to_be_visible()
    made = np.full((24, 24), 255, np.uint8)
    made[3:21, 9:15] = 0
    file = io.BytesIO()
    Image.fromarray(made).save(file, "PNG")
    page.locator("input[type=file]").set_input_files(
        {"name": "one.png", "mimeType": "image/png", "buffer": file.getvalue()}
    )
    expect(page.get_by_text("Bright paper was inverted")).to_be_visible()
    expect(page.get_by_text("Scaled from 24 × 24 to 8 × 8 pixels.")).to_be_visible()
    assert canvas(page) == [[255 * (1 <= r <= 6 and 3 <= c <= 4) for c in range(CELLS)] for r in range(CELLS)]


@pytest.mark.parametrize("mode", ["Traverse", "Arithmetic", "Samples"])
def test_every_strip_is_drawn(visitor, mode):
    page = opened(visitor)
    page.get_by_role("radio", name=mode).click()
    expect(page).to_have_url(re.compile(f"strip={mode}"))
    expect(page.locator(".lv-plot[data-name=walk] image")).to_have_count(1)
    expect(page.get_by_text(re.compile(f"^{mode} "))).to_be_visible()
    words = page.evaluate(
        "() => document.querySelector('.lv-latent').parentElement.lvLatent.data.words.map((w) => w.text)"
    )
    assert ("a − b + c" in words) == (mode == "Arithmetic")


def test_the_png_is_the_plane(visitor):
    page = opened(visitor, "?show=Holes&v=1")
    page.get_by_role("button", name="Export").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="PNG").click()
    picture = np.asarray(Image.open(download.value.path()).convert("RGB"))
    box = page.locator(PLANE).bounding_box()
    assert box and picture.shape[:2] == (round(2 * box["height"]), round(2 * box["width"]))
    blue = (picture[..., 2].astype(int) - picture[..., 0] > 60).mean()
    red = (picture[..., 0].astype(int) - picture[..., 2] > 60).mean()
    assert blue > 0.01 and red > 0.01


def test_a_link_opens_the_very_pin(visitor):
    page = opened(visitor, "?at=0.5,-1.25&show=Holes&path=Sphere&v=1")
    expect(page.get_by_text("red is a hole")).to_be_visible()
    assert page.evaluate("() => document.querySelector('.lv-latent').parentElement.lvLatent.data.pin") == [
        0.5,
        -1.25,
    ]


def test_keys_walk_and_enter_pins(visitor):
    page = opened(visitor, "?at=0,0&v=1")
    page.locator(PLANE).focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowUp")
    expect(page.locator(PLANE)).to_have_attribute("data-at", "0.1500 0.1500")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"at=0\.15%2C0\.15"))


@pytest.mark.parametrize("mode", ["Training images", "Holes", "Decoder variance"])
def test_every_mode_is_drawn(visitor, mode):
    opened(visitor, f"?show={mode.replace(' ', '%20')}&v=1")


@pytest.mark.parametrize(("width", "height", "scheme"), [(1440, 900, "dark"), (1024, 768, "light")])
def test_it_fits_the_screen_in_both_themes(visitor, width, height, scheme):
    visitor.page.set_viewport_size({"width": width, "height": height})
    visitor.page.emulate_media(color_scheme=scheme)
    page = opened(visitor)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    boxes = [
        page.locator(f).bounding_box()
        for f in (PLANE, ".lv-plot[data-name=walk]", ".lv-plot[data-name=pinned]")
    ]
    for i, one in enumerate(boxes):
        for other in boxes[:i]:
            assert one and other
            assert (one["x"] >= other["x"] + other["width"] - 1 or other["x"] >= one["x"] + one["width"] - 1
                    or one["y"] >= other["y"] + other["height"] - 1
                    or other["y"] >= one["y"] + one["height"] - 1)  # fmt: skip


GROWS = """() => {  // the plane was drawn of three snapshots at least
  const seen = (window.lvSeen ??= new Set());
  const id = document.querySelector('.lv-latent')?.parentElement.lvLatent?.data?.id;
  if (id) seen.add(id);
  return seen.size >= 3;
}"""


def test_a_run_is_started_here_and_watched_while_it_grows(stranger):
    """From a scene whose run is not there yet, to its end."""
    page = stranger.page
    page.goto(f"{stranger.server}/latent_space")
    page.locator("[data-scene=walk]").click()
    page.get_by_role("button", name=re.compile("^Train on Digits")).click()
    expect(page.locator(PLANE)).to_have_attribute("data-drawn", re.compile(r"\d"), timeout=180_000)
    page.wait_for_function(GROWS, timeout=180_000)
    expect(page.locator("[class*='st-key-strip_']")).to_have_count(0, timeout=180_000)
    expect(page.get_by_text("from test 655: 9 to test 805: 9, 12 decoded frames", exact=True)).to_be_visible()
    page.get_by_role("radio", name="On digits, not on 9s").click()
    expect(page.get_by_text("Right.")).to_be_visible()
