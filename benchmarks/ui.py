"""How long from a hand's move to the changed picture, in Chromium: `python -m benchmarks.ui`.

Prints medians and 95th percentiles in milliseconds, the frames a second of playback and what it asks of the
server, whether a zoom survives 20 steps, the time to the first picture, and the ratio to the peer
(st.plotly_chart, same picture, same slider, same run).
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from lvmviz.runs import engine

ROOT = Path(__file__).parents[1]
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
FLAGS = """--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
    --disable-component-update --disable-sync""".split()

# resolves with the ms from the act to the next drawing of the picture
OURS = """async (act) => {
  const plot = document.querySelector('.lv-plot[data-name=picture]');
  const drawn = new Promise((done) => {
    const seen = new MutationObserver(() => { seen.disconnect(); done(performance.now()); });
    seen.observe(plot, { attributes: true, attributeFilter: ['data-drawn'] });
  });
  const begun = performance.now();
  eval(act);
  return (await drawn) - begun;
}"""
THEIRS = """async (act) => {
  const main = document.querySelector('[data-testid=stMain]');
  const drawn = new Promise((done) => {
    const seen = new MutationObserver((all) => {
      if (!all.some((one) => one.target.closest?.('.js-plotly-plot, .stPlotlyChart'))) return;
      seen.disconnect();
      requestAnimationFrame(() => done(performance.now()));
    });
    seen.observe(main, { subtree: true, childList: true });
  });
  const begun = performance.now();
  eval(act);
  return (await drawn) - begun;
}"""
COUNT_MESSAGES = """() => {
  window.lvSent = 0;
  const send = WebSocket.prototype.send;
  WebSocket.prototype.send = function (...message) { window.lvSent += 1; return send.apply(this, message); };
}"""
ARM = """(measure) => {
  window.lvTook = new Promise((done) => document.addEventListener('keydown', (event) => {
    eval('(' + measure + ')')('0').then((took) => done(took));
  }, { once: true, capture: true }));
}"""

# counts drawn frames in which q's line moved; times from a hand's request to the thermometer that answers
WATCH = """() => {
  const plot = document.querySelector('.lv-plot[data-name=picture]');
  const gauge = document.querySelector('.lv-plot[data-name=thermometer]');
  const hand = plot.parentElement.lvPlot.hand;
  const seen = (window.lvDrag = { frames: 0, took: [] });
  const pending = [];
  const flush = hand.flush.bind(hand);
  hand.flush = (settled) => {
    const before = hand.sent;
    flush(settled);
    if (hand.sent > before) pending.push([hand.sent, performance.now()]);
  };
  new MutationObserver(() => {
    const now = performance.now();
    while (pending.length && pending[0][0] <= hand.answered) seen.took.push(now - pending.shift()[1]);
  }).observe(gauge, { attributes: true, attributeFilter: ['data-drawn'] });
  let was;
  const look = () => {
    const line = hand.line(hand.shapes[0].lines[0].trace);
    const now = line && line.getAttribute('transform') + line.getAttribute('d');
    if (now !== was) seen.frames += 1;
    was = now;
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}"""
# a hand that moves 125 times a second, as a mouse does; the driver's own moves wait for the page
SWING = """([x, y, taken]) => {
  const handle = document.querySelector(taken);
  const begun = performance.now();
  window.lvSwing = setInterval(() => {
    const clientX = x + 120 * Math.sin((performance.now() - begun) / 400);
    const where = { clientX, clientY: y, pointerId: 1, bubbles: true };
    handle.dispatchEvent(new PointerEvent('pointermove', where));
  }, 8);
}"""


@contextlib.contextmanager
def serve(script: str, home: str = "") -> Iterator[str]:
    """A server of the app, or of the peer, on a free port; its data in `home`, else in a new folder."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as own:
        command = [sys.executable, "-m", "streamlit", "run", script, "--server.port", str(port)]
        env = os.environ | {"LVMVIZ_HOME": home or own, "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(
            command, cwd=ROOT, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            address = f"http://127.0.0.1:{port}"
            _wait(address + "/_stcore/health")
            yield address
        finally:
            process.terminate()
            process.wait(20)
            _wait_for_engine(Path(home or own))


def _wait_for_engine(home: Path) -> None:
    """Until the engine that the app has started has ended: it writes into a folder that is about to go."""
    for _ in range(300):
        if not engine.alive(home):
            return
        time.sleep(0.1)
    raise RuntimeError("the engine outlived the app by 30 s")


def _wait(address: str) -> None:
    for _ in range(300):
        with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=1):
            return
        time.sleep(0.2)
    raise RuntimeError(f"{address} did not answer in a minute")


def ready(page: Page) -> None:
    page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]", timeout=60_000)


