"""The page Mixtures in a browser: half-steps, playing, controls, scenes, own tables, exports."""

import csv
import io
import json
import os
import re
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

import pandas as pd
import pytest
from playwright.sync_api import Download, Page, Route, expect

from lvmviz import EM
from lvmviz.datasets import Blobs
from lvmviz.ui import em_scenes, link_of

pytestmark = pytest.mark.browser
ROOT = Path(__file__).parents[2]
LEDGER = "[aria-label^=Ledger]"
PLAYER = ".lv-player:not(.lv-save)"
NUMBER = r"[−+]?\d+\.\d+"
GOOD = "width,height\n1.0,2.0\n1.5,1.8\n5.0,8.0\n8.0,8.0\n1.0,0.6\n9.0,11.0\n"
HTML = "<img src=x onerror=alert(1)>"


# ---- what a person sees ----


def on_frame(page: Page, index: int) -> None:
    """Every view shows this frame."""
    page.wait_for_function(
        """(index) => [".lv-plot[data-name=picture]", ".lv-plot[data-name=curves]",
            ".lv-plot[data-name=thermometer]", ".lv-table"]
            .every((name) => document.querySelector(name)?.dataset.frame === String(index))
            && document.querySelector(".lv-player").dataset.index === String(index)""",
        arg=index, timeout=60_000,
    )  # fmt: skip


def rested(page: Page, step: int) -> None:
    """Python has heard of the position, and has answered."""
    expect(page).to_have_url(re.compile(rf"[?&]step={step}(&|$)" if step else r"^(?!.*step=)"))
    quiet(page)


def quiet(page: Page) -> None:
    page.wait_for_function(
        "() => document.querySelector('[data-testid=stApp]').dataset.testScriptState === 'notRunning'"
    )


def slider_tells(page: Page, name: str, value: int) -> None:
    """Once the page has rerun: for a moment there is the new slider and the old."""
    sliders = page.get_by_role("slider", name=name)
    expect(sliders.and_(page.locator(f"[value='{value}']"))).to_have_count(1)
    expect(sliders).to_have_count(1)


def press(page: Page, key: str, step: int) -> None:
    page.keyboard.press(key)
    on_frame(page, step)
    rested(page, step)


def thermometer(page: Page) -> tuple[float, float, float]:
    """log p, KL and ELBO as they are written on it."""
    texts = page.locator("[data-name=thermometer] text").all_text_contents()
    log_p, kl, elbo = [value(text.removesuffix(" nats")) for text in texts if text.endswith("nats")]
    return log_p, kl, elbo


def value(text: str) -> float:
    return float(text.replace("−", "-"))


def said(page: Page) -> str:
    return page.locator(f"{PLAYER} output").inner_text()


def count(page: Page) -> int:
    """The last frame's number."""
    return int(page.locator(f"{PLAYER} input").get_attribute("max"))


def alt(page: Page, text: str) -> None:
    """Wait until the only picture has this name: while a page draws, the one before may still be there."""
    expect(page.get_by_role("img", name=re.compile(text)).last).to_be_visible()
    expect(page.locator("[data-name=picture]")).to_have_count(1)


def no_fault_shown(page: Page) -> None:
    expect(page.get_by_test_id("stAlertContentError")).to_have_count(0)
    expect(page.get_by_test_id("stException")).to_have_count(0)


# ---- half-steps ----


def test_e_closes_the_gap_and_m_lifts_both(visit) -> None:
    page = visit()
    on_frame(page, 0)
    page.locator("[data-move=E]").click()
    on_frame(page, 1)
    log_p, kl, elbo = thermometer(page)
    assert kl == 0 and elbo == log_p
    expect(page.locator(f"{LEDGER} .lv-now td").first).to_have_text(re.compile("^1 E"))
    rested(page, 1)
    page.locator("[data-move=M]").click()
    on_frame(page, 2)
    now = thermometer(page)
    assert now[1] > 0 and now[0] > log_p and now[2] > elbo
    assert now[0] - now[1] == pytest.approx(now[2], abs=2e-4)
    expect(page.locator(f"{LEDGER} .lv-now td").first).to_have_text(re.compile("^1 M"))
    rested(page, 2)
    page.locator("[data-move='E+M']").click()
    on_frame(page, 4)
    rested(page, 4)
    page.get_by_role("button", name="One step back").click()
    on_frame(page, 3)
    rested(page, 3)
    page.get_by_role("button", name="To the start").click()
    on_frame(page, 0)
    rested(page, 0)


