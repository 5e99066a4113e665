"""Training watched live, hover and pin, in Chromium: `python -m benchmarks.vae_ui [--save]`.

Prints one JSON object: seconds from the click to the first picture, pictures a second while a VAE of 512
hidden units trains, its steps a second watched and alone, decoded images a second under a moving pointer and
the messages this sends, and milliseconds from a click on the plane to the pinned image's exact numbers.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright
from sklearn.datasets import load_digits

from benchmarks.client import Visitor
from benchmarks.runs import machine, show, until
from benchmarks.ui import CHROMIUM, COUNT_MESSAGES, FLAGS, ready, serve, spread
from lvmviz import MLP, Job, OpenML, TrainVAE
from lvmviz.image_sets import _write
from lvmviz.images import Images
from lvmviz.runs import engine
from lvmviz.runs.handle import Handle, submit
from lvmviz.runs.store import Store

JOB = "iterations=500&decoder.hidden=512&encoder.hidden=512"
FIRST, LAST = 30, 480  # steps between which the speed is taken
PINS = 40

PICTURES = """() => {
  window.lvSeen = 0;
  let was = '';
  const look = () => {
    const now = document.querySelector('.lv-plot[data-name=picture]')?.dataset.drawn;
    if (now && now !== was) window.lvSeen += 1;
    was = now;
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}"""
HOVER = """([x, y]) => {
  const plane = document.querySelector('.lv-latent');
  const begun = performance.now();
  window.lvHover = setInterval(() => {
    const angle = (performance.now() - begun) / 500;
    const clientX = x + 120 * Math.sin(angle), clientY = y + 90 * Math.cos(1.3 * angle);
    const where = { clientX, clientY, bubbles: true };
    plane.dispatchEvent(new PointerEvent('pointermove', where));
  }, 8);
}"""
NUMBERS = "[aria-label='The pinned image\\'s evidence and its terms']"
PIN = """async (selector) => {
  const table = () => document.querySelector(selector).textContent;
  const before = table();
  window.lvPinned = new Promise((done) => {
    document.addEventListener('pointerup', () => {
      const begun = performance.now();
      const look = () => (table() !== before ? done(performance.now() - begun) : requestAnimationFrame(look));
      look();
    }, { once: true, capture: true });
  });
}"""


POINTS = """() => document.querySelector('.lv-latent').parentElement.lvLatent.large.dots
  .reduce((count, { x }) => count + x.length, 0)"""


def main() -> None:
    """Measure, and print or save one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--save", action="store_true", help="write it into results/, too")
    asked = parser.parse_args()
    about = machine("streamlit", "torch")
    path = next((found for name in CHROMIUM if (found := shutil.which(name))), None)
    with tempfile.TemporaryDirectory() as home, serve("app.py", home) as address:
        os.environ["LVMVIZ_HOME"] = home
        result: dict[str, Any] = {}
        with sync_playwright() as player:
            browser = player.chromium.launch(executable_path=path, args=FLAGS)
            result["training"] = training(browser, address, Store(home))
            result |= latent_space(browser, address)
            result["hover_over_60000_points"] = many(browser, address)
            browser.close()
        try:
            result["watched_by_a_browser_elsewhere"] = elsewhere(address)
        finally:
            engine.leave()  # it ends with the app
    show("vae-ui", about | result, asked.save)


def training(browser: Browser, address: str, store: Store) -> dict[str, float]:
    """Three runs: the first warms the engine, the second is watched, the third goes on with no page open."""
    alive, _, _ = _trained(browser, address, store, 1, watched=True)
    _, pictures, watched = _trained(browser, address, store, 2, watched=True)
    _, _, alone = _trained(browser, address, store, 3, watched=False)
    return {
        "click_to_picture_s": round(alive, 2),
        "pictures_per_second": round(pictures, 2),
        "steps_per_second_watched": round(watched, 1),
        "steps_per_second_alone": round(alone, 1),
        "ratio": round(watched / alone, 2),
    }


def elsewhere(address: str, pairs: int = 3) -> dict[str, float]:
    """Steps a second watched by somebody whose browser takes none of these cores, and with nobody there."""
    speeds = [(asyncio.run(_watched(address, 2 * k)), _speed(_begun(2 * k + 1))) for k in range(5, 5 + pairs)]
    watched, alone = (statistics.median(side) for side in zip(*speeds, strict=True))
    return {
        "steps_per_second_watched": round(watched, 1),
        "steps_per_second_alone": round(alone, 1),
        "ratio": round(statistics.median(one / other for one, other in speeds), 2),
    }


def _begun(seed: int) -> Handle:
    network = MLP(hidden=512)
    return submit(Job(TrainVAE(decoder=network, encoder=network), steps=500, seed=seed))


def _speed(handle: Handle) -> float:
    """Steps a second, once it trains; it has ended when this returns."""
    until(lambda: handle.status.step >= FIRST)
    first, at = handle.status.step, time.monotonic()
    until(lambda: handle.status.step >= LAST, pause=0.02)
    speed = (handle.status.step - first) / (time.monotonic() - at)
    until(lambda: handle.status.state == "finished")
    time.sleep(2.0)
    return speed


async def _watched(address: str, seed: int) -> float:
    """The same while the page is drawn and polled as a browser would."""
    handle = _begun(seed)
    async with Visitor(address, "vae_lab", f"{JOB}&seed={seed}") as visitor:
        speed = await asyncio.to_thread(_speed, handle)
    if visitor.faults or not visitor.polled:
        raise RuntimeError(f"the page was not watched: {visitor.faults[:1]}")
    return speed


def _trained(
    browser: Browser, address: str, store: Store, seed: int, watched: bool
) -> tuple[float, float, float]:
    """Seconds to the first picture, pictures a second, steps a second."""
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto(f"{address}/vae_lab?{JOB}&seed={seed}")
    button = page.get_by_role("button", name="Train on")
    button.wait_for()
    ready(page)
    page.evaluate(PICTURES)
    begun = time.monotonic()
    button.click()
    step = _stepper(store, seed)
    if watched:
        page.wait_for_selector(".lv-plot[data-name=picture][data-drawn]", timeout=60_000)
        alive = time.monotonic() - begun
    else:
        page.goto("about:blank")
        alive = 0.0
    while step() < FIRST:
        time.sleep(0.01)
    first, at = step(), time.monotonic()
    seen = page.evaluate("window.lvSeen") if watched else 0
    while (last := step()) < LAST:
        time.sleep(0.02)
        if watched:
            page.evaluate("0")  # lets the driver hear of the page
    took = time.monotonic() - at
    pictures = page.evaluate("window.lvSeen") - seen if watched else 0
    page.close()
    time.sleep(3.0)
    return alive, pictures / took, (last - first) / took


def _stepper(store: Store, seed: int) -> Callable[[], int]:
    while not (found := [run for run in store.runs() if run.job.seed == seed]):
        time.sleep(0.02)
    return lambda: found[0].status().step


def latent_space(browser: Browser, address: str) -> dict[str, Any]:
    """Hover and pin on the plane of the run that is there."""
    page, x, y = _plane(browser, f"{address}/latent_space")
    found: dict[str, Any] = {"hover": _hover(page, x, y)}
    random, times = np.random.default_rng(0), []
    for dx, dy in random.uniform(-130, 130, (PINS, 2)).tolist():
        page.evaluate(PIN, NUMBERS)
        page.mouse.click(x + dx, y + dy)
        times.append(page.evaluate("window.lvPinned"))
        page.wait_for_timeout(400)
        ready(page)
    page.close()
    return found | {"pin_to_numbers_ms": spread(times[2:])}


def many(browser: Browser, address: str) -> dict[str, Any]:
    """Hover over the means of 60,000 images of 28 x 28 pixels: digits made larger, where MNIST would lie."""
    pixels, labels = load_digits(return_X_y=True)
    large = np.kron(pixels.reshape(-1, 8, 8)[:, None] * 15.9, np.ones((1, 1, 3, 3)))[:, 0].astype(np.uint8)
    some = np.random.default_rng(0).integers(0, len(large), OpenML().count)
    whole = np.pad(large[some], ((0, 0), (2, 2), (2, 2)))
    _write(OpenML()._file(), Images(whole, np.asarray(labels)[some].astype(np.int64)))
    run = submit(Job(TrainVAE(data=OpenML()), steps=2))
    until(lambda: run.status.state == "finished", 120.0)
    asked = urlencode({"run": run.id, "show": "Training images"})
    page, x, y = _plane(browser, f"{address}/latent_space?{asked}")
    found = _hover(page, x, y)
    points = page.evaluate(POINTS)
    page.close()
    return found | {"points": points}


def _plane(browser: Browser, link: str) -> tuple[Page, float, float]:
    """The page with its latent plane at rest, and the plane's middle."""
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto(link)
    page.wait_for_selector(".lv-latent[data-frames]", timeout=120_000)
    ready(page)
    page.wait_for_timeout(3000)
    box = page.locator(".lv-latent").bounding_box()
    assert box
    return page, box["x"] + box["width"] / 2, box["y"] + box["height"] / 2 - 10


def _hover(page: Page, x: float, y: float, seconds: float = 4.0) -> dict[str, Any]:
    page.mouse.move(x, y)
    page.evaluate(COUNT_MESSAGES)
    frames = "Number(document.querySelector('.lv-latent').dataset.frames)"
    before, begun = page.evaluate(frames), time.monotonic()
    page.evaluate(HOVER, [x, y])
    page.wait_for_timeout(1000 * seconds)
    page.evaluate("clearInterval(window.lvHover)")
    drawn, took = page.evaluate(frames) - before, time.monotonic() - begun
    return {"frames_per_second": round(drawn / took, 1), "messages": page.evaluate("window.lvSent")}


if __name__ == "__main__":
    main()
