"""Training watched live, hover and pin, in Chromium: `python -m benchmarks.vae_ui [--save]`.

Prints one JSON object: seconds from the click to the first picture, pictures a second while a VAE of 512
hidden units trains, its steps a second watched by a browser on the same cores, by a visitor whose browser is
elsewhere (a websocket), and alone; decoded images a second under a moving pointer, the messages this sends,
and milliseconds from a click on the plane to the pinned image's exact numbers.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import datetime
import json
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.client import Visitor
from benchmarks.ui import CHROMIUM, COUNT_MESSAGES, FLAGS, ready, serve, spread
from lvmviz import MLP, Job, TrainVAE
from lvmviz.core import one_thread
from lvmviz.runs import engine
from lvmviz.runs.handle import submit
from lvmviz.runs.store import Store
from lvmviz.ui.links import link_of

RESULTS = Path(__file__).parent / "results"
JOB = Job(TrainVAE(encoder=MLP(hidden=512), decoder=MLP(hidden=512)), steps=500)
LINK = urlencode(link_of(JOB.algorithm) | {"iterations": str(JOB.steps)})
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


def main() -> None:
    """Measure, and print or save one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--save", action="store_true", help="write it into results/, too")
    asked = parser.parse_args()
    one_thread()
    path = next((found for name in CHROMIUM if (found := shutil.which(name))), None)
    with sync_playwright() as player, tempfile.TemporaryDirectory() as home:
        browser = player.chromium.launch(executable_path=path, args=FLAGS)
        os.environ["LVMVIZ_HOME"] = home  # for the runs that are begun from here
        with serve("app.py", home) as address:
            try:
                result: dict[str, object] = {"training": training(browser, address, Store(home))}
                result |= latent_space(browser, address)
            finally:
                engine.leave()  # it ends with the app
        browser.close()
    result |= {
        "date": datetime.date.today().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}",
        "load": [round(load, 2) for load in os.getloadavg()],
        "versions": {name: version(name) for name in ("streamlit", "torch")},
    }
    print(json.dumps(result, indent=1))
    if asked.save:
        (RESULTS / f"vae-ui-{result['date']}.json").write_text(json.dumps(result, indent=1) + "\n")


def training(browser: Browser, address: str, store: Store) -> dict[str, object]:
    """The first run warms the engine; of each way to watch the faster of two counts, taken in turns."""
    alive, _, _ = _watched(browser, address, store, 1)
    here, elsewhere, alone, pictures = [], [], [], []
    for turn in range(2):
        _, seen, speed = _watched(browser, address, store, 10 + turn)
        pictures.append(seen)
        here.append(speed)
        elsewhere.append(asyncio.run(_by_socket(address, store, 20 + turn)))
        alone.append(asyncio.run(_by_socket("", store, 30 + turn)))
    return {
        "click_to_picture_s": round(alive, 2),
        "pictures_per_second": round(min(pictures), 2),
        "steps_per_second": {
            "browser_on_the_same_cores": round(max(here), 1),
            "browser_elsewhere": round(max(elsewhere), 1),
            "alone": round(max(alone), 1),
        },
        "ratio_here": round(max(here) / max(alone), 2),
        "ratio_elsewhere": round(max(elsewhere) / max(alone), 2),
    }


def _watched(browser: Browser, address: str, store: Store, seed: int) -> tuple[float, float, float]:
    """Seconds to the first picture, pictures a second, steps a second."""
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto(f"{address}/vae_lab?{LINK}&seed={seed}")
    button = page.get_by_role("button", name="Train on")
    button.wait_for()
    ready(page)
    page.evaluate(PICTURES)
    begun = time.monotonic()
    button.click()
    page.wait_for_selector(".lv-plot[data-name=picture][data-drawn]", timeout=60_000)
    alive = time.monotonic() - begun
    step = _stepper(store, seed)
    while step() < FIRST:
        time.sleep(0.01)
    first, at, seen = step(), time.monotonic(), page.evaluate("window.lvSeen")
    while (last := step()) < LAST:
        page.wait_for_timeout(20)
    took = time.monotonic() - at
    pictures = page.evaluate("window.lvSeen") - seen
    page.close()
    time.sleep(3.0)
    return alive, pictures / took, (last - first) / took


async def _by_socket(address: str, store: Store, seed: int) -> float:
    """Steps a second of a run that one visitor without a browser watches; nobody without an address."""
    submit(dataclasses.replace(JOB, seed=seed))
    step = _stepper(store, seed)
    async with contextlib.AsyncExitStack() as stack:
        if address:
            query = f"{LINK}&seed={seed}"
            await stack.enter_async_context(Visitor(address, "vae_lab", query))
        while step() < FIRST:
            await asyncio.sleep(0.01)
        first, at = step(), time.monotonic()
        while (last := step()) < LAST:
            await asyncio.sleep(0.02)
        took = time.monotonic() - at
    await asyncio.sleep(3.0)
    return (last - first) / took


def _stepper(store: Store, seed: int) -> Callable[[], int]:
    while not (found := [run for run in store.runs() if run.job.seed == seed]):
        time.sleep(0.02)
    return lambda: found[0].status().step


def latent_space(browser: Browser, address: str) -> dict[str, object]:
    """Hover and pin on the plane of the run that is there."""
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto(f"{address}/latent_space")
    page.wait_for_selector(".lv-latent[data-frames]", timeout=60_000)
    ready(page)
    page.wait_for_timeout(2000)
    box = page.locator(".lv-latent").bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2 - 10
    found: dict[str, object] = {"hover": _hover(page, x, y)}
    random, times = np.random.default_rng(0), []
    for dx, dy in random.uniform(-130, 130, (PINS, 2)).tolist():
        page.evaluate(PIN, NUMBERS)
        page.mouse.click(x + dx, y + dy)
        times.append(page.evaluate("window.lvPinned"))
        page.wait_for_timeout(400)
        ready(page)
    page.close()
    return found | {"pin_to_numbers_ms": spread(times[2:])}


def _hover(page: Page, x: float, y: float, seconds: float = 4.0) -> dict[str, float]:
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