def test_step_that_changes_nothing_says_why(visit) -> None:
    page = visit()
    page.keyboard.press("m")
    assert said(page) == "q knows nothing of x yet, so M would make all components alike. Press E first."
    press(page, "e", 1)
    page.keyboard.press("e")
    assert said(page) == "E again changes nothing: q already is the posterior, KL = 0. Press M."
    press(page, "m", 2)
    page.keyboard.press("m")
    assert said(page).startswith("M again changes nothing")
    on_frame(page, 2)


def test_keys_move_the_player_but_not_from_a_field(visit) -> None:
    page = visit()
    press(page, "ArrowRight", 1)
    press(page, "ArrowRight", 2)
    press(page, "ArrowLeft", 1)
    press(page, "m", 2)
    press(page, "n", 4)
    page.keyboard.press("Space")
    page.wait_for_function("Number(document.querySelector('.lv-player').dataset.index) > 5")
    page.keyboard.press("Space")
    at = int(page.locator(PLAYER).get_attribute("data-index"))
    on_frame(page, at)
    rested(page, at)
    seed = page.get_by_label("Seed", exact=True)
    seed.click()
    for key in ("e", "m", "ArrowLeft", "ArrowRight", "Space"):
        page.keyboard.press(key)
    expect(page.locator(PLAYER)).to_have_attribute("data-index", str(at))


@pytest.mark.parametrize("delay", [30, 120, 250])
def test_quick_hand_is_not_thrown_back(visit, delay) -> None:
    """Steps taken while Python still answers the step before."""
    page = visit()
    page.keyboard.type("ememem", delay=delay)
    on_frame(page, 6)
    rested(page, 6)
    on_frame(page, 6)


def test_link_of_a_step_opens_the_same_step(visit) -> None:
    page = visit("/mixtures?seed=4&v=1")
    press(page, "e", 1)
    press(page, "m", 2)
    press(page, "e", 3)
    numbers, link = thermometer(page), page.url.split("/", 3)[3]
    page = visit("/" + link)
    on_frame(page, 3)
    assert thermometer(page) == numbers
    expect(page.locator("code").filter(has_text="trace[3]")).to_have_count(1)


# ---- long films, which have addresses of their own ----

LONG = "/mixtures?" + urlencode(link_of(EM(data=Blobs(points=3000), components=8, tolerance=0.0)))
FILM = re.compile(r"/lvmviz/film/[0-9a-f]{24}$")
SHOWN = "document.querySelectorAll('[data-name=picture] .point').length"


def test_a_long_film_is_fetched_once_however_often_the_page_runs(visit) -> None:
    asked: list[str] = []
    page = visit("/mixtures")
    page.on("request", lambda request: asked.append(request.url) if FILM.search(request.url) else None)
    visit(LONG)
    on_frame(page, 0)
    assert page.evaluate(SHOWN) >= 3000 and len(set(asked)) == len(asked) >= 1
    press(page, "e", 1)
    asked.clear()
    page.get_by_role("radio", name="Bound").click()
    alt(page, "Blobs")
    press(page, "m", 2)
    assert not [url for url in asked if page.evaluate(SHOWN) < 3000]
    page.get_by_role("radio", name="Steps").click()
    quiet(page)
    assert len(set(asked)) == len(asked) <= 2  # at most those of the two charts that were switched
    asked.clear()
    seed = page.get_by_label("Seed", exact=True)
    seed.fill("7")
    seed.press("Enter")
    expect(page).to_have_url(re.compile("seed=7"))
    page.wait_for_function("document.querySelector('[aria-busy=true]:is(.lv-plot, .lv-table)') === null")
    assert len(set(asked)) == len(asked) >= 1


NEVER = 10**9


@pytest.mark.parametrize(("status", "body", "times"), [(404, "none", 1), (200, '{"figure": [1,', 1),
                                                       (404, "none", NEVER), (500, "", NEVER)])  # fmt: skip
