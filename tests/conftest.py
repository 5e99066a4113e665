"""A running app, a browser, and pages that fail their test when anything goes wrong inside them."""

import contextlib
import functools
import gc
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, settings
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    Response,
    expect,
    sync_playwright,
)
from streamlit.components.v2 import manifest_scanner

ROOT = Path(__file__).parents[1]
CHROMIUM = ["chromium", "chromium-browser", "google-chrome"]
QUIET = """--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
    --disable-component-update --disable-sync""".split()
START_S = 90  # importing torch on a cold disk
LOG = pytest.StashKey[Path]()

# How long an example takes depends on the machine; in CI the same examples are drawn every time.
settings.register_profile(
    "lvmviz",
    deadline=None,
    derandomize="CI" in os.environ,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("lvmviz")


def pytest_collection_finish() -> None:
    """As the app does: Streamlit collects after each run of a page, and would visit all modules and tests."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def scanned_once() -> Iterator[None]:
    """AppTest looks through every installed package for components before each run: most of a run's time."""
    with pytest.MonkeyPatch.context() as patch:
        scan = functools.cache(manifest_scanner.scan_component_manifests)
        patch.setattr(manifest_scanner, "scan_component_manifests", scan)
        yield


@pytest.fixture(scope="session", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data directory of the tests' own, also for the server: nothing of the user's is read or written."""
    path = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LVMVIZ_HOME", str(path))
        yield path


@pytest.fixture(scope="session")
def server(
    home: Path, tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Iterator[str]:
    """The base URL of `streamlit run app.py`, on a port of its own."""
    log = pytestconfig.stash[LOG] = tmp_path_factory.mktemp("server") / "log.txt"
    port = _free_port()
    command = [sys.executable, "-m", "streamlit", "run", "app.py", f"--server.port={port}"]
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=out, start_new_session=True)
        try:
            _wait_until_healthy(process, f"http://127.0.0.1:{port}/_stcore/health", log)
            yield f"http://127.0.0.1:{port}"
        finally:
            _kill_group(process)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_until_healthy(process: subprocess.Popen, url: str, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    pytest.fail(f"the app did not answer at {url}; its log:\n{log.read_text()}", pytrace=False)


def _kill_group(process: subprocess.Popen) -> None:
    """End the server and whatever it started, politely first."""
    for ending in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(process.pid, ending)
            process.wait(timeout=10)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The system's Chromium, else the one Playwright installed."""
    executable = next(filter(None, map(shutil.which, CHROMIUM)), None)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=executable, args=QUIET)
        yield chromium
        chromium.close()


@pytest.fixture
def new_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens empty pages, each a visitor of its own; what goes wrong in any of them fails the test."""
    contexts: list[BrowserContext] = []
    faults: list[str] = []

    def new_page(*, width: int = 1440, height: int = 900, dark: bool = False) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light"
        )
        contexts.append(context)
        page = context.new_page()
        _record_faults(page, faults)
        return page

    yield new_page
    for context in contexts:
        for page in context.pages:
            shown = page.get_by_test_id("stException").all_inner_texts()
            faults.extend(f"exception on the page: {text}" for text in shown)
        context.close()
    if faults:
        pytest.fail("the browser saw:\n" + "\n".join(faults), pytrace=False)


# Streamlit's frontend looks for its server below a page's own address first, and finds it one level up.
PROBE = re.compile(r"/[a-z_0-9]+/_stcore/(health|host-config)$")


def _record_faults(page: Page, faults: list[str]) -> None:
    def on_console(message: ConsoleMessage) -> None:
        url = message.location.get("url", "")
        if message.type == "error" and not PROBE.search(url):
            faults.append(f"console: {message.text} ({url})")

    def on_request(request: Request) -> None:
        if urlsplit(request.url).hostname not in (None, "127.0.0.1"):
            faults.append(f"fetched from elsewhere: {request.url}")

    def on_response(response: Response) -> None:
        if response.status >= 400 and not PROBE.search(response.url):
            faults.append(f"response {response.status}: {response.url}")

    page.on("console", on_console)
    page.on("pageerror", lambda error: faults.append(f"page error: {error}"))
    page.on("request", on_request)
    page.on("response", on_response)


@pytest.fixture
def page(new_page: Callable[..., Page]) -> Page:
    """One empty page, 1440 × 900, light."""
    return new_page()


@pytest.fixture
def open_page(new_page: Callable[..., Page], server: str) -> Callable[..., Page]:
    """Opens a path of the app for a new visitor; returns when its script has run and all is drawn."""

    def open_page(path: str = "/", *, width: int = 1440, height: int = 900, dark: bool = False) -> Page:
        page = new_page(width=width, height=height, dark=dark)
        page.goto(server + "/" + path.lstrip("/"))
        finished = page.locator("[data-testid=stApp][data-test-script-state=notRunning]")
        expect(finished).to_be_attached(timeout=30_000)
        expect(page.get_by_test_id("stSkeleton")).to_have_count(0)  # parts of the frontend still loading
        return page

    return open_page


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A browser test that was skipped has failed; one that failed shows the end of the server's log."""
    report = yield
    if item.get_closest_marker("browser"):
        if report.skipped and not hasattr(report, "wasxfail"):
            _fail_skipped(report)
        if report.failed and LOG in item.config.stash:
            report.sections.append(("server log so far", item.config.stash[LOG].read_text()[-6000:]))
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """A file skipped as a whole has failed: nobody would see which tests went with it."""
    report = yield
    if report.skipped:
        _fail_skipped(report)
    return report


def _fail_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    report.longrepr = f"a skip is no pass: {report.longrepr}"
    report.outcome = "failed"
