"""One visitor for a whole module: a page that stays open keeps its cache, and each visit is a new session."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

# a deadline says that something never comes, not how fast: two browsers share a machine, and it may be three
# times as slow as another day
expect.set_options(timeout=30_000)
ROOT_CONFTEST = Path(__file__).parents[1] / "conftest.py"
PROBE = re.compile(r"/[a-z_]+/_stcore/(health|host-config)")  # Streamlit asks below a page's address first
DRAWN = """() => {
  const plots = [...document.querySelectorAll(".lv-plot")];
  const few = location.pathname === "/runs" ? 0 : 3;  // a run that has told nothing has no picture
  const staged = document.querySelector(".st-key-stage") !== null;
  return document.querySelector("[data-testid=stApp]")?.dataset.testScriptState === "notRunning"
    && document.querySelector("[data-testid=stSkeleton]") === null
    && document.querySelector("h1") !== null
    && (!staged || plots.length >= few || document.querySelector("[class*=st-key-empty_]") !== null)
    && plots.every((plot) => plot.dataset.drawn)
    && document.querySelector("[aria-busy=true]:is(.lv-plot, .lv-table)") === null;
}"""


class Visitor:
    """A browser of its own; `faults` is what went wrong in it, `sent` what it told the server."""

    def __init__(self, browser: Browser, server: str, config: pytest.Config) -> None:
        self.server, self.faults, self.sent = server, [], []
        self.context = browser.new_context(viewport={"width": 1440, "height": 900}, accept_downloads=True)
        self.page = self.context.new_page()
        self.page.set_default_timeout(60_000)
        config.pluginmanager.get_plugin(str(ROOT_CONFTEST))._record_faults(self.page, self.faults)
        self.page.on("dialog", self._on_dialog)
        self.page.on("websocket", lambda socket: socket.on("framesent", lambda said: self.sent.append(said)))

    def _on_dialog(self, dialog) -> None:
        self.faults.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def visit(self, path: str = "/mixtures") -> Page:
        """Open a path in a new session; returns when all is drawn."""
        self.page.goto(self.server + path)
        self.page.wait_for_function(DRAWN, timeout=120_000)
        return self.page

    def check(self) -> None:
        shown = self.page.get_by_test_id("stException").all_inner_texts()
        faults = [fault for fault in self.faults if not PROBE.search(fault)] + shown
        self.faults.clear()
        if faults:
            pytest.fail("the browser saw:\n" + "\n".join(faults), pytrace=False)


@pytest.fixture(scope="module")
def resident(browser: Browser, server: str, pytestconfig: pytest.Config) -> Iterator[Visitor]:
    visitor = Visitor(browser, server, pytestconfig)
    yield visitor
    visitor.context.close()


@pytest.fixture
def visitor(resident: Visitor) -> Iterator[Visitor]:
    """The module's visitor, light, 1440 × 900."""
    resident.page.set_viewport_size({"width": 1440, "height": 900})
    resident.page.emulate_media(color_scheme="light", reduced_motion="no-preference")
    yield resident
    resident.check()


@pytest.fixture
def visit(visitor: Visitor) -> Callable[..., Page]:
    return visitor.visit


@pytest.fixture
def stranger(browser: Browser, server: str, pytestconfig: pytest.Config) -> Iterator[Visitor]:
    """Somebody else: no cache, no session, no storage."""
    visitor = Visitor(browser, server, pytestconfig)
    yield visitor
    visitor.check()
    visitor.context.close()