def test_a_film_that_does_not_come_comes_at_last(visitor, status, body, times) -> None:
    page, lost = visitor.page, []

    def lose(route: Route) -> None:
        lost.append(route.request.url)
        if lost.count(lost[-1]) <= times:
            route.fulfill(status=status, body=body)
        else:
            route.continue_()

    page.route(FILM, lose)
    try:
        visitor.visit(LONG.replace("3000", str(2900 + 10 * len(body) + (times == NEVER))))
        on_frame(page, 0)
        assert page.evaluate(SHOWN) >= 2900
        assert max(lost.count(url) for url in lost) <= 6  # two tries a view; a slow page mounts one anew
        rows = page.locator("[aria-label^='Weight, number of points'] tbody tr")
        expect(rows).to_have_count(9)  # eight components below the agreement with the labels
        quiet(page)
        asked, sent = len(lost), len(visitor.sent)
        page.wait_for_timeout(2500)
        assert (len(lost), len(visitor.sent)) == (asked, sent)  # and then nobody asks for anything
    finally:
        page.unroute(FILM)
    visitor.faults[:] = [fault for fault in visitor.faults if "404" not in fault and "500" not in fault]


# ---- playing ----


def test_playing_asks_nothing_of_the_server(visitor) -> None:
    page = visitor.visit()
    last = count(page)
    page.evaluate("window.kept = document.querySelector('[data-name=picture]')")
    page.get_by_role("button", name="Play or pause").click()
    page.wait_for_function("Number(document.querySelector('.lv-player').dataset.index) >= 1")
    sent = len(visitor.sent)
    page.wait_for_function(f"Number(document.querySelector('.lv-player').dataset.index) >= {last - 3}")
    assert len(visitor.sent) == sent
    on_frame(page, last)
    rested(page, last)
    assert len(visitor.sent) > sent
    assert page.evaluate("window.kept === document.querySelector('[data-name=picture]') && kept.isConnected")
    expect(page.locator(f"{LEDGER} .lv-now")).to_be_in_viewport()


def test_zoom_and_node_survive_twenty_steps(visit) -> None:
    page = visit()
    box = page.locator("[data-name=picture] .nsewdrag").bounding_box()
    page.evaluate("window.kept = document.querySelector('[data-name=picture]')")
    page.mouse.move(box["x"] + 200, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 500, box["y"] + 200, steps=5)
    page.mouse.up()
    span = "() => { const { xaxis, yaxis } = kept._fullLayout; return [...xaxis.range, ...yaxis.range]; }"
    page.wait_for_function("kept._fullLayout.xaxis.range[1] - kept._fullLayout.xaxis.range[0] < 4")
    zoomed = page.evaluate(span)
    for step in range(1, 21):
        press(page, "ArrowRight", step)
    assert page.evaluate("window.kept === document.querySelector('[data-name=picture]') && kept.isConnected")
    assert page.evaluate(span) == pytest.approx(zoomed)
    page.mouse.dblclick(box["x"] + 300, box["y"] + 20)
    page.wait_for_function("kept._fullLayout.xaxis.range[1] - kept._fullLayout.xaxis.range[0] > 5")


def test_scrubbing_draws_no_two_pictures_at_once(visit) -> None:
    page = visit()
    last = count(page)
    page.evaluate("""() => {
        const real = window.Plotly.react, busy = new Map();
        window.seen = { overlaps: 0, reacts: 0 };
        window.Plotly.react = async (node, ...rest) => {
            window.seen.reacts += 1;
            if (busy.get(node)) window.seen.overlaps += 1;
            busy.set(node, true);
            try { return await real(node, ...rest); } finally { busy.set(node, false); }
        };
    }""")
    page.evaluate("""async (last) => {
        const range = document.querySelector(".lv-player input");
        for (let i = 0; i < 100; i++) {
            range.value = (i * 7) % (last + 1);
            range.dispatchEvent(new Event("input", { bubbles: true }));
            if (i % 10 === 0) await new Promise(requestAnimationFrame);
        }
        range.dispatchEvent(new Event("change", { bubbles: true }));
    }""", last)  # fmt: skip
    final = (99 * 7) % (last + 1)
    on_frame(page, final)
    rested(page, final)
    assert page.locator(f"{PLAYER} input").input_value() == str(final)
    seen = page.evaluate("window.seen")
    assert seen["overlaps"] == 0
    assert 0 < seen["reacts"] < 300