def spread(times: list[float]) -> dict[str, float]:
    """Median and 95th percentile, ms."""
    ordered = sorted(times)
    return {
        "p50": round(ordered[len(ordered) // 2]),
        "p95": round(ordered[int(0.95 * (len(ordered) - 1))]),
        "n": len(times),
    }


def slider(page: Page, measure: str, count: int = 30) -> list[float]:
    """K up and down by the keyboard, ms from the key to the picture."""
    times = []
    page.locator("[data-testid=stSlider]").first.locator("[role=slider], input").first.focus()
    for i in range(count):
        page.evaluate(ARM, measure)
        page.keyboard.press("ArrowRight" if i % 2 == 0 else "ArrowLeft")
        times.append(page.evaluate("window.lvTook"))
        page.wait_for_timeout(150)
        ready(page)
    return times[2:]  # the first two compute their traces


# a slider of each page whose every new value is computed for the first time
FRESH = {
    "evidence": "Noise s",
    "gradients": "Mean of q",
    "em_beyond": "Share hidden",
    "gaps": "Trained up to",
    "missing_pixels": "Hidden rows",
}


def fresh(browser: Browser, address: str, path: str, count: int = 20) -> list[float]:
    """A page's slider, each value for the first time: ms from the key to the new picture."""
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto(f"{address}/{path}")
    page.wait_for_selector(".lv-plot[data-name=picture][data-drawn]", timeout=60_000)
    ready(page)
    page.wait_for_timeout(1500)
    page.get_by_role("slider", name=FRESH[path]).first.focus()
    times = []
    for _ in range(count):
        page.wait_for_timeout(300)
        ready(page)
        page.evaluate(ARM, OURS)
        page.keyboard.press("ArrowRight")
        took = page.evaluate("Promise.race([window.lvTook, new Promise((end) => setTimeout(end, 5000, -1))])")
        if took < 0:  # the slider is at its end, or this value changes nothing
            break
        times.append(took)
    page.close()
    return times


def half_steps(page: Page) -> list[float]:
    """E and M by the buttons, ms from the click to the picture."""
    times = []
    for i in range(30):
        button = f"document.querySelector('.lv-moves button[data-move={'E' if i % 2 == 0 else 'M'}]').click()"
        times.append(page.evaluate(OURS, button))
        page.wait_for_timeout(60)
    return times


def playback(page: Page) -> dict[str, float]:
    """Frames a second of the picture, and websocket messages meanwhile."""
    page.keyboard.press("Home")
    page.evaluate("document.querySelector('.lv-player button').click()")
    page.wait_for_timeout(800)
    drawn = "Number(document.querySelector('.lv-plot[data-name=picture]').dataset.drawn)"
    page.evaluate(COUNT_MESSAGES)
    page.evaluate("document.querySelector('.lv-player [aria-label^=Play]').click()")
    before, begun = page.evaluate(drawn), time.monotonic()
    page.wait_for_timeout(3000)
    frames, seconds = page.evaluate(drawn) - before, time.monotonic() - begun
    traffic = page.evaluate("window.lvSent")
    page.evaluate("document.querySelector('.lv-player [aria-label^=Play]').click()")
    ready(page)
    return {"frames_per_second": round(frames / seconds, 1), "messages_to_server": traffic}


def zoom_kept(page: Page) -> bool:
    """Whether the axis range set by a drag is the same after 20 half-steps."""
    page.evaluate("document.querySelector('.lv-player button').click()")
    page.wait_for_timeout(500)
    box = page.locator(".lv-plot[data-name=picture]").bounding_box()
    assert box
    page.mouse.move(box["x"] + 200, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 500, box["y"] + 200, steps=8)
    page.mouse.up()
    page.wait_for_timeout(300)
    range_ = "document.querySelector('.lv-plot[data-name=picture]')._fullLayout.xaxis.range.slice()"
    before = page.evaluate(range_)
    for _ in range(20):
        page.keyboard.press("ArrowRight")
        page.wait_for_timeout(60)
    kept = page.evaluate(range_)
    page.mouse.dblclick(box["x"] + 300, box["y"] + 100)
    return before == kept


def drag(page: Page, taken: str = ".lv-handle-loc", seconds: float = 8.0) -> dict[str, object]:
    """q's centre swung to and fro: frames a second, exact answers a second, and whether the link follows."""
    taken = f"[data-name=picture] {taken}"
    handle = page.locator(taken).first.bounding_box()
    assert handle
    x, y = handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.evaluate(WATCH)
    before, begun = page.url, time.monotonic()
    page.evaluate(SWING, [x, y, taken])
    page.wait_for_timeout(1000 * seconds)
    page.evaluate("clearInterval(window.lvSwing)")
    seen, took = page.evaluate("window.lvDrag"), time.monotonic() - begun
    waited = page.url == before
    page.mouse.up()
    page.wait_for_timeout(1000)
    return {
        "frames_per_second": round(seen["frames"] / took, 1),
        "answers_per_second": round(len(seen["took"]) / took, 1),
        "answer_ms": spread(seen["took"]),
        "link_waits_for_release_then_follows": waited and page.url != before,
    }


def first_picture(browser: Browser, address: str) -> float:
    """Seconds from opening the address to the first drawn picture."""
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    begun = time.monotonic()
    page.goto(address)
    page.wait_for_selector(".lv-plot[data-name=picture][data-drawn]", timeout=60_000)
    took = time.monotonic() - begun
    page.close()
    return round(took, 2)


def main() -> None:
    """Measure, and print one JSON object."""
    path = next((found for name in CHROMIUM if (found := shutil.which(name))), None)
    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path=path, args=FLAGS)
        with serve("app.py") as address:
            result: dict[str, object] = {
                "first_picture_s": [first_picture(browser, address + "/mixtures") for _ in range(3)]
            }
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.goto(address + "/mixtures")
            page.wait_for_selector(".lv-plot[data-name=picture][data-drawn]", timeout=60_000)
            ready(page)
            result["half_step_ms"] = spread(half_steps(page))
            result["playback"] = playback(page)
            result["zoom_kept_over_20_steps"] = zoom_kept(page)
            ours = slider(page, OURS)
            result["control_ms"] = spread(ours)
            page.goto(address + "/fit_q_1d")
            page.wait_for_selector("[data-name=picture] .lv-handle-loc", timeout=60_000)
            ready(page)
            page.wait_for_timeout(1000)
            result["drag"] = drag(page)
            page.goto(address + "/fit_q_2d")
            page.wait_for_selector("[data-name=picture] .lv-handle-centre", timeout=60_000)
            ready(page)
            page.wait_for_timeout(1000)
            result["drag_in_the_plane"] = drag(page, ".lv-handle-centre")
            page.close()
            result["fresh_value_ms"] = {path: spread(fresh(browser, address, path)) for path in FRESH}
        with serve("benchmarks/peer_plotly_chart.py") as address:
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.goto(address)
            page.wait_for_selector(".js-plotly-plot", timeout=60_000)
            ready(page)
            theirs = slider(page, THEIRS)
            result["control_ms_plotly_chart"] = spread(theirs)
    result["ratio_to_plotly_chart_p50"] = round(spread(ours)["p50"] / spread(theirs)["p50"], 2)
    result["machine"] = f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}"
    result["versions"] = {name: version(name) for name in ("streamlit", "plotly", "torch")}
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