# ---- controls ----


def test_controls_by_keyboard_undo_redo_reset(visit) -> None:
    page = visit()
    slider = page.get_by_role("slider", name="Components K")
    slider.focus()
    page.keyboard.press("ArrowRight")
    alt(page, "4 Gaussian")
    expect(page).to_have_url(re.compile("components=4"))
    expect(page.locator("[data-name=picture] text").filter(has_text=re.compile("^4$"))).not_to_have_count(0)
    for button, number in (("undo", 3), ("redo", 4), ("reset", 3)):
        page.get_by_role("button", name=button.capitalize(), exact=True).click()
        alt(page, f"{number} Gaussian")
        slider_tells(page, "Components K", number)
        expect(page).to_have_url(re.compile("components=4" if number == 4 else r"^(?!.*components)"))


def test_back_button_shows_a_consistent_page(visit) -> None:
    page = visit()
    page.get_by_role("slider", name="Components K").focus()
    page.keyboard.press("ArrowRight")
    expect(page).to_have_url(re.compile("components=4"))
    quiet(page)
    page.go_back()
    expect(page).to_have_url(re.compile(r"/mixtures$"))
    slider_tells(page, "Components K", 3)
    alt(page, "3 Gaussian")
    expect(page.get_by_test_id("stAlert")).to_have_count(0)


def test_link_with_bad_values_says_so_and_works(visit) -> None:
    page = visit("/mixtures?components=99&seed=abc&data=Nope&step=x&start=ByHand&start.centres=[[&v=1")
    warnings = page.get_by_test_id("stAlertContentWarning")
    for name in ("components", "seed", "data", "step", "centres"):
        expect(warnings.filter(has_text=name)).to_have_count(1)
    no_fault_shown(page)
    press(page, "e", 1)


def test_shared_link_opens_the_same_for_a_stranger(visit, stranger) -> None:
    page = visit("/mixtures?data=ThreeInARow&seed=2&v=1")
    press(page, "e", 1)
    page.get_by_role("button", name="Share").click()
    link = page.get_by_test_id("stPopoverBody").locator("code").inner_text().strip()
    assert link.startswith(page.url.split("/mixtures")[0] + "/mixtures?")
    other = stranger.visit(link.removeprefix(stranger.server))
    on_frame(other, 1)
    assert thermometer(other) == thermometer(page)
    title = page.locator("[data-name=picture]").get_attribute("aria-label")
    expect(other.locator("[data-name=picture]")).to_have_attribute("aria-label", title)


# ---- scenes ----


SCENES = [card.name for card in em_scenes.SCENES]


def test_every_scene_opens_asks_and_answers(visit) -> None:
    page = visit()
    expect(page.locator("[data-card]")).to_have_count(len(SCENES))
    for name in SCENES:
        card = page.locator(f"[data-card={name}]")
        card.get_by_role("button", name="Predict").click()
        expect(page).to_have_url(re.compile(f"scene={name}"))
        opened = page.locator(".st-key-opened")
        answers = opened.get_by_test_id("stButtonGroup").get_by_role("radio")
        expect(answers).to_have_count(2)
        answers.last.click()
        expect(opened.locator("strong").filter(has_text=re.compile(r"^(Right\.|Not quite: )"))).to_have_count(
            1
        )
        quiet(page)
        no_fault_shown(page)
        expect(page.locator("[data-name=picture]")).to_be_visible()


def test_collapse_is_told_not_thrown(visit) -> None:
    page = visit()
    page.locator("[data-card=collapse]").get_by_role("button", name="Predict").click()
    alt(page, "Blobs.*5 Gaussian")
    quiet(page)
    page.get_by_label("Position in the trace").focus()
    page.keyboard.press("End")
    last = count(page)
    on_frame(page, last)
    rested(page, last)
    expect(page.locator("[data-name=picture] text").filter(has_text="collapsed").first).to_be_visible()
    page.locator("[data-move='E+M']").click()
    assert re.match(r"Component \d has collapsed", said(page))
    no_fault_shown(page)


# ---- own tables ----


def load(page: Page) -> None:
    """The popover, open."""
    field = page.get_by_label("or paste rows and columns")
    if not field.is_visible():
        page.get_by_role("button", name="Load a table").click()
    expect(field).to_be_visible()


def paste(page: Page, text: str) -> None:
    load(page)
    page.get_by_label("or paste rows and columns").fill(text)
    page.get_by_role("button", name="Use what is pasted").click()
    quiet(page)


def upload(page: Page, name: str, content: bytes) -> None:
    load(page)
    file = {"name": name, "mimeType": "text/csv", "buffer": content}
    page.locator("input[type=file]").set_input_files(file)
    quiet(page)


def axis_titles(page: Page, *titles: str) -> None:
    for title in titles:
        found = page.locator("[data-name=picture] .xtitle, [data-name=picture] .ytitle")
        expect(found.filter(has_text=title)).to_have_count(1)


OWN = "/mixtures?data=Stored&components=2&v=1"
BAD = {
    "a word": (GOOD.replace("5.0,8.0", "5.0,eight"), "Line 4.*height.*eight"),
    "ragged": (GOOD.replace("5.0,8.0", "5.0"), "Line 4 has 1 cells where 2"),
    "nan": (GOOD.replace("5.0,8.0", "5.0,nan"), "Line 4.*height"),
    "one row": ("width,height\n1.0,2.0\n", "one row.*Add rows"),
    "constant": ("a,b\n1,5\n2,5\n3,5\n4,5\n", "Its variance is zero.*delete the column"),
    "formula": (GOOD.replace("5.0,8.0", "=cmd|' /C calc'!A1,8.0"), "Line 4.*width"),
    "html": (GOOD.replace("5.0,8.0", f"{HTML},8.0"), "Line 4.*img src=.?x"),
}


def test_own_table_pasted_and_uploaded(visit) -> None:
    page = visit(OWN)
    expect(page.get_by_text("No table yet")).to_be_visible()
    paste(page, GOOD)
    axis_titles(page, "width", "height")
    expect(page).to_have_url(re.compile("data.digest=[0-9a-f]{64}"))
    digest = page.url
    page = visit(OWN)
    upload(page, "mine.csv", GOOD.encode())
    axis_titles(page, "width", "height")
    expect(page).to_have_url(digest)
    page.keyboard.press("Escape")
    no_fault_shown(page)


def test_bad_table_is_refused_with_the_remedy_and_the_last_one_stays(visit) -> None:
    page = visit(OWN)
    paste(page, GOOD)
    axis_titles(page, "width", "height")
    link = page.url
    for name, (text, sentence) in BAD.items():
        paste(page, text)
        error = page.get_by_test_id("stAlertContentError")
        expect(error, name).to_have_text(re.compile(sentence, re.DOTALL))
        assert page.locator("img[src='x'], [onerror]").count() == 0, name
        expect(page.locator("[data-name=picture]"), name).to_be_visible()
        assert page.url == link, name
    paste(page, GOOD)
    no_fault_shown(page)


def test_bad_file_is_refused_with_the_remedy(visit) -> None:
    page = visit(OWN)
    for junk, sentence in (
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "not text.*Save"),
        (b"\0\1\2\3" * 100, "binary file.*Save the table as CSV"),
    ):
        upload(page, "junk.csv", junk)
        expect(page.get_by_test_id("stAlertContentError")).to_have_text(re.compile(sentence))
    upload(page, "mine.csv", GOOD.encode())
    axis_titles(page, "width", "height")
    no_fault_shown(page)


def test_fewer_points_than_components_says_what_to_do(visit) -> None:
    page = visit("/mixtures?data=Stored&components=9&v=1")
    paste(page, GOOD)
    error = page.get_by_test_id("stAlertContentError")
    expect(error).to_have_text(re.compile("6 points cannot start 9 components.*use at most 6"))
    page.keyboard.press("Escape")
    slider = page.get_by_role("slider", name="Components K")
    slider.focus()
    page.keyboard.press("Home")
    alt(page, "1 Gaussian")
    no_fault_shown(page)


def test_names_of_a_table_are_text_never_html(visit) -> None:
    page = visit(OWN)
    paste(page, GOOD.replace("width,height", f"{HTML},=cmd|' /C calc'!A1"))
    axis_titles(page, HTML, "=cmd|' /C calc'!A1")
    page.keyboard.press("Escape")
    dot = page.locator("[data-name=picture] .points path").first.bounding_box()
    page.mouse.move(dot["x"] + 4, dot["y"] + 4)  # the hover label says the names too
    expect(page.locator("[data-name=picture] .hovertext")).to_contain_text("onerror")
    page.locator(".st-key-head_curves").get_by_text("Bound").click()
    expect(page.locator("[data-name=curves] .xtitle")).to_contain_text("onerror")
    assert page.locator("img[src='x'], [onerror]").count() == 0
    no_fault_shown(page)


# ---- centres by hand ----


def crosses(page: Page) -> list[list[float]]:
    """Where the crosses stand, in px on the page."""
    return page.evaluate("""() => {
        const plot = document.querySelector("[data-name=picture]");
        const trace = plot.data.find(({ marker }) => marker?.symbol === "x-thin");
        if (!trace) return [];
        const box = plot.querySelector(".nsewdrag").getBoundingClientRect();
        const { xaxis, yaxis } = plot._fullLayout;
        return [...trace.x].map((x, i) => [box.left + xaxis.d2p(x), box.top + yaxis.d2p(trace.y[i])]);
    }""")


def test_centres_are_placed_where_one_clicks(visit) -> None:
    page = visit()
    page.get_by_role("combobox", name=re.compile("Start")).click()
    page.get_by_role("option", name="By hand").click()
    expect(page.get_by_text("0 placed")).to_be_visible()
    box = page.locator("[data-name=picture] .nsewdrag").bounding_box()
    places = [
        (box["x"] + 150, box["y"] + 70),
        (box["x"] + 440, box["y"] + 150),
        (box["x"] + 700, box["y"] + 90),
    ]
    for number, place in enumerate(places, 1):
        page.mouse.click(*place)
        expect(page.get_by_text(f"{number} placed")).to_be_visible()
        quiet(page)
    page.wait_for_function("""() => document.querySelector("[data-name=picture]").data
        .find(({ marker }) => marker?.symbol === "x-thin")?.x.length === 3""")
    for found, place in zip(crosses(page), places, strict=True):
        assert found == pytest.approx(place, abs=2)
    page.mouse.move(box["x"] + 200, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 500, box["y"] + 200, steps=5)
    page.mouse.up()
    span = "kept => kept._fullLayout.xaxis.range[1] - kept._fullLayout.xaxis.range[0] < 4"
    page.wait_for_function(f"({span})(document.querySelector('[data-name=picture]'))")
    expect(page.get_by_text("3 placed")).to_be_visible()
    page.get_by_role("button", name="Clear").click()
    expect(page.get_by_text("0 placed")).to_be_visible()
    page.wait_for_function("""() => !document.querySelector("[data-name=picture]").data
        .some(({ marker }) => marker?.symbol === "x-thin")""")


# ---- exports ----


def exported(page: Page, label: str) -> Download:
    button = page.get_by_role("button", name=label, exact=True)
    if not button.is_visible():
        page.get_by_role("button", name="Export").click()
    with page.expect_download() as download:
        button.click()
    return download.value


def content(download: Download) -> bytes:
    return Path(download.path()).read_bytes()


def test_numbers_leave_as_csv_and_parquet(visit) -> None:
    page = visit("/mixtures?step=2&v=1")
    on_frame(page, 2)
    table = content(exported(page, "CSV"))
    rows = list(csv.DictReader(io.StringIO(table.decode())))
    assert len(rows) == count(page) + 1
    ledger = page.locator(f"{LEDGER} tbody tr")
    for index in (0, 1, 2, 7):
        shown = [value(text) for text in ledger.nth(index).locator("td").all_inner_texts()[1:3]]
        assert [float(rows[index][key]) / 150 for key in ("elbo", "kl")] == pytest.approx(shown, abs=5e-5)
    parquet = pd.read_parquet(io.BytesIO(content(exported(page, "Parquet"))))
    read = pd.read_csv(io.BytesIO(table), keep_default_na=False)
    pd.testing.assert_frame_equal(parquet, read, check_dtype=False, rtol=1e-14)


def test_picture_leaves_as_png_and_html(visit, browser, tmp_path) -> None:
    page = visit("/mixtures?step=2&v=1")
    picture = page.locator("[data-name=picture]")
    png = content(exported(page, "PNG"))
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    box = picture.bounding_box()
    assert struct.unpack(">II", png[16:24]) == (round(2 * box["width"]), round(2 * box["height"]))
    html = exported(page, "HTML")
    html.save_as(tmp_path / "picture.html")
    context = browser.new_context(offline=True)
    asked: list[str] = []
    alone = context.new_page()
    alone.on("request", lambda request: asked.append(request.url))
    alone.goto((tmp_path / "picture.html").as_uri())
    expect(alone.locator(".js-plotly-plot .points path")).not_to_have_count(0)
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    context.close()


def test_notebook_gives_the_number_on_the_page(visit) -> None:
    page = visit("/mixtures?step=2&v=1")
    with page.expect_download() as download:
        page.get_by_role("button", name="Notebook").click()
    made = json.loads(content(download.value))
    cells = ["".join(cell["source"]) for cell in made["cells"] if cell["cell_type"] == "code"]
    (comment,) = re.findall(rf"# ({NUMBER}) nats", cells[-1])
    *lines, last = cells[-1].splitlines()
    script = "\n".join([*cells[:-1], *lines, f"print(repr({last.split('#')[0]}))"])
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=60
    )
    assert run.returncode == 0, run.stderr
    assert float(run.stdout) == pytest.approx(value(comment), abs=5e-5)


def test_scene_file_brings_its_table_along(visit, stranger, home) -> None:
    page = visit(OWN)
    paste(page, GOOD.replace("1.5,1.8", "1.25,1.75"))
    axis_titles(page, "width", "height")
    page.keyboard.press("Escape")
    press(page, "e", 1)
    numbers, scene = thermometer(page), content(exported(page, "Scene file"))
    (digest,) = re.findall("data.digest=([0-9a-f]{64})", page.url)
    (home / "data" / f"{digest}.table").unlink()  # as on a computer that has never seen it
    other = stranger.visit(OWN)
    upload(other, "mixtures.scene.json", scene)
    expect(other).to_have_url(re.compile(digest))
    axis_titles(other, "width", "height")
    on_frame(other, 1)
    assert thermometer(other) == numbers


# ---- lecture hall, keyboard ----


def test_projector_is_large_and_without_controls(visit) -> None:
    page = visit()
    before = page.locator("h1").evaluate("node => parseFloat(getComputedStyle(node).fontSize)")
    page.get_by_role("button", name="Projector").click()
    expect(page).to_have_url(re.compile("projector=1"))
    page.wait_for_function(
        "size => parseFloat(getComputedStyle(document.querySelector('h1')).fontSize) > 1.3 * size", arg=before
    )
    quiet(page)
    for label in ("Data", "Components K", "Seed"):
        expect(page.get_by_label(label, exact=True).locator("visible=true")).to_have_count(0)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    controls = page.locator(".st-key-controls *").evaluate_all(
        """nodes => nodes.filter((n) => {
            const box = n.getBoundingClientRect(), style = getComputedStyle(n);
            const at = box.width > 2 && document.elementFromPoint(box.left + 4, box.top + 4);
            return style.visibility !== "hidden" && at && n.contains(at);
        }).length"""
    )
    assert controls == 0, "something of the controls can be seen"
    page.keyboard.press("Space")
    page.wait_for_function("Number(document.querySelector('.lv-player').dataset.index) >= 2")
    page.keyboard.press("Space")


def test_keyboard_alone_reaches_everything(visit) -> None:
    page = visit("/mixtures?step=1&v=1")
    reached: list[str] = []
    for _ in range(45):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate("""() => { const n = document.activeElement;
                return n.getAttribute("aria-label")
                    || n.labels?.[0]?.textContent || n.textContent || ""; }""")
        )
    for wanted in ("Data", "Components K", "Seed", "To the start", "Play or pause", "E-step", "M-step",
                   "One whole iteration", "Position in the trace", "Share", "Export"):  # fmt: skip
        assert any(wanted in name for name in reached), (wanted, reached)


def test_keys_on_the_scrubber_move_it(visit: Callable[..., Page]) -> None:
    page = visit()
    page.get_by_label("Position in the trace").focus()
    press(page, "ArrowRight", 1)
    press(page, "ArrowRight", 2)
